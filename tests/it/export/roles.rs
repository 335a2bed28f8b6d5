//! Our place in a topology: reflector, member of a confederation, provider; and options that rewrite paths.

use ribwatch::{
    engine::{LocalAs, RemovePrivate},
    types::{Asn, Role, RouterId},
    wire::bgp::community::Community,
};

use crate::lab::{Lab, OUR_AS, Spec, external, internal, path};

const NET: &str = "203.0.113.0/24";

fn client() -> Spec {
    internal().options(|options| options.route_reflector_client = true)
}

#[test]
fn a_reflector_passes_routes_between_clients_and_the_others() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(client()), lab.peer(client()));
    let (x, y) = (lab.peer(internal()), lab.peer(internal()));
    lab.announces(a, NET, path("64500").local_pref(120));
    lab.announces(x, "198.51.100.0/24", path("64501"));
    lab.settle();
    // RFC 4456 §6: from a client to everybody else; from a non-client to clients only.
    assert_eq!([a, b, x, y].map(|who| lab.told(who, NET).is_some()), [false, true, true, true]);
    assert_eq!([a, b, x, y].map(|who| lab.told(who, "198.51.100.0/24").is_some()), [true, true, false, false]);
    let got = lab.told(y, NET).unwrap();
    assert_eq!(got.originator_id(), Some(RouterId(0xc000_0201)));
    assert_eq!(got.cluster_list().collect::<Vec<_>>(), [RouterId(0xc633_6401)]);
    assert_eq!((got.local_pref(), got.next_hop().unwrap().to_string().as_str()), (Some(120), "192.0.2.1"));
    // Two clients offer the same prefix with the same attributes: ORIGINATOR_ID tells them apart.
    lab.announces(b, NET, path("64500").local_pref(120).via("192.0.2.1"));
    lab.down(a);
    lab.settle();
    assert_eq!(lab.told(y, NET).unwrap().originator_id(), Some(RouterId(0xc000_0202)));
    assert_eq!(lab.told(b, NET).map(|set| set.as_bytes().to_vec()), None, "not back to where it came from");
}

#[test]
fn who_becomes_a_client_is_told_and_told_of() {
    let mut lab = Lab::new();
    let (a, b, c) = (lab.peer(internal()), lab.peer(internal()), lab.peer(internal()));
    lab.announces(a, NET, path("64500"));
    lab.announces(b, "198.51.100.0/24", path("64501"));
    lab.settle();
    assert!([a, b, c].iter().all(|who| lab.heard(*who).routes.is_empty()), "RFC 4271 §9.2");
    lab.reconfigure(a, |settings| settings.export_options.route_reflector_client = true);
    lab.settle();
    assert!(lab.told(b, NET).is_some() && lab.told(c, NET).is_some());
    assert!(lab.told(a, "198.51.100.0/24").is_some() && lab.told(c, "198.51.100.0/24").is_none());
    lab.reconfigure(a, |settings| settings.export_options.route_reflector_client = false);
    lab.settle();
    for who in [a, b, c] {
        assert!(lab.heard(who).routes.is_empty() && lab.heard(who).unfounded.is_empty());
    }
}

#[test]
fn a_confederation_looks_like_one_as_from_outside() {
    let mut lab = Lab::in_confederation(64500, &[64513, 64514]);
    let (member, inside) = (lab.peer(external(64513).confederation_member()), lab.peer(internal()));
    let mut outside = external(64496);
    outside.negotiated.local_asn = Asn(64500);
    let outside = lab.peer(outside);
    let mut other = external(64497);
    other.negotiated.local_asn = Asn(64500);
    let other = lab.peer(other);
    lab.announces(outside, NET, path("64496").med(9));
    lab.settle();
    // RFC 5065 §4.1, §5.2: our member AS in front, and metrics and next hop as inside one AS.
    let got = lab.told(member, NET).unwrap();
    assert_eq!(got.as_path().to_string(), format!("({OUR_AS}) 64496"));
    assert_eq!((got.med(), got.local_pref()), (Some(9), Some(100)));
    assert_eq!(got.next_hop().unwrap().to_string(), "192.0.2.3");
    assert_eq!(lab.told_as_path(inside, NET).as_deref(), Some("64496"));
    assert_eq!(lab.told_as_path(other, NET).as_deref(), Some("64500 64496"));
    // From a member to everybody else, IBGP included.
    let confed = [3, 1, 0, 0, 0xfc, 0x01, 2, 1, 0, 0, 0xfb, 0xff];
    lab.announces(member, "198.51.100.0/24", path("").raw(0x40, 2, &confed).local_pref(70));
    lab.settle();
    assert_eq!(lab.told_as_path(inside, "198.51.100.0/24").as_deref(), Some("(64513) 64511"));
    assert_eq!(lab.told(inside, "198.51.100.0/24").unwrap().local_pref(), Some(70));
    assert_eq!(lab.told_as_path(other, "198.51.100.0/24").as_deref(), Some("64500 64511"));
    // RFC 1997: NO_EXPORT stays in the confederation, NO_EXPORT_SUBCONFED in the member AS.
    for (community, passes) in
        [(Community::NO_EXPORT, [true, true, false]), (Community::NO_EXPORT_SUBCONFED, [true, false, false])]
    {
        lab.announces(outside, NET, path("64496").community(community));
        lab.settle();
        assert_eq!([inside, member, other].map(|who| lab.told(who, NET).is_some()), passes, "{community}");
    }
}

#[test]
fn local_as_private_ases_and_override() {
    let mut lab = Lab::new();
    let with_local_as = |replace_as| {
        let mut spec = external(64497);
        spec.negotiated.local_asn = Asn(64999);
        spec.settings.local_as = Some(LocalAs { asn: Asn(64999), no_prepend: false, replace_as });
        spec
    };
    let a = lab.peer(external(64496));
    let (both, only) = (lab.peer(with_local_as(false)), lab.peer(with_local_as(true)));
    let clean = lab.peer(external(64497).options(|options| options.remove_private = Some(RemovePrivate::All)));
    let site = lab.peer(external(65001).options(|options| options.as_override = true));
    lab.announces(a, NET, path("64496 65001 65002"));
    lab.settle();
    assert_eq!(lab.told_as_path(both, NET).as_deref(), Some("64999 64512 64496 65001 65002"));
    assert_eq!(lab.told_as_path(only, NET).as_deref(), Some("64999 64496 65001 65002"));
    assert_eq!(lab.told_as_path(clean, NET).as_deref(), Some("64512 64496"));
    assert_eq!(lab.told_as_path(site, NET).as_deref(), Some("64512 64496 64512 65002"));
}

#[test]
fn routes_for_customers_only_go_down_only() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let roles = [Role::Provider, Role::Peer, Role::Customer, Role::RouteServer, Role::RouteServerClient];
    let told = roles.map(|role| lab.peer(external(64497).role(role)));
    lab.announces(a, NET, path("64496"));
    lab.announces(a, "198.51.100.0/24", path("64496").raw(0xc0, 35, &64496_u32.to_be_bytes()));
    lab.settle();
    let otc = told.map(|who| lab.told(who, NET).map(|set| set.otc()));
    let added = Some(Some(Asn(OUR_AS)));
    assert_eq!(otc, [added, added, Some(None), added, Some(None)], "RFC 9234 §5, egress 1");
    let otc = told.map(|who| lab.told(who, "198.51.100.0/24").and_then(|set| set.otc()));
    let kept = Some(Asn(64496));
    assert_eq!(otc, [kept, None, None, kept, None], "egress 2");
}
