//! A watched prefix, or a part of it, from an origin that it does not have.
//!
//! - `origin-hijack`: exactly the prefix, from an AS that its rule does not name. An AS_SET is an origin of all its members,
//!   and all of them must be named.
//! - `subprefix-hijack`: a more-specific without a rule of its own, from an AS that the nearest rule around it does not name.
//!   From one that it names, a more-specific beyond `max_length` is told as information.
//! - `squatting`: the rule names no origin, so whoever announces it or a part of it is wrong.
//!
//! Settings (`[detect.origin]`): `enabled` true. The rule has `max_length`, `more_specifics`, `ignore` and `severity_max`.
//!
//! # False positives
//! A scrubbing service that announces a prefix under attack is an origin to declare. A route that RPKI says is valid for
//! its origin is consent in most cases: the finding stands (a ROA may be stale or too wide) as a warning, and says so. A
//! host route with the BLACKHOLE community (RFC 7999) from an origin of the rule is a defence and no new
//! more-specific, and so is a part that an origin of the rule announces because somebody hijacks it.
//!
//! A strange origin may be a customer with a part of the space. Where it is seen only behind an origin of the rule, that one
//! passes it on, and the finding counts for little; it counts for less, too, where relations know the two at all. Where relations say that it buys transit from origins of the rule
//! alone, and it is seen past them behind one other AS, then that AS leaks what it has from inside (RFC 7908 §3.6): a
//! `route-leak` and no hijack. The origin may be forged all the same, so it stays a warning.

use super::SceneRule;
use crate::{
    detect::{
        Finding, Fingerprint, Kind, Severity,
        paths::leak::{self, Relations},
        scene::{Scene, Seen, as_evidence, names},
        scenes::first_hop::next_to_origin,
        settings::{Settings as All, WatchPrefix},
        watch::Relation,
    },
    types::{Asn, Prefix},
    validation::OriginState,
    view::observed::VantageClass,
    wire::bgp::community::Community,
};
use std::collections::{BTreeMap, BTreeSet};

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
pub struct Origin {
    relations: Relations,
    /// Providers of strange origins, as far as they are known.
    providers: BTreeMap<Asn, Vec<Asn>>,
    /// Parts that their own origin announced while somebody hijacked them.
    defended: BTreeSet<Prefix>,
}

impl Origin {
    /// As the settings say.
    pub fn new(settings: &Settings, all: &All) -> Option<Self> {
        settings.enabled.then(|| Self {
            relations: all.paths.leak.relations.clone(),
            providers: BTreeMap::new(),
            defended: BTreeSet::new(),
        })
    }

    /// Whether each strange origin is known to sell transit to an origin of the rule, buy from it or peer with it.
    fn are_related(&self, rule: &WatchPrefix, strange: &[Asn]) -> bool {
        let related = |asn: &Asn| rule.origins.iter().any(|origin| self.relations.get(*asn, *origin).is_some());
        !strange.is_empty() && strange.iter().all(related)
    }

    /// Who leaks a part of the rule's space out of the network of its origin: the AS behind which all see it, if what
    /// is known of its origin is that it buys from origins of the rule alone.
    fn leaker(&mut self, rule: &WatchPrefix, strange: &[Asn], paths: &[&Seen<'_>]) -> Option<Asn> {
        let [strange] = strange else { return None };
        let relations = &self.relations;
        let providers = self.providers.entry(*strange).or_insert_with(|| relations.providers_of(*strange));
        if providers.is_empty() || !providers.iter().all(|asn| rule.origins.contains(asn)) {
            return None;
        }
        let mut hops = paths.iter().map(|seen| next_to_origin(seen).map(|(hop, _)| hop));
        let first = hops.next()??;
        hops.all(|hop| hop == Some(first)).then_some(first).filter(|hop| !rule.origins.contains(hop))
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
        let mut hijacked = false;
        for (strange, paths) in wrong.iter().filter(|(_, paths)| scene.enough(paths)) {
            let leaker = (kind == Kind::SubprefixHijack).then(|| self.leaker(rule, strange, paths)).flatten();
            if let Some(leaker) = leaker
                && rule.looks_for(Kind::RouteLeak)
            {
                out.push(leak_from_inside(scene, rule, leaker, strange, paths));
            } else if rule.looks_for(kind) {
                let related = self.are_related(rule, strange);
                out.push(hijack(scene, rule, kind, strange, paths, (own.len(), related)));
                hijacked = true;
            }
        }
        if own.is_empty() {
            self.defended.remove(&scene.prefix);
        } else if hijacked && scene.relation == Relation::MoreSpecific {
            self.defended.insert(scene.prefix);
        }
        let allowed = rule.max_length.unwrap_or(rule.prefix.len());
        if scene.relation == Relation::MoreSpecific
            && scene.prefix.len() > allowed
            && rule.looks_for(Kind::NewPrefix)
            && !self.defended.contains(&scene.prefix)
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
    (own, related): (usize, bool),
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
    if related {
        finding = finding.term("related_to_expected_origin", -3);
    }
    if kind == Kind::SubprefixHijack {
        finding = finding.term("more_specific_wins", 2);
        if paths.iter().all(|seen| next_to_origin(seen).is_some_and(|(hop, _)| rule.origins.contains(&hop))) {
            finding = finding.term("behind_expected_origin", -6);
        }
    }
    // All that one AS takes at a time is one event.
    finding.cause = Some(Fingerprint::new(kind, format!("by {observed}")));
    finding.severity = severity(finding.total()).min(rule.severity_max.unwrap_or(Severity::Critical));
    finding.neighbors = names(paths);
    finding
}

fn leak_from_inside(
    scene: &Scene<'_>,
    rule: &WatchPrefix,
    leaker: Asn,
    strange: &[Asn],
    paths: &[&Seen<'_>],
) -> Finding {
    let list = |asns: &[Asn]| asns.iter().map(|asn| format!("AS{asn}")).collect::<Vec<_>>().join(", ");
    let (inside, expected, prefix) = (list(strange), list(&rule.origins), scene.prefix);
    let why = format!(
        "{prefix} lies inside {}, which {expected} originates, and comes from {inside}, which buys transit from {expected} \
         alone as far as relations are known; all {} neighbors have it through AS{leaker} and not through {expected}: \
         AS{leaker} leaks a route from inside that network (RFC 7908 §3.6), or somebody forged the origin",
        rule.prefix,
        names(paths).len()
    );
    let key = Fingerprint::new(Kind::RouteLeak, format!("{prefix} AS{leaker}: {inside}"));
    let summary = format!("AS{leaker} leaks {prefix}, a part of {} from inside {expected}", rule.prefix);
    let mut finding = Finding::new(key, Severity::Warning, summary, why)
        .about(prefix)
        .asns("leaker", [leaker])
        .asns("origin", rule.origins.iter().copied())
        .asns("inside", strange.iter().copied())
        .evidence("leak_type", 6)
        .evidence("evidence", "inferred")
        .evidence("rule", rule.prefix.to_string())
        .evidence("paths", as_evidence(paths))
        .evidence("paths_total", paths.len())
        .term("unexpected_origin", 4)
        .term("customer_of_expected_origin_alone", -3)
        .term("more_specific_wins", 2);
    finding.cause = Some(leak::cause(leaker));
    finding.severity = finding.severity.min(rule.severity_max.unwrap_or(Severity::Critical));
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
