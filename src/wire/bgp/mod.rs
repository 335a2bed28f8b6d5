//! BGP-4 messages (RFC 4271 §4): header, framing, KEEPALIVE and ROUTE-REFRESH; the other messages have files.
pub mod as_path;
pub mod attribute;
pub mod batch;
pub mod capability;
pub mod community;
pub mod nlri;
pub mod notification;
pub mod open;
pub mod update;

use crate::types::Family;

/// Octets of the message header (RFC 4271 §4.1).
pub const HEADER_LEN: usize = 19;

/// What a ROUTE-REFRESH asks or marks (RFC 7313 §3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefreshSubtype {
    /// Send everything again (RFC 2918).
    Request,
    /// Beginning of a refresh.
    BeginOfRefresh,
    /// End of a refresh.
    EndOfRefresh,
    /// Reserved or unknown: to be ignored.
    Unknown(u8),
}

/// A ROUTE-REFRESH message (RFC 2918, RFC 7313).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteRefresh {
    /// Which routes.
    pub family: Family,
    /// Request or mark.
    pub subtype: RefreshSubtype,
}
