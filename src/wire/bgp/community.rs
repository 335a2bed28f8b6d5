//! Communities: standard (RFC 1997), extended (RFC 4360, RFC 5668), IPv6-address-specific extended (RFC 5701) and
//! large (RFC 8092), written as operators write them. What they make a router do is policy, not codec.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::{ext_community_kinds, nlri::hex};

/// Why a text is not a community.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommunityError(pub String);

impl fmt::Display for CommunityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for CommunityError {}

/// A standard community (RFC 1997): `64500:1`, or the name of a well-known one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Community(pub u32);

/// Well-known communities with the RFC that defines each.
const WELL_KNOWN: &[(Community, &str)] = &[
    (Community::GRACEFUL_SHUTDOWN, "graceful-shutdown"),
    (Community::ACCEPT_OWN, "accept-own"),
    (Community::LLGR_STALE, "llgr-stale"),
    (Community::NO_LLGR, "no-llgr"),
    (Community::BLACKHOLE, "blackhole"),
    (Community::NO_EXPORT, "no-export"),
    (Community::NO_ADVERTISE, "no-advertise"),
    (Community::NO_EXPORT_SUBCONFED, "no-export-subconfed"),
    (Community::NO_PEER, "no-peer"),
];

impl Community {
    /// Not beyond the AS or confederation (RFC 1997).
    pub const NO_EXPORT: Self = Self(0xffff_ff01);
    /// To no peer at all (RFC 1997).
    pub const NO_ADVERTISE: Self = Self(0xffff_ff02);
    /// Not beyond the member AS (RFC 1997).
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xffff_ff03);
    /// Not to bilateral peers (RFC 3765).
    pub const NO_PEER: Self = Self(0xffff_ff04);
    /// About to go away (RFC 8326).
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xffff_0000);
    /// Accept although we originated it (RFC 7611).
    pub const ACCEPT_OWN: Self = Self(0xffff_0001);
    /// Long-lived stale (RFC 9494).
    pub const LLGR_STALE: Self = Self(0xffff_0006);
    /// Not to be retained (RFC 9494).
    pub const NO_LLGR: Self = Self(0xffff_0007);
    /// Drop the traffic (RFC 7999).
    pub const BLACKHOLE: Self = Self(0xffff_029a);
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match WELL_KNOWN.iter().find(|(community, _)| community == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "{}:{}", self.0 >> 16, self.0 & 0xffff),
        }
    }
}

impl FromStr for Community {
    type Err = CommunityError;
    /// Reads `64500:1` and the names that `Display` prints.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if let Some((community, _)) = WELL_KNOWN.iter().find(|(_, name)| *name == s) {
            return Ok(*community);
        }
        let numbers =
            s.split_once(':').and_then(|(high, low)| Some((high.parse::<u16>().ok()?, low.parse::<u16>().ok()?)));
        match numbers {
            Some((high, low)) => Ok(Self(u32::from(high) << 16 | u32::from(low))),
            None => {
                let names: Vec<&str> = WELL_KNOWN.iter().map(|(_, name)| *name).collect();
                let names = names.join(", ");
                Err(CommunityError(format!("`{s}` is not a community: write 64500:1 or one of {names}")))
            }
        }
    }
}

/// A large community (RFC 8092): `64500:1:2`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LargeCommunity {
    /// Global Administrator: the AS that gives the other two a meaning.
    pub global: u32,
    /// Local Data Part 1.
    pub local1: u32,
    /// Local Data Part 2.
    pub local2: u32,
}

impl LargeCommunity {
    /// The twelve octets of the wire.
    pub fn from_octets(octets: [u8; 12]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = octets;
        Self {
            global: u32::from_be_bytes([a, b, c, d]),
            local1: u32::from_be_bytes([e, f, g, h]),
            local2: u32::from_be_bytes([i, j, k, l]),
        }
    }

    /// As on the wire.
    pub fn to_octets(self) -> [u8; 12] {
        let [a, b, c, d] = self.global.to_be_bytes();
        let [e, f, g, h] = self.local1.to_be_bytes();
        let [i, j, k, l] = self.local2.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local1, self.local2)
    }
}

impl FromStr for LargeCommunity {
    type Err = CommunityError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut parts = s.split(':').map(str::parse::<u32>);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(global)), Some(Ok(local1)), Some(Ok(local2)), None) => Ok(Self { global, local1, local2 }),
            _ => Err(CommunityError(format!("`{s}` is not a large community: write 64500:1:2"))),
        }
    }
}

/// An extended community (RFC 4360): `rt:64500:1`, `soo:192.0.2.1:1`, `ovs:valid`, the words of
/// `ext_community_kinds` (`traffic-rate:0:125000`), or sixteen hex digits as in `0x0002fbf400000001`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ExtCommunity(pub u64);

/// Sub-types with a name: the same number under each of the three address forms (RFC 4360 §4, §5).
const NAMED_SUBTYPES: &[(u8, &str)] = &[(2, "rt"), (3, "soo")];

/// Origin Validation State (RFC 8097 §2): the number is the last octet.
const VALIDATION_STATES: &[(u8, &str)] = &[(0, "valid"), (1, "not-found"), (2, "invalid")];

impl ExtCommunity {
    /// Two-octet AS, four-octet value (RFC 4360 §3.1).
    fn two_octet_as(subtype: u8, asn: u16, value: u32) -> Self {
        Self(u64::from(subtype) << 48 | u64::from(asn) << 32 | u64::from(value))
    }

    /// Four octets of address or AS under `kind` 1 (RFC 4360 §3.2) or 2 (RFC 5668), two-octet value.
    fn four_octets(kind: u8, subtype: u8, administrator: u32, value: u16) -> Self {
        Self(u64::from(kind) << 56 | u64::from(subtype) << 48 | u64::from(administrator) << 16 | u64::from(value))
    }

    /// The route target of a two- or four-octet AS (RFC 4360 §4, RFC 5668 §2). `None`: the AS needs four octets
    /// and leaves only two for the value.
    pub fn route_target(asn: u32, value: u32) -> Option<Self> {
        match (u16::try_from(asn), u16::try_from(value)) {
            (Ok(asn), _) => Some(Self::two_octet_as(2, asn, value)),
            (Err(_), Ok(value)) => Some(Self::four_octets(2, 2, asn, value)),
            _ => None,
        }
    }
}

impl fmt::Display for ExtCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, subtype, a, b, c, d, e, g] = self.0.to_be_bytes();
        let name = NAMED_SUBTYPES.iter().find(|(code, _)| *code == subtype).map(|(_, name)| name);
        let state = VALIDATION_STATES.iter().find(|(code, _)| *code == g).map(|(_, name)| name);
        let four = u32::from_be_bytes([a, b, c, d]);
        match (kind, name) {
            (0, Some(name)) => {
                write!(f, "{name}:{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g]))
            }
            (1, Some(name)) => write!(f, "{name}:{}:{}", Ipv4Addr::from(four), u16::from_be_bytes([e, g])),
            (2, Some(name)) => {
                // A small AS in the four-octet form is another community than in the two-octet form; `L` is how
                // some routers tell them apart.
                let long = if four <= 0xffff { "L" } else { "" };
                write!(f, "{name}:{four}{long}:{}", u16::from_be_bytes([e, g]))
            }
            (0x43, _) if subtype == 0 && [a, b, c, d, e] == [0; 5] && state.is_some() => {
                write!(f, "ovs:{}", state.copied().unwrap_or_default())
            }
            _ => match ext_community_kinds::print(self.0) {
                Some(words) => f.write_str(&words),
                None => write!(f, "0x{:016x}", self.0),
            },
        }
    }
}

impl FromStr for ExtCommunity {
    type Err = CommunityError;
    /// Reads what `Display` prints, `ro:` for `soo:`, and hex with or without `0x`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        parse_ext(s).ok_or_else(|| {
            CommunityError(format!(
                "`{s}` is not an extended community: write rt:64500:1, soo:192.0.2.1:1, ovs:valid, {}, or 0x and 16 hex \
                 digits",
                ext_community_kinds::NAMES
            ))
        })
    }
}

fn parse_ext(s: &str) -> Option<ExtCommunity> {
    let Some((name, rest)) = s.split_once(':') else {
        let digits = s.strip_prefix("0x").unwrap_or(s);
        return if digits.len() == 16 { u64::from_str_radix(digits, 16).ok().map(ExtCommunity) } else { None };
    };
    if name == "ovs" {
        let (code, _) = VALIDATION_STATES.iter().find(|(_, state)| *state == rest)?;
        return Some(ExtCommunity(0x43 << 56 | u64::from(*code)));
    }
    if let Some(community) = ext_community_kinds::parse(name, rest) {
        return Some(ExtCommunity(community));
    }
    let subtype = subtype(name)?;
    let (administrator, value) = rest.rsplit_once(':')?;
    if let Ok(address) = administrator.parse::<Ipv4Addr>() {
        return Some(ExtCommunity::four_octets(1, subtype, address.into(), value.parse().ok()?));
    }
    if let Some(asn) = administrator.strip_suffix('L') {
        return Some(ExtCommunity::four_octets(2, subtype, asn.parse().ok()?, value.parse().ok()?));
    }
    let asn: u32 = administrator.parse().ok()?;
    match u16::try_from(asn) {
        Ok(asn) => Some(ExtCommunity::two_octet_as(subtype, asn, value.parse().ok()?)),
        Err(_) => Some(ExtCommunity::four_octets(2, subtype, asn, value.parse().ok()?)),
    }
}

fn subtype(name: &str) -> Option<u8> {
    let name = if name == "ro" { "soo" } else { name };
    NAMED_SUBTYPES.iter().find(|(_, known)| *known == name).map(|(code, _)| *code)
}

/// An IPv6-address-specific extended community (RFC 5701): `rt:[2001:db8::1]:1`, or forty hex digits behind `0x`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ipv6ExtCommunity(pub [u8; 20]);

impl fmt::Display for Ipv6ExtCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kind, subtype, address @ .., high, low] = self.0;
        let address: [u8; 16] = address;
        match NAMED_SUBTYPES.iter().find(|(code, _)| *code == subtype) {
            Some((_, name)) if kind == 0 => {
                write!(f, "{name}:[{}]:{}", Ipv6Addr::from(address), u16::from_be_bytes([high, low]))
            }
            _ => write!(f, "0x{}", hex(&self.0)),
        }
    }
}

impl FromStr for Ipv6ExtCommunity {
    type Err = CommunityError;
    /// Reads what `Display` prints, and `ro:` for `soo:`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        parse_ipv6_ext(s).ok_or_else(|| {
            CommunityError(format!(
                "`{s}` is not an IPv6 extended community: write rt:[2001:db8::1]:1 or 0x and 40 hex digits"
            ))
        })
    }
}

fn parse_ipv6_ext(s: &str) -> Option<Ipv6ExtCommunity> {
    let mut octets = [0; 20];
    if let Some(digits) = s.strip_prefix("0x") {
        let digits: Vec<u8> = digits.chars().map(|c| c.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
        let pairs: &[[u8; 2]; 20] = digits.as_chunks::<2>().0.try_into().ok().filter(|_| digits.len() == 40)?;
        for (octet, [high, low]) in octets.iter_mut().zip(pairs) {
            *octet = high << 4 | low;
        }
        return Some(Ipv6ExtCommunity(octets));
    }
    let (name, rest) = s.split_once(":[")?;
    let (address, value) = rest.split_once("]:")?;
    let address: Ipv6Addr = address.parse().ok()?;
    let value: u16 = value.parse().ok()?;
    let subtype = subtype(name)?;
    let body = address.octets().into_iter().chain(value.to_be_bytes());
    octets.iter_mut().zip([0, subtype].into_iter().chain(body)).for_each(|(octet, value)| *octet = value);
    Some(Ipv6ExtCommunity(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_read_and_print_as_operators_write_them() {
        for (value, text) in [
            (0xfbf4_0001, "64500:1"),
            (0, "0:0"),
            (0xffff_ff01, "no-export"),
            (0xffff_ff02, "no-advertise"),
            (0xffff_ff03, "no-export-subconfed"),
            (0xffff_ff04, "no-peer"),
            (0xffff_0000, "graceful-shutdown"),
            (0xffff_0001, "accept-own"),
            (0xffff_0006, "llgr-stale"),
            (0xffff_0007, "no-llgr"),
            (0xffff_029a, "blackhole"),
            (0xffff_ffff, "65535:65535"),
        ] {
            assert_eq!(Community(value).to_string(), text);
            assert_eq!(text.parse(), Ok(Community(value)));
        }
        // The numbers of a well-known one are understood as well.
        assert_eq!("65535:666".parse(), Ok(Community::BLACKHOLE));
        for wrong in ["", "64500", "65536:1", "1:65536", "1:2:3", "no-such"] {
            let error = wrong.parse::<Community>().unwrap_err().to_string();
            assert!(error.contains("64500:1") && error.contains("no-export"), "{error}");
        }
    }

    #[test]
    fn large_communities_have_three_numbers() {
        let community = LargeCommunity { global: 64500, local1: 1, local2: u32::MAX };
        assert_eq!(community.to_string(), "64500:1:4294967295");
        assert_eq!("64500:1:4294967295".parse(), Ok(community));
        assert_eq!(LargeCommunity::from_octets(community.to_octets()), community);
        for wrong in ["1:2", "1:2:3:4", "1:2:4294967296", "a:b:c"] {
            assert!(wrong.parse::<LargeCommunity>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn extended_communities_name_what_is_known_and_show_the_rest_in_hex() {
        for (value, text) in [
            (0x0002_fbf4_0000_0001, "rt:64500:1"),
            (0x0003_fbf4_0000_0001, "soo:64500:1"),
            (0x0102_c000_0201_0009, "rt:192.0.2.1:9"),
            (0x0202_0001_0000_0009, "rt:65536:9"),
            // RFC 5668 allows a small AS in the four-octet form; it is another value than rt:64500:9.
            (0x0202_0000_fbf4_0009, "rt:64500L:9"),
            (0x4300_0000_0000_0000, "ovs:valid"),
            (0x4300_0000_0000_0001, "ovs:not-found"),
            (0x4300_0000_0000_0002, "ovs:invalid"),
            (0x4300_0000_0000_0003, "0x4300000000000003"),
            (0x8006_0000_4974_2400, "traffic-rate:0:1000000"),
            // Not transitive across ASes (RFC 4360 §2): not the same route target, so not the same text.
            (0x4002_fbf4_0000_0001, "0x4002fbf400000001"),
        ] {
            assert_eq!(ExtCommunity(value).to_string(), text);
            assert_eq!(text.parse(), Ok(ExtCommunity(value)), "{text}");
        }
        assert_eq!("ro:64500:1".parse::<ExtCommunity>(), "soo:64500:1".parse());
        assert_eq!(ExtCommunity::route_target(64500, 70000).map(|c| c.to_string()).as_deref(), Some("rt:64500:70000"));
        assert_eq!(ExtCommunity::route_target(65536, 1).map(|c| c.to_string()).as_deref(), Some("rt:65536:1"));
        assert_eq!(ExtCommunity::route_target(65536, 65536), None);
        for wrong in ["", "rt:1", "rt:65536:65536", "xx:1:1", "0x12", "ovs:maybe", "rt:192.0.2.1:65536"] {
            assert!(wrong.parse::<ExtCommunity>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ipv6_extended_communities_show_the_address() {
        let mut octets = [0; 20];
        octets[1] = 2;
        octets[2..6].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        octets[17] = 1;
        octets[19] = 9;
        let mut hidden = octets;
        hidden[0] = 0x40;
        for (octets, text) in [(octets, "rt:[2001:db8::1]:9"), (hidden, "0x400220010db80000000000000000000000010009")] {
            assert_eq!(Ipv6ExtCommunity(octets).to_string(), text);
            assert_eq!(text.parse(), Ok(Ipv6ExtCommunity(octets)));
        }
        for wrong in ["", "rt:2001:db8::1:9", "rt:[2001:db8::1]:65536", "0x40", "xx:[::]:1"] {
            assert!(wrong.parse::<Ipv6ExtCommunity>().is_err(), "{wrong}");
        }
    }
}
