//! Our own restart (RFC 4724 §4.1).

use ribwatch::engine::Input;

use super::{V4, V6, next, restarts, secs};
use crate::lab::{Lab, Spec, external, many, path};

/// A router that restarted: it waits for these neighbours, the first of which have these addresses.
fn restarted(neighbours: u8) -> Lab {
    let mut lab = Lab::new();
    let expected = (1..=neighbours).map(|last| std::net::IpAddr::from([192, 0, 2, last])).collect();
    let until = lab.now + secs(120);
    lab.handle(Input::Restarted { expected, until });
    lab
}

fn restarted_too(asn: u32) -> Spec {
    let mut spec = restarts(asn, &[V4]);
    spec.negotiated.graceful_restart.as_mut().unwrap().restarting = true;
    spec
}

#[test]
fn nothing_is_sent_before_end_of_rib_from_everybody_then_all_and_end_of_rib_behind_it() {
    let mut lab = restarted(2);
    let a = lab.peer(restarts(64496, &[V4]));
    lab.announces_paths(a, &many(50), &path("64496"));
    lab.ends_rib(a, V4);
    lab.settle();
    assert_eq!(lab.heard(a).messages, 0, "the other one is not up yet");
    let b = lab.peer(restarts(64497, &[V4]));
    lab.announces_paths(b, &many(80), &path("64497 64500"));
    lab.settle();
    assert_eq!(lab.heard(b).messages, 0, "not even End-of-RIB: b would forget what it keeps for us");
    assert_eq!(lab.best("10.0.60.0/24"), Some(Some(lab.id(b))), "readers may look");
    lab.ends_rib(b, V4);
    lab.settle();
    assert_eq!((lab.heard(b).routes.len(), lab.heard(b).end_of_rib.as_slice()), (50, &[(V4, 50)][..]));
    assert_eq!((lab.heard(a).routes.len(), lab.heard(a).end_of_rib.as_slice()), (30, &[(V4, 30)][..]));
    assert_eq!(next(&lab), None);
}

#[test]
fn each_family_is_released_for_itself() {
    let mut lab = restarted(1);
    let a = lab.peer(restarts(64496, &[V4, V6]).families(&[V4, V6]));
    lab.ends_rib(a, V6);
    lab.settle();
    assert_eq!(lab.heard(a).end_of_rib, [(V6, 0)]);
    lab.ends_rib(a, V4);
    lab.settle();
    assert_eq!(lab.heard(a).end_of_rib, [(V6, 0), (V4, 0)]);
}

#[test]
fn the_wait_is_bounded() {
    let mut lab = restarted(2);
    let a = lab.peer(restarts(64496, &[V4]));
    lab.advance(secs(119));
    assert_eq!((lab.heard(a).messages, next(&lab)), (0, Some(secs(1))));
    lab.advance(secs(1));
    assert_eq!((lab.heard(a).end_of_rib.as_slice(), next(&lab)), (&[(V4, 0)][..], None), "Selection_Deferral_Timer");
}

#[test]
fn those_that_restarted_too_or_send_no_end_of_rib_are_not_waited_for() {
    // RFC 4724 §3: without the R bit two of them would wait for each other.
    for spec in [restarted_too(64496), external(64496)] {
        let mut lab = restarted(1);
        let a = lab.peer(spec);
        lab.settle();
        assert_eq!(lab.heard(a).end_of_rib, [(V4, 0)]);
    }
}

#[test]
fn who_comes_up_and_goes_again_is_not_waited_for() {
    let mut lab = restarted(2);
    let (a, b) = (lab.peer(restarts(64496, &[V4])), lab.peer(restarts(64497, &[V4])));
    lab.ends_rib(a, V4);
    lab.lost(b);
    lab.settle();
    assert_eq!(lab.heard(a).end_of_rib, [(V4, 0)]);
}

#[test]
fn a_session_that_comes_up_later_is_served_at_once() {
    let mut lab = restarted(1);
    let a = lab.peer(restarts(64496, &[V4]));
    lab.announces_paths(a, &many(5), &path("64496"));
    lab.ends_rib(a, V4);
    lab.settle();
    let late = lab.peer(restarts(64497, &[V4]));
    lab.settle();
    assert_eq!(lab.heard(late).end_of_rib, [(V4, 5)]);
}
