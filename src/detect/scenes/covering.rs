//! A prefix around a watched one from an origin that is nobody's we know: where the watched prefix is not seen, or is
//! withdrawn, traffic follows it.
//!
//! Settings (`[detect.covering]`) and defaults: `length_min_v4` 9, `length_min_v6` 20, `hold` 10 minutes.
//!
//! # False positives
//! Providers announce aggregates around their customers' prefixes. So what was there when the tables were first complete
//! is taken to be normal, and so are origins of any rule, a rule's upstreams, and short prefixes (registries'
//! blocks, default routes). The finding stands for ten minutes before it is an alert.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::SceneRule;
use crate::{
    detect::{
        Finding, Fingerprint, Hold, Kind, Severity,
        memory::{self, Memory},
        scene::{Scene, Seen, as_evidence, names, paths},
        watch::Relation,
    },
    types::{Asn, Prefix},
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Shorter IPv4 prefixes are not looked at.
    pub length_min_v4: u8,
    /// Shorter IPv6 prefixes are not looked at.
    pub length_min_v6: u8,
    /// How long it must stand.
    pub hold: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, length_min_v4: 9, length_min_v6: 20, hold: Duration::from_secs(600) }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Covering {
    settings: Settings,
    /// Prefixes and origins that were there from the start.
    known: BTreeSet<(Prefix, Asn)>,
    /// An earlier run knew what was there: what is there at this start and was not then is new.
    recalled: bool,
}

impl Covering {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then(|| Self { settings: settings.clone(), known: BTreeSet::new(), recalled: false })
    }
}

impl SceneRule for Covering {
    fn examine(&mut self, scene: &Scene<'_>, out: &mut Vec<Finding>) {
        let prefix = scene.prefix;
        let least = if prefix.is_v4() { self.settings.length_min_v4 } else { self.settings.length_min_v6 };
        if scene.relation != Relation::Covering || prefix.len() < least {
            return;
        }
        let rules: Vec<_> = scene.watch.inside(prefix).filter(|rule| rule.looks_for(Kind::CoveringPrefix)).collect();
        if rules.is_empty() {
            return;
        }
        let is_ours = |asn: &Asn| {
            rules.iter().any(|rule| rule.origins.contains(asn) || rule.upstreams.iter().flatten().any(|up| up == asn))
        };
        let mut strange: Vec<&Seen<'_>> = Vec::new();
        let mut origins = BTreeSet::new();
        for seen in &scene.seen {
            let of: Vec<Asn> = seen.origins().into_iter().filter(|asn| !is_ours(asn)).collect();
            if !scene.world.settled && !self.recalled {
                self.known.extend(of.iter().map(|asn| (prefix, *asn)));
            }
            let new: Vec<Asn> = of.into_iter().filter(|asn| !self.known.contains(&(prefix, *asn))).collect();
            if !new.is_empty() {
                strange.push(seen);
                origins.extend(new);
            }
        }
        if strange.is_empty() || !scene.enough(&strange) {
            return;
        }
        let (unseen, seen): (Vec<_>, Vec<_>) =
            rules.iter().partition(|rule| paths(scene.observed, rule.prefix).is_empty());
        let listed = |rules: &[&&crate::detect::WatchPrefix]| -> Vec<String> {
            rules.iter().take(Finding::MEMBERS_MAX).map(|rule| rule.prefix.to_string()).collect()
        };
        let observed = origins.iter().map(|asn| format!("AS{asn}")).collect::<Vec<_>>().join(", ");
        let (severity, effect) = match unseen.len() {
            0 => (Severity::Info, "all of them have more specific routes, so no traffic follows it now".to_owned()),
            n => (Severity::Warning, format!("{n} of them have no route of their own now, so traffic follows it")),
        };
        let why = format!(
            "{prefix} from {observed} lies around {} watched prefixes and was not there before; {effect}",
            rules.len()
        );
        let key = Fingerprint::new(Kind::CoveringPrefix, format!("{prefix} {observed}"));
        let summary = format!("{prefix} around watched prefixes is announced by {observed}");
        let mut finding = Finding::new(key, severity, summary, why)
            .about(prefix)
            .asns("observed", origins)
            .evidence("paths", as_evidence(&strange))
            .evidence("uncovered", listed(&unseen))
            .evidence("covered_by_own_route", listed(&seen))
            .term("new_covering_prefix", 1);
        finding.hold = Hold { open: self.settings.hold, ..Hold::default() };
        finding.neighbors = names(&strange);
        out.push(finding);
    }

    fn memory(&self) -> Option<(&'static str, Value)> {
        let known = self.known.iter().map(|(prefix, asn)| json!([prefix.to_string(), asn.0]));
        Some(("covering", known.collect()))
    }

    fn recall(&mut self, memory: &Memory) {
        self.recalled = memory.contains_key("covering");
        let known = |record: &Value| Some((memory::prefix(&record[0])?, memory::asn(&record[1])?));
        self.known.extend(memory::records(memory, "covering").filter_map(known));
    }
}
