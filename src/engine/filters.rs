//! Outbound route filters: neighbours say by address prefixes what they want to be sent (RFC 5291, RFC 5292), and it is
//! one more filter of what they are sent, behind export policy.
//!
//! # What the RFCs ask
//! 1. RFC 5291 §6: where both agreed on filters in a family, no route of it is sent before the first ROUTE-REFRESH that
//!    asks for some.
//! 2. §6: entries are added, removed, or all removed; IMMEDIATE has the routes that this concerns sent again, DEFER
//!    leaves that to a later request.
//! 3. RFC 5292 §4: of the entries that match a prefix the one with the smallest sequence number decides; what none
//!    matches is denied. Without entries everything passes.
//!
//! # What we do
//! 1. Until then the filter lets nothing pass, and End-of-RIB is not due.
//! 2. The filter in force is part of the key of the neighbour's update group: another filter is another key, and what
//!    differs is sent as with any change of policy (`export/regroup`), no more. A neighbour has a group of its own as long as
//!    it has entries that nobody else has.
//! 3. Entries are compiled once per change: by prefix, the rules that say something, in order. A question looks at the
//!    lengths that occur, at most 33 or 129 of them.
//!
//! An entry with the number of another one takes its place: numbers order entries, and two with the same are no order.
//! Entries are bounded per family (`PeerSettings::filter_entries_max`); those above are refused and counted, and one line
//! in the log says so. A filter that lacks entries may pass more or less than was meant; that it is incomplete is shown.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    rib::NlriRef,
    types::{Family, PeerId, Prefix},
    view::FilterCounts,
    wire::bgp::orf::{OrfChange, OrfEntry, OrfMatch, OrfRefresh, WhenToRefresh},
};

use super::{Action, Engine};

/// What a neighbour lets pass in one family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Filtering {
    /// Nothing yet: its first request has not come.
    Awaited,
    /// What these entries permit.
    Entries(Arc<PrefixFilter>),
}

impl Filtering {
    /// Whether a route with this NLRI passes. Only families of plain prefixes have filters.
    pub fn passes(&self, nlri: NlriRef<'_>) -> bool {
        match (self, nlri) {
            (Self::Awaited, _) => false,
            (Self::Entries(filter), NlriRef::Prefix(prefix)) => filter.permits(&prefix),
            (Self::Entries(_), NlriRef::Opaque(_)) => true,
        }
    }
}

/// The filter that a neighbour gave us in one family.
#[derive(Debug)]
pub struct NeighborFilter {
    /// Which family.
    pub family: Family,
    /// Entries by sequence number.
    entries: BTreeMap<u32, OrfEntry>,
    /// Entries that were refused, since there were too many.
    refused: u64,
    /// What holds; `None`: everything passes.
    in_force: Option<Filtering>,
    /// The entries are to be in force, and are not compiled yet.
    due: bool,
}

impl NeighborFilter {
    /// Of a session that has just come up.
    pub fn awaited(family: Family) -> Self {
        Self { family, entries: BTreeMap::new(), refused: 0, in_force: Some(Filtering::Awaited), due: false }
    }

    /// What holds; `None`: everything passes.
    pub fn in_force(&self) -> Option<&Filtering> {
        self.in_force.as_ref()
    }

    /// Puts the entries in force where that is due. Apart from taking them: a neighbour that sends thousands of changes in
    /// a row has them compiled once.
    pub fn renew(&mut self) {
        if std::mem::take(&mut self.due) {
            let filter = || Filtering::Entries(Arc::new(PrefixFilter::new(self.entries.values().copied())));
            self.in_force = (!self.entries.is_empty()).then(filter);
        }
    }

    /// For people.
    pub fn counts(&self) -> FilterCounts {
        let awaited = self.in_force == Some(Filtering::Awaited) && !self.due;
        FilterCounts { awaited, entries: self.entries.len() as u64, refused: self.refused }
    }

    /// Does one change; false when an entry was refused.
    fn change(&mut self, change: OrfChange, entries_max: usize) -> bool {
        match change {
            OrfChange::Add(entry) => {
                if self.entries.len() >= entries_max && !self.entries.contains_key(&entry.sequence) {
                    self.refused += 1;
                    return false;
                }
                self.entries.insert(entry.sequence, entry);
            }
            OrfChange::Remove(entry) => {
                if self.entries.get(&entry.sequence) == Some(&entry) {
                    self.entries.remove(&entry.sequence);
                }
            }
            OrfChange::RemoveAll => {
                self.entries.clear();
                self.refused = 0; // whatever was refused would be gone, too
            }
        }
        true
    }
}

impl Engine {
    /// The neighbour sent ROUTE-REFRESH with entries.
    pub(super) fn take_filter(&mut self, peer: PeerId, refresh: OrfRefresh, out: &mut Vec<Action>) {
        let Some(slot) = self.sessions.slot_of(peer) else { return };
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let entries_max = session.settings.filter_entries_max;
        let Some(filter) = session.filters.iter_mut().find(|filter| filter.family == refresh.family) else { return };
        let mut complete = true;
        for change in refresh.changes {
            complete &= filter.change(change, entries_max);
        }
        let immediate = refresh.when == WhenToRefresh::Immediate;
        filter.due |= immediate;
        if !complete && !std::mem::replace(&mut session.warned_filter, true) {
            let family = refresh.family;
            let text =
                format!("its route filter for {family} has more than {entries_max} entries: the rest is refused");
            out.push(Action::Warn { peer, text });
        }
        if immediate {
            self.regroup(slot);
        }
    }

    /// The neighbour asked for the routes of a family, without entries: those that it gave before are in force now. True
    /// when nothing was sent before that could be sent again.
    pub(super) fn enforce_filter(&mut self, slot: super::sessions::Slot, family: Family) -> bool {
        let Some(session) = self.sessions.get_mut(slot) else { return false };
        let Some(filter) = session.filters.iter_mut().find(|filter| filter.family == family) else { return false };
        let first = filter.counts().awaited;
        filter.due = true;
        self.regroup(slot);
        first
    }
}

/// What entries say of a length, in order of sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Rule {
    sequence: u32,
    permits: bool,
    min_len: u8,
    max_len: u8,
}

/// Compiled entries.
#[derive(PartialEq, Eq, Debug)]
pub struct PrefixFilter {
    /// Rules by the prefix that covers what they match, in order of prefix; of each those that decide anything.
    rules: Vec<(Prefix, Vec<Rule>)>,
    /// Lengths of those prefixes, ascending.
    lens: Vec<u8>,
}

impl PrefixFilter {
    /// Compiles entries, which come in order of sequence number.
    fn new(entries: impl Iterator<Item = OrfEntry>) -> Self {
        let mut by_prefix: BTreeMap<Prefix, (Vec<Rule>, [bool; 129])> = BTreeMap::new();
        for entry in entries {
            let (rules, decided) = by_prefix.entry(entry.prefix).or_insert_with(|| (Vec::new(), [false; 129]));
            // At most one rule per length is kept, however many entries there are.
            let lens = decided.get_mut(usize::from(entry.min_len)..=usize::from(entry.max_len)).unwrap_or_default();
            if lens.iter().any(|decided| !decided) {
                let OrfEntry { sequence, min_len, max_len, .. } = entry;
                rules.push(Rule { sequence, permits: entry.decision == OrfMatch::Permit, min_len, max_len });
            }
            lens.fill(true);
        }
        let mut lens: Vec<u8> = by_prefix.keys().map(Prefix::len).collect();
        lens.sort_unstable();
        lens.dedup();
        Self { rules: by_prefix.into_iter().map(|(prefix, (rules, _))| (prefix, rules)).collect(), lens }
    }

    /// Whether a route of `prefix` may be sent.
    fn permits(&self, prefix: &Prefix) -> bool {
        let mut first: Option<&Rule> = None;
        for &len in self.lens.iter().take_while(|len| **len <= prefix.len()) {
            let covering = match *prefix {
                Prefix::V4 { addr, .. } => Prefix::v4(addr, len),
                Prefix::V6 { addr, .. } => Prefix::v6(addr, len),
            };
            let Ok(at) = self.rules.binary_search_by(|(of, _)| of.cmp(&covering)) else { continue };
            let rules = self.rules.get(at).map_or(&[][..], |(_, rules)| rules);
            let matching = rules.iter().find(|rule| (rule.min_len..=rule.max_len).contains(&prefix.len()));
            first = [first, matching].into_iter().flatten().min_by_key(|rule| rule.sequence);
        }
        first.is_some_and(|rule| rule.permits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(sequence: u32, permits: bool, prefix: &str, min_len: u8, max_len: u8) -> OrfEntry {
        let decision = if permits { OrfMatch::Permit } else { OrfMatch::Deny };
        OrfEntry { sequence, decision, prefix: prefix.parse().unwrap(), min_len, max_len }
    }

    #[test]
    fn the_entry_with_the_smallest_number_decides_and_what_none_matches_is_denied() {
        let entries = [
            entry(5, false, "10.1.0.0/16", 16, 32),
            entry(10, true, "10.0.0.0/8", 8, 24),
            entry(15, true, "10.1.1.0/24", 24, 24),
            entry(20, true, "192.0.2.0/24", 24, 24),
            entry(25, false, "0.0.0.0/0", 0, 32),
            entry(30, true, "203.0.113.0/24", 24, 24),
        ];
        let filter = PrefixFilter::new(entries.into_iter());
        // RFC 5292 §4.
        let rows = [
            ("10.0.0.0/8", true),
            ("10.2.3.0/24", true),
            ("10.2.3.0/25", false), // too long for 10
            ("10.1.1.0/24", false), // 5 comes before 15
            ("192.0.2.0/24", true),
            ("192.0.2.0/25", false),
            ("203.0.113.0/24", false), // 25 comes before 30
        ];
        for (prefix, permitted) in rows {
            assert_eq!(filter.permits(&prefix.parse().unwrap()), permitted, "{prefix}");
        }
        let other = PrefixFilter::new([entry(1, true, "2001:db8::/32", 32, 128)].into_iter());
        assert!(other.permits(&"2001:db8:1::/48".parse().unwrap()) && !other.permits(&"2001::/16".parse().unwrap()));
    }

    #[test]
    fn entries_are_added_replaced_removed_and_refused() {
        let mut filter = NeighborFilter::awaited(Family::IPV4_UNICAST);
        let one = entry(5, true, "10.0.0.0/8", 8, 24);
        assert!(filter.change(OrfChange::Add(one), 2));
        assert!(filter.change(OrfChange::Add(OrfEntry { sequence: 6, ..one }), 2));
        assert!(!filter.change(OrfChange::Add(OrfEntry { sequence: 7, ..one }), 2));
        assert!(filter.change(OrfChange::Add(OrfEntry { max_len: 8, ..one }), 2), "it takes the place of the other");
        assert_eq!(filter.counts(), FilterCounts { awaited: true, entries: 2, refused: 1 });
        filter.change(OrfChange::Remove(one), 2);
        assert_eq!(filter.entries.len(), 2, "it is not the same any more");
        filter.change(OrfChange::Remove(OrfEntry { max_len: 8, ..one }), 2);
        assert_eq!(filter.entries.len(), 1);
        filter.change(OrfChange::RemoveAll, 2);
        filter.due = true;
        filter.renew();
        assert_eq!((filter.in_force(), filter.counts()), (None, FilterCounts::default()));
    }

    fn any_entry() -> impl Strategy<Value = OrfEntry> {
        let lens = (0u8..=10)
            .prop_flat_map(|len| (Just(len), len..=32))
            .prop_flat_map(|(len, min)| (Just(len), Just(min), min..=32));
        (0u32..50, any::<bool>(), 0u32..16, lens).prop_map(|(sequence, permit, address, (len, min_len, max_len))| {
            let decision = if permit { OrfMatch::Permit } else { OrfMatch::Deny };
            OrfEntry { sequence, decision, prefix: Prefix::v4(address << 28, len), min_len, max_len }
        })
    }

    proptest! {
        #[test]
        fn a_compiled_filter_says_what_its_entries_say_one_by_one(
            entries in prop::collection::btree_map(0u32..50, any_entry(), 0..40),
            asked in prop::collection::vec((0u32..16, 0u8..=32), 20),
        ) {
            let entries = entries.into_iter().map(|(sequence, entry)| OrfEntry { sequence, ..entry });
            let entries: Vec<OrfEntry> = entries.collect();
            let filter = PrefixFilter::new(entries.iter().copied());
            for (address, len) in asked {
                let prefix = Prefix::v4(address << 28, len);
                let first = entries.iter().find(|entry| entry.matches(&prefix));
                prop_assert_eq!(filter.permits(&prefix), first.is_some_and(|entry| entry.decision == OrfMatch::Permit));
            }
        }
    }
}
