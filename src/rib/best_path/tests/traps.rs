//! The known ways to get the decision wrong, each as a story.

use super::*;

fn via(asn: u32, med: u32, router_id: u32) -> Said {
    Said { as_path: sequence(&[asn, 64500]), asn, med: Some(med), router_id, ..plain() }
}

#[test]
fn med_compares_inside_one_neighbouring_as_only_and_the_order_of_arrival_does_not_matter() {
    // RFC 4271 §9.1.2.2 c: A beats B by router id, B beats C by MED, C beats A by router id.
    let (a, b, c) = (via(64496, 10, 2), via(64497, 10, 3), via(64497, 20, 1));
    for order in permutations(3) {
        let said: Vec<Said> = order.iter().map(|&n| [&a, &b, &c][n].clone()).collect();
        let net = Net::of(&said);
        let at = |n: usize| order.iter().position(|&other| other == n).expect("one of three");
        let lost = [(at(0), None), (at(1), Some((Step::RouterId, at(0)))), (at(2), Some((Step::Med, at(1))))];
        assert_eq!(net.ranking(), lost, "C lost to B, though A is the best");
    }
}

#[test]
fn a_path_with_a_lower_med_gives_back_what_it_took_when_it_goes() {
    // RFC 4271 §9.1.2.2 c: MED removes only while the one with the lower MED is there.
    let (a, b, c) = (via(64496, 10, 2), via(64497, 10, 3), via(64497, 20, 1));
    let net = Net::of(&[a, c, b]);
    assert_eq!(net.decision().select(&net.paths), Some(0));
    let left = &net.paths[..2];
    assert_eq!(net.decision().after(left, Some(0), Change::Removed { old: net.paths[2] }), Some(1));
}

#[test]
fn med_of_our_own_routes_compares_as_of_one_as() {
    // RFC 4271 §9.1.2.2 c: the neighbouring AS of a route that an IBGP speaker originated is the local AS.
    let own = |med, router_id| Said { as_path: Vec::new(), source: Source::Internal, med, router_id, ..plain() };
    let net = Net::of(&[own(Some(5), 1), own(Some(4), 2), own(None, 3)]);
    assert_eq!(net.ranking(), [(2, None), (0, Some((Step::Med, 2))), (1, Some((Step::Med, 2)))]);
    // And two of this router, such as one by command and one from the file.
    let net = Net::of(&[
        Said { source: Source::Local, med: Some(5), path_id: 1, ..own(None, 1) },
        Said { source: Source::Local, med: Some(4), path_id: 2, ..own(Some(4), 1) },
    ]);
    assert_eq!(net.decision().select(&net.paths), Some(1));
}

#[test]
fn an_aggregate_that_begins_with_a_set_has_the_as_of_who_made_it() {
    // RFC 4271 §9.1.2.2 c: from an IBGP speaker, the local AS; else the AS of the neighbour.
    let set = |asn| vec![(SET, vec![64496, 64497]), (SEQUENCE, vec![asn])];
    let internal =
        |as_path, med, router_id| Said { as_path, med: Some(med), router_id, source: Source::Internal, ..plain() };
    let net = Net::of(&[internal(set(64500), 2, 1), internal(set(64499), 1, 2), internal(sequence(&[64496, 1]), 9, 3)]);
    let ranking = [(1, None), (2, Some((Step::RouterId, 1))), (0, Some((Step::Med, 1)))];
    assert_eq!(net.ranking(), ranking, "AS 64496 of the set is not the neighbour");
    let external = [
        Said { as_path: set(64500), med: Some(2), router_id: 1, ..plain() },
        Said { as_path: sequence(&[64496, 64500]), med: Some(1), router_id: 2, ..plain() },
        Said { as_path: set(64500), asn: 64497, med: Some(9), router_id: 3, ..plain() },
    ];
    let net = Net::of(&external);
    assert_eq!(net.ranking()[2], (0, Some((Step::Med, 1))), "of neighbour AS 64496, as the second");
    assert_eq!(net.decision().select(&net.paths), Some(1));
}

#[test]
fn through_a_confederation_the_neighbour_is_the_first_as_outside() {
    // RFC 5065 §5.3 (2): behind the confederation segments, the leftmost AS of the AS_SEQUENCE.
    let through = |member, med, router_id| Said {
        as_path: vec![(CONFED_SEQUENCE, vec![member]), (SEQUENCE, vec![64496, 64500])],
        source: Source::Confederation,
        asn: member,
        med: Some(med),
        router_id,
        ..plain()
    };
    let net = Net::of(&[through(64512, 2, 1), through(64513, 1, 2)]);
    assert_eq!(net.ranking(), [(1, None), (0, Some((Step::Med, 1)))]);
    // RFC 5065 §5.3 (1): all that is from inside has the local AS for its neighbour, the same as an empty path.
    let inside = Said { as_path: vec![(CONFED_SEQUENCE, vec![64512])], ..through(64512, 3, 1) };
    let empty = Said { as_path: Vec::new(), source: Source::Internal, med: Some(2), router_id: 2, ..plain() };
    let net = Net::of(&[inside, empty]);
    assert_eq!(net.ranking(), [(1, None), (0, Some((Step::Med, 1)))]);
}

#[test]
fn the_oscillation_of_rfc_3345_settles_for_a_router_that_sees_all_paths() {
    // The shape of RFC 3345 §2.1: reflector A has Y1 and Y2 from its clients, reflector B has Y3. Y3 takes Y2 away by
    // MED, Y2 is better than Y1, Y1 is better than Y3: what A tells B makes B take Y3 back, and give it again.
    let internal = |said: Said| Said { source: Source::Internal, ..said };
    let y1 = internal(via(64506, 0, 3));
    let y2 = internal(via(64510, 10, 2));
    let y3 = internal(via(64510, 0, 4));
    // However often Y3 comes and goes, A's answer depends on what it has at the moment and on nothing before.
    let net = Net::of(&[y1, y2, y3]);
    let all = &net.paths[..];
    let without = &all[..2];
    let mut best = net.decision().select(without);
    assert_eq!(best, Some(1), "Y2 by router id while Y3 is unknown");
    for _ in 0..3 {
        best = net.decision().after(all, best, Change::Added(2));
        assert_eq!(best, Some(0), "Y3 removes Y2 by MED, Y1 is better than Y3 by router id");
        best = net.decision().after(without, best, Change::Removed { old: all[2] });
        assert_eq!(best, Some(1));
    }
    // Where B goes on sending Y3 whatever A chooses (ADD-PATH, RFC 7911), A stays with Y1.
    assert_eq!(net.ranking(), [(0, None), (2, Some((Step::RouterId, 0))), (1, Some((Step::Med, 2)))]);
}

#[test]
fn a_long_lived_stale_path_never_shares_with_a_fresh_one() {
    // RFC 9494 §4.3: the least preferred. Alone among themselves they may share.
    let knobs = Knobs { maximum_paths: MaximumPaths { ebgp: 4, ibgp: 4 }, ..Knobs::default() };
    let path = |n: u8, llgr_stale| Said { llgr_stale, next_hop: n, address: neighbor(n), ..plain() };
    let net = Net::with(&[path(1, true), path(2, false), path(3, true)], knobs.clone());
    assert_eq!(net.decision().multipath(&net.paths), [1]);
    let net = Net::with(&[path(1, true), path(3, true)], knobs);
    assert_eq!(net.decision().multipath(&net.paths), [0, 1]);
}

#[test]
fn a_multipath_set_follows_its_knobs() {
    type Turn = fn(&mut Knobs);
    // 0 the best; 1 as it, through another next hop; 2 through the next hop of 0; 3 another neighbouring AS;
    // 4 internal; 5 worse by MED; 6 the same neighbouring AS, another path behind it.
    let path = |n: u8| Said { next_hop: n, address: neighbor(n), router_id: n.into(), ..plain() };
    let said = [
        path(1),
        path(2),
        Said { next_hop: 1, ..path(3) },
        Said { as_path: sequence(&[64497, 64500]), ..path(4) },
        Said { source: Source::Internal, ..path(5) },
        Said { med: Some(1), ..path(6) },
        Said { as_path: sequence(&[64496, 64501]), ..path(7) },
    ];
    let rows: &[(Turn, &[usize])] = &[
        (|_| (), &[0]),
        (|k| k.maximum_paths.ibgp = 9, &[0]),
        (|k| k.maximum_paths.ebgp = 9, &[0, 1, 6]),
        (|k| k.maximum_paths.ebgp = 2, &[0, 1]),
        (|k| (k.maximum_paths.ebgp, k.multipath_relax) = (9, true), &[0, 1, 3, 6]),
        (|k| (k.maximum_paths.ebgp, k.peer_type_relax) = (9, true), &[0, 1, 6, 4]),
    ];
    for (row, (turn, expected)) in rows.iter().enumerate() {
        let mut knobs = Knobs::default();
        turn(&mut knobs);
        let net = Net::with(&said, knobs);
        assert_eq!(net.decision().multipath(&net.paths), *expected, "row {row}");
    }
    // RFC 4456 §9 says the shorter CLUSTER_LIST wins; `same_cluster_len` keeps longer ones out of the set too.
    let internal = |n, clusters| Said { source: Source::Internal, clusters, ..path(n) };
    let said = [internal(1, 1), internal(2, 1), internal(3, 2)];
    let mut knobs = Knobs { maximum_paths: MaximumPaths { ebgp: 1, ibgp: 9 }, ..Knobs::default() };
    let net = Net::with(&said, knobs.clone());
    assert_eq!(net.decision().multipath(&net.paths), [0, 1, 2]);
    knobs.same_cluster_len = true;
    let net = Net::with(&said, knobs);
    assert_eq!(net.decision().multipath(&net.paths), [0, 1]);
}
