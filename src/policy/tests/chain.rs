//! Chains: whose verdict counts, what holds at the end, what can be said without a route, and when two are equal.

use std::hash::BuildHasher;

use super::*;
use crate::policy::{NO_POLICY, definitions::SetOr, values::PrefixRange};

fn says(chain: &PolicyChain) -> (bool, String) {
    let trace = ask(chain, &context(Direction::Import), &attributes().finish(), &prefix("192.0.2.0/24"));
    (trace.accepted, trace.by.to_string())
}

fn inside(text: &str) -> ConditionDefinition {
    is(TestDefinition::Prefix(vec![SetOr::Inline(text.parse::<PrefixRange>().unwrap())]))
}

#[test]
fn the_first_verdict_wins_and_a_chain_without_one_follows_rfc_8212() {
    use PeerKind::{External, Internal};
    use Ruling::{Accept, NextPolicy, Reject};
    let library = library(vec![
        policy("undecided", vec![statement([], [ActionDefinition::LocalPref(1)], None)]),
        policy("leaves", vec![statement([], [], Some(NextPolicy))]),
        policy("elsewhere", vec![statement([inside("203.0.113.0/24")], [], Some(Reject))]),
        policy(
            "second",
            vec![statement([inside("203.0.113.0/24")], [], Some(Reject)), statement([], [], Some(Accept))],
        ),
    ]);
    let cases: &[(&[&str], PeerKind, bool, &str)] = &[
        (&[], External, false, NO_POLICY), // RFC 8212 §3
        (&[], Internal, true, NO_POLICY),  // RFC 8212 §1: EBGP only
        (&["accept-all"], External, true, "accept-all"),
        (&["reject-all", "accept-all"], Internal, false, "reject-all"),
        (&["accept-all", "reject-all"], External, true, "accept-all"),
        (&["acept-all", "accept-all"], Internal, false, "acept-all"), // a misspelt name opens no door
        (&["undecided"], External, false, "no statement decided, EBGP rejects (RFC 8212)"),
        (&["undecided"], Internal, true, "no statement decided, IBGP accepts"),
        (&["undecided", "leaves", "elsewhere", "second"], External, true, "second/2"),
        (&["leaves", "accept-all"], External, true, "accept-all"),
    ];
    for (names, kind, accepted, by) in cases {
        assert_eq!(says(&chain(&library, names, *kind)), (*accepted, (*by).to_owned()), "{names:?} {kind:?}");
    }
}

#[test]
fn what_a_chain_can_say_without_a_route() {
    use PeerKind::{External, Internal};
    use Ruling::{Accept, NextPolicy, Reject};
    let lp = || [ActionDefinition::LocalPref(1)];
    let from = || is(TestDefinition::Neighbor(vec![SetOr::Inline("edge-1".parse().unwrap())]));
    let library = library(vec![
        policy("sets", vec![statement([], lp(), None)]),
        policy("some", vec![statement([inside("10.0.0.0/8+")], [], Some(Accept))]),
        policy("none", vec![statement([inside("10.0.0.0/8+")], [], Some(Reject))]),
        policy("leaves", vec![statement([from()], [], Some(NextPolicy))]),
        // Whoever leaves it early passes by the rejection at its end.
        policy("guard", vec![statement([from()], [], Some(NextPolicy)), statement([], [], Some(Reject))]),
        policy("valid", vec![statement([is(TestDefinition::Validation(vec![]))], [], Some(Reject))]),
    ]);
    // (names, kind, rejects everything, accepts everything unchanged, looks at prefix, validation, neighbour)
    type Row<'a> = (&'a [&'a str], PeerKind, bool, bool, bool, bool, bool);
    let rows: &[Row<'_>] = &[
        (&[], External, true, false, false, false, false),
        (&[], Internal, false, true, false, false, false),
        (&["accept-all"], External, false, true, false, false, false),
        (&["reject-all"], Internal, true, false, false, false, false),
        (&["unknown"], Internal, true, false, false, false, false),
        (&["sets"], External, true, false, false, false, false),
        (&["sets"], Internal, false, false, false, false, false),
        (&["some"], External, false, false, true, false, false),
        (&["some"], Internal, false, true, true, false, false),
        (&["none"], External, true, false, true, false, false),
        (&["none", "accept-all"], External, false, false, true, false, false),
        (&["leaves", "accept-all"], External, false, true, false, false, true),
        (&["guard", "accept-all"], External, false, false, false, false, true),
        (&["guard"], External, true, false, false, false, true),
        (&["guard"], Internal, false, false, false, false, true),
        (&["valid", "reject-all", "some"], External, true, false, true, true, false),
    ];
    for (names, kind, rejects, accepts, prefix, validation, neighbor) in rows {
        let chain = chain(&library, names, *kind);
        let got = (
            chain.rejects_everything(),
            chain.accepts_everything_unchanged(),
            chain.looks_at_prefix(),
            chain.looks_at_validation(),
            chain.looks_at_neighbor(),
        );
        assert_eq!(got, (*rejects, *accepts, *prefix, *validation, *neighbor), "{names:?} {kind:?}");
    }
    assert_eq!(chain(&library, &["reject-all"], External).constant().unwrap().to_string(), "reject-all");
    assert_eq!(chain(&library, &[], External).constant().unwrap().to_string(), NO_POLICY);
    assert_eq!(chain(&library, &["some"], External).constant(), None);
}

#[test]
fn chains_are_equal_when_they_mean_the_same() {
    let hash = |chain: &PolicyChain| foldhash::fast::FixedState::with_seed(1).hash_one(chain);
    let with = |range: &str| library(vec![policy("p", vec![statement([inside(range)], [], Some(Ruling::Accept))])]);
    let (one, same, other) = (with("10.0.0.0/8+"), with("10.0.0.0/8 ge 8"), with("10.0.0.0/8"));
    let of = |library: &Library| chain(library, &["p"], PeerKind::External);
    assert_eq!(of(&one), of(&same));
    assert_eq!(hash(&of(&one)), hash(&of(&same)));
    assert_ne!(of(&one), of(&other));
    assert_ne!(of(&one), chain(&one, &["p", "accept-all"], PeerKind::External));
    assert_ne!(of(&one), chain(&one, &["p"], PeerKind::Internal));
}
