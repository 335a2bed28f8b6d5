//! Which keys of one `[[neighbor]]` contradict each other. A group may serve addresses and ranges alike, so `port` and
//! `limit` that do not concern one of them are only faults where it writes them itself.

use super::{
    super::{read::Table, value},
    Neighbor, filters,
};
use crate::{engine::NextHopRule, io::bgp::Remote, session::RemoteAsn};

/// Contradictions inside one neighbour.
pub(super) fn check(table: &Table<'_>, neighbor: &Neighbor) {
    let fault = |key: &str, what: String, help: &str| table.fault(table.span_of(key), what, help);
    match neighbor.remote {
        Remote::Range(_) => {
            if table.has_own("port") {
                let what = "`port` contradicts `range`: we never connect to the speakers of a range".to_owned();
                fault("port", what, "remove `port`");
            }
            if !neighbor.passive {
                let what = "`passive = false` contradicts `range`: we wait for the speakers of a range".to_owned();
                fault("passive", what, "remove `passive`");
            }
        }
        Remote::Address(_) => {
            if !matches!(neighbor.remote_asn, RemoteAsn::Exact(_)) {
                let what = "`remote_asn` must be one AS number: only a `range` takes \"any\" or a list".to_owned();
                fault("remote_asn", what, "write the neighbour's AS number, such as remote_asn = 64496");
            }
            if table.has_own("limit") {
                fault("limit", "`limit` is about a `range`, and this is one address".to_owned(), "remove `limit`");
            }
        }
    }
    if let Some(local) = neighbor.local_address
        && local.is_ipv4() != neighbor.remote.prefix().is_v4()
    {
        let what = format!("`local_address` {local} and {} are of different address families", neighbor.remote);
        fault("local_address", what, "give both as IPv4 or both as IPv6");
    }
    if neighbor.local_address.is_some_and(|local| Remote::Address(local) == neighbor.remote) && neighbor.port == 179 {
        fault("local_address", "`local_address` is the neighbour's own address".to_owned(), "give our end");
    }
    if neighbor.monitor_only && neighbor.export.iter().any(|policy| policy != "reject-all") {
        let what = "`export` contradicts `monitor_only`: nothing is ever sent on such a session".to_owned();
        fault("export", what, "remove `export` (or write [\"reject-all\"]), or set monitor_only = false");
    }
    let options = &neighbor.export_options;
    if neighbor.monitor_only && options.send_validation_state {
        let what =
            "`send_validation_state` contradicts `monitor_only`: nothing is ever sent on such a session".to_owned();
        fault("send_validation_state", what, "remove one of them");
    }
    if options.route_reflector_client && options.route_server_client {
        let what = "`route_server_client` contradicts `route_reflector_client`: one is between ASes, one inside ours";
        fault("route_server_client", what.to_owned(), "remove one of them");
    }
    if options.route_server_client && neighbor.next_hop == NextHopRule::OwnAddress {
        let what =
            "`next_hop_self` contradicts `route_server_client`: a route server keeps the next hop (RFC 7947 §2.2.1)";
        fault("next_hop_self", what.to_owned(), "remove one of them");
    }
    for (key, families) in
        [("add_path_send", &neighbor.add_path_send), ("default_originate", &options.default_originate)]
    {
        for family in families.iter().filter(|family| !neighbor.families.contains(family)) {
            fault(
                key,
                format!("`{key}` names {family}, which is not in `families`"),
                "add it to `families` or remove it here",
            );
        }
    }
    if table.has_own("add_path_select") && neighbor.add_path_send.is_empty() {
        let what = "`add_path_select` without `add_path_send` says nothing".to_owned();
        fault("add_path_select", what, "add a line such as: add_path_send = [\"ipv4-unicast\"]");
    }
    filters::check(table, &neighbor.route_filters, neighbor.monitor_only);
    if neighbor.strict_role && neighbor.local_role.is_none() {
        let what = "`strict_role` without `local_role` says nothing".to_owned();
        fault("strict_role", what, "add a line such as: local_role = \"customer\"");
    }
    if !neighbor.hold_time.is_zero() && neighbor.min_hold_time > neighbor.hold_time {
        let what = format!(
            "`min_hold_time` ({}) is longer than `hold_time` ({}), so no session could come up",
            value::print_duration(neighbor.min_hold_time),
            value::print_duration(neighbor.hold_time),
        );
        fault(if table.has("min_hold_time") { "min_hold_time" } else { "hold_time" }, what, "make it shorter");
    }
    for family in neighbor.add_path.iter().filter(|family| !neighbor.families.contains(family)) {
        let what = format!("`add_path` names {family}, which is not in `families`");
        fault("add_path", what, "add it to `families` or remove it here");
    }
    for (family, _) in &neighbor.max_prefix {
        if let Some(family) = family.filter(|family| !neighbor.families.contains(family)) {
            let what = format!("`max_prefix` limits {family}, which is not in `families`");
            fault("max_prefix", what, "add it to `families` or remove it here");
        }
    }
}
