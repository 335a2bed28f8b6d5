//! Reachability: what an UPDATE announces or withdraws, per family.
//!
//! Here: the iterators that read routes out of an `UpdateBatch`, and `framing`, the one row per family. `wire`
//! checks and writes the fields of messages. `typed` takes a stored key apart for those who want to read it, with a
//! file per kind of family behind it: `vpn`, `flowspec` (spelled by `flowspec_text`), `evpn`, `rtc`, `ls`, `sr_policy`.
//!
//! Inside a batch there are two forms. *Plain prefixes* (unicast and multicast) stay as they came: an optional
//! path identifier, the length in bits, the octets; host bits are masked when read. *Every other family* is
//! kept in frames of our own, because the label stack stands in the middle of what identifies the route:
//! path identifier (4), octets of labels (1), octets of key (2), labels, key.

pub mod evpn;
pub mod flowspec;
mod flowspec_text;
pub mod ls;
pub mod rtc;
pub mod sr_policy;
mod typed;
pub mod vpn;
mod wire;

pub use typed::{TextError, TypedNlri, display, from_wire, labels, wire_form};
pub use vpn::{LabelledPrefix, RouteDistinguisher, hex, label_octets, label_values};
pub(super) use wire::{FieldFacts, append, check, push_opaque_wire, push_prefix_wire};

use crate::{
    types::{Family, PathId, Prefix},
    wire::cursor::Reader,
};

/// How NLRI of a family are delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// Length in bits, then the prefix (RFC 4271 §4.3, RFC 4760 §5).
    Plain { bits_max: u8 },
    /// Length in bits over label, then (for VPN) route distinguisher, then prefix (RFC 8277 §2, RFC 4364 §4.3.4).
    Labelled { rd_bits: u8, prefix_bits_max: u8 },
    /// Length in bits, then that many bits (RFC 4684 §4, RFC 9830 §2.1).
    Bits { bits_max: u8 },
    /// Length in one octet, or two from 240 on, then the filter (RFC 8955 §4.1).
    Flowspec { body_min: usize },
    /// Type and length of one octet each (RFC 7432 §7); types above the last known one are dropped.
    TypeLength8 { type_max: u8 },
    /// Type and length of two octets each (RFC 7752 §3.2).
    TypeLength16,
    /// Nobody told us where one route ends: the whole field is one.
    Whole,
}

/// THE table: one row per family that is not taken as a whole.
pub(super) fn framing(family: Family) -> Framing {
    match family {
        Family::IPV4_UNICAST | Family::IPV4_MULTICAST => Framing::Plain { bits_max: 32 },
        Family::IPV6_UNICAST | Family::IPV6_MULTICAST => Framing::Plain { bits_max: 128 },
        Family::IPV4_LABELED => Framing::Labelled { rd_bits: 0, prefix_bits_max: 32 },
        Family::IPV6_LABELED => Framing::Labelled { rd_bits: 0, prefix_bits_max: 128 },
        Family::VPNV4 => Framing::Labelled { rd_bits: 64, prefix_bits_max: 32 },
        Family::VPNV6 => Framing::Labelled { rd_bits: 64, prefix_bits_max: 128 },
        Family::RTC => Framing::Bits { bits_max: 96 },
        Family::IPV4_SR_POLICY | Family::IPV6_SR_POLICY => Framing::Bits { bits_max: 192 },
        Family::IPV4_FLOWSPEC | Family::IPV6_FLOWSPEC => Framing::Flowspec { body_min: 0 },
        Family::VPNV4_FLOWSPEC | Family::VPNV6_FLOWSPEC => Framing::Flowspec { body_min: 8 },
        // Last assigned route type: Leaf A-D (RFC 9572 §3.3).
        Family::EVPN => Framing::TypeLength8 { type_max: 11 },
        // MCAST-VPN: types 1 to 7 (RFC 6514 §4).
        Family { afi: 1 | 2, safi: 5 } => Framing::TypeLength8 { type_max: 7 },
        Family::BGP_LS => Framing::TypeLength16,
        _ => Framing::Whole,
    }
}

/// Whether routes of `family` carry labels (RFC 8277).
pub fn is_labelled(family: Family) -> bool {
    matches!(framing(family), Framing::Labelled { .. })
}

/// Whether something that is no part of the key may stand beside it: labels, or what EVPN routes carry.
pub(super) fn has_aside(family: Family) -> bool {
    is_labelled(family) || family == Family::EVPN
}

/// Octets of a route without plain prefixes on the wire, without path identifier.
pub(super) fn wire_len(family: Family, key: &[u8], labels: &[u8]) -> usize {
    if family == Family::EVPN { evpn::joined_len(key, labels) } else { key.len() + labels.len() }
}

/// Octets that hold `bits` bits.
fn octets(bits: u8) -> usize {
    usize::from(bits).div_ceil(8)
}

/// IPv4 prefixes of a batch, as path identifier (0 without ADD-PATH), address with host bits zero, length.
///
/// Safe on any octets: reading stops where they are no prefix.
pub fn v4(octets: &[u8], add_path: bool) -> V4Iter<'_> {
    V4Iter { r: Reader::new(octets), add_path }
}

/// See [`v4`].
#[derive(Clone, Debug)]
pub struct V4Iter<'a> {
    r: Reader<'a>,
    add_path: bool,
}

impl Iterator for V4Iter<'_> {
    type Item = (PathId, u32, u8);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let path_id = if self.add_path { self.r.u32()? } else { 0 };
        let len = self.r.u8().filter(|len| *len <= 32)?;
        let addr = match self.r.rest().first_chunk::<4>() {
            Some(whole) => u32::from_be_bytes(*whole),
            None => padded(self.r.rest()),
        };
        self.r.skip(octets(len))?;
        let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        Some((path_id, addr & mask, len))
    }
}

/// IPv6 prefixes of a batch; as [`v4`].
pub fn v6(octets: &[u8], add_path: bool) -> V6Iter<'_> {
    V6Iter { r: Reader::new(octets), add_path }
}

/// See [`v6`].
#[derive(Clone, Debug)]
pub struct V6Iter<'a> {
    r: Reader<'a>,
    add_path: bool,
}

impl Iterator for V6Iter<'_> {
    type Item = (PathId, u128, u8);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let path_id = if self.add_path { self.r.u32()? } else { 0 };
        let len = self.r.u8().filter(|len| *len <= 128)?;
        let addr = match self.r.rest().first_chunk::<16>() {
            Some(whole) => u128::from_be_bytes(*whole),
            None => padded6(self.r.rest()),
        };
        self.r.skip(octets(len))?;
        let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
        Some((path_id, addr & mask, len))
    }
}

/// The first octets of an address at the end of the field: the missing ones are zero.
#[cold]
fn padded(octets: &[u8]) -> u32 {
    octets.iter().chain([0; 4].iter()).take(4).fold(0, |addr, octet| addr << 8 | u32::from(*octet))
}

#[cold]
fn padded6(octets: &[u8]) -> u128 {
    octets.iter().chain([0; 16].iter()).take(16).fold(0, |addr, octet| addr << 8 | u128::from(*octet))
}

/// Prefixes of a plain-prefix family, IPv4 or IPv6; nothing for any other family.
#[derive(Clone, Debug)]
pub enum PrefixIter<'a> {
    /// AFI 1.
    V4(V4Iter<'a>),
    /// AFI 2.
    V6(V6Iter<'a>),
    /// Another family.
    Empty,
}

impl<'a> PrefixIter<'a> {
    /// Reads the NLRI of a batch item of `family`.
    pub fn new(family: Family, octets: &'a [u8], add_path: bool) -> Self {
        match framing(family) {
            Framing::Plain { bits_max: 32 } => Self::V4(v4(octets, add_path)),
            Framing::Plain { .. } => Self::V6(v6(octets, add_path)),
            _ => Self::Empty,
        }
    }
}

impl Iterator for PrefixIter<'_> {
    type Item = (PathId, Prefix);
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::V4(iter) => iter.next().map(|(path_id, addr, len)| (path_id, Prefix::V4 { addr, len })),
            Self::V6(iter) => iter.next().map(|(path_id, addr, len)| (path_id, Prefix::V6 { addr, len })),
            Self::Empty => None,
        }
    }
}

/// Routes of any family without plain prefixes, out of a batch: path identifier, key, label stack.
///
/// The *key* is what identifies the route inside its family: for labelled and VPN families the length in bits
/// without labels, then route distinguisher and prefix with host bits zero; for EVPN the NLRI with zeros where it has
/// properties (see `evpn`); for every other family the NLRI as it stands on the wire. *Labels* are three octets each
/// (RFC 8277 §2.2), in EVPN the properties, none in other families.
#[derive(Clone, Debug)]
pub struct OpaqueIter<'a>(Reader<'a>);

impl<'a> OpaqueIter<'a> {
    /// Reads the NLRI of a batch item. Safe on any octets: reading stops where they are no frame.
    pub fn new(octets: &'a [u8]) -> Self {
        Self(Reader::new(octets))
    }
}

impl<'a> Iterator for OpaqueIter<'a> {
    type Item = (PathId, &'a [u8], &'a [u8]);
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let path_id = self.0.u32()?;
        let label_len = usize::from(self.0.u8()?);
        let key_len = usize::from(self.0.u16()?);
        let labels = self.0.bytes(label_len)?;
        Some((path_id, self.0.bytes(key_len)?, labels))
    }
}

/// Appends one route in the form that [`OpaqueIter`] reads. Labels above 255 octets or keys above 65,535 do not
/// occur on the wire; given such, nothing is appended.
pub fn push_opaque(path_id: PathId, labels: &[u8], key: &[u8], out: &mut Vec<u8>) {
    let (Ok(label_len), Ok(key_len)) = (u8::try_from(labels.len()), u16::try_from(key.len())) else {
        return;
    };
    out.extend_from_slice(&path_id.to_be_bytes());
    out.push(label_len);
    out.extend_from_slice(&key_len.to_be_bytes());
    out.extend_from_slice(labels);
    out.extend_from_slice(key);
}

#[cfg(test)]
mod tests;
