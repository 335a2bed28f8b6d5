//! Sessions as BIRD's protocols: `up`, `start` while it is tried, `down` when it is not.

use axum::{extract::State, response::Response};
use serde_json::{Map, Value, json};

use super::{Protocol, answer, local_time};
use crate::{
    types::Timestamp,
    view::{FamilyCounts, NeighborView, SessionState},
    web::Site,
};

/// Every session with its counts. There are no protocols but BGP.
pub(super) async fn all(State(site): State<Site>) -> Response {
    of_each(&site, protocol)
}

/// Every session in one line.
pub(super) async fn short(State(site): State<Site>) -> Response {
    of_each(&site, |view, since| {
        json!({
            "proto": "BGP",
            "table": "master",
            "state": state(view),
            "since": since,
            "info": connection(view.state),
        })
    })
}

fn of_each(site: &Site, print: impl Fn(&NeighborView, String) -> Value) -> Response {
    let started = site.backend.info().started_at;
    let mut protocols = Map::new();
    for view in site.backend.neighbors() {
        let since: Timestamp = view.changed_at.unwrap_or(started);
        protocols.insert(Protocol::of(&view).id.to_string(), print(&view, local_time(since)));
    }
    answer(site, "protocols", Value::Object(protocols))
}

fn protocol(view: &NeighborView, since: String) -> Value {
    let sum = |of: fn(&FamilyCounts) -> u64| view.counts.iter().map(of).sum::<u64>();
    let (received, accepted) = (sum(|counts| counts.received), sum(|counts| counts.accepted));
    let Protocol { id, address } = Protocol::of(view);
    json!({
        "protocol": &*id,
        "bird_protocol": "BGP",
        "table": "master",
        "state": state(view),
        "state_changed": since,
        "connection": connection(view.state),
        "bgp_state": connection(view.state),
        "description": view.name.clone().unwrap_or_else(|| address.to_string()),
        "neighbor_address": &*address,
        "neighbor_as": view.remote_asn.map(|asn| asn.0),
        "neighbor_id": view.router_id.map(|id| id.to_string()),
        "input_filter": view.import.join(" "),
        "output_filter": view.export.join(" "),
        // How many of its routes are best is not counted: the field is missing rather than wrong.
        "routes": {
            "imported": accepted,
            "filtered": received.saturating_sub(accepted),
            "exported": sum(|counts| counts.advertised),
        },
        "route_changes": {},
        "last_error": view.last_error.clone().unwrap_or_default(),
    })
}

fn state(view: &NeighborView) -> &'static str {
    match view.state {
        SessionState::Established => "up",
        _ if view.enabled => "start",
        _ => "down",
    }
}

fn connection(state: SessionState) -> &'static str {
    match state {
        SessionState::Idle => "Idle",
        SessionState::Connect => "Connect",
        SessionState::Active => "Active",
        SessionState::OpenSent => "OpenSent",
        SessionState::OpenConfirm => "OpenConfirm",
        SessionState::Established => "Established",
    }
}
