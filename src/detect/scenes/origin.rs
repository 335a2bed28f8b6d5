//! A watched prefix, or a part of it, from an origin that it does not have.
//!
//! - `origin-hijack`: exactly the prefix, from an AS that its rule does not name. An AS_SET is an origin of all its members,
//!   and all of them must be named.
//! - `subprefix-hijack`: a more-specific without a rule of its own, from an AS that the nearest rule around it does not name.
//!   From one that it names, a more-specific beyond `max_length` is told as information.
//! - `squatting`: the rule names no origin, so whoever announces it or a part of it is wrong.
//!
//! # False positives
//! A scrubbing service that announces a prefix under attack is an origin to declare. A route that RPKI says is valid for
//! its origin is consent in most cases: the finding stands (a ROA may be stale or too wide) as a warning, and says so. A
//! host route with the BLACKHOLE community (RFC 7999) from an origin of the rule is a defence and no new
//! more-specific.

use super::SceneRule;
use crate::{
    detect::{
        Finding, Fingerprint, Kind, Severity,
        scene::{Scene, Seen, as_evidence, names},
        settings::WatchPrefix,
        watch::Relation,
    },
    types::Asn,
    validation::OriginState,
    view::observed::VantageClass,
    wire::bgp::community::Community,
};
use std::collections::BTreeMap;

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
pub struct Origin;

impl Origin {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then_some(Self)
    }
}

impl SceneRule for Origin {
    fn examine(&mut self, scene: &Scene<'_>, out: &mut Vec<Finding>) {
        let (rule, kind) = match scene.relation {
            Relation::Same => (scene.rule(), Kind::OriginHijack),
            Relation::MoreSpecific => {
                (scene.watch.parent(scene.prefix).filter(|rule| rule.more_specifics), Kind::SubprefixHijack)
            }
            Relation::Covering => return,
        };
        let Some(rule) = rule else { return };
        let kind = if rule.origins.is_empty() { Kind::Squatting } else { kind };
        let mut wrong: BTreeMap<Vec<Asn>, Vec<&Seen<'_>>> = BTreeMap::new();
        let mut own = Vec::new();
        for seen in scene.seen.iter().filter(|seen| !seen.is_local()) {
            let mut strange = seen.origins();
            strange.retain(|asn| !rule.origins.contains(asn));
            strange.sort_unstable();
            strange.dedup();
            if strange.is_empty() {
                own.push(seen);
            } else {
                wrong.entry(strange).or_default().push(seen);
            }
        }
        if rule.looks_for(kind) {
            let shown = wrong.iter().filter(|(_, paths)| scene.enough(paths));
            out.extend(shown.map(|(strange, paths)| hijack(scene, rule, kind, strange, paths, own.len())));
        }
        let allowed = rule.max_length.unwrap_or(rule.prefix.len());
        if scene.relation == Relation::MoreSpecific
            && scene.prefix.len() > allowed
            && rule.looks_for(Kind::NewPrefix)
            && own.iter().any(|seen| !is_blackhole(seen))
            && scene.enough(&own)
        {
            out.push(new_more_specific(scene, rule, &own));
        }
    }
}

fn hijack(
    scene: &Scene<'_>,
    rule: &WatchPrefix,
    kind: Kind,
    strange: &[Asn],
    paths: &[&Seen<'_>],
    own: usize,
) -> Finding {
    let list = |asns: &[Asn]| asns.iter().map(|asn| format!("AS{asn}")).collect::<Vec<_>>().join(", ");
    let (observed, expected, prefix) = (list(strange), list(&rule.origins), scene.prefix);
    let validity = paths.first().map(|seen| seen.validity()).unwrap_or_default();
    let (summary, mut why) = match kind {
        Kind::Squatting => (
            format!("{prefix} is announced by {observed}, and nobody may originate it"),
            format!("{} is declared as not in use, and {observed} originates {prefix}", rule.prefix),
        ),
        Kind::SubprefixHijack => (
            format!("{prefix}, a part of {}, is announced by {observed}", rule.prefix),
            format!(
                "{prefix} lies inside {}, which {expected} originates, and comes from {observed}: traffic follows the \
                 more specific route",
                rule.prefix
            ),
        ),
        _ => (
            format!("{prefix} is announced by {observed}, expected {expected}"),
            format!("{prefix} is declared to come from {expected} and comes from {observed}"),
        ),
    };
    why.push_str(&format!(
        "; seen by {} of {} neighbors that have a route, RPKI says {}",
        names(paths).len(),
        names(&scene.seen.iter().collect::<Vec<_>>()).len(),
        validity.name().replace('_', " ")
    ));
    let key = Fingerprint::new(kind, format!("{prefix} {observed}"));
    let mut finding = Finding::new(key, Severity::Critical, summary, why)
        .about(prefix)
        .asns("expected", rule.origins.iter().copied())
        .asns("observed", strange.iter().copied())
        .evidence("rule", rule.prefix.to_string())
        .evidence("paths", as_evidence(paths))
        .evidence("paths_total", paths.len())
        .evidence("paths_of_expected_origins", own)
        .evidence("validation", validity.name())
        .term("unexpected_origin", 4);
    let of_ours = paths.iter().any(|seen| seen.vantage.class == VantageClass::Own);
    if of_ours {
        finding = finding.term("own_session", 3);
    }
    finding = match validity {
        OriginState::Invalid => finding.term("rpki_invalid", 4),
        OriginState::Valid => finding.term("rpki_valid", -5),
        OriginState::NotFound | OriginState::NotChecked => finding,
    };
    if kind == Kind::SubprefixHijack {
        finding = finding.term("more_specific_wins", 2);
    }
    finding.severity = severity(finding.total()).min(rule.severity_max.unwrap_or(Severity::Critical));
    finding.neighbors = names(paths);
    finding
}

fn severity(score: i32) -> Severity {
    match score {
        ..=0 => Severity::Info,
        1..=3 => Severity::Warning,
        4.. => Severity::Critical,
    }
}

fn new_more_specific(scene: &Scene<'_>, rule: &WatchPrefix, own: &[&Seen<'_>]) -> Finding {
    let (prefix, origins) = (scene.prefix, &rule.origins);
    let allowed = rule.max_length.unwrap_or(rule.prefix.len());
    let summary = format!("{prefix}, a new part of {}, is announced by its own origin", rule.prefix);
    let why = format!(
        "{} allows parts down to /{allowed}, and one of its origins announces {prefix}; declare it if it is meant",
        rule.prefix
    );
    let key = Fingerprint::new(Kind::NewPrefix, prefix.to_string());
    let mut finding = Finding::new(key, Severity::Info, summary, why)
        .about(prefix)
        .asns("expected", origins.iter().copied())
        .asns("observed", own.iter().flat_map(|seen| seen.origins()).collect::<std::collections::BTreeSet<_>>())
        .evidence("rule", rule.prefix.to_string())
        .evidence("paths", as_evidence(own))
        .term("own_origin", -2);
    finding.neighbors = names(own);
    finding
}

fn is_blackhole(seen: &Seen<'_>) -> bool {
    seen.attrs.communities().any(|community| community == Community::BLACKHOLE)
}
