//! The sections other than `[[neighbor]]`: one struct each, with the defaults and units of every key.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::Spanned;

use super::{
    access::{self, Access},
    alert, decision,
    neighbor::{self, Placed},
    policy::{self, Policies, PolicyNames},
    read::{Faults, Table},
    rpki, sink, value, watch,
};
use crate::{
    alert::Settings as AlertSettings,
    detect,
    engine::{Confederation, Owned},
    io::{
        door::{tls::TlsFiles, unix::SocketFile},
        rpki::RpkiSettings,
    },
    rib::Knobs,
    sink::SinkSettings,
    types::{Asn, RouterId},
};

/// `[router]`: who we are and where we listen for BGP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Router {
    /// `asn`, required.
    pub asn: Asn,
    /// `router_id`, required.
    pub router_id: RouterId,
    /// `listen`; default port 179 of every address. Empty: we only connect.
    pub listen: Vec<SocketAddr>,
    /// `hostname`: told to neighbours (draft-walton-bgp-hostname-capability); default: nothing is told.
    pub hostname: Option<String>,
    /// `cluster_id`: our cluster as a route reflector (RFC 4456 §7); default: the router id.
    pub cluster_id: RouterId,
    /// `[router.confederation]`: the confederation that we are in (RFC 5065); `asn` is then our member AS.
    pub confederation: Option<Confederation>,
    /// `owned`: what may be originated by command; default: nothing.
    pub owned: Owned,
    /// `user`: whom the process goes on as once it is bound, when root starts it; default: nobody else.
    pub user: Option<String>,
}

/// `[api]` or `[http]`: a listener for readers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// `listen`; default 127.0.0.1:50051 for `[api]`, 127.0.0.1:8179 for `[http]`.
    pub listen: SocketAddr,
    /// `enabled`; default true.
    pub enabled: bool,
    /// `tls`; default: none.
    pub tls: Option<TlsFiles>,
    /// `socket` and `socket_mode`, of `[api]`: a Unix socket beside `listen`; default: none.
    pub socket: Option<SocketFile>,
    /// `hosts`, of `[http]`: names that browsers may use while nobody has to show a token, beside those of loopback.
    pub hosts: Vec<String>,
    /// `metrics`, of `[http]`: whether `/metrics` is for everybody; default: it needs the role view.
    pub metrics_open: bool,
}

impl Listener {
    fn on(listen: SocketAddr) -> Self {
        Self { listen, enabled: true, tls: None, socket: None, hosts: Vec::new(), metrics_open: false }
    }
}

/// `[state]`: what survives a restart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// `dir`.
    pub dir: PathBuf,
}

/// `[rib]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rib {
    /// `best_path`; default true. False is collector mode: routes are kept and watched, none is selected.
    pub best_path: bool,
    /// `history`: octets for what neighbours said lately; default 32 MiB, 0: nothing is remembered.
    pub history: u64,
}

/// Octets of `[rib] history` unless said otherwise.
const HISTORY_DEFAULT: u64 = 32 << 20;
/// The most that it may have: more is for a database.
const HISTORY_MAX: u64 = 16 << 30;

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One line of text.
    Text,
    /// One JSON object per line.
    Json,
}

/// `[log]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// `format`; default text.
    pub format: LogFormat,
    /// `level`; default info.
    pub level: tracing::Level,
}

/// `[telemetry]`: traces for a collector. Known to builds with feature `otel`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Telemetry {
    /// `otlp`: where the collector listens for OTLP over gRPC, a URL.
    pub otlp: String,
}

/// Every `[[neighbor_group]]` of a file, as TOML. Never printed: there may be passwords in it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct GroupTexts(pub(super) String);

impl std::fmt::Debug for GroupTexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(groups)")
    }
}

/// The whole file.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// `[router]`.
    pub router: Router,
    /// `[api]`.
    pub api: Listener,
    /// `[http]`.
    pub http: Listener,
    /// `[access]`.
    pub access: Access,
    /// `[state]`; `None`: nothing is kept.
    pub state: Option<State>,
    /// `[rib]`.
    pub rib: Rib,
    /// `[decision]`: how best paths are chosen.
    pub decision: Knobs,
    /// `[log]`.
    pub log: Log,
    /// `[telemetry]`; `None`: nobody is sent traces.
    pub telemetry: Option<Telemetry>,
    /// `[policy]`: what `import` and `export` name, and tests.
    pub policy: Policies,
    /// `[[neighbor]]`, in the order of the file.
    pub neighbors: Vec<neighbor::Neighbor>,
    /// `[[neighbor_group]]`, for neighbours that are added by command.
    pub groups: GroupTexts,
    /// `[rpki]` and `[[rpki.cache]]`.
    pub rpki: RpkiSettings,
    /// `[watch]` and `[detect]`.
    pub detect: detect::Settings,
    /// What was left out of files that are used all the same, one sentence each.
    pub notes: Vec<String>,
    /// `[alert]`.
    pub alert: AlertSettings,
    /// `[[sink]]`: who is told of alerts.
    pub sinks: Vec<SinkSettings>,
}

/// Reads the root table; `None` when a required value is missing or faulty (then noted).
///
/// `base` is the folder of the file: what it names by a relative path is looked for there.
pub(super) fn read_file<'a>(
    root: &'a Spanned<toml::de::DeTable<'a>>,
    base: &Path,
    faults: &'a Faults,
) -> Option<Config> {
    // A missing section is marked at the top of the file, not over all of it.
    let mut file = Table::new("the file", 0..0, root.get_ref(), faults);
    let router = read_router(&mut file);
    let api = read_listener(&mut file, API, base, SocketAddr::from(([127, 0, 0, 1], 50051)));
    let http = read_listener(&mut file, HTTP, base, SocketAddr::from(([127, 0, 0, 1], 8179)));
    let access = access::read(&mut file, base);
    let state = read_state(&mut file);
    let rib = read_rib(&mut file);
    let decision = decision::read(&mut file);
    let log = read_log(&mut file);
    let telemetry = read_telemetry(&mut file);
    let rpki = rpki::read(&mut file, base);
    let own_asn = router.as_ref().map_or(Asn(0), |router| router.asn);
    let watch::Read { settings: detect, notes } = watch::read(&mut file, base, own_asn);
    let alert = alert::read(&mut file);
    let sinks = sink::read(&mut file, router.as_ref());
    let policy = policy::read(&mut file, base);
    let groups = neighbor::Groups::read(&mut file, &policy.names);
    let mut neighbors = Vec::new();
    for table in file.tables("neighbor", "[[neighbor]]") {
        neighbors.extend(neighbor::read(table, &groups, &policy.names));
    }
    let known: Vec<&neighbor::Neighbor> = neighbors.iter().map(|placed| &placed.neighbor).collect();
    let policy = policy.finish(router.as_ref(), &known);
    check_listeners(&file, &api, &http);
    access::check(&mut file, [(API.0, API.1, &api), (HTTP.0, HTTP.1, &http)], &access);
    check_neighbors(&file, router.as_ref(), &neighbors);
    file.finish();
    let neighbors = neighbors.into_iter().map(|placed| placed.neighbor).collect();
    Some(Config {
        router: router?,
        api,
        http,
        access,
        state,
        rib,
        decision,
        log,
        telemetry,
        policy,
        neighbors,
        groups: GroupTexts::default(),
        rpki,
        detect,
        notes,
        alert,
        sinks,
    })
}

/// Reads the keys of one neighbour that stand at the top of a text, with groups that it may name below them, and checks
/// it against `router`.
pub(super) fn read_one_neighbor<'a>(
    root: &'a Spanned<toml::de::DeTable<'a>>,
    router: &Router,
    policies: &PolicyNames,
    faults: &'a Faults,
) -> Option<neighbor::Neighbor> {
    let mut table = Table::new("[[neighbor]]", 0..0, root.get_ref(), faults);
    let groups = neighbor::Groups::read(&mut table, policies);
    let placed = neighbor::read(table, &groups, policies)?;
    check_against_router(&Table::new("[[neighbor]]", 0..0, root.get_ref(), faults), router, &placed);
    Some(placed.neighbor)
}

fn read_router(file: &mut Table<'_>) -> Option<Router> {
    let Some(mut table) = file.table("router", "[router]") else {
        if !file.has("router") {
            let help = "add: [router], asn = 64512 and router_id = \"198.51.100.1\" with your own numbers";
            file.fault(file.span(), "the file lacks the section [router]", help);
        }
        return None;
    };
    let asn = table.required("asn", "asn = 64512", value::asn);
    let router_id = table.required("router_id", "router_id = \"198.51.100.1\"", value::router_id);
    let default = vec![SocketAddr::from(([0, 0, 0, 0], 179)), SocketAddr::from(([0u16; 8], 179))];
    let listen = table.or("listen", default, |v| value::list(v, "[\"0.0.0.0:179\", \"[::]:179\"]", value::socket));
    let hostname = table.opt("hostname", value::label);
    let cluster_id = table.opt("cluster_id", value::router_id);
    let owned = table.or("owned", Owned::Within(Vec::new()), value::owned);
    let user = table.opt("user", value::label);
    let confederation = read_confederation(&mut table, asn);
    table.finish();
    let cluster_id = cluster_id.or(router_id)?;
    Some(Router { asn: asn?, router_id: router_id?, listen, hostname, cluster_id, confederation, owned, user })
}

fn read_confederation(router: &mut Table<'_>, asn: Option<Asn>) -> Option<Confederation> {
    let mut table = router.table("confederation", "[router.confederation]")?;
    let id = table.required("id", "id = 64512", value::asn);
    let members = table.or("members", Vec::new(), |v| value::list(v, "[65001, 65002]", value::asn));
    if id.is_some() && id == asn {
        let what = "`id` is the same as `asn`, which is our member AS inside the confederation";
        table.fault(table.span_of("id"), what, "give the AS that others see as `id` (RFC 5065 §3)");
    }
    table.finish();
    Some(Confederation { id: id?, members })
}

/// Key and heading of the two listeners for readers.
const API: (&str, &str) = ("api", "[api]");
const HTTP: (&str, &str) = ("http", "[http]");

fn read_listener(
    file: &mut Table<'_>,
    section: (&'static str, &'static str),
    base: &Path,
    default: SocketAddr,
) -> Listener {
    let mut listener = Listener::on(default);
    let Some(mut table) = file.table(section.0, section.1) else { return listener };
    listener.listen = table.or("listen", default, value::socket);
    listener.enabled = table.or("enabled", true, value::boolean);
    listener.tls = access::read_tls(&mut table, base);
    if section == API {
        listener.socket = access::read_socket(&mut table, base);
    } else {
        listener.hosts = access::read_hosts(&mut table);
        listener.metrics_open = table.or("metrics", false, |v| value::word(v, &[("open", true), ("view", false)]));
    }
    table.finish();
    listener
}

fn read_state(file: &mut Table<'_>) -> Option<State> {
    let mut table = file.table("state", "[state]")?;
    let dir = table.required("dir", "dir = \"/var/lib/ribwatch\"", value::text);
    table.finish();
    Some(State { dir: dir?.into() })
}

fn read_rib(file: &mut Table<'_>) -> Rib {
    let Some(mut table) = file.table("rib", "[rib]") else { return Rib { best_path: true, history: HISTORY_DEFAULT } };
    let best_path = table.or("best_path", true, value::boolean);
    let history = table.or("history", HISTORY_DEFAULT, |v| value::octets(v, HISTORY_MAX));
    table.finish();
    Rib { best_path, history }
}

fn read_log(file: &mut Table<'_>) -> Log {
    use tracing::Level;
    let mut log = Log { format: LogFormat::Text, level: Level::INFO };
    let Some(mut table) = file.table("log", "[log]") else { return log };
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    log.format = table.or("format", log.format, |v| value::word(v, &formats));
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    log.level = table.or("level", log.level, |v| value::word(v, &levels));
    table.finish();
    log
}

fn read_telemetry(file: &mut Table<'_>) -> Option<Telemetry> {
    let mut table = file.table("telemetry", "[telemetry]")?;
    if cfg!(not(feature = "otel")) {
        let what = "this ribwatch was built without OpenTelemetry";
        table.fault(table.span(), what, "build it with `cargo build --release --features otel`, or remove the section");
    }
    let example = "otlp = \"http://127.0.0.1:4317\"";
    let otlp = table.required("otlp", example, |v| {
        let text = value::text(v)?;
        let (scheme, authority) = text.split_once("://").unwrap_or_default();
        let known = scheme == "http" && !authority.is_empty() && !authority.contains(['/', '@', ' ']);
        if known { Ok(text) } else { Err(value::misfit(v, "the address of a collector", "\"http://127.0.0.1:4317\"")) }
    });
    table.finish();
    Some(Telemetry { otlp: otlp? })
}

fn check_listeners(file: &Table<'_>, api: &Listener, http: &Listener) {
    if api.enabled && http.enabled && api.listen == http.listen && api.listen.port() != 0 {
        let what = format!("[api] and [http] both listen on {}", api.listen);
        let section = if file.has("http") { "http" } else { "api" };
        file.fault(file.span_of(section), what, "give each a port of its own, or set enabled = false in one");
    }
}

/// What only shows when neighbours are seen beside each other and beside `[router]`.
fn check_neighbors(file: &Table<'_>, router: Option<&Router>, neighbors: &[Placed]) {
    for (index, placed) in neighbors.iter().enumerate() {
        let neighbor = &placed.neighbor;
        let earlier = neighbors.get(..index).unwrap_or_default();
        if earlier.iter().any(|other| other.neighbor.remote == neighbor.remote) {
            let what =
                format!("a second [[neighbor]] has the {} {}", neighbor::remote_key(&neighbor.remote), neighbor.remote);
            file.fault(placed.remote_span.clone(), what, "keep one of them");
        }
        if neighbor.name.is_some() && earlier.iter().any(|other| other.neighbor.name == neighbor.name) {
            let what = format!("a second [[neighbor]] has the name {:?}", neighbor.name.as_deref().unwrap_or_default());
            file.fault(placed.name_span.clone(), what, "give each neighbour a name of its own");
        }
        if let Some(router) = router {
            check_against_router(file, router, placed);
        }
    }
}

fn check_against_router(file: &Table<'_>, router: &Router, placed: &Placed) {
    let neighbor = &placed.neighbor;
    if router.listen.is_empty() && neighbor.passive {
        let what = format!("{} waits to be connected to, but [router] listen is empty", neighbor.label());
        let help = "add listen = [\"0.0.0.0:179\", \"[::]:179\"] to [router], or set passive = false";
        file.fault(placed.passive_span.clone(), what, help);
    }
    if neighbor.local_role.is_some() && neighbor.remote_asn.known() == Some(router.asn) {
        let what = format!("{} is in our own AS, and roles are between ASes (RFC 9234 §4.1)", neighbor.label());
        file.fault(placed.role_span.clone(), what, "remove `local_role`");
    }
}

/// The longest hold time that an OPEN can carry (RFC 4271 §4.2).
pub(super) const HOLD_TIME_MAX: Duration = Duration::from_secs(65535);
