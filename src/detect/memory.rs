//! What detectors have learnt, for the next run: who had a prefix, what was valid, how many routes a neighbour sends. An alert
//! that was open when the process ended is over only when what it says is over, and not because nobody remembers it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::types::{Asn, Prefix, Timestamp};

/// JSON by detector; what a later version cannot read it leaves out.
pub type Memory = Map<String, Value>;

/// Where memory is between two runs, and between two sets of detectors in one run.
pub trait Archive: Send {
    /// What was kept last.
    fn recall(&mut self) -> Memory;
    /// Keeps this instead. Must not wait for a disk.
    fn keep(&mut self, memory: Memory);
}

/// A time in microseconds.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    value.as_u64().map(Timestamp)
}

pub(super) fn asn(value: &Value) -> Option<Asn> {
    value.as_u64().and_then(|asn| u32::try_from(asn).ok()).map(Asn)
}

pub(super) fn prefix(value: &Value) -> Option<Prefix> {
    value.as_str()?.parse().ok()
}

pub(super) fn text(value: &Value) -> Option<Arc<str>> {
    value.as_str().map(Into::into)
}

/// A fingerprint as `[kind, subject]`.
pub(super) fn fingerprint(value: &Value) -> Option<super::Fingerprint> {
    Some(super::Fingerprint::new(value[0].as_str()?.parse().ok()?, text(&value[1])?))
}

pub(super) fn fingerprint_value(key: &super::Fingerprint) -> Value {
    json!([key.kind.name(), &*key.subject])
}

/// The records of a detector's memory: a list.
pub(super) fn records<'a>(memory: &'a Memory, detector: &str) -> impl Iterator<Item = &'a Value> {
    memory.get(detector).and_then(Value::as_array).into_iter().flatten()
}
