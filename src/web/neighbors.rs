//! `/api/v1/neighbors`: sessions and their counts, a page at a time, and everything about one of them.

use std::net::IpAddr;

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use serde::Serialize;

use super::{Refused, Site, json_answer, pulse::SessionChange};
use crate::view::{NeighborView, SessionState, filter::find_neighbor, json::Neighbor, neighbor_json::NeighborDetail};

/// Neighbours in a page, unless fewer are asked for.
const LIMIT_MAX: usize = 1000;

/// Which neighbours are asked for.
#[derive(Default)]
struct Asked {
    /// A state's name, or `down`: every other than established.
    state: String,
    /// Stands in the address, name or AS, in small letters.
    text: String,
    limit: usize,
    /// The address of the last one of the page before.
    next: Option<IpAddr>,
}

impl Asked {
    fn parse(pairs: Vec<(String, String)>) -> Result<Self, Refused> {
        let mut asked = Self { limit: LIMIT_MAX, ..Self::default() };
        for (name, value) in pairs {
            match name.as_str() {
                "state" => asked.state = state(value)?,
                "text" => asked.text = value.to_lowercase(),
                "limit" => {
                    let wrong = |_| Refused::invalid(format!("`limit` must be a number, not `{value}`"));
                    asked.limit = value.parse::<usize>().map_err(wrong)?.clamp(1, LIMIT_MAX);
                }
                "next" => {
                    let wrong = |_| Refused::invalid("the page token is not one of this list: start again without it");
                    asked.next = Some(value.parse().map_err(wrong)?);
                }
                _ => {
                    return Err(Refused::invalid(format!(
                        "no parameter `{name}`: there are state, text, limit and next"
                    )));
                }
            }
        }
        Ok(asked)
    }

    fn admits(&self, view: &NeighborView) -> bool {
        let in_state = match self.state.as_str() {
            "" => true,
            "down" => view.state != SessionState::Established,
            state => view.state.name() == state,
        };
        let named = || {
            let asn = view.remote_asn.map(|asn| format!("as{}", asn.0)).unwrap_or_default();
            let name = view.name.as_deref().unwrap_or_default().to_lowercase();
            [view.address.to_string(), name, asn].iter().any(|place| place.contains(&self.text))
        };
        in_state && self.next.is_none_or(|last| view.address > last) && (self.text.is_empty() || named())
    }
}

fn state(word: String) -> Result<String, Refused> {
    let known = ["", "down", "idle", "connect", "active", "open_sent", "open_confirm", "established"];
    match known.contains(&word.as_str()) {
        true => Ok(word),
        false => Err(Refused::invalid(format!("no state `{word}`: there are {}", known[1..].join(", ")))),
    }
}

/// `{"neighbors":[…],"next":"…" or null}`, by address.
pub(super) async fn page(
    State(site): State<Site>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    #[derive(Serialize)]
    struct Neighbors {
        neighbors: Vec<Neighbor>,
        next: Option<String>,
    }
    let asked = Asked::parse(pairs)?;
    let (now, mut views) = (site.backend.now(), site.backend.neighbors());
    views.retain(|view| asked.admits(view));
    views.sort_by_key(|view| view.address);
    let more = views.len() > asked.limit;
    views.truncate(asked.limit);
    let next = views.last().filter(|_| more).map(|view| view.address.to_string());
    let neighbors = views.iter().map(|view| Neighbor::new(view, now)).collect();
    Ok(json_answer(StatusCode::OK, &Neighbors { neighbors, next }))
}

/// One neighbour, with what its session did lately.
pub(super) async fn one(State(site): State<Site>, Path(word): Path<String>) -> Result<Response, Refused> {
    #[derive(Serialize)]
    struct One {
        #[serde(flatten)]
        neighbor: NeighborDetail,
        history: Vec<SessionChange>,
    }
    let views = site.backend.neighbors();
    let view = find_neighbor(&word, &views).map_err(Refused)?;
    let history = site.hub.session_changes(view.address);
    let neighbor = NeighborDetail::new(view, site.backend.now());
    Ok(json_answer(StatusCode::OK, &One { neighbor, history }))
}
