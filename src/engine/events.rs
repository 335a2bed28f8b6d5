//! Numbered changes for those who listen. Every change of a path and of a best path gets a number whether or not
//! anybody listens, so that the number on a page says which changes the page includes; events themselves are made
//! only when wanted. A listener's first batch may begin anywhere; from then on there is no hole.

use std::sync::Arc;

use crate::{
    rib::{AttrStore, Path},
    types::Timestamp,
    view::{EventBatch, RibEvent, Table},
};

use super::{
    Action,
    rows::{AttrPool, Subject, row},
    sessions::Sessions,
};

/// Most events of one batch: a listener's queue is bounded in batches, so a batch must be bounded too.
const BATCH_LEN_MAX: usize = 4096;

/// The counter of changes and the batch that is being filled.
#[derive(Debug, Default)]
pub struct Events {
    wanted: bool,
    seq: u64,
    events: Vec<RibEvent>,
    attrs: AttrPool,
    full: Vec<Arc<EventBatch>>,
}

/// A change to be told.
#[derive(Clone, Copy, Debug)]
pub struct Changed<'a> {
    /// When it is applied.
    pub time: Timestamp,
    /// Of which table.
    pub table: Table,
    /// What is routed.
    pub subject: Subject<'a>,
    /// The path after the change, or the one that is gone.
    pub path: &'a Path,
    /// Whether the path is the best of its prefix.
    pub best: bool,
    /// What became of the route.
    pub fate: Fate,
}

/// What became of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// There was none before.
    New,
    /// There was another one (Loc: the prefix had a best route).
    Replaced,
    /// It is gone.
    Gone,
}

impl Events {
    /// Whether anybody listens.
    pub fn want(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// Number of the last change.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Numbers a change; true when it must be told with [`Self::tell`].
    #[inline]
    pub fn count(&mut self) -> bool {
        self.seq += 1;
        self.wanted
    }

    /// Tells the change that was counted last.
    pub fn tell(&mut self, changed: Changed<'_>, store: &AttrStore, sessions: &Sessions) {
        let Changed { time, table, subject, path, best, fate } = changed;
        let withdrawn = fate == Fate::Gone;
        // A neighbour's path is what it said, a best route what import made of it.
        let set = if table == Table::AdjIn { store.received(path.set) } else { store.effective(path.set) };
        let attrs = if withdrawn { 0..0 } else { self.attrs.range(store, set) };
        let mut row = row(subject, path, best, attrs, store, sessions);
        if withdrawn {
            row.rejected_by = None;
        }
        self.events.push(RibEvent { seq: self.seq, time, table, row, withdrawn, replaced: fate != Fate::New });
        if self.events.len() >= BATCH_LEN_MAX {
            self.close_batch();
        }
    }

    fn close_batch(&mut self) {
        if !self.events.is_empty() {
            let batch = EventBatch { events: std::mem::take(&mut self.events), attrs: self.attrs.take() };
            self.full.push(Arc::new(batch));
        }
    }

    /// Hands the batches to the driver.
    pub fn publish(&mut self, out: &mut Vec<Action>) {
        self.close_batch();
        out.extend(self.full.drain(..).map(Action::Events));
    }
}
