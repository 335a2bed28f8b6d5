//! The fast road against a slow one: random chains, evaluated once per attribute set with all that is remembered
//! between prefixes, and by an interpreter that takes the definitions as they were written, statement by statement, for
//! each prefix anew, on a route in plain numbers.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    policy::{
        NextHopVerdict, Validation,
        community::{AnyCommunity, CommunityPattern},
        definitions::{MedChange, Prepend, PrependWho, SetOr},
        values::{MaybeNumber, NumberRange, PrefixRange},
    },
    wire::bgp::community::Community,
};

/// A route in plain numbers.
#[derive(Clone, PartialEq, Debug)]
struct Model {
    path: Vec<u32>,
    communities: Vec<u32>,
    med: Option<u32>,
    local_pref: Option<u32>,
    weight: Option<u16>,
}

impl Model {
    fn octets(&self) -> Vec<u8> {
        let mut set = AttrSetBuilder::new();
        set.origin(Origin::Igp).as_path_sequence(&self.path.iter().copied().map(Asn).collect::<Vec<_>>());
        set.next_hop(Family::IPV4_UNICAST, NextHop::new("192.0.2.1".parse().unwrap()));
        self.med.into_iter().for_each(|med| _ = set.med(med));
        self.local_pref.into_iter().for_each(|value| _ = set.local_pref(value));
        set.communities(&self.communities.iter().copied().map(Community).collect::<Vec<_>>());
        set.finish()
    }

    fn holds(&self, test: &TestDefinition, asked: &PerPrefix) -> bool {
        let fits = |members: &[SetOr<CommunityPattern>], community: u32| {
            members
                .iter()
                .any(|member| matches!(member, SetOr::Inline(pattern) if pattern.fits_standard(Community(community))))
        };
        let within = |ranges: &[NumberRange], number: usize| {
            ranges.iter().any(|range| (range.min as usize..=range.max as usize).contains(&number))
        };
        let maybe = |asked: &[MaybeNumber], number: Option<u32>| {
            asked.iter().any(|asked| match (asked, number) {
                (MaybeNumber::Absent, number) => number.is_none(),
                (MaybeNumber::Within(range), Some(number)) => range.min <= number && number <= range.max,
                _ => false,
            })
        };
        match test {
            TestDefinition::Prefix(members) => members.iter().any(|member| {
                matches!(member, SetOr::Inline(range) if range.contains(&asked.prefix.unwrap()))
            }),
            TestDefinition::Validation(states) => states.contains(&asked.validation),
            TestDefinition::PathLength(ranges) => within(ranges, self.path.len()),
            TestDefinition::OriginAs(members) => members.iter().any(|member| {
                matches!((member, self.path.last()), (SetOr::Inline(range), Some(asn)) if range.contains(*asn))
            }),
            TestDefinition::CommunityAny(members) => self.communities.iter().any(|c| fits(members, *c)),
            TestDefinition::CommunityNone(members) => !self.communities.iter().any(|c| fits(members, *c)),
            TestDefinition::CommunityAll(members) => members
                .iter()
                .all(|member| self.communities.iter().any(|community| fits(std::slice::from_ref(member), *community))),
            TestDefinition::CommunityCount(ranges) => within(ranges, self.communities.len()),
            TestDefinition::Med(asked) => maybe(asked, self.med),
            TestDefinition::LocalPref(asked) => maybe(asked, self.local_pref),
            other => unreachable!("the generator makes no {other:?}"),
        }
    }

    fn act(&mut self, actions: &[Marked<ActionDefinition>]) {
        // What is taken away is taken away before anything is added.
        let ranked = |wanted: fn(&ActionDefinition) -> bool| {
            actions.iter().map(|action| &action.value).filter(move |a| wanted(a))
        };
        for action in ranked(|action| !matches!(action, ActionDefinition::AddCommunities(_))) {
            match action {
                ActionDefinition::LocalPref(value) => self.local_pref = Some(*value),
                ActionDefinition::Med(MedChange::Set(value)) => self.med = Some(*value),
                ActionDefinition::Med(MedChange::Add(value)) => self.med = Some(self.med.unwrap_or(0) + value),
                ActionDefinition::Med(MedChange::Remove) => self.med = None,
                ActionDefinition::Weight(value) => self.weight = Some(*value),
                ActionDefinition::Prepend(prepend) => {
                    (0..prepend.times).for_each(|_| self.path.insert(0, 64511));
                }
                ActionDefinition::RemoveCommunities(members) => self.communities.retain(|community| {
                    !members
                        .iter()
                        .any(|member| matches!(member, SetOr::Inline(p) if p.fits_standard(Community(*community))))
                }),
                other => unreachable!("the generator makes no {other:?}"),
            }
        }
        for action in ranked(|action| matches!(action, ActionDefinition::AddCommunities(_))) {
            let ActionDefinition::AddCommunities(added) = action else { continue };
            for community in added {
                let AnyCommunity::Standard(Community(value)) = community else { continue };
                if !self.communities.contains(value) {
                    self.communities.push(*value);
                }
            }
        }
    }
}

/// The interpreter: the route at the end, or nothing where it is rejected.
fn slow(policies: &[PolicyDefinition], kind: PeerKind, route: &Model, asked: &PerPrefix) -> Option<Model> {
    let mut route = route.clone();
    for policy in policies {
        for statement in &policy.statements {
            if !statement.conditions.iter().all(|condition| route.holds(&condition.test, asked) != condition.negated) {
                continue;
            }
            match statement.ruling.as_ref().map(|ruling| ruling.value) {
                Some(Ruling::Reject) => return None,
                ruling => {
                    route.act(&statement.actions);
                    match ruling {
                        Some(Ruling::Accept) => return Some(route),
                        Some(_) => break,
                        None => {}
                    }
                }
            }
        }
    }
    (kind == PeerKind::Internal).then_some(route)
}

fn number_range() -> impl Strategy<Value = NumberRange> {
    (0..4u32, 0..3u32).prop_map(|(min, more)| NumberRange { min, max: min + more })
}

fn maybe_number() -> impl Strategy<Value = MaybeNumber> {
    prop_oneof![Just(MaybeNumber::Absent), number_range().prop_map(MaybeNumber::Within)]
}

/// 64500:0 to 64500:3, sometimes with a star.
fn pattern() -> impl Strategy<Value = SetOr<CommunityPattern>> {
    prop_oneof![5 => (0..4u32).prop_map(|n| format!("64500:{n}")), 1 => Just("64500:*".to_owned())]
        .prop_map(|text| SetOr::Inline(text.parse().unwrap()))
}

fn some<T: std::fmt::Debug>(one: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(one, 1..3)
}

fn test() -> impl Strategy<Value = TestDefinition> {
    use TestDefinition as Ask;
    let inside = ["192.0.2.0/24 le 32", "192.0.2.0/25 le 26", "192.0.2.128/25", "203.0.113.0/24+"];
    let range =
        prop::sample::select(inside.to_vec()).prop_map(|text| SetOr::Inline(text.parse::<PrefixRange>().unwrap()));
    let states = prop::sample::select(vec![Validation::Valid, Validation::Invalid, Validation::NotFound]);
    prop_oneof![
        4 => some(range).prop_map(Ask::Prefix),
        2 => some(states).prop_map(Ask::Validation),
        1 => some(number_range()).prop_map(Ask::PathLength),
        1 => some(number_range().prop_map(SetOr::Inline)).prop_map(Ask::OriginAs),
        1 => some(pattern()).prop_map(Ask::CommunityAny),
        1 => some(pattern()).prop_map(Ask::CommunityAll),
        1 => some(pattern()).prop_map(Ask::CommunityNone),
        1 => some(number_range()).prop_map(Ask::CommunityCount),
        1 => some(maybe_number()).prop_map(Ask::Med),
        1 => some(maybe_number()).prop_map(Ask::LocalPref),
    ]
}

fn action() -> impl Strategy<Value = ActionDefinition> {
    use ActionDefinition as Do;
    let community = (0..4u32).prop_map(|n| AnyCommunity::Standard(Community(64500 << 16 | n)));
    prop_oneof![
        (0..5u32).prop_map(Do::LocalPref),
        prop_oneof![(0..5u32).prop_map(MedChange::Set), (0..3u32).prop_map(MedChange::Add), Just(MedChange::Remove)]
            .prop_map(Do::Med),
        (0..3u16).prop_map(Do::Weight),
        (1..3u8).prop_map(|times| Do::Prepend(Prepend { who: PrependWho::Own, times })),
        some(community).prop_map(Do::AddCommunities),
        some(pattern()).prop_map(Do::RemoveCommunities),
    ]
}

/// Each key of `set` stands once in a statement.
fn once(actions: Vec<ActionDefinition>) -> Vec<ActionDefinition> {
    let keyed = actions.into_iter().map(|action| (std::mem::discriminant(&action), action));
    let mut kept: Vec<(_, ActionDefinition)> = Vec::new();
    for (key, action) in keyed {
        if kept.iter().all(|(known, _)| *known != key) {
            kept.push((key, action));
        }
    }
    kept.into_iter().map(|(_, action)| action).collect()
}

fn any_statement() -> impl Strategy<Value = StatementDefinition> {
    let condition =
        (test(), prop::bool::weighted(0.25)).prop_map(|(test, negated)| ConditionDefinition { negated, ..is(test) });
    let ruling = prop_oneof![
        3 => Just(None),
        2 => Just(Some(Ruling::Accept)),
        1 => Just(Some(Ruling::Reject)),
        1 => Just(Some(Ruling::NextPolicy)),
    ];
    (prop::collection::vec(condition, 0..3), prop::collection::vec(action(), 0..3), ruling).prop_map(
        |(conditions, actions, ruling)| {
            // What makes no sense is refused before it is evaluated: see `lint`.
            let rejects = ruling == Some(Ruling::Reject);
            let idle = ruling.is_none() && actions.is_empty();
            let actions = if rejects { Vec::new() } else { once(actions) };
            let actions = if idle { vec![ActionDefinition::LocalPref(1)] } else { actions };
            statement(conditions, actions, ruling)
        },
    )
}

fn any_policies() -> impl Strategy<Value = Vec<PolicyDefinition>> {
    prop::collection::vec(prop::collection::vec(any_statement(), 1..6), 1..4).prop_map(|policies| {
        policies.into_iter().enumerate().map(|(at, statements)| policy(&format!("p{at}"), statements)).collect()
    })
}

fn any_route() -> impl Strategy<Value = Model> {
    let number = || prop::option::of(0..5u32);
    (prop::collection::vec(0..4u32, 0..4), prop::collection::btree_set(0..4u32, 0..3), number(), number()).prop_map(
        |(path, communities, med, local_pref)| Model {
            path,
            communities: communities.into_iter().map(|n| 64500 << 16 | n).collect(),
            med,
            local_pref,
            weight: None,
        },
    )
}

fn any_prefix() -> impl Strategy<Value = PerPrefix> {
    let place = prop::sample::select(vec![0xc000_0200u32, 0xc000_0280, 0xcb00_7100, 0x0a00_0000]);
    let states = prop::sample::select(vec![Validation::Valid, Validation::Invalid, Validation::NotFound]);
    (place, 24..28u8, states).prop_map(|(place, len, validation)| PerPrefix {
        prefix: Some(Prefix::v4(place, len)),
        validation,
        ..PerPrefix::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_global_rejects: 20_000, ..ProptestConfig::default() })]
    #[test]
    fn what_is_remembered_between_prefixes_changes_no_verdict(
        policies in any_policies(),
        internal in any::<bool>(),
        routes in prop::collection::vec((any_route(), prop::collection::vec(any_prefix(), 1..12)), 1..4),
    ) {
        let definitions = Definitions { policies, ..Definitions::default() };
        // Statements behind a decision and contradictions are refused; what is left is evaluated.
        let library = Library::compile(&definitions);
        prop_assume!(library.is_ok());
        let library = library.unwrap();
        let kind = if internal { PeerKind::Internal } else { PeerKind::External };
        let names: Vec<&str> = definitions.policies.iter().map(|policy| policy.name.value.as_str()).collect();
        let chain = chain(&library, &names, kind);
        let (context, from) = (context(Direction::Import), neighbor());
        let mut evaluator = Evaluator::new();
        for (model, prefixes) in routes {
            let octets = model.octets();
            let set = AttrSet::new(&octets);
            let facts = SetFacts::of(set);
            let route = Route { family: Family::IPV4_UNICAST, set, facts: &facts, source: Source::External, from: Some(&from) };
            evaluator.begin(&chain, &context, &route);
            let settled = evaluator.settled();
            let mut outcomes: BTreeMap<u32, Option<Model>> = BTreeMap::new();
            for asked in prefixes.iter().chain(&prefixes) {
                let expected = slow(&definitions.policies, kind, &model, asked);
                let verdict = evaluator.verdict(asked);
                agrees(verdict, &chain.trace(&context, &route, asked), set);
                prop_assert_eq!(verdict.accepted, expected.is_some());
                if let Some(expected) = &expected {
                    let after = expected.octets();
                    let changed = (after != octets).then_some(AttrSet::new(&after));
                    prop_assert_eq!(verdict.attrs, changed);
                    prop_assert_eq!(verdict.weight, expected.weight);
                    prop_assert_eq!(verdict.next_hop, NextHopVerdict::Standard);
                }
                // One number for one result, and another one for another result.
                let known = outcomes.entry(verdict.outcome).or_insert_with(|| expected.clone());
                prop_assert_eq!(&*known, &expected);
                prop_assert_eq!(outcomes.values().filter(|other| **other == expected).count(), 1);
            }
            prop_assert!(!settled || outcomes.len() == 1);
            prop_assert!(!chain.rejects_everything() || outcomes.values().all(Option::is_none));
            let unchanged = |outcome: &Option<Model>| outcome.as_ref() == Some(&model);
            prop_assert!(!chain.accepts_everything_unchanged() || outcomes.values().all(unchanged));
            prop_assert!(settled || chain.looks_at_prefix() || chain.looks_at_validation());
        }
    }
}

#[test]
fn a_tree_that_grows_without_end_is_cut_back_and_numbers_stay() {
    // Sixteen statements that look at the prefix and decide nothing: 2^16 ways through them.
    let lp = |bit: u32| {
        let members = (0..256u32).filter(|byte| byte >> (bit % 8) & 1 == 1);
        let ranges = members.flat_map(|byte| {
            (0..256u32).map(move |other| {
                let (high, low) = if bit < 8 { (byte, other) } else { (other, byte) };
                SetOr::Inline(PrefixRange::exact(Prefix::v4(10 << 24 | high << 16 | low << 8, 24)))
            })
        });
        let community = AnyCommunity::Standard(Community(64500 << 16 | bit));
        statement(
            [is(TestDefinition::Prefix(ranges.collect()))],
            [ActionDefinition::AddCommunities(vec![community])],
            None,
        )
    };
    let library = library(vec![policy("p", (0..16).map(lp).collect())]);
    let chain = chain(&library, &["p"], PeerKind::Internal);
    let (context, octets, from) = (context(Direction::Import), attributes().finish(), neighbor());
    let set = AttrSet::new(&octets);
    let facts = SetFacts::of(set);
    let route = Route { family: Family::IPV4_UNICAST, set, facts: &facts, source: Source::External, from: Some(&from) };
    let mut evaluator = Evaluator::new();
    evaluator.begin(&chain, &context, &route);
    let mut numbers = BTreeMap::new();
    for round in 0..2 {
        for place in (0..1u32 << 16).step_by(61) {
            let asked = PerPrefix { prefix: Some(Prefix::v4(10 << 24 | place << 8, 24)), ..PerPrefix::default() };
            let verdict = evaluator.verdict(&asked);
            let wanted: Vec<u32> = (0..16u32).filter(|bit| place >> ((bit + 8) % 16) & 1 == 1).collect();
            let got = verdict.attrs.unwrap_or(set).communities().map(|community| community.0 & 0xff);
            assert_eq!(got.collect::<Vec<_>>(), wanted, "{asked:?}");
            let number = *numbers.entry(place).or_insert(verdict.outcome);
            assert_eq!(number, verdict.outcome, "round {round}: a number stays when the tree grows again");
        }
    }
}

#[test]
fn routes_that_pass_a_filter_of_prefixes_one_after_the_other_keep_their_own_attributes() {
    let listed = |texts: &[&str]| {
        let ranges = texts.iter().map(|text| SetOr::Inline(text.parse::<PrefixRange>().unwrap()));
        is(TestDefinition::Prefix(ranges.collect()))
    };
    let shared = policy(
        "shared",
        vec![
            statement([listed(&["192.0.2.128/25"])], [], Some(Ruling::Reject)),
            statement([listed(&["192.0.2.0/24 le 25", "203.0.113.0/24"])], [], Some(Ruling::Accept)),
        ],
    );
    let marking = statement(
        [listed(&["203.0.113.0/24"])],
        [ActionDefinition::AddCommunities(vec![AnyCommunity::Standard(Community(64500 << 16 | 1))])],
        Some(Ruling::Accept),
    );
    let library = library(vec![shared, policy("marking", vec![marking])]);
    let filter = chain(&library, &["shared"], PeerKind::External);
    let changing = chain(&library, &["marking"], PeerKind::External);
    let (context, from) = (context(Direction::Import), neighbor());
    let mut evaluator = Evaluator::new();
    // The second time round the evaluator comes from another chain, and goes back to a tree that must be grown anew.
    for (chain, path) in [(&filter, 1), (&filter, 2), (&changing, 3), (&changing, 4), (&filter, 5), (&filter, 6)] {
        let octets =
            Model { path: vec![path], communities: vec![path], med: None, local_pref: None, weight: None }.octets();
        let set = AttrSet::new(&octets);
        let facts = SetFacts::of(set);
        let route =
            Route { family: Family::IPV4_UNICAST, set, facts: &facts, source: Source::External, from: Some(&from) };
        evaluator.begin(chain, &context, &route);
        assert!(!evaluator.settled());
        for asked in ["192.0.2.128/25", "192.0.2.0/25", "192.0.2.0/24", "203.0.113.0/24", "198.51.100.0/24"] {
            let asked = prefix(asked);
            agrees(evaluator.verdict(&asked), &chain.trace(&context, &route, &asked), set);
        }
    }
}
