//! Faults on the wire and what they cost: the outcome ladder of RFC 7606 §2 and the NOTIFICATION that tells the
//! peer (RFC 4271 §6). Decoders build faults here; which clause asks for which outcome stands beside each check.

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

/// Error code and subcode of a NOTIFICATION (RFC 4271 §4.5); subcode 0 is "unspecific".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NotificationCode {
    /// Error code.
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
}

impl NotificationCode {
    /// 1/1 Connection Not Synchronized (RFC 4271 §6.1).
    pub const NOT_SYNCHRONIZED: Self = Self::new(1, 1);
    /// 1/2 Bad Message Length; the data is the length field.
    pub const BAD_MESSAGE_LENGTH: Self = Self::new(1, 2);
    /// 1/3 Bad Message Type; the data is the type octet.
    pub const BAD_MESSAGE_TYPE: Self = Self::new(1, 3);
    /// 2/0 OPEN Message Error, unspecific: malformed optional parameters (RFC 4271 §6.2).
    pub const OPEN_UNSPECIFIC: Self = Self::new(2, 0);
    /// 2/1 Unsupported Version Number; the data is the version we speak, two octets.
    pub const UNSUPPORTED_VERSION: Self = Self::new(2, 1);
    /// 2/2 Bad Peer AS.
    pub const BAD_PEER_AS: Self = Self::new(2, 2);
    /// 2/3 Bad BGP Identifier.
    pub const BAD_BGP_IDENTIFIER: Self = Self::new(2, 3);
    /// 2/4 Unsupported Optional Parameter.
    pub const UNSUPPORTED_PARAMETER: Self = Self::new(2, 4);
    /// 2/6 Unacceptable Hold Time.
    pub const UNACCEPTABLE_HOLD_TIME: Self = Self::new(2, 6);
    /// 2/7 Unsupported Capability (RFC 5492 §5); the data is the capabilities.
    pub const UNSUPPORTED_CAPABILITY: Self = Self::new(2, 7);
    /// 2/11 Role Mismatch (RFC 9234 §4.2).
    pub const ROLE_MISMATCH: Self = Self::new(2, 11);
    /// 3/1 Malformed Attribute List (RFC 4271 §6.3).
    pub const MALFORMED_ATTRIBUTE_LIST: Self = Self::new(3, 1);
    /// 3/9 Optional Attribute Error; the data is the attribute.
    pub const OPTIONAL_ATTRIBUTE_ERROR: Self = Self::new(3, 9);
    /// 3/10 Invalid Network Field.
    pub const INVALID_NETWORK_FIELD: Self = Self::new(3, 10);
    /// 4/0 Hold Timer Expired (RFC 4271 §6.5).
    pub const HOLD_TIMER_EXPIRED: Self = Self::new(4, 0);
    /// 5/1 Unexpected message in OpenSent (RFC 6608 §3).
    pub const UNEXPECTED_IN_OPEN_SENT: Self = Self::new(5, 1);
    /// 5/2 Unexpected message in OpenConfirm (RFC 6608 §3).
    pub const UNEXPECTED_IN_OPEN_CONFIRM: Self = Self::new(5, 2);
    /// 5/3 Unexpected message in Established (RFC 6608 §3).
    pub const UNEXPECTED_IN_ESTABLISHED: Self = Self::new(5, 3);
    /// 7/1 Invalid ROUTE-REFRESH Message Length (RFC 7313 §5); the data is the whole message.
    pub const INVALID_REFRESH_LENGTH: Self = Self::new(7, 1);
    /// 8/0 Send Hold Timer Expired (RFC 9687 §6).
    pub const SEND_HOLD_TIMER_EXPIRED: Self = Self::new(8, 0);

    /// The pair `code`/`subcode`.
    pub const fn new(code: u8, subcode: u8) -> Self {
        Self { code, subcode }
    }
}

impl fmt::Display for NotificationCode {
    /// As written in RFCs and logs: `3/10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.code, self.subcode)
    }
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

impl Fault {
    /// A fault that ends the session with the NOTIFICATION `code`.
    pub fn reset(code: NotificationCode, at: usize, rfc: &'static str, what: impl Into<String>) -> Self {
        Self::new(ErrorAction::SessionReset, Some(code), at, rfc, what.into())
    }

    /// A fault that turns every route of the UPDATE into a withdrawal.
    pub fn withdraw(at: usize, rfc: &'static str, what: impl Into<String>) -> Self {
        Self::new(ErrorAction::TreatAsWithdraw, None, at, rfc, what.into())
    }

    /// A fault that costs the attribute only.
    pub fn discard(at: usize, rfc: &'static str, what: impl Into<String>) -> Self {
        Self::new(ErrorAction::AttributeDiscard, None, at, rfc, what.into())
    }

    fn new(
        action: ErrorAction,
        notification: Option<NotificationCode>,
        at: usize,
        rfc: &'static str,
        what: String,
    ) -> Self {
        Self { at, attribute: None, what, rfc, action, notification, data: Vec::new() }
    }

    /// Names the path attribute at fault.
    pub fn in_attribute(mut self, code: u8) -> Self {
        self.attribute = Some(code);
        self
    }

    /// Sets the diagnostic data for the peer.
    pub fn with_data(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.data = data.into();
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at octet {} ({})", self.what, self.at, self.rfc)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_outcome_is_the_greatest() {
        // RFC 7606 §3 h.
        assert!(ErrorAction::SessionReset > ErrorAction::TreatAsWithdraw);
        assert!(ErrorAction::TreatAsWithdraw > ErrorAction::AttributeDiscard);
    }

    #[test]
    fn a_fault_reads_as_what_where_and_why() {
        let fault = Fault::withdraw(23, "RFC 7606 §7.1", "ORIGIN of 2 octets").in_attribute(1);
        assert_eq!(fault.to_string(), "ORIGIN of 2 octets at octet 23 (RFC 7606 §7.1)");
        assert_eq!((fault.action, fault.attribute, fault.notification), (ErrorAction::TreatAsWithdraw, Some(1), None));
        let fault = Fault::reset(NotificationCode::BAD_MESSAGE_TYPE, 18, "RFC 4271 §6.1", "type 9").with_data([9]);
        assert_eq!(fault.notification.map(|code| code.to_string()).as_deref(), Some("1/3"));
        assert_eq!(fault.data, [9]);
    }
}
