//! Prefix sets: whether one of many `prefix ge N le M` holds a prefix.
//!
//! # What we do
//! A member `p ge N le M` holds a prefix `q` when `p` covers it and its length is from N to M. N is at least the length
//! of `p`, so that a member which covers only the first address of `q` and not all of it never has the length of `q`
//! in its range. Hence "which lengths are held at this address" is all there is to know:
//!
//! 1. Members are sorted by address, then length, so a member comes behind those that cover it.
//! 2. One walk over them with a stack of the covering ones cuts the addresses into intervals with the same lengths.
//! 3. A question is a predecessor search for the interval and a look at one bit. What a search costs is cache misses, so
//!    an interval holds all that is asked of it, and in front of many intervals stands a directory of equal parts of the
//!    addresses, each with some eight intervals.
//! 4. For IPv4 prefixes of up to 24 bits, nearly all there are, a set of many intervals has its answers ready: one bit
//!    for each of the 2^25 possible prefixes, 4 MiB. Such a question is one read, and reads for several prefixes do not
//!    wait for each other.
//!
//! A set takes 8 octets per IPv4 interval and 32 per IPv6 interval, of which there are at most twice the members, a
//! directory of at most 4 MiB, and from 2^17 IPv4 intervals on the 4 MiB of answers.
//!
//! `benches/run prefix-set` shows what a set of 1,000,000 prefixes costs at start and on ingest, beside BIRD.

use std::{
    hash::{Hash, Hasher},
    net::IpAddr,
    ops::Range,
};

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
    answers: Answers,
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
        let v4 = Intervals::new(v4);
        let answers = if v4.intervals.len() >= ANSWERS_FROM { Answers::new(&v4) } else { Answers::default() };
        Self { v4, v6: Intervals::new(v6), answers }
    }

    /// Whether a member holds `prefix`.
    #[inline]
    pub fn contains(&self, prefix: Prefix) -> bool {
        match prefix {
            Prefix::V4 { addr, len } => match self.answers.to(addr, len) {
                Some(held) => held,
                None => self.v4.lengths_at(addr).is_some_and(|lengths| lengths.contains(len)),
            },
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
        !self.v4.intervals.is_empty()
    }

    /// Whether an IPv6 prefix is held.
    pub fn has_v6(&self) -> bool {
        !self.v6.intervals.is_empty()
    }

    /// Octets allocated.
    pub fn allocated_octets(&self) -> usize {
        self.v4.allocated_octets() + self.v6.allocated_octets() + size_of_val(&*self.answers.words)
    }
}

/// Whether each IPv4 prefix of up to [`ANSWERS_BITS`] bits is held, or nothing for a set of few intervals.
///
/// Prefixes are numbered as nodes of a binary tree are, from 1: the number of a prefix are its bits behind a one.
#[derive(Clone, Default)]
struct Answers {
    words: Box<[u64]>,
}

/// Intervals that are worth answers: 1 MiB of them, more than the cache next to a core holds beside the tables.
const ANSWERS_FROM: usize = 1 << 17;
/// Longest prefixes that have an answer. Longer ones are rare, since hardly anybody takes them.
const ANSWERS_BITS: u8 = 24;

impl Answers {
    fn new(v4: &Intervals<u32>) -> Self {
        let mut words = vec![0u64; (2 << ANSWERS_BITS) / 64].into_boxed_slice();
        let end = 1u64 << 32;
        let ends = v4.intervals.iter().skip(1).map(|next| u64::from(next.from)).chain([end]);
        for (interval, end) in v4.intervals.iter().zip(ends) {
            let Some(lengths) = v4.lengths.get(interval.held as usize) else { continue };
            for len in (0..=ANSWERS_BITS).filter(|len| lengths.contains(*len)) {
                // Prefixes whose first address is in the interval.
                let number = |address: u64| (1usize << len) + address.div_ceil(1 << (32 - len)) as usize;
                fill(&mut words, number(interval.from.into())..number(end));
            }
        }
        Self { words }
    }

    /// The answer to a prefix; `None`: it has to be looked for.
    #[inline]
    fn to(&self, address: u32, len: u8) -> Option<bool> {
        if len > ANSWERS_BITS {
            return None;
        }
        let number = 1usize << len | (u64::from(address) >> (32 - len)) as usize;
        self.words.get(number / 64).map(|word| word >> (number % 64) & 1 == 1)
    }
}

/// Sets bits, a word at a time.
fn fill(words: &mut [u64], bits: Range<usize>) {
    let mut at = bits.start;
    while at < bits.end {
        let behind = bits.end.min((at / 64 + 1) * 64);
        let ones = u64::MAX >> (64 - (behind - at));
        if let Some(word) = words.get_mut(at / 64) {
            *word |= ones << (at % 64);
        }
        at = behind;
    }
}

/// Answers follow from intervals, which are compared and hashed themselves.
impl PartialEq for Answers {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Answers {}

impl Hash for Answers {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} words", self.words.len())
    }
}

/// Addresses of one family as numbers.
trait Address: Copy + Ord + Hash {
    /// The first address behind the prefix `self/len`; `None` at the end of all addresses.
    fn behind(self, len: u8) -> Option<Self>;
    /// The 64 high bits; in order like the address itself.
    fn high(self) -> u64;
}

impl Address for u32 {
    fn behind(self, len: u8) -> Option<Self> {
        let size = 1u64 << (32 - u32::from(len));
        u32::try_from(u64::from(self) + size).ok()
    }

    #[inline]
    fn high(self) -> u64 {
        u64::from(self) << 32
    }
}

impl Address for u128 {
    fn behind(self, len: u8) -> Option<Self> {
        // A shift by all bits is no shift: /0 ends where addresses end.
        1u128.checked_shl(128 - u32::from(len)).and_then(|size| self.checked_add(size))
    }

    #[inline]
    fn high(self) -> u64 {
        (self >> 64) as u64
    }
}

/// Where among many intervals to search: the addresses between the first and the last one in equal parts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Directory {
    /// High bits of the first interval.
    base: u64,
    /// Which of the bits behind `base` are not looked at.
    shift: u32,
    /// How many intervals begin below each part; one more than parts.
    below: Vec<u32>,
}

/// Intervals that are worth a directory.
const DIRECTORY_FROM: usize = 256;
/// How many intervals a part is to have, where they are spread evenly.
const PER_PART: usize = 8;
/// Most parts: 4 MiB.
const PARTS_MAX: usize = 1 << 20;

impl Directory {
    /// Over `intervals`; `None` when there are few.
    fn new<K: Address>(intervals: &[Interval<K>]) -> Option<Self> {
        let (first, last) = intervals.first().zip(intervals.last()).filter(|_| intervals.len() >= DIRECTORY_FROM)?;
        let base = first.from.high();
        let wanted = (intervals.len() / PER_PART).min(PARTS_MAX) as u64;
        let span = last.from.high() - base;
        let shift = (0..64).find(|shift| span >> shift < wanted).unwrap_or(63);
        let mut below = Vec::new();
        for (count, interval) in intervals.iter().enumerate() {
            let part = (interval.from.high() - base) >> shift;
            while (below.len() as u64) <= part {
                below.push(count as u32); // at most twice the members, of which there are fewer than 2^31
            }
        }
        below.push(intervals.len() as u32);
        Some(Self { base, shift, below })
    }

    /// Among which intervals an address stands that begins with these bits, or right behind the one in front of them.
    #[inline]
    fn among(&self, high: u64) -> Range<usize> {
        let Some(offset) = high.checked_sub(self.base) else { return 0..0 };
        let last = self.below.len() - 2; // at least one part, and the end
        let part = usize::try_from(offset >> self.shift).map_or(last, |part| part.min(last));
        let below = |part: usize| self.below.get(part).map_or(0, |count| *count as usize);
        below(part)..below(part + 1)
    }
}

/// Addresses from `from` to the next interval, and which lengths are held there, as a number in `Intervals::lengths`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Interval<K> {
    from: K,
    held: u32,
}

/// Addresses cut into intervals, ascending; in front of the first one no length is held.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Intervals<K> {
    intervals: Vec<Interval<K>>,
    lengths: Vec<Lengths>,
    directory: Option<Directory>,
}

impl<K> Default for Intervals<K> {
    fn default() -> Self {
        Self { intervals: Vec::new(), lengths: Vec::new(), directory: None }
    }
}

impl<K: Address> Intervals<K> {
    /// Cuts for members of (address, length, shortest, longest).
    fn new(mut members: Vec<(K, u8, u8, u8)>) -> Self {
        members.sort_unstable();
        members.dedup();
        let mut cuts = Cuts { done: Self::default(), known: FxHashMap::default() };
        // Members that cover the current address, outermost first: where each ends, and what is held inside it.
        let mut open: Vec<(Option<K>, Lengths)> = Vec::new();
        let held = |open: &[(Option<K>, Lengths)]| open.last().map_or(Lengths::default(), |(_, lengths)| *lengths);
        for (address, len, min, max) in members {
            while let Some((Some(end), _)) =
                open.last().copied().filter(|(end, _)| end.is_some_and(|end| end <= address))
            {
                open.pop();
                cuts.at(end, held(&open));
            }
            let lengths = held(&open).with(min, max);
            open.push((address.behind(len), lengths));
            cuts.at(address, lengths);
        }
        while let Some((end, _)) = open.pop() {
            if let Some(end) = end {
                cuts.at(end, held(&open));
            }
        }
        let mut done = cuts.done;
        done.directory = Directory::new(&done.intervals);
        done.intervals.shrink_to_fit();
        done
    }

    #[inline]
    fn lengths_at(&self, address: K) -> Option<&Lengths> {
        let Range { start, end } = match &self.directory {
            Some(directory) => directory.among(address.high()),
            None => 0..self.intervals.len(),
        };
        let among = self.intervals.get(start..end).unwrap_or_default();
        let at = (start + among.partition_point(|interval| interval.from <= address)).checked_sub(1)?;
        self.lengths.get(self.intervals.get(at)?.held as usize)
    }

    fn allocated_octets(&self) -> usize {
        self.intervals.capacity() * size_of::<Interval<K>>()
            + self.lengths.capacity() * size_of::<Lengths>()
            + self.directory.as_ref().map_or(0, |directory| directory.below.capacity() * size_of::<u32>())
    }
}

/// Intervals while they are cut, at ascending addresses.
struct Cuts<K> {
    done: Intervals<K>,
    known: FxHashMap<Lengths, u32>,
}

impl<K: Address> Cuts<K> {
    /// From `address` on, `lengths` are held. A second cut at one address replaces the first; one that changes
    /// nothing is none.
    fn at(&mut self, address: K, lengths: Lengths) {
        let Intervals { intervals, lengths: all, .. } = &mut self.done;
        if intervals.last().is_some_and(|last| last.from == address) {
            intervals.pop();
        }
        let before = intervals.last().and_then(|last| all.get(last.held as usize)).copied().unwrap_or_default();
        if before == lengths {
            return;
        }
        let held = *self.known.entry(lengths).or_insert_with(|| {
            all.push(lengths);
            (all.len() - 1) as u32 // fewer than cuts
        });
        intervals.push(Interval { from: address, held });
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
                Prefix::v6((u128::from(place) << 96) | if high { u128::from(u32::MAX) } else { 0 }, len)
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
            // Such sets are too small to have answers.
            let answers = Answers::new(&compiled.v4);
            for prefix in asked.iter().map(|member| member.prefix).chain(near) {
                let held = set.iter().any(|member| member.contains(&prefix));
                prop_assert_eq!(compiled.contains(prefix), held, "{} in {:?}", prefix, set);
                if let Prefix::V4 { addr, len } = prefix {
                    let answer = answers.to(addr, len);
                    prop_assert_eq!(answer, (len <= ANSWERS_BITS).then_some(held), "{} in {:?}", prefix, set);
                }
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
    fn a_set_with_answers_says_of_every_prefix_what_its_intervals_say() {
        // Every length from 8 to 32 and ranges across the longest one that has an answer.
        let members: Vec<PrefixRange> = (0..150_000u32)
            .map(|i| {
                let prefix = Prefix::v4(i.wrapping_mul(0x9e37_79b9), 8 + (i % 25) as u8);
                let min_len = prefix.len() + (i % 2) as u8 * u8::from(prefix.len() < 32);
                PrefixRange { prefix, min_len, max_len: (min_len + (i % 4) as u8).min(32) }
            })
            .collect();
        let mut set = PrefixSet::new(&members);
        assert!(!set.answers.words.is_empty(), "large enough for answers: {} intervals", set.v4.intervals.len());
        let most = (4 << 20) + 64 * set.v4.intervals.len();
        assert!(set.allocated_octets() < most, "{} octets", set.allocated_octets());
        let longer = |prefix: Prefix, len: u8| match prefix {
            Prefix::V4 { addr, .. } => Prefix::v4(addr, len),
            Prefix::V6 { .. } => prefix,
        };
        let asked: Vec<Prefix> = (0..400_000u32)
            .map(|i| Prefix::v4(i.wrapping_mul(0x85eb_ca6b), (i % 33) as u8))
            .chain(members.iter().map(|member| member.prefix))
            .chain(members.iter().map(|member| longer(member.prefix, member.max_len)))
            .collect();
        let with: Vec<bool> = asked.iter().map(|prefix| set.contains(*prefix)).collect();
        set.answers = Answers::default();
        let without: Vec<bool> = asked.iter().map(|prefix| set.contains(*prefix)).collect();
        assert!(with == without && with.contains(&true) && with.contains(&false));
    }

    #[test]
    fn answers_reach_from_the_first_prefix_to_the_last() {
        let all = PrefixRange { prefix: Prefix::v4(0, 0), min_len: 0, max_len: 32 };
        let last = PrefixRange::exact(Prefix::v4(0xffff_ff00, 24));
        for (member, first_held) in [(all, true), (last, false)] {
            let answers = Answers::new(&PrefixSet::new(&[member]).v4);
            assert_eq!(answers.to(0xffff_ff00, 24), Some(true));
            assert_eq!([answers.to(0, 0), answers.to(0, 1), answers.to(0, 24)], [Some(first_held); 3]);
            assert_eq!([answers.to(0x8000_0000, 1), answers.to(0xffff_fe00, 24)], [Some(first_held); 2]);
            assert_eq!(answers.to(0, 25), None);
        }
    }

    #[test]
    fn a_set_with_a_directory_answers_like_its_members() {
        for v4 in [true, false] {
            let members = spread(3000, v4);
            let set = PrefixSet::new(&members);
            assert!(set.v4.directory.is_some() || set.v6.directory.is_some(), "large enough for a directory");
            for asked in spread(6000, v4).iter().step_by(7) {
                let held = members.iter().any(|member| member.contains(&asked.prefix));
                assert_eq!(set.contains(asked.prefix), held, "{}", asked.prefix);
            }
        }
    }
}
