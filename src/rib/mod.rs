//! What we know: Adj-RIB-In, Loc-RIB and Adj-RIB-Out (RFC 4271 §3.2) in compact tables.
//!
//! One owner, no locks, no reference-counted pointers: everything is a `u32` handle into paged memory.
//!
//! ```text
//! Table (per family)   NLRI <-> PrefixId   ordered index; dense ids             index, prefix_map
//!                      PrefixId -> [Path]  Adj-RIB-In of all sessions at once    paths
//!                      PrefixId -> best    Loc-RIB                               paths, decided by best_path
//! AttrStore            octets <-> SetId    interned attribute sets and facts     attrs
//! AdjRibOut (per group and family)         PrefixId -> last sent, dirty list     adj_rib_out
//! AdjRibOutMany (the same, ADD-PATH)       PrefixId, path id -> last sent        adj_rib_out_many
//! ```
//!
//! Invariants:
//! - A `Path` in a table and a row of an Adj-RIB-Out own one reference to their `SetId` each; what `upsert`, `remove` and
//!   `set_sent` hand back is the caller's to release. When all paths and rows are gone, the store is empty.
//! - The paths of a prefix are sorted by session and path id, and each pair occurs once.
//! - A `PrefixId` is freed by `Table::free_if_empty` only, never while it has paths; the engine does not free it
//!   while an Adj-RIB-Out holds it.
//! - Memory follows content: pages are given back when they are empty, and nothing large is ever copied to grow.
//! - What a neighbour can make one path cost is bounded: nothing walks a table; what is moved and compared are the paths of
//!   one prefix, of which a session has at most `paths::SESSION_PATHS_MAX`.
//! - The best path does not depend on the order of arrival.
//!
//! Nothing here knows a connection, a policy or the time; `received_secs` is what the engine says.

mod address;
pub mod adj_rib_out;
pub mod adj_rib_out_many;
mod arena;
pub mod attrs;
pub mod best_path;
mod index;
mod paged_array;
pub mod paths;
mod prefix_map;
pub mod set_facts;
pub mod table;

use crate::types::Family;

pub use adj_rib_out::{AdjRibOut, Sent};
pub use adj_rib_out_many::{AdjRibOutMany, SentPath};
pub use attrs::{AttrStore, SetId};
pub use best_path::{Change, Decision, Knobs, SessionFacts, Source, Step};
pub use index::{NlriRef, PrefixId};
pub use paths::{Full, Path, PathFlags, SessionSlot, Upserted};
pub use set_facts::SetFacts;
pub use table::{Counts, Table};

/// The tables of all families and the attribute sets they share.
#[derive(Debug)]
pub struct Rib {
    /// Attribute sets.
    pub attrs: AttrStore,
    /// One table per family that was ever asked for.
    pub tables: Tables,
}

impl Rib {
    /// An empty RIB; `seed` must be unknown to neighbours (hash flooding).
    pub fn new(seed: u64) -> Self {
        Self { attrs: AttrStore::new(seed), tables: Tables { seed, by_family: Vec::new() } }
    }

    /// Octets allocated for everything.
    pub fn allocated_octets(&self) -> usize {
        self.attrs.allocated_octets() + self.tables.iter().map(Table::allocated_octets).sum::<usize>()
    }
}

/// Tables by family. There are few families, so they stand in a row, in order.
#[derive(Debug, Default)]
pub struct Tables {
    seed: u64,
    by_family: Vec<Table>,
}

impl Tables {
    /// The table of a family; `None` when nothing was ever filed there.
    pub fn get(&self, family: Family) -> Option<&Table> {
        self.by_family.iter().find(|table| table.family() == family)
    }

    /// The table of a family, to be written; `None` as above.
    pub fn get_mut(&mut self, family: Family) -> Option<&mut Table> {
        self.by_family.iter_mut().find(|table| table.family() == family)
    }

    /// The table of a family, made if need be.
    pub fn open(&mut self, family: Family) -> &mut Table {
        let at = self.by_family.partition_point(|table| table.family() < family);
        if self.by_family.get(at).is_none_or(|table| table.family() != family) {
            self.by_family.insert(at, Table::new(family, self.seed));
        }
        &mut self.by_family[at]
    }

    /// All tables, by family.
    pub fn iter(&self) -> impl Iterator<Item = &Table> {
        self.by_family.iter()
    }
}
