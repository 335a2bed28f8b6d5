//! The chain of records: where one ends and the next begins, and how it is found again behind damage.
//!
//! *What the RFC asks.* A reader that does not know a type skips it by its length (RFC 6396 §2). A length that is
//! wrong is not foreseen: every octet behind it is noise.
//!
//! *What we do.* 1. A header must be plausible: a length up to [`RECORD_LEN_MAX`], and a known type, or at least a
//! small subtype and a time near that of the record before. 2. A record is handed out once the header behind it is
//! plausible too, or the input ends with it. 3. Where it is not, the record stands if its body is consistent in
//! itself and the damage begins behind it; otherwise the record is itself damage. 4. Behind damage, the chain goes
//! on at the first octet where two plausible headers follow each other, or one and the end of the input.

use std::fmt;

use super::{HEADER_LEN, Header, RawRecord, Record, kind};
use crate::{types::Timestamp, wire::cursor::Reader};

/// Longest record body that is believed: more than 65,535 table entries of 256 octets.
pub const RECORD_LEN_MAX: usize = 16 << 20;
/// A record of a type unknown here is believed when its time is within a day of the one before.
const DRIFT_SECS_MAX: u32 = 86_400;

/// Octets that are no records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Where they start in the unpacked file.
    pub at: u64,
    /// How many they are.
    pub octets: u64,
    /// Whether they end with the file: it was cut off.
    pub at_end: bool,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, octets, at_end } = self;
        match (at_end, at) {
            (true, 0) => f.write_str("no MRT record is in it"),
            (true, _) => write!(f, "the file ends inside the record at octet {at}: {octets} octets of it are there"),
            (false, _) => {
                write!(f, "damaged record at octet {at}: {octets} octets were skipped to the next one that makes sense")
            }
        }
    }
}

impl std::error::Error for Damage {}

/// What the next octets are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step<'a> {
    /// A record, and how many octets of the buffer it takes.
    Record(RawRecord<'a>, usize),
    /// At least this many octets are needed in the buffer to go on.
    More(usize),
    /// So many octets of the buffer are noise; more may follow.
    Noise(usize),
    /// Noise ended; it takes no octets of the buffer.
    Damage(Damage),
    /// The input ended with a whole record.
    End,
}

/// Cuts a stream into records. The caller keeps the octets and drops what a step took.
#[derive(Debug, Default)]
pub struct Framer {
    /// Octets of the stream that earlier steps took.
    at: u64,
    /// Seconds of the last record, as a measure for the next.
    last_secs: Option<u32>,
    /// Where the noise started that is being skipped.
    noise_from: Option<u64>,
}

/// A header as it stands in the file.
#[derive(Clone, Copy)]
struct Candidate {
    secs: u32,
    kind: u16,
    subtype: u16,
    len: usize,
}

impl Candidate {
    fn read(buf: &[u8]) -> Option<Self> {
        let mut r = Reader::new(buf);
        let (secs, kind, subtype, len) = (r.u32()?, r.u16()?, r.u16()?, r.u32()?);
        Some(Self { secs, kind, subtype, len: usize::try_from(len).unwrap_or(usize::MAX) })
    }

    /// Step 1. Types by RFC 6396 §4 and Appendix B.
    fn is_plausible(self, last_secs: Option<u32>) -> bool {
        let near = last_secs.is_none_or(|last| last.abs_diff(self.secs) <= DRIFT_SECS_MAX);
        let known = match self.kind {
            kind::BGP => (1..=7).contains(&self.subtype) && self.len >= 10,
            kind::TABLE_DUMP => (1..=4).contains(&self.subtype) && self.len >= 22,
            kind::TABLE_DUMP_V2 => (1..=12).contains(&self.subtype) && self.len >= 7,
            kind::BGP4MP => self.subtype <= 11 && self.len >= 8,
            kind::BGP4MP_ET => self.subtype <= 11 && self.len >= 12,
            _ => false,
        };
        self.len <= RECORD_LEN_MAX && (known || near && self.subtype < 64 && self.kind < 256)
    }

    fn total_len(self) -> usize {
        HEADER_LEN + self.len
    }
}

/// What stands behind a record.
enum Behind {
    Plausible,
    Implausible,
    EndOfInput,
    Unknown,
}

impl Framer {
    /// Octets of the stream taken so far.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Looks at `buf`, which starts where the last step ended; `at_end` says that the stream ends with it.
    pub fn next<'a>(&mut self, buf: &'a [u8], at_end: bool) -> Step<'a> {
        if self.noise_from.is_some() {
            return self.skip_noise(buf, at_end);
        }
        let Some(candidate) = Candidate::read(buf) else {
            return match (at_end, buf.is_empty()) {
                (false, _) => Step::More(HEADER_LEN),
                (true, true) => Step::End,
                (true, false) => self.begin_noise(buf.len()),
            };
        };
        if !candidate.is_plausible(self.last_secs) {
            return self.begin_noise(1);
        }
        let len = candidate.total_len();
        let Some(body) = buf.get(HEADER_LEN..len) else {
            return if at_end { self.begin_noise(1) } else { Step::More(len + HEADER_LEN) };
        };
        let record = RawRecord { at: self.at, ..cut(candidate, body) };
        match self.behind(buf, candidate, at_end) {
            Behind::Unknown => Step::More(len + HEADER_LEN),
            Behind::Implausible if !is_consistent(&record) => self.begin_noise(1),
            _ => {
                self.at += len as u64;
                self.last_secs = Some(candidate.secs);
                Step::Record(record, len)
            }
        }
    }

    /// Step 2: whether the record at the start of `buf` is followed by another one.
    fn behind(&self, buf: &[u8], candidate: Candidate, at_end: bool) -> Behind {
        let rest = buf.get(candidate.total_len()..).unwrap_or_default();
        match Candidate::read(rest) {
            Some(next) if next.is_plausible(Some(candidate.secs)) => Behind::Plausible,
            Some(_) => Behind::Implausible,
            None if !at_end => Behind::Unknown,
            None if rest.is_empty() => Behind::EndOfInput,
            None => Behind::Implausible,
        }
    }

    fn begin_noise(&mut self, octets: usize) -> Step<'static> {
        self.noise_from.get_or_insert(self.at);
        self.at += octets as u64;
        Step::Noise(octets)
    }

    /// Step 4.
    fn skip_noise<'a>(&mut self, buf: &'a [u8], at_end: bool) -> Step<'a> {
        for skipped in 0..buf.len() {
            let rest = buf.get(skipped..).unwrap_or_default();
            let Some(candidate) = Candidate::read(rest) else {
                // Fewer octets than a header are noise at the end of the input only.
                return match (at_end, skipped) {
                    (true, _) => self.begin_noise(buf.len()),
                    (false, 0) => Step::More(HEADER_LEN),
                    (false, _) => self.begin_noise(skipped),
                };
            };
            if !candidate.is_plausible(self.last_secs) {
                continue;
            }
            match self.behind(rest, candidate, at_end) {
                Behind::Implausible => continue,
                Behind::EndOfInput if rest.len() < candidate.total_len() => continue,
                _ if skipped > 0 => return self.begin_noise(skipped),
                Behind::Unknown => return Step::More(candidate.total_len() + HEADER_LEN),
                Behind::Plausible | Behind::EndOfInput => return self.end_noise(false),
            }
        }
        match (buf.is_empty(), at_end) {
            (true, true) => self.end_noise(true),
            (true, false) => Step::More(HEADER_LEN),
            (false, _) => self.begin_noise(buf.len()),
        }
    }

    fn end_noise(&mut self, at_end: bool) -> Step<'static> {
        let at = self.noise_from.take().unwrap_or(self.at);
        Step::Damage(Damage { at, octets: self.at - at, at_end })
    }
}

/// The record of `candidate`; its position is the caller's to fill in.
fn cut(candidate: Candidate, body: &[u8]) -> RawRecord<'_> {
    let Candidate { secs, kind, subtype, .. } = candidate;
    let mut time = Timestamp::from_secs(secs.into());
    let mut r = Reader::new(body);
    // RFC 6396 §3: microseconds stand in front of the body and count as part of its length.
    if kind == kind::BGP4MP_ET
        && let Some(micros) = r.u32()
    {
        time = Timestamp(time.0.saturating_add(micros.into()));
    }
    RawRecord { at: 0, header: Header { time, kind, subtype }, body: r.rest() }
}

/// Step 3: whether what the body says about its own lengths comes out even.
fn is_consistent(record: &RawRecord<'_>) -> bool {
    match record.decode() {
        Ok(Record::Message(message)) => message.is_consistent(),
        Ok(Record::Rib(rib)) => rib.entries().all(|entry| entry.is_ok()),
        Ok(Record::Other) | Err(_) => false,
        Ok(Record::PeerIndex(_) | Record::StateChange(_)) => true,
    }
}
