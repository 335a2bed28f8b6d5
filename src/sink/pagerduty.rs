//! PagerDuty Events API v2 (developer.pagerduty.com, "Send an event"): trigger, acknowledge and resolve with one
//! `dedup_key`, which is the alert's id.
//!
//! A comment is not sent: the interface has no place for one. A trigger about an incident that stands is appended to its
//! log, and opens it again if somebody closed it there by hand while the alert is open.

use serde_json::{Value, json};

use super::{Context, HttpRequest, json::Body, text, text::Secret};
use crate::{
    alert::{Change, State, Why},
    detect::Severity,
};

/// Where events go unless the settings say otherwise.
pub const URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// Characters of `dedup_key` and `payload.summary` that the API takes.
const DEDUP_KEY_CHARS_MAX: usize = 255;
const SUMMARY_CHARS_MAX: usize = 1024;
/// The API takes 512 KB; what is larger goes without evidence and members.
const OCTETS_MAX: usize = 500_000;

/// A service of PagerDuty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The integration key.
    pub routing_key: Secret,
    /// The address of the API.
    pub url: Secret,
}

/// The request that tells `change`; `None` where there is nothing to tell.
pub fn request(settings: &Settings, change: &Change, context: &Context<'_>) -> Option<HttpRequest> {
    let action = match (change.why, change.alert.state) {
        (Why::Commented | Why::Muted, _) => return None,
        (Why::Resolved, _) | (_, State::Resolved) => "resolve",
        (_, State::Acknowledged) => "acknowledge",
        (_, State::Open) => "trigger",
    };
    let mut event = json!({
        "routing_key": settings.routing_key.0,
        "event_action": action,
        "dedup_key": text::cut(&change.alert.id, DEDUP_KEY_CHARS_MAX),
    });
    if action == "trigger" {
        event["payload"] = payload(change, context);
        event["client"] = "ribwatch".into();
        if let Some(link) = context.link(change) {
            event["client_url"] = link.clone().into();
            event["links"] = json!([{"href": link, "text": format!("alert {}", change.alert.id)}]);
        }
    }
    let request = HttpRequest::post_json(&settings.url, &event);
    if request.body.len() <= OCTETS_MAX {
        return Some(request);
    }
    let details = &mut event["payload"]["custom_details"];
    for large in ["evidence", "members", "comments"] {
        details[large] = "left out: too large".into();
    }
    Some(HttpRequest::post_json(&settings.url, &event))
}

fn payload(change: &Change, context: &Context<'_>) -> Value {
    let alert = &*change.alert;
    let severity = match alert.severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let group = alert.prefix.map_or_else(|| alert.key.subject.to_string(), |prefix| prefix.to_string());
    json!({
        "summary": text::cut(&text::one_line(&alert.summary), SUMMARY_CHARS_MAX),
        "source": context.source,
        "severity": severity,
        "timestamp": alert.first_seen.to_string(),
        "component": &*alert.key.subject,
        "group": group,
        "class": alert.kind().name(),
        "custom_details": Body::new(change, context).value(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{alert::Alert, sink::sample, types::Timestamp};

    fn settings() -> Settings {
        Settings { routing_key: Secret("R0UT1NG".into()), url: Secret(URL.into()) }
    }

    fn body(change: &Change) -> Option<Value> {
        let request = request(&settings(), change, &Context::plain("rtr-1"))?;
        assert_eq!((request.method, request.url.0.as_str()), ("POST", URL));
        assert_eq!(request.header("content-type"), Some("application/json"));
        Some(serde_json::from_slice(&request.body).unwrap())
    }

    fn with(change: &Change, why: Why, edit: impl FnOnce(&mut Alert)) -> Change {
        let mut alert = (*change.alert).clone();
        edit(&mut alert);
        Change { why, alert: Arc::new(alert), ..change.clone() }
    }

    #[test]
    fn a_trigger_has_every_field_and_the_resolve_carries_its_key() {
        let (opened, resolved) = sample::pair(Timestamp::from_secs(1_764_000_000), 0x2a);
        let event = body(&opened).unwrap();
        assert_eq!(event["routing_key"], "R0UT1NG");
        assert_eq!((&event["event_action"], &event["dedup_key"]), (&"trigger".into(), &"test-2a".into()));
        let payload = &event["payload"];
        assert_eq!(payload["summary"], opened.alert.summary);
        assert_eq!((&payload["source"], &payload["severity"]), (&"rtr-1".into(), &"critical".into()));
        assert_eq!(payload["timestamp"], "2025-11-24T16:00:00Z");
        assert_eq!((&payload["class"], &payload["group"]), (&"subprefix-hijack".into(), &"203.0.113.128/25".into()));
        assert_eq!(payload["component"], "203.0.113.128/25 AS64511 (test)");
        assert_eq!(payload["custom_details"]["evidence"]["as_path"], "64497 64511");
        assert_eq!(event["client"], "ribwatch");

        let end = body(&resolved).unwrap();
        assert_eq!((&end["event_action"], &end["dedup_key"]), (&"resolve".into(), &event["dedup_key"]));
        assert_eq!(end["routing_key"], "R0UT1NG");
        assert!(end.get("payload").is_none(), "only a trigger has one");
    }

    #[test]
    fn each_reason_has_its_action() {
        let (opened, _) = sample::pair(Timestamp::from_secs(1), 1);
        let action = |why, state| {
            body(&with(&opened, why, |alert| alert.state = state)).map(|event| event["event_action"].clone())
        };
        let rows = [
            (Why::Reopened, State::Open, Some("trigger")),
            (Why::Changed, State::Open, Some("trigger")),
            (Why::Reminder, State::Open, Some("trigger")),
            (Why::Unmuted, State::Open, Some("trigger")),
            (Why::Acknowledged, State::Acknowledged, Some("acknowledge")),
            (Why::Changed, State::Acknowledged, Some("acknowledge")),
            (Why::Resolved, State::Resolved, Some("resolve")),
            (Why::Commented, State::Open, None),
            (Why::Muted, State::Open, None),
        ];
        for (why, state, expected) in rows {
            assert_eq!(action(why, state), expected.map(Value::from), "{why:?} {state:?}");
        }
    }

    #[test]
    fn limits_are_kept_between_characters() {
        let (opened, _) = sample::pair(Timestamp::from_secs(1), 1);
        let long = with(&opened, Why::Opened, |alert| {
            alert.summary = "ö".repeat(3000);
            alert.id = "ü".repeat(300).into();
            alert.severity = Severity::Info;
            alert.evidence.insert("blob".into(), "x".repeat(OCTETS_MAX).into());
        });
        let event = body(&long).unwrap();
        assert_eq!(event["payload"]["summary"].as_str().unwrap().chars().count(), 1024);
        assert_eq!(event["dedup_key"].as_str().unwrap().chars().count(), 255);
        assert_eq!(event["payload"]["severity"], "info");
        assert_eq!(event["payload"]["custom_details"]["evidence"], "left out: too large");
    }
}
