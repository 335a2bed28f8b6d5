//! Judges routes one by one and counts what came of them. Keeps counts, and the first routes that would be rejected or
//! changed, never all.

use std::{collections::BTreeMap, rc::Rc, sync::Arc};

use crate::{
    engine::Validity,
    policy::{Change, Context, Direction, Library, NeighborFacts, PerPrefix, PolicyChain, Route, case::source},
    rib::SetFacts,
    types::{Family, PeerKind, Prefix},
    wire::bgp::attribute::AttrSet,
};

/// A route to judge.
pub(super) struct Asked<'a> {
    pub(super) family: Family,
    /// `None` in a family without plain prefixes.
    pub(super) prefix: Option<Prefix>,
    pub(super) set: AttrSet<'a>,
    /// Who sent it; `None`: originated here.
    pub(super) from: Option<&'a NeighborFacts>,
    /// What RPKI says of it.
    pub(super) validity: Validity,
    /// Whether the daemon accepts it now.
    pub(super) accepted_now: Option<bool>,
}

/// What became of a route.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) accepted: bool,
    /// `policy/statement`, or words where none decided.
    pub(super) by: String,
    /// What would be other than it came; empty of a rejected route.
    pub(super) changes: Vec<Change>,
}

/// A route that would be rejected or changed.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) prefix: String,
    pub(super) family: Family,
    /// Who sent it; empty: originated here.
    pub(super) neighbor: String,
    pub(super) outcome: Rc<Outcome>,
    pub(super) accepted_now: Option<bool>,
}

/// What was found.
#[derive(Default, Debug)]
pub(super) struct Findings {
    pub(super) routes: u64,
    pub(super) accepted: u64,
    /// Accepted with other attributes.
    pub(super) changed: u64,
    /// Accepted by the daemon now, rejected by the policies; and the other way round. Of a daemon's routes only.
    pub(super) lost: u64,
    pub(super) gained: u64,
    pub(super) is_live: bool,
    /// Where the states of origins and paths come from; `None`: no policy asks for them.
    pub(super) states: Option<States>,
    /// Routes by who decided and how.
    pub(super) deciders: BTreeMap<(String, bool), u64>,
    /// Accepted routes by attribute that changes.
    pub(super) attributes: BTreeMap<String, u64>,
    pub(super) shown: Vec<Shown>,
}

/// Where the states of origins and paths come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum States {
    /// The daemon knows them.
    Daemon,
    /// Files of the configuration.
    Files {
        vrps: u64,
        aspas: u64,
        /// Caches that the daemon would ask too.
        unasked: Vec<String>,
    },
    /// The configuration names no file.
    Unknown,
}

impl Findings {
    pub(super) fn rejected(&self) -> u64 {
        self.routes - self.accepted
    }
}

pub(super) struct Judge {
    external: PolicyChain,
    internal: PolicyChain,
    context: Context,
    /// Whether the context's neighbour is whoever sent the route.
    follows_sender: bool,
    limit: usize,
    last: Option<Last>,
    findings: Findings,
}

/// The route before: one that only differs in its prefix gets the same outcome where the chain does not look at that.
struct Last {
    set: Vec<u8>,
    family: Family,
    from: Option<NeighborFacts>,
    outcome: Rc<Outcome>,
}

impl Judge {
    /// Judges by the policies of `names` on a session of `context`. On import without a named neighbour (an empty name
    /// in the context) the neighbour is whoever sent each route.
    pub(super) fn new(names: &[Arc<str>], library: &Library, context: Context, limit: usize) -> Self {
        let follows_sender = context.direction == Direction::Import && context.neighbor.name.is_empty();
        Self {
            external: PolicyChain::new(library, names, PeerKind::External),
            internal: PolicyChain::new(library, names, PeerKind::Internal),
            context,
            follows_sender,
            limit,
            last: None,
            findings: Findings::default(),
        }
    }

    /// Whether what RPKI says can change an outcome.
    pub(super) fn asks_validation(&self) -> bool {
        self.external.looks_at_validation() || self.internal.looks_at_validation()
    }

    /// Notes where the states of routes come from, if anybody asks for them.
    pub(super) fn states_from(&mut self, states: States) {
        self.findings.states = Some(states).filter(|_| self.asks_validation());
    }

    pub(super) fn direction(&self) -> Direction {
        self.context.direction
    }

    /// Judges one route; `text` is its NLRI in words, asked for when it is shown.
    pub(super) fn judge(&mut self, asked: &Asked<'_>, text: impl FnOnce() -> String) {
        let outcome = self.outcome(asked);
        let findings = &mut self.findings;
        findings.routes += 1;
        findings.accepted += u64::from(outcome.accepted);
        findings.changed += u64::from(!outcome.changes.is_empty());
        if let Some(now) = asked.accepted_now {
            findings.is_live = true;
            findings.lost += u64::from(now && !outcome.accepted);
            findings.gained += u64::from(!now && outcome.accepted);
        }
        match findings.deciders.get_mut(&(outcome.by.clone(), outcome.accepted)) {
            Some(count) => *count += 1,
            None => _ = findings.deciders.insert((outcome.by.clone(), outcome.accepted), 1),
        }
        for change in &outcome.changes {
            *findings.attributes.entry(change.attribute.clone()).or_default() += 1;
        }
        let differs = !outcome.accepted || !outcome.changes.is_empty();
        if differs && findings.shown.len() < self.limit {
            let neighbor = asked.from.map(|from| from.address.to_string()).unwrap_or_default();
            let (family, accepted_now) = (asked.family, asked.accepted_now);
            findings.shown.push(Shown { prefix: text(), family, neighbor, outcome, accepted_now });
        }
    }

    pub(super) fn finish(self) -> Findings {
        self.findings
    }

    fn outcome(&mut self, asked: &Asked<'_>) -> Rc<Outcome> {
        if self.follows_sender
            && let Some(from) = asked.from
            && self.context.neighbor != *from
        {
            self.context.neighbor = from.clone();
        }
        let chain = match self.context.neighbor.kind {
            PeerKind::External => &self.external,
            PeerKind::Internal => &self.internal,
        };
        let per_prefix = chain.looks_at_prefix() || chain.looks_at_validation();
        let same = |last: &&Last| {
            !per_prefix
                && last.set == asked.set.as_bytes()
                && last.family == asked.family
                && last.from.as_ref() == asked.from
        };
        if let Some(last) = self.last.as_ref().filter(same) {
            return last.outcome.clone();
        }
        let facts = SetFacts::of(asked.set);
        let route =
            Route { family: asked.family, set: asked.set, facts: &facts, source: source(asked.from), from: asked.from };
        let Validity { origin, path } = asked.validity;
        let prefix = PerPrefix { prefix: asked.prefix, validation: origin, aspa: path };
        let trace = chain.trace(&self.context, &route, &prefix);
        let changes = if trace.accepted { trace.changes(asked.set) } else { Vec::new() };
        let outcome = Rc::new(Outcome { accepted: trace.accepted, by: trace.by.to_string(), changes });
        let (set, from) = (asked.set.as_bytes().to_vec(), asked.from.cloned());
        self.last = Some(Last { set, family: asked.family, from, outcome: outcome.clone() });
        outcome
    }
}
