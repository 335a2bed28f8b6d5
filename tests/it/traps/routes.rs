//! What makes two NLRI the same route, and which changes are none.

use ribwatch::{
    engine::Input,
    types::{Asn, Family, RouterId},
    view::Table,
    wire::bgp::{MessageType, capability::Capability, open::Open},
};

use super::{mandatory, update};
use crate::{
    lab::{Lab, external, path},
    router::{Raw, Router},
};

const PREFIX: &str = "203.0.113.0/24";

#[test]
fn trailing_bits_of_a_prefix_make_no_other_route() {
    // RFC 4271 §4.3: "the value of trailing bits is irrelevant".
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.receives(a, &update(&[], &mandatory(&[64496]), &[20, 203, 0, 0x7f]));
    lab.settle();
    assert_eq!(lab.told_prefixes(b).into_iter().collect::<Vec<_>>(), ["203.0.112.0/20"]);
    lab.receives(a, &update(&[], &mandatory(&[64496]), &[20, 203, 0, 0x71]));
    lab.settle();
    assert_eq!(lab.table(Table::AdjIn, Some(a)).rows.len(), 1, "the same route again");
    lab.receives(a, &update(&[20, 203, 0, 0x73], &[], &[]));
    lab.settle();
    assert!(lab.told_prefixes(b).is_empty());
    assert!(lab.table(Table::AdjIn, Some(a)).rows.is_empty());
}

#[test]
fn a_prefix_named_twice_in_one_update_is_one_route() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.settle();
    let twice = [24, 203, 0, 113, 24, 198, 51, 100, 24, 203, 0, 113];
    lab.receives(a, &update(&[], &mandatory(&[64496]), &twice));
    lab.settle();
    assert_eq!(lab.table(Table::AdjIn, Some(a)).rows.len(), 2);
    assert_eq!(lab.summary().neighbors[0].1[0].received, 2, "counted once");
    assert_eq!((lab.heard(b).routes.len(), lab.heard(b).repeated), (2, 0), "told once");
    let withdrawn = [24, 203, 0, 113, 24, 203, 0, 113];
    lab.receives(a, &update(&withdrawn, &[], &[]));
    lab.settle();
    assert_eq!(lab.summary().neighbors[0].1[0].received, 1);
    assert_eq!((lab.heard(b).routes.len(), lab.heard(b).unfounded.len()), (1, 0));
}

#[test]
fn a_withdrawal_of_what_nobody_has_is_no_event() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.announces(b, "198.51.100.0/24", path("64497"));
    lab.settle();
    lab.handle(Input::EventsWanted(true));
    let (before, seq) = (lab.heard(b).octets, lab.summary().seq);
    lab.withdraws(a, PREFIX);
    lab.withdraws(a, "198.51.100.0/24"); // b has it, a never had
    lab.settle();
    assert_eq!(lab.heard(b).octets, before, "nobody is told");
    assert_eq!((lab.summary().seq, lab.events.len()), (seq, 0), "nothing has changed");
    assert_eq!(lab.best("198.51.100.0/24"), Some(Some(lab.id(b))));
}

#[test]
fn paths_of_one_prefix_live_and_die_by_their_identifiers() {
    // RFC 7911 §2: prefix and Path Identifier together name a route of a neighbour.
    let mut lab = Lab::new();
    let mut spec = external(64496);
    spec.negotiated.add_path_receive = vec![Family::IPV4_UNICAST];
    let (a, b) = (lab.peer(spec), lab.peer(external(64497)));
    let nlri = |id: u8| [0, 0, 0, id, 24, 203, 0, 113];
    lab.receives(a, &update(&[], &mandatory(&[64496, 64500]), &nlri(1)));
    lab.receives(a, &update(&[], &mandatory(&[64496, 64499, 64500]), &nlri(2)));
    lab.settle();
    let ids = |lab: &mut Lab| lab.table(Table::AdjIn, Some(a)).rows.iter().map(|row| row.path_id).collect::<Vec<_>>();
    let told = |lab: &Lab| lab.told(b, PREFIX).map(|set| set.as_path().to_string());
    assert_eq!(ids(&mut lab), [1, 2]);
    assert_eq!(told(&lab).as_deref(), Some("64512 64496 64500"));

    lab.receives(a, &update(&nlri(3), &[], &[])); // no such path
    lab.receives(a, &update(&nlri(1), &[], &[]));
    lab.settle();
    assert_eq!(ids(&mut lab), [2]);
    assert_eq!(told(&lab).as_deref(), Some("64512 64496 64499 64500"), "the other path of the same neighbour");

    lab.receives(a, &update(&[], &mandatory(&[64496]), &nlri(2)));
    lab.settle();
    assert_eq!((ids(&mut lab), told(&lab).as_deref()), (vec![2], Some("64512 64496")), "replaced under its identifier");
    lab.receives(a, &update(&nlri(2), &[], &[]));
    lab.settle();
    assert_eq!((ids(&mut lab).len(), lab.best(PREFIX), told(&lab)), (0, None, None));
}

#[test]
fn a_neighbour_that_names_no_family_exchanges_ipv4_unicast_both_ways() {
    // RFC 4760 §8 asks for the capability; RFC 4271 alone is IPv4 unicast. Old routers send no capability at all.
    let hub = Router::start(
        64512,
        "127.0.0.1:0",
        "[[neighbor]]\naddress = \"127.0.0.2\"\nremote_asn = 64497\npassive = true\n\
         import = [\"accept-all\"]\nexport = [\"accept-all\"]\n",
    );
    hub.originate("198.51.100.0/24");
    let mut old = Raw::dial("127.0.0.2", hub.port());
    old.send(&Open::new(Asn(64497), 90, RouterId(7), Vec::<Capability>::new()).encode());
    old.establish();
    let told = old.next_of(MessageType::Update);
    assert!(told.ends_with(&[24, 198, 51, 100]), "{told:02x?}");
    // Two-octet AS numbers, since nobody agreed on more (RFC 6793 §4.2).
    let path = super::attribute(0x40, 2, &[2, 1, 0xfb, 0xf1]);
    let attributes = [super::attribute(0x40, 1, &[0]), path, super::attribute(0x40, 3, &[192, 0, 2, 1])];
    old.send(&update(&[], &attributes, &[24, 203, 0, 113]));
    hub.await_routes(&["198.51.100.0/24", PREFIX]);
    assert_eq!(hub.neighbor("127.0.0.2").families, [Family::IPV4_UNICAST]);
}
