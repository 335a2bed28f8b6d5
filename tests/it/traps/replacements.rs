//! A route that takes the place of another and must not be used: the old one is gone all the same (RFC 4271 §9.1.2,
//! §3.1: an announcement replaces what was announced before). Speakers that drop the new one at the door go on
//! sending traffic where nobody wants it.

use ribwatch::{engine::Input, types::Role, view::Table};

use super::{attribute, mandatory, update};
use crate::{
    lab::{Lab, Who, external, internal, path},
    policies,
};

const PREFIX: &str = "203.0.113.0/24";
const NLRI: &[u8] = &[24, 203, 0, 113];

/// A neighbour inside and one outside; the one inside has announced the prefix, and the one outside was told.
fn told_once() -> (Lab, Who, Who) {
    let mut lab = Lab::new();
    let (inside, outside) = (lab.peer(internal()), lab.peer(external(64497)));
    lab.announces(inside, PREFIX, path("64500"));
    lab.settle();
    assert!(lab.told(outside, PREFIX).is_some());
    (lab, inside, outside)
}

#[test]
fn a_replacement_that_was_reflected_in_a_circle_takes_the_old_route_away() {
    let own = 0xc633_6401; // our BGP Identifier, and with it our cluster (RFC 4456 §7)
    for circle in [path("64501").originator(own), path("64501").originator(7).clusters(&[9, own])] {
        let (mut lab, inside, outside) = told_once();
        lab.announces(inside, PREFIX, circle);
        lab.settle();
        assert_eq!(lab.best(PREFIX), None);
        assert!(lab.told(outside, PREFIX).is_none(), "withdrawn");
        assert!(lab.heard(outside).unfounded.is_empty(), "and only once");
        assert_eq!(lab.table(Table::AdjIn, Some(inside)).rows.len(), 1, "what was said is kept, for whoever asks");
    }
}

#[test]
fn a_replacement_that_is_malformed_takes_the_old_route_away() {
    let (mut lab, inside, outside) = told_once();
    let mut attributes = mandatory(&[64501]);
    attributes[0] = attribute(0x40, 1, &[3]); // ORIGIN 3 is nothing (RFC 7606 §7.1)
    lab.receives(inside, &update(&[], &attributes, NLRI));
    lab.settle();
    assert_eq!(lab.best(PREFIX), None);
    assert!(lab.told(outside, PREFIX).is_none(), "withdrawn");
    assert!(lab.table(Table::AdjIn, Some(inside)).rows.is_empty(), "treated as withdrawn");
    lab.receives(inside, &update(&[], &mandatory(&[64501]), NLRI));
    lab.settle();
    assert_eq!(lab.told(outside, PREFIX).unwrap().as_path().to_string(), "64512 64501", "the session goes on");
}

#[test]
fn a_replacement_that_policy_rejects_takes_the_old_route_away() {
    // RFC 4271 §9.1.1: what policy excludes is no candidate; what it replaced is gone all the same (§3.1).
    let mut lab = Lab::new();
    lab.handle(Input::Policies(policies::library(vec![policies::without_path("no-64666", "_64666_")])));
    let (a, b) = (lab.peer(external(64496).import(&["no-64666"])), lab.peer(external(64497)));
    lab.announces(a, PREFIX, path("64496 64500"));
    lab.settle();
    assert!(lab.told(b, PREFIX).is_some());
    lab.announces(a, PREFIX, path("64496 64666 64500"));
    lab.settle();
    assert_eq!(lab.best(PREFIX), None);
    assert!(lab.told(b, PREFIX).is_none(), "withdrawn");
    let kept = lab.table(Table::AdjIn, Some(a));
    assert_eq!(kept.rows.len(), 1, "what was said is kept");
    assert!(kept.rows[0].rejected_by.as_deref().is_some_and(|by| by.contains("no-64666")), "and who rejected it");
}

#[test]
fn a_replacement_that_leaks_takes_the_old_route_away() {
    // RFC 9234 §5: OTC on a route from a customer is a leak, and the route is not eligible.
    let mut lab = Lab::new();
    let mut customer = external(64496);
    customer.negotiated.local_role = Some(Role::Provider);
    let (a, b) = (lab.peer(customer), lab.peer(external(64497)));
    lab.announces(a, PREFIX, path("64496 64500"));
    lab.settle();
    assert!(lab.told(b, PREFIX).is_some());
    lab.announces(a, PREFIX, path("64496 64500").raw(0xc0, 35, &64500_u32.to_be_bytes()));
    lab.settle();
    assert_eq!(lab.best(PREFIX), None);
    assert!(lab.told(b, PREFIX).is_none(), "withdrawn");
    lab.announces(a, PREFIX, path("64496 64500"));
    lab.settle();
    assert!(lab.told(b, PREFIX).is_some(), "a route without OTC is welcome again");
}

#[test]
fn when_a_replacement_is_no_good_the_next_best_route_takes_over() {
    let mut lab = Lab::new();
    let (a, b, c) = (lab.peer(external(64496)), lab.peer(external(64497)), lab.peer(external(64498)));
    lab.announces(a, PREFIX, path("64496 64500"));
    lab.announces(b, PREFIX, path("64497 64499 64500"));
    lab.settle();
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(a))));
    lab.announces(a, PREFIX, path("64496 64512")); // our own AS: a loop
    lab.settle();
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(b))));
    assert_eq!(lab.told(c, PREFIX).unwrap().as_path().to_string(), "64512 64497 64499 64500");
    assert_eq!(lab.told(a, PREFIX).unwrap().as_path().to_string(), "64512 64497 64499 64500");
    assert!(lab.told(b, PREFIX).is_none(), "who has the best one is told nothing");
}
