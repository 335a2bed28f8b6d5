//! The other end of `benches/run`: plays BGP peers that announce a table and one that receives it.
//!
//! Stands alone on purpose: the standard library and nothing of the product, so that a fault of ours cannot hide in
//! both ends. `benches/measure.py` compiles it with plain `rustc`. Every octet to send is encoded before the clock starts.
//! It listens; the daemon under test connects to it, one loopback address for each neighbour.
//!
//! Commands come line by line on standard input, facts leave as one JSON object per line on standard output:
//!
//! ```text
//! (start)   -> {"event":"ready", ...}         table is encoded, listening
//!           -> {"event":"established", ...}   every session is up
//! table     -> {"event":"sent", ...}          the last octet went into the socket
//!           -> {"event":"received", ...}      the receiver holds exactly what it should (with --receiver)
//! churn     -> sent, received                 the next round: a fifth of the table changes
//! withdraw  -> sent, received                 the first peer takes all of it back
//! pace N    -> {"event":"pacing"}             from now on N changes a second over all sessions (with --steady)
//! calm      -> {"event":"calm", ...}          that ends; what was sent, and how long octets waited at most
//! hijack N  -> {"event":"hijacked", ...}      watched prefix N, or for an odd N a half of it, comes from somebody else (--watched)
//! mark N    -> {"event":"marking"}            the clients count from zero, and apart what has community N (a number)
//! tally     -> {"event":"tally", ...}         what the clients were told since then (with --clients)
//! holes     -> {"event":"holes", ...}         what the receiver still lacks
//! quit      -> (ends)                         also at end of input
//! ```

mod mrt;
mod random;
mod receiver;
mod session;
mod steady;
mod table;
mod tally;
mod wire;

use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use receiver::Receiver;
use session::{Local, Session, Sink};
use steady::Stream;
use table::{Shape, Table};
use tally::Tally;

const HELP: &str = "\
table_feed: BGP peers for benches/run
  --prefixes N        prefixes in the table (default 1000000)
  --peers N           sending peers, all with the same prefixes and their own paths (default 1)
  --sets N            distinct attribute sets for each peer (default 0.232 x prefixes)
  --seed N            same seed, same octets (default 1)
  --mrt FILE          send the UPDATEs of this MRT file (BGP4MP, not compressed) instead of a made table
  --receiver          one more peer, which only listens and counts
  --clients           every peer announces a part of the prefixes and counts what it is told of the others'
  --watched N         so many of the /24s come from AS 64500 at every peer (default 0)
  --watched-list FILE write these there, one per line
  --steady N          prefixes of each peer for `pace` (default 0)
  --list FILE         write the prefixes there, one per line
  --listen-port N     where the daemon finds every peer (default 17900)
  --first-asn N       ASN of the first sending peer, the others follow; 127.0.1.1, 127.0.1.2, ... (default 65001)
  --receiver-asn N    ASN of the receiver, on 127.0.2.1 (default 64999)";

struct Options {
    shape: Shape,
    mrt: Option<String>,
    receiver: bool,
    list: Option<String>,
    watched_list: Option<String>,
    listen_port: u16,
    first_asn: u32,
    receiver_asn: u32,
}

/// What a session tells the main loop.
pub(crate) enum Event {
    Established,
    Sent,
    Complete,
    Down { peer: Ipv4Addr, reason: String },
    Command(String),
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("table_feed: {problem}\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("table_feed: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        shape: Shape { prefixes: 1_000_000, peers: 1, sets: 0, seed: 1, split: false, watched: 0, steady: 0 },
        mrt: None,
        receiver: false,
        list: None,
        watched_list: None,
        listen_port: 17900,
        first_asn: 65001,
        receiver_asn: 64999,
    };
    let mut any = false;
    while let Some(name) = args.next() {
        any = true;
        if name == "--receiver" {
            options.receiver = true;
            continue;
        }
        if name == "--clients" {
            options.shape.split = true;
            continue;
        }
        // `cargo bench` without a filter runs every bench target with this flag: there is nothing to do then.
        if matches!(name.as_str(), "--bench" | "--help" | "-h") {
            return Ok(None);
        }
        let value = args.next().ok_or(format!("{name} wants a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name}: {value} is not a number"));
        match name.as_str() {
            "--prefixes" => options.shape.prefixes = number()? as usize,
            "--peers" => options.shape.peers = number()? as usize,
            "--sets" => options.shape.sets = number()? as usize,
            "--seed" => options.shape.seed = number()?,
            "--listen-port" => options.listen_port = number()? as u16,
            "--first-asn" => options.first_asn = number()? as u32,
            "--receiver-asn" => options.receiver_asn = number()? as u32,
            "--mrt" => options.mrt = Some(value),
            "--watched" => options.shape.watched = number()? as usize,
            "--watched-list" => options.watched_list = Some(value),
            "--steady" => options.shape.steady = number()? as usize,
            "--list" => options.list = Some(value),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    if options.shape.sets == 0 {
        options.shape.sets = options.shape.prefixes * 232 / 1000;
    }
    Ok(any.then_some(options))
}

fn run(options: &Options) -> Result<(), String> {
    let mut table = match &options.mrt {
        Some(file) => mrt::read(file)?,
        None => Table::make(&options.shape, options.first_asn),
    };
    if let Some(file) = &options.list {
        std::fs::write(file, table.list()).map_err(|e| format!("{file}: {e}"))?;
    }
    if let Some(file) = &options.watched_list {
        std::fs::write(file, table::lines(&table.watched)).map_err(|e| format!("{file}: {e}"))?;
    }
    let (events, inbox) = mpsc::channel();
    let mut receiver = Receiver::new(&table.initial[0], table.four_octet_as);
    if options.receiver && table.initial.len() > 1 {
        receiver.expect_best(&table.initial);
    }
    let receiver = Arc::new(Mutex::new(receiver));
    let tally = Arc::new(Tally::new());
    let mut locals: Vec<Local> = (0..table.initial.len())
        .map(|i| Local {
            address: Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 1, 1)) + i as u32),
            asn: table.peer_asn.unwrap_or(options.first_asn + i as u32),
            four_octet_as: table.four_octet_as,
        })
        .collect();
    if options.receiver {
        locals.push(Local {
            address: Ipv4Addr::new(127, 0, 2, 1),
            asn: options.receiver_asn,
            four_octet_as: table.four_octet_as,
        });
    }
    let mut listeners = Vec::new();
    for local in &locals {
        let at = SocketAddrV4::new(local.address, options.listen_port);
        listeners.push(TcpListener::bind(at).map_err(|e| format!("cannot listen on {at}: {e}"))?);
    }
    say(&format!("{{\"event\":\"ready\",\"peer_asn\":{},{}}}", locals[0].asn, table.describe()));
    read_commands(events.clone());
    let mut sessions = Vec::new();
    for (local, listener) in locals.iter().zip(listeners) {
        let reads_routes = local.address.octets()[2] == 2;
        let sink = match reads_routes {
            true => Sink::Receiver(receiver.clone()),
            false if options.shape.split => Sink::Tally(tally.clone()),
            false => Sink::None,
        };
        sessions.push(Session::start(*local, listener, sink, events.clone()));
    }
    drop(events);
    converse(&mut table, &sessions, (&receiver, &tally), &inbox, options)
}

/// Answers commands until `quit`, the end of input, or the loss of a session.
fn converse(
    table: &mut Table,
    sessions: &[Session],
    (receiver, tally): (&Mutex<Receiver>, &Tally),
    inbox: &mpsc::Receiver<Event>,
    options: &Options,
) -> Result<(), String> {
    let (mut up, mut sent, mut round) = (0, 0, 0);
    let mut senders = table.initial.len();
    let mut started = Instant::now();
    let loops = Arc::new(std::mem::take(&mut table.steady));
    let mut stream = None;
    for event in inbox {
        match event {
            Event::Established => {
                up += 1;
                if up == sessions.len() {
                    say(&format!("{{\"event\":\"established\",\"sessions\":{up}}}"));
                }
            }
            Event::Sent => {
                sent += 1;
                if sent == senders {
                    say(&format!("{{\"event\":\"sent\",\"seconds\":{:.4}}}", started.elapsed().as_secs_f64()));
                }
            }
            Event::Complete => {
                let facts = receiver.lock().map_err(|_| "receiver failed")?.describe();
                let seconds = started.elapsed().as_secs_f64();
                say(&format!("{{\"event\":\"received\",\"seconds\":{seconds:.4},{facts}}}"));
            }
            Event::Down { peer, reason } => {
                say(&format!("{{\"event\":\"down\",\"peer\":\"{peer}\",\"reason\":{reason:?}}}"));
                return Err(format!("session with {peer} is down: {reason}"));
            }
            Event::Command(word) => {
                let streams = match word.as_str() {
                    "table" => table.initial.clone(),
                    "churn" => {
                        round += 1;
                        table.churn(round)
                    }
                    "withdraw" => {
                        round += 1;
                        table.withdrawal()
                    }
                    "tally" => {
                        say(&tally.describe());
                        continue;
                    }
                    _ if word.starts_with("mark ") => {
                        tally.begin(word[5..].parse().map_err(|_| format!("{word}: not a number"))?);
                        say("{\"event\":\"marking\"}");
                        continue;
                    }
                    _ if word.starts_with("pace ") && !loops.is_empty() => {
                        let per_second = word[5..].parse().map_err(|_| format!("{word}: not a number"))?;
                        let queues = sessions.iter().take(loops.len()).map(Session::queue).collect();
                        stream = Some(Stream::start(loops.clone(), queues, per_second));
                        say("{\"event\":\"pacing\"}");
                        continue;
                    }
                    "calm" => {
                        let facts = stream.take().map(Stream::end).ok_or("calm: nothing is paced")?;
                        say(&format!("{{\"event\":\"calm\",{facts}}}"));
                        continue;
                    }
                    _ if word.starts_with("hijack ") => {
                        let number: usize = word[7..].parse().map_err(|_| format!("{word}: not a number"))?;
                        let watched = *table.watched.get(number).ok_or(format!("{word}: not so many are watched"))?;
                        let peer = number % table.initial.len();
                        let (key, octets) = steady::hijack(number, watched, (peer, options.first_asn + peer as u32));
                        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
                        let (due, waits) = (Instant::now(), Arc::default());
                        let _ = sessions[peer].queue().send(session::Outgoing::Steady(octets, due, waits));
                        let (prefix, at_ns) = (table::lines(&[key]), at.as_nanos());
                        let prefix = prefix.trim();
                        say(&format!("{{\"event\":\"hijacked\",\"prefix\":\"{prefix}\",\"at_ns\":{at_ns}}}"));
                        continue;
                    }
                    "holes" => {
                        say(&receiver.lock().map_err(|_| "receiver failed")?.holes());
                        continue;
                    }
                    _ => return Ok(()),
                };
                if options.receiver {
                    let mut receiver = receiver.lock().map_err(|_| "receiver failed")?;
                    if round > 0 {
                        receiver.expect(&streams[0]);
                    }
                    receiver.begin();
                }
                (sent, senders) = (0, streams.len());
                started = Instant::now();
                for (session, stream) in sessions.iter().zip(streams) {
                    session.send(stream);
                }
            }
        }
    }
    Ok(())
}

/// Commands of standard input become events; the end of input is `quit`.
fn read_commands(events: mpsc::Sender<Event>) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if events.send(Event::Command(line.trim().to_owned())).is_err() {
                return;
            }
        }
        let _ = events.send(Event::Command("quit".to_owned()));
    });
}

/// One line to `benches/run`. A reader that went away ends us through standard input.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
