//! A row for each match: what it asks, a route that meets it, one that does not.

use super::*;
use crate::{
    policy::{
        AspaState, Validation,
        community::CommunityPattern,
        definitions::{RouteType, SetDefinition, SetOr},
        values::{MaybeNumber, NumberRange, PrefixRange},
    },
    wire::bgp::{
        as_path::AsPath,
        attribute::code,
        community::{Community, LargeCommunity},
    },
};

/// A route of a test; what is not said is that of [`attributes`], imported from [`neighbor`].
struct Asked {
    set: AttrSetBuilder,
    family: Family,
    source: Source,
    context: Context,
    from: Option<NeighborFacts>,
    prefix: PerPrefix,
}

type Change<'a> = &'a dyn Fn(&mut Asked);

fn asked(change: Change<'_>) -> Asked {
    let mut asked = Asked {
        set: attributes(),
        family: Family::IPV4_UNICAST,
        source: Source::External,
        context: context(Direction::Import),
        from: Some(neighbor()),
        prefix: prefix("192.0.2.0/24"),
    };
    change(&mut asked);
    asked
}

/// Sets of each kind, called `s`.
fn sets() -> Definitions {
    fn set<T>(members: Vec<T>) -> Vec<SetDefinition<T>> {
        vec![SetDefinition { name: marked("s".to_owned()), members }]
    }
    Definitions {
        prefix_sets: set(vec!["192.0.2.0/24 le 26".parse().unwrap(), "2001:db8::/32+".parse().unwrap()]),
        as_sets: set(vec!["64500-64502".parse().unwrap()]),
        as_path_sets: set(vec![marked("^64496_".to_owned()), marked("_64499_.*$".to_owned())]),
        community_sets: set(vec!["64500:1".parse().unwrap(), "64500:7:*".parse().unwrap()]),
        neighbor_sets: set(vec!["edge-1".parse().unwrap(), "198.51.100.0/24".parse().unwrap()]),
        policies: Vec::new(),
    }
}

fn matches(test: &TestDefinition, negated: bool, asked: &Asked) -> bool {
    let condition = if negated { ConditionDefinition { negated: true, ..is(test.clone()) } } else { is(test.clone()) };
    let policies = vec![policy("p", vec![statement([condition], [], Some(Ruling::Accept))])];
    let library = Library::compile(&Definitions { policies, ..sets() }).unwrap();
    let chain = chain(&library, &["p"], PeerKind::External);
    let octets = asked.set.finish();
    let set = AttrSet::new(&octets);
    let facts = SetFacts::of(set);
    let route = Route { family: asked.family, set, facts: &facts, source: asked.source, from: asked.from.as_ref() };
    ask_route(&chain, &asked.context, &route, &asked.prefix).accepted
}

fn named<T>() -> Vec<SetOr<T>> {
    vec![SetOr::Named(marked("s".to_owned()))]
}

fn inline<T: std::str::FromStr<Err: std::fmt::Debug>>(members: &[&str]) -> Vec<SetOr<T>> {
    members.iter().map(|text| SetOr::Inline(text.parse().unwrap())).collect()
}

fn ranges(texts: &[&str]) -> Vec<NumberRange> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn numbers(texts: &[&str]) -> Vec<MaybeNumber> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn path(octets: &[u8]) -> impl Fn(&mut Asked) {
    move |asked| _ = asked.set.as_path(AsPath::new(octets))
}

#[test]
fn each_match_finds_what_it_asks_for_and_its_negation_the_rest() {
    use TestDefinition as Ask;
    let as_is: Change<'_> = &|_| ();
    let with_prefix = |text: &'static str| move |asked: &mut Asked| asked.prefix = prefix(text);
    // AS_SET {64500,64501} behind 64496; a confederation's 64512 in front of 64496.
    let (with_set, confed) = (
        [2, 1, 0, 0, 0xfb, 0xf0, 1, 2, 0, 0, 0xfb, 0xf4, 0, 0, 0xfb, 0xf5],
        [3, 1, 0, 0, 0xfc, 0, 2, 1, 0, 0, 0xfb, 0xf0],
    );
    let tagged: Change<'_> = &|asked| {
        asked.set.communities(&[Community(0xfbf4_0001), Community::NO_EXPORT]);
        asked.set.large_communities(&[LargeCommunity { global: 64500, local1: 7, local2: 9 }]);
        asked.set.ext_communities(&["rt:64500:1".parse().unwrap()]);
    };
    let inside: Change<'_> = &|asked| asked.context.neighbor.kind = PeerKind::Internal;
    let ours: Change<'_> = &|asked| (asked.source, asked.from) = (Source::Local, None);
    let exported: Change<'_> = &|asked| {
        asked.context = context(Direction::Export);
        asked.context.neighbor = NeighborFacts {
            address: "198.51.100.9".parse().unwrap(),
            asn: Asn(64499),
            name: "peer-9".into(),
            group: None,
            kind: PeerKind::External,
            role: Some(Role::Peer),
        };
    };
    let rows: &[(Ask, Change<'_>, bool)] = &[
        // Prefixes: sets, members beside them, lengths, families.
        (Ask::Prefix(named()), as_is, true),
        (Ask::Prefix(named()), &with_prefix("192.0.2.64/26"), true),
        (Ask::Prefix(named()), &with_prefix("192.0.2.64/27"), false),
        (Ask::Prefix(named()), &with_prefix("2001:db8:1::/48"), true),
        (Ask::Prefix(inline::<PrefixRange>(&["203.0.113.0/24"])), as_is, false),
        (Ask::Prefix([named(), inline(&["203.0.113.0/24"])].concat()), &with_prefix("203.0.113.0/24"), true),
        (Ask::Prefix(named()), &|asked| asked.prefix.prefix = None, false), // nothing that has no prefix is in a set
        // Next hops: an address is itself, a set covers.
        (Ask::NextHop(inline(&["192.0.2.1/32"])), as_is, true),
        (Ask::NextHop(inline(&["192.0.2.2/32"])), as_is, false),
        (Ask::NextHop(named()), as_is, true),
        (Ask::NextHop(named()), &|asked| _ = asked.set.remove(code::NEXT_HOP), false),
        (
            Ask::NextHop(named()),
            &|asked| {
                asked.family = Family::IPV6_UNICAST;
                asked.set.next_hop(Family::IPV6_UNICAST, NextHop::new("2001:db8::9".parse().unwrap()));
            },
            true,
        ),
        // Paths. RFC 4271 §9.1.2.2 a: an AS_SET counts one; RFC 5065 §5.3: confederations nothing.
        (Ask::PathLength(ranges(&["2"])), as_is, true),
        (Ask::PathLength(ranges(&["<= 1", ">= 3"])), as_is, false),
        (Ask::PathLength(ranges(&["2"])), &path(&with_set), true),
        (Ask::PathLength(ranges(&["1"])), &path(&confed), true),
        (Ask::PathLength(ranges(&["0"])), &path(&[]), true),
        (Ask::AsPath(named()), as_is, true),
        (Ask::AsPath(named()), &path(&confed), false),
        (Ask::AsPath(vec![SetOr::Inline(marked("_64500$".to_owned()))]), as_is, true),
        (Ask::AsPath(vec![SetOr::Inline(marked("^$".to_owned()))]), as_is, false),
        (Ask::OriginAs(named()), as_is, true),
        (Ask::OriginAs(inline(&["64496"])), as_is, false),
        (Ask::OriginAs(named()), &path(&with_set), false), // RFC 6811 §2: a set is the origin of nobody
        (Ask::OriginAs(named()), &path(&[]), false),
        (Ask::NeighborAs(inline(&["64496"])), as_is, true),
        (Ask::NeighborAs(named()), as_is, false),
        (Ask::NeighborAs(inline(&["64496"])), &path(&confed), true),
        (Ask::HasAsSet(true), &path(&with_set), true),
        (Ask::HasAsSet(true), as_is, false),
        (Ask::HasAsSet(false), as_is, true),
        // Communities of three kinds.
        (Ask::CommunityAny(named()), tagged, true),
        (Ask::CommunityAny(named()), as_is, false),
        (Ask::CommunityAny(inline(&["64500:2", "no-export"])), tagged, true),
        (Ask::CommunityAny(inline(&["64500:2", "rt:64500:*"])), tagged, true),
        (Ask::CommunityAny(inline(&["64500:2", "64501:*:*"])), tagged, false),
        (Ask::CommunityAll(named()), tagged, true),
        (Ask::CommunityAll([named(), inline(&["no-export", "ext:*"])].concat()), tagged, true),
        (Ask::CommunityAll([named(), inline(&["no-peer"])].concat()), tagged, false),
        (Ask::CommunityNone(named()), as_is, true),
        (Ask::CommunityNone(named()), tagged, false),
        (Ask::CommunityNone(inline::<CommunityPattern>(&["64500:2"])), tagged, true),
        (Ask::CommunityCount(ranges(&["2"])), tagged, true),
        (Ask::CommunityCount(ranges(&["0"])), as_is, true),
        (Ask::LargeCommunityCount(ranges(&[">= 2"])), tagged, false),
        (Ask::ExtCommunityCount(ranges(&["1"])), tagged, true),
        // Numbers that may be absent: a range asks for presence.
        (Ask::Med(numbers(&["<= 10"])), as_is, false),
        (Ask::Med(numbers(&["none"])), as_is, true),
        (Ask::Med(numbers(&["none", "5-10"])), &|asked| _ = asked.set.med(7), true),
        (Ask::Med(numbers(&["none", "5-10"])), &|asked| _ = asked.set.med(11), false),
        (Ask::LocalPref(numbers(&[">= 100"])), &|asked| _ = asked.set.local_pref(100), true),
        (Ask::LocalPref(numbers(&[">= 100"])), as_is, false),
        (Ask::Origin(vec![Origin::Igp, Origin::Egp]), as_is, true),
        (Ask::Origin(vec![Origin::Incomplete]), as_is, false),
        // Where from and where to.
        (Ask::Family(vec![Family::IPV4_UNICAST]), as_is, true),
        (Ask::Family(vec![Family::IPV6_UNICAST]), as_is, false),
        (Ask::Neighbor(named()), as_is, true),
        (Ask::Neighbor(named()), exported, true), // 198.51.100.9 is inside 198.51.100.0/24
        (Ask::Neighbor(inline(&["edge-2", "AS64499"])), as_is, false),
        (Ask::Neighbor(inline(&["AS64496"])), as_is, true),
        (Ask::Neighbor(inline(&["group:customers"])), as_is, true),
        (Ask::Neighbor(inline(&["group:customers"])), exported, false),
        (Ask::From(inline(&["edge-1"])), exported, true),
        (Ask::From(inline(&["peer-9"])), exported, false),
        (Ask::From(named()), ours, false), // what is ours comes from nobody
        (Ask::NeighborRole(vec![Role::Customer]), as_is, true),
        (Ask::NeighborRole(vec![Role::Customer]), exported, false),
        (Ask::FromRole(vec![Role::Customer]), exported, true),
        (Ask::FromRole(vec![Role::Customer, Role::Peer]), ours, false),
        (Ask::RouteType(vec![RouteType::External]), as_is, true),
        (Ask::RouteType(vec![RouteType::Local]), ours, true),
        (Ask::RouteType(vec![RouteType::External, RouteType::Local]), &|asked| asked.source = Source::Internal, false),
        (Ask::RouteType(vec![RouteType::External]), inside, true), // it is the route that counts, not the session
        // What others found out.
        (Ask::Validation(vec![Validation::NotChecked]), as_is, true),
        (Ask::Validation(vec![Validation::Invalid]), &|asked| asked.prefix.validation = Validation::Valid, false),
        (Ask::Validation(vec![Validation::Invalid]), &|asked| asked.prefix.validation = Validation::Invalid, true),
        (
            Ask::Aspa(vec![AspaState::Invalid, AspaState::Unknown]),
            &|asked| asked.prefix.aspa = AspaState::Unknown,
            true,
        ),
        (Ask::Aspa(vec![AspaState::Invalid]), as_is, false),
    ];
    for (number, (test, change, expected)) in rows.iter().enumerate() {
        let asked = asked(*change);
        assert_eq!(matches(test, false, &asked), *expected, "row {number}: {test:?}");
        assert_eq!(matches(test, true, &asked), !expected, "row {number}, negated: {test:?}");
    }
}

#[test]
fn all_conditions_of_a_statement_must_hold() {
    let both = |first: TestDefinition, second: TestDefinition| {
        let library = library(vec![policy("p", vec![statement([is(first), is(second)], [], Some(Ruling::Accept))])]);
        let chain = chain(&library, &["p"], PeerKind::External);
        ask(&chain, &context(Direction::Import), &attributes().finish(), &prefix("192.0.2.0/24")).accepted
    };
    let (yes, no) = (TestDefinition::PathLength(ranges(&["2"])), TestDefinition::PathLength(ranges(&["3"])));
    let prefix = |text: &str| TestDefinition::Prefix(inline(&[text]));
    assert!(both(yes.clone(), prefix("192.0.2.0/24")));
    assert!(!both(yes.clone(), prefix("192.0.3.0/24")));
    assert!(!both(no, prefix("192.0.2.0/24")));
    assert!(!both(yes, TestDefinition::Family(vec![Family::IPV6_UNICAST])));
}
