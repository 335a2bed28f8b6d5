//! Community sets: single communities sorted by kind, and patterns beside them.

use crate::{
    policy::community::{AnyCommunity, CommunityPattern},
    wire::bgp::{
        attribute::AttrSet,
        community::{Community, ExtCommunity, Ipv6ExtCommunity, LargeCommunity},
    },
};

/// A compiled community set.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct CommunitySet {
    standard: Vec<Community>,
    large: Vec<LargeCommunity>,
    extended: Vec<ExtCommunity>,
    ipv6_extended: Vec<Ipv6ExtCommunity>,
    /// Those that name more than one community.
    patterns: Vec<CommunityPattern>,
}

impl CommunitySet {
    /// Compiles members, in any order.
    pub fn new(members: impl IntoIterator<Item = CommunityPattern>) -> Self {
        let mut set = Self::default();
        for member in members {
            match member.single() {
                Some(AnyCommunity::Standard(community)) => set.standard.push(community),
                Some(AnyCommunity::Large(community)) => set.large.push(community),
                Some(AnyCommunity::Extended(community)) => set.extended.push(community),
                Some(AnyCommunity::Ipv6Extended(community)) => set.ipv6_extended.push(community),
                None => set.patterns.push(member),
            }
        }
        set.sorted()
    }

    /// What is in any of `sets`.
    pub fn union<'a>(sets: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut union = Self::default();
        for set in sets {
            union.standard.extend_from_slice(&set.standard);
            union.large.extend_from_slice(&set.large);
            union.extended.extend_from_slice(&set.extended);
            union.ipv6_extended.extend_from_slice(&set.ipv6_extended);
            union.patterns.extend_from_slice(&set.patterns);
        }
        union.sorted()
    }

    fn sorted(mut self) -> Self {
        self.standard.sort_unstable();
        self.standard.dedup();
        self.large.sort_unstable();
        self.large.dedup();
        self.extended.sort_unstable();
        self.extended.dedup();
        self.ipv6_extended.sort_unstable();
        self.ipv6_extended.dedup();
        self.patterns.sort_unstable();
        self.patterns.dedup();
        self
    }

    /// Whether no community is in it.
    pub fn is_empty(&self) -> bool {
        let extended = self.extended.is_empty() && self.ipv6_extended.is_empty();
        self.standard.is_empty() && self.large.is_empty() && extended && self.patterns.is_empty()
    }

    /// Whether a standard community is in it.
    pub fn contains_standard(&self, community: Community) -> bool {
        self.standard.binary_search(&community).is_ok()
            || self.patterns.iter().any(|pattern| pattern.fits_standard(community))
    }

    /// Whether a large community is in it.
    pub fn contains_large(&self, community: LargeCommunity) -> bool {
        self.large.binary_search(&community).is_ok()
            || self.patterns.iter().any(|pattern| pattern.fits_large(community))
    }

    /// Whether an extended community is in it.
    pub fn contains_extended(&self, community: ExtCommunity) -> bool {
        self.extended.binary_search(&community).is_ok()
            || self.patterns.iter().any(|pattern| pattern.fits_extended(community))
    }

    /// Whether an extended community of an IPv6 address is in it.
    pub fn contains_ipv6_extended(&self, community: Ipv6ExtCommunity) -> bool {
        self.ipv6_extended.binary_search(&community).is_ok()
            || self.patterns.iter().any(|pattern| pattern.fits_ipv6_extended(community))
    }

    /// Whether the route has a community of this set.
    pub fn any_of(&self, attrs: AttrSet<'_>) -> bool {
        attrs.communities().any(|community| self.contains_standard(community))
            || attrs.large_communities().any(|community| self.contains_large(community))
            || attrs.ext_communities().any(|community| self.contains_extended(community))
            || attrs.ipv6_ext_communities().any(|community| self.contains_ipv6_extended(community))
    }

    /// Whether for each member of this set the route has a community that fits it.
    pub fn all_of(&self, attrs: AttrSet<'_>) -> bool {
        self.standard.iter().all(|member| attrs.communities().any(|community| community == *member))
            && self.large.iter().all(|member| attrs.large_communities().any(|community| community == *member))
            && self.extended.iter().all(|member| attrs.ext_communities().any(|community| community == *member))
            && self.ipv6_extended.iter().all(|member| attrs.ipv6_ext_communities().any(|other| other == *member))
            && self.patterns.iter().all(|pattern| {
                attrs.communities().any(|community| pattern.fits_standard(community))
                    || attrs.large_communities().any(|community| pattern.fits_large(community))
                    || attrs.ext_communities().any(|community| pattern.fits_extended(community))
                    || attrs.ipv6_ext_communities().any(|community| pattern.fits_ipv6_extended(community))
            })
    }
}
