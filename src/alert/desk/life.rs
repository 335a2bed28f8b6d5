//! What happens to an alert as its findings come and go: opening, changes, mutes, the end, and being forgotten.

use std::{mem, sync::Arc};

use super::{
    Case, Desk, Timer,
    words::{self, Words},
};
use crate::{
    alert::{Alert, Change, State, Why, id::id},
    detect::Fingerprint,
    types::Timestamp,
};

impl Desk {
    /// An alert that was not there before.
    pub(super) fn open(
        &mut self,
        key: Fingerprint,
        first_seen: Timestamp,
        observed: Option<Timestamp>,
        out: &mut Vec<Change>,
    ) {
        let Some(words) = self.compose(&key) else { return };
        let free = |salt: &u32| !self.cases.contains_key(&id(&key, first_seen, *salt));
        let id = id(&key, first_seen, (0..).find(free).unwrap_or_default());
        let mut alert = words.begin(Arc::clone(&id), key.clone(), first_seen);
        alert.last_seen = self.clock;
        alert.muted = self.muted_by(&alert);
        let alert = Arc::new(alert);
        *self.live.entry(key.kind).or_default() += 1;
        self.newest.insert(key, Arc::clone(&id));
        let case = Case {
            told: Arc::clone(&alert),
            peak: Arc::clone(&alert),
            seq: self.seq,
            changed_at: self.clock,
            told_open: false,
            worst: alert.severity,
            restored: false,
            update_at: None,
            remind_at: None,
            alert,
        };
        self.cases.insert(Arc::clone(&id), case);
        self.emit(&id, Why::Opened, observed, out);
    }

    /// One that was over is back.
    pub(super) fn reopen(&mut self, key: &Fingerprint, observed: Option<Timestamp>, out: &mut Vec<Change>) {
        let (Some(id), Some(words)) = (self.newest.get(key).cloned(), self.compose(key)) else { return };
        let ended = self.edit(&id, |alert, clock| {
            words.say(alert);
            alert.state = State::Open;
            alert.acknowledged_by = None;
            alert.last_seen = clock;
            alert.reopened = alert.reopened.saturating_add(1);
            alert.resolved_at.take()
        });
        if let Some(at) = ended.flatten() {
            self.resolved.remove(&(at, Arc::clone(&id)));
        }
        *self.live.entry(key.kind).or_default() += 1;
        self.emit(&id, Why::Reopened, observed, out);
    }

    /// The findings of an alert changed.
    pub(super) fn refresh(&mut self, key: &Fingerprint, observed: Option<Timestamp>, out: &mut Vec<Change>) {
        let (Some(id), Some(words)) = (self.newest.get(key).cloned(), self.compose(key)) else { return };
        let Some(case) = self.cases.get_mut(&id) else { return };
        let (was_muted, graver) = (case.alert.muted.is_some(), words.severity > case.worst);
        if mem::take(&mut case.restored) && case.alert.state == State::Open && case.alert.muted.is_none() {
            let every = self.settings.remind_every(key.kind);
            let remind_at = every.map(|every| (case.changed_at + every).max(self.clock));
            let before = mem::replace(&mut case.remind_at, remind_at);
            self.arm(Timer::Reminder(Arc::clone(&id)), before, remind_at);
        }
        self.edit(&id, |alert, clock| {
            words.say(alert);
            alert.last_seen = clock;
            if graver {
                // Whoever has it took on something smaller.
                alert.state = State::Open;
                alert.acknowledged_by = None;
            }
        });
        let Some(case) = self.cases.get(&id) else { return };
        if case.alert.muted.is_some() != was_muted {
            let why = if was_muted { Why::Unmuted } else { Why::Muted };
            self.emit(&id, why, observed, out);
        } else if graver {
            self.emit(&id, Why::Changed, observed, out);
        } else {
            self.tell_in_time(&id, observed, out);
        }
    }

    /// Changes that are no news are told now if nothing was told for a while, else later.
    fn tell_in_time(&mut self, id: &Arc<str>, observed: Option<Timestamp>, out: &mut Vec<Change>) {
        let Some(case) = self.cases.get_mut(id) else { return };
        let due = case.changed_at + self.settings.update_every;
        let news = !same_words(&case.alert, &case.told);
        if news && due <= self.clock {
            return self.emit(id, Why::Changed, observed, out);
        }
        let at = news.then_some(due);
        let before = mem::replace(&mut case.update_at, at);
        self.arm(Timer::Update(Arc::clone(id)), before, at);
    }

    /// The time for what waited to be told has come.
    pub(super) fn update(&mut self, id: &Arc<str>, out: &mut Vec<Change>) {
        self.tell_in_time(id, None, out);
    }

    /// An alert is over.
    pub(super) fn resolve(&mut self, id: &Arc<str>, how: &str, observed: Option<Timestamp>, out: &mut Vec<Change>) {
        if let Some(case) = self.cases.get_mut(id) {
            case.restored = false;
        }
        let peak = self.cases.get(id).map(|case| Arc::clone(&case.peak));
        let kind = self.edit(id, |alert, clock| {
            // Its findings left one by one: what it was is what is to be read of it later.
            if let Some(peak) = peak.filter(|peak| peak.member_count > alert.member_count) {
                words::recall(alert, &peak);
            }
            alert.state = State::Resolved;
            alert.resolved_at = Some(clock);
            alert.last_seen = clock;
            alert.why = format!("{}; over: {how}", alert.why.trim_end_matches('.'));
            alert.kind()
        });
        if let Some(live) = kind.and_then(|kind| self.live.get_mut(&kind)) {
            *live -= 1;
        }
        self.resolved.insert((self.clock, Arc::clone(id)));
        self.emit(id, Why::Resolved, observed, out);
        self.forget_old();
    }

    /// Everything was seen since the start: what did not show itself is over.
    pub(super) fn settle(&mut self, out: &mut Vec<Change>) {
        let gone = |case: &&Case| case.restored && case.alert.is_live();
        let gone: Vec<Arc<str>> = self.cases.values().filter(gone).map(|case| Arc::clone(&case.alert.id)).collect();
        for id in gone {
            self.resolve(&id, "not seen since the restart", None, out);
        }
    }

    /// Forgets what is older, or more, than is kept.
    pub(super) fn forget_old(&mut self) {
        let keep_for = self.settings.keep_resolved_for;
        let too_many = |desk: &Self| desk.resolved.len() > desk.settings.keep_resolved;
        while let Some((at, _)) = self.resolved.first()
            && (*at + keep_for <= self.clock || too_many(self))
            && let Some((_, id)) = self.resolved.pop_first()
        {
            if let Some(case) = self.cases.remove(&id)
                && self.newest.get(&case.alert.key) == Some(&id)
            {
                self.newest.remove(&case.alert.key);
            }
            self.dirty.forgotten(&id);
        }
        let at = self.resolved.first().map(|(at, _)| *at + keep_for);
        let before = mem::replace(&mut self.retention_at, at);
        self.arm(Timer::Retention, before, at);
    }

    /// Mutes came, went or ended, or a window began or ended.
    pub(super) fn mutes_changed(&mut self, out: &mut Vec<Change>) {
        let ended: Vec<Arc<str>> =
            self.mutes.values().filter(|mute| mute.until <= self.clock).map(|mute| Arc::clone(&mute.id)).collect();
        for id in ended {
            self.mutes.remove(&id);
            self.dirty.mute(&id);
        }
        let edges = self.settings.maintenance.iter().filter_map(|plan| plan.window.next_edge(self.clock));
        let at = self.mutes.values().map(|mute| mute.until).chain(edges).min();
        let before = mem::replace(&mut self.mutes_at, at);
        self.arm(Timer::Mutes, before, at);
        let live: Vec<Arc<str>> =
            self.cases.values().filter(|case| case.alert.is_live()).map(|case| Arc::clone(&case.alert.id)).collect();
        for id in live {
            self.judge_mutes(&id, out);
        }
    }

    fn judge_mutes(&mut self, id: &Arc<str>, out: &mut Vec<Change>) {
        let Some(case) = self.cases.get(id) else { return };
        let before = case.alert.muted.clone();
        let after = self.muted_by(&case.alert);
        if before != after {
            self.edit(id, |_, _| ());
            match (before, after) {
                (None, _) => self.emit(id, Why::Muted, None, out),
                (_, None) => self.emit(id, Why::Unmuted, None, out),
                _ => {}
            }
        }
    }

    /// Why nobody is to be told of `alert` now; `None`: people are.
    fn muted_by(&self, alert: &Alert) -> Option<String> {
        let mute = self.mutes.values().find(|mute| mute.until > self.clock && mute.scope.covers(alert));
        let plan = || {
            let mut plans = self.settings.maintenance.iter();
            plans.find(|plan| plan.window.holds(self.clock) && plan.scope.covers(alert))
        };
        mute.map(|mute| mute.reason.clone()).or_else(|| plan().map(|plan| plan.name.clone()))
    }

    /// Changes an alert; whether it is muted is judged anew.
    pub(super) fn edit<T>(&mut self, id: &Arc<str>, change: impl FnOnce(&mut Alert, Timestamp) -> T) -> Option<T> {
        let mut alert = Alert::clone(&self.cases.get(id)?.alert);
        let changed = change(&mut alert, self.clock);
        alert.muted = self.muted_by(&alert);
        let case = self.cases.get_mut(id)?;
        case.alert = Arc::new(alert);
        let size = |alert: &Alert| (alert.severity, alert.member_count);
        if case.alert.is_live() && size(&case.alert) >= size(&case.peak) {
            case.peak = Arc::clone(&case.alert);
        }
        self.dirty.quietly_changed(id);
        Some(changed)
    }

    fn compose(&mut self, key: &Fingerprint) -> Option<Words> {
        let group = self.groups.get_mut(key)?;
        let old = self.newest.get(key).and_then(|id| self.cases.get(id)).map(|case| &*case.alert);
        Words::of(key, group, &self.findings, old)
    }
}

/// Whether two states of an alert say the same to a reader.
fn same_words(one: &Alert, other: &Alert) -> bool {
    let small = |alert: &Alert| (alert.severity, alert.state, alert.prefix, alert.member_count);
    small(one) == small(other)
        && one.summary == other.summary
        && one.why == other.why
        && one.asns == other.asns
        && one.neighbors == other.neighbors
        && one.members == other.members
        && one.evidence == other.evidence
}
