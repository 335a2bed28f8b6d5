//! The books of one update group in one family: what was told, to how many, and what is to be looked at.
//!
//! There are two kinds of books. Most groups are told one path per prefix: a row of `AdjRibOut`, which everybody has but
//! the session that the path came from. That session may have been told another one instead, and so may others whose own
//! path counts for everybody but them (`alone`, for clients of a route server). With ADD-PATH there are several rows per
//! prefix (`AdjRibOutMany`), each for everybody but its source, unless something else is said of it (`heard`, for clients
//! of a route server); `out` then holds the dirty marks only.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    rib::{AdjRibOut, AdjRibOutMany, AttrStore, PrefixId, Sent, SentPath},
    types::{Family, PathId, Timestamp},
};

use super::{super::sessions::Slot, Hearing, PATH_ID, RouteId, hears};

/// Rows that have to do with one session.
#[derive(Clone, Copy, Default, Debug)]
struct Rows {
    /// Those for everybody but it: its path is what they tell, or it is one of few that do not hear them.
    left_out: u64,
    /// Those for it alone: instead of one that it is left out of, or beside the others.
    alone: u64,
    /// All that name it as a source.
    source: u64,
}

/// What a group was told in one family.
#[derive(Debug)]
pub struct GroupTable {
    /// Which family.
    pub family: Family,
    /// What was last told, and what is dirty.
    pub out: AdjRibOut,
    /// What single members were told instead of the row; only where there is a row.
    alone: BTreeMap<(PrefixId, Slot), Sent>,
    /// What was last told where several paths per prefix are sent.
    many: Option<AdjRibOutMany>,
    /// Who hears rows of `many`, where that is not everybody but their source.
    heard: BTreeMap<RouteId, Hearing>,
    /// How many of those are for some members alone.
    for_some: u64,
    /// Whether changes of paths that are not best concern this table.
    pub looks_at_all_paths: bool,
    by_slot: Vec<Rows>,
    /// A walk over the Loc-RIB (the first one, or after a change of the key) goes on at this id; `None`: done.
    pub fill: Option<u32>,
    /// Nothing is announced before this time but what is left of a round; withdrawals are.
    pub not_before: Timestamp,
    /// How many of the dirty prefixes, oldest mark first, may be announced nevertheless.
    round: usize,
    /// Prefixes that are to be looked at again then. Their ids must stay what they are until then.
    held: BTreeSet<PrefixId>,
    /// How often a route was held back because the members have no next hop or no message for it.
    pub withheld: u64,
    /// A member joined that End-of-RIB is due to once the first walk is done.
    pub end_of_rib_due: bool,
    /// Where clearing goes on, once the group has no members.
    clear: u32,
}

impl GroupTable {
    /// A table that was told nothing; `fill` as the field, `add_path` whether several paths per prefix are sent.
    pub fn new(family: Family, fill: Option<u32>, add_path: bool) -> Self {
        Self {
            family,
            out: AdjRibOut::new(),
            alone: BTreeMap::new(),
            many: add_path.then(AdjRibOutMany::default),
            heard: BTreeMap::new(),
            for_some: 0,
            looks_at_all_paths: false,
            by_slot: Vec::new(),
            fill,
            not_before: Timestamp::default(),
            round: 0,
            held: BTreeSet::new(),
            withheld: 0,
            end_of_rib_due: true,
            clear: 0,
        }
    }

    /// A second table that was told the same.
    pub fn copy(&self, attrs: &mut AttrStore) -> Self {
        let mut rows = Vec::new();
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.out.scan(from, 1 << 16, &mut rows);
            rows.drain(..).for_each(|(_, sent)| attrs.retain(sent.set, 1));
        }
        self.alone.values().for_each(|sent| attrs.retain(sent.set, 1));
        if let Some(many) = &self.many {
            let mut rows = Vec::new();
            many.scan(0, u32::MAX, &mut rows);
            rows.into_iter().for_each(|(_, _, row)| attrs.retain(row.sent.set, 1));
        }
        Self {
            out: self.out.clone(),
            alone: self.alone.clone(),
            many: self.many.clone(),
            heard: self.heard.clone(),
            by_slot: self.by_slot.clone(),
            held: self.held.clone(),
            ..*self
        }
    }

    /// Whether several paths per prefix are sent.
    pub fn sends_many(&self) -> bool {
        self.many.is_some()
    }

    /// The books of several paths per prefix.
    pub fn many(&self) -> Option<&AdjRibOutMany> {
        self.many.as_ref()
    }

    /// Notes what is told now; returns what was told before, whose reference is the caller's.
    pub fn set_sent(&mut self, id: PrefixId, sent: Option<Sent>) -> Option<Sent> {
        let before = self.out.set_sent(id, sent);
        if let Some(before) = before {
            self.uncount(before.source);
        }
        if let Some(sent) = sent {
            self.count(sent.source);
        }
        before
    }

    /// What single members were told of `id` instead of the row, by member.
    pub fn alone(&self, id: PrefixId) -> Vec<(Slot, Sent)> {
        if self.alone.is_empty() {
            return Vec::new();
        }
        self.alone.range((id, 0)..=(id, Slot::MAX)).map(|((_, to), sent)| (*to, *sent)).collect()
    }

    /// Notes what single members are told now instead of the row; as `set_sent`. The sources are those of the row that
    /// was told before and of the one that is told now.
    pub fn set_alone(
        &mut self,
        id: PrefixId,
        (before, now): (Option<Slot>, Option<Slot>),
        rows: &[(Slot, Sent)],
    ) -> Vec<(Slot, Sent)> {
        let old = self.alone(id);
        for (to, sent) in &old {
            self.alone.remove(&(id, *to));
            self.rows_mut(*to).alone -= u64::from(before == Some(*to));
            self.rows_mut(sent.source).source -= 1;
        }
        for (to, sent) in rows {
            self.alone.insert((id, *to), *sent);
            self.rows_mut(*to).alone += u64::from(now == Some(*to));
            self.rows_mut(sent.source).source += 1;
        }
        old
    }

    /// Notes what is told now under one identifier, and who hears it; as `set_sent`.
    pub fn set_path(&mut self, (id, path_id): RouteId, row: Option<(SentPath, Option<Hearing>)>) -> Option<SentPath> {
        let before = self.many.as_mut()?.set_sent(id, path_id, row.as_ref().map(|(row, _)| *row));
        let hearing = if self.heard.is_empty() { None } else { self.heard.remove(&(id, path_id)) };
        if let Some(before) = before {
            self.count_path(before.sent.source, hearing.as_ref(), -1);
        }
        if let Some((row, hearing)) = row {
            self.count_path(row.sent.source, hearing.as_ref(), 1);
            self.heard.extend(hearing.map(|hearing| ((id, path_id), hearing)));
        }
        before
    }

    /// Counts one of several rows of a prefix (`one` is 1), or takes it back (-1).
    fn count_path(&mut self, source: Slot, hearing: Option<&Hearing>, one: i64) {
        let add = |count: &mut u64| *count = count.wrapping_add_signed(one); // what is taken back was added before
        add(&mut self.rows_mut(source).source);
        match hearing {
            Some(Hearing::Only(those)) => {
                add(&mut self.for_some);
                those.iter().for_each(|slot| add(&mut self.rows_mut(*slot).alone));
            }
            Some(Hearing::Without(those)) => {
                those.iter().chain([&source]).for_each(|slot| add(&mut self.rows_mut(*slot).left_out));
            }
            None => add(&mut self.rows_mut(source).left_out),
        }
    }

    /// What is said of a row beside that its source does not hear it.
    pub fn hearing(&self, route: RouteId) -> Option<&Hearing> {
        if self.heard.is_empty() { None } else { self.heard.get(&route) }
    }

    fn count(&mut self, source: Slot) {
        let rows = self.rows_mut(source);
        rows.left_out += 1;
        rows.source += 1;
    }

    fn uncount(&mut self, source: Slot) {
        let rows = self.rows_mut(source);
        rows.left_out -= 1;
        rows.source -= 1;
    }

    /// Rows whose route came from `slot`.
    pub fn rows_of(&self, slot: Slot) -> u64 {
        self.by_slot.get(usize::from(slot)).map_or(0, |rows| rows.source)
    }

    fn rows_mut(&mut self, slot: Slot) -> &mut Rows {
        let at = usize::from(slot);
        if at >= self.by_slot.len() {
            self.by_slot.resize(at + 1, Rows::default());
        }
        &mut self.by_slot[at]
    }

    /// Routes that a member in step has.
    pub fn told_to(&self, slot: Slot) -> u64 {
        let all = self.many.as_ref().map_or(self.out.len(), AdjRibOutMany::len);
        let rows = self.by_slot.get(usize::from(slot)).copied().unwrap_or_default();
        all - self.for_some - rows.left_out + rows.alone
    }

    /// What a member in step has of a route.
    pub fn row_for(&self, slot: Slot, (id, path_id): RouteId) -> Option<SentPath> {
        if let Some(many) = &self.many {
            let hearing = self.hearing((id, path_id));
            return many.sent(id, path_id).filter(|row| hears(slot, row.sent.source, hearing));
        }
        let row = self.out.sent(id)?;
        let alone = if self.alone.is_empty() { None } else { self.alone.get(&(id, slot)).copied() };
        let sent = alone.or(Some(row).filter(|row| row.source != slot));
        sent.map(|sent| SentPath { sent, received: 0 })
    }

    /// What a member in step has of all ids from `from` on, `n` of them, and where to go on; `None` at the end.
    pub fn rows_for(&self, slot: Slot, from: u32, n: u32, found: &mut Vec<(RouteId, SentPath)>) -> Option<u32> {
        if let Some(many) = &self.many {
            let mut rows = Vec::new();
            let next = many.scan(from, n, &mut rows);
            let all = rows.into_iter().map(|(id, path_id, row)| ((id, path_id), row));
            found.extend(all.filter(|(route, row)| hears(slot, row.sent.source, self.hearing(*route))));
            return next;
        }
        let mut rows = Vec::new();
        let next = self.out.scan(from, n, &mut rows);
        let ids = rows.into_iter().map(|(id, _)| (id, PATH_ID));
        found.extend(ids.filter_map(|route| Some((route, self.row_for(slot, route)?))));
        next
    }

    /// The routes told of `id`, by our path identifiers.
    pub fn path_ids(&self, id: PrefixId) -> Vec<PathId> {
        match &self.many {
            Some(many) => many.of(id).map(|(path_id, _)| path_id).collect(),
            None => vec![PATH_ID],
        }
    }

    /// Whether a route was last told under the key before this one.
    pub fn is_past(&self, (id, path_id): RouteId) -> bool {
        match &self.many {
            Some(many) => many.is_past(id, path_id),
            None => self.out.is_past(id),
        }
    }

    /// Whether there is anything about `id`: told, or about to be looked at.
    pub fn holds(&self, id: PrefixId) -> bool {
        self.out.holds(id) || self.held.contains(&id) || self.many.as_ref().is_some_and(|many| many.holds(id))
    }

    fn is_empty(&self) -> bool {
        self.out.is_empty() && self.many.as_ref().is_none_or(AdjRibOutMany::is_empty)
    }

    /// Whether there is nothing to send to members in step.
    pub fn is_at_rest(&self) -> bool {
        self.is_done() && !self.end_of_rib_due
    }

    /// Whether all that was to be looked at was looked at.
    pub fn is_done(&self) -> bool {
        self.fill.is_none() && self.out.dirty_len() == 0 && self.held.is_empty()
    }

    /// Whether announcements wait.
    fn waits(&self, now: Timestamp) -> bool {
        now < self.not_before
    }

    /// How many of the next `limit` dirty prefixes may be announced (RFC 4271 §9.2.1.1): all that are dirty when an
    /// interval is over are one round, over as many pages as it takes.
    pub fn take_round(&mut self, now: Timestamp, limit: usize) -> usize {
        if self.round == 0 && !self.waits(now) {
            self.round = self.out.dirty_len();
        }
        let taken = limit.min(self.out.dirty_len());
        let free = self.round.min(taken);
        self.round -= free;
        free
    }

    /// Keeps a prefix until announcements may go.
    pub fn hold(&mut self, id: PrefixId) {
        self.held.insert(id);
    }

    /// Until when something is held back.
    pub fn held_until(&self) -> Option<Timestamp> {
        (!self.held.is_empty()).then_some(self.not_before)
    }

    /// Marks what was held back as dirty once announcements may go.
    pub fn release_held(&mut self, now: Timestamp) {
        if !self.waits(now) {
            self.look_at_held();
        }
    }

    fn look_at_held(&mut self) {
        std::mem::take(&mut self.held).into_iter().for_each(|id| self.out.mark_dirty(id));
    }

    /// Whether nothing was ever told and the first walk has not begun: a newcomer is in step at once.
    pub fn is_untouched(&self) -> bool {
        self.fill == Some(0) && self.is_empty()
    }

    /// Everything is to be compared with what was told, under other rules than it was told under.
    pub fn review(&mut self) {
        self.out.turn_era();
        if let Some(many) = &mut self.many {
            many.turn_era();
        }
        self.fill = Some(0);
    }

    /// Clears about `limit` rows and gives their references back; the ids whose books were touched. `None`: it is empty.
    pub fn clear_some(&mut self, limit: usize, attrs: &mut AttrStore) -> Option<Vec<PrefixId>> {
        let mut ids = Vec::new();
        self.look_at_held();
        self.out.take_dirty(limit, &mut ids);
        if !ids.is_empty() {
            return Some(ids);
        }
        let count = u32::try_from(limit).unwrap_or(u32::MAX);
        let next = if self.many.is_some() {
            let mut rows = Vec::new();
            let next = self.many.as_ref().and_then(|many| many.scan(self.clear, count, &mut rows));
            for (id, path_id, row) in rows {
                self.set_path((id, path_id), None);
                attrs.release(row.sent.set);
                ids.push(id);
            }
            next
        } else {
            let mut rows = Vec::new();
            let next = self.out.scan(self.clear, count, &mut rows);
            for (id, sent) in rows {
                let alone = self.set_alone(id, (Some(sent.source), None), &[]);
                alone.into_iter().for_each(|(_, sent)| attrs.release(sent.set));
                self.set_sent(id, None);
                attrs.release(sent.set);
                ids.push(id);
            }
            next
        };
        ids.dedup(); // in order, and each once: an id is freed once
        self.clear = next.unwrap_or(u32::MAX);
        (next.is_some() || !ids.is_empty()).then_some(ids)
    }
}
