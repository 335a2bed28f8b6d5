//! HTTP: the page of the operator, health, readiness, metrics and the JSON answers under `/api/v1`. The fields are those of
//! `--json` (`view::json`), the filters those of gRPC and the command line (`view::filter`). What changes anything is about
//! alerts only (`alerts`); everything else is read.
//!
//! `guard` stands in front of everything, `count` counts answers, `session` is how the page shows a token. `page` serves the embedded
//! files of the page, `events` what a page that is open is told as it happens, `overview` what one look shows, `birdwatcher` what looking
//! glasses made for BIRD ask, `pulse` what is remembered of the last minutes. The page has no data that these answers do not have.
//!
//! Answers about routes are pages: at most 1000 routes, with the token of the next page in `next`.

mod alerts;
mod arrivals;
mod birdwatcher;
mod count;
mod events;
mod explain;
mod guard;
mod history;
mod neighbors;
mod overview;
mod page;
mod pulse;
mod rib;
mod rpki;
mod session;
mod what_if;

use std::{future::Future, io, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post},
};
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};
use tokio_stream::Stream;

use self::{arrivals::Arrivals, events::Hub};
use crate::{
    access::{Caller, Gate},
    alert::Service,
    view::{Backend, Refusal, json, scan::PeerNames},
};

/// Prints the metrics; handed in because rooms of the outer world do not know each other.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

/// What the metrics are served as.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Octets of a command: the longest comment and much around it.
const BODY_OCTETS: usize = 64 * 1024;

/// What TLS offers to clients (RFC 7301).
pub const PROTOCOLS: &[&str] = &["http/1.1"];

/// What `[http]` says of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Settings {
    /// Names under which we are known beside those of loopback; they count while nobody has to show a token.
    pub hosts: Vec<String>,
    /// Whether metrics are for everybody.
    pub metrics_open: bool,
}

/// What is served.
pub struct Rooms {
    /// Questions.
    pub backend: Arc<dyn Backend>,
    /// Alerts.
    pub alerts: Arc<dyn Service>,
    /// Metrics.
    pub metrics: MetricsText,
}

#[derive(Clone)]
struct Site {
    gate: Arc<Gate>,
    settings: Arc<Settings>,
    backend: Arc<dyn Backend>,
    alerts: Arc<dyn Service>,
    metrics: MetricsText,
    hub: Arc<Hub>,
}

/// Serves HTTP to those who come until `shutdown` is done; `gate` lets them in.
///
/// # Errors
/// The listener failed; a single broken connection is no error.
pub async fn serve<C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    arrivals: impl Stream<Item = (C, Caller)> + Send + 'static,
    rooms: Rooms,
    gate: Arc<Gate>,
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let Rooms { backend, alerts, metrics } = rooms;
    let site = Site { gate, settings: Arc::new(settings), backend, alerts, metrics, hub: Hub::new(stopped) };
    let feeds = events::start(&site);
    let ended = async move {
        shutdown.await;
        // Those who listen to events would never leave by themselves.
        let _ = stop.send(true);
    };
    let router = router(site).into_make_service_with_connect_info::<Caller>();
    let served = axum::serve(Arrivals::new(arrivals), router).with_graceful_shutdown(ended).await;
    feeds.iter().for_each(tokio::task::JoinHandle::abort);
    served
}

/// Every method and address; what each of them needs is in `access::table`.
fn routes() -> Vec<(&'static str, &'static str, MethodRouter<Site>)> {
    let pages = page::FILES.iter().map(|file| ("GET", file.path, page::serve(file)));
    let rest = [
        ("GET", "/healthz", get(|| async { "ok\n" })),
        ("GET", "/readyz", get(readyz)),
        ("GET", "/metrics", get(metrics_page)),
        ("GET", "/api", get(index)),
        ("GET", "/api/v1", get(index)),
        ("GET", "/api/v1/session", get(session::show)),
        ("POST", "/api/v1/session", post(session::begin)),
        ("DELETE", "/api/v1/session", delete(session::end)),
        ("GET", "/api/v1/overview", get(overview::overview)),
        ("GET", "/api/v1/events", get(events::listen)),
        ("GET", "/api/v1/neighbors", get(neighbors::page)),
        ("GET", "/api/v1/neighbors/{address}", get(neighbors::one)),
        ("GET", "/api/v1/rib", get(rib::page)),
        ("GET", "/api/v1/explain", get(explain::explain)),
        ("GET", "/api/v1/history", get(history::history)),
        ("GET", "/api/v1/rpki", get(rpki::sources)),
        ("GET", "/api/v1/rpki/check", get(rpki::check)),
        ("GET", "/api/v1/rpki/what-if", get(what_if::page)),
        ("GET", "/api/v1/summary", get(summary)),
        ("GET", "/api/v1/alerts", get(alerts::page)),
        ("GET", "/api/v1/alerts/{id}", get(alerts::one)),
        ("POST", "/api/v1/alerts/{id}/acknowledge", post(alerts::acknowledge)),
        ("POST", "/api/v1/alerts/{id}/unacknowledge", post(alerts::unacknowledge)),
        ("POST", "/api/v1/alerts/{id}/comments", post(alerts::comment)),
        ("GET", "/api/v1/mutes", get(alerts::mutes)),
        ("POST", "/api/v1/mutes", post(alerts::mute)),
        ("DELETE", "/api/v1/mutes/{id}", delete(alerts::unmute)),
    ];
    pages.chain(rest).chain(birdwatcher::routes()).collect()
}

/// Every method and address that is served, as routes are written.
pub fn addresses() -> Vec<(&'static str, &'static str)> {
    routes().into_iter().map(|(method, path, _)| (method, path)).collect()
}

fn router(site: Site) -> Router {
    let all = routes().into_iter().fold(Router::new(), |router, (_, path, answer)| router.route(path, answer));
    all.method_not_allowed_fallback(|| async {
        let refusal = Refusal::Invalid("this address is not asked that way: see /api".into());
        (StatusCode::METHOD_NOT_ALLOWED, Refused(refusal).into_response().into_body()).into_response()
    })
    .fallback(nowhere)
    .layer(DefaultBodyLimit::max(BODY_OCTETS))
    .layer(middleware::from_fn_with_state(site.clone(), guard::admit))
    .layer(middleware::map_response(page::protect))
    .layer(middleware::from_fn_with_state(site.clone(), count::count))
    .with_state(site)
}

/// What is served, for people and programs.
const INDEX: &str = "\
ribwatch

  /                             the page
  /healthz                      200 while the process is alive
  /readyz                       200 when ready, else 503 with the reasons
  /metrics                      Prometheus text
  /api/v1/session               who you are here, and what you may do
  /api/v1/overview              one look: sessions, tables, RPKI, alerts, rates of the last minutes
  /api/v1/events                what happens, as server-sent events: status, session, alert, lagged
  /api/v1/neighbors             sessions and their counts: ?state= text= limit= next=
  /api/v1/neighbors/ADDRESS     all about one of them, by address or name
  /api/v1/rib                   routes: ?prefix= table= neighbor= family= match= origin= as_path= community= rd=
                                validation= aspa= limit= next=
  /api/v1/explain               why a route won and others lost: ?prefix= family=
  /api/v1/history               what neighbors said of a prefix lately: ?prefix= family=
  /api/v1/rpki                  sources of RPKI data, their age, and what is in force
  /api/v1/rpki/check            the state of a prefix and origin: ?prefix= asn=
  /api/v1/rpki/what-if          what other RPKI data would change: ?add_vrp= remove_vrp= add_aspa= remove_aspa= limit= next=
  /api/v1/summary               counts per table, neighbor and family
  /api/v1/alerts                alerts: ?kind= state= severity= prefix= asn= neighbor= text= limit= next=
  /api/v1/alerts/ID             one of them
  /api/v1/mutes                 mutes and maintenance windows
  /birdwatcher/…                what birdwatcher answers, for looking glasses made for it

Where tokens are configured, show one as `Authorization: Bearer TOKEN`.
Commands, with a JSON object as body and `Content-Type: application/json`:

  POST   /api/v1/session                   token: answers with a cookie; DELETE takes it away
  POST   /api/v1/alerts/ID/acknowledge     author, note
  POST   /api/v1/alerts/ID/unacknowledge   author, note
  POST   /api/v1/alerts/ID/comments        author, text
  POST   /api/v1/mutes                     alert or kinds, prefixes, asns, neighbors; reason, author, length_s
  DELETE /api/v1/mutes/ID                  the id of a mute, or of an alert that is muted by itself

Everything else is on the command line (ribwatch --help) and in gRPC (package ribwatch.v1, reflection is on).
";

async fn index() -> &'static str {
    INDEX
}

/// An address that nobody serves: people get a page, programs an object.
async fn nowhere(headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match accepts.contains("text/html") {
        true => (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, page::HTML)], page::NOWHERE).into_response(),
        false => Refused(Refusal::NotFound("no such page: see /api for what there is".into())).into_response(),
    }
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

impl Refused {
    /// What was asked cannot be understood.
    fn invalid(why: impl ToString) -> Self {
        Self(Refusal::Invalid(why.to_string()))
    }
}

impl From<JsonRejection> for Refused {
    fn from(rejection: JsonRejection) -> Self {
        Self::invalid(format!("{}; see /api for what is understood", rejection.body_text()))
    }
}

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
        let error = self.0.to_string();
        let mut answer = json_answer(status, &Body { error: error.clone() });
        answer.extensions_mut().insert(guard::Why(error));
        answer
    }
}
