//! RPKI against what is watched, and RPKI data that is sick.

use std::{sync::Arc, time::Duration};

use ribwatch::{
    detect::{Kind, Severity},
    engine::Input,
    types::{Asn, Role},
    validation::{Aspa, PayloadSet, Snapshot, Update, Vrp},
};

use super::tower::{Tower, watching};
use crate::lab::{external, p, path};

const PREFIX: &str = "203.0.113.0/24";

/// Detection that is told of RPKI data.
struct Rpki {
    tower: Tower,
    snapshot: Arc<Snapshot>,
}

impl Rpki {
    fn over(tower: Tower) -> Self {
        Self { tower, snapshot: Arc::default() }
    }

    fn says(&mut self, vrps: Vec<Vrp>, aspas: Vec<Aspa>) {
        let update = Update::between(&self.snapshot, Arc::new(Snapshot::of(0, &PayloadSet { vrps, aspas })));
        self.snapshot = Arc::clone(&update.snapshot);
        self.tower.handle(Input::Rpki(Box::new(update)));
        self.tower.settle();
    }
}

fn vrp(prefix: &str, max_len: u8, asn: u32) -> Vrp {
    Vrp::new(p(prefix), max_len, Asn(asn)).expect("a VRP")
}

/// Many VRPs about something else, so that one more or less is a small share.
fn others() -> Vec<Vrp> {
    (0..100).map(|n| vrp(&format!("198.18.{n}.0/24"), 24, 64600)).collect()
}

#[test]
fn our_own_route_that_becomes_invalid_says_which_vrps_did_it() {
    let mut rpki = Rpki::over(Tower::new(watching(&[(PREFIX, &[64500])])));
    let edge = rpki.tower.peer(external(64496));
    rpki.tower.announces(edge, PREFIX, path("64496 64500"));
    rpki.says([others(), vec![vrp(PREFIX, 24, 64500)]].concat(), vec![]);
    assert!(rpki.tower.stands().is_empty());
    rpki.says([others(), vec![vrp(PREFIX, 24, 64511)]].concat(), vec![]);
    let finding = rpki.tower.the(Kind::RpkiInvalid);
    assert_eq!(finding.severity, Severity::Critical);
    assert_eq!(
        (&finding.evidence["reason"], &finding.evidence["vrps"][0]),
        (&"asn".into(), &"203.0.113.0/24-24 AS64511".into())
    );
    // The change itself is told of with its effect, and is over by itself.
    let change = rpki.tower.the(Kind::RoaChange);
    assert!(change.why.contains("1 become invalid"), "{}", change.why);
    let parts = "(gone: 203.0.113.0/24-24 AS64500; new: 203.0.113.0/24-24 AS64511)";
    assert!(change.why.contains(parts), "{}", change.why);
    rpki.tower.advance(Duration::from_secs(601));
    assert_eq!(rpki.tower.stands(), ["rpki-invalid 203.0.113.0/24 AS64500"]);
    rpki.says([others(), vec![vrp("203.0.113.0/24", 24, 64500)]].concat(), vec![]);
    assert!(rpki.tower.stands_of(&[Kind::RpkiInvalid]).is_empty());
}

#[test]
fn a_route_that_loses_its_cover_is_told_of_until_it_has_it_again() {
    let mut rpki = Rpki::over(Tower::new(watching(&[(PREFIX, &[64500])])));
    let edge = rpki.tower.peer(external(64496));
    rpki.tower.announces(edge, PREFIX, path("64496 64500"));
    rpki.says(others(), vec![]);
    assert!(rpki.tower.stands_of(&[Kind::RpkiLostCover]).is_empty(), "it never had any");
    rpki.says([others(), vec![vrp(PREFIX, 24, 64500)]].concat(), vec![]);
    rpki.says(others(), vec![]);
    let lost = rpki.tower.the(Kind::RpkiLostCover);
    assert_eq!((lost.severity, lost.cause), (Severity::Warning, None));
    rpki.says([others(), vec![vrp(PREFIX, 24, 64500)]].concat(), vec![]);
    assert!(rpki.tower.stands_of(&[Kind::RpkiLostCover]).is_empty());
}

#[test]
fn data_that_shrinks_is_one_cause_and_not_a_hundred() {
    let mut rpki = Rpki::over(Tower::new(watching(&[(PREFIX, &[64500]), ("198.51.100.0/24", &[64500])])));
    let edge = rpki.tower.peer(external(64496));
    rpki.tower.announces_all(edge, &[PREFIX, "198.51.100.0/24"], path("64496 64500"));
    let all = [others(), vec![vrp(PREFIX, 24, 64500), vrp("198.51.100.0/24", 24, 64500)]].concat();
    rpki.says(all.clone(), vec![]);
    rpki.says(others()[..70].to_vec(), vec![]);
    let cache = rpki.tower.the(Kind::RpkiCache);
    assert_eq!((cache.severity, &cache.evidence["before"]), (Severity::Critical, &102.into()));
    let lost = rpki.tower.look().values().filter(|f| f.key.kind == Kind::RpkiLostCover);
    let causes: Vec<_> = lost.map(|f| f.cause.clone().expect("a cause").to_string()).collect();
    assert_eq!(causes, ["rpki-cache VRPs", "rpki-cache VRPs"]);
    assert!(rpki.tower.stands_of(&[Kind::RoaChange]).is_empty());
    rpki.says(all, vec![]);
    assert!(rpki.tower.stands_of(&[Kind::RpkiCache, Kind::RpkiLostCover]).is_empty());
}

#[test]
fn an_outage_of_a_trust_anchor_is_one_alert_however_routes_change_meanwhile() {
    let watched: Vec<String> = (0..30).map(|n| format!("198.51.{n}.0/24")).collect();
    let rules: Vec<(&str, &[u32])> = watched.iter().map(|prefix| (prefix.as_str(), &[64500][..])).collect();
    let mut rpki = Rpki::over(Tower::new(watching(&rules)));
    let edge = rpki.tower.peer(external(64496));
    for prefix in &watched {
        rpki.tower.announces(edge, prefix, path("64496 64500"));
    }
    let ours: Vec<Vrp> = watched.iter().map(|prefix| vrp(prefix, 24, 64500)).collect();
    // Another trust anchor says of one of them that nobody may announce it: without ours it is invalid.
    let others = [others(), vec![vrp("198.51.7.0/24", 24, 0)]].concat();
    rpki.says([others.clone(), ours.clone()].concat(), vec![]);
    assert!(rpki.tower.alerts().is_empty());
    rpki.says(others.clone(), vec![]);
    let alert = rpki.tower.only_alert();
    assert_eq!((alert.kind(), alert.member_count), (Kind::RpkiCache, 30));
    assert!(alert.members.contains(&"198.51.7.0/24".to_owned()));
    // Ten minutes later routes change, and it is the same outage still.
    rpki.tower.advance(Duration::from_secs(600));
    for prefix in &watched {
        rpki.tower.announces(edge, prefix, path("64496 64496 64500"));
    }
    assert_eq!((rpki.tower.only_alert().key.clone(), rpki.tower.only_alert().member_count), (alert.key.clone(), 30));
    rpki.says([others, ours].concat(), vec![]);
    rpki.tower.advance(Duration::from_secs(120));
    assert!(rpki.tower.alerts().is_empty(), "what is there again is no change: {:#?}", rpki.tower.alerts());
}

#[test]
fn a_path_that_aspa_proves_wrong_names_the_attestation() {
    let mut rpki = Rpki::over(Tower::new(watching(&[])));
    let peer = rpki.tower.peer(external(64496).role(Role::Peer));
    rpki.tower.announces(peer, PREFIX, path("64496 64497 64500"));
    rpki.says(others(), vec![Aspa::new(Asn(64500), vec![Asn(64498)])]);
    let finding = rpki.tower.the(Kind::AspaInvalid);
    assert!(finding.why.contains("AS64500 attests its providers, and AS64497 is none of them"), "{}", finding.why);
    rpki.says(others(), vec![Aspa::new(Asn(64500), vec![Asn(64497), Asn(64498)])]);
    assert!(rpki.tower.stands_of(&[Kind::AspaInvalid]).is_empty());
}
