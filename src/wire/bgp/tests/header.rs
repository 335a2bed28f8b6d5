//! Header, framing, KEEPALIVE, ROUTE-REFRESH.

use proptest::prelude::*;

use super::{hex, message};
use crate::{
    types::Family,
    wire::bgp::{Frame, KEEPALIVE, MAX_EXTENDED_LEN, MAX_LEN, MessageType, RefreshSubtype, RouteRefresh, frame},
};

const MARKER: &str = "ffffffffffffffff ffffffffffffffff";

/// `code/subcode data` of the fault, or what came out instead.
fn verdict(buf: &[u8], max_len: usize) -> String {
    match frame(buf, max_len) {
        Ok(None) => "more".into(),
        Ok(Some(Frame { kind, message })) => format!("{} {}", kind.name(), message.len()),
        Err(fault) => {
            let code = fault.notification.map(|code| code.to_string()).unwrap_or_default();
            let data: String = fault.data.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("{code} {data}").trim_end().to_owned()
        }
    }
}

#[test]
fn the_header_table() {
    #[rustfmt::skip]
    let table: &[(&str, usize, &str)] = &[
        // header after the marker, largest message, verdict                     clause
        ("0013 04",                  MAX_LEN,          "keepalive 19"),       // RFC 4271 §4.4
        ("0013 04 ffff",             MAX_LEN,          "keepalive 19"),       // the next message has begun
        ("0013",                     MAX_LEN,          "more"),
        ("",                         MAX_LEN,          "more"),
        ("0017 02 0000 0000",        MAX_LEN,          "update 23"),
        ("0017 02 0000 00",          MAX_LEN,          "more"),
        ("0012 04",                  MAX_LEN,          "1/2 0012"),           // §6.1: less than 19
        ("0000 01",                  MAX_LEN,          "1/2 0000"),
        ("1001 02",                  MAX_LEN,          "1/2 1001"),           // §6.1: greater than 4096
        ("1001 02",                  MAX_EXTENDED_LEN, "more"),               // RFC 8654 §4
        ("ffff 03",                  MAX_EXTENDED_LEN, "more"),
        ("1001 01",                  MAX_EXTENDED_LEN, "1/2 1001"),           // RFC 8654 §4: OPEN stays at 4096
        ("1001 04",                  MAX_EXTENDED_LEN, "1/2 1001"),           // and so does KEEPALIVE
        ("001c 01",                  MAX_LEN,          "1/2 001c"),           // §6.1: minimum of OPEN
        ("001d 01",                  MAX_LEN,          "more"),
        ("0016 02",                  MAX_LEN,          "1/2 0016"),           // §6.1: minimum of UPDATE
        ("0014 03",                  MAX_LEN,          "1/2 0014"),           // §6.1: minimum of NOTIFICATION
        ("0014 04 00",               MAX_LEN,          "1/2 0014"),           // §6.1: KEEPALIVE is 19
        ("0016 05 000100",           MAX_LEN,          "route-refresh 22"),   // RFC 7313 §5 has its own error
        ("0013 00",                  MAX_LEN,          "1/3 00"),             // §6.1: unknown type
        ("0013 06",                  MAX_LEN,          "1/3 06"),
        ("0013 ff",                  MAX_LEN,          "1/3 ff"),
        ("0012 ff",                  MAX_LEN,          "1/2 0012"),           // without a length no type
    ];
    for (header, max_len, expected) in table {
        let buf = hex(&format!("{MARKER}{header}"));
        assert_eq!(verdict(&buf, *max_len), *expected, "header {header:?} with at most {max_len} octets");
    }
}

#[test]
fn a_stranger_is_recognised_by_the_first_wrong_octet() {
    // RFC 4271 §6.1: Connection Not Synchronized.
    assert_eq!(verdict(b"GET /", MAX_LEN), "1/1");
    assert_eq!(verdict(&hex("ffff ffff 00"), MAX_LEN), "1/1");
    assert_eq!(verdict(&hex("ffff ffff ff"), MAX_LEN), "more");
}

#[test]
fn messages_stand_back_to_back_in_the_buffer() {
    let mut buf = message(MessageType::Update, &[0; 4]);
    buf.extend(KEEPALIVE);
    let first = frame(&buf, MAX_LEN).unwrap().unwrap();
    assert_eq!((first.kind, first.body()), (MessageType::Update, &[0; 4][..]));
    let second = frame(&buf[first.message.len()..], MAX_LEN).unwrap().unwrap();
    assert_eq!((second.kind, second.body(), second.message), (MessageType::Keepalive, &[][..], &KEEPALIVE[..]));
}

#[test]
fn the_route_refresh_table() {
    use RefreshSubtype::{BeginOfRefresh, EndOfRefresh, Request, Unknown};
    #[rustfmt::skip]
    let table: &[(&str, Option<(Family, RefreshSubtype)>)] = &[
        ("0001 00 01",                 Some((Family::IPV4_UNICAST, Request))),        // RFC 2918 §3
        ("0002 01 01",                 Some((Family::IPV6_UNICAST, BeginOfRefresh))), // RFC 7313 §3.2
        ("0019 02 46",                 Some((Family::EVPN, EndOfRefresh))),
        ("0001 63 01",                 Some((Family::IPV4_UNICAST, Unknown(0x63)))),  // RFC 7313 §5: to be ignored
        ("0001 00 01 01 80 0001 00",   Some((Family::IPV4_UNICAST, Request))),        // RFC 5291: a filter follows
        ("0001 01 01 00",              None),                                         // RFC 7313 §5: BoRR of 5 octets
        ("0001 02 01 00",              None),
        ("0001 00",                    None),
        ("",                           None),
    ];
    for (body, expected) in table {
        let message = message(MessageType::RouteRefresh, &hex(body));
        match (RouteRefresh::decode(&message), expected) {
            (Ok(got), Some((family, subtype))) => assert_eq!((got.family, got.subtype), (*family, *subtype), "{body}"),
            (Err(fault), None) => {
                assert_eq!(fault.notification.map(|code| code.to_string()).as_deref(), Some("7/1"), "{body}");
                assert_eq!(fault.data, message, "the data is the complete message");
            }
            (got, expected) => panic!("{body}: {got:?} instead of {expected:?}"),
        }
    }
}

proptest! {
    #[test]
    fn any_octets_are_framed_without_panic(buf: Vec<u8>, extended: bool) {
        let max_len = if extended { MAX_EXTENDED_LEN } else { MAX_LEN };
        let _ = frame(&buf, max_len);
        let _ = RouteRefresh::decode(&buf);
    }

    #[test]
    fn any_header_gives_exactly_its_length_or_a_fault(len: u16, kind: u8, rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut buf = hex(MARKER);
        buf.extend(len.to_be_bytes());
        buf.push(kind);
        buf.extend(rest);
        if let Ok(Some(found)) = frame(&buf, MAX_EXTENDED_LEN) {
            prop_assert_eq!(found.message.len(), usize::from(len));
            prop_assert_eq!(found.kind as u8, kind);
        }
    }

    #[test]
    fn route_refresh_survives_the_wire(afi: u16, safi: u8, code: u8) {
        let mut wire = hex(MARKER);
        wire.extend([0, 23, 5]);
        wire.extend(afi.to_be_bytes());
        wire.extend([code, safi]);
        let decoded = RouteRefresh::decode(&wire).unwrap();
        prop_assert_eq!(decoded.encode(), wire);
    }
}
