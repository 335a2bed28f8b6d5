//! `/api/v1/alerts` and `/api/v1/mutes`: the fields of `--json`, a page at a time, and what people do about alerts.
//!
//! A browser that is open on another site must not be made to command: commands take JSON under its own type, which other
//! sites cannot send without asking, and `guard` refuses what says that it comes from another site.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{Path, Query, State, rejection::JsonRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use serde_json::json;

use super::{Refused, Site, json_answer};
use crate::{
    access::Note,
    alert::{Command, Done, Filter, Scope, json},
    types::Asn,
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

/// What somebody says about an alert.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    author: String,
    #[serde(default)]
    note: String,
}

/// What somebody writes about an alert.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    author: String,
    text: String,
}

/// What nobody wants to hear of, why and for how long.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Muted {
    alert: Option<String>,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default)]
    asns: Vec<u32>,
    #[serde(default)]
    neighbors: Vec<String>,
    reason: String,
    author: String,
    length_s: u64,
}

type Body<T> = Result<Json<T>, JsonRejection>;

/// Answers with the alert as it is then.
pub(super) async fn acknowledge(
    State(site): State<Site>,
    Path(id): Path<String>,
    Extension(audit): Extension<Note>,
    body: Body<Said>,
) -> Result<Response, Refused> {
    let Json(Said { author, note }) = body?;
    command(&site, &audit, Command::Acknowledge { id, author, note }).await
}

/// Answers with the alert as it is then.
pub(super) async fn unacknowledge(
    State(site): State<Site>,
    Path(id): Path<String>,
    Extension(audit): Extension<Note>,
    body: Body<Said>,
) -> Result<Response, Refused> {
    let Json(Said { author, note }) = body?;
    command(&site, &audit, Command::Unacknowledge { id, author, note }).await
}

/// Answers with the alert as it is then.
pub(super) async fn comment(
    State(site): State<Site>,
    Path(id): Path<String>,
    Extension(audit): Extension<Note>,
    body: Body<Written>,
) -> Result<Response, Refused> {
    let Json(Written { author, text }) = body?;
    command(&site, &audit, Command::Comment { id, author, text }).await
}

/// Answers with the mute: `{"id":…,"until":…,"reason":…,…}`.
pub(super) async fn mute(
    State(site): State<Site>,
    Extension(audit): Extension<Note>,
    body: Body<Muted>,
) -> Result<Response, Refused> {
    let Json(muted) = body?;
    let words = |words: Vec<String>| words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>();
    let scope = Scope {
        kinds: words(muted.kinds).iter().map(|word| read(word)).collect::<Result<_, _>>()?,
        prefixes: words(muted.prefixes).iter().map(|word| read(word)).collect::<Result<_, _>>()?,
        asns: muted.asns.into_iter().map(Asn).collect(),
        neighbors: words(muted.neighbors),
        alert: muted.alert.filter(|id| !id.is_empty()).map(Into::into),
    };
    let length = Duration::from_secs(muted.length_s);
    command(&site, &audit, Command::Mute { scope, reason: muted.reason, author: muted.author, length }).await
}

/// Answers `{"ended":…}`.
pub(super) async fn unmute(
    State(site): State<Site>,
    Path(id): Path<String>,
    Extension(audit): Extension<Note>,
) -> Result<Response, Refused> {
    command(&site, &audit, Command::Unmute { id }).await
}

async fn command(site: &Site, audit: &Note, command: Command) -> Result<Response, Refused> {
    audit.say(command.to_string());
    let answer = match site.alerts.command(command).await.map_err(Refused)? {
        Done::Alert(alert) => json::alert(&alert),
        Done::Muted(mute) => json!({
            "id": &*mute.id,
            "reason": mute.reason,
            "author": mute.author,
            "created_at": mute.created_at.to_string(),
            "until": mute.until.to_string(),
            "scope": json::scope(&mute.scope),
        }),
        Done::Unmuted(ended) => json!({ "ended": ended }),
    };
    Ok(json_answer(StatusCode::OK, &answer))
}
