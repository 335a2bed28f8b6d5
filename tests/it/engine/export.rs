//! Whom a change is told, how often, and in how many messages (RFC 4271 §9.2).

use ribwatch::{
    types::Family,
    view::Table,
    wire::bgp::batch::{ItemKind, UpdateBatch},
};

use super::V4;
use crate::lab::{Lab, external, many, path};

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
fn routes_with_the_same_attributes_share_messages() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.settle();
    lab.announces_paths(a, &many(160), &path("64496"));
    lab.settle();
    assert_eq!(lab.heard(b).messages, 1 + 10, "End-of-RIB, and one message for each page of 16");
}
