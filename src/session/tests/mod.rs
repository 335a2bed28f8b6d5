//! Stories about one neighbour whose far end is played by hand: the tests write its octets, its connections and
//! its silence. Two real neighbours wired to each other are in `tests/it/session.rs`.

mod collisions;
mod filters;
mod framing;
mod negotiation;
mod operator;
mod restart;
mod table;
mod timers;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{Action, ConnId, Direction, Input, PeerSettings, RemoteAsn, State, bgp_peer::BgpPeer};
use crate::{
    types::{Asn, Family, RouterId, Timestamp},
    wire::bgp::{
        Frame, KEEPALIVE, MAX_EXTENDED_LEN, MessageType, RefreshSubtype, RouteRefresh, batch::UpdateBatch,
        capability::Capability, frame, notification::Notification, open::Open,
    },
};

const US: Asn = Asn(64496);
const THEM: Asn = Asn(64497);
const OUR_ID: RouterId = RouterId(0xc000_0202);
const THEIR_LOWER_ID: RouterId = RouterId(0xc000_0201);
const THEIR_HIGHER_ID: RouterId = RouterId(0xc000_0203);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn settings() -> PeerSettings {
    PeerSettings::new(US, OUR_ID, RemoteAsn::Exact(THEM))
}

fn their_open() -> Open {
    let families = [Family::IPV4_UNICAST, Family::IPV6_UNICAST].map(Capability::MultiProtocol);
    let rest = [Capability::RouteRefresh, Capability::EnhancedRouteRefresh, Capability::FourOctetAs(THEM)];
    Open::new(THEM, 90, THEIR_LOWER_ID, families.into_iter().chain(rest).collect())
}

fn refresh(subtype: RefreshSubtype) -> Vec<u8> {
    RouteRefresh { family: Family::IPV4_UNICAST, subtype }.encode()
}

/// An UPDATE that says nothing but End-of-RIB for IPv4 unicast (RFC 4724 §2).
fn end_of_rib() -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend([0, 23, 2, 0, 0, 0, 0]);
    message
}

/// An UPDATE whose withdrawn routes are longer than the message: a session reset, 3/1.
fn broken_update() -> Vec<u8> {
    let mut message = vec![0xff; 16];
    message.extend([0, 23, 2, 0xff, 0xff, 0, 0]);
    message
}

/// Our side of a neighbour and everything it said since it was asked last.
struct Desk {
    peer: BgpPeer,
    now: Timestamp,
    accepted: u64,
    out: Vec<Action>,
    updates: UpdateBatch,
}

impl Desk {
    fn new(settings: PeerSettings) -> Self {
        let peer = BgpPeer::new(Arc::new(settings), 1);
        Self {
            peer,
            now: Timestamp::from_secs(1_000_000),
            accepted: 0,
            out: Vec::new(),
            updates: UpdateBatch::default(),
        }
    }

    /// A neighbour in `state` over a connection that we opened.
    fn in_state(state: State) -> (Self, ConnId) {
        let mut desk = Self::new(settings());
        let conn = desk.lead_to(state, &their_open());
        desk.out.clear();
        (desk, conn)
    }

    fn lead_to(&mut self, state: State, open: &Open) -> ConnId {
        let conn = ConnId::outbound(0);
        if state >= State::Connect {
            self.give(Input::Start);
        }
        if state == State::Active {
            self.give(Input::ConnectFailed { conn, reason: "connection refused by 192.0.2.1:179".into() });
        }
        if state >= State::OpenSent {
            self.connect(conn);
        }
        if state >= State::OpenConfirm {
            self.receive(conn, &open.encode());
        }
        if state >= State::Established {
            self.receive(conn, &KEEPALIVE);
        }
        assert_eq!(self.peer.state(), state);
        conn
    }

    fn give(&mut self, input: Input<'_>) {
        self.peer.handle(self.now, input, &mut self.updates, &mut self.out);
    }

    fn ends(direction: Direction) -> (SocketAddr, SocketAddr) {
        match direction {
            Direction::Outbound => (([192, 0, 2, 2], 50000).into(), ([192, 0, 2, 1], 179).into()),
            Direction::Inbound => (([192, 0, 2, 2], 179).into(), ([192, 0, 2, 1], 50000).into()),
        }
    }

    /// Our connection attempt succeeds.
    fn connect(&mut self, conn: ConnId) {
        let (local, remote) = Self::ends(Direction::Outbound);
        self.give(Input::Connected { conn, direction: Direction::Outbound, local, remote });
    }

    /// The neighbour connects to us.
    fn accept(&mut self) -> ConnId {
        let conn = ConnId::inbound(self.accepted);
        self.accepted += 1;
        let (local, remote) = Self::ends(Direction::Inbound);
        self.give(Input::Connected { conn, direction: Direction::Inbound, local, remote });
        conn
    }

    fn receive(&mut self, conn: ConnId, bytes: &[u8]) {
        self.give(Input::Received { conn, bytes });
    }

    /// Lets time pass, as a driver does: every deadline on the way is served.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..1_000_000 {
            let Some(deadline) = self.peer.next_deadline().filter(|deadline| *deadline <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(deadline);
            self.give(Input::TimersDue);
        }
        panic!("time stands still");
    }

    /// Lets time pass until the next deadline and serves it.
    fn wait_for_deadline(&mut self) -> Duration {
        let deadline = self.peer.next_deadline().expect("something is armed");
        let time = deadline.since(self.now);
        self.now = self.now.max(deadline);
        self.give(Input::TimersDue);
        time
    }

    /// What was said since the last call, in order, without state changes and log lines. A connection is named
    /// where it is not the first of ours.
    fn said(&mut self) -> String {
        let words: Vec<String> = self.out.drain(..).filter_map(|action| word(&action)).collect();
        words.join(", ")
    }

    fn warnings(&mut self) -> Vec<String> {
        let lines = self.out.drain(..).filter_map(|action| match action {
            Action::Warn(text) => Some(text),
            _ => None,
        });
        lines.collect()
    }

    fn last_error(&self) -> &str {
        self.peer.stats().last_error.as_deref().unwrap_or("")
    }

    fn sent_open(&self) -> Open {
        let sent = self.out.iter().rev().find_map(|action| match action {
            Action::Send { bytes, .. } => Open::decode(bytes).ok(),
            _ => None,
        });
        sent.expect("an OPEN was sent")
    }
}

fn word(action: &Action) -> Option<String> {
    let on = |conn: &ConnId| match conn.0 {
        0 => String::new(),
        n if n & 1 == 0 => format!(" out{}", n >> 1),
        n => format!(" in{}", n >> 1),
    };
    Some(match action {
        Action::Connect { .. } => "connect".into(),
        Action::Send { conn, bytes } => {
            let Ok(Some(Frame { kind, message })) = frame(bytes, MAX_EXTENDED_LEN) else {
                return Some("garbage".into());
            };
            assert_eq!(message.len(), bytes.len(), "one whole message at a time");
            match kind {
                MessageType::Notification => {
                    let notification = Notification::decode(message).expect("we send well-formed ones");
                    format!("notification {}/{}{}", notification.code, notification.subcode, on(conn))
                }
                kind => format!("{}{}", kind.name(), on(conn)),
            }
        }
        Action::Close { conn } => format!("close{}", on(conn)),
        Action::Abort { conn } => format!("abort{}", on(conn)),
        Action::Established { conn, .. } => format!("up{}", on(conn)),
        Action::Down { .. } => "down".into(),
        Action::Updates(batch) => format!("updates {}", batch.len()),
        Action::Refresh(refresh) => format!("refresh {:?}", refresh.subtype),
        Action::Filter(filter) => format!("filter {:?} {}", filter.when, filter.changes.len()),
        Action::StateChanged { .. } | Action::Warn(_) => return None,
    })
}
