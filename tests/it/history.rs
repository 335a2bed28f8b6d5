//! What is remembered of prefixes: the changes that neighbours made, and not their first tables, nor what we thought of
//! them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ribwatch::{
    types::{Family, Timestamp},
    view::{
        history::{
            History, PrefixHistory,
            tap::{Batch, Tap},
        },
        observed::Observer,
    },
    wire::bgp::attribute::AttrSet,
};

use crate::lab::{Lab, external, p, path};

const PREFIX: &str = "203.0.113.0/24";
/// A tap holds what it has for a moment.
const HELD: Duration = Duration::from_millis(50);
const V4: Family = Family::IPV4_UNICAST;

/// A laboratory, and a memory beside it.
struct Story {
    lab: Lab,
    memory: Arc<Mutex<History>>,
}

/// A tap that hands on to a memory as long as `takes` says so.
fn tap(memory: &Arc<Mutex<History>>, takes: fn() -> bool, resumes: bool) -> Box<dyn Observer> {
    let memory = Arc::clone(memory);
    let hand = move |batch: Batch| {
        if !takes() {
            return Some(batch);
        }
        memory.lock().unwrap().take(&batch);
        None
    };
    Box::new(Tap::new(Box::new(hand), resumes))
}

impl Story {
    fn new() -> Self {
        let (mut lab, memory) = (Lab::new(), Arc::new(Mutex::new(History::new(1 << 20, Timestamp(0)))));
        lab.watched_by(tap(&memory, || true, false));
        Self { lab, memory }
    }

    fn answer(&mut self) -> PrefixHistory {
        self.lab.settle();
        self.lab.advance(HELD);
        self.memory.lock().unwrap().of(V4, p(PREFIX))
    }

    /// `before > after` of each change.
    fn changes(&mut self) -> Vec<String> {
        let shown = |version: &Option<ribwatch::view::history::Version>| match version {
            Some(version) => AttrSet::new(&version.attrs).as_path().to_string(),
            None => "-".to_owned(),
        };
        let answer = self.answer();
        answer.changes.iter().map(|change| format!("{} > {}", shown(&change.before), shown(&change.after))).collect()
    }
}

#[test]
fn changes_are_remembered_and_a_first_table_is_not() {
    let mut story = Story::new();
    let edge = story.lab.peer(external(64496).called("edge-1"));
    story.lab.announces(edge, PREFIX, path("64496 64500"));
    story.lab.ends_rib(edge, V4);
    assert_eq!(story.changes(), Vec::<String>::new());
    story.lab.announces(edge, PREFIX, path("64496 64497 64500"));
    story.lab.announces(edge, PREFIX, path("64496 64497 64500"));
    story.lab.withdraws(edge, PREFIX);
    story.lab.announces(edge, PREFIX, path("64496 64500"));
    assert_eq!(
        story.changes(),
        ["64496 64500 > 64496 64497 64500", "64496 64497 64500 > -", "- > 64496 64500"],
        "the same again is no change"
    );
    assert_eq!(&*story.answer().changes[0].vantage.name, "edge-1");
}

#[test]
fn a_table_that_never_says_that_it_is_complete_is_complete_after_a_while() {
    let mut story = Story::new();
    let edge = story.lab.peer(external(64496));
    story.lab.announces(edge, PREFIX, path("64496 64500"));
    story.lab.withdraws(edge, PREFIX);
    assert_eq!(story.changes(), ["64496 64500 > -"], "what goes was there, so this is a change");
    story.lab.advance(Duration::from_secs(300));
    story.lab.announces(edge, PREFIX, path("64496 64500"));
    assert_eq!(story.changes().last().unwrap(), "- > 64496 64500");
}

#[test]
fn a_session_that_ends_is_one_event_and_not_one_for_each_path() {
    let mut story = Story::new();
    let edge = story.lab.peer(external(64496));
    story.lab.announces(edge, PREFIX, path("64496 64500"));
    story.lab.down(edge);
    assert_eq!(story.changes(), Vec::<String>::new());
    story.lab.up(edge);
    story.lab.announces(edge, PREFIX, path("64496 64501"));
    assert_eq!(story.changes(), Vec::<String>::new());
    let fates: Vec<&str> = story.answer().sessions.iter().map(|event| event.fate.name()).collect();
    assert_eq!(fates, ["up", "down", "up"]);
}

#[test]
fn who_takes_anothers_place_is_not_told_the_table_as_news() {
    let mut story = Story::new();
    let edge = story.lab.peer(external(64496));
    story.lab.announces(edge, PREFIX, path("64496 64500"));
    story.lab.ends_rib(edge, V4);
    story.lab.settle();
    let anew = tap(&story.memory, || true, true);
    story.lab.watched_anew_by(anew);
    story.lab.settle();
    assert_eq!((story.changes(), story.answer().sessions.len()), (Vec::new(), 1));
    story.lab.announces(edge, PREFIX, path("64496 64501"));
    assert_eq!(story.changes(), ["64496 64500 > 64496 64501"]);
}

#[test]
fn what_cannot_be_handed_on_is_counted() {
    static FULL: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(true);
    let (mut lab, memory) = (Lab::new(), Arc::new(Mutex::new(History::new(1 << 20, Timestamp(0)))));
    lab.watched_by(tap(&memory, || !FULL.load(std::sync::atomic::Ordering::Relaxed), false));
    let edge = lab.peer(external(64496));
    lab.ends_rib(edge, V4);
    lab.announces(edge, PREFIX, path("64496 64500"));
    lab.announces(edge, PREFIX, path("64496 64501"));
    lab.settle();
    lab.advance(HELD);
    FULL.store(false, std::sync::atomic::Ordering::Relaxed);
    lab.withdraws(edge, PREFIX);
    lab.settle();
    lab.advance(HELD);
    let answer = memory.lock().unwrap().of(V4, p(PREFIX));
    assert_eq!((answer.missed, answer.changes.len()), (2, 1));
    assert_eq!(answer.sessions.len(), 1, "that the session came up was told later");
}

#[test]
fn a_table_that_goes_at_once_is_counted_and_pushes_nothing_out() {
    let mut story = Story::new();
    let edge = story.lab.peer(external(64496));
    let table = crate::lab::many(100_000);
    table.chunks(1000).for_each(|some| story.lab.announces_paths(edge, some, &path("64496 64500")));
    story.lab.announces(edge, PREFIX, path("64496 64500"));
    story.lab.ends_rib(edge, V4);
    story.lab.advance(Duration::from_secs(60));
    story.lab.announces(edge, PREFIX, path("64496 64501"));
    table.chunks(1000).for_each(|some| story.lab.withdraws_paths(edge, some));
    let answer = story.answer();
    assert!((75_000..=95_000).contains(&answer.missed), "{}", answer.missed);
    story.lab.advance(Duration::from_secs(60));
    story.lab.withdraws(edge, PREFIX);
    assert_eq!(
        story.answer().changes.last().map(|change| change.after.is_none()),
        Some(true),
        "later changes are told"
    );
}
