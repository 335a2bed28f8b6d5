//! The words of a question about routes become a `RouteFilter`: what the engine can decide goes into a
//! `RouteQuery`, what needs the text of attributes (path expressions, communities) is judged here and in
//! `text`, by the reader. Both gRPC and HTTP ask through this file, so they understand the same words.

mod text;

use std::{hash::BuildHasher as _, net::IpAddr};

pub use self::text::TextFilter;
use super::inside::{InsideFilter, parse_rd};
use crate::{
    types::{Asn, Family, PeerId, Prefix},
    validation::{OriginState, PathState},
    view::{Cursor, NeighborView, PrefixMatch, Refusal, RouteQuery, RouteRow, Table},
    wire::bgp::attribute::AttrSet,
};

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

pub(in crate::view) fn parse_prefix(words: &Words<'_>) -> Result<Option<PrefixMatch>, Refusal> {
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

pub(in crate::view) fn subject(relation: PrefixMatch) -> Prefix {
    match relation {
        PrefixMatch::Exact(p) | PrefixMatch::Longest(p) | PrefixMatch::Longer(p) | PrefixMatch::Shorter(p) => p,
    }
}

fn related(relation: PrefixMatch, row: &RouteRow) -> bool {
    let super::Nlri::Prefix(prefix) = row.nlri else { return false };
    relation_holds(relation, prefix)
}

pub(in crate::view) fn relation_holds(relation: PrefixMatch, prefix: Prefix) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

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
