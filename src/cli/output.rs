//! How verbs print: colours, durations, times, JSON lines.

use std::io::{self, Write};

use serde::Serialize;

/// A colour, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Colour {
    #[default]
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

impl Colour {
    /// The SGR parameter of ECMA-48.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
        }
    }
}

/// Whether the environment lets a terminal have colours (no-color.org, and terminals without any).
pub(super) fn colours_wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Where a verb prints.
pub(super) struct Output<'a> {
    out: &'a mut dyn Write,
    json: bool,
    colour: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(out: &'a mut dyn Write, json: bool, colour: bool) -> Self {
        Self { out, json, colour }
    }

    /// Whether JSON is asked for.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    /// Whether colours are shown.
    pub(super) fn coloured(&self) -> bool {
        self.colour
    }

    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")
    }

    pub(super) fn octets(&mut self, octets: &[u8]) -> io::Result<()> {
        self.out.write_all(octets)
    }

    pub(super) fn json_line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, value)?;
        self.out.write_all(b"\n")
    }

    /// Shows what was printed so far to whoever waits for it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// `text` in a colour, where colours are shown.
    pub(super) fn paint(&self, text: &str, colour: Colour) -> String {
        match colour {
            Colour::Plain => text.to_owned(),
            _ if !self.colour || text.is_empty() => text.to_owned(),
            colour => format!("\x1b[{}m{text}\x1b[0m", colour.code()),
        }
    }
}

/// `42s`, `12m`, `4h12m`, `3d04h`, `412d`: two units at most.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m"),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        86_400..8_640_000 => format!("{days}d{:02}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// `count thing` with the plural in English.
pub(super) fn plural(count: u64, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// The time of day in UTC, `HH:MM:SS.mmm`, of microseconds since the Unix epoch.
pub(super) fn time_of_day(micros: u64) -> String {
    let (seconds, millis) = (micros / 1_000_000 % 86_400, micros / 1000 % 1000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// RFC 3339 in UTC, of microseconds since the Unix epoch.
pub(super) fn rfc3339(micros: u64) -> String {
    let (year, month, day) = civil(micros / 86_400_000_000);
    format!("{year:04}-{month:02}-{day:02}T{}Z", time_of_day(micros))
}

/// Year, month and day of the Gregorian calendar, of days since 1970-01-01. Counts years from March, so that the
/// leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 153 days per five: 31 30 31 30 31.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m"),
            (3600, "1h00m"),
            (86_399, "23h59m"),
            (273_600, "3d04h"),
            (8_640_000, "100d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn times_are_printed_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (4_102_444_800, "2100-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000), text);
        }
    }

    #[test]
    fn colours_are_only_shown_where_they_are_wanted() {
        let mut sink = Vec::new();
        assert_eq!(Output::new(&mut sink, false, false).paint("up", Colour::Green), "up");
        assert_eq!(Output::new(&mut sink, false, true).paint("up", Colour::Green), "\x1b[32mup\x1b[0m");
    }
}
