//! `/api/v1/rpki`: sources of RPKI data with their age, and `/api/v1/rpki/check`: the state of a prefix and origin with
//! the VRPs that decided it. The fields are those of `ribwatch rpki --json`.

use std::collections::BTreeMap;

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};

use super::{Refused, Site, json_answer};
use crate::{
    types::{Asn, Prefix, Timestamp},
    validation::rov::Fit,
    view::{
        Refusal,
        rpki::{CoveringVrp, SourceView},
    },
};

#[derive(Serialize)]
struct Source {
    name: String,
    place: String,
    kind: &'static str,
    state: &'static str,
    in_use: bool,
    version: Option<u8>,
    session_id: Option<u16>,
    serial: Option<u32>,
    vrps_v4: u64,
    vrps_v6: u64,
    aspas: u64,
    trust_anchors: BTreeMap<String, u64>,
    age_s: Option<u64>,
    expires_in_s: Option<u64>,
    without_aspas: Option<String>,
    last_error: Option<String>,
}

impl Source {
    fn new(source: SourceView, now: Timestamp) -> Self {
        Self {
            name: source.name,
            place: source.place,
            kind: source.kind,
            state: source.state.name(),
            in_use: source.in_use,
            version: source.version,
            session_id: source.session_id,
            serial: source.serial,
            vrps_v4: source.vrps.0,
            vrps_v6: source.vrps.1,
            aspas: source.aspas,
            trust_anchors: source.anchors,
            age_s: source.updated_at.map(|at| now.since(at).as_secs()),
            expires_in_s: source.expires_at.map(|at| at.since(now).as_secs()),
            without_aspas: source.without_aspas,
            last_error: source.last_error,
        }
    }
}

/// All sources, and what is in force together.
pub(super) async fn sources(State(site): State<Site>) -> Response {
    #[derive(Serialize)]
    struct Answer {
        sources: Vec<Source>,
        vrps_v4: u64,
        vrps_v6: u64,
        aspas: u64,
    }
    let (now, view) = (site.backend.now(), site.backend.rpki());
    let sources = view.sources.into_iter().map(|source| Source::new(source, now)).collect();
    let answer = Answer { sources, vrps_v4: view.vrps.0, vrps_v6: view.vrps.1, aspas: view.aspas };
    json_answer(StatusCode::OK, &answer)
}

/// What is asked about.
#[derive(Deserialize)]
pub(super) struct Asked {
    prefix: Option<String>,
    asn: Option<String>,
}

#[derive(Serialize)]
struct Vrp {
    prefix: String,
    max_length: u8,
    asn: u32,
    fit: &'static str,
    sources: Vec<String>,
}

impl Vrp {
    fn new(vrp: CoveringVrp) -> Self {
        let fit = match vrp.fit {
            Fit::Matches => "matches",
            Fit::OtherOrigin => "other_origin",
            Fit::TooLong => "too_long",
        };
        Self { prefix: vrp.prefix.to_string(), max_length: vrp.max_len, asn: vrp.asn.0, fit, sources: vrp.sources }
    }
}

/// The state of a prefix and origin (RFC 6811).
pub(super) async fn check(State(site): State<Site>, Query(asked): Query<Asked>) -> Result<Response, Refused> {
    #[derive(Serialize)]
    struct Answer {
        prefix: String,
        asn: u32,
        validation: Option<&'static str>,
        why: String,
        vrps: Vec<Vrp>,
    }
    let refuse = |what: String| Refused(Refusal::Invalid(what));
    let (Some(prefix), Some(asn)) = (asked.prefix, asked.asn) else {
        return Err(refuse("name both: ?prefix=192.0.2.0/24&asn=64496".to_owned()));
    };
    let prefix: Prefix = prefix.parse().map_err(|error: crate::types::PrefixError| refuse(error.to_string()))?;
    let digits = asn.trim_start_matches("AS");
    let origin = digits.parse().map_err(|_| refuse(format!("{asn:?} is not an AS number: write 64496 or AS64496")))?;
    let check = site.backend.check_origin(prefix, Asn(origin));
    let answer = Answer {
        prefix: prefix.to_string(),
        asn: origin,
        validation: check.state.answer(),
        why: check.why(),
        vrps: check.covering.into_iter().map(Vrp::new).collect(),
    };
    Ok(json_answer(StatusCode::OK, &answer))
}
