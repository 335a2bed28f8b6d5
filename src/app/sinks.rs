//! Sinks at work, on threads of their own: whatever a receiver or a disk does, sessions and readers do not notice. Their
//! queues are journals in `[state] dir`.

use std::{
    fs::{self, OpenOptions},
    hash::BuildHasher,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustc_hash::FxBuildHasher;
use tokio::runtime::{Builder, Runtime};
use tracing::{error, info, warn};

use crate::{
    alert::Change,
    detect::Report,
    io::clock::Clock,
    sink::{
        SinkSettings,
        driver::{Keeper, Sink, Surroundings},
        transport::Transport,
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
    /// `None` before there is a sink, and once they are stopped.
    runtime: Mutex<Option<Runtime>>,
    inner: Arc<Inner>,
}

struct Inner {
    state_dir: Option<PathBuf>,
    clock: Clock,
    last_seq: LastSeq,
    report: Arc<dyn Fn(Report) + Send + Sync>,
    places: Mutex<Vec<Place>>,
    /// One comes or goes at a time: two must not have the same queue on disk open.
    turn: tokio::sync::Mutex<()>,
}

/// The last change that the desk knows of.
pub type LastSeq = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A `[[sink]]` of the configuration in force.
struct Place {
    settings: SinkSettings,
    state: State,
}

enum State {
    /// At work.
    Works(Arc<Sink>),
    /// About to start, when the one that had its queue has ended. What happens meanwhile waits here.
    Begins(Vec<Arc<Change>>),
}

impl Sinks {
    /// Starts what `settings` describe; must not be called inside a runtime.
    ///
    /// `last_seq` is asked for the last change that the desk knows of, `report` tells it of sinks that are down and must
    /// not block.
    ///
    /// # Errors
    /// One sentence: certificates or a queue in `state_dir` cannot be used, or there are no threads.
    pub fn start(
        settings: &[SinkSettings],
        state_dir: Option<&Path>,
        clock: Clock,
        last_seq: LastSeq,
        report: Arc<dyn Fn(Report) + Send + Sync>,
    ) -> Result<Self, String> {
        let inner = Inner {
            state_dir: state_dir.map(Path::to_path_buf),
            clock,
            last_seq,
            report,
            places: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        };
        let sinks = Self { runtime: Mutex::new(None), inner: Arc::new(inner) };
        if !settings.is_empty() {
            let runtime = new_runtime()?;
            {
                let _inside = runtime.enter();
                for settings in settings {
                    let sink = sinks.inner.open(settings)?;
                    lock(&sinks.inner.places)
                        .push(Place { settings: settings.clone(), state: State::Works(Arc::new(sink)) });
                }
            }
            *lock(&sinks.runtime) = Some(runtime);
        }
        Ok(sinks)
    }

    /// Goes over to other sinks; those that are in both lists go on as if nothing had happened. One that is changed takes
    /// over what waited for it on disk, and what waits for one that is gone stays there.
    ///
    /// # Errors
    /// One sentence: certificates cannot be read, or there are no threads; nothing was changed.
    pub fn reconfigure(&self, settings: &[SinkSettings]) -> Result<(), String> {
        let is_there = |settings: &SinkSettings| lock(&self.inner.places).iter().any(|p| p.settings == *settings);
        for new in settings.iter().filter(|new| !is_there(new)) {
            Transport::new(new).map_err(|why| format!("[[sink]] {}: {why}", new.name))?;
        }
        let mut runtime = lock(&self.runtime);
        if runtime.is_none() {
            *runtime = Some(new_runtime()?);
        }
        let Some(runtime) = runtime.as_ref() else { return Ok(()) };
        let (mut new, mut begin) = (Vec::with_capacity(settings.len()), Vec::new());
        let mut places = lock(&self.inner.places);
        for settings in settings {
            match places.iter().position(|place| place.settings == *settings) {
                Some(at) => new.push(places.swap_remove(at)),
                None => {
                    begin.push(settings.clone());
                    new.push(Place { settings: settings.clone(), state: State::Begins(Vec::new()) });
                }
            }
        }
        let gone = std::mem::replace(&mut *places, new);
        drop(places);
        let gone: Vec<Arc<Sink>> = gone.iter().filter_map(Place::sink).collect();
        gone.iter().for_each(|sink| sink.stop());
        runtime.spawn(Arc::clone(&self.inner).change(gone, begin));
        Ok(())
    }

    /// Tells every sink of a change. Never waits.
    pub fn tell(&self, change: &Arc<Change>) {
        lock(&self.inner.places).iter_mut().for_each(|place| place.tell(change));
    }

    /// The last change that every sink has looked at: after a restart the stream of changes goes on behind it, and each
    /// sink leaves out what it knows. `None`: there is no sink, or none has looked at any, and they begin with what
    /// happens next.
    pub fn resume_after(&self) -> Option<u64> {
        let places = lock(&self.inner.places);
        places.iter().filter_map(Place::sink).map(|sink| sink.taken()).filter(|seq| *seq > 0).min()
    }

    /// Counts and states.
    pub fn views(&self) -> Vec<SinkView> {
        lock(&self.inner.places).iter().map(Place::view).collect()
    }

    /// Ends them: what is under way has a moment, what waits stays on disk. Must not be called inside a runtime.
    pub fn stop(&self) {
        let Some(runtime) = lock(&self.runtime).take() else { return };
        // All at once, then one after the other: together they take no longer than the slowest.
        let sinks: Vec<Arc<Sink>> = lock(&self.inner.places).iter().filter_map(Place::sink).collect();
        sinks.iter().for_each(|sink| sink.stop());
        let ended = async {
            for sink in &sinks {
                sink.ended().await;
            }
        };
        // Who needs longer is cut off: what waits is on disk.
        let _ = runtime.block_on(async { tokio::time::timeout(FAREWELL, ended).await });
        runtime.shutdown_timeout(Duration::from_millis(100));
    }
}

impl Inner {
    /// Opens a sink's queue and starts it; called inside the sinks' runtime.
    fn open(&self, settings: &SinkSettings) -> Result<Sink, String> {
        let keeper = self.state_dir.as_deref().map(|dir| JournalKeeper::open(dir, &settings.name)).transpose()?;
        let clock = self.clock;
        let around = Surroundings {
            now: Arc::new(move || clock.now()),
            report: Arc::clone(&self.report),
            // Two routers, or two sinks, that fail together do not try again together.
            seed: clock.now().0 ^ FxBuildHasher.hash_one(&settings.name),
            last_seq: (self.last_seq)(),
        };
        Sink::start(settings.clone(), keeper.map(|keeper| Box::new(keeper) as Box<dyn Keeper>), around)
    }

    /// Waits for those that go, then starts those that come.
    async fn change(self: Arc<Self>, gone: Vec<Arc<Sink>>, begin: Vec<SinkSettings>) {
        let _turn = self.turn.lock().await;
        for sink in gone {
            sink.ended().await;
            info!("sink {}: ended by a reload", sink.name());
        }
        for settings in begin {
            // Opening reads a file.
            let opened = tokio::task::block_in_place(|| self.open(&settings));
            match opened {
                Ok(sink) => {
                    if let Some(unwanted) = self.settle(&settings, sink) {
                        unwanted.stop();
                        unwanted.ended().await;
                    }
                }
                Err(why) => error!("sink {} does not work, and nobody is told by it: {why}", settings.name),
            }
        }
    }

    /// Puts a sink where it belongs and gives it what waited; back it comes if another reload has removed it.
    fn settle(&self, settings: &SinkSettings, sink: Sink) -> Option<Sink> {
        let mut places = lock(&self.places);
        let Some(place) = places.iter_mut().find(|place| place.settings == *settings) else { return Some(sink) };
        if let State::Begins(waiting) = &place.state {
            waiting.iter().for_each(|change| sink.tell(change));
            place.state = State::Works(Arc::new(sink));
            return None;
        }
        Some(sink)
    }
}

impl Place {
    fn sink(&self) -> Option<Arc<Sink>> {
        match &self.state {
            State::Works(sink) => Some(Arc::clone(sink)),
            State::Begins(_) => None,
        }
    }

    fn tell(&mut self, change: &Arc<Change>) {
        match &mut self.state {
            State::Works(sink) => sink.tell(change),
            State::Begins(waiting) => {
                if waiting.len() >= self.settings.queue_max {
                    waiting.remove(0);
                }
                waiting.push(Arc::clone(change));
            }
        }
    }

    fn view(&self) -> SinkView {
        match &self.state {
            State::Works(sink) => sink.view(),
            State::Begins(waiting) => SinkView {
                queue_len: waiting.len() as u64,
                ..SinkView::new(self.settings.name.clone(), self.settings.receiver.kind())
            },
        }
    }
}

fn new_runtime() -> Result<Runtime, String> {
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name("sinks").enable_all().build();
    runtime.map_err(|error| format!("no threads for sinks: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked in here left whole values behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
