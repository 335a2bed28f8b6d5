//! Judging again what is kept: the import policies or options of sessions became others, and Adj-RIB-In has what the
//! neighbours sent. No session ends, nobody is asked to send again, and what does not change in effect is news for nobody.
//!
//! The walk of `background` comes by with some prefixes at a time. A new route is judged by the new rules from the
//! start, so when the walk is over everything is as if it had arrived just now.

use std::sync::Arc;

use crate::{
    policy::{Library, PolicyChain},
    rib::{NlriRef, PrefixId, SetId, Source},
    types::{Family, PathId, PeerId, Prefix, Timestamp},
    validation,
    view::{Nlri, observed::Observation},
};

use super::{
    super::{
        Action, Engine, PeerSettings,
        background::Job,
        max_prefix,
        sessions::{LOCAL, Phase, Slot},
    },
    ImportRules, Judged, Sender, prefix_of,
};

impl Engine {
    /// Policies and sets are others now. Sessions whose policies mean something else are judged again and sent the
    /// difference.
    pub(in crate::engine) fn take_policies(&mut self, library: Arc<Library>) {
        self.library = library;
        let slots: Vec<Slot> = self.sessions.live().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.renew_rules(slot);
        }
    }

    /// The neighbour's settings are others now, in ways that its session survives.
    pub(in crate::engine) fn reconfigure(&mut self, peer: PeerId, settings: Arc<PeerSettings>, out: &mut Vec<Action>) {
        let Some(slot) = self.sessions.slot_of(peer) else { return };
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let limits_changed = session.settings.max_prefix != settings.max_prefix;
        session.settings = Arc::clone(&settings);
        let negotiated = Arc::clone(&session.negotiated);
        if limits_changed && session.phase == Phase::Live {
            session.forget_warnings();
            let families: Vec<Family> = session.families.iter().map(|state| state.family).collect();
            let outcomes: Vec<_> = families.iter().filter_map(|family| max_prefix::check(session, *family)).collect();
            for outcome in outcomes {
                self.act_on_limit(slot, outcome, out);
            }
        }
        let internal = self.source_of(slot) == Source::Internal;
        self.set_vantage(slot, &settings, &negotiated, internal);
        self.renew_rules(slot);
    }

    /// RPKI says something else now: what it can change is judged again, by policies that look at it too, without asking
    /// any neighbour (RFC 9324).
    pub(in crate::engine) fn take_rpki(&mut self, now: Timestamp, update: validation::Update) {
        let before = self.judge.validator.take(update.snapshot);
        self.watched.note(|| Observation::Rpki { before });
        let slots: Vec<Slot> = self.sessions.live().map(|(slot, _)| slot).collect();
        match update.changed.and_then(|changed| self.affected(&changed)) {
            Some(affected) => {
                for (family, ids) in affected {
                    self.rejudge(now, family, &slots, &ids);
                    self.groups.mark_revalidated(family, &ids);
                }
            }
            None => {
                slots.iter().for_each(|slot| self.background.add(Job::Rejudge(*slot)));
                self.groups.walk_revalidated();
            }
        }
        self.revalidate_locals(now);
    }

    /// Prefixes that are one of `changed` or inside one; `None` when they are too many for one go.
    fn affected(&self, changed: &[Prefix]) -> Option<Vec<(Family, Vec<PrefixId>)>> {
        let mut affected = Vec::new();
        for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST] {
            let Some(table) = self.rib.tables.get(family) else { continue };
            let inside = changed.iter().filter(|prefix| prefix.is_v4() == (family.afi == 1));
            let inside = inside.flat_map(|prefix| table.inside(*prefix, None).map(|(_, id)| id));
            let mut ids: Vec<PrefixId> = inside.take(AT_ONCE + 1).collect();
            if ids.len() > AT_ONCE {
                return None;
            }
            ids.sort_unstable();
            ids.dedup();
            affected.push((family, ids));
        }
        Some(affected)
    }

    /// Routes of our own are judged like others (RFC 6811 §3).
    fn revalidate_locals(&mut self, now: Timestamp) {
        for (family, nlri) in self.locals.clone() {
            let Nlri::Prefix(prefix) = nlri else { continue };
            let own = self.settings.asn_outside();
            let (mut desk, judge) = self.desk_and_judge(family, now);
            let Some(id) = desk.table.find(NlriRef::Prefix(prefix)) else { continue };
            let Some(at) = desk.table.find_path(id, LOCAL, 0) else { continue };
            let Some(set) = desk.table.paths(id).get(at).map(|path| path.set) else { continue };
            let (received, facts) = (desk.attrs.get(set), desk.attrs.facts(set));
            judge.validator.begin(&Sender::ourselves(own), family, received, facts);
            let flags = judge.validator.of(Some(prefix), None).marks();
            desk.rejudge(id, (LOCAL, 0), Judged { set, flags });
        }
    }

    /// Makes a session's rules anew from its settings and the policies that hold; where they differ, starts what it takes.
    fn renew_rules(&mut self, slot: Slot) {
        let source = self.source_of(slot);
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let (settings, negotiated) = (&session.settings, &session.negotiated);
        let import = ImportRules::new(&self.settings, &self.library, settings, negotiated, source);
        session.export = PolicyChain::new(&self.library, &settings.export, negotiated.kind);
        if *session.import != import {
            session.reweighed |= session.import.weight != import.weight;
            if let Some(facts) = self.facts.get_mut(usize::from(slot)) {
                facts.weight = import.weight;
            }
            session.import = Arc::new(import);
            self.background.add(Job::Rejudge(slot));
        }
        self.regroup(slot);
    }

    /// Judges the paths again that these sessions have under these ids.
    pub(in crate::engine) fn rejudge(&mut self, now: Timestamp, family: Family, slots: &[Slot], ids: &[PrefixId]) {
        if slots.is_empty() {
            return;
        }
        let validates =
            |slot: &Slot| self.sessions.get(*slot).is_some_and(|session| self.validates(&session.import, family));
        if slots.iter().any(validates) {
            self.know_filed_flows(family, ids);
        }
        let (mut desk, judge) = self.desk_and_judge(family, now);
        let mut asked = vec![false; slots.iter().max().map_or(0, |slot| usize::from(*slot) + 1)];
        slots.iter().for_each(|slot| asked[usize::from(*slot)] = true);
        let is_asked = |slot: Slot| asked.get(usize::from(slot)).is_some_and(|asked| *asked);
        // In order of session and set, so that each set is judged once.
        let mut due: Vec<(Slot, SetId, PrefixId, PathId)> = Vec::new();
        for &id in ids {
            let paths = desk.table.paths(id).iter().filter(|path| is_asked(path.session));
            due.extend(paths.map(|path| (path.session, desk.attrs.received(path.set), id, path.path_id)));
        }
        due.sort_unstable();
        for run in due.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let Some(&(slot, received, ..)) = run.first() else { continue };
            let Some(session) = desk.sessions.get(slot).filter(|session| session.counts()) else { continue };
            let rules = session.import.clone();
            desk.attrs.retain(received, 1);
            judge.begin(&rules, family, desk.attrs, received);
            for &(_, _, id, path_id) in run {
                let nlri = desk.table.nlri(id);
                let mut judged = judge.path(&rules, desk.attrs, prefix_of(nlri), None);
                if rules.validates_flows {
                    judged = desk.validate_flow(slot, nlri, received, judged);
                }
                desk.rejudge(id, (slot, path_id), judged);
            }
        }
        judge.end(desk.attrs);
        // A weight stands beside the paths: they are the same and compare otherwise.
        let reweighed = |slot: &Slot| desk.sessions.get(*slot).is_some_and(|session| session.reweighed);
        let reweighed: Vec<Slot> = slots.iter().copied().filter(reweighed).collect();
        for &id in ids.iter().filter(|_| !reweighed.is_empty()) {
            if desk.table.paths(id).iter().any(|path| reweighed.contains(&path.session)) {
                desk.decide_afresh(id);
            }
        }
    }

    /// The walk is over, and no other one waits.
    pub(in crate::engine) fn rejudged(&mut self, slot: Slot) {
        if let Some(session) = self.sessions.get_mut(slot) {
            session.reweighed = false;
        }
    }
}

/// Prefixes that are judged again at once when VRPs change; more are left to the walk, in slices.
const AT_ONCE: usize = 4096;
