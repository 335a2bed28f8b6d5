//! Questions and commands: pages, relations between prefixes, explanations, local routes, refusals.

use ribwatch::{
    engine::{Input, Owned},
    types::{Asn, Family},
    view::{Answer, Lost, PrefixMatch, Query, Refusal, RouteQuery, Table},
};

use super::{V4, V6};
use crate::lab::{Lab, external, internal, many, p, path};

#[test]
fn a_list_goes_on_where_it_stopped_while_the_table_changes() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.announces_paths(a, &many(100), &path("64496"));
    lab.announces_paths(b, &many(100), &path("64497"));
    let mut query = RouteQuery { table: Table::AdjIn, limit: 15, scan_limit: 1000, ..RouteQuery::default() };
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let page = lab.routes(query.clone());
        assert!(page.rows.len() <= 16, "a prefix is never cut in two");
        seen.extend(page.rows.iter().map(|row| (row.nlri.clone(), row.peer)));
        pages += 1;
        // The prefix that the cursor names goes, and one far behind it; one comes in front.
        lab.withdraws_paths(a, &[(0, p(&format!("10.0.{}.0/24", pages * 8 - 1)))]);
        lab.withdraws_paths(b, &[(0, p(&format!("10.0.{}.0/24", pages * 8 - 1)))]);
        lab.announces(a, &format!("9.{pages}.0.0/16"), path("64496"));
        let Some(next) = page.next else { break };
        query.cursor = Some(next);
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), seen.len(), "nothing twice");
    assert_eq!(seen, sorted, "in order");
    assert_eq!(seen.len(), 200, "all that was there all the time, and what was there when its page was read");
}

#[test]
fn a_page_stops_after_so_many_prefixes_even_if_none_matches() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    lab.announces_paths(a, &many(100), &path("64496 64500"));
    lab.announces(a, "203.0.113.0/24", path("64496 64501"));
    let mut query = RouteQuery { origin: Some(Asn(64501)), limit: 10, scan_limit: 40, ..RouteQuery::default() };
    let mut pages = Vec::new();
    loop {
        let page = lab.routes(query.clone());
        pages.push(page.rows.len());
        let Some(next) = page.next else { break };
        query.cursor = Some(next);
    }
    assert_eq!(pages, [0, 0, 1]);
}

#[test]
fn relations_between_prefixes() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496).families(&[V4, V6]));
    lab.announces_all(a, &["10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.2.0.0/16"], path("64496"));
    lab.announces(a, "10.1.1.128/25", path("64496 64512")); // stored, not eligible
    lab.announces(a, "2001:db8::/32", path("64496").via("2001:db8::1"));
    let cases: &[(PrefixMatch, Table, &[&str])] = &[
        (PrefixMatch::Exact(p("10.1.0.0/16")), Table::Loc, &["10.1.0.0/16"]),
        (PrefixMatch::Exact(p("10.3.0.0/16")), Table::Loc, &[]),
        (PrefixMatch::Longest(p("10.1.1.7/32")), Table::Loc, &["10.1.1.0/24"]),
        (PrefixMatch::Longest(p("10.1.1.129/32")), Table::Loc, &["10.1.1.0/24"]), // the /25 is not in the Loc-RIB
        (PrefixMatch::Longest(p("10.1.1.129/32")), Table::AdjIn, &["10.1.1.128/25"]),
        (PrefixMatch::Longest(p("11.0.0.0/32")), Table::Loc, &[]),
        (PrefixMatch::Longer(p("10.1.0.0/16")), Table::Loc, &["10.1.0.0/16", "10.1.1.0/24"]),
        (PrefixMatch::Shorter(p("10.1.1.0/24")), Table::Loc, &["10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24"]),
        (PrefixMatch::Longer(p("::/0")), Table::Loc, &["2001:db8::/32"]),
    ];
    for (relation, table, expected) in cases {
        let query =
            RouteQuery { table: *table, prefix: Some(*relation), limit: 9, scan_limit: 99, ..RouteQuery::default() };
        let page = lab.routes(query);
        let found: Vec<String> = page
            .rows
            .iter()
            .map(|row| match &row.nlri {
                ribwatch::view::Nlri::Prefix(prefix) => prefix.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(&found, expected, "{relation:?} in {table:?}");
    }
}

#[test]
fn a_local_route_wins_is_advertised_and_can_be_taken_back() {
    let mut lab = Lab::new();
    let (a, i) = (lab.peer(external(64496)), lab.peer(internal()));
    lab.announces(a, "203.0.113.0/24", path("64496"));
    assert!(matches!(lab.originates("203.0.113.0/24", &path("").med(5)), Ok(Answer::Done(true))));
    lab.settle();
    assert_eq!(lab.best("203.0.113.0/24"), Some(None));
    let outside = lab.told(a, "203.0.113.0/24").unwrap();
    assert_eq!(outside.as_path().to_string(), "64512");
    assert_eq!(outside.med(), Some(5), "our own MED goes to the neighbouring AS (RFC 4271 §5.1.4)");
    assert_eq!(outside.next_hop().unwrap().global.to_string(), "192.0.2.254");
    assert_eq!(lab.told(i, "203.0.113.0/24").unwrap().next_hop().unwrap().global.to_string(), "192.0.2.254");

    let take_back = Query::Withdraw { family: V4, nlri: p("203.0.113.0/24").into() };
    assert!(matches!(lab.ask(&take_back), Ok(Answer::Done(true))));
    assert!(matches!(lab.ask(&take_back), Ok(Answer::Done(false))));
    lab.settle();
    assert_eq!(lab.best("203.0.113.0/24"), Some(Some(lab.id(a))));
    assert!(lab.told(a, "203.0.113.0/24").is_none());
}

#[test]
fn a_smaller_owned_space_ends_no_route_and_says_how_many_lie_outside() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    for prefix in ["198.51.100.0/24", "203.0.113.0/24", "203.0.113.0/25"] {
        lab.originates(prefix, &path("")).expect("anything is ours");
    }
    lab.handle(Input::Owned(Owned::Within(vec![p("192.0.0.0/8"), p("198.51.100.0/22")])));
    lab.settle();
    let [note] = &lab.notes[..] else { panic!("one line: {:?}", lab.notes) };
    assert!(note.contains("outside [router] owned now: 2, such as 203.0.113.0/24"), "{note}");
    assert_eq!(lab.told_prefixes(a).len(), 3);
    assert!(matches!(lab.originates("203.0.113.0/24", &path("").med(5)), Err(Refusal::Forbidden(_))));
    lab.originates("198.51.101.0/24", &path("")).expect("ours");

    // All of them lie inside again: nothing to say.
    lab.handle(Input::Owned(Owned::Any));
    assert_eq!(lab.notes.len(), 1);
}

#[test]
fn commands_that_make_no_sense_are_refused_with_a_sentence() {
    let mut lab = Lab::new();
    let route = |family, attrs: &[u8]| {
        Query::Originate(ribwatch::view::LocalRoute::plain(family, p("203.0.113.0/24"), attrs.to_vec()))
    };
    let queries = [
        route(V6, &[]),
        route(Family::EVPN, &[]),
        route(V4, &[0x40, 1, 9]),
        route(V4, &[0x40, 1, 1, 7]),
        Query::Withdraw { family: V6, nlri: p("203.0.113.0/24").into() },
        Query::Explain { family: V6, prefix: p("203.0.113.0/24") },
        Query::Routes(RouteQuery { table: Table::AdjOut, ..RouteQuery::default() }),
    ];
    for query in queries {
        assert!(matches!(lab.ask(&query), Err(Refusal::Invalid(text)) if !text.is_empty()), "{query:?}");
    }
}

#[test]
fn every_candidate_is_explained() {
    let mut lab = Lab::new();
    let (a, b, c) = (lab.peer(external(64496)), lab.peer(external(64497)), lab.peer(internal()));
    let rejected = lab.peer(external(64498).import(&["reject-all"]));
    lab.announces(a, "203.0.113.0/24", path("64496 64500"));
    lab.announces(b, "203.0.113.0/24", path("64497 64499 64500"));
    lab.announces(c, "203.0.113.0/24", path("64500").local_pref(50));
    lab.announces(rejected, "203.0.113.0/24", path("64498"));
    let Ok(Answer::Explanation(why)) = lab.ask(&Query::Explain { family: V4, prefix: p("203.0.113.0/24") }) else {
        panic!("no explanation")
    };
    let lost = |lost: &Lost| (lost.why, lost.value.clone().unwrap(), lost.against.clone().unwrap(), lost.to);
    let told: Vec<_> = why
        .candidates
        .iter()
        .map(|one| (why.page.rows[one.row].peer.unwrap(), one.lost.as_ref().map(lost), one.ineligible.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (lab.id(a), None, None),
            (lab.id(b), Some(("longer AS_PATH", "3".into(), "2".into(), 0)), None),
            (lab.id(c), Some(("lower LOCAL_PREF", "50".into(), "100".into(), 0)), None),
            (lab.id(rejected), None, Some("rejected on import by reject-all")),
        ]
    );
    assert!(why.page.rows[why.candidates[0].row].best);
}
