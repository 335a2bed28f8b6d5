//! Neighbours that do not read: nobody waits for them, and they catch up exactly.

use std::time::Duration;

use ribwatch::{engine::SEND_QUEUE_HIGH, view::Table};

use crate::lab::{Lab, external, many, path};

#[test]
fn a_slow_neighbour_holds_nobody_and_catches_up_exactly() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let (slow, fast) = (lab.peer(external(64497)), lab.peer(external(64498)));
    lab.settle();
    lab.reads(slow, false);
    // Distinct attributes fill the slow neighbour's queue quickly.
    let churn = |lab: &mut Lab, round: u32| {
        for (i, route) in many(600).into_iter().enumerate() {
            let asns: Vec<String> = (0..200).map(|n| (65_536 + (n + i as u32 + round) % 16).to_string()).collect();
            lab.announces_paths(a, &[route], &path(&format!("64496 {}", asns.join(" "))).med(round * 1000 + i as u32));
        }
        lab.settle();
    };
    for round in 0..4 {
        churn(&mut lab, round);
    }
    assert!(lab.heard(fast).routes.len() < 600 || lab.engine.next_deadline().is_some(), "the group waits a moment");
    lab.advance(Duration::from_secs(1));
    churn(&mut lab, 9);
    lab.withdraws_paths(a, &many(200));
    lab.settle();
    assert_eq!(lab.heard(fast).routes.len(), 400, "the fast one has everything");
    assert_eq!(lab.heard(slow).routes.len(), 0, "the slow one has read nothing yet");

    lab.reads(slow, true);
    lab.settle();
    assert_eq!(lab.heard(slow).routes, lab.heard(fast).routes);
    assert!(lab.heard(slow).unfounded.is_empty());
    assert!(lab.heard(slow).octets < lab.heard(fast).octets, "what changed meanwhile was sent once");
    let out = lab.table(Table::AdjOut, Some(slow));
    assert_eq!(out.rows.len(), 400);

    churn(&mut lab, 20);
    assert_eq!(lab.heard(slow).routes, lab.heard(fast).routes, "and it is in step again");
}

#[test]
fn the_queue_of_a_lone_slow_neighbour_is_bounded_and_nothing_is_lost() {
    let mut lab = Lab::new();
    let (a, slow) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.reads(slow, false);
    for (i, route) in many(3000).into_iter().enumerate() {
        let asns: Vec<String> = (0..250).map(|n| (65_536 + (n + i) % 16).to_string()).collect();
        lab.announces_paths(a, &[route], &path(&format!("64496 {}", asns.join(" "))).med(i as u32));
    }
    lab.settle();
    assert_eq!(lab.heard(slow).octets, 0);
    lab.reads(slow, true);
    lab.flush();
    assert!(lab.heard(slow).octets < SEND_QUEUE_HIGH + (1 << 17), "{}", lab.heard(slow).octets);
    lab.settle();
    assert_eq!(lab.heard(slow).routes.len(), 3000);
}
