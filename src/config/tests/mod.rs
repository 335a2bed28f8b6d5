//! Tables of what a file may say and how its faults are told.

use std::{path::Path, sync::Arc, time::Duration};

use super::*;
use crate::{
    engine::{AddPathSelect, LocalAs, NextHopRule, Owned, RemovePrivate},
    io::bgp::Distance,
    session::RemoteAsn,
    types::{Asn, Family, Role},
    wire::bgp::update::AsSets,
};

const ROUTER: &str = "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n";

fn with_router(rest: &str) -> Result<Config, ConfigError> {
    Config::parse("f.toml", &format!("{ROUTER}{rest}"))
}

fn with_neighbor(keys: &str) -> Result<Config, ConfigError> {
    with_router(&format!("[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64496\n{keys}"))
}

/// What is printed for a text that has faults.
fn faults(result: Result<Config, ConfigError>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// First lines of what is printed, without the excerpts.
fn headlines(result: Result<Config, ConfigError>) -> Vec<String> {
    let text = faults(result);
    text.lines().filter(|line| line.starts_with("f.toml:")).map(str::to_owned).collect()
}

#[test]
fn every_example_is_a_configuration() {
    for (file, neighbors) in [
        ("minimal.toml", 1),
        ("speaker.toml", 2),
        ("monitor.toml", 3),
        ("route-server.toml", 3),
        ("policy.toml", 1),
        ("alerts.toml", 1),
        ("access.toml", 0),
        ("watch.toml", 0),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file);
        match Config::load(&path) {
            Ok(config) => assert_eq!(config.neighbors.len(), neighbors, "{file}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_configuration_of_the_contract_is_accepted() {
    let config = Config::parse(
        "contract.toml",
        r#"
[router]
asn       = 64512
router_id = "198.51.100.1"
listen    = ["0.0.0.0:179", "[::]:179"]
[api]
listen = "127.0.0.1:50051"
[http]
listen = "127.0.0.1:8179"
[state]
dir = "/var/lib/ribwatch"
[[neighbor]]
name          = "edge-1"
address       = "192.0.2.1"
remote_asn    = 64496
local_address = "192.0.2.254"
port          = 179
passive       = false
families      = ["ipv4-unicast", "ipv6-unicast"]
local_role    = "customer"
import        = ["accept-all"]
export        = ["reject-all"]
monitor_only  = true
[[rpki.cache]]
name    = "validator-1"
address = "127.0.0.1:3323"
[[watch.prefix]]
prefix    = "203.0.113.0/24"
origins   = [64500]
upstreams = [64496, 64497]
"#,
    )
    .unwrap();
    assert_eq!(config.router.asn, Asn(64512));
    let neighbor = &config.neighbors[0];
    assert_eq!(neighbor.label(), "neighbor edge-1 (192.0.2.1)");
    assert_eq!(neighbor.remote_asn, RemoteAsn::Exact(Asn(64496)));
    assert_eq!(neighbor.families, [Family::IPV4_UNICAST, Family::IPV6_UNICAST]);
    assert_eq!(neighbor.local_role, Some(Role::Customer));
    assert_eq!(config.detect.prefixes[0].upstreams, Some(vec![Asn(64496), Asn(64497)]));
    assert_eq!(config.inactive(), Vec::<String>::new());
}

#[test]
fn absent_keys_have_the_defaults_of_the_contract() {
    let config = with_neighbor("").unwrap();
    let listen: Vec<String> = config.router.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["0.0.0.0:179", "[::]:179"]);
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:50051");
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8179");
    assert_eq!(config.state, None);
    assert!(config.rib.best_path);
    assert_eq!(config.rib.history, 32 << 20);
    let neighbor = &config.neighbors[0];
    assert_eq!((neighbor.port, neighbor.passive, neighbor.enabled), (179, false, true));
    assert_eq!((neighbor.hold_time, neighbor.min_hold_time), (Duration::from_secs(90), Duration::from_secs(3)));
    assert!(neighbor.import.is_empty() && neighbor.export.is_empty() && !neighbor.monitor_only);
    assert_eq!(neighbor.distance, Distance::Default);
}

#[test]
fn a_fault_shows_its_place_its_line_and_what_would_be_accepted() {
    let cases = [
        (
            faults(with_neighbor("holdtime = \"90s\"\n")),
            "f.toml:7:1: unknown key `holdtime` in [[neighbor]]\n\
             \x20 |\n\
             7 | holdtime = \"90s\"\n\
             \x20 | ^^^^^^^^\n\
             \x20 = did you mean `hold_time`?",
        ),
        (
            faults(with_neighbor("hold_time = 90\n")),
            "f.toml:7:13: `hold_time`: expected a duration, found the number 90\n\
             \x20 |\n\
             7 | hold_time = 90\n\
             \x20 |             ^^\n\
             \x20 = accepted: a string with units ms, s, m, h or d, such as \"90s\", \"15m\" or \"1h30m\"",
        ),
        (
            faults(with_neighbor("families = [\"ipv4-unicast\", \"ipv6-unicst\"]\n")),
            "f.toml:7:29: `families`: expected an address family, found the string \"ipv6-unicst\"; \
             did you mean \"ipv6-unicast\"?\n\
             \x20 |\n\
             7 | families = [\"ipv4-unicast\", \"ipv6-unicst\"]\n\
             \x20 |                             ^^^^^^^^^^^^^\n\
             \x20 = accepted: ipv4-unicast, ipv6-unicast, ipv4-multicast, ipv6-multicast, ipv4-labeled-unicast, \
             ipv6-labeled-unicast, vpnv4-unicast, vpnv6-unicast, l2vpn-evpn, ipv4-flowspec, ipv6-flowspec, bgp-ls, \
             ipv4-rtc, or afiN-safiM for any other",
        ),
        (
            faults(with_neighbor("export = [\"acept-all\"]\n")),
            "f.toml:7:11: `export`: no policy is called \"acept-all\"; did you mean \"accept-all\"?\n\
             \x20 |\n\
             7 | export = [\"acept-all\"]\n\
             \x20 |           ^^^^^^^^^^^\n\
             \x20 = accepted: accept-all, reject-all (the built-in policies), or one that [[policy.policy]] defines",
        ),
        (
            faults(Config::parse("f.toml", "[router]\nasn = 64512\n")),
            "f.toml:1:1: [router] lacks `router_id`\n\
             \x20 |\n\
             1 | [router]\n\
             \x20 | ^^^^^^^^\n\
             \x20 = add a line such as: router_id = \"198.51.100.1\"",
        ),
        (
            faults(Config::parse("f.toml", "")),
            "f.toml:1:1: the file lacks the section [router]\n\
             \x20 |\n\
             1 | \n\
             \x20 | ^\n\
             \x20 = add: [router], asn = 64512 and router_id = \"198.51.100.1\" with your own numbers",
        ),
        (
            faults(with_router("[colour]\n")),
            "f.toml:4:2: unknown key `colour` in the file\n\
             \x20 |\n\
             4 | [colour]\n\
             \x20 |  ^^^^^^\n\
             \x20 = accepted here: router, api, http, access, state, rib, decision, log, telemetry, rpki, watch, detect, alert, sink, policy, neighbor_group, \
             neighbor",
        ),
    ];
    for (printed, expected) in cases {
        assert_eq!(printed, expected);
    }
}

#[test]
fn all_faults_of_a_file_are_told_at_once_in_the_order_of_the_text() {
    let text =
        "[router]\nasn = 0\nrouter_id = \"1.2.3\"\nlisten = [\"179\"]\n[[neighbor]]\nremote_asn = 64496\nport = 0\n";
    assert_eq!(
        headlines(Config::parse("f.toml", text)),
        [
            "f.toml:2:7: `asn`: expected an AS number, found the number 0",
            "f.toml:3:13: `router_id`: expected a router id, found the string \"1.2.3\"",
            "f.toml:4:11: `listen`: expected an address and a port, found the string \"179\"",
            "f.toml:5:1: [[neighbor]] lacks `address` or `range`",
            "f.toml:7:8: `port`: expected a whole number from 1 to 65535, found the number 0",
        ]
    );
}

#[test]
fn wrong_types_and_values_are_told_for_every_kind_of_key() {
    let cases = [
        ("name = \"\"", "`name`: expected a text, found the string \"\""),
        ("name = \"a\\nb\"", "`name`: expected a name, found the string \"a\\nb\""),
        ("passive = \"yes\"", "`passive`: expected a yes or no, found the string \"yes\""),
        ("port = 70000", "`port`: expected a whole number from 1 to 65535, found the number 70000"),
        ("port = -1", "`port`: expected a whole number from 1 to 65535, found the number -1"),
        ("local_role = \"boss\"", "`local_role`: expected a role, found the string \"boss\""),
        ("import = \"accept-all\"", "`import`: expected a list, found the string \"accept-all\""),
        ("families = []", "`families`: the list is empty"),
        ("families = [\"bgp-ls\", \"bgp-ls\"]", "`families`: the string \"bgp-ls\" stands twice in the list"),
        ("hold_time = \"2s\"", "`hold_time`: expected a hold time, found the string \"2s\""),
        (
            "hold_time = \"20h\"",
            "`hold_time`: expected a duration from \"0s\" to \"18h12m15s\", found the string \"20h\"",
        ),
        ("hold_time = \"1 fortnight\"", "`hold_time`: expected a duration, found the string \"1 fortnight\""),
        ("multihop = 0", "`multihop`: expected a whole number from 1 to 255, found the number 0"),
        ("ttl_security = \"on\"", "`ttl_security`: expected hops, found the string \"on\""),
        ("password_file = \"/nonexistent/p\"", "cannot be read"),
        ("max_prefix = \"all\"", "`max_prefix`: expected a number, found the string \"all\""),
        ("max_prefix = { warning = 50 }", "[neighbor.max_prefix] lacks `limit`"),
        ("max_prefix = { limit = 5, warning = 0 }", "`warning`: expected a whole number from 1 to 100"),
        ("max_prefix = { ipv5-unicast = { limit = 5 } }", "unknown key `ipv5-unicast` in [neighbor.max_prefix]"),
        ("local_address = \"fe80::1\"", "`local_address`: expected the address of one router"),
        ("colour = \"red\"", "unknown key `colour` in [[neighbor]]"),
        ("[neighbor.import]\n", "`import`: expected a list, found a table"),
    ];
    for (keys, expected) in cases {
        let printed = headlines(with_neighbor(keys));
        assert!(printed.len() == 1 && printed[0].contains(expected), "{keys}: {printed:?}");
    }
}

#[test]
fn contradictions_are_told_where_they_stand() {
    let range = "[[neighbor]]\nrange = \"192.0.2.0/24\"\nremote_asn = \"any\"\n";
    let cases: [(Result<Config, ConfigError>, &str); 18] = [
        (with_neighbor("range = \"192.0.2.0/24\""), "f.toml:7:9: `range` contradicts `address`"),
        (with_router(&format!("{range}port = 179")), "f.toml:7:8: `port` contradicts `range`"),
        (with_router(&format!("{range}passive = false")), "f.toml:7:11: `passive = false` contradicts `range`"),
        (
            with_router("[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = \"any\""),
            "f.toml:6:14: `remote_asn` must be one AS number",
        ),
        (with_neighbor("limit = 5"), "f.toml:7:9: `limit` is about a `range`"),
        (with_neighbor("local_address = \"2001:db8::1\""), "f.toml:7:17: `local_address` 2001:db8::1 and 192.0.2.1"),
        (with_neighbor("local_address = \"192.0.2.1\""), "f.toml:7:17: `local_address` is the neighbour's own"),
        (
            with_neighbor("monitor_only = true\nexport = [\"accept-all\"]"),
            "f.toml:8:10: `export` contradicts `monitor_only`",
        ),
        (with_neighbor("strict_role = true"), "f.toml:7:15: `strict_role` without `local_role`"),
        (
            with_neighbor("hold_time = \"30s\"\nmin_hold_time = \"60s\""),
            "f.toml:8:17: `min_hold_time` (1m) is longer than `hold_time` (30s)",
        ),
        (
            with_neighbor("families = [\"ipv4-unicast\"]\nadd_path = [\"ipv6-unicast\"]"),
            "f.toml:8:12: `add_path` names ipv6-unicast, which is not in `families`",
        ),
        (
            with_neighbor("max_prefix = { bgp-ls = { limit = 5 } }"),
            "f.toml:7:14: `max_prefix` limits bgp-ls, which is not in `families`",
        ),
        (with_neighbor("ttl_security = 1\nmultihop = 2"), "f.toml:8:12: `multihop` contradicts `ttl_security`"),
        (with_neighbor("password = \"a\"\npassword_file = \"/dev/null\""), "`password_file`"),
        (
            with_neighbor("[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64497"),
            "f.toml:8:11: a second [[neighbor]] has the address 192.0.2.1",
        ),
        (
            with_router(
                "[[neighbor]]\nname = \"a\"\naddress = \"192.0.2.1\"\nremote_asn = 64496\n\
                 [[neighbor]]\nname = \"a\"\naddress = \"192.0.2.2\"\nremote_asn = 64496",
            ),
            "f.toml:9:8: a second [[neighbor]] has the name \"a\"",
        ),
        (
            Config::parse("f.toml", &format!("{ROUTER}listen = []\n{range}")),
            "f.toml:5:1: neighbor 192.0.2.0/24 waits to be connected to, but [router] listen is empty",
        ),
        (
            with_router("[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64512\nlocal_role = \"peer\""),
            "f.toml:7:14: neighbor 192.0.2.1 is in our own AS, and roles are between ASes (RFC 9234 §4.1)",
        ),
    ];
    for (result, expected) in cases {
        let printed = headlines(result);
        assert!(printed.iter().any(|line| line.contains(expected)), "expected {expected}\nprinted {printed:?}");
    }
}

#[test]
fn what_is_not_toml_is_told_at_its_place() {
    let printed = faults(Config::parse("f.toml", "[router]\nasn = \nrouter_id = \"198.51.100.1\"\n"));
    assert!(printed.starts_with("f.toml:2:"), "{printed}");
    assert!(printed.contains("2 | asn = \n"), "{printed}");
    let printed = headlines(with_router("[api]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n"));
    assert!(printed.len() == 1 && printed[0].starts_with("f.toml:6:1: not TOML: duplicate key"), "{printed:?}");
}

#[test]
fn max_prefix_is_a_number_or_a_table_with_families() {
    let short = with_neighbor("max_prefix = 1000").unwrap();
    assert_eq!(short.neighbors[0].max_prefix.len(), 1);
    let (family, limit) = &short.neighbors[0].max_prefix[0];
    assert_eq!((*family, limit.limit, limit.warning_percent, limit.restart_after), (None, 1000, 80, None));
    let long = with_neighbor("max_prefix = { limit = 10, restart = \"30m\", ipv6-unicast = { limit = 5 } }").unwrap();
    let limits: Vec<_> = long.neighbors[0].max_prefix.iter().map(|(family, limit)| (*family, limit.limit)).collect();
    assert_eq!(limits, [(None, 10), (Some(Family::IPV6_UNICAST), 5)]);
    assert_eq!(long.neighbors[0].max_prefix[0].1.restart_after, Some(Duration::from_secs(1800)));
}

#[test]
fn durations_have_units_and_print_as_they_are_read() {
    let cases = [
        ("90s", Some(90_000), "1m30s"),
        ("15m", Some(900_000), "15m"),
        ("1h30m", Some(5_400_000), "1h30m"),
        ("500ms", Some(500), "500ms"),
        ("2d", Some(172_800_000), "2d"),
        ("0s", Some(0), "0s"),
        ("90", None, ""),
        ("s", None, ""),
        ("", None, ""),
        ("-5s", None, ""),
        ("1.5h", None, ""),
        ("99999999999999999999s", None, ""),
        ("9999999999999999d", None, ""),
    ];
    for (text, millis, printed) in cases {
        assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        if let Some(duration) = parse_duration(text) {
            assert_eq!(print_duration(duration), printed);
            assert_eq!(parse_duration(&print_duration(duration)), Some(duration));
        }
    }
}

#[test]
fn the_memory_of_what_was_said_has_a_size_with_a_unit() {
    let history = |text: &str| with_neighbor(&format!("[rib]\nhistory = {text}"));
    for (text, octets) in [("\"0\"", 0), ("\"64KiB\"", 65_536), ("\"64 MiB\"", 64 << 20), ("\"16GiB\"", 16 << 30)] {
        assert_eq!(history(text).unwrap().rib.history, octets, "{text}");
    }
    for text in ["64", "\"64\"", "\"\"", "\"MiB\"", "\"64MB\"", "\"-1MiB\"", "\"99999999999999999999GiB\"", "true"] {
        let printed = headlines(history(text));
        assert!(printed.len() == 1 && printed[0].contains("`history`: expected a number of octets"), "{printed:?}");
    }
    assert!(headlines(history("\"17GiB\""))[0].contains("at most \"16GiB\""));
}

#[test]
fn a_password_is_never_printed() {
    let config = with_neighbor("password = \"s3cret\"").unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn a_neighbour_of_run_time_is_read_alone_and_against_the_router() {
    let config = with_router("").unwrap();
    let neighbor = parse_neighbor("address = \"192.0.2.9\"\nremote_asn = 64499\n", &config).unwrap();
    assert_eq!(neighbor.label(), "neighbor 192.0.2.9");
    let error = parse_neighbor("address = \"192.0.2.9\"\n", &config).unwrap_err().to_string();
    assert!(error.starts_with("neighbor:1:1: [[neighbor]] lacks `remote_asn`"), "{error}");
}

#[test]
fn what_a_neighbour_is_told_to_be_reaches_its_session_and_the_engine() {
    let config = with_neighbor(
        "delay_open = \"5s\"\nadd_path_send = [\"ipv4-unicast\"]\nadd_path_select = 3\nallow_own_as = 2\nweight = 7\n\
         local_as = { asn = 64999, replace_as = true }\nas_sets = \"accept\"\ndiscard_attributes = [40, 128]\n\
         next_hop_unchanged = true\nremove_private = \"replace\"\nadvertisement_interval = \"30s\"\n\
         graceful_restart = \"off\"\nextended_next_hop = true\n",
    )
    .unwrap();
    let settings = config.neighbors[0].settings(&config.router);
    let (session, engine) = (&settings.session, &settings.engine);
    assert_eq!(session.delay_open, Some(Duration::from_secs(5)), "RFC 4271 §8.1.1");
    assert_eq!((session.local_asn, session.add_path_send.len()), (Asn(64999), 1));
    assert!(session.rules.discard.contains(40) && session.rules.discard.contains(128) && session.extended_next_hop);
    assert_eq!(session.rules.as_sets, AsSets::Accept);
    assert_eq!((engine.import_options.allow_own_as, engine.import_options.weight), (2, 7));
    assert_eq!(engine.local_as, Some(LocalAs { asn: Asn(64999), no_prepend: false, replace_as: true }));
    let options = &engine.export_options;
    assert_eq!((options.add_path, options.next_hop), (AddPathSelect::Best(3), NextHopRule::Unchanged));
    assert_eq!(options.remove_private, Some(RemovePrivate::Replace));
    assert_eq!(options.advertisement_interval, Duration::from_secs(30));
    assert!(!engine.retention.helper);

    let plain = with_neighbor("").unwrap();
    let settings = plain.neighbors[0].settings(&plain.router);
    assert_eq!(settings.session.delay_open, None);
    assert_eq!(settings.session.rules.as_sets, AsSets::TreatAsWithdraw, "RFC 9774 §3");
    assert!(settings.session.enforce_first_as && settings.engine.retention.helper);
    // RFC 7947 §2.2.2.1: a route server does not put itself into the path.
    let client = with_neighbor("local_role = \"rs-client\"").unwrap();
    assert!(!client.neighbors[0].settings(&client.router).session.enforce_first_as);
    let collector = with_neighbor("monitor_only = true").unwrap();
    assert_eq!(collector.neighbors[0].settings(&collector.router).session.rules.as_sets, AsSets::Accept);
}

#[test]
fn those_outside_a_confederation_know_us_by_its_identifier() {
    let text =
        "[router]\nasn = 65001\nrouter_id = \"198.51.100.1\"\n[router.confederation]\nid = 64512\nmembers = [65002]\n";
    let with = |asn: u32| {
        let config =
            Config::parse("f.toml", &format!("{text}[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = {asn}\n"));
        let config = config.unwrap();
        let session = Arc::clone(&config.neighbors[0].settings(&config.router).session);
        (session.local_asn, session.rules.confederation)
    };
    // RFC 5065 §4.1: the confederation identifier outside, the member AS inside.
    assert_eq!(with(64496), (Asn(64512), false));
    assert_eq!(with(65002), (Asn(65001), true));
    assert_eq!(with(65001), (Asn(65001), false));
}

#[test]
fn what_may_be_originated_is_nothing_a_list_or_anything() {
    let owned = |keys: &str| with_router(keys).map(|config| config.router.owned);
    assert_eq!(owned("").unwrap(), Owned::Within(Vec::new()), "the default is the safe one");
    assert_eq!(owned("owned = \"any\"\n").unwrap(), Owned::Any);
    let list = owned("owned = [\"203.0.113.0/24\", \"2001:db8::/32\"]\n").unwrap();
    assert_eq!(list, Owned::Within(vec!["203.0.113.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()]));
    for (keys, words) in [
        ("owned = \"all\"\n", "expected the prefixes that are ours"),
        ("owned = [\"203.0.113.1/24\"]\n", "did you mean 203.0.113.0/24"),
        ("owned = [\"203.0.113.0/24\", \"203.0.113.0/24\"]\n", "stands twice"),
    ] {
        let text = faults(with_router(keys));
        assert!(text.contains(words) && text.starts_with("f.toml:4:"), "{text}");
    }
}

mod access;
mod alert;
mod filters;
mod groups;
mod reload;
mod rpki;
mod sinks;
mod watch;

#[test]
fn traces_are_a_part_of_builds_that_ask_for_it() {
    let good = "[telemetry]\notlp = \"http://127.0.0.1:4317\"\n";
    if cfg!(not(feature = "otel")) {
        let printed = faults(with_router(good));
        assert!(printed.contains("f.toml:4:") && printed.contains("--features otel"), "{printed}");
        return;
    }
    assert_eq!(with_router(good).unwrap().telemetry.unwrap().otlp, "http://127.0.0.1:4317");
    for bad in ["", "otlp = \"127.0.0.1:4317\"\n", "otlp = \"http://a/v1\"\n", "otlp = \"http://u:p@a\"\n", "otl = 1\n"]
    {
        let printed = faults(with_router(&format!("[telemetry]\n{bad}")));
        assert!(printed.contains("otlp") && printed.contains("4317"), "{bad}: {printed}");
    }
}
