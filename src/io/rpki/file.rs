//! Files as sources: exports of validated payloads and local exceptions, read again when they change. A file that is
//! half written or broken changes nothing; what was read before stays in force until it expires.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Reporter, Rpki, force};
use crate::validation::{Snapshot, json};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long an export holds that is not written again: an exporter that died must not leave stale data for good.
const EXPIRE: Duration = Duration::from_secs(86_400);

/// What tells that a file was written again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    modified: Option<SystemTime>,
    len: u64,
}

/// Reads a file as `parse` does; what is wrong is told with its name.
pub(super) fn read_with<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    parse(&text).map_err(|why| format!("{}: {why}", path.display()))
}

/// That of a file now; `None`: there is no such file. To be asked before the file is read, so that no change is missed.
pub(super) fn version(path: &Path) -> Option<Version> {
    let facts = std::fs::metadata(path).ok()?;
    Some(Version { modified: facts.modified().ok(), len: facts.len() })
}

/// Keeps one export in force.
pub(super) async fn run(reporter: Reporter, path: PathBuf) {
    let mut seen = None;
    loop {
        let now = version(&path);
        if now.is_none() || now != seen {
            let read_path = path.clone();
            let read = tokio::task::spawn_blocking(move || read_with(&read_path, json::parse_with_anchors));
            match read.await {
                Ok(Ok((set, anchors))) => {
                    let expire = reporter.expire_after().unwrap_or(EXPIRE);
                    let snapshot = Arc::new(Snapshot::of(reporter.id, &set));
                    // An export's age is that of its last writing, not of our reading.
                    let age = now.and_then(|version| version.modified?.elapsed().ok()).unwrap_or_default();
                    reporter.synced(&snapshot, expire.saturating_sub(age), |view| view.anchors = anchors);
                }
                Ok(Err(why)) => reporter.failed(why),
                Err(_) => return, // the runtime is going down
            }
            seen = now;
        }
        reporter.expire();
        tokio::time::sleep(reporter.refresh().unwrap_or(LOOK)).await;
    }
}

/// Keeps the local exceptions up to date, which were read in the version `seen`.
pub(super) async fn watch_slurm(rpki: Rpki, path: PathBuf, mut seen: Option<Version>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let now = version(&path);
        if now != seen {
            seen = now;
            let read = force::read(&path);
            let mut state = rpki.lock();
            state.take_exceptions(&path, read, rpki.now());
            rpki.put_in_force(&mut state);
        }
    }
}
