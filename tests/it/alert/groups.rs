//! Findings with one cause are one alert.

use ribwatch::{
    alert::{Settings, State},
    detect::{Fingerprint, Kind, Severity},
};

use super::*;

#[test]
fn findings_with_one_cause_are_one_alert_with_members() {
    let mut story = Story::new();
    for n in 0..3000 {
        story.stands(leaked(n));
    }
    story.hears(&["opened"]);
    let alert = story.only();
    assert_eq!((&alert.key, stand(&alert)), (&leak(), (State::Open, Severity::Warning, 3000)));
    assert_eq!((alert.members.len(), &*alert.members[0], alert.prefix), (100, "10.0.0.0/24", None));
    assert_eq!(&*alert.summary, "10.0.0.0/24 leaked; 2999 more with the same cause");
    assert_eq!(&*alert.why, "10.0.0.0/24 went up; 2999 more findings have the same cause (route-leak AS64497)");
    story.advance(minutes(5));
    story.hears(&["changed"]);

    for n in 0..2999 {
        story.clears(&leaked(n));
    }
    story.advance(minutes(1));
    let alert = story.only();
    assert_eq!(
        (stand(&alert), &alert.members),
        ((State::Open, Severity::Warning, 1), &vec!["10.11.183.0/24".to_owned()])
    );
    story.clears(&leaked(2999));
    story.advance(minutes(1));
    assert_eq!(story.only().state, State::Resolved);
    assert_eq!(story.news().last().map(String::as_str), Some("resolved"));
}

#[test]
fn a_single_one_with_a_cause_speaks_for_itself() {
    let mut story = Story::new();
    story.stands(leaked(7));
    let alert = story.only();
    assert_eq!((&alert.key, &*alert.summary), (&leak(), "10.0.7.0/24 leaked"));
    assert_eq!((&alert.members, alert.member_count), (&vec!["10.0.7.0/24".to_owned()], 1));
}

#[test]
fn the_alert_is_as_grave_as_the_gravest_and_shows_it() {
    let mut story = Story::new();
    story.stands(leaked(1));
    story.stands(leaked(2));
    story.stands(grave(leaked(3), Severity::Critical));
    story.hears(&["opened", "changed"]);
    assert_eq!(
        (story.only().severity, &*story.only().summary),
        (Severity::Critical, "10.0.3.0/24 leaked; 2 more with the same cause",)
    );
    story.clears(&leaked(3));
    story.advance(minutes(1));
    assert_eq!((story.only().severity, story.only().member_count), (Severity::Warning, 2));
    story.stands(grave(leaked(2), Severity::Critical));
    story.advance(minutes(5));
    story.hears(&["changed"]);
}

#[test]
fn a_grave_one_among_thousands_is_shown_with_its_evidence() {
    let mut story = Story::new();
    for n in 0..500 {
        story.stands(leaked(n));
    }
    story.stands(with(grave(leaked(400), Severity::Critical), |f| drop(f.evidence.insert("type", 4.into()))));
    let alert = story.only();
    assert_eq!((alert.severity, &alert.evidence["type"]), (Severity::Critical, &4.into()));
    assert_eq!(stand(&alert), (State::Open, Severity::Critical, 500));
}

#[test]
fn the_finding_that_is_the_cause_speaks_for_all() {
    let mut story = Story::new();
    let down = Fingerprint::new(Kind::Session, "edge-1");
    let mut lost = hijack("192.0.2.0/24");
    lost.cause = Some(down.clone());
    lost.severity = Severity::Warning;
    let session = Finding::new(down, Severity::Warning, "edge-1 is down", "its hold timer expired");
    story.stands(lost.clone());
    story.stands(session.clone());
    let alert = story.only();
    assert_eq!(&*alert.summary, "edge-1 is down; 1 more with the same cause");
    assert_eq!((&alert.members, alert.member_count), (&vec!["192.0.2.0/24".to_owned()], 1));
    story.clears(&session);
    story.advance(minutes(1));
    assert_eq!(&*story.only().summary, "192.0.2.0/24 from AS64511");
    story.clears(&lost);
    story.advance(minutes(1));
    assert_eq!(story.only().state, State::Resolved);
}

#[test]
fn a_finding_may_get_a_cause_and_lose_it_again() {
    let mut story = Story::new();
    let alone = with(leaked(1), |finding| finding.cause = None);
    story.stands(alone.clone());
    story.stands(leaked(2));
    story.stands(leaked(1));
    story.hears(&["opened", "opened", "resolved"]);
    let live = story.live();
    assert_eq!((live.len(), &live[0].key, live[0].member_count), (1, &leak(), 2));
    let over = story.desk.alerts().find(|alert| !alert.is_live()).unwrap().why.clone();
    assert!(over.ends_with("over: it is part of another alert now: route-leak AS64497"), "{over}");

    story.stands(alone.clone());
    story.hears(&["reopened"]);
    assert_eq!(story.live().len(), 2);
    story.clears(&alone);
    story.clears(&leaked(2));
    story.advance(minutes(1));
    story.hears(&["resolved", "resolved"]);
}

#[test]
fn a_group_is_found_again_after_a_restart() {
    let mut story = Story::new();
    for n in 0..5 {
        story.stands(leaked(n));
    }
    story.advance(minutes(6));
    story.hears(&["opened", "changed"]);
    story.restart(Settings::default());
    for n in 0..5 {
        story.stands(held(leaked(n), minutes(1), minutes(1)));
    }
    story.report(News::Settled);
    story.advance(minutes(1));
    story.hears(&[]);
    assert_eq!(stand(&story.only()), (State::Open, Severity::Warning, 5));
}

#[test]
fn in_a_storm_further_alerts_of_a_kind_share_one() {
    let settings = Settings { storm: 3, ..Settings::default() };
    let mut story = Story::with(settings.clone());
    for n in 0..10 {
        story.stands(hijack(&format!("192.0.{n}.0/24")));
    }
    story.stands(leaked(1));
    story.hears(&["opened", "opened", "opened", "opened", "opened"]);
    let storm = story.live().into_iter().find(|alert| alert.member_count > 1).expect("one for the rest");
    assert_eq!((storm.kind(), storm.member_count), (Kind::OriginHijack, 7));
    // Told anew, they stay where they are, even when there is room.
    story.clears(&hijack("192.0.0.0/24"));
    story.advance(minutes(1));
    story.hears(&["resolved"]);
    story.stands(hijack("192.0.7.0/24"));
    assert_eq!(story.live().len(), 4);
    for n in 0..10 {
        story.clears(&hijack(&format!("192.0.{n}.0/24")));
    }
    story.clears(&leaked(1));
    story.advance(minutes(2));
    assert!(story.live().is_empty());
}
