//! Where a path turns up again: a path is walked from its origin towards us, step by step. A step leads up (to a provider), to
//! a peer, or down (to a customer); behind one that does not lead up, all others must lead down (RFC 7908 §3, RFC 9234 §1).
//!
//! Of a network that buys transit from nobody half is known without any relation: it is nobody's customer, so a step to it
//! leads up or to a peer, and a step from it leads to a peer or down. Between two of them there is thus a leak wherever
//! another network stands, though nobody knows a relation of that. Steps between two of them say nothing: such lists grow
//! old, and some on them are siblings.

use super::relations::{Evidence, Relation};
use crate::types::Asn;

/// Where a step may lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// What the one that is stepped to is to the other; `None`: not known.
    pub(super) to: Option<Relation>,
    /// It leads to a peer or down for certain, on this evidence.
    pub(super) not_up: Option<Evidence>,
    /// It leads up or to a peer for certain, on this evidence.
    pub(super) not_down: Option<Evidence>,
}

impl Step {
    /// The step from `of` to `other`, of which `known` is what is known of their relation, and `free` whether each of the two
    /// buys transit from nobody.
    pub(super) fn new(known: Option<(Relation, Evidence)>, free: (bool, bool)) -> Self {
        let certain = |one: bool, other: bool| (one && !other).then_some(Evidence::TransitFree);
        let (by_free_not_up, by_free_not_down) = (certain(free.0, free.1), certain(free.1, free.0));
        let Some((to, evidence)) = known else {
            return Self { to: None, not_up: by_free_not_up, not_down: by_free_not_down };
        };
        let by_relation = |holds: bool| holds.then_some(evidence);
        let not_up = by_relation(to != Relation::Provider).max(by_free_not_up);
        let not_down = by_relation(to != Relation::Customer).max(by_free_not_down);
        if evidence < Evidence::TransitFree {
            // A guess that contradicts what is certain is none.
            let wrong = by_free_not_up.is_some() && to == Relation::Provider
                || by_free_not_down.is_some() && to == Relation::Customer;
            return match wrong {
                true => Self { to: None, not_up: by_free_not_up, not_down: by_free_not_down },
                false => Self { to: Some(to), not_up, not_down },
            };
        }
        // What the operator says of two networks holds against the list.
        Self {
            to: Some(to),
            not_up: by_relation(to != Relation::Provider),
            not_down: by_relation(to != Relation::Customer),
        }
    }
}

/// The leaker with the AS that it has the route from and the one that it gave it to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Valley {
    pub(super) from: Asn,
    pub(super) leaker: Asn,
    pub(super) to: Asn,
    /// What `from` is to the leaker; `None`: not known.
    pub(super) source: Option<Relation>,
    /// What `to` is to the leaker; `None`: its provider or peer.
    pub(super) target: Option<Relation>,
    /// How it is known that the leaker may give the route to customers only, and that `to` is none: the weaker counts.
    pub(super) evidence: (Evidence, Evidence),
    /// All that may be the leaker, towards us: the one that is named is the last, which made the step that cannot be right.
    pub(super) candidates: Vec<Asn>,
}

/// The first turn of a path, seen from the origin, that evidence of at least this rank shows. `ases` is the path as received,
/// each AS once; `step(of, other)` is the step from one AS to the next towards us.
pub(super) fn first(ases: &[Asn], least: Evidence, step: impl Fn(Asn, Asn) -> Step) -> Option<Valley> {
    let known = |evidence: &Evidence| *evidence >= least;
    // Who got the route over the last step that did not lead up, and on what evidence.
    let mut turned: Option<(usize, Evidence)> = None;
    for at in (1..ases.len()).rev() {
        let (of, other) = (ases[at], ases[at - 1]);
        let leads = step(of, other);
        if let (Some((got, evidence)), Some(evidence_too)) = (turned, leads.not_down.filter(known))
            // Where steps between are not known, both ends must be certain.
            && (got == at || evidence.min(evidence_too) > Evidence::Inferred)
        {
            let (from, leaker) = (ases[at + 1], of);
            let source = step(from, leaker).to.map(reverse);
            let candidates = ases[at..=got].iter().rev().copied().collect();
            let evidence = (evidence, evidence_too);
            return Some(Valley { from, leaker, to: other, source, target: leads.to, evidence, candidates });
        }
        if let Some(evidence) = leads.not_up.filter(known) {
            turned = Some((at - 1, evidence));
        }
    }
    None
}

/// What the other is to the one, of what the one is to the other.
fn reverse(relation: Relation) -> Relation {
    match relation {
        Relation::Provider => Relation::Customer,
        Relation::Peer => Relation::Peer,
        Relation::Customer => Relation::Provider,
    }
}

impl Valley {
    /// The type of RFC 7908 §3, and whether it is certain.
    pub(super) fn kind(&self) -> (u8, bool) {
        match (self.source, self.target) {
            (Some(Relation::Peer), Some(Relation::Peer)) => (2, true),
            (Some(Relation::Provider), Some(Relation::Peer)) => (3, true),
            (Some(Relation::Peer), Some(Relation::Provider)) => (4, true),
            (source, target) => (1, source.is_some() && target.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 and 2 buy from nobody; 10 sells to 20, 30 sells to 40; 20 and 40 peer.
    fn step(of: Asn, other: Asn) -> Step {
        let known = match (of.0, other.0) {
            (20, 10) | (40, 30) => Some((Relation::Provider, Evidence::Inferred)),
            (10, 20) | (30, 40) => Some((Relation::Customer, Evidence::Inferred)),
            (20, 40) | (40, 20) => Some((Relation::Peer, Evidence::Declared)),
            // A guess that cannot be.
            (2, 10) => Some((Relation::Provider, Evidence::Inferred)),
            _ => None,
        };
        Step::new(known, (of.0 <= 2, other.0 <= 2))
    }

    /// Paths as received, and the leaker, who else may be it, and the type.
    #[test]
    fn the_first_turn_is_found_and_nothing_is_made_up() {
        let none: (u32, &[u32], u8) = (0, &[], 0);
        for (path, expected) in [
            // Between two that buy from nobody; of two in a row the one that gives it upwards.
            ("1 20 2 50", (20, &[20][..], 1)),
            ("60 1 21 20 2 50", (21, &[20, 21], 1)),
            ("1 2 20", none),
            ("1 20", none),
            ("20 1 50", none),
            // From a provider to a peer: §3.3; from a peer to a provider: §3.4.
            ("30 40 20 10", (20, &[20], 3)),
            ("10 20 40 30", (40, &[40], 3)),
            ("30 40 20", (40, &[40], 4)),
            // Inferred relations say nothing over what is not known.
            ("30 40 99 20 10", none),
            // A guess against the list is dropped.
            ("1 10 2 50", (10, &[10], 1)),
        ] {
            let ases: Vec<Asn> = path.split(' ').map(|asn| Asn(asn.parse().expect("a number"))).collect();
            let found = first(&ases, Evidence::Inferred, step);
            let told =
                found.map(|v| (v.leaker.0, v.candidates.iter().map(|asn| asn.0).collect::<Vec<_>>(), v.kind().0));
            let (leaker, candidates, kind) = expected;
            assert_eq!(told, (leaker != 0).then(|| (leaker, candidates.to_vec(), kind)), "{path}");
        }
    }
}
