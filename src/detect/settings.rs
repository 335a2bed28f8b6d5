//! What the operator declares to be normal, and the settings of all detectors. Each detector's own settings stand in its
//! file; here they are collected.

use std::{sync::Arc, time::Duration};

use super::{Kind, Severity, feeds, paths, scenes};
use crate::types::{Asn, Prefix};

/// `[[watch.prefix]]`: a prefix and what is normal for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchPrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// ASes that may originate it; none: nobody may (squatting).
    pub origins: Vec<Asn>,
    /// ASes that may stand next to the origin; `None`: any.
    pub upstreams: Option<Vec<Asn>>,
    /// Longest more-specific that its origins may announce without a rule of its own; `None`: none.
    pub max_length: Option<u8>,
    /// Whether more-specifics are looked at.
    pub more_specifics: bool,
    /// What it is, for people.
    pub description: Option<Arc<str>>,
    /// Kinds that are not looked for; empty: all are.
    pub ignore: Vec<Kind>,
    /// Severity that alerts about it have at most; `None`: what the evidence says.
    pub severity_max: Option<Severity>,
}

impl WatchPrefix {
    /// A rule with origins and defaults for everything else.
    pub fn new(prefix: Prefix, origins: Vec<Asn>) -> Self {
        Self {
            prefix,
            origins,
            upstreams: None,
            max_length: None,
            more_specifics: true,
            description: None,
            ignore: Vec::new(),
            severity_max: None,
        }
    }

    /// Whether a kind is looked for.
    pub fn looks_for(&self, kind: Kind) -> bool {
        !self.ignore.contains(&kind)
    }
}

/// `[[watch.asn]]`: an AS of ours and what is normal for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchAsn {
    /// The AS.
    pub asn: Asn,
    /// Its upstreams and peers: ASes that may stand left of it in a path; `None`: any.
    pub upstreams: Option<Vec<Asn>>,
    /// Its customers: ASes that may stand right of it; `None`: any.
    pub downstreams: Option<Vec<Asn>>,
    /// Whether a prefix of it that no rule knows is worth a finding.
    pub new_prefixes: bool,
}

/// Everything that detection is told.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// False: nothing is watched.
    pub enabled: bool,
    /// Our own AS.
    pub own_asn: Asn,
    /// Watched prefixes.
    pub prefixes: Vec<WatchPrefix>,
    /// Watched ASes.
    pub asns: Vec<WatchAsn>,
    /// Least number of vantage ASes, by class of vantage, that must see something before it is a finding.
    pub vantages_min: VantagesMin,
    /// After this time since the start everything is taken to have been seen once, whoever is not up or has not sent
    /// End-of-RIB.
    pub settle_max: Duration,
    /// Settings of detectors about watched prefixes.
    pub scenes: scenes::Settings,
    /// Settings of detectors about AS paths.
    pub paths: paths::Settings,
    /// Settings of detectors about sessions, numbers and RPKI.
    pub feeds: feeds::Settings,
}

/// How many vantage ASes must see something before it is a finding. Any class that has enough of them is enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VantagesMin {
    /// Sessions of our own.
    pub own: usize,
    /// Route servers.
    pub route_server: usize,
    /// Public collectors.
    pub public: usize,
}

impl Default for VantagesMin {
    fn default() -> Self {
        Self { own: 1, route_server: 1, public: 3 }
    }
}

impl Settings {
    /// Defaults for everything; nothing is declared.
    pub fn new(own_asn: Asn) -> Self {
        Self {
            enabled: true,
            own_asn,
            prefixes: Vec::new(),
            asns: Vec::new(),
            vantages_min: VantagesMin::default(),
            settle_max: Duration::from_secs(300),
            scenes: scenes::Settings::default(),
            paths: paths::Settings::default(),
            feeds: feeds::Settings::default(),
        }
    }
}
