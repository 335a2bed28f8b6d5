//! Syslog messages over UDP, TCP and TLS. A stream is kept, and looked at before it is used again: one that the other end
//! has closed takes octets and loses them.

use std::{io, net::SocketAddr, pin::Pin, sync::Arc, task::Poll};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpStream, UdpSocket, lookup_host},
    sync::Mutex,
};
use tokio_rustls::rustls::ClientConfig;

use super::{host_of, tls};
use crate::sink::{
    Outcome,
    syslog::{Settings, Transport},
};

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The road to a syslog server.
pub(super) struct Lines {
    settings: Settings,
    tls: Option<Arc<ClientConfig>>,
    stream: Mutex<Option<Box<dyn Stream>>>,
}

impl Lines {
    pub(super) fn new(settings: Settings, tls: Option<ClientConfig>) -> Self {
        Self { settings, tls: tls.map(Arc::new), stream: Mutex::new(None) }
    }

    pub(super) async fn send(&self, octets: &[u8]) -> Outcome {
        let address = &self.settings.address;
        match self.settings.transport {
            Transport::Udp => match datagram(address, octets).await {
                Ok(()) => Outcome::Accepted { answer: format!("sent to {address}; UDP answers nothing") },
                Err(error) => Outcome::later(format!("{address}: {error}")),
            },
            Transport::Tcp | Transport::Tls => match self.write(octets).await {
                Ok(()) => Outcome::Accepted { answer: format!("written to {address}; syslog answers nothing") },
                Err(why) => Outcome::later(format!("{address}: {why}")),
            },
        }
    }

    async fn write(&self, octets: &[u8]) -> Result<(), String> {
        let mut kept = self.stream.lock().await;
        // Taken out while it is in use: when the attempt is given up in the middle, half a message is behind it.
        let mut open = None;
        if let Some(mut stream) = kept.take()
            && is_open(&mut *stream).await
        {
            open = Some(stream);
        }
        let mut stream = match open {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let written = async {
            stream.write_all(octets).await?;
            stream.flush().await
        };
        written.await.map_err(|error: io::Error| error.to_string())?;
        *kept = Some(stream);
        Ok(())
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let address = &self.settings.address;
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true); // only a matter of time
        match &self.tls {
            Some(config) => Ok(Box::new(tls::protect(config, host_of(address), stream).await?)),
            None => Ok(Box::new(stream)),
        }
    }
}

/// Whether the other end has not closed it. What it says is thrown away: the protocol has no answers.
async fn is_open(stream: &mut dyn Stream) -> bool {
    std::future::poll_fn(|context| {
        let mut octets = [0; 512];
        loop {
            let mut buffer = ReadBuf::new(&mut octets);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Pending => return Poll::Ready(true),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(false),
            }
        }
    })
    .await
}

async fn datagram(address: &str, octets: &[u8]) -> io::Result<()> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let to = lookup_host(address).await?.next().ok_or_else(none)?;
    let from: SocketAddr =
        if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { (std::net::Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(from).await?;
    socket.connect(to).await?;
    socket.send(octets).await.map(drop)
}
