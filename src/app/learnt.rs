//! What detectors have learnt, between two runs (a file in `[state] dir`) and between two sets of detectors (a reload of
//! `[watch]` must not forget who saw a prefix). The engine's thread only hands it over; a thread of its own writes.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
};

use serde_json::{Value, json};
use tracing::warn;

use crate::detect::{
    feeds::session,
    memory::{Archive, Memory},
};

/// Name of the file.
const FILE: &str = "detectors.json";
/// Of its format.
const VERSION: u64 = 1;

/// The place where it is kept; clones share it.
#[derive(Clone)]
pub(super) struct Learnt(Arc<Shared>);

struct Shared {
    latest: Mutex<Memory>,
    dir: Option<PathBuf>,
    /// One writes at a time, and always what is latest.
    writing: Mutex<()>,
    wake: mpsc::Sender<()>,
}

impl Learnt {
    /// Reads what the last run left in `dir`. Of sessions only those of `neighbors` count: who was taken out of the
    /// configuration meanwhile is not missed.
    ///
    /// # Errors
    /// One sentence: there is no thread.
    pub(super) fn start(dir: Option<&Path>, neighbors: &BTreeSet<String>) -> Result<Self, String> {
        let mut memory = dir.map(read).unwrap_or_default();
        if let Some(Value::Array(sessions)) = memory.get_mut(session::MEMORY) {
            sessions.retain(|session| session[0].as_str().is_some_and(|name| neighbors.contains(name)));
        }
        let (wake, woken) = mpsc::channel();
        let shared =
            Shared { latest: Mutex::new(memory), dir: dir.map(Path::to_path_buf), writing: Mutex::default(), wake };
        let learnt = Self(Arc::new(shared));
        if dir.is_some() {
            // It ends with the last of us.
            let shared = Arc::downgrade(&learnt.0);
            let write = move || {
                let mut troubled = false;
                while woken.recv().is_ok() {
                    let Some(shared) = shared.upgrade() else { return };
                    match shared.write() {
                        Err(error) if !troubled => {
                            troubled = true;
                            warn!(
                                "[state] dir: what detectors have learnt cannot be written, and a restart forgets it: {error}"
                            );
                        }
                        result => troubled = result.is_err(),
                    }
                }
            };
            std::thread::Builder::new()
                .name("learnt".into())
                .spawn(write)
                .map_err(|error| format!("no thread: {error}"))?;
        }
        Ok(learnt)
    }

    /// For a set of detectors.
    pub(super) fn archive(&self) -> Box<dyn Archive> {
        Box::new(self.clone())
    }

    /// Writes what is latest before the process ends.
    pub(super) fn write_down(&self) {
        if let Err(error) = self.0.write() {
            warn!("[state] dir: what detectors have learnt could not be written: {error}");
        }
    }
}

impl Archive for Learnt {
    fn recall(&mut self) -> Memory {
        lock(&self.0.latest).clone()
    }

    fn keep(&mut self, memory: Memory) {
        *lock(&self.0.latest) = memory;
        // Without a place on disk nobody listens.
        let _ = self.0.wake.send(());
    }
}

impl Shared {
    fn write(&self) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let _turn = lock(&self.writing);
        let memory = lock(&self.latest).clone();
        let text = serde_json::to_vec(&json!({"version": VERSION, "memory": memory}))?;
        fs::create_dir_all(dir)?;
        let new = dir.join(format!("{FILE}.new"));
        let mut file = File::create(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(new, dir.join(FILE))
    }
}

/// What the file holds; nothing where there is none, or none that this version can read.
fn read(dir: &Path) -> Memory {
    let path = dir.join(FILE);
    let Ok(text) = fs::read(&path) else { return Memory::new() };
    match serde_json::from_slice::<Value>(&text) {
        Ok(Value::Object(mut file)) if file.get("version").and_then(Value::as_u64) == Some(VERSION) => {
            match file.remove("memory") {
                Some(Value::Object(memory)) => memory,
                _ => Memory::new(),
            }
        }
        _ => {
            warn!("{} cannot be read: detectors begin to learn anew", path.display());
            Memory::new()
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked in here left whole values behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(sessions: &[&str]) -> Memory {
        let sessions: Vec<Value> = sessions.iter().map(|name| json!([name, 64496, "own", false, 9])).collect();
        let memory = json!({"session": sessions, "covering": []});
        memory.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn the_next_run_knows_what_was_learnt_but_not_of_neighbors_that_are_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let names: BTreeSet<String> = ["a".to_owned()].into();
        let learnt = Learnt::start(Some(dir.path()), &names).expect("a thread");
        assert!(learnt.archive().recall().is_empty(), "a first run");
        learnt.archive().keep(memory(&["a", "b"]));
        assert_eq!(learnt.archive().recall(), memory(&["a", "b"]), "as others in this run see it");
        learnt.write_down();
        let next = Learnt::start(Some(dir.path()), &names).expect("a thread");
        assert_eq!(next.archive().recall(), memory(&["a"]));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_file() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join(FILE), "{").expect("ours");
        let names = BTreeSet::new();
        assert!(Learnt::start(Some(dir.path()), &names).expect("a thread").archive().recall().is_empty());
    }
}
