//! Keys of `set`: what a statement changes. They take effect in the order of `policy::definitions::ActionDefinition`,
//! whatever their order in the file.

use toml::de::DeValue;

use super::{conditions, explained, number, set_or, some};
use crate::{
    config::{
        read::{Misfit, Table, Value},
        value,
    },
    policy::{
        community::CommunityPattern,
        definitions::{ActionDefinition, Marked, MedChange, NextHopChange, Prepend, PrependWho},
    },
};

/// How a key of `set` is read; `None`: it asks for nothing.
type Reader = for<'a> fn(&'a Value<'a>) -> Result<Option<ActionDefinition>, Misfit>;

/// The keys of `set` but `prepend`, which may be a table.
const KEYS: [(&str, Reader); 9] = [
    ("strip_private_asns", |v| value::boolean(v).map(|wanted| wanted.then_some(ActionDefinition::StripPrivateAsns))),
    ("communities", |v| some(v, "[\"64500:1\"]", explained).map(|list| Some(ActionDefinition::SetCommunities(list)))),
    ("remove_communities", |v| {
        let pattern = |v| set_or(v, |text| !CommunityPattern::is_form_of_one(text), explained);
        some(v, "[\"64500:*\"]", pattern).map(|list| Some(ActionDefinition::RemoveCommunities(list)))
    }),
    ("add_communities", |v| {
        some(v, "[\"64500:1\"]", explained).map(|list| Some(ActionDefinition::AddCommunities(list)))
    }),
    ("local_pref", |v| number(v, u32::MAX).map(|number| Some(ActionDefinition::LocalPref(number)))),
    ("med", |v| med(v).map(|change| Some(ActionDefinition::Med(change)))),
    ("origin", |v| conditions::origin(v).map(|origin| Some(ActionDefinition::Origin(origin)))),
    ("next_hop", |v| next_hop(v).map(|change| Some(ActionDefinition::NextHop(change)))),
    ("weight", |v| number(v, 65535).map(|number| Some(ActionDefinition::Weight(number as u16)))), // at most 65535
];

/// Reads the keys of `set`.
pub(super) fn read(mut table: Table<'_>) -> Vec<Marked<ActionDefinition>> {
    let mut actions = Vec::new();
    for (key, reader) in KEYS {
        if let Some(action) = table.opt(key, reader).flatten() {
            actions.push(Marked::new(action, table.span_of(key)));
        }
    }
    let span = table.span_of("prepend");
    let prepend = if table.is_table("prepend") {
        table.table("prepend", "prepend").and_then(read_prepend)
    } else {
        table.opt("prepend", prepend)
    };
    actions.extend(prepend.map(|prepend| Marked::new(ActionDefinition::Prepend(prepend), span)));
    table.finish();
    actions
}

/// `3` is our own AS three times, "last-as" the leftmost one once more.
fn prepend(v: &Value<'_>) -> Result<Prepend, Misfit> {
    let accepted = "how many times to put our AS in front, from 1 to 10; \"last-as\"; or { asn = 64500, times = 2 }";
    match v.get_ref() {
        DeValue::Integer(_) => times(v).map(|times| Prepend { who: PrependWho::Own, times }),
        DeValue::String(text) if text == "last-as" => Ok(Prepend { who: PrependWho::LastAs, times: 1 }),
        _ => Err(value::misfit(v, "what to put in front of the path", accepted)),
    }
}

fn read_prepend(mut table: Table<'_>) -> Option<Prepend> {
    let who = table.or("asn", PrependWho::Own, |v| match v.get_ref() {
        DeValue::String(text) if text == "last-as" => Ok(PrependWho::LastAs),
        DeValue::String(text) if text == "own" => Ok(PrependWho::Own),
        DeValue::String(_) => Err(value::misfit(v, "an AS", "an AS number, \"own\" or \"last-as\"")),
        _ => value::asn(v).map(PrependWho::Asn),
    });
    let times = table.required("times", "times = 2", times);
    table.finish();
    Some(Prepend { who, times: times? })
}

/// More than ten are a slip, or an attack on those who limit the length of paths.
fn times(v: &Value<'_>) -> Result<u8, Misfit> {
    value::integer(v, 1..=10).map(|times| times as u8) // at most 10
}

fn med(v: &Value<'_>) -> Result<MedChange, Misfit> {
    let accepted = "a number, \"+10\", \"-10\", or \"none\" to take it away";
    let wrong = || value::misfit(v, "a MED", accepted);
    match v.get_ref() {
        DeValue::Integer(_) => number(v, u32::MAX).map(MedChange::Set).map_err(|_| wrong()),
        DeValue::String(text) if text == "none" => Ok(MedChange::Remove),
        DeValue::String(text) => {
            let (sign, digits) = text.split_at_checked(1).ok_or_else(wrong)?;
            let number = digits.trim().parse::<u32>().map_err(|_| wrong())?;
            match sign {
                "+" => Ok(MedChange::Add(number)),
                "-" => Ok(MedChange::Subtract(number)),
                _ => Err(wrong()),
            }
        }
        _ => Err(wrong()),
    }
}

fn next_hop(v: &Value<'_>) -> Result<NextHopChange, Misfit> {
    match v.get_ref() {
        DeValue::String(text) if text == "self" => Ok(NextHopChange::Own),
        DeValue::String(text) if text == "unchanged" => Ok(NextHopChange::Unchanged),
        _ => value::host_address(v).map(NextHopChange::Address).map_err(|mut misfit| {
            misfit.accepted = format!("\"self\", \"unchanged\", or {}", misfit.accepted);
            misfit
        }),
    }
}
