//! Faults found in one UPDATE: what is reported, and which of them decides (RFC 7606 §3 h).

use crate::wire::{
    bgp::attribute::{name, table::subcode},
    error::{ErrorAction, Fault, NotificationCode},
};

/// Faults reported for one UPDATE. A message has room for twenty thousand; whoever wants to fill the log with
/// them is not served.
const FAULTS_MAX: usize = 16;

/// Octets of an attribute that a NOTIFICATION quotes at most: it must fit 4096 octets itself (RFC 8654 §5).
const QUOTED_MAX: usize = 4096 - 21;

/// A fault before it is written down.
#[derive(Clone, Copy)]
pub(super) struct Note<'n> {
    pub(super) action: ErrorAction,
    pub(super) attribute: Option<u8>,
    pub(super) at: usize,
    pub(super) rfc: &'static str,
    /// Follows the name of the attribute, if it is about one.
    pub(super) what: &'n str,
}

/// The error that costs most, the first of its kind.
#[derive(Clone, Copy)]
pub(super) struct Worst {
    pub(super) action: ErrorAction,
    pub(super) attribute: Option<u8>,
    pub(super) at: usize,
    pub(super) subcode: u8,
}

/// The faults of one message.
pub(super) struct Ledger<'s> {
    faults: &'s mut Vec<Fault>,
    before: usize,
    outcome: Option<ErrorAction>,
    worst: Option<Worst>,
}

impl<'s> Ledger<'s> {
    /// Reports go behind those that `faults` holds already.
    pub(super) fn new(faults: &'s mut Vec<Fault>) -> Self {
        Self { before: faults.len(), faults, outcome: None, worst: None }
    }

    /// The strongest outcome so far; `None`: nothing wrong.
    #[inline]
    pub(super) fn outcome(&self) -> Option<ErrorAction> {
        self.outcome
    }

    /// The worst error; what the operator does not want is none.
    pub(super) fn worst(&self) -> Option<Worst> {
        self.worst
    }

    /// Notes an error of the sender.
    #[cold]
    pub(super) fn error(&mut self, note: Note<'_>, subcode: u8) {
        let Note { action, attribute, at, .. } = note;
        if self.worst.is_none_or(|worst| action > worst.action) {
            self.worst = Some(Worst { action, attribute, at, subcode });
        }
        self.report(note);
    }

    /// Notes what the operator does not want. The sender did nothing wrong, so this never ends a session.
    #[cold]
    pub(super) fn unwanted(&mut self, action: ErrorAction, code: u8, at: usize, what: &str) {
        self.report(Note { action, attribute: Some(code), at, rfc: "local rule", what });
    }

    fn report(&mut self, note: Note<'_>) {
        let stronger = self.outcome.is_none_or(|outcome| note.action > outcome);
        if stronger {
            self.outcome = Some(note.action);
        }
        let full = self.faults.len() - self.before >= FAULTS_MAX;
        if full && stronger {
            self.faults.pop();
        } else if full {
            return;
        }
        let what = sentence(note.attribute, note.what);
        let fault = match note.action {
            ErrorAction::AttributeDiscard => Fault::discard(note.at, note.rfc, what),
            _ => Fault::withdraw(note.at, note.rfc, what),
        };
        self.faults.push(Fault { attribute: note.attribute, ..fault });
    }
}

fn sentence(attribute: Option<u8>, what: &str) -> String {
    attribute.map_or_else(|| what.to_owned(), |code| format!("{}: {what}", name(code)))
}

/// An error that ends the session: 3/`subcode`, with the attribute's octets as data.
#[cold]
pub(super) fn reset(
    subcode: u8,
    attribute: Option<u8>,
    at: usize,
    rfc: &'static str,
    what: &str,
    octets: &[u8],
) -> Fault {
    let quoted = octets.get(..octets.len().min(QUOTED_MAX)).unwrap_or_default();
    let fault = Fault::reset(NotificationCode::new(3, subcode), at, rfc, sentence(attribute, what)).with_data(quoted);
    Fault { attribute, ..fault }
}

/// An error in an MP attribute that loses routes: 3/9 (RFC 4760 §7).
#[cold]
pub(super) fn mp_reset(code: u8, at: usize, rfc: &'static str, what: &str, octets: &[u8]) -> Fault {
    reset(subcode::OPTIONAL, Some(code), at, rfc, what, octets)
}
