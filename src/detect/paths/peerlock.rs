//! Protected ASes: in a path, the AS that passes on a route of a protected AS must be one that may carry it.
//!
//! Two rules. Declared ones (`[[watch.peerlock]]`): the protected AS and those that may stand in front of it. And the
//! same without declarations: a network that buys transit from nobody has no place in a path that a customer sends us.
//!
//! Settings (`[detect.peerlock]`) and defaults: `transit_free`, sixteen ASes; `[[watch.peerlock]]` protects others.
//!
//! # False positives
//! Backup transit that is used in an outage and was not declared. Networks without upstreams change over the years: the
//! list is a setting.

use std::collections::BTreeMap;

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Kind, Severity},
    types::{Asn, Role},
};

/// Networks that are known to buy transit from nobody.
pub const TRANSIT_FREE: &[u32] =
    &[174, 701, 1239, 1299, 2914, 3257, 3320, 3356, 3491, 5511, 6453, 6461, 6762, 6830, 7018, 12956];

/// `[[watch.peerlock]]`: a protected AS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protected {
    /// The AS.
    pub asn: Asn,
    /// Those that may pass its routes on.
    pub via: Vec<Asn>,
}

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Protected ASes.
    pub protected: Vec<Protected>,
    /// Networks that must not be in paths of customers.
    pub transit_free: Vec<Asn>,
}

impl Default for Settings {
    fn default() -> Self {
        let transit_free = TRANSIT_FREE.iter().map(|asn| Asn(*asn)).collect();
        Self { enabled: true, protected: Vec::new(), transit_free }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Peerlock {
    protected: BTreeMap<Asn, Vec<Asn>>,
    transit_free: Vec<Asn>,
}

impl Peerlock {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        let mut transit_free = settings.transit_free.clone();
        transit_free.sort_unstable();
        let protected = settings.protected.iter().map(|p| (p.asn, p.via.clone())).collect();
        settings.enabled.then_some(Self { protected, transit_free })
    }

    fn fault(path: &PathSeen<'_>, protected: Asn, by: Asn, why: String) -> Fault {
        let key = Fingerprint::new(Kind::Peerlock, format!("AS{protected} through AS{by}"));
        let summary = format!("AS{by} passes on routes of AS{protected}");
        let finding = Finding::new(key, Severity::Critical, summary, why)
            .asns("protected", [protected])
            .asns("leaker", [by])
            .evidence("as_path", path.path.to_string())
            .term("peerlock", 6);
        Fault { vantages_min: Some(1), ..Fault::new(finding) }
    }
}

impl PathRule for Peerlock {
    fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict) {
        if !self.protected.is_empty() {
            for pair in path.hops.windows(2) {
                let [by, asn] = pair else { continue };
                let Some(via) = self.protected.get(asn).filter(|via| !via.contains(by)) else { continue };
                let declared = via.iter().map(|asn| format!("AS{asn}")).collect::<Vec<_>>().join(", ");
                let who = if via.is_empty() { "nobody".to_owned() } else { declared };
                let why = format!("routes of AS{asn} may be passed on by {who}, and these come through AS{by}");
                verdict.faults.push(Self::fault(path, *asn, *by, why));
            }
        }
        if path.vantage.local_role != Some(Role::Provider) {
            return;
        }
        let big = |asn: &Asn| self.transit_free.binary_search(asn).is_ok();
        if let Some(at) = path.hops.iter().skip(1).position(big)
            && let (Some(by), Some(asn)) = (path.hops.get(at), path.hops.get(at + 1))
        {
            let why = format!(
                "AS{} is our customer, and AS{asn}, which buys transit from nobody, is in its path: AS{by} passes on \
                 what it has from it",
                path.vantage.asn
            );
            let fault = Self::fault(path, *asn, *by, why);
            if !verdict.faults.iter().any(|other| other.finding.key == fault.finding.key) {
                verdict.faults.push(fault);
            }
        }
    }
}
