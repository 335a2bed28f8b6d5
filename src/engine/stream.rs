//! From decisions to octets: a page of routes to announce and withdraw becomes packed UPDATEs, encoded once, and
//! each member of a group is handed those that are for it as slices of the same buffer.

use std::{collections::HashMap, ops::Range};

use bytes::Bytes;
use rustc_hash::FxBuildHasher;

use crate::{
    rib::{AttrStore, NlriRef, Path, PrefixId, SetId, Table},
    types::Family,
    wire::bgp::{
        attribute::AttrSet,
        update::{EncodeContext, UpdateWriter},
    },
};

use super::{
    sessions::Slot,
    transform::{Learned, Withheld, transform},
    update_group::{GroupKey, PATH_ID},
};

/// Octets of an UPDATE besides the attributes of a canonical set and the NLRI: header, two length fields
/// (RFC 4271 §4.3), and the extended length and the reserved octet of MP_REACH_NLRI (RFC 4760 §3).
const UPDATE_OVERHEAD: usize = 19 + 4 + 2;

/// The attributes a group is sent for a set: worked out once per page.
#[derive(Debug, Default)]
pub struct Prepared {
    octets: Vec<u8>,
    sets: Vec<Range<usize>>,
    known: HashMap<(SetId, Learned), Result<u32, Withheld>, FxBuildHasher>,
    scratch: Vec<u8>,
    last: Option<((SetId, Learned), Result<u32, Withheld>)>,
}

impl Prepared {
    /// Forgets everything; needed between pages, since sets come and go, and between groups and families.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.sets.clear();
        self.known.clear();
        self.last = None;
    }

    /// The number of the prepared set in this page, or why the route is not sent.
    #[inline]
    pub fn prepare(
        &mut self,
        attrs: &AttrStore,
        set: SetId,
        learned: Learned,
        family: Family,
        group: &GroupKey,
    ) -> Result<u32, Withheld> {
        let key = (set, learned);
        if let Some((last, result)) = self.last
            && last == key
        {
            return result;
        }
        let result = match self.known.get(&key) {
            Some(result) => *result,
            None => {
                let result = self.work_out(attrs.get(set), learned, family, group);
                self.known.insert(key, result);
                result
            }
        };
        self.last = Some((key, result));
        result
    }

    fn work_out(
        &mut self,
        set: AttrSet<'_>,
        learned: Learned,
        family: Family,
        group: &GroupKey,
    ) -> Result<u32, Withheld> {
        if group.export.rejects_everything() {
            return Err(Withheld::Policy);
        }
        transform(set, family, learned, &group.rules, &mut self.scratch)?;
        let start = self.octets.len();
        self.octets.extend_from_slice(&self.scratch);
        Ok(self.number(start))
    }

    /// Takes over octets that were prepared elsewhere.
    pub fn adopt(&mut self, set: AttrSet<'_>) -> u32 {
        let start = self.octets.len();
        self.octets.extend_from_slice(set.as_bytes());
        self.number(start)
    }

    /// The number of the set whose octets stand from `start` on.
    fn number(&mut self, start: usize) -> u32 {
        self.sets.push(start..self.octets.len());
        self.sets.len() as u32 - 1 // a page has a few thousand sets
    }

    /// The octets of a prepared set.
    pub fn get(&self, number: u32) -> AttrSet<'_> {
        let range = self.sets.get(number as usize).cloned().unwrap_or_default();
        AttrSet::new(self.octets.get(range).unwrap_or_default())
    }

    /// Whether one route with this set fits a message of the group.
    pub fn fits(&self, number: u32, nlri: NlriRef<'_>, labels: usize, group: &GroupKey) -> bool {
        let set = self.get(number);
        let nlri = match nlri {
            NlriRef::Prefix(prefix) => 1 + usize::from(prefix.len()).div_ceil(8),
            NlriRef::Opaque(key) => key.len() + labels,
        };
        // Towards a two-octet speaker AS4_PATH and AS4_AGGREGATOR come on top (RFC 6793 §4.2.2): at most so much.
        let as4 = if group.four_octet_as { 0 } else { 13 + set.as_path().as_bytes().len() };
        set.as_bytes().len() + as4 + nlri + UPDATE_OVERHEAD <= group.max_len
    }
}

/// Who is to hear something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Audience {
    /// Everybody but this session. `LOCAL` is no neighbour, so it leaves nobody out.
    Except(Slot),
    /// This session alone.
    Only(Slot),
}

impl Audience {
    /// Whether `slot` hears it.
    pub fn hears(self, slot: Slot) -> bool {
        match self {
            Self::Except(left_out) => slot != left_out,
            Self::Only(alone) => slot == alone,
        }
    }
}

/// One route to announce or withdraw. Sorting by `order` brings those together that share a message.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// Withdrawals first, then by audience, then by prepared set in the order in which sets were met.
    order: u64,
    id: PrefixId,
    source: Slot,
}

const WITHDRAWN: u32 = u32::MAX;

/// A piece of the buffer: whole messages for one audience.
#[derive(Clone, Debug)]
struct Segment {
    audience: Audience,
    octets: Range<usize>,
    messages: u32,
}

impl Segment {
    /// Until completed, `octets` and `messages` say where the segment begins.
    fn end(self, octets: usize, messages: u32) -> Self {
        Self { octets: self.octets.start..octets, messages: messages - self.messages, ..self }
    }
}

/// What a page of an Adj-RIB-Out becomes.
#[derive(Debug, Default)]
pub struct Stream {
    /// Attributes worked out for this page.
    pub prepared: Prepared,
    /// The same by the key that the group had before, while rows are left that were told by it.
    pub past: Prepared,
    items: Vec<Item>,
    octets: Bytes,
    segments: Vec<Segment>,
}

impl Stream {
    /// Empties the page.
    pub fn clear(&mut self) {
        self.prepared.clear();
        self.past.clear();
        self.items.clear();
        self.segments.clear();
        self.octets = Bytes::new();
    }

    /// Adds an announcement with a prepared set; `source` is whose path it is, for its labels.
    pub fn announce(&mut self, audience: Audience, id: PrefixId, set: u32, source: Slot) {
        self.items.push(Item { order: order(true, audience, set), id, source });
    }

    /// Adds a withdrawal.
    pub fn withdraw(&mut self, audience: Audience, id: PrefixId) {
        self.items.push(Item { order: order(false, audience, WITHDRAWN), id, source: 0 });
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Encodes everything added since `clear`.
    pub fn encode(&mut self, table: &Table, group: &GroupKey) {
        self.items.sort_unstable_by_key(|item| (item.order, item.id));
        let context =
            EncodeContext { four_octet_as: group.four_octet_as, max_len: group.max_len, ..Default::default() };
        let mut writer = UpdateWriter::new(context);
        let mut open: Option<Segment> = None;
        for run in self.items.chunk_by(|a, b| a.order == b.order) {
            let Some((audience, set)) = run.first().map(|first| parts(first.order)) else { continue };
            // Beginning a run completes the messages of the one before.
            match set {
                WITHDRAWN => writer.withdraw(table.family()),
                set => writer.announce(table.family(), self.prepared.get(set)),
            }
            if open.as_ref().is_none_or(|open| open.audience != audience) {
                let (octets, messages) = (writer.octets(), writer.messages());
                self.segments.extend(open.take().map(|open| open.end(octets, messages)));
                open = Some(Segment { audience, octets: octets..octets, messages });
            }
            for item in run {
                push(&mut writer, table, item);
            }
        }
        let made = writer.take();
        self.segments.extend(open.take().map(|open| open.end(made.octets.len(), made.messages)));
        self.octets = made.octets.into();
    }

    /// What `slot` is to hear, in order, in as few pieces as the buffer allows.
    pub fn pieces(&self, slot: Slot) -> impl Iterator<Item = (Bytes, u32)> {
        let mut heard: Vec<(Range<usize>, u32)> = Vec::new();
        for segment in self.segments.iter().filter(|segment| segment.audience.hears(slot)) {
            match heard.last_mut().filter(|(octets, _)| octets.end == segment.octets.start) {
                Some((octets, messages)) => {
                    octets.end = segment.octets.end;
                    *messages += segment.messages;
                }
                None => heard.push((segment.octets.clone(), segment.messages)),
            }
        }
        heard.into_iter().filter(|(octets, _)| !octets.is_empty()).map(|(octets, n)| (self.octets.slice(octets), n))
    }
}

/// Adds the route of an item to the run.
fn push(writer: &mut UpdateWriter, table: &Table, item: &Item) {
    match table.nlri(item.id) {
        NlriRef::Prefix(prefix) => writer.push_prefix(PATH_ID, prefix),
        NlriRef::Opaque(key) => {
            // With ADD-PATH a session may have several paths here; labels are those of the one it is best with.
            let of_source = |path: &&Path| path.session == item.source;
            let best = table.best_path(item.id).filter(of_source);
            let path = best.or_else(|| table.paths(item.id).iter().find(of_source));
            let labels = path.map_or(&[][..], |path| table.labels(item.id, path.session, path.path_id));
            writer.push_opaque(PATH_ID, key, labels);
        }
    }
}

fn order(announce: bool, audience: Audience, set: u32) -> u64 {
    let (only, slot) = match audience {
        Audience::Except(slot) => (false, slot),
        Audience::Only(slot) => (true, slot),
    };
    u64::from(announce) << 49 | u64::from(only) << 48 | u64::from(slot) << 32 | u64::from(set)
}

fn parts(order: u64) -> (Audience, u32) {
    let slot = (order >> 32) as u16;
    let audience = if order >> 48 & 1 == 1 { Audience::Only(slot) } else { Audience::Except(slot) };
    (audience, order as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_holds_audience_and_set_and_puts_withdrawals_first() {
        let cases = [
            (false, Audience::Except(0), WITHDRAWN),
            (false, Audience::Except(7), WITHDRAWN),
            (false, Audience::Only(7), WITHDRAWN),
            (true, Audience::Except(0), 0),
            (true, Audience::Except(u16::MAX), 3),
            (true, Audience::Only(2), 4_000_000),
        ];
        let orders: Vec<u64> =
            cases.iter().map(|(announce, audience, set)| order(*announce, *audience, *set)).collect();
        assert!(orders.is_sorted(), "the cases stand in order");
        for ((_, audience, set), order) in cases.into_iter().zip(orders) {
            assert_eq!(parts(order), (audience, set));
        }
    }
}
