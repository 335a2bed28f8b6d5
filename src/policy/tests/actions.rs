//! A row for each action: what it makes of a route, in canonical octets.

use super::*;
use crate::{
    policy::{
        NextHopVerdict,
        community::AnyCommunity,
        definitions::{MedChange, NextHopChange, Prepend, PrependWho, SetOr},
        path_text,
    },
    types::RouterId,
    wire::bgp::{
        as_path::AsPath,
        attribute::{code, flag},
    },
};

use ActionDefinition as Do;

fn communities(texts: &[&str]) -> Vec<AnyCommunity> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn patterns(texts: &[&str]) -> Vec<SetOr<crate::policy::community::CommunityPattern>> {
    texts.iter().map(|text| SetOr::Inline(text.parse().unwrap())).collect()
}

/// Does `actions` to a route and gives what it is then; both roads agree, and the result is canonical.
fn done(direction: Direction, actions: Vec<Do>, before: &AttrSetBuilder) -> (AttrSetBuilder, Trace) {
    let library = library(vec![policy("p", vec![statement([], actions, Some(Ruling::Accept))])]);
    let chain = chain(&library, &["p"], PeerKind::External);
    let trace = ask(&chain, &context(direction), &before.finish(), &prefix("192.0.2.0/24"));
    let after = AttrSetBuilder::from_set(AttrSet::new(&trace.attrs));
    assert_eq!(after.finish(), trace.attrs, "ascending, once each, extended length only where needed");
    (after, trace)
}

fn imported(actions: Vec<Do>, before: &AttrSetBuilder) -> AttrSetBuilder {
    done(Direction::Import, actions, before).0
}

/// The four lists of communities as text.
fn listed(set: &AttrSetBuilder) -> String {
    let octets = set.finish();
    let set = AttrSet::new(&octets);
    let standard = set.communities().map(|community| community.to_string());
    let large = set.large_communities().map(|community| community.to_string());
    let extended = set.ext_communities().map(|c| c.to_string());
    let ipv6 = set.ipv6_ext_communities().map(|c| c.to_string());
    standard.chain(large).chain(extended).chain(ipv6).collect::<Vec<_>>().join(" ")
}

fn tagged(texts: &[&str]) -> AttrSetBuilder {
    imported(vec![Do::AddCommunities(communities(texts))], &attributes())
}

#[test]
fn communities_are_added_once_removed_by_pattern_and_replaced_by_kind() {
    let before = ["64500:1", "no-export", "64500:1:2", "64500:9:9", "rt:64500:1", "ovs:valid"];
    let all = before.join(" ");
    let rows: Vec<(Vec<Do>, String)> = vec![
        (vec![Do::AddCommunities(communities(&["64500:2"]))], all.replace("no-export", "no-export 64500:2")),
        (vec![Do::AddCommunities(communities(&["64500:1", "rt:64500:1", "64500:9:9"]))], all.clone()),
        (vec![Do::AddCommunities(communities(&["64500:2", "64500:2"]))], all.replace("no-export", "no-export 64500:2")),
        (vec![Do::RemoveCommunities(patterns(&["64500:*"]))], all.replacen("64500:1 ", "", 1)),
        (vec![Do::RemoveCommunities(patterns(&["*:*"]))], "64500:1:2 64500:9:9 rt:64500:1 ovs:valid".into()),
        (vec![Do::RemoveCommunities(patterns(&["64500:*:9", "rt:*"]))], "64500:1 no-export 64500:1:2 ovs:valid".into()),
        (vec![Do::RemoveCommunities(patterns(&["*:*", "*:*:*", "ext:*"]))], String::new()),
        (vec![Do::RemoveCommunities(patterns(&["64501:*"]))], all.clone()),
        (vec![Do::SetCommunities(communities(&["64500:3", "64500:3"]))], all.replace("64500:1 no-export", "64500:3")),
        (
            vec![Do::SetCommunities(communities(&["64500:3", "64500:3:3", "soo:64500:3"]))],
            "64500:3 64500:3:3 soo:64500:3".into(),
        ),
        // Whatever the order in the file: what is taken away goes before anything is added.
        (
            vec![Do::AddCommunities(communities(&["64500:5"])), Do::RemoveCommunities(patterns(&["*:*"]))],
            "64500:5 64500:1:2 64500:9:9 rt:64500:1 ovs:valid".into(),
        ),
    ];
    for (actions, expected) in rows {
        assert_eq!(listed(&imported(actions.clone(), &tagged(&before))), expected, "{actions:?}");
    }
    let gone = imported(vec![Do::RemoveCommunities(patterns(&["*:*"]))], &tagged(&["64500:1"]));
    assert_eq!(gone.get(code::COMMUNITIES), None, "an empty list would be malformed (RFC 7606 §7.8)");
    let long: Vec<String> = (0..100).map(|i| format!("64500:{i}")).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    assert_eq!(listed(&tagged(&long)), long.join(" "), "above 255 octets the length has two");
}

#[test]
fn extended_communities_of_an_ipv6_address_are_matched_added_and_removed() {
    // RFC 5701: attribute 25, optional and transitive.
    let (a, b, c) = ("rt:[2001:db8::1]:1", "rt:[2001:db8::1]:2", "soo:[2001:db8::2]:1");
    let before = tagged(&["64500:1", "rt:64500:1", a, c]);
    let octets = before.finish();
    let head = AttrSet::new(&octets).iter().find(|(_, code, _)| *code == code::IPV6_EXT_COMMUNITIES);
    assert_eq!(head.map(|(flags, _, value)| (flags, value.len())), Some((flag::OPTIONAL | flag::TRANSITIVE, 40)));
    let rows: &[(Do, String)] = &[
        (Do::AddCommunities(communities(&[b, a])), format!("64500:1 rt:64500:1 {a} {c} {b}")),
        (Do::SetCommunities(communities(&[b])), format!("64500:1 rt:64500:1 {b}")),
        (Do::RemoveCommunities(patterns(&["rt:*", "rt:[*]:*"])), format!("64500:1 {c}")),
        (Do::RemoveCommunities(patterns(&[a])), format!("64500:1 rt:64500:1 {c}")),
        (Do::RemoveCommunities(patterns(&["ext6:*"])), "64500:1 rt:64500:1".to_owned()),
    ];
    for (action, expected) in rows {
        assert_eq!(listed(&imported(vec![action.clone()], &before)), *expected, "{action:?}");
    }
    let gone = imported(vec![Do::RemoveCommunities(patterns(&["ext6:*"]))], &before);
    assert_eq!(gone.get(code::IPV6_EXT_COMMUNITIES), None, "no empty list");
    // (test, whether it holds)
    let asked: &[(TestDefinition, bool)] = &[
        (TestDefinition::CommunityAny(patterns(&[b, "soo:[*]:1"])), true),
        (TestDefinition::CommunityAny(patterns(&[b])), false),
        (TestDefinition::CommunityAll(patterns(&[a, "rt:64500:*", "soo:[2001:db8::2]:*"])), true),
        (TestDefinition::CommunityAll(patterns(&[a, b])), false),
        (TestDefinition::CommunityNone(patterns(&["rt:[2001:db8::2]:*", b])), true),
        (TestDefinition::CommunityNone(patterns(&["ext6:*"])), false),
    ];
    for (test, holds) in asked {
        let library = library(vec![policy("p", vec![statement([is(test.clone())], [], Some(Ruling::Accept))])]);
        let chain = chain(&library, &["p"], PeerKind::External);
        let trace = ask(&chain, &context(Direction::Import), &octets, &prefix("192.0.2.0/24"));
        assert_eq!(trace.accepted, *holds, "{test:?}");
    }
}

#[test]
fn communities_that_came_with_the_partial_bit_keep_it() {
    // RFC 4271 §5: once Partial is set it stays.
    let mut before = attributes();
    before.raw(flag::OPTIONAL | flag::TRANSITIVE | flag::PARTIAL, code::COMMUNITIES, &[0xfb, 0xf4, 0, 1]);
    let octets = imported(vec![Do::AddCommunities(communities(&["64500:2"]))], &before).finish();
    let flags = AttrSet::new(&octets).iter().find(|(_, code, _)| *code == code::COMMUNITIES).map(|(flags, _, _)| flags);
    assert_eq!(flags, Some(flag::OPTIONAL | flag::TRANSITIVE | flag::PARTIAL));
}

#[test]
fn numbers_are_set_moved_and_taken_away() {
    let lp = imported(vec![Do::LocalPref(300)], &attributes()).finish();
    assert_eq!(AttrSet::new(&lp).local_pref(), Some(300));
    for (before, change, after) in [
        (None, MedChange::Set(5), Some(5)),
        (Some(9), MedChange::Set(5), Some(5)),
        (Some(9), MedChange::Add(5), Some(14)),
        (None, MedChange::Add(5), Some(5)), // absent counts as 0 (RFC 4271 §9.1.2.2 c)
        (Some(9), MedChange::Subtract(5), Some(4)),
        (Some(3), MedChange::Subtract(5), Some(0)),
        (Some(u32::MAX), MedChange::Add(5), Some(u32::MAX)),
        (Some(9), MedChange::Remove, None),
        (None, MedChange::Remove, None),
    ] {
        let mut set = attributes();
        before.into_iter().for_each(|med| _ = set.med(med));
        let octets = imported(vec![Do::Med(change)], &set).finish();
        assert_eq!(AttrSet::new(&octets).med(), after, "{before:?} {change:?}");
    }
    let octets = imported(vec![Do::Origin(Origin::Incomplete)], &attributes()).finish();
    assert_eq!(AttrSet::new(&octets).origin(), Some(Origin::Incomplete));
    let (_, trace) = done(Direction::Import, vec![Do::Weight(7)], &attributes());
    assert_eq!((trace.weight, trace.attrs), (Some(7), attributes().finish()), "weight is no attribute");
}

#[test]
fn paths_are_prepended_and_stripped() {
    let own = |times| Do::Prepend(Prepend { who: PrependWho::Own, times });
    let last = |times| Do::Prepend(Prepend { who: PrependWho::LastAs, times });
    let other = |times| Do::Prepend(Prepend { who: PrependWho::Asn(Asn(64499)), times });
    let strip = || Do::StripPrivateAsns;
    let rows: Vec<(&str, Vec<Do>, &str)> = vec![
        ("64496 64500", vec![own(2)], "64511 64511 64496 64500"),
        ("", vec![own(1)], "64511"),
        ("{64500}", vec![own(1)], "64511 {64500}"), // RFC 4271 §5.1.2 b 2
        ("(64512) 64496", vec![own(1)], "64511 (64512) 64496"),
        ("64496 64500", vec![last(2)], "64496 64496 64496 64500"),
        ("", vec![last(2)], ""),
        ("64496", vec![other(3)], "64499 64499 64499 64496"),
        // RFC 6996 §5.
        ("64496 64512 65534 64500 4200000000", vec![strip()], "64496 64500"),
        ("64512", vec![strip()], ""),
        ("64496 {64512,64500} {65000}", vec![strip()], "64496 {64500}"),
        ("64496 64500", vec![strip()], "64496 64500"),
        ("(64512) 64513", vec![strip()], "(64512)"), // a confederation is made of them
        ("64512 64496", vec![last(1), strip()], "64496 64496"),
    ];
    for (before, actions, after) in rows {
        let mut set = attributes();
        set.as_path(AsPath::new(&path_text::parse(before).unwrap()));
        let octets = imported(actions.clone(), &set).finish();
        assert_eq!(AttrSet::new(&octets).as_path().to_string(), after, "`{before}` {actions:?}");
    }
    // RFC 4271 §4.3: a segment holds 255.
    let mut full = attributes();
    full.as_path_sequence(&[Asn(64496); 254]);
    for (times, segments) in [(1, 1), (2, 2)] {
        let octets = imported(vec![own(times)], &full).finish();
        let path = AttrSet::new(&octets).as_path();
        assert_eq!((path.segments().count(), path.path_length()), (segments, 254 + u32::from(times)));
    }
}

#[test]
fn the_next_hop_is_set_on_import_and_told_to_export() {
    use NextHopVerdict::{Explicit, Own, Standard, Unchanged};
    let address = |text: &str| NextHopChange::Address(text.parse().unwrap());
    let rows = [
        // (direction, change, next hop in the attributes, what export must do)
        (Direction::Import, NextHopChange::Own, "192.0.2.254", Standard),
        (Direction::Import, NextHopChange::Unchanged, "192.0.2.1", Standard),
        (Direction::Import, address("198.51.100.1"), "198.51.100.1", Standard),
        (Direction::Import, address("2001:db8::9"), "2001:db8::9", Standard), // RFC 8950
        (Direction::Export, NextHopChange::Own, "192.0.2.1", Own),
        (Direction::Export, NextHopChange::Unchanged, "192.0.2.1", Unchanged),
        (Direction::Export, address("198.51.100.1"), "198.51.100.1", Explicit),
        (Direction::Export, address("192.0.2.1"), "192.0.2.1", Explicit),
    ];
    for (direction, change, next_hop, verdict) in rows {
        let (after, trace) = done(direction, vec![Do::NextHop(change)], &attributes());
        let octets = after.finish();
        assert_eq!(AttrSet::new(&octets).next_hop(), Some(NextHop::new(next_hop.parse().unwrap())), "{change:?}");
        assert_eq!(trace.next_hop, verdict, "{direction:?} {change:?}");
    }
}

/// The next hop that a route of `family` has after it was set to `address`.
fn next_hop_of(family: Family, before: &AttrSetBuilder, address: &str) -> AttrSetBuilder {
    let action = Do::NextHop(NextHopChange::Address(address.parse().unwrap()));
    let library = library(vec![policy("p", vec![statement([], [action], Some(Ruling::Accept))])]);
    let chain = chain(&library, &["p"], PeerKind::External);
    let octets = before.finish();
    let (set, from) = (AttrSet::new(&octets), neighbor());
    let facts = SetFacts::of(set);
    let route = Route { family, set, facts: &facts, source: Source::External, from: Some(&from) };
    let trace = ask_route(&chain, &context(Direction::Export), &route, &PerPrefix::default());
    AttrSetBuilder::from_set(AttrSet::new(&trace.attrs))
}

#[test]
fn each_family_has_its_own_form_of_a_next_hop() {
    for (family, address) in [
        (Family::IPV4_UNICAST, "198.51.100.1"),
        (Family::IPV4_UNICAST, "2001:db8::9"),
        (Family::IPV6_UNICAST, "2001:db8::9"),
        (Family::IPV4_MULTICAST, "198.51.100.1"),
        (Family::VPNV4, "198.51.100.1"), // RFC 4364 §4.3.2: with a route distinguisher of zeros
        (Family::VPNV6, "2001:db8::9"),
    ] {
        let mut before = attributes();
        before.next_hop(family, NextHop::new("2001:db8::1".parse().unwrap())).originator_id(RouterId(1));
        let mut expected = before.clone();
        expected.next_hop(family, NextHop::new(address.parse().unwrap()));
        assert_eq!(next_hop_of(family, &before, address).finish(), expected.finish(), "{family} {address}");
    }
    let mut flowspec = attributes();
    flowspec.remove(code::NEXT_HOP).mp_next_hop(Family::IPV4_FLOWSPEC, &[]);
    let after = next_hop_of(Family::IPV4_FLOWSPEC, &flowspec, "198.51.100.1");
    assert_eq!(after.finish(), flowspec.finish(), "a flow specification has none (RFC 8955 §4)");
    let mut v6 = attributes();
    v6.next_hop(Family::IPV6_UNICAST, NextHop::new("2001:db8::1".parse().unwrap()));
    assert_eq!(next_hop_of(Family::IPV6_UNICAST, &v6, "198.51.100.1").finish(), v6.finish());
}

#[test]
fn a_statement_sees_what_the_ones_before_it_did() {
    let high = is(TestDefinition::LocalPref(vec![">= 200".parse().unwrap()]));
    let tagged = is(TestDefinition::CommunityAny(patterns(&["64500:1"])));
    let library = library(vec![policy(
        "p",
        vec![
            statement([], [Do::LocalPref(200)], None),
            statement([high], [Do::AddCommunities(communities(&["64500:1"]))], None),
            statement([tagged], [Do::Med(MedChange::Set(1))], Some(Ruling::Accept)),
        ],
    )]);
    let chain = chain(&library, &["p"], PeerKind::External);
    let trace = ask(&chain, &context(Direction::Import), &attributes().finish(), &prefix("192.0.2.0/24"));
    assert!(trace.accepted);
    let told: Vec<String> = trace.matched.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "p/1: local_pref none -> 200, goes on",
            "p/2: communities none -> 64500:1, goes on",
            "p/3: med none -> 1, accepts"
        ]
    );
}
