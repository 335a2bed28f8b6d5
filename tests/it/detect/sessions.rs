//! Sessions that end.

use std::time::Duration;

use ribwatch::detect::Kind;

use super::tower::{Tower, watching};
use crate::lab::{external, path};

#[test]
fn a_session_that_ends_is_told_of_until_it_is_back() {
    let mut tower = Tower::new(watching(&[]));
    let edge = tower.peer(external(64496).called("edge-1"));
    tower.announces(edge, "203.0.113.0/24", path("64496 64500"));
    assert!(tower.stands().is_empty());
    tower.down(edge);
    let finding = tower.the(Kind::Session);
    assert_eq!(finding.hold.open, Duration::from_secs(60));
    assert_eq!(finding.evidence["paths_when_lost"], 1);
    tower.up(edge);
    assert!(tower.stands().is_empty());
}
