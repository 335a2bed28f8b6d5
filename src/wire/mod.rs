//! Bytes to messages and messages to bytes. No state, no clock, no sockets, and decoding never panics and
//! never allocates beyond the size of what it was given.
//!
//! `bgp` is BGP-4 (RFC 4271 and its extensions), `mrt` reads MRT files (RFC 6396, RFC 8050). `cursor` is the
//! only file that indexes bytes; `error` decides what a fault costs (RFC 7606).

pub mod bgp;
pub mod cursor;
pub mod error;
pub mod mrt;
