//! `[policy]`: named sets, policies and their tests, as the room `policy` wants them. Keys of `match` stand in
//! `conditions`, keys of `set` in `actions`, tests in `cases`; what all of them share is here.

mod actions;
mod cases;
mod conditions;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

pub use cases::facts as neighbor_facts;

use toml::de::DeValue;

use super::{
    neighbor::Neighbor,
    read::{Misfit, Table, Value, describe},
    sections::Router,
    source::{Problem, nearest},
    value,
};
use crate::{
    engine::FILTER_ENTRIES_MAX,
    policy::{
        Definitions, Library, PolicyChain,
        case::Case,
        definitions::{Help, Marked, PolicyDefinition, Ruling, SetDefinition, SetOr, StatementDefinition},
        values::{AsnRange, NeighborPattern, PrefixRange},
    },
    types::PeerKind,
};

/// Longest file of a set: room for some ten million members.
const FILE_OCTETS_MAX: u64 = 1 << 28;

/// `[policy]`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Policies {
    /// Every policy, compiled, the built-in ones included.
    pub library: Arc<Library>,
    /// `[[policy.test]]`, in the order of the file.
    pub tests: Vec<Marked<Case>>,
    /// `[[policy.prefix_set]]`, as far as neighbours can be told of it.
    pub prefix_sets: PrefixSets,
}

impl Policies {
    /// The tests that fail, each with what was expected, what came and what the policies did.
    pub(super) fn failures(&self) -> Vec<Problem> {
        let failed = |test: &Marked<Case>| {
            let failure = test.value.run(&self.library).err()?;
            let what = format!("policy test {:?} fails: {}", test.value.name, failure.mismatches.join("; "));
            Some(Problem { span: test.span.clone(), what, help: failure.story() })
        };
        self.tests.iter().filter_map(failed).collect()
    }
}

/// Members of prefix sets by name; `None` where they are more than a neighbour could be told of (RFC 5291).
pub type PrefixSets = BTreeMap<String, Option<Arc<[PrefixRange]>>>;

/// The names that `import`, `export` and `orf_prefix_set` may use.
pub(super) struct PolicyNames {
    /// Of all policies, faulty ones included, so that one fault is told once.
    names: Vec<String>,
    /// Those without faults.
    library: Arc<Library>,
    /// What `orf_prefix_set` may name.
    prefix_sets: PrefixSets,
}

impl PolicyNames {
    /// The names of policies and sets.
    pub(super) fn of(policies: &Policies) -> Self {
        Self {
            names: policies.library.names().map(str::to_owned).collect(),
            library: Arc::clone(&policies.library),
            prefix_sets: policies.prefix_sets.clone(),
        }
    }

    /// The name of a prefix set, and its members.
    pub(super) fn read_prefix_set(&self, value: &Value<'_>) -> Result<(String, Arc<[PrefixRange]>), Misfit> {
        let name = value::label(value)?;
        let misfit = |what: String, accepted: String| Misfit { span: value.span(), what, accepted };
        match self.prefix_sets.get(&name) {
            Some(Some(members)) => Ok((name, Arc::clone(members))),
            Some(None) => Err(misfit(
                format!("the prefix set {name:?} has more members than a neighbor is told of"),
                format!("a set of at most {FILTER_ENTRIES_MAX} prefixes"),
            )),
            None => {
                let mut what = format!("no prefix set is called {name:?}");
                if let Some(near) = nearest(&name, self.prefix_sets.keys().map(String::as_str)) {
                    what.push_str(&format!("; did you mean \"{near}\"?"));
                }
                Err(misfit(what, "the name of a [[policy.prefix_set]]".to_owned()))
            }
        }
    }

    /// A list of policies that are asked in order; each must have routes left to be asked about.
    pub(super) fn chain<'a>(&self, value: &'a Value<'a>, example: &str) -> Result<Vec<String>, Misfit> {
        let chain = value::list(value, example, |v| self.read(v))?;
        let names: Vec<Arc<str>> = chain.iter().map(|name| name.as_str().into()).collect();
        // Of a policy that has faults nothing is known.
        let known = names.iter().take_while(|name| self.library.contains(name)).count();
        let dead = (1..names.len().min(known + 1)).find(|at| {
            let before = names.get(..*at).unwrap_or_default();
            // The kind of the session says only what holds at the end.
            PolicyChain::new(&self.library, before, PeerKind::External).decides_every_route()
        });
        let items = value.get_ref().as_array();
        match dead.and_then(|at| Some((chain.get(at)?, chain.get(at - 1)?, items?.get(at)?.span()))) {
            Some((dead, decides, span)) => Err(Misfit {
                span,
                what: format!("{dead:?} is never asked: {decides:?} before it decides for every route"),
                accepted: format!("a list in which {decides:?} stands last, or without {dead:?}"),
            }),
            None => Ok(chain),
        }
    }

    /// The name of a policy.
    pub(super) fn read(&self, value: &Value<'_>) -> Result<String, Misfit> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let accepted = || match names.len() {
            2 => format!("{} (the built-in policies), or one that [[policy.policy]] defines", names.join(", ")),
            count if count > 12 => "accept-all, reject-all, or one that [[policy.policy]] defines".to_owned(),
            _ => names.join(", "),
        };
        let DeValue::String(name) = value.get_ref() else {
            return Err(value::misfit(value, "a policy name", accepted()));
        };
        if names.contains(&name.as_ref()) {
            return Ok(name.clone().into_owned());
        }
        let mut what = format!("no policy is called {name:?}");
        if let Some(near) = nearest(name, names.iter().copied()) {
            what.push_str(&format!("; did you mean \"{near}\"?"));
        }
        Err(Misfit { span: value.span(), what, accepted: accepted() })
    }
}

/// `[policy]` while the file is read: tests are read last, since they speak of neighbours.
pub(super) struct Reading<'a> {
    table: Option<Table<'a>>,
    pub(super) names: PolicyNames,
}

/// Reads sets and policies; `base` is the folder that files of sets are looked for in.
pub(super) fn read<'a>(file: &mut Table<'a>, base: &Path) -> Reading<'a> {
    let Some(mut table) = file.table("policy", "[policy]") else {
        return Reading { table: None, names: PolicyNames::of(&Policies::default()) };
    };
    let faults_before = table.fault_count();
    let definitions = Definitions {
        prefix_sets: read_sets(&mut table, "prefix_set", "[[policy.prefix_set]]", |set| {
            members(
                set,
                "prefixes",
                "[\"192.0.2.0/24\", \"10.0.0.0/8 ge 9 le 24\"]",
                prefix_range,
                Some((base, str::parse)),
            )
        }),
        as_sets: read_sets(&mut table, "as_set", "[[policy.as_set]]", |set| {
            members(set, "asns", "[64496, \"64512-65534\"]", asn_range, Some((base, asn_line)))
        }),
        as_path_sets: read_sets(&mut table, "as_path_set", "[[policy.as_path_set]]", |set| {
            members(set, "paths", "[\"^64496_\", \"_64500$\"]", expression, None)
        }),
        community_sets: read_sets(&mut table, "community_set", "[[policy.community_set]]", |set| {
            members(set, "communities", "[\"64500:1\", \"64500:*\"]", explained, None)
        }),
        neighbor_sets: read_sets(&mut table, "neighbor_set", "[[policy.neighbor_set]]", |set| {
            members(set, "neighbors", "[\"192.0.2.1\", \"edge-1\"]", explained::<NeighborPattern>, None)
        }),
        policies: table.tables("policy", "[[policy.policy]]").into_iter().filter_map(read_policy).collect(),
    };
    let prefix_sets = definitions.prefix_sets.iter().map(|set| {
        let members = (set.members.len() <= FILTER_ENTRIES_MAX).then(|| set.members.as_slice().into());
        (set.name.value.clone(), members)
    });
    let mut names = PolicyNames::of(&Policies { prefix_sets: prefix_sets.collect(), ..Policies::default() });
    names.names.extend(definitions.policies.iter().map(|policy| policy.name.value.clone()));
    // Where a key is faulty its statement lacks something, and what would be said of it is not true.
    let complete = table.fault_count() == faults_before;
    let compiled = if complete { Library::compile(&definitions) } else { Err(Vec::new()) };
    match compiled {
        Ok(library) => names.library = Arc::new(library),
        Err(problems) => {
            problems.into_iter().for_each(|problem| table.fault(problem.span, problem.what, help(&problem.help)));
        }
    }
    Reading { table: Some(table), names }
}

impl Reading<'_> {
    /// Reads the tests and ends reading.
    pub(super) fn finish(self, router: Option<&Router>, neighbors: &[&Neighbor]) -> Policies {
        let Self { table, names } = self;
        let PolicyNames { library, prefix_sets, .. } = &names;
        let (library, prefix_sets) = (Arc::clone(library), prefix_sets.clone());
        let Some(mut table) = table else { return Policies { library, tests: Vec::new(), prefix_sets } };
        let tests = table.tables("test", "[[policy.test]]");
        let tests = tests.into_iter().filter_map(|test| cases::read(test, router, neighbors, &names)).collect();
        table.finish();
        Policies { library, tests, prefix_sets }
    }
}

fn help(help: &Help) -> String {
    match help {
        Help::Text(text) => text.clone(),
        Help::Names { wrong, known } => match nearest(wrong, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if known.is_empty() => "none is defined in this file".to_owned(),
            None if known.len() > 12 => "define it, or use one that is defined".to_owned(),
            None => format!("accepted: {}", known.join(", ")),
        },
    }
}

fn read_sets<'a, T>(
    table: &mut Table<'a>,
    key: &'static str,
    heading: &'static str,
    members: impl Fn(&mut Table<'a>) -> Option<Vec<T>>,
) -> Vec<SetDefinition<T>> {
    let mut sets = Vec::new();
    for mut set in table.tables(key, heading) {
        let name = set.required("name", "name = \"customers\"", marked(value::label));
        let members = members(&mut set);
        if let (Some(name), Some(members)) = (name, members) {
            sets.push(SetDefinition { name, members });
        }
        set.finish();
    }
    sets
}

/// How a line of a file is read as a member, and the folder that files are looked for in.
type Lines<'a, T> = (&'a Path, fn(&str) -> Result<T, String>);

/// The members of a set: of the list under `key`, and, where it may have one, the lines of `file`.
fn members<'a, T>(
    set: &mut Table<'a>,
    key: &'static str,
    example: &str,
    item: fn(&'a Value<'a>) -> Result<T, Misfit>,
    lines: Option<Lines<'_, T>>,
) -> Option<Vec<T>> {
    let has_file = lines.is_some() && set.has("file");
    let from_file = lines.and_then(|lines| set.opt("file", |v| read_lines(v, lines)));
    if has_file && !set.has(key) {
        set.know(key);
        return from_file;
    }
    let mut members = set.required(key, &format!("{key} = {example}"), |v| some(v, example, item))?;
    members.extend(from_file.into_iter().flatten());
    Some(members)
}

/// Reads the members in a file: one per line, `#` begins a comment.
fn read_lines<T>(value: &Value<'_>, (base, read): Lines<'_, T>) -> Result<Vec<T>, Misfit> {
    let path = base.join(value::text(value)?);
    let refuse = |what: String| Misfit {
        span: value.span(),
        what,
        accepted: "the path of a file with one member per line, relative to this file; # begins a comment".to_owned(),
    };
    let unreadable = |why: std::io::Error| refuse(format!("{} cannot be read: {why}", path.display()));
    if fs::metadata(&path).map_err(unreadable)?.len() > FILE_OCTETS_MAX {
        return Err(refuse(format!("{} is larger than {} MiB", path.display(), FILE_OCTETS_MAX >> 20)));
    }
    let text = fs::read_to_string(&path).map_err(unreadable)?;
    let mut members = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            let member = read(line);
            members.push(member.map_err(|why| refuse(format!("{}:{}: {why}", path.display(), number + 1)))?);
        }
    }
    Ok(members)
}

fn read_policy(mut table: Table<'_>) -> Option<PolicyDefinition> {
    let name = table.required("name", "name = \"customer-in\"", marked(value::label));
    let statements = table.tables("statement", "[[policy.policy.statement]]");
    if statements.is_empty() && !table.has("statement") {
        let help = "add [[policy.policy.statement]] below it, with match, set and verdict";
        table.fault(table.span(), "a policy without statements decides nothing", help);
    }
    let statements = statements.into_iter().map(read_statement).collect();
    table.finish();
    Some(PolicyDefinition { name: name?, statements })
}

fn read_statement(mut table: Table<'_>) -> StatementDefinition {
    let span = table.span();
    let name = table.opt("name", marked(value::label));
    let mut list = Vec::new();
    if let Some(keys) = table.table("match", "match") {
        conditions::read(keys, false, &mut list);
    }
    let actions = table.table("set", "set").map(actions::read).unwrap_or_default();
    let words = [("accept", Ruling::Accept), ("reject", Ruling::Reject), ("next-policy", Ruling::NextPolicy)];
    let ruling = table.opt("verdict", marked(|v| value::word(v, &words)));
    table.finish();
    StatementDefinition { span, name, conditions: list, actions, ruling }
}

/// A reader that marks what it read with its place.
fn marked<'a, T>(
    read: impl Fn(&'a Value<'a>) -> Result<T, Misfit>,
) -> impl Fn(&'a Value<'a>) -> Result<Marked<T>, Misfit> {
    move |value| read(value).map(|read| Marked::new(read, value.span()))
}

/// The items of a list, or the one item that stands for a list of one; at least one.
fn some_items<'a>(value: &'a Value<'a>, example: &str) -> Result<Vec<&'a Value<'a>>, Misfit> {
    let items: Vec<&Value<'_>> = match value.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => vec![value],
    };
    if items.is_empty() {
        let accepted = format!("a list with at least one item, such as {example}");
        return Err(Misfit { span: value.span(), what: "the list is empty, so nothing is in it".to_owned(), accepted });
    }
    Ok(items)
}

/// A list, or one item, each read by `item`.
fn some<'a, T>(
    value: &'a Value<'a>,
    example: &str,
    item: impl Fn(&'a Value<'a>) -> Result<T, Misfit>,
) -> Result<Vec<T>, Misfit> {
    some_items(value, example)?.into_iter().map(item).collect()
}

/// A text that says by itself what is wrong with it.
fn explained<T: std::str::FromStr<Err = String>>(value: &Value<'_>) -> Result<T, Misfit> {
    let DeValue::String(text) = value.get_ref() else {
        return Err(value::misfit(value, "a text in quotes", "a text in quotes"));
    };
    text.parse().map_err(|what: String| match what.split_once(": write ") {
        Some((what, accepted)) => Misfit { span: value.span(), what: what.to_owned(), accepted: accepted.to_owned() },
        None => Misfit { span: value.span(), what, accepted: "a text of the form above, in quotes".to_owned() },
    })
}

/// A member of a prefix set.
fn prefix_range(value: &Value<'_>) -> Result<PrefixRange, Misfit> {
    let accepted = "a prefix in quotes, alone or with lengths: \"192.0.2.0/24\", \"10.0.0.0/8 ge 9 le 24\", \
                    \"2001:db8::/32+\"";
    let DeValue::String(text) = value.get_ref() else { return Err(value::misfit(value, "a prefix", accepted)) };
    text.parse().map_err(|what| Misfit { span: value.span(), what, accepted: accepted.to_owned() })
}

/// A member of an AS set: a number or a range in quotes.
fn asn_range(value: &Value<'_>) -> Result<AsnRange, Misfit> {
    let accepted = "an AS number such as 64496, or a range in quotes such as \"64512-65534\"";
    let wrong = || value::misfit(value, "an AS number", accepted);
    match value.get_ref() {
        DeValue::Integer(_) => number(value, u32::MAX).map(AsnRange::one).map_err(|_| wrong()),
        DeValue::String(text) => asn_line(text).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// As in a file: `64496`, `AS64496` or `64512-65534`.
fn asn_line(line: &str) -> Result<AsnRange, String> {
    line.strip_prefix("AS").unwrap_or(line).parse()
}

/// An expression on the printed path, with its place; it is compiled with the set.
fn expression<'a>(value: &'a Value<'a>) -> Result<Marked<String>, Misfit> {
    marked(value::text)(value)
}

/// A whole number up to `max`.
fn number(value: &Value<'_>, max: u32) -> Result<u32, Misfit> {
    value::integer(value, 0..=u64::from(max)).map(|number| number as u32) // at most `max`
}

/// A member that may also be the name of a set: a text for which `is_name` holds.
fn set_or<'a, T>(
    value: &'a Value<'a>,
    is_name: impl Fn(&str) -> bool,
    item: impl Fn(&'a Value<'a>) -> Result<T, Misfit>,
) -> Result<SetOr<T>, Misfit> {
    match value.get_ref() {
        DeValue::String(text) if is_name(text) => {
            Ok(SetOr::Named(Marked::new(text.clone().into_owned(), value.span())))
        }
        DeValue::String(_) | DeValue::Integer(_) => item(value).map(SetOr::Inline),
        other => {
            let what = format!("expected a member or the name of a set, found {}", describe(other));
            Err(Misfit { span: value.span(), what, accepted: "a text in quotes, or a list of them".to_owned() })
        }
    }
}
