//! The books of one update group in one family: what was told, to how many, and what is to be looked at.

use crate::{
    rib::{AdjRibOut, AttrStore, PrefixId, Sent},
    types::Family,
};

use super::super::sessions::Slot;

/// What a group was told in one family.
#[derive(Debug)]
pub struct GroupTable {
    /// Which family.
    pub family: Family,
    /// What was last told, and what is dirty.
    pub out: AdjRibOut,
    /// Rows per source slot.
    by_source: Vec<u64>,
    /// A walk over the Loc-RIB (the first one, or after a change of the key) goes on at this id; `None`: done.
    pub fill: Option<u32>,
    /// How often a route was held back because the members have no next hop or no message for it.
    pub withheld: u64,
    /// A member joined that End-of-RIB is due to once the first walk is done.
    pub end_of_rib_due: bool,
    /// Where clearing goes on, once the group has no members.
    clear: u32,
}

impl GroupTable {
    /// A table that was told nothing; `fill` as the field.
    pub fn new(family: Family, fill: Option<u32>) -> Self {
        Self { family, out: AdjRibOut::new(), by_source: Vec::new(), fill, withheld: 0, end_of_rib_due: true, clear: 0 }
    }

    /// A second table that was told the same.
    pub fn copy(&self, attrs: &mut AttrStore) -> Self {
        let mut rows = Vec::new();
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.out.scan(from, 1 << 16, &mut rows);
            rows.drain(..).for_each(|(_, sent)| attrs.retain(sent.set, 1));
        }
        Self { out: self.out.clone(), by_source: self.by_source.clone(), ..*self }
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

    /// Routes that a member in step has.
    pub fn told_to(&self, slot: Slot) -> u64 {
        self.out.len() - self.rows_of(slot)
    }

    /// What a member in step has of `id`.
    pub fn row_for(&self, slot: Slot, id: PrefixId) -> Option<Sent> {
        self.out.sent(id).filter(|sent| sent.source != slot)
    }

    /// Whether there is nothing to send to members in step.
    pub fn is_at_rest(&self) -> bool {
        self.fill.is_none() && self.out.dirty_len() == 0 && !self.end_of_rib_due
    }

    /// Whether all that was to be looked at was looked at.
    pub fn is_done(&self) -> bool {
        self.fill.is_none() && self.out.dirty_len() == 0
    }

    /// Whether nothing was ever told and the first walk has not begun: a newcomer is in step at once.
    pub fn is_untouched(&self) -> bool {
        self.fill == Some(0) && self.out.is_empty()
    }

    /// Everything is to be compared with what was told, under other rules than it was told under.
    pub fn review(&mut self) {
        self.out.turn_era();
        self.fill = Some(0);
    }

    /// Clears about `limit` rows and gives their references back; the ids whose books were touched. None: it is empty.
    pub fn clear_some(&mut self, limit: usize, attrs: &mut AttrStore) -> Option<Vec<PrefixId>> {
        let mut ids = Vec::new();
        self.out.take_dirty(limit, &mut ids);
        if !ids.is_empty() {
            return Some(ids);
        }
        let mut rows = Vec::new();
        let next = self.out.scan(self.clear, u32::try_from(limit).unwrap_or(u32::MAX), &mut rows);
        for (id, sent) in rows {
            self.set_sent(id, None);
            attrs.release(sent.set);
            ids.push(id);
        }
        self.clear = next.unwrap_or(u32::MAX);
        (next.is_some() || !ids.is_empty()).then_some(ids)
    }
}
