//! AS sets: single ASes and ranges, sorted and merged.

use crate::{policy::values::AsnRange, types::Asn};

/// A compiled AS set.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct AsSet {
    /// Ascending, neither touching nor overlapping.
    ranges: Vec<AsnRange>,
}

impl AsSet {
    /// Compiles members, in any order.
    pub fn new(members: impl IntoIterator<Item = AsnRange>) -> Self {
        let mut sorted: Vec<AsnRange> = members.into_iter().collect();
        sorted.sort_unstable();
        let mut ranges: Vec<AsnRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match ranges.last_mut() {
                Some(last) if range.min <= last.max.saturating_add(1) => last.max = last.max.max(range.max),
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }

    /// Whether `asn` is in the set.
    #[inline]
    pub fn contains(&self, asn: Asn) -> bool {
        let at = self.ranges.partition_point(|range| range.max < asn.0);
        self.ranges.get(at).is_some_and(|range| range.min <= asn.0)
    }

    /// Whether all of `range` is in the set.
    pub fn covers(&self, range: AsnRange) -> bool {
        let at = self.ranges.partition_point(|known| known.max < range.min);
        self.ranges.get(at).is_some_and(|known| known.min <= range.min && range.max <= known.max)
    }

    /// Whether no AS is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_holds_what_one_of_its_members_holds(members in prop::collection::vec((0..40u32, 0..4u32), 0..12)) {
            // At both ends of the numbers, where a neighbour of a range would wrap.
            for base in [0, u32::MAX - 64] {
                let ranges: Vec<AsnRange> =
                    members.iter().map(|(min, more)| AsnRange { min: base + min, max: base + min + more }).collect();
                let set = AsSet::new(ranges.clone());
                for asn in base..=base + 64 {
                    prop_assert_eq!(set.contains(Asn(asn)), ranges.iter().any(|range| range.contains(asn)));
                }
            }
        }
    }
}
