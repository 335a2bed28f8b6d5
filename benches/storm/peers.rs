//! The weather of `benches/storm/run`: many BGP peers in one process, each with one session to either of two daemons.
//! Both daemons are told the same, in the same order: random announcements and withdrawals, and now and then a
//! session is killed, on both sides at once. At the end all sessions are up again and everything was said.
//!
//! Stands alone as `table_feed` does, and shares its wire code. It listens, on one loopback address for each peer and one
//! port for each daemon; a session that comes up is told the peer's whole table first. Facts leave as one JSON object
//! per line:
//!
//! ```text
//! (start)   -> {"event":"ready", ...}     listening
//!           -> {"event":"up"}             every session of both daemons was up once: the storm begins
//!           -> {"event":"lost", ...}      a daemon ended a session on its own
//!           -> {"event":"calm", ...}      the time is over, every session is up, every octet was taken
//! compare   -> {"event":"told", ...}      whether both daemons told every peer the same
//! (end of input: ends)
//! ```

#[path = "../table_feed/random.rs"]
#[allow(dead_code, reason = "shared with table_feed; the storm uses a part of it")]
mod random;
#[path = "../table_feed/wire.rs"]
#[allow(dead_code, reason = "shared with table_feed; the storm uses a part of it")]
mod wire;

use std::collections::HashMap;
use std::io::{BufRead, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use random::Random;
use wire::Key;

const DAEMONS: usize = 2;
/// The AS of both daemons: paths with it are loops.
const DAEMON_ASN: u32 = 64500;
/// Attribute sets that a peer draws from.
const SETS: usize = 64;
/// Octets that may wait for a daemon before everybody waits for it.
const PENDING_MAX: usize = 4 << 20;
const TICK: Duration = Duration::from_millis(20);

struct Options {
    peers: usize,
    prefixes: usize,
    seed: u64,
    seconds: u64,
    /// Announcements and withdrawals per second over all peers.
    rate: usize,
    /// Mean time between two kills of the same peer, in seconds.
    kill_every: usize,
    ports: [u16; DAEMONS],
}

/// What a link tells the main loop.
enum Event {
    Up { peer: usize, daemon: usize, link: Link },
    Lost { peer: usize, daemon: usize, generation: u64, reason: String },
    Compare,
    End,
}

/// The sending half of a session that is up.
struct Link {
    generation: u64,
    stream: TcpStream,
    queue: mpsc::Sender<Arc<Vec<u8>>>,
    pending: Arc<AtomicUsize>,
}

impl Link {
    fn send(&self, octets: &Arc<Vec<u8>>) {
        self.pending.fetch_add(octets.len(), Ordering::Relaxed);
        // A link that is lost says so by itself.
        let _ = self.queue.send(octets.clone());
    }
}

/// What a daemon told a peer in the present session: hash of the path, by prefix.
type Told = Arc<Mutex<HashMap<Key, u32>>>;

struct Peer {
    /// Attribute blocks.
    sets: Vec<Vec<u8>>,
    /// Which prefix is announced with which set.
    table: HashMap<Key, usize>,
    links: [Option<Link>; DAEMONS],
    told: [Told; DAEMONS],
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("storm: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        peers: 50,
        prefixes: 5000,
        seed: 1,
        seconds: 60,
        rate: 10_000,
        kill_every: 60,
        ports: [17900, 17901],
    };
    while let Some(name) = args.next() {
        let value = args.next().ok_or(format!("{name} wants a value"))?;
        let number = value.parse::<u64>().map_err(|_| format!("{name}: {value} is not a number"))?;
        match name.as_str() {
            "--peers" => options.peers = number as usize,
            "--prefixes" => options.prefixes = number as usize,
            "--seed" => options.seed = number,
            "--seconds" => options.seconds = number,
            "--rate" => options.rate = number as usize,
            "--kill-every" => options.kill_every = number as usize,
            "--first-port" => options.ports[0] = number as u16,
            "--second-port" => options.ports[1] = number as u16,
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(options)
}

/// Peers share ASes, so that MED is compared between some of them.
fn asn_of(peer: usize) -> u32 {
    65001 + (peer % 20) as u32
}

fn address_of(peer: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 3, 1)) + peer as u32)
}

/// Short paths from few ASes, so that ties are broken at every step of the decision (RFC 4271 §9.1.2.2).
fn make_set(asn: u32, random: &mut Random) -> Vec<u8> {
    let mut path = vec![asn];
    for _ in 0..random.below(4) {
        path.push(64801 + random.below(12) as u32);
    }
    if random.chance(3) {
        path.push(DAEMON_ASN);
    }
    let mut segment = vec![2, path.len() as u8];
    path.iter().for_each(|asn| segment.extend_from_slice(&asn.to_be_bytes()));
    let mut out = Vec::new();
    wire::attribute(0x40, 1, &[random.weighted(&[8, 1, 2]) as u8], &mut out);
    wire::attribute(0x40, 2, &segment, &mut out);
    wire::attribute(0x40, 3, &[192, 0, 2, 1 + random.below(4) as u8], &mut out);
    if random.chance(60) {
        wire::attribute(0x80, 4, &(random.below(4) as u32).to_be_bytes(), &mut out);
    }
    if random.chance(40) {
        wire::attribute(0xc0, 8, &[0xfb, 0xf4, 0, random.below(50) as u8], &mut out);
    }
    out
}

fn run(options: &Options) -> Result<(), String> {
    let mut random = Random::new(options.seed, 0);
    let prefixes: Vec<Key> = (0..options.prefixes).map(|n| wire::key(0x0b00_0000 + ((n as u32) << 8), 24)).collect();
    let (events, inbox) = mpsc::channel();
    let mut peers = Vec::new();
    for at in 0..options.peers {
        let sets = (0..SETS).map(|_| make_set(asn_of(at), &mut random)).collect();
        let mut table = HashMap::new();
        for key in &prefixes {
            if random.chance(50) {
                table.insert(*key, random.below(SETS));
            }
        }
        let told = [Told::default(), Told::default()];
        for daemon in 0..DAEMONS {
            let address = SocketAddrV4::new(address_of(at), options.ports[daemon]);
            let listener = TcpListener::bind(address).map_err(|e| format!("cannot listen on {address}: {e}"))?;
            let (events, told) = (events.clone(), told[daemon].clone());
            std::thread::spawn(move || serve(at, daemon, &listener, &told, &events));
        }
        peers.push(Peer { sets, table, links: [None, None], told });
    }
    read_commands(events);
    say(&format!("{{\"event\":\"ready\",\"peers\":{},\"prefixes\":{}}}", options.peers, options.prefixes));
    Storm { options, random, prefixes, peers, inbox, changes: 0, kills: 0, lost: 0 }.blow()
}

struct Storm<'o> {
    options: &'o Options,
    random: Random,
    prefixes: Vec<Key>,
    peers: Vec<Peer>,
    inbox: mpsc::Receiver<Event>,
    changes: u64,
    kills: u64,
    lost: u64,
}

impl Storm<'_> {
    fn blow(&mut self) -> Result<(), String> {
        self.wait_until_all_up(Duration::from_secs(120))?;
        say("{\"event\":\"up\"}");
        let end = Instant::now() + Duration::from_secs(self.options.seconds);
        let mut owed = 0.0;
        while Instant::now() < end {
            if !self.listen(TICK)? {
                return Ok(());
            }
            if self.is_flooded() {
                continue;
            }
            owed += self.options.rate as f64 * TICK.as_secs_f64();
            while owed >= 1.0 {
                owed -= self.burst() as f64;
            }
            let kills_per_tick = TICK.as_secs_f64() * self.peers.len() as f64 / self.options.kill_every as f64;
            if self.random.unit() < kills_per_tick {
                self.kill();
            }
        }
        // Idle holds of the daemons may have grown to minutes.
        self.wait_until_all_up(Duration::from_secs(400))?;
        say(&format!(
            "{{\"event\":\"calm\",\"changes\":{},\"kills\":{},\"lost\":{},\"paths\":{}}}",
            self.changes,
            self.kills,
            self.lost,
            self.peers.iter().map(|peer| peer.table.len()).sum::<usize>()
        ));
        while self.listen(Duration::from_secs(1))? {}
        Ok(())
    }

    /// Some prefixes of one peer are announced with one set, or withdrawn; how many.
    fn burst(&mut self) -> usize {
        let peer = self.random.below(self.peers.len());
        let peer = &mut self.peers[peer];
        let count = 1 + self.random.below(60);
        let mut keys: Vec<Key> = (0..count).map(|_| self.prefixes[self.random.below(self.prefixes.len())]).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut octets = Vec::new();
        if self.random.chance(45) {
            keys.retain(|key| peer.table.remove(key).is_some());
            if !keys.is_empty() {
                wire::withdraw(&keys, &mut octets);
            }
        } else {
            let set = self.random.below(SETS);
            peer.table.extend(keys.iter().map(|key| (*key, set)));
            wire::announce(&peer.sets[set], &keys, &mut octets);
        }
        let octets = Arc::new(octets);
        peer.links.iter().flatten().for_each(|link| link.send(&octets));
        self.changes += keys.len() as u64;
        count
    }

    /// One peer's sessions end: by a NOTIFICATION, or only by the end of the connection.
    fn kill(&mut self) {
        let at = self.random.below(self.peers.len());
        let politely = self.random.chance(50);
        let mut cease = Vec::new();
        wire::message(wire::NOTIFICATION, &[6, 4], &mut cease);
        for link in self.peers[at].links.iter_mut().filter_map(Option::take) {
            // Between two messages or inside one: what the queue still held is lost either way.
            if politely {
                let _ = (&link.stream).write_all(&cease);
            }
            let _ = link.stream.shutdown(Shutdown::Both);
        }
        self.kills += 1;
    }

    fn is_flooded(&self) -> bool {
        self.links().any(|link| link.pending.load(Ordering::Relaxed) > PENDING_MAX)
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        self.peers.iter().flat_map(|peer| peer.links.iter().flatten())
    }

    fn wait_until_all_up(&mut self, patience: Duration) -> Result<(), String> {
        let end = Instant::now() + patience;
        let wanted = self.peers.len() * DAEMONS;
        while self.links().filter(|link| link.pending.load(Ordering::Relaxed) == 0).count() < wanted {
            if Instant::now() > end || !self.listen(TICK)? {
                let down = |daemon: usize| self.peers.iter().filter(|peer| peer.links[daemon].is_none()).count();
                return Err(format!("sessions down or blocked: {} and {} of {wanted}", down(0), down(1)));
            }
        }
        Ok(())
    }

    /// Takes events for a while; false: the end of input.
    fn listen(&mut self, time: Duration) -> Result<bool, String> {
        let end = Instant::now() + time;
        loop {
            let event = match self.inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(event) => event,
                Err(mpsc::RecvTimeoutError::Timeout) => return Ok(true),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err("every listener has failed".to_owned()),
            };
            match event {
                Event::Up { peer, daemon, link } => {
                    let peer = &mut self.peers[peer];
                    link.send(&Arc::new(whole_table(peer)));
                    peer.links[daemon] = Some(link);
                }
                Event::Lost { peer, daemon, generation, reason } => {
                    let held = &mut self.peers[peer].links[daemon];
                    // Those that we killed are gone already.
                    if held.take_if(|link| link.generation == generation).is_some() {
                        self.lost += 1;
                        let address = address_of(peer);
                        say(&format!(
                            "{{\"event\":\"lost\",\"daemon\":{daemon},\"peer\":\"{address}\",\"reason\":{reason:?}}}"
                        ));
                    }
                }
                Event::Compare => say(&self.compare()?),
                Event::End => return Ok(false),
            }
        }
    }

    /// Whether both daemons told every peer the same prefixes with the same paths.
    fn compare(&self) -> Result<String, String> {
        let (mut routes, mut different, mut example) = (0, 0, String::new());
        for (at, peer) in self.peers.iter().enumerate() {
            let failed = |_| "a reader failed".to_owned();
            let first = peer.told[0].lock().map_err(|e| failed(e.to_string()))?;
            let second = peer.told[1].lock().map_err(|e| failed(e.to_string()))?;
            routes += first.len();
            for key in first.keys().chain(second.keys().filter(|key| !first.contains_key(key))) {
                if first.get(key) != second.get(key) {
                    different += 1;
                    let prefix = Ipv4Addr::from((key >> 32) as u32);
                    let says = |told: Option<&u32>| told.map_or("nothing", |_| "a path");
                    example = format!(
                        "{prefix}/{} to {}: {} and {}",
                        key & 0xff,
                        address_of(at),
                        says(first.get(key)),
                        says(second.get(key))
                    );
                }
            }
        }
        Ok(format!("{{\"event\":\"told\",\"routes\":{routes},\"different\":{different},\"example\":{example:?}}}"))
    }
}

/// All that a peer announces at this moment, and End-of-RIB.
fn whole_table(peer: &Peer) -> Vec<u8> {
    let mut by_set: Vec<Vec<Key>> = vec![Vec::new(); peer.sets.len()];
    peer.table.iter().for_each(|(key, set)| by_set[*set].push(*key));
    let mut octets = Vec::new();
    for (set, keys) in peer.sets.iter().zip(&mut by_set).filter(|(_, keys)| !keys.is_empty()) {
        keys.sort_unstable();
        wire::announce(set, keys, &mut octets);
    }
    wire::message(wire::UPDATE, &[0; 4], &mut octets);
    octets
}

/// One peer's side of its sessions with one daemon, one after the other.
fn serve(peer: usize, daemon: usize, listener: &TcpListener, told: &Told, events: &mpsc::Sender<Event>) {
    for generation in 0.. {
        let Ok((mut stream, _)) = listener.accept() else { return };
        if let Ok(mut told) = told.lock() {
            told.clear();
        }
        let reason = live(peer, daemon, generation, &mut stream, told, events).err().unwrap_or_default();
        if events.send(Event::Lost { peer, daemon, generation, reason }).is_err() {
            return;
        }
    }
}

fn live(
    peer: usize,
    daemon: usize,
    generation: u64,
    stream: &mut TcpStream,
    told: &Told,
    events: &mpsc::Sender<Event>,
) -> Result<(), String> {
    let text = |e: std::io::Error| e.to_string();
    stream.set_nodelay(true).map_err(text)?;
    let mut hello = wire::open(asn_of(peer), address_of(peer), true);
    wire::message(wire::KEEPALIVE, &[], &mut hello);
    stream.write_all(&hello).map_err(text)?;
    let (mut buffer, mut is_up) = (Vec::new(), false);
    let mut part = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut part).map_err(text)?;
        if count == 0 {
            return Err("closed by the daemon".to_owned());
        }
        buffer.extend_from_slice(&part[..count]);
        let mut at = 0;
        while let Some((kind, message)) = wire::first_message(&buffer[at..])? {
            match kind {
                wire::KEEPALIVE if !is_up => {
                    is_up = true;
                    let (queue, outgoing) = mpsc::channel();
                    let pending = Arc::new(AtomicUsize::new(0));
                    let writer = stream.try_clone().map_err(text)?;
                    let written = pending.clone();
                    std::thread::spawn(move || write_all(writer, &outgoing, &written));
                    let link = Link { generation, stream: stream.try_clone().map_err(text)?, queue, pending };
                    events.send(Event::Up { peer, daemon, link }).map_err(|e| e.to_string())?;
                }
                wire::UPDATE => {
                    let mut told = told.lock().map_err(|e| e.to_string())?;
                    wire::changes(message, true, 0, |change| {
                        match change {
                            wire::Change::Announce(key, path) => told.insert(key, path),
                            wire::Change::Withdraw(key) => told.remove(&key),
                        };
                    })?;
                }
                wire::NOTIFICATION => return Err(format!("NOTIFICATION {:?}", &message[wire::HEADER_LEN..])),
                _ => {}
            }
            at += message.len();
        }
        buffer.drain(..at);
    }
}

/// Writes what is queued; a KEEPALIVE whenever nothing was for 20 seconds.
fn write_all(mut stream: TcpStream, queue: &mpsc::Receiver<Arc<Vec<u8>>>, pending: &AtomicUsize) {
    let mut keepalive = Vec::new();
    wire::message(wire::KEEPALIVE, &[], &mut keepalive);
    loop {
        let written = match queue.recv_timeout(Duration::from_secs(20)) {
            Ok(octets) => {
                let written = stream.write_all(&octets);
                pending.fetch_sub(octets.len(), Ordering::Relaxed);
                written
            }
            Err(mpsc::RecvTimeoutError::Timeout) => stream.write_all(&keepalive),
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        // The reader sees the same end and reports it.
        if written.is_err() {
            return;
        }
    }
}

/// `compare` is a question; the end of input ends everything.
fn read_commands(events: mpsc::Sender<Event>) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_ok_and(|line| line.trim() == "compare") && events.send(Event::Compare).is_err() {
                return;
            }
        }
        let _ = events.send(Event::End);
    });
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
