//! One prefix of one update group: what is it to be told, what was it told, and what is the difference?

use crate::{
    rib::{Path, PrefixId, Sent, SetId},
    types::{Family, Timestamp},
};

use super::super::{
    Action, Engine,
    sessions::Slot,
    stream::{Audience, Stream},
    transform::{Learned, Withheld},
    update_group::{Group, GroupKey, PATH_ID},
};

impl Engine {
    /// Compares one prefix with what the group was told, and adds the difference to the stream. False when the
    /// group has no row for it now.
    pub(super) fn change(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        table: usize,
        id: PrefixId,
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(of) = group.tables.get(table) else { return false };
        let (family, old, past) = (of.family, of.out.sent(id), of.out.is_past(id));
        let chosen = self.choose(now, group, family, id, stream, out);
        let new = chosen.map(|(sent, _)| sent);
        if old == new && !past && (new.is_none() || family.is_plain_prefix()) {
            return new.is_some();
        }
        let same_octets = match (old, chosen) {
            (Some(old), Some((new, set))) if family.is_plain_prefix() => {
                self.was_told(group, table, id, old, (new, set), stream)
            }
            _ => false,
        };
        self.remember(group, table, id, old, stream);
        if let Some(new) = new {
            self.rib.attrs.retain(new.set, 1);
        }
        if let Some(before) = group.tables.get_mut(table).and_then(|of| of.set_sent(id, new)) {
            self.rib.attrs.release(before.set);
        }
        match (chosen, old) {
            (None, Some(old)) => stream.withdraw(Audience::Except(old.source), id),
            (Some((new, set)), None) => stream.announce(Audience::Except(new.source), id, set, new.source),
            (Some((new, set)), Some(old)) => {
                if !same_octets {
                    stream.announce(Audience::Except(new.source), id, set, new.source);
                } else if old.source != new.source && group.has(old.source) {
                    // The others have these octets; only the former source was never told them.
                    stream.announce(Audience::Only(old.source), id, set, new.source);
                }
                if old.source != new.source && group.has(new.source) {
                    stream.withdraw(Audience::Only(new.source), id);
                }
            }
            (None, None) => {}
        }
        new.is_some()
    }

    /// Whether the octets that members have for `old` are those prepared for `new`.
    fn was_told(
        &self,
        group: &Group,
        table: usize,
        id: PrefixId,
        old: Sent,
        (new, set): (Sent, u32),
        stream: &mut Stream,
    ) -> bool {
        let past = group.tables.get(table).is_some_and(|of| of.out.is_past(id));
        if !past && old.set == new.set && self.learned(&group.key, old) == self.learned(&group.key, new) {
            return true;
        }
        // Other sets, or other rules: the difference may be in what is not passed on.
        let Some(before) = self.octets_of(group, table, id, old, stream) else { return false };
        stream.before(before) == stream.prepared.get(set)
    }

    /// The number in `stream` of the octets by which the row of `id` was told. `None`: it would not be told now.
    fn octets_of(&self, group: &Group, table: usize, id: PrefixId, row: Sent, stream: &mut Stream) -> Option<Before> {
        let family = group.tables.get(table)?.family;
        let key = group.key_of(table, id);
        let past = !std::ptr::eq(key, &group.key);
        let prepared = if past { &mut stream.past } else { &mut stream.prepared };
        let number = prepared.prepare(&self.rib.attrs, row.set, self.learned(key, row), family, key).ok()?;
        Some(Before { past, number })
    }

    /// Keeps for members that lag what they were told of `id` until now.
    fn remember(&mut self, group: &mut Group, table: usize, id: PrefixId, old: Option<Sent>, stream: &mut Stream) {
        if !group.lags() {
            return;
        }
        let told = old.and_then(|old| {
            let before = self.octets_of(group, table, id, old, stream)?;
            Some((old.source, self.rib.attrs.intern(stream.before(before))))
        });
        let heard = |slot: Slot| told.filter(|(source, _)| *source != slot).map(|(_, octets)| octets);
        group.remember(table, (id, PATH_ID), heard, &mut self.rib.attrs);
        if let Some((_, octets)) = told {
            self.rib.attrs.release(octets);
        }
    }

    /// What of a row's origin decides over what neighbours with this key are sent.
    pub(in crate::engine) fn learned(&self, _key: &GroupKey, sent: Sent) -> Learned {
        Learned { source: self.source_of(sent.source) }
    }

    /// The octets that a member was told, written to `out`; `None`: it has nothing, or they are not known any more.
    pub(in crate::engine) fn told_octets(
        &self,
        group: &Group,
        table: usize,
        id: PrefixId,
        row: Sent,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let key = group.key_of(table, id);
        let family = group.tables.get(table)?.family;
        super::super::transform::transform(self.rib.attrs.get(row.set), family, self.learned(key, row), &key.rules, out)
            .ok()
    }

    /// The path that the group is to be told about, with its prepared set; `None` where there is none, or policy,
    /// a rule or the message length keeps it.
    fn choose(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        family: Family,
        id: PrefixId,
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) -> Option<(Sent, u32)> {
        let stale = |path: &Path| !self.facts.get(usize::from(path.session)).is_some_and(|f| f.usable);
        if self.rib.tables.get(family)?.best_path(id).is_some_and(stale) {
            self.cleanse(now, family, id);
        }
        let table = self.rib.tables.get(family)?;
        let path = *table.best_path(id).filter(|path| group.has_audience(path.session))?;
        match self.prepare_path(group, family, id, &path, stream) {
            Ok(chosen) => Some(chosen),
            Err(why) => {
                self.withhold(group, family, why, out);
                None
            }
        }
    }

    /// The row and the prepared set of a path.
    fn prepare_path(
        &self,
        group: &Group,
        family: Family,
        id: PrefixId,
        path: &Path,
        stream: &mut Stream,
    ) -> Result<(Sent, u32), Withheld> {
        let Some(table) = self.rib.tables.get(family) else { return Err(Withheld::Policy) };
        let row = self.row_of(path);
        let learned = self.learned(&group.key, row);
        let set = stream.prepared.prepare(&self.rib.attrs, row.set, learned, family, &group.key)?;
        let labels = table.labels(id, path.session, path.path_id).len();
        let fits = stream.prepared.fits(set, table.nlri(id), labels, &group.key);
        if fits { Ok((row, set)) } else { Err(Withheld::TooLong) }
    }

    /// The row that stands for a path in an Adj-RIB-Out.
    fn row_of(&self, path: &Path) -> Sent {
        let llgr_stale = path.flags.has(crate::rib::PathFlags::LLGR_STALE);
        Sent { set: path.set, source: path.session, llgr_stale }
    }

    /// Counts what cannot be sent for reasons that an operator would want to know, and says so once per group.
    fn withhold(&self, group: &mut Group, family: Family, why: Withheld, out: &mut Vec<Action>) {
        let (warned, text) = match why {
            Withheld::NoNextHop => {
                (&mut group.warned_next_hop, format!("no usable next hop for {family}: its routes are not sent"))
            }
            Withheld::TooLong => {
                (&mut group.warned_length, format!("a {family} route does not fit a message: it is not sent"))
            }
            Withheld::InternalToInternal | Withheld::Community | Withheld::Policy => return,
        };
        for table in group.tables.iter_mut().filter(|table| table.family == family) {
            table.withheld += 1;
        }
        if std::mem::replace(warned, true) {
            return;
        }
        let peers = group.members.iter().filter_map(|member| self.sessions.peer(member.slot));
        out.extend(peers.map(|peer| Action::Warn { peer, text: text.clone() }));
    }
}

/// Octets that were told: prepared by the group's key, or by the one before.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Before {
    past: bool,
    number: u32,
}

impl Stream {
    fn before(&self, before: Before) -> crate::wire::bgp::attribute::AttrSet<'_> {
        if before.past { self.past.get(before.number) } else { self.prepared.get(before.number) }
    }
}

/// Whether prepared octets are those of an interned set.
pub(super) fn equal(engine: &Engine, told: SetId, stream: &Stream, number: u32) -> bool {
    engine.rib.attrs.get(told) == stream.prepared.get(number)
}
