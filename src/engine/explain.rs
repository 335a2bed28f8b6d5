//! Why the best route of a prefix won, and why each other lost (RFC 4271 §9.1): the decision process asked for its
//! reasons.

use crate::{
    rib::{Decision, NlriRef, Path, PathFlags, PrefixId, Table},
    types::{Family, Prefix, Timestamp},
    view::{Candidate, Explanation, Refusal, RoutePage},
};

use super::{
    Engine,
    import::Unusable,
    query::same_kind,
    rows::{AttrPool, Subject, row},
};

impl Engine {
    /// Every path of a prefix, in order of preference. A prefix that nobody announces has none.
    pub(super) fn explain(&mut self, now: Timestamp, family: Family, prefix: Prefix) -> Result<Explanation, Refusal> {
        if !same_kind(family, prefix) {
            return Err(Refusal::Invalid(format!("{prefix} is no prefix of {family}")));
        }
        let nlri = NlriRef::Prefix(prefix);
        let found = |engine: &Self| engine.rib.tables.get(family).and_then(|table| table.find(nlri));
        if let Some(id) = found(self) {
            self.cleanse(now, family, id);
        }
        match (self.rib.tables.get(family), found(self)) {
            (Some(table), Some(id)) => Ok(self.ranked(table, id)),
            _ => {
                let page = RoutePage { seq: self.events.seq(), ..RoutePage::default() };
                Ok(Explanation { page, candidates: Vec::new() })
            }
        }
    }

    fn ranked(&self, table: &Table, id: PrefixId) -> Explanation {
        let paths = table.paths(id);
        let mut attrs = AttrPool::default();
        let rows = paths.iter().enumerate().map(|(index, path)| {
            let labels = table.labels(id, path.session, path.path_id);
            let subject = Subject { family: table.family(), nlri: table.nlri(id), labels };
            let range = attrs.range(&self.rib.attrs, path.set);
            row(subject, path, table.best(id) == Some(index), range, &self.rib.attrs, &self.sessions)
        });
        let rows = rows.collect();
        let ranks = Decision::new(&self.rib.attrs, &self.facts).rank(paths);
        let candidates = ranks.into_iter().filter_map(|rank| {
            let path = paths.get(rank.index)?;
            let ineligible = if rank.eligible && self.settings.best_path { None } else { Some(self.why_not(path)) };
            let lost_at = rank.lost_at.filter(|_| ineligible.is_none()).map(|step| step.why().to_owned());
            Some(Candidate { row: rank.index, ineligible, lost_at })
        });
        let candidates = candidates.collect();
        let page = RoutePage { rows, attrs: attrs.take(), next: None, seq: self.events.seq() };
        Explanation { page, candidates }
    }

    /// Why a path cannot be chosen at all, in words.
    fn why_not(&self, path: &Path) -> String {
        if path.flags.has(PathFlags::UNUSABLE) {
            return Unusable::why(path.flags.detail()).into();
        }
        if path.flags.has(PathFlags::REJECTED) {
            let verdict = self.sessions.get(path.session).and_then(|session| session.import.constant());
            let by = verdict.map_or_else(|| "import policy".into(), |by| by.policy());
            return format!("rejected on import by {by}");
        }
        if !self.settings.best_path {
            return "collector mode: no best path is selected".into();
        }
        "its session has ended".into()
    }
}
