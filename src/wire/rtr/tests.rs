//! PDUs octet by octet, faults with the record that they name, and any octets.

use proptest::prelude::*;

use super::*;

/// Octets from hexadecimal digits; spaces are where fields end.
fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

#[test]
fn pdus_of_a_cache_are_read() {
    let prefix: Prefix = "192.0.2.0/24".parse().expect("a prefix");
    let v6: Prefix = "2001:db8::/32".parse().expect("a prefix");
    let intervals = Intervals { refresh_secs: 1, retry_secs: 2, expire_secs: 3 };
    let rows = [
        // RFC 8210 §5.2.
        ("01 00 0007 0000000c 00000003", Pdu::SerialNotify(Session { id: 7, serial: 3 })),
        // §5.5.
        ("01 03 0007 00000008", Pdu::CacheResponse(7)),
        // §5.6, announced and withdrawn; only the lowest bit of the flags counts, and host bits do not.
        (
            "01 04 0000 00000014 01 18 19 00 c0000200 0000fbf4",
            Pdu::Prefix { announce: true, prefix, max_len: 25, asn: Asn(64500) },
        ),
        (
            "01 04 0000 00000014 fe 18 18 00 c00002ff 0000fbf4",
            Pdu::Prefix { announce: false, prefix, max_len: 24, asn: Asn(64500) },
        ),
        // §5.7.
        (
            "01 06 0000 00000020 01 20 30 00 20010db8000000000000000000000000 0000fbf4",
            Pdu::Prefix { announce: true, prefix: v6, max_len: 48, asn: Asn(64500) },
        ),
        // §5.8; RFC 6810 §5.7 has no intervals.
        (
            "01 07 0007 00000018 00000003 00000001 00000002 00000003",
            Pdu::EndOfData(Session { id: 7, serial: 3 }, Some(intervals)),
        ),
        ("00 07 0007 0000000c 00000003", Pdu::EndOfData(Session { id: 7, serial: 3 }, None)),
        // §5.9.
        ("01 08 0000 00000008", Pdu::CacheReset),
        // §5.10: a key of which nothing is read.
        ("01 09 0100 00000024 00112233445566778899aabbccddeeff00112233 0000fbf4 00000000", Pdu::RouterKey),
        // §5.11: an Error Report on a Reset Query; its text cannot forge a line of a log.
        (
            "01 0a 0002 0000001d 00000008 0102000000000008 00000005 776169740a",
            Pdu::ErrorReport { code: 2, text: "wait\u{fffd}".to_owned() },
        ),
        // 8210bis §5.12.
        (
            "02 0b 0100 00000014 0000fbf4 0000fbf5 0000fbf6",
            Pdu::Aspa { announce: true, customer: Asn(64500), providers: vec![Asn(64501), Asn(64502)] },
        ),
        // A withdrawal has no providers, and a cache that sends them anyway is understood.
        ("02 0b 0000 0000000c 0000fbf4", Pdu::Aspa { announce: false, customer: Asn(64500), providers: Vec::new() }),
        (
            "02 0b 0000 00000010 0000fbf4 0000fbf5",
            Pdu::Aspa { announce: false, customer: Asn(64500), providers: vec![Asn(64501)] },
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(decode(&octets(text)), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_code() {
    let rows = [
        ("01 04 0000 00000014 01 21 21 00 c0000200 0000fbf4", 0, "192.0.2.0/33 for AS64500: no prefix is that long"),
        ("01 04 0000 00000010 01 18 18 00 c0000200", 0, "an IPv4 Prefix of 16 octets cannot be"),
        ("01 03 0007 0000000c 00000000", 0, "a Cache Response of 12 octets cannot be"),
        // The intervals came with version 1.
        ("01 07 0007 0000000c 00000003", 0, "an End of Data of 12 octets cannot be"),
        ("00 07 0007 00000018 00000003 00000001 00000002 00000003", 0, "an End of Data of 24 octets cannot be"),
        // An Error Report that says it holds more than it does.
        ("01 0a 0002 00000010 0000ffff 00000000", 0, "an Error Report of 16 octets cannot be"),
        // What a router sends, what nobody knows, and what this version does not have.
        ("01 02 0000 00000008", 5, "a Reset Query is nothing that a cache sends in version 1"),
        ("01 63 0000 00000008", 5, "a PDU of type 99 is nothing that a cache sends in version 1"),
        ("01 0b 0100 00000010 0000fbf4 0000fbf5", 5, "an ASPA is nothing that a cache sends in version 1"),
        ("00 09 0100 00000008", 5, "a Router Key is nothing that a cache sends in version 0"),
        ("02 0b 0100 0000000c 0000fbf4", 0, "the ASPA of AS64500 has no provider"),
        ("02 0b 0100 0000000e 0000fbf4 0000", 0, "an ASPA of 14 octets cannot be"),
        // 8210bis-13 §5.12: flags, families and count stand before the customer.
        (
            "02 0b 0000 00000018 01 03 0002 0000fbf4 0000fbf5 0000fbf6",
            0,
            "the ASPA of AS64500 is in a layout that drafts before 8210bis-14 had",
        ),
    ];
    for (text, code, what) in rows {
        assert_eq!(decode(&octets(text)), Err(Fault { code, what: what.to_owned() }), "{text}");
    }
    let len = |len| Header { version: 1, kind: kind::IPV4_PREFIX, field: 0, len }.check_len();
    assert_eq!(len(20), Ok(20));
    assert!(len(7).is_err_and(|fault| fault.what.contains("shorter than its header")));
    assert!(len(PDU_LEN_MAX + 1).is_err(), "a length that nobody would wait for");
}

#[test]
fn what_a_router_says_is_written() {
    assert_eq!(serial_query(1, Session { id: 7, serial: 3 }), octets("01 01 0007 0000000c 00000003"));
    assert_eq!(reset_query(2), octets("02 02 0000 00000008"));
    let report = error_report_on(1, code::CORRUPT_DATA, &reset_query(1), "no");
    assert_eq!(report, octets("01 0a 0000 0000001a 00000008 0102000000000008 00000002 6e6f"));
    assert_eq!(decode(&report), Ok(Pdu::ErrorReport { code: 0, text: "no".to_owned() }));
}

proptest! {
    #[test]
    fn any_octets_are_a_pdu_or_a_fault(version in 0..4u8, kind in 0..14u8, body in prop::collection::vec(any::<u8>(), 0..64)) {
        let octets = pdu(version, kind, 0x0100, &body);
        let header = Header::decode(&octets).expect("a header");
        prop_assert_eq!(header.check_len(), Ok(octets.len()));
        if let Err(fault) = decode(&octets) {
            prop_assert!(!fault.what.is_empty());
        }
        for cut in 0..octets.len() {
            let _ = decode(octets.get(..cut).expect("inside"));
        }
    }
}
