//! Everything about one neighbour that a session needs. `config` builds it; nothing here changes while the
//! session lives.

use std::time::Duration;

use crate::{
    types::{Asn, Family, Role, RouterId, Timestamp},
    wire::bgp::{capability::OrfMode, update::Rules},
};

/// Which AS a neighbour may have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RemoteAsn {
    /// This one.
    Exact(Asn),
    /// Any, for ranges.
    Any,
    /// One of these, for ranges.
    OneOf(Vec<Asn>),
}

impl RemoteAsn {
    /// Whether a neighbour with `asn` is welcome. AS 0 never is (RFC 7607 §2).
    pub fn accepts(&self, asn: Asn) -> bool {
        asn != Asn(0)
            && match self {
                Self::Exact(expected) => asn == *expected,
                Self::Any => true,
                Self::OneOf(list) => list.contains(&asn),
            }
    }

    /// The one AS it can be; `None` where OPEN decides.
    pub fn known(&self) -> Option<Asn> {
        match self {
            Self::Exact(asn) => Some(*asn),
            Self::Any | Self::OneOf(_) => None,
        }
    }
}

/// What we announce about restarts of our own, and about staying stale for long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RestartOffer {
    /// We come back within this time and want our routes kept meanwhile, in every family (RFC 4724 §3); at most 4095 s.
    /// `None`: we do not ask for it.
    pub restart_time: Option<Duration>,
    /// We know long-lived stale routes (RFC 9494 §3.1), and want ours kept for this long where `restart_time` asks for
    /// that at all. `None`: the capability is not announced. At most 16777215 s.
    pub long_lived: Option<Duration>,
    /// We restarted: until then the first session says so (R bit, RFC 4724 §3).
    pub restarted_until: Option<Timestamp>,
}

/// One neighbour, as far as its session is concerned. Addresses, ports and keys belong to the driver.
#[derive(Clone, Debug)]
pub struct PeerSettings {
    /// Our AS towards this neighbour.
    pub local_asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// Which AS it may have.
    pub remote_asn: RemoteAsn,
    /// Never connect, only be connected to (RFC 4271 §8.1.1, PassiveTcpEstablishment).
    pub passive: bool,
    /// Comes up by itself; false: waits for `Input::Enable`.
    pub enabled: bool,
    /// Collector session: OPEN, KEEPALIVE and NOTIFICATION are all we ever send, and nothing is announced that
    /// would oblige us to more.
    pub monitor_only: bool,
    /// Families to announce, at least one.
    pub families: Vec<Family>,
    /// Families in which we accept several paths per prefix (RFC 7911).
    pub add_path_receive: Vec<Family>,
    /// Families in which we can send several paths per prefix (RFC 7911).
    pub add_path_send: Vec<Family>,
    /// Hold time that we propose; zero: no keepalives; else at least 3 s (RFC 4271 §4.2).
    pub hold_time: Duration,
    /// Smallest hold time that we accept from it; a proposal of zero is not subject to it.
    pub min_hold_time: Duration,
    /// First time between two connection attempts; doubles with each failure in a row.
    pub connect_retry: Duration,
    /// Largest time between two connection attempts.
    pub connect_retry_max: Duration,
    /// Wait this long for its OPEN before sending ours (RFC 4271 §8.1.1, DelayOpen).
    pub delay_open: Option<Duration>,
    /// First time to stay Idle after a session ended in error; doubles while the trouble lasts.
    pub idle_hold: Duration,
    /// Largest time to stay Idle.
    pub idle_hold_max: Duration,
    /// Our role towards it (RFC 9234).
    pub local_role: Option<Role>,
    /// Refuse a neighbour that tells no role (RFC 9234 §4.2, strict mode).
    pub strict_role: bool,
    /// Hostname to tell (draft-walton-bgp-hostname-capability); `None`: not told.
    pub hostname: Option<String>,
    /// Software version to tell (draft-abraitis-bgp-version-capability); `None`: not told.
    pub software_version: Option<String>,
    /// Announce messages up to 65,535 octets (RFC 8654).
    pub extended_message: bool,
    /// Announce that we answer ROUTE-REFRESH (RFC 2918).
    pub route_refresh: bool,
    /// Families of plain prefixes in which we receive or send outbound route filters by address prefixes (RFC 5291).
    pub route_filters: Vec<(Family, OrfMode)>,
    /// Announce begin and end marks of a refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Announce IPv6 next hops for IPv4 unicast (RFC 8950) on IPv4 transport too; on IPv6 transport it always is.
    pub extended_next_hop: bool,
    /// Announce that we understand and send End-of-RIB and keep routes over NOTIFICATIONs: capability 64 with the N bit
    /// (RFC 4724 §3, RFC 8538 §2), without families unless `restart` asks for more. Many speakers send End-of-RIB only
    /// to who says so.
    pub end_of_rib: bool,
    /// What else is announced about restarts; needs `end_of_rib`.
    pub restart: RestartOffer,
    /// After `2/4` or `2/7` from the peer try once more without any capability (RFC 5492 §3).
    pub retry_without_capabilities: bool,
    /// Treat an eBGP route whose AS_PATH does not begin with the peer's AS as an error (RFC 4271 §6.3).
    pub enforce_first_as: bool,
    /// Further rules for reading its UPDATEs; `enforce_first_as` comes before `rules.first_as`.
    pub rules: Rules,
}

impl PeerSettings {
    /// A neighbour with defaults for everything else: active, IPv4 and IPv6 unicast, hold time 90 s.
    pub fn new(local_asn: Asn, router_id: RouterId, remote_asn: RemoteAsn) -> Self {
        Self {
            local_asn,
            router_id,
            remote_asn,
            passive: false,
            enabled: true,
            monitor_only: false,
            families: vec![Family::IPV4_UNICAST, Family::IPV6_UNICAST],
            add_path_receive: Vec::new(),
            add_path_send: Vec::new(),
            hold_time: Duration::from_secs(90),
            min_hold_time: Duration::from_secs(3),
            connect_retry: Duration::from_secs(5),
            connect_retry_max: Duration::from_secs(120),
            delay_open: None,
            idle_hold: Duration::from_secs(1),
            idle_hold_max: Duration::from_secs(120),
            local_role: None,
            strict_role: false,
            hostname: None,
            software_version: None,
            extended_message: true,
            route_refresh: true,
            route_filters: Vec::new(),
            enhanced_refresh: true,
            extended_next_hop: false,
            end_of_rib: true,
            restart: RestartOffer::default(),
            retry_without_capabilities: true,
            enforce_first_as: true,
            rules: Rules::default(),
        }
    }
}
