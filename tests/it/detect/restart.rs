//! The process ends while something is wrong and another begins: the alert goes on under its id, nothing else is raised, and it
//! is over when what it says is over. One story for every detector, after an orderly end and after a crash.

use std::{collections::BTreeSet, time::Duration};

use ribwatch::{
    detect::{Kind, Settings, WatchAsn, WatchPrefix, paths::path_rule::Denied, paths::peerlock::Protected},
    types::{Asn, Family, Role},
    wire::bgp::community::Community,
};

use super::tower::{Tower, rule, watching};
use crate::lab::{Attrs, Who, external, many, path};

const PREFIX: &str = "203.0.113.0/24";
const MINUTE: Duration = Duration::from_secs(60);

type Begin = Box<dyn Fn(&mut Tower, bool) -> Vec<Who>>;
type Turn = Box<dyn Fn(&mut Tower, &[Who], bool)>;

/// A case: how the world is, and how it changes.
struct Case {
    kind: Kind,
    settings: Settings,
    /// Sessions come up with everything as it is, `wrong` or not.
    begin: Begin,
    /// Something goes wrong, or right again.
    turn: Turn,
    /// How long it takes to be believed, either way.
    patience: Duration,
}

/// Announcements of one neighbour: those that are always there, and those that are there while something is wrong.
fn routes(
    kind: Kind,
    settings: Settings,
    role: Option<Role>,
    good: &'static [(&'static str, &'static str)],
    bad: &'static [(&'static str, &'static str)],
    attrs: fn(&str) -> Attrs,
) -> Case {
    let announce = move |tower: &mut Tower, who: Who, wrong: bool| {
        for (prefix, _) in bad.iter().filter(|_| !wrong) {
            tower.withdraws(who, prefix);
        }
        for (prefix, asns) in good {
            tower.announces(who, prefix, path(asns));
        }
        for (prefix, asns) in bad.iter().filter(|_| wrong) {
            tower.announces(who, prefix, attrs(asns));
        }
    };
    let begin = move |tower: &mut Tower, wrong: bool| {
        let mut spec = external(64496).called("edge-1");
        spec.negotiated.local_role = role;
        let who = tower.peer(spec);
        announce(tower, who, wrong);
        tower.ends_rib(who, Family::IPV4_UNICAST);
        vec![who]
    };
    let turn = move |tower: &mut Tower, all: &[Who], wrong: bool| announce(tower, all[0], wrong);
    Case { kind, settings, begin: Box::new(begin), turn: Box::new(turn), patience: 20 * MINUTE }
}

fn with(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = watching(&[(PREFIX, &[64500])]);
    change(&mut settings);
    settings
}

fn asns(list: &[u32]) -> Vec<Asn> {
    list.iter().map(|asn| Asn(*asn)).collect()
}

fn watched_asn(new_prefixes: bool) -> WatchAsn {
    WatchAsn { asn: Asn(64500), upstreams: Some(asns(&[64496])), downstreams: None, new_prefixes }
}

/// Five neighbours; while it is wrong three of them lack the prefix.
fn visibility() -> Case {
    let attrs = |at: usize| path(&format!("{} 64499 64500", 64601 + at));
    let begin = move |tower: &mut Tower, wrong: bool| {
        let all: Vec<Who> = (0..5).map(|n| tower.peer(external(64601 + n).called(&format!("edge-{n}")))).collect();
        for (at, who) in all.iter().enumerate() {
            if !(wrong && at < 3) {
                tower.announces(*who, PREFIX, attrs(at));
            }
            tower.announces(*who, "198.18.0.0/24", path(&format!("{} 64511", 64601 + at)));
            tower.ends_rib(*who, Family::IPV4_UNICAST);
        }
        all
    };
    let turn = move |tower: &mut Tower, all: &[Who], wrong: bool| {
        for (at, who) in all[..3].iter().enumerate() {
            match wrong {
                true => tower.withdraws(*who, PREFIX),
                false => tower.announces(*who, PREFIX, attrs(at)),
            }
        }
    };
    let settings = watching(&[(PREFIX, &[64500])]);
    Case { kind: Kind::Visibility, settings, begin: Box::new(begin), turn: Box::new(turn), patience: 20 * MINUTE }
}

/// A session that is not there while it is wrong.
fn session() -> Case {
    let begin = |tower: &mut Tower, wrong: bool| {
        let other = tower.peer(external(64497).called("edge-2"));
        tower.ends_rib(other, Family::IPV4_UNICAST);
        match wrong {
            true => vec![],
            false => vec![tower.peer(external(64496).called("edge-1"))],
        }
    };
    let turn = |tower: &mut Tower, all: &[Who], wrong: bool| match (wrong, all) {
        (true, [who, ..]) => tower.down(*who),
        (false, [who, ..]) => tower.up(*who),
        (_, []) => _ = tower.peer(external(64496).called("edge-1")),
    };
    let settings = watching(&[]);
    Case { kind: Kind::Session, settings, begin: Box::new(begin), turn: Box::new(turn), patience: 20 * MINUTE }
}

/// A route that came and went ten times; it is calm again after hours.
fn flap() -> Case {
    let attrs = || path("64496 64500");
    let begin = move |tower: &mut Tower, _: bool| {
        let who = tower.peer(external(64496).called("edge-1"));
        tower.announces(who, PREFIX, attrs());
        tower.ends_rib(who, Family::IPV4_UNICAST);
        vec![who]
    };
    let turn = move |tower: &mut Tower, all: &[Who], wrong: bool| {
        for _ in 0..if wrong { 12 } else { 0 } {
            tower.withdraws(all[0], PREFIX);
            tower.announces(all[0], PREFIX, attrs());
            tower.advance(Duration::from_secs(1));
        }
    };
    let settings = watching(&[(PREFIX, &[64500])]);
    Case { kind: Kind::Flap, settings, begin: Box::new(begin), turn: Box::new(turn), patience: 20 * MINUTE }
}

/// A thousand prefixes, and three times as many while it is wrong.
fn prefix_count() -> Case {
    let begin = |tower: &mut Tower, wrong: bool| {
        let who = tower.peer(external(64496).called("edge-1"));
        tower.announces_paths(who, &many(if wrong { 3000 } else { 1000 }), &path("64496 64500"));
        tower.ends_rib(who, Family::IPV4_UNICAST);
        vec![who]
    };
    let turn = |tower: &mut Tower, all: &[Who], wrong: bool| match wrong {
        true => tower.announces_paths(all[0], &many(3000)[1000..], &path("64496 64500")),
        false => tower.withdraws_paths(all[0], &many(3000)[1000..]),
    };
    let settings = watching(&[]);
    Case { kind: Kind::PrefixCount, settings, begin: Box::new(begin), turn: Box::new(turn), patience: 5 * MINUTE }
}

fn cases() -> Vec<Case> {
    let plain: fn(&str) -> Attrs = path;
    let own: &[(&str, &str)] = &[(PREFIX, "64496 64500")];
    let upstreams = with(|settings| {
        settings.prefixes = vec![WatchPrefix { upstreams: Some(asns(&[64496])), ..rule(PREFIX, &[64500]) }];
    });
    let denied = with(|settings| {
        settings.paths.path_rule.denied =
            vec![Denied { expression: Some("_64666_".into()), ..Denied::new("no 64666".into()) }];
    });
    let ours = |new_prefixes| with(move |settings| settings.asns = vec![watched_asn(new_prefixes)]);
    let locked = with(|settings| {
        settings.paths.peerlock.protected = vec![Protected { asn: Asn(64499), via: asns(&[64497]) }];
    });
    let transit_free = with(|_| {});
    let mut bogon = watching(&[("193.0.0.0/21", &[3333])]);
    bogon.paths.bogon.enabled = true;
    let others = with(|settings| {
        settings.prefixes = vec![];
        settings.asns = vec![watched_asn(false)];
    });
    let otc: fn(&str) -> Attrs = |asns| path(asns).raw(0xc0, 35, &64499_u32.to_be_bytes());
    let blackhole: fn(&str) -> Attrs = |asns| path(asns).community(Community::BLACKHOLE);
    vec![
        routes(Kind::OriginHijack, with(|_| {}), None, own, &[], plain).with_second_origin(),
        routes(Kind::SubprefixHijack, with(|_| {}), None, own, &[("203.0.113.128/25", "64496 64511")], plain),
        routes(Kind::Squatting, watching(&[(PREFIX, &[])]), None, &[], &[(PREFIX, "64496 64511")], plain),
        routes(Kind::CoveringPrefix, with(|_| {}), None, own, &[("203.0.112.0/20", "64496 64511")], plain),
        routes(Kind::FirstHop, upstreams, None, own, &[(PREFIX, "64496 64511 64500")], plain),
        routes(Kind::PathRule, denied, None, own, &[("198.18.0.0/24", "64496 64666 64501")], plain),
        routes(Kind::Moas, others, None, own, &[], plain).with_second_origin(),
        routes(Kind::Peerlock, locked, None, own, &[("198.18.0.0/24", "64496 64499 64501")], plain),
        routes(
            Kind::Peerlock,
            transit_free,
            Some(Role::Provider),
            own,
            &[("198.18.0.0/24", "64496 7018 64501")],
            plain,
        ),
        routes(Kind::Bogon, bogon, None, &[("193.0.0.0/21", "64496 3333")], &[("10.0.0.0/8", "64496 3333")], plain),
        routes(Kind::NewPrefix, ours(true), None, own, &[("198.18.0.0/24", "64496 64500")], plain),
        routes(Kind::NewNeighbor, ours(false), None, own, &[("198.18.0.0/24", "64496 64511 64500")], plain),
        routes(Kind::Otc, with(|_| {}), Some(Role::Provider), own, &[("198.18.0.0/24", "64496 64499")], otc),
        routes(Kind::Blackhole, with(|_| {}), None, own, &[("203.0.113.7/32", "64496")], blackhole),
        visibility(),
        session(),
        flap(),
        prefix_count(),
    ]
}

impl Case {
    /// While it is wrong, another neighbour shows the prefix from another origin.
    fn with_second_origin(mut self) -> Self {
        let begin = self.begin;
        let show = |tower: &mut Tower, who: Who, wrong: bool| match wrong {
            true => tower.announces(who, PREFIX, path("64497 64511")),
            false => tower.withdraws(who, PREFIX),
        };
        self.begin = Box::new(move |tower, wrong| {
            let mut all = begin(tower, wrong);
            let who = tower.peer(external(64497).called("edge-2"));
            show(tower, who, wrong);
            tower.ends_rib(who, Family::IPV4_UNICAST);
            all.push(who);
            all
        });
        self.turn = Box::new(move |tower, all, wrong| show(tower, all[1], wrong));
        self
    }

    fn plays(&self, crash: bool) {
        let kind = self.kind;
        let mut tower = Tower::new(self.settings.clone());
        let all = (self.begin)(&mut tower, false);
        wait(&mut tower, 60 * MINUTE);
        assert!(live(&mut tower).is_empty(), "{kind}: {:?} though all is well", live(&mut tower));
        (self.turn)(&mut tower, &all, true);
        wait(&mut tower, self.patience);
        let open = live(&mut tower);
        assert!(open.iter().any(|(of, ..)| *of == kind), "{kind} does not open: {open:?}");

        let mut tower = tower.restarted(self.settings.clone(), crash);
        let all = (self.begin)(&mut tower, true);
        wait(&mut tower, 10 * MINUTE);
        assert!(tower.settled, "{kind}");
        assert_eq!(live(&mut tower), open, "{kind}: another alert, or one that is said to be over");
        (self.turn)(&mut tower, &all, false);
        // Scores of flaps fade for hours.
        wait(&mut tower, if kind == Kind::Flap { 150 * MINUTE } else { self.patience });
        assert!(live(&mut tower).is_empty(), "{kind} does not end: {:?}", live(&mut tower));
    }
}

fn wait(tower: &mut Tower, time: Duration) {
    for _ in 0..time.as_secs() / 10 {
        tower.advance(Duration::from_secs(10));
        tower.look();
    }
}

/// Alerts that are not over, by kind and id, and how often each was opened again.
fn live(tower: &mut Tower) -> BTreeSet<(Kind, String, u32)> {
    tower.alerts().iter().map(|alert| (alert.kind(), alert.id.to_string(), alert.reopened)).collect()
}

#[test]
fn alerts_of_every_detector_go_on_over_a_restart() {
    cases().iter().for_each(|case| case.plays(false));
}

#[test]
fn alerts_of_every_detector_go_on_over_a_crash() {
    cases().iter().for_each(|case| case.plays(true));
}

#[test]
fn a_neighbor_that_is_taken_out_of_the_configuration_is_not_missed() {
    let mut tower = Tower::new(watching(&[]));
    let edge = tower.peer(external(64496).called("edge-1"));
    tower.down(edge);
    assert_eq!(tower.stands(), ["session edge-1"]);
    tower.handle(ribwatch::engine::Input::PeerGone { name: "edge-1".into() });
    assert!(tower.stands().is_empty());
}
