//! Who would be told of a prefix if its paths were others: the choice of `choose`, made of paths that are in no table.
//! For "what if"; nothing is sent, counted or kept.

use crate::{
    rib::{Path, PrefixId},
    types::Family,
};

use super::{
    super::{
        Engine, LOCAL,
        sessions::Slot,
        stream::{Audience, Stream},
        update_group::Group,
    },
    change::{Spot, each_audience},
    choose::Choice,
    told::is_default,
};

impl Engine {
    /// The sessions that are told something of a prefix when all is settled, if these are its paths and `best` is the
    /// best of them; ascending.
    pub(in crate::engine) fn audience(
        &self,
        family: Family,
        id: PrefixId,
        paths: &[Path],
        best: Option<usize>,
    ) -> Vec<Slot> {
        let (mut stream, mut told) = (Stream::default(), Vec::new());
        let groups = (0..self.groups.len()).filter_map(|at| self.groups.get(at)).filter(|group| !group.silent);
        for group in groups {
            let Some(table) = group.tables.iter().position(|table| table.family == family) else { continue };
            // Sets are prepared by the group's key.
            stream.begin(false);
            let best = best.and_then(|best| paths.get(best));
            let rows = self.audiences(group, family, Spot { table, id }, (paths, best), &mut stream);
            let members = group.members.iter().map(|member| member.slot);
            told.extend(members.filter(|slot| rows.iter().any(|audience| audience.hears(*slot))));
        }
        told.sort_unstable();
        told
    }

    /// Who would hear each row of a group.
    fn audiences(
        &self,
        group: &Group,
        family: Family,
        spot: Spot,
        (paths, best): (&[Path], Option<&Path>),
        stream: &mut Stream,
    ) -> Vec<Audience> {
        let nlri = self.rib.tables.get(family).map(|table| table.nlri(spot.id));
        let is_ours = |nlri| is_default(nlri) && group.key.passes_filter(family, nlri);
        if group.key.default_originate.contains(&family) && nlri.is_some_and(is_ours) {
            return vec![Audience::Except(LOCAL)];
        }
        let sends_many = group.tables.get(spot.table).is_some_and(|of| of.sends_many());
        if !sends_many && !group.key.rules.transparent {
            let best = best.filter(|path| group.has_audience(path.session));
            let told = best.filter(|path| self.prepare_path(group, family, spot, path, stream).is_ok());
            return told.map(|path| Audience::Except(path.session)).into_iter().collect();
        }
        let decision = self.decision();
        let mut passing: Vec<(Path, Choice)> = paths
            .iter()
            .filter(|path| decision.is_eligible(path))
            .filter_map(|path| Some((*path, self.prepare_path(group, family, spot, path, stream).ok()?)))
            .collect();
        if sends_many {
            let mut told = Vec::new();
            for path in self.choose_among(group, passing) {
                let source = path.row.sent.source;
                each_audience(group, source, path.hearing.as_ref(), |audience| told.push(audience));
            }
            return told;
        }
        passing.retain(|(path, _)| group.has_audience(path.session));
        let Some((first, _)) = self.take_best(&mut passing) else { return Vec::new() };
        let others = passing.iter().any(|(path, _)| path.session != first.session);
        let second = (others && group.has(first.session)).then_some(Audience::Only(first.session));
        std::iter::once(Audience::Except(first.session)).chain(second).collect()
    }
}
