//! The daemon as a whole, over loopback: real sockets, real threads, ports that the kernel chooses. Nothing here
//! sleeps: every wait is for a state, and only the overall deadline is a time.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use ribwatch::{
    app::Daemon,
    config::{Change, Config},
    types::{Asn, Family, PeerId, Prefix, RouterId},
    view::{
        Answer, Backend, Command, LocalRoute, NeighborView, Query, Refusal, RoutePage, RouteQuery, SessionState, Table,
    },
    wire::bgp::{
        KEEPALIVE, MAX_EXTENDED_LEN, MessageType,
        attribute::{AttrSetBuilder, NextHop, Origin},
        capability::Capability,
        frame,
        notification::Notification,
        open::Open,
    },
};

/// Far more than anything here takes, so that only a hang ends a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon, and a runtime to ask it from.
struct Router {
    daemon: Option<Daemon>,
    runtime: tokio::runtime::Runtime,
}

impl Router {
    /// Starts a router of AS `asn`: `listen` on loopback address, `neighbors` as in the configuration file.
    fn start(asn: u32, listen: &str, neighbors: &str) -> Self {
        let daemon = Daemon::start(config(asn, listen, neighbors)).expect("starts");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { daemon: Some(daemon), runtime }
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("runs")
    }

    fn backend(&self) -> Arc<dyn Backend> {
        self.daemon().backend()
    }

    /// The port that the kernel chose.
    fn port(&self) -> u16 {
        self.daemon().bgp_addresses()[0].port()
    }

    /// Waits until the neighbours are as `wanted` says.
    fn await_neighbors(&self, what: &str, wanted: impl Fn(&[NeighborView]) -> bool) {
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

    fn await_state(&self, address: &str, state: SessionState) {
        let address: IpAddr = address.parse().expect("an address");
        self.await_neighbors(&format!("{address} {}", state.name()), |views| {
            views.iter().any(|view| view.address == address && view.state == state)
        });
    }

    fn neighbor(&self, address: &str) -> NeighborView {
        let address: IpAddr = address.parse().expect("an address");
        let views = self.backend().neighbors();
        views.into_iter().find(|view| view.address == address).expect("the neighbour is on the list")
    }

    fn peer(&self, address: &str) -> PeerId {
        self.neighbor(address).peer
    }

    fn command(&self, command: Command) -> Result<(), Refusal> {
        self.runtime.block_on(self.backend().command(command))
    }

    fn query(&self, query: Query) -> Answer {
        self.runtime.block_on(self.backend().query(query)).expect("answers")
    }

    fn originate(&self, prefix: &str) {
        let mut attrs = AttrSetBuilder::new();
        attrs
            .origin(Origin::Igp)
            .as_path_sequence(&[])
            .next_hop(Family::IPV4_UNICAST, NextHop::new(Ipv4Addr::new(192, 0, 2, 1).into()));
        let route = LocalRoute {
            prefix: prefix.parse().expect("a prefix"),
            family: Family::IPV4_UNICAST,
            attrs: attrs.finish(),
        };
        assert!(matches!(self.query(Query::Originate(route)), Answer::Done(true)));
    }

    fn loc_rib(&self) -> Vec<Prefix> {
        prefixes(&self.routes())
    }

    fn routes(&self) -> RoutePage {
        let query = RouteQuery { table: Table::Loc, limit: 10_000, scan_limit: 100_000, ..RouteQuery::default() };
        match self.query(Query::Routes(query)) {
            Answer::Routes(page) => page,
            other => panic!("not routes: {other:?}"),
        }
    }

    /// Waits until the Loc-RIB holds exactly `wanted`, in order.
    fn await_routes(&self, wanted: &[&str]) {
        let wanted: Vec<Prefix> = wanted.iter().map(|prefix| prefix.parse().expect("a prefix")).collect();
        let mut events = self.runtime.block_on(self.backend().subscribe()).expect("subscribes");
        while self.loc_rib() != wanted {
            let next = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, events.next()).await });
            assert!(next.is_ok(), "never came: {wanted:?}; Loc-RIB is {:?}", self.loc_rib());
        }
    }

    /// Waits until the published counts say that the Adj-RIB-Ins hold `wanted` paths. Nothing is asked of the
    /// engine meanwhile: a question would wake it.
    fn await_paths(&self, wanted: u64) {
        let backend = self.backend();
        let paths = || backend.summary().tables.iter().map(|table| table.paths).sum::<u64>();
        let deadline = std::time::Instant::now() + PATIENCE;
        while paths() != wanted {
            assert!(std::time::Instant::now() < deadline, "never came: {wanted} paths; there are {}", paths());
            std::thread::yield_now();
        }
    }

    fn await_routes_count(&self, wanted: usize) {
        let mut events = self.runtime.block_on(self.backend().subscribe()).expect("subscribes");
        while self.loc_rib().len() != wanted {
            let next = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, events.next()).await });
            assert!(next.is_ok(), "never came: {wanted} routes; there are {}", self.loc_rib().len());
        }
    }

    fn stop(mut self) {
        self.daemon.take().expect("runs").stop();
    }
}

fn prefixes(page: &RoutePage) -> Vec<Prefix> {
    let of = |row: &ribwatch::view::RouteRow| match row.nlri {
        ribwatch::view::Nlri::Prefix(prefix) => prefix,
        ref other => panic!("not a prefix: {other:?}"),
    };
    page.rows.iter().map(of).collect()
}

fn config(asn: u32, listen: &str, neighbors: &str) -> Config {
    let listen = if listen.is_empty() { String::new() } else { format!("\"{listen}\"") };
    let text = format!(
        "[router]\nasn = {asn}\nrouter_id = \"10.0.{}.{}\"\nlisten = [{listen}]\n\
         [api]\nenabled = false\n[http]\nenabled = false\n{neighbors}",
        asn >> 8 & 0xff,
        asn & 0xff,
    );
    Config::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// Everything between two routers that accept everything.
const OPEN_POLICY: &str = "import = [\"accept-all\"]\nexport = [\"accept-all\"]\nconnect_retry = \"1s\"\n";

/// Two routers: 64496 listens on 127.0.0.1, 64497 connects from 127.0.0.2. `keys` go to both.
fn pair(keys: &str) -> (Router, Router) {
    let a = Router::start(
        64496,
        "127.0.0.1:0",
        &format!("[[neighbor]]\naddress = \"127.0.0.2\"\nremote_asn = 64497\npassive = true\n{OPEN_POLICY}{keys}"),
    );
    let b = Router::start(64497, "", &towards(a.port(), &format!("{OPEN_POLICY}{keys}")));
    (a, b)
}

/// A `[[neighbor]]` that connects from 127.0.0.2 to AS 64496 on `port`.
fn towards(port: u16, keys: &str) -> String {
    format!(
        "[[neighbor]]\naddress = \"127.0.0.1\"\nport = {port}\nremote_asn = 64496\nlocal_address = \"127.0.0.2\"\n{keys}"
    )
}

#[test]
fn two_routers_exchange_routes_lose_them_with_the_session_and_find_them_again() {
    let (a, b) = pair("");
    a.originate("198.51.100.0/24");
    b.originate("203.0.113.0/24");
    let both = ["198.51.100.0/24", "203.0.113.0/24"];
    a.await_routes(&both);
    b.await_routes(&both);
    assert_eq!(b.neighbor("127.0.0.1").remote_asn, Some(Asn(64496)));

    a.command(Command::Disable { peer: a.peer("127.0.0.2"), text: "maintenance until 04:00".into() }).unwrap();
    b.await_neighbors("the words of the neighbour", |views| {
        let error = views[0].last_error.clone().unwrap_or_default();
        error.contains("Administrative Shutdown") && error.contains("maintenance until 04:00")
    });
    a.await_routes(&["198.51.100.0/24"]);
    b.await_routes(&["203.0.113.0/24"]);
    assert!(!a.neighbor("127.0.0.2").enabled);

    a.command(Command::Enable { peer: a.peer("127.0.0.2") }).unwrap();
    a.await_routes(&both);
    b.await_routes(&both);
    assert_eq!(b.neighbor("127.0.0.1").flaps, 1);
}

/// What it cost: `/metrics` and `neighbor` went on showing thousands of paths of a session long gone.
#[test]
fn the_counts_follow_a_purge_that_goes_on_after_the_last_message() {
    let (left, right) = pair("");
    left.await_state("127.0.0.2", SessionState::Established);
    for n in 0..5_000_u32 {
        left.originate(&Prefix::v4(0x0a00_0000 + (n << 8), 24).to_string());
    }
    right.await_paths(5_000);
    let peer = left.peer("127.0.0.2");
    left.command(Command::Disable { peer, text: String::new() }).expect("is there");
    right.await_paths(0);
    left.stop();
    right.stop();
}

#[test]
fn a_router_that_is_killed_and_started_again_is_met_again() {
    let (a, b) = pair("");
    a.originate("198.51.100.0/24");
    b.await_routes(&["198.51.100.0/24"]);
    let port = a.port();
    b.stop();
    a.await_neighbors("the goodbye", |views| {
        views[0].state != SessionState::Established
            && views[0].last_error.as_deref().is_some_and(|error| error.contains("Administrative Shutdown (6/2)"))
    });
    let again = Router::start(64497, "", &towards(port, OPEN_POLICY));
    again.await_routes(&["198.51.100.0/24"]);
}

#[test]
fn commands_reset_refresh_add_and_remove_neighbours_at_run_time() {
    let (a, b) = pair("");
    a.originate("198.51.100.0/24");
    b.await_routes(&["198.51.100.0/24"]);
    let peer = b.peer("127.0.0.1");

    b.command(Command::Reset { peer, hard: false, text: String::new() }).unwrap();
    assert_eq!(b.neighbor("127.0.0.1").flaps, 0);

    b.command(Command::Reset { peer, hard: true, text: "new filters".into() }).unwrap();
    a.await_neighbors("the reset", |views| {
        views[0].flaps == 1 && views[0].last_error.as_deref().is_some_and(|error| error.contains("new filters"))
    });
    // What was asked before the session ended has arrived before its end: one request for each family.
    assert_eq!(a.neighbor("127.0.0.2").received.refresh, 2);
    b.await_routes(&["198.51.100.0/24"]);

    b.command(Command::Remove { peer }).unwrap();
    b.await_neighbors("nobody left", |views| views.is_empty());
    b.await_routes(&[]);
    a.await_neighbors("peer de-configured", |views| {
        views[0].last_error.as_deref().is_some_and(|error| error.contains("(6/3)"))
    });
    assert!(matches!(b.command(Command::Enable { peer }), Err(Refusal::NotFound(_))));

    let toml = towards(a.port(), OPEN_POLICY).replace("[[neighbor]]\n", "");
    b.command(Command::Add { toml: toml.clone() }).unwrap();
    b.await_routes(&["198.51.100.0/24"]);
    assert!(matches!(b.command(Command::Add { toml }), Err(Refusal::Exists(_))));
    let faulty = b.command(Command::Add { toml: "address = \"127.0.0.9\"\n".into() });
    assert!(matches!(faulty, Err(Refusal::Invalid(text)) if text.contains("lacks `remote_asn`")));
}

#[test]
fn a_session_with_password_and_ttl_security_comes_up_and_a_wrong_password_is_told_apart_from_nothing() {
    let (a, b) = pair("password = \"s3cret\"\nttl_security = 1\n");
    a.await_state("127.0.0.2", SessionState::Established);
    b.await_state("127.0.0.1", SessionState::Established);

    let wrong = format!("{OPEN_POLICY}password = \"guess\"\nttl_security = 1\n");
    b.daemon().reload(config(64497, "", &towards(a.port(), &wrong)));
    b.await_neighbors("no answer", |views| {
        views.iter().any(|view| {
            view.last_error.as_deref().is_some_and(|error| {
                error.contains("no answer from 127.0.0.1") && error.contains("check that both ends have the same")
            })
        })
    });
}

#[test]
fn passwords_and_ttl_security_work_over_ipv6_and_for_ranges() {
    let keys = format!("{OPEN_POLICY}password = \"s3cret\"\nttl_security = true\n");
    let a = Router::start(
        64496,
        "[::1]:0",
        &format!("[[neighbor]]\naddress = \"::1\"\nremote_asn = 64497\npassive = true\n{keys}"),
    );
    let to_a = format!("[[neighbor]]\naddress = \"::1\"\nport = {}\nremote_asn = 64496\n{keys}", a.port());
    let b = Router::start(64497, "", &to_a);
    b.await_state("::1", SessionState::Established);

    let hub = Router::start(
        64496,
        "127.0.0.1:0",
        "[[neighbor]]\nrange = \"127.0.1.0/24\"\nremote_asn = [64497, 64498]\npassword = \"s3cret\"\n",
    );
    let spoke = Router::start(
        64497,
        "",
        &towards(hub.port(), &keys.replace("ttl_security = true\n", "")).replace("127.0.0.2", "127.0.1.7"),
    );
    spoke.await_state("127.0.0.1", SessionState::Established);
    hub.await_state("127.0.1.7", SessionState::Established);
}

#[test]
fn a_reload_resets_what_changed_and_leaves_the_rest_alone() {
    let hub = Router::start(
        64496,
        "127.0.0.1:0",
        &["127.0.0.2", "127.0.0.3", "127.0.0.4"]
            .map(|address| {
                format!("[[neighbor]]\naddress = \"{address}\"\nremote_asn = 64497\npassive = true\n{OPEN_POLICY}")
            })
            .concat(),
    );
    let spokes = ["127.0.0.2", "127.0.0.3", "127.0.0.4"].map(|address| {
        let keys = towards(hub.port(), OPEN_POLICY).replace("127.0.0.2", address);
        Router::start(64497, "", &keys)
    });
    for address in ["127.0.0.2", "127.0.0.3", "127.0.0.4"] {
        hub.await_state(address, SessionState::Established);
    }
    let since = hub.neighbor("127.0.0.2").established_at;

    let entry = |address: &str, keys: &str| {
        format!("[[neighbor]]\naddress = \"{address}\"\nremote_asn = 64497\npassive = true\n{OPEN_POLICY}{keys}")
    };
    let new =
        [entry("127.0.0.2", "name = \"kept\"\n"), entry("127.0.0.3", "hold_time = \"30s\"\n"), entry("127.0.0.5", "")]
            .concat();
    let changes = hub.daemon().reload(config(64496, "127.0.0.1:0", &new));
    let kinds: Vec<&str> = changes
        .iter()
        .map(|change| match change {
            Change::Added(_) => "added",
            Change::Removed(_) => "removed",
            Change::Changed { resets: true, .. } => "reset",
            Change::Changed { resets: false, .. } => "kept",
            Change::NeedsRestart(_) => "restart",
        })
        .collect();
    assert_eq!(kinds, ["removed", "kept", "reset", "added"]);

    // The one that changed says so to its peer (Cease/Other Configuration Change) and comes back.
    spokes[1].await_neighbors("the reset", |views| {
        views[0].last_error.as_deref().is_some_and(|error| error.contains("(6/6)"))
    });
    hub.await_neighbors("it is back with the new hold time", |views| {
        views.iter().any(|view| view.address.to_string() == "127.0.0.3" && view.hold_time == Duration::from_secs(30))
    });
    spokes[2].await_neighbors("the removal", |views| {
        views[0].last_error.as_deref().is_some_and(|error| error.contains("(6/3)"))
    });
    hub.await_neighbors("the removed one is gone", |views| {
        views.iter().all(|view| view.address.to_string() != "127.0.0.4")
    });
    let kept = hub.neighbor("127.0.0.2");
    assert_eq!((kept.established_at, kept.flaps, kept.name.as_deref()), (since, 0, Some("kept")));
}

/// A speaker of few words, for what no honest router does.
struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    /// Connects from `from` and sends an OPEN of AS 64497.
    fn connect(from: &str, port: u16, hold_time_secs: u16) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        let local: SocketAddr = format!("{from}:0").parse().expect("an address");
        socket.bind(&local.into()).expect("binds");
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("connects");
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut raw = Self { stream, buffer: Vec::new() };
        let capabilities = vec![Capability::MultiProtocol(Family::IPV4_UNICAST), Capability::FourOctetAs(Asn(64497))];
        let id: u32 = local.ip().to_string().parse::<Ipv4Addr>().expect("IPv4").into();
        raw.send(&Open::new(Asn(64497), hold_time_secs, RouterId(id), capabilities).encode());
        raw
    }

    fn send(&mut self, message: &[u8]) {
        self.stream.write_all(message).expect("the other end reads");
    }

    /// The next message; `None` when the other end closed.
    fn next(&mut self) -> Option<(MessageType, Vec<u8>)> {
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
    fn next_of(&mut self, wanted: MessageType) -> Vec<u8> {
        while let Some((kind, message)) = self.next() {
            if kind == wanted {
                return message;
            }
        }
        panic!("closed before a {}", wanted.name());
    }

    /// Completes the handshake.
    fn establish(&mut self) {
        self.next_of(MessageType::Open);
        self.send(&KEEPALIVE);
        self.next_of(MessageType::Keepalive);
    }
}

#[test]
fn a_range_takes_whom_it_holds_up_to_its_limit_and_forgets_who_leaves() {
    let hub = Router::start(
        64496,
        "127.0.0.1:0",
        "[[neighbor]]\nname = \"lab\"\nrange = \"127.0.1.0/24\"\nremote_asn = \"any\"\nlimit = 2\n\
         monitor_only = true\n",
    );
    let mut first = Raw::connect("127.0.1.1", hub.port(), 90);
    first.establish();
    let mut second = Raw::connect("127.0.1.2", hub.port(), 90);
    second.establish();
    hub.await_state("127.0.1.1", SessionState::Established);
    hub.await_state("127.0.1.2", SessionState::Established);
    let view = hub.neighbor("127.0.1.1");
    assert_eq!((view.name.as_deref(), view.remote_asn), (Some("lab"), Some(Asn(64497))));
    assert_eq!(view.range.map(|range| range.to_string()).as_deref(), Some("127.0.1.0/24"));

    // RFC 4486 §4: Connection Rejected, to the third of two and to a stranger.
    for address in ["127.0.1.3", "127.0.2.1"] {
        let mut refused = Raw::connect(address, hub.port(), 90);
        let notification = Notification::decode(&refused.next_of(MessageType::Notification)).unwrap();
        assert_eq!((notification.code, notification.subcode), (6, 5), "{address}");
    }

    drop(first);
    hub.await_neighbors("who left is forgotten", |views| views.len() == 1);
    let mut third = Raw::connect("127.0.1.3", hub.port(), 90);
    third.establish();
    hub.await_neighbors("there is room again", |views| {
        views.len() == 2 && views.iter().all(|view| view.state == SessionState::Established)
    });
}

#[test]
fn the_end_of_the_daemon_is_told_to_every_neighbour() {
    let hub = Router::start(64496, "127.0.0.1:0", "[[neighbor]]\nrange = \"127.0.1.0/24\"\nremote_asn = 64497\n");
    let mut peers: Vec<Raw> = (1..=5).map(|n| Raw::connect(&format!("127.0.1.{n}"), hub.port(), 90)).collect();
    peers.iter_mut().for_each(Raw::establish);
    hub.await_neighbors("five sessions", |views| {
        views.iter().filter(|view| view.state == SessionState::Established).count() == 5
    });
    let told = std::thread::spawn(move || {
        peers
            .iter_mut()
            .map(|peer| Notification::decode(&peer.next_of(MessageType::Notification)).unwrap())
            .map(|notification| (notification.code, notification.subcode))
            .collect::<Vec<_>>()
    });
    hub.stop();
    assert_eq!(told.join().unwrap(), vec![(6, 2); 5]);
}

/// An UPDATE of 900 prefixes of their own, with a path of its own.
fn blast_message(number: u32) -> Vec<u8> {
    update(number, 900)
}

/// An UPDATE of `count` prefixes; no two numbers below 18,000 have one in common.
fn update(number: u32, count: u32) -> Vec<u8> {
    let mut attributes = AttrSetBuilder::new();
    attributes
        .origin(Origin::Igp)
        .as_path_sequence(&[Asn(64497), Asn(65536 + number)])
        .next_hop(Family::IPV4_UNICAST, NextHop::new(Ipv4Addr::new(192, 0, 2, 1).into()));
    let attributes = attributes.finish();
    let mut nlri = Vec::new();
    for n in 0..count {
        let [_, a, b, c] = (number * 900 + n).to_be_bytes();
        nlri.extend([24, a.max(1), b, c]);
    }
    let len = 19 + 2 + 2 + attributes.len() + nlri.len();
    let mut message = vec![0xff; 16];
    message.extend((len as u16).to_be_bytes());
    message.extend([2, 0, 0]);
    message.extend((attributes.len() as u16).to_be_bytes());
    message.extend(attributes);
    message.extend(nlri);
    message
}

#[test]
fn too_many_prefixes_end_the_session_and_the_restart_time_brings_it_back() {
    let hub = Router::start(
        64496,
        "127.0.0.1:0",
        "[[neighbor]]\naddress = \"127.0.1.1\"\nremote_asn = 64497\npassive = true\nimport = [\"accept-all\"]\n\
         max_prefix = { limit = 10, restart = \"1s\" }\n",
    );
    let mut greedy = Raw::connect("127.0.1.1", hub.port(), 90);
    greedy.establish();
    greedy.send(&update(1, 11));
    let notification = Notification::decode(&greedy.next_of(MessageType::Notification)).unwrap();
    // RFC 4486 §4: Maximum Number of Prefixes Reached.
    assert_eq!((notification.code, notification.subcode), (6, 1));
    hub.await_routes(&[]);

    // Refused until the time is over, then welcome: 10 is the limit, and allowed.
    let mut modest = loop {
        let mut again = Raw::connect("127.0.1.1", hub.port(), 90);
        if again.next().is_some_and(|(kind, _)| kind == MessageType::Open) {
            break again;
        }
    };
    modest.send(&KEEPALIVE);
    modest.next_of(MessageType::Keepalive);
    modest.send(&update(1, 10));
    hub.await_routes_count(10);
}

#[test]
fn a_peer_that_blasts_is_slowed_down_and_the_keepalives_of_another_go_on() {
    let hub = Router::start(
        64496,
        "127.0.0.1:0",
        "[[neighbor]]\nrange = \"127.0.1.0/24\"\nremote_asn = 64497\nimport = [\"accept-all\"]\n",
    );
    let mut quiet = Raw::connect("127.0.1.1", hub.port(), 3);
    quiet.establish();
    let mut loud = Raw::connect("127.0.1.2", hub.port(), 90);
    loud.establish();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let blasting = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut sent = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                loud.send(&blast_message(sent % 64));
                sent += 1;
            }
            (loud, sent)
        }
    });
    // Three hold times long: with a hold time of three seconds a keepalive comes every second.
    for _ in 0..9 {
        quiet.next_of(MessageType::Keepalive);
        quiet.send(&KEEPALIVE);
        // A question is answered while the table churns.
        assert!(matches!(hub.query(Query::Summary), Answer::Summary(_)));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let (_loud, sent) = blasting.join().unwrap();
    assert!(sent > 64, "the loud one was heard");
    for view in hub.backend().neighbors() {
        assert_eq!((view.state, view.flaps), (SessionState::Established, 0), "{}", view.address);
    }
}
