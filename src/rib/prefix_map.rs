//! The ordered map from prefix to number, for prefixes of one address size: a B+tree in paged memory.
//!
//! Keys stand in order of address, then length, so a prefix stands right before everything inside it, and all that a
//! router asks (exact, longest match, covering, more specific, next page) is a search and a few steps.
//!
//! A node keeps its addresses, lengths and values in three arrays: a search reads the addresses, four cache lines for
//! IPv4, and little else. A million IPv4 prefixes are four levels, of which all but the leaves stay in the cache.
//! Nodes are slots of an arena, linked by number; leaves are chained both ways.

use std::ops::Bound;

use crate::rib::{address::Address, arena::SlotArena};

mod node;

use node::{NODE_KEYS, Node};

/// How many searches are worth doing at the same time: about as many cache misses as a core waits for at once.
pub(crate) const WARM: usize = 8;

/// A key: address (bits behind the length are zero) and length.
pub(crate) type Key<A> = (A, u8);

/// Least number of entries of a node, but for the root and a leaf that ascending keys have just begun.
const FEW: usize = NODE_KEYS / 4;
/// Nodes in a page of memory.
const PAGE_NODES: usize = 16;
/// End of the chain of leaves.
const NO_NODE: u32 = u32::MAX;
/// 2^32 values under nodes of at least 16 children are 8 levels.
const HEIGHT_MAX: usize = 8;

/// The way from the root to a leaf: node and entry taken, per level.
struct Way {
    steps: [(u32, u8); HEIGHT_MAX],
    levels: usize,
}

/// Ordered map from prefix to `u32`.
#[derive(Debug)]
pub(crate) struct PrefixMap<A: Address> {
    leaves: SlotArena<Node<A>>,
    /// Apart from the leaves, so that they lie close together: every search reads some.
    inner: SlotArena<Node<A>>,
    /// A leaf if `height` is 0, else an inner node.
    root: u32,
    /// Levels of inner nodes above the leaves.
    height: usize,
}

impl<A: Address> Default for PrefixMap<A> {
    fn default() -> Self {
        let mut leaves = SlotArena::of_values(PAGE_NODES);
        let root = leaves.alloc(1);
        *leaves.one_mut(root) = Node::default();
        Self { leaves, inner: SlotArena::of_values(PAGE_NODES), root, height: 0 }
    }
}

impl<A: Address> PrefixMap<A> {
    /// The value of `key`.
    pub(crate) fn get(&self, key: Key<A>) -> Option<u32> {
        let leaf = self.leaves.one(self.leaf(key));
        let at = leaf.position(key);
        leaf.holds(at, key).then(|| leaf.values[at])
    }

    /// The values of several keys, up to `WARM`, in their order: what is read for one does not wait for another.
    pub(crate) fn warm(&self, keys: impl Iterator<Item = Key<A>> + Clone) -> [Option<u32>; WARM] {
        let leaves = self.warm_leaves(keys.clone());
        let mut values = [None; WARM];
        for ((value, leaf), key) in values.iter_mut().zip(leaves).zip(keys) {
            let leaf = self.leaves.one(leaf);
            let at = leaf.position(key);
            *value = leaf.holds(at, key).then(|| leaf.values[at]);
        }
        values
    }

    /// The value of `key`; where it is new, the value that `make` gives is filed first.
    pub(crate) fn get_or_insert_with(&mut self, key: Key<A>, make: impl FnOnce() -> u32) -> u32 {
        let leaf = self.leaf(key);
        let node = self.leaves.one_mut(leaf);
        let at = node.position(key);
        if node.holds(at, key) {
            return node.values[at];
        }
        let value = make();
        if node.len() < NODE_KEYS {
            node.insert(at, key, value);
        } else {
            self.insert_in_full_leaf(key, at, value);
        }
        value
    }

    /// Takes `key` out and gives its value.
    #[cfg(test)]
    pub(crate) fn remove(&mut self, key: Key<A>) -> Option<u32> {
        let mut removed = None;
        self.remove_each(&[key], |value| removed = Some(value));
        removed
    }

    /// Takes several keys out, up to `WARM`, and calls `removed` with the value of each that was there: what is read for
    /// one does not wait for another.
    pub(crate) fn remove_each(&mut self, keys: &[Key<A>], mut removed: impl FnMut(u32)) {
        let leaves = self.warm_leaves(keys.iter().copied());
        leaves.iter().take(keys.len()).for_each(|leaf| self.leaves.one(*leaf).touch_values());
        let mut moved = false;
        for (&key, leaf) in keys.iter().zip(leaves) {
            let leaf = if moved { self.leaf(key) } else { leaf };
            let node = self.leaves.one_mut(leaf);
            let at = node.position(key);
            if !node.holds(at, key) {
                continue;
            }
            removed(node.values[at]);
            node.remove(at);
            if node.len() < FEW {
                let (way, _) = self.way(key);
                self.thin_out(&way, leaf);
                // Entries went to other leaves, and the numbers at hand may be those of freed ones.
                moved = true;
            }
        }
    }

    /// The largest entry that is not above `key`.
    pub(crate) fn at_or_before(&self, key: Key<A>) -> Option<(Key<A>, u32)> {
        let leaf = self.leaves.one(self.leaf(key));
        let at = leaf.position(key);
        if leaf.holds(at, key) {
            return Some(leaf.entry(at));
        }
        if at > 0 {
            return Some(leaf.entry(at - 1));
        }
        if leaf.prev == NO_NODE {
            return None;
        }
        let before = self.leaves.one(leaf.prev);
        Some(before.entry(before.len() - 1))
    }

    /// All entries from `from` on, in order.
    pub(crate) fn range_from(&self, from: Bound<Key<A>>) -> Range<'_, A> {
        let (leaf, at) = match from {
            Bound::Unbounded => (self.leaf((A::MIN, 0)), 0),
            Bound::Included(key) | Bound::Excluded(key) => {
                let number = self.leaf(key);
                let leaf = self.leaves.one(number);
                let at = leaf.position(key);
                let behind = matches!(from, Bound::Excluded(_)) && leaf.holds(at, key);
                (number, at + usize::from(behind))
            }
        };
        Range { map: self, leaf, at }
    }

    /// The longest entry that is or covers `key`.
    pub(crate) fn longest_match(&self, key: Key<A>) -> Option<(Key<A>, u32)> {
        let mut wanted = key;
        loop {
            // What stands right before `wanted` covers it, or else shares with it all that a covering prefix can have:
            // such a prefix would stand before both.
            let (found, value) = self.at_or_before(wanted)?;
            let common = found.0.common_bits(wanted.0).min(wanted.1);
            if found.1 <= common {
                return Some((found, value));
            }
            wanted = (wanted.0.masked(common), common);
        }
    }

    /// All entries that are or cover `key`, longest first.
    pub(crate) fn covering(&self, key: Key<A>) -> impl Iterator<Item = (Key<A>, u32)> {
        let mut wanted = Some(key);
        std::iter::from_fn(move || {
            let (found, value) = self.longest_match(wanted?)?;
            wanted = found.1.checked_sub(1).map(|len| (found.0.masked(len), len));
            Some((found, value))
        })
    }

    /// All entries that are `key` or inside it, in order, from `from` on.
    pub(crate) fn inside(&self, key: Key<A>, from: Bound<Key<A>>) -> impl Iterator<Item = (Key<A>, u32)> {
        let last = key.0.filled(key.1);
        let start = match from {
            Bound::Included(at) | Bound::Excluded(at) if at >= key => from,
            _ => Bound::Included(key),
        };
        self.range_from(start).take_while(move |(found, _)| found.0 <= last)
    }

    /// Octets allocated.
    pub(crate) fn octets(&self) -> usize {
        self.leaves.octets() + self.inner.octets()
    }

    /// The leaf that holds `key` or would hold it.
    #[inline]
    fn leaf(&self, key: Key<A>) -> u32 {
        let mut number = self.root;
        for _ in 0..self.height {
            let node = self.inner.one(number);
            number = node.values[node.child(key)];
        }
        number
    }

    /// The leaves of several keys, in their order, read from memory at the same time.
    fn warm_leaves(&self, keys: impl Iterator<Item = Key<A>>) -> [u32; WARM] {
        let (mut nodes, mut asked) = ([NO_NODE; WARM], [(A::MIN, 0); WARM]);
        let mut count = 0;
        for (place, key) in asked.iter_mut().zip(keys) {
            *place = key;
            nodes[count] = self.root;
            count += 1;
        }
        // Each level for all keys before the next one: the steps of one search wait for each other, those of several do
        // not.
        for _ in 0..self.height {
            for (number, &key) in nodes.iter_mut().zip(&asked).take(count) {
                let node = self.inner.one(*number);
                *number = node.values[node.child(key)];
            }
        }
        // Inner nodes are in the cache. Reads of leaves that stand close together wait at the same time; with the
        // searches between them a core would not see the next ones before the first have come.
        for &leaf in nodes.iter().take(count) {
            self.leaves.one(leaf).touch_keys();
        }
        nodes
    }

    /// As `leaf`, with the way there.
    fn way(&self, key: Key<A>) -> (Way, u32) {
        let mut way = Way { steps: [(NO_NODE, 0); HEIGHT_MAX], levels: self.height };
        let mut number = self.root;
        for step in &mut way.steps[..self.height] {
            let node = self.inner.one(number);
            let child = node.child(key);
            *step = (number, child as u8);
            number = node.values[child];
        }
        (way, number)
    }

    #[cold]
    fn insert_in_full_leaf(&mut self, key: Key<A>, at: usize, value: u32) {
        let (way, leaf) = self.way(key);
        if self.make_room(&way) {
            // The leaf that the key belongs to may be another one now, and it has room.
            self.get_or_insert_with(key, || value);
            return;
        }
        let right = self.split_and_insert(leaf, at, (key, value), Kind::Leaf);
        let after = std::mem::replace(&mut self.leaves.one_mut(leaf).next, right);
        if after != NO_NODE {
            self.leaves.one_mut(after).prev = right;
        }
        let node = self.leaves.one_mut(right);
        (node.prev, node.next) = (leaf, after);
        let right_key = node.key(0);
        self.insert_above(&way, right_key, right);
    }

    /// Shares the entries of a full leaf with a neighbour that has a quarter free. Fuller leaves are less memory; and no
    /// order of keys can make many leaves of one entry, since such a leaf is filled before another one is begun.
    fn make_room(&mut self, way: &Way) -> bool {
        let Some(&(parent, child)) = way.steps[..way.levels].last() else { return false };
        let (node, child) = (self.inner.one(parent), usize::from(child));
        let has_room = |at: usize| self.leaves.one(node.values[at]).len() <= NODE_KEYS - NODE_KEYS / 4;
        let left = if child + 1 < node.len() && has_room(child + 1) {
            child
        } else if child > 0 && has_room(child - 1) {
            child - 1
        } else {
            return false;
        };
        self.balance(parent, left, Kind::Leaf);
        true
    }

    /// Files the new node `right`, split off the node that the way leads through, in the level above.
    fn insert_above(&mut self, way: &Way, mut key: Key<A>, mut right: u32) {
        for &(number, child) in way.steps[..way.levels].iter().rev() {
            let at = usize::from(child) + 1;
            let node = self.inner.one_mut(number);
            if node.len() < NODE_KEYS {
                node.insert(at, key, right);
                return;
            }
            right = self.split_and_insert(number, at, (key, right), Kind::Inner);
            key = self.inner.one(right).key(0);
        }
        let (old_root, root) = (self.root, self.inner.alloc(1));
        let node = self.inner.one_mut(root);
        *node = Node::default();
        node.insert(0, (A::MIN, 0), old_root);
        node.insert(1, key, right);
        self.root = root;
        self.height += 1;
    }

    /// Moves the upper half of a full node to a new one and inserts `entry` where it stood `at` in the full one. Where
    /// that is the end (keys come in ascending order), less is moved, and nodes stay full.
    fn split_and_insert(&mut self, number: u32, at: usize, (key, value): (Key<A>, u32), kind: Kind) -> u32 {
        let cut = match kind {
            Kind::Leaf if at == NODE_KEYS => NODE_KEYS,
            Kind::Inner if at == NODE_KEYS => NODE_KEYS - FEW,
            _ => NODE_KEYS / 2,
        };
        let arena = self.arena(kind);
        let node = arena.one_mut(number);
        let mut upper = Node::default();
        upper.append(node, cut);
        node.truncate(cut);
        if at > cut || upper.len() == 0 {
            upper.insert(at - cut, key, value);
        } else {
            node.insert(at, key, value);
        }
        let right = arena.alloc(1);
        *arena.one_mut(right) = upper;
        right
    }

    /// Fills up a node that has few entries from a neighbour under the same parent, or merges the two, level by level
    /// upwards as long as that leaves few in the parent too.
    #[cold]
    fn thin_out(&mut self, way: &Way, leaf: u32) {
        let (mut number, mut kind) = (leaf, Kind::Leaf);
        for &(parent, child) in way.steps[..way.levels].iter().rev() {
            if self.arena(kind).one(number).len() >= FEW {
                return;
            }
            self.balance(parent, usize::from(child).saturating_sub(1), kind);
            (number, kind) = (parent, Kind::Inner);
        }
        // A root with one child is none.
        if self.height > 0 && self.inner.one(self.root).len() == 1 {
            let root = self.root;
            self.root = self.inner.one(root).values[0];
            self.inner.free(root);
            self.height -= 1;
        }
    }

    /// Merges the children `left` and `left + 1` of `parent` if one node holds both; else each gets half.
    fn balance(&mut self, parent: u32, left: usize, kind: Kind) {
        let node = self.inner.one(parent);
        let (left_child, right_child) = (node.values[left], node.values[left + 1]);
        let arena = self.arena(kind);
        let (mut lower, upper) = (*arena.one(left_child), *arena.one(right_child));
        if lower.len() + upper.len() <= NODE_KEYS {
            lower.append(&upper, 0);
            lower.next = upper.next;
            *arena.one_mut(left_child) = lower;
            arena.free(right_child);
            if upper.next != NO_NODE {
                arena.one_mut(upper.next).prev = left_child;
            }
            self.inner.one_mut(parent).remove(left + 1);
            return;
        }
        let upper = share(&mut lower, &upper);
        *arena.one_mut(left_child) = lower;
        *arena.one_mut(right_child) = upper;
        let node = self.inner.one_mut(parent);
        (node.addrs[left + 1], node.lens[left + 1]) = upper.key(0);
    }

    fn arena(&mut self, kind: Kind) -> &mut SlotArena<Node<A>> {
        match kind {
            Kind::Leaf => &mut self.leaves,
            Kind::Inner => &mut self.inner,
        }
    }
}

/// Moves entries between two neighbours that one node could not hold, so that each has half; returns the new upper one.
fn share<A: Address>(lower: &mut Node<A>, upper: &Node<A>) -> Node<A> {
    let half = (lower.len() + upper.len()) / 2;
    let mut upper_now = Node { prev: upper.prev, next: upper.next, ..Node::default() };
    if let Some(moved) = half.checked_sub(lower.len()) {
        upper_now.append(upper, moved);
        let mut head = *upper;
        head.truncate(moved);
        lower.append(&head, 0);
    } else {
        upper_now.append(lower, half);
        upper_now.append(upper, 0);
        lower.truncate(half);
    }
    upper_now
}

/// Which kind of node, that is, in which arena it lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Leaf,
    Inner,
}

/// Entries in order, from a point on.
#[derive(Debug)]
pub(crate) struct Range<'a, A: Address> {
    map: &'a PrefixMap<A>,
    leaf: u32,
    at: usize,
}

impl<A: Address> Iterator for Range<'_, A> {
    type Item = (Key<A>, u32);

    fn next(&mut self) -> Option<Self::Item> {
        while self.leaf != NO_NODE {
            let leaf = self.map.leaves.one(self.leaf);
            if self.at < leaf.len() {
                self.at += 1;
                return Some(leaf.entry(self.at - 1));
            }
            (self.leaf, self.at) = (leaf.next, 0);
        }
        None
    }
}

#[cfg(test)]
mod tests;
