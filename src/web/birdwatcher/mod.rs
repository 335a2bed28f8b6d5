//! `/birdwatcher/…`: what birdwatcher answers, so that looking glasses made for it (Alice-LG, as `single_table` and as
//! `multi_table`) can show this router. A neighbour is a BGP protocol, all routes are in the table `master` (also `master4`
//! and `master6`). For `multi_table` each neighbour has a table `T…` of its own with a pipe `M…` to `master` that lets all
//! through, since import was asked before.
//!
//! Times are UTC: RFC 3339 around an answer (`2006-01-02T15:04:05Z07:00` as Go writes layouts), `2006-01-02 15:04:05` inside.
//! `protocols` are sessions, `routes` which routes are asked for, `route` is how one looks. Answers about routes are written as
//! they are read, so that a table of millions takes no memory.

mod protocols;
mod route;
mod routes;

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use serde_json::{Map, Value, json};

use super::{Site, json_answer};
use crate::{types::Timestamp, view::Refusal};

/// What tables of neighbours, and pipes from them, begin with: Alice-LG's `peer_table_prefix` and `pipe_protocol_prefix`.
const TABLE: char = 'T';
const PIPE: char = 'M';
/// How long a looking glass may show an answer before it asks again.
const FRESH: Duration = Duration::from_secs(60);

/// Every address that is served, below `/birdwatcher`.
pub(super) fn routes() -> Vec<(&'static str, &'static str, MethodRouter<Site>)> {
    vec![
        ("GET", "/birdwatcher/version", get(version)),
        ("GET", "/birdwatcher/status", get(status)),
        ("GET", "/birdwatcher/protocols", get(protocols::all)),
        ("GET", "/birdwatcher/protocols/bgp", get(protocols::bgp)),
        ("GET", "/birdwatcher/protocols/short", get(protocols::short)),
        ("GET", "/birdwatcher/routes/protocol/{protocol}", get(routes::of_protocol)),
        ("GET", "/birdwatcher/routes/peer/{peer}", get(routes::of_protocol)),
        ("GET", "/birdwatcher/routes/table/{table}", get(routes::of_table)),
        ("GET", "/birdwatcher/routes/table/{table}/filtered", get(routes::of_table_filtered)),
        ("GET", "/birdwatcher/routes/table/{table}/peer/{peer}", get(routes::of_table_and_peer)),
        ("GET", "/birdwatcher/routes/filtered/{protocol}", get(routes::filtered)),
        ("GET", "/birdwatcher/routes/export/{protocol}", get(routes::exported)),
        ("GET", "/birdwatcher/routes/noexport/", get(routes::nothing)),
        ("GET", "/birdwatcher/routes/noexport/{protocol}", get(routes::not_exported)),
        ("GET", "/birdwatcher/routes/pipe/filtered", get(routes::nothing)),
        ("GET", "/birdwatcher/routes/pipe/filtered/", get(routes::nothing)),
        ("GET", "/birdwatcher/routes/pipe/filtered/count", get(routes::no_count)),
        ("GET", "/birdwatcher/routes/count/protocol/{protocol}", get(routes::count_of_protocol)),
        ("GET", "/birdwatcher/routes/count/primary/{protocol}", get(routes::count_of_primary)),
        ("GET", "/birdwatcher/routes/count/table/{table}", get(routes::count_of_table)),
        ("GET", "/birdwatcher/routes/prefix", get(routes::of_prefix)),
        ("GET", "/birdwatcher/route/net/{net}", get(routes::for_net)),
        ("GET", "/birdwatcher/route/net/{net}/table/{table}", get(routes::for_net_in_table)),
        ("GET", "/birdwatcher/route/net/{net}/mask/{mask}", get(routes::for_masked_net)),
        ("GET", "/birdwatcher/route/net/{net}/mask/{mask}/table/{table}", get(routes::for_masked_net_in_table)),
    ]
}

/// A refusal as birdwatcher has it: without `api`, so that a looking glass shows the words.
pub(super) struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        super::Refused(self.0).into_response()
    }
}

async fn version() -> Response {
    let text = format!("ribwatch {}\n", env!("CARGO_PKG_VERSION"));
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

async fn status(State(site): State<Site>) -> Response {
    let (info, reload) = (site.backend.info(), site.backend.last_reload());
    let message = if site.backend.is_ready() { "Daemon is up and running" } else { "Daemon is not ready" };
    let status = json!({
        "version": info.version,
        "router_id": info.router_id.to_string(),
        "current_server": local_time(site.backend.now()),
        "last_reboot": local_time(info.started_at),
        "last_reconfig": local_time(reload.in_force_since),
        "message": message,
    });
    answer(&site, "status", status)
}

/// What stands around every answer: who answers, how fresh it is, until when it may be shown.
fn envelope(site: &Site) -> Map<String, Value> {
    let now = site.backend.now();
    let date = rfc3339(now);
    let api = json!({
        "Version": format!("ribwatch {}", site.backend.info().version),
        "result_from_cache": false,
        "cache_status": {"cached_at": {"date": date, "timezone_type": "UTC", "timezone": "UTC"}, "orig_ttl": 0},
    });
    let fields = [("api", api), ("cached_at", date.into()), ("ttl", rfc3339(now + FRESH).into())];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// An answer with one field beside the envelope.
fn answer(site: &Site, name: &str, value: Value) -> Response {
    let mut fields = envelope(site);
    fields.insert(name.to_owned(), value);
    json_answer(StatusCode::OK, &fields)
}

/// RFC 3339 in whole seconds.
fn rfc3339(at: Timestamp) -> String {
    Timestamp::from_secs(at.secs().into()).to_string()
}

/// `2006-01-02 15:04:05`.
fn local_time(at: Timestamp) -> String {
    rfc3339(at).replace('T', " ").trim_end_matches('Z').to_owned()
}

/// A neighbour as a protocol.
#[derive(Clone)]
struct Protocol {
    /// Its name where that can stand in a path, else its address.
    id: Arc<str>,
    address: Arc<str>,
}

impl Protocol {
    fn of(view: &crate::view::NeighborView) -> Self {
        let plain = |name: &&String| name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c));
        let address: Arc<str> = view.address.to_string().into();
        let id = view.name.as_ref().filter(plain).map_or_else(|| Arc::clone(&address), |name| name.as_str().into());
        Self { id, address }
    }

    /// The table of its own.
    fn table(&self) -> String {
        format!("{TABLE}{}", self.id)
    }

    /// The pipe from there to `master`.
    fn pipe(&self) -> String {
        format!("{PIPE}{}", self.id)
    }
}
