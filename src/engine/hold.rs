//! Import waits for RPKI: after a start, what neighbours send is kept and neither judged by policy nor selected before
//! every source of RPKI data has answered once, or the operator's patience is over. Without it the first routes would be
//! taken as not found or not checked, chosen and sent on, and taken back seconds later.
//!
//! Sessions come up meanwhile and nothing is asked for twice: Adj-RIB-In has what came, marked as not usable for this
//! reason. When the wait is over all of it is judged by the walk of `background`, and only behind that walk anything is
//! sent, End-of-RIB included: a neighbour that kept our routes over a restart would drop them at it (RFC 4724 §4.2).

use crate::types::Timestamp;

use super::{Action, Engine, background::Job, sessions::Slot};

/// What import waits for; by default nothing.
#[derive(Debug, Default)]
pub struct Hold {
    /// Sources that have not answered, by name.
    awaited: Vec<String>,
    /// Longest wait; `None`: import waits for nothing.
    until: Option<Timestamp>,
    /// The wait is over, and what came meanwhile is being judged.
    catching_up: bool,
}

impl Hold {
    /// When the wait is over at the latest.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Whether nothing must be sent yet.
    pub fn keeps_silent(&self) -> bool {
        self.until.is_some() || self.catching_up
    }
}

impl Engine {
    /// Import waits for these sources from now on.
    pub(super) fn hold_import(&mut self, sources: Vec<String>, until: Timestamp) {
        if !sources.is_empty() {
            self.judge.held = true;
            self.hold = Hold { awaited: sources, until: Some(until), catching_up: false };
        }
    }

    /// A source has its data, or is not waited for any more.
    pub(super) fn source_answered(&mut self, name: &str, out: &mut Vec<Action>) {
        self.hold.awaited.retain(|awaited| awaited != name);
        if self.hold.until.is_some() && self.hold.awaited.is_empty() {
            out.push(Action::Note("every RPKI source has answered: import goes on".to_owned()));
            self.release_import();
        }
    }

    /// Ends the wait when its time is over.
    pub(super) fn end_hold(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.hold.until.is_some_and(|until| until <= now) {
            let missing = self.hold.awaited.join(", ");
            let text = format!("import goes on without the RPKI data of {missing}: the time of hold_import is over");
            out.push(Action::Note(text));
            self.release_import();
        }
    }

    /// Ends the silence when all that came during the wait is judged.
    pub(super) fn end_silence(&mut self) {
        self.hold.catching_up &= self.background.rejudges();
    }

    fn release_import(&mut self) {
        self.judge.held = false;
        self.hold = Hold { catching_up: true, ..Hold::default() };
        let slots: Vec<Slot> = self.sessions.live().map(|(slot, _)| slot).collect();
        slots.into_iter().for_each(|slot| self.background.add(Job::Rejudge(slot)));
    }
}
