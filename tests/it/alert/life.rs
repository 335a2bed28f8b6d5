//! One alert from the first finding to the end: hold times, changes, reminders, coming back, restarts, being forgotten.

use ribwatch::{
    alert::{KindSettings, Settings, State, json},
    detect::{Kind, News, Severity},
    types::Asn,
};

use super::*;

#[test]
fn an_alert_says_what_its_finding_says() {
    let mut story = Story::new();
    story.stands(hijack("192.0.2.0/24"));
    story.hears(&["opened"]);
    let alert = story.only();
    assert_eq!((alert.kind(), stand(&alert)), (Kind::OriginHijack, (State::Open, Severity::Critical, 0)));
    assert_eq!(alert.prefix, Some("192.0.2.0/24".parse().unwrap()));
    assert_eq!(alert.asns[&Arc::from("observed")], [Asn(64511)]);
    assert_eq!((alert.first_seen, alert.last_seen, alert.resolved_at), (START, START, None));
    assert_eq!(&*alert.summary, "192.0.2.0/24 from AS64511");
    let fields = json::alert(&alert);
    assert_eq!(fields["asns"], serde_json::json!({"expected": [64500], "observed": [64511]}));
    let score = serde_json::json!([{"name": "rpki_invalid", "weight": 40}, {"name": "inferred", "weight": -10}]);
    assert_eq!(fields["evidence"], serde_json::json!({"as_path": "64496 64511", "score": score}));
    assert_eq!(json::read_alert(&fields).as_ref(), Some(&*alert));
}

#[test]
fn nobody_hears_of_what_is_gone_before_its_hold_time() {
    let mut story = Story::new();
    let finding = held(hijack("192.0.2.0/24"), secs(30), secs(60));
    story.stands(finding.clone());
    story.advance(secs(29));
    story.clears(&finding);
    story.advance(hours(1));
    story.hears(&[]);

    story.stands(finding.clone());
    story.advance(secs(29));
    story.hears(&[]);
    story.advance(secs(1));
    story.hears(&["opened"]);
    assert_eq!(story.only().first_seen, START + hours(1) + secs(29), "when it first stood, not when it was told");
}

#[test]
fn a_finding_that_is_back_soon_was_never_gone() {
    let mut story = Story::new();
    let finding = hijack("192.0.2.0/24");
    story.stands(finding.clone());
    story.advance(secs(10));
    for _ in 0..5 {
        story.clears(&finding);
        story.advance(secs(59));
        story.stands(finding.clone());
    }
    story.hears(&["opened"]);
    story.clears(&finding);
    story.advance(secs(60));
    story.hears(&["resolved"]);
    let alert = story.only();
    assert_eq!((alert.state, alert.resolved_at), (State::Resolved, Some(story.now)));
    assert_eq!(&*alert.why, "AS64511 may not; over: withdrawn by all");
}

#[test]
fn kinds_have_hold_times_of_their_own() {
    let own = KindSettings { open_after: Some(secs(5)), resolve_after: Some(secs(0)), remind_every: None };
    let mut story = Story::with(Settings { kinds: [(Kind::OriginHijack, own)].into(), ..Settings::default() });
    let finding = hijack("192.0.2.0/24");
    story.stands(finding.clone());
    story.hears(&[]);
    story.advance(secs(5));
    story.hears(&["opened"]);
    story.clears(&finding);
    story.hears(&["resolved"]);
}

#[test]
fn what_comes_back_within_the_window_is_the_same_alert() {
    let mut story = Story::new();
    let finding = hijack("192.0.2.0/24");
    story.stands(finding.clone());
    let id = story.only().id.clone();
    story.acknowledge(&id);
    story.clears(&finding);
    story.advance(secs(60));
    story.hears(&["opened", "acknowledged", "resolved"]);
    story.advance(secs(3599));
    story.stands(finding.clone());
    story.hears(&["reopened"]);
    let alert = story.only();
    assert_eq!((&alert.id, alert.reopened, alert.state, alert.resolved_at), (&id, 1, State::Open, None));
    assert_eq!((&*alert.why, alert.first_seen, &alert.acknowledged_by), ("AS64511 may not.", START, &None));

    story.clears(&finding);
    story.advance(secs(60));
    story.advance(hours(1));
    story.stands(finding);
    story.hears(&["resolved", "opened"]);
    assert_eq!(story.desk.alerts().count(), 2, "after the window it is another one");
}

#[test]
fn only_what_matters_is_told_and_the_rest_now_and_then() {
    let mut story = Story::new();
    let path = |n: u64| with(hijack("192.0.2.0/24"), |f| drop(f.evidence.insert("as_path", n.into())));
    story.stands(path(0));
    story.hears(&["opened"]);
    for n in 1..=299 {
        story.advance(secs(1));
        story.stands(path(n));
    }
    story.hears(&[]);
    assert_eq!(story.only().last_seen, story.now, "readers see it at once");
    story.advance(secs(1));
    story.hears(&["changed"]);
    story.advance(hours(1));
    story.hears(&[]);
    story.stands(path(299));
    story.hears(&[]);
    story.stands(path(300));
    story.hears(&["changed"]);
}

#[test]
fn what_changes_and_changes_back_in_between_is_not_told() {
    let mut story = Story::new();
    story.stands(hijack("192.0.2.0/24"));
    story.stands(with(hijack("192.0.2.0/24"), |f| f.neighbors.push("edge-2".into())));
    story.stands(hijack("192.0.2.0/24"));
    story.advance(hours(1));
    story.hears(&["opened"]);
}

#[test]
fn graver_is_told_at_once_and_takes_it_from_whoever_had_it() {
    let mut story = Story::new();
    story.stands(grave(hijack("192.0.2.0/24"), Severity::Warning));
    let id = story.only().id.clone();
    story.acknowledge(&id);
    story.advance(secs(1));
    story.stands(grave(hijack("192.0.2.0/24"), Severity::Critical));
    story.hears(&["opened", "acknowledged", "changed"]);
    assert_eq!(stand(&story.only()), (State::Open, Severity::Critical, 0));
    // To and fro is no news: it was that grave before.
    for _ in 0..10 {
        story.stands(grave(hijack("192.0.2.0/24"), Severity::Info));
        story.stands(grave(hijack("192.0.2.0/24"), Severity::Critical));
    }
    story.advance(hours(1));
    story.hears(&[]);
    story.stands(grave(hijack("192.0.2.0/24"), Severity::Warning));
    story.hears(&["changed"]);
}

#[test]
fn it_is_told_again_while_nobody_has_it() {
    let mut story = Story::new();
    let finding = hijack("192.0.2.0/24");
    story.stands(finding.clone());
    story.advance(hours(12));
    story.hears(&["opened", "reminder", "reminder", "reminder"]);
    let id = story.only().id.clone();
    story.acknowledge(&id);
    story.advance(hours(24));
    story.hears(&["acknowledged"]);
    story.clears(&finding);
    story.advance(hours(24));
    story.hears(&["resolved"]);

    story.stands(grave(hijack("198.51.100.0/24"), Severity::Info));
    story.advance(hours(24));
    story.hears(&["opened"]);

    let mut silent = Story::with(Settings { remind_every: None, ..Settings::default() });
    silent.stands(finding);
    silent.advance(hours(24));
    silent.hears(&["opened"]);
}

#[test]
fn after_a_restart_alerts_go_on_and_what_is_not_seen_again_is_over() {
    let mut story = Story::new();
    let (stays, goes) = (held(hijack("192.0.2.0/24"), secs(30), secs(60)), hijack("198.51.100.0/24"));
    story.stands(stays.clone());
    story.stands(goes);
    story.advance(secs(30));
    let acknowledged = story.desk.alerts().find(|a| a.key == stays.key).unwrap().id.clone();
    story.acknowledge(&acknowledged);
    story.hears(&["opened", "opened", "acknowledged"]);

    story.advance(minutes(10));
    story.restart(Settings::default());
    story.advance(minutes(1));
    story.hears(&[]);
    assert_eq!(story.live().len(), 2);
    story.stands(stays.clone());
    story.hears(&[]);
    story.report(News::Settled);
    story.hears(&["resolved"]);
    let live = story.live();
    assert_eq!((live.len(), &live[0].id, live[0].state), (1, &acknowledged, State::Acknowledged));
    assert!(story.told.last().unwrap().alert.why.ends_with("over: not seen since the restart"));
    assert_eq!(story.told.last().unwrap().seq, 4, "numbers go on");

    story.clears(&stays);
    story.advance(minutes(1));
    story.hears(&["resolved"]);
    story.restart(Settings::default());
    story.stands(stays);
    story.advance(secs(30));
    story.hears(&["reopened"]);
}

#[test]
fn what_comes_back_after_it_was_missed_is_not_missed_again() {
    let mut story = Story::new();
    story.stands(hijack("192.0.2.0/24"));
    story.restart(Settings::default());
    story.report(News::Settled);
    story.stands(hijack("192.0.2.0/24"));
    story.report(News::Settled);
    story.hears(&["opened", "resolved", "reopened"]);
}

#[test]
fn nobody_is_reminded_after_a_restart_before_it_was_seen_again() {
    let mut story = Story::new();
    story.stands(hijack("192.0.2.0/24"));
    story.advance(hours(3));
    story.restart(Settings::default());
    story.advance(hours(3));
    story.hears(&["opened"]);
    story.stands(hijack("192.0.2.0/24"));
    story.advance(secs(0));
    story.hears(&["reminder"]);
    story.advance(hours(4));
    story.hears(&["reminder"]);
}

#[test]
fn resolved_ones_are_forgotten_by_age_and_by_number() {
    let keep = Settings { keep_resolved: 3, keep_resolved_for: hours(24), ..Settings::default() };
    let mut story = Story::with(keep.clone());
    for n in 0..5 {
        let finding = hijack(&format!("192.0.{n}.0/24"));
        story.stands(finding.clone());
        story.clears(&finding);
        story.advance(minutes(10));
    }
    let prefixes = |story: &Story| {
        let mut prefixes: Vec<String> = story.desk.alerts().map(|alert| alert.prefix.unwrap().to_string()).collect();
        prefixes.sort();
        prefixes
    };
    assert_eq!(prefixes(&story), ["192.0.2.0/24", "192.0.3.0/24", "192.0.4.0/24"]);
    assert_eq!(story.desk.take_unsaved().forgotten.len(), 2);
    story.advance(hours(24) - minutes(15));
    assert_eq!(prefixes(&story), ["192.0.4.0/24"]);
    story.now = story.now + hours(24);
    story.restart(keep);
    assert!(prefixes(&story).is_empty(), "those that were due while nobody was there go at the start");
    story.stands(hijack("192.0.4.0/24"));
    assert_eq!(story.told.last().unwrap().why, Why::Opened);
}

#[test]
fn the_same_story_gives_the_same_ids_and_changes() {
    let play = || {
        let mut story = Story::new();
        for n in 0..20 {
            story.stands(hijack(&format!("192.0.{n}.0/24")));
            story.advance(secs(n));
        }
        story.told
    };
    let told = play();
    assert_eq!(told, play());
    let mut ids: Vec<_> = told.iter().map(|change| change.alert.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
    assert!(ids.iter().all(|id| id.len() == 12));
}

#[test]
fn a_late_driver_sees_what_a_punctual_one_sees() {
    let (mut punctual, mut late) = (Story::new(), Story::new());
    let finding = held(hijack("192.0.2.0/24"), secs(30), secs(60));
    late.now = START + hours(1);
    let mut at = START;
    // Too short; told; gone and back; over; back.
    for (after, stands) in [(0, true), (20, false), (5, true), (40, false), (59, true), (100, false), (90, true)] {
        for _ in 0..after {
            punctual.advance(secs(1));
        }
        at = at + secs(after);
        let news = match stands {
            true => News::Stands(Box::new(finding.clone())),
            false => News::Cleared { key: finding.key.clone(), how: "gone".to_owned() },
        };
        punctual.report(news.clone());
        late.desk.handle(late.now, Input::Report(Report { at, news }), &mut late.told);
    }
    while punctual.now < late.now {
        punctual.advance(secs(1));
    }
    late.advance(secs(0));
    assert_eq!(late.told, punctual.told);
    late.hears(&["opened", "resolved", "reopened"]);
}
