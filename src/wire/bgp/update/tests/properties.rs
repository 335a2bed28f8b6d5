//! What holds for every message, over generated ones. The seed of a failure is printed by proptest.

use proptest::prelude::*;

use super::*;
use crate::{
    types::{Asn, PathId, Prefix, RouterId},
    wire::{
        bgp::{
            attribute::{AttrSetBuilder, NextHop, Origin, code},
            community::{Community, ExtCommunity, LargeCommunity},
            frame, nlri,
        },
        cursor::Reader,
    },
};

/// Octets of a batch for one octet of message: an opaque route of one octet gets a frame of seven around it, and a
/// set of attributes is written once for each of two fields.
const GROWTH_MAX: usize = 16;

fn any_context() -> impl Strategy<Value = DecodeContext> {
    (any::<[bool; 4]>(), any::<bool>()).prop_map(|([four_octet_as, internal, add_path, strict], few)| DecodeContext {
        four_octet_as,
        kind: if internal { PeerKind::Internal } else { PeerKind::External },
        add_path: if add_path { FamilySet::ALL } else { FamilySet::EMPTY },
        families: if few { [Family::IPV4_UNICAST].into_iter().collect() } else { FamilySet::ALL },
        rules: if strict { Rules::strict() } else { Rules::lenient() },
    })
}

fn any_family() -> impl Strategy<Value = Family> {
    prop_oneof![
        Just(Family::IPV4_UNICAST),
        Just(Family::IPV6_UNICAST),
        Just(Family::IPV4_MULTICAST),
        Just(Family::VPNV4),
        Just(Family::IPV6_LABELED),
        Just(Family::EVPN),
        Just(Family::IPV4_FLOWSPEC),
        Just(Family::BGP_LS),
        Just(Family::RTC),
        Just(Family::new(7, 7)),
    ]
}

/// Attributes that look right more often than random octets would.
fn likely_attribute() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![1_u8..=18, 22_u8..=40, Just(128), any::<u8>()];
    let flags = prop_oneof![Just(0x40), Just(0x80), Just(0xc0), Just(0xe0), any::<u8>()];
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..24),
        prop::collection::vec(any::<u8>(), 4),
        Just(vec![2, 1, 0, 0, 0xfb, 0xf0]),
        (any_family(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(family, rest)| {
            let [high, low] = family.afi.to_be_bytes();
            [vec![high, low, family.safi], rest].concat()
        }),
        (any_family(), prop::collection::vec(0_u8..40, 0..40)).prop_map(|(family, rest)| {
            let [high, low] = family.afi.to_be_bytes();
            let len: u8 = if family.safi == 128 { 24 } else { 16 };
            let next_hop = vec![0x20; usize::from(len)];
            [vec![high, low, family.safi, len], next_hop, vec![0], rest].concat()
        }),
    ];
    (flags, code, value).prop_map(|(flags, code, value)| attribute(flags & 0xef, code, &value))
}

fn likely_message() -> impl Strategy<Value = Vec<u8>> {
    let routes = || prop::collection::vec(0_u8..40, 0..12);
    (routes(), prop::collection::vec(likely_attribute(), 0..8), any::<bool>(), routes(), any::<Option<(u16, u8)>>())
        .prop_map(|(withdrawn, more, mandatory, nlri, damage)| {
            let mut parts: Vec<&[u8]> = if mandatory { vec![ORIGIN, AS_PATH, NEXT_HOP] } else { vec![] };
            parts.extend(more.iter().map(Vec::as_slice));
            let mut message = update(&withdrawn, &parts, &nlri);
            if let Some((at, value)) = damage {
                let at = 19 + usize::from(at) % (message.len() - 19);
                message[at] = value;
            }
            message
        })
}

/// Everything that must hold for whatever came.
fn check_laws(message: &[u8], ctx: &DecodeContext) {
    let decoded = decode(message, ctx);
    assert!(decoded.batch.octets() <= GROWTH_MAX * message.len(), "{} octets", decoded.batch.octets());
    assert!(decoded.batch.len() <= 4 && decoded.faults.len() <= 16);
    match decoded.result {
        Err(ref fault) => {
            assert!(decoded.batch.is_empty());
            assert!(fault.notification.is_some() && fault.at <= message.len());
        }
        Ok(outcome) => {
            assert_eq!(outcome == Outcome::Ok, decoded.faults.is_empty());
            let announces = decoded.batch.iter().any(|item| item.kind == ItemKind::Announce);
            assert!(!(announces && outcome == Outcome::Withdraw));
        }
    }
    for item in decoded.batch.iter() {
        assert_eq!(item.attrs.is_empty(), item.kind != ItemKind::Announce);
        assert_eq!(item.routes() == 0, item.kind == ItemKind::EndOfRib);
        if item.kind == ItemKind::Announce {
            check_canonical(item.attrs, item.family);
        }
    }
    let _ = decoded.lines();
}

/// A set out of the decoder is canonical: it ascends, and taking it apart and building it again, or sending and
/// receiving it, changes nothing.
fn check_canonical(attrs: AttrSet<'_>, family: Family) {
    let codes: Vec<u8> = attrs.iter().map(|(_, code, _)| code).collect();
    assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
    assert!(!codes.iter().any(|code| [code::MP_UNREACH, code::AS4_PATH, code::AS4_AGGREGATOR].contains(code)));
    assert_eq!(AttrSetBuilder::from_set(attrs).finish(), attrs.as_bytes());
    let _ = (attrs.origin(), attrs.as_path().to_string(), attrs.next_hop(), attrs.aigp(), attrs.cluster_list().len());
    let mut writer = UpdateWriter::new(EncodeContext { max_len: 65_535, ..EncodeContext::new() });
    writer.announce(family, attrs);
    if family.is_plain_prefix() {
        let prefix = if family.afi == 1 { "198.51.100.0/24" } else { "2001:db8::/32" };
        writer.push_prefix(0, prefix.parse().unwrap());
        let made = writer.take();
        assert_eq!((made.messages, made.skipped), (1, 0));
        let again = decode(&made.octets, &DecodeContext { rules: Rules::lenient(), ..internal() });
        assert_eq!(again.result, Ok(Outcome::Ok), "{:?}", again.faults);
        assert_eq!(again.attrs().as_bytes(), attrs.as_bytes());
    }
}

#[derive(Clone, Debug)]
struct Routes {
    family: Family,
    prefixes: Vec<(PathId, Prefix)>,
    opaque: Vec<(PathId, Vec<u8>, Vec<u8>)>,
}

fn any_routes() -> impl Strategy<Value = Routes> {
    let v4 = prop::collection::vec((any::<u32>(), any::<u32>(), 0_u8..=32), 1..60).prop_map(|routes| Routes {
        family: Family::IPV4_UNICAST,
        prefixes: routes.into_iter().map(|(id, addr, len)| (id, Prefix::v4(addr, len))).collect(),
        opaque: vec![],
    });
    let v6 = prop::collection::vec((any::<u32>(), any::<u128>(), 0_u8..=128), 1..60).prop_map(|routes| Routes {
        family: Family::IPV6_UNICAST,
        prefixes: routes.into_iter().map(|(id, addr, len)| (id, Prefix::v6(addr, len))).collect(),
        opaque: vec![],
    });
    let evpn = prop::collection::vec((any::<u32>(), 1_u8..=11, prop::collection::vec(any::<u8>(), 0..30)), 1..20)
        .prop_map(|routes| {
            let opaque = routes
                .into_iter()
                .map(|(id, kind, rest)| (id, [vec![kind, u8::try_from(rest.len()).unwrap()], rest].concat()))
                .map(|(id, nlri)| {
                    // What identifies the route, and what stands beside it.
                    let mut frame = Vec::new();
                    nlri::append(Family::EVPN, false, Reader::new(&nlri), &mut frame);
                    let (_, key, aside) = nlri::OpaqueIter::new(&frame).next().unwrap();
                    (id, key.to_vec(), aside.to_vec())
                });
            Routes { family: Family::EVPN, prefixes: vec![], opaque: opaque.collect() }
        });
    let vpn = prop::collection::vec((any::<u32>(), any::<[u8; 8]>(), any::<[u8; 3]>(), any::<[u8; 3]>()), 1..20)
        .prop_map(|routes| {
            let opaque =
                routes.into_iter().map(|(id, rd, net, label)| (id, [&[88][..], &rd, &net].concat(), label.to_vec()));
            Routes { family: Family::VPNV4, prefixes: vec![], opaque: opaque.collect() }
        });
    prop_oneof![v4, v6, evpn, vpn]
}

fn any_set(family: Family) -> impl Strategy<Value = Vec<u8>> {
    let path = prop::collection::vec((1_u32..=u32::MAX).prop_map(Asn), 0..300);
    let communities = prop::collection::vec(any::<u32>().prop_map(Community), 0..80);
    let numbers = (any::<Option<u32>>(), any::<Option<u32>>(), any::<Option<u32>>(), any::<Option<u32>>());
    let aggregator = prop::option::of((1..=u32::MAX, any::<u32>()));
    let large = prop::collection::vec(any::<[u8; 12]>().prop_map(LargeCommunity::from_octets), 0..4);
    (path, communities, numbers, aggregator, large, any::<bool>()).prop_map(
        move |(path, communities, (med, pref, originator, otc), aggregator, large, unknown)| {
            let mut builder = AttrSetBuilder::new();
            let next_hop = if family.afi == 2 { "2001:db8::1" } else { "192.0.2.1" };
            builder
                .origin(Origin::Egp)
                .as_path_sequence(&path)
                .next_hop(family, NextHop::new(next_hop.parse().unwrap()))
                .communities(&communities)
                .ext_communities(&[ExtCommunity(7)])
                .large_communities(&large);
            med.map(|med| builder.med(med).atomic_aggregate().prepend(Asn(64496), 3).get(code::MED).is_some());
            pref.map(|pref| builder.local_pref(pref).get(code::LOCAL_PREF).is_some());
            originator.map(|id| {
                builder.originator_id(RouterId(id)).cluster_list(&[RouterId(id), RouterId(1)]).get(9).is_some()
            });
            otc.map(|asn| builder.otc(Asn(asn)).get(code::OTC).is_some());
            aggregator.map(|(asn, router)| builder.aggregator(Asn(asn), router.into()).get(7).is_some());
            if unknown {
                builder.raw(0xe0, 201, &[9; 300]);
            }
            builder.finish()
        },
    )
}

fn any_run() -> impl Strategy<Value = (Routes, Vec<u8>)> {
    any_routes().prop_flat_map(|routes| {
        let set = any_set(routes.family);
        (Just(routes), set)
    })
}

fn push_all(writer: &mut UpdateWriter, routes: &Routes) {
    for (id, prefix) in &routes.prefixes {
        writer.push_prefix(*id, *prefix);
    }
    for (id, key, labels) in &routes.opaque {
        writer.push_opaque(*id, key, labels);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_keep_the_laws(body in prop::collection::vec(any::<u8>(), 0..200), ctx in any_context()) {
        check_laws(&[vec![0xff; 19], body].concat(), &ctx);
    }

    #[test]
    fn likely_messages_keep_the_laws(message in likely_message(), ctx in any_context()) {
        check_laws(&message, &ctx);
    }

    #[test]
    fn a_warm_decoder_says_what_a_fresh_one_says(messages in prop::collection::vec(likely_message(), 1..6), ctx in any_context()) {
        // Nothing of a message stays behind in the working memory.
        let mut warm = UpdateBatch::new();
        for message in &messages {
            warm.clear();
            let (mut faults, fresh) = (Vec::new(), decode(message, &ctx));
            prop_assert_eq!(decode_update(message, &ctx, &mut warm, &mut faults), fresh.result);
            prop_assert_eq!(faults, fresh.faults);
            prop_assert!(warm.iter().eq(fresh.batch.iter()));
        }
    }

    #[test]
    fn the_copied_block_equals_the_rebuilt_one(set in any_set(Family::IPV4_UNICAST)) {
        // The fast path of the decoder against the slow one: the same attributes in reverse order.
        let parts: Vec<Vec<u8>> = AttrSet::new(&set).iter().map(|(flags, code, value)| attribute(flags, code, value)).collect();
        let forwards: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let backwards: Vec<&[u8]> = parts.iter().rev().map(Vec::as_slice).collect();
        let (fast, slow) = (decode(&update(&[], &forwards, ROUTE), &internal()), decode(&update(&[], &backwards, ROUTE), &internal()));
        prop_assert_eq!(fast.attrs().as_bytes(), &set);
        prop_assert_eq!(slow.attrs().as_bytes(), &set);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_is_what_is_received(
        (routes, attrs) in any_run(),
        four_octet_as in any::<bool>(),
        add_path in any::<bool>(),
        extended in any::<bool>(),
    ) {
        let ids = if add_path { FamilySet::ALL } else { FamilySet::EMPTY };
        let max_len = if extended { 65_535 } else { 4096 };
        let mut writer = UpdateWriter::new(EncodeContext { four_octet_as, add_path: ids, max_len });
        writer.announce(routes.family, AttrSet::new(&attrs));
        push_all(&mut writer, &routes);
        writer.withdraw(routes.family);
        push_all(&mut writer, &routes);
        let made = writer.take();
        prop_assert_eq!(made.skipped, 0);

        let ctx = DecodeContext { four_octet_as, add_path: ids, ..internal() };
        let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
        let (mut rest, mut messages) = (made.octets.as_slice(), 0);
        while let Some(found) = frame(rest, max_len).unwrap() {
            prop_assert_eq!(decode_update(found.message, &ctx, &mut batch, &mut faults), Ok(Outcome::Ok), "{:?}", faults);
            rest = &rest[found.message.len()..];
            messages += 1;
        }
        prop_assert_eq!((rest.len(), messages), (0, made.messages));

        let id = |path_id: PathId| if add_path { path_id } else { 0 };
        for kind in [ItemKind::Announce, ItemKind::Withdraw] {
            let items: Vec<_> = batch.iter().filter(|item| item.kind == kind).collect();
            let prefixes: Vec<_> = items.iter().flat_map(|item| item.prefixes()).collect();
            let expected: Vec<_> = routes.prefixes.iter().map(|(path_id, prefix)| (id(*path_id), *prefix)).collect();
            prop_assert_eq!(prefixes, expected);
            let opaque: Vec<_> = items.iter().flat_map(|item| item.opaque()).map(|(path_id, key, _)| (path_id, key.to_vec())).collect();
            let expected: Vec<_> = routes.opaque.iter().map(|(path_id, key, _)| (id(*path_id), key.clone())).collect();
            prop_assert_eq!(opaque, expected);
            if kind == ItemKind::Announce {
                let labels: Vec<_> = items.iter().flat_map(|item| item.opaque()).map(|(_, _, labels)| labels.to_vec()).collect();
                prop_assert_eq!(labels, routes.opaque.iter().map(|(_, _, labels)| labels.clone()).collect::<Vec<_>>());
                for item in items {
                    prop_assert_eq!(item.attrs.as_bytes(), &attrs);
                }
            }
        }
    }
}
