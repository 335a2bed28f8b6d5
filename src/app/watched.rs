//! How many neighbours announce each declared prefix, for the metrics: looked at when they were read, so that the next time
//! has it, and now and then without.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use super::backend::DaemonBackend;
use crate::{
    types::{Family, Prefix},
    view::{Answer, Backend, PrefixMatch, Query, RouteQuery, Table, WatchedPrefixes},
};

/// Time between two looks when nobody reads.
const INTERVAL: Duration = Duration::from_secs(10);
/// Time between two looks at least.
const GAP: Duration = Duration::from_millis(500);
/// Prefixes that are looked at; each is a question to the engine and a series of the metrics.
const PREFIXES_MAX: usize = 1000;
/// Paths of a prefix in one answer; a prefix is never cut in two.
const PATHS: usize = 1024;

/// Looks for as long as the daemon runs.
pub(super) async fn look(backend: Arc<DaemonBackend>) {
    loop {
        let declared: BTreeSet<Prefix> = backend.declared_rules().into_iter().collect();
        let left_out = declared.len().saturating_sub(PREFIXES_MAX) as u64;
        let mut neighbors = Vec::new();
        for prefix in declared.into_iter().take(PREFIXES_MAX) {
            if let Some(count) = count(&backend, prefix).await {
                neighbors.push((prefix, count));
            }
        }
        backend.set_watched(WatchedPrefixes { neighbors, left_out });
        tokio::time::sleep(GAP).await;
        // Either way it is time.
        let _ = tokio::time::timeout(INTERVAL, backend.watched_were_read()).await;
    }
}

/// Neighbours with a path of `prefix` in their Adj-RIB-In; `None`: the engine does not answer.
async fn count(backend: &DaemonBackend, prefix: Prefix) -> Option<u64> {
    let family = if prefix.is_v4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST };
    let query = RouteQuery {
        table: Table::AdjIn,
        family: Some(family),
        neighbor: None,
        prefix: Some(PrefixMatch::Exact(prefix)),
        origin: None,
        cursor: None,
        limit: PATHS,
        scan_limit: 1,
    };
    let Ok(Answer::Routes(page)) = backend.query(Query::Routes(query)).await else { return None };
    let peers: HashSet<_> = page.rows.iter().filter_map(|row| row.peer).collect();
    Some(peers.len() as u64)
}
