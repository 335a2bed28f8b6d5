//! All update groups (see `update_group`): who joins which, who leaves, and what is left to close behind them.

use crate::{
    rib::{AttrStore, PrefixId},
    types::Family,
};

use super::{
    sessions::Slot,
    transform::Relation,
    update_group::{Group, GroupKey, GroupTable, Missed, names},
};

/// All update groups.
#[derive(Debug, Default)]
pub struct Groups {
    groups: Vec<Option<Group>>,
    /// Some group may be told other paths than the best.
    look_at_all_paths: bool,
    /// A group is in the hands of `export`, and its place is empty for that time.
    lent: bool,
    /// Groups without members, whose books are being closed in the background.
    closing: Vec<Group>,
    /// What members missed that left; likewise.
    closing_lags: Vec<(Family, Missed)>,
}

impl Groups {
    /// Number of places; some may be empty.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Adds a session to the group with its key, or to a new one; the group's number.
    pub fn join(&mut self, slot: Slot, key: GroupKey) -> usize {
        let found = self.groups.iter().position(|group| group.as_ref().is_some_and(|group| group.key == key));
        let at = found.unwrap_or_else(|| self.add(Group::new(key)));
        if let Some(group) = self.get_mut(at) {
            group.join(slot);
        }
        at
    }

    /// Adds a group; its number.
    pub fn add(&mut self, group: Group) -> usize {
        let free = self.groups.iter().position(Option::is_none).unwrap_or(self.groups.len());
        if free == self.groups.len() {
            self.groups.push(None);
        }
        self.groups[free] = Some(group);
        self.note_who_looks_at_all_paths();
        free
    }

    /// Takes a session out of its group. A group without members begins to close.
    pub fn leave(&mut self, at: usize, slot: Slot) {
        let Some(group) = self.groups.get_mut(at).and_then(Option::as_mut) else { return };
        let Some(index) = group.members.iter().position(|member| member.slot == slot) else { return };
        let member = group.members.remove(index);
        let families = group.tables.iter().map(|table| table.family);
        for (family, standing) in families.zip(member.families) {
            if let Some(lag) = standing.lag.filter(|lag| !lag.missed.is_empty()) {
                self.closing_lags.push((family, lag.missed));
            }
        }
        if group.members.is_empty() {
            self.closing.extend(self.groups.get_mut(at).and_then(Option::take));
        }
    }

    /// The group at a place.
    pub fn get(&self, at: usize) -> Option<&Group> {
        self.groups.get(at)?.as_ref()
    }

    /// The group at a place, to change it.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut Group> {
        self.groups.get_mut(at)?.as_mut()
    }

    /// Takes a group out for a while, so that the rest of the engine can be used beside it.
    pub fn lend(&mut self, at: usize) -> Option<Group> {
        let group = self.groups.get_mut(at)?.take()?;
        self.lent = true;
        Some(group)
    }

    /// Puts a group back.
    pub fn give_back(&mut self, at: usize, group: Group) {
        if let Some(place) = self.groups.get_mut(at) {
            *place = Some(group);
        }
        self.lent = false;
    }

    /// The best route of `id`, or its absence, is news for every group with the family.
    #[inline]
    pub fn mark_dirty(&mut self, family: Family, id: PrefixId) {
        for group in self.groups.iter_mut().flatten().filter(|group| !group.silent) {
            for table in group.tables.iter_mut().filter(|table| table.family == family) {
                table.out.mark_dirty(id);
            }
        }
    }

    /// A path of `id` that is not the best one changed, came or went: news for groups that may be told others than the
    /// best. Costs nothing where there is no such group.
    #[inline]
    pub fn mark_paths_dirty(&mut self, family: Family, id: PrefixId) {
        if self.look_at_all_paths {
            self.mark_all_paths_dirty(family, id);
        }
    }

    #[cold]
    fn mark_all_paths_dirty(&mut self, family: Family, id: PrefixId) {
        for group in self.groups.iter_mut().flatten() {
            for table in group.tables.iter_mut().filter(|table| table.family == family && table.looks_at_all_paths) {
                table.out.mark_dirty(id);
            }
        }
    }

    /// Has IBGP groups look at everything again: who is a client of the reflector changed, and with it whose routes they
    /// are sent (RFC 4456 §6).
    pub fn walk_internal(&mut self) {
        let internal = |group: &&mut Group| matches!(group.key.rules.to, Relation::Internal { .. });
        for group in self.groups.iter_mut().flatten().filter(internal).filter(|group| !group.silent) {
            group.tables.iter_mut().for_each(|table| table.fill = Some(0));
        }
    }

    /// RPKI says something else about `ids`. The state of a route as it is sent can change while that of its path does not
    /// (RFC 8893 §3), so groups that look at states look again.
    pub fn mark_revalidated(&mut self, family: Family, ids: &[PrefixId]) {
        for table in self.who_validate().filter(|table| table.family == family) {
            ids.iter().for_each(|id| table.out.mark_dirty(*id));
        }
    }

    /// The same where it may be about any prefix.
    pub fn walk_revalidated(&mut self) {
        self.who_validate().for_each(|table| table.fill = Some(0));
    }

    /// Whether a group looks at states, so that what it is told can change while no path does.
    pub fn validate(&self) -> bool {
        self.groups.iter().flatten().any(|group| !group.silent && group.key.looks_at_validation())
    }

    fn who_validate(&mut self) -> impl Iterator<Item = &mut GroupTable> {
        let groups = self.groups.iter_mut().flatten();
        groups.filter(|group| !group.silent && group.key.looks_at_validation()).flat_map(|group| &mut group.tables)
    }

    /// To be called when groups came, went or got other keys.
    pub fn note_who_looks_at_all_paths(&mut self) {
        let mut tables = self.groups.iter().flatten().flat_map(|group| &group.tables);
        self.look_at_all_paths = tables.any(|table| table.looks_at_all_paths);
    }

    /// Whether any group has `id` in its books, so that the id must stay what it is. While a group is lent nobody can
    /// know, and the answer is yes.
    pub fn hold(&self, family: Family, id: PrefixId) -> bool {
        self.lent || self.others_hold(family, id)
    }

    /// Whether any group but the lent one has `id` in its books.
    pub fn others_hold(&self, family: Family, id: PrefixId) -> bool {
        let holds = |group: &Group| {
            let table = group.tables.iter().position(|table| table.family == family);
            table.is_some_and(|table| group.holds(table, id))
        };
        self.all().any(holds) || self.closing_lags.iter().any(|(of, missed)| *of == family && names(missed, id))
    }

    /// Whether any row in any group's books names `slot` as its source.
    pub fn mention(&self, slot: Slot) -> bool {
        self.all().any(|group| group.tables.iter().any(|table| table.rows_of(slot) > 0))
    }

    fn all(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().flatten().chain(&self.closing)
    }

    /// Closes books that nobody needs: about `limit` rows. The ids they held, which may be free now; `None` when
    /// there is nothing to close.
    pub fn close_some(&mut self, limit: usize, attrs: &mut AttrStore) -> Option<(Family, Vec<PrefixId>)> {
        if let Some((family, missed)) = self.closing_lags.last_mut() {
            let family = *family;
            let mut ids = Vec::new();
            while ids.len() < limit
                && let Some(((id, _), told)) = missed.pop_first()
            {
                ids.push(id);
                if let Some(told) = told {
                    attrs.release(told);
                }
            }
            ids.dedup(); // in order, and each once: an id is freed once
            if missed.is_empty() {
                self.closing_lags.pop();
            }
            return Some((family, ids));
        }
        loop {
            let group = self.closing.last_mut()?;
            match group.clear_some(limit, attrs) {
                Some(cleared) => return Some(cleared),
                None => self.closing.pop(),
            };
        }
    }
}
