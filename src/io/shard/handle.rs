//! The way to the engine's thread: what other tasks hold to ask it, to tell it, and to subscribe to its changes. What
//! the thread does with all that is in the folder's main file.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};

use super::{Call, FEED_LEN_MAX, Feed, Question};
use crate::{
    engine::Owned,
    policy::Library,
    rib::Knobs,
    types::{PeerId, Prefix, Timestamp},
    validation::Update,
    view::{Answer, Delivery, EventBatch, EventSource, Query, Refusal, Summary, observed::Observer},
    wire::bgp::batch::UpdateBatch,
};

/// The way to the engine. Clones lead to the same one.
#[derive(Clone)]
pub struct ShardHandle {
    pub(super) feed: mpsc::Sender<Feed>,
    pub(super) calls: mpsc::UnboundedSender<Call>,
    pub(super) questions: Arc<Semaphore>,
    pub(super) pool: Arc<BatchPool>,
    pub(super) summary: Arc<Mutex<Arc<Summary>>>,
    pub(super) watching: Arc<AtomicBool>,
}

impl ShardHandle {
    /// Asks the engine.
    ///
    /// # Errors
    /// The engine's refusal, or `Stopping`.
    pub async fn query(&self, query: Query) -> Result<Answer, Refusal> {
        let _turn = self.questions.acquire().await.map_err(|_| Refusal::Stopping)?;
        let (reply, answer) = oneshot::channel();
        self.calls.send(Call::Query(Question { query, reply })).map_err(|_| Refusal::Stopping)?;
        answer.await.map_err(|_| Refusal::Stopping)?
    }

    /// Subscribes to changes; answers given later than this already include earlier changes.
    ///
    /// # Errors
    /// `Stopping`.
    pub async fn subscribe(&self) -> Result<Box<dyn EventSource>, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.calls.send(Call::Subscribe { reply }).map_err(|_| Refusal::Stopping)?;
        let events = answer.await.map_err(|_| Refusal::Stopping)?;
        Ok(Box::new(Subscription { events }))
    }

    /// The summary published last.
    pub fn summary(&self) -> Arc<Summary> {
        Arc::clone(&self.summary.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts all policies and sets in the place of those before; what is kept is judged again by them in the background.
    /// Sessions that are told of later use them from the start.
    pub fn set_policies(&self, library: Arc<Library>) {
        // An engine that is gone has nothing to judge.
        let _ = self.calls.send(Call::Policies(library));
    }

    /// Has best paths chosen by these knobs from now on, in the background also where one is chosen already.
    pub fn set_decision(&self, knobs: Knobs) {
        // An engine that is gone has nothing to choose.
        let _ = self.calls.send(Call::Decision(knobs));
    }

    /// The subnets that our interfaces are on, from now on.
    pub fn set_connected(&self, subnets: Vec<Prefix>) {
        // An engine that is gone has nothing to choose.
        let _ = self.calls.send(Call::Connected(subnets));
    }

    /// What may be originated by command from now on; routes of our own that are there stay.
    pub fn set_owned(&self, owned: Owned) {
        // An engine that is gone originates nothing.
        let _ = self.calls.send(Call::Owned(owned));
    }

    /// RPKI says something else now.
    pub fn set_rpki(&self, update: Update) {
        // An engine that is gone judges nothing.
        let _ = self.calls.send(Call::Rpki(Box::new(update)));
    }

    /// Import waits for these sources of RPKI data, no longer than `until`; to be told before any session is up.
    pub fn hold_import(&self, sources: Vec<String>, until: Timestamp) {
        // An engine that is gone imports nothing.
        let _ = self.calls.send(Call::HoldImport { sources, until });
    }

    /// A source of RPKI data has answered for the first time, or is not asked any more.
    pub fn source_answered(&self, name: String) {
        // An engine that is gone waits for nothing.
        let _ = self.calls.send(Call::SourceAnswered(name));
    }

    /// Puts another observer in the place of the one before; it is shown all there is first.
    pub fn set_observer(&self, observer: Box<dyn Observer>) {
        // An engine that is gone changes nothing.
        let _ = self.calls.send(Call::Observer(observer));
    }

    /// Nobody watches any more.
    pub fn watch_no_more(&self) {
        // An engine that is gone is not watched.
        let _ = self.calls.send(Call::WatchNoMore);
    }

    /// Whether somebody watches every change: false without an observer, and after a fault of one.
    pub fn is_watched(&self) -> bool {
        self.watching.load(Ordering::Relaxed)
    }

    /// Ends the engine's thread after the call it is at.
    pub fn stop(&self) {
        // An engine that is gone needs no stopping.
        let _ = self.calls.send(Call::Stop);
    }

    /// We restarted: neighbours are sent nothing before those at the `expected` addresses are up and have sent
    /// End-of-RIB, or until then (RFC 4724 §4.1). To be said before neighbours are added.
    pub fn restarted(&self, expected: Vec<IpAddr>, until: Timestamp) {
        // An engine that is gone sends nothing anyway.
        let _ = self.calls.send(Call::Restarted { expected, until });
    }

    /// The neighbour's outbound queue has room again.
    pub(in crate::io) fn writable(&self, peer: PeerId) {
        // An engine that is gone has nothing to write.
        let _ = self.calls.send(Call::Writable { peer });
    }

    /// The bounded way for what sessions say.
    pub(in crate::io) fn feed(&self) -> mpsc::Sender<Feed> {
        self.feed.clone()
    }

    /// An empty batch, one with room from earlier use if there is one.
    pub(in crate::io) fn empty_batch(&self) -> UpdateBatch {
        self.pool.take()
    }

    /// Gives back a batch that was lent and is not going to be fed.
    pub(in crate::io) fn give_back(&self, batch: UpdateBatch) {
        self.pool.give_back(batch);
    }
}

struct Subscription {
    events: broadcast::Receiver<Arc<EventBatch>>,
}

impl EventSource for Subscription {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Delivery>> + Send + '_>> {
        Box::pin(async {
            match self.events.recv().await {
                Ok(batch) => Some(Delivery::Batch(batch)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some(Delivery::Gap),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        })
    }
}

/// Batches that were applied and wait to be filled again.
#[derive(Default)]
pub(super) struct BatchPool(Mutex<Vec<UpdateBatch>>);

impl BatchPool {
    pub(super) fn take(&self) -> UpdateBatch {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, mut batch: UpdateBatch) {
        batch.clear();
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < FEED_LEN_MAX {
            pool.push(batch);
        }
    }
}
