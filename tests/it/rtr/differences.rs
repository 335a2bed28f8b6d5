//! What caches say differently, and what an export says of its trust anchors.

use ribwatch::{
    validation::Vrp,
    view::rpki::{Difference, Payload},
};

use super::*;

/// A file as a source.
fn export(folder: &tempfile::TempDir, name: &str, text: &str) -> SourceSettings {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("the folder can be written");
    SourceSettings { place: Place::File(path), ..source(name, String::new(), None) }
}

const ONE: &str = r#"{"roas": [
    {"asn": 64500, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe"},
    {"asn": 64500, "prefix": "198.51.100.0/24", "maxLength": 24, "ta": "ripe"},
    {"asn": 64501, "prefix": "2001:db8::/32", "maxLength": 48, "ta": "apnic"}],
    "aspas": [{"customer": 64500, "providers": [64496]}, {"customer": 64501, "providers": [64496]}]}"#;
const TWO: &str = r#"{"roas": [
    {"asn": 64500, "prefix": "192.0.2.0/24", "maxLength": 24},
    {"asn": 64500, "prefix": "198.51.100.0/24", "maxLength": 25}],
    "aspas": [{"customer": 64500, "providers": [64496, 64497]}, {"customer": 64501, "providers": [64496]}]}"#;

async fn two_files(folder: &tempfile::TempDir) -> Station {
    let station = Station::with(vec![export(folder, "one", ONE), export(folder, "two", TWO)]);
    station.wait("both", |rpki| rpki.view().sources.iter().all(|source| source.state == SourceState::Synced)).await;
    station
}

#[test]
fn what_only_some_sources_say_is_counted_and_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    in_runtime(async {
        let station = two_files(&folder).await;
        let found = station.rpki.differences(&[]).expect("two have data");
        let counts: Vec<_> = found
            .sources
            .iter()
            .map(|s| (s.name.as_str(), s.vrps, s.vrps_not_everywhere, s.vrps_missing, s.aspas, s.aspas_not_everywhere))
            .collect();
        assert_eq!(counts, [("one", 3, 2, 1, 2, 1), ("two", 2, 1, 2, 2, 1)]);
        let vrp = |prefix: &str, max_len, asn| {
            Payload::Vrp(Vrp::new(prefix.parse().expect("a prefix"), max_len, Asn(asn)).expect("a VRP"))
        };
        let aspa =
            |providers: &[u32]| Payload::Aspa(Aspa::new(Asn(64500), providers.iter().map(|asn| Asn(*asn)).collect()));
        let expected = [
            // Bit 0 is the first source.
            (vrp("198.51.100.0/24", 24, 64500), 0b01),
            (vrp("198.51.100.0/24", 25, 64500), 0b10),
            (vrp("2001:db8::/32", 48, 64501), 0b01),
            (aspa(&[64496]), 0b01),
            (aspa(&[64496, 64497]), 0b10),
        ];
        let expected: Vec<_> = expected.map(|(payload, held_by)| Difference { payload, held_by }).into();
        assert_eq!(found.records, expected);
        // The order is that of the names.
        let turned = station.rpki.differences(&["two".to_owned(), "one".to_owned()]).expect("two have data");
        assert_eq!((turned.sources[0].name.as_str(), turned.records[0].held_by), ("two", 0b10));
    });
}

#[test]
fn it_takes_two_that_have_data() {
    let folder = tempfile::tempdir().expect("a folder");
    in_runtime(async {
        let missing = SourceSettings {
            place: Place::File(folder.path().join("nowhere.json")),
            ..source("missing", String::new(), None)
        };
        let station = Station::with(vec![export(&folder, "one", ONE), missing]);
        station.wait("one", |rpki| rpki.view().sources[0].state == SourceState::Synced).await;
        let refused = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            station.rpki.differences(&names).expect_err("nothing to compare")
        };
        assert!(refused(&[]).contains("it takes two sources with data"), "{}", refused(&[]));
        assert_eq!(refused(&["one", "missing"]), "missing has no data to compare");
        assert_eq!(refused(&["one", "three"]), "no source is called three; there are: one, missing");
        assert!(refused(&["one", "one"]).contains("two sources"));
    });
}

#[test]
fn roas_are_counted_by_trust_anchor_where_the_export_names_them() {
    let folder = tempfile::tempdir().expect("a folder");
    in_runtime(async {
        let station = two_files(&folder).await;
        let view = station.rpki.view();
        let anchors: Vec<(&str, u64)> =
            view.sources[0].anchors.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(anchors, [("apnic", 1), ("ripe", 2)]);
        assert!(view.sources[1].anchors.is_empty());
    });
}
