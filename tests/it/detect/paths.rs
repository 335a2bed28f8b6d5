//! What paths show: leaks, protected ASes, bogons, rules, neighbours, blackholes.

use std::time::Duration;

use ribwatch::{
    detect::{
        Kind, Severity, WatchAsn,
        paths::{leak::Evidence, leak::Relations, path_rule::Denied, peerlock::Protected},
    },
    types::{Asn, Family, Role},
    wire::bgp::community::Community,
};

use super::tower::{Tower, watching};
use crate::lab::{external, path};

const PREFIX: &str = "203.0.113.0/24";

/// What stands after a neighbour with this role of ours announced the prefix with this path.
fn after(settings: ribwatch::detect::Settings, role: Option<Role>, asns: &str) -> Vec<String> {
    let neighbor = asns.split(' ').next().expect("an AS").parse().expect("a number");
    let mut tower = Tower::new(settings);
    let mut spec = external(neighbor);
    spec.negotiated.local_role = role;
    let who = tower.peer(spec);
    tower.announces(who, PREFIX, path(asns));
    tower.stands()
}

#[test]
fn each_type_of_leak_is_seen_and_named() {
    // 1 sells to 10 and 11; 10 and 11 peer; 10 sells to 100; 11 sells to 110; 100 and 110 peer; 11 sells to 100, too.
    let mut relations = Relations::default();
    for (provider, customer) in [(1, 10), (1, 11), (10, 100), (11, 110), (11, 100)] {
        relations.transit(Asn(provider), Asn(customer), Evidence::Declared);
    }
    relations.peering(Asn(10), Asn(11), Evidence::Declared);
    relations.peering(Asn(100), Asn(110), Evidence::Declared);
    // (path as received, leaker and segment, type): RFC 7908 §3.
    let rows: &[(&str, Option<(&str, u8)>)] = &[
        ("1 10 100", None),
        ("11 10 100", None),
        ("1 11 110", None),
        ("10 100 11 110", Some(("AS100: AS11 to AS10", 1))),
        ("1 11 10 100", Some(("AS11: AS10 to AS1", 4))),
        ("110 100 10 1", Some(("AS100: AS10 to AS110", 3))),
        ("11 100 110", Some(("AS100: AS110 to AS11", 4))),
        ("11 110 100 10", Some(("AS100: AS10 to AS110", 3))),
        ("7 8 9", None),
    ];
    for (asns, expected) in rows {
        let mut settings = watching(&[]);
        settings.paths.leak.relations = relations.clone();
        let mut tower = Tower::new(settings);
        let who = tower.peer(external(asns.split(' ').next().expect("an AS").parse().expect("a number")));
        tower.announces(who, PREFIX, path(asns));
        let found = tower.look().values().next().map(|f| (f.key.subject.to_string(), f.evidence["leak_type"].clone()));
        let expected = expected.map(|(subject, kind)| (subject.to_owned(), kind.into()));
        assert_eq!(found, expected, "{asns}");
    }
}

#[test]
fn our_own_role_makes_a_leak_certain_and_inferred_relations_alone_never_page() {
    let leak = |evidence, role, watched: bool| {
        let mut settings = watching(if watched { &[(PREFIX, &[200])] } else { &[] });
        // 100 buys from 10; it is our customer or peer, and sends what it has from 10.
        settings.paths.leak.relations.transit(Asn(10), Asn(100), evidence);
        settings.paths.leak.relations.transit(Asn(11), Asn(100), evidence);
        settings.paths.leak.normal_at_start = false;
        let mut tower = Tower::new(settings);
        let mut spec = external(100);
        spec.negotiated.local_role = role;
        let who = tower.peer(spec);
        tower.announces(who, PREFIX, path("100 10 200"));
        tower.look().values().find(|f| f.key.kind == Kind::RouteLeak).map(|f| f.severity)
    };
    // The weaker of the two edges decides.
    assert_eq!(leak(Evidence::Declared, Some(Role::Provider), false), Some(Severity::Warning));
    assert_eq!(leak(Evidence::Inferred, Some(Role::Provider), true), Some(Severity::Info));
    assert_eq!(leak(Evidence::Inferred, Some(Role::Provider), false), None);
    assert_eq!(leak(Evidence::Declared, Some(Role::Customer), false), None, "a provider sends what it likes");
}

#[test]
fn a_relationship_file_is_read_and_bad_lines_are_named() {
    let mut relations = Relations::default();
    let bad = relations.read("# made by hand\n10|100|-1\n10|11|0|bgp\n\n10|x|0\n10|11|7\n");
    assert_eq!((bad, relations.len()), (vec![5, 6], 2));
}

#[test]
fn a_provider_far_smaller_than_its_customer_was_inferred_wrongly() {
    let mut relations = Relations::default();
    let customers: String = (1000..1100).map(|asn| format!("100|{asn}|-1\n")).collect();
    let others: String = (2000..2100).map(|asn| format!("11|{asn}|-1\n")).collect();
    assert!(relations.read(&format!("{customers}{others}10|100|-1\n11|100|-1\n")).is_empty());
    assert_eq!(relations.providers_of(Asn(100)), [Asn(11)]);
    assert_eq!(relations.get(Asn(10), Asn(100)), None);
    // What the operator says is not judged.
    relations.transit(Asn(10), Asn(100), Evidence::Declared);
    assert!(relations.read("12|13|-1\n").is_empty());
    assert_eq!(relations.providers_of(Asn(100)), [Asn(10), Asn(11)]);
}

#[test]
fn a_protected_as_may_be_passed_on_by_those_that_are_named_only() {
    let mut settings = watching(&[]);
    settings.paths.peerlock.protected = vec![Protected { asn: Asn(64499), via: vec![Asn(64496)] }];
    let of = |asns: &str| after(settings.clone(), None, asns);
    assert!(of("64496 64499 64500").is_empty());
    assert!(of("64499 64500").is_empty(), "itself");
    assert_eq!(of("64497 64499 64500"), ["peerlock AS64499 through AS64497"]);
    assert_eq!(of("64496 64497 64499"), ["peerlock AS64499 through AS64497"]);
}

#[test]
fn a_network_without_upstreams_has_no_place_in_a_customers_path() {
    let settings = watching(&[]);
    assert_eq!(after(settings.clone(), Some(Role::Provider), "64496 7018 64500"), ["peerlock AS7018 through AS64496"]);
    assert!(after(settings.clone(), Some(Role::Customer), "64496 7018 64500").is_empty());
    assert!(after(settings, Some(Role::Provider), "64496 64500").is_empty());
}

#[test]
fn numbers_and_prefixes_that_nobody_may_use_are_told_of_per_neighbor() {
    let mut settings = watching(&[]);
    settings.paths.bogon.enabled = true;
    let mut tower = Tower::new(settings);
    let who = tower.peer(external(3333).called("edge-1"));
    tower.announces(who, "193.0.0.0/21", path("3333 1103"));
    tower.announces(who, "0.0.0.0/0", path("3333"));
    assert!(tower.stands().is_empty());
    tower.announces(who, "193.0.0.0/21", path("3333 65001 1103"));
    tower.announces_all(who, &["10.0.0.0/8", "10.1.0.0/16"], path("3333 1103"));
    assert_eq!(tower.stands(), ["bogon AS65001 at edge-1", "bogon private (RFC 1918) at edge-1"]);
    assert_eq!(tower.look().values().last().expect("stands").member_count, 2);
    tower.withdraws(who, "10.1.0.0/16");
    tower.withdraws(who, "10.0.0.0/8");
    tower.announces(who, "193.0.0.0/21", path("3333 1103"));
    assert!(tower.stands().is_empty());
}

#[test]
fn paths_that_break_rules_about_paths() {
    let mut settings = watching(&[]);
    settings.paths.path_rule.denied =
        vec![Denied { expression: Some("_64666_".into()), ..Denied::new("no 64666".into()) }];
    settings.asns = vec![WatchAsn { asn: Asn(64500), upstreams: None, downstreams: None, new_prefixes: false }];
    let of = |asns: &str| after(settings.clone(), None, asns);
    assert!(of(&format!("64496{}", " 64500".repeat(20))).is_empty());
    assert_eq!(of(&format!("64496{}", " 64500".repeat(21))), ["path-rule prepends AS64500"]);
    let long: Vec<String> = (0..51).map(|n| (1000 + n).to_string()).collect();
    assert_eq!(of(&long.join(" ")), ["path-rule length AS1050"]);
    assert_eq!(of("64496 64666 64501"), ["path-rule no 64666"]);
    assert_eq!(of("64496 64500 5"), ["path-rule prepend AS64500 AS5"]);
}

#[test]
fn a_rule_about_paths_to_one_prefix_leaves_the_others_alone() {
    let mut settings = watching(&[]);
    let scrubbed = Denied {
        prefix: Some("203.0.112.0/23".parse().expect("a prefix")),
        expression: Some(".*2194,1234$".into()),
        unless: Some(".*5054.*".into()),
        commas: true,
        ..Denied::new("scrubbed".into())
    };
    let long = Denied { prefix: scrubbed.prefix, length_max: Some(3), ..Denied::new("long".into()) };
    settings.paths.path_rule.denied = vec![scrubbed, long];
    let mut tower = Tower::new(settings);
    let who = tower.peer(external(64496));
    tower.announces(who, "198.51.100.0/24", path("64496 2194 1234"));
    assert!(tower.stands().is_empty(), "a prefix that the rule does not name");
    tower.announces_all(who, &["203.0.112.0/23", "203.0.113.0/24"], path("64496 2194 1234"));
    assert_eq!(tower.stands(), ["path-rule scrubbed"]);
    assert_eq!(tower.look().values().last().expect("stands").member_count, 2);
    tower.announces_all(who, &["203.0.112.0/23", "203.0.113.0/24"], path("64496 5054 2194 1234"));
    assert_eq!(tower.stands(), ["path-rule long"], "four ASes, and one that makes the other rule not hold");
    tower.announces_all(who, &["203.0.112.0/23", "203.0.113.0/24"], path("64496 1234"));
    assert!(tower.stands().is_empty());
}

#[test]
fn neighbors_of_a_watched_as_that_were_not_declared() {
    let mut settings = watching(&[]);
    let list = |asns: &[u32]| Some(asns.iter().map(|asn| Asn(*asn)).collect());
    let asn = WatchAsn { asn: Asn(64500), upstreams: list(&[64496]), downstreams: list(&[64510]), new_prefixes: false };
    settings.asns = vec![asn];
    let of = |asns: &str| after(settings.clone(), None, asns);
    assert!(of("64600 64496 64500 64510").is_empty());
    assert!(of("64500 64510").is_empty(), "a session with it shows nobody left of it");
    assert_eq!(of("64600 64497 64500"), ["new-neighbor AS64500 upstream AS64497"]);
    assert_eq!(of("64496 64500 64511"), ["new-neighbor AS64500 downstream AS64511"]);
}

#[test]
fn a_prefix_of_a_watched_as_that_no_rule_knows() {
    let mut settings = watching(&[("203.0.112.0/24", &[64500])]);
    settings.asns = vec![WatchAsn { asn: Asn(64500), upstreams: None, downstreams: None, new_prefixes: true }];
    let mut tower = Tower::new(settings);
    let who = tower.peer(external(64496));
    tower.announces(who, "203.0.112.0/24", path("64496 64500"));
    tower.announces(who, PREFIX, path("64496 64500"));
    assert_eq!(tower.stands(), ["new-prefix 203.0.113.0/24 AS64500"]);
    assert_eq!(tower.the(Kind::NewPrefix).evidence["nearest"], "203.0.112.0/24");
    tower.withdraws(who, PREFIX);
    assert!(tower.stands().is_empty());
}

#[test]
fn blackholes_for_more_than_a_host_or_beyond_their_neighbor() {
    // (prefix, path, severity): RFC 7999 §3.
    let rows = [
        ("198.18.0.1/32", "64496", None),
        ("198.18.0.1/32", "64496 64500", Some(Severity::Info)),
        ("198.18.0.0/28", "64496", Some(Severity::Warning)),
        ("198.18.0.0/23", "64496", Some(Severity::Critical)),
        ("203.0.113.7/32", "64496", Some(Severity::Critical)),
    ];
    for (prefix, asns, expected) in rows {
        let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
        let who = tower.peer(external(64496));
        tower.announces(who, prefix, path(asns).community(Community::BLACKHOLE));
        let found = tower.look().values().find(|f| f.key.kind == Kind::Blackhole).map(|f| f.severity);
        assert_eq!(found, expected, "{prefix} {asns}");
    }
}

#[test]
fn a_link_that_never_was_is_information_with_a_score_and_known_after_a_day() {
    let mut settings = watching(&[(PREFIX, &[64500])]);
    settings.feeds.new_link.enabled = true;
    assert!(settings.paths.leak.relations.read("3257|3320|0\n").is_empty());
    let mut tower = Tower::new(settings);
    let [a, b] = [(64601, "edge-1"), (64602, "edge-2")].map(|(asn, name)| tower.peer(external(asn).called(name)));
    // What the first tables have is known: AS174 sells to AS3356 and AS1299, and these reach the origin; AS2914 has it over both.
    tower.announces(a, PREFIX, path("174 3356 1299"));
    tower.announces(a, "198.51.100.0/24", path("174 1299 2914"));
    tower.announces(b, PREFIX, path("174 3356 1299"));
    tower.announces(b, "198.51.100.0/24", path("2914 1299 3320 3257"));
    [a, b].iter().for_each(|who| tower.ends_rib(*who, Family::IPV4_UNICAST));
    tower.advance(Duration::from_secs(60));
    tower.look();
    assert!(tower.settled);
    let links = |tower: &mut Tower| {
        let of = tower.look().values().filter(|finding| finding.key.kind == Kind::NewNeighbor).cloned();
        of.map(|finding| (finding.key.subject.to_string(), finding.total(), finding.severity)).collect::<Vec<_>>()
    };
    // To what nobody watches it is learnt and not told.
    tower.announces(a, "198.51.100.0/24", path("174 6453 2914"));
    assert_eq!(links(&mut tower), vec![]);
    // Two that met nowhere, next to the origin, on half of the paths.
    tower.announces(b, PREFIX, path("174 9002 1299"));
    tower.announces(b, PREFIX, path("174 3356 5511"));
    assert_eq!(links(&mut tower), [("link AS3356 AS5511".to_owned(), 6, Severity::Info)]);
    // The other way round it was seen.
    tower.announces(b, PREFIX, path("174 3356 1299 174"));
    assert_eq!(links(&mut tower), vec![]);
    // One that the relationship file has.
    tower.announces(b, PREFIX, path("174 1299 2914 3257 3320"));
    assert!(!links(&mut tower).iter().any(|(link, ..)| link == "link AS3257 AS3320"), "{:?}", links(&mut tower));
    tower.announces(b, PREFIX, path("174 3356 5511"));
    assert_eq!(links(&mut tower).len(), 1);
    tower.advance(Duration::from_secs(86_400));
    assert_eq!(links(&mut tower), vec![]);
    tower.announces(b, PREFIX, path("174 3356 1299"));
    tower.announces(b, PREFIX, path("174 3356 5511"));
    assert_eq!(links(&mut tower), vec![], "it is known");
}
