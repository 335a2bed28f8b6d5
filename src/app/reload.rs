//! Reload as a transaction: the file is read, checked and planned completely first; then steps are taken, those that
//! can fail before those that neighbours notice, and when one fails everything before it is undone in reverse.
//! What changes and what it costs is found by `config::diff`; nothing is decided here.
//!
//! Neighbours that were added by command are left alone, unless the file now names them: then the file decides.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tracing::{Level, error, info, warn};

use super::{access::Doors, logging, sinks::Sinks, watchers::Detection};
use crate::{
    alert,
    config::{self, Access, Change, Config, ConfigError, Log, Router},
    detect,
    engine::Owned,
    io::{
        bgp::{NeighborSettings, Remote, Speaker},
        clock::Clock,
        rpki::{Rpki, RpkiSettings},
        shard::ShardHandle,
    },
    policy::Library,
    rib::Knobs,
    sink::SinkSettings,
    types::Timestamp,
    view::reload::{Cost, LastReload, Outcome, ReloadReport, ReloadRequest},
};

/// Hears how a try ended, in a word, and how long it took.
type Observer = Box<dyn Fn(&'static str, Duration) + Send + Sync>;

/// Carries the daemon from one configuration to the next.
pub(super) struct Reloader {
    /// The file that the daemon was started with.
    file: Option<PathBuf>,
    current: Mutex<Config>,
    last: Mutex<LastReload>,
    /// Who is told of each try: how it ended, and how long it took.
    observer: OnceLock<Observer>,
    /// One reload at a time, the reading of the file included.
    turn: Mutex<()>,
    speaker: Speaker,
    shard: ShardHandle,
    rpki: Rpki,
    detection: Detection,
    sinks: Arc<Sinks>,
    doors: Doors,
    clock: Clock,
}

/// What a reload reaches.
pub(super) struct Reach {
    pub(super) speaker: Speaker,
    pub(super) shard: ShardHandle,
    pub(super) rpki: Rpki,
    pub(super) detection: Detection,
    pub(super) sinks: Arc<Sinks>,
    pub(super) doors: Doors,
    pub(super) clock: Clock,
}

impl Reloader {
    pub(super) fn new(config: Config, file: Option<PathBuf>, reach: Reach) -> Self {
        let Reach { speaker, shard, rpki, detection, sinks, doors, clock } = reach;
        let (current, turn) = (Mutex::new(config), Mutex::default());
        let last = Mutex::new(LastReload { succeeded: true, in_force_since: clock.now() });
        let observer = OnceLock::new();
        Self { file, current, last, observer, turn, speaker, shard, rpki, detection, sinks, doors, clock }
    }

    /// The configuration in force.
    pub(super) fn current(&self) -> MutexGuard<'_, Config> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the last try ended.
    pub(super) fn last(&self) -> LastReload {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells `observer` of each try from now on.
    pub(super) fn tell_of_each(&self, observer: Observer) {
        let _ = self.observer.set(observer);
    }

    /// A try that began at `begun` has ended.
    fn ended(&self, outcome: &'static str, begun: Timestamp) {
        if let Some(observer) = self.observer.get() {
            observer(outcome, self.clock.now().since(begun));
        }
    }

    fn set_last(&self, succeeded: bool) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.succeeded = succeeded;
        if succeeded {
            last.in_force_since = self.clock.now();
        }
    }

    /// Reads the daemon's file again, runs the tests in it and goes over to it; what happened is logged. `None`: there is
    /// no file.
    ///
    /// # Errors
    /// The file has faults, or one of its tests fails; nothing was changed.
    pub(super) fn reload_file(&self, request: ReloadRequest) -> Option<Result<ReloadReport, ConfigError>> {
        let file = self.file.as_ref()?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self.clock.now();
        let read = Config::load_and_test(file);
        if let Err(why) = &read {
            error!("reload: the file has faults, everything goes on as it was:\n{why}");
            if !request.dry_run {
                self.set_last(false);
                self.ended("faulty", begun);
            }
        }
        Some(read.map(|new| self.go_over(new, request, begun)))
    }

    /// As `reload_file`, to a configuration that was read already.
    pub(super) fn reload(&self, new: Config, request: ReloadRequest) -> ReloadReport {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.go_over(new, request, self.clock.now())
    }

    fn go_over(&self, new: Config, request: ReloadRequest, begun: Timestamp) -> ReloadReport {
        let mut current = self.current();
        let changes = config::diff(&current, &new);
        let mut report = ReloadReport::planned(changes.iter().map(Change::view).collect());
        let resets = report.resets();
        if request.no_reset && resets > 0 {
            report.outcome = Outcome::Refused;
            report.reason = Some(format!("{resets} sessions or ranges would reset or end"));
        } else if !request.dry_run {
            match self.apply(steps(&changes, &current, &new)) {
                Ok(()) => {
                    self.doors.renew();
                    report.outcome = Outcome::Applied;
                    *current = in_force(&current, new);
                }
                Err(why) => {
                    report.outcome = Outcome::Undone;
                    report.reason = Some(why);
                }
            }
        }
        if !request.dry_run {
            self.set_last(report.outcome == Outcome::Applied);
            self.ended(report.outcome.word(), begun);
            tell(&report);
        }
        report
    }

    /// Takes all steps, or none.
    fn apply(&self, steps: Vec<Step>) -> Result<(), String> {
        let mut undo: Vec<Undo> = Vec::with_capacity(steps.len());
        for step in steps {
            let name = step.to_string();
            match self.take(step) {
                Ok(back) => undo.push(back),
                Err(why) => {
                    undo.into_iter().rev().for_each(|back| self.take_back(back));
                    return Err(format!("{name}: {why}"));
                }
            }
        }
        Ok(())
    }

    fn take(&self, step: Step) -> Result<Undo, String> {
        match step {
            Step::Key(new) => {
                // Not what the old file says: it may have been added by command.
                let old = self.speaker.settings(new.remote);
                if let Err(why) = self.speaker.try_key(&new) {
                    // Some listeners may have it.
                    self.speaker.restore_key(&new, old.as_deref());
                    return Err(why);
                }
                Ok(Undo::Key { old, new })
            }
            Step::Policies { old, new } => {
                self.shard.set_policies(new);
                Ok(Undo::Policies(old))
            }
            Step::Decision { old, new } => {
                self.shard.set_decision(new);
                Ok(Undo::Decision(old))
            }
            Step::Owned { old, new } => {
                self.shard.set_owned(new);
                Ok(Undo::Owned(old))
            }
            Step::Rpki { old, new } => {
                self.rpki.reconfigure(&new)?;
                Ok(Undo::Rpki(old))
            }
            Step::Detect { old, new } => {
                self.detection.change(&new, &self.shard, self.clock);
                Ok(Undo::Detect(old))
            }
            Step::Access { old, new } => {
                self.doors.go_over(&new);
                Ok(Undo::Access(old))
            }
            Step::Alert { old, new } => {
                self.detection.alerts.set_settings(*new);
                Ok(Undo::Alert(old))
            }
            Step::Sinks { old, new } => {
                self.sinks.reconfigure(&new)?;
                Ok(Undo::Sinks(old))
            }
            Step::Level { old, new } => {
                logging::set_level(new);
                Ok(Undo::Level(old))
            }
            Step::Reconfigure(new) => {
                let old = self.speaker.settings(new.remote);
                self.speaker.reconfigure(*new);
                Ok(Undo::Reconfigure(old))
            }
            Step::Remove(settings) => {
                let removed = self.speaker.remove(settings.remote, false);
                Ok(Undo::Put { added: None, removed })
            }
            Step::Put(settings) => {
                let remote = settings.remote;
                let removed = self.speaker.remove(remote, true);
                let back = Undo::Put { added: Some(remote), removed };
                match self.speaker.add(*settings) {
                    Ok(()) => Ok(back),
                    Err(refusal) => {
                        self.take_back(back);
                        Err(refusal.to_string())
                    }
                }
            }
        }
    }

    fn take_back(&self, undo: Undo) {
        match undo {
            Undo::Key { old, new } => self.speaker.restore_key(&new, old.as_deref()),
            Undo::Policies(library) => self.shard.set_policies(library),
            Undo::Decision(knobs) => self.shard.set_decision(knobs),
            Undo::Owned(owned) => self.shard.set_owned(owned),
            Undo::Rpki(settings) => {
                if let Err(why) = self.rpki.reconfigure(&settings) {
                    warn!("[rpki] is not as it was: {why}");
                }
            }
            Undo::Detect(settings) => {
                self.detection.change(&settings, &self.shard, self.clock);
            }
            Undo::Access(access) => self.doors.go_over(&access),
            Undo::Alert(settings) => self.detection.alerts.set_settings(*settings),
            Undo::Sinks(settings) => {
                if let Err(why) = self.sinks.reconfigure(&settings) {
                    warn!("[[sink]] is not as it was: {why}");
                }
            }
            Undo::Level(level) => logging::set_level(level),
            Undo::Reconfigure(old) => {
                if let Some(settings) = old {
                    self.speaker.reconfigure(NeighborSettings::clone(&settings));
                }
            }
            Undo::Put { added, removed } => {
                if let Some(remote) = added {
                    self.speaker.remove(remote, removed.is_some());
                }
                if let Some(settings) = removed {
                    let label = settings.label(settings.remote);
                    // Only a daemon that stops refuses what it had.
                    if let Err(refusal) = self.speaker.add(NeighborSettings::clone(&settings)) {
                        warn!("{label} not added again: {refusal}");
                    }
                }
            }
        }
    }
}

/// One step from the old configuration to the new one.
enum Step {
    /// Have the listeners take the neighbour's TCP-MD5 key.
    Key(Box<NeighborSettings>),
    /// Other policies and sets.
    Policies { old: Arc<Library>, new: Arc<Library> },
    /// Another way to choose best paths.
    Decision { old: Knobs, new: Knobs },
    /// Another space that is ours.
    Owned { old: Owned, new: Owned },
    /// Other sources of RPKI data; those that are undone begin anew.
    Rpki { old: RpkiSettings, new: RpkiSettings },
    /// Something else is watched.
    Detect { old: Box<detect::Settings>, new: Box<detect::Settings> },
    /// Others are let in.
    Access { old: Box<Access>, new: Box<Access> },
    /// Other lives of alerts.
    Alert { old: Box<alert::Settings>, new: Box<alert::Settings> },
    /// Others are told of alerts.
    Sinks { old: Vec<SinkSettings>, new: Vec<SinkSettings> },
    /// Another log level.
    Level { old: Level, new: Level },
    /// Other settings for a session that goes on.
    Reconfigure(Box<NeighborSettings>),
    /// A neighbour or range goes.
    Remove(Box<NeighborSettings>),
    /// A neighbour or range comes, in the place of one about the same speakers if there is one.
    Put(Box<NeighborSettings>),
}

/// What brings back how it was before a step.
enum Undo {
    Key { old: Option<Arc<NeighborSettings>>, new: Box<NeighborSettings> },
    Policies(Arc<Library>),
    Decision(Knobs),
    Owned(Owned),
    Rpki(RpkiSettings),
    Detect(Box<detect::Settings>),
    Access(Box<Access>),
    Alert(Box<alert::Settings>),
    Sinks(Vec<SinkSettings>),
    Level(Level),
    Reconfigure(Option<Arc<NeighborSettings>>),
    Put { added: Option<Remote>, removed: Option<Arc<NeighborSettings>> },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(new) => write!(f, "setting the key of {}", new.label(new.remote)),
            Self::Policies { .. } => f.write_str("handing over the policies"),
            Self::Decision { .. } => f.write_str("handing over how best paths are chosen"),
            Self::Owned { .. } => f.write_str("handing over what may be originated"),
            Self::Rpki { .. } => f.write_str("changing the sources of RPKI data"),
            Self::Detect { .. } => f.write_str("handing over what is watched"),
            Self::Access { .. } => f.write_str("handing over who is let in"),
            Self::Alert { .. } => f.write_str("handing over how alerts live"),
            Self::Sinks { .. } => f.write_str("changing who is told of alerts"),
            Self::Level { .. } => f.write_str("setting the log level"),
            Self::Reconfigure(new) => write!(f, "changing {}", new.label(new.remote)),
            Self::Remove(settings) => write!(f, "removing {}", settings.label(settings.remote)),
            Self::Put(settings) => write!(f, "adding {}", settings.label(settings.remote)),
        }
    }
}

/// The steps, in order: what can fail and nobody notices, what neighbours notice without losing their session, and at
/// last what ends sessions, removals first.
fn steps(changes: &[Change], current: &Config, new: &Config) -> Vec<Step> {
    // What belongs to [router] stays as it was until the daemon is started again.
    let settings = |neighbor: &config::Neighbor| Box::new(neighbor.settings(&current.router));
    let (mut keys, mut quiet, mut removals, mut puts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Removed(neighbor) => removals.push(Step::Remove(settings(neighbor))),
            Change::Added(neighbor) | Change::Changed { neighbor, cost: Cost::Resets, .. } => {
                if neighbor.password.is_some() {
                    keys.push(Step::Key(settings(neighbor)));
                }
                puts.push(Step::Put(settings(neighbor)));
            }
            Change::Changed { neighbor, .. } => quiet.push(Step::Reconfigure(settings(neighbor))),
            Change::Policies { .. } => {
                let (old, new) = (Arc::clone(&current.policy.library), Arc::clone(&new.policy.library));
                // Before neighbours are told to use those that are new.
                quiet.insert(0, Step::Policies { old, new });
            }
            Change::Decision => {
                quiet.push(Step::Decision { old: current.decision.clone(), new: new.decision.clone() });
            }
            Change::Owned => {
                quiet.push(Step::Owned { old: current.router.owned.clone(), new: new.router.owned.clone() });
            }
            Change::Rpki(_) => quiet.push(Step::Rpki { old: current.rpki.clone(), new: new.rpki.clone() }),
            Change::Detect => {
                let (old, new) = (Box::new(current.detect.clone()), Box::new(new.detect.clone()));
                let new = Box::new(detect::Settings { own_asn: old.own_asn, ..*new });
                quiet.push(Step::Detect { old, new });
            }
            Change::Access => {
                let (old, new) = (Box::new(current.access.clone()), Box::new(new.access.clone()));
                quiet.push(Step::Access { old, new });
            }
            Change::Alert => {
                let (old, new) = (Box::new(current.alert.clone()), Box::new(new.alert.clone()));
                quiet.push(Step::Alert { old, new });
            }
            Change::Sinks(_) => quiet.push(Step::Sinks { old: current.sinks.clone(), new: new.sinks.clone() }),
            Change::LogLevel(level) => quiet.push(Step::Level { old: current.log.level, new: *level }),
            Change::NeedsRestart { .. } => {}
        }
    }
    keys.into_iter().chain(quiet).chain(removals).chain(puts).collect()
}

/// The configuration that holds after a reload: sections and keys that need a restart are as they were, so that the next reload
/// still says so.
fn in_force(old: &Config, new: Config) -> Config {
    let Config { router, api, http, state, rib, rpki, log, telemetry, .. } = old.clone();
    let router = Router { owned: new.router.owned.clone(), ..router };
    let log = Log { level: new.log.level, ..log };
    let rpki = RpkiSettings { hold_import: rpki.hold_import, ..new.rpki.clone() };
    Config { router, api, http, state, rib, rpki, log, telemetry, ..new }
}

fn tell(report: &ReloadReport) {
    match report.outcome {
        Outcome::Undone | Outcome::Refused => error!("reload: {}", report.summary()),
        Outcome::Applied | Outcome::Planned => {
            report.changes.iter().for_each(|change| info!("reload: {}", change.text));
            info!("reload: {}", report.summary());
        }
    }
}
