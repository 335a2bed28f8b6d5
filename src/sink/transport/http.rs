//! HTTP/1.1, plain or over TLS, with connections kept for a while. Redirections are not followed: an alert goes to whom
//! the operator named.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio_rustls::rustls::ClientConfig;

use super::explain;
use crate::{
    sink::{
        HttpRequest, Outcome,
        request::{judge, retry_after},
    },
    types::Timestamp,
};

/// Octets of an answer that are read; nobody looks at more.
const ANSWER_MAX: usize = 64 * 1024;
/// Shorter than the 75 s and 60 s after which usual servers close what is idle.
const IDLE: Duration = Duration::from_secs(30);

/// A client.
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    pub(super) fn new(tls: ClientConfig) -> Self {
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
        Self(builder.build(connector))
    }

    pub(super) async fn send(&self, request: HttpRequest, now: Timestamp) -> Outcome {
        let mut builder = http::Request::builder()
            .method(request.method)
            .uri(&request.url.0)
            .header("user-agent", concat!("ribwatch/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let request = match builder.body(Full::new(Bytes::from(request.body))) {
            Ok(request) => request,
            // The configuration checks all that an operator writes; the message repeats none of it.
            Err(error) => return Outcome::Never { why: format!("this makes no HTTP request: {error}") },
        };
        let response = match self.0.request(request).await {
            Ok(response) => response,
            Err(error) => return Outcome::later(explain(&error)),
        };
        let status = response.status().as_u16();
        let wait = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|value| retry_after(value, now.0 / 1_000_000));
        // What was accepted is, whether or not the answer can be read.
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        judge(status, wait, &String::from_utf8_lossy(&body))
    }
}
