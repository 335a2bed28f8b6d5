//! The engine's driver: one thread that owns the RIB and does nothing else.
//!
//! Two queues lead to it. The *feed* carries what sessions say, in the order of each session, and is bounded:
//! when it is full, a session waits before it reads its socket. *Calls* are questions, commands and reports of
//! drained queues; they overtake the feed, so that an answer takes less than a millisecond while tables load:
//! a batch is applied in slices and calls are taken between them. Questions about whole tables have to wait for
//! quiet moments, or get a small share of the time when there are none: readers must not slow sessions down. How
//! many questions wait at a time is bounded by the handle.
//!
//! What leaves: messages to the mailbox of each session (the engine itself stops at a bound per neighbour until
//! it is told that the queue drained), changes to subscribers through a ring (a subscriber that falls behind it
//! is told of a gap), and a fresh summary after each wake-up.
//!
//! `handle` is what the others hold of it.

mod handle;

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Semaphore, broadcast, mpsc, oneshot},
    time::Instant,
};
use tracing::{error, warn};

pub use handle::ShardHandle;

use self::handle::BatchPool;
use super::clock::{Clock, sleep_until};
use crate::{
    engine::{Action, BatchProgress, Engine, EngineSettings, Input, Owned, PeerSettings},
    policy::Library,
    rib::Knobs,
    session::negotiate::Negotiated,
    types::{PeerId, Prefix, Timestamp},
    validation::Update,
    view::{Answer, EventBatch, PrefixMatch, Query, Refusal, Summary, observed::Observer},
    wire::bgp::{RouteRefresh, batch::UpdateBatch, notification::Notification, orf::OrfRefresh},
};

/// Items in the feed. An item holds at most what one read of a socket gave, so this bounds memory, too.
const FEED_LEN_MAX: usize = 8;
/// Feed items taken per wake-up before exports and events go out.
const FEED_ITEMS_PER_WAKE: usize = 2;
/// NLRI applied between two looks at the calls: some 100 microseconds.
const SLICE_NLRI: usize = 512;
/// Prefixes looked at by one `flush`: well below a millisecond, as calls are taken between two.
const FLUSH_BUDGET: usize = 1024;
/// Flushes per wake-up, so that what comes in leaves about as fast.
const FLUSHES_PER_WAKE: usize = 8;
/// Calls taken between two slices.
const CALLS_PER_SLICE: usize = 16;
/// The feed is quiet when nothing waits in it and nothing came for this long: then questions about whole tables are
/// free. Longer than a thread waits for its turn on a busy core, or our own wait would look like quiet.
const QUIET: Duration = Duration::from_millis(20);
/// While it is not, the rest after such a question, in times of what it took. Much, because making text of a page
/// costs its reader several times what collecting it cost the engine.
const BULK_REST: u32 = 50;
/// Questions that may wait at a time; further ones wait for their turn outside.
const QUERIES_MAX: usize = 256;
/// Batches of changes that a subscriber may be behind before it is told of a gap.
const EVENTS_BEHIND_MAX: usize = 256;
/// A summary is published at most this often.
const SUMMARY_INTERVAL: Duration = Duration::from_millis(50);

/// What a session tells the engine, in order.
pub(super) enum Feed {
    /// The session is up; what the engine has for it goes into the mailbox.
    Up {
        peer: PeerId,
        settings: Arc<PeerSettings>,
        negotiated: Arc<Negotiated>,
        mailbox: mpsc::UnboundedSender<ToPeer>,
    },
    /// The session ended, or (`may_return`) was lost; also: what was kept of it is not to be kept any more.
    Down { peer: PeerId, may_return: bool },
    /// The neighbour was taken out of the configuration; its session has ended.
    Gone { name: Arc<str> },
    /// The session goes on with other settings.
    Reconfigure { peer: PeerId, settings: Arc<PeerSettings> },
    /// ROUTE-REFRESH came.
    Refresh { peer: PeerId, refresh: RouteRefresh },
    /// ROUTE-REFRESH about the filter of what the neighbour wants came.
    Filter { peer: PeerId, filter: OrfRefresh },
    /// UPDATEs came.
    Updates { peer: PeerId, batch: UpdateBatch },
}

/// What the engine has for a session.
pub(super) enum ToPeer {
    /// Whole messages to write, and how many.
    Send { messages: Bytes, count: u32 },
    /// End the session.
    Notify { notification: Notification, restart_after: Option<Duration> },
}

/// A question and where its answer goes.
struct Question {
    query: Query,
    reply: oneshot::Sender<Result<Answer, Refusal>>,
}

impl Question {
    /// Whether it may look at any number of prefixes.
    fn is_bulk(&self) -> bool {
        match &self.query {
            Query::Routes(routes) => matches!(routes.prefix, None | Some(PrefixMatch::Longer(_))),
            Query::WhatIf(_) => true,
            Query::Explain { .. }
            | Query::ExplainTyped { .. }
            | Query::Summary
            | Query::Originate(_)
            | Query::Withdraw { .. }
            | Query::LocalRoutes { .. } => false,
        }
    }
}

enum Call {
    Query(Question),
    Subscribe { reply: oneshot::Sender<broadcast::Receiver<Arc<EventBatch>>> },
    Writable { peer: PeerId },
    Restarted { expected: Vec<IpAddr>, until: Timestamp },
    Policies(Arc<Library>),
    Decision(Knobs),
    Connected(Vec<Prefix>),
    Rpki(Box<Update>),
    HoldImport { sources: Vec<String>, until: Timestamp },
    SourceAnswered(String),
    Owned(Owned),
    Observer(Box<dyn Observer>),
    WatchNoMore,
    Stop,
}

/// Starts the engine's thread, with somebody who watches every change if anybody does. It ends after [`ShardHandle::stop`], or when all handles are gone.
///
/// # Errors
/// The thread or its timer cannot be made.
pub fn start(
    settings: EngineSettings,
    clock: Clock,
    observer: Option<Box<dyn Observer>>,
) -> std::io::Result<(ShardHandle, std::thread::JoinHandle<()>)> {
    let (feed, feed_queue) = mpsc::channel(FEED_LEN_MAX);
    let (calls, call_queue) = mpsc::unbounded_channel();
    let handle = ShardHandle {
        feed,
        calls,
        questions: Arc::new(Semaphore::new(QUERIES_MAX)),
        pool: Arc::default(),
        summary: Arc::default(),
        watching: Arc::new(AtomicBool::new(observer.is_some())),
    };
    let now = Instant::now();
    let mut engine = Engine::seeded(settings, RandomState::new().hash_one(0_u8));
    if observer.is_some() {
        engine.watch();
    }
    let shard = Shard {
        engine,
        clock,
        feed: feed_queue,
        calls: call_queue,
        peers: HashMap::new(),
        events: broadcast::Sender::new(EVENTS_BEHIND_MAX),
        events_wanted: false,
        pool: Arc::clone(&handle.pool),
        summary: Arc::clone(&handle.summary),
        watching: Arc::clone(&handle.watching),
        bulk: VecDeque::new(),
        bulk_not_before: now,
        fed_at: now,
        published_at: now,
        changed: false,
        stopping: false,
        actions: Vec::new(),
        observer,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(move || runtime.block_on(shard.run()))?;
    Ok((handle, thread))
}

/// A session as the engine's driver knows it.
struct Mailbox {
    name: Arc<str>,
    sender: mpsc::UnboundedSender<ToPeer>,
}

struct Shard {
    engine: Engine,
    clock: Clock,
    feed: mpsc::Receiver<Feed>,
    calls: mpsc::UnboundedReceiver<Call>,
    peers: HashMap<PeerId, Mailbox>,
    events: broadcast::Sender<Arc<EventBatch>>,
    events_wanted: bool,
    pool: Arc<BatchPool>,
    summary: Arc<Mutex<Arc<Summary>>>,
    /// Falls when the observer had to be let go.
    watching: Arc<AtomicBool>,
    /// Questions about whole tables, in the order of their arrival.
    bulk: VecDeque<Question>,
    bulk_not_before: Instant,
    /// When the feed last had something.
    fed_at: Instant,
    published_at: Instant,
    /// Something happened since the summary was published.
    changed: bool,
    stopping: bool,
    actions: Vec<Action>,
    observer: Option<Box<dyn Observer>>,
}

impl Shard {
    async fn run(mut self) {
        let mut more_to_flush = false;
        while !self.stopping {
            if !more_to_flush {
                self.wait().await;
            }
            self.take_calls();
            for _ in 0..FEED_ITEMS_PER_WAKE {
                match self.feed.try_recv() {
                    Ok(item) => self.take_feed(item),
                    Err(_) => break,
                }
            }
            let began = more_to_flush;
            more_to_flush = self.flush();
            // A purge changes the counts without any input: the last of its slices, too, is worth a summary.
            self.changed |= began;
            self.publish();
        }
    }

    /// Sends out what changed; true: there is more to do at once.
    fn flush(&mut self) -> bool {
        for _ in 0..FLUSHES_PER_WAKE {
            let more = self.engine.flush(self.clock.now(), FLUSH_BUDGET, &mut self.actions);
            self.perform();
            if !more {
                return false;
            }
            self.changed = true;
            self.take_calls();
        }
        true
    }

    /// Sleeps until there is a call, a feed item, or time to look at the clock; takes what woke it.
    async fn wait(&mut self) {
        let publish_at = self.changed.then(|| self.published_at + SUMMARY_INTERVAL);
        let deadline = self.engine.next_deadline().map(|deadline| self.clock.instant(deadline));
        let watch_at = self.observer.as_ref().and_then(|observer| observer.next_deadline());
        let watch_at = watch_at.map(|deadline| self.clock.instant(deadline));
        let wake_at = [publish_at, deadline, watch_at, self.bulk_due()].into_iter().flatten().min();
        tokio::select! {
            biased;
            call = self.calls.recv() => match call {
                Some(call) => self.take_call(call),
                None => self.stopping = true,
            },
            Some(item) = self.feed.recv() => self.take_feed(item),
            () = sleep_until(wake_at) => {}
        }
    }

    fn take_calls(&mut self) {
        // Those that are there now; what comes meanwhile has its turn between the next slices.
        for _ in 0..self.calls.len().min(CALLS_PER_SLICE) {
            if let Ok(call) = self.calls.try_recv() {
                self.take_call(call);
            }
        }
        self.take_bulk();
    }

    fn take_call(&mut self, call: Call) {
        match call {
            Call::Query(question) if question.is_bulk() => self.bulk.push_back(question),
            Call::Query(question) => self.answer(question),
            Call::Subscribe { reply } => {
                let events = self.events.subscribe();
                self.want_events(true);
                // Who asked may have gone; the next publication notices that nobody listens.
                let _ = reply.send(events);
            }
            Call::Writable { peer } => self.tell_engine(Input::Writable { peer }),
            Call::Restarted { expected, until } => self.tell_engine(Input::Restarted { expected, until }),
            Call::Rpki(update) => {
                self.changed = true;
                self.tell_engine(Input::Rpki(update));
            }
            Call::HoldImport { sources, until } => self.tell_engine(Input::HoldImport { sources, until }),
            Call::SourceAnswered(name) => {
                self.changed = true;
                self.tell_engine(Input::SourceAnswered(name));
            }
            Call::Owned(owned) => self.tell_engine(Input::Owned(owned)),
            Call::Policies(library) => {
                self.changed = true;
                self.tell_engine(Input::Policies(library));
            }
            Call::Decision(knobs) => {
                self.changed = true;
                self.tell_engine(Input::Decision(knobs));
            }
            Call::Observer(observer) => self.set_observer(observer),
            Call::Connected(subnets) => {
                self.changed = true;
                self.tell_engine(Input::Connected(subnets));
            }
            Call::WatchNoMore => {
                self.end_observer();
                self.engine.watch_no_more();
            }
            Call::Stop => self.stopping = true,
        }
    }

    /// What the observer knows can be kept before it goes.
    fn end_observer(&mut self) {
        let Some(mut observer) = self.observer.take() else { return };
        if catch_unwind(AssertUnwindSafe(|| observer.end())).is_err() {
            error!("detection could not keep what it had learnt, by a fault of ours");
        }
    }

    /// Another observer watches from now on; it is shown all there is as if it had come just now.
    fn set_observer(&mut self, observer: Box<dyn Observer>) {
        self.end_observer();
        self.engine.watch_anew();
        self.observer = Some(observer);
        self.watching.store(true, Ordering::Relaxed);
        self.observe();
    }

    fn answer(&mut self, question: Question) {
        let Question { query, reply } = question;
        let answer = self.engine.query(self.clock.now(), &query, &mut self.actions);
        self.changed |= matches!(query, Query::Originate(_) | Query::Withdraw { .. });
        self.perform();
        // Who asked may have gone.
        let _ = reply.send(answer);
    }

    /// When the next question about a whole table may be answered; `None`: none waits.
    fn bulk_due(&self) -> Option<Instant> {
        let quiet_at = self.feed.is_empty().then(|| self.fed_at + QUIET);
        (!self.bulk.is_empty()).then(|| quiet_at.map_or(self.bulk_not_before, |at| at.min(self.bulk_not_before)))
    }

    fn take_bulk(&mut self) {
        let began = Instant::now();
        if self.bulk_due().is_some_and(|due| due <= began)
            && let Some(question) = self.bulk.pop_front()
        {
            self.answer(question);
            let ended = Instant::now();
            self.bulk_not_before = ended + ended.duration_since(began) * BULK_REST;
        }
    }

    fn take_feed(&mut self, item: Feed) {
        self.changed = true;
        self.fed_at = Instant::now();
        match item {
            Feed::Up { peer, settings, negotiated, mailbox } => {
                self.peers.insert(peer, Mailbox { name: Arc::clone(&settings.name), sender: mailbox });
                self.tell_engine(Input::PeerUp { peer, settings, negotiated });
            }
            Feed::Down { peer, may_return } => {
                self.tell_engine(if may_return { Input::PeerLost { peer } } else { Input::PeerDown { peer } });
                self.peers.remove(&peer);
            }
            Feed::Reconfigure { peer, settings } => {
                if let Some(mailbox) = self.peers.get_mut(&peer) {
                    mailbox.name = Arc::clone(&settings.name);
                }
                self.tell_engine(Input::Reconfigure { peer, settings });
            }
            Feed::Gone { name } => self.tell_engine(Input::PeerGone { name }),
            Feed::Refresh { peer, refresh } => self.tell_engine(Input::Refresh { peer, refresh }),
            Feed::Filter { peer, filter } => self.tell_engine(Input::Filter { peer, filter }),
            Feed::Updates { peer, batch } => self.apply(peer, batch),
        }
    }

    fn apply(&mut self, peer: PeerId, batch: UpdateBatch) {
        let mut progress = BatchProgress::default();
        loop {
            let now = self.clock.now();
            let done = self.engine.apply(now, peer, &batch, &mut progress, SLICE_NLRI, &mut self.actions);
            self.perform();
            if done {
                break;
            }
            self.take_calls();
        }
        self.pool.give_back(batch);
    }

    fn tell_engine(&mut self, input: Input) {
        self.engine.handle(self.clock.now(), input, &mut self.actions);
        self.perform();
    }

    /// Carries out what the engine asked for, in order.
    fn perform(&mut self) {
        for action in self.actions.drain(..) {
            match action {
                // A mailbox whose session is gone swallows what came too late for it.
                Action::Send { peer, messages, count } => {
                    if let Some(mailbox) = self.peers.get(&peer) {
                        let _ = mailbox.sender.send(ToPeer::Send { messages, count });
                    }
                }
                Action::Notify { peer, notification, restart_after } => {
                    if let Some(mailbox) = self.peers.get(&peer) {
                        let _ = mailbox.sender.send(ToPeer::Notify { notification, restart_after });
                    }
                }
                Action::Events(batch) => {
                    // Fails only when nobody listens, which `publish` notices.
                    let _ = self.events.send(batch);
                }
                Action::Warn { peer, text } => match self.peers.get(&peer) {
                    Some(mailbox) => warn!("{}: {text}", mailbox.name),
                    None => warn!("{text}"),
                },
                Action::Note(text) => warn!("{text}"),
            }
        }
        self.observe();
    }

    /// Shows the observer what changed. One that fails is let go: routes are more important, and `watching` says so.
    fn observe(&mut self) {
        let Some(observer) = &mut self.observer else { return };
        let now = self.clock.now();
        if !self.engine.has_observations() && observer.next_deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let engine = &mut self.engine;
        let seen = AssertUnwindSafe(|| engine.observe(now, observer.as_mut()));
        if catch_unwind(seen).is_err() {
            error!("detection ended by a fault of ours: nothing is watched until the next start");
            self.watching.store(false, Ordering::Relaxed);
            self.observer = None;
            self.engine.watch_no_more();
        }
    }

    fn want_events(&mut self, wanted: bool) {
        if self.events_wanted != wanted {
            self.events_wanted = wanted;
            self.tell_engine(Input::EventsWanted(wanted));
        }
    }

    /// Publishes a summary if one is due, and stops events when nobody listens any more.
    fn publish(&mut self) {
        if self.events_wanted && self.events.receiver_count() == 0 {
            self.want_events(false);
        }
        let now = Instant::now();
        if self.changed && now.duration_since(self.published_at) >= SUMMARY_INTERVAL {
            let summary = Arc::new(self.engine.summary());
            *self.summary.lock().unwrap_or_else(PoisonError::into_inner) = summary;
            self.published_at = now;
            self.changed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        types::{Asn, Family, Prefix, RouterId},
        view::{Delivery, LocalRoute},
        wire::bgp::attribute::{AttrSetBuilder, NextHop, Origin},
    };

    fn start_engine() -> ShardHandle {
        let settings = EngineSettings::new(Asn(64512), RouterId(0xc633_6401));
        start(settings, Clock::start(), None).expect("starts").0
    }

    fn local_route(number: u32) -> Query {
        let mut attrs = AttrSetBuilder::new();
        attrs.origin(Origin::Igp).as_path_sequence(&[]);
        attrs.next_hop(Family::IPV4_UNICAST, NextHop::new(std::net::Ipv4Addr::new(192, 0, 2, 1).into()));
        let prefix = Prefix::v4(0xcb00_7100 + number, 32);
        Query::Originate(LocalRoute::plain(Family::IPV4_UNICAST, prefix, attrs.finish()))
    }

    #[tokio::test]
    async fn a_subscriber_that_falls_behind_is_told_of_the_gap_and_goes_on() {
        let engine = start_engine();
        let mut slow = engine.subscribe().await.expect("subscribes");
        for number in 0..=EVENTS_BEHIND_MAX as u32 {
            engine.query(local_route(number)).await.expect("originates");
            // Its changes are out before the next answer.
            engine.query(Query::Summary).await.expect("answers");
        }
        let mut gaps = 0;
        let mut last_seq = 0;
        let newest = match engine.query(Query::Summary).await {
            Ok(Answer::Summary(summary)) => summary.seq,
            other => panic!("no summary: {other:?}"),
        };
        while last_seq < newest {
            match slow.next().await.expect("the engine runs") {
                Delivery::Gap => gaps += 1,
                Delivery::Batch(batch) => last_seq = batch.events.last().map_or(last_seq, |event| event.seq),
            }
        }
        assert_eq!(gaps, 1);
    }

    #[tokio::test]
    async fn the_summary_is_published_without_being_asked_for() {
        let engine = start_engine();
        engine.query(local_route(1)).await.expect("originates");
        let published = async {
            while engine.summary().seq == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), published).await.expect("published");
    }

    #[tokio::test]
    async fn an_engine_that_was_stopped_refuses() {
        let engine = start_engine();
        engine.stop();
        let refused = async { while !matches!(engine.query(Query::Summary).await, Err(Refusal::Stopping)) {} };
        tokio::time::timeout(Duration::from_secs(60), refused).await.expect("refuses");
    }
}
