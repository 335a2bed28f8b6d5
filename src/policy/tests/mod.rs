//! Tests of policies as operators see them: what a chain of statements says about routes. The language of the tests is
//! here; `matches` and `actions` have a row for each match and action, `oracle` compares the fast road with a slow one.

mod actions;
mod chain;
mod matches;
mod oracle;

use std::sync::Arc;

use super::{
    Context, Definitions, Direction, Evaluator, Library, NeighborFacts, PerPrefix, PolicyChain, Route, Trace, Verdict,
    definitions::{
        ActionDefinition, ConditionDefinition, Marked, PolicyDefinition, Ruling, StatementDefinition, TestDefinition,
    },
};
use crate::{
    rib::{SetFacts, Source},
    types::{Asn, Family, PeerKind, Prefix, Role},
    wire::bgp::attribute::{AttrSet, AttrSetBuilder, NextHop, Origin},
};

/// A value without a place.
pub(super) fn marked<T>(value: T) -> Marked<T> {
    Marked::new(value, 0..0)
}

pub(super) fn is(test: TestDefinition) -> ConditionDefinition {
    ConditionDefinition { span: 0..0, negated: false, test }
}

pub(super) fn statement(
    conditions: impl IntoIterator<Item = ConditionDefinition>,
    actions: impl IntoIterator<Item = ActionDefinition>,
    ruling: Option<Ruling>,
) -> StatementDefinition {
    StatementDefinition {
        span: 0..0,
        name: None,
        conditions: conditions.into_iter().collect(),
        actions: actions.into_iter().map(marked).collect(),
        ruling: ruling.map(marked),
    }
}

pub(super) fn policy(name: &str, statements: Vec<StatementDefinition>) -> PolicyDefinition {
    PolicyDefinition { name: marked(name.to_owned()), statements }
}

/// A library of these policies, without sets.
pub(super) fn library(policies: Vec<PolicyDefinition>) -> Library {
    Library::compile(&Definitions { policies, ..Definitions::default() }).expect("definitions without faults")
}

pub(super) fn chain(library: &Library, names: &[&str], kind: PeerKind) -> PolicyChain {
    let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
    PolicyChain::new(library, &names, kind)
}

/// A neighbour from the documentation ranges: edge-1, our customer.
pub(super) fn neighbor() -> NeighborFacts {
    NeighborFacts {
        address: "192.0.2.1".parse().unwrap(),
        asn: Asn(64496),
        name: "edge-1".into(),
        group: Some("customers".into()),
        kind: PeerKind::External,
        role: Some(Role::Customer),
    }
}

pub(super) fn context(direction: Direction) -> Context {
    Context { direction, neighbor: neighbor(), local_asn: Asn(64511), local_address: "192.0.2.254".parse().unwrap() }
}

pub(super) fn prefix(text: &str) -> PerPrefix {
    PerPrefix { prefix: Some(text.parse::<Prefix>().unwrap()), ..PerPrefix::default() }
}

/// A common set: path 64496 64500.
pub(super) fn attributes() -> AttrSetBuilder {
    let mut set = AttrSetBuilder::new();
    set.origin(Origin::Igp).as_path_sequence(&[Asn(64496), Asn(64500)]);
    set.next_hop(Family::IPV4_UNICAST, NextHop::new("192.0.2.1".parse().unwrap()));
    set
}

/// What both roads say about a route: the fast one's verdict as an owned value, and the slow one's trace. They must
/// agree, and a second question must give the same answer.
pub(super) fn ask(chain: &PolicyChain, context: &Context, set: &[u8], asked: &PerPrefix) -> Trace {
    let facts = SetFacts::of(AttrSet::new(set));
    let source = match context.neighbor.kind {
        PeerKind::External => Source::External,
        PeerKind::Internal => Source::Internal,
    };
    let from = context.neighbor.clone();
    let route =
        Route { family: Family::IPV4_UNICAST, set: AttrSet::new(set), facts: &facts, source, from: Some(&from) };
    ask_route(chain, context, &route, asked)
}

pub(super) fn ask_route(chain: &PolicyChain, context: &Context, route: &Route<'_>, asked: &PerPrefix) -> Trace {
    let trace = chain.trace(context, route, asked);
    let mut evaluator = Evaluator::new();
    evaluator.begin(chain, context, route);
    for _ in 0..2 {
        agrees(evaluator.verdict(asked), &trace, route.set);
    }
    trace
}

/// Panics unless a verdict of the fast road says what the slow one found.
pub(super) fn agrees(verdict: Verdict<'_>, trace: &Trace, before: AttrSet<'_>) {
    assert_eq!(verdict.accepted, trace.accepted, "{trace:?}");
    if verdict.accepted {
        let changed = before.as_bytes() != trace.attrs;
        assert_eq!(verdict.attrs.map(|set| set.as_bytes()), changed.then_some(&trace.attrs[..]), "{trace:?}");
        assert_eq!((verdict.weight, verdict.next_hop), (trace.weight, trace.next_hop));
    } else {
        assert_eq!((verdict.attrs, verdict.weight), (None, None), "of a rejected route nothing is kept");
    }
}
