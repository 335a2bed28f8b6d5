//! A steady stream of changes on every session, so many a second, and single events in the middle of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::random::Random;
use crate::session::Outgoing;
use crate::table::{self, Group, SetMaker};
use crate::wire::{self, Key};

/// How often the next part is due.
const TICK: Duration = Duration::from_millis(2);
/// Who says that watched prefixes are its own: another AS each time, as one attacker is one alert. Nobody in the table has
/// such a number.
const FIRST_ATTACKER: u32 = 300_000;
/// Through whom: a number for documentation (RFC 5398).
const TRANSIT: u32 = 64496;

/// UPDATEs of one prefix each that one peer sends over and over: first each prefix gets another attribute set or, one in
/// ten, is withdrawn; then each gets one more.
pub struct Loop {
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Loop {
    /// Picks `count` prefixes at random.
    pub fn make(groups: &[Group], count: usize, sets: &mut SetMaker, random: &mut Random) -> Self {
        let mut keys: Vec<Key> = groups.iter().flat_map(|group| &group.keys).copied().collect();
        random.shuffle(&mut keys);
        keys.truncate(count);
        let (mut octets, mut ends) = (Vec::new(), Vec::new());
        for first in [true, false] {
            for key in &keys {
                if first && random.chance(10) {
                    wire::withdraw(&[*key], &mut octets);
                } else {
                    wire::announce(&sets.make(random), &[*key], &mut octets);
                }
                ends.push(octets.len());
            }
        }
        Loop { octets, ends }
    }

    /// Appends the UPDATE number `at`, counted on and on.
    fn push(&self, at: usize, out: &mut Vec<u8>) {
        let at = at % self.ends.len();
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        out.extend_from_slice(&self.octets[start..self.ends[at]]);
    }
}

/// The longest time that octets waited for the kernel since they were due: the daemon reads too slowly, or the feeder is late.
#[derive(Default)]
pub struct Waits(AtomicU64);

impl Waits {
    /// Octets that were due at `due` are written.
    pub fn note(&self, due: Instant) {
        self.0.fetch_max(due.elapsed().as_micros() as u64, Ordering::Relaxed);
    }
}

/// A stream under way.
pub struct Stream {
    stop: Arc<AtomicBool>,
    waits: Arc<Waits>,
    started: Instant,
    thread: JoinHandle<u64>,
}

impl Stream {
    /// Begins to send `per_second` UPDATEs over all queues together.
    pub fn start(loops: Arc<Vec<Loop>>, queues: Vec<mpsc::Sender<Outgoing>>, per_second: u64) -> Self {
        let (stop, waits, started) = (Arc::new(AtomicBool::new(false)), Arc::new(Waits::default()), Instant::now());
        let (stopped, waited) = (stop.clone(), waits.clone());
        let thread = thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                let due = Instant::now();
                let count = (due.duration_since(started).as_secs_f64() * per_second as f64) as u64;
                let mut parts = vec![Vec::new(); queues.len()];
                for number in sent..count {
                    let (round, peer) = (number as usize / queues.len(), number as usize % queues.len());
                    loops[peer].push(round, &mut parts[peer]);
                }
                sent = count;
                for (queue, part) in queues.iter().zip(parts) {
                    // A session that went down has said so.
                    let _ = queue.send(Outgoing::Steady(part, due, waited.clone()));
                }
                thread::sleep(TICK.saturating_sub(due.elapsed()));
            }
            sent
        });
        Stream { stop, waits, started, thread }
    }

    /// Ends it; the members of the JSON object that says what was sent.
    pub fn end(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.thread.join().unwrap_or_default();
        let (seconds, wait) = (self.started.elapsed().as_secs_f64(), self.waits.0.load(Ordering::Relaxed));
        format!("\"updates\":{sent},\"seconds\":{seconds:.3},\"longest_wait_ms\":{:.1}", wait as f64 / 1000.0)
    }
}

/// The UPDATE with which peer `peer` says that a prefix comes from somebody else: `watched` itself for an even `number`, its
/// lower half for an odd one. Returns the prefix, too.
pub fn hijack(number: usize, watched: Key, (peer, peer_asn): (usize, u32)) -> (Key, Vec<u8>) {
    let key = if number.is_multiple_of(2) { watched } else { watched + 1 };
    let path = [peer_asn, TRANSIT, FIRST_ATTACKER + number as u32];
    let mut attributes = Vec::new();
    wire::attribute(0x40, 1, &[0], &mut attributes);
    let mut value = vec![2, path.len() as u8];
    path.iter().for_each(|asn| value.extend_from_slice(&asn.to_be_bytes()));
    wire::attribute(0x40, 2, &value, &mut attributes);
    wire::attribute(0x40, 3, &table::next_hop(peer), &mut attributes);
    let mut octets = Vec::new();
    wire::announce(&attributes, &[key], &mut octets);
    (key, octets)
}
