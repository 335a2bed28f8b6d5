//! One prefix of one update group: what was it told, what is it to be told, and what is the difference?

use crate::{
    rib::{PrefixId, Sent, SentPath},
    types::{PathId, Timestamp},
};

use super::super::{
    Action, Engine,
    sessions::Slot,
    stream::{Audience, Line, Stream},
    update_group::{Group, PATH_ID},
};

/// Where a change stands: a prefix in one of the group's tables.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub(super) table: usize,
    pub(super) id: PrefixId,
}

impl Engine {
    /// Compares one prefix with what the group was told, and adds the difference to the stream. False when the
    /// group has no row for it now.
    pub(super) fn change(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        spot: Spot,
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(of) = group.tables.get(spot.table) else { return false };
        if of.sends_many() {
            return self.change_paths(now, group, spot, stream, out);
        }
        let Spot { table, id } = spot;
        let route = (id, PATH_ID);
        let (family, old, old_second, past) = (of.family, of.out.sent(id), of.second(id), of.out.is_past(id));
        let chosen = self.choose(now, group, spot, stream, out);
        let (new, new_second) = (chosen.first.map(|(sent, _)| sent), chosen.second.map(|(sent, _)| sent));
        let unchanged = old == new && old_second == new_second && !past;
        if unchanged && (new.is_none() || family.is_plain_prefix()) {
            return new.is_some();
        }
        let same = |one: Option<Sent>, other: Option<(Sent, u32)>, stream: &mut Stream| match (one, other) {
            (Some(old), Some((new, set))) => {
                family.is_plain_prefix() && self.was_told(group, spot, PATH_ID, old, (new, set), stream)
            }
            (None, None) => true,
            _ => false,
        };
        let same_first = same(old, chosen.first, stream);
        // The source of the new row is told the second one; before it was told the old row, or its own second.
        let to_second = new.map(|new| new.source).filter(|source| group.has(*source));
        let told_before = if old.map(|old| old.source) == to_second { old_second } else { old };
        let same_second = same(told_before, chosen.second, stream);
        self.remember(group, spot, PATH_ID, old.map(|old| (old, old_second)), stream);
        for sent in [new, new_second].into_iter().flatten() {
            self.rib.attrs.retain(sent.set, 1);
        }
        if let Some(of) = group.tables.get_mut(table) {
            let second = new.zip(new_second).map(|(new, second)| (new.source, second));
            let before = [of.set_second(id, old.map(|old| old.source), second), of.set_sent(id, new)];
            before.into_iter().flatten().for_each(|sent| self.rib.attrs.release(sent.set));
        }
        let line = |sent: Sent| Line { route, source: sent.source, received: 0 };
        match (chosen.first, old) {
            (None, Some(old)) => {
                stream.withdraw(Audience::Except(old.source), route);
                if old_second.is_some() {
                    stream.withdraw(Audience::Only(old.source), route);
                }
            }
            (Some((new, set)), before) => {
                if !same_first {
                    stream.announce(Audience::Except(new.source), line(new), set);
                } else if let Some(old) = before.filter(|old| old.source != new.source && group.has(old.source)) {
                    // The others have these octets; only the former source was never told them.
                    stream.announce(Audience::Only(old.source), line(new), set);
                }
            }
            (None, None) => {}
        }
        if let Some(to) = to_second.filter(|_| !same_second) {
            match chosen.second {
                Some((second, set)) => stream.announce(Audience::Only(to), line(second), set),
                None => stream.withdraw(Audience::Only(to), route),
            }
        }
        new.is_some()
    }

    /// The same where several paths per prefix are sent.
    fn change_paths(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        spot: Spot,
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) -> bool {
        let Spot { table, id } = spot;
        let chosen = self.choose_paths(now, group, spot, stream, out);
        let Some(of) = group.tables.get(table) else { return false };
        let (family, Some(many)) = (of.family, of.many()) else { return false };
        let gone: Vec<(PathId, SentPath)> = many
            .of(id)
            .filter(|(_, row)| {
                let same_path = |new: &SentPath| new.sent.source == row.sent.source && new.received == row.received;
                !chosen.iter().any(|(new, _)| same_path(new))
            })
            .collect();
        // Identifiers of what is about to go stay taken for this once: on the way nothing changes its path.
        let mut taken = Vec::new();
        let mut told = Vec::with_capacity(chosen.len());
        for (row, set) in chosen {
            let path_id = many.identifier(id, row.sent.source, row.received, &taken);
            taken.push(path_id);
            told.push((path_id, many.sent(id, path_id), row, set));
        }
        for (path_id, old) in gone {
            self.remember(group, spot, path_id, Some((old.sent, None)), stream);
            if let Some(before) = group.tables.get_mut(table).and_then(|of| of.set_path((id, path_id), None)) {
                self.rib.attrs.release(before.sent.set);
            }
            stream.withdraw(Audience::Except(old.sent.source), (id, path_id));
        }
        let any = !told.is_empty();
        for (path_id, old, new, set) in told {
            let past = group.tables.get(table).is_some_and(|of| of.is_past((id, path_id)));
            if old == Some(new) && !past && family.is_plain_prefix() {
                continue;
            }
            let same = family.is_plain_prefix()
                && old.is_some_and(|old| self.was_told(group, spot, path_id, old.sent, (new.sent, set), stream));
            self.remember(group, spot, path_id, old.map(|old| (old.sent, None)), stream);
            self.rib.attrs.retain(new.sent.set, 1);
            if let Some(before) = group.tables.get_mut(table).and_then(|of| of.set_path((id, path_id), Some(new))) {
                self.rib.attrs.release(before.sent.set);
            }
            if !same {
                stream.announce(Audience::Except(new.sent.source), Line::new((id, path_id), new), set);
            }
        }
        any
    }

    /// Keeps for members that lag what they were told of a route until now: a row, and what its source has instead.
    fn remember(
        &mut self,
        group: &mut Group,
        spot: Spot,
        path_id: PathId,
        old: Option<(Sent, Option<Sent>)>,
        stream: &mut Stream,
    ) {
        if !group.lags() {
            return;
        }
        let route = (spot.id, path_id);
        let (row, second) = (old.map(|(row, _)| row), old.and_then(|(_, second)| second));
        let [first_octets, second_octets] = [row, second].map(|sent| {
            let before = self.octets_of(group, spot.table, route, sent?, stream)?;
            Some(self.rib.attrs.intern(stream.told(before)))
        });
        let heard = |slot: Slot| if row.is_some_and(|row| row.source == slot) { second_octets } else { first_octets };
        group.remember(spot.table, route, heard, &mut self.rib.attrs);
        for octets in [first_octets, second_octets].into_iter().flatten() {
            self.rib.attrs.release(octets);
        }
    }
}
