//! The connection under RTR, plain or with TLS, and what was seen on it: the library that speaks RTR over it tells
//! neither the version nor whether it waits for anything.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// A connection to a cache.
pub(super) struct Line {
    stream: Stream,
    seen: Arc<Seen>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What was seen on a connection.
#[derive(Default)]
pub(super) struct Seen {
    /// Octets in both directions.
    octets: AtomicU64,
    /// The first octet that the cache sent: every PDU begins with the version (RFC 8210 §5.1). 255: it has sent none.
    version: AtomicU8,
}

impl Seen {
    /// How many octets there were, in both directions.
    pub(super) fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }

    /// The version that the cache speaks; `None`: it has said nothing yet.
    pub(super) fn version(&self) -> Option<u8> {
        Some(self.version.load(Ordering::Relaxed)).filter(|version| *version != u8::MAX)
    }
}

impl Line {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self::over(Stream::Plain(stream))
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::over(Stream::Tls(Box::new(stream)))
    }

    fn over(stream: Stream) -> Self {
        let seen = Seen { version: AtomicU8::new(u8::MAX), ..Seen::default() };
        Self { stream, seen: Arc::new(seen) }
    }

    /// Stays true after the connection was given away.
    pub(super) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        })?;
        if let Some(first) = buf.filled().get(before) {
            if self.seen.version().is_none() {
                self.seen.version.store(*first, Ordering::Relaxed);
            }
            self.seen.octets.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
        })?;
        self.seen.octets.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
