//! Any paths, any knobs, any order of arrival: the oracle's answer, and one ranking.

use std::{cmp::Ordering::Equal, collections::BTreeSet};

use proptest::prelude::*;

use super::{oracle::Routes, *};
use crate::{
    rib::{NlriRef, table::Table},
    types::{Family, Prefix},
};

/// What is said of next hops 198.51.100.0 to .3; nothing is said of the last.
const NEXT_HOPS: [(u8, u32, bool); 3] = [(0, 0, true), (1, 5, true), (2, 5, false)];

fn routes(knobs: &Knobs) -> Routes<'static> {
    Routes { strict: knobs.next_hops.is_checked(), rows: if knobs.next_hops.has_costs() { &NEXT_HOPS } else { &[] } }
}

fn next_hops(check: NextHopCheck) -> NextHops {
    let row = |(last, metric, reachable)| NextHopRoute {
        prefix: Prefix::v4(0xc633_6400 | u32::from(last), 32),
        metric,
        reachable,
    };
    NextHops::new(check, &NEXT_HOPS.map(|(last, metric, reachable)| row((last, metric, reachable))))
}

fn knobs() -> impl Strategy<Value = Knobs> {
    let seldom = || prop::bool::weighted(0.25);
    let decide = (seldom(), seldom(), any::<bool>(), seldom(), seldom(), any::<bool>(), seldom());
    let rest = (seldom(), any::<bool>(), any::<bool>(), seldom(), seldom(), 1u16..5, 1u16..5, 0u8..3, 0u32..2);
    (decide, rest).prop_map(|(decide, rest)| Knobs {
        always_compare_med: decide.0,
        missing_med_as_worst: decide.1,
        med_confed: decide.2,
        ignore_as_path_length: decide.3,
        as_path_confed: decide.4,
        aigp: decide.5,
        ignore_igp_metric: decide.6,
        prefer_older: rest.0,
        compare_router_id: rest.1,
        multipath_relax: rest.2,
        peer_type_relax: rest.3,
        same_cluster_len: rest.4,
        maximum_paths: MaximumPaths { ebgp: rest.5, ibgp: rest.6 },
        next_hops: match rest.7 {
            0 => NextHops::default(),
            1 => next_hops(NextHopCheck::Off),
            _ => next_hops(NextHopCheck::Strict),
        },
        default_local_pref: 100 * (1 + rest.8),
    })
}

fn as_path() -> impl Strategy<Value = Vec<(u8, Vec<u32>)>> {
    let first = 64496u32..64499;
    prop_oneof![
        8 => (first.clone(), prop_oneof![6 => Just(2usize), 1 => 1usize..4]).prop_map(|(asn, n)| sequence(&vec![asn; n])),
        2 => (64512u32..64514, first.clone()).prop_map(|(member, asn)| {
            vec![(CONFED_SEQUENCE, vec![member]), (SEQUENCE, vec![asn, 64500])]
        }),
        1 => (64512u32..64514).prop_map(|member| vec![(CONFED_SEQUENCE, vec![member, 64514])]),
        1 => (64512u32..64514).prop_map(|member| vec![(CONFED_SEQUENCE, vec![member]), (4, vec![64515, 64516])]),
        1 => first.prop_map(|asn| vec![(SET, vec![asn, 64499]), (SEQUENCE, vec![64500])]),
        1 => Just(Vec::new()),
    ]
}

/// Paths that are often level, so that every step gets its turn.
fn said() -> impl Strategy<Value = Said> {
    let few = |common: u32| prop_oneof![6 => Just(common), 1 => 0u32..3];
    let source = prop_oneof![
        6 => Just(Source::External),
        3 => Just(Source::Internal),
        2 => Just(Source::Confederation),
        1 => Just(Source::Local),
    ];
    let first = (
        prop::bool::weighted(0.05),
        prop::bool::weighted(0.1),
        prop_oneof![8 => Just(None), 1 => Just(Some(100)), 1 => Just(Some(200))],
        source,
        prop_oneof![12 => Just(None), 1 => (0u8..2).prop_map(Some)],
        as_path(),
        few(0),
        (prop_oneof![9 => Just(0u16), 1 => Just(1)], prop::option::weighted(0.1, 0u16..2)),
    );
    let second = (
        prop_oneof![4 => (0u32..3).prop_map(Some), 3 => Just(None), 1 => Just(Some(u32::MAX))],
        1u32..4,
        prop::option::weighted(0.2, 1u32..4),
        0usize..3,
        1u8..4,
        0u32..2,
        0u8..4,
        (0u32..3, 64496u32..64498),
    );
    (first, second).prop_map(|(first, second)| {
        let (llgr_stale, unusable, local_pref, source, aigp, as_path, origin, (weight, set_weight)) = first;
        let (med, router_id, originator_id, clusters, address, path_id, next_hop, (received, asn)) = second;
        let (address, origin) = (neighbor(address), origin as u8);
        Said {
            llgr_stale,
            unusable,
            weight,
            set_weight,
            local_pref,
            source,
            aigp,
            as_path,
            origin,
            med,
            next_hop,
            received,
            asn,
            router_id,
            originator_id,
            clusters,
            address,
            path_id,
        }
    })
}

/// Paths that differ late: level up to MED but for a few, so that MED and the multipath sets have much to decide.
fn level() -> impl Strategy<Value = Said> {
    let path = prop_oneof![
        4 => (64496u32..64498, 64500u32..64502).prop_map(|(first, last)| sequence(&[first, last])),
        1 => (64512u32..64514).prop_map(|member| vec![(CONFED_SEQUENCE, vec![member]), (SEQUENCE, vec![64496, 64500])]),
    ];
    let source =
        prop_oneof![6 => Just(Source::External), 2 => Just(Source::Internal), 1 => Just(Source::Confederation)];
    let med = prop_oneof![Just(None), Just(Some(0)), Just(Some(1))];
    (path, source, med, 0u8..4, 1u32..3, 0usize..2, 1u8..4).prop_map(
        |(as_path, source, med, next_hop, router_id, clusters, address)| Said {
            as_path,
            source,
            med,
            next_hop,
            router_id,
            clusters,
            address: neighbor(address),
            ..plain()
        },
    )
}

/// So many paths of either kind.
fn paths(count: impl Into<prop::collection::SizeRange> + Clone) -> impl Strategy<Value = Vec<Said>> {
    prop_oneof![prop::collection::vec(said(), count.clone()), prop::collection::vec(level(), count)]
}

/// Makes no two of them alike in address and path id: between such, the number of the session decides, and that
/// changes with the order.
fn unlike(said: Vec<Said>) -> Vec<Said> {
    let mut seen = BTreeSet::new();
    let different = |(n, mut said): (u32, Said)| {
        if !seen.insert((said.address, said.path_id)) {
            said.path_id = 10 + n;
        }
        said
    };
    (0..).zip(said).map(different).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_permutation_gives_the_oracles_winner_and_one_ranking(
        said in paths(2..=6),
        knobs in knobs(),
    ) {
        let said = unlike(said);
        let winner = oracle::best(&said, &knobs, &routes(&knobs));
        let as_good = oracle::as_good(&said, &knobs, &routes(&knobs));
        let mut ranking: Option<Vec<_>> = None;
        let mut multipath: Option<Vec<usize>> = None;
        for order in permutations(said.len()) {
            let net = Net::with(&order.iter().map(|&n| said[n].clone()).collect::<Vec<_>>(), knobs.clone());
            prop_assert_eq!(net.decision().select(&net.paths).map(|index| order[index]), winner);
            let ranks = net.decision().rank(&net.paths);
            let eligible: Vec<_> = ranks
                .iter()
                .filter(|rank| rank.eligible)
                .map(|rank| (order[rank.index], rank.lost_at, rank.against.map(|index| order[index])))
                .collect();
            prop_assert_eq!(eligible.first().map(|first| first.0), winner);
            prop_assert!(eligible.iter().skip(1).all(|(_, lost, against)| lost.is_some() && against.is_some()));
            prop_assert_eq!(ranks.len(), said.len());
            prop_assert_eq!(ranking.get_or_insert_with(|| eligible.clone()), &eligible);

            let set: Vec<usize> = net.decision().multipath(&net.paths).iter().map(|&index| order[index]).collect();
            prop_assert_eq!(multipath.get_or_insert_with(|| set.clone()), &set);
        }
        check_multipath(&said, &knobs, winner, &as_good, &multipath.unwrap_or_default())?;
    }

    /// Each arrival, replacement and departure in turn; the engine decides after every one.
    #[test]
    fn every_order_of_inserts_replacements_and_removals_ends_with_the_oracles_winner(
        said in paths(2..=6),
        others in paths(6),
        fate in prop::collection::vec(0u8..3, 6),
        knobs in knobs(),
    ) {
        // First what each session says in the end, then what it said before.
        let said = unlike(said);
        let n = said.len();
        let net = Net::with(&[&said[..], &others[..n]].concat(), knobs.clone());
        // Path ids and addresses of the former paths are those of the final ones: they are the same path.
        let path_of = |session: usize, version: usize| {
            let own = net.paths[session];
            Path { session: own.session, path_id: own.path_id, ..net.paths[session + version * n] }
        };
        let left: Vec<usize> = (0..n).filter(|&session| fate[session] != 2).collect();
        let ends: Vec<Said> = left.iter().map(|&session| said[session].clone()).collect();
        let winner = oracle::best(&ends, &knobs, &routes(&knobs)).map(|at| left[at]);
        let orders = permutations(n);
        for (at, first) in orders.iter().enumerate() {
            // Up to three paths every pair of orders; above, every order once as the first and once as the second.
            let pairs = if n <= 3 { orders.len() } else { 1 };
            for second in (0..pairs).map(|step| &orders[(at * 7 + 3 + step) % orders.len()]) {
                let mut prefix = OnePrefix::new();
                for &session in first {
                    // 0: said once; 1: replaced later; 2: removed later.
                    prefix.announce(&net, path_of(session, usize::from(fate[session] != 0)));
                    prefix.check(&net)?;
                }
                for &session in second {
                    match fate[session] {
                        0 => {}
                        1 => prefix.announce(&net, path_of(session, 0)),
                        _ => prefix.withdraw(&net, path_of(session, 0)),
                    }
                    prefix.check(&net)?;
                }
                prop_assert_eq!(prefix.best().map(|path| usize::from(path.session)), winner);
            }
        }
    }

    #[test]
    fn deciding_step_by_step_gives_what_deciding_at_once_gives(
        said in paths(1..9),
        moves in prop::collection::vec((0usize..9, prop::option::weighted(0.7, 0usize..9)), 1..60),
        knobs in knobs(),
    ) {
        // Each move: a session announces one of the paths, or withdraws.
        let net = Net::with(&said, knobs);
        let mut prefix = OnePrefix::new();
        for (session, path) in moves {
            let session = (session % said.len()) as SessionSlot;
            match path {
                Some(which) => {
                    prefix.announce(&net, Path { session, path_id: 0, ..net.paths[which % said.len()] });
                }
                None => prefix.withdraw(&net, Path { session, path_id: 0, ..net.paths[0] }),
            }
            prefix.check(&net)?;
        }
    }

    #[test]
    fn no_two_paths_are_level(said in paths(2..6), knobs in knobs()) {
        let net = Net::with(&said, knobs);
        let all: Vec<_> = net.paths.iter().map(|path| net.decision().candidate(path)).collect();
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                prop_assert_eq!(net.decision().after_med(a, b).0 == Equal, i == j);
                prop_assert_eq!(net.decision().after_med(a, b).0, net.decision().after_med(b, a).0.reverse());
            }
        }
    }
}

/// The set begins with the best, has only paths as good, each next hop once, and all that the limit allows.
fn check_multipath(
    said: &[Said],
    knobs: &Knobs,
    winner: Option<usize>,
    as_good: &[usize],
    set: &[usize],
) -> Result<(), TestCaseError> {
    prop_assert_eq!(set.first().copied(), winner);
    let Some(best) = winner else { return Ok(()) };
    let next_hops: BTreeSet<u8> = set.iter().map(|&n| said[n].next_hop).collect();
    prop_assert_eq!(next_hops.len(), set.len());
    prop_assert!(set.iter().all(|n| as_good.contains(n)));
    let possible: BTreeSet<u8> = as_good.iter().map(|&n| said[n].next_hop).collect();
    let limit = match said[best].source {
        Source::Local => 1,
        Source::External => knobs.maximum_paths.ebgp,
        Source::Internal | Source::Confederation => knobs.maximum_paths.ibgp,
    };
    prop_assert_eq!(set.len(), possible.len().min(limit.into()));
    prop_assert!(set.iter().all(|&n| said[n].llgr_stale == said[best].llgr_stale), "RFC 9494 §4.3");
    Ok(())
}

/// A table with one prefix, and the engine's way to change it.
struct OnePrefix {
    table: Table,
    id: crate::rib::PrefixId,
    last: Option<Change>,
}

impl OnePrefix {
    fn new() -> Self {
        let mut table = Table::new(Family::IPV4_UNICAST, 1);
        let nlri = NlriRef::Prefix(Prefix::v4(0xc000_0200, 24));
        let id = table.find_or_insert(nlri).expect("a prefix of the family");
        Self { table, id, last: None }
    }

    fn announce(&mut self, net: &Net, path: Path) {
        let done = self.table.upsert(self.id, path).expect("room");
        let change = match done.replaced {
            Some(old) => Change::Replaced { index: done.index, old },
            None => Change::Added(done.index),
        };
        self.decide(net, change);
    }

    fn withdraw(&mut self, net: &Net, path: Path) {
        if let Some(old) = self.table.remove(self.id, path.session, path.path_id) {
            self.decide(net, Change::Removed { old });
        }
    }

    fn decide(&mut self, net: &Net, change: Change) {
        let best = net.decision().after(self.table.paths(self.id), self.table.best(self.id), change);
        self.table.set_best(self.id, best);
        self.last = Some(change);
    }

    fn best(&self) -> Option<&Path> {
        self.table.best_path(self.id)
    }

    fn check(&self, net: &Net) -> Result<(), TestCaseError> {
        let at_once = net.decision().select(self.table.paths(self.id));
        prop_assert_eq!(self.table.best(self.id), at_once, "after {:?}", self.last);
        Ok(())
    }
}
