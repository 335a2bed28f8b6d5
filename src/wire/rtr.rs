//! RTR, the protocol between a router and a cache of validated payloads, from the router's end: versions 0 (RFC 6810),
//! 1 (RFC 8210) and 2 (draft-ietf-sidrops-8210bis-25). PDUs of a cache are decoded, those of a router encoded. Who asks
//! when, and what an answer means for what was held before, is in `io/rpki`.
//!
//! # What the RFC asks
//! 1. §5.1: each PDU begins with version, type, a field whose meaning the type decides, and the length of the whole.
//! 2. §5.6, §5.7: the lowest bit of the flags announces; the others are zero and are not looked at.
//! 3. §5.8: End of Data has the three intervals since version 1.
//! 4. §5.10: what is wrong with a PDU goes back in an Error Report that holds it, but never about an Error Report.
//! 5. 8210bis §5.12: an ASPA announced replaces the one of the same customer; one withdrawn has no providers.
//!
//! # What we do
//! The same, and: host bits behind a prefix are cleared; providers of an ASPA that is withdrawn are passed over, since
//! caches in use send them; an ASPA in the layout of 8210bis up to revision 13, which some caches in use send as
//! version 2, is told apart and is a fault. Router keys (§5.10 of RFC 8210) are passed over by their length.

use std::fmt;

use super::{cursor::Reader, printable_text};
use crate::types::{Asn, Prefix};

/// The newest version that is known here.
pub const VERSION_MAX: u8 = 2;
/// Version, type, a field of two octets, and the length (RFC 8210 §5.1).
pub const HEADER_LEN: usize = 8;
/// Longest PDU that is believed: an Error Report that holds an ASPA with 16,380 providers, and a text.
pub const PDU_LEN_MAX: u32 = 1 << 17;

/// What stands in front of every PDU (RFC 8210 §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Protocol version.
    pub version: u8,
    /// PDU type, one of [`kind`].
    pub kind: u8,
    /// Session id, error code, flags or zero, as the type says.
    pub field: u16,
    /// Octets of the whole PDU, this header among them.
    pub len: u32,
}

/// PDU types (RFC 8210 §14, 8210bis §14).
pub mod kind {
    /// There are new data.
    pub const SERIAL_NOTIFY: u8 = 0;
    /// Asks for changes.
    pub const SERIAL_QUERY: u8 = 1;
    /// Asks for everything.
    pub const RESET_QUERY: u8 = 2;
    /// An answer begins.
    pub const CACHE_RESPONSE: u8 = 3;
    /// A VRP.
    pub const IPV4_PREFIX: u8 = 4;
    /// A VRP.
    pub const IPV6_PREFIX: u8 = 6;
    /// An answer ends.
    pub const END_OF_DATA: u8 = 7;
    /// Changes cannot be told.
    pub const CACHE_RESET: u8 = 8;
    /// A key for signed paths.
    pub const ROUTER_KEY: u8 = 9;
    /// What the other one sent is wrong.
    pub const ERROR_REPORT: u8 = 10;
    /// The providers of an AS.
    pub const ASPA: u8 = 11;
}

/// Error codes (RFC 8210 §12).
pub mod code {
    /// In no other way.
    pub const CORRUPT_DATA: u16 = 0;
    /// The cache has nothing yet.
    pub const NO_DATA_AVAILABLE: u16 = 2;
    /// The other one does not speak this version.
    pub const UNSUPPORTED_VERSION: u16 = 4;
    /// The type is not known.
    pub const UNSUPPORTED_PDU: u16 = 5;
    /// What is withdrawn was not there.
    pub const WITHDRAWAL_OF_UNKNOWN: u16 = 6;
    /// What is announced is there already.
    pub const DUPLICATE_ANNOUNCEMENT: u16 = 7;
    /// The version changed.
    pub const UNEXPECTED_VERSION: u16 = 8;
}

/// Which data: serial numbers of one session follow each other, those of two have nothing to do with each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// Of the cache's life and the protocol version.
    pub id: u16,
    /// Of the data in it.
    pub serial: u32,
}

/// What End of Data says of time (RFC 8210 §6), in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Intervals {
    /// From an answer to the next query.
    pub refresh_secs: u32,
    /// From a failed query to the next.
    pub retry_secs: u32,
    /// From an answer to when its data must not be used any more.
    pub expire_secs: u32,
}

impl Default for Intervals {
    /// The defaults of RFC 8210 §6, for caches of version 0.
    fn default() -> Self {
        Self { refresh_secs: 3600, retry_secs: 600, expire_secs: 7200 }
    }
}

/// A PDU of a cache.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pdu {
    /// There are new data (§5.2).
    SerialNotify(Session),
    /// An answer begins (§5.5), of this session id.
    CacheResponse(u16),
    /// A VRP comes or goes (§5.6, §5.7).
    Prefix {
        /// Else withdrawn.
        announce: bool,
        /// Without host bits.
        prefix: Prefix,
        /// As sent: whether it fits the prefix is not judged here.
        max_len: u8,
        /// Who may originate it.
        asn: Asn,
    },
    /// An answer ends (§5.8); without intervals in version 0.
    EndOfData(Session, Option<Intervals>),
    /// Changes cannot be told: everything must be asked for (§5.9).
    CacheReset,
    /// A router key (§5.10), which nobody here uses.
    RouterKey,
    /// The providers of an AS come or go (8210bis §5.12).
    Aspa {
        /// Else withdrawn.
        announce: bool,
        /// The AS that attests.
        customer: Asn,
        /// As sent.
        providers: Vec<Asn>,
    },
    /// What we sent is wrong (§5.11).
    ErrorReport {
        /// One of [`code`].
        code: u16,
        /// In words, fit for a log; may be empty.
        text: String,
    },
}

/// A PDU that cannot be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// For the Error Report, one of [`code`].
    pub code: u16,
    /// What is wrong, with the record where it can be named.
    pub what: String,
}

impl Fault {
    fn corrupt(what: impl Into<String>) -> Self {
        Self { code: code::CORRUPT_DATA, what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

impl Header {
    /// Reads a header off the first octets of a PDU; `None`: there are fewer than [`HEADER_LEN`].
    pub fn decode(octets: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(octets);
        Some(Self { version: reader.u8()?, kind: reader.u8()?, field: reader.u16()?, len: reader.u32()? })
    }

    /// Whether a PDU can be that long, so that its end may be waited for.
    ///
    /// # Errors
    /// It is shorter than its header, or longer than [`PDU_LEN_MAX`].
    pub fn check_len(&self) -> Result<usize, Fault> {
        match self.len {
            len if len < HEADER_LEN as u32 => Err(Fault::corrupt(format!(
                "{} says that it is {len} octets long, shorter than its header",
                self.name()
            ))),
            len if len > PDU_LEN_MAX => {
                Err(Fault::corrupt(format!("{} says that it is {len} octets long", self.name())))
            }
            len => Ok(len as usize),
        }
    }

    /// What the PDU is called.
    pub fn name(&self) -> String {
        let name = match self.kind {
            kind::SERIAL_NOTIFY => "a Serial Notify",
            kind::SERIAL_QUERY => "a Serial Query",
            kind::RESET_QUERY => "a Reset Query",
            kind::CACHE_RESPONSE => "a Cache Response",
            kind::IPV4_PREFIX => "an IPv4 Prefix",
            kind::IPV6_PREFIX => "an IPv6 Prefix",
            kind::END_OF_DATA => "an End of Data",
            kind::CACHE_RESET => "a Cache Reset",
            kind::ROUTER_KEY => "a Router Key",
            kind::ERROR_REPORT => "an Error Report",
            kind::ASPA => "an ASPA",
            other => return format!("a PDU of type {other}"),
        };
        name.to_owned()
    }
}

/// The name of an error code (RFC 8210 §12, 8210bis §12).
pub fn code_name(code: u16) -> &'static str {
    match code {
        0 => "Corrupt Data",
        1 => "Internal Error",
        2 => "No Data Available",
        3 => "Invalid Request",
        4 => "Unsupported Protocol Version",
        5 => "Unsupported PDU Type",
        6 => "Withdrawal of Unknown Record",
        7 => "Duplicate Announcement Received",
        8 => "Unexpected Protocol Version",
        9 => "ASPA Provider List Error",
        10 => "Transport Failed",
        11 => "Ordering Error",
        _ => "unknown",
    }
}

/// Decodes one whole PDU of a cache.
///
/// # Errors
/// Its length does not fit its type, a value cannot be, or the type is none that a cache sends in this version.
pub fn decode(octets: &[u8]) -> Result<Pdu, Fault> {
    let mut body = Reader::new(octets);
    let header = body.bytes(HEADER_LEN).and_then(Header::decode).ok_or_else(|| Fault::corrupt("half a header"))?;
    let wrong_len = || Fault::corrupt(format!("{} of {} octets cannot be", header.name(), header.len));
    let pdu = match (header.kind, header.version) {
        (kind::SERIAL_NOTIFY, _) => body.u32().map(|serial| Pdu::SerialNotify(Session { id: header.field, serial })),
        (kind::CACHE_RESPONSE, _) => Some(Pdu::CacheResponse(header.field)),
        (kind::IPV4_PREFIX | kind::IPV6_PREFIX, _) => prefix(header.kind, &mut body).transpose()?,
        (kind::END_OF_DATA, version) => end_of_data(header.field, version, &mut body),
        (kind::CACHE_RESET, _) => Some(Pdu::CacheReset),
        (kind::ROUTER_KEY, 1..) => {
            body.take_rest();
            Some(Pdu::RouterKey)
        }
        (kind::ASPA, 2..) => aspa(header.field, &mut body).transpose()?,
        (kind::ERROR_REPORT, _) => error_report(header.field, &mut body),
        (_, version) => {
            let what = format!("{} is nothing that a cache sends in version {version}", header.name());
            return Err(Fault { code: code::UNSUPPORTED_PDU, what });
        }
    };
    pdu.filter(|_| body.is_empty()).ok_or_else(wrong_len)
}

fn prefix(kind: u8, body: &mut Reader<'_>) -> Option<Result<Pdu, Fault>> {
    let (flags, len, max_len) = (body.u8()?, body.u8()?, body.u8()?);
    body.skip(1)?;
    let addr = match kind {
        kind::IPV4_PREFIX => std::net::IpAddr::from(body.array::<4>()?),
        _ => std::net::IpAddr::from(body.array::<16>()?),
    };
    let asn = Asn(body.u32()?);
    Some(match Prefix::new(addr, len) {
        Ok(prefix) => Ok(Pdu::Prefix { announce: flags & 1 == 1, prefix, max_len, asn }),
        Err(_) => Err(Fault::corrupt(format!("{addr}/{len} for AS{}: no prefix is that long", asn.0))),
    })
}

fn end_of_data(id: u16, version: u8, body: &mut Reader<'_>) -> Option<Pdu> {
    let session = Session { id, serial: body.u32()? };
    if version == 0 {
        return Some(Pdu::EndOfData(session, None));
    }
    let (refresh_secs, retry_secs, expire_secs) = (body.u32()?, body.u32()?, body.u32()?);
    Some(Pdu::EndOfData(session, Some(Intervals { refresh_secs, retry_secs, expire_secs })))
}

fn aspa(field: u16, body: &mut Reader<'_>) -> Option<Result<Pdu, Fault>> {
    // The flags are the first octet of the field.
    let announce = field >> 8 & 1 == 1;
    if !announce && let Some(customer) = earlier_layout(field, *body) {
        let what = format!("the ASPA of AS{} is in a layout that drafts before 8210bis-14 had", customer.0);
        body.take_rest();
        return Some(Err(Fault::corrupt(what)));
    }
    let customer = Asn(body.u32()?);
    let mut providers = Vec::with_capacity(body.len() / 4);
    while !body.is_empty() {
        providers.push(Asn(body.u32()?));
    }
    Some(match (announce, providers.is_empty()) {
        (true, true) => Err(Fault::corrupt(format!("the ASPA of AS{} has no provider", customer.0))),
        _ => Ok(Pdu::Aspa { announce, customer, providers }),
    })
}

/// The customer of an ASPA that is announced in the layout of 8210bis up to revision 13: flags, address families (a bit
/// each), the count of providers, and only then the customer. `None`: it is none. Read as the layout of today, it would be
/// a withdrawal by an AS number from 16,777,216 on, where none is assigned.
fn earlier_layout(field: u16, mut body: Reader<'_>) -> Option<Asn> {
    let (flags, families, count) = (body.u8()?, body.u8()?, body.u16()?);
    let customer = Asn(body.u32()?);
    let fits = field == 0 && flags == 1 && families <= 3 && body.len() == usize::from(count) * 4;
    fits.then_some(customer)
}

fn error_report(code: u16, body: &mut Reader<'_>) -> Option<Pdu> {
    let held = body.u32()?;
    body.skip(held as usize)?;
    let len = body.u32()?;
    let text = printable_text(body.bytes(len as usize)?);
    Some(Pdu::ErrorReport { code, text })
}

/// Asks for what changed since the data of a session (§5.3).
pub fn serial_query(version: u8, session: Session) -> Vec<u8> {
    pdu(version, kind::SERIAL_QUERY, session.id, &session.serial.to_be_bytes())
}

/// Asks for everything (§5.4).
pub fn reset_query(version: u8) -> Vec<u8> {
    pdu(version, kind::RESET_QUERY, 0, &[])
}

/// Says what is wrong with a PDU (§5.11).
pub fn error_report_on(version: u8, code: u16, faulty: &[u8], text: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(faulty.len() + text.len() + 8);
    for part in [faulty, text.as_bytes()] {
        body.extend((part.len() as u32).to_be_bytes());
        body.extend(part);
    }
    pdu(version, kind::ERROR_REPORT, code, &body)
}

fn pdu(version: u8, kind: u8, field: u16, body: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(HEADER_LEN + body.len());
    octets.extend([version, kind]);
    octets.extend(field.to_be_bytes());
    octets.extend(((HEADER_LEN + body.len()) as u32).to_be_bytes());
    octets.extend(body);
    octets
}

#[cfg(test)]
mod tests;
