//! The AS next to the origin, and prefixes around watched ones.

use std::time::Duration;

use ribwatch::{
    detect::{Kind, Severity, WatchPrefix},
    types::{Asn, Family},
    view::observed::VantageClass,
};

use super::tower::{Tower, rule, watching};
use crate::lab::{external, path};

fn with_upstreams(upstreams: &[u32]) -> ribwatch::detect::Settings {
    let mut settings = watching(&[]);
    let upstreams = Some(upstreams.iter().map(|asn| Asn(*asn)).collect());
    settings.prefixes = vec![WatchPrefix { upstreams, ..rule("203.0.113.0/24", &[64500]) }];
    settings
}

#[test]
fn a_forged_origin_shows_in_the_as_next_to_it() {
    let mut tower = Tower::new(with_upstreams(&[64496, 64497]));
    let edge = tower.peer(external(64601));
    tower.announces(edge, "203.0.113.0/24", path("64601 64496 64500 64500 64500"));
    assert!(tower.stands().is_empty());
    tower.announces(edge, "203.0.113.0/24", path("64601 64511 64500"));
    assert_eq!(tower.stands(), ["first-hop 203.0.113.0/24 AS64511 AS64500"]);
    let finding = tower.the(Kind::FirstHop);
    assert_eq!((finding.severity, &finding.asns["observed"][..]), (Severity::Warning, &[Asn(64511)][..]));
    tower.announces(edge, "203.0.113.0/24", path("64601 64497 64500"));
    assert!(tower.stands().is_empty());
    // A part of the prefix wins traffic: the same rule holds.
    tower.announces(edge, "203.0.113.0/25", path("64601 64511 64500"));
    let finding = tower.the(Kind::FirstHop);
    assert_eq!(finding.key.subject.as_ref(), "203.0.113.0/25 AS64511 AS64500");
}

/// The prefix through AS64511 at three public vantages.
fn at_public_vantages(settings: ribwatch::detect::Settings) -> (Tower, Vec<crate::lab::Who>) {
    let mut tower = Tower::new(settings);
    let all: Vec<_> = (64601..64604)
        .map(|asn| {
            let mut spec = external(asn);
            spec.settings.vantage = VantageClass::Public;
            let who = tower.peer(spec);
            tower.announces(who, "203.0.113.0/24", path(&format!("{asn} 64511 64500")));
            who
        })
        .collect();
    (tower, all)
}

#[test]
fn a_path_that_public_vantages_hunt_through_is_no_alert() {
    let (mut tower, all) = at_public_vantages(with_upstreams(&[64496]));
    assert_eq!(tower.the(Kind::FirstHop).hold.open, Duration::from_secs(60));
    tower.advance(Duration::from_secs(40));
    tower.withdraws(all[0], "203.0.113.0/24");
    tower.advance(Duration::from_secs(600));
    assert!(tower.alerts().is_empty());
    tower.announces(all[0], "203.0.113.0/24", path("64601 64511 64500"));
    tower.advance(Duration::from_secs(61));
    assert_eq!((tower.only_alert().kind(), tower.only_alert().severity), (Kind::FirstHop, Severity::Warning));
    // A session of our own is believed at once.
    let mut tower = Tower::new(with_upstreams(&[64496]));
    let edge = tower.peer(external(64601));
    tower.announces(edge, "203.0.113.0/24", path("64601 64511 64500"));
    assert_eq!(tower.only_alert().kind(), Kind::FirstHop);
}

#[test]
fn an_upstream_that_other_rules_of_the_origin_name_is_hardly_forged() {
    let severity = |origin: u32| {
        let mut settings = with_upstreams(&[64496]);
        let upstreams = Some(vec![Asn(64511)]);
        settings.prefixes.push(WatchPrefix { upstreams, ..rule("198.51.100.0/24", &[origin]) });
        let (mut tower, _) = at_public_vantages(settings);
        tower.the(Kind::FirstHop).severity
    };
    assert_eq!((severity(64500), severity(64499)), (Severity::Info, Severity::Warning));
}

#[test]
fn the_origin_itself_as_neighbor_has_nobody_next_to_it() {
    let mut tower = Tower::new(with_upstreams(&[64496]));
    let origin = tower.peer(external(64500));
    tower.announces(origin, "203.0.113.0/24", path("64500"));
    assert!(tower.stands().is_empty());
}

#[test]
fn a_new_prefix_around_a_watched_one_is_told_of_and_an_old_one_is_not() {
    let mut tower = Tower::new(watching(&[("203.0.113.0/24", &[64500])]));
    let edge = tower.peer(external(64601));
    tower.announces(edge, "203.0.113.0/24", path("64601 64500"));
    tower.announces(edge, "203.0.0.0/16", path("64601 64496"));
    tower.ends_rib(edge, Family::IPV4_UNICAST);
    tower.advance(Duration::from_secs(3600));
    tower.announces(edge, "203.0.0.0/16", path("64601 64496 64496"));
    tower.announces(edge, "0.0.0.0/0", path("64601"));
    assert!(tower.stands().is_empty(), "what was there from the start is normal, and so is a default route");
    tower.announces(edge, "203.0.112.0/20", path("64601 64511"));
    let finding = tower.the(Kind::CoveringPrefix);
    assert_eq!((finding.severity, finding.hold.open), (Severity::Info, Duration::from_secs(600)));
    tower.withdraws(edge, "203.0.113.0/24");
    tower.announces(edge, "203.0.112.0/20", path("64601 64601 64511"));
    assert_eq!(tower.the(Kind::CoveringPrefix).severity, Severity::Warning, "traffic follows it now");
    tower.withdraws(edge, "203.0.112.0/20");
    assert!(tower.stands_of(&[Kind::CoveringPrefix]).is_empty());
}
