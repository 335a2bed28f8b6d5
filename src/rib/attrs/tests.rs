//! The store against a map from octets to count of references.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Intern(u8, usize),
    /// Of a set that is held, what import makes of it.
    Derive(usize, u8, Option<u16>),
    Retain(usize),
    Release(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![20 => 0usize..300, 1 => 5000usize..5010, 1 => Just(70_000)];
    prop_oneof![
        4 => (any::<u8>(), len).prop_map(|(fill, len)| Op::Intern(fill % 4, len)),
        4 => (any::<usize>(), 0u8..3, prop::option::of(0u16..2)).prop_map(|(of, fill, weight)| Op::Derive(of, fill, weight)),
        1 => any::<usize>().prop_map(Op::Retain),
        4 => any::<usize>().prop_map(Op::Release),
    ]
}

/// What a handle stands for: received octets, effective octets, weight.
type Content = (Vec<u8>, Vec<u8>, Option<u16>);

/// A store written the obvious way: handles with their content and the references that callers hold.
#[derive(Default)]
struct Model(HashMap<SetId, (Content, u32)>);

impl Model {
    fn pick(&self, which: usize) -> Option<SetId> {
        let mut ids: Vec<SetId> = self.0.keys().copied().collect();
        ids.sort_unstable();
        ids.get(which % ids.len().max(1)).copied()
    }

    fn take(&mut self, id: SetId, content: Content) -> Result<(), TestCaseError> {
        for (other, (known, _)) in &self.0 {
            prop_assert_eq!(*other == id, *known == content, "equal content is one handle");
        }
        self.0.entry(id).or_insert((content, 0)).1 += 1;
        Ok(())
    }

    /// Plain sets that must be held: what callers hold and what derived ones do.
    fn plain(&self) -> BTreeSet<Vec<u8>> {
        self.0.values().flat_map(|((received, effective, _), _)| [received.clone(), effective.clone()]).collect()
    }

    fn derived(&self) -> usize {
        self.0.values().filter(|((received, effective, weight), _)| received != effective || weight.is_some()).count()
    }

    fn check(&self, store: &AttrStore) -> Result<(), TestCaseError> {
        for (&id, ((received, effective, weight), _)) in &self.0 {
            prop_assert_eq!(store.get(id).as_bytes(), &effective[..]);
            prop_assert_eq!(store.get(store.effective(id)).as_bytes(), &effective[..]);
            prop_assert_eq!(store.get(store.received(id)).as_bytes(), &received[..]);
            prop_assert_eq!(store.find(AttrSet::new(effective)), Some(store.effective(id)));
            prop_assert_eq!(store.find(AttrSet::new(received)), Some(store.received(id)));
            prop_assert_eq!(store.weight(id), *weight);
            prop_assert_eq!(store.facts(id), &SetFacts::of(AttrSet::new(effective)));
        }
        let plain = self.plain();
        prop_assert_eq!(store.len(), plain.len() as u64);
        let classes = octet_classes();
        let room = |octets: &Vec<u8>| match classes.partition_point(|&class| usize::from(class) < octets.len() + LENGTH)
        {
            at if at < classes.len() => u64::from(classes[at]) - LENGTH as u64,
            _ => octets.len() as u64,
        };
        prop_assert_eq!(store.set_octets(), plain.iter().map(room).sum::<u64>());
        prop_assert_eq!(store.derived_len(), self.derived() as u64);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn equal_content_is_one_set_until_the_last_reference_goes(ops in prop::collection::vec(op(), 1..150)) {
        let mut store = AttrStore::new(7);
        let mut model = Model::default();
        for op in ops {
            match op {
                Op::Intern(fill, len) => {
                    let octets = vec![fill; len];
                    let id = store.intern(AttrSet::new(&octets));
                    model.take(id, (octets.clone(), octets, None))?;
                }
                Op::Derive(of, fill, weight) => {
                    let Some(of) = model.pick(of) else { continue };
                    let received = model.0[&of].0.0.clone();
                    let effective = if fill == 0 { received.clone() } else { vec![fill; 50] };
                    let id = store.derive(of, AttrSet::new(&effective), weight);
                    model.take(id, (received, effective, weight))?;
                }
                Op::Retain(which) => {
                    let Some(id) = model.pick(which) else { continue };
                    store.retain(id, 2);
                    model.0.get_mut(&id).expect("picked").1 += 2;
                }
                Op::Release(which) => {
                    let Some(id) = model.pick(which) else { continue };
                    store.release(id);
                    let refs = &mut model.0.get_mut(&id).expect("picked").1;
                    *refs -= 1;
                    if *refs == 0 {
                        model.0.remove(&id);
                    }
                }
            }
            model.check(&store)?;
        }
        for (id, (_, refs)) in model.0.drain() {
            (0..refs).for_each(|_| store.release(id));
        }
        prop_assert!(store.is_empty() && store.derived_len() == 0, "all that was held is let go");
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
