//! Is it legitimate: RPKI facts and what follows from them, pure. `rov` validates origins (RFC 6811), `aspa` verifies
//! paths (draft-ietf-sidrops-aspa-verification-22), `slurm` applies local exceptions (RFC 8416), `hypothesis` tries
//! changes that nobody made yet. A `Snapshot` is built whole from what each source holds and never changes; whoever has
//! one can judge any route without asking anybody.
//!
//! What is not here: sockets, files and timers (`io::rpki`), and which routes there are (`engine`).

pub mod aspa;
pub mod hypothesis;
pub mod json;
pub mod rov;
pub mod slurm;

use std::{fmt, sync::Arc};

use self::{aspa::AspaTable, rov::VrpTable};
use crate::types::{Asn, Prefix};

/// A validated ROA payload (RFC 6811 §2): this AS may originate the prefix and what is inside it, down to `max_len`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Vrp {
    /// The prefix of the ROA.
    pub prefix: Prefix,
    /// Longest prefix length that the AS may announce; never below the prefix's own.
    pub max_len: u8,
    /// The AS; 0 says that nobody may (RFC 6483 §4).
    pub asn: Asn,
}

impl Vrp {
    /// A VRP, or why there can be none.
    ///
    /// # Errors
    /// `max_len` is shorter than the prefix or longer than an address (RFC 9582 §4.3.2.2).
    pub fn new(prefix: Prefix, max_len: u8, asn: Asn) -> Result<Self, String> {
        let bits = if prefix.is_v4() { 32 } else { 128 };
        if (prefix.len()..=bits).contains(&max_len) {
            Ok(Self { prefix, max_len, asn })
        } else {
            let (least, asn) = (prefix.len(), asn.0);
            Err(format!("{prefix} with maximum length {max_len} for AS{asn}: it must be from {least} to {bits}"))
        }
    }
}

impl fmt::Display for Vrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} AS{}", self.prefix, self.max_len, self.asn.0)
    }
}

/// An AS that said who its providers are (draft-ietf-sidrops-aspa-profile).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Aspa {
    /// The AS that speaks.
    pub customer: Asn,
    /// Its providers, ascending, each once; AS 0 alone says that it has none.
    pub providers: Vec<Asn>,
}

impl Aspa {
    /// An attestation with its providers in order.
    pub fn new(customer: Asn, mut providers: Vec<Asn>) -> Self {
        providers.sort_unstable();
        providers.dedup();
        Self { customer, providers }
    }
}

/// Everything that one source holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PayloadSet {
    /// VRPs, in any order.
    pub vrps: Vec<Vrp>,
    /// ASPAs, in any order.
    pub aspas: Vec<Aspa>,
}

/// Number of a source in a snapshot: its place in the list that the snapshot was built from.
pub type SourceId = u8;

/// Which sources say something: bit n is source n.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct SourceSet(u16);

/// Sources that a snapshot can tell apart.
pub const SOURCES_MAX: usize = 16;

impl SourceSet {
    /// One source alone. A number of `SOURCES_MAX` or above counts as the last.
    pub fn one(source: SourceId) -> Self {
        Self(1 << usize::from(source).min(SOURCES_MAX - 1))
    }

    /// Those of both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a source is among them.
    pub fn has(self, source: SourceId) -> bool {
        self.0 & Self::one(source).0 != 0
    }

    /// Their numbers, ascending.
    pub fn iter(self) -> impl Iterator<Item = SourceId> {
        (0..SOURCES_MAX as SourceId).filter(move |source| self.has(*source))
    }
}

/// What RPKI says at one moment, from all sources in force together. Never changes; a new one replaces it as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// VRPs of all sources.
    pub vrps: VrpTable,
    /// ASPAs of all sources.
    pub aspas: AspaTable,
    /// Whether any source ever had data: without, nothing is known and nothing is judged.
    pub loaded: bool,
}

impl Snapshot {
    /// What one source holds.
    pub fn of(source: SourceId, set: &PayloadSet) -> Self {
        let source = SourceSet::one(source);
        Self {
            vrps: VrpTable::new(set.vrps.iter().map(|vrp| (*vrp, source)).collect()),
            aspas: AspaTable::new(set.aspas.iter().map(|aspa| (aspa.clone(), source))),
            loaded: true,
        }
    }

    /// What several hold together.
    pub fn union<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let (mut vrps, mut aspas, mut loaded) = (Vec::new(), Vec::new(), false);
        for part in parts {
            vrps.extend(part.vrps.iter());
            aspas.extend(part.aspas.iter_with_sources());
            loaded |= part.loaded;
        }
        Self { vrps: VrpTable::new(vrps), aspas: AspaTable::new(aspas), loaded }
    }

    /// What it holds, whoever says it.
    pub fn payload(&self) -> PayloadSet {
        PayloadSet { vrps: self.vrps.iter().map(|(vrp, _)| vrp).collect(), aspas: self.aspas.iter().collect() }
    }

    /// The state of a route (RFC 6811 §2); `NotChecked` before any source had data.
    pub fn origin_state(&self, prefix: Prefix, origin: Option<Asn>) -> OriginState {
        if self.loaded { self.vrps.state(prefix, origin) } else { OriginState::NotChecked }
    }
}

/// A new snapshot, and what it can change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    /// What is in force now.
    pub snapshot: Arc<Snapshot>,
    /// Prefixes of VRPs that came or went: only routes that are one of them, or inside one, can have another state.
    /// `None`: any route can.
    pub changed: Option<Vec<Prefix>>,
}

impl Update {
    /// More changed VRPs are not told one by one: going through the whole table is then cheaper.
    const CHANGES_MAX: usize = 2000;

    /// What leads from `old` to `new`.
    pub fn between(old: &Snapshot, new: Arc<Snapshot>) -> Self {
        let comparable = old.loaded == new.loaded && old.aspas == new.aspas;
        let changed = comparable.then(|| {
            let (added, removed) = old.vrps.difference(&new.vrps);
            let mut prefixes: Vec<Prefix> = added.iter().chain(&removed).map(|vrp| vrp.prefix).collect();
            prefixes.sort_unstable();
            prefixes.dedup();
            prefixes
        });
        Self { snapshot: new, changed: changed.filter(|prefixes| prefixes.len() <= Self::CHANGES_MAX) }
    }
}

/// Origin validation state of a route (RFC 6811 §2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum OriginState {
    /// Nothing was asked: there are no RPKI data, or the family has no origin validation.
    #[default]
    NotChecked,
    /// No VRP covers the prefix.
    NotFound,
    /// A VRP covers the prefix and matches.
    Valid,
    /// VRPs cover the prefix, and none matches.
    Invalid,
}

impl OriginState {
    /// Every state, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::NotChecked, Self::NotFound, Self::Valid, Self::Invalid];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotChecked => "not_checked",
            Self::NotFound => "not_found",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }

    /// As the contract spells it; `None` where nothing was checked.
    pub fn answer(self) -> Option<&'static str> {
        (self != Self::NotChecked).then(|| self.name())
    }

    /// The state in two bits.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The state of the low two bits of a code.
    pub fn from_code(code: u8) -> Self {
        Self::ALL[usize::from(code & 3)]
    }
}

/// Outcome of ASPA path verification.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum PathState {
    /// Nothing was asked: no direction is known for the neighbour, or there are no ASPAs.
    #[default]
    NotChecked,
    /// Attestations are missing that could prove or disprove the path.
    Unknown,
    /// The path can be as it is.
    Valid,
    /// The path contradicts what its ASes attested: a leak or a forgery.
    Invalid,
}

impl PathState {
    /// Every state, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::NotChecked, Self::Unknown, Self::Valid, Self::Invalid];

    /// As in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotChecked => "not_checked",
            Self::Unknown => "unknown",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }

    /// As the contract spells it; `None` where nothing was checked.
    pub fn answer(self) -> Option<&'static str> {
        (self != Self::NotChecked).then(|| self.name())
    }

    /// The state in two bits.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The state of the low two bits of a code.
    pub fn from_code(code: u8) -> Self {
        Self::ALL[usize::from(code & 3)]
    }
}

#[cfg(test)]
mod tests;
