//! How alerts live, in times and counts (`[alert]`).

use std::{collections::BTreeMap, time::Duration};

use super::Maintenance;
use crate::detect::{Hold, Kind};

/// What holds for all alerts, and what kinds have for themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// One that comes back earlier than this after it was resolved is the same one.
    pub reopen_within: Duration,
    /// Least time between two tellings of changes that are no news: other evidence, more or fewer members, less grave.
    pub update_every: Duration,
    /// How often an open one that nobody acknowledged is told of again; `None`: never. Those that are only worth knowing
    /// never are.
    pub remind_every: Option<Duration>,
    /// Resolved ones that are kept, at most.
    pub keep_resolved: usize,
    /// How long they are kept.
    pub keep_resolved_for: Duration,
    /// Changes that can be heard of later, at most.
    pub keep_changes: usize,
    /// Open alerts of one kind, above which further ones share one.
    pub storm: usize,
    /// What kinds have for themselves.
    pub kinds: BTreeMap<Kind, KindSettings>,
    /// When nobody wants to hear of something, by plan.
    pub maintenance: Vec<Maintenance>,
}

/// What one kind has for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KindSettings {
    /// How long a finding must stand; `None`: as its detector says.
    pub open_after: Option<Duration>,
    /// How long it must be gone; `None`: as its detector says.
    pub resolve_after: Option<Duration>,
    /// As for all; `Some(None)`: never.
    pub remind_every: Option<Option<Duration>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reopen_within: Duration::from_secs(3600),
            update_every: Duration::from_secs(300),
            remind_every: Some(Duration::from_secs(4 * 3600)),
            keep_resolved: 2000,
            keep_resolved_for: Duration::from_secs(30 * 86_400),
            keep_changes: 2000,
            storm: 1000,
            kinds: BTreeMap::new(),
            maintenance: Vec::new(),
        }
    }
}

impl Settings {
    /// The hold times of a finding of `kind` whose detector says `hold`.
    pub(super) fn hold(&self, kind: Kind, hold: Hold) -> Hold {
        let own = self.kinds.get(&kind).copied().unwrap_or_default();
        Hold { open: own.open_after.unwrap_or(hold.open), resolve: own.resolve_after.unwrap_or(hold.resolve) }
    }

    /// How often an alert of `kind` is told of again.
    pub(super) fn remind_every(&self, kind: Kind) -> Option<Duration> {
        self.kinds.get(&kind).and_then(|own| own.remind_every).unwrap_or(self.remind_every)
    }
}
