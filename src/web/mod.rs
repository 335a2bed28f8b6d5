//! HTTP: health, readiness, metrics and the JSON answers under `/api/v1`. The fields are those of `--json`
//! (`view::json`), the filters those of gRPC and the command line (`view::filter`). Read-only: commands go over
//! gRPC.
//!
//! Answers about routes are pages: at most 1000 routes, with the token of the next page in `next`.

mod alerts;
mod rib;
mod rpki;

use std::{future::Future, io, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::{
    alert::Service,
    view::{Backend, Refusal, filter::find_neighbor, json, scan::PeerNames},
};

/// Prints the metrics; handed in because rooms of the outer world do not know each other.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// What the metrics are served as.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
struct Site {
    backend: Arc<dyn Backend>,
    alerts: Arc<dyn Service>,
    metrics: MetricsText,
}

/// Serves HTTP on `listener` until `shutdown` is done.
///
/// # Errors
/// The listener failed; a single broken connection is no error.
pub async fn serve(
    listener: TcpListener,
    backend: Arc<dyn Backend>,
    alerts: Arc<dyn Service>,
    metrics: MetricsText,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/", get(index))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .route("/api/v1/neighbors", get(neighbors))
        .route("/api/v1/neighbors/{address}", get(neighbor))
        .route("/api/v1/rib", get(rib::page))
        .route("/api/v1/rpki", get(rpki::sources))
        .route("/api/v1/rpki/check", get(rpki::check))
        .route("/api/v1/summary", get(summary))
        .route("/api/v1/alerts", get(alerts::page))
        .route("/api/v1/alerts/{id}", get(alerts::one))
        .route("/api/v1/mutes", get(alerts::mutes))
        .fallback(|| async { Refused(Refusal::NotFound("no such page: see / for what there is".into())) })
        .with_state(Site { backend, alerts, metrics });
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

/// What is served, for people.
const INDEX: &str = "\
ribwatch

  /healthz                      200 while the process is alive
  /readyz                       200 when ready, else 503 with the reasons
  /metrics                      Prometheus text
  /api/v1/neighbors             sessions and their counts
  /api/v1/neighbors/ADDRESS     one of them, by address or name
  /api/v1/rib                   routes: ?prefix= table= neighbor= family= match= origin= as_path= community= limit= next=
  /api/v1/rpki                  sources of RPKI data, their age, and what is in force
  /api/v1/rpki/check            the state of a prefix and origin: ?prefix= asn=
  /api/v1/summary               counts per table, neighbor and family
  /api/v1/alerts                alerts: ?kind= state= severity= prefix= asn= neighbor= text= limit= next=
  /api/v1/alerts/ID             one of them
  /api/v1/mutes                 mutes and maintenance windows

Everything else is on the command line (ribwatch --help) and in gRPC (package ribwatch.v1, reflection is on).
";

async fn index() -> &'static str {
    INDEX
}

async fn readyz(State(site): State<Site>) -> Response {
    #[derive(Serialize)]
    struct Readiness {
        ready: bool,
        reasons: Vec<String>,
    }
    let reasons = site.backend.not_ready();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_answer(status, &Readiness { ready: reasons.is_empty(), reasons })
}

async fn metrics_page(State(site): State<Site>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], (site.metrics)())
}

async fn neighbors(State(site): State<Site>) -> Response {
    #[derive(Serialize)]
    struct Neighbors {
        neighbors: Vec<json::Neighbor>,
    }
    let (now, mut views) = (site.backend.now(), site.backend.neighbors());
    views.sort_by_key(|view| view.address);
    let neighbors = views.iter().map(|view| json::Neighbor::new(view, now)).collect();
    json_answer(StatusCode::OK, &Neighbors { neighbors })
}

async fn neighbor(State(site): State<Site>, Path(word): Path<String>) -> Result<Response, Refused> {
    let views = site.backend.neighbors();
    let view = find_neighbor(&word, &views).map_err(Refused)?;
    Ok(json_answer(StatusCode::OK, &json::Neighbor::new(view, site.backend.now())))
}

async fn summary(State(site): State<Site>) -> Response {
    let (summary, mut names) = (site.backend.summary(), PeerNames::default());
    let name = |peer| names.get(&*site.backend, Some(peer)).to_string();
    json_answer(StatusCode::OK, &json::Summary::new(&summary, name))
}

fn json_answer(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// A refusal as an HTTP answer: `{"error": "…"}`.
struct Refused(Refusal);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        let status = match self.0 {
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::Invalid(_) => StatusCode::BAD_REQUEST,
            Refusal::Exists(_) | Refusal::NotNow(_) => StatusCode::CONFLICT,
            Refusal::Forbidden(_) => StatusCode::FORBIDDEN,
            Refusal::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        json_answer(status, &Body { error: self.0.to_string() })
    }
}
