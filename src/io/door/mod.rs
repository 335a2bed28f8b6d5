//! Where readers come in: connections of gRPC and HTTP are accepted here, over TCP, TLS or a Unix socket, and handed on with what is
//! known of who called. Nothing is decided here but what TLS itself decides; `tls` holds certificates and their reload, `names`
//! reads the names in a client's certificate, `unix` makes the socket.

mod conn;
mod names;
pub mod tls;
pub mod unix;

use std::{sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream, UnixListener},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{debug, warn};

pub use self::conn::Conn;
use self::{conn::Stream, tls::TlsServer};
use crate::access::{Caller, Gate, Place, Refusal};

/// Connections that one door has open at a time; more wait in the kernel.
const CONNECTIONS_MAX: usize = 1024;
/// How long a client may take to agree on TLS.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// A silent connection is asked by the kernel for a sign of life after this time.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// How long to wait when no connection can be accepted, as when there are no more files.
const PAUSE: Duration = Duration::from_millis(500);

/// One way in.
pub enum Entrance {
    /// TCP, with TLS where there are certificates.
    Tcp(TcpListener, Option<Arc<TlsServer>>),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Connections from all of `entrances`, until nobody takes them any more; clients whose certificate is not accepted are told to
/// `gate`. Needs a runtime.
pub fn open(entrances: Vec<Entrance>, gate: &Arc<Gate>) -> ReceiverStream<(Conn, Caller)> {
    let (guests, taken) = mpsc::channel(16);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    for entrance in entrances {
        let porter = Porter { guests: guests.clone(), places: Arc::clone(&places), gate: Arc::clone(gate) };
        tokio::spawn(async move {
            tokio::select! {
                () = porter.guests.closed() => {}
                () = porter.accept(&entrance) => {}
            }
        });
    }
    ReceiverStream::new(taken)
}

struct Porter {
    guests: mpsc::Sender<(Conn, Caller)>,
    places: Arc<Semaphore>,
    gate: Arc<Gate>,
}

impl Porter {
    /// Accepts for ever.
    async fn accept(&self, entrance: &Entrance) {
        let mut troubled = false;
        // The semaphore is never closed.
        while let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            let accepted = match entrance {
                Entrance::Tcp(listener, tls) => listener.accept().await.map(|(stream, peer)| {
                    let loopback = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
                    let place = Place::Address { peer, loopback };
                    (Stream::Tcp(stream), Caller { place, protected: tls.is_some(), certificate: None })
                }),
                Entrance::Unix(listener) => listener.accept().await.and_then(|(stream, _)| {
                    let place = Place::User { uid: stream.peer_cred()?.uid() };
                    Ok((Stream::Unix(stream), Caller { place, protected: false, certificate: None }))
                }),
            };
            match (accepted, entrance) {
                (Ok((Stream::Tcp(stream), caller)), Entrance::Tcp(_, tls)) => {
                    troubled = false;
                    prepare(&stream);
                    match tls {
                        Some(tls) => self.greet(Arc::clone(tls), stream, caller, place),
                        None => self.hand_on(Conn::new(Stream::Tcp(stream), place), caller).await,
                    }
                }
                (Ok((stream, caller)), _) => {
                    troubled = false;
                    self.hand_on(Conn::new(stream, place), caller).await;
                }
                (Err(error), _) => {
                    if !troubled {
                        warn!("connections of readers cannot be accepted: {error}");
                    }
                    troubled = true;
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Agrees on TLS, in a task of its own: who is slow at it keeps nobody else waiting.
    fn greet(
        &self,
        tls: Arc<TlsServer>,
        stream: TcpStream,
        mut caller: Caller,
        place: tokio::sync::OwnedSemaphorePermit,
    ) {
        let (guests, gate) = (self.guests.clone(), Arc::clone(&self.gate));
        tokio::spawn(async move {
            match timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
                Ok(Ok((stream, certificate))) => {
                    caller.certificate = certificate.map(Arc::new);
                    // Nobody may be left to take it.
                    let _ = guests.send((Conn::new(Stream::Tls(Box::new(stream)), place), caller)).await;
                }
                Ok(Err(error)) => match tls::certificate_fault(&error) {
                    Some(why) => {
                        gate.refuse(&caller, "TLS", Refusal::BadCertificate(why));
                    }
                    None => debug!("no TLS with {}: {error}", caller.place),
                },
                Err(_) => debug!("no TLS with {}: too slow", caller.place),
            }
        });
    }

    async fn hand_on(&self, conn: Conn, caller: Caller) {
        // Nobody may be left to take it.
        let _ = self.guests.send((conn, caller)).await;
    }
}

fn prepare(stream: &TcpStream) {
    let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE);
    // A connection without them works, only less well.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive);
}
