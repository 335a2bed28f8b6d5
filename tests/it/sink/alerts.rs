//! Alerts and their changes, as the desk would make them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ribwatch::{
    alert::{Alert, Change, State, Why},
    detect::{Fingerprint, Kind, Severity},
    sink::{Filter, Receiver, Retry, SinkSettings},
    types::{Asn, Prefix, Timestamp},
};

/// When the stories begin.
pub const START: Timestamp = Timestamp(1_764_000_000_000_000);

/// A critical sub-prefix hijack called `id`.
pub fn alert(id: &str) -> Alert {
    let asns = [("expected", vec![Asn(64500)]), ("observed", vec![Asn(64511)])];
    Alert {
        id: id.into(),
        key: Fingerprint::new(Kind::SubprefixHijack, format!("203.0.113.128/25 AS64511 {id}")),
        severity: Severity::Critical,
        state: State::Open,
        prefix: Some("203.0.113.128/25".parse::<Prefix>().expect("a prefix")),
        asns: asns.into_iter().map(|(part, asns)| (Arc::from(part), asns)).collect(),
        neighbors: vec!["edge-1".into(), "edge-2".into()],
        first_seen: START,
        last_seen: START,
        resolved_at: None,
        summary: "AS64511 announces 203.0.113.128/25 inside 203.0.113.0/24 of AS64500".into(),
        why: "The more-specific draws traffic to AS64511, which is no origin of it.".into(),
        evidence: BTreeMap::from([("as_path".into(), "64497 64511".into()), ("score".into(), 70.into())]),
        members: Vec::new(),
        member_count: 0,
        reopened: 0,
        acknowledged_by: None,
        comments: Vec::new(),
        muted: None,
    }
}

/// Change `seq` of an alert. The state follows from the reason.
pub fn change(seq: u64, why: Why, mut alert: Alert) -> Arc<Change> {
    let at = START + Duration::from_secs(seq);
    match why {
        Why::Resolved => (alert.state, alert.resolved_at) = (State::Resolved, Some(at)),
        Why::Acknowledged => alert.state = State::Acknowledged,
        _ => {}
    }
    alert.last_seen = at;
    let tell = alert.muted.is_none();
    Arc::new(Change { seq, at, why, tell, observed_at: Some(at), alert: Arc::new(alert) })
}

/// A sink with short and even times.
pub fn settings(receiver: Receiver) -> SinkSettings {
    SinkSettings {
        name: "noc".into(),
        receiver,
        filter: Filter::default(),
        source: "rtr-1".into(),
        link: None,
        timeout: Duration::from_secs(30),
        retry: Retry {
            first: Duration::from_secs(1),
            max: Duration::from_secs(60),
            give_up: Duration::from_secs(3600),
        },
        queue_max: 100,
        down_after: Duration::from_secs(300),
        ca_file: None,
    }
}
