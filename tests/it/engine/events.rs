//! Changes are numbered and told without a hole.

use ribwatch::{engine::Input, view::Table};

use crate::lab::{Lab, external, many, p, path};

#[test]
fn events_are_numbered_without_a_hole_once_somebody_listens() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.announces(a, "203.0.113.0/24", path("64496 64500"));
    lab.settle();
    assert!(lab.events.is_empty(), "nobody listens");
    let before = lab.summary().seq;
    assert_eq!(before, 2, "changes are numbered all the same: the path, and the best route");

    lab.handle(Input::EventsWanted(true));
    lab.announces_paths(b, &many(50), &path("64497 64500"));
    lab.announces(b, "203.0.113.0/24", path("64497"));
    lab.announces(b, "203.0.113.0/24", path("64497")); // the same again is no change
    lab.settle();
    lab.down(b);
    lab.settle();
    let events: Vec<_> = lab.events.iter().flat_map(|batch| &batch.events).collect();
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (before + 1..=lab.summary().seq).collect::<Vec<_>>());
    assert_eq!(events.len(), 2 * (51 + 51), "each path and each best route, there and gone");

    let of_prefix = |table| {
        let prefix = ribwatch::view::Nlri::Prefix(p("203.0.113.0/24"));
        events.iter().filter(move |e| e.table == table && e.row.nlri == prefix).copied().collect::<Vec<_>>()
    };
    let loc = of_prefix(Table::Loc);
    assert_eq!(
        loc.iter().map(|e| (e.row.peer, e.withdrawn, e.replaced)).collect::<Vec<_>>(),
        [
            (Some(lab.id(b)), false, true), // the shorter path takes over
            (Some(lab.id(a)), false, true), // and gives way
        ]
    );
    let batch = lab.events.iter().find(|batch| batch.events.iter().any(|e| e.seq == loc[0].seq)).unwrap();
    assert_eq!(batch.attrs(loc[0]).as_path().to_string(), "64497");
    let adj_in = of_prefix(Table::AdjIn);
    assert_eq!(adj_in.iter().map(|e| (e.withdrawn, e.replaced)).collect::<Vec<_>>(), [(false, false), (true, true)]);
    assert!(adj_in[1].row.attrs.is_empty());
}
