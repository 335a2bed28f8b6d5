//! Whatever happens between, after a restart the tables are those of a plain session that said the same.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use ribwatch::{
    engine::Input,
    types::{PathId, Prefix},
    view::{Nlri, Table},
};

use super::{V4, lives_long, restarts, secs};
use crate::lab::{Lab, Who, external, many, path};

#[derive(Clone, Debug)]
enum Op {
    Announce {
        who: Who,
        first: usize,
        count: usize,
        origin: u32,
    },
    Withdraw {
        who: Who,
        first: usize,
        count: usize,
    },
    EndOfRib {
        who: Who,
    },
    Lose {
        who: Who,
    },
    Return {
        who: Who,
    },
    /// A walk gets only so far.
    Flush,
    Wait {
        secs: u64,
    },
}

const PREFIXES: u32 = 60;

fn op() -> impl Strategy<Value = Op> {
    let who = 0..2usize;
    let span = (0..PREFIXES as usize, 1..20usize);
    prop_oneof![
        4 => (who.clone(), span.clone(), 0..3u32).prop_map(|(who, (first, count), origin)| Op::Announce { who, first, count, origin }),
        1 => (who.clone(), span).prop_map(|(who, (first, count))| Op::Withdraw { who, first, count }),
        1 => who.clone().prop_map(|who| Op::EndOfRib { who }),
        2 => who.clone().prop_map(|who| Op::Lose { who }),
        2 => who.prop_map(|who| Op::Return { who }),
        2 => Just(Op::Flush),
        1 => (1..200u64).prop_map(|secs| Op::Wait { secs }),
    ]
}

fn routes(first: usize, count: usize) -> Vec<(PathId, Prefix)> {
    many(PREFIXES).into_iter().skip(first).take(count).collect()
}

/// Everybody's Adj-RIB-In and the Loc-RIB as readers see them, and what the listener was told.
fn tables(lab: &mut Lab, listener: Who) -> Vec<String> {
    let mut shown = Vec::new();
    for table in [Table::AdjIn, Table::Loc] {
        let page = lab.table(table, None);
        for row in &page.rows {
            let path = page.attrs(row).as_path().to_string();
            shown.push(format!("{table:?} {:?} {:?} {path} {} {}", row.nlri, row.peer, row.best, row.stale));
        }
    }
    shown.extend(lab.heard(listener).routes.iter().map(|(key, octets)| format!("told {key:?} {octets:?}")));
    shown
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn after_a_restart_the_tables_are_those_of_a_plain_session(ops in prop::collection::vec(op(), 1..60)) {
        let neighbours = || [restarts(64496, &[V4]), lives_long(64497, 100), external(64498)];
        let mut lab = Lab::new();
        for spec in neighbours() {
            lab.peer(spec);
        }
        let listener = 2;
        lab.handle(Input::EventsWanted(true));
        // What each one says in its current session.
        let mut said = [BTreeMap::new(), BTreeMap::new()];
        for op in ops {
            match op {
                Op::Announce { who, first, count, origin } if lab.is_up(who) => {
                    let routes = routes(first, count);
                    lab.announces_paths(who, &routes, &path(&format!("{} {}", 64496 + who as u32, 64500 + origin)));
                    said[who].extend(routes.into_iter().map(|(_, prefix)| (prefix, origin)));
                }
                Op::Withdraw { who, first, count } if lab.is_up(who) => {
                    let routes = routes(first, count);
                    lab.withdraws_paths(who, &routes);
                    said[who].retain(|prefix, _| !routes.iter().any(|(_, gone)| gone == prefix));
                }
                Op::EndOfRib { who } if lab.is_up(who) => lab.ends_rib(who, V4),
                Op::Lose { who } if lab.is_up(who) => {
                    lab.lost(who);
                    said[who].clear();
                }
                Op::Return { who } if !lab.is_up(who) => lab.up(who),
                Op::Flush => drop(lab.flush()),
                Op::Wait { secs: time } => lab.advance(secs(time)),
                _ => {}
            }
        }
        for who in 0..2 {
            if !lab.is_up(who) {
                lab.up(who);
            }
            lab.ends_rib(who, V4);
        }
        lab.settle();
        prop_assert_eq!(lab.engine.next_deadline(), None, "nothing is kept any more");
        prop_assert!(lab.heard(listener).unfounded.is_empty());

        let mut plain = Lab::new();
        for spec in neighbours() {
            plain.peer(spec);
        }
        for (who, said) in said.iter().enumerate() {
            for (prefix, origin) in said {
                let attrs = path(&format!("{} {}", 64496 + who, 64500 + origin));
                plain.announces_paths(who, &[(0, *prefix)], &attrs);
            }
        }
        plain.settle();
        prop_assert_eq!(tables(&mut lab, listener), tables(&mut plain, listener));
        for who in 0..2 {
            prop_assert_eq!(&lab.heard(who).routes, &plain.heard(who).routes, "what neighbour {} has from us", who);
        }

        // Who listened to every change holds the same as who looks now.
        let mut held: HashMap<(bool, Nlri, Option<u32>), bool> = HashMap::new();
        for event in lab.events.iter().flat_map(|batch| &batch.events) {
            // A prefix has one best route at a time, whoever's it is.
            let of = (event.table == Table::AdjIn).then(|| event.row.peer.map_or(0, |peer| peer.0));
            let key = (event.table == Table::Loc, event.row.nlri.clone(), of);
            match event.withdrawn {
                true => prop_assert!(held.remove(&key).is_some(), "gone, but never there: {key:?}"),
                false => drop(held.insert(key, event.row.stale)),
            }
        }
        let mut now = HashMap::new();
        for table in [Table::AdjIn, Table::Loc] {
            for row in lab.table(table, None).rows {
                let of = (table == Table::AdjIn).then(|| row.peer.map_or(0, |peer| peer.0));
                now.insert((table == Table::Loc, row.nlri, of), row.stale);
            }
        }
        prop_assert_eq!(held, now);
    }
}
