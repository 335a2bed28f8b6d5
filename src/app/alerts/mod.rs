//! The desk that runs: a thread of its own takes what detectors report and people command, has the journal keep what
//! comes of it, and only then lets readers and sinks see it.
//!
//! Queues, and what happens when they are full:
//! - reports: the engine never waits; above a limit, of several reports about one finding the last one stays, since a
//!   finding is a state. What is left cannot be more than what detectors keep themselves.
//! - changes: one ring for all who listen; who is too slow is told of the gap.
//!
//! A disk that takes nothing keeps nobody from being told: that is counted, logged, and tried again with the next change.

mod desk;
mod inbox;
mod shelf;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::oneshot;
use tracing::warn;

use self::{desk::Keeper, inbox::Inbox, shelf::Shelf};
use crate::{
    alert::{Alert, ChangeSource, Command, Counts, Desk, Done, Filter, MuteView, Page, Service, Settings},
    detect::Report,
    io::clock::Clock,
    store::{
        Journal,
        alerts::{AlertJournal, Loaded},
    },
    view::{Refusal, Reply},
};

/// File in `[state] dir`.
const FILE: &str = "alerts.journal";
/// How often what may be lost in a crash is written all the same.
const QUIET_INTERVAL: Duration = Duration::from_secs(60);

/// The desk's thread, and all that leads to it. Clones lead to the same one.
#[derive(Clone)]
pub struct Alerts {
    inbox: Arc<Inbox>,
    shelf: Arc<Shelf>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Alerts {
    /// Starts the thread, with what was kept in `dir`; without one, alerts live as long as the process.
    ///
    /// # Errors
    /// A sentence that names the fix: the journal cannot be had, or the thread cannot be made.
    pub fn start(settings: Settings, clock: Clock, dir: Option<&Path>) -> Result<Self, String> {
        let (journal, loaded) = match dir {
            Some(dir) => {
                let (journal, loaded) = open(dir)?;
                (Some(journal), loaded)
            }
            None => (None, Loaded::default()),
        };
        let keep_changes = settings.keep_changes;
        let desk = Desk::restore(settings, clock.now(), loaded.kept);
        let shelf = Arc::new(Shelf::new(&desk, loaded.changes, keep_changes));
        let inbox = Arc::new(Inbox::new(clock));
        let keeper = Keeper::new(desk, journal, Arc::clone(&shelf), clock.now());
        let work = {
            let inbox = Arc::clone(&inbox);
            move || keeper.run(&inbox)
        };
        let thread = std::thread::Builder::new().name("alerts".to_owned()).spawn(work);
        let thread = thread.map_err(|error| format!("no thread for alerts: {error}"))?;
        Ok(Self { inbox, shelf, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Takes reports from any thread, and never waits for the desk.
    pub fn reporter(&self) -> impl Fn(Vec<Report>) + Clone + Send + Sync + 'static {
        let inbox = Arc::clone(&self.inbox);
        move |reports| inbox.report(reports)
    }

    /// Changes with numbers above `after`, as far as they are kept, then those that come.
    pub fn subscribe_from(&self, after: u64) -> Box<dyn ChangeSource> {
        Shelf::watch(&self.shelf, Some(after))
    }

    /// Number of the last change.
    pub fn seq(&self) -> u64 {
        self.shelf.seq()
    }

    /// Goes over to other settings.
    pub fn set_settings(&self, settings: Settings) {
        self.inbox.settings(settings);
    }

    /// Looks at what was reported and commanded so far, writes it all down, and ends. Takes as long as the disk does.
    pub fn stop(&self) {
        self.inbox.stop();
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            warn!("the desk for alerts ended with a fault");
        }
        self.shelf.close();
    }
}

fn open(dir: &Path) -> Result<(AlertJournal, Loaded), String> {
    let opened = Journal::open(dir, FILE)
        .map_err(|error| format!("[state] dir: {} cannot be used: {error}", dir.join(FILE).display()))?;
    if opened.lost > 0 {
        warn!("[state] {FILE}: the last {} octets were no whole record and are gone", opened.lost);
    }
    let (journal, loaded) = AlertJournal::load(opened.journal);
    if loaded.unreadable > 0 {
        warn!("[state] {FILE}: records that this version cannot read: {}", loaded.unreadable);
    }
    Ok((journal, loaded))
}

impl Service for Alerts {
    fn list(&self, filter: &Filter, after: &str, limit: usize) -> Result<Page, Refusal> {
        self.shelf.list(filter, after, limit)
    }

    fn get(&self, id: &str) -> Result<Arc<Alert>, Refusal> {
        self.shelf.get(id)
    }

    fn mutes(&self) -> Vec<MuteView> {
        self.shelf.mutes()
    }

    fn watch(&self, after: Option<u64>) -> Box<dyn ChangeSource> {
        Shelf::watch(&self.shelf, after)
    }

    fn command(&self, command: Command) -> Reply<Done> {
        let (answer, answered) = oneshot::channel();
        self.inbox.command(command, answer);
        Box::pin(async { answered.await.unwrap_or(Err(Refusal::Stopping)) })
    }

    fn counts(&self) -> Counts {
        let mut counts = self.shelf.counts();
        (counts.reports, counts.reports_merged) = self.inbox.counts();
        counts
    }
}

/// A lock whose holder panicked is as good as any: what it guards is replaced as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
