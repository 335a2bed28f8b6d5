//! What compiles and makes no sense: statements that nothing reaches, conditions that nothing meets, actions that
//! nobody sees. Each is a slip that would otherwise show as a route too many or too few.

use super::definitions::{Definitions, PolicyDefinition, Problem, Ruling};

/// Notes the faults of `definitions` in `problems`.
pub(super) fn check(definitions: &Definitions, problems: &mut Vec<Problem>) {
    for policy in &definitions.policies {
        check_order(policy, problems);
    }
}

/// Statements behind one that always decides.
fn check_order(policy: &PolicyDefinition, problems: &mut Vec<Problem>) {
    let decides = |at: &usize| {
        policy
            .statements
            .get(*at)
            .is_some_and(|statement| statement.ruling.is_some() && statement.conditions.is_empty())
    };
    let Some(last) = (0..policy.statements.len()).find(decides) else { return };
    if let Some(behind) = policy.statements.get(last + 1) {
        let ruling = match policy.statements.get(last).and_then(|statement| statement.ruling.as_ref()) {
            Some(ruling) if ruling.value == Ruling::NextPolicy => "leaves the policy",
            _ => "decides",
        };
        let what = format!("this statement is never reached: statement {} {ruling} for every route", last + 1);
        problems.push(Problem::new(&behind.span, what, "remove it, or move it up, or give the other one a `match`"));
    }
}
