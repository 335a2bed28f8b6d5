//! Who takes part in the story: the daemon that is shown, and three routers around it. Each is a whole speaker of
//! its own; they meet over TCP on loopback and in no other way.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    path::PathBuf,
    str::FromStr,
};

use tokio::runtime::{Builder, Runtime};

use crate::{
    app::Daemon,
    config::Config,
    types::{Asn, Family, PeerId, Prefix},
    view::{Answer, Command, LocalRoute, NeighborView, Query, Refusal},
    wire::bgp::{
        attribute::{AttrSetBuilder, Origin},
        community::Community,
    },
};

/// A router of the lab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edge {
    /// Sends an IPv4 table with short paths.
    TransitA,
    /// Sends the same table with longer paths, and is told ours.
    TransitB,
    /// Sends an IPv6 table over an IPv6 session.
    Exchange,
}

impl Edge {
    pub(super) const ALL: [Self; 3] = [Self::TransitA, Self::TransitB, Self::Exchange];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TransitA => "transit-a",
            Self::TransitB => "transit-b",
            Self::Exchange => "exchange",
        }
    }

    pub(super) fn asn(self) -> Asn {
        match self {
            Self::TransitA => Asn(64496),
            Self::TransitB => Asn(64497),
            Self::Exchange => Asn(64498),
        }
    }

    /// What it does in the story.
    pub(super) fn part(self) -> &'static str {
        match self {
            Self::TransitA => "sends an IPv4 table",
            Self::TransitB => "sends the same prefixes over longer paths, and is told ours",
            Self::Exchange => "sends an IPv6 table over an IPv6 session",
        }
    }

    fn address(self) -> IpAddr {
        match self {
            Self::TransitA => IpAddr::from([127, 0, 0, 11]),
            Self::TransitB => IpAddr::from([127, 0, 0, 12]),
            Self::Exchange => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        }
    }

    fn family(self) -> Family {
        match self {
            Self::TransitA | Self::TransitB => Family::IPV4_UNICAST,
            Self::Exchange => Family::IPV6_UNICAST,
        }
    }

    fn export(self) -> &'static str {
        if self == Self::TransitB { "accept-all" } else { "reject-all" }
    }

    /// What the daemon is towards it, where that is declared.
    fn role(self) -> &'static str {
        if self == Self::TransitB { "local_role = \"provider\"\n" } else { "" }
    }
}

/// All of them together.
pub(super) struct Lab {
    runtime: Runtime,
    daemon: Daemon,
    api: SocketAddr,
    http: SocketAddr,
    bgp: Vec<SocketAddr>,
    notes: Vec<String>,
    routers: Vec<(Edge, Daemon)>,
    export: Export,
}

/// An exporter's file of validated payloads, in a place of its own that ends with the story.
struct Export(PathBuf);

impl Export {
    /// Writes the one ROA of the story: `prefix`, no longer, by `asn`. The format is rpki-client's.
    fn write(prefix: &str, asn: Asn) -> Result<Self, String> {
        // In containers process ids repeat, and a demo that was killed leaves its file behind.
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = std::env::temp_dir().join(format!("ribwatch-demo-{}-{nanos}-vrps.json", std::process::id()));
        let length = prefix.rsplit('/').next().unwrap_or_default();
        let text = format!(
            "{{ \"roas\": [ {{ \"asn\": {}, \"prefix\": \"{prefix}\", \"maxLength\": {length}, \"ta\": \"demo\" }} ] }}\n",
            asn.0
        );
        let mut options = std::fs::OpenOptions::new();
        // Never through a link or over a file that somebody else put there.
        let file = options.write(true).create_new(true).open(&path);
        let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
        written.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Lab {
    /// Starts the daemon, with one ROA to judge routes by and one prefix to watch, on the default ports, or on free ones
    /// where those are taken.
    pub(super) fn start(roa: (&str, Asn), watched: (&str, Asn)) -> Result<Self, String> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("no runtime can be made: {error}"))?;
        let mut notes = Vec::new();
        let mut port = |wanted: &str, what: &str| free_or_any(wanted, what, &mut notes);
        let api = port("127.0.0.1:50051", "gRPC")?;
        let http = port("127.0.0.1:8179", "HTTP")?;
        let mut listen = vec![port("127.0.0.1:179", "BGP")?];
        match TcpListener::bind("[::1]:0").and_then(|listener| listener.local_addr()) {
            Ok(address) => listen.push(address),
            Err(_) => notes.push("no IPv6 on loopback here: the exchange router stays away".to_owned()),
        }
        let export = Export::write(roa.0, roa.1)?;
        let text = daemon_config(&listen, api, http, &export, watched);
        let config = Config::parse("demo", &text).map_err(|error| error.to_string())?;
        let daemon = Daemon::start(config)?;
        let bgp = daemon.bgp_addresses();
        Ok(Self { runtime, daemon, api, http, bgp, notes, routers: Vec::new(), export })
    }

    pub(super) fn api(&self) -> String {
        self.api.to_string()
    }

    /// ` --api ADDRESS` where the default would not find the daemon.
    pub(super) fn api_option(&self) -> String {
        if self.api.port() == 50051 { String::new() } else { format!(" --api {}", self.api) }
    }

    pub(super) fn http(&self) -> SocketAddr {
        self.http
    }

    pub(super) fn bgp(&self) -> String {
        self.bgp.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
    }

    /// What is not as usual on this machine.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether the router can take part here.
    pub(super) fn has(&self, edge: Edge) -> bool {
        self.listener_for(edge).is_some()
    }

    fn listener_for(&self, edge: Edge) -> Option<SocketAddr> {
        self.bgp.iter().copied().find(|address| address.is_ipv4() == edge.address().is_ipv4())
    }

    /// Starts the router, which connects to the daemon at once.
    pub(super) fn connect(&mut self, edge: Edge) -> Result<(), String> {
        let Some(daemon) = self.listener_for(edge) else { return Ok(()) };
        let config = Config::parse(edge.name(), &router_config(edge, daemon)).map_err(|error| error.to_string())?;
        self.routers.push((edge, Daemon::start(config)?));
        Ok(())
    }

    /// Lets the router originate its table; returns how many routes.
    pub(super) fn announce_table(&self, edge: Edge, v4: u32, v6: u32) -> Result<u64, String> {
        if !self.has(edge) {
            return Ok(0);
        }
        let table: Vec<(Prefix, Vec<u32>)> = match edge {
            Edge::TransitA => (0..v4).map(|n| (prefix_v4(n), vec![64500 + n % 5])).collect(),
            Edge::TransitB => (0..v4).map(|n| (prefix_v4(n), vec![64505, 64500 + n % 5])).collect(),
            Edge::Exchange => (0..v6).map(|n| (prefix_v6(n), vec![65540 + n % 9])).collect(),
        };
        for (prefix, path) in &table {
            self.originate(edge, *prefix, path, None)?;
        }
        Ok(table.len() as u64)
    }

    /// Lets the router announce one prefix more.
    pub(super) fn announce(&self, edge: Edge, prefix: &str, path: &[u32]) -> Result<(), String> {
        let prefix = Prefix::from_str(prefix).map_err(|error| error.to_string())?;
        self.originate(edge, prefix, path, None)
    }

    /// Lets the router announce a prefix that `marked_by` gave to customers only (the Only to Customer attribute).
    pub(super) fn leak(&self, edge: Edge, prefix: &str, path: &[u32], marked_by: Asn) -> Result<(), String> {
        let prefix = Prefix::from_str(prefix).map_err(|error| error.to_string())?;
        self.originate(edge, prefix, path, Some(marked_by))
    }

    /// Lets the router take a prefix back.
    pub(super) fn withdraw(&self, edge: Edge, prefix: &str) -> Result<(), String> {
        let prefix = Prefix::from_str(prefix).map_err(|error| error.to_string())?;
        self.ask(edge, Query::Withdraw { family: edge.family(), nlri: prefix.into() }).map(|_| ())
    }

    fn originate(&self, edge: Edge, prefix: Prefix, path: &[u32], otc: Option<Asn>) -> Result<(), String> {
        let path: Vec<Asn> = path.iter().copied().map(Asn).collect();
        let origin = path.last().map_or(0, |asn| asn.0);
        let mut attrs = AttrSetBuilder::new();
        attrs
            .origin(Origin::Igp)
            .as_path_sequence(&path)
            .communities(&[Community((edge.asn().0 << 16) | (origin & 0xff))]);
        if let Some(asn) = otc {
            attrs.otc(asn);
        }
        let route = LocalRoute::plain(edge.family(), prefix, attrs.finish());
        self.ask(edge, Query::Originate(route)).map(|_| ())
    }

    fn ask(&self, edge: Edge, query: Query) -> Result<Answer, String> {
        let backend = self.router(edge)?.backend();
        self.runtime.block_on(backend.query(query)).map_err(|refusal| said(&refusal))
    }

    fn router(&self, edge: Edge) -> Result<&Daemon, String> {
        let found = self.routers.iter().find(|(name, _)| *name == edge);
        found.map(|(_, daemon)| daemon).ok_or_else(|| format!("{} is not running", edge.name()))
    }

    /// The router ends its session and says why.
    pub(super) fn shut(&self, edge: Edge, text: &str) -> Result<(), String> {
        let peer = self.session_of(edge)?;
        self.command(edge, Command::Disable { peer, text: text.to_owned() })
    }

    /// The router starts its session again.
    pub(super) fn open(&self, edge: Edge) -> Result<(), String> {
        let peer = self.session_of(edge)?;
        self.command(edge, Command::Enable { peer })
    }

    fn session_of(&self, edge: Edge) -> Result<PeerId, String> {
        let neighbors = self.router(edge)?.backend().neighbors();
        neighbors.first().map(|neighbor| neighbor.peer).ok_or_else(|| format!("{} has no session", edge.name()))
    }

    fn command(&self, edge: Edge, command: Command) -> Result<(), String> {
        let backend = self.router(edge)?.backend();
        self.runtime.block_on(backend.command(command)).map_err(|refusal| said(&refusal))
    }

    /// The router as the daemon sees it.
    pub(super) fn neighbor(&self, edge: Edge) -> Option<NeighborView> {
        self.daemon.backend().neighbors().into_iter().find(|neighbor| neighbor.address == edge.address())
    }

    pub(super) fn address(&self, edge: Edge) -> String {
        edge.address().to_string()
    }

    /// Why the daemon's session with it last failed.
    pub(super) fn last_error(&self, edge: Edge) -> String {
        self.neighbor(edge).and_then(|neighbor| neighbor.last_error).unwrap_or_else(|| "nothing was said".to_owned())
    }

    /// Paths in all Adj-RIB-Ins of the daemon.
    pub(super) fn paths(&self) -> u64 {
        self.daemon.backend().summary().tables.iter().map(|table| table.paths).sum()
    }

    /// Routes that the daemon has told the router.
    pub(super) fn advertised(&self, edge: Edge) -> u64 {
        self.neighbor(edge).map_or(0, |neighbor| neighbor.counts.iter().map(|counts| counts.advertised).sum())
    }

    /// Sleeps until Ctrl-C.
    pub(super) fn wait_for_interrupt(&self) {
        let _ = self.runtime.block_on(tokio::signal::ctrl_c());
    }

    /// Ends the routers, then the daemon.
    pub(super) fn stop(self) {
        for (_, router) in self.routers {
            router.stop();
        }
        self.daemon.stop();
        drop(self.export);
    }
}

fn said(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Stopping => "it is stopping".to_owned(),
        refusal => refusal.to_string(),
    }
}

/// The address wanted when it can be had, else any free port beside it, with a note.
fn free_or_any(wanted: &str, what: &str, notes: &mut Vec<String>) -> Result<SocketAddr, String> {
    let wanted: SocketAddr = wanted.parse().map_err(|error| format!("{wanted}: {error}"))?;
    if TcpListener::bind(wanted).is_ok() {
        return Ok(wanted);
    }
    let other = TcpListener::bind((wanted.ip(), 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port for {what} on {}: {error}", wanted.ip()))?;
    notes.push(format!("{what} port {} is taken or not ours to take: {} instead", wanted.port(), other.port()));
    Ok(other)
}

/// `n`th IPv4 prefix: the one that the story follows first, then 10.0.0.0/24 and on.
fn prefix_v4(n: u32) -> Prefix {
    if n == 0 { Prefix::v4(0xcb00_7100, 24) } else { Prefix::v4(0x0a00_0000 + ((n - 1) << 8), 24) }
}

/// `n`th IPv6 prefix inside 2001:db8::/32.
fn prefix_v6(n: u32) -> Prefix {
    Prefix::v6((0x2001_0db8 << 96) | (u128::from(n) << 80), 48)
}

fn daemon_config(
    listen: &[SocketAddr],
    api: SocketAddr,
    http: SocketAddr,
    export: &Export,
    (watched, owner): (&str, Asn),
) -> String {
    use std::fmt::Write as _;
    let listen = listen.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\nlisten = [{listen}]\n\
         [api]\nlisten = \"{api}\"\n[http]\nlisten = \"{http}\"\n\
         [[rpki.cache]]\nname = \"validator\"\nfile = {:?}\n\
         [[policy.policy]]\nname = \"rov\"\n[[policy.policy.statement]]\nname = \"invalid\"\n\
         match = {{ validation = \"invalid\" }}\nverdict = \"reject\"\n\
         [[watch.prefix]]\nprefix = \"{watched}\"\norigins = [{owner}]\n\
         [alert.kind.subprefix-hijack]\nresolve_after = \"1s\"\n[alert.kind.otc]\nresolve_after = \"1s\"\n",
        export.0.display().to_string(),
    );
    for edge in Edge::ALL {
        let _ = write!(
            text,
            "[[neighbor]]\nname = \"{}\"\naddress = \"{}\"\nremote_asn = {}\npassive = true\nfamilies = [\"{}\"]\n\
             import = [\"rov\", \"accept-all\"]\nexport = [\"{}\"]\n{}",
            edge.name(),
            edge.address(),
            edge.asn(),
            edge.family(),
            edge.export(),
            edge.role(),
        );
    }
    text
}

fn router_config(edge: Edge, daemon: SocketAddr) -> String {
    format!(
        "[router]\nasn = {asn}\nrouter_id = \"198.51.100.{host}\"\nlisten = []\nowned = \"any\"\n[api]\nenabled = false\n[http]\nenabled = false\n\
         [[neighbor]]\nname = \"demo\"\naddress = \"{address}\"\nport = {port}\nremote_asn = 64512\n\
         local_address = \"{local}\"\nfamilies = [\"{family}\"]\nimport = [\"accept-all\"]\nexport = [\"accept-all\"]\n",
        asn = edge.asn(),
        host = edge.asn().0 - 64400,
        address = daemon.ip(),
        port = daemon.port(),
        local = edge.address(),
        family = edge.family(),
    )
}
