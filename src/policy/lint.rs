//! What compiles and makes no sense: statements that nothing reaches, conditions that nothing meets, actions that
//! nobody sees. Each is a slip that would otherwise show as a route too many or too few.
//!
//! Only what is certain is told: a statement that is not mentioned here may still match nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    community::CommunityPattern,
    context::{AspaState, Validation as OriginState},
    definitions::{
        ConditionDefinition, Definitions, PolicyDefinition, Problem, RouteType, Ruling, SetOr, StatementDefinition,
        TestDefinition,
    },
    sets::asn::AsSet,
    values::{MaybeNumber, NumberRange, PrefixRange},
};
use crate::types::Family;

/// Notes the faults of `definitions` in `problems`.
pub(super) fn check(definitions: &Definitions, problems: &mut Vec<Problem>) {
    check_sets(definitions, problems);
    let prefix_sets = definitions.prefix_sets.iter().map(|set| (set.name.value.as_str(), set.members.as_slice()));
    let prefix_sets: BTreeMap<&str, &[PrefixRange]> = prefix_sets.collect();
    for policy in &definitions.policies {
        check_order(policy, problems);
        check_names(policy, problems);
        for statement in &policy.statements {
            check_effect(statement, problems);
            if let Some(problem) = contradiction(statement, &prefix_sets) {
                problems.push(problem);
            }
        }
    }
}

/// Sets in which nothing is: what asks for a member of one never matches.
fn check_sets(definitions: &Definitions, problems: &mut Vec<Problem>) {
    let prefixes = definitions.prefix_sets.iter().map(|set| (&set.name, set.members.is_empty()));
    let asns = definitions.as_sets.iter().map(|set| (&set.name, set.members.is_empty()));
    for (name, _) in prefixes.chain(asns).filter(|(_, empty)| *empty) {
        let what = format!("the set {:?} is empty: nothing can ever match it", name.value);
        problems.push(Problem::new(&name.span, what, "its file has no line that counts; fill it, or remove the set"));
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

/// Names of statements: answers and tests speak of `policy/statement`.
fn check_names(policy: &PolicyDefinition, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for name in policy.statements.iter().filter_map(|statement| statement.name.as_ref()) {
        if !seen.insert(&name.value) {
            let what = format!("a second statement of this policy is called {:?}", name.value);
            problems.push(Problem::new(&name.span, what, "give each a name of its own"));
        }
        if name.value.contains('/') || name.value.chars().all(|c| c.is_ascii_digit()) {
            let what = format!("a statement cannot be called {:?}", name.value);
            problems.push(Problem::new(&name.span, what, "a name is no number and has no `/`"));
        }
    }
}

/// Statements without an effect.
fn check_effect(statement: &StatementDefinition, problems: &mut Vec<Problem>) {
    match (&statement.ruling, statement.actions.first()) {
        (None, None) => {
            let what = "this statement does nothing";
            problems.push(Problem::new(&statement.span, what, "add `set`, or verdict = \"accept\" or \"reject\""));
        }
        (Some(ruling), Some(action)) if ruling.value == Ruling::Reject => {
            let what = "`set` has no effect: the statement rejects the route";
            problems.push(Problem::new(&action.span, what, "remove it, or change the verdict"));
        }
        _ => {}
    }
}

/// The first condition that can never hold, or not beside another one.
fn contradiction(statement: &StatementDefinition, prefix_sets: &BTreeMap<&str, &[PrefixRange]>) -> Option<Problem> {
    let conditions = &statement.conditions;
    conditions.iter().enumerate().find_map(|(at, condition)| {
        let why = match never_alone(condition) {
            Some(why) => Some(why.to_owned()),
            None => {
                let before = conditions.get(..at).unwrap_or_default();
                before.iter().find_map(|other| {
                    never_together(other, condition, prefix_sets)
                        .or_else(|| never_together(condition, other, prefix_sets))
                })
            }
        }?;
        let what = format!("this statement can never match: {why}");
        Some(Problem::new(&condition.span, what, "remove one of the conditions, or the statement"))
    })
}

/// Why a condition cannot hold, whatever the route.
fn never_alone(condition: &ConditionDefinition) -> Option<&'static str> {
    let all = match &condition.test {
        TestDefinition::Origin(origins) => distinct(origins.iter().map(|origin| *origin as u8)) == 3,
        TestDefinition::RouteType(types) => RouteType::ALL.iter().all(|kind| types.contains(kind)),
        TestDefinition::Validation(states) => OriginState::ALL.iter().all(|state| states.contains(state)),
        TestDefinition::Aspa(states) => AspaState::ALL.iter().all(|state| states.contains(state)),
        _ => false,
    };
    (condition.negated && all).then_some("`not` excludes every value that there is")
}

fn distinct(values: impl Iterator<Item = u8>) -> usize {
    values.collect::<BTreeSet<u8>>().len()
}

/// Why two conditions exclude each other; asked for both orders.
fn never_together(
    one: &ConditionDefinition,
    other: &ConditionDefinition,
    prefix_sets: &BTreeMap<&str, &[PrefixRange]>,
) -> Option<String> {
    use TestDefinition::{
        Aspa, CommunityAll, CommunityAny, CommunityCount, CommunityNone, ExtCommunityCount, Family, From, FromRole,
        LargeCommunityCount, LocalPref, Med, NeighborAs, OriginAs, PathLength, Prefix, RouteType as Type, Validation,
    };
    if one.negated != other.negated && one.test == other.test {
        return Some("`not` excludes what the condition beside it asks for".to_owned());
    }
    if !one.negated && other.negated && excludes_all(&other.test, &one.test) {
        return Some("`not` excludes all that the condition beside it asks for".to_owned());
    }
    match (&one.test, &other.test) {
        (PathLength(wanted), PathLength(excluded))
        | (CommunityCount(wanted), CommunityCount(excluded))
        | (LargeCommunityCount(wanted), LargeCommunityCount(excluded))
        | (ExtCommunityCount(wanted), ExtCommunityCount(excluded))
            if !one.negated && other.negated =>
        {
            all_within(wanted, excluded).then(|| "`not` excludes every number that is asked for".to_owned())
        }
        (Med(wanted), Med(excluded)) | (LocalPref(wanted), LocalPref(excluded)) if !one.negated && other.negated => {
            let (absent, within) = split(wanted);
            let (never_absent, never_within) = split(excluded);
            let excluded = (!absent || never_absent) && all_within(&within, &never_within);
            excluded.then(|| "`not` excludes every number that is asked for".to_owned())
        }
        (CommunityAny(wanted), CommunityNone(excluded)) if !one.negated && !other.negated => {
            let all = wanted.iter().all(|member| excluded.iter().any(|other| same(member, other)));
            all.then(|| "`community_none` excludes what `community_any` asks for".to_owned())
        }
        (CommunityAll(wanted), CommunityNone(excluded)) if !one.negated && !other.negated => {
            let any = wanted.iter().any(|member| excluded.iter().any(|other| same(member, other)));
            any.then(|| "`community_none` excludes what `community_all` asks for".to_owned())
        }
        (Family(families), Prefix(list)) if !one.negated && !other.negated => {
            let has = |afi: u16, v4: bool| {
                families.iter().any(|family| family.is_plain_prefix() && family.afi == afi)
                    && holds(list, prefix_sets, v4)
            };
            (!has(1, true) && !has(2, false)).then(|| "no prefix in `prefix` is of the `family`".to_owned())
        }
        (Family(families), Validation(states)) if !one.negated && !other.negated => {
            let unchecked = !families.iter().any(is_validated) && !states.contains(&OriginState::NotChecked);
            unchecked.then(|| "only unicast routes have a validation state (RFC 6811)".to_owned())
        }
        (Family(families), Aspa(states)) if !one.negated && !other.negated => {
            let unchecked = !families.iter().any(is_validated) && !states.contains(&AspaState::NotChecked);
            unchecked.then(|| "only unicast routes have an ASPA state".to_owned())
        }
        (Type(types), From(_) | FromRole(_)) if !one.negated && !other.negated => {
            let local = types.iter().all(|kind| *kind == RouteType::Local);
            local.then(|| "a local route comes from no neighbor".to_owned())
        }
        (PathLength(lengths), OriginAs(_) | NeighborAs(_)) if !one.negated && !other.negated => {
            let empty = lengths.iter().all(|range| range.max == 0);
            empty.then(|| "a path of length 0 has no AS to ask for".to_owned())
        }
        _ => None,
    }
}

/// Whether each of `wanted` lies within `excluded`.
fn all_within(wanted: &[NumberRange], excluded: &[NumberRange]) -> bool {
    let excluded = AsSet::new(excluded.iter().copied());
    wanted.iter().all(|range| excluded.covers(*range))
}

/// Whether absence is among `asked`, and the ranges among it.
fn split(asked: &[MaybeNumber]) -> (bool, Vec<NumberRange>) {
    let ranges = asked.iter().filter_map(|asked| match asked {
        MaybeNumber::Within(range) => Some(*range),
        MaybeNumber::Absent => None,
    });
    (asked.contains(&MaybeNumber::Absent), ranges.collect())
}

/// Whether whatever `wanted` asks for is in the list of `excluded`, member by member.
fn excludes_all(excluded: &TestDefinition, wanted: &TestDefinition) -> bool {
    use TestDefinition::{
        AsPath, Aspa, CommunityAny, Family, From, FromRole, Neighbor, NeighborAs, NeighborRole, NextHop, Origin,
        OriginAs, Prefix, RouteType, Validation,
    };
    fn all<T: PartialEq>(excluded: &[T], wanted: &[T]) -> bool {
        wanted.iter().all(|one| excluded.contains(one))
    }
    match (excluded, wanted) {
        (Prefix(excluded), Prefix(wanted)) => all(excluded, wanted),
        (NextHop(excluded), NextHop(wanted)) => all(excluded, wanted),
        (AsPath(excluded), AsPath(wanted)) => all(excluded, wanted),
        (OriginAs(excluded), OriginAs(wanted)) | (NeighborAs(excluded), NeighborAs(wanted)) => all(excluded, wanted),
        (CommunityAny(excluded), CommunityAny(wanted)) => all(excluded, wanted),
        (Origin(excluded), Origin(wanted)) => all(excluded, wanted),
        (Family(excluded), Family(wanted)) => all(excluded, wanted),
        (Neighbor(excluded), Neighbor(wanted)) | (From(excluded), From(wanted)) => all(excluded, wanted),
        (NeighborRole(excluded), NeighborRole(wanted)) | (FromRole(excluded), FromRole(wanted)) => {
            all(excluded, wanted)
        }
        (RouteType(excluded), RouteType(wanted)) => all(excluded, wanted),
        (Validation(excluded), Validation(wanted)) => all(excluded, wanted),
        (Aspa(excluded), Aspa(wanted)) => all(excluded, wanted),
        _ => false,
    }
}

/// Whether routes of a family have states of validation (RFC 6811 is about unicast routes).
fn is_validated(family: &Family) -> bool {
    matches!(*family, Family::IPV4_UNICAST | Family::IPV6_UNICAST)
}

/// Whether two members of lists are the same pattern or the same set.
fn same(one: &SetOr<CommunityPattern>, other: &SetOr<CommunityPattern>) -> bool {
    match (one, other) {
        (SetOr::Named(one), SetOr::Named(other)) => one.value == other.value,
        (SetOr::Inline(one), SetOr::Inline(other)) => one == other,
        _ => false,
    }
}

/// Whether a list has prefixes of an address family. A set that is not defined could have.
fn holds(list: &[SetOr<PrefixRange>], prefix_sets: &BTreeMap<&str, &[PrefixRange]>, v4: bool) -> bool {
    list.iter().any(|member| match member {
        SetOr::Inline(range) => range.prefix.is_v4() == v4,
        SetOr::Named(name) => match prefix_sets.get(name.value.as_str()) {
            Some(members) => members.iter().any(|range| range.prefix.is_v4() == v4),
            None => true,
        },
    })
}
