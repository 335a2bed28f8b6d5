//! RPKI in the engine: what validation says of each path, what policies make of it, and that a change of the data moves
//! exactly what it must, without asking any neighbour.

mod told;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;
use ribwatch::{
    config::Config,
    engine::{AddPathSelect, Input, RemovePrivate},
    policy::Library,
    types::{Asn, PathId, PeerId, PeerKind, Prefix, Role},
    validation::{Aspa, OriginState, PathState, PayloadSet, Snapshot, Update, Vrp, hypothesis::Hypothesis},
    view::{
        Answer, Nlri, Query, RouteRow, Table,
        what_if::{Then, WhatIfQuery, WhatIfRow, WhatIfTold},
    },
    wire::bgp::attribute::code,
};

use crate::lab::{Lab, OUR_AS, Who, external, internal, p, path};

/// A policy that rejects what is invalid, of either kind, and takes the rest.
fn drop_invalid() -> Arc<Library> {
    library(
        "[[policy.policy]]\nname = \"drop-invalid\"\n\
         [[policy.policy.statement]]\nname = \"rov\"\nmatch = { validation = \"invalid\" }\nverdict = \"reject\"\n\
         [[policy.policy.statement]]\nname = \"aspa\"\nmatch = { aspa = \"invalid\" }\nverdict = \"reject\"\n",
    )
}

/// The policies of a configuration.
fn library(text: &str) -> Arc<Library> {
    let text = format!("[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n{text}");
    Config::parse("f.toml", &text).unwrap_or_else(|error| panic!("{error}")).policy.library
}

fn vrp(prefix: &str, max_len: u8, asn: u32) -> Vrp {
    Vrp::new(p(prefix), max_len, Asn(asn)).expect("a VRP")
}

/// A path among all.
type Name = (Nlri, Option<PeerId>, PathId);

/// A lab that is told of RPKI data.
struct Validating {
    lab: Lab,
    snapshot: Arc<Snapshot>,
}

impl Validating {
    fn new() -> Self {
        Self::with(Lab::new())
    }

    /// In a confederation of ours with these other members, known outside under `id`.
    fn in_confederation(id: u32, members: &[u32]) -> Self {
        Self::with(Lab::in_confederation(id, members))
    }

    fn with(mut lab: Lab) -> Self {
        lab.handle(Input::Policies(drop_invalid()));
        Self { lab, snapshot: Arc::default() }
    }

    fn rpki(&mut self, vrps: &[Vrp], aspas: &[Aspa]) {
        let set = PayloadSet { vrps: vrps.to_vec(), aspas: aspas.to_vec() };
        let update = Update::between(&self.snapshot, Arc::new(Snapshot::of(0, &set)));
        self.snapshot = Arc::clone(&update.snapshot);
        self.lab.handle(Input::Rpki(Box::new(update)));
        self.lab.settle();
    }

    /// The counts by state are those of a walk through the table.
    fn check_counts(&mut self) {
        let rows = self.lab.table(Table::AdjIn, None).rows;
        for (peer, families) in self.lab.summary().neighbors {
            for counts in families {
                let of_family = || rows.iter().filter(|row| (row.peer, row.family) == (Some(peer), counts.family));
                let count = |code: fn(&RouteRow) -> u8| {
                    [0, 1, 2, 3].map(|state| of_family().filter(|row| code(row) == state).count() as u64)
                };
                let walked = (count(|row| row.validation.code()), count(|row| row.aspa.code()));
                assert_eq!((counts.validation, counts.aspa), walked, "{peer:?} {}", counts.family);
            }
        }
    }

    /// What would change with these data, read in pages of this size.
    fn what_if(&mut self, vrps: &[Vrp], aspas: &[Aspa], size: usize) -> (Vec<WhatIfRow>, Vec<WhatIfTold>) {
        let set = PayloadSet { vrps: vrps.to_vec(), aspas: aspas.to_vec() };
        let then = Arc::new(Snapshot::of(0, &set));
        let hypothesis = Arc::new(Hypothesis::new(Arc::clone(&self.snapshot), then));
        let (mut rows, mut told, mut cursor) = (Vec::new(), Vec::new(), None);
        loop {
            let hypothesis = Arc::clone(&hypothesis);
            let query = Query::WhatIf(WhatIfQuery { hypothesis, cursor, limit: size, scan_limit: size + 1 });
            let Ok(Answer::WhatIf(page)) = self.lab.ask(&query) else { panic!("it answers with a page") };
            rows.extend(page.rows);
            told.extend(page.told);
            cursor = page.next;
            if cursor.is_none() {
                return (rows, told);
            }
        }
    }

    /// Which prefixes these neighbours have from us.
    fn told(&self, whom: &[Who]) -> BTreeSet<(PeerId, Nlri)> {
        let of = |who: &Who| {
            let peer = self.lab.id(*who);
            let prefixes = self.lab.heard(*who).all().into_keys();
            prefixes.map(move |(_, prefix, _)| (peer, Nlri::Prefix(prefix))).collect::<Vec<_>>()
        };
        whom.iter().flat_map(of).collect()
    }

    /// Every path of every neighbour, as far as RPKI can change it.
    fn paths(&mut self) -> BTreeMap<Name, Then> {
        let rows = self.lab.table(Table::AdjIn, None).rows.into_iter();
        rows.map(|row| {
            let name = (row.nlri, row.peer, row.path_id);
            let RouteRow { validation, aspa, rejected_by, best, .. } = row;
            (name, Then { validation, aspa, rejected_by, best })
        })
        .collect()
    }

    /// The states of a neighbour's path.
    fn states(&mut self, who: Who, prefix: &str) -> (OriginState, PathState) {
        let page = self.lab.table(Table::AdjIn, Some(who));
        let nlri = ribwatch::view::Nlri::Prefix(p(prefix));
        let row = page.rows.iter().find(|row| row.nlri == nlri).expect("the path is there");
        (row.validation, row.aspa)
    }
}

#[test]
fn a_route_that_becomes_invalid_is_rejected_at_once_and_comes_back_without_a_refresh() {
    let mut v = Validating::new();
    let sender = v.lab.peer(external(64496).import(&["drop-invalid", "accept-all"]));
    let listener = v.lab.peer(external(64497));
    v.lab.announces(sender, "192.0.2.0/24", path("64496 64500"));
    v.lab.announces(sender, "198.51.100.0/24", path("64496 64500"));
    v.lab.settle();
    assert_eq!(v.states(sender, "192.0.2.0/24").0, OriginState::NotChecked, "nothing is known without data");
    assert!(v.lab.told(listener, "192.0.2.0/24").is_some());
    let messages = v.lab.handed(sender).messages;

    // RFC 6811 §2: a VRP for another AS.
    v.rpki(&[vrp("192.0.2.0/24", 24, 64501)], &[]);
    assert_eq!(v.states(sender, "192.0.2.0/24").0, OriginState::Invalid);
    assert_eq!(v.states(sender, "198.51.100.0/24").0, OriginState::NotFound);
    assert!(v.lab.told(listener, "192.0.2.0/24").is_none(), "withdrawn from those who had it");
    assert!(v.lab.told(listener, "198.51.100.0/24").is_some());
    let row = v.lab.table(Table::AdjIn, Some(sender)).rows.into_iter().find(|row| row.rejected_by.is_some());
    assert_eq!(row.expect("it is kept").rejected_by.as_deref(), Some("drop-invalid/rov"));

    // RFC 9324: no route refresh is needed, since what the neighbour sent is kept.
    v.rpki(&[vrp("192.0.2.0/24", 24, 64501), vrp("192.0.2.0/24", 24, 64500)], &[]);
    assert_eq!(v.states(sender, "192.0.2.0/24").0, OriginState::Valid);
    assert!(v.lab.told(listener, "192.0.2.0/24").is_some());
    assert_eq!(v.lab.handed(sender).messages, messages, "the sender heard nothing of it");
}

#[test]
fn an_export_policy_that_asks_for_validation_follows_it_and_others_hear_nothing() {
    let mut v = Validating::new();
    let sender = v.lab.peer(external(64496));
    let picky = v.lab.peer(external(64497).export(&["drop-invalid", "accept-all"]));
    let open = v.lab.peer(external(64498));
    v.lab.announces(sender, "192.0.2.0/24", path("64496 64500"));
    v.lab.announces(sender, "198.51.100.0/24", path("64496 64500"));
    v.lab.settle();
    let before = v.lab.heard(open).octets;
    // RFC 8893 §3: what is invalid is not told, though import takes it and it stays the best.
    v.rpki(&[vrp("192.0.2.0/24", 24, 64501)], &[]);
    assert_eq!(v.lab.told_prefixes(picky).into_iter().collect::<Vec<_>>(), ["198.51.100.0/24"]);
    v.rpki(&[vrp("192.0.2.0/24", 24, 64500)], &[]);
    assert!(v.lab.told(picky, "192.0.2.0/24").is_some());
    assert_eq!((v.lab.heard(picky).repeated, v.lab.heard(picky).unfounded.len()), (0, 0));
    assert_eq!(v.lab.heard(open).octets, before);
}

#[test]
fn origins_are_those_of_rfc_6811_section_2() {
    let mut v = Validating::new();
    v.rpki(&[vrp("192.0.2.0/24", 24, 64500), vrp("203.0.113.0/24", 24, OUR_AS)], &[]);
    let outside = v.lab.peer(external(64496));
    let inside = v.lab.peer(internal());
    let ends_in_a_set = [2, 1, 0, 0, 0xfb, 0xf0, 1, 2, 0, 0, 0xfb, 0xf4, 0, 0, 0xfb, 0xf5]; // 64496 {64500,64501}
    // A path that ends in an AS_SET has no origin; accepted here as a collector would.
    v.lab.announces(outside, "192.0.2.0/24", path("64496").raw(0x40, code::AS_PATH, &ends_in_a_set));
    assert_eq!(v.states(outside, "192.0.2.0/24").0, OriginState::Invalid);
    // An empty path is our own AS's.
    v.lab.announces(inside, "203.0.113.0/24", path(""));
    assert_eq!(v.states(inside, "203.0.113.0/24").0, OriginState::Valid);
    // §3: what is originated here is judged too, and again when the data change.
    v.lab.originates("203.0.113.0/24", &path("")).expect("it is originated");
    let own = |v: &mut Validating| {
        let rows = v.lab.table(Table::AdjIn, None).rows;
        rows.into_iter().find(|row| row.peer.is_none()).expect("our own route").validation
    };
    assert_eq!(own(&mut v), OriginState::Valid);
    v.rpki(&[vrp("203.0.113.0/24", 24, 64500)], &[]);
    assert_eq!(own(&mut v), OriginState::Invalid);
}

#[test]
fn paths_are_verified_in_the_direction_that_the_role_says() {
    let aspas = [Aspa::new(Asn(64500), vec![Asn(64496)]), Aspa::new(Asn(64496), vec![Asn(64499)])];
    let rows = [
        // (our role towards the neighbour, path, outcome, why)
        (Some(Role::Provider), "64496 64500", PathState::Valid, "up from a customer, attested"),
        (Some(Role::Provider), "64497 64500", PathState::Invalid, "64500 names another provider"),
        (Some(Role::Provider), "64497 64510", PathState::Unknown, "64510 attests nothing"),
        (Some(Role::Customer), "64497 64500", PathState::Valid, "down from a provider, two ASes are always possible"),
        (Some(Role::Customer), "64497 64496 64510", PathState::Unknown, "down: somebody attests nothing"),
        (None, "64497 64500", PathState::NotChecked, "no role, no direction"),
        (Some(Role::RouteServerClient), "64496 64500", PathState::Valid, "a route server is not in the path"),
    ];
    for (role, text, state, why) in rows {
        let mut v = Validating::new();
        v.rpki(&[], &aspas);
        let first: u32 = text.split(' ').next().and_then(|asn| asn.parse().ok()).expect("an AS");
        let server = role == Some(Role::RouteServerClient);
        let mut spec = external(if server { 64999 } else { first });
        spec.negotiated.local_role = role;
        assert_eq!(spec.negotiated.kind, PeerKind::External);
        let sender = v.lab.peer(spec);
        v.lab.announces(sender, "192.0.2.0/24", path(text));
        assert_eq!(v.states(sender, "192.0.2.0/24").1, state, "{role:?} {text}: {why}");
    }
}

/// Few enough prefixes and ASes that changes meet routes.
fn prefixes() -> impl Strategy<Value = Prefix> {
    (0u32..8, 20u8..=24).prop_map(|(n, len)| Prefix::v4(0xc000_0000 | n << 10, len))
}

fn vrps() -> impl Strategy<Value = Vec<Vrp>> {
    let vrp = (prefixes(), 0u8..3, 0u32..3);
    let vrp = vrp.prop_map(|(prefix, more, n)| Vrp { prefix, max_len: prefix.len() + more, asn: Asn(64500 + n) });
    prop::collection::vec(vrp, 0..12)
}

fn aspas() -> impl Strategy<Value = Vec<Aspa>> {
    let aspa = (0u32..4, prop::collection::vec(0u32..4, 1..3));
    let asn = |n: u32| Asn(if n == 3 { 64496 } else { 64500 + n });
    let aspa = aspa.prop_map(move |(n, of)| Aspa::new(asn(n), of.into_iter().map(asn).collect()));
    // An AS attests once: a table of several would join them.
    let once = |mut aspas: Vec<Aspa>| {
        aspas.sort_by_key(|aspa| aspa.customer);
        aspas.dedup_by_key(|aspa| aspa.customer);
        aspas
    };
    prop::collection::vec(aspa, 0..4).prop_map(once)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// What "what if" foretells is exactly what comes true, path by path and neighbour by neighbour, and asking changes
    /// nothing. 400 runs of three changes on the average.
    #[test]
    fn what_if_foretells_exactly_what_comes_true(
        routes in prop::collection::vec((prefixes(), 0u32..3, 0usize..3), 1..24),
        changes in prop::collection::vec((vrps(), prop::option::of(aspas()), 1usize..6), 1..6),
    ) {
        let mut v = Validating::new();
        let senders = [(64496, Some(Role::Provider)), (64497, Some(Role::Customer)), (64498, None)].map(|(asn, role)| {
            let mut spec = external(asn).import(&["drop-invalid", "accept-all"]);
            spec.negotiated.local_role = role;
            (v.lab.peer(spec), asn)
        });
        // Who is told: a policy that looks at the state, also of the origin that is left (RFC 8893), a client of a
        // route server, ADD-PATH.
        let picky = || external(64499).export(&["drop-invalid", "accept-all"]);
        let private = |options: &mut ribwatch::engine::ExportOptions| options.remove_private = Some(RemovePrivate::All);
        let client = |options: &mut ribwatch::engine::ExportOptions| options.route_server_client = true;
        let listeners = [
            v.lab.peer(picky()),
            v.lab.peer(picky().options(private)),
            v.lab.peer(picky().options(client)),
            v.lab.peer(picky().add_path(AddPathSelect::Best(2))),
        ];
        let everybody: Vec<Who> = senders.iter().map(|(who, _)| *who).chain(listeners).collect();
        for (prefix, n, at) in &routes {
            let (sender, asn) = senders[*at];
            let private = if *n == 1 { " 4200000001" } else { "" };
            v.lab.announces(sender, &prefix.to_string(), path(&format!("{asn} {}{private}", 64500 + n)));
            // Routes of our own take part, too.
            if *n == 2 {
                v.lab.originates(&prefix.to_string(), &path("")).expect("it is originated");
            }
        }
        v.lab.settle();
        let mut last = Vec::new();
        for (vrps, aspas, size) in changes {
            // Most changes are of VRPs alone, as most real ones are: then only what is inside them is walked.
            let aspas = aspas.unwrap_or(last);
            let before = v.paths();
            let told_before = v.told(&everybody);
            let (foretold, told_foretold) = v.what_if(&vrps, &aspas, size);
            prop_assert_eq!(&v.paths(), &before, "asking changes nothing");
            v.rpki(&vrps, &aspas);
            let told_after = v.told(&everybody);
            let rows = told_foretold.len();
            let named = |told: WhatIfTold| ((told.peer, told.nlri), told.told);
            let told_foretold: BTreeMap<(PeerId, Nlri), bool> = told_foretold.into_iter().map(named).collect();
            prop_assert_eq!(told_foretold.len(), rows, "each once");
            let changed = told_before.symmetric_difference(&told_after);
            let changed: BTreeMap<(PeerId, Nlri), bool> =
                changed.map(|one| (one.clone(), told_after.contains(one))).collect();
            prop_assert_eq!(told_foretold, changed);
            let after = v.paths();
            v.check_counts();
            let changed: BTreeMap<Name, Then> =
                after.into_iter().filter(|(name, then)| before.get(name) != Some(then)).collect();
            let rows = foretold.len();
            let foretold: BTreeMap<Name, Then> =
                foretold.into_iter().map(|row| ((row.now.nlri, row.now.peer, row.now.path_id), row.then)).collect();
            prop_assert_eq!(foretold.len(), rows, "each once");
            prop_assert_eq!(foretold, changed);
            last = aspas;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// After any sequence of changes every path has the state, and every neighbour was told, what validation from
    /// scratch gives.
    #[test]
    fn after_any_changes_all_is_as_if_validated_from_scratch(
        routes in prop::collection::vec((prefixes(), 0u32..3), 1..20),
        sets in prop::collection::vec(vrps(), 1..6),
    ) {
        let mut v = Validating::new();
        let sender = v.lab.peer(external(64496).import(&["drop-invalid", "accept-all"]));
        let listener = v.lab.peer(external(64497));
        let (before, after) = routes.split_at(routes.len() / 2);
        let announce = |v: &mut Validating, routes: &[(Prefix, u32)]| {
            for (prefix, n) in routes {
                v.lab.announces(sender, &prefix.to_string(), path(&format!("64496 {}", 64500 + n)));
            }
        };
        announce(&mut v, before);
        for (at, set) in sets.iter().enumerate() {
            v.rpki(set, &[]);
            if at == 0 {
                announce(&mut v, after);
            }
            v.lab.settle();
        }
        let held: std::collections::BTreeMap<Prefix, u32> = routes.iter().copied().collect();
        for (prefix, n) in held {
            let expected = v.snapshot.origin_state(prefix, Some(Asn(64500 + n)));
            prop_assert_eq!(v.states(sender, &prefix.to_string()).0, expected, "{}", prefix);
            let told = v.lab.told(listener, &prefix.to_string()).is_some();
            prop_assert_eq!(told, expected != OriginState::Invalid, "{}", prefix);
        }
    }
}
