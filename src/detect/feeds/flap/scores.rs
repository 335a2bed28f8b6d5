//! The scores of RFC 2439 §4.2, one for each route that had two events: small, since a storm makes one for every route.

use std::{collections::HashMap, hash::BuildHasher, time::Duration};

use rustc_hash::FxBuildHasher;
use serde_json::{Value, json};

use crate::{
    detect::memory,
    rib::SessionSlot,
    types::{Prefix, Timestamp},
};

/// Scores below this are forgotten.
const NEGLIGIBLE: f64 = 100.0;
/// Most scores that are kept; further routes have none.
const SCORES_MAX: usize = 1 << 18;
/// Words of bits that remember first events, so that a table that is withdrawn once costs no score per route: 2 MiB. With
/// a million routes in it, one in fifty is taken for one that had an event before and is scored one event too many.
const FIRST_WORDS: usize = 1 << 18;
/// First events that are remembered at once after a quiet time,
const FIRST_BURST: f64 = 100_000.0;
/// and per second for long. When a whole table comes or goes, most routes begin to count with their next event.
const FIRST_RATE: f64 = 20_000.0;

/// What happened to a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// It was withdrawn.
    Withdrawn,
    /// It has other attributes.
    Changed,
}

impl Event {
    /// What it adds.
    fn weight(self) -> f64 {
        match self {
            Self::Withdrawn => 1000.0,
            Self::Changed => 500.0,
        }
    }
}

/// How restless a route is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Score {
    value: f32,
    /// When that was so. With less than all of it, what comes and goes within a second would not fade.
    at: Timestamp,
    /// As often as 65,535 times.
    pub(super) withdrawals: u16,
    pub(super) changes: u16,
    slot: SessionSlot,
}

/// Scores by route and neighbour.
#[derive(Debug)]
pub(super) struct Scores {
    /// By a hash of both: two routes that have the same one, one chance in 10^9 with all scores in use, share a score.
    of: HashMap<u64, Score, FxBuildHasher>,
    /// Two bits of one word per route that had an event since all were cleared, which happens once per half-life.
    first: Box<[u64]>,
    clear_at: Timestamp,
    /// First events that may be remembered now, and when that was so.
    allowance: (f64, Timestamp),
    half_life: Duration,
    ceiling: f64,
}

impl Scores {
    pub(super) fn new(half_life: Duration, ceiling: u32) -> Self {
        Self {
            of: HashMap::default(),
            first: vec![0; FIRST_WORDS].into(),
            clear_at: Timestamp::default(),
            allowance: (FIRST_BURST, Timestamp::default()),
            half_life,
            ceiling: ceiling.into(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// A route has another event. Its score, of which the first event of a route is taken to have been like the second;
    /// `None`: it was the first, or there are too many scores.
    #[inline]
    pub(super) fn add(&mut self, prefix: Prefix, slot: SessionSlot, event: Event, now: Timestamp) -> Option<Score> {
        let hash = hash(prefix, slot);
        if let Some(score) = self.of.get_mut(&hash) {
            let value = decayed(score, self.half_life, now) + event.weight();
            *score = Score { value: value.min(self.ceiling) as f32, at: now, ..score.with(event) };
            return Some(*score);
        }
        if self.of.len() >= SCORES_MAX || !self.may_remember(now) || !self.had_first(hash, now) {
            return None;
        }
        let value = (2.0 * event.weight()).min(self.ceiling) as f32;
        let score = Score { value, at: now, withdrawals: 0, changes: 0, slot }.with(event).with(event);
        self.of.insert(hash, score);
        Some(score)
    }

    /// The score of a route now.
    pub(super) fn get(&self, prefix: Prefix, slot: SessionSlot, now: Timestamp) -> f64 {
        self.of.get(&hash(prefix, slot)).map_or(0.0, |score| decayed(score, self.half_life, now))
    }

    /// Takes a score from elsewhere as that of a route.
    pub(super) fn put(&mut self, prefix: Prefix, slot: SessionSlot, score: Score) {
        self.of.insert(hash(prefix, slot), Score { slot, ..score });
    }

    /// What is to be remembered of a route.
    pub(super) fn kept(&self, prefix: Prefix, slot: SessionSlot) -> Option<Score> {
        self.of.get(&hash(prefix, slot)).copied()
    }

    /// Forgets scores that are negligible, and those of sessions that are not `up`.
    pub(super) fn sweep(&mut self, now: Timestamp, up: impl Fn(SessionSlot) -> bool) {
        let half_life = self.half_life;
        self.of.retain(|_, score| up(score.slot) && decayed(score, half_life, now) >= NEGLIGIBLE);
    }

    #[inline]
    fn may_remember(&mut self, now: Timestamp) -> bool {
        let (left, at) = &mut self.allowance;
        if now != *at {
            *left = FIRST_BURST.min(*left + FIRST_RATE * now.since(*at).as_secs_f64());
            *at = now;
        }
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }

    /// Whether a route had an event since the last clearing; from now on it had.
    fn had_first(&mut self, hash: u64, now: Timestamp) -> bool {
        if now >= self.clear_at {
            self.first.fill(0);
            self.clear_at = now + self.half_life;
        }
        let mask = 1 << (hash >> 58) | 1 << (hash >> 52 & 63);
        let word = &mut self.first[(hash >> 32) as usize & (FIRST_WORDS - 1)];
        let had = *word & mask == mask;
        *word |= mask;
        had
    }
}

impl Score {
    fn with(mut self, event: Event) -> Self {
        let count = match event {
            Event::Withdrawn => &mut self.withdrawals,
            Event::Changed => &mut self.changes,
        };
        *count = count.saturating_add(1);
        self
    }

    /// As it was at its last event.
    pub(super) fn peak(&self) -> f64 {
        self.value.into()
    }

    /// For the next run.
    pub(super) fn to_json(self, prefix: Prefix) -> Value {
        json!([prefix.to_string(), self.value, self.at.0, self.withdrawals, self.changes])
    }

    /// From the last run; its session is not known yet.
    pub(super) fn from_json(value: &Value) -> Option<(Prefix, Self)> {
        let count = |value: &Value| value.as_u64().and_then(|count| u16::try_from(count).ok());
        let score = Self {
            value: value[1].as_f64()? as f32,
            at: memory::time(&value[2])?,
            withdrawals: count(&value[3])?,
            changes: count(&value[4])?,
            slot: 0,
        };
        Some((memory::prefix(&value[0])?, score))
    }
}

fn decayed(score: &Score, half_life: Duration, now: Timestamp) -> f64 {
    let lives = now.since(score.at).as_secs_f64() / half_life.as_secs_f64();
    f64::from(score.value) * 0.5_f64.powf(lives)
}

/// All bits depend on all of the route: neighbouring prefixes share no word of first events.
#[inline]
fn hash(prefix: Prefix, slot: SessionSlot) -> u64 {
    let hash = FxBuildHasher.hash_one((prefix, slot));
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_LIFE: Duration = Duration::from_secs(900);

    #[test]
    fn a_score_is_half_of_a_cache_line_with_its_key() {
        assert!(size_of::<(u64, Score)>() <= 32);
    }

    #[test]
    fn a_score_fades_within_a_second() {
        let mut scores = Scores::new(Duration::from_secs(2), 50_000);
        let (prefix, mut now) = (Prefix::v4(0x0a00_0000, 8), Timestamp::from_secs(1_000_000));
        for _ in 0..3 {
            scores.add(prefix, 3, Event::Withdrawn, now);
            now = now + Duration::from_millis(400);
        }
        // 2000 at the second event, and 0.4 s later 1741; then 1000 more.
        let score = scores.get(prefix, 3, now);
        assert!((2385.0..2387.0).contains(&score), "{score}");
    }

    #[test]
    fn the_second_event_counts_for_both_and_half_is_gone_after_a_half_life() {
        let mut scores = Scores::new(HALF_LIFE, 50_000);
        let (prefix, now) = (Prefix::v4(0x0a00_0000, 8), Timestamp::from_secs(1_000_000));
        assert_eq!(scores.add(prefix, 3, Event::Withdrawn, now), None);
        let score = scores.add(prefix, 3, Event::Withdrawn, now).expect("a score");
        assert_eq!((score.peak(), score.withdrawals, score.changes), (2000.0, 2, 0));
        assert_eq!(scores.get(prefix, 3, now + HALF_LIFE), 1000.0);
        let score = scores.add(prefix, 3, Event::Changed, now + HALF_LIFE).expect("a score");
        assert_eq!((score.peak(), score.changes), (1500.0, 1));
        scores.sweep(now + HALF_LIFE, |_| true);
        assert!(!scores.is_empty());
        scores.sweep(now + HALF_LIFE * 6, |_| true);
        assert!(scores.is_empty(), "1500 halved five times is below 100");
    }

    #[test]
    fn a_table_that_is_withdrawn_once_has_hardly_any_scores() {
        let mut scores = Scores::new(HALF_LIFE, 50_000);
        let now = Timestamp::from_secs(1_000_000);
        for n in 0..1_000_000_u32 {
            // In two minutes, so that each is remembered.
            scores.add(Prefix::v4(n << 8, 24), 1, Event::Withdrawn, now + Duration::from_micros(120 * u64::from(n)));
        }
        assert!(scores.of.len() < 20_000, "{} of a million", scores.of.len());
    }

    #[test]
    fn a_table_that_goes_in_a_second_does_not_go_through_the_memory_of_first_events() {
        let mut scores = Scores::new(HALF_LIFE, 50_000);
        let now = Timestamp::from_secs(1_000_000);
        let route = |n: u32| Prefix::v4(n << 8, 24);
        for n in 0..1_000_000_u32 {
            scores.add(route(n), 1, Event::Withdrawn, now);
        }
        let later = now + Duration::from_secs(60);
        assert!(scores.add(route(999), 1, Event::Withdrawn, later).is_some(), "one of the first was remembered");
        assert_eq!(scores.add(route(999_999), 1, Event::Withdrawn, later), None, "one of the last begins now");
        assert!(scores.add(route(999_999), 1, Event::Withdrawn, later).is_some());
    }
}
