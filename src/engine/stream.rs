//! From decisions to octets: a page of routes to announce and withdraw becomes packed UPDATEs, encoded once, and
//! each member of a group is handed those that are for it as slices of the same buffer.

use std::{collections::HashMap, ops::Range};

use bytes::Bytes;
use rustc_hash::FxBuildHasher;

use crate::{
    policy::{Evaluator, PathCounts, PerPrefix, Route},
    rib::{AttrStore, NlriRef, Path, PrefixId, SentPath, SetId, Table},
    types::{Family, FamilySet, PathId},
    validation::{OriginState, PathState},
    wire::bgp::{
        attribute::AttrSet,
        update::{EncodeContext, UpdateWriter},
    },
};

use super::{
    sessions::{Sessions, Slot},
    transform::{Learned, Outbound, Withheld, transform, withheld},
    update_group::{GroupKey, PATH_ID, RouteId, neighbor_facts},
};

/// Octets of an UPDATE besides the attributes of a canonical set and the NLRI: header, two length fields
/// (RFC 4271 §4.3), and the extended length and the reserved octet of MP_REACH_NLRI (RFC 4760 §3).
const UPDATE_OVERHEAD: usize = 19 + 4 + 2;

/// What preparing a route needs beside the route.
#[derive(Clone, Copy)]
pub struct Preparing<'a> {
    /// The sets.
    pub attrs: &'a AttrStore,
    /// Who sent routes.
    pub sessions: &'a Sessions,
    /// Family of the page.
    pub family: Family,
    /// By what is prepared.
    pub key: &'a GroupKey,
}

/// The attributes a group is sent for a set: worked out once per page, or where policy looks at the prefix once per
/// result of it.
#[derive(Debug, Default)]
pub struct Prepared {
    octets: Vec<u8>,
    sets: Vec<Range<usize>>,
    known: HashMap<(SetId, Learned), Result<u32, Withheld>, FxBuildHasher>,
    scratch: Vec<u8>,
    last: Option<((SetId, Learned), Result<u32, Withheld>)>,
    evaluator: Evaluator,
    /// What policy is being asked about, and what came of each of its results so far.
    judging: Option<(SetId, Learned)>,
    results: Vec<Option<Result<u32, Withheld>>>,
    /// Prepared sets by their octets, where equal ones can come of different results.
    by_octets: HashMap<Box<[u8]>, u32, FxBuildHasher>,
}

impl Prepared {
    /// What AS-path expressions cost.
    pub fn path_counts(&self) -> PathCounts {
        self.evaluator.path_counts()
    }

    /// Forgets everything; needed between pages, since sets come and go, and between groups and families.
    pub fn clear(&mut self) {
        self.octets.clear();
        self.sets.clear();
        self.known.clear();
        self.last = None;
        self.judging = None;
        self.by_octets.clear();
    }

    /// The number of the prepared set in this page, or why the route is not sent.
    #[inline]
    pub fn prepare(
        &mut self,
        with: Preparing<'_>,
        set: SetId,
        learned: Learned,
        nlri: NlriRef<'_>,
    ) -> Result<u32, Withheld> {
        let key = (set, learned);
        if let Some((last, result)) = self.last
            && last == key
        {
            return result;
        }
        let known = self.known.get(&key).copied();
        let (result, settled) = match known {
            Some(result) => (result, true),
            None => self.work_out(with, set, learned, nlri),
        };
        if settled {
            if known.is_none() {
                self.known.insert(key, result);
            }
            self.last = Some((key, result));
        }
        result
    }

    /// The result, and whether it is the same for every prefix.
    fn work_out(
        &mut self,
        with: Preparing<'_>,
        id: SetId,
        learned: Learned,
        nlri: NlriRef<'_>,
    ) -> (Result<u32, Withheld>, bool) {
        let Preparing { attrs, family, key, .. } = with;
        let set = attrs.get(id);
        if let Err(why) = withheld(set, family, learned, &key.rules) {
            return (Err(why), true);
        }
        if key.export.unchanged || learned.default_originate {
            let done = transform(Outbound::unchanged(set), family, learned, &key.rules, &mut self.scratch);
            return (done.map(|()| self.take_scratch()), true);
        }
        if self.judging != Some((id, learned)) {
            self.judging = Some((id, learned));
            self.results.clear();
            let from = with.sessions.get(learned.from).map(neighbor_facts);
            let facts = attrs.facts(id);
            let route = Route { family, set, facts, source: learned.source, from: from.as_ref() };
            self.evaluator.begin(&key.export.chain, &key.export.context, &route);
        }
        let prefix = match nlri {
            NlriRef::Prefix(prefix) => Some(prefix),
            NlriRef::Opaque(_) => None,
        };
        let settled = self.evaluator.settled();
        let verdict = self.evaluator.verdict(&PerPrefix {
            prefix,
            validation: OriginState::from_code(learned.validity & 3),
            aspa: PathState::from_code(learned.validity >> 2),
        });
        let outcome = verdict.outcome as usize;
        if let Some(Some(result)) = self.results.get(outcome) {
            return (*result, settled);
        }
        let outbound = Outbound { stored: set, set: verdict.attrs.unwrap_or(set), next_hop: verdict.next_hop };
        let done = match verdict.accepted {
            true => transform(outbound, family, learned, &key.rules, &mut self.scratch),
            false => Err(Withheld::Policy),
        };
        let result = done.map(|()| if settled { self.take_scratch() } else { self.find_scratch() });
        if outcome >= self.results.len() {
            self.results.resize(outcome + 1, None);
        }
        self.results[outcome] = Some(result);
        (result, settled)
    }

    /// Files what was worked out; its number.
    fn take_scratch(&mut self) -> u32 {
        let start = self.octets.len();
        self.octets.extend_from_slice(&self.scratch);
        self.number(start)
    }

    /// The same, or the number of equal octets: the evaluator counts results anew for each set, and prefixes that
    /// alternate between sets would share no message.
    fn find_scratch(&mut self) -> u32 {
        if let Some(&number) = self.by_octets.get(&*self.scratch) {
            return number;
        }
        let number = self.take_scratch();
        self.by_octets.insert(self.scratch.as_slice().into(), number);
        number
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
        let path_id = if group.add_path.is_empty() { 0 } else { 4 };
        set.as_bytes().len() + as4 + nlri + path_id + UPDATE_OVERHEAD <= group.max_len
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
    /// Whose path it is; where path identifiers are sent, its number in `Stream::lines`.
    what: u32,
}

/// A route in a message.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Which route, under which path identifier of ours.
    pub route: RouteId,
    /// Whose path it is, for its labels.
    pub source: Slot,
    /// The identifier that it was received with.
    pub received: PathId,
}

impl Line {
    /// The line of a row.
    pub fn new(route: RouteId, row: SentPath) -> Self {
        Self { route, source: row.sent.source, received: row.received }
    }
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
    /// Path identifiers are sent.
    add_path: bool,
    lines: Vec<Line>,
    octets: Bytes,
    segments: Vec<Segment>,
}

impl Stream {
    /// Empties the page; whether path identifiers are sent in the next one.
    pub fn begin(&mut self, add_path: bool) {
        self.add_path = add_path;
        self.lines.clear();
        self.prepared.clear();
        self.past.clear();
        self.items.clear();
        self.segments.clear();
        self.octets = Bytes::new();
    }

    /// Adds an announcement with a prepared set.
    #[inline]
    pub fn announce(&mut self, audience: Audience, line: Line, set: u32) {
        let what = self.what(line);
        self.items.push(Item { order: order(true, audience, set), id: line.route.0, what });
    }

    /// Adds a withdrawal.
    pub fn withdraw(&mut self, audience: Audience, route: RouteId) {
        let what = self.what(Line { route, source: 0, received: 0 });
        self.items.push(Item { order: order(false, audience, WITHDRAWN), id: route.0, what });
    }

    #[inline]
    fn what(&mut self, line: Line) -> u32 {
        if !self.add_path {
            return line.source.into();
        }
        self.lines.push(line);
        self.lines.len() as u32 - 1 // a page has some ten thousand routes
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether some route is announced.
    pub fn announces(&self) -> bool {
        self.items.iter().any(|item| parts(item.order).1 != WITHDRAWN)
    }

    /// Encodes everything added since `begin`.
    pub fn encode(&mut self, table: &Table, group: &GroupKey) {
        self.items.sort_unstable_by_key(|item| (item.order, item.id));
        let context =
            EncodeContext { four_octet_as: group.four_octet_as, max_len: group.max_len, ..Default::default() };
        let add_path = if self.add_path { FamilySet::from_iter([table.family()]) } else { FamilySet::EMPTY };
        let context = EncodeContext { add_path, ..context };
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
                push(
                    &mut writer,
                    table,
                    item.id,
                    self.lines.get(item.what as usize).filter(|_| self.add_path).copied(),
                    item.what,
                );
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

/// Adds a route to the run; where path identifiers are sent, as `line` says.
fn push(writer: &mut UpdateWriter, table: &Table, id: PrefixId, line: Option<Line>, what: u32) {
    let path_id = line.map_or(PATH_ID, |line| line.route.1);
    match table.nlri(id) {
        NlriRef::Prefix(prefix) => writer.push_prefix(path_id, prefix),
        NlriRef::Opaque(key) => {
            let path = match line {
                Some(line) => {
                    let index = table.find_path(id, line.source, line.received);
                    index.and_then(|index| table.paths(id).get(index))
                }
                // With ADD-PATH a session may have several paths here; labels are those of the one it is best with.
                None => {
                    let of_source = |path: &&Path| u32::from(path.session) == what;
                    let best = table.best_path(id).filter(of_source);
                    best.or_else(|| table.paths(id).iter().find(of_source))
                }
            };
            let labels = path.map_or(&[][..], |path| table.labels(id, path.session, path.path_id));
            writer.push_opaque(path_id, key, labels);
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
