//! NLRI per family: what is taken, what is refused, and the way back.

mod typed;

use super::*;

fn decode(family: Family, add_path: bool, field: &[u8]) -> Result<Vec<u8>, &'static str> {
    check(family, add_path, Reader::new(field)).map_err(|fault| fault.what)?;
    let mut out = Vec::new();
    append(family, add_path, Reader::new(field), &mut out);
    Ok(out)
}

fn routes(family: Family, add_path: bool, field: &[u8]) -> Vec<(PathId, String, Vec<u8>)> {
    let octets = decode(family, add_path, field).unwrap();
    if family.is_plain_prefix() {
        return PrefixIter::new(family, &octets, add_path)
            .map(|(id, prefix)| (id, prefix.to_string(), vec![]))
            .collect();
    }
    OpaqueIter::new(&octets).map(|(id, key, labels)| (id, display(family, key), labels.to_vec())).collect()
}

#[test]
fn plain_prefixes_are_masked_when_read() {
    let field = [24, 198, 51, 100, 0, 32, 192, 0, 2, 1, 20, 203, 0, 0x7f];
    let read: Vec<String> = routes(Family::IPV4_UNICAST, false, &field).into_iter().map(|(_, p, _)| p).collect();
    assert_eq!(read, ["198.51.100.0/24", "0.0.0.0/0", "192.0.2.1/32", "203.0.112.0/20"]);
    let field = [0, 0, 0, 7, 33, 0x20, 0x01, 0x0d, 0xb8, 0xff, 0, 0, 0, 8, 0];
    let read = routes(Family::IPV6_UNICAST, true, &field);
    assert_eq!(read, [(7, "2001:db8:8000::/33".into(), vec![]), (8, "::/0".into(), vec![])]);
}

#[test]
fn labelled_families_keep_the_label_beside_the_key() {
    // RFC 8277 §2.2, one label; host bits of the prefix are zero in the key.
    let field = [24 + 20, 0x00, 0x06, 0x41, 198, 51, 0x6f];
    assert_eq!(routes(Family::IPV4_LABELED, false, &field), [(0, "198.51.96.0/20".into(), vec![0, 6, 0x41])]);
    // RFC 4364 §4.3.4, with path identifier and each kind of route distinguisher.
    for (rd, text) in [
        ([0, 0, 0xfb, 0xf0, 0, 0, 0, 1], "64496:1:10.0.0.0/8"),
        ([0, 1, 192, 0, 2, 1, 0, 9], "192.0.2.1:9:10.0.0.0/8"),
        ([0, 2, 0, 1, 0, 0, 0, 2], "65536:2:10.0.0.0/8"),
    ] {
        let field = [&[0, 0, 0, 5, 24 + 64 + 8, 0, 0, 0x11][..], &rd, &[10]].concat();
        assert_eq!(routes(Family::VPNV4, true, &field), [(5, text.into(), vec![0, 0, 0x11])]);
    }
    // Same octets, other length: another route. The length is in the key.
    let a = decode(Family::IPV4_LABELED, false, &[24 + 9, 0, 0, 1, 10, 0]).unwrap();
    let b = decode(Family::IPV4_LABELED, false, &[24 + 16, 0, 0, 1, 10, 0]).unwrap();
    assert_ne!(OpaqueIter::new(&a).next().unwrap().1, OpaqueIter::new(&b).next().unwrap().1);
}

#[test]
fn a_withdrawn_label_is_any_three_octets() {
    // RFC 8277 §2.4: 0x800000 should be sent, anything is taken; 0x000000 is what older speakers send.
    for label in [[0x80, 0, 0], [0, 0, 0], [0, 0, 0x31]] {
        let field = [&[24 + 24][..], &label, &[198, 51, 100]].concat();
        assert_eq!(routes(Family::IPV4_LABELED, false, &field), [(0, "198.51.100.0/24".into(), label.to_vec())]);
    }
}

#[test]
fn a_label_stack_of_an_older_speaker_is_seen_where_one_label_cannot_be() {
    let field = [48 + 32, 0, 0, 0x10, 0, 0, 0x21, 192, 0, 2, 1];
    assert_eq!(routes(Family::IPV4_LABELED, false, &field), [(0, "192.0.2.1/32".into(), vec![0, 0, 0x10, 0, 0, 0x21])]);
}

#[test]
fn length_framed_families_stay_opaque() {
    let field = [2, 3, 1, 2, 3, 200, 2, 9, 9, 3, 1, 7];
    assert_eq!(check(Family::EVPN, false, Reader::new(&field)).map(|f| (f.routes, f.unrecognised)), Ok((2, 1)));
    let read: Vec<String> = routes(Family::EVPN, false, &field).into_iter().map(|(_, text, _)| text).collect();
    // RFC 7606 §5.4: type 200 is nobody's and left out.
    assert_eq!(read, ["[evpn type 2 010203]", "[evpn type 3 07]"]);

    let read = routes(Family::BGP_LS, false, &[0, 1, 0, 2, 0xaa, 0xbb]);
    assert_eq!(read[0].1, "[bgp-ls type 1 aabb]");
    let read = routes(Family::RTC, false, &[0, 96, 0, 0, 0xfb, 0xf0, 0, 2, 0xfb, 0xf1, 0, 0, 0, 100]);
    assert_eq!((read[0].1.as_str(), read[1].1.as_str()), ("[rtc default]", "[rtc 64496 rt:64497:100]"));
    let read = routes(Family::IPV4_SR_POLICY, false, &[96, 0, 0, 0, 1, 0, 0, 0, 9, 192, 0, 2, 1]);
    assert_eq!(read[0].1, "[sr-policy 1 color 9 endpoint 192.0.2.1]");
    // RFC 8955 §4.1: a short filter with a long length field is the same filter.
    let long = routes(Family::IPV4_FLOWSPEC, false, &[0xf0, 3, 3, 0x81, 6]);
    assert_eq!(long, routes(Family::IPV4_FLOWSPEC, false, &[3, 3, 0x81, 6]));
    // A family that nobody described: one route, whatever it holds.
    assert_eq!(routes(Family::new(99, 99), false, &[1, 2, 3])[0].1, "[afi99-safi99 010203]");
    assert_eq!(routes(Family::new(99, 99), false, &[]), []);
}

#[test]
fn incorrect_fields_are_refused_whole() {
    // RFC 7606 §5.3, per framing.
    let rows: [(Family, bool, &[u8]); 16] = [
        (Family::IPV4_UNICAST, false, &[33, 1, 2, 3, 4, 5]),
        (Family::IPV4_UNICAST, false, &[24, 1, 2]),
        (Family::IPV4_UNICAST, false, &[8, 1, 24]),
        (Family::IPV4_UNICAST, true, &[0, 0, 1]),
        (Family::IPV4_UNICAST, true, &[0, 0, 0, 1]),
        (Family::IPV6_UNICAST, false, &[129]),
        (Family::IPV4_LABELED, false, &[23, 0, 0, 1]),
        (Family::IPV4_LABELED, false, &[24 + 33, 0, 0, 1, 1, 2, 3, 4, 5]),
        (Family::VPNV4, false, &[24 + 63, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        (Family::VPNV6, false, &[24 + 64, 0, 0, 1]),
        (Family::RTC, false, &[97]),
        (Family::EVPN, false, &[2]),
        (Family::EVPN, false, &[2, 4, 0]),
        (Family::BGP_LS, false, &[0, 1, 0, 4, 0]),
        (Family::IPV4_FLOWSPEC, false, &[0xf1]),
        (Family::VPNV4_FLOWSPEC, false, &[3, 1, 2, 3]),
    ];
    for (family, add_path, field) in rows {
        assert!(decode(family, add_path, field).is_err(), "{family} {field:?}");
    }
}

#[test]
fn what_is_read_can_be_written() {
    let rows: [(Family, &[u8]); 7] = [
        (Family::IPV4_UNICAST, &[0, 0, 0, 9, 24, 198, 51, 100]),
        (Family::IPV6_MULTICAST, &[0, 0, 0, 9, 32, 0x20, 1, 0xd, 0xb8]),
        (Family::IPV4_LABELED, &[0, 0, 0, 9, 32, 0, 0, 1, 10]),
        (Family::VPNV4, &[0, 0, 0, 9, 96, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 10]),
        (Family::EVPN, &[0, 0, 0, 9, 2, 1, 7]),
        (Family::IPV6_FLOWSPEC, &[0, 0, 0, 9, 3, 3, 0x81, 6]),
        (Family::RTC, &[0, 0, 0, 9, 32, 0, 0, 0xfb, 0xf0]),
    ];
    for (family, field) in rows {
        let octets = decode(family, true, field).unwrap();
        let mut out = Vec::new();
        for (id, prefix) in PrefixIter::new(family, &octets, true) {
            push_prefix_wire(Some(id), prefix, &mut out);
        }
        if !family.is_plain_prefix() {
            for (id, key, labels) in OpaqueIter::new(&octets) {
                assert!(push_opaque_wire(family, Some(id), labels, key, &mut out));
            }
        }
        assert_eq!(out, field, "{family}");
    }
}
