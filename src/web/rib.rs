//! `/api/v1/rib`: a page of routes as JSON, with the words of the command line as parameters.

use std::collections::HashMap;

use axum::{
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
};

use super::{Refused, Site};
use crate::view::{
    Refusal, Table,
    filter::{Relation, RouteFilter, Words},
    json,
    scan::{PeerNames, Scan},
};

/// Routes in a page unless asked otherwise: what a person reads.
const LIMIT_DEFAULT: usize = 100;
/// Most routes in a page.
const LIMIT_MAX: usize = 1000;
/// Octets at which a page is closed.
const BODY_OCTETS: usize = 1 << 20;
/// Pages of the engine that one request may read before it answers with what it has.
const PAGES_PER_REQUEST: usize = 64;

/// The parameters as they came.
#[derive(Default)]
struct Parameters {
    table: Table,
    neighbor: String,
    family: String,
    prefix: String,
    relation: Option<Relation>,
    origin: Option<u32>,
    as_path: String,
    communities: Vec<String>,
    rd: String,
    validation: String,
    aspa: String,
    limit: Option<usize>,
    next: String,
}

impl Parameters {
    fn parse(pairs: Vec<(String, String)>) -> Result<Self, Refusal> {
        let mut parameters = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "table" => parameters.table = table(&value)?,
                "neighbor" => parameters.neighbor = value,
                "family" => parameters.family = value,
                "prefix" => parameters.prefix = value,
                "match" => parameters.relation = Some(relation(&value)?),
                "origin" => parameters.origin = Some(number(&name, value.trim_start_matches("AS"))?),
                "as_path" => parameters.as_path = value,
                "community" => parameters.communities.push(value),
                "rd" => parameters.rd = value,
                "validation" => parameters.validation = value,
                "aspa" => parameters.aspa = value,
                "limit" => parameters.limit = Some(number(&name, &value)?),
                "next" => parameters.next = value,
                _ => {
                    return Err(Refusal::Invalid(format!(
                        "no parameter `{name}`: there are prefix, match, table, neighbor, family, origin, as_path, \
                         community, rd, validation, aspa, limit and next"
                    )));
                }
            }
        }
        Ok(parameters)
    }

    fn words(&self) -> Words<'_> {
        Words {
            table: self.table,
            neighbor: &self.neighbor,
            family: &self.family,
            prefix: &self.prefix,
            relation: self.relation,
            origin: self.origin,
            as_path: &self.as_path,
            communities: &self.communities,
            rd: &self.rd,
            validation: &self.validation,
            aspa: &self.aspa,
        }
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Refusal> {
    value.parse().map_err(|_| Refusal::Invalid(format!("`{name}` must be a number, not `{value}`")))
}

fn table(word: &str) -> Result<Table, Refusal> {
    match word {
        "loc" => Ok(Table::Loc),
        "adj-in" => Ok(Table::AdjIn),
        "adj-out" => Ok(Table::AdjOut),
        _ => Err(Refusal::Invalid(format!("no table `{word}`: there are loc, adj-in and adj-out"))),
    }
}

fn relation(word: &str) -> Result<Relation, Refusal> {
    match word {
        "exact" => Ok(Relation::Exact),
        "longest" => Ok(Relation::Longest),
        "longer" => Ok(Relation::Longer),
        "shorter" => Ok(Relation::Shorter),
        _ => Err(Refusal::Invalid(format!("no match `{word}`: there are exact, longest, longer and shorter"))),
    }
}

/// `{"routes":[…],"next":"…" or null,"seq":…}`
pub(super) async fn page(
    State(site): State<Site>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    let parameters = Parameters::parse(pairs).map_err(Refused)?;
    // Thousands of neighbours are not copied for a question that names none.
    let neighbors = if parameters.neighbor.is_empty() { Vec::new() } else { site.backend.neighbors() };
    let filter = RouteFilter::parse(&parameters.words(), &neighbors).map_err(Refused)?;
    let scan = Scan::resume(filter, &parameters.next).map_err(Refused)?;
    let limit = parameters.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let body = routes(&site, scan, limit).await.map_err(Refused)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

async fn routes(site: &Site, mut scan: Scan, limit: usize) -> Result<Vec<u8>, Refusal> {
    let (backend, mut names) = (&*site.backend, PeerNames::default());
    let mut sets: HashMap<Box<[u8]>, String> = HashMap::new();
    let (mut body, mut count, now) = (b"{\"routes\":[".to_vec(), 0, backend.now());
    for _ in 0..PAGES_PER_REQUEST {
        if !scan.load(backend).await? {
            break;
        }
        while count < limit && body.len() < BODY_OCTETS {
            let Some((row, attrs)) = scan.next_route() else { break };
            if count > 0 {
                body.push(b',');
            }
            count += 1;
            let octets = attrs.as_bytes();
            if !sets.contains_key(octets) {
                sets.insert(octets.into(), json::RouteAttributes::new(attrs).fields());
            }
            let fields = sets.get(octets).map(String::as_str).unwrap_or_default();
            json::write_row(&mut body, row, fields, &names.get(backend, row.peer), now);
        }
        if count >= limit || body.len() >= BODY_OCTETS {
            break;
        }
    }
    let token = scan.token();
    let next = if token.is_empty() { "null".to_owned() } else { format!("\"{token}\"") };
    body.extend_from_slice(format!("],\"next\":{next},\"seq\":{}}}\n", scan.seq()).as_bytes());
    Ok(body)
}
