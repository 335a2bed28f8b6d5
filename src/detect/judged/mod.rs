//! AS paths, judged once per attribute set and session, and the causes they lead to. A leaker with ten thousand prefixes is
//! one cause with ten thousand members: members come with the paths that show the fault and go with them.

mod cause;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use rustc_hash::FxBuildHasher;

use self::cause::Cause;
use super::{
    Board, Fingerprint,
    events::{Event, Events, is_leak},
    paths::{Fault, PathRules, PathSeen, Verdict},
    scene::family_of,
    settings::Settings,
    watch::Watch,
};
use crate::{
    rib::{NlriRef, PathFlags, SessionSlot, SetId},
    types::{Asn, Prefix, Timestamp},
    view::observed::{Observed, PathChange, VantageClass},
};

/// Longest time for which a growing cause is not told of again.
const GROWTH_INTERVAL: Duration = Duration::from_secs(5);

/// What is kept of a set that was judged: most are clean, and then this is all.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Slot of the session it was judged for, plus one; 0: not judged.
    judged_for: u32,
    /// The RPKI code of the path it was judged with.
    aspa: u8,
    faulty: bool,
    /// Its prefixes must be looked at one by one.
    by_prefix: bool,
}

type SetKey = (SetId, SessionSlot, u8);
type CauseId = u32;
/// A session and the RPKI code of the path, and the causes that a set from there leads to.
type Faulty = (SessionSlot, u8, Box<[CauseId]>);

/// All sets that were judged, and all causes.
#[derive(Debug)]
pub struct Judged {
    rules: PathRules,
    entries: Vec<Entry>,
    /// By set: for whom it was judged so, and what that leads to.
    faulty: HashMap<SetId, Vec<Faulty>, FxBuildHasher>,
    causes: Vec<Option<Cause>>,
    by_key: BTreeMap<Fingerprint, CauseId>,
    free: Vec<CauseId>,
    dirty: BTreeSet<CauseId>,
    /// Those that begin to be told and wait for the scenes.
    new: Vec<CauseId>,
    /// Whether everything that could be seen was seen once.
    all_seen: bool,
    due: Option<Timestamp>,
    /// For the ASes of the path in hand.
    room: Vec<Asn>,
}

impl Judged {
    /// Nothing was judged yet.
    pub fn new(settings: &Settings) -> Self {
        Self {
            rules: PathRules::new(settings),
            entries: Vec::new(),
            faulty: HashMap::default(),
            causes: Vec::new(),
            by_key: BTreeMap::new(),
            free: Vec::new(),
            dirty: BTreeSet::new(),
            new: Vec::new(),
            all_seen: false,
            due: None,
            room: Vec::new(),
        }
    }

    /// Whether everything that could be seen was seen once: what is weakly founded and was there by then is normal.
    pub fn all_was_seen(&mut self, all_seen: bool) {
        self.all_seen = all_seen;
    }

    /// Handles that mean others now, or nothing.
    pub fn forget_sets(&mut self, freed: &[SetId]) {
        for set in freed {
            let Some(entry) = self.entries.get_mut(set.index() as usize) else { continue };
            if entry.judged_for != 0 {
                *entry = Entry::default();
                if !self.faulty.is_empty() {
                    self.faulty.remove(set);
                }
            }
        }
    }

    /// A slot means another session now; it has no paths.
    pub fn forget_session(&mut self, session: SessionSlot) {
        let mark = u32::from(session) + 1;
        self.entries.iter_mut().filter(|entry| entry.judged_for == mark).for_each(|entry| *entry = Entry::default());
        self.faulty.retain(|_, of_set| {
            of_set.retain(|(of, ..)| *of != session);
            !of_set.is_empty()
        });
    }

    /// Takes a change of a path.
    #[inline]
    pub fn change(&mut self, seen: &Observed<'_>, watch: &Watch, change: &PathChange) {
        let parts = |(set, flags): (SetId, PathFlags)| (seen.rib.attrs.received(set), flags.validity().1);
        let (before, after) = (change.before.map(parts), change.after.map(parts));
        if before == after {
            return;
        }
        let looks = self.rules.looks_at(change.prefix);
        if let Some((set, aspa)) = before {
            let entry = self.entries.get(set.index() as usize).copied().unwrap_or_default();
            let same = entry.judged_for == u32::from(change.session) + 1 && entry.aspa == aspa;
            if !same || entry.faulty || entry.by_prefix || looks {
                self.leave(seen, watch, change, (set, aspa));
            }
        }
        if let Some((set, aspa)) = after {
            let entry = self.entry(seen, watch, (set, change.session, aspa));
            if entry.faulty || entry.by_prefix || looks {
                self.join(seen, watch, change, (set, aspa), entry);
            }
        }
    }

    /// What is known of a set that a session sent, judged if need be.
    #[inline]
    fn entry(&mut self, seen: &Observed<'_>, watch: &Watch, key: SetKey) -> Entry {
        let (set, session, aspa) = key;
        let at = set.index() as usize;
        if let Some(entry) = self.entries.get(at)
            && entry.judged_for == u32::from(session) + 1
            && entry.aspa == aspa
        {
            return *entry;
        }
        self.judge(seen, watch, key)
    }

    fn judge(&mut self, seen: &Observed<'_>, watch: &Watch, key: SetKey) -> Entry {
        let (set, session, aspa) = key;
        let mut verdict = Verdict::default();
        let room = std::mem::take(&mut self.room);
        if let Some(path) = PathSeen::new(seen, watch, set, session, aspa, room) {
            self.rules.judge(&path, &mut verdict);
            self.room = path.hops;
        }
        let entry = Entry {
            judged_for: u32::from(session) + 1,
            aspa,
            faulty: !verdict.faults.is_empty(),
            by_prefix: verdict.by_prefix,
        };
        if entry.faulty && self.faults(key).is_none() {
            let causes: Vec<CauseId> = verdict.faults.into_iter().map(|fault| self.cause(fault)).collect();
            self.link(&causes);
            self.faulty.entry(set).or_default().push((session, aspa, causes.into()));
        }
        let at = set.index() as usize;
        if at >= self.entries.len() {
            self.entries.resize((at + 1).next_power_of_two(), Entry::default());
        }
        self.entries[at] = entry;
        entry
    }

    /// Links leaks that one path shows.
    fn link(&mut self, causes: &[CauseId]) {
        let leaks = causes.iter().filter_map(|id| self.causes.get(*id as usize)?.as_ref());
        let keys: Vec<Fingerprint> =
            leaks.map(|cause| &cause.finding.key).filter(|key| is_leak(key.kind)).cloned().collect();
        for id in causes.iter().filter(|_| keys.len() > 1) {
            let Some(Some(cause)) = self.causes.get_mut(*id as usize) else { continue };
            if is_leak(cause.finding.key.kind) {
                cause.links.extend(keys.iter().filter(|key| **key != cause.finding.key).cloned());
            }
        }
    }

    #[cold]
    fn join(
        &mut self,
        seen: &Observed<'_>,
        watch: &Watch,
        change: &PathChange,
        (set, aspa): (SetId, u8),
        entry: Entry,
    ) {
        let mut causes = self.causes_of((set, change.session, aspa));
        if entry.by_prefix || self.rules.looks_at(change.prefix) {
            let faults = self.prefix_faults(seen, watch, change, (set, aspa));
            causes.extend(faults.into_iter().map(|fault| self.cause(fault)));
        }
        let Some(view) = view(seen, change.session, set) else { return };
        for id in causes {
            let Some(cause) = self.causes.get_mut(id as usize).and_then(Option::as_mut) else { continue };
            *cause.members.entry(change.prefix).or_default() += 1;
            let ((session, asn), class, name) = view.clone();
            cause.views.entry((session, asn)).or_insert((class, name, 0)).2 += 1;
            self.dirty.insert(id);
        }
    }

    #[cold]
    fn leave(&mut self, seen: &Observed<'_>, watch: &Watch, change: &PathChange, (set, aspa): (SetId, u8)) {
        let mut causes = self.causes_of((set, change.session, aspa));
        let by_prefix = self.prefix_faults(seen, watch, change, (set, aspa));
        causes.extend(by_prefix.into_iter().filter_map(|fault| self.by_key.get(&fault.finding.key).copied()));
        let Some(((session, asn), ..)) = view(seen, change.session, set) else { return };
        for id in causes {
            let Some(cause) = self.causes.get_mut(id as usize).and_then(Option::as_mut) else { continue };
            if let Some(count) = cause.members.get_mut(&change.prefix) {
                *count -= 1;
                if *count == 0 {
                    cause.members.remove(&change.prefix);
                }
            }
            if let Some((.., count)) = cause.views.get_mut(&(session, asn)) {
                *count -= 1;
                if *count == 0 {
                    cause.views.remove(&(session, asn));
                }
            }
            self.dirty.insert(id);
        }
    }

    /// The leak that paths of `prefix` show now, of those that are told.
    pub fn leak_of(&self, seen: &Observed<'_>, prefix: Prefix) -> Option<Event> {
        if self.faulty.is_empty() {
            return None;
        }
        let table = seen.rib.tables.get(family_of(prefix))?;
        let counting =
            table.paths(table.find(NlriRef::Prefix(prefix))?).iter().filter(|path| seen.counts(path.session));
        let causes = counting.flat_map(|path| {
            let key = (seen.rib.attrs.received(path.set), path.session, path.flags.validity().1);
            self.faults(key).into_iter().flatten()
        });
        let told = causes.filter_map(|id| self.causes.get(*id as usize)?.as_ref()).filter(|c| c.told_at.is_some());
        let leaks: Vec<&Cause> = told.filter(|cause| is_leak(cause.finding.key.kind)).collect();
        let gravest = leaks.iter().min_by(|a, b| {
            let [a, b] = [a, b].map(|cause| &cause.finding);
            b.severity.cmp(&a.severity).then_with(|| a.key.cmp(&b.key))
        })?;
        let home = gravest.home.as_ref().map_or_else(|| gravest.origin(), |(home, _)| home).clone();
        Some(Event::new(home, gravest.finding.severity, leaks.len()))
    }

    fn causes_of(&self, key: SetKey) -> Vec<CauseId> {
        self.faults(key).map(<[CauseId]>::to_vec).unwrap_or_default()
    }

    /// What a set leads to, where it was judged and is faulty.
    fn faults(&self, (set, session, aspa): SetKey) -> Option<&[CauseId]> {
        let of_set = self.faulty.get(&set)?;
        of_set.iter().find(|(of, code, _)| (*of, *code) == (session, aspa)).map(|(.., causes)| &**causes)
    }

    fn prefix_faults(
        &self,
        seen: &Observed<'_>,
        watch: &Watch,
        change: &PathChange,
        (set, aspa): (SetId, u8),
    ) -> Vec<Fault> {
        let mut verdict = Verdict::default();
        if let Some(path) = PathSeen::new(seen, watch, set, change.session, aspa, Vec::new()) {
            self.rules.judge_prefix(&path, change.prefix, &mut verdict);
        }
        verdict.faults
    }

    /// The cause that a fault belongs to, a new one if need be.
    fn cause(&mut self, fault: Fault) -> CauseId {
        if let Some(id) = self.by_key.get(&fault.finding.key) {
            if let Some(Some(cause)) = self.causes.get_mut(*id as usize)
                && cause.finding.severity < fault.finding.severity
            {
                cause.normal &= fault.weak;
                cause.finding = fault.finding;
            }
            return *id;
        }
        let key = fault.finding.key.clone();
        let cause = Cause {
            finding: fault.finding,
            vantages_min: fault.vantages_min,
            normal: fault.weak && !self.all_seen,
            members: BTreeMap::new(),
            views: BTreeMap::new(),
            told_at: None,
            links: BTreeSet::new(),
            home: None,
            hold: None,
        };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.causes.push(None);
                (self.causes.len() - 1) as CauseId
            }
        };
        self.causes[id as usize] = Some(cause);
        self.by_key.insert(key, id);
        id
    }

    /// Sees what changed about causes and tells it, at most once per interval of those that only grow or shrink. What begins and
    /// may be a part of what a scene shows waits for [`Self::tell_new`].
    pub fn settle(&mut self, now: Timestamp, settings: &Settings, events: &mut Events, board: &mut Board) {
        if self.dirty.is_empty() {
            return;
        }
        let mut waiting = BTreeSet::new();
        let mut due = None;
        let mut new = Vec::new();
        for id in std::mem::take(&mut self.dirty) {
            let Some(Some(cause)) = self.causes.get_mut(id as usize) else { continue };
            let stands = cause.is_shown(settings);
            match (cause.told_at, stands) {
                (None, false) => {}
                (Some(_), false) => {
                    let how = match cause.members.is_empty() {
                        true => "no path shows it any more",
                        false => "too few neighbors show it still",
                    };
                    board.clear(now, &cause.finding.key, how.to_owned());
                    events.tell_no_more(&cause.finding.key);
                    (cause.told_at, cause.home, cause.hold) = (None, None, None);
                }
                (Some(told), true) if now < told + GROWTH_INTERVAL => {
                    let next = told + GROWTH_INTERVAL;
                    due = Some(due.map_or(next, |due: Timestamp| due.min(next)));
                    waiting.insert(id);
                }
                (Some(_), true) => cause.tell(now, events, board),
                (None, true) => new.push((cause.rank(), id)),
            }
        }
        // The strongest evidence first: what is linked to it joins its alert.
        new.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        for (_, id) in new {
            let Some(Some(cause)) = self.causes.get_mut(id as usize) else { continue };
            if cause.find_home(now, events) {
                self.new.push(id);
            } else {
                cause.tell(now, events, board);
            }
        }
        (self.dirty, self.due) = (waiting, due);
        self.drop_empty();
    }

    /// Tells what begins to be told, after the scenes: a forged first hop has the first word of what it makes of the path.
    pub fn tell_new(&mut self, now: Timestamp, events: &mut Events, board: &mut Board) {
        for id in std::mem::take(&mut self.new) {
            let Some(Some(cause)) = self.causes.get_mut(id as usize) else { continue };
            let key = &cause.finding.key;
            if let Some((forged, hold)) = cause.forged(board).filter(|_| !events.was_told(key)) {
                events.tell_no_more(key);
                (cause.home, cause.hold) = (Some((forged, key.clone())), Some(hold));
            }
            cause.tell(now, events, board);
        }
    }

    /// Causes without paths go when no set leads to them.
    fn drop_empty(&mut self) {
        let is_empty = |c: &Cause| c.members.is_empty() && c.told_at.is_none() && !c.normal;
        let empty = |cause: &Option<Cause>| cause.as_ref().is_some_and(is_empty);
        if self.causes.len() < 1024 || self.causes.iter().filter(|cause| empty(cause)).count() < self.causes.len() / 2 {
            return;
        }
        let used: BTreeSet<CauseId> =
            self.faulty.values().flatten().flat_map(|(.., causes)| causes.iter().copied()).collect();
        for id in 0..self.causes.len() as CauseId {
            let place = &mut self.causes[id as usize];
            if empty(place) && !used.contains(&id) {
                if let Some(cause) = place.take() {
                    self.by_key.remove(&cause.finding.key);
                }
                self.free.push(id);
            }
        }
    }

    /// When `settle` has something to say.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.due
    }
}

type View = ((SessionSlot, Asn), VantageClass, Arc<str>);

/// From where a path is seen.
fn view(seen: &Observed<'_>, session: SessionSlot, set: SetId) -> Option<View> {
    let vantage = seen.vantage(session)?;
    let first = seen.rib.attrs.facts(set).neighbor_asn().filter(|_| !vantage.internal);
    Some(((session, first.unwrap_or(vantage.asn)), vantage.class, Arc::clone(&vantage.name)))
}
