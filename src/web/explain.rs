//! `/api/v1/explain`: every path of a prefix in order of preference, and why each stands where it does. The fields are
//! those of `ribwatch explain --json`.

use axum::{
    extract::{Query, State},
    http::header,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::{Refused, Site};
use crate::view::{Candidate, explain as question, json::RouteAttributes, json::write_row, scan::PeerNames};

/// Most candidates that are shown; the others are counted.
const CANDIDATES_MAX: usize = 1000;

/// `{"prefix":"…","family":"…","paths":…,"candidates":[…]}`
pub(super) async fn explain(
    State(site): State<Site>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    let (mut word, mut family) = (String::new(), String::new());
    for (name, value) in pairs {
        match name.as_str() {
            "prefix" => word = value,
            "family" => family = value,
            _ => return Err(Refused::invalid(format!("no parameter `{name}`: there are prefix and family"))),
        }
    }
    if word.is_empty() {
        return Err(Refused::invalid("name a prefix or an address: ?prefix=192.0.2.0/24"));
    }
    let answer = question::explain(&word, &family, &*site.backend).await.map_err(Refused)?;
    let (mut names, now, page) = (PeerNames::default(), site.backend.now(), &answer.explanation.page);
    let head = json!({
        "prefix": answer.name,
        "family": answer.family.to_string(),
        "paths": answer.explanation.candidates.len(),
    });
    let mut body = open(&head);
    body.extend_from_slice(b",\"candidates\":[");
    for (at, candidate) in answer.explanation.candidates.iter().take(CANDIDATES_MAX).enumerate() {
        let Some(row) = page.rows.get(candidate.row) else { continue };
        if at > 0 {
            body.push(b',');
        }
        body.extend(open(&fields(at, candidate)));
        body.extend_from_slice(b",\"route\":");
        let attributes = RouteAttributes::new(page.attrs(row)).fields();
        write_row(&mut body, row, &attributes, &names.get(&*site.backend, row.peer), now);
        body.push(b'}');
    }
    body.extend_from_slice(b"]}\n");
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// An object without its closing brace, so that more can follow.
fn open(fields: &Value) -> Vec<u8> {
    let mut text = fields.to_string().into_bytes();
    text.pop();
    text
}

fn fields(at: usize, candidate: &Candidate) -> Value {
    let lost = candidate.lost.as_ref();
    json!({
        "rank": at + 1,
        "ineligible": candidate.ineligible,
        "lost_at": lost.map(|lost| lost.why),
        "step": lost.map(|lost| lost.step),
        "value": lost.and_then(|lost| lost.value.as_ref()),
        "against": lost.and_then(|lost| lost.against.as_ref()),
        "lost_to": lost.map(|lost| lost.to + 1),
        "import": candidate.import,
    })
}
