//! `/api/v1/overview`: what one look shows. Small whatever the tables hold: counts, and the first of those that are not
//! well.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};

use super::{Site, json_answer};
use crate::{
    alert::State as AlertState,
    view::{NeighborView, SessionState, rpki::SourceState},
};

/// Sessions that are down and shown by name; the others are counted.
const DOWN_MAX: usize = 20;
/// Sources and sinks shown by name.
const NAMED_MAX: usize = 32;

/// The overview.
pub(super) async fn overview(State(site): State<Site>) -> Response {
    let neighbors = site.backend.neighbors();
    json_answer(StatusCode::OK, &read(&site, &neighbors))
}

/// The overview as an object, of these neighbours.
pub(super) fn read(site: &Site, neighbors: &[NeighborView]) -> Value {
    let (info, now, summary) = (site.backend.info(), site.backend.now(), site.backend.summary());
    let tables = summary.tables.iter().map(|table| {
        json!({
            "family": table.family.to_string(),
            "prefixes": table.prefixes,
            "paths": table.paths,
            "best": table.best,
        })
    });
    json!({
        "now": now.to_string(),
        "daemon": {
            "version": info.version,
            "asn": info.asn.0,
            "router_id": info.router_id.to_string(),
            "started_at": info.started_at.to_string(),
            "uptime_s": now.since(info.started_at).as_secs(),
            "best_path": info.best_path,
            "not_ready": site.backend.not_ready(),
        },
        "sessions": sessions(neighbors),
        "tables": tables.collect::<Vec<_>>(),
        "attribute_sets": summary.attribute_sets,
        "attribute_octets": summary.attribute_octets,
        "seq": summary.seq,
        "rpki": rpki(site),
        "alerts": alerts(site),
        "sinks": sinks(site),
        "rates": site.hub.rates(),
    })
}

fn sessions(neighbors: &[NeighborView]) -> Value {
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for view in neighbors {
        *states.entry(view.state.name()).or_default() += 1;
    }
    let up = |view: &&NeighborView| view.state == SessionState::Established;
    let mut down: Vec<&NeighborView> = neighbors.iter().filter(|view| !up(view)).collect();
    // Those that ended last first: what is new is what is asked about.
    down.sort_by_key(|view| (std::cmp::Reverse(view.changed_at), view.address));
    let shown = down.iter().take(DOWN_MAX).map(|view| {
        json!({
            "address": view.address.to_string(),
            "name": view.name,
            "remote_asn": view.remote_asn.map(|asn| asn.0),
            "state": view.state.name(),
            "enabled": view.enabled,
            "changed_at": view.changed_at.map(|at| at.to_string()),
            "last_error": view.last_error,
        })
    });
    json!({
        "total": neighbors.len(),
        "established": neighbors.len() - down.len(),
        "disabled": neighbors.iter().filter(|view| !view.enabled).count(),
        "states": states,
        "down": shown.collect::<Vec<_>>(),
    })
}

fn rpki(site: &Site) -> Value {
    let (view, now) = (site.backend.rpki(), site.backend.now());
    let well = view.sources.iter().filter(|source| source.state == SourceState::Synced).count();
    let sources = view.sources.iter().take(NAMED_MAX).map(|source| {
        json!({
            "name": source.name,
            "kind": source.kind,
            "state": source.state.name(),
            "in_use": source.in_use,
            "age_s": source.updated_at.map(|at| now.since(at).as_secs()),
            "last_error": source.last_error,
        })
    });
    json!({
        "configured": view.sources.len(),
        "synced": well,
        "sources": sources.collect::<Vec<_>>(),
        "vrps_v4": view.vrps.0,
        "vrps_v6": view.vrps.1,
        "aspas": view.aspas,
    })
}

fn alerts(site: &Site) -> Value {
    let counts = site.alerts.counts();
    let mut states: BTreeMap<&str, BTreeMap<&str, u64>> =
        AlertState::ALL.iter().map(|state| (state.name(), BTreeMap::new())).collect();
    for ((_, severity, state), count) in &counts.alerts {
        *states.entry(state.name()).or_default().entry(severity.name()).or_default() += count;
    }
    json!({ "by_state": states, "mutes": counts.mutes })
}

fn sinks(site: &Site) -> Value {
    let sinks = site.backend.sinks();
    let shown = sinks.iter().take(NAMED_MAX).map(|sink| {
        json!({
            "name": sink.name,
            "type": sink.kind,
            "sent": sink.sent,
            "queue": sink.queue_len,
            "failing_since": sink.failing_since.map(|at| at.to_string()),
            "last_error": sink.last_error,
        })
    });
    shown.collect()
}
