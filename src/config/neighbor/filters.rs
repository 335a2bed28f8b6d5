//! Outbound route filters of one `[[neighbor]]` (RFC 5291): `orf`, `orf_prefix_set`, `orf_entries_max`.

use std::sync::Arc;

use toml::de::DeValue;

use super::super::{
    policy::PolicyNames,
    read::{Misfit, Table, Value},
    value,
};
use crate::{
    engine::FILTER_ENTRIES_MAX,
    policy::values::PrefixRange,
    types::Family,
    wire::bgp::{
        capability::OrfMode,
        orf::{OrfEntry, OrfMatch},
    },
};

/// What is done about outbound route filters.
#[derive(Clone, PartialEq, Debug)]
pub struct RouteFilters {
    /// `orf`: in which families they are received or sent; default none.
    pub modes: Vec<(Family, OrfMode)>,
    /// `orf_prefix_set`: the prefix set that is sent; default: what is sent has no entries.
    pub prefix_set: Option<String>,
    /// Its members, as entries that permit; those of each address family are numbered by themselves.
    pub entries: Arc<[OrfEntry]>,
    /// `orf_entries_max`: most entries to take in one family; default 10,000.
    pub entries_max: usize,
}

const MODES: [(&str, OrfMode); 3] = [("receive", OrfMode::Receive), ("send", OrfMode::Send), ("both", OrfMode::Both)];

pub(super) fn read(table: &mut Table<'_>, families: &[Family], policies: &PolicyNames) -> RouteFilters {
    let modes = table.or("orf", Vec::new(), |v| read_modes(v, families));
    let set = table.opt("orf_prefix_set", |v| policies.read_prefix_set(v));
    let entries_max = table.or("orf_entries_max", FILTER_ENTRIES_MAX, |v| {
        value::integer(v, 1..=100_000).map(|entries| entries as usize) // as checked
    });
    let (prefix_set, members) = set.unzip();
    RouteFilters { modes, prefix_set, entries: entries(members.as_deref().unwrap_or_default()), entries_max }
}

/// Contradictions with the rest.
pub(super) fn check(table: &Table<'_>, filters: &RouteFilters, monitor_only: bool) {
    if monitor_only && !filters.modes.is_empty() {
        let what = "`orf` contradicts `monitor_only`: nothing is ever sent on such a session";
        table.fault(table.span_of("orf"), what, "remove `orf`, or set monitor_only = false");
    }
    if filters.prefix_set.is_some() && !filters.modes.iter().any(|(_, mode)| mode.sends()) {
        let what = "`orf_prefix_set` says nothing where no filter is sent";
        table.fault(table.span_of("orf_prefix_set"), what, "add a line such as: orf = \"send\"");
    }
    if table.has_own("orf_entries_max") && !filters.modes.iter().any(|(_, mode)| mode.receives()) {
        let what = "`orf_entries_max` says nothing where no filter is received";
        table.fault(table.span_of("orf_entries_max"), what, "add a line such as: orf = \"receive\"");
    }
}

/// A word for all families that can have filters, or a table of families with a word each.
fn read_modes(v: &Value<'_>, families: &[Family]) -> Result<Vec<(Family, OrfMode)>, Misfit> {
    const ACCEPTED: &str = "\"receive\", \"send\" or \"both\", or a table of families: { ipv4-unicast = \"receive\" }";
    let DeValue::Table(table) = v.get_ref() else {
        let mode = value::word(v, &MODES).map_err(|misfit| Misfit { accepted: ACCEPTED.to_owned(), ..misfit })?;
        let able: Vec<_> = families.iter().filter(|family| family.is_plain_prefix()).map(|f| (*f, mode)).collect();
        if able.is_empty() {
            let what = "none of the neighbor's families can have route filters".to_owned();
            return Err(Misfit { span: v.span(), what, accepted: "unicast and multicast families".to_owned() });
        }
        return Ok(able);
    };
    let mut modes = Vec::new();
    for (key, word) in table.iter() {
        let misfit = |what: String, accepted: &str| Misfit { span: key.span(), what, accepted: accepted.to_owned() };
        let name = key.get_ref().as_ref();
        let family: Family =
            name.parse().map_err(|_| misfit(format!("no address family is called {name:?}"), ACCEPTED))?;
        if !family.is_plain_prefix() {
            return Err(misfit(format!("{family} can have no route filters"), "unicast and multicast families"));
        }
        if !families.contains(&family) {
            return Err(misfit(format!("{family} is not in `families`"), "families of the neighbor"));
        }
        modes.push((family, value::word(word, &MODES)?));
    }
    Ok(modes)
}

fn entries(members: &[PrefixRange]) -> Arc<[OrfEntry]> {
    let of = |v4: bool| {
        let members = members.iter().filter(move |member| member.prefix.is_v4() == v4);
        (1..).zip(members).map(|(sequence, member)| OrfEntry {
            sequence,
            decision: OrfMatch::Permit,
            prefix: member.prefix,
            min_len: member.min_len,
            max_len: member.max_len,
        })
    };
    of(true).chain(of(false)).collect()
}
