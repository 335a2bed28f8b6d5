//! The currency between whoever decodes UPDATEs (a session, an MRT file, the demo) and the engine: what was
//! announced and withdrawn, in order, in two buffers that are used again and again.

use std::ops::Range;

use super::{
    attribute::AttrSet,
    nlri::{self, OpaqueIter, PrefixIter, V4Iter, V6Iter},
    update::Scratch,
};
use crate::types::{Family, PathId, Prefix};

/// What an item says about its routes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ItemKind {
    /// They can be reached with these attributes.
    Announce,
    /// They cannot be reached any more.
    Withdraw,
    /// The first sending of the family's routes is complete (RFC 4724 §2); there are no routes in the item.
    EndOfRib,
}

#[derive(Clone, Debug)]
struct Item {
    kind: ItemKind,
    family: Family,
    add_path: bool,
    attrs: Range<u32>,
    nlri: Range<u32>,
}

/// Decoded UPDATEs, oldest first. One UPDATE gives at most four items: withdrawals before announcements, so that
/// a prefix that stands in both ends up announced.
///
/// Nothing is allocated per UPDATE once the buffers have grown to the size of the largest batch.
#[derive(Clone, Debug, Default)]
pub struct UpdateBatch {
    bytes: Vec<u8>,
    items: Vec<Item>,
    pub(super) scratch: Scratch,
}

/// How far a batch was filled: what is behind can be taken back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    bytes: usize,
    items: usize,
}

impl UpdateBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all items, keeps the buffers.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Octets of attributes and NLRI that the batch holds.
    pub fn octets(&self) -> usize {
        self.bytes.len()
    }

    /// Octets that the buffers could hold without growing; for tests and for pools that let go of large batches.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() + self.items.capacity() * size_of::<Item>()
    }

    /// The items in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = UpdateItem<'_>> {
        self.items.iter().map(|item| self.view(item))
    }

    /// The item at `index`, counted from 0.
    pub fn get(&self, index: usize) -> Option<UpdateItem<'_>> {
        self.items.get(index).map(|item| self.view(item))
    }

    /// Appends routes of a plain-prefix family, as if an UPDATE had brought them. Attributes are for announcements
    /// and must be canonical. Prefixes of the other address family do not belong here: they are left out.
    pub fn push_prefixes(&mut self, kind: ItemKind, family: Family, attrs: AttrSet<'_>, routes: &[(PathId, Prefix)]) {
        let attrs = self.append(|out| out.extend_from_slice(attrs.as_bytes()));
        let add_path = routes.iter().any(|(path_id, _)| *path_id != 0);
        let nlri = self.append(|out| {
            for (path_id, prefix) in routes.iter().filter(|(_, prefix)| prefix.is_v4() == (family.afi == 1)) {
                nlri::push_prefix_wire(add_path.then_some(*path_id), *prefix, out);
            }
        });
        self.push(kind, family, add_path, attrs, nlri);
    }

    /// Appends one route of a family without plain prefixes; key and labels as in [`OpaqueIter`].
    pub fn push_opaque(
        &mut self,
        kind: ItemKind,
        family: Family,
        attrs: AttrSet<'_>,
        (path_id, key, labels): (PathId, &[u8], &[u8]),
    ) {
        let attrs = self.append(|out| out.extend_from_slice(attrs.as_bytes()));
        let nlri = self.append(|out| nlri::push_opaque(path_id, labels, key, out));
        self.push(kind, family, path_id != 0, attrs, nlri);
    }

    /// Appends the mark that the first sending of `family` is complete.
    pub fn push_end_of_rib(&mut self, family: Family) {
        self.push(ItemKind::EndOfRib, family, false, 0..0, 0..0);
    }

    /// Runs `write` on the octets of the batch; the range is what it appended.
    #[inline]
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<u32> {
        let start = self.position();
        write(&mut self.bytes);
        start..self.position()
    }

    #[inline]
    pub(super) fn push(&mut self, kind: ItemKind, family: Family, add_path: bool, attrs: Range<u32>, nlri: Range<u32>) {
        self.items.push(Item { kind, family, add_path, attrs, nlri });
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), items: self.items.len() }
    }

    /// Takes back what was appended since `mark`.
    pub(super) fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.items.truncate(mark.items);
    }

    /// A batch above 4 GiB would read as empty behind that point; drivers hand batches on at a few hundred KiB.
    #[inline]
    fn position(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    #[inline]
    fn view(&self, item: &Item) -> UpdateItem<'_> {
        UpdateItem {
            kind: item.kind,
            family: item.family,
            add_path: item.add_path,
            attrs: AttrSet::new(self.slice(&item.attrs)),
            nlri: self.slice(&item.nlri),
        }
    }

    #[inline]
    fn slice(&self, range: &Range<u32>) -> &[u8] {
        self.bytes.get(range.start as usize..range.end as usize).unwrap_or_default()
    }
}

/// Routes of one family that share attributes, as decoded from one UPDATE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpdateItem<'a> {
    /// Announced, withdrawn, or the mark behind the first sending.
    pub kind: ItemKind,
    /// Family of the routes.
    pub family: Family,
    /// Whether path identifiers stand in front of plain prefixes. Read the routes with the iterators below.
    pub add_path: bool,
    /// The canonical attributes; empty unless announced.
    pub attrs: AttrSet<'a>,
    /// The routes in the form of a batch (see `nlri`).
    pub nlri: &'a [u8],
}

impl<'a> UpdateItem<'a> {
    /// Routes of a plain-prefix family; nothing for others.
    pub fn prefixes(&self) -> PrefixIter<'a> {
        PrefixIter::new(self.family, self.nlri, self.add_path)
    }

    /// IPv4 prefixes, for the hot path. Only for AFI 1 plain-prefix families.
    pub fn v4(&self) -> V4Iter<'a> {
        nlri::v4(self.nlri, self.add_path)
    }

    /// IPv6 prefixes, for the hot path. Only for AFI 2 plain-prefix families.
    pub fn v6(&self) -> V6Iter<'a> {
        nlri::v6(self.nlri, self.add_path)
    }

    /// Routes of a family without plain prefixes; nothing for plain-prefix families.
    pub fn opaque(&self) -> OpaqueIter<'a> {
        OpaqueIter::new(if self.family.is_plain_prefix() { &[] } else { self.nlri })
    }

    /// Number of routes; walks them.
    pub fn routes(&self) -> usize {
        if self.family.is_plain_prefix() { self.prefixes().count() } else { self.opaque().count() }
    }
}
