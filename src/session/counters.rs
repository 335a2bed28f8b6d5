//! What a neighbour's session counts. Plain numbers, kept as things happen; reading walks nothing.

use crate::{
    types::Timestamp,
    wire::{
        bgp::MessageType,
        error::{ErrorAction, Fault},
    },
};

/// Messages of each type, one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageCounts {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub refresh: u64,
}

impl MessageCounts {
    /// Counts one message.
    pub(super) fn count(&mut self, kind: MessageType) {
        let counter = match kind {
            MessageType::Open => &mut self.open,
            MessageType::Update => &mut self.update,
            MessageType::Notification => &mut self.notification,
            MessageType::Keepalive => &mut self.keepalive,
            MessageType::RouteRefresh => &mut self.refresh,
        };
        *counter += 1;
    }
}

/// Faults found in messages of one neighbour, by attribute and what they cost (RFC 7606).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FaultCount {
    /// Attribute type code; `None` when the fault is not inside an attribute.
    pub attribute: Option<u8>,
    /// `discard`, `withdraw` or `reset`.
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
    /// The last one, in words.
    pub last: String,
}

/// Counters of one neighbour since the process started, over all its sessions.
#[derive(Clone, Debug, Default)]
pub struct SessionCounters {
    /// Messages received.
    pub received: MessageCounts,
    /// Messages sent.
    pub sent: MessageCounts,
    /// Octets received.
    pub octets_received: u64,
    /// Faults, one row per attribute and outcome (at most 257 x 3).
    pub faults: Vec<FaultCount>,
    /// Times a session came up.
    pub established: u64,
    /// Times a session that was up ended.
    pub flaps: u64,
    /// Connection attempts of ours since a session was up last (ConnectRetryCounter, RFC 4271 §8).
    pub connect_attempts: u64,
    /// Since when the session is up; `None` while it is not.
    pub established_at: Option<Timestamp>,
    /// When it last came up or went down.
    pub changed_at: Option<Timestamp>,
    /// Why the session last failed or ended, in words.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
}

impl SessionCounters {
    /// Counts a fault; true when it is the first of its attribute and outcome.
    pub(super) fn count_fault(&mut self, fault: &Fault) -> bool {
        let outcome = outcome_name(fault.action);
        let known = self.faults.iter_mut().find(|row| row.attribute == fault.attribute && row.outcome == outcome);
        match known {
            Some(row) => {
                row.count += 1;
                row.last = fault.to_string();
                false
            }
            None => {
                let last = fault.to_string();
                self.faults.push(FaultCount { attribute: fault.attribute, outcome, count: 1, last });
                true
            }
        }
    }

    /// Remembers why something ended.
    pub(super) fn note_error(&mut self, now: Timestamp, text: String) {
        self.last_error = Some(text);
        self.last_error_at = Some(now);
    }
}

fn outcome_name(action: ErrorAction) -> &'static str {
    match action {
        ErrorAction::AttributeDiscard => "discard",
        ErrorAction::TreatAsWithdraw => "withdraw",
        ErrorAction::SessionReset => "reset",
    }
}
