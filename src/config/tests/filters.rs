//! Outbound route filters: what a file may say of them.

use super::*;
use crate::wire::bgp::capability::OrfMode;

const SETS: &str = "[[policy.prefix_set]]\nname = \"wanted\"\nprefixes = [\"192.0.2.0/24\", \"2001:db8::/32 le 48\", \"203.0.113.0/24+\"]\n";

fn with(keys: &str) -> Result<Config, ConfigError> {
    with_router(&format!("{SETS}[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 64496\n{keys}"))
}

#[test]
fn a_filter_is_for_all_families_or_for_some_and_its_set_becomes_entries() {
    let config = with("orf = \"both\"\norf_prefix_set = \"wanted\"\norf_entries_max = 5\n").unwrap();
    let filters = &config.neighbors[0].route_filters;
    assert_eq!(filters.modes, [(Family::IPV4_UNICAST, OrfMode::Both), (Family::IPV6_UNICAST, OrfMode::Both)]);
    let entries: Vec<_> =
        filters.entries.iter().map(|e| (e.sequence, e.prefix.to_string(), e.min_len, e.max_len)).collect();
    let expected = [
        (1, "192.0.2.0/24".to_owned(), 24, 24),
        (2, "203.0.113.0/24".to_owned(), 24, 32),
        (1, "2001:db8::/32".to_owned(), 32, 48),
    ];
    assert_eq!(entries, expected);
    let settings = config.neighbors[0].settings(&config.router);
    assert_eq!((settings.engine.filter_entries_max, settings.route_filter.len()), (5, 3));
    assert_eq!(settings.session.route_filters, filters.modes);

    let config = with("orf = { ipv6-unicast = \"receive\" }\n").unwrap();
    assert_eq!(config.neighbors[0].route_filters.modes, [(Family::IPV6_UNICAST, OrfMode::Receive)]);
    assert!(with("").unwrap().neighbors[0].route_filters.modes.is_empty(), "off unless asked for");
    // By command too, with the sets of the file.
    let keys = "address = \"192.0.2.9\"\nremote_asn = 64499\norf = \"send\"\norf_prefix_set = \"wanted\"\n";
    assert_eq!(parse_neighbor(keys, &config).unwrap().route_filters.entries.len(), 3);
}

#[test]
fn faults_of_filters_are_told_where_they_stand() {
    for (keys, expected) in [
        ("orf = \"on\"", "f.toml:10:7: `orf`: "),
        ("orf = { ipv4 = \"send\" }", "f.toml:10:9: `orf`: no address family is called \"ipv4\""),
        ("orf = { l2vpn-evpn = \"send\" }", "f.toml:10:9: `orf`: l2vpn-evpn can have no route filters"),
        ("orf = { ipv4-multicast = \"send\" }", "f.toml:10:9: `orf`: ipv4-multicast is not in `families`"),
        ("families = [\"l2vpn-evpn\"]\norf = \"send\"", "f.toml:11:7: `orf`: none of the neighbor's families"),
        (
            "orf = \"send\"\norf_prefix_set = \"wantd\"",
            "f.toml:11:18: `orf_prefix_set`: no prefix set is called \"wantd\"; did you mean \"wanted\"?",
        ),
        (
            "orf = \"receive\"\norf_prefix_set = \"wanted\"",
            "f.toml:11:18: `orf_prefix_set` says nothing where no filter is sent",
        ),
        (
            "orf = \"send\"\norf_entries_max = 7",
            "f.toml:11:19: `orf_entries_max` says nothing where no filter is received",
        ),
        ("orf = \"both\"\nmonitor_only = true", "f.toml:10:7: `orf` contradicts `monitor_only`"),
    ] {
        let told = headlines(with(keys));
        assert!(told.iter().any(|line| line.starts_with(expected)), "{keys}: {told:?}");
    }
    let many: Vec<String> = (0..10_001).map(|i| format!("\"10.{}.{}.0/24\"", i / 256, i % 256)).collect();
    let file = format!(
        "[[policy.prefix_set]]\nname = \"many\"\nprefixes = [{}]\n[[neighbor]]\naddress = \"192.0.2.1\"\n\
         remote_asn = 64496\norf = \"send\"\norf_prefix_set = \"many\"",
        many.join(", ")
    );
    assert!(faults(with_router(&file)).contains("has more members than a neighbor is told of"));
}
