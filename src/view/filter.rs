//! The words of a question about routes become a `RouteFilter`: what the engine can decide goes into a
//! `RouteQuery`, what needs the text of attributes (path expressions, communities) is judged here, by the
//! reader. Both gRPC and HTTP ask through this file, so they understand the same words.
//!
//! Path expressions follow the routers' dialect: a regular expression on the printed path in which `_` stands
//! for a delimiter. The engine behind it is linear in the length of the path whatever the expression.

use std::{fmt::Write as _, hash::BuildHasher as _, net::IpAddr};

use regex::bytes::{Regex, RegexBuilder};

use super::inside::{InsideFilter, parse_rd};
use crate::{
    types::{Asn, Family, PeerId, Prefix},
    validation::{OriginState, PathState},
    view::{Cursor, NeighborView, PrefixMatch, Refusal, RouteQuery, RouteRow, Table},
    wire::bgp::{
        attribute::AttrSet,
        community::{Community, ExtCommunity, LargeCommunity},
    },
};

/// Longest path expression taken; routers take a few dozen octets.
const EXPRESSION_LEN_MAX: usize = 1024;
/// Memory of a compiled path expression. A `{1000}` repetition of a class fits; nesting them does not.
const EXPRESSION_SIZE_MAX: usize = 1 << 20;
/// Most communities in one filter.
const COMMUNITIES_MAX: usize = 64;
/// Prefixes that the engine looks at for one page: well under a millisecond of its time.
const SCAN_LIMIT: usize = 4096;

/// How the prefix of a question relates to the prefixes of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    /// This prefix only.
    Exact,
    /// The longest prefix that covers it, itself included.
    Longest,
    /// It and everything inside it.
    Longer,
    /// It and everything that covers it.
    Shorter,
}

/// A question in words; an empty text asks for nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words<'a> {
    /// Table to read.
    pub table: Table,
    /// Address or name of a neighbour.
    pub neighbor: &'a str,
    /// Name of a family.
    pub family: &'a str,
    /// Prefix or address.
    pub prefix: &'a str,
    /// `None`: exact for a prefix, longest for an address.
    pub relation: Option<Relation>,
    /// Origin AS.
    pub origin: Option<u32>,
    /// Path expression.
    pub as_path: &'a str,
    /// Communities that must all be present.
    pub communities: &'a [String],
    /// Route distinguisher.
    pub rd: &'a str,
    /// State of the origin: `valid`, `invalid`, `not_found`.
    pub validation: &'a str,
    /// State of the AS_PATH: `valid`, `invalid`, `unknown`.
    pub aspa: &'a str,
}

/// Which routes are asked for.
#[derive(Clone, Debug, Default)]
pub struct RouteFilter {
    /// Table to read.
    pub table: Table,
    /// Neighbour, see `RouteQuery::neighbor`.
    pub neighbor: Option<PeerId>,
    /// One family, or all.
    pub family: Option<Family>,
    /// Relation to a prefix.
    pub prefix: Option<PrefixMatch>,
    /// Origin AS.
    pub origin: Option<Asn>,
    /// What needs the attributes' text.
    pub text: TextFilter,
    /// What needs the NLRI of a family without plain prefixes to be taken apart.
    pub inside: InsideFilter,
    /// State of the origin (RFC 6811).
    pub validation: Option<OriginState>,
    /// State of the AS_PATH (ASPA).
    pub aspa: Option<PathState>,
    /// Differs between different questions; binds a page token to its question.
    pub fingerprint: u64,
}

impl RouteFilter {
    /// Understands `words`; `neighbors` are those that may be named.
    ///
    /// # Errors
    /// `Invalid` with a sentence that says what would be understood, `NotFound` for an unknown neighbour.
    pub fn parse(words: &Words<'_>, neighbors: &[NeighborView]) -> Result<Self, Refusal> {
        let family = match words.family {
            "" => None,
            name => Some(name.parse::<Family>().map_err(Refusal::Invalid)?),
        };
        let (family, prefix, inside) = match family.filter(|family| !family.is_plain_prefix()) {
            Some(opaque) => (family, None, InsideFilter::parse(opaque, words)?),
            None => {
                let prefix = parse_prefix(words)?;
                let family = family.or(prefix.map(|prefix| unicast(&subject(prefix))));
                if let (Some(family), Some(prefix)) = (family, prefix) {
                    check_family(family, &subject(prefix))?;
                }
                (family, prefix, InsideFilter::of_rd(parse_rd(words.rd)?))
            }
        };
        let neighbor = match words.neighbor {
            "" => None,
            word => Some(find_neighbor(word, neighbors)?.peer),
        };
        if words.table == Table::AdjOut && neighbor.is_none() {
            return Err(Refusal::Invalid("Adj-RIB-Out is kept per neighbor: name one with --neighbor".into()));
        }
        Ok(Self {
            table: words.table,
            neighbor,
            family,
            prefix,
            origin: words.origin.map(Asn),
            text: TextFilter::parse(words.as_path, words.communities)?,
            inside,
            validation: parse_state("validation", words.validation, OriginState::ALL, OriginState::name)?,
            aspa: parse_state("aspa", words.aspa, PathState::ALL, PathState::name)?,
            fingerprint: fingerprint(words),
        })
    }

    /// The part that the engine decides, for one page of at most `limit` routes behind `cursor`.
    pub fn query(&self, cursor: Option<Cursor>, limit: usize) -> RouteQuery {
        RouteQuery {
            table: self.table,
            family: self.family,
            neighbor: self.neighbor,
            prefix: self.prefix,
            origin: self.origin,
            cursor,
            limit,
            scan_limit: SCAN_LIMIT,
        }
    }

    /// Whether a changed route can be in the answer at all, by what identifies it. What may change between two
    /// versions of a route is judged by `accepts`.
    pub fn concerns(&self, table: Table, row: &RouteRow) -> bool {
        self.table == table
            && self.family.is_none_or(|family| family == row.family)
            && (table == Table::Loc || self.neighbor.is_none_or(|peer| row.peer == Some(peer)))
            && self.prefix.is_none_or(|relation| related(relation, row))
            && self.inside.matches(row)
    }

    /// Whether every route that the engine finds is in the answer.
    pub fn is_decided_by_engine(&self) -> bool {
        self.text.is_empty() && self.inside.is_empty() && self.validation.is_none() && self.aspa.is_none()
    }

    /// Whether this version of a route is in the answer.
    pub fn accepts(&self, row: &RouteRow, attrs: AttrSet<'_>, scratch: &mut String) -> bool {
        self.neighbor.is_none_or(|peer| row.peer == Some(peer))
            && self.origin.is_none_or(|origin| attrs.as_path().origin_asn() == Some(origin))
            && self.has_states(row)
            && self.text.matches(attrs, scratch)
    }

    /// Whether the route has the validation states that are asked for.
    pub fn has_states(&self, row: &RouteRow) -> bool {
        self.validation.is_none_or(|state| row.validation == state) && self.aspa.is_none_or(|state| row.aspa == state)
    }

    /// Whether `accepts` can differ between two versions of one route.
    pub fn is_about_versions(&self) -> bool {
        (self.table == Table::Loc && self.neighbor.is_some())
            || self.origin.is_some()
            || self.validation.is_some()
            || self.aspa.is_some()
            || !self.text.is_empty()
    }
}

/// The neighbour called `word`: an address or a configured name.
///
/// # Errors
/// `NotFound` with a sentence.
pub fn find_neighbor<'a>(word: &str, neighbors: &'a [NeighborView]) -> Result<&'a NeighborView, Refusal> {
    let address: Option<IpAddr> = word.parse().ok();
    neighbors
        .iter()
        .find(|view| Some(view.address) == address || view.name.as_deref() == Some(word))
        .ok_or_else(|| Refusal::NotFound(format!("no neighbor `{word}`: `ribwatch neighbor` lists them")))
}

/// The unicast family that `prefix` belongs to.
pub fn unicast(prefix: &Prefix) -> Family {
    if prefix.is_v4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST }
}

/// Reads the family of a route that is named by its prefix; empty is unicast.
///
/// # Errors
/// `Invalid`: no such family, or one that does not hold such prefixes.
pub fn prefix_family(name: &str, prefix: &Prefix) -> Result<Family, Refusal> {
    if name.is_empty() {
        return Ok(unicast(prefix));
    }
    let family = name.parse::<Family>().map_err(Refusal::Invalid)?;
    check_family(family, prefix)?;
    Ok(family)
}

/// Reads a prefix, or an address as the prefix that holds only it; the flag says that it was an address.
///
/// # Errors
/// `Invalid` with a sentence.
pub fn prefix_or_address(word: &str) -> Result<(Prefix, bool), Refusal> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Ok((Prefix::host(address), true));
    }
    match word.parse::<Prefix>() {
        Ok(prefix) => Ok((prefix, false)),
        Err(error) => Err(Refusal::Invalid(error.to_string())),
    }
}

pub(super) fn parse_prefix(words: &Words<'_>) -> Result<Option<PrefixMatch>, Refusal> {
    if words.prefix.is_empty() {
        return match words.relation {
            None => Ok(None),
            Some(_) => Err(Refusal::Invalid("longer, shorter and longest need a prefix: name one".into())),
        };
    }
    let (prefix, is_address) = prefix_or_address(words.prefix)?;
    let relation = words.relation.unwrap_or(if is_address { Relation::Longest } else { Relation::Exact });
    Ok(Some(match relation {
        Relation::Exact => PrefixMatch::Exact(prefix),
        Relation::Longest => PrefixMatch::Longest(prefix),
        Relation::Longer => PrefixMatch::Longer(prefix),
        Relation::Shorter => PrefixMatch::Shorter(prefix),
    }))
}

pub(super) fn subject(relation: PrefixMatch) -> Prefix {
    match relation {
        PrefixMatch::Exact(p) | PrefixMatch::Longest(p) | PrefixMatch::Longer(p) | PrefixMatch::Shorter(p) => p,
    }
}

fn related(relation: PrefixMatch, row: &RouteRow) -> bool {
    let super::Nlri::Prefix(prefix) = row.nlri else { return false };
    relation_holds(relation, prefix)
}

pub(super) fn relation_holds(relation: PrefixMatch, prefix: Prefix) -> bool {
    match relation {
        PrefixMatch::Exact(asked) => asked == prefix,
        PrefixMatch::Longer(asked) => asked.covers(&prefix),
        PrefixMatch::Shorter(asked) | PrefixMatch::Longest(asked) => prefix.covers(&asked),
    }
}

fn check_family(family: Family, prefix: &Prefix) -> Result<(), Refusal> {
    let bits = if prefix.is_v4() { 32 } else { 128 };
    if family.is_plain_prefix() && family.address_bits() == Some(bits) {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("{family} does not hold prefixes like {prefix}: leave the family or the prefix out")))
}

/// The state that a word names; empty: any.
fn parse_state<T: Copy>(
    what: &str,
    word: &str,
    all: [T; 4],
    name: fn(T) -> &'static str,
) -> Result<Option<T>, Refusal> {
    if word.is_empty() {
        return Ok(None);
    }
    // `not-found` is what people type.
    let word = word.replace('-', "_");
    all.into_iter().find(|state| name(*state) == word).map(Some).ok_or_else(|| {
        let names = all.map(name).join(", ");
        Refusal::Invalid(format!("`{word}` is no {what} state: there are {names}"))
    })
}

fn fingerprint(words: &Words<'_>) -> u64 {
    foldhash::quality::FixedState::with_seed(0).hash_one((
        words.table,
        (words.neighbor, words.family, words.prefix),
        words.relation.map(|relation| relation as u8),
        words.origin,
        (words.as_path, words.communities, words.rd),
        (words.validation, words.aspa),
    ))
}

/// What can only be judged by the text of attributes.
#[derive(Clone, Debug, Default)]
pub struct TextFilter {
    as_path: Option<Regex>,
    communities: Vec<CommunityPattern>,
}

#[derive(Clone, Debug)]
enum CommunityPattern {
    Standard(Community),
    Large(LargeCommunity),
    Extended(ExtCommunity),
    /// Text with `*`.
    Glob(String),
}

impl TextFilter {
    /// Reads a path expression and communities; both may be empty.
    ///
    /// # Errors
    /// `Invalid` with the reason.
    pub fn parse(as_path: &str, communities: &[String]) -> Result<Self, Refusal> {
        if communities.len() > COMMUNITIES_MAX {
            return Err(Refusal::Invalid(format!("at most {COMMUNITIES_MAX} communities can be asked for at once")));
        }
        let communities = communities.iter().map(|word| CommunityPattern::parse(word)).collect::<Result<_, _>>()?;
        let as_path = if as_path.is_empty() { None } else { Some(path_expression(as_path)?) };
        Ok(Self { as_path, communities })
    }

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.as_path.is_none() && self.communities.is_empty()
    }

    /// Whether a set of attributes passes; `scratch` is overwritten.
    pub fn matches(&self, attrs: AttrSet<'_>, scratch: &mut String) -> bool {
        if let Some(expression) = &self.as_path {
            print_into(scratch, attrs.as_path());
            if !expression.is_match(scratch.as_bytes()) {
                return false;
            }
        }
        self.communities.iter().all(|pattern| pattern.matches(attrs, scratch))
    }
}

impl CommunityPattern {
    fn parse(word: &str) -> Result<Self, Refusal> {
        if word.contains('*') {
            return Ok(Self::Glob(word.to_owned()));
        }
        if let Ok(community) = word.parse() {
            return Ok(Self::Standard(community));
        }
        if let Ok(community) = word.parse() {
            return Ok(Self::Large(community));
        }
        if let Ok(community) = word.parse() {
            return Ok(Self::Extended(community));
        }
        Err(Refusal::Invalid(format!(
            "`{word}` is not a community: write 64500:1, a name such as no-export, 64500:1:2 (large), \
             rt:64500:1 (extended), or use * as in 64500:*"
        )))
    }

    fn matches(&self, attrs: AttrSet<'_>, scratch: &mut String) -> bool {
        match self {
            Self::Standard(wanted) => attrs.communities().any(|community| community == *wanted),
            Self::Large(wanted) => attrs.large_communities().any(|community| community == *wanted),
            Self::Extended(wanted) => attrs.ext_communities().any(|community| community == *wanted),
            Self::Glob(pattern) => {
                let mut fits = |text: &dyn std::fmt::Display| {
                    print_into(scratch, text);
                    glob(pattern, scratch)
                };
                attrs.communities().any(|community| fits(&community))
                    || attrs.large_communities().any(|community| fits(&community))
                    || attrs.ext_communities().any(|community| fits(&community))
            }
        }
    }
}

fn print_into(text: &mut String, value: impl std::fmt::Display) {
    text.clear();
    // Writing to a String cannot fail.
    let _ = write!(text, "{value}");
}

/// Whether `text` fits `pattern`, in which each `*` stands for any run of characters. Linear per `*`: the first
/// place where a part fits is as good as any later one.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').map_or(("", rest), |(middle, tail)| (middle, tail));
    for part in middle.split('*') {
        match text.find(part) {
            Some(at) => text = text.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    text.ends_with(tail)
}

/// Compiles a path expression of the routers' dialect.
fn path_expression(expression: &str) -> Result<Regex, Refusal> {
    if expression.len() > EXPRESSION_LEN_MAX {
        return Err(Refusal::Invalid(format!("the path expression is longer than {EXPRESSION_LEN_MAX} octets")));
    }
    RegexBuilder::new(&expand_delimiters(expression))
        .unicode(false)
        .size_limit(EXPRESSION_SIZE_MAX)
        .build()
        .map_err(|error| Refusal::Invalid(format!("the path expression `{expression}` is wrong: {}", reason(&error))))
}

/// Replaces each `_` outside brackets and not escaped by a group that matches a delimiter of a printed path.
fn expand_delimiters(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len() + 32);
    let (mut escaped, mut in_class) = (false, false);
    for c in expression.chars() {
        match c {
            '_' if !escaped && !in_class => out.push_str(r"(?:^|$|[ ,{}()\[\]])"),
            _ => out.push(c),
        }
        in_class = !escaped && (c == '[' || (in_class && c != ']')) || (escaped && in_class);
        escaped = !escaped && c == '\\';
    }
    out
}

/// The last line of the compiler's message: what is wrong, without the drawing of the expanded expression.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it needs too much memory; use fewer or smaller repetitions".into(),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_underscore_stands_for_a_delimiter_as_on_routers() {
        let path = "64496 64497 {64500,64501}";
        for (expression, fits) in [
            ("_64497_", true),
            ("^64496_", true),
            ("_64501_", true),
            ("_64501_$", true),
            ("_6449_", false),
            ("_64497$", false),
            ("^64496 64497", true),
            ("^6449[67]_", true),
            ("^[0-9]+_[0-9]+_", true),
            ("", true),
        ] {
            let compiled = path_expression(expression).unwrap();
            assert_eq!(compiled.is_match(path.as_bytes()), fits, "{expression}");
        }
    }

    #[test]
    fn a_class_or_an_escape_keeps_its_underscore() {
        assert_eq!(expand_delimiters("[_]"), "[_]");
        assert_eq!(expand_delimiters(r"\_"), r"\_");
        assert_eq!(expand_delimiters(r"[\]_]"), r"[\]_]");
        assert_eq!(expand_delimiters(r"\[_"), format!(r"\[{}", expand_delimiters("_")));
    }

    #[test]
    fn a_wrong_or_greedy_expression_is_refused_with_its_reason() {
        for (expression, word) in [("(64500", "unclosed"), ("((a{1000}){1000}){1000}", "memory"), ("*", "repetition")] {
            let Err(Refusal::Invalid(text)) = path_expression(expression) else { panic!("{expression} was taken") };
            assert!(text.contains(word) && text.contains(expression), "{text}");
        }
        assert!(path_expression(&"a".repeat(EXPRESSION_LEN_MAX + 1)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_expression_is_compiled_or_refused(text in r"[\[\](){}|*+?^$._\\0-9 -]{0,40}") {
            let _ = path_expression(&text);
        }

        #[test]
        fn a_glob_agrees_with_the_same_question_as_an_expression(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
            let expression = Regex::new(&format!("^{}$", pattern.replace('*', ".*"))).unwrap();
            proptest::prop_assert_eq!(glob(&pattern, &text), expression.is_match(text.as_bytes()));
        }
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, fits) in [
            ("64500:*", "64500:1", true),
            ("64500:*", "64501:1", false),
            ("*:1", "64500:1", true),
            ("*", "", true),
            ("rt:*:1*", "rt:64500:12", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_question_that_makes_no_sense_says_what_would() {
        let words = Words::default();
        for (words, word) in [
            (Words { prefix: "192.0.2.1/24", ..words }, "did you mean 192.0.2.0/24"),
            (Words { prefix: "192.0.2.0/24", family: "ipv6-unicast", ..words }, "does not hold"),
            (Words { family: "ipv5", ..words }, "known: ipv4-unicast"),
            (Words { relation: Some(Relation::Longer), ..words }, "need a prefix"),
            (Words { table: Table::AdjOut, ..words }, "--neighbor"),
            (Words { communities: &["nonsense".to_owned()], ..words }, "64500:*"),
        ] {
            let Err(Refusal::Invalid(text)) = RouteFilter::parse(&words, &[]) else { panic!("{words:?} was taken") };
            assert!(text.contains(word), "{text}");
        }
        let words = Words { neighbor: "192.0.2.9", ..words };
        assert!(matches!(RouteFilter::parse(&words, &[]), Err(Refusal::NotFound(_))));
    }
}
