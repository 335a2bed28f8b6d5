//! Options and policies change while sessions go on: each neighbour hears exactly the difference.

use ribwatch::{
    engine::{NextHopRule, PeerSettings},
    wire::bgp::RefreshSubtype,
};

use crate::lab::{Lab, external, internal, many, path};

fn next_hop_self(settings: &mut PeerSettings) {
    settings.export_options.next_hop = NextHopRule::OwnAddress;
}

fn export(names: &[&str]) -> impl Fn(&mut PeerSettings) {
    let names: Vec<std::sync::Arc<str>> = names.iter().map(|name| (*name).into()).collect();
    move |settings| settings.export = names.clone()
}

#[test]
fn a_group_that_changes_alike_is_sent_what_differs_and_nothing_else() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let (b, c) = (lab.peer(internal()), lab.peer(internal()));
    lab.announces_paths(a, &many(100), &path("64496"));
    // Our own address is the next hop already: nothing changes for this one.
    lab.announces(a, "203.0.113.0/24", path("64496").via("192.0.2.254"));
    lab.settle();
    let before = lab.heard(b).messages;
    lab.reconfigure(b, next_hop_self);
    lab.reconfigure(c, next_hop_self);
    lab.settle();
    for who in [b, c] {
        assert_eq!(lab.told(who, "10.0.7.0/24").unwrap().next_hop().unwrap().to_string(), "192.0.2.254");
        assert_eq!(lab.heard(who).repeated, 0, "what differs in nothing is not sent");
        assert_eq!(lab.heard(who).end_of_rib.len(), 1, "the first sending was complete long ago");
        assert_eq!(lab.heard(who).messages - before, 7, "the hundred that differ, at sixteen prefixes per wake-up");
    }
    assert_eq!(lab.heard(a).octets, 23, "nobody else hears anything but End-of-RIB");
}

#[test]
fn a_policy_that_rejects_withdraws_exactly_what_was_told_and_one_that_accepts_brings_it_back() {
    let mut lab = Lab::new();
    let (a, b, c) = (lab.peer(external(64496)), lab.peer(external(64497)), lab.peer(external(64498)));
    lab.announces_paths(a, &many(50), &path("64496"));
    lab.announces(b, "203.0.113.0/24", path("64497"));
    lab.settle();
    lab.reconfigure(b, export(&["reject-all"]));
    lab.settle();
    assert!(lab.heard(b).routes.is_empty() && lab.heard(b).unfounded.is_empty());
    assert_eq!((lab.heard(c).routes.len(), lab.heard(c).repeated), (51, 0), "the other one hears nothing of it");
    lab.announces(a, "198.51.100.0/24", path("64496"));
    lab.settle();
    lab.reconfigure(b, export(&["accept-all"]));
    lab.settle();
    assert_eq!(lab.heard(b).routes.len(), 51, "all but its own");
    assert_eq!(lab.heard(b).repeated, 0);
    lab.withdraws(a, "198.51.100.0/24");
    lab.settle();
    assert_eq!(lab.heard(b).routes.len(), 50);
}

#[test]
fn a_change_back_before_the_first_is_through_ends_where_it_began() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(internal()));
    lab.announces_paths(a, &many(200), &path("64496"));
    lab.settle();
    let before = lab.heard(b).routes.clone();
    lab.reconfigure(b, next_hop_self);
    lab.flush(); // some of them
    lab.reconfigure(b, |settings| settings.export_options.next_hop = NextHopRule::Standard);
    lab.settle();
    assert_eq!(lab.heard(b).routes, before);
    assert_eq!(lab.table(ribwatch::view::Table::AdjOut, Some(b)).rows.len(), 200);
}

#[test]
fn refresh_lag_and_a_new_member_during_a_change_all_end_up_right() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let (b, c) = (lab.peer(internal()), lab.peer(internal()));
    lab.announces_paths(a, &many(200), &path("64496"));
    lab.settle();
    lab.reconfigure(b, next_hop_self);
    lab.reconfigure(c, next_hop_self);
    lab.flush();
    lab.refreshes(b, RefreshSubtype::Request);
    let d = lab.peer(internal().next_hop_self());
    lab.announces_paths(a, &many(30), &path("64496 64500"));
    lab.down(c);
    lab.settle();
    assert_eq!(lab.heard(b).routes.len(), 200);
    assert_eq!(lab.heard(b).routes, lab.heard(d).routes);
    lab.down(a);
    lab.settle();
    assert!(lab.heard(b).routes.is_empty() && lab.heard(d).routes.is_empty());
    assert!(lab.heard(b).unfounded.is_empty() && lab.heard(d).unfounded.is_empty());
}

#[test]
fn a_group_whose_members_all_change_otherwise_leaves_no_books_behind() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let (b, c, d) = (lab.peer(internal()), lab.peer(internal()), lab.peer(internal()));
    lab.announces_paths(a, &many(50), &path("64496"));
    lab.settle();
    lab.reconfigure(b, next_hop_self);
    lab.reconfigure(c, |settings| settings.export_options.graceful_shutdown = true);
    lab.reconfigure(d, |settings| settings.export_options.graceful_shutdown = true);
    lab.settle();
    assert_eq!(lab.told(b, "10.0.7.0/24").unwrap().next_hop().unwrap().to_string(), "192.0.2.254");
    for who in [c, d] {
        assert_eq!(lab.told(who, "10.0.7.0/24").unwrap().communities().count(), 1);
    }
    // One that comes with the key that nobody has any more is told everything, and nobody else hears of it.
    let e = lab.peer(internal());
    lab.settle();
    assert_eq!(lab.heard(e).routes.len(), 50);
    lab.withdraws_paths(a, &many(50));
    lab.settle();
    for who in [b, c, d, e] {
        assert_eq!((lab.heard(who).routes.len(), lab.heard(who).repeated), (0, 0));
        assert!(lab.heard(who).unfounded.is_empty());
    }
    assert_eq!(lab.summary().attribute_sets, 0, "nothing is left of anything");
}
