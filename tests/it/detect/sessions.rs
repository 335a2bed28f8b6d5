//! Sessions that end, or say nothing any more.

use std::time::Duration;

use ribwatch::{detect::Kind, types::Family};

use super::tower::{Tower, watching};
use crate::lab::{external, many, path};

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

#[test]
fn a_large_table_that_stands_still_is_a_feed_that_hangs() {
    let mut settings = watching(&[]);
    settings.feeds.silence.paths_min = 500;
    let mut tower = Tower::new(settings);
    let [large, small] =
        [("edge-1", 64496), ("edge-2", 64497)].map(|(name, asn)| tower.peer(external(asn).called(name)));
    tower.announces_paths(large, &many(500), &path("64496 64500"));
    tower.announces(small, "203.0.113.0/24", path("64497 64500"));
    [large, small].iter().for_each(|who| tower.ends_rib(*who, Family::IPV4_UNICAST));
    let minutes = |tower: &mut Tower, count: u32| {
        for _ in 0..count {
            tower.advance(Duration::from_secs(60));
            tower.look();
        }
    };
    minutes(&mut tower, 58);
    assert!(tower.stands().is_empty());
    minutes(&mut tower, 4);
    assert_eq!(tower.stands(), ["session edge-1 silent"]);
    // One change is enough.
    tower.announces_paths(large, &many(1), &path("64496 64496 64500"));
    minutes(&mut tower, 1);
    assert!(tower.stands().is_empty());
    // Of one that is down that is said and nothing else.
    minutes(&mut tower, 62);
    tower.down(large);
    minutes(&mut tower, 2);
    assert_eq!(tower.stands(), ["session edge-1"]);
}
