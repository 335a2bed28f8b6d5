//! What a row of an Adj-RIB-Out stands for: the octets that were told, worked out again by the key that held then.

use crate::{
    rib::{NlriRef, Sent, SetId, Source},
    types::{Family, PathId, RouterId},
    wire::bgp::attribute::AttrSet,
};

use super::{
    super::{
        Engine, LOCAL,
        stream::{Preparing, Stream},
        transform::{Learned, Relation},
        update_group::{Group, GroupKey, RouteId},
    },
    change::Spot,
};

/// Octets that were told: prepared by the group's key, or by the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    past: bool,
    number: u32,
}

impl Stream {
    /// The octets.
    pub(super) fn told(&self, before: Before) -> AttrSet<'_> {
        if before.past { self.past.get(before.number) } else { self.prepared.get(before.number) }
    }

    /// The number by which they can be announced.
    pub(super) fn number_of(&mut self, before: Before) -> u32 {
        if before.past { self.prepared.adopt(self.past.get(before.number)) } else { before.number }
    }
}

impl Engine {
    /// Whether the octets that members have for `old` are those prepared for `new`.
    pub(super) fn was_told(
        &self,
        group: &Group,
        spot: Spot,
        path_id: PathId,
        old: Sent,
        (new, set): (Sent, u32),
        stream: &mut Stream,
    ) -> bool {
        let Some(of) = group.tables.get(spot.table) else { return false };
        let Some(rib) = self.rib.tables.get(of.family) else { return false };
        let route = (spot.id, path_id);
        let learned = |row: Sent| self.learned(&group.key, of.family, row, rib.nlri(spot.id));
        if !of.is_past(route) && old.set == new.set && learned(old) == learned(new) {
            return true;
        }
        // Other sets, or other rules: the difference may be in what is not passed on.
        let Some(before) = self.octets_of(group, spot.table, route, old, stream) else { return false };
        stream.told(before) == stream.prepared.get(set)
    }

    /// The number in `stream` of the octets by which a row was told. `None`: it would not be told now.
    pub(super) fn octets_of(
        &self,
        group: &Group,
        table: usize,
        route: RouteId,
        row: Sent,
        stream: &mut Stream,
    ) -> Option<Before> {
        let family = group.tables.get(table)?.family;
        let key = group.key_of(table, route);
        let past = !std::ptr::eq(key, &group.key);
        let prepared = if past { &mut stream.past } else { &mut stream.prepared };
        let nlri = self.rib.tables.get(family)?.nlri(route.0);
        let learned = self.learned(key, family, row, nlri);
        let number = prepared.prepare(self.preparing(family, key), row.set, learned, nlri).ok()?;
        Some(Before { past, number })
    }

    /// The octets by which a row of the group's table was told, for readers. `None`: it would not be told now.
    pub(in crate::engine) fn told_octets(
        &self,
        group: &Group,
        table: usize,
        route: RouteId,
        row: Sent,
    ) -> Option<Vec<u8>> {
        let mut stream = Stream::default();
        let before = self.octets_of(group, table, route, row, &mut stream)?;
        Some(stream.told(before).as_bytes().to_vec())
    }

    /// Whether prepared octets are those of an interned set.
    pub(super) fn equals(&self, told: SetId, stream: &Stream, number: u32) -> bool {
        self.rib.attrs.get(told) == stream.prepared.get(number)
    }

    /// What of a row's origin decides over what neighbours with this key are sent.
    #[inline]
    pub(super) fn learned(&self, key: &GroupKey, family: Family, row: Sent, nlri: NlriRef<'_>) -> Learned {
        let mut learned =
            Learned { llgr_stale: row.llgr_stale, validity: row.validity, ..Learned::new(self.source_of(row.source)) };
        if learned.source == Source::Internal && matches!(key.rules.to, Relation::Internal { .. }) {
            let facts = self.facts.get(usize::from(row.source));
            learned.router_id = facts.map_or(RouterId(0), |facts| facts.router_id);
            let session = self.sessions.get(row.source);
            learned.client = session.is_some_and(|session| session.settings.export_options.route_reflector_client);
        }
        if key.export.looks_at_source {
            learned.from = row.source;
        }
        if row.source == LOCAL && key.default_originate.contains(&family) {
            learned.default_originate = is_default(nlri);
        }
        learned
    }

    /// What preparing octets by `key` needs.
    pub(super) fn preparing<'a>(&'a self, family: Family, key: &'a GroupKey) -> Preparing<'a> {
        Preparing { attrs: &self.rib.attrs, sessions: &self.sessions, family, key }
    }
}

/// Whether a prefix is the default route.
pub(super) fn is_default(nlri: NlriRef<'_>) -> bool {
    matches!(nlri, NlriRef::Prefix(prefix) if prefix.len() == 0)
}
