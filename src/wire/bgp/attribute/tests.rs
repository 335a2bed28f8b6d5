//! Canonical sets: built, read back, and read from damaged octets.

use super::*;

fn asns(numbers: &[u32]) -> Vec<Asn> {
    numbers.iter().copied().map(Asn).collect()
}

#[test]
fn a_built_set_is_canonical_whatever_the_order_of_calls() {
    let mut a = AttrSetBuilder::new();
    a.origin(Origin::Egp)
        .as_path_sequence(&asns(&[64496, 64500]))
        .next_hop(Family::IPV4_UNICAST, NextHop::new("192.0.2.1".parse().unwrap()))
        .med(5)
        .communities(&[Community::NO_EXPORT, Community(0xfbf4_0001)]);
    let mut b = AttrSetBuilder::new();
    b.communities(&[Community::NO_EXPORT, Community(0xfbf4_0001)])
        .med(9)
        .next_hop(Family::IPV4_UNICAST, NextHop::new("192.0.2.1".parse().unwrap()))
        .as_path_sequence(&asns(&[64496, 64500]))
        .origin(Origin::Egp)
        .med(5);
    assert_eq!(a.finish(), b.finish());
    #[rustfmt::skip]
    assert_eq!(a.finish(), [
        0x40, 1, 1, 1,
        0x40, 2, 10, 2, 2, 0, 0, 0xfb, 0xf0, 0, 0, 0xfb, 0xf4,
        0x40, 3, 4, 192, 0, 2, 1,
        0x80, 4, 4, 0, 0, 0, 5,
        0xc0, 8, 8, 0xff, 0xff, 0xff, 0x01, 0xfb, 0xf4, 0, 1,
    ]);
    assert_eq!(AttrSetBuilder::from_set(AttrSet::new(&a.finish())).finish(), a.finish());
}

#[test]
fn every_attribute_reads_back() {
    let mut builder = AttrSetBuilder::new();
    builder
        .origin(Origin::Incomplete)
        .as_path_sequence(&asns(&[64496]))
        .prepend(Asn(64499), 2)
        .next_hop(
            Family::IPV6_UNICAST,
            NextHop { global: "2001:db8::1".parse().unwrap(), link_local: Some("fe80::1".parse().unwrap()) },
        )
        .med(1)
        .local_pref(2)
        .atomic_aggregate()
        .aggregator(Asn(65551), Ipv4Addr::new(192, 0, 2, 9))
        .communities(&[Community(7)])
        .ext_communities(&[ExtCommunity(8)])
        .large_communities(&[LargeCommunity { global: 64500, local1: 1, local2: 2 }])
        .originator_id(RouterId(3))
        .cluster_list(&[RouterId(4), RouterId(5)])
        .otc(Asn(64496))
        .raw(0xff, 200, &[1; 300])
        .raw(0x80, code::AIGP, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 42]);
    let octets = builder.finish();
    let set = AttrSet::new(&octets);
    assert_eq!(set.origin(), Some(Origin::Incomplete));
    assert_eq!(set.as_path().to_string(), "64499 64499 64496");
    let next_hop = set.next_hop().unwrap();
    assert_eq!(next_hop.to_string(), "2001:db8::1");
    assert_eq!(next_hop.link_local, Some("fe80::1".parse().unwrap()));
    assert_eq!(set.mp_next_hop().map(|(family, octets)| (family, octets.len())), Some((Family::IPV6_UNICAST, 32)));
    assert_eq!((set.med(), set.local_pref(), set.atomic_aggregate()), (Some(1), Some(2), true));
    assert_eq!(set.aggregator(), Some((Asn(65551), Ipv4Addr::new(192, 0, 2, 9))));
    assert_eq!(set.communities().collect::<Vec<_>>(), [Community(7)]);
    assert_eq!(set.ext_communities().collect::<Vec<_>>(), [ExtCommunity(8)]);
    assert_eq!(set.large_communities().map(|c| c.to_string()).collect::<Vec<_>>(), ["64500:1:2"]);
    assert_eq!(set.originator_id(), Some(RouterId(3)));
    assert_eq!(set.cluster_list().collect::<Vec<_>>(), [RouterId(4), RouterId(5)]);
    assert_eq!((set.otc(), set.aigp()), (Some(Asn(64496)), Some(42)));
    // Extended length appears with 300 octets, and the low flag bits are gone.
    let (flags, _, value) = set.iter().find(|(_, code, _)| *code == 200).unwrap();
    assert_eq!((flags, value.len()), (0xf0, 300));
    let codes: Vec<u8> = set.iter().map(|(_, code, _)| code).collect();
    assert!(codes.is_sorted() && codes.len() == 15);
}

#[test]
fn next_hops_are_read_by_their_length() {
    // RFC 4760, RFC 2545 §3, RFC 4364 §4.3.2, RFC 4659 §3.2.1, RFC 8950 §3.
    let v6: [u8; 16] = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets();
    let ll: [u8; 16] = "fe80::1".parse::<Ipv6Addr>().unwrap().octets();
    let rd = [0; 8];
    let rows: [(Vec<u8>, Option<&str>, bool); 9] = [
        (vec![192, 0, 2, 1], Some("192.0.2.1"), false),
        ([&rd[..], &[192, 0, 2, 1]].concat(), Some("192.0.2.1"), false),
        (v6.to_vec(), Some("2001:db8::1"), false),
        ([v6, ll].concat(), Some("2001:db8::1"), true),
        ([&rd[..], &v6].concat(), Some("2001:db8::1"), false),
        ([&rd[..], &v6, &rd, &ll].concat(), Some("2001:db8::1"), true),
        (vec![], None, false),
        (vec![1; 5], None, false),
        (vec![1; 33], None, false),
    ];
    for (octets, global, link_local) in rows {
        let read = NextHop::from_octets(&octets);
        assert_eq!(read.map(|n| n.to_string()).as_deref(), global, "{octets:?}");
        assert_eq!(read.is_some_and(|n| n.link_local.is_some()), link_local);
    }
}

#[test]
fn readers_are_total_on_any_octets() {
    let mut builder = AttrSetBuilder::new();
    builder.origin(Origin::Igp).as_path_sequence(&asns(&[64496])).communities(&[Community(7)]);
    let octets = builder.finish();
    for cut in 0..=octets.len() {
        let set = AttrSet::new(&octets[..cut]);
        let _ = (set.origin(), set.as_path().to_string(), set.next_hop(), set.communities().len(), format!("{set:?}"));
    }
    assert_eq!(AttrSet::default().next_hop(), None);
    assert!(AttrSet::default().is_empty());
}

#[test]
fn an_empty_list_takes_the_attribute_away() {
    // RFC 7606 §7.8: an empty COMMUNITIES is malformed, so it must never be made.
    let mut builder = AttrSetBuilder::new();
    builder.communities(&[Community(1)]).large_communities(&[]).communities(&[]);
    assert!(builder.finish().is_empty());
}
