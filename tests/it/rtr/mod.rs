//! RTR caches that do as they are told: recorded streams, downgrade, increments, resets; what ends a session is in
//! `sessions`, everything else that a cache can do wrong in `faults`. What is in force must never be half an update.

mod aspas;
mod differences;
mod faults;
mod reload;
mod sessions;
mod tls;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use ribwatch::{
    io::{
        clock::Clock,
        rpki::{News, Place, Rpki, RpkiSettings, SourceSettings, Tls},
    },
    types::{Asn, Prefix},
    validation::{Aspa, OriginState, Snapshot},
    view::rpki::SourceState,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};

use crate::corpus;

/// Far more than anything here takes, so that only a hang ends a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a scripted cache does with the next query.
enum Step {
    /// Answers a query of this type (1 serial, 2 reset) with these octets.
    Answer(u8, Vec<u8>),
    /// Closes the connection after this part of an answer.
    Break(Vec<u8>),
}

/// The codes and texts of the Error Reports that a cache was sent.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<(u16, String)>>>);

impl Reports {
    fn add(&self, code: u16, body: &[u8]) {
        let held = body.first_chunk().map_or(0, |len| u32::from_be_bytes(*len)) as usize;
        let text = body.get(held + 8..).unwrap_or_default();
        self.0.lock().expect("nobody panicked").push((code, String::from_utf8_lossy(text).into_owned()));
    }

    fn all(&self) -> Vec<(u16, String)> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

/// A cache that speaks `version` and goes through its steps, one per query, over as many connections as it takes.
async fn cache(listener: TcpListener, version: u8, steps: Vec<Step>, reports: Reports) {
    let mut steps = steps.into_iter();
    while let Ok((stream, _)) = listener.accept().await {
        serve(stream, version, &mut steps, &reports).await;
    }
}

/// The same over one connection; returns when it is over. A connection stays open when there are no more steps, or its
/// end would be a fault.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    version: u8,
    steps: &mut impl Iterator<Item = Step>,
    reports: &Reports,
) {
    while let Some((asked, kind)) = query(&mut stream, reports).await {
        if asked > version {
            let _ = stream.write_all(&pdu(version, 10, 4, &[0, 0, 0, 0, 0, 0, 0, 0])).await;
            continue;
        }
        match steps.next() {
            Some(Step::Answer(expected, octets)) => {
                assert_eq!(kind, expected, "the type of the query");
                if stream.write_all(&octets).await.is_err() {
                    return;
                }
            }
            Some(Step::Break(octets)) => {
                let _ = stream.write_all(&octets).await;
                return;
            }
            None => std::future::pending().await,
        }
    }
}

/// The version and type of the next query; `None` at the end of the connection. Error Reports are only noted.
async fn query(stream: &mut (impl AsyncRead + Unpin), reports: &Reports) -> Option<(u8, u8)> {
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header).await.ok()?;
        let len = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let mut rest = vec![0; len - 8];
        stream.read_exact(&mut rest).await.ok()?;
        if header[1] != 10 {
            return Some((header[0], header[1]));
        }
        reports.add(u16::from_be_bytes([header[2], header[3]]), &rest);
    }
}

/// A PDU (RFC 8210 §5.1).
fn pdu(version: u8, kind: u8, session: u16, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![version, kind];
    octets.extend(session.to_be_bytes());
    octets.extend((8 + body.len() as u32).to_be_bytes());
    octets.extend(body);
    octets
}

/// An IPv4 prefix, announced or withdrawn.
fn vrp(announce: bool, prefix: &str, max_len: u8, asn: u32) -> Vec<u8> {
    let Ok(Prefix::V4 { addr, len }) = prefix.parse() else { panic!("{prefix} is no IPv4 prefix") };
    let mut body = vec![announce.into(), len, max_len, 0];
    body.extend(addr.to_be_bytes());
    body.extend(asn.to_be_bytes());
    pdu(1, 4, 0, &body)
}

fn begin(session: u16) -> Vec<u8> {
    pdu(1, 3, session, &[])
}

/// End of Data with a refresh of one second, so that the next query comes soon.
fn end(session: u16, serial: u32, expire: u32) -> Vec<u8> {
    let numbers = [serial, 1, 1, expire];
    pdu(1, 7, session, &numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>())
}

/// News of this session, which bring the next query at once.
fn notify(session: u16, serial: u32) -> Vec<u8> {
    pdu(1, 0, session, &serial.to_be_bytes())
}

fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

/// A cache at an address, with the intervals that it says.
fn source(name: &str, address: String, tls: Option<Tls>) -> SourceSettings {
    SourceSettings {
        name: name.to_owned(),
        place: Place::Rtr { address, password: None, tls },
        preference: 1,
        refresh: None,
        expire: None,
    }
}

/// Sources against scripted caches.
struct Station {
    rpki: Rpki,
    snapshots: mpsc::Receiver<Arc<Snapshot>>,
    reports: Reports,
}

impl Station {
    /// One source per cache, all of the same preference. Runs inside a runtime.
    async fn start(caches: Vec<(u8, Vec<Step>)>) -> Self {
        let (mut sources, reports) = (Vec::new(), Reports::default());
        for (version, steps) in caches {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address: SocketAddr = listener.local_addr().expect("an address");
            tokio::spawn(cache(listener, version, steps, reports.clone()));
            sources.push(source(&format!("cache-{}", sources.len()), address.to_string(), None));
        }
        Self { reports, ..Self::with(sources) }
    }

    fn with(sources: Vec<SourceSettings>) -> Self {
        let (told, snapshots) = mpsc::channel();
        let publish = Box::new(move |news: News| {
            if let News::InForce(update) = news {
                let _ = told.send(update.snapshot);
            }
        });
        let settings = RpkiSettings { sources, ..RpkiSettings::default() };
        Self { rpki: Rpki::start(&settings, Clock::start(), publish), snapshots, reports: Reports::default() }
    }

    /// Waits until what is in force, or what is said about the sources, is as wanted.
    async fn wait(&self, what: &str, wanted: impl Fn(&Rpki) -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !wanted(&self.rpki) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "never came: {what}; {:#?}", self.rpki.view());
    }

    fn state(&self, prefix: &str, asn: u32) -> OriginState {
        self.rpki.check(prefix.parse().expect("a prefix"), Asn(asn)).state
    }
}

fn in_runtime(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test);
}

#[test]
fn recorded_caches_of_every_version_end_with_the_counts_of_the_recording() {
    let Some(folder) = corpus::folder() else { return };
    for version in 0..=2u8 {
        let octets = corpus::unxz(&folder.join(format!("rpki/rtr/stayrtr-0.5.1.reset-v{version}.bin.xz")));
        in_runtime(async {
            let station = Station::start(vec![(version, vec![Step::Answer(2, octets)])]).await;
            station.wait("the recorded set", |rpki| rpki.view().sources[0].state == SourceState::Synced).await;
            // As index.json counts the prefix PDUs.
            assert_eq!(station.rpki.view().vrps, (13_827, 2057), "version {version}");
        });
    }
}

#[test]
fn increments_are_applied_and_a_new_session_replaces_everything() {
    let first = join(&[begin(7), vrp(true, "192.0.2.0/24", 24, 64500), end(7, 1, 600)]);
    let change = join(&[
        begin(7),
        vrp(true, "198.51.100.0/24", 24, 64501),
        vrp(false, "192.0.2.0/24", 24, 64500),
        end(7, 2, 600),
    ]);
    // RFC 8210 §5.9: the cache cannot give an increment; a Reset Query follows, and the session is a new one.
    let reset = pdu(1, 8, 0, &[]);
    let anew = join(&[begin(8), vrp(true, "203.0.113.0/24", 24, 64502), end(8, 1, 600)]);
    let steps = vec![Step::Answer(2, first), Step::Answer(1, change), Step::Answer(1, reset), Step::Answer(2, anew)];
    in_runtime(async {
        let station = Station::start(vec![(1, steps)]).await;
        station.wait("the new session", |rpki| rpki.view().sources[0].session_id == Some(8)).await;
        let told: Vec<usize> = station.snapshots.try_iter().map(|snapshot| snapshot.vrps.counts().0).collect();
        assert_eq!(told, [1, 1, 1], "three whole sets, no half ones");
        assert_eq!(station.state("203.0.113.0/24", 64502), OriginState::Valid);
        assert_eq!(station.state("198.51.100.0/24", 64501), OriginState::NotFound);
    });
}

#[test]
fn a_cache_that_breaks_off_is_asked_again_and_what_is_too_old_is_dropped() {
    let first = join(&[begin(7), vrp(true, "192.0.2.0/24", 24, 64500), end(7, 1, 600)]);
    let half = join(&[begin(7), vrp(true, "198.51.100.0/24", 24, 64501)]);
    let again = join(&[begin(7), vrp(true, "198.51.100.0/24", 24, 64501), end(7, 2, 2)]);
    in_runtime(async {
        // The session is resumed by its serial after the break (RFC 8210 §8.1), then nobody answers any more.
        let steps = vec![Step::Answer(2, first), Step::Break(half), Step::Answer(1, again), Step::Break(Vec::new())];
        let station = Station::start(vec![(1, steps)]).await;
        station.wait("the resumed session", |rpki| rpki.view().vrps.0 == 2).await;
        // RFC 8210 §6: data that were not confirmed within the expire interval (2 s here) must be discarded.
        station.wait("expiry", |rpki| rpki.view().sources[0].state == SourceState::Expired).await;
        assert_eq!(station.rpki.view().vrps, (0, 0));
        let last = station.snapshots.try_iter().last().expect("the loss was told");
        assert!(last.vrps.is_empty());
    });
}

#[test]
fn a_change_of_data_that_expired_is_never_taken_for_the_whole() {
    let (old, new) = (vrp(true, "192.0.2.0/24", 24, 64500), vrp(true, "198.51.100.0/24", 24, 64501));
    // Refresh 3 s, retry 1 s, expire 1 s: the data go while the connection stays (RFC 8210 §6).
    let numbers = [1u32, 3, 1, 1].map(u32::to_be_bytes).concat();
    let first = join(&[begin(7), old.clone(), pdu(1, 7, 7, &numbers)]);
    let whole = join(&[begin(7), old, new, end(7, 2, 600)]);
    in_runtime(async {
        // Everything is asked for anew (type 2), and not what changed since (type 1).
        let steps = vec![Step::Answer(2, first), Step::Answer(2, whole)];
        let station = Station::start(vec![(1, steps)]).await;
        station.wait("everything, asked for anew", |rpki| rpki.view().vrps.0 == 2).await;
        let counts: Vec<usize> = station.snapshots.try_iter().map(|snapshot| snapshot.vrps.counts().0).collect();
        assert_eq!(counts, [1, 0, 2], "never the change alone");
    });
}

#[test]
fn two_caches_that_disagree_are_a_union_and_each_vrp_names_its_sources() {
    let with = |prefix| join(&[begin(7), vrp(true, prefix, 24, 64500), end(7, 1, 600)]);
    in_runtime(async {
        let one = join(&[
            begin(7),
            vrp(true, "192.0.2.0/24", 24, 64500),
            vrp(true, "198.51.100.0/24", 24, 64501),
            end(7, 1, 600),
        ]);
        let caches = vec![(1, vec![Step::Answer(2, one)]), (1, vec![Step::Answer(2, with("192.0.2.0/24"))])];
        let station = Station::start(caches).await;
        let both = |rpki: &Rpki| rpki.view().sources.iter().all(|source| source.state == SourceState::Synced);
        station.wait("both caches", both).await;
        let sources = |prefix: &str, asn| {
            let check = station.rpki.check(prefix.parse().expect("a prefix"), Asn(asn));
            check.covering.first().map(|vrp| vrp.sources.join(" "))
        };
        assert_eq!(sources("192.0.2.0/24", 64500).as_deref(), Some("cache-0 cache-1"));
        assert_eq!(sources("198.51.100.0/24", 64501).as_deref(), Some("cache-0"));
    });
}

#[test]
fn the_version_that_the_cache_speaks_is_shown() {
    in_runtime(async {
        let first = join(&[begin(7), vrp(true, "192.0.2.0/24", 24, 64500), end(7, 1, 600)]);
        let station = Station::start(vec![(1, vec![Step::Answer(2, first)])]).await;
        station.wait("the version after the downgrade", |rpki| rpki.view().sources[0].version == Some(1)).await;
    });
}

#[test]
fn the_refresh_of_the_configuration_holds_where_the_caches_own_is_longer() {
    in_runtime(async {
        // RFC 8210 §6: a refresh of an hour, so that only our own brings the second query.
        let numbers = [1u32, 3600, 600, 7200].into_iter().flat_map(u32::to_be_bytes).collect::<Vec<_>>();
        let first = join(&[begin(7), vrp(true, "192.0.2.0/24", 24, 64500), pdu(1, 7, 7, &numbers)]);
        let second = join(&[begin(7), vrp(true, "198.51.100.0/24", 24, 64501), end(7, 2, 600)]);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let steps = vec![Step::Answer(2, first), Step::Answer(1, second)];
        tokio::spawn(cache(listener, 1, steps, Reports::default()));
        let refresh = Some(Duration::from_millis(10));
        let station = Station::with(vec![SourceSettings { refresh, ..source("cache", address, None) }]);
        station.wait("the second answer", |rpki| rpki.view().vrps.0 == 2).await;
    });
}

#[test]
fn data_that_expire_under_a_living_connection_are_asked_for_as_a_whole() {
    in_runtime(async {
        // A cache that promises one second and means to speak in an hour (against RFC 8210 §6).
        let numbers = [1u32, 3600, 600, 1].into_iter().flat_map(u32::to_be_bytes).collect::<Vec<_>>();
        let first = join(&[begin(7), vrp(true, "192.0.2.0/24", 24, 64500), pdu(1, 7, 7, &numbers)]);
        let second = join(&[begin(7), vrp(true, "198.51.100.0/24", 24, 64501), end(7, 2, 600)]);
        // A serial query would bring changes to data that are gone.
        let station = Station::start(vec![(1, vec![Step::Answer(2, first), Step::Answer(2, second)])]).await;
        station.wait("the second set", |rpki| rpki.view().sources[0].serial == Some(2)).await;
        let told: Vec<usize> = station.snapshots.try_iter().map(|snapshot| snapshot.vrps.counts().0).collect();
        assert_eq!(told, [1, 0, 1], "there, expired, and there as a whole");
    });
}
