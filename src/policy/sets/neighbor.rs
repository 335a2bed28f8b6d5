//! Neighbour sets: by address, by prefix around the address, by name, group or AS.

use std::net::IpAddr;

use super::prefix::PrefixSet;
use crate::{
    policy::{
        context::NeighborFacts,
        values::{NeighborPattern, PrefixRange},
    },
    types::Asn,
};

/// A compiled neighbour set.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct NeighborSet {
    addresses: Vec<IpAddr>,
    inside: PrefixSet,
    names: Vec<String>,
    groups: Vec<String>,
    asns: Vec<Asn>,
}

impl NeighborSet {
    /// Compiles members, in any order.
    pub fn new<'a>(members: impl IntoIterator<Item = &'a NeighborPattern>) -> Self {
        let mut set = Self::default();
        let mut inside = Vec::new();
        for member in members {
            match member {
                NeighborPattern::Address(address) => set.addresses.push(address.to_canonical()),
                NeighborPattern::Inside(prefix) => inside.push(PrefixRange::exact(*prefix)),
                NeighborPattern::Name(name) => set.names.push(name.clone()),
                NeighborPattern::Group(group) => set.groups.push(group.clone()),
                NeighborPattern::Asn(asn) => set.asns.push(*asn),
            }
        }
        set.inside = PrefixSet::new(&inside);
        set.addresses.sort_unstable();
        set.names.sort_unstable();
        set.groups.sort_unstable();
        set.asns.sort_unstable();
        set
    }

    /// Whether `neighbor` is in the set.
    pub fn contains(&self, neighbor: &NeighborFacts) -> bool {
        let named = |list: &[String], name: &str| list.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
        self.addresses.binary_search(&neighbor.address.to_canonical()).is_ok()
            || self.asns.binary_search(&neighbor.asn).is_ok()
            || named(&self.names, &neighbor.name)
            || neighbor.group.as_ref().is_some_and(|group| named(&self.groups, group))
            || self.inside.covers(neighbor.address.to_canonical())
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        let lists = self.names.len() + self.groups.len();
        self.addresses.is_empty() && self.asns.is_empty() && lists == 0 && self.inside.is_empty()
    }
}
