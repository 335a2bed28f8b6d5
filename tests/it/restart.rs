//! Restarts of the daemon and of its neighbours, over loopback: what stands between the session and the engine.

use ribwatch::{
    metrics,
    types::Family,
    view::{Command, SessionState},
    wire::bgp::{
        MessageType,
        capability::{Capability, GracefulRestart},
        notification::Notification,
        open::Open,
        update::end_of_rib,
    },
};

use crate::router::{OPEN_POLICY, PATIENCE, Raw, Router};

const V4: Family = Family::IPV4_UNICAST;

/// 203.0.113.0/24 with next hop 127.0.0.2 and AS_PATH 64497.
const ROUTE: [u8; 47] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // marker
    0, 47, 2, 0, 0, 0, 20, // 47 octets, UPDATE, no withdrawn routes, 20 octets of attributes
    0x40, 1, 1, 0, // ORIGIN IGP
    0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf1, // AS_PATH 64497
    0x40, 3, 4, 127, 0, 0, 2, // NEXT_HOP
    24, 203, 0, 113, // NLRI
];

/// A speaker that comes back within `secs` and keeps its state meanwhile.
fn speaker(from: &str, port: u16, secs: u16) -> (Raw, Open) {
    let mut raw = Raw::dial(from, port);
    let restart = GracefulRestart { restart_time_secs: secs, families: vec![(V4, true)], ..Default::default() };
    raw.open(64497, 90, vec![Capability::MultiProtocol(V4), Capability::GracefulRestart(restart)]);
    let open = Open::decode(&raw.next_of(MessageType::Open)).expect("a good OPEN");
    raw.send(&ribwatch::wire::bgp::KEEPALIVE);
    raw.next_of(MessageType::Keepalive);
    (raw, open)
}

fn restarted(open: &Open) -> bool {
    open.capabilities.iter().any(|c| matches!(c, Capability::GracefulRestart(restart) if restart.restarting))
}

fn hub(remote: &str, keys: &str) -> Router {
    let neighbor = format!("[[neighbor]]\n{remote}\nremote_asn = 64497\npassive = true\n{OPEN_POLICY}{keys}");
    Router::start(64496, "127.0.0.1:0", &neighbor)
}

/// Waits until so many stale paths of a neighbour are counted.
fn await_stale(hub: &Router, address: &str, wanted: u64) {
    let row = format!("ribwatch_peer_routes_stale{{peer=\"{address}\",route_family=\"ipv4-unicast\"}} {wanted}\n");
    let deadline = std::time::Instant::now() + PATIENCE;
    while !metrics::text(&*hub.backend(), &ribwatch::alert::Nobody).contains(&row) {
        assert!(std::time::Instant::now() < deadline, "never came: {row}");
        std::thread::yield_now();
    }
}

#[test]
fn a_neighbour_from_a_range_that_returns_is_the_same_one_and_finds_its_routes() {
    // gobgp#1939: a dynamic neighbour's stale routes.
    let hub = hub("range = \"127.0.2.0/24\"", "");
    let (mut raw, _) = speaker("127.0.2.1", hub.port(), 100);
    raw.send(&ROUTE);
    hub.await_routes(&["203.0.113.0/24"]);
    let peer = hub.peer("127.0.2.1");
    drop(raw);
    hub.await_neighbors("the loss", |views| views.iter().all(|view| view.state != SessionState::Established));
    hub.await_routes(&["203.0.113.0/24"]);
    assert!(hub.routes().rows[0].stale);
    await_stale(&hub, "127.0.2.1", 1);

    let (mut raw, _) = speaker("127.0.2.1", hub.port(), 100);
    hub.await_state("127.0.2.1", SessionState::Established);
    assert_eq!(hub.peer("127.0.2.1"), peer);
    raw.send(&end_of_rib(V4));
    hub.await_routes(&[]);
    await_stale(&hub, "127.0.2.1", 0);
    hub.stop();
}

#[test]
fn a_neighbour_from_a_range_that_does_not_return_is_forgotten_with_its_routes() {
    let hub = hub("range = \"127.0.2.0/24\"", "stale_time_max = \"1s\"\n");
    let (mut raw, _) = speaker("127.0.2.2", hub.port(), 100);
    raw.send(&ROUTE);
    hub.await_routes(&["203.0.113.0/24"]);
    drop(raw);
    hub.await_neighbors("nobody", |views| views.is_empty());
    hub.await_routes(&[]);
    hub.stop();
}

#[test]
fn what_is_kept_for_a_neighbour_goes_when_an_operator_disables_it_and_it_is_told_why_when_it_returns() {
    let hub = hub("address = \"127.0.0.3\"", "");
    let (mut raw, _) = speaker("127.0.0.3", hub.port(), 100);
    raw.send(&ROUTE);
    hub.await_routes(&["203.0.113.0/24"]);
    drop(raw);
    hub.await_neighbors("the loss", |views| views[0].state != SessionState::Established);
    hub.command(Command::Disable { peer: hub.peer("127.0.0.3"), text: "maintenance until 04:00".into() }).unwrap();
    hub.await_routes(&[]);
    let told = Notification::decode(&Raw::dial("127.0.0.3", hub.port()).next_of(MessageType::Notification));
    assert_eq!(told.expect("a good one").shutdown_text().as_deref(), Some("maintenance until 04:00"), "RFC 9003");
    hub.stop();
}

#[test]
fn a_daemon_that_was_here_before_says_so_and_speaks_when_it_has_heard_its_neighbours() {
    let dir = tempfile::tempdir().expect("a directory");
    let state = format!("graceful_restart = \"on\"\n[state]\ndir = \"{}\"\n", dir.path().display());
    let first = hub("address = \"127.0.0.4\"", &state);
    let (mut raw, open) = speaker("127.0.0.4", first.port(), 100);
    assert!(!restarted(&open), "a first start");
    assert_eq!(raw.next_of(MessageType::Update), end_of_rib(V4), "at once");
    first.await_state("127.0.0.4", SessionState::Established);
    first.stop();
    while let Some((kind, _)) = raw.next() {
        assert_ne!(kind, MessageType::Notification, "RFC 4724 §4: it would end what is to be kept");
    }

    let second = hub("address = \"127.0.0.4\"", &state);
    let (mut raw, open) = speaker("127.0.0.4", second.port(), 100);
    assert!(restarted(&open), "RFC 4724 §4.1");
    raw.send(&ROUTE);
    second.await_routes(&["203.0.113.0/24"]);
    assert_eq!(second.neighbor("127.0.0.4").sent.update, 0, "nothing yet");
    raw.send(&end_of_rib(V4));
    assert_eq!(raw.next_of(MessageType::Update), end_of_rib(V4));
    second.stop();
}
