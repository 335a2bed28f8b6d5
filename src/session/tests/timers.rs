//! Every timer: what arms it, how long it runs, what it does.

use super::*;

fn between(time: Duration, low: Duration, high: Duration) -> bool {
    (low..=high).contains(&time)
}

#[test]
fn failed_attempts_come_ever_slower_and_never_at_the_same_moment() {
    let mut desk = Desk::new(settings());
    desk.give(Input::Start);
    let mut waits = Vec::new();
    for n in 0..8 {
        desk.give(Input::ConnectFailed { conn: ConnId::outbound(n), reason: "connection refused".into() });
        assert_eq!(desk.peer.state(), State::Active);
        waits.push(desk.wait_for_deadline());
        assert_eq!(desk.peer.state(), State::Connect);
    }
    // The deadline of an attempt counts as one step of the back-off, the wait after its failure as another.
    for (wait, full) in waits.iter().zip([10, 40, 120, 120, 120, 120, 120, 120]) {
        assert!(between(*wait, secs(full) * 3 / 4, secs(full)), "{waits:?}");
    }
    let equal = waits[3..].windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(equal, 0, "jitter, RFC 4271 §10");
    assert_eq!(desk.peer.stats().connect_attempts, 9);
}

#[test]
fn an_attempt_without_answer_is_given_up_and_made_again() {
    let mut desk = Desk::new(settings());
    desk.give(Input::Start);
    assert!(between(desk.wait_for_deadline(), secs(3), secs(5)));
    assert_eq!(desk.said(), "connect, close, connect");
    // The first attempt answers late: it is none of ours any more.
    desk.connect(ConnId::outbound(0));
    assert_eq!(desk.said(), "close");
    desk.connect(ConnId::outbound(1));
    assert_eq!(desk.said(), "open out1");
}

#[test]
fn a_passive_neighbour_waits_for_ever() {
    let mut desk = Desk::new(PeerSettings { passive: true, ..settings() });
    desk.give(Input::Start);
    assert_eq!((desk.peer.state(), desk.peer.next_deadline()), (State::Active, None));
    let conn = desk.accept();
    desk.receive(conn, &their_open().encode());
    desk.receive(conn, &KEEPALIVE);
    assert_eq!(desk.said(), "open in0, keepalive in0, up in0");
    desk.give(Input::Closed { conn, reason: "connection closed by the peer".into() });
    desk.wait(secs(60));
    assert_eq!((desk.peer.state(), desk.peer.next_deadline()), (State::Active, None));
    assert!(!desk.said().contains("connect"));
}

#[test]
fn delay_open_leaves_the_first_word_to_the_neighbour() {
    let mut desk = Desk::new(PeerSettings { delay_open: Some(secs(10)), ..settings() });
    desk.give(Input::Start);
    desk.connect(ConnId::outbound(0));
    desk.wait(secs(9));
    assert_eq!((desk.said().as_str(), desk.peer.state()), ("connect", State::Connect));
    desk.wait(secs(1));
    assert_eq!((desk.said().as_str(), desk.peer.state()), ("open", State::OpenSent));
}

#[test]
fn a_neighbour_that_never_sends_open_is_given_four_minutes() {
    let (mut desk, _) = Desk::in_state(State::OpenSent);
    desk.wait(secs(239));
    assert_eq!(desk.said(), "");
    desk.wait(secs(1));
    assert_eq!(desk.said(), "notification 4/0, close");
    assert_eq!(desk.last_error(), "hold timer expired (240s without a message)");
}

#[test]
fn keepalives_leave_at_a_third_of_the_hold_time_at_the_latest() {
    let (mut desk, conn) = Desk::in_state(State::Established);
    let mut keepalives = 0;
    for _ in 0..1200 {
        desk.wait(secs(1));
        desk.receive(conn, &KEEPALIVE);
        keepalives += desk.said().matches("keepalive").count();
    }
    // 1200 s at 22.5 s to 30 s each.
    assert!((40..=53).contains(&keepalives), "{keepalives}");
    assert_eq!(desk.peer.state(), State::Established);
}

#[test]
fn silence_for_the_hold_time_ends_the_session_and_any_message_puts_it_off() {
    for message in [KEEPALIVE.to_vec(), end_of_rib(), refresh(RefreshSubtype::Request)] {
        let (mut desk, conn) = Desk::in_state(State::Established);
        desk.wait(secs(89));
        desk.receive(conn, &message);
        desk.wait(secs(89));
        assert_eq!(desk.peer.state(), State::Established);
        desk.wait(secs(1));
        assert_eq!(desk.peer.state(), State::Idle);
        assert!(desk.said().ends_with("notification 4/0, close, down"));
        assert_eq!(desk.last_error(), "hold timer expired (90s without a message)");
    }
}

#[test]
fn a_part_of_a_message_is_no_sign_of_life() {
    let (mut desk, conn) = Desk::in_state(State::Established);
    desk.wait(secs(60));
    desk.receive(conn, &end_of_rib()[..20]);
    desk.wait(secs(30));
    assert_eq!(desk.peer.state(), State::Idle);
}

#[test]
fn a_hold_time_of_zero_means_no_keepalives_and_no_hold_timer() {
    // RFC 4271 §4.2; either side may ask for it.
    for (ours, theirs) in [(0, 90), (90, 0), (0, 0)] {
        let mut desk = Desk::new(PeerSettings { hold_time: secs(ours), ..settings() });
        desk.lead_to(State::Established, &Open { hold_time_secs: theirs, ..their_open() });
        assert_eq!(desk.peer.next_deadline(), None);
        desk.out.clear();
        desk.wait(secs(1_000_000));
        assert_eq!((desk.said().as_str(), desk.peer.state()), ("", State::Established));
    }
}

#[test]
fn a_hold_time_of_zero_does_not_keep_a_silent_neighbour_in_open_confirm() {
    let mut desk = Desk::new(PeerSettings { hold_time: Duration::ZERO, ..settings() });
    desk.lead_to(State::OpenConfirm, &their_open());
    desk.wait(secs(240));
    assert_eq!(desk.last_error(), "hold timer expired (240s without a message)");
}

#[test]
fn the_smaller_hold_time_counts() {
    let mut desk = Desk::new(PeerSettings { hold_time: secs(30), ..settings() });
    desk.lead_to(State::Established, &their_open());
    desk.wait(secs(30));
    assert_eq!(desk.last_error(), "hold timer expired (30s without a message)");
}

#[test]
fn a_neighbour_that_reads_nothing_for_eight_minutes_is_dropped() {
    // RFC 9687: nothing can be told to it, for nothing gets through.
    let (mut desk, conn) = Desk::in_state(State::Established);
    let listen = |desk: &mut Desk, minutes: u64| {
        for _ in 0..minutes {
            desk.wait(secs(60));
            desk.receive(conn, &KEEPALIVE);
        }
    };
    desk.give(Input::Wrote { conn, octets: 0, pending: 1000 });
    listen(&mut desk, 7);
    desk.give(Input::Wrote { conn, octets: 0, pending: 2000 });
    assert_eq!(desk.peer.state(), State::Established);
    listen(&mut desk, 1);
    assert!(desk.said().ends_with("abort, down"));
    assert_eq!(desk.last_error(), "send hold timer expired (peer read nothing for 480s)");
}

#[test]
fn progress_in_writing_puts_the_send_hold_timer_off() {
    let (mut desk, conn) = Desk::in_state(State::Established);
    for _ in 0..20 {
        desk.give(Input::Wrote { conn, octets: 1, pending: 1000 });
        for _ in 0..7 {
            desk.wait(secs(60));
            desk.receive(conn, &KEEPALIVE);
        }
    }
    desk.give(Input::Wrote { conn, octets: 1000, pending: 0 });
    for _ in 0..20 {
        desk.wait(secs(60));
        desk.receive(conn, &KEEPALIVE);
    }
    assert_eq!(desk.peer.state(), State::Established);
}

#[test]
fn the_send_hold_time_is_twice_a_long_hold_time() {
    let mut desk = Desk::new(PeerSettings { hold_time: secs(600), ..settings() });
    let conn = desk.lead_to(State::Established, &Open { hold_time_secs: 600, ..their_open() });
    desk.give(Input::Wrote { conn, octets: 0, pending: 1 });
    for _ in 0..20 {
        desk.wait(secs(60));
        desk.receive(conn, &KEEPALIVE);
    }
    assert_eq!(desk.last_error(), "send hold timer expired (peer read nothing for 1200s)");
}

#[test]
fn a_neighbour_that_sends_faults_waits_longer_each_time_up_to_a_cap() {
    let mut desk = Desk::new(settings());
    desk.give(Input::Start);
    let mut waits = Vec::new();
    for n in 0..10 {
        let conn = ConnId::outbound(n);
        desk.connect(conn);
        desk.receive(conn, &their_open().encode());
        desk.receive(conn, &KEEPALIVE);
        desk.receive(conn, &broken_update());
        assert_eq!(desk.peer.state(), State::Idle);
        assert!(!desk.peer.wants_incoming(), "the same table would only be loaded again");
        waits.push(desk.wait_for_deadline());
        assert_eq!(desk.peer.state(), State::Connect);
    }
    for (wait, full) in waits.iter().zip([1, 2, 4, 8, 16, 32, 64, 120, 120, 120]) {
        assert!(between(*wait, secs(full) * 3 / 4, secs(full)), "{waits:?}");
    }
    assert_eq!(desk.peer.stats().flaps, 10);
}

#[test]
fn a_session_that_lasted_makes_the_next_wait_short_again() {
    let mut desk = Desk::new(settings());
    desk.give(Input::Start);
    for n in 0..8 {
        let conn = ConnId::outbound(n);
        desk.connect(conn);
        desk.receive(conn, &their_open().encode());
        desk.receive(conn, &KEEPALIVE);
        if n == 7 {
            desk.wait(secs(80));
            desk.receive(conn, &KEEPALIVE);
            desk.wait(secs(80));
        }
        desk.receive(conn, &broken_update());
        let wait = desk.wait_for_deadline();
        if n >= 6 {
            assert_eq!(wait < secs(2), n == 7, "{n}: {wait:?}");
        }
    }
}

#[test]
fn a_neighbour_that_comes_back_after_a_plain_loss_is_served_at_once() {
    let (mut desk, conn) = Desk::in_state(State::Established);
    desk.give(Input::Closed { conn, reason: "connection reset by the peer".into() });
    assert_eq!((desk.said().as_str(), desk.peer.state()), ("down", State::Idle));
    assert!(desk.peer.wants_incoming());
    let conn = desk.accept();
    desk.receive(conn, &their_open().encode());
    desk.receive(conn, &KEEPALIVE);
    assert_eq!(desk.said(), "open in0, keepalive in0, up in0");
}

#[test]
fn a_day_of_flapping_is_the_same_every_time() {
    fn day() -> (u64, Timestamp, Vec<String>) {
        let mut desk = Desk::new(settings());
        desk.give(Input::Start);
        let end = desk.now + secs(86_400);
        while desk.now < end {
            let conn = desk.out.iter().rev().find_map(|action| match action {
                Action::Connect { conn } => Some(*conn),
                _ => None,
            });
            if let Some(conn) = conn {
                desk.connect(conn);
                desk.receive(conn, &their_open().encode());
                desk.receive(conn, &KEEPALIVE);
                desk.give(Input::Closed { conn, reason: "connection reset by the peer".into() });
            }
            desk.out.clear();
            desk.wait_for_deadline();
        }
        (desk.peer.stats().flaps, desk.now, desk.warnings())
    }
    let (flaps, ..) = day();
    assert_eq!(day(), day());
    // Two minutes apart at most, 90 seconds at least, once the back-off is at its cap.
    assert!((720..=970).contains(&flaps), "{flaps}");
}
