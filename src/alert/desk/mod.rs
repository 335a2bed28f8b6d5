//! The desk: findings come in with the time, changes of alerts go out in order.
//!
//! ```text
//! finding   (none)     + stands, hold for opening is zero     -> standing, joins its alert
//!           (none)     + stands                arm hold       -> pending
//!           pending    + cleared                              -> (none), nobody hears of it
//!           pending    + hold is over                         -> standing, joins its alert
//!           standing   + cleared               arm hold       -> clearing
//!           clearing   + stands                               -> standing, nobody hears of it
//!           clearing   + hold is over                         -> (none), leaves its alert
//!
//! alert     (none)     + first finding joins   Opened         -> open
//!           resolved   + a finding joins, soon Reopened       -> open
//!           open       + somebody has it       Acknowledged   -> acknowledged
//!           ack'd      + graver than before    Changed        -> open
//!           open/ack'd + last finding leaves   Resolved       -> resolved
//! ```
//! An alert's findings are those with its key as their own or as their cause. What the driver is late for is done as of
//! the time at which it was due, so that the outcome does not depend on how often the driver comes by.

mod commands;
mod findings;
mod kept;
mod life;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use self::{
    commands::{Command, Done, find_id},
    kept::{Kept, KeptAlert, Unsaved},
};
use self::{
    findings::{Group, Tracked},
    kept::Dirty,
};
use super::{Alert, Change, Mute, MuteView, Settings, State, Why};
use crate::{
    detect::{Fingerprint, Kind, News, Report, Severity},
    types::Timestamp,
};

/// What a desk is handed.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// A detector has something to say.
    Report(Report),
    /// It is time for something: see `next_deadline`.
    TimersDue,
}

/// What is to be done at a time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// A hold time of a finding is over.
    Hold(Fingerprint),
    /// A mute or a window begins or ends.
    Mutes,
    /// An alert changed in ways that waited to be told.
    Update(Arc<str>),
    /// An alert is told of again.
    Reminder(Arc<str>),
    /// Resolved alerts are old enough to be forgotten.
    Retention,
}

/// An alert and what goes with it.
#[derive(Clone, Debug)]
struct Case {
    /// As it is.
    alert: Arc<Alert>,
    /// As it was in its last change.
    told: Arc<Alert>,
    /// The number of that.
    seq: u64,
    /// When that was.
    changed_at: Timestamp,
    /// As it was when it was gravest and largest.
    peak: Arc<Alert>,
    /// Whether people were told that it is there, and not yet that it is over.
    told_open: bool,
    /// The gravest it was since it opened.
    worst: Severity,
    /// From before the start, and no finding showed it since.
    restored: bool,
    update_at: Option<Timestamp>,
    remind_at: Option<Timestamp>,
}

/// All alerts, and the findings that they rest on.
#[derive(Debug, Default)]
pub struct Desk {
    settings: Settings,
    /// When something was done last; never goes back.
    clock: Timestamp,
    /// Number of the last change.
    seq: u64,
    cases: BTreeMap<Arc<str>, Case>,
    /// The newest alert of a key.
    newest: BTreeMap<Fingerprint, Arc<str>>,
    findings: BTreeMap<Fingerprint, Tracked>,
    /// By the key of their alert.
    groups: BTreeMap<Fingerprint, Group>,
    mutes: BTreeMap<Arc<str>, Mute>,
    /// Alerts that are over, the oldest first.
    resolved: BTreeSet<(Timestamp, Arc<str>)>,
    /// How many are not over.
    live: BTreeMap<Kind, usize>,
    timers: BTreeSet<(Timestamp, Timer)>,
    mutes_at: Option<Timestamp>,
    retention_at: Option<Timestamp>,
    dirty: Dirty,
}

impl Desk {
    /// A desk without alerts.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Feeds one input at `now`; what changed is appended to `out`, in order. Behind reports that came together,
    /// `TimersDue` is wanted where `next_deadline` is not after `now`.
    pub fn handle(&mut self, now: Timestamp, input: Input, out: &mut Vec<Change>) {
        let Input::Report(Report { at, news }) = input else { return self.run_timers(now, out) };
        let seen = at.min(now);
        // What was due before it happened, happened before it; what is due since may be another report's end.
        self.run_timers(seen, out);
        match news {
            News::Stands(finding) => self.stands(*finding, seen, out),
            News::Cleared { key, how } => self.cleared(&key, how, seen, out),
            News::Settled => self.settle(out),
        }
    }

    /// When to call `handle` with `TimersDue` at the latest; `None`: nothing is armed.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// When the last hold time is over that runs now; `None`: none runs.
    pub fn holds_until(&self) -> Option<Timestamp> {
        let holds = self.timers.iter().rev().find(|(_, timer)| matches!(timer, Timer::Hold(_)));
        holds.map(|(at, _)| *at)
    }

    /// Goes over to other settings.
    pub fn set_settings(&mut self, now: Timestamp, settings: Settings, out: &mut Vec<Change>) {
        self.run_timers(now, out);
        self.settings = settings;
        self.mutes_changed(out);
        self.forget_old();
    }

    /// Number of the last change.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// All alerts, by id.
    pub fn alerts(&self) -> impl Iterator<Item = &Arc<Alert>> {
        self.cases.values().map(|case| &case.alert)
    }

    /// One alert, by its whole id.
    pub fn alert(&self, id: &str) -> Option<&Arc<Alert>> {
        self.cases.get(id).map(|case| &case.alert)
    }

    /// Mutes, then maintenance windows, as of the last input.
    pub fn mutes(&self) -> Vec<MuteView> {
        let mutes = self.mutes.values().map(|mute| MuteView {
            id: Arc::clone(&mute.id),
            scope: mute.scope.clone(),
            reason: mute.reason.clone(),
            author: mute.author.clone(),
            created_at: Some(mute.created_at),
            until: Some(mute.until),
            active: true,
        });
        let windows = self.settings.maintenance.iter().map(|plan| MuteView {
            id: plan.name.as_str().into(),
            scope: plan.scope.clone(),
            reason: plan.name.clone(),
            author: "config".to_owned(),
            created_at: None,
            until: plan.window.next_edge(self.clock),
            active: plan.window.holds(self.clock),
        });
        mutes.chain(windows).collect()
    }

    /// Does what is due until then, each at its time.
    fn run_timers(&mut self, until: Timestamp, out: &mut Vec<Change>) {
        while let Some((at, _)) = self.timers.first()
            && *at <= until
            && let Some((at, timer)) = self.timers.pop_first()
        {
            self.clock = self.clock.max(at);
            match timer {
                Timer::Hold(key) => self.hold_is_over(&key, out),
                Timer::Mutes => self.mutes_changed(out),
                Timer::Update(id) => self.update(&id, out),
                Timer::Reminder(id) => self.emit(&id, Why::Reminder, None, out),
                Timer::Retention => self.forget_old(),
            }
        }
        self.clock = self.clock.max(until);
    }

    /// Arms a timer in place of the one that was armed for `before`.
    fn arm(&mut self, timer: Timer, before: Option<Timestamp>, at: Option<Timestamp>) {
        if before == at {
            if let Some(at) = at {
                self.timers.insert((at, timer));
            }
            return;
        }
        let mut entry = (before.unwrap_or_default(), timer);
        if before.is_some() {
            self.timers.remove(&entry);
        }
        if let Some(at) = at {
            entry.0 = at;
            self.timers.insert(entry);
        }
    }

    /// Tells a change of an alert, as it is now.
    fn emit(&mut self, id: &Arc<str>, why: Why, observed_at: Option<Timestamp>, out: &mut Vec<Change>) {
        let every = self.cases.get(id).and_then(|case| self.settings.remind_every(case.alert.kind()));
        let Some(case) = self.cases.get_mut(id) else { return };
        let tell = case.alert.muted.is_none() || why == Why::Resolved && case.told_open;
        self.seq += 1;
        let alert = Arc::clone(&case.alert);
        let change = Change { seq: self.seq, at: self.clock, why, tell, observed_at, alert };
        let after = KeptAlert::follow(Some(&case.kept()), &change);
        (case.told, case.seq, case.changed_at) = (after.alert, after.seq, after.changed_at);
        (case.told_open, case.worst) = (after.told_open, after.worst);
        let alert = Arc::clone(&case.alert);
        out.push(change);
        let wanted = tell && alert.state == State::Open && alert.severity > Severity::Info;
        let remind_at = every.filter(|_| wanted).map(|every| self.clock + every);
        let (reminder, update) = (case.remind_at, case.update_at);
        (case.remind_at, case.update_at) = (remind_at, None);
        self.arm(Timer::Reminder(Arc::clone(id)), reminder, remind_at);
        self.arm(Timer::Update(Arc::clone(id)), update, None);
        self.dirty.changed(id);
    }
}
