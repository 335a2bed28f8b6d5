//! A small set of address families that is cheap to copy and to ask: what was negotiated, per message.

use std::fmt;

use super::Family;

/// Families without a bit of their own that a set can hold. Nothing real negotiates that many.
const OTHERS_MAX: usize = 6;

/// Families with a bit of their own, in the order of the bits.
const BITS: [Family; 17] = [
    Family::IPV4_UNICAST,
    Family::IPV6_UNICAST,
    Family::IPV4_MULTICAST,
    Family::IPV6_MULTICAST,
    Family::IPV4_LABELED,
    Family::IPV6_LABELED,
    Family::VPNV4,
    Family::VPNV6,
    Family::EVPN,
    Family::IPV4_FLOWSPEC,
    Family::IPV6_FLOWSPEC,
    Family::VPNV4_FLOWSPEC,
    Family::VPNV6_FLOWSPEC,
    Family::BGP_LS,
    Family::IPV4_SR_POLICY,
    Family::IPV6_SR_POLICY,
    Family::RTC,
];

/// A set of families: the known ones as bits, at most six others beside them, or simply all there are.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct FamilySet {
    all: bool,
    bits: u32,
    others: [Option<Family>; OTHERS_MAX],
}

impl FamilySet {
    /// No family.
    pub const EMPTY: Self = Self { all: false, bits: 0, others: [None; OTHERS_MAX] };
    /// Every family, known or not.
    pub const ALL: Self = Self { all: true, bits: 0, others: [None; OTHERS_MAX] };

    /// Whether `family` is in the set.
    #[inline]
    pub fn contains(&self, family: Family) -> bool {
        self.all
            || match bit(family) {
                Some(bit) => self.bits & bit != 0,
                None => self.others.contains(&Some(family)),
            }
    }

    /// Adds `family`. False when it is not known by name and six such are in the set already: it is left out.
    pub fn insert(&mut self, family: Family) -> bool {
        if let Some(bit) = bit(family) {
            self.bits |= bit;
            return true;
        }
        if self.others.contains(&Some(family)) {
            return true;
        }
        match self.others.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => {
                *slot = Some(family);
                true
            }
            None => false,
        }
    }

    /// Whether no family is in the set.
    pub fn is_empty(&self) -> bool {
        !self.all && self.bits == 0 && self.others.iter().all(Option::is_none)
    }

    /// The families in the set; for [`FamilySet::ALL`] the known ones.
    pub fn iter(&self) -> impl Iterator<Item = Family> + '_ {
        let known = BITS.into_iter().filter(|family| self.contains(*family));
        known.chain(self.others.into_iter().flatten())
    }
}

impl FromIterator<Family> for FamilySet {
    fn from_iter<T: IntoIterator<Item = Family>>(families: T) -> Self {
        let mut set = Self::EMPTY;
        for family in families {
            set.insert(family);
        }
        set
    }
}

impl fmt::Debug for FamilySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all { f.write_str("{all}") } else { f.debug_set().entries(self.iter()).finish() }
    }
}

#[inline]
fn bit(family: Family) -> Option<u32> {
    Some(
        1 << match (family.afi, family.safi) {
            (1, 1) => 0,
            (2, 1) => 1,
            (1, 2) => 2,
            (2, 2) => 3,
            (1, 4) => 4,
            (2, 4) => 5,
            (1, 128) => 6,
            (2, 128) => 7,
            (25, 70) => 8,
            (1, 133) => 9,
            (2, 133) => 10,
            (1, 134) => 11,
            (2, 134) => 12,
            (16388, 71) => 13,
            (1, 73) => 14,
            (2, 73) => 15,
            (1, 132) => 16,
            _ => return None,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_family_has_its_own_bit() {
        let mut set = FamilySet::EMPTY;
        for (i, family) in BITS.into_iter().enumerate() {
            assert_eq!(bit(family), Some(1 << i));
            assert!(!set.contains(family) && set.insert(family) && set.contains(family), "{family}");
        }
        assert_eq!(set.iter().count(), BITS.len());
        assert!(!set.contains(Family::new(1, 5)));
    }

    #[test]
    fn unknown_families_fit_until_there_are_too_many() {
        let mut set = FamilySet::EMPTY;
        assert!(set.is_empty());
        for safi in 200..206 {
            assert!(set.insert(Family::new(1, safi)) && set.insert(Family::new(1, safi)));
        }
        assert!(!set.insert(Family::new(1, 206)));
        assert!(set.contains(Family::new(1, 205)) && !set.contains(Family::new(1, 206)));
        assert!(FamilySet::ALL.contains(Family::new(9, 9)) && !FamilySet::ALL.is_empty());
    }
}
