//! The decision process in the engine: what its settings do to the routes of neighbours, and what `explain` and lists
//! say about it. The steps by themselves are told in `rib::best_path`.

use ribwatch::{
    engine::{Confederation, EngineSettings, Input},
    rib::{
        Knobs,
        best_path::{MaximumPaths, NextHopCheck, NextHopRoute, NextHops},
    },
    types::{Asn, Family, RouterId},
    view::{Answer, Explanation, Query, Table},
};

use crate::lab::{Lab, external, internal, many, p, path};

const PREFIX: &str = "203.0.113.0/24";

fn settings(knobs: Knobs) -> EngineSettings {
    EngineSettings { decision: knobs, ..EngineSettings::new(Asn(64512), RouterId(0xc633_6401)) }
}

fn explain(lab: &mut Lab) -> Explanation {
    match lab.ask(&Query::Explain { family: Family::IPV4_UNICAST, prefix: p(PREFIX) }) {
        Ok(Answer::Explanation(why)) => why,
        other => panic!("no explanation: {other:?}"),
    }
}

/// One line for each candidate that lost: step, value, value of the other, and the place of the other.
fn lost(why: &Explanation) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let lost = why.candidates.iter().filter_map(|one| one.lost.as_ref());
    lost.map(|lost| format!("{} {} {} {}", lost.step, text(&lost.value), text(&lost.against), lost.to)).collect()
}

#[test]
fn what_a_path_lost_by_med_names_the_path_of_its_neighbouring_as() {
    // RFC 4271 §9.1.2.2 c: the third lost to the second by MED, not to the best.
    let mut lab = Lab::new();
    for (asn, med) in [(64496, 10), (64497, 10), (64497, 20)] {
        let who = lab.peer(external(asn));
        lab.announces(who, PREFIX, path(&format!("{asn} 64500")).med(med));
    }
    let why = explain(&mut lab);
    assert_eq!(lost(&why), ["router-id 192.0.2.2 192.0.2.1 0", "med 20 10 1"]);
    assert!(why.page.rows.iter().all(|row| row.multipath.is_none()), "no sets, no word of them");
}

#[test]
fn a_replacement_that_may_not_be_used_takes_the_old_route_away() {
    // RFC 4271 §9.1.2 (own AS) and RFC 4456 §8 (own ORIGINATOR_ID): it replaces the former route all the same.
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(internal()));
    lab.announces(a, PREFIX, path("64496 64500"));
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(a))));
    lab.announces(a, PREFIX, path("64496 64512 64500"));
    assert_eq!(lab.best(PREFIX), None);
    lab.announces(b, PREFIX, path("64500"));
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(b))));
    lab.announces(b, PREFIX, path("64500").originator(0xc633_6401));
    assert_eq!(lab.best(PREFIX), None);
}

#[test]
fn a_neighbour_with_weight_wins_before_local_pref() {
    let mut lab = Lab::new();
    let mut heavy = external(64496);
    heavy.settings.import_options.weight = 7;
    let (a, b) = (lab.peer(heavy), lab.peer(internal()));
    lab.announces(a, PREFIX, path("64496 64499 64500"));
    lab.announces(b, PREFIX, path("64500").local_pref(900));
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(a))));
    assert_eq!(lost(&explain(&mut lab)), ["weight 0 7 0"]);
}

#[test]
fn a_member_of_our_confederation_counts_as_internal() {
    // RFC 5065 §5.3 (4). The lower router id speaks for the member.
    let confederation = Some(Confederation { id: Asn(64500), members: vec![Asn(64513)] });
    let mut lab = Lab::of(EngineSettings { confederation, ..settings(Knobs::default()) });
    let (member, outside) = (lab.peer(external(64513)), lab.peer(external(64496)));
    lab.announces(member, PREFIX, path("64496 64501"));
    lab.announces(outside, PREFIX, path("64496 64501"));
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(outside))));
    assert_eq!(lost(&explain(&mut lab)), ["external - - 0"]);
}

#[test]
fn a_multipath_set_is_shown_where_there_may_be_one() {
    let knobs = Knobs { maximum_paths: MaximumPaths { ebgp: 2, ibgp: 1 }, ..Knobs::default() };
    let mut lab = Lab::of(settings(knobs));
    let who: Vec<_> = (0..3).map(|_| lab.peer(external(64496))).collect();
    for (n, who) in who.iter().enumerate() {
        lab.announces(*who, PREFIX, path("64496 64500").via(&format!("192.0.2.{}", 50 + n)));
    }
    let shared = |lab: &mut Lab, table| -> Vec<_> {
        lab.table(table, None).rows.iter().map(|row| (row.best, row.multipath)).collect()
    };
    let expected = [(true, Some(true)), (false, Some(true)), (false, Some(false))];
    assert_eq!(shared(&mut lab, Table::AdjIn), expected);
    assert_eq!(shared(&mut lab, Table::Loc), [(true, Some(true))]);
    let why = explain(&mut lab);
    let told: Vec<_> = why.candidates.iter().map(|one| why.page.rows[one.row].multipath).collect();
    assert_eq!(told, [Some(true), Some(true), Some(false)]);

    // The tie breaks: one is left alone.
    lab.withdraws(who[1], PREFIX);
    lab.withdraws(who[2], PREFIX);
    assert_eq!(shared(&mut lab, Table::AdjIn), [(true, Some(false))]);
    assert_eq!(shared(&mut lab, Table::Loc), [(true, Some(false))]);
}

#[test]
fn a_next_hop_out_of_reach_is_explained() {
    // RFC 4271 §9.1.2.1.
    let row = NextHopRoute { prefix: p("192.0.2.0/25"), metric: 5, reachable: true };
    let knobs = Knobs { next_hops: NextHops::new(NextHopCheck::Strict, &[row]), ..Knobs::default() };
    let mut lab = Lab::of(settings(knobs));
    let (far, near) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.announces(far, PREFIX, path("64496").via("192.0.2.200"));
    assert_eq!(lab.best(PREFIX), None);
    lab.announces(near, PREFIX, path("64497 64500").via("192.0.2.100"));
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(near))));
    let why = explain(&mut lab);
    let ineligible: Vec<_> = why.candidates.iter().map(|one| one.ineligible.as_deref()).collect();
    let expected = "no [[decision.next_hop]] says that its next hop is reachable (RFC 4271 §9.1.2.1)";
    assert_eq!(ineligible, [None, Some(expected)]);
    lab.settle();
    assert_eq!(lab.told_prefixes(far).len(), 1, "what is best is told");
    assert!(lab.told_prefixes(near).is_empty());
}

#[test]
fn a_next_hop_on_a_subnet_of_ours_is_usable_as_long_as_we_are_on_it() {
    // RFC 4271 §9.1.2.1.
    let connected =
        |rows: &[NextHopRoute]| Knobs { next_hops: NextHops::new(NextHopCheck::Connected, rows), ..Knobs::default() };
    let mut lab = Lab::of(settings(connected(&[])));
    lab.handle(Input::Connected(vec![p("192.0.2.0/25")]));
    let (far, near) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.announces(far, PREFIX, path("64496").via("192.0.2.200"));
    assert_eq!(lab.best(PREFIX), None);
    let why = explain(&mut lab);
    let expected = "its next hop is on no subnet of our interfaces (RFC 4271 §9.1.2.1)";
    assert_eq!(why.candidates[0].ineligible.as_deref(), Some(expected));
    lab.announces(near, PREFIX, path("64497 64500").via("192.0.2.100"));
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(near))));
    lab.settle();
    assert_eq!(lab.told_prefixes(far).len(), 1);
    // An interface gets another address: the shorter path can be used now, and the other one cannot.
    lab.handle(Input::Connected(vec![p("192.0.2.128/25")]));
    lab.settle();
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(far))));
    assert!(lab.told_prefixes(far).is_empty());
    assert_eq!(lab.told_prefixes(near).len(), 1);
    // A reload of other knobs leaves the interfaces as they are; a row speaks before them.
    let row = NextHopRoute { prefix: p("192.0.2.200/32"), metric: 0, reachable: false };
    lab.handle(Input::Decision(connected(&[row])));
    lab.settle();
    assert_eq!(lab.best(PREFIX), None);
    lab.handle(Input::Decision(Knobs { aigp: false, ..connected(&[]) }));
    lab.settle();
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(far))));
    lab.handle(Input::Connected(Vec::new()));
    lab.settle();
    assert_eq!(lab.best(PREFIX), None);
    assert!(lab.told_prefixes(near).is_empty());
    lab.handle(Input::Decision(Knobs::default()));
    lab.settle();
    assert_eq!(lab.best(PREFIX), Some(Some(lab.id(far))), "the view of a collector");
}

#[test]
fn other_knobs_choose_again_and_exactly_the_difference_is_sent() {
    // As many prefixes as several slices of the background walk. For a third of them the first neighbour has the longer
    // path; where lengths are equal it wins by its router id.
    let mut lab = Lab::of(settings(Knobs::default()));
    let (a, b, reader) = (lab.peer(external(64496)), lab.peer(external(64497)), lab.peer(external(64498)));
    let all = many(1500);
    let (longer, level) = all.split_at(500);
    lab.announces_paths(a, longer, &path("64496 64499 64500"));
    lab.announces_paths(a, level, &path("64496 64500"));
    lab.announces_paths(b, &all, &path("64497 64500"));
    lab.settle();
    let chosen = |lab: &mut Lab, who| {
        let id = lab.id(who);
        lab.table(Table::Loc, None).rows.iter().filter(|row| row.peer == Some(id)).count()
    };
    assert_eq!((chosen(&mut lab, a), chosen(&mut lab, b)), (level.len(), longer.len()));
    assert_eq!(lab.heard(reader).routes.len(), all.len());
    let repeated = lab.heard(reader).repeated;

    let knobs = Knobs { ignore_as_path_length: true, ..Knobs::default() };
    lab.handle(Input::Decision(knobs));
    // Changes go on while the walk is under way.
    lab.withdraws_paths(a, &longer[..1]);
    lab.settle();
    assert_eq!((chosen(&mut lab, a), chosen(&mut lab, b)), (all.len() - 1, 1));
    let first_asn = |lab: &Lab, prefix: &str| lab.told(reader, prefix).and_then(|set| set.as_path().asns().nth(1));
    assert_eq!(first_asn(&lab, &longer[1].1.to_string()), Some(Asn(64496)));
    assert_eq!(first_asn(&lab, &longer[0].1.to_string()), Some(Asn(64497)));
    assert_eq!((lab.heard(reader).repeated, lab.heard(reader).unfounded.len()), (repeated, 0), "only the difference");

    lab.handle(Input::Decision(Knobs::default()));
    lab.settle();
    assert_eq!((chosen(&mut lab, a), chosen(&mut lab, b)), (level.len(), longer.len()));
}
