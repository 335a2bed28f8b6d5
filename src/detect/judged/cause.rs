//! A cause: something wrong that paths show, what of it is told, and in which alert.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    detect::{
        Board, Finding, Fingerprint, Hold, Kind, Severity,
        events::{Events, is_leak},
        scene::is_enough,
        settings::Settings,
    },
    rib::SessionSlot,
    types::{Asn, Prefix, Timestamp},
    view::observed::VantageClass,
};

/// Something wrong that paths show, with the prefixes whose paths show it now.
#[derive(Debug)]
pub(super) struct Cause {
    pub(super) finding: Finding,
    pub(super) vantages_min: Option<usize>,
    /// It was there before all was seen once, and rests on too little to be told then.
    pub(super) normal: bool,
    pub(super) members: BTreeMap<Prefix, u32>,
    pub(super) views: BTreeMap<(SessionSlot, Asn), (VantageClass, Arc<str>, u64)>,
    pub(super) told_at: Option<Timestamp>,
    /// Leaks that the same paths show.
    pub(super) links: BTreeSet<Fingerprint>,
    /// While it is told, the alert that it is in, and what those of the same culprit share.
    pub(super) home: Option<(Fingerprint, Fingerprint)>,
    /// How long whoever leads that alert must stand before it is one: as long as that this waits, too.
    pub(super) hold: Option<Hold>,
}

impl Cause {
    /// What causes of the same culprit have in common.
    pub(super) fn origin(&self) -> &Fingerprint {
        self.finding.cause.as_ref().unwrap_or(&self.finding.key)
    }

    /// How strong its evidence is, and how much it is about.
    pub(super) fn rank(&self) -> (Severity, i32, usize) {
        (self.finding.severity, self.finding.total(), self.members.len())
    }

    /// Finds the alert of one that begins to be told; false where it cannot be in another's.
    pub(super) fn find_home(&mut self, now: Timestamp, events: &mut Events) -> bool {
        let kind = self.finding.key.kind;
        if !is_leak(kind) && kind != Kind::NewNeighbor {
            return false;
        }
        self.told_at = Some(now);
        let home = events.home(&self.finding.key, self.origin(), self.links.iter());
        events.tell(&self.finding, (&home, self.origin()), BTreeMap::new());
        self.home = Some((home, self.origin().clone()));
        true
    }

    /// Says what it is now, in its alert.
    pub(super) fn tell(&mut self, now: Timestamp, events: &mut Events, board: &mut Board) {
        self.told_at = Some(now);
        let mut finding = self.told();
        if let Some((home, shared)) = &self.home {
            let mut paths: BTreeMap<Arc<str>, u64> = BTreeMap::new();
            for (_, name, count) in self.views.values() {
                *paths.entry(Arc::clone(name)).or_default() += count;
            }
            events.tell(&finding, (home, shared), paths);
            if home != self.origin() {
                // The alert names what it is about already.
                (finding.cause, finding.symptom) = (Some(home.clone()), true);
                finding.hold = self.hold.unwrap_or(finding.hold);
            }
        }
        board.stand(now, finding);
    }

    /// The alert of forged first hops, if they are what it shows: a neighbour that is new because somebody forges the hop next
    /// to the origin, or a leak that such a path looks like.
    pub(super) fn forged(&self, board: &Board) -> Option<(Fingerprint, Hold)> {
        let part = |finding: &Finding, part| finding.asns.get(part).and_then(|asns| asns.first().copied());
        let finding = &self.finding;
        let upstream = finding.evidence.get("side").is_some_and(|side| side == "upstream");
        let pair = match finding.key.kind {
            Kind::NewNeighbor if upstream => (part(finding, "watched")?, part(finding, "neighbor")?),
            Kind::RouteLeak => (part(finding, "origin")?, part(finding, "leaker")?),
            _ => return None,
        };
        let is_it = |other: &&Finding| {
            other.key.kind == Kind::FirstHop
                && (part(other, "origin"), part(other, "observed")) == (Some(pair.0), Some(pair.1))
        };
        let forged: Vec<&Finding> = board.standing().filter(is_it).collect();
        let shows = |prefix: &Prefix| forged.iter().any(|other| other.prefix == Some(*prefix));
        // Who passes on more than that leaks.
        if finding.key.kind == Kind::RouteLeak && !self.members.keys().all(shows) {
            return None;
        }
        forged.first().map(|first| (first.cause.as_ref().unwrap_or(&first.key).clone(), first.hold))
    }

    pub(super) fn is_shown(&self, settings: &Settings) -> bool {
        let views = self.views.iter().map(|((_, asn), (class, ..))| (*class, *asn));
        if self.members.is_empty() || self.normal {
            return false;
        }
        match self.vantages_min {
            Some(least) => views.map(|(_, asn)| asn).collect::<BTreeSet<_>>().len() >= least,
            None => is_enough(&settings.vantages_min, views),
        }
    }

    /// The finding as it stands now.
    pub(super) fn told(&self) -> Finding {
        let mut finding = self.finding.clone();
        let names: BTreeSet<&Arc<str>> = self.views.values().map(|(_, name, _)| name).collect();
        finding.neighbors = names.into_iter().cloned().collect();
        finding.member_count = self.members.len() as u64;
        finding.members = self.members.keys().take(Finding::MEMBERS_MAX).map(ToString::to_string).collect();
        if let (None, 1, Some(only)) = (finding.prefix, self.members.len(), self.members.keys().next()) {
            finding.prefix = Some(*only);
        }
        finding
    }
}
