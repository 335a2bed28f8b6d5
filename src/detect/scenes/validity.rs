//! RPKI against our own routes: a watched prefix from its own origin is invalid (RFC 6811), or was valid and has no
//! covering VRP any more. A route from a strange origin is a hijack, and its state a term of that.
//!
//! # False positives
//! A validator that serves old data: the finding names the VRPs that decided and shows the route; a source that is
//! stale has a finding of its own (`rpki-cache`). A trust anchor that lost much takes the cover of many prefixes
//! away: these are one alert, with that cause. Without any RPKI data nothing is judged, so nothing is lost.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::SceneRule;
use crate::{
    detect::{
        Finding, Fingerprint, Kind, Severity,
        scene::{Scene, Seen, as_evidence, names},
        settings::WatchPrefix,
        watch::Relation,
    },
    types::{Asn, Prefix, Timestamp},
    validation::OriginState,
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// How long it is remembered that a route was valid.
    pub memory: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, memory: Duration::from_secs(7 * 86_400) }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Validity {
    settings: Settings,
    /// When a route of ours was last valid.
    valid: BTreeMap<(Prefix, Asn), Timestamp>,
}

impl Validity {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then(|| Self { settings: settings.clone(), valid: BTreeMap::new() })
    }
}

impl SceneRule for Validity {
    fn examine(&mut self, scene: &Scene<'_>, out: &mut Vec<Finding>) {
        let rule = match scene.relation {
            Relation::Same => scene.rule(),
            Relation::MoreSpecific => scene.watch.parent(scene.prefix).filter(|rule| rule.more_specifics),
            Relation::Covering => None,
        };
        let Some(rule) = rule else { return };
        let mut by_origin: BTreeMap<Asn, Vec<&Seen<'_>>> = BTreeMap::new();
        for seen in &scene.seen {
            match seen.facts.origin_asn() {
                Some(origin) if rule.origins.contains(&origin) => by_origin.entry(origin).or_default().push(seen),
                _ => {}
            }
        }
        for (origin, paths) in by_origin {
            let key = (scene.prefix, origin);
            let state = paths.first().map(|seen| seen.validity()).unwrap_or_default();
            if state == OriginState::Valid {
                self.valid.insert(key, scene.now);
            }
            match state {
                OriginState::Invalid if rule.looks_for(Kind::RpkiInvalid) && scene.enough(&paths) => {
                    out.push(invalid(scene, rule, origin, &paths));
                }
                OriginState::NotFound if rule.looks_for(Kind::RpkiLostCover) => {
                    let remembered = self.valid.get(&key).filter(|at| scene.now.since(**at) < self.settings.memory);
                    match remembered {
                        Some(at) => out.push(lost(scene, rule, origin, *at, &paths)),
                        None => _ = self.valid.remove(&key),
                    }
                }
                _ => {}
            }
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.valid.values().min().map(|at| *at + self.settings.memory)
    }

    fn due(&mut self, now: Timestamp) -> Vec<Prefix> {
        let old: Vec<_> =
            self.valid.iter().filter(|(_, at)| now.since(**at) >= self.settings.memory).map(|(key, _)| *key).collect();
        old.iter().for_each(|key| _ = self.valid.remove(key));
        old.into_iter().map(|(prefix, _)| prefix).collect()
    }
}

fn invalid(scene: &Scene<'_>, rule: &WatchPrefix, origin: Asn, paths: &[&Seen<'_>]) -> Finding {
    let prefix = scene.prefix;
    let covering = scene.observed.rpki.vrps.covering(prefix, Some(origin));
    let wrong_length = covering.iter().any(|c| c.vrp.asn == origin);
    let reason = if wrong_length { "length" } else { "asn" };
    let vrps: Vec<_> = covering.iter().map(|c| json!(c.vrp.to_string())).collect();
    let because = match (wrong_length, covering.first()) {
        (true, _) => format!("its VRPs allow no /{}", prefix.len()),
        (false, Some(first)) => format!("they name AS{} and not AS{origin}", first.vrp.asn),
        (false, None) => "of VRPs that are gone since".to_owned(),
    };
    let why = format!(
        "{prefix} comes from AS{origin}, its own origin, and RPKI says it is invalid: {because}; networks that validate \
         drop it"
    );
    let key = Fingerprint::new(Kind::RpkiInvalid, format!("{prefix} AS{origin}"));
    let mut finding = Finding::new(key, Severity::Critical, format!("{prefix} from AS{origin} is RPKI-invalid"), why)
        .about(prefix)
        .asns("origin", [origin])
        .evidence("reason", reason)
        .evidence("vrps", vrps)
        .evidence("rule", rule.prefix.to_string())
        .evidence("paths", as_evidence(paths))
        .term("own_route_invalid", 5);
    finding.severity = finding.severity.min(rule.severity_max.unwrap_or(Severity::Critical));
    finding.neighbors = names(paths);
    finding
}

fn lost(scene: &Scene<'_>, rule: &WatchPrefix, origin: Asn, at: Timestamp, paths: &[&Seen<'_>]) -> Finding {
    let prefix = scene.prefix;
    let why = format!("{prefix} from AS{origin} was RPKI-valid until {at}, and no VRP covers it any more");
    let key = Fingerprint::new(Kind::RpkiLostCover, format!("{prefix} AS{origin}"));
    let summary = format!("{prefix} from AS{origin} lost its RPKI cover");
    let mut finding = Finding::new(key, Severity::Warning, summary, why)
        .about(prefix)
        .asns("origin", [origin])
        .evidence("valid_until", at.to_string())
        .evidence("rule", rule.prefix.to_string())
        .evidence("paths", as_evidence(paths))
        .term("lost_cover", 2);
    // Several that lose it with one change of the data have one cause.
    let cause = scene.world.rpki_shrank.filter(|shrank| scene.now.since(*shrank) < SAME_CAUSE);
    finding.cause = cause.map(|_| Fingerprint::new(Kind::RpkiCache, "VRPs"));
    finding.neighbors = names(paths);
    finding
}

/// Cover that is lost so soon after much of the data was has the same cause.
const SAME_CAUSE: Duration = Duration::from_secs(60);
