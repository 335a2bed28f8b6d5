//! One update group: neighbours that are sent the same UPDATEs share one Adj-RIB-Out and one encoding of each
//! message. `export` fills and sends; this file keeps the books of a group, `groups` holds all of them.
//!
//! A group has one table per family of what it was last told, and what of that is dirty. Its members stand in one
//! of two ways:
//!
//! - **In step**: what it was told is the table, except the routes that came from itself (split horizon).
//! - **Lagging**: it joined late, or its queue stayed full while others had room. It has been told the table up to
//!   some prefix id, and for each prefix that changed since, the books keep what it was told before (`missed`).
//!   It catches up at its own pace, then it is in step. Nobody waits for it, and its withdrawals are exact.
//!
//! Memory: 8 octets per prefix and group; per lagging member one entry for each prefix that changed meanwhile,
//! never more than there are prefixes.

mod hearing;
mod key;
mod table;

use std::collections::BTreeMap;

use crate::{
    rib::{AttrStore, PrefixId, SentPath, SetId},
    types::{Family, PathId},
};

use super::sessions::Slot;

pub use self::{
    hearing::{Hearing, hears},
    key::{GroupKey, neighbor_facts},
    table::GroupTable,
};

/// A route as neighbours see it: which prefix, and under which path id of ours.
pub type RouteId = (PrefixId, PathId);

/// What members missed: for each route what they were told of it last, as the attribute octets sent; `None`: nothing.
/// One reference is owned. Octets and not rows, since what was told stays told when rules, policies and the sessions
/// that routes came from change.
pub type Missed = BTreeMap<RouteId, Option<SetId>>;

/// What a member has of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// A row of the group's table, whose attributes are worked out by the key that holds for it.
    Row(SentPath),
    /// These octets.
    Octets(SetId),
}

/// How far behind its group a member is, in one family.
#[derive(Debug, Default)]
pub struct Lag {
    /// Ids from here on were never told; `None`: the whole table was walked.
    pub next: Option<u32>,
    /// Routes whose row changed since the member was told.
    pub missed: Missed,
    /// Routes told and not withdrawn.
    pub told: u64,
}

impl Lag {
    /// Whether a change of `id` must be remembered for this member.
    fn covers(&self, id: PrefixId) -> bool {
        self.next.is_none_or(|next| id.index() < next)
    }

    /// Whether the member has been told everything.
    pub fn is_over(&self) -> bool {
        self.next.is_none() && self.missed.is_empty()
    }
}

/// A refresh that a neighbour asked for (RFC 2918).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Resend {
    /// None.
    #[default]
    Idle,
    /// To be begun once the first sending is complete.
    Wanted,
    /// Ids from here on are still to be sent again.
    From(u32),
}

/// One member's standing in one family.
#[derive(Debug, Default)]
pub struct Standing {
    /// `None`: in step.
    pub lag: Option<Lag>,
    /// A refresh under way.
    pub resend: Resend,
    /// End-of-RIB was sent.
    pub end_of_rib_sent: bool,
}

/// A neighbour in a group.
#[derive(Debug)]
pub struct Member {
    /// Its session.
    pub slot: Slot,
    /// One per table of the group.
    pub families: Vec<Standing>,
}

impl Member {
    /// Whether it shares the group's stream.
    pub fn in_step(&self) -> bool {
        self.families.iter().all(|standing| standing.lag.is_none())
    }
}

/// Neighbours that are sent the same.
#[derive(Debug)]
pub struct Group {
    /// What they have in common.
    pub key: GroupKey,
    /// What they had in common before: rows that were not looked at since were told by it.
    pub past: Option<GroupKey>,
    /// One per family of the key.
    pub tables: Vec<GroupTable>,
    /// In order of joining.
    pub members: Vec<Member>,
    /// Export policy rejects every route: nothing is looked at or kept, only End-of-RIB is sent.
    pub silent: bool,
    /// Some member may lag: with a thousand in step, nobody is asked one by one for each prefix.
    lags: bool,
    /// Members were warned that there is no next hop of the family.
    pub warned_next_hop: bool,
    /// Members were warned that a route does not fit a message.
    pub warned_length: bool,
}

impl Group {
    /// A group without members that was told nothing.
    pub fn new(key: GroupKey) -> Self {
        let silent = key.is_silent();
        let fill = (!silent).then_some(0);
        let tables = key.families.iter().map(|family| GroupTable::new(*family, fill, key.add_path.contains(family)));
        let tables = tables.collect();
        let mut group = Self {
            key,
            past: None,
            tables,
            members: Vec::new(),
            silent,
            lags: false,
            warned_next_hop: false,
            warned_length: false,
        };
        group.note_what_tables_look_at();
        group
    }

    fn note_what_tables_look_at(&mut self) {
        for table in &mut self.tables {
            table.looks_at_all_paths = !self.silent && self.key.looks_at_all_paths(table.family);
        }
    }

    /// From now on `key` holds. What was told stays told, and is compared bit by bit with what it should be.
    ///
    /// Only while no earlier key is in use still (`past`).
    pub fn turn(&mut self, key: GroupKey) {
        debug_assert!(self.past.is_none(), "rows of two keys at most can be told apart");
        let before = std::mem::replace(&mut self.key, key);
        // Members that had to ask first have not had it.
        self.tables.iter_mut().for_each(|table| table.end_of_rib_due = true);
        if self.silent && self.key.is_silent() {
            return;
        }
        self.silent = false;
        (self.warned_next_hop, self.warned_length) = (false, false);
        self.tables.iter_mut().for_each(GroupTable::review);
        self.past = Some(before);
        self.note_what_tables_look_at();
    }

    /// Forgets the earlier key once no row is left that was told by it.
    pub fn end_review(&mut self) {
        if self.past.is_some() && self.tables.iter().all(GroupTable::is_done) {
            self.past = None;
            self.silent = self.key.is_silent();
        }
    }

    /// Tables whose members are sent a default route, or were, with their families.
    pub fn families_with_default(&self) -> Vec<(usize, Family)> {
        let keys = std::iter::once(&self.key).chain(&self.past);
        let wanted: Vec<Family> = keys.flat_map(|key| &key.default_originate).copied().collect();
        let tables = self.tables.iter().enumerate().map(|(index, table)| (index, table.family));
        tables.filter(|(_, family)| wanted.contains(family) && family.is_plain_prefix()).collect()
    }

    /// The key by which a route was told.
    pub fn key_of(&self, table: usize, route: RouteId) -> &GroupKey {
        match &self.past {
            Some(past) if self.tables.get(table).is_some_and(|table| table.is_past(route)) => past,
            _ => &self.key,
        }
    }

    /// Takes members out into a group of their own, which was told what they were told.
    pub fn split(&mut self, slots: &[Slot], attrs: &mut AttrStore) -> Self {
        Self {
            key: self.key.clone(),
            past: self.past.clone(),
            tables: self.tables.iter().map(|table| table.copy(attrs)).collect(),
            members: self.members.extract_if(.., |member| slots.contains(&member.slot)).collect(),
            silent: self.silent,
            lags: true,
            warned_next_hop: false,
            warned_length: false,
        }
    }

    /// Adds a session. It is in step if nothing was told yet, else it catches up.
    pub fn join(&mut self, slot: Slot) {
        let silent = self.silent;
        if self.members.len() == 1 && !silent {
            // Routes of the one member had no audience so far and are not in the books: see `has_audience`.
            for table in &mut self.tables {
                table.fill = Some(0);
            }
        }
        let families = self.tables.iter().map(|table| Standing {
            lag: (!silent && !table.is_untouched()).then(|| Lag { next: Some(0), ..Lag::default() }),
            ..Standing::default()
        });
        self.members.push(Member { slot, families: families.collect() });
        self.lags = true;
        for table in &mut self.tables {
            table.end_of_rib_due = true;
        }
    }

    /// A member that has just joined has paths in the tables already. Where a client's own paths count for nobody but
    /// others, what it is to be told has to be worked out once more.
    pub fn member_has_paths(&mut self) {
        if self.key.rules.transparent && !self.silent {
            self.tables.iter_mut().for_each(|table| table.fill = Some(0));
        }
    }

    /// Takes the members that `slow` names (by slot, and whether they lag in some family already) out of step: from
    /// now on what they miss is kept for them.
    pub fn leave_behind(&mut self, slow: impl Fn(Slot, bool) -> bool) {
        for member in self.members.iter_mut() {
            if !slow(member.slot, !member.in_step()) {
                continue;
            }
            self.lags = true;
            for (standing, table) in member.families.iter_mut().zip(&self.tables) {
                let told = table.told_to(member.slot);
                standing.lag.get_or_insert_with(|| Lag { told, ..Lag::default() });
            }
        }
    }

    /// Looks who lags still; called now and then.
    pub fn look_who_lags(&mut self) {
        self.lags = self.lags && !self.members.iter().all(Member::in_step);
    }

    /// Members that share the stream of a table.
    pub fn in_step(&self, table: usize) -> impl Iterator<Item = Slot> {
        let shares = move |member: &&Member| member.families.get(table).is_some_and(|s| s.lag.is_none());
        self.members.iter().filter(shares).map(|member| member.slot)
    }

    /// Whether anybody could be told about a route of `source`: not if it is the only member.
    pub fn has_audience(&self, source: Slot) -> bool {
        !matches!(self.members.as_slice(), [only] if only.slot == source)
    }

    /// Whether the session in `slot` is a member.
    pub fn has(&self, slot: Slot) -> bool {
        self.members.iter().any(|member| member.slot == slot)
    }

    /// The slot of a member that lags or asked for a refresh in this table.
    pub fn wants_own_stream(&self, member: usize, table: usize) -> Option<Slot> {
        let member = self.members.get(member)?;
        let standing = member.families.get(table)?;
        (standing.lag.is_some() || standing.resend != Resend::Idle).then_some(member.slot)
    }

    /// A member's standing in one family.
    pub fn standing_mut(&mut self, member: usize, table: usize) -> Option<&mut Standing> {
        self.members.get_mut(member)?.families.get_mut(table)
    }

    /// Takes a member's lag in hand, with the family it is about.
    pub fn take_lag(&mut self, member: usize, table: usize) -> Option<(Family, Lag)> {
        let family = self.tables.get(table)?.family;
        Some((family, self.standing_mut(member, table)?.lag.take()?))
    }

    /// Clears about `limit` rows of a group that nobody is a member of; the ids it held, or `None` when its books
    /// are empty.
    pub fn clear_some(&mut self, limit: usize, attrs: &mut AttrStore) -> Option<(Family, Vec<PrefixId>)> {
        let table = self.tables.last_mut()?;
        let family = table.family;
        let ids = table.clear_some(limit, attrs).unwrap_or_else(|| {
            self.tables.pop();
            Vec::new()
        });
        Some((family, ids))
    }

    /// Whether changes must be remembered for members that lag.
    pub fn lags(&self) -> bool {
        self.lags
    }

    /// Called when what was told of a route changes: lagging members keep it. `told` gives it as octets, for a member
    /// in step.
    pub fn remember(
        &mut self,
        table: usize,
        (id, path_id): RouteId,
        told: impl Fn(Slot) -> Option<SetId>,
        attrs: &mut AttrStore,
    ) {
        for member in &mut self.members {
            let Some(lag) = member.families.get_mut(table).and_then(|standing| standing.lag.as_mut()) else { continue };
            if lag.covers(id) {
                lag.missed
                    .entry((id, path_id))
                    .or_insert_with(|| told(member.slot).inspect(|set| attrs.retain(*set, 1)));
            }
        }
    }

    /// Routes that a member was told and that were not withdrawn, in one family.
    pub fn advertised(&self, slot: Slot, family: Family) -> u64 {
        let Some(table) = self.tables.iter().position(|table| table.family == family) else { return 0 };
        let Some(member) = self.members.iter().find(|member| member.slot == slot) else { return 0 };
        match member.families.get(table).and_then(|standing| standing.lag.as_ref()) {
            Some(lag) => lag.told,
            None => self.tables.get(table).map_or(0, |table| table.told_to(slot)),
        }
    }

    /// How often a route of the family was held back because no next hop or no message fits it.
    pub fn withheld(&self, family: Family) -> u64 {
        self.tables.iter().filter(|table| table.family == family).map(|table| table.withheld).sum()
    }

    /// What a member was last told about `id`, by our path identifiers.
    pub fn told(&self, slot: Slot, table: usize, id: PrefixId) -> Vec<(PathId, Told)> {
        let member = self.members.iter().find(|member| member.slot == slot);
        let standing = member.and_then(|member| member.families.get(table));
        let (Some(standing), Some(of)) = (standing, self.tables.get(table)) else { return Vec::new() };
        let lag = standing.lag.as_ref();
        let mut path_ids = if lag.is_none_or(|lag| lag.covers(id)) { of.path_ids(id) } else { Vec::new() };
        if let Some(lag) = lag {
            path_ids.extend(lag.missed.range((id, 0)..=(id, PathId::MAX)).map(|((_, path_id), _)| *path_id));
            path_ids.sort_unstable();
            path_ids.dedup();
        }
        let one = |path_id| match lag.and_then(|lag| lag.missed.get(&(id, path_id))) {
            Some(missed) => missed.map(Told::Octets),
            None => of.row_for(slot, (id, path_id)).map(Told::Row),
        };
        path_ids.into_iter().filter_map(|path_id| Some((path_id, one(path_id)?))).collect()
    }

    /// Whether the group's books name `id`.
    pub fn holds(&self, table: usize, id: PrefixId) -> bool {
        let in_table = self.tables.get(table).is_some_and(|table| table.holds(id));
        let missed = |lag: &Lag| names(&lag.missed, id);
        in_table
            || self.lags
                && self
                    .members
                    .iter()
                    .any(|m| m.families.get(table).is_some_and(|s| s.lag.as_ref().is_some_and(missed)))
    }
}

/// Whether something missed is about `id`.
pub fn names(missed: &Missed, id: PrefixId) -> bool {
    missed.range((id, 0)..=(id, PathId::MAX)).next().is_some()
}

/// Path id on our side: 0, we send no more than one path per prefix.
pub const PATH_ID: PathId = 0;
