//! NOTIFICATION (RFC 4271 §4.5): codec, names of all codes and subcodes, and the texts and numbers that some carry
//! (RFC 4486, RFC 8538, RFC 9003). When to send one is decided by faults (`wire::error`) and by the session.

use std::fmt;

use super::{HEADER_LEN, MAX_LEN, MessageType, begin_message, end_message};
use crate::{
    types::Family,
    wire::{
        cursor::{Reader, push_with_len8},
        cut_text,
        error::{Fault, NotificationCode},
        printable_text,
    },
};

const CEASE: u8 = 6;
const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
const ADMINISTRATIVE_RESET: u8 = 4;
const HARD_RESET: u8 = 9;
/// Longest Shutdown Communication (RFC 9003 §2).
const TEXT_LEN_MAX: usize = 255;

/// A NOTIFICATION message.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Notification {
    /// Error code.
    pub code: u8,
    /// Error subcode; 0 is "unspecific".
    pub subcode: u8,
    /// Diagnostic data.
    pub data: Vec<u8>,
}

impl Notification {
    /// One without data.
    pub fn new(code: NotificationCode) -> Self {
        Self { code: code.code, subcode: code.subcode, data: Vec::new() }
    }

    /// A Cease (RFC 4486) without data.
    pub fn cease(subcode: u8) -> Self {
        Self::new(NotificationCode::new(CEASE, subcode))
    }

    /// Cease/Administrative Shutdown (6/2) with a text for the peer's operator (RFC 9003), cut to 255 octets.
    /// An empty text is left out.
    pub fn administrative_shutdown(text: &str) -> Self {
        Self::with_text(ADMINISTRATIVE_SHUTDOWN, text)
    }

    /// Cease/Administrative Reset (6/4) with a text for the peer's operator (RFC 9003), cut to 255 octets.
    /// An empty text is left out.
    pub fn administrative_reset(text: &str) -> Self {
        Self::with_text(ADMINISTRATIVE_RESET, text)
    }

    /// Cease/Maximum Number of Prefixes Reached (6/1), with the family and the limit as data (RFC 4486 §4).
    pub fn maximum_prefixes(family: Family, limit: u32) -> Self {
        let mut notification = Self::cease(1);
        notification.data.extend(family.afi.to_be_bytes());
        notification.data.push(family.safi);
        notification.data.extend(limit.to_be_bytes());
        notification
    }

    /// This NOTIFICATION inside a Cease/Hard Reset (6/9): the peer must not keep our routes (RFC 8538 §3.1).
    pub fn into_hard_reset(self) -> Self {
        let mut hard = Self::cease(HARD_RESET);
        hard.data.extend([self.code, self.subcode]);
        hard.data.extend(self.data);
        hard
    }

    /// Whether the sender wants no routes kept (Cease/Hard Reset, RFC 8538 §3).
    pub fn is_hard_reset(&self) -> bool {
        (self.code, self.subcode) == (CEASE, HARD_RESET)
    }

    /// Whether it is a Cease that stands for a long or final end, where routes should not be kept (RFC 8538 §5.1): maximum
    /// prefixes, administrative shutdown, de-configured.
    pub fn is_meant_for_long(&self) -> bool {
        self.code == CEASE && matches!(self.subcode, 1..=3)
    }

    /// What a Hard Reset carries (RFC 8538 §3.1).
    pub fn inner(&self) -> Option<Self> {
        if !self.is_hard_reset() {
            return None;
        }
        let mut r = Reader::new(&self.data);
        Some(Self { code: r.u8()?, subcode: r.u8()?, data: r.rest().to_vec() })
    }

    fn with_text(subcode: u8, text: &str) -> Self {
        let mut notification = Self::cease(subcode);
        let text = cut_text(text, TEXT_LEN_MAX);
        if !text.is_empty() {
            push_with_len8(&mut notification.data, text.as_bytes());
        }
        notification
    }

    /// The Shutdown Communication (RFC 9003), also from inside a Hard Reset. The length octet is only an upper
    /// bound: what is missing is missing. Invalid UTF-8 and control characters come out as U+FFFD.
    pub fn shutdown_text(&self) -> Option<String> {
        if let Some(inner) = self.inner() {
            return inner.own_shutdown_text();
        }
        self.own_shutdown_text()
    }

    fn own_shutdown_text(&self) -> Option<String> {
        if self.code != CEASE || !matches!(self.subcode, ADMINISTRATIVE_SHUTDOWN | ADMINISTRATIVE_RESET) {
            return None;
        }
        let mut r = Reader::new(&self.data);
        let len = usize::from(r.u8()?).min(r.len());
        let text = printable_text(r.bytes(len)?);
        (!text.is_empty()).then_some(text)
    }

    /// Decodes a whole message, header included. Every code and subcode is accepted.
    ///
    /// # Errors
    /// Fewer than the 21 octets of RFC 4271 §6.1. To be logged: a NOTIFICATION is never answered with one (§6.4).
    pub fn decode(message: &[u8]) -> Result<Self, Fault> {
        let mut r = Reader::new(message);
        let fields = r.skip(HEADER_LEN).and_then(|()| Some((r.u8()?, r.u8()?)));
        let Some((code, subcode)) = fields else {
            let what = "NOTIFICATION ends before its error subcode";
            return Err(Fault::reset(NotificationCode::BAD_MESSAGE_LENGTH, message.len(), "RFC 4271 §6.1", what));
        };
        Ok(Self { code, subcode, data: r.rest().to_vec() })
    }

    /// The whole message, header included. Data is cut so that 4096 octets suffice, whatever was negotiated
    /// (RFC 8654 §5).
    pub fn encode(&self) -> Vec<u8> {
        let room = MAX_LEN - HEADER_LEN - 2;
        let mut out = Vec::with_capacity(HEADER_LEN + 2 + self.data.len().min(room));
        let start = begin_message(&mut out, MessageType::Notification);
        out.extend([self.code, self.subcode]);
        out.extend(self.data.iter().take(room));
        end_message(&mut out, start);
        out
    }

    /// Name of the error code, such as `Cease`.
    pub fn code_name(&self) -> &'static str {
        CODES.iter().find(|(code, _, _)| *code == self.code).map_or("Unknown", |(_, name, _)| name)
    }

    /// Name of the error subcode, such as `Administrative Shutdown`; `None` for an unspecific or unknown one.
    pub fn subcode_name(&self) -> Option<&'static str> {
        let (_, _, subcodes) = CODES.iter().find(|(code, _, _)| *code == self.code)?;
        subcodes.iter().find(|(subcode, _)| *subcode == self.subcode).map(|(_, name)| *name)
    }
}

impl From<&Fault> for Notification {
    /// What the peer is told about a fault. One that is no session reset has no NOTIFICATION of its own; should a
    /// session end for it all the same, the peer hears 3/1 (RFC 4271 §6.3).
    fn from(fault: &Fault) -> Self {
        let code = fault.notification.unwrap_or(NotificationCode::MALFORMED_ATTRIBUTE_LIST);
        Self { code: code.code, subcode: code.subcode, data: fault.data.clone() }
    }
}

type Subcodes = &'static [(u8, &'static str)];

/// Error codes and subcodes (IANA "BGP Error (Notification) Codes").
const CODES: &[(u8, &str, Subcodes)] = &[
    (
        1,
        "Message Header Error",
        &[(1, "Connection Not Synchronized"), (2, "Bad Message Length"), (3, "Bad Message Type")],
    ),
    (2, "OPEN Message Error", OPEN_SUBCODES),
    (3, "UPDATE Message Error", UPDATE_SUBCODES),
    (4, "Hold Timer Expired", &[]),
    (5, "Finite State Machine Error", FSM_SUBCODES),
    (6, "Cease", CEASE_SUBCODES),
    (7, "ROUTE-REFRESH Message Error", &[(1, "Invalid Message Length")]),
    (8, "Send Hold Timer Expired", &[]),
];

/// RFC 4271 §4.5, RFC 5492 §5, RFC 9234 §4.2.
const OPEN_SUBCODES: Subcodes = &[
    (1, "Unsupported Version Number"),
    (2, "Bad Peer AS"),
    (3, "Bad BGP Identifier"),
    (4, "Unsupported Optional Parameter"),
    (5, "Authentication Failure (deprecated)"),
    (6, "Unacceptable Hold Time"),
    (7, "Unsupported Capability"),
    (11, "Role Mismatch"),
];

/// RFC 4271 §4.5.
const UPDATE_SUBCODES: Subcodes = &[
    (1, "Malformed Attribute List"),
    (2, "Unrecognized Well-known Attribute"),
    (3, "Missing Well-known Attribute"),
    (4, "Attribute Flags Error"),
    (5, "Attribute Length Error"),
    (6, "Invalid ORIGIN Attribute"),
    (7, "AS Routing Loop (deprecated)"),
    (8, "Invalid NEXT_HOP Attribute"),
    (9, "Optional Attribute Error"),
    (10, "Invalid Network Field"),
    (11, "Malformed AS_PATH"),
];

/// RFC 6608 §3.
const FSM_SUBCODES: Subcodes = &[
    (1, "Unexpected Message in OpenSent"),
    (2, "Unexpected Message in OpenConfirm"),
    (3, "Unexpected Message in Established"),
];

/// RFC 4486 §3, RFC 8538 §3, RFC 9384 §3.
const CEASE_SUBCODES: Subcodes = &[
    (1, "Maximum Number of Prefixes Reached"),
    (2, "Administrative Shutdown"),
    (3, "Peer De-configured"),
    (4, "Administrative Reset"),
    (5, "Connection Rejected"),
    (6, "Other Configuration Change"),
    (7, "Connection Collision Resolution"),
    (8, "Out of Resources"),
    (9, "Hard Reset"),
    (10, "BFD Down"),
];

impl fmt::Display for Notification {
    /// `Cease/Administrative Shutdown (6/2): "text"`; other data follows as numbers or hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_one(f, self)?;
        match self.inner() {
            Some(inner) => {
                f.write_str(": ")?;
                write_one(f, &inner)?;
                write_data(f, &inner)
            }
            None => write_data(f, self),
        }
    }
}

fn write_one(f: &mut fmt::Formatter<'_>, notification: &Notification) -> fmt::Result {
    f.write_str(notification.code_name())?;
    if let Some(name) = notification.subcode_name() {
        write!(f, "/{name}")?;
    }
    write!(f, " ({}/{})", notification.code, notification.subcode)
}

/// Octets of diagnostic data that are shown; the rest is counted.
const DATA_SHOWN_MAX: usize = 32;

fn write_data(f: &mut fmt::Formatter<'_>, notification: &Notification) -> fmt::Result {
    if let Some(text) = notification.own_shutdown_text() {
        return write!(f, ": \"{text}\"");
    }
    if notification.data.is_empty() {
        return Ok(());
    }
    if let Some((family, limit)) = prefix_limit(notification) {
        return write!(f, ": {family} limit {limit}");
    }
    f.write_str(", data ")?;
    notification.data.iter().take(DATA_SHOWN_MAX).try_for_each(|octet| write!(f, "{octet:02x}"))?;
    match notification.data.len().saturating_sub(DATA_SHOWN_MAX) {
        0 => Ok(()),
        more => write!(f, " and {more} octets more"),
    }
}

/// Family and limit of Cease/Maximum Number of Prefixes Reached (RFC 4486 §4).
fn prefix_limit(notification: &Notification) -> Option<(Family, u32)> {
    let mut r = Reader::new(&notification.data);
    let limit = (Family::new(r.u16()?, r.u8()?), r.u32()?);
    ((notification.code, notification.subcode) == (CEASE, 1) && r.is_empty()).then_some(limit)
}
