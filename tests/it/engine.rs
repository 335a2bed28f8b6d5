//! The engine through its front door: what neighbours announce, what it makes of it, and what others are told.

use ribwatch::{
    engine::{Input, SEND_QUEUE_HIGH},
    types::{Asn, Family, Prefix},
    view::{Answer, Lost, PrefixMatch, Query, Refusal, RouteQuery, Table},
    wire::bgp::{
        RefreshSubtype,
        attribute::code,
        batch::{ItemKind, UpdateBatch},
        community::Community,
    },
};
use std::time::Duration;

use crate::lab::{Lab, Who, external, internal, many, p, path};

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;

/// Paths in Adj-RIB-In over all neighbours and families.
fn paths(lab: &Lab) -> u64 {
    lab.summary().tables.iter().map(|table| table.paths).sum()
}

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
fn a_session_that_ends_counts_no_more_at_once_and_its_paths_go_in_the_background() {
    let mut lab = Lab::new();
    let (a, b, c) = (lab.peer(external(64496)), lab.peer(external(64497)), lab.peer(external(64498)));
    lab.announces_paths(a, &many(1000), &path("64496"));
    lab.announces_paths(b, &many(500), &path("64497 64500"));
    lab.settle();
    assert_eq!(lab.heard(c).routes.len(), 1000);

    lab.down(a);
    assert_eq!(lab.best("10.0.0.0/24"), Some(Some(lab.id(b))), "a reader never sees a route of an ended session");
    assert_eq!(lab.best("10.2.0.0/24"), None);
    assert!(paths(&lab) > 1000, "the purge itself is still to come");
    assert!(lab.flush(), "in slices");

    lab.settle();
    assert_eq!(paths(&lab), 500);
    assert_eq!(lab.heard(c).routes.len(), 500);
    assert_eq!(lab.told(c, "10.0.0.0/24").unwrap().as_path().to_string(), "64512 64497 64500");
    assert!(lab.heard(c).unfounded.is_empty());
}

#[test]
fn a_session_that_comes_back_during_its_purge_keeps_its_new_routes() {
    let mut lab = Lab::new();
    let (a, c) = (lab.peer(external(64496)), lab.peer(external(64498)));
    lab.announces_paths(a, &many(400), &path("64496"));
    lab.settle();
    lab.down(a);
    lab.flush();
    lab.up(a);
    lab.announces_paths(a, &many(100), &path("64496 64500"));
    lab.settle();
    assert_eq!(paths(&lab), 100);
    assert_eq!(lab.heard(c).routes.len(), 100);
    assert_eq!(lab.told(c, "10.0.0.0/24").unwrap().as_path().to_string(), "64512 64496 64500");
}

#[test]
fn a_refresh_sweeps_what_was_not_sent_again() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496).enhanced_refresh()), lab.peer(external(64497)));
    lab.announces_paths(a, &many(100), &path("64496"));
    lab.settle();
    lab.refreshes(a, RefreshSubtype::BeginOfRefresh);
    lab.announces_paths(a, &many(40), &path("64496"));
    lab.announces(a, "203.0.113.0/24", path("64496"));
    lab.settle();
    assert_eq!(paths(&lab), 101, "nothing goes before EoRR");
    lab.refreshes(a, RefreshSubtype::EndOfRefresh);
    lab.settle();
    assert_eq!(paths(&lab), 41);
    assert_eq!(lab.heard(b).routes.len(), 41);
    assert_eq!(lab.heard(b).repeated, 0, "what was sent again unchanged is no news");

    lab.refreshes(a, RefreshSubtype::EndOfRefresh);
    lab.settle();
    assert_eq!(paths(&lab), 41, "EoRR without BoRR is ignored (RFC 7313 §4)");
}

#[test]
fn a_refresh_without_an_end_is_ended_by_time() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    lab.announces_paths(a, &many(10), &path("64496"));
    lab.refreshes(a, RefreshSubtype::BeginOfRefresh);
    lab.announces_paths(a, &many(4), &path("64496"));
    lab.advance(Duration::from_secs(599));
    assert_eq!(paths(&lab), 10);
    let deadline = lab.engine.next_deadline().expect("the engine asks to be called");
    assert_eq!(deadline.since(lab.now), Duration::from_secs(1));
    lab.advance(Duration::from_secs(1));
    assert_eq!(paths(&lab), 4);
}

#[test]
fn a_neighbour_that_asks_for_a_refresh_gets_everything_again_between_marks() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let (plain, enhanced) = (lab.peer(external(64497)), lab.peer(external(64498).enhanced_refresh()));
    lab.announces_paths(a, &many(100), &path("64496"));
    lab.settle();
    for who in [plain, enhanced] {
        lab.refreshes(who, RefreshSubtype::Request);
    }
    lab.settle();
    assert_eq!(lab.heard(plain).repeated, 100);
    assert!(lab.heard(plain).marks.is_empty());
    assert_eq!(lab.heard(enhanced).repeated, 100);
    assert_eq!(lab.heard(enhanced).marks, [RefreshSubtype::BeginOfRefresh, RefreshSubtype::EndOfRefresh]);
    assert_eq!(lab.heard(a).repeated, 0, "nobody else hears anything");
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
fn a_route_is_not_sent_back_and_its_new_source_hears_a_withdrawal() {
    let mut lab = Lab::new();
    let (a, b, c) = (lab.peer(external(64496)), lab.peer(external(64497)), lab.peer(external(64498)));
    lab.announces(b, "203.0.113.0/24", path("64497 64500 64501"));
    lab.settle();
    assert!(lab.told(a, "203.0.113.0/24").is_some());
    assert!(lab.told(b, "203.0.113.0/24").is_none());

    lab.announces(a, "203.0.113.0/24", path("64496 64500"));
    lab.settle();
    assert!(lab.told(a, "203.0.113.0/24").is_none(), "the new source had been told the old route");
    assert_eq!(lab.told(b, "203.0.113.0/24").unwrap().as_path().to_string(), "64512 64496 64500");
    assert_eq!(lab.told(c, "203.0.113.0/24").unwrap().as_path().to_string(), "64512 64496 64500");

    lab.withdraws(a, "203.0.113.0/24");
    lab.settle();
    assert!(lab.told(a, "203.0.113.0/24").is_some());
    assert!(lab.told(b, "203.0.113.0/24").is_none());

    lab.withdraws(b, "203.0.113.0/24");
    lab.settle();
    for who in [a, b, c] {
        assert!(lab.told(who, "203.0.113.0/24").is_none());
        assert!(lab.heard(who).unfounded.is_empty(), "withdrawals are exact");
    }
}

#[test]
fn the_same_attributes_from_another_neighbour_are_news_only_for_the_two_concerned() {
    let mut lab = Lab::new();
    let (a, b, c) = (lab.peer(external(64496)), lab.peer(external(64496)), lab.peer(external(64498)));
    let route = path("64496 64500").via("198.51.100.7");
    lab.announces(b, "203.0.113.0/24", route.clone());
    lab.settle();
    let before = lab.heard(c).messages;
    lab.announces(a, "203.0.113.0/24", route); // a has the lower router id and wins
    lab.settle();
    assert_eq!(lab.best("203.0.113.0/24"), Some(Some(lab.id(a))));
    assert!(lab.told(a, "203.0.113.0/24").is_none());
    assert!(lab.told(b, "203.0.113.0/24").is_some());
    assert_eq!(lab.heard(c).messages, before);
}

#[test]
fn end_of_rib_follows_the_first_sending_of_each_family() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    lab.announces_paths(a, &many(300), &path("64496"));
    lab.settle();
    let both = lab.peer(external(64497).families(&[V4, V6]));
    lab.settle();
    let markers = |lab: &Lab, who: Who| {
        let mut markers = lab.heard(who).end_of_rib.clone();
        markers.sort();
        markers
    };
    assert_eq!(markers(&lab, both), [(V4, 300), (V6, 0)]);
    let late = lab.peer(external(64498).families(&[V4, V6]));
    lab.settle();
    assert_eq!(markers(&lab, late), [(V4, 300), (V6, 0)], "also to one that joins a group later");
    assert_eq!(lab.heard(late).repeated, 0);
    assert_eq!(lab.heard(both).repeated, 0);
}

#[test]
fn a_route_that_only_its_source_could_hear_is_told_once_somebody_else_joins() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    lab.announces_paths(a, &many(50), &path("64496"));
    lab.settle();
    assert_eq!(lab.table(Table::AdjOut, Some(a)).rows.len(), 0);
    let b = lab.peer(external(64497));
    lab.settle();
    assert_eq!(lab.heard(b).end_of_rib, [(V4, 50)]);
    lab.down(b);
    lab.settle();
    lab.withdraws_paths(a, &many(20));
    lab.up(b);
    lab.settle();
    assert_eq!(lab.heard(b).end_of_rib, [(V4, 30)]);
    assert!(lab.heard(b).unfounded.is_empty());
}

#[test]
fn a_neighbour_that_is_to_get_nothing_gets_end_of_rib() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497).export(&["reject-all"])));
    lab.announces_paths(a, &many(50), &path("64496"));
    lab.settle();
    assert_eq!((lab.heard(b).end_of_rib.as_slice(), lab.heard(b).messages), (&[(V4, 0)][..], 1));
}

#[test]
fn end_of_rib_from_a_neighbour_is_noted() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    assert!(!lab.summary().neighbors[0].1[0].end_of_rib);
    lab.ends_rib(a, V4);
    assert!(lab.summary().neighbors[0].1[0].end_of_rib);
}

#[test]
fn a_slow_neighbour_holds_nobody_and_catches_up_exactly() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let (slow, fast) = (lab.peer(external(64497)), lab.peer(external(64498)));
    lab.settle();
    lab.reads(slow, false);
    // Distinct attributes fill the slow neighbour's queue quickly.
    let churn = |lab: &mut Lab, round: u32| {
        for (i, route) in many(600).into_iter().enumerate() {
            let asns: Vec<String> = (0..200).map(|n| (65_536 + (n + i as u32 + round) % 16).to_string()).collect();
            lab.announces_paths(a, &[route], &path(&format!("64496 {}", asns.join(" "))).med(round * 1000 + i as u32));
        }
        lab.settle();
    };
    for round in 0..4 {
        churn(&mut lab, round);
    }
    assert!(lab.heard(fast).routes.len() < 600 || lab.engine.next_deadline().is_some(), "the group waits a moment");
    lab.advance(Duration::from_secs(1));
    churn(&mut lab, 9);
    lab.withdraws_paths(a, &many(200));
    lab.settle();
    assert_eq!(lab.heard(fast).routes.len(), 400, "the fast one has everything");
    assert_eq!(lab.heard(slow).routes.len(), 0, "the slow one has read nothing yet");

    lab.reads(slow, true);
    lab.settle();
    assert_eq!(lab.heard(slow).routes, lab.heard(fast).routes);
    assert!(lab.heard(slow).unfounded.is_empty());
    assert!(lab.heard(slow).octets < lab.heard(fast).octets, "what changed meanwhile was sent once");
    let out = lab.table(Table::AdjOut, Some(slow));
    assert_eq!(out.rows.len(), 400);

    churn(&mut lab, 20);
    assert_eq!(lab.heard(slow).routes, lab.heard(fast).routes, "and it is in step again");
}

#[test]
fn the_queue_of_a_lone_slow_neighbour_is_bounded_and_nothing_is_lost() {
    let mut lab = Lab::new();
    let (a, slow) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.reads(slow, false);
    for (i, route) in many(3000).into_iter().enumerate() {
        let asns: Vec<String> = (0..250).map(|n| (65_536 + (n + i) % 16).to_string()).collect();
        lab.announces_paths(a, &[route], &path(&format!("64496 {}", asns.join(" "))).med(i as u32));
    }
    lab.settle();
    assert_eq!(lab.heard(slow).octets, 0);
    lab.reads(slow, true);
    lab.flush();
    assert!(lab.heard(slow).octets < SEND_QUEUE_HIGH + (1 << 17), "{}", lab.heard(slow).octets);
    lab.settle();
    assert_eq!(lab.heard(slow).routes.len(), 3000);
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
fn a_list_goes_on_where_it_stopped_while_the_table_changes() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.announces_paths(a, &many(100), &path("64496"));
    lab.announces_paths(b, &many(100), &path("64497"));
    let mut query = RouteQuery { table: Table::AdjIn, limit: 15, scan_limit: 1000, ..RouteQuery::default() };
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let page = lab.routes(query.clone());
        assert!(page.rows.len() <= 16, "a prefix is never cut in two");
        seen.extend(page.rows.iter().map(|row| (row.nlri.clone(), row.peer)));
        pages += 1;
        // The prefix that the cursor names goes, and one far behind it; one comes in front.
        lab.withdraws_paths(a, &[(0, p(&format!("10.0.{}.0/24", pages * 8 - 1)))]);
        lab.withdraws_paths(b, &[(0, p(&format!("10.0.{}.0/24", pages * 8 - 1)))]);
        lab.announces(a, &format!("9.{pages}.0.0/16"), path("64496"));
        let Some(next) = page.next else { break };
        query.cursor = Some(next);
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), seen.len(), "nothing twice");
    assert_eq!(seen, sorted, "in order");
    assert_eq!(seen.len(), 200, "all that was there all the time, and what was there when its page was read");
}

#[test]
fn a_page_stops_after_so_many_prefixes_even_if_none_matches() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    lab.announces_paths(a, &many(100), &path("64496 64500"));
    lab.announces(a, "203.0.113.0/24", path("64496 64501"));
    let mut query = RouteQuery { origin: Some(Asn(64501)), limit: 10, scan_limit: 40, ..RouteQuery::default() };
    let mut pages = Vec::new();
    loop {
        let page = lab.routes(query.clone());
        pages.push(page.rows.len());
        let Some(next) = page.next else { break };
        query.cursor = Some(next);
    }
    assert_eq!(pages, [0, 0, 1]);
}

#[test]
fn relations_between_prefixes() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496).families(&[V4, V6]));
    lab.announces_all(a, &["10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.2.0.0/16"], path("64496"));
    lab.announces(a, "10.1.1.128/25", path("64496 64512")); // stored, not eligible
    lab.announces(a, "2001:db8::/32", path("64496").via("2001:db8::1"));
    let cases: &[(PrefixMatch, Table, &[&str])] = &[
        (PrefixMatch::Exact(p("10.1.0.0/16")), Table::Loc, &["10.1.0.0/16"]),
        (PrefixMatch::Exact(p("10.3.0.0/16")), Table::Loc, &[]),
        (PrefixMatch::Longest(p("10.1.1.7/32")), Table::Loc, &["10.1.1.0/24"]),
        (PrefixMatch::Longest(p("10.1.1.129/32")), Table::Loc, &["10.1.1.0/24"]), // the /25 is not in the Loc-RIB
        (PrefixMatch::Longest(p("10.1.1.129/32")), Table::AdjIn, &["10.1.1.128/25"]),
        (PrefixMatch::Longest(p("11.0.0.0/32")), Table::Loc, &[]),
        (PrefixMatch::Longer(p("10.1.0.0/16")), Table::Loc, &["10.1.0.0/16", "10.1.1.0/24"]),
        (PrefixMatch::Shorter(p("10.1.1.0/24")), Table::Loc, &["10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24"]),
        (PrefixMatch::Longer(p("::/0")), Table::Loc, &["2001:db8::/32"]),
    ];
    for (relation, table, expected) in cases {
        let query =
            RouteQuery { table: *table, prefix: Some(*relation), limit: 9, scan_limit: 99, ..RouteQuery::default() };
        let page = lab.routes(query);
        let found: Vec<String> = page
            .rows
            .iter()
            .map(|row| match &row.nlri {
                ribwatch::view::Nlri::Prefix(prefix) => prefix.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(&found, expected, "{relation:?} in {table:?}");
    }
}

#[test]
fn events_are_numbered_without_a_hole_once_somebody_listens() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.announces(a, "203.0.113.0/24", path("64496 64500"));
    lab.settle();
    assert!(lab.events.is_empty(), "nobody listens");
    let before = lab.summary().seq;
    assert_eq!(before, 2, "changes are numbered all the same: the path, and the best route");

    lab.handle(Input::EventsWanted(true));
    lab.announces_paths(b, &many(50), &path("64497 64500"));
    lab.announces(b, "203.0.113.0/24", path("64497"));
    lab.announces(b, "203.0.113.0/24", path("64497")); // the same again is no change
    lab.settle();
    lab.down(b);
    lab.settle();
    let events: Vec<_> = lab.events.iter().flat_map(|batch| &batch.events).collect();
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (before + 1..=lab.summary().seq).collect::<Vec<_>>());
    assert_eq!(events.len(), 2 * (51 + 51), "each path and each best route, there and gone");

    let of_prefix = |table| {
        let prefix = ribwatch::view::Nlri::Prefix(p("203.0.113.0/24"));
        events.iter().filter(move |e| e.table == table && e.row.nlri == prefix).copied().collect::<Vec<_>>()
    };
    let loc = of_prefix(Table::Loc);
    assert_eq!(
        loc.iter().map(|e| (e.row.peer, e.withdrawn, e.replaced)).collect::<Vec<_>>(),
        [
            (Some(lab.id(b)), false, true), // the shorter path takes over
            (Some(lab.id(a)), false, true), // and gives way
        ]
    );
    let batch = lab.events.iter().find(|batch| batch.events.iter().any(|e| e.seq == loc[0].seq)).unwrap();
    assert_eq!(batch.attrs(loc[0]).as_path().to_string(), "64497");
    let adj_in = of_prefix(Table::AdjIn);
    assert_eq!(adj_in.iter().map(|e| (e.withdrawn, e.replaced)).collect::<Vec<_>>(), [(false, false), (true, true)]);
    assert!(adj_in[1].row.attrs.is_empty());
}

#[test]
fn a_local_route_wins_is_advertised_and_can_be_taken_back() {
    let mut lab = Lab::new();
    let (a, i) = (lab.peer(external(64496)), lab.peer(internal()));
    lab.announces(a, "203.0.113.0/24", path("64496"));
    assert!(matches!(lab.originates("203.0.113.0/24", &path("").med(5)), Ok(Answer::Done(true))));
    lab.settle();
    assert_eq!(lab.best("203.0.113.0/24"), Some(None));
    let outside = lab.told(a, "203.0.113.0/24").unwrap();
    assert_eq!(outside.as_path().to_string(), "64512");
    assert_eq!(outside.med(), Some(5), "our own MED goes to the neighbouring AS (RFC 4271 §5.1.4)");
    assert_eq!(outside.next_hop().unwrap().global.to_string(), "192.0.2.254");
    assert_eq!(lab.told(i, "203.0.113.0/24").unwrap().next_hop().unwrap().global.to_string(), "192.0.2.254");

    let take_back = Query::Withdraw { family: V4, prefix: p("203.0.113.0/24") };
    assert!(matches!(lab.ask(&take_back), Ok(Answer::Done(true))));
    assert!(matches!(lab.ask(&take_back), Ok(Answer::Done(false))));
    lab.settle();
    assert_eq!(lab.best("203.0.113.0/24"), Some(Some(lab.id(a))));
    assert!(lab.told(a, "203.0.113.0/24").is_none());
}

#[test]
fn commands_that_make_no_sense_are_refused_with_a_sentence() {
    let mut lab = Lab::new();
    let route = |family, attrs: &[u8]| {
        Query::Originate(ribwatch::view::LocalRoute { prefix: p("203.0.113.0/24"), family, attrs: attrs.to_vec() })
    };
    let queries = [
        route(V6, &[]),
        route(Family::EVPN, &[]),
        route(V4, &[0x40, 1, 9]),
        route(V4, &[0x40, 1, 1, 7]),
        Query::Withdraw { family: V6, prefix: p("203.0.113.0/24") },
        Query::Explain { family: V6, prefix: p("203.0.113.0/24") },
        Query::Routes(RouteQuery { table: Table::AdjOut, ..RouteQuery::default() }),
    ];
    for query in queries {
        assert!(matches!(lab.ask(&query), Err(Refusal::Invalid(text)) if !text.is_empty()), "{query:?}");
    }
}

#[test]
fn every_candidate_is_explained() {
    let mut lab = Lab::new();
    let (a, b, c) = (lab.peer(external(64496)), lab.peer(external(64497)), lab.peer(internal()));
    let rejected = lab.peer(external(64498).import(&["reject-all"]));
    lab.announces(a, "203.0.113.0/24", path("64496 64500"));
    lab.announces(b, "203.0.113.0/24", path("64497 64499 64500"));
    lab.announces(c, "203.0.113.0/24", path("64500").local_pref(50));
    lab.announces(rejected, "203.0.113.0/24", path("64498"));
    let Ok(Answer::Explanation(why)) = lab.ask(&Query::Explain { family: V4, prefix: p("203.0.113.0/24") }) else {
        panic!("no explanation")
    };
    let lost = |lost: &Lost| (lost.why, lost.value.clone().unwrap(), lost.against.clone().unwrap(), lost.to);
    let told: Vec<_> = why
        .candidates
        .iter()
        .map(|one| (why.page.rows[one.row].peer.unwrap(), one.lost.as_ref().map(lost), one.ineligible.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (lab.id(a), None, None),
            (lab.id(b), Some(("longer AS_PATH", "3".into(), "2".into(), 0)), None),
            (lab.id(c), Some(("lower LOCAL_PREF", "50".into(), "100".into(), 0)), None),
            (lab.id(rejected), None, Some("rejected on import by reject-all")),
        ]
    );
    assert!(why.page.rows[why.candidates[0].row].best);
}

#[test]
fn families_without_plain_prefixes_are_stored_and_relayed_with_their_labels() {
    let mut lab = Lab::new();
    let (a, b) =
        (lab.peer(external(64496).families(&[Family::VPNV4])), lab.peer(external(64497).families(&[Family::VPNV4])));
    let attrs = path("64496").octets(Family::VPNV4, "192.0.2.1".parse().unwrap());
    let key: &[u8] = &[88, 0, 0, 0xfd, 0xe8, 0, 0, 0, 1, 203, 0, 113];
    let mut batch = UpdateBatch::new();
    let attrs = ribwatch::wire::bgp::attribute::AttrSet::new(&attrs);
    batch.push_opaque(ItemKind::Announce, Family::VPNV4, attrs, (0, key, &[0, 1, 0x01]));
    lab.apply(a, &batch);
    lab.settle();
    let sent = lab.heard(b).octets;
    assert_eq!(lab.table(Table::AdjOut, Some(b)).rows[0].labels.as_ref(), [0, 1, 0x01]);

    let mut batch = UpdateBatch::new();
    batch.push_opaque(ItemKind::Announce, Family::VPNV4, attrs, (0, key, &[0, 2, 0x01]));
    lab.apply(a, &batch);
    lab.settle();
    assert!(lab.heard(b).octets > sent, "another label is news though the attributes are the same");
    assert_eq!(lab.table(Table::AdjOut, Some(b)).rows[0].labels.as_ref(), [0, 2, 0x01]);
}

#[test]
fn a_route_that_fits_no_message_is_withheld_and_the_log_says_so_once() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.announces(a, "203.0.113.0/24", path("64496"));
    lab.settle();
    let huge = || path("64496").raw(0xc0, 200, &[7; 4060]);
    lab.announces_all(a, &["203.0.113.0/24", "198.51.100.0/24"], huge());
    lab.settle();
    assert!(lab.told_prefixes(b).is_empty(), "and what had been sent before is withdrawn");
    let about_b: Vec<_> = lab.warnings.iter().filter(|(peer, _)| *peer == lab.id(b)).collect();
    assert_eq!(about_b.len(), 1, "{about_b:?}");
    let counts = lab.summary().neighbors;
    assert_eq!(counts.iter().find(|(peer, _)| *peer == lab.id(b)).unwrap().1[0].withheld, 2);
    assert!(lab.table(Table::AdjOut, Some(b)).rows.is_empty());
}

#[test]
fn attributes_on_their_way_out() {
    struct Case {
        why: &'static str,
        from: crate::lab::Spec,
        to: crate::lab::Spec,
        route: crate::lab::Attrs,
        expect: fn(Option<ribwatch::wire::bgp::attribute::AttrSet<'_>>),
    }
    let case = |why, from, to, route, expect| Case { why, from, to, route, expect };
    let cases = [
        case(
            "EBGP: own AS in front (§5.1.2), next hop self (§5.1.3)",
            external(64496),
            external(64497),
            path("64496 64500"),
            |told| {
                let told = told.unwrap();
                assert_eq!(told.as_path().to_string(), "64512 64496 64500");
                assert_eq!(told.next_hop().unwrap().global.to_string(), "192.0.2.254");
            },
        ),
        case(
            "IBGP: path and next hop as they came, LOCAL_PREF given (§5.1.5)",
            external(64496),
            internal(),
            path("64496 64500"),
            |told| {
                let told = told.unwrap();
                assert_eq!(told.as_path().to_string(), "64496 64500");
                assert_eq!(told.next_hop().unwrap().global.to_string(), "192.0.2.1");
                assert_eq!(told.local_pref(), Some(100));
            },
        ),
        case("IBGP with next-hop-self", external(64496), internal().next_hop_self(), path("64496"), |told| {
            assert_eq!(told.unwrap().next_hop().unwrap().global.to_string(), "192.0.2.254");
        }),
        case("IBGP to IBGP: not at all (§9.2)", internal(), internal(), path("64500"), |told| assert!(told.is_none())),
        case(
            "IBGP to EBGP: LOCAL_PREF stays inside (§5.1.5)",
            internal(),
            external(64497),
            path("64500").local_pref(200),
            |told| {
                assert_eq!(told.unwrap().local_pref(), None);
            },
        ),
        case("MED of another AS stays here (§5.1.4)", external(64496), external(64497), path("64496").med(7), |told| {
            assert_eq!(told.unwrap().med(), None);
        }),
        case("MED is passed on inside (§5.1.4)", external(64496), internal(), path("64496").med(7), |told| {
            assert_eq!(told.unwrap().med(), Some(7));
        }),
        case("MED of our own AS goes out (§5.1.4)", internal(), external(64497), path("").med(7), |told| {
            assert_eq!(told.unwrap().med(), Some(7));
        }),
        case(
            "ORIGINATOR_ID and CLUSTER_LIST stay inside (RFC 4456 §8)",
            internal(),
            external(64497),
            path("64500").originator(9).clusters(&[8]),
            |told| {
                let told = told.unwrap();
                assert_eq!((told.originator_id(), told.cluster_list().count()), (None, 0));
            },
        ),
        case(
            "unknown transitive: Partial is set (§5)",
            external(64496),
            external(64497),
            path("64496").raw(0xc0, 200, &[1, 2]),
            |told| {
                let (flags, _, value) = told.unwrap().iter().find(|(_, code, _)| *code == 200).unwrap();
                assert_eq!((flags, value), (0xe0, &[1, 2][..]));
            },
        ),
        case(
            "unknown, not transitive: dropped (§5)",
            external(64496),
            external(64497),
            path("64496").raw(0x80, 201, &[1]),
            |told| {
                assert!(told.unwrap().get(201).is_none());
            },
        ),
        case(
            "NO_EXPORT: not to another AS (RFC 1997)",
            external(64496),
            external(64497),
            path("64496").community(Community::NO_EXPORT),
            |told| {
                assert!(told.is_none());
            },
        ),
        case(
            "NO_EXPORT: inside it goes on",
            external(64496),
            internal(),
            path("64496").community(Community::NO_EXPORT),
            |told| {
                assert_eq!(told.unwrap().communities().count(), 1);
            },
        ),
        case(
            "NO_EXPORT_SUBCONFED",
            external(64496),
            external(64497),
            path("64496").community(Community::NO_EXPORT_SUBCONFED),
            |told| {
                assert!(told.is_none());
            },
        ),
        case(
            "NO_ADVERTISE: to nobody",
            external(64496),
            internal(),
            path("64496").community(Community::NO_ADVERTISE),
            |told| {
                assert!(told.is_none());
            },
        ),
        case(
            "extended communities: transitive ones go out (RFC 4360 §6)",
            internal(),
            external(64497),
            path("64500").raw(0xc0, code::EXT_COMMUNITIES, &[0, 2, 0, 1, 0, 0, 0, 1, 0x40, 4, 0, 1, 0, 0, 0, 2]),
            |told| {
                assert_eq!(told.unwrap().get(code::EXT_COMMUNITIES).unwrap(), [0, 2, 0, 1, 0, 0, 0, 1]);
            },
        ),
        case(
            "a two-octet neighbour reads the same path (RFC 6793 §4.2.2)",
            external(64496),
            external(64497).two_octet_as(),
            path("64496 65536 64500"),
            |told| {
                assert_eq!(told.unwrap().as_path().to_string(), "64512 64496 65536 64500");
            },
        ),
    ];
    for Case { why, from, to, route, expect } in cases {
        let mut lab = Lab::new();
        let (a, b) = (lab.peer(from), lab.peer(to));
        lab.announces(a, "203.0.113.0/24", route);
        lab.settle();
        println!("{why}");
        expect(lab.told(b, "203.0.113.0/24"));
    }
}

#[test]
fn next_hops_of_the_other_address_family() {
    let prefix = |family: Family| if family == V4 { "203.0.113.0/24" } else { "2001:db8:1::/48" };
    let via = |family: Family| if family == V4 { "192.0.2.1" } else { "2001:db8::1" };
    // Transport of the session to b, family of the route, next hop that b sees.
    let cases = [
        (external(64497), V4, Some("192.0.2.254")),
        (external(64497), V6, None), // no IPv6 address of ours is known: withheld
        (external(64497).over_ipv6(), V6, Some("2001:db8::fe")),
        (external(64497).over_ipv6(), V4, None),
        (external(64497).over_ipv6().extended_next_hop(), V4, Some("2001:db8::fe")), // RFC 8950
        (internal(), V6, Some("2001:db8::1")), // kept, whatever carries the session
    ];
    for (to, family, expected) in cases {
        let mut lab = Lab::new();
        let a = lab.peer(external(64496).families(&[V4, V6]));
        let b = lab.peer(to.families(&[V4, V6]));
        lab.announces(a, prefix(family), path("64496").via(via(family)));
        lab.settle();
        let told = lab.told(b, prefix(family)).map(|set| set.next_hop().unwrap().global.to_string());
        assert_eq!(told.as_deref(), expected, "{family}");
        assert_eq!(lab.warnings.iter().any(|(peer, _)| *peer == lab.id(b)), expected.is_none());
    }
}

#[test]
fn routes_with_the_same_attributes_share_messages() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.settle();
    lab.announces_paths(a, &many(160), &path("64496"));
    lab.settle();
    assert_eq!(lab.heard(b).messages, 1 + 10, "End-of-RIB, and one message for each page of 16");
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
