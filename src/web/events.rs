//! `/api/v1/events`: what happens, told to browsers as server-sent events (HTML Living Standard §9.2).
//!
//! ```text
//! status    every two seconds: the overview; the sign of life, too
//! session   a session came up or went down
//! alert     an alert changed: {"seq":…,"why":"opened","alert":{…}}
//! lagged    the browser read too slowly and missed some: it asks anew for what it shows
//! ```
//! One task looks and prints for all browsers; each of them has a bounded place to lag behind, so that a slow one costs
//! nobody anything.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::State,
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use serde::Serialize;
use serde_json::json;
use tokio::{
    sync::{
        Semaphore,
        broadcast::{self, error::RecvError},
        mpsc, watch,
    },
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Refused, Site, overview,
    pulse::{Look, Pulse, Rates, SessionChange},
};
use crate::{
    alert::{Delivery, json},
    view::{
        Refusal,
        served::{Served, Stream},
    },
};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// Events that a browser may be behind.
const LAG_MAX: usize = 512;
/// Browsers that may listen at one time.
const LISTENERS_MAX: usize = 256;
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// Something to tell: its name and its object, printed once for all.
#[derive(Clone, Debug)]
struct Told {
    name: &'static str,
    text: Arc<str>,
}

impl Told {
    fn new(name: &'static str, value: &impl Serialize) -> Self {
        // Maps of strings and numbers always serialise.
        Self { name, text: serde_json::to_string(value).unwrap_or_default().into() }
    }

    fn event(&self) -> Event {
        Event::default().event(self.name).data(&*self.text)
    }
}

/// Where what happens is told.
pub(super) struct Hub {
    told: broadcast::Sender<Told>,
    pulse: Mutex<Pulse>,
    places: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
}

impl Hub {
    /// A hub that ends with `stopped`.
    pub(super) fn new(stopped: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self {
            told: broadcast::Sender::new(LAG_MAX),
            pulse: Mutex::new(Pulse::new(INTERVAL.as_secs())),
            places: Arc::new(Semaphore::new(LISTENERS_MAX)),
            stopped,
        })
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much changed lately.
    pub(super) fn rates(&self) -> Rates {
        self.pulse().rates()
    }

    /// What the session of a neighbour did lately, the latest first.
    pub(super) fn session_changes(&self, address: IpAddr) -> Vec<SessionChange> {
        self.pulse().changes_of(address)
    }

    fn tell(&self, name: &'static str, value: &impl Serialize) {
        if self.told.receiver_count() > 0 {
            // Who left meanwhile misses nothing.
            let _ = self.told.send(Told::new(name, value));
        }
    }
}

/// Starts to look and to hear; the tasks end when they are aborted.
pub(super) fn start(site: &Site) -> [JoinHandle<()>; 2] {
    [tokio::spawn(look(site.clone())), tokio::spawn(hear(site.clone()))]
}

/// Looks at counters and sessions again and again.
async fn look(site: Site) {
    let (mut beat, mut was_ready) = (tokio::time::interval(INTERVAL), false);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let ready = site.backend.is_ready();
        if was_ready && !ready {
            // We are stopping: that our own sessions end now is no news.
            return;
        }
        was_ready = ready;
        let neighbors = site.backend.neighbors();
        let look = Look { now: site.backend.now(), seq: site.backend.summary().seq, neighbors: &neighbors };
        let changes = site.hub.pulse().look(look);
        changes.iter().for_each(|change| site.hub.tell("session", change));
        if site.hub.told.receiver_count() > 0 {
            site.hub.tell("status", &overview::read(&site, &neighbors));
        }
    }
}

/// Hears of alerts.
async fn hear(site: Site) {
    let mut source = site.alerts.watch(None);
    while let Some(delivery) = source.next().await {
        match delivery {
            Delivery::Change(change) => {
                let alert = json::alert(&change.alert);
                site.hub.tell("alert", &json!({ "seq": change.seq, "why": change.why.name(), "alert": alert }));
            }
            Delivery::Gap { missed, next } => {
                site.hub.tell("lagged", &json!({ "missed": next.saturating_sub(missed) }));
            }
        }
    }
}

/// Tells a browser from now on.
pub(super) async fn listen(State(site): State<Site>) -> Result<Response, Refused> {
    let Ok(place) = Arc::clone(&site.hub.places).try_acquire_owned() else {
        let full = format!("{LISTENERS_MAX} browsers listen already: close some, or ask /api/v1/overview now and then");
        return Err(Refused(Refusal::NotNow(full)));
    };
    let told = site.hub.told.subscribe();
    let now = Told::new("status", &overview::read(&site, &site.backend.neighbors()));
    // One: who does not read lags in the hub, not here.
    let (browser, events) = mpsc::channel(1);
    let (stopped, backend) = (site.hub.stopped.clone(), Arc::clone(&site.backend));
    tokio::spawn(async move {
        feed(now, told, stopped, browser, backend.served()).await;
        drop(place);
    });
    let stream = Sse::new(ReceiverStream::new(events)).keep_alive(KeepAlive::new());
    Ok(stream.into_response())
}

/// Hands on what is told, as fast as the browser reads, until it leaves or the daemon stops.
async fn feed(
    now: Told,
    mut told: broadcast::Receiver<Told>,
    mut stopped: watch::Receiver<bool>,
    browser: mpsc::Sender<Result<Event, Infallible>>,
    served: &Served,
) {
    let tell = async {
        let mut next = now.event().retry(RETRY);
        while browser.send(Ok(next)).await.is_ok() {
            next = match told.recv().await {
                Ok(told) => told.event(),
                Err(RecvError::Lagged(missed)) => {
                    served.gap(Stream::Events);
                    Told::new("lagged", &json!({ "missed": missed })).event()
                }
                Err(RecvError::Closed) => return,
            };
        }
    };
    tokio::select! {
        () = tell => {}
        () = browser.closed() => {}
        // An error means that the server is gone: the same.
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn heard(events: mpsc::Receiver<Result<Event, Infallible>>) -> String {
        let body = Sse::new(ReceiverStream::new(events)).into_response().into_body();
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_browser_that_reads_too_slowly_is_told_what_it_missed_and_hears_the_rest() {
        let hub = broadcast::Sender::new(2);
        let told = hub.subscribe();
        for number in 1..=5 {
            hub.send(Told::new("session", &json!({ "number": number }))).unwrap();
        }
        drop(hub);
        let (_stop, stopped) = watch::channel(false);
        let (browser, events) = mpsc::channel(1);
        let served = Served::default();
        let (text, ()) =
            tokio::join!(heard(events), feed(Told::new("status", &json!({})), told, stopped, browser, &served));
        assert_eq!(served.gaps()[2].1, 1);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("data")).collect();
        assert_eq!(lines, ["data: {}", "data: {\"missed\":3}", "data: {\"number\":4}", "data: {\"number\":5}"]);
        assert!(text.contains("event: lagged"), "{text}");
    }

    #[tokio::test]
    async fn who_listens_is_let_go_when_the_daemon_stops() {
        let hub = broadcast::Sender::new(2);
        let (stop, stopped) = watch::channel(false);
        let (browser, events) = mpsc::channel(1);
        let served = Served::default();
        stop.send(true).unwrap();
        let feeding = feed(Told::new("status", &json!({})), hub.subscribe(), stopped, browser, &served);
        tokio::join!(heard(events), feeding);
    }
}
