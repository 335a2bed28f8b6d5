//! Adj-RIB-Out where several paths of a prefix are sent (RFC 7911): what neighbours were last told under each path
//! identifier of ours. Beside `adj_rib_out`, which has one path per prefix, is smaller, and keeps the dirty marks of both.
//!
//! # Path identifiers
//! RFC 7911 §3: an identifier names a path of a prefix towards a neighbour, and what is announced under it again replaces
//! it. Here an identifier belongs to one path (its session and the identifier that it was received with) for as long as
//! that path is told; it is the lowest free one from 1 on, per prefix, so that identifiers stay small.

use std::collections::BTreeMap;

use crate::{
    rib::{Sent, index::PrefixId, paths::SessionSlot},
    types::PathId,
};

/// A path that was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentPath {
    /// As in a table with one path per prefix.
    pub sent: Sent,
    /// The identifier that the path was received with.
    pub received: PathId,
}

/// Last-sent state of one update group in one family with ADD-PATH. Eras are those of `AdjRibOut`.
#[derive(Clone, Debug, Default)]
pub struct AdjRibOutMany {
    rows: BTreeMap<(PrefixId, PathId), (SentPath, bool)>,
    era: bool,
}

impl AdjRibOutMany {
    /// What was told of `id`, by our identifier.
    pub fn of(&self, id: PrefixId) -> impl Iterator<Item = (PathId, SentPath)> {
        self.rows.range((id, 0)..=(id, PathId::MAX)).map(|((_, path_id), (row, _))| (*path_id, *row))
    }

    /// What was told under one identifier.
    pub fn sent(&self, id: PrefixId, path_id: PathId) -> Option<SentPath> {
        self.rows.get(&(id, path_id)).map(|(row, _)| *row)
    }

    /// Notes what is told now and returns what was told before; references as in `AdjRibOut::set_sent`.
    pub fn set_sent(&mut self, id: PrefixId, path_id: PathId, sent: Option<SentPath>) -> Option<SentPath> {
        let before = match sent {
            Some(row) => self.rows.insert((id, path_id), (row, self.era)),
            None => self.rows.remove(&(id, path_id)),
        };
        before.map(|(row, _)| row)
    }

    /// The identifier of a path: the one it is told under, else the lowest that nothing is told under, nor in `taken`.
    pub fn identifier(&self, id: PrefixId, source: SessionSlot, received: PathId, taken: &[PathId]) -> PathId {
        let own = self.of(id).find(|(_, row)| row.sent.source == source && row.received == received);
        if let Some((path_id, _)) = own {
            return path_id;
        }
        let mut free = 1;
        for (path_id, _) in self.of(id) {
            while taken.contains(&free) {
                free += 1;
            }
            if path_id > free {
                break;
            }
            free = free.max(path_id + 1); // in order, so nothing lower is told behind this one
        }
        while taken.contains(&free) {
            free += 1;
        }
        free
    }

    /// Begins a new era, see `AdjRibOut::turn_era`.
    pub fn turn_era(&mut self) {
        self.era = !self.era;
    }

    /// Whether a path was last told in the era before this one.
    pub fn is_past(&self, id: PrefixId, path_id: PathId) -> bool {
        self.rows.get(&(id, path_id)).is_some_and(|(_, era)| *era != self.era)
    }

    /// Whether anything is told of `id`.
    pub fn holds(&self, id: PrefixId) -> bool {
        self.of(id).next().is_some()
    }

    /// Number of paths told.
    pub fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    /// Whether nothing is told.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All that was told of the `n` ids from `from` on, and where to go on; `None` at the end.
    pub fn scan(&self, from: u32, n: u32, found: &mut Vec<(PrefixId, PathId, SentPath)>) -> Option<u32> {
        let next = from.saturating_add(n.max(1));
        let rows = self.rows.range((PrefixId(from), 0)..(PrefixId(next), 0));
        found.extend(rows.map(|((id, path_id), (row, _))| (*id, *path_id, *row)));
        self.rows.range((PrefixId(next), 0)..).next().map(|_| next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rib::attrs::SetId;

    fn row(source: SessionSlot, received: PathId) -> SentPath {
        SentPath { sent: Sent { set: SetId::default(), source, llgr_stale: false }, received }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Paths come and go; each keeps its identifier while it is told, and no two share one.
        #[test]
        fn identifiers_are_stable_and_nobodys_twice(ops in prop::collection::vec((0u16..3, 0u32..3, any::<bool>()), 1..80)) {
            let (id, mut out) = (PrefixId(7), AdjRibOutMany::default());
            let mut told: BTreeMap<(SessionSlot, PathId), PathId> = BTreeMap::new();
            for (source, received, announce) in ops {
                let path_id = out.identifier(id, source, received, &[]);
                match told.get(&(source, received)) {
                    Some(own) => prop_assert_eq!(path_id, *own),
                    None => {
                        prop_assert!(!told.values().any(|other| *other == path_id));
                        prop_assert!(path_id >= 1 && path_id as usize <= told.len() + 1, "small");
                    }
                }
                if announce {
                    out.set_sent(id, path_id, Some(row(source, received)));
                    told.insert((source, received), path_id);
                } else if told.remove(&(source, received)).is_some() {
                    prop_assert!(out.set_sent(id, path_id, None).is_some());
                }
                let listed: BTreeMap<_, _> = out.of(id).map(|(p, r)| ((r.sent.source, r.received), p)).collect();
                prop_assert_eq!(&listed, &told);
                prop_assert_eq!(out.holds(id), !told.is_empty());
            }
        }
    }

    #[test]
    fn identifiers_that_are_about_to_be_used_are_not_given_out() {
        let (id, mut out) = (PrefixId(7), AdjRibOutMany::default());
        out.set_sent(id, 2, Some(row(1, 0)));
        assert_eq!(out.identifier(id, 5, 0, &[]), 1);
        assert_eq!(out.identifier(id, 5, 0, &[1]), 3);
        assert_eq!(out.identifier(id, 5, 0, &[3, 1]), 4);
        assert_eq!(out.identifier(id, 1, 0, &[2]), 2, "its own");
    }

    #[test]
    fn a_scan_meets_every_path_once() {
        let mut out = AdjRibOutMany::default();
        for id in (0..40).map(|id| PrefixId(id * 3)) {
            out.set_sent(id, 1, Some(row(1, 0)));
            out.set_sent(id, 2, Some(row(2, 0)));
        }
        let (mut found, mut next) = (Vec::new(), Some(0));
        while let Some(from) = next {
            next = out.scan(from, 7, &mut found);
        }
        assert_eq!(found.len(), 80);
        assert!(found.is_sorted_by_key(|(id, path_id, _)| (*id, *path_id)));
    }
}
