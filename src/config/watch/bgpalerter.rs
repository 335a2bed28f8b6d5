//! Files of rules that BGPalerter reads (`prefixes.yml`), taken as they are: `[watch] bgpalerter`. What has no counterpart
//! here is named; so is what cannot be read, and the rest of the file is used.

use std::{fs, path::Path};

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use super::{
    super::{read::Table, value},
    rules::Rules,
};
use crate::{
    detect::{Kind, WatchAsn, WatchPrefix, paths::path_rule::Denied},
    types::{Asn, Prefix},
};

/// A list of all prefixes of a large network has about 1 MiB.
const FILE_OCTETS_MAX: u64 = 16 << 20;
/// Complaints about one file that are said one by one.
const NAMED_MAX: usize = 20;

/// Monitors by a part of the name that its example configuration gives them, and what is the same here.
const MONITORS: &[(&str, &[Kind])] = &[
    ("hijack", &[Kind::OriginHijack, Kind::SubprefixHijack, Kind::Squatting]),
    ("path-neighbors", &[Kind::NewNeighbor]),
    ("path", &[Kind::PathRule]),
    ("withdrawal", &[Kind::Visibility]),
    ("visibility", &[Kind::Visibility]),
    ("rpki-diff", &[Kind::RoaChange]),
    ("roa", &[Kind::RoaChange]),
    ("rpki", &[Kind::RpkiInvalid, Kind::RpkiLostCover]),
    ("asn", &[Kind::NewPrefix]),
    ("prefix", &[Kind::NewPrefix]),
];

/// Reads all files that `watch` names into `rules`; what is left out of them is said in `notes`.
pub(super) fn read(watch: &mut Table<'_>, base: &Path, rules: &mut Rules, notes: &mut Vec<String>) {
    let files = watch.or("bgpalerter", Vec::new(), |v| value::some_of(v, "[\"prefixes.yml\"]", value::text));
    for file in files {
        let text = match read_text(&base.join(&file)) {
            Ok(text) => text,
            Err(why) => {
                let help = "accepted: a file of prefixes as BGPalerter reads it, that this user may read";
                watch.fault(watch.span_of("bgpalerter"), why, help);
                continue;
            }
        };
        let mut reader = Reader { file: &file, first_line: 0, taken: 0, rules, left_out: Vec::new() };
        reader.read(&text);
        if reader.taken == 0 {
            let first = reader.left_out.first().map(|why| format!(": {why}")).unwrap_or_default();
            watch.fault(watch.span_of("bgpalerter"), format!("{file} holds no rule{first}"), "name a prefixes.yml");
            continue;
        }
        let left_out = reader.left_out;
        let more = left_out.len().saturating_sub(NAMED_MAX);
        notes.extend(left_out.into_iter().take(NAMED_MAX));
        if more > 0 {
            notes.push(format!("{file}: {more} more entries are not understood; the rest of the file is used"));
        }
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let why = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    if fs::metadata(path).map_err(why)?.len() > FILE_OCTETS_MAX {
        return Err(format!("{} has more than {} MiB", path.display(), FILE_OCTETS_MAX >> 20));
    }
    // A broken octet costs its entry only.
    fs::read(path).map(|octets| String::from_utf8_lossy(&octets).into_owned()).map_err(why)
}

type Node<'a> = MarkedYaml<'a>;

/// A file on its way into rules.
struct Reader<'a> {
    file: &'a str,
    /// Lines before the part that is being read.
    first_line: usize,
    /// Rules that were understood.
    taken: usize,
    rules: &'a mut Rules,
    left_out: Vec<String>,
}

impl Reader<'_> {
    fn read(&mut self, text: &str) {
        if let Ok(documents) = Node::load_from_str(text) {
            return documents.iter().for_each(|document| self.entries(document));
        }
        // Something in it is no YAML, or stands there twice: each entry by itself.
        for (line, part) in parts(text) {
            self.first_line = line;
            match Node::load_from_str(part) {
                Ok(documents) => documents.iter().for_each(|document| self.entries(document)),
                Err(error) => {
                    let at = line + error.marker().line();
                    self.left_out.push(format!(
                        "{}:{at}: no YAML ({}), this entry is left out",
                        self.file,
                        error.info()
                    ));
                }
            }
        }
        self.first_line = 0;
    }

    fn say(&mut self, node: &Node<'_>, what: impl std::fmt::Display) {
        self.left_out.push(format!("{}:{}: {what}", self.file, self.first_line + node.span.start.line()));
    }

    /// Prefixes with their rules, and `options`.
    fn entries(&mut self, document: &Node<'_>) {
        let YamlData::Mapping(entries) = &document.data else {
            if !is_null(document) {
                self.say(document, "expected prefixes with their rules, left out");
            }
            return;
        };
        for (key, entry) in entries {
            match text(key) {
                Some("options") => self.options(entry),
                Some(name) => match name.parse::<Prefix>() {
                    Ok(prefix) => self.prefix(key, prefix, entry),
                    Err(error) => self.say(key, format!("`{name}` is no prefix ({error}), left out")),
                },
                None => self.say(key, "expected a prefix, left out"),
            }
        }
    }

    fn prefix(&mut self, key: &Node<'_>, prefix: Prefix, entry: &Node<'_>) {
        let YamlData::Mapping(fields) = &entry.data else {
            return self.say(key, format!("{prefix} has no fields, left out"));
        };
        if self.rules.has_prefix(prefix) {
            return self.say(key, format!("there is a rule for {prefix} already, which is used"));
        }
        let mut rule = WatchPrefix::new(prefix, Vec::new());
        let (mut ignored, mut has_origins, mut path) = (false, false, None);
        for (name, field) in fields {
            match text(name).unwrap_or_default() {
                "asn" => match asns(field).filter(|asns| !asns.is_empty()) {
                    Some(asns) => (rule.origins, has_origins) = (asns, true),
                    None => {
                        return self.say(
                            field,
                            format!("{prefix} has an `asn` that is no AS number or list of them, left out"),
                        );
                    }
                },
                "description" => rule.description = text(field).map(Into::into),
                "ignoreMorespecifics" => rule.more_specifics = !self.boolean(name, field),
                "ignore" => ignored = self.boolean(name, field),
                "excludeMonitors" => {
                    let (kinds, _) = self.monitors(field);
                    rule.ignore.extend(kinds);
                }
                "includeMonitors" => {
                    let (kinds, all_known) = self.monitors(field);
                    let others = MONITORS.iter().flat_map(|(_, kinds)| *kinds).filter(|kind| !kinds.contains(kind));
                    // With a name that means nothing here, more is looked for rather than less.
                    rule.ignore.extend(others.filter(|_| all_known));
                }
                "path" => path = Some(field),
                // Who is told is a matter of sinks and their filters.
                "group" => {}
                other => self.say(name, format!("`{other}` is not known, left out")),
            }
        }
        if !has_origins {
            return self.say(key, format!("{prefix} has no `asn`, left out"));
        }
        if ignored {
            rule.ignore = Kind::ALL.to_vec();
            rule.more_specifics = false;
        }
        rule.ignore.sort_unstable();
        rule.ignore.dedup();
        let looks_at_paths = rule.looks_for(Kind::PathRule);
        self.rules.add_prefix(rule, self.file);
        self.taken += 1;
        if let Some(path) = path.filter(|_| looks_at_paths) {
            let rules = match &path.data {
                YamlData::Sequence(rules) => rules.iter().collect(),
                _ => vec![path],
            };
            for (number, rule) in rules.into_iter().enumerate() {
                self.path(prefix, number, rule);
            }
        }
    }

    fn path(&mut self, prefix: Prefix, number: usize, rule: &Node<'_>) {
        let YamlData::Mapping(fields) = &rule.data else {
            return self.say(rule, "expected `match`, `notMatch`, `maxLength` or `minLength`, left out");
        };
        let mut denied = Denied { prefix: Some(prefix), commas: true, ..Denied::new(String::new()) };
        for (name, field) in fields {
            let expression = || text(field).filter(|text| regex::Regex::new(text).is_ok()).map(str::to_owned);
            let length = || integer(field).and_then(|length| u16::try_from(length).ok()).filter(|length| *length > 0);
            let understood = match text(name).unwrap_or_default() {
                "match" => {
                    denied.expression = expression();
                    denied.expression.is_some()
                }
                "notMatch" => {
                    denied.unless = expression();
                    denied.unless.is_some()
                }
                "maxLength" => {
                    denied.length_max = length();
                    denied.length_max.is_some()
                }
                "minLength" => {
                    denied.length_min = length();
                    denied.length_min.is_some()
                }
                "matchDescription" => {
                    denied.name = text(field).unwrap_or_default().to_owned();
                    true
                }
                other => {
                    self.say(name, format!("`{other}` is not known, left out"));
                    true
                }
            };
            if !understood {
                let name = text(name).unwrap_or_default().to_owned();
                return self
                    .say(field, format!("the `{name}` of {prefix} is not understood, its path rule is left out"));
            }
        }
        if denied.is_empty() {
            return self.say(rule, format!("the path rule of {prefix} says nothing, left out"));
        }
        // Names tell rules apart; descriptions are often alike.
        let number = if number == 0 { String::new() } else { format!(" {}", number + 1) };
        let what = if denied.name.is_empty() { "path" } else { &denied.name };
        denied.name = format!("{what} ({prefix}{number})");
        self.rules.add_denied(denied);
    }

    fn options(&mut self, options: &Node<'_>) {
        let YamlData::Mapping(options) = &options.data else { return };
        for (name, value) in options {
            match (text(name).unwrap_or_default(), &value.data) {
                ("monitorASns", YamlData::Mapping(asns)) => asns.iter().for_each(|(key, entry)| self.asn(key, entry)),
                // How a file was made, for those who make it anew.
                ("generate", _) => {}
                (other, _) => self.say(name, format!("`{other}` is not known, left out")),
            }
        }
    }

    fn asn(&mut self, key: &Node<'_>, entry: &Node<'_>) {
        let Some(asn) = asn(key) else { return self.say(key, "expected an AS number, left out") };
        if self.rules.has_asn(asn) {
            return self.say(key, format!("there is a rule for AS{asn} already, which is used"));
        }
        let mut rule = WatchAsn { asn, upstreams: None, downstreams: None, new_prefixes: true };
        if let YamlData::Mapping(fields) = &entry.data {
            for (name, field) in fields {
                // A list that is there and empty: nobody.
                let list = || if is_null(field) { Some(Vec::new()) } else { asns(field) };
                let understood = match text(name).unwrap_or_default() {
                    "upstreams" => {
                        rule.upstreams = list();
                        rule.upstreams.is_some()
                    }
                    "downstreams" => {
                        rule.downstreams = list();
                        rule.downstreams.is_some()
                    }
                    "group" => true,
                    _ => false,
                };
                if !understood {
                    let name = text(name).unwrap_or_default().to_owned();
                    self.say(field, format!("`{name}` of AS{asn} is not understood, left out"));
                }
            }
        }
        self.rules.add_asn(rule, self.file);
        self.taken += 1;
    }

    fn boolean(&mut self, name: &Node<'_>, field: &Node<'_>) -> bool {
        match &field.data {
            YamlData::Value(Scalar::Boolean(value)) => *value,
            _ => {
                let name = text(name).unwrap_or_default().to_owned();
                self.say(field, format!("`{name}` is neither true nor false, taken for false"));
                false
            }
        }
    }

    /// The kinds of the monitors that are named, and whether all of them are known.
    fn monitors(&mut self, field: &Node<'_>) -> (Vec<Kind>, bool) {
        let YamlData::Sequence(names) = &field.data else {
            self.say(field, "expected a list of monitors, left out");
            return (Vec::new(), false);
        };
        let (mut kinds, mut all_known) = (Vec::new(), true);
        for node in names {
            let name = text(node).unwrap_or_default();
            match MONITORS.iter().find(|(part, _)| name.contains(part)) {
                Some((_, of)) => kinds.extend(*of),
                None => {
                    all_known = false;
                    self.say(node, format!("no kind of alert here is what the monitor `{name}` looks for, left out"));
                }
            }
        }
        (kinds, all_known)
    }
}

/// Entries of the outermost level, each with the number of lines before it.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let mut starts = Vec::new();
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.starts_with(|c: char| !c.is_whitespace() && c != '#') && !line.starts_with("---") {
            starts.push((number, at));
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).map(|(_, at)| *at).chain([text.len()]);
    starts.iter().zip(ends).map(|((number, start), end)| (*number, &text[*start..end])).collect()
}

fn text<'a>(node: &'a Node<'_>) -> Option<&'a str> {
    match &node.data {
        YamlData::Value(Scalar::String(text)) => Some(text),
        _ => None,
    }
}

fn integer(node: &Node<'_>) -> Option<i64> {
    match &node.data {
        YamlData::Value(Scalar::Integer(number)) => Some(*number),
        _ => None,
    }
}

fn is_null(node: &Node<'_>) -> bool {
    matches!(&node.data, YamlData::Value(Scalar::Null))
}

fn asn(node: &Node<'_>) -> Option<Asn> {
    integer(node).and_then(|number| u32::try_from(number).ok()).filter(|number| *number != 0).map(Asn)
}

/// One AS, or a list of them.
fn asns(node: &Node<'_>) -> Option<Vec<Asn>> {
    match &node.data {
        YamlData::Sequence(list) => list.iter().map(asn).collect(),
        _ => asn(node).map(|asn| vec![asn]),
    }
}
