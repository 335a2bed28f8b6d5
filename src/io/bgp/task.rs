//! The task of one neighbour: its session, its connections, and its way to the engine.
//!
//! Reading stops while something of this neighbour waits for the engine's feed, so a neighbour holds at most
//! one read's worth of UPDATEs, and a neighbour that blasts is slowed down by TCP. Before a timer is said to be
//! due, what the sockets hold is read even then (once per deadline, so it stays bounded): a busy driver must not
//! look like a silent peer.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{
    net::TcpStream,
    sync::{
        mpsc::{self, OwnedPermit, error::TrySendError},
        oneshot, watch,
    },
    task::{AbortHandle, JoinSet},
};
use tracing::warn;

use super::{
    PEER_DECONFIGURED,
    connection::{Connection, Read},
    neighbor::Neighbor,
    outbox::Outbox,
    socket,
};
use crate::{
    engine,
    io::{
        clock::{Clock, sleep_until},
        shard::{Feed, ShardHandle, ToPeer},
    },
    session::{Action, ConnId, Direction, Input, negotiate::Negotiated},
    types::Timestamp,
    view::Refusal,
    wire::bgp::{batch::UpdateBatch, notification::Notification, orf::OrfEntry},
};

/// Below this many waiting octets the engine is told that there is room: a quarter of what it hands out.
const QUEUE_LOW: usize = crate::engine::SEND_QUEUE_HIGH / 4;

/// What the rest of the daemon tells a neighbour's task.
pub(super) enum ToTask {
    /// The neighbour connected to us.
    Incoming { id: ConnId, stream: TcpStream, local: SocketAddr, remote: SocketAddr },
    /// An operator's command; answered once it is carried out.
    Command { command: TaskCommand, reply: oneshot::Sender<Result<(), Refusal>> },
    /// The neighbour has other settings, which its session does not notice.
    Reconfigured,
    /// End the session with this message, and the task.
    Remove(Notification),
    /// The process ends.
    Shutdown,
}

/// What an operator can ask of one neighbour.
pub(super) enum TaskCommand {
    Enable,
    Disable { text: String },
    Reset { text: String },
    Refresh,
}

pub(super) type Dialled = (ConnId, Result<TcpStream, String>);
type Waiting = Pin<Box<dyn Future<Output = Option<OwnedPermit<Feed>>> + Send>>;

/// The session that is up.
pub(super) struct Live {
    pub(super) conn: ConnId,
    pub(super) negotiated: Arc<Negotiated>,
    /// As the engine was given them.
    pub(super) settings: Arc<engine::PeerSettings>,
    pub(super) since: Timestamp,
    pub(super) mailbox: mpsc::UnboundedReceiver<ToPeer>,
    /// As the neighbour was told.
    pub(super) route_filter: Arc<[OrfEntry]>,
    /// Octets that the engine handed out since it was last told that there is room.
    pub(super) handed_out: usize,
}

/// What woke the task.
enum Event {
    Told(Option<ToTask>),
    FromEngine(Option<ToPeer>),
    Dialled(Dialled),
    Closed,
    Room(Option<OwnedPermit<Feed>>),
    Readable(ConnId),
    Writable(ConnId),
    TimersDue,
}

/// The driver of one neighbour.
pub(super) struct Task {
    pub(super) neighbor: Arc<Neighbor>,
    pub(super) clock: Clock,
    pub(super) shard: ShardHandle,
    pub(super) feed: mpsc::Sender<Feed>,
    pub(super) changes: watch::Sender<u64>,
    pub(super) inbox: mpsc::UnboundedReceiver<ToTask>,
    /// Ends with its last connection: accepted from a range, or on the way out.
    pub(super) ends_with_connections: bool,
    /// Was told to end.
    pub(super) leaving: bool,
    /// and will not come back with other settings.
    pub(super) deconfigured: bool,
    pub(super) connections: Vec<Connection>,
    pub(super) dials: JoinSet<Dialled>,
    pub(super) dialling: HashMap<ConnId, AbortHandle>,
    pub(super) closing: JoinSet<()>,
    pub(super) live: Option<Live>,
    /// The session was lost, and the engine may keep routes of it so long for the neighbour's return.
    pub(super) kept_until: Option<Timestamp>,
    pub(super) batch: UpdateBatch,
    /// What waits for room in the feed, in order.
    pub(super) unfed: VecDeque<Feed>,
    pub(super) waiting: Option<Waiting>,
    pub(super) permit: Option<OwnedPermit<Feed>>,
    /// Connections that got something to write during this turn.
    pub(super) touched: Vec<ConnId>,
    pub(super) write_first: bool,
}

impl Task {
    pub(super) fn new(
        neighbor: Arc<Neighbor>,
        clock: Clock,
        shard: ShardHandle,
        changes: watch::Sender<u64>,
        inbox: mpsc::UnboundedReceiver<ToTask>,
    ) -> Self {
        Self {
            feed: shard.feed(),
            ends_with_connections: neighbor.range.is_some(),
            leaving: false,
            deconfigured: false,
            neighbor,
            clock,
            shard,
            changes,
            inbox,
            connections: Vec::new(),
            dials: JoinSet::new(),
            dialling: HashMap::new(),
            closing: JoinSet::new(),
            live: None,
            kept_until: None,
            batch: UpdateBatch::default(),
            unfed: VecDeque::new(),
            waiting: None,
            permit: None,
            touched: Vec::new(),
            write_first: false,
        }
    }

    /// Runs the neighbour until it is removed, the process ends, or (from a range) its connection is gone.
    /// `first` is the connection that a neighbour from a range came with.
    pub(super) async fn run(mut self, first: Option<ToTask>) {
        self.handle(Input::Start);
        first.into_iter().for_each(|first| self.told(first));
        self.settle();
        while !self.is_over() {
            let event = self.next_event().await;
            let heavy = matches!(event, Event::Readable(_));
            self.on_event(event);
            self.settle();
            if heavy {
                // A read can be milliseconds of work; neighbours on this thread have their turn.
                tokio::task::yield_now().await;
            }
        }
        self.keep_nothing();
        for item in std::mem::take(&mut self.unfed) {
            // Without an engine nobody needs to know.
            let _ = self.feed.send(item).await;
        }
        if self.deconfigured {
            let name = self.neighbor.settings().engine.called.clone();
            let name = name.unwrap_or_else(|| self.neighbor.address.to_string().into());
            let _ = self.feed.send(Feed::Gone { name }).await;
        }
        while self.closing.join_next().await.is_some() {}
    }

    /// A neighbour from a range stays while its routes are kept: coming back, it must be the same one.
    fn is_over(&self) -> bool {
        let returns = !self.leaving && self.kept_until.is_some_and(|until| self.clock.now() < until);
        self.ends_with_connections && !returns && self.connections.is_empty() && self.dialling.is_empty()
    }

    /// When a neighbour from a range that did not come back is to be forgotten.
    fn lingering_until(&self) -> Option<Timestamp> {
        self.kept_until.filter(|_| self.ends_with_connections && self.connections.is_empty())
    }

    async fn next_event(&mut self) -> Event {
        let deadline = [self.neighbor.session().next_deadline(), self.lingering_until()].into_iter().flatten().min();
        let may_read = self.unfed.is_empty() && self.waiting.is_none();
        self.write_first = !self.write_first;
        let Self { inbox, live, dials, closing, waiting, connections, clock, write_first, .. } = self;
        tokio::select! {
            told = inbox.recv() => Event::Told(told),
            Some(message) = async { Some(live.as_mut()?.mailbox.recv().await) } => Event::FromEngine(message),
            Some(Ok(dialled)) = dials.join_next() => Event::Dialled(dialled),
            Some(_) = closing.join_next() => Event::Closed,
            Some(permit) = async { Some(waiting.as_mut()?.await) } => Event::Room(permit),
            event = poll_fn(|cx| poll_connections(connections, may_read, *write_first, cx)) => event,
            () = sleep_until(deadline.map(|deadline| clock.instant(deadline))) => Event::TimersDue,
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Told(Some(told)) => self.told(told),
            // Nobody can reach this neighbour any more: the process ends.
            Event::Told(None) => self.told(ToTask::Shutdown),
            Event::FromEngine(Some(message)) => self.take_from_engine(message),
            Event::FromEngine(None) => self.engine_gone(),
            Event::Closed => {}
            Event::Dialled((conn, result)) => self.dialled(conn, result),
            Event::Room(permit) => self.room(permit),
            Event::Readable(conn) => self.readable(conn),
            Event::Writable(conn) => self.write(conn),
            Event::TimersDue => self.timers_due(),
        }
    }

    fn told(&mut self, told: ToTask) {
        match told {
            ToTask::Incoming { id, stream, local, remote } => self.incoming(id, stream, local, remote),
            ToTask::Command { command, reply } => {
                let result = self.command(command);
                // Who asked may have gone.
                let _ = reply.send(result);
            }
            ToTask::Reconfigured => {
                if self.live.is_some() {
                    let settings = Arc::clone(&self.neighbor.settings().engine);
                    self.unfed.push_back(Feed::Reconfigure { peer: self.neighbor.id, settings });
                    self.renew_route_filter();
                }
            }
            ToTask::Remove(notification) => {
                self.deconfigured = notification.subcode == PEER_DECONFIGURED;
                (self.ends_with_connections, self.leaving) = (true, true);
                self.handle(Input::Notify { notification, restart_after: None });
                self.handle(Input::Shutdown);
            }
            ToTask::Shutdown => {
                (self.ends_with_connections, self.leaving) = (true, true);
                self.handle(Input::Shutdown);
            }
        }
    }

    fn incoming(&mut self, id: ConnId, stream: TcpStream, local: SocketAddr, remote: SocketAddr) {
        if let Err(error) = socket::apply(&self.neighbor.settings(), &stream, remote) {
            let label = self.neighbor.label();
            warn!(neighbor = %remote.ip(), "{label}: connection closed, its socket options cannot be set: {error}");
            return;
        }
        self.connections.push(Connection::new(id, stream));
        self.handle(Input::Connected { conn: id, direction: Direction::Inbound, local, remote });
    }

    fn command(&mut self, command: TaskCommand) -> Result<(), Refusal> {
        match command {
            TaskCommand::Enable => self.handle(Input::Enable),
            TaskCommand::Disable { text } => {
                self.handle(Input::Disable { text });
                self.keep_nothing();
            }
            TaskCommand::Reset { text } => {
                self.handle(Input::Reset { text, hard: true });
                self.keep_nothing();
            }
            TaskCommand::Refresh => return self.refresh(),
        }
        Ok(())
    }

    fn refresh(&mut self) -> Result<(), Refusal> {
        let refuse = |why: &str| Err(Refusal::NotNow(format!("{} {why}", self.neighbor.label())));
        let Some(negotiated) = self.live.as_ref().map(|live| Arc::clone(&live.negotiated)) else {
            return refuse("is not established");
        };
        if !negotiated.route_refresh {
            return refuse("does not know route refresh (RFC 2918); a hard reset makes it send its routes again");
        }
        for family in &negotiated.families {
            self.handle(Input::SendRefresh { family: *family });
        }
        Ok(())
    }

    fn take_from_engine(&mut self, message: ToPeer) {
        match message {
            ToPeer::Send { messages, count } => {
                let Some(live) = &mut self.live else { return };
                live.handed_out += messages.len();
                let conn = live.conn;
                self.neighbor.session().note_updates_sent(u64::from(count));
                self.queue(conn, messages, Outbox::push_table);
            }
            ToPeer::Notify { notification, restart_after } => {
                self.handle(Input::Notify { notification, restart_after });
            }
        }
    }

    /// The engine dropped the mailbox of a session that is up: it is stopping.
    fn engine_gone(&mut self) {
        self.told(ToTask::Shutdown);
        self.live = None;
    }

    fn dialled(&mut self, conn: ConnId, result: Result<TcpStream, String>) {
        if self.dialling.remove(&conn).is_none() {
            return;
        }
        let ends = |stream: TcpStream| Ok((stream.local_addr()?, stream.peer_addr()?, stream));
        match result.and_then(|stream| ends(stream).map_err(|error| socket::explain_loss(&error))) {
            Ok((local, remote, stream)) => {
                self.connections.push(Connection::new(conn, stream));
                self.handle(Input::Connected { conn, direction: Direction::Outbound, local, remote });
            }
            Err(reason) => self.handle(Input::ConnectFailed { conn, reason }),
        }
    }

    /// Reads once, if what is read can be handed on; else gets in line for room in the feed.
    fn readable(&mut self, conn: ConnId) {
        if self.live.as_ref().is_some_and(|live| live.conn == conn) && self.permit.is_none() {
            match self.feed.clone().try_reserve_owned() {
                Ok(permit) => self.permit = Some(permit),
                Err(TrySendError::Full(feed)) => return self.wait_for_room(feed),
                Err(TrySendError::Closed(_)) => return self.engine_gone(),
            }
        }
        self.read(conn);
    }

    /// There is room in the feed: what waits goes first, and only then is read on.
    fn room(&mut self, permit: Option<OwnedPermit<Feed>>) {
        self.waiting = None;
        self.permit = permit;
        if let Some(live) = self.live.as_ref().filter(|_| self.unfed.is_empty()) {
            self.read(live.conn);
        }
    }

    fn wait_for_room(&mut self, feed: mpsc::Sender<Feed>) {
        self.waiting = Some(Box::pin(async { feed.reserve_owned().await.ok() }));
    }

    fn read(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.iter().find(|connection| connection.id == conn) else { return };
        let lent = self.live.is_some();
        if lent {
            self.batch = self.shard.empty_batch();
        }
        let mut actions = Vec::new();
        let outcome = connection.read(|bytes| {
            let now = self.clock.now();
            self.neighbor.session().handle(now, Input::Received { conn, bytes }, &mut self.batch, &mut actions);
        });
        let unused = !actions.iter().any(|action| matches!(action, Action::Updates(_)));
        match outcome {
            Read::Octets(()) => self.perform(actions),
            Read::Nothing => {}
            Read::Ended(Ok(())) => self.lost(conn, "connection closed by the peer".to_owned()),
            Read::Ended(Err(error)) => self.lost(conn, socket::explain_loss(&error)),
        }
        // A batch that was handed on comes back from the engine, with its buffers.
        if lent && unused {
            self.shard.give_back(std::mem::take(&mut self.batch));
        }
    }

    fn lost(&mut self, conn: ConnId, reason: String) {
        self.connections.retain(|connection| connection.id != conn);
        self.handle(Input::Closed { conn, reason });
    }

    fn write(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == conn) else { return };
        match connection.write() {
            Ok(octets) => {
                let pending = connection.outbox.pending();
                self.handle(Input::Wrote { conn, octets, pending });
                self.report_room(conn, pending);
            }
            Err(error) => {
                // What the peer sent before it left may say why.
                self.read(conn);
                self.lost(conn, socket::explain_loss(&error));
            }
        }
    }

    /// Tells the engine when the neighbour's queue has drained after it handed out much.
    fn report_room(&mut self, conn: ConnId, pending: usize) {
        let Some(live) = self.live.as_mut().filter(|live| live.conn == conn) else { return };
        self.neighbor.note_send_queue(pending);
        if pending < QUEUE_LOW && live.handed_out >= QUEUE_LOW {
            live.handed_out = 0;
            self.shard.writable(self.neighbor.id);
        }
    }

    fn timers_due(&mut self) {
        let ids: Vec<ConnId> = self.connections.iter().map(|connection| connection.id).collect();
        ids.into_iter().for_each(|conn| self.read(conn));
        self.handle(Input::TimersDue);
    }

    /// Gives the session an input and carries out what it asks for.
    pub(super) fn handle(&mut self, input: Input<'_>) {
        let mut actions = Vec::new();
        let now = self.clock.now();
        self.neighbor.session().handle(now, input, &mut self.batch, &mut actions);
        self.perform(actions);
    }

    /// Ends a turn: writes what was queued, hands on what is for the engine.
    fn settle(&mut self) {
        while let Some(conn) = self.touched.pop() {
            self.write(conn);
        }
        while !self.unfed.is_empty() && self.waiting.is_none() {
            match self.permit.take().map_or_else(|| self.feed.clone().try_reserve_owned(), Ok) {
                Ok(permit) => {
                    if let Some(item) = self.unfed.pop_front() {
                        permit.send(item);
                    }
                }
                Err(TrySendError::Full(feed)) => self.wait_for_room(feed),
                Err(TrySendError::Closed(_)) => self.unfed.clear(),
            }
        }
        // Room that was not needed is for others.
        self.permit = None;
    }
}

/// Which connection can be read or written; both have their turn when both can.
fn poll_connections(
    connections: &[Connection],
    may_read: bool,
    write_first: bool,
    cx: &mut Context<'_>,
) -> Poll<Event> {
    let mut readable = None;
    let mut writable = None;
    for connection in connections {
        if writable.is_none() && connection.poll_writable(cx).is_ready() {
            writable = Some(Event::Writable(connection.id));
        }
        if may_read && readable.is_none() && connection.poll_readable(cx).is_ready() {
            readable = Some(Event::Readable(connection.id));
        }
    }
    let event = if write_first { writable.or(readable) } else { readable.or(writable) };
    event.map_or(Poll::Pending, Poll::Ready)
}

/// Turns a connection away, with Cease/Connection Rejected (RFC 4486 §4) for whoever reads it.
pub(super) async fn refuse(stream: TcpStream) {
    /// Cease subcode Connection Rejected (RFC 4486 §3).
    const CONNECTION_REJECTED: u8 = 5;
    let mut connection = Connection::new(ConnId::inbound(0), stream);
    connection.outbox.push_control(Bytes::from(Notification::cease(CONNECTION_REJECTED).encode()));
    connection.close().await;
}
