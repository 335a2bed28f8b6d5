//! What readers were served, counted: requests by what was asked and how it ended, and watches that missed changes. The
//! number of counters is bounded, whatever strangers ask for.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

/// Counters of requests that may exist; what would be one more counts under `OTHER`.
const COUNTERS_MAX: usize = 512;
/// The name of what is not told apart.
pub const OTHER: &str = "other";

/// How something was asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Interface {
    /// gRPC.
    Grpc,
    /// HTTP.
    Http,
}

impl Interface {
    /// As in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

/// What is watched.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stream {
    /// Changes of routes, over gRPC.
    Routes,
    /// Changes of alerts, over gRPC.
    Alerts,
    /// What an open page is told, over HTTP.
    Events,
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Routes, Self::Alerts, Self::Events];

    /// As in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Alerts => "alerts",
            Self::Events => "events",
        }
    }
}

/// How often something was asked and ended in one way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestCount {
    /// How it was asked.
    pub interface: Interface,
    /// `RouteService/ListRoutes`, or `/api/v1/neighbors/{address}`.
    pub route: String,
    /// Name of the gRPC status, or number of the HTTP status.
    pub code: String,
    /// How often.
    pub count: u64,
}

/// A request that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended<'a> {
    /// How it was asked.
    pub interface: Interface,
    /// What was asked as we name it, never as it came: `OTHER` where we have no such name.
    pub route: &'a str,
    /// Name of the gRPC status, or number of the HTTP status.
    pub code: &'a str,
    /// From its first octet to its status; of a stream, to its end.
    pub took: Duration,
}

/// Who is told of each request.
type Observer = Box<dyn Fn(&Ended<'_>) + Send + Sync>;

#[derive(Default)]
struct Counters {
    requests: BTreeMap<(Interface, String, String), u64>,
    gaps: BTreeMap<Stream, u64>,
}

/// The counters; kept by a backend, counted by those who serve.
#[derive(Default)]
pub struct Served {
    counters: Mutex<Counters>,
    observer: OnceLock<Observer>,
}

impl Served {
    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells `observer` of each request from now on; the first one holds. It must not wait.
    pub fn observe(&self, observer: impl Fn(&Ended<'_>) + Send + Sync + 'static) {
        let _ = self.observer.set(Box::new(observer));
    }

    /// Counts a request that has ended.
    pub fn request(&self, ended: &Ended<'_>) {
        if let Some(observer) = self.observer.get() {
            observer(ended);
        }
        let Ended { interface, route, code, .. } = *ended;
        let mut counters = self.counters();
        let full = counters.requests.len() >= COUNTERS_MAX;
        let key = (interface, route.to_owned(), code.to_owned());
        if let Some(count) = counters.requests.get_mut(&key) {
            *count += 1;
            return;
        }
        let key = if full { (interface, OTHER.to_owned(), OTHER.to_owned()) } else { key };
        *counters.requests.entry(key).or_default() += 1;
    }

    /// Counts that a watcher was told of missing changes.
    pub fn gap(&self, stream: Stream) {
        *self.counters().gaps.entry(stream).or_default() += 1;
    }

    /// All counters of requests that were counted.
    pub fn requests(&self) -> Vec<RequestCount> {
        let counters = self.counters();
        let read = counters.requests.iter().map(|((interface, route, code), count)| RequestCount {
            interface: *interface,
            route: route.clone(),
            code: code.clone(),
            count: *count,
        });
        read.collect()
    }

    /// Gaps of each stream.
    pub fn gaps(&self) -> [(Stream, u64); 3] {
        let counters = self.counters();
        Stream::ALL.map(|stream| (stream, counters.gaps.get(&stream).copied().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_make_counters_without_end() {
        let served = Served::default();
        let ask = |route: &str| {
            served.request(&Ended { interface: Interface::Http, route, code: "404", took: Duration::ZERO });
        };
        for number in 0..2 * COUNTERS_MAX {
            ask(&format!("/{number}"));
        }
        ask("/0");
        let requests = served.requests();
        assert!(requests.len() <= COUNTERS_MAX + 2, "{}", requests.len());
        let count = |route: &str| requests.iter().find(|read| read.route == route).map(|read| read.count);
        assert_eq!((count("/0"), count(OTHER)), (Some(2), Some(COUNTERS_MAX as u64)));
    }

    #[test]
    fn gaps_are_counted_per_stream() {
        let served = Served::default();
        served.gap(Stream::Alerts);
        served.gap(Stream::Alerts);
        assert_eq!(served.gaps(), [(Stream::Routes, 0), (Stream::Alerts, 2), (Stream::Events, 0)]);
    }
}
