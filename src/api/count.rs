//! Counts what was asked over gRPC and how it ended, streams at their end. What is no service of ours counts as `other`.

use std::{
    collections::HashSet,
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Instant,
};

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use ribwatch_proto::v1;
use tonic::{Code, body::Body};
use tower::{Layer, Service};

use crate::view::{
    Backend,
    served::{Ended, Interface, OTHER},
};

/// The header, and trailer, with the number of the status.
const STATUS: &str = "grpc-status";

/// Puts the counter in front of all services.
#[derive(Clone)]
pub(super) struct CountLayer(pub(super) Arc<dyn Backend>);

impl<S> Layer<S> for CountLayer {
    type Service = Counted<S>;
    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, backend: Arc::clone(&self.0) }
    }
}

/// Services that are counted.
#[derive(Clone)]
pub(super) struct Counted<S> {
    inner: S,
    backend: Arc<dyn Backend>,
}

impl<S> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (backend, path) = (Some(Arc::clone(&self.backend)), request.uri().path().to_owned());
        let mut ending = Ending { backend, path, begun: Instant::now() };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            if let Some(code) = code(answer.headers()) {
                // All there is to say stood in the headers.
                ending.count(code);
                return Ok(answer);
            }
            Ok(answer.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    if let Some(code) = frame.trailers_ref().and_then(code) {
                        ending.count(code);
                    }
                    frame
                }))
            }))
        })
    }
}

fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// Counts a request once: when its status is sent, or when its client is gone before that.
struct Ending {
    backend: Option<Arc<dyn Backend>>,
    path: String,
    begun: Instant,
}

impl Ending {
    fn count(&mut self, code: Code) {
        if let Some(backend) = self.backend.take() {
            // A path that nobody serves is a stranger's words.
            let route = if SERVED.contains(&self.path) { route(&self.path) } else { OTHER };
            let (interface, took) = (Interface::Grpc, self.begun.elapsed());
            backend.served().request(&Ended { interface, route, code: &name(code), took });
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.count(Code::Cancelled);
    }
}

/// Paths of all methods that we serve.
static SERVED: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let mut paths = HashSet::new();
    let reflection = [
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        v1::DESCRIPTORS,
    ];
    for octets in reflection {
        // Made by the compiler of protocol buffers: they can be read.
        let Ok(set) = FileDescriptorSet::decode(octets) else { continue };
        for file in &set.file {
            for service in &file.service {
                let methods = service.method.iter();
                paths.extend(methods.map(|method| format!("/{}.{}/{}", file.package(), service.name(), method.name())));
            }
        }
    }
    paths
});

/// `RouteService/ListRoutes` of `/ribwatch.v1.RouteService/ListRoutes`.
fn route(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_prefix("ribwatch.v1.").unwrap_or(path)
}

/// `NOT_FOUND`, as the gRPC documents write it.
fn name(code: Code) -> String {
    let mut name = String::new();
    for c in format!("{code:?}").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_documents() {
        for (code, text) in [
            (Code::Ok, "OK"),
            (Code::NotFound, "NOT_FOUND"),
            (Code::InvalidArgument, "INVALID_ARGUMENT"),
            (Code::Unavailable, "UNAVAILABLE"),
        ] {
            assert_eq!(name(code), text);
        }
        let ours = ["/ribwatch.v1.RouteService/ListRoutes", "/grpc.health.v1.Health/Check"];
        assert!(ours.iter().all(|path| SERVED.contains(*path)) && SERVED.len() > 30, "{}", SERVED.len());
        assert_eq!(route("/ribwatch.v1.RouteService/ListRoutes"), "RouteService/ListRoutes");
        assert_eq!(route("/grpc.health.v1.Health/Check"), "grpc.health.v1.Health/Check");
    }
}
