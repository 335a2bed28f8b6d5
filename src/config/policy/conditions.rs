//! Keys of `match` and of `not` in it. Each takes one value or a list; a list asks for any of its members. Members of
//! sets and names of sets may stand side by side: their forms tell them apart.

use std::net::IpAddr;

use toml::de::DeValue;

use super::{asn_range, explained, expression, number, prefix_range, set_or, some};
use crate::{
    config::{
        read::{Misfit, Table, Value},
        value,
    },
    policy::{
        AspaState, Validation,
        community::CommunityPattern,
        definitions::{ConditionDefinition, RouteType, SetOr, TestDefinition},
        values::{MaybeNumber, NeighborPattern, NumberRange},
    },
    types::{Prefix, Role},
    wire::bgp::attribute::Origin,
};

/// How a key of `match` is read.
type Reader = for<'a> fn(&'a Value<'a>) -> Result<TestDefinition, Misfit>;

/// Every key of `match`.
const KEYS: [(&str, Reader); 24] = [
    ("prefix", |v| some(v, "[\"customers\", \"192.0.2.0/24\"]", prefix).map(TestDefinition::Prefix)),
    ("next_hop", |v| some(v, "[\"192.0.2.1\"]", next_hop).map(TestDefinition::NextHop)),
    ("as_path_length", |v| some(v, "\">= 10\"", range).map(TestDefinition::PathLength)),
    ("as_path", |v| some(v, "[\"^64496_\"]", as_path).map(TestDefinition::AsPath)),
    ("origin_as", |v| some(v, "[64500]", asn).map(TestDefinition::OriginAs)),
    ("neighbor_as", |v| some(v, "[64496]", asn).map(TestDefinition::NeighborAs)),
    ("community_any", |v| some(v, "[\"64500:1\"]", community).map(TestDefinition::CommunityAny)),
    ("community_all", |v| some(v, "[\"64500:1\"]", community).map(TestDefinition::CommunityAll)),
    ("community_none", |v| some(v, "[\"64500:1\"]", community).map(TestDefinition::CommunityNone)),
    ("community_count", |v| some(v, "\"<= 20\"", range).map(TestDefinition::CommunityCount)),
    ("large_community_count", |v| some(v, "\"<= 20\"", range).map(TestDefinition::LargeCommunityCount)),
    ("ext_community_count", |v| some(v, "\"<= 20\"", range).map(TestDefinition::ExtCommunityCount)),
    ("med", |v| some(v, "\"<= 100\"", maybe_number).map(TestDefinition::Med)),
    ("local_pref", |v| some(v, "\">= 100\"", maybe_number).map(TestDefinition::LocalPref)),
    ("origin", |v| some(v, "[\"igp\"]", origin).map(TestDefinition::Origin)),
    ("family", |v| some(v, "[\"ipv4-unicast\"]", value::family).map(TestDefinition::Family)),
    ("neighbor", |v| some(v, "[\"upstreams\"]", neighbor).map(TestDefinition::Neighbor)),
    ("from", |v| some(v, "[\"upstreams\"]", neighbor).map(TestDefinition::From)),
    ("neighbor_role", |v| some(v, "[\"customer\"]", role).map(TestDefinition::NeighborRole)),
    ("from_role", |v| some(v, "[\"customer\"]", role).map(TestDefinition::FromRole)),
    ("route_type", |v| some(v, "[\"external\"]", route_type).map(TestDefinition::RouteType)),
    ("validation", |v| some(v, "[\"invalid\"]", validation).map(TestDefinition::Validation)),
    ("aspa", |v| some(v, "[\"invalid\"]", aspa).map(TestDefinition::Aspa)),
    ("has_as_set", |v| value::boolean(v).map(TestDefinition::HasAsSet)),
];

/// Reads the keys of `match`, or of the `not` in it, to the end of `list`.
pub(super) fn read(mut table: Table<'_>, negated: bool, list: &mut Vec<ConditionDefinition>) {
    for (key, reader) in KEYS {
        if let Some(test) = table.opt(key, reader) {
            list.push(ConditionDefinition { span: table.span_of(key), negated, test });
        }
    }
    if !negated && let Some(inner) = table.table("not", "not") {
        read(inner, true, list);
    }
    table.finish();
}

fn prefix<'a>(v: &'a Value<'a>) -> Result<SetOr<crate::policy::values::PrefixRange>, Misfit> {
    set_or(v, |text| !text.contains('/'), prefix_range)
}

/// An address is the prefix of itself.
fn next_hop<'a>(v: &'a Value<'a>) -> Result<SetOr<Prefix>, Misfit> {
    let address = |text: &str| text.parse::<IpAddr>().ok();
    set_or(
        v,
        |text| !text.contains('/') && address(text).is_none(),
        |v| match v.get_ref() {
            DeValue::String(text) if !text.contains('/') => value::address(v).map(Prefix::host),
            _ => value::prefix(v),
        },
    )
}

/// No expression begins with a letter: printed paths have none.
fn as_path<'a>(v: &'a Value<'a>) -> Result<SetOr<crate::policy::definitions::Marked<String>>, Misfit> {
    set_or(v, |text| text.starts_with(|c: char| c.is_ascii_alphabetic()), expression)
}

fn asn<'a>(v: &'a Value<'a>) -> Result<SetOr<NumberRange>, Misfit> {
    let is_number =
        |text: &str| text.strip_prefix("AS").unwrap_or(text).starts_with(|c: char| !c.is_ascii_alphabetic());
    set_or(v, |text| !is_number(text), asn_range)
}

fn community<'a>(v: &'a Value<'a>) -> Result<SetOr<CommunityPattern>, Misfit> {
    set_or(v, |text| !CommunityPattern::is_form_of_one(text), explained)
}

fn neighbor<'a>(v: &'a Value<'a>) -> Result<SetOr<NeighborPattern>, Misfit> {
    set_or(v, |text| !NeighborPattern::is_form_of_one(text), explained)
}

fn range(v: &Value<'_>) -> Result<NumberRange, Misfit> {
    match v.get_ref() {
        DeValue::Integer(_) => number(v, u32::MAX).map(NumberRange::one),
        _ => explained(v),
    }
}

/// A number that may be absent.
pub(super) fn maybe_number(v: &Value<'_>) -> Result<MaybeNumber, Misfit> {
    match v.get_ref() {
        DeValue::Integer(_) => number(v, u32::MAX).map(|number| MaybeNumber::Within(NumberRange::one(number))),
        _ => explained(v),
    }
}

/// ORIGIN by its name.
pub(super) fn origin(v: &Value<'_>) -> Result<Origin, Misfit> {
    let words = [Origin::Igp, Origin::Egp, Origin::Incomplete].map(|origin| (origin.name(), origin));
    value::word(v, &words)
}

/// What a neighbour is to us, by the name of its role.
pub(super) fn role(v: &Value<'_>) -> Result<Role, Misfit> {
    let roles = [Role::Provider, Role::Customer, Role::Peer, Role::RouteServer, Role::RouteServerClient];
    value::word(v, &roles.map(|role| (role.name(), role)))
}

fn route_type(v: &Value<'_>) -> Result<RouteType, Misfit> {
    value::word(v, &RouteType::ALL.map(|kind| (kind.name(), kind)))
}

/// A state of origin validation.
pub(super) fn validation(v: &Value<'_>) -> Result<Validation, Misfit> {
    value::word(v, &Validation::ALL.map(|state| (state.name(), state)))
}

/// A state of ASPA verification.
pub(super) fn aspa(v: &Value<'_>) -> Result<AspaState, Misfit> {
    value::word(v, &AspaState::ALL.map(|state| (state.name(), state)))
}
