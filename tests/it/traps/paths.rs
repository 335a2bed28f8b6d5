//! AS paths and lengths: two-octet neighbours, full segments, the octet that a length may take too much.

use ribwatch::{
    types::{Asn, Family},
    view::Table,
    wire::bgp::attribute::{AttrSetBuilder, code},
};

use super::{attribute, mandatory, update};
use crate::lab::{Lab, external, internal, path};

const PREFIX: &str = "203.0.113.0/24";
const NLRI: &[u8] = &[24, 203, 0, 113];

#[test]
fn what_a_two_octet_speaker_said_leaves_no_as4_attribute_behind() {
    // RFC 6793 §4.2.2, §4.2.3: 64496 AS_TRANS 64500, with the number behind AS_TRANS in AS4_PATH.
    let as_path = attribute(0x40, code::AS_PATH, &[2, 3, 0xfb, 0xf0, 0x5b, 0xa0, 0xfb, 0xf4]);
    let as4_path = attribute(0xc0, code::AS4_PATH, &[2, 2, 0, 1, 0, 0, 0, 0, 0xfb, 0xf4]);
    let attributes = [attribute(0x40, 1, &[0]), as_path, attribute(0x40, 3, &[192, 0, 2, 1]), as4_path];
    let mut lab = Lab::new();
    let old = lab.peer(external(64496).two_octet_as());
    let (new, also_old) = (lab.peer(external(64497)), lab.peer(external(64498).two_octet_as()));
    lab.receives(old, &update(&[], &attributes, NLRI));
    lab.settle();
    let told = lab.told(new, PREFIX).unwrap();
    assert_eq!(told.as_path().to_string(), "64512 64496 65536 64500");
    let codes: Vec<u8> = told.iter().map(|(_, code, _)| code).collect();
    assert_eq!(codes, [code::ORIGIN, code::AS_PATH, code::NEXT_HOP], "RFC 6793 §4.1: nothing beside the path");
    let octets = &lab.heard(new).last_update;
    assert!(!octets.windows(2).any(|pair| pair == [0xc0, code::AS4_PATH]), "{octets:02x?}");

    let octets = &lab.heard(also_old).last_update;
    assert!(octets.windows(2).any(|pair| pair == [0xc0, code::AS4_PATH]), "who needs it gets it: {octets:02x?}");
    assert_eq!(lab.told(also_old, PREFIX).unwrap().as_path().to_string(), "64512 64496 65536 64500");
}

#[test]
fn a_path_of_255_asns_goes_out_with_a_second_segment() {
    // RFC 4271 §5.1.2 b 1: a full first segment gets a new one in front.
    for count in [254_u32, 255] {
        let mut lab = Lab::new();
        let (a, b, c) =
            (lab.peer(external(64496)), lab.peer(external(64497)), lab.peer(external(64498).two_octet_as()));
        let asns: Vec<u32> = std::iter::once(64496).chain((1..count).map(|n| 65_600 + n)).collect();
        lab.receives(a, &update(&[], &mandatory(&asns), NLRI));
        lab.settle();
        for who in [b, c] {
            let told = lab.told(who, PREFIX).expect("is told").as_path();
            assert_eq!(told.path_length(), count + 1);
            assert_eq!(told.neighbor_asn(), Some(Asn(64512)));
            assert_eq!(told.origin_asn(), asns.last().copied().map(Asn));
            let longest = told.segments().map(|segment| segment.asns().len()).max();
            assert!(longest <= Some(255), "{longest:?}");
        }
        let segments = lab.told(b, PREFIX).unwrap().as_path().segments().count();
        assert_eq!(segments, if count == 255 { 2 } else { 1 });
    }
}

#[test]
fn lengths_take_two_octets_above_255_and_a_spent_octet_makes_no_other_route() {
    // RFC 4271 §4.3: Extended Length is a matter of writing. Who spends the octet on a short attribute says the same.
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.receives(a, &update(&[], &mandatory(&[64496]), NLRI));
    lab.settle();
    let before = lab.heard(b).messages;
    let mut spent = mandatory(&[64496]);
    spent[1] = attribute(0x50, code::AS_PATH, &[2, 1, 0, 0, 0xfb, 0xf0]);
    lab.receives(a, &update(&[], &spent, NLRI));
    lab.settle();
    assert_eq!(lab.heard(b).messages, before, "the same route again is no news");

    for (octets, flags) in [(255, 0xe0), (256, 0xf0)] {
        lab.announces(a, PREFIX, path("64496").raw(0xc0, 200, &vec![7; octets]));
        lab.settle();
        let sent = &lab.heard(b).last_update;
        assert!(sent.windows(2).any(|pair| pair == [flags, 200]), "{octets} octets: flags {flags:#x}");
        assert_eq!(lab.told(b, PREFIX).unwrap().get(200).unwrap().len(), octets);
    }
}

#[test]
fn an_empty_path_is_fine_and_an_empty_list_of_communities_is_not() {
    let mut lab = Lab::new();
    let (inside, outside) = (lab.peer(internal()), lab.peer(external(64497)));
    lab.receives(inside, &update(&[], &mandatory(&[]), NLRI));
    lab.settle();
    // RFC 4271 §5.1.2 b 3: what originates in our AS has an empty path inside of it.
    assert_eq!(lab.told(outside, PREFIX).unwrap().as_path().to_string(), "64512");
    let mut attributes = mandatory(&[]);
    attributes.push(attribute(0xc0, code::COMMUNITIES, &[]));
    lab.receives(inside, &update(&[], &attributes, NLRI));
    lab.settle();
    assert!(lab.told(outside, PREFIX).is_none(), "RFC 7606 §7.8: treated as withdrawn");
}

#[test]
fn a_route_for_long_messages_reaches_only_who_agreed_on_them() {
    // RFC 8654 §4, and §5: who cannot take it must not be left with an older route.
    let mut lab = Lab::new();
    let long = |asn| {
        let mut spec = external(asn);
        spec.negotiated.extended_message = true;
        spec
    };
    let (a, able, unable) = (lab.peer(long(64496)), lab.peer(long(64497)), lab.peer(external(64498)));
    lab.announces(a, PREFIX, path("64496"));
    lab.settle();
    assert!(lab.told(unable, PREFIX).is_some());
    let mut attributes = mandatory(&[64496]);
    attributes.push(attribute(0xd0, 200, &vec![7; 8000]));
    lab.receives(a, &update(&[], &attributes, NLRI));
    lab.settle();
    assert!(lab.heard(able).last_update.len() > 8000);
    assert_eq!(lab.told(able, PREFIX).unwrap().get(200).unwrap().len(), 8000);
    assert!(lab.told(unable, PREFIX).is_none(), "withdrawn");
    assert!(lab.warnings.iter().any(|(peer, _)| *peer == lab.id(unable)), "and the log says so");
    let held = lab.table(Table::AdjOut, Some(unable));
    assert!(held.rows.is_empty(), "Adj-RIB-Out knows");
}

#[test]
fn an_unknown_attribute_travels_raw_and_tells_routes_apart() {
    // RFC 4271 §5: kept and passed on with Partial; §4.3: the low four bits of the flags are sent as zero.
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    for value in [[1, 2, 3], [1, 2, 4]] {
        let mut attributes = mandatory(&[64496]);
        attributes.push(attribute(0xcf, 213, &value));
        lab.receives(a, &update(&[], &attributes, NLRI));
        lab.settle();
        let told = lab.told(b, PREFIX).expect("is told");
        let (flags, _, octets) = told.iter().find(|(_, code, _)| *code == 213).expect("is passed on");
        assert_eq!((flags, octets), (0xe0, &value[..]), "a change of nothing else is a change");
        assert!(lab.heard(b).last_update.windows(2).any(|pair| pair == [0xe0, 213]), "on the wire, too");
    }
}

#[test]
fn a_link_local_next_hop_stays_on_its_link() {
    // RFC 2545 §3: the link-local address is for those who share the link with the router behind it.
    let v6 = Family::IPV6_UNICAST;
    let prefix = "2001:db8:1::/48";
    let global: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
    let link_local: std::net::Ipv6Addr = "fe80::1".parse().unwrap();
    let both = [global.octets(), link_local.octets()].concat();
    let set = |next_hop: &[u8]| {
        let mut set = AttrSetBuilder::new();
        set.origin(ribwatch::wire::bgp::attribute::Origin::Igp)
            .as_path_sequence(&[Asn(64496)])
            .mp_next_hop(v6, next_hop);
        set.finish()
    };
    let mut lab = Lab::new();
    let a = lab.peer(external(64496).over_ipv6().families(&[v6]));
    let inside = lab.peer(internal().over_ipv6().families(&[v6]));
    let outside = lab.peer(external(64497).over_ipv6().families(&[v6]));
    lab.announces_octets(a, (0, prefix.parse().unwrap()), &set(&both));
    lab.settle();
    let next_hop = |lab: &Lab, who| lab.told(who, prefix).map(|set| set.next_hop().expect("has one"));
    let kept = next_hop(&lab, inside).expect("is told");
    assert_eq!((kept.global.to_string().as_str(), kept.link_local), ("2001:db8::1", None));
    let ours = next_hop(&lab, outside).expect("is told");
    assert_eq!((ours.global.to_string().as_str(), ours.link_local), ("2001:db8::fe", None));

    // Alone it names nobody beyond the link: inside, where it would have to be kept, the route is held back.
    lab.announces_octets(a, (0, prefix.parse().unwrap()), &set(&link_local.octets()));
    lab.settle();
    assert_eq!(next_hop(&lab, inside), None);
    assert_eq!(next_hop(&lab, outside).expect("is told").global.to_string(), "2001:db8::fe");
}
