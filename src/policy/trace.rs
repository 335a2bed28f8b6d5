//! Why: a chain run statement by statement for one route and prefix, with all it did on the way. For answers
//! (`explain`, `policy test`, `[[policy.test]]`), not for the road that every path takes; `eval` gives the same verdict.

use std::{fmt, sync::Arc};

use super::{
    ACCEPT_ALL, NO_POLICY, PolicyChain, REJECT_ALL,
    actions::Editor,
    changes::{Change, changes},
    conditions::Test,
    context::{Context, PerPrefix, Route},
    definitions::Ruling,
    eval::{NextHopVerdict, Place},
    library::Statement,
};
use crate::{rib::SetFacts, types::PeerKind, wire::bgp::attribute::AttrSet};

/// Who decided about a route.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Decider {
    /// A statement.
    Statement {
        /// Its policy.
        policy: Arc<str>,
        /// Its name, or its number counted from 1; empty where the policy is one statement without conditions that is
        /// built in, or is not defined at all.
        statement: Arc<str>,
    },
    /// There was no policy at all.
    NoPolicy,
    /// No statement decided: EBGP rejects then (RFC 8212 §3), IBGP accepts.
    End(PeerKind),
}

impl Decider {
    /// The policy that decided, or the words for there being none: what `rejected_by` says in answers.
    pub fn policy(&self) -> Arc<str> {
        match self {
            Self::Statement { policy, .. } => policy.clone(),
            Self::NoPolicy => NO_POLICY.into(),
            Self::End(_) => self.to_string().into(),
        }
    }
}

impl fmt::Display for Decider {
    /// `customer-in/bogons`, `customer-in/2`, `accept-all`, or words where no statement decided.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Statement { policy, statement } if statement.is_empty() => f.write_str(policy),
            Self::Statement { policy, statement } => write!(f, "{policy}/{statement}"),
            Self::NoPolicy => f.write_str(NO_POLICY),
            Self::End(PeerKind::External) => f.write_str("no statement decided, EBGP rejects (RFC 8212)"),
            Self::End(PeerKind::Internal) => f.write_str("no statement decided, IBGP accepts"),
        }
    }
}

/// A statement that matched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matched {
    /// Its policy.
    pub policy: Arc<str>,
    /// Its name, or its number counted from 1; empty in built-in policies.
    pub statement: Arc<str>,
    /// What it changed.
    pub changes: Vec<Change>,
    /// What it decided.
    pub ruling: Option<Ruling>,
}

impl fmt::Display for Matched {
    /// `customer-in/2: local_pref none -> 200, accepts`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = Decider::Statement { policy: self.policy.clone(), statement: self.statement.clone() };
        let ruling = match self.ruling {
            Some(Ruling::Accept) => "accepts",
            Some(Ruling::Reject) => "rejects",
            Some(Ruling::NextPolicy) => "goes on with the next policy",
            None => "goes on",
        };
        write!(f, "{by}: ")?;
        for change in &self.changes {
            write!(f, "{change}, ")?;
        }
        f.write_str(ruling)
    }
}

/// What a chain did with a route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// Whether the route may go on.
    pub accepted: bool,
    /// Who decided.
    pub by: Decider,
    /// The statements that matched, in order.
    pub matched: Vec<Matched>,
    /// Canonical attributes at the end, of a rejected route too.
    pub attrs: Vec<u8>,
    /// Its weight, where a statement set it.
    pub weight: Option<u16>,
    /// Its next hop on export.
    pub next_hop: NextHopVerdict,
}

impl Trace {
    /// What is other than in `before`, the attributes that the chain was asked about, in all.
    pub fn changes(&self, before: AttrSet<'_>) -> Vec<Change> {
        let mut changes = changes(before, AttrSet::new(&self.attrs));
        changes.extend(beside(None, self.weight, NextHopVerdict::Standard, self.next_hop));
        changes
    }
}

/// What changed beside the attributes: the weight, and what export does about the next hop.
fn beside(
    weight: Option<u16>,
    weight_after: Option<u16>,
    next_hop: NextHopVerdict,
    next_hop_after: NextHopVerdict,
) -> impl Iterator<Item = Change> {
    let text = |weight: Option<u16>| weight.map(|weight| weight.to_string());
    let weight = (weight != weight_after).then(|| Change {
        attribute: "weight".into(),
        before: text(weight),
        after: text(weight_after),
    });
    let word = match next_hop_after {
        NextHopVerdict::Own => Some("self"),
        NextHopVerdict::Unchanged => Some("unchanged"),
        NextHopVerdict::Standard | NextHopVerdict::Explicit => None,
    };
    let next_hop = word.filter(|_| next_hop != next_hop_after).map(|word| Change {
        attribute: "next_hop".into(),
        before: None,
        after: Some(word.into()),
    });
    weight.into_iter().chain(next_hop)
}

impl PolicyChain {
    /// Runs the chain for one route and prefix and tells what it did.
    pub fn trace(&self, context: &Context, route: &Route<'_>, prefix: &PerPrefix) -> Trace {
        let program = self.program();
        let kind = if program.accepts_at_end { PeerKind::Internal } else { PeerKind::External };
        let mut run = Run::new(context, route, prefix);
        'policies: for policy in &program.policies {
            for statement in policy.statements.iter() {
                if !run.matches(statement) {
                    continue;
                }
                run.act(&policy.name, statement);
                match statement.ruling {
                    Some(Ruling::NextPolicy) => continue 'policies,
                    Some(ruling) => {
                        let (policy, statement) = (policy.name.clone(), statement.label.clone());
                        return run.end(ruling == Ruling::Accept, Decider::Statement { policy, statement });
                    }
                    None => {}
                }
            }
        }
        let by = if program.policies.is_empty() { Decider::NoPolicy } else { Decider::End(kind) };
        run.end(program.accepts_at_end, by)
    }
}

struct Run<'a> {
    context: &'a Context,
    route: &'a Route<'a>,
    prefix: &'a PerPrefix,
    editor: Editor,
    facts: SetFacts,
    matched: Vec<Matched>,
    weight: Option<u16>,
    next_hop: NextHopVerdict,
}

impl<'a> Run<'a> {
    fn new(context: &'a Context, route: &'a Route<'a>, prefix: &'a PerPrefix) -> Self {
        let mut editor = Editor::default();
        editor.load(route.set);
        let (weight, next_hop) = (None, NextHopVerdict::Standard);
        Self { context, route, prefix, editor, facts: *route.facts, matched: Vec::new(), weight, next_hop }
    }

    fn matches(&self, statement: &Statement) -> bool {
        statement.conditions.iter().all(|(test, negated)| {
            let holds = match test {
                Test::Session(test) => test.holds(self.context, self.route),
                Test::Set(test) => test.holds(self.editor.set(), &self.facts),
                Test::Prefix(test) => test.holds(self.prefix),
            };
            holds != *negated
        })
    }

    fn act(&mut self, policy: &Arc<str>, statement: &Statement) {
        let before = self.editor.set().as_bytes().to_vec();
        let (weight, next_hop) = (self.weight, self.next_hop);
        let place = Place {
            direction: self.context.direction,
            family: self.route.family,
            local_asn: self.context.local_asn,
            local_address: self.context.local_address,
        };
        // A rejected route goes nowhere: what would be changed is of no use.
        if statement.ruling != Some(Ruling::Reject) {
            for action in &statement.actions {
                place.apply(action, &mut self.editor, &mut self.weight, &mut self.next_hop);
            }
        }
        self.facts = SetFacts::of(self.editor.set());
        let mut changes = changes(AttrSet::new(&before), self.editor.set());
        changes.extend(beside(weight, self.weight, next_hop, self.next_hop));
        let (policy, label) = (policy.clone(), statement.label.clone());
        self.matched.push(Matched { policy, statement: label, changes, ruling: statement.ruling });
    }

    fn end(self, accepted: bool, by: Decider) -> Trace {
        let attrs = self.editor.set().as_bytes().to_vec();
        Trace { accepted, by, matched: self.matched, attrs, weight: self.weight, next_hop: self.next_hop }
    }
}

/// Whether a policy of this name needs no definition.
pub fn is_built_in(name: &str) -> bool {
    [ACCEPT_ALL, REJECT_ALL].contains(&name)
}
