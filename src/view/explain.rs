//! Why the route of a prefix won, asked in words: an address means the longest match, and a family without plain prefixes
//! has its own words. Both gRPC and HTTP ask through this file.

use super::{
    Answer, Backend, Explanation, Nlri, Query, Refusal, Table,
    filter::{Relation, RouteFilter, Words, prefix_family, prefix_or_address},
};
use crate::{
    types::{Family, Prefix},
    wire::bgp::nlri::TypedNlri,
};

/// An answered question.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The family that was meant.
    pub family: Family,
    /// The NLRI that was meant, as printed.
    pub name: String,
    /// Its candidates; at least one.
    pub explanation: Explanation,
}

/// Asks about `word`: a prefix, an address, or an NLRI of `family` (empty: unicast).
///
/// # Errors
/// `Invalid` with what would be understood; `NotFound`: nobody announces it; what the engine says.
pub async fn explain(word: &str, family: &str, backend: &dyn Backend) -> Result<Explained, Refusal> {
    let no_route = || Refusal::NotFound(format!("no route for {word}"));
    let (query, family, name) = match typed(word, family)? {
        Some((family, key)) => {
            let name = Nlri::Opaque(key.clone()).display(family);
            (Query::ExplainTyped { family, key }, family, name)
        }
        None => {
            let prefix = meant_prefix(word, family, backend).await?.ok_or_else(no_route)?;
            let family = prefix_family(family, &prefix)?;
            (Query::Explain { family, prefix }, family, prefix.to_string())
        }
    };
    let Answer::Explanation(explanation) = backend.query(query).await? else {
        return Err(Refusal::NotNow("the engine did not answer `explain` with an explanation".to_owned()));
    };
    if explanation.candidates.is_empty() {
        return Err(no_route());
    }
    Ok(Explained { family, name, explanation })
}

/// The prefix that a question about one prefix means: itself, or the longest one that holds the address.
async fn meant_prefix(word: &str, family: &str, backend: &dyn Backend) -> Result<Option<Prefix>, Refusal> {
    let (prefix, is_address) = prefix_or_address(word)?;
    prefix_family(family, &prefix)?;
    if !is_address {
        return Ok(Some(prefix));
    }
    let words =
        Words { table: Table::AdjIn, family, prefix: word, relation: Some(Relation::Longest), ..Words::default() };
    let query = RouteFilter::parse(&words, &[])?.query(None, 1);
    let Answer::Routes(page) = backend.query(Query::Routes(query)).await? else { return Ok(None) };
    Ok(page.rows.first().and_then(|row| match row.nlri {
        Nlri::Prefix(prefix) => Some(prefix),
        Nlri::Opaque(_) => None,
    }))
}

/// A family and the key of one of its NLRI.
type Typed = (Family, Box<[u8]>);

/// The key that words of a family without plain prefixes name; `None`: the family is none of those.
fn typed(word: &str, family: &str) -> Result<Option<Typed>, Refusal> {
    let Some(family) = family.parse::<Family>().ok().filter(|family| !family.is_plain_prefix()) else {
        return Ok(None);
    };
    let key = TypedNlri::parse(family, word).and_then(|typed| typed.key());
    let key = key.map_err(|error| Refusal::Invalid(error.to_string()))?;
    Ok(Some((family, key.into())))
}
