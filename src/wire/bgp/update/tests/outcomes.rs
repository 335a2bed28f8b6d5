//! RFC 7606 as a table: one row per clause, what is wrong, what it costs, and by which clause we say so.

use super::*;

/// What a message costs; a reset with code and subcode for the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cost {
    Nothing,
    Discard,
    Withdraw,
    Reset(u8, u8),
}
use Cost::{Discard, Nothing, Reset, Withdraw};

fn cost(decoded: &Decoded) -> Cost {
    match &decoded.result {
        Ok(Outcome::Ok) => Nothing,
        Ok(Outcome::Discard) => Discard,
        Ok(Outcome::Withdraw) => Withdraw,
        Err(fault) => {
            let told = fault.notification.expect("a reset tells the peer why");
            Reset(told.code, told.subcode)
        }
    }
}

struct Case {
    what: &'static str,
    ctx: DecodeContext,
    message: Vec<u8>,
    cost: Cost,
    /// The clause that the fault must cite; empty where nothing is wrong.
    rfc: &'static str,
}

fn case(what: &'static str, ctx: DecodeContext, message: Vec<u8>, cost: Cost, rfc: &'static str) -> Case {
    Case { what, ctx, message, cost, rfc }
}

/// A row about one attribute beside the mandatory ones, from another AS.
fn extra(what: &'static str, flags: u8, code: u8, value: &[u8], cost: Cost, rfc: &'static str) -> Case {
    case(what, external(), with(&attribute(flags, code, value)), cost, rfc)
}

/// The same from our own AS.
fn inside(what: &'static str, flags: u8, code: u8, value: &[u8], cost: Cost, rfc: &'static str) -> Case {
    Case { ctx: internal(), ..extra(what, flags, code, value, cost, rfc) }
}

/// A row about one of the mandatory attributes, which takes the place of the good one.
fn instead(what: &'static str, flags: u8, code: u8, value: &[u8], cost: Cost, rfc: &'static str) -> Case {
    let own = attribute(flags, code, value);
    let mut parts = vec![ORIGIN, AS_PATH, NEXT_HOP];
    parts[usize::from(code) - 1] = &own;
    case(what, external(), update(&[], &parts, ROUTE), cost, rfc)
}

fn check(cases: Vec<Case>) {
    for Case { what, ctx, message, cost: expected, rfc } in cases {
        let decoded = decode(&message, &ctx);
        assert_eq!(cost(&decoded), expected, "{what}: {:?}", decoded.result);
        let cited: Vec<&str> = match &decoded.result {
            Err(fault) => vec![fault.rfc],
            Ok(_) => decoded.faults.iter().map(|fault| fault.rfc).collect(),
        };
        if rfc.is_empty() {
            assert!(cited.is_empty(), "{what}: {cited:?}");
        } else {
            assert!(cited.contains(&rfc), "{what}: cites {cited:?}, not {rfc}");
        }
        for fault in &decoded.faults {
            assert!((19..=message.len()).contains(&fault.at), "{what}: offset {}", fault.at);
        }
        match expected {
            Nothing | Discard => assert!(decoded.lines().iter().all(|line| !line.starts_with("withdraw")), "{what}"),
            Withdraw => assert!(!decoded.lines().is_empty(), "{what}: every route is withdrawn"),
            Reset(..) => assert!(decoded.batch.is_empty(), "{what}: nothing is delivered"),
        }
        if expected == Withdraw {
            assert!(decoded.lines().iter().all(|line| line.starts_with("withdraw")), "{what}");
        }
    }
}

#[test]
fn framing() {
    let good = update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], ROUTE);
    let patched = |at: usize, value: u8| {
        let mut message = good.clone();
        message[at] = value;
        message
    };
    let broken = |tail: &[u8]| update(&[], &[ORIGIN, AS_PATH, NEXT_HOP, tail], ROUTE);
    check(vec![
        case("a good one", external(), good.clone(), Nothing, ""),
        // RFC 7606 §3 b: unchanged from RFC 4271.
        case("withdrawn length too large", external(), patched(20, 200), Reset(3, 1), "RFC 7606 §3 b"),
        case("attribute length too large", external(), patched(22, 200), Reset(3, 1), "RFC 7606 §3 b"),
        case("nothing behind the header", external(), good[..19].to_vec(), Reset(3, 1), "RFC 7606 §3 b"),
        // RFC 7606 §4, first case and second case; the NLRI stand where the total length says.
        case("last attribute overruns", external(), broken(&[0xc0, 8, 5, 0]), Withdraw, "RFC 7606 §4"),
        case("one octet left", external(), broken(&[0xc0]), Withdraw, "RFC 7606 §4"),
        case("two octets left", external(), broken(&[0xc0, 8]), Withdraw, "RFC 7606 §4"),
        case("extended length cut", external(), broken(&[0xd0, 8, 0]), Withdraw, "RFC 7606 §4"),
        // The broken attribute would have carried NLRI: §3 j.
        case("MP_REACH overruns", external(), broken(&[0x80, 14, 9, 0, 2]), Reset(3, 9), "RFC 7606 §3 j"),
        case("MP_UNREACH overruns", external(), broken(&[0x80, 15, 9, 0, 2]), Reset(3, 9), "RFC 7606 §3 j"),
    ]);
}

#[test]
fn mandatory_and_duplicate_attributes() {
    let without = |skip: usize| {
        let mut parts = vec![ORIGIN, AS_PATH, NEXT_HOP];
        parts.remove(skip);
        update(&[], &parts, ROUTE)
    };
    let reach = mp_reach(&[32, 0x20, 1, 0xd, 0xb8]);
    check(vec![
        // RFC 7606 §3 d.
        case("ORIGIN missing", external(), without(0), Withdraw, "RFC 7606 §3 d"),
        case("AS_PATH missing", external(), without(1), Withdraw, "RFC 7606 §3 d"),
        case("NEXT_HOP missing", external(), without(2), Withdraw, "RFC 7606 §3 d"),
        case("all missing", external(), update(&[], &[], ROUTE), Withdraw, "RFC 7606 §3 d"),
        // NEXT_HOP is not needed where MP_REACH_NLRI has one.
        case("no NEXT_HOP with MP_REACH", external(), update(&[], &[&reach, ORIGIN, AS_PATH], &[]), Nothing, ""),
        case("MP_REACH without ORIGIN", external(), update(&[], &[&reach, AS_PATH], &[]), Withdraw, "RFC 7606 §3 d"),
        // RFC 4271 §5: required from our own AS, not mandatory.
        case("no LOCAL_PREF from our own AS", internal(), with(&[]), Nothing, ""),
        // RFC 7606 §3 g.
        case("ORIGIN twice", external(), with(ORIGIN), Discard, "RFC 7606 §3 g"),
        case(
            "unknown twice",
            external(),
            with(&[attribute(0xc0, 200, &[1]), attribute(0xc0, 200, &[2])].concat()),
            Discard,
            "RFC 7606 §3 g",
        ),
        case(
            "MP_REACH twice",
            external(),
            update(&[], &[&reach, &reach, ORIGIN, AS_PATH], &[]),
            Reset(3, 1),
            "RFC 7606 §3 g",
        ),
        case(
            "MP_UNREACH twice",
            external(),
            update(&[], &[&[0x80, 15, 3, 0, 2, 1], &[0x80, 15, 3, 0, 2, 1]], &[]),
            Reset(3, 1),
            "RFC 7606 §3 g",
        ),
    ]);
}

#[test]
fn base_attributes() {
    let confed: &[u8] = &[3, 1, 0, 0, 0xfc, 0];
    check(vec![
        // RFC 7606 §3 c: Optional and Transitive count; Partial, extended length and low bits do not.
        instead("ORIGIN optional", 0xc0, 1, &[0], Withdraw, "RFC 7606 §3 c"),
        instead("ORIGIN not transitive", 0x00, 1, &[0], Withdraw, "RFC 7606 §3 c"),
        instead("ORIGIN partial", 0x60, 1, &[0], Nothing, ""),
        instead("ORIGIN with low bits", 0x4f, 1, &[0], Nothing, ""),
        case(
            "extended length without need",
            external(),
            update(&[], &[&[0x50, 1, 0, 1, 0], AS_PATH, NEXT_HOP], ROUTE),
            Nothing,
            "",
        ),
        extra("MED transitive", 0xc0, 4, &[0; 4], Withdraw, "RFC 7606 §3 c"),
        extra("COMMUNITIES not transitive", 0x80, 8, &[0; 4], Withdraw, "RFC 7606 §3 c"),
        // §3 f names these two for every case that used to reset, wrong flags included.
        extra("ATOMIC_AGGREGATE optional", 0xc0, 6, &[], Discard, "RFC 7606 §3 f"),
        extra("AGGREGATOR well-known", 0x40, 7, &[0, 0, 0xfd, 0xe9, 0, 0, 0, 1], Discard, "RFC 7606 §3 f"),
        // §7.1
        instead("ORIGIN empty", 0x40, 1, &[], Withdraw, "RFC 7606 §7.1"),
        instead("ORIGIN of two octets", 0x40, 1, &[0, 0], Withdraw, "RFC 7606 §7.1"),
        instead("ORIGIN 3", 0x40, 1, &[3], Withdraw, "RFC 7606 §7.1"),
        instead("ORIGIN 2", 0x40, 1, &[2], Nothing, ""),
        // §7.2
        instead("AS_PATH empty", 0x40, 2, &[], Nothing, ""),
        instead("segment type 9", 0x40, 2, &[9, 1, 0, 0, 0, 1], Withdraw, "RFC 7606 §7.2"),
        instead("segment of no ASes", 0x40, 2, &[2, 0], Withdraw, "RFC 7606 §7.2"),
        instead("segment overruns", 0x40, 2, &[2, 2, 0, 0, 0, 1], Withdraw, "RFC 7606 §7.2"),
        instead("one octet behind the segments", 0x40, 2, &[2, 1, 0, 0, 0, 1, 2], Withdraw, "RFC 7606 §7.2"),
        instead("AS 0 in the path", 0x40, 2, &[2, 2, 0, 0, 0, 1, 0, 0, 0, 0], Withdraw, "RFC 7607 §2"),
        instead("confederation from outside", 0x40, 2, confed, Withdraw, "RFC 5065 §5"),
        case(
            "confederation from inside",
            internal(),
            update(&[], &[ORIGIN, &attribute(0x40, 2, confed), NEXT_HOP], ROUTE),
            Nothing,
            "",
        ),
        instead("AS_SET", 0x40, 2, &[1, 1, 0, 0, 0, 1], Nothing, ""),
        // §7.3 and RFC 4271 §6.3
        instead("NEXT_HOP of five octets", 0x40, 3, &[192, 0, 2, 1, 0], Withdraw, "RFC 7606 §7.3"),
        instead("NEXT_HOP 0.0.0.0", 0x40, 3, &[0; 4], Withdraw, "RFC 4271 §6.3"),
        instead("NEXT_HOP multicast", 0x40, 3, &[224, 0, 0, 1], Withdraw, "RFC 4271 §6.3"),
        instead("NEXT_HOP loopback", 0x40, 3, &[127, 0, 0, 1], Withdraw, "RFC 4271 §6.3"),
        // §7.4 to §7.8
        extra("MED of three octets", 0x80, 4, &[0; 3], Withdraw, "RFC 7606 §7.4"),
        extra("LOCAL_PREF from outside", 0x40, 5, &[0; 4], Discard, "RFC 7606 §7.5"),
        extra("malformed LOCAL_PREF from outside", 0xc0, 5, &[0; 3], Discard, "RFC 7606 §7.5"),
        inside("LOCAL_PREF", 0x40, 5, &[0; 4], Nothing, ""),
        inside("LOCAL_PREF of three octets", 0x40, 5, &[0; 3], Withdraw, "RFC 7606 §7.5"),
        extra("ATOMIC_AGGREGATE", 0x40, 6, &[], Nothing, ""),
        extra("ATOMIC_AGGREGATE of one octet", 0x40, 6, &[0], Discard, "RFC 7606 §7.6"),
        extra("AGGREGATOR", 0xc0, 7, &[0, 0, 0xfd, 0xe9, 0, 0, 0, 1], Nothing, ""),
        extra("AGGREGATOR of six octets", 0xc0, 7, &[0xfd, 0xe9, 0, 0, 0, 1], Discard, "RFC 7606 §7.7"),
        extra("AGGREGATOR of AS 0", 0xc0, 7, &[0; 8], Discard, "RFC 7607 §2"),
        extra("COMMUNITIES", 0xc0, 8, &[0; 8], Nothing, ""),
        extra("COMMUNITIES empty", 0xc0, 8, &[], Withdraw, "RFC 7606 §7.8"),
        extra("COMMUNITIES of five octets", 0xc0, 8, &[0; 5], Withdraw, "RFC 7606 §7.8"),
        // §7.9, §7.10
        extra("ORIGINATOR_ID from outside", 0x80, 9, &[0; 4], Discard, "RFC 7606 §7.9"),
        inside("ORIGINATOR_ID", 0x80, 9, &[1; 4], Nothing, ""),
        inside("ORIGINATOR_ID of five octets", 0x80, 9, &[0; 5], Withdraw, "RFC 7606 §7.9"),
        extra("CLUSTER_LIST from outside", 0x80, 10, &[0; 4], Discard, "RFC 7606 §7.10"),
        inside("CLUSTER_LIST", 0x80, 10, &[1; 8], Nothing, ""),
        inside("CLUSTER_LIST of six octets", 0x80, 10, &[0; 6], Withdraw, "RFC 7606 §7.10"),
        inside("CLUSTER_LIST empty", 0x80, 10, &[], Withdraw, "RFC 7606 §7.10"),
    ]);
}

#[test]
fn later_attributes() {
    let aigp = [1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9];
    check(vec![
        extra("EXTENDED_COMMUNITIES of 12 octets", 0xc0, 16, &[0; 12], Withdraw, "RFC 7606 §7.14"),
        extra("EXTENDED_COMMUNITIES empty", 0xc0, 16, &[], Withdraw, "RFC 7606 §7.14"),
        extra("unknown extended community", 0xc0, 16, &[0xee; 8], Nothing, ""),
        extra("AS4_PATH from a new speaker", 0xc0, 17, &[2, 1, 0, 0, 0, 1], Discard, "RFC 6793 §6"),
        extra("AS4_AGGREGATOR from a new speaker", 0xc0, 18, &[0; 8], Discard, "RFC 6793 §6"),
        extra("PMSI_TUNNEL of four octets", 0xc0, 22, &[0; 4], Withdraw, "RFC 6514 §5"),
        extra("TUNNEL_ENCAPSULATION", 0xc0, 23, &[0, 1, 0, 2, 9, 9], Nothing, ""),
        extra("TUNNEL_ENCAPSULATION TLV overruns", 0xc0, 23, &[0, 1, 0, 3, 9, 9], Withdraw, "RFC 9012 §13"),
        extra("TRAFFIC_ENGINEERING empty", 0x80, 24, &[], Withdraw, "RFC 7606 §7.13"),
        extra("IPV6_EXTENDED_COMMUNITIES of 19", 0xc0, 25, &[0; 19], Withdraw, "RFC 7606 §7.15"),
        extra("IPV6_EXTENDED_COMMUNITIES", 0xc0, 25, &[0; 20], Nothing, ""),
        extra("AIGP from outside", 0x80, 26, &aigp, Discard, "RFC 7311 §3.3"),
        inside("AIGP", 0x80, 26, &aigp, Nothing, ""),
        inside("AIGP of a wrong TLV length", 0x80, 26, &[1, 0, 10, 0, 0, 0, 0, 0, 0, 0], Discard, "RFC 7311 §3.2"),
        inside("AIGP transitive", 0xc0, 26, &aigp, Discard, "RFC 7311 §3.2"),
        inside("AIGP empty", 0x80, 26, &[], Discard, "RFC 7311 §3.2"),
        extra("deprecated 28", 0xe0, 28, &[1, 2, 3], Nothing, ""),
        extra("BGP_LS TLV overruns", 0x80, 29, &[0, 1, 0, 9], Discard, "RFC 7752 §6.2.2"),
        extra("LARGE_COMMUNITY of 13 octets", 0xc0, 32, &[0; 13], Withdraw, "RFC 8092 §6"),
        // RFC 8092 §6: duplicates are no fault.
        extra("LARGE_COMMUNITY twice the same", 0xc0, 32, &[7; 24], Nothing, ""),
        extra("OTC of three octets", 0xc0, 35, &[0; 3], Withdraw, "RFC 9234 §5"),
        extra("OTC", 0xc0, 35, &[0, 0, 0, 1], Nothing, ""),
        extra("BFD_DISCRIMINATOR too short", 0xc0, 38, &[1], Discard, "RFC 9026 §5"),
        extra("PREFIX_SID from outside", 0xc0, 40, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 1], Discard, "RFC 8669 §4"),
        inside("PREFIX_SID", 0xc0, 40, &[1, 0, 7, 0, 0, 0, 0, 0, 0, 1], Nothing, ""),
        inside("PREFIX_SID of a wrong length", 0xc0, 40, &[1, 0, 6, 0, 0, 0, 0, 0, 0], Discard, "RFC 8669 §6"),
        inside("PREFIX_SID TLV overruns", 0xc0, 40, &[1, 0, 99, 0], Discard, "RFC 8669 §6"),
        extra("ATTR_SET", 0xc0, 128, &[0, 0, 0, 1, 0x40, 1, 1, 0], Nothing, ""),
        extra("ATTR_SET with a broken inside", 0xc0, 128, &[0, 0, 0, 1, 0x40, 1, 2, 0], Withdraw, "RFC 7606 §7.16"),
        // RFC 4271 §5
        extra("unknown optional transitive", 0xc0, 200, b"hello", Nothing, ""),
        extra("unknown optional transitive, empty", 0xc0, 200, &[], Nothing, ""),
        extra("unknown optional non-transitive", 0x80, 200, b"hello", Nothing, ""),
        // RFC 4271 §6.3, milder by default: see `Rules::unknown_well_known`.
        extra("unknown well-known", 0x40, 200, b"hello", Withdraw, "RFC 4271 §6.3"),
    ]);
}

#[test]
fn two_octet_speakers() {
    let old = DecodeContext { four_octet_as: false, ..external() };
    let with_old = |what, more: &[u8], cost, rfc| {
        let path: &[u8] = &[0x40, 2, 6, 2, 2, 0xfd, 0xe9, 0x5b, 0xa0];
        case(what, old, update(&[], &[ORIGIN, path, NEXT_HOP, more], ROUTE), cost, rfc)
    };
    check(vec![
        with_old("AGGREGATOR of six octets", &attribute(0xc0, 7, &[0xfd, 0xe9, 0, 0, 0, 1]), Nothing, ""),
        with_old("AGGREGATOR of eight octets", &attribute(0xc0, 7, &[0; 8]), Discard, "RFC 7606 §7.7"),
        with_old("AS4_PATH", &attribute(0xc0, 17, &[2, 1, 0, 1, 0, 0]), Nothing, ""),
        // RFC 6793 §6
        with_old("AS4_PATH too short", &attribute(0xc0, 17, &[2, 1, 0, 1]), Discard, "RFC 6793 §6"),
        with_old("AS4_PATH overruns", &attribute(0xc0, 17, &[2, 2, 0, 1, 0, 0]), Discard, "RFC 6793 §6"),
        with_old("AS4_PATH of type 9", &attribute(0xc0, 17, &[9, 1, 0, 1, 0, 0]), Discard, "RFC 6793 §6"),
        with_old("AS4_PATH with AS 0", &attribute(0xc0, 17, &[2, 1, 0, 0, 0, 0]), Discard, "RFC 7607 §2"),
        with_old("AS4_AGGREGATOR of six octets", &attribute(0xc0, 18, &[0; 6]), Discard, "RFC 6793 §6"),
        case(
            "a four-octet path on a two-octet session",
            old,
            update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], ROUTE),
            // The low half of the last AS number is left over.
            Withdraw,
            "RFC 7606 §7.2",
        ),
    ]);
}

#[test]
fn routes_that_cannot_be_read() {
    let nlri = |field: &[u8]| update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], field);
    let reach = |value: &[u8]| update(&[], &[&attribute(0x80, 14, value), ORIGIN, AS_PATH], &[]);
    let unreach = |value: &[u8]| update(&[], &[&attribute(0x80, 15, value)], &[]);
    let next_hop = [0x20; 16];
    let v6 = |field: &[u8]| reach(&[&[0, 2, 1, 16], &next_hop[..], &[0], field].concat());
    let flow = |field: &[u8]| reach(&[&[0, 1, 133, 0, 0], field].concat());
    check(vec![
        // RFC 7606 §5.3 and §3 j; subcode as in RFC 4271 §6.3.
        case("prefix of 33 bits", external(), nlri(&[33, 1, 2, 3, 4, 5]), Reset(3, 10), "RFC 7606 §5.3"),
        case("prefix overruns", external(), nlri(&[24, 1, 2]), Reset(3, 10), "RFC 7606 §5.3"),
        case("withdrawn prefix of 200 bits", external(), update(&[200, 1], &[], &[]), Reset(3, 10), "RFC 7606 §5.3"),
        // RFC 4760 §7: Optional Attribute Error.
        case("IPv6 prefix of 129 bits", external(), v6(&[129, 0]), Reset(3, 9), "RFC 7606 §5.3"),
        case("IPv6 prefix overruns", external(), v6(&[64, 0]), Reset(3, 9), "RFC 7606 §5.3"),
        case("MP_REACH of four octets", external(), reach(&[0, 2, 1, 0]), Reset(3, 9), "RFC 7606 §7.11"),
        case("MP_REACH of two octets", external(), reach(&[0, 2]), Reset(3, 9), "RFC 7606 §5.3"),
        case("next hop of 5 octets", external(), reach(&[0, 2, 1, 5, 1, 2, 3, 4, 5, 0]), Reset(3, 9), "RFC 7606 §7.11"),
        case("next hop overruns", external(), reach(&[0, 2, 1, 16, 1]), Reset(3, 9), "RFC 7606 §7.11"),
        case("MP_UNREACH of two octets", external(), unreach(&[0, 2]), Reset(3, 9), "RFC 7606 §5.3"),
        case("withdrawn IPv6 prefix overruns", external(), unreach(&[0, 2, 1, 64, 0]), Reset(3, 9), "RFC 7606 §5.3"),
        // RFC 7606 §5.3 lists wrong flags as making the attribute incorrect, §3 c asks for treat-as-withdraw. The
        // routes are read all the same, so they can be withdrawn: §3 c serves.
        case(
            "MP_REACH transitive",
            external(),
            {
                let mut message = v6(&[32, 0x20, 1, 0xd, 0xb8]);
                message[23] = 0xc0;
                message
            },
            Withdraw,
            "RFC 7606 §3 c",
        ),
        // RFC 8955 §4.2 and §10: malformed, but its end is known, and so is what it would replace.
        case(
            "flow specification with an unknown component",
            external(),
            flow(&[3, 99, 0x81, 6]),
            Withdraw,
            "RFC 8955 §10",
        ),
        case("its components descend", external(), flow(&[6, 5, 0x81, 1, 3, 0x81, 6]), Withdraw, "RFC 8955 §10"),
        case("its last operator has no end bit", external(), flow(&[3, 3, 0x01, 6]), Withdraw, "RFC 8955 §10"),
        case("its operator is cut", external(), flow(&[2, 3, 0x81]), Withdraw, "RFC 8955 §10"),
        case("its prefix has 33 bits", external(), flow(&[7, 1, 33, 1, 2, 3, 4, 5]), Withdraw, "RFC 8955 §10"),
        case("one that is whole", external(), flow(&[3, 3, 0x81, 6]), Nothing, ""),
        case("no length that holds it", external(), flow(&[9, 3, 0x81, 6]), Reset(3, 9), "RFC 7606 §5.3"),
        case(
            "next hop ::",
            external(),
            reach(&[&[0, 2, 1, 16][..], &[0; 16], &[0, 32, 0x20, 1, 0xd, 0xb8]].concat()),
            Withdraw,
            "RFC 4271 §6.3",
        ),
    ]);
}

#[test]
fn a_malformed_flow_specification_takes_those_beside_it_with_it() {
    // RFC 7606 §2: treat-as-withdraw is about all routes of the UPDATE.
    let reach = [&[0, 1, 133, 0, 0][..], &[3, 3, 0x81, 6], &[3, 3, 0x01, 6]].concat();
    let decoded = decode(&update(&[], &[&attribute(0x80, 14, &reach), ORIGIN, AS_PATH], &[]), &external());
    assert_eq!(cost(&decoded), Withdraw);
    assert_eq!(decoded.lines(), ["withdraw proto =6", "withdraw [ipv4-flowspec 03030106]"]);
}

#[test]
fn errors_without_reachable_routes() {
    // RFC 7606 §5.2: perhaps there were routes and we did not see them.
    let bad_origin: &[u8] = &[0x40, 1, 1, 9];
    let empty_unreach: &[u8] = &[0x80, 15, 3, 0, 2, 1];
    check(vec![
        case("bad ORIGIN, no routes", external(), update(&[], &[bad_origin], &[]), Reset(3, 6), "RFC 7606 §5.2"),
        case(
            "bad ORIGIN beside MP_UNREACH",
            external(),
            update(&[], &[bad_origin, empty_unreach], &[]),
            Reset(3, 6),
            "RFC 7606 §5.2",
        ),
        case(
            "bad ORIGIN beside withdrawals",
            external(),
            update(ROUTE, &[bad_origin], &[]),
            Reset(3, 6),
            "RFC 7606 §5.2",
        ),
        case("header cut, no routes", external(), update(&[], &[ORIGIN, &[0x40]], &[]), Reset(3, 5), "RFC 7606 §5.2"),
        // Attribute discard does not count.
        case("ORIGIN twice, no routes", external(), update(&[], &[ORIGIN, ORIGIN], &[]), Discard, "RFC 7606 §3 g"),
        // RFC 4271 §6.3, last sentence.
        case("attributes and no routes", external(), update(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[]), Nothing, ""),
    ]);
}

#[test]
fn the_strongest_fault_wins() {
    // RFC 7606 §3 h.
    let discard_and_withdraw = [attribute(0x40, 6, &[1]), attribute(0x80, 4, &[1])].concat();
    let decoded = decode(&with(&discard_and_withdraw), &external());
    assert_eq!(decoded.result, Ok(Outcome::Withdraw));
    let actions: Vec<ErrorAction> = decoded.faults.iter().map(|fault| fault.action).collect();
    assert_eq!(actions, [ErrorAction::AttributeDiscard, ErrorAction::TreatAsWithdraw]);
    let codes: Vec<Option<u8>> = decoded.faults.iter().map(|fault| fault.attribute).collect();
    assert_eq!(codes, [Some(6), Some(4)]);

    let reset_as_well = update(&[], &[ORIGIN, AS_PATH, NEXT_HOP, &discard_and_withdraw], &[33, 0, 0, 0, 0, 0]);
    assert!(decode(&reset_as_well, &external()).result.is_err());
}

#[test]
fn a_flood_of_faults_is_reported_in_part() {
    let many = attribute(0x40, 1, &[0]).repeat(600);
    let decoded = decode(&update(&[], &[AS_PATH, NEXT_HOP, &many], ROUTE), &external());
    assert_eq!(decoded.result, Ok(Outcome::Discard));
    assert_eq!(decoded.faults.len(), 16);
    // One that costs more is reported, however late it comes.
    let late = attribute(0x80, 4, &[0]);
    let decoded = decode(&update(&[], &[AS_PATH, NEXT_HOP, &many, &late], ROUTE), &external());
    assert_eq!(decoded.result, Ok(Outcome::Withdraw));
    assert_eq!(
        (decoded.faults.len(), decoded.faults.last().map(|fault| fault.action)),
        (16, Some(ErrorAction::TreatAsWithdraw))
    );
}

#[test]
fn rules_change_what_they_say_and_nothing_else() {
    let rules = |rules: Rules| DecodeContext { rules, ..external() };
    let outcome = |message: &[u8], ctx: DecodeContext| decode(message, &ctx).result;
    let path = |octets: &[u8]| update(&[], &[ORIGIN, &attribute(0x40, 2, octets), NEXT_HOP], ROUTE);

    // RFC 4271 §6.3, RFC 7606 §7.2: first AS.
    let enforced = rules(Rules { first_as: Some(Asn(65001)), ..Rules::default() });
    assert_eq!(outcome(&with(&[]), enforced), Ok(Outcome::Ok));
    assert_eq!(outcome(&path(&[2, 1, 0, 0, 0xfd, 0xea]), enforced), Ok(Outcome::Withdraw));
    assert_eq!(outcome(&path(&[]), enforced), Ok(Outcome::Withdraw));
    // RFC 9774.
    let set = path(&[2, 1, 0, 0, 0xfd, 0xe9, 1, 1, 0, 0, 0, 1]);
    assert_eq!(
        outcome(&set, rules(Rules { as_sets: AsSets::TreatAsWithdraw, ..Rules::default() })),
        Ok(Outcome::Withdraw)
    );
    // RFC 7607 §2, which an archive reader sets aside.
    let as_zero = path(&[2, 1, 0, 0, 0, 0]);
    assert_eq!(outcome(&as_zero, rules(Rules::default())), Ok(Outcome::Withdraw));
    assert_eq!(outcome(&as_zero, rules(Rules { as_zero: true, ..Rules::default() })), Ok(Outcome::Ok));
    // Laboratories.
    let loopback = update(&[], &[ORIGIN, AS_PATH, &[0x40, 3, 4, 127, 0, 0, 1]], ROUTE);
    assert_eq!(outcome(&loopback, rules(Rules { loopback_next_hop: true, ..Rules::default() })), Ok(Outcome::Ok));
    // RFC 5065 §5.
    let confed = path(&[3, 1, 0, 0, 0xfc, 0]);
    assert_eq!(outcome(&confed, rules(Rules { confederation: true, ..Rules::default() })), Ok(Outcome::Ok));
    // RFC 5065 §5.2: LOCAL_PREF passes between members.
    let local_pref = with(&[0x40, 5, 4, 0, 0, 0, 100]);
    assert_eq!(outcome(&local_pref, rules(Rules::default())), Ok(Outcome::Discard));
    assert_eq!(outcome(&local_pref, rules(Rules { confederation: true, ..Rules::default() })), Ok(Outcome::Ok));
    // RFC 4271 §6.3 to the letter: 3/2 with the attribute as data.
    let unknown = attribute(0x40, 200, b"hello");
    let fault = outcome(&with(&unknown), rules(Rules::strict())).unwrap_err();
    assert_eq!(fault.notification.map(|told| (told.code, told.subcode)), Some((3, 2)));
    assert_eq!(fault.data, unknown);
    // The operator's lists.
    let community = with(&attribute(0xc0, 8, &[0, 1, 0, 2]));
    let ctx = rules(Rules { discard: [8].into_iter().collect(), ..Rules::default() });
    let decoded = decode(&community, &ctx);
    assert_eq!(decoded.result, Ok(Outcome::Discard));
    assert_eq!(decoded.attrs().communities().len(), 0);
    let ctx = rules(Rules { withdraw: [8].into_iter().collect(), ..Rules::default() });
    assert_eq!(outcome(&community, ctx), Ok(Outcome::Withdraw));
    // Nobody did anything wrong, so RFC 7606 §5.2 has nothing to say where there are no routes.
    let without_routes = update(&[], &[ORIGIN, &attribute(0xc0, 8, &[0, 1, 0, 2])], &[]);
    assert_eq!(outcome(&without_routes, ctx), Ok(Outcome::Withdraw));
    let ctx = rules(Rules { discard: [1, 2, 3, 14, 15].into_iter().collect(), ..Rules::default() });
    assert_eq!(outcome(&community, ctx), Ok(Outcome::Ok), "what a route cannot do without is not discarded");
}
