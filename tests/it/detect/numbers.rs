//! Numbers over time: routes that flap, tables that jump.

use std::time::Duration;

use ribwatch::{
    detect::{Kind, Severity, WatchAsn},
    types::{Asn, Family},
    view::observed::VantageClass,
};

use super::tower::{Tower, watching};
use crate::lab::{Who, external, many, path};

const PREFIX: &str = "203.0.113.0/24";

#[test]
fn a_route_that_comes_and_goes_flaps_until_it_is_calm() {
    let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
    let edge = tower.peer(external(64496).called("edge-1"));
    tower.announces(edge, PREFIX, path("64496 64500"));
    tower.ends_rib(edge, Family::IPV4_UNICAST);
    // RFC 2439 §4.2: 1000 for each withdrawal; RFC 7196 §4: 6000.
    for round in 1..=7 {
        tower.withdraws(edge, PREFIX);
        tower.announces(edge, PREFIX, path("64496 64500"));
        tower.advance(Duration::from_secs(10));
        assert_eq!(!tower.stands_of(&[Kind::Flap]).is_empty(), round == 7, "after {round}");
    }
    let finding = tower.the(Kind::Flap);
    assert_eq!(finding.evidence["withdrawals"], 7);
    // Half is gone each 15 minutes: from 6,900 to below 750 takes more than three half-lives.
    for quarter in 1..=4 {
        for _ in 0..30 {
            tower.advance(Duration::from_secs(30));
        }
        assert_eq!(tower.stands_of(&[Kind::Flap]).is_empty(), quarter == 4, "after {quarter} quarters");
    }
}

/// A neighbour at a public vantage with these prefixes, its table complete.
fn public(tower: &mut Tower, asn: u32, prefixes: &[&str]) -> Who {
    let mut spec = external(asn).called(&format!("public-{asn}"));
    spec.settings.vantage = VantageClass::Public;
    let who = tower.peer(spec);
    prefixes.iter().for_each(|prefix| tower.announces(who, prefix, path(&format!("{asn} 64500"))));
    tower.ends_rib(who, Family::IPV4_UNICAST);
    who
}

fn flap(tower: &mut Tower, who: Who, asn: u32, prefix: &str) {
    for _ in 0..8 {
        tower.withdraws(who, prefix);
        tower.announces(who, prefix, path(&format!("{asn} 64500")));
        tower.advance(Duration::from_secs(1));
    }
}

#[test]
fn what_flaps_at_one_public_vantage_is_information_and_at_three_a_warning() {
    let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
    let all: Vec<(Who, u32)> = (64601..64604).map(|asn| (public(&mut tower, asn, &[PREFIX]), asn)).collect();
    for (at, (who, asn)) in all.into_iter().enumerate() {
        flap(&mut tower, who, asn, PREFIX);
        let alert = tower.only_alert();
        let expected = if at < 2 { Severity::Info } else { Severity::Warning };
        assert_eq!((&*alert.key.to_string(), alert.severity), ("flap 203.0.113.0/24", expected), "at {}", at + 1);
    }
}

#[test]
fn prefixes_of_one_origin_that_begin_to_flap_together_are_one_alert() {
    let prefixes = ["203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24"];
    let mut tower = Tower::new(watching(&prefixes.map(|prefix| (prefix, &[64500][..]))));
    let edge = tower.peer(external(64496).called("edge-1"));
    prefixes.iter().for_each(|prefix| tower.announces(edge, prefix, path("64496 64500")));
    tower.ends_rib(edge, Family::IPV4_UNICAST);
    flap(&mut tower, edge, 64496, prefixes[0]);
    flap(&mut tower, edge, 64496, prefixes[1]);
    let alert = tower.only_alert();
    assert_eq!((&*alert.key.subject, alert.member_count), (prefixes[0], 2));
    // One that begins long after is another matter.
    tower.advance(Duration::from_secs(600));
    flap(&mut tower, edge, 64496, prefixes[2]);
    let told: Vec<String> = tower.alerts().iter().map(|alert| alert.key.subject.to_string()).collect();
    assert_eq!(told, [prefixes[2], prefixes[0]]);
}

#[test]
fn sessions_that_end_and_tables_that_are_sent_flap_nothing() {
    let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
    let edge = tower.peer(external(64496));
    for _ in 0..20 {
        tower.announces(edge, PREFIX, path("64496 64500"));
        tower.announces(edge, PREFIX, path("64496 64497 64500"));
        tower.ends_rib(edge, Family::IPV4_UNICAST);
        tower.down(edge);
        tower.advance(Duration::from_secs(5));
        tower.up(edge);
    }
    assert!(tower.stands_of(&[Kind::Flap]).is_empty());
}

#[test]
fn prefixes_that_nobody_watches_are_one_finding_of_their_neighbor() {
    let mut tower = Tower::new(watching(&[]));
    let edge = tower.peer(external(64496).called("edge-1"));
    let routes = many(50);
    tower.announces_paths(edge, &routes, &path("64496 64500"));
    tower.ends_rib(edge, Family::IPV4_UNICAST);
    for _ in 0..8 {
        tower.withdraws_paths(edge, &routes);
        tower.announces_paths(edge, &routes, &path("64496 64500"));
    }
    assert_eq!(tower.stands(), ["flap at edge-1"]);
    tower.advance(Duration::from_secs(31));
    assert_eq!(tower.the(Kind::Flap).member_count, 50);
    tower.down(edge);
    tower.advance(Duration::from_secs(31));
    assert!(tower.stands_of(&[Kind::Flap]).is_empty());
}

#[test]
fn a_storm_of_flaps_is_told_of_now_and_then_and_not_for_each_route() {
    let mut tower = Tower::new(watching(&[]));
    let edge = tower.peer(external(64496).called("edge-1"));
    let routes = many(2000);
    tower.announces_paths(edge, &routes, &path("64496 64500"));
    tower.ends_rib(edge, Family::IPV4_UNICAST);
    for _ in 0..8 {
        tower.withdraws_paths(edge, &routes);
        tower.announces_paths(edge, &routes, &path("64496 64500"));
    }
    tower.advance(Duration::from_secs(31));
    assert_eq!(tower.the(Kind::Flap).member_count, 2000);
    assert!(tower.told <= 16, "told {} times", tower.told);
}

#[test]
fn a_table_that_jumps_is_told_of_and_one_that_loads_is_not() {
    let mut tower = Tower::new(watching(&[]));
    let edge = tower.peer(external(64496).called("edge-1"));
    tower.announces_paths(edge, &many(1000), &path("64496 64500"));
    tower.advance(Duration::from_secs(11));
    tower.ends_rib(edge, Family::IPV4_UNICAST);
    tower.advance(Duration::from_secs(11));
    tower.announces_paths(edge, &many(1050), &path("64496 64500"));
    tower.advance(Duration::from_secs(11));
    assert!(tower.stands().is_empty());
    tower.announces_paths(edge, &many(1200), &path("64496 64500"));
    tower.advance(Duration::from_secs(11));
    assert_eq!(tower.the(Kind::PrefixCount).severity, Severity::Warning);
    tower.announces_paths(edge, &many(2000), &path("64496 64500"));
    tower.advance(Duration::from_secs(11));
    assert_eq!(tower.the(Kind::PrefixCount).severity, Severity::Critical);
    tower.withdraws_paths(edge, &many(2000)[1000..]);
    tower.advance(Duration::from_secs(11));
    assert!(tower.stands().is_empty());
    tower.withdraws_paths(edge, &many(1000)[700..]);
    tower.advance(Duration::from_secs(11));
    assert!(tower.the(Kind::PrefixCount).summary.contains("fewer"));
}

#[test]
fn a_second_origin_of_a_watched_as_is_information() {
    let mut settings = watching(&[]);
    settings.asns = vec![WatchAsn { asn: Asn(64500), upstreams: None, downstreams: None, new_prefixes: false }];
    let mut tower = Tower::new(settings);
    let [a, b] = [64601, 64602].map(|asn| tower.peer(external(asn)));
    tower.announces(a, PREFIX, path("64601 64500"));
    assert!(tower.stands().is_empty());
    tower.announces(b, PREFIX, path("64602 64511"));
    let finding = tower.the(Kind::Moas);
    assert_eq!((finding.severity, &finding.asns["observed"][..]), (Severity::Info, &[Asn(64511)][..]));
    // A customer with a part of its provider's space is no news.
    tower.announces(b, PREFIX, path("64602 64500 64511"));
    assert!(tower.stands_of(&[Kind::Moas]).is_empty());
    tower.announces(b, PREFIX, path("64602 64511"));
    assert_eq!(tower.stands_of(&[Kind::Moas]).len(), 1);
    tower.withdraws(a, PREFIX);
    assert!(tower.stands_of(&[Kind::Moas]).is_empty());
}
