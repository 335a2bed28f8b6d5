//! Derived sets: what import makes of a received set (policy, RFC 9234 §5, RFC 8326 §4.1) without forgetting what was
//! received. A path keeps one handle; a derived one stands for three things at once: the set as received, the set that
//! counts, and a weight.
//!
//! Handles of derived sets have a bit that those of plain ones never have, so asking a plain handle for its received or
//! effective set reads no memory, and a route that import does not change costs what it always did.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::{SetId, spread};
use crate::rib::{arena::SlotArena, set_facts::SetFacts};

/// Marks the handle of a derived set. Handles of single values in an arena do not use this bit.
const DERIVED: u32 = 1 << 31;

/// What a derived set stands for. The weight is `None` where import left it to the neighbour's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Meaning {
    pub(super) received: SetId,
    pub(super) effective: SetId,
    pub(super) weight: Option<u16>,
}

/// One derived set.
#[derive(Clone, Copy, Default, Debug)]
struct Record {
    hash: u32,
    refs: u32,
    received: SetId,
    effective: SetId,
    /// Those of the effective set, so that the decision process reads one place.
    facts: SetFacts,
    weight: Option<u16>,
}

impl Record {
    fn meaning(&self) -> Meaning {
        Meaning { received: self.received, effective: self.effective, weight: self.weight }
    }
}

/// The derived sets of one store.
#[derive(Debug)]
pub(super) struct Derived {
    by_meaning: HashTable<u32>,
    records: SlotArena<Record>,
}

impl Default for Derived {
    fn default() -> Self {
        Self { by_meaning: HashTable::new(), records: SlotArena::of_values(512) }
    }
}

/// Whether a handle is that of a derived set.
#[inline]
pub(super) fn is_derived(id: SetId) -> bool {
    id.0 & DERIVED != 0
}

fn slot(id: SetId) -> u32 {
    id.0 & !DERIVED
}

impl Derived {
    /// The handle of the set that means this, with one reference for the caller.
    pub(super) fn find(&mut self, hasher: &FixedState, meaning: Meaning) -> Option<SetId> {
        let hash = hash(hasher, meaning);
        let records = &self.records;
        let same = |&slot: &u32| records.one(slot).hash == hash && records.one(slot).meaning() == meaning;
        let slot = *self.by_meaning.find(spread(hash), same)?;
        let id = SetId(slot | DERIVED);
        self.retain(id, 1);
        Some(id)
    }

    /// A new set that means this, with one reference for the caller. Takes over a reference to both its sets.
    pub(super) fn insert(&mut self, hasher: &FixedState, meaning: Meaning, facts: SetFacts) -> SetId {
        let hash = hash(hasher, meaning);
        let slot = self.records.alloc(1);
        let Meaning { received, effective, weight } = meaning;
        *self.records.one_mut(slot) = Record { hash, refs: 1, received, effective, facts, weight };
        let records = &self.records;
        self.by_meaning.insert_unique(spread(hash), slot, |&slot| spread(records.one(slot).hash));
        SetId(slot | DERIVED)
    }

    pub(super) fn retain(&mut self, id: SetId, n: u32) {
        let refs = &mut self.records.one_mut(slot(id)).refs;
        *refs = refs.saturating_add(n);
    }

    /// Takes one reference away. The last one frees the set, whose references to both its sets are the caller's then.
    pub(super) fn release(&mut self, id: SetId) -> Option<Meaning> {
        let record = self.records.one_mut(slot(id));
        assert!(record.refs > 0, "a set is released as often as it was retained");
        if record.refs != u32::MAX {
            record.refs -= 1;
        }
        if record.refs > 0 {
            return None;
        }
        let Record { hash, .. } = *record;
        let meaning = record.meaning();
        if let Ok(entry) = self.by_meaning.find_entry(spread(hash), |&other| other == slot(id)) {
            entry.remove();
        }
        if self.by_meaning.len() < self.by_meaning.capacity() / 4 {
            let records = &self.records;
            self.by_meaning.shrink_to(self.by_meaning.len() * 2, |&slot| spread(records.one(slot).hash));
        }
        self.records.free(slot(id));
        Some(meaning)
    }

    #[inline]
    pub(super) fn meaning(&self, id: SetId) -> Meaning {
        self.records.one(slot(id)).meaning()
    }

    #[inline]
    pub(super) fn facts(&self, id: SetId) -> &SetFacts {
        &self.records.one(slot(id)).facts
    }

    pub(super) fn references(&self, id: SetId) -> u32 {
        self.records.one(slot(id)).refs
    }

    pub(super) fn len(&self) -> u64 {
        self.by_meaning.len() as u64
    }

    pub(super) fn allocated_octets(&self) -> usize {
        self.by_meaning.allocation_size() + self.records.octets()
    }
}

fn hash(hasher: &FixedState, meaning: Meaning) -> u32 {
    let hash = hasher.hash_one(meaning);
    (hash >> 32) as u32 ^ hash as u32
}
