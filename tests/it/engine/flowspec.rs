//! Flow specifications held against unicast routes (RFC 8955 §6, RFC 8956 §5, RFC 9117 §4): stories, and random changes
//! with everything reckoned anew after each.

use std::collections::{BTreeMap, BTreeSet};

use ribwatch::{
    types::{Asn, Family, PeerId, Prefix, RouterId},
    view::{Nlri, Query, RouteQuery, RouteRow, Table},
    wire::bgp::{
        attribute::AttrSet,
        nlri::TypedNlri,
        update::{EncodeContext, UpdateWriter},
    },
};

use super::{V4, V6};
use crate::{
    lab::{Attrs, Lab, Spec, Who, external, internal, p, path},
    simulation::Dice,
};

const FLOW: Family = Family::IPV4_FLOWSPEC;
const FLOW6: Family = Family::IPV6_FLOWSPEC;

const NO_DESTINATION: &str = "validation: flow specification without a destination prefix (RFC 8955 §6 a)";
const NO_ROUTE: &str = "validation: no unicast route covers the destination of the flow specification (RFC 8955 §6 b)";
const ORIGINATOR: &str =
    "validation: the best unicast route for its destination has another originator (RFC 8955 §6 b)";
const FIRST_AS: &str = "validation: the best unicast route for its destination has another first AS (RFC 9117 §4.2)";
const MORE_SPECIFIC: &str =
    "validation: a more specific unicast route comes from another neighboring AS (RFC 8955 §6 c)";

fn both(spec: Spec) -> Spec {
    spec.families(&[V4, FLOW])
}

fn validated(mut spec: Spec) -> Spec {
    spec.settings.import_options.flowspec_validation = Some(true);
    both(spec)
}

fn send(lab: &mut Lab, who: Who, family: Family, filter: &str, attrs: Option<&Attrs>) {
    let key = TypedNlri::parse(family, filter).and_then(|filter| filter.key()).expect("a filter");
    let mut writer = UpdateWriter::new(EncodeContext::new());
    let octets = attrs.map(|attrs| attrs.octets(family, lab.address(who)));
    match &octets {
        Some(octets) => writer.announce(family, AttrSet::new(octets)),
        None => writer.withdraw(family),
    }
    writer.push_opaque(0, &key, &[]);
    lab.receives(who, &writer.take().octets);
}

fn rows(lab: &mut Lab, table: Table, family: Family, who: Option<Who>) -> Vec<(RouteRow, Vec<u8>)> {
    let neighbor = who.map(|who| lab.id(who));
    let query =
        RouteQuery { table, family: Some(family), neighbor, limit: 9999, scan_limit: 9999, ..RouteQuery::default() };
    let page = lab.routes(query);
    page.rows.iter().map(|row| (row.clone(), page.attrs(row).as_bytes().to_vec())).collect()
}

/// Why the only filter of a neighbour is not feasible.
fn why(lab: &mut Lab, who: Who, family: Family) -> Option<String> {
    lab.settle();
    let rows = rows(lab, Table::AdjIn, family, Some(who));
    let [(row, _)] = &rows[..] else { panic!("one filter: {rows:?}") };
    row.rejected_by.as_deref().map(ToOwned::to_owned)
}

fn told(lab: &mut Lab, who: Who) -> Vec<String> {
    rows(lab, Table::AdjOut, FLOW, Some(who)).iter().map(|(row, _)| row.nlri.display(FLOW)).collect()
}

#[test]
fn a_filter_follows_the_unicast_routes_for_its_destination() {
    let mut lab = Lab::new();
    let (a, b) = (lab.peer(both(external(64496))), lab.peer(both(external(64497))));
    let listener = lab.peer(both(external(64498)));
    let filter = "dst 203.0.113.0/24; proto =17";
    send(&mut lab, a, FLOW, filter, Some(&path("64496")));
    assert_eq!(why(&mut lab, a, FLOW).as_deref(), Some(NO_ROUTE));
    assert!(told(&mut lab, listener).is_empty());

    lab.announces(a, "203.0.112.0/20", path("64496 64500"));
    assert_eq!(why(&mut lab, a, FLOW), None);
    assert_eq!(told(&mut lab, listener), [filter]);

    // Its own more specific ones do not matter, another's do, though nobody chooses them.
    lab.announces(a, "203.0.113.128/25", path("64496"));
    assert_eq!(why(&mut lab, a, FLOW), None);
    lab.announces(b, "203.0.113.128/25", path("64497 64501 64502"));
    assert_eq!(why(&mut lab, a, FLOW).as_deref(), Some(MORE_SPECIFIC));
    assert!(told(&mut lab, listener).is_empty());
    lab.withdraws(b, "203.0.113.128/25");
    assert_eq!(why(&mut lab, a, FLOW), None);
    assert_eq!(told(&mut lab, listener), [filter]);

    // A better match belongs to another, who may filter it.
    lab.announces(b, "203.0.113.0/24", path("64497"));
    assert_eq!(why(&mut lab, a, FLOW).as_deref(), Some(ORIGINATOR));
    lab.withdraws(a, "203.0.113.128/25");
    send(&mut lab, b, FLOW, filter, Some(&path("64497")));
    assert_eq!(why(&mut lab, b, FLOW), None);
    assert_eq!(told(&mut lab, listener), [filter]);
    lab.down(b);
    assert_eq!(why(&mut lab, a, FLOW), None);

    lab.originates("203.0.113.0/25", &path("")).expect("a good route");
    assert_eq!(why(&mut lab, a, FLOW).as_deref(), Some(MORE_SPECIFIC), "a route of our own");
    lab.ask(&Query::Withdraw { family: V4, nlri: p("203.0.113.0/25").into() }).expect("is there");
    assert_eq!(why(&mut lab, a, FLOW), None);

    send(&mut lab, a, FLOW, filter, Some(&path("64499 64496")));
    assert_eq!(why(&mut lab, a, FLOW).as_deref(), Some(FIRST_AS));
    lab.reconfigure(a, |settings| settings.import_options.flowspec_validation = Some(false));
    assert_eq!(why(&mut lab, a, FLOW), None);
    lab.reconfigure(a, |settings| settings.import_options.flowspec_validation = None);
    assert_eq!(why(&mut lab, a, FLOW).as_deref(), Some(FIRST_AS));

    send(&mut lab, a, FLOW, filter, None);
    send(&mut lab, a, FLOW, "proto =17", Some(&path("64496")));
    assert_eq!(why(&mut lab, a, FLOW).as_deref(), Some(NO_DESTINATION));
}

#[test]
fn inside_our_as_filters_are_validated_where_that_is_asked_for_and_may_be_made_anywhere_in_it() {
    let mut lab = Lab::new();
    let outside = lab.peer(both(external(64496)));
    let (controller, plain) = (lab.peer(validated(internal())), lab.peer(both(internal())));
    let filter = "dst 203.0.113.0/24";
    send(&mut lab, plain, FLOW, filter, Some(&path("64500")));
    assert_eq!(why(&mut lab, plain, FLOW), None, "not asked for");
    send(&mut lab, controller, FLOW, filter, Some(&path("")));
    assert_eq!(why(&mut lab, controller, FLOW), None, "RFC 9117 §4.1 b 2");
    send(&mut lab, controller, FLOW, filter, Some(&path("64500")));
    assert_eq!(why(&mut lab, controller, FLOW).as_deref(), Some(NO_ROUTE));

    // Both reflected: the router that they come from counts.
    let reflected = |asns: &str, id| path(asns).originator(id).clusters(&[7]);
    lab.announces(plain, "203.0.113.0/24", reflected("64500", 0x0a00_0001));
    assert_eq!(why(&mut lab, controller, FLOW).as_deref(), Some(ORIGINATOR));
    send(&mut lab, controller, FLOW, filter, Some(&reflected("64500", 0x0a00_0001)));
    assert_eq!(why(&mut lab, controller, FLOW), None);
    lab.announces(outside, "203.0.113.64/26", path("64496"));
    assert_eq!(why(&mut lab, controller, FLOW).as_deref(), Some(MORE_SPECIFIC));
}

#[test]
fn an_ipv6_filter_counts_with_offset_zero_only() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496).families(&[V6, FLOW6]).over_ipv6());
    lab.announces(a, "2001:db8::/32", path("64496"));
    send(&mut lab, a, FLOW6, "dst 2001:db8:1::/48; proto =17", Some(&path("64496")));
    assert_eq!(why(&mut lab, a, FLOW6), None);
    send(&mut lab, a, FLOW6, "dst 2001:db8:1::/48; proto =17", None);
    send(&mut lab, a, FLOW6, "dst ::1:0:0:0:0/32-64", Some(&path("64496")));
    assert_eq!(why(&mut lab, a, FLOW6).as_deref(), Some(NO_DESTINATION), "RFC 8956 §5");
}

const PREFIXES: [&str; 8] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/16",
    "10.1.0.0/16",
    "10.0.0.0/24",
    "10.0.1.0/24",
    "10.0.0.128/25",
    "10.0.0.129/32",
];

struct Run {
    dice: Dice,
    lab: Lab,
    specs: Vec<Spec>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let specs = vec![
            both(external(64496)),
            both(external(64497)),
            both(external(64496)),
            validated(internal()),
            validated(internal()),
            both(internal()),
        ];
        let mut lab = Lab::new();
        specs.iter().for_each(|spec| _ = lab.peer(spec.clone()));
        Self { dice: Dice(seed), lab, specs }
    }

    fn who(&self, peer: PeerId) -> Who {
        (0..self.specs.len()).find(|who| self.lab.id(*who) == peer).expect("a neighbour")
    }

    fn is_outside(&self, who: Who) -> bool {
        who < 3
    }

    fn asn(&self, who: Who) -> u32 {
        self.specs[who].negotiated.peer_asn.0
    }

    fn attrs(&mut self, who: Who) -> Attrs {
        let tail = ["", " 64500", " 64501 64500"][self.dice.roll(3)];
        let first = match self.dice.roll(8) {
            0 => 64502,
            _ if self.is_outside(who) => self.asn(who),
            1..4 => return path(""),
            _ => [64496, 64497][self.dice.roll(2)],
        };
        let attrs = path(&format!("{first}{tail}"));
        match self.dice.roll(3) {
            0 if !self.is_outside(who) => attrs.originator(0xc000_0200 + 4 + self.dice.roll(2) as u32).clusters(&[7]),
            _ => attrs,
        }
    }

    fn step(&mut self) {
        let who = self.dice.roll(self.specs.len());
        let prefix = PREFIXES[self.dice.roll(PREFIXES.len())];
        let filter = match self.dice.roll(12) {
            0 => "proto =17".to_owned(),
            n => format!("dst {prefix}{}", if n % 2 == 0 { "; proto =6" } else { "" }),
        };
        match self.dice.roll(100) {
            0..4 if self.lab.is_up(who) => self.lab.down(who),
            0..10 if !self.lab.is_up(who) => self.lab.up(who),
            _ if !self.lab.is_up(who) => {}
            10..40 => {
                let attrs = self.attrs(who);
                self.lab.announces(who, prefix, attrs);
            }
            40..58 => self.lab.withdraws(who, prefix),
            58..80 => {
                let attrs = self.attrs(who);
                send(&mut self.lab, who, FLOW, &filter, Some(&attrs));
            }
            80..88 => send(&mut self.lab, who, FLOW, &filter, None),
            88..91 => _ = self.lab.originates(prefix, &path("")),
            91..94 => _ = self.lab.ask(&Query::Withdraw { family: V4, nlri: p(prefix).into() }),
            94..97 => {
                let import = if self.dice.roll(2) == 0 { "accept-all" } else { "reject-all" };
                self.specs[who].settings.import = vec![import.into()];
                self.lab.reconfigure(who, |settings| settings.import = vec![import.into()]);
            }
            _ => {
                let wanted = [None, Some(true), Some(false)][self.dice.roll(3)];
                self.specs[who].settings.import_options.flowspec_validation = wanted;
                self.lab.reconfigure(who, |settings| settings.import_options.flowspec_validation = wanted);
            }
        }
    }

    /// Everything of RFC 8955 §6 and RFC 9117 §4 from the tables as they are, without an index or a memory.
    fn check(&mut self) {
        self.lab.settle();
        let unicast = rows(&mut self.lab, Table::AdjIn, V4, None);
        let best: BTreeMap<Prefix, Route> = rows(&mut self.lab, Table::Loc, V4, None)
            .into_iter()
            .map(|(row, _)| {
                // As received: the row of the Loc-RIB is what import made of it.
                let is_it = |(other, _): &&(RouteRow, Vec<u8>)| other.nlri == row.nlri && other.peer == row.peer;
                let (row, attrs) = unicast.iter().find(is_it).expect("what is best was received");
                self.route(row, attrs)
            })
            .map(|route| (route.prefix, route))
            .collect();
        let eligible = unicast.iter().filter(|(row, _)| row.rejected_by.is_none());
        let eligible: Vec<Route> = eligible.map(|(row, attrs)| self.route(row, attrs)).collect();
        let mut feasible = BTreeSet::new();
        for (row, attrs) in rows(&mut self.lab, Table::AdjIn, FLOW, None) {
            let who = self.who(row.peer.expect("nothing of our own"));
            let settings = &self.specs[who].settings;
            let text = row.nlri.display(FLOW);
            if &*settings.import[0] == "reject-all" {
                assert!(row.rejected_by.is_some_and(|by| by.starts_with("reject-all")), "{text} from {who}");
                continue;
            }
            let asked = settings.import_options.flowspec_validation.unwrap_or(self.is_outside(who));
            let judged = asked.then(|| self.judge(&text, who, AttrSet::new(&attrs), &best, &eligible));
            let expected = judged.flatten();
            assert_eq!(row.rejected_by.as_deref(), expected, "{text} from {who}");
            if expected.is_none() {
                feasible.insert(text);
            }
        }
        let chosen: BTreeSet<String> =
            rows(&mut self.lab, Table::Loc, FLOW, None).iter().map(|(row, _)| row.nlri.display(FLOW)).collect();
        assert_eq!(chosen, feasible);
    }

    fn judge(
        &self,
        filter: &str,
        who: Who,
        attrs: AttrSet<'_>,
        best: &BTreeMap<Prefix, Route>,
        eligible: &[Route],
    ) -> Option<&'static str> {
        let Some(destination) = filter.strip_prefix("dst ") else { return Some(NO_DESTINATION) };
        let destination = p(destination.split(';').next().expect("a prefix"));
        let covering = best.values().filter(|route| route.prefix.covers(&destination));
        let best = covering.max_by_key(|route| route.prefix.len());
        let first_as = attrs.as_path().asns().next();
        let made_here = !self.is_outside(who) && first_as.is_none();
        let Some(best) = best else { return (!made_here).then_some(NO_ROUTE) };
        if !made_here && best.originator != self.originator(Some(who), attrs) {
            return Some(ORIGINATOR);
        }
        if self.is_outside(who) && (first_as.is_none() || first_as != best.first_as) {
            return Some(FIRST_AS);
        }
        let inside = |route: &&Route| destination.covers(&route.prefix) && route.prefix != destination;
        let differs = eligible.iter().filter(inside).any(|route| route.neighbor != best.neighbor);
        differs.then_some(MORE_SPECIFIC)
    }

    fn route(&self, row: &RouteRow, attrs: &[u8]) -> Route {
        let Nlri::Prefix(prefix) = row.nlri else { panic!("a prefix") };
        let (who, attrs) = (row.peer.map(|peer| self.who(peer)), AttrSet::new(attrs));
        let first_as = attrs.as_path().asns().next();
        Route { prefix, first_as, neighbor: first_as, originator: self.originator(who, attrs) }
    }

    fn originator(&self, who: Option<Who>, attrs: AttrSet<'_>) -> (Option<Asn>, RouterId) {
        match who {
            // Ours, as the laboratory has it.
            None => (None, RouterId(0xc633_6401)),
            Some(who) => {
                let own = RouterId(0xc000_0200 + who as u32 + 1);
                let outside = self.is_outside(who).then(|| Asn(self.asn(who)));
                (outside, attrs.originator_id().filter(|_| outside.is_none()).unwrap_or(own))
            }
        }
    }
}

/// A unicast route as validation sees it.
struct Route {
    prefix: Prefix,
    first_as: Option<Asn>,
    /// `None`: our own AS.
    neighbor: Option<Asn>,
    originator: (Option<Asn>, RouterId),
}

#[test]
fn whatever_changes_the_verdicts_are_those_of_the_rules_read_slowly() {
    for seed in 1..=6 {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        for _ in 0..150 {
            for _ in 0..1 + run.dice.roll(6) {
                run.step();
            }
            run.check();
        }
        (0..run.specs.len())
            .filter(|who| run.lab.is_up(*who))
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|who| run.lab.down(who));
        run.check();
    }
}
