//! `/api/v1/history`: what neighbours said of a prefix lately, change by change, and what their sessions did meanwhile.

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Refused, Site, json_answer};
use crate::{
    types::Prefix,
    view::{
        Refusal,
        filter::prefix_family,
        history::{Change, Version},
        json::RouteAttributes,
    },
    wire::bgp::attribute::AttrSet,
};

/// `{"prefix":"…","family":"…","since":"…","missed":…,"cut":…,"changes":[…],"sessions":[…]}`, the oldest first.
pub(super) async fn history(
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
        return Err(Refused::invalid("name a prefix: ?prefix=192.0.2.0/24"));
    }
    let prefix: Prefix = word.parse().map_err(|error: crate::types::PrefixError| Refused::invalid(error))?;
    let family = prefix_family(&family, &prefix).map_err(Refused)?;
    let Some(known) = site.backend.history(family, prefix) else {
        let off = "no history is kept here: [rib] history is \"0\", or [detect] is not enabled";
        return Err(Refused(Refusal::NotNow(off.to_owned())));
    };
    let sessions = known.sessions.iter().map(|event| {
        json!({
            "at": event.at.to_string(),
            "neighbor": event.vantage.address.to_string(),
            "session": event.fate.name(),
        })
    });
    let answer = json!({
        "prefix": prefix.to_string(),
        "family": family.to_string(),
        "since": known.since.to_string(),
        "missed": known.missed,
        "cut": known.cut,
        "changes": known.changes.iter().map(change).collect::<Vec<_>>(),
        "sessions": sessions.collect::<Vec<_>>(),
    });
    Ok(json_answer(StatusCode::OK, &answer))
}

fn change(change: &Change) -> Value {
    json!({
        "at": change.at.to_string(),
        "neighbor": change.vantage.address.to_string(),
        "path_id": change.path_id,
        "before": change.before.as_ref().map(version),
        "after": change.after.as_ref().map(version),
    })
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    attributes: RouteAttributes,
    validation: Option<&'static str>,
    aspa: Option<&'static str>,
    accepted: bool,
}

fn version(version: &Version) -> Shown {
    Shown {
        attributes: RouteAttributes::new(AttrSet::new(&version.attrs)),
        validation: version.validation.answer(),
        aspa: version.aspa.answer(),
        accepted: version.accepted,
    }
}
