//! Read models: what a reader may ask and the immutable answers it gets. `engine` fills them, `io` adds the
//! state of sessions, `api`, `web`, `metrics` and `cli` only format them. Nothing here locks the writer.
//!
//! `routes` holds the questions about routes and their answers. `filter` turns the words of a question into a `RouteQuery` and judges what needs the attributes' text (`inside`: what
//! needs an NLRI to be taken apart), `scan` reads a table page by page, `json` holds the field names that the contract
//! fixes, `neighbor_json` those of one neighbour in full, `nlri_json` those of typed NLRI, `explain` asks why a route won, `reload` is what a change of the configuration costs, `what_if` what other RPKI
//! data would change, `coverage` what RPKI data make of given prefixes and origins, `observed` what those are handed who
//! watch every change, `history` what is remembered of it.

pub mod coverage;
pub mod explain;
pub mod filter;
pub mod history;
pub mod inside;
pub mod json;
pub mod neighbor_json;
pub mod nlri_json;
pub mod observed;
pub mod reload;
mod routes;
pub mod rpki;
pub mod scan;
pub mod served;
pub mod sinks;
pub mod what_if;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

pub use self::routes::{
    Candidate, Cursor, Explanation, Lost, Nlri, PrefixMatch, RoutePage, RouteQuery, RouteRow, Table,
};
pub use crate::session::{
    State as SessionState,
    counters::{FaultCount, MessageCounts},
};
use crate::{
    types::{Asn, Family, PeerId, Prefix, RouterId, Timestamp},
    validation::hypothesis::{Changes, Hypothesis},
    wire::bgp::attribute::AttrSet,
};

/// Counts of one family towards one neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FamilyCounts {
    /// Which family.
    pub family: Family,
    /// Paths in Adj-RIB-In.
    pub received: u64,
    /// Paths that import policy accepted.
    pub accepted: u64,
    /// Routes in Adj-RIB-Out.
    pub advertised: u64,
    /// Paths in Adj-RIB-In that are kept over the loss of a session and not confirmed yet (RFC 4724 §4.2).
    pub stale: u64,
    /// Whether End-of-RIB was received (RFC 4724 §2).
    pub end_of_rib: bool,
    /// How often a route was held back because the neighbour has no next hop or no message for it (RFC 4271 §9.2).
    pub withheld: u64,
    /// Paths that were dropped on arrival, since their prefix had all it may have (`rib::paths`).
    pub dropped: u64,
    /// Paths in Adj-RIB-In by the code of their origin's state.
    pub validation: [u64; 4],
    /// The same by the code of their AS path's state.
    pub aspa: [u64; 4],
    /// The filter that the neighbour gave us of what it is sent; `None`: that was not agreed on.
    pub filter: Option<FilterCounts>,
}

/// An outbound route filter of a neighbour (RFC 5291).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FilterCounts {
    /// Nothing is sent before its first request has come.
    pub awaited: bool,
    /// Entries that it has.
    pub entries: u64,
    /// Entries that were refused, since there were too many.
    pub refused: u64,
}

/// Counts of one family in the RIB as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableCounts {
    /// Which family.
    pub family: Family,
    /// Prefixes with at least one path.
    pub prefixes: u64,
    /// Paths in all Adj-RIB-Ins.
    pub paths: u64,
    /// Prefixes with a best route (Loc-RIB).
    pub best: u64,
}

/// Counts per table, family and neighbour; kept incrementally, reading walks nothing.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Per family.
    pub tables: Vec<TableCounts>,
    /// Per neighbour and family.
    pub neighbors: Vec<(PeerId, Vec<FamilyCounts>)>,
    /// Distinct attribute sets held.
    pub attribute_sets: u64,
    /// Octets of attribute sets held.
    pub attribute_octets: u64,
    /// Runs of an AS-path expression's automaton over a path, in import and export policies.
    pub paths_judged: u64,
    /// Times that an earlier run had answered already.
    pub paths_shared: u64,
    /// Sequence number of the last change.
    pub seq: u64,
}

/// A neighbour and its session, everything `ribwatch neighbor X` shows.
#[derive(Clone, Debug)]
pub struct NeighborView {
    /// Handle inside this process.
    pub peer: PeerId,
    /// Remote address.
    pub address: std::net::IpAddr,
    /// Remote port configured or seen.
    pub port: u16,
    /// Name from the configuration.
    pub name: Option<String>,
    /// `range` it was accepted from, for a dynamic neighbour.
    pub range: Option<Prefix>,
    /// Its AS: configured, or learnt from OPEN for a range; `None` before that.
    pub remote_asn: Option<Asn>,
    /// Our AS towards it.
    pub local_asn: Asn,
    /// Its BGP Identifier once OPEN was seen.
    pub router_id: Option<RouterId>,
    /// FSM state.
    pub state: SessionState,
    /// False after `disable`.
    pub enabled: bool,
    /// Collector session: nothing but keepalives is ever sent.
    pub monitor_only: bool,
    /// Never connects by itself.
    pub passive: bool,
    /// Since when established.
    pub established_at: Option<Timestamp>,
    /// Time of the last state change into or out of established.
    pub changed_at: Option<Timestamp>,
    /// Families negotiated, or configured while down.
    pub families: Vec<Family>,
    /// Counts per family.
    pub counts: Vec<FamilyCounts>,
    /// Negotiated hold time; zero before.
    pub hold_time: Duration,
    /// What both OPENs agreed on, in words, one item each.
    pub negotiated: Vec<String>,
    /// Messages received.
    pub received: MessageCounts,
    /// Messages sent.
    pub sent: MessageCounts,
    /// Faults by attribute.
    pub faults: Vec<FaultCount>,
    /// Times the session left established.
    pub flaps: u64,
    /// Why the session last failed or ended, in words.
    pub last_error: Option<String>,
    /// Octets waiting to be written to it.
    pub send_queue: u64,
    /// Import policy names.
    pub import: Vec<String>,
    /// Export policy names.
    pub export: Vec<String>,
}

/// What changed in a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RibEvent {
    /// Number of this change; rises by one with each event.
    pub seq: u64,
    /// When it was applied.
    pub time: Timestamp,
    /// `AdjIn`: a neighbour's path; `Loc`: the best route of a prefix.
    pub table: Table,
    /// The route after the change; for a withdrawal its attributes are empty.
    pub row: RouteRow,
    /// True when the route (Loc: the last best route) is gone.
    pub withdrawn: bool,
    /// True when there was such a route before: an implicit withdraw. Loc: the prefix had a best route.
    pub replaced: bool,
}

/// Changes applied together, in order.
#[derive(Clone, Debug, Default)]
pub struct EventBatch {
    /// The changes; sequence numbers rise without a hole inside a batch and from batch to batch.
    pub events: Vec<RibEvent>,
    /// Attribute sets of the events' rows.
    pub attrs: Vec<u8>,
}

impl EventBatch {
    /// The canonical attributes of `event`; empty for a withdrawal.
    pub fn attrs(&self, event: &RibEvent) -> AttrSet<'_> {
        AttrSet::new(&self.attrs[event.row.attrs.start as usize..event.row.attrs.end as usize])
    }
}

/// A route that this router originates by command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalRoute {
    /// Family: unicast, multicast, labelled unicast, VPN or flow specification.
    pub family: Family,
    /// What is announced.
    pub nlri: Nlri,
    /// Label stack octets of a labelled or VPN route; empty elsewhere.
    pub labels: Box<[u8]>,
    /// Canonical attribute set.
    pub attrs: Vec<u8>,
}

impl LocalRoute {
    /// A route of a plain-prefix family.
    pub fn plain(family: Family, prefix: Prefix, attrs: Vec<u8>) -> Self {
        Self { family, nlri: Nlri::Prefix(prefix), labels: Box::default(), attrs }
    }
}

/// A question to the engine.
#[derive(Clone, Debug)]
pub enum Query {
    /// A page of routes.
    Routes(RouteQuery),
    /// All candidates of a prefix and the decision.
    Explain {
        /// Family of the prefix.
        family: Family,
        /// The prefix, exact.
        prefix: Prefix,
    },
    /// The same of a route of a family without plain prefixes.
    ExplainTyped {
        /// Its family.
        family: Family,
        /// Its key, as in `Nlri::Opaque`.
        key: Box<[u8]>,
    },
    /// Counts.
    Summary,
    /// Originates (replaces) a local route.
    Originate(LocalRoute),
    /// Takes a local route back; answers `Done(false)` when there was none.
    Withdraw {
        /// Family of the route.
        family: Family,
        /// What was announced.
        nlri: Nlri,
    },
    /// A page of local routes, in table order.
    LocalRoutes {
        /// Continue behind this route.
        after: Option<Cursor>,
        /// Stop after this many.
        limit: usize,
    },
    /// A page of the paths that other RPKI data would change.
    WhatIf(what_if::WhatIfQuery),
}

/// What the engine answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To `Query::Routes` and `Query::LocalRoutes`.
    Routes(RoutePage),
    /// To `Query::Explain`.
    Explanation(Explanation),
    /// To `Query::Summary`.
    Summary(Summary),
    /// To a command: whether anything changed.
    Done(bool),
    /// To `Query::WhatIf`.
    WhatIf(what_if::WhatIfPage),
}

/// A command about neighbours.
#[derive(Clone, Debug)]
pub enum Command {
    /// Ends the session and starts it again (`hard`) or asks for the routes again (route refresh, soft).
    Reset {
        /// Which neighbour.
        peer: PeerId,
        /// Whether the session itself ends.
        hard: bool,
        /// Text for the peer (RFC 9003).
        text: String,
    },
    /// Lets the session come up.
    Enable {
        /// Which neighbour.
        peer: PeerId,
    },
    /// Ends the session and keeps it down.
    Disable {
        /// Which neighbour.
        peer: PeerId,
        /// Text for the peer (RFC 9003).
        text: String,
    },
    /// Adds a neighbour; the text is a `[[neighbor]]` table in TOML without its heading.
    Add {
        /// TOML keys of one neighbour.
        toml: String,
    },
    /// Ends the session and forgets the neighbour.
    Remove {
        /// Which neighbour.
        peer: PeerId,
    },
}

/// Why a question or command was not carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Nothing by that name.
    NotFound(String),
    /// The request makes no sense as it stands; the text says what would.
    Invalid(String),
    /// It exists already.
    Exists(String),
    /// Not in this state.
    NotNow(String),
    /// A rule of the configuration keeps it; the text names the rule.
    Forbidden(String),
    /// The daemon is stopping.
    Stopping,
}

/// A boxed future without naming a runtime.
pub type Reply<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send>>;

/// What a subscriber gets.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// Changes, in order.
    Batch(Arc<EventBatch>),
    /// The subscriber was too slow: changes are missing, take a new snapshot.
    Gap,
}

/// A bounded queue of changes.
pub trait EventSource: Send {
    /// The next delivery; `None` when the daemon stops. Dropping the future before it is ready loses nothing.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Delivery>> + Send + '_>>;
}

/// What is seen of prefixes that `[[watch.prefix]]` declares.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WatchedPrefixes {
    /// Each with the number of neighbours that announce it, whether or not import accepts it.
    pub neighbors: Vec<(Prefix, u64)>,
    /// Declared prefixes that are not looked at, since there are too many.
    pub left_out: u64,
}

/// Facts about the running daemon.
#[derive(Clone, Debug)]
pub struct DaemonInfo {
    /// Version of the program.
    pub version: &'static str,
    /// Our AS.
    pub asn: Asn,
    /// Our BGP Identifier.
    pub router_id: RouterId,
    /// When it started.
    pub started_at: Timestamp,
    /// Where it listens for BGP.
    pub listen: Vec<std::net::SocketAddr>,
    /// False in collector mode.
    pub best_path: bool,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound(text)
            | Self::Invalid(text)
            | Self::Exists(text)
            | Self::NotNow(text)
            | Self::Forbidden(text) => f.write_str(text),
            Self::Stopping => f.write_str("the daemon is stopping"),
        }
    }
}

impl std::error::Error for Refusal {}

/// All that `api`, `web` and `metrics` may reach of a running daemon. `app` provides it.
pub trait Backend: Send + Sync + 'static {
    /// Facts about the daemon.
    fn info(&self) -> DaemonInfo;
    /// The clock of the drivers.
    fn now(&self) -> Timestamp;
    /// Whether the configuration is loaded, listeners are bound and the engine answers.
    fn is_ready(&self) -> bool;
    /// Why it is not ready, one sentence each; empty when it is.
    fn not_ready(&self) -> Vec<String> {
        if self.is_ready() { Vec::new() } else { vec!["the daemon is starting".to_owned()] }
    }
    /// All neighbours, by address.
    fn neighbors(&self) -> Vec<NeighborView>;
    /// The addresses of all neighbours; cheaper than `neighbors` where there are thousands.
    fn neighbor_addresses(&self) -> Vec<(PeerId, std::net::IpAddr)> {
        self.neighbors().into_iter().map(|view| (view.peer, view.address)).collect()
    }
    /// Asks the engine.
    fn query(&self, query: Query) -> Reply<Answer>;
    /// Commands the sessions.
    fn command(&self, command: Command) -> Reply<()>;
    /// Reads the configuration file again and goes over to it.
    ///
    /// Refused with `Invalid` when the file has faults, `NotNow` when there is none.
    fn reload(&self, _: reload::ReloadRequest) -> Reply<reload::ReloadReport> {
        Box::pin(async { Err(Refusal::NotNow("this daemon was not started from a file".to_owned())) })
    }
    /// Subscribes to changes from now on.
    fn subscribe(&self) -> Reply<Box<dyn EventSource>>;
    /// The last counts that the engine published; walks nothing and waits for nothing.
    fn summary(&self) -> Arc<Summary>;
    /// Sources of validated payloads; none where none are configured.
    fn rpki(&self) -> rpki::RpkiView;
    /// The state of a prefix and origin, with all that decided it.
    fn check_origin(&self, prefix: Prefix, origin: Asn) -> rpki::OriginCheck;
    /// What only some of these sources say (no names: of all that have data); refused with `Invalid` where there are less
    /// than two.
    fn rpki_differences(&self, _: &[String]) -> Result<rpki::Differences, Refusal> {
        Err(Refusal::Invalid("there are no sources of RPKI data here".to_owned()))
    }
    /// What is in force, and the names of those who say it.
    fn rpki_in_force(&self) -> rpki::InForce {
        rpki::InForce::default()
    }
    /// What the configuration declares to be ours: prefixes and origins. Both empty: nothing is declared.
    fn declared(&self) -> (Vec<Prefix>, Vec<Asn>) {
        (Vec::new(), Vec::new())
    }
    /// What neighbours said of a prefix lately; `None`: nothing is remembered here.
    fn history(&self, _: Family, _: Prefix) -> Option<history::PrefixHistory> {
        None
    }
    /// What readers were served; counted by those who serve them.
    fn served(&self) -> &served::Served;
    /// How the last try to go over to another configuration ended; the start is the first one.
    fn last_reload(&self) -> reload::LastReload {
        reload::LastReload { succeeded: true, in_force_since: self.info().started_at }
    }
    /// What is seen of declared prefixes, as of a look some seconds ago.
    fn watched_prefixes(&self) -> WatchedPrefixes {
        WatchedPrefixes::default()
    }
    /// Who is told of alerts; none where none are configured.
    fn sinks(&self) -> Vec<sinks::SinkView> {
        Vec::new()
    }
    /// What would be in force with these changes; refused with `Invalid` where they cannot be made.
    fn hypothesis(&self, _: &Changes) -> Result<Hypothesis, Refusal> {
        Err(Refusal::NotNow("there are no RPKI data here that could change".to_owned()))
    }
}
