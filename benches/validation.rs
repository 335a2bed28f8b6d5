//! What RPKI costs: 500,000 VRPs and a RIB of 1,000,000 prefixes x 3 peers. `cargo bench --bench validation` prints each
//! figure beside what it must not exceed, and fails when one does. Times are CPU time of the thread that does the work.
//!
//! Prefixes, lengths and states are spread as in a full table: four fifths IPv4, about half of the routes covered, and a
//! few invalid. Seeded, so that every run sees the same.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use ribwatch::{
    config::Config,
    engine::{Action, BatchProgress, Engine, EngineSettings, Input, PeerSettings},
    policy::Library,
    session::negotiate::Negotiated,
    types::{Asn, Family, FamilySet, PeerId, PeerKind, Prefix, RouterId, Timestamp},
    validation::{PayloadSet, Snapshot, Update, Vrp},
    wire::bgp::{
        MAX_LEN,
        attribute::{AttrSet, AttrSetBuilder, NextHop, Origin},
        batch::UpdateBatch,
        community::Community,
        frame,
        update::{DecodeContext, EncodeContext, UpdateWriter, decode_update},
    },
};

const PREFIXES: u32 = 1_000_000;
const PEERS: u32 = 3;
const VRPS: u32 = 500_000;
/// Prefixes that share an attribute set: a full table has about 230,000 sets.
const SHARING: u32 = 4;
/// Routes and prefixes handled per call of the engine, as the driver does.
const BUDGET: usize = 4096;

/// Numbers that look random and are the same in every run (the multiplier is Knuth's MMIX).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap_or_default()
    }
}

/// Prefix `n` of the table; the sets of `SHARING` neighbours are of one family.
fn prefix(n: u32) -> Prefix {
    let number = n.wrapping_mul(10_368_889) & 0xff_ffff;
    let shorter = number.trailing_zeros().min(8) as u8;
    match family(n) {
        Family::IPV4_UNICAST => Prefix::v4(number << 8, 24 - shorter),
        _ => Prefix::v6(0x2a0 << 116 | u128::from(number) << 92, 36 - shorter),
    }
}

fn family(n: u32) -> Family {
    if (n / SHARING).is_multiple_of(5) { Family::IPV6_UNICAST } else { Family::IPV4_UNICAST }
}

fn origin(n: u32) -> Asn {
    Asn(1 + (n / SHARING).wrapping_mul(2_654_435_761) % 80_000)
}

/// VRPs of half of the prefixes: mostly right, some for another AS, some for the block around.
fn vrps() -> Vec<Vrp> {
    let mut numbers = Numbers(7);
    let vrp = |at: u32| {
        let n = (at * (PREFIXES / VRPS) + numbers.below(PREFIXES / VRPS)) % PREFIXES;
        let (prefix, asn) = (prefix(n), origin(n));
        let asn = if numbers.below(50) == 0 { Asn(asn.0 + 1) } else { asn };
        let longest = if prefix.is_v4() { 24 } else { 36 };
        let max_len = if numbers.below(4) == 0 { longest.max(prefix.len()) } else { prefix.len() };
        Vrp { prefix, max_len, asn }
    };
    (0..VRPS).map(vrp).collect()
}

/// The UPDATEs of a peer, back to back.
fn updates(peer: u32) -> Vec<u8> {
    let mut numbers = Numbers(u64::from(peer));
    let context = EncodeContext { four_octet_as: true, max_len: MAX_LEN, ..EncodeContext::default() };
    let mut writer = UpdateWriter::new(context);
    for first in (0..PREFIXES).step_by(SHARING as usize) {
        let family = family(first);
        let transit = (0..1 + numbers.below(4)).map(|_| Asn(100_000 + numbers.below(80_000)));
        let path: Vec<Asn> = std::iter::once(Asn(64496 + peer)).chain(transit).chain([origin(first)]).collect();
        let communities: Vec<Community> =
            (0..1 + numbers.below(4)).map(|_| Community(numbers.below(u32::MAX))).collect();
        let next_hop = if family == Family::IPV4_UNICAST { "192.0.2.1" } else { "2001:db8::1" };
        let mut builder = AttrSetBuilder::new();
        builder.origin(Origin::Igp).as_path_sequence(&path).communities(&communities);
        let set = builder.next_hop(family, NextHop::new(next_hop.parse().expect("an address"))).finish();
        writer.announce(family, AttrSet::new(&set));
        (first..first + SHARING).for_each(|n| writer.push_prefix(0, prefix(n)));
    }
    writer.take().octets
}

fn library() -> Arc<Library> {
    let text = "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n\
                [[policy.policy]]\nname = \"rov\"\n\
                [[policy.policy.statement]]\nmatch = { validation = \"invalid\" }\nverdict = \"reject\"\n";
    Config::parse("bench.toml", text).unwrap_or_else(|error| panic!("{error}")).policy.library
}

/// An engine and what it was asked to do.
struct Bench {
    engine: Engine,
    actions: Vec<Action>,
    now: Timestamp,
}

impl Bench {
    /// With all peers up. They are sent everything that import takes.
    fn new(import: &[&str]) -> Self {
        let engine = Engine::new(EngineSettings::new(Asn(64512), RouterId(0xc633_6401)));
        let mut bench = Self { engine, actions: Vec::new(), now: Timestamp::from_secs(1_700_000_000) };
        bench.handle(Input::Policies(library()));
        for peer in 0..PEERS {
            let settings = PeerSettings {
                import: import.iter().map(|name| Arc::from(*name)).collect(),
                export: vec!["reject-all".into()],
                ..PeerSettings::new("peer".into())
            };
            let negotiated = Arc::new(negotiated(peer));
            bench.handle(Input::PeerUp { peer: PeerId(peer), settings: Arc::new(settings), negotiated });
        }
        bench
    }

    fn handle(&mut self, input: Input) {
        self.engine.handle(self.now, input, &mut self.actions);
    }

    /// Until nothing is left to do; what it did.
    fn settle(&mut self) -> usize {
        while self.engine.flush(self.now, BUDGET, &mut self.actions) {}
        std::mem::take(&mut self.actions).len()
    }

    /// Reads UPDATEs as a session does, and applies them.
    fn feed(&mut self, peer: u32, octets: &[u8]) {
        let context = DecodeContext { families: FamilySet::ALL, ..DecodeContext::new(PeerKind::External) };
        let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
        let mut rest = octets;
        while !rest.is_empty() {
            batch.clear();
            while batch.octets() < 1 << 16
                && let Ok(Some(found)) = frame(rest, MAX_LEN)
            {
                decode_update(found.message, &context, &mut batch, &mut faults).expect("an UPDATE");
                rest = &rest[found.message.len()..];
            }
            let mut progress = BatchProgress::default();
            while !self.engine.apply(self.now, PeerId(peer), &batch, &mut progress, BUDGET, &mut self.actions) {}
            self.engine.flush(self.now, BUDGET, &mut self.actions);
        }
        self.actions.clear();
    }
}

fn negotiated(peer: u32) -> Negotiated {
    let address = |last: u8, port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), port);
    Negotiated {
        local_asn: Asn(64512),
        local_router_id: RouterId(0xc633_6401),
        peer_asn: Asn(64496 + peer),
        peer_router_id: RouterId(peer + 1),
        kind: PeerKind::External,
        local: address(254, 179),
        link: None,
        remote: address(1 + peer as u8, 50_000),
        hold_time: Duration::from_secs(90),
        keepalive: Duration::from_secs(30),
        families: vec![Family::IPV4_UNICAST, Family::IPV6_UNICAST],
        four_octet_as: true,
        add_path_receive: Vec::new(),
        add_path_send: Vec::new(),
        filters_received: Vec::new(),
        filters_sent: Vec::new(),
        extended_message: false,
        route_refresh: true,
        enhanced_refresh: false,
        extended_next_hop: Vec::new(),
        graceful_restart: None,
        long_lived: None,
        local_role: None,
        hostname: None,
        software: None,
        remote_capabilities: Vec::new(),
    }
}

/// CPU time of this thread so far (Linux: nanoseconds on a CPU).
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number"))
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let before = cpu();
    let done = work();
    (cpu() - before, done)
}

/// Prints a figure; whether it is good.
fn must(what: &str, figure: f64, unit: &str, limit: f64) -> bool {
    let good = figure <= limit;
    println!("{what:<66} {figure:>9.2} {unit:<3} (at most {limit}){}", if good { "" } else { "  TOO MUCH" });
    good
}

fn main() -> ExitCode {
    let feeds: Vec<Vec<u8>> = (0..PEERS).map(updates).collect();
    let vrps = vrps();
    let set = PayloadSet { vrps: vrps.clone(), aspas: Vec::new() };
    let mut good = true;

    // Ingest without and with RPKI, in turns, the best of each: others use the machine, too.
    let ingest = |with: bool| {
        let mut bench = Bench::new(if with { &["rov", "accept-all"] } else { &["accept-all"] });
        if with {
            let snapshot = Arc::new(Snapshot::of(0, &set));
            bench.handle(Input::Rpki(Box::new(Update { snapshot, changed: None })));
            bench.settle();
        }
        let feed = |bench: &mut Bench| (0..).zip(&feeds).for_each(|(peer, octets)| bench.feed(peer, octets));
        timed(|| feed(&mut bench)).0.as_secs_f64()
    };
    let (mut off, mut on) = (f64::MAX, f64::MAX);
    for _ in 0..5 {
        (off, on) = (off.min(ingest(false)), on.min(ingest(true)));
    }
    println!("ingest of {PEERS} x {PREFIXES} routes: {off:.2} s without RPKI, {on:.2} s with");
    good &= must("origin validation and its policy add to ingest", (on / off - 1.0) * 100.0, "%", 10.0);

    // The whole validation of a RIB that has everything but the data.
    let mut bench = Bench::new(&["rov", "accept-all"]);
    (0..).zip(&feeds).for_each(|(peer, octets)| bench.feed(peer, octets));
    bench.settle();
    let (built, snapshot) = timed(|| Arc::new(Snapshot::of(0, &set)));
    let update = Update::between(&Snapshot::default(), Arc::clone(&snapshot));
    let (judged, _) = timed(|| {
        bench.handle(Input::Rpki(Box::new(update)));
        bench.settle()
    });
    println!("table of {VRPS} VRPs built in {:.2} s", built.as_secs_f64());
    good &= must("whole validation, table included", (built + judged).as_secs_f64(), "s", 2.0);
    good &= must("the table's memory", snapshot.vrps.allocated_octets() as f64 / 1e6, "MB", 40.0);

    // A reset that brings the same again: another snapshot, no change.
    let again = Arc::new(Snapshot::of(0, &set));
    let update = Update::between(&snapshot, Arc::clone(&again));
    let (reset, actions) = timed(|| {
        bench.handle(Input::EventsWanted(true));
        bench.handle(Input::Rpki(Box::new(update)));
        bench.settle()
    });
    bench.handle(Input::EventsWanted(false));
    good &= must("a reset without a change: events and messages", actions as f64, "", 0.0);
    println!("and {:.3} ms of the engine", reset.as_secs_f64() * 1e3);

    // One VRP goes, and comes back.
    let mut numbers = Numbers(11);
    let (mut slowest, mut sum, mut in_force) = (Duration::ZERO, Duration::ZERO, again);
    let mut prepared = Duration::ZERO;
    const TIMES: u32 = 20;
    for _ in 0..TIMES {
        let at = numbers.below(VRPS) as usize;
        let mut without = vrps.clone();
        without.swap_remove(at);
        let without = Arc::new(Snapshot::of(0, &PayloadSet { vrps: without, aspas: Vec::new() }));
        for then in [without, Arc::clone(&in_force)] {
            let (before, update) = timed(|| Update::between(&in_force, Arc::clone(&then)));
            prepared += before;
            let began = Instant::now();
            bench.handle(Input::Rpki(Box::new(update)));
            bench.settle();
            let took = began.elapsed();
            (slowest, sum) = (slowest.max(took), sum + took);
            in_force = then;
        }
    }
    let mean = sum / (2 * TIMES);
    println!("one changed VRP is found in {:.1} ms beside the engine", (prepared / (2 * TIMES)).as_secs_f64() * 1e3);
    println!("one changed VRP: slowest of {} {:.3} ms (wall)", 2 * TIMES, slowest.as_secs_f64() * 1e3);
    good &= must("one changed VRP judges its routes again in", mean.as_secs_f64() * 1e3, "ms", 1.0);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
