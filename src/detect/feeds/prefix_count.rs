//! A session's number of prefixes jumps: far above the most of the last 24 hours (a leak), or far below (a loss).
//!
//! # False positives
//! A table that is being sent is growing: nothing is compared before it is complete (End-of-RIB), nor while the session is
//! away. Small tables vary: a change of fewer prefixes than `change_min` is none. What stays for 24 hours is the new
//! measure. That a neighbour sends more because it leaks is a part of the leak's alert.
//!
//! Settings (`[detect.prefix_count]`) and defaults: `warning_percent` 10, `critical_percent` 50, `loss_percent` 20, `change_min`
//! 100, `hold` a minute.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use super::{Feed, FeedRule};
use crate::{
    detect::{
        Board, Finding, Fingerprint, Hold, Kind, Severity,
        memory::{self, Memory},
        world::{Phase, World},
    },
    types::{Family, Timestamp},
    view::observed::Observation,
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// So many percent above the most of the last 24 hours are a warning.
    pub warning_percent: u64,
    /// So many are critical.
    pub critical_percent: u64,
    /// So many percent below the least of the last 24 hours are a warning.
    pub loss_percent: u64,
    /// Fewer prefixes more or less are no change.
    pub change_min: u64,
    /// How long it must stand.
    pub hold: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            warning_percent: 10,
            critical_percent: 50,
            loss_percent: 20,
            change_min: 100,
            hold: Duration::from_secs(60),
        }
    }
}

/// How often numbers are taken.
const SAMPLE: Duration = Duration::from_secs(10);
/// Length of one piece of the past.
const HOUR: Duration = Duration::from_secs(3600);
/// Pieces of the past that are kept.
const HOURS: usize = 24;

/// Least and most prefixes in each hour, the present one last.
#[derive(Debug, Default)]
struct Past {
    hours: VecDeque<(Timestamp, u64, u64)>,
}

impl Past {
    /// The measure: least and most of the hours before this one, or of the first number that was taken.
    fn measure(&self) -> Option<(u64, u64)> {
        let before = self.hours.len().saturating_sub(1).max(1);
        let hours = self.hours.iter().take(before);
        hours.map(|(_, least, most)| (*least, *most)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    fn take(&mut self, now: Timestamp, count: u64) {
        let first = self.hours.len() <= 1;
        match self.hours.back_mut() {
            Some((began, least, most)) if now.since(*began) < HOUR => {
                if !first {
                    (*least, *most) = ((*least).min(count), (*most).max(count));
                }
            }
            _ => self.hours.push_back((now, count, count)),
        }
        while self.hours.len() > HOURS + 1 {
            self.hours.pop_front();
        }
    }
}

/// The detector.
#[derive(Debug)]
pub struct PrefixCount {
    settings: Settings,
    past: BTreeMap<(Arc<str>, Family), Past>,
    /// Numbers that jumped, since when, and the alert of the leak that they are due to. It is looked for while the finding
    /// waits to be an alert.
    jumped: BTreeMap<Fingerprint, (Timestamp, Option<Fingerprint>)>,
    sample_at: Option<Timestamp>,
}

impl PrefixCount {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then(|| Self {
            settings: settings.clone(),
            past: BTreeMap::new(),
            jumped: BTreeMap::new(),
            sample_at: None,
        })
    }

    fn compare(&self, count: u64, (least, most): (u64, u64)) -> Option<(Severity, &'static str, u64)> {
        let settings = &self.settings;
        if count > most + settings.change_min.max(most * settings.warning_percent / 100) {
            let critical = count > most + most * settings.critical_percent / 100;
            let severity = if critical { Severity::Critical } else { Severity::Warning };
            return Some((severity, "more", most));
        }
        let lost = settings.change_min.max(least * settings.loss_percent / 100);
        (count + lost < least).then_some((Severity::Warning, "fewer", least))
    }
}

impl FeedRule for PrefixCount {
    fn observe(&mut self, feed: &Feed<'_>, observation: &Observation, board: &mut Board) {
        if let Observation::Gone { name } = observation {
            for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST] {
                self.past.remove(&(Arc::clone(name), family));
                let key = Fingerprint::new(Kind::PrefixCount, format!("{name} {family}"));
                self.jumped.remove(&key);
                board.clear(feed.seen.now, &key, "the neighbor was removed".to_owned());
            }
        }
        self.sample_at.get_or_insert(feed.seen.now + SAMPLE);
    }

    fn memory(&self, _: &World) -> Option<(&'static str, Value)> {
        let records = self.past.iter().map(|((name, family), past)| {
            let hours: Vec<Value> = past.hours.iter().map(|(at, least, most)| json!([at.0, least, most])).collect();
            json!([&**name, family.to_string(), hours])
        });
        Some(("prefix_count", records.collect()))
    }

    fn recall(&mut self, memory: &Memory, now: Timestamp, _: &mut Board) {
        for record in memory::records(memory, "prefix_count") {
            let family = record[1].as_str().and_then(|family| family.parse().ok());
            let (Some(name), Some(family)) = (memory::text(&record[0]), family) else { continue };
            let hour = |hour: &Value| Some((memory::time(&hour[0])?, hour[1].as_u64()?, hour[2].as_u64()?));
            let hours = record[2].as_array().into_iter().flatten().filter_map(hour);
            // What was usual before a long absence says little.
            let hours: VecDeque<_> = hours.filter(|(at, ..)| now.since(*at) < HOUR * (HOURS as u32 + 1)).collect();
            if !hours.is_empty() {
                self.past.insert((name, family), Past { hours });
            }
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.sample_at
    }

    fn due(&mut self, feed: &Feed<'_>, board: &mut Board) {
        let now = feed.seen.now;
        for (_, session) in feed.world.sessions().filter(|(_, session)| session.phase == Phase::Up) {
            for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST] {
                if !session.is_loaded(family, now) {
                    continue;
                }
                let name = &session.vantage.name;
                let count = session.paths[usize::from(family.afi != 1)];
                let past = self.past.entry((Arc::clone(name), family)).or_default();
                let measure = past.measure();
                past.take(now, count);
                let key = Fingerprint::new(Kind::PrefixCount, format!("{name} {family}"));
                let Some((severity, what, usual)) = measure.and_then(|measure| self.compare(count, measure)) else {
                    self.jumped.remove(&key);
                    board.clear(now, &key, format!("it sends {count} now"));
                    continue;
                };
                let (since, leak) = self.jumped.entry(key.clone()).or_insert((now, None));
                if now.since(*since) < self.settings.hold || *since == now {
                    let leaked = feed.world.events.leak_at(name, count.saturating_sub(usual).div_ceil(2));
                    *leak = leaked.filter(|_| count > usual).cloned();
                }
                let leak = leak.clone();
                let why = format!("{name} sends {count} {family} prefixes; in the last 24 hours it was {usual}");
                let summary = format!("{name} sends far {what} {family} prefixes than before");
                let mut finding = Finding::new(key, severity, summary, why)
                    .asns("neighbor", [session.vantage.asn])
                    .evidence("usual", usual)
                    .evidence("count", count)
                    .term("prefix_count", 3);
                (finding.symptom, finding.cause) = (leak.is_some(), leak);
                finding.neighbors = vec![Arc::clone(name)];
                finding.hold = Hold { open: self.settings.hold, ..Hold::default() };
                board.stand(now, finding);
            }
        }
        self.sample_at = feed.world.sessions().next().map(|_| now + SAMPLE);
    }
}
