//! One neighbour as JSON with everything that is known of its session: the fields of the list (`json::Neighbor`), then
//! what only a look at one neighbour needs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{FamilyCounts, MessageCounts, NeighborView, json::Neighbor};
use crate::{
    types::Timestamp,
    validation::{OriginState, PathState},
};

/// A neighbour in full.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct NeighborDetail {
    /// The fields of the list.
    #[serde(flatten)]
    pub neighbor: Neighbor,
    /// Remote port configured or seen.
    pub port: u16,
    /// The `range` that it was accepted from.
    pub range: Option<String>,
    /// Never connects by itself.
    pub passive: bool,
    /// Time of the last change into or out of established, RFC 3339.
    pub changed_at: Option<String>,
    /// Negotiated hold time in seconds; 0 before.
    pub hold_time_s: u64,
    /// What both OPENs agreed on, in words.
    pub negotiated: Vec<String>,
    /// Counts per family.
    pub counts: Vec<Counts>,
    /// Messages received and sent since the daemon started.
    pub messages: Messages,
    /// Faults in its UPDATEs by attribute and outcome (RFC 7606).
    pub fault_counts: Vec<Faults>,
    /// Octets that wait to be written to it.
    pub send_queue: u64,
    /// Import policies, in order.
    pub import_policies: Vec<String>,
    /// Export policies, in order.
    pub export_policies: Vec<String>,
}

/// Counts of one family.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Counts {
    /// Which family.
    pub family: String,
    /// Paths in Adj-RIB-In.
    pub received: u64,
    /// Paths that import policy accepted.
    pub accepted: u64,
    /// Routes in Adj-RIB-Out.
    pub advertised: u64,
    /// Paths that wait for their neighbour's return (RFC 4724).
    pub stale: u64,
    /// Routes that had no next hop or message for it.
    pub withheld: u64,
    /// Paths dropped on arrival.
    pub dropped: u64,
    /// Whether End-of-RIB was received.
    pub end_of_rib: bool,
    /// Paths by the state of their origin, `not_checked` included.
    pub validation: BTreeMap<&'static str, u64>,
    /// Paths by the state of their AS_PATH.
    pub aspa: BTreeMap<&'static str, u64>,
}

/// Messages by direction.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Messages {
    /// From it.
    pub received: ByType,
    /// To it.
    pub sent: ByType,
}

/// Messages by type.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ByType {
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

/// Faults of one attribute with one outcome.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Faults {
    /// Attribute type code; null outside of attributes.
    pub attribute: Option<u8>,
    /// `discard`, `withdraw` or `reset`.
    pub outcome: &'static str,
    /// How many.
    pub count: u64,
    /// The last one, in words.
    pub last: String,
}

impl NeighborDetail {
    /// The neighbour as seen at `now`.
    pub fn new(view: &NeighborView, now: Timestamp) -> Self {
        let faults = view.faults.iter().map(|fault| Faults {
            attribute: fault.attribute,
            outcome: fault.outcome,
            count: fault.count,
            last: fault.last.clone(),
        });
        Self {
            neighbor: Neighbor::new(view, now),
            port: view.port,
            range: view.range.map(|range| range.to_string()),
            passive: view.passive,
            changed_at: view.changed_at.map(|at| at.to_string()),
            hold_time_s: view.hold_time.as_secs(),
            negotiated: view.negotiated.clone(),
            counts: view.counts.iter().map(counts).collect(),
            messages: Messages { received: by_type(view.received), sent: by_type(view.sent) },
            fault_counts: faults.collect(),
            send_queue: view.send_queue,
            import_policies: view.import.clone(),
            export_policies: view.export.clone(),
        }
    }
}

fn counts(counts: &FamilyCounts) -> Counts {
    let origins = OriginState::ALL.into_iter();
    let paths = PathState::ALL.into_iter();
    Counts {
        family: counts.family.to_string(),
        received: counts.received,
        accepted: counts.accepted,
        advertised: counts.advertised,
        stale: counts.stale,
        withheld: counts.withheld,
        dropped: counts.dropped,
        end_of_rib: counts.end_of_rib,
        validation: origins.map(|state| (state.name(), counts.validation[usize::from(state.code())])).collect(),
        aspa: paths.map(|state| (state.name(), counts.aspa[usize::from(state.code())])).collect(),
    }
}

fn by_type(counts: MessageCounts) -> ByType {
    ByType {
        open: counts.open,
        update: counts.update,
        notification: counts.notification,
        keepalive: counts.keepalive,
        refresh: counts.refresh,
    }
}
