//! Counts what was asked over HTTP and how it was answered; an address that is not served counts as `other`.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};

use super::Site;
use crate::view::served::{Ended, Interface, OTHER};

/// Answers, and counts the answer.
pub(super) async fn count(
    State(site): State<Site>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let answer = next.run(request).await;
    let route = route.as_ref().map_or(OTHER, MatchedPath::as_str);
    let (interface, took) = (Interface::Http, begun.elapsed());
    site.backend.served().request(&Ended { interface, route, code: answer.status().as_str(), took });
    answer
}
