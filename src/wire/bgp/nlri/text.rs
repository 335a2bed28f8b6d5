//! Keys of routes as people read them.

use std::{
    fmt::{self, Write},
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{Framing, framing};
use crate::{
    types::{Asn, Family, Prefix},
    wire::{bgp::community::ExtCommunity, cursor::Reader},
};

/// Route distinguisher (RFC 4364 §4.2), printed as `65000:1` or `192.0.2.1:1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouteDistinguisher(pub [u8; 8]);

impl fmt::Display for RouteDistinguisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [t0, t1, a, b, c, d, e, g] = self.0;
        match u16::from_be_bytes([t0, t1]) {
            0 => write!(f, "{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g])),
            1 => write!(f, "{}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, g])),
            2 => write!(f, "{}:{}", u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, g])),
            _ => write!(f, "0x{:016x}", u64::from_be_bytes(self.0)),
        }
    }
}

/// The key of a route of `family` as people read it: `65000:1:10.0.0.0/24`, `[evpn type 2 0011..]`.
///
/// Total: octets that are no key of the family are printed in hex.
pub fn display(family: Family, key: &[u8]) -> String {
    decoded(family, key).unwrap_or_else(|| format!("[{family} {}]", hex(key)))
}

fn decoded(family: Family, key: &[u8]) -> Option<String> {
    let mut r = Reader::new(key);
    match framing(family) {
        Framing::Labelled { .. } => {
            let bits = r.u8()?;
            if matches!(family, Family::VPNV4 | Family::VPNV6) {
                let rd = RouteDistinguisher(r.array()?);
                Some(format!("{rd}:{}", prefix(family, bits.checked_sub(64)?, r.rest())?))
            } else {
                prefix(family, bits, r.rest()).map(|prefix| prefix.to_string())
            }
        }
        Framing::TypeLength8 { .. } if family == Family::EVPN => {
            let kind = r.u8()?;
            r.u8()?;
            Some(format!("[evpn type {kind} {}]", hex(r.rest())))
        }
        Framing::TypeLength16 => {
            let kind = r.u16()?;
            r.u16()?;
            Some(format!("[bgp-ls type {kind} {}]", hex(r.rest())))
        }
        Framing::Bits { .. } if family == Family::RTC => route_target(r),
        Framing::Bits { .. } => sr_policy(r),
        _ => None,
    }
}

fn prefix(family: Family, bits: u8, octets: &[u8]) -> Option<Prefix> {
    let padded =
        |n: usize| octets.iter().chain([0; 16].iter()).take(n).fold(0, |addr, octet| addr << 8 | u128::from(*octet));
    match family.address_bits()? {
        32 if bits <= 32 => Some(Prefix::v4(u32::try_from(padded(4)).ok()?, bits)),
        128 if bits <= 128 => Some(Prefix::v6(padded(16), bits)),
        _ => None,
    }
}

/// RFC 4684 §4: origin AS, route target; cut anywhere behind the origin AS, and empty for "all of them".
fn route_target(mut r: Reader<'_>) -> Option<String> {
    let bits = r.u8()?;
    if bits == 0 {
        return Some("[rtc default]".to_owned());
    }
    let origin = Asn(r.u32()?);
    Some(match r.array::<8>() {
        Some(target) if bits == 96 => format!("[rtc {origin} {}]", ExtCommunity(u64::from_be_bytes(target))),
        _ => format!("[rtc {origin} {}/{bits}]", hex(r.rest())),
    })
}

/// RFC 9830 §2.1: distinguisher, colour, endpoint.
fn sr_policy(mut r: Reader<'_>) -> Option<String> {
    r.u8()?;
    let (distinguisher, color) = (r.u32()?, r.u32()?);
    let endpoint = match r.len() {
        4 => Ipv4Addr::from(r.u32()?).to_string(),
        16 => Ipv6Addr::from(r.u128()?).to_string(),
        _ => return None,
    };
    Some(format!("[sr-policy {distinguisher} color {color} endpoint {endpoint}]"))
}

/// Lower-case hex digits without separators.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
