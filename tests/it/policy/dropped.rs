//! What cannot be kept is counted and said: a prefix keeps a bounded number of paths of one neighbour.

use ribwatch::types::PathId;

use crate::lab::{Lab, external, p, path};

#[test]
fn paths_beyond_what_a_prefix_keeps_of_one_neighbour_are_counted_and_one_line_says_so() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let prefix = p("203.0.113.0/24");
    let routes: Vec<_> = (0..1030 as PathId).map(|path_id| (path_id, prefix)).collect();
    lab.announces_paths(a, &routes, &path("64496"));
    lab.announces_paths(a, &routes[1020..], &path("64496 64500"));
    let counts = lab.summary().neighbors[0].1[0];
    assert_eq!((counts.received, counts.dropped), (1024, 12), "six at first, six again; four were replaced");
    assert_eq!(lab.warnings.len(), 1);
    assert!(lab.warnings[0].1.contains("paths are dropped"), "{:?}", lab.warnings);
    let sets = lab.summary().attribute_sets;
    lab.down(a);
    lab.settle();
    assert_eq!((sets, lab.summary().attribute_sets), (2, 0), "nothing of what was dropped stays");
}
