//! What a chain says about a route: evaluation for the road that every path takes.
//!
//! # What we do
//! All prefixes with one attribute set share all that does not ask about the prefix. So a chain is not run per prefix;
//! `begin` takes a route without its prefix, and from then on a tree grows as prefixes ask for it:
//!
//! 1. From the start, statements are taken in order. Questions about the session or the attributes are answered, each
//!    at most once per state of the attributes; statements that do not match are passed over; actions make a new state.
//! 2. Where a statement still depends on the prefix, the tree branches: matched or not. Each side grows from there when
//!    the first prefix goes that way, and stays.
//! 3. A decision is a leaf. Leaves with the same result share one number, so the caller interns each result once.
//!
//! A prefix walks the tree and answers questions about itself only. A chain that does not look at the prefix is settled
//! at once. Where a chain looks at nothing but the prefix and changes nothing (a filter of prefixes), the next route goes
//! on with the tree of the one before. Nothing is allocated once the buffers have grown to what the chain needs.

use std::{
    hash::{BuildHasher, Hash},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::{
    PolicyChain,
    actions::{Action, Editor},
    chain::{Condition, Program, Step},
    conditions::SetTest,
    context::{Context, Direction, PerPrefix, Route},
    definitions::{NextHopChange, Ruling},
    path_verdicts::{PathCounts, PathVerdicts},
};
use crate::{
    rib::SetFacts,
    types::{Asn, Family},
    wire::bgp::attribute::AttrSet,
};

/// What export must do about the next hop. On import all is done in the attributes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum NextHopVerdict {
    /// What it does without a policy.
    #[default]
    Standard,
    /// Our own address on the session.
    Own,
    /// The received one.
    Unchanged,
    /// The one in the attributes: those of the verdict, or the route's where they are not changed.
    Explicit,
}

/// What a chain says about a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict<'a> {
    /// Whether it may go on.
    pub accepted: bool,
    /// The canonical attributes it goes on with; `None`: as they are.
    pub attrs: Option<AttrSet<'a>>,
    /// Its weight, where the chain sets it.
    pub weight: Option<u16>,
    /// Its next hop on export.
    pub next_hop: NextHopVerdict,
    /// A number from 0: the same for equal results, different for different ones, since `begin`.
    pub outcome: u32,
}

/// Evaluates chains; keeps its buffers between routes.
#[derive(Debug, Default)]
pub struct Evaluator {
    program: Option<Arc<Program>>,
    /// The tree of one route is that of every other one.
    shares_tree: bool,
    memory: Memory,
}

impl Evaluator {
    /// One without a route.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns to `route`: what follows is about its prefixes.
    pub fn begin(&mut self, chain: &PolicyChain, context: &Context, route: &Route<'_>) {
        let program = match &self.program {
            Some(program) if Arc::ptr_eq(program, chain.program()) => {
                if self.shares_tree {
                    return;
                }
                program
            }
            _ => {
                self.shares_tree = chain.program().looks_at_prefix_only();
                self.program.insert(chain.program().clone())
            }
        };
        self.memory.begin(program, context, route);
    }

    /// The verdict on one prefix of the route. Without a route everything is rejected.
    #[inline]
    pub fn verdict(&mut self, prefix: &PerPrefix) -> Verdict<'_> {
        let Some(program) = &self.program else {
            return Verdict {
                accepted: false,
                attrs: None,
                weight: None,
                next_hop: NextHopVerdict::Standard,
                outcome: 0,
            };
        };
        let leaf = self.memory.leaf(program, prefix);
        self.memory.result(leaf)
    }

    /// What AS-path expressions cost since it was made.
    pub fn path_counts(&self) -> PathCounts {
        self.memory.paths.counts()
    }

    /// Whether the verdict is the same for every prefix of the route.
    pub fn settled(&self) -> bool {
        matches!(self.memory.nodes.first(), Some(Node::Leaf(_)) | None)
    }
}

/// Where evaluation stands: the state of the attributes and what goes beside them.
#[derive(Clone, Copy, Debug)]
struct Trail {
    state: u32,
    weight: Option<u16>,
    next_hop: NextHopVerdict,
}

const START: Trail = Trail { state: 0, weight: None, next_hop: NextHopVerdict::Standard };

/// A place in the tree.
#[derive(Clone, Copy, Debug)]
enum Node {
    /// Here a statement, by its step, depends on the prefix.
    Branch { step: usize, trail: Trail, matched: Option<u32>, passed: Option<u32> },
    /// A decision, by the number of its result.
    Leaf(u32),
}

/// Attributes as they stand somewhere on the way.
#[derive(Clone, Copy, Debug)]
struct State {
    start: usize,
    end: usize,
    facts: SetFacts,
}

/// A result; attributes are octets of `results`.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    accepted: bool,
    attrs: Option<(usize, usize)>,
    weight: Option<u16>,
    next_hop: NextHopVerdict,
}

impl Leaf {
    /// What makes two results equal.
    fn content<'a>(&self, results: &'a [u8]) -> (bool, Option<&'a [u8]>, Option<u16>, NextHopVerdict) {
        let attrs = self.attrs.and_then(|(start, end)| results.get(start..end));
        (self.accepted, attrs, self.weight, self.next_hop)
    }
}

/// Nodes of a tree. A chain of many statements that look at the prefix and do not decide could branch without end; a
/// tree that has grown so large is thrown away and grows again as it is asked for.
const NODES_MAX: usize = 4096;

#[derive(Debug)]
struct Memory {
    /// What actions need of the context.
    direction: Direction,
    family: Family,
    local_asn: Asn,
    local_address: IpAddr,
    /// Answers to questions about the session.
    session: Vec<bool>,
    /// Answers to questions about attributes, and the state that each is about.
    set: Vec<Option<(u32, bool)>>,
    states: Vec<State>,
    octets: Vec<u8>,
    nodes: Vec<Node>,
    leaves: Vec<Leaf>,
    results: Vec<u8>,
    /// Leaves by their content.
    known: HashTable<u32>,
    editor: Editor,
    /// What automata said about paths, whatever route they were of.
    paths: PathVerdicts,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            direction: Direction::Import,
            family: Family::IPV4_UNICAST,
            local_asn: Asn(0),
            local_address: Ipv4Addr::UNSPECIFIED.into(),
            session: Vec::new(),
            set: Vec::new(),
            states: Vec::new(),
            octets: Vec::new(),
            nodes: Vec::new(),
            leaves: Vec::new(),
            results: Vec::new(),
            known: HashTable::new(),
            editor: Editor::default(),
            paths: PathVerdicts::default(),
        }
    }
}

impl Memory {
    fn begin(&mut self, program: &Program, context: &Context, route: &Route<'_>) {
        self.direction = context.direction;
        self.family = route.family;
        self.local_asn = context.local_asn;
        self.local_address = context.local_address;
        self.session.clear();
        self.session.extend(program.session_tests.iter().map(|test| test.holds(context, route)));
        self.leaves.clear();
        self.results.clear();
        self.known.clear();
        self.octets.clear();
        self.octets.extend_from_slice(route.set.as_bytes());
        self.states.clear();
        self.states.push(State { start: 0, end: self.octets.len(), facts: *route.facts });
        self.start_tree(program);
    }

    /// Forgets the tree and all states but the first, and grows the root.
    fn start_tree(&mut self, program: &Program) {
        self.nodes.clear();
        self.states.truncate(1);
        self.octets.truncate(self.states.first().map_or(0, |state| state.end));
        self.set.clear();
        self.set.resize(program.set_tests.len(), None);
        self.advance(program, 0, START, false);
    }

    /// The leaf of a prefix; what of the tree is missing on its way grows.
    #[inline]
    fn leaf(&mut self, program: &Program, prefix: &PerPrefix) -> u32 {
        let mut at = 0;
        loop {
            let (step, trail, matched, passed) = match self.nodes.get(at as usize) {
                Some(Node::Leaf(leaf)) => return *leaf,
                Some(Node::Branch { step, trail, matched, passed }) => (*step, *trail, *matched, *passed),
                None => unreachable!("`begin` grew the root, and children are numbers of nodes"),
            };
            let matches = program.steps.get(step).is_some_and(|step| {
                step.prefix.iter().all(|condition| {
                    program.prefix_tests.get(condition.test).is_some_and(|test| test.holds(prefix)) != condition.negated
                })
            });
            at = match if matches { matched } else { passed } {
                Some(child) => child,
                None if self.nodes.len() >= NODES_MAX => {
                    self.start_tree(program);
                    0
                }
                None => self.grow(program, (at, step), trail, matches),
            };
        }
    }

    /// Grows the missing side of a branch and hangs it in.
    #[cold]
    fn grow(&mut self, program: &Program, (parent, step): (u32, usize), trail: Trail, matches: bool) -> u32 {
        let from = if matches { step } else { step + 1 };
        let child = self.advance(program, from, trail, matches);
        if let Some(Node::Branch { matched, passed, .. }) = self.nodes.get_mut(parent as usize) {
            *if matches { matched } else { passed } = Some(child);
        }
        child
    }

    /// Goes on at `step` to the next branch or leaf; the number of its node. `matched`: the conditions of the first
    /// step are known to hold.
    fn advance(&mut self, program: &Program, step: usize, mut trail: Trail, mut matched: bool) -> u32 {
        let mut at = step;
        while let Some(step) = program.steps.get(at) {
            if !std::mem::take(&mut matched) {
                if !self.holds(program, step, trail.state) {
                    at += 1;
                    continue;
                }
                if !step.prefix.is_empty() {
                    return self.push(Node::Branch { step: at, trail, matched: None, passed: None });
                }
            }
            match step.ruling {
                Some(Ruling::Reject) => return self.reject(),
                Some(Ruling::Accept) => {
                    self.act(program.actions(step), &mut trail);
                    return self.accept(trail);
                }
                Some(Ruling::NextPolicy) => {
                    self.act(program.actions(step), &mut trail);
                    at = step.next_policy;
                }
                None => {
                    self.act(program.actions(step), &mut trail);
                    at += 1;
                }
            }
        }
        if program.accepts_at_end { self.accept(trail) } else { self.reject() }
    }

    /// Whether the conditions of a step hold that do not ask about the prefix.
    fn holds(&mut self, program: &Program, step: &Step, state: u32) -> bool {
        step.session.iter().all(|asked| self.session.get(asked.test) == Some(&!asked.negated))
            && step.set.iter().all(|asked| self.set_holds(program, *asked, state))
    }

    fn set_holds(&mut self, program: &Program, asked: Condition, state: u32) -> bool {
        let known = self.set.get(asked.test).copied().flatten().filter(|(about, _)| *about == state);
        let answer = match known {
            Some((_, answer)) => answer,
            None => {
                let Some(attributes) = self.states.get(state as usize) else { return false };
                let set = AttrSet::new(self.octets.get(attributes.start..attributes.end).unwrap_or_default());
                let answer = match program.set_tests.get(asked.test) {
                    Some(SetTest::AsPath(sets)) => self.paths.any(sets, set.as_path()),
                    Some(test) => test.holds(set, &attributes.facts),
                    None => false,
                };
                if let Some(place) = self.set.get_mut(asked.test) {
                    *place = Some((state, answer));
                }
                answer
            }
        };
        answer != asked.negated
    }

    /// Does the actions of a statement; a change of attributes makes a new state.
    fn act(&mut self, actions: &[Action], trail: &mut Trail) {
        if actions.is_empty() {
            return;
        }
        let Some(before) = self.states.get(trail.state as usize).copied() else { return };
        self.editor.load(AttrSet::new(self.octets.get(before.start..before.end).unwrap_or_default()));
        let place = Place {
            direction: self.direction,
            family: self.family,
            local_asn: self.local_asn,
            local_address: self.local_address,
        };
        for action in actions {
            place.apply(action, &mut self.editor, &mut trail.weight, &mut trail.next_hop);
        }
        let after = self.editor.set();
        if Some(after.as_bytes()) == self.octets.get(before.start..before.end) {
            return;
        }
        let start = self.octets.len();
        self.octets.extend_from_slice(after.as_bytes());
        trail.state = self.states.len() as u32; // at most one per node and statement
        self.states.push(State { start, end: self.octets.len(), facts: SetFacts::of(after) });
    }

    fn push(&mut self, node: Node) -> u32 {
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32 // at most NODES_MAX
    }

    fn reject(&mut self) -> u32 {
        let leaf = self.file(false, None, START);
        self.push(Node::Leaf(leaf))
    }

    fn accept(&mut self, trail: Trail) -> u32 {
        let octets = |state: &State| self.octets.get(state.start..state.end);
        let unchanged = self.states.first().and_then(octets) == self.states.get(trail.state as usize).and_then(octets);
        let leaf = self.file(true, (!unchanged).then_some(trail.state), trail);
        self.push(Node::Leaf(leaf))
    }

    /// The number of a result, the same for equal ones.
    fn file(&mut self, accepted: bool, state: Option<u32>, trail: Trail) -> u32 {
        let attrs = state.and_then(|state| self.states.get(state as usize));
        let attrs = attrs.and_then(|state| self.octets.get(state.start..state.end));
        let wanted = (accepted, attrs, trail.weight, trail.next_hop);
        let hash = FixedState::default().hash_one(wanted);
        let (leaves, results) = (&mut self.leaves, &mut self.results);
        let same = |&leaf: &u32| leaves.get(leaf as usize).is_some_and(|leaf| leaf.content(results) == wanted);
        if let Some(&leaf) = self.known.find(hash, same) {
            return leaf;
        }
        let number = leaves.len() as u32; // at most one per prefix of a route
        let start = results.len();
        results.extend_from_slice(attrs.unwrap_or_default());
        let attrs = attrs.map(|attrs| (start, start + attrs.len()));
        leaves.push(Leaf { accepted, attrs, weight: trail.weight, next_hop: trail.next_hop });
        self.known.insert_unique(hash, number, |&leaf| {
            leaves.get(leaf as usize).map_or(0, |leaf| FixedState::default().hash_one(leaf.content(results)))
        });
        number
    }

    fn result(&self, number: u32) -> Verdict<'_> {
        let leaf = &self.leaves[number as usize]; // nodes hold numbers of leaves only
        let (accepted, attrs, weight, next_hop) = leaf.content(&self.results);
        Verdict { accepted, attrs: attrs.map(AttrSet::new), weight, next_hop, outcome: number }
    }
}

/// What actions need to know beside the attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) direction: Direction,
    pub(super) family: Family,
    pub(super) local_asn: Asn,
    pub(super) local_address: IpAddr,
}

impl Place {
    /// Does one action.
    pub(super) fn apply(
        &self,
        action: &Action,
        editor: &mut Editor,
        weight: &mut Option<u16>,
        next_hop: &mut NextHopVerdict,
    ) {
        match action {
            Action::StripPrivateAsns => editor.strip_private_asns(),
            Action::Prepend(prepend) => editor.prepend(*prepend, self.local_asn),
            Action::SetCommunities(communities) => editor.set_communities(communities),
            Action::RemoveCommunities(removed) => editor.remove_communities(removed),
            Action::AddCommunities(communities) => editor.add_communities(communities),
            Action::LocalPref(value) => editor.local_pref(*value),
            Action::Med(change) => editor.med(*change),
            Action::Origin(origin) => editor.origin(*origin),
            Action::Weight(value) => *weight = Some(*value),
            Action::NextHop(NextHopChange::Address(address)) => {
                if editor.next_hop(self.family, *address) {
                    *next_hop = self.on_export(NextHopVerdict::Explicit);
                }
            }
            Action::NextHop(NextHopChange::Unchanged) => *next_hop = self.on_export(NextHopVerdict::Unchanged),
            Action::NextHop(NextHopChange::Own) if self.direction == Direction::Export => {
                *next_hop = NextHopVerdict::Own;
            }
            Action::NextHop(NextHopChange::Own) => _ = editor.next_hop(self.family, self.local_address),
        }
    }

    fn on_export(&self, verdict: NextHopVerdict) -> NextHopVerdict {
        if self.direction == Direction::Export { verdict } else { NextHopVerdict::Standard }
    }
}
