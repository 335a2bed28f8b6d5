//! The watch: a snapshot, its end, changes, gaps, and a client that never sees a route go back in time.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use prost::Message as _;
use ribwatch::{
    types::PeerId,
    view::{Backend, served::Stream},
};
use ribwatch_proto::v1::{
    self, route_change::Kind, route_service_client::RouteServiceClient, snapshot_begin::Reason,
    watch_routes_response::Event,
};
use tonic::{Code, Streaming, transport::Channel};

use crate::{
    api::{drain, fake_with, filter, prefixes, serve},
    fake::{Fake, attributes},
};

/// A client that keeps its copy of the table by the three rules of `routes.proto`.
struct Watch {
    stream: Streaming<v1::WatchRoutesResponse>,
    adj_in: bool,
    /// Route by key, with whether it is marked old.
    copy: BTreeMap<(String, String, String, u32), (v1::Route, bool)>,
    resume_token: String,
}

impl Watch {
    async fn start(channel: &Channel, request: v1::WatchRoutesRequest) -> Self {
        let adj_in = request.filter.as_ref().is_some_and(|filter| filter.table() == v1::Table::AdjIn);
        let stream = RouteServiceClient::new(channel.clone()).watch_routes(request).await.unwrap().into_inner();
        Self { stream, adj_in, copy: BTreeMap::new(), resume_token: String::new() }
    }

    async fn next(&mut self) -> Event {
        let message = tokio::time::timeout(Duration::from_secs(20), self.stream.message()).await;
        let event = message.expect("the watch says something").unwrap().unwrap().event.unwrap();
        self.apply(&event);
        event
    }

    fn key(&self, route: &v1::Route) -> (String, String, String, u32) {
        let path = if self.adj_in { (route.neighbor.clone(), route.path_id) } else { Default::default() };
        (route.family.clone(), route.prefix.clone(), path.0, path.1)
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Begin(_) => self.copy.values_mut().for_each(|(_, old)| *old = true),
            Event::Snapshot(part) => part.routes.iter().for_each(|route| self.put(route)),
            Event::End(end) => {
                self.copy.retain(|_, (_, old)| !*old);
                self.resume_token = end.resume_token.clone();
            }
            Event::Changes(changes) => {
                for change in &changes.changes {
                    let route = change.route.as_ref().unwrap();
                    match change.kind() {
                        Kind::Withdrawn => drop(self.copy.remove(&self.key(route))),
                        _ => self.put(route),
                    }
                }
                self.resume_token = changes.resume_token.clone();
            }
            Event::Gap(_) | Event::Heartbeat(_) => {}
        }
    }

    /// Takes a route, and checks that it does not go back: the tests write a version into MED.
    fn put(&mut self, route: &v1::Route) {
        let version = |route: &v1::Route| v1::PathAttributes::decode(route.attributes.clone()).unwrap().med;
        let key = self.key(route);
        if let Some((held, _)) = self.copy.get(&key) {
            assert!(version(held) <= version(route), "{key:?} went back in time");
        }
        self.copy.insert(key, (route.clone(), false));
    }

    async fn until_end_of_snapshot(&mut self) {
        while !matches!(self.next().await, Event::End(_)) {}
    }

    /// Reads on until change `seq` was looked at.
    async fn until(&mut self, seq: u64) {
        loop {
            let at = match self.next().await {
                Event::End(end) => end.seq,
                Event::Changes(changes) => changes.seq,
                Event::Heartbeat(heartbeat) => heartbeat.seq,
                _ => 0,
            };
            if at >= seq {
                return;
            }
        }
    }

    fn paths(&self) -> Vec<(String, String)> {
        let text = |route: &v1::Route| v1::PathAttributes::decode(route.attributes.clone()).unwrap().as_path;
        self.copy.iter().map(|(key, (route, _))| (key.1.clone(), text(route))).collect()
    }
}

fn changes(event: Event) -> Vec<(Kind, String)> {
    let Event::Changes(changes) = event else { panic!("{event:?} is no change") };
    changes.changes.iter().map(|change| (change.kind(), change.route.as_ref().unwrap().prefix.clone())).collect()
}

#[tokio::test]
async fn a_watch_is_a_snapshot_its_end_and_then_changes() {
    let (fake, peer, channel) = fake_with(3).await;
    let mut watch = Watch::start(&channel, v1::WatchRoutesRequest::default()).await;
    assert!(matches!(watch.next().await, Event::Begin(begin) if begin.reason() == Reason::Start));
    assert!(matches!(watch.next().await, Event::Snapshot(part) if part.routes.len() == 3));
    assert!(matches!(watch.next().await, Event::End(end) if end.routes == 3 && end.seq == fake.seq()));

    fake.announce(peer, "203.0.113.0/24", &[64496]);
    assert_eq!(changes(watch.next().await), [(Kind::Announced, "203.0.113.0/24".into())]);
    fake.announce(peer, "203.0.113.0/24", &[64496, 64500]);
    assert_eq!(changes(watch.next().await), [(Kind::Replaced, "203.0.113.0/24".into())]);
    fake.withdraw(peer, "203.0.113.0/24");
    assert_eq!(changes(watch.next().await), [(Kind::Withdrawn, "203.0.113.0/24".into())]);
    assert_eq!(watch.copy.len(), 3);
}

#[tokio::test]
async fn a_route_that_no_longer_passes_the_filter_is_withdrawn_and_others_are_never_heard_of() {
    let (fake, peer, channel) = fake_with(0).await;
    fake.announce(peer, "10.0.0.0/8", &[64496, 64500]);
    fake.announce(peer, "10.1.0.0/16", &[64496, 64501]);
    let filter = Some(v1::RouteFilter { origin_as: Some(64500), ..filter() });
    let mut watch = Watch::start(&channel, v1::WatchRoutesRequest { filter, ..Default::default() }).await;
    watch.until_end_of_snapshot().await;
    assert_eq!(watch.paths(), [("10.0.0.0/8".into(), "64496 64500".into())]);

    fake.announce(peer, "10.1.0.0/16", &[64496, 64502]);
    fake.withdraw(peer, "10.1.0.0/16");
    fake.announce(peer, "10.0.0.0/8", &[64496, 64501]);
    assert_eq!(changes(watch.next().await), [(Kind::Withdrawn, "10.0.0.0/8".into())]);
    fake.announce(peer, "10.0.0.0/8", &[64496, 64500]);
    assert_eq!(changes(watch.next().await), [(Kind::Announced, "10.0.0.0/8".into())]);
}

#[tokio::test]
async fn the_best_route_that_moves_to_another_neighbour_leaves_the_watch_of_the_first() {
    let (fake, a, channel) = fake_with(0).await;
    let b = fake.neighbor("192.0.2.2", 64497);
    fake.announce(a, "10.0.0.0/8", &[64496, 64500]);
    let filter = Some(v1::RouteFilter { neighbor: "192.0.2.1".into(), ..filter() });
    let mut watch = Watch::start(&channel, v1::WatchRoutesRequest { filter, ..Default::default() }).await;
    watch.until_end_of_snapshot().await;
    fake.announce(b, "10.0.0.0/8", &[64500]);
    assert_eq!(changes(watch.next().await), [(Kind::Withdrawn, "10.0.0.0/8".into())]);
    fake.withdraw(b, "10.0.0.0/8");
    assert_eq!(changes(watch.next().await), [(Kind::Announced, "10.0.0.0/8".into())]);
}

/// Deterministic noise (xorshift), so that a failure repeats.
struct Noise(u64);

impl Noise {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Announces and withdraws at random among `span` prefixes; every version of a route has a higher MED than the one
/// before.
fn churn(fake: &Fake, peers: &[PeerId], noise: &mut Noise, span: &Range<u64>, steps: u64) {
    for _ in 0..steps {
        let n = span.start + noise.below(span.end - span.start);
        let prefix = format!("10.{}.{}.0/24", n / 256, n % 256);
        let peer = peers[noise.below(peers.len() as u64) as usize];
        if noise.below(4) == 0 {
            fake.withdraw(peer, &prefix);
        } else {
            let path: Vec<u32> = (0..=noise.below(4) as u32).map(|n| 64496 + n).collect();
            let version = u32::try_from(fake.seq()).unwrap();
            fake.file(peer, &prefix, 0, attributes(&prefix, &path).med(version).finish());
        }
    }
}

/// What a watch of `filter` must end with.
async fn listed(channel: &Channel, filter: &v1::RouteFilter) -> Vec<(String, String)> {
    let request = v1::StreamRoutesRequest { filter: Some(filter.clone()), ..Default::default() };
    let stream = RouteServiceClient::new(channel.clone()).stream_routes(request).await.unwrap().into_inner();
    let routes = drain(stream).await.into_iter().flat_map(|batch| batch.routes);
    let text = |route: &v1::Route| v1::PathAttributes::decode(route.attributes.clone()).unwrap().as_path;
    let mut listed: Vec<_> = routes.map(|route| (route.prefix.clone(), route.neighbor.clone(), text(&route))).collect();
    listed.sort();
    listed.into_iter().map(|(prefix, _, path)| (prefix, path)).collect()
}

#[tokio::test]
async fn a_table_in_motion_never_runs_backwards_and_ends_the_same_on_both_sides() {
    for (seed, table, origin_as) in [
        (1, v1::Table::AdjIn, None),
        (2, v1::Table::AdjIn, Some(64497)),
        (3, v1::Table::AdjIn, Some(64496)),
        (4, v1::Table::AdjIn, None),
    ] {
        let (fake, a, channel) = fake_with(0).await;
        let b = fake.neighbor("192.0.2.2", 64497);
        let mut noise = Noise(seed);
        churn(&fake, &[a, b], &mut noise, &(0..4000), 6000);
        let filter = v1::RouteFilter { table: table.into(), origin_as, ..filter() };
        let request = v1::WatchRoutesRequest { filter: Some(filter.clone()), ..Default::default() };
        let mut watch = Watch::start(&channel, request).await;
        // A change that every one of these filters lets through.
        let mark = |noise: &mut Noise| {
            let (seq, origin) = (fake.seq(), origin_as.unwrap_or(64499));
            let prefix = format!("203.0.{}.0/24", noise.below(256));
            let version = u32::try_from(seq).unwrap();
            fake.file(a, &prefix, 0, attributes(&prefix, &[64496, origin]).med(version).finish());
            seq + 1
        };
        // Messages and changes take turns, so that changes fall between the pages of the snapshot; changes are told
        // late, so that pages include some that are still to be heard of.
        let mut burst = |round: u64| {
            let first = round * 130;
            churn(&fake, &[a, b], &mut noise, &(first..first + 300), 200);
            mark(&mut noise)
        };
        for round in 0.. {
            fake.tell_and_hold();
            burst(round % 30);
            if matches!(watch.next().await, Event::End(_)) {
                break;
            }
        }
        for round in 0..10 {
            let last = burst(round * 3);
            fake.tell_and_hold();
            watch.until(last).await;
        }
        let mut held: Vec<_> = watch.copy.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect();
        held.sort_by_key(|(key, _)| (key.1.clone(), key.2.clone()));
        let text = |route: &v1::Route| v1::PathAttributes::decode(route.attributes.clone()).unwrap().as_path;
        let held: Vec<_> = held.into_iter().map(|(key, route)| (key.1, text(&route))).collect();
        assert_eq!(held, listed(&channel, &filter).await, "seed {seed}");
    }
}

#[tokio::test]
async fn a_watcher_that_lags_is_told_and_gets_a_new_snapshot() {
    let fake = Fake::new(4);
    let peer = fake.neighbor("192.0.2.1", 64496);
    prefixes(600).for_each(|prefix| fake.announce(peer, &prefix, &[64496]));
    let channel = serve(&fake).await;
    let mut watch = Watch::start(&channel, v1::WatchRoutesRequest::default()).await;
    watch.until_end_of_snapshot().await;

    // More changes at once than the queue takes; the watcher's task has no chance to run in between.
    prefixes(500).for_each(|prefix| fake.withdraw(peer, &prefix));
    while !matches!(watch.next().await, Event::Gap(_)) {}
    assert_eq!(Backend::served(&*fake).gaps()[0], (Stream::Routes, 1));
    assert!(matches!(watch.next().await, Event::Begin(begin) if begin.reason() == Reason::Gap));
    watch.until_end_of_snapshot().await;
    assert_eq!(watch.copy.len(), 100, "what went during the gap is gone");

    fake.announce(peer, "203.0.113.0/24", &[64496]);
    assert_eq!(changes(watch.next().await), [(Kind::Announced, "203.0.113.0/24".into())]);
}

#[tokio::test]
async fn a_broken_watch_goes_on_without_a_snapshot_when_nothing_changed() {
    let (fake, peer, channel) = fake_with(3).await;
    let mut watch = Watch::start(&channel, v1::WatchRoutesRequest::default()).await;
    watch.until_end_of_snapshot().await;
    fake.announce(peer, "203.0.113.0/24", &[64496]);
    watch.next().await;
    let resume = |token: &str| v1::WatchRoutesRequest { resume_token: token.into(), ..Default::default() };

    let mut same = Watch::start(&channel, resume(&watch.resume_token)).await;
    fake.announce(peer, "203.0.114.0/24", &[64496]);
    assert_eq!(changes(same.next().await), [(Kind::Announced, "203.0.114.0/24".into())]);

    let mut later = Watch::start(&channel, resume(&watch.resume_token)).await;
    assert!(matches!(later.next().await, Event::Begin(begin) if begin.reason() == Reason::Resume));
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused() {
    let (_, _, channel) = fake_with(1).await;
    let mut routes = RouteServiceClient::new(channel);
    for filter in [
        v1::RouteFilter { table: v1::Table::AdjOut.into(), neighbor: "192.0.2.1".into(), ..filter() },
        v1::RouteFilter { prefix: "10.0.0.1".into(), ..filter() },
    ] {
        let request = v1::WatchRoutesRequest { filter: Some(filter), ..Default::default() };
        assert_eq!(routes.watch_routes(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_forgotten() {
    let (fake, peer, channel) = fake_with(3).await;
    let mut watch = Watch::start(&channel, v1::WatchRoutesRequest::default()).await;
    watch.until_end_of_snapshot().await;
    assert_eq!(fake.listening(), 1);
    drop((watch, channel));
    let forgotten = async {
        while fake.listening() > 0 {
            tokio::task::yield_now().await;
            fake.announce(peer, "203.0.113.0/24", &[64496]);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), forgotten).await.expect("its subscription ends");
}

#[tokio::test]
async fn a_daemon_that_stops_does_not_wait_for_its_watchers() {
    let fake = Fake::new(16);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let backend: std::sync::Arc<dyn ribwatch::view::Backend> = fake.clone();
    let server = tokio::spawn(ribwatch::api::serve(
        crate::door::arrivals(listener),
        backend,
        Arc::new(ribwatch::alert::Nobody),
        crate::door::gate(),
        async {
            stopped.await.unwrap();
        },
    ));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut watch = Watch::start(&channel, v1::WatchRoutesRequest::default()).await;
    watch.until_end_of_snapshot().await;
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), server).await.expect("it ends").unwrap().unwrap();
}
