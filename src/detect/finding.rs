//! A finding: something wrong that the routes show now, with all that shows it. It has no life of its own: a detector
//! raises it while its support holds and clears it when it does not; `alert` gives it hold times, an id and an end.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Kind, Severity};
use crate::types::{Asn, Prefix, Timestamp};

/// What makes two findings the same: the kind and what it is about, in words that do not change over restarts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint {
    /// What is wrong.
    pub kind: Kind,
    /// With what: `203.0.113.0/24 AS64511`, `AS64496 > AS64497`, a neighbour's name.
    pub subject: Arc<str>,
}

impl Fingerprint {
    /// The fingerprint of `kind` about `subject`.
    pub fn new(kind: Kind, subject: impl Into<Arc<str>>) -> Self {
        Self { kind, subject: subject.into() }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.subject)
    }
}

/// One signed term of a score: why we believe or doubt a finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    /// What was looked at: `rpki_invalid`, `own_session`, `new_adjacency`.
    pub name: &'static str,
    /// What it adds; below zero speaks against the finding.
    pub weight: i32,
}

/// How long a finding must stand, and be gone, before people hear of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold {
    /// A finding that is cleared earlier than this was never an alert.
    pub open: Duration,
    /// An alert whose finding comes back earlier than this was never resolved.
    pub resolve: Duration,
}

impl Default for Hold {
    fn default() -> Self {
        Self { open: Duration::ZERO, resolve: Duration::from_secs(60) }
    }
}

/// Something wrong, as it stands now.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// What it is.
    pub key: Fingerprint,
    /// The cause that it belongs to, where several findings have one: they are one alert with members. `None`: it
    /// stands for itself.
    pub cause: Option<Fingerprint>,
    /// It is what its cause does to something that the alert names already, and no member of its own.
    pub symptom: bool,
    /// How grave it is, from the evidence.
    pub severity: Severity,
    /// The prefix it is about, where it is about one.
    pub prefix: Option<Prefix>,
    /// ASes by the part they play: `expected`, `observed`, `leaker`, `origin`, `neighbor`, …
    pub asns: BTreeMap<&'static str, Vec<Asn>>,
    /// Neighbours whose sessions show it now, by name or address, sorted.
    pub neighbors: Vec<Arc<str>>,
    /// One line for a list: what, where.
    pub summary: String,
    /// One sentence that a person on call understands: why we say so.
    pub why: String,
    /// Signed terms of the score that led to the severity.
    pub score: Vec<Term>,
    /// The observations it rests on, by name, ready for JSON.
    pub evidence: BTreeMap<&'static str, Value>,
    /// What it is about when it is about many things: a sample, sorted.
    pub members: Vec<String>,
    /// How many members there are; at least `members.len()`.
    pub member_count: u64,
    /// How long it must stand and be gone.
    pub hold: Hold,
}

impl Finding {
    /// Most members that a finding names; the others are counted.
    pub const MEMBERS_MAX: usize = 100;

    /// A finding with its words; everything else is empty and is filled with the functions below.
    pub fn new(key: Fingerprint, severity: Severity, summary: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            key,
            cause: None,
            symptom: false,
            severity,
            prefix: None,
            asns: BTreeMap::new(),
            neighbors: Vec::new(),
            summary: summary.into(),
            why: why.into(),
            score: Vec::new(),
            evidence: BTreeMap::new(),
            members: Vec::new(),
            member_count: 0,
            hold: Hold::default(),
        }
    }

    /// With the prefix it is about.
    #[must_use]
    pub fn about(mut self, prefix: Prefix) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// With ASes that play a part.
    #[must_use]
    pub fn asns(mut self, part: &'static str, asns: impl IntoIterator<Item = Asn>) -> Self {
        let asns: Vec<Asn> = asns.into_iter().collect();
        self.asns.insert(part, asns);
        self
    }

    /// With a piece of evidence.
    #[must_use]
    pub fn evidence(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.evidence.insert(name, value.into());
        self
    }

    /// With a term of its score.
    #[must_use]
    pub fn term(mut self, name: &'static str, weight: i32) -> Self {
        self.score.push(Term { name, weight });
        self
    }

    /// The sum of its score.
    pub fn total(&self) -> i32 {
        self.score.iter().map(|term| term.weight).sum()
    }
}

/// What a detector has to say, at a time.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// When what it rests on happened.
    pub at: Timestamp,
    /// What it is.
    pub news: News,
}

/// What became of a finding.
#[derive(Clone, PartialEq, Debug)]
pub enum News {
    /// It was not there before, or it stands on other observations now. Told once per change that matters.
    Stands(Box<Finding>),
    /// It does not stand any more.
    Cleared {
        /// Which one.
        key: Fingerprint,
        /// What ended it, half a sentence: `withdrawn by all 3 neighbors that had it`.
        how: String,
    },
    /// All that this process could see has been seen at least once since its start: what was known before the start and
    /// does not stand now is over.
    Settled,
}
