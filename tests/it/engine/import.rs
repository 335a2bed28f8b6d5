//! What is filed and what may be selected: replacements, loops, verdicts, limits (RFC 4271 §9.1, RFC 8212).

use std::time::Duration;

use ribwatch::{
    engine::Input,
    types::Prefix,
    view::{Answer, Query, Table},
    wire::bgp::RefreshSubtype,
};

use super::{V4, V6, paths};
use crate::lab::{Lab, Who, external, internal, many, p, path};

#[test]
fn a_second_announcement_replaces_the_first_and_the_others_hear_of_it_once() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.announces(a, "203.0.113.0/24", path("64496 64500"));
    lab.settle();
    lab.announces(a, "203.0.113.0/24", path("64496 64501"));
    lab.announces(a, "203.0.113.0/24", path("64496 64502"));
    lab.settle();
    assert_eq!(lab.told(b, "203.0.113.0/24").unwrap().as_path().to_string(), "64512 64496 64502");
    assert_eq!(lab.heard(b).messages, 3, "End-of-RIB, the first route, and the last; the one between is folded");
    assert_eq!(paths(&lab), 1);
}

#[test]
fn a_replacement_that_is_not_eligible_takes_the_old_route_away() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.announces(a, "203.0.113.0/24", path("64496 64500"));
    lab.settle();
    lab.announces(a, "203.0.113.0/24", path("64496 64512 64500"));
    lab.settle();
    assert_eq!(lab.best("203.0.113.0/24"), None);
    assert!(lab.told(b, "203.0.113.0/24").is_none());
    let kept = lab.table(Table::AdjIn, Some(a));
    assert_eq!(kept.rows.len(), 1, "Adj-RIB-In keeps what the neighbour said");
    let Ok(Answer::Explanation(why)) = lab.ask(&Query::Explain { family: V4, prefix: p("203.0.113.0/24") }) else {
        panic!("no explanation")
    };
    assert_eq!(why.candidates[0].ineligible.as_deref(), Some("own AS in AS_PATH (RFC 4271 §9.1.2)"));
}

#[test]
fn reflection_loops_are_not_eligible() {
    let mut lab = Lab::new();
    let a = lab.peer(internal());
    let own = 0xc633_6401;
    lab.announces(a, "203.0.113.0/24", path("64500").originator(own).clusters(&[7]));
    lab.announces(a, "198.51.100.0/24", path("64500").originator(7).clusters(&[9, own]));
    lab.announces(a, "192.0.2.0/24", path("64500").originator(7).clusters(&[9]));
    assert_eq!(lab.best("203.0.113.0/24"), None);
    assert_eq!(lab.best("198.51.100.0/24"), None);
    assert!(lab.best("192.0.2.0/24").is_some());
}

#[test]
fn without_a_policy_ebgp_is_rejected_by_name_and_ibgp_is_accepted() {
    let mut lab = Lab::new();
    let silent = lab.peer(external(64496).import(&[]));
    let inside = lab.peer(internal().import(&[]).export(&[]));
    let untold = lab.peer(external(64497).export(&[]));
    lab.announces(silent, "203.0.113.0/24", path("64496"));
    lab.announces(inside, "198.51.100.0/24", path("64500"));
    lab.announces(untold, "192.0.2.0/24", path("64497"));
    lab.settle();
    let page = lab.table(Table::AdjIn, Some(silent));
    assert_eq!(page.rows[0].rejected_by.as_deref(), Some("no policy (RFC 8212)"));
    assert_eq!(lab.best("203.0.113.0/24"), None);
    assert_eq!(lab.best("198.51.100.0/24"), Some(Some(lab.id(inside))));
    assert!(lab.told_prefixes(untold).is_empty(), "no export policy, nothing sent");
    assert!(lab.told(inside, "192.0.2.0/24").is_some());
    let counts = lab.summary().neighbors;
    let of = |who: Who| counts.iter().find(|(peer, _)| *peer == lab.id(who)).unwrap().1[0];
    assert_eq!((of(silent).received, of(silent).accepted), (1, 0));
    assert_eq!((of(inside).received, of(inside).accepted, of(inside).advertised), (1, 1, 1));
}

#[test]
fn a_collector_selects_and_sends_nothing_and_keeps_everything() {
    let mut lab = Lab::collector();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.handle(Input::EventsWanted(true));
    lab.announces(a, "203.0.113.0/24", path("64496"));
    lab.announces(b, "203.0.113.0/24", path("64497"));
    lab.withdraws(a, "203.0.113.0/24");
    lab.settle();
    assert_eq!(lab.table(Table::AdjIn, None).rows.len(), 1);
    assert!(lab.table(Table::Loc, None).rows.is_empty());
    assert_eq!(lab.heard(a).octets, 0);
    let seen: Vec<_> = lab.events.iter().flat_map(|batch| &batch.events).map(|e| (e.table, e.withdrawn)).collect();
    assert_eq!(seen, [(Table::AdjIn, false), (Table::AdjIn, false), (Table::AdjIn, true)]);
    lab.down(b);
    lab.settle();
    assert_eq!(paths(&lab), 0);
}

#[test]
fn a_monitored_neighbour_is_heard_and_never_told() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496).monitor_only()), lab.peer(external(64497)));
    lab.announces(b, "203.0.113.0/24", path("64497"));
    lab.announces(a, "198.51.100.0/24", path("64496"));
    lab.refreshes(a, RefreshSubtype::Request);
    lab.settle();
    assert_eq!(lab.heard(a).octets, 0, "not even End-of-RIB");
    assert_eq!(lab.best("198.51.100.0/24"), Some(Some(lab.id(a))));
}

#[test]
fn a_limit_warns_once_then_ends_the_session_and_stores_no_more() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496).max_prefix(Some(V4), 10, 80));
    lab.announces_paths(a, &many(7), &path("64496"));
    assert!(lab.warnings.is_empty());
    lab.announces_paths(a, &many(10), &path("64496"));
    assert_eq!(lab.warnings.len(), 1, "{:?}", lab.warnings);
    lab.announces_paths(a, &many(10), &path("64496 64500"));
    assert!(lab.notifications.is_empty(), "as many as allowed");

    lab.announces_paths(a, &many(50), &path("64496"));
    lab.announces(a, "203.0.113.0/24", path("64496"));
    let (peer, notification, restart) = lab.notifications[0].clone();
    assert_eq!((peer, notification.code, notification.subcode), (lab.id(a), 6, 1));
    assert_eq!(notification.data, [0, 1, 1, 0, 0, 0, 10], "AFI, SAFI, upper bound (RFC 4486 §4)");
    assert_eq!(restart, Some(Duration::from_secs(300)));
    assert_eq!(lab.notifications.len(), 1);
    assert_eq!(paths(&lab), 11, "the one that was too many, and none behind it");
    lab.down(a);
    lab.settle();
    assert_eq!(paths(&lab), 0);
}

#[test]
fn a_limit_over_all_families_counts_them_together() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496).families(&[V4, V6]).max_prefix(None, 3, 100));
    lab.announces_paths(a, &many(2), &path("64496"));
    lab.announces_all(a, &["2001:db8:1::/48", "2001:db8:2::/48"], path("64496").via("2001:db8::1"));
    assert_eq!(lab.notifications.len(), 1);
    assert_eq!(paths(&lab), 4);
}

#[test]
fn the_ids_of_gone_prefixes_are_used_again() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    for round in 0..50_u32 {
        let routes: Vec<_> = (0..100).map(|i| (0, Prefix::v4(0x0a00_0000 + (round * 100 + i) * 256, 24))).collect();
        lab.announces_paths(a, &routes, &path("64496"));
        lab.settle();
        lab.withdraws_paths(a, &routes);
        lab.settle();
    }
    assert!(lab.heard(b).routes.is_empty());
    let summary = lab.summary();
    assert_eq!(summary.attribute_sets, 0, "no set outlives its last route");
    let table = summary.tables.iter().find(|table| table.family == V4).unwrap();
    assert_eq!((table.prefixes, table.paths, table.best), (0, 0, 0));
}
