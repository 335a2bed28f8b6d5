//! Sinks at work, on threads of their own: whatever a receiver or a disk does, sessions and readers do not notice. Their
//! queues are journals in `[state] dir`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};
use tracing::warn;

use crate::{
    alert::Change,
    detect::Report,
    io::clock::Clock,
    sink::{
        SinkSettings,
        driver::{Keeper, Sink, Surroundings},
    },
    store::{Journal, Kind},
    view::sinks::SinkView,
};

/// Threads for all sinks together. They wait for receivers, which takes none.
const THREADS: usize = 2;
/// How long what is under way may take when the daemon ends.
const FAREWELL: Duration = Duration::from_secs(2);
/// Octets of a file of dead letters; then it is moved aside, over the one before.
const DEAD_MAX: u64 = 16 << 20;

/// All sinks.
pub struct Sinks {
    /// `None` without sinks, and once they are stopped.
    runtime: Mutex<Option<Runtime>>,
    sinks: Vec<Sink>,
}

impl Sinks {
    /// Starts what `settings` describe; must not be called inside a runtime.
    ///
    /// `last_seq` is the last change that the desk knows of, `report` tells it of sinks that are down and must not block.
    ///
    /// # Errors
    /// One sentence: certificates or a queue in `state_dir` cannot be used, or there are no threads.
    pub fn start(
        settings: &[SinkSettings],
        state_dir: Option<&Path>,
        clock: Clock,
        last_seq: u64,
        report: Arc<dyn Fn(Report) + Send + Sync>,
    ) -> Result<Self, String> {
        if settings.is_empty() {
            return Ok(Self { runtime: Mutex::new(None), sinks: Vec::new() });
        }
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("sinks").enable_all().build();
        let runtime = runtime.map_err(|error| format!("no threads for sinks: {error}"))?;
        let mut sinks = Vec::with_capacity(settings.len());
        {
            let _inside = runtime.enter();
            for (number, settings) in settings.iter().enumerate() {
                let keeper = state_dir.map(|dir| JournalKeeper::open(dir, &settings.name)).transpose()?;
                let around = Surroundings {
                    now: Arc::new(move || clock.now()),
                    report: Arc::clone(&report),
                    // Two routers, or two sinks, that fail together do not try again together.
                    seed: clock.now().0 ^ (number as u64) << 48,
                    last_seq,
                };
                let keeper = keeper.map(|keeper| Box::new(keeper) as Box<dyn Keeper>);
                sinks.push(Sink::start(settings.clone(), keeper, around)?);
            }
        }
        Ok(Self { runtime: Mutex::new(Some(runtime)), sinks })
    }

    /// Tells every sink of a change. Never waits.
    pub fn tell(&self, change: &Arc<Change>) {
        self.sinks.iter().for_each(|sink| sink.tell(change));
    }

    /// The last change that every sink has looked at: after a restart the stream of changes goes on behind it, and each
    /// sink leaves out what it knows. `None`: there is no sink, or none has looked at any, and they begin with what
    /// happens next.
    pub fn resume_after(&self) -> Option<u64> {
        self.sinks.iter().map(Sink::taken).filter(|seq| *seq > 0).min()
    }

    /// Counts and states.
    pub fn views(&self) -> Vec<SinkView> {
        self.sinks.iter().map(Sink::view).collect()
    }

    /// Ends them: what is under way has a moment, what waits stays on disk. Must not be called inside a runtime.
    pub fn stop(&self) {
        let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // All at once, then one after the other: together they take no longer than the slowest.
        self.sinks.iter().for_each(Sink::stop);
        let ended = async {
            for sink in &self.sinks {
                sink.ended().await;
            }
        };
        // Who needs longer is cut off: what waits is on disk.
        let _ = runtime.block_on(async { tokio::time::timeout(FAREWELL, ended).await });
        runtime.shutdown_timeout(Duration::from_millis(100));
    }
}

/// A queue on disk, and its dead letters.
struct JournalKeeper {
    journal: Journal,
    dead: PathBuf,
}

impl JournalKeeper {
    fn open(dir: &Path, name: &str) -> Result<Self, String> {
        let file = format!("sink-{name}.journal");
        let opened = Journal::open(dir, &file)
            .map_err(|error| format!("[state] dir: {} cannot be used: {error}", dir.join(&file).display()))?;
        if opened.lost > 0 {
            warn!("[state] {file}: the last {} octets were no whole record and are gone", opened.lost);
        }
        Ok(Self { journal: opened.journal, dead: dir.join(format!("sink-{name}.dead.jsonl")) })
    }
}

impl Keeper for JournalKeeper {
    fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.journal.iter(Kind::SinkQueue).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.journal.put(Kind::SinkQueue, key, value)
    }

    fn remove(&mut self, key: &[u8]) -> io::Result<()> {
        self.journal.remove(Kind::SinkQueue, key).map(drop)
    }

    fn bury(&mut self, line: &str) -> io::Result<()> {
        if fs::metadata(&self.dead).is_ok_and(|metadata| metadata.len() >= DEAD_MAX) {
            fs::rename(&self.dead, self.dead.with_extension("jsonl.1"))?;
        }
        let mut file = OpenOptions::new().append(true).create(true).open(&self.dead)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_data()
    }
}
