//! `[watch]` and `[detect]`: what the operator declares to be normal, and the settings of detectors.

use std::time::Duration;

use super::{
    read::{Misfit, Table, Value},
    value,
};
use crate::{
    detect::{Kind, Settings, Severity, WatchAsn, WatchPrefix, settings::VantagesMin},
    types::Asn,
};

/// Reads both sections.
pub(super) fn read(file: &mut Table<'_>, own_asn: Asn) -> Settings {
    let mut settings = Settings::new(own_asn);
    if let Some(mut watch) = file.table("watch", "[watch]") {
        for table in watch.tables("prefix", "[[watch.prefix]]") {
            read_prefix(table, &mut settings.prefixes);
        }
        for table in watch.tables("asn", "[[watch.asn]]") {
            read_asn(table, &mut settings.asns);
        }
        watch.finish();
    }
    if let Some(table) = file.table("detect", "[detect]") {
        read_detect(table, &mut settings);
    }
    settings
}

fn asns(v: &Value<'_>) -> Result<Vec<Asn>, Misfit> {
    value::some_of(v, "[64496, 64497]", value::asn)
}

fn read_prefix(mut table: Table<'_>, rules: &mut Vec<WatchPrefix>) {
    let prefix = table.required("prefix", "prefix = \"203.0.113.0/24\"", value::prefix);
    let origins = table.required("origins", "origins = [64500]", |v| value::list(v, "[64500]", value::asn));
    let upstreams = table.opt("upstreams", asns);
    let max_length = table.opt("max_length", |v| value::integer(v, 0..=128).map(|bits| bits as u8));
    let more_specifics = table.or("more_specifics", true, value::boolean);
    let description = table.opt("description", value::label).map(Into::into);
    let ignore = table.or("ignore", Vec::new(), |v| value::list(v, "[\"new-prefix\"]", kind));
    let severity_max = table.opt("severity_max", severity);
    if let (Some(prefix), Some(origins)) = (prefix, origins) {
        if rules.iter().any(|rule| rule.prefix == prefix) {
            let what = format!("a second [[watch.prefix]] is about {prefix}");
            table.fault(table.span_of("prefix"), what, "put all its origins and upstreams into one");
        }
        let bits = if prefix.is_v4() { 32 } else { 128 };
        if let Some(length) = max_length.filter(|length| *length < prefix.len() || *length > bits) {
            let what = format!("`max_length` {length} does not fit {prefix}");
            table.fault(table.span_of("max_length"), what, format!("accepted: {} to {bits}", prefix.len()));
        }
        if max_length.is_some() && !more_specifics {
            let what = "`max_length` contradicts `more_specifics = false`: then none is looked at";
            table.fault(table.span_of("max_length"), what, "remove one of them");
        }
        if origins.is_empty() && upstreams.is_some() {
            let what = format!("{prefix} has upstreams and no origin: nobody may announce it");
            table.fault(table.span_of("upstreams"), what, "name an origin, or remove the upstreams");
        }
        rules.push(WatchPrefix {
            upstreams,
            max_length,
            more_specifics,
            description,
            ignore,
            severity_max,
            ..WatchPrefix::new(prefix, origins)
        });
    }
    table.finish();
}

fn read_asn(mut table: Table<'_>, rules: &mut Vec<WatchAsn>) {
    let asn = table.required("asn", "asn = 64500", value::asn);
    let list = |v: &Value<'_>| value::list(v, "[64496, 64497]", value::asn);
    let upstreams = table.opt("upstreams", list);
    let downstreams = table.opt("downstreams", list);
    let new_prefixes = table.or("new_prefixes", true, value::boolean);
    if let Some(asn) = asn {
        if rules.iter().any(|rule| rule.asn == asn) {
            let what = format!("a second [[watch.asn]] is about AS{asn}");
            table.fault(table.span_of("asn"), what, "put all its neighbours into one");
        }
        rules.push(WatchAsn { asn, upstreams, downstreams, new_prefixes });
    }
    table.finish();
}

fn kind(v: &Value<'_>) -> Result<Kind, Misfit> {
    let words: Vec<(&str, Kind)> = Kind::ALL.iter().map(|kind| (kind.name(), *kind)).collect();
    value::word(v, &words)
}

fn severity(v: &Value<'_>) -> Result<Severity, Misfit> {
    let words: Vec<(&str, Severity)> = Severity::ALL.iter().map(|severity| (severity.name(), *severity)).collect();
    value::word(v, &words)
}

/// `[detect]`, with a table for each detector: `enabled`, and its own keys.
fn read_detect(mut table: Table<'_>, settings: &mut Settings) {
    settings.enabled = table.or("enabled", true, value::boolean);
    let minutes = Duration::from_secs(1)..=Duration::from_secs(3600);
    settings.settle_max = table.or("settle_max", settings.settle_max, |v| value::duration(v, minutes.clone()));
    if let Some(mut least) = table.table("vantages_min", "[detect.vantages_min]") {
        let number = |v: &Value<'_>| value::integer(v, 1..=1000).map(|number| number as usize);
        let default = VantagesMin::default();
        settings.vantages_min = VantagesMin {
            own: least.or("own", default.own, number),
            route_server: least.or("route-server", default.route_server, number),
            public: least.or("public", default.public, number),
        };
        least.finish();
    }
    let Settings { scenes, paths, feeds, .. } = settings;
    switch(&mut table, "origin", "[detect.origin]", &mut scenes.origin.enabled);
    switch(&mut table, "otc", "[detect.otc]", &mut paths.otc.enabled);
    if let Some(mut of) = table.table("session", "[detect.session]") {
        feeds.session.enabled = of.or("enabled", true, value::boolean);
        feeds.session.hold = of.or("hold", feeds.session.hold, hold);
        of.finish();
    }
    table.finish();
}

/// A detector that can only be turned off.
fn switch(table: &mut Table<'_>, key: &'static str, heading: &'static str, enabled: &mut bool) {
    if let Some(mut of) = table.table(key, heading) {
        *enabled = of.or("enabled", true, value::boolean);
        of.finish();
    }
}

fn hold(v: &Value<'_>) -> Result<Duration, Misfit> {
    value::duration(v, Duration::ZERO..=Duration::from_secs(86_400))
}
