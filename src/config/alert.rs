//! `[alert]`: how alerts live, `[alert.kind.NAME]`: what one kind has for itself, `[[alert.maintenance]]`: when nobody
//! wants to hear of something, by plan.

use std::{ops::RangeInclusive, time::Duration};

use toml::de::DeValue;

use super::{
    read::{Misfit, Table, Value},
    value,
};
use crate::{
    alert::{Days, KindSettings, Maintenance, Scope, Settings, Window},
    detect::Kind,
    types::Timestamp,
};

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(366 * 86_400);

/// Reads the section; the defaults when it is absent.
pub(super) fn read(file: &mut Table<'_>) -> Settings {
    let mut settings = Settings::default();
    let Some(mut alert) = file.table("alert", "[alert]") else { return settings };
    settings.reopen_within = alert.or("reopen_within", settings.reopen_within, |v| value::duration(v, upto(YEAR)));
    settings.update_every = alert.or("update_every", settings.update_every, |v| value::duration(v, upto(DAY)));
    settings.remind_every = alert.or("remind_every", settings.remind_every, reminder);
    settings.keep_resolved = count(&mut alert, "keep_resolved", settings.keep_resolved, 0..=1_000_000);
    settings.keep_resolved_for =
        alert.or("keep_resolved_for", settings.keep_resolved_for, |v| value::duration(v, upto(10 * YEAR)));
    settings.keep_changes = count(&mut alert, "keep_changes", settings.keep_changes, 1..=1_000_000);
    settings.storm = count(&mut alert, "storm", settings.storm, 1..=100_000);
    if let Some(mut kinds) = alert.table("kind", "[alert.kind]") {
        for kind in Kind::ALL {
            if let Some(table) = kinds.table(kind.name(), "[alert.kind.NAME]") {
                settings.kinds.insert(*kind, read_kind(table));
            }
        }
        kinds.finish();
    }
    for table in alert.tables("maintenance", "[[alert.maintenance]]") {
        settings.maintenance.extend(read_maintenance(table));
    }
    alert.finish();
    settings
}

fn upto(longest: Duration) -> RangeInclusive<Duration> {
    Duration::ZERO..=longest
}

fn count(table: &mut Table<'_>, key: &'static str, default: usize, range: RangeInclusive<u64>) -> usize {
    table.or(key, default, |v| value::integer(v, range).map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
}

/// How often; `"0s"`: never.
fn reminder(value: &Value<'_>) -> Result<Option<Duration>, Misfit> {
    let every = value::duration(value, upto(YEAR))?;
    if every.is_zero() {
        return Ok(None);
    }
    // Nobody wants it by the second, and a sink would not take it.
    value::duration(value, Duration::from_secs(60)..=YEAR)
        .map(Some)
        .map_err(|misfit| Misfit { accepted: format!("{}, or \"0s\" for never", misfit.accepted), ..misfit })
}

fn read_kind(mut table: Table<'_>) -> KindSettings {
    let own = KindSettings {
        open_after: table.opt("open_after", |v| value::duration(v, upto(DAY))),
        resolve_after: table.opt("resolve_after", |v| value::duration(v, upto(DAY))),
        remind_every: table.opt("remind_every", reminder),
    };
    table.finish();
    own
}

fn read_maintenance(mut table: Table<'_>) -> Option<Maintenance> {
    let before = table.fault_count();
    let name = table.required("name", "name = \"weekly work on edge-1\"", value::label);
    let scope = Scope {
        kinds: table.or("kinds", Vec::new(), |v| value::some_of(v, "[\"flap\", \"session\"]", kind)),
        prefixes: table.or("prefixes", Vec::new(), |v| value::some_of(v, "[\"192.0.2.0/24\"]", value::prefix)),
        asns: table.or("asns", Vec::new(), |v| value::some_of(v, "[64496]", value::asn)),
        neighbors: table.or("neighbors", Vec::new(), |v| value::some_of(v, "[\"edge-1\"]", value::label)),
        alert: None,
    };
    let window = if table.has("days") || !is_date(&table) { weekly(&mut table) } else { once(&mut table) };
    if scope.is_everything() && table.fault_count() == before {
        let help = "add kinds, prefixes, asns or neighbors; kinds = [\"session\"] for example";
        table.fault(table.span(), "[[alert.maintenance]] names nothing that it is about", help);
    }
    table.finish();
    Some(Maintenance { name: name?, scope, window: window? })
}

/// Whether `from` is written as a date, not as a time of day.
fn is_date(table: &Table<'_>) -> bool {
    match table.own().get("from").map(toml::Spanned::get_ref) {
        Some(DeValue::Datetime(datetime)) => datetime.date.is_some(),
        Some(DeValue::String(text)) => text.contains('-'),
        _ => false,
    }
}

fn once(table: &mut Table<'_>) -> Option<Window> {
    let from = table.required("from", "from = 2026-03-01T22:00:00Z", moment);
    let to = table.required("to", "to = 2026-03-02T04:00:00Z", moment);
    let (from, to) = (from?, to?);
    if to <= from {
        table.fault(table.span_of("to"), "`to` is not after `from`", "accepted: a later time");
        return None;
    }
    Some(Window::Once { from, to })
}

fn weekly(table: &mut Table<'_>) -> Option<Window> {
    let days = table.or("days", Days::ALL, days);
    let from = table.required("from", "from = \"22:00\"", time_of_day);
    let to = table.required("to", "to = \"04:00\"", time_of_day);
    let (from, to) = (from?, to?);
    // An end before the beginning is that of the next day.
    let length = if to > from { to - from } else { DAY - from + to };
    Some(Window::Weekly { days, from, length })
}

fn kind(value: &Value<'_>) -> Result<Kind, Misfit> {
    let kinds: Vec<(&str, Kind)> = Kind::ALL.iter().map(|kind| (kind.name(), *kind)).collect();
    value::word(value, &kinds)
}

fn days(value: &Value<'_>) -> Result<Days, Misfit> {
    let names: Vec<(&str, u8)> = Days::NAMES.into_iter().zip(0..).collect();
    let list = value::some_of(value, "[\"sat\", \"sun\"]", |day| value::word(day, &names))?;
    Ok(Days(list.into_iter().fold(0, |days, day| days | 1 << day)))
}

/// A time with a date and an offset, as TOML writes it, in quotes or not.
fn moment(value: &Value<'_>) -> Result<Timestamp, Misfit> {
    let text = match value.get_ref() {
        DeValue::Datetime(datetime) => datetime.to_string(),
        DeValue::String(text) => text.to_string(),
        _ => String::new(),
    };
    let accepted = "a date and time with its offset from UTC, such as 2026-03-01T22:00:00Z";
    text.parse().map_err(|_| value::misfit(value, "a point in time", accepted))
}

/// `"22:00"`, in UTC.
fn time_of_day(value: &Value<'_>) -> Result<Duration, Misfit> {
    let read = || {
        let DeValue::String(text) = value.get_ref() else { return None };
        let (hour, minute) = text.split_once(':')?;
        let number = |text: &str, below: u64| {
            let digits = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_digit());
            text.parse::<u64>().ok().filter(|number| digits && *number < below)
        };
        Some(Duration::from_secs(number(hour, 24)? * 3600 + number(minute, 60)? * 60))
    };
    let accepted = "hours and minutes in UTC in quotes, such as \"22:00\"; for a single time a date, such as \
                    2026-03-01T22:00:00Z";
    read().ok_or_else(|| value::misfit(value, "a time of day", accepted))
}
