//! A session that was up is down, or away (RFC 4724), for longer than it may be.
//!
//! Settings (`[detect.session]`) and defaults: `hold` a minute.
//!
//! # False positives
//! A neighbour that restarts gracefully is away for less than the hold time of this finding in most cases. A session that was
//! never up is not told of here: the list of neighbours shows it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{Feed, FeedRule};
use crate::{
    detect::{
        Board, Finding, Fingerprint, Hold, Kind, Severity,
        memory::{self, Memory},
        world::{Phase, World},
    },
    types::{Asn, Timestamp},
    view::observed::{Observation, VantageClass},
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// How long a session must be down.
    pub hold: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, hold: Duration::from_secs(60) }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Sessions {
    settings: Settings,
    /// By neighbour.
    down: BTreeMap<Arc<str>, Lost>,
}

/// A session that is not up, as it was when it was lost.
#[derive(Clone, Debug)]
struct Lost {
    asn: Asn,
    class: VantageClass,
    away: bool,
    paths: u64,
}

impl Sessions {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then(|| Self { settings: settings.clone(), down: BTreeMap::new() })
    }
}

impl FeedRule for Sessions {
    fn observe(&mut self, feed: &Feed<'_>, observation: &Observation, board: &mut Board) {
        let (slot, lost) = match observation {
            Observation::Up { session, .. } => (*session, false),
            Observation::Away { session } | Observation::Down { session } => (*session, true),
            Observation::Gone { name } => {
                self.down.remove(name);
                let key = Fingerprint::new(Kind::Session, Arc::clone(name));
                return board.clear(feed.seen.now, &key, "the neighbor was removed".to_owned());
            }
            _ => return,
        };
        let Some(session) = feed.world.session(slot) else { return };
        let name = &session.vantage.name;
        if !lost || session.phase == Phase::Up {
            self.down.remove(name);
            let key = Fingerprint::new(Kind::Session, Arc::clone(name));
            return board.clear(feed.seen.now, &key, "the session is up again".to_owned());
        }
        let lost = Lost {
            asn: session.vantage.asn,
            class: session.vantage.class,
            away: session.phase == Phase::Away,
            paths: session.paths.iter().sum(),
        };
        board.stand(feed.seen.now, self.finding(name, &lost));
        self.down.insert(Arc::clone(name), lost);
    }

    fn memory(&self, _: &World) -> Option<(&'static str, Value)> {
        let records =
            self.down.iter().map(|(name, lost)| json!([&**name, lost.asn.0, lost.class.name(), lost.away, lost.paths]));
        Some((MEMORY, records.collect()))
    }

    fn recall(&mut self, memory: &Memory, now: Timestamp, board: &mut Board) {
        for record in memory::records(memory, MEMORY) {
            let class = VantageClass::ALL.into_iter().find(|class| Some(class.name()) == record[2].as_str());
            let lost = || {
                Some(Lost {
                    asn: memory::asn(&record[1])?,
                    class: class?,
                    away: record[3].as_bool()?,
                    paths: record[4].as_u64()?,
                })
            };
            let (Some(name), Some(lost)) = (memory::text(&record[0]), lost()) else { continue };
            board.stand(now, self.finding(&name, &lost));
            self.down.insert(name, lost);
        }
    }
}

/// The name under which it remembers sessions: lists that begin with the name of a neighbour.
pub const MEMORY: &str = "session";

impl Sessions {
    fn finding(&self, name: &Arc<str>, lost: &Lost) -> Finding {
        let Lost { asn, class, away, paths } = lost;
        let what = match away {
            true => "is lost, its routes are kept for its return",
            false => "is down, and its routes do not count any more",
        };
        let mut finding = Finding::new(
            Fingerprint::new(Kind::Session, Arc::clone(name)),
            if *class == VantageClass::Own { Severity::Warning } else { Severity::Info },
            format!("session with {name} (AS{asn}) is down"),
            format!("the session with {name}, AS{asn}, {what}; it had {paths} paths"),
        )
        .asns("neighbor", [*asn])
        .evidence("paths_when_lost", *paths)
        .evidence("vantage", class.name());
        finding.neighbors = vec![Arc::clone(name)];
        finding.hold = Hold { open: self.settings.hold, ..Hold::default() };
        finding
    }
}
