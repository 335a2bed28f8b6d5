//! Communities as policies write them: one of four kinds, told apart by form, with `*` and ranges where a set or a
//! removal may name many: `64500:1`, `64500:*`, `64500:100-199`, `64500:1:*`, `rt:64500:*`, `soo:*:1`, `ext:*`, and with
//! an IPv6 address in brackets `rt:[2001:db8::1]:*`, `soo:[*]:1`, `ext6:*`.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::values::part;
use crate::wire::bgp::{
    attribute::code,
    community::{Community, ExtCommunity, Ipv6ExtCommunity, LargeCommunity},
};

/// What would be accepted as one community.
const ONE: &str = "write 64500:1 or a name such as no-export, 64500:1:2 (large), or rt:64500:1, soo:64500:1, ovs:valid, \
                   rt:[2001:db8::1]:1 or 0x and 16 or 40 hex digits (extended)";
/// What would be accepted as a pattern.
const MANY: &str = "; with * or a range for a part: 64500:*, 64500:100-199, 64500:1:*, rt:64500:*, or ext:* for all \
                    extended ones and ext6:* for those of an IPv6 address";

/// One community of any of the four kinds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AnyCommunity {
    /// RFC 1997.
    Standard(Community),
    /// RFC 8092.
    Large(LargeCommunity),
    /// RFC 4360.
    Extended(ExtCommunity),
    /// RFC 5701: of an attribute of its own.
    Ipv6Extended(Ipv6ExtCommunity),
}

impl AnyCommunity {
    /// The attribute that holds communities of this kind.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Standard(_) => code::COMMUNITIES,
            Self::Large(_) => code::LARGE_COMMUNITIES,
            Self::Extended(_) => code::EXT_COMMUNITIES,
            Self::Ipv6Extended(_) => code::IPV6_EXT_COMMUNITIES,
        }
    }

    /// Hands the octets of the wire to `with`.
    pub(super) fn with_octets<T>(self, with: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Standard(community) => with(&community.0.to_be_bytes()),
            Self::Large(community) => with(&community.to_octets()),
            Self::Extended(community) => with(&community.0.to_be_bytes()),
            Self::Ipv6Extended(community) => with(&community.0),
        }
    }
}

impl FromStr for AnyCommunity {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let standard = s.parse().map(Self::Standard).ok();
        let large = || s.parse().map(Self::Large).ok();
        // Sixteen digits without `0x` could be a slip for anything.
        let is_extended = s.starts_with("0x") || s.contains(':');
        let extended = || s.parse().map(Self::Extended).ok().filter(|_| is_extended);
        let ipv6 = || s.parse().map(Self::Ipv6Extended).ok();
        let any = standard.or_else(large).or_else(extended).or_else(ipv6);
        any.ok_or_else(|| format!("`{s}` is not a community: {ONE}"))
    }
}

impl fmt::Display for AnyCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(community) => community.fmt(f),
            Self::Large(community) => community.fmt(f),
            Self::Extended(community) => community.fmt(f),
            Self::Ipv6Extended(community) => community.fmt(f),
        }
    }
}

/// Communities of one kind: a member of a community set.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CommunityPattern {
    /// Standard ones, by the range of each half.
    Standard {
        /// First and last of the high half.
        high: (u16, u16),
        /// First and last of the low half.
        low: (u16, u16),
    },
    /// Large ones, by the range of each part.
    Large([(u32, u32); 3]),
    /// Extended ones: those that have one of the values behind its mask, as (mask, value).
    Extended(Vec<(u64, u64)>),
    /// Extended ones of an IPv6 address: those that have the value behind the mask.
    Ipv6Extended {
        /// Which octets count.
        mask: [u8; 20],
        /// What they are; 0 where they do not count.
        value: [u8; 20],
    },
}

/// Sub-types of extended communities that patterns know by name (RFC 4360 §4, §5), as `wire` does.
const SUBTYPES: [(&str, u8); 3] = [("rt", 2), ("soo", 3), ("ro", 3)];

/// Masks of an extended community: type and sub-type; two- and four-octet administrator; what is behind each.
const KIND: u64 = 0xffff << 48;
const ADMIN_2: u64 = 0xffff << 32;
const ADMIN_4: u64 = 0xffff_ffff << 16;
const LOCAL_4: u64 = 0xffff_ffff;
const LOCAL_2: u64 = 0xffff;

impl CommunityPattern {
    /// Whether a standard community fits.
    #[inline]
    pub fn fits_standard(&self, community: Community) -> bool {
        let (value_high, value_low) = ((community.0 >> 16) as u16, community.0 as u16);
        matches!(self, Self::Standard { high, low }
            if (high.0..=high.1).contains(&value_high) && (low.0..=low.1).contains(&value_low))
    }

    /// Whether a large community fits.
    #[inline]
    pub fn fits_large(&self, community: LargeCommunity) -> bool {
        let Self::Large(parts) = self else { return false };
        let values = [community.global, community.local1, community.local2];
        parts.iter().zip(values).all(|((min, max), value)| (*min..=*max).contains(&value))
    }

    /// Whether an extended community fits.
    #[inline]
    pub fn fits_extended(&self, community: ExtCommunity) -> bool {
        matches!(self, Self::Extended(masks) if masks.iter().any(|(mask, value)| community.0 & mask == *value))
    }

    /// Whether an extended community of an IPv6 address fits.
    #[inline]
    pub fn fits_ipv6_extended(&self, community: Ipv6ExtCommunity) -> bool {
        let Self::Ipv6Extended { mask, value } = self else { return false };
        community.0.iter().zip(mask).zip(value).all(|((octet, mask), value)| octet & mask == *value)
    }

    /// The only community that fits, where there is one.
    pub fn single(&self) -> Option<AnyCommunity> {
        match self {
            Self::Standard { high, low } if high.0 == high.1 && low.0 == low.1 => {
                Some(AnyCommunity::Standard(Community(u32::from(high.0) << 16 | u32::from(low.0))))
            }
            Self::Large([global, local1, local2]) if [global, local1, local2].iter().all(|part| part.0 == part.1) => {
                let community = LargeCommunity { global: global.0, local1: local1.0, local2: local2.0 };
                Some(AnyCommunity::Large(community))
            }
            Self::Extended(masks) => match masks.as_slice() {
                [(u64::MAX, value)] => Some(AnyCommunity::Extended(ExtCommunity(*value))),
                _ => None,
            },
            Self::Ipv6Extended { mask, value } if *mask == [u8::MAX; 20] => {
                Some(AnyCommunity::Ipv6Extended(Ipv6ExtCommunity(*value)))
            }
            _ => None,
        }
    }

    /// Whether `text` has the form of a community, right or wrong: then it is not the name of a set.
    pub fn is_form_of_one(text: &str) -> bool {
        text.contains(':') || text.starts_with("0x") || text.parse::<Community>().is_ok()
    }
}

impl From<AnyCommunity> for CommunityPattern {
    fn from(community: AnyCommunity) -> Self {
        match community {
            AnyCommunity::Standard(Community(value)) => {
                let (high, low) = ((value >> 16) as u16, value as u16);
                Self::Standard { high: (high, high), low: (low, low) }
            }
            AnyCommunity::Large(LargeCommunity { global, local1, local2 }) => {
                Self::Large([(global, global), (local1, local1), (local2, local2)])
            }
            AnyCommunity::Extended(ExtCommunity(value)) => Self::Extended(vec![(u64::MAX, value)]),
            AnyCommunity::Ipv6Extended(Ipv6ExtCommunity(value)) => Self::Ipv6Extended { mask: [u8::MAX; 20], value },
        }
    }
}

impl FromStr for CommunityPattern {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        if let Ok(community) = s.parse::<AnyCommunity>() {
            return Ok(community.into());
        }
        let wrong = || format!("`{s}` is not a community: {ONE}{MANY}");
        let parts: Vec<&str> = s.split(':').collect();
        let extended = || extended_pattern(&parts).map(Self::Extended);
        let standard = || match parts.as_slice() {
            [high, low] => Some(Self::Standard { high: part(high, 0..=u16::MAX)?, low: part(low, 0..=u16::MAX)? }),
            [a, b, c] => {
                let whole = 0..=u32::MAX;
                Some(Self::Large([part(a, whole.clone())?, part(b, whole.clone())?, part(c, whole)?]))
            }
            _ => None,
        };
        ipv6_pattern(s).or_else(extended).or_else(standard).ok_or_else(wrong)
    }
}

/// `ext:*`, `ovs:*`, `rt:*`, `rt:ADMIN:*`, `rt:*:VALUE`, `rt:*:*` with the three forms of an administrator.
fn extended_pattern(parts: &[&str]) -> Option<Vec<(u64, u64)>> {
    let subtype = |name: &str| SUBTYPES.iter().find(|(known, _)| *known == name).map(|(_, subtype)| *subtype);
    match parts {
        ["ext", "*"] => Some(vec![(0, 0)]),
        ["ovs", "*"] => Some(vec![(KIND, 0x43 << 56)]),
        [name, "*"] | [name, "*", "*"] => {
            let subtype = subtype(name)?;
            Some((0..3).map(|form| (KIND, kind(form, subtype))).collect())
        }
        [name, "*", value] => {
            let (subtype, value) = (subtype(name)?, value.parse::<u32>().ok()?);
            let two_octet_as = (KIND | LOCAL_4, kind(0, subtype) | u64::from(value));
            // The forms with four octets of administrator have two left.
            let others = (1..3).filter(|_| value <= 0xffff);
            let others = others.map(|form| (KIND | LOCAL_2, kind(form, subtype) | u64::from(value)));
            Some([two_octet_as].into_iter().chain(others).collect())
        }
        [name, admin, "*"] => {
            let subtype = subtype(name)?;
            if let Ok(address) = admin.parse::<Ipv4Addr>() {
                return Some(vec![(KIND | ADMIN_4, kind(1, subtype) | u64::from(u32::from(address)) << 16)]);
            }
            let four = |asn: u32| vec![(KIND | ADMIN_4, kind(2, subtype) | u64::from(asn) << 16)];
            if let Some(asn) = admin.strip_suffix('L') {
                return asn.parse().ok().map(four);
            }
            let asn: u32 = admin.parse().ok()?;
            Some(match u16::try_from(asn) {
                Ok(asn) => vec![(KIND | ADMIN_2, kind(0, subtype) | u64::from(asn) << 32)],
                Err(_) => four(asn),
            })
        }
        _ => None,
    }
}

/// `ext6:*`, `rt:[ADDRESS]:*`, `rt:[*]:VALUE`, `rt:[*]:*` (RFC 5701 §2: two octets of type, an address, two octets).
fn ipv6_pattern(text: &str) -> Option<CommunityPattern> {
    let (mut mask, mut value) = ([0; 20], [0; 20]);
    if text == "ext6:*" {
        return Some(CommunityPattern::Ipv6Extended { mask, value });
    }
    let (name, rest) = text.split_once(":[")?;
    let (address, local) = rest.split_once("]:")?;
    let (_, subtype) = SUBTYPES.iter().find(|(known, _)| *known == name)?;
    let mut ask = |from: usize, octets: &[u8]| {
        let places = mask.iter_mut().zip(&mut value).skip(from);
        places.zip(octets).for_each(|((mask, value), octet)| (*mask, *value) = (u8::MAX, *octet));
    };
    ask(0, &[0, *subtype]);
    if address != "*" {
        ask(2, &address.parse::<Ipv6Addr>().ok()?.octets());
    }
    if local != "*" {
        ask(18, &local.parse::<u16>().ok()?.to_be_bytes());
    }
    Some(CommunityPattern::Ipv6Extended { mask, value })
}

/// Type and sub-type: `form` 0 is a two-octet AS, 1 an address (RFC 4360 §3), 2 a four-octet AS (RFC 5668).
fn kind(form: u64, subtype: u8) -> u64 {
    form << 56 | u64::from(subtype) << 48
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, community: &str) -> bool {
        let pattern: CommunityPattern = pattern.parse().unwrap();
        match community.parse().unwrap() {
            AnyCommunity::Standard(community) => pattern.fits_standard(community),
            AnyCommunity::Large(community) => pattern.fits_large(community),
            AnyCommunity::Extended(community) => pattern.fits_extended(community),
            AnyCommunity::Ipv6Extended(community) => pattern.fits_ipv6_extended(community),
        }
    }

    #[test]
    fn the_form_tells_the_kind_and_a_star_or_range_stands_for_a_part() {
        for (pattern, community, expected) in [
            ("64500:1", "64500:1", true),
            ("64500:1", "64500:2", false),
            ("64500:1", "64500:1:1", false),
            ("no-export", "65535:65281", true),
            ("64500:*", "64500:65535", true),
            ("64500:*", "64501:1", false),
            ("*:1", "64501:1", true),
            ("*:*", "64501:1", true),
            ("*:*", "64501:1:1", false),
            ("*:*", "rt:64500:1", false),
            ("64500:100-199", "64500:199", true),
            ("64500:100-199", "64500:200", false),
            ("64500:1:*", "64500:1:4294967295", true),
            ("64500:1:*", "64500:2:1", false),
            ("64500:*:7-9", "64500:2:8", true),
            ("rt:64500:1", "rt:64500:1", true),
            ("rt:64500:1", "soo:64500:1", false),
            ("rt:64500:*", "rt:64500:70000", true),
            // RFC 5668: a small AS in the four-octet form is another community.
            ("rt:64500:*", "rt:64500L:1", false),
            ("rt:64500L:*", "rt:64500L:1", true),
            ("rt:65536:*", "rt:65536:1", true),
            ("rt:192.0.2.1:*", "rt:192.0.2.1:9", true),
            ("rt:192.0.2.1:*", "rt:192.0.2.2:9", false),
            ("soo:*:1", "soo:64500:1", true),
            ("soo:*:1", "ro:192.0.2.1:1", true),
            ("soo:*:1", "soo:65536:1", true),
            ("soo:*:1", "soo:65536:2", false),
            ("soo:*:70000", "soo:64500:70000", true),
            ("rt:*", "rt:65536:2", true),
            ("rt:*", "soo:65536:2", false),
            ("rt:*:*", "rt:192.0.2.1:2", true),
            ("ovs:*", "ovs:invalid", true),
            ("ovs:*", "rt:64500:1", false),
            ("ext:*", "ovs:invalid", true),
            ("ext:*", "0x80ff000049742400", true),
            ("ext:*", "64500:1", false),
            // RFC 5701: another attribute, so `rt:*` and `ext:*` do not speak of it.
            ("rt:[2001:db8::1]:1", "rt:[2001:db8::1]:1", true),
            ("rt:[2001:db8::1]:1", "rt:[2001:db8::1]:2", false),
            ("rt:[2001:db8::1]:*", "rt:[2001:db8::1]:2", true),
            ("rt:[2001:db8::1]:*", "rt:[2001:db8::2]:2", false),
            ("rt:[2001:db8::1]:*", "soo:[2001:db8::1]:2", false),
            ("ro:[*]:7", "soo:[2001:db8::1]:7", true),
            ("soo:[*]:7", "soo:[2001:db8::1]:8", false),
            ("rt:[*]:*", "rt:[::]:0", true),
            ("rt:*", "rt:[2001:db8::1]:2", false),
            ("ext:*", "rt:[2001:db8::1]:2", false),
            ("ext6:*", "rt:[2001:db8::1]:2", true),
            ("ext6:*", "0x4002000000000000000000000000000000000001", true),
            ("ext6:*", "rt:192.0.2.1:2", false),
        ] {
            assert_eq!(fits(pattern, community), expected, "{pattern} {community}");
        }
    }

    #[test]
    fn a_pattern_without_a_star_is_one_community() {
        for (pattern, single) in [("64500:1", true), ("64500:*", false), ("64500:1:2", true), ("64500:1:2-3", false)] {
            assert_eq!(pattern.parse::<CommunityPattern>().unwrap().single().is_some(), single, "{pattern}");
        }
        for text in [
            "64500:1",
            "no-export",
            "64500:1:2",
            "rt:64500:1",
            "ovs:valid",
            "traffic-rate:0:1000000",
            "0x80ff000049742400",
            "rt:[2001:db8::1]:2",
            "0x4002000000000000000000000000000000000001",
        ] {
            let community: AnyCommunity = text.parse().unwrap();
            assert_eq!(CommunityPattern::from(community).single(), Some(community));
            assert_eq!(community.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_community_is_answered_with_the_forms() {
        for wrong in [
            "",
            "64500",
            "65536:1",
            "64500:9-3",
            "1:2:3:4",
            "xx:1:*",
            "rt:*:x",
            "rt:1:2:3",
            "0x12",
            "no-such",
            "rt:[2001:db8::g]:1",
            "rt:[*]:65536",
            "xx:[*]:*",
            "rt:2001:db8::1:9",
        ] {
            let error = wrong.parse::<CommunityPattern>().unwrap_err();
            assert!(error.contains("64500:*") && error.contains("ext:*"), "{wrong}: {error}");
        }
        assert!("0000000000000001".parse::<AnyCommunity>().is_err(), "sixteen digits may be anything");
    }
}
