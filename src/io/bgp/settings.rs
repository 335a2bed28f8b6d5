//! One neighbour as its driver needs it: whom to connect to and how, around the settings of its session and of
//! the engine. `config` builds it.

use std::{fmt, net::IpAddr, sync::Arc};

use crate::{
    engine,
    session::PeerSettings,
    types::{PeerKind, Prefix, Secret as Password, Timestamp},
    wire::bgp::orf::OrfEntry,
};

/// Whom settings are about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Remote {
    /// One speaker.
    Address(IpAddr),
    /// Any speaker in it that connects to us; the longest range that holds an address wins.
    Range(Prefix),
}

impl Remote {
    /// The addresses that are meant, as a prefix.
    pub fn prefix(&self) -> Prefix {
        match self {
            Self::Address(address) => Prefix::host(*address),
            Self::Range(range) => *range,
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Range(range) => range.fmt(f),
        }
    }
}

/// How far away the neighbour may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distance {
    /// Nothing said: one hop on eBGP, any on iBGP.
    Default,
    /// Packets are sent with this TTL.
    Multihop(u8),
    /// GTSM (RFC 5082): sent with TTL 255, and what took more than this many hops is dropped.
    Security(u8),
}

impl Distance {
    /// The TTL to send with.
    pub(super) fn ttl(self, kind: PeerKind) -> u8 {
        match (self, kind) {
            (Self::Default, PeerKind::External) => 1,
            (Self::Default, PeerKind::Internal) | (Self::Security(_), _) => 255,
            (Self::Multihop(ttl), _) => ttl,
        }
    }

    /// The smallest TTL to accept; `None`: any.
    pub(super) fn min_ttl(self) -> Option<u8> {
        match self {
            // Sent with 255, and each router on the way takes one off: neighbours on one network are one hop.
            Self::Security(hops) => Some(u8::MAX - hops.saturating_sub(1)),
            Self::Default | Self::Multihop(_) => None,
        }
    }
}

/// One neighbour, or one range of them.
#[derive(Clone, Debug)]
pub struct NeighborSettings {
    /// Name from the configuration.
    pub name: Option<String>,
    /// Whom it is about.
    pub remote: Remote,
    /// Port that we connect to.
    pub port: u16,
    /// Our end; `None`: the kernel chooses.
    pub local_address: Option<IpAddr>,
    /// TCP-MD5.
    pub password: Option<Password>,
    /// TTL.
    pub distance: Distance,
    /// How many speakers of a range may be connected at a time.
    pub limit: usize,
    /// What it is told that we want to be sent, where it takes that (RFC 5291); entries of both address families.
    pub route_filter: Arc<[OrfEntry]>,
    /// For its session.
    pub session: Arc<PeerSettings>,
    /// For the engine.
    pub engine: Arc<engine::PeerSettings>,
}

impl NeighborSettings {
    /// How messages call the neighbour at `address`: `neighbor edge-1 (192.0.2.1)`, without a name
    /// `neighbor 192.0.2.1`.
    pub fn label(&self, address: impl fmt::Display) -> String {
        label(self.name.as_deref(), address)
    }

    /// The run before this one lived until `alive_until`, and the neighbour may keep our routes still if it was told
    /// to: its first session says that we restarted (R bit, RFC 4724 §3), if it comes up while it can matter. When that
    /// is over; `None`: it is not told to keep our routes.
    pub fn restarted(&mut self, alive_until: Timestamp) -> Option<Timestamp> {
        let until = alive_until + self.session.restart.restart_time?;
        Arc::make_mut(&mut self.session).restart.restarted_until = Some(until);
        Some(until)
    }

    /// Which side of the AS boundary it stands on, as far as the configuration says.
    pub(super) fn kind(&self) -> PeerKind {
        if self.session.remote_asn.known() == Some(self.session.local_asn) {
            PeerKind::Internal
        } else {
            PeerKind::External
        }
    }
}

/// How messages call a neighbour.
pub fn label(name: Option<&str>, remote: impl fmt::Display) -> String {
    match name {
        Some(name) => format!("neighbor {name} ({remote})"),
        None => format!("neighbor {remote}"),
    }
}
