//! Sources of validated payloads: RTR caches (`rtr`, over a `line`, perhaps with `tls`), exported files and local
//! exceptions (`file`). Each source is a task that keeps its own data and tells them with a `report`; `force` puts those
//! in force together into one `Snapshot`, which is handed to whoever judges routes, and `questions` answers about them.
//! `reload` goes over to other settings. All or nothing: a source that fails in the middle of an update changes nothing.
//!
//! What is in force: of the sources that have data, those with the lowest `preference`, together. So equal preferences
//! make a union, and different ones make reserves. Local exceptions (RFC 8416) filter what sources say and add to it.
//!
//! Data that were not confirmed within the expire interval are dropped (RFC 8210 §6), and the log says so.

mod file;
mod force;
mod line;
pub mod offline;
mod questions;
mod reload;
mod report;
mod rtr;
mod settings;
mod tls;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::runtime::Handle;
use tracing::warn;

use self::{
    force::{LOCAL, Source, State},
    report::Reporter,
};
pub use self::{
    settings::{Identity, Place, RpkiSettings, SourceSettings, Tls},
    tls::TlsFault,
};
use super::clock::Clock;
use crate::{
    types::Timestamp,
    validation::{SourceId, Update},
};

/// What is told to whoever judges routes, in order.
#[derive(Clone, Debug)]
pub enum News {
    /// Other data are in force.
    InForce(Update),
    /// This source has answered for the first time (what that changed was told before), or is not asked any more.
    Answered(String),
}

/// Who is told; it must not block.
pub type Publish = Box<dyn Fn(News) + Send + Sync>;

/// Handle of all sources. Clones lead to the same ones; the tasks end when the runtime does.
#[derive(Clone)]
pub struct Rpki {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    state: Mutex<State>,
    publish: Publish,
    /// Where the tasks run, and how many there were.
    runtime: Handle,
    tasks: AtomicU64,
}

impl Rpki {
    /// Starts a task per source on the runtime that this is called in.
    pub fn start(settings: &RpkiSettings, clock: Clock, publish: Publish) -> Self {
        let (state, runtime, tasks) = (Mutex::default(), Handle::current(), AtomicU64::new(0));
        let inner = Inner { clock, state, publish, runtime, tasks };
        let rpki = Self { inner: Arc::new(inner) };
        // The exceptions first, so that no source is in force without them.
        let exceptions = settings.slurm.as_deref().map(|path| (path, file::version(path), force::read(path)));
        let mut state = rpki.lock();
        if let Some((path, version, read)) = exceptions {
            rpki.watch_exceptions(&mut state, path, version);
            state.take_exceptions(path, read, clock.now());
        }
        rpki.change_sources(&mut state, &settings.sources);
        rpki.put_in_force(&mut state);
        drop(state);
        rpki
    }

    /// A source with a number that none of `taken` is, and its task; `None`: all numbers are given away.
    fn new_source(&self, taken: &[SourceId], settings: &SourceSettings) -> Option<Source> {
        let Some(id) = (0..LOCAL).find(|id| !taken.contains(id)) else {
            warn!("rpki: {}: there are more sources than can be told apart", settings.name);
            return None;
        };
        let mut source = Source::new(id, settings);
        self.start_task(&mut source);
        Some(source)
    }

    /// Starts the task of a source; one that it had ends, and is not heard any more.
    fn start_task(&self, source: &mut Source) {
        source.task = self.inner.tasks.fetch_add(1, Ordering::Relaxed);
        let reporter = Reporter::new(self.clone(), source.id, source.task);
        let task = match &source.settings.place {
            Place::Rtr { address, password, tls } => {
                let password = password.as_ref().map(|password| password.0.clone().into_bytes());
                let place = line::Place { address: address.clone(), password, tls: tls.clone() };
                self.inner.runtime.spawn(rtr::run(reporter, place))
            }
            Place::File(path) => self.inner.runtime.spawn(file::run(reporter, path.clone())),
        };
        if let Some(before) = source.handle.replace(task.abort_handle()) {
            before.abort();
        }
    }

    /// Has the file of local exceptions looked at from now on.
    fn watch_exceptions(&self, state: &mut State, path: &Path, read: Option<file::Version>) {
        let task = self.inner.runtime.spawn(file::watch_slurm(self.clone(), path.to_owned(), read));
        if let Some(before) = state.exceptions_task.replace(task.abort_handle()) {
            before.abort();
        }
    }

    /// Puts what sources hold together and tells it, when it is news. Under the lock, so that all is told in its order.
    fn put_in_force(&self, state: &mut State) {
        if let Some(update) = state.put_in_force() {
            (self.inner.publish)(News::InForce(update));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}
