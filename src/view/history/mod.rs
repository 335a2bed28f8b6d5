//! What neighbours said of a prefix lately: a bounded memory of changes, kept behind the engine's back. `tap` stands among
//! those who watch every change and copies what is worth remembering; this file keeps it, the newest as far as the bound
//! reaches, and answers by prefix.
//!
//! Remembered are announcements, implicit and explicit withdrawals of unicast routes as they were received, before policy,
//! and what sessions did. A first table is not remembered path by path, nor its end with its session: those are one event of
//! the session each.

pub mod tap;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use self::tap::{Batch, Record, Shown};
use super::observed::Vantage;
use crate::{
    types::{Family, PathId, Prefix, Timestamp},
    validation::{OriginState, PathState},
};

/// What a change costs beside its attributes: its place, its link, and its share of the index, measured generously.
const ENTRY_OCTETS: usize = 224;
/// What an attribute set costs beside its octets.
const SET_OCTETS: usize = 80;
/// Events of sessions that are remembered.
const SESSIONS_MAX: usize = 1024;
/// Most changes of an answer: the latest ones.
pub const CHANGES_MAX: usize = 500;

/// A path as a neighbour announced it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// Its canonical attribute set.
    pub attrs: Arc<[u8]>,
    /// State of its origin at that time (RFC 6811).
    pub validation: OriginState,
    /// State of its AS_PATH at that time (ASPA).
    pub aspa: PathState,
    /// Whether import accepted it.
    pub accepted: bool,
}

/// A change of one path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Whose path.
    pub vantage: Arc<Vantage>,
    /// Path Identifier (RFC 7911).
    pub path_id: PathId,
    /// The path before; `None`: there was none.
    pub before: Option<Version>,
    /// The path after; `None`: it was withdrawn.
    pub after: Option<Version>,
}

/// What became of a session, and so of all its paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionFate {
    /// It came up.
    Up,
    /// It was lost, and its paths are kept as stale (RFC 4724 §4.2).
    Away,
    /// It ended, and its paths with it.
    Down,
}

impl SessionFate {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Away => "away",
            Self::Down => "down",
        }
    }
}

/// An event of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionEvent {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub vantage: Arc<Vantage>,
    /// What became of it.
    pub fate: SessionFate,
}

/// What is remembered of one prefix.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PrefixHistory {
    /// Changes earlier than this are forgotten.
    pub since: Timestamp,
    /// Changes, of any prefix, that came too fast to be remembered since the start.
    pub missed: u64,
    /// Whether there are earlier changes since then, left out because they are many.
    pub cut: bool,
    /// Changes, the oldest first.
    pub changes: Vec<Change>,
    /// What sessions did since then, the oldest first.
    pub sessions: Vec<SessionEvent>,
}

struct Entry {
    subject: (Family, Prefix),
    change: Change,
    /// Number of the change of this prefix before this one, if there was one.
    previous: Option<u64>,
}

/// The memory.
pub struct History {
    bound: usize,
    octets: usize,
    /// Number of the oldest entry; numbers rise by one.
    first: u64,
    entries: VecDeque<Entry>,
    /// Number of the last change of a prefix.
    last: BTreeMap<(Family, Prefix), u64>,
    /// How many versions name a set.
    sets: BTreeMap<Arc<[u8]>, u32>,
    sessions: VecDeque<SessionEvent>,
    since: Timestamp,
    missed: u64,
}

impl History {
    /// An empty memory of at most `bound` octets that begins at `now`.
    pub fn new(bound: usize, now: Timestamp) -> Self {
        Self {
            bound,
            octets: 0,
            first: 0,
            entries: VecDeque::new(),
            last: BTreeMap::new(),
            sets: BTreeMap::new(),
            sessions: VecDeque::new(),
            since: now,
            missed: 0,
        }
    }

    /// Remembers what a tap handed on.
    pub fn take(&mut self, batch: &Batch) {
        self.missed += batch.missed;
        for event in &batch.sessions {
            if self.sessions.len() >= SESSIONS_MAX {
                self.sessions.pop_front();
            }
            self.sessions.push_back(event.clone());
        }
        for record in &batch.records {
            self.remember(batch, record);
        }
        while self.octets > self.bound && self.forget() {}
    }

    /// What is remembered of a prefix.
    pub fn of(&self, family: Family, prefix: Prefix) -> PrefixHistory {
        let (mut changes, mut at) = (Vec::new(), self.last.get(&(family, prefix)).copied());
        while let Some(entry) = at.and_then(|at| self.entry(at)).filter(|_| changes.len() < CHANGES_MAX) {
            changes.push(entry.change.clone());
            at = entry.previous;
        }
        let cut = at.is_some_and(|at| at >= self.first);
        changes.reverse();
        let sessions = self.sessions.iter().filter(|event| event.at >= self.since).cloned().collect();
        PrefixHistory { since: self.since, missed: self.missed, cut, changes, sessions }
    }

    /// Octets that it takes, by its own reckoning.
    pub fn octets(&self) -> usize {
        self.octets
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn remember(&mut self, batch: &Batch, record: &Record) {
        let Some(vantage) = batch.vantages.get(record.vantage).map(Arc::clone) else { return };
        let before = record.before.as_ref().map(|shown| self.version(batch, shown));
        let after = record.after.as_ref().map(|shown| self.version(batch, shown));
        let change = Change { at: record.at, vantage, path_id: record.path_id, before, after };
        let (subject, number) = ((record.family, record.prefix), self.first + self.entries.len() as u64);
        let previous = self.last.insert(subject, number);
        self.entries.push_back(Entry { subject, change, previous });
        self.octets += ENTRY_OCTETS;
    }

    fn version(&mut self, batch: &Batch, shown: &Shown) -> Version {
        let octets = batch.octets.get(shown.range.clone()).unwrap_or_default();
        let attrs = match self.sets.get_key_value(octets) {
            Some((known, _)) => Arc::clone(known),
            None => {
                self.octets += SET_OCTETS + octets.len();
                octets.into()
            }
        };
        *self.sets.entry(Arc::clone(&attrs)).or_default() += 1;
        Version { attrs, validation: shown.validation, aspa: shown.aspa, accepted: shown.accepted }
    }

    /// Forgets the oldest change; false: there is none.
    fn forget(&mut self) -> bool {
        let Some(Entry { subject, change, .. }) = self.entries.pop_front() else { return false };
        if self.last.get(&subject) == Some(&self.first) {
            self.last.remove(&subject);
        }
        self.first += 1;
        self.octets -= ENTRY_OCTETS;
        self.since = change.at;
        for version in [change.before, change.after].into_iter().flatten() {
            let Some(named) = self.sets.get_mut(&version.attrs) else { continue };
            *named -= 1;
            if *named == 0 {
                self.sets.remove(&version.attrs);
                self.octets -= SET_OCTETS + version.attrs.len();
            }
        }
        true
    }
}
