//! Who must know: findings become alerts with an id and a life. Pure: time is an argument, what is to be kept and told
//! leaves as [`Change`]s.
//!
//! `desk` leads the lives, `mute` says when nobody is told, `settings` holds the times, `json` is the form that files and
//! users see, `service` is what readers and people may ask of a desk.

mod desk;
mod id;
pub mod json;
mod mute;
mod service;
mod settings;

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use serde_json::Value;

use crate::{
    detect::{Fingerprint, Kind, Severity},
    types::{Asn, Prefix, Timestamp},
};

pub use desk::{Command, Desk, Done, Input, Kept, KeptAlert, Unsaved, find_id};
pub use mute::{Days, Maintenance, Mute, Scope, Window};
pub use service::{ChangeSource, Counts, Delivery, Filter, MuteView, Nobody, Page, Service};
pub use settings::{KindSettings, Settings};

/// Where an alert stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// Somebody should look.
    Open,
    /// Somebody looks.
    Acknowledged,
    /// It is over.
    Resolved,
}

impl FromStr for State {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.iter().copied().find(|state| state.name() == s);
        named.ok_or_else(|| format!("`{s}` is no state of an alert: open, acknowledged or resolved"))
    }
}

impl State {
    /// All, in the order of a life.
    pub const ALL: &'static [Self] = &[Self::Open, Self::Acknowledged, Self::Resolved];

    /// The word in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// Something a person should know, from the first observation to the end.
#[derive(Clone, PartialEq, Debug)]
pub struct Alert {
    /// Unique, stable over restarts and re-opening; a dozen characters that can be typed.
    pub id: Arc<str>,
    /// What makes it this alert: the finding's fingerprint, or that of the cause of several.
    pub key: Fingerprint,
    /// How grave it is: the worst that its findings are.
    pub severity: Severity,
    /// Where it stands.
    pub state: State,
    /// The prefix it is about, where it is about one.
    pub prefix: Option<Prefix>,
    /// ASes by the part they play.
    pub asns: BTreeMap<Arc<str>, Vec<Asn>>,
    /// Neighbours that showed it when it was last seen.
    pub neighbors: Vec<Arc<str>>,
    /// When its finding first stood.
    pub first_seen: Timestamp,
    /// When it was last known to stand, or last changed.
    pub last_seen: Timestamp,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// One line: what, where.
    pub summary: String,
    /// One sentence: why we say so; of a resolved one also what ended it.
    pub why: String,
    /// The observations, with the terms of the score as `score`.
    pub evidence: BTreeMap<Arc<str>, Value>,
    /// A sample of what it is about when it is about many things.
    pub members: Vec<String>,
    /// How many of them there are; 0 when it is about one thing.
    pub member_count: u64,
    /// How often it came back after it was resolved.
    pub reopened: u32,
    /// Who acknowledged it, in their words.
    pub acknowledged_by: Option<String>,
    /// What people wrote, in order.
    pub comments: Vec<Comment>,
    /// Why nobody is told of it: the reason of the mute that holds.
    pub muted: Option<String>,
}

impl Alert {
    /// Whether it is not over.
    pub fn is_live(&self) -> bool {
        self.state != State::Resolved
    }

    /// What is wrong.
    pub fn kind(&self) -> Kind {
        self.key.kind
    }
}

/// What somebody wrote about an alert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comment {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub author: String,
    /// What.
    pub text: String,
}

/// Why an alert is told of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// It was not there before.
    Opened,
    /// It came back within the window for that.
    Reopened,
    /// It became graver, what it rests on changed in a way that matters, or an acknowledgement was taken back.
    Changed,
    /// It is open still and it is time to say so again.
    Reminder,
    /// Somebody acknowledged it.
    Acknowledged,
    /// Somebody wrote something.
    Commented,
    /// It is over.
    Resolved,
    /// A mute that held it back ended, or began.
    Unmuted,
    /// A mute holds it back from now on.
    Muted,
}

impl Why {
    /// All, in the order of a life.
    pub const ALL: &'static [Self] = &[
        Self::Opened,
        Self::Reopened,
        Self::Changed,
        Self::Reminder,
        Self::Acknowledged,
        Self::Commented,
        Self::Resolved,
        Self::Unmuted,
        Self::Muted,
    ];

    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Reopened => "reopened",
            Self::Changed => "changed",
            Self::Reminder => "reminder",
            Self::Acknowledged => "acknowledged",
            Self::Commented => "commented",
            Self::Resolved => "resolved",
            Self::Unmuted => "unmuted",
            Self::Muted => "muted",
        }
    }
}

/// One change of one alert, in the order of their numbers without a hole.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// Its number; rises over restarts when a state directory is kept.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: Why,
    /// Whether sinks tell people of it: false while it is muted. The end of one that people were told of is told even then,
    /// so that nothing stays open elsewhere.
    pub tell: bool,
    /// When the observation that led to it reached this router, for the time from wire to sink; `None` when a person or a
    /// timer did.
    pub observed_at: Option<Timestamp>,
    /// The alert after the change.
    pub alert: Arc<Alert>,
}
