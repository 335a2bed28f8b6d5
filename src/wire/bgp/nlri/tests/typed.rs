//! The typed view: rows of text and octets, and the laws that hold for all of them.

use proptest::prelude::*;

use super::super::{
    flowspec::{Bitmask, Component, End, FlowSpec, Numeric, Test},
    *,
};
use crate::wire::cursor::Reader;

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

/// The only route of a field, as `OpaqueIter` gives it.
fn only(family: Family, field: &[u8]) -> (Vec<u8>, Vec<u8>) {
    check(family, false, Reader::new(field)).unwrap();
    let mut out = Vec::new();
    append(family, false, Reader::new(field), &mut out);
    let mut routes = OpaqueIter::new(&out);
    let (_, key, labels) = routes.next().unwrap();
    assert!(routes.next().is_none());
    (key.to_vec(), labels.to_vec())
}

#[test]
fn labelled_and_vpn_routes_read_and_print_as_operators_write_them() {
    for (family, text, key) in [
        (Family::IPV4_LABELED, "192.0.2.0/24", "18 c00002"),
        (Family::IPV6_LABELED, "2001:db8::/33", "21 20010db800"),
        (Family::VPNV4, "64500:1:192.0.2.0/24", "58 0000fbf400000001 c00002"),
        (Family::VPNV4, "192.0.2.1:9:0.0.0.0/0", "40 0001c00002010009"),
        (Family::VPNV6, "65536:2:2001:db8::/32", "60 0002000100000002 20010db8"),
        // A small AS in the four-octet form is another distinguisher than in the two-octet form.
        (Family::VPNV4, "64500L:1:10.0.0.0/8", "48 00020000fbf40001 0a"),
        (Family::VPNV4, "0x0003000000000001:10.0.0.0/8", "48 0003000000000001 0a"),
    ] {
        let key = octets(key);
        assert_eq!(display(family, &key), text);
        let typed = TypedNlri::parse(family, text).unwrap();
        assert_eq!(typed.key().unwrap(), key, "{text}");
        assert_eq!(TypedNlri::decode(family, &key, &[]), Some(typed));
    }
    for (family, text, words) in [
        (Family::VPNV4, "192.0.2.0/24", "route distinguisher in front"),
        (Family::VPNV4, "64500:1:2001:db8::/32", "no prefix of vpnv4-unicast"),
        (Family::VPNV4, "64500:1:192.0.2.1/24", "did you mean 192.0.2.0/24"),
        (Family::VPNV6, "65536:65536:2001:db8::/32", "route distinguisher in front"),
        (Family::IPV6_LABELED, "192.0.2.0/24", "no prefix of ipv6-labeled-unicast"),
        (Family::EVPN, "[2]:[0]", "cannot be written as text"),
    ] {
        let error = TypedNlri::parse(family, text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

/// A key from the body of a flow specification: its length in front.
fn flow_key(body: &str) -> Vec<u8> {
    let body = octets(body);
    [&[u8::try_from(body.len()).unwrap()][..], &body].concat()
}

#[test]
fn flow_specifications_read_and_print_as_operators_write_them() {
    for (family, text, body) in [
        // RFC 8955 §4.3, examples 1 and 2.
        (Family::IPV4_FLOWSPEC, "dst 192.0.2.0/24; proto =6; port =25", "01 18 c00002 03 81 06 04 81 19"),
        (
            Family::IPV4_FLOWSPEC,
            "dst 192.0.2.0/24; src 203.0.113.0/24; port >=137&<=139,=8080",
            "01 18 c00002 02 18 cb0071 04 03 89 45 8b 91 1f90",
        ),
        // RFC 8956 §3.8, examples 1 and 2.
        (
            Family::IPV6_FLOWSPEC,
            "dst 2001:db8::/32; src ::1234:5678:9a00:0/64-104; proto =6",
            "01 20 00 20010db8 02 68 40 123456789a 03 81 06",
        ),
        (
            Family::IPV6_FLOWSPEC,
            "dst 2001:db8::/32; src ::1234:5678:9a00:0/65-104",
            "01 20 00 20010db8 02 68 41 2468acf134",
        ),
        (Family::IPV6_FLOWSPEC, "flow-label >65535", "0d 92 ffff"),
        (Family::VPNV4_FLOWSPEC, "rd 64500:1; src 10.0.0.0/8; dscp =46", "0000fbf400000001 02 08 0a 0b 81 2e"),
        (Family::IPV4_FLOWSPEC, "tcp-flags syn&!ack; fragment =dont-fragment+is-fragment", "09 00 02 c2 10 0c 81 03"),
        (Family::IPV4_FLOWSPEC, "tcp-flags !=0x102,0x0", "09 13 0102 80 00"),
        (Family::IPV4_FLOWSPEC, "icmp-type =8; icmp-code =0; length >1500", "07 81 08 08 81 00 0a 92 05dc"),
        (Family::IPV4_FLOWSPEC, "dport true", "05 87 00"),
        (Family::IPV4_FLOWSPEC, "any", ""),
    ] {
        let key = flow_key(body);
        assert_eq!(only(family, &key), (key.clone(), vec![]));
        assert_eq!(display(family, &key), text);
        let typed = TypedNlri::parse(family, text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(typed.key().unwrap(), key, "{text}");
    }
}

#[test]
fn a_filter_may_be_written_loosely_and_a_wrong_one_is_refused_with_what_would_do() {
    let loose =
        TypedNlri::parse(Family::IPV4_FLOWSPEC, "dport >= 1024 & <= 2048 ,53;protocol udp; destination 10.0.0.0/8;");
    assert_eq!(loose.unwrap().to_string(), "dst 10.0.0.0/8; proto =17; dport >=1024&<=2048,=53");
    for (family, text, words) in [
        (Family::IPV4_FLOWSPEC, "dst 2001:db8::/32", "no prefix of ipv4-flowspec"),
        (Family::IPV4_FLOWSPEC, "dst 10.0.0.0/0-8", "not a prefix"),
        (Family::IPV6_FLOWSPEC, "dst 2001:db8::/32-32", "offset"),
        (Family::IPV4_FLOWSPEC, "dports =1", "there are dst, src, proto"),
        (Family::IPV4_FLOWSPEC, "dport =1; dport =2", "stands twice"),
        (Family::IPV4_FLOWSPEC, "dport =x", "comparisons such as"),
        (Family::IPV4_FLOWSPEC, "dport", "comparisons such as"),
        (Family::IPV4_FLOWSPEC, "dport =>1", "comparisons such as"),
        (Family::IPV4_FLOWSPEC, "tcp-flags syn+nak", "fin, syn, rst"),
        (Family::IPV4_FLOWSPEC, "flow-label =1", "IPv6 alone"),
        (Family::IPV4_FLOWSPEC, "rd 64500:1; dport =1", "leave rd out"),
        (Family::VPNV6_FLOWSPEC, "dport =1", "begin with rd"),
    ] {
        let error = TypedNlri::parse(family, text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    let many = vec!["=1"; 3000].join(",");
    let long = TypedNlri::parse(Family::IPV4_FLOWSPEC, &format!("port {many}")).unwrap();
    assert!(long.key().unwrap_err().to_string().contains("at most 4095"));
}

#[test]
fn a_filter_that_breaks_a_rule_is_malformed_and_shown_as_octets() {
    for (family, body, rule) in [
        (Family::IPV4_FLOWSPEC, "03 81 06 01 08 0a", "types ascend (RFC 8955 §4.2)"),
        (Family::IPV4_FLOWSPEC, "03 81 06 03 81 11", "each type once"),
        (Family::IPV4_FLOWSPEC, "03 01 06", "the last operator has the end bit"),
        (Family::IPV4_FLOWSPEC, "03 91 06", "the value is as long as the operator says"),
        (Family::IPV4_FLOWSPEC, "01 21 0a000000 00", "32 bits are the most"),
        (Family::IPV4_FLOWSPEC, "0d 81 01", "flow label is of IPv6 (RFC 8956 §3.7)"),
        (Family::IPV4_FLOWSPEC, "0e 81 01", "unknown type"),
        (Family::IPV6_FLOWSPEC, "01 20 20", "offset below length (RFC 8956 §3.1)"),
        (Family::IPV6_FLOWSPEC, "01 81 00 00", "128 bits are the most"),
        (Family::IPV4_FLOWSPEC, "09 a0 00000002", "two octets of TCP flags are the most (RFC 8955 §4.2.2.9)"),
        (Family::IPV4_FLOWSPEC, "0c 90 0002", "fragments have one octet (§4.2.2.12)"),
        (Family::VPNV4_FLOWSPEC, "0000fbf400000001 0e 81 01", "unknown type"),
    ] {
        let key = flow_key(body);
        assert_eq!(TypedNlri::decode(family, &key, &[]), None, "{rule}");
        assert_eq!(display(family, &key), format!("[{family} {}]", hex(&key)));
        let facts = check(family, false, Reader::new(&key)).unwrap();
        assert!(facts.malformed.is_some(), "{rule} (RFC 8955 §10)");
    }
}

#[test]
fn evpn_routes_print_as_frr_does_and_keep_their_properties_beside_the_key() {
    let rd = "0000fbf400000001";
    let (esi, no_esi) = ("00112233445566778899", "00000000000000000000");
    for (nlri, text, aside, labels) in [
        (
            format!("01 19 {rd} {esi} 00000007 000641"),
            "64500:1:[1]:[7]:[00:11:22:33:44:55:66:77:88:99]",
            "000641".to_owned(),
            vec![100],
        ),
        (
            format!("02 21 {rd} {no_esi} 00000000 30 00005e005301 00 000641"),
            "64500:1:[2]:[0]:[48]:[00:00:5e:00:53:01]",
            format!("{no_esi} 000641"),
            vec![100],
        ),
        (
            format!("02 28 {rd} {esi} 00000000 30 00005e005301 20 c0000201 000641 000c81"),
            "64500:1:[2]:[0]:[48]:[00:00:5e:00:53:01]:[32]:[192.0.2.1]",
            format!("{esi} 000641 000c81"),
            vec![100, 200],
        ),
        (format!("03 11 {rd} 00000005 20 c0000201"), "64500:1:[3]:[5]:[32]:[192.0.2.1]", String::new(), vec![]),
        (
            format!("04 17 {rd} {esi} 20 c0000201"),
            "64500:1:[4]:[00:11:22:33:44:55:66:77:88:99]:[32]:[192.0.2.1]",
            String::new(),
            vec![],
        ),
        (
            format!("05 22 {rd} {no_esi} 00000000 18 cb007100 c0000209 000641"),
            "64500:1:[5]:[0]:[24]:[203.0.113.0]",
            format!("{no_esi} c0000209 000641"),
            vec![100],
        ),
        (
            format!("05 3a {rd} {no_esi} 00000000 20 20010db8{zeros} 20010db8{zeros} 000641", zeros = "00".repeat(12)),
            "64500:1:[5]:[0]:[32]:[2001:db8::]",
            format!("{no_esi} 20010db8{} 000641", "00".repeat(12)),
            vec![100],
        ),
    ] {
        let nlri = octets(&nlri);
        let (key, beside) = only(Family::EVPN, &nlri);
        assert_eq!(display(Family::EVPN, &key), text);
        assert_eq!(beside, octets(&aside), "{text}");
        assert_eq!(super::super::labels(Family::EVPN, &key, &beside), labels, "{text}");
        assert_eq!(wire_form(Family::EVPN, &key, &beside), nlri, "{text}");
        assert_eq!(wire_len(Family::EVPN, &key, &beside), nlri.len(), "{text}");
        // Other properties: the same route (RFC 7432 §7.2, RFC 9136 §3.1).
        let (again, none) = only(Family::EVPN, &wire_form(Family::EVPN, &key, &[]));
        assert_eq!(again, key, "{text}");
        assert!(none.iter().all(|octet| *octet == 0));
    }
    // A length that fits no route of the type: the whole NLRI is the key.
    for odd in
        ["02 03 010203", "05 01 00", "01 00", "02 20 0000fbf4000000010000000000000000000000000030000000000000ff0000"]
    {
        let mut odd = octets(odd);
        odd[1] = u8::try_from(odd.len() - 2).unwrap();
        assert_eq!(only(Family::EVPN, &odd), (odd.clone(), vec![]));
        assert_eq!(wire_form(Family::EVPN, &odd, &[]), odd);
        assert!(TypedNlri::decode(Family::EVPN, &odd, &[]).is_none());
    }
}

#[test]
fn link_state_routes_show_descriptors_by_name() {
    let node = "0100 0016 0200 0004 0000fbf4 0203 0006 000000000001 0999 0000";
    for (key, text) in [
        (
            format!("0001 0027 02 0000000000000000 {node}"),
            "[bgp-ls node isis-l2 0 local {as 64500 router 0000.0000.0001 tlv-2457 }]",
        ),
        (
            "0003 001e 03 0000000000000005 0100 0008 0203 0004 c0000201 0109 0004 18cb0071".into(),
            "[bgp-ls ipv4-prefix ospfv2 5 local {router 192.0.2.1} ipv4-prefix {prefix 203.0.113.0/24}]",
        ),
        (
            "0002 002d 01 0000000000000000 0100 0008 0203 0004 c0000201 0101 0008 0203 0004 c0000202 \
             0102 0008 0000000100000002"
                .into(),
            "[bgp-ls link isis-l1 0 local {router 192.0.2.1} remote {router 192.0.2.2} link {link-ids 1/2}]",
        ),
        // A TLV that reaches behind its end: octets.
        ("0001 000d 02 0000000000000000 0100 0009".into(), "[bgp-ls type 1 02000000000000000001000009]"),
    ] {
        assert_eq!(display(Family::BGP_LS, &octets(&key)), text);
    }
}

#[test]
fn every_kind_of_route_knows_the_prefix_it_is_about() {
    let rd = "0000fbf400000001";
    for (family, key, about) in [
        (Family::VPNV4, format!("58 {rd} c00002"), Some("192.0.2.0/24")),
        (Family::IPV4_FLOWSPEC, "03 04 81 19".into(), None),
        (Family::IPV4_FLOWSPEC, "05 01 18 c00002".into(), Some("192.0.2.0/24")),
        (Family::IPV6_FLOWSPEC, "08 01 68 40 123456789a".into(), None),
        (
            Family::EVPN,
            format!("05 22 {rd} {} 00000000 18 cb007100 c0000209 000641", "00".repeat(10)),
            Some("203.0.113.0/24"),
        ),
        (Family::IPV4_SR_POLICY, "60 00000001 00000009 c0000201".into(), Some("192.0.2.1/32")),
        (Family::RTC, "00".into(), None),
    ] {
        let typed = TypedNlri::decode(family, &octets(&key), &[]);
        let found = typed.and_then(|typed| typed.prefix()).map(|prefix| prefix.to_string());
        assert_eq!(found.as_deref(), about, "{family} {key}");
    }
}

fn any_test(ops: u8) -> impl Strategy<Value = Test> {
    (any::<bool>(), 0..ops, any::<u64>(), 0_u32..4).prop_map(|(and, op, value, log)| {
        let size = 1_u8 << log;
        let value = if size == 8 { value } else { value & ((1 << (8 * u32::from(size))) - 1) };
        Test { and, op, value, size }
    })
}

fn any_tests(ops: u8) -> impl Strategy<Value = Vec<Test>> {
    prop::collection::vec(any_test(ops), 1..4).prop_map(|mut tests| {
        tests[0].and = false;
        tests
    })
}

fn any_prefix(v6: bool) -> impl Strategy<Value = (Prefix, u8)> {
    (any::<u128>(), 0_u8..=128, 0_u8..128).prop_map(move |(addr, len, offset)| {
        if !v6 {
            return (Prefix::v4(addr as u32, len % 33), 0);
        }
        let offset = if len == 0 { 0 } else { offset % len };
        (Prefix::v6(addr & u128::MAX >> offset, len), offset)
    })
}

fn any_filter() -> impl Strategy<Value = (Family, FlowSpec)> {
    (any::<bool>(), any::<bool>()).prop_flat_map(|(v6, vpn)| {
        let family = Family::new(if v6 { 2 } else { 1 }, if vpn { 134 } else { 133 });
        let ends = [End::Destination, End::Source].map(|end| {
            prop::option::of(any_prefix(v6).prop_map(move |(prefix, offset)| Component::Prefix { end, prefix, offset }))
        });
        let numeric = Numeric::ALL.map(|field| {
            prop::option::weighted(0.3, any_tests(8).prop_map(move |tests| Component::Numeric { field, tests }))
        });
        let bits = Bitmask::ALL.map(|field| {
            // RFC 8955 §4.2.2.9, §4.2.2.12: one or two octets of TCP flags, one of fragments.
            let size_max = if field == Bitmask::Fragment { 1 } else { 2 };
            let fits = move |mut test: Test| {
                test.size = test.size.min(size_max);
                test.value &= u64::MAX >> (64 - 8 * u32::from(test.size));
                test
            };
            let component = move |tests: Vec<Test>| {
                let tests = tests.into_iter().map(fits).collect();
                Component::Bitmask { field, tests }
            };
            prop::option::weighted(0.3, any_tests(4).prop_map(component))
        });
        (any::<[u8; 8]>(), ends, Vec::from(numeric), bits).prop_map(move |(rd, ends, numeric, bits)| {
            let all = ends.into_iter().chain(numeric).chain(bits).flatten();
            let mut components: Vec<Component> =
                all.filter(|component| v6 || component.kind() != Numeric::FlowLabel as u8).collect();
            components.sort_by_key(Component::kind);
            (family, FlowSpec { rd: vpn.then_some(RouteDistinguisher(rd)), components })
        })
    })
}

/// The filter as its text can say it: values in as few octets as they need, none where the operator looks at none.
fn as_written(mut filter: FlowSpec) -> FlowSpec {
    for component in &mut filter.components {
        let (tests, constant): (_, &[u8]) = match component {
            Component::Prefix { .. } => continue,
            Component::Numeric { tests, .. } => (tests, &[0, 7]),
            Component::Bitmask { tests, .. } => (tests, &[]),
        };
        for test in tests {
            *test = Test::new(test.and, test.op, if constant.contains(&test.op) { 0 } else { test.value });
        }
    }
    filter
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_filter_survives_the_wire((family, filter) in any_filter()) {
        let typed = TypedNlri::FlowSpec(filter);
        let key = typed.key().unwrap();
        prop_assert_eq!(TypedNlri::decode(family, &key, &[]), Some(typed));
        prop_assert_eq!(only(family, &key), (key, vec![]));
    }

    #[test]
    fn a_filter_survives_its_text((family, filter) in any_filter()) {
        let typed = TypedNlri::FlowSpec(as_written(filter));
        prop_assert_eq!(TypedNlri::parse(family, &typed.to_string()), Ok(typed));
    }

    #[test]
    fn a_labelled_route_survives_wire_and_text(
        rd in any::<[u8; 8]>(), (v4, _) in any_prefix(false), (addr, len) in (any::<u128>(), 0_u8..=128),
    ) {
        let v6 = Prefix::v6(addr, len);
        for (family, rd, prefix) in [
            (Family::IPV4_LABELED, None, v4),
            (Family::IPV6_LABELED, None, v6),
            (Family::VPNV4, Some(RouteDistinguisher(rd)), v4),
            (Family::VPNV6, Some(RouteDistinguisher(rd)), v6),
        ] {
            let typed = TypedNlri::Labelled(LabelledPrefix { rd, prefix });
            let key = typed.key().unwrap();
            prop_assert_eq!(TypedNlri::decode(family, &key, &[]), Some(typed.clone()));
            prop_assert_eq!(TypedNlri::parse(family, &typed.to_string()), Ok(typed));
            let wire = wire_form(family, &key, &[0, 6, 0x41]);
            prop_assert_eq!(only(family, &wire), (key, vec![0, 6, 0x41]));
        }
    }

    #[test]
    fn any_evpn_route_survives_being_taken_apart(kind in 1_u8..12, body in prop::collection::vec(any::<u8>(), 0..64), fit in any::<bool>()) {
        let mut body = body;
        if fit && kind == 2 && body.len() > 36 {
            // Lengths that make it a good one.
            body[22] = 48;
            body[29] = [0, 32, 128][usize::from(body[29] % 3)];
        }
        let nlri = [&[kind, body.len() as u8][..], &body].concat();
        let (key, aside) = only(Family::EVPN, &nlri);
        prop_assert_eq!(wire_form(Family::EVPN, &key, &aside), nlri);
        let (same, _) = only(Family::EVPN, &key);
        prop_assert_eq!(&same, &key, "a key is its own key");
    }

    #[test]
    fn any_octets_have_a_text_and_any_text_is_read_or_refused(
        key in prop::collection::vec(any::<u8>(), 0..80), labels in prop::collection::vec(any::<u8>(), 0..32), text in ".{0,60}",
    ) {
        for family in ALL {
            prop_assert!(!display(family, &key).is_empty());
            if let Some(typed) = TypedNlri::decode(family, &key, &labels) {
                prop_assert!(!typed.to_string().is_empty());
                let _ = (typed.prefix(), typed.rd());
            }
            let _ = (wire_form(family, &key, &labels), super::super::labels(family, &key, &labels));
            let _ = TypedNlri::parse(family, &text);
        }
    }
}

const ALL: [Family; 13] = [
    Family::IPV4_LABELED,
    Family::IPV6_LABELED,
    Family::VPNV4,
    Family::VPNV6,
    Family::IPV4_FLOWSPEC,
    Family::IPV6_FLOWSPEC,
    Family::VPNV4_FLOWSPEC,
    Family::VPNV6_FLOWSPEC,
    Family::EVPN,
    Family::BGP_LS,
    Family::RTC,
    Family::IPV4_SR_POLICY,
    Family::IPV6_SR_POLICY,
];
