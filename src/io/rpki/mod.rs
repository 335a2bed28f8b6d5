//! Sources of validated payloads: RTR caches (`rtr`), exported files and local exceptions (`file`). Each source is a
//! task that keeps its own data; `Rpki` puts those in force together into one `Snapshot` and hands it to whoever
//! judges routes. All or nothing: a source that fails in the middle of an update changes nothing.
//!
//! What is in force: of the sources that have data, those with the lowest `preference`, together. So equal preferences
//! make a union, and different ones make reserves. Local exceptions (RFC 8416) filter what sources say and add to it.
//!
//! Data that were not confirmed within the expire interval are dropped (RFC 8210 §6), and the log says so.

mod file;
pub mod offline;
mod rtr;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::{info, warn};

use super::{bgp::Password, clock::Clock};
use crate::{
    types::{Asn, Prefix, Timestamp},
    validation::{
        PayloadSet, Snapshot, SourceId, Update,
        hypothesis::{Changes, Hypothesis},
        slurm::Slurm,
    },
    view::rpki::{CoveringVrp, OriginCheck, RpkiView, SourceState, SourceView},
};

/// Where a source's data come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// An RTR cache at this host and port (RFC 8210), perhaps with TCP-MD5.
    Rtr {
        /// Host and port.
        address: String,
        /// TCP-MD5 key.
        password: Option<Password>,
    },
    /// A file with exported payloads.
    File(PathBuf),
}

/// One source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceSettings {
    /// Its name, in messages and answers.
    pub name: String,
    /// Where its data come from.
    pub place: Place,
    /// Sources with the lowest number that have data are in force.
    pub preference: u16,
    /// How often to ask, instead of the cache's own refresh interval; for a file, how often to look at it.
    pub refresh: Option<Duration>,
    /// How long data hold without being confirmed, instead of the cache's own expire interval.
    pub expire: Option<Duration>,
}

/// All sources and exceptions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RpkiSettings {
    /// At most `validation::SOURCES_MAX` less one for local exceptions.
    pub sources: Vec<SourceSettings>,
    /// A file with local exceptions (RFC 8416).
    pub slurm: Option<PathBuf>,
}

impl RpkiSettings {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.slurm.is_none()
    }
}

/// What a source holds.
#[derive(Debug, Default)]
struct Source {
    /// As received.
    received: Option<Arc<Snapshot>>,
    /// After local filters.
    filtered: Option<Arc<Snapshot>>,
    preference: u16,
    view: SourceView,
}

struct State {
    sources: Vec<Source>,
    slurm: Slurm,
    /// What the exceptions add; the last view is theirs.
    slurm_view: Option<SourceView>,
    snapshot: Arc<Snapshot>,
}

/// What is told each time when the data in force change.
type Publish = Box<dyn Fn(Update) + Send + Sync>;

/// Handle of all sources. Clones lead to the same ones; the tasks end when the runtime does.
#[derive(Clone)]
pub struct Rpki {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    state: Mutex<State>,
    publish: Publish,
}

/// How a task speaks about its source.
#[derive(Clone)]
struct Reporter {
    rpki: Rpki,
    id: SourceId,
    name: String,
}

impl Rpki {
    /// Starts a task per source on the runtime that this is called in. `publish` is called with each new snapshot;
    /// it must not block.
    pub fn start(settings: &RpkiSettings, clock: Clock, publish: Publish) -> Self {
        let sources = settings.sources.iter().map(|source| Source {
            preference: source.preference,
            view: SourceView {
                name: source.name.clone(),
                place: match &source.place {
                    Place::Rtr { address, .. } => address.clone(),
                    Place::File(path) => path.display().to_string(),
                },
                kind: match source.place {
                    Place::Rtr { .. } => "rtr",
                    Place::File(_) => "file",
                },
                ..SourceView::default()
            },
            ..Source::default()
        });
        let slurm_view = settings.slurm.as_ref().map(|path| SourceView {
            name: "local exceptions".to_owned(),
            place: path.display().to_string(),
            kind: "slurm",
            ..SourceView::default()
        });
        let state = State { sources: sources.collect(), slurm: Slurm::default(), slurm_view, snapshot: Arc::default() };
        let rpki = Self { inner: Arc::new(Inner { clock, state: Mutex::new(state), publish }) };
        // The exceptions first, so that no source is in force without them.
        if let Some(path) = &settings.slurm {
            rpki.read_slurm(path);
            tokio::spawn(file::watch_slurm(rpki.clone(), path.clone()));
        }
        for (id, source) in settings.sources.iter().enumerate() {
            let reporter = Reporter { rpki: rpki.clone(), id: id as SourceId, name: source.name.clone() };
            match &source.place {
                Place::Rtr { address, password } => {
                    let password = password.as_ref().map(|password| password.0.clone().into_bytes());
                    tokio::spawn(rtr::run(reporter, address.clone(), password, source.clone()));
                }
                Place::File(path) => {
                    tokio::spawn(file::run(reporter, path.clone(), source.clone()));
                }
            }
        }
        rpki
    }

    /// The data in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().snapshot)
    }

    /// What each source holds and how fresh it is.
    pub fn view(&self) -> RpkiView {
        let state = self.lock();
        let counts = |snapshot: &Snapshot| {
            let (v4, v6) = snapshot.vrps.counts();
            ((v4 as u64, v6 as u64), snapshot.aspas.len() as u64)
        };
        let (vrps, aspas) = counts(&state.snapshot);
        let sources = state.sources.iter().map(|source| {
            let (vrps, aspas) = source.filtered.as_deref().map_or(((0, 0), 0), counts);
            SourceView { vrps, aspas, ..source.view.clone() }
        });
        RpkiView { sources: sources.chain(state.slurm_view.clone()).collect(), vrps, aspas }
    }

    /// The state of a prefix and origin by the data in force, with all that decides.
    pub fn check(&self, prefix: Prefix, origin: Asn) -> OriginCheck {
        let (snapshot, names) = {
            let state = self.lock();
            let names: Vec<String> = state.sources.iter().map(|source| source.view.name.clone()).collect();
            (Arc::clone(&state.snapshot), names)
        };
        let name = |id: SourceId| names.get(usize::from(id)).cloned().unwrap_or_else(|| "local exceptions".to_owned());
        let covering = snapshot.vrps.covering(prefix, Some(origin)).into_iter().map(|found| CoveringVrp {
            prefix: found.vrp.prefix,
            max_len: found.vrp.max_len,
            asn: found.vrp.asn,
            fit: found.fit,
            sources: found.sources.iter().map(name).collect(),
        });
        OriginCheck { prefix, origin, state: snapshot.origin_state(prefix, Some(origin)), covering: covering.collect() }
    }

    /// What would be in force with these changes to the data that are; nothing changes.
    ///
    /// # Errors
    /// Something is to be removed that is not there.
    pub fn hypothetical(&self, changes: &Changes) -> Result<Hypothesis, String> {
        let (base, local) = {
            let state = self.lock();
            (Arc::clone(&state.snapshot), state.sources.len() as SourceId)
        };
        let then = Arc::new(changes.apply(&base, local)?);
        Ok(Hypothesis::new(base, then))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Reads the exceptions; a faulty file changes nothing but what is said about it.
    fn read_slurm(&self, path: &std::path::Path) {
        let read = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"));
        let parsed = read.and_then(|text| Slurm::parse(&text));
        let mut state = self.lock();
        let now = self.now();
        let Some(view) = &mut state.slurm_view else { return };
        match parsed {
            Ok(slurm) => {
                *view = SourceView {
                    state: SourceState::Synced,
                    in_use: true,
                    updated_at: Some(now),
                    last_error: None,
                    vrps: count_families(&slurm),
                    aspas: slurm.aspas.len() as u64,
                    ..view.clone()
                };
                info!("rpki: local exceptions of {}: {}", path.display(), describe(&slurm));
                state.slurm = slurm;
                let filter = state.slurm.clone();
                for (id, source) in state.sources.iter_mut().enumerate() {
                    source.filtered =
                        source.received.as_ref().map(|received| filtered(received, &filter, id as SourceId));
                }
                self.put_in_force(state);
            }
            Err(why) => {
                view.state = SourceState::Failing;
                warn!("rpki: local exceptions {}: {why}; what was read before stays in force", path.display());
                view.last_error = Some(why);
            }
        }
    }

    /// Puts what sources hold together and tells it, when it is news.
    fn put_in_force(&self, mut state: MutexGuard<'_, State>) {
        let with_data = |source: &&Source| source.filtered.is_some();
        let best = state.sources.iter().filter(with_data).map(|source| source.preference).min();
        for source in &mut state.sources {
            source.view.in_use = source.filtered.is_some() && Some(source.preference) == best;
        }
        let used: Vec<Arc<Snapshot>> = state
            .sources
            .iter()
            .filter(|source| source.view.in_use)
            .filter_map(|source| source.filtered.clone())
            .collect();
        let snapshot = together(&used, &state.slurm, state.sources.len() as SourceId);
        if snapshot == state.snapshot {
            return;
        }
        let update = Update::between(&state.snapshot, Arc::clone(&snapshot));
        state.snapshot = snapshot;
        // Under the lock, so that updates are told in their order.
        (self.inner.publish)(update);
    }
}

impl Reporter {
    /// The source has these data now, complete, confirmed until `expire` from now.
    fn synced(&self, received: &Arc<Snapshot>, expire: Duration, facts: impl FnOnce(&mut SourceView)) {
        let now = self.rpki.now();
        let mut state = self.rpki.lock();
        let slurm = state.slurm.clone();
        let Some(source) = state.sources.get_mut(usize::from(self.id)) else { return };
        let before = source.view.state;
        let same = source.received.as_ref().is_some_and(|old| Arc::ptr_eq(old, received) || old == received);
        source.view.state = SourceState::Synced;
        source.view.updated_at = Some(now);
        source.view.expires_at = Some(now + expire);
        source.view.last_error = None;
        facts(&mut source.view);
        if same && source.filtered.is_some() {
            return;
        }
        source.filtered = Some(filtered(received, &slurm, self.id));
        source.received = Some(Arc::clone(received));
        if before != SourceState::Synced {
            let (v4, v6) = received.vrps.counts();
            let aspas = received.aspas.len();
            info!("rpki: {} is in sync: {v4} IPv4 and {v6} IPv6 VRPs, {aspas} ASPAs", self.name);
        }
        self.rpki.put_in_force(state);
    }

    /// The source failed; what it gave before holds until it expires. Said once per change of state.
    fn failed(&self, why: String) {
        let mut state = self.rpki.lock();
        let Some(source) = state.sources.get_mut(usize::from(self.id)) else { return };
        if source.view.last_error.as_ref() != Some(&why) {
            let hold = match source.view.expires_at {
                Some(_) if source.received.is_some() => "its data stay in force until they expire",
                _ => "it has given no data",
            };
            warn!("rpki: {}: {why}; {hold}", self.name);
        }
        if source.view.state != SourceState::Expired {
            source.view.state = if source.received.is_some() { SourceState::Failing } else { SourceState::Starting };
        }
        source.view.last_error = Some(why);
    }

    /// When the data expire; `None`: there are none.
    fn expires_at(&self) -> Option<Timestamp> {
        let state = self.rpki.lock();
        let source = state.sources.get(usize::from(self.id))?;
        source.received.is_some().then_some(source.view.expires_at).flatten()
    }

    /// Drops the data if they are too old (RFC 8210 §6: "MUST discard"); whether they were.
    fn expire(&self) -> bool {
        if self.expires_at().is_none_or(|at| at > self.rpki.now()) {
            return false;
        }
        let mut state = self.rpki.lock();
        let Some(source) = state.sources.get_mut(usize::from(self.id)) else { return false };
        (source.received, source.filtered) = (None, None);
        source.view.state = SourceState::Expired;
        warn!("rpki: the data of {} expired without being confirmed and are dropped (RFC 8210 §6)", self.name);
        self.rpki.put_in_force(state);
        true
    }

    /// The session that the data belong to.
    fn note_session(&self, session_id: u16, serial: u32) {
        let mut state = self.rpki.lock();
        if let Some(source) = state.sources.get_mut(usize::from(self.id)) {
            (source.view.session_id, source.view.serial) = (Some(session_id), Some(serial));
        }
    }

    fn now(&self) -> Timestamp {
        self.rpki.now()
    }

    fn clock(&self) -> Clock {
        self.rpki.inner.clock
    }
}

/// What is left of a source's data after the local filters.
fn filtered(received: &Arc<Snapshot>, slurm: &Slurm, id: SourceId) -> Arc<Snapshot> {
    if slurm.prefix_filters.is_empty() && slurm.aspa_filters.is_empty() {
        return Arc::clone(received);
    }
    let left: PayloadSet = slurm.filter(&received.payload());
    Arc::new(Snapshot::of(id, &left))
}

/// What the sources in use hold together with what the exceptions add, which count as source `local_id`.
fn together(used: &[Arc<Snapshot>], slurm: &Slurm, local_id: SourceId) -> Arc<Snapshot> {
    let local = slurm.assertions();
    let nothing_local = local.vrps.is_empty() && local.aspas.is_empty();
    match used {
        [only] if nothing_local => Arc::clone(only),
        _ => {
            let local = Snapshot::of(local_id, &local);
            let parts = used.iter().map(|part| &**part).chain((!nothing_local).then_some(&local));
            Arc::new(Snapshot::union(parts))
        }
    }
}

fn count_families(slurm: &Slurm) -> (u64, u64) {
    let v4 = slurm.vrps.iter().filter(|vrp| vrp.prefix.is_v4()).count();
    (v4 as u64, (slurm.vrps.len() - v4) as u64)
}

fn describe(slurm: &Slurm) -> String {
    let filters = slurm.prefix_filters.len() + slurm.aspa_filters.len();
    format!("{filters} filters, {} VRPs and {} ASPAs added", slurm.vrps.len(), slurm.aspas.len())
}
