//! RPKI from outside: real VRPs against a slow reading of RFC 6811, recorded caches, and a daemon with sources.

use std::collections::BTreeSet;

use ribwatch::{
    app::Daemon,
    cli,
    config::Config,
    types::{Asn, Prefix},
    validation::{
        Aspa, OriginState, PathState, PayloadSet, Snapshot, SourceSet, Vrp,
        aspa::{AspaTable, Direction},
        json,
    },
    view::rpki::SourceState,
    wire::bgp::as_path::AsPath,
};
use serde_json::{Value, json};

use crate::{
    corpus,
    router::{OPEN_POLICY, PATIENCE, Router, towards},
};

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

/// A daemon of AS 64496 with two exports of validated payloads that disagree, and a neighbour with two routes.
struct Scene {
    daemon: Daemon,
    neighbor: Router,
    folder: tempfile::TempDir,
}

const ONE: &str = r#"{"roas": [
    {"asn": 64497, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe"},
    {"asn": 64497, "prefix": "203.0.113.0/24", "maxLength": 24, "ta": "ripe"},
    {"asn": 64511, "prefix": "198.51.100.0/24", "maxLength": 24, "ta": "apnic"}],
    "aspas": [{"customer": 64497, "providers": [64499]}]}"#;
const TWO: &str = r#"{"roas": [{"asn": 64497, "prefix": "192.0.2.0/24", "maxLength": 24}]}"#;

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("one.json"), ONE).expect("the folder can be written");
        std::fs::write(folder.path().join("two.json"), TWO).expect("the folder can be written");
        let file = folder.path().join("ribwatch.toml");
        std::fs::write(&file, text("hold_import = \"60s\"", &["one", "two"])).expect("the folder can be written");
        let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let daemon = Daemon::start_with_file(config, file).unwrap_or_else(|error| panic!("{error}"));
        let neighbor = Router::start(64497, "", &towards(daemon.bgp_addresses()[0].port(), OPEN_POLICY));
        neighbor.originate("192.0.2.0/24");
        neighbor.originate("198.51.100.0/24");
        let scene = Self { daemon, neighbor, folder };
        scene.wait("both routes and both sources", |scene| {
            let backend = scene.daemon.backend();
            let valid = |counts: &ribwatch::view::FamilyCounts| counts.validation == [0, 0, 1, 1];
            backend.rpki().sources.iter().all(|source| source.state == SourceState::Synced)
                && backend.summary().neighbors.iter().any(|(_, families)| families.iter().any(valid))
        });
        scene
    }

    fn wait(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let began = std::time::Instant::now();
        while !wanted(self) {
            assert!(began.elapsed() < PATIENCE, "never came: {what}");
            std::thread::yield_now();
        }
    }

    fn run(&self, arguments: &[&str]) -> (u8, String, String) {
        let api = self.daemon.api_address().expect("served").to_string();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = cli::execute(&[&["ribwatch", "--api", &api], arguments].concat(), &mut out, &mut err);
        (code, String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let (code, out, err) = self.run(&[&["--json"], arguments].concat());
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// A configuration with files as sources.
fn text(rpki: &str, files: &[&str]) -> String {
    let caches = files.iter().map(|name| format!("[[rpki.cache]]\nname = \"{name}\"\nfile = \"{name}.json\"\n"));
    format!(
        "[router]\nasn = 64496\nrouter_id = \"10.0.0.1\"\nlisten = [\"127.0.0.1:0\"]\nowned = [\"203.0.113.0/24\"]\n\
         [api]\nlisten = \"127.0.0.1:0\"\n[http]\nenabled = false\n[rpki]\n{rpki}\n{}\
         [[neighbor]]\naddress = \"127.0.0.2\"\nremote_asn = 64497\npassive = true\n\
         import = [\"accept-all\"]\nexport = [\"reject-all\"]\n",
        caches.collect::<String>()
    )
}

#[test]
fn coverage_counts_first_then_the_routes_of_an_origin_unused_vrps_and_its_upstreams() {
    let scene = Scene::new();
    let told = scene.json(&["rpki", "coverage", "--asn", "AS64497"]);
    let kinds: Vec<&str> = told.iter().filter_map(|line| line["type"].as_str()).collect();
    assert_eq!(kinds, ["counts", "route", "route", "unused", "aspa"]);
    assert_eq!(told[0]["validation"], json!({"valid": 1, "invalid": 1, "not_found": 0, "not_checked": 0}));
    let (worst, best) = (&told[1], &told[2]);
    assert_eq!((&worst["prefix"], &worst["validation"]), (&json!("198.51.100.0/24"), &json!("invalid")));
    assert_eq!(worst["vrps"][0]["fit"], "other_origin");
    assert_eq!((&best["prefix"], &best["validation"]), (&json!("192.0.2.0/24"), &json!("valid")));
    assert_eq!(best["vrps"][0]["sources"], json!(["one", "two"]));
    assert_eq!(told[3]["vrp"], json!({"prefix": "203.0.113.0/24", "max_length": 24, "asn": 64497}));
    // The neighbour is the origin: nobody stands between.
    assert_eq!(told[4], json!({"type": "aspa", "asn": 64497, "present": true, "providers": [64499], "upstreams": []}));

    // Nothing named: what is owned.
    let owned = scene.json(&["rpki", "coverage"]);
    assert_eq!((&owned[0]["prefixes"], &owned[0]["routes"]), (&json!(["203.0.113.0/24"]), &json!(0)));
    let (code, out, _) = scene.run(&["rpki", "coverage", "192.0.2.0/24", "198.51.100.0/24", "--limit", "1"]);
    assert_eq!(code, 0);
    assert!(out.contains("the first 1 of each are listed") && out.contains("198.51.100.0/24"), "{out}");
    assert!(!out.contains("192.0.2.0/24-24"), "the other one is not listed: {out}");
    let (code, _, err) = scene.run(&["rpki", "coverage", "192.0.2.1/24"]);
    assert!(code != 0 && err.contains("192.0.2"), "{err}");
}

#[test]
fn caches_that_differ_are_compared_by_name() {
    let scene = Scene::new();
    let told = scene.json(&["rpki", "diff", "two", "one"]);
    assert_eq!((&told[0]["name"], &told[0]["vrps"], &told[0]["vrps_missing"]), (&json!("two"), &json!(1), &json!(2)));
    assert_eq!((&told[1]["name"], &told[1]["aspas_not_everywhere"]), (&json!("one"), &json!(1)));
    let records: Vec<&Value> = told[2..].iter().collect();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record["in"] == json!(["one"]) && record["not_in"] == json!(["two"])));
    assert_eq!(records[2]["aspa"], json!({"customer": 64497, "providers": [64499]}));
    let (code, out, _) = scene.run(&["rpki", "diff"]);
    assert_eq!(code, 0);
    assert!(out.contains("3 differences") && out.contains("AS64497 attests AS64499"), "{out}");
    let (code, _, err) = scene.run(&["rpki", "diff", "one", "three"]);
    assert!(code != 0 && err.contains("no source is called three; there are: one, two"), "{err}");
}

#[test]
fn sources_change_by_reload_and_the_session_does_not_notice() {
    let scene = Scene::new();
    let since = scene.neighbor.neighbor("127.0.0.1").established_at;
    let metrics = ribwatch::metrics::text(&*scene.daemon.backend(), &ribwatch::alert::Nobody);
    for line in [
        "ribwatch_rpki_source_roas{source=\"one\",tal=\"ripe\"} 2",
        "ribwatch_rpki_source_aspas{source=\"one\"} 1",
        "ribwatch_rpki_source_in_use{source=\"two\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is missing from {metrics}");
    }
    let write = |rpki: &str, files: &[&str]| {
        let file = scene.folder.path().join("ribwatch.toml");
        std::fs::write(file, text(rpki, files)).expect("the folder can be written");
    };
    write("hold_import = \"60s\"", &["two"]);
    let (code, out, _) = scene.run(&["reload"]);
    assert_eq!(code, 0);
    let said = "[rpki]: changed (one removed, what it said is dropped), routes whose state changes are judged again, \
                no session resets";
    assert!(out.contains(said), "{out}");
    let backend = scene.daemon.backend();
    assert_eq!(backend.rpki().vrps, (1, 0), "what the other one said has left");
    scene.wait("the route that only it spoke about", |scene| {
        let summary = scene.daemon.backend().summary();
        let judged = |counts: &ribwatch::view::FamilyCounts| counts.validation == [0, 1, 1, 0];
        summary.neighbors.iter().any(|(_, families)| families.iter().any(judged))
    });
    write("hold_import = \"60s\"\nslurm = \"nowhere.json\"", &["one", "two"]);
    let (code, out, err) = scene.run(&["reload"]);
    assert!(code != 0 && format!("{out}{err}").contains("nowhere.json: cannot be read"), "{out}{err}");
    assert_eq!(backend.rpki().sources.len(), 1, "nothing changed");
    let after = scene.neighbor.neighbor("127.0.0.1");
    assert_eq!((after.established_at, after.flaps), (since, 0));
}
