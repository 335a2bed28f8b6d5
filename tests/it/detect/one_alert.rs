//! One path can be wrong in several ways, and a person has one alert of it: the strongest evidence leads, and what was told
//! first keeps its alert, over a restart, too.

use std::{sync::Arc, time::Duration};

use ribwatch::{
    alert::Alert,
    detect::{Kind, Settings, Severity, WatchAsn, WatchPrefix, paths::leak::Evidence},
    types::{Asn, Family, Role},
    view::observed::VantageClass,
};

use super::tower::{Tower, rule, watching};
use crate::lab::{Attrs, Who, external, many, path};

const RULED: &str = "203.0.113.0/24";
const UNRULED: &str = "198.51.100.0/24";
const MINUTES_2: Duration = Duration::from_secs(120);

/// AS64500 has one upstream, as the rule for its prefix and that for itself say.
fn with_one_upstream() -> Settings {
    let mut settings = watching(&[]);
    let upstreams = Some(vec![Asn(64496)]);
    settings.prefixes = vec![WatchPrefix { upstreams: upstreams.clone(), ..rule(RULED, &[64500]) }];
    settings.asns = vec![WatchAsn { asn: Asn(64500), upstreams, downstreams: None, new_prefixes: false }];
    settings
}

fn edge(tower: &mut Tower, role: Option<Role>) -> Who {
    let mut spec = external(64601).called("edge-1");
    spec.negotiated.local_role = role;
    tower.peer(spec)
}

fn wait(tower: &mut Tower) {
    for _ in 0..12 {
        tower.advance(MINUTES_2 / 12);
        tower.look();
    }
}

#[test]
fn a_forged_first_hop_that_is_a_new_neighbor_is_one_alert() {
    let mut tower = Tower::new(with_one_upstream());
    let edge = edge(&mut tower, None);
    tower.announces(edge, RULED, path("64601 64511 64500"));
    assert_eq!(tower.stands().len(), 2, "{:?}", tower.stands());
    let alert = tower.only_alert();
    assert_eq!((&*alert.key.to_string(), alert.member_count), ("first-hop AS64511 next to AS64500", 1));
    assert!(alert.why.ends_with("; with it came new-neighbor"), "{}", alert.why);
    assert_eq!(&*alert.summary, "203.0.113.0/24 reaches us through AS64511");
    tower.announces(edge, RULED, path("64601 64496 64500"));
    wait(&mut tower);
    assert!(tower.alerts().is_empty());
}

#[test]
fn a_forged_first_hop_that_looks_like_a_leak_is_one_alert_when_it_has_stood() {
    // AS64511 between two networks without upstreams, and AS3356 is watched.
    let mut settings = watching(&[]);
    settings.prefixes = vec![WatchPrefix { upstreams: Some(vec![Asn(64496)]), ..rule(RULED, &[3356]) }];
    let mut tower = Tower::new(settings);
    for asn in 64601..64604 {
        let mut spec = external(asn);
        spec.settings.vantage = VantageClass::Public;
        let who = tower.peer(spec);
        tower.announces(who, RULED, path(&format!("{asn} 701 64511 3356")));
    }
    assert_eq!(tower.stands_of(&[Kind::FirstHop, Kind::RouteLeak]).len(), 2, "{:?}", tower.stands());
    tower.advance(Duration::from_secs(40));
    assert!(tower.alerts().is_empty(), "what it looks like waits with it");
    tower.advance(Duration::from_secs(21));
    let alert = tower.only_alert();
    assert_eq!(&*alert.key.to_string(), "first-hop AS64511 next to AS3356");
    assert_eq!(&*alert.summary, "203.0.113.0/24 reaches us through AS64511");
}

#[test]
fn a_new_neighbor_that_was_told_of_first_keeps_its_alert_over_a_restart() {
    let mut tower = Tower::new(with_one_upstream());
    let who = edge(&mut tower, None);
    tower.announces(who, UNRULED, path("64601 64511 64500"));
    let first = tower.only_alert();
    assert_eq!(&*first.key.to_string(), "new-neighbor AS64500 upstream AS64511");
    tower.announces(who, RULED, path("64601 64511 64500"));
    wait(&mut tower);
    assert_eq!((tower.only_alert().id.clone(), tower.stands().len()), (first.id.clone(), 2));
    let mut tower = tower.restarted(with_one_upstream(), false);
    let who = edge(&mut tower, None);
    // The other way round now.
    tower.announces(who, RULED, path("64601 64511 64500"));
    tower.look();
    tower.announces(who, UNRULED, path("64601 64511 64500"));
    tower.ends_rib(who, Family::IPV4_UNICAST);
    wait(&mut tower);
    assert_eq!((tower.only_alert().id.clone(), tower.stands().len()), (first.id.clone(), 2));
}

#[test]
fn a_neighbor_that_only_carries_what_it_may_not_is_an_alert_of_its_own() {
    let mut tower = Tower::new(with_one_upstream());
    let edge = edge(&mut tower, None);
    tower.announces(edge, RULED, path("64601 64511 64500"));
    tower.announces(edge, UNRULED, path("64601 64512 64500"));
    let told: Vec<String> = tower.alerts().iter().map(|alert| alert.key.to_string()).collect();
    assert_eq!(told, ["first-hop AS64511 next to AS64500", "new-neighbor AS64500 upstream AS64512"]);
}

/// A path of our customer, which has it from a network without upstreams.
fn leaked(otc: bool) -> Attrs {
    let route = path("64601 3356 64500");
    // OTC is attribute 35, optional transitive (RFC 9234 §5).
    if otc { route.raw(0xc0, 35, &3356_u32.to_be_bytes()) } else { route }
}

fn key(alert: &Arc<Alert>) -> String {
    alert.key.to_string()
}

#[test]
fn a_leak_that_relations_otc_and_peerlock_show_is_one_alert() {
    let mut tower = Tower::new(watching(&[(RULED, &[64500])]));
    let edge = edge(&mut tower, Some(Role::Provider));
    tower.announces(edge, RULED, leaked(true));
    let kinds = [Kind::Otc, Kind::Peerlock, Kind::RouteLeak];
    assert_eq!(tower.stands_of(&kinds).len(), 3, "{:?}", tower.stands());
    let alert = tower.only_alert();
    assert_eq!((&*key(&alert), alert.severity, alert.member_count), ("otc AS64601 OTC 3356", Severity::Critical, 1));
    assert!(alert.why.ends_with("; with it came peerlock, route-leak"), "{}", alert.why);
    assert_eq!(alert.evidence["symptoms"], 2);
    // The mark is gone and the leak is not: the alert goes on.
    tower.announces(edge, RULED, leaked(false));
    wait(&mut tower);
    assert_eq!(tower.only_alert().id, alert.id);
    tower.withdraws(edge, RULED);
    wait(&mut tower);
    assert!(tower.alerts().iter().all(|alert| alert.kind() == Kind::Visibility), "{:?}", tower.alerts());
}

#[test]
fn evidence_that_comes_later_stands_under_the_alert_that_there_is() {
    let mut tower = Tower::new(watching(&[(RULED, &[64500])]));
    let edge = edge(&mut tower, Some(Role::Provider));
    tower.announces(edge, RULED, leaked(false));
    let first = tower.only_alert();
    assert_eq!(first.kind(), Kind::Peerlock, "it is graver than what relations say");
    tower.announces(edge, UNRULED, leaked(true));
    wait(&mut tower);
    assert_eq!(tower.stands_of(&[Kind::Otc]).len(), 1);
    assert_eq!(tower.only_alert().id, first.id);
    // What another neighbour leaks is another alert.
    let mut spec = external(64602).called("edge-2");
    spec.negotiated.local_role = Some(Role::Provider);
    let other = tower.peer(spec);
    tower.announces(other, UNRULED, path("64602 701 64500"));
    let told: Vec<String> = tower.alerts().iter().map(key).collect();
    assert_eq!(told, [key(&first), "peerlock AS701 through AS64602".to_owned()]);
}

#[test]
fn a_table_that_jumps_because_its_neighbor_leaks_is_a_part_of_the_leak() {
    let mut settings = watching(&[]);
    for provider in [64601, 64602] {
        settings.paths.leak.relations.transit(Asn(provider), Asn(64510), Evidence::Declared);
    }
    let mut tower = Tower::new(settings);
    let edge = edge(&mut tower, None);
    tower.announces_paths(edge, &many(1000), &path("64601 64500"));
    tower.ends_rib(edge, Family::IPV4_UNICAST);
    wait(&mut tower);
    assert!(tower.alerts().is_empty());
    tower.announces_paths(edge, &many(2000)[1000..], &path("64601 64510 64602 64501"));
    wait(&mut tower);
    assert_eq!(tower.the(Kind::PrefixCount).severity, Severity::Critical);
    let alert = tower.only_alert();
    assert_eq!((&*key(&alert), alert.member_count), ("route-leak AS64510", 1000));
    assert_eq!(alert.severity, Severity::Critical, "as grave as the gravest of what it does");
    // More that nobody leaks is a part of it for as long as it lasts, and no second alert.
    tower.withdraws_paths(edge, &many(2000)[1000..]);
    wait(&mut tower);
    assert!(tower.alerts().is_empty());
    // Without a leak it speaks for itself.
    tower.announces_paths(edge, &many(2000)[1000..], &path("64601 64501"));
    wait(&mut tower);
    assert_eq!(tower.only_alert().kind(), Kind::PrefixCount);
}
