//! `ribwatch replay`: incidents of the past are found with what was declared before they began, their end is seen, and
//! the same files under the same rules give the same octets.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ribwatch::cli;
use serde_json::Value;
use tempfile::TempDir;

use crate::corpus;

struct Played {
    code: u8,
    out: String,
    err: String,
}

impl Played {
    fn alerts(&self) -> Vec<Value> {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }
}

fn play(words: &[&str]) -> Played {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments: Vec<&str> = ["ribwatch", "replay"].into_iter().chain(words.iter().copied()).collect();
    let code = cli::execute(&arguments, &mut out, &mut err);
    let text = |octets| String::from_utf8(octets).expect("text");
    Played { code, out: text(out), err: text(err) }
}

/// Rules as `baseline.csv` of an incident has them.
fn rules(incident: &Path) -> String {
    let csv = fs::read_to_string(incident.join("baseline.csv")).expect("a baseline");
    let mut origins: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in csv.lines().skip(1) {
        let mut fields = line.splitn(3, ',');
        if let (Some(prefix), Some(origin)) = (fields.next(), fields.next()) {
            origins.entry(prefix).or_default().push(origin);
        }
    }
    let mut text = "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\nlisten = []\n".to_owned();
    text.push_str("[detect.vantages_min]\npublic = 3\n");
    for (prefix, origins) in origins {
        text.push_str(&format!("[[watch.prefix]]\nprefix = \"{prefix}\"\norigins = [{}]\n", origins.join(", ")));
    }
    text
}

fn incident(name: &str) -> Option<PathBuf> {
    corpus::path("incidents").map(|incidents| incidents.join(name))
}

/// The alerts of an incident of the corpus; `None` without a corpus.
fn alerts_of(name: &str) -> Option<Vec<Value>> {
    let at = incident(name)?;
    let dir = TempDir::new().expect("a folder");
    let config = dir.path().join("rules.toml");
    fs::write(&config, rules(&at)).expect("written");
    let (config, file) = (config.display().to_string(), at.join("updates.mrt.gz").display().to_string());
    let alerts = play(&[&file, "-c", &config, "--json"]).alerts();
    for alert in &alerts {
        println!("{name}: {} {} {} {}", alert["first_seen"], alert["resolved_at"], alert["severity"], alert["summary"]);
    }
    Some(alerts)
}

fn of_kind<'a>(alerts: &'a [Value], kind: &str) -> Vec<&'a Value> {
    alerts.iter().filter(|alert| alert["kind"] == kind).collect()
}

/// Each alert of a kind names this AS and no other, and there is at least one.
fn names_only(alerts: &[Value], kind: &str, observed: u32) {
    let found = of_kind(alerts, kind);
    assert!(!found.is_empty(), "no {kind}");
    for alert in found {
        assert_eq!(alert["asns"]["observed"], serde_json::json!([observed]), "{alert}");
    }
}

#[test]
fn pakistan_and_youtube() {
    let Some(alerts) = alerts_of("pakistan-youtube-2008") else { return };
    names_only(&alerts, "subprefix-hijack", 17557);
    assert!(of_kind(&alerts, "subprefix-hijack").iter().all(|alert| alert["prefix"] == "208.65.153.0/24"));
    assert!(of_kind(&alerts, "visibility").is_empty(), "of an archive without a table nobody knows what is missing");
}

#[test]
fn amazon_route_53_and_its_end() {
    let Some(alerts) = alerts_of("amazon-route53-2018") else { return };
    names_only(&alerts, "subprefix-hijack", 10297);
    let [alert] = alerts.as_slice() else { panic!("one event is one alert: {alerts:?}") };
    let all = ["205.251.192.0/24", "205.251.193.0/24", "205.251.195.0/24", "205.251.197.0/24", "205.251.199.0/24"];
    assert_eq!((&alert["members"], &alert["member_count"]), (&serde_json::json!(all), &serde_json::json!(5)));
    assert_eq!(alert["state"], "resolved", "all were withdrawn");
}

#[test]
fn indosat() {
    let Some(alerts) = alerts_of("indosat-2014") else { return };
    names_only(&alerts, "origin-hijack", 4761);
    assert!(of_kind(&alerts, "origin-hijack").iter().all(|alert| alert["prefix"] == "62.84.64.0/19"));
}

#[test]
fn the_control_is_silent() {
    let Some(alerts) = alerts_of("control-twitter-prefix-2022") else { return };
    assert_eq!(alerts, Vec::<Value>::new());
}

#[test]
fn the_same_files_and_rules_give_the_same_octets_and_old_rules_are_compared() {
    let Some(at) = incident("indosat-2014") else { return };
    let dir = TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let new = write("new.toml", &rules(&at));
    let old = write("old.toml", "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\nlisten = []\n");
    let file = at.join("updates.mrt.gz").display().to_string();
    let changes = play(&[&file, "-c", &new, "--changes", "--json"]);
    assert!(changes.out.contains("\"why\":\"opened\""), "{}{}", changes.out, changes.err);
    assert_eq!(play(&[&file, "-c", &new, "--changes", "--json"]).out, changes.out);
    let compared = play(&[&file, "-c", &new, "--compare", &old, "--json"]).alerts();
    assert!(!of_kind(&compared, "origin-hijack").is_empty());
    assert!(of_kind(&compared, "origin-hijack").iter().all(|alert| alert["compare"] == "added"));
    let back = play(&[&file, "-c", &old, "--compare", &new, "--json"]).alerts();
    assert!(of_kind(&back, "origin-hijack").iter().all(|alert| alert["compare"] == "removed"));
    assert!(play(&[&file, "-c", &new, "--compare", &new]).out.starts_with("no difference"));
    assert!(play(&[&file, "-c", &new]).out.starts_with("OPENED"));
}

#[test]
fn wrong_rules_and_missing_files_end_with_2() {
    let dir = TempDir::new().expect("a folder");
    let config = dir.path().join("rules.toml");
    fs::write(&config, "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n").expect("written");
    let config = config.display().to_string();
    let missing = dir.path().join("missing.mrt").display().to_string();
    let played = play(&[&missing, "-c", &config]);
    assert_eq!(played.code, 2);
    assert!(played.err.contains("missing.mrt"), "{}", played.err);
    fs::write(&config, "[router]\nasn = 64512\nrouter = 1\n").expect("written");
    let played = play(&[&missing, "-c", &config]);
    assert_eq!(played.code, 2);
    assert!(played.err.contains("rules.toml:3:1"), "{}", played.err);
}

#[test]
fn damage_is_named_and_counted_and_the_rest_is_used() {
    let dir = TempDir::new().expect("a folder");
    let config = dir.path().join("rules.toml");
    fs::write(&config, "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n").expect("written");
    // A KEEPALIVE of a type-5 archive, and a record that ends early.
    let mut octets = vec![0x37, 0xd0, 0x6a, 0xc3, 0, 5, 0, 7, 0, 0, 0, 12];
    octets.extend([0xfb, 0xf0, 192, 0, 2, 1, 0xfc, 0, 192, 0, 2, 2]);
    octets.extend([0x37, 0xd0, 0x6a, 0xc4, 0, 5, 0, 7, 0, 0]);
    let file = dir.path().join("short.mrt");
    fs::write(&file, octets).expect("written");
    let played = play(&[&file.display().to_string(), "-c", &config.display().to_string()]);
    assert_eq!((played.code, played.out.as_str()), (0, "no alerts\n"), "{}", played.err);
    assert!(played.err.contains("octet 24") && played.err.contains("1 fault;"), "{}", played.err);
}

#[test]
fn updates_without_a_table_say_nothing_about_how_many_prefixes_a_peer_has() {
    let Some(file) = corpus::path("mrt/ris-updates.20160811.1600.gz") else { return };
    let dir = TempDir::new().expect("a folder");
    let config = dir.path().join("rules.toml");
    fs::write(&config, "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n").expect("written");
    let played = play(&[&file.display().to_string(), "-c", &config.display().to_string(), "--json"]);
    let alerts = played.alerts();
    assert!(played.err.contains("41212 updates"), "{}", played.err);
    assert!(of_kind(&alerts, "prefix-count").is_empty() && of_kind(&alerts, "visibility").is_empty(), "{}", played.out);
}
