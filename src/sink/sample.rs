//! The alert that `ribwatch alert test` sends, and that settings are tried with: documentation addresses and numbers,
//! marked as a test in its id, its summary and its evidence.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    alert::{Alert, Change, State, Why},
    detect::{Fingerprint, Kind, Severity},
    types::{Asn, Prefix, Timestamp},
};

const ID: &str = "test-";

/// Whether a change is about an alert from here.
pub fn is_test(change: &Change) -> bool {
    change.alert.id.starts_with(ID)
}

/// A test alert that opens at `now`, and the same one resolved. Other `number`s are other alerts.
pub fn pair(now: Timestamp, number: u64) -> (Change, Change) {
    let key = Fingerprint::new(Kind::SubprefixHijack, "203.0.113.128/25 AS64511 (test)");
    let asns = [("expected", vec![Asn(64500)]), ("observed", vec![Asn(64511)])];
    let opened = Alert {
        id: format!("{ID}{number:x}").into(),
        key,
        severity: Severity::Critical,
        state: State::Open,
        prefix: Some(Prefix::v4(0xcb00_7180, 25)),
        asns: asns.into_iter().map(|(part, asns)| (Arc::from(part), asns)).collect(),
        neighbors: vec!["edge-1".into()],
        first_seen: now,
        last_seen: now,
        resolved_at: None,
        summary: "TEST: AS64511 announces 203.0.113.128/25 inside 203.0.113.0/24 of AS64500".to_owned(),
        why: "This is a test of this sink and no route is concerned.".to_owned(),
        evidence: BTreeMap::from([("test".into(), true.into()), ("as_path".into(), "64497 64511".into())]),
        members: Vec::new(),
        member_count: 0,
        reopened: 0,
        acknowledged_by: None,
        comments: Vec::new(),
        muted: None,
    };
    let over = now + Duration::from_millis(1);
    let resolved = Alert {
        state: State::Resolved,
        last_seen: over,
        resolved_at: Some(over),
        why: "The test is over.".to_owned(),
        ..opened.clone()
    };
    let change = |seq, at, why, alert| Change { seq, at, why, tell: true, observed_at: None, alert: Arc::new(alert) };
    (change(1, now, Why::Opened, opened), change(2, over, Why::Resolved, resolved))
}
