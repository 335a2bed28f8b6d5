//! What is in force: what each source holds, what local exceptions leave of it and add, and the one snapshot that comes
//! of it. No task, no socket.

use std::{path::Path, sync::Arc};

use tokio::task::AbortHandle;
use tracing::{info, warn};

use super::SourceSettings;
use crate::{
    types::Timestamp,
    validation::{PayloadSet, SOURCES_MAX, Snapshot, SourceId, Update, slurm::Slurm},
    view::rpki::{SourceState, SourceView},
};

/// The number of local exceptions in snapshots; sources have those below.
pub(super) const LOCAL: SourceId = SOURCES_MAX as SourceId - 1;

/// One source and what it holds.
pub(super) struct Source {
    /// In snapshots; its own for as long as it is configured.
    pub(super) id: SourceId,
    /// Of its task: one that was replaced is not heard any more.
    pub(super) task: u64,
    pub(super) handle: Option<AbortHandle>,
    pub(super) settings: SourceSettings,
    /// As received.
    pub(super) received: Option<Arc<Snapshot>>,
    /// After local filters.
    pub(super) filtered: Option<Arc<Snapshot>>,
    /// Whether it ever had data.
    pub(super) answered: bool,
    pub(super) view: SourceView,
}

impl Source {
    pub(super) fn new(id: SourceId, settings: &SourceSettings) -> Self {
        let view = SourceView {
            name: settings.name.clone(),
            place: settings.place.to_string(),
            kind: settings.place.kind(),
            ..SourceView::default()
        };
        let settings = settings.clone();
        Self { id, task: 0, handle: None, settings, received: None, filtered: None, answered: false, view }
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct State {
    /// In the order of the configuration.
    pub(super) sources: Vec<Source>,
    pub(super) slurm: Slurm,
    /// What the exceptions add; the last view is theirs.
    pub(super) slurm_view: Option<SourceView>,
    /// Looks at the file of exceptions.
    pub(super) exceptions_task: Option<AbortHandle>,
    pub(super) snapshot: Arc<Snapshot>,
}

impl State {
    /// The source that a task keeps; `None`: it was replaced.
    pub(super) fn of_task(&mut self, task: u64) -> Option<&mut Source> {
        self.sources.iter_mut().find(|source| source.task == task)
    }

    /// Takes over what was read of the exceptions; a faulty file changes nothing but what is said about it.
    pub(super) fn take_exceptions(&mut self, path: &Path, read: Result<Slurm, String>, now: Timestamp) {
        let place = path.display().to_string();
        let fresh = || SourceView { name: "local exceptions".to_owned(), kind: "slurm", ..SourceView::default() };
        let view = self.slurm_view.get_or_insert_with(fresh);
        view.place.clone_from(&place);
        match read {
            Ok(slurm) => {
                view.state = SourceState::Synced;
                (view.in_use, view.updated_at, view.last_error) = (true, Some(now), None);
                (view.vrps, view.aspas) = (count_families(&slurm), slurm.aspas.len() as u64);
                info!("rpki: local exceptions of {place}: {}", describe(&slurm));
                self.set_exceptions(slurm);
            }
            Err(why) => {
                view.state = SourceState::Failing;
                warn!("rpki: local exceptions {place}: {why}; what was read before stays in force");
                view.last_error = Some(why);
            }
        }
    }

    /// There are no exceptions any more.
    pub(super) fn drop_exceptions(&mut self) {
        self.slurm_view = None;
        if let Some(task) = self.exceptions_task.take() {
            task.abort();
        }
        self.set_exceptions(Slurm::default());
    }

    fn set_exceptions(&mut self, slurm: Slurm) {
        self.slurm = slurm;
        for source in &mut self.sources {
            source.filtered = source.received.as_ref().map(|received| filtered(received, &self.slurm, source.id));
        }
    }

    /// Puts what sources hold together; what changed, when anything did.
    pub(super) fn put_in_force(&mut self) -> Option<Update> {
        let with_data = |source: &&Source| source.filtered.is_some();
        let best = self.sources.iter().filter(with_data).map(|source| source.settings.preference).min();
        for source in &mut self.sources {
            source.view.in_use = source.filtered.is_some() && Some(source.settings.preference) == best;
        }
        let used = self.sources.iter().filter(|source| source.view.in_use);
        let used: Vec<Arc<Snapshot>> = used.filter_map(|source| source.filtered.clone()).collect();
        let snapshot = together(&used, &self.slurm);
        if snapshot == self.snapshot {
            return None;
        }
        let update = Update::between(&self.snapshot, Arc::clone(&snapshot));
        self.snapshot = snapshot;
        Some(update)
    }
}

/// Reads a file of local exceptions (RFC 8416).
pub(super) fn read(path: &Path) -> Result<Slurm, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    Slurm::parse(&text)
}

/// What the sources in use hold together with what the exceptions add, which count as source `LOCAL`.
pub(super) fn together(used: &[Arc<Snapshot>], slurm: &Slurm) -> Arc<Snapshot> {
    let local = slurm.assertions();
    let nothing_local = local.vrps.is_empty() && local.aspas.is_empty();
    match used {
        [only] if nothing_local => Arc::clone(only),
        _ => {
            let local = Snapshot::of(LOCAL, &local);
            let parts = used.iter().map(|part| &**part).chain((!nothing_local).then_some(&local));
            Arc::new(Snapshot::union(parts))
        }
    }
}

/// What is left of a source's data after the local filters.
pub(super) fn filtered(received: &Arc<Snapshot>, slurm: &Slurm, id: SourceId) -> Arc<Snapshot> {
    if slurm.prefix_filters.is_empty() && slurm.aspa_filters.is_empty() {
        return Arc::clone(received);
    }
    let left: PayloadSet = slurm.filter(&received.payload());
    Arc::new(Snapshot { expiries: Arc::clone(&received.expiries), ..Snapshot::of(id, &left) })
}

fn count_families(slurm: &Slurm) -> (u64, u64) {
    let v4 = slurm.vrps.iter().filter(|vrp| vrp.prefix.is_v4()).count();
    (v4 as u64, (slurm.vrps.len() - v4) as u64)
}

fn describe(slurm: &Slurm) -> String {
    let filters = slurm.prefix_filters.len() + slurm.aspa_filters.len();
    format!("{filters} filters, {} VRPs and {} ASPAs added", slurm.vrps.len(), slurm.aspas.len())
}
