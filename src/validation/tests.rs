//! Each rule as a row with its clause, and slow oracles for the clever parts.

use proptest::prelude::*;

use super::{
    aspa::{Direction, Reason},
    rov::Fit,
    slurm::Slurm,
    *,
};
use crate::{types::Role, wire::bgp::as_path::AsPath};

fn p(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

fn table(vrps: &[(&str, u8, u32)]) -> VrpTable {
    let vrp = |&(prefix, max_len, asn): &(&str, u8, u32)| Vrp::new(p(prefix), max_len, Asn(asn)).expect("a VRP");
    VrpTable::new(vrps.iter().map(|row| (vrp(row), SourceSet::one(0))).collect())
}

#[test]
fn states_are_those_of_rfc_6811_section_2() {
    use OriginState::{Invalid, NotFound, Valid};
    let table = table(&[
        ("192.0.2.0/24", 24, 64500),
        ("198.51.0.0/16", 24, 64501),
        ("198.51.100.0/24", 24, 64502),
        ("203.0.113.0/24", 24, 0),
        ("2001:db8::/32", 48, 64500),
    ]);
    let rows = [
        ("192.0.2.0/24", Some(64500), Valid, "covered and matched"),
        ("192.0.2.0/24", Some(64501), Invalid, "another origin"),
        ("192.0.2.0/25", Some(64500), Invalid, "longer than the maximum length"),
        ("192.0.0.0/16", Some(64500), NotFound, "a shorter route is not covered"),
        ("192.0.3.0/24", Some(64500), NotFound, "beside it"),
        ("192.0.2.0/24", None, Invalid, "origin NONE matches nothing"),
        ("198.51.100.0/24", Some(64501), Valid, "the shorter of two covering VRPs matches"),
        ("198.51.100.0/24", Some(64502), Valid, "the longer one too"),
        ("198.51.100.0/25", Some(64502), Invalid, "covered by both, matched by none"),
        ("203.0.113.0/24", Some(0), Invalid, "AS 0 matches nothing (RFC 6483 §4)"),
        ("2001:db8:1::/48", Some(64500), Valid, "IPv6"),
        ("2001:db8:1::/49", Some(64500), Invalid, "IPv6, too long"),
        ("0.0.0.0/0", Some(64500), NotFound, "the default route"),
    ];
    for (prefix, origin, state, why) in rows {
        assert_eq!(table.state(p(prefix), origin.map(Asn)), state, "{prefix} {origin:?}: {why}");
    }
}

#[test]
fn the_vrps_that_decided_are_named_with_how_they_fit_and_who_says_so() {
    let vrp = |prefix, max_len, asn| Vrp::new(p(prefix), max_len, Asn(asn)).expect("a VRP");
    let (wide, narrow) = (vrp("198.51.0.0/16", 20, 64501), vrp("198.51.100.0/24", 24, 64502));
    let (one, two) = (SourceSet::one(0), SourceSet::one(1));
    let table = VrpTable::new(vec![(wide, one), (narrow, two), (wide, two)]);
    let found: Vec<_> =
        table.covering(p("198.51.100.0/24"), Some(Asn(64501))).iter().map(|c| (c.vrp, c.fit, c.sources)).collect();
    assert_eq!(found, [(narrow, Fit::OtherOrigin, two), (wide, Fit::TooLong, one.with(two))]);
    assert_eq!(table.counts(), (2, 0), "the same VRP of two sources is one");
}

#[test]
fn a_maximum_length_that_cannot_be_is_refused_by_name() {
    for (prefix, max_len) in [("192.0.2.0/24", 23), ("192.0.2.0/24", 33), ("2001:db8::/32", 129)] {
        let error = Vrp::new(p(prefix), max_len, Asn(1)).expect_err("it cannot be");
        assert!(error.contains(prefix) && error.contains(&max_len.to_string()), "{error}");
    }
}

/// Few enough addresses that random prefixes meet.
fn prefix() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        3 => (0u32..16, 0u8..=6).prop_map(|(bits, len)| Prefix::v4(bits << 28 | 0x0c00_0000, len)),
        1 => (0u128..8, 0u8..=5).prop_map(|(bits, len)| Prefix::v6(bits << 125, len)),
    ]
}

fn vrp() -> impl Strategy<Value = Vrp> {
    (prefix(), 0u8..4, 0u32..4).prop_map(|(prefix, longer, asn)| Vrp {
        prefix,
        max_len: prefix.len() + longer,
        asn: Asn(asn),
    })
}

/// RFC 6811 §2 read slowly.
fn slow_state(vrps: &[Vrp], prefix: Prefix, origin: Option<Asn>) -> OriginState {
    let covering: Vec<&Vrp> = vrps.iter().filter(|vrp| vrp.prefix.covers(&prefix)).collect();
    let matches = |vrp: &&&Vrp| prefix.len() <= vrp.max_len && Some(vrp.asn) == origin && vrp.asn != Asn(0);
    match (covering.is_empty(), covering.iter().find(matches)) {
        (true, _) => OriginState::NotFound,
        (false, Some(_)) => OriginState::Valid,
        (false, None) => OriginState::Invalid,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_table_agrees_with_a_slow_reading(vrps in prop::collection::vec(vrp(), 0..40), prefix in prefix(), origin in prop::option::of(0u32..4)) {
        let table = VrpTable::new(vrps.iter().map(|vrp| (*vrp, SourceSet::one(0))).collect());
        let origin = origin.map(Asn);
        prop_assert_eq!(table.state(prefix, origin), slow_state(&vrps, prefix, origin));
        let mut expected: Vec<Vrp> = vrps.iter().filter(|vrp| vrp.prefix.covers(&prefix)).copied().collect();
        expected.sort_by_key(|vrp| (std::cmp::Reverse(vrp.prefix.len()), vrp.asn, vrp.max_len));
        expected.dedup();
        let found: Vec<Vrp> = table.covering(prefix, origin).iter().map(|covering| covering.vrp).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_difference_leads_from_one_table_to_the_other(a in prop::collection::vec(vrp(), 0..30), b in prop::collection::vec(vrp(), 0..30)) {
        let table = |vrps: &[Vrp]| VrpTable::new(vrps.iter().map(|vrp| (*vrp, SourceSet::one(0))).collect());
        let (old, new) = (table(&a), table(&b));
        let (added, removed) = old.difference(&new);
        let mut vrps: Vec<Vrp> = old.iter().map(|(vrp, _)| vrp).filter(|vrp| !removed.contains(vrp)).collect();
        prop_assert!(added.iter().all(|vrp| !vrps.contains(vrp)));
        vrps.extend(added);
        prop_assert_eq!(table(&vrps), new);
    }

    #[test]
    fn paths_are_verified_as_a_slow_reading_of_the_draft_says(
        path in prop::collection::vec(1u32..7, 1..8),
        aspas in prop::collection::btree_map(1u32..7, prop::collection::btree_set(1u32..7, 0..4), 0..6),
        downstream in any::<bool>(),
    ) {
        let direction = if downstream { Direction::Downstream } else { Direction::Upstream };
        let list = aspas.iter().map(|(customer, providers)| {
            (Aspa::new(Asn(*customer), providers.iter().copied().map(Asn).collect()), SourceSet::one(0))
        });
        let octets = sequence(&path);
        let (state, _) = AspaTable::new(list).verify(AsPath::new(&octets), Some(Asn(path[0])), direction);
        prop_assert_eq!(state, slow_path(&path, &aspas, direction));
    }
}

fn sequence(path: &[u32]) -> Vec<u8> {
    let mut octets = vec![2, path.len() as u8];
    path.iter().for_each(|asn| octets.extend(asn.to_be_bytes()));
    octets
}

/// The draft's words: is there a top such that every hop up to it and every hop down from it is (or may be) from a
/// customer to its provider?
fn slow_path(
    path: &[u32],
    aspas: &std::collections::BTreeMap<u32, std::collections::BTreeSet<u32>>,
    direction: Direction,
) -> PathState {
    let mut ases = path.to_vec();
    ases.dedup();
    ases.reverse(); // the origin first
    let n = ases.len();
    let proven = |a: u32, b: u32| aspas.get(&a).is_some_and(|providers| providers.contains(&b));
    let possible = |a: u32, b: u32| aspas.get(&a).is_none_or(|providers| providers.contains(&b));
    let exists = |good: &dyn Fn(u32, u32) -> bool| match direction {
        Direction::Upstream => ases.windows(2).all(|hop| good(hop[0], hop[1])),
        // The up-ramp covers the first `up` ASes, the down-ramp the others; the hop between them is free.
        Direction::Downstream => (0..=n).any(|up| {
            let (rising, falling) = ases.split_at(up);
            rising.windows(2).all(|hop| good(hop[0], hop[1])) && falling.windows(2).all(|hop| good(hop[1], hop[0]))
        }),
    };
    match (exists(&proven), exists(&possible)) {
        (true, _) => PathState::Valid,
        (false, true) => PathState::Unknown,
        (false, false) => PathState::Invalid,
    }
}

#[test]
fn paths_that_cannot_be_verified_are_invalid_and_the_reason_names_the_hop() {
    let table = AspaTable::new([(Aspa::new(Asn(1), vec![Asn(2)]), SourceSet::one(0))]);
    let verify = |octets: &[u8], neighbor: Option<u32>, direction| {
        table.verify(AsPath::new(octets), neighbor.map(Asn), direction)
    };
    let malformed = (PathState::Invalid, Reason::Malformed);
    // §5.4 and §5.5 steps 1 to 3.
    assert_eq!(verify(&[], Some(1), Direction::Upstream), malformed, "an empty path");
    assert_eq!(verify(&sequence(&[3, 1]), Some(2), Direction::Upstream), malformed, "not the neighbour's AS");
    assert_eq!(verify(&[1, 1, 0, 0, 0, 1], Some(1), Direction::Downstream), malformed, "an AS_SET");
    // A route server does not put itself into the path (RFC 7947 §2.2.2.1).
    assert_eq!(verify(&sequence(&[2, 1]), None, Direction::Upstream), (PathState::Valid, Reason::Attested));
    // Prepends are one AS.
    assert_eq!(verify(&sequence(&[2, 2, 1, 1, 1]), Some(2), Direction::Upstream).0, PathState::Valid);
    let not_provider = Reason::NotProvider { customer: Asn(1), provider: Asn(3) };
    assert_eq!(verify(&sequence(&[3, 1]), Some(3), Direction::Upstream), (PathState::Invalid, not_provider));
    let no_attestation = Reason::NoAttestation { customer: Asn(2), provider: Asn(4) };
    assert_eq!(verify(&sequence(&[4, 2, 1]), Some(4), Direction::Upstream), (PathState::Unknown, no_attestation));
    assert_eq!(Direction::of(Role::Customer), Direction::Downstream);
}

#[test]
fn both_directions_are_verified_as_the_draft_says_case_by_case() {
    use super::PathState::{Invalid, Unknown, Valid};
    // Two chains of customers under one top: 1 below 10 below 100, 2 below 20 below 100. 30 says that it has no provider;
    // 4, 5, 7, 40, 50 and 100 attest nothing. draft-ietf-sidrops-aspa-verification-22 §5.
    let attested = [(1, vec![10]), (2, vec![20]), (10, vec![100]), (20, vec![100]), (30, vec![0])];
    let table = AspaTable::new(attested.into_iter().map(|(customer, providers)| {
        (Aspa::new(Asn(customer), providers.into_iter().map(Asn).collect()), SourceSet::one(0))
    }));
    let rows: [(Direction, &[u32], PathState, &str); 26] = [
        (Direction::Upstream, &[1], Valid, "the origin itself"),
        (Direction::Upstream, &[10, 1], Valid, "one attested hop"),
        (Direction::Upstream, &[100, 10, 1], Valid, "all hops attested"),
        (Direction::Upstream, &[20, 10, 1], Invalid, "10 names its providers, and 20 is none: leaked up or sideways"),
        (Direction::Upstream, &[20, 100, 10, 1], Unknown, "100 attests nothing"),
        (
            Direction::Upstream,
            &[50, 100, 20, 10, 1],
            Invalid,
            "a hop that is disproved counts before one that is unknown",
        ),
        (Direction::Upstream, &[5, 4], Unknown, "nobody attests"),
        (Direction::Upstream, &[5, 30], Invalid, "AS 0 alone: no provider at all"),
        (Direction::Upstream, &[10, 10, 10, 1, 1], Valid, "prepends are one AS"),
        (Direction::Upstream, &[20, 20, 10, 10, 1], Invalid, "prepends hide nothing"),
        (Direction::Upstream, &[1, 10, 1], Invalid, "10 has a provider, and 1 is none: a loop disproves itself"),
        (Direction::Downstream, &[10], Valid, "a provider's own route"),
        (Direction::Downstream, &[10, 1], Valid, "two ASes at most are Valid"),
        (Direction::Downstream, &[5, 30], Valid, "likewise, whatever is attested"),
        (Direction::Downstream, &[100, 10, 1], Valid, "up only"),
        (Direction::Downstream, &[2, 20, 100], Valid, "down only"),
        (Direction::Downstream, &[2, 20, 100, 10, 1], Valid, "up to the top and down"),
        (Direction::Downstream, &[2, 20, 10, 1], Valid, "two tops beside each other are one hop without customer"),
        (Direction::Downstream, &[2, 20, 50, 10, 1], Invalid, "three tops: 50 is beside both, and passes on"),
        (Direction::Downstream, &[20, 2, 10, 1], Invalid, "a valley: 2 passes a peer's route up"),
        (Direction::Downstream, &[100, 20, 2, 10, 1], Invalid, "the same one level higher"),
        (Direction::Downstream, &[2, 20, 100, 40, 4], Unknown, "4 and 40 attest nothing"),
        (Direction::Downstream, &[7, 5, 30], Unknown, "30 is the top of nothing, and what leads down is unknown"),
        (Direction::Downstream, &[7, 5, 4], Unknown, "nobody attests"),
        (Direction::Downstream, &[2, 2, 20, 100, 100, 10, 1, 1], Valid, "prepends are one AS"),
        (Direction::Downstream, &[20, 20, 2, 10, 10, 1], Invalid, "prepends hide no valley"),
    ];
    for (direction, path, state, why) in rows {
        let neighbor = Some(Asn(path[0]));
        let (found, reason) = table.verify(AsPath::new(&sequence(path)), neighbor, direction);
        assert_eq!(found, state, "{direction:?} {path:?}: {why} ({reason})");
        let server = table.verify(AsPath::new(&sequence(path)), None, direction).0;
        assert_eq!(server, state, "{direction:?} {path:?}: a route server's hop is not in the path");
    }
    for direction in [Direction::Upstream, Direction::Downstream] {
        let verify = |octets: &[u8]| table.verify(AsPath::new(octets), Some(Asn(10)), direction).0;
        let set_behind = [&sequence(&[10, 1])[..], &[1, 1, 0, 0, 0, 9]].concat();
        let set_first = [&[1, 1, 0, 0, 0, 10][..], &sequence(&[1])].concat();
        assert_eq!((verify(&set_behind), verify(&set_first)), (Invalid, Invalid), "an AS_SET anywhere");
        let confederation = [&[3, 1, 0, 0, 0xfd, 0xe9][..], &sequence(&[10, 1])].concat();
        assert_eq!(verify(&confederation), Valid, "member ASes of our confederation are none of the path");
        assert_eq!(verify(&sequence(&[20, 2])), Invalid, "the path must begin with the neighbour");
    }
}

#[test]
fn exports_of_all_flavours_are_read_and_a_fault_names_its_record() {
    let rpki_client = r#"{"metadata":{},"roas":[{"asn":64496,"prefix":"192.0.2.0/24","maxLength":25,"ta":"x","expires":1}],
        "aspas":[{"customer_asid":64500,"expires":1,"providers":[64502,64501]}]}"#;
    let set = json::parse(rpki_client).expect("rpki-client's form");
    assert_eq!((set.vrps.len(), set.aspas.clone()), (1, vec![Aspa::new(Asn(64500), vec![Asn(64501), Asn(64502)])]));
    let routinator = r#"{"roas":[{"asn":"AS64496","prefix":"2001:db8::/32","maxLength":48,"ta":"x"}],
        "aspas":[{"customer":"AS64500","providers":["AS64501"],"ta":"x"}]}"#;
    assert_eq!(json::parse(routinator).expect("Routinator's form").vrps[0].max_len, 48);
    let bare = r#"[{"asn":"64496","prefix":"192.0.2.0/24"}]"#;
    assert_eq!(json::parse(bare).expect("a bare list").vrps[0].max_len, 24);
    let faults = [
        (r#"{"roas":[{"asn":1,"prefix":"192.0.2.0/24"},{"asn":1,"prefix":"192.0.2.1/24"}]}"#, "roas[1]: "),
        (r#"{"roas":[{"asn":1,"prefix":"192.0.2.0/24","maxLength":20}]}"#, "roas[0]: "),
        (r#"{"roas":[{"asn":"ASX","prefix":"192.0.2.0/24"}]}"#, "roas[0]: \"ASX\" is not an AS number"),
        (r#"{"roas":[{"prefix":"192.0.2.0/24"}]}"#, "roas[0]: `asn` is missing"),
        (r#"{"roas":[],"aspas":[{"customer":1}]}"#, "aspas[0]: `providers` is missing"),
        (r#"{"roas":"#, "not JSON: "),
        (r#"{"vrps":[]}"#, "neither a list of ROAs"),
    ];
    for (text, start) in faults {
        let error = json::parse(text).expect_err(text);
        assert!(error.starts_with(start), "{text}: {error}");
    }
}

#[test]
fn slurm_filters_and_adds_as_rfc_8416_says() {
    let slurm = Slurm::parse(
        r#"{"slurmVersion":2,
            "validationOutputFilters":{"prefixFilters":[{"prefix":"192.0.2.0/24"},{"asn":64501},{"prefix":"10.0.0.0/8","asn":64502}],
                "bgpsecFilters":[],"aspaFilters":[{"customerAsn":64500}]},
            "locallyAddedAssertions":{"prefixAssertions":[{"asn":64503,"prefix":"198.51.100.0/24","maxPrefixLength":25}],
                "bgpsecAssertions":[],"aspaAssertions":[{"customerAsn":64500,"providerAsns":[64504]}]}}"#,
    )
    .expect("a SLURM file");
    let vrp = |prefix, asn| Vrp::new(p(prefix), p(prefix).len(), Asn(asn)).expect("a VRP");
    let set = PayloadSet {
        vrps: vec![
            vrp("192.0.2.0/25", 64500), // inside the filter's prefix (§3.3.1)
            vrp("192.0.0.0/16", 64500), // covers it: stays
            vrp("203.0.113.0/24", 64501),
            vrp("10.1.0.0/16", 64502),
            vrp("10.1.0.0/16", 64505), // the right prefix, another AS
        ],
        aspas: vec![Aspa::new(Asn(64500), vec![Asn(1)]), Aspa::new(Asn(64501), vec![Asn(1)])],
    };
    let left = slurm.filter(&set);
    assert_eq!(left.vrps, [vrp("192.0.0.0/16", 64500), vrp("10.1.0.0/16", 64505)]);
    assert_eq!(left.aspas, [Aspa::new(Asn(64501), vec![Asn(1)])]);
    assert_eq!(slurm.assertions().vrps[0].to_string(), "198.51.100.0/24-25 AS64503");
    for (text, fault) in [
        (r#"{"slurmVersion":3}"#, "slurmVersion 3 is not known"),
        ("{}", "`slurmVersion` is missing"),
        (r#"{"slurmVersion":1,"validationOutputFilters":{"prefixFilters":[{}]}}"#, "prefixFilters[0]: it needs"),
        (
            r#"{"slurmVersion":1,"locallyAddedAssertions":{"prefixAssertions":[{"asn":1,"prefix":"10.0.0.0/8","maxPrefixLength":4}]}}"#,
            "prefixAssertions[0]: 10.0.0.0/8 with maximum length 4",
        ),
    ] {
        let error = Slurm::parse(text).expect_err(text);
        assert!(error.starts_with(fault), "{text}: {error}");
    }
}

#[test]
fn a_big_table_is_searched_as_a_small_one_and_stays_small() {
    // 100,000 VRPs in a pattern that leaves gaps, beside the same question asked slowly.
    let vrps: Vec<Vrp> = (0u32..100_000)
        .map(|n| {
            let (addr, len) = (n.wrapping_mul(0x9e37_79b1), 8 + (n % 17) as u8);
            Vrp { prefix: Prefix::v4(addr, len), max_len: 24, asn: Asn(n % 50) }
        })
        .collect();
    let table = VrpTable::new(vrps.iter().map(|vrp| (*vrp, SourceSet::one(0))).collect());
    assert!(table.allocated_octets() < vrps.len() * 32, "{} octets", table.allocated_octets());
    for n in 0u32..200 {
        let prefix = Prefix::v4(n.wrapping_mul(0x7feb_352d), 8 + (n % 25) as u8);
        let origin = Some(Asn(n % 50));
        assert_eq!(table.state(prefix, origin), slow_state(&vrps, prefix, origin), "{prefix}");
    }
}

#[test]
fn a_big_ipv6_table_is_searched_as_a_small_one() {
    // Most in 2000::/3 as it is assigned, some below and above it, and one around each of the three.
    let block = |n: u32| [0x2a << 120, 0x24 << 120, 0x2001 << 112, 0, 0xfc << 120][n as usize % 5];
    let address = |n: u32| block(n) | u128::from(n.wrapping_mul(0x9e37_79b1)) << 80;
    let around = [Prefix::v6(0, 3), Prefix::v6(0x2a << 120, 12), Prefix::v6(0xfc << 120, 7)];
    let vrps: Vec<Vrp> = (0u32..20_000)
        .map(|n| Prefix::v6(address(n), 28 + (n % 21) as u8))
        .chain(around)
        .zip(0u32..)
        .map(|(prefix, n)| Vrp { prefix, max_len: 48, asn: Asn(n % 50) })
        .collect();
    let table = VrpTable::new(vrps.iter().map(|vrp| (*vrp, SourceSet::one(0))).collect());
    for n in 0u32..300 {
        let prefix = Prefix::v6(address(n * 61) | u128::from(n & 1) << 70, 24 + (n % 40) as u8);
        let origin = Some(Asn(n % 50));
        assert_eq!(table.state(prefix, origin), slow_state(&vrps, prefix, origin), "{prefix}");
    }
}

#[test]
fn prefixes_that_are_looked_up_together_are_found_as_each_alone() {
    // Enough for the index of either family, with VRPs inside each other, and blocks without any.
    let v4 = |n: u32| Prefix::v4(n.wrapping_mul(0x9e37_79b1), 8 + (n % 17) as u8);
    let v6 = |n: u32| Prefix::v6(0x2a << 120 | u128::from(n.wrapping_mul(0x9e37_79b1)) << 80, 20 + (n % 29) as u8);
    let vrp = |prefix: Prefix| Vrp { prefix, max_len: prefix.len(), asn: Asn(64500) };
    let vrps = (0..6000).flat_map(|n| [vrp(v4(n)), vrp(v6(n))]);
    for table in [VrpTable::default(), VrpTable::new(vrps.map(|vrp| (vrp, SourceSet::one(0))).collect())] {
        // Runs of both families, longer and shorter than what is looked up at once.
        let asked: Vec<Prefix> = (0..4000u32).map(|n| if n % 61 < 40 { v4(n * 3) } else { v6(n * 3) }).collect();
        let mut found = Vec::new();
        table.near_each(&asked, |prefix, near| found.push((prefix, near)));
        let alone: Vec<_> = asked.iter().map(|prefix| (*prefix, table.near(*prefix))).collect();
        assert_eq!(found, alone);
    }
}
