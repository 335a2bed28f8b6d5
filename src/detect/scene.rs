//! A prefix that rules concern, with every path of it that counts now: what detectors about watched prefixes look at.
//! Support is what the tables hold: a path that is withdrawn, replaced or whose session ended is not in the scene, so
//! nothing here can forget to take it back.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    settings::{Settings, VantagesMin, WatchPrefix},
    watch::{Relation, Watch},
    world::World,
};
use crate::{
    rib::{NlriRef, Path, PathFlags, SessionSlot, SetFacts},
    types::{Asn, Family, Prefix, Timestamp},
    validation::{OriginState, PathState},
    view::observed::{LOCAL_SLOT, Observed, Vantage, VantageClass},
    wire::bgp::{as_path::AsPath, attribute::AttrSet},
};

/// A path as received, and who sent it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Slot of the session.
    pub session: SessionSlot,
    /// Who sent it.
    pub vantage: &'a Arc<Vantage>,
    /// Its attributes.
    pub attrs: AttrSet<'a>,
    /// Facts about them.
    pub facts: &'a SetFacts,
    /// Marks.
    pub flags: PathFlags,
    /// When it came, seconds since the Unix epoch.
    pub received_secs: u32,
}

impl<'a> Seen<'a> {
    pub(super) fn new(seen: &Observed<'a>, path: &Path) -> Option<Self> {
        let vantage = seen.vantage(path.session)?;
        let received = seen.rib.attrs.received(path.set);
        Some(Self {
            session: path.session,
            vantage,
            attrs: seen.rib.attrs.get(received),
            facts: seen.rib.attrs.facts(received),
            flags: path.flags,
            received_secs: path.received_secs,
        })
    }

    /// Its AS_PATH.
    pub fn path(&self) -> AsPath<'a> {
        self.attrs.as_path()
    }

    /// ASes that may be its origin: one, or all of an AS_SET; the sender's AS for an empty path.
    pub fn origins(&self) -> Vec<Asn> {
        match self.facts.origin_asn() {
            Some(asn) => vec![asn],
            None => match self.path().segments().last() {
                Some(segment) => segment.asns().collect(),
                None => vec![self.vantage.asn],
            },
        }
    }

    /// The AS that shows it to us: the first of the path, so that two sessions with one AS are one view.
    pub fn vantage_asn(&self) -> Asn {
        self.facts.neighbor_asn().filter(|_| !self.vantage.internal).unwrap_or(self.vantage.asn)
    }

    /// Kept over a session loss and not confirmed since.
    pub fn is_stale(&self) -> bool {
        self.flags.has(PathFlags::STALE) || self.flags.has(PathFlags::LLGR_STALE)
    }

    /// Whether we originate it.
    pub fn is_local(&self) -> bool {
        self.session == LOCAL_SLOT
    }

    /// What RPKI says of its origin.
    pub fn validity(&self) -> OriginState {
        OriginState::from_code(self.flags.validity().0)
    }

    /// What ASPA says of its path.
    pub fn aspa(&self) -> PathState {
        PathState::from_code(self.flags.validity().1)
    }
}

/// A prefix with all its paths.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The time.
    pub now: Timestamp,
    /// The prefix.
    pub prefix: Prefix,
    /// Its paths that count, by session.
    pub seen: Vec<Seen<'a>>,
    /// How the nearest rule concerns it.
    pub relation: Relation,
    /// All rules.
    pub watch: &'a Watch,
    /// All settings.
    pub settings: &'a Settings,
    /// Sessions.
    pub world: &'a World,
    /// The tables, and what RPKI says.
    pub observed: &'a Observed<'a>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        observed: &'a Observed<'a>,
        prefix: Prefix,
        relation: Relation,
        (watch, settings, world): (&'a Watch, &'a Settings, &'a World),
    ) -> Self {
        let seen = paths(observed, prefix);
        Self { now: observed.now, prefix, seen, relation, watch, settings, world, observed }
    }

    /// The family of the prefix.
    pub fn family(&self) -> Family {
        family_of(self.prefix)
    }

    /// The rule for exactly this prefix.
    pub fn rule(&self) -> Option<&'a WatchPrefix> {
        self.watch.rule(self.prefix)
    }

    /// The rule that is nearest: the one for this prefix, else the most specific around it, else the first inside.
    pub fn nearest(&self) -> Option<&'a WatchPrefix> {
        self.rule().or_else(|| self.watch.parent(self.prefix)).or_else(|| self.watch.inside(self.prefix).next())
    }

    /// Whether these paths are seen from enough places to be believed.
    pub fn enough(&self, paths: &[&Seen<'_>]) -> bool {
        is_enough(&self.settings.vantages_min, paths.iter().map(|seen| (seen.vantage.class, seen.vantage_asn())))
    }
}

/// Whether any class of vantage has as many ASes as it must.
pub fn is_enough(least: &VantagesMin, views: impl Iterator<Item = (VantageClass, Asn)>) -> bool {
    let mut by_class: [BTreeSet<Asn>; 3] = Default::default();
    for (class, asn) in views {
        by_class[class as usize].insert(asn);
    }
    let least = [least.own, least.route_server, least.public];
    by_class.iter().zip(least).any(|(seen, least)| !seen.is_empty() && seen.len() >= least)
}

/// Unicast of the prefix's address family.
pub fn family_of(prefix: Prefix) -> Family {
    if prefix.is_v4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST }
}

/// The paths of a prefix that count, by session.
pub fn paths<'a>(observed: &Observed<'a>, prefix: Prefix) -> Vec<Seen<'a>> {
    let Some(table) = observed.rib.tables.get(family_of(prefix)) else { return Vec::new() };
    let Some(id) = table.find(NlriRef::Prefix(prefix)) else { return Vec::new() };
    let counting = table.paths(id).iter().filter(|path| observed.counts(path.session));
    counting.filter_map(|path| Seen::new(observed, path)).collect()
}

/// Names of the neighbours that sent these paths, sorted, each once.
pub fn names(paths: &[&Seen<'_>]) -> Vec<Arc<str>> {
    let names: BTreeSet<&Arc<str>> = paths.iter().map(|seen| &seen.vantage.name).collect();
    names.into_iter().cloned().collect()
}

/// Most paths that evidence shows; the others are counted.
pub const EVIDENCE_PATHS_MAX: usize = 10;

/// Paths as evidence: who shows which AS path since when.
pub fn as_evidence(paths: &[&Seen<'_>]) -> Value {
    let shown = paths.iter().take(EVIDENCE_PATHS_MAX).map(|seen| {
        json!({
            "neighbor": seen.vantage.name.as_ref(),
            "vantage": seen.vantage.class.name(),
            "as_path": seen.path().to_string(),
            "since": Timestamp::from_secs(u64::from(seen.received_secs)).to_string(),
            "validation": seen.validity().name(),
            "stale": seen.is_stale(),
        })
    });
    Value::Array(shown.collect())
}
