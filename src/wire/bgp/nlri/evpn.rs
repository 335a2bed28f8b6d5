//! EVPN routes (RFC 7432 §7, RFC 9136 §3.1): types 1 to 5, read and printed as FRR prints them.
//!
//! # What the RFC asks
//! 1. RFC 7432 §7.1, §7.2, RFC 9136 §3.1: only some fields identify a route. Labels, the segment of types 2 and 5 and the
//!    gateway are properties of it: another value replaces the route, and a withdrawal need not repeat it.
//!
//! # What we do
//! 1. `push_key` and `push_aside` take an NLRI apart: the key keeps the NLRI with zeros in their place and one label, what was there
//!    stands beside the key like the label of a labelled route. `join` puts it back for the wire. An NLRI whose
//!    length does not fit its type is its own key as it is.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use super::vpn::RouteDistinguisher;
use crate::{types::Prefix, wire::cursor::Reader};

/// An Ethernet Segment Identifier (RFC 7432 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Esi(pub [u8; 10]);

/// A MAC address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mac(pub [u8; 6]);

/// An EVPN route of a type that is known here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvpnRoute {
    /// Route distinguisher.
    pub rd: RouteDistinguisher,
    /// The rest, by type.
    pub kind: EvpnKind,
}

/// By route type. Labels are the 24 bits as they stand: an MPLS label is the upper 20, a VNI all of them (RFC 8365
/// §5.1.3); which of the two it is, the encapsulation community says. They are zero where only the key was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EvpnKind {
    /// Type 1, Ethernet Auto-Discovery (RFC 7432 §7.1).
    AutoDiscovery {
        /// Segment.
        esi: Esi,
        /// Ethernet tag.
        tag: u32,
        /// Label.
        label: u32,
    },
    /// Type 2, MAC/IP Advertisement (§7.2).
    MacIp {
        /// Segment that the address is behind; zero: none.
        esi: Esi,
        /// Ethernet tag.
        tag: u32,
        /// The address.
        mac: Mac,
        /// Its IP address, where one is told.
        ip: Option<IpAddr>,
        /// Label for bridging.
        label: u32,
        /// Label for routing.
        second_label: Option<u32>,
    },
    /// Type 3, Inclusive Multicast Ethernet Tag (§7.3).
    InclusiveMulticast {
        /// Ethernet tag.
        tag: u32,
        /// Originating router.
        originator: IpAddr,
    },
    /// Type 4, Ethernet Segment (§7.4).
    EthernetSegment {
        /// Segment.
        esi: Esi,
        /// Originating router.
        originator: IpAddr,
    },
    /// Type 5, IP Prefix (RFC 9136 §3.1).
    IpPrefix {
        /// Segment as overlay index.
        esi: Esi,
        /// Ethernet tag.
        tag: u32,
        /// The prefix.
        prefix: Prefix,
        /// Gateway as overlay index; unspecified: none.
        gateway: IpAddr,
        /// Label.
        label: u32,
    },
}

/// Type and length octets in front of every route.
const HEAD: usize = 2;
const RD: usize = 8;
const ESI: usize = 10;
const TAG: usize = 4;
const LABEL: usize = 3;

/// Where the fields stand that are no part of the key, in a route of this type with a body of `len` octets;
/// `None`: the type has none, or the length does not fit it. A second label is not counted.
fn beside(kind: u8, body: &[u8]) -> Option<[Range<usize>; 2]> {
    let nothing = HEAD..HEAD;
    let esi = HEAD + RD..HEAD + RD + ESI;
    match (kind, body.len()) {
        (1, 25) => Some([nothing, HEAD + RD + ESI + TAG..HEAD + 25]),
        (2, len) => {
            // Both address lengths are in bits (RFC 7432 §7.2).
            let ip_bits = *body.get(RD + ESI + TAG + 1 + 6)?;
            let mac_bits = *body.get(RD + ESI + TAG)?;
            let label = RD + ESI + TAG + 1 + 6 + 1 + usize::from(ip_bits / 8);
            let fits = mac_bits == 48 && matches!(ip_bits, 0 | 32 | 128);
            (fits && (len == label + LABEL || len == label + 2 * LABEL))
                .then_some([esi, HEAD + label..HEAD + label + LABEL])
        }
        (5, 34) => Some([esi, HEAD + RD + ESI + TAG + 1 + 4..HEAD + 34]),
        (5, 58) => Some([esi, HEAD + RD + ESI + TAG + 1 + 16..HEAD + 58]),
        _ => None,
    }
}

/// Appends what stands beside the key of an NLRI (type, length, body); how many octets.
pub(super) fn push_aside(whole: &[u8], out: &mut Vec<u8>) -> usize {
    let start = out.len();
    if let Some(ranges) = places(whole) {
        let end = ranges[1].end;
        for range in ranges {
            out.extend_from_slice(whole.get(range).unwrap_or_default());
        }
        // The second label of type 2.
        out.extend_from_slice(whole.get(end..).unwrap_or_default());
    }
    out.len() - start
}

/// Appends the key of an NLRI (type, length, body).
pub(super) fn push_key(whole: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(whole);
    let Some(ranges) = places(whole) else { return };
    let end = ranges[1].end;
    for range in ranges {
        out.get_mut(start + range.start..start + range.end).unwrap_or_default().fill(0);
    }
    out.truncate(start + end);
    if let (Some(len), Ok(value)) = (out.get_mut(start + 1), u8::try_from(end - HEAD)) {
        *len = value;
    }
}

fn places(whole: &[u8]) -> Option<[Range<usize>; 2]> {
    let ([kind, _], body) = whole.split_first_chunk()?;
    beside(*kind, body)
}

/// Octets that `join` appends.
pub(super) fn joined_len(key: &[u8], aside: &[u8]) -> usize {
    key.len() + aside.len().saturating_sub(aside_len(key))
}

/// Octets beside a key with one label.
fn aside_len(key: &[u8]) -> usize {
    places(key).map_or(0, |ranges| ranges.iter().map(Range::len).sum())
}

/// Puts together what `push_key` and `push_aside` took apart and appends it. Without anything beside it, the key alone: as good for a
/// withdrawal (see the head of this file). Octets beside a key that has no place for them are left out.
pub(super) fn join(key: &[u8], aside: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(key);
    let Some(ranges) = places(key).filter(|_| !aside.is_empty()) else { return };
    let mut aside = Reader::new(aside);
    for range in ranges {
        let Some(octets) = aside.bytes(range.len()) else { return };
        let place = out.get_mut(start + range.start..start + range.end).unwrap_or_default();
        place.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
    }
    if key.first() == Some(&2) && aside.len() == LABEL {
        out.extend_from_slice(aside.rest());
        let len = out.len() - start - HEAD;
        if let (Some(place), Ok(value)) = (out.get_mut(start + 1), u8::try_from(len)) {
            *place = value;
        }
    }
}

impl EvpnRoute {
    /// Reads a whole NLRI, as `join` gives it. `None`: another type, or a length that does not fit.
    pub(super) fn decode(whole: &[u8]) -> Option<Self> {
        let mut r = Reader::new(whole);
        let kind = r.u8()?;
        let len = usize::from(r.u8()?);
        if len != r.len() {
            return None;
        }
        let rd = RouteDistinguisher(r.array()?);
        let kind = match kind {
            1 => EvpnKind::AutoDiscovery { esi: Esi(r.array()?), tag: r.u32()?, label: r.u24()? },
            2 => read_mac_ip(&mut r)?,
            3 => EvpnKind::InclusiveMulticast { tag: r.u32()?, originator: read_ip(&mut r)?? },
            4 => EvpnKind::EthernetSegment { esi: Esi(r.array()?), originator: read_ip(&mut r)?? },
            5 => read_ip_prefix(&mut r)?,
            _ => return None,
        };
        r.is_empty().then_some(Self { rd, kind })
    }

    /// The route type.
    pub fn route_type(&self) -> u8 {
        match self.kind {
            EvpnKind::AutoDiscovery { .. } => 1,
            EvpnKind::MacIp { .. } => 2,
            EvpnKind::InclusiveMulticast { .. } => 3,
            EvpnKind::EthernetSegment { .. } => 4,
            EvpnKind::IpPrefix { .. } => 5,
        }
    }

    /// The prefix of a type 5, or the host of a type 2.
    pub fn prefix(&self) -> Option<Prefix> {
        match self.kind {
            EvpnKind::MacIp { ip, .. } => ip.map(Prefix::host),
            EvpnKind::IpPrefix { prefix, .. } => Some(prefix),
            _ => None,
        }
    }
}

fn read_mac_ip(r: &mut Reader<'_>) -> Option<EvpnKind> {
    let (esi, tag) = (Esi(r.array()?), r.u32()?);
    if r.u8()? != 48 {
        return None;
    }
    let mac = Mac(r.array()?);
    let ip = read_ip(r)?;
    let label = r.u24()?;
    let second_label = if r.is_empty() { None } else { Some(r.u24()?) };
    Some(EvpnKind::MacIp { esi, tag, mac, ip, label, second_label })
}

/// A length in bits and the address; the inner `None` where the length is 0.
fn read_ip(r: &mut Reader<'_>) -> Option<Option<IpAddr>> {
    match r.u8()? {
        0 => Some(None),
        32 => Some(Some(Ipv4Addr::from(r.u32()?).into())),
        128 => Some(Some(Ipv6Addr::from(r.u128()?).into())),
        _ => None,
    }
}

fn read_ip_prefix(r: &mut Reader<'_>) -> Option<EvpnKind> {
    let (esi, tag, len) = (Esi(r.array()?), r.u32()?, r.u8()?);
    // The family is in the length of the whole (RFC 9136 §3.1): two addresses and a label are left.
    let (prefix, gateway): (Prefix, IpAddr) = match r.len() {
        11 if len <= 32 => (Prefix::v4(r.u32()?, len), Ipv4Addr::from(r.u32()?).into()),
        35 if len <= 128 => (Prefix::v6(r.u128()?, len), Ipv6Addr::from(r.u128()?).into()),
        _ => return None,
    };
    Some(EvpnKind::IpPrefix { esi, tag, prefix, gateway, label: r.u24()? })
}

impl fmt::Display for Esi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        colons(&self.0, f)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        colons(&self.0, f)
    }
}

fn colons(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, octet) in octets.iter().enumerate() {
        write!(f, "{}{octet:02x}", if index == 0 { "" } else { ":" })?;
    }
    Ok(())
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for EvpnRoute {
    /// The distinguisher, then the fields of the key in brackets as FRR prints them:
    /// `64500:1:[2]:[0]:[48]:[00:00:5e:00:53:01]:[32]:[192.0.2.1]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[{}]:", self.rd, self.route_type())?;
        match &self.kind {
            EvpnKind::AutoDiscovery { esi, tag, .. } => write!(f, "[{tag}]:[{esi}]"),
            EvpnKind::MacIp { tag, mac, ip: None, .. } => write!(f, "[{tag}]:[48]:[{mac}]"),
            EvpnKind::MacIp { tag, mac, ip: Some(ip), .. } => write!(f, "[{tag}]:[48]:[{mac}]:[{}]:[{ip}]", bits(*ip)),
            EvpnKind::InclusiveMulticast { tag, originator } => {
                write!(f, "[{tag}]:[{}]:[{originator}]", bits(*originator))
            }
            EvpnKind::EthernetSegment { esi, originator } => {
                write!(f, "[{esi}]:[{}]:[{originator}]", bits(*originator))
            }
            EvpnKind::IpPrefix { tag, prefix, .. } => write!(f, "[{tag}]:[{}]:[{}]", prefix.len(), prefix.addr()),
        }
    }
}
