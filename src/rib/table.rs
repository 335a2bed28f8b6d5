//! One family: its NLRI in order, the paths of each from every session (Adj-RIB-In, RFC 4271 §3.2), and which of
//! them is best (Loc-RIB). Files what it is told; decisions are in `best_path`, their order in `engine`.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::{
    rib::{
        index::{Index, NlriRef, PrefixId},
        paths::{Full, Path, PathFlags, Paths, SessionSlot, Upserted},
        prefix_map::WARM,
    },
    types::{Family, PathId, Prefix},
};

/// How much is in a table; kept incrementally.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// NLRI with at least one path.
    pub prefixes: u64,
    /// Paths of all sessions.
    pub paths: u64,
    /// NLRI with a best path.
    pub best: u64,
}

/// The table of one family.
#[derive(Debug)]
pub struct Table {
    family: Family,
    index: Index,
    paths: Paths,
    labels: HashMap<(PrefixId, SessionSlot, PathId), Box<[u8]>, FixedState>,
}

impl Table {
    /// An empty table; `seed` must be unknown to neighbours, who choose the path ids that labels are filed under.
    pub fn new(family: Family, seed: u64) -> Self {
        let labels = HashMap::with_hasher(FixedState::with_seed(seed));
        Self { family, index: Index::new(family), paths: Paths::default(), labels }
    }

    /// Whose routes these are.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The id of `nlri`; `None` when it is not there, or not of this family's kind.
    #[inline]
    pub fn find(&self, nlri: NlriRef<'_>) -> Option<PrefixId> {
        self.index.find(nlri)
    }

    /// The id of `nlri`, a new one without paths if it was not there; `None` when it is not of this family's kind.
    #[inline]
    pub fn find_or_insert(&mut self, nlri: NlriRef<'_>) -> Option<PrefixId> {
        self.index.find_or_insert(nlri)
    }

    /// Asks the memory for what filing paths of these NLRI will read, for several at once instead of one after the
    /// other. Changes nothing and is never needed; worth calling with the next 2 to 8 NLRI of an UPDATE before they are
    /// filed or withdrawn, since most of the time of a big table goes into waiting for memory.
    ///
    /// What is known already is noted in `known`, in the order of the NLRI, for [`find_known`](Self::find_known).
    pub fn warm(&self, nlri: &[NlriRef<'_>], known: &mut [Option<PrefixId>]) {
        for (some, known) in nlri.chunks(WARM).zip(known.chunks_mut(WARM)) {
            let ids = self.index.warm(some);
            self.paths.warm(ids);
            known.iter_mut().zip(ids).for_each(|(known, id)| *known = id);
        }
    }

    /// The id of `nlri` if it is `known`, as `warm` noted it, and has paths still; else `find` is to be asked.
    #[inline]
    pub fn find_known(&self, nlri: NlriRef<'_>, known: Option<PrefixId>) -> Option<PrefixId> {
        // An id that was freed in the meantime has no paths, one that was given away again has another NLRI.
        known.filter(|&id| !self.paths.of(id).is_empty() && self.index.nlri(id) == nlri)
    }

    /// Frees the id if it has no paths; true when it was freed. Until then the id stays valid, so that an
    /// Adj-RIB-Out can still withdraw what it sent: free it when no Adj-RIB-Out holds it any more.
    pub fn free_if_empty(&mut self, id: PrefixId) -> bool {
        if !self.paths.of(id).is_empty() {
            return false;
        }
        self.index.remove_each(&[id]);
        true
    }

    /// Frees those of several ids that have no paths, see [`free_if_empty`](Self::free_if_empty): what has to be read
    /// for one does not wait for another. Each id is named once.
    pub fn free_all_if_empty(&mut self, ids: &[PrefixId]) {
        for some in ids.chunks(WARM) {
            let mut empty = [PrefixId(0); WARM];
            let mut count = 0;
            for &id in some.iter().filter(|id| self.paths.of(**id).is_empty()) {
                empty[count] = id;
                count += 1;
            }
            self.index.remove_each(&empty[..count]);
        }
    }

    /// The NLRI of an id in use.
    #[inline]
    pub fn nlri(&self, id: PrefixId) -> NlriRef<'_> {
        self.index.nlri(id)
    }

    /// The paths of an id, by session and path id.
    #[inline]
    pub fn paths(&self, id: PrefixId) -> &[Path] {
        self.paths.of(id)
    }

    /// Index in `paths` of what `session` sent with `path_id`.
    pub fn find_path(&self, id: PrefixId, session: SessionSlot, path_id: PathId) -> Option<usize> {
        self.paths.find(id, session, path_id).ok()
    }

    /// Index in `paths` of the best path.
    #[inline]
    pub fn best(&self, id: PrefixId) -> Option<usize> {
        self.paths.best(id)
    }

    /// The best path.
    pub fn best_path(&self, id: PrefixId) -> Option<&Path> {
        self.paths.of(id).get(self.paths.best(id)?)
    }

    /// Sets the best path by its index in `paths`.
    #[inline]
    pub fn set_best(&mut self, id: PrefixId, best: Option<usize>) {
        self.paths.set_best(id, best);
    }

    /// Files a path, or replaces the one of the same session and path id. Takes over one reference to `path.set`;
    /// the reference of a replaced path is the caller's. The best index keeps naming the path it named, or the one
    /// that replaced it: decide again after this.
    ///
    /// # Errors
    /// The prefix, or the session for this prefix, has all the paths it may have; nothing changed and the reference is still the caller's.
    #[inline]
    pub fn upsert(&mut self, id: PrefixId, path: Path) -> Result<Upserted, Full> {
        self.paths.upsert(id, path)
    }

    /// Takes out what `session` sent with `path_id`, its labels too. Its reference to the set is the caller's now.
    /// If it was the best, there is none until `set_best`. The id stays valid, see `free_if_empty`.
    pub fn remove(&mut self, id: PrefixId, session: SessionSlot, path_id: PathId) -> Option<Path> {
        let index = self.paths.find(id, session, path_id).ok()?;
        if !self.labels.is_empty() {
            self.labels.remove(&(id, session, path_id));
        }
        self.paths.remove(id, index)
    }

    /// Rewrites the marks of the path at `index` of `paths`.
    pub fn set_flags(&mut self, id: PrefixId, index: usize, flags: PathFlags) {
        self.paths.set_flags(id, index, flags);
    }

    /// Keeps the label stack octets of a path (RFC 8277); empty ones are forgotten. Labels differ from prefix to prefix
    /// where attribute sets do not, so they stand beside the path and not in its set.
    pub fn set_labels(&mut self, id: PrefixId, session: SessionSlot, path_id: PathId, labels: &[u8]) {
        let key = (id, session, path_id);
        if labels.is_empty() {
            self.labels.remove(&key);
        } else {
            self.labels.insert(key, labels.into());
        }
    }

    /// The label stack octets of a path; empty when it has none.
    pub fn labels(&self, id: PrefixId, session: SessionSlot, path_id: PathId) -> &[u8] {
        self.labels.get(&(id, session, path_id)).map_or(&[], |labels| labels)
    }

    /// The longest prefix in the table that is or covers `prefix`, whether or not it has a best path.
    pub fn longest_match(&self, prefix: Prefix) -> Option<PrefixId> {
        self.index.longest_match(prefix)
    }

    /// All prefixes that are or cover `prefix`, longest first.
    pub fn covering(&self, prefix: Prefix) -> impl Iterator<Item = PrefixId> + '_ {
        self.index.covering(prefix)
    }

    /// All prefixes that are `prefix` or inside it, in table order; with `after`, those behind it.
    pub fn inside(
        &self,
        prefix: Prefix,
        after: Option<NlriRef<'_>>,
    ) -> impl Iterator<Item = (NlriRef<'_>, PrefixId)> + '_ {
        self.index.inside(prefix, after)
    }

    /// Everything in table order; with `after`, what stands behind it, whether or not `after` itself is still there.
    pub fn after(&self, after: Option<NlriRef<'_>>) -> impl Iterator<Item = (NlriRef<'_>, PrefixId)> + '_ {
        self.index.after(after)
    }

    /// For background work over the whole table in memory order: appends to `ids` those with paths among the `n`
    /// ids from `from` on, and returns where to go on; `None` at the end. Start with 0. An id that gets its first
    /// path behind the point reached is seen, before it is not.
    pub fn scan(&self, from: u32, n: u32, ids: &mut Vec<PrefixId>) -> Option<u32> {
        ids.extend(self.paths.scan(from, n));
        let next = from.saturating_add(n);
        (next < self.paths.end()).then_some(next)
    }

    /// How much is in the table.
    pub fn counts(&self) -> Counts {
        let (paths, prefixes, best) = self.paths.counts();
        Counts { prefixes, paths, best }
    }

    /// Octets allocated.
    pub fn allocated_octets(&self) -> usize {
        let per_label = size_of::<((PrefixId, SessionSlot, PathId), Box<[u8]>)>() + 1 + 8;
        self.index.octets() + self.paths.octets() + self.labels.capacity() * per_label
    }
}

#[cfg(test)]
mod tests;
