//! A real table as the ground for events: who sees what over which path, and how each vantage would reach any AS.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use ribwatch::{
    app::replay::Replay,
    types::{Asn, Family, Prefix, Timestamp},
    wire::{
        bgp::{
            attribute::{AttrSet, AttrSetBuilder, NextHop, Origin},
            batch::{ItemKind, UpdateBatch},
        },
        mrt::{Direction, Event, Routes},
    },
};

use super::Archive;

/// A vantage of the archive.
pub type Peer = (IpAddr, Asn);
/// A path without repetitions, from the vantage to the origin.
pub type Hops = Arc<[Asn]>;

/// What the vantages of a table see.
pub struct Scenery {
    /// By prefix, in order of vantages.
    pub seen: BTreeMap<Prefix, Vec<(usize, Hops)>>,
    pub peers: Vec<Peer>,
    /// Prefixes with paths that end in a set of ASes.
    pub aggregated: BTreeSet<Prefix>,
    /// The shortest way of a vantage to an AS that it has in any path.
    ways: HashMap<(usize, Asn), Hops>,
}

impl Scenery {
    /// What the table of an archive shows. Paths with sets of ASes are left out.
    pub fn of(table: &Archive) -> Self {
        let mut scenery =
            Self { seen: BTreeMap::new(), peers: Vec::new(), aggregated: BTreeSet::new(), ways: HashMap::new() };
        let mut numbers: HashMap<Peer, usize> = HashMap::new();
        table.each(|_, event| {
            let Event::Table(routes) = event else { return };
            let next = scenery.peers.len();
            let peer = *numbers.entry((routes.peer_address, routes.peer_asn)).or_insert(next);
            if peer == next {
                scenery.peers.push((routes.peer_address, routes.peer_asn));
            }
            let path = routes.item.attrs.as_path();
            if path.segments().count() != 1 {
                scenery.aggregated.extend(routes.item.prefixes().map(|(_, prefix)| prefix));
                return;
            }
            let mut hops: Vec<Asn> = path.asns().collect();
            hops.dedup();
            let hops: Hops = hops.into();
            for (at, asn) in hops.iter().enumerate() {
                let way = scenery.ways.entry((peer, *asn)).or_insert_with(|| hops[..=at].into());
                if way.len() > at + 1 {
                    *way = hops[..=at].into();
                }
            }
            for (_, prefix) in routes.item.prefixes() {
                scenery.seen.entry(prefix).or_default().push((peer, Arc::clone(&hops)));
            }
        });
        scenery
    }

    /// Who originates `prefix`, and parts of it, as all vantages see it now.
    pub fn origins(&self, prefix: Prefix) -> Vec<Asn> {
        let mut origins: Vec<Asn> =
            self.seen.get(&prefix).into_iter().flatten().filter_map(|(_, hops)| hops.last().copied()).collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }

    /// Who stands next to the origins of `prefix`.
    pub fn upstreams(&self, prefix: Prefix) -> Vec<Asn> {
        let next = |hops: &Hops| hops.len().checked_sub(2).map(|at| hops[at]);
        let mut upstreams: Vec<Asn> =
            self.seen.get(&prefix).into_iter().flatten().filter_map(|(_, hops)| next(hops)).collect();
        upstreams.sort_unstable();
        upstreams.dedup();
        upstreams
    }

    /// Prefixes of the table inside `prefix`, itself left out.
    pub fn inside(&self, prefix: Prefix) -> impl Iterator<Item = Prefix> {
        let behind = self.seen.range(prefix..).map(|(other, _)| *other).take_while(move |other| prefix.covers(other));
        behind.filter(move |other| *other != prefix)
    }

    /// The shortest way of a vantage to an AS.
    pub fn way(&self, peer: usize, asn: Asn) -> Option<&Hops> {
        self.ways.get(&(peer, asn))
    }

    /// All ASes that are in any path, in order.
    pub fn ases(&self) -> Vec<Asn> {
        let mut ases: Vec<Asn> = self.ways.keys().map(|(_, asn)| *asn).collect();
        ases.sort_unstable();
        ases.dedup();
        ases
    }

    /// A vantage announces `prefix` over a path, or withdraws it.
    pub fn tell(&self, replay: &mut Replay, at: Timestamp, peer: usize, prefix: Prefix, hops: Option<&[Asn]>) {
        let (peer_address, peer_asn) = self.peers[peer];
        let family = if prefix.is_v4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
        let attrs = hops.map(|hops| {
            let mut builder = AttrSetBuilder::new();
            builder.origin(Origin::Igp).as_path_sequence(hops).next_hop(family, NextHop::new(peer_address));
            builder.finish()
        });
        let kind = if attrs.is_some() { ItemKind::Announce } else { ItemKind::Withdraw };
        let mut batch = UpdateBatch::new();
        batch.push_prefixes(kind, family, AttrSet::new(attrs.as_deref().unwrap_or_default()), &[(0, prefix)]);
        for item in batch.iter() {
            let direction = Direction::Received;
            let routes = Routes { peer_address, peer_asn, add_path: false, direction, originated_secs: None, item };
            replay.take(at, &Event::Update(routes));
        }
    }
}

/// Numbers that follow from a seed (SplitMix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Whether something happens that does so in `percent` of all cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
