//! `[[sink]]`: who is told of alerts. Keys of every sink stand here, those of one type in `kinds`, and how secrets and
//! addresses are read in `parts`.

mod kinds;
mod parts;

use std::{path::PathBuf, time::Duration};

use super::{
    read::{Table, Value},
    sections::Router,
    value,
};
use crate::{
    detect::{Kind, Severity},
    sink::{Filter, Retry, SinkSettings, template::Escape},
};

/// Reads every `[[sink]]`.
pub(super) fn read(file: &mut Table<'_>, router: Option<&Router>) -> Vec<SinkSettings> {
    let source = router.map(|router| router.hostname.clone().unwrap_or_else(|| router.router_id.to_string()));
    let source = source.unwrap_or_default();
    let mut sinks: Vec<SinkSettings> = Vec::new();
    for mut table in file.tables("sink", "[[sink]]") {
        let sink = read_one(&mut table, &source);
        if let Some(sink) = sink {
            if sinks.iter().any(|other| other.name == sink.name) {
                let what = format!("a second [[sink]] has the name {:?}", sink.name);
                table.fault(table.span_of("name"), what, "give each sink a name of its own");
            }
            sinks.push(sink);
        }
        table.finish();
    }
    sinks
}

fn read_one(table: &mut Table<'_>, source: &str) -> Option<SinkSettings> {
    let name = table.required("name", "name = \"noc\"", parts::name);
    let types = kinds::TYPES.map(|kind| (kind, kind));
    let kind = table.required("type", "type = \"webhook\"", |v| value::word(v, &types));
    let filter = read_filter(table);
    let retry = read_retry(table);
    let seconds = |longest: u64| Duration::from_secs(1)..=Duration::from_secs(longest);
    let timeout = table.or("timeout", Duration::from_secs(10), |v| value::duration(v, seconds(600)));
    let down_after = table.or("down_after", Duration::from_secs(300), |v| value::duration(v, seconds(86_400)));
    let queue_max = table.or("queue_max", 10_000, |v| value::integer(v, 1..=1_000_000).map(|max| max as usize));
    let source = table.opt("source", value::label).unwrap_or_else(|| source.to_owned());
    let link = table.opt("link", |v| parts::template(v, Escape::Url, "\"https://noc.example/alerts/{{ id }}\""));
    let ca_file = table.opt("ca_file", parts::readable);
    // Without a type, nobody can say which other keys belong here.
    let Some(kind) = kind else {
        kinds::know_all(table);
        return None;
    };
    let receiver = kinds::read(table, kind);
    if ca_file.is_some() && receiver.as_ref().is_some_and(|receiver| !parts::uses_tls(receiver)) {
        let what = "`ca_file` is for TLS, which this sink does not use";
        table.fault(table.span_of("ca_file"), what, "remove it, or use an https:// address or a protected transport");
    }
    Some(SinkSettings {
        name: name?,
        receiver: receiver?,
        filter,
        source,
        link,
        timeout,
        retry,
        queue_max,
        down_after,
        ca_file: ca_file.map(PathBuf::from),
    })
}

fn read_filter(table: &mut Table<'_>) -> Filter {
    let severity = |v: &Value<'_>| {
        let words: Vec<(&str, Severity)> = Severity::ALL.iter().map(|severity| (severity.name(), *severity)).collect();
        value::word(v, &words)
    };
    let kind = |v: &Value<'_>| {
        let words: Vec<(&str, Kind)> = Kind::ALL.iter().map(|kind| (kind.name(), *kind)).collect();
        value::word(v, &words)
    };
    Filter {
        min_severity: table.or("min_severity", Severity::Info, severity),
        kinds: table.or("kinds", Vec::new(), |v| value::some_of(v, "[\"origin-hijack\", \"route-leak\"]", kind)),
        prefixes: table.or("prefixes", Vec::new(), |v| value::some_of(v, "[\"203.0.113.0/24\"]", value::prefix)),
        asns: table.or("asns", Vec::new(), |v| value::some_of(v, "[64500]", value::asn)),
    }
}

fn read_retry(sink: &mut Table<'_>) -> Retry {
    let default = Retry::default();
    let Some(mut table) = sink.table("retry", "[sink.retry]") else { return default };
    let range = |least: u64, most: u64| Duration::from_millis(least)..=Duration::from_secs(most);
    let first = table.or("first", default.first, |v| value::duration(v, range(100, 3_600)));
    let max = table.or("max", default.max.max(first), |v| value::duration(v, range(100, 86_400)));
    let give_up = table.or("give_up", default.give_up, |v| value::duration(v, range(1_000, 30 * 86_400)));
    if max < first {
        let what = "`max` is less than `first`: waiting times grow from `first` to `max`";
        table.fault(table.span_of("max"), what, "swap them, or remove one");
    }
    table.finish();
    Retry { first, max, give_up }
}
