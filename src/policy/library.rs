//! The compiled policies of a configuration: definitions go in, a [`Library`] or all their faults come out. What makes
//! no sense although it compiles is found in `lint`.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::Hash,
    sync::Arc,
};

use super::{
    ACCEPT_ALL, REJECT_ALL,
    actions::Action,
    community::CommunityPattern,
    conditions::{Digested, PrefixTest, SessionTest, SetTest, Test},
    definitions::{
        ActionDefinition, ConditionDefinition, Definitions, Help, Marked, Problem, Ruling, SetDefinition, SetOr, Span,
        StatementDefinition, TestDefinition,
    },
    lint,
    sets::{as_path::AsPathSet, asn::AsSet, community::CommunitySet, neighbor::NeighborSet, prefix::PrefixSet},
    values::PrefixRange,
};
use crate::wire::bgp::community::Community;

/// One compiled policy.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Policy {
    pub(super) name: Arc<str>,
    pub(super) statements: Vec<Statement>,
}

/// One compiled statement.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Statement {
    /// Its name, or its number counted from 1; empty in the built-in policies.
    pub(super) label: Arc<str>,
    /// All of them must hold: each test, and whether it must not.
    pub(super) conditions: Vec<(Test, bool)>,
    /// In the order in which they are done.
    pub(super) actions: Vec<Action>,
    pub(super) ruling: Option<Ruling>,
}

/// All policies of a configuration and the built-in ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Library {
    policies: BTreeMap<Arc<str>, Arc<Digested<Policy>>>,
}

impl Default for Library {
    /// The built-in policies only.
    fn default() -> Self {
        let built_in = [(ACCEPT_ALL, Ruling::Accept), (REJECT_ALL, Ruling::Reject)];
        let policies =
            built_in.map(|(name, ruling)| (name.into(), Arc::new(Digested::new(unconditional(name, ruling)))));
        Self { policies: policies.into_iter().collect() }
    }
}

/// A policy of one statement that always decides.
pub(super) fn unconditional(name: &str, ruling: Ruling) -> Policy {
    let statement = Statement { label: "".into(), conditions: Vec::new(), actions: Vec::new(), ruling: Some(ruling) };
    Policy { name: name.into(), statements: vec![statement] }
}

impl Library {
    /// Compiles definitions.
    ///
    /// # Errors
    /// All faults that were found, in no order.
    pub fn compile(definitions: &Definitions) -> Result<Self, Vec<Problem>> {
        let mut compiler = Compiler::default();
        let sets = Sets::compile(definitions, &mut compiler);
        let mut library = Self::default();
        for definition in &definitions.policies {
            let name: Arc<str> = definition.name.value.as_str().into();
            if library.policies.contains_key(&name) {
                let built_in = [ACCEPT_ALL, REJECT_ALL].contains(&&*name);
                let what = if built_in { "is built in" } else { "is defined twice" };
                compiler.fault(&definition.name.span, format!("policy {name:?} {what}"), "give it another name");
            }
            let statements = definition.statements.iter().enumerate();
            let statements = statements.map(|(at, statement)| compiler.statement(at, statement, &sets)).collect();
            library.policies.insert(name.clone(), Arc::new(Digested::new(Policy { name, statements })));
        }
        if compiler.problems.is_empty() {
            lint::check(definitions, &mut compiler.problems);
        }
        if compiler.problems.is_empty() { Ok(library) } else { Err(compiler.problems) }
    }

    /// Whether there is a policy of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.policies.contains_key(name)
    }

    /// The names of all policies, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.policies.keys().map(|name| &**name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<Digested<Policy>>> {
        self.policies.get(name)
    }
}

/// Compiled sets by name.
type Named<T> = BTreeMap<String, Arc<Digested<T>>>;

/// All compiled sets.
#[derive(Default)]
struct Sets {
    prefixes: Named<PrefixSet>,
    asns: Named<AsSet>,
    as_paths: Named<AsPathSet>,
    communities: Named<CommunitySet>,
    neighbors: Named<NeighborSet>,
}

impl Sets {
    fn compile(definitions: &Definitions, compiler: &mut Compiler) -> Self {
        Self {
            prefixes: compiler.sets("prefix_set", &definitions.prefix_sets, |_, members| PrefixSet::new(members)),
            asns: compiler.sets("as_set", &definitions.as_sets, |_, members| AsSet::new(members.iter().copied())),
            as_paths: compiler.sets("as_path_set", &definitions.as_path_sets, |compiler, members| {
                compiler.expressions(&members.iter().collect::<Vec<_>>())
            }),
            communities: compiler.sets("community_set", &definitions.community_sets, |_, members| {
                CommunitySet::new(members.iter().cloned())
            }),
            neighbors: compiler
                .sets("neighbor_set", &definitions.neighbor_sets, |_, members| NeighborSet::new(members)),
        }
    }
}

#[derive(Default)]
struct Compiler {
    problems: Vec<Problem>,
}

impl Compiler {
    fn fault(&mut self, span: &Span, what: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(span, what, help));
    }

    fn sets<M, T: Hash>(
        &mut self,
        key: &str,
        definitions: &[SetDefinition<M>],
        compile: impl Fn(&mut Self, &[M]) -> T,
    ) -> Named<T> {
        let mut sets = Named::new();
        for SetDefinition { name, members } in definitions {
            self.check_name(key, name);
            let set = Arc::new(Digested::new(compile(self, members)));
            if sets.insert(name.value.clone(), set).is_some() {
                let what = format!("a second {key} is called {:?}", name.value);
                self.fault(&name.span, what, "give each a name of its own");
            }
        }
        sets
    }

    /// A name must not look like a member, since both can stand in one list.
    fn check_name(&mut self, key: &str, name: &Marked<String>) {
        let text = &name.value;
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !plain || !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let help = "a name begins with a letter and goes on with letters, digits, `-`, `_` and `.`";
            self.fault(&name.span, format!("a {key} cannot be called {text:?}"), help);
        } else if text.parse::<Community>().is_ok() {
            let what = format!("a {key} cannot be called {text:?}, which is a well-known community");
            self.fault(&name.span, what, "give it another name");
        }
    }

    /// Compiles expressions; an empty set where one is wrong.
    fn expressions(&mut self, expressions: &[&Marked<String>]) -> AsPathSet {
        let texts: Vec<&str> = expressions.iter().map(|expression| expression.value.as_str()).collect();
        AsPathSet::new(&texts).unwrap_or_else(|error| {
            let (what, span) = match error.at.and_then(|at| expressions.get(at)) {
                Some(expression) => {
                    (format!("the expression `{}` is refused: {}", expression.value, error.what), &expression.span)
                }
                None => {
                    let first = expressions.first().map_or(&(0..0), |expression| &expression.span);
                    (format!("the expressions together are refused: {}", error.what), first)
                }
            };
            let help = "accepted: an expression on the printed path, `_` stands for a delimiter, such as \"^64496_\", \
                        \"_64500$\" or \"_6449[6-9]_\"";
            self.fault(span, what, help);
            AsPathSet::default()
        })
    }

    fn statement(&mut self, at: usize, definition: &StatementDefinition, sets: &Sets) -> Statement {
        let label = definition.name.as_ref().map_or_else(|| (at + 1).to_string(), |name| name.value.clone());
        let conditions = definition.conditions.iter().map(|condition| self.condition(condition, sets)).collect();
        let mut actions: Vec<Action> = definition.actions.iter().map(|action| self.action(action, sets)).collect();
        actions.sort_by_key(Action::rank);
        let ruling = definition.ruling.as_ref().map(|ruling| ruling.value);
        Statement { label: label.into(), conditions, actions, ruling }
    }

    fn condition(&mut self, definition: &ConditionDefinition, sets: &Sets) -> (Test, bool) {
        let mut negated = definition.negated;
        let inline_communities = |members: Vec<&CommunityPattern>| CommunitySet::new(members.into_iter().cloned());
        let test = match &definition.test {
            TestDefinition::Prefix(list) => {
                Test::Prefix(PrefixTest::Prefix(self.any_of("prefix_set", list, &sets.prefixes, |_, members| {
                    PrefixSet::new(&members.into_iter().copied().collect::<Vec<PrefixRange>>())
                })))
            }
            TestDefinition::Validation(states) => Test::Prefix(PrefixTest::Validation(states.clone())),
            TestDefinition::Aspa(states) => Test::Prefix(PrefixTest::Aspa(states.clone())),
            TestDefinition::Family(families) => Test::Session(SessionTest::Family(families.clone())),
            TestDefinition::Neighbor(list) => Test::Session(SessionTest::Neighbor(self.neighbors(list, sets))),
            TestDefinition::From(list) => Test::Session(SessionTest::From(self.neighbors(list, sets))),
            TestDefinition::NeighborRole(roles) => Test::Session(SessionTest::NeighborRole(roles.clone())),
            TestDefinition::FromRole(roles) => Test::Session(SessionTest::FromRole(roles.clone())),
            TestDefinition::RouteType(types) => Test::Session(SessionTest::RouteType(types.clone())),
            TestDefinition::NextHop(list) => {
                Test::Set(SetTest::NextHop(self.any_of("prefix_set", list, &sets.prefixes, |_, members| {
                    PrefixSet::new(&members.into_iter().map(|prefix| PrefixRange::exact(*prefix)).collect::<Vec<_>>())
                })))
            }
            TestDefinition::PathLength(ranges) => Test::Set(SetTest::PathLength(ranges.clone())),
            TestDefinition::AsPath(list) => Test::Set(SetTest::AsPath(self.any_of(
                "as_path_set",
                list,
                &sets.as_paths,
                |compiler, members| compiler.expressions(&members),
            ))),
            TestDefinition::OriginAs(list) => {
                Test::Set(SetTest::OriginAs(
                    self.any_of("as_set", list, &sets.asns, |_, members| AsSet::new(members.into_iter().copied())),
                ))
            }
            TestDefinition::NeighborAs(list) => {
                Test::Set(SetTest::NeighborAs(
                    self.any_of("as_set", list, &sets.asns, |_, members| AsSet::new(members.into_iter().copied())),
                ))
            }
            TestDefinition::CommunityAny(list) | TestDefinition::CommunityNone(list) => {
                negated ^= matches!(definition.test, TestDefinition::CommunityNone(_));
                let key = "community_set";
                Test::Set(SetTest::CommunityAny(
                    self.any_of(key, list, &sets.communities, |_, members| inline_communities(members)),
                ))
            }
            TestDefinition::CommunityAll(list) => {
                let key = "community_set";
                Test::Set(SetTest::CommunityAll(
                    self.any_of(key, list, &sets.communities, |_, members| inline_communities(members)),
                ))
            }
            TestDefinition::CommunityCount(ranges) => Test::Set(SetTest::CommunityCount(ranges.clone())),
            TestDefinition::LargeCommunityCount(ranges) => Test::Set(SetTest::LargeCommunityCount(ranges.clone())),
            TestDefinition::ExtCommunityCount(ranges) => Test::Set(SetTest::ExtCommunityCount(ranges.clone())),
            TestDefinition::Med(asked) => Test::Set(SetTest::Med(asked.clone())),
            TestDefinition::LocalPref(asked) => Test::Set(SetTest::LocalPref(asked.clone())),
            TestDefinition::Origin(origins) => Test::Set(SetTest::Origin(origins.clone())),
            TestDefinition::HasAsSet(wanted) => {
                negated ^= !wanted;
                Test::Set(SetTest::HasAsSet)
            }
        };
        (test, negated)
    }

    fn neighbors(
        &mut self,
        list: &[SetOr<super::values::NeighborPattern>],
        sets: &Sets,
    ) -> Vec<Arc<Digested<NeighborSet>>> {
        self.any_of("neighbor_set", list, &sets.neighbors, |_, members| NeighborSet::new(members))
    }

    /// The named sets of a list, and one more of its other members.
    fn any_of<M, T: Hash>(
        &mut self,
        key: &str,
        list: &[SetOr<M>],
        named: &Named<T>,
        inline: impl Fn(&mut Self, Vec<&M>) -> T,
    ) -> Vec<Arc<Digested<T>>> {
        let mut sets = Vec::new();
        let mut members = Vec::new();
        for item in list {
            match item {
                SetOr::Inline(member) => members.push(member),
                SetOr::Named(name) => match named.get(&name.value) {
                    Some(set) => sets.push(set.clone()),
                    None => self.unknown(key, name, named.keys()),
                },
            }
        }
        if !members.is_empty() {
            sets.push(Arc::new(Digested::new(inline(self, members))));
        }
        sets
    }

    fn unknown<'a>(&mut self, key: &str, name: &Marked<String>, known: impl Iterator<Item = &'a String>) {
        let known: BTreeSet<String> = known.cloned().collect();
        self.problems.push(Problem {
            span: name.span.clone(),
            what: format!("no {key} is called {:?}", name.value),
            help: Help::Names { wrong: name.value.clone(), known: known.into_iter().collect() },
        });
    }

    fn action(&mut self, definition: &Marked<ActionDefinition>, sets: &Sets) -> Action {
        match &definition.value {
            ActionDefinition::StripPrivateAsns => Action::StripPrivateAsns,
            ActionDefinition::Prepend(prepend) => Action::Prepend(*prepend),
            ActionDefinition::SetCommunities(communities) => Action::SetCommunities(communities.clone()),
            ActionDefinition::AddCommunities(communities) => Action::AddCommunities(communities.clone()),
            ActionDefinition::RemoveCommunities(list) => {
                let key = "community_set";
                let inline =
                    |_: &mut Self, members: Vec<&CommunityPattern>| CommunitySet::new(members.into_iter().cloned());
                let sets = self.any_of(key, list, &sets.communities, inline);
                Action::RemoveCommunities(Arc::new(Digested::new(CommunitySet::union(sets.iter().map(|set| &***set)))))
            }
            ActionDefinition::LocalPref(value) => Action::LocalPref(*value),
            ActionDefinition::Med(change) => Action::Med(*change),
            ActionDefinition::Origin(origin) => Action::Origin(*origin),
            ActionDefinition::NextHop(change) => Action::NextHop(*change),
            ActionDefinition::Weight(weight) => Action::Weight(*weight),
        }
    }
}
