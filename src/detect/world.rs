//! Sessions as detectors know them: who is up since when, whose table is complete, how many paths each has.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::events::Events;
use crate::{
    rib::SessionSlot,
    types::{Family, Timestamp},
    validation::Snapshot,
    view::observed::{LOCAL_SLOT, Observation, Observed, PathChange, Vantage},
};

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Established.
    Up,
    /// Lost; its paths are kept as stale.
    Away,
    /// Ended; its paths do not count.
    Down,
}

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Who it is.
    pub vantage: Arc<Vantage>,
    /// Where it stands.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// When each family's table was complete (End-of-RIB).
    pub complete: BTreeMap<Family, Timestamp>,
    /// Paths now: IPv4, IPv6.
    pub paths: [u64; 2],
    /// When a path of it changed last.
    pub last_change: Timestamp,
}

impl Session {
    /// Whether its table of `family` can be taken to be complete: End-of-RIB came, or it has been up and quiet long enough
    /// for a speaker that sends none.
    pub fn is_loaded(&self, family: Family, now: Timestamp) -> bool {
        self.phase == Phase::Up
            && (self.complete.contains_key(&family)
                || now.since(self.since) >= UP_LONG && now.since(self.last_change.max(self.since)) >= QUIET
                || now.since(self.since) >= UP_VERY_LONG)
    }
}

/// Share of the VRPs that must go at once to be a loss of the data and not of a route.
const SHRANK_PERCENT: usize = 20;
/// A speaker that sends no End-of-RIB is taken to be done after it was up this long,
const UP_LONG: Duration = Duration::from_secs(60);
/// and has sent nothing for this long,
const QUIET: Duration = Duration::from_secs(10);
/// or after this time whatever it sends.
const UP_VERY_LONG: Duration = Duration::from_secs(600);

/// All sessions.
#[derive(Debug, Default)]
pub struct World {
    /// When detection began.
    pub started_at: Timestamp,
    /// Whether everything that could be seen was seen once.
    pub settled: bool,
    /// What explains findings about watched prefixes.
    pub events: Events,
    /// When RPKI data last lost much at once.
    pub rpki_shrank: Option<Timestamp>,
    /// By slot.
    sessions: Vec<Option<Session>>,
}

impl World {
    /// The session in a slot.
    pub fn session(&self, slot: SessionSlot) -> Option<&Session> {
        self.sessions.get(usize::from(slot))?.as_ref()
    }

    /// Sessions by slot, this router's own routes left out.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionSlot, &Session)> {
        let all = (0..).zip(&self.sessions).skip(usize::from(LOCAL_SLOT) + 1);
        all.filter_map(|(slot, session)| Some((slot, session.as_ref()?)))
    }

    /// Takes a change of a session; changes of paths have [`Self::count`].
    pub(super) fn take(&mut self, seen: &Observed<'_>, observation: &Observation) {
        match *observation {
            Observation::Up { session, resumed } => self.up(seen, session, resumed),
            Observation::Away { session } => self.phase(session, Phase::Away, seen.now),
            Observation::Down { session } => self.phase(session, Phase::Down, seen.now),
            Observation::EndOfRib { session, family } => {
                if let Some(session) = self.get_mut(session) {
                    session.complete.entry(family).or_insert(seen.now);
                }
            }
            Observation::Path(_) | Observation::Gone { .. } | Observation::Rpki { .. } => {}
        }
    }

    /// RPKI says something else: whether it lost much at once.
    pub(super) fn take_rpki(&mut self, seen: &Observed<'_>, before: &Snapshot) {
        let count = |snapshot: &Snapshot| {
            let (v4, v6) = snapshot.vrps.counts();
            v4 + v6
        };
        let (had, has) = (count(before), count(seen.rpki));
        if had > 0 && (had - has.min(had)) * 100 >= had * SHRANK_PERCENT {
            self.rpki_shrank = Some(seen.now);
        }
    }

    fn up(&mut self, seen: &Observed<'_>, slot: SessionSlot, resumed: bool) {
        let Some(vantage) = seen.vantage(slot) else { return };
        let at = usize::from(slot);
        if at >= self.sessions.len() {
            self.sessions.resize(at + 1, None);
        }
        let paths = match self.sessions[at].take() {
            Some(before) if resumed => before.paths,
            _ => [0; 2],
        };
        self.sessions[at] = Some(Session {
            vantage: Arc::clone(vantage),
            phase: Phase::Up,
            since: seen.now,
            complete: BTreeMap::new(),
            paths,
            last_change: seen.now,
        });
    }

    fn phase(&mut self, slot: SessionSlot, phase: Phase, now: Timestamp) {
        if let Some(session) = self.get_mut(slot) {
            (session.phase, session.since) = (phase, now);
            session.complete.clear();
        }
    }

    fn get_mut(&mut self, slot: SessionSlot) -> Option<&mut Session> {
        self.sessions.get_mut(usize::from(slot))?.as_mut()
    }

    /// Counts a path that came or went.
    #[inline]
    pub(super) fn count(&mut self, change: &PathChange, now: Timestamp) {
        let Some(session) = self.sessions.get_mut(usize::from(change.session)).and_then(Option::as_mut) else { return };
        session.last_change = now;
        if change.before.is_some() != change.after.is_some() {
            let count = &mut session.paths[usize::from(change.family.afi != 1)];
            *count = if change.after.is_some() { *count + 1 } else { count.saturating_sub(1) };
        }
    }
}
