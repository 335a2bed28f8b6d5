//! Policies and options change while sessions go on: what is kept is judged again, and exactly the difference goes out.

use ribwatch::{engine::Input, view::Table};

use super::{V4, ineligible, load, policy, sent};
use crate::lab::{Lab, external, internal, many, path};

fn preference(name: &str, local_pref: u32) -> String {
    policy(name, &[&format!("set = {{ local_pref = {local_pref} }}, verdict = \"accept\"")])
}

/// Rejects the first `n` of `many`.
fn without_first(n: u32) -> String {
    let prefixes: Vec<String> = (0..n).map(|i| format!("\"10.0.{i}.0/24\"")).collect();
    let reject = format!("match = {{ prefix = [{}] }}, verdict = \"reject\"", prefixes.join(", "));
    policy("in", &[&reject, "verdict = \"accept\""])
}

#[test]
fn a_policy_that_means_something_else_sends_what_differs_and_nothing_more() {
    let mut lab = Lab::new();
    load(&mut lab, &without_first(10));
    let (a, b) = (lab.peer(external(64496).import(&["in"])), lab.peer(external(64497)));
    lab.announces_paths(a, &many(100), &path("64496"));
    lab.settle();
    assert_eq!(lab.told_prefixes(b).len(), 90);
    let (octets, messages) = (lab.heard(b).octets, lab.heard(b).messages);

    load(&mut lab, &without_first(12));
    assert_eq!(lab.told_prefixes(b).len(), 88);
    assert_eq!(lab.heard(b).messages, messages + 1, "two prefixes in one UPDATE");
    assert_eq!(lab.heard(b).octets - octets, 19 + 4 + 2 * 4, "and nothing but their withdrawal");
    assert_eq!(lab.summary().neighbors[0].1[0].accepted, 88);

    let messages = lab.heard(b).messages;
    load(&mut lab, &without_first(9));
    assert_eq!((lab.told_prefixes(b).len(), lab.heard(b).messages), (91, messages + 1));
    assert_eq!((lab.heard(b).repeated, lab.heard(b).unfounded.len()), (0, 0));
    assert_eq!(lab.heard(a).messages, 1, "nobody asks the neighbour to send again");
    assert!(lab.is_up(a) && lab.notifications.is_empty());
}

#[test]
fn a_policy_written_otherwise_that_means_the_same_is_news_for_nobody() {
    let mut lab = Lab::new();
    load(&mut lab, &(preference("in", 200) + &preference("other", 7)));
    let (a, b) = (lab.peer(external(64496).import(&["in"])), lab.peer(internal()));
    lab.announces_paths(a, &many(50), &path("64496"));
    lab.settle();
    let (messages, seq) = (lab.heard(b).messages, lab.summary().seq);
    load(&mut lab, &(preference("other", 9) + &preference("in", 200)));
    assert_eq!((lab.heard(b).messages, lab.summary().seq), (messages, seq), "no change, no event");
    load(&mut lab, &preference("in", 201));
    assert_eq!(lab.told(b, "10.0.3.0/24").unwrap().local_pref(), Some(201));
    assert_eq!(lab.summary().seq, seq + 50, "the best routes changed; what the neighbour sent did not");
}

#[test]
fn a_change_while_tables_are_walked_is_not_lost_and_new_routes_meet_it_at_once() {
    let mut lab = Lab::new();
    load(&mut lab, &preference("in", 100));
    let (a, b) = (lab.peer(external(64496).import(&["in"])), lab.peer(internal()));
    lab.announces_paths(a, &many(250), &path("64496"));
    lab.settle();
    for local_pref in [101, 102, 103] {
        lab.handle(Input::Policies(super::library(&preference("in", local_pref))));
        // A slice of the walk, no more.
        lab.flush();
    }
    lab.announces(a, "203.0.113.0/24", path("64496"));
    assert_eq!(lab.table(Table::Loc, None).rows.len(), 251);
    let page = lab.table(Table::Loc, None);
    let newest = page.rows.iter().find(|row| row.nlri.display(V4) == "203.0.113.0/24").unwrap();
    assert_eq!(page.attrs(newest).local_pref(), Some(103));
    lab.settle();
    assert!(
        lab.heard(b)
            .routes
            .values()
            .all(|set| { ribwatch::wire::bgp::attribute::AttrSet::new(set).local_pref() == Some(103) })
    );
    assert_eq!(lab.summary().attribute_sets, 2, "as received and as it is now");
}

#[test]
fn options_of_import_change_without_the_session() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.announces(a, "203.0.113.0/24", path("64496 64512"));
    lab.settle();
    assert!(ineligible(&mut lab, "203.0.113.0/24").is_some());
    lab.reconfigure(a, |settings| settings.import_options.allow_own_as = 1);
    lab.settle();
    assert_eq!(lab.told(b, "203.0.113.0/24").unwrap().as_path().to_string(), "64512 64496 64512");
    lab.reconfigure(a, |settings| settings.import = vec!["reject-all".into()]);
    lab.settle();
    assert_eq!(lab.told(b, "203.0.113.0/24"), None);
    assert_eq!(sent(&mut lab, Table::AdjIn, a).3.as_deref(), Some("reject-all"));
    assert_eq!(lab.heard(a).messages, 1, "its session goes on, and nothing is asked of it");
}

#[test]
fn a_lower_limit_holds_at_once() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496).max_prefix(Some(V4), 100, 100));
    lab.announces_paths(a, &many(60), &path("64496"));
    lab.reconfigure(a, |settings| settings.max_prefix[0].1.limit = 60);
    assert!(lab.notifications.is_empty());
    assert_eq!(lab.warnings.len(), 1, "the limit is reached");
    lab.reconfigure(a, |settings| settings.max_prefix[0].1.limit = 59);
    assert_eq!((lab.notifications[0].1.code, lab.notifications[0].1.subcode), (6, 1));
}

#[test]
fn many_sessions_that_change_together_cost_one_walk() {
    let versions = |one, rest| preference("one", one) + &preference("rest", rest);
    let mut lab = Lab::new();
    load(&mut lab, &versions(100, 100));
    for i in 0..20 {
        let who = lab.peer(external(64500 + i).import(&[if i == 0 { "one" } else { "rest" }]));
        lab.announces_paths(who, &many(64), &path(&format!("{}", 64500 + i)));
    }
    lab.settle();
    let slices = |lab: &mut Lab, sections: &str| {
        lab.handle(Input::Policies(super::library(sections)));
        (0..100_000).take_while(|_| lab.flush()).count()
    };
    let (one, many) = (slices(&mut lab, &versions(150, 100)), slices(&mut lab, &versions(150, 200)));
    assert!(one > 0 && many <= one + one / 4, "{many} slices for nineteen sessions, {one} for one");
    let page = lab.table(Table::Loc, None);
    assert!(page.rows.iter().all(|row| page.attrs(row).local_pref() == Some(200)));
}
