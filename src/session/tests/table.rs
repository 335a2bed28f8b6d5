//! Every state against every event of RFC 4271 §8, as one table. A row: the state, what happens, what is said,
//! the state afterwards.

use super::*;

/// A connection is up and DelayOpen runs: RFC 4271 calls this Connect, too.
const DELAYED: &str = "delayed";

#[rustfmt::skip]
const ROWS: &[(&str, &str, &str, State)] = &[
    ("idle", "start", "connect", State::Connect),                     // events 1, 3, 6
    ("idle", "disable", "", State::Idle),                             // event 2: ignored
    ("idle", "notify", "", State::Idle),                              // event 8: ignored
    ("idle", "accept", "close in0", State::Idle),                     // §8.2.2: refuses connections
    ("idle", "timers", "", State::Idle),
    ("connect", "start", "", State::Connect),                         // ignored
    ("connect", "disable", "close", State::Idle),                     // event 2
    ("connect", "reset", "close, connect", State::Connect),
    ("connect", "retry due", "close, connect", State::Connect),       // event 9
    ("connect", "connected", "open", State::OpenSent),                // event 16
    ("connect", "accept", "open in0", State::OpenSent),               // event 17
    ("connect", "connect failed", "", State::Active),                 // event 18, see bgp_peer
    ("active", "start", "", State::Active),                           // ignored
    ("active", "disable", "", State::Idle),                           // event 2
    ("active", "reset", "connect", State::Connect),
    ("active", "retry due", "connect", State::Connect),               // event 9
    ("active", "accept", "open in0", State::OpenSent),                // event 17
    ("delayed", "delay due", "open", State::OpenSent),                // event 12
    ("delayed", "open", "open, keepalive", State::OpenConfirm),       // event 20
    ("delayed", "bad open", "notification 2/2, close", State::Idle),  // event 22
    ("delayed", "bad header", "notification 1/1, close", State::Idle),// event 21
    ("delayed", "keepalive", "notification 5/0, close", State::Idle), // event 26
    ("delayed", "update", "notification 5/0, close", State::Idle),    // event 27
    ("delayed", "refresh", "notification 5/0, close", State::Idle),
    ("delayed", "notification", "close", State::Idle),                // event 25
    ("delayed", "version error", "close", State::Idle),               // event 24
    ("delayed", "closed", "", State::Active),                         // event 18
    ("delayed", "disable", "notification 6/2, close", State::Idle),   // event 2
    ("open_sent", "start", "", State::OpenSent),                      // ignored
    ("open_sent", "disable", "notification 6/2, close", State::Idle), // event 2
    ("open_sent", "reset", "notification 6/4, close, connect", State::Connect),
    ("open_sent", "notify", "notification 6/1, close", State::Idle),  // event 8
    ("open_sent", "hold due", "notification 4/0, close", State::Idle),// event 10
    ("open_sent", "closed", "", State::Active),                       // event 18
    ("open_sent", "open", "keepalive", State::OpenConfirm),           // event 19
    ("open_sent", "bad open", "notification 2/2, close", State::Idle),// event 22
    ("open_sent", "bad header", "notification 1/1, close", State::Idle),
    ("open_sent", "version error", "close", State::Idle),             // event 24
    ("open_sent", "notification", "close", State::Idle),              // event 25
    ("open_sent", "keepalive", "notification 5/1, close", State::Idle),
    ("open_sent", "update", "notification 5/1, close", State::Idle),  // event 27, RFC 6608
    ("open_sent", "refresh", "notification 5/1, close", State::Idle),
    ("open_confirm", "start", "", State::OpenConfirm),                // ignored
    ("open_confirm", "disable", "notification 6/2, close", State::Idle),
    ("open_confirm", "reset", "notification 6/4, close, connect", State::Connect),
    ("open_confirm", "notify", "notification 6/1, close", State::Idle),
    ("open_confirm", "keepalive due", "keepalive", State::OpenConfirm),// event 11
    ("open_confirm", "hold due", "notification 4/0, close", State::Idle),
    ("open_confirm", "closed", "", State::Idle),                      // event 18
    ("open_confirm", "open", "notification 5/2, close", State::Idle), // event 19, RFC 6608
    ("open_confirm", "bad header", "notification 1/1, close", State::Idle),
    ("open_confirm", "version error", "close", State::Idle),
    ("open_confirm", "notification", "close", State::Idle),           // event 25
    ("open_confirm", "keepalive", "up", State::Established),          // event 26
    ("open_confirm", "update", "notification 5/2, close", State::Idle),
    ("open_confirm", "refresh", "notification 5/2, close", State::Idle),
    ("established", "start", "", State::Established),                 // ignored
    ("established", "disable", "notification 6/2, close, down", State::Idle),
    ("established", "reset", "notification 6/4, close, down, connect", State::Connect),
    ("established", "notify", "notification 6/1, close, down", State::Idle),
    ("established", "keepalive due", "keepalive", State::Established),// event 11
    ("established", "hold due", "notification 4/0, close, down", State::Idle),
    ("established", "closed", "down", State::Idle),                   // event 18
    ("established", "open", "notification 5/3, close, down", State::Idle),
    ("established", "bad header", "notification 1/1, close, down", State::Idle),
    ("established", "version error", "close, down", State::Idle),
    ("established", "notification", "close, down", State::Idle),      // event 25
    ("established", "keepalive", "", State::Established),             // event 26
    ("established", "update", "updates 1", State::Established),       // event 27
    ("established", "bad update", "notification 3/1, close, down", State::Idle), // event 28
    ("established", "refresh", "refresh Request", State::Established),// RFC 2918
    ("established", "accept", "", State::Established),                // §6.8: until its OPEN decides
];

fn arrange(state: &str) -> Desk {
    if state == DELAYED {
        let mut desk = Desk::new(PeerSettings { delay_open: Some(secs(30)), ..settings() });
        desk.give(Input::Start);
        desk.connect(ConnId::outbound(0));
        assert_eq!(desk.said(), "connect", "OPEN waits");
        return desk;
    }
    let states = [State::Idle, State::Connect, State::Active, State::OpenSent, State::OpenConfirm, State::Established];
    let state = states.into_iter().find(|known| known.name() == state).expect("a state");
    Desk::in_state(state).0
}

fn apply(desk: &mut Desk, event: &str) {
    let conn = ConnId::outbound(0);
    let notification = |code, subcode| Notification { code, subcode, data: Vec::new() }.encode();
    match event {
        "start" => desk.give(Input::Start),
        "disable" => desk.give(Input::Disable { text: String::new() }),
        "reset" => desk.give(Input::Reset { text: String::new(), hard: false }),
        "notify" => desk.give(Input::Notify { notification: Notification::cease(1), restart_after: None }),
        "accept" => drop(desk.accept()),
        "connected" => desk.connect(conn),
        "connect failed" => desk.give(Input::ConnectFailed { conn, reason: "no route to host".into() }),
        "closed" => desk.give(Input::Closed { conn, reason: "connection closed by the peer".into() }),
        "timers" => desk.give(Input::TimersDue),
        "retry due" | "delay due" | "keepalive due" => drop(desk.wait_for_deadline()),
        "hold due" => {
            // A driver that slept through: what is due first is not what matters most.
            desk.now = desk.now + secs(240);
            desk.give(Input::TimersDue);
        }
        "open" => desk.receive(conn, &their_open().encode()),
        "bad open" => desk.receive(conn, &Open { my_as: 64499, capabilities: vec![], ..their_open() }.encode()),
        "bad header" => desk.receive(conn, b"GET / HTTP/1.1\r\n\r\n"),
        "keepalive" => desk.receive(conn, &KEEPALIVE),
        "update" => desk.receive(conn, &end_of_rib()),
        "bad update" => desk.receive(conn, &broken_update()),
        "refresh" => desk.receive(conn, &refresh(RefreshSubtype::Request)),
        "notification" => desk.receive(conn, &notification(6, 0)),
        "version error" => desk.receive(conn, &notification(2, 1)),
        other => panic!("no such event: {other}"),
    }
}

#[test]
fn every_state_answers_every_event_as_the_table_says() {
    let mut wrong = Vec::new();
    for (state, event, said, after) in ROWS {
        let mut desk = arrange(state);
        desk.out.clear();
        apply(&mut desk, event);
        let (really_said, really_after) = (desk.said(), desk.peer.state());
        if (really_said.as_str(), really_after) != (*said, *after) {
            wrong.push(format!("{state} + {event}: `{really_said}` {really_after:?}, expected `{said}` {after:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn state_changes_are_told_one_by_one_and_join_up() {
    let mut desk = Desk::new(settings());
    desk.lead_to(State::Established, &their_open());
    desk.give(Input::Disable { text: String::new() });
    let mut state = State::Idle;
    let mut seen = vec![state];
    for action in &desk.out {
        if let Action::StateChanged { from, to } = action {
            assert_eq!(*from, state);
            state = *to;
            seen.push(state);
        }
    }
    use State::*;
    assert_eq!(seen, [Idle, Connect, OpenSent, OpenConfirm, Established, Idle]);
}

#[test]
fn an_unexpected_message_is_named_in_the_notification() {
    // RFC 6608 §3: the data is the type of the message, one octet.
    for (state, subcode) in [(State::OpenSent, 1), (State::OpenConfirm, 2)] {
        let (mut desk, conn) = Desk::in_state(state);
        desk.receive(conn, &end_of_rib());
        let sent = desk.out.iter().find_map(|action| match action {
            Action::Send { bytes, .. } => Notification::decode(bytes).ok(),
            _ => None,
        });
        assert_eq!(sent, Some(Notification { code: 5, subcode, data: vec![2] }));
        assert_eq!(desk.last_error(), format!("peer sent UPDATE in state {}", state.name()));
    }
}

#[test]
fn nothing_is_said_on_a_connection_that_was_closed() {
    let (mut desk, conn) = Desk::in_state(State::Established);
    desk.receive(conn, &Notification::cease(2).encode());
    assert_eq!(desk.said(), "close, down");
    desk.receive(conn, &KEEPALIVE);
    desk.receive(conn, b"garbage");
    desk.give(Input::Wrote { conn, octets: 0, pending: 10 });
    desk.give(Input::Closed { conn, reason: "connection closed by the peer".into() });
    assert_eq!(desk.said(), "");
}
