//! Route leaks (RFC 7908): an AS passes a route from one provider or peer on to another. The path is walked from its origin
//! towards us; the first AS behind which it turns up again is the leaker, and the two edges give the type.
//!
//! | type | from | to | seen here by |
//! |---|---|---|---|
//! | 1 hairpin | provider | provider | this |
//! | 2 lateral | peer | peer | this |
//! | 3 | provider | peer | this |
//! | 4 | peer | provider | this |
//! | 5 re-origination | | | `origin-hijack`, `subprefix-hijack`: the leaker is the origin |
//! | 6 internal more-specifics | | | `new-prefix` of a part from its own origin, and `first-hop` |
//!
//! Relations come from the operator (`[[watch.relation]]`, and our own roles towards neighbours) and from a relationship
//! file (CAIDA serial-1 and serial-2 form). The weaker of the two edges decides how much is claimed: inferred relations alone
//! never wake anybody. ASPA and OTC have detectors of their own, which need no relations.
//!
//! # False positives
//! Inferred relations are wrong for siblings, partial transit and exchanges. So a leak that rests on them is told of only
//! where the origin is watched (`inferred = "watched"`, the default), and as information.

use std::collections::{BTreeSet, HashMap};

use rustc_hash::FxBuildHasher;

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Kind, Severity, settings::Settings as All},
    types::{Asn, Role},
    validation::PathState,
};

/// What one AS is to another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Relation {
    /// It sells transit to the other.
    Provider,
    /// They peer.
    Peer,
    /// It buys transit from the other.
    Customer,
}

/// How a relation is known; the later, the more it is worth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Evidence {
    /// From a relationship file.
    Inferred,
    /// The operator says so.
    Declared,
    /// Our own role towards a neighbour.
    Role,
}

impl Evidence {
    fn name(self) -> &'static str {
        match self {
            Self::Inferred => "inferred",
            Self::Declared => "declared",
            Self::Role => "role",
        }
    }
}

/// Of which origins leaks are told that rest on inferred relations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scope {
    /// Of none.
    Off,
    /// Of origins that rules name.
    #[default]
    Watched,
    /// Of all.
    All,
}

/// Relations between ASes: of `(a, b)` what `b` is to `a`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Relations(HashMap<(Asn, Asn), (Relation, Evidence), FxBuildHasher>);

impl Relations {
    /// Adds that `provider` sells transit to `customer`; better evidence stays.
    pub fn transit(&mut self, provider: Asn, customer: Asn, evidence: Evidence) {
        self.add(customer, provider, Relation::Provider, evidence);
        self.add(provider, customer, Relation::Customer, evidence);
    }

    /// Adds that two peer.
    pub fn peering(&mut self, a: Asn, b: Asn, evidence: Evidence) {
        self.add(a, b, Relation::Peer, evidence);
        self.add(b, a, Relation::Peer, evidence);
    }

    fn add(&mut self, of: Asn, other: Asn, relation: Relation, evidence: Evidence) {
        let known = self.0.entry((of, other)).or_insert((relation, evidence));
        if known.1 < evidence {
            *known = (relation, evidence);
        }
    }

    /// What `other` is to `of`.
    pub fn get(&self, of: Asn, other: Asn) -> Option<(Relation, Evidence)> {
        self.0.get(&(of, other)).copied()
    }

    /// Number of relations.
    pub fn len(&self) -> usize {
        self.0.len() / 2
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what a relationship file says (serial-1: `provider|customer|-1`, `peer|peer|0`; serial-2 has a fourth field).
    /// Comment lines are skipped; numbers of lines that mean nothing come back.
    pub fn read(&mut self, text: &str) -> Vec<usize> {
        let mut bad = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut fields = line.split('|');
            let mut asn = || fields.next()?.trim().parse::<u32>().ok().map(Asn);
            let (a, b) = (asn(), asn());
            match (a, b, fields.next().map(str::trim)) {
                (Some(a), Some(b), Some("-1")) => self.transit(a, b, Evidence::Inferred),
                (Some(a), Some(b), Some("0")) => self.peering(a, b, Evidence::Inferred),
                _ => bad.push(at + 1),
            }
        }
        bad
    }
}

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Of which origins leaks are told that rest on inferred relations.
    pub inferred: Scope,
    /// What is known of relations, declared and inferred.
    pub relations: Relations,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, inferred: Scope::default(), relations: Relations::default() }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Leak {
    relations: Relations,
    inferred: Scope,
    own_asn: Asn,
    watched: BTreeSet<Asn>,
}

/// The leaker with the AS that it has the route from and the one that it gave it to.
struct Valley {
    from: Asn,
    leaker: Asn,
    to: Asn,
    kind: u8,
    evidence: Evidence,
}

impl Leak {
    /// As the settings say.
    pub fn new(settings: &Settings, all: &All) -> Option<Self> {
        let origins = all.prefixes.iter().flat_map(|rule| rule.origins.iter().copied());
        settings.enabled.then(|| Self {
            relations: settings.relations.clone(),
            inferred: settings.inferred,
            own_asn: all.own_asn,
            watched: origins.chain(all.asns.iter().map(|rule| rule.asn)).collect(),
        })
    }

    /// What `other` is to `of`; towards us our role says it.
    fn relation(&self, path: &PathSeen<'_>, of: Asn, other: Asn) -> Option<(Relation, Evidence)> {
        if other == self.own_asn && of == path.vantage.asn {
            let relation = match path.vantage.local_role? {
                Role::Provider => Relation::Provider,
                Role::Customer => Relation::Customer,
                Role::Peer => Relation::Peer,
                Role::RouteServer | Role::RouteServerClient => return None,
            };
            return Some((relation, Evidence::Role));
        }
        self.relations.get(of, other)
    }

    /// The first turn, seen from the origin.
    fn valley(&self, path: &PathSeen<'_>) -> Option<Valley> {
        let own = [self.own_asn];
        let ends_here = !path.vantage.internal && path.vantage.local_role.is_some();
        let towards_us = if ends_here { &own[..] } else { &[] };
        let ases: Vec<Asn> = towards_us.iter().chain(&path.hops).copied().collect();
        for at in (1..ases.len().saturating_sub(1)).rev() {
            let (to, leaker, from) = (ases[at - 1], ases[at], ases[at + 1]);
            let Some((source, known)) = self.relation(path, leaker, from) else { continue };
            let Some((target, known_too)) = self.relation(path, leaker, to) else { continue };
            let kind = match (source, target) {
                (Relation::Provider, Relation::Provider) => 1,
                (Relation::Peer, Relation::Peer) => 2,
                (Relation::Provider, Relation::Peer) => 3,
                (Relation::Peer, Relation::Provider) => 4,
                _ => continue,
            };
            return Some(Valley { from, leaker, to, kind, evidence: known.min(known_too) });
        }
        None
    }
}

impl PathRule for Leak {
    fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict) {
        if self.relations.is_empty() {
            return;
        }
        let Some(valley) = self.valley(path) else { return };
        let Valley { from, leaker, to, kind, evidence } = valley;
        let proved = path.aspa == PathState::Invalid;
        if evidence == Evidence::Inferred && !proved {
            let origin = path.facts.origin_asn().unwrap_or_default();
            match self.inferred {
                Scope::Off => return,
                Scope::Watched if !self.watched.contains(&origin) => return,
                Scope::Watched | Scope::All => {}
            }
        }
        let (source, target) = match kind {
            1 => ("provider", "provider"),
            2 => ("peer", "peer"),
            3 => ("provider", "peer"),
            _ => ("peer", "provider"),
        };
        let basis = match evidence {
            Evidence::Inferred => "as a relationship file infers",
            Evidence::Declared => "as declared",
            Evidence::Role => "as our role and what is declared say",
        };
        let why = format!(
            "AS{leaker} has the routes from AS{from}, its {source}, and passes them on to AS{to}, its {target}, {basis}: \
             a leak of type {kind} (RFC 7908 §3.{kind})"
        );
        let severity = match (evidence, proved) {
            (_, true) | (Evidence::Role, _) => Severity::Critical,
            (Evidence::Declared, _) => Severity::Warning,
            (Evidence::Inferred, _) => Severity::Info,
        };
        let key = Fingerprint::new(Kind::RouteLeak, format!("AS{leaker}: AS{from} to AS{to}"));
        let mut finding = Finding::new(key, severity, format!("AS{leaker} leaks routes of AS{from} to AS{to}"), why)
            .asns("leaker", [leaker])
            .asns("segment", [from, leaker, to])
            .evidence("leak_type", kind)
            .evidence("evidence", if proved { "aspa" } else { evidence.name() })
            .evidence("as_path", path.path.to_string())
            .term(evidence.name(), if evidence == Evidence::Inferred { 1 } else { 4 });
        if proved {
            finding = finding.term("aspa_invalid", 5);
        }
        // One leaker is one alert, whoever it leaks from and to.
        finding.cause = Some(Fingerprint::new(Kind::RouteLeak, format!("AS{leaker}")));
        verdict.faults.push(Fault::new(finding));
    }
}
