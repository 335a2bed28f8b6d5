//! RPKI from outside: real VRPs against a slow reading of RFC 6811, recorded caches, and a daemon with sources.

use std::collections::BTreeSet;

use ribwatch::{
    types::{Asn, Prefix},
    validation::{
        Aspa, OriginState, PathState, PayloadSet, Snapshot, SourceSet, Vrp,
        aspa::{AspaTable, Direction},
        json,
    },
    wire::bgp::as_path::AsPath,
};

use crate::corpus;

/// The real VRPs of the corpus: prefix, maximum length, AS.
fn real_vrps() -> Option<Vec<Vrp>> {
    let octets = corpus::unxz(&corpus::path("rpki/vrps-ripe-c2016.anssi-tabi.csv.xz")?);
    let text = String::from_utf8(octets).expect("a CSV file is text");
    let vrps = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let prefix: Prefix = fields.iter().find_map(|field| field.parse().ok())?;
        let asn = fields.iter().find_map(|field| field.strip_prefix("AS")?.parse().ok())?;
        let max_len = fields.iter().find_map(|field| field.parse().ok())?;
        Vrp::new(prefix, max_len, Asn(asn)).ok()
    });
    Some(vrps.collect())
}

#[test]
fn real_vrps_judge_as_a_slow_reading_of_rfc_6811_does() {
    let Some(vrps) = real_vrps() else { return };
    assert!(vrps.len() > 15_000, "{} VRPs were read", vrps.len());
    let snapshot = Snapshot::of(0, &PayloadSet { vrps: vrps.clone(), aspas: Vec::new() });
    // Routes around the VRPs: their own prefix, one bit more and less, from their AS and from another.
    let mut seen = BTreeSet::new();
    for vrp in vrps.iter().step_by(37) {
        let len = vrp.prefix.len();
        for len in [len.saturating_sub(1), len, len + 1, vrp.max_len, vrp.max_len + 1] {
            let Ok(prefix) = Prefix::new(vrp.prefix.addr(), len) else { continue };
            for origin in [Some(vrp.asn), Some(Asn(64496)), None] {
                let covering: Vec<&Vrp> = vrps.iter().filter(|vrp| vrp.prefix.covers(&prefix)).collect();
                let fits = |vrp: &&&Vrp| prefix.len() <= vrp.max_len && Some(vrp.asn) == origin && vrp.asn != Asn(0);
                let matches = covering.iter().any(|vrp| fits(&vrp));
                let expected = match (covering.is_empty(), matches) {
                    (true, _) => OriginState::NotFound,
                    (false, true) => OriginState::Valid,
                    (false, false) => OriginState::Invalid,
                };
                assert_eq!(snapshot.origin_state(prefix, origin), expected, "{prefix} from {origin:?}");
                seen.insert(expected);
            }
        }
    }
    assert_eq!(seen.len(), 3, "all three states were met");
}

#[test]
fn exports_of_the_corpus_are_read_whole() {
    let Some(folder) = corpus::folder() else { return };
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.join("rpki").join(name)).expect("a corpus file can be read");
        json::parse(&text).unwrap_or_else(|why| panic!("{name}: {why}"))
    };
    assert_eq!(read("vrps-sample-2000.rpki-client-style.json").vrps.len(), 2000);
    assert_eq!(read("stayrtr-test.rpki.json").vrps.len(), 19);
}

#[test]
fn the_upstream_cases_of_nist_come_out_as_they_say() {
    let Some(path) = corpus::path("vectors/aspa-nist-brio-upstream.json") else { return };
    let text = std::fs::read_to_string(path).expect("a corpus file can be read");
    let vectors: serde_json::Value = serde_json::from_str(&text).expect("vectors are JSON");
    let asn = |value: &serde_json::Value| Asn(value.as_u64().expect("an AS number") as u32);
    let list = |value: &serde_json::Value| value.as_array().expect("a list").iter().map(asn).collect::<Vec<_>>();
    let aspas = vectors["aspas"].as_array().expect("a list").iter();
    let table = AspaTable::new(
        aspas.map(|aspa| (Aspa::new(asn(&aspa["customer"]), list(&aspa["providers"])), SourceSet::one(0))),
    );
    let cases = vectors["cases"].as_array().expect("a list");
    assert!(cases.len() >= 4);
    for case in cases {
        let path = list(&case["path"]);
        let mut octets = vec![2, path.len() as u8];
        path.iter().for_each(|asn| octets.extend(asn.0.to_be_bytes()));
        let (state, why) = table.verify(AsPath::new(&octets), path.first().copied(), Direction::Upstream);
        let expected = match case["expected"].as_str() {
            Some("Valid") => PathState::Valid,
            Some("Invalid") => PathState::Invalid,
            Some("Unknown") => PathState::Unknown,
            other => panic!("{other:?} is no outcome"),
        };
        assert_eq!(state, expected, "case {}: {path:?}: {why}", case["id"]);
    }
}
