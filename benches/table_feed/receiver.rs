//! The receiving peer's memory: which prefix it should hold with which path, and which it holds.
//!
//! `complete` is exact: every prefix present with the path that was sent (the daemon's own ASN taken off), none beside.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Instant;

use crate::wire::{self, Change, Key};

/// Multiplicative hash: the keys are prefixes that we made ourselves.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }
    fn write_u64(&mut self, n: u64) {
        let mixed = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }
}

/// Path hash that should be there, path hash that is there; 0 is "no route".
#[derive(Clone, Copy, Default)]
struct Cell {
    wanted: u32,
    held: u32,
}

/// What the receiving peer should have and has.
pub struct Receiver {
    cells: HashMap<Key, Cell, BuildHasherDefault<KeyHasher>>,
    four_octet_as: bool,
    /// Cells where the two differ.
    differing: usize,
    announcements: u64,
    withdrawals: u64,
    messages: u64,
    /// When the round began, and when its last UPDATE came.
    began: Instant,
    last: Instant,
}

impl Receiver {
    /// Expects the outcome of `stream`, a peer's UPDATEs back to back.
    pub fn new(stream: &[u8], four_octet_as: bool) -> Self {
        let mut receiver = Receiver {
            cells: HashMap::default(),
            four_octet_as,
            differing: 0,
            announcements: 0,
            withdrawals: 0,
            messages: 0,
            began: Instant::now(),
            last: Instant::now(),
        };
        receiver.expect(stream);
        receiver
    }

    /// Expects in addition what `stream` changes. Counters of the round begin at zero.
    pub fn expect(&mut self, stream: &[u8]) {
        let mut left = stream;
        while let Ok(Some((_, message))) = wire::first_message(left) {
            left = left.get(message.len()..).unwrap_or_default();
            let outcome = wire::changes(message, self.four_octet_as, 0, |change| match change {
                Change::Announce(key, path) => self.cells.entry(key).or_default().wanted = path,
                Change::Withdraw(key) => self.cells.entry(key).or_default().wanted = 0,
            });
            if let Err(fault) = outcome {
                eprintln!("table_feed: own table: {fault}");
            }
        }
        self.differing = self.cells.values().filter(|cell| cell.wanted != cell.held).count();
        (self.announcements, self.withdrawals, self.messages) = (0, 0, 0);
    }

    /// Expects of each prefix the best route of all peers: shortest path, then ORIGIN, then the first peer, whose
    /// identifier is the lowest. Peers are in ASes of their own, so MED does not count (RFC 4271 §9.1.2.2).
    pub fn expect_best(&mut self, streams: &[Arc<Vec<u8>>]) {
        let mut best = HashMap::<Key, ((usize, u8), u32)>::new();
        for stream in streams {
            let mut left = stream.as_slice();
            while let Ok(Some((_, message))) = wire::first_message(left) {
                left = left.get(message.len()..).unwrap_or_default();
                let Some(rank) = wire::rank(message) else { continue };
                let outcome = wire::changes(message, self.four_octet_as, 0, |change| {
                    if let Change::Announce(key, path) = change {
                        let known = best.entry(key).or_insert((rank, path));
                        if rank < known.0 {
                            *known = (rank, path);
                        }
                    }
                });
                if let Err(fault) = outcome {
                    eprintln!("table_feed: own table: {fault}");
                }
            }
        }
        for (key, (_, path)) in best {
            self.cells.entry(key).or_default().wanted = path;
        }
        self.differing = self.cells.values().filter(|cell| cell.wanted != cell.held).count();
    }

    /// The clock of a round starts.
    pub fn begin(&mut self) {
        (self.began, self.last) = (Instant::now(), Instant::now());
    }

    /// Takes one UPDATE from the daemon; true when everything is now as it should be.
    ///
    /// # Errors
    /// An UPDATE that cannot be read.
    pub fn take(&mut self, message: &[u8]) -> Result<bool, String> {
        self.messages += 1;
        self.last = Instant::now();
        let (cells, differing) = (&mut self.cells, &mut self.differing);
        let (announcements, withdrawals) = (&mut self.announcements, &mut self.withdrawals);
        wire::changes(message, self.four_octet_as, 1, |change| {
            let (key, held) = match change {
                Change::Announce(key, path) => {
                    *announcements += 1;
                    (key, path)
                }
                Change::Withdraw(key) => {
                    *withdrawals += 1;
                    (key, 0)
                }
            };
            let cell = cells.entry(key).or_default();
            *differing -= usize::from(cell.wanted != cell.held);
            cell.held = held;
            *differing += usize::from(cell.wanted != cell.held);
        })?;
        Ok(self.differing == 0)
    }

    /// Members of the JSON object that reports a finished round.
    pub fn describe(&self) -> String {
        let held = self.cells.values().filter(|cell| cell.held != 0).count();
        format!(
            "\"prefixes\":{held},\"announcements\":{},\"withdrawals\":{},\"messages\":{}",
            self.announcements, self.withdrawals, self.messages
        )
    }

    /// What is missing, wrong or too much at this moment, and when the last UPDATE came, as one JSON object.
    pub fn holes(&self) -> String {
        let (mut missing, mut surplus, mut other) = (0, 0, 0);
        for cell in self.cells.values().filter(|cell| cell.wanted != cell.held) {
            match (cell.wanted, cell.held) {
                (_, 0) => missing += 1,
                (0, _) => surplus += 1,
                _ => other += 1,
            }
        }
        let seconds = (self.last - self.began).as_secs_f64();
        format!(
            "{{\"event\":\"holes\",\"missing\":{missing},\"surplus\":{surplus},\"other_path\":{other},\"seconds\":{seconds:.4}}}"
        )
    }
}
