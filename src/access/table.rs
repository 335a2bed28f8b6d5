//! The one table of what each RPC and each address of HTTP needs. What is not in it needs the highest role; a test holds it
//! beside the services and addresses that are served.

use super::{Need, Role};

const OPEN: Need = Need::Nothing;
const VIEW: Need = Need::Role(Role::View);
const OPERATE: Need = Need::Role(Role::Operate);
const ADMIN: Need = Need::Role(Role::Admin);

/// Every RPC by its path.
pub const RPCS: &[(&str, Need)] = &[
    // Sessions.
    ("/ribwatch.v1.NeighborService/ListNeighbors", VIEW),
    ("/ribwatch.v1.NeighborService/GetNeighbor", VIEW),
    ("/ribwatch.v1.NeighborService/ResetNeighbor", OPERATE),
    ("/ribwatch.v1.NeighborService/EnableNeighbor", OPERATE),
    ("/ribwatch.v1.NeighborService/DisableNeighbor", OPERATE),
    ("/ribwatch.v1.NeighborService/AddNeighbor", ADMIN),
    ("/ribwatch.v1.NeighborService/RemoveNeighbor", ADMIN),
    // Routes.
    ("/ribwatch.v1.RouteService/ListRoutes", VIEW),
    ("/ribwatch.v1.RouteService/StreamRoutes", VIEW),
    ("/ribwatch.v1.RouteService/LookupRoutes", VIEW),
    ("/ribwatch.v1.RouteService/GetSummary", VIEW),
    ("/ribwatch.v1.RouteService/WatchRoutes", VIEW),
    ("/ribwatch.v1.RouteService/ExplainRoute", VIEW),
    // Routes of our own: `[router] owned` says within what.
    ("/ribwatch.v1.LocalRouteService/Originate", OPERATE),
    ("/ribwatch.v1.LocalRouteService/Withdraw", OPERATE),
    ("/ribwatch.v1.LocalRouteService/ListLocalRoutes", VIEW),
    // The daemon.
    ("/ribwatch.v1.DaemonService/GetInfo", VIEW),
    ("/ribwatch.v1.DaemonService/Reload", ADMIN),
    // RPKI.
    ("/ribwatch.v1.RpkiService/ListSources", VIEW),
    ("/ribwatch.v1.RpkiService/CheckOrigin", VIEW),
    ("/ribwatch.v1.RpkiService/WhatIf", VIEW),
    ("/ribwatch.v1.RpkiService/DiffSources", VIEW),
    ("/ribwatch.v1.RpkiService/Coverage", VIEW),
    // Alerts.
    ("/ribwatch.v1.AlertService/ListAlerts", VIEW),
    ("/ribwatch.v1.AlertService/GetAlert", VIEW),
    ("/ribwatch.v1.AlertService/WatchAlerts", VIEW),
    ("/ribwatch.v1.AlertService/AcknowledgeAlert", OPERATE),
    ("/ribwatch.v1.AlertService/UnacknowledgeAlert", OPERATE),
    ("/ribwatch.v1.AlertService/CommentAlert", OPERATE),
    ("/ribwatch.v1.AlertService/MuteAlerts", OPERATE),
    ("/ribwatch.v1.AlertService/UnmuteAlerts", OPERATE),
    ("/ribwatch.v1.AlertService/ListMutes", VIEW),
    // Those of gRPC itself.
    ("/grpc.health.v1.Health/Check", OPEN),
    ("/grpc.health.v1.Health/Watch", OPEN),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", VIEW),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", VIEW),
];

/// Every method and address of HTTP, as routes are written; what ends with `/` stands for all below it.
pub const ROUTES: &[(&str, &str, Need)] = &[
    // The page has no data by itself, and must be there to ask for a token.
    ("GET", "/", OPEN),
    ("GET", "/page/", OPEN),
    ("GET", "/healthz", OPEN),
    ("GET", "/readyz", OPEN),
    // `[http] metrics = "open"` makes it OPEN.
    ("GET", METRICS, VIEW),
    ("GET", "/api", OPEN),
    ("GET", "/api/v1", OPEN),
    ("GET", "/api/v1/session", OPEN),
    // What is shown is judged there.
    ("POST", "/api/v1/session", OPEN),
    ("DELETE", "/api/v1/session", OPEN),
    ("GET", "/api/v1/overview", VIEW),
    ("GET", "/api/v1/events", VIEW),
    ("GET", "/api/v1/neighbors", VIEW),
    ("GET", "/api/v1/neighbors/{address}", VIEW),
    ("GET", "/api/v1/rib", VIEW),
    ("GET", "/api/v1/explain", VIEW),
    ("GET", "/api/v1/history", VIEW),
    ("GET", "/api/v1/rpki", VIEW),
    ("GET", "/api/v1/rpki/check", VIEW),
    ("GET", "/api/v1/rpki/what-if", VIEW),
    ("GET", "/api/v1/summary", VIEW),
    ("GET", "/api/v1/alerts", VIEW),
    ("GET", "/api/v1/alerts/{id}", VIEW),
    ("POST", "/api/v1/alerts/{id}/acknowledge", OPERATE),
    ("POST", "/api/v1/alerts/{id}/unacknowledge", OPERATE),
    ("POST", "/api/v1/alerts/{id}/comments", OPERATE),
    ("GET", "/api/v1/mutes", VIEW),
    ("POST", "/api/v1/mutes", OPERATE),
    ("DELETE", "/api/v1/mutes/{id}", OPERATE),
    ("GET", "/birdwatcher/", VIEW),
];

/// Where metrics are.
pub const METRICS: &str = "/metrics";
/// Folders that stand for all that is in them.
pub const FOLDERS: [&str; 2] = ["/page/", "/birdwatcher/"];

/// What an RPC needs.
pub fn rpc(path: &str) -> Need {
    RPCS.iter().find(|(known, _)| *known == path).map_or(ADMIN, |(_, need)| *need)
}

/// What an address of HTTP needs, as routes are written; `None`: the address is nobody's.
pub fn route(method: &str, path: Option<&str>) -> Need {
    // Nothing is there, and nothing is told.
    let Some(path) = path else { return OPEN };
    let method = if method == "HEAD" { "GET" } else { method };
    let path = FOLDERS.into_iter().find(|folder| path.starts_with(folder)).unwrap_or(path);
    let found = ROUTES.iter().find(|(known, at, _)| *known == method && *at == path);
    found.map_or(ADMIN, |(_, _, need)| *need)
}
