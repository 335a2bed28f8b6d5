//! What explains other findings: while a watched prefix is hijacked or leaked, that it flaps, is seen by fewer neighbours or
//! in new parts is what the event does to it, and no alert of its own. For a while after the end, too: routes come back
//! one by one.

use std::{collections::BTreeMap, time::Duration};

use super::{Finding, Fingerprint, Kind};
use crate::types::{Prefix, Timestamp};

/// How long after its end an event explains what its prefix shows: path hunting and slow peers take minutes.
const LINGER: Duration = Duration::from_secs(300);

/// What goes on with a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// An event goes on: the key of its alert.
    On(&'a Fingerprint),
    /// One was over a moment ago.
    Over(&'a Fingerprint),
}

/// Events by prefix.
#[derive(Debug, Default)]
pub struct Events(BTreeMap<Prefix, (Fingerprint, Option<Timestamp>)>);

impl Events {
    /// What goes on with `prefix`; `None`: nothing.
    pub fn get(&self, prefix: Prefix) -> Option<Event<'_>> {
        self.0.get(&prefix).map(|(cause, until)| match until {
            None => Event::On(cause),
            Some(_) => Event::Over(cause),
        })
    }

    /// What a scene shows now; whether an event ended.
    pub(super) fn set(&mut self, now: Timestamp, prefix: Prefix, cause: Option<Fingerprint>) -> bool {
        if let Some(cause) = cause {
            self.0.insert(prefix, (cause, None));
            return false;
        }
        match self.0.get_mut(&prefix) {
            Some((_, until @ None)) => {
                *until = Some(now + LINGER);
                true
            }
            _ => false,
        }
    }

    /// When `forget` has something to do.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.0.values().filter_map(|(_, until)| *until).min()
    }

    /// Forgets events that have been over long enough; their prefixes speak for themselves from now on.
    pub(super) fn forget(&mut self, now: Timestamp) -> Vec<Prefix> {
        let old = |until: &Option<Timestamp>| until.is_some_and(|until| until <= now);
        let gone: Vec<Prefix> = self.0.iter().filter(|(_, (_, until))| old(until)).map(|(prefix, _)| *prefix).collect();
        gone.iter().for_each(|prefix| drop(self.0.remove(prefix)));
        gone
    }

    /// Puts what is explained by an event of its prefix under the event's alert.
    pub(super) fn explain(&self, prefix: Prefix, findings: &mut [Finding]) {
        let Some(Event::On(cause) | Event::Over(cause)) = self.get(prefix) else { return };
        for finding in findings.iter_mut().filter(|finding| is_symptom(finding.key.kind)) {
            finding.cause = Some(cause.clone());
            finding.symptom = true;
        }
    }
}

/// The cause of the event that findings of a scene are, if they are one.
pub(super) fn cause_of(findings: &[Finding]) -> Option<Fingerprint> {
    let is_event =
        |kind| matches!(kind, Kind::OriginHijack | Kind::SubprefixHijack | Kind::Squatting | Kind::RouteLeak);
    let event = findings.iter().filter(|finding| is_event(finding.key.kind)).max_by_key(|finding| finding.severity)?;
    Some(event.cause.as_ref().unwrap_or(&event.key).clone())
}

/// Kinds of what an event does to its prefix.
fn is_symptom(kind: Kind) -> bool {
    matches!(kind, Kind::Visibility | Kind::NewPrefix | Kind::FirstHop | Kind::RpkiInvalid)
}
