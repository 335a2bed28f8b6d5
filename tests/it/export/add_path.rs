//! Several paths per prefix (RFC 7911): which ones, under which identifiers, and exact withdrawals.

use ribwatch::{engine::AddPathSelect, types::Family, view::Table, wire::bgp::RefreshSubtype};

use crate::lab::{Lab, external, internal, many, p, path};

const NET: &str = "203.0.113.0/24";

fn paths(lab: &Lab, who: usize) -> Vec<String> {
    let mut paths: Vec<String> = lab.told_paths(who, NET).into_iter().map(|(_, path)| path).collect();
    paths.sort();
    paths
}

#[test]
fn all_paths_are_sent_but_the_receivers_own() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    let (x, y) = (
        lab.peer(external(64498).add_path(AddPathSelect::All)),
        lab.peer(external(64499).add_path(AddPathSelect::All)),
    );
    lab.announces(a, NET, path("64496 64500"));
    lab.announces(b, NET, path("64497 64501 64500"));
    lab.announces(x, NET, path("64498 64500"));
    lab.settle();
    assert_eq!(paths(&lab, x), ["64512 64496 64500", "64512 64497 64501 64500"]);
    assert_eq!(paths(&lab, y), ["64512 64496 64500", "64512 64497 64501 64500", "64512 64498 64500"]);
    // A path that is not the best goes: one withdrawal, nothing else.
    let before = lab.heard(y).messages;
    lab.withdraws(b, NET);
    lab.settle();
    assert_eq!(paths(&lab, y), ["64512 64496 64500", "64512 64498 64500"]);
    assert_eq!((lab.heard(y).messages - before, lab.heard(y).unfounded.len(), lab.heard(y).repeated), (1, 0, 0));
    assert_eq!(lab.table(Table::AdjOut, Some(y)).rows.len(), 2);
}

#[test]
fn an_identifier_stays_with_its_path_as_long_as_it_is_told() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    let x = lab.peer(external(64498).add_path(AddPathSelect::All));
    // Two paths of one session are two paths.
    lab.announces_paths(a, &[(7, p(NET))], &path("64496 64500"));
    lab.announces_paths(a, &[(8, p(NET))], &path("64496 64501"));
    lab.announces(b, NET, path("64497 64502"));
    lab.settle();
    let before = lab.told_paths(x, NET);
    assert_eq!(before.len(), 3);
    let id_of = |lab: &Lab, path: &str| lab.told_paths(x, NET).into_iter().find(|(_, p)| p == path).map(|(id, _)| id);
    let second = id_of(&lab, "64512 64496 64501").unwrap();
    // The best one goes and comes back changed; the others keep their places.
    lab.withdraws_paths(a, &[(7, p(NET))]);
    lab.settle();
    assert_eq!(id_of(&lab, "64512 64496 64501"), Some(second));
    lab.announces_paths(a, &[(8, p(NET))], &path("64496 64503"));
    lab.announces_paths(a, &[(7, p(NET))], &path("64496 64500"));
    lab.settle();
    assert_eq!(id_of(&lab, "64512 64496 64503"), Some(second), "a replacement replaces");
    assert_eq!(lab.told_paths(x, NET).len(), 3);
    assert!(lab.heard(x).unfounded.is_empty());
    assert_eq!(lab.heard(x).repeated, 0);
}

#[test]
fn the_best_few_and_the_best_of_each_neighbouring_as() {
    let mut lab = Lab::new();
    let sources: Vec<_> = [64496, 64496, 64497, 64498].iter().map(|asn| lab.peer(external(*asn))).collect();
    let two = lab.peer(external(64499).add_path(AddPathSelect::Best(2)));
    let each = lab.peer(external(64505).add_path(AddPathSelect::PerNeighborAs));
    for (who, asns) in sources.iter().zip(["64496 1 2 3", "64496 1", "64497 1 2", "64498 1 2 3 4"]) {
        lab.announces(*who, NET, path(asns));
    }
    lab.settle();
    assert_eq!(paths(&lab, two), ["64512 64496 1", "64512 64497 1 2"]);
    assert_eq!(paths(&lab, each), ["64512 64496 1", "64512 64497 1 2", "64512 64498 1 2 3 4"]);
    lab.withdraws(sources[1], NET);
    lab.settle();
    assert_eq!(paths(&lab, two), ["64512 64496 1 2 3", "64512 64497 1 2"]);
    assert_eq!(paths(&lab, each), ["64512 64496 1 2 3", "64512 64497 1 2", "64512 64498 1 2 3 4"]);
    lab.down(sources[2]);
    lab.settle();
    assert_eq!(paths(&lab, two), ["64512 64496 1 2 3", "64512 64498 1 2 3 4"]);
    assert!(lab.heard(two).unfounded.is_empty() && lab.heard(each).unfounded.is_empty());
}

#[test]
fn refreshes_newcomers_and_other_choices_end_up_the_same() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    let x = lab.peer(internal().add_path(AddPathSelect::All));
    lab.announces_paths(a, &many(100), &path("64496 64500"));
    lab.announces_paths(b, &many(60), &path("64497 64500"));
    lab.settle();
    assert_eq!(lab.heard(x).paths.len(), 160);
    lab.refreshes(x, RefreshSubtype::Request);
    let y = lab.peer(internal().add_path(AddPathSelect::All));
    lab.settle();
    assert_eq!((lab.heard(x).repeated, lab.heard(x).paths.len()), (160, 160));
    assert_eq!(lab.heard(y).paths, lab.heard(x).paths);
    assert_eq!(lab.heard(y).end_of_rib, [(Family::IPV4_UNICAST, 160)]);
    // One of them wants the best only: it loses the others and hears nothing else.
    lab.reconfigure(x, |settings| settings.export_options.add_path = AddPathSelect::Best(1));
    lab.settle();
    assert_eq!((lab.heard(x).paths.len(), lab.heard(x).repeated), (100, 160));
    assert_eq!((lab.heard(y).paths.len(), lab.heard(y).repeated), (160, 0));
    lab.down(a);
    lab.down(b);
    lab.settle();
    assert!(lab.heard(x).paths.is_empty() && lab.heard(y).paths.is_empty());
    assert!(lab.heard(x).unfounded.is_empty() && lab.heard(y).unfounded.is_empty());
    assert_eq!(lab.summary().attribute_sets, 0, "nothing is left of anything");
}
