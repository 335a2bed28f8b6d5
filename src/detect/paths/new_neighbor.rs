//! A watched AS has a neighbour that was not declared: one left of it in a path passes its routes on (an upstream or peer),
//! one right of it is a customer whose routes it passes on.
//!
//! Settings (`[detect.new_neighbor]`): `enabled` true. `[[watch.asn]]` declares `upstreams` and `downstreams`; absent: any.
//!
//! # False positives
//! A peering that was turned up and not declared. What public vantages hunt through while a network converges is no neighbour:
//! what one of them showed first must stand for a minute. Route servers are not in paths, so their members appear as neighbours.
//! A session of ours with the watched AS itself shows nobody left of it.

use std::time::Duration;

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Hold, Kind, Severity},
    types::Asn,
    view::observed::VantageClass,
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
                [(left, &rule.upstreams, Side::Upstream), (right, &rule.downstreams, Side::Downstream)]
            {
                let (Some(neighbor), Some(declared)) = (neighbor, declared) else { continue };
                if !declared.contains(neighbor) {
                    verdict.faults.push(fault(path, *asn, *neighbor, side));
                }
            }
        }
    }
}

/// On which side of the watched AS a neighbour stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// It passes on what the watched AS has.
    Upstream,
    /// The watched AS passes on what it has.
    Downstream,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Downstream => "downstream",
        }
    }
}

/// The fingerprint of a neighbour that a watched AS did not have.
pub fn key(watched: Asn, neighbor: Asn, side: Side) -> Fingerprint {
    Fingerprint::new(Kind::NewNeighbor, format!("AS{watched} {} AS{neighbor}", side.name()))
}

fn fault(path: &PathSeen<'_>, asn: Asn, neighbor: Asn, side: Side) -> Fault {
    let (summary, why) = match side {
        Side::Upstream => (
            format!("AS{asn} is reached through AS{neighbor}, which is not declared"),
            format!("AS{neighbor} passes on routes of AS{asn}, and is none of its declared upstreams and peers"),
        ),
        Side::Downstream => (
            format!("AS{asn} carries routes of AS{neighbor}, which is not declared"),
            format!("AS{asn} passes on routes of AS{neighbor}, which is none of its declared customers"),
        ),
    };
    let mut finding = Finding::new(key(asn, neighbor, side), Severity::Warning, summary, why)
        .asns("watched", [asn])
        .asns("neighbor", [neighbor])
        .evidence("side", side.name())
        .evidence("as_path", path.path.to_string())
        .term("undeclared_neighbor", 2);
    if path.vantage.class == VantageClass::Public {
        finding.hold = Hold { open: HOLD, ..Hold::default() };
    }
    Fault::new(finding)
}

/// How long what public vantages show must stand.
const HOLD: Duration = Duration::from_secs(60);
