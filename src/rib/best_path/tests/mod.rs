//! The decision process told in paths: `steps` has a row for each step and knob, `traps` the known ways to get it
//! wrong, `oracle` the list of steps played by elimination, `properties` every order of arrival against that oracle.

mod oracle;
mod properties;
mod steps;
mod traps;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::{
    rib::paths::PathFlags,
    wire::bgp::attribute::{AttrSet, AttrSetBuilder, NextHop, Origin, code},
};

/// A path in words: everything that the decision may look at.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Said {
    llgr_stale: bool,
    unusable: bool,
    weight: u16,
    /// Weight that import policy gave this path.
    set_weight: Option<u16>,
    local_pref: Option<u32>,
    source: Source,
    aigp: Option<u8>,
    /// Segments: their code on the wire, their ASNs.
    as_path: Vec<(u8, Vec<u32>)>,
    origin: u8,
    med: Option<u32>,
    /// Last octet of its next hop in 198.51.100.0/24.
    next_hop: u8,
    received: u32,
    asn: u32,
    router_id: u32,
    originator_id: Option<u32>,
    clusters: usize,
    address: IpAddr,
    path_id: u32,
}

const SEQUENCE: u8 = 2;
const SET: u8 = 1;
const CONFED_SEQUENCE: u8 = 3;

fn sequence(asns: &[u32]) -> Vec<(u8, Vec<u32>)> {
    vec![(SEQUENCE, asns.to_vec())]
}

fn neighbor(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

/// An ordinary path from an external neighbour.
fn plain() -> Said {
    Said {
        llgr_stale: false,
        unusable: false,
        weight: 0,
        set_weight: None,
        local_pref: None,
        source: Source::External,
        aigp: None,
        as_path: sequence(&[64496, 64500]),
        origin: 0,
        med: None,
        next_hop: 1,
        received: 1000,
        asn: 64496,
        router_id: 10,
        originator_id: None,
        clusters: 0,
        address: neighbor(1),
        path_id: 0,
    }
}

/// The paths of one prefix, each from a session of its own.
struct Net {
    attrs: AttrStore,
    sessions: Vec<SessionFacts>,
    paths: Vec<Path>,
    knobs: Knobs,
}

impl Net {
    fn of(said: &[Said]) -> Self {
        Self::with(said, Knobs::default())
    }

    fn with(said: &[Said], knobs: Knobs) -> Self {
        let mut net = Self { attrs: AttrStore::new(3), sessions: Vec::new(), paths: Vec::new(), knobs };
        for said in said {
            let session = net.sessions.len() as SessionSlot;
            net.sessions.push(SessionFacts {
                source: said.source,
                asn: Asn(said.asn),
                router_id: RouterId(said.router_id),
                address: said.address,
                weight: said.weight,
                usable: true,
            });
            let octets = octets(said);
            let mut set = net.attrs.intern(AttrSet::new(&octets));
            if said.set_weight.is_some() {
                set = net.attrs.derive(set, AttrSet::new(&octets), said.set_weight);
            }
            let flags = |on, flag| if on { flag } else { PathFlags::default() };
            net.paths.push(Path {
                set,
                received_secs: said.received,
                path_id: said.path_id,
                session,
                flags: flags(said.llgr_stale, PathFlags::LLGR_STALE).with(flags(said.unusable, PathFlags::UNUSABLE)),
            });
        }
        net
    }

    fn decision(&self) -> Decision<'_> {
        Decision::new(&self.attrs, &self.sessions, &self.knobs)
    }

    /// The ranking: index, step, index of the path it lost to.
    fn ranking(&self) -> Vec<(usize, Option<(Step, usize)>)> {
        let ranks = self.decision().rank(&self.paths);
        ranks.iter().map(|rank| (rank.index, rank.lost_at.zip(rank.against))).collect()
    }
}

fn octets(said: &Said) -> Vec<u8> {
    let mut b = AttrSetBuilder::new();
    b.origin(Origin::from_code(said.origin).expect("0 to 2"));
    let mut path = Vec::new();
    for (kind, asns) in &said.as_path {
        path.extend([*kind, u8::try_from(asns.len()).expect("short")]);
        asns.iter().for_each(|asn| path.extend(asn.to_be_bytes()));
    }
    b.raw(0x40, code::AS_PATH, &path);
    let next_hop = Ipv4Addr::new(198, 51, 100, said.next_hop);
    b.next_hop(crate::types::Family::IPV4_UNICAST, NextHop::new(next_hop.into()));
    if let Some(med) = said.med {
        b.med(med);
    }
    if let Some(local_pref) = said.local_pref {
        b.local_pref(local_pref);
    }
    if let Some(id) = said.originator_id {
        b.originator_id(RouterId(id));
    }
    if said.clusters > 0 {
        b.cluster_list(&vec![RouterId(1); said.clusters]);
    }
    if let Some(aigp) = said.aigp {
        b.raw(0x80, code::AIGP, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, aigp]);
    }
    b.finish()
}

/// Every order of `n` things.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    let Some(last) = n.checked_sub(1) else { return vec![Vec::new()] };
    let with_last = |rest: Vec<usize>| {
        (0..n).map(move |at| {
            let mut order = rest.clone();
            order.insert(at, last);
            order
        })
    };
    permutations(last).into_iter().flat_map(with_last).collect()
}
