//! Routes as a reader asks for them and gets them: questions about tables, pages of rows, and why the best route of a
//! prefix won. How words become such a question is in `filter`.

use std::{fmt::Write as _, ops::Range, sync::Arc};

use crate::{
    types::{Asn, Family, PathId, PeerId, Prefix, Timestamp},
    validation::{OriginState, PathState},
    wire::bgp::{attribute::AttrSet, nlri},
};

/// What identifies a route inside its family.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Nlri {
    /// IPv4 or IPv6, unicast or multicast.
    Prefix(Prefix),
    /// Any other family: the key octets in wire form, without path id and labels.
    Opaque(Box<[u8]>),
}

/// Which of the three tables of RFC 4271 §3.2 is meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Table {
    /// The chosen route of each prefix.
    #[default]
    Loc,
    /// What neighbours sent, before policy.
    AdjIn,
    /// What neighbours were told.
    AdjOut,
}

/// How a prefix in a question relates to the prefixes in the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrefixMatch {
    /// This prefix only.
    Exact(Prefix),
    /// The longest prefix in the table that covers this one (itself included).
    Longest(Prefix),
    /// This prefix and everything inside it.
    Longer(Prefix),
    /// This prefix and everything that covers it.
    Shorter(Prefix),
}

/// Where a list goes on: opaque to clients, stable while the table changes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Cursor {
    /// Family that was being listed.
    pub family: Family,
    /// Last prefix that was answered in full; the next page starts behind it.
    pub after: Nlri,
}

/// A question about routes. What needs the attributes' text (regex, communities) is filtered by the reader;
/// everything here is cheap enough for the writer's thread.
#[derive(Clone, Debug, Default)]
pub struct RouteQuery {
    /// Table to read.
    pub table: Table,
    /// One family, or all.
    pub family: Option<Family>,
    /// Adj-RIB-In: from this neighbour; Loc-RIB: best route came from it; Adj-RIB-Out: sent to it (required).
    pub neighbor: Option<PeerId>,
    /// Relation to a prefix; `None` is the whole table.
    pub prefix: Option<PrefixMatch>,
    /// Only routes with this origin AS.
    pub origin: Option<Asn>,
    /// Continue behind this point.
    pub cursor: Option<Cursor>,
    /// Stop after this many routes (a prefix is never cut in two, so a page can be longer by one prefix).
    pub limit: usize,
    /// Stop after looking at this many prefixes, whether or not they matched. Bounds the writer's work.
    pub scan_limit: usize,
}

/// One route in a page; its attributes are octets of `RoutePage::attrs`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteRow {
    /// Address family.
    pub family: Family,
    /// What is routed.
    pub nlri: Nlri,
    /// Label stack octets (RFC 8277), empty elsewhere.
    pub labels: Box<[u8]>,
    /// Neighbour that sent it (Adj-RIB-Out: that was told); `None` for a route of our own.
    pub peer: Option<PeerId>,
    /// ADD-PATH identifier, 0 without ADD-PATH.
    pub path_id: PathId,
    /// Canonical attribute set, as a range of the page's `attrs`.
    pub attrs: Range<u32>,
    /// Whether this is the best route of its prefix.
    pub best: bool,
    /// Whether it is in the multipath set of its prefix; `None` where there are no such sets.
    pub multipath: Option<bool>,
    /// Kept over a session loss (RFC 4724), not yet confirmed.
    pub stale: bool,
    /// When it was received, second resolution.
    pub received_at: Timestamp,
    /// The policy that rejected it, by name; `None` when accepted.
    pub rejected_by: Option<Arc<str>>,
    /// State of its origin (RFC 6811).
    pub validation: OriginState,
    /// State of its AS_PATH (ASPA).
    pub aspa: PathState,
}

/// A bounded part of a table, read at one moment.
#[derive(Clone, Debug, Default)]
pub struct RoutePage {
    /// Routes in table order: family, prefix, neighbour, path id.
    pub rows: Vec<RouteRow>,
    /// The attribute sets of `rows`, each distinct set once.
    pub attrs: Vec<u8>,
    /// Where to go on; `None` when the list is complete.
    pub next: Option<Cursor>,
    /// Sequence number of the last change that this page includes.
    pub seq: u64,
}

impl Nlri {
    /// As printed: `192.0.2.0/24`, or what the family prints for its own NLRI.
    pub fn display(&self, family: Family) -> String {
        match self {
            Self::Prefix(prefix) => {
                // Straight into one buffer: a full table prints a million of these.
                let mut text = String::with_capacity(20);
                let _ = write!(text, "{}/{}", prefix.addr(), prefix.len());
                text
            }
            Self::Opaque(key) => nlri::display(family, key),
        }
    }
}

impl RoutePage {
    /// The canonical attributes of `row`.
    pub fn attrs(&self, row: &RouteRow) -> AttrSet<'_> {
        AttrSet::new(&self.attrs[row.attrs.start as usize..row.attrs.end as usize])
    }
}

impl From<Prefix> for Nlri {
    fn from(prefix: Prefix) -> Self {
        Self::Prefix(prefix)
    }
}

/// One candidate of a decision and where it stands.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Index into `Explanation::page.rows`.
    pub row: usize,
    /// Why it cannot be chosen at all, in words; `None` when eligible.
    pub ineligible: Option<String>,
    /// Where in the decision process it lost; `None` for the best.
    pub lost: Option<Lost>,
    /// What import did with it, in order and in words: rules of RFCs, statements of policies. Empty where every route is
    /// simply taken.
    pub import: Vec<String>,
}

/// Where in the decision process a candidate lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lost {
    /// Name of the step, for programs.
    pub step: &'static str,
    /// The step in words: "longer AS_PATH".
    pub why: &'static str,
    /// What the path has at that step; `None` where the words say all.
    pub value: Option<String>,
    /// What the path it lost to has there, likewise.
    pub against: Option<String>,
    /// Index into `Explanation::candidates` of the path it lost to: the best, except at MED.
    pub to: usize,
}

/// Why the best route of a prefix won (RFC 4271 §9.1).
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// Every path of the prefix.
    pub page: RoutePage,
    /// In order of preference, best first.
    pub candidates: Vec<Candidate>,
}
