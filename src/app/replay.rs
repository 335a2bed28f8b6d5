//! Archives played through the rooms of the daemon under their own clock: each peer of an archive is a session, its
//! table and its updates go through import into the RIB, detectors watch, and the desk leads the lives of alerts.
//!
//! The time is that of the records; one that is earlier than the record before it counts as happening then. Between two
//! records everything that is due is done at its time, so that the outcome depends on the records alone.
//!
//! # What an archive cannot say
//! - A peer counts as up from its first record on, and until a record of its state says otherwise.
//! - The end of a file with a table is the End-of-RIB of its peers. A later table adds to what is known and replaces
//!   it; what it does not hold stays. Without a table a peer is taken to be complete as detectors take a speaker that
//!   sends no End-of-RIB, a prefix that nobody ever showed is not missed, and numbers of prefixes are not compared: only
//!   changes are known.
//! - Peers are public vantages, unless the configuration has a neighbour with their address. Import accepts everything:
//!   who asks which alerts there would have been asks about what was seen.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustc_hash::FxBuildHasher;

use crate::{
    alert::{self, Alert, Change, Desk},
    config::{Config, Neighbor},
    detect::{self, Detect, Report},
    engine::{Action, BatchProgress, Engine, EngineSettings, ImportOptions, Input, PeerSettings},
    io::bgp::Remote,
    session::negotiate::Negotiated,
    types::{Asn, Family, PathId, PeerId, PeerKind, Prefix, RouterId, Timestamp},
    validation::{Snapshot, Update},
    view::observed::{Observer, VantageClass},
    wire::{
        bgp::batch::{ItemKind, UpdateBatch, UpdateItem},
        mrt::{Direction, Event, StateChange},
    },
};

/// Who is watched: what is said about routes is about address space.
const FAMILIES: [Family; 2] = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
/// Octets of one peer that are handed on together.
const BATCH_OCTETS: usize = 64 << 10;
/// Routes of a table between two looks. Updates are looked at batch by batch.
const TABLE_ROUTES: usize = 4096;
/// Prefixes that background work looks at in one step.
const TIDY_BUDGET: usize = 4096;
/// What is due still after it was done is done again after this time.
const AGAIN: Duration = Duration::from_secs(1);
/// Established (RFC 6396 §4.4.1), and the two states behind it that Quagga adds are no longer so.
const ESTABLISHED: u16 = 6;

/// An alert and when it was raised.
#[derive(Clone, PartialEq, Debug)]
pub struct Raised {
    /// Its place among all.
    pub seq: u64,
    /// When people would have been told.
    pub opened_at: Timestamp,
    /// As it was at the end.
    pub alert: Arc<Alert>,
}

/// What was taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Routes of tables.
    pub table_routes: u64,
    /// Routes announced and withdrawn.
    pub updates: u64,
    /// Peers that were seen.
    pub peers: u64,
}

/// One set of rules, and all that was seen under it.
#[derive(Debug)]
pub struct Replay {
    settings: detect::Settings,
    neighbors: Vec<Neighbor>,
    rpki: Option<Arc<Snapshot>>,
    engine: Engine,
    /// Made with the first record: what begins with a table knows what is missing.
    detect: Option<Detect>,
    reports: Arc<Mutex<Vec<Report>>>,
    desk: Desk,
    clock: Timestamp,
    peers: HashMap<(IpAddr, Asn), PeerId, FxBuildHasher>,
    up: BTreeSet<PeerId>,
    /// Who is part of the table that is being read.
    in_table: BTreeSet<PeerId>,
    batch: UpdateBatch,
    batch_of: PeerId,
    routes: Vec<(PathId, Prefix)>,
    /// Routes that were applied and not looked at.
    unseen: usize,
    actions: Vec<Action>,
    changes: Vec<Change>,
    raised: BTreeMap<Arc<str>, Raised>,
    counts: Counts,
}

impl Replay {
    /// As `config` has it. `rpki` is in force from the first record on; `None`: nothing is known.
    pub fn new(config: &Config, rpki: Option<Arc<Snapshot>>) -> Self {
        let engine = EngineSettings {
            best_path: false,
            confederation: config.router.confederation.clone(),
            ..EngineSettings::new(config.router.asn, config.router.router_id)
        };
        Self {
            settings: config.detect.clone(),
            neighbors: config.neighbors.clone(),
            rpki,
            engine: Engine::new(engine),
            detect: None,
            reports: Arc::default(),
            desk: Desk::new(config.alert.clone()),
            clock: Timestamp::default(),
            peers: HashMap::default(),
            up: BTreeSet::new(),
            in_table: BTreeSet::new(),
            batch: UpdateBatch::new(),
            batch_of: PeerId(0),
            routes: Vec::new(),
            unseen: 0,
            actions: Vec::new(),
            changes: Vec::new(),
            raised: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// Takes what a record of this time tells.
    pub fn take(&mut self, time: Timestamp, event: &Event<'_>) {
        self.begin(time, matches!(event, Event::Table(_)));
        self.run_until(time);
        match event {
            Event::Table(routes) => {
                let peer = self.peer(routes.peer_address, routes.peer_asn);
                self.in_table.insert(peer);
                self.counts.table_routes += self.file(peer, &routes.item);
            }
            Event::Update(routes) if routes.direction == Direction::Received => {
                let peer = self.peer(routes.peer_address, routes.peer_asn);
                self.counts.updates += self.file(peer, &routes.item);
            }
            // What the recording side sent is no news of the network.
            Event::Update(_) => {}
            Event::StateChange(change) => self.state_change(change),
        }
    }

    /// A file was read to its end.
    pub fn end_of_file(&mut self) {
        self.apply();
        for peer in std::mem::take(&mut self.in_table) {
            self.batch_of = peer;
            FAMILIES.iter().for_each(|family| self.batch.push_end_of_rib(*family));
            self.apply();
        }
        self.look();
    }

    /// Lets time pass without anything that happens.
    pub fn pass(&mut self, until: Timestamp) {
        self.run_until(until);
        self.look();
    }

    /// There is nothing more. Routes stay as they are, and the desk's clock runs on until every hold time is over.
    pub fn finish(&mut self) {
        self.end_of_file();
        if let Some(until) = self.desk.holds_until() {
            self.clock = self.clock.max(until);
            self.desk.handle(self.clock, alert::Input::TimersDue, &mut self.changes);
        }
        self.note_changes(0);
        for raised in self.raised.values_mut() {
            // What changed quietly since it was told last.
            if let Some(alert) = self.desk.alert(&raised.alert.id) {
                raised.alert = Arc::clone(alert);
            }
        }
    }

    /// Changes of alerts since the last time that this was asked, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Every alert there was, in the order in which they were raised.
    pub fn raised(&self) -> Vec<Raised> {
        let mut raised: Vec<Raised> = self.raised.values().cloned().collect();
        raised.sort_by_key(|raised| raised.seq);
        raised
    }

    /// What was taken in so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn begin(&mut self, time: Timestamp, with_table: bool) {
        if self.detect.is_some() {
            return;
        }
        self.clock = time;
        self.settings.scenes.visibility.never_seen &= with_table;
        self.settings.feeds.prefix_count.enabled &= with_table;
        // An archive has holes.
        self.settings.feeds.silence.enabled = false;
        self.settings.paths.leak.normal_at_start &= with_table;
        let into = Arc::clone(&self.reports);
        let reporter = move |news: Vec<Report>| into.lock().unwrap_or_else(PoisonError::into_inner).extend(news);
        self.detect = Some(Detect::new(self.settings.clone(), Box::new(reporter)));
        self.engine.watch();
        if let Some(snapshot) = self.rpki.take() {
            self.handle(Input::Rpki(Box::new(Update { snapshot, changed: None })));
        }
    }

    /// Lets time pass: what is due until then is done at its time.
    fn run_until(&mut self, time: Timestamp) {
        if time <= self.clock {
            return;
        }
        self.apply();
        self.look();
        while let Some(due) = self.next_deadline() {
            let at = if due > self.clock { due } else { self.clock + AGAIN };
            if at >= time {
                break;
            }
            self.clock = at;
            self.tidy();
            self.look();
        }
        self.clock = time;
        self.tidy();
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let detect = self.detect.as_ref().and_then(Observer::next_deadline);
        [self.engine.next_deadline(), detect].into_iter().flatten().min()
    }

    /// The session of a peer, which is up from now on.
    fn peer(&mut self, address: IpAddr, asn: Asn) -> PeerId {
        let next = PeerId(u32::try_from(self.peers.len()).unwrap_or(u32::MAX));
        let peer = *self.peers.entry((address, asn)).or_insert(next);
        if !self.up.contains(&peer) {
            self.apply();
            self.up.insert(peer);
            self.counts.peers = self.peers.len() as u64;
            let (settings, negotiated) = self.session(address.to_canonical(), asn);
            self.handle(Input::PeerUp { peer, settings, negotiated });
        }
        peer
    }

    fn state_change(&mut self, change: &StateChange) {
        let known = self.peers.get(&(change.peer_address, change.peer_asn)).copied();
        if change.new_state == ESTABLISHED {
            self.peer(change.peer_address, change.peer_asn);
        } else if let Some(peer) = known
            && self.up.remove(&peer)
        {
            self.apply();
            self.in_table.remove(&peer);
            self.handle(Input::PeerDown { peer });
            self.tidy();
        }
    }

    /// What a session with this peer would have been.
    fn session(&self, address: IpAddr, asn: Asn) -> (Arc<PeerSettings>, Arc<Negotiated>) {
        let exact = self.neighbors.iter().find(|neighbor| neighbor.remote == Remote::Address(address));
        let within = || self.neighbors.iter().find(|neighbor| neighbor.remote.prefix().contains(address));
        let neighbor = exact.or_else(within);
        let given = neighbor.filter(|_| exact.is_some()).and_then(|neighbor| neighbor.name.clone());
        let name = match given {
            Some(name) => name,
            // Early recorders left the address out.
            None if address.is_unspecified() => format!("AS{asn}"),
            None => address.to_string(),
        };
        let settings = PeerSettings {
            import: vec!["accept-all".into()],
            monitor_only: true,
            // Our own routes, seen from elsewhere, are what is asked for.
            import_options: ImportOptions { allow_own_as: u8::MAX, ..ImportOptions::default() },
            vantage: neighbor.map_or(VantageClass::Public, |neighbor| neighbor.vantage),
            ..PeerSettings::new(name.into())
        };
        let own = self.settings.own_asn;
        let negotiated = Negotiated {
            local_asn: own,
            local_router_id: RouterId(1),
            peer_asn: asn,
            peer_router_id: RouterId(asn.0),
            kind: if asn == own { PeerKind::Internal } else { PeerKind::External },
            local: SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0),
            remote: SocketAddr::new(address, 179),
            link: None,
            hold_time: Duration::ZERO,
            keepalive: Duration::ZERO,
            families: FAMILIES.to_vec(),
            four_octet_as: true,
            add_path_receive: FAMILIES.to_vec(),
            add_path_send: Vec::new(),
            filters_received: Vec::new(),
            filters_sent: Vec::new(),
            extended_message: true,
            route_refresh: false,
            enhanced_refresh: false,
            extended_next_hop: Vec::new(),
            graceful_restart: None,
            long_lived: None,
            local_role: neighbor.and_then(|neighbor| neighbor.local_role),
            hostname: None,
            software: None,
            remote_capabilities: Vec::new(),
        };
        (Arc::new(settings), Arc::new(negotiated))
    }

    /// Puts routes into the batch of their peer; how many.
    fn file(&mut self, peer: PeerId, item: &UpdateItem<'_>) -> u64 {
        if !FAMILIES.contains(&item.family) {
            return 0;
        }
        if peer != self.batch_of || self.batch.octets() >= BATCH_OCTETS {
            self.apply();
        }
        self.batch_of = peer;
        if item.kind == ItemKind::EndOfRib {
            self.batch.push_end_of_rib(item.family);
            return 0;
        }
        self.routes.clear();
        self.routes.extend(item.prefixes());
        self.batch.push_prefixes(item.kind, item.family, item.attrs, &self.routes);
        self.routes.len() as u64
    }

    /// Applies the batch.
    fn apply(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let mut progress = BatchProgress::default();
        let (peer, actions) = (self.batch_of, &mut self.actions);
        while !self.engine.apply(self.clock, peer, &self.batch, &mut progress, usize::MAX, actions) {}
        self.actions.clear();
        self.unseen += self.batch.len();
        self.batch.clear();
        if self.in_table.is_empty() || self.unseen >= TABLE_ROUTES {
            self.look();
        }
    }

    /// Tells the engine; what it saw before is looked at first.
    fn handle(&mut self, input: Input) {
        self.look();
        self.engine.handle(self.clock, input, &mut self.actions);
        self.actions.clear();
        self.look();
    }

    /// Background work of the engine.
    fn tidy(&mut self) {
        while self.engine.flush(self.clock, TIDY_BUDGET, &mut self.actions) {
            self.look();
        }
        self.actions.clear();
    }

    /// Shows detectors what changed, and the desk what they say.
    fn look(&mut self) {
        let Some(detect) = &mut self.detect else { return };
        self.unseen = 0;
        if !self.engine.has_observations() && detect.next_deadline().is_none_or(|deadline| self.clock < deadline) {
            return;
        }
        self.engine.observe(self.clock, detect);
        let reports = std::mem::take(&mut *self.reports.lock().unwrap_or_else(PoisonError::into_inner));
        let known = self.changes.len();
        for report in reports {
            self.desk.handle(self.clock, alert::Input::Report(report), &mut self.changes);
        }
        self.desk.handle(self.clock, alert::Input::TimersDue, &mut self.changes);
        // Nobody keeps it in a file here.
        drop(self.desk.take_unsaved());
        self.note_changes(known);
    }

    fn note_changes(&mut self, from: usize) {
        for change in self.changes.iter().skip(from) {
            let id = Arc::clone(&change.alert.id);
            let first = || Raised { seq: change.seq, opened_at: change.at, alert: Arc::clone(&change.alert) };
            self.raised.entry(id).or_insert_with(first).alert = Arc::clone(&change.alert);
        }
    }
}
