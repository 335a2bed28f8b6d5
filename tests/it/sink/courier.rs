//! Stories of one sink's deliveries: order, attempts, dead letters, trouble that is told, restarts. Virtual time, no I/O.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proptest::prelude::*;
use ribwatch::{
    alert::{Alert, Change, Why},
    detect::{Kind, News, Report, Severity},
    sink::{
        Filter, Outcome, Receiver, Secret, SinkSettings, alertmanager,
        courier::{Action, Courier},
        jsonl, slack,
        webhook::Auth,
    },
    types::Timestamp,
};

use super::alerts::{START, alert, change, settings};

/// A sink, its disk, its clock and what it did.
struct Story {
    courier: Courier,
    settings: Arc<SinkSettings>,
    now: Timestamp,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Number, alerts and reasons of what is under way.
    under_way: Vec<(u64, Vec<Arc<Change>>)>,
    reports: Vec<Report>,
    log: Vec<String>,
    dead: Vec<String>,
    /// What was accepted, as `id seq`.
    accepted: Vec<String>,
}

impl Story {
    fn new(settings: SinkSettings) -> Self {
        let settings = Arc::new(settings);
        Self {
            courier: Courier::new(Arc::clone(&settings), 7),
            settings,
            now: START,
            disk: BTreeMap::new(),
            under_way: Vec::new(),
            reports: Vec::new(),
            log: Vec::new(),
            dead: Vec::new(),
            accepted: Vec::new(),
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Put(key, value) => drop(self.disk.insert(key, value)),
                Action::Remove(key) => drop(self.disk.remove(&key)),
                Action::Bury(line) => self.dead.push(line),
                Action::Send { number, parcels } => {
                    self.under_way.push((number, parcels.into_iter().map(|parcel| parcel.change).collect()));
                }
                Action::Report(report) => self.reports.push(*report),
                Action::Warn(line) | Action::Info(line) => self.log.push(line),
            }
        }
    }

    fn tell(&mut self, change: Arc<Change>) {
        let mut actions = Vec::new();
        self.courier.take(self.now, change, &mut actions);
        self.perform(actions);
    }

    /// The oldest attempt ends.
    fn answer(&mut self, outcome: Outcome) {
        let (number, changes) = self.under_way.remove(0);
        if matches!(outcome, Outcome::Accepted { .. }) {
            self.accepted.extend(changes.iter().map(|change| format!("{} {}", change.alert.id, change.seq)));
        }
        let mut actions = Vec::new();
        self.courier.answered(self.now, number, outcome, &mut actions);
        self.perform(actions);
    }

    fn accept(&mut self) {
        self.answer(Outcome::Accepted { answer: "HTTP 200".into() });
    }

    fn fail(&mut self) {
        self.answer(Outcome::Later { why: "HTTP 500".into(), after: None });
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        let mut actions = Vec::new();
        self.courier.due(self.now, &mut actions);
        self.perform(actions);
    }

    /// Time passes to the next deadline; how much that was.
    fn pass_to_deadline(&mut self) -> Duration {
        let wait = self.courier.next_deadline().expect("something waits").since(self.now);
        self.pass(wait);
        wait
    }

    /// Alerts under way, as `id seq`.
    fn sending(&self) -> Vec<String> {
        let changes = self.under_way.iter().flat_map(|(_, changes)| changes);
        changes.map(|change| format!("{} {}", change.alert.id, change.seq)).collect()
    }

    /// The process is killed and started again: what is left is what is on disk.
    fn restart(&mut self, last_seq: u64) {
        self.under_way.clear();
        self.courier = Courier::new(Arc::clone(&self.settings), 8);
        let records = self.disk.clone().into_iter().collect();
        assert_eq!(self.courier.restore(self.now, records, last_seq), 0, "all records are read");
        self.pass(Duration::ZERO);
    }
}

fn slack() -> SinkSettings {
    settings(Receiver::Slack(slack::Settings { url: Secret("http://127.0.0.1/".into()) }))
}

fn file() -> SinkSettings {
    settings(Receiver::Jsonl(jsonl::Settings { path: None }))
}

fn prometheus() -> SinkSettings {
    settings(Receiver::Alertmanager(alertmanager::Settings {
        url: Secret("http://127.0.0.1/".into()),
        auth: Auth::None,
        interval: Duration::from_secs(60),
        labels: Vec::new(),
    }))
}

#[test]
fn alerts_go_side_by_side_and_changes_of_one_alert_one_after_the_other() {
    let mut story = Story::new(slack());
    story.tell(change(1, Why::Opened, alert("a")));
    story.tell(change(2, Why::Changed, alert("a")));
    story.tell(change(3, Why::Opened, alert("b")));
    story.tell(change(4, Why::Resolved, alert("a")));
    assert_eq!(story.sending(), ["a 1", "b 3"]);
    story.accept();
    assert_eq!(story.sending(), ["b 3", "a 2"]);
    story.accept();
    story.accept();
    assert_eq!(story.sending(), ["a 4"]);
    story.accept();
    assert!(story.courier.is_idle());
    assert_eq!(story.courier.next_deadline(), None);
    let view = story.courier.view();
    assert_eq!((view.sent, view.queue_len, view.told_open), (4, 0, 1), "b is open still");
    assert_eq!(view.latency.count(), 4);
}

#[test]
fn at_most_four_attempts_are_under_way_and_one_for_a_file() {
    let ids = ["a", "b", "c", "d", "e", "f"];
    for (settings, limit) in [(slack(), 4), (file(), 1)] {
        let mut story = Story::new(settings);
        for (seq, id) in (1..).zip(ids) {
            story.tell(change(seq, Why::Opened, alert(id)));
        }
        assert_eq!(story.under_way.len(), limit);
        for _ in ids {
            story.accept();
        }
        assert!(story.courier.is_idle());
    }
}

#[test]
fn a_failure_is_tried_again_after_times_that_grow_and_nothing_else_goes_meanwhile() {
    let mut story = Story::new(slack());
    story.tell(change(1, Why::Opened, alert("a")));
    story.fail();
    story.tell(change(2, Why::Opened, alert("b")));
    assert!(story.under_way.is_empty(), "the receiver is in trouble");
    let mut waits = Vec::new();
    for _ in 0..9 {
        waits.push(story.pass_to_deadline().as_secs_f64());
        assert_eq!(story.sending(), ["a 1"], "one attempt at a time");
        story.fail();
    }
    for (wait, whole) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]) {
        assert!((whole * 0.75..=whole).contains(wait), "{wait} of {whole}");
    }
    story.pass_to_deadline();
    story.accept();
    assert_eq!(story.sending(), ["b 2"]);
    story.accept();
    let view = story.courier.view();
    assert_eq!((view.sent, view.retried, view.dead), (2, 10, 0));
    assert_eq!((view.failing_since, view.last_error), (None, None));
    assert_eq!(story.log.len(), 2, "trouble and its end are told once: {:?}", story.log);
}

#[test]
fn a_receiver_that_asks_for_time_gets_it_within_reason() {
    let mut story = Story::new(slack());
    story.tell(change(1, Why::Opened, alert("a")));
    let busy = |secs| Outcome::Later { why: "HTTP 429".into(), after: Some(Duration::from_secs(secs)) };
    story.answer(busy(42));
    assert_eq!(story.pass_to_deadline(), Duration::from_secs(42));
    story.answer(busy(1_000_000));
    // The sink itself becomes an alert before that.
    assert_eq!(story.pass_to_deadline(), Duration::from_secs(300 - 42));
    assert_eq!(story.reports.len(), 1);
    assert_eq!(story.pass_to_deadline(), Duration::from_secs(3600 - 258), "an hour and not eleven days");
}

#[test]
fn what_is_refused_for_ever_is_a_dead_letter_and_the_next_one_goes() {
    let mut story = Story::new(file());
    for seq in 1..=3 {
        story.tell(change(seq, Why::Changed, alert("a")));
    }
    story.answer(Outcome::Never { why: "HTTP 400: no".into() });
    story.answer(Outcome::Never { why: "HTTP 400: no".into() });
    story.accept();
    assert_eq!(story.accepted, ["a 3"]);
    assert_eq!(story.dead.len(), 2);
    let letter: serde_json::Value = serde_json::from_str(&story.dead[0]).unwrap();
    assert_eq!((&letter["why"], &letter["change"]["seq"]), (&"HTTP 400: no".into(), &1.into()));
    assert_eq!(letter["change"]["alert"]["id"], "a");
    assert_eq!(story.log.len(), 1, "told once: {:?}", story.log);
    assert_eq!(story.courier.view().dead, 2);
    assert!(story.reports.is_empty());
}

#[test]
fn a_delivery_that_gets_too_old_is_a_dead_letter() {
    let mut story = Story::new(file());
    story.tell(change(1, Why::Opened, alert("a")));
    while story.dead.is_empty() {
        story.fail();
        if story.dead.is_empty() {
            while story.under_way.is_empty() {
                story.pass_to_deadline();
            }
        }
    }
    let age = story.now.since(START).as_secs();
    assert!((3600..3700).contains(&age), "{age}");
    assert!(story.dead[0].contains("given up: HTTP 500"));
    assert!(!story.disk.keys().any(|key| key[0] == b'w'), "nothing waits on disk");
}

#[test]
fn a_sink_that_is_down_for_long_is_reported_and_cleared() {
    let mut story = Story::new(slack());
    story.tell(change(1, Why::Opened, alert("a")));
    let mut failures = 0;
    while story.reports.is_empty() {
        match story.under_way.is_empty() {
            false => {
                story.fail();
                failures += 1;
            }
            true => drop(story.pass_to_deadline()),
        }
    }
    assert_eq!(
        story.now.since(START),
        Duration::from_secs(300),
        "neither later nor earlier, after {failures} failures"
    );
    let News::Stands(finding) = &story.reports[0].news else { panic!("{:?}", story.reports) };
    assert_eq!((finding.key.kind, &*finding.key.subject), (Kind::Session, "sink noc"));
    assert_eq!(finding.evidence["last_error"], "HTTP 500");
    let key = finding.key.clone();
    // The desk makes an alert of it, and this sink does not try to tell people that it cannot tell them.
    let mut own = alert("s");
    own.key = key.clone();
    story.tell(change(2, Why::Opened, own));
    assert_eq!(story.courier.view().queue_len, 1);
    while story.under_way.is_empty() {
        story.pass_to_deadline();
    }
    story.accept();
    assert_eq!(story.reports.len(), 2);
    assert!(matches!(&story.reports[1].news, News::Cleared { key: cleared, .. } if *cleared == key));
}

#[test]
fn too_many_that_wait_push_out_the_oldest() {
    let mut story = Story::new(SinkSettings { queue_max: 3, ..file() });
    for seq in 1..=6 {
        story.tell(change(seq, Why::Changed, alert("a")));
    }
    assert_eq!(story.courier.view().dropped, 3);
    assert_eq!(story.log.len(), 1, "told once: {:?}", story.log);
    while !story.under_way.is_empty() {
        story.accept();
    }
    assert_eq!(story.accepted, ["a 1", "a 5", "a 6"], "what is under way cannot be dropped");
    assert!(!story.disk.keys().any(|key| key[0] == b'w'));
}

#[test]
fn filters_choose_and_whoever_heard_of_an_alert_hears_of_its_end() {
    let filter = Filter { min_severity: Severity::Critical, ..Filter::default() };
    let mut story = Story::new(SinkSettings { filter, ..file() });
    let minor = |id| Alert { severity: Severity::Warning, ..alert(id) };
    story.tell(change(1, Why::Opened, minor("quiet")));
    story.tell(change(2, Why::Resolved, minor("quiet")));
    assert!(story.courier.is_idle(), "never told, so not ended");
    story.tell(change(3, Why::Opened, minor("rises")));
    story.tell(change(4, Why::Changed, alert("rises")));
    story.tell(change(5, Why::Changed, minor("rises")));
    let muted = Alert { muted: Some("work on it".into()), ..minor("rises") };
    story.tell(change(6, Why::Muted, muted.clone()));
    story.tell(change(7, Why::Changed, muted.clone()));
    story.tell(change(8, Why::Resolved, muted));
    let muted = Alert { muted: Some("from the start".into()), ..alert("held") };
    story.tell(change(9, Why::Opened, muted.clone()));
    story.tell(change(10, Why::Unmuted, alert("held")));
    while !story.under_way.is_empty() {
        story.accept();
    }
    assert_eq!(story.accepted, ["rises 4", "rises 5", "rises 8", "held 10"]);
}

#[test]
fn a_restart_in_the_middle_tells_what_was_not_told_and_nothing_else() {
    let mut story = Story::new(file());
    story.tell(change(1, Why::Opened, alert("a")));
    story.accept();
    story.tell(change(2, Why::Opened, alert("b")));
    story.tell(change(3, Why::Changed, alert("a")));
    story.restart(3);
    assert_eq!(story.courier.taken(), 3, "the stream goes on behind it");
    assert_eq!(story.sending(), ["b 2"]);
    // The stream is read from an earlier place for another sink's sake.
    story.tell(change(2, Why::Opened, alert("b")));
    story.tell(change(4, Why::Resolved, alert("a")));
    while !story.under_way.is_empty() {
        story.accept();
    }
    assert_eq!(story.accepted, ["a 1", "b 2", "a 3", "a 4"]);
    story.restart(4);
    assert!(story.courier.is_idle());
    assert_eq!((story.courier.taken(), story.courier.view().told_open), (4, 1));
    // Whoever was told before the restart is told of the end.
    story.tell(change(5, Why::Resolved, Alert { muted: Some("m".into()), ..alert("b") }));
    story.accept();
    assert_eq!(story.accepted.last().map(String::as_str), Some("b 5"));
}

#[test]
fn a_history_that_began_anew_is_not_taken_for_old_news() {
    let mut story = Story::new(file());
    story.tell(change(900, Why::Opened, alert("a")));
    story.accept();
    story.restart(0);
    story.tell(change(1, Why::Opened, alert("z")));
    assert_eq!(story.sending(), ["z 1"]);
}

#[test]
fn alertmanager_hears_of_what_is_open_again_and_again_until_it_is_over() {
    let mut story = Story::new(prometheus());
    story.tell(change(1, Why::Opened, alert("a")));
    story.accept();
    story.tell(change(2, Why::Opened, alert("b")));
    story.accept();
    assert_eq!(story.pass_to_deadline(), Duration::from_secs(60));
    assert_eq!(story.sending(), ["a 1", "b 2"]);
    assert_eq!(story.under_way.len(), 1, "in one request");
    // A change waits for the request that is under way, so that it is not undone by it.
    story.tell(change(3, Why::Resolved, alert("a")));
    assert_eq!(story.under_way.len(), 1);
    story.accept();
    assert_eq!(story.sending(), ["a 3"]);
    story.accept();
    assert_eq!(story.pass_to_deadline(), Duration::from_secs(60));
    assert_eq!(story.sending(), ["b 2"]);
    // It was away: again as soon as the waiting time is over, not a whole interval later.
    story.fail();
    assert!(story.pass_to_deadline() <= Duration::from_secs(1));
    assert_eq!(story.sending(), ["b 2"]);
    story.accept();
    // A restart tells it at once.
    story.restart(3);
    assert_eq!(story.sending(), ["b 2"]);
    story.accept();
    story.tell(change(4, Why::Muted, Alert { muted: Some("m".into()), ..alert("b") }));
    assert_eq!(story.sending(), ["b 4"]);
    story.accept();
    assert_eq!(story.courier.next_deadline(), None, "nothing is open any more");
}

#[test]
fn many_open_alerts_go_in_several_requests_of_one_round() {
    let mut story = Story::new(SinkSettings { queue_max: 10_000, ..prometheus() });
    for seq in 1..=1_100 {
        story.tell(change(seq, Why::Opened, alert(&format!("a{seq:04}"))));
        story.accept();
    }
    story.pass(Duration::from_secs(60));
    let mut sizes = Vec::new();
    while let Some((_, changes)) = story.under_way.first() {
        sizes.push(changes.len());
        story.accept();
    }
    assert_eq!(sizes, [500, 500, 100]);
    assert_eq!(story.pass_to_deadline(), Duration::from_secs(60));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever the receiver does and whenever the process dies, every change for it is accepted at least once, changes of
    /// an alert in order, and what was accepted before a restart is not told again unless it died at that moment.
    #[test]
    fn everything_is_told_in_order_whatever_happens(steps in proptest::collection::vec((0_u8..10, 0_usize..3), 1..120)) {
        let mut story = Story::new(SinkSettings { queue_max: 1_000, ..slack() });
        let ids = ["a", "b", "c"];
        let (mut seq, mut told) = (0, Vec::new());
        for (step, which) in steps {
            match step {
                0..=3 => {
                    seq += 1;
                    told.push(format!("{} {seq}", ids[which]));
                    story.tell(change(seq, Why::Changed, alert(ids[which])));
                }
                4..=5 if !story.under_way.is_empty() => story.accept(),
                6..=7 if !story.under_way.is_empty() => story.fail(),
                8 => story.pass(Duration::from_millis(700 * which as u64)),
                9 => story.restart(seq),
                _ => {}
            }
        }
        for _ in 0..10_000 {
            if story.courier.is_idle() {
                break;
            }
            match story.under_way.is_empty() {
                true => drop(story.pass_to_deadline()),
                false => story.accept(),
            }
        }
        prop_assert!(story.courier.is_idle());
        for id in ids {
            let of = |list: &[String]| {
                list.iter().filter(|line| line.starts_with(id)).cloned().collect::<Vec<_>>()
            };
            prop_assert_eq!(of(&story.accepted), of(&told), "once, and in order");
        }
        prop_assert!(!story.disk.keys().any(|key| key[0] == b'w'), "nothing is left on disk");
    }
}
