//! What a reload says in advance: a row for every key of a neighbour, and the sections.

use super::*;
use crate::view::reload::Cost::{self, Nothing, Reevaluates, Resets, Restart};

fn told(old: &Config, new: &Config) -> Vec<(String, Cost)> {
    diff(old, new).iter().map(Change::view).map(|change| (change.text, change.cost)).collect()
}

/// Groups that differ in nothing, and two prefix sets.
const AROUND: &str = "[[neighbor_group]]\nname = \"one\"\n[[neighbor_group]]\nname = \"two\"\n\
    [[policy.prefix_set]]\nname = \"one\"\nprefixes = [\"192.0.2.0/24\"]\n\
    [[policy.prefix_set]]\nname = \"two\"\nprefixes = [\"203.0.113.0/24\"]\n";

/// Every key: what stands beside it, its value before and after (empty: absent), the cost.
const KEYS: [(&str, &str, &str, &str, Cost); 59] = [
    ("group", "", "\"one\"", "\"two\"", Reevaluates),
    ("remote_asn", "", "64496", "64497", Resets),
    ("name", "", "\"a\"", "\"b\"", Reevaluates),
    ("local_address", "", "", "\"192.0.2.7\"", Resets),
    ("port", "", "179", "1179", Resets),
    ("passive", "", "", "true", Resets),
    ("enabled", "", "", "false", Resets),
    ("limit", "", "", "7", Nothing),
    ("families", "", "", "[\"ipv4-unicast\"]", Resets),
    ("add_path", "", "", "[\"ipv4-unicast\"]", Resets),
    ("local_role", "", "", "\"peer\"", Resets),
    ("strict_role", "local_role = \"peer\"", "", "true", Resets),
    ("import", "", "", "[\"accept-all\"]", Reevaluates),
    ("export", "", "", "[\"accept-all\"]", Reevaluates),
    ("monitor_only", "", "", "true", Resets),
    ("password", "", "\"a\"", "\"b\"", Resets),
    ("password_file", "", "", concat!("\"", env!("CARGO_MANIFEST_DIR"), "/Cargo.toml\""), Resets),
    ("ttl_security", "", "", "true", Resets),
    ("multihop", "", "2", "3", Resets),
    ("hold_time", "", "", "\"30s\"", Resets),
    ("min_hold_time", "", "", "\"30s\"", Resets),
    ("connect_retry", "", "", "\"9s\"", Resets),
    ("max_prefix", "", "10", "11", Nothing),
    ("next_hop_self", "", "", "true", Reevaluates),
    ("next_hop_unchanged", "", "", "true", Reevaluates),
    ("extended_next_hop", "", "", "true", Resets),
    ("delay_open", "", "", "\"5s\"", Resets),
    ("add_path_send", "", "", "[\"ipv4-unicast\"]", Resets),
    ("local_as", "", "", "64999", Resets),
    ("enforce_first_as", "", "", "false", Resets),
    ("as_sets", "", "", "\"accept\"", Resets),
    ("discard_attributes", "", "", "[128]", Resets),
    ("withdraw_attributes", "", "", "[128]", Resets),
    ("allow_own_as", "", "", "1", Reevaluates),
    ("flowspec_validation", "", "", "false", Reevaluates),
    ("weight", "", "", "1", Reevaluates),
    ("link_local_next_hop", "", "", "true", Reevaluates),
    ("route_reflector_client", "", "", "true", Resets),
    ("route_server_client", "", "", "true", Reevaluates),
    ("remove_private", "", "\"all\"", "\"replace\"", Reevaluates),
    ("as_override", "", "", "true", Reevaluates),
    ("add_path_select", "add_path_send = [\"ipv4-unicast\"]", "", "2", Reevaluates),
    ("default_originate", "", "", "[\"ipv4-unicast\"]", Reevaluates),
    ("advertisement_interval", "", "", "\"5s\"", Nothing),
    ("graceful_shutdown", "", "", "true", Reevaluates),
    ("aigp", "", "", "true", Resets),
    ("orf", "", "", "\"receive\"", Resets),
    ("orf_prefix_set", "orf = \"send\"", "\"one\"", "\"two\"", Nothing),
    ("orf_entries_max", "orf = \"receive\"", "", "7", Nothing),
    ("accept_validation_state", "", "", "true", Reevaluates),
    ("send_validation_state", "", "", "true", Reevaluates),
    ("graceful_restart", "", "", "\"off\"", Resets),
    ("restart_time", "", "", "\"60s\"", Resets),
    ("stale_time_max", "", "", "\"60s\"", Nothing),
    ("vantage", "", "", "\"public\"", Nothing),
    ("long_lived_stale_time", "", "", "\"60s\"", Resets),
    ("extended_message", "", "", "false", Resets),
    ("software_version", "", "", "true", Resets),
    // Told as one of the two whatever differs.
    ("next_hop_self", "", "true", "", Reevaluates),
];

#[test]
fn every_key_of_a_neighbour_has_its_cost() {
    for (key, beside, before, after, expected) in KEYS {
        let with = |value: &str| {
            let whom = if key == "limit" { "range = \"192.0.2.0/24\"" } else { "address = \"192.0.2.1\"" };
            let asn = if key == "remote_asn" { "" } else { "remote_asn = 64496\n" };
            let line = if value.is_empty() { String::new() } else { format!("{key} = {value}\n") };
            let text = format!("{AROUND}[[neighbor]]\n{whom}\n{asn}{beside}\n{line}");
            with_router(&text).unwrap_or_else(|error| panic!("{error}"))
        };
        let (old, new) = (with(before), with(after));
        let [Change::Changed { keys, cost, .. }] = &diff(&old, &new)[..] else { panic!("{key}: one change") };
        let named = keys.iter().flat_map(|told| told.split(" or ")).any(|told| key.starts_with(told));
        assert!(named, "{key} is told as {keys:?}");
        assert_eq!(*cost, expected, "{key}");
        assert_eq!(diff(&new, &new), [], "{key}");
    }
}

/// The reader knows all keys, and lists them for whoever writes another one.
#[test]
fn no_key_of_a_neighbour_is_forgotten_in_the_table() {
    let printed = faults(with_neighbor("quite_another_key = 1\n"));
    let (_, list) = printed.split_once("accepted here: ").expect("a list of keys");
    for key in list.trim().split(", ") {
        // A neighbour with another address is another neighbour.
        let identity = ["address", "range"].contains(&key);
        assert!(identity || KEYS.iter().any(|(known, ..)| *known == key), "{key} has no row");
    }
}

#[test]
fn a_plan_names_sections_neighbours_and_costs() {
    let old = with_neighbor("name = \"a\"\n[[neighbor]]\naddress = \"192.0.2.2\"\nremote_asn = 64497\n").unwrap();
    let new = with_neighbor(
        "name = \"b\"\nhold_time = \"30s\"\n[[neighbor]]\naddress = \"192.0.2.3\"\nremote_asn = 64497\n\
         [log]\nlevel = \"debug\"\nformat = \"json\"\n[http]\nenabled = false\n",
    )
    .unwrap();
    let new = Config { router: Router { owned: Owned::Any, ..new.router }, ..new };
    let expected = [
        ("[http]: changed, takes effect when ribwatch is started again", Restart),
        ("[log]: changed (format), takes effect when ribwatch is started again", Restart),
        ("[router]: changed (owned), holds for what is originated from now on", Nothing),
        ("[log]: level is debug now", Nothing),
        ("neighbor 192.0.2.2: removed, its session ends", Resets),
        ("neighbor b (192.0.2.1): changed (hold_time, name), its session resets", Resets),
        ("neighbor 192.0.2.3: added", Nothing),
    ];
    assert_eq!(told(&old, &new), expected.map(|(text, cost)| (text.to_owned(), cost)));

    let elsewhere = ROUTER.replace("64512", "64513").replace("198.51.100.1", "198.51.100.2");
    let moved = Config::parse("f.toml", &elsewhere).unwrap();
    assert_eq!(
        told(&with_router("").unwrap(), &moved),
        // The cluster is named after the router where nothing else is said (RFC 4456 §7).
        [(
            "[router]: changed (asn, router_id, cluster_id), takes effect when ribwatch is started again".into(),
            Restart
        )]
    );
}

#[test]
fn a_policy_that_means_something_else_under_its_name_is_told_with_whom_it_concerns() {
    let file = |prefix: &str, first: &str| {
        let text = format!(
            "[[policy.prefix_set]]\nname = \"space\"\nprefixes = [\"{prefix}\"]\n\
             [[policy.policy]]\nname = \"in\"\n[[policy.policy.statement]]\nmatch = {{ prefix = [\"space\"] }}\n\
             verdict = \"accept\"\n\
             [[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64496\nimport = [{first}]\n\
             [[neighbor]]\naddress = \"192.0.2.2\"\nremote_asn = 64497\nimport = [\"in\"]\n\
             [[neighbor]]\naddress = \"192.0.2.3\"\nremote_asn = 64498\nimport = [\"accept-all\"]\n"
        );
        with_router(&text).unwrap_or_else(|error| panic!("{error}"))
    };
    let old = file("203.0.113.0/24", "\"in\"");
    assert_eq!(told(&old, &file("203.0.113.0/24", "\"in\"")), []);
    assert_eq!(
        told(&old, &file("198.51.100.0/24", "\"in\"")),
        [("policy in: changed, 2 neighbors re-evaluated, no session resets".into(), Reevaluates)]
    );
    // One that names other policies now is told by itself.
    assert_eq!(
        told(&old, &file("198.51.100.0/24", "\"accept-all\"")),
        [
            ("policy in: changed, 1 neighbor re-evaluated, no session resets".into(), Reevaluates),
            (
                "neighbor 192.0.2.1: changed (import), its session goes on, and the difference is sent".into(),
                Reevaluates
            ),
        ]
    );
}

#[test]
fn a_key_of_a_group_that_changes_is_a_change_of_each_member() {
    let file = |hold_time: &str| {
        let text = format!(
            "[[neighbor_group]]\nname = \"g\"\nhold_time = \"{hold_time}\"\n\
             [[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64496\ngroup = \"g\"\n\
             [[neighbor]]\naddress = \"192.0.2.2\"\nremote_asn = 64496\ngroup = \"g\"\nhold_time = \"9s\"\n\
             [[neighbor]]\nrange = \"198.51.100.0/24\"\nremote_asn = \"any\"\ngroup = \"g\"\n"
        );
        with_router(&text).unwrap()
    };
    assert_eq!(
        told(&file("30s"), &file("60s")),
        ["192.0.2.1", "198.51.100.0/24"]
            .map(|who| (format!("neighbor {who}: changed (hold_time), its session resets"), Resets))
    );
}
