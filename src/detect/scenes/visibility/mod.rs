//! A watched prefix is seen by fewer neighbours than before, or no more through one of its upstreams.
//!
//! Each prefix has its own baseline: the neighbours that had it for some time in a row. The share of those that have lost
//! it counts, of them and of all who have it now, and not a number; it is a warning, too, when it is the share of one class of
//! vantage, so that two sessions of ours do not drown among a hundred public ones. A neighbour whose session is down, away or
//! not complete yet is unknown, neither lost nor seen, and so is one whose route is stale; refreshes and initial tables thus
//! raise nothing.
//!
//! Many prefixes that are lost in the same place have one cause: the neighbour, the upstream, or the origin. It is looked
//! for while the finding waits to be an alert, and stays what it is then, however the loss grows: one loss is one alert.
//!
//! Settings (`[detect.visibility]`) and defaults: `warning_percent` 90, `critical_percent` 50, `learn` 10 minutes, `forget` a
//! week, `hold` a minute, `never_seen` true.
//!
//! # False positives
//! Path hunting takes a route away for seconds: the finding stands for a minute before it is an alert. What one public
//! vantage does not have is its own affair: so many must have lost it as must see anything (`vantages_min`), unless nobody
//! has it. The same holds for an upstream, which is missed only if so many showed it for some time. Who sees a prefix come
//! and go is not expected to have it until it stayed. A prefix that is moved on purpose is forgotten from the baseline after a
//! week; `ignore = ["visibility"]` is for prefixes that come and go. A path through an AS that the rule does not allow next
//! to the origin is learnt from by nobody: its end is no loss.

mod baseline;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use self::baseline::{Baseline, Loss, Memory};
use super::{SceneRule, first_hop::next_to_origin};
use crate::{
    detect::{
        Finding, Fingerprint, Hold, Kind, Severity, memory,
        scene::{Scene, Seen, is_enough},
        settings::{VantagesMin, WatchPrefix},
        watch::Relation,
        world::{Phase, Session},
    },
    types::{Asn, Prefix, Timestamp},
    view::observed::VantageClass,
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
    /// How long a neighbour must have had the prefix, in a row, to be expected to have it.
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
        let is_known = |name: &Arc<str>| phases.get(name).is_some_and(|known| *known);
        let (mut lost, mut seen) = (Vec::new(), Vec::new());
        for (name, memory) in baseline.neighbors.iter().filter(|(name, _)| is_known(name)) {
            match memory.seen_now {
                true => seen.push(name),
                false if memory.is_expected(self.settings.learn, scene.now) => lost.push((name, memory)),
                false => {}
            }
        }
        let missed = if !lost.is_empty() {
            let views = Views::new(scene, seen, &lost);
            let counts = views.seen.is_empty() || views.are_enough(&scene.settings.vantages_min, None);
            counts.then(|| self.share(scene, rule, &views, &lost, own.len())).flatten()
        } else if own.is_empty() && scene.world.settled && phases.values().any(|known| *known) {
            let was_seen = !baseline.neighbors.is_empty();
            // Where only changes are known, others may have it who never said so.
            let ended = ended_session(scene, &baseline);
            self.settings.never_seen.then(|| self.never_seen(scene, rule, was_seen, ended))
        } else {
            None
        };
        match missed {
            Some(mut finding) => {
                // What a session took away is a part of that for as long as it is.
                if finding.cause.as_ref().is_none_or(|cause| cause.kind != Kind::Session) {
                    finding.cause = baseline.cause(self.settings.hold, scene.now, finding.cause);
                }
                out.push(finding);
            }
            None => {
                baseline.complete(scene.now);
                let carried: BTreeSet<Asn> = own.iter().filter_map(|seen| Some(next_to_origin(seen)?.0)).collect();
                let gone = baseline.upstreams.iter().filter(|(asn, memory)| {
                    !carried.contains(asn)
                        && memory.by.iter().any(is_known)
                        && !own.is_empty()
                        && memory.is_expected(self.settings.learn, scene.now)
                        && rule.upstreams.as_ref().is_none_or(|declared| declared.contains(asn))
                });
                out.extend(gone.map(|(asn, memory)| self.upstream_gone(scene, rule, *asn, memory, own.len())));
            }
        }
        self.baselines.insert(scene.prefix, baseline);
    }

    fn memory(&self) -> Option<(&'static str, Value)> {
        let record = |(prefix, baseline): (&Prefix, &Baseline)| {
            let neighbors = baseline.neighbors.iter().map(|(name, memory)| (name.to_string(), memory.value()));
            let upstreams = baseline.upstreams.iter().map(|(asn, memory)| (asn.to_string(), memory.value()));
            let loss = baseline.loss.as_ref().map(Loss::value);
            json!([prefix.to_string(), neighbors.collect::<Memories>(), upstreams.collect::<Memories>(), loss])
        };
        Some(("visibility", self.baselines.iter().map(record).collect()))
    }

    fn recall(&mut self, memory: &memory::Memory) {
        let baseline = |record: &Value| {
            let of = |at: usize| record[at].as_object().into_iter().flatten();
            let neighbors = of(1).filter_map(|(name, value)| Some((name.as_str().into(), Memory::read(value)?)));
            let upstreams = of(2).filter_map(|(asn, value)| Some((asn.parse().ok()?, Memory::read(value)?)));
            let loss = Loss::read(&record[3]);
            let baseline = Baseline { neighbors: neighbors.collect(), upstreams: upstreams.collect(), loss };
            Some((memory::prefix(&record[0])?, baseline))
        };
        self.baselines.extend(memory::records(memory, "visibility").filter_map(baseline));
    }
}

type Memories = serde_json::Map<String, Value>;

/// Who has it and who lost it, by what kind of vantage each is.
struct Views {
    seen: Vec<(VantageClass, Asn)>,
    lost: Vec<(VantageClass, Asn)>,
}

impl Views {
    fn new(scene: &Scene<'_>, seen: Vec<&Arc<str>>, lost: &[(&Arc<str>, &Memory)]) -> Self {
        let sessions = scene.world.sessions().map(|(_, session)| &session.vantage);
        let vantages: BTreeMap<&Arc<str>, (VantageClass, Asn)> =
            sessions.map(|vantage| (&vantage.name, (vantage.class, vantage.asn))).collect();
        let of = |name: &Arc<str>| vantages.get(name).copied();
        Self {
            seen: seen.into_iter().filter_map(of).collect(),
            lost: lost.iter().filter_map(|(name, _)| of(name)).collect(),
        }
    }

    /// Whether as many lost it as must see anything, of all or of one class.
    fn are_enough(&self, least: &VantagesMin, class: Option<VantageClass>) -> bool {
        is_enough(least, self.lost.iter().copied().filter(|(of, _)| class.is_none_or(|class| class == *of)))
    }

    /// How many percent have it, of all or of one class.
    fn percent(&self, class: Option<VantageClass>) -> usize {
        let count = |views: &[(VantageClass, Asn)]| {
            views.iter().filter(|(of, _)| class.is_none_or(|class| class == *of)).count()
        };
        let (seen, lost) = (count(&self.seen), count(&self.lost));
        (seen * 100).checked_div(seen + lost).unwrap_or(100)
    }
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
    let names: BTreeMap<&Arc<str>, &Seen<'_>> = own.iter().map(|seen| (&seen.vantage.name, *seen)).collect();
    let known = phases(scene);
    // What a session showed and does not show now it has withdrawn, though the rest of its table may be on the way.
    let up_since: BTreeMap<&Arc<str>, Timestamp> = scene
        .world
        .sessions()
        .filter(|(_, session)| session.phase == Phase::Up)
        .map(|(_, session)| (&session.vantage.name, session.since))
        .collect();
    for (name, memory) in &mut baseline.neighbors {
        let seen = names.contains_key(name);
        let withdrawn = memory.seen_now && up_since.get(name).is_some_and(|since| memory.last_seen >= *since);
        // Of one that is not there nothing is learnt.
        if seen || known.get(name).is_some_and(|known| *known) || withdrawn {
            memory.update(seen, settings.learn, now);
        }
        if seen {
            memory.last_seen = now;
        }
    }
    // While it is hijacked or leaked, who has it now need not have it later.
    let event = scene.world.events.goes_on(scene.prefix);
    for (name, seen) in names {
        let fresh = memory(seen);
        // Who shows a forged path is not expected to show it for ever.
        if !is_declared(rule, fresh.hop) || event && !baseline.neighbors.contains_key(name) {
            continue;
        }
        let kept = baseline.neighbors.entry(Arc::clone(name)).or_insert_with(|| fresh.clone());
        (kept.last_path, kept.hop) = (fresh.last_path, fresh.hop);
    }
    let mut through: BTreeMap<Asn, Vec<&Seen<'_>>> = BTreeMap::new();
    for seen in own {
        if let Some((hop, _)) = next_to_origin(seen) {
            through.entry(hop).or_default().push(seen);
        }
    }
    // That few have it through an upstream is how they choose and not how the prefix is announced.
    through.retain(|_, showing| scene.enough(showing));
    for (hop, memory) in &mut baseline.upstreams {
        memory.update(through.contains_key(hop), settings.learn, now);
    }
    for (hop, showing) in through {
        if (event || !is_declared(rule, Some(hop))) && !baseline.upstreams.contains_key(&hop) {
            continue;
        }
        let Some(first) = showing.first() else { continue };
        let by = showing.iter().map(|seen| Arc::clone(&seen.vantage.name)).collect();
        baseline.upstreams.entry(hop).or_insert_with(|| memory(first)).by = by;
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
        views: &Views,
        lost: &[(&Arc<str>, &Memory)],
        paths: usize,
    ) -> Option<Finding> {
        let (seen, expected) = (views.seen.len(), views.seen.len() + lost.len());
        let (warning, critical) = (self.settings.warning_percent.into(), self.settings.critical_percent.into());
        // What few sessions of our own lost is not to be lost among many public vantages.
        let least = &scene.settings.vantages_min;
        let of_class = |class: &VantageClass| {
            views
                .are_enough(least, Some(*class))
                .then(|| views.percent(Some(*class)))
                .is_some_and(|share| share < warning)
        };
        let (severity, percent, whose) = match views.percent(None) {
            share if share < critical => (Severity::Critical, share, String::new()),
            share if share < warning => (Severity::Warning, share, String::new()),
            _ => {
                let class = VantageClass::ALL.into_iter().find(of_class)?;
                (Severity::Warning, views.percent(Some(class)), format!("{} ", class.name()))
            }
        };
        let prefix = scene.prefix;
        let why = format!(
            "{seen} of the {expected} neighbors that should have {prefix} have it; lost by {}",
            lost.iter().take(5).map(|(name, _)| name.as_ref()).collect::<Vec<_>>().join(", ")
        );
        let summary = match seen {
            0 => format!("{prefix} is seen by nobody any more"),
            _ => format!("{prefix} is seen by {percent} % of its {whose}neighbors"),
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
    // One that is back is another session than the one that had it.
    let had_it = |session: &&Session| {
        let memory = baseline.neighbors.get(&session.vantage.name);
        memory.is_some_and(|memory| session.phase != Phase::Up || session.since > memory.since)
    };
    let ended = sessions.map(|(_, session)| session).find(had_it);
    ended.map(|session| Arc::clone(&session.vantage.name))
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
