//! A node of the tree of prefixes: keys in order, found by a few wide comparisons. Where nodes hang is the tree's business.

use std::hint::black_box;

use super::{Key, NO_NODE};
use crate::rib::address::Address;

/// Keys in a node: four cache lines of IPv4 addresses.
pub(super) const NODE_KEYS: usize = 64;
/// Addresses that a search compares at once: one cache line for IPv4.
const RUN: usize = 16;

/// A leaf (entries are keys and their values) or an inner node (entries are a child and a key that nothing under the
/// child is below; down the left edge of the tree that is the smallest key of all).
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<A> {
    /// Ascending; behind `count` the largest address, so that a search needs no bound.
    pub(super) addrs: [A; NODE_KEYS],
    pub(super) lens: [u8; NODE_KEYS],
    pub(super) values: [u32; NODE_KEYS],
    pub(super) count: u16,
    /// Leaves only: neighbours in key order. An inner node has none.
    pub(super) prev: u32,
    pub(super) next: u32,
}

impl<A: Address> Default for Node<A> {
    fn default() -> Self {
        Self {
            addrs: [A::MAX; NODE_KEYS],
            lens: [0; NODE_KEYS],
            values: [0; NODE_KEYS],
            count: 0,
            prev: NO_NODE,
            next: NO_NODE,
        }
    }
}

impl<A: Address> Node<A> {
    pub(super) fn len(&self) -> usize {
        self.count.into()
    }

    pub(super) fn key(&self, at: usize) -> Key<A> {
        (self.addrs[at], self.lens[at])
    }

    pub(super) fn entry(&self, at: usize) -> (Key<A>, u32) {
        (self.key(at), self.values[at])
    }

    /// How many addresses are below `addr`.
    ///
    /// Looks at the last of each run first, so that the cache lines of all runs are asked for at the same time; counting
    /// in the run found needs no branch, and the compiler turns it into a few wide comparisons.
    #[inline]
    pub(super) fn addrs_below(&self, addr: A) -> usize {
        let (runs, _) = self.addrs.as_chunks::<RUN>();
        let runs_below: usize = runs.iter().map(|run| usize::from(run[RUN - 1] < addr)).sum();
        let in_run = |run: &[A; RUN]| run.iter().map(|&other| u32::from(other < addr)).sum::<u32>() as usize;
        runs_below * RUN + runs.get(runs_below).map_or(0, in_run)
    }

    /// Reads one octet of each cache line that a search looks at. The reads do not wait for each other, so later ones find it
    /// all in the cache.
    #[inline]
    pub(super) fn touch_keys(&self) {
        black_box((self.lens[0], self.count));
        for run in 0..NODE_KEYS / RUN {
            black_box(self.addrs[run * RUN]);
        }
    }

    /// The same of the values, which a removal moves.
    #[inline]
    pub(super) fn touch_values(&self) {
        for run in 0..NODE_KEYS / RUN {
            black_box(self.values[run * RUN]);
        }
    }

    /// How many keys are below `key`: where it stands, or would stand.
    #[inline]
    pub(super) fn position(&self, key: Key<A>) -> usize {
        let mut at = self.addrs_below(key.0);
        while at < self.len() && self.addrs[at] == key.0 && self.lens[at] < key.1 {
            at += 1;
        }
        at
    }

    pub(super) fn holds(&self, at: usize, key: Key<A>) -> bool {
        at < self.len() && self.key(at) == key
    }

    /// Inner nodes: which child leads to `key`: the last one whose key is not above.
    #[inline]
    pub(super) fn child(&self, key: Key<A>) -> usize {
        let mut behind = self.addrs_below(key.0);
        while behind < self.len() && self.addrs[behind] == key.0 && self.lens[behind] <= key.1 {
            behind += 1;
        }
        behind.saturating_sub(1)
    }

    pub(super) fn insert(&mut self, at: usize, key: Key<A>, value: u32) {
        let count = self.len();
        self.addrs.copy_within(at..count, at + 1);
        self.lens.copy_within(at..count, at + 1);
        self.values.copy_within(at..count, at + 1);
        (self.addrs[at], self.lens[at], self.values[at]) = (key.0, key.1, value);
        self.count += 1;
    }

    pub(super) fn remove(&mut self, at: usize) {
        let count = self.len();
        self.addrs.copy_within(at + 1..count, at);
        self.lens.copy_within(at + 1..count, at);
        self.values.copy_within(at + 1..count, at);
        self.truncate(count - 1);
    }

    pub(super) fn truncate(&mut self, count: usize) {
        self.addrs[count..].fill(A::MAX);
        self.count = count as u16;
    }

    /// Appends the entries of `other` from `from` on.
    pub(super) fn append(&mut self, other: &Self, from: usize) {
        let (at, more) = (self.len(), other.len() - from);
        self.addrs[at..at + more].copy_from_slice(&other.addrs[from..other.len()]);
        self.lens[at..at + more].copy_from_slice(&other.lens[from..other.len()]);
        self.values[at..at + more].copy_from_slice(&other.values[from..other.len()]);
        self.count += more as u16;
    }
}
