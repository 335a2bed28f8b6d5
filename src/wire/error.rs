//! Faults on the wire and what they cost: the outcome ladder of RFC 7606 §2 and the NOTIFICATION of RFC 4271 §6.

use std::fmt;

/// What a fault costs (RFC 7606 §2), weakest first; the strongest one found in an UPDATE wins (§3 h).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ErrorAction {
    /// The attribute is dropped, the UPDATE goes on.
    AttributeDiscard,
    /// Every route in the UPDATE is handled as withdrawn.
    TreatAsWithdraw,
    /// The session ends with a NOTIFICATION.
    SessionReset,
}

/// A NOTIFICATION to send or received (RFC 4271 §4.5): code, subcode and diagnostic data.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NotificationCode {
    /// Error code (RFC 4271 §4.5).
    pub code: u8,
    /// Error subcode; 0 is "unspecific".
    pub subcode: u8,
}

/// One fault found while decoding: where, what, which clause, and what it costs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Octet offset from the start of the message (the header's first octet is 0).
    pub at: usize,
    /// The path attribute at fault, if it is one.
    pub attribute: Option<u8>,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// The clause that decides, such as `RFC 7606 §7.1`.
    pub rfc: &'static str,
    /// What it costs.
    pub action: ErrorAction,
    /// For a session reset: what the peer is told.
    pub notification: Option<NotificationCode>,
    /// Diagnostic data of the NOTIFICATION (RFC 4271 §6).
    pub data: Vec<u8>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at octet {} ({})", self.what, self.at, self.rfc)
    }
}

impl std::error::Error for Fault {}
