//! `/api/v1/rpki/what-if`: what other RPKI data would do to the routes of now, page by page. Each answer counts what it
//! looked at; who wants all of it adds the counts up until `next` is null. The fields are those of `ribwatch rpki what-if
//! --json`.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use serde_json::{Value, json};

use super::{Refused, Site, json_answer};
use crate::{
    validation::hypothesis::{ChangeWords, Changes},
    view::{
        Answer, Query as Question, Refusal,
        scan::{PeerNames, read_cursor_token, write_cursor_token},
        what_if::{Then, WhatIfCounts, WhatIfPage, WhatIfQuery, WhatIfRow},
    },
    wire::bgp::attribute::AttrSet,
};

/// Rows of an answer unless asked otherwise.
const LIMIT_DEFAULT: usize = 100;
/// Most rows of an answer (a prefix is never cut in two, so there can be some more).
const LIMIT_MAX: usize = 1000;
/// Prefixes that one question looks at: a few milliseconds of the engine where each must be judged.
const SCAN_LIMIT: usize = 2048;
/// Questions to the engine that one request may cost.
const QUESTIONS_PER_REQUEST: usize = 16;
/// Words of one request.
const WORDS_MAX: usize = 100;

#[derive(Default)]
struct Parameters {
    add_vrps: Vec<String>,
    remove_vrps: Vec<String>,
    add_aspas: Vec<String>,
    remove_aspas: Vec<String>,
    limit: Option<usize>,
    next: String,
}

impl Parameters {
    fn parse(pairs: Vec<(String, String)>) -> Result<Self, Refused> {
        if pairs.len() > WORDS_MAX {
            return Err(Refused::invalid(format!(
                "more than {WORDS_MAX} words: use `ribwatch rpki what-if --slurm FILE` for so many changes"
            )));
        }
        let mut parameters = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "add_vrp" => parameters.add_vrps.push(value),
                "remove_vrp" => parameters.remove_vrps.push(value),
                "add_aspa" => parameters.add_aspas.push(value),
                "remove_aspa" => parameters.remove_aspas.push(value),
                "limit" => {
                    let limit = value.parse();
                    let wrong = |_| Refused::invalid(format!("`limit` must be a number, not `{value}`"));
                    parameters.limit = Some(limit.map_err(wrong)?);
                }
                "next" => parameters.next = value,
                _ => {
                    return Err(Refused::invalid(format!(
                        "no parameter `{name}`: there are add_vrp, remove_vrp, add_aspa, remove_aspa, limit and next"
                    )));
                }
            }
        }
        Ok(parameters)
    }
}

/// `{"counts":{…},"routes":[…],"told":[…],"next":"…" or null}`; `limit=0` only counts, which goes further in one answer.
pub(super) async fn page(
    State(site): State<Site>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    let asked = Parameters::parse(pairs)?;
    let words = ChangeWords {
        add_vrps: &asked.add_vrps,
        remove_vrps: &asked.remove_vrps,
        add_aspas: &asked.add_aspas,
        remove_aspas: &asked.remove_aspas,
        slurm: "",
    };
    let changes = Changes::parse(&words).map_err(Refused::invalid)?;
    let mut cursor = match asked.next.as_str() {
        "" => None,
        token => Some(read_cursor_token(token).map_err(Refused)?),
    };
    let backend = Arc::clone(&site.backend);
    // Hundreds of thousands of VRPs are copied.
    let hypothesis = tokio::task::spawn_blocking(move || backend.hypothesis(&changes)).await;
    let hypothesis = Arc::new(hypothesis.map_err(|_| Refused(Refusal::Stopping))?.map_err(Refused)?);
    let limit = asked.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    let (mut counts, mut names) = (WhatIfCounts::default(), PeerNames::default());
    let (mut routes, mut told): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for _ in 0..QUESTIONS_PER_REQUEST {
        let room = if limit == 0 { LIMIT_MAX } else { limit.saturating_sub(routes.len() + told.len()) };
        if room == 0 {
            break;
        }
        let query = WhatIfQuery { hypothesis: Arc::clone(&hypothesis), cursor, limit: room, scan_limit: SCAN_LIMIT };
        let Answer::WhatIf(page) = site.backend.query(Question::WhatIf(query)).await.map_err(Refused)? else {
            return Err(Refused(Refusal::NotNow("the engine answered another question".to_owned())));
        };
        page.rows.iter().for_each(|row| counts.add(row));
        page.told.iter().for_each(|told| counts.add_told(told));
        if limit > 0 {
            routes.extend(page.rows.iter().map(|row| route(row, &page, &site, &mut names)));
            told.extend(page.told.iter().map(|told| {
                let neighbor = names.get(&*site.backend, Some(told.peer));
                json!({
                    "prefix": told.nlri.display(told.family),
                    "neighbor": &*neighbor,
                    "now": !told.told,
                    "then": told.told,
                })
            }));
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let next = cursor.as_ref().map(write_cursor_token);
    let answer = json!({ "counts": counted(&counts), "routes": routes, "told": told, "next": next });
    Ok(json_answer(StatusCode::OK, &answer))
}

fn counted(counts: &WhatIfCounts) -> Value {
    let origins = counts.validation_moves();
    let origins = origins.map(|(from, to, routes)| json!({"from": from.answer(), "to": to.answer(), "routes": routes}));
    let paths = counts.aspa_moves();
    let paths = paths.map(|(from, to, routes)| json!({"from": from.answer(), "to": to.answer(), "routes": routes}));
    json!({
        "routes": counts.routes,
        "validation": origins.collect::<Vec<_>>(),
        "aspa": paths.collect::<Vec<_>>(),
        "rejected": counts.rejected,
        "accepted": counts.accepted,
        "no_longer_best": counts.no_longer_best,
        "becoming_best": counts.becoming_best,
        "withdrawn": counts.withdrawn,
        "announced": counts.announced,
    })
}

fn route(row: &WhatIfRow, page: &WhatIfPage, site: &Site, names: &mut PeerNames) -> Value {
    let WhatIfRow { now, then } = row;
    let octets = page.attrs.get(now.attrs.start as usize..now.attrs.end as usize).unwrap_or_default();
    let current =
        Then { validation: now.validation, aspa: now.aspa, rejected_by: now.rejected_by.clone(), best: now.best };
    let neighbor = names.get(&*site.backend, now.peer);
    json!({
        "prefix": now.nlri.display(now.family),
        "neighbor": (!neighbor.is_empty()).then_some(&*neighbor),
        "path_id": now.path_id,
        "as_path": AttrSet::new(octets).as_path().to_string(),
        "now": state(&current),
        "then": state(then),
    })
}

fn state(then: &Then) -> Value {
    json!({
        "validation": then.validation.answer(),
        "aspa": then.aspa.answer(),
        "accepted": then.rejected_by.is_none(),
        "rejected_by": then.rejected_by.as_deref(),
        "best": then.best,
    })
}
