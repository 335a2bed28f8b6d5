//! Coverage of routes made by hand.

use std::sync::Arc;

use super::*;
use crate::{
    types::{Family, PeerId, Timestamp},
    validation::{Aspa, PathState, PayloadSet, Snapshot},
};

fn p(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn in_force() -> InForce {
    let vrp = |prefix, max_len, asn| Vrp::new(p(prefix), max_len, Asn(asn)).unwrap();
    let vrps = vec![
        vrp("192.0.2.0/24", 24, 64500),
        vrp("198.51.100.0/24", 25, 64500),
        vrp("203.0.113.0/24", 24, 64501),
        vrp("203.0.113.128/25", 25, 0),
    ];
    let aspas = vec![Aspa::new(Asn(64500), vec![Asn(64496), Asn(64499)])];
    InForce { snapshot: Arc::new(Snapshot::of(0, &PayloadSet { vrps, aspas })), ..InForce::default() }
}

/// An AS_PATH: a sequence, and behind it a set.
fn octets(sequence: &[u32], set: &[u32]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (kind, asns) in [(2, sequence), (1, set)].into_iter().filter(|(_, asns)| !asns.is_empty()) {
        octets.extend([kind, asns.len() as u8]);
        asns.iter().for_each(|asn| octets.extend(asn.to_be_bytes()));
    }
    octets
}

fn row(prefix: &str, peer: Option<u32>) -> RouteRow {
    RouteRow {
        family: Family::IPV4_UNICAST,
        nlri: Nlri::Prefix(p(prefix)),
        labels: Box::default(),
        peer: peer.map(PeerId),
        path_id: 0,
        attrs: 0..0,
        best: false,
        multipath: None,
        stale: false,
        received_at: Timestamp::default(),
        rejected_by: None,
        validation: OriginState::NotChecked,
        aspa: PathState::NotChecked,
    }
}

/// Every route of this little Internet, as a walk over the table comes by them.
type Row<'a> = (&'a str, Option<u32>, &'a [u32], &'a [u32]);

const TABLE: &[Row<'_>] = &[
    ("192.0.2.0/24", Some(1), &[64496, 64500], &[]),
    ("192.0.2.0/24", Some(2), &[64497, 64498, 64500, 64500], &[]),
    ("192.0.2.0/25", Some(1), &[64496, 64500], &[]),
    ("192.0.2.128/25", Some(1), &[64496], &[64500, 64501]),
    ("10.0.0.0/8", None, &[], &[]),
    ("203.0.113.0/24", Some(2), &[64497, 64511], &[]),
];

fn covered(prefixes: &[&str], asns: &[u32]) -> Coverage {
    let scope = Scope::new(prefixes.iter().map(|text| p(text)).collect(), asns.iter().map(|asn| Asn(*asn)).collect());
    let mut collector = Collector::new(scope, Asn(64512));
    for (prefix, peer, sequence, set) in TABLE {
        let octets = octets(sequence, set);
        if collector.scope().prefixes.iter().any(|outer| outer.covers(&p(prefix))) {
            collector.add(None, &row(prefix, *peer), AsPath::new(&octets)).unwrap();
        }
        for asn in collector.scope().asns.clone() {
            collector.add(Some(asn), &row(prefix, *peer), AsPath::new(&octets)).unwrap();
        }
    }
    collector.finish(&in_force())
}

fn routes(coverage: &Coverage) -> Vec<(String, Option<u32>, &'static str, u64)> {
    let routes = coverage.routes.iter();
    routes
        .map(|route| (route.prefix.to_string(), route.origin.map(|asn| asn.0), route.validation.name(), route.paths))
        .collect()
}

#[test]
fn the_routes_of_an_origin_the_worst_first_with_the_vrps_that_nothing_uses() {
    let coverage = covered(&[], &[64500]);
    let expected = [("192.0.2.0/25", "invalid", 1), ("192.0.2.0/24", "valid", 2)];
    let expected = expected.map(|(prefix, state, paths)| (prefix.to_owned(), Some(64500), state, paths));
    assert_eq!(routes(&coverage), expected);
    assert_eq!(coverage.states, [0, 0, 1, 1], "not checked, not found, valid, invalid");
    assert_eq!(coverage.unused, [Vrp::new(p("198.51.100.0/24"), 25, Asn(64500)).unwrap()]);
}

#[test]
fn who_carries_an_origins_routes_and_whom_of_them_it_attests() {
    let coverage = covered(&[], &[64500, 64511]);
    let upstream = |asn, paths, attested| Upstream { asn: Asn(asn), paths, attested };
    let (with, without) = (&coverage.aspas[0], &coverage.aspas[1]);
    assert_eq!(with.providers, Some(vec![Asn(64496), Asn(64499)]));
    assert_eq!(with.upstreams, [upstream(64496, 2, true), upstream(64498, 1, false)], "prepending hides nobody");
    assert_eq!((without.asn, &without.providers), (Asn(64511), &None));
    assert_eq!(without.upstreams, [upstream(64497, 1, false)]);
}

#[test]
fn a_prefix_means_all_inside_it_whoever_originates_it() {
    // RFC 6811 §2: an AS_SET at the end is no origin, and is invalid where anything covers it.
    let coverage = covered(&["192.0.2.0/24", "192.0.2.0/25", "203.0.113.0/24"], &[]);
    let told = routes(&coverage);
    let told: Vec<(&str, Option<u32>, &str)> =
        told.iter().map(|(p, origin, state, _)| (p.as_str(), *origin, *state)).collect();
    let expected = [
        ("192.0.2.0/25", Some(64500), "invalid"),
        ("192.0.2.128/25", None, "invalid"),
        ("203.0.113.0/24", Some(64511), "invalid"),
        ("192.0.2.0/24", Some(64500), "valid"),
    ];
    assert_eq!(told, expected);
    // That of AS 0 is there to match nothing (RFC 6483 §4).
    assert_eq!(coverage.unused, [Vrp::new(p("203.0.113.0/24"), 24, Asn(64501)).unwrap()]);
    assert!(coverage.aspas.is_empty());
}

#[test]
fn what_is_asked_for_twice_counts_once_and_our_own_has_our_as() {
    let both = covered(&["192.0.2.0/24"], &[64500]);
    let alone = covered(&["192.0.2.0/24"], &[]);
    assert_eq!(both.routes, alone.routes);
    assert_eq!(both.aspas[0].upstreams.len(), 2);
    let own = covered(&[], &[64512]);
    assert_eq!(routes(&own), [("10.0.0.0/8".to_owned(), Some(64512), "not_found", 0)]);
}
