//! Next hops on a subnet that neighbours share with us (RFC 4271 §5.1.3 item 2, RFC 2545 §3).

use ribwatch::{session::negotiate::Link, types::Family, view::Table};

use crate::lab::{Lab, Spec, external, internal, p, path};

const NET: &str = "203.0.113.0/24";

/// The neighbour is on a subnet with us.
fn on_link(mut spec: Spec, subnet: &str) -> Spec {
    spec.negotiated.link = Some(Link { subnet: p(subnet), link_local: "fe80::fe".parse().ok() });
    spec
}

#[test]
fn neighbours_on_one_subnet_reach_each_other_without_us() {
    let mut lab = Lab::new();
    let lan = |spec| on_link(spec, "192.0.2.0/24");
    let a = lab.peer(lan(external(64496)));
    let inside = lab.peer(internal());
    let beside = lab.peer(lan(external(64497)));
    let distant = lab.peer(external(64498));
    let asks_ours = lab.peer(lan(external(64499)).next_hop_self());
    let told = |lab: &Lab, prefix: &str| {
        let next_hop = |who| lab.told(who, prefix).map(|set| set.next_hop().expect("has one").to_string());
        [beside, distant, asks_ours].map(|who| next_hop(who).expect("is told"))
    };
    const OURS: &str = "192.0.2.254";
    lab.announces(a, NET, path("64496"));
    // From an internal neighbour, too, and whoever it was that announced it: the next hop is what counts.
    lab.announces(inside, "198.51.100.0/24", path("64500").via("192.0.2.77"));
    lab.announces(inside, "10.1.0.0/16", path("64500").via("10.0.0.7"));
    lab.settle();
    assert_eq!(told(&lab, NET), [lab.address(a).to_string().as_str(), OURS, OURS]);
    assert_eq!(told(&lab, "198.51.100.0/24"), ["192.0.2.77", OURS, OURS]);
    assert_eq!(told(&lab, "10.1.0.0/16"), [OURS; 3]);
    // RFC 4271 §5.1.3: it moves to a router behind us, and we are the next hop again.
    lab.announces(a, NET, path("64496").via("198.51.100.9"));
    lab.settle();
    assert_eq!(told(&lab, NET), [OURS; 3]);
}

#[test]
fn the_link_local_address_stands_beside_a_next_hop_on_the_link_where_that_is_asked_for() {
    let mut lab = Lab::new();
    let lan = |spec: Spec| on_link(spec.over_ipv6().families(&[Family::IPV6_UNICAST]), "2001:db8::/64");
    let asked = |options: &mut ribwatch::engine::ExportOptions| options.link_local_next_hop = true;
    let a = lab.peer(lan(external(64496)));
    let (with, without) = (lab.peer(lan(external(64497)).options(asked)), lab.peer(lan(external(64498))));
    let ours = lab.peer(lan(external(64499)).options(asked).next_hop_self());
    let far = lab.peer(external(64500).over_ipv6().families(&[Family::IPV6_UNICAST]).options(asked));
    lab.announces(a, "2001:db8:1::/48", path("64496").via_both("2001:db8::1", "fe80::1"));
    lab.announces(a, "2001:db8:2::/48", path("64496").via_both("2001:db8:9::1", "fe80::1"));
    lab.settle();
    let told = |who: usize, prefix: &str| {
        let next_hop = lab.told(who, prefix).and_then(|set| set.next_hop()).expect("is told");
        (next_hop.global.to_string(), next_hop.link_local.map(|address| address.to_string()))
    };
    let pair = |global: &str, link_local: Option<&str>| (global.to_owned(), link_local.map(str::to_owned));
    // RFC 2545 §3: of whoever is named, and only where the neighbour is on the link, too.
    assert_eq!(told(with, "2001:db8:1::/48"), pair("2001:db8::1", Some("fe80::1")));
    assert_eq!(told(with, "2001:db8:2::/48"), pair("2001:db8::fe", Some("fe80::fe")));
    assert_eq!(told(ours, "2001:db8:1::/48"), pair("2001:db8::fe", Some("fe80::fe")));
    assert_eq!(told(without, "2001:db8:1::/48"), pair("2001:db8::1", None));
    assert_eq!(told(far, "2001:db8:1::/48"), pair("2001:db8::fe", None));
    // Both are kept of what was received.
    let page = lab.table(Table::AdjIn, Some(a));
    assert_eq!(page.attrs(&page.rows[0]).next_hop().unwrap().link_local, "fe80::1".parse().ok());
}
