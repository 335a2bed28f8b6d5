//! Routes that come and go: a score per prefix and neighbour as RFC 2439 §4.2 figures it, for scoring only: nothing is ever
//! suppressed. 1000 for a withdrawal, 500 for other attributes, half gone after 15 minutes. RFC 7196 §4 found the old
//! thresholds of 2000 and 3000 too eager and asks for 6000 at least.
//!
//! Watched prefixes have a finding each; all others are rolled up to the neighbour that sends them.
//!
//! # False positives
//! The score is per prefix and not per path, so that path hunting between two paths counts what it does to the route. What a
//! session's end or return does is not counted, nor a graceful restart, nor a refresh that changes nothing. Beacons flap by
//! design: `ignore = ["flap"]` in their rules, and below the number of `prefixes_min` nothing is said of a neighbour. What
//! flaps while it is hijacked or leaked is a part of that alert and ends with it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::BuildHasher,
    sync::Arc,
    time::Duration,
};

use rustc_hash::FxBuildHasher;

use super::{Feed, FeedRule};
use crate::{
    detect::{Board, Finding, Fingerprint, Kind, Severity, events::Event, world::Phase},
    rib::{PathFlags, SessionSlot},
    types::{Prefix, Timestamp},
    view::observed::PathChange,
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

/// What a withdrawal adds.
const WITHDRAWN: f64 = 1000.0;
/// What other attributes add.
const CHANGED: f64 = 500.0;
/// Scores below this are forgotten.
const NEGLIGIBLE: f64 = 100.0;
/// How often scores are looked at while there are any.
const SWEEP: Duration = Duration::from_secs(30);
/// Most scores that are kept; further routes have none.
const SCORES_MAX: usize = 1 << 18;
/// Words of bits that remember first events, so that a table that is withdrawn once costs no score per route: 2 MiB. With
/// a million routes in it, one in fifty is taken for one that had an event before and is scored one event too many.
const FIRST_WORDS: usize = 1 << 18;

#[derive(Clone, Copy, Debug, Default)]
struct Score {
    value: f64,
    at: Timestamp,
    withdrawals: u32,
    changes: u32,
    flaps: bool,
}

/// The detector.
#[derive(Debug)]
pub struct Flap {
    settings: Settings,
    scores: HashMap<(Prefix, SessionSlot), Score, FxBuildHasher>,
    /// Two bits of one word per route that had an event since all were cleared, which happens once per half-life.
    first: Box<[u64]>,
    clear_at: Timestamp,
    sweep_at: Option<Timestamp>,
    flapping: BTreeMap<SessionSlot, BTreeSet<Prefix>>,
}

impl Flap {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then(|| Self {
            settings: settings.clone(),
            scores: HashMap::default(),
            first: vec![0; FIRST_WORDS].into(),
            clear_at: Timestamp::default(),
            sweep_at: None,
            flapping: BTreeMap::new(),
        })
    }

    /// Whether a route had an event since the last clearing; from now on it had.
    fn had_first(&mut self, key: &(Prefix, SessionSlot), now: Timestamp) -> bool {
        if now >= self.clear_at {
            self.first.fill(0);
            self.clear_at = now + self.settings.half_life;
        }
        let hash = FxBuildHasher.hash_one(key);
        let mask = 1 << (hash >> 58) | 1 << (hash >> 52 & 63);
        let word = &mut self.first[(hash >> 32) as usize & (FIRST_WORDS - 1)];
        let had = *word & mask == mask;
        *word |= mask;
        had
    }

    fn decayed(&self, score: &Score, now: Timestamp) -> f64 {
        let lives = now.since(score.at).as_secs_f64() / self.settings.half_life.as_secs_f64();
        score.value * 0.5_f64.powf(lives)
    }

    fn watched<'a>(feed: &Feed<'a>, prefix: Prefix) -> Option<&'a crate::detect::WatchPrefix> {
        feed.watch.rule(prefix).or_else(|| feed.watch.parent(prefix))
    }

    fn key(feed: &Feed<'_>, prefix: Prefix, slot: SessionSlot) -> Option<Fingerprint> {
        let name = &feed.world.session(slot)?.vantage.name;
        Some(Fingerprint::new(Kind::Flap, format!("{prefix} at {name}")))
    }

    /// A watched prefix flaps.
    fn tell(&self, feed: &Feed<'_>, prefix: Prefix, slot: SessionSlot, score: &Score, board: &mut Board) {
        let event = feed.world.events.get(prefix);
        let Some(rule) = Self::watched(feed, prefix).filter(|rule| rule.looks_for(Kind::Flap)) else { return };
        let (Some(key), Some(session)) = (Self::key(feed, prefix, slot), feed.world.session(slot)) else { return };
        let name = &session.vantage.name;
        let why = format!(
            "{prefix} was withdrawn {} times and changed {} times by {name}: its score is {:.0}, and from {} on a route \
             flaps (RFC 7196)",
            score.withdrawals, score.changes, score.value, self.settings.open
        );
        let mut finding = Finding::new(key, Severity::Warning, format!("{prefix} flaps at {name}"), why)
            .about(prefix)
            .asns("neighbor", [session.vantage.asn])
            .asns("origin", rule.origins.iter().copied())
            .evidence("score", score.value.round())
            .evidence("withdrawals", score.withdrawals)
            .evidence("changes", score.changes)
            .term("flap_score", 2);
        finding.cause = Some(match event {
            Some(Event::On(cause) | Event::Over(cause)) => cause.clone(),
            None => Fingerprint::new(Kind::Flap, format!("{prefix}")),
        });
        finding.symptom = event.is_some();
        finding.neighbors = vec![Arc::clone(name)];
        finding.severity = finding.severity.min(rule.severity_max.unwrap_or(Severity::Critical));
        board.stand(feed.seen.now, finding);
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
        let added = match change.after {
            None => WITHDRAWN,
            Some((after, _)) if attrs.received(after) != attrs.received(before) => CHANGED,
            Some(_) => return,
        };
        let stale = marks.has(PathFlags::STALE) || marks.has(PathFlags::LLGR_STALE);
        let counts = |session: &crate::detect::world::Session| {
            session.phase == Phase::Up && session.is_loaded(change.family, feed.seen.now)
        };
        if stale || !feed.world.session(change.session).is_some_and(counts) {
            return;
        }
        let key = (change.prefix, change.session);
        if self.scores.len() >= SCORES_MAX && !self.scores.contains_key(&key) {
            return;
        }
        let mut score = match self.scores.get(&key).copied() {
            Some(score) => score,
            // The second event makes a score, of which the first is taken to have been like it.
            None if self.had_first(&key, feed.seen.now) => Score {
                value: added,
                at: feed.seen.now,
                withdrawals: u32::from(added == WITHDRAWN),
                changes: u32::from(added == CHANGED),
                flaps: false,
            },
            None => return,
        };
        score.value = (self.decayed(&score, feed.seen.now) + added).min(f64::from(self.settings.ceiling));
        score.at = feed.seen.now;
        if added == WITHDRAWN {
            score.withdrawals += 1
        } else {
            score.changes += 1
        }
        let calms_down = || matches!(feed.world.events.get(change.prefix), Some(Event::Over(_)));
        if score.value >= f64::from(self.settings.open) && !score.flaps && !calms_down() {
            score.flaps = true;
            let flapping = self.flapping.entry(change.session).or_default();
            flapping.insert(change.prefix);
            let count = flapping.len();
            self.tell(feed, change.prefix, change.session, &score, board);
            // The others are counted by the next sweep: a look at all of them for each one is quadratic, and stalled the
            // engine for seconds when 50,000 routes flapped.
            if count == self.settings.prefixes_min || count.is_power_of_two() {
                self.roll_up(feed, change.session, board);
            }
        }
        self.scores.insert(key, score);
        self.sweep_at.get_or_insert(feed.seen.now + SWEEP);
    }

    fn event_over(&mut self, feed: &Feed<'_>, prefix: Prefix, board: &mut Board) {
        for (slot, flapping) in &mut self.flapping {
            // One that flaps on speaks for itself.
            if flapping.remove(&prefix)
                && let Some(score) = self.scores.get_mut(&(prefix, *slot))
            {
                score.flaps = false;
            }
            if let Some(key) = Self::key(feed, prefix, *slot) {
                board.clear(feed.seen.now, &key, "what made it flap is over".to_owned());
            }
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.sweep_at
    }

    fn due(&mut self, feed: &Feed<'_>, board: &mut Board) {
        let now = feed.seen.now;
        let mut calm = Vec::new();
        let mut scores = std::mem::take(&mut self.scores);
        scores.retain(|(prefix, slot), score| {
            let value = self.decayed(score, now);
            let up = feed.world.session(*slot).is_some_and(|session| session.phase != Phase::Down);
            if score.flaps && (value < f64::from(self.settings.close) || !up) {
                score.flaps = false;
                calm.push((*prefix, *slot));
            }
            up && value >= NEGLIGIBLE
        });
        self.scores = scores;
        calm.sort_unstable();
        for (prefix, slot) in calm {
            self.calm(feed, prefix, slot, board);
        }
        let slots: Vec<SessionSlot> = self.flapping.keys().copied().collect();
        for slot in slots {
            self.roll_up(feed, slot, board);
        }
        self.flapping.retain(|_, prefixes| !prefixes.is_empty());
        self.sweep_at = (!self.scores.is_empty()).then_some(now + SWEEP);
    }
}
