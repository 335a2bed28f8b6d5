//! The owner of the RIB: applies import, decision and export in order. One `Engine` per shard of the prefix
//! space, each the sole owner of its slice; deterministic, no clock, no I/O.
//!
//! The vocabulary between the engine and its driver stands here; `import` files what arrives, `export` turns
//! changes into UPDATEs, `query` answers readers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    session::negotiate::Negotiated,
    types::{Asn, Family, PeerId, RouterId},
    view::EventBatch,
    wire::bgp::{RouteRefresh, notification::Notification},
};

/// What the engine itself is told once.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// False: collector mode, nothing is selected; everything else works.
    pub best_path: bool,
}

/// Limits on what one neighbour may send (RFC 4486 §4, subcode 1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MaxPrefix {
    /// Paths of one family that end the session when exceeded.
    pub limit: u64,
    /// Share of the limit, in percent, at which a warning is given once.
    pub warning_percent: u8,
    /// Start the session again after this time; `None`: it stays down until enabled.
    pub restart_after: Option<Duration>,
}

/// One neighbour as the engine needs it, given when its session comes up.
#[derive(Clone, Debug)]
pub struct PeerSettings {
    /// Name or address, for messages.
    pub name: Arc<str>,
    /// Import policy names, first verdict wins; empty on eBGP rejects everything (RFC 8212).
    pub import: Vec<Arc<str>>,
    /// Export policy names, likewise.
    pub export: Vec<Arc<str>>,
    /// Collector session: kept and watched, nothing is ever sent.
    pub monitor_only: bool,
    /// Per family, or for all where the family is `None`.
    pub max_prefix: Vec<(Option<Family>, MaxPrefix)>,
    /// Set our own address as next hop even where the RFC would keep it (iBGP).
    pub next_hop_self: bool,
}

/// What happens to the engine. Batches of UPDATEs have a call of their own, `Engine::apply`.
#[derive(Debug)]
pub enum Input {
    /// A session is established; its routes follow.
    PeerUp {
        /// Which neighbour.
        peer: PeerId,
        /// Its settings.
        settings: Arc<PeerSettings>,
        /// What both OPENs agreed on.
        negotiated: Arc<Negotiated>,
    },
    /// The session ended; its routes go, in the background.
    PeerDown {
        /// Which neighbour.
        peer: PeerId,
    },
    /// The neighbour sent ROUTE-REFRESH (RFC 2918, RFC 7313).
    Refresh {
        /// Which neighbour.
        peer: PeerId,
        /// The message.
        refresh: RouteRefresh,
    },
    /// The neighbour's outbound queue has room again.
    Writable {
        /// Which neighbour.
        peer: PeerId,
    },
    /// Whether anybody listens to events; without a listener none are made.
    EventsWanted(bool),
}

/// What the driver must do, in order.
#[derive(Debug)]
pub enum Action {
    /// Write these whole messages to the neighbour, behind what is queued already.
    Send {
        /// To whom.
        peer: PeerId,
        /// Whole BGP messages.
        messages: Bytes,
        /// How many messages there are.
        count: u32,
    },
    /// End the neighbour's session with this NOTIFICATION.
    Notify {
        /// Whose session.
        peer: PeerId,
        /// What to send.
        notification: Notification,
        /// When the session may come back; `None`: when an operator enables it.
        restart_after: Option<Duration>,
    },
    /// Changes for those who listen.
    Events(Arc<EventBatch>),
    /// One line for the log, about a neighbour.
    Warn {
        /// About whom.
        peer: PeerId,
        /// What happened.
        text: String,
    },
}
