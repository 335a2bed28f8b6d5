//! One neighbour: attempts to connect, up to two connections, collision detection, back-off.

use std::sync::Arc;

use super::{Action, Input, PeerSettings, State, counters::SessionCounters, negotiate::Negotiated};
use crate::{types::Timestamp, wire::bgp::batch::UpdateBatch};

/// One neighbour.
#[derive(Debug)]
pub struct BgpPeer {
    settings: Arc<PeerSettings>,
    counters: SessionCounters,
    seed: u64,
}

impl BgpPeer {
    /// A neighbour that does nothing before `Input::Start`. Equal seeds behave equally.
    pub fn new(settings: Arc<PeerSettings>, seed: u64) -> Self {
        Self { settings, counters: SessionCounters::default(), seed }
    }

    /// Feeds one input at `now`. Decoded UPDATEs are appended to `updates`, what the driver must do to `out`.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>, updates: &mut UpdateBatch, out: &mut Vec<Action>) {
        let _ = (now, input, updates, out, self.seed);
    }

    /// When to call `handle` with `Input::TimersDue` at the latest; `None`: nothing is armed.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// The state of the most advanced connection.
    pub fn state(&self) -> State {
        State::Idle
    }

    /// What is counted.
    pub fn stats(&self) -> &SessionCounters {
        &self.counters
    }

    /// The settings given to `new`.
    pub fn settings(&self) -> &Arc<PeerSettings> {
        &self.settings
    }

    /// What the session that is up agreed on.
    pub fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        None
    }

    /// Whether an incoming connection would be taken; else the driver closes it at once.
    pub fn wants_incoming(&self) -> bool {
        false
    }

    /// False after `Input::Disable` (or from the start, by the settings).
    pub fn is_enabled(&self) -> bool {
        self.settings.enabled
    }

    /// Counts UPDATEs that the engine gave to the driver for this neighbour.
    pub fn note_updates_sent(&mut self, count: u64) {
        self.counters.sent.update += count;
    }
}
