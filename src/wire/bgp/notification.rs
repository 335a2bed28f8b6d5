//! NOTIFICATION (RFC 4271 §4.5): codes, subcodes and their names.

/// A NOTIFICATION message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// Error code.
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// Diagnostic data.
    pub data: Vec<u8>,
}
