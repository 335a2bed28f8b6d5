//! A laboratory for the engine: neighbours announce and withdraw by real UPDATE batches, and each one decodes what it
//! is sent with the real decoder into the table it would have. Time stands still until it is advanced.

mod attrs;
mod heard;
mod spec;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use ribwatch::{
    engine::{Action, BatchProgress, Confederation, Engine, EngineSettings, Input, PeerSettings, SEND_QUEUE_HIGH},
    session::negotiate::Negotiated,
    types::{Asn, Family, FamilySet, PathId, PeerId, Prefix, RouterId, Timestamp},
    view::{
        Answer, EventBatch, LocalRoute, PrefixMatch, Query, Refusal, RoutePage, RouteQuery, Summary, Table,
        observed::Observer,
    },
    wire::bgp::{
        RefreshSubtype, RouteRefresh,
        attribute::AttrSet,
        batch::{ItemKind, UpdateBatch},
        notification::Notification,
        orf::{OrfChange, OrfRefresh, WhenToRefresh},
        update::{DecodeContext, decode_update},
    },
};

use self::heard::count_messages;
pub use self::{
    attrs::{Attrs, path},
    heard::Heard,
    spec::{Spec, external, internal},
};

/// Our AS in every story.
pub const OUR_AS: u32 = 64512;

/// Which neighbour.
pub type Who = usize;

struct Neighbor {
    spec: Spec,
    peer: PeerId,
    up: bool,
    reading: bool,
    queue: Vec<u8>,
    taken: usize,
    heard: Heard,
}

/// The engine with neighbours around it.
pub struct Lab {
    pub engine: Engine,
    pub now: Timestamp,
    pub warnings: Vec<(PeerId, String)>,
    /// Lines for the log about no neighbour.
    pub notes: Vec<String>,
    pub notifications: Vec<(PeerId, Notification, Option<Duration>)>,
    pub events: Vec<Arc<EventBatch>>,
    neighbors: Vec<Neighbor>,
    actions: Vec<Action>,
    observer: Option<Box<dyn Observer>>,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(true)
    }

    /// In a confederation of ours with these other members, known outside under `id`.
    pub fn in_confederation(id: u32, members: &[u32]) -> Self {
        let members = members.iter().map(|asn| Asn(*asn)).collect();
        let confederation = Some(Confederation { id: Asn(id), members });
        Self::of(EngineSettings { confederation, ..EngineSettings::new(Asn(OUR_AS), RouterId(0xc633_6401)) })
    }

    /// Without best path selection.
    pub fn collector() -> Self {
        Self::with(false)
    }

    fn with(best_path: bool) -> Self {
        Self::of(EngineSettings { best_path, ..EngineSettings::new(Asn(OUR_AS), RouterId(0xc633_6401)) })
    }

    /// An engine with these settings.
    pub fn of(settings: EngineSettings) -> Self {
        Self {
            engine: Engine::new(settings),
            now: Timestamp::from_secs(1_700_000_000),
            warnings: Vec::new(),
            notes: Vec::new(),
            notifications: Vec::new(),
            events: Vec::new(),
            neighbors: Vec::new(),
            actions: Vec::new(),
            observer: None,
        }
    }

    /// Somebody watches every change from now on.
    pub fn watched_by(&mut self, observer: Box<dyn Observer>) {
        self.engine.watch();
        self.observer = Some(observer);
    }

    /// Somebody takes the place of who watched, and is shown all there is.
    pub fn watched_anew_by(&mut self, observer: Box<dyn Observer>) {
        self.engine.watch_anew();
        self.observer = Some(observer);
    }

    /// Nobody watches any more.
    pub fn watched_no_more(&mut self) {
        if let Some(mut observer) = self.observer.take() {
            observer.end();
        }
        self.engine.watch_no_more();
    }

    /// Adds a neighbour and brings its session up.
    pub fn peer(&mut self, mut spec: Spec) -> Who {
        let who = self.neighbors.len();
        let last = u8::try_from(who + 1).expect("fewer than 254 neighbours");
        let address = match spec.negotiated.remote.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into())),
        };
        spec.negotiated.remote.set_ip(address);
        spec.negotiated.peer_router_id = RouterId(0xc000_0200 + u32::from(last));
        let peer = PeerId(100 + u32::from(last));
        let heard = Heard::default();
        self.neighbors.push(Neighbor { spec, peer, up: false, reading: true, queue: Vec::new(), taken: 0, heard });
        self.up(who);
        who
    }

    pub fn id(&self, who: Who) -> PeerId {
        self.neighbors[who].peer
    }

    pub fn is_up(&self, who: Who) -> bool {
        self.neighbors[who].up
    }

    /// The session comes up; the neighbour has nothing from us.
    pub fn up(&mut self, who: Who) {
        let neighbor = &mut self.neighbors[who];
        neighbor.up = true;
        neighbor.heard = Heard::default();
        neighbor.queue.clear();
        neighbor.taken = 0;
        let settings = Arc::new(neighbor.spec.settings.clone());
        let negotiated = Arc::new(neighbor.spec.negotiated.clone());
        let peer = neighbor.peer;
        self.handle(Input::PeerUp { peer, settings, negotiated });
    }

    /// Settings for the neighbour's next session.
    pub fn configure(&mut self, who: Who, change: impl FnOnce(&mut PeerSettings)) {
        change(&mut self.neighbors[who].spec.settings);
    }

    /// The neighbour's settings change, and its session goes on.
    pub fn reconfigure(&mut self, who: Who, change: impl FnOnce(&mut PeerSettings)) {
        change(&mut self.neighbors[who].spec.settings);
        let (peer, settings) = (self.id(who), Arc::new(self.neighbors[who].spec.settings.clone()));
        self.handle(Input::Reconfigure { peer, settings });
    }

    pub fn down(&mut self, who: Who) {
        self.neighbors[who].up = false;
        self.neighbors[who].queue.clear();
        let peer = self.id(who);
        self.handle(Input::PeerDown { peer });
    }

    /// The session is lost, and the neighbour may be back.
    pub fn lost(&mut self, who: Who) {
        self.neighbors[who].up = false;
        self.neighbors[who].queue.clear();
        let peer = self.id(who);
        self.handle(Input::PeerLost { peer });
    }

    /// From its next session on the neighbour agrees on something else.
    pub fn agrees(&mut self, who: Who, change: impl FnOnce(&mut Negotiated)) {
        change(&mut self.neighbors[who].spec.negotiated);
    }

    /// Everybody reads, and the engine comes to rest.
    pub fn settle_reading(&mut self) {
        for neighbor in &mut self.neighbors {
            neighbor.reading = true;
        }
        self.settle();
    }

    /// The neighbour's address.
    pub fn address(&self, who: Who) -> IpAddr {
        self.neighbors[who].spec.negotiated.remote.ip()
    }

    /// Whether the neighbour reads its socket.
    pub fn reads(&mut self, who: Who, reading: bool) {
        self.neighbors[who].reading = reading;
    }

    pub fn handle(&mut self, input: Input) {
        self.engine.handle(self.now, input, &mut self.actions);
        self.perform();
    }

    pub fn announces(&mut self, who: Who, prefix: &str, attrs: Attrs) {
        self.announces_all(who, &[prefix], attrs);
    }

    pub fn announces_all(&mut self, who: Who, prefixes: &[&str], attrs: Attrs) {
        let prefixes: Vec<(PathId, Prefix)> = prefixes.iter().map(|prefix| (0, p(prefix))).collect();
        self.announces_paths(who, &prefixes, &attrs);
    }

    /// Several paths, or many prefixes; all of one address family.
    pub fn announces_paths(&mut self, who: Who, routes: &[(PathId, Prefix)], attrs: &Attrs) {
        let family = family_of(routes[0].1);
        let octets = attrs.octets(family, self.neighbors[who].spec.negotiated.remote.ip());
        let mut batch = UpdateBatch::new();
        batch.push_prefixes(ItemKind::Announce, family, AttrSet::new(&octets), routes);
        self.apply(who, &batch);
    }

    /// A route with these canonical octets.
    pub fn announces_octets(&mut self, who: Who, route: (PathId, Prefix), octets: &[u8]) {
        let mut batch = UpdateBatch::new();
        batch.push_prefixes(ItemKind::Announce, family_of(route.1), AttrSet::new(octets), &[route]);
        self.apply(who, &batch);
    }

    pub fn withdraws(&mut self, who: Who, prefix: &str) {
        self.withdraws_paths(who, &[(0, p(prefix))]);
    }

    pub fn withdraws_paths(&mut self, who: Who, routes: &[(PathId, Prefix)]) {
        let mut batch = UpdateBatch::new();
        batch.push_prefixes(ItemKind::Withdraw, family_of(routes[0].1), AttrSet::new(&[]), routes);
        self.apply(who, &batch);
    }

    pub fn ends_rib(&mut self, who: Who, family: Family) {
        let mut batch = UpdateBatch::new();
        batch.push_end_of_rib(family);
        self.apply(who, &batch);
    }

    /// Applies a batch in small slices, as a driver does.
    pub fn apply(&mut self, who: Who, batch: &UpdateBatch) {
        let mut progress = BatchProgress::default();
        while !self.engine.apply(self.now, self.neighbors[who].peer, batch, &mut progress, 7, &mut self.actions) {
            self.perform();
        }
        self.perform();
    }

    /// One UPDATE as it comes off the wire, read as the session with this neighbour agreed.
    pub fn receives(&mut self, who: Who, message: &[u8]) {
        let negotiated = &self.neighbors[who].spec.negotiated;
        let context = DecodeContext {
            four_octet_as: negotiated.four_octet_as,
            families: negotiated.families.iter().copied().collect::<FamilySet>(),
            add_path: negotiated.add_path_receive.iter().copied().collect::<FamilySet>(),
            ..DecodeContext::new(negotiated.kind)
        };
        let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
        decode_update(message, &context, &mut batch, &mut faults).expect("the session lives");
        self.apply(who, &batch);
    }

    pub fn refreshes(&mut self, who: Who, subtype: RefreshSubtype) {
        let refresh = RouteRefresh { family: Family::IPV4_UNICAST, subtype };
        let peer = self.id(who);
        self.handle(Input::Refresh { peer, refresh });
    }

    /// The neighbour says what it wants to be sent of IPv4 unicast (RFC 5291).
    pub fn filters(&mut self, who: Who, when: WhenToRefresh, changes: &[OrfChange]) {
        let (peer, family) = (self.id(who), Family::IPV4_UNICAST);
        self.handle(Input::Filter {
            peer,
            filter: OrfRefresh { family, when, changes: changes.to_vec(), fault: None },
        });
    }

    /// One wake-up with a small budget; whether there is more to do.
    pub fn flush(&mut self) -> bool {
        let more = self.engine.flush(self.now, 16, &mut self.actions);
        self.perform();
        self.drain_queues() || more
    }

    /// Wakes the engine until nothing is left to do.
    pub fn settle(&mut self) {
        for _ in 0..1_000_000 {
            if !self.flush() {
                return;
            }
        }
        panic!("the engine does not come to rest");
    }

    pub fn advance(&mut self, time: Duration) {
        self.now = self.now + time;
        self.settle();
    }

    pub fn routes(&mut self, query: RouteQuery) -> RoutePage {
        match self.engine.query(self.now, &Query::Routes(query), &mut self.actions) {
            Ok(Answer::Routes(page)) => page,
            other => panic!("not a page: {other:?}"),
        }
    }

    pub fn ask(&mut self, query: &Query) -> Result<Answer, Refusal> {
        let answer = self.engine.query(self.now, query, &mut self.actions);
        self.perform();
        answer
    }

    /// All rows of a table, with their attributes.
    pub fn table(&mut self, table: Table, neighbor: Option<Who>) -> RoutePage {
        let neighbor = neighbor.map(|who| self.id(who));
        self.routes(RouteQuery { table, neighbor, limit: usize::MAX, scan_limit: usize::MAX, ..Default::default() })
    }

    /// Who has the best route of a prefix; `Some(None)` is this router itself.
    pub fn best(&mut self, prefix: &str) -> Option<Option<PeerId>> {
        let page = self.routes(RouteQuery {
            prefix: Some(PrefixMatch::Exact(p(prefix))),
            limit: 10,
            scan_limit: 10,
            ..RouteQuery::default()
        });
        page.rows.first().map(|row| row.peer)
    }

    pub fn originates(&mut self, prefix: &str, attrs: &Attrs) -> Result<Answer, Refusal> {
        let family = family_of(p(prefix));
        let unspecified: IpAddr =
            if family.afi == 1 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let route = LocalRoute::plain(family, p(prefix), attrs.octets(family, unspecified));
        self.ask(&Query::Originate(route))
    }

    pub fn summary(&self) -> Summary {
        self.engine.summary()
    }

    /// What the neighbour was told so far.
    pub fn heard(&self, who: Who) -> &Heard {
        &self.neighbors[who].heard
    }

    /// What the neighbour will have heard once it has read its queue.
    pub fn handed(&self, who: Who) -> Heard {
        let neighbor = &self.neighbors[who];
        let mut heard = neighbor.heard.clone();
        heard.take(&neighbor.queue, &neighbor.spec);
        heard
    }

    /// The route that the neighbour has from us.
    pub fn told(&self, who: Who, prefix: &str) -> Option<AttrSet<'_>> {
        let prefix = p(prefix);
        self.heard(who).routes.get(&(family_of(prefix), prefix)).map(|octets| AttrSet::new(octets))
    }

    /// The paths of a prefix that the neighbour has from us with ADD-PATH: identifier and AS_PATH.
    pub fn told_paths(&self, who: Who, prefix: &str) -> Vec<(PathId, String)> {
        let prefix = p(prefix);
        let paths = self.heard(who).paths.iter().filter(|((_, of, _), _)| *of == prefix);
        paths.map(|((_, _, path_id), octets)| (*path_id, AttrSet::new(octets).as_path().to_string())).collect()
    }

    /// The AS_PATH that the neighbour has of a prefix.
    pub fn told_as_path(&self, who: Who, prefix: &str) -> Option<String> {
        self.told(who, prefix).map(|set| set.as_path().to_string())
    }

    /// Prefixes that the neighbour has from us.
    pub fn told_prefixes(&self, who: Who) -> BTreeSet<String> {
        self.heard(who).routes.keys().map(|(_, prefix)| prefix.to_string()).collect()
    }

    fn perform(&mut self) {
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Send { peer, messages, count } => {
                    let found = self.neighbors.iter_mut().find(|n| n.peer == peer && n.up);
                    let neighbor = found.expect("only neighbours that are up are sent anything");
                    assert_eq!(count_messages(&messages, &neighbor.spec), count, "messages are counted");
                    neighbor.queue.extend_from_slice(&messages);
                    neighbor.taken += messages.len();
                }
                Action::Notify { peer, notification, restart_after } => {
                    self.notifications.push((peer, notification, restart_after));
                }
                Action::Events(batch) => self.events.push(batch),
                Action::Warn { peer, text } => self.warnings.push((peer, text)),
                Action::Note(text) => self.notes.push(text),
            }
        }
        if let Some(observer) = &mut self.observer
            && (self.engine.has_observations() || observer.next_deadline().is_some_and(|due| due <= self.now))
        {
            self.engine.observe(self.now, observer.as_mut());
        }
    }

    /// Neighbours that read take what is queued, and the engine is told as its protocol says.
    fn drain_queues(&mut self) -> bool {
        let mut writable = Vec::new();
        for neighbor in self.neighbors.iter_mut().filter(|neighbor| neighbor.reading) {
            let queue = std::mem::take(&mut neighbor.queue);
            neighbor.heard.take(&queue, &neighbor.spec);
            if neighbor.taken >= SEND_QUEUE_HIGH / 4 {
                neighbor.taken = 0;
                writable.push(neighbor.peer);
            }
        }
        let any = !writable.is_empty();
        for peer in writable {
            self.handle(Input::Writable { peer });
        }
        any
    }
}

/// A prefix.
pub fn p(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

/// The unicast family of a prefix.
pub fn family_of(prefix: Prefix) -> Family {
    if prefix.is_v4() { Family::IPV4_UNICAST } else { Family::IPV6_UNICAST }
}

/// `n` prefixes: 10.0.0.0/24, 10.0.1.0/24 and so on.
pub fn many(n: u32) -> Vec<(PathId, Prefix)> {
    (0..n).map(|i| (0, Prefix::v4(0x0a00_0000 + (i << 8), 24))).collect()
}
