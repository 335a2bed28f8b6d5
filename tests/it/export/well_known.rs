//! Well-known communities on a route (RFC 1997 and those that build on it): who is told, by where the route comes from.
//! RFC 8642 asks that what each of them does be documented: this is the table.

use ribwatch::{
    types::Asn,
    wire::bgp::{attribute::code, community::Community},
};

use crate::lab::{Attrs, Lab, external, internal, path};

/// Where a route comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Learned {
    /// Another AS.
    Outside,
    /// Another member AS of the confederation.
    Member,
    /// Our own AS.
    Inside,
    /// This router.
    Ourselves,
}

#[test]
fn well_known_communities_by_source_and_receiver() {
    use Learned::{Inside, Member, Ourselves, Outside};
    const ALL: &[Learned] = &[Outside, Member, Inside, Ourselves];
    const OTHERS: &[Learned] = &[Outside, Member, Inside];
    // (community, from, told to another AS, to another member AS, to a client in our AS)
    let rows: &[(Community, &[Learned], [bool; 3])] = &[
        (Community(0xfbf0_0001), ALL, [true; 3]),
        (Community::NO_ADVERTISE, ALL, [false; 3]), // RFC 1997: "to other BGP peers"
        (Community::NO_EXPORT, ALL, [false, true, true]), // RFC 1997: "outside a BGP confederation boundary"
        (Community::NO_EXPORT_SUBCONFED, ALL, [false, false, true]), // RFC 1997: "external BGP peers", members included
        (Community::BLACKHOLE, OTHERS, [false, true, true]), // RFC 7999 §3.2: as NO_EXPORT, which it asks to add
        (Community::BLACKHOLE, &[Ourselves], [true; 3]), // RFC 7999 §3.1: it is there to be told to neighbours
        (Community::GRACEFUL_SHUTDOWN, ALL, [true; 3]), // RFC 8326 §4.1: least preferred, not hidden
        (Community::NO_PEER, ALL, [true; 3]),       // RFC 3765: advice that policy may take
        (Community::ACCEPT_OWN, ALL, [true; 3]),    // RFC 7611: for reflectors of VPNs
        (Community::NO_LLGR, ALL, [true; 3]),       // RFC 9494 §4.2: about keeping
        (Community::LLGR_STALE, ALL, [true; 3]),    // RFC 9494 §4.3: acted on by who has advertised the capability
        (Community(0xffff_1234), ALL, [true; 3]),   // RFC 1997: reserved, and nobody knows what for
    ];
    let mut lab = Lab::in_confederation(64500, &[64513, 64514]);
    let outside = |asn| {
        let mut spec = external(asn);
        spec.negotiated.local_asn = Asn(64500);
        spec
    };
    let member = |asn| external(asn).confederation_member();
    let sources = [lab.peer(outside(64496)), lab.peer(member(64513)), lab.peer(internal())];
    let client = internal().options(|options| options.route_reflector_client = true);
    let receivers = [lab.peer(outside(64497)), lab.peer(member(64514)), lab.peer(client)];
    // AS_CONFED_SEQUENCE 64513, AS_SEQUENCE 64511.
    let confed = [3, 1, 0, 0, 0xfc, 0x01, 2, 1, 0, 0, 0xfb, 0xff];
    let mut tried = 0;
    for (community, from, expected) in rows {
        for from in *from {
            tried += 1;
            let prefix = format!("10.{tried}.0.0/16");
            let with = |attrs: Attrs| attrs.community(*community);
            match from {
                Outside => lab.announces(sources[0], &prefix, with(path("64496"))),
                Member => lab.announces(sources[1], &prefix, with(path("").raw(0x40, code::AS_PATH, &confed))),
                Inside => lab.announces(sources[2], &prefix, with(path("64511"))),
                Ourselves => _ = lab.originates(&prefix, &with(path(""))).expect("may be originated"),
            }
            lab.settle();
            assert!(lab.best(&prefix).is_some(), "{community} from {from:?} is used");
            let told = receivers.map(|who| lab.told(who, &prefix).is_some());
            assert_eq!(told, *expected, "{community} from {from:?}");
            // RFC 8642: it is told as it came, whoever gets it.
            let kept = |who| lab.told(who, &prefix).is_none_or(|set| set.communities().eq([*community]));
            assert!(receivers.into_iter().all(kept), "{community} from {from:?}");
        }
    }
}
