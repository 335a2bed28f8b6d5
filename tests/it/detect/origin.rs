//! Hijacks of watched prefixes: the same, a part, one that is not in use.

use std::time::Duration;

use ribwatch::{
    detect::{Kind, Severity},
    types::Asn,
    view::observed::VantageClass,
    wire::bgp::community::Community,
};

use super::tower::{Tower, rule, watching};
use crate::lab::{external, path};

#[test]
fn a_hijack_opens_when_it_is_seen_and_ends_when_it_is_withdrawn() {
    let mut tower = Tower::new(watching(&[("203.0.113.0/24", &[64500])]));
    let [edge, other] = [64496, 64497].map(|asn| tower.peer(external(asn).called(&format!("edge-{asn}"))));
    tower.announces(edge, "203.0.113.0/24", path("64496 64500"));
    assert!(tower.stands().is_empty());
    tower.announces(other, "203.0.113.0/24", path("64497 64511"));
    assert_eq!(tower.stands(), ["origin-hijack 203.0.113.0/24 AS64511"]);
    let finding = tower.the(Kind::OriginHijack);
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!(finding.asns["expected"], [Asn(64500)]);
    assert_eq!(finding.asns["observed"], [Asn(64511)]);
    assert_eq!(finding.neighbors, ["edge-64497".into()]);
    assert!(finding.why.contains("declared to come from AS64500 and comes from AS64511"), "{}", finding.why);
    assert_eq!(finding.evidence["paths"][0]["as_path"], "64497 64511");
    tower.withdraws(other, "203.0.113.0/24");
    assert!(tower.stands().is_empty());
    assert_eq!(tower.ended[0].1, "no neighbor shows it any more");
}

#[test]
fn an_implicit_withdraw_and_the_end_of_a_session_take_support_away() {
    let mut tower = Tower::new(watching(&[("203.0.113.0/24", &[64500])]));
    let edge = tower.peer(external(64496));
    tower.announces(edge, "203.0.113.0/24", path("64496 64511"));
    assert_eq!(tower.stands(), ["origin-hijack 203.0.113.0/24 AS64511"]);
    tower.announces(edge, "203.0.113.0/24", path("64496 64500"));
    assert!(tower.stands().is_empty());
    tower.announces(edge, "203.0.113.0/24", path("64496 64511"));
    tower.look();
    tower.down(edge);
    assert!(tower.stands_of(&[Kind::OriginHijack]).is_empty());
    assert_eq!(tower.ended.last().expect("ended").1, "the sessions that showed it are down");
    // It comes back with the same routes: the same finding again.
    tower.up(edge);
    tower.announces(edge, "203.0.113.0/24", path("64496 64511"));
    assert_eq!(tower.stands(), ["origin-hijack 203.0.113.0/24 AS64511"]);
}

#[test]
fn a_part_of_a_watched_prefix_is_its_own_finding() {
    let mut tower = Tower::new(watching(&[("203.0.112.0/22", &[64500]), ("203.0.113.0/24", &[64501])]));
    let edge = tower.peer(external(64496));
    // The rule for exactly this prefix counts, not the one around it.
    tower.announces(edge, "203.0.113.0/24", path("64496 64501"));
    assert!(tower.stands().is_empty());
    tower.announces(edge, "203.0.112.0/24", path("64496 64511"));
    assert_eq!(tower.stands(), ["subprefix-hijack 203.0.112.0/24 AS64511"]);
    assert_eq!(tower.the(Kind::SubprefixHijack).severity, Severity::Critical);
    tower.withdraws(edge, "203.0.112.0/24");
    assert!(tower.stands().is_empty());
}

#[test]
fn a_new_part_from_its_own_origin_is_information_and_a_blackhole_is_not_even_that() {
    let mut settings = watching(&[]);
    settings.prefixes =
        vec![ribwatch::detect::WatchPrefix { max_length: Some(23), ..rule("203.0.112.0/22", &[64500]) }];
    let mut tower = Tower::new(settings);
    let edge = tower.peer(external(64496));
    tower.announces(edge, "203.0.112.0/23", path("64496 64500"));
    tower.announces(edge, "203.0.112.7/32", path("64496 64500").community(Community::BLACKHOLE));
    assert!(tower.stands_of(&[Kind::NewPrefix]).is_empty());
    tower.announces(edge, "203.0.112.0/24", path("64496 64500"));
    assert_eq!(tower.stands_of(&[Kind::NewPrefix]), ["new-prefix 203.0.112.0/24"]);
    assert_eq!(tower.the(Kind::NewPrefix).severity, Severity::Info);
}

#[test]
fn a_prefix_that_nobody_may_announce_is_squatted_by_whoever_does() {
    let mut tower = Tower::new(watching(&[("203.0.113.0/24", &[])]));
    let edge = tower.peer(external(64496));
    tower.announces(edge, "203.0.113.0/25", path("64496 64511"));
    assert_eq!(tower.stands(), ["squatting 203.0.113.0/25 AS64511"]);
}

#[test]
fn public_vantage_points_need_company() {
    let mut tower = Tower::new(watching(&[("203.0.113.0/24", &[64500])]));
    let collectors: Vec<_> =
        [1, 2, 3, 3].map(|n| tower.peer(external(64600 + n).vantage(VantageClass::Public))).into_iter().collect();
    for (at, collector) in collectors.iter().enumerate() {
        tower.announces(*collector, "203.0.113.0/24", path(&format!("{} 64511", [64601, 64602, 64603, 64603][at])));
        // Two sessions with one AS are one view.
        assert_eq!(tower.stands().len(), usize::from(at >= 2), "after {at}");
    }
    tower.withdraws(collectors[0], "203.0.113.0/24");
    assert!(tower.stands().is_empty());
}

#[test]
fn everything_is_settled_once_the_tables_are_there() {
    let mut tower = Tower::new(watching(&[("203.0.113.0/24", &[64500])]));
    let edge = tower.peer(external(64496));
    tower.announces(edge, "203.0.113.0/24", path("64496 64511"));
    tower.advance(Duration::from_secs(31));
    tower.look();
    assert!(!tower.settled, "no End-of-RIB yet");
    tower.ends_rib(edge, ribwatch::types::Family::IPV4_UNICAST);
    tower.advance(Duration::from_secs(2));
    tower.look();
    assert!(tower.settled);
    // What was wrong from the start is told, and so is what was never there.
    assert_eq!(tower.stands(), ["origin-hijack 203.0.113.0/24 AS64511", "visibility 203.0.113.0/24"]);
}

#[test]
fn a_rule_for_the_default_route_is_about_the_default_route_alone() {
    let mut tower = Tower::new(watching(&[("0.0.0.0/0", &[64500])]));
    let edge = tower.peer(external(64496));
    tower.announces(edge, "0.0.0.0/0", path("64496 64500"));
    tower.announces(edge, "203.0.113.0/24", path("64496 64511"));
    assert!(tower.stands().is_empty(), "what others announce is no part of it");
    tower.announces(edge, "0.0.0.0/0", path("64496 64511"));
    assert_eq!(tower.stands(), ["origin-hijack 0.0.0.0/0 AS64511"]);
}
