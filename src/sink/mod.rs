//! How alerts leave: one file per kind of receiver says what it is sent (no I/O in there), `courier` says when, and what
//! is tried again, `driver` and `transport` do it. A sink is slow, away or wrong without anybody else noticing.
//!
//! To add a kind: its file with `Settings` and what is sent, a variant of [`Receiver`], and the compiler leads on.

pub mod alertmanager;
pub mod courier;
pub mod driver;
pub mod email;
pub mod filter;
pub mod json;
pub mod jsonl;
mod kept;
pub mod nats;
pub mod pagerduty;
pub mod request;
pub mod sample;
pub mod slack;
pub mod syslog;
pub mod template;
pub mod text;
pub mod transport;
pub mod webhook;

use std::{path::PathBuf, time::Duration};

pub use self::{
    filter::Filter,
    request::{HttpRequest, Outcome},
    text::Secret,
};
use self::{json::Body, template::Template};
use crate::{alert::Change, detect::Severity, types::Timestamp};

/// A `[[sink]]`.
#[derive(Clone, PartialEq, Debug)]
pub struct SinkSettings {
    /// Unique; letters, digits, `-` and `_`, since files are named after it.
    pub name: String,
    /// Who is told, and in which format.
    pub receiver: Receiver,
    /// Of what.
    pub filter: Filter,
    /// Which router says so: the `source` of every format.
    pub source: String,
    /// Where a person can look at an alert.
    pub link: Option<Template>,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// When an attempt is made again.
    pub retry: Retry,
    /// Deliveries that may wait; the oldest is dropped for one too many.
    pub queue_max: usize,
    /// How long nothing is accepted before that is an alert itself.
    pub down_after: Duration,
    /// Authorities to trust instead of those of this machine, PEM.
    pub ca_file: Option<PathBuf>,
}

/// When an attempt is made again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retry {
    /// After the first failure.
    pub first: Duration,
    /// At most; waiting times double up to it.
    pub max: Duration,
    /// How old a delivery may get before it is a dead letter.
    pub give_up: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            max: Duration::from_secs(300),
            give_up: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Who is told, and in which format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Receiver {
    /// Any HTTP receiver.
    Webhook(webhook::Settings),
    /// A channel of Slack.
    Slack(slack::Settings),
    /// A service of PagerDuty.
    PagerDuty(pagerduty::Settings),
    /// A Prometheus Alertmanager.
    Alertmanager(alertmanager::Settings),
    /// A syslog server.
    Syslog(syslog::Settings),
    /// People, by SMTP.
    Email(email::Settings),
    /// A subject of a NATS cluster.
    Nats(nats::Settings),
    /// A file.
    Jsonl(jsonl::Settings),
}

impl Receiver {
    /// The `type` in the configuration and in answers.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Slack(_) => "slack",
            Self::PagerDuty(_) => "pagerduty",
            Self::Alertmanager(_) => "alertmanager",
            Self::Syslog(_) => "syslog",
            Self::Email(_) => "email",
            Self::Nats(_) => "nats",
            Self::Jsonl(_) => "jsonl",
        }
    }

    /// How often what is open is told again; `None`: a change is told once.
    pub fn interval(&self) -> Option<Duration> {
        match self {
            Self::Alertmanager(settings) => Some(settings.interval),
            _ => None,
        }
    }

    /// How many attempts may be under way at a time; those about one alert follow each other all the same.
    pub fn concurrency(&self) -> usize {
        match self {
            Self::Webhook(_) | Self::Slack(_) | Self::PagerDuty(_) => 4,
            // One connection, or one state that each request is a part of.
            Self::Alertmanager(_) | Self::Syslog(_) | Self::Email(_) | Self::Nats(_) | Self::Jsonl(_) => 1,
        }
    }
}

/// What is told besides the change itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Which router says so.
    pub source: &'a str,
    /// Where a person can look at an alert.
    pub link: Option<&'a Template>,
    /// The time of the attempt.
    pub now: Timestamp,
}

impl<'a> Context<'a> {
    /// A source and nothing else.
    pub fn plain(source: &'a str) -> Self {
        Self { source, link: None, now: Timestamp::default() }
    }

    /// Where a person can look at the alert of `change`.
    pub fn link(&self, change: &Change) -> Option<String> {
        // The link is a field itself: it is left out here, so that none can name itself.
        let template = self.link?;
        Some(template.fill(&Body::new(change, &Context { link: None, ..*self }).value()))
    }
}

/// What is to be sent, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// Over HTTP.
    Http(HttpRequest),
    /// As it is: a line of a file or a message of syslog.
    Octets(Vec<u8>),
    /// By SMTP.
    Mail(email::Mail),
    /// By NATS.
    Message(nats::Message),
}

/// A change that is to be told.
#[derive(Clone, PartialEq, Debug)]
pub struct Parcel {
    /// The change.
    pub change: std::sync::Arc<Change>,
    /// The severity under which the alert was told before, if it was.
    pub before: Option<Severity>,
}

impl SinkSettings {
    /// What tells `parcels` at `now`; `None` where there is nothing to tell. Several at a time are for receivers with an
    /// [`Receiver::interval`]; of others, the first is told.
    pub fn payload(&self, parcels: &[Parcel], now: Timestamp) -> Option<Payload> {
        let context = Context { source: &self.source, link: self.link.as_ref(), now };
        let change = &*parcels.first()?.change;
        Some(match &self.receiver {
            Receiver::Webhook(settings) => Payload::Http(webhook::request(settings, change, &context)),
            Receiver::Slack(settings) => Payload::Http(slack::request(settings, change, &context)),
            Receiver::PagerDuty(settings) => Payload::Http(pagerduty::request(settings, change, &context)?),
            Receiver::Alertmanager(settings) => {
                let changes = parcels.iter().map(|parcel| (&*parcel.change, parcel.before));
                Payload::Http(alertmanager::request(settings, changes, &context))
            }
            Receiver::Syslog(settings) => Payload::Octets(syslog::octets(settings, change, &context)),
            Receiver::Email(settings) => Payload::Mail(email::mail(settings, change, &context)),
            Receiver::Nats(settings) => Payload::Message(nats::message(settings, change, &context)),
            Receiver::Jsonl(_) => Payload::Octets(jsonl::octets(change, &context)),
        })
    }
}
