//! What the automata of AS-path sets say about paths, kept between routes: attribute sets that differ in MED or
//! communities only share one AS_PATH, and it is judged once for all of them.
//!
//! A verdict is a function of the octets of AS_PATH and of the automaton, so it is kept by both: by the octets as they
//! are, segments of sets and confederations included, and by the identity of the compiled set. Anchored forms are not
//! kept, since asking one again is as cheap as finding its answer.
//!
//! Bounded: `SLOTS_MAX` paths of at most `PATH_OCTETS_MAX` octets, some 5 MB if all of them are that long. A slot is found by hash, two
//! paths to a place; a path that needs the room of another one costs that one's verdict, so paths that a neighbour
//! chose to collide cost what they cost without a memory, and nothing more.

use std::{
    hash::BuildHasher,
    sync::{Arc, Weak},
};

use foldhash::fast::FixedState;

use super::{conditions::Digested, sets::as_path::AsPathSet};
use crate::wire::bgp::as_path::AsPath;

/// How often automata ran, and how often an earlier run answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PathCounts {
    /// Runs of an automaton over a path.
    pub judged: u64,
    /// Questions that needed none.
    pub shared: u64,
}

impl std::ops::Add for PathCounts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { judged: self.judged + other.judged, shared: self.shared + other.shared }
    }
}

/// Paths that are kept at most.
const SLOTS_MAX: usize = 1 << 14;
/// Slots of a memory that was asked little: tools ask about one route.
const SLOTS_MIN: usize = 1 << 4;
/// The longest path that is kept: 63 ASes in one segment.
const PATH_OCTETS_MAX: usize = 254;
/// Sets that are told apart: the bits of a slot.
const SETS_MAX: usize = 64;
/// Paths to a place.
const WAYS: usize = 2;

/// A path and what is known of it; by the numbers of sets.
#[derive(Clone, Debug, Default)]
struct Slot {
    hash: u64,
    octets: Vec<u8>,
    /// Sets whose automaton ran.
    known: u64,
    /// Those of them that hold the path.
    holds: u64,
}

/// The memory. Nothing is allocated once it has grown.
#[derive(Debug, Default)]
pub(super) struct PathVerdicts {
    /// By their numbers. A weak reference keeps an address from being given to another set, and no automaton alive.
    sets: Vec<Weak<Digested<AsPathSet>>>,
    slots: Vec<Slot>,
    /// Slots in use.
    used: usize,
    counts: PathCounts,
}

impl PathVerdicts {
    /// Whether any of `sets` holds the path.
    pub(super) fn any(&mut self, sets: &[Arc<Digested<AsPathSet>>], path: AsPath<'_>) -> bool {
        sets.iter().any(|set| set.has_form_of(path))
            || sets.iter().filter(|set| set.has_automaton()).any(|set| self.judge(set, path))
    }

    /// What was done so far.
    pub(super) fn counts(&self) -> PathCounts {
        self.counts
    }

    fn judge(&mut self, set: &Arc<Digested<AsPathSet>>, path: AsPath<'_>) -> bool {
        let octets = path.as_bytes();
        if octets.len() > PATH_OCTETS_MAX {
            self.counts.judged += 1;
            return set.is_found_by_automaton(path);
        }
        let bit = 1 << self.number(set);
        let place = self.place(octets);
        let Some(slot) = self.slots.get_mut(place) else { return set.is_found_by_automaton(path) };
        if slot.known & bit != 0 {
            self.counts.shared += 1;
            return slot.holds & bit != 0;
        }
        self.counts.judged += 1;
        let holds = set.is_found_by_automaton(path);
        slot.known |= bit;
        slot.holds = if holds { slot.holds | bit } else { slot.holds & !bit };
        holds
    }

    /// The number of a set. When there is none left, all that is known is forgotten: after many reloads.
    fn number(&mut self, set: &Arc<Digested<AsPathSet>>) -> usize {
        if let Some(known) = self.sets.iter().position(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(set))) {
            return known;
        }
        if self.sets.len() == SETS_MAX {
            self.sets.clear();
            self.slots.iter_mut().for_each(|slot| slot.known = 0);
        }
        self.sets.push(Arc::downgrade(set));
        self.sets.len() - 1
    }

    /// The slot of a path, which is the last one's of its place if it is new.
    fn place(&mut self, octets: &[u8]) -> usize {
        if self.used * 2 >= self.slots.len() && self.slots.len() < SLOTS_MAX {
            self.grow();
        }
        let hash = FixedState::default().hash_one(octets);
        let first = first_way(hash, self.slots.len());
        let is_it = |slot: &Slot| slot.hash == hash && slot.octets == octets;
        let ways = self.slots.get(first..first + WAYS).unwrap_or_default();
        if let Some(way) = ways.iter().position(is_it) {
            // The one asked last stands first, and stays longest.
            self.slots.swap(first, first + way);
            return first;
        }
        self.slots.swap(first, first + WAYS - 1);
        if let Some(slot) = self.slots.get_mut(first) {
            self.used += usize::from(slot.octets.is_empty());
            slot.hash = hash;
            slot.octets.clear();
            slot.octets.extend_from_slice(octets);
            slot.known = 0;
        }
        first
    }

    /// Doubles the slots; what was kept stays where it can.
    #[cold]
    fn grow(&mut self) {
        let len = (self.slots.len() * 2).clamp(SLOTS_MIN, SLOTS_MAX);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); len]);
        self.used = 0;
        for slot in old.into_iter().filter(|slot| slot.known != 0) {
            let first = first_way(slot.hash, len);
            if let Some(free) = self.slots.iter_mut().skip(first).take(WAYS).find(|slot| slot.known == 0) {
                *free = slot;
                self.used += 1;
            }
        }
    }
}

/// The first slot of a hash's place among `len` slots, a power of two.
fn first_way(hash: u64, len: usize) -> usize {
    hash as usize & len.saturating_sub(1) & !(WAYS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(expression: &str) -> Arc<Digested<AsPathSet>> {
        Arc::new(Digested::new(AsPathSet::new(&[expression]).unwrap()))
    }

    /// AS_SEQUENCE of these.
    fn sequence(asns: &[u32]) -> Vec<u8> {
        let count = u8::try_from(asns.len()).unwrap();
        [2, count].into_iter().chain(asns.iter().flat_map(|asn| asn.to_be_bytes())).collect()
    }

    #[test]
    fn a_path_is_judged_once_by_each_set_and_kinds_of_segments_are_told_apart() {
        let mut verdicts = PathVerdicts::default();
        let (a, b) = (set("_6449[67]_.*_64500_"), set("[{]64500[}]"));
        let plain = sequence(&[64496, 64500]);
        // The same ASes: as AS_SET, AS_CONFED_SEQUENCE, AS_CONFED_SET; and as sequence and set.
        let kinds = [1, 3, 4].map(|kind| [&[kind], plain.get(1..).unwrap()].concat());
        let split = [2, 1, 0, 0, 0xfb, 0xf0, 1, 1, 0, 0, 0xfb, 0xf4].to_vec();
        let paths: Vec<Vec<u8>> = [plain, split].into_iter().chain(kinds).collect();
        for round in 0..3 {
            for path in &paths {
                for one in [&a, &b] {
                    let path = AsPath::new(path);
                    assert_eq!(verdicts.any(std::slice::from_ref(one), path), one.matches(path), "{round} `{path}`");
                }
            }
        }
        assert_eq!(verdicts.counts(), PathCounts { judged: 10, shared: 20 });
        // Anchored forms need no automaton.
        assert!(verdicts.any(&[set("_64500$")], AsPath::new(&paths[0])));
        assert_eq!(verdicts.counts().judged, 10);
    }

    #[test]
    fn more_paths_and_sets_than_there_is_room_for_change_no_answer() {
        let mut verdicts = PathVerdicts::default();
        let sets: Vec<_> = (0..SETS_MAX as u32 + 6).map(|i| set(&format!("_6450{}_.*_7{}", i % 10, i / 10))).collect();
        let long = sequence(&[[64500; 63].as_slice(), &[70]].concat());
        for i in 0..SLOTS_MAX as u32 + 2000 {
            let path = sequence(&[64500 + i % 13, 1000 + i, 70 + i % 5]);
            let one = &sets[i as usize % sets.len()];
            assert_eq!(verdicts.any(std::slice::from_ref(one), AsPath::new(&path)), one.matches(AsPath::new(&path)));
        }
        assert!(long.len() > PATH_OCTETS_MAX && verdicts.any(&sets[..1], AsPath::new(&long)));
        assert!(verdicts.slots.len() <= SLOTS_MAX && verdicts.sets.len() <= SETS_MAX);
    }

    #[test]
    fn what_was_learned_while_the_memory_is_small_is_known_when_it_has_grown() {
        let mut verdicts = PathVerdicts::default();
        let one = [set("_6449[67]_.*_64500_")];
        let paths: Vec<Vec<u8>> = (0..200).map(|i| sequence(&[64496, i, 64500])).collect();
        paths.iter().for_each(|path| assert!(verdicts.any(&one, AsPath::new(path))));
        let before = verdicts.counts();
        paths.iter().for_each(|path| assert!(verdicts.any(&one, AsPath::new(path))));
        let after = verdicts.counts();
        // Half of the slots are free, so few paths are without room.
        assert!(after.judged - before.judged < 80, "{before:?} {after:?}");
    }
}
