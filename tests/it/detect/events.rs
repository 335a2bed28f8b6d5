//! One event is one alert: what it does to many prefixes, and what it does to one prefix in many ways, stands under it.

use std::{sync::Arc, time::Duration};

use ribwatch::{
    detect::{Kind, Settings, Severity},
    types::{Asn, Family},
    view::observed::VantageClass,
};

use super::tower::{Tower, watching};
use crate::lab::{Who, external, many, path};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTES_2: Duration = Duration::from_secs(120);

fn prefixes(n: u32) -> Vec<String> {
    (0..n).map(|n| format!("198.18.{n}.0/24")).collect()
}

fn watching_all(prefixes: &[String]) -> Settings {
    let rules: Vec<(&str, &[u32])> = prefixes.iter().map(|prefix| (prefix.as_str(), &[64500][..])).collect();
    watching(&rules)
}

/// Time passes, and detectors look now and then.
fn wait(tower: &mut Tower, time: Duration) {
    for _ in 0..12 {
        tower.advance(time / 12);
        tower.look();
    }
}

#[test]
fn a_session_that_is_lost_is_one_alert_with_the_prefixes_that_only_it_showed() {
    let lost = prefixes(40);
    let mut tower = Tower::new(watching_all(&[lost.clone(), vec!["203.0.113.0/24".to_owned()]].concat()));
    let [edge, other] =
        [("edge-1", 64496), ("edge-2", 64497)].map(|(name, asn)| tower.peer(external(asn).called(name)));
    let announce = |tower: &mut Tower| {
        for prefix in &lost {
            tower.announces(edge, prefix, path("64496 64500"));
        }
    };
    announce(&mut tower);
    tower.announces(other, "203.0.113.0/24", path("64497 64500"));
    [edge, other].iter().for_each(|who| tower.ends_rib(*who, Family::IPV4_UNICAST));
    wait(&mut tower, HOUR);
    assert!(tower.alerts().is_empty());
    tower.down(edge);
    wait(&mut tower, MINUTES_2);
    let alert = tower.only_alert();
    assert_eq!((alert.kind(), &*alert.key.subject, alert.member_count), (Kind::Session, "edge-1", 40));
    assert_eq!(alert.members.len(), 40);
    assert!(alert.summary.starts_with("session with edge-1 (AS64496) is down; 40 more"), "{}", alert.summary);
    // It is back, and its table is on the way: still one alert.
    tower.up(edge);
    wait(&mut tower, MINUTES_2);
    assert_eq!(tower.only_alert().key, alert.key);
    announce(&mut tower);
    tower.ends_rib(edge, Family::IPV4_UNICAST);
    wait(&mut tower, MINUTES_2);
    assert_eq!(tower.alerts(), Vec::<Arc<_>>::new());
}

#[test]
fn a_prefix_that_is_missing_when_the_session_is_back_is_missed_for_itself() {
    let mut tower = Tower::new(watching_all(&prefixes(1)));
    let [edge, other] =
        [("edge-1", 64496), ("edge-2", 64497)].map(|(name, asn)| tower.peer(external(asn).called(name)));
    tower.announces(edge, "198.18.0.0/24", path("64496 64500"));
    [edge, other].iter().for_each(|who| tower.ends_rib(*who, Family::IPV4_UNICAST));
    wait(&mut tower, HOUR);
    tower.down(edge);
    wait(&mut tower, MINUTES_2);
    assert_eq!(tower.only_alert().kind(), Kind::Session);
    tower.up(edge);
    tower.ends_rib(edge, Family::IPV4_UNICAST);
    wait(&mut tower, MINUTES_2);
    assert_eq!((tower.only_alert().kind(), tower.only_alert().severity), (Kind::Visibility, Severity::Critical));
}

#[test]
fn a_leaker_with_thousands_of_prefixes_is_one_alert_with_a_count_that_follows() {
    let mut settings = watching(&[]);
    settings.paths.leak.relations.transit(Asn(10), Asn(100), ribwatch::detect::paths::leak::Evidence::Declared);
    settings.paths.leak.relations.transit(Asn(11), Asn(100), ribwatch::detect::paths::leak::Evidence::Declared);
    let mut tower = Tower::new(settings);
    let edge = tower.peer(external(11));
    let routes = many(5000);
    for (at, chunk) in routes.chunks(100).enumerate() {
        tower.announces_paths(edge, chunk, &path(&format!("11 100 10 {}", 1000 + at)));
    }
    wait(&mut tower, MINUTES_2);
    let alert = tower.only_alert();
    assert_eq!((alert.kind(), &*alert.key.subject), (Kind::RouteLeak, "AS100"));
    assert_eq!((alert.member_count, alert.members.len()), (5000, 100));
    tower.withdraws_paths(edge, &routes[..4000]);
    wait(&mut tower, MINUTES_2);
    let leaks = |tower: &mut Tower| {
        let alerts = tower.alerts();
        alerts
            .iter()
            .filter(|alert| alert.kind() == Kind::RouteLeak)
            .map(|alert| alert.member_count)
            .collect::<Vec<_>>()
    };
    assert_eq!(leaks(&mut tower), [1000]);
    tower.withdraws_paths(edge, &routes[4000..]);
    wait(&mut tower, MINUTES_2);
    assert_eq!(leaks(&mut tower), Vec::<u64>::new());
}

#[test]
fn all_that_one_as_takes_is_one_alert_and_what_another_takes_is_not() {
    let taken = prefixes(5);
    let mut tower = Tower::new(watching_all(&taken));
    let edge = tower.peer(external(64496));
    for (at, prefix) in taken.iter().enumerate() {
        let attacker = if at < 4 { 64511 } else { 64510 };
        tower.announces(edge, prefix, path(&format!("64496 {attacker}")));
    }
    let alerts = tower.alerts();
    let told: Vec<(&str, u64)> = alerts.iter().map(|alert| (&*alert.key.subject, alert.member_count)).collect();
    assert_eq!(told, [("by AS64510", 1), ("by AS64511", 4)]);
}

/// Four neighbours that have the prefix, tables complete, for an hour.
fn seen_by_four(settings: Settings) -> (Tower, Vec<Who>) {
    let mut tower = Tower::new(settings);
    let all: Vec<Who> = (1..=4).map(|n| tower.peer(external(64600 + n).called(&format!("edge-{n}")))).collect();
    for (at, who) in all.iter().enumerate() {
        tower.announces(*who, "198.18.0.0/24", path(&format!("{} 64500", 64601 + at)));
        tower.ends_rib(*who, Family::IPV4_UNICAST);
    }
    wait(&mut tower, HOUR);
    (tower, all)
}

#[test]
fn what_a_hijack_does_to_its_prefix_stands_under_it_and_ends_with_it() {
    let (mut tower, all) = seen_by_four(watching_all(&prefixes(1)));
    // Three follow the hijack, and one of these cannot decide: the prefix is seen less from its origin, and flaps.
    for round in 0..16 {
        for (at, who) in all[..3].iter().enumerate() {
            let origin = if at == 0 && round % 2 == 1 { 64500 } else { 64511 };
            tower.announces(*who, "198.18.0.0/24", path(&format!("{} {origin}", 64601 + at)));
        }
        wait(&mut tower, Duration::from_secs(10));
    }
    wait(&mut tower, MINUTES_2);
    assert_eq!(tower.stands_of(&[Kind::Visibility, Kind::Flap]).len(), 2, "{:?}", tower.stands());
    let alert = tower.only_alert();
    assert_eq!((&*alert.key.to_string(), alert.member_count), ("origin-hijack by AS64511", 1));
    assert_eq!(alert.evidence["symptoms"], 2);
    assert!(alert.why.ends_with("; with it came flap, visibility"), "{}", alert.why);
    assert_eq!(&*alert.summary, "198.18.0.0/24 is announced by AS64511, expected AS64500");
    for (at, who) in all.iter().enumerate() {
        tower.announces(*who, "198.18.0.0/24", path(&format!("{} 64500", 64601 + at)));
    }
    wait(&mut tower, MINUTES_2);
    assert!(tower.alerts().is_empty());
}

#[test]
fn who_shows_a_hijack_instead_of_the_right_route_lost_nothing_else() {
    // Between related networks it is a warning, and that nobody has the right route any more is critical.
    let mut settings = watching_all(&prefixes(1));
    assert!(settings.paths.leak.relations.read("64511|64500|-1\n").is_empty());
    let mut tower = Tower::new(settings);
    let peer = |tower: &mut Tower, n: u32| {
        let mut spec = external(64600 + n).called(&format!("public-{n}"));
        spec.settings.vantage = VantageClass::Public;
        tower.peer(spec)
    };
    let all: Vec<Who> = (1..=4).map(|n| peer(&mut tower, n)).collect();
    let announce = |tower: &mut Tower, origin: u32| {
        for (at, who) in all.iter().enumerate() {
            tower.announces(*who, "198.18.0.0/24", path(&format!("{} {origin}", 64601 + at)));
        }
    };
    announce(&mut tower, 64500);
    all.iter().for_each(|who| tower.ends_rib(*who, Family::IPV4_UNICAST));
    wait(&mut tower, HOUR);
    announce(&mut tower, 64511);
    assert_eq!(tower.only_alert().severity, Severity::Warning);
    wait(&mut tower, MINUTES_2);
    let alert = tower.only_alert();
    assert_eq!((&*alert.key.to_string(), alert.severity), ("origin-hijack by AS64511", Severity::Critical));
    assert!(alert.why.ends_with("; with it came visibility"), "{}", alert.why);
    announce(&mut tower, 64500);
    wait(&mut tower, MINUTES_2);
    assert!(tower.alerts().is_empty());
}

#[test]
fn what_is_still_missing_long_after_a_hijack_is_missed_for_itself() {
    let (mut tower, all) = seen_by_four(watching_all(&prefixes(1)));
    for (at, who) in all[..3].iter().enumerate() {
        tower.announces(*who, "198.18.0.0/24", path(&format!("{} 64511", 64601 + at)));
    }
    wait(&mut tower, MINUTES_2);
    all[..3].iter().for_each(|who| tower.withdraws(*who, "198.18.0.0/24"));
    wait(&mut tower, MINUTES_2);
    assert_eq!(tower.only_alert().kind(), Kind::OriginHijack, "the end of it, for now");
    wait(&mut tower, Duration::from_secs(600));
    assert_eq!(tower.only_alert().kind(), Kind::Visibility);
}

#[test]
fn a_part_that_its_origin_announces_against_a_hijack_is_a_defence() {
    let mut tower = Tower::new(watching(&[("203.0.112.0/22", &[64500])]));
    let [edge, other] = [64496, 64497].map(|asn| tower.peer(external(asn)));
    tower.announces(other, "203.0.112.0/22", path("64497 64500"));
    tower.announces(edge, "203.0.113.0/24", path("64496 64511"));
    tower.announces(other, "203.0.113.0/24", path("64497 64500"));
    assert_eq!(tower.only_alert().kind(), Kind::SubprefixHijack);
    tower.announces(edge, "203.0.113.0/24", path("64496 64500"));
    wait(&mut tower, Duration::from_secs(600));
    assert!(tower.alerts().is_empty(), "it stays announced, and that is no news");
    // Without a hijack it would have been.
    [edge, other].iter().for_each(|who| tower.withdraws(*who, "203.0.113.0/24"));
    tower.look();
    tower.announces(edge, "203.0.113.0/24", path("64496 64500"));
    assert_eq!(tower.only_alert().kind(), Kind::NewPrefix);
}

/// AS64501 buys from AS64500 alone, as a relationship file has it; the other is not in it.
fn with_a_customer() -> Settings {
    let mut settings = watching(&[("203.0.112.0/22", &[64500])]);
    let bad = settings.paths.leak.relations.read("64500|64501|-1\n64502|64503|-1\n");
    assert!(bad.is_empty());
    settings
}

#[test]
fn a_part_from_a_customer_of_the_origin_past_the_origin_is_a_leak_from_inside() {
    let mut tower = Tower::new(with_a_customer());
    let [edge, other] = [64496, 64497].map(|asn| tower.peer(external(asn)));
    tower.announces(edge, "203.0.113.0/24", path("64496 64499 64501"));
    tower.announces(other, "203.0.113.0/24", path("64497 64499 64501"));
    let alert = tower.only_alert();
    assert_eq!((&*alert.key.to_string(), alert.severity), ("route-leak AS64499", Severity::Warning));
    assert_eq!((&alert.asns["leaker"][..], &alert.asns["origin"][..]), (&[Asn(64499)][..], &[Asn(64500)][..]));
    assert_eq!(alert.evidence["leak_type"], 6);
    // Behind several, nobody can be named: it is told as what it looks like.
    tower.announces(other, "203.0.113.0/24", path("64497 64498 64501"));
    assert_eq!(tower.stands(), ["subprefix-hijack 203.0.113.0/24 AS64501"]);
    // And so is one of which nothing is known.
    tower.announces(other, "203.0.113.0/24", path("64497 64499 64503"));
    tower.withdraws(edge, "203.0.113.0/24");
    assert_eq!(tower.stands(), ["subprefix-hijack 203.0.113.0/24 AS64503"]);
}

#[test]
fn a_part_that_is_seen_behind_its_expected_origin_counts_for_little() {
    let mut tower = Tower::new(watching(&[("203.0.112.0/22", &[64500])]));
    let edge = tower.peer(external(64496));
    tower.announces(edge, "203.0.113.0/24", path("64496 64500 64511"));
    assert_eq!(tower.only_alert().severity, Severity::Warning);
    tower.announces(edge, "203.0.113.0/24", path("64496 64511"));
    assert_eq!(tower.only_alert().severity, Severity::Critical);
}

#[test]
fn between_networks_without_upstreams_there_is_no_way_for_others() {
    let watch: &[(&str, &[u32])] = &[("203.0.113.0/24", &[64500])];
    let judged = |asns: &str, watched: bool| {
        let mut tower = Tower::new(watching(if watched { watch } else { &[] }));
        let first = asns.split(' ').next().expect("an AS").parse().expect("a number");
        let who = tower.peer(external(first));
        tower.announces(who, "203.0.113.0/24", path(asns));
        let found = tower.alerts().first().cloned();
        found.map(|alert| (alert.asns["leaker"].clone(), alert.severity, alert.evidence["evidence"].clone()))
    };
    let leak = |leaker: u32| Some((vec![Asn(leaker)], Severity::Warning, "transit-free".into()));
    assert_eq!(judged("64496 701 64499 3356 64500", true), leak(64499));
    assert_eq!(judged("64496 701 64499 64498 3356 64500", true), leak(64499));
    assert_eq!(judged("64496 701 3356 64498 64500", true), None, "these two peer");
    assert_eq!(judged("64496 701 64499 3356 64500", false), None, "nobody watches its origin");
    assert_eq!(judged("64496 701 23456 3356 64500", true), None, "whose number is not known");
}

#[test]
fn of_many_that_may_leak_nobody_is_blamed() {
    let mut tower = Tower::new(watching(&[("203.0.113.0/24", &[64500])]));
    let edge = tower.peer(external(64496));
    tower.announces(edge, "203.0.113.0/24", path("64496 701 64499 64498 64497 3356 64500"));
    let alert = tower.only_alert();
    assert_eq!((&*alert.key.to_string(), alert.severity), ("route-leak to AS701", Severity::Warning));
    assert_eq!(alert.asns.get("leaker"), None);
    assert_eq!(alert.asns["candidates"], [Asn(64497), Asn(64498), Asn(64499)]);
    assert_eq!(&*alert.summary, "one of 3 ASes leaks routes to AS701, routes of AS64500");
}

#[test]
fn a_mark_for_customers_only_behind_the_leaker_makes_a_declared_leak_certain() {
    let settings = || {
        let mut settings = watching(&[]);
        settings.paths.leak.relations.transit(Asn(11), Asn(100), ribwatch::detect::paths::leak::Evidence::Declared);
        settings.paths.leak.relations.transit(Asn(10), Asn(100), ribwatch::detect::paths::leak::Evidence::Inferred);
        settings
    };
    let severity = |otc: Option<u32>| {
        let mut tower = Tower::new(settings());
        let edge = tower.peer(external(64496));
        let route = path("64496 11 100 10 64500");
        // OTC is attribute 35, optional transitive (RFC 9234 §5).
        let route = otc.map_or(route.clone(), |asn| route.raw(0xc0, 35, &asn.to_be_bytes()));
        tower.announces(edge, "203.0.113.0/24", route);
        tower
            .look()
            .values()
            .find(|f| f.key.kind == Kind::RouteLeak)
            .map(|f| (f.severity, f.evidence["evidence"].clone()))
    };
    assert_eq!(severity(None), None, "an inferred edge, and nobody watches the origin");
    assert_eq!(severity(Some(10)), Some((Severity::Warning, "declared".into())));
    assert_eq!(severity(Some(100)), None, "the mark of the leaker is for those after it");
}

#[test]
fn what_inferred_relations_say_of_the_first_tables_is_an_old_arrangement() {
    let mut settings = watching(&[("203.0.113.0/24", &[64500])]);
    for provider in [10, 11, 12] {
        let line = format!("{provider}|100|-1\n");
        assert!(settings.paths.leak.relations.read(&line).is_empty());
    }
    let mut tower = Tower::new(settings);
    let edge = tower.peer(external(64496));
    tower.announces(edge, "203.0.113.0/24", path("64496 11 100 10 64500"));
    tower.ends_rib(edge, Family::IPV4_UNICAST);
    wait(&mut tower, MINUTES_2);
    assert!(tower.alerts().is_empty());
    tower.announces(edge, "203.0.113.0/24", path("64496 12 100 10 64500"));
    assert_eq!(tower.only_alert().severity, Severity::Info);
    tower.announces(edge, "203.0.113.0/24", path("64496 11 100 10 64500"));
    wait(&mut tower, MINUTES_2);
    assert!(tower.alerts().is_empty(), "as before");
}

#[test]
fn what_is_lost_while_a_hijack_is_old_and_settled_is_an_alert_of_its_own() {
    let (mut tower, all) = seen_by_four(watching_all(&prefixes(1)));
    tower.announces(all[0], "198.18.0.0/24", path("64601 64511"));
    wait(&mut tower, HOUR);
    assert_eq!(tower.only_alert().kind(), Kind::OriginHijack);
    all[1..].iter().for_each(|who| tower.withdraws(*who, "198.18.0.0/24"));
    wait(&mut tower, MINUTES_2);
    let kinds: Vec<Kind> = tower.alerts().iter().map(|alert| alert.kind()).collect();
    assert!(kinds.contains(&Kind::Visibility), "{kinds:?}");
}

#[test]
fn one_new_upstream_of_many_prefixes_is_one_alert() {
    let mut settings = watching_all(&prefixes(10));
    settings.prefixes.iter_mut().for_each(|rule| rule.upstreams = Some(vec![Asn(64497)]));
    let mut tower = Tower::new(settings);
    let edge = tower.peer(external(64496));
    for prefix in prefixes(10) {
        tower.announces(edge, &prefix, path("64496 64511 64500"));
    }
    let alert = tower.only_alert();
    assert_eq!((&*alert.key.subject, alert.member_count), ("AS64511 next to AS64500", 10));
}

#[test]
fn as_trans_in_paths_of_a_public_vantage_is_nothing() {
    let bogons = |class| {
        let mut settings = watching(&[]);
        settings.paths.bogon.enabled = true;
        settings.paths.bogon.allow_prefixes = vec!["203.0.113.0/24".parse().expect("a prefix")];
        let mut tower = Tower::new(settings);
        let mut spec = external(3333);
        spec.settings.vantage = class;
        let who = tower.peer(spec);
        tower.announces(who, "203.0.113.0/24", path("3333 23456 701"));
        tower.stands_of(&[Kind::Bogon]).len()
    };
    assert_eq!((bogons(VantageClass::Own), bogons(VantageClass::Public)), (1, 0));
}
