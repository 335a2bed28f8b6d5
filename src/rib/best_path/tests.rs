//! The decision process against its oracle: the list of steps in the head of `best_path`, played by elimination as
//! RFC 4271 §9.1.2.2 tells it; a table with a row per step; and every order of arrival.

use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;
use crate::{
    rib::table::Table,
    types::{Asn, Family},
    wire::bgp::attribute::{AttrSet, AttrSetBuilder, Origin, code},
};

/// A path in words: everything that the decision may look at.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Said {
    llgr_stale: bool,
    unusable: bool,
    local_pref: Option<u32>,
    source: Source,
    aigp: Option<u8>,
    as_path: Vec<u32>,
    origin: u8,
    med: Option<u32>,
    router_id: u32,
    originator_id: Option<u32>,
    clusters: usize,
    address: IpAddr,
    path_id: u32,
}

/// An ordinary path from an external neighbour.
fn plain() -> Said {
    Said {
        llgr_stale: false,
        unusable: false,
        local_pref: None,
        source: Source::External,
        aigp: None,
        as_path: vec![64496, 64500],
        origin: 0,
        med: None,
        router_id: 10,
        originator_id: None,
        clusters: 0,
        address: Ipv4Addr::new(192, 0, 2, 1).into(),
        path_id: 0,
    }
}

/// The paths of one prefix, each from a session of its own.
struct Net {
    attrs: AttrStore,
    sessions: Vec<SessionFacts>,
    paths: Vec<Path>,
}

impl Net {
    fn of(said: &[Said]) -> Self {
        let mut net = Self { attrs: AttrStore::new(3), sessions: Vec::new(), paths: Vec::new() };
        for said in said {
            let session = net.sessions.len() as SessionSlot;
            net.sessions.push(SessionFacts {
                source: said.source,
                router_id: RouterId(said.router_id),
                address: said.address,
                usable: true,
            });
            let flags = |on, flag| if on { flag } else { PathFlags::default() };
            net.paths.push(Path {
                set: net.attrs.intern(AttrSet::new(&octets(said))),
                received_secs: 0,
                path_id: said.path_id,
                session,
                flags: flags(said.llgr_stale, PathFlags::LLGR_STALE).with(flags(said.unusable, PathFlags::UNUSABLE)),
            });
        }
        net
    }

    fn decision(&self) -> Decision<'_> {
        Decision::new(&self.attrs, &self.sessions)
    }
}

fn octets(said: &Said) -> Vec<u8> {
    let mut b = AttrSetBuilder::new();
    b.origin(Origin::from_code(said.origin).expect("0 to 2"));
    b.as_path_sequence(&said.as_path.iter().copied().map(Asn).collect::<Vec<_>>());
    if let Some(med) = said.med {
        b.med(med);
    }
    if let Some(local_pref) = said.local_pref {
        b.local_pref(local_pref);
    }
    if let Some(id) = said.originator_id {
        b.originator_id(RouterId(id));
    }
    if said.clusters > 0 {
        b.cluster_list(&vec![RouterId(1); said.clusters]);
    }
    if let Some(aigp) = said.aigp {
        b.raw(0x80, code::AIGP, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, aigp]);
    }
    b.finish()
}

/// The list, by elimination: each step keeps those that are level with the best in it.
fn oracle(said: &[Said]) -> Option<usize> {
    let mut left: Vec<usize> = (0..said.len()).filter(|&i| !said[i].unusable).collect();
    fn keep_lowest<K: Ord>(left: &mut Vec<usize>, key: impl Fn(usize) -> K) {
        if let Some(lowest) = left.iter().map(|&i| key(i)).min() {
            left.retain(|&i| key(i) == lowest);
        }
    }
    keep_lowest(&mut left, |i| said[i].llgr_stale);
    keep_lowest(&mut left, |i| u32::MAX - said[i].local_pref.unwrap_or(100));
    keep_lowest(&mut left, |i| said[i].source != Source::Local);
    keep_lowest(&mut left, |i| said[i].aigp.map_or(1000, u32::from));
    keep_lowest(&mut left, |i| said[i].as_path.len());
    keep_lowest(&mut left, |i| said[i].origin);
    // RFC 4271 §9.1.2.2 c, its pseudo code: for every m, for every n: same neighbour AS and higher MED: m goes.
    let before = left.clone();
    left.retain(|&m| {
        !before.iter().any(|&n| {
            said[m].as_path.first() == said[n].as_path.first() && said[m].med.unwrap_or(0) > said[n].med.unwrap_or(0)
        })
    });
    keep_lowest(&mut left, |i| said[i].source == Source::Internal);
    keep_lowest(&mut left, |i| said[i].originator_id.unwrap_or(said[i].router_id));
    keep_lowest(&mut left, |i| said[i].clusters);
    keep_lowest(&mut left, |i| said[i].address);
    keep_lowest(&mut left, |i| said[i].path_id);
    left.first().copied()
}

#[test]
fn each_step_decides_and_says_so() {
    use Step::*;
    type Change = fn(&mut Said);
    // The step, and what makes the second path lose at it against `plain()` although the rest speaks for it.
    let rows: &[(Step, Change, Change)] = &[
        (LlgrStale, |_| (), |b| (b.llgr_stale, b.local_pref) = (true, Some(200))),
        (LocalPref, |a| a.as_path = vec![64496; 9], |b| b.local_pref = Some(99)),
        (LocalPref, |a| a.local_pref = Some(101), |b| b.source = Source::Local),
        (LocalOrigin, |a| (a.source, a.origin) = (Source::Local, 2), |b| b.aigp = Some(0)),
        (Aigp, |a| (a.aigp, a.as_path) = (Some(9), vec![64496; 9]), |b| b.aigp = Some(10)),
        (Aigp, |a| a.aigp = Some(255), |b| b.aigp = None),
        (PathLength, |a| a.origin = 2, |b| b.as_path = vec![64496, 64497, 64500]),
        (Origin, |a| a.med = Some(9), |b| b.origin = 1),
        (Med, |a| (a.source, a.med) = (Source::Internal, Some(1)), |b| b.med = Some(2)),
        (Med, |a| a.router_id = 99, |b| b.med = Some(1)), // absent is 0
        (External, |a| a.router_id = 99, |b| b.source = Source::Internal),
        (
            External,
            |a| (a.router_id, a.med) = (99, Some(9)),
            |b| (b.source, b.as_path) = (Source::Internal, vec![64497, 64500]),
        ),
        (RouterId, |a| a.address = Ipv6Addr::LOCALHOST.into(), |b| b.router_id = 11),
        (RouterId, |a| (a.originator_id, a.clusters) = (Some(1), 5), |b| b.router_id = 2),
        (ClusterList, |a| a.address = Ipv6Addr::LOCALHOST.into(), |b| b.clusters = 1),
        (PeerAddress, |a| a.path_id = 9, |b| b.address = Ipv4Addr::new(192, 0, 2, 2).into()),
        (PeerAddress, |a| a.address = Ipv4Addr::BROADCAST.into(), |b| b.address = Ipv6Addr::LOCALHOST.into()),
        (PathId, |_| (), |b| b.path_id = 1),
        (PathId, |_| (), |_| ()), // the same in all: the number of the session
    ];
    for (row, (step, change_a, change_b)) in rows.iter().enumerate() {
        let (mut a, mut b) = (plain(), plain());
        change_a(&mut a);
        change_b(&mut b);
        let net = Net::of(&[a, b]);
        let expected =
            [Rank { index: 0, lost_at: None, eligible: true }, Rank { index: 1, lost_at: Some(*step), eligible: true }];
        assert_eq!(net.decision().rank(&net.paths), expected, "row {row}");
        assert_eq!(net.decision().select(&net.paths), Some(0), "row {row}");
    }
}

#[test]
fn med_compares_inside_one_neighbouring_as_only_and_the_order_of_arrival_does_not_matter() {
    // RFC 3345: A beats B by router id, B beats C by MED, C beats A by router id.
    let a = Said { as_path: vec![64496, 64500], med: Some(10), router_id: 2, ..plain() };
    let b = Said { as_path: vec![64497, 64500], med: Some(10), router_id: 3, ..plain() };
    let c = Said { as_path: vec![64497, 64500], med: Some(20), router_id: 1, ..plain() };
    for order in [[&a, &b, &c], [&a, &c, &b], [&b, &a, &c], [&b, &c, &a], [&c, &a, &b], [&c, &b, &a]] {
        let net = Net::of(&order.map(Clone::clone));
        let best = net.decision().select(&net.paths).expect("three candidates");
        assert_eq!(order[best], &a);
        let lost: Vec<_> = net.decision().rank(&net.paths).iter().map(|rank| (rank.index, rank.lost_at)).collect();
        let at = |said: &Said| order.iter().position(|other| *other == said).expect("one of three");
        assert_eq!(lost, [(at(&a), None), (at(&b), Some(Step::RouterId)), (at(&c), Some(Step::Med))]);
    }
}

#[test]
fn paths_of_an_ended_session_and_unusable_ones_are_no_candidates() {
    let mut net =
        Net::of(&[plain(), Said { router_id: 11, ..plain() }, Said { unusable: true, router_id: 1, ..plain() }]);
    assert_eq!(net.decision().select(&net.paths), Some(0));
    net.sessions[0].usable = false;
    assert_eq!(net.decision().select(&net.paths), Some(1));
    let eligible: Vec<_> = net.decision().rank(&net.paths).iter().map(|rank| (rank.index, rank.eligible)).collect();
    assert_eq!(eligible, [(1, true), (0, false), (2, false)]);
    // The best one ended, nobody said so yet: any other change finds out.
    assert_eq!(net.decision().after(&net.paths, Some(0), Change::Added(2)), Some(1));
    net.sessions.clear();
    assert_eq!(net.decision().select(&net.paths), None);
}

/// Paths that are often level, so that every step gets its turn.
fn said() -> impl Strategy<Value = Said> {
    let few = |common: u32| prop_oneof![6 => Just(common), 1 => 0u32..3];
    let first = (
        prop::bool::weighted(0.05),
        prop::bool::weighted(0.1),
        prop_oneof![8 => Just(None), 1 => Just(Some(100)), 1 => Just(Some(200))],
        prop_oneof![6 => Just(Source::External), 3 => Just(Source::Internal), 1 => Just(Source::Local)],
        prop_oneof![12 => Just(None), 1 => (0u8..2).prop_map(Some)],
        (64496u32..64499, prop_oneof![6 => Just(2usize), 1 => 1usize..4]),
        few(0),
    );
    let second = (prop::option::of(0u32..3), 1u32..4, prop::option::weighted(0.2, 1u32..4), 0usize..3, 1u8..4, 0u32..2);
    (first, second).prop_map(|((llgr_stale, unusable, local_pref, source, aigp, (asn, len), origin), second)| {
        let (med, router_id, originator_id, clusters, address, path_id) = second;
        let address = Ipv4Addr::new(192, 0, 2, address).into();
        let origin = origin as u8;
        let as_path = vec![asn; len];
        Said {
            llgr_stale,
            unusable,
            local_pref,
            source,
            aigp,
            as_path,
            origin,
            med,
            router_id,
            originator_id,
            clusters,
            address,
            path_id,
        }
    })
}

/// Every order of `n` things.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    let Some(last) = n.checked_sub(1) else { return vec![Vec::new()] };
    let with_last = |rest: Vec<usize>| {
        (0..n).map(move |at| {
            let mut order = rest.clone();
            order.insert(at, last);
            order
        })
    };
    permutations(last).into_iter().flat_map(with_last).collect()
}

/// What makes two paths the same to the decision process; the number of the session decides between such.
fn unlike(said: Vec<Said>) -> Vec<Said> {
    let mut different: Vec<Said> = Vec::new();
    for (n, mut said) in (0..).zip(said) {
        if oracle_ties(&different, &said) {
            said.path_id = 10 + n;
        }
        different.push(said);
    }
    different
}

fn oracle_ties(others: &[Said], said: &Said) -> bool {
    let last = |s: &Said| (s.address, s.path_id);
    others.iter().any(|other| last(other) == last(said))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_permutation_gives_the_oracles_winner_and_one_ranking(said in prop::collection::vec(said(), 2..=6)) {
        let said = unlike(said);
        let winner = oracle(&said);
        let mut ranking: Option<Vec<(usize, Option<Step>)>> = None;
        for order in permutations(said.len()) {
            let net = Net::of(&order.iter().map(|&n| said[n].clone()).collect::<Vec<_>>());
            prop_assert_eq!(net.decision().select(&net.paths).map(|index| order[index]), winner);
            let ranks = net.decision().rank(&net.paths);
            let eligible: Vec<_> =
                ranks.iter().filter(|r| r.eligible).map(|r| (order[r.index], r.lost_at)).collect();
            prop_assert_eq!(eligible.first().map(|first| first.0), winner);
            prop_assert!(eligible.iter().skip(1).all(|(_, lost)| lost.is_some()));
            prop_assert_eq!(ranks.len(), said.len());
            prop_assert_eq!(ranking.get_or_insert_with(|| eligible.clone()), &eligible);
        }
    }

    #[test]
    fn deciding_step_by_step_gives_what_deciding_at_once_gives(
        said in prop::collection::vec(said(), 1..9),
        moves in prop::collection::vec((0usize..9, prop::option::weighted(0.7, 0usize..9)), 1..60),
    ) {
        // Each move: a session announces one of the paths, or withdraws.
        let net = Net::of(&said);
        let mut table = Table::new(Family::IPV4_UNICAST, 1);
        let nlri = crate::rib::NlriRef::Prefix(crate::types::Prefix::v4(0xc000_0200, 24));
        let id = table.find_or_insert(nlri).expect("a prefix of the family");
        for (session, path) in moves {
            let session = (session % said.len()) as SessionSlot;
            let change = match path {
                Some(which) => {
                    let path = Path { session, path_id: 0, ..net.paths[which % said.len()] };
                    let done = table.upsert(id, path).expect("room");
                    match done.replaced {
                        Some(old) => Change::Replaced { index: done.index, old },
                        None => Change::Added(done.index),
                    }
                }
                None => match table.remove(id, session, 0) {
                    Some(old) => Change::Removed { old },
                    None => continue,
                },
            };
            let decision = net.decision();
            let best = decision.after(table.paths(id), table.best(id), change);
            table.set_best(id, best);
            prop_assert_eq!(best, decision.select(table.paths(id)), "after {:?}", change);
        }
    }

    #[test]
    fn no_two_paths_are_level(said in prop::collection::vec(said(), 2..6)) {
        let net = Net::of(&said);
        let all: Vec<_> = net.paths.iter().map(|path| net.decision().candidate(path)).collect();
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                prop_assert_eq!(net.decision().after_med(a, b).0 == Equal, i == j);
            }
        }
    }
}
