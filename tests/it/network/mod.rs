//! Twenty routers in virtual time: real sessions over wires that delay, cut and break, a real engine behind each, a
//! random topology of ASes with a full mesh inside each, over IPv4 and IPv6, some links between speakers that do not know
//! four-octet AS numbers. Sessions flap, wires go silent, routers die and come back, soon, late or with other routes,
//! while their neighbours keep what they sent (RFC 4724, RFC 9494); routes come and go, are asked for again, policies
//! change under living sessions. After each settling what every router holds from a neighbour is what that neighbour says
//! that it told it, octet by octet, and no packet would run in a circle. What is kept meanwhile is in `away`.
//!
//! A run is a function of its seed: the same seed gives the same messages at the same times and the same tables.
//! `NETWORK_SEEDS=7,8,9` runs others. How a single router chooses and what it sends is held against an independent
//! model in `simulation`; here it is whether many of them agree.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use ribwatch::{
    engine::{self, Action, BatchProgress, Engine, EngineSettings, SEND_QUEUE_HIGH},
    policy::Library,
    session::{self, negotiate::Negotiated},
    types::{Asn, Family, PathId, PeerId, PeerKind, Prefix, RouterId, Timestamp},
    view::{Nlri, Query, RouteQuery, RouteRow, Table},
    wire::bgp::community::Community,
};

use crate::{
    lab::p,
    net::{End, Happening, Net, secs},
    policies,
    simulation::Dice,
};

mod away;
mod checks;
mod troubles;
mod wiring;

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;
const ROUTERS: usize = 20;
/// Longest way back after trouble: the hold timer, then idle hold and connect retry at their caps.
const RECOVERY: Duration = Duration::from_secs(20 * 60);

/// A router and its routes of its own.
struct Router {
    asn: u32,
    engine: Engine,
    originated: BTreeMap<Prefix, Vec<u8>>,
    /// Which of its policies hold: the same names mean something else each time.
    edition: u32,
    /// It has died, and nobody has started it again.
    dead: bool,
}

/// One router's side of a link.
struct Side {
    router: usize,
    end: End,
    /// The other side, as an index.
    far: usize,
    settings: engine::PeerSettings,
    /// What its process says when it comes up.
    session: session::PeerSettings,
    up: bool,
    /// What must be kept of the neighbour now.
    kept: Option<away::Kept>,
    /// Octets taken from the engine since it was last told that there is room.
    taken: usize,
}

impl Side {
    fn peer(&self) -> PeerId {
        PeerId(1 + self.end.number() as u32)
    }
}

struct Network {
    dice: Dice,
    net: Net,
    routers: Vec<Router>,
    /// By the number of their end.
    sides: Vec<Side>,
    prefixes: Vec<Prefix>,
    /// When the last UPDATE or refresh passed.
    busy_at: Timestamp,
    /// Nobody filters anything.
    open: bool,
    /// How often something kept was seen: while it was stale, long-lived stale, and when it had gone.
    kept: [u32; 3],
}

/// Routes of one table: prefix and path id, with their attributes.
type Routes = BTreeMap<(Prefix, PathId), Vec<u8>>;

impl Network {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut net = Net::new(seed);
        net.happened();
        let mut routers = Vec::new();
        let mut ases = 0;
        while routers.len() < ROUTERS {
            // Every third AS has a number of four octets.
            let asn = if ases % 3 == 2 { 65_536 + ases } else { 64_496 + ases };
            for _ in 0..(1 + dice.roll(4)).min(ROUTERS - routers.len()) {
                let engine = fresh_engine(asn, routers.len());
                routers.push(Router { asn, engine, originated: BTreeMap::new(), edition: 0, dead: false });
            }
            ases += 1;
        }
        let prefixes = (0..60).map(numbered).collect();
        let busy_at = net.now();
        let mut network = Self {
            dice,
            net,
            routers,
            sides: Vec::new(),
            prefixes,
            busy_at,
            open: seed.is_multiple_of(2),
            kept: [0; 3],
        };
        network.wire();
        for router in 0..ROUTERS {
            network.change_policies(router);
        }
        network.net.start();
        network
    }

    /// Inside an AS nothing is filtered: that would be a hole, not a policy. LOCAL_PREF is left alone: preferences that
    /// contradict each other need not settle at all (RFC 4264).
    fn policy(&mut self, external: bool) -> Vec<Arc<str>> {
        let names: &[&str] = match (external, self.open) {
            (false, _) => &["accept-all"],
            (true, true) => &["accept-all", "accept-all", "mark"],
            (true, false) => &["accept-all", "accept-all", "mark", "some", "reject-all"],
        };
        vec![names[self.dice.roll(names.len())].into()]
    }

    /// Other policies under the same names; sessions live on.
    fn change_policies(&mut self, router: usize) {
        self.routers[router].edition += 1;
        if self.routers[router].dead {
            return;
        }
        let library = library(router, self.routers[router].edition);
        self.tell_engine(router, engine::Input::Policies(library));
    }

    /// A neighbour gets another import or export policy; its session lives on.
    fn change_neighbor(&mut self, at: usize) {
        let far = self.sides[self.sides[at].far].router;
        let external = self.routers[self.sides[at].router].asn != self.routers[far].asn;
        let (import, export) = (self.policy(external), self.policy(external));
        let side = &mut self.sides[at];
        (side.settings.import, side.settings.export) = (import, export);
        if side.up {
            let input = engine::Input::Reconfigure { peer: side.peer(), settings: Arc::new(side.settings.clone()) };
            let router = side.router;
            self.tell_engine(router, input);
        }
    }

    fn tell_engine(&mut self, router: usize, input: engine::Input) {
        assert!(!self.routers[router].dead, "the dead are told nothing");
        let mut actions = Vec::new();
        self.routers[router].engine.handle(self.net.now(), input, &mut actions);
        self.busy_at = self.net.now();
        self.perform(actions);
        self.flush(router);
    }

    /// Lets time pass, with the routers at work.
    fn run(&mut self, time: Duration) {
        let end = self.net.now() + time;
        loop {
            // Engines are woken at their deadlines as well.
            let due = self.routers.iter().filter_map(|router| router.engine.next_deadline()).min();
            let stop = due.map_or(end, |due| due.max(self.net.now()).min(end));
            let more = self.net.step(stop);
            for (end, happening) in self.net.happened() {
                self.take(end, happening);
            }
            if !more {
                self.flush_all();
                if stop == end {
                    return;
                }
            }
        }
    }

    fn take(&mut self, end: End, happening: Happening) {
        let now = self.net.now();
        self.note_absence(end.number(), &happening);
        let side = &mut self.sides[end.number()];
        let peer = side.peer();
        let engine = &mut self.routers[side.router].engine;
        let mut actions = Vec::new();
        match happening {
            Happening::Up(negotiated) => {
                (side.up, side.taken) = (true, 0);
                let settings = Arc::new(side.settings.clone());
                engine.handle(now, engine::Input::PeerUp { peer, settings, negotiated }, &mut actions);
            }
            Happening::Down { may_return } => {
                side.up = false;
                let input = match may_return {
                    true => engine::Input::PeerLost { peer },
                    false => engine::Input::PeerDown { peer },
                };
                engine.handle(now, input, &mut actions);
            }
            Happening::Refresh(refresh) => {
                engine.handle(now, engine::Input::Refresh { peer, refresh }, &mut actions);
            }
            Happening::Filter(filter) => {
                engine.handle(now, engine::Input::Filter { peer, filter }, &mut actions);
            }
            Happening::Updates(batch) => {
                let mut progress = BatchProgress::default();
                while !engine.apply(now, peer, &batch, &mut progress, 16, &mut actions) {}
            }
        }
        let router = side.router;
        self.busy_at = now;
        self.perform(actions);
        self.flush(router);
    }

    fn flush_all(&mut self) {
        (0..ROUTERS).for_each(|router| self.flush(router));
    }

    fn flush(&mut self, router: usize) {
        loop {
            let mut actions = Vec::new();
            let more = self.routers[router].engine.flush(self.net.now(), 64, &mut actions);
            let any = !actions.is_empty();
            self.perform(actions);
            if !more && !any {
                return;
            }
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { peer, messages, .. } => {
                    let side = &mut self.sides[peer.0 as usize - 1];
                    assert!(side.up, "only neighbours that are up are sent anything");
                    side.taken += messages.len();
                    self.net.send(side.end, &messages);
                    if side.taken >= SEND_QUEUE_HIGH / 4 {
                        side.taken = 0;
                        let mut more = Vec::new();
                        let now = self.net.now();
                        self.routers[side.router].engine.handle(now, engine::Input::Writable { peer }, &mut more);
                        self.perform(more);
                    }
                }
                Action::Notify { peer, notification, .. } => panic!("{peer:?} is told {notification}"),
                Action::Events(_) | Action::Warn { .. } | Action::Note(_) => {}
            }
        }
    }

    fn ask(&mut self, router: usize, query: &Query) -> ribwatch::view::Answer {
        let mut actions = Vec::new();
        let answer = self.routers[router].engine.query(self.net.now(), query, &mut actions);
        self.perform(actions);
        answer.expect("a good question")
    }

    /// Every session is up, and nothing was said for longer than anything can be under way.
    fn settle(&mut self) {
        let limit = self.net.now() + RECOVERY;
        while !self.is_quiet() {
            self.run(secs(1));
            assert!(self.net.now() < limit, "not at rest: {:?}", self.waiting());
        }
    }

    fn is_quiet(&self) -> bool {
        let nothing_due = self.routers.iter().all(|router| router.engine.next_deadline().is_none());
        self.waiting().is_empty() && nothing_due && self.net.now().since(self.busy_at) > secs(30)
    }

    fn waiting(&self) -> Vec<(usize, &'static str)> {
        let not_up = self.sides.iter().filter(|side| !self.net.is_up(side.end) || !side.up);
        not_up.map(|side| (side.end.number(), self.net.state(side.end).name())).collect()
    }

    fn table(
        &mut self,
        router: usize,
        table: Table,
        neighbor: Option<PeerId>,
    ) -> Vec<(Option<PeerId>, Prefix, PathId, Vec<u8>)> {
        let rows = self.rows(router, table, neighbor);
        rows.into_iter().map(|(row, attrs)| (row.peer, prefix_of(&row), row.path_id, attrs)).collect()
    }

    fn rows(&mut self, router: usize, table: Table, neighbor: Option<PeerId>) -> Vec<(RouteRow, Vec<u8>)> {
        let query = RouteQuery { table, neighbor, limit: usize::MAX, scan_limit: usize::MAX, ..RouteQuery::default() };
        let ribwatch::view::Answer::Routes(page) = self.ask(router, &Query::Routes(query)) else {
            panic!("not routes")
        };
        page.rows.iter().map(|row| (row.clone(), page.attrs(row).as_bytes().to_vec())).collect()
    }

    fn routes(&mut self, router: usize, table: Table, peer: PeerId) -> Routes {
        let rows = self.table(router, table, Some(peer));
        rows.into_iter().map(|(_, prefix, path_id, attrs)| ((prefix, path_id), attrs)).collect()
    }

    /// All tables of all routers as one number.
    fn tables(&mut self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for router in 0..ROUTERS {
            self.table(router, Table::AdjIn, None).hash(&mut hasher);
            self.table(router, Table::Loc, None).hash(&mut hasher);
        }
        for at in 0..self.sides.len() {
            let (router, peer) = (self.sides[at].router, self.sides[at].peer());
            self.routes(router, Table::AdjOut, peer).hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn fresh_engine(asn: u32, router: usize) -> Engine {
    Engine::new(EngineSettings::new(Asn(asn), RouterId(0xc000_0201 + router as u32)))
}

/// The prefixes of the world.
fn numbered(i: u32) -> Prefix {
    match i {
        0..40 => p(&format!("10.{i}.0.0/{}", 16 + i % 9)),
        _ => p(&format!("2001:db8:{i:x}::/{}", 48 + i % 9)),
    }
}

fn prefix_of(row: &RouteRow) -> Prefix {
    let Nlri::Prefix(prefix) = row.nlri else { panic!("a prefix") };
    prefix
}

/// What `mark` adds at a router.
fn mark(router: usize, edition: u32) -> Community {
    Community((1000 + router as u32) << 16 | edition)
}

/// What `some` rejects: other prefixes in each edition.
fn rejected(edition: u32) -> Vec<Prefix> {
    (0..60).filter(|i| (i + edition).is_multiple_of(4)).map(numbered).collect()
}

fn library(router: usize, edition: u32) -> Arc<Library> {
    let Community(mark) = mark(router, edition);
    let prefixes: Vec<String> = rejected(edition).iter().map(Prefix::to_string).collect();
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    policies::library(vec![
        policies::tag("mark", &format!("{}:{}", mark >> 16, mark & 0xffff)),
        policies::without("some", &prefixes),
    ])
}

/// What stands for a day.
#[derive(PartialEq, Debug)]
struct Day {
    messages: u64,
    /// After each settling.
    tables: Vec<u64>,
    /// As in `Network`.
    kept: [u32; 3],
}

fn live_through(seed: u64, rounds: usize) -> Day {
    let mut network = Network::new(seed);
    network.settle();
    let mut tables = Vec::new();
    for _ in 0..rounds {
        for _ in 0..20 {
            network.disturb();
            let pause = Duration::from_millis([0, 5, 300, 4_000, 30_000][network.dice.roll(5)]);
            network.run(pause);
            network.what_is_kept_is_there();
        }
        network.revive_all();
        network.settle();
        network.check();
        tables.push(network.tables());
    }
    let flaps = (0..network.sides.len()).map(|at| network.net.downs(network.sides[at].end).len()).sum::<usize>();
    assert!(flaps > 0, "a day without trouble shows nothing");
    let agreed = |what: &str, is: fn(&Negotiated) -> bool| {
        let mut links = network.sides.iter().filter_map(|side| network.net.peer(side.end).negotiated());
        assert!(links.any(|negotiated| is(negotiated)), "no link is {what}");
    };
    agreed("internal", |negotiated| negotiated.kind == PeerKind::Internal);
    agreed("external", |negotiated| negotiated.kind == PeerKind::External);
    agreed("two-octet", |negotiated| !negotiated.four_octet_as);
    agreed("for IPv4 only", |negotiated| negotiated.families == [V4]);
    agreed("over IPv6", |negotiated| negotiated.remote.is_ipv6());
    agreed("with long-lived restart", |n| n.long_lived.as_ref().is_some_and(|families| !families.is_empty()));
    Day { messages: network.net.fingerprint(), tables, kept: network.kept }
}

#[test]
fn twenty_routers_agree_after_every_trouble_and_a_day_can_be_lived_again() {
    let seeds = std::env::var("NETWORK_SEEDS").unwrap_or_else(|_| "1,2,3".into());
    let mut kept = [0; 3];
    for (at, seed) in seeds.split(',').map(|seed| seed.parse().expect("NETWORK_SEEDS is a list of numbers")).enumerate()
    {
        println!("seed {seed}");
        let day = live_through(seed, 4);
        if at == 0 {
            assert_eq!(live_through(seed, 4), day, "the same day once more");
        }
        kept.iter_mut().zip(day.kept).for_each(|(sum, count)| *sum += count);
    }
    assert!(kept.iter().all(|count| *count > 0), "stale, long-lived stale and gone were seen: {kept:?}");
    println!("stale, long-lived stale, gone: {kept:?}");
}
