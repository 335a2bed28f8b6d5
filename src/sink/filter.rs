//! Which alerts a sink is told of.

use crate::{
    alert::Alert,
    detect::{Kind, Severity},
    types::{Asn, Prefix},
};

/// What an alert must be like; an empty list asks for nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// At least as grave.
    pub min_severity: Severity,
    /// One of these.
    pub kinds: Vec<Kind>,
    /// About one of these, a part of it, or what it is a part of.
    pub prefixes: Vec<Prefix>,
    /// One of these plays a part.
    pub asns: Vec<Asn>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { min_severity: Severity::Info, kinds: Vec::new(), prefixes: Vec::new(), asns: Vec::new() }
    }
}

impl Filter {
    /// Whether `alert` is told.
    ///
    /// An alert without a prefix passes `prefixes` (and one without ASes `asns`): a lost session concerns every prefix.
    pub fn passes(&self, alert: &Alert) -> bool {
        let touches = |wanted: &Prefix, prefix: Prefix| wanted.covers(&prefix) || prefix.covers(wanted);
        let prefix_passes = match alert.prefix {
            Some(prefix) if !self.prefixes.is_empty() => self.prefixes.iter().any(|wanted| touches(wanted, prefix)),
            _ => true,
        };
        let mut asns = alert.asns.values().flatten().peekable();
        let asn_passes = self.asns.is_empty() || asns.peek().is_none() || asns.any(|asn| self.asns.contains(asn));
        alert.severity >= self.min_severity
            && (self.kinds.is_empty() || self.kinds.contains(&alert.kind()))
            && prefix_passes
            && asn_passes
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{sink::sample, types::Timestamp};

    #[test]
    fn every_condition_must_hold_and_an_empty_one_always_does() {
        let (opened, _) = sample::pair(Timestamp::from_secs(1), 1);
        let alert = &*opened.alert;
        let prefixes = |text: &[&str]| text.iter().map(|text| text.parse().unwrap()).collect::<Vec<Prefix>>();
        let all = Filter::default;
        let rows = [
            (all(), true),
            (Filter { min_severity: Severity::Critical, ..all() }, true),
            (Filter { kinds: vec![Kind::Bogon, Kind::SubprefixHijack], ..all() }, true),
            (Filter { kinds: vec![Kind::Bogon], ..all() }, false),
            (Filter { prefixes: prefixes(&["203.0.113.0/24"]), ..all() }, true),
            (Filter { prefixes: prefixes(&["203.0.113.129/32"]), ..all() }, true),
            (Filter { prefixes: prefixes(&["203.0.113.0/25", "2001:db8::/32"]), ..all() }, false),
            (Filter { asns: vec![Asn(64511)], ..all() }, true),
            (Filter { asns: vec![Asn(64499)], ..all() }, false),
            (Filter { asns: vec![Asn(64511)], kinds: vec![Kind::Bogon], ..all() }, false),
        ];
        for (filter, expected) in rows {
            assert_eq!(filter.passes(alert), expected, "{filter:?}");
        }
        let minor = Alert { severity: Severity::Info, ..alert.clone() };
        assert!(!Filter { min_severity: Severity::Warning, ..all() }.passes(&minor));
        let about_nothing = Alert { prefix: None, asns: BTreeMap::new(), ..alert.clone() };
        let narrow = Filter { prefixes: prefixes(&["192.0.2.0/24"]), asns: vec![Asn(64499)], ..all() };
        assert!(narrow.passes(&about_nothing), "a lost session concerns everybody");
    }
}
