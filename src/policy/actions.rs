//! What statements change, compiled, and the editor that changes a canonical attribute set. The result is canonical
//! again: attributes ascend by code, each once; communities keep their order and none is added twice.
//!
//! Within one statement actions follow the order of [`Action`]'s variants, whatever their order in the file: what is
//! taken away is taken away before anything is added.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use super::{
    community::AnyCommunity,
    conditions::Digested,
    definitions::{MedChange, NextHopChange, Prepend, PrependWho},
    sets::community::CommunitySet,
};
use crate::{
    types::{Asn, Family},
    wire::bgp::{
        as_path::SegmentKind,
        attribute::{AttrSet, NextHop, Origin, code, flag},
        community::{Community, ExtCommunity, Ipv6ExtCommunity, LargeCommunity},
    },
};

/// A compiled action.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Action {
    StripPrivateAsns,
    Prepend(Prepend),
    SetCommunities(Vec<AnyCommunity>),
    RemoveCommunities(Arc<Digested<CommunitySet>>),
    AddCommunities(Vec<AnyCommunity>),
    LocalPref(u32),
    Med(MedChange),
    Origin(Origin),
    NextHop(NextHopChange),
    Weight(u16),
}

impl Action {
    /// Its place among the actions of a statement.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::StripPrivateAsns => 0,
            Self::Prepend(_) => 1,
            Self::SetCommunities(_) => 2,
            Self::RemoveCommunities(_) => 3,
            Self::AddCommunities(_) => 4,
            Self::LocalPref(_) => 5,
            Self::Med(_) => 6,
            Self::Origin(_) => 7,
            Self::NextHop(_) => 8,
            Self::Weight(_) => 9,
        }
    }
}

/// Flags of attributes that are written where there was none (RFC 4271 §4.3).
const WELL_KNOWN: u8 = flag::TRANSITIVE;
const OPTIONAL_TRANSITIVE: u8 = flag::OPTIONAL | flag::TRANSITIVE;
const OPTIONAL: u8 = flag::OPTIONAL;

/// Most ASNs of a segment (RFC 4271 §4.3: the count is one octet).
const SEGMENT_MAX: usize = 255;

/// Changes one set; keeps its buffers.
#[derive(Clone, Debug, Default)]
pub(super) struct Editor {
    set: Vec<u8>,
    next: Vec<u8>,
    value: Vec<u8>,
}

impl Editor {
    /// Starts with `set`.
    pub(super) fn load(&mut self, set: AttrSet<'_>) {
        self.set.clear();
        self.set.extend_from_slice(set.as_bytes());
    }

    /// The set as it stands.
    pub(super) fn set(&self) -> AttrSet<'_> {
        AttrSet::new(&self.set)
    }

    pub(super) fn local_pref(&mut self, value: u32) {
        self.number(code::LOCAL_PREF, WELL_KNOWN, value);
    }

    pub(super) fn med(&mut self, change: MedChange) {
        let now = self.set().med().unwrap_or_default();
        let value = match change {
            MedChange::Set(value) => value,
            MedChange::Add(more) => now.saturating_add(more),
            MedChange::Subtract(less) => now.saturating_sub(less),
            MedChange::Remove => return self.replace(&[code::MED], None),
        };
        self.number(code::MED, OPTIONAL, value);
    }

    pub(super) fn origin(&mut self, origin: Origin) {
        self.value.clear();
        self.value.push(origin as u8);
        self.replace(&[code::ORIGIN], Some((code::ORIGIN, WELL_KNOWN)));
    }

    /// Puts `who` in front of AS_PATH (RFC 4271 §5.1.2 b): into the leading AS_SEQUENCE while that has room, else as a
    /// segment of its own.
    pub(super) fn prepend(&mut self, Prepend { who, times }: Prepend, own: Asn) {
        let path = AttrSet::new(&self.set).as_path();
        let asn = match who {
            PrependWho::Own => own,
            PrependWho::Asn(asn) => asn,
            PrependWho::LastAs => match path.asns().next() {
                Some(asn) => asn,
                None => return,
            },
        };
        let first = path.segments().next().filter(|first| first.kind == SegmentKind::Sequence);
        let joined = first.map(|first| first.asns().len()).filter(|count| count + usize::from(times) <= SEGMENT_MAX);
        self.value.clear();
        // Fits: the sum was compared with 255, and `times` is an octet.
        let count = joined.unwrap_or_default() as u8 + times;
        self.value.extend_from_slice(&[SegmentKind::Sequence as u8, count]);
        for _ in 0..times {
            self.value.extend_from_slice(&asn.0.to_be_bytes());
        }
        let skipped = if joined.is_some() { 2 } else { 0 };
        self.value.extend_from_slice(path.as_bytes().get(skipped..).unwrap_or_default());
        self.replace(&[code::AS_PATH], Some((code::AS_PATH, WELL_KNOWN)));
    }

    /// Takes private ASNs (RFC 6996) out of AS_PATH, and segments that become empty. Segments of a confederation
    /// stay: private ASNs are what they are made of, and they go when the path leaves it (RFC 5065 §4).
    pub(super) fn strip_private_asns(&mut self) {
        let path = AttrSet::new(&self.set).as_path();
        if !path.asns().any(Asn::is_private) {
            return;
        }
        self.value.clear();
        for segment in path.segments() {
            let keeps = |asn: &Asn| segment.kind.is_confed() || !asn.is_private();
            let count = segment.asns().filter(keeps).count();
            if count > 0 {
                self.value.extend_from_slice(&[segment.kind as u8, count as u8]); // at most what it was
                segment.asns().filter(keeps).for_each(|asn| self.value.extend_from_slice(&asn.0.to_be_bytes()));
            }
        }
        self.replace(&[code::AS_PATH], Some((code::AS_PATH, WELL_KNOWN)));
    }

    /// Replaces the communities of the kinds that `communities` has.
    pub(super) fn set_communities(&mut self, communities: &[AnyCommunity]) {
        for code in COMMUNITY_CODES {
            if communities.iter().any(|community| community.code() == code) {
                self.value.clear();
                self.push_missing(code, communities);
                self.replace_communities(code);
            }
        }
    }

    /// Adds those of `communities` that are not there, behind those that are.
    pub(super) fn add_communities(&mut self, communities: &[AnyCommunity]) {
        for code in COMMUNITY_CODES {
            if communities.iter().any(|community| community.code() == code) {
                self.value.clear();
                self.value.extend_from_slice(AttrSet::new(&self.set).get(code).unwrap_or_default());
                self.push_missing(code, communities);
                self.replace_communities(code);
            }
        }
    }

    /// Takes away those that are in `removed`.
    pub(super) fn remove_communities(&mut self, removed: &CommunitySet) {
        self.keep(code::COMMUNITIES, |octets| !removed.contains_standard(Community(u32::from_be_bytes(*octets))));
        self.keep(code::EXT_COMMUNITIES, |octets| {
            !removed.contains_extended(ExtCommunity(u64::from_be_bytes(*octets)))
        });
        self.keep(code::IPV6_EXT_COMMUNITIES, |octets| !removed.contains_ipv6_extended(Ipv6ExtCommunity(*octets)));
        self.keep(code::LARGE_COMMUNITIES, |octets| !removed.contains_large(LargeCommunity::from_octets(*octets)));
    }

    /// Sets the next hop where `family` can have this one: flow specifications have none (RFC 8955 §4), and an IPv4
    /// address is none for IPv6 prefixes. Whether it can.
    pub(super) fn next_hop(&mut self, family: Family, address: IpAddr) -> bool {
        let set = AttrSet::new(&self.set);
        let has_none = set.mp_next_hop().is_some_and(|(_, octets)| octets.is_empty());
        if has_none || (family.afi == 2 && address.is_ipv4()) {
            return false;
        }
        if set.next_hop() == Some(NextHop::new(address)) {
            return true;
        }
        self.value.clear();
        let replaced = [code::NEXT_HOP, code::MP_REACH];
        if let (Family::IPV4_UNICAST, IpAddr::V4(address)) = (family, address) {
            self.value.extend_from_slice(&address.octets());
            self.replace(&replaced, Some((code::NEXT_HOP, WELL_KNOWN)));
            return true;
        }
        // VPN families have a route distinguisher of zeros in front (RFC 4364 §4.3.2).
        let rd: &[u8] = if matches!(family.safi, 128 | 129) { &[0; 8] } else { &[] };
        let (v4, v6) = match address {
            IpAddr::V4(address) => (address.octets(), Ipv6Addr::UNSPECIFIED.octets()),
            IpAddr::V6(address) => ([0; 4], address.octets()),
        };
        let octets: &[u8] = if address.is_ipv4() { &v4 } else { &v6 };
        self.value.extend_from_slice(&family.afi.to_be_bytes());
        self.value.extend_from_slice(&[family.safi, (rd.len() + octets.len()) as u8]); // at most 24
        self.value.extend_from_slice(rd);
        self.value.extend_from_slice(octets);
        self.replace(&replaced, Some((code::MP_REACH, OPTIONAL)));
        true
    }

    fn number(&mut self, code: u8, flags: u8, value: u32) {
        self.value.clear();
        self.value.extend_from_slice(&value.to_be_bytes());
        self.replace(&[code], Some((code, flags)));
    }

    /// Appends to `value` those of `communities` that belong to `code` and are not in it.
    fn push_missing(&mut self, code: u8, communities: &[AnyCommunity]) {
        for community in communities.iter().filter(|community| community.code() == code) {
            community.with_octets(|octets| {
                if !self.value.chunks_exact(octets.len()).any(|known| known == octets) {
                    self.value.extend_from_slice(octets);
                }
            });
        }
    }

    /// Keeps the members of a list of communities that `wanted` says.
    fn keep<const N: usize>(&mut self, code: u8, wanted: impl Fn(&[u8; N]) -> bool) {
        let members = AttrSet::new(&self.set).get(code).unwrap_or_default().as_chunks::<N>().0;
        if members.iter().all(&wanted) {
            return;
        }
        self.value.clear();
        members.iter().filter(|member| wanted(member)).for_each(|member| self.value.extend_from_slice(member));
        self.replace_communities(code);
    }

    /// An empty list is no attribute (RFC 7606 §7.8). One that came with the Partial bit keeps it.
    fn replace_communities(&mut self, code: u8) {
        if self.value.is_empty() {
            return self.replace(&[code], None);
        }
        let present = self.set().iter().find(|(_, other, _)| *other == code).map(|(flags, _, _)| flags);
        let flags = present.map_or(OPTIONAL_TRANSITIVE, |flags| flags & !flag::EXTENDED_LENGTH);
        self.replace(&[code], Some((code, flags)));
    }

    /// Leaves out the attributes `gone` and writes `value` as `new` (code, flags). A value that fits no attribute
    /// (65,535 octets) leaves the set as it is.
    fn replace(&mut self, gone: &[u8], new: Option<(u8, u8)>) {
        if self.value.len() > usize::from(u16::MAX) && new.is_some() {
            return;
        }
        self.next.clear();
        let mut new = new;
        let mut copied = 0;
        let set = AttrSet::new(&self.set);
        let mut position = 0;
        for (_, code, value) in set.iter() {
            let header = if value.len() > usize::from(u8::MAX) { 4 } else { 3 };
            let end = position + header + value.len();
            if let Some((written, flags)) = new.take_if(|(written, _)| *written <= code) {
                self.next.extend_from_slice(self.set.get(copied..position).unwrap_or_default());
                copied = position;
                push(flags, written, &self.value, &mut self.next);
            }
            if gone.contains(&code) {
                self.next.extend_from_slice(self.set.get(copied..position).unwrap_or_default());
                copied = end;
            }
            position = end;
        }
        self.next.extend_from_slice(self.set.get(copied..).unwrap_or_default());
        if let Some((written, flags)) = new {
            push(flags, written, &self.value, &mut self.next);
        }
        std::mem::swap(&mut self.set, &mut self.next);
    }
}

/// The attributes of the four kinds of communities.
const COMMUNITY_CODES: [u8; 4] =
    [code::COMMUNITIES, code::EXT_COMMUNITIES, code::IPV6_EXT_COMMUNITIES, code::LARGE_COMMUNITIES];

/// Appends an attribute in canonical form: extended length only above 255 octets (RFC 4271 §4.3).
fn push(flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(value.len()) {
        Ok(len) => out.extend_from_slice(&[flags, code, len]),
        Err(_) => {
            let [high, low] = (value.len() as u16).to_be_bytes(); // at most 65,535, as `replace` saw to
            out.extend_from_slice(&[flags | flag::EXTENDED_LENGTH, code, high, low]);
        }
    }
    out.extend_from_slice(value);
}
