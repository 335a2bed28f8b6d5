//! What `api`, `web` and `metrics` reach of the daemon: questions go to the engine, commands to the neighbours.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use super::{history::Keeper, kept_routes::KeptRoutes, reload::Reloader, sinks::Sinks};
use crate::{
    config::parse_neighbor,
    engine::Owned,
    io::{bgp::Speaker, clock::Clock, rpki::Rpki, shard::ShardHandle},
    types::{Asn, Family, Prefix, Timestamp},
    validation::hypothesis::{Changes, Hypothesis},
    view::{
        Answer, Backend, Command, DaemonInfo, EventSource, NeighborView, Query, Refusal, Reply, Summary,
        WatchedPrefixes,
        history::PrefixHistory,
        reload::{LastReload, ReloadReport, ReloadRequest},
        rpki::{Differences, InForce, OriginCheck, RpkiView},
        served::Served,
        sinks::SinkView,
    },
};

/// The daemon as readers see it.
pub(super) struct DaemonBackend {
    info: DaemonInfo,
    clock: Clock,
    reloader: Arc<Reloader>,
    speaker: Speaker,
    shard: ShardHandle,
    /// Where routes of our own are kept; `None` without `[state]`.
    kept: Option<KeptRoutes>,
    /// What is remembered of prefixes; `None`: nothing.
    history: Option<Keeper>,
    rpki: Rpki,
    sinks: OnceLock<Arc<Sinks>>,
    served: Served,
    watched: Mutex<WatchedPrefixes>,
    watched_read: Notify,
    ready: AtomicBool,
}

impl DaemonBackend {
    pub(super) fn new(
        info: DaemonInfo,
        clock: Clock,
        reloader: Arc<Reloader>,
        speaker: Speaker,
        shard: ShardHandle,
        kept: Option<KeptRoutes>,
        rpki: Rpki,
    ) -> Self {
        Self {
            info,
            clock,
            reloader,
            speaker,
            shard,
            kept,
            history: None,
            rpki,
            sinks: OnceLock::new(),
            served: Served::default(),
            watched: Mutex::default(),
            watched_read: Notify::new(),
            ready: AtomicBool::new(false),
        }
    }

    /// With what is remembered of prefixes.
    pub(super) fn remembering(self, history: Option<Keeper>) -> Self {
        Self { history, ..self }
    }

    /// Says who is told of alerts; the first time holds.
    pub(super) fn set_sinks(&self, sinks: Arc<Sinks>) {
        let _ = self.sinks.set(sinks);
    }

    /// The prefixes of `[[watch.prefix]]`.
    pub(super) fn declared_rules(&self) -> Vec<Prefix> {
        self.reloader.current().detect.prefixes.iter().map(|watched| watched.prefix).collect()
    }

    /// Says what was seen of declared prefixes.
    pub(super) fn set_watched(&self, watched: WatchedPrefixes) {
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = watched;
    }

    /// Waits until somebody reads what was seen of declared prefixes.
    pub(super) async fn watched_were_read(&self) {
        self.watched_read.notified().await;
    }

    /// Says whether the daemon has started and is not stopping.
    pub(super) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }
}

impl Backend for DaemonBackend {
    fn info(&self) -> DaemonInfo {
        self.info.clone()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn neighbors(&self) -> Vec<NeighborView> {
        self.speaker.views(&self.shard.summary())
    }

    fn query(&self, query: Query) -> Reply<Answer> {
        let shard = self.shard.clone();
        let changes_ours = matches!(query, Query::Originate(_) | Query::Withdraw { .. });
        match self.kept.clone().filter(|_| changes_ours) {
            Some(kept) => Box::pin(async move { kept.change(shard, query).await }),
            None => Box::pin(async move { shard.query(query).await }),
        }
    }

    fn command(&self, command: Command) -> Reply<()> {
        let speaker = self.speaker.clone();
        let reloader = Arc::clone(&self.reloader);
        Box::pin(async move {
            match command {
                Command::Reset { peer, hard: true, text } => speaker.reset(peer, text).await,
                Command::Reset { peer, hard: false, .. } => speaker.refresh(peer).await,
                Command::Enable { peer } => speaker.enable(peer).await,
                Command::Disable { peer, text } => speaker.disable(peer, text).await,
                Command::Add { toml } => {
                    let config = reloader.current();
                    let neighbor =
                        parse_neighbor(&toml, &config).map_err(|error| Refusal::Invalid(error.to_string()))?;
                    speaker.add(neighbor.settings(&config.router))
                }
                Command::Remove { peer } => speaker.remove_peer(peer),
            }
        })
    }

    fn reload(&self, request: ReloadRequest) -> Reply<ReloadReport> {
        let reloader = Arc::clone(&self.reloader);
        Box::pin(async move {
            // Sets of millions take a while to read.
            let done = tokio::task::spawn_blocking(move || reloader.reload_file(request)).await;
            match done {
                Ok(Some(Ok(report))) => Ok(report),
                Ok(Some(Err(faults))) => Err(Refusal::Invalid(faults.to_string())),
                Ok(None) => Err(Refusal::NotNow("this daemon was not started from a file".to_owned())),
                Err(_) => Err(Refusal::Stopping),
            }
        })
    }

    fn subscribe(&self) -> Reply<Box<dyn EventSource>> {
        let shard = self.shard.clone();
        Box::pin(async move { shard.subscribe().await })
    }

    fn summary(&self) -> Arc<Summary> {
        self.shard.summary()
    }

    fn rpki(&self) -> RpkiView {
        self.rpki.view()
    }

    fn check_origin(&self, prefix: Prefix, origin: Asn) -> OriginCheck {
        self.rpki.check(prefix, origin)
    }

    fn rpki_in_force(&self) -> InForce {
        self.rpki.in_force()
    }

    fn declared(&self) -> (Vec<Prefix>, Vec<Asn>) {
        let config = self.reloader.current();
        let mut prefixes: Vec<Prefix> = config.detect.prefixes.iter().map(|watched| watched.prefix).collect();
        if let Owned::Within(owned) = &config.router.owned {
            prefixes.extend(owned);
        }
        let asns = config.detect.prefixes.iter().flat_map(|watched| watched.origins.iter().copied());
        (prefixes, asns.collect())
    }

    fn rpki_differences(&self, sources: &[String]) -> Result<Differences, Refusal> {
        self.rpki.differences(sources).map_err(Refusal::Invalid)
    }

    fn history(&self, family: Family, prefix: Prefix) -> Option<PrefixHistory> {
        self.history.as_ref().filter(|_| self.shard.is_watched()).map(|history| history.of(family, prefix))
    }

    fn served(&self) -> &Served {
        &self.served
    }

    fn last_reload(&self) -> LastReload {
        self.reloader.last()
    }

    fn watched_prefixes(&self) -> WatchedPrefixes {
        self.watched_read.notify_one();
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sinks(&self) -> Vec<SinkView> {
        self.sinks.get().map(|sinks| sinks.views()).unwrap_or_default()
    }

    fn hypothesis(&self, changes: &Changes) -> Result<Hypothesis, Refusal> {
        self.rpki.hypothetical(changes).map_err(Refusal::Invalid)
    }
}
