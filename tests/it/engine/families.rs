//! Families without plain prefixes: routes of our own behind labels and filters, and what identifies an EVPN route.

use ribwatch::{
    types::{Family, PeerKind},
    view::{Answer, LocalRoute, Nlri, Query, Refusal, Table},
    wire::bgp::{
        attribute::{AttrSet, AttrSetBuilder, code},
        batch::UpdateBatch,
        nlri::{TypedNlri, wire_form},
        update::{DecodeContext, decode_update},
    },
};

use crate::lab::{Lab, external, internal, p, path};

/// RFC 8277 §3.1, RFC 8955 §4: what a route of these families must have to be originated.
#[test]
fn a_route_behind_a_label_or_a_filter_is_originated_told_and_taken_back() {
    let families = [Family::VPNV4, Family::IPV4_FLOWSPEC];
    let mut lab = Lab::new();
    let b = lab.peer(internal().families(&families));
    let key = |family, text| Nlri::Opaque(TypedNlri::parse(family, text).unwrap().key().unwrap().into());
    let vpn = LocalRoute {
        family: Family::VPNV4,
        nlri: key(Family::VPNV4, "64500:1:203.0.113.0/24"),
        labels: [0, 6, 0x41].into(),
        attrs: path("").octets(Family::VPNV4, "192.0.2.7".parse().unwrap()),
    };
    let mut no_next_hop = AttrSetBuilder::new();
    no_next_hop.mp_next_hop(Family::IPV4_FLOWSPEC, &[]);
    let filter = LocalRoute {
        family: Family::IPV4_FLOWSPEC,
        nlri: key(Family::IPV4_FLOWSPEC, "dst 203.0.113.9/32; proto =17"),
        labels: Box::default(),
        attrs: no_next_hop.finish(),
    };
    for route in [&vpn, &filter] {
        assert!(matches!(lab.ask(&Query::Originate(route.clone())), Ok(Answer::Done(true))));
    }
    lab.settle();
    let told = lab.table(Table::AdjOut, Some(b)).rows;
    assert_eq!(told.iter().map(|row| row.nlri.clone()).collect::<Vec<_>>(), [vpn.nlri.clone(), filter.nlri.clone()]);
    assert_eq!(told[0].labels, vpn.labels);

    let list = |lab: &mut Lab, after, limit| match lab.ask(&Query::LocalRoutes { after, limit }) {
        Ok(Answer::Routes(page)) => page,
        other => panic!("{other:?}"),
    };
    let page = list(&mut lab, None, 1);
    assert_eq!((page.rows.len(), page.rows[0].family), (1, Family::VPNV4));
    let page = list(&mut lab, page.next, 1);
    assert_eq!((page.rows.len(), page.rows[0].family, page.next), (1, Family::IPV4_FLOWSPEC, None));

    let wrong = [
        (LocalRoute { labels: Box::default(), ..vpn.clone() }, "needs one label"),
        (LocalRoute { attrs: path("").octets(Family::VPNV4, "0.0.0.0".parse().unwrap()), ..vpn.clone() }, "a next hop"),
        (LocalRoute { labels: [0, 6, 0x41].into(), ..filter.clone() }, "no label"),
        (LocalRoute { nlri: Nlri::Opaque([3, 3, 1, 6].into()), ..filter.clone() }, "cannot be originated"),
        (LocalRoute { nlri: p("203.0.113.0/24").into(), ..vpn.clone() }, "cannot be originated"),
    ];
    for (route, words) in wrong {
        let Err(Refusal::Invalid(text)) = lab.ask(&Query::Originate(route.clone())) else { panic!("{route:?}") };
        assert!(text.contains(words), "{text}");
    }
    for route in [vpn, filter] {
        let take_back = Query::Withdraw { family: route.family, nlri: route.nlri };
        assert!(matches!(lab.ask(&take_back), Ok(Answer::Done(true))));
    }
    lab.settle();
    assert!(lab.table(Table::AdjOut, Some(b)).rows.is_empty());
    assert!(list(&mut lab, None, 10).rows.is_empty());
}

/// RFC 7432 §7.2: the segment and the labels of a MAC address are properties of its route.
#[test]
fn a_mac_address_that_moves_replaces_its_route_and_is_relayed_whole() {
    let mut lab = Lab::new();
    let (a, b) =
        (lab.peer(external(64496).families(&[Family::EVPN])), lab.peer(external(64497).families(&[Family::EVPN])));
    let rd = [0, 0, 0xfb, 0xf4, 0, 0, 0, 1];
    let route = |esi: u8, label: u8| {
        [&[2, 33][..], &rd, &[esi; 10], &[0, 0, 0, 0, 48, 0, 0, 0x5e, 0, 0x53, 1, 0, 0, label, 1]].concat()
    };
    let attrs = path("64496").octets(Family::EVPN, "192.0.2.1".parse().unwrap());
    let announce = |lab: &mut Lab, nlri: &[u8]| {
        lab.apply(a, &received(Family::EVPN, &attrs, nlri));
        lab.settle();
    };
    announce(&mut lab, &route(0, 100));
    announce(&mut lab, &route(7, 200));
    let told = lab.table(Table::AdjOut, Some(b)).rows;
    let [row] = &told[..] else { panic!("one route, not {told:?}") };
    let Nlri::Opaque(key) = &row.nlri else { panic!("{row:?}") };
    assert_eq!(wire_form(Family::EVPN, key, &row.labels), route(7, 200));
}

/// An UPDATE as a neighbour writes it, read by the real decoder.
fn received(family: Family, attrs: &[u8], nlri: &[u8]) -> UpdateBatch {
    let attrs = AttrSet::new(attrs);
    let mut reach = attrs.get(code::MP_REACH).expect("a next hop").to_vec();
    reach.push(0);
    reach.extend_from_slice(nlri);
    let attributes = AttrSetBuilder::from_set(attrs).raw(0x80, code::MP_REACH, &reach).finish();
    let len = u16::try_from(23 + attributes.len()).expect("a message");
    let mut message = vec![0xff; 16];
    message.extend_from_slice(&len.to_be_bytes());
    message.extend_from_slice(&[2, 0, 0]);
    message.extend_from_slice(&(len - 23).to_be_bytes());
    message.extend_from_slice(&attributes);
    let mut batch = UpdateBatch::new();
    decode_update(&message, &DecodeContext::new(PeerKind::External), &mut batch, &mut Vec::new()).expect("good");
    assert!(batch.iter().any(|item| item.family == family));
    batch
}

/// What is shown by type and otherwise not looked at goes on octet for octet, and the typed view agrees with it.
#[test]
fn every_family_is_relayed_as_it_came() {
    let rd = [0, 0, 0xfb, 0xf4, 0, 0, 0, 1];
    let node = [&[0, 1, 0, 21, 2][..], &[0; 8], &[1, 0, 0, 8, 2, 0, 0, 4, 0, 0, 0xfb, 0xf4]].concat();
    let rows: [(Family, Vec<u8>, &str); 7] = [
        (Family::IPV4_LABELED, vec![48, 0, 6, 0x41, 203, 0, 113], "203.0.113.0/24"),
        (Family::VPNV6, [&[120, 0, 6, 0x41][..], &rd, &[0x20, 1, 0xd, 0xb8]].concat(), "64500:1:2001:db8::/32"),
        (Family::IPV4_FLOWSPEC, vec![8, 1, 24, 203, 0, 113, 3, 0x81, 6], "dst 203.0.113.0/24; proto =6"),
        (Family::VPNV4_FLOWSPEC, [&[13][..], &rd, &[1, 24, 203, 0, 113]].concat(), "rd 64500:1; dst 203.0.113.0/24"),
        (Family::RTC, vec![96, 0, 0, 0xfb, 0xf0, 0, 2, 0xfb, 0xf1, 0, 0, 0, 100], "[rtc 64496 rt:64497:100]"),
        (Family::BGP_LS, node, "[bgp-ls node isis-l2 0 local {as 64500}]"),
        (
            Family::IPV4_SR_POLICY,
            vec![96, 0, 0, 0, 1, 0, 0, 0, 9, 192, 0, 2, 1],
            "[sr-policy 1 color 9 endpoint 192.0.2.1]",
        ),
    ];
    for (family, nlri, text) in rows {
        let mut lab = Lab::new();
        let mut sender = external(64496).families(&[family]);
        // There are no unicast routes to hold a filter against.
        sender.settings.import_options.flowspec_validation = Some(false);
        let (a, b) = (lab.peer(sender), lab.peer(external(64497).families(&[family])));
        let next_hop = if family.afi == 2 { "2001:db8::1" } else { "192.0.2.1" };
        let attrs = path("64496").octets(family, next_hop.parse().unwrap());
        lab.apply(a, &received(family, &attrs, &nlri));
        lab.settle();
        let told = lab.table(Table::AdjOut, Some(b));
        let [row] = &told.rows[..] else { panic!("{family}: {told:?}") };
        let Nlri::Opaque(key) = &row.nlri else { panic!("{row:?}") };
        assert_eq!(row.nlri.display(family), text);
        assert_eq!(wire_form(family, key, &row.labels), nlri, "{family}");
        assert_eq!(told.attrs(row).next_hop().unwrap().global.to_string(), next_hop, "{family}: it stays");
    }
}

/// What it cost: IPv6 routes of our own were refused, because the stand-in for our next hop was no host's address.
#[test]
fn a_route_of_our_own_without_a_next_hop_is_good_in_every_plain_family() {
    let mut lab = Lab::new();
    for (family, prefix) in [
        (Family::IPV4_UNICAST, "203.0.113.0/24"),
        (Family::IPV4_MULTICAST, "203.0.113.0/24"),
        (Family::IPV6_UNICAST, "2001:db8:1::/48"),
        (Family::IPV6_MULTICAST, "2001:db8:1::/48"),
    ] {
        let unspecified = if family.afi == 2 { "::" } else { "0.0.0.0" };
        let with_none = AttrSetBuilder::new().finish();
        for attrs in [path("").octets(family, unspecified.parse().unwrap()), with_none] {
            let route = LocalRoute::plain(family, p(prefix), attrs);
            let answer = lab.ask(&Query::Originate(route));
            assert!(matches!(answer, Ok(Answer::Done(true))), "{family}: {answer:?}");
        }
    }
}
