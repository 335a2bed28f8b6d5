//! Prefix sets: whether one of many `prefix ge N le M` holds a prefix.
//!
//! # What we do
//! A member `p ge N le M` holds a prefix `q` when `p` covers it and its length is from N to M. N is at least the length
//! of `p`, so that a member which covers only the first address of `q` and not all of it never has the length of `q`
//! in its range. Hence "which lengths are held at this address" is all there is to know:
//!
//! 1. Members are sorted by address, then length, so a member comes behind those that cover it.
//! 2. One walk over them with a stack of the covering ones cuts the addresses into intervals with the same lengths.
//! 3. A question is a predecessor search for the interval and a look at one bit. IPv4 has a directory by the high
//!    16 bits in front, IPv6 one of every 64th key: some cache lines per question.
//!
//! A million members are sorted and cut in well under a second, and need 16 octets (IPv4) or 40 (IPv6) each at most;
//! `a_million_members` measures it.

use std::{hash::Hash, net::IpAddr};

use rustc_hash::FxHashMap;

use crate::{policy::values::PrefixRange, types::Prefix};

/// Lengths of prefixes, one bit each: 0 to 128.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
struct Lengths([u64; 3]);

impl Lengths {
    fn with(mut self, min: u8, max: u8) -> Self {
        for len in min..=max {
            self.0[usize::from(len) / 64] |= 1 << (len % 64);
        }
        self
    }

    #[inline]
    fn contains(&self, len: u8) -> bool {
        self.0.get(usize::from(len) / 64).is_some_and(|word| word >> (len % 64) & 1 == 1)
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; 3]
    }
}

/// A compiled prefix set. Equal sets hold the same prefixes in the same intervals.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct PrefixSet {
    v4: Intervals<u32>,
    v6: Intervals<u128>,
}

impl PrefixSet {
    /// Compiles members, in any order.
    pub fn new(members: &[PrefixRange]) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for member in members {
            match member.prefix {
                Prefix::V4 { addr, len } => v4.push((addr, len, member.min_len, member.max_len)),
                Prefix::V6 { addr, len } => v6.push((addr, len, member.min_len, member.max_len)),
            }
        }
        Self { v4: Intervals::new(v4), v6: Intervals::new(v6) }
    }

    /// Whether a member holds `prefix`.
    #[inline]
    pub fn contains(&self, prefix: Prefix) -> bool {
        match prefix {
            Prefix::V4 { addr, len } => self.v4.lengths_at(addr).is_some_and(|lengths| lengths.contains(len)),
            Prefix::V6 { addr, len } => self.v6.lengths_at(addr).is_some_and(|lengths| lengths.contains(len)),
        }
    }

    /// Whether `address` is inside the prefix of a member, whatever lengths the member asks for.
    pub fn covers(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.lengths_at(address.into()),
            IpAddr::V6(address) => self.v6.lengths_at(address.into()),
        }
        .is_some_and(|lengths| !lengths.is_empty())
    }

    /// Whether no prefix is held.
    pub fn is_empty(&self) -> bool {
        !self.has_v4() && !self.has_v6()
    }

    /// Whether an IPv4 prefix is held.
    pub fn has_v4(&self) -> bool {
        !self.v4.keys.is_empty()
    }

    /// Whether an IPv6 prefix is held.
    pub fn has_v6(&self) -> bool {
        !self.v6.keys.is_empty()
    }

    /// Octets allocated.
    pub fn allocated_octets(&self) -> usize {
        self.v4.allocated_octets() + self.v6.allocated_octets()
    }
}

/// Addresses of one family as numbers.
trait Address: Copy + Ord + Hash {
    /// Keys in front of which a directory is worth its memory.
    const DIRECTORY_FROM: usize = 256;
    /// The first address behind the prefix `self/len`; `None` at the end of all addresses.
    fn behind(self, len: u8) -> Option<Self>;
    /// Where in `keys` the ones that are at most `self` end, found with the help of `directory`.
    fn end_of_smaller(self, keys: &[Self], directory: &[u32]) -> usize;
    /// What helps to search `keys`.
    fn directory(keys: &[Self]) -> Vec<u32>;
}

impl Address for u32 {
    fn behind(self, len: u8) -> Option<Self> {
        let size = 1u64 << (32 - u32::from(len));
        u32::try_from(u64::from(self) + size).ok()
    }

    /// Entry N: how many keys have their high 16 bits below N.
    fn directory(keys: &[Self]) -> Vec<u32> {
        let mut directory = Vec::with_capacity((1 << 16) + 1);
        let mut count = 0;
        for high in 0..=1u64 << 16 {
            while keys.get(count).is_some_and(|key| u64::from(*key >> 16) < high) {
                count += 1;
            }
            directory.push(count as u32); // at most twice the members, of which there are fewer than 2^31
        }
        directory
    }

    #[inline]
    fn end_of_smaller(self, keys: &[Self], directory: &[u32]) -> usize {
        let high = (self >> 16) as usize;
        let (Some(&from), Some(&to)) = (directory.get(high), directory.get(high + 1)) else {
            return keys.partition_point(|key| *key <= self);
        };
        let part = keys.get(from as usize..to as usize).unwrap_or_default();
        from as usize + part.partition_point(|key| *key <= self)
    }
}

/// Keys between two entries of an IPv6 directory.
const SAMPLE: usize = 64;

impl Address for u128 {
    fn behind(self, len: u8) -> Option<Self> {
        // A shift by all bits is no shift: /0 ends where addresses end.
        1u128.checked_shl(128 - u32::from(len)).and_then(|size| self.checked_add(size))
    }

    /// The high 32 bits of every 64th key: small enough to stay in the cache.
    fn directory(keys: &[Self]) -> Vec<u32> {
        keys.iter().step_by(SAMPLE).map(|key| (key >> 96) as u32).collect()
    }

    #[inline]
    fn end_of_smaller(self, keys: &[Self], directory: &[u32]) -> usize {
        // Samples may be equal in their high bits: search from the last one below to the first one above.
        let high = (self >> 96) as u32;
        let from = directory.partition_point(|sample| *sample < high).saturating_sub(1) * SAMPLE;
        let to = directory.partition_point(|sample| *sample <= high) * SAMPLE;
        let to = if directory.is_empty() { keys.len() } else { to.min(keys.len()) };
        from + keys.get(from..to).unwrap_or_default().partition_point(|key| *key <= self)
    }
}

/// Addresses cut at `keys`: from each key to the next one the same lengths are held, before the first one none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Intervals<K> {
    keys: Vec<K>,
    /// For each key, which of `lengths` holds.
    held: Vec<u32>,
    lengths: Vec<Lengths>,
    directory: Vec<u32>,
}

impl<K> Default for Intervals<K> {
    fn default() -> Self {
        Self { keys: Vec::new(), held: Vec::new(), lengths: Vec::new(), directory: Vec::new() }
    }
}

impl<K: Address> Intervals<K> {
    /// Cuts for members of (address, length, shortest, longest).
    fn new(mut members: Vec<(K, u8, u8, u8)>) -> Self {
        members.sort_unstable();
        members.dedup();
        let mut cuts = Cuts { intervals: Self::default(), known: FxHashMap::default() };
        // Members that cover the current address, outermost first: where each ends, and what is held inside it.
        let mut open: Vec<(Option<K>, Lengths)> = Vec::new();
        for (address, len, min, max) in members {
            while let Some((Some(end), _)) =
                open.last().copied().filter(|(end, _)| end.is_some_and(|end| end <= address))
            {
                open.pop();
                cuts.at(end, open.last().map_or(Lengths::default(), |(_, lengths)| *lengths));
            }
            let lengths = open.last().map_or(Lengths::default(), |(_, lengths)| *lengths).with(min, max);
            open.push((address.behind(len), lengths));
            cuts.at(address, lengths);
        }
        while let Some((end, _)) = open.pop() {
            if let Some(end) = end {
                cuts.at(end, open.last().map_or(Lengths::default(), |(_, lengths)| *lengths));
            }
        }
        let mut intervals = cuts.intervals;
        if intervals.keys.len() >= K::DIRECTORY_FROM {
            intervals.directory = K::directory(&intervals.keys);
        }
        intervals.keys.shrink_to_fit();
        intervals.held.shrink_to_fit();
        intervals
    }

    #[inline]
    fn lengths_at(&self, address: K) -> Option<&Lengths> {
        let at = address.end_of_smaller(&self.keys, &self.directory).checked_sub(1)?;
        self.lengths.get(*self.held.get(at)? as usize)
    }

    fn allocated_octets(&self) -> usize {
        self.keys.capacity() * size_of::<K>()
            + self.held.capacity() * size_of::<u32>()
            + self.lengths.capacity() * size_of::<Lengths>()
            + self.directory.capacity() * size_of::<u32>()
    }
}

/// Intervals while they are cut, at ascending addresses.
struct Cuts<K> {
    intervals: Intervals<K>,
    known: FxHashMap<Lengths, u32>,
}

impl<K: Address> Cuts<K> {
    /// From `address` on, `lengths` are held. A second cut at one address replaces the first; one that changes
    /// nothing is none.
    fn at(&mut self, address: K, lengths: Lengths) {
        let Intervals { keys, held, lengths: all, .. } = &mut self.intervals;
        if keys.last() == Some(&address) {
            keys.pop();
            held.pop();
        }
        let before = held.last().and_then(|id| all.get(*id as usize)).copied().unwrap_or_default();
        if before == lengths {
            return;
        }
        let id = *self.known.entry(lengths).or_insert_with(|| {
            all.push(lengths);
            (all.len() - 1) as u32 // fewer than cuts
        });
        keys.push(address);
        held.push(id);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Few addresses and lengths, so that members cover, touch and repeat each other.
    fn member(v4: bool) -> impl Strategy<Value = PrefixRange> {
        let bits: u8 = if v4 { 32 } else { 128 };
        let len = prop_oneof![Just(0u8), 1..=6u8, Just(bits - 1), Just(bits)];
        (len, 0..64u32, 0..8u8, 0..8u8, any::<bool>()).prop_map(move |(len, low, more, range, high)| {
            let place = if high { u32::MAX - low } else { low << 26 };
            let prefix = if v4 {
                Prefix::v4(place, len)
            } else {
                Prefix::v6(u128::from(place) << 96 | u128::from(u32::MAX) * u128::from(high), len)
            };
            let min_len = (len + more).min(bits);
            PrefixRange { prefix, min_len, max_len: min_len.saturating_add(range).min(bits) }
        })
    }

    fn members() -> impl Strategy<Value = Vec<PrefixRange>> {
        prop::collection::vec(any::<bool>().prop_flat_map(member), 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn a_set_holds_what_one_of_its_members_holds(
            set in members(),
            asked in prop::collection::vec(any::<bool>().prop_flat_map(member), 1..40),
        ) {
            let compiled = PrefixSet::new(&set);
            let near = set.iter().flat_map(|member| (member.min_len..=member.max_len).map(|len| match member.prefix {
                Prefix::V4 { addr, .. } => Prefix::v4(addr, len),
                Prefix::V6 { addr, .. } => Prefix::v6(addr, len),
            }));
            for prefix in asked.iter().map(|member| member.prefix).chain(near) {
                let held = set.iter().any(|member| member.contains(&prefix));
                prop_assert_eq!(compiled.contains(prefix), held, "{} in {:?}", prefix, set);
                let covered = set.iter().any(|member| member.prefix.contains(prefix.addr()));
                prop_assert_eq!(compiled.covers(prefix.addr()), covered, "{} covered by {:?}", prefix, set);
            }
        }
    }

    /// Addresses spread over the whole space by a multiplication, as hosts of `len` bits.
    fn spread(count: u32, v4: bool) -> Vec<PrefixRange> {
        (0..count)
            .map(|i| {
                let number = i.wrapping_mul(0x9e37_79b9);
                let prefix = if v4 {
                    Prefix::v4(number, 20 + (i % 5) as u8)
                } else {
                    Prefix::v6(0x2000 << 112 | u128::from(number) << 80, 32 + (i % 17) as u8)
                };
                PrefixRange { prefix, min_len: prefix.len(), max_len: prefix.len() + (i % 3) as u8 }
            })
            .collect()
    }

    #[test]
    fn a_set_with_a_directory_answers_like_its_members() {
        for v4 in [true, false] {
            let members = spread(3000, v4);
            let set = PrefixSet::new(&members);
            assert!(set.v4.directory.len() + set.v6.directory.len() > 0, "large enough for a directory");
            for asked in spread(6000, v4).iter().step_by(7) {
                let held = members.iter().any(|member| member.contains(&asked.prefix));
                assert_eq!(set.contains(asked.prefix), held, "{}", asked.prefix);
            }
        }
    }

    /// Run with `cargo test --release -- --ignored --nocapture a_million_members`.
    #[test]
    #[ignore = "a measurement"]
    fn a_million_members() {
        for v4 in [true, false] {
            let text: Vec<String> = spread(1_000_000, v4).iter().map(ToString::to_string).collect();
            let start = std::time::Instant::now();
            let members: Vec<PrefixRange> = text.iter().map(|line| line.parse().unwrap()).collect();
            let parsed = start.elapsed();
            let set = PrefixSet::new(&members);
            let compiled = start.elapsed() - parsed;
            let asked = spread(2_000_000, v4);
            let start = std::time::Instant::now();
            let held = asked.iter().filter(|member| set.contains(member.prefix)).count();
            let random = start.elapsed() / 2_000_000;
            let mut sorted = asked.clone();
            sorted.sort_unstable();
            let start = std::time::Instant::now();
            assert_eq!(held, sorted.iter().filter(|member| set.contains(member.prefix)).count());
            let in_order = start.elapsed() / 2_000_000;
            let octets = set.allocated_octets() / 1_000_000;
            println!(
                "v4 {v4}: parse {parsed:?}, compile {compiled:?}, {octets} octets per member, a question {random:?} \
                 in random order, {in_order:?} in order; {held} held"
            );
        }
    }
}
