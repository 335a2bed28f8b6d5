//! Each step decides and says so; each knob changes what it says it changes.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::types::Prefix;

type Edit = fn(&mut Said);
type Turn = fn(&mut Knobs);

/// Two paths made from `plain()`.
fn two(change_a: Edit, change_b: Edit, turn: Turn) -> Net {
    let (mut a, mut b, mut knobs) = (plain(), plain(), Knobs::default());
    change_a(&mut a);
    change_b(&mut b);
    turn(&mut knobs);
    Net::with(&[a, b], knobs)
}

#[test]
fn each_step_decides_and_says_so() {
    use Step::*;
    // The step, and what makes the second path lose at it against `plain()` although the rest speaks for it; what the
    // second has at that step, and the first.
    let rows: &[(Step, Edit, Edit, [&str; 2])] = &[
        (LlgrStale, |_| (), |b| (b.llgr_stale, b.local_pref) = (true, Some(200)), ["", ""]),
        (LlgrStale, |_| (), |b| (b.llgr_stale, b.weight) = (true, 9), ["", ""]),
        (Weight, |a| a.weight = 1, |b| b.local_pref = Some(200), ["0", "1"]),
        (Weight, |a| a.set_weight = Some(2), |b| b.weight = 1, ["1", "2"]), // policy speaks before the neighbour
        (Weight, |a| a.weight = 1, |b| (b.weight, b.set_weight) = (9, Some(0)), ["0", "1"]),
        (LocalPref, |a| a.as_path = sequence(&[64496; 9]), |b| b.local_pref = Some(99), ["99", "100"]),
        (LocalPref, |a| a.local_pref = Some(101), |b| b.source = Source::Local, ["100", "101"]),
        (LocalOrigin, |a| (a.source, a.origin) = (Source::Local, 2), |b| b.aigp = Some(0), ["", ""]),
        (Aigp, |a| (a.aigp, a.as_path) = (Some(9), sequence(&[64496; 9])), |b| b.aigp = Some(10), ["10", "9"]),
        (Aigp, |a| a.aigp = Some(255), |b| b.aigp = None, ["none", "255"]),
        (PathLength, |a| a.origin = 2, |b| b.as_path = sequence(&[64496, 64497, 64500]), ["3", "2"]),
        (Origin, |a| a.med = Some(9), |b| b.origin = 1, ["egp", "igp"]),
        (Med, |a| (a.source, a.med) = (Source::Internal, Some(1)), |b| b.med = Some(2), ["2", "1"]),
        (Med, |a| a.router_id = 99, |b| b.med = Some(1), ["1", "0"]), // absent is 0
        (External, |a| a.router_id = 99, |b| b.source = Source::Internal, ["", ""]),
        (External, |a| a.router_id = 99, |b| b.source = Source::Confederation, ["", ""]),
        (
            External,
            |a| (a.router_id, a.med) = (99, Some(9)),
            |b| (b.source, b.as_path) = (Source::Internal, sequence(&[64497, 64500])),
            ["", ""],
        ),
        // RFC 5065 §5.3 (4): a confederation neighbour is internal, so nothing is external here.
        (
            RouterId,
            |a| a.source = Source::Internal,
            |b| (b.source, b.router_id) = (Source::Confederation, 11),
            ["0.0.0.11", "0.0.0.10"],
        ),
        (RouterId, |a| a.address = Ipv6Addr::LOCALHOST.into(), |b| b.router_id = 11, ["0.0.0.11", "0.0.0.10"]),
        (RouterId, |a| (a.originator_id, a.clusters) = (Some(1), 5), |b| b.router_id = 2, ["0.0.0.2", "0.0.0.1"]),
        (RouterId, |_| (), |b| (b.router_id, b.received) = (11, 1), ["0.0.0.11", "0.0.0.10"]), // age does not count
        (ClusterList, |a| a.address = Ipv6Addr::LOCALHOST.into(), |b| b.clusters = 1, ["1", "0"]),
        (PeerAddress, |a| a.path_id = 9, |b| b.address = neighbor(2), ["192.0.2.2", "192.0.2.1"]),
        (
            PeerAddress,
            |a| a.address = Ipv4Addr::BROADCAST.into(),
            |b| b.address = Ipv6Addr::LOCALHOST.into(),
            ["::1", "255.255.255.255"],
        ),
        (PathId, |_| (), |b| b.path_id = 1, ["1", "0"]),
        (PathId, |_| (), |_| (), ["0", "0"]), // the same in all: the number of the session
    ];
    for (row, (step, change_a, change_b, values)) in rows.iter().enumerate() {
        let net = two(*change_a, *change_b, |_| ());
        assert_eq!(net.ranking(), [(0, None), (1, Some((*step, 0)))], "row {row}");
        assert_eq!(net.decision().select(&net.paths), Some(0), "row {row}");
        let told = [1, 0].map(|at| net.decision().value(*step, &net.paths[at]).unwrap_or_default());
        assert_eq!(told, *values, "row {row}");
    }
}

fn near(knobs: &mut Knobs) {
    let row = |last: u32, metric| NextHopRoute { prefix: Prefix::v4(0xc633_6400 | last, 32), metric, reachable: true };
    knobs.next_hops = NextHops::new(NextHopCheck::Off, &[row(1, 10), row(2, 20)]);
}

#[test]
fn each_knob_changes_what_it_says() {
    use Step::*;
    // The second path wins by the default, at the first step; with the knob turned the first wins, at the second step.
    let rows: &[(&str, Edit, Edit, Turn, Turn, Step, Step)] = &[
        // RFC 4271 §9.1.1: how a missing LOCAL_PREF counts is local policy.
        (
            "default_local_pref",
            |_| (),
            |b| b.local_pref = Some(101),
            |_| (),
            |k| k.default_local_pref = 102,
            LocalPref,
            LocalPref,
        ),
        // RFC 4271 §9.1.2.2 c compares inside one neighbouring AS.
        (
            "always_compare_med",
            |a| a.med = Some(1),
            |b| (b.med, b.as_path, b.router_id) = (Some(2), sequence(&[64497, 64500]), 9),
            |_| (),
            |k| k.always_compare_med = true,
            RouterId,
            Med,
        ),
        // RFC 4271 §9.1.2.2 c: without MED, the lowest.
        ("missing_med_as_worst", |a| a.med = Some(1), |_| (), |_| (), |k| k.missing_med_as_worst = true, Med, Med),
        // RFC 5065 §5.3 (1): inside the confederation, the neighbouring AS is the local one.
        (
            "med_confed",
            |a| (a.med, a.as_path, a.source) = (Some(2), vec![(3, vec![64512])], Source::Confederation),
            |b| {
                (b.med, b.as_path, b.source) = (Some(1), vec![(3, vec![64513])], Source::Confederation);
                b.router_id = 11;
            },
            |_| (),
            |k| k.med_confed = false,
            Med,
            RouterId,
        ),
        // RFC 4271 §9.1.2.2 a.
        (
            "ignore_as_path_length",
            |a| a.as_path = sequence(&[64496, 64499, 64500]),
            |b| b.router_id = 11,
            |_| (),
            |k| k.ignore_as_path_length = true,
            PathLength,
            RouterId,
        ),
        // RFC 5065 §5.3 (3): should not be counted.
        (
            "as_path_confed",
            |a| a.source = Source::Confederation,
            |b| {
                b.as_path = vec![(3, vec![64512]), (2, vec![64496, 64500])];
                (b.source, b.router_id) = (Source::Confederation, 9);
            },
            |_| (),
            |k| k.as_path_confed = true,
            RouterId,
            PathLength,
        ),
        // RFC 7311 §4.1.
        ("aigp", |_| (), |b| (b.aigp, b.router_id) = (Some(1), 11), |_| (), |k| k.aigp = false, Aigp, RouterId),
        // RFC 7311 §4.1: the metric and the cost to the next hop together.
        (
            "cost in AIGP",
            |a| (a.aigp, a.next_hop) = (Some(11), 1),
            |b| (b.aigp, b.next_hop) = (Some(10), 2),
            |_| (),
            near,
            Aigp,
            Aigp,
        ),
        // RFC 4271 §9.1.2.2 e.
        ("next_hop", |a| a.router_id = 11, |b| b.next_hop = 2, |_| (), near, RouterId, IgpCost),
        (
            "ignore_igp_metric",
            |a| a.next_hop = 2,
            |b| b.router_id = 11,
            near,
            |k| {
                near(k);
                k.ignore_igp_metric = true;
            },
            IgpCost,
            RouterId,
        ),
        // RFC 5004, without the history.
        (
            "prefer_older",
            |a| (a.router_id, a.received) = (11, 999),
            |_| (),
            |_| (),
            |k| k.prefer_older = true,
            RouterId,
            Older,
        ),
        // RFC 4271 §9.1.2.2 f.
        (
            "compare_router_id",
            |a| a.router_id = 11,
            |b| b.address = neighbor(2),
            |_| (),
            |k| k.compare_router_id = false,
            RouterId,
            PeerAddress,
        ),
    ];
    for (name, change_a, change_b, before, after, lost_before, lost_after) in rows {
        let net = two(*change_a, *change_b, *before);
        assert_eq!(net.ranking(), [(1, None), (0, Some((*lost_before, 1)))], "{name} by default");
        let net = two(*change_a, *change_b, *after);
        assert_eq!(net.ranking(), [(0, None), (1, Some((*lost_after, 0)))], "{name} turned");
    }
}

#[test]
fn age_and_router_id_knobs_leave_internal_paths_alone() {
    // RFC 5004 §3 and Cisco's compare-routerid are about EBGP paths.
    let turn: Turn = |k| (k.prefer_older, k.compare_router_id) = (true, false);
    let net = two(
        |a| (a.source, a.router_id) = (Source::Internal, 9),
        |b| (b.source, b.received, b.address) = (Source::Internal, 1, neighbor(0)),
        turn,
    );
    assert_eq!(net.ranking(), [(0, None), (1, Some((Step::RouterId, 0)))]);
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

#[test]
fn with_a_strict_check_a_next_hop_that_nobody_reaches_is_no_candidate() {
    // RFC 4271 §9.1.2.1: an unresolvable route is excluded; one of our own needs no next hop.
    let row = |last: u32, reachable| NextHopRoute { prefix: Prefix::v4(0xc633_6400 | last, 32), metric: 0, reachable };
    let knobs =
        Knobs { next_hops: NextHops::new(NextHopCheck::Strict, &[row(1, false), row(2, true)]), ..Knobs::default() };
    let through = |next_hop, router_id| Said { next_hop, router_id, ..plain() };
    let net = Net::with(&[through(1, 1), through(2, 2), through(3, 1)], knobs.clone());
    assert_eq!(net.decision().select(&net.paths), Some(1));
    let eligible: Vec<_> = net.decision().rank(&net.paths).iter().map(|rank| (rank.index, rank.eligible)).collect();
    assert_eq!(eligible, [(1, true), (0, false), (2, false)]);
    let own = Said { source: Source::Local, ..through(3, 1) };
    let net = Net::with(&[through(1, 1), own], knobs);
    assert_eq!(net.decision().select(&net.paths), Some(1));
}

#[test]
fn names_of_steps_are_all_different_and_in_order() {
    assert!(Step::ALL.is_sorted());
    let mut names: Vec<_> = Step::ALL.iter().map(|step| step.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Step::ALL.len());
}
