//! Why the best route of a prefix won, and why each other lost (RFC 4271 §9.1): the decision process asked for its
//! reasons.

use crate::{
    rib::{
        Decision, NlriRef, Path, PathFlags, PrefixId, Table,
        best_path::{NextHopCheck, Rank},
    },
    types::{Family, Prefix, Timestamp},
    view::{Candidate, Explanation, Lost, Refusal, RoutePage, RouteRow},
};

use super::{
    Engine,
    import::{Unusable, prefix_of, story},
    query::{is_shared, same_kind},
    rows::{AttrPool, Subject, rejected_by, row},
};

impl Engine {
    /// Every path of a prefix, in order of preference. A prefix that nobody announces has none.
    pub(super) fn explain(&mut self, now: Timestamp, family: Family, prefix: Prefix) -> Result<Explanation, Refusal> {
        if !same_kind(family, prefix) {
            return Err(Refusal::Invalid(format!("{prefix} is no prefix of {family}")));
        }
        Ok(self.explain_nlri(now, family, NlriRef::Prefix(prefix)))
    }

    /// The same of any NLRI of a family.
    pub(super) fn explain_nlri(&mut self, now: Timestamp, family: Family, nlri: NlriRef<'_>) -> Explanation {
        let found = |engine: &Self| engine.rib.tables.get(family).and_then(|table| table.find(nlri));
        if let Some(id) = found(self) {
            self.cleanse(now, family, id);
        }
        match (self.rib.tables.get(family), found(self)) {
            (Some(table), Some(id)) => self.ranked(table, id),
            _ => {
                let page = RoutePage { seq: self.events.seq(), ..RoutePage::default() };
                Explanation { page, candidates: Vec::new() }
            }
        }
    }

    fn ranked(&self, table: &Table, id: PrefixId) -> Explanation {
        let paths = table.paths(id);
        let mut attrs = AttrPool::default();
        let multipath = self.multipath(paths);
        let rows = paths.iter().enumerate().map(|(index, path)| {
            let labels = table.labels(id, path.session, path.path_id);
            let subject = Subject { family: table.family(), nlri: table.nlri(id), labels };
            let range = attrs.range(&self.rib.attrs, path.set);
            let row = row(subject, path, table.best(id) == Some(index), range, &self.rib.attrs, &self.sessions);
            RouteRow { multipath: multipath.as_ref().map(|set| is_shared(set, index)), ..row }
        });
        let rows = rows.collect();
        let decision = self.decision();
        let ranks = decision.rank(paths);
        let mut place = vec![0; paths.len()];
        for (at, rank) in ranks.iter().enumerate() {
            if let Some(place) = place.get_mut(rank.index) {
                *place = at;
            }
        }
        let candidates = ranks.iter().filter_map(|rank| {
            let path = paths.get(rank.index)?;
            let ineligible =
                if rank.eligible && self.settings.best_path { None } else { Some(self.why_not(table, id, path)) };
            let lost = lost(&decision, paths, path, rank, &place).filter(|_| ineligible.is_none());
            let import = self.import_story(table, id, path);
            Some(Candidate { row: rank.index, ineligible, lost, import })
        });
        let candidates = candidates.collect();
        let page = RoutePage { rows, attrs: attrs.take(), next: None, seq: self.events.seq() };
        Explanation { page, candidates }
    }

    /// What import did with a path; a route of our own has not met it.
    fn import_story(&self, table: &Table, id: PrefixId, path: &Path) -> Vec<String> {
        let Some(session) = self.sessions.get(path.session) else { return Vec::new() };
        story(&session.import, table.family(), &self.rib.attrs, path, prefix_of(table.nlri(id)))
    }

    /// Why a path cannot be chosen at all, in words.
    fn why_not(&self, table: &Table, id: PrefixId, path: &Path) -> String {
        if path.flags.has(PathFlags::UNUSABLE) {
            return Unusable::why(path.flags.detail()).into();
        }
        let subject = Subject { family: table.family(), nlri: table.nlri(id), labels: &[] };
        if let Some(by) = rejected_by(subject, path, &self.rib.attrs, &self.sessions) {
            return format!("rejected on import by {by}");
        }
        if !self.settings.best_path {
            return "collector mode: no best path is selected".into();
        }
        if !self.decision().is_reachable(path) {
            return match self.settings.decision.next_hops.check() {
                NextHopCheck::Connected => "its next hop is on no subnet of our interfaces (RFC 4271 §9.1.2.1)",
                _ => "no [[decision.next_hop]] says that its next hop is reachable (RFC 4271 §9.1.2.1)",
            }
            .into();
        }
        "its session has ended".into()
    }
}

/// Where a path lost, with what it has there and what the other one has. `place` gives the rank of each path.
fn lost(decision: &Decision<'_>, paths: &[Path], path: &Path, rank: &Rank, place: &[usize]) -> Option<Lost> {
    let (step, against) = (rank.lost_at?, rank.against?);
    let (value, other) = (decision.value(step, path), decision.value(step, paths.get(against)?));
    // The same on both sides: the number of the session decided, which says nothing to anybody.
    let (value, against_value) = if value == other { (None, None) } else { (value, other) };
    let to = place.get(against).copied()?;
    Some(Lost { step: step.name(), why: step.why(), value, against: against_value, to })
}
