//! Other settings while sources are in force: what stays the same goes on as it is, with its connection and its data.
//!
//! 1. A source at the same place, reached in the same way, keeps its task; its name, preference and intervals may be
//!    others from then on.
//! 2. One that is reached otherwise, or has the same name at another place, gets a new task. Its data stay in force until
//!    the first answer there, or until they expire: a validator that moves leaves no gap.
//! 3. One that is named no more goes, and its data with it. A new one begins.

use std::path::Path;

use tracing::info;

use super::{
    News, Rpki, RpkiSettings, SourceSettings, file,
    force::{self, Source, State},
};
use crate::{validation::SourceId, view::rpki::SourceState};

impl Rpki {
    /// Goes over to other settings, or changes nothing. What the change means for the data in force is told as one
    /// update. `hold_import` is for starts alone.
    ///
    /// # Errors
    /// A new file of local exceptions cannot be used.
    pub fn reconfigure(&self, settings: &RpkiSettings) -> Result<(), String> {
        let path = settings.slurm.as_deref();
        let version = path.and_then(file::version);
        let read = path.map(|path| force::read(path).map_err(|why| format!("{}: {why}", path.display())));
        let mut state = self.lock();
        let same_exceptions = state.exceptions_path() == path;
        let slurm = match read {
            // A file that is in use and broken just now is told by whoever watches it.
            Some(Err(why)) if !same_exceptions => return Err(why),
            Some(read) => read.ok(),
            None => None,
        };
        match (path, slurm) {
            (Some(path), slurm) if !same_exceptions => {
                self.watch_exceptions(&mut state, path, version);
                state.take_exceptions(path, slurm.ok_or_else(String::new), self.now());
            }
            (None, _) if !same_exceptions => state.drop_exceptions(),
            _ => {}
        }
        self.change_sources(&mut state, &settings.sources);
        self.put_in_force(&mut state);
        Ok(())
    }

    /// Goes over to these sources, of which none may be there yet.
    pub(super) fn change_sources(&self, state: &mut State, wanted: &[SourceSettings]) {
        let mut old: Vec<Option<Source>> = std::mem::take(&mut state.sources).into_iter().map(Some).collect();
        // Who is at the same place first, so that a name that went over to another source takes nobody's place.
        let mut found: Vec<Option<Source>> = wanted
            .iter()
            .map(|wanted| {
                let is_it = |source: &Option<Source>| {
                    source.as_ref().is_some_and(|source| source.settings.place.is_same(&wanted.place))
                };
                old.iter_mut().find(|source| is_it(source)).and_then(Option::take)
            })
            .collect();
        for (wanted, found) in wanted.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
            let is_it =
                |source: &Option<Source>| source.as_ref().is_some_and(|source| source.settings.name == wanted.name);
            *found = old.iter_mut().find(|source| is_it(source)).and_then(Option::take);
        }
        for gone in old.into_iter().flatten() {
            if let Some(task) = &gone.handle {
                task.abort();
            }
            info!("rpki: {} is not asked any more, what it said is dropped", gone.view.name);
            (self.inner.publish)(News::Answered(gone.view.name));
        }
        let mut taken: Vec<SourceId> = found.iter().flatten().map(|source| source.id).collect();
        for (wanted, found) in wanted.iter().zip(found) {
            match found {
                Some(mut source) => {
                    self.change_source(&mut source, wanted);
                    state.sources.push(source);
                }
                None => {
                    let source = self.new_source(&taken, wanted);
                    taken.extend(source.iter().map(|source| source.id));
                    state.sources.extend(source);
                }
            }
        }
    }

    fn change_source(&self, source: &mut Source, wanted: &SourceSettings) {
        let elsewhere = source.settings.place != wanted.place;
        let renamed = source.settings.name != wanted.name;
        if renamed && !source.answered {
            // Nobody will answer by the old name.
            (self.inner.publish)(News::Answered(source.settings.name.clone()));
        }
        source.settings = wanted.clone();
        source.view.name.clone_from(&wanted.name);
        if elsewhere {
            source.view.place = wanted.place.to_string();
            source.view.kind = wanted.place.kind();
            source.view.state = SourceState::Starting;
            (source.view.version, source.view.session_id, source.view.serial) = (None, None, None);
            source.view.last_error = None;
            self.start_task(source);
        }
    }
}

impl State {
    /// Where the exceptions come from.
    fn exceptions_path(&self) -> Option<&Path> {
        self.slurm_view.as_ref().map(|view| Path::new(view.place.as_str()))
    }
}
