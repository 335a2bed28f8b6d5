//! The scenario language: routers wired to each other in virtual time. Time, wires and faults are simulated, the
//! rooms are the real ones. A seed decides every delay and every cut of the octets, and prints with a failure.
//!
//! ```text
//! let mut net = Net::new(7);
//! let (a, b) = net.link(speaker(64496, 1), speaker(64497, 2));
//! net.start();
//! net.run(secs(5));
//! assert!(net.is_up(a) && net.is_up(b));
//! ```
//!
//! Whoever puts routers behind the sessions asks for what [`Happening`]s there were, moves on in [`Net::step`]s, and
//! sends table data with [`Net::send`]; `network` does.
//!
//! A [`Ledger`] stands beside every session and checks what must hold after each step.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use ribwatch::{
    session::{
        Action, ConnId, DownReason, Input, PeerSettings, RemoteAsn, State, bgp_peer::BgpPeer, negotiate::Negotiated,
    },
    types::{Asn, RouterId, Timestamp},
    wire::bgp::{RouteRefresh, batch::UpdateBatch, orf::OrfRefresh},
};

mod ledger;
mod wires;

pub use ledger::Ledger;

/// Seconds.
pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Minutes.
pub fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

/// A router's side of a link: its AS, the last octet of its identifier, any neighbour AS.
pub fn speaker(asn: u32, id: u8) -> PeerSettings {
    PeerSettings::new(Asn(asn), RouterId(0xc000_0200 | u32::from(id)), RemoteAsn::Any)
}

/// One side of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct End(usize);

impl End {
    /// In the order of linking: 0, 1 are the ends of the first link.
    pub fn number(self) -> usize {
        self.0
    }
}

/// What a session tells the router behind it.
#[derive(Debug)]
pub enum Happening {
    Up(Arc<Negotiated>),
    Updates(UpdateBatch),
    Refresh(RouteRefresh),
    Filter(OrfRefresh),
    Down { may_return: bool },
}

/// A seeded generator (xorshift64*).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n.max(1)
    }
}

/// What is on its way to one end of a wire.
#[derive(Debug)]
enum Parcel {
    /// The attempt succeeded.
    Connected,
    Octets(Vec<u8>),
    Closed(&'static str),
}

#[derive(Debug)]
enum Event {
    /// An attempt reaches the far side.
    Knock { wire: usize },
    /// An attempt fails.
    Failed { side: usize, conn: ConnId, reason: &'static str },
    /// The next parcel of a wire reaches its end.
    Arrive { wire: usize, end: usize },
}

/// A TCP connection, or an attempt at one; end 0 opened it.
#[derive(Debug)]
struct Wire {
    ends: [Option<(usize, ConnId)>; 2],
    /// In order of arrival, per end.
    parcels: [VecDeque<Parcel>; 2],
    last_arrival: [Timestamp; 2],
}

#[derive(Debug)]
struct Side {
    peer: BgpPeer,
    ledger: Ledger,
    /// By the connection's id: wire and which end of it.
    wires: HashMap<ConnId, (usize, usize)>,
    accepted: u64,
    downs: Vec<DownReason>,
}

/// Links between routers, in virtual time.
#[derive(Debug)]
pub struct Net {
    now: Timestamp,
    random: Random,
    sides: Vec<Side>,
    wires: Vec<Wire>,
    /// Links, by their first side, on which nothing passes.
    silent: BTreeSet<usize>,
    /// Links, by their first side, that run over IPv6.
    over_ipv6: BTreeSet<usize>,
    /// Links, by their first side, on which nobody says that it knows four-octet AS numbers.
    two_octet: BTreeSet<usize>,
    /// Sides without a process.
    dead: BTreeSet<usize>,
    events: BTreeMap<(Timestamp, u64), Event>,
    next_event: u64,
    /// Since they were asked for last; `None`: nobody asks.
    happened: Option<Vec<(End, Happening)>>,
    /// Of everything that was ever put on a wire, when and by whom.
    messages: DefaultHasher,
    steps_at: (Timestamp, u32),
}

impl Net {
    /// Nothing is wired yet. Equal seeds give equal days.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Timestamp::from_secs(1_000_000),
            random: Random(seed | 1),
            sides: Vec::new(),
            wires: Vec::new(),
            silent: BTreeSet::new(),
            over_ipv6: BTreeSet::new(),
            two_octet: BTreeSet::new(),
            dead: BTreeSet::new(),
            events: BTreeMap::new(),
            next_event: 0,
            happened: None,
            messages: DefaultHasher::new(),
            steps_at: Default::default(),
        }
    }

    /// What happened since the last call, in order; from the first call on it is kept.
    pub fn happened(&mut self) -> Vec<(End, Happening)> {
        self.happened.replace(Vec::new()).unwrap_or_default()
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A number that stands for all messages so far, their times and their senders.
    pub fn fingerprint(&self) -> u64 {
        self.messages.finish()
    }

    /// Table data of the router behind a session that is up.
    pub fn send(&mut self, end: End, octets: &[u8]) {
        let conn = self.sides[end.0].ledger.up.expect("only sessions that are up are given table data");
        self.put_on_wire(end.0, conn, octets);
    }

    /// Wires two routers to each other.
    pub fn link(&mut self, a: PeerSettings, b: PeerSettings) -> (End, End) {
        let first = self.sides.len();
        for settings in [a, b] {
            let seed = self.random.below(u64::MAX);
            self.sides.push(Side {
                peer: BgpPeer::new(Arc::new(settings), seed),
                ledger: Ledger::default(),
                wires: HashMap::new(),
                accepted: 0,
                downs: Vec::new(),
            });
        }
        (End(first), End(first + 1))
    }

    /// Starts every session.
    pub fn start(&mut self) {
        for side in 0..self.sides.len() {
            self.give(End(side), Input::Start);
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// The next thing that happens before `end`, if there is one; otherwise it is `end`.
    pub fn step(&mut self, end: Timestamp) -> bool {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let deadline = (0..self.sides.len())
            .filter_map(|side| Some((self.sides[side].peer.next_deadline()?.max(self.now), side)))
            .min();
        // What is in the socket comes before the timers, as the vocabulary asks of drivers.
        let next = [event, deadline.map(|(deadline, _)| deadline)].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        if event.is_some_and(|event| event <= self.now) {
            self.pass_event();
        } else if let Some((_, side)) = deadline {
            self.give(End(side), Input::TimersDue);
        }
        let (at, steps) = self.steps_at;
        self.steps_at = (self.now, if self.now == at { steps + 1 } else { 0 });
        assert!(self.steps_at.1 < 10_000, "time stands still");
        true
    }

    /// Runs until both sides of a link are up; `None`: they are not after `limit`.
    pub fn run_until_up(&mut self, link: (End, End), limit: Duration) -> Option<Duration> {
        let start = self.now;
        while !(self.is_up(link.0) && self.is_up(link.1)) {
            if self.now.since(start) >= limit {
                return None;
            }
            self.run(Duration::from_millis(100));
        }
        Some(self.now.since(start))
    }

    /// Tells a side something.
    pub fn give(&mut self, end: End, input: Input<'_>) {
        let side = &mut self.sides[end.0];
        match &input {
            Input::Connected { conn, .. } => side.ledger.connected(*conn),
            Input::ConnectFailed { conn, .. } => side.ledger.failed(*conn),
            Input::Closed { conn, .. } => side.ledger.closed(*conn),
            _ => {}
        }
        let (mut updates, mut out) = (UpdateBatch::default(), Vec::new());
        side.peer.handle(self.now, input, &mut updates, &mut out);
        assert!(updates.is_empty(), "what was decoded is handed on");
        for action in out {
            self.sides[end.0].ledger.check(&action);
            self.perform(end.0, action);
        }
        let side = &self.sides[end.0];
        side.ledger.check_rest(&side.peer);
    }

    /// Every TCP connection of the link breaks, seen by both ends.
    pub fn cut(&mut self, end: End) {
        for wire in 0..self.wires.len() {
            let touches = |side: usize| side / 2 == end.0 / 2;
            let ends: Vec<(usize, usize)> = (0..2)
                .filter_map(|at| self.wires[wire].ends[at].map(|(side, _)| (at, side)))
                .filter(|(_, side)| touches(*side))
                .collect();
            for (at, _) in ends {
                self.wires[wire].parcels[at].clear();
                self.post(wire, at, Parcel::Closed("connection reset by the peer"));
            }
        }
    }

    /// Nothing passes on the link any more, and nobody is told.
    pub fn silence(&mut self, end: End) {
        self.silent.insert(end.0 / 2);
    }

    /// The link works again; what was on its way arrives.
    pub fn heal(&mut self, end: End) {
        self.silent.remove(&(end.0 / 2));
    }

    /// The link runs over IPv6 from its next connection on.
    pub fn over_ipv6(&mut self, end: End) {
        self.over_ipv6.insert(end.0 / 2);
    }

    /// Both sides hear an OPEN without the capability for four-octet AS numbers (RFC 6793) from the next connection on.
    pub fn two_octet(&mut self, end: End) {
        self.two_octet.insert(end.0 / 2);
    }

    /// The address of this side.
    pub fn address(&self, end: End) -> IpAddr {
        self.addresses(end.0).0.ip()
    }

    /// The process at this side dies: its connections are gone without a word, and it starts from nothing.
    pub fn crash(&mut self, end: End) {
        self.halt(end);
        self.revive(end, None);
    }

    /// The process at this side dies and stays away.
    pub fn halt(&mut self, end: End) {
        let settings = self.sides[end.0].peer.settings().clone();
        self.replace(end, settings);
        self.dead.insert(end.0);
        for (wire, at) in std::mem::take(&mut self.sides[end.0].wires).into_values() {
            // The far end learns of it with the next octet that it sends: TCP answers with a reset.
            self.wires[wire].ends[at] = None;
        }
    }

    /// A process is there again; until `restarted_until` its OPENs say that it restarted (R bit, RFC 4724 §3).
    pub fn revive(&mut self, end: End, restarted_until: Option<Timestamp>) {
        let mut settings = PeerSettings::clone(self.sides[end.0].peer.settings());
        settings.restart.restarted_until = restarted_until;
        self.replace(end, Arc::new(settings));
        self.dead.remove(&end.0);
        self.give(end, Input::Start);
    }

    fn replace(&mut self, end: End, settings: Arc<PeerSettings>) {
        let seed = self.random.below(u64::MAX);
        let side = &mut self.sides[end.0];
        side.peer = BgpPeer::new(settings, seed);
        side.ledger = Ledger::default();
    }

    /// Whether the session is established at this side.
    pub fn is_up(&self, end: End) -> bool {
        self.state(end) == State::Established
    }

    /// The state at this side.
    pub fn state(&self, end: End) -> State {
        self.sides[end.0].peer.state()
    }

    /// The session at this side.
    pub fn peer(&self, end: End) -> &BgpPeer {
        &self.sides[end.0].peer
    }

    /// Why sessions ended at this side, in order.
    pub fn downs(&self, end: End) -> &[DownReason] {
        &self.sides[end.0].downs
    }

    /// Whether both sides are up over one and the same connection.
    pub fn agree(&self, (a, b): (End, End)) -> bool {
        let wire = |end: End| {
            let side = &self.sides[end.0];
            side.ledger.up.and_then(|conn| side.wires.get(&conn)).map(|(wire, _)| *wire)
        };
        wire(a).is_some() && wire(a) == wire(b)
    }

    fn perform(&mut self, side: usize, action: Action) {
        match action {
            Action::Connect { conn } => {
                let wire = self.wires.len();
                self.wires.push(Wire {
                    ends: [Some((side, conn)), None],
                    parcels: Default::default(),
                    last_arrival: Default::default(),
                });
                self.sides[side].wires.insert(conn, (wire, 0));
                let at = self.now + self.delay();
                self.schedule(at, Event::Knock { wire });
            }
            Action::Send { conn, bytes } => {
                self.put_on_wire(side, conn, &bytes);
            }
            Action::Close { conn } | Action::Abort { conn } => self.hang_up(side, conn),
            Action::Down { reason, may_return } => {
                self.sides[side].downs.push(reason);
                self.tell(side, Happening::Down { may_return });
            }
            Action::Established { negotiated, .. } => self.tell(side, Happening::Up(negotiated)),
            Action::Updates(batch) => self.tell(side, Happening::Updates(batch)),
            Action::Refresh(refresh) => self.tell(side, Happening::Refresh(refresh)),
            Action::Filter(filter) => self.tell(side, Happening::Filter(filter)),
            Action::StateChanged { .. } | Action::Warn(_) => {}
        }
    }

    fn tell(&mut self, side: usize, happening: Happening) {
        if let Some(happened) = &mut self.happened {
            happened.push((End(side), happening));
        }
    }
}
