//! RFC 9234 §5, the ingress procedure: OTC by what the neighbour is to us.

use ribwatch::{
    types::{Asn, Role},
    view::Table,
    wire::bgp::attribute::code,
};

use super::{as_role, ineligible, load, policy};
use crate::lab::{Attrs, Lab, external, family_of, p, path};

const PREFIX: &str = "203.0.113.0/24";
const LEAK: &str = "route leak: OTC says that it was for customers only (RFC 9234 §5)";

fn otc(attrs: Attrs, asn: Option<u32>) -> Attrs {
    match asn {
        Some(asn) => attrs.raw(0xc0, code::OTC, &asn.to_be_bytes()),
        None => attrs,
    }
}

#[test]
fn otc_by_the_role_of_the_neighbour() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
    const THEIRS: u32 = 64496;
    // What the neighbour is to us, OTC received, OTC that counts or a leak.
    type Row = (Role, Option<u32>, Result<Option<u32>, ()>);
    let rows: &[Row] = &[
        // Rule 1: with OTC from a Customer or RS-client is a leak, whatever AS it names.
        (Customer, Some(THEIRS), Err(())),
        (Customer, Some(64500), Err(())),
        (Customer, None, Ok(None)),
        (RouteServerClient, Some(64500), Err(())),
        (RouteServerClient, None, Ok(None)),
        // Rule 2: from a Peer it must name the peer. Rule 3: without, it is added.
        (Peer, Some(64500), Err(())),
        (Peer, Some(THEIRS), Ok(Some(THEIRS))),
        (Peer, None, Ok(Some(THEIRS))),
        // Rule 3 for Providers and RSes; what they set stays.
        (Provider, None, Ok(Some(THEIRS))),
        (Provider, Some(64500), Ok(Some(64500))),
        (RouteServer, None, Ok(Some(THEIRS))),
        (RouteServer, Some(64500), Ok(Some(64500))),
    ];
    for (theirs, received, expected) in rows {
        let mut lab = Lab::new();
        let who = lab.peer(as_role(external(THEIRS), theirs.counterpart()));
        lab.announces(who, PREFIX, otc(path("64496 64500"), *received));
        let page = lab.table(Table::Loc, None);
        match expected {
            Ok(otc) => assert_eq!(page.attrs(&page.rows[0]).otc(), otc.map(Asn), "{theirs:?} {received:?}"),
            Err(()) => {
                assert!(page.rows.is_empty(), "{theirs:?} {received:?}");
                assert_eq!(ineligible(&mut lab, PREFIX).as_deref(), Some(LEAK));
            }
        }
        let page = lab.table(Table::AdjIn, Some(who));
        assert_eq!(page.attrs(&page.rows[0]).otc(), received.map(Asn), "Adj-RIB-In has what was received");
    }
}

#[test]
fn without_a_role_nothing_is_done() {
    let mut lab = Lab::new();
    let who = lab.peer(external(64496));
    lab.announces(who, PREFIX, otc(path("64496"), Some(64500)));
    let page = lab.table(Table::Loc, None);
    assert_eq!(page.attrs(&page.rows[0]).otc(), Some(Asn(64500)));
}

/// RFC 9234 §5: IPv4 and IPv6 unicast, no other family.
#[test]
fn roles_are_about_unicast_only() {
    use ribwatch::{
        types::Family,
        wire::bgp::{
            attribute::AttrSet,
            batch::{ItemKind, UpdateBatch},
        },
    };
    let mut lab = Lab::new();
    let multicast = Family { afi: 1, safi: 2 };
    let customer = as_role(external(64496), Role::Provider).families(&[family_of(p(PREFIX)), multicast]);
    let who = lab.peer(customer);
    let octets = otc(path("64496"), Some(64500)).octets(multicast, lab.address(who));
    let mut batch = UpdateBatch::new();
    batch.push_prefixes(ItemKind::Announce, multicast, AttrSet::new(&octets), &[(0, p(PREFIX))]);
    lab.apply(who, &batch);
    assert_eq!(lab.table(Table::Loc, None).rows.len(), 1);
}

#[test]
fn policy_sees_the_otc_that_was_added_and_cannot_undo_the_rule() {
    let mut lab = Lab::new();
    load(&mut lab, &policy("any", &["set = { local_pref = 150 }, verdict = \"accept\""]));
    let provider = lab.peer(as_role(external(64496), Role::Customer).import(&["any"]));
    let customer = lab.peer(as_role(external(64497), Role::Provider).import(&["any"]));
    lab.announces(provider, PREFIX, path("64496"));
    lab.announces(customer, "198.51.100.0/24", otc(path("64497"), Some(64497)));
    let page = lab.table(Table::Loc, None);
    assert_eq!(page.rows.len(), 1, "policy accepted the leak, and it stays a leak");
    assert_eq!(
        (page.attrs(&page.rows[0]).otc(), page.attrs(&page.rows[0]).local_pref()),
        (Some(Asn(64496)), Some(150))
    );
}

/// speaker.md 2.4: a replacement that is a leak withdraws the old route.
#[test]
fn a_replacement_that_is_a_leak_takes_the_old_route_away() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(as_role(external(64496), Role::Provider)), lab.peer(external(64497)));
    lab.announces(a, PREFIX, path("64496"));
    lab.settle();
    assert!(lab.told(b, PREFIX).is_some());
    lab.announces(a, PREFIX, otc(path("64496"), Some(64496)));
    lab.settle();
    assert_eq!((lab.best(PREFIX), lab.told(b, PREFIX)), (None, None));
}
