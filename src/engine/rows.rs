//! Rows for readers and listeners: a path of the tables in the words of `view`, its attribute octets copied once
//! per page however many rows share them.

use std::{collections::HashMap, ops::Range, sync::Arc};

use rustc_hash::FxBuildHasher;

use crate::{
    rib::{AttrStore, NlriRef, Path, PathFlags, SetId},
    types::{Family, Timestamp},
    view::{Nlri, RouteRow},
};

use super::{
    import::{Unusable, Validity, prefix_of, trace},
    sessions::Sessions,
};

/// The attribute octets of a page, each distinct set once.
#[derive(Debug, Default)]
pub struct AttrPool {
    /// The octets that rows point into.
    pub octets: Vec<u8>,
    ranges: HashMap<SetId, Range<u32>, FxBuildHasher>,
}

impl AttrPool {
    /// Where the octets of `set` are, copied if this is the first time.
    pub fn range(&mut self, attrs: &AttrStore, set: SetId) -> Range<u32> {
        if let Some(range) = self.ranges.get(&set) {
            return range.clone();
        }
        let range = self.push(attrs.get(set).as_bytes());
        self.ranges.insert(set, range.clone());
        range
    }

    /// Copies octets that are no interned set.
    pub fn push(&mut self, octets: &[u8]) -> Range<u32> {
        let start = self.octets.len() as u32; // a page is bounded far below 4 GiB by its row limit
        self.octets.extend_from_slice(octets);
        start..self.octets.len() as u32
    }

    /// Takes the octets and forgets where the sets were.
    pub fn take(&mut self) -> Vec<u8> {
        self.ranges.clear();
        std::mem::take(&mut self.octets)
    }
}

/// What a row says of its prefix.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Address family.
    pub family: Family,
    /// What is routed.
    pub nlri: NlriRef<'a>,
    /// Label stack octets.
    pub labels: &'a [u8],
}

/// The row of a path; `attrs` is where the attributes stand that the answer is about.
pub fn row(
    subject: Subject<'_>,
    path: &Path,
    best: bool,
    attrs: Range<u32>,
    store: &AttrStore,
    sessions: &Sessions,
) -> RouteRow {
    RouteRow {
        family: subject.family,
        nlri: owned(subject.nlri),
        labels: subject.labels.into(),
        peer: sessions.peer(path.session),
        path_id: path.path_id,
        attrs,
        best,
        multipath: None,
        stale: path.flags.has(PathFlags::STALE),
        received_at: Timestamp::from_secs(path.received_secs.into()),
        rejected_by: rejected_by(subject, path, store, sessions),
        validation: Validity::of(path.flags).origin,
        aspa: Validity::of(path.flags).path,
    }
}

/// The policy and statement that rejected a path. Asked of the policies again: a path keeps only that it was
/// rejected.
pub fn rejected_by(subject: Subject<'_>, path: &Path, store: &AttrStore, sessions: &Sessions) -> Option<Arc<str>> {
    if path.flags.has(PathFlags::UNUSABLE) && !path.flags.has(PathFlags::REJECTED) {
        return Unusable::why_no_flow(path.flags.detail()).map(|why| format!("validation: {why}").into());
    }
    if !path.flags.has(PathFlags::REJECTED) {
        return None;
    }
    let rules = &sessions.get(path.session)?.import;
    let by = match rules.chain.constant() {
        Some(by) => by,
        None => trace(rules, subject.family, store, path, prefix_of(subject.nlri)).by,
    };
    Some(by.to_string().into())
}

/// The NLRI in the reader's words.
pub fn owned(nlri: NlriRef<'_>) -> Nlri {
    match nlri {
        NlriRef::Prefix(prefix) => Nlri::Prefix(prefix),
        NlriRef::Opaque(key) => Nlri::Opaque(key.into()),
    }
}

/// The NLRI in the table's words.
pub fn borrowed(nlri: &Nlri) -> NlriRef<'_> {
    match nlri {
        Nlri::Prefix(prefix) => NlriRef::Prefix(*prefix),
        Nlri::Opaque(key) => NlriRef::Opaque(key),
    }
}
