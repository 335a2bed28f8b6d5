//! Mutes and maintenance windows: alerts live on, people are left alone.

use std::time::Duration;

use ribwatch::{
    alert::{Days, Maintenance, Scope, Settings, State, Window},
    detect::{Kind, Severity},
    types::Asn,
};

use super::*;

fn mute(scope: Scope, length: Duration) -> Command {
    Command::Mute { scope, reason: "rebuild".to_owned(), author: "ann".to_owned(), length }
}

fn kind(kind: Kind) -> Scope {
    Scope { kinds: vec![kind], ..Scope::default() }
}

#[test]
fn what_opens_while_muted_is_kept_and_told_when_the_mute_ends() {
    let mut story = Story::new();
    story.command(mute(kind(Kind::OriginHijack), hours(2))).unwrap();
    let (stays, goes) = (hijack("192.0.2.0/24"), hijack("198.51.100.0/24"));
    story.stands(stays);
    story.stands(goes.clone());
    story.stands(leaked(1));
    story.hears(&["(opened)", "(opened)", "opened"]);
    let reasons: Vec<_> = story.desk.alerts().filter_map(|alert| alert.muted.clone()).collect();
    assert_eq!(reasons, ["rebuild", "rebuild"]);
    story.clears(&goes);
    story.advance(hours(2) - secs(1));
    story.hears(&["(resolved)"]);
    story.advance(secs(1));
    story.hears(&["unmuted"]);
    assert_eq!((story.told.last().unwrap().alert.muted.clone(), story.desk.mutes().len()), (None, 0));
    story.advance(hours(4));
    story.hears(&["reminder", "reminder"]);
}

#[test]
fn the_end_of_what_people_know_of_is_told_even_when_muted() {
    let mut story = Story::new();
    let finding = hijack("192.0.2.0/24");
    story.stands(finding.clone());
    story.command(mute(kind(Kind::OriginHijack), hours(2))).unwrap();
    story.advance(hours(1));
    story.stands(grave(leaked(1), Severity::Info));
    story.clears(&finding);
    story.advance(minutes(1));
    story.hears(&["opened", "(muted)", "opened", "resolved"]);
    story.stands(finding.clone());
    story.clears(&finding);
    story.advance(minutes(1));
    story.hears(&["(reopened)", "(resolved)"]);
}

#[test]
fn a_mute_of_one_alert_ends_by_the_alerts_name() {
    let mut story = Story::new();
    story.stands(hijack("192.0.2.0/24"));
    story.stands(hijack("198.51.100.0/24"));
    let id = story.desk.alerts().next().unwrap().id.clone();
    let scope = Scope { alert: Some(id[..5].into()), ..Scope::default() };
    let Ok(Done::Muted(made)) = story.command(mute(scope, hours(1))) else { panic!("a mute") };
    assert_eq!((made.scope.alert.as_ref(), made.until), (Some(&id), START + hours(1)));
    story.hears(&["opened", "opened", "(muted)"]);
    assert_eq!(story.command(Command::Unmute { id: id.to_string() }), Ok(Done::Unmuted(1)));
    story.hears(&["unmuted"]);
}

#[test]
fn a_mute_means_all_that_it_names() {
    let mut story = Story::new();
    story.stands(hijack("192.0.2.0/24"));
    let alert = story.only();
    let prefix = |text: &str| Scope { prefixes: vec![text.parse().unwrap()], ..Scope::default() };
    let neighbors =
        |names: &[&str]| Scope { neighbors: names.iter().map(|name| (*name).to_owned()).collect(), ..Scope::default() };
    assert!(prefix("192.0.0.0/16").covers(&alert) && prefix("192.0.2.0/24").covers(&alert));
    assert!(!prefix("192.0.2.0/25").covers(&alert));
    assert!(Scope { asns: vec![Asn(64511)], ..Scope::default() }.covers(&alert));
    assert!(!Scope { asns: vec![Asn(64511)], ..kind(Kind::Flap) }.covers(&alert));
    assert!(neighbors(&["edge-1", "edge-3"]).covers(&alert));
    story.stands(with(hijack("192.0.2.0/24"), |f| f.neighbors.push("edge-2".into())));
    assert!(!neighbors(&["edge-1"]).covers(&story.only()), "another one shows it too");
    assert!(neighbors(&["edge-1", "edge-2"]).covers(&story.only()));
}

#[test]
fn what_a_mute_does_not_mean_any_more_is_told() {
    let mut story = Story::new();
    let scope = Scope { neighbors: vec!["edge-1".to_owned()], ..Scope::default() };
    story.command(mute(scope, hours(2))).unwrap();
    story.stands(hijack("192.0.2.0/24"));
    story.stands(with(hijack("192.0.2.0/24"), |f| f.neighbors.push("edge-2".into())));
    story.hears(&["(opened)", "unmuted"]);
}

#[test]
fn maintenance_windows_are_mutes_by_plan() {
    // The story starts on Tuesday 2023-11-14 at 22:13:20 UTC.
    let window = Window::Weekly { days: Days(1 << 1), from: Duration::from_secs(23 * 3600), length: hours(2) };
    let plan = Maintenance { name: "weekly".to_owned(), scope: kind(Kind::OriginHijack), window };
    let settings = Settings { maintenance: vec![plan], ..Settings::default() };
    let mut story = Story::new();
    story.stands(hijack("192.0.2.0/24"));
    story.desk.set_settings(story.now, settings, &mut story.told);
    story.advance(minutes(40));
    story.hears(&["opened"]);
    story.advance(hours(1));
    story.hears(&["(muted)"]);
    assert_eq!(story.told.last().unwrap().at.to_string(), "2023-11-14T23:00:00Z");
    assert!(story.desk.mutes()[0].active);
    story.advance(hours(2));
    story.hears(&["unmuted"]);
    assert_eq!(story.told.last().unwrap().at.to_string(), "2023-11-15T01:00:00Z");
    story.advance(hours(7 * 24));
    let count = |why: Why| story.told.iter().filter(|change| change.why == why).count();
    assert_eq!((count(Why::Muted), count(Why::Unmuted)), (2, 2));
}

#[test]
fn mutes_outlive_a_restart_and_end_meanwhile() {
    let mut story = Story::new();
    story.stands(hijack("192.0.2.0/24"));
    story.command(mute(kind(Kind::OriginHijack), hours(2))).unwrap();
    story.restart(Settings::default());
    story.hears(&["opened", "(muted)"]);
    assert_eq!((story.desk.mutes().len(), story.only().state), (1, State::Open));
    story.now = story.now + hours(3);
    story.restart(Settings::default());
    story.hears(&["unmuted"]);
    assert!(story.desk.mutes().is_empty());
}
