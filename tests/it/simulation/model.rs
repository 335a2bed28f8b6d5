//! The obvious model: what everybody said, and what a slow reading of the RFCs makes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ribwatch::{
    engine::{AddPathSelect, NextHopRule},
    types::{Asn, Family, PathId, PeerKind, Prefix, RouterId},
    wire::bgp::{
        attribute::{AttrSet, AttrSetBuilder, NextHop, code},
        community::Community,
        orf::{OrfChange, OrfEntry, OrfMatch},
    },
};

use super::BULK;
use crate::lab::{OUR_AS, Spec, Who, family_of, path};

/// Who announced it (`None`: this router itself) and under which path id.
pub(super) type Source = (Option<Who>, PathId);

/// What everybody said, kept in the plainest way.
pub(super) struct Model {
    pub(super) specs: Vec<Spec>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) paths: BTreeMap<(Prefix, Source), Vec<u8>>,
    pub(super) filters: BTreeMap<Who, Filter>,
}

/// What a neighbour said of the routes that it wants: the entries, and those of them that are in force.
#[derive(Default)]
pub(super) struct Filter {
    entries: Vec<OrfEntry>,
    /// `None`: it has not asked for anything yet.
    in_force: Option<Vec<OrfEntry>>,
}

impl Model {
    pub(super) fn forget(&mut self, who: Who) {
        self.paths.retain(|(_, (source, _)), _| *source != Some(who));
        self.filters.remove(&who);
    }

    /// Its entry with this number.
    pub(super) fn entry(&self, who: Who, sequence: u32) -> Option<OrfEntry> {
        self.filters.get(&who)?.entries.iter().find(|entry| entry.sequence == sequence).copied()
    }

    pub(super) fn change_filter(&mut self, who: Who, changes: &[OrfChange]) {
        let entries = &mut self.filters.entry(who).or_default().entries;
        for change in changes {
            match change {
                OrfChange::RemoveAll => entries.clear(),
                OrfChange::Remove(gone) => entries.retain(|entry| entry != gone),
                OrfChange::Add(new) => {
                    entries.retain(|entry| entry.sequence != new.sequence);
                    entries.push(*new);
                }
            }
        }
    }

    /// It asked for its routes.
    pub(super) fn enforce_filter(&mut self, who: Who) {
        let filter = self.filters.entry(who).or_default();
        filter.in_force = Some(filter.entries.clone());
    }

    /// RFC 5291 §6, RFC 5292 §4.
    fn wants(&self, who: Who, prefix: Prefix) -> bool {
        if self.specs[who].negotiated.filters_received.is_empty() {
            return true;
        }
        let Some(entries) = self.filters.get(&who).and_then(|filter| filter.in_force.as_ref()) else { return false };
        let about = entries.iter().filter(|entry| {
            let (OrfEntry { prefix: of, min_len, max_len, .. }, len) = (entry, prefix.len());
            let (Prefix::V4 { addr: of_addr, .. }, Prefix::V4 { addr, .. }) = (of, prefix) else { return false };
            let differing = (u64::from(*of_addr) ^ u64::from(addr)) >> (32 - of.len());
            differing == 0 && *min_len <= len && len <= *max_len && of.len() <= len
        });
        let first = about.min_by_key(|entry| entry.sequence);
        entries.is_empty() || first.is_some_and(|entry| entry.decision == OrfMatch::Permit)
    }

    fn kind(&self, source: Option<Who>) -> Option<PeerKind> {
        source.map(|who| self.specs[who].negotiated.kind)
    }

    fn is_eligible(&self, source: Option<Who>, set: AttrSet<'_>) -> bool {
        let Some(who) = source else { return true };
        let spec = &self.specs[who];
        let accepted = match spec.settings.import.first() {
            Some(name) => &**name == "accept-all",
            None => spec.negotiated.kind == PeerKind::Internal,
        };
        accepted && !set.as_path().contains(Asn(OUR_AS))
    }

    /// The paths of a prefix that may be chosen.
    fn candidates(&self, prefix: Prefix) -> Vec<(Source, &Vec<u8>)> {
        let of_prefix = self.paths.iter().filter(|((of, _), _)| *of == prefix);
        let all = of_prefix.map(|((_, source), octets)| (*source, octets));
        all.filter(|((source, _), octets)| self.is_eligible(*source, AttrSet::new(octets))).collect()
    }

    /// The best path of a prefix.
    pub(super) fn best(&self, prefix: Prefix) -> Option<(Source, &Vec<u8>)> {
        self.best_of(&self.candidates(prefix))
    }

    /// The best of some paths (RFC 4271 §9.1.2.2): they are struck out step by step.
    fn best_of<'a>(&self, candidates: &[(Source, &'a Vec<u8>)]) -> Option<(Source, &'a Vec<u8>)> {
        let mut left: Vec<_> =
            candidates.iter().map(|(source, octets)| (*source, *octets, AttrSet::new(octets))).collect();
        let strike = |left: &mut Vec<(Source, &'a Vec<u8>, AttrSet<'_>)>,
                      rank: &dyn Fn(&Source, &AttrSet<'_>) -> u64| {
            let least = left.iter().map(|(source, _, set)| rank(source, set)).min();
            left.retain(|(source, _, set)| Some(rank(source, set)) == least);
        };
        strike(&mut left, &|_, set| u64::from(u32::MAX - set.local_pref().unwrap_or(100)));
        strike(&mut left, &|(source, _), _| u64::from(source.is_some()));
        strike(&mut left, &|_, set| set.as_path().path_length() as u64);
        strike(&mut left, &|_, set| u64::from(set.get(code::ORIGIN).unwrap()[0]));
        let meds: Vec<_> =
            left.iter().map(|(_, _, set)| (set.as_path().neighbor_asn(), set.med().unwrap_or(0))).collect();
        left.retain(|(_, _, set)| {
            let (neighbor, med) = (set.as_path().neighbor_asn(), set.med().unwrap_or(0));
            !meds.iter().any(|(other, lower)| *other == neighbor && *lower < med)
        });
        strike(&mut left, &|(source, _), _| u64::from(self.kind(*source) == Some(PeerKind::Internal)));
        // Router ids, and addresses, rise with the number of the neighbour in the laboratory.
        strike(&mut left, &|(source, _), _| source.map_or(0, |who| who as u64 + 1));
        strike(&mut left, &|(_, path_id), _| u64::from(*path_id));
        left.first().map(|(source, octets, _)| (*source, *octets))
    }

    /// What `to` must have been told about a prefix: one route, or with ADD-PATH any number, in order of octets.
    pub(super) fn told(&self, to: Who, prefix: Prefix) -> Vec<Vec<u8>> {
        let spec = &self.specs[to];
        let options = &spec.settings.export_options;
        if spec.settings.monitor_only || !self.wants(to, prefix) {
            return Vec::new();
        }
        if prefix.len() == 0 && options.default_originate.contains(&family_of(prefix)) {
            let ours = path("").octets(family_of(prefix), "0.0.0.0".parse().unwrap());
            return vec![self.rewritten(to, None, &ours)];
        }
        if spec.settings.export.first().is_none_or(|name| &**name != "accept-all") {
            return Vec::new();
        }
        let passes = |(source, octets): &(Source, &Vec<u8>)| self.passes(to, source.0, octets);
        let mut passing: Vec<_> = self.candidates(prefix);
        passing.retain(passes);
        if options.route_server_client {
            passing.retain(|((source, _), _)| *source != Some(to));
        }
        let mut chosen = Vec::new();
        if spec.negotiated.add_path_send.is_empty() {
            if options.route_server_client {
                chosen.extend(self.best_of(&passing));
            } else {
                chosen.extend(self.best(prefix).filter(passes));
            }
        } else {
            match options.add_path {
                AddPathSelect::All => chosen = passing,
                AddPathSelect::Best(n) => {
                    for _ in 0..n {
                        let best = self.best_of(&passing);
                        passing.retain(|(source, _)| best.is_none_or(|(best, _)| best != *source));
                        chosen.extend(best);
                    }
                }
                AddPathSelect::PerNeighborAs => {
                    let neighbor = |octets: &[u8]| AttrSet::new(octets).as_path().neighbor_asn();
                    let all: BTreeSet<_> = passing.iter().map(|(_, octets)| neighbor(octets)).collect();
                    for asn in all {
                        let of_one: Vec<_> = passing.iter().filter(|(_, o)| neighbor(o) == asn).copied().collect();
                        chosen.extend(self.best_of(&of_one));
                    }
                }
            }
        }
        chosen.retain(|((source, _), _)| *source != Some(to));
        let mut told: Vec<_> =
            chosen.into_iter().map(|((source, _), octets)| self.rewritten(to, source, octets)).collect();
        told.sort();
        told
    }

    /// Whether a path may go to a neighbour at all.
    fn passes(&self, to: Who, source: Option<Who>, octets: &[u8]) -> bool {
        let spec = &self.specs[to];
        let external = spec.negotiated.kind == PeerKind::External;
        let is_client = |who: Who| self.specs[who].settings.export_options.route_reflector_client;
        if !external && self.kind(source) == Some(PeerKind::Internal) {
            let reflected = is_client(to) || source.is_some_and(is_client);
            if !reflected {
                return false;
            }
        }
        let transparent = spec.settings.export_options.route_server_client;
        let keeps = |c: Community| c == Community::NO_ADVERTISE || (c == Community::NO_EXPORT && external);
        transparent || !AttrSet::new(octets).communities().any(keeps)
    }

    /// The attributes that a neighbour is told, written down from the RFCs once more.
    fn rewritten(&self, to: Who, source: Option<Who>, octets: &[u8]) -> Vec<u8> {
        let set = AttrSet::new(octets);
        let spec = &self.specs[to];
        let options = &spec.settings.export_options;
        let external = spec.negotiated.kind == PeerKind::External;
        let prefix_family = if set.get(code::NEXT_HOP).is_some() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
        let mut builder = AttrSetBuilder::from_set(set);
        let ours = NextHop::new(spec.negotiated.local.ip());
        if external {
            if options.route_server_client {
                builder.remove(code::LOCAL_PREF);
            } else {
                if set.as_path().path_length() > 0 {
                    builder.remove(code::MED);
                }
                builder.prepend(Asn(OUR_AS), 1).remove(code::LOCAL_PREF);
            }
            let given = set.next_hop().filter(|hop| !hop.global.is_unspecified());
            let keeps = options.route_server_client || options.next_hop == NextHopRule::Unchanged;
            builder.next_hop(prefix_family, given.filter(|_| keeps).unwrap_or(ours));
        } else {
            let reflected = self.kind(source) == Some(PeerKind::Internal);
            builder.local_pref(set.local_pref().unwrap_or(100));
            if reflected {
                let (source, address) = (source.unwrap(), self.lab_router_id(source.unwrap()));
                assert!(source < self.specs.len());
                builder.originator_id(address).cluster_list(&[RouterId(0xc633_6401)]);
            } else if source.is_none() || options.next_hop == NextHopRule::OwnAddress {
                builder.next_hop(prefix_family, ours);
            }
        }
        if options.graceful_shutdown {
            let mut communities: Vec<Community> = set.communities().collect();
            communities.push(Community::GRACEFUL_SHUTDOWN);
            builder.communities(&communities);
        }
        if let Some(value) = set.get(BULK) {
            builder.raw(0xe0, BULK, value);
        }
        builder.finish()
    }

    /// As the laboratory gives them.
    fn lab_router_id(&self, who: Who) -> RouterId {
        RouterId(0xc000_0200 + who as u32 + 1)
    }
}
