//! What explains other findings: while a watched prefix is hijacked or leaked, that it flaps, is seen by fewer neighbours or
//! in new parts is what the event does to it, and no alert of its own. For a while after the end, too: routes come back
//! one by one.
//!
//! Nothing may be hidden that way: an event explains nothing graver than itself, and only what is there while the event
//! moves. A prefix that vanishes hours after a hijack of it settled has vanished.

use std::{collections::BTreeMap, time::Duration};

use super::{Board, Finding, Fingerprint, Kind, Severity};
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
    moved_at: Timestamp,
    /// It is over, and explains what is seen until then.
    until: Option<Timestamp>,
}

impl Event {
    /// An event that `support` paths show.
    pub(super) fn new(cause: Fingerprint, severity: Severity, support: usize) -> Self {
        Self { cause, severity, support, moved_at: Timestamp::default(), until: None }
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
        Some(Self::new(cause, event.severity, event.neighbors.len()))
    }

    /// Whether it was over a moment ago.
    pub fn is_over(&self) -> bool {
        self.until.is_some()
    }
}

/// Events by prefix.
#[derive(Debug, Default)]
pub struct Events(BTreeMap<Prefix, Event>);

impl Events {
    /// Whether an event goes on with `prefix`: what is seen of it now is not how it should be.
    pub fn goes_on(&self, prefix: Prefix) -> bool {
        self.0.get(&prefix).is_some_and(|event| !event.is_over())
    }

    /// The event that explains a finding of this severity about `prefix` that begins now.
    pub fn explains(&self, now: Timestamp, prefix: Prefix, severity: Severity) -> Option<&Event> {
        let moves = |event: &&Event| event.is_over() || now.since(event.moved_at) < MOVES;
        self.0.get(&prefix).filter(|event| event.severity >= severity).filter(moves)
    }

    /// An event that shows before the scene is looked at; one that goes on stays.
    pub(super) fn begin(&mut self, now: Timestamp, prefix: Prefix, event: &Event) {
        if !self.goes_on(prefix) {
            self.set(now, prefix, Some(event.clone()));
        }
    }

    /// What a scene shows now; whether an event ended.
    pub(super) fn set(&mut self, now: Timestamp, prefix: Prefix, event: Option<Event>) -> bool {
        let before = self.0.get_mut(&prefix);
        match (event, before) {
            (Some(event), Some(before)) if before.cause == event.cause && before.support == event.support => {
                (before.severity, before.until) = (event.severity, None);
                false
            }
            (Some(event), _) => {
                self.0.insert(prefix, Event { moved_at: now, ..event });
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
        self.0.values().filter_map(|event| event.until).min()
    }

    /// Forgets events that have been over long enough; their prefixes speak for themselves from now on.
    pub(super) fn forget(&mut self, now: Timestamp) -> Vec<Prefix> {
        let old = |event: &Event| event.until.is_some_and(|until| until <= now);
        let gone: Vec<Prefix> = self.0.iter().filter(|(_, event)| old(event)).map(|(prefix, _)| *prefix).collect();
        gone.iter().for_each(|prefix| drop(self.0.remove(prefix)));
        gone
    }

    /// Puts what is explained by an event of its prefix under the event's alert, and leaves there what was.
    pub(super) fn explain(&self, now: Timestamp, prefix: Prefix, findings: &mut [Finding], board: &Board) {
        let Some(event) = self.0.get(&prefix) else { return };
        // What is the event itself has its cause already.
        let other =
            |finding: &&mut Finding| is_symptom(finding.key.kind) && finding.cause.as_ref() != Some(&event.cause);
        for finding in findings.iter_mut().filter(other) {
            let was = board.get(&finding.key);
            let stays = was.is_some_and(|was| {
                was.symptom && was.cause.as_ref() == Some(&event.cause) && was.severity >= finding.severity
            });
            let explained = self.explains(now, prefix, finding.severity).is_some();
            if event.severity >= finding.severity && (stays || explained) {
                finding.cause = Some(event.cause.clone());
                finding.symptom = true;
            }
        }
    }
}

/// Kinds of what an event does to its prefix.
fn is_symptom(kind: Kind) -> bool {
    matches!(kind, Kind::Visibility | Kind::NewPrefix | Kind::FirstHop | Kind::RpkiInvalid)
}
