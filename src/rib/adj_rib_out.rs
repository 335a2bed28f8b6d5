//! Adj-RIB-Out of one update group and family (RFC 4271 §3.2): what its neighbours were last told about each prefix,
//! and which prefixes changed since.
//!
//! A change marks the prefix dirty; whoever exports takes dirty prefixes when a neighbour's queue has room and notes
//! what was sent. Marks fold: a prefix that changes ten times while a neighbour is slow is sent once. What was told is
//! known exactly, so a withdrawal goes to those who have the route and to nobody else.

use std::collections::VecDeque;

use crate::rib::{attrs::SetId, index::PrefixId, paged_array::PagedArray, paths::SessionSlot};

/// What a group was told about a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The attribute set; the Adj-RIB-Out owns one reference to it.
    pub set: SetId,
    /// The session whose path it was.
    pub source: SessionSlot,
    /// The path was long-lived stale, which is told with it (RFC 9494 §4.2).
    pub llgr_stale: bool,
    /// What validation said of it, as the two codes of `PathFlags::validity` (the second one times four); zero where
    /// export policy does not ask.
    pub validity: u8,
}

/// 8 octets per prefix.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Row {
    set: SetId,
    source: SessionSlot,
    marks: u8,
}

const SENT: u8 = 1;
const DIRTY: u8 = 1 << 1;
const ERA: u8 = 1 << 2;
const LLGR_STALE: u8 = 1 << 3;
/// Four bits from here on.
const VALIDITY_AT: u32 = 4;

impl Row {
    fn sent(self) -> Option<Sent> {
        let llgr_stale = self.marks & LLGR_STALE != 0;
        let validity = self.marks >> VALIDITY_AT;
        (self.marks & SENT != 0).then_some(Sent { set: self.set, source: self.source, llgr_stale, validity })
    }
}

/// Last-sent state of one update group in one family.
///
/// Rows carry the era in which they were written. When what is done to routes changes, a new era begins
/// ([`turn_era`](Self::turn_era)), and a row of the past still says what was told then, until it is written again.
#[derive(Clone, Debug, Default)]
pub struct AdjRibOut {
    rows: PagedArray<Row>,
    dirty: VecDeque<PrefixId>,
    sent: u64,
    era: bool,
}

impl AdjRibOut {
    /// An empty one: nothing sent, nothing dirty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `id` may differ from what was sent. Marking twice is marking once.
    #[inline]
    pub fn mark_dirty(&mut self, id: PrefixId) {
        let row = self.rows.get(id.0);
        if row.marks & DIRTY == 0 {
            self.rows.set(id.0, Row { marks: row.marks | DIRTY, ..row });
            self.dirty.push_back(id);
        }
    }

    /// Moves up to `limit` dirty ids to `ids`, oldest mark first. They are clean now: whoever takes them sends them.
    pub fn take_dirty(&mut self, limit: usize, ids: &mut Vec<PrefixId>) {
        for _ in 0..limit {
            let Some(id) = self.dirty.pop_front() else { break };
            let row = self.rows.get(id.0);
            self.rows.set(id.0, Row { marks: row.marks & !DIRTY, ..row });
            ids.push(id);
        }
        if self.dirty.is_empty() && self.dirty.capacity() > 4096 {
            self.dirty = VecDeque::new();
        }
    }

    /// How many ids are dirty.
    pub fn dirty_len(&self) -> usize {
        self.dirty.len()
    }

    /// What the group was last told about `id`.
    #[inline]
    pub fn sent(&self, id: PrefixId) -> Option<Sent> {
        self.rows.get(id.0).sent()
    }

    /// Notes what the group is told now (`None`: withdrawn) and returns what it was told before. The reference to the
    /// new set comes from the caller, that of the old one is the caller's now.
    pub fn set_sent(&mut self, id: PrefixId, sent: Option<Sent>) -> Option<Sent> {
        let row = self.rows.get(id.0);
        let before = row.sent();
        let dirty = row.marks & DIRTY;
        let now = match sent {
            Some(Sent { set, source, llgr_stale, validity }) => {
                let llgr_stale = if llgr_stale { LLGR_STALE } else { 0 };
                Row { set, source, marks: dirty | SENT | self.era_mark() | llgr_stale | validity << VALIDITY_AT }
            }
            None => Row { marks: dirty, ..Row::default() },
        };
        self.rows.set(id.0, now);
        self.sent += u64::from(sent.is_some());
        self.sent -= u64::from(before.is_some());
        before
    }

    /// Begins a new era. Every row must be of the current one: two eras cannot be told apart from three.
    pub fn turn_era(&mut self) {
        self.era = !self.era;
    }

    /// Whether `id` was last told in the era before this one.
    #[inline]
    pub fn is_past(&self, id: PrefixId) -> bool {
        let marks = self.rows.get(id.0).marks;
        marks & SENT != 0 && marks & ERA != self.era_mark()
    }

    fn era_mark(&self) -> u8 {
        if self.era { ERA } else { 0 }
    }

    /// Whether the group has something to do with `id`: told about it, or about to look at it. While any group
    /// holds an id, its table must not free it.
    pub fn holds(&self, id: PrefixId) -> bool {
        self.rows.get(id.0).marks != 0
    }

    /// Number of routes sent and not withdrawn.
    pub fn len(&self) -> u64 {
        self.sent
    }

    /// Whether nothing is sent.
    pub fn is_empty(&self) -> bool {
        self.sent == 0
    }

    /// All that was sent among the `n` ids from `from` on, in memory order, and where to go on; `None` at the end.
    pub fn scan(&self, from: u32, n: u32, found: &mut Vec<(PrefixId, Sent)>) -> Option<u32> {
        let next = from.saturating_add(n);
        let ids = (from..next.min(self.rows.end())).map(PrefixId);
        found.extend(ids.filter_map(|id| Some((id, self.sent(id)?))));
        (next < self.rows.end()).then_some(next)
    }

    /// Octets allocated.
    pub fn allocated_octets(&self) -> usize {
        self.rows.octets() + self.dirty.capacity() * size_of::<PrefixId>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        MarkDirty(u32),
        TakeDirty(usize),
        SetSent(u32, Option<u16>),
    }

    fn op() -> impl Strategy<Value = Op> {
        let id = (0u32..12).prop_map(|id| id * 100);
        prop_oneof![
            3 => id.clone().prop_map(Op::MarkDirty),
            1 => (0usize..6).prop_map(Op::TakeDirty),
            3 => (id, prop::option::of(0u16..4)).prop_map(|(id, source)| Op::SetSent(id, source)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn agrees_with_a_map_of_what_was_sent_and_a_list_of_what_is_dirty(ops in prop::collection::vec(op(), 1..300)) {
            let mut out = AdjRibOut::new();
            let (mut sent, mut dirty) = (BTreeMap::new(), Vec::new());
            for op in ops {
                match op {
                    Op::MarkDirty(id) => {
                        out.mark_dirty(PrefixId(id));
                        if !dirty.contains(&PrefixId(id)) {
                            dirty.push(PrefixId(id));
                        }
                    }
                    Op::TakeDirty(limit) => {
                        let mut taken = Vec::new();
                        out.take_dirty(limit, &mut taken);
                        prop_assert_eq!(taken, dirty.drain(..limit.min(dirty.len())).collect::<Vec<_>>());
                    }
                    Op::SetSent(id, source) => {
                        let now = source.map(|source| Sent { set: SetId::default(), source, llgr_stale: source == 3, validity: source as u8 * 5 });
                        let before = out.set_sent(PrefixId(id), now);
                        prop_assert_eq!(before, sent.remove(&PrefixId(id)));
                        if let Some(now) = now {
                            sent.insert(PrefixId(id), now);
                        }
                    }
                }
                prop_assert_eq!((out.dirty_len(), out.len()), (dirty.len(), sent.len() as u64));
                let held: BTreeSet<_> = dirty.iter().chain(sent.keys()).copied().collect();
                for id in (0..1300).step_by(50).map(PrefixId) {
                    prop_assert_eq!(out.sent(id), sent.get(&id).copied());
                    prop_assert_eq!(out.holds(id), held.contains(&id));
                }
                let (mut scanned, mut from) = (Vec::new(), Some(0));
                while let Some(at) = from {
                    from = out.scan(at, 64, &mut scanned);
                }
                prop_assert_eq!(scanned, sent.clone().into_iter().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_row_is_of_the_past_until_it_is_written_again() {
        let mut out = AdjRibOut::new();
        let (id, sent) = (PrefixId(3), Sent { set: SetId::default(), source: 1, llgr_stale: true, validity: 9 });
        for _ in 0..3 {
            out.set_sent(id, Some(sent));
            assert!(!out.is_past(id));
            out.turn_era();
            out.mark_dirty(id);
            assert!(out.is_past(id) && !out.is_past(PrefixId(4)), "a mark is no telling, and nothing has no past");
            assert_eq!(out.sent(id), Some(sent));
        }
        out.set_sent(id, None);
        assert!(!out.is_past(id));
    }

    #[test]
    fn eight_octets_per_route_and_nothing_once_all_is_withdrawn() {
        let mut out = AdjRibOut::new();
        let mut ids = Vec::new();
        (0..100_000).for_each(|id| out.mark_dirty(PrefixId(id)));
        out.take_dirty(usize::MAX, &mut ids);
        for &id in &ids {
            out.set_sent(id, Some(Sent { set: SetId::default(), source: 0, llgr_stale: false, validity: 0 }));
        }
        assert!(out.allocated_octets() < 100_000 * 9, "{}", out.allocated_octets());
        for &id in &ids {
            out.set_sent(id, None);
        }
        assert!(out.allocated_octets() < 16_000, "{}", out.allocated_octets());
        assert!(out.is_empty() && !out.holds(PrefixId(7)));
    }
}
