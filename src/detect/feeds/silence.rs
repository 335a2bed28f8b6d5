//! A session that is up and says nothing any more: a large table never stands still, so one that does is a feed that hangs
//! somewhere before us, and everything that rests on it is blind.
//!
//! Settings (`[detect.silence]`) and defaults: `after` an hour, `paths_min` 50,000.
//!
//! # False positives
//! Small tables may be quiet for days: sessions with fewer paths than `paths_min` are not looked at. A laboratory has large tables
//! that stand still: turn it off there. An archive has holes, so it is off in `replay`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Feed, FeedRule};
use crate::{
    detect::{
        Board, Finding, Fingerprint, Kind, Severity,
        world::{Phase, Session},
    },
    types::Timestamp,
    view::observed::{Observation, VantageClass},
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// How long no path must have changed.
    pub after: Duration,
    /// Sessions with fewer paths may be quiet.
    pub paths_min: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, after: Duration::from_secs(3600), paths_min: 50_000 }
    }
}

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(60);

/// The detector.
#[derive(Debug)]
pub struct Silence {
    settings: Settings,
    /// Neighbours that are told of.
    silent: BTreeSet<Arc<str>>,
    look_at: Option<Timestamp>,
}

impl Silence {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then(|| Self { settings: settings.clone(), silent: BTreeSet::new(), look_at: None })
    }

    fn is_silent(&self, session: &Session, now: Timestamp) -> bool {
        session.phase == Phase::Up
            && session.paths.iter().sum::<u64>() >= self.settings.paths_min
            && now.since(session.last_change) >= self.settings.after
    }

    fn end(&mut self, name: &Arc<str>, now: Timestamp, how: &str, board: &mut Board) {
        if self.silent.remove(name) {
            board.clear(now, &key(name), how.to_owned());
        }
    }
}

fn key(name: &str) -> Fingerprint {
    Fingerprint::new(Kind::Session, format!("{name} silent"))
}

fn finding(session: &Session) -> Finding {
    let (name, asn) = (&session.vantage.name, session.vantage.asn);
    let paths: u64 = session.paths.iter().sum();
    let own = session.vantage.class == VantageClass::Own;
    let why = format!(
        "the session with {name}, AS{asn}, is up with {paths} paths, and none of them changed since {}: a table of that size never \
         stands still, so something before us hangs",
        session.last_change
    );
    let summary = format!("session with {name} (AS{asn}) is up and silent");
    let severity = if own { Severity::Warning } else { Severity::Info };
    let mut finding = Finding::new(key(name), severity, summary, why)
        .asns("neighbor", [asn])
        .evidence("paths", paths)
        .evidence("last_change", session.last_change.to_string())
        .evidence("vantage", session.vantage.class.name())
        .term("silent", 2);
    finding.neighbors = vec![Arc::clone(name)];
    finding
}

impl FeedRule for Silence {
    fn observe(&mut self, feed: &Feed<'_>, observation: &Observation, board: &mut Board) {
        if let Observation::Gone { name } = observation {
            self.end(name, feed.seen.now, "the neighbor was removed", board);
        }
        self.look_at.get_or_insert(feed.seen.now + LOOK);
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.look_at
    }

    fn due(&mut self, feed: &Feed<'_>, board: &mut Board) {
        let now = feed.seen.now;
        for (_, session) in feed.world.sessions() {
            let name = &session.vantage.name;
            if !self.is_silent(session, now) {
                let how = if session.phase == Phase::Up { "it speaks again" } else { "the session is down" };
                self.end(name, now, how, board);
            } else if self.silent.insert(Arc::clone(name)) {
                board.stand(now, finding(session));
            }
        }
        self.look_at = feed.world.sessions().next().map(|_| now + LOOK);
    }
}
