//! What statements ask, compiled: by what the answer depends on. A question about the session is asked once per route,
//! one about attributes once per attribute set, one about the prefix for each prefix.

use std::{
    hash::{BuildHasher, Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use super::{
    context::{AspaState, Context, PerPrefix, Route, Validation},
    definitions::RouteType,
    sets::{as_path::AsPathSet, asn::AsSet, community::CommunitySet, neighbor::NeighborSet, prefix::PrefixSet},
    values::{MaybeNumber, NumberRange},
};
use crate::{
    rib::{SetFacts, Source},
    types::{Family, Role},
    wire::bgp::attribute::{AttrSet, Origin},
};

/// A value with the hash of its content, so that large ones are unequal at once and hash at once.
#[derive(Clone, Debug)]
pub(super) struct Digested<T> {
    value: T,
    digest: u64,
}

impl<T: Hash> Digested<T> {
    pub(super) fn new(value: T) -> Self {
        let digest = foldhash::quality::FixedState::with_seed(0).hash_one(&value);
        Self { value, digest }
    }
}

impl<T> Deref for Digested<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Digested<T> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || (self.digest == other.digest && self.value == other.value)
    }
}

impl<T: Eq> Eq for Digested<T> {}

impl<T> Hash for Digested<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// Sets of which any may hold what is asked.
type AnyOf<T> = Vec<Arc<Digested<T>>>;

/// One question.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Test {
    /// The answer is the same for all prefixes and attribute sets of a session.
    Session(SessionTest),
    /// The answer depends on attributes.
    Set(SetTest),
    /// The answer depends on the prefix.
    Prefix(PrefixTest),
}

/// A question about where a route comes from or goes to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum SessionTest {
    Family(Vec<Family>),
    Neighbor(AnyOf<NeighborSet>),
    From(AnyOf<NeighborSet>),
    NeighborRole(Vec<Role>),
    FromRole(Vec<Role>),
    RouteType(Vec<RouteType>),
}

/// A question about attributes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum SetTest {
    NextHop(AnyOf<PrefixSet>),
    PathLength(Vec<NumberRange>),
    AsPath(AnyOf<AsPathSet>),
    OriginAs(AnyOf<AsSet>),
    NeighborAs(AnyOf<AsSet>),
    CommunityAny(AnyOf<CommunitySet>),
    CommunityAll(AnyOf<CommunitySet>),
    CommunityCount(Vec<NumberRange>),
    LargeCommunityCount(Vec<NumberRange>),
    ExtCommunityCount(Vec<NumberRange>),
    Med(Vec<MaybeNumber>),
    LocalPref(Vec<MaybeNumber>),
    Origin(Vec<Origin>),
    HasAsSet,
}

/// A question about the prefix, or about what validation says of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum PrefixTest {
    Prefix(AnyOf<PrefixSet>),
    Validation(Vec<Validation>),
    Aspa(Vec<AspaState>),
}

impl SessionTest {
    pub(super) fn holds(&self, context: &Context, route: &Route<'_>) -> bool {
        match self {
            Self::Family(families) => families.contains(&route.family),
            Self::Neighbor(sets) => sets.iter().any(|set| set.contains(&context.neighbor)),
            Self::From(sets) => route.from.is_some_and(|from| sets.iter().any(|set| set.contains(from))),
            Self::NeighborRole(roles) => context.neighbor.role.is_some_and(|role| roles.contains(&role)),
            Self::FromRole(roles) => route.from.and_then(|from| from.role).is_some_and(|role| roles.contains(&role)),
            Self::RouteType(types) => types.contains(&route_type(route.source)),
        }
    }

    /// Whether it asks about the neighbour that the session is with.
    pub(super) fn looks_at_neighbor(&self) -> bool {
        matches!(self, Self::Neighbor(_) | Self::NeighborRole(_))
    }

    /// Whether it asks about the neighbour that sent the route.
    pub(super) fn looks_at_source(&self) -> bool {
        matches!(self, Self::From(_) | Self::FromRole(_))
    }
}

/// A member AS of our confederation counts as internal (RFC 5065 §5.3).
fn route_type(source: Source) -> RouteType {
    match source {
        Source::Local => RouteType::Local,
        Source::External => RouteType::External,
        _ => RouteType::Internal,
    }
}

impl SetTest {
    pub(super) fn holds(&self, set: AttrSet<'_>, facts: &SetFacts) -> bool {
        let counted = |ranges: &[NumberRange], count: usize| {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            ranges.iter().any(|range| range.contains(count))
        };
        match self {
            Self::NextHop(sets) => {
                set.next_hop().is_some_and(|next_hop| sets.iter().any(|set| set.covers(next_hop.global)))
            }
            Self::PathLength(ranges) => counted(ranges, facts.path_length().into()),
            Self::AsPath(sets) => sets.iter().any(|expressions| expressions.matches(set.as_path())),
            Self::OriginAs(sets) => facts.origin_asn().is_some_and(|asn| sets.iter().any(|set| set.contains(asn))),
            Self::NeighborAs(sets) => facts.neighbor_asn().is_some_and(|asn| sets.iter().any(|set| set.contains(asn))),
            Self::CommunityAny(sets) => sets.iter().any(|communities| communities.any_of(set)),
            Self::CommunityAll(sets) => sets.iter().all(|communities| communities.all_of(set)),
            Self::CommunityCount(ranges) => counted(ranges, set.communities().len()),
            Self::LargeCommunityCount(ranges) => counted(ranges, set.large_communities().len()),
            Self::ExtCommunityCount(ranges) => counted(ranges, set.ext_communities().len()),
            Self::Med(asked) => asked.iter().any(|asked| asked.fits(facts.med())),
            Self::LocalPref(asked) => asked.iter().any(|asked| asked.fits(facts.local_pref())),
            Self::Origin(origins) => origins.iter().any(|origin| *origin as u8 == facts.origin_code()),
            Self::HasAsSet => facts.has_as_set(),
        }
    }
}

impl PrefixTest {
    #[inline]
    pub(super) fn holds(&self, asked: &PerPrefix) -> bool {
        match self {
            Self::Prefix(sets) => asked.prefix.is_some_and(|prefix| sets.iter().any(|set| set.contains(prefix))),
            Self::Validation(states) => states.contains(&asked.validation),
            Self::Aspa(states) => states.contains(&asked.aspa),
        }
    }
}
