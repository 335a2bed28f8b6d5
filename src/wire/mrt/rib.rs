//! Records of a table: TABLE_DUMP (RFC 6396 §4.2), TABLE_DUMP_V2 (§4.3) and its ADD-PATH subtypes (RFC 8050 §4).

use std::net::IpAddr;

use super::{
    Malformed, Record,
    message::{ends_early, read_address, read_asn},
};
use crate::{
    types::{Asn, Family, PathId, RouterId},
    wire::{cursor::Reader, printable_text},
};

/// A peer of the recorded router.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: Asn,
    /// Its BGP Identifier; zero where the record has none.
    pub router_id: RouterId,
}

/// PEER_INDEX_TABLE (RFC 6396 §4.3.1): who the RIB records behind it mean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerIndex {
    /// BGP Identifier of the recording router.
    pub collector: RouterId,
    /// Name of its view; often empty.
    pub view: String,
    /// Peers in the order of their index.
    pub peers: Vec<Peer>,
}

impl PeerIndex {
    /// The peer that `index` names.
    pub fn get(&self, index: u16) -> Option<&Peer> {
        self.peers.get(usize::from(index))
    }
}

/// Peer type flags (RFC 6396 §4.3.1): the address is IPv6; the AS number has four octets.
const PEER_IPV6: u8 = 0x01;
const PEER_AS4: u8 = 0x02;

pub(super) fn decode_peer_index(mut r: Reader<'_>) -> Result<PeerIndex, Malformed> {
    let head = r.u32().and_then(|collector| {
        let view_len = r.u16()?;
        Some((RouterId(collector), printable_text(r.bytes(view_len.into())?), r.u16()?))
    });
    let Some((collector, view, count)) = head else { return Err(ends_early(&r)) };
    let mut peers = Vec::new();
    for _ in 0..count {
        peers.push(read_peer(&mut r).ok_or_else(|| ends_early(&r))?);
    }
    Ok(PeerIndex { collector, view, peers })
}

fn read_peer(r: &mut Reader<'_>) -> Option<Peer> {
    let flags = r.u8()?;
    let router_id = RouterId(r.u32()?);
    let address = read_address(r, if flags & PEER_IPV6 != 0 { 2 } else { 1 })?;
    Some(Peer { address, asn: read_asn(r, flags & PEER_AS4 != 0)?, router_id })
}

/// One NLRI of a table and its routes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rib<'a> {
    /// Which table.
    pub family: Family,
    /// Whether routes have path identifiers of their own.
    pub add_path: bool,
    /// Whether AS numbers inside the attributes have four octets.
    pub four_octet_as: bool,
    nlri: Nlri<'a>,
    entries: Entries<'a>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Nlri<'a> {
    /// As it stands in the record.
    Wire(&'a [u8]),
    /// Put together: a prefix length and so many octets of address.
    Built([u8; 17], usize),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Entries<'a> {
    /// TABLE_DUMP_V2: a count and that many entries, octets from where in the body.
    Indexed { count: u16, at: usize, octets: &'a [u8] },
    /// TABLE_DUMP: one entry, its peer inside.
    Single(RibEntry<'a>),
}

/// Whose route it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RibPeer {
    /// The peer with this index in the [`PeerIndex`] before.
    Index(u16),
    /// This one.
    Given(Peer),
}

/// One route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RibEntry<'a> {
    /// Whose it is.
    pub peer: RibPeer,
    /// When the router got it, in seconds since the Unix epoch.
    pub originated_secs: u32,
    /// Path identifier; 0 where there are none.
    pub path_id: PathId,
    /// Path attributes in wire form, MP_REACH_NLRI abbreviated to the next hop (RFC 6396 §4.3.4) or, from some
    /// recorders, in full.
    pub attributes: &'a [u8],
}

impl<'a> Rib<'a> {
    /// The NLRI in wire form, without a path identifier.
    pub fn nlri(&self) -> &[u8] {
        match &self.nlri {
            Nlri::Wire(octets) => octets,
            Nlri::Built(octets, len) => octets.get(..*len).unwrap_or(octets),
        }
    }

    /// Its routes; ends at the first one that does not fit the record.
    pub fn entries(&self) -> RibEntries<'a> {
        match self.entries {
            Entries::Single(entry) => RibEntries { single: Some(entry), left: 0, add_path: false, r: Reader::new(&[]) },
            Entries::Indexed { count, at, octets } => {
                RibEntries { single: None, left: count, add_path: self.add_path, r: Reader::at(octets, at) }
            }
        }
    }
}

/// Iterates over the routes of a [`Rib`].
#[derive(Clone, Debug)]
pub struct RibEntries<'a> {
    single: Option<RibEntry<'a>>,
    left: u16,
    add_path: bool,
    r: Reader<'a>,
}

impl<'a> Iterator for RibEntries<'a> {
    type Item = Result<RibEntry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.single.take() {
            return Some(Ok(entry));
        }
        self.left = self.left.checked_sub(1)?;
        let entry = read_entry(&mut self.r, self.add_path);
        if entry.is_none() {
            self.left = 0;
        }
        Some(entry.ok_or_else(|| ends_early(&self.r)))
    }
}

/// RFC 6396 §4.3.4; RFC 8050 §4.1 puts the path identifier behind the time.
fn read_entry<'a>(r: &mut Reader<'a>, add_path: bool) -> Option<RibEntry<'a>> {
    let peer = RibPeer::Index(r.u16()?);
    let originated_secs = r.u32()?;
    let path_id = if add_path { r.u32()? } else { 0 };
    let len = r.u16()?;
    Some(RibEntry { peer, originated_secs, path_id, attributes: r.bytes(len.into())? })
}

/// Subtypes of TABLE_DUMP_V2 by family (RFC 6396 §4.3, RFC 8050 §4); 6 and 12 name theirs inside.
fn family_of(subtype: u16) -> Option<(Family, bool)> {
    Some(match subtype {
        2 => (Family::IPV4_UNICAST, false),
        3 => (Family::IPV4_MULTICAST, false),
        4 => (Family::IPV6_UNICAST, false),
        5 => (Family::IPV6_MULTICAST, false),
        8 => (Family::IPV4_UNICAST, true),
        9 => (Family::IPV4_MULTICAST, true),
        10 => (Family::IPV6_UNICAST, true),
        11 => (Family::IPV6_MULTICAST, true),
        _ => return None,
    })
}

const RIB_GENERIC: u16 = 6;
const RIB_GENERIC_ADDPATH: u16 = 12;

pub(super) fn decode_rib(subtype: u16, mut r: Reader<'_>) -> Result<Record<'_>, Malformed> {
    let sequence = r.skip(4);
    let (family, add_path) = match (family_of(subtype), subtype) {
        (Some(known), _) => known,
        (None, RIB_GENERIC | RIB_GENERIC_ADDPATH) => {
            let family = r.u16().and_then(|afi| Some(Family::new(afi, r.u8()?)));
            (family.ok_or_else(|| ends_early(&r))?, subtype == RIB_GENERIC_ADDPATH)
        }
        // 7 GEO_PEER_TABLE (RFC 6397) and what may come.
        _ => return Ok(Record::Other),
    };
    let at = r.position();
    let nlri = sequence.and_then(|()| read_nlri(&mut r, family)).ok_or_else(|| ends_early(&r))?;
    if let (Some(bits), Some(len)) = (family.address_bits().filter(|_| family.is_plain_prefix()), nlri.first())
        && *len > bits
    {
        return Err(Malformed { at, what: "the prefix is longer than an address" });
    }
    let count = r.u16().ok_or_else(|| ends_early(&r))?;
    let entries = Entries::Indexed { count, at: r.position(), octets: r.rest() };
    Ok(Record::Rib(Rib { family, add_path, four_octet_as: true, nlri: Nlri::Wire(nlri), entries }))
}

/// Takes one NLRI by the length it carries: in bits for prefixes and all that are written like them, in octets
/// for EVPN (RFC 7432 §7), BGP-LS (RFC 7752 §3.2) and flow specifications (RFC 8955 §4.1).
fn read_nlri<'a>(r: &mut Reader<'a>, family: Family) -> Option<&'a [u8]> {
    let mut ahead = *r;
    let len = match family {
        Family::EVPN => {
            ahead.skip(1)?;
            2 + usize::from(ahead.u8()?)
        }
        Family::BGP_LS => {
            ahead.skip(2)?;
            4 + usize::from(ahead.u16()?)
        }
        Family { safi: 133 | 134, .. } => match usize::from(ahead.u8()?) {
            long @ 0xf0.. => 2 + ((long & 0x0f) << 8 | usize::from(ahead.u8()?)),
            short => 1 + short,
        },
        _ => 1 + usize::from(ahead.u8()?).div_ceil(8),
    };
    r.bytes(len)
}

/// TABLE_DUMP: one route with its prefix and peer. Subtypes 3 and 4 are 1 and 2 with four-octet AS numbers, an
/// unofficial kind that Quagga wrote for a while.
pub(super) fn decode_table_dump(subtype: u16, mut r: Reader<'_>) -> Result<Record<'_>, Malformed> {
    let (family, four_octet_as) = match subtype {
        1 => (Family::IPV4_UNICAST, false),
        2 => (Family::IPV6_UNICAST, false),
        3 => (Family::IPV4_UNICAST, true),
        4 => (Family::IPV6_UNICAST, true),
        _ => return Ok(Record::Other),
    };
    let address_len = if family == Family::IPV4_UNICAST { 4 } else { 16 };
    let route = r
        .skip(4)
        .and_then(|()| Some((r.bytes(address_len)?, r.u8()?, read_table_dump(&mut r, family, four_octet_as)?)));
    let Some((address, bits, entry)) = route else { return Err(ends_early(&r)) };
    if usize::from(bits) > address_len * 8 {
        return Err(Malformed { at: 4 + address_len, what: "the prefix is longer than an address" });
    }
    let nlri = build_nlri(bits, address);
    Ok(Record::Rib(Rib { family, add_path: false, four_octet_as, nlri, entries: Entries::Single(entry) }))
}

/// What follows the prefix length: status, time, peer address and AS, attributes.
fn read_table_dump<'a>(r: &mut Reader<'a>, family: Family, four_octet_as: bool) -> Option<RibEntry<'a>> {
    r.skip(1)?;
    let originated_secs = r.u32()?;
    let address = read_address(r, family.afi)?;
    let peer = Peer { address, asn: read_asn(r, four_octet_as)?, router_id: RouterId(0) };
    let len = r.u16()?;
    Some(RibEntry { peer: RibPeer::Given(peer), originated_secs, path_id: 0, attributes: r.bytes(len.into())? })
}

fn build_nlri(bits: u8, address: &[u8]) -> Nlri<'static> {
    let len = 1 + usize::from(bits).div_ceil(8);
    let mut octets = [0; 17];
    for (to, from) in octets.iter_mut().zip([bits].iter().chain(address)).take(len) {
        *to = *from;
    }
    Nlri::Built(octets, len)
}
