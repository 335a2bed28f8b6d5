//! Bytes to messages and messages to bytes. No state, no clock, no sockets, and decoding never panics and
//! never allocates beyond the size of what it was given.
//!
//! `bgp` is BGP-4 (RFC 4271 and its extensions), `mrt` reads MRT files (RFC 6396, RFC 8050), `rtr` is RTR as a router
//! speaks it (RFC 8210). `cursor` is the only file that indexes bytes; `error` decides what a fault costs (RFC 7606).

pub mod bgp;
pub mod cursor;
pub mod error;
pub mod mrt;
pub mod rtr;

/// Text that a peer sent, fit for logs and terminals: invalid UTF-8 and control characters become U+FFFD
/// (RFC 9003 §4 and §6: invalid sequences are not interpreted, and no line of a log can be forged).
pub(crate) fn printable_text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets)
        .chars()
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// The longest start of `text` that is at most `octets_max` long and ends between two characters.
pub(crate) fn cut_text(text: &str, octets_max: usize) -> &str {
    text.get(..text.floor_char_boundary(octets_max)).unwrap_or_default()
}
