//! A backend in memory, for the tests of what stands in front of one: real canonical attribute sets, a decision
//! that is simple to foresee (shortest path, then lowest neighbour), and queues of changes as short as a test wants.

use std::{
    collections::BTreeMap,
    future::{Future, ready},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ribwatch::{
    types::{Asn, Family, PathId, PeerId, Prefix, RouterId, Timestamp},
    validation::{OriginState, PathState},
    view::{
        Answer, Backend, Candidate, Command, Cursor, DaemonInfo, Delivery, EventBatch, EventSource, Explanation,
        FamilyCounts, FaultCount, Lost, MessageCounts, NeighborView, Nlri, PrefixMatch, Query, Refusal, Reply,
        RibEvent, RoutePage, RouteQuery, RouteRow, SessionState, Summary, Table, TableCounts,
        rpki::{OriginCheck, RpkiView},
        served::Served,
    },
    wire::bgp::attribute::{AttrSet, AttrSetBuilder, NextHop, Origin},
};
use tokio::sync::mpsc;

/// The clock of every fake.
pub const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

type Key = (Family, Nlri, Option<PeerId>, PathId);

#[derive(Clone)]
struct Stored {
    attrs: Vec<u8>,
    stale: bool,
    rejected_by: Option<Arc<str>>,
    received_at: Timestamp,
    /// What RPKI says of it.
    states: (OriginState, PathState),
}

struct Subscriber {
    queue: mpsc::Sender<Arc<EventBatch>>,
    lost: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    paths: BTreeMap<Key, Stored>,
    seq: u64,
    neighbors: Vec<NeighborView>,
    subscribers: Vec<Subscriber>,
    /// Changes that were applied and not told yet, while telling is held back.
    held: Option<Vec<Arc<EventBatch>>>,
    subscriptions: usize,
    commands: Vec<Command>,
    /// What a neighbour is told at most, where that is less than all.
    told: BTreeMap<PeerId, Vec<Nlri>>,
}

/// The backend.
pub struct Fake {
    state: Mutex<State>,
    subscribed: Condvar,
    ready: AtomicBool,
    served: Served,
    queue_len: usize,
}

impl Fake {
    /// A backend whose subscribers may lag by `queue_len` changes.
    pub fn new(queue_len: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            subscribed: Condvar::new(),
            ready: AtomicBool::new(true),
            served: Served::default(),
            queue_len,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the state")
    }

    /// Whether it says that it is ready.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Adds an established neighbour.
    pub fn neighbor(&self, address: &str, asn: u32) -> PeerId {
        let mut state = self.state();
        let peer = PeerId(state.neighbors.len() as u32 + 1);
        state.neighbors.push(neighbor_view(peer, address.parse().unwrap(), asn));
        peer
    }

    /// Changes what is shown of a neighbour.
    pub fn edit(&self, peer: PeerId, change: impl FnOnce(&mut NeighborView)) {
        let mut state = self.state();
        change(state.neighbors.iter_mut().find(|view| view.peer == peer).unwrap());
    }

    /// Commands that arrived.
    pub fn commands(&self) -> Vec<Command> {
        self.state().commands.clone()
    }

    /// Tells what was held back, and holds back what follows until the next call: as an engine that applies a
    /// batch, answers questions meanwhile, and tells the changes at its end.
    pub fn tell_and_hold(&self) {
        let mut state = self.state();
        let held = state.held.replace(Vec::new()).unwrap_or_default();
        held.iter().for_each(|batch| state.publish(batch));
    }

    /// How many subscriptions were made so far.
    pub fn subscribers(&self) -> usize {
        self.state().subscriptions
    }

    /// Waits for another thread to have made that many subscriptions.
    pub fn wait_for_subscribers(&self, count: usize) {
        let state = self.state();
        drop(self.subscribed.wait_while(state, |state| state.subscriptions < count).unwrap());
    }

    /// How many subscribers are there now, as far as the last change has shown.
    pub fn listening(&self) -> usize {
        self.state().subscribers.len()
    }

    /// Number of the last change.
    pub fn seq(&self) -> u64 {
        self.state().seq
    }

    /// `peer` announces `prefix` with `path`.
    pub fn announce(&self, peer: PeerId, prefix: &str, path: &[u32]) {
        self.file(peer, prefix, 0, attributes(prefix, path).finish());
    }

    /// `peer` announces `prefix` with a path id and a set of its own.
    pub fn file(&self, peer: PeerId, prefix: &str, path_id: PathId, attrs: Vec<u8>) {
        self.change(Some(peer), unicast(prefix), path_id, Some(attrs));
    }

    /// `peer` withdraws `prefix`.
    pub fn withdraw(&self, peer: PeerId, prefix: &str) {
        self.change(Some(peer), unicast(prefix), 0, None);
    }

    /// Changes how a path is kept, without an event.
    pub fn mark(&self, peer: PeerId, prefix: &str, stale: bool, rejected_by: Option<&str>) {
        let prefix: Prefix = prefix.parse().unwrap();
        let mut state = self.state();
        let stored = state.paths.get_mut(&(family(prefix), Nlri::Prefix(prefix), Some(peer), 0)).unwrap();
        stored.stale = stale;
        stored.rejected_by = rejected_by.map(Arc::from);
    }

    /// `peer` is told of these prefixes only.
    pub fn tell_only(&self, peer: PeerId, prefixes: &[&str]) {
        let prefixes = prefixes.iter().map(|prefix| unicast(prefix).1).collect();
        self.state().told.insert(peer, prefixes);
    }

    /// Changes what RPKI says of a path, without an event.
    pub fn validate(&self, peer: PeerId, prefix: &str, origin: OriginState, path: PathState) {
        let prefix: Prefix = prefix.parse().unwrap();
        let key = (family(prefix), Nlri::Prefix(prefix), Some(peer), 0);
        self.state().paths.get_mut(&key).unwrap().states = (origin, path);
    }

    /// Files, replaces or removes one path, and tells those who listen: first of the path, then of the prefix.
    fn change(&self, peer: Option<PeerId>, route: (Family, Nlri), path_id: PathId, attrs: Option<Vec<u8>>) -> bool {
        let mut state = self.state();
        let nlri = route.1;
        let key = (route.0, nlri.clone(), peer, path_id);
        let best_before = state.best(key.0, &nlri);
        let before = match attrs.clone() {
            Some(attrs) => {
                let states = Default::default();
                let stored = Stored { attrs, stale: false, rejected_by: None, received_at: NOW, states };
                state.paths.insert(key.clone(), stored)
            }
            None => state.paths.remove(&key),
        };
        if before.is_none() && attrs.is_none() {
            return false;
        }
        let best_after = state.best(key.0, &nlri);
        state.tell(Table::AdjIn, &key, attrs.as_deref(), before.is_some());
        let value = |state: &State, key: &Key| state.paths.get(key).map(|stored| stored.attrs.clone());
        match (&best_before, &best_after) {
            (Some(old), None) => state.tell(Table::Loc, old, None, true),
            (old, Some(new)) if old.as_ref() != Some(new) || *new == key => {
                let attrs = value(&state, new);
                state.tell(Table::Loc, new, attrs.as_deref(), old.is_some());
            }
            _ => {}
        }
        true
    }
}

impl State {
    fn of_prefix(&self, family: Family, nlri: &Nlri) -> impl Iterator<Item = (&Key, &Stored)> {
        let (first, last) = ((None, 0), (Some(PeerId(u32::MAX)), PathId::MAX));
        self.paths.range((family, nlri.clone(), first.0, first.1)..=(family, nlri.clone(), last.0, last.1))
    }

    fn best(&self, family: Family, nlri: &Nlri) -> Option<Key> {
        let usable = self.of_prefix(family, nlri).filter(|(_, stored)| stored.rejected_by.is_none());
        let rank = |stored: &Stored| AttrSet::new(&stored.attrs).as_path().path_length();
        usable.min_by_key(|(key, stored)| (rank(stored), (*key).clone())).map(|(key, _)| key.clone())
    }

    fn tell(&mut self, table: Table, key: &Key, attrs: Option<&[u8]>, replaced: bool) {
        self.seq += 1;
        let octets = attrs.unwrap_or_default().to_vec();
        let row = RouteRow {
            family: key.0,
            nlri: key.1.clone(),
            labels: Box::default(),
            peer: key.2,
            path_id: key.3,
            attrs: 0..octets.len() as u32,
            best: table == Table::Loc && attrs.is_some(),
            multipath: None,
            validation: OriginState::NotChecked,
            aspa: PathState::NotChecked,
            stale: false,
            received_at: NOW,
            rejected_by: None,
        };
        let withdrawn = attrs.is_none();
        let event = RibEvent { seq: self.seq, time: NOW, table, row, withdrawn, replaced: replaced && !withdrawn };
        let batch = Arc::new(EventBatch { events: vec![event], attrs: octets });
        match &mut self.held {
            Some(held) => held.push(batch),
            None => self.publish(&batch),
        }
    }

    fn publish(&mut self, batch: &Arc<EventBatch>) {
        self.subscribers.retain(|subscriber| match subscriber.queue.try_send(batch.clone()) {
            Err(mpsc::error::TrySendError::Full(_)) => {
                subscriber.lost.store(true, Ordering::Relaxed);
                true
            }
            sent => sent.is_ok(),
        });
    }

    fn page(&self, query: &RouteQuery) -> Result<RoutePage, Refusal> {
        let mut page = RoutePage { seq: self.seq, ..RoutePage::default() };
        let mut prefixes: Vec<(Family, Nlri)> = self.paths.keys().map(|key| (key.0, key.1.clone())).collect();
        prefixes.dedup();
        if let Some(PrefixMatch::Longest(asked)) = query.prefix {
            let covers = |nlri: &Nlri| matches!(nlri, Nlri::Prefix(prefix) if prefix.covers(&asked));
            prefixes.retain(|(family, nlri)| query.family.is_none_or(|f| f == *family) && covers(nlri));
            prefixes.sort_by_key(|(_, nlri)| if let Nlri::Prefix(prefix) = nlri { prefix.len() } else { 0 });
            prefixes = prefixes.pop().into_iter().collect();
        }
        let after = query.cursor.as_ref().map(|cursor| (cursor.family, cursor.after.clone()));
        let left: Vec<_> =
            prefixes.into_iter().filter(|place| after.as_ref().is_none_or(|after| place > after)).collect();
        for (at, (family, nlri)) in left.iter().enumerate() {
            self.add_rows(query, *family, nlri, &mut page);
            let more = at + 1 < left.len();
            if more && (page.rows.len() >= query.limit || at + 1 >= query.scan_limit) {
                page.next = Some(Cursor { family: *family, after: nlri.clone() });
                break;
            }
        }
        Ok(page)
    }

    fn local_page(&self, after: Option<&Cursor>, limit: usize) -> RoutePage {
        let mut page = RoutePage { seq: self.seq, ..RoutePage::default() };
        let behind = |key: &Key| after.is_none_or(|c| (key.0, &key.1) > (c.family, &c.after));
        let mut ours = self.paths.iter().filter(|(key, _)| key.2.is_none() && behind(key));
        for (key, stored) in ours.by_ref().take(limit) {
            let start = page.attrs.len() as u32;
            page.attrs.extend_from_slice(&stored.attrs);
            page.rows.push(RouteRow {
                family: key.0,
                nlri: key.1.clone(),
                labels: Box::default(),
                peer: None,
                path_id: 0,
                attrs: start..page.attrs.len() as u32,
                multipath: None,
                validation: OriginState::NotChecked,
                aspa: PathState::NotChecked,
                best: self.best(key.0, &key.1).as_ref() == Some(key),
                stale: false,
                received_at: stored.received_at,
                rejected_by: None,
            });
            page.next = Some(Cursor { family: key.0, after: key.1.clone() });
        }
        if ours.next().is_none() {
            page.next = None;
        }
        page
    }

    fn add_rows(&self, query: &RouteQuery, family: Family, nlri: &Nlri, page: &mut RoutePage) {
        let Nlri::Prefix(prefix) = nlri else { return };
        let related = match query.prefix {
            None | Some(PrefixMatch::Longest(_)) => true,
            Some(PrefixMatch::Exact(asked)) => asked == *prefix,
            Some(PrefixMatch::Longer(asked)) => asked.covers(prefix),
            Some(PrefixMatch::Shorter(asked)) => prefix.covers(&asked),
        };
        if !related || query.family.is_some_and(|asked| asked != family) {
            return;
        }
        let best = self.best(family, nlri);
        for (key, stored) in self.of_prefix(family, nlri) {
            let is_best = best.as_ref() == Some(key);
            let set = AttrSet::new(&stored.attrs);
            let wanted = match query.table {
                Table::Loc => is_best && query.neighbor.is_none_or(|peer| key.2 == Some(peer)),
                Table::AdjIn => query.neighbor.is_none_or(|peer| key.2 == Some(peer)),
                // Everybody is told the best route, except who sent it.
                Table::AdjOut => {
                    let told = query.neighbor.and_then(|peer| self.told.get(&peer));
                    is_best && key.2 != query.neighbor && told.is_none_or(|told| told.contains(nlri))
                }
            };
            if !wanted || query.origin.is_some_and(|origin| set.as_path().origin_asn() != Some(origin)) {
                continue;
            }
            let start = page.attrs.len() as u32;
            page.attrs.extend_from_slice(&stored.attrs);
            page.rows.push(RouteRow {
                family,
                nlri: nlri.clone(),
                labels: Box::default(),
                peer: if query.table == Table::AdjOut { query.neighbor } else { key.2 },
                path_id: key.3,
                attrs: start..page.attrs.len() as u32,
                best: is_best,
                multipath: None,
                validation: stored.states.0,
                aspa: stored.states.1,
                stale: stored.stale,
                received_at: stored.received_at,
                rejected_by: stored.rejected_by.clone(),
            });
        }
    }

    fn explain(&self, family: Family, prefix: Prefix) -> Explanation {
        let query = RouteQuery {
            table: Table::AdjIn,
            family: Some(family),
            prefix: Some(PrefixMatch::Exact(prefix)),
            limit: usize::MAX,
            scan_limit: usize::MAX,
            ..RouteQuery::default()
        };
        let page = self.page(&query).unwrap();
        let mut order: Vec<usize> = (0..page.rows.len()).collect();
        order.sort_by_key(|&row| {
            let row = &page.rows[row];
            (row.rejected_by.is_some(), page.attrs(row).as_path().path_length(), row.peer)
        });
        let candidate = |row: usize| Candidate {
            row,
            ineligible: page.rows[row].rejected_by.as_ref().map(|policy| format!("rejected by {policy}")),
            lost: (!page.rows[row].best && page.rows[row].rejected_by.is_none()).then(|| {
                let length = |row: usize| Some(page.attrs(&page.rows[row]).as_path().path_length().to_string());
                let (value, against) = (length(row), length(order[0]));
                Lost { step: "as-path-length", why: "longer AS path", value, against, to: 0 }
            }),
            import: if page.rows[row].best { vec!["in/2: local_pref none -> 200, accepts".into()] } else { Vec::new() },
        };
        let candidates = order.iter().copied().map(candidate).collect();
        Explanation { page, candidates }
    }
}

/// A set with this path, next hop and origin IGP; more may be added.
pub fn attributes(prefix: &str, path: &[u32]) -> AttrSetBuilder {
    let prefix: Prefix = prefix.parse().unwrap();
    let next_hop: IpAddr = if prefix.is_v4() { "192.0.2.1".parse().unwrap() } else { "2001:db8::1".parse().unwrap() };
    let path: Vec<Asn> = path.iter().copied().map(Asn).collect();
    let mut set = AttrSetBuilder::new();
    set.origin(Origin::Igp).as_path_sequence(&path).next_hop(family(prefix), NextHop::new(next_hop));
    set
}

fn unicast(prefix: &str) -> (Family, Nlri) {
    let prefix: Prefix = prefix.parse().unwrap();
    (family(prefix), prefix.into())
}

fn family(prefix: Prefix) -> Family {
    if prefix.is_v4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST }
}

fn neighbor_view(peer: PeerId, address: IpAddr, asn: u32) -> NeighborView {
    let family = if address.is_ipv4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
    NeighborView {
        peer,
        address,
        port: 179,
        name: None,
        range: None,
        remote_asn: Some(Asn(asn)),
        local_asn: Asn(64512),
        router_id: Some(RouterId(0xc633_6402)),
        state: SessionState::Established,
        enabled: true,
        monitor_only: false,
        passive: false,
        established_at: Some(Timestamp(NOW.0 - 273_600_000_000)),
        changed_at: Some(Timestamp(NOW.0 - 273_600_000_000)),
        families: vec![family],
        counts: vec![FamilyCounts {
            family,
            received: 3,
            accepted: 2,
            advertised: 1,
            end_of_rib: true,
            withheld: 0,
            dropped: 7,
            stale: 2,
            validation: [0, 1, 2, 0],
            aspa: [3, 0, 0, 0],
            filter: None,
        }],
        hold_time: Duration::from_secs(90),
        negotiated: vec!["4-octet AS".into(), "route refresh".into()],
        received: MessageCounts { open: 1, update: 10, notification: 0, keepalive: 100, refresh: 0 },
        sent: MessageCounts { open: 1, update: 5, notification: 0, keepalive: 101, refresh: 2 },
        faults: Vec::<FaultCount>::new(),
        flaps: 0,
        last_error: None,
        send_queue: 0,
        import: vec!["accept-all".into()],
        export: vec![],
    }
}

struct Source {
    queue: mpsc::Receiver<Arc<EventBatch>>,
    lost: Arc<AtomicBool>,
}

impl EventSource for Source {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Delivery>> + Send + '_>> {
        Box::pin(async {
            if self.lost.swap(false, Ordering::Relaxed) {
                while self.queue.try_recv().is_ok() {}
                return Some(Delivery::Gap);
            }
            self.queue.recv().await.map(Delivery::Batch)
        })
    }
}

impl Backend for Fake {
    fn info(&self) -> DaemonInfo {
        DaemonInfo {
            version: "0.1.0",
            asn: Asn(64512),
            router_id: RouterId(0xc633_6401),
            started_at: Timestamp(NOW.0 - 3_600_000_000),
            listen: vec!["127.0.0.1:179".parse().unwrap()],
            best_path: true,
        }
    }

    fn served(&self) -> &Served {
        &self.served
    }

    fn now(&self) -> Timestamp {
        NOW
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn neighbors(&self) -> Vec<NeighborView> {
        self.state().neighbors.clone()
    }

    fn query(&self, query: Query) -> Reply<Answer> {
        let answer = match query {
            Query::Routes(query) => self.state().page(&query).map(Answer::Routes),
            Query::Explain { family, prefix } => Ok(Answer::Explanation(self.state().explain(family, prefix))),
            Query::ExplainTyped { .. } => Err(Refusal::NotNow("typed families are not faked".to_owned())),
            Query::Summary => Ok(Answer::Summary((*self.summary()).clone())),
            Query::Originate(route) => {
                Ok(Answer::Done(self.change(None, (route.family, route.nlri), 0, Some(route.attrs))))
            }
            Query::Withdraw { family, nlri } => Ok(Answer::Done(self.change(None, (family, nlri), 0, None))),
            Query::LocalRoutes { after, limit } => Ok(Answer::Routes(self.state().local_page(after.as_ref(), limit))),
            Query::WhatIf(_) => Err(Refusal::NotNow("RPKI is not faked".to_owned())),
        };
        Box::pin(ready(answer))
    }

    fn command(&self, command: Command) -> Reply<()> {
        let done = match &command {
            Command::Add { toml } if !toml.contains("remote_asn") && !toml.contains("group") => {
                Err(Refusal::Invalid("1:1: [[neighbor]] lacks `remote_asn`".into()))
            }
            _ => Ok(()),
        };
        self.state().commands.push(command);
        Box::pin(ready(done))
    }

    fn subscribe(&self) -> Reply<Box<dyn EventSource>> {
        let (queue, receiver) = mpsc::channel(self.queue_len);
        let lost = Arc::new(AtomicBool::new(false));
        let mut state = self.state();
        state.subscribers.push(Subscriber { queue, lost: lost.clone() });
        state.subscriptions += 1;
        self.subscribed.notify_all();
        let source: Box<dyn EventSource> = Box::new(Source { queue: receiver, lost });
        Box::pin(ready(Ok(source)))
    }

    fn rpki(&self) -> RpkiView {
        RpkiView::default()
    }

    fn check_origin(&self, prefix: Prefix, origin: Asn) -> OriginCheck {
        OriginCheck { prefix, origin, state: OriginState::NotChecked, covering: Vec::new() }
    }

    fn summary(&self) -> Arc<Summary> {
        let state = self.state();
        let families = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
        let tables = families.map(|family| {
            let mut prefixes: Vec<&Nlri> = state.paths.keys().filter(|key| key.0 == family).map(|key| &key.1).collect();
            let paths = prefixes.len() as u64;
            prefixes.dedup();
            let best = prefixes.iter().filter(|nlri| state.best(family, nlri).is_some()).count() as u64;
            TableCounts { family, prefixes: prefixes.len() as u64, paths, best }
        });
        Arc::new(Summary {
            tables: tables.into_iter().filter(|counts| counts.paths > 0).collect(),
            neighbors: state.neighbors.iter().map(|view| (view.peer, view.counts.clone())).collect(),
            attribute_sets: 2,
            attribute_octets: 64,
            paths_judged: 3,
            paths_shared: 5,
            seq: state.seq,
        })
    }
}
