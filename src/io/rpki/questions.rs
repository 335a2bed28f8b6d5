//! Answers about the sources and what they say; nothing here changes anything.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Rpki,
    force::{LOCAL, Source},
};
use crate::{
    types::{Asn, Prefix},
    validation::{
        Aspa, Snapshot, SourceId,
        hypothesis::{Changes, Hypothesis},
        rov::VrpTable,
    },
    view::rpki::{Difference, Differences, InForce, OriginCheck, Payload, RpkiView, SourceDifference, SourceView},
};

impl Rpki {
    /// The data in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().snapshot)
    }

    /// What each source holds and how fresh it is.
    pub fn view(&self) -> RpkiView {
        let state = self.lock();
        let counts = |snapshot: &Snapshot| {
            let (v4, v6) = snapshot.vrps.counts();
            ((v4 as u64, v6 as u64), snapshot.aspas.len() as u64)
        };
        let (vrps, aspas) = counts(&state.snapshot);
        let sources = state.sources.iter().map(|source| {
            let (vrps, aspas) = source.filtered.as_deref().map_or(((0, 0), 0), counts);
            SourceView { vrps, aspas, ..source.view.clone() }
        });
        RpkiView { sources: sources.chain(state.slurm_view.clone()).collect(), vrps, aspas }
    }

    /// The data in force, with the names of those who say them.
    pub fn in_force(&self) -> InForce {
        let state = self.lock();
        let names = state.sources.iter().map(|source| (source.id, source.view.name.clone())).collect();
        InForce { snapshot: Arc::clone(&state.snapshot), names }
    }

    /// The state of a prefix and origin by the data in force, with all that decides.
    pub fn check(&self, prefix: Prefix, origin: Asn) -> OriginCheck {
        let in_force = self.in_force();
        let covering = in_force.covering(prefix, Some(origin));
        OriginCheck { prefix, origin, state: in_force.snapshot.origin_state(prefix, Some(origin)), covering }
    }

    /// What would be in force with these changes to the data that are; nothing changes.
    ///
    /// # Errors
    /// Something is to be removed that is not there.
    pub fn hypothetical(&self, changes: &Changes) -> Result<Hypothesis, String> {
        let base = self.snapshot();
        let then = Arc::new(changes.apply(&base, LOCAL)?);
        Ok(Hypothesis::new(base, then))
    }

    /// What some of these sources say and others of them do not, as they sent it: before local exceptions. No names: of
    /// all that have data.
    ///
    /// # Errors
    /// A name is not that of a source, a source has no data, or there are less than two to compare.
    pub fn differences(&self, names: &[String]) -> Result<Differences, String> {
        let compared = self.compared(names)?;
        let ids: Vec<SourceId> = compared.iter().map(|(_, id, _)| *id).collect();
        // By place in `compared`: bit n is the nth.
        let all = (1_u16 << compared.len()) - 1;
        let mut records = Vec::new();
        let vrps = VrpTable::new(compared.iter().flat_map(|(_, _, held)| held.vrps.iter()).collect());
        for (vrp, sources) in vrps.iter() {
            let held_by = ids.iter().enumerate().fold(0, |mask, (at, id)| mask | u16::from(sources.has(*id)) << at);
            if held_by != all {
                records.push(Difference { payload: Payload::Vrp(vrp), held_by });
            }
        }
        let mut aspas: BTreeMap<Aspa, u16> = BTreeMap::new();
        for (at, (.., held)) in compared.iter().enumerate() {
            held.aspas.iter().for_each(|aspa| *aspas.entry(aspa).or_default() |= 1 << at);
        }
        let aspas = aspas.into_iter().filter(|(_, held_by)| *held_by != all);
        records.extend(aspas.map(|(aspa, held_by)| Difference { payload: Payload::Aspa(aspa), held_by }));
        let mut sources: Vec<SourceDifference> = compared
            .iter()
            .map(|(name, _, held)| {
                let (v4, v6) = held.vrps.counts();
                let (vrps, aspas) = ((v4 + v6) as u64, held.aspas.len() as u64);
                SourceDifference { name: name.clone(), vrps, aspas, ..SourceDifference::default() }
            })
            .collect();
        for record in &records {
            for (at, source) in sources.iter_mut().enumerate() {
                let has = record.held_by & 1 << at != 0;
                let count = match (has, &record.payload) {
                    (true, Payload::Vrp(_)) => &mut source.vrps_not_everywhere,
                    (true, Payload::Aspa(_)) => &mut source.aspas_not_everywhere,
                    (false, Payload::Vrp(_)) => &mut source.vrps_missing,
                    (false, Payload::Aspa(_)) => &mut source.aspas_missing,
                };
                *count += 1;
            }
        }
        Ok(Differences { sources, records })
    }

    fn compared(&self, names: &[String]) -> Result<Vec<(String, SourceId, Arc<Snapshot>)>, String> {
        let state = self.lock();
        let with_data =
            |source: &Source| Some((source.view.name.clone(), source.id, Arc::clone(source.received.as_ref()?)));
        let mut compared: Vec<(String, SourceId, Arc<Snapshot>)> = Vec::new();
        for name in names {
            let Some(source) = state.sources.iter().find(|source| source.view.name == *name) else {
                let known: Vec<&str> = state.sources.iter().map(|source| source.view.name.as_str()).collect();
                return Err(format!("no source is called {name}; there are: {}", known.join(", ")));
            };
            let found = with_data(source).ok_or_else(|| format!("{name} has no data to compare"))?;
            if compared.iter().all(|(_, id, _)| *id != found.1) {
                compared.push(found);
            }
        }
        if names.is_empty() {
            compared.extend(state.sources.iter().filter_map(with_data));
        }
        match compared.len() {
            0 | 1 => Err(format!("it takes two sources with data to compare, and there are {}", compared.len())),
            _ => Ok(compared),
        }
    }
}
