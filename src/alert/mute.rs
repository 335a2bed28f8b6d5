//! When nobody wants to hear of something: mutes by command, which end by themselves, and maintenance windows of the
//! configuration. A muted alert lives as any other; it is only not told.

use std::{fmt, sync::Arc, time::Duration};

use super::Alert;
use crate::{
    detect::Kind,
    types::{Asn, Prefix, Timestamp},
};

const DAY: u64 = 86_400;

/// Which alerts are meant. All lists that are not empty must fit; an empty one fits everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope {
    /// Of one of these kinds.
    pub kinds: Vec<Kind>,
    /// About a prefix in one of these.
    pub prefixes: Vec<Prefix>,
    /// In which one of these ASes plays a part.
    pub asns: Vec<Asn>,
    /// Shown by these neighbours alone, by name or address: what others show too is news.
    pub neighbors: Vec<String>,
    /// This one alone.
    pub alert: Option<Arc<str>>,
}

impl Scope {
    /// Whether nothing narrows it.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it means `alert`.
    pub fn covers(&self, alert: &Alert) -> bool {
        let about = |ours: &Prefix| alert.prefix.is_some_and(|theirs| ours.covers(&theirs));
        let part = |asn: &Asn| alert.asns.values().any(|asns| asns.contains(asn));
        let shown_by = |name: &Arc<str>| self.neighbors.iter().any(|ours| **ours == **name);
        (self.kinds.is_empty() || self.kinds.contains(&alert.kind()))
            && (self.prefixes.is_empty() || self.prefixes.iter().any(about))
            && (self.asns.is_empty() || self.asns.iter().any(part))
            && (self.neighbors.is_empty() || !alert.neighbors.is_empty() && alert.neighbors.iter().all(shown_by))
            && self.alert.as_ref().is_none_or(|id| *id == alert.id)
    }
}

impl fmt::Display for Scope {
    /// As the command line takes it: `--kind flap --prefix 192.0.2.0/24`; an alert by its id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = self.alert.iter().map(ToString::to_string).collect();
        words.extend(self.kinds.iter().map(|kind| format!("--kind {kind}")));
        words.extend(self.prefixes.iter().map(|prefix| format!("--prefix {prefix}")));
        words.extend(self.asns.iter().map(|asn| format!("--asn {asn}")));
        words.extend(self.neighbors.iter().map(|name| format!("--neighbor {name}")));
        f.write_str(&words.join(" "))
    }
}

/// A mute by command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mute {
    /// Unique; a dozen characters that can be typed.
    pub id: Arc<str>,
    /// What it mutes.
    pub scope: Scope,
    /// Why, in the words of who did it.
    pub reason: String,
    /// Who did it.
    pub author: String,
    /// When.
    pub created_at: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

/// A mute by plan (`[[alert.maintenance]]`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Maintenance {
    /// What the plan is called; the reason that is shown.
    pub name: String,
    /// What it mutes.
    pub scope: Scope,
    /// When.
    pub window: Window,
}

/// Days of the week: bit 0 is Monday.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Days(pub u8);

impl Days {
    /// Every day.
    pub const ALL: Self = Self(0x7f);
    /// The names in configuration and output.
    pub const NAMES: [&'static str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    /// Whether it holds the weekday of a day that is counted from 1970-01-01, a Thursday.
    fn hold(self, day: u64) -> bool {
        self.0 >> ((day + 3) % 7) & 1 == 1
    }
}

/// Times at which a plan holds, in UTC. The first moment belongs to it, the last does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// Once.
    Once {
        /// From then on.
        from: Timestamp,
        /// Until then.
        to: Timestamp,
    },
    /// Every week.
    Weekly {
        /// Days on which it begins.
        days: Days,
        /// When on that day.
        from: Duration,
        /// How long; at most a day.
        length: Duration,
    },
}

impl Window {
    /// Whether it holds at a time.
    pub fn holds(&self, at: Timestamp) -> bool {
        match *self {
            Self::Once { from, to } => (from..to).contains(&at),
            Self::Weekly { days, from, length } => {
                let today = u64::from(at.secs()) / DAY;
                let began = |day: u64| Timestamp::from_secs(day * DAY) + from;
                let holds = |day: u64| days.hold(day) && (began(day)..began(day) + length).contains(&at);
                holds(today) || today > 0 && holds(today - 1)
            }
        }
    }

    /// When it begins or ends next, after `at`.
    pub fn next_edge(&self, at: Timestamp) -> Option<Timestamp> {
        match *self {
            Self::Once { from, to } => [from, to].into_iter().find(|edge| *edge > at),
            Self::Weekly { days, from, length } => {
                let today = u64::from(at.secs()) / DAY;
                let begins = (today.saturating_sub(1)..=today + 7).filter(|day| days.hold(*day));
                let edges = begins.flat_map(|day| {
                    let begin = Timestamp::from_secs(day * DAY) + from;
                    [begin, begin + length]
                });
                edges.filter(|edge| *edge > at).min()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_weekly_window_may_go_over_midnight_and_over_the_end_of_the_week() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        // 2026-02-22 is a Sunday.
        let sunday_night = Window::Weekly { days: Days(1 << 6), from: hours(22), length: hours(6) };
        for (time, holds, next) in [
            ("2026-02-22T21:59:59Z", false, "2026-02-22T22:00:00Z"),
            ("2026-02-22T22:00:00Z", true, "2026-02-23T04:00:00Z"),
            ("2026-02-23T03:59:59Z", true, "2026-02-23T04:00:00Z"),
            ("2026-02-23T04:00:00Z", false, "2026-03-01T22:00:00Z"),
            ("2026-02-26T23:00:00Z", false, "2026-03-01T22:00:00Z"),
        ] {
            assert_eq!(sunday_night.holds(at(time)), holds, "{time}");
            assert_eq!(sunday_night.next_edge(at(time)), Some(at(next)), "{time}");
        }
        let always = Window::Weekly { days: Days::ALL, from: hours(0), length: hours(24) };
        assert!(always.holds(at("1970-01-01T00:00:00Z")) && always.holds(at("2026-02-22T00:00:00Z")));
    }

    #[test]
    fn a_single_window_holds_once() {
        let window = Window::Once { from: at("2026-02-22T22:00:00Z"), to: at("2026-02-23T00:00:00Z") };
        assert_eq!(window.next_edge(at("2026-02-01T00:00:00Z")), Some(at("2026-02-22T22:00:00Z")));
        assert_eq!(window.next_edge(at("2026-02-22T22:00:00Z")), Some(at("2026-02-23T00:00:00Z")));
        assert_eq!(window.next_edge(at("2026-02-23T00:00:00Z")), None);
        assert!(window.holds(at("2026-02-22T22:00:00Z")) && !window.holds(at("2026-02-23T00:00:00Z")));
    }
}
