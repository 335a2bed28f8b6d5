//! Sessions that end and return, refreshes and End-of-RIB (RFC 4724, RFC 7313).

use std::time::Duration;

use ribwatch::wire::bgp::RefreshSubtype;

use super::{V4, V6, paths};
use crate::lab::{Lab, Who, external, many, path};

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
