//! The ordered map from prefix to number, for prefixes of one address size.
//!
//! Keys stand in order of address, then length, so a prefix stands right before everything inside it, and all that a
//! router asks (exact, longest match, covering, more specific, next page) is a search and a few steps.

use std::{collections::BTreeMap, ops::Bound};

/// An address as a number: `u32` for IPv4, `u128` for IPv6.
pub(crate) trait Address: Copy + Ord + Default + std::fmt::Debug {
    /// Address and length in as few octets as they need.
    type Packed: Copy + Default + std::fmt::Debug;

    /// The address with all bits behind the first `len` cleared.
    fn masked(self, len: u8) -> Self;
    /// The address with all bits behind the first `len` set.
    fn filled(self, len: u8) -> Self;
    /// How many leading bits both addresses share.
    fn common_bits(self, other: Self) -> u8;
    fn pack(self, len: u8) -> Self::Packed;
    fn unpack(packed: Self::Packed) -> (Self, u8);
}

macro_rules! address {
    ($number:ty, $octets:literal) => {
        impl Address for $number {
            type Packed = [u8; $octets + 1];

            #[inline]
            fn masked(self, len: u8) -> Self {
                self & !<$number>::MAX.checked_shr(len.into()).unwrap_or(0)
            }

            #[inline]
            fn filled(self, len: u8) -> Self {
                self | <$number>::MAX.checked_shr(len.into()).unwrap_or(0)
            }

            #[inline]
            fn common_bits(self, other: Self) -> u8 {
                (self ^ other).leading_zeros() as u8
            }

            fn pack(self, len: u8) -> Self::Packed {
                let mut packed = [len; $octets + 1];
                packed[..$octets].copy_from_slice(&self.to_be_bytes());
                packed
            }

            fn unpack(packed: Self::Packed) -> (Self, u8) {
                let mut octets = [0; $octets];
                octets.copy_from_slice(&packed[..$octets]);
                (<$number>::from_be_bytes(octets), packed[$octets])
            }
        }
    };
}

address!(u32, 4);
address!(u128, 16);

/// A key: address (bits behind the length are zero) and length.
pub(crate) type Key<A> = (A, u8);

/// Ordered map from prefix to `u32`.
#[derive(Debug, Default)]
pub(crate) struct PrefixMap<A: Address> {
    map: BTreeMap<Key<A>, u32>,
}

impl<A: Address> PrefixMap<A> {
    pub(crate) fn get(&self, key: Key<A>) -> Option<u32> {
        self.map.get(&key).copied()
    }

    /// The value of `key`; where it is new, the value that `make` gives is filed first.
    pub(crate) fn get_or_insert_with(&mut self, key: Key<A>, make: impl FnOnce() -> u32) -> u32 {
        *self.map.entry(key).or_insert_with(make)
    }

    pub(crate) fn remove(&mut self, key: Key<A>) -> Option<u32> {
        self.map.remove(&key)
    }

    /// The largest entry that is not above `key`.
    pub(crate) fn at_or_before(&self, key: Key<A>) -> Option<(Key<A>, u32)> {
        self.map.range(..=key).next_back().map(|(&key, &value)| (key, value))
    }

    /// All entries from `from` on, in order.
    pub(crate) fn range_from(&self, from: Bound<Key<A>>) -> impl Iterator<Item = (Key<A>, u32)> {
        self.map.range((from, Bound::Unbounded)).map(|(&key, &value)| (key, value))
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

    pub(crate) fn octets(&self) -> usize {
        self.map.len() * 32
    }
}
