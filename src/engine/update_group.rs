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

use std::collections::BTreeMap;

use crate::{
    policy::{Library, PolicyChain},
    rib::{AdjRibOut, AttrStore, PrefixId, Sent, SetId, Source},
    types::{Family, PathId},
    wire::bgp::{MAX_EXTENDED_LEN, MAX_LEN},
};

use super::{
    NextHopRule,
    sessions::{Session, Slot},
    transform::ExportRules,
};

/// Everything that what is sent depends on. Equal keys, equal octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupKey {
    /// Families, in negotiated order.
    pub families: Vec<Family>,
    /// What is done to attributes.
    pub rules: ExportRules,
    /// Export policies.
    pub export: PolicyChain,
    /// AS numbers are sent in four octets.
    pub four_octet_as: bool,
    /// Longest message.
    pub max_len: usize,
}

impl GroupKey {
    /// The key of a session's group.
    pub fn of(session: &Session) -> Self {
        let negotiated = &session.negotiated;
        Self {
            families: negotiated.families.clone(),
            rules: ExportRules {
                kind: negotiated.kind,
                local_asn: negotiated.local_asn,
                local_address: negotiated.local.ip(),
                next_hop_self: session.settings.export_options.next_hop == NextHopRule::OwnAddress,
                extended_next_hop: negotiated.extended_next_hop.clone(),
            },
            export: PolicyChain::new(&Library::default(), &session.settings.export, negotiated.kind),
            four_octet_as: negotiated.four_octet_as,
            max_len: if negotiated.extended_message { MAX_EXTENDED_LEN } else { MAX_LEN },
        }
    }
}

/// What a lagging member was told about a prefix, before the group's table moved on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// The set; one reference is owned.
    pub set: SetId,
    /// Where it came from, since the octets sent depend on it.
    pub source: Source,
}

/// How far behind its group a member is, in one family.
#[derive(Debug, Default)]
pub struct Lag {
    /// Ids from here on were never told; `None`: the whole table was walked.
    pub next: Option<u32>,
    /// Prefixes whose row changed since the member was told, with what it was told (`None`: nothing).
    pub missed: BTreeMap<PrefixId, Option<Told>>,
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

/// What a group was told in one family.
#[derive(Debug)]
pub struct GroupTable {
    /// Which family.
    pub family: Family,
    /// What was last told, and what is dirty.
    pub out: AdjRibOut,
    /// Rows per source slot.
    by_source: Vec<u64>,
    /// The first walk over the Loc-RIB goes on at this id; `None`: done.
    pub fill: Option<u32>,
    /// How often a route was held back because the members have no next hop or no message for it.
    pub withheld: u64,
    /// A member joined that End-of-RIB is due to once the first walk is done.
    pub end_of_rib_due: bool,
    /// Where clearing goes on, once the group has no members.
    clear: u32,
}

impl GroupTable {
    fn new(family: Family, fill: Option<u32>) -> Self {
        Self { family, out: AdjRibOut::new(), by_source: Vec::new(), fill, withheld: 0, end_of_rib_due: true, clear: 0 }
    }

    /// Notes what is told now; returns what was told before, whose reference is the caller's.
    pub fn set_sent(&mut self, id: PrefixId, sent: Option<Sent>) -> Option<Sent> {
        let before = self.out.set_sent(id, sent);
        if let Some(before) = before {
            *self.rows_of_mut(before.source) -= 1;
        }
        if let Some(sent) = sent {
            *self.rows_of_mut(sent.source) += 1;
        }
        before
    }

    /// Rows whose route came from `slot`.
    pub fn rows_of(&self, slot: Slot) -> u64 {
        self.by_source.get(usize::from(slot)).copied().unwrap_or(0)
    }

    fn rows_of_mut(&mut self, slot: Slot) -> &mut u64 {
        let at = usize::from(slot);
        if at >= self.by_source.len() {
            self.by_source.resize(at + 1, 0);
        }
        &mut self.by_source[at]
    }

    /// Whether there is nothing to send to members in step.
    pub fn is_at_rest(&self) -> bool {
        self.fill.is_none() && self.out.dirty_len() == 0 && !self.end_of_rib_due
    }

    /// Whether nothing was ever told and the first walk has not begun: a newcomer is in step at once.
    fn is_untouched(&self) -> bool {
        self.fill == Some(0) && self.out.is_empty()
    }
}

/// Neighbours that are sent the same.
#[derive(Debug)]
pub struct Group {
    /// What they have in common.
    pub key: GroupKey,
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
        let silent = key.export.rejects_everything();
        let tables = key.families.iter().map(|family| GroupTable::new(*family, (!silent).then_some(0))).collect();
        Self { key, tables, members: Vec::new(), silent, lags: false, warned_next_hop: false, warned_length: false }
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

    /// Takes the members that `slow` names (by slot, and whether they lag in some family already) out of step: from
    /// now on what they miss is kept for them.
    pub fn leave_behind(&mut self, slow: impl Fn(Slot, bool) -> bool) {
        for member in self.members.iter_mut() {
            if !slow(member.slot, !member.in_step()) {
                continue;
            }
            self.lags = true;
            for (standing, table) in member.families.iter_mut().zip(&self.tables) {
                let told = table.out.len() - table.rows_of(member.slot);
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
        let mut ids = Vec::new();
        table.out.take_dirty(limit, &mut ids);
        if ids.is_empty() {
            let mut rows = Vec::new();
            let count = u32::try_from(limit).unwrap_or(u32::MAX);
            let next = table.out.scan(table.clear, count, &mut rows);
            for (id, sent) in rows {
                table.set_sent(id, None);
                attrs.release(sent.set);
                ids.push(id);
            }
            match next {
                Some(next) => table.clear = next,
                None => {
                    self.tables.pop();
                }
            }
        }
        Some((family, ids))
    }

    /// Called when the row of `id` changes from `old`: lagging members keep what they were told.
    pub fn remember(&mut self, table: usize, id: PrefixId, old: Option<(Sent, Source)>, attrs: &mut AttrStore) {
        if !self.lags {
            return;
        }
        for member in &mut self.members {
            let Some(lag) = member.families.get_mut(table).and_then(|standing| standing.lag.as_mut()) else { continue };
            if !lag.covers(id) {
                continue;
            }
            lag.missed.entry(id).or_insert_with(|| {
                let (sent, source) = old.filter(|(sent, _)| sent.source != member.slot)?;
                attrs.retain(sent.set, 1);
                Some(Told { set: sent.set, source })
            });
        }
    }

    /// Routes that a member was told and that were not withdrawn, in one family.
    pub fn advertised(&self, slot: Slot, family: Family) -> u64 {
        let Some(table) = self.tables.iter().position(|table| table.family == family) else { return 0 };
        let Some(member) = self.members.iter().find(|member| member.slot == slot) else { return 0 };
        match member.families.get(table).and_then(|standing| standing.lag.as_ref()) {
            Some(lag) => lag.told,
            None => self.tables.get(table).map_or(0, |table| table.out.len() - table.rows_of(slot)),
        }
    }

    /// How often a route of the family was held back because no next hop or no message fits it.
    pub fn withheld(&self, family: Family) -> u64 {
        self.tables.iter().filter(|table| table.family == family).map(|table| table.withheld).sum()
    }

    /// What a member was last told about `id`: the set, where it came from, and the source's slot where it is known.
    pub fn told(&self, slot: Slot, table: usize, id: PrefixId, source: impl Fn(Slot) -> Source) -> Option<Told> {
        let member = self.members.iter().find(|member| member.slot == slot)?;
        let lag = member.families.get(table)?.lag.as_ref();
        if let Some(missed) = lag.and_then(|lag| lag.missed.get(&id)) {
            return *missed;
        }
        if lag.is_some_and(|lag| !lag.covers(id)) {
            return None;
        }
        let sent = self.tables.get(table)?.out.sent(id).filter(|sent| sent.source != slot)?;
        Some(Told { set: sent.set, source: source(sent.source) })
    }

    /// Whether the group's books name `id`.
    pub fn holds(&self, table: usize, id: PrefixId) -> bool {
        let in_table = self.tables.get(table).is_some_and(|table| table.out.holds(id));
        let missed = |lag: &Lag| lag.missed.contains_key(&id);
        in_table
            || self.lags
                && self
                    .members
                    .iter()
                    .any(|m| m.families.get(table).is_some_and(|s| s.lag.as_ref().is_some_and(missed)))
    }
}

/// Path id on our side: 0, we send no more than one path per prefix.
pub const PATH_ID: PathId = 0;
