//! Framing and its recovery, and every record type, as bytes with their meaning.

use proptest::prelude::*;

use super::*;
use crate::{
    types::{Asn, Family, Prefix, RouterId},
    wire::bgp::batch::ItemKind,
};

/// Octets from hexadecimal; spaces show where fields end.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |value, digit| value << 4 | digit)).collect()
}

/// A record at second `secs`.
fn record(secs: u32, kind: u16, subtype: u16, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(secs.to_be_bytes());
    out.extend(kind.to_be_bytes());
    out.extend(subtype.to_be_bytes());
    out.extend((body.len() as u32).to_be_bytes());
    out.extend(body);
    out
}

/// What a file is read as: `12@34` for a record of second 12 at octet 34, faults as their text.
fn read(file: &[u8]) -> Vec<String> {
    let mut framer = Framer::default();
    let (mut out, mut start, mut end) = (Vec::new(), 0, 0);
    loop {
        let buf = &file[start..end];
        match framer.next(buf, end == file.len()) {
            Step::Record(record, len) => {
                out.push(format!("{}@{}", record.header.time.secs(), record.at));
                start += len;
            }
            Step::More(wanted) => {
                assert!(buf.len() < wanted && end < file.len(), "a step must lead on");
                end = (start + wanted).min(file.len());
            }
            Step::Noise(len) => {
                assert!(len > 0 && len <= buf.len(), "a step must lead on");
                start += len;
            }
            Step::Damage(damage) => out.push(damage.to_string()),
            Step::End => break,
        }
        assert_eq!(framer.position(), start as u64);
    }
    out
}

/// What the records of a file tell, as short text.
fn told(file: &[u8]) -> Vec<String> {
    let mut framer = Framer::default();
    let mut interpreter = Interpreter::new();
    let (mut out, mut start) = (Vec::new(), 0);
    while let Step::Record(record, len) = framer.next(&file[start..], true) {
        start += len;
        let result = interpreter.interpret(&record, |event| out.push(line(&event)));
        out.extend(result.err().map(|fault| fault.to_string()));
    }
    out
}

fn line(event: &Event<'_>) -> String {
    let (letter, routes) = match event {
        Event::Table(routes) => ('B', routes),
        Event::Update(routes) => match routes.item.kind {
            ItemKind::Announce => ('A', routes),
            ItemKind::Withdraw => ('W', routes),
            ItemKind::EndOfRib => return format!("end of {}", routes.item.family),
        },
        Event::StateChange(change) => {
            let StateChange { peer_address, peer_asn, old_state, new_state } = change;
            return format!("{peer_address} AS{peer_asn} {old_state}->{new_state}");
        }
    };
    let mut text = format!("{letter} {} AS{}", routes.peer_address, routes.peer_asn);
    for (path_id, prefix) in routes.item.prefixes() {
        text += &format!(" {prefix}");
        if routes.add_path {
            text += &format!("#{path_id}");
        }
    }
    for (_, key, _) in routes.item.opaque() {
        text += &format!(" {}", crate::wire::bgp::nlri::display(routes.item.family, key));
    }
    if routes.item.kind == ItemKind::Announce {
        let next_hop = routes.item.attrs.next_hop().map(|next_hop| next_hop.to_string()).unwrap_or_default();
        text += &format!(" path {} via {next_hop}", routes.item.attrs.as_path());
    }
    text
}

const MARKER: &str = "ffffffffffffffffffffffffffffffff";

/// A KEEPALIVE of AS 64496 in an archive of 64512.
fn keepalive(secs: u32) -> Vec<u8> {
    record(secs, 16, 1, &hex(&format!("fbf0 fc00 0000 0001 c0000201 c0000202 {MARKER} 0013 04")))
}

const UNKNOWN_TYPE: u16 = 48;

#[test]
fn records_follow_each_other_and_unknown_types_are_passed_over() {
    let file = [keepalive(1000), record(1001, UNKNOWN_TYPE, 0, &[1, 2, 3]), keepalive(1002)].concat();
    assert_eq!(read(&file), ["1000@0", "1001@47", "1002@62"]);
    assert_eq!(read(&[]), [""; 0]);
}

#[test]
fn two_archives_in_one_file_may_be_years_apart() {
    let file = [keepalive(1_000_000_000), keepalive(1_700_000_000)].concat();
    assert_eq!(read(&file), ["1000000000@0", "1700000000@47"]);
}

#[test]
fn a_record_whose_length_lies_costs_itself_and_no_other() {
    // The length says 9 octets more than there are: the next header would begin inside the next record.
    let mut liar = keepalive(1001);
    liar[11] += 9;
    let file = [keepalive(1000), liar, keepalive(1002), keepalive(1003)].concat();
    let expected = "damaged record at octet 47: 47 octets were skipped to the next one that makes sense";
    assert_eq!(read(&file), ["1000@0", expected, "1002@94", "1003@141"]);
}

#[test]
fn a_record_that_is_whole_stands_though_noise_follows() {
    let noise = [0xaa; 31];
    let file = [&keepalive(1000)[..], &noise, &keepalive(1001)].concat();
    let expected = "damaged record at octet 47: 31 octets were skipped to the next one that makes sense";
    assert_eq!(read(&file), ["1000@0", expected, "1001@78"]);
}

#[test]
fn a_length_beyond_belief_is_damage_and_not_waited_for() {
    let mut liar = keepalive(1001);
    liar[8] = 0xf0;
    let file = [keepalive(1000), liar, keepalive(1002)].concat();
    assert_eq!(read(&file).len(), 3);
    assert_eq!(read(&file)[2], "1002@94");
}

#[test]
fn a_file_that_was_cut_off_says_where() {
    let whole = keepalive(1000);
    for cut in 1..whole.len() {
        let file = [&whole, &whole[..cut]].concat();
        let expected = format!("the file ends inside the record at octet 47: {cut} octets of it are there");
        assert_eq!(read(&file), ["1000@0".to_owned(), expected]);
    }
}

#[test]
fn microseconds_are_part_of_the_time() {
    // RFC 6396 §3: they stand in front of the body and count as part of its length.
    let file =
        record(1000, 17, 4, &hex(&format!("0007a120 0000fbf0 0000fc00 0000 0001 c0000201 c0000202 {MARKER} 0013 04")));
    let Step::Record(found, _) = Framer::default().next(&file, true) else { panic!("a record") };
    assert_eq!(found.header.time, Timestamp(1_000_500_000));
    assert!(found.header.has_micros());
    let Ok(Record::Message(message)) = found.decode() else { panic!("a message") };
    assert_eq!((message.peer_asn, message.local_asn), (Asn(64496), Asn(64512)));
}

/// The attributes of 203.0.113.0/24 from AS 64496: ORIGIN, AS_PATH, NEXT_HOP.
const ATTRIBUTES: &str = "40 01 01 00  40 02 06 02 01 0000fbf0  40 03 04 c0000201";

fn update_as4(nlri: &str) -> String {
    let nlri_len = hex(nlri).len();
    format!("{MARKER} {:04x} 02 0000 0014 {ATTRIBUTES} {nlri}", 23 + 20 + nlri_len)
}

#[test]
fn bgp4mp_in_every_subtype() {
    let plain = "18 cb0071";
    let with_id = "00000007 18 cb0071";
    let v4 = "0000 0001 c0000201 c0000202";
    let v6 = "0000 0002 20010db8000000000000000000000001 20010db8000000000000000000000002";
    let as2 = format!("{MARKER} 002d 02 0000 0012 40010100 4002 04 02 01 fbf0 400304 c0000201 {plain}");
    let announced = "203.0.113.0/24 path 64496 via 192.0.2.1";
    #[rustfmt::skip]
    let table: &[(u16, String, String)] = &[
        // subtype, body, what it tells                                                    RFC 6396 §4.4
        (0, format!("fbf0 fc00 {v4} 0003 0004"), "192.0.2.1 AS64496 3->4".into()),
        (1, format!("fbf0 fc00 {v4} {as2}"), format!("A 192.0.2.1 AS64496 {announced}")),
        (4, format!("0000fbf0 0000fc00 {v4} {}", update_as4(plain)), format!("A 192.0.2.1 AS64496 {announced}")),
        (4, format!("0000fbf0 0000fc00 {v6} {}", update_as4(plain)), format!("A 2001:db8::1 AS64496 {announced}")),
        (5, format!("0000fbf0 0000fc00 {v6} 0005 0006"), "2001:db8::1 AS64496 5->6".into()),
        (7, format!("0000fbf0 0000fc00 {v4} {}", update_as4(plain)), format!("A 192.0.2.1 AS64496 {announced}")),
        // RFC 8050 §3
        (9, format!("0000fbf0 0000fc00 {v4} {}", update_as4(with_id)),
            "A 192.0.2.1 AS64496 203.0.113.0/24#7 path 64496 via 192.0.2.1".into()),
        (11, format!("0000fbf0 0000fc00 {v4} {}", update_as4(with_id)),
            "A 192.0.2.1 AS64496 203.0.113.0/24#7 path 64496 via 192.0.2.1".into()),
        (4, format!("0000fbf0 0000fc00 {v4} {MARKER} 001b 02 0004 18 cb0071 0000"), "W 192.0.2.1 AS64496 203.0.113.0/24".into()),
        (4, format!("0000fbf0 0000fc00 {v4} {MARKER} 0017 02 0000 0000"), "end of ipv4-unicast".into()),
        // Zebra: no interface, no family, no addresses.
        (0, "0000 0000 0003 0004".into(), "0.0.0.0 AS0 3->4".into()),
    ];
    for (subtype, body, expected) in table {
        assert_eq!(told(&record(1000, 16, *subtype, &hex(body))), [expected.as_str()], "subtype {subtype}");
    }
}

#[test]
fn local_subtypes_are_what_we_sent() {
    for (subtype, direction) in [(4, Direction::Received), (7, Direction::Sent)] {
        let body = hex(&format!("0000fbf0 0000fc00 0000 0001 c0000201 c0000202 {MARKER} 0013 04"));
        let header = Header { time: Timestamp(0), kind: 16, subtype };
        let Ok(Record::Message(message)) = (RawRecord { at: 0, header, body: &body }).decode() else {
            panic!("a message")
        };
        assert_eq!((message.direction, message.peer_asn), (direction, Asn(64496)));
    }
}

#[test]
fn the_deprecated_type_has_messages_without_header() {
    // RFC 6396 Appendix B.2.
    let session = "fbf0 c0000201 fc00 c0000202";
    let update = format!("{session} 0000 0012 40010100 4002 04 02 01 fbf0 400304 c0000201 18 cb0071");
    let file = [
        record(1000, 5, 3, &hex("fbf0 c0000201 0005 0006")),
        record(1001, 5, 1, &hex(&update)),
        record(1002, 5, 7, &hex(session)),
        record(1003, 5, 1, &hex(&format!("{session} 0004 18 cb0071 0000"))),
    ];
    let expected = [
        "192.0.2.1 AS64496 5->6",
        "A 192.0.2.1 AS64496 203.0.113.0/24 path 64496 via 192.0.2.1",
        "W 192.0.2.1 AS64496 203.0.113.0/24",
    ];
    assert_eq!(told(&file.concat()), expected);
}

/// Two peers: 192.0.2.1 of AS 64496 in two octets, 2001:db8::1 of AS 65551 in four.
const PEER_INDEX: &str = "c6336401 0003 6c6162 0002
    00 c0000201 c0000201 fbf0
    03 c0000202 20010db8000000000000000000000001 0001000f";

fn knowing_peers() -> Interpreter {
    let mut interpreter = Interpreter::new();
    let header = Header { time: Timestamp(0), kind: 13, subtype: 1 };
    interpreter.interpret(&RawRecord { at: 0, header, body: &hex(PEER_INDEX) }, |_| ()).unwrap();
    interpreter
}

#[test]
fn peers_are_named_by_a_table() {
    let body = hex(PEER_INDEX);
    let header = Header { time: Timestamp(0), kind: 13, subtype: 1 };
    let Ok(Record::PeerIndex(peers)) = (RawRecord { at: 0, header, body: &body }).decode() else { panic!("peers") };
    assert_eq!((peers.collector, peers.view.as_str(), peers.peers.len()), (RouterId(0xc633_6401), "lab", 2));
    assert_eq!(peers.get(1).map(|peer| (peer.address.to_string(), peer.asn)), Some(("2001:db8::1".into(), Asn(65551))));
    assert_eq!(peers.get(2), None);
}

#[test]
fn table_dump_v2_in_every_subtype() {
    let v4 = format!("0000 00000001 0014 {ATTRIBUTES}");
    // RFC 6396 §4.3.4: MP_REACH_NLRI cut down to length and next hop.
    let reach = "80 0e 11 10 20010db8000000000000000000000009";
    let v6 = format!("0001 00000001 0021 40010100 400206 0201 0001000f {reach}");
    // What some recorders write: all of it, NLRI included.
    let whole = "80 0e 1a 0002 01 10 20010db8000000000000000000000009 00 20 20010db8";
    let v6_whole = format!("0001 00000001 002a 40010100 400206 0201 0001000f {whole}");
    let with_id = format!("0000 00000001 00000007 0014 {ATTRIBUTES}");
    let announced4 = "B 192.0.2.1 AS64496 203.0.113.0/24";
    let path4 = "path 64496 via 192.0.2.1";
    let announced6 = "B 2001:db8::1 AS65551 2001:db8::/32 path 65551 via 2001:db8::9";
    #[rustfmt::skip]
    let table: &[(u16, String, Vec<String>)] = &[
        (2, format!("00000000 18 cb0071 0001 {v4}"), vec![format!("{announced4} {path4}")]),           // §4.3.2
        (3, format!("00000000 18 cb0071 0001 {v4}"), vec![format!("{announced4} {path4}")]),
        (4, format!("00000000 20 20010db8 0002 {v6} {v6_whole}"), vec![announced6.into(); 2]),
        (8, format!("00000000 18 cb0071 0001 {with_id}"), vec![format!("{announced4}#7 {path4}")]),    // RFC 8050 §4.2
        (2, "00000000 18 cb0071 0000".into(), vec![]),
        // §4.3.3: RIB_GENERIC names its family.
        (6, format!("00000000 0001 01 18 cb0071 0001 {v4}"), vec![format!("{announced4} {path4}")]),
        (6, "00000000 0001 80 70 000011 0000fbf000000001 cb0071 0001 0000 00000001 001d 40010100 400206 0201 0000fbf0
             80 0e 0d 0c 0000000000000000 c0000201".into(),
            vec!["B 192.0.2.1 AS64496 64496:1:203.0.113.0/24 path 64496 via 192.0.2.1".into()]),
        // A peer that the table does not have.
        (2, format!("00000000 18 cb0071 0001 0009 00000001 0014 {ATTRIBUTES}"),
            vec!["peer 9 is in no peer index table before (RFC 6396 §4.3.1)".into()]),
        (7, "00000000".into(), vec![]),                                                               // RFC 6397
    ];
    for (subtype, body, expected) in table {
        let file = [record(1000, 13, 1, &hex(PEER_INDEX)), record(1000, 13, *subtype, &hex(body))].concat();
        assert_eq!(told(&file), *expected, "subtype {subtype}");
    }
}

#[test]
fn table_dump_v1_has_peer_and_prefix_in_full() {
    let as2 = "0012 40010100 4002 04 02 01 fbf0 400304 c0000201";
    let v4 = format!("0000 0000 cb007100 18 01 00000001 c0000201 fbf0 {as2}");
    assert_eq!(told(&record(1000, 12, 1, &hex(&v4))), ["B 192.0.2.1 AS64496 203.0.113.0/24 path 64496 via 192.0.2.1"]);
    let v6 = "0000 0000 20010db8000000000000000000000000 20 01 00000001 20010db8000000000000000000000001 fbf0
              001f 40010100 4002 04 0201 fbf0 80 0e 11 10 20010db8000000000000000000000009";
    assert_eq!(
        told(&record(1000, 12, 2, &hex(v6))),
        ["B 2001:db8::1 AS64496 2001:db8::/32 path 64496 via 2001:db8::9"]
    );
}

#[test]
fn a_route_that_names_its_peer_before_the_table_is_told_about() {
    let body = hex(&format!("00000000 18 cb0071 0001 0000 00000001 0014 {ATTRIBUTES}"));
    assert_eq!(told(&record(1000, 13, 2, &body)), ["peer 0 is in no peer index table before (RFC 6396 §4.3.1)"]);
}

#[test]
fn a_body_that_contradicts_its_type_is_malformed() {
    #[rustfmt::skip]
    let table: &[(u16, u16, &str)] = &[
        (5, 1, "fbf0 c0000201 fc00"),                       // ends inside the local address
        (5, 3, "fbf0 c0000201 0001"),                       // one state only
        (12, 1, "0000 0000 cb007100 21 01 00000001 c0000201 fbf0 0000"), // /33
        (13, 1, "c6336401 0000 0001"),                      // one peer announced, none there
        (13, 2, "00000000 21 cb00710000 0000"),             // /33
        (13, 2, "00000000 18 cb0071 0002 0000 00000001 0000"), // two entries announced, one there
        (13, 2, "00000000 18 cb0071 0001 0000 00000001 00ff 00"), // attributes longer than the record
        (16, 1, "fbf0 fc00 0000 0003 c0000201 c0000202"),   // address family 3
        (16, 4, "0000fbf0 0000fc00 0000 0002 c0000201"),    // ends inside an IPv6 address
        (16, 0, "fbf0 fc00 0000 0001 c0000201 c0000202 0001"),
    ];
    for (kind, subtype, body) in table {
        let header = Header { time: Timestamp(0), kind: *kind, subtype: *subtype };
        let body = hex(body);
        let record = RawRecord { at: 0, header, body: &body };
        let mut interpreter = knowing_peers();
        let result = interpreter.interpret(&record, |event| drop(line(&event)));
        assert!(matches!(result, Err(RecordFault::Malformed(_))), "{kind}/{subtype}: {result:?}");
    }
}

#[test]
fn bgp_that_is_in_error_is_told_about_and_reading_goes_on() {
    let session = "0000fbf0 0000fc00 0000 0001 c0000201 c0000202";
    let cut = record(1000, 16, 4, &hex(&format!("{session} {MARKER} 0017 02 0000")));
    let bad_length = record(1001, 16, 4, &hex(&format!("{session} {MARKER} 0012 02")));
    // NEXT_HOP is missing: treat-as-withdraw (RFC 7606 §3 d).
    let incomplete = record(
        1002,
        16,
        4,
        &hex(&format!("{session} {MARKER} 0028 02 0000 000d 40010100 400206 0201 0000fbf0 18 cb0071")),
    );
    let lines = told(&[cut, bad_length, incomplete, keepalive(1003)].concat());
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[0].contains("the record ends inside its BGP message"), "{}", lines[0]);
    assert!(lines[1].contains("message length 18"), "{}", lines[1]);
    assert_eq!(lines[2], "W 192.0.2.1 AS64496 203.0.113.0/24");
    assert!(lines[3].contains("missing"), "{}", lines[3]);
}

#[test]
fn an_archive_shows_what_a_session_would_not_take() {
    // LOCAL_PREF from another AS, and AS number 0 in the path (RFC 7607 §2).
    let body = format!(
        "0000fbf0 0000fc00 0000 0001 c0000201 c0000202 {MARKER} 0036 02 0000 001b
         40010100 400206 0201 00000000 400304 c0000201 400504 00000064 18 cb0071"
    );
    let file = record(1000, 16, 4, &hex(&body));
    let Step::Record(record, _) = Framer::default().next(&file, true) else { panic!("a record") };
    let mut seen = Vec::new();
    let result = Interpreter::new().interpret(&record, |event| {
        let Event::Update(routes) = event else { panic!("{event:?}") };
        seen.push((routes.item.attrs.local_pref(), routes.item.attrs.as_path().to_string()));
    });
    assert_eq!((result, seen), (Ok(()), vec![(Some(100), "0".to_owned())]));
}

#[test]
fn host_bits_of_a_dumped_prefix_do_not_count() {
    let body = hex(&format!("00000000 14 cb0071 0001 0000 00000001 0014 {ATTRIBUTES}"));
    let file = [record(1000, 13, 1, &hex(PEER_INDEX)), record(1000, 13, 2, &body)].concat();
    let expected: Prefix = "203.0.112.0/20".parse().unwrap();
    assert!(told(&file)[0].contains(&expected.to_string()));
    assert_eq!(Family::IPV4_UNICAST.address_bits(), Some(32));
}

proptest! {
    #[test]
    fn any_octets_are_read_to_the_end_without_panic(file in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&file);
        let _ = told(&file);
    }

    #[test]
    fn any_body_of_a_known_type_is_interpreted_without_panic(
        kind in prop::sample::select(vec![5u16, 12, 13, 16, 17]),
        subtype in 0u16..14,
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut interpreter = knowing_peers();
        let header = Header { time: Timestamp(0), kind, subtype };
        let _ = interpreter.interpret(&RawRecord { at: 0, header, body: &body }, |event| drop(line(&event)));
    }

    /// Whatever one record is damaged to, the records well behind it are found again.
    #[test]
    fn damage_to_one_record_is_survived(at in 0usize..47, value: u8) {
        let chain: Vec<Vec<u8>> = (0..40).map(|i| keepalive(1000 + i)).collect();
        let mut file = chain.concat();
        file[47 * 5 + at] = value;
        let lines = read(&file);
        for expected in ["1000@0", "1003@141", "1038@1786", "1039@1833"] {
            prop_assert!(lines.iter().any(|line| line == expected), "{} is missing in {:?}", expected, lines);
        }
    }
}
