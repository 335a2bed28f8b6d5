//! The paths of each prefix: one compact slice per prefix, sorted by session and path id, with the index of the
//! best one. Adj-RIB-In and Loc-RIB (RFC 4271 §3.2) share these: the Loc-RIB of a prefix is an index into them.
//!
//! What a path's attributes say is in `attrs`; which path is best is decided in `best_path`.

use std::hint::black_box;

use crate::{
    rib::{PrefixId, arena::SlotArena, attrs::SetId, paged_array::PagedArray},
    types::PathId,
};

/// Small number of a session (or of our own routes) inside one `Rib`, an index into its facts. The engine hands
/// them out and uses one again only after the last path under it is gone.
pub type SessionSlot = u16;

/// Marks on a path.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PathFlags(u16);

impl PathFlags {
    /// Kept over a session loss, not yet confirmed (RFC 4724 §4.1).
    pub const STALE: Self = Self(1);
    /// Long-lived stale: loses to everything else (RFC 9494 §4.3).
    pub const LLGR_STALE: Self = Self(1 << 1);
    /// Flips with every refresh; tells paths that were sent again from those that were not (RFC 7313 §4).
    pub const EPOCH: Self = Self(1 << 2);
    /// Rejected by import policy; `detail` says by which.
    pub const REJECTED: Self = Self(1 << 3);
    /// Not eligible for another reason (AS loop, RFC 4271 §9.1.2; reflection loop, RFC 4456 §8); `detail` says which.
    pub const UNUSABLE: Self = Self(1 << 4);

    /// State of the path's origin (RFC 6811), two bits.
    const ORIGIN_STATE: u16 = 3 << ORIGIN_STATE_AT;
    /// State of its AS_PATH (ASPA), two bits.
    const PATH_STATE: u16 = 3 << PATH_STATE_AT;
    /// The index of a reason, beside `REJECTED` or `UNUSABLE`.
    const DETAIL: u16 = 15 << DETAIL_AT;

    /// What import says of a path: whether and why it is not eligible, and what RPKI says of it.
    const VERDICT: u16 = Self::REJECTED.0 | Self::UNUSABLE.0 | Self::ORIGIN_STATE | Self::PATH_STATE | Self::DETAIL;

    /// Import's verdict alone, with its detail.
    pub fn verdict(self) -> Self {
        Self(self.0 & Self::VERDICT)
    }

    /// These marks with another verdict of import.
    #[must_use]
    pub fn with_verdict(self, verdict: Self) -> Self {
        Self(self.0 & !Self::VERDICT | verdict.verdict().0)
    }

    /// Whether all marks of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These marks and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These marks without those of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the path may be chosen: neither rejected nor unusable.
    pub fn is_eligible(self) -> bool {
        self.0 & (Self::REJECTED.0 | Self::UNUSABLE.0) == 0
    }

    /// A number below 16 that the engine keeps beside `REJECTED` or `UNUSABLE`: the index of a reason.
    pub fn detail(self) -> u8 {
        ((self.0 & Self::DETAIL) >> DETAIL_AT) as u8
    }

    /// Two numbers below 4 that the engine keeps: what RPKI says of the origin and of the path.
    pub fn validity(self) -> (u8, u8) {
        let of = |mask: u16, at: u32| ((self.0 & mask) >> at) as u8;
        (of(Self::ORIGIN_STATE, ORIGIN_STATE_AT), of(Self::PATH_STATE, PATH_STATE_AT))
    }

    /// These marks with other numbers for origin and path; of each the low two bits are kept.
    #[must_use]
    pub fn with_validity(self, origin: u8, path: u8) -> Self {
        let states = u16::from(origin & 3) << ORIGIN_STATE_AT | u16::from(path & 3) << PATH_STATE_AT;
        Self(self.0 & !(Self::ORIGIN_STATE | Self::PATH_STATE) | states)
    }

    /// These marks with another detail.
    #[must_use]
    pub fn with_detail(self, detail: u8) -> Self {
        Self(self.0 & !Self::DETAIL | u16::from(detail & 15) << DETAIL_AT)
    }
}

const ORIGIN_STATE_AT: u32 = 5;
const DETAIL_AT: u32 = 8;
const PATH_STATE_AT: u32 = 12;

/// One path as received: 16 octets.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Path {
    /// Its attributes: as received, or a derived set (`attrs`) that has both those and what import made of them. A
    /// stored path owns one reference to the set.
    pub set: SetId,
    /// When it was received, seconds since the Unix epoch.
    pub received_secs: u32,
    /// Path Identifier (RFC 7911 §3); 0 without ADD-PATH.
    pub path_id: PathId,
    /// Which session sent it.
    pub session: SessionSlot,
    /// Marks.
    pub flags: PathFlags,
}

impl Path {
    /// Place in the slice of its prefix, and what makes it the same path when sent again.
    fn order(&self) -> u64 {
        order(self.session, self.path_id)
    }
}

fn order(session: SessionSlot, path_id: PathId) -> u64 {
    u64::from(session) << 32 | u64::from(path_id)
}

/// What `upsert` did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upserted {
    /// Where the path stands now in the slice of its prefix.
    pub index: usize,
    /// The path it replaced (implicit withdraw, RFC 4271 §3.1). Its reference to the set is the caller's now.
    pub replaced: Option<Path>,
}

/// A prefix can hold no more paths: 65,535 are there, or `SESSION_PATHS_MAX` of the same session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// Paths of one prefix that one session may have (ADD-PATH). Filing a path moves those behind it, so this bounds what a
/// neighbour can make us do per path; real ones send a few dozen at most.
pub const SESSION_PATHS_MAX: usize = 1024;

const NO_BEST: u16 = u16::MAX;

/// Where the paths of a prefix are: 8 octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    block: u32,
    count: u16,
    best: u16,
}

impl Default for Entry {
    fn default() -> Self {
        Self { block: 0, count: 0, best: NO_BEST }
    }
}

/// Room for this many paths comes in one piece; above, in quarters of a power of two.
const CAPACITIES: &[u16] =
    &[1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256];

/// Paths in a page of memory: 8 KiB, and classes up to 256 lose at most a quarter of it.
const PAGE_PATHS: usize = 512;

/// How much room `count` paths are given. Depends on nothing else, so an entry need not remember it.
fn capacity(count: usize) -> usize {
    match CAPACITIES.get(CAPACITIES.partition_point(|&c| usize::from(c) < count)) {
        Some(&capacity) => capacity.into(),
        None => count.next_multiple_of(count.next_power_of_two() / 8),
    }
}

/// The paths of all prefixes of one family.
#[derive(Debug)]
pub(crate) struct Paths {
    entries: PagedArray<Entry>,
    blocks: SlotArena<Path>,
    paths: u64,
    prefixes: u64,
    best: u64,
}

impl Default for Paths {
    fn default() -> Self {
        let blocks = SlotArena::new(CAPACITIES, PAGE_PATHS);
        Self { entries: PagedArray::default(), blocks, paths: 0, prefixes: 0, best: 0 }
    }
}

impl Paths {
    /// The paths of a prefix by session and path id; empty for an id without paths.
    #[inline]
    pub(crate) fn of(&self, id: PrefixId) -> &[Path] {
        self.slice(self.entries.get(id.0))
    }

    fn slice(&self, entry: Entry) -> &[Path] {
        if entry.count == 0 { &[] } else { &self.blocks.get(entry.block)[..entry.count.into()] }
    }

    /// Index of the best path.
    #[inline]
    pub(crate) fn best(&self, id: PrefixId) -> Option<usize> {
        let best = self.entries.get(id.0).best;
        (best != NO_BEST).then_some(best.into())
    }

    /// Sets the index of the best path; one out of range counts as none.
    pub(crate) fn set_best(&mut self, id: PrefixId, best: Option<usize>) {
        let entry = self.entries.get(id.0);
        let best = best.filter(|&index| index < entry.count.into()).map_or(NO_BEST, |index| index as u16);
        if best != entry.best {
            self.best += u64::from(best != NO_BEST);
            self.best -= u64::from(entry.best != NO_BEST);
            self.entries.set(id.0, Entry { best, ..entry });
        }
    }

    /// Index of the path of `session` with `path_id`; `Err` is where it would stand.
    pub(crate) fn find(&self, id: PrefixId, session: SessionSlot, path_id: PathId) -> Result<usize, usize> {
        search(self.of(id), order(session, path_id))
    }

    /// Reads the first path of each id, all at the same time.
    pub(crate) fn warm<const N: usize>(&self, ids: [Option<PrefixId>; N]) {
        let entries = ids.map(|id| id.map(|id| self.entries.get(id.0)));
        for entry in entries.iter().flatten() {
            black_box(self.slice(*entry).first().copied());
        }
    }

    /// Adds a path, or replaces the one of the same session and path id. The best index keeps naming the same
    /// path (the replacing one if that was best).
    pub(crate) fn upsert(&mut self, id: PrefixId, path: Path) -> Result<Upserted, Full> {
        let mut entry = self.entries.get(id.0);
        let count = usize::from(entry.count);
        if count == 0 {
            (entry.block, entry.count) = (self.blocks.alloc(1), 1);
            self.blocks.get_mut(entry.block)[0] = path;
            self.entries.set(id.0, entry);
            self.paths += 1;
            self.prefixes += 1;
            return Ok(Upserted { index: 0, replaced: None });
        }
        let paths = &mut self.blocks.get_mut(entry.block)[..count];
        let index = match search(paths, path.order()) {
            Ok(index) => {
                let replaced = std::mem::replace(&mut paths[index], path);
                return Ok(Upserted { index, replaced: Some(replaced) });
            }
            Err(index) => index,
        };
        if entry.count == u16::MAX || count >= SESSION_PATHS_MAX && is_crowded(paths, path.session) {
            return Err(Full);
        }
        entry.count += 1;
        if entry.best != NO_BEST && usize::from(entry.best) >= index {
            entry.best += 1;
        }
        if capacity(count + 1) != capacity(count) {
            entry.block = self.move_block(entry.block, count, count + 1);
        }
        let block = self.blocks.get_mut(entry.block);
        block.copy_within(index..count, index + 1);
        block[index] = path;
        self.entries.set(id.0, entry);
        self.paths += 1;
        Ok(Upserted { index, replaced: None })
    }

    /// Takes the path at `index` out; `None` when there is none. If it was the best, the prefix has no best now.
    pub(crate) fn remove(&mut self, id: PrefixId, index: usize) -> Option<Path> {
        let mut entry = self.entries.get(id.0);
        let count = usize::from(entry.count);
        if index >= count {
            return None;
        }
        let block = self.blocks.get_mut(entry.block);
        let removed = block[index];
        block.copy_within(index + 1..count, index);
        entry.count -= 1;
        if usize::from(entry.best) == index {
            entry.best = NO_BEST;
            self.best -= 1;
        } else if entry.best != NO_BEST && usize::from(entry.best) > index {
            entry.best -= 1;
        }
        if count == 1 {
            self.blocks.free(entry.block);
            entry = Entry::default();
            self.prefixes -= 1;
        } else if capacity(count - 1) != capacity(count) {
            entry.block = self.move_block(entry.block, count - 1, count - 1);
        }
        self.entries.set(id.0, entry);
        self.paths -= 1;
        Some(removed)
    }

    /// Rewrites the flags of the path at `index`.
    pub(crate) fn set_flags(&mut self, id: PrefixId, index: usize, flags: PathFlags) {
        let entry = self.entries.get(id.0);
        if index < entry.count.into() {
            self.blocks.get_mut(entry.block)[index].flags = flags;
        }
    }

    /// Ids with paths among the `n` ids from `from` on, in memory order.
    pub(crate) fn scan(&self, from: u32, n: u32) -> impl Iterator<Item = PrefixId> {
        let end = self.entries.end().min(from.saturating_add(n));
        (from..end).filter(|&id| self.entries.get(id).count != 0).map(PrefixId)
    }

    /// One behind the highest id that can have paths.
    pub(crate) fn end(&self) -> u32 {
        self.entries.end()
    }

    /// Moves the first `keep` paths of a block to a new one with room for `room` paths.
    fn move_block(&mut self, old: u32, keep: usize, room: usize) -> u32 {
        let new = self.blocks.alloc(capacity(room));
        self.blocks.copy(old, new, keep);
        self.blocks.free(old);
        new
    }

    /// Paths, prefixes that have any, prefixes that have a best one.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        (self.paths, self.prefixes, self.best)
    }

    /// Octets allocated.
    pub(crate) fn octets(&self) -> usize {
        self.entries.octets() + self.blocks.octets()
    }
}

/// Whether a session has all the paths it may have.
fn is_crowded(paths: &[Path], session: SessionSlot) -> bool {
    let first = paths.partition_point(|path| path.session < session);
    let behind = paths.partition_point(|path| path.session <= session);
    behind - first >= SESSION_PATHS_MAX
}

/// Index of the path with this order; most prefixes have few paths, and the newest session is often the last.
fn search(paths: &[Path], order: u64) -> Result<usize, usize> {
    paths.binary_search_by_key(&order, Path::order)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Upsert { id: u32, session: u16, path_id: u32 },
        Remove { id: u32, index: usize },
        SetBest { id: u32, best: Option<usize> },
        SetFlags { id: u32, index: usize },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (0u32..5, 0u16..40, 0u32..4).prop_map(|(id, session, path_id)| Op::Upsert { id: id * 300, session, path_id }),
            3 => (0u32..5, 0usize..40).prop_map(|(id, index)| Op::Remove { id: id * 300, index }),
            1 => (0u32..5, prop::option::of(0usize..50)).prop_map(|(id, best)| Op::SetBest { id: id * 300, best }),
            1 => (0u32..5, 0usize..40).prop_map(|(id, index)| Op::SetFlags { id: id * 300, index }),
        ]
    }

    /// The paths of one id, and the session and path id of the best.
    type Model = (BTreeMap<(u16, u32), Path>, Option<(u16, u32)>);

    fn index_of(model: &Model, key: (u16, u32)) -> usize {
        model.0.keys().position(|&k| k == key).expect("it is there")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn paths_agree_with_a_map_per_prefix(ops in prop::collection::vec(op(), 1..600)) {
            let mut paths = Paths::default();
            let mut models: BTreeMap<u32, Model> = BTreeMap::new();
            for (stamp, op) in (0..).zip(ops) {
                match op {
                    Op::Upsert { id, session, path_id } => {
                        let path = Path { received_secs: stamp, session, path_id, ..Path::default() };
                        let model = models.entry(id).or_default();
                        let replaced = model.0.insert((session, path_id), path);
                        let expected = Upserted { index: index_of(model, (session, path_id)), replaced };
                        prop_assert_eq!(paths.upsert(PrefixId(id), path), Ok(expected));
                    }
                    Op::Remove { id, index } => {
                        let model = models.entry(id).or_default();
                        let key = model.0.keys().nth(index).copied();
                        let removed = key.and_then(|key| model.0.remove(&key));
                        model.1 = model.1.filter(|best| Some(*best) != key);
                        prop_assert_eq!(paths.remove(PrefixId(id), index), removed);
                    }
                    Op::SetBest { id, best } => {
                        let model = models.entry(id).or_default();
                        model.1 = best.and_then(|best| model.0.keys().nth(best).copied());
                        paths.set_best(PrefixId(id), best);
                    }
                    Op::SetFlags { id, index } => {
                        let model = models.entry(id).or_default();
                        let flags = PathFlags::STALE.with_detail(stamp as u8);
                        if let Some((_, path)) = model.0.iter_mut().nth(index) {
                            path.flags = flags;
                        }
                        paths.set_flags(PrefixId(id), index, flags);
                    }
                }
                for (&id, model) in &models {
                    let id = PrefixId(id);
                    prop_assert!(paths.of(id).iter().eq(model.0.values()));
                    prop_assert_eq!(paths.best(id), model.1.map(|best| index_of(model, best)));
                    for (index, (session, path_id)) in model.0.keys().enumerate() {
                        prop_assert_eq!(paths.find(id, *session, *path_id), Ok(index));
                    }
                }
                let sum = |count: fn(&Model) -> usize| models.values().map(count).sum::<usize>() as u64;
                let expected = (sum(|m| m.0.len()), sum(|m| (!m.0.is_empty()).into()), sum(|m| m.1.is_some().into()));
                prop_assert_eq!(paths.counts(), expected);
                let seen: Vec<_> = paths.scan(0, u32::MAX).map(|id| id.0).collect();
                let expected: Vec<_> = models.iter().filter(|(_, m)| !m.0.is_empty()).map(|(&id, _)| id).collect();
                prop_assert_eq!(seen, expected);
            }
        }
    }

    #[test]
    fn a_prefix_takes_65535_paths_and_says_when_it_is_full() {
        let mut paths = Paths::default();
        let path = |n: u32| Path { session: (n / 1000) as u16, path_id: n % 1000, ..Path::default() };
        for n in 0..65_535 {
            assert!(paths.upsert(PrefixId(0), path(n)).is_ok());
        }
        paths.set_best(PrefixId(0), Some(65_534));
        assert_eq!(paths.best(PrefixId(0)), Some(65_534), "the last index is not taken for none");
        assert_eq!(paths.upsert(PrefixId(0), path(65_535)), Err(Full));
        assert!(paths.upsert(PrefixId(0), path(0)).is_ok_and(|done| done.replaced.is_some()));
        for index in (0..65_535).rev() {
            assert!(paths.remove(PrefixId(0), index).is_some());
        }
        assert_eq!(paths.counts(), (0, 0, 0));
        assert!(paths.octets() < 1_000_000, "pages may stay: {}", paths.octets());
    }

    #[test]
    fn one_session_cannot_crowd_a_prefix() {
        let mut paths = Paths::default();
        let path = |session, path_id| Path { session, path_id, ..Path::default() };
        assert!(paths.upsert(PrefixId(0), path(9, 0)).is_ok());
        for path_id in (0..SESSION_PATHS_MAX as u32).rev() {
            assert!(paths.upsert(PrefixId(0), path(5, path_id)).is_ok());
        }
        assert_eq!(paths.upsert(PrefixId(0), path(5, u32::MAX)), Err(Full));
        assert!(
            paths.upsert(PrefixId(0), path(5, 7)).is_ok_and(|done| done.replaced.is_some()),
            "it may replace its own"
        );
        assert!(paths.upsert(PrefixId(0), path(6, 0)).is_ok(), "others still have room");
    }

    #[test]
    fn room_is_never_less_than_paths_and_at_most_a_third_more_from_eight_on() {
        for count in 1..=65_535 {
            let room = capacity(count);
            assert!(room >= count && (count < 8 || room * 3 <= count * 4), "{room} for {count}");
        }
    }

    #[test]
    fn marks_detail_and_validity_do_not_touch_each_other() {
        let flags = PathFlags::STALE.with(PathFlags::REJECTED).with_detail(0xb).with_validity(3, 2);
        assert_eq!((flags.detail(), flags.validity()), (0xb, (3, 2)));
        assert!(flags.has(PathFlags::STALE) && !flags.has(PathFlags::EPOCH) && !flags.is_eligible());
        let accepted = flags.without(PathFlags::REJECTED);
        assert!(accepted.is_eligible() && accepted.detail() == 0xb && accepted.validity() == (3, 2));
        let again = flags.with_verdict(PathFlags::UNUSABLE.with_detail(3).with_validity(1, 0));
        assert_eq!(again, PathFlags::STALE.with(PathFlags::UNUSABLE).with_detail(3).with_validity(1, 0));
        assert_eq!(again.verdict(), PathFlags::UNUSABLE.with_detail(3).with_validity(1, 0));
        assert_eq!(again.with_detail(0).with_validity(0, 0), PathFlags::STALE.with(PathFlags::UNUSABLE));
        // More than fits is cut, not spilled.
        assert_eq!(PathFlags::default().with_detail(0xab).with_validity(7, 4).validity(), (3, 0));
        assert!(PathFlags::default().with_detail(0xab).is_eligible());
    }
}
