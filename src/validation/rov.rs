//! Origin validation (RFC 6811): all VRPs in one sorted array per address family, and the walk over those that cover a
//! route.
//!
//! # What the RFC asks
//! 1. §2: a VRP *covers* a route's prefix when its own prefix is equal or shorter and holds it.
//! 2. §2: it *matches* when it covers, the route's prefix is no longer than the maximum length, and the origin AS is
//!    the VRP's and not 0. A route whose path ends in an AS_SET has the origin NONE, which matches nothing.
//! 3. §2: no covering VRP: NotFound; one that matches: Valid; else Invalid.
//!
//! # What we do
//! The same. Prefixes stand in order of address and length, and each knows the nearest one that covers it, so the
//! covering ones are found by one search and a walk up. Most have one VRP, which stands beside the way up: a look-up reads
//! a line of memory where it searches, and one where it finds. 24 octets per IPv4 prefix and 8 per VRP; 48 for IPv6.

use std::hint::black_box;

use super::{OriginState, SourceSet, Vrp};
use crate::types::{Asn, Prefix};

/// Why a covering VRP does or does not make the route valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// It matches.
    Matches,
    /// The origin is another AS, or none.
    OtherOrigin,
    /// The origin is right, and the prefix is longer than the maximum length.
    TooLong,
}

/// A VRP that covers a route, whether it matches, and who says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Covering {
    /// The VRP.
    pub vrp: Vrp,
    /// Whether and why not.
    pub fit: Fit,
    /// The sources that hold it.
    pub sources: SourceSet,
}

/// What a prefix allows: one VRP without its prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry {
    asn: u32,
    max_len: u8,
    sources: SourceSet,
}

/// A prefix with VRPs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Key<A> {
    addr: A,
    len: u8,
}

/// What is known of a prefix with VRPs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Node {
    /// Index of the nearest prefix that covers this one; `NONE`: there is none.
    parent: u32,
    /// Its first entry; they end where those of the next node begin.
    first: u32,
    /// AS and maximum length of the first entry.
    asn: u32,
    max_len: u8,
    /// There are more.
    more: bool,
}

const NONE: u32 = u32::MAX;

/// The VRPs of one address family.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Tree<A> {
    keys: Vec<Key<A>>,
    /// By the index of their prefixes in `keys`.
    nodes: Vec<Node>,
    entries: Vec<Entry>,
    /// Where the nodes of each head ([`Address::head`]) begin, with one more for the end; empty for small tables.
    /// Cuts a search through half a million nodes, each step a cache miss, to one through a few neighbours.
    starts: Vec<u32>,
}

/// Prefixes that are looked up at the same time.
const TOGETHER: usize = 16;

/// Tables with fewer nodes do without `starts`.
const INDEXED_FROM: usize = 4096;
/// Among so few neighbours counting is quicker than halving.
const COUNTED: usize = 16;

impl<A> Default for Tree<A> {
    fn default() -> Self {
        Self { keys: Vec::new(), nodes: Vec::new(), entries: Vec::new(), starts: Vec::new() }
    }
}

/// An address as a number that prefixes can be compared by.
trait Address: Copy + Ord {
    fn covers(self, len: u8, other: Self, other_len: u8) -> bool;
    fn prefix(self, len: u8) -> Prefix;
    /// How many heads there are.
    const HEADS: usize;
    /// What a first look goes by: bits in front that differ between prefixes, in the order of addresses.
    fn head(self) -> usize;
}

impl Address for u32 {
    fn covers(self, len: u8, other: Self, other_len: u8) -> bool {
        len <= other_len && (len == 0 || (self ^ other) >> (32 - u32::from(len)) == 0)
    }

    fn prefix(self, len: u8) -> Prefix {
        Prefix::v4(self, len)
    }

    const HEADS: usize = 1 << 16;

    fn head(self) -> usize {
        (self >> 16) as usize
    }
}

impl Address for u128 {
    fn covers(self, len: u8, other: Self, other_len: u8) -> bool {
        len <= other_len && (len == 0 || (self ^ other) >> (128 - u32::from(len)) == 0)
    }

    fn prefix(self, len: u8) -> Prefix {
        Prefix::v6(self, len)
    }

    /// The 20 bits behind the first three, which are the same in all unicast addresses that are assigned (2000::/3).
    const HEADS: usize = 1 << 20;

    fn head(self) -> usize {
        ((self >> 105) as usize).saturating_sub(Self::HEADS).min(Self::HEADS - 1)
    }
}

impl<A: Address> Tree<A> {
    /// From items in order of address, length, AS, maximum length; equal ones become one with the sources of all.
    fn new(items: impl Iterator<Item = (A, u8, Entry)>) -> Self {
        let mut tree = Self::default();
        let mut open: Vec<u32> = Vec::new();
        for (addr, len, entry) in items {
            let at = tree.nodes.len() as u32;
            if tree.keys.last() != Some(&Key { addr, len }) {
                while let Some(top) = open.last().and_then(|&top| tree.keys.get(top as usize))
                    && !top.addr.covers(top.len, addr, len)
                {
                    open.pop();
                }
                let parent = open.last().copied().unwrap_or(NONE);
                open.push(at);
                tree.keys.push(Key { addr, len });
                let (first, Entry { asn, max_len, .. }) = (tree.entries.len() as u32, entry);
                tree.nodes.push(Node { parent, first, asn, max_len, more: false });
            } else if let Some(last) = tree.entries.last_mut()
                && (last.asn, last.max_len) == (entry.asn, entry.max_len)
            {
                last.sources = last.sources.with(entry.sources);
                continue;
            } else if let Some(node) = tree.nodes.last_mut() {
                node.more = true;
            }
            tree.entries.push(entry);
        }
        if tree.nodes.len() >= INDEXED_FROM {
            let mut at = 0;
            tree.starts = (0..=A::HEADS)
                .map(|head| {
                    while tree.keys.get(at).is_some_and(|key| key.addr.head() < head) {
                        at += 1;
                    }
                    at as u32
                })
                .collect();
        }
        tree.keys.shrink_to_fit();
        tree.nodes.shrink_to_fit();
        tree.entries.shrink_to_fit();
        tree
    }

    /// The longest node that covers `addr/len`.
    fn nearest(&self, addr: A, len: u8) -> Option<usize> {
        self.nearest_covering(self.before(self.bucket(addr), addr, len), addr, len)
    }

    /// The nodes of the same head, where an index tells.
    fn bucket(&self, addr: A) -> (usize, usize) {
        let head = addr.head();
        match (self.starts.get(head), self.starts.get(head + 1)) {
            (Some(&from), Some(&to)) => (from as usize, to as usize),
            _ => (0, self.nodes.len()),
        }
    }

    /// The last node that stands before `addr/len` or is its own: it covers it, or is inside what does.
    fn before(&self, (from, to): (usize, usize), addr: A, len: u8) -> Option<usize> {
        let near = self.keys.get(from..to).unwrap_or_default();
        // Nobody can foretell which it is, so the comparison has no branch.
        let is_before = |key: &Key<A>| (key.addr < addr) | ((key.addr == addr) & (key.len <= len));
        let behind = match near.len() {
            ..=COUNTED => near.iter().map(|key| usize::from(is_before(key))).sum(),
            _ => near.partition_point(is_before),
        };
        (from + behind).checked_sub(1)
    }

    fn nearest_covering(&self, before: Option<usize>, addr: A, len: u8) -> Option<usize> {
        let covers = |index: &usize| {
            let key = self.keys.get(*index);
            key.is_some_and(|key| key.addr.covers(key.len, addr, len))
        };
        self.upwards(before).find(covers)
    }

    /// `nearest` of up to [`TOGETHER`] prefixes. Each step is taken for all of them before the next one is, so that their
    /// waits for memory overlap: that halves what a look-up costs in a table of 500,000.
    fn nearest_each(&self, asked: impl Iterator<Item = (A, u8)> + Clone, mut found: impl FnMut(Near)) {
        let mut buckets = [(0, 0); TOGETHER];
        for (bucket, (addr, _)) in buckets.iter_mut().zip(asked.clone()) {
            *bucket = self.bucket(addr);
        }
        let ends = buckets.iter().flat_map(|(from, to)| [self.keys.get(*from), self.keys.get(to.saturating_sub(1))]);
        black_box(ends.flatten().fold(0, |all, key| all ^ key.len));
        let mut before = [None; TOGETHER];
        for ((before, bucket), (addr, len)) in before.iter_mut().zip(&buckets).zip(asked.clone()) {
            *before = self.before(*bucket, addr, len);
        }
        // What is asked next, here for the way up and then by whoever asks for the state.
        let nodes = before.iter().flatten().filter_map(|at| self.nodes.get(*at));
        black_box(nodes.fold(0, |all, node| all ^ node.max_len));
        for (before, (addr, len)) in before.iter().zip(asked) {
            found(Near::of(self.nearest_covering(*before, addr, len)));
        }
    }

    /// Nodes that cover `addr/len`, the longest first.
    fn covering(&self, addr: A, len: u8) -> impl Iterator<Item = usize> {
        self.upwards(self.nearest(addr, len))
    }

    /// A node and those that cover it, the longest first.
    fn upwards(&self, from: Option<usize>) -> impl Iterator<Item = usize> {
        std::iter::successors(from, |index| {
            let parent = self.nodes.get(*index)?.parent;
            (parent != NONE).then_some(parent as usize)
        })
    }

    fn entries(&self, node: usize) -> &[Entry] {
        let first = self.nodes.get(node).map_or(0, |node| node.first as usize);
        let end = self.nodes.get(node + 1).map_or(self.entries.len(), |next| next.first as usize);
        self.entries.get(first..end).unwrap_or_default()
    }

    /// The state of a route of this length whose longest covering node is `nearest`.
    fn state(&self, nearest: Option<usize>, len: u8, origin: Option<Asn>) -> OriginState {
        let mut state = OriginState::NotFound;
        for node in self.upwards(nearest) {
            state = OriginState::Invalid;
            let Some(known) = self.nodes.get(node) else { continue };
            let first = fit((known.asn, known.max_len), len, origin) == Fit::Matches;
            let matches = |entry: &Entry| entry.fit(len, origin) == Fit::Matches;
            if first || known.more && self.entries(node).iter().any(matches) {
                return OriginState::Valid;
            }
        }
        state
    }

    fn vrps(&self) -> impl Iterator<Item = (Vrp, SourceSet)> {
        self.keys.iter().enumerate().flat_map(move |(at, key)| {
            let prefix = key.addr.prefix(key.len);
            self.entries(at).iter().map(move |entry| (entry.vrp(prefix), entry.sources))
        })
    }
}

impl Entry {
    fn fit(&self, len: u8, origin: Option<Asn>) -> Fit {
        fit((self.asn, self.max_len), len, origin)
    }

    fn vrp(&self, prefix: Prefix) -> Vrp {
        Vrp { prefix, max_len: self.max_len, asn: Asn(self.asn) }
    }
}

/// How a covering VRP of this AS and maximum length fits a route of this length (RFC 6811 §2).
#[inline]
fn fit((asn, max_len): (u32, u8), len: u8, origin: Option<Asn>) -> Fit {
    match origin {
        Some(origin) if origin.0 == asn && asn != 0 => match len <= max_len {
            true => Fit::Matches,
            false => Fit::TooLong,
        },
        _ => Fit::OtherOrigin,
    }
}

/// The longest prefix with VRPs that covers a route, in one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Near(u32);

impl Near {
    fn of(node: Option<usize>) -> Self {
        Self(node.map_or(NONE, |node| node as u32)) // a table has fewer
    }
}

/// All VRPs in force, with who says each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VrpTable {
    v4: Tree<u32>,
    v6: Tree<u128>,
}

impl VrpTable {
    /// A table of these; the same VRP of several sources is one.
    pub fn new(mut vrps: Vec<(Vrp, SourceSet)>) -> Self {
        let key = |vrp: &Vrp| (vrp.prefix, vrp.asn, vrp.max_len);
        vrps.sort_unstable_by_key(|(vrp, sources)| (key(vrp), *sources));
        let entry = |vrp: &Vrp, sources| Entry { asn: vrp.asn.0, max_len: vrp.max_len, sources };
        let split = vrps.partition_point(|(vrp, _)| vrp.prefix.is_v4());
        let (v4, v6) = vrps.split_at(split);
        let v4 = v4.iter().filter_map(|(vrp, sources)| match vrp.prefix {
            Prefix::V4 { addr, len } => Some((addr, len, entry(vrp, *sources))),
            Prefix::V6 { .. } => None,
        });
        let v6 = v6.iter().filter_map(|(vrp, sources)| match vrp.prefix {
            Prefix::V6 { addr, len } => Some((addr, len, entry(vrp, *sources))),
            Prefix::V4 { .. } => None,
        });
        Self { v4: Tree::new(v4), v6: Tree::new(v6) }
    }

    /// The state of a route: `origin` is `None` when its path has no origin AS (RFC 6811 §2: NONE).
    pub fn state(&self, prefix: Prefix, origin: Option<Asn>) -> OriginState {
        self.state_near(prefix, self.near(prefix), origin)
    }

    /// Where the VRPs stand that cover a prefix: most of what a look-up costs, and the same for every origin.
    pub fn near(&self, prefix: Prefix) -> Near {
        Near::of(match prefix {
            Prefix::V4 { addr, len } => self.v4.nearest(addr, len),
            Prefix::V6 { addr, len } => self.v6.nearest(addr, len),
        })
    }

    /// The same for several prefixes, in their order, which together wait for memory little longer than one does.
    pub fn near_each(&self, prefixes: &[Prefix], mut found: impl FnMut(Prefix, Near)) {
        for together in prefixes.chunk_by(|one, next| one.is_v4() == next.is_v4()).flat_map(|run| run.chunks(TOGETHER))
        {
            let mut each = together.iter();
            let found = |near| each.next().into_iter().for_each(|prefix| found(*prefix, near));
            if together.first().is_some_and(Prefix::is_v4) {
                let v4 = together.iter().map(|prefix| match prefix {
                    Prefix::V4 { addr, len } => (*addr, *len),
                    Prefix::V6 { .. } => (0, 0),
                });
                self.v4.nearest_each(v4, found);
            } else {
                let v6 = together.iter().map(|prefix| match prefix {
                    Prefix::V6 { addr, len } => (*addr, *len),
                    Prefix::V4 { .. } => (0, 0),
                });
                self.v6.nearest_each(v6, found);
            }
        }
    }

    /// The state of a route, with what [`Self::near`] of this table said of its prefix.
    #[inline]
    pub fn state_near(&self, prefix: Prefix, near: Near, origin: Option<Asn>) -> OriginState {
        let nearest = (near.0 != NONE).then_some(near.0 as usize);
        match prefix {
            Prefix::V4 { len, .. } => self.v4.state(nearest, len, origin),
            Prefix::V6 { len, .. } => self.v6.state(nearest, len, origin),
        }
    }

    /// Every VRP that covers the prefix, longest first, with how it fits a route from `origin`.
    pub fn covering(&self, prefix: Prefix, origin: Option<Asn>) -> Vec<Covering> {
        fn collect<A: Address>(tree: &Tree<A>, addr: A, len: u8, origin: Option<Asn>) -> Vec<Covering> {
            let of_node = |node: usize| {
                let prefix = tree.keys.get(node).map_or(Prefix::v4(0, 0), |key| key.addr.prefix(key.len));
                let entries = tree.entries(node).iter();
                entries.map(move |entry| Covering {
                    vrp: entry.vrp(prefix),
                    fit: entry.fit(len, origin),
                    sources: entry.sources,
                })
            };
            tree.covering(addr, len).flat_map(of_node).collect()
        }
        match prefix {
            Prefix::V4 { addr, len } => collect(&self.v4, addr, len, origin),
            Prefix::V6 { addr, len } => collect(&self.v6, addr, len, origin),
        }
    }

    /// Whether this very VRP is there.
    pub fn contains(&self, vrp: &Vrp) -> bool {
        self.covering(vrp.prefix, None).iter().any(|covering| covering.vrp == *vrp)
    }

    /// How many VRPs there are: of IPv4, of IPv6.
    pub fn counts(&self) -> (usize, usize) {
        (self.v4.entries.len(), self.v6.entries.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.counts() == (0, 0)
    }

    /// All of them in order of prefix, AS and maximum length.
    pub fn iter(&self) -> impl Iterator<Item = (Vrp, SourceSet)> {
        self.v4.vrps().chain(self.v6.vrps())
    }

    /// VRPs that are in one table only: what `new` adds to `self`, and what it takes away. Who says them does not
    /// matter.
    pub fn difference(&self, new: &Self) -> (Vec<Vrp>, Vec<Vrp>) {
        let key = |vrp: &Vrp| (vrp.prefix, vrp.asn, vrp.max_len);
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        let mut old = self.iter().map(|(vrp, _)| vrp).peekable();
        let mut new = new.iter().map(|(vrp, _)| vrp).peekable();
        loop {
            match (old.peek(), new.peek()) {
                (Some(a), Some(b)) if key(a) == key(b) => {
                    old.next();
                    new.next();
                }
                (Some(a), Some(b)) if key(a) < key(b) => removed.extend(old.next()),
                (Some(_), None) => removed.extend(old.next()),
                (_, Some(_)) => added.extend(new.next()),
                (None, None) => return (added, removed),
            }
        }
    }

    /// Octets allocated.
    pub fn allocated_octets(&self) -> usize {
        self.v4.keys.capacity() * size_of::<Key<u32>>()
            + self.v6.keys.capacity() * size_of::<Key<u128>>()
            + (self.v4.nodes.capacity() + self.v6.nodes.capacity()) * size_of::<Node>()
            + (self.v4.entries.capacity() + self.v6.entries.capacity()) * size_of::<Entry>()
            + (self.v4.starts.capacity() + self.v6.starts.capacity()) * size_of::<u32>()
    }
}
