//! Which declared rules concern a prefix. Nearly all prefixes of a full table concern none, so that answer costs one look
//! at a small bitmap; the others are found in an ordered list.
//!
//! A rule for a default route is about the default route alone: all that is routed lies inside it, and is no part of it.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::{Settings, WatchAsn, WatchPrefix};
use crate::types::{Asn, Prefix};

/// How a rule's prefix and another one lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    /// They are the same.
    Same,
    /// The other lies inside the rule's.
    MoreSpecific,
    /// The other lies around the rule's.
    Covering,
}

/// Declared rules, to be asked by prefix.
#[derive(Debug, Default)]
pub struct Watch {
    rules: BTreeMap<Prefix, WatchPrefix>,
    asns: BTreeMap<Asn, WatchAsn>,
    /// Lengths of rules' prefixes, IPv4 and IPv6.
    lengths: [BTreeSet<u8>; 2],
    /// One bit per /16 of IPv4 that a rule touches.
    touched_v4: Box<[u64]>,
    /// One bit per hash of an IPv6 /32 that a rule touches.
    touched_v6: Box<[u64]>,
    /// A rule for IPv6 is shorter than /32: everything may be touched.
    all_v6: bool,
}

/// Bits of each bitmap.
const BITS: usize = 1 << 16;

impl Watch {
    /// The rules of `settings`. Of two rules for one prefix the later counts; the configuration refuses them.
    pub fn new(settings: &Settings) -> Self {
        let mut watch = Self {
            rules: settings.prefixes.iter().map(|rule| (rule.prefix, rule.clone())).collect(),
            asns: settings.asns.iter().map(|rule| (rule.asn, rule.clone())).collect(),
            touched_v4: vec![0; BITS / 64].into(),
            touched_v6: vec![0; BITS / 64].into(),
            ..Self::default()
        };
        for prefix in watch.rules.keys() {
            watch.lengths[usize::from(!prefix.is_v4())].insert(prefix.len());
            match *prefix {
                Prefix::V4 { len: 0, .. } | Prefix::V6 { len: 0, .. } => {}
                Prefix::V4 { addr, len } => {
                    let first = (addr >> 16) as usize;
                    let count = if len >= 16 { 1 } else { 1 << (16 - len) };
                    (first..first + count).for_each(|bit| watch.touched_v4[bit / 64] |= 1 << (bit % 64));
                }
                Prefix::V6 { addr, len } if len >= 32 => {
                    let bit = v6_bit(addr);
                    watch.touched_v6[bit / 64] |= 1 << (bit % 64);
                }
                Prefix::V6 { .. } => watch.all_v6 = true,
            }
        }
        watch
    }

    /// Whether a rule may concern `prefix`: false is certain.
    #[inline]
    pub fn may_concern(&self, prefix: Prefix) -> bool {
        let bit = match prefix {
            // A shorter one may lie around a rule's prefix; there are few of them.
            Prefix::V4 { len: ..16, .. } => return !self.lengths[0].is_empty(),
            Prefix::V6 { len: ..32, .. } => return !self.lengths[1].is_empty(),
            Prefix::V4 { addr, .. } => return has(&self.touched_v4, (addr >> 16) as usize),
            Prefix::V6 { addr, .. } => v6_bit(addr),
        };
        self.all_v6 || has(&self.touched_v6, bit)
    }

    /// The rule for exactly this prefix.
    pub fn rule(&self, prefix: Prefix) -> Option<&WatchPrefix> {
        self.rules.get(&prefix)
    }

    /// The most specific rule whose prefix covers `prefix` and is not the same; one for a default route never is.
    pub fn parent(&self, prefix: Prefix) -> Option<&WatchPrefix> {
        let lengths = self.lengths[usize::from(!prefix.is_v4())].range(1..prefix.len().max(1));
        lengths.rev().find_map(|len| {
            let around = Prefix::new(prefix.addr(), *len).ok()?;
            self.rules.get(&around)
        })
    }

    /// Rules whose prefixes lie inside `prefix` and are not the same, in order.
    pub fn inside(&self, prefix: Prefix) -> impl Iterator<Item = &WatchPrefix> {
        let behind = self.rules.range(prefix..).take_while(move |(inner, _)| prefix.covers(inner));
        behind.filter(move |(inner, _)| **inner != prefix).map(|(_, rule)| rule)
    }

    /// How the rules concern `prefix`; `None`: not at all.
    pub fn concerns(&self, prefix: Prefix) -> Option<Relation> {
        if !self.may_concern(prefix) {
            None
        } else if self.rule(prefix).is_some() {
            Some(Relation::Same)
        } else if self.parent(prefix).is_some() {
            Some(Relation::MoreSpecific)
        } else {
            self.inside(prefix).next().map(|_| Relation::Covering)
        }
    }

    /// The rule for an AS.
    pub fn asn(&self, asn: Asn) -> Option<&WatchAsn> {
        self.asns.get(&asn)
    }

    /// Whether any AS is watched.
    pub fn watches_asns(&self) -> bool {
        !self.asns.is_empty()
    }

    /// All rules about prefixes, in order.
    pub fn rules(&self) -> impl Iterator<Item = &WatchPrefix> {
        self.rules.values()
    }

    /// All rules about ASes, in order.
    pub fn asns(&self) -> impl Iterator<Item = &WatchAsn> {
        self.asns.values()
    }
}

#[inline]
fn has(bitmap: &[u64], bit: usize) -> bool {
    bitmap.get(bit / 64).is_some_and(|word| word & 1 << (bit % 64) != 0)
}

/// The bit of an IPv6 address's first 32 bits.
#[inline]
fn v6_bit(addr: u128) -> usize {
    let network = (addr >> 96) as u32;
    (network.wrapping_mul(0x9e37_79b1) >> 16) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix() -> impl Strategy<Value = Prefix> {
        prop_oneof![
            (0..4_u32, 0..=32_u8, any::<u32>()).prop_map(|(top, len, low)| Prefix::v4(top << 30 | low >> 12, len)),
            (0..4_u128, 0..=64_u8, any::<u64>())
                .prop_map(|(top, len, low)| Prefix::v6(top << 120 | u128::from(low) << 60, len)),
        ]
    }

    proptest! {
        #[test]
        fn the_quick_answer_is_the_slow_one(
            rules in prop::collection::vec(prefix(), 0..12), asked in prop::collection::vec(prefix(), 1..40),
        ) {
            let mut settings = Settings::new(Asn(64500));
            settings.prefixes = rules.iter().map(|prefix| WatchPrefix::new(*prefix, vec![])).collect();
            let watch = Watch::new(&settings);
            for asked in asked.iter().chain(&rules) {
                let same = rules.contains(asked);
                let around = rules.iter().any(|rule| rule.len() > 0 && rule.covers(asked));
                let inside = rules.iter().any(|rule| asked.covers(rule));
                let slow = match (same, around, inside) {
                    (true, ..) => Some(Relation::Same),
                    (_, true, _) => Some(Relation::MoreSpecific),
                    (.., true) => Some(Relation::Covering),
                    _ => None,
                };
                prop_assert_eq!(watch.concerns(*asked), slow, "{}", asked);
                let around = rules.iter().filter(|rule| rule.len() > 0 && rule.covers(asked) && *rule != asked);
                let longest = around.max_by_key(|p| p.len());
                prop_assert_eq!(watch.parent(*asked).map(|rule| rule.prefix), longest.copied());
            }
        }
    }
}
