//! Routes that come and go: a score per prefix and neighbour as RFC 2439 §4.2 figures it, for scoring only: nothing is ever
//! suppressed. 1000 for a withdrawal, 500 for other attributes, half gone after 15 minutes. RFC 7196 §4 found the old
//! thresholds of 2000 and 3000 too eager and asks for 6000 at least.
//!
//! Watched prefixes have a finding each; all others are rolled up to the neighbour that sends them. Watched prefixes of one
//! origin that begin to flap within five minutes of each other are one alert, which has the name of the first.
//!
//! Settings (`[detect.flap]`) and defaults: `open` 6000, `close` 750, `ceiling` 50000, `half_life` 15 minutes, `prefixes_min` 10.
//!
//! # False positives
//! What flaps at one public vantage is the affair of that one's network: it is information until as many see it as must see
//! anything (`vantages_min`).
//! The score is per prefix and not per path, so that path hunting between two paths counts what it does to the route. What a
//! session's end or return does is not counted, nor a graceful restart, nor a refresh that changes nothing. Beacons flap by
//! design: `ignore = ["flap"]` in their rules, and below the number of `prefixes_min` nothing is said of a neighbour. What
//! flaps while it is hijacked or leaked is a part of that alert and ends with it.

mod scores;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use self::scores::{Score, Scores};
use super::{Feed, FeedRule};
use crate::{
    detect::{
        Board, Finding, Fingerprint, Kind, Severity,
        events::Event,
        memory::{self, Memory},
        scene::is_enough,
        world::{Phase, World},
    },
    rib::{PathFlags, SessionSlot},
    types::{Asn, Prefix, Timestamp},
    view::observed::{Observation, PathChange},
};

/// Settings; RFC 2439 §4.2 has the names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// At this score a route flaps.
    pub open: u32,
    /// Below this score it does not any more.
    pub close: u32,
    /// No score is higher.
    pub ceiling: u32,
    /// After this time half of a score is gone.
    pub half_life: Duration,
    /// Prefixes of one neighbour that must flap before anything is said of it.
    pub prefixes_min: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            open: 6_000,
            close: 750,
            ceiling: 50_000,
            half_life: Duration::from_secs(900),
            prefixes_min: 10,
        }
    }
}

/// How often scores are looked at while there are any.
const SWEEP: Duration = Duration::from_secs(30);
/// Prefixes of one origin that begin to flap so soon after one another have one cause.
const SAME_CAUSE: Duration = Duration::from_secs(300);

/// The detector.
#[derive(Debug)]
pub struct Flap {
    settings: Settings,
    scores: Scores,
    sweep_at: Option<Timestamp>,
    flapping: BTreeMap<SessionSlot, BTreeSet<Prefix>>,
    /// Watched prefixes that flap, each with the one whose alert it is in.
    leads: BTreeMap<Prefix, Prefix>,
    /// The last prefix of an origin that began to flap, and when.
    latest: BTreeMap<Asn, (Timestamp, Prefix)>,
    /// Routes that flapped in the last run, until the session is up that showed them.
    recalled: BTreeMap<Arc<str>, Vec<(Prefix, Score)>>,
}

impl Flap {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then(|| Self {
            settings: settings.clone(),
            scores: Scores::new(settings.half_life, settings.ceiling),
            sweep_at: None,
            flapping: BTreeMap::new(),
            leads: BTreeMap::new(),
            latest: BTreeMap::new(),
            recalled: BTreeMap::new(),
        })
    }

    fn watched<'a>(feed: &Feed<'a>, prefix: Prefix) -> Option<&'a crate::detect::WatchPrefix> {
        feed.watch.rule(prefix).or_else(|| feed.watch.parent(prefix))
    }

    fn key(feed: &Feed<'_>, prefix: Prefix, slot: SessionSlot) -> Option<Fingerprint> {
        let name = &feed.world.session(slot)?.vantage.name;
        Some(Fingerprint::new(Kind::Flap, format!("{prefix} at {name}")))
    }

    /// A watched prefix flaps.
    fn tell(&mut self, feed: &Feed<'_>, prefix: Prefix, slot: SessionSlot, score: &Score, board: &mut Board) {
        let event = feed.world.events.explains(feed.seen.now, prefix, Severity::Warning);
        let Some(rule) = Self::watched(feed, prefix).filter(|rule| rule.looks_for(Kind::Flap)) else { return };
        let severity = if self.is_seen_enough(feed, prefix) { Severity::Warning } else { Severity::Info };
        let (Some(key), Some(session)) = (Self::key(feed, prefix, slot), feed.world.session(slot)) else { return };
        let name = &session.vantage.name;
        let why = format!(
            "{prefix} was withdrawn {} times and changed {} times by {name}: its score is {:.0}, and from {} on a route \
             flaps (RFC 7196)",
            score.withdrawals,
            score.changes,
            score.peak(),
            self.settings.open
        );
        let mut finding = Finding::new(key, severity, format!("{prefix} flaps at {name}"), why)
            .about(prefix)
            .asns("neighbor", [session.vantage.asn])
            .asns("origin", rule.origins.iter().copied())
            .evidence("score", score.peak().round())
            .evidence("withdrawals", score.withdrawals)
            .evidence("changes", score.changes)
            .term("flap_score", 2);
        finding.cause = Some(match event {
            Some(event) => event.cause.clone(),
            None => Fingerprint::new(Kind::Flap, self.lead(prefix, &rule.origins, feed.seen.now).to_string()),
        });
        finding.symptom = event.is_some();
        finding.neighbors = vec![Arc::clone(name)];
        finding.severity = finding.severity.min(rule.severity_max.unwrap_or(Severity::Critical));
        board.stand(feed.seen.now, finding);
    }

    /// Whether it flaps at as many vantages as must see anything.
    fn is_seen_enough(&self, feed: &Feed<'_>, prefix: Prefix) -> bool {
        let at = self.flapping.iter().filter(|(_, prefixes)| prefixes.contains(&prefix)).map(|(slot, _)| *slot);
        let vantages = at.filter_map(|slot| Some(&feed.world.session(slot)?.vantage));
        is_enough(&feed.settings.vantages_min, vantages.map(|vantage| (vantage.class, vantage.asn)))
    }

    /// The prefix in whose alert one that begins to flap is: its own, unless another of its origin began a moment ago.
    fn lead(&mut self, prefix: Prefix, origins: &[Asn], now: Timestamp) -> Prefix {
        if let Some(lead) = self.leads.get(&prefix) {
            return *lead;
        }
        let mut lead = prefix;
        if let [origin] = origins {
            if let Some((_, other)) = self.latest.get(origin).filter(|(at, _)| now.since(*at) < SAME_CAUSE) {
                lead = *other;
            }
            self.latest.insert(*origin, (now, lead));
        }
        self.leads.insert(prefix, lead);
        lead
    }

    /// What is said of a neighbour's prefixes that nobody watches.
    fn roll_up(&self, feed: &Feed<'_>, slot: SessionSlot, board: &mut Board) {
        let Some(session) = feed.world.session(slot) else { return };
        let name = &session.vantage.name;
        let key = Fingerprint::new(Kind::Flap, format!("at {name}"));
        let all = self.flapping.get(&slot);
        let unwatched: Vec<Prefix> =
            all.into_iter().flatten().filter(|prefix| Self::watched(feed, **prefix).is_none()).copied().collect();
        if unwatched.len() < self.settings.prefixes_min {
            return board.clear(feed.seen.now, &key, "its routes are calm again".to_owned());
        }
        let why = format!(
            "{} prefixes from {name} have a flap score above {} (RFC 7196)",
            unwatched.len(),
            self.settings.open
        );
        let mut finding = Finding::new(key, Severity::Info, format!("routes from {name} flap"), why)
            .asns("neighbor", [session.vantage.asn])
            .term("flap_score", 1);
        finding.neighbors = vec![Arc::clone(name)];
        finding.member_count = unwatched.len() as u64;
        finding.members = unwatched.iter().take(Finding::MEMBERS_MAX).map(ToString::to_string).collect();
        board.stand(feed.seen.now, finding);
    }

    fn calm(&mut self, feed: &Feed<'_>, prefix: Prefix, slot: SessionSlot, board: &mut Board) {
        if let Some(of) = self.flapping.get_mut(&slot) {
            of.remove(&prefix);
        }
        if let Some(key) = Self::key(feed, prefix, slot) {
            board.clear(feed.seen.now, &key, format!("its score fell below {}", self.settings.close));
        }
    }
}

impl FeedRule for Flap {
    fn wants_paths(&self) -> bool {
        true
    }

    #[inline]
    fn path(&mut self, feed: &Feed<'_>, change: &PathChange, board: &mut Board) {
        // A first announcement is no flap.
        let Some((before, marks)) = change.before else { return };
        let attrs = &feed.seen.rib.attrs;
        let event = match change.after {
            None => scores::Event::Withdrawn,
            Some((after, _)) if attrs.received(after) != attrs.received(before) => scores::Event::Changed,
            Some(_) => return,
        };
        let stale = marks.has(PathFlags::STALE) || marks.has(PathFlags::LLGR_STALE);
        let counts = |session: &crate::detect::world::Session| {
            session.phase == Phase::Up && session.is_loaded(change.family, feed.seen.now)
        };
        if stale || !feed.world.session(change.session).is_some_and(counts) {
            return;
        }
        let (prefix, slot, now) = (change.prefix, change.session, feed.seen.now);
        let Some(score) = self.scores.add(prefix, slot, event, now) else { return };
        self.sweep_at.get_or_insert(now + SWEEP);
        if score.peak() < f64::from(self.settings.open) {
            return;
        }
        let flapping = self.flapping.entry(slot).or_default();
        let calms_down = || {
            let event = feed.world.events.explains(now, prefix, Severity::Warning);
            event.is_some_and(Event::is_over)
        };
        if flapping.contains(&prefix) || calms_down() {
            return;
        }
        flapping.insert(prefix);
        let count = flapping.len();
        self.tell(feed, prefix, slot, &score, board);
        // The others are counted by the next sweep: a look at all of them for each one is quadratic, and stalled the
        // engine for seconds when 50,000 routes flapped.
        if count == self.settings.prefixes_min || count.is_power_of_two() {
            self.roll_up(feed, slot, board);
        }
    }

    fn event_over(&mut self, feed: &Feed<'_>, prefix: Prefix, board: &mut Board) {
        for (slot, flapping) in &mut self.flapping {
            // One that flaps on speaks for itself.
            flapping.remove(&prefix);
            if let Some(key) = Self::key(feed, prefix, *slot) {
                board.clear(feed.seen.now, &key, "what made it flap is over".to_owned());
            }
        }
    }

    fn observe(&mut self, feed: &Feed<'_>, observation: &Observation, board: &mut Board) {
        let Observation::Up { session: slot, .. } = observation else { return };
        let Some(session) = feed.world.session(*slot) else { return };
        for (prefix, score) in self.recalled.remove(&session.vantage.name).unwrap_or_default() {
            self.flapping.entry(*slot).or_default().insert(prefix);
            self.tell(feed, prefix, *slot, &score, board);
            self.scores.put(prefix, *slot, score);
            self.sweep_at.get_or_insert(feed.seen.now + SWEEP);
        }
        if self.flapping.contains_key(slot) {
            self.roll_up(feed, *slot, board);
        }
    }

    fn memory(&self, world: &World) -> Option<(&'static str, Value)> {
        let of_slots = self.flapping.iter().filter_map(|(slot, prefixes)| {
            let name = &world.session(*slot)?.vantage.name;
            let scores = prefixes.iter().filter_map(|prefix| Some((*prefix, self.scores.kept(*prefix, *slot)?)));
            Some((name, scores.map(|(prefix, score)| score.to_json(prefix)).collect::<Vec<_>>()))
        });
        let waiting = self.recalled.iter().map(|(name, scores)| {
            (name, scores.iter().map(|(prefix, score)| score.to_json(*prefix)).collect::<Vec<_>>())
        });
        let lead = |prefix: &Prefix| Some(json!([prefix.to_string(), self.leads.get(prefix)?.to_string()]));
        let leads: Vec<Value> = self.leads.keys().filter_map(lead).collect();
        let scores = of_slots.chain(waiting).map(|(name, scores)| json!([&**name, scores]));
        Some(("flap", scores.chain([json!([null, leads])]).collect()))
    }

    fn recall(&mut self, memory: &Memory, _: Timestamp, _: &mut Board) {
        for record in memory::records(memory, "flap") {
            let Some(name) = memory::text(&record[0]) else {
                let lead = |pair: &Value| Some((memory::prefix(&pair[0])?, memory::prefix(&pair[1])?));
                self.leads.extend(record[1].as_array().into_iter().flatten().filter_map(lead));
                continue;
            };
            let scores = record[1].as_array().into_iter().flatten().filter_map(Score::from_json);
            self.recalled.entry(name).or_default().extend(scores);
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.sweep_at
    }

    fn due(&mut self, feed: &Feed<'_>, board: &mut Board) {
        let now = feed.seen.now;
        let up = |slot: SessionSlot| feed.world.session(slot).is_some_and(|session| session.phase != Phase::Down);
        let mut calm = Vec::new();
        for (slot, prefixes) in &self.flapping {
            let is_calm =
                |prefix: &&Prefix| !up(*slot) || self.scores.get(**prefix, *slot, now) < f64::from(self.settings.close);
            calm.extend(prefixes.iter().filter(is_calm).map(|prefix| (*prefix, *slot)));
        }
        self.scores.sweep(now, up);
        calm.sort_unstable();
        for (prefix, slot) in calm {
            self.calm(feed, prefix, slot, board);
        }
        let slots: Vec<SessionSlot> = self.flapping.keys().copied().collect();
        for slot in slots {
            self.roll_up(feed, slot, board);
        }
        self.flapping.retain(|_, prefixes| !prefixes.is_empty());
        let waits = |prefix: &Prefix| self.recalled.values().flatten().any(|(of, _)| of == prefix);
        let flaps = |prefix: &Prefix| self.flapping.values().any(|prefixes| prefixes.contains(prefix));
        self.leads.retain(|prefix, _| flaps(prefix) || waits(prefix));
        self.latest.retain(|_, (at, _)| now.since(*at) < SAME_CAUSE);
        self.sweep_at = (!self.scores.is_empty()).then_some(now + SWEEP);
    }
}
