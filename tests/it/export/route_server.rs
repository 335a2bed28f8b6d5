//! A route server and its clients (RFC 7947): transparent, and no member's policy hides a path from another.

use std::{sync::Arc, time::Duration};

use ribwatch::{
    engine::{AddPathSelect, Input},
    types::Family,
    view::Table,
    wire::bgp::capability::{Capability, GracefulRestart},
};

use super::policy::library;
use crate::lab::{Lab, Spec, external, many, path};

const NET: &str = "203.0.113.0/24";

fn client(asn: u32) -> Spec {
    external(asn).options(|options| options.route_server_client = true)
}

#[test]
fn attributes_pass_untouched() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(client(64496)), lab.peer(client(64497)));
    lab.announces(a, NET, path("64496 64500").med(7).community(ribwatch::wire::bgp::community::Community::NO_EXPORT));
    lab.settle();
    let got = lab.told(b, NET).unwrap();
    assert_eq!(got.as_path().to_string(), "64496 64500"); // §2.2.2.1
    assert_eq!(got.next_hop().unwrap().to_string(), "192.0.2.1"); // §2.2.1
    assert_eq!(got.med(), Some(7)); // §2.2.3
    assert_eq!(got.communities().len(), 1); // §2.2.4
}

#[test]
fn who_sent_the_best_path_is_told_the_second_best() {
    let mut lab = Lab::new();
    let members: Vec<_> = [64496, 64497, 64498].iter().map(|asn| lab.peer(client(*asn))).collect();
    let (a, b, c) = (members[0], members[1], members[2]);
    lab.announces(a, NET, path("64496 64500"));
    lab.settle();
    assert_eq!(lab.told_as_path(a, NET), None);
    lab.announces(b, NET, path("64497 64501 64500"));
    lab.settle();
    assert_eq!(lab.told_as_path(a, NET).as_deref(), Some("64497 64501 64500"), "not nothing: §2.3");
    assert_eq!(lab.told_as_path(b, NET).as_deref(), Some("64496 64500"));
    assert_eq!(lab.told_as_path(c, NET).as_deref(), Some("64496 64500"));
    assert_eq!(lab.table(Table::AdjOut, Some(a)).rows.len(), 1);
    // The second best changes: that is news for one.
    let before = lab.heard(c).messages;
    lab.announces(b, NET, path("64497 64502 64500"));
    lab.settle();
    assert_eq!(lab.told_as_path(a, NET).as_deref(), Some("64497 64502 64500"));
    assert_eq!(lab.heard(c).messages, before);
    // The order turns.
    lab.announces(b, NET, path("64497"));
    lab.settle();
    assert_eq!(lab.told_as_path(a, NET).as_deref(), Some("64497"));
    assert_eq!(lab.told_as_path(b, NET).as_deref(), Some("64496 64500"));
    assert_eq!(lab.told_as_path(c, NET).as_deref(), Some("64497"));
    let counts = lab.summary().neighbors;
    assert!(counts.iter().all(|(_, families)| families[0].advertised == 1), "{counts:?}");
    lab.withdraws(a, NET);
    lab.settle();
    assert_eq!(lab.told_as_path(b, NET), None);
    lab.down(b);
    lab.settle();
    for who in [a, c] {
        assert_eq!(lab.told_as_path(who, NET), None);
        assert!(lab.heard(who).unfounded.is_empty());
        assert_eq!(lab.heard(who).repeated, 0);
    }
}

#[test]
fn a_member_s_own_path_removes_no_other_by_its_med_for_that_member() {
    // RFC 7947 §2.3: what a client is told is chosen among the paths that it may be told. `a` and `b` are two routers of
    // one AS: the lower MED of a's path removes b's for everybody but `a`.
    let mut lab = Lab::new();
    let (b, c) = (lab.peer(client(64496)), lab.peer(client(64497)));
    let (a, d) = (lab.peer(client(64496)), lab.peer(client(64498)));
    let late = lab.peer(client(64499));
    let told = |lab: &mut Lab| {
        lab.settle();
        let heard = |who| lab.told_as_path(who, NET).unwrap_or_else(|| "-".to_owned());
        [b, c, a, d, late].map(heard)
    };
    let (of_a, of_b, of_c) = ("64496 64500", "64496 64501", "64497 64500");
    lab.announces(b, NET, path(of_b).med(20));
    lab.announces(c, NET, path(of_c));
    assert_eq!(told(&mut lab), [of_c, of_b, of_b, of_b, of_b], "the lower router id wins");
    lab.announces(a, NET, path(of_a).med(10));
    // Everybody: b's is removed, and c's has the lower router id. Without a's, b's is left; without c's, a's is best.
    assert_eq!(told(&mut lab), [of_c, of_a, of_b, of_c, of_c]);
    let counts = lab.summary().neighbors;
    assert!(counts.iter().all(|(_, families)| families[0].advertised == 1), "{counts:?}");
    // The exception changes alone, then goes; nobody else hears of it.
    let before = [c, d].map(|who| lab.heard(who).messages);
    lab.announces(b, NET, path("64496 64502").med(20));
    assert_eq!(told(&mut lab), [of_c, of_a, "64496 64502", of_c, of_c]);
    lab.announces(b, NET, path("64496 64502 64501").med(20));
    assert_eq!(told(&mut lab), [of_c, of_a, of_c, of_c, of_c], "longer than c's");
    assert_eq!([c, d].map(|who| lab.heard(who).messages), before);
    lab.announces(b, NET, path(of_b).med(20));
    assert_eq!(told(&mut lab), [of_c, of_a, of_b, of_c, of_c]);
    // The first row changes for all others; a newcomer gets what the others have.
    lab.announces(c, NET, path("64497 64503"));
    assert_eq!(told(&mut lab), ["64497 64503", of_a, of_b, "64497 64503", "64497 64503"]);
    let newcomer = lab.peer(client(64500));
    lab.settle();
    assert_eq!(lab.told_as_path(newcomer, NET).as_deref(), Some("64497 64503"));
    lab.down(c);
    let [b_hears, _, a_hears, d_hears, late_hears] = told(&mut lab);
    assert_eq!([b_hears, a_hears, d_hears, late_hears], [of_a, of_b, of_a, of_a]);
    for who in [b, a, d, late, newcomer] {
        assert_eq!(lab.heard(who).repeated, 0, "{who}");
    }
    lab.withdraws(a, NET);
    let [b_hears, _, a_hears, d_hears, late_hears] = told(&mut lab);
    assert_eq!([b_hears.as_str(), &a_hears, &d_hears, &late_hears], ["-", of_b, of_b, of_b]);
    for who in [b, a, d, late, newcomer] {
        assert!(lab.heard(who).unfounded.is_empty(), "{who}");
    }
    for who in [b, a, d, late, newcomer] {
        lab.down(who);
    }
    lab.settle();
    assert_eq!(lab.summary().attribute_sets, 0, "nothing is left of anything");
}

#[test]
fn a_policy_against_the_best_path_hides_no_other() {
    let mut lab = Lab::new();
    lab.handle(Input::Policies(library(
        r#"
        [[policy.as_set]]
        name = "unwanted"
        asns = [64496]
        [[policy.policy]]
        name = "not-from-64496"
        [[policy.policy.statement]]
        match = { neighbor_as = "unwanted" }
        verdict = "reject"
        "#,
    )));
    let (a, b) = (lab.peer(client(64496)), lab.peer(client(64497)));
    let picky = lab.peer(client(64498).export(&["not-from-64496", "accept-all"]));
    let open = lab.peer(client(64499));
    lab.announces(a, NET, path("64496"));
    lab.announces(b, NET, path("64497 64501 64500"));
    lab.settle();
    assert_eq!(lab.told_as_path(open, NET).as_deref(), Some("64496"));
    assert_eq!(lab.told_as_path(picky, NET).as_deref(), Some("64497 64501 64500"), "RFC 7947 §2.3.1");
    lab.withdraws(b, NET);
    lab.settle();
    assert_eq!(lab.told_as_path(picky, NET), None);
    assert_eq!(lab.told_as_path(open, NET).as_deref(), Some("64496"));
    // The policy goes, and the path it held back comes: to that member only.
    let before = lab.heard(open).messages;
    lab.reconfigure(picky, |settings| settings.export = vec![Arc::from("accept-all")]);
    lab.settle();
    assert_eq!(lab.told_as_path(picky, NET).as_deref(), Some("64496"));
    assert_eq!(lab.heard(open).messages, before);
}

#[test]
fn a_client_that_is_late_and_one_that_is_slow_end_up_with_their_own_best_path() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(client(64496)), lab.peer(client(64497)));
    lab.announces_paths(a, &many(100), &path("64496"));
    lab.announces_paths(b, &many(100), &path("64497 64500"));
    lab.settle();
    let c = lab.peer(client(64498));
    lab.settle();
    lab.announces_paths(c, &many(50), &path("64498 64500 64501"));
    lab.announces_paths(b, &many(20), &path("64497"));
    lab.settle();
    assert_eq!(lab.heard(c).routes.len(), 100);
    assert_eq!(lab.told_as_path(a, "10.0.0.0/24").as_deref(), Some("64497"));
    lab.down(a);
    lab.settle();
    assert_eq!(lab.told_as_path(b, "10.0.30.0/24").as_deref(), Some("64498 64500 64501"));
    assert_eq!(lab.told_as_path(c, "10.0.30.0/24").as_deref(), Some("64497 64500"));
    assert_eq!(lab.heard(b).routes.len(), 50);
    assert_eq!(lab.heard(c).routes.len(), 100);
    lab.down(b);
    lab.down(c);
    lab.settle();
    assert_eq!(lab.summary().attribute_sets, 0, "nothing is left of anything");
}

/// A client that is sent several paths.
fn taker(asn: u32, select: AddPathSelect) -> Spec {
    client(asn).add_path(select)
}

fn paths(lab: &Lab, who: usize) -> Vec<String> {
    let mut paths: Vec<String> = lab.told_paths(who, NET).into_iter().map(|(_, path)| path).collect();
    paths.sort();
    paths
}

#[test]
fn a_client_s_own_path_is_none_of_the_best_few_that_it_is_sent() {
    // RFC 7947 §2.3: what a client is sent is chosen among the paths of others; with ADD-PATH (§2.3.2.2) so are several.
    let mut lab = Lab::new();
    let takers = [64496, 64497, 64498, 64499].map(|asn| lab.peer(taker(asn, AddPathSelect::Best(2))));
    let [a, b, c, d] = takers;
    lab.announces(a, NET, path("64496"));
    lab.announces(b, NET, path("64497 1"));
    lab.announces(c, NET, path("64498 1 2"));
    lab.settle();
    assert_eq!(paths(&lab, a), ["64497 1", "64498 1 2"]);
    assert_eq!(paths(&lab, b), ["64496", "64498 1 2"]);
    assert_eq!(paths(&lab, c), ["64496", "64497 1"]);
    assert_eq!(paths(&lab, d), ["64496", "64497 1"]);
    let advertised = |lab: &mut Lab| {
        let summary = lab.summary();
        summary.neighbors.iter().map(|(_, families)| families[0].advertised).collect::<Vec<_>>()
    };
    assert_eq!(advertised(&mut lab), [2; 4]);
    assert_eq!(lab.table(Table::AdjOut, Some(a)).rows.len(), 2);
    // The third best changes: that is news for those who have it.
    let before = takers.map(|who| lab.heard(who).messages);
    lab.announces(c, NET, path("64498 1 3"));
    lab.settle();
    assert_eq!((paths(&lab, a)[1].as_str(), paths(&lab, b)[1].as_str()), ("64498 1 3", "64498 1 3"));
    let news = takers.map(|who| lab.heard(who).messages);
    assert_eq!(news, [before[0] + 1, before[1] + 1, before[2], before[3]]);
    // It becomes the best of all, and what was the second best is for two.
    lab.announces(c, NET, path("64498").med(1));
    lab.announces(a, NET, path("64496 1 2 3"));
    lab.settle();
    assert_eq!(paths(&lab, a), ["64497 1", "64498"]);
    assert_eq!(paths(&lab, b), ["64496 1 2 3", "64498"]);
    assert_eq!(paths(&lab, c), ["64496 1 2 3", "64497 1"]);
    assert_eq!(paths(&lab, d), ["64497 1", "64498"]);
    assert_eq!(advertised(&mut lab), [2; 4]);
    // A newcomer, and who asks again.
    let e = lab.peer(taker(64500, AddPathSelect::Best(2)));
    lab.refreshes(b, ribwatch::wire::bgp::RefreshSubtype::Request);
    lab.settle();
    assert_eq!(paths(&lab, e), ["64497 1", "64498"]);
    assert_eq!(lab.heard(b).repeated, 2);
    lab.withdraws(b, NET);
    lab.settle();
    assert_eq!(paths(&lab, a), ["64498"]);
    assert_eq!(paths(&lab, c), ["64496 1 2 3"]);
    assert_eq!([paths(&lab, b), paths(&lab, e)], [["64496 1 2 3", "64498"]; 2]);
    for who in [a, b, c, d, e] {
        assert!(lab.heard(who).unfounded.is_empty(), "{who}");
        lab.down(who);
    }
    lab.settle();
    assert_eq!(lab.summary().attribute_sets, 0, "nothing is left of anything");
}

#[test]
fn of_each_neighbouring_as_a_client_is_sent_the_best_path_that_is_not_its_own() {
    let mut lab = Lab::new();
    let each = |asn| taker(asn, AddPathSelect::PerNeighborAs);
    // `a` and `b` are two routers of one AS: a's MED removes b's path for everybody but `a`.
    let (a, b) = (lab.peer(each(64496)), lab.peer(each(64496)));
    let (c, d) = (lab.peer(each(64497)), lab.peer(each(64498)));
    lab.announces(a, NET, path("64496 1").med(10));
    lab.announces(b, NET, path("64496 2").med(20));
    lab.announces(c, NET, path("64497"));
    lab.settle();
    let told = |lab: &Lab| [a, b, c, d].map(|who| paths(lab, who).join(", "));
    assert_eq!(told(&lab), ["64496 2, 64497", "64496 1, 64497", "64496 1", "64496 1, 64497"]);
    lab.announces(b, NET, path("64496 2").med(5));
    lab.settle();
    assert_eq!(told(&lab), ["64496 2, 64497", "64496 1, 64497", "64496 2", "64496 2, 64497"]);
    assert!([a, b, c, d].iter().all(|who| lab.heard(*who).unfounded.is_empty()));
}

#[test]
fn one_path_that_a_client_does_not_hear_by_a_med_of_its_own_is_heard_by_all_others() {
    let mut lab = Lab::new();
    let best = |asn| taker(asn, AddPathSelect::Best(1));
    // As with a single path: the lower MED of a's path removes b's, and c's is best for everybody; but for `a`, b's is.
    let (b, c) = (lab.peer(best(64496)), lab.peer(best(64497)));
    let (a, d) = (lab.peer(best(64496)), lab.peer(best(64498)));
    lab.announces(b, NET, path("64496 64501").med(20));
    lab.announces(c, NET, path("64497 64500"));
    lab.announces(a, NET, path("64496 64500").med(10));
    lab.settle();
    let told = |lab: &Lab| [b, c, a, d].map(|who| paths(lab, who).join(", "));
    assert_eq!(told(&lab), ["64497 64500", "64496 64500", "64496 64501", "64497 64500"]);
    let late = lab.peer(best(64499));
    lab.settle();
    assert_eq!(paths(&lab, late), ["64497 64500"]);
    assert!(lab.summary().neighbors.iter().all(|(_, families)| families[0].advertised == 1));
    lab.withdraws(a, NET);
    lab.settle();
    assert_eq!(told(&lab), ["64497 64500", "64496 64501", "64496 64501", "64496 64501"]);
    assert!([a, b, c, d, late].iter().all(|who| lab.heard(*who).unfounded.is_empty()));
}

#[test]
fn a_client_whose_paths_were_kept_is_told_what_it_is_to_have_when_it_is_back() {
    // RFC 4724 §4.2 meets RFC 7947 §2.3: while the client was away, its own paths counted for all who were there.
    let keeps = |mut spec: Spec| {
        spec.settings.retention.helper = true;
        let families = vec![(Family::IPV4_UNICAST, true)];
        let restart = GracefulRestart { restarting: false, notification: false, restart_time_secs: 120, families };
        spec.negotiated.remote_capabilities.push(Capability::GracefulRestart(restart.clone()));
        spec.negotiated.graceful_restart = Some(restart);
        spec
    };
    for several in [false, true] {
        let spec = |asn| if several { taker(asn, AddPathSelect::Best(1)) } else { client(asn) };
        let mut lab = Lab::new();
        let a = lab.peer(keeps(spec(64496)));
        let [b, c] = [64497, 64498].map(|asn| lab.peer(spec(asn)));
        lab.announces(a, NET, path("64496"));
        lab.announces(b, NET, path("64497 1"));
        lab.settle();
        lab.lost(a);
        lab.settle();
        lab.announces(b, NET, path("64497 2"));
        lab.settle();
        lab.up(a);
        lab.settle();
        let told = [a, b, c].map(|who| match several {
            true => paths(&lab, who).join(", "),
            false => lab.told_as_path(who, NET).unwrap_or_default(),
        });
        assert_eq!(told, ["64497 2", "64496", "64496"], "several: {several}");
        lab.advance(Duration::from_secs(600));
        assert!(lab.heard(a).unfounded.is_empty() && lab.heard(c).unfounded.is_empty());
    }
}
