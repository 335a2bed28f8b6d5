//! Connection collision (RFC 4271 §6.8) as one side sees it, with the OPENs arriving in either order.

use super::*;

const OURS: ConnId = ConnId(0);

fn open_of(router_id: RouterId) -> Vec<u8> {
    Open { router_id, ..their_open() }.encode()
}

/// Both connections are up and nobody's OPEN has arrived.
fn collision(settings: PeerSettings) -> (Desk, ConnId) {
    let mut desk = Desk::new(settings);
    desk.give(Input::Start);
    let theirs = desk.accept();
    desk.connect(OURS);
    assert_eq!(desk.said(), "connect, open in0, open");
    (desk, theirs)
}

#[test]
fn the_connection_of_the_greater_identifier_stays_whichever_open_comes_first() {
    for (their_id, ours_first, said) in [
        (THEIR_LOWER_ID, true, "notification 6/7 in0, close in0, keepalive"),
        (THEIR_LOWER_ID, false, "notification 6/7 in0, close in0"),
        (THEIR_HIGHER_ID, true, "keepalive"), // theirs does not count before its OPEN, which follows below
        (THEIR_HIGHER_ID, false, "notification 6/7, close, keepalive in0"),
    ] {
        let (mut desk, theirs) = collision(settings());
        let (first, winner) =
            (if ours_first { OURS } else { theirs }, if their_id == THEIR_LOWER_ID { OURS } else { theirs });
        desk.receive(first, &open_of(their_id));
        assert_eq!(desk.said(), said, "{their_id} {ours_first}");
        if first != winner {
            desk.receive(winner, &open_of(their_id));
        }
        assert_eq!(desk.peer.state(), State::OpenConfirm);
        // The neighbour closes the loser as well; that must not hurt the winner.
        let loser = if winner == OURS { theirs } else { OURS };
        desk.receive(loser, &Notification::cease(7).encode());
        desk.give(Input::Closed { conn: loser, reason: "connection closed by the peer".into() });
        desk.receive(winner, &KEEPALIVE);
        assert_eq!(desk.peer.state(), State::Established);
        assert_eq!(desk.peer.stats().last_error, None, "a collision is no error");
    }
}

#[test]
fn equal_identifiers_are_decided_by_the_greater_as() {
    // RFC 6286 §2.3.
    for (their_asn, said) in
        [(Asn(64497), "notification 6/7, close, keepalive in0"), (Asn(64495), "notification 6/7 in0, close in0")]
    {
        let (mut desk, theirs) = collision(PeerSettings { remote_asn: RemoteAsn::Any, ..settings() });
        desk.receive(theirs, &Open::new(their_asn, 90, OUR_ID, vec![]).encode());
        assert_eq!(desk.said(), said);
    }
}

#[test]
fn an_established_session_stays_and_the_new_connection_is_told() {
    for their_id in [THEIR_LOWER_ID, THEIR_HIGHER_ID] {
        let (mut desk, conn) = Desk::in_state(State::Established);
        let new = desk.accept();
        desk.receive(new, &open_of(their_id));
        assert_eq!(desk.said(), "notification 6/7 in0, close in0", "our OPEN was saved");
        desk.receive(conn, &KEEPALIVE);
        assert_eq!((desk.peer.state(), desk.peer.stats().flaps), (State::Established, 0));
    }
}

#[test]
fn with_graceful_restart_a_new_connection_means_that_the_old_one_died() {
    // RFC 4724 §5, once the session is older than any collision.
    let open = {
        let mut open = their_open();
        open.capabilities.push(Capability::GracefulRestart(Default::default()));
        open
    };
    for (age, said) in [(5, "notification 6/7 in0, close in0"), (60, "close, down, open in0, keepalive in0")] {
        let mut desk = Desk::new(settings());
        desk.lead_to(State::Established, &open);
        desk.now = desk.now + secs(age);
        desk.out.clear();
        let new = desk.accept();
        desk.receive(new, &open.encode());
        assert_eq!(desk.said(), said);
    }
}

#[test]
fn an_attempt_that_succeeds_late_is_dropped_before_its_open() {
    // The neighbour may be established already on the connection where our KEEPALIVE is under way.
    for their_id in [THEIR_HIGHER_ID, THEIR_LOWER_ID] {
        let mut desk = Desk::new(settings());
        desk.give(Input::Start);
        let theirs = desk.accept();
        desk.receive(theirs, &open_of(their_id));
        assert_eq!(desk.said(), "connect, open in0, keepalive in0");
        desk.connect(OURS);
        assert_eq!(desk.said(), "close");
        assert_eq!(desk.peer.state(), State::OpenConfirm);
    }
}

#[test]
fn once_a_session_is_up_every_other_attempt_is_given_up() {
    let mut desk = Desk::new(settings());
    desk.give(Input::Start);
    let theirs = desk.accept();
    desk.receive(theirs, &open_of(THEIR_HIGHER_ID));
    desk.receive(theirs, &KEEPALIVE);
    assert_eq!(desk.said(), "connect, open in0, keepalive in0, close, up in0");
    desk.connect(OURS);
    assert_eq!(desk.said(), "close", "the driver was a moment late");
    assert_eq!(desk.peer.state(), State::Established);
}

#[test]
fn a_connection_left_over_by_a_dead_neighbour_does_not_win() {
    let (mut desk, _) = Desk::in_state(State::OpenSent);
    desk.now = desk.now + secs(30);
    let theirs = desk.accept();
    desk.receive(theirs, &open_of(THEIR_LOWER_ID));
    assert_eq!(desk.said(), "open in0, notification 6/7, close, keepalive in0");
}

#[test]
fn a_second_incoming_connection_takes_the_place_of_the_first() {
    let mut desk = Desk::new(PeerSettings { passive: true, ..settings() });
    desk.give(Input::Start);
    let first = desk.accept();
    let second = desk.accept();
    assert_eq!(desk.said(), "open in0, open in1, notification 6/7 in0, close in0");
    desk.receive(first, &their_open().encode());
    desk.receive(second, &their_open().encode());
    desk.receive(second, &KEEPALIVE);
    assert_eq!(desk.said(), "keepalive in1, up in1");
}

#[test]
fn the_loser_s_end_never_ends_the_winner() {
    let (mut desk, theirs) = collision(settings());
    desk.receive(OURS, &open_of(THEIR_LOWER_ID));
    desk.receive(OURS, &KEEPALIVE);
    desk.give(Input::Closed { conn: theirs, reason: "connection closed by the peer".into() });
    desk.receive(theirs, &KEEPALIVE);
    assert!(desk.said().ends_with("keepalive, up"));
    assert_eq!(desk.peer.state(), State::Established);
}

#[test]
fn a_connection_that_dies_before_its_open_leaves_the_other_alone() {
    let (mut desk, theirs) = collision(settings());
    desk.give(Input::Closed { conn: OURS, reason: "connection reset by the peer".into() });
    assert_eq!((desk.said().as_str(), desk.peer.state()), ("", State::OpenSent));
    desk.receive(theirs, &open_of(THEIR_LOWER_ID));
    desk.receive(theirs, &KEEPALIVE);
    assert_eq!(desk.peer.state(), State::Established);
}
