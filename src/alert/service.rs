//! What readers and people may ask of the desk that runs, without knowing where it runs. `app` provides it.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use super::{Alert, Change, Command, Done, Scope, State, Why};
use crate::{
    detect::{Kind, Severity},
    types::{Asn, Prefix, Timestamp},
    view::{Refusal, Reply},
};

/// Which alerts are asked for. What is empty or `None` lets all pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Of one of these kinds.
    pub kinds: Vec<Kind>,
    /// In one of these states.
    pub states: Vec<State>,
    /// At least as grave.
    pub severity: Option<Severity>,
    /// About this prefix, one in it or one around it.
    pub prefix: Option<Prefix>,
    /// This AS plays a part.
    pub asn: Option<Asn>,
    /// This neighbour, by the name that alerts have, showed it.
    pub neighbor: String,
    /// Stands in the id, subject, summary or why; case does not matter.
    pub text: String,
}

impl Filter {
    /// Whether `alert` is asked for.
    pub fn admits(&self, alert: &Alert) -> bool {
        let overlaps = |ours: Prefix, theirs: Prefix| ours.covers(&theirs) || theirs.covers(&ours);
        let about = |ours: Prefix| {
            let member = |text: &String| text.parse().is_ok_and(|theirs| overlaps(ours, theirs));
            alert.prefix.is_some_and(|theirs| overlaps(ours, theirs)) || alert.members.iter().any(member)
        };
        (self.kinds.is_empty() || self.kinds.contains(&alert.kind()))
            && (self.states.is_empty() || self.states.contains(&alert.state))
            && self.severity.is_none_or(|least| alert.severity >= least)
            && self.prefix.is_none_or(about)
            && self.asn.is_none_or(|asn| alert.asns.values().any(|asns| asns.contains(&asn)))
            && (self.neighbor.is_empty() || alert.neighbors.iter().any(|name| **name == *self.neighbor))
            && (self.text.is_empty() || self.finds(alert))
    }

    fn finds(&self, alert: &Alert) -> bool {
        let sought = self.text.to_lowercase();
        let places: [&str; 4] = [&alert.id, &alert.key.subject, &alert.summary, &alert.why];
        places.iter().any(|place| place.to_lowercase().contains(&sought))
    }
}

/// A part of a list.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    /// Those that are not over first, then the latest first.
    pub alerts: Vec<Arc<Alert>>,
    /// What to ask the next page with; empty: there is none.
    pub next: String,
    /// Number of the last change that it includes.
    pub seq: u64,
}

/// A mute or a maintenance window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MuteView {
    /// The id of a mute, the name of a window.
    pub id: Arc<str>,
    /// What it mutes.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who; of a window `config`.
    pub author: String,
    /// When it was made; `None`: by configuration.
    pub created_at: Option<Timestamp>,
    /// When it ends, or when a window begins that does not hold now; `None`: never again.
    pub until: Option<Timestamp>,
    /// Whether it holds now.
    pub active: bool,
}

/// What a watcher gets.
#[derive(Clone, PartialEq, Debug)]
pub enum Delivery {
    /// The next change.
    Change(Arc<Change>),
    /// Changes that cannot be heard of any more: take a list. The next change has number `next`.
    Gap {
        /// The number after the last one that the watcher knows.
        missed: u64,
        /// The number from which on changes follow.
        next: u64,
    },
}

/// Changes, in the order of their numbers.
pub trait ChangeSource: Send {
    /// The next one; `None` when the daemon stops. Dropping the future before it is ready loses nothing.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Delivery>> + Send + '_>>;
}

/// Numbers for metrics.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Alerts by kind, severity and state; resolved ones as far as they are kept.
    pub alerts: BTreeMap<(Kind, Severity, State), u64>,
    /// Changes since the start, by why; those that were told, those that were held back.
    pub changes: BTreeMap<&'static str, (u64, u64)>,
    /// Mutes and windows that hold now.
    pub mutes: u64,
    /// Reports from detectors since the start.
    pub reports: u64,
    /// Reports that were replaced by later ones about the same before they were looked at.
    pub reports_merged: u64,
    /// Times the journal could not be written since the start.
    pub journal_errors: u64,
}

impl Counts {
    /// Counts a change.
    pub fn count(&mut self, why: Why, tell: bool) {
        let (told, held) = self.changes.entry(why.name()).or_default();
        *(if tell { told } else { held }) += 1;
    }
}

/// A desk that runs.
pub trait Service: Send + Sync + 'static {
    /// Alerts that pass, from the one behind `after` (empty: the first), at most `limit`. One that is resolved or opens
    /// again between two pages may stand on both, or on none.
    ///
    /// # Errors
    /// `Invalid`: `after` is not what a page said.
    fn list(&self, filter: &Filter, after: &str, limit: usize) -> Result<Page, Refusal>;
    /// One alert, by its id or a beginning of it that no other has.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`: several begin so.
    fn get(&self, id: &str) -> Result<Arc<Alert>, Refusal>;
    /// All mutes, then all windows.
    fn mutes(&self) -> Vec<MuteView>;
    /// Changes with numbers above `after`; `None`: those that come.
    fn watch(&self, after: Option<u64>) -> Box<dyn ChangeSource>;
    /// Has the desk do something; answered once it is kept.
    fn command(&self, command: Command) -> Reply<Done>;
    /// Numbers for metrics.
    fn counts(&self) -> Counts;
}

/// No desk at all: nothing is there and nothing happens.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Service for Nobody {
    fn list(&self, _: &Filter, _: &str, _: usize) -> Result<Page, Refusal> {
        Ok(Page::default())
    }

    fn get(&self, id: &str) -> Result<Arc<Alert>, Refusal> {
        Err(Refusal::NotFound(format!("no alert has the id {id}")))
    }

    fn mutes(&self) -> Vec<MuteView> {
        Vec::new()
    }

    fn watch(&self, _: Option<u64>) -> Box<dyn ChangeSource> {
        Box::new(Self)
    }

    fn command(&self, _: Command) -> Reply<Done> {
        Box::pin(async { Err(Refusal::NotNow("alerts are not served here".to_owned())) })
    }

    fn counts(&self) -> Counts {
        Counts::default()
    }
}

impl ChangeSource for Nobody {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Delivery>> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}
