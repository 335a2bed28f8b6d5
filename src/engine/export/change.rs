//! One prefix of one update group: what was it told, what is it to be told, and what is the difference?

use crate::{
    rib::{PrefixId, Sent, SentPath, SetId},
    types::{PathId, Timestamp},
};

use super::{
    super::{
        Action, Engine,
        sessions::Slot,
        stream::{Audience, Line, Stream},
        update_group::{Group, GroupTable, Hearing, PATH_ID, RouteId, hears},
    },
    choose::{Choice, Chosen, ChosenPath},
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
        let (family, old, old_alone, past) = (of.family, of.out.sent(id), of.alone(id), of.out.is_past(id));
        let chosen = self.choose(now, group, spot, stream, out);
        let new = chosen.first.map(|(sent, _)| sent);
        let alone: Vec<(Slot, Sent)> = chosen.alone.iter().map(|(to, (sent, _))| (*to, *sent)).collect();
        let unchanged = old == new && old_alone == alone && !past;
        if unchanged && (new.is_none() || family.is_plain_prefix()) {
            return new.is_some();
        }
        let before = Heard { row: old, alone: &old_alone, hearing: None };
        self.tell(group, spot, &before, &chosen, stream);
        self.remember(group, spot, PATH_ID, &before, stream);
        for sent in new.into_iter().chain(alone.iter().map(|(_, sent)| *sent)) {
            self.rib.attrs.retain(sent.set, 1);
        }
        if let Some(of) = group.tables.get_mut(table) {
            let source = |row: Option<Sent>| row.map(|row| row.source);
            let gone = of.set_alone(id, (source(old), source(new)), &alone).into_iter().map(|(_, sent)| sent);
            gone.chain(of.set_sent(id, new)).for_each(|sent| self.rib.attrs.release(sent.set));
        }
        new.is_some()
    }

    /// Adds the difference between what members were told of one route and what they are to be told to the stream.
    fn tell(&self, group: &Group, spot: Spot, old: &Heard<'_>, new: &Chosen, stream: &mut Stream) {
        let Some(family) = group.tables.get(spot.table).map(|of| of.family) else { return };
        let route = (spot.id, PATH_ID);
        let line = |sent: Sent| Line { route, source: sent.source, received: 0 };
        let same = |one: Option<Sent>, other: Option<Choice>, stream: &mut Stream| match (one, other) {
            (Some(old), Some((new, set))) => {
                family.is_plain_prefix() && self.was_told(group, spot, PATH_ID, old, (new, set), stream)
            }
            (None, None) => true,
            _ => false,
        };
        let source = new.first.map(|(sent, _)| sent.source);
        let odd = |row: Option<Slot>, slot: Slot| row != Some(slot);
        if old.alone.iter().any(|(to, _)| odd(old.row.map(|row| row.source), *to))
            || new.alone.iter().any(|(to, _)| odd(source, *to))
        {
            // Not only the source of the row has something else: each member hears its own difference.
            for member in &group.members {
                let (before, after) = (old.by(member.slot), new.by(member.slot));
                let audience = Audience::Only(member.slot);
                match after {
                    _ if same(before, after, stream) => {}
                    Some((sent, set)) => stream.announce(audience, line(sent), set),
                    None => stream.withdraw(audience, route),
                }
            }
            return;
        }
        // The source of the new row is told a second one; before it was told the old row, or its own second.
        let to_second = source.filter(|source| group.has(*source));
        let second = to_second.and_then(|to| new.by(to));
        let same_second = to_second.is_none_or(|to| same(old.by(to), second, stream));
        match (new.first, old.row) {
            (None, Some(row)) => {
                stream.withdraw(Audience::Except(row.source), route);
                if old.by(row.source).is_some() {
                    stream.withdraw(Audience::Only(row.source), route);
                }
            }
            (Some((first, set)), before) => {
                if !same(before, new.first, stream) {
                    stream.announce(Audience::Except(first.source), line(first), set);
                } else if let Some(row) = before.filter(|row| row.source != first.source && group.has(row.source)) {
                    // The others have these octets; only the former source was never told them.
                    stream.announce(Audience::Only(row.source), line(first), set);
                }
            }
            (None, None) => {}
        }
        if let Some(to) = to_second.filter(|_| !same_second) {
            match second {
                Some((second, set)) => stream.announce(Audience::Only(to), line(second), set),
                None => stream.withdraw(Audience::Only(to), route),
            }
        }
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
        // Identifiers of what goes stay taken for this once: on the way nothing changes its path.
        let mut taken = self.withdraw_gone(group, spot, &chosen, stream);
        let Some(of) = group.tables.get(table) else { return false };
        let (family, Some(many)) = (of.family, of.many()) else { return false };
        let mut told = Vec::with_capacity(chosen.len());
        for path in chosen {
            let path_id = many.identifier(id, path.row.sent.source, path.row.received, &taken);
            taken.push(path_id);
            told.push((path_id, many.sent(id, path_id), path));
        }
        let any = !told.is_empty();
        for (path_id, old, new) in told {
            let route = (id, path_id);
            let Some(of) = group.tables.get(table) else { return false };
            let same_ears = of.hearing(route) == new.hearing.as_ref();
            if old == Some(new.row) && same_ears && !of.is_past(route) && family.is_plain_prefix() {
                continue;
            }
            let before = of.hearing(route).cloned();
            let same = family.is_plain_prefix()
                && old
                    .is_some_and(|old| self.was_told(group, spot, path_id, old.sent, (new.row.sent, new.set), stream));
            let heard = Heard { row: old.map(|old| old.sent), alone: &[], hearing: before.as_ref() };
            self.remember(group, spot, path_id, &heard, stream);
            tell_path(group, &new, ToldPath { route, old: &heard, same }, stream);
            self.rib.attrs.retain(new.row.sent.set, 1);
            let of = group.tables.get_mut(table);
            if let Some(before) = of.and_then(|of| of.set_path(route, Some((new.row, new.hearing)))) {
                self.rib.attrs.release(before.sent.set);
            }
        }
        any
    }

    /// Withdraws the paths of a prefix that are told and not among those chosen; their identifiers.
    pub(super) fn withdraw_gone(
        &mut self,
        group: &mut Group,
        spot: Spot,
        chosen: &[ChosenPath],
        stream: &mut Stream,
    ) -> Vec<PathId> {
        let Spot { table, id } = spot;
        let is_chosen = |row: &SentPath| {
            let same_path = |new: &SentPath| new.sent.source == row.sent.source && new.received == row.received;
            chosen.iter().any(|new| same_path(&new.row))
        };
        let many = group.tables.get(table).and_then(GroupTable::many);
        let rows = many.into_iter().flat_map(|many| many.of(id));
        let gone: Vec<(PathId, SentPath)> = rows.filter(|(_, row)| !is_chosen(row)).collect();
        for (path_id, old) in &gone {
            let route = (id, *path_id);
            let hearing = group.tables.get(table).and_then(|of| of.hearing(route)).cloned();
            let heard = Heard { row: Some(old.sent), alone: &[], hearing: hearing.as_ref() };
            self.remember(group, spot, *path_id, &heard, stream);
            if let Some(before) = group.tables.get_mut(table).and_then(|of| of.set_path(route, None)) {
                self.rib.attrs.release(before.sent.set);
            }
            each_audience(group, old.sent.source, hearing.as_ref(), |audience| stream.withdraw(audience, route));
        }
        gone.into_iter().map(|(path_id, _)| path_id).collect()
    }

    /// Keeps for members that lag what they were told of a route until now.
    fn remember(&mut self, group: &mut Group, spot: Spot, path_id: PathId, old: &Heard<'_>, stream: &mut Stream) {
        if !group.lags() {
            return;
        }
        let route = (spot.id, path_id);
        let rows: Vec<Sent> = old.row.into_iter().chain(old.alone.iter().map(|(_, sent)| *sent)).collect();
        let mut octets: Vec<(Sent, Option<SetId>)> = Vec::with_capacity(rows.len());
        for sent in rows {
            let before = self.octets_of(group, spot.table, route, sent, stream);
            octets.push((sent, before.map(|before| self.rib.attrs.intern(stream.told(before)))));
        }
        let heard = |slot: Slot| {
            let row = old.by(slot)?;
            octets.iter().find(|(sent, _)| *sent == row).and_then(|(_, octets)| *octets)
        };
        group.remember(spot.table, route, heard, &mut self.rib.attrs);
        for octets in octets.into_iter().filter_map(|(_, octets)| octets) {
            self.rib.attrs.release(octets);
        }
    }
}

/// Says one of several rows of a prefix to those who are to hear it, and takes it back from those who are not any more.
fn tell_path(group: &Group, new: &ChosenPath, told: ToldPath<'_>, stream: &mut Stream) {
    let line = Line::new(told.route, new.row);
    let source = new.row.sent.source;
    if told.old.hearing == new.hearing.as_ref() || told.old.row.is_none() {
        if !told.same {
            each_audience(group, source, new.hearing.as_ref(), |audience| stream.announce(audience, line, new.set));
        }
        return;
    }
    for member in &group.members {
        let audience = Audience::Only(member.slot);
        match (told.old.by(member.slot).is_some(), hears(member.slot, source, new.hearing.as_ref())) {
            (true, true) if told.same => {}
            (_, true) => stream.announce(audience, line, new.set),
            (true, false) => stream.withdraw(audience, told.route),
            (false, false) => {}
        }
    }
}

/// What was told of one of several rows until now.
struct ToldPath<'a> {
    route: RouteId,
    old: &'a Heard<'a>,
    /// The octets are those that are to be told.
    same: bool,
}

/// Calls `say` for the audiences that make up those who hear a row.
pub(super) fn each_audience(group: &Group, source: Slot, hearing: Option<&Hearing>, mut say: impl FnMut(Audience)) {
    match hearing {
        None => say(Audience::Except(source)),
        Some(Hearing::Only(those)) => those.iter().for_each(|slot| say(Audience::Only(*slot))),
        Some(Hearing::Without(_)) => {
            let those = group.members.iter().filter(|member| hears(member.slot, source, hearing));
            those.for_each(|member| say(Audience::Only(member.slot)));
        }
    }
}

/// What members have of a route: the row, which its source does not have, and what single ones have instead.
struct Heard<'a> {
    row: Option<Sent>,
    alone: &'a [(Slot, Sent)],
    /// What is said of the row beside that.
    hearing: Option<&'a Hearing>,
}

impl Heard<'_> {
    /// What one member has.
    fn by(&self, slot: Slot) -> Option<Sent> {
        let alone = self.alone.iter().find(|(to, _)| *to == slot).map(|(_, sent)| *sent);
        alone.or(self.row.filter(|row| hears(slot, row.source, self.hearing)))
    }
}
