//! What a neighbour is sent depends on something else than before: its policies, options or rules changed, and its
//! session goes on. It is sent exactly the difference between what it was told and what holds now.
//!
//! Wishes are collected until the next export, since a reload changes many sessions at once. Where all members of a
//! group change alike (the usual reload), the group gets the new key in place: its rows stay, marked as told by the
//! old key, a walk over the table works out both octets of each, and only differences leave. A member that changes
//! alone takes a copy of the group's books into a group of its own, and then the same happens there. Such a group is
//! not merged with another one of the same key: what one was told is the other's only by and by.

use super::super::{Engine, filters::NeighborFilter, sessions::Slot, update_group::GroupKey};

impl Engine {
    /// The settings of the session in `slot`, or policies that it uses, are others now. To be called for every
    /// session that it may concern; where nothing changes in effect, nothing happens.
    pub(in crate::engine) fn regroup(&mut self, slot: Slot) {
        let in_group = self.sessions.get(slot).is_some_and(|session| session.group.is_some());
        if in_group && !self.regrouping.contains(&slot) {
            self.regrouping.push(slot);
        }
    }

    /// Whether a wish can be fulfilled now: a group has its new key fully in force before it gets another one.
    pub(super) fn can_regroup(&self) -> bool {
        self.regrouping.iter().any(|slot| {
            let group = self.sessions.get(*slot).and_then(|session| self.groups.get(session.group?));
            group.is_none_or(|group| group.past.is_none())
        })
    }

    /// Gives sessions that wait the key they should have, as far as that can be done now.
    pub(super) fn regroup_due(&mut self) {
        if self.regrouping.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.regrouping);
        for slot in &waiting {
            let session = self.sessions.get_mut(*slot).into_iter();
            session.flat_map(|session| &mut session.filters).for_each(NeighborFilter::renew);
        }
        while let Some(slot) = waiting.first().copied() {
            let Some(at) = self.sessions.get(slot).and_then(|session| session.group) else {
                waiting.retain(|other| *other != slot);
                continue;
            };
            let Some(group) = self.groups.get(at) else { break };
            let members: Vec<Slot> = group.members.iter().map(|member| member.slot).collect();
            let keys: Vec<Option<GroupKey>> = members.iter().map(|slot| self.key_of(*slot)).collect();
            let busy = group.past.is_some();
            let all_alike =
                keys.first().and_then(Option::as_ref).filter(|key| keys.iter().all(|k| k.as_ref() == Some(*key)));
            match all_alike.cloned() {
                _ if busy => self.regrouping.extend(members.iter().filter(|slot| waiting.contains(slot))),
                Some(key) => self.turn(at, key),
                None => {
                    for (slot, key) in members.iter().zip(keys) {
                        self.move_out(at, *slot, key);
                    }
                }
            }
            waiting.retain(|other| !members.contains(other));
        }
    }

    fn key_of(&self, slot: Slot) -> Option<GroupKey> {
        Some(GroupKey::of(self.sessions.get(slot)?, &self.settings))
    }

    fn turn(&mut self, at: usize, key: GroupKey) {
        if let Some(group) = self.groups.get_mut(at).filter(|group| group.key != key) {
            let reflects = group.key.rules.to != key.rules.to;
            group.turn(key);
            if reflects {
                self.groups.walk_internal();
            }
            self.groups.note_who_looks_at_all_paths();
            self.mark_defaults(at);
        }
    }

    /// Moves a member whose key is not the group's into a group of its own.
    fn move_out(&mut self, at: usize, slot: Slot, key: Option<GroupKey>) {
        let Some(key) = key else { return };
        let Some(group) = self.groups.get_mut(at).filter(|group| group.key != key) else { return };
        let reflects = group.key.rules.to != key.rules.to;
        let Some(mut alone) = group.split(slot, &mut self.rib.attrs) else { return };
        alone.turn(key);
        let to = self.groups.add(alone);
        if reflects {
            self.groups.walk_internal();
        }
        if let Some(session) = self.sessions.get_mut(slot) {
            session.group = Some(to);
        }
        self.mark_defaults(to);
    }
}
