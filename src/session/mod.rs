//! One remote, sans-IO: input and time go in, actions come out. This file is the vocabulary between a session
//! and whoever drives it (`io::bgp` in the daemon, `tests/it/net.rs` in virtual time).
//!
//! `bgp_peer` is one neighbour (RFC 4271 §8, §6.8), `bgp_fsm` one of its connections, `negotiate` what two
//! OPENs agree on (`filters` about outbound route filters), `counters` what is counted. No socket, no clock, no table lives here: a session never sees
//! a route, it decodes UPDATEs into the batch that it is lent and says so.
//!
//! How to drive a [`BgpPeer`](bgp_peer::BgpPeer):
//!
//! 1. `handle(now, Input::Start, …)` once, then one call per thing that happens.
//! 2. Perform the actions in order. Lend an empty batch, warm from earlier use: what was decoded into it comes
//!    back inside [`Action::Updates`], in its place among the other actions, more than once per call where a
//!    ROUTE-REFRESH stands between UPDATEs.
//! 3. Sleep until `next_deadline()`, then `handle(now, Input::TimersDue, …)`. Read what the socket holds before giving `TimersDue`, or a busy driver looks like a silent
//!    peer; while reading is paused because the engine's queue is full, do not give `TimersDue` at all for
//!    longer than the pause.
//! 4. A connection exists for the session from `Connected` until its `Closed` or until the session said
//!    [`Action::Close`] or [`Action::Abort`]; whatever is said about it later is ignored.

pub(crate) mod backoff;
mod bgp_fsm;
pub mod bgp_peer;
mod collision;
pub mod counters;
mod filters;
pub mod negotiate;
mod settings;
#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

pub use settings::{PeerSettings, RemoteAsn, RestartOffer};

use self::negotiate::Negotiated;
use crate::{
    types::Family,
    wire::bgp::{
        RouteRefresh,
        batch::UpdateBatch,
        notification::Notification,
        orf::{OrfChange, OrfRefresh},
    },
};

/// Time that a driver gives a closing connection to write what [`Action::Send`] left before it drops it.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// The six states of RFC 4271 §8.2.2, in the order of progress.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum State {
    /// Not trying: disabled, or held back for a while after an error.
    #[default]
    Idle,
    /// Connecting.
    Connect,
    /// Waiting to be connected to, or to try again.
    Active,
    /// OPEN sent.
    OpenSent,
    /// OPENs exchanged, waiting for KEEPALIVE.
    OpenConfirm,
    /// Routes flow.
    Established,
}

impl State {
    /// The word of the contract: `idle connect active open_sent open_confirm established`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Active => "active",
            Self::OpenSent => "open_sent",
            Self::OpenConfirm => "open_confirm",
            Self::Established => "established",
        }
    }
}

/// Who opened a TCP connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// The neighbour did.
    Inbound,
    /// We did.
    Outbound,
}

/// One TCP connection of one neighbour, never reused: what is said about a connection that lost a collision
/// can not be mistaken for the one that won.
///
/// The session numbers outbound connections (even), the driver inbound ones (odd).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

impl ConnId {
    /// The `n`th outbound connection of a neighbour.
    pub fn outbound(n: u64) -> Self {
        Self(n << 1)
    }

    /// The `n`th accepted connection; the driver counts, per neighbour or for all together.
    pub fn inbound(n: u64) -> Self {
        Self(n << 1 | 1)
    }
}

/// What happens to a neighbour.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Begin (RFC 4271 §8.1.2, events 1 to 7 as the settings say). Without effect while disabled.
    Start,
    /// A TCP connection is up: an attempt of ours (the id of [`Action::Connect`]) or one we accepted.
    Connected {
        /// The connection.
        conn: ConnId,
        /// Who opened it.
        direction: Direction,
        /// Our end.
        local: SocketAddr,
        /// The neighbour's end.
        remote: SocketAddr,
    },
    /// An attempt of ours failed.
    ConnectFailed {
        /// The id of [`Action::Connect`].
        conn: ConnId,
        /// In words for a person on call, such as `connection refused by 192.0.2.1:179`.
        reason: String,
    },
    /// Octets arrived, any number, cut anywhere.
    Received {
        /// On which connection.
        conn: ConnId,
        /// The octets.
        bytes: &'a [u8],
    },
    /// The neighbour closed the connection, or it broke. Give what was read before this first.
    Closed {
        /// Which connection.
        conn: ConnId,
        /// In words, such as `connection closed by the peer` or `connection reset by the peer`.
        reason: String,
    },
    /// The clock reached `next_deadline`.
    TimersDue,
    /// Progress of writing, for the send hold timer (RFC 9687): after octets left for the socket, and when
    /// octets were queued for a connection that had nothing queued.
    Wrote {
        /// On which connection.
        conn: ConnId,
        /// How many octets left just now; 0 when some were only queued.
        octets: usize,
        /// Octets that still wait.
        pending: usize,
    },
    /// Operator: let the session come up. Also ends the wait after a max-prefix stop.
    Enable,
    /// Operator: end the session (Cease/Administrative Shutdown) and keep it down.
    Disable {
        /// Text for the peer (RFC 9003), may be empty.
        text: String,
    },
    /// Operator: end the session (Cease/Administrative Reset) and start it again at once.
    Reset {
        /// Text for the peer (RFC 9003), may be empty.
        text: String,
        /// Also ask the peer not to keep our routes over it (Hard Reset, RFC 8538 §3), where it understands.
        hard: bool,
    },
    /// Ask the neighbour for all routes of a family again (RFC 2918).
    SendRefresh {
        /// Which routes.
        family: Family,
    },
    /// Do this to the filter that the neighbour keeps of what it sends us (RFC 5291), and ask for the routes.
    SendFilter {
        /// Of which routes.
        family: Family,
        /// In order; without any the routes are asked for.
        changes: &'a [OrfChange],
    },
    /// The engine ends the session, for instance for too many prefixes (RFC 4486 §4).
    Notify {
        /// What the neighbour is told.
        notification: Notification,
        /// Start again after this time; `None`: when an operator enables or resets it.
        restart_after: Option<Duration>,
    },
    /// The process ends: nothing starts again. The neighbour is told (Cease/Administrative Shutdown), unless it is to
    /// keep our routes until we are back (RFC 4724): then the connection is just closed.
    Shutdown,
}

/// What the driver must do, in order.
#[derive(Clone, Debug)]
pub enum Action {
    /// Open a TCP connection; answer with `Connected` or `ConnectFailed`.
    Connect {
        /// Its id from now on.
        conn: ConnId,
    },
    /// Write these whole messages before any table data that still waits (never inside a message of it).
    Send {
        /// On which connection.
        conn: ConnId,
        /// Whole BGP messages.
        bytes: Vec<u8>,
    },
    /// Close, once what [`Action::Send`] gave is written or [`FLUSH_TIMEOUT`] is over; table data that still
    /// waits is dropped. For an attempt that is still connecting: give it up. To let a NOTIFICATION arrive,
    /// shut the sending side down first and read for a moment what is still in flight.
    Close {
        /// Which connection.
        conn: ConnId,
    },
    /// Drop the connection now, whatever waits (RFC 9687: the peer does not read).
    Abort {
        /// Which connection.
        conn: ConnId,
    },
    /// The session is up; UPDATEs may follow in this very call.
    Established {
        /// On this connection.
        conn: ConnId,
        /// What both OPENs agreed on.
        negotiated: Arc<Negotiated>,
    },
    /// The session that was up has ended: exactly one for each `Established`.
    Down {
        /// Why.
        reason: DownReason,
        /// The neighbour may come back and its routes be kept until then (RFC 4724 §4.2, RFC 8538 §4).
        may_return: bool,
    },
    /// UPDATEs were received; what they hold happened here in the order. Never empty. The octets are those of
    /// the lent batch, which is left empty and without buffers.
    Updates(UpdateBatch),
    /// The neighbour sent ROUTE-REFRESH: a request, or the marks of RFC 7313.
    Refresh(RouteRefresh),
    /// The neighbour sent ROUTE-REFRESH about the filter of what it wants to be sent (RFC 5291), as was agreed.
    Filter(OrfRefresh),
    /// The state of the neighbour changed: that of its most advanced connection.
    StateChanged {
        /// Before.
        from: State,
        /// Now.
        to: State,
    },
    /// One line for the log.
    Warn(String),
}

/// Why a connection or a session ended. `Display` says it to a person on call; it becomes `last_error`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DownReason {
    /// The neighbour sent a NOTIFICATION.
    NotificationReceived(Notification),
    /// The neighbour sent a NOTIFICATION too short to be one, which is never answered (RFC 4271 §6.4); what is wrong.
    MalformedNotification(String),
    /// We found a fault in what the neighbour sent, and told it.
    Fault {
        /// What it was told.
        notification: Notification,
        /// The fault in words, such as `peer AS is 64499, expected 64496`.
        what: String,
    },
    /// We ended it by decision of the operator or the engine.
    Ours(Notification),
    /// No message for this long (RFC 4271 §6.5).
    HoldTimerExpired(Duration),
    /// The neighbour did not read for this long (RFC 9687).
    SendHoldTimerExpired(Duration),
    /// TCP connection closed or broken, in words.
    ConnectionLost(String),
    /// A connection attempt failed, in words.
    ConnectFailed(String),
    /// Another connection with the neighbour was kept (RFC 4271 §6.8).
    Collision,
    /// A new connection of a neighbour that restarts gracefully took its place (RFC 4724 §5).
    Replaced,
    /// We end, and are to come back: the neighbour keeps our routes (RFC 4724).
    Restarting,
}

impl DownReason {
    /// Whether a session that ended so is one that the neighbour may take up again, so that its routes can be kept.
    /// `notification`: the N bit was exchanged (RFC 8538 §2).
    ///
    /// *What the RFCs ask.* RFC 4724 §4: a lost TCP connection keeps routes, a NOTIFICATION sent or received does not.
    /// RFC 8538 §4: with the N bit it does, whoever sent it, and so does the hold timer; a Hard Reset never does.
    ///
    /// *What we do.* The same, but for sessions that we end by decision: what the neighbour was is over then, whatever
    /// it thinks of us.
    pub fn may_return(&self, notification: bool) -> bool {
        match self {
            Self::ConnectionLost(_) | Self::Replaced => true,
            Self::NotificationReceived(received) => notification && !received.is_hard_reset(),
            Self::HoldTimerExpired(_)
            | Self::SendHoldTimerExpired(_)
            | Self::Fault { .. }
            | Self::MalformedNotification(_) => notification,
            Self::Ours(_) | Self::ConnectFailed(_) | Self::Collision | Self::Restarting => false,
        }
    }
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotificationReceived(notification) => write!(f, "peer sent {notification}"),
            Self::MalformedNotification(what) => write!(f, "malformed NOTIFICATION: {what}"),
            Self::Fault { what, .. } => f.write_str(what),
            Self::Ours(notification) => write!(f, "we sent {notification}"),
            Self::HoldTimerExpired(time) => write!(f, "hold timer expired ({}s without a message)", time.as_secs()),
            Self::SendHoldTimerExpired(time) => {
                write!(f, "send hold timer expired (peer read nothing for {}s)", time.as_secs())
            }
            Self::ConnectionLost(text) | Self::ConnectFailed(text) => f.write_str(text),
            Self::Collision => f.write_str("connection collision, another connection with this peer was kept"),
            Self::Replaced => f.write_str("peer restarted and opened a new connection"),
            Self::Restarting => f.write_str("we end and are to come back; the peer keeps our routes"),
        }
    }
}
