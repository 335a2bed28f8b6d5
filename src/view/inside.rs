//! Questions about routes whose NLRI is more than a prefix: the part of a filter that takes each NLRI apart, judged by
//! the reader. `filter` holds the words and the rest of the answer.

use super::{
    Nlri, PrefixMatch, Refusal, RouteRow,
    filter::{Words, parse_prefix, prefix_or_address, relation_holds, subject},
};
use crate::{
    types::{Family, Prefix},
    wire::bgp::nlri::{RouteDistinguisher, TextError, TypedNlri},
};

pub(super) fn parse_rd(word: &str) -> Result<Option<RouteDistinguisher>, Refusal> {
    match word {
        "" => Ok(None),
        word => word.parse().map(Some).map_err(|error: TextError| Refusal::Invalid(error.to_string())),
    }
}

/// What is asked about routes whose NLRI is more than a prefix: the prefix that a VPN route, the destination that a
/// filter, the host or prefix that an EVPN route is about; the distinguisher; or one route by its text.
///
/// An address means every route whose prefix holds it: the longest one would be one per VPN and filter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InsideFilter {
    relation: Option<PrefixMatch>,
    rd: Option<RouteDistinguisher>,
    /// Exactly the route with this key.
    key: Option<Box<[u8]>>,
}

impl InsideFilter {
    /// Only the distinguisher is asked for; any, where there is none.
    pub(super) fn of_rd(rd: Option<RouteDistinguisher>) -> Self {
        Self { rd, ..Self::default() }
    }

    /// Understands the prefix and distinguisher of `words` for a family without plain prefixes.
    pub(super) fn parse(family: Family, words: &Words<'_>) -> Result<Self, Refusal> {
        let mut filter = Self { rd: parse_rd(words.rd)?, ..Self::default() };
        let simple = words.prefix.is_empty() || prefix_or_address(words.prefix).is_ok();
        if simple {
            filter.relation = parse_prefix(words)?;
        } else {
            match TypedNlri::parse(family, words.prefix).map_err(|error| Refusal::Invalid(error.to_string()))? {
                // A distinguisher in front of a prefix: the prefix keeps its relation.
                TypedNlri::Labelled(route) => {
                    filter.rd = route.rd;
                    filter.relation = parse_prefix(&Words { prefix: &route.prefix.to_string(), ..*words })?;
                }
                typed => {
                    let key = typed.key().map_err(|error| Refusal::Invalid(error.to_string()))?;
                    filter.key = Some(key.into());
                }
            }
        }
        let bits = |prefix: Prefix| if prefix.is_v4() { 32 } else { 128 };
        match filter.relation.map(subject) {
            Some(_) if family == Family::RTC => {
                Err(Refusal::Invalid(format!("routes of {family} are about no prefix: leave it out")))
            }
            Some(prefix) if family.address_bits().is_some_and(|wanted| wanted != bits(prefix)) => {
                Err(Refusal::Invalid(format!(
                    "{family} does not hold prefixes like {prefix}: leave the family or the prefix out"
                )))
            }
            _ => Ok(filter),
        }
    }

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a route passes, by what identifies it.
    pub fn matches(&self, row: &RouteRow) -> bool {
        if self.is_empty() {
            return true;
        }
        let Nlri::Opaque(key) = &row.nlri else { return false };
        if let Some(wanted) = &self.key {
            return wanted == key;
        }
        let Some(typed) = TypedNlri::decode(row.family, key, &[]) else { return false };
        self.rd.is_none_or(|rd| typed.rd() == Some(rd))
            && self
                .relation
                .is_none_or(|relation| typed.prefix().is_some_and(|prefix| relation_holds(relation, prefix)))
    }
}
