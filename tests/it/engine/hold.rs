//! Import waits for RPKI data at start, in virtual time: what came meanwhile is kept, judged once the data are there, and
//! told to nobody before.

use std::{sync::Arc, time::Duration};

use ribwatch::{
    config::Config,
    engine::Input,
    policy::Library,
    types::Asn,
    validation::{PayloadSet, Snapshot, Update, Vrp},
    view::{Answer, Query, Table},
};

use super::{V4, paths};
use crate::lab::{Lab, external, p, path};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A policy that rejects what is invalid.
fn drop_invalid() -> Arc<Library> {
    let text = "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n[[policy.policy]]\nname = \"drop-invalid\"\n\
                [[policy.policy.statement]]\nname = \"rov\"\nmatch = { validation = \"invalid\" }\nverdict = \"reject\"\n";
    Config::parse("f.toml", text).expect("a configuration").policy.library
}

/// A router that waits for these sources, thirty seconds at most.
fn held(sources: &[&str]) -> Lab {
    let mut lab = Lab::new();
    lab.handle(Input::Policies(drop_invalid()));
    let until = lab.now + secs(30);
    lab.handle(Input::HoldImport { sources: sources.iter().map(|name| (*name).to_owned()).collect(), until });
    lab
}

/// 192.0.2.0/24 is for AS 64500 alone.
fn data() -> Update {
    let vrp = Vrp::new(p("192.0.2.0/24"), 24, Asn(64500)).expect("a VRP");
    let set = PayloadSet { vrps: vec![vrp], aspas: Vec::new() };
    Update::between(&Snapshot::default(), Arc::new(Snapshot::of(0, &set)))
}

fn answers(lab: &mut Lab, source: &str) {
    lab.handle(Input::Rpki(Box::new(data())));
    lab.handle(Input::SourceAnswered(source.to_owned()));
    lab.settle();
}

#[test]
fn what_comes_before_the_data_is_kept_and_told_to_nobody_then_judged_by_them() {
    let mut lab = held(&["validator-1", "validator-2"]);
    let sender = lab.peer(external(64496).import(&["drop-invalid", "accept-all"]));
    let listener = lab.peer(external(64497));
    lab.announces(sender, "192.0.2.0/24", path("64496 64511"));
    lab.announces(sender, "198.51.100.0/24", path("64496 64511"));
    lab.ends_rib(sender, V4);
    lab.settle();
    assert_eq!((paths(&lab), lab.table(Table::Loc, None).rows.len()), (2, 0), "kept, and none is selected");
    assert_eq!(lab.heard(listener).messages, 0, "not even End-of-RIB");
    let Ok(Answer::Explanation(why)) = lab.ask(&Query::Explain { family: V4, prefix: p("192.0.2.0/24") }) else {
        panic!("it explains");
    };
    let said = why.candidates[0].ineligible.clone().unwrap_or_default();
    assert!(said.contains("waits for the first data of RPKI sources"), "{said}");

    answers(&mut lab, "validator-1");
    assert_eq!(lab.heard(listener).messages, 0, "the other one has not answered");
    answers(&mut lab, "validator-2");
    // RFC 6811: the one is invalid and rejected, about the other nothing is said.
    assert_eq!(lab.told_prefixes(listener).into_iter().collect::<Vec<_>>(), ["198.51.100.0/24"]);
    assert_eq!(lab.best("192.0.2.0/24"), None);
    assert_eq!(lab.heard(listener).end_of_rib, [(V4, 1)], "End-of-RIB stands behind what was judged");
    assert_eq!(lab.heard(listener).routes.len(), 1, "nothing was sent and taken back");
    assert_eq!(lab.notes, ["every RPKI source has answered: import goes on"]);
    assert_eq!(lab.engine.next_deadline(), None);
}

#[test]
fn the_wait_is_bounded_and_says_who_was_missing() {
    let mut lab = held(&["validator-1", "validator-2"]);
    let sender = lab.peer(external(64496));
    let listener = lab.peer(external(64497));
    lab.announces(sender, "192.0.2.0/24", path("64496 64511"));
    answers(&mut lab, "validator-1");
    lab.advance(secs(29));
    assert_eq!(lab.heard(listener).messages, 0);
    lab.advance(secs(1));
    assert_eq!(lab.told_prefixes(listener).len(), 1);
    let said = "import goes on without the RPKI data of validator-2: the time of hold_import is over";
    assert_eq!(lab.notes, [said]);
    // It may come as late as it likes.
    answers(&mut lab, "validator-2");
    assert_eq!(lab.notes.len(), 1);
}

#[test]
fn routes_that_come_while_the_rest_is_judged_are_judged_at_once() {
    let mut lab = held(&["validator-1"]);
    let sender = lab.peer(external(64496).import(&["drop-invalid", "accept-all"]));
    let listener = lab.peer(external(64497));
    lab.announces(sender, "198.51.100.0/24", path("64496 64511"));
    lab.handle(Input::Rpki(Box::new(data())));
    lab.handle(Input::SourceAnswered("validator-1".to_owned()));
    lab.announces(sender, "192.0.2.0/24", path("64496 64511"));
    lab.announces(sender, "203.0.113.0/24", path("64496 64511"));
    lab.settle();
    let told: Vec<String> = lab.told_prefixes(listener).into_iter().collect();
    assert_eq!(told, ["198.51.100.0/24", "203.0.113.0/24"]);
}

#[test]
fn without_a_hold_nothing_waits() {
    let mut lab = Lab::new();
    let (sender, listener) = (lab.peer(external(64496)), lab.peer(external(64497)));
    lab.handle(Input::SourceAnswered("validator-1".to_owned()));
    lab.announces(sender, "192.0.2.0/24", path("64496 64511"));
    lab.settle();
    assert_eq!(lab.told_prefixes(listener).len(), 1);
    assert!(lab.notes.is_empty());
}
