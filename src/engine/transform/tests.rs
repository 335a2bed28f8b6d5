//! The rules as tables: a row is a case, its comment the clause.

use super::*;
use crate::{
    policy::NextHopVerdict,
    wire::bgp::{
        attribute::{AttrSetBuilder, NextHop, Origin},
        community::{Community, ExtCommunity},
    },
};

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;
const IBGP: Relation = Relation::Internal { client: false };
const CLIENT: Relation = Relation::Internal { client: true };
const OURS: &str = "192.0.2.254";

fn rules(to: Relation) -> ExportRules {
    ExportRules {
        to,
        transparent: false,
        local_asn: Asn(64512),
        behind: None,
        peer_asn: None,
        override_as: false,
        remove_private: None,
        local_address: OURS.parse().unwrap(),
        link: None,
        link_local: None,
        next_hop: NextHopRule::Standard,
        extended_next_hop: Vec::new(),
        cluster_id: RouterId(0xc000_02fe),
        role: None,
        graceful_shutdown: false,
        aigp: false,
        validation_state: false,
        long_lived: false,
    }
}

fn tell(octets: &[u8], family: Family, learned: Learned, rules: &ExportRules) -> Result<Vec<u8>, Withheld> {
    let set = AttrSet::new(octets);
    withheld(set, family, learned, rules)?;
    let mut out = vec![1, 2, 3]; // is replaced
    transform(Outbound::unchanged(set), family, learned, rules, &mut out)?;
    Ok(out)
}

fn sent(set: &AttrSetBuilder, source: Source, rules: &ExportRules) -> Result<Vec<u8>, Withheld> {
    tell(&set.finish(), V4, Learned::new(source), rules)
}

fn route() -> AttrSetBuilder {
    let mut set = AttrSetBuilder::new();
    set.origin(Origin::Igp).as_path_sequence(&[Asn(64496)]);
    set.next_hop(V4, NextHop::new("198.51.100.7".parse().unwrap()));
    set
}

/// AS_PATH octets of segments.
fn segments(list: &[(u8, &[u32])]) -> Vec<u8> {
    let mut path = Vec::new();
    for (kind, asns) in list {
        path.extend([*kind, asns.len() as u8]);
        asns.iter().for_each(|asn| path.extend(asn.to_be_bytes()));
    }
    path
}

#[test]
fn as_path_by_relation_and_option() {
    const EBGP: Relation = Relation::External;
    const CONFED: Relation = Relation::Confederation;
    type Change = fn(&mut ExportRules);
    let none: Change = |_| ();
    let hidden: Change = |r| r.behind = Some(Asn(64500)); // local-as: both are seen
    let route_server: Change = |r| r.transparent = true;
    let all: Change = |r| (r.remove_private, r.peer_asn) = (Some(RemovePrivate::All), Some(Asn(65001)));
    let replace: Change = |r| (r.remove_private, r.peer_asn) = (Some(RemovePrivate::Replace), Some(Asn(65001)));
    let over: Change = |r| (r.override_as, r.peer_asn) = (true, Some(Asn(65001)));
    let full = [64497; 255];
    let long: Vec<u32> = [64512].into_iter().chain([64497; 255]).collect();
    type Row<'a> = (Relation, Change, &'a [(u8, &'a [u32])], &'a [(u8, &'a [u32])]);
    let rows: &[Row<'_>] = &[
        // RFC 4271 §5.1.2 a): IBGP, unmodified.
        (IBGP, none, &[(2, &[64496])], &[(2, &[64496])]),
        (CLIENT, none, &[(3, &[65010]), (2, &[64496])], &[(3, &[65010]), (2, &[64496])]),
        // b) 1): in the first sequence; 3): the empty path; 2): in front of a set.
        (EBGP, none, &[(2, &[64496])], &[(2, &[64512, 64496])]),
        (EBGP, none, &[], &[(2, &[64512])]),
        (EBGP, none, &[(1, &[64496, 64497])], &[(2, &[64512]), (1, &[64496, 64497])]),
        // 255 is the most a segment can hold (RFC 4271 §4.3): a new one is put in front.
        (EBGP, none, &[(2, &full)], &[(2, &long[..1]), (2, &full)]),
        // RFC 5065 §4.1: our member AS in a sequence of its own kind.
        (CONFED, none, &[(2, &[64496])], &[(3, &[64512]), (2, &[64496])]),
        (CONFED, none, &[(3, &[65010]), (2, &[64496])], &[(3, &[64512, 65010]), (2, &[64496])]),
        (CONFED, none, &[], &[(3, &[64512])]),
        // RFC 5065 §4.1: outside nobody sees members.
        (EBGP, none, &[(3, &[65010, 65011]), (2, &[64496])], &[(2, &[64512, 64496])]),
        (EBGP, none, &[(3, &[65010]), (4, &[65012])], &[(2, &[64512])]),
        // local-as.
        (EBGP, hidden, &[(2, &[64496])], &[(2, &[64512, 64500, 64496])]),
        (EBGP, hidden, &[], &[(2, &[64512, 64500])]),
        // RFC 7947 §2.2.2.1.
        (EBGP, route_server, &[(2, &[64496])], &[(2, &[64496])]),
        (EBGP, route_server, &[(3, &[65010]), (2, &[64496])], &[(2, &[64496])]),
        // Private ASNs (RFC 6996 §5), wherever they stand, but not the neighbour's own.
        (EBGP, all, &[(2, &[65002, 64496, 65003, 4_200_000_000])], &[(2, &[64512, 64496])]),
        (EBGP, all, &[(2, &[65001, 65002])], &[(2, &[64512, 65001])]),
        (EBGP, all, &[(2, &[65002]), (1, &[65003])], &[(2, &[64512])]),
        (EBGP, all, &[(2, &[64511, 65535, 4_294_967_295])], &[(2, &[64512, 64511, 65535, 4_294_967_295])]),
        (EBGP, replace, &[(2, &[65002, 64496, 65003])], &[(2, &[64512, 64512, 64496, 64512])]),
        // as-override.
        (EBGP, over, &[(2, &[64496, 65001, 65001])], &[(2, &[64512, 64496, 64512, 64512])]),
    ];
    for (to, change, before, after) in rows {
        let mut rules = rules(*to);
        change(&mut rules);
        let octets = sent(route().raw(0x40, code::AS_PATH, &segments(before)), Source::External, &rules).unwrap();
        let got = AttrSet::new(&octets).get(code::AS_PATH).unwrap();
        assert_eq!(got, segments(after), "{to:?} {before:?}");
    }
}

#[test]
fn well_known_communities_hold_routes_back() {
    const ALL: [Relation; 3] = [Relation::External, Relation::Confederation, IBGP];
    // (community, sent to EBGP, another member AS, IBGP)
    let rows = [
        (Community::NO_EXPORT, [false, true, true]),            // RFC 1997
        (Community::NO_EXPORT_SUBCONFED, [false, false, true]), // RFC 1997
        (Community::NO_ADVERTISE, [false; 3]),                  // RFC 1997
        (Community::BLACKHOLE, [false, true, true]),            // RFC 7999 §3.2
        (Community::GRACEFUL_SHUTDOWN, [true; 3]),              // RFC 8326 §4: kept, others act on it, too
        (Community::NO_PEER, [true; 3]),                        // RFC 3765: advice
        (Community::NO_LLGR, [true; 3]),                        // RFC 9494 §4.2: about keeping, not about telling
        (Community(0xfbf0_0001), [true; 3]),
    ];
    for (community, passes) in rows {
        for (to, passes) in ALL.into_iter().zip(passes) {
            let mut set = route();
            set.communities(&[Community(1), community]);
            let got = sent(&set, Source::External, &rules(to)).map(|_| ());
            assert_eq!(got, if passes { Ok(()) } else { Err(Withheld::Community) }, "{community} {to:?}");
            // RFC 7947 §2.2.4: meant for the clients of a route server, not for the server.
            let transparent = ExportRules { transparent: true, ..rules(Relation::External) };
            let octets = sent(&set, Source::External, &transparent).unwrap();
            assert!(AttrSet::new(&octets).communities().any(|other| other == community));
        }
    }
    let mut blackhole = route();
    blackhole.communities(&[Community::BLACKHOLE]);
    assert!(sent(&blackhole, Source::Local, &rules(Relation::External)).is_ok(), "ours is there to be told");
}

#[test]
fn otc_leads_downwards_only() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
    let with = |otc: Option<u32>, role: Option<Role>, to: Relation| {
        let mut set = route();
        if let Some(asn) = otc {
            set.otc(Asn(asn));
        }
        let rules = ExportRules { role, ..rules(to) };
        sent(&set, Source::External, &rules).map(|octets| AttrSet::new(&octets).otc().map(|asn| asn.0))
    };
    // Our role, what becomes of a route without OTC, and of one with (RFC 9234 §5).
    let rows = [
        (Some(Provider), Ok(Some(64512)), Ok(Some(64499))),
        (Some(RouteServer), Ok(Some(64512)), Ok(Some(64499))),
        (Some(Peer), Ok(Some(64512)), Err(Withheld::Otc)),
        (Some(Customer), Ok(None), Err(Withheld::Otc)),
        (Some(RouteServerClient), Ok(None), Err(Withheld::Otc)),
        (None, Ok(None), Ok(Some(64499))),
    ];
    for (role, without, had) in rows {
        assert_eq!(with(None, role, Relation::External), without, "{role:?}");
        assert_eq!(with(Some(64499), role, Relation::External), had, "{role:?}");
        assert_eq!(with(Some(64499), role, IBGP), Ok(Some(64499)), "RFC 9234 §5: EBGP only");
    }
    // IPv4 and IPv6 unicast only.
    let mut multicast = AttrSetBuilder::new();
    let family = Family::new(1, 2);
    multicast
        .origin(Origin::Igp)
        .as_path_sequence(&[])
        .next_hop(family, NextHop::new(OURS.parse().unwrap()))
        .otc(Asn(1));
    let rules = ExportRules { role: Some(Customer), ..rules(Relation::External) };
    assert!(tell(&multicast.finish(), family, Learned::new(Source::External), &rules).is_ok());
}

#[test]
fn reflection_between_clients_and_the_others() {
    // (from a client, to a client, reflected): RFC 4456 §6.
    let rows = [(false, false, false), (false, true, true), (true, false, true), (true, true, true)];
    let learned = |client| Learned { client, router_id: RouterId(7), ..Learned::new(Source::Internal) };
    for (from, to, reflected) in rows {
        let rules = rules(Relation::Internal { client: to });
        let mut set = route();
        set.local_pref(200).med(3);
        let got = tell(&set.finish(), V4, learned(from), &rules);
        if !reflected {
            assert_eq!(got, Err(Withheld::InternalToInternal));
            continue;
        }
        let octets = got.unwrap();
        let got = AttrSet::new(&octets);
        // §8: who brought it into the AS, and by which cluster it went.
        assert_eq!(got.originator_id(), Some(RouterId(7)));
        assert_eq!(got.cluster_list().collect::<Vec<_>>(), [RouterId(0xc000_02fe)]);
        // §10: nothing else is touched.
        assert_eq!(got.next_hop().unwrap().to_string(), "198.51.100.7");
        assert_eq!((got.local_pref(), got.med(), got.as_path().path_length()), (Some(200), Some(3), 1));
    }
    let mut again = route();
    again.originator_id(RouterId(9)).cluster_list(&[RouterId(1), RouterId(2)]);
    let rules = ExportRules { next_hop: NextHopRule::OwnAddress, ..rules(CLIENT) };
    let octets = tell(&again.finish(), V4, learned(false), &rules).unwrap();
    let got = AttrSet::new(&octets);
    assert_eq!(got.originator_id(), Some(RouterId(9)), "RFC 4456 §8: not overwritten");
    assert_eq!(got.cluster_list().collect::<Vec<_>>(), [RouterId(0xc000_02fe), RouterId(1), RouterId(2)]);
    assert_eq!(got.next_hop().unwrap().to_string(), "198.51.100.7", "RFC 4456 §10");
    // Out of the AS both go; towards IBGP from EBGP they would not be ours.
    let octets = tell(&again.finish(), V4, learned(true), &super::tests::rules(Relation::External)).unwrap();
    assert!(AttrSet::new(&octets).originator_id().is_none() && AttrSet::new(&octets).cluster_list().len() == 0);
}

#[test]
fn next_hop_by_relation_rule_and_policy() {
    use NextHopVerdict::{Explicit, Own, Standard as NoWord, Unchanged};
    const V6_HOP: &str = "2001:db8::7";
    const KEPT: &str = "198.51.100.7";
    // (to, setting, policy, received, sent)
    type Row<'a> = (Relation, NextHopRule, NextHopVerdict, &'a str, Option<&'a str>);
    let rows: &[Row<'_>] = &[
        (IBGP, NextHopRule::Standard, NoWord, KEPT, Some(KEPT)), // RFC 4271 §5.1.3 item 1
        (Relation::Confederation, NextHopRule::Standard, NoWord, KEPT, Some(KEPT)), // RFC 5065 §5.2
        (Relation::External, NextHopRule::Standard, NoWord, KEPT, Some(OURS)), // §5.1.3 item 2
        (IBGP, NextHopRule::OwnAddress, NoWord, KEPT, Some(OURS)),
        (Relation::External, NextHopRule::Unchanged, NoWord, KEPT, Some(KEPT)),
        (Relation::External, NextHopRule::OwnAddress, Unchanged, KEPT, Some(KEPT)),
        (Relation::External, NextHopRule::Standard, Explicit, KEPT, Some(KEPT)),
        (IBGP, NextHopRule::Unchanged, Own, KEPT, Some(OURS)),
        // None of ours to keep: our address.
        (IBGP, NextHopRule::Standard, NoWord, "0.0.0.0", Some(OURS)),
        (Relation::External, NextHopRule::Unchanged, NoWord, "0.0.0.0", Some(OURS)),
        // RFC 8950 §4 was not negotiated.
        (IBGP, NextHopRule::Standard, NoWord, V6_HOP, None),
    ];
    for (to, rule, verdict, received, expected) in rows {
        let rules = ExportRules { next_hop: *rule, ..rules(*to) };
        let mut set = route();
        set.next_hop(V4, NextHop::new(received.parse().unwrap()));
        let octets = set.finish();
        let route = Outbound { next_hop: *verdict, ..Outbound::unchanged(AttrSet::new(&octets)) };
        let mut out = Vec::new();
        let got = transform(route, V4, Learned::new(Source::External), &rules, &mut out);
        let got = got.map(|()| AttrSet::new(&out).next_hop().unwrap().to_string());
        assert_eq!(got, expected.map(str::to_owned).ok_or(Withheld::NoNextHop), "{to:?} {rule:?} {verdict:?}");
    }
    let transparent = ExportRules { transparent: true, ..rules(Relation::External) };
    let octets = sent(&route(), Source::External, &transparent).unwrap();
    assert_eq!(AttrSet::new(&octets).next_hop().unwrap().to_string(), KEPT, "RFC 7947 §2.2.1");
}

#[test]
fn third_party_next_hops() {
    use NextHopVerdict::{Own, Standard as NoWord};
    const THIRD: &str = "192.0.2.7";
    const FAR: &str = "198.51.100.7";
    const NO_RULE: NextHopRule = NextHopRule::Standard;
    // (to, learned by, setting, policy, received, sent): RFC 4271 §5.1.3 item 2 where nothing else is named. All are on
    // 192.0.2.0/24 with us.
    type Row<'a> = (Relation, Source, NextHopRule, NextHopVerdict, &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        (Relation::External, Source::External, NO_RULE, NoWord, THIRD, THIRD), // the second form
        (Relation::External, Source::Internal, NO_RULE, NoWord, THIRD, THIRD), // the first form
        (Relation::External, Source::External, NO_RULE, NoWord, FAR, OURS), // "shares a common subnet with this address"
        (Relation::External, Source::External, NextHopRule::OwnAddress, NoWord, THIRD, OURS), // "the capability to disable"
        (Relation::External, Source::External, NO_RULE, Own, THIRD, OURS),
        (Relation::External, Source::Local, NO_RULE, NoWord, THIRD, OURS), // perhaps the neighbour's own: "SHALL NOT"
        (Relation::External, Source::External, NO_RULE, NoWord, "0.0.0.0", OURS),
        (IBGP, Source::External, NO_RULE, NoWord, FAR, FAR), // item 1
        (IBGP, Source::External, NextHopRule::OwnAddress, NoWord, THIRD, OURS),
    ];
    let link = Some(Link { subnet: "192.0.2.0/24".parse().unwrap(), link_local: None });
    for row @ (to, source, rule, verdict, received, expected) in rows {
        let mut set = route();
        set.next_hop(V4, NextHop::new(received.parse().unwrap()));
        let octets = set.finish();
        let route = Outbound { next_hop: *verdict, ..Outbound::unchanged(AttrSet::new(&octets)) };
        let told = |link| {
            let mut out = Vec::new();
            let rules = ExportRules { next_hop: *rule, link, ..rules(*to) };
            transform(route, V4, Learned::new(*source), &rules, &mut out).unwrap();
            AttrSet::new(&out).next_hop().unwrap().to_string()
        };
        assert_eq!(told(link), *expected, "{row:?}");
        // Item 3: whoever is more than one hop away gets our own address from EBGP.
        assert!(*to != Relation::External || told(None) == OURS, "{row:?}");
    }
}

#[test]
fn ipv6_next_hops() {
    let set = |global: &str, link_local: Option<&str>| {
        let mut set = AttrSetBuilder::new();
        let link_local = link_local.map(|address| address.parse().unwrap());
        set.origin(Origin::Igp).as_path_sequence(&[Asn(64496)]);
        set.next_hop(V6, NextHop { global: global.parse().unwrap(), link_local });
        set.finish()
    };
    let over = |address: &str, to| ExportRules { local_address: address.parse().unwrap(), ..rules(to) };
    let hop = |octets: Result<Vec<u8>, Withheld>| octets.map(|octets| AttrSet::new(&octets).next_hop().unwrap());
    let plain = Learned::new(Source::External);
    // RFC 2545 §3: the link-local one is for the link it came from.
    let both = set("2001:db8::7", Some("fe80::7"));
    assert_eq!(hop(tell(&both, V6, plain, &rules(IBGP))), Ok(NextHop::new("2001:db8::7".parse().unwrap())));
    // RFC 2545 §2: link-local alone names nobody.
    let alone = set("fe80::7", None);
    assert_eq!(hop(tell(&alone, V6, plain, &rules(IBGP))), Err(Withheld::NoNextHop));
    assert_eq!(hop(tell(&both, V6, plain, &over("fe80::1", Relation::External))), Err(Withheld::NoNextHop));
    // An IPv4 session has no IPv6 address to give.
    assert_eq!(hop(tell(&both, V6, plain, &rules(Relation::External))), Err(Withheld::NoNextHop));
    let ours = over("2001:db8::fe", Relation::External);
    assert_eq!(hop(tell(&both, V6, plain, &ours)), Ok(NextHop::new("2001:db8::fe".parse().unwrap())));
    // RFC 2545 §3: on a link that both share, the link-local address of whoever is named stands beside the global one.
    let link = Link { subnet: "2001:db8::/64".parse().unwrap(), link_local: "fe80::fe".parse().ok() };
    let shared = |rules: ExportRules| ExportRules { link_local: Some(link), ..rules };
    let pair = |global: &str, link_local: &str| {
        Ok(NextHop { global: global.parse().unwrap(), link_local: Some(link_local.parse().unwrap()) })
    };
    assert_eq!(hop(tell(&both, V6, plain, &shared(ours.clone()))), pair("2001:db8::fe", "fe80::fe"), "ours");
    let unchanged = ExportRules { next_hop: NextHopRule::Unchanged, ..shared(ours.clone()) };
    assert_eq!(hop(tell(&both, V6, plain, &unchanged)), pair("2001:db8::7", "fe80::7"), "the one it was received with");
    let plain_set = set("2001:db8::7", None);
    assert_eq!(hop(tell(&plain_set, V6, plain, &unchanged)), Ok(NextHop::new("2001:db8::7".parse().unwrap())));
    let far = set("2001:db8:9::7", Some("fe80::7"));
    assert_eq!(hop(tell(&far, V6, plain, &unchanged)), Ok(NextHop::new("2001:db8:9::7".parse().unwrap())), "not on it");
    // RFC 8950 §4: IPv4 routes over IPv6, where both said so.
    assert_eq!(hop(sent(&route(), Source::External, &ours)), Err(Withheld::NoNextHop));
    let extended = ExportRules { extended_next_hop: vec![V4], ..ours };
    assert_eq!(hop(sent(&route(), Source::External, &extended)), Ok(NextHop::new("2001:db8::fe".parse().unwrap())));
}

#[test]
fn metrics_by_relation() {
    const AIGP: [u8; 11] = [1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9];
    type Row = (Relation, fn(&mut ExportRules), Option<u32>, Option<u32>, bool);
    // (to, option, MED, LOCAL_PREF, AIGP) of a route with MED 5 from another AS.
    let rows: &[Row] = &[
        (Relation::External, |_| (), None, None, false), // RFC 4271 §5.1.4, §5.1.5, RFC 7311 §3.3
        (Relation::External, |r| r.aigp = true, None, None, true), // RFC 7311 §3.3
        (Relation::External, |r| r.transparent = true, Some(5), None, false), // RFC 7947 §2.2.3
        (Relation::Confederation, |_| (), Some(5), Some(100), true), // RFC 5065 §5.2
        (IBGP, |_| (), Some(5), Some(100), true),
    ];
    for (to, change, med, local_pref, aigp) in rows {
        let mut rules = rules(*to);
        change(&mut rules);
        let octets = sent(route().med(5).raw(0x80, code::AIGP, &AIGP), Source::External, &rules).unwrap();
        let got = AttrSet::new(&octets);
        assert_eq!((got.med(), got.local_pref(), got.aigp().is_some()), (*med, *local_pref, *aigp), "{to:?}");
    }
    let ebgp = rules(Relation::External);
    let octets = sent(route().as_path_sequence(&[]).med(5), Source::Local, &ebgp).unwrap();
    assert_eq!(AttrSet::new(&octets).med(), Some(5), "RFC 4271 §5.1.4: our own AS may set it");
    // What export policy sets is ours, too.
    let (stored, set) = (route().med(5).finish(), route().med(6).finish());
    let mut out = Vec::new();
    let by_policy =
        Outbound { stored: AttrSet::new(&stored), set: AttrSet::new(&set), next_hop: NextHopVerdict::Standard };
    transform(by_policy, V4, Learned::new(Source::External), &ebgp, &mut out).unwrap();
    assert_eq!(AttrSet::new(&out).med(), Some(6));
}

#[test]
fn communities_that_are_added_and_that_stay_inside() {
    let shut = ExportRules { graceful_shutdown: true, ..rules(Relation::External) };
    let list = |octets: &[u8]| AttrSet::new(octets).communities().collect::<Vec<_>>();
    let octets = sent(&route(), Source::External, &shut).unwrap();
    assert_eq!(list(&octets), [Community::GRACEFUL_SHUTDOWN], "RFC 8326 §4.2");
    let octets = sent(route().communities(&[Community::GRACEFUL_SHUTDOWN]), Source::External, &shut).unwrap();
    assert_eq!(list(&octets), [Community::GRACEFUL_SHUTDOWN], "once");
    // RFC 9494 §4.2, §4.3.
    let stale = Learned { llgr_stale: true, ..Learned::new(Source::External) };
    let mut tagged = route();
    tagged.communities(&[Community(1)]);
    assert_eq!(tell(&tagged.finish(), V4, stale, &rules(IBGP)), Err(Withheld::LongLivedStale));
    let knows = ExportRules { long_lived: true, ..rules(Relation::External) };
    let octets = tell(&tagged.finish(), V4, stale, &knows).unwrap();
    assert_eq!(list(&octets), [Community(1), Community::LLGR_STALE]);
    // RFC 4360 §6.
    let (stays, leaves) = (ExtCommunity(0x4003_0000_0000_0001), ExtCommunity(0x0002_0000_0000_0001));
    let mut both = route();
    both.ext_communities(&[stays, leaves]);
    let ext = |to| AttrSet::new(&sent(&both, Source::External, &rules(to)).unwrap()).ext_communities().len();
    assert_eq!((ext(Relation::External), ext(Relation::Confederation), ext(IBGP)), (1, 2, 2));
    both.ext_communities(&[stays]);
    let octets = sent(&both, Source::External, &rules(Relation::External)).unwrap();
    assert!(AttrSet::new(&octets).get(code::EXT_COMMUNITIES).is_none(), "RFC 7606 §7.14: an empty one is malformed");
}

#[test]
fn the_result_is_canonical_whatever_the_set_had() {
    let mut set = route();
    set.raw(0xc0, 8, &[0xfb, 0xf0, 0, 1].repeat(100)).med(1).raw(0xc0, 250, &[9]).raw(0x80, 251, &[9]);
    set.cluster_list(&[RouterId(1); 70]).originator_id(RouterId(2));
    let all = |to| ExportRules {
        graceful_shutdown: true,
        role: Some(Role::Provider),
        behind: Some(Asn(64999)),
        long_lived: true,
        ..rules(to)
    };
    for to in [Relation::External, Relation::Confederation, IBGP, CLIENT] {
        for source in [Source::External, Source::Local, Source::Internal] {
            let learned = Learned { client: true, llgr_stale: true, ..Learned::new(source) };
            let octets = tell(&set.finish(), V4, learned, &all(to)).unwrap();
            let again = AttrSetBuilder::from_set(AttrSet::new(&octets)).finish();
            assert_eq!(octets, again, "ascending, once each, extended length only where needed");
            // RFC 4271 §5: unknown transitive ones are partial now, others are gone.
            assert!(AttrSet::new(&octets).get(251).is_none());
            assert_eq!(AttrSet::new(&octets).iter().find(|(_, code, _)| *code == 250).unwrap().0, 0xe0);
        }
    }
}

#[test]
fn a_set_without_a_next_hop_gets_ours() {
    let mut set = route();
    set.remove(code::NEXT_HOP);
    let octets = sent(&set, Source::Local, &rules(IBGP)).unwrap();
    assert_eq!(AttrSet::new(&octets).next_hop().unwrap().to_string(), OURS);
}
