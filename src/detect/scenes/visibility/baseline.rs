//! What is remembered of a watched prefix: who had it for how long, and the loss that stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    detect::{Fingerprint, Hold, memory},
    types::{Asn, Timestamp},
};

/// What is remembered of a neighbour or an upstream and one prefix.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) since: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) seen_now: bool,
    pub(super) last_path: Arc<str>,
    pub(super) hop: Option<Asn>,
    /// Of an upstream: the neighbours that showed it last.
    pub(super) by: BTreeSet<Arc<str>>,
}

impl Memory {
    pub(super) fn value(&self) -> Value {
        let by: Vec<&str> = self.by.iter().map(AsRef::as_ref).collect();
        let hop = self.hop.map(|hop| hop.0);
        json!([self.since.0, self.last_seen.0, self.seen_now, &*self.last_path, hop, by])
    }

    pub(super) fn read(value: &Value) -> Option<Self> {
        Some(Self {
            since: memory::time(&value[0])?,
            last_seen: memory::time(&value[1])?,
            seen_now: value[2].as_bool()?,
            last_path: memory::text(&value[3])?,
            hop: memory::asn(&value[4]),
            by: value[5].as_array()?.iter().filter_map(memory::text).collect(),
        })
    }

    pub(super) fn is_expected(&self, learn: Duration, now: Timestamp) -> bool {
        let until = if self.seen_now { now } else { self.last_seen };
        until.since(self.since) >= learn
    }

    /// Takes whether it is seen now. What did not stay long enough to be expected begins anew when it is back.
    pub(super) fn update(&mut self, seen: bool, learn: Duration, now: Timestamp) {
        if self.seen_now && !seen {
            self.last_seen = now;
        }
        if !self.seen_now && seen && !self.is_expected(learn, now) {
            self.since = now;
        }
        self.seen_now = seen;
    }
}

/// A loss and what it is put down to.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) since: Timestamp,
    /// When it was over.
    pub(super) over_at: Option<Timestamp>,
    pub(super) cause: Option<Fingerprint>,
}

impl Loss {
    pub(super) fn value(&self) -> Value {
        let cause: Vec<Value> = self.cause.iter().map(memory::fingerprint_value).collect();
        json!([self.since.0, self.over_at.map(|at| at.0), cause])
    }

    pub(super) fn read(value: &Value) -> Option<Self> {
        let cause = value[2].as_array()?.first().and_then(memory::fingerprint);
        Some(Self { since: memory::time(&value[0])?, over_at: memory::time(&value[1]), cause })
    }
}

#[derive(Debug, Default)]
pub(super) struct Baseline {
    pub(super) neighbors: BTreeMap<Arc<str>, Memory>,
    /// Those through which enough neighbours have it, or had.
    pub(super) upstreams: BTreeMap<Asn, Memory>,
    /// The loss that stands, or did a moment ago.
    pub(super) loss: Option<Loss>,
}

impl Baseline {
    /// The cause of a loss that stands now and looks as if it had the cause `seen`: who was told of it under one cause is not
    /// told again under another, though it grows.
    pub(super) fn cause(&mut self, hold: Duration, now: Timestamp, seen: Option<Fingerprint>) -> Option<Fingerprint> {
        let is_same = |loss: &Loss| loss.over_at.is_none_or(|at| now.since(at) < Hold::default().resolve);
        let mut loss = match self.loss.take().filter(is_same) {
            Some(loss) => Loss { over_at: None, ..loss },
            None => Loss { since: now, over_at: None, cause: None },
        };
        if now.since(loss.since) < hold || now == loss.since {
            loss.cause = seen;
        }
        self.loss.insert(loss).cause.clone()
    }

    /// Nothing is lost now.
    pub(super) fn complete(&mut self, now: Timestamp) {
        if let Some(loss) = &mut self.loss {
            loss.over_at.get_or_insert(now);
        }
    }
}
