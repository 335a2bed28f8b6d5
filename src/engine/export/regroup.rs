//! What a neighbour is sent depends on something else than before: its policies, options or rules changed, and its
//! session goes on. It is sent exactly the difference between what it was told and what holds now.
//!
//! Wishes are collected until the next export, since a reload changes many sessions at once. Where all members of a
//! group change alike (the usual reload), the group gets the new key in place: its rows stay, marked as told by the
//! old key, a walk over the table works out both octets of each, and only differences leave. Members that change
//! otherwise than the rest take a copy of the group's books into a group of their own, and then the same happens there.
//! Such a group is not merged with another one of the same key: what one was told is the other's only by and by.

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
                None => self.part(at, members.iter().copied().zip(keys)),
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

    /// Parts a group whose members are to have different keys. Those whose key stays remain where they are, else those
    /// that are most: a group without members would be served no more, and its books kept.
    fn part(&mut self, at: usize, members: impl Iterator<Item = (Slot, Option<GroupKey>)>) {
        let mut parts: Vec<(GroupKey, Vec<Slot>)> = Vec::new();
        for (slot, key) in members {
            let Some(key) = key else { continue };
            match parts.iter_mut().find(|(of, _)| *of == key) {
                Some((_, slots)) => slots.push(slot),
                None => parts.push((key, vec![slot])),
            }
        }
        let Some(group) = self.groups.get(at) else { return };
        let staying = parts.iter().position(|(key, _)| *key == group.key);
        let most = (0..parts.len()).max_by_key(|at| parts.get(*at).map(|(_, slots)| slots.len()));
        let Some(rest) = staying.or(most) else { return };
        let (key, _) = parts.swap_remove(rest);
        for (key, slots) in parts {
            self.move_out(at, &slots, key);
        }
        self.turn(at, key);
    }

    /// Moves members into a group of their own.
    fn move_out(&mut self, at: usize, slots: &[Slot], key: GroupKey) {
        let Some(group) = self.groups.get_mut(at) else { return };
        let reflects = group.key.rules.to != key.rules.to;
        let mut own = group.split(slots, &mut self.rib.attrs);
        own.turn(key);
        let to = self.groups.add(own);
        if reflects {
            self.groups.walk_internal();
        }
        for slot in slots {
            if let Some(session) = self.sessions.get_mut(*slot) {
                session.group = Some(to);
            }
        }
        self.mark_defaults(to);
    }
}
