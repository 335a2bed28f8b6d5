//! Makes canonical attribute sets: for routes of our own, for what export changes, for tests.

use std::net::Ipv4Addr;

use super::{
    AttrSet, NextHop, Origin, code, flag, push_attribute,
    table::{self, Row},
};
use crate::{
    types::{Asn, Family, RouterId},
    wire::bgp::{
        as_path::{self, AsPath},
        community::{Community, ExtCommunity, Ipv6ExtCommunity, LargeCommunity},
    },
};

/// Collects attributes in any order, the last value of each counting, and writes the canonical set.
///
/// Reusable: `clear` keeps the buffers. Values are not checked beyond what their types say; an empty list of
/// communities takes the attribute away, since an empty one would be malformed (RFC 7606 §7.8).
#[derive(Clone, Debug, Default)]
pub struct AttrSetBuilder {
    entries: Vec<Entry>,
    values: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    code: u8,
    flags: u8,
    start: usize,
    end: usize,
}

impl AttrSetBuilder {
    /// A builder without attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// A builder that starts with the attributes of `set`.
    pub fn from_set(set: AttrSet<'_>) -> Self {
        let mut builder = Self::new();
        builder.load(set);
        builder
    }

    /// Forgets everything but the buffers.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.values.clear();
    }

    /// Starts again with the attributes of `set`.
    pub fn load(&mut self, set: AttrSet<'_>) -> &mut Self {
        self.clear();
        for (flags, code, value) in set.iter() {
            self.raw(flags, code, value);
        }
        self
    }

    /// Sets any attribute; of `flags` the Optional, Transitive and Partial bits count.
    pub fn raw(&mut self, flags: u8, code: u8, value: &[u8]) -> &mut Self {
        let start = self.values.len();
        self.values.extend_from_slice(value);
        self.insert(flags, code, start)
    }

    /// Takes an attribute away.
    pub fn remove(&mut self, code: u8) -> &mut Self {
        self.entries.retain(|entry| entry.code != code);
        self
    }

    /// The value of an attribute as it stands.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        let entry = self.entries.iter().find(|entry| entry.code == code)?;
        self.values.get(entry.start..entry.end)
    }

    /// ORIGIN.
    pub fn origin(&mut self, origin: Origin) -> &mut Self {
        self.known(code::ORIGIN, &[origin as u8])
    }

    /// AS_PATH of one AS_SEQUENCE (more above 255 AS numbers, none for an empty path), leftmost first.
    pub fn as_path_sequence(&mut self, asns: &[Asn]) -> &mut Self {
        let start = self.values.len();
        as_path::push_sequence(asns, &mut self.values);
        self.insert(flag::TRANSITIVE, code::AS_PATH, start)
    }

    /// AS_PATH as it is.
    pub fn as_path(&mut self, path: AsPath<'_>) -> &mut Self {
        self.known(code::AS_PATH, path.as_bytes())
    }

    /// Puts `asn` in front of the AS_PATH `times` times (RFC 4271 §5.1.2).
    pub fn prepend(&mut self, asn: Asn, times: u8) -> &mut Self {
        let mut path = Vec::new();
        as_path::push_prepended(AsPath::new(self.get(code::AS_PATH).unwrap_or_default()), asn, times, &mut path);
        self.known(code::AS_PATH, &path)
    }

    /// The next hop, in the attribute that canonical sets keep it in for `family`; replaces both.
    pub fn next_hop(&mut self, family: Family, next_hop: NextHop) -> &mut Self {
        self.remove(code::NEXT_HOP).remove(code::MP_REACH);
        if let (Family::IPV4_UNICAST, std::net::IpAddr::V4(address)) = (family, next_hop.global) {
            return self.known(code::NEXT_HOP, &address.octets());
        }
        let mut octets = Vec::new();
        next_hop.push(family, &mut octets);
        self.mp_next_hop(family, &octets)
    }

    /// MP_REACH_NLRI of a canonical set with these next-hop octets (at most 255); empty for flow specifications.
    pub fn mp_next_hop(&mut self, family: Family, octets: &[u8]) -> &mut Self {
        let start = self.values.len();
        push_mp_head(family, octets, &mut self.values);
        self.insert(flag::OPTIONAL, code::MP_REACH, start)
    }

    /// MULTI_EXIT_DISC.
    pub fn med(&mut self, med: u32) -> &mut Self {
        self.known(code::MED, &med.to_be_bytes())
    }

    /// LOCAL_PREF.
    pub fn local_pref(&mut self, local_pref: u32) -> &mut Self {
        self.known(code::LOCAL_PREF, &local_pref.to_be_bytes())
    }

    /// ATOMIC_AGGREGATE.
    pub fn atomic_aggregate(&mut self) -> &mut Self {
        self.known(code::ATOMIC_AGGREGATE, &[])
    }

    /// AGGREGATOR.
    pub fn aggregator(&mut self, asn: Asn, router: Ipv4Addr) -> &mut Self {
        self.list(code::AGGREGATOR, [asn.0.to_be_bytes(), router.octets()])
    }

    /// COMMUNITIES.
    pub fn communities(&mut self, communities: &[Community]) -> &mut Self {
        self.list(code::COMMUNITIES, communities.iter().map(|community| community.0.to_be_bytes()))
    }

    /// EXTENDED COMMUNITIES.
    pub fn ext_communities(&mut self, communities: &[ExtCommunity]) -> &mut Self {
        self.list(code::EXT_COMMUNITIES, communities.iter().map(|community| community.0.to_be_bytes()))
    }

    /// IPV6 EXTENDED COMMUNITIES (RFC 5701).
    pub fn ipv6_ext_communities(&mut self, communities: &[Ipv6ExtCommunity]) -> &mut Self {
        self.list(code::IPV6_EXT_COMMUNITIES, communities.iter().map(|community| community.0))
    }

    /// LARGE_COMMUNITY.
    pub fn large_communities(&mut self, communities: &[LargeCommunity]) -> &mut Self {
        self.list(code::LARGE_COMMUNITIES, communities.iter().map(|community| community.to_octets()))
    }

    /// ORIGINATOR_ID.
    pub fn originator_id(&mut self, id: RouterId) -> &mut Self {
        self.known(code::ORIGINATOR_ID, &id.0.to_be_bytes())
    }

    /// CLUSTER_LIST, the most recent first.
    pub fn cluster_list(&mut self, clusters: &[RouterId]) -> &mut Self {
        self.list(code::CLUSTER_LIST, clusters.iter().map(|id| id.0.to_be_bytes()))
    }

    /// Only to Customer (RFC 9234 §5).
    pub fn otc(&mut self, asn: Asn) -> &mut Self {
        self.known(code::OTC, &asn.0.to_be_bytes())
    }

    /// The canonical set.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.values.len() + 4 * self.entries.len());
        self.write_to(&mut out);
        out
    }

    /// Appends the canonical set to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        for entry in &self.entries {
            push_attribute(entry.flags, entry.code, self.values.get(entry.start..entry.end).unwrap_or_default(), out);
        }
    }

    /// Sets an attribute that has a row in the table, with the flags that stand there.
    fn known(&mut self, code: u8, value: &[u8]) -> &mut Self {
        self.raw(table::row(code).map_or(0, Row::flags), code, value)
    }

    fn list<const N: usize>(&mut self, code: u8, members: impl IntoIterator<Item = [u8; N]>) -> &mut Self {
        let start = self.values.len();
        for member in members {
            self.values.extend_from_slice(&member);
        }
        if self.values.len() == start {
            return self.remove(code);
        }
        self.insert(table::row(code).map_or(0, Row::flags), code, start)
    }

    /// Files the value that stands from `start` to the end of the values under `code`.
    fn insert(&mut self, flags: u8, code: u8, start: usize) -> &mut Self {
        let entry = Entry { code, flags, start, end: self.values.len() };
        match self.entries.binary_search_by_key(&code, |entry| entry.code) {
            Ok(at) => {
                if let Some(old) = self.entries.get_mut(at) {
                    *old = entry;
                }
            }
            Err(at) => self.entries.insert(at, entry),
        }
        self
    }
}

/// Appends the value that MP_REACH_NLRI has in a canonical set.
pub(in crate::wire::bgp) fn push_mp_head(family: Family, next_hop: &[u8], out: &mut Vec<u8>) {
    let [high, low] = family.afi.to_be_bytes();
    let len = u8::try_from(next_hop.len()).unwrap_or(u8::MAX);
    out.extend_from_slice(&[high, low, family.safi, len]);
    out.extend(next_hop.iter().take(usize::from(len)));
}
