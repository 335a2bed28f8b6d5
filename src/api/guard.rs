//! In front of every service: who asks, whether they may, and a line in the audit log for every change and refusal.
//!
//! What the change was is known by the handler alone; it says so with `say`, in words that hold no secret.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request as HttpRequest, Response as HttpResponse, header::AUTHORIZATION};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::{Code, Request, Status, body::Body, transport::server::Connected};
use tower::{Layer, Service};

use crate::access::{Caller, Class, Gate, Note, Outcome, Refusal, table};

/// A connection with who called, as tonic wants to have both.
pub(super) struct Arrived<C> {
    pub(super) conn: C,
    pub(super) caller: Caller,
}

impl<C> Connected for Arrived<C> {
    type ConnectInfo = Caller;
    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Arrived<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.conn).poll_read(context, buffer)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Arrived<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.conn).poll_write(context, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.conn).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.conn.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.conn).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.conn).poll_shutdown(context)
    }
}

/// Puts the gate in front of all services.
#[derive(Clone)]
pub(super) struct GateLayer(pub(super) Arc<Gate>);

impl<S> Layer<S> for GateLayer {
    type Service = Guarded<S>;
    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, gate: Arc::clone(&self.0) }
    }
}

/// Services behind the gate.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> Service<HttpRequest<Body>> for Guarded<S>
where
    S: Service<HttpRequest<Body>, Response = HttpResponse<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: HttpRequest<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let Some(caller) = request.extensions().get::<Caller>().cloned() else {
            // Every connection has one: a fault of ours must not open the door.
            return Box::pin(async { Ok(Status::internal("nobody knows who asks").into_http()) });
        };
        let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
        let admitted = match self.gate.admit(&caller, bearer, &path, table::rpc(&path)) {
            Ok(admitted) => admitted,
            Err(refusal) => return Box::pin(async move { Ok(status(&refusal).into_http()) }),
        };
        if !admitted.is_change {
            return Box::pin(self.inner.call(request));
        }
        let note = Note::default();
        request.extensions_mut().insert(note.clone());
        let (answer, gate) = (self.inner.call(request), Arc::clone(&self.gate));
        Box::pin(async move {
            let answer = answer.await?;
            let outcome = match Status::from_header_map(answer.headers()) {
                Some(status) if status.code() != Code::Ok => Outcome::Failed(status.message().to_owned()),
                _ => Outcome::Done,
            };
            gate.record(&caller, admitted.principal.as_ref(), &path, note.text(), outcome);
            Ok(answer)
        })
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1); the scheme's case does not count.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn status(refusal: &Refusal) -> Status {
    let text = refusal.to_string();
    match refusal.class() {
        Class::Unauthenticated => Status::unauthenticated(text),
        Class::Forbidden => Status::permission_denied(text),
        Class::TooMany => Status::resource_exhausted(text),
    }
}

/// Where what matters of a change is said.
pub(super) fn note<T>(request: &Request<T>) -> Note {
    request.extensions().get::<Note>().cloned().unwrap_or_default()
}

/// Says what matters of a change that is asked for; never a secret.
pub(super) fn say<T>(request: &Request<T>, words: impl FnOnce(&T) -> String) {
    note(request).say(words(request.get_ref()));
}
