//! Detectors about sessions, numbers over time and RPKI data. They keep findings on the board themselves.

pub mod flap;
pub mod moas;
pub mod new_link;
pub mod prefix_count;
pub mod roa_expiry;
pub mod rpki_data;
pub mod session;
pub mod silence;
pub mod source;

use std::fmt;

use serde_json::Value;

use super::{Board, memory::Memory, settings, settings::Settings as All, watch::Watch, world::World};
use crate::{
    types::{Prefix, Timestamp},
    view::observed::{Observation, Observed, PathChange},
};

/// Settings of these detectors.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Settings {
    /// `session`.
    pub session: session::Settings,
    /// `silence`.
    pub silence: silence::Settings,
    /// `flap`.
    pub flap: flap::Settings,
    /// `prefix_count`.
    pub prefix_count: prefix_count::Settings,
    /// `rpki_data`.
    pub rpki_data: rpki_data::Settings,
    /// `new_link`.
    pub new_link: new_link::Settings,
    /// `roa_expiry`.
    pub roa_expiry: roa_expiry::Settings,
    /// `moas`.
    pub moas: moas::Settings,
}

/// What such a detector may ask.
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a> {
    /// The time, the tables, RPKI.
    pub seen: &'a Observed<'a>,
    /// Sessions.
    pub world: &'a World,
    /// Rules.
    pub watch: &'a Watch,
    /// Settings.
    pub settings: &'a All,
}

/// A detector about feeds.
pub trait FeedRule: fmt::Debug + Send {
    /// Whether it wants `path` to be called; asked once.
    fn wants_paths(&self) -> bool {
        false
    }
    /// A path changed. Called for every change, so it must be quick.
    fn path(&mut self, _: &Feed<'_>, _: &PathChange, _: &mut Board) {}
    /// Something else changed; `world` has it already.
    fn observe(&mut self, _: &Feed<'_>, _: &Observation, _: &mut Board) {}
    /// An event that explained what a watched prefix shows is over.
    fn event_over(&mut self, _: &Feed<'_>, _: Prefix, _: &mut Board) {}
    /// What it has learnt and must know in the next run, under its name; `None`: nothing.
    fn memory(&self, _: &World) -> Option<(&'static str, Value)> {
        None
    }
    /// Takes what it knew in the last run, before it sees anything.
    fn recall(&mut self, _: &Memory, _: Timestamp, _: &mut Board) {}
    /// When to call `due`; `None`: not at all.
    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }
    /// It is time.
    fn due(&mut self, _: &Feed<'_>, _: &mut Board) {}
}

/// Those that the settings ask for: one line each.
pub fn rules(settings: &settings::Settings) -> Vec<Box<dyn FeedRule>> {
    let of = &settings.feeds;
    let rules: Vec<Option<Box<dyn FeedRule>>> = vec![
        boxed(session::Sessions::new(&of.session)),
        boxed(silence::Silence::new(&of.silence)),
        boxed(flap::Flap::new(&of.flap)),
        boxed(prefix_count::PrefixCount::new(&of.prefix_count)),
        boxed(rpki_data::RpkiData::new(&of.rpki_data)),
        boxed(new_link::NewLink::new(&of.new_link, settings)),
        boxed(roa_expiry::RoaExpiry::new(&of.roa_expiry)),
        boxed(moas::Moas::new(&of.moas)),
    ];
    rules.into_iter().flatten().collect()
}

fn boxed<R: FeedRule + 'static>(rule: Option<R>) -> Option<Box<dyn FeedRule>> {
    rule.map(|rule| Box::new(rule) as _)
}
