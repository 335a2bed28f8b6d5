//! Prometheus Alertmanager, API v2 (prometheus.io/docs/alerting, "Clients"): `POST /api/v2/alerts`.
//!
//! # What it asks
//! 1. Labels are the identity of an alert; what changes while it lasts belongs into annotations.
//! 2. A client sends what is active again and again; what it does not hear of until `endsAt` is over.
//! 3. `endsAt` now or earlier means resolved.
//!
//! # What we do
//! 1. Labels are `alertname` (the kind), `alert_id`, `subject`, `prefix`, `source`, `severity` and what the settings add.
//!    Routes in Alertmanager choose by severity, so it is a label although it may rise: then the alert under its old
//!    severity is ended with the same request.
//! 2. All that is open is sent every `interval` with an `endsAt` four intervals ahead, as Prometheus does, so that three
//!    lost requests end nothing.
//! 3. A resolved alert has `endsAt` when that was; a muted one now: nobody is to be told of it.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use super::{Context, HttpRequest, text, text::Secret, webhook::Auth};
use crate::{
    alert::{Alert, Change, State, Why},
    detect::Severity,
    types::Timestamp,
};

/// The path of the interface.
pub const PATH: &str = "/api/v2/alerts";
/// Intervals that an alert lasts without being sent again.
const INTERVALS: u32 = 4;

/// An Alertmanager.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// With [`PATH`].
    pub url: Secret,
    /// How it knows us.
    pub auth: Auth,
    /// How often what is open is sent.
    pub interval: Duration,
    /// More labels.
    pub labels: Vec<(String, String)>,
}

/// The request that tells changes, each with the severity under which the alert was told before, if it was.
pub fn request<'a>(
    settings: &Settings,
    changes: impl IntoIterator<Item = (&'a Change, Option<Severity>)>,
    context: &Context<'_>,
) -> HttpRequest {
    let mut alerts = Vec::new();
    for (change, before) in changes {
        let alert = &*change.alert;
        if let Some(before) = before.filter(|before| *before != alert.severity) {
            alerts.push(entry(settings, change, before, Some(context.now), context));
        }
        let ended = match (change.why, alert.state) {
            (_, State::Resolved) => Some(alert.resolved_at.unwrap_or(change.at)),
            (Why::Muted, _) => Some(context.now),
            _ => None,
        };
        alerts.push(entry(settings, change, alert.severity, ended, context));
    }
    let mut request = HttpRequest::post_json(&settings.url, &Value::from(alerts));
    request.headers.extend(settings.auth.header());
    request
}

fn entry(
    settings: &Settings,
    change: &Change,
    severity: Severity,
    ended: Option<Timestamp>,
    context: &Context<'_>,
) -> Value {
    let alert = &*change.alert;
    let ends = ended.unwrap_or(context.now + settings.interval * INTERVALS);
    let mut entry = json!({
        "labels": labels(settings, alert, severity, context),
        "annotations": annotations(alert),
        "startsAt": alert.first_seen.to_string(),
        // An end before the start is refused.
        "endsAt": ends.max(alert.first_seen).to_string(),
    });
    if let Some(link) = context.link(change) {
        entry["generatorURL"] = link.into();
    }
    entry
}

fn labels(settings: &Settings, alert: &Alert, severity: Severity, context: &Context<'_>) -> Map<String, Value> {
    let mut labels = Map::new();
    for (name, value) in &settings.labels {
        labels.insert(name.clone(), value.as_str().into());
    }
    labels.insert("alertname".into(), alert.kind().name().into());
    labels.insert("alert_id".into(), (*alert.id).into());
    labels.insert("subject".into(), (*alert.key.subject).into());
    labels.insert("severity".into(), severity.name().into());
    labels.insert("source".into(), context.source.into());
    if let Some(prefix) = alert.prefix {
        labels.insert("prefix".into(), prefix.to_string().into());
    }
    labels
}

/// Label and annotation values are text.
fn annotations(alert: &Alert) -> Map<String, Value> {
    let mut annotations = Map::new();
    let mut note = |name: &str, value: String| {
        if !value.is_empty() {
            annotations.insert(name.to_owned(), value.into());
        }
    };
    note("summary", alert.summary.clone());
    note("description", alert.why.clone());
    note("asns", text::asns(alert));
    note("neighbors", text::neighbors(alert));
    note("state", alert.state.name().to_owned());
    note("acknowledged_by", alert.acknowledged_by.clone().unwrap_or_default());
    if alert.member_count > 0 {
        note("member_count", alert.member_count.to_string());
        note("members", alert.members.join(", "));
    }
    for (name, value) in &alert.evidence {
        note(
            &format!("evidence_{}", label_name(name)),
            value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        );
    }
    annotations
}

/// What Prometheus takes as the end of a name: letters, digits and `_`.
fn label_name(name: &Arc<str>) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::sample;

    fn settings() -> Settings {
        Settings {
            url: Secret(format!("http://127.0.0.1:9093{PATH}")),
            auth: Auth::None,
            interval: Duration::from_secs(60),
            labels: vec![("team".into(), "noc".into())],
        }
    }

    fn alerts(change: &Change, before: Option<Severity>, now: Timestamp) -> Vec<Value> {
        let context = Context { now, ..Context::plain("rtr-1") };
        let request = request(&settings(), [(change, before)], &context);
        assert_eq!((request.method, request.url.0.as_str()), ("POST", "http://127.0.0.1:9093/api/v2/alerts"));
        serde_json::from_slice(&request.body).unwrap()
    }

    #[test]
    fn an_open_alert_ends_in_the_future_and_a_resolved_one_when_it_did() {
        let start = Timestamp::from_secs(1_764_000_000);
        let (opened, resolved) = sample::pair(start, 1);
        let sent = alerts(&opened, None, start + Duration::from_secs(60));
        assert_eq!(sent.len(), 1);
        assert_eq!(
            sent[0]["labels"],
            json!({
                "alertname": "subprefix-hijack", "alert_id": "test-1", "subject": "203.0.113.128/25 AS64511 (test)",
                "prefix": "203.0.113.128/25", "severity": "critical", "source": "rtr-1", "team": "noc",
            })
        );
        assert_eq!(
            sent[0]["annotations"],
            json!({
                "summary": opened.alert.summary, "description": opened.alert.why, "state": "open",
                "asns": "expected AS64500; observed AS64511", "neighbors": "edge-1",
                "evidence_as_path": "64497 64511", "evidence_test": "true",
            })
        );
        assert_eq!(sent[0]["startsAt"], "2025-11-24T16:00:00Z");
        assert_eq!(sent[0]["endsAt"], "2025-11-24T16:05:00Z", "four intervals after it was sent");

        let end = alerts(&resolved, Some(Severity::Critical), start + Duration::from_secs(600));
        assert_eq!(end.len(), 1);
        assert_eq!(end[0]["labels"], sent[0]["labels"], "the identity is the same");
        assert_eq!(end[0]["endsAt"], "2025-11-24T16:00:00.001Z");
    }

    #[test]
    fn a_severity_that_rises_ends_the_alert_under_the_old_one() {
        let start = Timestamp::from_secs(1_764_000_000);
        let (opened, _) = sample::pair(start, 1);
        let changed = Change { why: Why::Changed, ..opened };
        let sent = alerts(&changed, Some(Severity::Warning), start + Duration::from_secs(10));
        let shown: Vec<_> = sent.iter().map(|alert| (&alert["labels"]["severity"], &alert["endsAt"])).collect();
        assert_eq!(
            shown,
            [(&"warning".into(), &"2025-11-24T16:00:10Z".into()), (&"critical".into(), &"2025-11-24T16:04:10Z".into())]
        );
    }

    #[test]
    fn a_muted_alert_ends_now_and_evidence_is_never_a_label() {
        let start = Timestamp::from_secs(1_764_000_000);
        let (opened, _) = sample::pair(start, 1);
        let muted = Change { why: Why::Muted, tell: false, ..opened };
        let sent = alerts(&muted, Some(Severity::Critical), start + Duration::from_secs(30));
        assert_eq!(sent[0]["endsAt"], "2025-11-24T16:00:30Z");
        assert_eq!(label_name(&Arc::from("as-path.1")), "as_path_1");
    }
}
