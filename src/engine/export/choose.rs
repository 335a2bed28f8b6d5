//! Which paths of a prefix a group is to be told.
//!
//! - Most groups: the best path of the Loc-RIB, or nothing where rules or policy hold it back (RFC 4271 §9.2).
//! - Clients of a route server (RFC 7947 §2.3): the best of the paths that the export policy lets pass, so that a policy
//!   which rejects the best path hides no other; and for each client without its own paths, so that those are no
//!   candidates there, neither as the best one nor by their MED.
//! - With ADD-PATH (RFC 7911): all paths, the best few, or the best one of each neighbouring AS, of those that pass. What
//!   a member sent itself is among those counted and is not sent back to it; not so for clients of a route server, each of
//!   which has such a choice of the paths of others (RFC 7947 §2.3.2).
//! - A group with `default_originate` is told of our default route, whatever the tables hold and policy says.

use crate::{
    rib::{Path, Sent, SentPath},
    types::{Family, Timestamp},
    wire::bgp::attribute::{AttrSet, AttrSetBuilder, Origin},
};

use super::{
    super::{
        Action, AddPathSelect, Engine, LOCAL,
        sessions::Slot,
        stream::Stream,
        transform::Withheld,
        update_group::{Group, Hearing},
    },
    change::Spot,
    told::is_default,
};

/// A row, and the number of its prepared set.
pub(super) type Choice = (Sent, u32);

/// What a group is to be told of a prefix.
#[derive(Default)]
pub(super) struct Chosen {
    /// For everybody but the session it comes from.
    pub(super) first: Option<Choice>,
    /// For single members instead, in order of their slots; only where there is a first one.
    pub(super) alone: Vec<(Slot, Choice)>,
}

/// One of several paths that a group is to be told.
pub(super) struct ChosenPath {
    pub(super) row: SentPath,
    /// The number of its prepared set.
    pub(super) set: u32,
    /// Who hears it, where that is not everybody but its source.
    pub(super) hearing: Option<Hearing>,
}

impl ChosenPath {
    fn new(path: &Path, (sent, set): Choice) -> Self {
        Self { row: SentPath { sent, received: path.path_id }, set, hearing: None }
    }
}

impl Chosen {
    fn one(first: Option<Choice>) -> Self {
        Self { first, alone: Vec::new() }
    }

    /// For one member.
    pub(super) fn by(&self, slot: Slot) -> Option<Choice> {
        let alone = self.alone.iter().find(|(to, _)| *to == slot).map(|(_, choice)| *choice);
        alone.or(self.first.filter(|(sent, _)| sent.source != slot))
    }
}

impl Engine {
    /// The path that the group is to be told about, with its prepared set; nothing where there is none, or policy,
    /// a rule or the message length keeps it.
    pub(super) fn choose(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        spot: Spot,
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) -> Chosen {
        let Some(family) = group.tables.get(spot.table).map(|of| of.family) else { return Chosen::default() };
        if let Some(ours) = self.choose_default(group, family, spot, stream) {
            return Chosen::one(Some(ours));
        }
        self.cleanse_stale(now, family, spot);
        if group.key.rules.transparent {
            return self.choose_for_clients(group, family, spot, stream, out);
        }
        let best = self.rib.tables.get(family).and_then(|table| table.best_path(spot.id).copied());
        let Some(path) = best.filter(|path| group.has_audience(path.session)) else { return Chosen::default() };
        let first = self.prepare_path(group, family, spot, &path, stream);
        Chosen::one(self.or_withhold(first, group, family, out))
    }

    fn choose_for_clients(
        &mut self,
        group: &mut Group,
        family: Family,
        spot: Spot,
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) -> Chosen {
        let mut passing = self.passing(group, family, spot, stream, out);
        passing.retain(|(path, _)| group.has_audience(path.session));
        let those: Vec<Path> = passing.iter().map(|(path, _)| *path).collect();
        let decision = self.decision();
        let Some(best) = decision.select(&those) else { return Chosen::default() };
        let choice = |at: usize| passing.get(at).map(|(_, choice)| *choice);
        let mut alone = Vec::new();
        for (at, path) in those.iter().enumerate() {
            let slot = path.session;
            let seen = those.iter().take(at).any(|before| before.session == slot);
            if !seen
                && let Some(other) = decision.select_without(&those, best, slot).filter(|other| *other != best)
                && group.has(slot)
            {
                alone.extend(choice(other).map(|choice| (slot, choice)));
            }
        }
        alone.sort_unstable_by_key(|(slot, _)| *slot);
        Chosen { first: choice(best), alone }
    }

    /// The paths that the group is to be told about.
    pub(super) fn choose_paths(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        spot: Spot,
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) -> Vec<ChosenPath> {
        let Some(family) = group.tables.get(spot.table).map(|of| of.family) else { return Vec::new() };
        if let Some((sent, set)) = self.choose_default(group, family, spot, stream) {
            return vec![ChosenPath { row: SentPath { sent, received: 0 }, set, hearing: None }];
        }
        self.cleanse_stale(now, family, spot);
        let passing = self.passing(group, family, spot, stream, out);
        self.choose_among(group, passing)
    }

    /// Of paths that pass, those that the group is to be told.
    pub(super) fn choose_among(&self, group: &Group, passing: Vec<(Path, Choice)>) -> Vec<ChosenPath> {
        let select = group.key.add_path_select;
        let all_are_sent = match select {
            AddPathSelect::All => true,
            AddPathSelect::Best(n) => passing.len() <= usize::from(n),
            AddPathSelect::PerNeighborAs => false,
        };
        let mut chosen = match group.key.rules.transparent && !all_are_sent {
            true => self.select_for_clients(group, select, passing),
            false => {
                let those = self.select(select, passing).into_iter();
                those.map(|(path, choice)| ChosenPath::new(&path, choice)).collect()
            }
        };
        let is_heard = |path: &ChosenPath| {
            matches!(path.hearing, Some(Hearing::Only(_))) || group.has_audience(path.row.sent.source)
        };
        chosen.retain(is_heard);
        chosen
    }

    /// Those that are chosen for a client without a path of its own here, and for each member that has one those that are
    /// chosen without its paths.
    fn select_for_clients(
        &self,
        group: &Group,
        select: AddPathSelect,
        passing: Vec<(Path, Choice)>,
    ) -> Vec<ChosenPath> {
        let same = |one: &Path, other: &Path| one.session == other.session && one.path_id == other.path_id;
        let mut sources: Vec<Slot> = passing.iter().map(|(path, _)| path.session).collect();
        sources.sort_unstable();
        sources.dedup();
        sources.retain(|slot| group.has(*slot));
        let everybody = self.select(select, passing.clone());
        let mut for_some: Vec<((Path, Choice), Vec<Slot>)> = Vec::new();
        let mut left_out: Vec<Vec<Slot>> = vec![Vec::new(); everybody.len()];
        for slot in sources {
            let others = passing.iter().filter(|(path, _)| path.session != slot).copied();
            let own = self.select(select, others.collect());
            for ((path, _), left_out) in everybody.iter().zip(&mut left_out) {
                if path.session != slot && !own.iter().any(|(other, _)| same(path, other)) {
                    left_out.push(slot);
                }
            }
            for (path, choice) in own {
                if everybody.iter().any(|(other, _)| same(&path, other)) {
                    continue;
                }
                match for_some.iter_mut().find(|((other, _), _)| same(&path, other)) {
                    Some((_, those)) => those.push(slot),
                    None => for_some.push(((path, choice), vec![slot])),
                }
            }
        }
        let hearing = |those: Vec<Slot>| (!those.is_empty()).then_some(Hearing::Without(those));
        let everybody = everybody
            .into_iter()
            .zip(left_out)
            .map(|((path, choice), those)| ChosenPath { hearing: hearing(those), ..ChosenPath::new(&path, choice) });
        let for_some = for_some.into_iter().map(|((path, choice), those)| ChosenPath {
            hearing: Some(Hearing::Only(those)),
            ..ChosenPath::new(&path, choice)
        });
        everybody.chain(for_some).collect()
    }

    /// Of paths that pass, those that are sent with ADD-PATH.
    fn select(&self, select: AddPathSelect, mut passing: Vec<(Path, Choice)>) -> Vec<(Path, Choice)> {
        match select {
            AddPathSelect::All => passing,
            AddPathSelect::Best(n) => (0..n).map_while(|_| self.take_best(&mut passing)).collect(),
            AddPathSelect::PerNeighborAs => {
                let neighbor = |(path, _): &(Path, Choice)| self.rib.attrs.facts(path.set).neighbor_asn();
                let mut chosen = Vec::new();
                while let Some(asn) = passing.first().map(&neighbor) {
                    let mut of_one: Vec<_> = passing.extract_if(.., |one| neighbor(one) == asn).collect();
                    chosen.extend(self.take_best(&mut of_one));
                }
                chosen
            }
        }
    }

    /// The eligible paths that rules and policy let pass, with what would be told.
    fn passing(
        &self,
        group: &mut Group,
        family: Family,
        spot: Spot,
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) -> Vec<(Path, Choice)> {
        let Some(table) = self.rib.tables.get(family) else { return Vec::new() };
        let decision = self.decision();
        let mut passing = Vec::new();
        for path in table.paths(spot.id) {
            if !decision.is_eligible(path) {
                continue;
            }
            let choice = self.prepare_path(group, family, spot, path, stream);
            passing.extend(self.or_withhold(choice, group, family, out).map(|choice| (*path, choice)));
        }
        passing
    }

    /// Takes the best of these paths out: decided among them alone, so that a MED of one that is not there counts for
    /// nothing.
    pub(super) fn take_best(&self, paths: &mut Vec<(Path, Choice)>) -> Option<(Path, Choice)> {
        if paths.len() < 2 {
            return paths.pop();
        }
        let those: Vec<Path> = paths.iter().map(|(path, _)| *path).collect();
        let best = self.decision().select(&those)?;
        Some(paths.remove(best))
    }

    /// Removes what a session left that ended, where it is the best path still.
    fn cleanse_stale(&mut self, now: Timestamp, family: Family, spot: Spot) {
        let stale = |path: &Path| !self.facts.get(usize::from(path.session)).is_some_and(|f| f.usable);
        if self.rib.tables.get(family).and_then(|table| table.best_path(spot.id)).is_some_and(stale) {
            self.cleanse(now, family, spot.id);
        }
    }

    /// Our default route, where the group is sent one and this is its prefix.
    fn choose_default(&mut self, group: &Group, family: Family, spot: Spot, stream: &mut Stream) -> Option<Choice> {
        if !group.key.default_originate.contains(&family) {
            return None;
        }
        let nlri = self.rib.tables.get(family)?.nlri(spot.id);
        if !is_default(nlri) || !group.key.passes_filter(family, nlri) {
            return None;
        }
        let set = match self.default_set {
            Some(set) => set,
            None => {
                let octets = AttrSetBuilder::new().origin(Origin::Igp).as_path_sequence(&[]).finish();
                *self.default_set.insert(self.rib.attrs.intern(AttrSet::new(&octets)))
            }
        };
        let row = Sent { set, source: LOCAL, llgr_stale: false, validity: 0 };
        let nlri = self.rib.tables.get(family)?.nlri(spot.id);
        let learned = self.learned(&group.key, family, row, nlri);
        let number = stream.prepared.prepare(self.preparing(family, &group.key), set, learned, nlri).ok()?;
        Some((row, number))
    }

    /// The row and the prepared set of a path.
    pub(super) fn prepare_path(
        &self,
        group: &Group,
        family: Family,
        spot: Spot,
        path: &Path,
        stream: &mut Stream,
    ) -> Result<Choice, Withheld> {
        let Some(table) = self.rib.tables.get(family) else { return Err(Withheld::Policy) };
        let nlri = table.nlri(spot.id);
        if !group.key.passes_filter(family, nlri) {
            return Err(Withheld::Filter);
        }
        let row = self.row_of(path, (family, nlri), &group.key);
        let learned = self.learned(&group.key, family, row, nlri);
        let done = stream.prepared.prepare(self.preparing(family, &group.key), row.set, learned, nlri);
        let (row, done) = self.settle_validity(group, (family, nlri), (row, done), stream);
        let set = done?;
        let labels = table.labels(spot.id, path.session, path.path_id).len();
        let fits = stream.prepared.fits(set, nlri, labels, &group.key);
        if fits { Ok((row, set)) } else { Err(Withheld::TooLong) }
    }

    fn or_withhold(
        &self,
        choice: Result<Choice, Withheld>,
        group: &mut Group,
        family: Family,
        out: &mut Vec<Action>,
    ) -> Option<Choice> {
        choice.inspect_err(|why| self.withhold(group, family, *why, out)).ok()
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
            Withheld::InternalToInternal
            | Withheld::Community
            | Withheld::Otc
            | Withheld::LongLivedStale
            | Withheld::Policy
            | Withheld::Filter => return,
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
