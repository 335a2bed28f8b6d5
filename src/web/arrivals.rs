//! Connections with who called, as axum wants to have them.

use std::{io, pin::Pin};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::{Stream, StreamExt as _};

use crate::access::Caller;

/// Hands on who arrives.
pub(super) struct Arrivals<C>(Pin<Box<dyn Stream<Item = (C, Caller)> + Send>>);

impl<C> Arrivals<C> {
    pub(super) fn new(stream: impl Stream<Item = (C, Caller)> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> Listener for Arrivals<C> {
    type Io = C;
    type Addr = Caller;

    async fn accept(&mut self) -> (C, Caller) {
        match self.0.next().await {
            Some(arrived) => arrived,
            // The door is closed: nobody comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Caller> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "there may be several"))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connected<IncomingStream<'_, Arrivals<C>>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Arrivals<C>>) -> Self {
        stream.remote_addr().clone()
    }
}
