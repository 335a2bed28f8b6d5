//! A door for tests of what stands behind it: plain TCP, open to this machine as a daemon without `[access]` is.

use std::sync::Arc;

use ribwatch::{
    access::{Caller, Gate, Rules},
    alert::Service,
    io::door::{self, Conn, Entrance},
    view::Backend,
    web::{Rooms, Settings},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;

use crate::fake::NOW;

/// A gate that lets this machine in.
pub fn gate() -> Arc<Gate> {
    Arc::new(Gate::new(Rules::default(), || NOW, |_| {}))
}

/// Who connects to `listener`.
pub fn arrivals(listener: TcpListener) -> ReceiverStream<(Conn, Caller)> {
    door::open(vec![Entrance::Tcp(listener, None)], &gate())
}

/// Serves HTTP for ever, under the name `test`, too.
pub async fn serve_http(listener: TcpListener, rooms: Rooms) -> std::io::Result<()> {
    let settings = Settings { hosts: vec!["test".to_owned()], metrics_open: false };
    ribwatch::web::serve(arrivals(listener), rooms, gate(), settings, std::future::pending()).await
}

/// Serves gRPC for ever.
pub async fn serve_grpc(
    listener: TcpListener,
    backend: Arc<dyn Backend>,
    alerts: Arc<dyn Service>,
) -> std::io::Result<()> {
    ribwatch::api::serve(arrivals(listener), backend, alerts, gate(), std::future::pending()).await
}
