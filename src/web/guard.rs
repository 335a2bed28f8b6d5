//! In front of every address: who asks, whether they may, and a line in the audit log for every change and refusal.
//!
//! A browser that is open on another site must not be made to ask or command. It is not led here by a name that somebody else owns
//! (DNS rebinding): where nobody has to show a token, only names of this machine are answered. And what changes anything is not
//! taken from a page of another site, whatever the browser adds to it.

use std::net::IpAddr;

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::{Site, json_answer};
use crate::access::{Caller, Class, Need, Note, Outcome, Refusal, Role, table};

/// Where the page keeps its token; no script can read it.
pub(super) const COOKIE: &str = "ribwatch";

/// Why something did not work, for the audit log.
#[derive(Clone)]
pub(super) struct Why(pub(super) String);

/// Lets a request in, or answers it.
pub(super) async fn admit(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    let Some(ConnectInfo(caller)) = request.extensions().get::<ConnectInfo<Caller>>().cloned() else {
        // Every connection has one: a fault of ours must not open the door.
        return (StatusCode::INTERNAL_SERVER_ERROR, "nobody knows who asks\n").into_response();
    };
    let what = format!("{} {}", request.method(), request.uri().path());
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let need = match table::route(request.method().as_str(), path.as_deref()) {
        _ if site.settings.metrics_open && path.as_deref() == Some(table::METRICS) => Need::Nothing,
        need => need,
    };
    let headers = request.headers();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let elsewhere = match (need, reads) {
        (Need::Role(_), _) if site.gate.rules().is_open() => host(headers, &site.settings.hosts).err(),
        _ => None,
    };
    let elsewhere = elsewhere.or_else(|| if reads { None } else { from_here(headers).err() });
    if let Some(why) = elsewhere {
        return answer(&site.gate.refuse(&caller, &what, Refusal::Elsewhere(why)), caller.protected);
    }
    let admitted = match site.gate.admit(&caller, token(headers), &what, need) {
        Ok(admitted) => admitted,
        Err(refusal) => return answer(&refusal, caller.protected),
    };
    let note = Note::default();
    request.extensions_mut().insert(note.clone());
    let response = next.run(request).await;
    if admitted.is_change {
        let outcome = match response.status().is_client_error() || response.status().is_server_error() {
            false => Outcome::Done,
            true => Outcome::Failed(
                response.extensions().get::<Why>().map_or_else(|| response.status().to_string(), |why| why.0.clone()),
            ),
        };
        site.gate.record(&caller, admitted.principal.as_ref(), &what, note.text(), outcome);
    }
    response
}

/// What a request shows: a token in `Authorization` (RFC 6750 §2.1), or that of the page.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookie = || cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    bearer.or_else(|| cookie().find(|(name, token)| *name == COOKIE && !token.is_empty()).map(|(_, token)| token))
}

/// A refusal as an answer: `{"error": "…"}`, and what would help.
pub(super) fn answer(refusal: &Refusal, protected: bool) -> Response {
    let status = match refusal.class() {
        Class::Unauthenticated => StatusCode::UNAUTHORIZED,
        Class::Forbidden => StatusCode::FORBIDDEN,
        Class::TooMany => StatusCode::TOO_MANY_REQUESTS,
    };
    let mut answer = json_answer(status, &json!({ "error": refusal.to_string() }));
    let headers = answer.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"ribwatch\""));
    }
    if matches!(refusal, Refusal::UnknownToken | Refusal::Expired { .. }) {
        headers.insert(header::SET_COOKIE, set_cookie("", protected));
    }
    if let Refusal::TooManyFailures { retry_s } = refusal {
        headers.insert(header::RETRY_AFTER, (*retry_s).into());
    }
    answer
}

/// The cookie of the page; an empty token takes it away. It lives as long as the browser does.
pub(super) fn set_cookie(token: &str, protected: bool) -> header::HeaderValue {
    let age = if token.is_empty() { "; Max-Age=0" } else { "" };
    let secure = if protected { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{age}{secure}");
    // A token that makes no header was refused before.
    header::HeaderValue::from_str(&text).unwrap_or(header::HeaderValue::from_static(""))
}

/// Whether the request was led here by a name of ours: an address of loopback, `localhost`, or one of `hosts`.
fn host(headers: &HeaderMap, hosts: &[String]) -> Result<(), String> {
    // Every browser sends one (RFC 9112 §3.2).
    let Some(value) = headers.get(header::HOST) else { return Ok(()) };
    let value = value.to_str().unwrap_or_default();
    let name = match value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => value.rsplit_once(':').map_or(value, |(name, _)| name),
    };
    let loopback = name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match loopback || name.eq_ignore_ascii_case("localhost") || hosts.iter().any(|h| h.eq_ignore_ascii_case(name)) {
        true => Ok(()),
        false => Err(format!(
            "nobody has to show a token here, so only names of this machine are answered, not {name:?}: to allow it, add \
             hosts = [{name:?}] to [http]"
        )),
    }
}

/// Whether the request comes from our own page or from no page at all.
fn from_here(headers: &HeaderMap) -> Result<(), String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let elsewhere = text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let host = text(header::HOST.as_str()).unwrap_or_default();
    let other = text(header::ORIGIN.as_str())
        .is_some_and(|origin| origin.split_once("://").is_none_or(|(_, authority)| authority != host));
    match elsewhere || other {
        true => Err("commands are taken from this daemon's own page only".to_owned()),
        false => Ok(()),
    }
}

/// What somebody may do who has the role that commands of the page take.
pub(super) const COMMANDS: Role = Role::Operate;
