//! The RPKI data of a configuration's files, read once and without a daemon: what tools that judge recorded routes know.
//! Caches are not asked, and a file counts however old it is, since the routes may be as old.

use std::sync::Arc;

use super::{
    Place, RpkiSettings,
    file::read_with,
    force::{filtered, together},
};
use crate::validation::{Snapshot, SourceId, json, slurm::Slurm};

/// What files say.
#[derive(Clone, Debug)]
pub struct Offline {
    /// Together, as they would be in force: of the files those with the lowest preference, and the local exceptions.
    pub snapshot: Arc<Snapshot>,
    /// Names of caches that count as much or more, and were not asked.
    pub unasked: Vec<String>,
}

/// Reads the files of `settings`; `None` where it names no file with payloads, or only what the exceptions add would be
/// known beside caches.
///
/// # Errors
/// A file cannot be read, or is faulty.
pub fn read(settings: &RpkiSettings) -> Result<Option<Offline>, String> {
    let slurm = match &settings.slurm {
        Some(path) => read_with(path, Slurm::parse)?,
        None => Slurm::default(),
    };
    let is_file = |place: &Place| matches!(place, Place::File(_));
    let best = settings.sources.iter().filter(|one| is_file(&one.place)).map(|one| one.preference).min();
    if best.is_none() && (settings.slurm.is_none() || !settings.sources.is_empty()) {
        return Ok(None);
    }
    let best = best.unwrap_or_default();
    let (mut used, mut unasked) = (Vec::new(), Vec::new());
    for (id, source) in settings.sources.iter().enumerate() {
        match &source.place {
            Place::File(path) if source.preference == best => {
                let id = id as SourceId;
                used.push(filtered(&Arc::new(Snapshot::of(id, &read_with(path, json::parse)?)), &slurm, id));
            }
            Place::Rtr { .. } if source.preference <= best => unasked.push(source.name.clone()),
            _ => {}
        }
    }
    let snapshot = together(&used, &slurm);
    Ok(Some(Offline { snapshot, unasked }))
}
