//! The AS next to the origin of a watched prefix is not one of those that its rule names (`upstreams`): a path whose origin
//! was forged ends so, and a new or leaking upstream looks the same.
//!
//! Settings (`[detect.first_hop]`): `enabled` true; `hold` a minute.
//!
//! # False positives
//! A new upstream that nobody declared: the finding says which one, and `ribwatch baseline` adds it; one that relations know
//! beside the origin is information. Pairs are judged per rule and not crosswise, so an upstream of one prefix is not one
//! of all; that other rules of the same origin declare it speaks against a forgery, and where only public vantages show it
//! such a finding is information. While a network converges, public vantages hunt through paths that nobody uses otherwise:
//! what they alone show, and what proves nothing, must stand for `hold`. Where our own AS or a neighbour's session with the
//! origin itself shows the route, there is no AS next to the origin to judge.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::SceneRule;
use crate::{
    detect::{
        Finding, Fingerprint, Hold, Kind, Severity,
        paths::leak::Relations,
        scene::{Scene, Seen, as_evidence, names},
        settings::{Settings as All, WatchPrefix},
        watch::Relation,
    },
    types::Asn,
    validation::aspa::Hop,
    view::observed::VantageClass,
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// How long it must stand where only public vantages show it and nothing proves it.
    pub hold: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, hold: Duration::from_secs(60) }
    }
}

/// The detector.
#[derive(Debug)]
pub struct FirstHop {
    settings: Settings,
    relations: Relations,
    /// ASes that any rule allows next to an origin: origin, upstream.
    declared: BTreeSet<(Asn, Asn)>,
}

/// What speaks for and against a new AS next to the origin, beside RPKI.
#[derive(Clone, Copy)]
struct Doubts {
    /// Relations know the two.
    related: bool,
    /// Another rule of the same origin declares it.
    declared_elsewhere: bool,
    hold: Duration,
}

impl FirstHop {
    /// As the settings say.
    pub fn new(settings: &Settings, all: &All) -> Option<Self> {
        let of_prefix = |rule: &WatchPrefix| {
            let upstreams = rule.upstreams.clone().unwrap_or_default();
            rule.origins.iter().flat_map(|o| upstreams.iter().map(|u| (*o, *u))).collect::<Vec<_>>()
        };
        let of_asns = all.asns.iter().flat_map(|rule| rule.upstreams.iter().flatten().map(|asn| (rule.asn, *asn)));
        settings.enabled.then(|| Self {
            settings: settings.clone(),
            relations: all.paths.leak.relations.clone(),
            declared: all.prefixes.iter().flat_map(of_prefix).chain(of_asns).collect(),
        })
    }
}

impl SceneRule for FirstHop {
    fn examine(&mut self, scene: &Scene<'_>, out: &mut Vec<Finding>) {
        let rule = match scene.relation {
            Relation::Same => scene.rule(),
            Relation::MoreSpecific => scene.watch.parent(scene.prefix).filter(|rule| rule.more_specifics),
            Relation::Covering => None,
        };
        let Some(rule) = rule.filter(|rule| rule.looks_for(Kind::FirstHop)) else { return };
        let Some(upstreams) = &rule.upstreams else { return };
        let mut wrong: BTreeMap<(Asn, Asn), Vec<&Seen<'_>>> = BTreeMap::new();
        for seen in &scene.seen {
            let Some((hop, origin)) = next_to_origin(seen) else { continue };
            if rule.origins.contains(&origin) && !upstreams.contains(&hop) && !rule.origins.contains(&hop) {
                wrong.entry((hop, origin)).or_default().push(seen);
            }
        }
        let shown = wrong.iter().filter(|(_, paths)| scene.enough(paths));
        out.extend(shown.map(|((hop, origin), paths)| {
            let doubts = Doubts {
                related: self.relations.get(*origin, *hop).is_some(),
                declared_elsewhere: self.declared.contains(&(*origin, *hop)),
                hold: self.settings.hold,
            };
            finding(scene, rule, (*hop, *origin), paths, doubts)
        }));
    }
}

/// The AS next to the origin, and the origin; prepends are one AS.
pub fn next_to_origin(seen: &Seen<'_>) -> Option<(Asn, Asn)> {
    let origin = seen.facts.origin_asn()?;
    let mut hop = None;
    for asn in seen.path().asns() {
        if asn != origin {
            hop = Some(asn);
        }
    }
    hop.map(|hop| (hop, origin))
}

fn finding(
    scene: &Scene<'_>,
    rule: &WatchPrefix,
    (hop, origin): (Asn, Asn),
    paths: &[&Seen<'_>],
    doubts: Doubts,
) -> Finding {
    let prefix = scene.prefix;
    let upstreams = rule.upstreams.as_deref().unwrap_or_default();
    let declared = upstreams.iter().map(|asn| format!("AS{asn}")).collect::<Vec<_>>().join(", ");
    let attested = scene.observed.rpki.aspas.hop(origin, hop);
    let says = match attested {
        Hop::Provider => format!("; AS{origin} attests AS{hop} as a provider (ASPA), so it may only be undeclared"),
        Hop::NotProvider => format!("; AS{origin} attests its providers, and AS{hop} is none of them (ASPA)"),
        Hop::NoAttestation => String::new(),
    };
    let why = format!(
        "{prefix} is declared to leave AS{origin} through {declared}, and {} neighbors have it through AS{hop}{says}",
        names(paths).len()
    );
    let key = Fingerprint::new(Kind::FirstHop, format!("{prefix} AS{hop} AS{origin}"));
    let mut finding = Finding::new(key, Severity::Warning, format!("{prefix} reaches us through AS{hop}"), why)
        .about(prefix)
        .asns("origin", [origin])
        .asns("observed", [hop])
        .asns("expected", upstreams.iter().copied())
        .evidence("rule", rule.prefix.to_string())
        .evidence("paths", as_evidence(paths))
        .evidence("paths_total", paths.len())
        .term("undeclared_upstream", 2);
    let of_ours = paths.iter().any(|seen| seen.vantage.class == VantageClass::Own);
    if of_ours {
        finding = finding.term("own_session", 1);
    }
    // A new upstream of many prefixes, or somebody who forges one origin many times, is one event.
    finding.cause = Some(Fingerprint::new(Kind::FirstHop, format!("AS{hop} next to AS{origin}")));
    finding = match attested {
        Hop::NotProvider => finding.term("aspa_not_provider", 4),
        Hop::Provider => finding.term("aspa_provider", -3),
        Hop::NoAttestation => finding,
    };
    if doubts.related {
        // It sells transit to the origin or peers with it, as is declared or inferred: only this rule does not know it.
        finding = finding.term("relation_known", -2);
    }
    if doubts.declared_elsewhere {
        finding = finding.term("declared_for_other_prefixes", -2);
    }
    if scene.relation == Relation::MoreSpecific {
        finding = finding.term("more_specific_wins", 1);
    }
    finding.severity = match finding.total() {
        ..=0 => Severity::Info,
        1..=4 => Severity::Warning,
        5.. => Severity::Critical,
    };
    if !of_ours && scene.relation == Relation::Same && finding.severity < Severity::Critical {
        finding.hold = Hold { open: doubts.hold, ..Hold::default() };
    }
    finding.severity = finding.severity.min(rule.severity_max.unwrap_or(Severity::Critical));
    finding.neighbors = names(paths);
    finding
}
