//! Unit tests that operators write for their policies (`[[policy.test]]`): a route, a chain, and what is expected of it.

use std::sync::Arc;

use super::{
    Context, Library, NextHopVerdict, PerPrefix, PolicyChain, Route, Trace, community::AnyCommunity,
    context::NeighborFacts, values::MaybeNumber,
};
use crate::{
    rib::{SetFacts, Source},
    types::{Family, PeerKind},
    wire::bgp::attribute::{AttrSet, NextHop, Origin},
};

/// One test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The policies it asks, in order.
    pub policies: Vec<Arc<str>>,
    /// The session that they stand on.
    pub context: Context,
    /// Family of the route.
    pub family: Family,
    /// Canonical attributes of the route.
    pub attrs: Vec<u8>,
    /// Who sent the route; `None`: originated here.
    pub from: Option<NeighborFacts>,
    /// The prefix and what validation says of it.
    pub prefix: PerPrefix,
    /// Whether it must be accepted.
    pub accepted: bool,
    /// The statement that must decide, as `policy/statement`, or the policy.
    pub by: Option<String>,
    /// What must hold of the attributes afterwards.
    pub expected: Vec<Expected>,
}

/// What must hold of a route after its policies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    /// LOCAL_PREF.
    LocalPref(MaybeNumber),
    /// MULTI_EXIT_DISC.
    Med(MaybeNumber),
    /// ORIGIN.
    Origin(Origin),
    /// AS_PATH as routers print it.
    AsPath(String),
    /// These communities, of all four kinds, and no others; in any order.
    Communities(Vec<AnyCommunity>),
    /// The next hop in the attributes.
    NextHop(NextHop),
    /// What export is to do about the next hop.
    NextHopVerdict(NextHopVerdict),
    /// Weight, where a statement sets it.
    Weight(u16),
}

/// Why a test fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What was expected and what came, one sentence each.
    pub mismatches: Vec<String>,
    /// What the policies did.
    pub trace: Trace,
}

impl Failure {
    /// What the policies did, statement by statement, in one line.
    pub fn story(&self) -> String {
        let mut matched: Vec<String> = self.trace.matched.iter().map(ToString::to_string).collect();
        if matched.is_empty() {
            matched.push("no statement matched".to_owned());
        }
        format!("what happened: {}", matched.join("; then "))
    }
}

impl Case {
    /// Runs the test.
    ///
    /// # Errors
    /// Something is not as expected.
    pub fn run(&self, library: &Library) -> Result<(), Box<Failure>> {
        let chain = PolicyChain::new(library, &self.policies, self.context.neighbor.kind);
        let set = AttrSet::new(&self.attrs);
        let facts = SetFacts::of(set);
        let source = source(self.from.as_ref());
        let route = Route { family: self.family, set, facts: &facts, source, from: self.from.as_ref() };
        let trace = chain.trace(&self.context, &route, &self.prefix);
        let mismatches = self.mismatches(&trace);
        if mismatches.is_empty() { Ok(()) } else { Err(Box::new(Failure { mismatches, trace })) }
    }

    fn mismatches(&self, trace: &Trace) -> Vec<String> {
        let word = |accepted| if accepted { "accepted" } else { "rejected" };
        let mut mismatches = Vec::new();
        if self.accepted != trace.accepted {
            let (expected, got) = (word(self.accepted), word(trace.accepted));
            mismatches.push(format!("expected to be {expected}, is {got} by {}", trace.by));
        }
        let by = trace.by.to_string();
        if self.by.as_ref().is_some_and(|wanted| *wanted != by && *wanted != *trace.by.policy()) {
            let wanted = self.by.as_deref().unwrap_or_default();
            mismatches.push(format!("expected {wanted} to decide, {by} did"));
        }
        if self.accepted && trace.accepted {
            mismatches.extend(self.expected.iter().filter_map(|expected| expected.mismatch(trace)));
        }
        mismatches
    }
}

/// Where a route from a neighbour comes from.
pub fn source(from: Option<&NeighborFacts>) -> Source {
    match from.map(|from| from.kind) {
        None => Source::Local,
        Some(PeerKind::External) => Source::External,
        Some(PeerKind::Internal) => Source::Internal,
    }
}

impl Expected {
    /// What is wrong, in a sentence; `None` when nothing is.
    fn mismatch(&self, trace: &Trace) -> Option<String> {
        let set = AttrSet::new(&trace.attrs);
        let number = |value: Option<u32>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
        let (what, wanted, got) = match self {
            Self::LocalPref(wanted) => {
                (!wanted.fits(set.local_pref())).then(|| ("local_pref", wanted.to_string(), number(set.local_pref())))
            }
            Self::Med(wanted) => (!wanted.fits(set.med())).then(|| ("med", wanted.to_string(), number(set.med()))),
            Self::Origin(wanted) => (set.origin() != Some(*wanted)).then(|| {
                ("origin", wanted.to_string(), set.origin().map_or("none".into(), |origin| origin.to_string()))
            }),
            Self::AsPath(wanted) => {
                let got = set.as_path().to_string();
                (got != *wanted).then(|| ("as_path", format!("`{wanted}`"), format!("`{got}`")))
            }
            Self::Communities(wanted) => {
                let (mut wanted, mut got) = (wanted.clone(), communities(set));
                wanted.sort_unstable();
                got.sort_unstable();
                (got != wanted).then(|| ("communities", list(&wanted), list(&got)))
            }
            Self::NextHop(wanted) => (set.next_hop() != Some(*wanted)).then(|| {
                ("next_hop", wanted.to_string(), set.next_hop().map_or("none".into(), |next_hop| next_hop.to_string()))
            }),
            Self::NextHopVerdict(wanted) => (trace.next_hop != *wanted)
                .then(|| ("next_hop", next_hop_word(*wanted).to_owned(), next_hop_word(trace.next_hop).to_owned())),
            Self::Weight(wanted) => (trace.weight != Some(*wanted))
                .then(|| ("weight", wanted.to_string(), number(trace.weight.map(u32::from)))),
        }?;
        Some(format!("expected {what} {wanted}, got {got}"))
    }
}

fn next_hop_word(verdict: NextHopVerdict) -> &'static str {
    match verdict {
        NextHopVerdict::Standard => "as without a policy",
        NextHopVerdict::Own => "self",
        NextHopVerdict::Unchanged => "unchanged",
        NextHopVerdict::Explicit => "an address",
    }
}

/// Every community of the four kinds.
fn communities(set: AttrSet<'_>) -> Vec<AnyCommunity> {
    let standard = set.communities().map(AnyCommunity::Standard);
    let large = set.large_communities().map(AnyCommunity::Large);
    let extended = set.ext_communities().map(AnyCommunity::Extended);
    let ipv6_extended = set.ipv6_ext_communities().map(AnyCommunity::Ipv6Extended);
    standard.chain(large).chain(extended).chain(ipv6_extended).collect()
}

fn list(communities: &[AnyCommunity]) -> String {
    if communities.is_empty() {
        return "none".to_owned();
    }
    communities.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
