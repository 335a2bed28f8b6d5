//! Wiring only: start order, runtimes, drain and stop. `access` is who is let in, `alerts` is the thread that leads the lives of alerts, `backend`
//! is what readers reach, `health` is whether we work and how it goes, `reload` goes over to another configuration, `history` remembers what was said of prefixes, `kept_routes` joins routes of our own to their journal, `last_run` is what is known of the run before,
//! `sinks` tells people of alerts, `telemetry` sends traces, `watched` counts who announces declared prefixes, `replay` plays archives through the same rooms, `watchers` joins detection, alerts and sinks, `logging` is how lines are written.
//!
//! Threads: one for the engine; a runtime with a worker per core for sessions; a runtime of its own for readers
//! (gRPC, HTTP), so that they are answered while tables load.

mod access;
pub mod alerts;
mod backend;
mod health;
mod history;
mod kept_routes;
mod last_run;
mod learnt;
mod logging;
mod reload;
pub mod replay;
pub mod sinks;
mod telemetry;
mod watched;
mod watchers;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};
use tracing::{info, warn};

pub use self::logging::init as init_logging;
use self::{
    access::{Doors, Readers},
    alerts::Alerts,
    backend::DaemonBackend,
    history::Keeper,
    kept_routes::KeptRoutes,
    last_run::LastRun,
    learnt::Learnt,
    reload::{Reach, Reloader},
    sinks::Sinks,
    telemetry::Telemetry,
    watchers::Detection,
};
use crate::{
    access::Outcome,
    alert, api,
    config::Config,
    detect::Report,
    engine::EngineSettings,
    io::{
        bgp::{Listeners, Remote, Speaker},
        clock::Clock,
        door::{self, unix},
        interfaces, privileges,
        rpki::{News, Rpki},
        shard::{self, ShardHandle},
        sockopt,
    },
    metrics,
    session::State,
    view::{
        Backend, DaemonInfo,
        reload::{ReloadReport, ReloadRequest},
    },
    web,
};

/// How long neighbours have to take our last message when the daemon stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// Threads that answer readers: half of the cores, at most this many.
const READER_THREADS_MAX: usize = 4;

/// A running daemon. Several can run in one process.
pub struct Daemon {
    reloader: Arc<Reloader>,
    speaker: Speaker,
    shard: ShardHandle,
    alerts: Alerts,
    backend: Arc<DaemonBackend>,
    stop_readers: watch::Sender<bool>,
    readers: Vec<tokio::task::JoinHandle<()>>,
    /// Writes down now and then that we live.
    life: Option<tokio::task::JoinHandle<()>>,
    engine: Option<JoinHandle<()>>,
    sinks: Arc<Sinks>,
    learnt: Learnt,
    telemetry: Arc<Telemetry>,
    sessions_runtime: Option<Runtime>,
    readers_runtime: Option<Runtime>,
    doors: Doors,
    /// Removes the Unix socket at the end.
    socket: Option<unix::Removal>,
    api: Option<SocketAddr>,
    http: Option<SocketAddr>,
}

impl Daemon {
    /// Starts what the file at `path` says, which was read into `config`; reloads read it again.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_with_file(config: Config, path: PathBuf) -> Result<Self, String> {
        Self::launch(config, Some(path))
    }

    /// Starts what `config` describes. Listeners are bound first, so that trouble shows before anything moves.
    /// Brings its own runtimes, so it must not be called inside one.
    ///
    /// # Errors
    /// A sentence that names the fix: an address or port cannot be had, a thread cannot be made.
    pub fn start(config: Config) -> Result<Self, String> {
        Self::launch(config, None)
    }

    fn launch(config: Config, file: Option<PathBuf>) -> Result<Self, String> {
        let clock = Clock::start();
        if let Err(error) = sockopt::raise_open_file_limit() {
            warn!("the limit of open files cannot be raised: {error}");
        }
        if let Err(error) = sockopt::refuse_huge_pages() {
            warn!("memory comes in huge pages, so tables will take more of it: {error}");
        }
        if config.router.user.is_some() {
            privileges::renounce()?;
        }
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let readers_runtime = runtime("readers", cores.div_ceil(2).min(READER_THREADS_MAX))?;
        let doors = Doors::new(&config.access, clock);
        let mut readers = readers_runtime.block_on(Readers::bind(&config, &doors))?;
        let sessions_runtime = runtime("sessions", cores)?;
        let listeners = {
            let _inside = sessions_runtime.enter();
            Listeners::bind(&config.router.listen).map_err(|why| format!("[router] {why}"))?
        };
        // Everything is bound that takes a privilege; files are made by whoever is to write them.
        if let Some(user) = &config.router.user {
            privileges::become_user(user)?;
        }
        doors.go_over(&config.access);
        readers_runtime.block_on(readers.make_socket(&config))?;
        let alerts = Alerts::start(config.alert.clone(), clock, config.state.as_ref().map(|state| &*state.dir))?;
        let name = |neighbor: &crate::config::Neighbor| match neighbor.remote {
            Remote::Address(address) => Some(neighbor.name.clone().unwrap_or_else(|| address.to_string())),
            Remote::Range(_) => None,
        };
        let names = config.neighbors.iter().filter_map(name).collect();
        let learnt = Learnt::start(config.state.as_ref().map(|state| &*state.dir), &names)?;
        let history = Keeper::start(config.rib.history, clock.now())
            .map_err(|error| format!("the thread of [rib] history cannot be started: {error}"))?;
        let detection = Detection { alerts: alerts.clone(), learnt: learnt.clone(), history: history.clone() };
        let observer = detection.observer(&config.detect, false);
        let settings = EngineSettings {
            best_path: config.rib.best_path,
            cluster_id: config.router.cluster_id,
            confederation: config.router.confederation.clone(),
            decision: config.decision.clone(),
            owned: config.router.owned.clone(),
            ..EngineSettings::new(config.router.asn, config.router.router_id)
        };
        let (shard, engine) = shard::start(settings, clock, observer)
            .map_err(|error| format!("the engine cannot be started: {error}"))?;
        // Before any session, so that each finds its policies.
        shard.set_policies(config.policy.library.clone());
        let kept = match &config.state {
            Some(state) => Some(KeptRoutes::open(&state.dir)?),
            None => None,
        };
        if let Some(kept) = &kept {
            // Before any session: neighbours hear of them with their first UPDATEs.
            readers_runtime.block_on(kept.originate_again(&shard));
        }
        let speaker = {
            let _inside = sessions_runtime.enter();
            Speaker::new(listeners, clock, shard.clone())
        };
        {
            let shard = shard.clone();
            let publish = move |subnets| shard.set_connected(subnets);
            sessions_runtime.spawn(interfaces::watch(publish));
        }
        let rpki = {
            let _inside = sessions_runtime.enter();
            let shard = shard.clone();
            if let Some(limit) = config.rpki.hold_import {
                // Before any session, so that each finds it; and before any source can answer.
                let sources = config.rpki.sources.iter().map(|source| source.name.clone()).collect();
                shard.hold_import(sources, clock.now() + limit);
            }
            let tell = move |news| match news {
                News::InForce(update) => shard.set_rpki(update),
                News::Answered(source) => shard.source_answered(source),
            };
            Rpki::start(&config.rpki, clock, Box::new(tell))
        };
        let state_dir = config.state.as_ref().map(|state| state.dir.as_path());
        let report = alerts.reporter();
        let told = Arc::new(move |news: Report| report(vec![news]));
        let desk = alerts.clone();
        let last_seq = Arc::new(move || desk.seq());
        let sinks = Arc::new(Sinks::start(&config.sinks, state_dir, clock, last_seq, told)?);
        let info = DaemonInfo {
            version: env!("CARGO_PKG_VERSION"),
            asn: config.router.asn,
            router_id: config.router.router_id,
            started_at: clock.now(),
            listen: speaker.listening(),
            best_path: config.rib.best_path,
        };
        let reach = Reach {
            speaker: speaker.clone(),
            shard: shard.clone(),
            rpki: rpki.clone(),
            detection,
            sinks: Arc::clone(&sinks),
            doors: doors.clone(),
            clock,
        };
        let telemetry_settings = config.telemetry.clone();
        let reloader = Arc::new(Reloader::new(config, file, reach));
        let backend =
            DaemonBackend::new(info, clock, Arc::clone(&reloader), speaker.clone(), shard.clone(), kept, rpki.clone());
        let backend = Arc::new(backend.remembering(history));
        let sources = rpki;
        backend.set_sinks(Arc::clone(&sinks));
        let telemetry = Arc::new(Telemetry::start(telemetry_settings.as_ref(), &readers_runtime)?);
        {
            let telemetry = Arc::clone(&telemetry);
            backend.served().observe(move |ended| telemetry.request(ended));
        }
        reloader.tell_of_each({
            let telemetry = Arc::clone(&telemetry);
            Box::new(move |outcome, took| telemetry.reload(outcome, took))
        });
        readers_runtime.spawn(watched::look(Arc::clone(&backend)));
        watchers::tell_sinks(&alerts, Arc::clone(&sinks), &readers_runtime);
        watchers::watch_feeds(sources, shard.clone(), &alerts, clock, &readers_runtime);
        let (stop_readers, _) = watch::channel(false);
        let mut daemon = Self {
            api: readers.api_address,
            http: readers.http_address,
            doors,
            socket: None,
            reloader,
            speaker,
            shard,
            alerts,
            backend,
            stop_readers,
            readers: Vec::new(),
            life: None,
            engine: Some(engine),
            sinks,
            learnt,
            telemetry,
            sessions_runtime: Some(sessions_runtime),
            readers_runtime: Some(readers_runtime),
        };
        daemon.serve_readers(readers);
        daemon.add_neighbors(clock);
        daemon.write_down_life(clock);
        daemon.speaker.accept();
        daemon.backend.set_ready(true);
        daemon.say_hello();
        Ok(daemon)
    }

    fn serve_readers(&mut self, readers: Readers) {
        let Some(runtime) = &self.readers_runtime else { return };
        let _inside = runtime.enter();
        let gate = self.doors.gate();
        if !readers.api.is_empty() {
            let (arrivals, stop) = (door::open(readers.api, &gate), stopped(self.stop_readers.subscribe()));
            let served = api::serve(arrivals, self.backend(), self.alerts(), Arc::clone(&gate), stop);
            self.readers.push(runtime.spawn(log_end("[api]", served)));
        }
        if !readers.http.is_empty() {
            let (backend, alerts) = (self.backend(), self.alerts());
            let metrics = Arc::new(move || metrics::text(&*backend, &*alerts));
            let rooms = web::Rooms { backend: self.backend(), alerts: self.alerts(), metrics };
            let (arrivals, stop) = (door::open(readers.http, &gate), stopped(self.stop_readers.subscribe()));
            let served = web::serve(arrivals, rooms, gate, readers.settings, stop);
            self.readers.push(runtime.spawn(log_end("[http]", served)));
        }
        self.socket = readers.removal;
    }

    /// After a restart, neighbours that keep our routes are told so, and heard out before they are sent anything.
    fn add_neighbors(&self, clock: Clock) {
        let config = self.reloader.current();
        let before = config.state.as_ref().and_then(|state| LastRun::read(&state.dir));
        let (now, mut wait, mut expected) = (clock.now(), Duration::ZERO, Vec::new());
        let mut all = Vec::new();
        for neighbor in &config.neighbors {
            let mut settings = neighbor.settings(&config.router);
            if let (Some(before), Remote::Address(address)) = (&before, settings.remote)
                && settings.restarted(before.alive_until).is_some_and(|until| now < until)
                && before.established.contains(&address)
            {
                expected.push(address);
                wait = wait.max(neighbor.restart_time);
            }
            all.push(settings);
        }
        if !expected.is_empty() {
            let neighbors = expected.len();
            info!(
                "restarted: {neighbors} neighbors are heard before anything is sent, for {}s at most",
                wait.as_secs()
            );
            self.shard.restarted(expected, now + wait);
        }
        drop(config);
        for settings in all {
            let label = settings.label(settings.remote);
            if let Err(refusal) = self.speaker.add(settings) {
                warn!("{label} not added: {refusal}");
            }
        }
    }

    /// From now on the next run can know of this one.
    fn write_down_life(&mut self, clock: Clock) {
        let (Some(dir), Some(runtime)) = (self.state_dir(), &self.readers_runtime) else { return };
        let backend = Arc::clone(&self.backend);
        self.life = Some(runtime.spawn(async move {
            let (mut beat, mut troubled) = (tokio::time::interval(last_run::INTERVAL), false);
            loop {
                beat.tick().await;
                let written = LastRun::write(&dir, clock.now(), &established(&*backend));
                if let Err(error) = &written
                    && !troubled
                {
                    warn!("[state] dir {} cannot be written: {error}", dir.display());
                }
                troubled = written.is_err();
            }
        }));
    }

    /// Writes down who has a session, for the last time: what is written once they are closed would name nobody.
    fn write_down_end(&mut self) {
        if let (Some(life), Some(runtime)) = (self.life.take(), &self.readers_runtime) {
            life.abort();
            // It was in the middle of nothing, or has written.
            let _ = runtime.block_on(life);
        }
        if let Some(dir) = self.state_dir() {
            // Trouble with it was told before.
            let _ = LastRun::write(&dir, self.backend.now(), &established(&*self.backend));
        }
    }

    fn state_dir(&self) -> Option<PathBuf> {
        self.reloader.current().state.as_ref().map(|state| state.dir.clone())
    }

    fn say_hello(&self) {
        let config = self.reloader.current();
        let places = |addresses: &[SocketAddr]| -> String {
            match addresses {
                [] => "nowhere".to_owned(),
                some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            }
        };
        info!(
            "ribwatch {} is AS{}, router id {}; BGP on {}, gRPC on {}, HTTP on {}; configured neighbors: {}",
            env!("CARGO_PKG_VERSION"),
            config.router.asn,
            config.router.router_id,
            places(&self.speaker.listening()),
            places(self.api.as_slice()),
            places(self.http.as_slice()),
            config.neighbors.len(),
        );
        config.inactive().iter().for_each(|note| info!("{note}"));
        config.advice().iter().for_each(|note| warn!("{note}"));
    }

    /// What readers reach.
    pub fn backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.backend) as Arc<dyn Backend>
    }

    /// Alerts, as readers and people reach them.
    pub fn alerts(&self) -> Arc<dyn alert::Service> {
        Arc::new(self.alerts.clone())
    }

    /// Takes what detectors report, from any thread, without waiting.
    pub fn reporter(&self) -> impl Fn(Vec<Report>) + Clone + Send + Sync + 'static {
        self.alerts.reporter()
    }

    /// Where BGP is listened for, with the ports that the kernel chose.
    pub fn bgp_addresses(&self) -> Vec<SocketAddr> {
        self.speaker.listening()
    }

    /// Where gRPC is served; `None` when disabled.
    pub fn api_address(&self) -> Option<SocketAddr> {
        self.api
    }

    /// Where HTTP is served; `None` when disabled.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Rises whenever a session changes its state, and when neighbours come or go.
    pub fn session_changes(&self) -> watch::Receiver<u64> {
        self.speaker.changes()
    }

    /// Whether the engine's thread still runs. It ends by itself only by a fault of ours.
    pub fn is_alive(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| !engine.is_finished())
    }

    /// Goes over to `new`, or changes nothing: neighbours are added, removed, or reset with other settings; sessions
    /// that need not notice go on. The report says what changed and what became of it.
    pub fn reload(&self, new: Config, request: ReloadRequest) -> ReloadReport {
        self.reloader.reload(new, request)
    }

    /// As `reload`, to what the daemon's file says now. Everything that happens is logged, faults of the file, too.
    pub fn reload_file(&self) {
        let outcome = match self.reloader.reload_file(ReloadRequest::default()) {
            None => {
                warn!("reload: this daemon was not started from a file");
                Outcome::Failed("this daemon was not started from a file".to_owned())
            }
            Some(Err(_)) => Outcome::Failed("the file has faults".to_owned()),
            Some(Ok(report)) => match report.reason {
                Some(why) => Outcome::Failed(why),
                None => Outcome::Done,
            },
        };
        self.doors.gate().write(None, "SIGHUP".to_owned(), "reload", String::new(), outcome);
    }

    /// Ends in order: neighbours are told (those that keep our routes until we are back are not, which is how they know),
    /// readers are let go, the engine stops. Takes a few seconds at most.
    pub fn stop(mut self) {
        self.backend.set_ready(false);
        // That our own sessions end now is no news.
        self.shard.watch_no_more();
        self.write_down_end();
        if let Some(runtime) = self.sessions_runtime.take() {
            runtime.block_on(self.speaker.shutdown(FAREWELL));
            runtime.shutdown_timeout(Duration::from_millis(100));
        }
        self.sinks.stop();
        // Nobody may be left to hear it.
        let _ = self.stop_readers.send(true);
        self.shard.stop();
        // What the engine said last is looked at and written down; watchers hear of the end.
        self.alerts.stop();
        self.telemetry.stop();
        if let Some(runtime) = self.readers_runtime.take() {
            for reader in self.readers.drain(..) {
                // A reader that panicked has said so already.
                let _ = runtime.block_on(async { tokio::time::timeout(FAREWELL, reader).await });
            }
            runtime.shutdown_timeout(Duration::from_millis(100));
        }
        if let Some(engine) = self.engine.take()
            && engine.join().is_err()
        {
            warn!("the engine ended with a fault");
        }
        self.learnt.write_down();
    }
}

/// Neighbours whose session is up.
fn established(backend: &dyn Backend) -> Vec<IpAddr> {
    let neighbors = backend.neighbors().into_iter();
    neighbors.filter(|neighbor| neighbor.state == State::Established).map(|neighbor| neighbor.address).collect()
}

fn runtime(name: &'static str, threads: usize) -> Result<Runtime, String> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(|error| format!("no threads for {name}: {error}"))
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the daemon is gone: the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn log_end(section: &'static str, served: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = served.await {
        warn!("{section} is not served any more: {error}");
    }
}
