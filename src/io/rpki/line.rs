//! The connection under RTR, plain, with TCP-MD5 or with TLS: how it comes to be, and its octets cut into whole PDUs.

use std::{io, os::fd::AsFd, time::Duration};

use bytes::{Buf, BytesMut};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream, lookup_host},
};

use super::Tls;
use crate::{
    io::sockopt,
    types::Prefix,
    wire::rtr::{Fault, HEADER_LEN, Header},
};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Octets read at once at most: a few hundred records, so that a large set is not a system call for each.
const READ_LEN: usize = 16 << 10;

/// Where the cache is, and what it takes to be let in.
pub(super) struct Place {
    /// Host and port.
    pub(super) address: String,
    /// TCP-MD5 key.
    pub(super) password: Option<Vec<u8>>,
    pub(super) tls: Option<Tls>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to a cache.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    inbound: BytesMut,
    /// Octets of the PDU that was handed out last, at the front of `inbound`.
    taken: usize,
}

/// Why there is no next PDU.
pub(super) enum Broken {
    /// The other end closed.
    Closed,
    /// The connection failed.
    Failed(io::Error),
    /// What comes cannot be a PDU.
    Garbled(Fault),
}

impl Line {
    /// Reaches a cache.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) async fn connect(place: &Place) -> Result<Self, String> {
        let Place { address, password, tls } = place;
        let attempt = async {
            let found = lookup_host(address).await.map_err(|error| format!("{address} is not known: {error}"))?;
            let mut why = format!("{address} has no address");
            for remote in found {
                match (connect_to(remote, password.as_deref()).await, tls) {
                    (Ok(stream), None) => return Ok(Self::over(stream)),
                    (Ok(stream), Some(tls)) => return tls.connect(stream, address).await.map(Self::over),
                    (Err(error), _) => why = format!("cannot connect to {remote}: {error}"),
                }
            }
            Err(why)
        };
        match tokio::time::timeout(CONNECT, attempt).await {
            Ok(result) => result,
            Err(_) if password.is_some() => {
                Err(format!("no answer from {address}; check that both ends have the same password"))
            }
            Err(_) => Err(format!("no answer from {address}")),
        }
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), inbound: BytesMut::new(), taken: 0 }
    }

    /// The next PDU, whole; its octets are `octets` until the next call. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) -> Result<Header, Broken> {
        loop {
            if let Some(next) = self.buffered() {
                return next;
            }
            self.inbound.reserve(READ_LEN);
            match self.stream.read_buf(&mut self.inbound).await {
                Ok(0) => return Err(Broken::Closed),
                Ok(_) => {}
                Err(error) => return Err(Broken::Failed(error)),
            }
        }
    }

    /// The same without waiting; `None`: it has not come yet.
    pub(super) fn buffered(&mut self) -> Option<Result<Header, Broken>> {
        self.inbound.advance(std::mem::take(&mut self.taken));
        let header = self.inbound.get(..HEADER_LEN).and_then(Header::decode)?;
        match header.check_len() {
            Ok(len) if self.inbound.len() < len => None,
            Ok(len) => {
                self.taken = len;
                Some(Ok(header))
            }
            Err(fault) => Some(Err(Broken::Garbled(fault))),
        }
    }

    /// The PDU of the last `next`.
    pub(super) fn octets(&self) -> &[u8] {
        self.inbound.get(..self.taken).unwrap_or_default()
    }

    /// Whether a PDU began whose end is not there yet.
    pub(super) fn is_inside(&self) -> bool {
        self.inbound.len() > self.taken
    }

    pub(super) async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets).await?;
        self.stream.flush().await
    }
}

async fn connect_to(remote: std::net::SocketAddr, password: Option<&[u8]>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(remote), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(key) = password {
        sockopt::set_md5_key(socket.as_fd(), Prefix::host(remote.ip()), key)?;
    }
    let stream = TcpSocket::from_std_stream(socket.into()).connect(remote).await?;
    // A cache that went without a word is noticed by the kernel.
    socket2::SockRef::from(&stream).set_tcp_keepalive(
        &socket2::TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)),
    )?;
    Ok(stream)
}
