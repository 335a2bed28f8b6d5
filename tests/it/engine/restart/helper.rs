//! A neighbour restarts and we help (RFC 4724 §4.2).

use ribwatch::{engine::Input, view::Table, wire::bgp::RefreshSubtype};

use super::{V4, V6, counts_of, next, paths, restarts, routes_of, secs};
use crate::lab::{Lab, Who, external, many, path};

/// A neighbour with `n` routes of two ASes that restarts, and one that listens.
fn with_routes(n: u32) -> (Lab, Who, Who) {
    let mut lab = Lab::new();
    let (a, c) = (lab.peer(restarts(64496, &[V4])), lab.peer(external(64498)));
    lab.announces_paths(a, &many(n), &path("64496 64500"));
    lab.ends_rib(a, V4);
    lab.settle();
    (lab, a, c)
}

#[test]
fn routes_of_a_lost_neighbour_are_stale_and_used_as_before() {
    let (mut lab, a, c) = with_routes(100);
    let messages = lab.heard(c).messages;
    let worse = lab.peer(external(64499));
    lab.announces_paths(worse, &many(100), &path("64499 64501 64500"));
    lab.lost(a);
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (100, 100));
    assert_eq!(lab.best("10.0.0.0/24"), Some(Some(lab.id(a))), "no difference is made between stale and others");
    assert_eq!(lab.heard(c).messages, messages, "and nobody else is told");
    let counts = lab.summary().neighbors.iter().find(|(peer, _)| *peer == lab.id(a)).unwrap().1[0];
    assert_eq!((counts.received, counts.accepted, counts.advertised), (100, 100, 0));
}

#[test]
fn a_neighbour_that_returns_with_the_same_routes_was_never_away_for_others() {
    let (mut lab, a, c) = with_routes(100);
    let messages = lab.heard(c).messages;
    lab.lost(a);
    lab.advance(secs(100));
    lab.up(a);
    lab.announces_paths(a, &many(100), &path("64496 64500"));
    lab.ends_rib(a, V4);
    lab.advance(secs(10_000));
    assert_eq!(counts_of(&mut lab, a), (100, 0));
    assert_eq!(lab.heard(c).messages, messages, "RFC 4724 §1: no routing flap");
    assert_eq!((lab.heard(a).end_of_rib.as_slice(), lab.heard(a).routes.len()), (&[(V4, 0)][..], 0));
    assert_eq!(next(&lab), None, "nothing is kept any more");
    let ages: Vec<u64> =
        lab.table(Table::AdjIn, Some(a)).rows.iter().map(|row| lab.now.since(row.received_at).as_secs()).collect();
    assert!(ages.iter().all(|age| *age == 10_100), "a route sent again unchanged is as old as it was");
}

#[test]
fn end_of_rib_removes_what_was_not_sent_again_and_others_hear_just_the_difference() {
    let (mut lab, a, c) = with_routes(100);
    lab.lost(a);
    lab.settle();
    lab.up(a);
    lab.announces_paths(a, &many(60), &path("64496 64500"));
    lab.announces_paths(a, &many(10), &path("64496 64502"));
    lab.withdraws(a, "10.0.50.0/24");
    lab.announces(a, "203.0.113.0/24", path("64496"));
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (100, 40), "new ones replace stale ones, a withdrawal takes one out");
    lab.ends_rib(a, V4);
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (60, 0));
    assert_eq!(lab.heard(c).routes.len(), 60);
    assert_eq!(lab.told(c, "10.0.9.0/24").unwrap().as_path().to_string(), "64512 64496 64502");
    assert_eq!((lab.heard(c).repeated, lab.heard(c).unfounded.len()), (0, 0));
}

#[test]
fn a_neighbour_that_does_not_return_loses_its_routes_after_its_restart_time_or_ours() {
    for (limit, time) in [(360, 120), (50, 50)] {
        let mut lab = Lab::new();
        let mut spec = restarts(64496, &[V4]);
        spec.settings.retention.stale_time_max = secs(limit);
        let (a, c) = (lab.peer(spec), lab.peer(external(64498)));
        lab.announces_paths(a, &many(100), &path("64496"));
        lab.settle();
        lab.lost(a);
        lab.advance(secs(time - 1));
        assert_eq!((lab.heard(c).routes.len(), next(&lab)), (100, Some(secs(1))));
        lab.advance(secs(1));
        assert_eq!((lab.heard(c).routes.len(), paths(&lab), next(&lab)), (0, 0, None));
        assert_eq!(lab.summary().neighbors.len(), 1, "and the session is forgotten");
        lab.up(a);
        lab.announces_paths(a, &many(5), &path("64496"));
        lab.settle();
        assert_eq!((counts_of(&mut lab, a), lab.heard(c).routes.len()), ((5, 0), 5), "later it starts from nothing");
    }
}

#[test]
fn families_outside_the_capability_go_with_the_session() {
    // Also gobgp#2596: a family of the session that the capability does not list.
    let mut lab = Lab::new();
    let a = lab.peer(restarts(64496, &[V4]).families(&[V4, V6]));
    lab.announces_paths(a, &many(10), &path("64496"));
    lab.announces_all(a, &["2001:db8:1::/48", "2001:db8:2::/48"], path("64496"));
    lab.settle();
    lab.lost(a);
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (10, 10));
    lab.up(a);
    lab.announces(a, "2001:db8:2::/48", path("64496"));
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (11, 10));
}

#[test]
fn who_did_not_ask_for_it_or_is_not_helped_keeps_nothing() {
    let none = external(64496); // gobgp#2430: no capability
    let mut without_families = restarts(64496, &[]);
    without_families.settings.retention.helper = true;
    let mut not_helped = restarts(64496, &[V4]);
    not_helped.settings.retention.helper = false;
    let mut no_time = restarts(64496, &[V4]);
    no_time.negotiated.graceful_restart.as_mut().unwrap().restart_time_secs = 0;
    for spec in [none, without_families, not_helped, no_time] {
        let mut lab = Lab::new();
        let a = lab.peer(spec);
        lab.announces_paths(a, &many(10), &path("64496"));
        lab.lost(a);
        lab.settle();
        assert_eq!((paths(&lab), next(&lab)), (0, None));
    }
}

#[test]
fn an_end_that_is_meant_keeps_nothing_also_later() {
    let (mut lab, a, c) = with_routes(20);
    lab.down(a);
    lab.settle();
    assert_eq!((paths(&lab), lab.heard(c).routes.len()), (0, 0));

    let (mut lab, a, c) = with_routes(20);
    lab.lost(a);
    lab.settle();
    lab.down(a); // the operator disables it while it is away
    lab.settle();
    assert_eq!((paths(&lab), lab.heard(c).routes.len(), next(&lab)), (0, 0, None));
}

#[test]
fn a_session_that_the_prefix_limit_ends_keeps_nothing_however_it_ends() {
    let mut lab = Lab::new();
    let a = lab.peer(restarts(64496, &[V4]).max_prefix(None, 10, 80));
    lab.announces_paths(a, &many(20), &path("64496"));
    assert_eq!(lab.notifications.len(), 1);
    lab.lost(a);
    lab.settle();
    assert_eq!(paths(&lab), 0);
}

#[test]
fn stale_routes_go_at_once_where_the_state_was_not_preserved() {
    let cleared = |lab: &mut Lab, a: Who| {
        lab.agrees(a, |negotiated| {
            negotiated.graceful_restart.as_mut().unwrap().families = vec![(V4, false)];
        });
    };
    let unlisted = |lab: &mut Lab, a: Who| {
        lab.agrees(a, |negotiated| negotiated.graceful_restart.as_mut().unwrap().families.clear());
    };
    let no_capability = |lab: &mut Lab, a: Who| lab.agrees(a, |negotiated| negotiated.graceful_restart = None);
    let no_family = |lab: &mut Lab, a: Who| lab.agrees(a, |negotiated| negotiated.families = vec![V6]);
    for change in [cleared, unlisted, no_capability, no_family] {
        let (mut lab, a, c) = with_routes(50);
        lab.lost(a);
        lab.settle();
        change(&mut lab, a);
        lab.up(a);
        lab.settle();
        assert_eq!((counts_of(&mut lab, a), lab.heard(c).routes.len()), ((0, 0), 0), "RFC 4724 §4.2");
        assert_eq!(next(&lab), None);
    }
}

#[test]
fn a_second_loss_deletes_what_was_stale_before_and_keeps_the_rest() {
    let (mut lab, a, _) = with_routes(100);
    lab.lost(a);
    lab.settle();
    lab.up(a);
    lab.announces_paths(a, &many(30), &path("64496 64500"));
    lab.settle();
    lab.lost(a);
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (30, 30), "RFC 4724 §4.2: possible consecutive restarts");
}

#[test]
fn the_wait_for_end_of_rib_is_bounded() {
    let (mut lab, a, _) = with_routes(100);
    lab.lost(a);
    lab.advance(secs(60));
    lab.up(a);
    lab.announces_paths(a, &many(30), &path("64496 64500"));
    lab.advance(secs(359));
    assert_eq!((counts_of(&mut lab, a), next(&lab)), ((100, 70), Some(secs(1))), "the restart time has no say now");
    lab.advance(secs(1));
    assert_eq!((counts_of(&mut lab, a), next(&lab)), ((30, 0), None));
}

#[test]
fn a_neighbour_that_is_back_before_the_marks_are_made_finds_them_made() {
    let (mut lab, a, c) = with_routes(500);
    lab.lost(a);
    lab.flush(); // some of them
    lab.up(a);
    lab.announces_paths(a, &many(200), &path("64496 64500"));
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (500, 300));
    lab.ends_rib(a, V4);
    lab.lost(a); // before the sweep has begun
    lab.up(a);
    lab.announces_paths(a, &many(100), &path("64496 64500"));
    lab.ends_rib(a, V4);
    lab.settle();
    assert_eq!((counts_of(&mut lab, a), lab.heard(c).routes.len()), ((100, 0), 100));
}

#[test]
fn another_speaker_at_the_same_address_inherits_nothing() {
    let (mut lab, a, c) = with_routes(50);
    lab.lost(a);
    lab.settle();
    lab.agrees(a, |negotiated| negotiated.peer_router_id.0 += 1000);
    lab.up(a);
    lab.settle();
    assert_eq!((counts_of(&mut lab, a), lab.heard(c).routes.len()), ((0, 0), 0));
}

#[test]
fn a_refresh_removes_omitted_routes_and_never_stale_ones() {
    // RFC 7313 §4; rustbgpd#688, gobgp#3647.
    let (mut lab, a, _) = with_routes(100);
    lab.lost(a);
    lab.settle();
    lab.up(a);
    lab.announces_paths(a, &many(60), &path("64496 64500"));
    lab.refreshes(a, RefreshSubtype::BeginOfRefresh);
    lab.announces_paths(a, &many(10), &path("64496 64500"));
    lab.refreshes(a, RefreshSubtype::EndOfRefresh);
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (100, 40), "a refresh before End-of-RIB is ignored");
    assert_eq!(lab.warnings.len(), 1, "and the log says so: {:?}", lab.warnings);
    lab.ends_rib(a, V4);
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (60, 0));
    lab.refreshes(a, RefreshSubtype::BeginOfRefresh);
    lab.announces_paths(a, &many(10), &path("64496 64500"));
    lab.refreshes(a, RefreshSubtype::EndOfRefresh);
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (10, 0));
}

#[test]
fn a_refresh_cut_short_by_the_loss_confuses_nobody() {
    let (mut lab, a, _) = with_routes(100);
    lab.refreshes(a, RefreshSubtype::BeginOfRefresh);
    lab.announces_paths(a, &many(40), &path("64496 64500"));
    lab.lost(a);
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (100, 100), "nothing was confirmed, nothing denied");
    lab.up(a);
    lab.announces_paths(a, &many(70), &path("64496 64500"));
    lab.ends_rib(a, V4);
    lab.advance(secs(10_000));
    assert_eq!(counts_of(&mut lab, a), (70, 0));
}

#[test]
fn listeners_hear_that_routes_grow_stale_and_fresh_again() {
    let (mut lab, a, _) = with_routes(10);
    lab.handle(Input::EventsWanted(true));
    lab.lost(a);
    lab.settle();
    lab.up(a);
    lab.announces_paths(a, &many(4), &path("64496 64500"));
    lab.ends_rib(a, V4);
    lab.settle();
    let told = |table, stale, withdrawn| {
        let events = lab.events.iter().flat_map(|batch| &batch.events);
        events.filter(|e| (e.table, e.row.stale, e.withdrawn) == (table, stale, withdrawn)).count()
    };
    for table in [Table::AdjIn, Table::Loc] {
        assert_eq!((told(table, true, false), told(table, false, false), told(table, true, true)), (10, 4, 6));
    }
    assert_eq!(routes_of(&mut lab, a).len(), 4);
}
