//! What readers were served, the configuration in force, and what is seen of declared prefixes.

use std::fmt::Display;

use super::{Kind, Text};
use crate::view::{
    Backend, WatchedPrefixes,
    reload::LastReload,
    served::{Interface, Served},
};

/// Requests and gaps.
pub(super) fn served(served: &Served, out: &mut Text) {
    let name = "ribwatch_api_requests_total";
    out.head(name, Kind::Counter, "Requests that were answered, by what was asked and how it ended.");
    for read in served.requests() {
        let labels: [(&str, &dyn Display); 3] =
            [("api", &read.interface.name()), ("route", &read.route), ("code", &read.code)];
        out.row(name, &labels, read.count);
    }
    // Without a request the name is there, so that rules about it can be written.
    if served.requests().is_empty() {
        let api = Interface::Grpc.name();
        out.row(name, &[("api", &api), ("route", &"other"), ("code", &"OK")], 0);
    }
    let name = "ribwatch_watch_gaps_total";
    out.head(name, Kind::Counter, "Times a watcher was told that changes are missing, since it read too slowly.");
    for (stream, count) in served.gaps() {
        out.row(name, &[("stream", &stream.name())], count);
    }
}

/// The last try to go over to another configuration.
pub(super) fn configuration(backend: &dyn Backend, out: &mut Text) {
    let LastReload { succeeded, in_force_since } = backend.last_reload();
    let help = "1 while the last configuration that was read is in force, 0 after a reload that failed or was refused.";
    out.single("ribwatch_config_last_reload_success", Kind::Gauge, help, succeeded.into());
    let name = "ribwatch_config_last_reload_timestamp_seconds";
    let help = "When the configuration in force was loaded, seconds since the Unix epoch.";
    out.single(name, Kind::Gauge, help, in_force_since.secs().into());
}

/// Declared prefixes and who announces them.
pub(super) fn watched(watched: &WatchedPrefixes, out: &mut Text) {
    if watched.neighbors.is_empty() {
        return;
    }
    let name = "ribwatch_watched_prefix_neighbors";
    out.head(name, Kind::Gauge, "Neighbors that announce a prefix of [[watch.prefix]], accepted by import or not.");
    for (prefix, count) in &watched.neighbors {
        out.row(name, &[("prefix", prefix)], *count);
    }
    let help = "Prefixes of [[watch.prefix]] beyond the first 1,000, for which there is no series.";
    out.single("ribwatch_watched_prefixes_left_out", Kind::Gauge, help, watched.left_out);
}
