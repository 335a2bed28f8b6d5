//! What identifies a route inside its family, and the dense number it is known by: `NlriRef` <-> `PrefixId`, with the
//! ordered index that finds one from the other.
//!
//! Plain prefixes stand in a `PrefixMap`; every other family is ordered by the octets of its key.

use std::{collections::BTreeMap, ops::Bound};

use crate::{
    rib::{
        address::Address,
        arena::SlotArena,
        paged_array::PagedArray,
        prefix_map::{Key, PrefixMap, WARM},
    },
    types::{Family, Prefix},
};

/// Dense number of an NLRI inside its table. Valid from `Table::find_or_insert` until `Table::free_if_empty` frees
/// it; then it is used again for another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PrefixId(pub(crate) u32);

impl PrefixId {
    /// The id as a number: dense and small, good as the index of a side array.
    pub fn index(self) -> u32 {
        self.0
    }

    /// The id with this number, as `index` gave it.
    pub fn from_index(index: u32) -> Self {
        Self(index)
    }
}

/// What identifies a route inside its family. Order is table order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NlriRef<'a> {
    /// IPv4 or IPv6, unicast or multicast.
    Prefix(Prefix),
    /// Any other family: key octets in wire form, without path id and labels.
    Opaque(&'a [u8]),
}

/// The index of one family.
#[derive(Debug)]
pub(crate) enum Index {
    V4(PlainIndex<u32>),
    V6(PlainIndex<u128>),
    Opaque(OpaqueIndex),
}

impl Index {
    pub(crate) fn new(family: Family) -> Self {
        match family.address_bits() {
            Some(32) if family.is_plain_prefix() => Self::V4(PlainIndex::new()),
            Some(128) if family.is_plain_prefix() => Self::V6(PlainIndex::new()),
            _ => Self::Opaque(OpaqueIndex::new()),
        }
    }

    /// The id of `nlri`; `None` when it is not there or not of this family's kind.
    #[inline]
    pub(crate) fn find(&self, nlri: NlriRef<'_>) -> Option<PrefixId> {
        let id = match (self, nlri) {
            (Self::V4(index), NlriRef::Prefix(Prefix::V4 { addr, len })) => index.map.get((addr, len)),
            (Self::V6(index), NlriRef::Prefix(Prefix::V6 { addr, len })) => index.map.get((addr, len)),
            (Self::Opaque(index), NlriRef::Opaque(key)) => index.map.get(key).copied(),
            _ => None,
        };
        id.map(PrefixId)
    }

    /// The id of `nlri`, a new one if need be; `None` when it is not of this family's kind.
    #[inline]
    pub(crate) fn find_or_insert(&mut self, nlri: NlriRef<'_>) -> Option<PrefixId> {
        let id = match (self, nlri) {
            (Self::V4(index), NlriRef::Prefix(Prefix::V4 { addr, len })) => index.find_or_insert((addr, len)),
            (Self::V6(index), NlriRef::Prefix(Prefix::V6 { addr, len })) => index.find_or_insert((addr, len)),
            (Self::Opaque(index), NlriRef::Opaque(key)) => index.find_or_insert(key),
            _ => return None,
        };
        Some(PrefixId(id))
    }

    /// The ids of several NLRI, up to `WARM`, in their order, read from memory at the same time. Nothing for families
    /// that are not plain prefixes.
    pub(crate) fn warm(&self, nlri: &[NlriRef<'_>]) -> [Option<PrefixId>; WARM] {
        let ids = match self {
            Self::V4(index) => index.map.warm(nlri.iter().map(|nlri| match nlri {
                NlriRef::Prefix(Prefix::V4 { addr, len }) => (*addr, *len),
                _ => (0, 0),
            })),
            Self::V6(index) => index.map.warm(nlri.iter().map(|nlri| match nlri {
                NlriRef::Prefix(Prefix::V6 { addr, len }) => (*addr, *len),
                _ => (0, 0),
            })),
            Self::Opaque(_) => [None; WARM],
        };
        ids.map(|id| id.map(PrefixId))
    }

    /// Frees ids, up to `WARM`, that are in use, each named once.
    pub(crate) fn remove_each(&mut self, ids: &[PrefixId]) {
        match self {
            Self::V4(index) => index.remove_each(ids),
            Self::V6(index) => index.remove_each(ids),
            Self::Opaque(index) => ids.iter().for_each(|id| index.remove(id.0)),
        }
    }

    /// The NLRI of an id in use.
    #[inline]
    pub(crate) fn nlri(&self, id: PrefixId) -> NlriRef<'_> {
        match self {
            Self::V4(index) => NlriRef::Prefix(v4(index.key(id.0))),
            Self::V6(index) => NlriRef::Prefix(v6(index.key(id.0))),
            Self::Opaque(index) => NlriRef::Opaque(index.key(id.0)),
        }
    }

    /// The longest prefix that is or covers `prefix`. Opaque families know no covering.
    pub(crate) fn longest_match(&self, prefix: Prefix) -> Option<PrefixId> {
        let found = match (self, prefix) {
            (Self::V4(index), Prefix::V4 { addr, len }) => index.map.longest_match((addr, len)).map(|(_, id)| id),
            (Self::V6(index), Prefix::V6 { addr, len }) => index.map.longest_match((addr, len)).map(|(_, id)| id),
            _ => None,
        };
        found.map(PrefixId)
    }

    /// All prefixes that are or cover `prefix`, longest first.
    pub(crate) fn covering(&self, prefix: Prefix) -> Box<dyn Iterator<Item = PrefixId> + '_> {
        match (self, prefix) {
            (Self::V4(index), Prefix::V4 { addr, len }) => {
                Box::new(index.map.covering((addr, len)).map(|(_, id)| PrefixId(id)))
            }
            (Self::V6(index), Prefix::V6 { addr, len }) => {
                Box::new(index.map.covering((addr, len)).map(|(_, id)| PrefixId(id)))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    /// All prefixes that are `prefix` or inside it, in order, behind `after` if given.
    pub(crate) fn inside(
        &self,
        prefix: Prefix,
        after: Option<NlriRef<'_>>,
    ) -> Box<dyn Iterator<Item = (NlriRef<'_>, PrefixId)> + '_> {
        match (self, prefix) {
            (Self::V4(index), Prefix::V4 { addr, len }) => {
                let from = after.map_or(Bound::Unbounded, |nlri| behind_v4(nlri));
                Box::new(index.map.inside((addr, len), from).map(|(key, id)| (NlriRef::Prefix(v4(key)), PrefixId(id))))
            }
            (Self::V6(index), Prefix::V6 { addr, len }) => {
                let from = after.map_or(Bound::Unbounded, |nlri| behind_v6(nlri));
                Box::new(index.map.inside((addr, len), from).map(|(key, id)| (NlriRef::Prefix(v6(key)), PrefixId(id))))
            }
            _ => Box::new(std::iter::empty()),
        }
    }

    /// All NLRI in order, behind `after` if given.
    pub(crate) fn after(&self, after: Option<NlriRef<'_>>) -> Box<dyn Iterator<Item = (NlriRef<'_>, PrefixId)> + '_> {
        match self {
            Self::V4(index) => {
                let from = after.map_or(Bound::Unbounded, |nlri| behind_v4(nlri));
                Box::new(index.map.range_from(from).map(|(key, id)| (NlriRef::Prefix(v4(key)), PrefixId(id))))
            }
            Self::V6(index) => {
                let from = after.map_or(Bound::Unbounded, |nlri| behind_v6(nlri));
                Box::new(index.map.range_from(from).map(|(key, id)| (NlriRef::Prefix(v6(key)), PrefixId(id))))
            }
            Self::Opaque(index) => {
                let from = match after {
                    Some(NlriRef::Opaque(key)) => Bound::Excluded(key),
                    _ => Bound::Unbounded,
                };
                let range = index.map.range::<[u8], _>((from, Bound::Unbounded));
                Box::new(range.map(|(key, &id)| (NlriRef::Opaque(key), PrefixId(id))))
            }
        }
    }

    /// Octets allocated.
    pub(crate) fn octets(&self) -> usize {
        match self {
            Self::V4(index) => index.octets(),
            Self::V6(index) => index.octets(),
            Self::Opaque(index) => index.octets(),
        }
    }
}

fn v4((addr, len): Key<u32>) -> Prefix {
    Prefix::V4 { addr, len }
}

fn v6((addr, len): Key<u128>) -> Prefix {
    Prefix::V6 { addr, len }
}

/// Where to go on behind `nlri`: IPv4 prefixes stand before all IPv6 ones, prefixes before other keys.
fn behind_v4(nlri: NlriRef<'_>) -> Bound<Key<u32>> {
    match nlri {
        NlriRef::Prefix(Prefix::V4 { addr, len }) => Bound::Excluded((addr, len)),
        _ => Bound::Excluded((u32::MAX, u8::MAX)),
    }
}

fn behind_v6(nlri: NlriRef<'_>) -> Bound<Key<u128>> {
    match nlri {
        NlriRef::Prefix(Prefix::V6 { addr, len }) => Bound::Excluded((addr, len)),
        NlriRef::Prefix(_) => Bound::Unbounded,
        NlriRef::Opaque(_) => Bound::Excluded((u128::MAX, u8::MAX)),
    }
}

/// Ids in a page: as many as an arena can number without a gap.
const PAGE_IDS: usize = 512;

/// Index of a plain-prefix family.
#[derive(Debug)]
pub(crate) struct PlainIndex<A: Address> {
    map: PrefixMap<A>,
    /// Key by id; hands out the ids.
    keys: SlotArena<A::Packed>,
}

impl<A: Address> PlainIndex<A> {
    fn new() -> Self {
        Self { map: PrefixMap::default(), keys: SlotArena::of_values(PAGE_IDS) }
    }

    #[inline]
    fn find_or_insert(&mut self, key: Key<A>) -> u32 {
        let keys = &mut self.keys;
        self.map.get_or_insert_with(key, || {
            let id = keys.alloc(1);
            *keys.one_mut(id) = A::pack(key.0, key.1);
            id
        })
    }

    fn remove_each(&mut self, ids: &[PrefixId]) {
        let mut keys = [(A::MIN, 0); WARM];
        let mut count = 0;
        for (key, id) in keys.iter_mut().zip(ids) {
            *key = self.key(id.0);
            count += 1;
        }
        let numbers = &mut self.keys;
        self.map.remove_each(&keys[..count], |id| numbers.free(id));
    }

    #[inline]
    fn key(&self, id: u32) -> Key<A> {
        A::unpack(*self.keys.one(id))
    }

    fn octets(&self) -> usize {
        self.map.octets() + self.keys.octets()
    }
}

/// Index of a family whose keys are octets of any length.
#[derive(Debug)]
pub(crate) struct OpaqueIndex {
    map: BTreeMap<Box<[u8]>, u32>,
    /// Place of the key by id; hands out the ids.
    places: SlotArena<u32>,
    octets: SlotArena<u8>,
    lens: PagedArray<u32>,
}

/// Lengths of slots for keys. VPN prefixes are 9 to 25 octets, EVPN routes 17 to 60; longer keys are rare.
const KEY_CLASSES: &[u16] = &[8, 12, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 512, 1024, 4096];

impl OpaqueIndex {
    fn new() -> Self {
        Self {
            map: BTreeMap::new(),
            places: SlotArena::of_values(PAGE_IDS),
            octets: SlotArena::new(KEY_CLASSES, 8192),
            lens: PagedArray::default(),
        }
    }

    fn find_or_insert(&mut self, key: &[u8]) -> u32 {
        if let Some(&id) = self.map.get(key) {
            return id;
        }
        let place = self.octets.alloc(key.len());
        self.octets.get_mut(place)[..key.len()].copy_from_slice(key);
        let id = self.places.alloc(1);
        *self.places.one_mut(id) = place;
        self.lens.set(id, key.len() as u32);
        self.map.insert(key.into(), id);
        id
    }

    fn remove(&mut self, id: u32) {
        let key = key_at(&self.places, &self.octets, &self.lens, id);
        self.map.remove(key);
        self.octets.free(*self.places.one(id));
        self.places.free(id);
        self.lens.set(id, 0);
    }

    fn key(&self, id: u32) -> &[u8] {
        key_at(&self.places, &self.octets, &self.lens, id)
    }

    fn octets(&self) -> usize {
        // A key stands in the map too: its octets, pointer and id.
        let in_map: usize = self.map.len() * (size_of::<Box<[u8]>>() + size_of::<u32>() + 16);
        in_map + self.places.octets() + self.octets.octets() + self.lens.octets()
    }
}

fn key_at<'a>(places: &SlotArena<u32>, octets: &'a SlotArena<u8>, lens: &PagedArray<u32>, id: u32) -> &'a [u8] {
    &octets.get(*places.one(id))[..lens.get(id) as usize]
}
