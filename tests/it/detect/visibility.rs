//! Who sees a watched prefix, against the prefix's own past.

use std::time::Duration;

use ribwatch::{
    detect::{Kind, Severity, WatchPrefix},
    types::{Asn, Family},
    view::observed::VantageClass,
};

use super::tower::{Tower, rule, watching};
use crate::lab::{Who, external, path};

const PREFIX: &str = "203.0.113.0/24";
const HOUR: Duration = Duration::from_secs(3600);

/// Five neighbours that have the prefix through two upstreams for an hour, tables complete.
fn seen_by_five(settings: ribwatch::detect::Settings) -> (Tower, Vec<Who>) {
    let mut tower = Tower::new(settings);
    let neighbors: Vec<Who> = (1..=5).map(|n| tower.peer(external(64600 + n).called(&format!("edge-{n}")))).collect();
    for (at, who) in neighbors.iter().enumerate() {
        let upstream = if at < 3 { 64496 } else { 64497 };
        tower.announces(*who, PREFIX, path(&format!("{} {upstream} 64500", 64601 + at)));
        tower.ends_rib(*who, Family::IPV4_UNICAST);
    }
    tower.advance(HOUR);
    assert!(tower.stands().is_empty());
    (tower, neighbors)
}

fn visibility(tower: &mut Tower) -> Vec<String> {
    tower.stands_of(&[Kind::Visibility])
}

#[test]
fn a_share_that_is_lost_is_a_warning_and_most_of_it_is_critical() {
    let (mut tower, neighbors) = seen_by_five(watching(&[(PREFIX, &[64500])]));
    tower.withdraws(neighbors[0], PREFIX);
    let finding = tower.the(Kind::Visibility);
    assert_eq!((finding.severity, finding.neighbors.len()), (Severity::Warning, 1));
    assert_eq!(finding.hold.open, Duration::from_secs(60));
    assert_eq!(finding.evidence["lost"][0]["last_path"], "64601 64496 64500");
    // All that was lost was lost at one neighbour: that is the cause.
    assert_eq!(finding.cause.expect("a cause").subject.as_ref(), "at edge-1");
    for who in &neighbors[1..3] {
        tower.withdraws(*who, PREFIX);
    }
    let finding = tower.the(Kind::Visibility);
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!(finding.cause.expect("a cause").subject.as_ref(), "through AS64496");
    for (at, who) in neighbors[..3].iter().enumerate() {
        tower.announces(*who, PREFIX, path(&format!("{} 64496 64500", 64601 + at)));
    }
    assert!(visibility(&mut tower).is_empty());
}

#[test]
fn a_neighbor_that_is_down_or_not_complete_yet_is_unknown_and_not_lost() {
    let (mut tower, neighbors) = seen_by_five(watching(&[(PREFIX, &[64500])]));
    for who in &neighbors[..3] {
        tower.down(*who);
    }
    assert!(visibility(&mut tower).is_empty());
    // They are back, and their tables are being sent.
    for who in &neighbors[..3] {
        tower.up(*who);
    }
    assert!(visibility(&mut tower).is_empty());
    tower.announces(neighbors[0], PREFIX, path("64601 64496 64500"));
    tower.ends_rib(neighbors[0], Family::IPV4_UNICAST);
    assert!(visibility(&mut tower).is_empty());
    // One is complete without the prefix: now it is lost there.
    tower.ends_rib(neighbors[1], Family::IPV4_UNICAST);
    assert_eq!(tower.the(Kind::Visibility).neighbors, ["edge-2".into()]);
}

#[test]
fn who_had_it_for_a_moment_only_is_not_expected_to_have_it() {
    let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
    let [steady, brief] = [64601, 64602].map(|asn| tower.peer(external(asn)));
    for who in [steady, brief] {
        tower.ends_rib(who, Family::IPV4_UNICAST);
    }
    tower.announces(steady, PREFIX, path("64601 64500"));
    tower.advance(HOUR);
    tower.announces(brief, PREFIX, path("64602 64500"));
    tower.advance(Duration::from_secs(60));
    tower.withdraws(brief, PREFIX);
    assert!(visibility(&mut tower).is_empty());
}

#[test]
fn a_declared_upstream_that_carries_it_no_more_is_told_of() {
    let mut settings = watching(&[]);
    let upstreams = Some(vec![Asn(64496), Asn(64497)]);
    settings.prefixes = vec![WatchPrefix { upstreams, ..rule(PREFIX, &[64500]) }];
    let (mut tower, neighbors) = seen_by_five(settings);
    for (at, who) in neighbors.iter().enumerate().skip(3) {
        tower.announces(*who, PREFIX, path(&format!("{} 64496 64500", 64601 + at)));
    }
    assert_eq!(visibility(&mut tower), ["visibility 203.0.113.0/24 via AS64497"]);
    assert_eq!(tower.the(Kind::Visibility).severity, Severity::Warning);
}

#[test]
fn a_forged_path_that_ends_is_not_missed() {
    let mut settings = watching(&[]);
    let upstreams = Some(vec![Asn(64496), Asn(64497)]);
    settings.prefixes = vec![WatchPrefix { upstreams, ..rule(PREFIX, &[64500]) }];
    let (mut tower, neighbors) = seen_by_five(settings);
    let forger = tower.peer(external(64606).called("edge-6"));
    tower.ends_rib(forger, Family::IPV4_UNICAST);
    tower.announces(forger, PREFIX, path("64606 64500"));
    // One that had a good path has a forged one now: it has the prefix still.
    tower.announces(neighbors[0], PREFIX, path("64601 64606 64500"));
    tower.advance(HOUR);
    assert_eq!(tower.stands(), ["first-hop 203.0.113.0/24 AS64606 AS64500"]);
    tower.announces(neighbors[0], PREFIX, path("64601 64496 64500"));
    tower.withdraws(forger, PREFIX);
    assert!(tower.stands().is_empty(), "{:?}", tower.stands());
}

#[test]
fn a_hundred_prefixes_of_one_origin_that_vanish_have_one_cause() {
    let prefixes: Vec<String> = (0..100).map(|n| format!("198.18.{n}.0/24")).collect();
    let rules: Vec<(&str, &[u32])> = prefixes.iter().map(|prefix| (prefix.as_str(), &[64500][..])).collect();
    let mut tower = Tower::new(watching(&rules));
    let neighbors = [64601, 64602].map(|asn| tower.peer(external(asn)));
    for who in neighbors {
        for prefix in &prefixes {
            tower.announces(who, prefix, path("64601 64500"));
        }
        tower.ends_rib(who, Family::IPV4_UNICAST);
    }
    tower.advance(HOUR);
    for who in neighbors {
        for prefix in &prefixes {
            tower.withdraws(who, prefix);
        }
    }
    let causes: std::collections::BTreeSet<_> =
        tower.look().values().map(|finding| finding.cause.clone().expect("a cause")).collect();
    assert_eq!(causes.len(), 1);
    assert_eq!(tower.stands().len(), 100);
}

/// Neighbours at public vantages, tables complete.
fn public(tower: &mut Tower, asns: std::ops::RangeInclusive<u32>) -> Vec<Who> {
    let peer = |asn| {
        let mut spec = external(asn).called(&format!("public-{asn}"));
        spec.settings.vantage = VantageClass::Public;
        let who = tower.peer(spec);
        tower.ends_rib(who, Family::IPV4_UNICAST);
        who
    };
    asns.map(peer).collect()
}

fn announce(tower: &mut Tower, who: &[Who], upstream: u32) {
    for (at, who) in who.iter().enumerate() {
        tower.announces(*who, PREFIX, path(&format!("{} {upstream} 64500", 64601 + at)));
    }
}

#[test]
fn who_sees_it_come_and_go_is_not_expected_to_have_it() {
    let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
    let all = public(&mut tower, 64601..=64605);
    // Ten minutes from first to last, and never longer than five in a row.
    for _ in 0..4 {
        announce(&mut tower, &all, 64496);
        tower.advance(Duration::from_secs(300));
        tower.look();
        all.iter().for_each(|who| tower.withdraws(*who, PREFIX));
        tower.advance(Duration::from_secs(100));
        let alerts = tower.alerts();
        assert!(alerts.iter().all(|alert| alert.severity < Severity::Critical), "{alerts:?}");
    }
    announce(&mut tower, &all, 64496);
    tower.advance(HOUR);
    all.iter().for_each(|who| tower.withdraws(*who, PREFIX));
    assert_eq!(tower.the(Kind::Visibility).severity, Severity::Critical, "this time it had stayed");
}

#[test]
fn what_is_withdrawn_before_a_table_is_complete_did_not_stay() {
    let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
    let who = tower.peer(external(64601).called("edge-1"));
    for _ in 0..4 {
        tower.announces(who, PREFIX, path("64601 64500"));
        tower.advance(Duration::from_secs(100));
        tower.withdraws(who, PREFIX);
        tower.advance(Duration::from_secs(10));
    }
    tower.announces(who, PREFIX, path("64601 64500"));
    tower.advance(Duration::from_secs(300));
    tower.ends_rib(who, Family::IPV4_UNICAST);
    tower.withdraws(who, PREFIX);
    tower.look();
    assert_ne!(tower.the(Kind::Visibility).severity, Severity::Critical, "it was there for five minutes");
}

#[test]
fn what_one_or_two_public_vantages_lose_is_their_own_affair() {
    let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
    let all = public(&mut tower, 64601..=64606);
    announce(&mut tower, &all, 64496);
    tower.advance(HOUR);
    all[..2].iter().for_each(|who| tower.withdraws(*who, PREFIX));
    assert!(visibility(&mut tower).is_empty());
    tower.withdraws(all[2], PREFIX);
    assert_eq!(
        (tower.the(Kind::Visibility).severity, tower.the(Kind::Visibility).neighbors.len()),
        (Severity::Warning, 3)
    );
}

#[test]
fn a_session_of_ours_does_not_drown_among_public_vantages() {
    let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
    let mut all: Vec<Who> = (1..=2).map(|n| tower.peer(external(64600 + n).called(&format!("edge-{n}")))).collect();
    all.iter().for_each(|who| tower.ends_rib(*who, Family::IPV4_UNICAST));
    all.extend(public(&mut tower, 64603..=64640));
    announce(&mut tower, &all, 64496);
    tower.advance(HOUR);
    tower.withdraws(all[0], PREFIX);
    let finding = tower.the(Kind::Visibility);
    assert_eq!(
        (finding.severity, &*finding.summary),
        (Severity::Warning, "203.0.113.0/24 is seen by 50 % of its own neighbors")
    );
}

#[test]
fn what_nobody_has_is_missed_however_few_had_it() {
    let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
    let all = public(&mut tower, 64601..=64602);
    announce(&mut tower, &all, 64496);
    tower.advance(HOUR);
    all.iter().for_each(|who| tower.withdraws(*who, PREFIX));
    assert_eq!(tower.the(Kind::Visibility).severity, Severity::Critical);
}

#[test]
fn who_has_it_since_a_moment_has_it() {
    let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
    let all = public(&mut tower, 64601..=64650);
    announce(&mut tower, &all[..4], 64496);
    tower.advance(HOUR);
    // Many more see it now, and three of the four that had it do not: 47 of 50.
    announce(&mut tower, &all, 64496);
    all[..3].iter().for_each(|who| tower.withdraws(*who, PREFIX));
    assert!(visibility(&mut tower).is_empty());
}

#[test]
fn an_upstream_that_few_public_vantages_chose_is_not_missed() {
    let gone = |through: usize| {
        let mut tower = Tower::new(watching(&[(PREFIX, &[64500])]));
        let all = public(&mut tower, 64601..=64610);
        announce(&mut tower, &all, 64496);
        announce(&mut tower, &all[..through], 64497);
        tower.advance(HOUR);
        announce(&mut tower, &all, 64496);
        visibility(&mut tower)
    };
    assert_eq!(gone(2), Vec::<String>::new());
    assert_eq!(gone(3), ["visibility 203.0.113.0/24 via AS64497"]);
}

#[test]
fn a_loss_that_grows_stays_the_alert_that_it_is() {
    let (mut tower, neighbors) = seen_by_five(watching(&[(PREFIX, &[64500])]));
    let minutes_2 = Duration::from_secs(120);
    let wait = |tower: &mut Tower| {
        tower.advance(minutes_2);
        tower.look();
    };
    tower.withdraws(neighbors[0], PREFIX);
    wait(&mut tower);
    let first = tower.only_alert();
    assert_eq!((&*first.key.subject, first.severity), ("at edge-1", Severity::Warning));
    for lost in [1, 3, 4, 2] {
        tower.withdraws(neighbors[lost], PREFIX);
        wait(&mut tower);
        assert_eq!(tower.only_alert().id, first.id);
    }
    let worst = tower.only_alert();
    assert_eq!((worst.severity, &*worst.summary), (Severity::Critical, "203.0.113.0/24 is seen by nobody any more"));
    for (at, who) in neighbors.iter().enumerate() {
        let upstream = if at < 3 { 64496 } else { 64497 };
        tower.announces(*who, PREFIX, path(&format!("{} {upstream} 64500", 64601 + at)));
    }
    wait(&mut tower);
    assert!(tower.alerts().is_empty());
    // Another loss, another cause.
    tower.withdraws(neighbors[1], PREFIX);
    wait(&mut tower);
    assert_eq!(&*tower.only_alert().key.subject, "at edge-2");
}
