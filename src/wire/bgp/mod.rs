//! BGP-4 messages (RFC 4271 §4): the 19-octet header, framing, KEEPALIVE and ROUTE-REFRESH. The other messages
//! have files of their own: `open` with `capability`, `update` with `nlri` and `attribute`, `notification`.

pub mod as_path;
pub mod attribute;
pub mod batch;
pub mod capability;
pub mod community;
mod ext_community_kinds;
pub mod nlri;
pub mod notification;
pub mod open;
pub mod orf;
pub mod path_expression;
mod refresh;
#[cfg(test)]
mod tests;
pub mod text;
pub mod update;
pub mod validation_state;

pub use refresh::{RefreshSubtype, RouteRefresh};

use crate::wire::{
    cursor::{Reader, patch_u16},
    error::{Fault, NotificationCode},
};

/// Marker, length and type (RFC 4271 §4.1).
pub const HEADER_LEN: usize = 19;
/// Longest message without the Extended Message capability (RFC 4271 §4.1).
pub const MAX_LEN: usize = 4096;
/// Longest message once both sides sent capability 6 (RFC 8654 §4).
pub const MAX_EXTENDED_LEN: usize = 65535;

const MARKER: [u8; 16] = [0xff; 16];

/// A KEEPALIVE is a header and nothing else (RFC 4271 §4.4).
pub const KEEPALIVE: [u8; HEADER_LEN] =
    [255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 19, 4];

/// Message type; the value is the wire code (RFC 4271 §4.1, RFC 2918 §3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum MessageType {
    /// OPEN.
    Open = 1,
    /// UPDATE.
    Update = 2,
    /// NOTIFICATION.
    Notification = 3,
    /// KEEPALIVE.
    Keepalive = 4,
    /// ROUTE-REFRESH.
    RouteRefresh = 5,
}

impl MessageType {
    /// The type for a wire code; `None` for one that is not assigned.
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Open,
            2 => Self::Update,
            3 => Self::Notification,
            4 => Self::Keepalive,
            5 => Self::RouteRefresh,
            _ => return None,
        })
    }

    /// The word used in output: `open update notification keepalive route-refresh`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Update => "update",
            Self::Notification => "notification",
            Self::Keepalive => "keepalive",
            Self::RouteRefresh => "route-refresh",
        }
    }

    /// Shortest and longest length of a message of this type where messages may have `max_len` octets
    /// (RFC 4271 §6.1; RFC 8654 §4 leaves OPEN and KEEPALIVE at 4096). ROUTE-REFRESH has no minimum here because
    /// a short one has an error code of its own (RFC 7313 §5).
    fn length_bounds(self, max_len: usize) -> (usize, usize) {
        match self {
            Self::Open => (29, max_len.min(MAX_LEN)),
            Self::Update => (23, max_len),
            Self::Notification => (21, max_len),
            Self::Keepalive => (HEADER_LEN, HEADER_LEN),
            Self::RouteRefresh => (HEADER_LEN, max_len),
        }
    }
}

/// One whole message at the start of a receive buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Its type.
    pub kind: MessageType,
    /// The message, header included.
    pub message: &'a [u8],
}

impl<'a> Frame<'a> {
    /// What follows the header.
    pub fn body(&self) -> &'a [u8] {
        self.message.get(HEADER_LEN..).unwrap_or_default()
    }
}

/// Finds the message at the start of `buf`; `Ok(None)` means that more octets are needed. Messages may have
/// `max_len` octets: [`MAX_LEN`] or [`MAX_EXTENDED_LEN`].
///
/// # Errors
/// The header faults of RFC 4271 §6.1, each as soon as the octets that show it are there: marker 1/1, length 1/2
/// (the data is the length field), type 1/3 (the data is the type).
pub fn frame(buf: &[u8], max_len: usize) -> Result<Option<Frame<'_>>, Fault> {
    let mut r = Reader::new(buf);
    // A stranger's first octets show the fault: an HTTP request is not kept waiting for a nineteenth.
    if buf.iter().zip(MARKER).any(|(octet, expected)| *octet != expected) {
        let what = "the marker is not all ones";
        return Err(Fault::reset(NotificationCode::NOT_SYNCHRONIZED, 0, "RFC 4271 §6.1", what));
    }
    let (Some(_), Some(length), Some(code)) = (r.array::<16>(), r.u16(), r.u8()) else {
        return Ok(None);
    };
    let len = usize::from(length);
    if !(HEADER_LEN..=max_len).contains(&len) {
        return Err(bad_length(
            length,
            "RFC 4271 §6.1",
            &format!("message length {len} is not within 19 to {max_len}"),
        ));
    }
    let Some(kind) = MessageType::from_code(code) else {
        let what = format!("message type {code} is unknown");
        return Err(Fault::reset(NotificationCode::BAD_MESSAGE_TYPE, 18, "RFC 4271 §6.1", what).with_data([code]));
    };
    let (min, max) = kind.length_bounds(max_len);
    if !(min..=max).contains(&len) {
        let rfc = if len > max && kind == MessageType::Open { "RFC 8654 §4" } else { "RFC 4271 §6.1" };
        let what = format!("{} message of {len} octets, {min} to {max} are possible", kind.name());
        return Err(bad_length(length, rfc, &what));
    }
    Ok(buf.get(..len).map(|message| Frame { kind, message }))
}

fn bad_length(length: u16, rfc: &'static str, what: &str) -> Fault {
    Fault::reset(NotificationCode::BAD_MESSAGE_LENGTH, 16, rfc, what).with_data(length.to_be_bytes())
}

/// Appends a header with the length still open; [`end_message`] fills it in. Returns where the message starts.
pub(crate) fn begin_message(out: &mut Vec<u8>, kind: MessageType) -> usize {
    let start = out.len();
    out.extend(MARKER);
    out.extend([0, 0, kind as u8]);
    start
}

/// Writes the length of the message that starts at `start` and ends with `out`. At most 65535 octets: writers
/// check before.
pub(crate) fn end_message(out: &mut [u8], start: usize) {
    let len = out.len().saturating_sub(start);
    patch_u16(out, start + MARKER.len(), u16::try_from(len).unwrap_or(u16::MAX));
}
