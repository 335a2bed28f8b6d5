//! What statements do to routes: taken, rejected, changed; what each table and each neighbour then shows.

use ribwatch::{
    engine::Input,
    view::{Answer, Query, Table},
    wire::bgp::community::Community,
};

use super::{ineligible, load, policy, sent};
use crate::lab::{Lab, external, internal, many, path};

const PREFIX: &str = "203.0.113.0/24";

/// Customers get a preference and a mark, long paths are rejected, one prefix is not wanted.
fn customer_in() -> String {
    policy(
        "customer-in",
        &[
            "name = \"unwanted\", match = { prefix = \"192.0.2.0/24\" }, verdict = \"reject\"",
            "name = \"long\", match = { as_path_length = \">= 4\" }, verdict = \"reject\"",
            "set = { local_pref = 200, add_communities = [\"64512:200\"] }, verdict = \"accept\"",
        ],
    )
}

#[test]
fn a_changed_route_stands_as_received_in_adj_rib_in_and_as_changed_everywhere_else() {
    let mut lab = Lab::new();
    load(&mut lab, &customer_in());
    lab.handle(Input::EventsWanted(true));
    let a = lab.peer(external(64496).import(&["customer-in"]));
    let inside = lab.peer(internal());
    lab.announces(a, PREFIX, path("64496 64500"));
    lab.settle();
    assert_eq!(sent(&mut lab, Table::AdjIn, a), ("64496 64500".into(), None, vec![], None));
    assert_eq!(sent(&mut lab, Table::Loc, a), ("64496 64500".into(), Some(200), vec!["64512:200".into()], None));
    let told = lab.told(inside, PREFIX).unwrap();
    assert_eq!((told.local_pref(), told.communities().count()), (Some(200), 1));
    let events: Vec<_> = lab.events.iter().flat_map(|batch| batch.events.iter().map(move |e| (batch, e))).collect();
    let seen: Vec<_> = events.iter().map(|(batch, e)| (e.table, batch.attrs(e).local_pref())).collect();
    assert_eq!(seen, [(Table::AdjIn, None), (Table::Loc, Some(200))]);
}

#[test]
fn sets_that_share_a_path_share_what_expressions_say_of_it() {
    // Ten sets that differ in MED and communities only, each with prefixes of its own; then another path, then the first
    // one from another neighbour with the same policy, and the policy's second expression.
    let mut lab = Lab::new();
    let reject = |name: &str, path: &str| {
        policy(name, &[&format!("match = {{ as_path = \"{path}\" }}, verdict = \"reject\""), "verdict = \"accept\""])
    };
    load(&mut lab, &(reject("via", "_6449[67]_.*_64500_") + &reject("set", "[{]64500")));
    let a = lab.peer(external(64496).import(&["via"]));
    let judged = |lab: &mut Lab| (lab.summary().paths_judged, lab.summary().paths_shared);
    let prefixes = many(40);
    for (at, prefixes) in prefixes.chunks(4).enumerate() {
        let set = path("64496 64499 64500").med(at as u32).community(Community(64500 << 16 | at as u32));
        lab.announces_paths(a, prefixes, &set);
    }
    assert_eq!(judged(&mut lab), (1, 9));
    let counts = lab.summary().neighbors[0].1[0];
    assert_eq!((counts.received, counts.accepted), (40, 0), "and the verdict is the same for all of them");
    lab.announces(a, PREFIX, path("64496 64501"));
    assert_eq!(judged(&mut lab), (2, 9));
    // Not the same path, although the same ASes.
    lab.announces(a, PREFIX, path("64496 64499 64500 64500"));
    assert_eq!(judged(&mut lab), (3, 9));
    let b = lab.peer(external(64497).import(&["via"]));
    lab.announces(b, PREFIX, path("64496 64499 64500").med(1));
    assert_eq!(judged(&mut lab), (3, 10));
    let c = lab.peer(external(64498).import(&["set"]));
    lab.announces(c, PREFIX, path("64496 64499 64500"));
    assert_eq!(judged(&mut lab), (4, 10), "another expression is another question");
}

#[test]
fn the_statement_that_rejected_a_route_is_named() {
    let mut lab = Lab::new();
    load(&mut lab, &customer_in());
    let a = lab.peer(external(64496).import(&["customer-in"]));
    lab.announces_all(a, &[PREFIX, "192.0.2.0/24"], path("64496"));
    assert!(lab.best(PREFIX).is_some());
    assert_eq!(ineligible(&mut lab, "192.0.2.0/24").as_deref(), Some("rejected on import by customer-in/unwanted"));
    lab.announces(a, PREFIX, path("64496 64500 64501 64502"));
    assert_eq!(ineligible(&mut lab, PREFIX).as_deref(), Some("rejected on import by customer-in/long"));
    let page = lab.table(Table::AdjIn, Some(a));
    let by: Vec<_> = page.rows.iter().map(|row| row.rejected_by.as_deref()).collect();
    assert_eq!(by, [Some("customer-in/unwanted"), Some("customer-in/long")], "in the order of prefixes");
    let counts = lab.summary().neighbors[0].1[0];
    assert_eq!((counts.received, counts.accepted), (2, 0));
}

#[test]
fn an_explanation_tells_what_import_did_step_by_step() {
    let mut lab = Lab::new();
    load(&mut lab, &customer_in());
    let peer = super::as_role(external(64496), ribwatch::types::Role::Customer).import(&["customer-in"]);
    let a = lab.peer(peer);
    lab.announces(a, PREFIX, path("64496").community(Community::GRACEFUL_SHUTDOWN));
    let b = lab.peer(external(64497));
    lab.announces(b, PREFIX, path("64497"));
    lab.originates(PREFIX, &path("")).expect("a good route");
    let Ok(Answer::Explanation(why)) = lab.ask(&Query::Explain { family: super::V4, prefix: crate::lab::p(PREFIX) })
    else {
        panic!("no explanation")
    };
    let stories: Vec<_> = why.candidates.iter().map(|one| (why.page.rows[one.row].peer, one.import.clone())).collect();
    let of_a = [
        "OTC 64496 is added (RFC 9234 §5)",
        "customer-in/3: local_pref none -> 200, communities graceful-shutdown -> graceful-shutdown 64512:200, accepts",
        "GRACEFUL_SHUTDOWN: LOCAL_PREF is 0 (RFC 8326 §4.1)",
    ];
    let of_a = of_a.map(str::to_owned).to_vec();
    assert_eq!(stories, [(None, vec![]), (Some(lab.id(b)), vec![]), (Some(lab.id(a)), of_a)]);
}

/// rustbgpd#911: the old route stayed with the neighbours when its replacement was rejected.
#[test]
fn a_replacement_that_policy_rejects_is_withdrawn_from_the_neighbours() {
    let mut lab = Lab::new();
    load(&mut lab, &customer_in());
    let (a, b) = (lab.peer(external(64496).import(&["customer-in"])), lab.peer(external(64497)));
    lab.announces(a, PREFIX, path("64496"));
    lab.settle();
    assert!(lab.told(b, PREFIX).is_some());
    lab.announces(a, PREFIX, path("64496 64500 64501 64502"));
    lab.settle();
    assert_eq!((lab.best(PREFIX), lab.told(b, PREFIX)), (None, None));
    lab.announces(a, PREFIX, path("64496 64500"));
    lab.settle();
    assert!(lab.told(b, PREFIX).is_some(), "and the next one is taken again");
}

#[test]
fn prefixes_of_one_update_can_have_different_verdicts() {
    let mut lab = Lab::new();
    let rules = policy(
        "halves",
        &[
            "match = { prefix = \"10.0.0.0/17+\" }, set = { local_pref = 50 }, verdict = \"accept\"",
            "match = { prefix = \"10.0.192.0/18+\" }, verdict = \"reject\"",
            "verdict = \"accept\"",
        ],
    );
    load(&mut lab, &rules);
    let a = lab.peer(external(64496).import(&["halves"]));
    lab.announces_paths(a, &many(256), &path("64496"));
    let page = lab.table(Table::Loc, None);
    let preferred = page.rows.iter().filter(|row| page.attrs(row).local_pref() == Some(50)).count();
    assert_eq!((page.rows.len(), preferred), (192, 128));
    assert_eq!(lab.summary().attribute_sets, 2, "as received, and with the preference: for all prefixes together");
}

#[test]
fn two_routes_that_import_makes_equal_are_no_news_for_neighbours() {
    let mut lab = Lab::new();
    load(&mut lab, &policy("plain", &["set = { remove_communities = [\"*:*\"] }, verdict = \"accept\""]));
    let (a, b) = (lab.peer(external(64496).import(&["plain"])), lab.peer(external(64497)));
    let tagged = |n: u32| path("64496").community(Community(64_496 << 16 | n));
    lab.announces(a, PREFIX, tagged(1));
    lab.settle();
    let messages = lab.heard(b).messages;
    lab.handle(Input::EventsWanted(true));
    lab.announces(a, PREFIX, tagged(2));
    lab.settle();
    assert_eq!(lab.heard(b).messages, messages);
    assert_eq!(sent(&mut lab, Table::AdjIn, a).2, ["64496:2"], "what was received is known all the same");
    let seen: Vec<_> = lab.events.iter().flat_map(|batch| &batch.events).map(|event| event.table).collect();
    assert_eq!(seen, [Table::AdjIn], "the best route is what it was");
}

#[test]
fn a_weight_from_policy_goes_before_that_of_the_neighbour_and_both_before_local_pref() {
    let mut lab = Lab::new();
    load(&mut lab, &policy("light", &["set = { weight = 0, local_pref = 500 }, verdict = \"accept\""]));
    let mut heavy = external(64496);
    heavy.settings.import_options.weight = 10;
    let a = lab.peer(heavy);
    let b = lab.peer(internal());
    lab.announces(b, PREFIX, path("").local_pref(900));
    lab.announces(a, PREFIX, path("64496 64500"));
    lab.settle();
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(a))), "weight 10 against LOCAL_PREF 900");
    lab.reconfigure(a, |settings| settings.import = vec!["light".into()]);
    lab.settle();
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(b))), "policy says 0 for this route, so LOCAL_PREF decides");
    lab.reconfigure(a, |settings| settings.import = vec!["accept-all".into()]);
    lab.reconfigure(b, |settings| settings.import_options.weight = 11);
    lab.settle();
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(b))), "the neighbour's weight changed, its route did not");
}
