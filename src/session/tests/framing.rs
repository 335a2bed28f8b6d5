//! Octets arrive in any pieces, and mean the same.

use super::*;

fn conversation() -> Vec<u8> {
    [their_open().encode(), KEEPALIVE.to_vec(), end_of_rib(), KEEPALIVE.to_vec(), end_of_rib()].concat()
}

#[test]
fn however_the_octets_are_cut_the_same_things_happen() {
    let whole = conversation();
    for size in [1, 2, 7, 18, 19, 20, 23, 41, 64, whole.len()] {
        let (mut desk, conn) = Desk::in_state(State::OpenSent);
        for piece in whole.chunks(size) {
            desk.receive(conn, piece);
        }
        let stats = desk.peer.stats();
        assert_eq!(
            (stats.received.open, stats.received.update, stats.received.keepalive),
            (1, 2, 2),
            "pieces of {size}"
        );
        assert_eq!(stats.octets_received, whole.len() as u64);
        assert_eq!(desk.peer.state(), State::Established);
        let updates = desk.out.iter().map(|action| if let Action::Updates(batch) = action { batch.len() } else { 0 });
        assert_eq!(updates.sum::<usize>(), 2);
    }
}

#[test]
fn a_whole_conversation_in_one_read_keeps_its_order() {
    let (mut desk, conn) = Desk::in_state(State::OpenSent);
    let bytes =
        [conversation(), Notification::administrative_shutdown("see you").encode(), KEEPALIVE.to_vec()].concat();
    desk.receive(conn, &bytes);
    assert_eq!(desk.said(), "keepalive, up, updates 2, close, down");
    assert_eq!(desk.last_error(), "peer sent Cease/Administrative Shutdown (6/2): \"see you\"");
    assert_eq!(desk.peer.stats().received.keepalive, 2, "what follows a NOTIFICATION is not looked at");
}

#[test]
fn after_a_fault_nothing_more_is_delivered() {
    let (mut desk, conn) = Desk::in_state(State::Established);
    let bytes = [end_of_rib(), broken_update(), end_of_rib()].concat();
    desk.receive(conn, &bytes);
    assert_eq!(desk.said(), "updates 1, notification 3/1, close, down", "the one before the fault");
    let faults = &desk.peer.stats().faults;
    assert_eq!(
        faults.iter().map(|row| (row.attribute, row.outcome, row.count)).collect::<Vec<_>>(),
        [(None, "reset", 1)]
    );
}

#[test]
fn refresh_marks_keep_their_place_between_updates() {
    // RFC 7313 §4.2: what comes between the marks is the refresh, so the engine must see the same order.
    let (mut desk, conn) = Desk::in_state(State::Established);
    let bytes = [
        end_of_rib(),
        refresh(RefreshSubtype::BeginOfRefresh),
        end_of_rib(),
        refresh(RefreshSubtype::EndOfRefresh),
        end_of_rib(),
    ]
    .concat();
    desk.receive(conn, &bytes);
    assert_eq!(desk.said(), "updates 1, refresh BeginOfRefresh, updates 1, refresh EndOfRefresh, updates 1");
    assert_eq!(desk.peer.stats().received.update, 3);
}

#[test]
fn a_length_beyond_what_was_announced_ends_the_session() {
    let huge = |len: u16| [vec![0xff; 16], len.to_be_bytes().to_vec(), vec![2]].concat();
    let (mut desk, conn) = Desk::in_state(State::Established);
    desk.receive(conn, &huge(4097));
    assert_eq!(desk.said(), "", "we announced extended messages, RFC 8654 §4");

    let mut desk = Desk::new(PeerSettings { extended_message: false, ..settings() });
    let conn = desk.lead_to(State::Established, &their_open());
    desk.out.clear();
    desk.receive(conn, &huge(4097));
    assert_eq!(desk.said(), "notification 1/2, close, down");
}

#[test]
fn refreshes_that_were_not_agreed_on_are_ignored_and_logged() {
    let other_family = RouteRefresh { family: Family::EVPN, subtype: RefreshSubtype::Request }.encode();
    for (message, line) in [
        (other_family, "ROUTE-REFRESH for l2vpn-evpn ignored: the family was not negotiated"),
        (refresh(RefreshSubtype::Unknown(9)), "ROUTE-REFRESH for ipv4-unicast ignored: its subtype is unknown"),
    ] {
        let (mut desk, conn) = Desk::in_state(State::Established);
        desk.receive(conn, &message.repeat(1000));
        assert_eq!(desk.warnings(), [line], "once, not a thousand times");
        assert_eq!((desk.peer.state(), desk.peer.stats().received.refresh), (State::Established, 1000));
    }
}

#[test]
fn a_refresh_mark_of_the_wrong_length_ends_the_session() {
    let (mut desk, conn) = Desk::in_state(State::Established);
    let mut mark = refresh(RefreshSubtype::BeginOfRefresh);
    mark.extend([0]);
    mark[17] += 1;
    desk.receive(conn, &mark);
    assert_eq!(desk.said(), "notification 7/1, close, down", "RFC 7313 §5");
}

/// An UPDATE that announces 203.0.113.0/24 with this ORIGIN value and this one AS in its path.
fn announcement(origin: &[u8], asn: u32) -> Vec<u8> {
    let attributes = [
        vec![0x40, 1, u8::try_from(origin.len()).expect("short")],
        origin.to_vec(),
        vec![0x40, 2, 6, 2, 1],
        asn.to_be_bytes().to_vec(),
        vec![0x40, 3, 4, 192, 0, 2, 1],
    ]
    .concat();
    let nlri = [24, 203, 0, 113];
    let len = |n: usize| u16::try_from(n).expect("short").to_be_bytes();
    let whole = 23 + attributes.len() + nlri.len();
    [&[0xff; 16][..], &len(whole), &[2, 0, 0], &len(attributes.len()), &attributes, &nlri].concat()
}

#[test]
fn a_fault_that_costs_only_routes_is_counted_and_said_once() {
    // RFC 7606 §7.1: ORIGIN of two octets is treat-as-withdraw.
    let (mut desk, conn) = Desk::in_state(State::Established);
    desk.receive(conn, &[announcement(&[0, 0], THEM.0), announcement(&[0], THEM.0)].concat().repeat(50));
    assert_eq!(desk.peer.state(), State::Established);
    let faults = &desk.peer.stats().faults;
    let rows: Vec<_> = faults.iter().map(|row| (row.attribute, row.outcome, row.count)).collect();
    assert_eq!(rows, [(Some(1), "withdraw", 50)]);
    assert!(faults[0].last.contains("RFC 7606"), "{}", faults[0].last);
    let lines = desk.warnings();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("malformed UPDATE from the peer, the session goes on: "), "{lines:?}");
}

#[test]
fn the_first_as_of_a_path_is_the_neighbour_s_unless_that_is_not_asked_for() {
    // RFC 4271 §6.3; route servers leave themselves out (RFC 7947 §2.2.2.1).
    for (enforce_first_as, asn, faults) in [(true, THEM.0, 0), (true, 64499, 1), (false, 64499, 0)] {
        let mut desk = Desk::new(PeerSettings { enforce_first_as, ..settings() });
        let conn = desk.lead_to(State::Established, &their_open());
        desk.receive(conn, &announcement(&[0], asn));
        assert_eq!(desk.peer.stats().faults.len(), faults, "{enforce_first_as} {asn}");
        assert_eq!(desk.peer.state(), State::Established);
    }
}
