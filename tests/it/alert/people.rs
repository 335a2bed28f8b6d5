//! What people do about alerts.

use ribwatch::{
    alert::{Filter, Scope, State},
    detect::{Kind, Severity},
    types::Asn,
};

use super::*;

fn comment(id: &str, text: &str) -> Command {
    Command::Comment { id: id.to_owned(), author: "ann".to_owned(), text: text.to_owned() }
}

#[test]
fn somebody_takes_it_says_why_and_gives_it_back() {
    let mut story = Story::new();
    story.stands(hijack("192.0.2.0/24"));
    let id = story.only().id.clone();
    let take = Command::Acknowledge { id: id[..6].to_owned(), author: "ann".to_owned(), note: "calling".to_owned() };
    let Ok(Done::Alert(alert)) = story.command(take) else { panic!("an alert") };
    assert_eq!((alert.state, alert.acknowledged_by.as_deref()), (State::Acknowledged, Some("ann")));
    assert_eq!((&*alert.comments[0].author, &*alert.comments[0].text), ("ann", "calling"));
    story.acknowledge(&id);
    story.command(comment(&id, "they withdrew it")).unwrap();
    let back = Command::Unacknowledge { id: id.to_string(), author: "ann".to_owned(), note: String::new() };
    story.command(back.clone()).unwrap();
    story.hears(&["opened", "acknowledged", "commented", "changed"]);
    assert_eq!((story.only().state, story.only().comments.len()), (State::Open, 3));
    assert!(matches!(story.command(back), Err(Refusal::NotNow(_))));
    story.advance(hours(4));
    story.hears(&["reminder"]);
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let mut story = Story::new();
    let finding = hijack("192.0.2.0/24");
    story.stands(finding.clone());
    story.clears(&finding);
    story.advance(minutes(1));
    story.hears(&["opened", "resolved"]);
    let id = story.only().id.to_string();
    let ack = |id: &str, author: &str| Command::Acknowledge { id: id.into(), author: author.into(), note: "".into() };
    assert!(matches!(story.command(ack(&id, "ann")), Err(Refusal::NotNow(_))), "it is over");
    assert!(matches!(story.command(ack("nothing", "ann")), Err(Refusal::NotFound(_))));
    assert!(matches!(story.command(ack("", "ann")), Err(Refusal::NotFound(_))));
    assert!(matches!(story.command(ack(&id, " ")), Err(Refusal::Invalid(_))));
    assert!(matches!(story.command(comment(&id, "")), Err(Refusal::Invalid(_))));
    assert!(matches!(story.command(comment(&id, "\x1b[2J")), Err(Refusal::Invalid(_))));
    assert!(matches!(story.command(comment(&id, &"x".repeat(4001))), Err(Refusal::Invalid(_))));
    let mute = |scope: Scope, reason: &str, length| Command::Mute {
        scope,
        reason: reason.into(),
        author: "ann".into(),
        length,
    };
    let flaps = Scope { kinds: vec![Kind::Flap], ..Scope::default() };
    assert!(matches!(story.command(mute(Scope::default(), "r", hours(1))), Err(Refusal::Invalid(_))));
    assert!(matches!(story.command(mute(flaps.clone(), "", hours(1))), Err(Refusal::Invalid(_))));
    assert!(matches!(story.command(mute(flaps.clone(), "r", secs(0))), Err(Refusal::Invalid(_))));
    assert!(matches!(story.command(mute(flaps, "r", hours(10_000))), Err(Refusal::Invalid(_))));
    assert!(matches!(story.command(Command::Unmute { id: id.clone() }), Err(Refusal::NotFound(_))));
    story.hears(&[]);
    assert!(story.desk.mutes().is_empty());
    story.command(comment(&id, "still can be written about\nlater")).unwrap();
    story.hears(&["commented"]);
}

#[test]
fn filters_pick_by_every_word() {
    let mut story = Story::new();
    story.stands(hijack("192.0.2.0/24"));
    story.stands(leaked(1));
    story.stands(leaked(2));
    let count = |filter: Filter| story.desk.alerts().filter(|alert| filter.admits(alert)).count();
    let none = Filter::default;
    assert_eq!(count(none()), 2);
    assert_eq!(count(Filter { kinds: vec![Kind::RouteLeak], ..none() }), 1);
    assert_eq!(count(Filter { states: vec![State::Resolved], ..none() }), 0);
    assert_eq!(count(Filter { severity: Some(Severity::Warning), ..none() }), 2);
    assert_eq!(count(Filter { severity: Some(Severity::Critical), ..none() }), 1);
    assert_eq!(count(Filter { prefix: "192.0.2.128/25".parse().ok(), ..none() }), 1, "around it");
    assert_eq!(count(Filter { prefix: "10.0.0.0/8".parse().ok(), ..none() }), 1, "members in it");
    assert_eq!(count(Filter { asn: Some(Asn(64497)), ..none() }), 1);
    assert_eq!(count(Filter { neighbor: "edge-1".into(), ..none() }), 2);
    assert_eq!(count(Filter { neighbor: "edge".into(), ..none() }), 0);
    assert_eq!(count(Filter { text: "FROM as64511".into(), ..none() }), 1);
}
