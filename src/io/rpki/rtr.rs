//! One RTR cache (RFC 8210, RFC 6810, draft-ietf-sidrops-8210bis): the protocol is the `rpki` crate's, what is here is
//! the life around it: connecting, waiting, resuming with a serial, the three intervals, and all or nothing.
//!
//! ```text
//! connect -> Reset Query, or Serial Query when the session is known -> Cache Response ... End of Data
//!   apply: the whole new set, or (an announcement twice, a withdrawal of nothing) an Error Report and no change
//!   then wait for Notify or the refresh interval
//! failure: what was there stays; again after the retry interval; dropped after the expire interval
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rpki::rtr::{
    client::{Client, PayloadError, PayloadTarget, PayloadUpdate},
    payload::{Action, Payload, Timing},
    state::State,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::{
    Reporter, Tls,
    line::{Line, Seen},
};
use crate::{
    io::sockopt,
    types::{Asn, Prefix},
    validation::{Aspa, Snapshot, SourceSet, Vrp, aspa::AspaTable, rov::VrpTable},
};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// A cache that stops in the middle of its data for so long has failed.
const STALL: Duration = Duration::from_secs(30);
/// First wait after a failure; doubles up to the cache's retry interval. RFC 8210 §6 gives 600 s as that interval's
/// default, far too long for a cache that was restarted.
const FIRST_RETRY: Duration = Duration::from_secs(2);

/// What the client's target and this task both look at.
struct Shared {
    /// What the cache holds; `None` before its first End of Data.
    held: Mutex<Option<Arc<Snapshot>>>,
    /// Why the last update was refused, in words: the library's error has none.
    fault: Mutex<Option<String>>,
    /// Payloads seen in the update under way plus one; 0: none is under way.
    progress: AtomicU64,
    /// The intervals of the last End of Data.
    timing: Mutex<Timing>,
}

/// Where the cache is, and what it takes to be let in.
pub(super) struct Place {
    /// Host and port.
    pub(super) address: String,
    /// TCP-MD5 key.
    pub(super) password: Option<Vec<u8>>,
    pub(super) tls: Option<Tls>,
}

/// The end of the client that gets the data.
struct Target {
    reporter: Reporter,
    shared: Arc<Shared>,
}

/// One update, collected before any of it is believed.
struct Update {
    reset: bool,
    vrps: Vec<(bool, Vrp)>,
    aspas: Vec<(bool, Aspa)>,
    shared: Arc<Shared>,
}

/// Keeps one cache in force for as long as the runtime lives.
pub(super) async fn run(reporter: Reporter, place: Place) {
    let shared = Arc::new(Shared {
        held: Mutex::new(None),
        fault: Mutex::new(None),
        progress: AtomicU64::new(0),
        timing: Mutex::new(Timing::default()),
    });
    let mut session: Option<State> = None;
    let mut wait = FIRST_RETRY;
    loop {
        let before = reporter.expires_at();
        let ended = match connect(&place).await {
            Ok(line) => talk(&reporter, &shared, &place, line, &mut session).await,
            Err(why) => why,
        };
        if reporter.expires_at() != before {
            wait = FIRST_RETRY; // it had answered meanwhile
        }
        reporter.failed(ended);
        let retry = Duration::from_secs(lock(&shared.timing).retry.max(1).into());
        pause(&reporter, &shared, &mut session, wait.min(retry)).await;
        wait *= 2;
    }
}

/// Waits for `time`, and drops what expires meanwhile; a session whose data are gone must begin anew.
async fn pause(reporter: &Reporter, shared: &Shared, session: &mut Option<State>, time: Duration) {
    let until = tokio::time::Instant::now() + time;
    let clock = reporter.clock();
    loop {
        let expiry = reporter.expires_at().map(|at| clock.instant(at));
        tokio::time::sleep_until(expiry.map_or(until, |at| at.min(until))).await;
        if reporter.expire() {
            *session = None;
            *lock(&shared.held) = None;
        }
        if tokio::time::Instant::now() >= until {
            return;
        }
    }
}

/// Speaks with a cache until something goes wrong; what it was, in words.
async fn talk(
    reporter: &Reporter,
    shared: &Arc<Shared>,
    place: &Place,
    line: Line,
    session: &mut Option<State>,
) -> String {
    let target = Target { reporter: reporter.clone(), shared: Arc::clone(shared) };
    let seen = line.seen();
    let mut client = Client::new(line, target, *session);
    loop {
        shared.progress.store(0, Ordering::Relaxed);
        *lock(&shared.fault) = None;
        let step = tokio::select! {
            step = client.step() => step,
            why = stalled(reporter, shared) => {
                // What it sends next would be changes to data that are not there any more.
                *session = client.state().filter(|_| lock(&shared.held).is_some());
                return why.to_owned();
            }
            // The library begins its next step with the query when it is not let wait.
            () = idle(&seen, reporter.ask_every()) => continue,
        };
        match step {
            Ok(()) => {
                *session = client.state();
                let (id, serial) = session.map_or((0, 0), |state| (state.session(), u32::from(state.serial())));
                reporter.note_session(id, serial, seen.version());
            }
            Err(error) => {
                // A session whose update was refused must begin anew, or the same update would come again.
                let fault = lock(&shared.fault).take();
                *session = if fault.is_some() { None } else { client.state().filter(|_| lock(&shared.held).is_some()) };
                let refused = || place.tls.as_ref()?.refused(&error, &place.address);
                return fault.or_else(refused).unwrap_or_else(|| explain(&error));
            }
        }
    }
}

fn explain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        std::io::ErrorKind::TimedOut => "it did not answer in time".to_owned(),
        _ if error.to_string().is_empty() => "it sent something malformed".to_owned(),
        _ => error.to_string(),
    }
}

/// Ends after `refresh` without a single octet on the connection: the cache has nothing to say and is to be asked. Never
/// ends where the cache's own interval counts, or once there was anything: half a PDU must not be lost.
async fn idle(seen: &Seen, refresh: Option<Duration>) {
    let before = seen.octets();
    if let Some(refresh) = refresh {
        tokio::time::sleep(refresh).await;
    }
    if refresh.is_none() || before == 0 || seen.octets() != before {
        std::future::pending::<()>().await;
    }
}

/// Ends when an update makes no progress for a while, or when the data expire; which, in words.
async fn stalled(reporter: &Reporter, shared: &Shared) -> &'static str {
    let mut last = 0;
    let mut since = reporter.now();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if reporter.expire() {
            *lock(&shared.held) = None;
            return "it did not confirm its data in time";
        }
        let progress = shared.progress.load(Ordering::Relaxed);
        if progress == 0 || progress != last {
            (last, since) = (progress, reporter.now());
        } else if reporter.now().since(since) >= STALL {
            return "it stopped in the middle of its data";
        }
    }
}

async fn connect(place: &Place) -> Result<Line, String> {
    let Place { address, password, tls } = place;
    let attempt = async {
        let found = lookup_host(address).await.map_err(|error| format!("{address} is not known: {error}"))?;
        let mut why = format!("{address} has no address");
        for remote in found {
            match (connect_to(remote, password.as_deref()).await, tls) {
                (Ok(stream), None) => return Ok(Line::plain(stream)),
                (Ok(stream), Some(tls)) => return tls.connect(stream, address).await.map(Line::tls),
                (Err(error), _) => why = format!("cannot connect to {remote}: {error}"),
            }
        }
        Err(why)
    };
    match tokio::time::timeout(CONNECT, attempt).await {
        Ok(result) => result,
        Err(_) if password.is_some() => {
            Err(format!("no answer from {address}; check that both ends have the same password"))
        }
        Err(_) => Err(format!("no answer from {address}")),
    }
}

async fn connect_to(remote: std::net::SocketAddr, password: Option<&[u8]>) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(remote), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(key) = password {
        sockopt::set_md5_key(socket.as_fd(), Prefix::host(remote.ip()), key)?;
    }
    let stream = TcpSocket::from_std_stream(socket.into()).connect(remote).await?;
    // A cache that went without a word is noticed by the kernel.
    socket2::SockRef::from(&stream).set_tcp_keepalive(
        &socket2::TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)),
    )?;
    Ok(stream)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PayloadTarget for Target {
    type Update = Update;

    fn start(&mut self, reset: bool) -> Update {
        self.shared.progress.store(1, Ordering::Relaxed);
        Update { reset, vrps: Vec::new(), aspas: Vec::new(), shared: Arc::clone(&self.shared) }
    }

    fn apply(&mut self, update: Update, timing: Timing) -> Result<(), PayloadError> {
        self.shared.progress.store(0, Ordering::Relaxed);
        let held = lock(&self.shared.held).clone().filter(|_| !update.reset).unwrap_or_default();
        let source = SourceSet::one(self.reporter.id);
        let refuse = |(error, what): (PayloadError, String)| {
            *lock(&self.shared.fault) = Some(format!("its update was refused: {what}"));
            error
        };
        // What was there expired meanwhile: a change of it alone would be half a table.
        if !update.reset && lock(&self.shared.held).is_none() {
            let what = "what it changes has expired, so everything is asked for anew".to_owned();
            return Err(refuse((PayloadError::Corrupt, what)));
        }
        let unchanged = update.vrps.is_empty() && update.aspas.is_empty() && held.loaded && !update.reset;
        let snapshot = if unchanged {
            held
        } else {
            let vrps = changed_vrps(&held.vrps, update.vrps, source).map_err(refuse)?;
            let aspas = changed_aspas(&held.aspas, update.aspas, source).map_err(refuse)?;
            Arc::new(Snapshot { vrps, aspas, loaded: true, ..Snapshot::default() })
        };
        *lock(&self.shared.held) = Some(Arc::clone(&snapshot));
        *lock(&self.shared.timing) = timing;
        let expire = self.reporter.expire_after().unwrap_or(Duration::from_secs(timing.expire.into()));
        self.reporter.synced(&snapshot, expire, |_| {});
        Ok(())
    }
}

impl PayloadUpdate for Update {
    fn push_update(&mut self, action: Action, payload: Payload) -> Result<(), PayloadError> {
        self.shared.progress.fetch_add(1, Ordering::Relaxed);
        let announce = action.is_announce();
        match payload {
            Payload::Origin(origin) => {
                let prefix = origin.prefix;
                let max_len = prefix.max_len().unwrap_or(prefix.prefix_len());
                let vrp = Prefix::new(prefix.addr(), prefix.prefix_len())
                    .map_err(|error| error.to_string())
                    .and_then(|prefix| Vrp::new(prefix, max_len, Asn(origin.asn.into_u32())));
                let vrp = vrp.map_err(|what| {
                    *lock(&self.shared.fault) = Some(format!("it sent a VRP that cannot be: {what}"));
                    PayloadError::Corrupt
                })?;
                self.vrps.push((announce, vrp));
            }
            Payload::Aspa(aspa) => {
                let providers = aspa.providers.iter().map(|asn| Asn(asn.into_u32())).collect();
                self.aspas.push((announce, Aspa::new(Asn(aspa.customer.into_u32()), providers)));
            }
            // Signatures of paths are not validated here.
            Payload::RouterKey(_) => {}
        }
        Ok(())
    }
}

type Refused = (PayloadError, String);

/// The table after an update: a record announced twice or withdrawn unasked is the cache's fault (RFC 8210 §5.10, codes
/// 7 and 6).
fn changed_vrps(held: &VrpTable, update: Vec<(bool, Vrp)>, source: SourceSet) -> Result<VrpTable, Refused> {
    let mut after: HashMap<Vrp, bool> = HashMap::with_capacity(update.len());
    let was_there = !held.is_empty();
    for (announce, vrp) in update {
        let present = after.get(&vrp).copied().unwrap_or_else(|| was_there && held.contains(&vrp));
        match (announce, present) {
            (true, true) => return Err((PayloadError::DuplicateAnnounce, format!("{vrp} is announced twice"))),
            (false, false) => {
                return Err((PayloadError::UnknownWithdraw, format!("{vrp} is withdrawn and was not there")));
            }
            _ => after.insert(vrp, announce),
        };
    }
    let kept = held.iter().map(|(vrp, _)| vrp).filter(|vrp| after.get(vrp) != Some(&false));
    let mut vrps: Vec<(Vrp, SourceSet)> = kept.map(|vrp| (vrp, source)).collect();
    vrps.extend(after.iter().filter(|(_, there)| **there).map(|(vrp, _)| (*vrp, source)));
    Ok(VrpTable::new(vrps))
}

/// The attestations after an update: one of a customer that is there already replaces it (8210bis §5.12).
fn changed_aspas(held: &AspaTable, update: Vec<(bool, Aspa)>, source: SourceSet) -> Result<AspaTable, Refused> {
    let mut after: BTreeMap<Asn, Aspa> = held.iter().map(|aspa| (aspa.customer, aspa)).collect();
    for (announce, aspa) in update {
        if announce {
            after.insert(aspa.customer, aspa);
        } else if after.remove(&aspa.customer).is_none() {
            let what = format!("the ASPA of AS{} is withdrawn and was not there", aspa.customer.0);
            return Err((PayloadError::UnknownWithdraw, what));
        }
    }
    Ok(AspaTable::new(after.into_values().map(|aspa| (aspa, source))))
}
