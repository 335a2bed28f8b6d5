//! Sessions between two routers that are both ours: whatever the wires do, they find each other again, and what
//! must hold holds after every step (`net::Ledger`).

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use ribwatch::{
    session::{ConnId, Direction, DownReason, Input, PeerSettings, RemoteAsn, State, bgp_peer::BgpPeer},
    types::{Asn, Family, RouterId, Timestamp},
    wire::bgp::{
        KEEPALIVE, RefreshSubtype, RouteRefresh, batch::UpdateBatch, capability::Capability,
        notification::Notification, open::Open,
    },
};

use crate::net::{End, Ledger, Net, minutes, secs, speaker};

/// The longest way back: both idle holds and both connect retries at their caps, and a silent connection that
/// has to run into its timer.
const RECOVERY: Duration = Duration::from_secs(15 * 60);

#[test]
fn two_routers_that_start_at_once_agree_on_one_connection() {
    for seed in 0..200 {
        let mut net = Net::new(seed);
        let link = net.link(speaker(64496, 1), speaker(64497, 2));
        net.start();
        let time = net.run_until_up(link, secs(2));
        net.run(minutes(10));
        assert!(net.agree(link), "seed {seed}");
        assert!(time.is_some(), "seed {seed}: at the first try");
        assert_eq!(
            (net.downs(link.0), net.downs(link.1)),
            (&[][..], &[][..]),
            "seed {seed}: a collision costs no flap"
        );
    }
}

#[test]
fn a_collision_costs_no_flap_however_far_apart_the_two_begin() {
    for seed in 0..400 {
        let mut net = Net::new(seed);
        let delay_open = [None, Some(Duration::from_millis(30)), Some(secs(1))][(seed % 3) as usize];
        // Equal identifiers across an AS boundary, now and then: RFC 6286 §2.3.
        let other = if seed % 4 == 0 { 7 } else { 8 };
        let (a, b) = net.link(PeerSettings { delay_open, ..speaker(64497, 7) }, speaker(64496, other));
        net.give(a, Input::Start);
        net.run(Duration::from_micros(seed * 250));
        net.give(b, Input::Start);
        assert!(net.run_until_up((a, b), secs(10)).is_some(), "seed {seed}");
        net.run(minutes(5));
        assert!(net.agree((a, b)) && net.downs(a).is_empty() && net.downs(b).is_empty(), "seed {seed}");
    }
}

#[test]
fn a_passive_router_is_found_by_an_active_one() {
    let mut net = Net::new(1);
    let link = net.link(PeerSettings { passive: true, ..speaker(64496, 1) }, speaker(64496, 2));
    net.start();
    assert!(net.run_until_up(link, secs(2)).is_some());
    assert!(net.agree(link));
}

#[test]
fn two_passive_routers_wait_for_each_other_for_ever() {
    let mut net = Net::new(1);
    let passive = |id| PeerSettings { passive: true, ..speaker(64496, id) };
    let (a, b) = net.link(passive(1), passive(2));
    net.start();
    net.run(minutes(60));
    assert_eq!((net.state(a), net.state(b)), (State::Active, State::Active));
}

#[test]
fn a_session_lives_through_a_quiet_day_on_keepalives_alone() {
    for hold_time in [0, 3, 90] {
        let mut net = Net::new(3);
        let link = net.link(PeerSettings { hold_time: secs(hold_time), ..speaker(64496, 1) }, speaker(64497, 2));
        net.start();
        net.run(minutes(24 * 60));
        assert!(net.agree(link) && net.downs(link.0).is_empty(), "hold time {hold_time}");
    }
}

#[test]
fn a_broken_connection_is_back_within_seconds() {
    let mut net = Net::new(5);
    let link = net.link(speaker(64496, 1), speaker(64497, 2));
    net.start();
    for _ in 0..20 {
        assert!(net.run_until_up(link, secs(10)).is_some());
        net.run(minutes(10));
        net.cut(link.0);
        net.run(secs(1));
    }
    assert_eq!(net.downs(link.0).len(), 20);
    assert!(net.downs(link.0).iter().all(|reason| matches!(reason, DownReason::ConnectionLost(_))));
}

#[test]
fn silence_is_noticed_by_the_hold_timer_on_both_sides() {
    let mut net = Net::new(9);
    let link = net.link(speaker(64496, 1), speaker(64497, 2));
    net.start();
    net.run(secs(10));
    net.silence(link.0);
    net.run(secs(91));
    for end in [link.0, link.1] {
        assert_eq!(net.downs(end), [DownReason::HoldTimerExpired(secs(90))]);
    }
    net.run(minutes(30));
    net.heal(link.0);
    assert!(net.run_until_up(link, RECOVERY).is_some());
    net.run(minutes(1));
    assert!(net.agree(link));
}

#[test]
fn a_router_that_crashed_is_taken_back_as_soon_as_it_knocks_where_graceful_restart_was_agreed() {
    // RFC 4724 §5: a new connection means that the old one died.
    for seed in 0..50 {
        let mut net = Net::new(seed);
        let link = net.link(PeerSettings { passive: true, ..speaker(64496, 1) }, speaker(64497, 2));
        net.start();
        net.run(minutes(3));
        net.crash(link.1);
        assert!(net.run_until_up(link, secs(3)).is_some(), "seed {seed}");
        net.run(minutes(5));
        assert!(net.agree(link), "seed {seed}");
    }
}

#[test]
fn without_graceful_restart_the_dead_session_stands_in_the_way_until_tcp_or_the_hold_timer_speaks() {
    // RFC 4271 §6.8: an established connection wins a collision.
    for seed in 0..50 {
        let mut net = Net::new(seed);
        let plain = |asn, id| PeerSettings { end_of_rib: false, ..speaker(asn, id) };
        let link = net.link(plain(64496, 1), plain(64497, 2));
        net.start();
        net.run(minutes(3));
        net.crash(link.1);
        assert!(net.run_until_up(link, minutes(4)).is_some(), "seed {seed}");
        net.run(minutes(5));
        assert!(net.agree(link), "seed {seed}");
    }
}

#[test]
fn shutdown_text_travels_to_the_other_side() {
    let mut net = Net::new(2);
    let link = net.link(speaker(64496, 1), speaker(64497, 2));
    net.start();
    net.run(secs(10));
    net.give(link.0, Input::Disable { text: "maintenance until 04:00".into() });
    net.run(secs(1));
    let told = "Cease/Administrative Shutdown (6/2): \"maintenance until 04:00\"";
    let inside = format!("peer sent Cease/Hard Reset (6/9): {told}");
    assert!(net.peer(link.1).stats().last_error.as_deref().is_some_and(|text| text.contains(&inside)), "RFC 8538 §5.1");
    net.run(minutes(60));
    assert!(!net.is_up(link.0) && !net.is_up(link.1));
    assert!(net.peer(link.1).stats().last_error.as_deref().is_some_and(|text| text.contains(told)), "still to be read");
    net.give(link.0, Input::Enable);
    assert!(net.run_until_up(link, secs(5)).is_some(), "the one who is enabled calls at once");
}

#[test]
fn a_reset_costs_seconds() {
    let mut net = Net::new(2);
    let link = net.link(speaker(64496, 1), speaker(64497, 2));
    net.start();
    net.run(minutes(10));
    net.give(link.0, Input::Reset { text: "new policy".into(), hard: false });
    assert!(!net.is_up(link.0));
    assert!(net.run_until_up(link, secs(10)).is_some());
}

#[test]
fn routers_that_disagree_keep_saying_why_and_recover_when_they_agree() {
    let mut net = Net::new(4);
    let wrong = PeerSettings { remote_asn: RemoteAsn::Exact(Asn(64499)), ..speaker(64496, 1) };
    let (a, b) = net.link(wrong, speaker(64497, 2));
    net.start();
    net.run(minutes(60));
    assert_eq!(net.peer(a).stats().last_error.as_deref(), Some("peer AS is 64497, expected 64499"));
    assert_eq!(net.peer(a).stats().established, 0);
    assert!(net.peer(b).stats().received.notification > 0);
    // Backed off: an hour of it is a few dozen attempts, not thousands.
    assert!(net.peer(b).stats().sent.open < 200, "{}", net.peer(b).stats().sent.open);
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Cut,
    Silence,
    Heal,
    CrashA,
    CrashB,
    ResetA,
    ResetB,
}

fn trouble() -> impl Strategy<Value = (Trouble, u64)> {
    use Trouble::*;
    let kind =
        prop_oneof![Just(Cut), Just(Silence), Just(Heal), Just(CrashA), Just(CrashB), Just(ResetA), Just(ResetB)];
    let wait = prop_oneof![0..200u64, 0..5_000u64, 0..300_000u64];
    (kind, wait)
}

fn cause(net: &mut Net, link: (End, End), trouble: Trouble) {
    let reset = || Input::Reset { text: "again".into(), hard: true };
    match trouble {
        Trouble::Cut => net.cut(link.0),
        Trouble::Silence => net.silence(link.0),
        Trouble::Heal => net.heal(link.0),
        Trouble::CrashA => net.crash(link.0),
        Trouble::CrashB => net.crash(link.1),
        Trouble::ResetA => net.give(link.0, reset()),
        Trouble::ResetB => net.give(link.1, reset()),
    }
}

proptest! {
    #[test]
    fn whatever_happened_two_honest_routers_meet_again(
        seed in any::<u64>(),
        ids in (1u8..4, 1u8..4),
        passive in any::<bool>(),
        delay_open in prop_oneof![3 => Just(0u64), 1 => 1..20u64],
        troubles in prop::collection::vec(trouble(), 0..30),
    ) {
        let mut net = Net::new(seed);
        let delay_open = (delay_open > 0).then(|| secs(delay_open));
        let a = PeerSettings { passive, delay_open, ..speaker(64496, ids.0) };
        let link = net.link(a, speaker(64497, ids.1));
        net.start();
        for (trouble, wait) in troubles {
            cause(&mut net, link, trouble);
            net.run(Duration::from_millis(wait));
        }
        net.heal(link.0);
        prop_assert!(net.run_until_up(link, RECOVERY).is_some(), "{:?} {:?}", net.peer(link.0), net.peer(link.1));
        net.run(minutes(20));
        prop_assert!(net.agree(link), "and it is one connection");
        let flaps = |net: &Net| net.downs(link.0).len() + net.downs(link.1).len();
        let before = flaps(&net);
        net.run(minutes(60));
        prop_assert_eq!(before, flaps(&net), "and it stays");
    }
}

/// One thing that may happen to a session, in any order.
#[derive(Clone, Debug)]
enum Op {
    Start,
    AttemptSucceeds,
    AttemptFails,
    Accept,
    /// To the nth open connection: octets.
    Receive(usize, Vec<u8>),
    /// The nth open connection breaks.
    Break(usize),
    /// About a connection that nobody knows.
    Stale(u64),
    Wait(u64),
    Wrote(usize, usize, usize),
    Enable,
    Disable,
    Reset,
    Refresh,
    Notify(Option<u64>),
    Shutdown,
}

fn their_open(id: u32, hold_time_secs: u16, graceful: bool) -> Vec<u8> {
    let mut capabilities = vec![Capability::MultiProtocol(Family::IPV4_UNICAST), Capability::RouteRefresh];
    if graceful {
        capabilities.push(Capability::GracefulRestart(Default::default()));
    }
    Open::new(Asn(64497), hold_time_secs, RouterId(id), capabilities).encode()
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let end_of_rib = [vec![0xff; 16], vec![0, 23, 2, 0, 0, 0, 0]].concat();
    let broken = [vec![0xff; 16], vec![0, 23, 2, 0xff, 0xff, 0, 0]].concat();
    let refresh = RouteRefresh { family: Family::IPV4_UNICAST, subtype: RefreshSubtype::EndOfRefresh }.encode();
    let unknown_parameter = Notification { code: 2, subcode: 4, data: vec![] }.encode();
    prop_oneof![
        6 => (1..4u32, prop_oneof![Just(0u16), Just(3), Just(90)], any::<bool>())
            .prop_map(|(id, hold, graceful)| their_open(id, hold, graceful)),
        6 => Just(KEEPALIVE.to_vec()),
        3 => Just(end_of_rib),
        1 => Just(broken),
        2 => Just(refresh),
        1 => Just(unknown_parameter),
        1 => (0..10u8, 0..12u8).prop_map(|(code, subcode)| Notification { code, subcode, data: vec![] }.encode()),
        1 => prop::collection::vec(any::<u8>(), 0..80),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|tail| [vec![0xff; 16], tail].concat()),
    ]
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    (prop::collection::vec(message(), 1..5), 0..4usize).prop_map(|(messages, cut)| {
        let mut bytes = messages.concat();
        bytes.truncate(bytes.len().saturating_sub(if cut == 0 { 7 } else { 0 }));
        bytes
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => Just(Op::Start),
        4 => Just(Op::AttemptSucceeds),
        1 => Just(Op::AttemptFails),
        4 => Just(Op::Accept),
        12 => (0..3usize, octets()).prop_map(|(n, bytes)| Op::Receive(n, bytes)),
        2 => (0..3usize).prop_map(Op::Break),
        1 => (0..8u64).prop_map(Op::Stale),
        4 => prop_oneof![0..5u64, 0..700u64].prop_map(Op::Wait),
        1 => (0..3usize, 0..3usize, 0..3usize).prop_map(|(n, octets, pending)| Op::Wrote(n, octets, pending)),
        1 => Just(Op::Enable),
        1 => Just(Op::Disable),
        1 => Just(Op::Reset),
        1 => Just(Op::Refresh),
        1 => prop::option::of(0..100u64).prop_map(Op::Notify),
        1 => Just(Op::Shutdown),
    ]
}

/// A session alone with whoever plays its surroundings.
struct Lab {
    peer: BgpPeer,
    ledger: Ledger,
    now: Timestamp,
    accepted: u64,
    stale: u64,
}

impl Lab {
    fn new(settings: PeerSettings) -> Self {
        let peer = BgpPeer::new(Arc::new(settings), 11);
        Self { peer, ledger: Ledger::default(), now: Timestamp::from_secs(1_000_000), accepted: 0, stale: 1 << 40 }
    }

    fn give(&mut self, input: Input<'_>) {
        let (mut updates, mut out) = (UpdateBatch::default(), Vec::new());
        self.peer.handle(self.now, input, &mut updates, &mut out);
        assert!(updates.is_empty(), "what was decoded is handed on");
        out.iter().for_each(|action| self.ledger.check(action));
        self.ledger.check_rest(&self.peer);
    }

    fn nth(&self, n: usize) -> Option<ConnId> {
        self.ledger.open.iter().nth(n).copied()
    }

    fn connected(&mut self, conn: ConnId, direction: Direction) {
        self.ledger.connected(conn);
        let (local, remote) = (([192, 0, 2, 2], 179).into(), ([192, 0, 2, 1], 179).into());
        self.give(Input::Connected { conn, direction, local, remote });
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        while let Some(deadline) = self.peer.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.give(Input::TimersDue);
            steps += 1;
            assert!(steps < 100_000, "time stands still");
        }
        self.now = end;
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Start => self.give(Input::Start),
            Op::AttemptSucceeds => {
                if let Some(conn) = self.ledger.attempt {
                    self.connected(conn, Direction::Outbound);
                }
            }
            Op::AttemptFails => {
                if let Some(conn) = self.ledger.attempt {
                    self.ledger.failed(conn);
                    self.give(Input::ConnectFailed { conn, reason: "connection refused".into() });
                }
            }
            Op::Accept => {
                self.accepted += 1;
                self.connected(ConnId::inbound(self.accepted), Direction::Inbound);
            }
            Op::Receive(n, bytes) => {
                if let Some(conn) = self.nth(n) {
                    self.give(Input::Received { conn, bytes: &bytes });
                }
            }
            Op::Break(n) => {
                if let Some(conn) = self.nth(n) {
                    self.ledger.closed(conn);
                    self.give(Input::Closed { conn, reason: "connection reset by the peer".into() });
                }
            }
            Op::Stale(n) => {
                self.stale += 1;
                let conn = ConnId(self.stale << 1);
                match n % 4 {
                    0 => self.connected(conn, Direction::Outbound),
                    1 => self.give(Input::Closed { conn, reason: "gone".into() }),
                    2 => self.give(Input::ConnectFailed { conn, reason: "gone".into() }),
                    _ => self.give(Input::Received { conn, bytes: &KEEPALIVE }),
                }
            }
            Op::Wait(time) => self.wait(secs(time)),
            Op::Wrote(n, octets, pending) => {
                if let Some(conn) = self.nth(n) {
                    self.give(Input::Wrote { conn, octets, pending });
                }
            }
            Op::Enable => self.give(Input::Enable),
            Op::Disable => self.give(Input::Disable { text: "maintenance".into() }),
            Op::Reset => self.give(Input::Reset { text: String::new(), hard: true }),
            Op::Refresh => self.give(Input::SendRefresh { family: Family::IPV4_UNICAST }),
            Op::Notify(time) => {
                let restart_after = time.map(secs);
                self.give(Input::Notify { notification: Notification::cease(1), restart_after });
            }
            Op::Shutdown => self.give(Input::Shutdown),
        }
    }
}

proptest! {
    #[test]
    fn nothing_that_happens_breaks_a_session(
        ops in prop::collection::vec(op(), 1..120),
        passive in any::<bool>(),
        delayed in any::<bool>(),
        monitor_only in any::<bool>(),
    ) {
        let settings = PeerSettings::new(Asn(64496), RouterId(2), RemoteAsn::Any);
        let delay_open = delayed.then(|| secs(5));
        let mut lab = Lab::new(PeerSettings { passive, delay_open, monitor_only, ..settings });
        lab.give(Input::Start);
        for op in ops {
            lab.apply(op);
        }
        // Left alone, every connection that does not carry the session runs into a timer and is closed.
        lab.wait(secs(600));
        let leftover: Vec<_> = lab.ledger.open.iter().filter(|conn| Some(**conn) != lab.ledger.up).collect();
        prop_assert!(leftover.is_empty(), "{leftover:?}");
        // And however it stands, an operator who disables and enables it has a session with an honest neighbour.
        lab.give(Input::Disable { text: String::new() });
        prop_assert!(lab.ledger.open.is_empty() && lab.ledger.attempt.is_none());
        lab.give(Input::Enable);
        lab.apply(Op::Accept);
        lab.apply(Op::Receive(0, [their_open(9, 90, false), KEEPALIVE.to_vec()].concat()));
        prop_assert!(lab.ledger.up.is_some());
    }
}
