//! gRPC `ribwatch.v1` over `view::Backend` and `alert::Service`: server set-up, health, reflection, and how a refusal becomes a
//! status. One file per service; `count` counts requests, `guard` stands in front of all of them, `render` turns read models into
//! messages, `watch` is the stream of changes.
//!
//! What keeps readers from hurting the writer: every question to the engine is a bounded page, the next one is
//! asked only when the client took the message before (HTTP/2 flow control), and no message grows beyond
//! `MESSAGE_OCTETS`. Nothing here knows sockets of BGP, files or the configuration.

mod alerts;
mod control;
mod count;
mod coverage;
mod guard;
mod neighbors;
mod nlri;
mod originate;
mod render;
mod routes;
mod rpki;
mod watch;
mod what_if;

use std::{future::Future, io, sync::Arc, time::Duration};

use ribwatch_proto::v1;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{
    Status,
    codec::CompressionEncoding::Gzip,
    transport::{Server, server::Router},
};
use tower::layer::util::{Identity, Stack};

use self::{
    count::CountLayer,
    guard::{Arrived, GateLayer},
};
use crate::{
    access::{Caller, Gate},
    alert::Service,
    view::{Backend, Refusal},
};

/// Size at which a message is closed, in octets: a quarter of the 4 MiB that gRPC clients accept by default.
const MESSAGE_OCTETS: usize = 1 << 20;
/// Octets of the largest request: thousands of prefixes to be judged at once.
const REQUEST_OCTETS: usize = 4 << 20;
/// Routes at which a message is closed.
const MESSAGE_ROUTES: usize = 1000;
/// A silent connection is asked for a sign of life after this time, and closed after `KEEPALIVE_TIMEOUT` more:
/// watchers behind a dead path must not stay for ever.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams that one connection may hold open.
const STREAMS_PER_CONNECTION: u32 = 256;
/// How long streams may take to end once the daemon stops.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How often readiness is looked at for the health service.
const HEALTH_INTERVAL: Duration = Duration::from_millis(250);

/// What TLS offers to clients (RFC 7301): gRPC is HTTP/2.
pub const PROTOCOLS: &[&str] = &["h2"];

/// Serves the gRPC interface to those who come until `shutdown` is done; `gate` lets them in.
///
/// # Errors
/// The transport failed; a single broken connection is no error.
pub async fn serve<C: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    arrivals: impl Stream<Item = (C, Caller)>,
    backend: Arc<dyn Backend>,
    alerts: Arc<dyn Service>,
    gate: Arc<Gate>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (health_reporter, health) = tonic_health::server::health_reporter();
    let router = services(&backend, alerts, gate)?.add_service(health);
    let incoming = arrivals.map(|(conn, caller)| Ok::<_, io::Error>(Arrived { conn, caller }));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = router.serve_with_incoming_shutdown(incoming, async {
        // An error means that `stop` was dropped: the same.
        let _ = stopped.await;
    });
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended.map_err(io::Error::other),
        () = report_health(&health_reporter, &*backend) => {}
        () = shutdown => {}
    }
    drop(stop);
    // Watchers never end by themselves; what is left after the drain is cut.
    match tokio::time::timeout(DRAIN_TIME, server).await {
        Ok(ended) => ended.map_err(io::Error::other),
        Err(_) => Ok(()),
    }
}

/// What stands in front of every service; who is refused is counted, too.
type Front = Stack<GateLayer, Stack<CountLayer, Identity>>;

fn services(backend: &Arc<dyn Backend>, alerts: Arc<dyn Service>, gate: Arc<Gate>) -> io::Result<Router<Front>> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(v1::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let neighbors = v1::neighbor_service_server::NeighborServiceServer::new(neighbors::Neighbors(backend.clone()));
    let routes = v1::route_service_server::RouteServiceServer::new(routes::Routes(backend.clone()));
    let local = v1::local_route_service_server::LocalRouteServiceServer::new(control::LocalRoutes(backend.clone()));
    let daemon = v1::daemon_service_server::DaemonServiceServer::new(control::Daemon(backend.clone()));
    let rpki = v1::rpki_service_server::RpkiServiceServer::new(rpki::Rpki(backend.clone()));
    let alerts = v1::alert_service_server::AlertServiceServer::new(alerts::Alerts(alerts, backend.clone()));
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .layer(CountLayer(backend.clone()))
        .layer(GateLayer(gate));
    Ok(server
        .add_service(neighbors.accept_compressed(Gzip).send_compressed(Gzip).max_decoding_message_size(REQUEST_OCTETS))
        .add_service(routes.accept_compressed(Gzip).send_compressed(Gzip).max_decoding_message_size(REQUEST_OCTETS))
        .add_service(local.accept_compressed(Gzip).send_compressed(Gzip).max_decoding_message_size(REQUEST_OCTETS))
        .add_service(daemon.accept_compressed(Gzip).send_compressed(Gzip).max_decoding_message_size(REQUEST_OCTETS))
        .add_service(rpki.accept_compressed(Gzip).send_compressed(Gzip).max_decoding_message_size(REQUEST_OCTETS))
        .add_service(alerts.accept_compressed(Gzip).send_compressed(Gzip).max_decoding_message_size(REQUEST_OCTETS))
        .add_service(reflection().build_v1().map_err(io::Error::other)?)
        .add_service(reflection().build_v1alpha().map_err(io::Error::other)?))
}

/// The services whose health is told apart; the empty name is the daemon as a whole.
const SERVICES: [&str; 7] = [
    "",
    "ribwatch.v1.NeighborService",
    "ribwatch.v1.RouteService",
    "ribwatch.v1.LocalRouteService",
    "ribwatch.v1.DaemonService",
    "ribwatch.v1.RpkiService",
    "ribwatch.v1.AlertService",
];

/// Keeps the health service at the backend's readiness; never ends.
async fn report_health(reporter: &tonic_health::server::HealthReporter, backend: &dyn Backend) {
    use tonic_health::ServingStatus::{NotServing, Serving};
    let mut told = None;
    loop {
        let ready = backend.is_ready();
        if told != Some(ready) {
            for service in SERVICES {
                reporter.set_service_status(service, if ready { Serving } else { NotServing }).await;
            }
            told = Some(ready);
        }
        tokio::time::sleep(HEALTH_INTERVAL).await;
    }
}

/// The status that tells a client what a refusal means for it.
fn status(refusal: Refusal) -> Status {
    let text = refusal.to_string();
    match refusal {
        Refusal::NotFound(_) => Status::not_found(text),
        Refusal::Invalid(_) => Status::invalid_argument(text),
        Refusal::Exists(_) => Status::already_exists(text),
        Refusal::NotNow(_) => Status::failed_precondition(text),
        Refusal::Forbidden(_) => Status::permission_denied(text),
        Refusal::Stopping => Status::unavailable(text),
    }
}
