//! A watched AS has a neighbour that was not declared: one left of it in a path passes its routes on (an upstream or peer),
//! one right of it is a customer whose routes it passes on.
//!
//! # False positives
//! A peering that was turned up and not declared. Route servers are not in paths, so their members appear as neighbours.
//! A session of ours with the watched AS itself shows nobody left of it.

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Kind, Severity},
    types::Asn,
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// The detector.
#[derive(Debug)]
pub struct NewNeighbor;

impl NewNeighbor {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then_some(Self)
    }
}

impl PathRule for NewNeighbor {
    fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict) {
        if !path.watch.watches_asns() {
            return;
        }
        for (at, asn) in path.hops.iter().enumerate() {
            let Some(rule) = path.watch.asn(*asn) else { continue };
            let left = at.checked_sub(1).and_then(|left| path.hops.get(left));
            let right = path.hops.get(at + 1);
            for (neighbor, declared, side) in
                [(left, &rule.upstreams, "upstream"), (right, &rule.downstreams, "downstream")]
            {
                let (Some(neighbor), Some(declared)) = (neighbor, declared) else { continue };
                if !declared.contains(neighbor) {
                    verdict.faults.push(fault(path, *asn, *neighbor, side));
                }
            }
        }
    }
}

fn fault(path: &PathSeen<'_>, asn: Asn, neighbor: Asn, side: &'static str) -> Fault {
    let key = Fingerprint::new(Kind::NewNeighbor, format!("AS{asn} {side} AS{neighbor}"));
    let (summary, why) = match side {
        "upstream" => (
            format!("AS{asn} is reached through AS{neighbor}, which is not declared"),
            format!("AS{neighbor} passes on routes of AS{asn}, and is none of its declared upstreams and peers"),
        ),
        _ => (
            format!("AS{asn} carries routes of AS{neighbor}, which is not declared"),
            format!("AS{asn} passes on routes of AS{neighbor}, which is none of its declared customers"),
        ),
    };
    let finding = Finding::new(key, Severity::Warning, summary, why)
        .asns("watched", [asn])
        .asns("neighbor", [neighbor])
        .evidence("side", side)
        .evidence("as_path", path.path.to_string())
        .term("undeclared_neighbor", 2);
    Fault::new(finding)
}
