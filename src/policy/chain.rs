//! The policies of one neighbour in one direction, laid out for evaluation: statements of all policies in one row, the
//! questions of all of them numbered, equal ones once. What can be said about a chain without a route is said here.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use rustc_hash::FxBuildHasher;

use super::{
    actions::Action,
    conditions::{Digested, PrefixTest, SessionTest, SetTest, Test},
    definitions::Ruling,
    library::{Library, Policy, unconditional},
    trace::Decider,
};
use crate::types::{PeerKind, Prefix};

/// The policies of one neighbour in one direction, in order, and what holds when none of them decides. Cheap to clone.
///
/// Equal chains mean the same: after a reload with other statements under the same names two chains differ, with equal
/// statements they are equal.
#[derive(Clone, Debug)]
pub struct PolicyChain {
    program: Arc<Program>,
}

/// A chain, laid out.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) policies: Vec<Arc<Digested<Policy>>>,
    /// What holds at the end: EBGP rejects (RFC 8212 §3), IBGP accepts.
    pub(super) accepts_at_end: bool,
    pub(super) steps: Vec<Step>,
    /// Questions about the session, the attributes, the prefix. A question occurs once.
    pub(super) session_tests: Vec<SessionTest>,
    pub(super) set_tests: Vec<SetTest>,
    pub(super) prefix_tests: Vec<PrefixTest>,
}

/// A statement in the row.
#[derive(Debug)]
pub(super) struct Step {
    /// Which policy and which of its statements.
    pub(super) place: (usize, usize),
    /// Numbers of the questions, and whether the answer must be no.
    pub(super) session: Vec<Condition>,
    pub(super) set: Vec<Condition>,
    pub(super) prefix: Vec<Condition>,
    pub(super) ruling: Option<Ruling>,
    /// The first step of the next policy.
    pub(super) next_policy: usize,
}

/// A question by its number, and whether the answer must be no.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Condition {
    pub(super) test: usize,
    pub(super) negated: bool,
}

impl Step {
    fn is_unconditional(&self) -> bool {
        self.session.is_empty() && self.set.is_empty() && self.prefix.is_empty()
    }
}

impl Program {
    pub(super) fn actions(&self, step: &Step) -> &[Action] {
        let (policy, statement) = step.place;
        self.policies
            .get(policy)
            .and_then(|policy| policy.statements.get(statement))
            .map_or(&[], |statement| &statement.actions)
    }

    /// Whether nothing but the prefix decides, and attributes stay what they are: then all routes share one tree.
    pub(super) fn looks_at_prefix_only(&self) -> bool {
        let looks_elsewhere = !self.session_tests.is_empty() || !self.set_tests.is_empty();
        !looks_elsewhere && self.steps.iter().all(|step| self.actions(step).is_empty())
    }

    /// The steps that a route can reach, in order, as far as conditions cannot be foreseen; and whether the end can be
    /// reached. One walk is enough, since every way leads forward.
    fn reachable(&self) -> (Vec<&Step>, bool) {
        let mut reached = vec![false; self.steps.len() + 1];
        reached[0] = true;
        let mut steps = Vec::new();
        for (at, step) in self.steps.iter().enumerate() {
            if !reached[at] {
                continue;
            }
            steps.push(step);
            if step.ruling == Some(Ruling::NextPolicy) {
                reached[step.next_policy] = true;
            }
            // What has no conditions and a verdict lets nothing through to the statement behind it.
            reached[at + 1] |= step.ruling.is_none() || !step.is_unconditional();
        }
        (steps, reached[self.steps.len()])
    }
}

impl PolicyChain {
    /// The chain of these policies towards a neighbour of this kind. A name that the library does not have rejects
    /// everything, so that a misspelt name never opens a door; configuration refuses such names before they get here.
    pub fn new(library: &Library, names: &[Arc<str>], kind: PeerKind) -> Self {
        let policies: Vec<Arc<Digested<Policy>>> = names
            .iter()
            .map(|name| match library.get(name) {
                Some(policy) => policy.clone(),
                None => Arc::new(Digested::new(unconditional(name, Ruling::Reject))),
            })
            .collect();
        let mut layout = Layout::default();
        for (number, policy) in policies.iter().enumerate() {
            let next_policy = layout.steps.len() + policy.statements.len();
            for (at, statement) in policy.statements.iter().enumerate() {
                let mut step = Step {
                    place: (number, at),
                    session: Vec::new(),
                    set: Vec::new(),
                    prefix: Vec::new(),
                    ruling: statement.ruling,
                    next_policy,
                };
                for (test, negated) in &statement.conditions {
                    let (list, test) = match test {
                        Test::Session(test) => (&mut step.session, layout.session.number(test)),
                        Test::Set(test) => (&mut step.set, layout.set.number(test)),
                        Test::Prefix(test) => (&mut step.prefix, layout.prefix.number(test)),
                    };
                    list.push(Condition { test, negated: *negated });
                }
                layout.steps.push(step);
            }
        }
        let program = Program {
            accepts_at_end: kind == PeerKind::Internal,
            steps: layout.steps,
            session_tests: layout.session.tests,
            set_tests: layout.set.tests,
            prefix_tests: layout.prefix.tests,
            policies,
        };
        Self { program: Arc::new(program) }
    }

    /// Whether no route can pass, whatever it is: nothing needs to be kept ready for such a neighbour.
    pub fn rejects_everything(&self) -> bool {
        let (steps, ends) = self.program.reachable();
        let at_end = ends && self.program.accepts_at_end;
        !at_end && steps.iter().all(|step| step.ruling != Some(Ruling::Accept))
    }

    /// Whether every route passes as it is: nobody needs to be asked.
    pub fn accepts_everything_unchanged(&self) -> bool {
        let (steps, ends) = self.program.reachable();
        let harmless = |step: &&Step| step.ruling != Some(Ruling::Reject) && self.program.actions(step).is_empty();
        steps.iter().all(harmless) && (!ends || self.program.accepts_at_end)
    }

    /// Whether no route reaches the end: policies behind these would never be asked.
    pub fn decides_every_route(&self) -> bool {
        !self.program.reachable().1
    }

    /// Who decides, where one statement without conditions decides over every route; or that nobody does. For answers
    /// about chains of built-in policies, which need no route.
    pub fn constant(&self) -> Option<Decider> {
        let (steps, ends) = self.program.reachable();
        match (steps.as_slice(), ends) {
            ([], _) if self.program.policies.is_empty() => Some(Decider::NoPolicy),
            ([step], false) => {
                let (policy, statement) = step.place;
                let policy = self.program.policies.get(policy)?;
                let statement = policy.statements.get(statement)?.label.clone();
                Some(Decider::Statement { policy: policy.name.clone(), statement })
            }
            _ => None,
        }
    }

    /// Whether a verdict can differ between prefixes of one route.
    pub fn looks_at_prefix(&self) -> bool {
        self.program.prefix_tests.iter().any(|test| matches!(test, PrefixTest::Prefix(_)))
    }

    /// Asks the memory for what questions about these prefixes will need, all at once: in large sets a question alone
    /// waits for it several times. For callers that have the next few prefixes at hand (16 measured best); does nothing
    /// in a chain that does not look at the prefix.
    pub fn warm(&self, prefixes: &[Prefix]) {
        for test in &self.program.prefix_tests {
            if let PrefixTest::Prefix(sets) = test {
                for set in sets {
                    prefixes.iter().for_each(|prefix| _ = std::hint::black_box(set.contains(*prefix)));
                }
            }
        }
    }

    /// Whether a verdict can change when origin or ASPA validation does.
    pub fn looks_at_validation(&self) -> bool {
        self.program.prefix_tests.iter().any(|test| !matches!(test, PrefixTest::Prefix(_)))
    }

    /// Whether an action can make another AS the origin of a path: private ASNs are taken out, or an empty path gets its
    /// first AS.
    pub fn changes_as_path(&self) -> bool {
        let changes = |action: &Action| matches!(action, Action::StripPrivateAsns | Action::Prepend(_));
        self.program.steps.iter().any(|step| self.program.actions(step).iter().any(changes))
    }

    /// Whether a verdict can differ between neighbours of one update group: the chain asks about the neighbour on the
    /// other end of the session.
    pub fn looks_at_neighbor(&self) -> bool {
        self.program.session_tests.iter().any(SessionTest::looks_at_neighbor)
    }

    /// Whether a verdict can differ between neighbours that a route came from.
    pub fn looks_at_source(&self) -> bool {
        self.program.session_tests.iter().any(SessionTest::looks_at_source)
    }

    /// The names of the policies, in order.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.program.policies.iter().map(|policy| &policy.name)
    }

    pub(super) fn program(&self) -> &Arc<Program> {
        &self.program
    }
}

impl PartialEq for PolicyChain {
    fn eq(&self, other: &Self) -> bool {
        let (mine, others) = (&self.program, &other.program);
        Arc::ptr_eq(mine, others) || (mine.accepts_at_end == others.accepts_at_end && mine.policies == others.policies)
    }
}

impl Eq for PolicyChain {}

impl Hash for PolicyChain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.program.accepts_at_end.hash(state);
        self.program.policies.hash(state);
    }
}

#[derive(Default)]
struct Layout {
    steps: Vec<Step>,
    session: Numbered<SessionTest>,
    set: Numbered<SetTest>,
    prefix: Numbered<PrefixTest>,
}

/// Questions in the order in which they first occur.
struct Numbered<T> {
    tests: Vec<T>,
    numbers: HashMap<T, usize, FxBuildHasher>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { tests: Vec::new(), numbers: HashMap::default() }
    }
}

impl<T: Clone + Eq + Hash> Numbered<T> {
    fn number(&mut self, test: &T) -> usize {
        *self.numbers.entry(test.clone()).or_insert_with(|| {
            self.tests.push(test.clone());
            self.tests.len() - 1
        })
    }
}
