//! What a message without faults comes to: items and canonical attributes.

use super::*;
use crate::{
    types::{Asn, FamilySet},
    wire::bgp::attribute::AttrSetBuilder,
};

#[test]
fn withdrawals_come_first_so_that_a_route_in_both_fields_is_announced() {
    // RFC 4271 §4.3: "SHOULD treat an UPDATE message of this form as though the WITHDRAWN ROUTES field does not
    // contain the address prefix".
    let unreach = attribute(0x80, 15, &[0, 2, 1, 32, 0x20, 1, 0xd, 0xb8]);
    let reach = mp_reach(&[32, 0x20, 1, 0xd, 0xb8]);
    let message = update(ROUTE, &[&reach, &unreach, ORIGIN, AS_PATH, NEXT_HOP], ROUTE);
    let decoded = decode(&message, &external());
    assert_eq!(decoded.result, Ok(Outcome::Ok));
    assert_eq!(
        decoded.lines(),
        ["withdraw 198.51.100.0/24", "withdraw 2001:db8::/32", "announce 198.51.100.0/24", "announce 2001:db8::/32"]
    );
    // Each family has its own next hop and not the other's.
    let sets: Vec<AttrSet<'_>> =
        decoded.batch.iter().filter(|item| item.kind == ItemKind::Announce).map(|item| item.attrs).collect();
    assert_eq!(sets[0].next_hop().unwrap().to_string(), "192.0.2.1");
    assert_eq!(sets[0].mp_next_hop(), None);
    assert_eq!(sets[1].next_hop().unwrap().to_string(), "2001:db8::1");
    assert_eq!(sets[1].get(3), None);
}

#[test]
fn withdrawals_need_no_attributes() {
    // RFC 4271 §5: mandatory "if NLRI are contained in the UPDATE message".
    let decoded = decode(&update(ROUTE, &[], &[]), &external());
    assert_eq!(
        (decoded.result.clone(), decoded.lines()),
        (Ok(Outcome::Ok), vec!["withdraw 198.51.100.0/24".to_owned()])
    );
}

#[test]
fn treat_as_withdraw_withdraws_every_route_of_the_message() {
    let unreach = attribute(0x80, 15, &[0, 2, 1, 48, 0x20, 1, 0xd, 0xb8, 0, 9]);
    let reach = mp_reach(&[32, 0x20, 1, 0xd, 0xb8]);
    let bad_med: &[u8] = &[0x80, 4, 1, 0];
    let message = update(&[8, 10], &[&reach, &unreach, ORIGIN, AS_PATH, NEXT_HOP, bad_med], ROUTE);
    let decoded = decode(&message, &external());
    assert_eq!(decoded.result, Ok(Outcome::Withdraw));
    assert_eq!(
        decoded.lines(),
        ["withdraw 10.0.0.0/8", "withdraw 2001:db8:9::/48", "withdraw 198.51.100.0/24", "withdraw 2001:db8::/32"]
    );
    assert!(decoded.batch.iter().all(|item| item.attrs.is_empty()));
}

#[test]
fn a_message_that_resets_leaves_what_was_before_it() {
    let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
    decode_update(&with(&[]), &external(), &mut batch, &mut faults).unwrap();
    let before = (batch.len(), batch.octets());
    let bad = update(ROUTE, &[&mp_reach(&[129])], &[]);
    assert!(decode_update(&bad, &external(), &mut batch, &mut faults).is_err());
    assert_eq!((batch.len(), batch.octets()), before);
}

#[test]
fn the_end_of_rib_marker_of_every_family() {
    // RFC 4724 §2.
    for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST, Family::EVPN, Family::BGP_LS, Family::new(99, 200)] {
        let decoded = decode(&end_of_rib(family), &external());
        assert_eq!(decoded.result, Ok(Outcome::Ok));
        assert_eq!(decoded.lines(), [format!("end-of-rib {family}")]);
    }
    // IPv4 unicast in the other form as well.
    let decoded = decode(&update(&[], &[&[0x80, 15, 3, 0, 1, 1]], &[]), &external());
    assert_eq!(decoded.lines(), ["end-of-rib ipv4-unicast"]);
    // Other attributes beside it: "contains only the MP_UNREACH_NLRI attribute".
    let decoded = decode(&update(&[], &[ORIGIN, &[0x80, 15, 3, 0, 2, 1]], &[]), &external());
    assert!(decoded.batch.is_empty());
}

#[test]
fn a_canonical_block_is_copied_and_any_other_is_made_so() {
    let communities = attribute(0xc0, 8, &[0, 1, 0, 2]);
    let unknown = attribute(0xe0, 200, b"hello");
    let canonical = [ORIGIN, AS_PATH, NEXT_HOP, &communities, &unknown].concat();
    let rows: [(&str, Vec<u8>); 5] = [
        ("as it should be", canonical.clone()),
        ("out of order", [&unknown, NEXT_HOP, &communities, AS_PATH, ORIGIN].concat()),
        ("extended lengths", [&[0x50, 1, 0, 1, 0][..], AS_PATH, NEXT_HOP, &communities, &unknown].concat()),
        ("partial missing", [ORIGIN, AS_PATH, NEXT_HOP, &communities, &attribute(0xc0, 200, b"hello")].concat()),
        ("low flag bits and a quiet guest", {
            let low = attribute(0xc7, 8, &[0, 1, 0, 2]);
            [ORIGIN, AS_PATH, NEXT_HOP, &low, &attribute(0x80, 199, &[1]), &unknown].concat()
        }),
    ];
    for (what, block) in rows {
        let decoded = decode(&update(&[], &[&block], ROUTE), &external());
        assert_eq!(decoded.result, Ok(Outcome::Ok), "{what}");
        assert_eq!(decoded.attrs().as_bytes(), canonical, "{what}");
    }
}

#[test]
fn partial_is_kept_where_somebody_set_it() {
    // RFC 4271 §5: "MUST NOT be set back to 0" on recognised optional transitive ones; elsewhere it means nothing.
    let decoded =
        decode(&with(&[attribute(0xe0, 8, &[0, 1, 0, 2]), attribute(0xa0, 4, &[0; 4])].concat()), &external());
    let flags: Vec<(u8, u8)> = decoded.attrs().iter().map(|(flags, code, _)| (code, flags)).collect();
    assert_eq!(flags, [(1, 0x40), (2, 0x40), (3, 0x40), (4, 0x80), (8, 0xe0)]);
}

#[test]
fn discarded_attributes_are_gone() {
    let more = [attribute(0x40, 5, &[0, 0, 0, 100]), attribute(0x80, 9, &[1; 4]), attribute(0x80, 10, &[1; 4])];
    let decoded = decode(&with(&more.concat()), &external());
    assert_eq!(decoded.result, Ok(Outcome::Discard));
    let set = decoded.attrs();
    assert_eq!((set.local_pref(), set.originator_id(), set.cluster_list().len()), (None, None, 0));
    let decoded = decode(&with(&more.concat()), &internal());
    assert_eq!(decoded.attrs().local_pref(), Some(100));
}

#[test]
fn two_octet_and_four_octet_speakers_give_the_same_set() {
    // RFC 6793 §4.2: AS_TRANS, AS4_PATH, AS4_AGGREGATOR on one side, plain numbers on the other.
    let new = {
        let path = attribute(0x40, 2, &[2, 2, 0, 0, 0xfb, 0xf0, 0, 1, 0, 0]);
        let aggregator = attribute(0xc0, 7, &[0, 1, 0, 0, 192, 0, 2, 9]);
        update(&[], &[ORIGIN, &path, NEXT_HOP, &aggregator], ROUTE)
    };
    let old = {
        let path = attribute(0x40, 2, &[2, 2, 0xfb, 0xf0, 0x5b, 0xa0]);
        let aggregator = attribute(0xc0, 7, &[0x5b, 0xa0, 192, 0, 2, 9]);
        let as4_path = attribute(0xc0, 17, &[2, 1, 0, 1, 0, 0]);
        let as4_aggregator = attribute(0xc0, 18, &[0, 1, 0, 0, 192, 0, 2, 9]);
        update(&[], &[ORIGIN, &path, NEXT_HOP, &aggregator, &as4_path, &as4_aggregator], ROUTE)
    };
    let (new, old) = (decode(&new, &external()), decode(&old, &DecodeContext { four_octet_as: false, ..external() }));
    assert_eq!(new.result, old.result);
    assert_eq!(new.attrs().as_path().to_string(), "64496 65536");
    assert_eq!(new.attrs().as_bytes(), old.attrs().as_bytes());
}

#[test]
fn an_aggregator_made_later_outdates_both_as4_attributes() {
    // RFC 6793 §4.2.3: AGGREGATOR is not AS_TRANS.
    let path = attribute(0x40, 2, &[2, 2, 0xfb, 0xf0, 0x5b, 0xa0]);
    let aggregator = attribute(0xc0, 7, &[0xfb, 0xf0, 192, 0, 2, 9]);
    let as4_path = attribute(0xc0, 17, &[2, 1, 0, 1, 0, 0]);
    let as4_aggregator = attribute(0xc0, 18, &[0, 1, 0, 0, 192, 0, 2, 8]);
    let message = update(&[], &[ORIGIN, &path, NEXT_HOP, &aggregator, &as4_path, &as4_aggregator], ROUTE);
    let decoded = decode(&message, &DecodeContext { four_octet_as: false, ..external() });
    assert_eq!(decoded.attrs().as_path().to_string(), "64496 23456");
    assert_eq!(decoded.attrs().aggregator(), Some((Asn(64496), "192.0.2.9".parse().unwrap())));
}

#[test]
fn path_identifiers_are_read_where_they_were_negotiated() {
    let ctx = DecodeContext { add_path: [Family::IPV4_UNICAST].into_iter().collect(), ..external() };
    let route = [&[0, 0, 0, 7][..], ROUTE].concat();
    let decoded = decode(&update(&route, &[ORIGIN, AS_PATH, NEXT_HOP, &mp_reach(&[0])], &route), &ctx);
    assert_eq!(decoded.lines(), ["withdraw #7 198.51.100.0/24", "announce #7 198.51.100.0/24", "announce ::/0"]);
}

#[test]
fn routes_of_a_family_nobody_agreed_on_are_left_out_and_counted() {
    // RFC 4760 §8.
    let only_v6 = DecodeContext { families: [Family::IPV6_UNICAST].into_iter().collect(), ..external() };
    let message = update(ROUTE, &[&mp_reach(&[0]), ORIGIN, AS_PATH, NEXT_HOP], ROUTE);
    let decoded = decode(&message, &only_v6);
    assert_eq!((decoded.result.clone(), decoded.lines()), (Ok(Outcome::Discard), vec!["announce ::/0".to_owned()]));
    let only_v4 = DecodeContext { families: [Family::IPV4_UNICAST].into_iter().collect(), ..external() };
    let decoded = decode(&message, &only_v4);
    assert_eq!(decoded.lines(), ["withdraw 198.51.100.0/24", "announce 198.51.100.0/24"]);
    assert_eq!(decoded.faults[0].rfc, "RFC 4760 §8");
    let none = DecodeContext { families: FamilySet::EMPTY, ..external() };
    assert!(decode(&end_of_rib(Family::IPV6_UNICAST), &none).batch.is_empty());
}

#[test]
fn ipv4_routes_take_either_next_hop() {
    // RFC 8950 §3: IPv4 unicast in MP_REACH_NLRI with 4, 16 and 32 octets.
    let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let ll = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let reach = |next_hop: &[u8]| {
        let len = u8::try_from(next_hop.len()).unwrap();
        let value = [&[0, 1, 1, len], next_hop, &[0], ROUTE].concat();
        decode(&update(&[], &[&attribute(0x80, 14, &value), ORIGIN, AS_PATH], &[]), &external())
    };
    let classic = decode(&with(&[]), &external());
    assert_eq!(reach(&[192, 0, 2, 1]).attrs().as_bytes(), classic.attrs().as_bytes(), "one canonical place");
    let decoded = reach(&v6);
    assert_eq!(decoded.lines(), ["announce 198.51.100.0/24"]);
    assert_eq!(decoded.attrs().next_hop().unwrap().to_string(), "2001:db8::1");
    assert_eq!(decoded.attrs().mp_next_hop().map(|(family, _)| family), Some(Family::IPV4_UNICAST));
    let decoded = reach(&[v6, ll].concat());
    assert_eq!(decoded.attrs().next_hop().unwrap().link_local, Some("fe80::1".parse().unwrap()));
}

#[test]
fn routes_of_other_families_keep_labels_and_keys() {
    let vpn = [112, 0, 0x06, 0x41, 0, 0, 0xfb, 0xf0, 0, 0, 0, 1, 198, 51, 100];
    let value = [&[0, 1, 128, 12][..], &[0; 8], &[192, 0, 2, 1], &[0], &vpn].concat();
    let decoded = decode(&update(&[], &[&attribute(0x80, 14, &value), ORIGIN, AS_PATH], &[]), &external());
    assert_eq!(decoded.lines(), ["announce 64496:1:198.51.100.0/24"]);
    assert_eq!(decoded.attrs().next_hop().unwrap().to_string(), "192.0.2.1");
    let item = decoded.batch.get(0).unwrap();
    assert_eq!(item.opaque().next().map(|(_, _, labels)| labels), Some(&[0, 0x06, 0x41][..]));
    assert_eq!((item.routes(), item.prefixes().count()), (1, 0));
}

#[test]
fn unrecognised_evpn_types_are_left_out() {
    // RFC 7606 §5.4.
    let value = [&[0, 25, 70, 4, 192, 0, 2, 1, 0][..], &[200, 1, 9], &[3, 1, 7]].concat();
    let decoded = decode(&update(&[], &[&attribute(0x80, 14, &value), ORIGIN, AS_PATH], &[]), &external());
    assert_eq!(
        (decoded.result.clone(), decoded.lines()),
        (Ok(Outcome::Discard), vec!["announce [evpn type 3 07]".into()])
    );
}

#[test]
fn a_next_hop_that_nobody_uses_is_ignored() {
    // RFC 4760 §3: "the BGP speaker that receives the message SHOULD ignore this attribute".
    let unused: &[u8] = &[0x40, 3, 4, 0, 0, 0, 0];
    let decoded = decode(&update(&[], &[&mp_reach(&[0]), ORIGIN, AS_PATH, unused], &[]), &external());
    assert_eq!((decoded.result.clone(), decoded.lines()), (Ok(Outcome::Ok), vec!["announce ::/0".to_owned()]));
    assert_eq!(decoded.attrs().get(3), None);
    // Its syntax is still checked (RFC 7606 §7.3).
    let decoded = decode(&update(&[], &[&mp_reach(&[0]), ORIGIN, AS_PATH, &[0x40, 3, 1, 9]], &[]), &external());
    assert_eq!(decoded.result, Ok(Outcome::Withdraw));
}

#[test]
fn a_warm_batch_takes_more_messages_without_growing() {
    let messages = [
        with(&attribute(0xc0, 8, &[0; 40])),
        update(&[], &[&mp_reach(&[64, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1]), ORIGIN, AS_PATH], &[]),
        update(ROUTE, &[], &[]),
    ];
    let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
    let mut fill = |batch: &mut UpdateBatch| {
        for message in messages.iter().cycle().take(300) {
            decode_update(message, &external(), batch, &mut faults).unwrap();
        }
    };
    fill(&mut batch);
    let capacity = batch.capacity();
    for _ in 0..3 {
        batch.clear();
        fill(&mut batch);
        assert_eq!(batch.capacity(), capacity);
    }
    assert!(faults.is_empty());
}

#[test]
fn rib_entries_are_made_canonical_too() {
    // RFC 6396 §4.3.4: MP_REACH_NLRI is length and next hop only.
    let v6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let short = attribute(0x80, 14, &[&[16], &v6[..]].concat());
    let whole = mp_reach(&[]);
    let run = |block: &[u8]| {
        let (mut out, mut faults) = (Vec::new(), Vec::new());
        let ctx = DecodeContext { rules: Rules::lenient(), ..external() };
        canonical_attributes(block, Family::IPV6_UNICAST, &ctx, &mut Scratch::default(), &mut out, &mut faults)
            .map(|outcome| (outcome, out))
    };
    let mut expected = AttrSetBuilder::new();
    expected.raw(0x40, 1, &[0]).as_path_sequence(&[Asn(65001)]).mp_next_hop(Family::IPV6_UNICAST, &v6);
    for block in [[ORIGIN, AS_PATH, &short].concat(), [&whole[..], AS_PATH, ORIGIN].concat()] {
        assert_eq!(run(&block), Ok((Outcome::Ok, expected.finish())));
    }
    assert!(run(&attribute(0x80, 14, &[16, 1])).is_err());
    assert_eq!(run(&[0x40, 1, 1, 9]), Ok((Outcome::Withdraw, vec![])));
}
