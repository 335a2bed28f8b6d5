//! Traces, as a collector gets them: OTLP over gRPC, taken by a service that keeps the octets of each request.

use std::net::SocketAddr;

use axum::{Router, body::Body, http::Response, routing::post};
use http_body_util::BodyExt as _;
use ribwatch::{app::Daemon, cli, config::Config, view::reload::ReloadRequest};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc};

use crate::router::PATIENCE;

/// Where spans are sent (opentelemetry-proto, `collector/trace/v1/trace_service.proto`).
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A collector: its address, and what it is sent.
fn collector(runtime: &Runtime) -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (tell, heard) = mpsc::unbounded_channel();
    let take = move |body: Body| {
        let tell = tell.clone();
        async move {
            let octets = body.collect().await.expect("a whole request").to_bytes();
            // Nobody may be left to hear it.
            let _ = tell.send(octets.to_vec());
            // An empty message, uncompressed: nothing was refused.
            Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", "0")
                .body(Body::from(vec![0; 5]))
                .expect("an answer")
        }
    };
    let routes = tonic::service::Routes::from(Router::new().route(EXPORT, post(take)));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    runtime.spawn(tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(incoming));
    (address, heard)
}

fn holds(octets: &[u8], words: &str) -> bool {
    octets.windows(words.len()).any(|window| window == words.as_bytes())
}

#[test]
fn requests_and_reloads_become_spans_and_a_collector_that_is_gone_costs_nothing() {
    let runtime = Runtime::new().expect("a runtime");
    let (address, mut heard) = collector(&runtime);
    let settings = |collector: SocketAddr| {
        let text = format!(
            "[router]\nasn = 64496\nrouter_id = \"192.0.2.1\"\nlisten = []\n[api]\nlisten = \"127.0.0.1:0\"\n\
             [http]\nenabled = false\n[telemetry]\notlp = \"http://{collector}\"\n"
        );
        Config::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"))
    };
    let daemon = Daemon::start(settings(address)).expect("starts");
    let api = daemon.api_address().expect("serves").to_string();
    let ask = |words: &[&str]| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        cli::execute(&[&["ribwatch", "--api", &api], words].concat(), &mut out, &mut err)
    };
    assert_eq!((ask(&["neighbor"]), ask(&["neighbor", "192.0.2.99"])), (0, 1));
    daemon.reload(settings(address), ReloadRequest::default());
    let mut missing = vec![
        "NeighborService/ListNeighbors",
        "NeighborService/GetNeighbor",
        "NOT_FOUND",
        "reload",
        "applied",
        "service.name",
    ];
    while !missing.is_empty() {
        let next = runtime.block_on(async { tokio::time::timeout(PATIENCE, heard.recv()).await });
        let octets = next.unwrap_or_else(|_| panic!("never sent: {missing:?}")).expect("the collector runs");
        missing.retain(|words| !holds(&octets, words));
    }
    daemon.stop();

    // Nobody listens there any more: readers are answered all the same, and the end does not wait.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let daemon = Daemon::start(settings(gone)).expect("starts");
    let api = daemon.api_address().expect("serves").to_string();
    let asked = cli::execute(&["ribwatch", "--api", &api, "neighbor"], &mut Vec::new(), &mut Vec::new());
    assert_eq!(asked, 0);
    daemon.stop();
}
