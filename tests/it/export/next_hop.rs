//! Next hops on a subnet that neighbours share with us (RFC 4271 §5.1.3 item 2, RFC 2545 §3).

use ribwatch::{session::negotiate::Link, types::Family, wire::bgp::attribute::NextHop};

use crate::lab::{Lab, Spec, external, internal, p, path};

const NET: &str = "203.0.113.0/24";

/// The neighbour is on a subnet with us.
fn on_link(mut spec: Spec, subnet: &str) -> Spec {
    let link_local = subnet.contains(':').then(|| "fe80::fe".parse().expect("an address"));
    spec.negotiated.link = Some(Link { subnet: p(subnet), link_local });
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
fn a_link_local_next_hop_is_given_on_its_link_and_nowhere_else() {
    let v6 = Family::IPV6_UNICAST;
    let prefix = "2001:db8:1::/48";
    let over_ipv6 = |spec: Spec| spec.over_ipv6().families(&[v6]);
    let lan = |spec| on_link(over_ipv6(spec), "2001:db8::/64");
    let mut lab = Lab::new();
    let a = lab.peer(lan(external(64496)));
    let (client, another) = (
        lan(external(64497)).options(|options| options.route_server_client = true),
        lan(external(64498)).next_hop_self(),
    );
    let (client, another, distant) = (lab.peer(client), lab.peer(another), lab.peer(over_ipv6(external(64499))));
    let received = NextHop { global: "2001:db8::1".parse().unwrap(), link_local: Some("fe80::1".parse().unwrap()) };
    let ours = NextHop { global: "2001:db8::fe".parse().unwrap(), link_local: Some("fe80::fe".parse().unwrap()) };
    let mut set = ribwatch::wire::bgp::attribute::AttrSetBuilder::new();
    set.origin(ribwatch::wire::bgp::attribute::Origin::Igp)
        .as_path_sequence(&[ribwatch::types::Asn(64496)])
        .next_hop(v6, received);
    lab.announces_octets(a, (0, p(prefix)), &set.finish());
    lab.settle();
    let told = |who| lab.told(who, prefix).map(|set| set.next_hop().expect("has one"));
    assert_eq!(told(client), Some(received), "RFC 7947 §2.2.1: as it was");
    assert_eq!(told(another), Some(ours), "RFC 2545 §3: both addresses");
    assert_eq!(told(distant), Some(NextHop::new(ours.global)), "RFC 2545 §3: not beyond the link");
    // On the wire the field has 32 octets.
    let on_wire = [&[0, 2, 1, 32][..], &"2001:db8::fe".parse::<std::net::Ipv6Addr>().unwrap().octets()].concat();
    assert!(lab.heard(another).last_update.windows(on_wire.len()).any(|octets| octets == on_wire));
}
