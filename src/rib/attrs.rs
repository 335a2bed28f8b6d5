//! Attribute sets: equal canonical octets (`wire::bgp::attribute`) are one `SetId`, and what the decision process
//! asks about a set is read from its octets once, when it is new.
//!
//! In a full table about one UPDATE in five brings a set that was not there before, so recognising a known set by
//! hash and comparison, without parsing, is the common road. The hash is seeded: a neighbour cannot choose sets
//! that collide. The table of hashes is cut into parts that grow one at a time.
//!
//! What import makes of a received set is a set too, see `derived`: a path keeps one handle for both.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

use crate::{
    rib::{arena::SlotArena, set_facts::SetFacts},
    wire::bgp::attribute::AttrSet,
};

mod derived;

use derived::{Derived, Meaning, is_derived};

/// A handle of an interned attribute set, plain or derived. Means nothing once the last reference was released.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct SetId(u32);

impl SetId {
    /// The handle as a number: good as a key of a side table.
    pub fn index(self) -> u32 {
        self.0
    }
}

/// All about a set but its octets: 32 octets, half a cache line.
#[derive(Clone, Copy, Default, Debug)]
struct Header {
    /// 32 bits of the hash: finds the set's place in the table again without reading its octets.
    hash: u32,
    octets: u32,
    refs: u32,
    facts: SetFacts,
}

/// Parts of the hash table. Each grows alone, so the old and the new copy that exist while growing are small.
const PARTS: usize = 64;
/// Octets of a page of sets.
const PAGE_OCTETS: usize = 8192;
/// Octets of the length that stands in front of the octets of a set.
const LENGTH: usize = 4;

/// The interned attribute sets of one `Rib`.
///
/// References are counted by hand: `intern` gives one to the caller, whoever keeps a `SetId` owns one, and the last
/// `release` frees the set.
#[derive(Debug)]
pub struct AttrStore {
    parts: Box<[HashTable<u32>]>,
    headers: SlotArena<Header>,
    octets: SlotArena<u8>,
    derived: Derived,
    hasher: FixedState,
    sets: u64,
    set_octets: u64,
    /// Handles of plain sets that were freed; `None`: nobody asks.
    freed: Option<Vec<SetId>>,
}

impl AttrStore {
    /// An empty store; `seed` must be unknown to neighbours.
    pub fn new(seed: u64) -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashTable::new()).collect(),
            headers: SlotArena::of_values(512),
            octets: SlotArena::new(&octet_classes(), PAGE_OCTETS),
            derived: Derived::default(),
            hasher: FixedState::with_seed(seed),
            sets: 0,
            set_octets: 0,
            freed: None,
        }
    }

    /// The handle of a canonical set, with one reference for the caller.
    pub fn intern(&mut self, set: AttrSet<'_>) -> SetId {
        let octets = set.as_bytes();
        let hash = self.hash(octets);
        let part = part_of(hash);
        let found = self.parts[part].find(spread(hash), |&id| {
            self.headers.one(id).hash == hash && stored(&self.octets, self.headers.one(id).octets) == octets
        });
        if let Some(&id) = found {
            self.retain(SetId(id), 1);
            return SetId(id);
        }
        let place = self.octets.alloc(octets.len() + LENGTH);
        let slot = self.octets.get_mut(place);
        slot[..LENGTH].copy_from_slice(&(octets.len() as u32).to_ne_bytes());
        slot[LENGTH..LENGTH + octets.len()].copy_from_slice(octets);
        let id = self.headers.alloc(1);
        *self.headers.one_mut(id) = Header { hash, octets: place, refs: 1, facts: SetFacts::of(set) };
        let headers = &self.headers;
        self.parts[part].insert_unique(spread(hash), id, |&id| spread(headers.one(id).hash));
        self.sets += 1;
        self.set_octets += (self.octets.get(place).len() - LENGTH) as u64;
        SetId(id)
    }

    /// The handle of what import makes of `received`: the canonical set that counts from now on, and the weight that
    /// import gave it, if any. The received set itself where nothing is different. With one reference for the caller;
    /// that to `received` stays the caller's. Equal results are one handle.
    pub fn derive(&mut self, received: SetId, effective: AttrSet<'_>, weight: Option<u16>) -> SetId {
        let received = self.received(received);
        let effective = self.intern(effective);
        if effective == received && weight.is_none() {
            return effective;
        }
        let meaning = Meaning { received, effective, weight };
        if let Some(known) = self.derived.find(&self.hasher, meaning) {
            self.release(effective);
            return known;
        }
        self.retain(received, 1);
        let facts = *self.facts(effective);
        self.derived.insert(&self.hasher, meaning, facts)
    }

    /// The set as the neighbour sent it: itself unless it is derived.
    #[inline]
    pub fn received(&self, id: SetId) -> SetId {
        if is_derived(id) { self.derived.meaning(id).received } else { id }
    }

    /// The set that counts after import: itself unless it is derived. Two routes with the same one are the same to
    /// neighbours.
    #[inline]
    pub fn effective(&self, id: SetId) -> SetId {
        if is_derived(id) { self.derived.meaning(id).effective } else { id }
    }

    /// The weight that import policy gave; `None`: that of the neighbour holds.
    #[inline]
    pub fn weight(&self, id: SetId) -> Option<u16> {
        if is_derived(id) { self.derived.meaning(id).weight } else { None }
    }

    /// The handle of a plain set that is there already; takes no reference.
    pub fn find(&self, set: AttrSet<'_>) -> Option<SetId> {
        let hash = self.hash(set.as_bytes());
        self.parts[part_of(hash)]
            .find(spread(hash), |&id| stored(&self.octets, self.headers.one(id).octets) == set.as_bytes())
            .map(|&id| SetId(id))
    }

    /// Adds `n` references. A count that would pass 2^32 - 1 stays there for good: the set is then never freed.
    #[inline]
    pub fn retain(&mut self, id: SetId, n: u32) {
        if is_derived(id) {
            return self.derived.retain(id, n);
        }
        let refs = &mut self.headers.one_mut(id.0).refs;
        *refs = refs.saturating_add(n);
    }

    /// Takes one reference away; the last one frees the set and its handle.
    #[inline]
    pub fn release(&mut self, id: SetId) {
        if is_derived(id) {
            return self.release_derived(id);
        }
        let header = self.headers.one_mut(id.0);
        assert!(header.refs > 0, "a set is released as often as it was retained");
        if header.refs != u32::MAX {
            header.refs -= 1;
        }
        if header.refs == 0 {
            self.remove(id);
        }
    }

    /// Asks the memory for what the release of these will need.
    #[inline]
    pub fn warm(&self, sets: impl Iterator<Item = SetId>) {
        let plain = sets.filter(|id| !is_derived(*id));
        std::hint::black_box(plain.fold(0, |all, id| all ^ self.headers.one(id.0).refs));
    }

    fn release_derived(&mut self, id: SetId) {
        if let Some(meaning) = self.derived.release(id) {
            self.release(meaning.received);
            self.release(meaning.effective);
        }
    }

    #[cold]
    fn remove(&mut self, id: SetId) {
        let Header { hash, octets, .. } = *self.headers.one(id.0);
        let part = &mut self.parts[part_of(hash)];
        if let Ok(entry) = part.find_entry(spread(hash), |&other| other == id.0) {
            entry.remove();
        }
        if part.len() < part.capacity() / 8 {
            let headers = &self.headers;
            part.shrink_to(part.len() * 2, |&id| spread(headers.one(id).hash));
        }
        self.sets -= 1;
        self.set_octets -= (self.octets.get(octets).len() - LENGTH) as u64;
        self.octets.free(octets);
        self.headers.free(id.0);
        if let Some(freed) = &mut self.freed {
            freed.push(id);
        }
    }

    /// The canonical octets of a set; of the effective one if it is derived.
    #[inline]
    pub fn get(&self, id: SetId) -> AttrSet<'_> {
        let id = self.effective(id);
        AttrSet::new(stored(&self.octets, self.headers.one(id.0).octets))
    }

    /// The facts of a set; of the effective one if it is derived.
    #[inline]
    pub fn facts(&self, id: SetId) -> &SetFacts {
        if is_derived(id) { self.derived.facts(id) } else { &self.headers.one(id.0).facts }
    }

    /// References to a set.
    pub fn references(&self, id: SetId) -> u32 {
        if is_derived(id) { self.derived.references(id) } else { self.headers.one(id.0).refs }
    }

    /// From now on handles of plain sets that are freed are kept, for those who keep something by handle.
    pub fn keep_freed(&mut self) {
        self.freed.get_or_insert_default();
    }

    /// Handles that were freed since the last time, some of which may be in use again for other sets.
    pub fn take_freed(&mut self) -> Vec<SetId> {
        self.freed.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Nobody keeps anything by handle any more.
    pub fn drop_freed(&mut self) {
        self.freed = None;
    }

    /// Gives the room of `take_freed` back.
    pub fn give_back_freed(&mut self, mut room: Vec<SetId>) {
        if let Some(freed) = &mut self.freed
            && freed.capacity() < room.capacity()
        {
            room.clear();
            room.append(freed);
            *freed = room;
        }
    }

    /// Distinct plain sets held: received and effective ones.
    pub fn len(&self) -> u64 {
        self.sets
    }

    /// Derived sets held.
    pub fn derived_len(&self) -> u64 {
        self.derived.len()
    }

    /// Whether no set is held.
    pub fn is_empty(&self) -> bool {
        self.sets == 0
    }

    /// Octets of the sets held, rounded up to the room they have, without what it costs to hold them.
    pub fn set_octets(&self) -> u64 {
        self.set_octets
    }

    /// Octets allocated.
    pub fn allocated_octets(&self) -> usize {
        let tables: usize = self.parts.iter().map(HashTable::allocation_size).sum();
        tables + self.headers.octets() + self.octets.octets() + self.derived.allocated_octets()
    }

    fn hash(&self, octets: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(octets);
        (hash >> 32) as u32 ^ hash as u32
    }
}

fn stored(octets: &SlotArena<u8>, place: u32) -> &[u8] {
    let slot = octets.get(place);
    let (length, rest) = slot.split_first_chunk::<LENGTH>().expect("a slot begins with the length of its set");
    &rest[..u32::from_ne_bytes(*length) as usize]
}

/// The part of the table a hash belongs to: its low bits.
fn part_of(hash: u32) -> usize {
    hash as usize % PARTS
}

/// Spreads 32 bits over 64, since the table takes its tag from the top and its place from the bottom.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Slot lengths for sets: steps of 4 octets where most sets are, wider steps above. Beyond, a set has its own page.
fn octet_classes() -> Vec<u16> {
    let steps = [(16..160, 4), (160..320, 8), (320..640, 32), (640..1280, 64), (1280..4097, 256)];
    steps.into_iter().flat_map(|(range, step)| range.step_by(step)).collect()
}

#[cfg(test)]
mod tests;
