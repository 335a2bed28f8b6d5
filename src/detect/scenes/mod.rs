//! Detectors about watched prefixes: each looks at the whole scene of a prefix, every time anything about it changes, and
//! says all that is wrong with it now.

pub mod covering;
pub mod first_hop;
pub mod origin;
pub mod validity;
pub mod visibility;

use std::fmt;

use serde_json::Value;

use super::{Finding, Scene, memory::Memory, settings};
use crate::types::{Prefix, Timestamp};

/// Settings of these detectors.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Settings {
    /// `origin`: hijacks of watched prefixes, of parts and of what is around them.
    pub origin: origin::Settings,
    /// `first_hop`: who may stand next to the origin.
    pub first_hop: first_hop::Settings,
    /// `covering`: prefixes around watched ones.
    pub covering: covering::Settings,
    /// `validity`: RPKI against our own routes.
    pub validity: validity::Settings,
    /// `visibility`: who sees watched prefixes.
    pub visibility: visibility::Settings,
}

/// A detector about watched prefixes.
pub trait SceneRule: fmt::Debug + Send {
    /// Says all that is wrong in the scene.
    fn examine(&mut self, scene: &Scene<'_>, out: &mut Vec<Finding>);
    /// When it wants to look again though nothing changes; `None`: never.
    fn next_deadline(&self) -> Option<Timestamp> {
        None
    }
    /// Prefixes that it wants to look at now.
    fn due(&mut self, _now: Timestamp) -> Vec<Prefix> {
        Vec::new()
    }
    /// What it has learnt and must know in the next run, under its name; `None`: nothing.
    fn memory(&self) -> Option<(&'static str, Value)> {
        None
    }
    /// Takes what it knew in the last run, before it sees anything.
    fn recall(&mut self, _: &Memory) {}
}

/// Those that the settings ask for: one line each.
pub fn rules(settings: &settings::Settings) -> Vec<Box<dyn SceneRule>> {
    let of = &settings.scenes;
    let rules: Vec<Option<Box<dyn SceneRule>>> = vec![
        boxed(origin::Origin::new(&of.origin, settings)),
        boxed(first_hop::FirstHop::new(&of.first_hop)),
        boxed(covering::Covering::new(&of.covering)),
        boxed(validity::Validity::new(&of.validity)),
        boxed(visibility::Visibility::new(&of.visibility)),
    ];
    rules.into_iter().flatten().collect()
}

fn boxed<R: SceneRule + 'static>(rule: Option<R>) -> Option<Box<dyn SceneRule>> {
    rule.map(|rule| Box::new(rule) as _)
}
