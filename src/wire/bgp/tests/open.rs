//! OPEN: fixed part, optional parameters in both encodings, rules across capabilities.

use proptest::prelude::*;

use super::{capability::any_capability, hex, message};
use crate::{
    types::{Asn, Family, RouterId},
    wire::bgp::{MAX_LEN, MessageType, capability::Capability, frame, open::Open},
};

fn open(body: &str) -> Result<Open, String> {
    Open::decode(&message(MessageType::Open, &hex(body)))
        .map_err(|fault| fault.notification.map(|code| code.to_string()).unwrap_or_default())
}

fn typical() -> Open {
    let capabilities = vec![
        Capability::MultiProtocol(Family::IPV4_UNICAST),
        Capability::RouteRefresh,
        Capability::FourOctetAs(Asn(65551)),
    ];
    Open::new(Asn(65551), 90, RouterId(0xc633_6401), capabilities)
}

#[test]
fn an_open_is_written_as_the_rfc_draws_it() {
    // Version, AS_TRANS, hold time, identifier; one parameter with ipv4-unicast, route refresh, four-octet AS.
    let wire = hex("ffffffffffffffffffffffffffffffff 002d 01
                    04 5ba0 005a c6336401
                    10 02 0e  01 04 0001 00 01  02 00  41 04 0001000f");
    assert_eq!(typical().encode(), wire);
    assert_eq!(Open::decode(&wire), Ok(typical()));
    assert_eq!(typical().asn(), Asn(65551));
}

#[test]
fn the_sender_is_the_two_octet_as_where_the_capability_is_missing() {
    let old = open("04 fbf0 00b4 c0000201 00").unwrap();
    assert_eq!((old.asn(), old.hold_time_secs, old.capabilities), (Asn(64496), 180, vec![]));
}

#[test]
fn the_open_table() {
    const FIXED: &str = "04 fde9 005a c0000209";
    #[rustfmt::skip]
    let table: &[(&str, &str)] = &[
        // version, AS, hold time, identifier, parameters               // verdict and clause
        ("04 fde9 005a c0000209 00",                        ""),        // RFC 4271 §4.2
        ("03 fde9 005a c0000209 00",                        "2/1"),     // §6.2: version
        ("05 fde9 005a c0000209 00",                        "2/1"),
        ("04 0000 005a c0000209 00",                        "2/2"),     // RFC 7607 §2: AS 0
        ("04 fde9 005a c0000209 08 02 06 41 04 00000000",   "2/2"),     // the same in the capability
        ("04 fde9 0000 c0000209 00",                        ""),        // §4.2: hold time 0 is legal
        ("04 fde9 0001 c0000209 00",                        "2/6"),     // §6.2
        ("04 fde9 0002 c0000209 00",                        "2/6"),
        ("04 fde9 0003 c0000209 00",                        ""),
        ("04 fde9 005a 00000000 00",                        "2/3"),     // RFC 6286 §2.2
        ("04 fde9 005a e0000001 00",                        ""),        // RFC 6286 §2.1: any non-zero number
        ("04 fde9 005a c0000209",                           "2/0"),     // ends early
        (&format!("{FIXED} 00 02 00"),                      "2/0"),     // octets behind the parameters
        (&format!("{FIXED} 03 02 00"),                      "2/0"),     // parameters longer than the message
        (&format!("{FIXED} 02 02 00"),                      ""),        // a Capabilities parameter without any
        (&format!("{FIXED} 01 02"),                         "2/0"),     // a parameter without a length
        (&format!("{FIXED} 02 02 01"),                      "2/0"),     // a parameter longer than the field
        (&format!("{FIXED} 03 01 01 00"),                   "2/4"),     // authentication is gone from RFC 4271
        (&format!("{FIXED} 02 03 00"),                      "2/4"),     // §6.2: unknown parameter
        (&format!("{FIXED} 04 02 02 02 00"),                ""),
        (&format!("{FIXED} 08 02 02 02 00 02 02 46 00"),    ""),        // RFC 5492 §4: several parameters
        (&format!("{FIXED} 04 02 02 02 01"),                "2/0"),     // capability longer than the parameter
        (&format!("{FIXED} 03 02 01 02"),                   "2/0"),     // capability without a length
        (&format!("{FIXED} 05 02 03 02 01 00"),             "2/0"),     // route refresh of 1 octet
        (&format!("{FIXED} 0a 02 08 09 01 03 09 01 03 fe 00"), ""),     // RFC 9234 §4.2: the same role twice
        (&format!("{FIXED} 08 02 06 09 01 03 09 01 00"),    "2/11"),    // two roles
        (&format!("{FIXED} 0a 02 03 09 01 02 02 03 09 01 04"), "2/11"), // in two parameters
        (&format!("{FIXED} 04 02 02 09 00"),                "2/0"),     // a role without a value
        (&format!("{FIXED} 06 02 04 09 02 0000"),           "2/0"),     // a role of two octets
        (&format!("{FIXED} ff ff 0005 02 0002 02 00"),      ""),        // RFC 9072 §2
        (&format!("{FIXED} 01 ff 0005 02 0002 02 00"),      ""),        // §2: the old length MUST be ignored
        (&format!("{FIXED} ff ff 0000"),                    ""),        // §2: no parameters are present
        (&format!("{FIXED} ff ff 0006 02 0002 02 00"),      "2/0"),
        (&format!("{FIXED} ff ff 0004 02 0002 02 00"),      "2/0"),
        (&format!("{FIXED} ff ff 00"),                      "2/0"),
        (&format!("{FIXED} ff ff"),                         "2/0"),
        (&format!("{FIXED} ff"),                            "2/0"),
        (&format!("{FIXED} ff ff 0003 ff 0000"),            "2/4"),     // §3: 255 anywhere else is unknown
        (&format!("{FIXED} 04 02 00 ff 00"),                "2/4"),
        (&format!("{FIXED} 00 ff 0005 02 0002 02 00"),      "2/0"),     // §2: 0 says that there are none
    ];
    for (body, expected) in table {
        let got = open(body).map_or_else(|code| code, |_| String::new());
        assert_eq!(got, *expected, "{body}");
    }
}

#[test]
fn an_unsupported_version_is_answered_with_ours() {
    // RFC 4271 §6.2: a 2-octet unsigned integer.
    let fault = Open::decode(&message(MessageType::Open, &hex("03 fde9 005a c0000209 00"))).unwrap_err();
    assert_eq!(fault.data, [0, 4]);
}

#[test]
fn a_malformed_capability_is_shown_to_its_sender() {
    let body = hex("04 fde9 005a c0000209 0a 02 08 02 00 41 02 fde9 46 00");
    let fault = Open::decode(&message(MessageType::Open, &body)).unwrap_err();
    assert_eq!((fault.at, fault.data), (33, hex("41 02 fde9")));
}

#[test]
fn the_extended_encoding_begins_where_one_octet_ends() {
    // RFC 9072 §2: with 253 octets of capabilities the parameter has 255, and the old encoding still fits.
    for (text_len, extended) in [(250, false), (251, true)] {
        let filler = Capability::Unknown { code: 250, value: vec![7; text_len + 1] };
        let mut open = Open::new(Asn(64496), 90, RouterId(1), vec![filler]);
        let wire = open.encode();
        let parameters = &wire[28..];
        assert_eq!(parameters.starts_with(&[255, 255]), extended, "{text_len}");
        assert_eq!(Open::decode(&wire), Ok(open.clone()));

        open.capabilities = vec![Capability::RouteRefresh; 600];
        let wire = open.encode();
        assert!(wire[28..].starts_with(&[255, 255, 0x04, 0xb3, 2, 0x04, 0xb0]));
        assert_eq!(Open::decode(&wire), Ok(open));
    }
}

#[test]
fn an_open_never_outgrows_4096_octets() {
    // RFC 8654 §4: OPEN is not extended.
    let filler = Capability::Unknown { code: 250, value: vec![7; 255] };
    let wire = Open::new(Asn(64496), 90, RouterId(1), vec![filler; 40]).encode();
    assert!(wire.len() <= MAX_LEN && frame(&wire, MAX_LEN).unwrap().is_some());
    assert_eq!(Open::decode(&wire).unwrap().capabilities.len(), 15);
}

proptest! {
    #[test]
    fn any_octets_decode_without_panic(octets: Vec<u8>) {
        let _ = Open::decode(&octets);
        let _ = Open::decode(&message(MessageType::Open, &octets));
    }

    #[test]
    fn any_parameters_decode_without_panic(parameters in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut body = hex("04 fde9 005a c0000209");
        body.push(parameters.len().min(255) as u8);
        body.extend(parameters);
        let _ = Open::decode(&message(MessageType::Open, &body));
    }

    #[test]
    fn an_open_survives_the_wire(
        my_as in 1u16..,
        hold_time_secs in prop_oneof![Just(0u16), 3u16..],
        router_id in 1u32..,
        role in prop::option::of(any::<u8>()),
        mut capabilities in prop::collection::vec(any_capability(), 0..12),
    ) {
        capabilities.retain(|capability| *capability != Capability::FourOctetAs(Asn(0)));
        capabilities.extend(role.map(Capability::Role));
        let open = Open { version: 4, my_as, hold_time_secs, router_id: RouterId(router_id), capabilities };
        let wire = open.encode();
        prop_assert_eq!(frame(&wire, MAX_LEN).unwrap().unwrap().message.len(), wire.len());
        prop_assert_eq!(Open::decode(&wire), Ok(open));
    }
}
