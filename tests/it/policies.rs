//! A few policies for stories, made as `config` makes them from a file.

use std::sync::Arc;

use ribwatch::policy::{
    Definitions, Library,
    definitions::{
        ActionDefinition, ConditionDefinition, Marked, PolicyDefinition, Ruling, SetOr, StatementDefinition,
        TestDefinition,
    },
};

fn marked<T>(value: T) -> Marked<T> {
    Marked::new(value, 0..0)
}

fn statement(tests: Vec<TestDefinition>, actions: Vec<ActionDefinition>, ruling: Ruling) -> StatementDefinition {
    let condition = |test| ConditionDefinition { span: 0..0, negated: false, test };
    StatementDefinition {
        span: 0..0,
        name: None,
        conditions: tests.into_iter().map(condition).collect(),
        actions: actions.into_iter().map(marked).collect(),
        ruling: Some(marked(ruling)),
    }
}

fn policy(name: &str, statements: Vec<StatementDefinition>) -> PolicyDefinition {
    PolicyDefinition { name: marked(name.to_owned()), statements }
}

/// Adds a community to every route and accepts it.
pub fn tag(name: &str, community: &str) -> PolicyDefinition {
    let add = ActionDefinition::AddCommunities(vec![community.parse().expect("a community")]);
    policy(name, vec![statement(vec![], vec![add], Ruling::Accept)])
}

/// Rejects what is in these prefixes (`"10.0.0.0/8 le 24"`) and accepts the rest.
pub fn without(name: &str, prefixes: &[&str]) -> PolicyDefinition {
    let inside = prefixes.iter().map(|range| SetOr::Inline(range.parse().expect("a range of prefixes"))).collect();
    let reject = statement(vec![TestDefinition::Prefix(inside)], vec![], Ruling::Reject);
    policy(name, vec![reject, statement(vec![], vec![], Ruling::Accept)])
}

/// Rejects paths that fit an expression and accepts the rest.
pub fn without_path(name: &str, expression: &str) -> PolicyDefinition {
    let test = TestDefinition::AsPath(vec![SetOr::Inline(marked(expression.to_owned()))]);
    policy(name, vec![statement(vec![test], vec![], Ruling::Reject), statement(vec![], vec![], Ruling::Accept)])
}

/// All of them, compiled.
pub fn library(policies: Vec<PolicyDefinition>) -> Arc<Library> {
    Arc::new(Library::compile(&Definitions { policies, ..Definitions::default() }).expect("policies without faults"))
}
