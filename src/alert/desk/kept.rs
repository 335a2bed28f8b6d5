//! What of a desk outlives the process: alerts with what was told of them, mutes, and the number of the last change.
//! Findings do not: detectors raise them again from the routes.

use std::{collections::BTreeSet, mem, sync::Arc};

use super::{Case, Desk};
use crate::{
    alert::{Alert, Change, Mute, Settings, State, Why},
    detect::Severity,
    types::Timestamp,
};

/// An alert as it is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct KeptAlert {
    /// The alert.
    pub alert: Arc<Alert>,
    /// Number of its last change.
    pub seq: u64,
    /// When its last change was.
    pub changed_at: Timestamp,
    /// Whether people were told that it is there, and not yet that it is over.
    pub told_open: bool,
    /// The gravest it was since it opened.
    pub worst: Severity,
}

impl KeptAlert {
    /// What is to be kept of an alert after a change of it, from what was kept before.
    pub fn follow(before: Option<&Self>, change: &Change) -> Self {
        let (known, severity) = (before.is_some_and(|before| before.told_open), change.alert.severity);
        let worst = match (change.why, before) {
            (Why::Opened | Why::Reopened, _) | (_, None) => severity,
            (_, Some(before)) => before.worst.max(severity),
        };
        Self {
            alert: Arc::clone(&change.alert),
            seq: change.seq,
            changed_at: change.at,
            told_open: change.alert.is_live() && (change.tell || known),
            worst,
        }
    }
}

/// All that is kept.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Kept {
    /// Number of the last change.
    pub seq: u64,
    /// Alerts, by id.
    pub alerts: Vec<KeptAlert>,
    /// Mutes, by id.
    pub mutes: Vec<Mute>,
}

/// What is to be kept beside the changes, since the last time.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Unsaved {
    /// Alerts with changes that were told.
    pub alerts: Vec<KeptAlert>,
    /// Alerts that differ in what may be lost in a crash: when they were last seen, and words that wait to be told.
    pub quiet: Vec<KeptAlert>,
    /// Alerts to forget.
    pub forgotten: Vec<Arc<str>>,
    /// Mutes that are new.
    pub mutes: Vec<Mute>,
    /// Mutes to forget.
    pub unmuted: Vec<Arc<str>>,
}

impl Unsaved {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Ids of what was not kept yet.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    alerts: BTreeSet<Arc<str>>,
    /// Those with nothing but what may be lost.
    quiet: BTreeSet<Arc<str>>,
    mutes: BTreeSet<Arc<str>>,
}

impl Dirty {
    pub(super) fn changed(&mut self, id: &Arc<str>) {
        self.quiet.remove(id);
        self.alerts.insert(Arc::clone(id));
    }

    pub(super) fn quietly_changed(&mut self, id: &Arc<str>) {
        if !self.alerts.contains(id) {
            self.quiet.insert(Arc::clone(id));
        }
    }

    pub(super) fn forgotten(&mut self, id: &Arc<str>) {
        self.changed(id);
    }

    pub(super) fn mute(&mut self, id: &Arc<str>) {
        self.mutes.insert(Arc::clone(id));
    }
}

impl Desk {
    /// A desk as it was kept, at the time of a start. Timers that were due meanwhile are: call `handle`.
    pub fn restore(settings: Settings, now: Timestamp, kept: Kept) -> Self {
        let mut desk = Self { settings, clock: now, seq: kept.seq, ..Self::default() };
        for KeptAlert { alert, seq, changed_at, told_open, worst } in kept.alerts {
            let id = Arc::clone(&alert.id);
            match alert.resolved_at.filter(|_| alert.state == State::Resolved) {
                Some(at) => drop(desk.resolved.insert((at, Arc::clone(&id)))),
                None => *desk.live.entry(alert.kind()).or_default() += 1,
            }
            // At most one of a key is not over, and it is the newest.
            let newer = desk.newest_case(&alert.key).is_none_or(|other| {
                (alert.is_live(), alert.first_seen, &alert.id)
                    > (other.alert.is_live(), other.alert.first_seen, &other.alert.id)
            });
            if newer {
                desk.newest.insert(alert.key.clone(), Arc::clone(&id));
            }
            let (told, peak) = (Arc::clone(&alert), Arc::clone(&alert));
            let restored = alert.is_live();
            let case = Case {
                alert,
                told,
                peak,
                seq,
                changed_at,
                told_open,
                worst,
                restored,
                update_at: None,
                remind_at: None,
            };
            desk.cases.insert(id, case);
        }
        desk.mutes = kept.mutes.into_iter().map(|mute| (Arc::clone(&mute.id), mute)).collect();
        desk.arm_at_once();
        desk
    }

    /// Mutes and old alerts are looked through with the first input.
    fn arm_at_once(&mut self) {
        (self.mutes_at, self.retention_at) = (Some(self.clock), Some(self.clock));
        self.arm(super::Timer::Mutes, None, self.mutes_at);
        self.arm(super::Timer::Retention, None, self.retention_at);
    }

    /// All that is to be kept.
    pub fn kept(&self) -> Kept {
        Kept {
            seq: self.seq,
            alerts: self.cases.values().map(Case::kept).collect(),
            mutes: self.mutes.values().cloned().collect(),
        }
    }

    /// What is to be kept of what was not taken yet.
    pub fn take_unsaved(&mut self) -> Unsaved {
        let mut unsaved = Unsaved::default();
        for (ids, quiet) in [(mem::take(&mut self.dirty.alerts), false), (mem::take(&mut self.dirty.quiet), true)] {
            for id in ids {
                match self.cases.get(&id) {
                    Some(case) if quiet => unsaved.quiet.push(case.kept()),
                    Some(case) => unsaved.alerts.push(case.kept()),
                    None => unsaved.forgotten.push(id),
                }
            }
        }
        for id in mem::take(&mut self.dirty.mutes) {
            match self.mutes.get(&id) {
                Some(mute) => unsaved.mutes.push(mute.clone()),
                None => unsaved.unmuted.push(id),
            }
        }
        unsaved
    }
}

impl Case {
    pub(super) fn kept(&self) -> KeptAlert {
        KeptAlert {
            alert: Arc::clone(&self.alert),
            seq: self.seq,
            changed_at: self.changed_at,
            told_open: self.told_open,
            worst: self.worst,
        }
    }
}
