//! A session that was up is down, or away (RFC 4724), for longer than it may be.
//!
//! # False positives
//! A neighbour that restarts gracefully is away for less than the hold time of this finding in most cases. A session that was
//! never up is not told of here: the list of neighbours shows it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Feed, FeedRule};
use crate::{
    detect::{Board, Finding, Fingerprint, Hold, Kind, Severity, world::Phase},
    types::Asn,
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
    /// By neighbour: its AS, whether it is ours, paths when it was lost.
    down: BTreeMap<Arc<str>, Asn>,
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
            Observation::Up { session, .. } => (*session, None),
            Observation::Away { session } => (*session, Some("is lost, its routes are kept for its return")),
            Observation::Down { session } => (*session, Some("is down, and its routes do not count any more")),
            _ => return,
        };
        let Some(session) = feed.world.session(slot) else { return };
        let (name, asn) = (&session.vantage.name, session.vantage.asn);
        let key = Fingerprint::new(Kind::Session, Arc::clone(name));
        let Some(what) = lost.filter(|_| session.phase != Phase::Up) else {
            self.down.remove(name);
            return board.clear(feed.seen.now, &key, "the session is up again".to_owned());
        };
        self.down.insert(Arc::clone(name), asn);
        let own = session.vantage.class == VantageClass::Own;
        let paths: u64 = session.paths.iter().sum();
        let mut finding = Finding::new(
            key,
            if own { Severity::Warning } else { Severity::Info },
            format!("session with {name} (AS{asn}) is down"),
            format!("the session with {name}, AS{asn}, {what}; it had {paths} paths"),
        )
        .asns("neighbor", [asn])
        .evidence("paths_when_lost", paths)
        .evidence("vantage", session.vantage.class.name());
        finding.neighbors = vec![Arc::clone(name)];
        finding.hold = Hold { open: self.settings.hold, ..Hold::default() };
        board.stand(feed.seen.now, finding);
    }
}
