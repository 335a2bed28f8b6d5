//! Leaks that the Only to Customer attribute shows (RFC 9234 §5): whoever has a route with it may pass it on to customers
//! only, so it must not come from one, nor from a peer whose AS it does not name.
//!
//! Settings (`[detect.otc]`): `enabled` true. `local_role` of a neighbour says what it may send; without it nothing is judged.
//!
//! # False positives
//! None known where our role towards the neighbour is right: the attribute is set by routers and not guessed. A wrong
//! `local_role` marks every route of the neighbour; strict mode (RFC 9234 §4.2) finds that when the session comes up.
//! ASes that do not know the attribute pass it on unchanged, which is as it should be.

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Kind, Severity},
    types::{Asn, Role},
    wire::bgp::attribute::code,
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
pub struct Otc;

impl Otc {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then_some(Self)
    }
}

impl PathRule for Otc {
    fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict) {
        let Some(role) = path.vantage.local_role else { return };
        let Some(value) = path.attrs.get(code::OTC).and_then(|value| value.first_chunk::<4>()) else { return };
        let (otc, neighbor) = (Asn(u32::from_be_bytes(*value)), path.vantage.asn);
        let why = match role {
            // RFC 9234 §5, ingress 1: from a customer or a route server's client.
            Role::Provider | Role::RouteServer => format!(
                "AS{neighbor} is our {}, and sends routes that AS{otc} gave to customers only (OTC {otc}): it passes on \
                 what it has from a provider or peer",
                role.counterpart().name()
            ),
            // Ingress 2: from a peer, and the value is another AS than the peer's.
            Role::Peer if otc != neighbor => format!(
                "AS{neighbor} is our peer, and sends routes that AS{otc} gave to customers only (OTC {otc}): it passes on \
                 what it has from a provider or another peer"
            ),
            _ => return,
        };
        let key = Fingerprint::new(Kind::Otc, format!("AS{neighbor} OTC {otc}"));
        let summary = format!("AS{neighbor} leaks routes marked only-to-customer by AS{otc}");
        let finding = Finding::new(key, Severity::Critical, summary, why)
            .asns("leaker", [neighbor])
            .asns("otc", [otc])
            .evidence("otc", otc.0)
            .evidence("local_role", role.name())
            .evidence("as_path", path.path.to_string())
            .term("otc_attribute", 8);
        verdict.faults.push(Fault { vantages_min: Some(1), ..Fault::new(finding) });
    }
}
