//! What we do with routes: import and export rules. A neighbour has a chain of policies per direction; the
//! first one that has a verdict decides, and the verdict carries the name of what decided.
//!
//! `accept-all` and `reject-all` are built in. A chain without a policy follows RFC 8212: an EBGP session
//! without one neither takes nor gives routes; IBGP does. Policies that match on prefixes or change
//! attributes extend [`Policy`]; their sets and their evaluation get files of their own beside this one.

use std::sync::Arc;

use crate::{types::PeerKind, wire::bgp::attribute::AttrSet};

/// Name of the built-in policy that accepts every route.
pub const ACCEPT_ALL: &str = "accept-all";
/// Name of the built-in policy that rejects every route.
pub const REJECT_ALL: &str = "reject-all";
/// What a route is rejected by where an EBGP session has no policy.
pub const NO_POLICY: &str = "no policy (RFC 8212)";

/// What a chain says about a route, and who said it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Whether the route may go on.
    pub accepted: bool,
    /// The policy that decided, by name; [`NO_POLICY`] where there was none.
    pub by: Arc<str>,
}

/// One named policy.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Policy {
    name: Arc<str>,
    rule: Rule,
}

/// What a policy does with a route.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Rule {
    /// Everything is accepted.
    AcceptAll,
    /// Everything is rejected.
    RejectAll,
    /// Nobody defined a policy of this name: nothing passes, so that a misspelt name never opens a door.
    /// Configuration refuses such names before they get here.
    Undefined,
}

impl Policy {
    /// The policy of that name.
    pub fn named(name: &Arc<str>) -> Self {
        let rule = match &**name {
            ACCEPT_ALL => Rule::AcceptAll,
            REJECT_ALL => Rule::RejectAll,
            _ => Rule::Undefined,
        };
        Self { name: name.clone(), rule }
    }

    /// Whether a policy of this name exists.
    pub fn exists(name: &str) -> bool {
        matches!(name, ACCEPT_ALL | REJECT_ALL)
    }

    /// What this policy says about a set; `None` leaves the decision to the next one in the chain.
    fn verdict(&self, _set: AttrSet<'_>) -> Option<bool> {
        match self.rule {
            Rule::AcceptAll => Some(true),
            Rule::RejectAll | Rule::Undefined => Some(false),
        }
    }
}

/// The policies of one neighbour in one direction, in order, and what holds when none of them decides.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PolicyChain {
    policies: Vec<Policy>,
    fallback: Fallback,
}

/// The end of a chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Fallback {
    /// IBGP, and our own routes: RFC 8212 speaks of EBGP only.
    Accept,
    /// EBGP (RFC 8212 §3).
    Reject,
}

impl PolicyChain {
    /// The chain of these names towards a neighbour of this kind.
    pub fn new(names: &[Arc<str>], kind: PeerKind) -> Self {
        let fallback = match kind {
            PeerKind::External => Fallback::Reject,
            PeerKind::Internal => Fallback::Accept,
        };
        Self { policies: names.iter().map(Policy::named).collect(), fallback }
    }

    /// Whether no route can pass, whatever it is: nothing needs to be kept ready for such a neighbour.
    pub fn rejects_everything(&self) -> bool {
        match self.policies.first() {
            Some(policy) => policy.rule != Rule::AcceptAll,
            None => self.fallback == Fallback::Reject,
        }
    }

    /// Judges an attribute set. No policy looks at the prefix yet, so one verdict holds for every route
    /// with the set and callers keep it.
    pub fn accepts(&self, set: AttrSet<'_>) -> bool {
        self.policies.iter().find_map(|policy| policy.verdict(set)).unwrap_or(self.fallback == Fallback::Accept)
    }

    /// Like [`Self::accepts`], with the name of what decided. For answers, not for the per-path road.
    pub fn judge(&self, set: AttrSet<'_>) -> Verdict {
        for policy in &self.policies {
            if let Some(accepted) = policy.verdict(set) {
                return Verdict { accepted, by: policy.name.clone() };
            }
        }
        Verdict { accepted: self.fallback == Fallback::Accept, by: NO_POLICY.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(names: &[&str], kind: PeerKind) -> Verdict {
        let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
        let chain = PolicyChain::new(&names, kind);
        let verdict = chain.judge(AttrSet::new(&[]));
        assert_eq!(verdict.accepted, chain.accepts(AttrSet::new(&[])), "both ways of asking agree");
        assert_eq!(verdict.accepted, !chain.rejects_everything(), "built-in policies look at nothing");
        verdict
    }

    #[test]
    fn the_first_verdict_wins_and_a_chain_without_policies_follows_rfc_8212() {
        use PeerKind::{External, Internal};
        let cases: &[(&[&str], PeerKind, bool, &str)] = &[
            (&[], External, false, NO_POLICY), // RFC 8212 §3
            (&[], Internal, true, NO_POLICY),  // RFC 8212 §1: EBGP only
            (&["accept-all"], External, true, "accept-all"),
            (&["reject-all", "accept-all"], Internal, false, "reject-all"),
            (&["accept-all", "reject-all"], External, true, "accept-all"),
            (&["acept-all", "accept-all"], Internal, false, "acept-all"), // a misspelt name opens no door
        ];
        for (names, kind, accepted, by) in cases {
            assert_eq!(chain(names, *kind), Verdict { accepted: *accepted, by: (*by).into() }, "{names:?} {kind:?}");
        }
    }
}
