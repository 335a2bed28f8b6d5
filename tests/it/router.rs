//! Daemons over loopback for the stories that need real sockets and threads, and a speaker of few words for what no
//! honest router does. Nothing here sleeps: every wait is for a state, and only the overall deadline is a time.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use ribwatch::{
    app::Daemon,
    config::Config,
    types::{Asn, Family, PeerId, Prefix, RouterId},
    view::{
        Answer, Backend, Command, LocalRoute, NeighborView, Query, Refusal, RoutePage, RouteQuery, SessionState, Table,
    },
    wire::bgp::{
        KEEPALIVE, MAX_EXTENDED_LEN, MessageType,
        attribute::{AttrSetBuilder, NextHop, Origin},
        capability::Capability,
        frame,
        open::Open,
    },
};

/// Far more than anything here takes, so that only a hang ends a test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon, and a runtime to ask it from.
pub struct Router {
    daemon: Option<Daemon>,
    runtime: tokio::runtime::Runtime,
}

impl Router {
    /// Starts a router of AS `asn`: `listen` on loopback address, `neighbors` as in the configuration file.
    pub fn start(asn: u32, listen: &str, neighbors: &str) -> Self {
        let daemon = Daemon::start(config(asn, listen, neighbors)).expect("starts");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { daemon: Some(daemon), runtime }
    }

    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("runs")
    }

    pub fn backend(&self) -> Arc<dyn Backend> {
        self.daemon().backend()
    }

    /// The port that the kernel chose.
    pub fn port(&self) -> u16 {
        self.daemon().bgp_addresses()[0].port()
    }

    /// Waits until the neighbours are as `wanted` says.
    pub fn await_neighbors(&self, what: &str, wanted: impl Fn(&[NeighborView]) -> bool) {
        let backend = self.backend();
        let mut changes = self.daemon().session_changes();
        let waited = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, async {
                while !wanted(&backend.neighbors()) {
                    changes.changed().await.expect("the daemon runs");
                }
            })
            .await
        });
        assert!(waited.is_ok(), "never came: {what}; neighbours are {:#?}", backend.neighbors());
    }

    pub fn await_state(&self, address: &str, state: SessionState) {
        let address: IpAddr = address.parse().expect("an address");
        self.await_neighbors(&format!("{address} {}", state.name()), |views| {
            views.iter().any(|view| view.address == address && view.state == state)
        });
    }

    pub fn neighbor(&self, address: &str) -> NeighborView {
        let address: IpAddr = address.parse().expect("an address");
        let views = self.backend().neighbors();
        views.into_iter().find(|view| view.address == address).expect("the neighbour is on the list")
    }

    pub fn peer(&self, address: &str) -> PeerId {
        self.neighbor(address).peer
    }

    pub fn command(&self, command: Command) -> Result<(), Refusal> {
        self.runtime.block_on(self.backend().command(command))
    }

    pub fn query(&self, query: Query) -> Answer {
        self.runtime.block_on(self.backend().query(query)).expect("answers")
    }

    pub fn originate(&self, prefix: &str) {
        let mut attrs = AttrSetBuilder::new();
        attrs
            .origin(Origin::Igp)
            .as_path_sequence(&[])
            .next_hop(Family::IPV4_UNICAST, NextHop::new(Ipv4Addr::new(192, 0, 2, 1).into()));
        let route = LocalRoute::plain(Family::IPV4_UNICAST, prefix.parse().expect("a prefix"), attrs.finish());
        assert!(matches!(self.query(Query::Originate(route)), Answer::Done(true)));
    }

    pub fn loc_rib(&self) -> Vec<Prefix> {
        prefixes(&self.routes())
    }

    pub fn routes(&self) -> RoutePage {
        let query = RouteQuery { table: Table::Loc, limit: 10_000, scan_limit: 100_000, ..RouteQuery::default() };
        match self.query(Query::Routes(query)) {
            Answer::Routes(page) => page,
            other => panic!("not routes: {other:?}"),
        }
    }

    /// Waits until the Loc-RIB holds exactly `wanted`, in order.
    pub fn await_routes(&self, wanted: &[&str]) {
        let wanted: Vec<Prefix> = wanted.iter().map(|prefix| prefix.parse().expect("a prefix")).collect();
        let mut events = self.runtime.block_on(self.backend().subscribe()).expect("subscribes");
        while self.loc_rib() != wanted {
            let next = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, events.next()).await });
            assert!(next.is_ok(), "never came: {wanted:?}; Loc-RIB is {:?}", self.loc_rib());
        }
    }

    /// Waits until the published counts say that the Adj-RIB-Ins hold `wanted` paths. Nothing is asked of the
    /// engine meanwhile: a question would wake it.
    pub fn await_paths(&self, wanted: u64) {
        let backend = self.backend();
        let paths = || backend.summary().tables.iter().map(|table| table.paths).sum::<u64>();
        let deadline = std::time::Instant::now() + PATIENCE;
        while paths() != wanted {
            assert!(std::time::Instant::now() < deadline, "never came: {wanted} paths; there are {}", paths());
            std::thread::yield_now();
        }
    }

    pub fn await_routes_count(&self, wanted: usize) {
        let mut events = self.runtime.block_on(self.backend().subscribe()).expect("subscribes");
        while self.loc_rib().len() != wanted {
            let next = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, events.next()).await });
            assert!(next.is_ok(), "never came: {wanted} routes; there are {}", self.loc_rib().len());
        }
    }

    pub fn stop(mut self) {
        self.daemon.take().expect("runs").stop();
    }
}

pub fn prefixes(page: &RoutePage) -> Vec<Prefix> {
    let of = |row: &ribwatch::view::RouteRow| match row.nlri {
        ribwatch::view::Nlri::Prefix(prefix) => prefix,
        ref other => panic!("not a prefix: {other:?}"),
    };
    page.rows.iter().map(of).collect()
}

pub fn config(asn: u32, listen: &str, neighbors: &str) -> Config {
    let listen = if listen.is_empty() { String::new() } else { format!("\"{listen}\"") };
    let text = format!(
        "[router]\nasn = {asn}\nrouter_id = \"10.0.{}.{}\"\nlisten = [{listen}]\nowned = \"any\"\n\
         [api]\nenabled = false\n[http]\nenabled = false\n{neighbors}",
        asn >> 8 & 0xff,
        asn & 0xff,
    );
    Config::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// Everything between two routers that accept everything.
pub const OPEN_POLICY: &str = "import = [\"accept-all\"]\nexport = [\"accept-all\"]\nconnect_retry = \"1s\"\n";

/// Two routers: 64496 listens on 127.0.0.1, 64497 connects from 127.0.0.2. `keys` go to both.
pub fn pair(keys: &str) -> (Router, Router) {
    let a = Router::start(
        64496,
        "127.0.0.1:0",
        &format!("[[neighbor]]\naddress = \"127.0.0.2\"\nremote_asn = 64497\npassive = true\n{OPEN_POLICY}{keys}"),
    );
    let b = Router::start(64497, "", &towards(a.port(), &format!("{OPEN_POLICY}{keys}")));
    (a, b)
}

/// A `[[neighbor]]` that connects from 127.0.0.2 to AS 64496 on `port`.
pub fn towards(port: u16, keys: &str) -> String {
    format!(
        "[[neighbor]]\naddress = \"127.0.0.1\"\nport = {port}\nremote_asn = 64496\nlocal_address = \"127.0.0.2\"\n{keys}"
    )
}

/// A speaker of few words, for what no honest router does.
pub struct Raw {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    /// Connects from `from` and sends an OPEN of AS 64497 for IPv4 unicast.
    pub fn connect(from: &str, port: u16, hold_time_secs: u16) -> Self {
        let mut raw = Self::dial(from, port);
        raw.open(64497, hold_time_secs, vec![Capability::MultiProtocol(Family::IPV4_UNICAST)]);
        raw
    }

    /// Connects from `from` and says nothing yet.
    pub fn dial(from: &str, port: u16) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        let local: SocketAddr = format!("{from}:0").parse().expect("an address");
        socket.bind(&local.into()).expect("binds");
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("connects");
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { stream, buffer: Vec::new() }
    }

    /// Sends an OPEN with these capabilities and that of four-octet AS numbers; its own address is the identifier.
    pub fn open(&mut self, asn: u32, hold_time_secs: u16, mut capabilities: Vec<Capability>) {
        capabilities.push(Capability::FourOctetAs(Asn(asn)));
        let SocketAddr::V4(local) = self.stream.local_addr().expect("connected") else { panic!("IPv4 is dialled") };
        let id = RouterId(u32::from(*local.ip()));
        self.send(&Open::new(Asn(asn), hold_time_secs, id, capabilities).encode());
    }

    pub fn send(&mut self, message: &[u8]) {
        self.stream.write_all(message).expect("the other end reads");
    }

    /// The next message; `None` when the other end closed.
    pub fn next(&mut self) -> Option<(MessageType, Vec<u8>)> {
        loop {
            if let Some(found) = frame(&self.buffer, MAX_EXTENDED_LEN).expect("whole messages") {
                let (kind, message) = (found.kind, found.message.to_vec());
                self.buffer.drain(..message.len());
                return Some((kind, message));
            }
            let mut part = [0; 4096];
            match self.stream.read(&mut part) {
                Ok(0) | Err(_) => return None,
                Ok(len) => self.buffer.extend(&part[..len]),
            }
        }
    }

    /// Skips to the next message of a type.
    pub fn next_of(&mut self, wanted: MessageType) -> Vec<u8> {
        while let Some((kind, message)) = self.next() {
            if kind == wanted {
                return message;
            }
        }
        panic!("closed before a {}", wanted.name());
    }

    /// Completes the handshake.
    pub fn establish(&mut self) {
        self.next_of(MessageType::Open);
        self.send(&KEEPALIVE);
        self.next_of(MessageType::Keepalive);
    }
}
