//! Routes that came around, own addresses, and what is done to routes before and after policy, clause by clause.

use ribwatch::{
    engine::{Confederation, EngineSettings},
    types::{Asn, RouterId},
    view::Table,
    wire::bgp::{attribute::code, community::Community},
};

use super::{ineligible, load, local_as, policy, sent};
use crate::lab::{Attrs, Lab, OUR_AS, Spec, external, internal, path};

const PREFIX: &str = "203.0.113.0/24";
const OWN_AS: &str = "own AS in AS_PATH (RFC 4271 §9.1.2)";

fn with_own_as(mut spec: Spec, allowed: u8) -> Spec {
    spec.settings.import_options.allow_own_as = allowed;
    spec
}

fn verdict(lab: &mut Lab, spec: Spec, attrs: Attrs) -> Option<String> {
    let who = lab.peer(spec);
    lab.announces(who, PREFIX, attrs);
    let verdict = ineligible(lab, PREFIX);
    assert_eq!(lab.best(PREFIX).is_none(), verdict.is_some(), "what cannot be chosen is not");
    lab.down(who);
    lab.settle();
    verdict
}

#[test]
fn our_own_as_may_come_back_as_often_as_allowed() {
    // (path, allowed, loop)
    let rows = [
        ("64496 64500", 0, false),
        ("64496 64512", 0, true), // RFC 4271 §9.1.2
        ("64496 64512", 1, false),
        ("64496 64512 64512", 1, true),
        ("64496 64512 64512", 2, false),
    ];
    let mut lab = Lab::new();
    for (asns, allowed, is_loop) in rows {
        let why = verdict(&mut lab, with_own_as(external(64496), allowed), path(asns));
        assert_eq!(why.as_deref(), is_loop.then_some(OWN_AS), "{asns} with {allowed}");
    }
}

#[test]
fn the_as_that_a_neighbour_knows_us_under_loops_too_and_stands_in_front_of_its_routes() {
    let mut lab = Lab::new();
    let why = verdict(&mut lab, local_as(external(64496), 64999, false), path("64496 64999"));
    assert_eq!(why.as_deref(), Some(OWN_AS));
    let seen = local_as(external(64496), 64999, false);
    let silent = local_as(external(64496), 64999, true);
    for (spec, expected) in [(seen, "64999 64496 64500"), (silent, "64496 64500")] {
        let who = lab.peer(spec);
        lab.announces(who, PREFIX, path("64496 64500"));
        assert_eq!(sent(&mut lab, Table::Loc, who).0, expected);
        assert_eq!(sent(&mut lab, Table::AdjIn, who).0, "64496 64500", "as received");
        lab.down(who);
        lab.settle();
    }
}

#[test]
fn confederations_look_for_their_member_as_inside_and_their_number_outside() {
    let confed = |asns: &[u32]| asns.iter().flat_map(|asn| asn.to_be_bytes()).collect::<Vec<u8>>();
    let path_of = |segments: &[(u8, &[u32])]| {
        let mut value = Vec::new();
        for (kind, asns) in segments {
            value.extend([*kind, asns.len() as u8]);
            value.extend(confed(asns));
        }
        path("").raw(0x40, code::AS_PATH, &value)
    };
    // (segments of kind and ASNs, loop): kind 2 is AS_SEQUENCE, 3 AS_CONFED_SEQUENCE; RFC 5065 §4.
    type Row<'a> = (&'a [(u8, &'a [u32])], bool);
    let rows: &[Row<'_>] = &[
        (&[(3, &[65001]), (2, &[64500])], false),
        (&[(3, &[65001, OUR_AS]), (2, &[64500])], true), // our member AS inside
        (&[(3, &[65001]), (2, &[64500, 64999])], true),  // our confederation outside
        (&[(3, &[65001]), (2, &[64500, OUR_AS])], false), // the member's number is anybody's outside
    ];
    let confederation = Some(Confederation { id: Asn(64999), members: vec![Asn(65001)] });
    let settings = EngineSettings { confederation, ..EngineSettings::new(Asn(OUR_AS), RouterId(0xc633_6401)) };
    let mut lab = Lab::of(settings);
    for (segments, is_loop) in rows {
        let why = verdict(&mut lab, external(65001), path_of(segments));
        let expected = is_loop.then_some("own member AS or confederation in AS_PATH (RFC 5065 §4)");
        assert_eq!(why.as_deref(), expected, "{segments:?}");
    }
}

#[test]
fn a_cluster_is_known_by_its_own_id() {
    let settings =
        EngineSettings { cluster_id: RouterId(7), ..EngineSettings::new(Asn(OUR_AS), RouterId(0xc633_6401)) };
    let mut lab = Lab::of(settings);
    let why = verdict(&mut lab, internal(), path("").originator(9).clusters(&[8, 7]));
    assert_eq!(why.as_deref(), Some("our own cluster in CLUSTER_LIST (RFC 4456 §8)"));
    let router_id = path("").originator(9).clusters(&[0xc633_6401]);
    assert_eq!(verdict(&mut lab, internal(), router_id), None, "the router's id is not the cluster's here");
}

#[test]
fn a_next_hop_that_is_ourselves_leads_nowhere() {
    let mut lab = Lab::new();
    let why = verdict(&mut lab, external(64496), path("64496").via("192.0.2.254"));
    assert_eq!(why.as_deref(), Some("NEXT_HOP is our own address (RFC 4271 §6.3)"));
    assert_eq!(verdict(&mut lab, external(64496), path("64496").via("192.0.2.99")), None, "third party");
}

#[test]
fn aigp_is_taken_where_it_is_enabled() {
    let aigp = |attrs: Attrs| attrs.raw(0x80, code::AIGP, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9]);
    let mut enabled = external(64496);
    enabled.settings.export_options.aigp = true;
    // RFC 7311 §3.3: across an AS boundary only where the operator says so.
    for (spec, metric) in [(external(64496), None), (enabled, Some(9)), (internal(), Some(9))] {
        let mut lab = Lab::new();
        let who = lab.peer(spec);
        lab.announces(who, PREFIX, aigp(path("64496")));
        let page = lab.table(Table::Loc, None);
        assert_eq!(page.attrs(&page.rows[0]).aigp(), metric);
        let page = lab.table(Table::AdjIn, None);
        assert_eq!(page.attrs(&page.rows[0]).aigp(), Some(9), "what was received is shown");
    }
}

#[test]
fn graceful_shutdown_makes_a_route_of_another_as_the_last_choice() {
    let shut = |attrs: Attrs| attrs.community(Community::GRACEFUL_SHUTDOWN);
    let mut lab = Lab::new();
    let rules = policy("mine", &["set = { local_pref = 300 }, verdict = \"accept\""])
        + &policy(
            "deaf",
            &["set = { local_pref = 300, remove_communities = [\"graceful-shutdown\"] }, verdict = \"accept\""],
        );
    load(&mut lab, &rules);
    // RFC 8326 §4.1: EBGP only; whatever preference policy gave; a policy that takes the community away switches it off.
    let rows = [
        (external(64496), Some(0)),
        (external(64496).import(&["mine"]), Some(0)),
        (external(64496).import(&["deaf"]), Some(300)),
        (internal(), None),
    ];
    for (spec, local_pref) in rows {
        let who = lab.peer(spec);
        lab.announces(who, PREFIX, shut(path("64496")));
        assert_eq!(sent(&mut lab, Table::Loc, who).1, local_pref);
        lab.down(who);
        lab.settle();
    }
}
