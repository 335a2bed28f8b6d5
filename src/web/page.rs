//! The files of the page, embedded, and the headers under which a browser may use them: nothing from elsewhere, no inline
//! script or style, no frame around it. The files lie in `page/` beside this one.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get},
};

use super::Site;

/// The type of HTML.
pub(super) const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// What people see at an address that nobody serves.
pub(super) const NOWHERE: &str = include_str!("page/nowhere.html");

/// Everything comes from here; what is not named may not be loaded at all.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

/// A file of the page.
pub(super) struct File {
    /// Where it is served.
    pub(super) path: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($path:literal $kind:ident $file:literal,)*) => {
        /// All of them.
        pub(super) const FILES: &[File] =
            &[$(File { path: $path, kind: $kind, text: include_str!(concat!("page/", $file)) },)*];
    };
}

files! {
    "/" HTML "index.html",
    "/page/style.css" CSS "style.css",
    "/page/icon.svg" SVG "icon.svg",
    "/page/theme.js" SCRIPT "theme.js",
    "/page/app.js" SCRIPT "app.js",
    "/page/dom.js" SCRIPT "dom.js",
    "/page/api.js" SCRIPT "api.js",
    "/page/words.js" SCRIPT "words.js",
    "/page/graph.js" SCRIPT "graph.js",
    "/page/keys.js" SCRIPT "keys.js",
    "/page/login.js" SCRIPT "login.js",
    "/page/overview.js" SCRIPT "overview.js",
    "/page/alerts.js" SCRIPT "alerts.js",
    "/page/alert.js" SCRIPT "alert.js",
    "/page/routes.js" SCRIPT "routes.js",
    "/page/explain.js" SCRIPT "explain.js",
    "/page/timeline.js" SCRIPT "timeline.js",
    "/page/neighbors.js" SCRIPT "neighbors.js",
    "/page/rpki.js" SCRIPT "rpki.js",
}

/// Answers with a file, or says that the one that the browser has is still right.
pub(super) fn serve(file: &'static File) -> MethodRouter<Site> {
    let tag = tag(file.text);
    get(move |headers: HeaderMap| {
        let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| matches(value, &tag));
        let answer = match known {
            true => (StatusCode::NOT_MODIFIED, [(header::ETAG, tag.clone())]).into_response(),
            false => {
                ([(header::ETAG, tag.clone()), (header::CONTENT_TYPE, file.kind.to_owned())], file.text).into_response()
            }
        };
        std::future::ready(answer)
    })
}

/// Differs where the text differs; the same in every run of one program.
fn tag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Whether `If-None-Match` names the tag (RFC 9110 §13.1.2), weakly or not.
fn matches(value: &HeaderValue, tag: &str) -> bool {
    let Ok(value) = value.to_str() else { return false };
    value.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// Headers of every answer. A browser asks again each time, so that a new version of the daemon is a new page at once.
pub(super) async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let cached = if headers.contains_key(header::ETAG) { "no-cache" } else { "no-store" };
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static(cached));
    response
}
