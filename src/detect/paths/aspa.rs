//! Paths that ASPA says are invalid: an AS attests its providers, and the one it is seen to use is none of them
//! (draft-ietf-sidrops-aspa-verification). Unknown is never a finding.
//!
//! Settings (`[detect.aspa]`): `enabled` true. `local_role` of a neighbour gives the direction; without it nothing is judged.
//!
//! # False positives
//! A wrong `local_role`: the direction of verification follows from it. Siblings and other relations that an AS does not
//! attest. Verdicts are taken again when ASPAs change, so an attestation that is added ends the finding.

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Kind, Severity},
    types::Role,
    validation::{
        PathState,
        aspa::{Direction, Reason},
    },
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
pub struct Aspa;

impl Aspa {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then_some(Self)
    }
}

impl PathRule for Aspa {
    fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict) {
        let (PathState::Invalid, Some(role)) = (path.aspa, path.vantage.local_role) else { return };
        let neighbor = path.vantage.asn;
        let first = (role != Role::RouteServerClient && role != Role::RouteServer).then_some(neighbor);
        let (_, reason) = path.rpki.aspas.verify(path.path, first, Direction::of(role));
        let (subject, what) = match reason {
            Reason::NotProvider { customer, provider } => (
                format!("AS{customer} AS{provider} at AS{neighbor}"),
                format!("AS{customer} is seen behind AS{provider}"),
            ),
            _ => (format!("path from AS{neighbor}"), "the path cannot be right".to_owned()),
        };
        let key = Fingerprint::new(Kind::AspaInvalid, subject);
        let why =
            format!("AS{neighbor}, our {}, sends paths that ASPA proves wrong: {reason}", role.counterpart().name());
        let mut finding = Finding::new(key, Severity::Warning, format!("ASPA-invalid: {what}"), why)
            .asns("neighbor", [neighbor])
            .evidence("as_path", path.path.to_string())
            .evidence("local_role", role.name())
            .term("aspa_invalid", 5);
        if let Reason::NotProvider { customer, provider } = reason {
            finding = finding.asns("customer", [customer]).asns("not_provider", [provider]);
        }
        verdict.faults.push(Fault { vantages_min: Some(1), ..Fault::new(finding) });
    }
}
