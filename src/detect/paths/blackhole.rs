//! Routes marked to be discarded (BLACKHOLE, RFC 7999, and communities of the operator's) that should not be there: for more
//! than a host, or passed on beyond the AS that was asked to discard.
//!
//! Settings (`[detect.blackhole]`) and defaults: `communities` none beside BLACKHOLE.
//!
//! # False positives
//! A host route with BLACKHOLE from a neighbour's own customer is a defence against an attack: nothing is said of it.
//! RFC 7999 §3.2 asks that such routes are not passed on; some exchanges do by agreement.

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Kind, Severity},
    types::Prefix,
    wire::bgp::community::Community,
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Communities that mean it, beside BLACKHOLE.
    pub communities: Vec<Community>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, communities: Vec::new() }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Blackhole {
    communities: Vec<Community>,
}

impl Blackhole {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        let mut communities = settings.communities.clone();
        communities.push(Community::BLACKHOLE);
        settings.enabled.then_some(Self { communities })
    }

    fn marks(&self, path: &PathSeen<'_>) -> bool {
        path.attrs.communities().any(|community| self.communities.contains(&community))
    }
}

impl PathRule for Blackhole {
    fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict) {
        verdict.by_prefix |= self.marks(path);
    }

    fn judge_prefix(&self, path: &PathSeen<'_>, prefix: Prefix, verdict: &mut Verdict) {
        if !self.marks(path) {
            return;
        }
        let (host, wide) = if prefix.is_v4() { (32, 24) } else { (128, 48) };
        let origin = path.facts.origin_asn().unwrap_or(path.vantage.asn);
        let rule = path.watch.rule(prefix).or_else(|| path.watch.parent(prefix));
        let foreign = rule.is_some_and(|rule| !rule.origins.contains(&origin));
        let far = path.hops.len() > 1;
        let (severity, what) = if foreign {
            (Severity::Critical, "it lies in a watched prefix, and its origin is none of that one's")
        } else if prefix.len() < wide {
            (Severity::Critical, "it discards the traffic of a whole network")
        } else if prefix.len() < host {
            (Severity::Warning, "it discards the traffic of more than a host")
        } else if far {
            (Severity::Info, "it was passed on beyond the AS that was asked to discard")
        } else {
            return;
        };
        let key = Fingerprint::new(Kind::Blackhole, format!("{prefix} AS{origin}"));
        let summary = format!("{prefix} from AS{origin} is marked to be discarded");
        let why = format!("{prefix} has a blackhole community, and {what}");
        let finding = Finding::new(key, severity, summary, why)
            .about(prefix)
            .asns("origin", [origin])
            .evidence("as_path", path.path.to_string())
            .evidence("foreign", foreign)
            .evidence("passed_on", far)
            .term("blackhole", if severity == Severity::Critical { 5 } else { 1 });
        verdict.faults.push(Fault { vantages_min: Some(1), ..Fault::new(finding) });
    }
}
