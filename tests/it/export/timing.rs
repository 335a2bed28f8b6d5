//! Default routes that a neighbour is sent whatever the tables hold, and announcements that wait for their interval.

use std::time::Duration;

use ribwatch::types::Family;

use crate::lab::{Lab, external, internal, path};

const NET: &str = "203.0.113.0/24";
const DEFAULT: &str = "0.0.0.0/0";

#[test]
fn a_default_route_is_sent_though_there_is_none_and_policy_rejects_everything() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let sends = |families: &[Family]| {
        let families = families.to_vec();
        move |options: &mut ribwatch::engine::ExportOptions| options.default_originate = families
    };
    let b = lab.peer(external(64497).export(&[]).options(sends(&[Family::IPV4_UNICAST])));
    let c = lab.peer(internal().options(sends(&[Family::IPV4_UNICAST])));
    lab.announces(a, NET, path("64496"));
    lab.settle();
    assert_eq!(lab.told_prefixes(b).into_iter().collect::<Vec<_>>(), [DEFAULT]);
    assert_eq!(lab.told_as_path(b, DEFAULT).as_deref(), Some("64512"));
    assert_eq!(lab.told_as_path(c, DEFAULT).as_deref(), Some(""));
    assert_eq!(lab.told(c, DEFAULT).unwrap().next_hop().unwrap().to_string(), "192.0.2.254");
    assert_eq!(lab.heard(c).routes.len(), 2);
    assert_eq!(lab.best(DEFAULT), None, "it is in no table of ours");
    // One from elsewhere does not take its place.
    lab.announces(a, DEFAULT, path("64496"));
    lab.settle();
    assert_eq!(lab.told_as_path(c, DEFAULT).as_deref(), Some(""));
    // It ends, and what the tables hold comes instead, where policy lets it.
    lab.reconfigure(b, |settings| settings.export_options.default_originate = Vec::new());
    lab.reconfigure(c, |settings| settings.export_options.default_originate = Vec::new());
    lab.settle();
    assert!(lab.heard(b).routes.is_empty());
    assert_eq!(lab.told_as_path(c, DEFAULT).as_deref(), Some("64496"));
    lab.withdraws(a, DEFAULT);
    lab.settle();
    assert_eq!(lab.told_as_path(c, DEFAULT), None);
    lab.reconfigure(c, |settings| settings.export_options.default_originate = vec![Family::IPV4_UNICAST]);
    lab.settle();
    assert_eq!(lab.told_as_path(c, DEFAULT).as_deref(), Some(""));
    assert!(lab.heard(b).unfounded.is_empty() && lab.heard(c).unfounded.is_empty());
}

#[test]
fn announcements_wait_for_the_interval_and_withdrawals_do_not() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let interval = Duration::from_secs(30);
    let b = lab.peer(external(64497).options(|options| options.advertisement_interval = interval));
    lab.announces(a, NET, path("64496 1"));
    lab.announces(a, "198.51.100.0/24", path("64496 1"));
    lab.settle();
    assert_eq!(lab.heard(b).routes.len(), 2, "after a pause nothing waits");
    lab.announces(a, NET, path("64496 2"));
    lab.announces(a, NET, path("64496 3"));
    lab.announces(a, "192.0.2.0/24", path("64496 1"));
    lab.withdraws(a, "198.51.100.0/24");
    lab.advance(Duration::from_secs(10));
    // RFC 4271 §9.2.1.1.
    assert_eq!(lab.told_as_path(b, NET).as_deref(), Some("64512 64496 1"));
    assert_eq!(lab.told_as_path(b, "198.51.100.0/24"), None, "a withdrawal waits for nothing");
    assert!(lab.told(b, "192.0.2.0/24").is_none());
    let deadline = lab.engine.next_deadline().expect("the engine asks to be called");
    assert_eq!(deadline.since(lab.now), Duration::from_secs(20));
    lab.withdraws(a, "192.0.2.0/24");
    lab.advance(Duration::from_secs(20));
    assert_eq!(lab.told_as_path(b, NET).as_deref(), Some("64512 64496 3"), "the last word");
    assert_eq!(lab.engine.next_deadline(), None);
    assert_eq!(lab.heard(b).routes.len(), 1);
    assert!(lab.heard(b).unfounded.is_empty());
}
