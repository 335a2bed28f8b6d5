//! Path attributes (RFC 4271 §4.3): the canonical set that a batch carries and the RIB interns, and the readers
//! of its values. `table` has one row per attribute with what RFC 7606 asks, `builder` makes sets.
//!
//! A **canonical set** has its attributes in ascending order of type code, each once, with the flags of the
//! table (Partial kept on optional transitive ones and set on unknown ones, RFC 4271 §5), extended length only
//! above 255 octets, AS numbers of four octets with AS4_PATH and AS4_AGGREGATOR merged in. The next hop is
//! NEXT_HOP for IPv4 unicast with a four-octet next hop; in every other case it is MP_REACH_NLRI whose value
//! is AFI (2), SAFI (1), length (1) and next hop, without NLRI. MP_UNREACH_NLRI never appears. So equal octets
//! mean equal attributes.

mod builder;
pub(crate) mod table;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

pub use builder::AttrSetBuilder;
pub(super) use builder::push_mp_head;

use super::{
    as_path::AsPath,
    community::{Community, ExtCommunity, Ipv6ExtCommunity, LargeCommunity},
};
use crate::{
    types::{Asn, Family, RouterId},
    wire::cursor::Reader,
};

/// Attribute type codes (IANA "BGP Path Attributes").
pub mod code {
    /// ORIGIN (RFC 4271 §5.1.1).
    pub const ORIGIN: u8 = 1;
    /// AS_PATH (RFC 4271 §5.1.2).
    pub const AS_PATH: u8 = 2;
    /// NEXT_HOP (RFC 4271 §5.1.3).
    pub const NEXT_HOP: u8 = 3;
    /// MULTI_EXIT_DISC (RFC 4271 §5.1.4).
    pub const MED: u8 = 4;
    /// LOCAL_PREF (RFC 4271 §5.1.5).
    pub const LOCAL_PREF: u8 = 5;
    /// ATOMIC_AGGREGATE (RFC 4271 §5.1.6).
    pub const ATOMIC_AGGREGATE: u8 = 6;
    /// AGGREGATOR (RFC 4271 §5.1.7).
    pub const AGGREGATOR: u8 = 7;
    /// COMMUNITIES (RFC 1997).
    pub const COMMUNITIES: u8 = 8;
    /// ORIGINATOR_ID (RFC 4456 §8).
    pub const ORIGINATOR_ID: u8 = 9;
    /// CLUSTER_LIST (RFC 4456 §8).
    pub const CLUSTER_LIST: u8 = 10;
    /// MP_REACH_NLRI (RFC 4760 §3).
    pub const MP_REACH: u8 = 14;
    /// MP_UNREACH_NLRI (RFC 4760 §4).
    pub const MP_UNREACH: u8 = 15;
    /// EXTENDED COMMUNITIES (RFC 4360).
    pub const EXT_COMMUNITIES: u8 = 16;
    /// AS4_PATH (RFC 6793).
    pub const AS4_PATH: u8 = 17;
    /// AS4_AGGREGATOR (RFC 6793).
    pub const AS4_AGGREGATOR: u8 = 18;
    /// PMSI_TUNNEL (RFC 6514 §5).
    pub const PMSI_TUNNEL: u8 = 22;
    /// Tunnel Encapsulation (RFC 9012).
    pub const TUNNEL_ENCAP: u8 = 23;
    /// Traffic Engineering (RFC 5543).
    pub const TRAFFIC_ENGINEERING: u8 = 24;
    /// IPv6 Address Specific Extended Communities (RFC 5701).
    pub const IPV6_EXT_COMMUNITIES: u8 = 25;
    /// AIGP (RFC 7311).
    pub const AIGP: u8 = 26;
    /// PE Distinguisher Labels (RFC 6514 §8).
    pub const PE_DISTINGUISHER_LABELS: u8 = 27;
    /// BGP-LS (RFC 7752 §3.3).
    pub const BGP_LS: u8 = 29;
    /// LARGE_COMMUNITY (RFC 8092).
    pub const LARGE_COMMUNITIES: u8 = 32;
    /// Only to Customer (RFC 9234 §5).
    pub const OTC: u8 = 35;
    /// BFD Discriminator (RFC 9026).
    pub const BFD_DISCRIMINATOR: u8 = 38;
    /// BGP Prefix-SID (RFC 8669).
    pub const PREFIX_SID: u8 = 40;
    /// ATTR_SET (RFC 6368).
    pub const ATTR_SET: u8 = 128;
}

/// Attribute flags (RFC 4271 §4.3). The low four bits mean nothing and are sent as zero.
pub mod flag {
    /// Not every speaker need know the attribute.
    pub const OPTIONAL: u8 = 0x80;
    /// Passed on even by those who do not know it.
    pub const TRANSITIVE: u8 = 0x40;
    /// Somebody on the way passed it on without knowing it.
    pub const PARTIAL: u8 = 0x20;
    /// The length has two octets.
    pub const EXTENDED_LENGTH: u8 = 0x10;
}

/// ORIGIN (RFC 4271 §5.1.1); lower is preferred, the value is the wire code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Origin {
    /// Interior to the originating AS.
    Igp = 0,
    /// Learnt by EGP (RFC 904).
    Egp = 1,
    /// Otherwise.
    Incomplete = 2,
}

impl Origin {
    /// The origin for a wire code.
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Igp,
            1 => Self::Egp,
            2 => Self::Incomplete,
            _ => return None,
        })
    }

    /// `igp`, `egp` or `incomplete`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Igp => "igp",
            Self::Egp => "egp",
            Self::Incomplete => "incomplete",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where to send packets: one address, for IPv6 perhaps with the link-local one beside it (RFC 2545 §3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NextHop {
    /// The global address; a link-local one where the sender had no other.
    pub global: IpAddr,
    /// The link-local address of the same router.
    pub link_local: Option<Ipv6Addr>,
}

impl NextHop {
    /// One address, nothing beside it.
    pub fn new(global: IpAddr) -> Self {
        Self { global, link_local: None }
    }

    /// Reads the next-hop field of MP_REACH_NLRI by its length alone: 4, 16, 32 octets, or 12, 24, 48 with a route
    /// distinguisher in front of each address (RFC 4364 §4.3.2, RFC 8950 §3). `None` for any other length.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let mut r = Reader::new(octets);
        let with_rd = matches!(octets.len(), 12 | 24 | 48);
        let skip_rd = |r: &mut Reader<'_>| if with_rd { r.skip(8) } else { Some(()) };
        skip_rd(&mut r)?;
        if matches!(octets.len(), 4 | 12) {
            return Some(Self::new(Ipv4Addr::from(r.u32()?).into()));
        }
        if !matches!(octets.len(), 16 | 24 | 32 | 48) {
            return None;
        }
        let global = Ipv6Addr::from(r.u128()?).into();
        if r.is_empty() {
            return Some(Self::new(global));
        }
        skip_rd(&mut r)?;
        Some(Self { global, link_local: Some(Ipv6Addr::from(r.u128()?)) })
    }

    /// Appends the next-hop field of MP_REACH_NLRI for `family`: with route distinguisher 0 for VPN families.
    pub(super) fn push(self, family: Family, out: &mut Vec<u8>) {
        let rd: &[u8] = if matches!(family.safi, 128 | 129) { &[0; 8] } else { &[] };
        out.extend_from_slice(rd);
        match self.global {
            IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
        }
        if let (IpAddr::V6(_), Some(link_local)) = (self.global, self.link_local) {
            out.extend_from_slice(rd);
            out.extend_from_slice(&link_local.octets());
        }
    }
}

impl fmt::Display for NextHop {
    /// The global address only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.global.fmt(f)
    }
}

/// A canonical attribute set (see the head of this file). Every reader is total: on octets that are no canonical
/// set it sees what comes before the damage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AttrSet<'a>(&'a [u8]);

impl<'a> AttrSet<'a> {
    /// A view over canonical octets.
    pub fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The octets.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether there is no attribute at all, as in a withdrawal.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The attributes as (flags, type code, value), ascending by code.
    #[inline]
    pub fn iter(&self) -> AttrIter<'a> {
        AttrIter(Reader::new(self.0))
    }

    /// The value of one attribute.
    #[inline]
    pub fn get(&self, code: u8) -> Option<&'a [u8]> {
        self.iter()
            .take_while(|(_, other, _)| *other <= code)
            .find(|(_, other, _)| *other == code)
            .map(|(_, _, value)| value)
    }

    /// ORIGIN.
    pub fn origin(&self) -> Option<Origin> {
        Origin::from_code(Reader::new(self.get(code::ORIGIN)?).u8()?)
    }

    /// AS_PATH; empty where there is none.
    pub fn as_path(&self) -> AsPath<'a> {
        AsPath::new(self.get(code::AS_PATH).unwrap_or_default())
    }

    /// The next hop, from whichever attribute carries it. `None` for families that have none (flow specification).
    pub fn next_hop(&self) -> Option<NextHop> {
        match self.get(code::NEXT_HOP) {
            Some(value) => NextHop::from_octets(value),
            None => NextHop::from_octets(self.mp_next_hop()?.1),
        }
    }

    /// Family and next-hop octets of MP_REACH_NLRI.
    pub fn mp_next_hop(&self) -> Option<(Family, &'a [u8])> {
        let mut r = Reader::new(self.get(code::MP_REACH)?);
        let family = Family::new(r.u16()?, r.u8()?);
        let len = usize::from(r.u8()?);
        Some((family, r.bytes(len)?))
    }

    /// MULTI_EXIT_DISC.
    pub fn med(&self) -> Option<u32> {
        self.number(code::MED)
    }

    /// LOCAL_PREF.
    pub fn local_pref(&self) -> Option<u32> {
        self.number(code::LOCAL_PREF)
    }

    /// Whether ATOMIC_AGGREGATE is there.
    pub fn atomic_aggregate(&self) -> bool {
        self.get(code::ATOMIC_AGGREGATE).is_some()
    }

    /// AGGREGATOR: the AS and router that formed the aggregate.
    pub fn aggregator(&self) -> Option<(Asn, Ipv4Addr)> {
        let mut r = Reader::new(self.get(code::AGGREGATOR)?);
        Some((Asn(r.u32()?), r.u32()?.into()))
    }

    /// COMMUNITIES, in the order received.
    pub fn communities(&self) -> impl ExactSizeIterator<Item = Community> + use<'a> {
        self.chunks(code::COMMUNITIES).iter().map(|octets| Community(u32::from_be_bytes(*octets)))
    }

    /// EXTENDED COMMUNITIES, in the order received.
    pub fn ext_communities(&self) -> impl ExactSizeIterator<Item = ExtCommunity> + use<'a> {
        self.chunks(code::EXT_COMMUNITIES).iter().map(|octets| ExtCommunity(u64::from_be_bytes(*octets)))
    }

    /// IPv6 Address Specific Extended Communities, in the order received.
    pub fn ipv6_ext_communities(&self) -> impl ExactSizeIterator<Item = Ipv6ExtCommunity> + use<'a> {
        self.chunks(code::IPV6_EXT_COMMUNITIES).iter().map(|octets| Ipv6ExtCommunity(*octets))
    }

    /// LARGE_COMMUNITY, in the order received.
    pub fn large_communities(&self) -> impl ExactSizeIterator<Item = LargeCommunity> + use<'a> {
        self.chunks(code::LARGE_COMMUNITIES).iter().map(|octets| LargeCommunity::from_octets(*octets))
    }

    /// ORIGINATOR_ID.
    pub fn originator_id(&self) -> Option<RouterId> {
        self.number(code::ORIGINATOR_ID).map(RouterId)
    }

    /// CLUSTER_LIST, the most recent first.
    pub fn cluster_list(&self) -> impl ExactSizeIterator<Item = RouterId> + use<'a> {
        self.chunks(code::CLUSTER_LIST).iter().map(|octets| RouterId(u32::from_be_bytes(*octets)))
    }

    /// Only to Customer (RFC 9234 §5): the AS that attached it.
    pub fn otc(&self) -> Option<Asn> {
        self.number(code::OTC).map(Asn)
    }

    /// The metric of AIGP's first TLV of type 1 (RFC 7311 §3).
    pub fn aigp(&self) -> Option<u64> {
        let mut r = Reader::new(self.get(code::AIGP)?);
        while let (Some(kind), Some(len)) = (r.u8(), r.u16()) {
            let mut value = r.sub(usize::from(len).checked_sub(3)?)?;
            if kind == 1 {
                return value.u64();
            }
        }
        None
    }

    fn number(&self, code: u8) -> Option<u32> {
        Reader::new(self.get(code)?).u32()
    }

    fn chunks<const N: usize>(&self, code: u8) -> &'a [[u8; N]] {
        self.get(code).unwrap_or_default().as_chunks::<N>().0
    }
}

impl fmt::Debug for AttrSet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(_, code, value)| (code, value))).finish()
    }
}

/// The attributes of a set, one by one.
#[derive(Clone, Debug)]
pub struct AttrIter<'a>(Reader<'a>);

impl<'a> Iterator for AttrIter<'a> {
    type Item = (u8, u8, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let [flags, code] = self.0.array()?;
        let len =
            if flags & flag::EXTENDED_LENGTH == 0 { usize::from(self.0.u8()?) } else { usize::from(self.0.u16()?) };
        Some((flags, code, self.0.bytes(len)?))
    }
}

/// Appends one attribute in canonical form. A value above 65,535 octets is no attribute and is left out.
#[inline]
pub(super) fn push_attribute(flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
    let kept = flags & (flag::OPTIONAL | flag::TRANSITIVE | flag::PARTIAL);
    if let Ok(len) = u8::try_from(value.len()) {
        out.extend_from_slice(&[kept, code, len]);
    } else if let Ok(len) = u16::try_from(value.len()) {
        let [high, low] = len.to_be_bytes();
        out.extend_from_slice(&[kept | flag::EXTENDED_LENGTH, code, high, low]);
    } else {
        return;
    }
    out.extend_from_slice(value);
}

/// What the RFCs call an attribute: `AS_PATH`, `attribute 200`.
pub fn name(code: u8) -> String {
    table::row(code).map_or_else(|| format!("attribute {code}"), |row| row.name.to_owned())
}

/// Whether `code` has a row in the table of attributes. An unknown transitive one is passed on with the Partial bit
/// (RFC 4271 §5).
pub fn is_known(code: u8) -> bool {
    table::row(code).is_some()
}

#[cfg(test)]
mod tests;
