//! Findings as the desk follows them: hold times, and which alert each belongs to.

use std::{collections::BTreeSet, mem, sync::Arc};

use super::{Case, Desk, Timer};
use crate::{
    alert::{Alert, Change},
    detect::{Finding, Fingerprint, Hold, Severity},
    types::{Prefix, Timestamp},
};

/// Subject of the alert for all findings of a kind that came when too many alerts of it were open.
const STORM: &str = "many at once";

/// Where a finding stands.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// Not long enough to be told.
    Pending(Timestamp),
    /// A part of its alert.
    Standing,
    /// Gone, not long enough to be over.
    Clearing(Timestamp, String),
}

/// A finding.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    phase: Phase,
    /// Key of the alert that it belongs to.
    home: Fingerprint,
    hold: Hold,
    first_seen: Timestamp,
    pub(super) severity: Severity,
    pub(super) prefix: Option<Prefix>,
    pub(super) member_count: u64,
    /// It is no member.
    pub(super) symptom: bool,
    /// All of it; not kept of most members of a large group.
    pub(super) body: Option<Arc<Finding>>,
}

impl Tracked {
    fn renew(&mut self, finding: Finding) {
        self.severity = finding.severity;
        self.prefix = finding.prefix;
        self.member_count = finding.member_count;
        self.symptom = finding.symptom;
        self.body = Some(Arc::new(finding));
    }

    /// How many things it is about, as a part of alert `home`.
    fn weight(&self, key: &Fingerprint) -> u64 {
        match () {
            () if self.symptom => 0,
            () if self.home == *key => self.member_count,
            () => self.member_count.max(1),
        }
    }
}

/// The findings of one alert.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) keys: BTreeSet<Fingerprint>,
    /// Those of which everything is kept.
    pub(super) bodies: BTreeSet<Fingerprint>,
    /// How many there are of each severity.
    severities: [usize; Severity::ALL.len()],
    /// How many only show what the cause does to others.
    pub(super) symptoms: usize,
    /// How many things they are about together.
    pub(super) members: u64,
    /// The one whose words the alert has.
    pub(super) shown: Option<Fingerprint>,
}

impl Group {
    /// Full bodies in a group: as many as an alert names, and a few that are graver.
    const BODIES_MAX: usize = Finding::MEMBERS_MAX;

    /// How grave the gravest is.
    pub(super) fn worst(&self) -> Option<Severity> {
        Severity::ALL.iter().copied().zip(self.severities).rfind(|(_, count)| *count > 0).map(|(each, _)| each)
    }

    fn add(&mut self, key: &Fingerprint, tracked: &mut Tracked) {
        let graver = self.worst().is_none_or(|worst| tracked.severity > worst);
        self.keys.insert(key.clone());
        self.severities[tracked.severity as usize] += 1;
        self.symptoms += usize::from(tracked.symptom);
        self.members += tracked.weight(key);
        if graver || *key == tracked.home || self.bodies.len() < Self::BODIES_MAX {
            self.bodies.insert(key.clone());
        } else {
            tracked.body = None;
        }
    }

    fn remove(&mut self, key: &Fingerprint, tracked: &Tracked) {
        self.keys.remove(key);
        self.bodies.remove(key);
        self.severities[tracked.severity as usize] -= 1;
        self.symptoms -= usize::from(tracked.symptom);
        self.members -= tracked.weight(key);
        if self.shown.as_ref() == Some(key) {
            self.shown = None;
        }
    }
}

impl Desk {
    /// A finding stands, on these observations.
    pub(super) fn stands(&mut self, finding: Finding, seen: Timestamp, out: &mut Vec<Change>) {
        let key = finding.key.clone();
        let Some(tracked) = self.findings.get(&key) else { return self.begin(finding, seen, out) };
        let home = self.home_of(&finding, Some(&tracked.home));
        let Some(tracked) = self.findings.get_mut(&key) else { return };
        match mem::replace(&mut tracked.phase, Phase::Standing) {
            Phase::Pending(until) => {
                tracked.phase = Phase::Pending(until);
                tracked.home = home.clone();
                tracked.renew(finding);
                if self.is_known(&home) {
                    self.arm(Timer::Hold(key.clone()), Some(until), None);
                    self.join(&key, Some(seen), out);
                }
                return;
            }
            Phase::Clearing(until, _) => self.arm(Timer::Hold(key.clone()), Some(until), None),
            Phase::Standing => {}
        }
        if self.findings.get(&key).is_some_and(|tracked| tracked.home == home) {
            self.regroup(&key, |tracked| tracked.renew(finding));
            return self.refresh(&home, Some(seen), out);
        }
        let how = format!("it is part of another alert now: {home}");
        if let Some(mut tracked) = self.detach(&key, &how, Some(seen), out) {
            tracked.home = home;
            tracked.renew(finding);
            self.findings.insert(key.clone(), tracked);
            self.join(&key, Some(seen), out);
        }
    }

    /// Whether an alert was told before a restart: its findings are no news and need not prove themselves again.
    fn is_known(&self, home: &Fingerprint) -> bool {
        self.newest_case(home).is_some_and(|case| case.restored && case.alert.is_live())
    }

    /// A finding that was not there before.
    fn begin(&mut self, finding: Finding, seen: Timestamp, out: &mut Vec<Change>) {
        let (key, home) = (finding.key.clone(), self.home_of(&finding, None));
        let hold = self.settings.hold(key.kind, finding.hold);
        let until = seen + if self.is_known(&home) { std::time::Duration::ZERO } else { hold.open };
        let mut tracked = Tracked {
            phase: Phase::Pending(until),
            home,
            hold,
            first_seen: seen,
            severity: finding.severity,
            prefix: finding.prefix,
            member_count: finding.member_count,
            symptom: finding.symptom,
            body: None,
        };
        tracked.renew(finding);
        self.findings.insert(key.clone(), tracked);
        if until > seen {
            self.arm(Timer::Hold(key), None, Some(until));
        } else {
            self.join(&key, Some(seen), out);
        }
    }

    /// A finding does not stand any more.
    pub(super) fn cleared(&mut self, key: &Fingerprint, how: String, seen: Timestamp, out: &mut Vec<Change>) {
        let Some(tracked) = self.findings.get_mut(key) else { return };
        match tracked.phase {
            Phase::Pending(until) => {
                self.findings.remove(key);
                self.arm(Timer::Hold(key.clone()), Some(until), None);
            }
            Phase::Standing if tracked.hold.resolve.is_zero() => {
                self.detach(key, &how, Some(seen), out);
            }
            Phase::Standing => {
                let until = seen + tracked.hold.resolve;
                tracked.phase = Phase::Clearing(until, how);
                self.arm(Timer::Hold(key.clone()), None, Some(until));
            }
            Phase::Clearing(..) => {}
        }
    }

    /// It stood, or was gone, long enough.
    pub(super) fn hold_is_over(&mut self, key: &Fingerprint, out: &mut Vec<Change>) {
        match self.findings.get(key).map(|tracked| &tracked.phase) {
            Some(Phase::Pending(_)) => self.join(key, None, out),
            Some(Phase::Clearing(_, how)) => {
                let how = how.clone();
                self.detach(key, &how, None, out);
            }
            Some(Phase::Standing) | None => {}
        }
    }

    /// Makes a finding a part of its alert, which opens if it is not there.
    fn join(&mut self, key: &Fingerprint, observed: Option<Timestamp>, out: &mut Vec<Change>) {
        let Some(tracked) = self.findings.get_mut(key) else { return };
        tracked.phase = Phase::Standing;
        let (home, first_seen) = (tracked.home.clone(), tracked.first_seen);
        self.groups.entry(home.clone()).or_default().add(key, tracked);
        match self.newest_case(&home) {
            Some(case) if case.alert.is_live() => self.refresh(&home, observed, out),
            Some(case) if self.is_back(&case.alert) => self.reopen(&home, observed, out),
            _ => self.open(home, first_seen, observed, out),
        }
    }

    /// Takes a finding out of its alert, which is over if it was the last one.
    fn detach(
        &mut self,
        key: &Fingerprint,
        how: &str,
        observed: Option<Timestamp>,
        out: &mut Vec<Change>,
    ) -> Option<Tracked> {
        let tracked = self.findings.remove(key)?;
        let group = self.groups.get_mut(&tracked.home)?;
        group.remove(key, &tracked);
        if group.keys.is_empty() {
            self.groups.remove(&tracked.home);
            if let Some(id) = self.newest.get(&tracked.home).cloned() {
                self.resolve(&id, how, observed, out);
            }
        } else {
            self.refresh(&tracked.home, observed, out);
        }
        Some(tracked)
    }

    /// Changes a finding that is in a group.
    fn regroup(&mut self, key: &Fingerprint, change: impl FnOnce(&mut Tracked)) {
        let Some(tracked) = self.findings.get_mut(key) else { return };
        let Some(group) = self.groups.get_mut(&tracked.home) else { return };
        let shown = group.shown.take();
        group.remove(key, tracked);
        change(tracked);
        group.add(key, tracked);
        group.shown = shown;
    }

    /// The key of the alert that a finding belongs to: its cause or itself, or the one for a storm.
    fn home_of(&self, finding: &Finding, current: Option<&Fingerprint>) -> Fingerprint {
        let own = finding.cause.as_ref().unwrap_or(&finding.key);
        let is_live = |key: &Fingerprint| self.newest_case(key).is_some_and(|case| case.alert.is_live());
        let storm = Fingerprint::new(own.kind, STORM);
        let in_storm = current == Some(&storm) || self.live.get(&own.kind).copied() >= Some(self.settings.storm);
        // A finding that waits has no alert to be live: it stays where it was going to.
        if is_live(own) || current == Some(own) || !in_storm { own.clone() } else { storm }
    }

    /// The newest alert of a key.
    pub(super) fn newest_case(&self, key: &Fingerprint) -> Option<&Case> {
        self.cases.get(self.newest.get(key)?)
    }

    /// Whether an alert that is over is the same one when it comes back now.
    fn is_back(&self, alert: &Alert) -> bool {
        alert.resolved_at.is_some_and(|at| self.clock.since(at) < self.settings.reopen_within)
    }
}
