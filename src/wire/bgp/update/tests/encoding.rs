//! Packing: many routes into few messages, split at the limit, read back as they were.

use super::*;
use crate::{
    types::{Asn, Prefix},
    wire::bgp::{
        MAX_LEN,
        attribute::{AttrSetBuilder, NextHop, Origin},
        frame,
    },
};

fn set(family: Family) -> AttrSetBuilder {
    let mut builder = AttrSetBuilder::new();
    let next_hop = if family.afi == 2 { "2001:db8::1" } else { "192.0.2.1" };
    builder
        .origin(Origin::Igp)
        .as_path_sequence(&[Asn(64496), Asn(65551)])
        .next_hop(family, NextHop::new(next_hop.parse().unwrap()));
    builder
}

/// Decodes every message; the texts of the routes and the attributes of the last announcement.
fn read(octets: &[u8], ctx: &DecodeContext, max_len: usize) -> (Vec<String>, Vec<u8>, usize) {
    let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
    let (mut rest, mut messages) = (octets, 0);
    while let Some(found) = frame(rest, max_len).unwrap() {
        assert_eq!(decode_update(found.message, ctx, &mut batch, &mut faults), Ok(Outcome::Ok), "{faults:?}");
        rest = &rest[found.message.len()..];
        messages += 1;
    }
    assert!(rest.is_empty());
    let attrs = batch.iter().filter(|item| item.kind == ItemKind::Announce).last();
    let attrs = attrs.map(|item| item.attrs.as_bytes().to_vec()).unwrap_or_default();
    let decoded = Decoded { result: Ok(Outcome::Ok), batch, faults };
    (decoded.lines(), attrs, messages)
}

fn prefixes(n: u32) -> Vec<Prefix> {
    (0..n).map(|i| Prefix::v4(0x0a00_0000 | i << 8, 24)).collect()
}

#[test]
fn many_routes_with_one_set_fill_messages_to_the_limit() {
    for max_len in [MAX_LEN, 65_535] {
        let attrs = set(Family::IPV4_UNICAST).finish();
        let mut writer = UpdateWriter::new(EncodeContext { max_len, ..EncodeContext::new() });
        writer.announce(Family::IPV4_UNICAST, AttrSet::new(&attrs));
        let routes = prefixes(5000);
        routes.iter().for_each(|prefix| writer.push_prefix(9, *prefix));
        let made = writer.take();
        let per_message = (max_len - 23 - attrs.len()) / 4;
        let expected = 5000_usize.div_ceil(per_message);
        assert_eq!((made.messages as usize, made.skipped), (expected, 0));
        let (lines, read_back, messages) = read(&made.octets, &external(), max_len);
        assert_eq!((messages, read_back), (expected, attrs));
        assert_eq!(lines, routes.iter().map(|prefix| format!("announce {prefix}")).collect::<Vec<_>>());
        assert_eq!(writer.take(), Packed::default(), "taken is taken");
    }
}

#[test]
fn withdrawals_and_announcements_of_every_family_read_back() {
    let labelled: &[u8] = &[24, 198, 51, 100];
    let vpn: &[u8] = &[88, 0, 0, 0xfb, 0xf0, 0, 0, 0, 1, 198, 51, 100];
    let label: &[u8] = &[0, 0, 0x11];
    let opaque: [(Family, &[u8], &[u8]); 6] = [
        (Family::IPV4_LABELED, labelled, label),
        (Family::VPNV4, vpn, label),
        (Family::EVPN, &[3, 1, 7], &[]),
        (Family::IPV4_FLOWSPEC, &[3, 3, 0x81, 6], &[]),
        (Family::RTC, &[32, 0, 0, 0xfb, 0xf0], &[]),
        (Family::new(99, 200), &[1, 2, 3], &[]),
    ];
    for add_path in [false, true] {
        for (family, key, labels) in opaque {
            let ids = if add_path { FamilySet::ALL } else { FamilySet::EMPTY };
            let mut writer = UpdateWriter::new(EncodeContext { add_path: ids, ..EncodeContext::new() });
            let attrs = set(family).finish();
            writer.announce(family, AttrSet::new(&attrs));
            writer.push_opaque(7, key, labels);
            writer.withdraw(family);
            writer.push_opaque(7, key, labels);
            writer.end_of_rib(family);
            let made = writer.take();
            assert_eq!((made.messages, made.skipped), (3, 0), "{family}");
            let ctx = DecodeContext { add_path: ids, ..external() };
            let (lines, read_back, _) = read(&made.octets, &ctx, MAX_LEN);
            let id = if add_path { "#7 " } else { "" };
            let text = nlri::display(family, key);
            let expected =
                [format!("announce {id}{text}"), format!("withdraw {id}{text}"), format!("end-of-rib {family}")];
            assert_eq!(lines, expected);
            assert_eq!(read_back, attrs, "{family}");
        }
        for (family, prefix) in [
            (Family::IPV4_UNICAST, "198.51.100.0/24"),
            (Family::IPV6_UNICAST, "2001:db8::/33"),
            (Family::IPV4_MULTICAST, "0.0.0.0/0"),
        ] {
            let ids = if add_path { FamilySet::ALL } else { FamilySet::EMPTY };
            let mut writer = UpdateWriter::new(EncodeContext { add_path: ids, ..EncodeContext::new() });
            let attrs = set(family).finish();
            writer.announce(family, AttrSet::new(&attrs));
            writer.push_prefix(7, prefix.parse().unwrap());
            writer.withdraw(family);
            writer.push_prefix(7, prefix.parse().unwrap());
            let ctx = DecodeContext { add_path: ids, ..external() };
            let (lines, read_back, _) = read(&writer.take().octets, &ctx, MAX_LEN);
            let id = if add_path { "#7 " } else { "" };
            assert_eq!(lines, [format!("announce {id}{prefix}"), format!("withdraw {id}{prefix}")]);
            assert_eq!(read_back, attrs, "{family}");
        }
    }
}

#[test]
fn the_mp_attributes_come_first() {
    // RFC 7606 §5.1.
    let mut writer = UpdateWriter::new(EncodeContext::new());
    let attrs = set(Family::IPV6_UNICAST).finish();
    writer.announce(Family::IPV6_UNICAST, AttrSet::new(&attrs));
    writer.push_prefix(0, "2001:db8::/32".parse().unwrap());
    let octets = writer.take().octets;
    assert_eq!((octets[23], octets[24]), (0x90, 14));
}

#[test]
fn a_two_octet_speaker_is_told_everything() {
    // RFC 6793 §4.2.2: AS_TRANS in AS_PATH and AGGREGATOR, the numbers beside them.
    let attrs = set(Family::IPV4_UNICAST).aggregator(Asn(65551), "192.0.2.9".parse().unwrap()).otc(Asn(64496)).finish();
    let mut writer = UpdateWriter::new(EncodeContext { four_octet_as: false, ..EncodeContext::new() });
    writer.announce(Family::IPV4_UNICAST, AttrSet::new(&attrs));
    writer.push_prefix(0, "198.51.100.0/24".parse().unwrap());
    let octets = writer.take().octets;
    let old = DecodeContext { four_octet_as: false, ..external() };
    assert_eq!(read(&octets, &old, MAX_LEN).1, attrs);
    // Whoever ignores the AS4 attributes sees AS_TRANS.
    let ctx = DecodeContext { rules: Rules { discard: [17, 18].into_iter().collect(), ..Rules::default() }, ..old };
    let decoded = decode(&octets, &ctx);
    assert_eq!(decoded.attrs().as_path().to_string(), "64496 23456");
    assert_eq!(decoded.attrs().aggregator().map(|(asn, _)| asn), Some(Asn::TRANS));
}

#[test]
fn what_does_not_fit_is_skipped_and_counted() {
    let huge = set(Family::IPV4_UNICAST).raw(0xc0, 200, &[7; 4050]).finish();
    let mut writer = UpdateWriter::new(EncodeContext::new());
    writer.announce(Family::IPV4_UNICAST, AttrSet::new(&huge));
    prefixes(3).into_iter().for_each(|prefix| writer.push_prefix(0, prefix));
    // The next run is not harmed.
    let attrs = set(Family::IPV4_UNICAST).finish();
    writer.announce(Family::IPV4_UNICAST, AttrSet::new(&attrs));
    prefixes(1).into_iter().for_each(|prefix| writer.push_prefix(0, prefix));
    let made = writer.take();
    assert_eq!((made.messages, made.skipped), (1, 3));
    assert_eq!(read(&made.octets, &external(), MAX_LEN).0.len(), 1);

    // Without a next hop there is nothing to announce, but for flow specifications, which need none (RFC 8955 §4).
    let without = AttrSetBuilder::new().origin(Origin::Igp).as_path_sequence(&[Asn(64496)]).finish();
    for (family, skipped) in [(Family::IPV4_UNICAST, 1), (Family::IPV6_UNICAST, 1), (Family::IPV4_FLOWSPEC, 0)] {
        writer.announce(family, AttrSet::new(&without));
        match family {
            Family::IPV4_FLOWSPEC => writer.push_opaque(0, &[3, 3, 0x81, 6], &[]),
            _ => writer.push_prefix(0, "198.51.100.0/24".parse().unwrap()),
        }
        assert_eq!(writer.take().skipped, skipped, "{family}");
    }
    // Nothing was begun.
    writer.push_prefix(0, "198.51.100.0/24".parse().unwrap());
    assert_eq!(writer.take(), Packed { skipped: 1, ..Packed::default() });
}
