//! Sockets of BGP sessions: listening, connecting, and what both set. A failure comes back as a sentence that
//! names the fix, because an operator reads it.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    os::fd::AsFd,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::settings::NeighborSettings;
use crate::io::sockopt;

/// Connections that may wait to be accepted; thousands of passive peers may come back at once.
const BACKLOG: i32 = 4096;

/// Listens for BGP on `address`. An IPv6 listener takes IPv6 only, so that both families can have their own.
///
/// # Errors
/// A sentence that names the fix.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let bind = || -> io::Result<TcpListener> {
        let socket = new_socket(address)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        // The answer to a SYN leaves before we know whose it is; a neighbour with GTSM wants 255.
        sockopt::set_ttl(socket.as_fd(), address.is_ipv4(), 255)?;
        // Accepted connections inherit it.
        sockopt::set_network_control(socket.as_fd(), address.is_ipv4())?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    bind().map_err(|error| explain_bind(&error, address))
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Why an address cannot be listened on, with the fix.
pub fn explain_bind(error: &io::Error, address: SocketAddr) -> String {
    let fix = match error.kind() {
        ErrorKind::AddrInUse => {
            format!("port {} is taken by another program; stop it, or choose another address or port", address.port())
        }
        ErrorKind::PermissionDenied => format!(
            "no permission for port {}; allow it once with `setcap cap_net_bind_service+ep` on the ribwatch binary, \
             or listen on a port above 1023",
            address.port()
        ),
        ErrorKind::AddrNotAvailable => format!("{} is not an address of this machine", address.ip()),
        _ => error.to_string(),
    };
    format!("cannot listen on {address}: {fix}")
}

/// Connects to the neighbour at `remote` as its settings say.
///
/// # Errors
/// A sentence for the log and for `last_error`.
pub(super) async fn connect(settings: &NeighborSettings, remote: SocketAddr) -> Result<TcpStream, String> {
    let prepared = prepare(settings, remote).map_err(|error| explain_prepare(&error, settings))?;
    // A little less than the session waits before it gives the attempt up, so that the reason is told.
    let patience = settings.session.connect_retry.mul_f32(0.7);
    match tokio::time::timeout(patience, prepared.connect(remote)).await {
        Ok(connected) => connected.map_err(|error| explain_connect(&error, settings, remote)),
        Err(_) => Err(no_answer(settings, remote)),
    }
}

fn prepare(settings: &NeighborSettings, remote: SocketAddr) -> io::Result<TcpSocket> {
    let socket = new_socket(remote)?;
    apply(settings, socket.as_fd(), remote)?;
    sockopt::set_network_control(socket.as_fd(), remote.is_ipv4())?;
    if let Some(password) = &settings.password {
        sockopt::set_md5_key(socket.as_fd(), settings.remote.prefix(), password.0.as_bytes())?;
    }
    if let Some(local) = settings.local_address {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// Sets what depends on the neighbour, on a socket that will connect or was accepted.
///
/// # Errors
/// The kernel's.
pub(super) fn apply(settings: &NeighborSettings, socket: impl AsFd, remote: SocketAddr) -> io::Result<()> {
    let socket = socket.as_fd();
    socket2::SockRef::from(&socket).set_tcp_nodelay(true)?;
    sockopt::set_ttl(socket, remote.is_ipv4(), settings.distance.ttl(settings.kind()))?;
    if let Some(ttl) = settings.distance.min_ttl() {
        sockopt::set_min_ttl(socket, remote.is_ipv4(), ttl)?;
    }
    Ok(())
}

fn explain_prepare(error: &io::Error, settings: &NeighborSettings) -> String {
    match (error.kind(), settings.local_address) {
        (ErrorKind::AddrNotAvailable, Some(local)) => {
            format!("local_address {local} is not an address of this machine")
        }
        _ => format!("no socket: {error}"),
    }
}

fn explain_connect(error: &io::Error, settings: &NeighborSettings, remote: SocketAddr) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => format!("connection refused by {remote}; check that BGP listens there"),
        ErrorKind::TimedOut => no_answer(settings, remote),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            format!("no route to {}; check this machine's routing table", remote.ip())
        }
        ErrorKind::ConnectionReset => format!("connection reset by {remote}"),
        ErrorKind::PermissionDenied => format!("connecting to {remote} is forbidden by a local firewall rule"),
        _ => format!("cannot connect to {remote}: {error}"),
    }
}

/// What to say about silence. With TCP-MD5 a wrong key and a dead machine look the same.
fn no_answer(settings: &NeighborSettings, remote: SocketAddr) -> String {
    match (&settings.password, settings.distance.min_ttl()) {
        (Some(_), _) => {
            format!("no answer from {remote}; with a password configured, check that both ends have the same")
        }
        (None, Some(_)) => format!(
            "no answer from {remote}; with ttl_security configured, check that the neighbour has it too and is no \
             further away"
        ),
        (None, None) => {
            format!("no answer from {remote}; check the address and that no firewall stands between")
        }
    }
}

/// What to say when an established connection ends.
pub(super) fn explain_loss(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionReset => "connection reset by the peer".to_owned(),
        ErrorKind::BrokenPipe => "connection closed by the peer".to_owned(),
        ErrorKind::TimedOut => "connection timed out (no acknowledgement from the peer)".to_owned(),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "no route to the peer any more".to_owned(),
        _ => format!("connection lost: {error}"),
    }
}
