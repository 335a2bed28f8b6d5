//! Address families: AFI and SAFI (RFC 4760), with the names used in configuration and output.

use std::{fmt, str::FromStr};

/// An AFI/SAFI pair. Every pair is representable; the known ones have names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Family {
    /// Address Family Identifier (IANA "Address Family Numbers").
    pub afi: u16,
    /// Subsequent Address Family Identifier (IANA "SAFI Values").
    pub safi: u8,
}

const NAMES: &[(Family, &str)] = &[
    (Family::IPV4_UNICAST, "ipv4-unicast"),
    (Family::IPV6_UNICAST, "ipv6-unicast"),
    (Family::IPV4_MULTICAST, "ipv4-multicast"),
    (Family::IPV6_MULTICAST, "ipv6-multicast"),
    (Family::IPV4_LABELED, "ipv4-labeled-unicast"),
    (Family::IPV6_LABELED, "ipv6-labeled-unicast"),
    (Family::VPNV4, "vpnv4-unicast"),
    (Family::VPNV6, "vpnv6-unicast"),
    (Family::EVPN, "l2vpn-evpn"),
    (Family::IPV4_FLOWSPEC, "ipv4-flowspec"),
    (Family::IPV6_FLOWSPEC, "ipv6-flowspec"),
    (Family::VPNV4_FLOWSPEC, "vpnv4-flowspec"),
    (Family::VPNV6_FLOWSPEC, "vpnv6-flowspec"),
    (Family::BGP_LS, "bgp-ls"),
    (Family::IPV4_SR_POLICY, "ipv4-sr-policy"),
    (Family::IPV6_SR_POLICY, "ipv6-sr-policy"),
    (Family::RTC, "ipv4-rtc"),
];

impl Family {
    /// IPv4 unicast (RFC 4271).
    pub const IPV4_UNICAST: Self = Self::new(1, 1);
    /// IPv6 unicast (RFC 2545).
    pub const IPV6_UNICAST: Self = Self::new(2, 1);
    /// IPv4 multicast RPF (RFC 4760).
    pub const IPV4_MULTICAST: Self = Self::new(1, 2);
    /// IPv6 multicast RPF (RFC 4760).
    pub const IPV6_MULTICAST: Self = Self::new(2, 2);
    /// Labelled IPv4 unicast (RFC 8277).
    pub const IPV4_LABELED: Self = Self::new(1, 4);
    /// Labelled IPv6 unicast (RFC 8277).
    pub const IPV6_LABELED: Self = Self::new(2, 4);
    /// VPN-IPv4 (RFC 4364).
    pub const VPNV4: Self = Self::new(1, 128);
    /// VPN-IPv6 (RFC 4659).
    pub const VPNV6: Self = Self::new(2, 128);
    /// EVPN (RFC 7432).
    pub const EVPN: Self = Self::new(25, 70);
    /// IPv4 flow specification (RFC 8955).
    pub const IPV4_FLOWSPEC: Self = Self::new(1, 133);
    /// IPv6 flow specification (RFC 8956).
    pub const IPV6_FLOWSPEC: Self = Self::new(2, 133);
    /// VPN-IPv4 flow specification (RFC 8955 §8).
    pub const VPNV4_FLOWSPEC: Self = Self::new(1, 134);
    /// VPN-IPv6 flow specification (RFC 8956).
    pub const VPNV6_FLOWSPEC: Self = Self::new(2, 134);
    /// BGP-LS (RFC 7752).
    pub const BGP_LS: Self = Self::new(16388, 71);
    /// SR policy, IPv4 endpoint (RFC 9830).
    pub const IPV4_SR_POLICY: Self = Self::new(1, 73);
    /// SR policy, IPv6 endpoint (RFC 9830).
    pub const IPV6_SR_POLICY: Self = Self::new(2, 73);
    /// Route target constraint (RFC 4684).
    pub const RTC: Self = Self::new(1, 132);

    /// The pair `afi`/`safi`.
    pub const fn new(afi: u16, safi: u8) -> Self {
        Self { afi, safi }
    }

    /// Whether NLRI of this family are plain prefixes: unicast or multicast, IPv4 or IPv6.
    pub fn is_plain_prefix(self) -> bool {
        matches!((self.afi, self.safi), (1 | 2, 1 | 2))
    }

    /// The longest prefix length of the address family: 32 for AFI 1, 128 for AFI 2, else `None`.
    pub fn address_bits(self) -> Option<u8> {
        match self.afi {
            1 => Some(32),
            2 => Some(128),
            _ => None,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(family, _)| family == self) {
            Some((_, name)) => f.pad(name),
            None => f.pad(&format!("afi{}-safi{}", self.afi, self.safi)),
        }
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Family {
    type Err = String;
    /// Reads a name as printed by `Display`, `afiN-safiM` included.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if let Some((family, _)) = NAMES.iter().find(|(_, name)| *name == s) {
            return Ok(*family);
        }
        let numbers = s.strip_prefix("afi").and_then(|rest| rest.split_once("-safi"));
        if let Some((afi, safi)) = numbers
            && let (Ok(afi), Ok(safi)) = (afi.parse(), safi.parse())
        {
            return Ok(Self::new(afi, safi));
        }
        let known: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
        Err(format!("`{s}` is not an address family; known: {}, or afiN-safiM", known.join(", ")))
    }
}
