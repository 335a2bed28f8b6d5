//! RPKI against our own routes: a watched prefix from its own origin is invalid (RFC 6811), or was valid and has no
//! covering VRP any more. A route from a strange origin is a hijack, and its state a term of that.
//!
//! Settings (`[detect.validity]`) and defaults: `memory` 7 days.
//!
//! # False positives
//! A validator that serves old data: the finding names the VRPs that decided and shows the route; a source that is
//! stale has a finding of its own (`rpki-cache`). A trust anchor that lost much takes the cover of many prefixes
//! away: these are one alert, with that cause. Without any RPKI data nothing is judged, so nothing is lost.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::SceneRule;
use crate::{
    detect::{
        Finding, Fingerprint, Kind, Severity,
        memory::{self, Memory},
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

/// What is remembered of a route that was valid.
#[derive(Clone, Debug)]
struct WasValid {
    /// When it was so last.
    at: Timestamp,
    /// What took its cover away, where that was more than its own VRP: as it was when it was found to be gone.
    lost_by: Option<Option<Fingerprint>>,
}

/// The detector.
#[derive(Debug)]
pub struct Validity {
    settings: Settings,
    /// Routes of ours that were valid.
    valid: BTreeMap<(Prefix, Asn), WasValid>,
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
                self.valid.insert(key, WasValid { at: scene.now, lost_by: None });
            }
            let (memory, shrank) = (self.settings.memory, shrank(scene));
            let remembered = self.valid.get_mut(&key).filter(|was| scene.now.since(was.at) < memory);
            let was_valid = remembered.filter(|_| state != OriginState::Valid).map(|was| {
                // What took it away stays that, however long ago it comes to be.
                let lost_by = was.lost_by.get_or_insert(shrank);
                (was.at, lost_by.clone())
            });
            match state {
                OriginState::Invalid if rule.looks_for(Kind::RpkiInvalid) && scene.enough(&paths) => {
                    let cause = was_valid.and_then(|(_, cause)| cause);
                    out.push(Finding { cause, ..invalid(scene, rule, origin, &paths) });
                }
                OriginState::NotFound if rule.looks_for(Kind::RpkiLostCover) => match was_valid {
                    Some((at, cause)) => out.push(Finding { cause, ..lost(scene, rule, origin, at, &paths) }),
                    None => _ = self.valid.remove(&key),
                },
                _ => {}
            }
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.valid.values().map(|was| was.at).min().map(|at| at + self.settings.memory)
    }

    fn memory(&self) -> Option<(&'static str, Value)> {
        let records = self.valid.iter().map(|((prefix, asn), was)| {
            // Taken away or not, and by what.
            let lost_by: Option<Vec<Value>> =
                was.lost_by.as_ref().map(|by| by.iter().map(memory::fingerprint_value).collect());
            json!([prefix.to_string(), asn.0, was.at.0, lost_by])
        });
        Some(("validity", records.collect()))
    }

    fn recall(&mut self, memory: &Memory) {
        let was_valid = |record: &Value| {
            let key = (memory::prefix(&record[0])?, memory::asn(&record[1])?);
            let lost_by = record[3].as_array().map(|by| by.first().and_then(memory::fingerprint));
            Some((key, WasValid { at: memory::time(&record[2])?, lost_by }))
        };
        self.valid.extend(memory::records(memory, "validity").filter_map(was_valid));
    }

    fn due(&mut self, now: Timestamp) -> Vec<Prefix> {
        let old: Vec<_> = self
            .valid
            .iter()
            .filter(|(_, was)| now.since(was.at) >= self.settings.memory)
            .map(|(key, _)| *key)
            .collect();
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
    finding.neighbors = names(paths);
    finding
}

/// What several that lose their cover with one change of the data have for their cause.
fn shrank(scene: &Scene<'_>) -> Option<Fingerprint> {
    let shrank = scene.world.rpki_shrank.filter(|shrank| scene.now.since(*shrank) < SAME_CAUSE);
    shrank.map(|_| Fingerprint::new(Kind::RpkiCache, "VRPs"))
}

/// Cover that is lost so soon after much of the data was has the same cause.
const SAME_CAUSE: Duration = Duration::from_secs(60);
