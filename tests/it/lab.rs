//! A laboratory for the engine: neighbours announce and withdraw by real UPDATE batches, and each one decodes what it
//! is sent with the real decoder into the table it would have. Time stands still until it is advanced.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ribwatch::{
    engine::{
        Action, AddPathSelect, BatchProgress, Confederation, Engine, EngineSettings, ExportOptions, Input, MaxPrefix,
        NextHopRule, PeerSettings, SEND_QUEUE_HIGH,
    },
    session::negotiate::Negotiated,
    types::{Asn, Family, FamilySet, PathId, PeerId, PeerKind, Prefix, Role, RouterId, Timestamp},
    view::{Answer, EventBatch, LocalRoute, PrefixMatch, Query, Refusal, RoutePage, RouteQuery, Summary, Table},
    wire::bgp::{
        MAX_EXTENDED_LEN, MAX_LEN, MessageType, RefreshSubtype, RouteRefresh,
        attribute::{AttrSet, AttrSetBuilder, NextHop, Origin},
        batch::{ItemKind, UpdateBatch},
        community::Community,
        frame,
        notification::Notification,
        update::{DecodeContext, Rules, decode_update},
    },
};

/// Our AS in every story.
pub const OUR_AS: u32 = 64512;

/// Attributes of a route, in the words of a story.
#[derive(Clone)]
pub struct Attrs(AttrSetBuilder, Option<IpAddr>);

/// A route with this AS_PATH (`"64496 64500"`), ORIGIN IGP and the sender as next hop.
pub fn path(asns: &str) -> Attrs {
    let asns: Vec<Asn> = asns.split_whitespace().map(|asn| asn.parse().expect("an AS number")).collect();
    let mut builder = AttrSetBuilder::new();
    builder.origin(Origin::Igp).as_path_sequence(&asns);
    Attrs(builder, None)
}

impl Attrs {
    pub fn med(mut self, med: u32) -> Self {
        self.0.med(med);
        self
    }

    pub fn local_pref(mut self, local_pref: u32) -> Self {
        self.0.local_pref(local_pref);
        self
    }

    pub fn community(mut self, community: Community) -> Self {
        self.0.communities(&[community]);
        self
    }

    pub fn originator(mut self, id: u32) -> Self {
        self.0.originator_id(RouterId(id));
        self
    }

    pub fn clusters(mut self, ids: &[u32]) -> Self {
        let ids: Vec<RouterId> = ids.iter().map(|id| RouterId(*id)).collect();
        self.0.cluster_list(&ids);
        self
    }

    pub fn raw(mut self, flags: u8, code: u8, value: &[u8]) -> Self {
        self.0.raw(flags, code, value);
        self
    }

    pub fn via(mut self, next_hop: &str) -> Self {
        self.1 = Some(next_hop.parse().expect("an address"));
        self
    }

    /// The canonical octets; `sender` is the next hop unless the story says otherwise.
    pub fn octets(&self, family: Family, sender: IpAddr) -> Vec<u8> {
        let mut builder = self.0.clone();
        builder.next_hop(family, NextHop::new(self.1.unwrap_or(sender)));
        builder.finish()
    }
}

/// What a neighbour is and agreed on.
#[derive(Clone)]
pub struct Spec {
    pub settings: PeerSettings,
    pub negotiated: Negotiated,
    /// It takes us for a member of its confederation.
    pub confederation_member: bool,
}

/// A neighbour in another AS that takes and gives everything in IPv4 unicast.
pub fn external(asn: u32) -> Spec {
    spec(asn, PeerKind::External)
}

/// A neighbour in our AS, likewise.
pub fn internal() -> Spec {
    spec(OUR_AS, PeerKind::Internal)
}

fn spec(asn: u32, kind: PeerKind) -> Spec {
    let address = |last: u8, port| SocketAddr::new(Ipv4Addr::new(192, 0, 2, last).into(), port);
    Spec {
        confederation_member: false,
        settings: PeerSettings {
            import: vec!["accept-all".into()],
            export: vec!["accept-all".into()],
            ..PeerSettings::new("neighbour".into())
        },
        negotiated: Negotiated {
            local_asn: Asn(OUR_AS),
            local_router_id: RouterId(0xc633_6401),
            peer_asn: Asn(asn),
            peer_router_id: RouterId(0),
            kind,
            local: address(254, 179),
            remote: address(0, 50_000),
            link: None,
            hold_time: Duration::from_secs(90),
            keepalive: Duration::from_secs(30),
            families: vec![Family::IPV4_UNICAST],
            four_octet_as: true,
            add_path_receive: Vec::new(),
            add_path_send: Vec::new(),
            extended_message: false,
            route_refresh: true,
            enhanced_refresh: false,
            extended_next_hop: Vec::new(),
            graceful_restart: None,
            long_lived: None,
            local_role: None,
            hostname: None,
            software: None,
            remote_capabilities: Vec::new(),
        },
    }
}

impl Spec {
    pub fn import(mut self, names: &[&str]) -> Self {
        self.settings.import = names.iter().map(|name| Arc::from(*name)).collect();
        self
    }

    pub fn export(mut self, names: &[&str]) -> Self {
        self.settings.export = names.iter().map(|name| Arc::from(*name)).collect();
        self
    }

    pub fn monitor_only(mut self) -> Self {
        self.settings.monitor_only = true;
        self
    }

    pub fn next_hop_self(mut self) -> Self {
        self.settings.export_options.next_hop = NextHopRule::OwnAddress;
        self
    }

    pub fn max_prefix(mut self, family: Option<Family>, limit: u64, warning_percent: u8) -> Self {
        let restart_after = Some(Duration::from_secs(300));
        self.settings.max_prefix.push((family, MaxPrefix { limit, warning_percent, restart_after }));
        self
    }

    pub fn families(mut self, families: &[Family]) -> Self {
        self.negotiated.families = families.to_vec();
        self
    }

    pub fn enhanced_refresh(mut self) -> Self {
        self.negotiated.enhanced_refresh = true;
        self
    }

    pub fn two_octet_as(mut self) -> Self {
        self.negotiated.four_octet_as = false;
        self
    }

    /// The session runs over IPv6.
    pub fn over_ipv6(mut self) -> Self {
        let end = |last: u16, port| SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into(), port);
        self.negotiated.local = end(0xfe, 179);
        self.negotiated.remote = end(0, 50_000);
        self
    }

    /// It is sent several paths per prefix of IPv4 unicast (RFC 7911).
    pub fn add_path(mut self, select: AddPathSelect) -> Self {
        self.negotiated.add_path_send = vec![Family::IPV4_UNICAST];
        self.settings.export_options.add_path = select;
        self
    }

    /// With these export options.
    pub fn options(mut self, change: impl FnOnce(&mut ExportOptions)) -> Self {
        change(&mut self.settings.export_options);
        self
    }

    /// Another member AS of our confederation.
    pub fn confederation_member(mut self) -> Self {
        self.confederation_member = true;
        self
    }

    /// Our role towards it.
    pub fn role(mut self, role: Role) -> Self {
        self.negotiated.local_role = Some(role);
        self
    }

    pub fn extended_next_hop(mut self) -> Self {
        self.negotiated.extended_next_hop = vec![Family::IPV4_UNICAST];
        self
    }
}

/// Which neighbour.
pub type Who = usize;

/// What a neighbour was told, as it would hold it.
#[derive(Clone, Default, Debug)]
pub struct Heard {
    /// Routes it has from us, by family and prefix, as canonical octets.
    pub routes: BTreeMap<(Family, Prefix), Vec<u8>>,
    /// Those of families with ADD-PATH, by path identifier.
    pub paths: BTreeMap<(Family, Prefix, PathId), Vec<u8>>,
    /// End-of-RIB markers, in order, with the number of routes it had by then.
    pub end_of_rib: Vec<(Family, usize)>,
    /// Refresh marks, in order.
    pub marks: Vec<RefreshSubtype>,
    /// Announcements of what it had already, octet by octet.
    pub repeated: usize,
    /// Withdrawals of what it never had: there must be none.
    pub unfounded: Vec<Prefix>,
    /// UPDATE messages.
    pub messages: u32,
    /// The last of them that was not End-of-RIB, as it stood on the wire.
    pub last_update: Vec<u8>,
    /// Octets.
    pub octets: usize,
}

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
    pub notifications: Vec<(PeerId, Notification, Option<Duration>)>,
    pub events: Vec<Arc<EventBatch>>,
    neighbors: Vec<Neighbor>,
    actions: Vec<Action>,
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
            notifications: Vec::new(),
            events: Vec::new(),
            neighbors: Vec::new(),
            actions: Vec::new(),
        }
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
            }
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

fn max_len(spec: &Spec) -> usize {
    if spec.negotiated.extended_message { MAX_EXTENDED_LEN } else { MAX_LEN }
}

fn count_messages(mut octets: &[u8], spec: &Spec) -> u32 {
    let mut count = 0;
    while let Some(message) = frame(octets, max_len(spec)).expect("whole messages are well framed") {
        octets = &octets[message.message.len()..];
        count += 1;
    }
    assert!(octets.is_empty(), "only whole messages are sent");
    count
}

impl Heard {
    fn take(&mut self, mut octets: &[u8], spec: &Spec) {
        self.octets += octets.len();
        while let Some(message) = frame(octets, max_len(spec)).expect("whole messages are well framed") {
            octets = &octets[message.message.len()..];
            match message.kind {
                MessageType::Update => self.take_update(message.message, spec),
                MessageType::RouteRefresh => {
                    self.marks.push(RouteRefresh::decode(message.message).expect("a good refresh").subtype);
                }
                other => panic!("the engine sends no {other:?}"),
            }
        }
    }

    /// All routes, with the path identifier where there is one.
    pub fn all(&self) -> BTreeMap<(Family, Prefix, PathId), Vec<u8>> {
        let plain = self.routes.iter().map(|((family, prefix), octets)| ((*family, *prefix, 0), octets.clone()));
        plain.chain(self.paths.iter().map(|(key, octets)| (*key, octets.clone()))).collect()
    }

    fn take_path(&mut self, kind: ItemKind, key: (Family, Prefix, PathId), octets: &[u8]) {
        match kind {
            ItemKind::Withdraw if self.paths.remove(&key).is_none() => self.unfounded.push(key.1),
            ItemKind::Announce => {
                let before = self.paths.insert(key, octets.to_vec());
                self.repeated += usize::from(before.as_deref() == Some(octets));
            }
            _ => {}
        }
    }

    fn take_update(&mut self, message: &[u8], spec: &Spec) {
        self.messages += 1;
        let rules = Rules { confederation: spec.confederation_member, ..Rules::default() };
        let context = DecodeContext {
            rules,
            four_octet_as: spec.negotiated.four_octet_as,
            families: spec.negotiated.families.iter().copied().collect::<FamilySet>(),
            add_path: spec.negotiated.add_path_send.iter().copied().collect::<FamilySet>(),
            ..DecodeContext::new(spec.negotiated.kind)
        };
        let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
        decode_update(message, &context, &mut batch, &mut faults).expect("what we send can be decoded");
        assert!(faults.is_empty(), "what we send is without faults: {faults:?}");
        if batch.iter().any(|item| item.kind != ItemKind::EndOfRib) {
            self.last_update = message.to_vec();
        }
        for item in batch.iter() {
            for (path_id, prefix) in item.prefixes() {
                let key = (item.family, prefix);
                if spec.negotiated.add_path_send.contains(&item.family) {
                    self.take_path(item.kind, (item.family, prefix, path_id), item.attrs.as_bytes());
                    continue;
                }
                match item.kind {
                    ItemKind::Withdraw if self.routes.remove(&key).is_none() => self.unfounded.push(prefix),
                    ItemKind::Announce => {
                        let octets = item.attrs.as_bytes().to_vec();
                        let before = self.routes.insert(key, octets.clone());
                        self.repeated += usize::from(before == Some(octets));
                    }
                    _ => {}
                }
            }
            if item.kind == ItemKind::EndOfRib {
                let plain = self.routes.keys().filter(|(family, _)| *family == item.family).count();
                let count = plain + self.paths.keys().filter(|(family, _, _)| *family == item.family).count();
                self.end_of_rib.push((item.family, count));
            }
        }
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
