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
//! | 6 internal more-specifics | | | `scenes::origin`: parts from a customer of the origin past the origin |
//!
//! What is known is ranked, and the weaker of the two edges decides how much is claimed:
//!
//! 1. ASPA says that the path is invalid: whatever else the turn rests on, it is critical.
//! 2. The route carries OTC of an AS behind the leaker (RFC 9234 §5): whoever has it may give it to customers only.
//! 3. Our own role towards a neighbour: critical. What the operator declares (`[[watch.relation]]`): a warning.
//! 4. Networks that buy transit from nobody (`transit_free` of `[detect.peerlock]`): a warning.
//! 5. A relationship file (CAIDA serial-1 and serial-2 form), of which only what it says of providers counts: information. It
//!    never wakes anybody by itself.
//!
//! ASPA and OTC have detectors of their own, too, which need no relations.
//!
//! Settings (`[detect.leak]`) and defaults: `inferred` "watched", `relations` no file.
//!
//! Of two ASes that may be the leaker the one nearer to us is named, with the other as a candidate; of more, nobody is unless it is
//! known to have given it to a provider or peer.
//!
//! # False positives
//! Inferred relations are wrong for siblings, partial transit and exchanges, and lists of networks without upstreams grow
//! old. So a leak that rests on them is told of only where the origin is watched (`inferred = "watched"`, the default). What
//! inferred relations say of the tables as they were when all was first seen is an old arrangement, and is not told.

mod relations;
mod valley;

use std::collections::BTreeSet;

pub use relations::{Evidence, Relation, Relations};
use valley::{Step, Valley};

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Kind, Severity, settings::Settings as All},
    types::{Asn, Role},
    validation::PathState,
};

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

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Of which origins leaks are told that rest on inferred relations.
    pub inferred: Scope,
    /// What is known of relations, declared and inferred.
    pub relations: Relations,
    /// Whether what inferred relations say of the first tables is taken to be normal; not where only changes are known.
    pub normal_at_start: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, inferred: Scope::default(), relations: Relations::default(), normal_at_start: true }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Leak {
    relations: Relations,
    inferred: Scope,
    own_asn: Asn,
    watched: BTreeSet<Asn>,
    transit_free: BTreeSet<Asn>,
    /// The operator says of some networks what they are to each other.
    declares: bool,
}

impl Leak {
    /// As the settings say.
    pub fn new(settings: &Settings, all: &All) -> Option<Self> {
        let origins = all.prefixes.iter().flat_map(|rule| rule.origins.iter().copied());
        let peerlock = &all.paths.peerlock;
        settings.enabled.then(|| Self {
            declares: settings.relations.knows(Evidence::Declared),
            relations: settings.relations.clone(),
            inferred: settings.inferred,
            own_asn: all.own_asn,
            watched: origins.chain(all.asns.iter().map(|rule| rule.asn)).collect(),
            transit_free: peerlock.transit_free.iter().filter(|_| peerlock.enabled).copied().collect(),
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

    /// The first turn, seen from the origin, on the best evidence that there is for any. `weak_too`: also on evidence that the
    /// operator did not declare.
    fn valley(&self, path: &PathSeen<'_>, weak_too: bool) -> Option<Valley> {
        let own = [self.own_asn];
        let ends_here = !path.vantage.internal && path.vantage.local_role.is_some();
        if !weak_too && !ends_here && !self.declares {
            // Nearly all paths of a table.
            return None;
        }
        let towards_us = if ends_here { &own[..] } else { &[] };
        let ases: Vec<Asn> = towards_us.iter().chain(&path.hops).copied().collect();
        let is_free = |asn: Asn| self.transit_free.contains(&asn);
        let step = |of: Asn, other: Asn| Step::new(self.relation(path, of, other), (is_free(of), is_free(other)));
        let ranks = [Evidence::Declared, Evidence::TransitFree, Evidence::Inferred];
        let ranks = if weak_too { &ranks[..] } else { &ranks[..1] };
        let mut valley = ranks.iter().find_map(|least| valley::first(&ases, *least, step))?;
        // A path with one AS in several places was made by hand (poisoning): it says little of who gave what to whom.
        let weak = valley.evidence.0.min(valley.evidence.1) <= Evidence::TransitFree;
        if weak && (1..ases.len()).any(|at| ases[..at].contains(&ases[at])) {
            return None;
        }
        // RFC 9234 §5: behind whoever marked it, it may go down only. A mark of the leaker itself is for those after it.
        let marked = path.attrs.otc().and_then(|marked| ases.iter().rposition(|asn| *asn == marked));
        let leaker = ases.iter().rposition(|asn| *asn == valley.leaker)?;
        if marked.is_some_and(|marked| marked > leaker) {
            valley.evidence.0 = Evidence::Otc;
        }
        // Stands for another AS, which nobody knows (RFC 6793 §9).
        (valley.leaker != Asn::TRANS).then_some(valley)
    }
}

impl PathRule for Leak {
    fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict) {
        let proved = path.aspa == PathState::Invalid;
        let origin = path.facts.origin_asn().filter(|origin| self.watched.contains(origin));
        let weak_is_told = match self.inferred {
            _ if proved => true,
            Scope::Off => false,
            Scope::Watched => origin.is_some(),
            Scope::All => true,
        };
        // A mark (RFC 9234) makes strong what was weak.
        let Some(valley) = self.valley(path, weak_is_told || path.attrs.otc().is_some()) else { return };
        let evidence = valley.evidence.0.min(valley.evidence.1);
        if evidence <= Evidence::TransitFree && !weak_is_told {
            return;
        }
        let finding = finding(&valley, evidence, proved, origin);
        let weak = evidence == Evidence::Inferred && !proved;
        verdict.faults.push(Fault { weak, ..Fault::new(finding.evidence("as_path", path.path.to_string())) });
    }
}

fn finding(valley: &Valley, evidence: Evidence, proved: bool, watched: Option<Asn>) -> Finding {
    let Valley { from, leaker, to, .. } = *valley;
    let word = |relation: Option<Relation>| match relation {
        Some(Relation::Provider) => "its provider",
        Some(Relation::Peer) => "its peer",
        Some(Relation::Customer) => "its customer",
        None => "its provider or peer",
    };
    let basis = match evidence {
        Evidence::Inferred => "as a relationship file infers",
        Evidence::TransitFree => "for it stands between networks that buy transit from nobody",
        Evidence::Declared => "as declared",
        Evidence::Role => "as our role and what is declared say",
        Evidence::Otc => "and the route is marked for customers only (RFC 9234)",
    };
    let (kind, certain) = valley.kind();
    let what = match certain {
        true => format!("a leak of type {kind} (RFC 7908 §3.{kind})"),
        false => "a leak of type 1 to 4 (RFC 7908 §3)".to_owned(),
    };
    let others: Vec<String> =
        valley.candidates.iter().filter(|asn| **asn != leaker).map(|asn| format!("AS{asn}")).collect();
    let or = match others.is_empty() {
        true => String::new(),
        false => format!("; or it was {} before it, whose relation to it is not known", others.join(" or ")),
    };
    let source = if valley.source.is_none() && !others.is_empty() { "" } else { word(valley.source) };
    let comma = if source.is_empty() { "" } else { ", " };
    // Of more than two of which nothing is known nobody is named: that would be to blame one of many.
    let unknown = others.len() >= 2 && valley.target.is_none();
    let why = match unknown {
        false => format!(
            "AS{leaker} has the routes from AS{from}{comma}{source}, and passes them on to AS{to}, {}, {basis}: {what}{or}",
            word(valley.target)
        ),
        true => format!(
            "before AS{to} the route has turned up again, {basis}: {what}, by AS{leaker} or {}, whose relations are not known",
            others.join(" or ")
        ),
    };
    let severity = match (evidence, proved) {
        (_, true) | (Evidence::Role | Evidence::Otc, _) => Severity::Critical,
        (Evidence::Declared | Evidence::TransitFree, _) => Severity::Warning,
        (Evidence::Inferred, _) => Severity::Info,
    };
    // Routes of an AS that is watched are a finding of their own, which names it.
    let of = watched.map(|origin| format!(", routes of AS{origin}")).unwrap_or_default();
    let (subject, summary) = match unknown {
        false => (
            format!("AS{leaker}: AS{from} to AS{to}{of}"),
            format!("AS{leaker} leaks routes of AS{from} to AS{to}{of}"),
        ),
        true => (
            format!("one of several to AS{to}{of}"),
            format!("one of {} ASes leaks routes to AS{to}{of}", valley.candidates.len()),
        ),
    };
    let (term, weight) = evidence.term();
    let mut finding = Finding::new(Fingerprint::new(Kind::RouteLeak, subject), severity, summary, why);
    if !unknown {
        finding = finding.asns("leaker", [leaker]).asns("segment", [from, leaker, to]);
    }
    finding = finding
        .evidence("leak_type", kind)
        .evidence("leak_type_certain", certain)
        .evidence("evidence", if proved { "aspa" } else { evidence.name() })
        .term(term, weight);
    if let Some(origin) = watched {
        finding = finding.asns("origin", [origin]);
    }
    if !others.is_empty() {
        finding = finding.asns("candidates", valley.candidates.iter().copied());
    }
    if proved {
        finding = finding.term("aspa_invalid", 5);
    }
    // One leaker is one alert, whoever it leaks from and to.
    finding.cause = Some(match unknown {
        false => cause(leaker),
        true => Fingerprint::new(Kind::RouteLeak, format!("to AS{to}")),
    });
    finding
}

/// What all findings about one leaker have for their cause.
pub fn cause(leaker: Asn) -> Fingerprint {
    Fingerprint::new(Kind::RouteLeak, format!("AS{leaker}"))
}
