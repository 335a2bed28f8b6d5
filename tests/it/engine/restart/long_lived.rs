//! Behind the restart time (RFC 9494).

use ribwatch::{
    types::Family,
    wire::bgp::{
        capability::{Capability, LlgrFamily},
        community::Community,
    },
};

use super::{V4, counts_of, lives_long, next, paths, restarts, secs};
use crate::lab::{Lab, Who, external, many, path};

/// A neighbour that is lost for longer than its restart time; its stale time is 1000 s.
fn long_absent(n: u32) -> (Lab, Who) {
    let mut lab = Lab::new();
    let a = lab.peer(lives_long(64496, 1000));
    lab.announces_paths(a, &many(n), &path("64496"));
    lab.ends_rib(a, V4);
    lab.settle();
    lab.lost(a);
    lab.advance(secs(120));
    (lab, a)
}

#[test]
fn long_lived_stale_routes_lose_to_every_other() {
    let (mut lab, a) = long_absent(10);
    let b = lab.peer(external(64497));
    lab.announces(b, "10.0.0.0/24", path("64497 64501 64502 64503 64496"));
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (10, 10));
    assert_eq!(lab.best("10.0.0.0/24"), Some(Some(lab.id(b))), "RFC 9494 §4.4");
    assert_eq!(lab.best("10.0.1.0/24"), Some(Some(lab.id(a))), "a last resort");
}

#[test]
fn who_told_that_it_knows_long_lived_stale_routes_is_told_them_and_nobody_else() {
    let mut lab = Lab::new();
    let a = lab.peer(lives_long(64496, 1000));
    let says = |asn, restart: bool, list: Option<Vec<LlgrFamily>>| {
        let mut spec = if restart { restarts(asn, &[V4]) } else { external(asn) };
        spec.negotiated.remote_capabilities.extend(list.map(Capability::LongLivedGracefulRestart));
        spec
    };
    let of = |family| LlgrFamily { family, forwarding_preserved: false, stale_time_secs: 9 };
    // (its OPEN, whether it is told)
    let rows = [
        (says(64497, true, Some(vec![of(V4)])), true),
        (says(64498, true, Some(Vec::new())), true), // RFC 9494 §4.3 asks for the capability, not for the family
        (says(64499, true, Some(vec![of(Family::IPV6_UNICAST)])), true),
        (says(64500, true, None), false),
        (says(64501, false, Some(vec![of(V4)])), false), // §4.5: nothing without graceful restart
    ];
    let rows = rows.map(|(spec, told)| (lab.peer(spec), told));
    lab.announces(a, "203.0.113.0/24", path("64496"));
    lab.ends_rib(a, V4);
    lab.settle();
    assert!(rows.iter().all(|(who, _)| lab.told(*who, "203.0.113.0/24").is_some()), "fresh routes are for everybody");
    lab.lost(a);
    lab.advance(secs(120));
    lab.settle();
    for (at, (who, told)) in rows.into_iter().enumerate() {
        let got = lab.told(who, "203.0.113.0/24");
        assert_eq!(got.is_some(), told, "row {at}: RFC 9494 §4.3: withdrawn from who does not know");
        let marked = got.is_none_or(|set| set.communities().any(|one| one == Community::LLGR_STALE));
        assert!(marked, "row {at}: RFC 9494 §4.2");
    }
}

#[test]
fn they_go_when_their_time_is_over_or_ours() {
    for (ours, time) in [(86_400, 1000), (300, 300)] {
        let mut lab = Lab::new();
        let mut spec = lives_long(64496, 1000);
        spec.settings.retention.long_lived_max = secs(ours);
        let a = lab.peer(spec);
        lab.announces_paths(a, &many(10), &path("64496"));
        lab.lost(a);
        lab.advance(secs(120));
        lab.advance(secs(time - 1));
        assert_eq!((counts_of(&mut lab, a), next(&lab)), ((10, 10), Some(secs(1))));
        lab.advance(secs(1));
        assert_eq!((paths(&lab), next(&lab)), (0, None));
    }
}

#[test]
fn routes_with_no_llgr_are_kept_for_the_restart_time_only() {
    let mut lab = Lab::new();
    let a = lab.peer(lives_long(64496, 1000));
    lab.announces_paths(a, &many(10), &path("64496"));
    lab.announces_paths(a, &many(4), &path("64496").community(Community::NO_LLGR));
    lab.lost(a);
    lab.advance(secs(119));
    assert_eq!(counts_of(&mut lab, a), (10, 10));
    lab.advance(secs(1));
    assert_eq!(counts_of(&mut lab, a), (6, 6), "RFC 9494 §4.2");
}

#[test]
fn without_a_restart_time_it_begins_with_the_loss() {
    let mut lab = Lab::new();
    let mut spec = lives_long(64496, 1000);
    spec.negotiated.graceful_restart.as_mut().unwrap().families.clear();
    let (a, b) = (lab.peer(spec), lab.peer(external(64497)));
    lab.announces_paths(a, &many(10), &path("64496"));
    lab.announces_paths(b, &many(10), &path("64497 64501 64496"));
    lab.lost(a);
    lab.settle();
    assert_eq!(lab.best("10.0.0.0/24"), Some(Some(lab.id(b))), "RFC 9494 §4.2: the restart time is deemed zero");
    assert_eq!((counts_of(&mut lab, a), next(&lab)), ((10, 10), Some(secs(1000))));
}

#[test]
fn a_neighbour_that_returns_makes_them_fresh_until_end_of_rib() {
    let (mut lab, a) = long_absent(10);
    let b = lab.peer(external(64497));
    lab.announces_paths(b, &many(10), &path("64497 64501 64496"));
    lab.settle();
    lab.up(a);
    lab.announces_paths(a, &many(4), &path("64496"));
    lab.settle();
    assert_eq!(lab.best("10.0.0.0/24"), Some(Some(lab.id(a))), "fresh again, the shorter path wins");
    assert_eq!(lab.best("10.0.9.0/24"), Some(Some(lab.id(b))));
    assert_eq!(counts_of(&mut lab, a), (10, 6));
    lab.ends_rib(a, V4);
    lab.settle();
    assert_eq!((counts_of(&mut lab, a), next(&lab)), ((4, 0), None));
}

#[test]
fn the_f_bit_that_counts_is_that_of_the_long_lived_capability() {
    for preserved in [true, false] {
        let (mut lab, a) = long_absent(10);
        lab.agrees(a, |negotiated| {
            negotiated.graceful_restart.as_mut().unwrap().families.clear();
            negotiated.long_lived.as_mut().unwrap()[0].forwarding_preserved = preserved;
        });
        lab.up(a);
        lab.settle();
        assert_eq!(counts_of(&mut lab, a).0, if preserved { 10 } else { 0 }, "RFC 9494 §4.2");
    }
}

#[test]
fn a_second_loss_neither_deletes_them_nor_gives_them_more_time() {
    let (mut lab, a) = long_absent(10);
    lab.advance(secs(400));
    lab.up(a);
    lab.announces_paths(a, &many(3), &path("64496"));
    lab.settle();
    lab.lost(a);
    lab.settle();
    assert_eq!(counts_of(&mut lab, a), (10, 10), "RFC 9494 §4.2: consecutive restarts");
    lab.advance(secs(120)); // the three are long-lived stale now too
    assert_eq!((counts_of(&mut lab, a), next(&lab)), ((10, 10), Some(secs(480))));
    lab.advance(secs(480));
    assert_eq!(paths(&lab), 0);
}

#[test]
fn time_that_runs_out_during_the_return_takes_the_rest_and_the_next_loss_takes_all() {
    let (mut lab, a) = long_absent(10);
    lab.advance(secs(990));
    lab.up(a);
    lab.announces_paths(a, &many(3), &path("64496"));
    lab.advance(secs(9));
    assert_eq!(counts_of(&mut lab, a), (10, 7));
    lab.advance(secs(1));
    assert_eq!(counts_of(&mut lab, a), (3, 0), "RFC 9494 §4.2: what was not refreshed");
    lab.lost(a);
    lab.settle();
    assert_eq!(paths(&lab), 0, "RFC 9494 §4.2: reset prior to becoming synchronized");
}

#[test]
fn after_end_of_rib_a_loss_is_a_first_one_again() {
    let (mut lab, a) = long_absent(10);
    lab.up(a);
    lab.announces_paths(a, &many(10), &path("64496"));
    lab.ends_rib(a, V4);
    lab.settle();
    lab.lost(a);
    lab.advance(secs(119));
    assert_eq!(counts_of(&mut lab, a), (10, 10));
    lab.advance(secs(1));
    assert_eq!(next(&lab), Some(secs(1000)));
}

#[test]
fn a_route_that_arrives_marked_is_least_preferred_where_the_capability_was_agreed() {
    for (spec, wins) in [(lives_long(64496, 1000), false), (restarts(64496, &[V4]), true)] {
        let mut lab = Lab::new();
        let (a, b) = (lab.peer(spec), lab.peer(external(64497)));
        lab.announces(a, "203.0.113.0/24", path("64496").community(Community::LLGR_STALE));
        lab.announces(b, "203.0.113.0/24", path("64497 64501 64496"));
        lab.settle();
        assert_eq!(lab.best("203.0.113.0/24"), Some(Some(lab.id(if wins { a } else { b }))), "RFC 9494 §4.3");
        assert_eq!(counts_of(&mut lab, a), (1, 0), "it is not of our keeping, and no End-of-RIB removes it");
    }
}
