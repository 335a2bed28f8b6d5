//! Outbound route filters: who agreed on them, what comes through and what is sent (RFC 5291).

use super::*;
use crate::wire::bgp::{
    capability::{OrfFamily, OrfMode},
    orf::{OrfChange, OrfEntry, OrfMatch, OrfRefresh, WhenToRefresh, encode_changes},
};

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;

fn entry(sequence: u32) -> OrfEntry {
    let prefix = "192.0.2.0/24".parse().expect("a prefix");
    OrfEntry { sequence, decision: OrfMatch::Permit, prefix, min_len: 24, max_len: 32 }
}

/// A session where we offer `ours` for IPv4 unicast, and the neighbour `theirs` of this type.
fn session(ours: OrfMode, theirs: OrfMode, kind: u8) -> (Desk, ConnId) {
    let mut desk = Desk::new(PeerSettings { route_filters: vec![(V4, ours)], ..settings() });
    let mut open = their_open();
    let list = vec![OrfFamily { family: V4, types: vec![(kind, theirs)] }];
    open.capabilities.push(Capability::OutboundRouteFilter(list));
    let conn = desk.lead_to(State::Established, &open);
    desk.out.clear();
    (desk, conn)
}

#[test]
fn filters_hold_where_one_side_sends_and_the_other_receives() {
    let (receive, send, both) = (OrfMode::Receive, OrfMode::Send, OrfMode::Both);
    // RFC 5291 §5, §6: ours, theirs, do we receive, do we send.
    for (ours, theirs, kind, received, sent) in [
        (receive, send, 64, true, false),
        (receive, receive, 64, false, false),
        (send, receive, 64, false, true),
        (send, send, 64, false, false),
        (both, both, 64, true, true),
        (both, send, 64, true, false),
        (both, both, 65, false, false), // another type of filter
    ] {
        let (desk, _) = session(ours, theirs, kind);
        let negotiated = desk.peer.negotiated().expect("established");
        let families = |holds: bool| if holds { vec![V4] } else { vec![] };
        assert_eq!(negotiated.filters_received, families(received), "{ours:?} {theirs:?}");
        assert_eq!(negotiated.filters_sent, families(sent), "{ours:?} {theirs:?}");
        let said = desk.sent_open_of(&[(V4, ours)]);
        assert!(
            said.contains(&Capability::OutboundRouteFilter(vec![OrfFamily { family: V4, types: vec![(64, ours)] }]))
        );
    }
    // Who is sent nothing has no use for them.
    let mut desk = Desk::new(PeerSettings { monitor_only: true, route_filters: vec![(V4, both)], ..settings() });
    desk.lead_to(State::OpenSent, &their_open());
    assert!(!desk.sent_open().capabilities.iter().any(|c| matches!(c, Capability::OutboundRouteFilter(_))));
}

impl Desk {
    /// The capabilities of the OPEN that a neighbour with these filters is sent.
    fn sent_open_of(&self, filters: &[(Family, OrfMode)]) -> Vec<Capability> {
        let mut desk = Self::new(PeerSettings { route_filters: filters.to_vec(), ..settings() });
        desk.lead_to(State::OpenSent, &their_open());
        desk.sent_open().capabilities
    }
}

#[test]
fn a_filter_is_passed_on_in_its_place_among_updates() {
    let (mut desk, conn) = session(OrfMode::Receive, OrfMode::Send, 64);
    let filter = encode_changes(V4, &[OrfChange::Add(entry(5)), OrfChange::Add(entry(6))]).concat();
    desk.receive(conn, &[end_of_rib(), filter, end_of_rib(), refresh(RefreshSubtype::Request)].concat());
    assert_eq!(desk.said(), "updates 1, filter Immediate 2, updates 1, refresh Request");
    assert!(desk.warnings().is_empty());
}

#[test]
fn a_filter_that_was_not_agreed_on_is_ignored_and_a_broken_one_is_none() {
    // RFC 5291 §6.
    let filter = |family| encode_changes(family, &[OrfChange::Add(entry(5))]).concat();
    let (mut desk, conn) = session(OrfMode::Send, OrfMode::Both, 64);
    desk.receive(conn, &filter(V4).repeat(100));
    assert_eq!(desk.warnings(), ["ROUTE-REFRESH for ipv4-unicast ignored: no route filter was agreed on"]);
    desk.receive(conn, &filter(V4));
    assert_eq!((desk.said().as_str(), desk.peer.state()), ("", State::Established));

    let (mut desk, conn) = session(OrfMode::Receive, OrfMode::Send, 64);
    desk.receive(conn, &filter(V6));
    assert_eq!(desk.warnings(), ["ROUTE-REFRESH for ipv6-unicast ignored: no route filter was agreed on"]);

    let (mut desk, conn) = session(OrfMode::Receive, OrfMode::Send, 64);
    let mut broken = filter(V4);
    broken[27] = 0xc0; // the action
    desk.receive(conn, &broken.repeat(2));
    let what = "route filter for ipv4-unicast with an entry with action 3: its whole filter is removed (RFC 5291 §6)";
    assert_eq!(desk.warnings(), [what], "once");
    desk.receive(conn, &broken);
    assert_eq!(desk.said(), "filter Immediate 1");
}

#[test]
fn a_filter_is_sent_where_the_neighbour_takes_it() {
    let (mut desk, _) = session(OrfMode::Send, OrfMode::Receive, 64);
    let changes = [OrfChange::RemoveAll, OrfChange::Add(entry(5))];
    desk.give(Input::SendFilter { family: V4, changes: &changes });
    let sent = desk.out.iter().filter_map(|action| match action {
        Action::Send { bytes, .. } => OrfRefresh::decode(bytes),
        _ => None,
    });
    let sent: Vec<_> = sent.map(|refresh| (refresh.when, refresh.changes)).collect();
    let expected = [(WhenToRefresh::Defer, vec![OrfChange::RemoveAll]), (WhenToRefresh::Immediate, vec![changes[1]])];
    assert_eq!(sent, expected, "asked for once all is said");
    desk.give(Input::SendFilter { family: V4, changes: &[] });
    assert_eq!(desk.said(), "route-refresh, route-refresh, route-refresh");
    assert_eq!(desk.peer.stats().sent.refresh, 3);
    desk.give(Input::SendFilter { family: V6, changes: &changes });
    assert_eq!(desk.warnings(), ["no route filter sent for ipv6-unicast: the peer takes none"]);
}
