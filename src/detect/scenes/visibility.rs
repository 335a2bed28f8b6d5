//! A watched prefix is seen by fewer neighbours than before, or no more through one of its upstreams.
//!
//! Each prefix has its own baseline: the neighbours that had it for some time. The share of those that have lost it
//! counts, and not a number. A neighbour whose session is down, away or not complete yet is unknown, neither lost nor
//! seen, and so is one whose route is stale; refreshes and initial tables thus raise nothing.
//!
//! # False positives
//! Path hunting takes a route away for seconds: the finding stands for a minute before it is an alert. A prefix that is
//! moved on purpose is forgotten from the baseline after a week; `ignore = ["visibility"]` is for prefixes that come
//! and go. A path through an AS that the rule does not allow next to the origin is learnt from by nobody: its end is no
//! loss. Many prefixes that are lost in the same place have one cause: the neighbour, the upstream, or the origin.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use super::{SceneRule, first_hop::next_to_origin};
use crate::{
    detect::{
        Finding, Fingerprint, Hold, Kind, Severity, memory,
        scene::{Scene, Seen},
        settings::WatchPrefix,
        watch::Relation,
        world::Phase,
    },
    types::{Asn, Prefix, Timestamp},
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Whether one that nobody has ever shown is missed; not where only changes are known.
    pub never_seen: bool,
    /// Below this share of its baseline, in percent, it is a warning.
    pub warning_percent: u8,
    /// Below this share of its baseline, in percent, it is critical.
    pub critical_percent: u8,
    /// How long a neighbour must have had the prefix to be expected to have it.
    pub learn: Duration,
    /// How long a neighbour that lost it is expected to have it again.
    pub forget: Duration,
    /// How long it must stand.
    pub hold: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            never_seen: true,
            warning_percent: 90,
            critical_percent: 50,
            learn: Duration::from_secs(600),
            forget: Duration::from_secs(7 * 86_400),
            hold: Duration::from_secs(60),
        }
    }
}

/// What is remembered of a neighbour or an upstream and one prefix.
#[derive(Clone, Debug)]
struct Memory {
    since: Timestamp,
    last_seen: Timestamp,
    seen_now: bool,
    last_path: Arc<str>,
    hop: Option<Asn>,
    /// Of an upstream: the neighbours that showed it last.
    by: BTreeSet<Arc<str>>,
}

impl Memory {
    fn value(&self) -> Value {
        let by: Vec<&str> = self.by.iter().map(AsRef::as_ref).collect();
        let hop = self.hop.map(|hop| hop.0);
        json!([self.since.0, self.last_seen.0, self.seen_now, &*self.last_path, hop, by])
    }

    fn read(value: &Value) -> Option<Self> {
        Some(Self {
            since: memory::time(&value[0])?,
            last_seen: memory::time(&value[1])?,
            seen_now: value[2].as_bool()?,
            last_path: memory::text(&value[3])?,
            hop: memory::asn(&value[4]),
            by: value[5].as_array()?.iter().filter_map(memory::text).collect(),
        })
    }

    fn is_expected(&self, learn: Duration, now: Timestamp) -> bool {
        let until = if self.seen_now { now } else { self.last_seen };
        until.since(self.since) >= learn
    }
}

#[derive(Debug, Default)]
struct Baseline {
    neighbors: BTreeMap<Arc<str>, Memory>,
    upstreams: BTreeMap<Asn, Memory>,
}

/// The detector.
#[derive(Debug)]
pub struct Visibility {
    settings: Settings,
    baselines: BTreeMap<Prefix, Baseline>,
}

impl Visibility {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then(|| Self { settings: settings.clone(), baselines: BTreeMap::new() })
    }
}

impl SceneRule for Visibility {
    fn examine(&mut self, scene: &Scene<'_>, out: &mut Vec<Finding>) {
        let rule = scene.rule().filter(|rule| rule.looks_for(Kind::Visibility) && !rule.origins.is_empty());
        let (Relation::Same, Some(rule)) = (scene.relation, rule) else { return };
        let own: Vec<&Seen<'_>> = scene
            .seen
            .iter()
            .filter(|seen| seen.origins().iter().all(|asn| rule.origins.contains(asn)) && !seen.is_local())
            .collect();
        let mut baseline = self.baselines.remove(&scene.prefix).unwrap_or_default();
        learn(&self.settings, rule, &mut baseline, scene, &own);
        let phases = phases(scene);
        let expected = baseline.neighbors.iter().filter(|(name, memory)| {
            phases.get(*name).is_some_and(|known| *known) && memory.is_expected(self.settings.learn, scene.now)
        });
        let (mut lost, mut expected_count) = (Vec::new(), 0_usize);
        for (name, memory) in expected {
            expected_count += 1;
            if !memory.seen_now {
                lost.push((name, memory));
            }
        }
        if expected_count > 0 && !lost.is_empty() {
            out.extend(self.share(scene, rule, expected_count, &lost, own.len()));
        } else if own.is_empty() && scene.world.settled && phases.values().any(|known| *known) && lost.is_empty() {
            let was_seen = !baseline.neighbors.is_empty();
            if was_seen || self.settings.never_seen {
                let ended = ended_session(scene, &baseline);
                out.push(self.never_seen(scene, rule, was_seen, ended));
            }
        }
        if lost_nothing(out, scene.prefix) {
            let gone = baseline.upstreams.iter().filter(|(asn, memory)| {
                !memory.seen_now
                    && memory.by.iter().any(|name| phases.get(name).is_some_and(|known| *known))
                    && !own.is_empty()
                    && memory.is_expected(self.settings.learn, scene.now)
                    && rule.upstreams.as_ref().is_none_or(|declared| declared.contains(asn))
            });
            out.extend(gone.map(|(asn, memory)| self.upstream_gone(scene, rule, *asn, memory, own.len())));
        }
        self.baselines.insert(scene.prefix, baseline);
    }

    fn memory(&self) -> Option<(&'static str, Value)> {
        let record = |(prefix, baseline): (&Prefix, &Baseline)| {
            let neighbors = baseline.neighbors.iter().map(|(name, memory)| (name.to_string(), memory.value()));
            let upstreams = baseline.upstreams.iter().map(|(asn, memory)| (asn.to_string(), memory.value()));
            json!([prefix.to_string(), neighbors.collect::<Memories>(), upstreams.collect::<Memories>()])
        };
        Some(("visibility", self.baselines.iter().map(record).collect()))
    }

    fn recall(&mut self, memory: &memory::Memory) {
        let baseline = |record: &Value| {
            let of = |at: usize| record[at].as_object().into_iter().flatten();
            let neighbors = of(1).filter_map(|(name, value)| Some((name.as_str().into(), Memory::read(value)?)));
            let upstreams = of(2).filter_map(|(asn, value)| Some((asn.parse().ok()?, Memory::read(value)?)));
            let baseline = Baseline { neighbors: neighbors.collect(), upstreams: upstreams.collect() };
            Some((memory::prefix(&record[0])?, baseline))
        };
        self.baselines.extend(memory::records(memory, "visibility").filter_map(baseline));
    }
}

type Memories = serde_json::Map<String, Value>;

fn lost_nothing(out: &[Finding], prefix: Prefix) -> bool {
    !out.iter().any(|finding| finding.key.kind == Kind::Visibility && finding.prefix == Some(prefix))
}

/// Neighbours that are there: whether what they do not show now is really not there.
fn phases(scene: &Scene<'_>) -> BTreeMap<Arc<str>, bool> {
    let stale: BTreeSet<&Arc<str>> =
        scene.seen.iter().filter(|seen| seen.is_stale()).map(|seen| &seen.vantage.name).collect();
    let sessions = scene.world.sessions().filter(|(_, session)| session.phase != Phase::Down);
    let known = sessions.map(|(_, session)| {
        let name = &session.vantage.name;
        (Arc::clone(name), session.is_loaded(scene.family(), scene.now) && !stale.contains(name))
    });
    known.collect()
}

/// Brings the baseline up to date with what is seen now.
fn learn(settings: &Settings, rule: &WatchPrefix, baseline: &mut Baseline, scene: &Scene<'_>, own: &[&Seen<'_>]) {
    let now = scene.now;
    let memory = |seen: &Seen<'_>| Memory {
        since: now,
        last_seen: now,
        seen_now: true,
        last_path: seen.path().to_string().into(),
        hop: next_to_origin(seen).map(|(hop, _)| hop),
        by: BTreeSet::new(),
    };
    let update = |memory: &mut Memory, seen: bool| {
        if memory.seen_now && !seen {
            memory.last_seen = now;
        }
        memory.seen_now = seen;
    };
    let names: BTreeMap<&Arc<str>, &Seen<'_>> = own.iter().map(|seen| (&seen.vantage.name, *seen)).collect();
    let hops: BTreeMap<Asn, &Seen<'_>> = own.iter().filter_map(|seen| Some((next_to_origin(seen)?.0, *seen))).collect();
    let known = phases(scene);
    for (name, memory) in &mut baseline.neighbors {
        // Of one that is not there nothing is learnt.
        if known.get(name).is_some_and(|known| *known) || names.contains_key(name) {
            update(memory, names.contains_key(name));
        }
    }
    for (name, seen) in names {
        let fresh = memory(seen);
        // Who shows a forged path is not expected to show it for ever.
        if !is_declared(rule, fresh.hop) {
            continue;
        }
        let kept = baseline.neighbors.entry(Arc::clone(name)).or_insert_with(|| fresh.clone());
        (kept.last_path, kept.hop) = (fresh.last_path, fresh.hop);
    }
    for (hop, memory) in &mut baseline.upstreams {
        update(memory, hops.contains_key(hop));
    }
    for (hop, seen) in hops {
        let showing = own.iter().filter(|seen| next_to_origin(seen).is_some_and(|(of, _)| of == hop));
        let by = showing.map(|seen| Arc::clone(&seen.vantage.name)).collect();
        baseline.upstreams.entry(hop).or_insert_with(|| memory(seen)).by = by;
    }
    let keeps = |memory: &Memory| memory.seen_now || now.since(memory.last_seen) < settings.forget;
    baseline.neighbors.retain(|_, memory| keeps(memory));
    baseline.upstreams.retain(|_, memory| keeps(memory));
}

/// Whether an AS may stand next to the origin.
fn is_declared(rule: &WatchPrefix, hop: Option<Asn>) -> bool {
    match (&rule.upstreams, hop) {
        (Some(upstreams), Some(hop)) => upstreams.contains(&hop) || rule.origins.contains(&hop),
        _ => true,
    }
}

impl Visibility {
    fn share(
        &self,
        scene: &Scene<'_>,
        rule: &WatchPrefix,
        expected: usize,
        lost: &[(&Arc<str>, &Memory)],
        paths: usize,
    ) -> Option<Finding> {
        let seen = expected - lost.len();
        let percent = seen * 100 / expected;
        let severity = match percent {
            share if share < usize::from(self.settings.critical_percent) => Severity::Critical,
            share if share < usize::from(self.settings.warning_percent) => Severity::Warning,
            _ => return None,
        };
        let prefix = scene.prefix;
        let why = format!(
            "{seen} of the {expected} neighbors that had {prefix} have it still; lost by {}",
            lost.iter().take(5).map(|(name, _)| name.as_ref()).collect::<Vec<_>>().join(", ")
        );
        let summary = match seen {
            0 => format!("{prefix} is seen by nobody any more"),
            _ => format!("{prefix} is seen by {percent} % of its neighbors"),
        };
        let evidence: Vec<_> = lost
            .iter()
            .take(Finding::MEMBERS_MAX)
            .map(|(name, memory)| {
                json!({
                    "neighbor": name.as_ref(),
                    "lost_at": memory.last_seen.to_string(),
                    "last_path": memory.last_path.as_ref(),
                })
            })
            .collect();
        let key = Fingerprint::new(Kind::Visibility, prefix.to_string());
        let mut finding = Finding::new(key, severity, summary, why)
            .about(prefix)
            .asns("origin", rule.origins.iter().copied())
            .evidence("expected", expected)
            .evidence("seen", seen)
            .evidence("paths", paths)
            .evidence("lost", evidence)
            .term("lost_share", 5 - (percent / 20) as i32);
        finding.cause = cause(rule, expected, lost);
        finding.severity = finding.severity.min(rule.severity_max.unwrap_or(Severity::Critical));
        finding.neighbors = lost.iter().map(|(name, _)| Arc::clone(name)).collect();
        finding.hold = Hold { open: self.settings.hold, ..Hold::default() };
        Some(finding)
    }

    fn never_seen(&self, scene: &Scene<'_>, rule: &WatchPrefix, was_seen: bool, ended: Option<Arc<str>>) -> Finding {
        let prefix = scene.prefix;
        let what = if was_seen { "is seen by nobody any more" } else { "is declared and seen by nobody" };
        let key = Fingerprint::new(Kind::Visibility, prefix.to_string());
        let why = format!("no neighbor whose table is complete has {prefix} from one of its origins");
        let mut finding = Finding::new(key, Severity::Warning, format!("{prefix} {what}"), why)
            .about(prefix)
            .asns("origin", rule.origins.iter().copied())
            .term("seen_by_nobody", 3);
        finding.hold = Hold { open: self.settings.hold, ..Hold::default() };
        if let Some(name) = ended {
            // The session has the first word in the alert of both.
            finding.hold.open = self.settings.hold.max(scene.settings.feeds.session.hold) + Duration::from_secs(1);
            finding.why.push_str(&format!("; it was seen by {name}, whose session was lost"));
            finding.cause = Some(Fingerprint::new(Kind::Session, name));
        }
        finding.severity = finding.severity.min(rule.severity_max.unwrap_or(Severity::Critical));
        finding
    }

    fn upstream_gone(&self, scene: &Scene<'_>, rule: &WatchPrefix, asn: Asn, memory: &Memory, paths: usize) -> Finding {
        let prefix = scene.prefix;
        let key = Fingerprint::new(Kind::Visibility, format!("{prefix} via AS{asn}"));
        let summary = format!("{prefix} is not seen through AS{asn} any more");
        let why = format!(
            "AS{asn} was next to the origin of {prefix} until {}, and none of the {paths} paths goes through it now",
            memory.last_seen
        );
        let mut finding = Finding::new(key, Severity::Info, summary, why)
            .about(prefix)
            .asns("origin", rule.origins.iter().copied())
            .asns("upstream", [asn])
            .evidence("last_path", memory.last_path.as_ref())
            .evidence("paths", paths)
            .term("upstream_gone", 1);
        if rule.upstreams.is_some() {
            // Declared ones are expected to carry it.
            finding = finding.term("declared_upstream", 1);
            finding.severity = Severity::Warning;
        }
        finding.cause = Some(Fingerprint::new(Kind::Visibility, format!("through AS{asn}")));
        finding.severity = finding.severity.min(rule.severity_max.unwrap_or(Severity::Critical));
        finding.hold = Hold { open: self.settings.hold, ..Hold::default() };
        finding
    }
}

/// A neighbour that had the prefix and whose session is down, or back and not complete: nobody lost it, the session did.
fn ended_session(scene: &Scene<'_>, baseline: &Baseline) -> Option<Arc<str>> {
    let sessions = scene.world.sessions().filter(|(_, session)| !session.is_loaded(scene.family(), scene.now));
    let mut ended = sessions.map(|(_, session)| &session.vantage.name);
    ended.find(|name| baseline.neighbors.contains_key(*name)).cloned()
}

/// What those that lost it have in common: the origin when it is all of them, else the neighbour when it is one, else
/// the AS next to the origin.
fn cause(rule: &WatchPrefix, expected: usize, lost: &[(&Arc<str>, &Memory)]) -> Option<Fingerprint> {
    let cause = |subject: String| Some(Fingerprint::new(Kind::Visibility, subject));
    let hops: BTreeSet<Option<Asn>> = lost.iter().map(|(_, memory)| memory.hop).collect();
    match (lost, rule.origins.as_slice()) {
        ([(name, _)], _) if expected > 1 => cause(format!("at {name}")),
        (_, [origin]) if lost.len() == expected => cause(format!("from AS{origin}")),
        _ if hops.len() == 1 => cause(format!("through AS{}", hops.into_iter().flatten().next()?)),
        _ => None,
    }
}
