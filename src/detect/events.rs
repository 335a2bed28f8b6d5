//! What explains other findings: while a watched prefix is hijacked or leaked, that it flaps, is seen by fewer neighbours or
//! in new parts is what the event does to it, and no alert of its own. For a while after the end, too: routes come back
//! one by one.
//!
//! Nothing may be hidden that way: an event explains nothing graver than itself, and only what is there while the event
//! moves. A prefix that vanishes hours after a hijack of it settled has vanished. But who shows the hijack and has the right
//! route no more has lost nothing else, however grave that is: the alert becomes as grave.
//!
//! One path can be wrong in several ways, too, and that is one event: a leak that relations, OTC, ASPA and peerlock all show; a
//! forged first hop that is a neighbour nobody declared; a session whose number of prefixes jumps because its neighbour leaks.
//! Of what is found together the strongest evidence has the alert (the graver, then the higher score), and the others stand
//! under it. What was told first keeps its alert, whatever comes later, and over a restart: an alert keeps its id.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    Board, Finding, Fingerprint, Kind, Severity,
    memory::{self, Memory},
    paths::new_neighbor,
};
use crate::types::{Prefix, Timestamp};

/// How long after its end an event explains what its prefix shows: path hunting and slow peers take minutes.
const LINGER: Duration = Duration::from_secs(300);
/// How long after more or fewer neighbours showed it an event explains what begins.
const MOVES: Duration = Duration::from_secs(900);

/// What goes on with a prefix, or did a moment ago.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Key of its alert.
    pub cause: Fingerprint,
    severity: Severity,
    /// How many paths show it.
    support: usize,
    /// Neighbours that show a wrong origin instead of the right one.
    instead: BTreeSet<Arc<str>>,
    moved_at: Timestamp,
    /// It is over, and explains what is seen until then.
    until: Option<Timestamp>,
}

impl Event {
    /// An event that `support` paths show.
    pub(super) fn new(cause: Fingerprint, severity: Severity, support: usize) -> Self {
        Self { cause, severity, support, instead: BTreeSet::new(), moved_at: Timestamp::default(), until: None }
    }

    /// The event that findings of a scene are, if they are one.
    pub(super) fn of(findings: &[Finding]) -> Option<Self> {
        let rank = |kind| match kind {
            Kind::OriginHijack | Kind::SubprefixHijack | Kind::Squatting => 3,
            Kind::RouteLeak => 2,
            Kind::FirstHop => 1,
            _ => 0,
        };
        let events = findings.iter().filter(|finding| rank(finding.key.kind) > 0);
        let event = events.max_by_key(|finding| (rank(finding.key.kind), finding.severity))?;
        let cause = event.cause.as_ref().unwrap_or(&event.key).clone();
        let wrong = findings.iter().filter(|finding| finding.key.kind == Kind::OriginHijack);
        let instead = wrong.flat_map(|finding| finding.neighbors.iter().cloned()).collect();
        Some(Self { instead, ..Self::new(cause, event.severity, event.neighbors.len()) })
    }

    /// Whether all that a finding says is that neighbours show a wrong origin instead.
    fn is_all_of(&self, finding: &Finding) -> bool {
        finding.key.kind == Kind::Visibility
            && !finding.neighbors.is_empty()
            && finding.neighbors.iter().all(|name| self.instead.contains(name))
    }

    /// Whether it was over a moment ago.
    pub fn is_over(&self) -> bool {
        self.until.is_some()
    }
}

/// Events by prefix, and the alerts of causes that paths show.
#[derive(Debug, Default)]
pub struct Events {
    by_prefix: BTreeMap<Prefix, Event>,
    /// Causes that are told, or were at the end of the last run.
    told: BTreeMap<Fingerprint, Told>,
    /// The alert of causes that have the same culprit, by what they share, and how many are told.
    shared: BTreeMap<Fingerprint, (Fingerprint, usize)>,
}

/// A cause that is told.
#[derive(Debug)]
struct Told {
    /// The alert that it is in.
    home: Fingerprint,
    /// What it shares with causes of the same culprit; `None`: it is of the last run, and was not seen in this one.
    shared: Option<Fingerprint>,
    /// It was told in the last run.
    recalled: bool,
    severity: Severity,
    /// How many paths show it, by neighbour.
    paths: BTreeMap<Arc<str>, u64>,
}

impl Events {
    /// Whether an event goes on with `prefix`: what is seen of it now is not how it should be.
    pub fn goes_on(&self, prefix: Prefix) -> bool {
        self.by_prefix.get(&prefix).is_some_and(|event| !event.is_over())
    }

    /// The event that explains a finding of this severity about `prefix` that begins now.
    pub fn explains(&self, now: Timestamp, prefix: Prefix, severity: Severity) -> Option<&Event> {
        let moves = |event: &&Event| event.is_over() || now.since(event.moved_at) < MOVES;
        self.by_prefix.get(&prefix).filter(|event| event.severity >= severity).filter(moves)
    }

    /// An event that shows before the scene is looked at; one that goes on stays.
    pub(super) fn begin(&mut self, now: Timestamp, prefix: Prefix, event: &Event) {
        if !self.goes_on(prefix) {
            self.set(now, prefix, Some(event.clone()));
        }
    }

    /// What a scene shows now; whether an event ended.
    pub(super) fn set(&mut self, now: Timestamp, prefix: Prefix, event: Option<Event>) -> bool {
        let before = self.by_prefix.get_mut(&prefix);
        match (event, before) {
            (Some(event), Some(before)) if before.cause == event.cause && before.support == event.support => {
                (before.severity, before.instead, before.until) = (event.severity, event.instead, None);
                false
            }
            (Some(event), _) => {
                self.by_prefix.insert(prefix, Event { moved_at: now, ..event });
                false
            }
            (None, Some(Event { until: until @ None, .. })) => {
                *until = Some(now + LINGER);
                true
            }
            (None, _) => false,
        }
    }

    /// When `forget` has something to do.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.by_prefix.values().filter_map(|event| event.until).min()
    }

    /// Forgets events that have been over long enough; their prefixes speak for themselves from now on.
    pub(super) fn forget(&mut self, now: Timestamp) -> Vec<Prefix> {
        let old = |event: &Event| event.until.is_some_and(|until| until <= now);
        let gone: Vec<Prefix> =
            self.by_prefix.iter().filter(|(_, event)| old(event)).map(|(prefix, _)| *prefix).collect();
        gone.iter().for_each(|prefix| drop(self.by_prefix.remove(prefix)));
        gone
    }

    /// The alert of a cause that begins to be told, is linked to these others by a path that shows both, and has `shared` in
    /// common with those of the same culprit.
    pub(super) fn home<'a>(
        &self,
        key: &Fingerprint,
        shared: &Fingerprint,
        mut links: impl Iterator<Item = &'a Fingerprint>,
    ) -> Fingerprint {
        let own = self.told.get(key).map(|told| &told.home);
        let of_culprit = || self.shared.get(shared).map(|(home, _)| home);
        let linked = || links.find_map(|link| self.told.get(link).map(|told| &told.home));
        own.or_else(of_culprit).or_else(linked).unwrap_or(shared).clone()
    }

    /// A cause is told in the alert `home`, or told again.
    pub(super) fn tell(
        &mut self,
        finding: &Finding,
        (home, shared): (&Fingerprint, &Fingerprint),
        paths: BTreeMap<Arc<str>, u64>,
    ) {
        let recalled = self.was_told(&finding.key);
        let told =
            Told { home: home.clone(), shared: Some(shared.clone()), recalled, severity: finding.severity, paths };
        if self.told.insert(finding.key.clone(), told).is_none_or(|before| before.shared.is_none()) {
            self.shared.entry(shared.clone()).or_insert((home.clone(), 0)).1 += 1;
        }
    }

    /// A cause is not told any more.
    pub(super) fn tell_no_more(&mut self, key: &Fingerprint) {
        let Some(shared) = self.told.remove(key).and_then(|told| told.shared) else { return };
        if let Some((_, count)) = self.shared.get_mut(&shared) {
            *count -= 1;
            if *count == 0 {
                self.shared.remove(&shared);
            }
        }
    }

    /// Whether its alert was settled in the last run.
    pub(super) fn was_told(&self, key: &Fingerprint) -> bool {
        self.told.get(key).is_some_and(|told| told.recalled)
    }

    /// Everything was seen once: what was told in the last run only is over.
    pub(super) fn settled(&mut self) {
        self.told.retain(|_, told| told.shared.is_some());
    }

    /// The alert of leaks that at least so many paths from a neighbour show, if it is there to be looked at.
    pub fn leak_at(&self, neighbor: &Arc<str>, paths_min: u64) -> Option<&Fingerprint> {
        // Several ways to see one leak are not several leaks.
        let mut by_kind: BTreeMap<(&Fingerprint, Kind), u64> = BTreeMap::new();
        for (key, told) in self.told.iter().filter(|(key, told)| is_leak(key.kind) && told.severity > Severity::Info) {
            *by_kind.entry((&told.home, key.kind)).or_default() +=
                told.paths.get(neighbor).copied().unwrap_or_default();
        }
        let enough = by_kind.into_iter().filter(|(_, paths)| *paths >= paths_min);
        enough.max_by_key(|(_, paths)| *paths).map(|((home, _), _)| home)
    }

    /// Puts forged first hops that are a neighbour which was told of before under its alert.
    pub(super) fn join_neighbors(&self, findings: &mut [Finding], board: &Board) {
        for finding in findings.iter_mut().filter(|finding| finding.key.kind == Kind::FirstHop) {
            let asn = |part| finding.asns.get(part).and_then(|asns| asns.first().copied());
            let (Some(origin), Some(hop)) = (asn("origin"), asn("observed")) else { continue };
            let key = new_neighbor::key(origin, hop, new_neighbor::Side::Upstream);
            let leads =
                self.told.get(&key).is_some_and(|told| told.home == key && (told.recalled || board.stands(&key)));
            // One that stands has its alert already.
            let stood = board.get(&finding.key).and_then(|was| was.cause.as_ref());
            if leads && stood.is_none_or(|cause| *cause == key) {
                finding.cause = Some(key);
            }
        }
    }

    /// What must be known in the next run.
    pub(super) fn memory(&self) -> (&'static str, Value) {
        let pair = |(key, told): (&Fingerprint, &Told)| {
            json!([memory::fingerprint_value(key), memory::fingerprint_value(&told.home)])
        };
        ("events", self.told.iter().map(pair).collect())
    }

    /// Takes what was known in the last run.
    pub(super) fn recall(&mut self, memory: &Memory) {
        let told = |record: &Value| {
            let (key, home) = (memory::fingerprint(&record[0])?, memory::fingerprint(&record[1])?);
            Some((key, Told { home, shared: None, recalled: true, severity: Severity::Info, paths: BTreeMap::new() }))
        };
        self.told.extend(memory::records(memory, "events").filter_map(told));
    }

    /// Puts what is explained by an event of its prefix under the event's alert, and leaves there what was.
    pub(super) fn explain(&self, now: Timestamp, prefix: Prefix, findings: &mut [Finding], board: &Board) {
        let Some(event) = self.by_prefix.get(&prefix) else { return };
        // What is the event itself has its cause already.
        let other =
            |finding: &&mut Finding| is_symptom(finding.key.kind) && finding.cause.as_ref() != Some(&event.cause);
        for finding in findings.iter_mut().filter(other) {
            let was = board.get(&finding.key);
            let stays = was.is_some_and(|was| {
                was.symptom && was.cause.as_ref() == Some(&event.cause) && was.severity >= finding.severity
            });
            let explained = self.explains(now, prefix, finding.severity).is_some();
            if event.is_all_of(finding) || event.severity >= finding.severity && (stays || explained) {
                finding.cause = Some(event.cause.clone());
                finding.symptom = true;
            }
        }
    }
}

/// Kinds that say of a path that an AS passed on what it may not.
pub(super) fn is_leak(kind: Kind) -> bool {
    matches!(kind, Kind::RouteLeak | Kind::Otc | Kind::Peerlock | Kind::AspaInvalid)
}

/// Kinds of what an event does to its prefix.
fn is_symptom(kind: Kind) -> bool {
    matches!(kind, Kind::Visibility | Kind::NewPrefix | Kind::FirstHop | Kind::RpkiInvalid)
}
