//! Flow specifications (RFC 8955 for IPv4, RFC 8956 for IPv6, §8 of the former for VPNs): a list of components that
//! a packet must all match, read from the NLRI and written back. How they are spelled in text is `flowspec_text`;
//! what is done with the packets stands in extended communities (`community`, RFC 8955 §7).
//!
//! # What the RFC asks
//! 1. RFC 8955 §4.2: components ascend by type, each at most once; operators follow each other up to the end bit.
//! 2. §4.2.2.9: TCP flags have one or two octets, §4.2.2.12: fragments one.
//! 3. RFC 8956 §3.1: an IPv6 prefix has an offset, and only the bits from there to its length are in the NLRI.
//! 4. RFC 8955 §4.2, §10: a filter that is encoded otherwise, or has a component of an unknown type, is malformed: its
//!    UPDATE is treated as a withdrawal (RFC 7606 §2).
//!
//! # What we do
//! 1. to 4. The same; unused bits are zero after reading. `check` is for what arrives; a malformed filter in an archive
//!    has no typed form and is shown as octets.

use super::{TextError, octets, vpn::RouteDistinguisher};
use crate::{
    types::{Family, Prefix},
    wire::cursor::Reader,
};

/// Longest body of the NLRI: the length field has twelve bits (RFC 8955 §4.1).
const BODY_LEN_MAX: usize = 0xfff;

/// A filter for packets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowSpec {
    /// In a VPN, whose packets (RFC 8955 §8).
    pub rd: Option<RouteDistinguisher>,
    /// What must all be true, ascending by type.
    pub components: Vec<Component>,
}

/// One condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Component {
    /// Destination (type 1) or source (type 2) prefix.
    Prefix {
        /// Which end of the packet.
        end: End,
        /// The bits; those in front of `offset` are zero.
        prefix: Prefix,
        /// First bit that counts (RFC 8956 §3.1); 0 in IPv4.
        offset: u8,
    },
    /// A number of the packet, compared.
    Numeric {
        /// Which number.
        field: Numeric,
        /// Alternatives and conjunctions, in order.
        tests: Vec<Test>,
    },
    /// Bits of the packet.
    Bitmask {
        /// Which bits.
        field: Bitmask,
        /// Alternatives and conjunctions, in order.
        tests: Vec<Test>,
    },
}

/// Which end of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Type 1.
    Destination = 1,
    /// Type 2.
    Source = 2,
}

/// Numbers of a packet (RFC 8955 §4.2.2.3 to §4.2.2.11, RFC 8956 §3.3 and §3.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Numeric {
    /// IP protocol; upper-layer protocol in IPv6.
    Protocol = 3,
    /// Source or destination port.
    Port = 4,
    /// Destination port.
    DestinationPort = 5,
    /// Source port.
    SourcePort = 6,
    /// ICMP type.
    IcmpType = 7,
    /// ICMP code.
    IcmpCode = 8,
    /// Packet length.
    Length = 10,
    /// DSCP.
    Dscp = 11,
    /// IPv6 flow label.
    FlowLabel = 13,
}

/// Bits of a packet (RFC 8955 §4.2.2.9 and §4.2.2.12).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bitmask {
    /// TCP flags.
    TcpFlags = 9,
    /// Fragmentation.
    Fragment = 12,
}

/// One operator and its value (RFC 8955 §4.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Test {
    /// Joined to the one before by AND; else an alternative to it. Never set in the first.
    pub and: bool,
    /// Numeric: less 4, greater 2, equal 1. Bitmask: not 2, match 1.
    pub op: u8,
    /// The value.
    pub value: u64,
    /// Octets of the value on the wire: 1, 2, 4 or 8.
    pub size: u8,
}

/// Bits of the operator octet (RFC 8955 §4.2.1.1, §4.2.1.2).
mod bit {
    pub(super) const END: u8 = 0x80;
    pub(super) const AND: u8 = 0x40;
    pub(super) const NUMERIC: u8 = 0x07;
    pub(super) const BITMASK: u8 = 0x03;
}

impl Test {
    /// A test whose value takes as few octets as it can.
    pub fn new(and: bool, op: u8, value: u64) -> Self {
        let size = match value {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => 8,
        };
        Self { and, op, value, size }
    }
}

impl Numeric {
    pub(super) const ALL: [Self; 9] = [
        Self::Protocol,
        Self::Port,
        Self::DestinationPort,
        Self::SourcePort,
        Self::IcmpType,
        Self::IcmpCode,
        Self::Length,
        Self::Dscp,
        Self::FlowLabel,
    ];
}

impl Bitmask {
    pub(super) const ALL: [Self; 2] = [Self::TcpFlags, Self::Fragment];
}

impl Component {
    /// The type on the wire.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Prefix { end, .. } => *end as u8,
            Self::Numeric { field, .. } => *field as u8,
            Self::Bitmask { field, .. } => *field as u8,
        }
    }
}

impl FlowSpec {
    /// The destination prefix, by which filters are owned and looked for.
    pub fn destination(&self) -> Option<Prefix> {
        self.components.iter().find_map(|component| match component {
            Component::Prefix { end: End::Destination, prefix, offset: 0 } => Some(*prefix),
            _ => None,
        })
    }

    /// Reads a key: length, distinguisher in VPN families, components. `None`: it breaks a rule of RFC 8955 §4.2.
    pub(super) fn decode(family: Family, key: &[u8]) -> Option<Self> {
        let mut r = body(key)?;
        let rd = if has_rd(family) { Some(RouteDistinguisher(r.array()?)) } else { None };
        check(family, r).ok()?;
        let mut components: Vec<Component> = Vec::new();
        while !r.is_empty() {
            components.push(read_component(family, &mut r)?);
        }
        Some(Self { rd, components })
    }

    /// Writes the key that `decode` reads.
    ///
    /// # Errors
    /// The filter is longer than the length field can say, or its components do not ascend.
    pub(super) fn encode(&self) -> Result<Vec<u8>, TextError> {
        let mut body = self.rd.map_or_else(Vec::new, |rd| rd.0.to_vec());
        if !self.components.is_sorted_by(|a, b| a.kind() < b.kind()) {
            return Err(TextError("a filter has each kind of condition at most once".into()));
        }
        for component in &self.components {
            push_component(component, &mut body);
        }
        if body.len() > BODY_LEN_MAX {
            return Err(TextError(format!(
                "the filter takes {} octets; an NLRI has at most {BODY_LEN_MAX}",
                body.len()
            )));
        }
        let mut key = Vec::with_capacity(body.len() + 2);
        super::wire::push_flowspec_length(body.len(), &mut key);
        key.extend_from_slice(&body);
        Ok(key)
    }
}

/// The destination prefix of a key of a family without route distinguishers, read without the rest: it is the first
/// component, if it is there. `None` where it has an offset (RFC 8956 §5).
pub fn destination(family: Family, key: &[u8]) -> Option<Prefix> {
    let mut r = body(key)?;
    if r.u8()? != End::Destination as u8 {
        return None;
    }
    let (prefix, offset) = read_prefix(family, &mut r)?;
    (offset == 0).then_some(prefix)
}

/// Whether components are what RFC 8955 §4.2 and RFC 8956 §3 ask for; nothing is kept of them.
///
/// # Errors
/// They are not, and why.
pub(super) fn check(family: Family, mut components: Reader<'_>) -> Result<(), &'static str> {
    let mut before = 0;
    while !components.is_empty() {
        let kind = components.u8().unwrap_or_default();
        if kind <= before {
            return Err("components of a flow specification do not ascend by type");
        }
        before = kind;
        if kind <= End::Source as u8 {
            read_prefix(family, &mut components).ok_or("a prefix of a flow specification is no prefix")?;
            continue;
        }
        let value_len_max =
            value_len_max(family, kind).ok_or("a flow specification has a component of unknown type")?;
        check_tests(value_len_max, &mut components)?;
    }
    Ok(())
}

/// Octets that a value of a component may have; `None`: the family knows no such component.
fn value_len_max(family: Family, kind: u8) -> Option<usize> {
    if let Some(field) = Bitmask::ALL.into_iter().find(|field| *field as u8 == kind) {
        return Some(if field == Bitmask::Fragment { 1 } else { 2 });
    }
    let field = Numeric::ALL.into_iter().find(|field| *field as u8 == kind)?;
    (field != Numeric::FlowLabel || family.afi == 2).then_some(8)
}

fn check_tests(value_len_max: usize, r: &mut Reader<'_>) -> Result<(), &'static str> {
    const CUT: &str = "operators of a flow specification reach behind its end";
    loop {
        let op = r.u8().ok_or(CUT)?;
        let size = value_len(op);
        r.skip(size).ok_or(CUT)?;
        if size > value_len_max {
            return Err("TCP flags or fragments of a flow specification have too many octets");
        }
        if op & bit::END != 0 {
            return Ok(());
        }
    }
}

/// Octets of the value behind an operator (RFC 8955 §4.2.1.1).
fn value_len(op: u8) -> usize {
    1 << (op >> 4 & 3)
}

/// What follows the length field of a key.
fn body(key: &[u8]) -> Option<Reader<'_>> {
    let mut r = Reader::new(key);
    if r.u8()? >= 0xf0 {
        r.skip(1)?;
    }
    Some(r)
}

pub(super) fn has_rd(family: Family) -> bool {
    family.safi == 134
}

fn read_component(family: Family, r: &mut Reader<'_>) -> Option<Component> {
    let kind = r.u8()?;
    let end = match kind {
        1 => Some(End::Destination),
        2 => Some(End::Source),
        _ => None,
    };
    if let Some(end) = end {
        let (prefix, offset) = read_prefix(family, r)?;
        return Some(Component::Prefix { end, prefix, offset });
    }
    if let Some(field) = Bitmask::ALL.into_iter().find(|field| *field as u8 == kind) {
        return Some(Component::Bitmask { field, tests: read_tests(bit::BITMASK, r)? });
    }
    let field = Numeric::ALL.into_iter().find(|field| *field as u8 == kind)?;
    if field == Numeric::FlowLabel && family.afi != 2 {
        return None;
    }
    Some(Component::Numeric { field, tests: read_tests(bit::NUMERIC, r)? })
}

/// Prefix and offset. IPv4 has no offset on the wire (RFC 8955 §4.2.2.1).
fn read_prefix(family: Family, r: &mut Reader<'_>) -> Option<(Prefix, u8)> {
    let len = r.u8()?;
    if family.afi == 1 {
        let bits = r.bytes(octets(len))?;
        return Some((super::vpn::prefix(Family::IPV4_UNICAST, len, bits)?, 0));
    }
    let offset = r.u8()?;
    // RFC 8956 §3.1: either all zero, or offset < length < 129.
    if len > 128 || (offset >= len && (len, offset) != (0, 0)) {
        return None;
    }
    let width = len - offset;
    let pattern = r.bytes(octets(width))?;
    let Prefix::V6 { addr, .. } = super::vpn::prefix(Family::IPV6_UNICAST, width, pattern)? else { return None };
    Some((Prefix::v6(addr >> offset, len), offset))
}

fn read_tests(op_bits: u8, r: &mut Reader<'_>) -> Option<Vec<Test>> {
    let mut tests = Vec::new();
    loop {
        let op = r.u8()?;
        let size = value_len(op);
        let value = r.bytes(size)?.iter().fold(0, |value, octet| value << 8 | u64::from(*octet));
        let and = op & bit::AND != 0 && !tests.is_empty();
        tests.push(Test { and, op: op & op_bits, value, size: size as u8 }); // 1, 2, 4 or 8
        if op & bit::END != 0 {
            return Some(tests);
        }
    }
}

fn push_component(component: &Component, out: &mut Vec<u8>) {
    out.push(component.kind());
    match component {
        Component::Prefix { prefix: Prefix::V6 { addr, len }, offset, .. } => {
            out.extend_from_slice(&[*len, *offset]);
            let width = len.saturating_sub(*offset);
            let pattern = addr.checked_shl(u32::from(*offset)).unwrap_or(0);
            super::vpn::push_prefix_octets(Prefix::v6(pattern, width), out);
        }
        Component::Prefix { prefix, .. } => {
            out.push(prefix.len());
            super::vpn::push_prefix_octets(*prefix, out);
        }
        Component::Numeric { tests, .. } => push_tests(tests, bit::NUMERIC, out),
        Component::Bitmask { tests, .. } => push_tests(tests, bit::BITMASK, out),
    }
}

fn push_tests(tests: &[Test], op_bits: u8, out: &mut Vec<u8>) {
    for (index, test) in tests.iter().enumerate() {
        let (size, size_bits) = match test.size {
            0 | 1 => (1, 0x00),
            2 => (2, 0x10),
            3 | 4 => (4, 0x20),
            _ => (8, 0x30),
        };
        let and = if test.and && index > 0 { bit::AND } else { 0 };
        let end = if index + 1 == tests.len() { bit::END } else { 0 };
        out.push(end | and | size_bits | test.op & op_bits);
        out.extend(test.value.to_be_bytes().iter().skip(8 - size));
    }
}
