//! Restarts, theirs and ours: what is announced, which ends leave routes behind, and how we leave (RFC 4724, RFC 8538,
//! RFC 9494).

use super::*;
use crate::{
    session::{DownReason, RestartOffer},
    wire::bgp::capability::{GracefulRestart, LlgrFamily},
};

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;

/// We ask to have our routes kept for 90 s, and for an hour behind that.
fn asking() -> PeerSettings {
    let restart = RestartOffer { restart_time: Some(secs(90)), long_lived: Some(secs(3600)), restarted_until: None };
    PeerSettings { restart, ..settings() }
}

/// What they say: capability 64 with both families.
fn theirs(notification: bool) -> Open {
    let mut open = their_open();
    open.capabilities.push(Capability::GracefulRestart(GracefulRestart {
        restarting: false,
        notification,
        restart_time_secs: 120,
        families: vec![(V4, true), (V6, false)],
    }));
    open
}

/// An established session between `settings` and a neighbour that said `open`.
fn up(settings: PeerSettings, open: &Open) -> (Desk, ConnId) {
    let mut desk = Desk::new(settings);
    let conn = desk.lead_to(State::Established, open);
    desk.out.clear();
    (desk, conn)
}

fn told(open: &Open) -> (Option<GracefulRestart>, Option<Vec<LlgrFamily>>) {
    let mut told = (None, None);
    for capability in &open.capabilities {
        match capability {
            Capability::GracefulRestart(restart) => told.0 = Some(restart.clone()),
            Capability::LongLivedGracefulRestart(list) => told.1 = Some(list.clone()),
            _ => {}
        }
    }
    told
}

fn first_open(settings: PeerSettings) -> Open {
    let mut desk = Desk::new(settings);
    desk.lead_to(State::OpenSent, &their_open());
    desk.sent_open()
}

#[test]
fn what_is_announced_follows_the_settings() {
    let long = |family| LlgrFamily { family, forwarding_preserved: true, stale_time_secs: 3600 };
    let helper = GracefulRestart { notification: true, ..GracefulRestart::default() };
    let on = GracefulRestart { restart_time_secs: 90, families: vec![(V4, true), (V6, true)], ..helper.clone() };
    let aware = RestartOffer { long_lived: Some(secs(3600)), ..RestartOffer::default() };
    for (settings, expected) in [
        (PeerSettings { end_of_rib: false, ..asking() }, (None, None)),
        (PeerSettings { monitor_only: true, ..asking() }, (None, None)),
        (settings(), (Some(helper.clone()), None)),
        (PeerSettings { restart: aware, ..settings() }, (Some(helper), Some(vec![]))),
        (asking(), (Some(on), Some(vec![long(V4), long(V6)]))),
    ] {
        assert_eq!(told(&first_open(settings)), expected);
    }
}

#[test]
fn times_that_do_not_fit_their_fields_are_cut() {
    let restart =
        RestartOffer { restart_time: Some(secs(100_000)), long_lived: Some(secs(100_000_000)), restarted_until: None };
    let (restart, long_lived) = told(&first_open(PeerSettings { restart, ..settings() }));
    assert_eq!(restart.map(|restart| restart.restart_time_secs), Some(4095), "12 bits");
    assert_eq!(long_lived.map(|list| list[0].stale_time_secs), Some(0x00ff_ffff), "24 bits");
}

#[test]
fn long_lived_restart_holds_only_beside_graceful_restart() {
    let list = vec![LlgrFamily { family: V4, forwarding_preserved: true, stale_time_secs: 7 }];
    let mut alone = their_open();
    alone.capabilities.push(Capability::LongLivedGracefulRestart(list.clone()));
    let (desk, _) = up(asking(), &alone);
    assert_eq!(desk.peer.negotiated().map(|n| n.long_lived.clone()), Some(None), "RFC 9494 §4.5");
    let mut both = theirs(true);
    both.capabilities.push(Capability::LongLivedGracefulRestart(list.clone()));
    for (settings, expected) in [(asking(), Some(list)), (settings(), None)] {
        let (desk, _) = up(settings, &both);
        assert_eq!(desk.peer.negotiated().map(|n| n.long_lived.clone()), Some(expected), "both must say it");
    }
}

#[test]
fn what_the_neighbour_asks_for_is_read_per_family() {
    let mut open = theirs(true);
    let long = LlgrFamily { family: V6, forwarding_preserved: true, stale_time_secs: 7 };
    open.capabilities.push(Capability::LongLivedGracefulRestart(vec![long]));
    let (desk, _) = up(asking(), &open);
    let negotiated = desk.peer.negotiated().expect("up");
    for (family, restart_time, long_lived, preserved) in
        [(V4, 120, 0, (true, false)), (V6, 120, 7, (false, true)), (Family::EVPN, 0, 0, (false, false))]
    {
        let times = (negotiated.restart_time(family), negotiated.long_lived_stale_time(family));
        assert_eq!(times, (secs(restart_time), secs(long_lived)));
        assert_eq!((negotiated.state_preserved(family, false), negotiated.state_preserved(family, true)), preserved);
    }
    assert_eq!(
        negotiated.describe_restart(),
        [
            "End-of-RIB",
            "routes kept over NOTIFICATION (RFC 8538)",
            "graceful restart, peer returns within 120s: ipv4-unicast ipv6-unicast",
            "long-lived graceful restart: ipv6-unicast 7s",
        ]
    );
}

/// Whether the neighbour may return from the end that just happened.
fn may_return(desk: &Desk) -> bool {
    let down = desk.out.iter().find_map(|action| match action {
        Action::Down { may_return, .. } => Some(*may_return),
        _ => None,
    });
    down.expect("the session is down")
}

#[test]
fn which_ends_a_neighbour_may_return_from() {
    type End = fn(&mut Desk, ConnId);
    let notified = |desk: &mut Desk, conn: ConnId| desk.receive(conn, &Notification::cease(4).encode());
    let hard = |desk: &mut Desk, conn: ConnId| {
        desk.receive(conn, &Notification::administrative_reset("").into_hard_reset().encode());
    };
    let lost = |desk: &mut Desk, conn: ConnId| {
        desk.give(Input::Closed { conn, reason: "connection reset by the peer".into() });
    };
    let silent = |desk: &mut Desk, _: ConnId| desk.wait(secs(91));
    let stuck = |desk: &mut Desk, conn: ConnId| {
        desk.give(Input::Wrote { conn, octets: 0, pending: 100 });
        for _ in 0..17 {
            desk.wait(secs(30));
            desk.receive(conn, &KEEPALIVE);
        }
    };
    let faulty = |desk: &mut Desk, conn: ConnId| desk.receive(conn, &broken_update());
    let short = |desk: &mut Desk, conn: ConnId| {
        let mut message = vec![0xff; 16];
        message.extend([0, 20, 3, 6]);
        desk.receive(conn, &message);
    };
    let disabled = |desk: &mut Desk, _: ConnId| desk.give(Input::Disable { text: String::new() });
    let reset = |desk: &mut Desk, _: ConnId| desk.give(Input::Reset { text: String::new(), hard: false });
    let limited = |desk: &mut Desk, _: ConnId| {
        desk.give(Input::Notify { notification: Notification::cease(8), restart_after: Some(secs(60)) });
    };
    let rows: [(&str, End, bool, bool); 10] = [
        // without the N bit, with it
        ("TCP connection lost", lost, true, true),        // RFC 4724 §4.2
        ("NOTIFICATION received", notified, false, true), // RFC 4724 §4; RFC 8538 §4
        ("Hard Reset received", hard, false, false),      // RFC 8538 §3
        ("hold timer", silent, false, true),              // RFC 4724 §4; RFC 8538 §4
        ("send hold timer", stuck, false, true),          // RFC 9687; likewise
        ("fault in an UPDATE", faulty, false, true),      // RFC 8538 §4
        ("NOTIFICATION too short to be one", short, false, true), // whatever it was, it was no Hard Reset
        ("disabled by us", disabled, false, false),
        ("reset by us", reset, false, false),
        ("ended by the engine", limited, false, false),
    ];
    for (what, end, without, with) in rows {
        for (notification, expected) in [(false, without), (true, with)] {
            let (mut desk, conn) = up(settings(), &theirs(notification));
            end(&mut desk, conn);
            assert_eq!(may_return(&desk), expected, "{what}, N bit {notification}");
        }
        let (mut desk, conn) = up(settings(), &their_open());
        end(&mut desk, conn);
        assert!(!may_return(&desk), "{what}, without the capability");
    }
}

#[test]
fn a_neighbour_that_restarted_takes_the_place_of_its_dead_session_and_may_return() {
    let (mut desk, _) = up(settings(), &theirs(false));
    desk.wait(secs(20));
    desk.out.clear();
    let conn = desk.accept();
    desk.receive(conn, &theirs(false).encode());
    desk.receive(conn, &KEEPALIVE);
    assert!(may_return(&desk));
    assert_eq!(desk.said(), "close, down, open in0, keepalive in0, up in0", "RFC 4724 §4.2: without a NOTIFICATION");
}

#[test]
fn the_process_leaves_without_a_word_where_its_routes_are_to_be_kept() {
    for (settings, open, said) in [
        (asking(), theirs(false), "close, down"),
        (asking(), theirs(true), "close, down"),
        (asking(), their_open(), "notification 6/2, close, down"), // it keeps nothing for nobody
        (settings(), theirs(false), "notification 6/2, close, down"), // nothing was asked for
    ] {
        let (mut desk, _) = up(settings, &open);
        desk.give(Input::Shutdown);
        assert_eq!((desk.said().as_str(), desk.peer.state(), desk.peer.next_deadline()), (said, State::Idle, None));
    }
}

#[test]
fn ends_meant_for_long_are_hard_resets_where_they_are_understood() {
    let disable = Input::Disable { text: "maintenance".into() };
    let limit = Input::Notify { notification: Notification::cease(1), restart_after: None };
    let removed = Input::Notify { notification: Notification::cease(3), restart_after: None };
    let reset = Input::Reset { text: String::new(), hard: true };
    let soft = Input::Reset { text: String::new(), hard: false };
    let changed = Input::Notify { notification: Notification::cease(6), restart_after: None };
    // RFC 8538 §5.1; the last ones are a graceful Cease.
    for (input, hard) in
        [(disable, true), (limit, true), (removed, true), (reset, true), (soft, false), (changed, false)]
    {
        let (mut desk, _) = up(settings(), &theirs(true));
        desk.give(input.clone());
        assert_eq!(desk.said().contains("notification 6/9"), hard, "{input:?}");
        let (mut desk, _) = up(settings(), &theirs(false));
        desk.give(input);
        assert!(!desk.said().contains("6/9"), "RFC 8538 §4: not without the N bit");
    }
    let (mut desk, _) = up(settings(), &theirs(true));
    desk.give(Input::Disable { text: "maintenance".into() });
    assert!(
        desk.last_error().ends_with("Cease/Administrative Shutdown (6/2): \"maintenance\""),
        "{}",
        desk.last_error()
    );
}

#[test]
fn we_say_that_we_restarted_until_the_first_session_and_while_it_can_matter() {
    let restarted = |time| {
        let now = Timestamp::from_secs(1_000_000);
        let restart = RestartOffer { restarted_until: Some(now + secs(time)), ..asking().restart };
        PeerSettings { restart, ..settings() }
    };
    let says = |desk: &Desk| told(&desk.sent_open()).0.is_some_and(|restart| restart.restarting);

    let mut desk = Desk::new(restarted(100));
    let conn = desk.lead_to(State::OpenSent, &their_open());
    assert!(says(&desk));
    desk.receive(conn, &Notification::cease(7).encode());
    desk.wait_for_deadline();
    desk.connect(ConnId::outbound(1));
    assert!(says(&desk), "that was no session");
    desk.receive(ConnId::outbound(1), &theirs(true).encode());
    desk.receive(ConnId::outbound(1), &KEEPALIVE);
    desk.give(Input::Closed { conn: ConnId::outbound(1), reason: "connection reset by the peer".into() });
    desk.wait_for_deadline();
    desk.connect(ConnId::outbound(2));
    assert!(!says(&desk), "RFC 4724 §4.2: not unless we have restarted");

    let mut late = Desk::new(restarted(100));
    late.wait(secs(100));
    late.lead_to(State::OpenSent, &their_open());
    assert!(!says(&late), "whoever kept our routes has deleted them by now");
}

#[test]
fn reasons_read_well() {
    assert_eq!(DownReason::Restarting.to_string(), "we end and are to come back; the peer keeps our routes");
}
