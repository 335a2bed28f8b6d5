//! The operator's hand: enable, disable, reset, limits; and what a person on call reads afterwards.

use super::*;

fn sent_notification(desk: &Desk) -> Notification {
    let sent = desk.out.iter().find_map(|action| match action {
        Action::Send { bytes, .. } => Notification::decode(bytes).ok().filter(|_| bytes.get(18) == Some(&3)),
        _ => None,
    });
    sent.expect("a NOTIFICATION was sent")
}

#[test]
fn a_disabled_neighbour_stays_down_until_it_is_enabled() {
    let (mut desk, _) = Desk::in_state(State::Established);
    desk.give(Input::Disable { text: "maintenance until 04:00".into() });
    assert_eq!(sent_notification(&desk).shutdown_text().as_deref(), Some("maintenance until 04:00"), "RFC 9003");
    assert_eq!(desk.last_error(), "we sent Cease/Administrative Shutdown (6/2): \"maintenance until 04:00\"");
    assert!(!desk.peer.is_enabled());
    assert_eq!(desk.peer.next_deadline(), None);
    desk.out.clear();
    desk.wait(secs(86_400));
    desk.give(Input::Start);
    desk.give(Input::Reset { text: String::new(), hard: false });
    assert_eq!(desk.said(), "");
    desk.accept();
    assert_eq!(sent_notification(&desk).shutdown_text().as_deref(), Some("maintenance until 04:00"), "said again");
    assert_eq!(desk.said(), "notification 6/2 in0, close in0", "RFC 9003");
    desk.give(Input::Enable);
    assert_eq!((desk.said().as_str(), desk.peer.state()), ("connect", State::Connect));
}

#[test]
fn a_neighbour_that_starts_disabled_waits_for_enable() {
    let mut desk = Desk::new(PeerSettings { enabled: false, ..settings() });
    desk.give(Input::Start);
    assert_eq!((desk.said().as_str(), desk.peer.state()), ("", State::Idle));
    desk.give(Input::Enable);
    assert_eq!(desk.said(), "connect");
}

#[test]
fn the_reason_of_a_shutdown_survives_the_refused_attempts_that_follow() {
    let (mut desk, conn) = Desk::in_state(State::Established);
    desk.receive(conn, &Notification::administrative_shutdown("maintenance until 04:00").encode());
    let told = "peer sent Cease/Administrative Shutdown (6/2): \"maintenance until 04:00\"";
    assert_eq!(desk.last_error(), told);
    let refused = "connection refused by 192.0.2.1:179";
    for n in 1..4 {
        desk.wait_for_deadline();
        desk.give(Input::ConnectFailed { conn: ConnId::outbound(n), reason: refused.into() });
        assert_eq!(desk.last_error(), format!("{refused}; before that {told}"));
    }
    assert_eq!(desk.warnings().len(), 1, "said once, not with each attempt");
}

#[test]
fn too_many_prefixes_stop_the_session_for_the_configured_time() {
    let (mut desk, _) = Desk::in_state(State::Established);
    let notification = Notification::maximum_prefixes(Family::IPV4_UNICAST, 1000);
    desk.give(Input::Notify { notification, restart_after: Some(secs(1800)) });
    assert_eq!(desk.said(), "notification 6/1, close, down");
    assert!(desk.last_error().starts_with("we sent Cease/Maximum Number of Prefixes Reached (6/1)"));
    assert!(desk.peer.is_enabled() && !desk.peer.wants_incoming());
    desk.wait(secs(1799));
    assert_eq!(desk.peer.state(), State::Idle);
    desk.wait(secs(1));
    assert_eq!(desk.peer.state(), State::Connect);
}

#[test]
fn without_a_restart_time_only_the_operator_brings_it_back() {
    for back in [Input::Enable, Input::Reset { text: String::new(), hard: false }] {
        let (mut desk, _) = Desk::in_state(State::Established);
        desk.give(Input::Notify { notification: Notification::cease(1), restart_after: None });
        desk.wait(secs(86_400));
        assert_eq!(desk.peer.state(), State::Idle);
        desk.give(back);
        assert_eq!(desk.peer.state(), State::Connect);
    }
}

#[test]
fn a_reset_tells_why_and_connects_again_at_once() {
    let (mut desk, _) = Desk::in_state(State::Established);
    desk.give(Input::Reset { text: "new policy".into(), hard: false });
    assert_eq!(sent_notification(&desk).to_string(), "Cease/Administrative Reset (6/4): \"new policy\"");
    assert_eq!(desk.said(), "notification 6/4, close, down, connect");
}

#[test]
fn a_hard_reset_is_wrapped_where_the_neighbour_understands_it() {
    // RFC 8538 §3.1: only with the N bit of both; they do not set it, so the plain reset is sent.
    let (mut desk, _) = Desk::in_state(State::Established);
    desk.give(Input::Reset { text: String::new(), hard: true });
    assert_eq!(desk.said(), "notification 6/4, close, down, connect");
}

#[test]
fn a_shutdown_of_the_process_says_goodbye() {
    let (mut desk, _) = Desk::in_state(State::Established);
    desk.give(Input::Shutdown);
    assert_eq!(desk.said(), "notification 6/2, close, down");
    assert_eq!((desk.peer.next_deadline(), desk.peer.state()), (None, State::Idle));
}

#[test]
fn a_route_refresh_is_asked_for_only_where_it_makes_sense() {
    let (mut desk, _) = Desk::in_state(State::Established);
    desk.give(Input::SendRefresh { family: Family::IPV6_UNICAST });
    assert_eq!(desk.said(), "route-refresh");
    assert_eq!(desk.peer.stats().sent.refresh, 1);
    desk.give(Input::SendRefresh { family: Family::EVPN });
    assert_eq!(desk.warnings(), ["no route refresh asked for l2vpn-evpn: the family was not negotiated"]);

    let (mut desk, _) = Desk::in_state(State::OpenConfirm);
    desk.give(Input::SendRefresh { family: Family::IPV4_UNICAST });
    assert_eq!(desk.warnings(), ["no route refresh asked for ipv4-unicast: the session is not established"]);
}

#[test]
fn a_collector_session_sends_nothing_but_open_keepalive_and_notification() {
    let mut desk = Desk::new(PeerSettings { monitor_only: true, ..settings() });
    let conn = desk.lead_to(State::Established, &their_open());
    desk.give(Input::SendRefresh { family: Family::IPV4_UNICAST });
    for _ in 0..10 {
        desk.wait(secs(60));
        desk.receive(conn, &[end_of_rib(), refresh(RefreshSubtype::Request)].concat());
    }
    desk.give(Input::Reset { text: String::new(), hard: false });
    let said = desk.said();
    let sent: std::collections::BTreeSet<&str> = said
        .split(", ")
        .filter(|word| !word.starts_with("refresh "))
        .map(|word| word.split(' ').next().unwrap_or(""))
        .collect();
    assert_eq!(
        sent.into_iter().collect::<Vec<_>>(),
        ["close", "connect", "down", "keepalive", "notification", "open", "up", "updates"]
    );
    assert_eq!(desk.peer.stats().sent.refresh, 0);
}

#[test]
fn counters_tell_what_went_over_the_wire() {
    let (mut desk, conn) = Desk::in_state(State::Established);
    desk.receive(conn, &[end_of_rib(), KEEPALIVE.to_vec(), refresh(RefreshSubtype::Request)].concat());
    desk.peer.note_updates_sent(3);
    desk.receive(conn, &Notification::cease(4).encode());
    let stats = desk.peer.stats();
    let (received, sent) = (stats.received, stats.sent);
    assert_eq!(
        (received.open, received.update, received.notification, received.keepalive, received.refresh),
        (1, 1, 1, 2, 1)
    );
    assert_eq!((sent.open, sent.update, sent.notification, sent.keepalive, sent.refresh), (1, 3, 0, 1, 0));
    assert_eq!((stats.established, stats.flaps, stats.established_at), (1, 1, None));
    assert_eq!(stats.changed_at, Some(desk.now));
}
