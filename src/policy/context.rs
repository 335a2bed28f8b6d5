//! What a policy is told about: the session it stands on, the route, the prefix. Filled by the engine, and by
//! `ribwatch policy test` from a file.

use std::{net::IpAddr, sync::Arc};

use crate::{
    rib::{SetFacts, Source},
    types::{Asn, Family, PeerKind, Prefix, Role},
    wire::bgp::attribute::AttrSet,
};

/// Which way a route goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// From a neighbour, on its way from Adj-RIB-In to the decision.
    Import,
    /// To a neighbour, on its way from the Loc-RIB to Adj-RIB-Out.
    Export,
}

impl Direction {
    /// `import` or `export`, as the keys of a neighbour are called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Export => "export",
        }
    }
}

/// What policies ask about a neighbour.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NeighborFacts {
    /// Its address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: Asn,
    /// Its configured name; the address as text where it has none.
    pub name: Arc<str>,
    /// Its neighbour group.
    pub group: Option<Arc<str>>,
    /// In another AS, or in ours.
    pub kind: PeerKind,
    /// What *it* is to us (RFC 9234 §4.1), the counterpart of our configured `local_role`: `Customer` where it is our
    /// customer.
    pub role: Option<Role>,
}

/// What stays the same for all routes of one session in one direction.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Context {
    /// From the neighbour or to it.
    pub direction: Direction,
    /// The neighbour on the other end: who sent the route, or who is to get it. For an update group whose chain does
    /// not look at it ([`super::PolicyChain::looks_at_neighbor`]), any member.
    pub neighbor: NeighborFacts,
    /// Our AS towards the neighbour: what `prepend` puts in front.
    pub local_asn: Asn,
    /// Our end of the session: the next hop `self` on import.
    pub local_address: IpAddr,
}

/// A route without its prefix: all prefixes of one UPDATE, or of one attribute set, share it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route<'a> {
    /// Family of the prefixes.
    pub family: Family,
    /// Canonical attributes.
    pub set: AttrSet<'a>,
    /// Facts of `set`.
    pub facts: &'a SetFacts,
    /// Where it comes from.
    pub source: Source,
    /// The neighbour that sent it; `None`: originated here. On import the same as the context's.
    pub from: Option<&'a NeighborFacts>,
}

pub use crate::validation::{OriginState as Validation, PathState as AspaState};

/// What differs between the prefixes of a route.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PerPrefix {
    /// The prefix; `None` for a family without plain prefixes.
    pub prefix: Option<Prefix>,
    /// What origin validation says.
    pub validation: Validation,
    /// What ASPA verification says.
    pub aspa: AspaState,
}
