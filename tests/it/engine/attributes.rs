//! What becomes of attributes and next hops on their way out (RFC 4271 §5, RFC 8950).

use ribwatch::{
    types::Family,
    wire::bgp::{attribute::code, community::Community},
};

use super::{V4, V6};
use crate::lab::{Lab, external, internal, path};

#[test]
fn attributes_on_their_way_out() {
    struct Case {
        why: &'static str,
        from: crate::lab::Spec,
        to: crate::lab::Spec,
        route: crate::lab::Attrs,
        expect: fn(Option<ribwatch::wire::bgp::attribute::AttrSet<'_>>),
    }
    let case = |why, from, to, route, expect| Case { why, from, to, route, expect };
    let cases = [
        case(
            "EBGP: own AS in front (§5.1.2), next hop self (§5.1.3)",
            external(64496),
            external(64497),
            path("64496 64500"),
            |told| {
                let told = told.unwrap();
                assert_eq!(told.as_path().to_string(), "64512 64496 64500");
                assert_eq!(told.next_hop().unwrap().global.to_string(), "192.0.2.254");
            },
        ),
        case(
            "IBGP: path and next hop as they came, LOCAL_PREF given (§5.1.5)",
            external(64496),
            internal(),
            path("64496 64500"),
            |told| {
                let told = told.unwrap();
                assert_eq!(told.as_path().to_string(), "64496 64500");
                assert_eq!(told.next_hop().unwrap().global.to_string(), "192.0.2.1");
                assert_eq!(told.local_pref(), Some(100));
            },
        ),
        case("IBGP with next-hop-self", external(64496), internal().next_hop_self(), path("64496"), |told| {
            assert_eq!(told.unwrap().next_hop().unwrap().global.to_string(), "192.0.2.254");
        }),
        case("IBGP to IBGP: not at all (§9.2)", internal(), internal(), path("64500"), |told| assert!(told.is_none())),
        case(
            "IBGP to EBGP: LOCAL_PREF stays inside (§5.1.5)",
            internal(),
            external(64497),
            path("64500").local_pref(200),
            |told| {
                assert_eq!(told.unwrap().local_pref(), None);
            },
        ),
        case("MED of another AS stays here (§5.1.4)", external(64496), external(64497), path("64496").med(7), |told| {
            assert_eq!(told.unwrap().med(), None);
        }),
        case("MED is passed on inside (§5.1.4)", external(64496), internal(), path("64496").med(7), |told| {
            assert_eq!(told.unwrap().med(), Some(7));
        }),
        case("MED of our own AS goes out (§5.1.4)", internal(), external(64497), path("").med(7), |told| {
            assert_eq!(told.unwrap().med(), Some(7));
        }),
        case(
            "ORIGINATOR_ID and CLUSTER_LIST stay inside (RFC 4456 §8)",
            internal(),
            external(64497),
            path("64500").originator(9).clusters(&[8]),
            |told| {
                let told = told.unwrap();
                assert_eq!((told.originator_id(), told.cluster_list().count()), (None, 0));
            },
        ),
        case(
            "unknown transitive: Partial is set (§5)",
            external(64496),
            external(64497),
            path("64496").raw(0xc0, 200, &[1, 2]),
            |told| {
                let (flags, _, value) = told.unwrap().iter().find(|(_, code, _)| *code == 200).unwrap();
                assert_eq!((flags, value), (0xe0, &[1, 2][..]));
            },
        ),
        case(
            "unknown, not transitive: dropped (§5)",
            external(64496),
            external(64497),
            path("64496").raw(0x80, 201, &[1]),
            |told| {
                assert!(told.unwrap().get(201).is_none());
            },
        ),
        case(
            "NO_EXPORT: not to another AS (RFC 1997)",
            external(64496),
            external(64497),
            path("64496").community(Community::NO_EXPORT),
            |told| {
                assert!(told.is_none());
            },
        ),
        case(
            "NO_EXPORT: inside it goes on",
            external(64496),
            internal(),
            path("64496").community(Community::NO_EXPORT),
            |told| {
                assert_eq!(told.unwrap().communities().count(), 1);
            },
        ),
        case(
            "NO_EXPORT_SUBCONFED",
            external(64496),
            external(64497),
            path("64496").community(Community::NO_EXPORT_SUBCONFED),
            |told| {
                assert!(told.is_none());
            },
        ),
        case(
            "NO_ADVERTISE: to nobody",
            external(64496),
            internal(),
            path("64496").community(Community::NO_ADVERTISE),
            |told| {
                assert!(told.is_none());
            },
        ),
        case(
            "extended communities: transitive ones go out (RFC 4360 §6)",
            internal(),
            external(64497),
            path("64500").raw(0xc0, code::EXT_COMMUNITIES, &[0, 2, 0, 1, 0, 0, 0, 1, 0x40, 4, 0, 1, 0, 0, 0, 2]),
            |told| {
                assert_eq!(told.unwrap().get(code::EXT_COMMUNITIES).unwrap(), [0, 2, 0, 1, 0, 0, 0, 1]);
            },
        ),
        case(
            "a two-octet neighbour reads the same path (RFC 6793 §4.2.2)",
            external(64496),
            external(64497).two_octet_as(),
            path("64496 65536 64500"),
            |told| {
                assert_eq!(told.unwrap().as_path().to_string(), "64512 64496 65536 64500");
            },
        ),
    ];
    for Case { why, from, to, route, expect } in cases {
        let mut lab = Lab::new();
        let (a, b) = (lab.peer(from), lab.peer(to));
        lab.announces(a, "203.0.113.0/24", route);
        lab.settle();
        println!("{why}");
        expect(lab.told(b, "203.0.113.0/24"));
    }
}

#[test]
fn next_hops_of_the_other_address_family() {
    let prefix = |family: Family| if family == V4 { "203.0.113.0/24" } else { "2001:db8:1::/48" };
    let via = |family: Family| if family == V4 { "192.0.2.1" } else { "2001:db8::1" };
    // Transport of the session to b, family of the route, next hop that b sees.
    let cases = [
        (external(64497), V4, Some("192.0.2.254")),
        (external(64497), V6, None), // no IPv6 address of ours is known: withheld
        (external(64497).over_ipv6(), V6, Some("2001:db8::fe")),
        (external(64497).over_ipv6(), V4, None),
        (external(64497).over_ipv6().extended_next_hop(), V4, Some("2001:db8::fe")), // RFC 8950
        (internal(), V6, Some("2001:db8::1")), // kept, whatever carries the session
    ];
    for (to, family, expected) in cases {
        let mut lab = Lab::new();
        let a = lab.peer(external(64496).families(&[V4, V6]));
        let b = lab.peer(to.families(&[V4, V6]));
        lab.announces(a, prefix(family), path("64496").via(via(family)));
        lab.settle();
        let told = lab.told(b, prefix(family)).map(|set| set.next_hop().unwrap().global.to_string());
        assert_eq!(told.as_deref(), expected, "{family}");
        assert_eq!(lab.warnings.iter().any(|(peer, _)| *peer == lab.id(b)), expected.is_none());
    }
}
