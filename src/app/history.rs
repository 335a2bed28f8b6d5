//! The thread that remembers what neighbours said of prefixes: fed by a tap on the engine's thread without waiting, asked
//! by readers. Both sides meet here and never at the engine.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc},
};

use crate::{
    types::{Family, Prefix, Timestamp},
    view::{
        history::{
            History, PrefixHistory,
            tap::{Batch, Tap},
        },
        observed::{Observed, Observer},
    },
};

/// Batches that may wait to be remembered; when they are full, changes are counted as missed.
const BATCHES_MAX: usize = 8;

/// The memory, shared with its thread.
#[derive(Clone)]
pub(super) struct Keeper {
    store: Arc<Mutex<History>>,
    batches: mpsc::SyncSender<Batch>,
}

impl Keeper {
    /// Starts the thread of a memory of `octets`, which ends with the last tap and keeper; `None`: nothing is to be
    /// remembered.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub(super) fn start(octets: u64, now: Timestamp) -> io::Result<Option<Self>> {
        let bound = usize::try_from(octets).unwrap_or(usize::MAX);
        if bound == 0 {
            return Ok(None);
        }
        let store = Arc::new(Mutex::new(History::new(bound, now)));
        let (batches, waiting) = mpsc::sync_channel::<Batch>(BATCHES_MAX);
        let memory = Arc::clone(&store);
        std::thread::Builder::new().name("history".to_owned()).spawn(move || {
            for batch in waiting {
                memory.lock().unwrap_or_else(PoisonError::into_inner).take(&batch);
            }
        })?;
        Ok(Some(Self { store, batches }))
    }

    /// What is remembered of a prefix.
    pub(super) fn of(&self, family: Family, prefix: Prefix) -> PrefixHistory {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).of(family, prefix)
    }

    /// Lets `observer` see everything, and remembers on the side. `resumes`: it takes the place of another one.
    pub(super) fn beside(&self, observer: Box<dyn Observer>, resumes: bool) -> Box<dyn Observer> {
        let batches = self.batches.clone();
        let hand = move |batch| match batches.try_send(batch) {
            Ok(()) => None,
            Err(mpsc::TrySendError::Full(batch) | mpsc::TrySendError::Disconnected(batch)) => Some(batch),
        };
        let tap = Tap::new(Box::new(hand), resumes);
        Box::new(Both { observer, tap })
    }
}

/// Two who watch.
struct Both {
    observer: Box<dyn Observer>,
    tap: Tap,
}

impl Observer for Both {
    fn observe(&mut self, seen: &Observed<'_>) {
        self.tap.observe(seen);
        self.observer.observe(seen);
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        [self.observer.next_deadline(), self.tap.next_deadline()].into_iter().flatten().min()
    }

    fn end(&mut self) {
        self.observer.end();
    }
}
