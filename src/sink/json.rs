//! A change of an alert as JSON: the alert's fields as the contract names them, flat, and what happened to it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Context, text};
use crate::alert::{self, Change};

/// What a webhook, a file or a subject gets.
#[derive(Serialize)]
pub struct Body<'a> {
    /// Unique, stable over restarts.
    pub id: &'a str,
    /// What is wrong.
    pub kind: &'static str,
    /// `info warning critical`.
    pub severity: &'static str,
    /// `open acknowledged resolved`.
    pub state: &'static str,
    /// The prefix it is about.
    pub prefix: Option<String>,
    /// ASes by part played.
    pub asns: Value,
    /// Who showed it when it was last seen.
    pub neighbors: Vec<&'a str>,
    /// RFC 3339, UTC.
    pub first_seen: String,
    /// RFC 3339, UTC.
    pub last_seen: String,
    /// RFC 3339, UTC; null while it is not resolved.
    pub resolved_at: Option<String>,
    /// One line.
    pub summary: &'a str,
    /// One sentence.
    pub why: &'a str,
    /// The observations.
    pub evidence: BTreeMap<&'a str, &'a Value>,
    /// What happened now: `opened reopened changed reminder acknowledged commented resolved unmuted muted`.
    pub event: &'static str,
    /// When, RFC 3339, UTC.
    pub event_at: String,
    /// Number of the change.
    pub seq: u64,
    /// The same for each attempt at this delivery; what was seen once needs not be taken twice.
    pub delivery: String,
    /// What it is about, in words that do not change.
    pub subject: &'a str,
    /// A sample of what it is about when it is about many things.
    pub members: Vec<&'a str>,
    /// How many of them there are.
    pub member_count: u64,
    /// How often it came back.
    pub reopened: u32,
    /// Who acknowledged it.
    pub acknowledged_by: Option<&'a str>,
    /// What people wrote, in order.
    pub comments: Vec<CommentBody<'a>>,
    /// Which router says so.
    pub source: &'a str,
    /// Where a person can look at it.
    pub link: Option<String>,
    /// True for what `ribwatch alert test` sends.
    pub test: bool,
}

/// What somebody wrote.
#[derive(Serialize)]
pub struct CommentBody<'a> {
    /// RFC 3339, UTC.
    pub at: String,
    /// Who.
    pub author: &'a str,
    /// What.
    pub text: &'a str,
}

impl<'a> Body<'a> {
    /// Names of the fields, sorted.
    pub const FIELDS: &'static [&'static str] = &[
        "acknowledged_by",
        "asns",
        "comments",
        "delivery",
        "event",
        "event_at",
        "evidence",
        "first_seen",
        "id",
        "kind",
        "last_seen",
        "link",
        "member_count",
        "members",
        "neighbors",
        "prefix",
        "reopened",
        "resolved_at",
        "seq",
        "severity",
        "source",
        "state",
        "subject",
        "summary",
        "test",
        "why",
    ];

    /// The body about `change`.
    pub fn new(change: &'a Change, context: &Context<'a>) -> Self {
        let alert = &*change.alert;
        let comments = alert.comments.iter().map(|comment| CommentBody {
            at: comment.at.to_string(),
            author: &comment.author,
            text: &comment.text,
        });
        Self {
            id: &alert.id,
            kind: alert.kind().name(),
            severity: alert.severity.name(),
            state: alert.state.name(),
            prefix: alert.prefix.map(|prefix| prefix.to_string()),
            asns: alert::json::asns(alert),
            neighbors: alert.neighbors.iter().map(|name| &**name).collect(),
            first_seen: alert.first_seen.to_string(),
            last_seen: alert.last_seen.to_string(),
            resolved_at: alert.resolved_at.map(|at| at.to_string()),
            summary: &alert.summary,
            why: &alert.why,
            evidence: alert.evidence.iter().map(|(name, value)| (&**name, value)).collect(),
            event: change.why.name(),
            event_at: change.at.to_string(),
            seq: change.seq,
            delivery: text::delivery_id(change),
            subject: &alert.key.subject,
            members: alert.members.iter().map(String::as_str).collect(),
            member_count: alert.member_count,
            reopened: alert.reopened,
            acknowledged_by: alert.acknowledged_by.as_deref(),
            comments: comments.collect(),
            source: context.source,
            link: context.link(change),
            test: super::sample::is_test(change),
        }
    }

    /// As a value, for templates.
    pub fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// As octets, on one line.
    pub fn octets(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{sink::sample, types::Asn};

    #[test]
    fn the_fields_are_those_of_the_contract_and_what_happened() {
        let (opened, resolved) = sample::pair(crate::types::Timestamp::from_secs(1_764_000_000), 7);
        let value = Body::new(&opened, &Context::plain("rtr-1")).value();
        let names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, Body::FIELDS, "serde_json sorts");
        assert_eq!(value["kind"], "subprefix-hijack");
        assert_eq!(value["first_seen"], "2025-11-24T16:00:00Z");
        assert_eq!(value["resolved_at"], Value::Null);
        assert_eq!(value["asns"], serde_json::json!({"expected": [64500], "observed": [64511]}));
        assert_eq!((&value["event"], &value["state"]), (&"opened".into(), &"open".into()));
        assert_eq!((&value["source"], &value["test"]), (&"rtr-1".into(), &true.into()));
        let value = Body::new(&resolved, &Context::plain("rtr-1")).value();
        assert_eq!((&value["event"], &value["state"]), (&"resolved".into(), &"resolved".into()));
        assert_eq!(value["resolved_at"], "2025-11-24T16:00:00.001Z");
        // A part that one AS plays is a number, as on the command line.
        let mut leak = (*opened.alert).clone();
        leak.asns = BTreeMap::from([("leaker".into(), vec![Asn(64496)]), ("otc".into(), vec![Asn(64497)])]);
        let change = Change { alert: Arc::new(leak), ..opened.clone() };
        let value = Body::new(&change, &Context::plain("rtr-1")).value();
        assert_eq!(value["asns"], serde_json::json!({"leaker": 64496, "otc": [64497]}));
        assert_eq!(value["asns"], alert::json::alert(&change.alert)["asns"]);
        let delivery = |change: &Change| Body::new(change, &Context::plain("r")).delivery;
        assert_ne!(delivery(&opened), delivery(&resolved), "two deliveries are two");
    }
}
