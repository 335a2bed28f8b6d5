//! `RouteService.WatchRoutes`: snapshot, mark, changes, and again after a gap.
//!
//! How a client never sees time run backwards although the snapshot is read page by page while the table changes:
//!
//! 1. Subscribe first, so that every change after the first page is heard of.
//! 2. Pages come in table order and each carries the number of the last change it includes. A change is *old*
//!    when the page that covers its prefix includes it already, *ahead* when the page that covers its prefix
//!    is still to be read. Both are dropped: a page has told the client, or will.
//! 3. Every other change goes out behind the pages that were sent before it.
//!
//! What bounds the memory of one watcher: the backend's queue of changes, one message, `PENDING_MAX` changes
//! while a snapshot is being sent, and with a filter on attributes `HELD_MAX` fingerprints.

use std::{
    collections::{HashSet, VecDeque},
    hash::BuildHasher as _,
    sync::Arc,
    time::Duration,
};

use ribwatch_proto::v1::{self, route_change::Kind, snapshot_begin::Reason, watch_routes_response::Event};
use tokio::sync::mpsc;
use tonic::Status;

use super::{MESSAGE_OCTETS, MESSAGE_ROUTES, render, render::Renderer, routes::read_filter, status};
use crate::{
    types::Timestamp,
    view::{
        Answer, Backend, Cursor, Delivery, EventBatch, EventSource, PrefixMatch, Query, Refusal, RibEvent, RouteRow,
        Table, filter::RouteFilter, scan::Scan, served::Stream,
    },
    wire::bgp::attribute::AttrSet,
};

/// Silence after which a sign of life is sent.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Least time between two snapshots of one watcher: a client that is always too slow must not keep the engine
/// busy with snapshots.
const RESYNC_PAUSE: Duration = Duration::from_secs(1);
/// Changes kept while a snapshot page waits for the client; when full, the backend's queue fills, then gaps.
const PENDING_MAX: usize = 8192;
/// Routes that a watch with a filter on attributes remembers as held by the client, 8 octets each. Beyond it,
/// withdrawals are sent for routes that the client may not hold, which it ignores.
const HELD_MAX: usize = 1 << 20;

type Client = mpsc::Sender<Result<v1::WatchRoutesResponse, Status>>;
type Messages = mpsc::Receiver<Result<v1::WatchRoutesResponse, Status>>;

/// Why a watch, or a part of it, ended.
enum End {
    /// Changes were lost.
    Gap,
    /// The client left.
    ClientGone,
    /// The client is to be told this.
    Failed(Refusal),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal)
    }
}

/// Begins a watch.
pub(super) async fn start(request: v1::WatchRoutesRequest, backend: Arc<dyn Backend>) -> Result<Messages, Status> {
    let filter = read_filter(&request.filter.unwrap_or_default(), &*backend)?;
    if filter.table == Table::AdjOut {
        return Err(Status::invalid_argument("Adj-RIB-Out cannot be watched: use loc or adj-in, or list it"));
    }
    if matches!(filter.prefix, Some(PrefixMatch::Longest(_))) {
        return Err(Status::invalid_argument(
            "the longest match of an address cannot be watched: name a prefix, with longer or shorter",
        ));
    }
    // For a watch of changes alone every change after the subscription counts, so this is read before it.
    let before = backend.summary().seq;
    let source = backend.subscribe().await.map_err(status)?;
    let Answer::Summary(summary) = backend.query(Query::Summary).await.map_err(status)? else {
        return Err(Status::internal("the engine did not answer a question about counts with counts"));
    };
    let (client, messages) = mpsc::channel(1);
    let started = backend.info().started_at;
    let watcher = Watcher {
        held: Held::new(filter.is_about_versions()),
        filter,
        backend,
        source,
        client,
        started,
        renderer: Renderer::default(),
        seq: if request.skip_snapshot && request.resume_token.is_empty() { before } else { summary.seq },
        pages: VecDeque::new(),
        reading: None,
        pending: Vec::new(),
        scratch: String::new(),
    };
    let snapshot = if request.skip_snapshot || request.resume_token == watcher.resume_token(watcher.seq) {
        None
    } else if request.resume_token.is_empty() {
        Some(Reason::Start)
    } else {
        Some(Reason::Resume)
    };
    tokio::spawn(watcher.run(snapshot));
    Ok(messages)
}

struct Watcher {
    backend: Arc<dyn Backend>,
    filter: RouteFilter,
    source: Box<dyn EventSource>,
    client: Client,
    started: Timestamp,
    renderer: Renderer,
    /// Number of the last change that was looked at.
    seq: u64,
    /// Pages of the snapshot whose changes may still be on their way here.
    pages: VecDeque<SnapshotPage>,
    /// How far the snapshot was read, while one is being read.
    reading: Option<Reading>,
    /// Changes that wait behind a snapshot page.
    pending: Vec<v1::RouteChange>,
    held: Held,
    scratch: String,
}

/// How far a snapshot was read.
enum Reading {
    /// Nothing yet.
    Begun,
    /// Up to this prefix. What lies behind it is told by later pages.
    Through(Cursor),
    /// To the end; its mark was not sent yet.
    Whole,
}

/// The prefixes behind `after` (`None`: from the first) up to `through` (`None`: to the last), as they were after
/// change `seq`.
struct SnapshotPage {
    after: Option<Cursor>,
    through: Option<Cursor>,
    seq: u64,
}

impl SnapshotPage {
    fn covers(&self, place: &Cursor) -> bool {
        self.after.as_ref().is_none_or(|after| place > after)
            && self.through.as_ref().is_none_or(|through| place <= through)
    }
}

impl Watcher {
    async fn run(mut self, mut snapshot: Option<Reason>) {
        let refusal = loop {
            match self.watch(snapshot).await {
                End::Gap => self.backend.served().gap(Stream::Routes),
                End::ClientGone => return,
                End::Failed(refusal) => break refusal,
            }
            let gap = v1::Gap {
                last_seq: self.seq,
                reason: "changes came faster than they were read; a new snapshot follows".into(),
            };
            if self.client.send(Ok(message(Event::Gap(gap)))).await.is_err() {
                return;
            }
            snapshot = Some(Reason::Gap);
            if let Err(End::Failed(refusal)) = self.pause().await {
                break refusal;
            }
        };
        // The client left: nobody to tell.
        let _ = self.client.send(Err(status(refusal))).await;
    }

    async fn watch(&mut self, snapshot: Option<Reason>) -> End {
        if let Some(reason) = snapshot
            && let Err(end) = self.snapshot(reason).await
        {
            return end;
        }
        match self.follow().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    /// Waits before a new snapshot, and forgets the changes of that time: the snapshot includes them.
    async fn pause(&mut self) -> Result<(), End> {
        let end = tokio::time::Instant::now() + RESYNC_PAUSE;
        while let Ok(delivery) = tokio::time::timeout_at(end, self.source.next()).await {
            match delivery {
                Some(Delivery::Batch(batch)) => self.seq = batch.events.last().map_or(self.seq, |event| event.seq),
                Some(Delivery::Gap) => {}
                None => return Err(End::Failed(Refusal::Stopping)),
            }
        }
        Ok(())
    }

    async fn snapshot(&mut self, reason: Reason) -> Result<(), End> {
        self.pages.clear();
        self.pending.clear();
        self.held.clear();
        self.reading = Some(Reading::Begun);
        self.send(Event::Begin(v1::SnapshotBegin { reason: reason.into() })).await?;
        let backend = self.backend.clone();
        let mut scan = Scan::new(self.filter.clone());
        let (mut sent, mut seq) = (0, None);
        while scan.load(&*backend).await? {
            let page = scan.page();
            seq = seq.or(Some(page.seq));
            self.note_page(page.next.clone(), page.seq);
            loop {
                let routes = self.page_routes(&mut scan);
                if routes.is_empty() {
                    break;
                }
                sent += routes.len() as u64;
                self.send(Event::Snapshot(v1::SnapshotRoutes { routes, seq: scan.seq() })).await?;
            }
            self.send_pending().await?;
        }
        // The mark's token promises every change up to `self.seq`: none may wait behind it.
        self.reading = None;
        let seq = seq.unwrap_or_default();
        self.seq = self.seq.max(seq);
        let end = v1::SnapshotEnd { seq, routes: sent, resume_token: self.resume_token(self.seq) };
        self.send(Event::End(end)).await?;
        self.send_pending().await
    }

    /// A page of the snapshot was read, up to `through`.
    fn note_page(&mut self, through: Option<Cursor>, seq: u64) {
        let after = match self.reading.take() {
            Some(Reading::Through(after)) => Some(after),
            _ => None,
        };
        self.reading = Some(through.clone().map_or(Reading::Whole, Reading::Through));
        match self.pages.back_mut() {
            Some(page) if page.seq == seq => page.through = through,
            // Everything that the page includes was heard already: it has no change to hide.
            _ if seq <= self.seq => {}
            _ => self.pages.push_back(SnapshotPage { after, through, seq }),
        }
    }

    /// One message of routes from the page at hand.
    fn page_routes(&mut self, scan: &mut Scan) -> Vec<v1::Route> {
        let (mut routes, mut octets, now) = (Vec::new(), 0, self.backend.now());
        while routes.len() < MESSAGE_ROUTES && octets < MESSAGE_OCTETS {
            let Some((row, attrs)) = scan.next_route() else { break };
            self.held.insert(self.filter.table, row);
            let route = self.renderer.route(&*self.backend, row, attrs, now);
            octets += render::octets(&route);
            routes.push(route);
        }
        routes
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, End> {
        loop {
            let delivery = tokio::select! {
                delivery = tokio::time::timeout(HEARTBEAT, self.source.next()) => delivery,
                () = self.client.closed() => return Err(End::ClientGone),
            };
            match delivery {
                Ok(delivery) => {
                    self.take(delivery)?;
                    self.send_pending().await?;
                }
                Err(_) => {
                    let heartbeat = v1::Heartbeat { seq: self.seq, resume_token: self.resume_token(self.seq) };
                    self.send(Event::Heartbeat(heartbeat)).await?;
                }
            }
        }
    }

    /// Sends one message once the client has room, and goes on listening while it has none.
    async fn send(&mut self, event: Event) -> Result<(), End> {
        let client = self.client.clone();
        loop {
            let delivery = tokio::select! {
                biased;
                room = client.reserve() => {
                    room.map_err(|_| End::ClientGone)?.send(Ok(message(event)));
                    return Ok(());
                }
                delivery = self.source.next(), if self.pending.len() < PENDING_MAX => delivery,
            };
            self.take(delivery)?;
        }
    }

    /// Sends the changes that wait, and those that come while it does.
    async fn send_pending(&mut self) -> Result<(), End> {
        while !self.pending.is_empty() {
            let heard = self.seq;
            let mut changes = std::mem::take(&mut self.pending).into_iter().peekable();
            while changes.peek().is_some() {
                let (mut part, mut octets) = (Vec::new(), 0);
                while part.len() < MESSAGE_ROUTES && octets < MESSAGE_OCTETS {
                    let Some(change) = changes.next() else { break };
                    octets += change.route.as_ref().map_or(0, render::octets);
                    part.push(change);
                }
                let last = part.last().map_or(heard, |change: &v1::RouteChange| change.seq);
                let seq = if changes.peek().is_none() { heard } else { last };
                let resume_token = if self.reading.is_none() { self.resume_token(seq) } else { String::new() };
                self.send(Event::Changes(v1::RouteChanges { changes: part, seq, resume_token })).await?;
            }
        }
        Ok(())
    }

    fn take(&mut self, delivery: Option<Delivery>) -> Result<(), End> {
        match delivery {
            Some(Delivery::Batch(batch)) => self.take_batch(&batch),
            Some(Delivery::Gap) => return Err(End::Gap),
            None => return Err(End::Failed(Refusal::Stopping)),
        }
        Ok(())
    }

    fn take_batch(&mut self, batch: &EventBatch) {
        for event in &batch.events {
            if event.seq <= self.seq {
                continue;
            }
            self.seq = event.seq;
            if self.filter.concerns(event.table, &event.row)
                && !self.is_told_by_a_page(event)
                && let Some(kind) = self.judge(event, batch.attrs(event))
            {
                let attrs = if kind == Kind::Withdrawn { AttrSet::new(&[]) } else { batch.attrs(event) };
                let route = self.renderer.route(&*self.backend, &event.row, attrs, event.time);
                let (seq, time_us) = (event.seq, event.time.0);
                self.pending.push(v1::RouteChange { seq, time_us, kind: kind.into(), route: Some(route) });
            }
        }
        // Changes come in order: a page that includes no more than what was heard has nothing left to hide.
        while self.pages.front().is_some_and(|page| page.seq <= self.seq) {
            self.pages.pop_front();
        }
    }

    /// Whether the change is old or ahead (see the top of this file).
    fn is_told_by_a_page(&self, event: &RibEvent) -> bool {
        if self.reading.is_none() && self.pages.is_empty() {
            return false;
        }
        let place = Cursor { family: event.row.family, after: event.row.nlri.clone() };
        let ahead = match &self.reading {
            Some(Reading::Begun) => true,
            Some(Reading::Through(end)) => place > *end,
            Some(Reading::Whole) | None => false,
        };
        ahead || self.pages.iter().any(|page| page.covers(&place) && event.seq <= page.seq)
    }

    /// What the change means for this client; nothing for a route that it never heard of.
    fn judge(&mut self, event: &RibEvent, attrs: AttrSet<'_>) -> Option<Kind> {
        let (table, row) = (self.filter.table, &event.row);
        if event.withdrawn || !self.filter.accepts(row, attrs, &mut self.scratch) {
            return self.held.remove(table, row, event.withdrawn).then_some(Kind::Withdrawn);
        }
        let known = self.held.insert(table, row).unwrap_or(event.replaced);
        Some(if known { Kind::Replaced } else { Kind::Announced })
    }

    fn resume_token(&self, seq: u64) -> String {
        format!("{:x}-{:x}-{seq:x}", self.started.0, self.filter.fingerprint)
    }
}

fn message(event: Event) -> v1::WatchRoutesResponse {
    v1::WatchRoutesResponse { event: Some(event) }
}

/// Which routes the client holds, for filters that two versions of one route may answer differently: only then
/// must a change that no longer matches become a withdrawal.
enum Held {
    NotNeeded,
    Fingerprints(HashSet<u64, foldhash::fast::FixedState>),
    TooMany,
}

impl Held {
    fn new(needed: bool) -> Self {
        if needed { Self::Fingerprints(HashSet::default()) } else { Self::NotNeeded }
    }

    fn clear(&mut self) {
        if !matches!(self, Self::NotNeeded) {
            *self = Self::new(true);
        }
    }

    /// Notes that the client holds the route; answers whether it did before, if that is known.
    fn insert(&mut self, table: Table, row: &RouteRow) -> Option<bool> {
        let Self::Fingerprints(held) = self else { return None };
        let known = !held.insert(fingerprint(table, row));
        if held.len() > HELD_MAX {
            *self = Self::TooMany;
        }
        Some(known)
    }

    /// Notes that the route no longer matches; answers whether the client must hear of it. `gone` tells a
    /// route that left the table from one that no longer passes the filter.
    fn remove(&mut self, table: Table, row: &RouteRow, gone: bool) -> bool {
        match self {
            Self::NotNeeded => gone,
            Self::Fingerprints(held) => held.remove(&fingerprint(table, row)),
            Self::TooMany => true,
        }
    }
}

/// A 64-bit hash of the key under which the client holds the route. Two of a million routes share one with a
/// chance of 1 in 37 million.
fn fingerprint(table: Table, row: &RouteRow) -> u64 {
    let path = (table == Table::AdjIn).then_some((row.peer, row.path_id));
    foldhash::quality::FixedState::with_seed(0).hash_one((row.family, &row.nlri, path))
}
