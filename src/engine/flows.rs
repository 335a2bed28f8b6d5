//! Which flow specifications may be chosen: each is held against the unicast routes for its destination.
//!
//! # What the RFCs ask
//! RFC 8955 §6, for IPv6 RFC 8956 §5, both with RFC 9117 §4. A flow specification is feasible if and only if
//! 1. (a) it has a destination prefix, in IPv6 with offset 0;
//! 2. (b) its originator is that of the best unicast route for that prefix, the longest one that covers it; or, from inside
//!    our AS, it was made there: its AS_PATH is empty or has confederation segments only (RFC 9117 §4.1);
//! 3. (c) no unicast route for a more specific prefix was received from another neighbouring AS than that route.
//! 4. From EBGP, its first AS is that of the best unicast route (RFC 9117 §4.2).
//! 5. When unicast routes change, it is judged again.
//!
//! # What we do
//! 1. to 4. The same, of sessions that have `flowspec_validation`: by default those with other ASes, since a controller or
//!    a reflector inside the AS sends filters whose unicast routes it need not have. What is not feasible stays in
//!    Adj-RIB-In with the reason and is not chosen. Of 3 all eligible paths count, chosen or not; routes of our own count as
//!    those of another AS. A route without a unicast route to compare with cannot break 3.
//! 2. The originator is ORIGINATOR_ID, else the neighbour, known by its AS and BGP Identifier: the RFC's source address would
//!    make two routers of one that has a session over IPv4 and one over IPv6.
//! 5. Destinations stand in an index of their own, each with what its unicast routes say. A unicast prefix that changes is
//!    noted, and at the end of the wake-up it is looked up there: those inside it get their best match again, those around
//!    it ask this one prefix. Filters are judged again where the answer is another one. As long as nobody sends flow
//!    specifications, a unicast route costs one branch.
//!
//! VPN flow specifications (SAFI 134) are not validated: unicast routes of VPNs have no order by prefix here.

use std::collections::{BTreeSet, HashMap};

use rustc_hash::FxBuildHasher;

use crate::{
    rib::{AttrStore, NlriRef, Path, PathFlags, PrefixId, SessionFacts, SetId, Source, Table},
    types::{Asn, Family, Prefix, RouterId, Timestamp},
    wire::bgp::nlri::flowspec,
};

use super::{
    Engine,
    desk::Desk,
    import::{ImportRules, Judged, Unusable},
    sessions::Slot,
};

/// Destinations of flow specifications, and what unicast routes say of them.
#[derive(Debug)]
pub struct Flows {
    v4: Destinations,
    v6: Destinations,
    /// Unicast prefixes that changed since the last look.
    touched: Vec<Prefix>,
}

impl Default for Flows {
    fn default() -> Self {
        let of = |unicast, filters| Destinations { filters, index: Table::new(unicast, 0), known: HashMap::default() };
        Self {
            v4: of(Family::IPV4_UNICAST, Family::IPV4_FLOWSPEC),
            v6: of(Family::IPV6_UNICAST, Family::IPV6_FLOWSPEC),
            touched: Vec::new(),
        }
    }
}

/// Destinations of one address family.
#[derive(Debug)]
struct Destinations {
    /// Whose filters they are of.
    filters: Family,
    /// Numbers them in order of prefixes; holds no paths.
    index: Table,
    known: HashMap<PrefixId, Destination, FxBuildHasher>,
}

/// A destination.
#[derive(Debug)]
struct Destination {
    /// Filters with this destination, by their ids in their own table.
    filters: BTreeSet<PrefixId>,
    backing: Option<Backing>,
    /// A more specific prefix with a path from another neighbouring AS.
    conflict: Option<Prefix>,
}

/// What matters of the best unicast route for a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Backing {
    originator: Originator,
    first_as: Option<Asn>,
    /// The AS that it came from; `None`: our own.
    neighbor: Option<Asn>,
}

/// Who made a route known to us: AS (`None`: our own) and BGP Identifier.
type Originator = (Option<Asn>, RouterId);

/// The tables that destinations are held against.
struct World<'a> {
    unicast: Option<&'a Table>,
    attrs: &'a AttrStore,
    facts: &'a [SessionFacts],
}

impl World<'_> {
    /// The best unicast route for `destination`: of the longest prefix that covers it and has one.
    fn backing(&self, destination: Prefix) -> Option<Backing> {
        let table = self.unicast?;
        let mut best = table.covering(destination).filter_map(|id| table.best_path(id));
        best.find_map(|path| {
            let sender = self.sender(path)?;
            let received = self.attrs.received(path.set);
            Some(Backing {
                originator: originator(sender, self.attrs, received),
                first_as: self.attrs.facts(received).neighbor_asn(),
                neighbor: self.neighbor(sender, received),
            })
        })
    }

    /// A prefix more specific than `destination` with a path from another neighbouring AS.
    fn conflict(&self, destination: Prefix, backing: Backing) -> Option<Prefix> {
        let inside = self.unicast?.inside(destination, None);
        inside
            .filter_map(|(nlri, id)| Some((prefix(nlri)?, id)))
            .find_map(|(prefix, id)| (prefix != destination && self.differs(id, backing)).then_some(prefix))
    }

    fn conflicts(&self, prefix: Prefix, backing: Backing) -> bool {
        let id = self.unicast.and_then(|table| table.find(NlriRef::Prefix(prefix)));
        id.is_some_and(|id| self.differs(id, backing))
    }

    fn differs(&self, id: PrefixId, backing: Backing) -> bool {
        let paths = self.unicast.map_or(&[][..], |table| table.paths(id));
        let mut eligible = paths.iter().filter(|path| path.flags.is_eligible());
        eligible.any(|path| {
            let from = self.sender(path).map(|sender| self.neighbor(sender, self.attrs.received(path.set)));
            from.is_some_and(|neighbor| neighbor != backing.neighbor)
        })
    }

    /// Who sent a path; `None` once that session has ended.
    fn sender(&self, path: &Path) -> Option<&SessionFacts> {
        self.facts.get(usize::from(path.session)).filter(|facts| facts.usable)
    }

    fn neighbor(&self, sender: &SessionFacts, received: SetId) -> Option<Asn> {
        self.attrs.facts(received).neighbor_asn().or_else(|| other_as(sender))
    }
}

/// The sender's AS where it is not ours, or of our confederation.
fn other_as(sender: &SessionFacts) -> Option<Asn> {
    (sender.source == Source::External).then_some(sender.asn)
}

fn originator(sender: &SessionFacts, attrs: &AttrStore, received: SetId) -> Originator {
    let named = (sender.source != Source::External).then(|| attrs.get(received).originator_id()).flatten();
    (other_as(sender), named.unwrap_or(sender.router_id))
}

fn prefix(nlri: NlriRef<'_>) -> Option<Prefix> {
    match nlri {
        NlriRef::Prefix(prefix) => Some(prefix),
        NlriRef::Opaque(_) => None,
    }
}

/// Whether the routes of `family` are flow specifications that can be validated.
fn is_validated(family: Family) -> bool {
    matches!(family, Family::IPV4_FLOWSPEC | Family::IPV6_FLOWSPEC)
}

/// The destination of a filter that is one of a family with validation.
fn destination(family: Family, nlri: NlriRef<'_>) -> Option<Prefix> {
    match nlri {
        NlriRef::Opaque(key) if is_validated(family) => flowspec::destination(family, key),
        _ => None,
    }
}

impl Destinations {
    /// Makes the destination known, with what the routes say of it; nothing happens if it is.
    fn open(&mut self, destination: Prefix, world: &World<'_>) {
        let Some(id) = self.index.find_or_insert(NlriRef::Prefix(destination)) else { return };
        self.known.entry(id).or_insert_with(|| {
            let backing = world.backing(destination);
            let conflict = backing.and_then(|backing| world.conflict(destination, backing));
            Destination { filters: BTreeSet::new(), backing, conflict }
        });
    }

    fn get(&self, destination: Prefix) -> Option<&Destination> {
        self.known.get(&self.index.find(NlriRef::Prefix(destination))?)
    }

    fn get_mut(&mut self, destination: Prefix) -> Option<&mut Destination> {
        self.known.get_mut(&self.index.find(NlriRef::Prefix(destination))?)
    }

    /// Forgets the destination if no filter has it.
    fn close(&mut self, destination: Prefix) {
        if self.get(destination).is_some_and(|known| known.filters.is_empty())
            && let Some(id) = self.index.find(NlriRef::Prefix(destination))
        {
            self.known.remove(&id);
            self.index.free_if_empty(id);
        }
    }

    /// The unicast routes of `changed` are others now: adds the filters for which that is news to `due`.
    fn revise(&mut self, changed: Prefix, world: &World<'_>, due: &mut BTreeSet<PrefixId>) {
        for (nlri, id) in self.index.inside(changed, None) {
            let (Some(destination), Some(known)) = (prefix(nlri), self.known.get_mut(&id)) else { continue };
            let before = known.standing();
            let backing = world.backing(destination);
            let neighbor = |backing: Option<Backing>| backing.map(|backing| backing.neighbor);
            if neighbor(backing) != neighbor(known.backing) {
                known.conflict = backing.and_then(|backing| world.conflict(destination, backing));
            }
            known.backing = backing;
            known.tell(before, due);
        }
        for id in self.index.covering(changed) {
            let (Some(destination), Some(known)) = (prefix(self.index.nlri(id)), self.known.get_mut(&id)) else {
                continue;
            };
            let Some(backing) = known.backing.filter(|_| destination != changed) else { continue };
            let before = known.standing();
            match known.conflict {
                None => known.conflict = world.conflicts(changed, backing).then_some(changed),
                Some(other) if other == changed && !world.conflicts(changed, backing) => {
                    known.conflict = world.conflict(destination, backing);
                }
                Some(_) => {}
            }
            known.tell(before, due);
        }
    }
}

impl Destination {
    /// What filters are judged by.
    fn standing(&self) -> (Option<Backing>, bool) {
        (self.backing, self.conflict.is_some())
    }

    fn tell(&self, before: (Option<Backing>, bool), due: &mut BTreeSet<PrefixId>) {
        if self.standing() != before {
            due.extend(&self.filters);
        }
    }
}

impl Flows {
    /// Whether anybody is interested in changes of this family's routes.
    pub fn watches(&self, family: Family) -> bool {
        match family {
            Family::IPV4_UNICAST => !self.v4.known.is_empty(),
            Family::IPV6_UNICAST => !self.v6.known.is_empty(),
            _ => false,
        }
    }

    /// The paths of a unicast prefix changed.
    pub fn touch(&mut self, prefix: Prefix) {
        if self.touched.last() != Some(&prefix) {
            self.touched.push(prefix);
        }
    }

    /// The last path of a filter is gone.
    pub fn forget(&mut self, family: Family, nlri: NlriRef<'_>, id: PrefixId) {
        let Some(destination) = destination(family, nlri) else { return };
        let known = self.of(destination);
        if let Some(known) = known.get_mut(destination) {
            known.filters.remove(&id);
        }
        known.close(destination);
    }

    fn file(&mut self, family: Family, nlri: NlriRef<'_>, id: PrefixId) {
        let Some(destination) = destination(family, nlri) else { return };
        if let Some(known) = self.of(destination).get_mut(destination) {
            known.filters.insert(id);
        }
    }

    fn of(&mut self, destination: Prefix) -> &mut Destinations {
        if destination.is_v4() { &mut self.v4 } else { &mut self.v6 }
    }

    /// Why a filter from `sender` is not feasible; `None`: it is.
    fn verdict(
        &self,
        destination: Option<Prefix>,
        sender: &SessionFacts,
        attrs: &AttrStore,
        received: SetId,
    ) -> Option<Unusable> {
        let Some(destination) = destination else { return Some(Unusable::FlowWithoutDestination) };
        let known = if destination.is_v4() { &self.v4 } else { &self.v6 }.get(destination);
        let inside = sender.source != Source::External;
        let made_here = inside && attrs.facts(received).path_length() == 0;
        let Some((known, backing)) = known.and_then(|known| Some((known, known.backing?))) else {
            return (!made_here).then_some(Unusable::FlowWithoutRoute);
        };
        if !made_here && backing.originator != originator(sender, attrs, received) {
            return Some(Unusable::FlowOriginator);
        }
        let first_as = attrs.facts(received).neighbor_asn();
        if !inside && (first_as.is_none() || first_as != backing.first_as) {
            return Some(Unusable::FlowFirstAs);
        }
        known.conflict.map(|_| Unusable::FlowMoreSpecific)
    }
}

impl Desk<'_> {
    /// What import made of a filter of a session that asks for validation, with what unicast routes say of it. Its
    /// destination is known (`Engine::know_flows`). Routes of other families come out as they went in.
    pub fn validate_flow(&self, slot: Slot, nlri: NlriRef<'_>, received: SetId, judged: Judged) -> Judged {
        let asked = self.best_path && is_validated(self.table.family()) && judged.flags.is_eligible();
        let Some(sender) = self.facts.get(usize::from(slot)).filter(|_| asked) else { return judged };
        match self.flows.verdict(destination(self.table.family(), nlri), sender, self.attrs, received) {
            Some(why) => Judged { flags: judged.flags.with(PathFlags::UNUSABLE).with_detail(why as u8), ..judged },
            None => judged,
        }
    }

    /// Has a filter judged again when unicast routes for its destination change.
    pub fn watch_flow(&mut self, nlri: NlriRef<'_>) {
        if let Some(id) = self.table.find(nlri) {
            self.flows.file(self.table.family(), nlri, id);
        }
    }
}

impl Engine {
    /// Whether routes of a session with these rules are held against unicast routes.
    pub(super) fn validates(&self, rules: &ImportRules, family: Family) -> bool {
        is_validated(family) && rules.validates_flows && self.settings.best_path
    }

    /// Looks the destinations of filters up, so that they can be judged; to be closed again by `close_flows`.
    pub(super) fn know_flows<'k>(&mut self, family: Family, keys: impl Iterator<Item = &'k [u8]>) -> Vec<Prefix> {
        let opened: Vec<Prefix> = keys.filter_map(|key| destination(family, NlriRef::Opaque(key))).collect();
        let unicast = self.rib.tables.get(Family::new(family.afi, 1));
        let world = World { unicast, attrs: &self.rib.attrs, facts: &self.facts };
        opened.iter().for_each(|destination| self.flows.of(*destination).open(*destination, &world));
        opened
    }

    /// Forgets destinations for which no filter was filed after all.
    pub(super) fn close_flows(&mut self, opened: &[Prefix]) {
        opened.iter().for_each(|destination| self.flows.of(*destination).close(*destination));
    }

    /// Looks the destinations of filters in the tables up, and has the filters watched.
    pub(super) fn know_filed_flows(&mut self, family: Family, ids: &[PrefixId]) {
        let Some(table) = self.rib.tables.get(family) else { return };
        let unicast = self.rib.tables.get(Family::new(family.afi, 1));
        let world = World { unicast, attrs: &self.rib.attrs, facts: &self.facts };
        for &id in ids {
            let nlri = table.nlri(id);
            let Some(destination) = destination(family, nlri) else { continue };
            self.flows.of(destination).open(destination, &world);
            self.flows.file(family, nlri, id);
        }
    }

    /// Judges filters again whose unicast routes changed.
    pub(super) fn settle_flows(&mut self, now: Timestamp) {
        if self.flows.touched.is_empty() {
            return;
        }
        let mut touched = std::mem::take(&mut self.flows.touched);
        touched.sort_unstable();
        touched.dedup();
        let slots: Vec<Slot> =
            self.sessions.live().filter(|(_, session)| session.import.validates_flows).map(|(slot, _)| slot).collect();
        for (afi, is_v4) in [(1, true), (2, false)] {
            let unicast = self.rib.tables.get(Family::new(afi, 1));
            let world = World { unicast, attrs: &self.rib.attrs, facts: &self.facts };
            let known = if is_v4 { &mut self.flows.v4 } else { &mut self.flows.v6 };
            let mut due = BTreeSet::new();
            let changed = touched.iter().filter(|prefix| prefix.is_v4() == is_v4);
            changed.for_each(|prefix| known.revise(*prefix, &world, &mut due));
            let (family, due) = (known.filters, Vec::from_iter(due));
            if !due.is_empty() {
                self.rejudge(now, family, &slots, &due);
            }
        }
    }
}
