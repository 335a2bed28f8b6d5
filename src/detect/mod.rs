//! Is something wrong: changes of routes become findings with evidence.
//!
//! `Detect` watches every change on the engine's thread and hands out reports. What it looks at and when:
//!
//! ```text
//! scenes   a watched prefix with all its paths, once per batch in which anything about it changed    scene, scenes/*
//! paths    an AS path and who sent it, once per attribute set; causes with their members            judged, paths/*
//! feeds    sessions, numbers over time, RPKI data                                                  world, feeds/*
//! ```
//!
//! What a hijack or a leak does to its own prefix is put under it (`events`), so that one event is one alert.
//!
//! Support is never remembered apart from the tables: a scene is read from the RIB each time, and the members of a cause are
//! counted up and down with the paths that show it. So a withdrawal, an implicit one, the end of a session and a
//! refresh all take support away in one and the same way. `board` turns what stands into reports; hold times, grouping
//! and people are the business of `alert`.
//!
//! To add a detector: one file in `scenes`, `paths` or `feeds` with its settings, defaults and known false positives, its
//! line in that folder's `mod.rs`, and its keys in `config`.

mod board;
pub mod events;
pub mod feeds;
mod finding;
mod judged;
mod kind;
pub mod memory;
pub mod paths;
pub mod scene;
pub mod scenes;
pub mod settings;
pub mod watch;
pub mod world;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

pub use board::{Board, Owner};
pub use finding::{Finding, Fingerprint, Hold, News, Report, Term};
pub use kind::{Kind, Severity};
pub use scene::Scene;
pub use settings::{Settings, WatchAsn, WatchPrefix};

use self::{
    events::Event,
    feeds::{Feed, FeedRule},
    judged::Judged,
    memory::{Archive, Memory},
    scenes::SceneRule,
    watch::{Relation, Watch},
    world::World,
};
use crate::{
    types::{Family, Prefix, Timestamp},
    view::observed::{Observation, Observed, Observer},
};

/// Where reports go: must not block.
pub type Reporter = Box<dyn FnMut(Vec<Report>) + Send>;

/// All detectors.
pub struct Detect {
    settings: Settings,
    watch: Watch,
    world: World,
    judged: Judged,
    scenes: Vec<Box<dyn SceneRule>>,
    feeds: Vec<Box<dyn FeedRule>>,
    /// Those of `feeds` that want paths.
    path_feeds: Vec<usize>,
    board: Board,
    /// Prefixes whose scene is to be looked at.
    dirty: BTreeSet<Prefix>,
    began: bool,
    /// When to ask next whether all is settled.
    settle_at: Timestamp,
    reporter: Reporter,
    /// Where what was learnt is kept, and when that is done next.
    archive: Option<(Box<dyn Archive>, Timestamp)>,
}

impl fmt::Debug for Detect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detect").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Detect {
    /// Detectors as the settings ask for, that have seen nothing yet.
    pub fn new(settings: Settings, reporter: Reporter) -> Self {
        let feeds = feeds::rules(&settings);
        Self {
            watch: Watch::new(&settings),
            world: World::default(),
            judged: Judged::new(&settings),
            scenes: scenes::rules(&settings),
            path_feeds: (0..feeds.len()).filter(|at| feeds[*at].wants_paths()).collect(),
            feeds,
            board: Board::default(),
            dirty: BTreeSet::new(),
            began: false,
            settle_at: Timestamp::default(),
            reporter,
            archive: None,
            settings,
        }
    }

    /// With what was learnt before, and a place for what is learnt from now on.
    pub fn with_archive(mut self, archive: Box<dyn Archive>) -> Self {
        self.archive = Some((archive, Timestamp::default()));
        self
    }

    fn recall(&mut self, now: Timestamp) {
        let Some((archive, keep_at)) = &mut self.archive else { return };
        *keep_at = now + KEEP_INTERVAL;
        let memory = archive.recall();
        self.world.events.recall(&memory);
        self.scenes.iter_mut().for_each(|rule| rule.recall(&memory));
        self.feeds.iter_mut().for_each(|rule| rule.recall(&memory, now, &mut self.board));
    }

    fn keep(&mut self) {
        let Some((archive, _)) = &mut self.archive else { return };
        let (scenes, feeds) = (self.scenes.iter(), self.feeds.iter());
        let known = scenes.filter_map(|rule| rule.memory()).chain(feeds.filter_map(|rule| rule.memory(&self.world)));
        let known = known.chain([self.world.events.memory()]);
        archive.keep(known.map(|(detector, memory)| (detector.to_owned(), memory)).collect::<Memory>());
    }

    fn take(&mut self, seen: &Observed<'_>, observation: &Observation) {
        if let Observation::Path(change) = observation {
            self.world.count(change, seen.now);
            if self.watch.may_concern(change.prefix) {
                self.dirty.insert(change.prefix);
            }
            self.judged.change(seen, &self.watch, change);
            if !self.path_feeds.is_empty() {
                let feed = Feed { seen, world: &self.world, watch: &self.watch, settings: &self.settings };
                for at in &self.path_feeds {
                    self.feeds[*at].path(&feed, change, &mut self.board);
                }
            }
            return;
        }
        if let Observation::Up { session, resumed: false } = observation {
            self.judged.forget_session(*session);
        }
        self.world.take(seen, observation);
        // Who can be expected to see what is another question now.
        self.dirty.extend(self.watch.rules().map(|rule| rule.prefix));
        self.dirty.extend(self.board.scenes());
        let feed = Feed { seen, world: &self.world, watch: &self.watch, settings: &self.settings };
        for rule in &mut self.feeds {
            rule.observe(&feed, observation, &mut self.board);
        }
    }

    fn examine(&mut self, seen: &Observed<'_>) {
        for rule in &mut self.scenes {
            if rule.next_deadline().is_some_and(|due| due <= seen.now) {
                self.dirty.extend(rule.due(seen.now));
            }
        }
        self.dirty.extend(self.world.events.forget(seen.now));
        while let Some(prefix) = self.dirty.pop_first() {
            let Some(relation) = self.watch.concerns(prefix) else { continue };
            let mut findings = Vec::new();
            // A leak is known before the prefix is looked at: what it shows is not to be learnt.
            let leak = self.judged.leak_of(seen, prefix).filter(|_| relation != Relation::Covering);
            if let Some(leak) = &leak {
                self.world.events.begin(seen.now, prefix, leak);
            }
            let scene = Scene::new(seen, prefix, relation, (&self.watch, &self.settings, &self.world));
            for rule in &mut self.scenes {
                rule.examine(&scene, &mut findings);
            }
            if relation != Relation::Covering {
                self.world.events.join_neighbors(&mut findings, &self.board);
                let event = Event::of(&findings).or(leak);
                self.follow_event(seen, (prefix, event), &mut findings);
            }
            let blind = |finding: &Finding| {
                let up = |name: &Arc<str>| {
                    self.world.sessions().any(|(_, s)| s.phase == world::Phase::Up && s.vantage.name == *name)
                };
                !finding.neighbors.is_empty() && !finding.neighbors.iter().any(up)
            };
            let how = |finding: &Finding| match blind(finding) {
                true => "the sessions that showed it are down".to_owned(),
                false => "no neighbor shows it any more".to_owned(),
            };
            self.board.replace(seen.now, &Owner::Scene(prefix), findings, &how);
        }
    }

    /// Whether the scene of a prefix is an event, and what that explains.
    fn follow_event(
        &mut self,
        seen: &Observed<'_>,
        (prefix, event): (Prefix, Option<Event>),
        findings: &mut [Finding],
    ) {
        if self.world.events.set(seen.now, prefix, event) {
            let feed = Feed { seen, world: &self.world, watch: &self.watch, settings: &self.settings };
            self.feeds.iter_mut().for_each(|rule| rule.event_over(&feed, prefix, &mut self.board));
        }
        self.world.events.explain(seen.now, prefix, findings, &self.board);
    }

    /// Everything that could be seen was seen once: what was known of an earlier run and does not stand is over.
    fn settle(&mut self, now: Timestamp) {
        if self.world.settled || now < self.settle_at {
            return;
        }
        self.settle_at = now + SETTLE_INTERVAL;
        let families = [Family::IPV4_UNICAST, Family::IPV6_UNICAST];
        let loaded = |session: &world::Session| {
            session.phase != world::Phase::Up
                || families
                    .iter()
                    .all(|family| session.paths[usize::from(family.afi != 1)] == 0 || session.is_loaded(*family, now))
        };
        let up_long = now >= self.world.started_at + SETTLE_MIN;
        let all_loaded = self.world.sessions().next().is_some() && self.world.sessions().all(|(_, s)| loaded(s));
        if up_long && all_loaded || now >= self.world.started_at + self.settings.settle_max {
            self.world.settled = true;
            // What is missing now is missing.
            self.dirty.extend(self.watch.rules().map(|rule| rule.prefix));
            self.world.events.settled();
            self.board.say(now, News::Settled);
        }
    }
}

impl Observer for Detect {
    fn observe(&mut self, seen: &Observed<'_>) {
        if !self.began {
            self.began = true;
            self.world.started_at = seen.now;
            self.recall(seen.now);
            self.dirty.extend(self.watch.rules().map(|rule| rule.prefix));
        }
        self.judged.forget_sets(seen.freed);
        self.judged.all_was_seen(self.world.settled || !self.settings.paths.leak.normal_at_start);
        for observation in seen.log {
            if let Observation::Rpki { before } = observation {
                self.world.take_rpki(seen, before);
            }
            self.take(seen, observation);
        }
        let feed = Feed { seen, world: &self.world, watch: &self.watch, settings: &self.settings };
        for rule in &mut self.feeds {
            if rule.next_deadline().is_some_and(|due| due <= seen.now) {
                rule.due(&feed, &mut self.board);
            }
        }
        self.judged.settle(seen.now, &self.settings, &mut self.world.events, &mut self.board);
        self.settle(seen.now);
        self.examine(seen);
        self.judged.tell_new(seen.now, &mut self.world.events, &mut self.board);
        let reports = self.board.take();
        if !reports.is_empty() {
            (self.reporter)(reports);
        }
        if let Some((_, keep_at)) = &mut self.archive
            && *keep_at <= seen.now
        {
            *keep_at = seen.now + KEEP_INTERVAL;
            self.keep();
        }
    }

    fn end(&mut self) {
        // One that has seen nothing knows nothing.
        if self.began {
            self.keep();
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let feeds = self.feeds.iter().filter_map(|rule| rule.next_deadline());
        let scenes = self.scenes.iter().filter_map(|rule| rule.next_deadline());
        let events = self.world.events.next_deadline();
        let settle = (!self.world.settled).then_some(self.settle_at);
        let keep = self.archive.as_ref().filter(|_| self.began).map(|(_, at)| *at);
        feeds.chain(scenes).chain(self.judged.next_deadline()).chain(events).chain(settle).chain(keep).min()
    }
}

/// How often what was learnt is kept: what is learnt later than that before a crash is lost.
const KEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Nothing is settled earlier than this after the start.
const SETTLE_MIN: Duration = Duration::from_secs(30);
/// Until it is, this is how often that is asked.
const SETTLE_INTERVAL: Duration = Duration::from_secs(1);
