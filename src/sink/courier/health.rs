//! Whether the receiver lives: waiting times after a failure, words for the log when that changes, and a report of the sink
//! itself when it lasts.

use std::time::Duration;

use super::{Action, Courier};
use crate::{
    detect::{Finding, Fingerprint, Kind, News, Report, Severity},
    sink::Outcome,
    types::Timestamp,
};

/// The longest wait that a receiver may ask for.
const AFTER_MAX: Duration = Duration::from_secs(3600);

/// What the receiver is like.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Nothing was accepted since.
    pub(super) since: Option<Timestamp>,
    /// Nothing is sent before.
    pub(super) not_before: Timestamp,
    /// It is an alert.
    pub(super) reported: bool,
}

impl Courier {
    pub(super) fn note_health(&mut self, now: Timestamp, outcome: &Outcome, out: &mut Vec<Action>) {
        let name = &self.settings.name;
        match outcome {
            Outcome::Accepted { .. } | Outcome::Never { .. } => {
                // Who refuses one delivery lives and speaks; what is wrong is that delivery.
                if let Outcome::Never { why } = outcome {
                    self.view.last_error = Some(why.clone());
                } else {
                    self.letter_died = false;
                    self.view.last_error = None;
                }
                self.backoff.reset();
                let trouble = std::mem::take(&mut self.trouble);
                let Some(since) = trouble.since else { return };
                let lasted = now.since(since).as_secs();
                out.push(Action::Info(format!("sink {name}: it answers again after {lasted}s")));
                if trouble.reported {
                    let how = "it answers again".to_owned();
                    let news = News::Cleared { key: self.fingerprint(), how };
                    out.push(Action::Report(Box::new(Report { at: now, news })));
                }
            }
            Outcome::Later { why, after } => {
                self.view.last_error = Some(why.clone());
                let wait = self.jitter.spread(self.backoff.take());
                let wait = wait.max(after.unwrap_or_default().min(AFTER_MAX));
                self.trouble.not_before = now + wait;
                if self.trouble.since.is_none() {
                    self.trouble.since = Some(now);
                    out.push(Action::Warn(format!("sink {name}: {why}; tried again until it is accepted")));
                }
                self.report_if_down(now, out);
            }
        }
    }

    pub(super) fn report_if_down(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let Some(since) = self.trouble.since else { return };
        if self.trouble.reported || now.since(since) < self.settings.down_after {
            return;
        }
        self.trouble.reported = true;
        let settings = &self.settings;
        let error = self.view.last_error.clone().unwrap_or_default();
        let (name, kind, waiting) = (&settings.name, settings.receiver.kind(), self.line.len());
        let why = format!(
            "The {kind} sink {name} has accepted nothing since {since}, last: {error}; {waiting} deliveries wait, so those \
             who read it do not know of them."
        );
        let summary = format!("sink {name} accepts no alerts");
        let finding = Finding::new(self.fingerprint(), Severity::Warning, summary, why)
            .evidence("sink", name.as_str())
            .evidence("type", kind)
            .evidence("last_error", error)
            .evidence("since", since.to_string())
            .evidence("waiting", waiting as u64);
        out.push(Action::Report(Box::new(Report { at: now, news: News::Stands(Box::new(finding)) })));
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(Kind::Session, format!("sink {}", self.settings.name))
    }
}
