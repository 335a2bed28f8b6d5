//! Random neighbours against an obvious model: what the engine selects, what it says it told each neighbour, and what
//! each neighbour really has must be what a slow reading of the RFCs gives. Every run prints its seed;
//! `SIMULATION_SEEDS=7,8,9` runs others. The model is in `model`.

mod model;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ribwatch::{
    engine::{AddPathSelect, ExportOptions, NextHopRule, PeerSettings},
    types::{Family, PathId, PeerKind, Prefix},
    view::{Nlri, Query, Table},
    wire::bgp::{
        RefreshSubtype,
        attribute::AttrSet,
        community::Community,
        orf::{OrfChange, OrfEntry, OrfMatch, WhenToRefresh},
    },
};

use self::model::Model;
use crate::lab::{Attrs, Lab, OUR_AS, Spec, Who, external, family_of, internal, p, path};

/// A small generator of numbers: the same seed gives the same run on every machine.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

/// An attribute that nobody knows, to make routes heavy: queues fill within a run.
const BULK: u8 = 222;

fn neighbours() -> Vec<Spec> {
    vec![
        external(64496),
        external(64497),
        external(64498).enhanced_refresh(),
        external(64499).two_octet_as(),
        internal(),
        internal().next_hop_self(),
        external(64500).import(&[]),
        external(64501).export(&[]),
        external(64502).monitor_only(),
        external(64503),
        internal(),
        external(64508).add_path(AddPathSelect::All),
        external(64509).add_path(AddPathSelect::Best(2)),
        internal().add_path(AddPathSelect::PerNeighborAs),
        external(64510).options(|options| options.route_server_client = true),
        external(64511).options(|options| options.route_server_client = true),
        external(64513).options(|options| options.route_server_client = true),
        // A second router of a client's AS: the MED of one removes the path of the other, but not for itself.
        external(64511).options(|options| options.route_server_client = true),
    ]
}

/// Others, for every second run.
fn other_neighbours() -> Vec<Spec> {
    vec![
        external(64496),
        external(64497),
        internal(),
        internal().next_hop_self(),
        // Clients that are sent several paths: none of them their own.
        external(64514).add_path(AddPathSelect::Best(2)).options(|options| options.route_server_client = true),
        external(64515).add_path(AddPathSelect::Best(2)).options(|options| options.route_server_client = true),
        external(64515).add_path(AddPathSelect::Best(2)).options(|options| options.route_server_client = true),
        external(64516).add_path(AddPathSelect::PerNeighborAs).options(|options| options.route_server_client = true),
        external(64516).add_path(AddPathSelect::PerNeighborAs).options(|options| options.route_server_client = true),
        external(64517).add_path(AddPathSelect::PerNeighborAs).options(|options| options.route_server_client = true),
        // Neighbours whose announcements wait.
        external(64518).add_path(AddPathSelect::All).options(waits),
        external(64519).add_path(AddPathSelect::Best(2)).options(waits),
        external(64520).options(waits).options(|options| options.route_server_client = true),
        external(64521).options(waits).options(|options| options.route_server_client = true),
        // Neighbours that say by prefixes what they want.
        external(64522).sends_filters(),
        external(64523).sends_filters(),
        external(64524).sends_filters().add_path(AddPathSelect::All),
    ]
}

fn waits(options: &mut ExportOptions) {
    options.advertisement_interval = Duration::from_secs(1);
}

struct Run {
    dice: Dice,
    lab: Lab,
    model: Model,
    prefixes: Vec<Prefix>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut lab = Lab::new();
        let specs = if seed.is_multiple_of(2) { neighbours() } else { other_neighbours() };
        for spec in &specs {
            lab.peer(spec.clone());
        }
        let addresses = (0..specs.len()).map(|who| lab.address(who)).collect();
        let prefixes = (0..60).map(|i| p(&format!("10.{}.{}.0/{}", i / 8, i % 8 * 32, [19, 20, 24][i % 3]))).collect();
        Self {
            dice: Dice(seed),
            lab,
            model: Model { specs, addresses, paths: BTreeMap::new(), filters: BTreeMap::new() },
            prefixes,
        }
    }

    fn attrs(&mut self, who: Option<Who>) -> Attrs {
        let mut asns = Vec::new();
        if let Some(who) = who
            && self.model.specs[who].negotiated.kind == PeerKind::External
        {
            asns.push(self.model.specs[who].negotiated.peer_asn.0);
        }
        for _ in 0..self.dice.roll(3) {
            asns.push(*self.dice.pick(&[64505, 64506, 65_536, 64_507]));
        }
        if self.dice.roll(25) == 0 {
            asns.push(OUR_AS);
        }
        let asns: Vec<String> = asns.iter().map(u32::to_string).collect();
        let mut attrs = path(&asns.join(" "));
        if self.dice.roll(3) == 0 {
            attrs = attrs.med(self.dice.roll(3) as u32);
        }
        if who.is_none_or(|who| self.model.specs[who].negotiated.kind == PeerKind::Internal) && self.dice.roll(3) == 0 {
            attrs = attrs.local_pref(99 + self.dice.roll(3) as u32);
        }
        match self.dice.roll(20) {
            0 => attrs = attrs.community(Community::NO_EXPORT),
            1 => attrs = attrs.community(Community::NO_ADVERTISE),
            _ => {}
        }
        if self.dice.roll(2) == 0 {
            let octet = self.dice.roll(4) as u8;
            attrs = attrs.raw(0xc0, BULK, &vec![octet; 3500]);
        }
        attrs
    }

    fn announce(&mut self, who: Who, prefix: Prefix, attrs: &Attrs) {
        // Neighbour 0 sends two paths now and then.
        let path_id = if who == 0 { self.dice.roll(3) as PathId } else { 0 };
        let octets = attrs.octets(family_of(prefix), self.model.addresses[who]);
        self.model.paths.insert((prefix, (Some(who), path_id)), octets);
        self.lab.announces_paths(who, &[(path_id, prefix)], attrs);
    }

    fn step(&mut self) {
        let who = self.dice.roll(self.model.specs.len());
        let prefix = *self.dice.pick(&self.prefixes);
        let up = self.lab.is_up(who);
        match self.dice.roll(104) {
            0..50 if up => {
                let attrs = self.attrs(Some(who));
                for _ in 0..1 + self.dice.roll(4) {
                    let prefix = *self.dice.pick(&self.prefixes);
                    self.announce(who, prefix, &attrs);
                }
            }
            50..68 if up => {
                let path_id = if who == 0 { self.dice.roll(3) as PathId } else { 0 };
                self.model.paths.remove(&(prefix, (Some(who), path_id)));
                self.lab.withdraws_paths(who, &[(path_id, prefix)]);
            }
            68..70 if up => {
                self.lab.down(who);
                self.model.forget(who);
            }
            68..75 if !up => self.lab.up(who),
            75..77 if up => {
                self.lab.refreshes(who, RefreshSubtype::Request);
                self.model.enforce_filter(who);
            }
            77 if up => self.refresh_in(who),
            78..81 => self.originate(prefix),
            81..84 => {
                let reading = self.dice.roll(2) == 0;
                self.lab.reads(who, reading);
            }
            84..87 => {
                self.lab.now = self.lab.now + Duration::from_millis(400);
            }
            87..98 => {
                self.lab.flush();
            }
            98 if self.dice.roll(2) == 0 => self.change_settings(who),
            98 => self.what_was_handed_out_is_known(),
            99 if self.dice.roll(4) == 0 => self.storm(who),
            99 => self.check_all(),
            100..104 => self.filter(),
            _ => {}
        }
    }

    /// A neighbour that says what it wants wants something else.
    fn filter(&mut self) {
        let able = |who: &Who| !self.model.specs[*who].negotiated.filters_received.is_empty();
        let able: Vec<Who> = (0..self.model.specs.len()).filter(|who| self.lab.is_up(*who)).filter(able).collect();
        if able.is_empty() {
            return;
        }
        let who = *self.dice.pick(&able);
        let mut changes = Vec::new();
        for _ in 0..1 + self.dice.roll(3) {
            let prefix = *self.dice.pick(&[p("0.0.0.0/0"), p("10.0.0.0/14"), p("10.4.0.0/14"), p("10.1.0.0/16")]);
            let decision = *self.dice.pick(&[OrfMatch::Permit, OrfMatch::Permit, OrfMatch::Deny]);
            let (min_len, max_len) = *self.dice.pick(&[(prefix.len(), 32), (19, 20), (prefix.len(), 19)]);
            let entry = OrfEntry { sequence: self.dice.roll(5) as u32, decision, prefix, min_len, max_len };
            let mine = self.model.entry(who, entry.sequence);
            changes.push(match (self.dice.roll(6), mine) {
                (0, _) => OrfChange::RemoveAll,
                (1, Some(mine)) => OrfChange::Remove(mine),
                _ => OrfChange::Add(entry),
            });
        }
        let when = *self.dice.pick(&[WhenToRefresh::Immediate, WhenToRefresh::Immediate, WhenToRefresh::Defer]);
        match when {
            WhenToRefresh::Immediate => {
                self.model.change_filter(who, &changes);
                self.model.enforce_filter(who);
            }
            // What is deferred may be in force with an earlier request that nothing came of yet.
            WhenToRefresh::Defer => {
                self.lab.flush();
                self.model.change_filter(who, &changes);
            }
        }
        self.lab.filters(who, when, &changes);
    }

    /// What a neighbour is sent depends on something else from now on.
    fn change_settings(&mut self, who: Who) {
        let roll = self.dice.roll(8);
        // Neighbours of one kind often change together.
        let all = self.dice.roll(2) == 0;
        let kind = self.model.specs[who].negotiated.kind;
        let those: Vec<Who> = (0..self.model.specs.len())
            .filter(|other| *other == who || all && self.model.specs[*other].negotiated.kind == kind)
            .collect();
        for who in those {
            let change = |settings: &mut PeerSettings| {
                let options = &mut settings.export_options;
                match roll {
                    0 if !options.route_server_client => {
                        options.next_hop = match options.next_hop {
                            NextHopRule::Standard => NextHopRule::OwnAddress,
                            _ => NextHopRule::Standard,
                        };
                    }
                    1 => options.graceful_shutdown ^= true,
                    2 => options.route_reflector_client = !options.route_reflector_client && kind == PeerKind::Internal,
                    3 => options.add_path = AddPathSelect::Best(1),
                    4 => options.add_path = AddPathSelect::All,
                    5 => options.add_path = AddPathSelect::PerNeighborAs,
                    6 if options.default_originate.is_empty() => options.default_originate.push(Family::IPV4_UNICAST),
                    6 => options.default_originate.clear(),
                    _ if settings.export.is_empty() => settings.export.push("accept-all".into()),
                    _ => settings.export.clear(),
                }
                // IBGP without a policy accepts everything (RFC 8212 is about EBGP); the model knows names only.
                if kind == PeerKind::Internal && settings.export.is_empty() {
                    settings.export.push("reject-all".into());
                } else if settings.export.len() > 1 {
                    settings.export.remove(0);
                }
            };
            change(&mut self.model.specs[who].settings);
            if self.lab.is_up(who) {
                self.lab.reconfigure(who, change);
            } else {
                self.lab.configure(who, change);
            }
        }
    }

    /// A neighbour stops reading while so much changes that its queue fills and the others go on without it.
    fn storm(&mut self, slow: Who) {
        self.lab.reads(slow, false);
        for round in 0..1200 {
            let prefix = *self.dice.pick(&self.prefixes);
            self.originate(prefix); // what we originate is always best, so every change goes out
            if round % 3 == 0 {
                self.lab.now = self.lab.now + Duration::from_millis(10);
                self.lab.flush();
            }
        }
        self.what_was_handed_out_is_known();
    }

    /// The neighbour sends a part of its routes again between marks; the rest is gone.
    fn refresh_in(&mut self, who: Who) {
        self.lab.settle_reading();
        self.lab.refreshes(who, RefreshSubtype::BeginOfRefresh);
        let mine: Vec<(Prefix, PathId, Vec<u8>)> = self
            .model
            .paths
            .iter()
            .filter(|((_, (source, _)), _)| *source == Some(who))
            .map(|((prefix, (_, path_id)), octets)| (*prefix, *path_id, octets.clone()))
            .collect();
        for (prefix, path_id, octets) in mine {
            if self.dice.roll(3) == 0 {
                self.model.paths.remove(&(prefix, (Some(who), path_id)));
            } else {
                self.lab.announces_octets(who, (path_id, prefix), &octets);
            }
        }
        self.lab.refreshes(who, RefreshSubtype::EndOfRefresh);
    }

    fn originate(&mut self, prefix: Prefix) {
        let family = family_of(prefix);
        if self.dice.roll(4) > 0 {
            let attrs = self.attrs(None);
            let octets = attrs.octets(family, "0.0.0.0".parse().unwrap());
            self.lab.originates(&prefix.to_string(), &attrs).expect("a good route");
            self.model.paths.insert((prefix, (None, 0)), octets);
        } else {
            self.lab.ask(&Query::Withdraw { family, nlri: prefix.into() }).expect("a good question");
            self.model.paths.remove(&(prefix, (None, 0)));
        }
    }

    /// At any moment, settled or not: Adj-RIB-Out is what a neighbour has once it has read its queue.
    fn what_was_handed_out_is_known(&mut self) {
        for who in 0..self.model.specs.len() {
            if !self.lab.is_up(who) {
                continue;
            }
            let handed = self.lab.handed(who);
            assert_eq!(handed.unfounded, [], "withdrawals are exact, neighbour {who}");
            assert_eq!(self.adj_out(who), handed.all(), "Adj-RIB-Out of neighbour {who}");
        }
    }

    fn adj_out(&mut self, who: Who) -> BTreeMap<(Family, Prefix, PathId), Vec<u8>> {
        let page = self.lab.table(Table::AdjOut, Some(who));
        let rows = page.rows.iter().map(|row| {
            let Nlri::Prefix(prefix) = row.nlri else { panic!("a prefix") };
            ((row.family, prefix, row.path_id), page.attrs(row).as_bytes().to_vec())
        });
        rows.collect()
    }

    /// Everybody reads, everything settles, and everything is compared.
    fn check_all(&mut self) {
        self.lab.settle_reading();
        self.lab.advance(Duration::from_secs(2));
        self.what_was_handed_out_is_known();
        let page = self.lab.table(Table::Loc, None);
        let selected: BTreeMap<Prefix, (Option<_>, PathId)> = page
            .rows
            .iter()
            .map(|row| {
                let Nlri::Prefix(prefix) = row.nlri else { panic!("a prefix") };
                (prefix, (row.peer, row.path_id))
            })
            .collect();
        let expected: BTreeMap<Prefix, (Option<_>, PathId)> = self
            .announced()
            .into_iter()
            .filter_map(|prefix| {
                let ((source, path_id), _) = self.model.best(prefix)?;
                Some((prefix, (source.map(|who| self.lab.id(who)), path_id)))
            })
            .collect();
        assert_eq!(selected, expected, "Loc-RIB");
        let summary = self.lab.summary();
        assert_eq!(summary.tables.iter().map(|table| table.paths).sum::<u64>(), self.model.paths.len() as u64);
        for who in 0..self.model.specs.len() {
            if !self.lab.is_up(who) {
                continue;
            }
            let mut prefixes = self.announced();
            prefixes.insert(p("0.0.0.0/0"));
            let told: Vec<(Prefix, Vec<u8>)> = prefixes
                .into_iter()
                .flat_map(|prefix| self.model.told(who, prefix).into_iter().map(move |octets| (prefix, octets)))
                .collect();
            let has = self.lab.heard(who).all();
            let mut has: Vec<(Prefix, Vec<u8>)> = has.into_iter().map(|((_, p, _), octets)| (p, octets)).collect();
            has.sort();
            if has != told {
                let short = |routes: &[(Prefix, Vec<u8>)]| -> Vec<String> {
                    let one = |(prefix, octets): &(Prefix, Vec<u8>)| {
                        let set = AttrSet::new(octets);
                        format!("{prefix} via {:?} path {} med {:?}", set.next_hop(), set.as_path(), set.med())
                    };
                    routes.iter().map(one).collect()
                };
                panic!("neighbour {who} has {:#?} and should have {:#?}", short(&has), short(&told));
            }
            let counts = summary.neighbors.iter().find(|(peer, _)| *peer == self.lab.id(who)).unwrap().1[0];
            let received = self.model.paths.keys().filter(|(_, (source, _))| *source == Some(who)).count();
            assert_eq!((counts.received, counts.advertised), (received as u64, told.len() as u64), "neighbour {who}");
        }
    }

    fn announced(&self) -> BTreeSet<Prefix> {
        self.model.paths.keys().map(|(prefix, _)| *prefix).collect()
    }
}

#[test]
fn random_neighbours_always_have_what_the_rules_say() {
    let seeds = std::env::var("SIMULATION_SEEDS").unwrap_or_else(|_| "1,2,3,4".into());
    for seed in seeds.split(',').map(|seed| seed.parse().expect("SIMULATION_SEEDS is a list of numbers")) {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        for _ in 0..2000 {
            run.step();
        }
        run.check_all();
        for who in 0..run.model.specs.len() {
            if run.lab.is_up(who) {
                run.lab.down(who);
            }
        }
        let mine: Vec<Prefix> = run.announced().into_iter().collect();
        for prefix in mine {
            run.lab.ask(&Query::Withdraw { family: family_of(prefix), nlri: prefix.into() }).expect("a good question");
        }
        run.lab.settle();
        let summary = run.lab.summary();
        assert_eq!(summary.attribute_sets, 0, "nothing is left behind");
        assert!(summary.tables.iter().all(|table| table.paths == 0 && table.best == 0));
    }
}
