//! Where one path is filed or taken out: the parts of the engine that such a change touches, borrowed together.
//! Import, local routes, the purge and refresh sweeps all change paths here and nowhere else, so counts, best path,
//! dirty marks and events can never disagree.

use crate::{
    rib::{AttrStore, Change, Decision, NlriRef, Path, PathFlags, PrefixId, SessionFacts, Table, paths::Upserted},
    types::{Family, PathId, Timestamp},
    view,
};

use super::{
    events::{Changed, Events, Fate},
    groups::Groups,
    rows::Subject,
    sessions::{LOCAL, Sessions, Slot},
};

/// Marks that say nothing about a route: they differ between two sendings of the same one.
const HOUSEKEEPING: PathFlags = PathFlags::EPOCH;

/// Marks that come with the age of a route, and go when it is sent again (`retention`).
const AGE: PathFlags = PathFlags::STALE.with(PathFlags::LLGR_STALE);

/// The parts of the engine that a change of one path touches.
pub struct Desk<'a> {
    /// Attribute sets.
    pub attrs: &'a mut AttrStore,
    /// The table of the family in hand.
    pub table: &'a mut Table,
    /// What the decision process asks about sessions.
    pub facts: &'a [SessionFacts],
    /// Sessions and their counts.
    pub sessions: &'a mut Sessions,
    /// Update groups, to be told what is dirty.
    pub groups: &'a mut Groups,
    /// Listeners.
    pub events: &'a mut Events,
    /// False in collector mode.
    pub best_path: bool,
    /// When it happens.
    pub now: Timestamp,
}

impl Desk<'_> {
    /// Files a path; the desk takes over one reference to `path.set`. False when it could not be filed (the family
    /// does not hold such NLRI, or the prefix holds 65,535 paths): the reference is then still the caller's.
    #[inline]
    pub fn announce(&mut self, nlri: NlriRef<'_>, mut path: Path, labels: &[u8]) -> bool {
        let Some(id) = self.table.find_or_insert(nlri) else { return false };
        let before = self.table.best_path(id).copied();
        let Ok(Upserted { index, replaced }) = self.table.upsert(id, path) else { return false };
        let relabelled = self.relabel(id, &path, labels);
        let Some(old) = replaced else {
            self.count(path.session, Some(path.flags), None);
            self.note_path(id, &path, Fate::New);
            self.decide(id, before, Change::Added(index), relabelled);
            return true;
        };
        self.count(path.session, Some(path.flags), Some(old.flags));
        let differ = |but: PathFlags| old.flags.without(but) != path.flags.without(but);
        let same = old.set == path.set && !relabelled && !differ(HOUSEKEEPING.with(AGE));
        if same {
            // Sent again without a change (a refresh, a duplicate, a restart): the route is as old as it was.
            path.received_secs = old.received_secs;
            let _ = self.table.upsert(id, path);
        }
        if !same || differ(HOUSEKEEPING) {
            self.note_path(id, &path, Fate::Replaced);
            self.decide(id, before, Change::Replaced { index, old }, relabelled);
        }
        self.attrs.release(old.set);
        true
    }

    /// Takes out what `session` sent with `path_id`; nothing happens when there is nothing.
    #[inline]
    pub fn withdraw(&mut self, nlri: NlriRef<'_>, session: Slot, path_id: PathId) -> bool {
        let Some(id) = self.table.find(nlri) else { return false };
        self.remove(id, session, path_id)
    }

    /// Takes a path out by id.
    pub fn remove(&mut self, id: PrefixId, session: Slot, path_id: PathId) -> bool {
        let before = self.table.best_path(id).copied();
        let Some(old) = self.table.remove(id, session, path_id) else { return false };
        self.count(session, None, Some(old.flags));
        self.note_path(id, &old, Fate::Gone);
        self.decide(id, before, Change::Removed { old }, false);
        self.attrs.release(old.set);
        self.free_if_unused(id);
        true
    }

    /// Gives a path other marks: tells who listens, and chooses again.
    pub fn remark(&mut self, id: PrefixId, index: usize, flags: PathFlags) {
        let Some(&old) = self.table.paths(id).get(index) else { return };
        let before = self.table.best_path(id).copied();
        self.table.set_flags(id, index, flags);
        self.note_path(id, &Path { flags, ..old }, Fate::Replaced);
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
    }

    /// Chooses again and tells whom it concerns. `before` is the best path as it was before the change; `relabelled`
    /// that the path's labels changed, which may be all that changed.
    #[inline]
    fn decide(&mut self, id: PrefixId, before: Option<Path>, change: Change, relabelled: bool) {
        if !self.best_path {
            return;
        }
        let decision = Decision::new(self.attrs, self.facts);
        let best = decision.after(self.table.paths(id), self.table.best(id), change);
        self.table.set_best(id, best);
        let after = self.table.best_path(id).copied();
        let same = match (&before, &after) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                (a.set, a.session, a.path_id) == (b.set, b.session, b.path_id) && !differ(a, b, PathFlags::LLGR_STALE)
            }
            _ => false,
        };
        if same && !relabelled {
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
