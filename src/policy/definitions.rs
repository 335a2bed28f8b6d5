//! The settings of this room: named sets and policies as an operator wrote them, with the place of whatever can be at
//! fault. `config` fills them from TOML, `library` compiles them.

use std::{net::IpAddr, ops::Range};

use super::{
    community::{AnyCommunity, CommunityPattern},
    context::{AspaState, Validation},
    values::{AsnRange, MaybeNumber, NeighborPattern, NumberRange, PrefixRange},
};
use crate::{
    types::{Asn, Family, Prefix, Role},
    wire::bgp::attribute::Origin,
};

/// Where something stands in the text that definitions were read from, in octets.
pub type Span = Range<usize>;

/// A value and where it stands. Two are equal when their values are: a place is no part of the meaning.
#[derive(Clone, Debug)]
pub struct Marked<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T: PartialEq> PartialEq for Marked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Marked<T> {}

impl<T> Marked<T> {
    /// Marks a value.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// All that a configuration says about policy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Definitions {
    /// Prefix sets.
    pub prefix_sets: Vec<SetDefinition<PrefixRange>>,
    /// AS sets.
    pub as_sets: Vec<SetDefinition<AsnRange>>,
    /// AS-path sets: expressions.
    pub as_path_sets: Vec<SetDefinition<Marked<String>>>,
    /// Community sets.
    pub community_sets: Vec<SetDefinition<CommunityPattern>>,
    /// Neighbour sets.
    pub neighbor_sets: Vec<SetDefinition<NeighborPattern>>,
    /// Policies.
    pub policies: Vec<PolicyDefinition>,
}

/// A named set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetDefinition<T> {
    /// Its name.
    pub name: Marked<String>,
    /// Its members, in the order of the text.
    pub members: Vec<T>,
}

/// A policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyDefinition {
    /// Its name.
    pub name: Marked<String>,
    /// Its statements, in order.
    pub statements: Vec<StatementDefinition>,
}

/// A statement: what it matches, what it sets, what it decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatementDefinition {
    /// The whole statement.
    pub span: Span,
    /// Its name, if it has one.
    pub name: Option<Marked<String>>,
    /// All of them must hold; none matches every route.
    pub conditions: Vec<ConditionDefinition>,
    /// What it changes, each key at most once.
    pub actions: Vec<Marked<ActionDefinition>>,
    /// What it decides; `None`: the next statement is asked.
    pub ruling: Option<Marked<Ruling>>,
}

/// What a statement decides.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ruling {
    /// The route is accepted.
    Accept,
    /// The route is rejected.
    Reject,
    /// The rest of this policy is passed over.
    NextPolicy,
}

/// One key of `match`, or of its `not`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConditionDefinition {
    /// Place of its value.
    pub span: Span,
    /// It must not hold.
    pub negated: bool,
    /// What it asks.
    pub test: TestDefinition,
}

/// A member of a list in a condition: a value, or the name of a set of such values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetOr<T> {
    /// A set by its name.
    Named(Marked<String>),
    /// A value.
    Inline(T),
}

/// What a condition asks. Lists ask for any of their members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TestDefinition {
    /// The prefix is held.
    Prefix(Vec<SetOr<PrefixRange>>),
    /// The next hop is inside a prefix, or inside a prefix of a set; one address is the prefix of itself.
    NextHop(Vec<SetOr<Prefix>>),
    /// AS_PATH as the decision process counts it.
    PathLength(Vec<NumberRange>),
    /// AS_PATH by expressions.
    AsPath(Vec<SetOr<Marked<String>>>),
    /// The last AS of the path.
    OriginAs(Vec<SetOr<AsnRange>>),
    /// The first AS of the path outside a confederation.
    NeighborAs(Vec<SetOr<AsnRange>>),
    /// A community that is in the list.
    CommunityAny(Vec<SetOr<CommunityPattern>>),
    /// For each member of the list a community that fits it.
    CommunityAll(Vec<SetOr<CommunityPattern>>),
    /// No community that is in the list.
    CommunityNone(Vec<SetOr<CommunityPattern>>),
    /// How many standard communities.
    CommunityCount(Vec<NumberRange>),
    /// How many large communities.
    LargeCommunityCount(Vec<NumberRange>),
    /// How many extended communities.
    ExtCommunityCount(Vec<NumberRange>),
    /// MULTI_EXIT_DISC.
    Med(Vec<MaybeNumber>),
    /// LOCAL_PREF.
    LocalPref(Vec<MaybeNumber>),
    /// ORIGIN.
    Origin(Vec<Origin>),
    /// Address family.
    Family(Vec<Family>),
    /// The neighbour on the other end of the session.
    Neighbor(Vec<SetOr<NeighborPattern>>),
    /// The neighbour that the route came from.
    From(Vec<SetOr<NeighborPattern>>),
    /// What the neighbour on the other end is to us.
    NeighborRole(Vec<Role>),
    /// What the neighbour that the route came from is to us.
    FromRole(Vec<Role>),
    /// Where the route came from.
    RouteType(Vec<RouteType>),
    /// Origin validation.
    Validation(Vec<Validation>),
    /// ASPA verification.
    Aspa(Vec<AspaState>),
    /// Whether the path has an AS_SET (RFC 9774).
    HasAsSet(bool),
}

/// Where a route came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RouteType {
    /// A neighbour in another AS.
    External,
    /// A neighbour in our AS or our confederation.
    Internal,
    /// Originated here.
    Local,
}

impl RouteType {
    /// Every type, in the order of the words in messages.
    pub const ALL: [Self; 3] = [Self::External, Self::Internal, Self::Local];

    /// As in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Internal => "internal",
            Self::Local => "local",
        }
    }
}

/// What a statement changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ActionDefinition {
    /// Private ASNs (RFC 6996) are taken out of the path.
    StripPrivateAsns,
    /// ASes are put in front of the path.
    Prepend(Prepend),
    /// Communities of the kinds in the list are replaced by the list.
    SetCommunities(Vec<AnyCommunity>),
    /// Communities that fit are taken away.
    RemoveCommunities(Vec<SetOr<CommunityPattern>>),
    /// Communities are added where they are not there yet.
    AddCommunities(Vec<AnyCommunity>),
    /// LOCAL_PREF.
    LocalPref(u32),
    /// MULTI_EXIT_DISC.
    Med(MedChange),
    /// ORIGIN.
    Origin(Origin),
    /// Next hop.
    NextHop(NextHopChange),
    /// Weight: compared before LOCAL_PREF, never leaves this router.
    Weight(u16),
}

/// ASes in front of the path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Prepend {
    /// Which AS.
    pub who: PrependWho,
    /// How many times, at least once.
    pub times: u8,
}

/// Which AS is put in front of the path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PrependWho {
    /// Our AS towards the neighbour of the session.
    Own,
    /// The AS that stands leftmost; an empty path stays empty.
    LastAs,
    /// This one.
    Asn(Asn),
}

/// What becomes of MULTI_EXIT_DISC. An absent one counts as 0 (RFC 4271 §9.1.2.2 c); sums stay within 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MedChange {
    /// It is this.
    Set(u32),
    /// It grows.
    Add(u32),
    /// It shrinks.
    Subtract(u32),
    /// It is taken away.
    Remove,
}

/// What becomes of the next hop.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NextHopChange {
    /// Our address on the session.
    Own,
    /// The received one goes out, whatever the rules of export would make of it.
    Unchanged,
    /// This address.
    Address(IpAddr),
}

/// A fault in definitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Its place.
    pub span: Span,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// What to do about it.
    pub help: Help,
}

/// What to do about a fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Help {
    /// In words.
    Text(String),
    /// A name is not known; whoever prints it finds the nearest of those that are.
    Names {
        /// The name that is not known.
        wrong: String,
        /// Those that are.
        known: Vec<String>,
    },
}

impl Problem {
    pub(super) fn new(span: &Span, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span: span.clone(), what: what.into(), help: Help::Text(help.into()) }
    }
}
