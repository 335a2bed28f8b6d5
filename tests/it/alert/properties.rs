//! Any reports, commands, times and restarts: what always holds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use ribwatch::{
    alert::{Kept, KeptAlert, Scope, Unsaved},
    detect::Severity,
};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Stands { n: u32, grave: usize, grouped: bool, hold: u64 },
    Clears { n: u32 },
    Settled,
    Acknowledge(usize),
    Unacknowledge(usize),
    Mute { kind: bool, minutes: u64 },
    Unmute(usize),
    Wait(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u32..6, 0_usize..3, any::<bool>(), prop_oneof![Just(0), 0_u64..90])
            .prop_map(|(n, grave, grouped, hold)| Step::Stands { n, grave, grouped, hold }),
        5 => (0_u32..6).prop_map(|n| Step::Clears { n }),
        1 => Just(Step::Settled),
        1 => (0_usize..8).prop_map(Step::Acknowledge),
        1 => (0_usize..8).prop_map(Step::Unacknowledge),
        1 => (any::<bool>(), 1_u64..200).prop_map(|(kind, minutes)| Step::Mute { kind, minutes }),
        1 => (0_usize..4).prop_map(Step::Unmute),
        6 => prop_oneof![0_u64..100, 0_u64..20_000].prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

fn finding(n: u32, grouped: bool) -> Finding {
    if grouped { leaked(n) } else { with(leaked(n), |finding| finding.cause = None) }
}

/// What a file would hold: changed by what was not saved yet, step by step.
#[derive(Default)]
struct File {
    alerts: BTreeMap<Arc<str>, KeptAlert>,
    mutes: BTreeMap<Arc<str>, ribwatch::alert::Mute>,
}

impl File {
    fn write(&mut self, unsaved: Unsaved) {
        let alerts = unsaved.alerts.into_iter().chain(unsaved.quiet);
        self.alerts.extend(alerts.map(|kept| (kept.alert.id.clone(), kept)));
        unsaved.forgotten.iter().for_each(|id| drop(self.alerts.remove(id)));
        self.mutes.extend(unsaved.mutes.into_iter().map(|mute| (mute.id.clone(), mute)));
        unsaved.unmuted.iter().for_each(|id| drop(self.mutes.remove(id)));
    }

    fn kept(&self, seq: u64) -> Kept {
        Kept { seq, alerts: self.alerts.values().cloned().collect(), mutes: self.mutes.values().cloned().collect() }
    }
}

fn play(steps: &[Step]) -> Story {
    let settings = Settings { storm: 4, keep_resolved: 5, ..Settings::default() };
    let mut story = Story::with(settings.clone());
    let mut file = File::default();
    for step in steps {
        let nth = |story: &Story, n: usize| story.desk.alerts().nth(n).map(|alert| alert.id.to_string());
        let author = || "ann".to_owned();
        match step.clone() {
            Step::Stands { n, grave: severity, grouped, hold } => {
                story.stands(held(grave(finding(n, grouped), Severity::ALL[severity]), secs(hold), secs(60)));
            }
            Step::Clears { n } => story.clears(&finding(n, false)),
            Step::Settled => story.report(News::Settled),
            Step::Acknowledge(n) => {
                if let Some(id) = nth(&story, n) {
                    let _ = story.command(Command::Acknowledge { id, author: author(), note: String::new() });
                }
            }
            Step::Unacknowledge(n) => {
                if let Some(id) = nth(&story, n) {
                    let _ = story.command(Command::Unacknowledge { id, author: author(), note: String::new() });
                }
            }
            Step::Mute { kind, minutes: length } => {
                let scope = match kind {
                    true => Scope { kinds: vec![Kind::RouteLeak], ..Scope::default() },
                    false => Scope { prefixes: vec!["10.0.2.0/23".parse().unwrap()], ..Scope::default() },
                };
                let (reason, length) = ("r".to_owned(), minutes(length));
                story.command(Command::Mute { scope, reason, author: author(), length }).unwrap();
            }
            Step::Unmute(n) => {
                if let Some(mute) = story.desk.mutes().get(n) {
                    story.command(Command::Unmute { id: mute.id.to_string() }).unwrap();
                }
            }
            Step::Wait(time) => story.advance(secs(time)),
            Step::Restart => story.restart(settings.clone()),
        }
        file.write(story.desk.take_unsaved());
        check(&story);
        assert_eq!(file.kept(story.desk.seq()), story.desk.kept(), "what is saved step by step is all of it");
    }
    story
}

fn check(story: &Story) {
    let mut open: BTreeSet<Fingerprint> = BTreeSet::new();
    for alert in story.live() {
        assert!(open.insert(alert.key.clone()), "one open alert of a key: {}", alert.key);
        assert!(alert.resolved_at.is_none() && !alert.summary.is_empty() && !alert.why.is_empty());
        assert_eq!(alert.acknowledged_by.is_some(), alert.state == State::Acknowledged);
    }
    assert!(story.desk.alerts().filter(|alert| !alert.is_live()).count() <= 5);
}

/// Checks the stream of changes as a sink sees it.
fn check_told(story: &Story) {
    let mut open: BTreeMap<Arc<str>, bool> = BTreeMap::new();
    let mut last = START;
    for (n, change) in story.told.iter().enumerate() {
        assert_eq!(change.seq, n as u64 + 1, "no hole");
        assert!(change.at >= last, "time does not run back");
        last = change.at;
        let (id, alert) = (change.alert.id.clone(), &change.alert);
        let muted = alert.muted.is_some();
        match change.why {
            Why::Opened => assert_eq!(open.insert(id, !muted), None, "an alert opens once"),
            Why::Reopened => assert_eq!(open.insert(id, !muted), None, "only what is over opens again"),
            Why::Resolved => {
                let known = open.remove(&id).expect("only what is open is over");
                assert_eq!(change.tell, known || !muted, "the end of what people know of is told");
                continue;
            }
            _ => {
                let known = open.get_mut(&id).expect("nothing changes before it opens");
                *known |= change.tell;
            }
        }
        assert_eq!(change.tell, !muted, "held back if and only if it is muted");
        assert_eq!(alert.resolved_at, None);
    }
    let live: BTreeSet<Arc<str>> = story.live().iter().map(|alert| alert.id.clone()).collect();
    assert_eq!(open.keys().cloned().collect::<BTreeSet<_>>(), live, "what was told is what is");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(steps in proptest::collection::vec(step(), 1..120)) {
        let story = play(&steps);
        check_told(&story);
        prop_assert_eq!(&play(&steps).told, &story.told, "the same story again");
    }

    #[test]
    fn when_everything_is_gone_everything_is_over(steps in proptest::collection::vec(step(), 1..60)) {
        let mut story = play(&steps);
        (0..6).for_each(|n| story.clears(&finding(n, false)));
        story.report(News::Settled);
        story.advance(minutes(2));
        prop_assert!(story.live().is_empty());
        check_told(&story);
    }
}
