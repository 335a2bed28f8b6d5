//! Where one path is filed or taken out: the parts of the engine that such a change touches, borrowed together.
//! Import, local routes, the purge and refresh sweeps all change paths here and nowhere else, so counts, best path,
//! dirty marks and events can never disagree. Events of Adj-RIB-In carry what the neighbour sent, those of the Loc-RIB
//! what import made of it.

use crate::{
    rib::{
        AttrStore, Change, Decision, Knobs, NlriRef, Path, PathFlags, PrefixId, SessionFacts, Table, paths::Upserted,
    },
    types::{Asn, Family, PathId, Timestamp},
    validation::OriginState,
    view,
};

use super::{
    events::{Changed, Events, Fate},
    flows::Flows,
    groups::Groups,
    import::{Ahead, Judged},
    observe::{Watched, let_go},
    rows::Subject,
    sessions::{LOCAL, Sessions, Slot},
};

/// Marks that say nothing about a route: they differ between two sendings of the same one.
const HOUSEKEEPING: PathFlags = PathFlags::EPOCH;

/// What became of a path that was to be filed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filed {
    /// It is in the table; the desk has taken over the reference to its set.
    Done,
    /// The prefix has all the paths that it, or the session, may have there. Counted; the reference is the caller's.
    Full,
    /// The family holds no such NLRI; the reference is the caller's.
    NoSuchNlri,
}

/// The parts of the engine that a change of one path touches.
pub struct Desk<'a> {
    /// Attribute sets.
    pub attrs: &'a mut AttrStore,
    /// The table of the family in hand.
    pub table: &'a mut Table,
    /// What the decision process asks about sessions.
    pub facts: &'a [SessionFacts],
    /// How best paths are chosen.
    pub knobs: &'a Knobs,
    /// Sessions and their counts.
    pub sessions: &'a mut Sessions,
    /// Update groups, to be told what is dirty.
    pub groups: &'a mut Groups,
    /// Listeners.
    pub events: &'a mut Events,
    /// Flow specifications, to be told of unicast routes that change,
    pub flows: &'a mut Flows,
    /// where they are interested in the family in hand.
    pub flows_depend: bool,
    /// For observers.
    pub watched: &'a mut Watched,
    /// False in collector mode.
    pub best_path: bool,
    /// What warming up said of the next routes.
    pub ahead: &'a mut Ahead,
    /// When it happens.
    pub now: Timestamp,
}

impl Desk<'_> {
    /// Files a path; where that can be done, the desk takes over one reference to `path.set`. `known` is what warming
    /// up said of the NLRI.
    #[inline]
    pub fn announce(&mut self, nlri: NlriRef<'_>, known: Option<PrefixId>, mut path: Path, labels: &[u8]) -> Filed {
        let id = match self.table.find_known(nlri, known) {
            Some(id) => id,
            None => match self.table.find_or_insert(nlri) {
                Some(id) => id,
                None => return Filed::NoSuchNlri,
            },
        };
        let before = self.table.best_path(id).copied();
        let Ok(Upserted { index, replaced }) = self.table.upsert(id, path) else {
            self.count_dropped(path.session);
            return Filed::Full;
        };
        let relabelled = self.relabel(id, &path, labels);
        let Some(old) = replaced else {
            self.count(path.session, Some(path.flags), None);
            self.note_path(id, &path, Fate::New);
            self.watched.path(self.table, nlri, None, Some(&path));
            self.decide(id, before, Change::Added(index), relabelled);
            return Filed::Done;
        };
        self.count(path.session, Some(path.flags), Some(old.flags));
        let same_marks = old.flags.without(HOUSEKEEPING) == path.flags.without(HOUSEKEEPING);
        let same_route = self.attrs.received(old.set) == self.attrs.received(path.set) && !relabelled;
        if same_route {
            // Sent again without a change (a refresh, a duplicate): the route is as old as it was.
            path.received_secs = old.received_secs;
            let _ = self.table.upsert(id, path);
        }
        if !(same_route && same_marks) {
            self.note_path(id, &path, Fate::Replaced);
        }
        // Import may judge the same route otherwise than before.
        let mut kept = false;
        if !(same_route && same_marks && old.set == path.set) {
            self.decide(id, before, Change::Replaced { index, old }, relabelled);
            kept = self.watched.path(self.table, nlri, Some(&old), Some(&path));
        }
        let_go(self.attrs, &old, kept);
        Filed::Done
    }

    /// What RPKI says of a path that is there already and has the same prefix and origin (RFC 6811 §2 asks for nothing
    /// else); `None`: there is none that was judged. What is there and waits to be judged again by new data is judged again
    /// together with what is filed now.
    #[inline]
    pub fn state_like(&self, nlri: NlriRef<'_>, known: Option<PrefixId>, origin: Asn) -> Option<OriginState> {
        let id = self.table.find_known(nlri, known)?;
        let path = self.table.paths(id).first()?;
        let same = self.attrs.facts(self.attrs.received(path.set)).origin_asn() == Some(origin);
        let state = OriginState::from_code(path.flags.validity().0);
        (same && state != OriginState::NotChecked).then_some(state)
    }

    /// Gives a path that is kept another verdict of import; takes a reference to the set.
    pub fn rejudge(&mut self, id: PrefixId, (session, path_id): (Slot, PathId), judged: Judged) {
        let Some(index) = self.table.find_path(id, session, path_id) else { return };
        let Some(old) = self.table.paths(id).get(index).copied() else { return };
        let path = Path { set: judged.set, flags: old.flags.with_verdict(judged.flags), ..old };
        if path == old {
            return;
        }
        let before = self.table.best_path(id).copied();
        self.attrs.retain(path.set, 1);
        // Its own place is there: it replaces what it was.
        let _ = self.table.upsert(id, path);
        self.count(session, Some(path.flags), Some(old.flags));
        if path.flags != old.flags {
            self.note_path(id, &path, Fate::Replaced);
        }
        self.decide(id, before, Change::Replaced { index, old }, false);
        let kept = self.watched.path(self.table, self.table.nlri(id), Some(&old), Some(&path));
        let_go(self.attrs, &old, kept);
    }

    /// Takes out what `session` sent with `path_id`; nothing happens when there is nothing. `known` as in `announce`.
    #[inline]
    pub fn withdraw(&mut self, nlri: NlriRef<'_>, known: Option<PrefixId>, session: Slot, path_id: PathId) -> bool {
        let known = self.table.find_known(nlri, known);
        let Some(id) = known.or_else(|| self.table.find(nlri)) else { return false };
        self.remove(id, session, path_id)
    }

    /// Takes a path out by id.
    pub fn remove(&mut self, id: PrefixId, session: Slot, path_id: PathId) -> bool {
        let before = self.table.best_path(id).copied();
        let Some(old) = self.table.remove(id, session, path_id) else { return false };
        self.count(session, None, Some(old.flags));
        self.note_path(id, &old, Fate::Gone);
        self.decide(id, before, Change::Removed { old }, false);
        let kept = self.watched.path(self.table, self.table.nlri(id), Some(&old), None);
        let_go(self.attrs, &old, kept);
        if self.table.paths(id).is_empty() {
            self.flows.forget(self.table.family(), self.table.nlri(id), id);
        }
        self.free_if_unused(id);
        true
    }

    /// Gives a path other marks: tells who listens, and chooses again.
    pub fn remark(&mut self, id: PrefixId, index: usize, flags: PathFlags) {
        let Some(&old) = self.table.paths(id).get(index) else { return };
        let before = self.table.best_path(id).copied();
        self.table.set_flags(id, index, flags);
        self.count(old.session, Some(flags), Some(old.flags));
        self.note_path(id, &Path { flags, ..old }, Fate::Replaced);
        if self.watched.path(self.table, self.table.nlri(id), Some(&old), Some(&Path { flags, ..old })) {
            self.attrs.retain(old.set, 1);
        }
        self.decide(id, before, Change::Replaced { index, old }, false);
    }

    /// Removes every path of `id` that `doomed` names. For sweeps; allocates only where there are some.
    pub fn remove_where(&mut self, id: PrefixId, doomed: impl Fn(&Path) -> bool) {
        let found = |path: &&Path| doomed(path);
        if !self.table.paths(id).iter().any(&doomed) {
            return;
        }
        let doomed: Vec<(Slot, PathId)> =
            self.table.paths(id).iter().filter(found).map(|path| (path.session, path.path_id)).collect();
        for (session, path_id) in doomed {
            self.remove(id, session, path_id);
        }
    }

    /// Gives the id back when it has no paths and no update group has it in its books.
    pub fn free_if_unused(&mut self, id: PrefixId) {
        if self.table.paths(id).is_empty() && !self.groups.hold(self.table.family(), id) {
            self.table.free_if_empty(id);
        }
    }

    /// Keeps the label stack of a path; whether it changed.
    fn relabel(&mut self, id: PrefixId, path: &Path, labels: &[u8]) -> bool {
        if self.family().is_plain_prefix() || self.table.labels(id, path.session, path.path_id) == labels {
            return false;
        }
        self.table.set_labels(id, path.session, path.path_id, labels);
        true
    }

    fn family(&self) -> Family {
        self.table.family()
    }

    /// Keeps the session's counts: `new` came, `old` went.
    #[inline]
    fn count(&mut self, slot: Slot, new: Option<PathFlags>, old: Option<PathFlags>) {
        if slot == LOCAL {
            return;
        }
        let family = self.table.family();
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let state = session.family_mut(family);
        let accepted = |flags: Option<PathFlags>| u64::from(flags.is_some_and(|f| !f.has(PathFlags::REJECTED)));
        state.received = state.received + u64::from(new.is_some()) - u64::from(old.is_some());
        state.accepted = state.accepted + accepted(new) - accepted(old);
        let stale = |flags: Option<PathFlags>| u64::from(flags.is_some_and(|f| f.has(PathFlags::STALE)));
        state.stale = state.stale + stale(new) - stale(old);
        let (new, old) = (new.map(PathFlags::validity), old.map(PathFlags::validity));
        if new != old {
            for (counts, new, old) in [
                (&mut state.validation, new.map(|(origin, _)| origin), old.map(|(origin, _)| origin)),
                (&mut state.aspa, new.map(|(_, path)| path), old.map(|(_, path)| path)),
            ] {
                // Codes have two bits.
                if let Some(new) = new {
                    counts[usize::from(new & 3)] += 1;
                }
                if let Some(old) = old {
                    counts[usize::from(old & 3)] -= 1;
                }
            }
        }
    }

    #[cold]
    fn count_dropped(&mut self, slot: Slot) {
        let family = self.table.family();
        if let Some(session) = self.sessions.get_mut(slot) {
            session.family_mut(family).dropped += 1;
        }
    }

    /// Chooses again and tells whom it concerns. `before` is the best path as it was before the change; `relabelled`
    /// that the path's labels changed, which may be all that changed.
    #[inline]
    fn decide(&mut self, id: PrefixId, before: Option<Path>, change: Change, relabelled: bool) {
        if !self.best_path {
            return;
        }
        let decision = Decision::new(self.attrs, self.facts, self.knobs);
        let best = decision.after(self.table.paths(id), self.table.best(id), change);
        self.settle(id, before, best, relabelled);
    }

    /// Chooses among all paths again: they are the same, what else decides about them is not.
    pub fn decide_afresh(&mut self, id: PrefixId) {
        if !self.best_path {
            return;
        }
        let before = self.table.best_path(id).copied();
        let best = Decision::new(self.attrs, self.facts, self.knobs).select(self.table.paths(id));
        self.settle(id, before, best, false);
    }

    #[inline]
    fn settle(&mut self, id: PrefixId, before: Option<Path>, best: Option<usize>, relabelled: bool) {
        self.table.set_best(id, best);
        if self.flows_depend
            && let NlriRef::Prefix(prefix) = self.table.nlri(id)
        {
            self.flows.touch(prefix);
        }
        let after = self.table.best_path(id).copied();
        let same = match (&before, &after) {
            (None, None) => true,
            // What import makes of a route is what others see of it.
            (Some(a), Some(b)) => {
                (a.session, a.path_id) == (b.session, b.path_id)
                    && self.attrs.effective(a.set) == self.attrs.effective(b.set)
                    && !differ(a, b, PathFlags::LLGR_STALE)
            }
            _ => false,
        };
        if same && !relabelled {
            self.groups.mark_paths_dirty(self.table.family(), id);
            // That it is stale, or no more, is news for readers, and none for neighbours (RFC 4724 §4.2).
            if let (Some(a), Some(b)) = (&before, &after)
                && differ(a, b, PathFlags::STALE)
            {
                self.note(id, b, view::Table::Loc, true, Fate::Replaced);
            }
            return;
        }
        self.groups.mark_dirty(self.table.family(), id);
        match (after, before) {
            (Some(path), None) => self.note(id, &path, view::Table::Loc, true, Fate::New),
            (Some(path), Some(_)) => self.note(id, &path, view::Table::Loc, true, Fate::Replaced),
            (None, Some(path)) => self.note(id, &path, view::Table::Loc, false, Fate::Gone),
            (None, None) => {}
        }
    }

    #[inline]
    fn note_path(&mut self, id: PrefixId, path: &Path, fate: Fate) {
        self.note(id, path, view::Table::AdjIn, false, fate);
    }

    #[inline]
    fn note(&mut self, id: PrefixId, path: &Path, table: view::Table, best: bool, fate: Fate) {
        if !self.events.count() {
            return;
        }
        let labels = match self.family().is_plain_prefix() {
            true => &[],
            false => self.table.labels(id, path.session, path.path_id),
        };
        let subject = Subject { family: self.table.family(), nlri: self.table.nlri(id), labels };
        let changed = Changed { time: self.now, table, subject, path, best, fate };
        self.events.tell(changed, self.attrs, self.sessions);
    }
}

fn differ(a: &Path, b: &Path, mark: PathFlags) -> bool {
    a.flags.has(mark) != b.flags.has(mark)
}
