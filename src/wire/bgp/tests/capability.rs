//! Capabilities: each one both ways, as bytes with their meaning and as a property.

use proptest::prelude::*;

use super::hex;
use crate::{
    types::{Asn, Family},
    wire::{
        bgp::capability::{AddPathMode, Capability, GracefulRestart, LlgrFamily, OrfFamily, OrfMode, decode_all},
        cursor::Reader,
    },
};

fn decode(octets: &[u8]) -> Option<Vec<Capability>> {
    let mut out = Vec::new();
    decode_all(Reader::new(octets), &mut out).ok().map(|()| out)
}

fn encode(capability: &Capability) -> Vec<u8> {
    let mut out = Vec::new();
    capability.encode(&mut out);
    out
}

#[test]
fn every_capability_both_ways() {
    let v4 = Family::IPV4_UNICAST;
    let v6 = Family::IPV6_UNICAST;
    #[rustfmt::skip]
    let table: Vec<(&str, Capability, &str)> = vec![
        ("01 04 0002 00 01", Capability::MultiProtocol(v6), "ipv6-unicast"),                       // RFC 4760 §8
        ("03 10 0001 00 01 01 40 03 0002 00 01 02 40 01 80 02", Capability::OutboundRouteFilter(vec![ // RFC 5291 §5
            OrfFamily { family: v4, types: vec![(64, OrfMode::Both)] },
            OrfFamily { family: v6, types: vec![(64, OrfMode::Receive), (128, OrfMode::Send)] }]),
            "outbound route filtering ipv4-unicast type 64 both ipv6-unicast type 64 receive type 128 send"),
        ("02 00", Capability::RouteRefresh, "route refresh"),                                      // RFC 2918 §2
        ("05 06 0001 0001 0002", Capability::ExtendedNextHop(vec![(v4, 2)]),                       // RFC 8950 §4
            "extended next hop ipv4-unicast via ipv6"),
        ("06 00", Capability::ExtendedMessage, "extended message"),                                // RFC 8654 §3
        ("09 01 03", Capability::Role(3), "role customer"),                                        // RFC 9234 §4.1
        ("09 01 05", Capability::Role(5), "role 5"),
        ("40 02 0078", Capability::GracefulRestart(GracefulRestart {                               // RFC 4724 §3
            restart_time_secs: 120, ..GracefulRestart::default() }), "graceful restart 120 s"),
        ("40 0a c05a 0001 01 80 0002 01 00", Capability::GracefulRestart(GracefulRestart {         // RFC 8538 §2
            restarting: true, notification: true, restart_time_secs: 90, families: vec![(v4, true), (v6, false)] }),
            "graceful restart 90 s restarting notification ipv4-unicast (forwarding preserved) ipv6-unicast"),
        ("41 04 0001000f", Capability::FourOctetAs(Asn(65551)), "4-octet AS 65551"),               // RFC 6793 §3
        ("45 08 0001 01 03 0002 01 01", Capability::AddPath(vec![                                  // RFC 7911 §4
            (v4, AddPathMode::Both), (v6, AddPathMode::Receive)]), "ADD-PATH ipv4-unicast both ipv6-unicast receive"),
        ("46 00", Capability::EnhancedRouteRefresh, "enhanced route refresh"),                     // RFC 7313 §3.1
        ("47 07 0001 01 80 015180", Capability::LongLivedGracefulRestart(vec![LlgrFamily {         // RFC 9494 §3.1
            family: v4, forwarding_preserved: true, stale_time_secs: 86400 }]),
            "long-lived graceful restart ipv4-unicast 86400 s"),
        ("49 08 02 7231 04 6c61622e", Capability::Fqdn { hostname: "r1".into(), domain: "lab.".into() },
            "host name r1.lab."),
        ("49 04 02 7231 00", Capability::Fqdn { hostname: "r1".into(), domain: String::new() }, "host name r1"),
        ("4b 04 03 312e30", Capability::SoftwareVersion("1.0".into()), "software 1.0"),
        ("43 00", Capability::Unknown { code: 67, value: vec![] }, "dynamic capability (67)"),
        ("c8 02 abcd", Capability::Unknown { code: 200, value: vec![0xab, 0xcd] }, "capability 200"),
    ];
    for (octets, capability, name) in table {
        let octets = hex(octets);
        assert_eq!(decode(&octets), Some(vec![capability.clone()]), "{name}");
        assert_eq!(encode(&capability), octets, "{name}");
        assert_eq!(capability.name(), name);
    }
}

#[test]
fn a_length_that_contradicts_the_definition_is_malformed() {
    let malformed = [
        "01 03 0001 00",          // MP without SAFI
        "01 05 0001 00 01 00",    // MP with one octet too many
        "02 01 00",               // route refresh has no value
        "03 06 0001 00 01 01 40", // a type without its direction
        "05 05 0001 0001 00",     // half a triple
        "06 01 00",               // extended message has no value
        "09 00",                  // no role
        "40 01 00",               // no restart time
        "40 05 0000 0001 01",     // half a family
        "41 02 fde9",             // a two-octet AS
        "45 03 0001 01",          // half a tuple
        "46 01 00",               // enhanced refresh has no value
        "47 06 0001 01 80 0151",  // half an entry
        "c8 03 0000",             // longer than what follows
        "c8",                     // no length
    ];
    for octets in malformed {
        assert_eq!(decode(&hex(octets)), None, "{octets}");
    }
}

#[test]
fn what_no_behaviour_depends_on_is_kept_raw_instead() {
    #[rustfmt::skip]
    let raw = [
        "45 08 0001 01 03 0002 01 04", // RFC 7911 §4: an undefined Send/Receive makes it "not understood"
        "49 03 05 7231",               // host name longer than the capability
        "49 05 02 7231 00 00",         // octets behind the domain
        "4b 00",                       // no version length
    ];
    for octets in raw {
        let octets = hex(octets);
        let expected = Capability::Unknown { code: octets[0], value: octets[2..].to_vec() };
        assert_eq!(decode(&octets), Some(vec![expected.clone()]));
        assert_eq!(encode(&expected), octets);
    }
}

#[test]
fn reserved_bits_are_ignored() {
    // RFC 4724 §3: reserved bits MUST be ignored by the receiver; RFC 4760 §8 and RFC 8950 §4: the octet too.
    assert_eq!(decode(&hex("01 04 0001 ff 01")), decode(&hex("01 04 0001 00 01")));
    assert_eq!(decode(&hex("40 06 305a 0001 01 7f")), decode(&hex("40 06 005a 0001 01 00")));
}

#[test]
fn a_host_name_cannot_forge_a_log_line() {
    let capability = decode(&hex("49 06 04 61 0a 1b ff 00")).unwrap().remove(0);
    assert_eq!(capability.name(), "host name a\u{fffd}\u{fffd}\u{fffd}");
}

#[test]
fn lists_and_texts_too_long_for_one_capability_are_cut_at_an_entry() {
    let tuples = vec![(Family::IPV4_UNICAST, AddPathMode::Both); 100];
    let restart = GracefulRestart { families: vec![(Family::RTC, false); 100], ..GracefulRestart::default() };
    let llgr = LlgrFamily { family: Family::RTC, forwarding_preserved: false, stale_time_secs: u32::MAX };
    let long = [
        Capability::AddPath(tuples),
        Capability::GracefulRestart(restart),
        Capability::LongLivedGracefulRestart(vec![llgr; 100]),
        Capability::ExtendedNextHop(vec![(Family::VPNV4, 2); 100]),
        Capability::Fqdn { hostname: "ü".repeat(200), domain: "é".repeat(200) },
        Capability::SoftwareVersion("ö".repeat(200)),
        Capability::Unknown { code: 200, value: vec![1; 999] },
    ];
    for capability in long {
        let decoded = decode(&encode(&capability)).expect("what we send is well formed");
        assert_eq!(decoded.len(), 1);
        assert_eq!(decoded[0].code(), capability.code());
        assert!(!matches!((&decoded[0], &capability), (Capability::Unknown { code: ..=199, .. }, _)), "{capability}");
    }
}

fn any_family() -> impl Strategy<Value = Family> {
    (any::<u16>(), any::<u8>()).prop_map(|(afi, safi)| Family::new(afi, safi))
}

fn any_mode() -> impl Strategy<Value = AddPathMode> {
    prop_oneof![Just(AddPathMode::Receive), Just(AddPathMode::Send), Just(AddPathMode::Both)]
}

fn any_graceful_restart() -> impl Strategy<Value = GracefulRestart> {
    let families = prop::collection::vec((any_family(), any::<bool>()), 0..=63);
    (any::<bool>(), any::<bool>(), 0u16..4096, families).prop_map(
        |(restarting, notification, restart_time_secs, families)| GracefulRestart {
            restarting,
            notification,
            restart_time_secs,
            families,
        },
    )
}

fn any_orf_family() -> impl Strategy<Value = OrfFamily> {
    (any_family(), prop::collection::vec((any::<u8>(), any_mode()), 0..=10))
        .prop_map(|(family, types)| OrfFamily { family, types })
}

fn any_llgr_family() -> impl Strategy<Value = LlgrFamily> {
    (any_family(), any::<bool>(), 0u32..1 << 24).prop_map(|(family, forwarding_preserved, stale_time_secs)| {
        LlgrFamily { family, forwarding_preserved, stale_time_secs }
    })
}

/// Every capability with every value it can carry, but for roles, of which an OPEN bears only one.
pub(super) fn any_capability() -> impl Strategy<Value = Capability> {
    let unassigned = prop_oneof![Just(0u8), 10u8..64, 76u8..];
    prop_oneof![
        any_family().prop_map(Capability::MultiProtocol),
        Just(Capability::RouteRefresh),
        prop::collection::vec((any_family(), any::<u16>()), 0..=42).prop_map(Capability::ExtendedNextHop),
        Just(Capability::ExtendedMessage),
        any_graceful_restart().prop_map(Capability::GracefulRestart),
        any::<u32>().prop_map(|asn| Capability::FourOctetAs(Asn(asn))),
        prop::collection::vec((any_family(), any_mode()), 0..=63).prop_map(Capability::AddPath),
        prop::collection::vec(any_orf_family(), 0..=10).prop_map(Capability::OutboundRouteFilter),
        Just(Capability::EnhancedRouteRefresh),
        prop::collection::vec(any_llgr_family(), 0..=36).prop_map(Capability::LongLivedGracefulRestart),
        ("[a-zé.-]{0,60}", "[a-zé.-]{0,60}").prop_map(|(hostname, domain)| Capability::Fqdn { hostname, domain }),
        "[ -~ü]{0,100}".prop_map(Capability::SoftwareVersion),
        (unassigned, prop::collection::vec(any::<u8>(), 0..=255))
            .prop_map(|(code, value)| Capability::Unknown { code, value }),
    ]
}

proptest! {
    #[test]
    fn a_capability_survives_the_wire(capability in any_capability()) {
        prop_assert_eq!(decode(&encode(&capability)), Some(vec![capability]));
    }

    #[test]
    fn a_role_survives_the_wire(role: u8) {
        prop_assert_eq!(decode(&encode(&Capability::Role(role))), Some(vec![Capability::Role(role)]));
    }

    #[test]
    fn any_octets_decode_without_panic(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        for capability in decode(&octets).unwrap_or_default() {
            let _ = (capability.name(), encode(&capability));
        }
    }
}
