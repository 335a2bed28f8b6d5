//! Who stands among those who watch and copies what is worth remembering into flat batches, on the engine's thread: what a
//! change costs there is a look at its set, and the set's octets once per look. Batches are held for a moment, so that
//! whoever takes them is not woken for each look. What does not fit is counted, never waited for.

use std::{ops::Range, sync::Arc, time::Duration};

use rustc_hash::FxHashMap;

use super::{SessionEvent, SessionFate};
use crate::{
    rib::{PathFlags, SessionSlot, SetId},
    types::{Family, PathId, Prefix, Timestamp},
    validation::{OriginState, PathState},
    view::observed::{Observation, Observed, Observer, PathChange, Vantage},
};

/// Changes of one batch.
const RECORDS_MAX: usize = 8192;
/// Changes that are handed on at once after a quiet time: a tenth of what the memory holds by default.
const BURST: f64 = 10_000.0;
/// Changes per second that are handed on for long. What is faster is a table that comes or goes as a whole: nobody steps
/// through that, it would push all else out of the memory, and cost as much as routing it.
const RATE: f64 = 5_000.0;
/// Octets of attributes of one batch.
const OCTETS_MAX: usize = 1 << 20;
/// A batch of this many changes is not held any longer.
const RECORDS_ENOUGH: usize = 1024;
/// Longest time for which a batch is held.
const HOLD: Duration = Duration::from_millis(50);
/// Events of sessions that wait for room, at most.
const SESSIONS_KEPT_MAX: usize = 1024;
/// From then on a table counts as complete though its neighbour never said so.
const FIRST_TABLE_MAX: Duration = Duration::from_secs(300);

/// Changes of one moment.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Changes of paths, in order.
    pub records: Vec<Record>,
    /// Attribute sets that `records` name.
    pub octets: Vec<u8>,
    /// Sessions that `records` name.
    pub vantages: Vec<Arc<Vantage>>,
    /// What sessions did.
    pub sessions: Vec<SessionEvent>,
    /// Changes that there was no room for.
    pub missed: u64,
}

/// A change of one path.
#[derive(Clone, Debug)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// Of what family.
    pub family: Family,
    /// Of what prefix.
    pub prefix: Prefix,
    /// Path Identifier.
    pub path_id: PathId,
    /// Index into `Batch::vantages`.
    pub vantage: usize,
    /// The path before.
    pub before: Option<Shown>,
    /// The path after.
    pub after: Option<Shown>,
}

/// A path as it was shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its set, as a range of `Batch::octets`.
    pub range: Range<usize>,
    /// State of its origin.
    pub validation: OriginState,
    /// State of its AS_PATH.
    pub aspa: PathState,
    /// Whether import accepted it.
    pub accepted: bool,
}

/// Takes a batch; gives it back when there is no room for it now.
pub type Hand = Box<dyn Fn(Batch) -> Option<Batch> + Send>;

/// What is known of the session in a slot.
#[derive(Clone, Copy, Default)]
struct Loading {
    /// Since when its first tables come; `None`: they are there.
    v4: Option<Timestamp>,
    v6: Option<Timestamp>,
}

/// The tap.
pub struct Tap {
    hand: Hand,
    sessions: Vec<Loading>,
    /// What waits to be handed on,
    batch: Batch,
    /// at the latest then.
    due: Option<Timestamp>,
    /// Changes that may be handed on now, and when that was so.
    allowance: (f64, Timestamp),
    /// What comes first is all there is, shown to somebody who took another's place: nothing of it is a change.
    all_is_old: bool,
    /// Sets of this look that are in the batch.
    sets: FxHashMap<SetId, Range<usize>>,
    /// Places in the batch of sessions of this look.
    places: FxHashMap<SessionSlot, usize>,
}

impl Tap {
    /// A tap that hands on to `hand`. `resumes`: it takes the place of another one, and is shown first what is known already.
    pub fn new(hand: Hand, resumes: bool) -> Self {
        Self {
            hand,
            sessions: Vec::new(),
            batch: Batch::default(),
            due: None,
            allowance: (BURST, Timestamp::default()),
            all_is_old: resumes,
            sets: FxHashMap::default(),
            places: FxHashMap::default(),
        }
    }

    /// Whether a path of this family of a session belongs to its first table, and so is no change.
    #[inline]
    fn is_first_table(&self, now: Timestamp, change: &PathChange) -> bool {
        let Some(loading) = self.sessions.get(usize::from(change.session)) else { return false };
        let since = if change.family.afi == 1 { loading.v4 } else { loading.v6 };
        change.before.is_none() && since.is_some_and(|since| now.since(since) < FIRST_TABLE_MAX)
    }

    #[inline]
    fn path(&mut self, seen: &Observed<'_>, change: &PathChange) {
        if self.is_first_table(seen.now, change) || change.after.is_none() && !seen.counts(change.session) {
            return;
        }
        if let (Some((before, _)), Some((after, _))) = (change.before, change.after)
            && seen.rib.attrs.received(before) == seen.rib.attrs.received(after)
        {
            // Judged otherwise, or marked: the neighbour said nothing new.
            return;
        }
        // Before anything is read of what changed: when a whole table goes, this is all that it costs.
        if self.allowance.0 < 1.0 || self.batch.records.len() >= RECORDS_MAX || self.batch.octets.len() >= OCTETS_MAX {
            self.batch.missed += 1;
            return;
        }
        self.record(seen, change);
    }

    fn record(&mut self, seen: &Observed<'_>, change: &PathChange) {
        let Some(vantage) = self.place(seen, change.session) else { return };
        self.allowance.0 -= 1.0;
        let before = change.before.map(|state| self.shown(seen, state));
        let after = change.after.map(|state| self.shown(seen, state));
        let PathChange { family, prefix, path_id, .. } = *change;
        self.batch.records.push(Record { at: seen.now, family, prefix, path_id, vantage, before, after });
    }

    fn place(&mut self, seen: &Observed<'_>, session: SessionSlot) -> Option<usize> {
        if let Some(place) = self.places.get(&session) {
            return Some(*place);
        }
        self.batch.vantages.push(Arc::clone(seen.vantage(session)?));
        let place = self.batch.vantages.len() - 1;
        self.places.insert(session, place);
        Some(place)
    }

    fn shown(&mut self, seen: &Observed<'_>, (set, flags): (SetId, PathFlags)) -> Shown {
        let batch = &mut self.batch;
        let set = seen.rib.attrs.received(set);
        let range = self.sets.entry(set).or_insert_with(|| {
            let start = batch.octets.len();
            batch.octets.extend_from_slice(seen.rib.attrs.get(set).as_bytes());
            start..batch.octets.len()
        });
        let (origin, path) = flags.validity();
        Shown {
            range: range.clone(),
            validation: OriginState::from_code(origin),
            aspa: PathState::from_code(path),
            accepted: flags.is_eligible(),
        }
    }

    fn session(&mut self, seen: &Observed<'_>, slot: SessionSlot, fate: SessionFate, loading: bool) {
        let at = usize::from(slot);
        if at >= self.sessions.len() {
            self.sessions.resize(at + 1, Loading::default());
        }
        let since = loading.then_some(seen.now);
        self.sessions[at] = Loading { v4: since, v6: since };
        if let Some(vantage) = seen.vantage(slot).filter(|_| !self.all_is_old) {
            self.batch.sessions.push(SessionEvent { at: seen.now, vantage: Arc::clone(vantage), fate });
        }
    }

    /// Hands on what waits, if it is worth it by now.
    fn hand_on(&mut self, now: Timestamp) {
        let batch = &self.batch;
        if batch.missed == 0 && batch.records.is_empty() && batch.sessions.is_empty() {
            self.due = None;
            return;
        }
        let due = *self.due.get_or_insert(now + HOLD);
        if now < due && batch.records.len() < RECORDS_ENOUGH && batch.sessions.is_empty() {
            return;
        }
        self.due = None;
        if let Some(back) = (self.hand)(std::mem::take(&mut self.batch)) {
            self.batch.missed = back.missed + back.records.len() as u64;
            self.batch.sessions = back.sessions;
            self.batch.sessions.truncate(SESSIONS_KEPT_MAX);
        }
    }
}

impl Observer for Tap {
    fn observe(&mut self, seen: &Observed<'_>) {
        let (left, at) = self.allowance;
        self.allowance = (BURST.min(left + RATE * seen.now.since(at).as_secs_f64()), seen.now);
        for observation in seen.log {
            match observation {
                Observation::Path(change) if !self.all_is_old => self.path(seen, change),
                Observation::Path(_) | Observation::Rpki { .. } | Observation::Gone { .. } => {}
                Observation::Up { session, resumed } => self.session(seen, *session, SessionFate::Up, !resumed),
                Observation::Away { session } => self.session(seen, *session, SessionFate::Away, false),
                Observation::Down { session } => self.session(seen, *session, SessionFate::Down, false),
                Observation::EndOfRib { session, family } => {
                    if let Some(loading) = self.sessions.get_mut(usize::from(*session)) {
                        *(if family.afi == 1 { &mut loading.v4 } else { &mut loading.v6 }) = None;
                    }
                }
            }
        }
        self.all_is_old &= seen.log.is_empty();
        // Handles may mean others at the next look.
        self.sets.clear();
        self.places.clear();
        self.hand_on(seen.now);
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.due
    }
}
