//! What the engine is told about itself and about each neighbour. Plain values with defaults; `config` fills them from
//! the file, and what they mean stands where they are used: import options in `import`, export options in
//! `transform` and `update_group`, retention in `background`.

use std::{sync::Arc, time::Duration};

use crate::{
    rib::Knobs,
    types::{Asn, Family, Prefix, RouterId},
    view::observed::VantageClass,
};

/// What the engine itself is told once.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Our AS; inside a confederation, our member AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// False: collector mode, nothing is selected; everything else works.
    pub best_path: bool,
    /// Our cluster as a route reflector (RFC 4456 §7).
    pub cluster_id: RouterId,
    /// The confederation that we are in (RFC 5065).
    pub confederation: Option<Confederation>,
    /// How best paths are chosen.
    pub decision: Knobs,
    /// What may be originated by command.
    pub owned: Owned,
}

/// `[router] owned`: the address space that routes of our own must lie in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Owned {
    /// No guard.
    Any,
    /// These prefixes and what they cover; none: nothing may be originated.
    Within(Vec<Prefix>),
}

impl Owned {
    /// Whether a route about `prefix` may be originated; one about no prefix in particular is about all of them.
    pub fn allows(&self, prefix: Option<Prefix>) -> bool {
        match self {
            Self::Any => true,
            Self::Within(owned) => prefix.is_some_and(|prefix| owned.iter().any(|owned| owned.covers(&prefix))),
        }
    }
}

impl EngineSettings {
    /// Our AS as others see it: the confederation's where there is one (RFC 5065 §3).
    pub fn asn_outside(&self) -> Asn {
        self.confederation.as_ref().map_or(self.asn, |confederation| confederation.id)
    }

    /// A router with defaults for everything else: best paths are selected, the cluster is named after the router
    /// (RFC 4456 §7), no confederation, no guard over its own routes (the configuration's default has one).
    pub fn new(asn: Asn, router_id: RouterId) -> Self {
        Self {
            asn,
            router_id,
            best_path: true,
            cluster_id: router_id,
            confederation: None,
            decision: Knobs::default(),
            owned: Owned::Any,
        }
    }
}

/// A confederation as its members know it (RFC 5065 §3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Confederation {
    /// AS Confederation Identifier: the AS that others see.
    pub id: Asn,
    /// The other member ASes.
    pub members: Vec<Asn>,
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerSettings {
    /// Name or address, for messages.
    pub name: Arc<str>,
    /// Its configured name, which policies can ask for; `None`: they know it by its address.
    pub called: Option<Arc<str>>,
    /// Its neighbour group, which policies can ask for.
    pub group: Option<Arc<str>>,
    /// Import policy names, first verdict wins; empty on eBGP rejects everything (RFC 8212).
    pub import: Vec<Arc<str>>,
    /// Export policy names, likewise.
    pub export: Vec<Arc<str>>,
    /// Collector session: kept and watched, nothing is ever sent.
    pub monitor_only: bool,
    /// Per family, or for all where the family is `None`.
    pub max_prefix: Vec<(Option<Family>, MaxPrefix)>,
    /// Another AS than our own towards this neighbour.
    pub local_as: Option<LocalAs>,
    /// What happens to its routes before policy.
    pub import_options: ImportOptions,
    /// What happens to ours on the way to it, besides policy.
    pub export_options: ExportOptions,
    /// What happens to its routes when its session is lost.
    pub retention: Retention,
    /// Most entries of an outbound route filter that it may give us in one family (RFC 5291).
    pub filter_entries_max: usize,
    /// Whose view its routes are.
    pub vantage: VantageClass,
}

impl PeerSettings {
    /// A neighbour with defaults for everything else: no policy, no limits.
    pub fn new(name: Arc<str>) -> Self {
        Self {
            name,
            called: None,
            group: None,
            import: Vec::new(),
            export: Vec::new(),
            monitor_only: false,
            max_prefix: Vec::new(),
            local_as: None,
            import_options: ImportOptions::default(),
            export_options: ExportOptions::default(),
            retention: Retention::default(),
            filter_entries_max: FILTER_ENTRIES_MAX,
            vantage: VantageClass::default(),
        }
    }
}

/// Entries of an outbound route filter that are taken unless the configuration says otherwise: more than filters have that
/// people write, and about a megabyte.
pub const FILTER_ENTRIES_MAX: usize = 10_000;

/// How an AS other than our own (`EngineSettings::asn`) appears in paths towards a neighbour that knows us under it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LocalAs {
    /// The AS that the neighbour peers with.
    pub asn: Asn,
    /// Do not put it in front of what comes from the neighbour.
    pub no_prepend: bool,
    /// Leave our real AS out of what the neighbour is sent.
    pub replace_as: bool,
}

/// What happens to a neighbour's routes before policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ImportOptions {
    /// How often our own AS may be in AS_PATH (RFC 4271 §9.1.2 excludes any; a site of a split AS needs some).
    pub allow_own_as: u8,
    /// Weight of its routes: compared before LOCAL_PREF, never leaves this router.
    pub weight: u16,
    /// Whether its flow specifications are held against unicast routes (RFC 8955 §6, RFC 9117); `None`: those of another AS.
    pub flowspec_validation: Option<bool>,
    /// The validation state that its routes carry (RFC 8097) is theirs where our own RPKI data say nothing.
    pub accept_validation_state: bool,
}

/// What next hop a neighbour is given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum NextHopRule {
    /// As the RFCs say: ours on EBGP unless the third-party rule keeps the received one (RFC 4271 §5.1.3), the
    /// received one on IBGP.
    #[default]
    Standard,
    /// Always our own address.
    OwnAddress,
    /// Always the received one.
    Unchanged,
}

/// What becomes of private ASNs (RFC 6996) in AS_PATH.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RemovePrivate {
    /// All of them are left out.
    All,
    /// Each is replaced by our own AS, so that the path keeps its length.
    Replace,
}

/// Which paths of a prefix a neighbour is sent with ADD-PATH (RFC 7911).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum AddPathSelect {
    /// Every eligible path.
    #[default]
    All,
    /// The best so many.
    Best(u8),
    /// The best one of each neighbouring AS.
    PerNeighborAs,
}

/// What happens to our routes on the way to a neighbour, besides policy. Neighbours in one update group have the same.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ExportOptions {
    /// Next hop.
    pub next_hop: NextHopRule,
    /// An IPv6 next hop on the link that it shares with us has the link-local address beside it (RFC 2545 §3).
    pub link_local_next_hop: bool,
    /// It is a client of ours as a route reflector (RFC 4456 §6).
    pub route_reflector_client: bool,
    /// It is a client of ours as a route server (RFC 7947): we are transparent, and it has a best path of its own.
    pub route_server_client: bool,
    /// Private ASNs in the path.
    pub remove_private: Option<RemovePrivate>,
    /// Its own AS in the path is replaced by ours, so that its other sites take the route.
    pub as_override: bool,
    /// What it is sent where ADD-PATH was negotiated.
    pub add_path: AddPathSelect,
    /// Families in which it is sent a default route of ours.
    pub default_originate: Vec<Family>,
    /// Least time between two announcements of changes (MinRouteAdvertisementInterval, RFC 4271 §9.2.1.1); zero: none.
    pub advertisement_interval: Duration,
    /// Everything it is sent carries GRACEFUL_SHUTDOWN (RFC 8326 §4.2): it is to move away from us.
    pub graceful_shutdown: bool,
    /// AIGP is sent to it and taken from it across an AS boundary (RFC 7311 §3.3).
    pub aigp: bool,
    /// Routes that it is sent carry their validation state (RFC 8097).
    pub send_validation_state: bool,
}

/// What happens to a neighbour's routes when its session is lost (RFC 4724, RFC 9494).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Keep them while the neighbour restarts, if it said that it will come back (helper, RFC 4724 §4.2).
    pub helper: bool,
    /// Longest time to keep them, whatever the neighbour's restart time says (RFC 4724 §4.2).
    pub stale_time_max: Duration,
    /// Longest time to keep them as long-lived stale afterwards (RFC 9494 §4.3); zero: not at all.
    pub long_lived_max: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { helper: false, stale_time_max: Duration::from_secs(360), long_lived_max: Duration::ZERO }
    }
}
