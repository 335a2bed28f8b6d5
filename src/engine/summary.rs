//! Counts, kept incrementally: reading them walks no table.

use crate::{
    rib::Table,
    view::{FamilyCounts, Summary, TableCounts},
};

use super::{
    Engine,
    filters::NeighborFilter,
    sessions::{FamilyState, Session, Slot},
    stream::Stream,
};

impl Engine {
    /// Counts per table, family and neighbour. Paths of a session that ended are counted in the tables until the
    /// background walk has removed them.
    pub fn summary(&self) -> Summary {
        let neighbors = self.sessions.live().map(|(slot, session)| {
            (session.peer, session.families.iter().map(|state| self.family_counts(slot, session, state)).collect())
        });
        let mut neighbors: Vec<_> = neighbors.collect();
        neighbors.sort_by_key(|(peer, _)| *peer);
        let Stream { prepared, past, .. } = &self.stream;
        let paths = self.judge.path_counts() + prepared.path_counts() + past.path_counts();
        Summary {
            tables: self.rib.tables.iter().map(table_counts).collect(),
            neighbors,
            attribute_sets: self.rib.attrs.len(),
            attribute_octets: self.rib.attrs.set_octets(),
            paths_judged: paths.judged,
            paths_shared: paths.shared,
            seq: self.events.seq(),
        }
    }

    fn family_counts(&self, slot: Slot, session: &Session, state: &FamilyState) -> FamilyCounts {
        let group = session.group.and_then(|at| self.groups.get(at));
        FamilyCounts {
            family: state.family,
            received: state.received,
            accepted: state.accepted,
            validation: state.validation,
            aspa: state.aspa,
            stale: state.stale,
            advertised: group.map_or(0, |group| group.advertised(slot, state.family)),
            end_of_rib: state.end_of_rib,
            dropped: state.dropped,
            filter: session.filters.iter().find(|filter| filter.family == state.family).map(NeighborFilter::counts),
            withheld: group.map_or(0, |group| group.withheld(state.family)),
        }
    }
}

fn table_counts(table: &Table) -> TableCounts {
    let counts = table.counts();
    TableCounts { family: table.family(), prefixes: counts.prefixes, paths: counts.paths, best: counts.best }
}
