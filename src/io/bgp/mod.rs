//! BGP over TCP: the listeners, the list of neighbours, and one task per neighbour around its session.
//!
//! `task` is the loop of one neighbour and `act` what its session asks of it; `connection` and `outbox` are one
//! TCP connection, `socket` opens them, `link` is the subnet both ends share, `keys` are those of the listeners; `neighbor` is what readers see, `words`
//! what people read, `settings` what is configured. This file is the list: who exists, who may connect, and the
//! commands of an operator.
//!
//! A neighbour from a range exists from its connection until that is gone; its id is not used again, so that
//! what the engine still purges cannot be taken for routes of the next one.

mod act;
mod connection;
mod keys;
mod link;
mod neighbor;
mod outbox;
mod settings;
mod socket;
mod task;
mod words;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tracing::{info, warn};

pub use self::settings::{Distance, NeighborSettings, Remote, label};
pub use self::socket::explain_bind;
use self::{
    neighbor::Neighbor,
    task::{Task, TaskCommand, ToTask},
};
use super::{clock::Clock, shard::ShardHandle};
/// A TCP-MD5 password (RFC 2385) has at most 80 octets.
pub use crate::types::Secret as Password;
use crate::{
    session::ConnId,
    types::{PeerId, Prefix},
    view::{NeighborView, Refusal, Summary},
    wire::bgp::notification::Notification,
};

/// How long a stranger's address is remembered before the log speaks of it again.
const STRANGER_QUIET: Duration = Duration::from_secs(600);
/// Strangers remembered at a time; more are not logged one by one.
const STRANGERS_MAX: usize = 1024;

/// Cease subcodes (RFC 4486 §3).
const PEER_DECONFIGURED: u8 = 3;
const OTHER_CONFIGURATION_CHANGE: u8 = 6;

/// All BGP neighbours. Clones are the same list.
#[derive(Clone)]
pub struct Speaker(Arc<Inner>);

struct Inner {
    clock: Clock,
    shard: ShardHandle,
    runtime: Handle,
    listeners: Vec<Arc<TcpListener>>,
    seeds: RandomState,
    /// Counts changes of sessions and of the list.
    changes: watch::Sender<u64>,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    next_peer: u32,
    next_inbound: u64,
    neighbors: BTreeMap<PeerId, Entry>,
    by_address: HashMap<IpAddr, PeerId>,
    /// Longest first.
    ranges: Vec<Range>,
    /// Neighbours that were accepted from each range and exist still.
    connected: HashMap<Prefix, usize>,
    strangers: HashMap<IpAddr, Instant>,
    accepting: Vec<JoinHandle<()>>,
    stopping: bool,
}

struct Entry {
    neighbor: Arc<Neighbor>,
    inbox: mpsc::UnboundedSender<ToTask>,
    /// Was removed and is saying goodbye: not shown any more.
    leaving: bool,
    /// Ends when the task has ended.
    done: oneshot::Receiver<()>,
}

impl Entry {
    /// The task hands the engine's part on, behind what it has fed already: a session that comes up this moment may
    /// have the old settings with it.
    fn reconfigure(&self, settings: Arc<NeighborSettings>) {
        self.neighbor.reconfigure(settings);
        // A task that has just ended has no session.
        let _ = self.inbox.send(ToTask::Reconfigured);
    }
}

struct Range {
    prefix: Prefix,
    settings: Arc<NeighborSettings>,
}

/// What becomes of a connection that came in.
enum Door {
    /// Give it to this task.
    Open(mpsc::UnboundedSender<ToTask>, ToTask),
    /// A task was made for it and has it.
    Made,
    /// Close it.
    Closed(TcpStream),
}

/// Where BGP is listened for.
pub struct Listeners(Vec<Arc<TcpListener>>);

impl Listeners {
    /// Listens on `listen`, which takes a privilege for port 179. To be called inside the runtime on which all neighbours will run.
    ///
    /// # Errors
    /// An address cannot be listened on; the sentence names the fix.
    pub fn bind(listen: &[SocketAddr]) -> Result<Self, String> {
        listen.iter().map(|address| socket::listen(*address).map(Arc::new)).collect::<Result<_, _>>().map(Self)
    }
}

impl Speaker {
    /// Speaks to those who come to `listeners`; nothing is accepted before [`Speaker::accept`]. To be called inside a runtime, on
    /// which all neighbours will run.
    pub fn new(listeners: Listeners, clock: Clock, shard: ShardHandle) -> Self {
        Self(Arc::new(Inner {
            clock,
            shard,
            runtime: Handle::current(),
            listeners: listeners.0,
            seeds: RandomState::new(),
            changes: watch::Sender::default(),
            list: Mutex::default(),
        }))
    }

    /// Begins to accept connections.
    pub fn accept(&self) {
        for listener in &self.0.listeners {
            let accepting = self.0.runtime.spawn(accept_loop(self.clone(), Arc::clone(listener)));
            self.list().accepting.push(accepting);
        }
    }

    /// Where we listen, with the ports that the kernel chose.
    pub fn listening(&self) -> Vec<SocketAddr> {
        self.0.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Rises whenever a session changes its state, and when neighbours come or go.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a neighbour and starts its session, or a range that waits for its speakers.
    ///
    /// # Errors
    /// `Exists`, or `Stopping`.
    pub fn add(&self, settings: NeighborSettings) -> Result<(), Refusal> {
        let settings = Arc::new(settings);
        let mut list = self.list();
        if list.stopping {
            return Err(Refusal::Stopping);
        }
        match settings.remote {
            Remote::Address(address) => {
                // One that was accepted from a range gives way to one with settings of its own.
                if let Some(existing) = list.by_address.get(&address).and_then(|peer| list.neighbors.get(peer)) {
                    if existing.neighbor.range.is_none() {
                        return Err(Refusal::Exists(format!("a neighbor {address} exists")));
                    }
                    // A task that has just ended has nothing to end any more.
                    let _ = existing.inbox.send(ToTask::Remove(Notification::cease(OTHER_CONFIGURATION_CHANGE)));
                }
                self.set_key(&settings);
                self.spawn(&mut list, address, None, settings, None);
            }
            Remote::Range(prefix) => {
                if list.ranges.iter().any(|range| range.prefix == prefix) {
                    return Err(Refusal::Exists(format!("a neighbor range {prefix} exists")));
                }
                self.set_key(&settings);
                list.ranges.push(Range { prefix, settings });
                list.ranges.sort_by_key(|range| std::cmp::Reverse(range.prefix.len()));
            }
        }
        Ok(())
    }

    fn spawn(
        &self,
        list: &mut List,
        address: IpAddr,
        range: Option<Prefix>,
        settings: Arc<NeighborSettings>,
        first: Option<ToTask>,
    ) {
        let id = PeerId(list.next_peer);
        list.next_peer += 1;
        let seed = self.0.seeds.hash_one(id);
        let neighbor = Arc::new(Neighbor::new(id, address, range, settings, seed));
        let (inbox, told) = mpsc::unbounded_channel();
        let (finished, done) = oneshot::channel::<()>();
        let task = Task::new(Arc::clone(&neighbor), self.0.clock, self.0.shard.clone(), self.0.changes.clone(), told);
        let speaker = self.clone();
        self.0.runtime.spawn(async move {
            task.run(first).await;
            speaker.forget(id);
            speaker.0.changes.send_modify(|changes| *changes += 1);
            drop(finished);
        });
        if let Some(range) = range {
            *list.connected.entry(range).or_default() += 1;
        }
        list.by_address.insert(address, id);
        list.neighbors.insert(id, Entry { neighbor, inbox, leaving: false, done });
    }

    /// Takes a neighbour whose task has ended off the list.
    fn forget(&self, id: PeerId) {
        let mut list = self.list();
        let Some(entry) = list.neighbors.remove(&id) else { return };
        if let Some(connected) = entry.neighbor.range.and_then(|range| list.connected.get_mut(&range)) {
            *connected = connected.saturating_sub(1);
        }
        // Its address may belong to a successor already.
        if list.by_address.get(&entry.neighbor.address) == Some(&id) {
            list.by_address.remove(&entry.neighbor.address);
        }
    }

    /// The settings of the neighbour or range that `remote` is about; `None` when there is none.
    pub fn settings(&self, remote: Remote) -> Option<Arc<NeighborSettings>> {
        let list = self.list();
        match remote {
            Remote::Address(address) => {
                let entry = list.by_address.get(&address).and_then(|peer| list.neighbors.get(peer));
                entry.filter(|entry| entry.neighbor.range.is_none()).map(|entry| entry.neighbor.settings())
            }
            Remote::Range(prefix) => {
                let range = list.ranges.iter().find(|range| range.prefix == prefix);
                range.map(|range| Arc::clone(&range.settings))
            }
        }
    }

    /// Removes the neighbour or range that `remote` is about and returns its settings; `None` when there is none.
    /// `reconfigured` tells the peer that it will come back with other settings.
    pub fn remove(&self, remote: Remote, reconfigured: bool) -> Option<Arc<NeighborSettings>> {
        let subcode = if reconfigured { OTHER_CONFIGURATION_CHANGE } else { PEER_DECONFIGURED };
        let mut list = self.list();
        let (settings, ids): (_, Vec<PeerId>) = match remote {
            Remote::Address(address) => {
                let entry = list.by_address.get(&address).and_then(|peer| list.neighbors.get(peer));
                let neighbor = &entry.filter(|entry| entry.neighbor.range.is_none())?.neighbor;
                (neighbor.settings(), vec![neighbor.id])
            }
            Remote::Range(prefix) => {
                let at = list.ranges.iter().position(|range| range.prefix == prefix)?;
                let settings = list.ranges.remove(at).settings;
                self.remove_key(&settings);
                let from_it = list.neighbors.values().filter(|entry| entry.neighbor.range == Some(prefix));
                (settings, from_it.map(|entry| entry.neighbor.id).collect())
            }
        };
        ids.into_iter().for_each(|id| self.dismiss(&mut list, id, subcode));
        Some(settings)
    }

    /// Removes one neighbour by its id.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove_peer(&self, id: PeerId) -> Result<(), Refusal> {
        let mut list = self.list();
        list.present(id).ok_or_else(no_such_neighbor)?;
        self.dismiss(&mut list, id, PEER_DECONFIGURED);
        Ok(())
    }

    fn dismiss(&self, list: &mut List, id: PeerId, subcode: u8) {
        let Some(entry) = list.neighbors.get_mut(&id) else { return };
        entry.leaving = true;
        self.0.changes.send_modify(|changes| *changes += 1);
        info!(neighbor = %entry.neighbor.address, "{} removed", entry.neighbor.label());
        if entry.neighbor.range.is_none() {
            self.remove_key(&entry.neighbor.settings());
        }
        // A task that has just ended has nothing to end any more.
        let _ = entry.inbox.send(ToTask::Remove(Notification::cease(subcode)));
        if list.by_address.get(&entry.neighbor.address) == Some(&id) {
            list.by_address.remove(&entry.neighbor.address);
        }
    }

    /// Gives a neighbour or range settings that differ in what its sessions do not notice: name, limit, and everything
    /// that the engine does for it. A session that is up goes on; the engine judges its routes again and sends the
    /// difference. Does nothing where there is no such neighbour.
    pub fn reconfigure(&self, settings: NeighborSettings) {
        let settings = Arc::new(settings);
        let mut list = self.list();
        match settings.remote {
            Remote::Address(address) => {
                let entry = list.by_address.get(&address).and_then(|peer| list.neighbors.get(peer));
                if let Some(entry) = entry.filter(|entry| entry.neighbor.range.is_none()) {
                    entry.reconfigure(settings);
                }
            }
            Remote::Range(prefix) => {
                for entry in list.neighbors.values().filter(|entry| entry.neighbor.range == Some(prefix)) {
                    entry.reconfigure(Arc::clone(&settings));
                }
                if let Some(range) = list.ranges.iter_mut().find(|range| range.prefix == prefix) {
                    range.settings = settings;
                }
            }
        }
    }

    /// Lets the session come up.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn enable(&self, peer: PeerId) -> Result<(), Refusal> {
        self.command(peer, TaskCommand::Enable).await
    }

    /// Ends the session and keeps it down; `text` is told to the peer (RFC 9003).
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn disable(&self, peer: PeerId, text: String) -> Result<(), Refusal> {
        self.command(peer, TaskCommand::Disable { text }).await
    }

    /// Ends the session and starts it again; `text` is told to the peer (RFC 9003).
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn reset(&self, peer: PeerId, text: String) -> Result<(), Refusal> {
        self.command(peer, TaskCommand::Reset { text }).await
    }

    /// Asks the neighbour for all its routes again (RFC 2918).
    ///
    /// # Errors
    /// `NotFound`; `NotNow` when the session is not up or the peer does not understand route refresh.
    pub async fn refresh(&self, peer: PeerId) -> Result<(), Refusal> {
        self.command(peer, TaskCommand::Refresh).await
    }

    async fn command(&self, peer: PeerId, command: TaskCommand) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        {
            let list = self.list();
            let entry = list.present(peer).ok_or_else(no_such_neighbor)?;
            entry.inbox.send(ToTask::Command { command, reply }).map_err(|_| no_such_neighbor())?;
        }
        answer.await.map_err(|_| no_such_neighbor())?
    }

    /// All neighbours by address, with the counts of `summary`.
    pub fn views(&self, summary: &Summary) -> Vec<NeighborView> {
        let present = |entry: &Entry| (!entry.leaving).then(|| Arc::clone(&entry.neighbor));
        let neighbors: Vec<Arc<Neighbor>> = self.list().neighbors.values().filter_map(present).collect();
        let counts: HashMap<PeerId, _> = summary.neighbors.iter().map(|(peer, counts)| (*peer, counts)).collect();
        let of = |peer: &PeerId| counts.get(peer).map(|counts| (*counts).clone()).unwrap_or_default();
        let mut views: Vec<NeighborView> = neighbors.iter().map(|neighbor| neighbor.view(of(&neighbor.id))).collect();
        views.sort_by_key(|view| (view.address, view.peer));
        views
    }

    /// Tells every neighbour that the process ends, and waits until they are told or `patience` is over.
    pub async fn shutdown(&self, patience: Duration) {
        let entries = {
            let mut list = self.list();
            list.stopping = true;
            list.accepting.drain(..).for_each(|accepting| accepting.abort());
            std::mem::take(&mut list.neighbors)
        };
        for entry in entries.values() {
            // A task that has just ended need not be told.
            let _ = entry.inbox.send(ToTask::Shutdown);
        }
        let all_told = async {
            for entry in entries.into_values() {
                // The sender is dropped when the task has ended: that is the answer.
                let _ = entry.done.await;
            }
        };
        if tokio::time::timeout(patience, all_told).await.is_err() {
            warn!("some neighbors did not take our last message in time; leaving without");
        }
    }

    /// Decides who a connection belongs to.
    fn arrived(&self, stream: TcpStream, local: SocketAddr, remote: SocketAddr) -> Door {
        let mut list = self.list();
        let address = remote.ip();
        let id = ConnId::inbound(list.next_inbound);
        list.next_inbound += 1;
        if let Some(entry) = list.by_address.get(&address).and_then(|peer| list.neighbors.get(peer)) {
            let expected = entry.neighbor.settings().local_address;
            if expected.is_some_and(|expected| expected != local.ip()) {
                let label = entry.neighbor.label();
                list.note_stranger(
                    address,
                    &format!("{label} connected to {} instead of its local_address", local.ip()),
                );
                return Door::Closed(stream);
            }
            return Door::Open(entry.inbox.clone(), ToTask::Incoming { id, stream, local, remote });
        }
        let Some(range) = list.ranges.iter().find(|range| range.prefix.contains(address)) else {
            list.note_stranger(address, &format!("connection from {address} refused: it is not a configured neighbor"));
            return Door::Closed(stream);
        };
        let (prefix, settings) = (range.prefix, Arc::clone(&range.settings));
        if settings.local_address.is_some_and(|expected| expected != local.ip()) {
            let text = format!("{address} connected to {} instead of the local_address of {prefix}", local.ip());
            list.note_stranger(address, &text);
            return Door::Closed(stream);
        }
        let connected = list.connected.get(&prefix).copied().unwrap_or_default();
        if connected >= settings.limit {
            let label = settings.label(prefix);
            let text = format!("connection from {address} refused: {label} has its limit of {connected} speakers");
            list.note_stranger(address, &text);
            return Door::Closed(stream);
        }
        let first = ToTask::Incoming { id, stream, local, remote };
        self.spawn(&mut list, address, Some(prefix), settings, Some(first));
        Door::Made
    }
}

impl List {
    /// A neighbour that was not removed.
    fn present(&self, id: PeerId) -> Option<&Entry> {
        self.neighbors.get(&id).filter(|entry| !entry.leaving)
    }

    /// Logs a connection that was turned away, once per address for a while.
    fn note_stranger(&mut self, address: IpAddr, text: &str) {
        let now = Instant::now();
        self.strangers.retain(|_, seen| now.duration_since(*seen) < STRANGER_QUIET);
        if self.strangers.len() < STRANGERS_MAX && self.strangers.insert(address, now).is_none() {
            warn!(neighbor = %address, "{text}");
        }
    }
}

fn no_such_neighbor() -> Refusal {
    Refusal::NotFound("no such neighbor".to_owned())
}

async fn accept_loop(speaker: Speaker, listener: Arc<TcpListener>) {
    let mut troubled = false;
    loop {
        let arrived = match listener.accept().await {
            Ok((stream, remote)) => stream.local_addr().map(|local| (stream, local, remote)),
            Err(error) => Err(error),
        };
        match arrived {
            Ok((stream, local, remote)) => {
                troubled = false;
                match speaker.arrived(stream, local, remote) {
                    // A task that ended this moment drops the connection; the neighbour tries again.
                    Door::Open(inbox, incoming) => drop(inbox.send(incoming)),
                    Door::Made => {}
                    Door::Closed(stream) => drop(tokio::spawn(task::refuse(stream))),
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut troubled, true) {
                    warn!("cannot accept connections for the moment: {error}");
                }
                // Out of files, for instance: accepting at once again would only burn the core.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
