//! `ribwatch mrt` over the real archives of the corpus: exact counts, the lines of bgpdump, and what damage costs.

use std::{
    fs::File,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::corpus;

/// In these, the corpus counted path identifiers where it meant origins: the field behind the prefix of an `_AP`
/// line of bgpdump is the identifier. What we count instead, seen by eye in the same lines.
const ORIGINS_OF_ADD_PATH_FILES: &[(&str, u64)] =
    &[("lab-bird-mrtdump_bgp.mrt", 2), ("lab-bird-mrtdump_rib.mrt", 3), ("rib.ipv4_unicast.rfc8050-addpath.gz", 32)];

/// Runs `ribwatch mrt`; an `.xz` file of the corpus goes in unpacked by standard input.
fn ribwatch_mrt(arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ribwatch"));
    command.arg("mrt").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    if file.extension().is_none_or(|extension| extension != "xz") {
        return command.arg(file).output().expect("ribwatch runs");
    }
    let mut child = command.arg("-").stdin(Stdio::piped()).spawn().expect("ribwatch runs");
    let mut to_child = child.stdin.take().expect("standard input is a pipe");
    let unpacked = corpus::unxz(file);
    let writer = std::thread::spawn(move || to_child.write_all(&unpacked));
    let output = child.wait_with_output().expect("ribwatch ends");
    writer.join().expect("no panic").expect("ribwatch reads to the end");
    output
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn count(file: &Path) -> Value {
    let output = ribwatch_mrt(&["--count", "--json"], file);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}: {}", file.display(), text(&output.stderr)))
}

/// The summary that the corpus expects of a file, in our words.
fn expected_of(name: &str, expected: &Value) -> Value {
    let lines = |letter: &str| expected["bgpdump"]["lines"][letter].as_u64().unwrap_or(0);
    let types: serde_json::Map<String, Value> = expected["records"]
        .as_object()
        .expect("records by type")
        .iter()
        .map(|(name, count)| (name.replace("(deprecated)", ""), count.clone()))
        .collect();
    let origins = ORIGINS_OF_ADD_PATH_FILES.iter().find(|(file, _)| *file == name).map(|(_, count)| *count);
    let truncated = expected["undecodable_tail_bytes"] != 0;
    serde_json::json!({
        "records": types.values().filter_map(Value::as_u64).sum::<u64>(),
        "types": types,
        "rib_entries": lines("B"),
        "announcements": lines("A"),
        "withdrawals": lines("W"),
        "state_changes": lines("STATE"),
        "prefixes": expected["bgpdump"]["prefixes"],
        "origins": origins.map_or(expected["bgpdump"]["origins"].clone(), Value::from),
        "peers": expected["bgpdump"]["peers"],
        "errors": u64::from(truncated),
        "first": expected["bgpdump"]["first"],
        "last": expected["bgpdump"]["last"],
    })
}

#[test]
fn every_clean_archive_has_exactly_the_counts_expected() {
    let Some(folder) = corpus::path("mrt") else { return };
    let expected = std::fs::read(folder.join("expected-counts.json")).expect("the expected counts are there");
    let expected: Value = serde_json::from_slice(&expected).expect("they are JSON");
    let mut checked = 0;
    for (name, expected) in expected.as_object().expect("one entry per file") {
        if name.contains("CORRUPT") {
            continue;
        }
        let got = count(&folder.join(name));
        for (key, value) in expected_of(name, expected).as_object().expect("an object") {
            // Times of BGP4MP_ET have microseconds, which the corpus leaves out.
            let seconds = |time: &str| format!("{}Z", time.split(['.', 'Z']).next().unwrap_or_default());
            let own = got[key].as_str().map_or(got[key].clone(), |time| Value::from(seconds(time)));
            assert_eq!(own, *value, "{name}: {key}");
        }
        checked += 1;
    }
    assert!(checked >= 22, "only {checked} archives were found");
}

#[test]
fn the_synthetic_full_table_is_read_in_full() {
    // Counts from the README of the corpus: 2 peers, IPv4 and IPv6.
    let Some(file) = corpus::path("mrt/SYNTHETIC-fulltable-2022.2peers.table_dump_v2.mrt.xz") else { return };
    let got = count(&file);
    for (key, expected) in
        [("rib_entries", 2_292_548), ("prefixes", 1_146_274), ("origins", 80_057), ("peers", 2), ("errors", 0)]
    {
        assert_eq!(got[key], expected, "{key}");
    }
}

/// Archives in which every line is the same as bgpdump's. In the others lines differ for the reasons given in
/// `cli/mrt/text.rs`: next hops that are missing, type 5, IPv6 addresses not written as RFC 5952 asks.
const SAME_AS_BGPDUMP: &[&str] = &[
    "lab-bird-mrtdump_bgp.mrt",
    "lab-openbgpd_bgp.mrt",
    "lab-openbgpd_rib_table-v2.mrt",
    "lab-quagga_bgp.mrt",
    "pch-ebgp-fulltable-feed.20151023.bgp4mp_et.gz",
    "rib.single-entry-over-64k.gz",
    "ris-bview.20020722.2337.table_dump.gz",
    "ris-rrc01-updates.20001104.0124.SHORT-statechange.gz",
    "ris-rrc06-updates.20150401.0000.gz",
    "ris-rrc15-updates.20100227.1600.gz",
    "ris-updates.20020722.2238.as2.gz",
    "ris-updates.20070211.0141.as2.gz",
    "ris-updates.20160811.1600.gz",
    "routeviews-rib.20140523.0600.first1MB.truncated.bz2",
    "routeviews-updates.20260222.1530.bz2",
];

#[test]
fn the_lines_are_those_of_bgpdump() {
    let Some(folder) = corpus::path("mrt") else { return };
    for name in SAME_AS_BGPDUMP {
        let file = folder.join(name);
        let Ok(theirs) = Command::new("bgpdump").arg("-m").arg(&file).stderr(Stdio::null()).output() else {
            let _ = std::io::stderr().write_all(b"SKIPPED: bgpdump is not installed; nothing to compare with\n");
            return;
        };
        let ours = ribwatch_mrt(&[], &file);
        let (ours, theirs) = (text(&ours.stdout), text(&theirs.stdout));
        for (i, (our, their)) in ours.lines().zip(theirs.lines()).enumerate() {
            assert_eq!(our, their, "{name}, line {}", i + 1);
        }
        assert_eq!(ours.lines().count(), theirs.lines().count(), "{name}");
    }
}

#[test]
fn damaged_boundaries_cost_only_what_lies_between_them() {
    let Some(file) = corpus::path("mrt/ris-rrc00-updates.20000325.0345.CORRUPT-boundaries.gz") else { return };
    let output = ribwatch_mrt(&["--count", "--json"], &file);
    let got: Value = serde_json::from_slice(&output.stdout).expect("a summary all the same");
    let faults = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(faults.contains("damaged record at octet 188: 10 octets were skipped"), "{faults}");
    // 151,804 octets of type 5 in ten minutes of one session; bgpdump stops behind the sixth record.
    assert!(got["records"].as_u64() > Some(1000), "{got}");
    assert!(got["types"].as_object().is_some_and(|types| types.keys().all(|name| name.starts_with("BGP/"))), "{got}");
    assert_eq!(got["last"].as_str().map(|time| &time[..10]), Some("2000-03-25"));
}

#[test]
fn a_file_that_is_not_there_is_exit_code_2_and_the_others_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (empty, missing) = (folder.path().join("empty"), folder.path().join("missing"));
    File::create(&empty).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ribwatch"));
    let output = command.args(["mrt", "--count", "--json"]).args([&missing, &empty]).output().expect("ribwatch runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("missing: No such file"), "{}", text(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).expect("the summary of the empty file");
    assert_eq!((&summary["records"], &summary["first"]), (&Value::from(0), &Value::Null));
    let output = ribwatch_mrt(&[], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("folder"), "{}", text(&output.stderr));
}

#[test]
fn no_routing_archive_is_said_once_and_plainly() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letter.txt");
    std::fs::write(&file, "Dear Sir or Madam, ".repeat(1000)).expect("a file");
    let output = ribwatch_mrt(&[], &file);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
    let faults = text(&output.stderr);
    assert!(faults.lines().count() == 1 && faults.contains("no MRT record is in it"), "{faults}");
}

/// A withdrawal of 203.0.113.0/24 in an archive of type 5.
fn withdrawal() -> Vec<u8> {
    corpus::hex("386d43ff 0005 0001 00000014 fbf0 c0000201 fc00 c0000202 0004 18cb0071 0000")
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_program_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("many");
    std::fs::write(&file, withdrawal().repeat(50_000)).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ribwatch"));
    let command = command.arg("mrt").arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("ribwatch runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ribwatch ends");
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
}

#[test]
fn json_has_the_field_names_of_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("archive");
    let announcement = "386d43ff 0005 0001 0000002d fbf0 c0000201 fc00 c0000202 0000
        0019 40010100 4002 04 0201 fbf0 400304 c0000201 c00804 fde80064 18cb0071";
    std::fs::write(&file, [withdrawal(), corpus::hex(announcement)].concat()).expect("a file");
    let output = ribwatch_mrt(&["--json"], &file);
    let lines: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON on every line")).collect();
    assert_eq!(text(&output.stderr), "");
    let expected = serde_json::json!({
        "type": "withdraw", "time": "2000-01-01T00:02:07Z", "neighbor": "192.0.2.1", "remote_asn": 64496,
        "family": "ipv4-unicast", "prefix": "203.0.113.0/24",
    });
    assert_eq!(lines[0], expected);
    let expected = serde_json::json!({
        "type": "announce", "time": "2000-01-01T00:02:07Z", "neighbor": "192.0.2.1", "remote_asn": 64496,
        "family": "ipv4-unicast", "prefix": "203.0.113.0/24", "as_path": "64496", "origin_as": 64496,
        "next_hop": "192.0.2.1", "origin": "igp", "local_pref": null, "med": null, "communities": ["65000:100"],
        "large_communities": [], "ext_communities": [], "atomic_aggregate": false, "aggregator": null,
    });
    assert_eq!(lines[1], expected);
}
