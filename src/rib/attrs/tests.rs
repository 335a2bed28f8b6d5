//! The store against a map from octets to count of references.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Intern(u8, usize),
    Retain(usize),
    Release(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![20 => 0usize..300, 1 => 5000usize..5010, 1 => Just(70_000)];
    prop_oneof![
        4 => (any::<u8>(), len).prop_map(|(fill, len)| Op::Intern(fill % 4, len)),
        1 => any::<usize>().prop_map(Op::Retain),
        4 => any::<usize>().prop_map(Op::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equal_octets_are_one_set_until_the_last_reference_goes(ops in prop::collection::vec(op(), 1..300)) {
        let mut store = AttrStore::new(7);
        let mut model: HashMap<Vec<u8>, (SetId, u32)> = HashMap::new();
        for op in ops {
            let pick = |which: usize| model.keys().nth(which % model.len().max(1)).cloned();
            match op {
                Op::Intern(fill, len) => {
                    let octets = vec![fill; len];
                    let id = store.intern(AttrSet::new(&octets));
                    let (known, refs) = model.entry(octets).or_insert((id, 0));
                    *refs += 1;
                    prop_assert_eq!(*known, id);
                }
                Op::Retain(which) => {
                    let Some(octets) = pick(which) else { continue };
                    let (id, refs) = model.get_mut(&octets).expect("picked");
                    store.retain(*id, 2);
                    *refs += 2;
                }
                Op::Release(which) => {
                    let Some(octets) = pick(which) else { continue };
                    let (id, refs) = model.get_mut(&octets).expect("picked");
                    store.release(*id);
                    *refs -= 1;
                    if *refs == 0 {
                        model.remove(&octets);
                        prop_assert_eq!(store.find(AttrSet::new(&octets)), None);
                    }
                }
            }
            for (octets, (id, refs)) in &model {
                prop_assert_eq!(store.get(*id).as_bytes(), &octets[..]);
                prop_assert_eq!(store.references(*id), *refs);
                prop_assert_eq!(store.find(AttrSet::new(octets)), Some(*id));
            }
            prop_assert_eq!(store.len(), model.len() as u64);
            prop_assert_eq!(store.set_octets(), model.keys().map(|octets| octets.len() as u64).sum::<u64>());
        }
    }
}

/// Octets that look like nothing in particular, distinct for each `n`, about as long as a common set.
fn set(n: u32) -> Vec<u8> {
    let mut octets = vec![0x40; 40 + n as usize % 60];
    octets[..4].copy_from_slice(&n.to_be_bytes());
    octets
}

#[test]
fn what_it_costs_to_hold_a_set_is_bounded_and_given_back() {
    let mut store = AttrStore::new(1);
    let empty = store.allocated_octets();
    let sets: Vec<SetId> = (0..100_000).map(|n| store.intern(AttrSet::new(&set(n)))).collect();
    let overhead = store.allocated_octets() as u64 - store.set_octets();
    // 32 header, 4 length, 2 rounding, up to 12 hash table, pages and their books.
    assert!(overhead / 100_000 <= 54, "{} octets beside the octets of a set", overhead / 100_000);
    sets.into_iter().for_each(|id| store.release(id));
    assert!(store.is_empty());
    let left = store.allocated_octets() - empty;
    assert!(left < 1_200_000, "{left} octets are left of nothing");
}

#[test]
fn a_count_of_references_that_reached_the_top_stays_there() {
    let mut store = AttrStore::new(1);
    let id = store.intern(AttrSet::new(&[1]));
    store.retain(id, u32::MAX);
    store.release(id);
    assert_eq!(store.references(id), u32::MAX);
    assert_eq!(store.get(id).as_bytes(), [1]);
}

#[test]
fn another_seed_is_another_order_of_hashes() {
    let (a, b) = (AttrStore::new(1), AttrStore::new(2));
    let differ = (0..100).filter(|&n| a.hash(&set(n)) != b.hash(&set(n))).count();
    assert!(differ > 95, "{differ} of 100");
}
