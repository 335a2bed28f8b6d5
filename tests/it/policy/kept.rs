//! After any updates, policy changes and option changes the tables are those of an engine that was told the final
//! routes under the final policies and nothing else.

use std::collections::BTreeMap;

use ribwatch::{
    engine::Input,
    types::{PathId, Prefix, Role},
    view::{RouteRow, Table},
    wire::bgp::community::Community,
};

use super::{as_role, library, policy};
use crate::{
    lab::{Attrs, Lab, Spec, Who, external, internal, p, path},
    simulation::Dice,
};

/// What `in`, `out` and `also` mean, in several versions.
fn libraries() -> Vec<String> {
    let of = |rules: &[&str], also: &[&str]| policy("in", rules) + &policy("also", also);
    vec![
        of(&["verdict = \"accept\""], &["verdict = \"accept\""]),
        of(
            &[
                "match = { prefix = \"10.0.0.0/13+\" }, set = { local_pref = 120 }, verdict = \"next-policy\"",
                "verdict = \"reject\"",
            ],
            &[
                "match = { community_any = [\"64496:1\"] }, verdict = \"reject\"",
                "set = { add_communities = [\"64512:9\"] }, verdict = \"accept\"",
            ],
        ),
        of(
            &[
                "match = { med = \">= 1\" }, set = { med = \"none\", weight = 5 }",
                "match = { prefix = \"10.8.0.0/13+\" }, set = { prepend = 1 }",
            ],
            &["match = { origin_as = 64505 }, verdict = \"reject\"", "verdict = \"accept\""],
        ),
        of(&["set = { remove_communities = [\"*:*\"], local_pref = 100 }, verdict = \"accept\""], &[]),
    ]
}

fn neighbours() -> Vec<Spec> {
    vec![
        external(64496).import(&["in"]),
        external(64497).import(&["in", "also"]),
        as_role(external(64498), Role::Peer).import(&["also"]),
        as_role(external(64499), Role::Customer),
        internal().import(&["in", "also"]),
        internal(),
        external(64500).import(&["in"]).export(&["also"]),
    ]
}

struct Run {
    dice: Dice,
    lab: Lab,
    specs: Vec<Spec>,
    policies: usize,
    received: BTreeMap<(Who, Prefix, PathId), Attrs>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut lab = Lab::new();
        let specs = neighbours();
        lab.handle(Input::Policies(library(&libraries()[0])));
        specs.iter().for_each(|spec| _ = lab.peer(spec.clone()));
        Self { dice: Dice(seed), lab, specs, policies: 0, received: BTreeMap::new() }
    }

    fn prefix(&mut self) -> Prefix {
        p(&format!("10.{}.0.0/16", self.dice.roll(16)))
    }

    fn attrs(&mut self, who: Who) -> Attrs {
        let first = self.specs[who].negotiated.peer_asn;
        let mut asns = if who == 4 || who == 5 { String::new() } else { format!("{first} ") };
        for _ in 0..self.dice.roll(3) {
            asns += ["64505 ", "64506 ", "64512 "][self.dice.roll(3)];
        }
        let mut attrs = path(&asns);
        if self.dice.roll(2) == 0 {
            attrs = attrs.med(self.dice.roll(3) as u32);
        }
        match self.dice.roll(6) {
            0 => attrs.community(Community(64496 << 16 | 1)),
            1 => attrs.community(Community::GRACEFUL_SHUTDOWN),
            2 => attrs.raw(0xc0, 35, &64498_u32.to_be_bytes()),
            _ => attrs,
        }
    }

    fn step(&mut self) {
        let who = self.dice.roll(self.specs.len());
        let prefix = self.prefix();
        let path_id = self.dice.roll(2) as PathId;
        match self.dice.roll(100) {
            0..45 if self.lab.is_up(who) => {
                let attrs = self.attrs(who);
                self.lab.announces_paths(who, &[(path_id, prefix)], &attrs);
                self.received.insert((who, prefix, path_id), attrs);
            }
            45..60 if self.lab.is_up(who) => {
                self.lab.withdraws_paths(who, &[(path_id, prefix)]);
                self.received.remove(&(who, prefix, path_id));
            }
            60..66 => {
                self.policies = self.dice.roll(libraries().len());
                self.lab.handle(Input::Policies(library(&libraries()[self.policies])));
            }
            66..74 if self.lab.is_up(who) => self.reconfigure(who),
            74..76 if self.lab.is_up(who) => {
                self.lab.down(who);
                self.received.retain(|(of, ..), _| *of != who);
            }
            74..80 if !self.lab.is_up(who) => self.lab.up(who),
            _ => _ = self.lab.flush(),
        }
    }

    fn reconfigure(&mut self, who: Who) {
        let chain: Vec<std::sync::Arc<str>> = [&["in"][..], &["also"], &["in", "also"], &["accept-all"], &[]]
            [self.dice.roll(5)]
        .iter()
        .map(|name| (*name).into())
        .collect();
        let (which, number) = (self.dice.roll(3), self.dice.roll(3) as u8);
        let change = |settings: &mut ribwatch::engine::PeerSettings| match which {
            0 => settings.import = chain.clone(),
            1 => settings.import_options.weight = number.into(),
            _ => settings.import_options.allow_own_as = number,
        };
        self.lab.reconfigure(who, change);
        change(&mut self.specs[who].settings);
    }

    /// An engine that was told the final state only.
    fn afresh(&self) -> Lab {
        let mut lab = Lab::new();
        lab.handle(Input::Policies(library(&libraries()[self.policies])));
        for (who, spec) in self.specs.iter().enumerate() {
            lab.peer(spec.clone());
            if !self.lab.is_up(who) {
                lab.down(who);
            }
        }
        for ((who, prefix, path_id), attrs) in &self.received {
            lab.announces_paths(*who, &[(*path_id, *prefix)], attrs);
        }
        lab.settle();
        lab
    }
}

/// A table as text: prefix, neighbour, path id, attributes, best, and who rejected it.
fn rows(lab: &mut Lab, table: Table) -> Vec<String> {
    let page = lab.table(table, None);
    let line = |row: &RouteRow| {
        let RouteRow { nlri, peer, path_id, best, rejected_by, .. } = row;
        format!("{nlri:?} {peer:?} {path_id} {best} {rejected_by:?} {:?}", page.attrs(row).as_bytes())
    };
    page.rows.iter().map(line).collect()
}

#[test]
fn the_order_of_updates_and_changes_leaves_no_trace() {
    for seed in 1..=8 {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        for round in 0..6 {
            for _ in 0..120 {
                run.step();
            }
            run.lab.settle();
            let mut fresh = run.afresh();
            for table in [Table::AdjIn, Table::Loc] {
                let (ours, expected) = (rows(&mut run.lab, table), rows(&mut fresh, table));
                let differs = ours.iter().zip(&expected).find(|(one, other)| one != other);
                assert_eq!(differs, None, "seed {seed} round {round} {table:?}");
                assert_eq!(ours.len(), expected.len(), "seed {seed} round {round} {table:?}");
            }
            for who in (0..run.specs.len()).filter(|who| run.lab.is_up(*who)) {
                assert_eq!(run.lab.heard(who).routes, fresh.heard(who).routes, "what neighbour {who} has");
                assert_eq!(run.lab.heard(who).unfounded, [], "withdrawals are exact");
            }
            let counts = |lab: &Lab| -> Vec<_> {
                let summary = lab.summary();
                let of = |(peer, counts): &(_, Vec<ribwatch::view::FamilyCounts>)| {
                    (*peer, counts.iter().map(|c| (c.received, c.accepted, c.advertised)).collect::<Vec<_>>())
                };
                summary.neighbors.iter().map(of).collect()
            };
            assert_eq!(counts(&run.lab), counts(&fresh));
            assert_eq!(run.lab.summary().attribute_sets, fresh.summary().attribute_sets, "no set outlives its use");
        }
        for who in 0..run.specs.len() {
            if run.lab.is_up(who) {
                run.lab.down(who);
            }
        }
        run.lab.settle();
        assert_eq!(run.lab.summary().attribute_sets, 0);
    }
}
