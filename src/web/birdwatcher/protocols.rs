//! Sessions, and the pipes that looking glasses expect, as BIRD's protocols: `up`, `start` while it is tried, `down` when it is not.

use axum::{extract::State, response::Response};
use serde_json::{Map, Value, json};

use super::{Protocol, answer, local_time};
use crate::{
    types::Timestamp,
    view::{FamilyCounts, NeighborView, SessionState},
    web::Site,
};

/// Every session with its counts, and the pipes from their tables.
pub(super) async fn all(State(site): State<Site>) -> Response {
    let (neighbors, started) = (site.backend.neighbors(), site.backend.info().started_at);
    // A neighbour that is called as the pipe of another one comes last, and stays.
    let mut protocols = each(&neighbors, Protocol::pipe, |view| pipe(view, since(view, started)));
    protocols.append(&mut each(&neighbors, id, |view| protocol(view, since(view, started))));
    answer(&site, "protocols", Value::Object(protocols))
}

/// Every session with its counts.
pub(super) async fn bgp(State(site): State<Site>) -> Response {
    let (neighbors, started) = (site.backend.neighbors(), site.backend.info().started_at);
    let protocols = each(&neighbors, id, |view| protocol(view, since(view, started)));
    answer(&site, "protocols", Value::Object(protocols))
}

/// Every session in one line.
pub(super) async fn short(State(site): State<Site>) -> Response {
    let (neighbors, started) = (site.backend.neighbors(), site.backend.info().started_at);
    let print = |view: &NeighborView| {
        json!({
            "proto": "BGP",
            "table": Protocol::of(view).table(),
            "state": state(view),
            "since": since(view, started),
            "info": connection(view.state),
        })
    };
    answer(&site, "protocols", Value::Object(each(&neighbors, id, print)))
}

fn each(
    neighbors: &[NeighborView],
    name: impl Fn(&Protocol) -> String,
    print: impl Fn(&NeighborView) -> Value,
) -> Map<String, Value> {
    neighbors.iter().map(|view| (name(&Protocol::of(view)), print(view))).collect()
}

fn id(protocol: &Protocol) -> String {
    protocol.id.to_string()
}

fn since(view: &NeighborView, started: Timestamp) -> String {
    local_time(view.changed_at.unwrap_or(started))
}

fn sum(view: &NeighborView, of: fn(&FamilyCounts) -> u64) -> u64 {
    view.counts.iter().map(of).sum()
}

fn pipe(view: &NeighborView, since: String) -> Value {
    let protocol = Protocol::of(view);
    let accepted = sum(view, |counts| counts.accepted);
    json!({
        "protocol": protocol.pipe(),
        "bird_protocol": "Pipe",
        "table": protocol.table(),
        "peer_table": "master",
        "state": "up",
        "state_changed": since,
        "connection": "=> master",
        "routes": {"imported": accepted, "filtered": 0, "exported": sum(view, |counts| counts.advertised)},
        "route_changes": {},
    })
}

fn protocol(view: &NeighborView, since: String) -> Value {
    let (received, accepted) = (sum(view, |counts| counts.received), sum(view, |counts| counts.accepted));
    let protocol = Protocol::of(view);
    let (id, address) = (&protocol.id, &protocol.address);
    json!({
        "protocol": &**id,
        "bird_protocol": "BGP",
        "table": protocol.table(),
        "state": state(view),
        "state_changed": since,
        "connection": connection(view.state),
        "bgp_state": connection(view.state),
        "description": view.name.clone().unwrap_or_else(|| address.to_string()),
        "neighbor_address": &**address,
        "neighbor_as": view.remote_asn.map(|asn| asn.0),
        "neighbor_id": view.router_id.map(|id| id.to_string()),
        "input_filter": view.import.join(" "),
        "output_filter": view.export.join(" "),
        // How many of its routes are best is not counted: the field is missing rather than wrong.
        "routes": {
            "imported": accepted,
            "filtered": received.saturating_sub(accepted),
            "exported": sum(view, |counts| counts.advertised),
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
