//! Prefixes behind labels: labelled unicast (RFC 8277) and VPN-IPv4 and VPN-IPv6 routes (RFC 4364 §4.3.4, RFC 4659
//! §3.2), and the route distinguisher (RFC 4364 §4.2) that other families share with them. Labels themselves stand
//! beside the key and are never part of it.

use std::{
    fmt::{self, Write as _},
    net::Ipv4Addr,
    str::FromStr,
};

use super::{TextError, octets};
use crate::{
    types::{Family, Prefix},
    wire::cursor::Reader,
};

/// Route distinguisher (RFC 4364 §4.2), printed as `65000:1` or `192.0.2.1:1`. A number of two octets in the
/// four-octet form (type 2) is another distinguisher than in the two-octet form, and has an `L` behind it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouteDistinguisher(pub [u8; 8]);

impl RouteDistinguisher {
    fn new(kind: u16, body: [u8; 6]) -> Self {
        let [high, low] = kind.to_be_bytes();
        let [a, b, c, d, e, f] = body;
        Self([high, low, a, b, c, d, e, f])
    }

    fn with_four_octets(kind: u16, administrator: u32, number: u16) -> Self {
        let ([a, b, c, d], [e, f]) = (administrator.to_be_bytes(), number.to_be_bytes());
        Self::new(kind, [a, b, c, d, e, f])
    }

    /// Takes a distinguisher off the front of `text` up to its last colon; what follows is the rest.
    pub(super) fn split(text: &str) -> Option<(Self, &str)> {
        let fields = if text.starts_with("0x") { 1 } else { 2 };
        let (at, _) = text.match_indices(':').nth(fields - 1)?;
        let (rd, rest) = text.split_at_checked(at)?;
        Some((rd.parse().ok()?, rest.strip_prefix(':')?))
    }
}

impl fmt::Display for RouteDistinguisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [t0, t1, a, b, c, d, e, g] = self.0;
        match u16::from_be_bytes([t0, t1]) {
            0 => write!(f, "{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g])),
            1 => write!(f, "{}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, g])),
            2 => {
                let asn = u32::from_be_bytes([a, b, c, d]);
                let long = if asn <= 0xffff { "L" } else { "" };
                write!(f, "{asn}{long}:{}", u16::from_be_bytes([e, g]))
            }
            _ => write!(f, "0x{:016x}", u64::from_be_bytes(self.0)),
        }
    }
}

impl FromStr for RouteDistinguisher {
    type Err = TextError;
    /// Reads what `Display` prints.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        read_rd(s).ok_or_else(|| {
            TextError(format!("`{s}` is not a route distinguisher: write 64500:1, 192.0.2.1:1 or 65536:1"))
        })
    }
}

fn read_rd(s: &str) -> Option<RouteDistinguisher> {
    if let Some(digits) = s.strip_prefix("0x") {
        return (digits.len() == 16)
            .then(|| u64::from_str_radix(digits, 16).ok().map(u64::to_be_bytes))?
            .map(RouteDistinguisher);
    }
    let (administrator, number) = s.split_once(':')?;
    if let Ok(address) = administrator.parse::<Ipv4Addr>() {
        return Some(RouteDistinguisher::with_four_octets(1, address.into(), number.parse().ok()?));
    }
    if let Some(asn) = administrator.strip_suffix('L') {
        return Some(RouteDistinguisher::with_four_octets(2, asn.parse().ok()?, number.parse().ok()?));
    }
    let asn: u32 = administrator.parse().ok()?;
    match u16::try_from(asn) {
        Ok(asn) => {
            let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), number.parse::<u32>().ok()?.to_be_bytes());
            Some(RouteDistinguisher::new(0, [a, b, c, d, e, f]))
        }
        Err(_) => Some(RouteDistinguisher::with_four_octets(2, asn, number.parse().ok()?)),
    }
}

/// What a labelled route leads to: a prefix, in a VPN with the distinguisher that keeps it apart from others'.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LabelledPrefix {
    /// Route distinguisher; `None` in labelled unicast (RFC 8277).
    pub rd: Option<RouteDistinguisher>,
    /// The prefix.
    pub prefix: Prefix,
}

impl LabelledPrefix {
    /// Reads a key of a labelled or VPN family: length in bits, distinguisher, prefix.
    pub(super) fn decode(family: Family, key: &[u8]) -> Option<Self> {
        let mut r = Reader::new(key);
        let bits = r.u8()?;
        let (rd, bits) = match has_rd(family) {
            true => (Some(RouteDistinguisher(r.array()?)), bits.checked_sub(64)?),
            false => (None, bits),
        };
        Some(Self { rd, prefix: prefix(family, bits, r.rest())? })
    }

    /// Writes the key that `decode` reads.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let rd: &[u8] = self.rd.as_ref().map_or(&[], |rd| &rd.0);
        out.push(self.prefix.len() + rd.len() as u8 * 8); // at most 128 + 64
        out.extend_from_slice(rd);
        push_prefix_octets(self.prefix, out);
    }

    /// Reads `192.0.2.0/24`, in a VPN family `64500:1:192.0.2.0/24`.
    pub(super) fn parse(family: Family, text: &str) -> Result<Self, TextError> {
        let (rd, rest) = match has_rd(family) {
            true => match RouteDistinguisher::split(text) {
                Some((rd, rest)) => (Some(rd), rest),
                None => {
                    let example = if family.afi == 1 { "192.0.2.0/24" } else { "2001:db8::/32" };
                    return Err(TextError(format!(
                        "`{text}` is not a route of {family}: write a route distinguisher in front of the prefix, such as \
                         64500:1:{example}"
                    )));
                }
            },
            false => (None, text),
        };
        let prefix: Prefix = rest.parse().map_err(|error: crate::types::PrefixError| TextError(error.to_string()))?;
        if Some(if prefix.is_v4() { 32 } else { 128 }) != family.address_bits() {
            return Err(TextError(format!("{prefix} is no prefix of {family}")));
        }
        Ok(Self { rd, prefix })
    }
}

impl fmt::Display for LabelledPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rd) = self.rd {
            write!(f, "{rd}:")?;
        }
        self.prefix.fmt(f)
    }
}

fn has_rd(family: Family) -> bool {
    matches!(family, Family::VPNV4 | Family::VPNV6)
}

/// A prefix of `bits` bits in the first octets of `octets`; missing ones count as zero.
pub(super) fn prefix(family: Family, bits: u8, octets: &[u8]) -> Option<Prefix> {
    let padded =
        |n: usize| octets.iter().chain([0; 16].iter()).take(n).fold(0, |addr, octet| addr << 8 | u128::from(*octet));
    match family.address_bits()? {
        32 if bits <= 32 => Some(Prefix::v4(u32::try_from(padded(4)).ok()?, bits)),
        128 if bits <= 128 => Some(Prefix::v6(padded(16), bits)),
        _ => None,
    }
}

/// The octets that hold the prefix, without its length.
pub(super) fn push_prefix_octets(prefix: Prefix, out: &mut Vec<u8>) {
    let keep = octets(prefix.len());
    match prefix {
        Prefix::V4 { addr, .. } => out.extend(addr.to_be_bytes().iter().take(keep)),
        Prefix::V6 { addr, .. } => out.extend(addr.to_be_bytes().iter().take(keep)),
    }
}

/// A label as three octets on the wire, at the bottom of its stack (RFC 8277 §2.2); `None` above 20 bits.
pub fn label_octets(label: u32) -> Option<[u8; 3]> {
    let [zero, a, b, c] = (label.checked_mul(16)? | 1).to_be_bytes();
    (zero == 0).then_some([a, b, c])
}

/// Label values of a stack of three-octet entries (RFC 8277 §2.2): the upper 20 bits of each.
pub fn label_values(stack: &[u8]) -> Vec<u32> {
    let (entries, _) = stack.as_chunks::<3>();
    entries.iter().map(|&[high, middle, low]| u32::from_be_bytes([0, high, middle, low]) >> 4).collect()
}

/// Lower-case hex digits without separators.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}
