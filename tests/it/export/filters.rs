//! Outbound route filters: a neighbour says by prefixes what it wants to be sent (RFC 5291, RFC 5292).

use ribwatch::{
    types::Family,
    wire::bgp::{
        RefreshSubtype,
        orf::{OrfChange, OrfEntry, OrfMatch, WhenToRefresh},
    },
};

use crate::lab::{Lab, Who, external, many, p, path};

use WhenToRefresh::{Defer, Immediate};

fn entry(sequence: u32, decision: OrfMatch, prefix: &str, max_len: u8) -> OrfEntry {
    let prefix = p(prefix);
    OrfEntry { sequence, decision, prefix, min_len: prefix.len(), max_len }
}

fn permit(sequence: u32, prefix: &str, max_len: u8) -> OrfChange {
    OrfChange::Add(entry(sequence, OrfMatch::Permit, prefix, max_len))
}

fn deny(sequence: u32, prefix: &str, max_len: u8) -> OrfChange {
    OrfChange::Add(entry(sequence, OrfMatch::Deny, prefix, max_len))
}

/// A hundred routes of one neighbour, told to one that sends filters and to one that does not.
fn lab() -> (Lab, Who, Who, Who) {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let (b, c) = (lab.peer(external(64497).sends_filters()), lab.peer(external(64498)));
    lab.announces_paths(a, &many(100), &path("64496"));
    lab.settle();
    (lab, a, b, c)
}

#[test]
fn nothing_is_sent_before_the_first_request_and_then_what_it_permits() {
    let (mut lab, a, b, c) = lab();
    // RFC 5291 §6: no routes "prior to receiving from the peer any ROUTE-REFRESH".
    assert_eq!((lab.heard(b).messages, lab.heard(c).routes.len()), (0, 100));
    lab.filters(b, Defer, &[permit(5, "10.0.0.0/20", 24)]);
    lab.settle();
    assert_eq!(lab.heard(b).messages, 0, "it has not asked yet");
    lab.filters(b, Immediate, &[deny(1, "10.0.3.0/24", 24)]);
    lab.settle();
    assert_eq!(lab.heard(b).routes.len(), 15);
    assert!(lab.told(b, "10.0.3.0/24").is_none() && lab.told(b, "10.0.15.0/24").is_some());
    assert_eq!(lab.heard(b).end_of_rib, [(Family::IPV4_UNICAST, 15)], "RFC 4724 §2: behind the first sending");
    // What changes later is filtered, too.
    lab.announces(a, "10.0.3.0/24", path("64496 64500"));
    lab.announces(a, "10.0.4.0/24", path("64496 64500"));
    lab.withdraws(a, "10.0.5.0/24");
    lab.settle();
    assert_eq!(lab.heard(b).routes.len(), 14);
    assert_eq!(lab.told_as_path(b, "10.0.4.0/24").as_deref(), Some("64512 64496 64500"));
    assert_eq!((lab.heard(b).repeated, lab.heard(b).unfounded.len()), (0, 0));
    assert_eq!(lab.heard(c).routes.len(), 99, "the filter of one is no filter of others");
}

#[test]
fn a_changed_filter_is_told_as_exactly_the_difference() {
    let (mut lab, _, b, _) = lab();
    lab.filters(b, Immediate, &[permit(5, "10.0.0.0/20", 24)]);
    lab.settle();
    assert_eq!(lab.heard(b).routes.len(), 16);
    lab.filters(b, Immediate, &[permit(10, "10.0.16.0/20", 24)]);
    lab.settle();
    assert_eq!((lab.heard(b).routes.len(), lab.heard(b).repeated), (32, 0));
    lab.filters(b, Immediate, &[OrfChange::Remove(entry(5, OrfMatch::Permit, "10.0.0.0/20", 24))]);
    lab.settle();
    assert_eq!((lab.heard(b).routes.len(), lab.heard(b).repeated), (16, 0));
    assert!(lab.told(b, "10.0.16.0/24").is_some());
    // RFC 5291 §6: deferred until the neighbour asks, which has all of it sent.
    lab.filters(b, Defer, &[OrfChange::RemoveAll]);
    lab.settle();
    assert_eq!(lab.heard(b).routes.len(), 16);
    lab.refreshes(b, RefreshSubtype::Request);
    lab.settle();
    assert_eq!(lab.heard(b).routes.len(), 100, "without entries everything passes");
    assert!(lab.heard(b).unfounded.is_empty());
    assert_eq!(lab.heard(b).end_of_rib.len(), 1);
}

#[test]
fn a_plain_request_first_asks_for_everything_once() {
    let (mut lab, _, b, _) = lab();
    lab.refreshes(b, RefreshSubtype::Request);
    lab.settle();
    assert_eq!((lab.heard(b).routes.len(), lab.heard(b).repeated), (100, 0));
    assert_eq!(lab.heard(b).end_of_rib, [(Family::IPV4_UNICAST, 100)]);
    // Later requests have it sent again, as ever.
    lab.refreshes(b, RefreshSubtype::Request);
    lab.settle();
    assert_eq!(lab.heard(b).repeated, 100);
}

#[test]
fn policy_and_filter_both_have_to_let_a_route_pass() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let default = |options: &mut ribwatch::engine::ExportOptions| {
        options.default_originate = vec![Family::IPV4_UNICAST];
    };
    let b = lab.peer(external(64497).export(&["reject-all"]).options(default).sends_filters());
    lab.announces_paths(a, &many(10), &path("64496"));
    lab.filters(b, Immediate, &[permit(5, "10.0.0.0/8", 32)]);
    lab.settle();
    assert!(lab.heard(b).routes.is_empty());
    assert_eq!(lab.heard(b).end_of_rib.len(), 1, "it has asked, and that is all there is");
    lab.filters(b, Immediate, &[permit(6, "0.0.0.0/0", 0)]);
    lab.settle();
    assert_eq!(lab.told_prefixes(b).into_iter().collect::<Vec<_>>(), ["0.0.0.0/0"]);
}

#[test]
fn entries_above_the_bound_are_refused_counted_and_told_once() {
    let (mut lab, _, b, _) = lab();
    lab.reconfigure(b, |settings| settings.filter_entries_max = 2);
    let entries: Vec<OrfChange> = (0..10).map(|i| permit(i, &format!("10.0.{i}.0/24"), 24)).collect();
    lab.filters(b, Immediate, &entries);
    lab.filters(b, Immediate, &entries);
    lab.settle();
    assert_eq!(lab.heard(b).routes.len(), 2);
    assert_eq!(lab.warnings.len(), 1);
    let summary = lab.summary();
    let (_, counts) = summary.neighbors.iter().find(|(peer, _)| *peer == lab.id(b)).unwrap();
    let filter = counts[0].filter.unwrap();
    assert_eq!((filter.awaited, filter.entries, filter.refused), (false, 2, 16));
    assert!(summary.neighbors.iter().filter(|(peer, _)| *peer != lab.id(b)).all(|(_, c)| c[0].filter.is_none()));
}

#[test]
fn a_filter_ends_with_its_session() {
    let (mut lab, _, b, _) = lab();
    lab.filters(b, Immediate, &[permit(5, "10.0.0.0/20", 24)]);
    lab.settle();
    lab.down(b);
    lab.settle();
    lab.up(b);
    lab.settle();
    assert_eq!(lab.heard(b).messages, 0, "a new session asks anew");
    lab.refreshes(b, RefreshSubtype::Request);
    lab.settle();
    assert_eq!(lab.heard(b).routes.len(), 100);
}

#[test]
fn filters_that_come_and_go_all_the_time_end_as_the_last_one_says() {
    let (mut lab, a, b, c) = lab();
    for round in 0..40u32 {
        let prefix = format!("10.0.{}.0/22", round * 4 % 64);
        lab.filters(b, Immediate, &[OrfChange::RemoveAll, permit(round, &prefix, 24)]);
        lab.flush();
        if round % 3 == 0 {
            lab.announces_paths(a, &many(100)[round as usize..][..5], &path("64496 64501"));
        }
        if round == 20 {
            lab.refreshes(b, RefreshSubtype::Request);
        }
    }
    lab.settle();
    let expected: Vec<String> = (28..32).map(|i| format!("10.0.{i}.0/24")).collect();
    assert_eq!(lab.told_prefixes(b).into_iter().collect::<Vec<_>>(), expected);
    assert!(lab.heard(b).unfounded.is_empty() && lab.heard(c).routes.len() == 100);
    for prefix in &expected {
        assert_eq!(lab.told_as_path(b, prefix), lab.told_as_path(c, prefix));
    }
}
