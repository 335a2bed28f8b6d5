//! The malformed messages of the corpus through a daemon, seen from outside only: what its neighbour is told, whether
//! the session lives, what the RIB answers, what two other neighbours are sent, what is counted (RFC 7606 §2).
//!
//! Every case has a daemon of its own. The neighbour at fault has announced the prefix with another path before, so
//! that each outcome leaves another trace: `accept` and `attribute-discard` replace that route, `treat-as-withdraw`
//! takes it away, `session-reset` takes everything away, `ignore` leaves all as it was.

use std::collections::{BTreeMap, BTreeSet};

use ribwatch::{
    types::{Asn, Family, PeerKind, Prefix},
    view::{Answer, Query, RouteQuery, SessionState, Table},
    wire::bgp::{
        KEEPALIVE, MessageType,
        attribute::{AttrSet, AttrSetBuilder, NextHop, Origin, code, flag},
        batch::{ItemKind, UpdateBatch},
        capability::Capability,
        notification::Notification,
        update::{DecodeContext, EncodeContext, Rules, UpdateWriter, decode_update},
    },
};
use serde_json::Value;

use crate::{
    corpus,
    router::{Raw, Router},
};

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;

/// Our AS, and those of the neighbour at fault and of an honest one outside.
const OURS: u32 = 64512;
const FAULTY: u32 = 65001;
const OUTSIDE: u32 = 64497;

const FAULTY_ADDRESS: &str = "127.0.0.2";

/// Which attribute a case is about, where the fault is inside one: the rest of what it must cost is in the corpus.
const CULPRITS: &[(&str, u8)] = &[
    ("missing-origin", code::ORIGIN),
    ("missing-next-hop", code::NEXT_HOP),
    ("last-attr-length-overruns-total", code::NEXT_HOP),
    ("duplicate-origin", code::ORIGIN),
    ("duplicate-mp-reach", code::MP_REACH),
    ("origin-flags-optional", code::ORIGIN),
    ("origin-value-3", code::ORIGIN),
    ("as-path-unknown-segment-type", code::AS_PATH),
    ("as-path-segment-underrun", code::AS_PATH),
    ("as-path-contains-as0", code::AS_PATH),
    ("next-hop-length-5", code::NEXT_HOP),
    ("next-hop-multicast", code::NEXT_HOP),
    ("local-pref-from-ebgp", code::LOCAL_PREF),
    ("atomic-aggregate-length-1", code::ATOMIC_AGGREGATE),
    ("community-length-5", code::COMMUNITIES),
    ("originator-id-from-ebgp", code::ORIGINATOR_ID),
    ("cluster-list-length-6-ibgp", code::CLUSTER_LIST),
    ("large-community-length-13", code::LARGE_COMMUNITIES),
    ("unknown-well-known", 200),
    ("prefix-sid-bad-tlv-length", code::PREFIX_SID),
    ("as4-aggregator-from-new-speaker", code::AS4_AGGREGATOR),
    ("mp-reach-v6-prefix-129", code::MP_REACH),
    ("mp-unreach-too-short", code::MP_UNREACH),
    ("mp-reach-flags-transitive", code::MP_REACH),
];

/// What a case must cost.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Cost {
    Accept,
    Ignore,
    Discard,
    Withdraw,
    /// Any of these NOTIFICATIONs.
    Reset(Vec<String>),
}

struct Case {
    name: String,
    class: String,
    octets: Vec<u8>,
    internal: bool,
    cost: Cost,
    culprit: Option<u8>,
}

impl Case {
    fn read(value: &Value) -> Self {
        let field = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = field(&value["name"]);
        let expect = &value["expect"];
        let notifications = || expect["notification"].as_str().unwrap_or_default().split(" or ").map(str::to_owned);
        let cost = match expect["action"].as_str().unwrap_or_default() {
            // RFC 4271 §6.3 asks for 3/2. Our default is milder, see `Rules::unknown_well_known`; that the letter is
            // known too is checked in `vectors_update`.
            _ if name == "unknown-well-known" => Cost::Withdraw,
            "accept" => Cost::Accept,
            "ignore" => Cost::Ignore,
            "attribute-discard" => Cost::Discard,
            "treat-as-withdraw" => Cost::Withdraw,
            "session-reset" => Cost::Reset(notifications().collect()),
            // RFC 7606 §2 leaves the choice; ours is the reset, told as 3/9 (RFC 4760 §7).
            "afi-safi-disable-or-reset" => Cost::Reset(vec!["3/9".into()]),
            other => panic!("{name}: nobody knows the action {other:?}"),
        };
        Self {
            class: field(&value["class"]),
            octets: corpus::hex(&field(&value["hex"])),
            internal: value["session"]["type"] == "ibgp",
            culprit: CULPRITS.iter().find(|(case, _)| *case == name).map(|(_, culprit)| *culprit),
            cost,
            name,
        }
    }

    /// What the message announces, or would if it were right.
    fn prefix(&self) -> Option<Prefix> {
        let text = match (self.class.as_str(), self.name.as_str()) {
            ("header" | "open" | "refresh", _) | (_, "control-good-eor" | "mp-unreach-too-short") => return None,
            (_, "default-route") => "0.0.0.0/0",
            ("mp", _) | (_, "duplicate-mp-reach") => "2001:db8::/32",
            _ => "198.51.100.0/24",
        };
        Some(text.parse().expect("a prefix"))
    }
}

fn family_of(prefix: Prefix) -> Family {
    if prefix.is_v4() { V4 } else { V6 }
}

/// An UPDATE of one route with this path.
fn announcement(prefix: Prefix, path: &[u32], internal: bool) -> Vec<u8> {
    let family = family_of(prefix);
    let next_hop = if prefix.is_v4() { "192.0.2.1" } else { "2001:db8::1" };
    let path: Vec<Asn> = path.iter().copied().map(Asn).collect();
    let mut set = AttrSetBuilder::new();
    set.origin(Origin::Igp).as_path_sequence(&path).next_hop(family, NextHop::new(next_hop.parse().unwrap()));
    if internal {
        set.local_pref(100);
    }
    message(prefix, &set.finish())
}

fn message(prefix: Prefix, attrs: &[u8]) -> Vec<u8> {
    let mut writer = UpdateWriter::new(EncodeContext::new());
    writer.announce(family_of(prefix), AttrSet::new(attrs));
    writer.push_prefix(0, prefix);
    writer.take().octets
}

/// An honest neighbour that is told everything, with the routes that it has from us by now.
struct Observer {
    raw: Raw,
    routes: BTreeMap<Prefix, Vec<u8>>,
}

impl Observer {
    fn connect(address: &str, port: u16, asn: u32) -> Self {
        let mut raw = Raw::dial(address, port);
        raw.open(asn, 90, vec![Capability::MultiProtocol(V4), Capability::MultiProtocol(V6)]);
        raw.establish();
        Self { raw, routes: BTreeMap::new() }
    }

    /// Reads on until the routes are as `wanted` says.
    fn read_until(&mut self, wanted: impl Fn(&BTreeMap<Prefix, Vec<u8>>) -> bool) {
        while !wanted(&self.routes) {
            let update = self.raw.next_of(MessageType::Update);
            // Read as an internal neighbour reads it: nothing is dropped unseen, and a fault in it is ours.
            let rules = Rules { loopback_next_hop: true, ..Rules::strict() };
            let context = DecodeContext { rules, ..DecodeContext::new(PeerKind::Internal) };
            let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
            decode_update(&update, &context, &mut batch, &mut faults).expect("what we send can be decoded");
            assert!(faults.is_empty(), "what we send is without faults: {faults:?}");
            for item in batch.iter() {
                for (_, prefix) in item.prefixes() {
                    match item.kind {
                        ItemKind::Announce => drop(self.routes.insert(prefix, item.attrs.as_bytes().to_vec())),
                        ItemKind::Withdraw => drop(self.routes.remove(&prefix)),
                        ItemKind::EndOfRib => {}
                    }
                }
            }
        }
    }

    fn set(&self, prefix: Prefix) -> Option<AttrSet<'_>> {
        self.routes.get(&prefix).map(|octets| AttrSet::new(octets))
    }
}

/// A daemon, the neighbour at fault, and two that are told what comes of it: one in another AS, one in ours.
struct Stage {
    hub: Router,
    faulty: Raw,
    observers: [Observer; 2],
    internal: bool,
    markers: u8,
}

impl Stage {
    fn new(internal: bool) -> Self {
        let faulty_asn = if internal { OURS } else { FAULTY };
        let neighbor = |address: &str, asn: u32| {
            format!(
                "[[neighbor]]\naddress = \"{address}\"\nremote_asn = {asn}\npassive = true\n\
                 import = [\"accept-all\"]\nexport = [\"accept-all\"]\n"
            )
        };
        let neighbors =
            [neighbor(FAULTY_ADDRESS, faulty_asn), neighbor("127.0.0.3", OUTSIDE), neighbor("127.0.0.4", OURS)];
        let hub = Router::start(OURS, "127.0.0.1:0", &neighbors.concat());
        let observers = [("127.0.0.3", OUTSIDE), ("127.0.0.4", OURS)]
            .map(|(address, asn)| Observer::connect(address, hub.port(), asn));
        let faulty = Raw::dial(FAULTY_ADDRESS, hub.port());
        Self { hub, faulty, observers, internal, markers: 0 }
    }

    fn establish(&mut self) {
        let asn = if self.internal { OURS } else { FAULTY };
        let capabilities = vec![
            Capability::MultiProtocol(V4),
            Capability::MultiProtocol(V6),
            Capability::RouteRefresh,
            Capability::EnhancedRouteRefresh,
        ];
        self.faulty.open(asn, 90, capabilities);
        self.faulty.establish();
    }

    /// The path that the neighbour at fault puts in front of these ASes.
    fn path(&self, behind: &[u32]) -> Vec<u32> {
        let first = (!self.internal).then_some(FAULTY);
        first.into_iter().chain(behind.iter().copied()).collect()
    }

    /// Who of the two can be told of a route of the neighbour at fault: not ours, if that is ours as well (RFC 4271
    /// §9.2); not the one outside, if it is IPv6 over a session without an IPv6 address of ours.
    fn hearers(&self, prefix: Prefix) -> BTreeSet<usize> {
        let outside = prefix.is_v4().then_some(0);
        let inside = (!self.internal).then_some(1);
        outside.into_iter().chain(inside).collect()
    }

    /// The neighbour announces a route, and everybody who can hear of it has heard.
    fn announces(&mut self, prefix: Prefix, behind: &[u32]) {
        let path = self.path(behind);
        self.faulty.send(&announcement(prefix, &path, self.internal));
        for who in self.hearers(prefix) {
            self.observers[who].read_until(|routes| {
                routes.get(&prefix).is_some_and(|set| {
                    let told: Vec<Asn> = AttrSet::new(set).as_path().asns().collect();
                    told.ends_with(&path.iter().copied().map(Asn).collect::<Vec<_>>())
                })
            });
        }
    }

    /// Everything that was sent before has had its effect: a second marker leaves only after what came before the
    /// first one.
    fn settle(&mut self) {
        for _ in 0..2 {
            self.markers += 1;
            self.announces(Prefix::v4(0xcb00_7100 + u32::from(self.markers), 32), &[]);
        }
    }

    /// Attributes of the routes of the neighbour at fault in a table.
    fn held(&self, table: Table, prefix: Prefix) -> Option<Vec<u8>> {
        let neighbor = Some(self.hub.peer(FAULTY_ADDRESS));
        let query = RouteQuery { table, neighbor, limit: 100, scan_limit: 100, ..RouteQuery::default() };
        let Answer::Routes(page) = self.hub.query(Query::Routes(query)) else { panic!("not routes") };
        let wanted = ribwatch::view::Nlri::Prefix(prefix);
        page.rows.iter().find(|row| row.nlri == wanted).map(|row| page.attrs(row).as_bytes().to_vec())
    }

    /// The counters of the neighbour at fault: attribute, outcome, how many.
    fn faults(&self) -> Vec<(Option<u8>, &'static str, u64)> {
        let view = self.hub.neighbor(FAULTY_ADDRESS);
        view.faults.iter().map(|row| (row.attribute, row.outcome, row.count)).collect()
    }
}

/// Before it becomes wrong, the neighbour has said something right about the same prefix.
const BEFORE: &[u32] = &[64999];

fn play(case: &Case) {
    let mut stage = Stage::new(case.internal);
    if case.class == "open" {
        return play_open(case, stage);
    }
    stage.establish();
    let other: Prefix = "192.0.2.0/24".parse().unwrap();
    let prefixes: Vec<Prefix> = case.prefix().into_iter().chain([other]).collect();
    for prefix in &prefixes {
        stage.announces(*prefix, BEFORE);
    }
    stage.faulty.send(&case.octets);
    match &case.cost {
        Cost::Reset(notifications) => is_reset(case, &mut stage, notifications, &prefixes),
        _ => lives(case, &mut stage),
    }
}

fn lives(case: &Case, stage: &mut Stage) {
    let name = &case.name;
    stage.settle();
    let view = stage.hub.neighbor(FAULTY_ADDRESS);
    assert_eq!((view.state, view.flaps), (SessionState::Established, 0), "{name}: {:?}", view.last_error);
    let counted = match case.cost {
        Cost::Discard => vec![(case.culprit, "discard", 1)],
        Cost::Withdraw => vec![(case.culprit, "withdraw", 1)],
        _ => vec![],
    };
    assert_eq!(stage.faults(), counted, "{name}: counters");
    let Some(prefix) = case.prefix() else { return };

    let held = stage.held(Table::AdjIn, prefix);
    if case.cost == Cost::Withdraw {
        assert_eq!(held, None, "{name}: Adj-RIB-In");
        assert_eq!(stage.held(Table::Loc, prefix), None, "{name}: Loc-RIB");
        for observer in &stage.observers {
            assert!(observer.set(prefix).is_none(), "{name}: was not withdrawn");
        }
        return;
    }
    let held = held.unwrap_or_else(|| panic!("{name}: the route is not in Adj-RIB-In"));
    let expected = stage.path(&[]).iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(AttrSet::new(&held).as_path().to_string(), expected, "{name}: replaces what was said before");
    assert_eq!(stage.held(Table::Loc, prefix).as_ref(), Some(&held), "{name}: Loc-RIB");
    for who in stage.hearers(prefix) {
        let told = stage.observers[who].set(prefix).unwrap_or_else(|| panic!("{name}: observer {who} was not told"));
        let own = if who == 0 { format!("{OURS} ") } else { String::new() };
        assert_eq!(told.as_path().to_string(), format!("{own}{expected}"), "{name}: told to observer {who}");
        has_exactly_the_right_attributes(case, who, AttrSet::new(&held), told);
    }
}

/// What was discarded is gone here and in what others are told; what was only unknown goes on as partial.
fn has_exactly_the_right_attributes(case: &Case, who: usize, held: AttrSet<'_>, told: AttrSet<'_>) {
    let name = &case.name;
    let mandatory = BTreeSet::from([code::ORIGIN, code::AS_PATH, next_hop_code(told)]);
    let extra = |set: AttrSet<'_>| -> Vec<(u8, u8, Vec<u8>)> {
        let others = set.iter().filter(|(_, code, _)| !mandatory.contains(code));
        others.map(|(flags, code, value)| (flags, code, value.to_vec())).collect()
    };
    // Inside our AS every route has a LOCAL_PREF; it is our default, whatever came from outside (RFC 4271 §5.1.5).
    let local_pref = (flag::TRANSITIVE, code::LOCAL_PREF, 100_u32.to_be_bytes().to_vec());
    let ours: Vec<_> = (who == 1).then_some(local_pref).into_iter().collect();
    let partial = flag::OPTIONAL | flag::TRANSITIVE | flag::PARTIAL;
    let unknown: Vec<(u8, u8, Vec<u8>)> = match name.as_str() {
        // RFC 4271 §5: unrecognised, optional, transitive.
        "unknown-optional-transitive" => vec![(partial, 200, b"hello".to_vec())],
        "attr-28-garbage" => vec![(partial, 28, (0..40).collect())],
        _ => vec![],
    };
    assert_eq!(extra(told), [ours, unknown.clone()].concat(), "{name}: attributes told to observer {who}");
    assert_eq!(extra(held), unknown, "{name}: attributes in Adj-RIB-In");
}

fn next_hop_code(set: AttrSet<'_>) -> u8 {
    if set.get(code::NEXT_HOP).is_some() { code::NEXT_HOP } else { code::MP_REACH }
}

fn is_reset(case: &Case, stage: &mut Stage, notifications: &[String], prefixes: &[Prefix]) {
    let name = &case.name;
    let told = Notification::decode(&stage.faulty.next_of(MessageType::Notification)).expect("a good NOTIFICATION");
    let told = format!("{}/{}", told.code, told.subcode);
    assert!(notifications.contains(&told), "{name}: told {told} instead of {notifications:?}");
    assert!(stage.faulty.next().is_none(), "{name}: nothing follows a NOTIFICATION, the connection is closed");

    for who in 0..stage.observers.len() {
        stage.observers[who].read_until(|routes| prefixes.iter().all(|prefix| !routes.contains_key(prefix)));
    }
    for prefix in prefixes {
        assert_eq!(stage.held(Table::Loc, *prefix), None, "{name}: {prefix} outlived its session");
    }
    let view = stage.hub.neighbor(FAULTY_ADDRESS);
    assert_ne!(view.state, SessionState::Established, "{name}");
    assert_eq!((view.flaps, view.sent.notification), (1, 1), "{name}");
    assert!(view.last_error.is_some_and(|error| !error.is_empty()), "{name}: says why");
    assert_eq!(stage.faults(), [(case.culprit, "reset", 1)], "{name}: counters");
}

/// The neighbour's OPEN is at fault, or only looks like it.
fn play_open(case: &Case, mut stage: Stage) {
    let name = &case.name;
    stage.faulty.send(&case.octets);
    match &case.cost {
        Cost::Reset(notifications) => {
            let told = stage.faulty.next_of(MessageType::Notification);
            let told = Notification::decode(&told).expect("a good NOTIFICATION");
            let told = format!("{}/{}", told.code, told.subcode);
            assert!(notifications.contains(&told), "{name}: told {told} instead of {notifications:?}");
            assert!(stage.faulty.next().is_none(), "{name}: nothing follows a NOTIFICATION");
            stage.hub.await_neighbors(name, |views| views.iter().any(|view| view.sent.notification == 1));
            let view = stage.hub.neighbor(FAULTY_ADDRESS);
            assert_eq!((view.flaps, view.established_at), (0, None), "{name}: it never was a session");
            assert!(view.last_error.is_some_and(|error| !error.is_empty()), "{name}: says why");
            assert_eq!(stage.faults(), [(None, "reset", 1)], "{name}: counters");
        }
        Cost::Accept => {
            stage.faulty.next_of(MessageType::Open);
            stage.faulty.send(&KEEPALIVE);
            stage.hub.await_state(FAULTY_ADDRESS, SessionState::Established);
            stage.settle();
            assert_eq!(stage.faults(), [], "{name}: counters");
        }
        other => panic!("{name}: {other:?} means nothing for an OPEN"),
    }
}

#[test]
fn every_malformed_message_costs_a_live_session_exactly_what_the_rfcs_ask() {
    let Some(values) = corpus::json_lines("vectors/malformed-rfc7606.jsonl") else { return };
    let cases: Vec<Case> = values.iter().map(Case::read).collect();
    assert!(cases.len() >= 48, "only {} cases were found", cases.len());
    for (culprit, _) in CULPRITS {
        assert!(cases.iter().any(|case| case.name == *culprit), "the corpus has no case {culprit} any more");
    }
    let mut wrong = Vec::new();
    for case in &cases {
        // All of them are played, so that one run shows everything that is wrong.
        let played = std::panic::catch_unwind(|| play(case));
        if played.is_err() {
            wrong.push(&case.name);
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases: {wrong:?}; each one's message is above", wrong.len(), cases.len());
}

#[test]
fn a_local_pref_of_another_as_is_forgotten_before_ours_hears_of_the_route() {
    // RFC 7606 §7.5. The corpus says 100, which is our default too; here the two can be told apart.
    let mut stage = Stage::new(false);
    stage.establish();
    let prefix: Prefix = "198.51.100.0/24".parse().unwrap();
    let mut set = AttrSetBuilder::new();
    set.origin(Origin::Igp)
        .as_path_sequence(&[Asn(FAULTY)])
        .next_hop(V4, NextHop::new("192.0.2.1".parse().unwrap()))
        .local_pref(7);
    stage.faulty.send(&message(prefix, &set.finish()));
    stage.settle();
    let [outside, inside] =
        stage.observers.each_ref().map(|observer| observer.set(prefix).expect("is told").local_pref());
    assert_eq!((outside, inside), (None, Some(100)));
    assert_eq!(stage.faults(), [(Some(code::LOCAL_PREF), "discard", 1)]);
}
