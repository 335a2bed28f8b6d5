//! MRT, the format of routing archives (RFC 6396, RFC 8050): octets to records, records to routes. Pure: reading
//! and unpacking files is `io::mrt`, which feeds [`Framer`].
//!
//! A file is a chain of records: time, type, subtype, length, body. [`Framer`] cuts it into [`RawRecord`]s and
//! finds the chain again behind damage; [`RawRecord::decode`] says what a record holds; [`Interpreter`] turns BGP
//! messages and table entries into routes, through the same decoder that sessions use.
//!
//! Read: TABLE_DUMP, TABLE_DUMP_V2 with ADD-PATH and RIB_GENERIC, BGP4MP and BGP4MP_ET with the LOCAL and ADD-PATH
//! subtypes, and the deprecated type 5 "BGP" of the first archives. Every other type is passed over and counted.

mod event;
mod framing;
mod message;
mod rib;
#[cfg(test)]
mod tests;

use std::fmt;

pub use event::{Event, Interpreter, RecordFault, Routes};
pub use framing::{Damage, Framer, RECORD_LEN_MAX, Step};
pub use message::{Direction, Message, StateChange};
pub use rib::{Peer, PeerIndex, Rib, RibEntries, RibEntry, RibPeer};

use crate::{types::Timestamp, wire::cursor::Reader};

/// Time, type, subtype, length (RFC 6396 §2).
pub const HEADER_LEN: usize = 12;

/// The record types read here, by their code (RFC 6396 §4, Appendix B).
mod kind {
    /// "BGP", deprecated.
    pub const BGP: u16 = 5;
    pub const TABLE_DUMP: u16 = 12;
    pub const TABLE_DUMP_V2: u16 = 13;
    pub const BGP4MP: u16 = 16;
    pub const BGP4MP_ET: u16 = 17;
}

/// The common header (RFC 6396 §2), with the microseconds of the extended one (§3) already in the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// When it was recorded.
    pub time: Timestamp,
    /// Record type.
    pub kind: u16,
    /// Its subtype.
    pub subtype: u16,
}

impl Header {
    /// Name of the type, such as `TABLE_DUMP_V2`; `None` for types that are not read here.
    pub fn kind_name(&self) -> Option<&'static str> {
        Some(match self.kind {
            kind::BGP => "BGP",
            kind::TABLE_DUMP => "TABLE_DUMP",
            kind::TABLE_DUMP_V2 => "TABLE_DUMP_V2",
            kind::BGP4MP => "BGP4MP",
            kind::BGP4MP_ET => "BGP4MP_ET",
            _ => return None,
        })
    }

    /// Whether the time is exact to the microsecond: BGP4MP_ET (RFC 6396 §3).
    pub fn has_micros(&self) -> bool {
        self.kind == kind::BGP4MP_ET
    }
}

/// One record of the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawRecord<'a> {
    /// Where it starts in the unpacked file, in octets.
    pub at: u64,
    /// Its header.
    pub header: Header,
    /// What follows the header; of a BGP4MP_ET record what follows its microseconds.
    pub body: &'a [u8],
}

/// What a record holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// The peers that later RIB records name by index (RFC 6396 §4.3.1).
    PeerIndex(PeerIndex),
    /// One NLRI and the routes for it (RFC 6396 §4.2, §4.3).
    Rib(Rib<'a>),
    /// A BGP message on its way (RFC 6396 §4.4).
    Message(Message<'a>),
    /// A session changed its state (RFC 6396 §4.4.1).
    StateChange(StateChange),
    /// A type or subtype that is not read here.
    Other,
}

/// A record whose body contradicts its type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// Octets from the start of the body.
    pub at: usize,
    /// What is wrong, without a full stop.
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at octet {} of the record's body", self.what, self.at)
    }
}

impl std::error::Error for Malformed {}

impl<'a> RawRecord<'a> {
    /// Decodes the body.
    ///
    /// # Errors
    /// A body that ends early or contradicts itself; the chain goes on behind it all the same.
    pub fn decode(&self) -> Result<Record<'a>, Malformed> {
        let body = Reader::new(self.body);
        match (self.header.kind, self.header.subtype) {
            (kind::TABLE_DUMP, subtype) => rib::decode_table_dump(subtype, body),
            (kind::TABLE_DUMP_V2, 1) => rib::decode_peer_index(body).map(Record::PeerIndex),
            (kind::TABLE_DUMP_V2, subtype) => rib::decode_rib(subtype, body),
            (kind::BGP4MP | kind::BGP4MP_ET, subtype) => message::decode_bgp4mp(subtype, body),
            (kind::BGP, subtype) => message::decode_bgp(subtype, body),
            _ => Ok(Record::Other),
        }
    }
}
