//! Answers: bounded pages of the tables, and commands about local routes.
//!
//! A page ends at its row limit or its scan limit and says where to go on; the cursor names a prefix, not a place in
//! memory, so a list stays in order and complete for everything that did not change meanwhile. Nothing here walks
//! more than the question allows.

use crate::{
    rib::{Decision, NlriRef, Path, PrefixId, Table},
    types::{Asn, Family, PeerId, Prefix, Timestamp},
    view::{self, Answer, Cursor, PrefixMatch, Query, Refusal, RoutePage, RouteQuery, RouteRow},
    wire::bgp::attribute::AttrSet,
};

use super::{
    Action, Engine,
    import::Validity,
    rows::{AttrPool, Subject, borrowed, owned, row},
    sessions::Slot,
    update_group::{Group, PATH_ID, RouteId, Told},
};

/// Prefixes looked at between two looks at the index: keeps a page's list of ids small.
const CHUNK: usize = 256;

/// A page being filled.
struct Filling {
    rows: Vec<RouteRow>,
    attrs: AttrPool,
    scanned: usize,
}

impl Filling {
    fn is_full(&self, query: &RouteQuery) -> bool {
        self.rows.len() >= query.limit.max(1) || self.scanned >= query.scan_limit.max(1)
    }
}

/// What a question means for this engine.
struct Plan<'q> {
    query: &'q RouteQuery,
    /// Of `query.neighbor`; `None` where it has no session.
    slot: Option<Slot>,
}

impl Engine {
    /// Answers a question or carries out a command.
    ///
    /// # Errors
    /// Why not, in a sentence that says what would do.
    pub fn query(&mut self, now: Timestamp, query: &Query, out: &mut Vec<Action>) -> Result<Answer, Refusal> {
        let answer = match query {
            Query::Routes(query) => self.routes(now, query).map(Answer::Routes),
            Query::Explain { family, prefix } => self.explain(now, *family, *prefix).map(Answer::Explanation),
            Query::ExplainTyped { family, key } => {
                Ok(Answer::Explanation(self.explain_nlri(now, *family, NlriRef::Opaque(key))))
            }
            Query::Summary => Ok(Answer::Summary(self.summary())),
            Query::Originate(route) => self.originate(now, route).map(Answer::Done),
            Query::Withdraw { family, nlri } => self.withdraw_local(now, *family, nlri).map(Answer::Done),
            Query::WhatIf(query) => Ok(Answer::WhatIf(self.what_if(now, query))),
            Query::LocalRoutes { after, limit } => Ok(Answer::Routes(self.local_routes(after.as_ref(), *limit))),
        };
        self.events.publish(out);
        answer
    }

    fn routes(&mut self, now: Timestamp, query: &RouteQuery) -> Result<RoutePage, Refusal> {
        if query.table == view::Table::AdjOut && query.neighbor.is_none() {
            return Err(Refusal::Invalid("adj-out needs a neighbour: what was told, and to whom?".into()));
        }
        let slot = query.neighbor.and_then(|peer| self.sessions.slot_of(peer));
        let mut page = Filling { rows: Vec::new(), attrs: AttrPool::default(), scanned: 0 };
        let mut next = None;
        if query.neighbor.is_none() || slot.is_some() {
            let plan = Plan { query, slot };
            for family in self.families_of(query) {
                next = self.list(now, &plan, family, &mut page);
                if next.is_some() {
                    break;
                }
            }
        }
        Ok(RoutePage { rows: page.rows, attrs: page.attrs.take(), next, seq: self.events.seq() })
    }

    /// Families to go through, in order, from the cursor's on.
    fn families_of(&self, query: &RouteQuery) -> Vec<Family> {
        let from = query.cursor.as_ref().map(|cursor| cursor.family);
        let families = self.rib.tables.iter().map(Table::family);
        families
            .filter(|family| query.family.is_none_or(|wanted| wanted == *family))
            .filter(|family| from.is_none_or(|from| from <= *family))
            .collect()
    }

    /// Fills the page from one family; where to go on if the page is full.
    fn list(&mut self, now: Timestamp, plan: &Plan<'_>, family: Family, page: &mut Filling) -> Option<Cursor> {
        let query = plan.query;
        // One prefix at most is answered, so there is nowhere to go on.
        let listing = !matches!(query.prefix, Some(PrefixMatch::Exact(_) | PrefixMatch::Longest(_)));
        let mut after = query.cursor.as_ref().filter(|c| c.family == family).map(|c| c.after.clone());
        loop {
            let room = query.scan_limit.max(1).saturating_sub(page.scanned).min(CHUNK);
            let table = self.rib.tables.get(family)?;
            let ids = chosen(table, query.prefix, after.as_ref().map(borrowed), room);
            for &id in &ids {
                // Before the prefix is tidied: nothing may be left of it afterwards.
                let nlri = owned(self.rib.tables.get(family)?.nlri(id));
                self.cleanse(now, family, id);
                let rows = page.rows.len();
                page.scanned += 1;
                self.add_rows(plan, family, id, page);
                if matches!(query.prefix, Some(PrefixMatch::Longest(_))) && page.rows.len() > rows {
                    return None;
                }
                after = Some(nlri);
                if listing && page.is_full(query) {
                    return after.map(|after| Cursor { family, after });
                }
            }
            // Only lists that can be long are cut into chunks.
            let long = matches!(query.prefix, None | Some(PrefixMatch::Longer(_)));
            if !long || ids.len() < room {
                return None;
            }
        }
    }

    fn add_rows(&self, plan: &Plan<'_>, family: Family, id: PrefixId, page: &mut Filling) {
        let Some(table) = self.rib.tables.get(family) else { return };
        match plan.query.table {
            view::Table::Loc => {
                let from = page.rows.len();
                let best = table.best_path(id).filter(|path| plan.slot.is_none_or(|slot| slot == path.session));
                if let Some(path) = best {
                    self.add_path((plan.query.table, plan.query.origin), table, id, (path, true), page);
                }
                if let Some(multipath) = self.multipath(table.paths(id)) {
                    let shared = multipath.len() > 1;
                    page.rows.iter_mut().skip(from).for_each(|row| row.multipath = Some(shared));
                }
            }
            view::Table::AdjIn => {
                let from = page.rows.len();
                let multipath = self.multipath(table.paths(id));
                for (index, path) in table.paths(id).iter().enumerate() {
                    if plan.slot.is_none_or(|slot| slot == path.session) {
                        let rows = page.rows.len();
                        let best = table.best(id) == Some(index);
                        self.add_path((plan.query.table, plan.query.origin), table, id, (path, best), page);
                        if let (Some(row), Some(set)) = (page.rows.get_mut(rows), &multipath) {
                            row.multipath = Some(is_shared(set, index));
                        }
                    }
                }
                // Slots follow the order of sessions; readers want that of neighbours.
                page.rows.get_mut(from..).unwrap_or_default().sort_by_key(|row| (row.peer, row.path_id));
            }
            view::Table::AdjOut => self.add_told(plan, table, id, page),
        }
    }

    fn add_path(
        &self,
        (shown, origin): (view::Table, Option<Asn>),
        table: &Table,
        id: PrefixId,
        (path, best): (&Path, bool),
        page: &mut Filling,
    ) {
        let attrs = &self.rib.attrs;
        // What the neighbour said, or what import made of it.
        let set = match shown {
            view::Table::AdjIn => attrs.received(path.set),
            view::Table::Loc | view::Table::AdjOut => attrs.effective(path.set),
        };
        if origin.is_some() && attrs.facts(set).origin_asn() != origin {
            return;
        }
        let labels = table.labels(id, path.session, path.path_id);
        let subject = Subject { family: table.family(), nlri: table.nlri(id), labels };
        let range = page.attrs.range(attrs, set);
        page.rows.push(row(subject, path, best, range, attrs, &self.sessions));
    }

    /// The multipath set of a prefix with these paths; `None` where there are no such sets.
    pub(super) fn multipath(&self, paths: &[Path]) -> Option<Vec<usize>> {
        let wanted = self.settings.best_path && self.settings.decision.maximum_paths.is_multipath();
        wanted.then(|| self.decision().multipath(paths))
    }

    /// The decision process as it is set.
    pub(super) fn decision(&self) -> Decision<'_> {
        Decision::new(&self.rib.attrs, &self.facts, &self.settings.decision)
    }

    /// The row of what the neighbour was told, with the attributes as they were sent.
    fn add_told(&self, plan: &Plan<'_>, table: &Table, id: PrefixId, page: &mut Filling) {
        let family = table.family();
        let group = plan.slot.and_then(|slot| self.sessions.get(slot)?.group).and_then(|at| self.groups.get(at));
        let (Some(group), Some(slot)) = (group, plan.slot) else { return };
        let Some(of) = group.tables.iter().position(|table| table.family == family) else { return };
        for (path_id, told) in group.told(slot, of, id) {
            self.add_told_path(plan, table, (group, of, slot), (id, path_id), told, page);
        }
    }

    fn add_told_path(
        &self,
        plan: &Plan<'_>,
        table: &Table,
        (group, of, slot): (&Group, usize, Slot),
        route: RouteId,
        told: Told,
        page: &mut Filling,
    ) {
        let (family, (id, path_id)) = (table.family(), route);
        let (attrs, path) = match told {
            Told::Octets(octets) => (page.attrs.push(self.rib.attrs.get(octets).as_bytes()), None),
            Told::Row(row) => {
                let Some(octets) = self.told_octets(group, of, route, row.sent) else { return };
                let same = |set| self.rib.attrs.effective(set) == self.rib.attrs.effective(row.sent.set);
                let is_it = |path: &&Path| path.session == row.sent.source && same(path.set);
                let path = table
                    .paths(id)
                    .iter()
                    .filter(is_it)
                    .find(|path| path_id == PATH_ID || path.path_id == row.received);
                (page.attrs.push(&octets), path)
            }
        };
        let octets = page.attrs.octets.get(attrs.start as usize..attrs.end as usize).unwrap_or_default();
        if plan.query.origin.is_some() && AttrSet::new(octets).as_path().origin_asn() != plan.query.origin {
            page.attrs.octets.truncate(attrs.start as usize);
            return;
        }
        page.rows.push(RouteRow {
            family,
            nlri: owned(table.nlri(id)),
            labels: path.map_or(&[][..], |path| table.labels(id, path.session, path.path_id)).into(),
            peer: self.peer_of(slot),
            path_id,
            attrs,
            best: path.is_some() && table.best_path(id) == path,
            multipath: None,
            stale: false,
            received_at: Timestamp::from_secs(path.map_or(0, |path| path.received_secs).into()),
            rejected_by: None,
            validation: path.map_or_else(Default::default, |path| Validity::of(path.flags).origin),
            aspa: path.map_or_else(Default::default, |path| Validity::of(path.flags).path),
        });
    }

    fn peer_of(&self, slot: Slot) -> Option<PeerId> {
        self.sessions.peer(slot)
    }
}

/// Whether the path at `index` shares traffic with others.
pub(super) fn is_shared(multipath: &[usize], index: usize) -> bool {
    multipath.len() > 1 && multipath.contains(&index)
}

/// The next up to `room` ids that a question is about, in the order in which they are shown.
fn chosen(table: &Table, relation: Option<PrefixMatch>, after: Option<NlriRef<'_>>, room: usize) -> Vec<PrefixId> {
    let behind = |id: &PrefixId| after.is_none_or(|after| table.nlri(*id) > after);
    match relation {
        None => table.after(after).map(|(_, id)| id).take(room).collect(),
        Some(PrefixMatch::Longer(prefix)) => table.inside(prefix, after).map(|(_, id)| id).take(room).collect(),
        Some(PrefixMatch::Exact(prefix)) => table.find(NlriRef::Prefix(prefix)).filter(behind).into_iter().collect(),
        // Longest first: the first one with a row is the answer.
        Some(PrefixMatch::Longest(prefix)) => table.covering(prefix).collect(),
        Some(PrefixMatch::Shorter(prefix)) => {
            let mut ids: Vec<PrefixId> = table.covering(prefix).filter(behind).collect();
            ids.reverse();
            ids
        }
    }
}

/// The family's table holds prefixes like this one.
pub(super) fn same_kind(family: Family, prefix: Prefix) -> bool {
    family.is_plain_prefix() && prefix.is_v4() == (family.afi == 1)
}
