//! Stories about the life of alerts, in virtual time: findings made by hand go in, what people hear of comes out.

mod groups;
mod kept;
mod life;
mod mutes;
mod people;
mod properties;
mod served;

use std::{sync::Arc, time::Duration};

use ribwatch::{
    alert::{Alert, Change, Command, Desk, Done, Input, Settings, State, Why},
    detect::{Finding, Fingerprint, Hold, Kind, News, Report, Severity},
    types::{Asn, Timestamp},
    view::Refusal,
};

pub const START: Timestamp = Timestamp(1_700_000_000_000_000);

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub fn hours(hours: u64) -> Duration {
    Duration::from_secs(3600 * hours)
}

/// A hijack of a prefix, critical, told at once and resolved after a minute.
pub fn hijack(prefix: &str) -> Finding {
    let prefix = prefix.parse().expect("a prefix");
    let key = Fingerprint::new(Kind::OriginHijack, format!("{prefix} AS64511"));
    let mut finding = Finding::new(key, Severity::Critical, format!("{prefix} from AS64511"), "AS64511 may not.")
        .about(prefix)
        .asns("expected", [Asn(64500)])
        .asns("observed", [Asn(64511)])
        .evidence("as_path", "64496 64511")
        .term("rpki_invalid", 40)
        .term("inferred", -10);
    finding.neighbors = vec!["edge-1".into()];
    finding
}

/// Finding `n` of those that have a leak by AS64497 as their cause.
pub fn leaked(n: u32) -> Finding {
    let prefix = format!("10.{}.{}.0/24", n >> 8 & 255, n & 255);
    let key = Fingerprint::new(Kind::RouteLeak, format!("{prefix} AS64497"));
    let mut finding = Finding::new(key, Severity::Warning, format!("{prefix} leaked"), format!("{prefix} went up."))
        .about(prefix.parse().expect("a prefix"))
        .asns("leaker", [Asn(64497)]);
    finding.cause = Some(leak());
    finding.neighbors = vec!["edge-1".into()];
    finding
}

pub fn leak() -> Fingerprint {
    Fingerprint::new(Kind::RouteLeak, "AS64497")
}

pub fn with(mut finding: Finding, change: impl FnOnce(&mut Finding)) -> Finding {
    change(&mut finding);
    finding
}

pub fn grave(finding: Finding, severity: Severity) -> Finding {
    with(finding, |finding| finding.severity = severity)
}

pub fn held(finding: Finding, open: Duration, resolve: Duration) -> Finding {
    with(finding, |finding| finding.hold = Hold { open, resolve })
}

/// A desk, a clock, and everything that was told so far.
pub struct Story {
    pub desk: Desk,
    pub now: Timestamp,
    pub told: Vec<Change>,
    /// How much of it was looked at.
    read: usize,
}

impl Story {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        Self { desk: Desk::new(settings), now: START, told: Vec::new(), read: 0 }
    }

    pub fn stands(&mut self, finding: Finding) {
        self.report(News::Stands(Box::new(finding)));
    }

    pub fn clears(&mut self, finding: &Finding) {
        self.report(News::Cleared { key: finding.key.clone(), how: "withdrawn by all".to_owned() });
    }

    pub fn report(&mut self, news: News) {
        let report = Report { at: self.now, news };
        self.desk.handle(self.now, Input::Report(report), &mut self.told);
    }

    pub fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        self.desk.handle(self.now, Input::TimersDue, &mut self.told);
    }

    pub fn command(&mut self, command: Command) -> Result<Done, Refusal> {
        self.desk.command(self.now, command, &mut self.told)
    }

    /// What was told since the last time, in words; held back ones in brackets.
    pub fn news(&mut self) -> Vec<String> {
        let new = self.told.get(self.read..).unwrap_or_default();
        let words = new.iter().map(|change| match change.tell {
            true => change.why.name().to_owned(),
            false => format!("({})", change.why.name()),
        });
        let words = words.collect();
        self.read = self.told.len();
        words
    }

    /// Panics unless this was told since the last time, and nothing else.
    #[track_caller]
    pub fn hears(&mut self, expected: &[&str]) {
        assert_eq!(self.news(), expected);
    }

    /// The only alert.
    #[track_caller]
    pub fn only(&self) -> Arc<Alert> {
        let mut alerts = self.desk.alerts();
        let first = alerts.next().expect("an alert");
        assert_eq!(alerts.next(), None, "one alert only");
        Arc::clone(first)
    }

    /// Alerts that are not over.
    pub fn live(&self) -> Vec<Arc<Alert>> {
        self.desk.alerts().filter(|alert| alert.is_live()).cloned().collect()
    }

    /// The daemon is started again: what was kept comes back, findings do not.
    pub fn restart(&mut self, settings: Settings) {
        let kept = self.desk.kept();
        self.desk = Desk::restore(settings, self.now, kept);
        self.advance(Duration::ZERO);
    }

    pub fn acknowledge(&mut self, id: &str) {
        let command = Command::Acknowledge { id: id.to_owned(), author: "ann".to_owned(), note: String::new() };
        self.command(command).expect("it can be acknowledged");
    }
}

/// Says of an alert where it stands.
pub fn stand(alert: &Alert) -> (State, Severity, u64) {
    (alert.state, alert.severity, alert.member_count)
}

#[test]
fn what_is_told_has_numbers_without_a_hole_and_names_when_it_was_seen() {
    let mut story = Story::new();
    let finding = hijack("192.0.2.0/24");
    story.stands(finding.clone());
    story.now = story.now + secs(10);
    story.clears(&finding);
    story.advance(minutes(2));
    let told: Vec<_> = story.told.iter().map(|c| (c.seq, c.why, c.observed_at, c.at)).collect();
    // The end was due a minute after the finding went, however late the driver came by.
    let expected = [(1, Why::Opened, Some(START), START), (2, Why::Resolved, None, START + secs(70))];
    assert_eq!(told, expected);
}
