//! `/api/v1/alerts` and `/api/v1/mutes`: the fields of `--json`, a page at a time.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use serde_json::json;

use super::{Refused, Site, json_answer};
use crate::{
    alert::{Filter, json},
    view::Refusal,
};

/// Alerts in a page unless asked otherwise.
const LIMIT_DEFAULT: usize = 100;
/// Most alerts in a page.
const LIMIT_MAX: usize = 1000;

/// `{"alerts":[…],"next":"…" or null,"seq":…}`
pub(super) async fn page(
    State(site): State<Site>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    let (mut filter, mut limit, mut next) = (Filter::default(), LIMIT_DEFAULT, String::new());
    for (name, value) in pairs {
        match name.as_str() {
            "kind" => filter.kinds.push(read(&value)?),
            "state" => filter.states.push(read(&value)?),
            "severity" => filter.severity = Some(read(&value)?),
            "prefix" => filter.prefix = Some(read(&value)?),
            "asn" => filter.asn = Some(read(&value)?),
            "neighbor" => filter.neighbor = value,
            "text" => filter.text = value,
            "limit" => limit = read(&value)?,
            "next" => next = value,
            _ => {
                return Err(Refused(Refusal::Invalid(format!(
                    "no parameter `{name}`: there are kind, state, severity, prefix, asn, neighbor, text, limit and next"
                ))));
            }
        }
    }
    let page = site.alerts.list(&filter, &next, limit.clamp(1, LIMIT_MAX)).map_err(Refused)?;
    let next = (!page.next.is_empty()).then_some(page.next);
    let alerts: Vec<_> = page.alerts.iter().map(|alert| json::alert(alert)).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "alerts": alerts, "next": next, "seq": page.seq })))
}

fn read<T: std::str::FromStr<Err: ToString>>(value: &str) -> Result<T, Refused> {
    value.parse().map_err(|why: T::Err| Refused(Refusal::Invalid(why.to_string())))
}

/// One alert, by its id or the beginning of it.
pub(super) async fn one(State(site): State<Site>, Path(id): Path<String>) -> Result<Response, Refused> {
    let alert = site.alerts.get(&id).map_err(Refused)?;
    Ok(json_answer(StatusCode::OK, &json::alert(&alert)))
}

/// `{"mutes":[…]}`
pub(super) async fn mutes(State(site): State<Site>) -> Response {
    let mutes: Vec<_> = site.alerts.mutes().iter().map(json::mute).collect();
    json_answer(StatusCode::OK, &json!({ "mutes": mutes }))
}
