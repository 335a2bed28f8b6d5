//! What waits for the desk: reports, commands, other settings. Who brings something never waits.

use std::{
    collections::HashSet,
    mem,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::lock;
use crate::{
    alert::{Command, Done, Settings},
    detect::{Fingerprint, News, Report},
    io::clock::Clock,
    types::Timestamp,
    view::Refusal,
};

/// Reports above which those about the same finding are merged.
const REPORTS_MAX: usize = 1 << 16;

/// Who waits for what became of a command.
pub(super) type Answer = oneshot::Sender<Result<Done, Refusal>>;

/// What the desk is to look at.
#[derive(Default)]
pub(super) struct Work {
    /// In the order of their coming.
    pub(super) reports: Vec<Report>,
    /// In the order of their coming.
    pub(super) commands: Vec<(Command, Answer)>,
    /// The last ones.
    pub(super) settings: Option<Settings>,
    /// This is the last work.
    pub(super) stop: bool,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.reports.is_empty() && self.commands.is_empty() && self.settings.is_none() && !self.stop
    }
}

#[derive(Default)]
struct Waiting {
    work: Work,
    /// Number of reports at which they are merged.
    limit: usize,
    received: u64,
    merged: u64,
    /// Nobody comes for it any more.
    stopped: bool,
}

/// The queue, and the bell beside it.
pub(super) struct Inbox {
    clock: Clock,
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

impl Inbox {
    pub(super) fn new(clock: Clock) -> Self {
        let waiting = Mutex::new(Waiting { limit: REPORTS_MAX, ..Waiting::default() });
        Self { clock, waiting, bell: Condvar::new() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn report(&self, reports: Vec<Report>) {
        let mut waiting = lock(&self.waiting);
        if reports.is_empty() || waiting.stopped {
            return;
        }
        waiting.received += reports.len() as u64;
        waiting.work.reports.extend(reports);
        if waiting.work.reports.len() >= waiting.limit {
            let (before, all) = (waiting.work.reports.len(), mem::take(&mut waiting.work.reports));
            waiting.work.reports = merge(all);
            waiting.merged += (before - waiting.work.reports.len()) as u64;
            // Merging what cannot be merged again and again would cost more than it saves.
            waiting.limit = REPORTS_MAX.max(waiting.work.reports.len() * 2);
        }
        drop(waiting);
        self.bell.notify_one();
    }

    pub(super) fn command(&self, command: Command, answer: Answer) {
        let mut waiting = lock(&self.waiting);
        // Without anybody to come for it, dropping `answer` is the answer.
        if !waiting.stopped {
            waiting.work.commands.push((command, answer));
        }
        drop(waiting);
        self.bell.notify_one();
    }

    pub(super) fn settings(&self, settings: Settings) {
        lock(&self.waiting).work.settings = Some(settings);
        self.bell.notify_one();
    }

    pub(super) fn stop(&self) {
        lock(&self.waiting).work.stop = true;
        self.bell.notify_one();
    }

    /// Reports since the start, and how many of them were merged into others.
    pub(super) fn counts(&self) -> (u64, u64) {
        let waiting = lock(&self.waiting);
        (waiting.received, waiting.merged)
    }

    /// Waits for work, until `deadline` at the latest, and takes all of it.
    pub(super) fn wait(&self, deadline: Option<Timestamp>) -> Work {
        let mut waiting = lock(&self.waiting);
        while waiting.work.is_empty() {
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.since(self.clock.now()));
            if left.is_zero() {
                break;
            }
            // A day is as good as for ever, and no platform counts too far.
            let left = left.min(Duration::from_secs(86_400));
            waiting = self.bell.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.stopped |= waiting.work.stop;
        waiting.limit = REPORTS_MAX;
        mem::take(&mut waiting.work)
    }
}

/// Of several reports about one finding the last one, in the order of those.
fn merge(reports: Vec<Report>) -> Vec<Report> {
    let mut seen: HashSet<Option<Fingerprint>> = HashSet::new();
    let key = |report: &Report| match &report.news {
        News::Stands(finding) => Some(finding.key.clone()),
        News::Cleared { key, .. } => Some(key.clone()),
        News::Settled => None,
    };
    let mut merged: Vec<Report> = reports.into_iter().rev().filter(|report| seen.insert(key(report))).collect();
    merged.reverse();
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{Finding, Kind, Severity};

    fn stands(subject: &str, at: u64) -> Report {
        let finding = Finding::new(Fingerprint::new(Kind::Flap, subject), Severity::Info, "s", "w");
        Report { at: Timestamp(at), news: News::Stands(Box::new(finding)) }
    }

    fn cleared(subject: &str, at: u64) -> Report {
        let key = Fingerprint::new(Kind::Flap, subject);
        Report { at: Timestamp(at), news: News::Cleared { key, how: "gone".to_owned() } }
    }

    #[test]
    fn the_last_report_about_each_finding_stays_in_order() {
        let settled = |at| Report { at: Timestamp(at), news: News::Settled };
        let reports = vec![stands("a", 1), stands("b", 2), settled(3), cleared("a", 4), stands("c", 5), settled(6)];
        assert_eq!(merge(reports), [stands("b", 2), cleared("a", 4), stands("c", 5), settled(6)]);
    }

    #[test]
    fn a_desk_that_does_not_come_by_costs_no_more_than_the_findings_there_are() {
        let inbox = Inbox::new(Clock::start());
        for n in 0..200_000_u64 {
            let subject = (n % 100).to_string();
            inbox.report(vec![if n % 3 == 0 { cleared(&subject, n) } else { stands(&subject, n) }]);
        }
        let work = inbox.wait(None);
        assert!(work.reports.len() < REPORTS_MAX, "{}", work.reports.len());
        let (received, merged) = inbox.counts();
        assert_eq!((received, merged), (200_000, 200_000 - work.reports.len() as u64));
        assert_eq!(work.reports.last().map(|report| report.at), Some(Timestamp(199_999)));
    }
}
