//! `/api/v1/session`: who the page is, and how it comes to be somebody. The token itself is the cookie, so a session outlives the
//! daemon, ends with the token, and is one that no script can read.

use axum::{
    Json,
    extract::{ConnectInfo, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde::Deserialize;
use serde_json::json;

use super::{Refused, Site, guard, json_answer};
use crate::{
    access::{Caller, Need, Outcome, Principal, Role},
    types::Secret,
    view::Refusal,
};

const WHAT: &str = "POST /api/v1/session";

/// `{"name":…,"role":…,"may_command":…,"login":…}`; without a name, a token is needed. `login`: tokens are taken.
pub(super) async fn show(
    State(site): State<Site>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    headers: HeaderMap,
) -> Response {
    let principal = site.gate.who(&caller, guard::token(&headers));
    json_answer(StatusCode::OK, &session(&site, principal.as_ref()))
}

fn session(site: &Site, principal: Option<&Principal>) -> serde_json::Value {
    json!({
        "name": principal.map(|principal| &*principal.name),
        "role": principal.map(|principal| principal.role.name()),
        "may_command": principal.is_some_and(|principal| principal.role >= guard::COMMANDS),
        "login": !site.gate.rules().tokens.is_empty(),
    })
}

/// A token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shown {
    token: String,
}

/// Takes a token; the answer is that of `show`, and a cookie.
pub(super) async fn begin(
    State(site): State<Site>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    body: Result<Json<Shown>, JsonRejection>,
) -> Result<Response, Refused> {
    let token = Secret(body.map_err(|_| Refused::invalid("a token is shown as {\"token\": \"…\"}"))?.0.token);
    if site.gate.rules().tokens.is_empty() {
        return Err(Refused(Refusal::NotNow("no tokens are configured: see [[access.token]]".to_owned())));
    }
    let admitted = match site.gate.admit(&caller, Some(token.0.trim()), WHAT, Need::Role(Role::View)) {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(guard::answer(&refusal, caller.protected)),
    };
    site.gate.record(&caller, admitted.principal.as_ref(), WHAT, String::new(), Outcome::Done);
    let mut answer = json_answer(StatusCode::OK, &session(&site, admitted.principal.as_ref()));
    answer.headers_mut().insert(header::SET_COOKIE, guard::set_cookie(token.0.trim(), caller.protected));
    Ok(answer)
}

/// Takes the cookie away.
pub(super) async fn end(State(site): State<Site>, ConnectInfo(caller): ConnectInfo<Caller>) -> Response {
    let mut answer = json_answer(StatusCode::OK, &session(&site, None));
    answer.headers_mut().insert(header::SET_COOKIE, guard::set_cookie("", caller.protected));
    answer
}
