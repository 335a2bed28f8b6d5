//! Leaks that the Only to Customer attribute shows (RFC 9234 §5).

use ribwatch::{detect::Kind, types::Role};

use super::tower::{Tower, watching};
use crate::lab::{Attrs, external, path};

const OTC: u8 = 35;

fn otc(asns: &str, otc: u32) -> Attrs {
    path(asns).raw(0xc0, OTC, &otc.to_be_bytes())
}

#[test]
fn ten_thousand_leaked_prefixes_are_one_finding_that_grows_and_ends() {
    let mut tower = Tower::new(watching(&[]));
    let mut spec = external(64496).called("customer-1");
    spec.negotiated.local_role = Some(Role::Provider);
    let customer = tower.peer(spec);
    let routes = crate::lab::many(10_000);
    tower.announces_paths(customer, &routes[..1], &otc("64496 64499", 64499));
    assert_eq!(tower.the(Kind::Otc).member_count, 1);
    tower.announces_paths(customer, &routes[1..], &otc("64496 64499", 64499));
    tower.advance(std::time::Duration::from_secs(5));
    let finding = tower.the(Kind::Otc);
    assert_eq!((finding.member_count, finding.members.len()), (10_000, 100));
    assert_eq!(finding.neighbors, ["customer-1".into()]);
    assert_eq!(tower.raised.values().sum::<usize>(), 1);
    tower.withdraws_paths(customer, &routes);
    assert!(tower.stands().is_empty());
}

#[test]
fn who_may_send_only_to_customer_routes_is_not_told_of() {
    // (our role, OTC value, whether it is a leak): RFC 9234 §5.
    let rows = [
        (Role::Provider, 64499, true),
        (Role::Provider, 64496, true),
        (Role::RouteServer, 64499, true),
        (Role::Peer, 64499, true),
        (Role::Peer, 64496, false),
        (Role::Customer, 64496, false),
        (Role::RouteServerClient, 64496, false),
    ];
    for (role, value, leaks) in rows {
        let mut tower = Tower::new(watching(&[]));
        let mut spec = external(64496);
        spec.negotiated.local_role = Some(role);
        let neighbor = tower.peer(spec);
        tower.announces(neighbor, "203.0.113.0/24", otc("64496 64499", value));
        assert_eq!(!tower.stands().is_empty(), leaks, "{role:?} {value}");
    }
}
