//! AS path verification with ASPAs (draft-ietf-sidrops-aspa-verification-22): does each AS on the path name the next
//! one as its provider, up from the origin and down to us, with at most one top between?
//!
//! # What the draft asks
//! 1. §5.1: `authorized(A, B)` is *No Attestation* when A has no ASPA, *Provider+* when its ASPA names B, else
//!    *Not Provider+*. Several ASPAs of one customer count together.
//! 2. §5.2: prepends are collapsed; a path with an AS_SET is Invalid, as is an empty one, and one whose most recent AS
//!    is not the neighbour's, unless the neighbour is a route server.
//! 3. §5.2, §5.3: the up-ramp is counted from the origin: its *maximum* ends at the first Not Provider+, its *minimum*
//!    at the first hop that is not Provider+. The down-ramp likewise from the neighbour's end.
//! 4. §5.4 upstream (from a customer, a lateral peer, or between route server and client): the maximum up-ramp must
//!    reach all N ASes, else Invalid; the minimum too, else Unknown.
//! 5. §5.5 downstream (from a provider): two ASes at most are Valid; the maximum ramps together must reach N, else
//!    Invalid; the minimum ramps too, else Unknown.
//!
//! # What we do
//! The same. Confederation segments are no part of the path that others see and are left out. Without any ASPA at all
//! nothing is judged: every path would be Unknown, which says nothing.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::{Aspa, PathState, SourceSet};
use crate::{
    types::{Asn, Role},
    wire::bgp::as_path::AsPath,
};

/// Which of the two procedures applies, seen from the neighbour that sent the route.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// It came up or sideways: from a customer, a peer, a route server or its client (§5.4).
    Upstream,
    /// It came down from a provider (§5.5).
    Downstream,
}

impl Direction {
    /// What our role towards the neighbour says (RFC 9234 §4.1): a customer hears from its provider.
    pub fn of(local_role: Role) -> Self {
        match local_role {
            Role::Customer => Self::Downstream,
            Role::Provider | Role::Peer | Role::RouteServer | Role::RouteServerClient => Self::Upstream,
        }
    }
}

/// What one AS attests about another (§5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hop {
    /// It has no ASPA.
    NoAttestation,
    /// It names the other as provider.
    Provider,
    /// It has an ASPA that does not name the other.
    NotProvider,
}

/// All ASPAs in force: each customer with its providers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AspaTable {
    customers: HashMap<Asn, (Box<[Asn]>, SourceSet), FxBuildHasher>,
}

/// Why a path is judged as it is: the hop that decided, where one did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Every hop is attested, or the path is too short to be wrong.
    Attested,
    /// The path is empty, has an AS_SET, or does not begin with the neighbour.
    Malformed,
    /// `customer` has an ASPA that does not name `provider`.
    NotProvider {
        /// Who attests.
        customer: Asn,
        /// Who is not named.
        provider: Asn,
    },
    /// `customer` has no ASPA, so its hop to `provider` can be neither proved nor disproved.
    NoAttestation {
        /// Who does not attest.
        customer: Asn,
        /// The other end of the hop.
        provider: Asn,
    },
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Attested => f.write_str("every hop is attested"),
            Self::Malformed => {
                f.write_str("the path is empty, has an AS_SET or does not begin with the neighbour's AS")
            }
            Self::NotProvider { customer, provider } => {
                write!(f, "AS{} attests its providers, and AS{} is none of them", customer.0, provider.0)
            }
            Self::NoAttestation { customer, provider } => {
                write!(f, "AS{} attests nothing, so whether AS{} is its provider is not known", customer.0, provider.0)
            }
        }
    }
}

impl AspaTable {
    /// A table of these; several of one customer count together.
    pub fn new(aspas: impl IntoIterator<Item = (Aspa, SourceSet)>) -> Self {
        let mut customers: HashMap<Asn, (Vec<Asn>, SourceSet), FxBuildHasher> = HashMap::default();
        for (aspa, source) in aspas {
            let (providers, sources) = customers.entry(aspa.customer).or_default();
            providers.extend(aspa.providers);
            *sources = sources.with(source);
        }
        let finish = |(customer, (mut providers, sources)): (Asn, (Vec<Asn>, SourceSet))| {
            providers.sort_unstable();
            providers.dedup();
            (customer, (providers.into_boxed_slice(), sources))
        };
        Self { customers: customers.into_iter().map(finish).collect() }
    }

    /// How many customers attest.
    pub fn len(&self) -> usize {
        self.customers.len()
    }

    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.customers.is_empty()
    }

    /// The providers of a customer and who says so; `None` when it attests nothing.
    pub fn providers(&self, customer: Asn) -> Option<(&[Asn], SourceSet)> {
        self.customers.get(&customer).map(|(providers, sources)| (&**providers, *sources))
    }

    /// All attestations, by customer.
    pub fn iter(&self) -> impl Iterator<Item = Aspa> {
        self.iter_with_sources().map(|(aspa, _)| aspa)
    }

    /// All attestations by customer, with who says each.
    pub fn iter_with_sources(&self) -> impl Iterator<Item = (Aspa, SourceSet)> {
        let mut all: Vec<(Aspa, SourceSet)> = self
            .customers
            .iter()
            .map(|(customer, (providers, sources))| {
                (Aspa { customer: *customer, providers: providers.to_vec() }, *sources)
            })
            .collect();
        all.sort_unstable_by_key(|(aspa, _)| aspa.customer);
        all.into_iter()
    }

    /// What `customer` attests about `other` (§5.1).
    pub fn hop(&self, customer: Asn, other: Asn) -> Hop {
        match self.customers.get(&customer) {
            None => Hop::NoAttestation,
            Some((providers, _)) if providers.binary_search(&other).is_ok() => Hop::Provider,
            Some(_) => Hop::NotProvider,
        }
    }

    /// Verifies a path as received from `neighbor` (`None` where the neighbour need not be first: a route server).
    pub fn verify(&self, path: AsPath<'_>, neighbor: Option<Asn>, direction: Direction) -> (PathState, Reason) {
        let Some(ases) = collapsed(path).filter(|ases| {
            let first = ases.first();
            first.is_some() && neighbor.is_none_or(|neighbor| first == Some(&neighbor))
        }) else {
            return (PathState::Invalid, Reason::Malformed);
        };
        let n = ases.len();
        // ases[0] is the neighbour's end, ases[n - 1] the origin: the up-ramp runs from the end of the list.
        let up = |at: usize| (ases[n - 1 - at], ases[n - 2 - at]);
        let down = |at: usize| (ases[at], ases[at + 1]);
        let max_up = self.ramp(n, up, |hop| hop != Hop::NotProvider);
        let min_up = self.ramp(n, up, |hop| hop == Hop::Provider);
        let (max, min, fallback) = match direction {
            Direction::Upstream => (max_up.0, min_up.0, (max_up.1, min_up.1)),
            Direction::Downstream if n <= 2 => return (PathState::Valid, Reason::Attested),
            Direction::Downstream => {
                let max_down = self.ramp(n, down, |hop| hop != Hop::NotProvider);
                let min_down = self.ramp(n, down, |hop| hop == Hop::Provider);
                (max_up.0 + max_down.0, min_up.0 + min_down.0, (max_up.1, min_up.1))
            }
        };
        let because = |end: Option<(Asn, Asn)>| match end {
            Some((customer, provider)) if self.hop(customer, provider) == Hop::NotProvider => {
                Reason::NotProvider { customer, provider }
            }
            Some((customer, provider)) => Reason::NoAttestation { customer, provider },
            None => Reason::Attested,
        };
        if max < n {
            (PathState::Invalid, because(fallback.0))
        } else if min < n {
            (PathState::Unknown, because(fallback.1))
        } else {
            (PathState::Valid, Reason::Attested)
        }
    }

    /// Length of a ramp in ASes while hops are `good`, and the hop at which it ends.
    fn ramp(
        &self,
        n: usize,
        hop: impl Fn(usize) -> (Asn, Asn),
        good: impl Fn(Hop) -> bool,
    ) -> (usize, Option<(Asn, Asn)>) {
        for at in 0..n.saturating_sub(1) {
            let (customer, other) = hop(at);
            if !good(self.hop(customer, other)) {
                return (at + 1, Some((customer, other)));
            }
        }
        (n, None)
    }
}

/// The ASes of the path without prepends and confederation segments, the neighbour's first; `None` with an AS_SET.
fn collapsed(path: AsPath<'_>) -> Option<Vec<Asn>> {
    use crate::wire::bgp::as_path::SegmentKind;
    let mut ases: Vec<Asn> = Vec::new();
    for segment in path.segments() {
        match segment.kind {
            SegmentKind::Set | SegmentKind::ConfedSet => return None,
            SegmentKind::ConfedSequence => {}
            SegmentKind::Sequence => {
                for asn in segment.asns() {
                    if ases.last() != Some(&asn) {
                        ases.push(asn);
                    }
                }
            }
        }
    }
    Some(ases)
}
