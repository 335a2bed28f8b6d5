//! The tree against the standard library's ordered map, and every search against a walk over all keys.

use std::{collections::BTreeMap, ops::Bound};

use proptest::prelude::*;

use super::{
    FEW, Key, NO_NODE, PrefixMap, WARM,
    node::{NODE_KEYS, Node},
};
use crate::rib::address::Address;

impl<A: Address> PrefixMap<A> {
    /// Checks every rule of the structure; returns the keys in order.
    fn check(&self) -> Vec<Key<A>> {
        let mut leaves = Vec::new();
        self.check_node(self.root, self.height, None, None, &mut leaves);
        for pair in leaves.windows(2) {
            assert_eq!(self.leaves.one(pair[0]).next, pair[1], "leaves are chained forwards");
            assert_eq!(self.leaves.one(pair[1]).prev, pair[0], "leaves are chained backwards");
        }
        assert_eq!(self.leaves.one(leaves[0]).prev, NO_NODE);
        assert_eq!(self.leaves.one(leaves[leaves.len() - 1]).next, NO_NODE);
        leaves
            .iter()
            .flat_map(|&leaf| (0..self.leaves.one(leaf).len()).map(move |at| self.leaves.one(leaf).key(at)))
            .collect()
    }

    fn node(&self, number: u32, height: usize) -> &Node<A> {
        if height == 0 { self.leaves.one(number) } else { self.inner.one(number) }
    }

    fn check_node(&self, number: u32, height: usize, low: Option<Key<A>>, high: Option<Key<A>>, leaves: &mut Vec<u32>) {
        let node = self.node(number, height);
        let keys: Vec<_> = (0..node.len()).map(|at| node.key(at)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "keys ascend");
        assert!(keys.iter().all(|&key| high.is_none_or(|high| key < high)), "keys are below the next separator");
        assert!(node.addrs[node.len()..].iter().all(|&addr| addr == A::MAX), "what is unused is filled");
        if height == 0 {
            assert!(keys.iter().all(|&key| low.is_none_or(|low| key >= low)), "keys are not below their separator");
            assert!(self.height == 0 || node.len() > 0, "only a tree without keys has an empty leaf");
            leaves.push(number);
            return;
        }
        let least = if height == self.height { 2 } else { FEW };
        assert!(node.len() >= least, "an inner node has at least {least} children, here {}", node.len());
        for at in 0..node.len() {
            let low = if at == 0 { low } else { Some(node.key(at)) };
            let high = if at + 1 < node.len() { Some(node.key(at + 1)) } else { high };
            self.check_node(node.values[at], height - 1, low, high, leaves);
        }
    }
}

/// All that covers `key`, longest first, by looking at everything.
fn covering_slowly<A: Address>(model: &BTreeMap<Key<A>, u32>, key: Key<A>) -> Vec<(Key<A>, u32)> {
    let covers = |outer: &Key<A>| outer.1 <= key.1 && key.0.masked(outer.1) == outer.0;
    let mut found: Vec<_> = model.iter().filter(|(outer, _)| covers(outer)).map(|(&k, &v)| (k, v)).collect();
    found.sort_by_key(|((_, len), _)| std::cmp::Reverse(*len));
    found
}

fn inside_slowly<A: Address>(model: &BTreeMap<Key<A>, u32>, key: Key<A>) -> Vec<(Key<A>, u32)> {
    let inside = |inner: &Key<A>| inner.1 >= key.1 && inner.0.masked(key.1) == key.0;
    model.iter().filter(|(inner, _)| inside(inner)).map(|(&k, &v)| (k, v)).collect()
}

fn agree<A: Address>(map: &PrefixMap<A>, model: &BTreeMap<Key<A>, u32>, questions: &[Key<A>]) {
    assert_eq!(map.check(), model.keys().copied().collect::<Vec<_>>());
    for &key in questions {
        assert_eq!(map.get(key), model.get(&key).copied(), "exact {key:?}");
        let before = model.range(..=key).next_back().map(|(&k, &v)| (k, v));
        assert_eq!(map.at_or_before(key), before, "at or before {key:?}");
        let covering = covering_slowly(model, key);
        assert_eq!(map.longest_match(key), covering.first().copied(), "longest match of {key:?}");
        assert_eq!(map.covering(key).collect::<Vec<_>>(), covering, "covering {key:?}");
        let inside = inside_slowly(model, key);
        assert_eq!(map.inside(key, Bound::Unbounded).collect::<Vec<_>>(), inside, "inside {key:?}");
        if let Some(&(middle, _)) = inside.get(inside.len() / 2) {
            let rest: Vec<_> = map.inside(key, Bound::Excluded(middle)).collect();
            assert_eq!(rest, inside[inside.len() / 2 + 1..], "inside {key:?} behind {middle:?}");
        }
        for from in [Bound::Included(key), Bound::Excluded(key)] {
            let expected: Vec<_> = model.range((from, Bound::Unbounded)).map(|(&k, &v)| (k, v)).collect();
            assert_eq!(map.range_from(from).collect::<Vec<_>>(), expected, "from {from:?}");
        }
    }
    assert_eq!(map.range_from(Bound::Unbounded).count(), model.len());
}

/// Keys close together, so that they nest, are found again, and share nodes.
fn key4() -> impl Strategy<Value = Key<u32>> + Clone {
    (0u32..64, 0u32..4, 0u8..=32).prop_map(|(high, low, len)| ((high << 26 | low << 6 | low).masked(len), len))
}

fn key6() -> impl Strategy<Value = Key<u128>> + Clone {
    (0u128..16, 0u128..8, 0u8..=128).prop_map(|(high, low, len)| ((high << 124 | low << 61 | low).masked(len), len))
}

#[derive(Clone, Debug)]
enum Op<K> {
    Insert(K),
    Remove(K),
}

fn ops<K: std::fmt::Debug + Clone + 'static>(
    key: impl Strategy<Value = K> + Clone + 'static,
) -> impl Strategy<Value = Vec<Op<K>>> {
    let op = prop_oneof![3 => key.clone().prop_map(Op::Insert), 2 => key.prop_map(Op::Remove)];
    prop::collection::vec(op, 1..600)
}

fn play<A: Address>(ops: Vec<Op<Key<A>>>) -> (PrefixMap<A>, BTreeMap<Key<A>, u32>) {
    let (mut map, mut model) = (PrefixMap::default(), BTreeMap::new());
    for (number, op) in (0..).zip(ops) {
        match op {
            Op::Insert(key) => {
                let value = map.get_or_insert_with(key, || number);
                assert_eq!(value, *model.entry(key).or_insert(number));
            }
            Op::Remove(key) => assert_eq!(map.remove(key), model.remove(&key)),
        }
    }
    (map, model)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ipv4_agrees_with_the_slow_map(ops in ops(key4()), questions in prop::collection::vec(key4(), 1..20)) {
        let (map, model) = play(ops);
        agree(&map, &model, &questions);
    }

    #[test]
    fn ipv6_agrees_with_the_slow_map(ops in ops(key6()), questions in prop::collection::vec(key6(), 1..20)) {
        let (map, model) = play(ops);
        agree(&map, &model, &questions);
    }

    #[test]
    fn packing_a_key_keeps_it(key4 in key4(), key6 in key6()) {
        prop_assert_eq!(u32::unpack(key4.0.pack(key4.1)), key4);
        prop_assert_eq!(u128::unpack(key6.0.pack(key6.1)), key6);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn taking_out_several_keys_at_once_is_taking_out_one_after_the_other(
        ops in ops(key4()),
        gone in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 1..=WARM), 1..60),
        absent in key4(),
    ) {
        let (mut map, mut model) = play(ops);
        for some in gone {
            let there: Vec<Key<u32>> = model.keys().copied().collect();
            let mut keys: Vec<_> = some.iter().filter(|_| !there.is_empty()).map(|at| *at.get(&there)).collect();
            keys.push(absent);
            keys.truncate(WARM);
            let mut removed = Vec::new();
            map.remove_each(&keys, |value| removed.push(value));
            let expected: Vec<u32> = keys.iter().filter_map(|key| model.remove(key)).collect();
            prop_assert_eq!(removed, expected);
            agree(&map, &model, &keys);
        }
    }
}

/// A sequence that visits every number below 2^32 once: looks random, needs no seed.
fn scattered(n: u32) -> u32 {
    n.wrapping_mul(0x9e37_79b1)
}

#[test]
fn a_tree_of_three_levels_grows_and_shrinks_to_nothing_in_any_order() {
    const COUNT: u32 = 20_000;
    let orders: [fn(u32) -> u32; 3] = [|n| n << 8, |n| !(n << 8), scattered];
    for insert in orders {
        for remove in orders {
            let mut map = PrefixMap::default();
            let key = |n: u32| (insert(n), 32);
            (0..COUNT).for_each(|n| assert_eq!(map.get_or_insert_with(key(n), || n), n));
            assert_eq!(map.check().len(), COUNT as usize);
            assert_eq!(map.height, 2);
            // The removal order: by the rank of another sequence over the same numbers.
            let mut order: Vec<u32> = (0..COUNT).collect();
            order.sort_by_key(|&n| remove(n));
            for (step, some) in order.chunks(WARM).enumerate() {
                let keys: Vec<_> = some.iter().map(|&n| key(n)).collect();
                let mut removed = Vec::new();
                map.remove_each(&keys, |value| removed.push(value));
                assert_eq!(removed, some);
                if step % 499 == 0 {
                    map.check();
                }
            }
            assert_eq!(map.check(), []);
            assert_eq!(map.height, 0);
        }
    }
}

#[test]
fn ascending_keys_fill_their_leaves() {
    let mut map = PrefixMap::default();
    (0..64_000u32).for_each(|n| _ = map.get_or_insert_with((n << 8, 24), || n));
    let leaves = map.range_from(Bound::Unbounded).count().div_ceil(NODE_KEYS);
    let node = size_of::<Node<u32>>();
    assert!(map.octets() < (leaves + leaves / 8 + 64) * node, "{} octets for {leaves} full leaves", map.octets());
}

#[test]
fn no_order_of_keys_leaves_many_leaves_nearly_empty() {
    const HALF: u32 = 32_000;
    // Below HALF one way, then above it one way: the second run may press against full leaves of the first.
    let orders: [fn(u32) -> u32; 5] = [
        |n| if n < HALF { n } else { 3 * HALF - n },
        |n| if n < HALF { HALF - n } else { n },
        |n| if n < HALF { n + HALF } else { 2 * HALF - n },
        |n| if n % 2 == 0 { n } else { 2 * HALF - n },
        |n| scattered(n) >> 8,
    ];
    for (number, order) in orders.into_iter().enumerate() {
        let mut map = PrefixMap::default();
        (0..2 * HALF).for_each(|n| _ = map.get_or_insert_with((order(n) << 8, 24), || n));
        let keys = map.check().len();
        let each = map.octets() / keys;
        assert!(each <= 19, "{each} octets per key in order {number}");
    }
}

#[test]
fn a_default_route_covers_everything_and_hosts_at_both_ends_are_found() {
    let mut map = PrefixMap::default();
    for (value, key) in [(0u32, 0u8), (0, 32), (u32::MAX, 32), (0x8000_0000, 1)].into_iter().enumerate() {
        map.get_or_insert_with(key, || value as u32);
    }
    let lens = |key| map.covering(key).map(|((_, len), _)| len).collect::<Vec<_>>();
    assert_eq!(lens((u32::MAX, 32)), [32, 1, 0]);
    assert_eq!(lens((0, 32)), [32, 0]);
    assert_eq!(lens((0, 31)), [0]);
    assert_eq!(map.inside((0, 0), Bound::Unbounded).count(), 4);
    assert_eq!(map.inside((0x8000_0000, 1), Bound::Unbounded).count(), 2);
}
