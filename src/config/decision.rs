//! `[decision]`: how best paths are chosen. What each key does stands with the knobs of `rib::best_path`.

use super::{
    read::Table,
    value::{self, misfit},
};
use crate::rib::{
    Knobs,
    best_path::{MAXIMUM_PATHS_MAX, MaximumPaths, NextHopCheck, NextHopRoute, NextHops},
};

/// Reads the section; absent keys are the defaults of `Knobs`.
pub(super) fn read(file: &mut Table<'_>) -> Knobs {
    let default = Knobs::default();
    let Some(mut table) = file.table("decision", "[decision]") else { return default };
    check_deterministic(&mut table);
    let mut flag = |key, default| table.or(key, default, value::boolean);
    let mut knobs = Knobs {
        always_compare_med: flag("always_compare_med", default.always_compare_med),
        missing_med_as_worst: flag("missing_med_as_worst", default.missing_med_as_worst),
        med_confed: flag("med_confed", default.med_confed),
        ignore_as_path_length: flag("ignore_as_path_length", default.ignore_as_path_length),
        as_path_confed: flag("as_path_confed", default.as_path_confed),
        aigp: flag("aigp", default.aigp),
        ignore_igp_metric: flag("ignore_igp_metric", default.ignore_igp_metric),
        prefer_older: flag("prefer_older", default.prefer_older),
        compare_router_id: flag("compare_router_id", default.compare_router_id),
        multipath_relax: flag("multipath_relax", default.multipath_relax),
        peer_type_relax: flag("peer_type_relax", default.peer_type_relax),
        same_cluster_len: flag("same_cluster_len", default.same_cluster_len),
        default_local_pref: default.default_local_pref,
        maximum_paths: default.maximum_paths,
        next_hops: default.next_hops,
    };
    knobs.default_local_pref = table.or("default_local_pref", knobs.default_local_pref, number);
    knobs.maximum_paths = read_maximum_paths(&mut table);
    check_multipath(&table, &knobs);
    knobs.next_hops = read_next_hops(&mut table);
    table.finish();
    knobs
}

/// `deterministic_med` may be written, since other daemons have it; it cannot be turned off.
fn check_deterministic(table: &mut Table<'_>) {
    if table.opt("deterministic_med", value::boolean) == Some(false) {
        let what = "`deterministic_med`: MEDs always compare within whole groups here, so that the best path never depends \
                    on the order in which paths arrived (RFC 3345)";
        table.fault(table.span_of("deterministic_med"), what, "accepted: true, or leave the line out");
    }
}

fn number(value: &super::read::Value<'_>) -> Result<u32, super::read::Misfit> {
    let number = value::integer(value, 0..=u32::MAX.into())?;
    u32::try_from(number).map_err(|_| misfit(value, "a number", "a whole number from 0 to 4294967295"))
}

/// `maximum_paths = { ebgp = 4, ibgp = 2 }`, or one number for both.
fn read_maximum_paths(table: &mut Table<'_>) -> MaximumPaths {
    const KEY: &str = "maximum_paths";
    let mut paths = MaximumPaths::default();
    if table.is_table(KEY) {
        if let Some(mut by_kind) = table.table(KEY, "[decision.maximum_paths]") {
            paths.ebgp = by_kind.or("ebgp", paths.ebgp, path_count);
            paths.ibgp = by_kind.or("ibgp", paths.ibgp, path_count);
            by_kind.finish();
        }
    } else if let Some(both) = table.opt(KEY, path_count) {
        paths = MaximumPaths { ebgp: both, ibgp: both };
    }
    paths
}

fn path_count(value: &super::read::Value<'_>) -> Result<u16, super::read::Misfit> {
    let accepted = format!(
        "a whole number from 1 to {MAXIMUM_PATHS_MAX}, or {{ ebgp = 4, ibgp = 2 }} with such numbers; 1 is no multipath"
    );
    let number = value::integer(value, 1..=MAXIMUM_PATHS_MAX.into());
    let number = number.map_err(|_| misfit(value, "a number of paths", accepted.clone()))?;
    u16::try_from(number).map_err(|_| misfit(value, "a number of paths", accepted))
}

/// What only says something about multipath sets says nothing where there are none.
fn check_multipath(table: &Table<'_>, knobs: &Knobs) {
    if knobs.maximum_paths.is_multipath() {
        return;
    }
    let relaxes = [
        ("multipath_relax", knobs.multipath_relax),
        ("peer_type_relax", knobs.peer_type_relax),
        ("same_cluster_len", knobs.same_cluster_len),
    ];
    for (key, _) in relaxes.into_iter().filter(|(_, on)| *on) {
        let what = format!("`{key}` is about paths beside the best one, but `maximum_paths` allows none");
        table.fault(table.span_of(key), what, "add maximum_paths = 4, or remove the line");
    }
}

fn read_next_hops(table: &mut Table<'_>) -> NextHops {
    let words = [("off", NextHopCheck::Off), ("strict", NextHopCheck::Strict), ("connected", NextHopCheck::Connected)];
    let check = table.or("next_hop_check", NextHopCheck::Off, |v| value::word(v, &words));
    let mut routes: Vec<NextHopRoute> = Vec::new();
    for mut row in table.tables("next_hop", "[[decision.next_hop]]") {
        let prefix = row.required("prefix", "prefix = \"192.0.2.0/24\"", value::prefix);
        let metric = row.or("metric", 0, number);
        let reachable = row.or("reachable", true, value::boolean);
        if !reachable && check == NextHopCheck::Off {
            let what = "`reachable = false` says nothing while `next_hop_check` is off";
            let help = "set next_hop_check = \"strict\" or \"connected\" in [decision]";
            row.fault(row.span_of("reachable"), what, help);
        }
        if let Some(prefix) = prefix {
            if routes.iter().any(|route| route.prefix == prefix) {
                let what = format!("a second [[decision.next_hop]] has the prefix {prefix}");
                row.fault(row.span_of("prefix"), what, "keep one of them");
            }
            routes.push(NextHopRoute { prefix, metric, reachable });
        }
        row.finish();
    }
    if check == NextHopCheck::Strict && routes.iter().all(|route| !route.reachable) {
        let what = "`next_hop_check` is strict, but no [[decision.next_hop]] is reachable: no route could be used";
        let help = "add [[decision.next_hop]] with the prefix of your next hops, or set next_hop_check = \"off\"";
        table.fault(table.span_of("next_hop_check"), what, help);
    }
    NextHops::new(check, &routes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Change, Config, diff},
        types::Prefix,
    };

    fn decision(keys: &str) -> Result<Config, String> {
        let text = format!("[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n[decision]\n{keys}\n");
        Config::parse("f.toml", &text).map_err(|error| error.to_string())
    }

    fn knobs(keys: &str) -> Knobs {
        decision(keys).unwrap_or_else(|faults| panic!("{keys}: {faults}")).decision
    }

    #[test]
    fn each_key_turns_its_knob_and_no_other() {
        type Turn = fn(&mut Knobs);
        let rows: &[(&str, Turn)] = &[
            ("", |_| ()),
            ("deterministic_med = true", |_| ()),
            ("default_local_pref = 4294967295", |k| k.default_local_pref = u32::MAX),
            ("always_compare_med = true", |k| k.always_compare_med = true),
            ("missing_med_as_worst = true", |k| k.missing_med_as_worst = true),
            ("med_confed = false", |k| k.med_confed = false),
            ("ignore_as_path_length = true", |k| k.ignore_as_path_length = true),
            ("as_path_confed = true", |k| k.as_path_confed = true),
            ("aigp = false", |k| k.aigp = false),
            ("ignore_igp_metric = true", |k| k.ignore_igp_metric = true),
            ("prefer_older = true", |k| k.prefer_older = true),
            ("compare_router_id = false", |k| k.compare_router_id = false),
            ("maximum_paths = 4", |k| k.maximum_paths = MaximumPaths { ebgp: 4, ibgp: 4 }),
            ("maximum_paths = { ibgp = 64 }", |k| k.maximum_paths = MaximumPaths { ebgp: 1, ibgp: 64 }),
            ("maximum_paths = 2\nmultipath_relax = true", |k| {
                (k.maximum_paths, k.multipath_relax) = (MaximumPaths { ebgp: 2, ibgp: 2 }, true);
            }),
            ("maximum_paths = 2\npeer_type_relax = true", |k| {
                (k.maximum_paths, k.peer_type_relax) = (MaximumPaths { ebgp: 2, ibgp: 2 }, true);
            }),
            ("maximum_paths = 2\nsame_cluster_len = true", |k| {
                (k.maximum_paths, k.same_cluster_len) = (MaximumPaths { ebgp: 2, ibgp: 2 }, true);
            }),
            ("next_hop_check = \"connected\"", |k| k.next_hops = NextHops::new(NextHopCheck::Connected, &[])),
            (
                "next_hop_check = \"strict\"\n[[decision.next_hop]]\nprefix = \"192.0.2.0/24\"\nmetric = 7\n\
                 [[decision.next_hop]]\nprefix = \"192.0.2.128/25\"\nreachable = false",
                |k| {
                    let row = |addr, len, metric, reachable| NextHopRoute {
                        prefix: Prefix::v4(addr, len),
                        metric,
                        reachable,
                    };
                    let rows = [row(0xc000_0200, 24, 7, true), row(0xc000_0280, 25, 0, false)];
                    k.next_hops = NextHops::new(NextHopCheck::Strict, &rows);
                },
            ),
        ];
        for (keys, turn) in rows {
            let mut expected = Knobs::default();
            turn(&mut expected);
            assert_eq!(knobs(keys), expected, "{keys}");
        }
    }

    #[test]
    fn a_fault_says_where_it_is_and_what_would_do() {
        let rows = [
            ("deterministic_med = false", "f.toml:5:21: `deterministic_med`: MEDs always compare", "accepted: true"),
            ("always_compare_meds = true", "f.toml:5:1: unknown key", "did you mean `always_compare_med`?"),
            ("maximum_paths = 65", "f.toml:5:17: `maximum_paths`: expected a number of paths", "from 1 to 64"),
            ("maximum_paths = { ebgp = 0 }", "f.toml:5:26: `ebgp`: expected a number of paths", "from 1 to 64"),
            ("multipath_relax = true", "f.toml:5:19: `multipath_relax` is about paths", "maximum_paths = 4"),
            ("default_local_pref = 4294967296", "f.toml:5:22: `default_local_pref`", "from 0 to 4294967295"),
            (
                "next_hop_check = \"on\"",
                "f.toml:5:18: `next_hop_check`",
                "accepted: \"off\", \"strict\", \"connected\"",
            ),
            (
                "next_hop_check = \"strict\"",
                "f.toml:5:18: `next_hop_check` is strict, but",
                "add [[decision.next_hop]]",
            ),
            (
                "[[decision.next_hop]]\nprefix = \"192.0.2.0/24\"\nreachable = false",
                "f.toml:7:13: `reachable = false` says nothing",
                "set next_hop_check = \"strict\" or \"connected\"",
            ),
            (
                "[[decision.next_hop]]\nprefix = \"::/0\"\n[[decision.next_hop]]\nprefix = \"::/0\"",
                "f.toml:8:10: a second [[decision.next_hop]] has the prefix ::/0",
                "keep one of them",
            ),
            ("[[decision.next_hop]]\nmetric = 1", "f.toml:5:", "prefix = \"192.0.2.0/24\""),
        ];
        for (keys, place, help) in rows {
            let faults = decision(keys).expect_err(keys);
            assert!(faults.contains(place) && faults.contains(help), "{keys}: {faults}");
        }
    }

    #[test]
    fn a_reload_chooses_best_paths_again_and_resets_no_session() {
        let (old, new) = (decision("").unwrap(), decision("aigp = false").unwrap());
        assert_eq!(diff(&old, &new), [Change::Decision]);
    }
}
