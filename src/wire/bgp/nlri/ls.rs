//! BGP-LS (RFC 9552 §5.2): nodes, links and prefixes of an IGP, with their descriptors by type. The descriptors are
//! shown and never judged; the routes are relayed as they came. The link-state attribute stays octets.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::vpn::hex;
use crate::{types::Prefix, wire::cursor::Reader};

/// A link-state route of a type that is known here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkState {
    /// Node, link, or prefix.
    pub kind: LinkStateKind,
    /// Where the information comes from: `Protocol-ID` (RFC 9552 §5.2, table 2).
    pub protocol: u8,
    /// Tells routing universes apart.
    pub identifier: u64,
    /// Descriptors of the local node.
    pub local: Vec<Tlv>,
    /// Descriptors of the remote node; of links only.
    pub remote: Vec<Tlv>,
    /// Descriptors of the link or prefix.
    pub descriptors: Vec<Tlv>,
}

/// NLRI type (RFC 9552 §5.2, table 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkStateKind {
    /// Type 1.
    Node = 1,
    /// Type 2.
    Link = 2,
    /// Type 3.
    Ipv4Prefix = 3,
    /// Type 4.
    Ipv6Prefix = 4,
}

/// A descriptor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tlv {
    /// Its code point.
    pub code: u16,
    /// Its octets.
    pub value: Vec<u8>,
}

const LOCAL_NODE: u16 = 256;
const REMOTE_NODE: u16 = 257;
const IP_REACHABILITY: u16 = 265;

/// Names of descriptors (RFC 9552 §5.2.1.4, §5.2.2, §5.2.3) and how their octets read.
const DESCRIPTORS: &[(u16, &str, Shape)] = &[
    (258, "link-ids", Shape::TwoNumbers),
    (259, "ipv4-interface", Shape::Address4),
    (260, "ipv4-neighbor", Shape::Address4),
    (261, "ipv6-interface", Shape::Address6),
    (262, "ipv6-neighbor", Shape::Address6),
    (263, "multi-topology", Shape::Hex),
    (264, "ospf-route-type", Shape::Number),
    (IP_REACHABILITY, "prefix", Shape::Prefix),
    (512, "as", Shape::Number),
    (513, "bgp-ls-id", Shape::Address4),
    (514, "ospf-area", Shape::Address4),
    (515, "router", Shape::RouterId),
    (516, "bgp-router-id", Shape::Address4),
    (517, "member-as", Shape::Number),
];

#[derive(Clone, Copy)]
enum Shape {
    Number,
    TwoNumbers,
    Address4,
    Address6,
    Prefix,
    RouterId,
    Hex,
}

const PROTOCOLS: [(u8, &str); 7] =
    [(1, "isis-l1"), (2, "isis-l2"), (3, "ospfv2"), (4, "direct"), (5, "static"), (6, "ospfv3"), (7, "bgp")];

impl LinkStateKind {
    /// `node`, `link`, `ipv4-prefix`, `ipv6-prefix`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Link => "link",
            Self::Ipv4Prefix => "ipv4-prefix",
            Self::Ipv6Prefix => "ipv6-prefix",
        }
    }
}

impl Tlv {
    /// What the code point is called; `tlv-1234` where it is not known here.
    pub fn name(&self) -> String {
        match self.row() {
            Some((_, name, _)) => (*name).to_owned(),
            None => format!("tlv-{}", self.code),
        }
    }

    fn row(&self) -> Option<&'static (u16, &'static str, Shape)> {
        DESCRIPTORS.iter().find(|(code, ..)| *code == self.code)
    }

    /// The value as its descriptor reads, in hex where it does not read so.
    pub fn text(&self, kind: LinkStateKind) -> String {
        let shape = self.row().map_or(Shape::Hex, |(.., shape)| *shape);
        self.read(shape, kind).unwrap_or_else(|| hex(&self.value))
    }

    fn read(&self, shape: Shape, kind: LinkStateKind) -> Option<String> {
        let mut r = Reader::new(&self.value);
        let text = match shape {
            Shape::Hex => return None,
            Shape::Number => match r.len() {
                1 => r.u8()?.to_string(),
                4 => r.u32()?.to_string(),
                _ => return None,
            },
            Shape::TwoNumbers => format!("{}/{}", r.u32()?, r.u32()?),
            Shape::Address4 => Ipv4Addr::from(r.u32()?).to_string(),
            Shape::Address6 => Ipv6Addr::from(r.u128()?).to_string(),
            Shape::Prefix => self.prefix(kind)?.to_string(),
            Shape::RouterId => return router_id(r),
        };
        (r.is_empty() || matches!(shape, Shape::Prefix)).then_some(text)
    }

    /// IP Reachability Information (RFC 9552 §5.2.3.2).
    fn prefix(&self, kind: LinkStateKind) -> Option<Prefix> {
        let mut r = Reader::new(&self.value);
        let len = r.u8()?;
        let family = match kind {
            LinkStateKind::Ipv4Prefix => crate::types::Family::IPV4_UNICAST,
            LinkStateKind::Ipv6Prefix => crate::types::Family::IPV6_UNICAST,
            _ => return None,
        };
        super::vpn::prefix(family, len, r.rest())
    }
}

/// IGP Router-ID (RFC 9552 §5.2.1.4): by length an OSPF router, an OSPF LAN, an IS-IS node, an IS-IS LAN.
fn router_id(mut r: Reader<'_>) -> Option<String> {
    let system = |id: [u8; 6]| {
        let [a, b, c, d, e, f] = id;
        format!("{a:02x}{b:02x}.{c:02x}{d:02x}.{e:02x}{f:02x}")
    };
    match r.len() {
        4 => Some(Ipv4Addr::from(r.u32()?).to_string()),
        6 => Some(system(r.array()?)),
        7 => Some(format!("{}.{:02x}", system(r.array()?), r.u8()?)),
        8 => Some(format!("{}:{}", Ipv4Addr::from(r.u32()?), Ipv4Addr::from(r.u32()?))),
        _ => None,
    }
}

impl LinkState {
    /// Reads a whole NLRI: type, length, protocol, identifier, descriptors. `None`: another type, or TLVs that do
    /// not fit.
    pub(super) fn decode(key: &[u8]) -> Option<Self> {
        let mut r = Reader::new(key);
        let kind = match r.u16()? {
            1 => LinkStateKind::Node,
            2 => LinkStateKind::Link,
            3 => LinkStateKind::Ipv4Prefix,
            4 => LinkStateKind::Ipv6Prefix,
            _ => return None,
        };
        r.skip(2)?;
        let (protocol, identifier) = (r.u8()?, r.u64()?);
        let mut route =
            Self { kind, protocol, identifier, local: Vec::new(), remote: Vec::new(), descriptors: Vec::new() };
        for tlv in tlvs(r)? {
            match tlv.code {
                LOCAL_NODE => route.local = tlvs(Reader::new(&tlv.value))?,
                REMOTE_NODE => route.remote = tlvs(Reader::new(&tlv.value))?,
                _ => route.descriptors.push(tlv),
            }
        }
        Some(route)
    }

    /// Where the information comes from, by name; the number where it is not known here.
    pub fn protocol_name(&self) -> String {
        let known = PROTOCOLS.iter().find(|(code, _)| *code == self.protocol);
        known.map_or_else(|| format!("protocol-{}", self.protocol), |(_, name)| (*name).to_owned())
    }

    /// The prefix that a prefix route is about.
    pub fn prefix(&self) -> Option<Prefix> {
        self.descriptors.iter().find(|tlv| tlv.code == IP_REACHABILITY)?.prefix(self.kind)
    }
}

fn tlvs(mut r: Reader<'_>) -> Option<Vec<Tlv>> {
    let mut out = Vec::new();
    while !r.is_empty() {
        let code = r.u16()?;
        let len = usize::from(r.u16()?);
        out.push(Tlv { code, value: r.bytes(len)?.to_vec() });
    }
    Some(out)
}

impl fmt::Display for LinkState {
    /// `[bgp-ls node isis-l2 0 local {as 64500 router 0000.0000.0001}]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[bgp-ls {} {} {}", self.kind.name(), self.protocol_name(), self.identifier)?;
        for (name, tlvs) in [("local", &self.local), ("remote", &self.remote), (self.kind.name(), &self.descriptors)] {
            if tlvs.is_empty() {
                continue;
            }
            let words: Vec<String> = tlvs.iter().map(|tlv| format!("{} {}", tlv.name(), tlv.text(self.kind))).collect();
            write!(f, " {name} {{{}}}", words.join(" "))?;
        }
        f.write_str("]")
    }
}
