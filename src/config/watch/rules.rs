//! What the operator declares: `[[watch.prefix]]`, `[[watch.asn]]`, `[[watch.peerlock]]`, `[[watch.path]]` and
//! `[[watch.relation]]`, and which of it cannot be meant.

use std::collections::HashMap;

use regex::Regex;

use super::{
    super::{
        read::{Misfit, Table, Value},
        value,
    },
    asns,
};
use crate::{
    detect::{
        Kind, Settings, Severity, WatchAsn, WatchPrefix,
        paths::{
            leak::{Evidence, Relations},
            path_rule::Denied,
            peerlock::Protected,
        },
    },
    types::{Asn, Prefix},
    wire::bgp::path_expression::{EXPRESSION_LEN_MAX, expand_delimiters},
};

/// What one AS is to another, as the operator says it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// The first sells transit to the second.
    Transit(Asn, Asn),
    /// They peer.
    Peers(Asn, Asn),
}

/// All rules of a configuration, and which file each is from.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) prefixes: Vec<WatchPrefix>,
    pub(super) asns: Vec<WatchAsn>,
    protected: Vec<Protected>,
    denied: Vec<Denied>,
    relations: Relations,
    prefix_from: HashMap<Prefix, String>,
    asn_from: HashMap<Asn, String>,
    relation_of: HashMap<(Asn, Asn), Said>,
}

impl Rules {
    /// Reads all rules of a table `[watch]`; `from` is its file in messages.
    pub(super) fn read(&mut self, watch: &mut Table<'_>, from: &str) {
        for table in watch.tables("prefix", "[[watch.prefix]]") {
            self.read_prefix(table, from);
        }
        for table in watch.tables("asn", "[[watch.asn]]") {
            self.read_asn(table, from);
        }
        for table in watch.tables("peerlock", "[[watch.peerlock]]") {
            self.read_peerlock(table);
        }
        for table in watch.tables("path", "[[watch.path]]") {
            self.read_path(table);
        }
        for table in watch.tables("relation", "[[watch.relation]]") {
            self.read_relation(table);
        }
    }

    /// Gives all rules to detection.
    pub(super) fn hand_over(self, settings: &mut Settings) {
        settings.prefixes = self.prefixes;
        settings.asns = self.asns;
        settings.paths.peerlock.protected = self.protected;
        settings.paths.path_rule.denied = self.denied;
        settings.paths.leak.relations = self.relations;
    }

    /// Adds a rule; gives the file that has one for the same prefix already.
    pub(super) fn add_prefix(&mut self, rule: WatchPrefix, from: &str) -> Option<String> {
        let before = self.prefix_from.insert(rule.prefix, from.to_owned());
        self.prefixes.push(rule);
        before
    }

    /// Whether there is a rule for exactly this prefix.
    pub(super) fn has_prefix(&self, prefix: Prefix) -> bool {
        self.prefix_from.contains_key(&prefix)
    }

    /// Whether there is a rule for this AS.
    pub(super) fn has_asn(&self, asn: Asn) -> bool {
        self.asn_from.contains_key(&asn)
    }

    /// Adds a rule about paths; its name is nobody else's.
    pub(super) fn add_denied(&mut self, denied: Denied) {
        self.denied.push(denied);
    }

    /// Adds a rule; gives the file that has one for the same AS already.
    pub(super) fn add_asn(&mut self, rule: WatchAsn, from: &str) -> Option<String> {
        let before = self.asn_from.insert(rule.asn, from.to_owned());
        self.asns.push(rule);
        before
    }

    fn read_prefix(&mut self, mut table: Table<'_>, from: &str) {
        let prefix = table.required("prefix", "prefix = \"203.0.113.0/24\"", value::prefix);
        let origins = table.required("origins", "origins = [64500]", |v| value::list(v, "[64500]", value::asn));
        let upstreams = table.opt("upstreams", |v| value::some_of(v, "[64496, 64497]", value::asn));
        let max_length = table.opt("max_length", |v| value::integer(v, 0..=128).map(|bits| bits as u8));
        let more_specifics = table.or("more_specifics", true, value::boolean);
        let description = table.opt("description", value::label).map(Into::into);
        let ignore = table.or("ignore", Vec::new(), |v| value::list(v, "[\"new-prefix\"]", kind));
        let severity_max = table.opt("severity_max", severity);
        if let (Some(prefix), Some(origins)) = (prefix, origins) {
            let bits = if prefix.is_v4() { 32 } else { 128 };
            if let Some(length) = max_length.filter(|length| *length < prefix.len() || *length > bits) {
                let what = format!("`max_length` {length} does not fit {prefix}");
                table.fault(table.span_of("max_length"), what, format!("accepted: {} to {bits}", prefix.len()));
            }
            if max_length.is_some() && !more_specifics {
                let what = "`max_length` contradicts `more_specifics = false`: then none is looked at";
                table.fault(table.span_of("max_length"), what, "remove one of them");
            }
            if origins.is_empty() && upstreams.is_some() {
                let what = format!("{prefix} has upstreams and no origin: nobody may announce it");
                table.fault(table.span_of("upstreams"), what, "name an origin, or remove the upstreams");
            }
            if let ([origin], Some(upstreams)) = (origins.as_slice(), &upstreams)
                && upstreams.contains(origin)
            {
                let what = format!("AS{origin} is the only origin of {prefix} and cannot be its own upstream");
                table.fault(table.span_of("upstreams"), what, "name the ASes that stand before it in paths");
            }
            let rule = WatchPrefix {
                upstreams,
                max_length,
                more_specifics,
                description,
                ignore,
                severity_max,
                ..WatchPrefix::new(prefix, origins)
            };
            if let Some(other) = self.add_prefix(rule, from) {
                let what = format!("a second [[watch.prefix]] is about {prefix}{}", elsewhere(&other, from));
                table.fault(table.span_of("prefix"), what, "put all its origins and upstreams into one");
            }
        }
        table.finish();
    }

    fn read_asn(&mut self, mut table: Table<'_>, from: &str) {
        let asn = table.required("asn", "asn = 64500", value::asn);
        let upstreams = table.opt("upstreams", asns);
        let downstreams = table.opt("downstreams", asns);
        let new_prefixes = table.or("new_prefixes", true, value::boolean);
        if let Some(asn) = asn {
            for (key, list) in [("upstreams", &upstreams), ("downstreams", &downstreams)] {
                if list.as_ref().is_some_and(|list| list.contains(&asn)) {
                    let what = format!("AS{asn} is no neighbor of itself");
                    table.fault(table.span_of(key), what, format!("remove {asn} from `{key}`"));
                }
            }
            if let Some(other) = self.add_asn(WatchAsn { asn, upstreams, downstreams, new_prefixes }, from) {
                let what = format!("a second [[watch.asn]] is about AS{asn}{}", elsewhere(&other, from));
                table.fault(table.span_of("asn"), what, "put all its neighbors into one");
            }
        }
        table.finish();
    }

    fn read_peerlock(&mut self, mut table: Table<'_>) {
        let asn = table.required("asn", "asn = 64500", value::asn);
        let via = table.required("via", "via = [64496, 64497]", asns);
        if let (Some(asn), Some(via)) = (asn, via) {
            if via.contains(&asn) {
                let what = format!("AS{asn} passes on its own routes anyway");
                table.fault(table.span_of("via"), what, format!("remove {asn} from `via`"));
            }
            if self.protected.iter().any(|other| other.asn == asn) {
                let what = format!("a second [[watch.peerlock]] is about AS{asn}");
                table.fault(table.span_of("asn"), what, "put all that may pass its routes on into one");
            }
            self.protected.push(Protected { asn, via });
        }
        table.finish();
    }

    fn read_path(&mut self, mut table: Table<'_>) {
        let name = table.required("name", "name = \"no transit by AS64511\"", value::label);
        let denied = Denied {
            expression: table.opt("deny", expression),
            unless: table.opt("unless", expression),
            prefix: table.opt("prefix", value::prefix),
            length_min: table.opt("length_min", length),
            length_max: table.opt("length_max", length),
            ..Denied::new(name.clone().unwrap_or_default())
        };
        if !["deny", "length_min", "length_max"].iter().any(|key| table.has(key)) {
            let help = "accepted: deny = \"_64511_\", length_max = 20 or length_min = 2";
            table.fault(table.span(), "[[watch.path]] says of no path that it is wrong", help);
        }
        if let (Some(least), Some(most)) = (denied.length_min, denied.length_max)
            && least > most
        {
            let what = format!("no path is at least {least} and at most {most} ASes long");
            table.fault(table.span_of("length_min"), what, "swap them, or remove one");
        }
        if name.is_some() {
            if self.denied.iter().any(|other| other.name == denied.name) {
                let what = format!("a second [[watch.path]] has the name {:?}", denied.name);
                table.fault(table.span_of("name"), what, "give each a name of its own");
            }
            self.denied.push(denied);
        }
        table.finish();
    }

    fn read_relation(&mut self, mut table: Table<'_>) {
        let provider = table.opt("provider", value::asn);
        let customer = table.opt("customer", value::asn);
        let peers = table.opt("peers", asns);
        let help = "accepted: provider = 64496 and customer = 64500, or peers = [64496, 64497]";
        let said = match (table.has("provider"), table.has("customer"), table.has("peers")) {
            (true, true, false) => provider.zip(customer).map(|(provider, customer)| Said::Transit(provider, customer)),
            (false, false, true) => match peers.as_deref() {
                Some([a, b]) => Some(Said::Peers(*a, *b)),
                Some(list) => {
                    let what = format!("`peers`: expected two ASes, found {}", list.len());
                    table.fault(table.span_of("peers"), what, help);
                    None
                }
                None => None, // faulty, and noted
            },
            _ => {
                table.fault(
                    table.span(),
                    "[[watch.relation]] says neither who sells transit to whom nor who peers",
                    help,
                );
                None
            }
        };
        if let Some(said) = said {
            self.add_relation(&table, said);
        }
        table.finish();
    }

    fn add_relation(&mut self, table: &Table<'_>, said: Said) {
        let (a, b) = match said {
            Said::Transit(a, b) | Said::Peers(a, b) => (a, b),
        };
        if a == b {
            let what = format!("AS{a} has no relation to itself");
            table.fault(table.span(), what, "name two ASes");
        } else if self.relation_of.insert((a.min(b), a.max(b)), said).is_some_and(|other| !same(other, said)) {
            let what = format!("another [[watch.relation]] says otherwise of AS{a} and AS{b}");
            table.fault(table.span(), what, "keep the one that is true");
        }
        match said {
            Said::Transit(provider, customer) => self.relations.transit(provider, customer, Evidence::Declared),
            Said::Peers(a, b) => self.relations.peering(a, b, Evidence::Declared),
        }
    }
}

fn same(one: Said, other: Said) -> bool {
    one == other || matches!((one, other), (Said::Peers(..), Said::Peers(..)))
}

/// Where the first of two rules stands, if that is another file.
fn elsewhere(first: &str, second: &str) -> String {
    if first == second { String::new() } else { format!(", the first is in {first}") }
}

/// A length of an AS path, as the decision process counts.
fn length(v: &Value<'_>) -> Result<u16, Misfit> {
    value::integer(v, 1..=u64::from(u16::MAX)).map(|length| length as u16)
}

/// An AS-path expression that compiles.
fn expression(v: &Value<'_>) -> Result<String, Misfit> {
    let text = value::text(v)?;
    let accepted = "an expression as on routers, such as \"_64511_\" or \"^64496 .* 64500$\"";
    let wrong = |what: String| Misfit { span: v.span(), what, accepted: accepted.to_owned() };
    if text.len() > EXPRESSION_LEN_MAX {
        return Err(wrong(format!(
            "the expression has {} octets, and at most {EXPRESSION_LEN_MAX} are read",
            text.len()
        )));
    }
    match Regex::new(&expand_delimiters(&text)) {
        Ok(_) => Ok(text),
        Err(regex::Error::CompiledTooBig(octets)) => {
            Err(wrong(format!("the expression is too large: it needs more than {octets} octets")))
        }
        Err(error) => {
            let text = error.to_string();
            Err(wrong(format!("no expression: {}", text.lines().last().unwrap_or_default().trim())))
        }
    }
}

fn kind(v: &Value<'_>) -> Result<Kind, Misfit> {
    let words: Vec<(&str, Kind)> = Kind::ALL.iter().map(|kind| (kind.name(), *kind)).collect();
    value::word(v, &words)
}

fn severity(v: &Value<'_>) -> Result<Severity, Misfit> {
    let words: Vec<(&str, Severity)> = Severity::ALL.iter().map(|severity| (severity.name(), *severity)).collect();
    value::word(v, &words)
}
