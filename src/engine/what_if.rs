//! "What if" RPKI said something else: paths whose state, acceptance by import policy, or being best would change, and
//! neighbours that would be told of a prefix, or would not any more, found with the judge and the decision of every route
//! on copies. The tables stay as they are.

use std::sync::Arc;

use crate::{
    rib::{Change, Decision, Path, PathFlags, PrefixId, Rib, SetId, Table},
    types::{Family, PathId, Prefix, Timestamp},
    validation::Snapshot,
    view::{
        Cursor, Nlri,
        what_if::{Then, WhatIfPage, WhatIfQuery, WhatIfRow, WhatIfTold},
    },
};

use super::{
    Engine,
    import::{Judge, Judged, Sender, Validity, prefix_of},
    rows::{AttrPool, Subject, borrowed, owned, rejected_by, row},
    sessions::{LOCAL, Slot},
};

/// Prefixes judged together: each set of attributes once.
const CHUNK: usize = 256;

/// A path that would be judged otherwise. Holds a reference to `judged.set`.
struct Moved {
    id: PrefixId,
    session: Slot,
    path_id: PathId,
    judged: Judged,
}

/// A page being filled.
#[derive(Default)]
struct Filling {
    rows: Vec<WhatIfRow>,
    told: Vec<WhatIfTold>,
    attrs: AttrPool,
    scanned: usize,
}

impl Engine {
    /// A page of what would change.
    pub(super) fn what_if(&mut self, now: Timestamp, query: &WhatIfQuery) -> WhatIfPage {
        let hypothesis = &query.hypothesis;
        // Where other data came into force meanwhile, those differ from the hypothesis elsewhere, too.
        let same_base = Arc::ptr_eq(&hypothesis.base, &self.judge.validator.rpki);
        let roots = hypothesis.changed.as_deref().filter(|_| same_base);
        let mut judge = Judge::default();
        judge.validator.take(Arc::clone(&hypothesis.snapshot));
        judge.held = self.judge.held;
        let mut page = Filling::default();
        let mut next = None;
        for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST] {
            if query.cursor.as_ref().is_none_or(|cursor| cursor.family <= family) {
                next = self.imagine_family(now, query, (family, roots), &mut judge, &mut page);
            }
            if next.is_some() {
                break;
            }
        }
        WhatIfPage { rows: page.rows, told: page.told, attrs: page.attrs.take(), next }
    }

    /// Fills the page from one family; where to go on if the page is full.
    fn imagine_family(
        &mut self,
        now: Timestamp,
        query: &WhatIfQuery,
        (family, roots): (Family, Option<&[Prefix]>),
        judge: &mut Judge,
        page: &mut Filling,
    ) -> Option<Cursor> {
        let mut after = query.cursor.as_ref().filter(|cursor| cursor.family == family).map(|c| c.after.clone());
        loop {
            let room = query.scan_limit.max(1).saturating_sub(page.scanned).min(CHUNK);
            if room == 0 {
                return after.map(|after| Cursor { family, after });
            }
            let table = self.rib.tables.get(family)?;
            let chunk = chosen(table, roots, after.as_ref(), room);
            for (id, _) in &chunk {
                self.cleanse(now, family, *id);
            }
            let ids: Vec<PrefixId> = chunk.iter().map(|(id, _)| *id).collect();
            let moved = self.imagine(family, &ids, judge);
            page.scanned += chunk.len();
            let mut full_at = None;
            // Where a group looks at states, what it is told can change while no path does (RFC 8893 §3).
            let all = self.groups.validate();
            let mut rest = moved.as_slice();
            for at in &chunk {
                let count = rest.iter().take_while(|moved| moved.id == at.0).count();
                let (run, others) = rest.split_at(count);
                rest = others;
                if run.is_empty() && !all {
                    continue;
                }
                self.add_what_if(family, at.0, run, &judge.validator.rpki, page);
                if page.rows.len() + page.told.len() >= query.limit.max(1) {
                    full_at = Some(at);
                    break;
                }
            }
            moved.iter().for_each(|moved| self.rib.attrs.release(moved.judged.set));
            if let Some((_, nlri)) = full_at {
                return Some(Cursor { family, after: nlri.clone() });
            }
            if chunk.len() < room {
                return None;
            }
            after = chunk.into_iter().last().map(|(_, nlri)| nlri);
        }
    }

    /// Judges the paths of these prefixes by the judge's data: those that it judges otherwise, in the order of `ids`, the
    /// paths of a prefix in the order in which a real change would reach them.
    ///
    /// Import's verdict is a function of what was received and of the two states, so where both stay, it stays.
    fn imagine(&mut self, family: Family, ids: &[PrefixId], judge: &mut Judge) -> Vec<Moved> {
        let Rib { attrs, tables } = &mut self.rib;
        let Some(table) = tables.get(family) else { return Vec::new() };
        let mut due: Vec<(Slot, SetId, usize, PathId)> = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            let paths = table.paths(*id).iter();
            due.extend(paths.map(|path| (path.session, attrs.received(path.set), at, path.path_id)));
        }
        due.sort_unstable();
        let mut moved: Vec<(usize, Moved)> = Vec::new();
        for run in due.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let Some(&(slot, received, ..)) = run.first() else { continue };
            let rules =
                self.sessions.get(slot).filter(|session| session.counts()).map(|session| session.import.clone());
            let sender = match &rules {
                Some(rules) => rules.sender,
                // Routes of our own are judged, too (RFC 6811 §3), and no policy is asked.
                None if slot == LOCAL => Sender::ourselves(self.settings.asn_outside()),
                None => continue,
            };
            judge.validator.begin(&sender, family, attrs.get(received), attrs.facts(received));
            let mut begun = false;
            for &(_, _, at, path_id) in run {
                let Some(&id) = ids.get(at) else { continue };
                let path = table.find_path(id, slot, path_id).and_then(|index| table.paths(id).get(index));
                let Some(path) = path else { continue };
                let prefix = prefix_of(table.nlri(id));
                let validity = judge.validator.of(prefix, None);
                if validity == Validity::of(path.flags) {
                    continue;
                }
                let judged = match &rules {
                    Some(rules) => {
                        if !begun {
                            attrs.retain(received, 1);
                            judge.begin(rules, family, attrs, received);
                            begun = true;
                        }
                        judge.path(rules, attrs, prefix, None)
                    }
                    None => Judged { set: path.set, flags: validity.marks() },
                };
                attrs.retain(judged.set, 1);
                moved.push((at, Moved { id, session: slot, path_id, judged }));
            }
        }
        judge.end(attrs);
        // Stable, so the paths of a prefix stay in order.
        moved.sort_by_key(|(at, _)| *at);
        moved.into_iter().map(|(_, moved)| moved).collect()
    }

    /// The rows of a prefix of which `moved` would be judged otherwise by these data, and who would be told of it.
    fn add_what_if(&mut self, family: Family, id: PrefixId, moved: &[Moved], rpki: &Arc<Snapshot>, page: &mut Filling) {
        let Some(table) = self.rib.tables.get(family) else { return };
        let (paths, best) = imagined(&self.decision(), table, id, moved, self.settings.best_path);
        let now = self.audience(family, id, table.paths(id), table.best(id));
        let in_force = self.judge.validator.take(Arc::clone(rpki));
        let then = self.audience(family, id, &paths, best);
        self.judge.validator.take(in_force);
        let Some(table) = self.rib.tables.get(family) else { return };
        let mut differ = |slots: &[Slot], others: &[Slot], told: bool| {
            let changed = slots.iter().filter(|slot| others.binary_search(slot).is_err());
            let nlri = || owned(table.nlri(id));
            let peers = changed.filter_map(|slot| self.sessions.peer(*slot));
            page.told.extend(peers.map(|peer| WhatIfTold { family, nlri: nlri(), peer, told }));
        };
        differ(&now, &then, false);
        differ(&then, &now, true);
        let attrs = &self.rib.attrs;
        let best_now = table.best(id);
        let from = page.rows.len();
        for (index, (path, then)) in table.paths(id).iter().zip(&paths).enumerate() {
            let (is_best, will_be) = (best_now == Some(index), best == Some(index));
            if path.flags == then.flags && is_best == will_be {
                continue;
            }
            let subject =
                Subject { family, nlri: table.nlri(id), labels: table.labels(id, path.session, path.path_id) };
            let range = page.attrs.range(attrs, attrs.received(path.set));
            let validity = Validity::of(then.flags);
            page.rows.push(WhatIfRow {
                now: row(subject, path, is_best, range, attrs, &self.sessions),
                then: Then {
                    validation: validity.origin,
                    aspa: validity.path,
                    rejected_by: rejected_by(subject, then, attrs, &self.sessions),
                    best: will_be,
                },
            });
        }
        page.rows.get_mut(from..).unwrap_or_default().sort_by_key(WhatIfRow::order);
    }
}

/// The paths of a prefix as they would be, and which of them would be best.
fn imagined(
    decision: &Decision<'_>,
    table: &Table,
    id: PrefixId,
    moved: &[Moved],
    best_path: bool,
) -> (Vec<Path>, Option<usize>) {
    let mut paths = table.paths(id).to_vec();
    let mut best = table.best(id);
    for moved in moved {
        let Some(index) = table.find_path(id, moved.session, moved.path_id) else { continue };
        let Some(path) = paths.get_mut(index) else { continue };
        let old = *path;
        let flags: PathFlags = old.flags.with_verdict(moved.judged.flags);
        *path = Path { set: moved.judged.set, flags, ..old };
        if best_path {
            best = decision.after(&paths, best, Change::Replaced { index, old });
        }
    }
    (paths, best)
}

/// The next up to `room` prefixes that can change, in table order.
fn chosen(table: &Table, roots: Option<&[Prefix]>, after: Option<&Nlri>, room: usize) -> Vec<(PrefixId, Nlri)> {
    let after = after.map(borrowed);
    match roots {
        None => table.after(after).take(room).map(|(nlri, id)| (id, owned(nlri))).collect(),
        Some(roots) => {
            let roots = roots.iter().filter(|root| root.is_v4() == (table.family().afi == 1));
            let inside = roots.flat_map(|root| table.inside(*root, after));
            inside.take(room).map(|(nlri, id)| (id, owned(nlri))).collect()
        }
    }
}
