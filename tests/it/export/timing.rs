//! Default routes that a neighbour is sent whatever the tables hold, and announcements that wait for their interval.

use std::time::Duration;

use ribwatch::{engine::AddPathSelect, types::Family};

use crate::lab::{Lab, external, internal, many, path};

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

#[test]
fn all_that_has_waited_goes_when_the_interval_is_over_however_much_it_is() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let interval = Duration::from_secs(30);
    let b = lab.peer(external(64497).options(|options| options.advertisement_interval = interval));
    let told = |lab: &Lab, end: &str| {
        let routes = many(100).into_iter().map(|(_, prefix)| lab.told_as_path(b, &prefix.to_string()));
        routes.flatten().filter(|path| path.ends_with(end)).count()
    };
    lab.announces_paths(a, &many(100), &path("64496 1"));
    lab.settle();
    lab.advance(interval);
    // More than one page: the second one does not wait for another interval (RFC 4271 §9.2.1.1: one for each destination).
    lab.announces_paths(a, &many(100), &path("64496 2"));
    lab.settle();
    assert_eq!(told(&lab, " 2"), 100);
    lab.announces_paths(a, &many(100), &path("64496 3"));
    lab.flush();
    lab.advance(Duration::from_secs(29));
    assert_eq!(told(&lab, " 2"), 100, "each was told within this interval");
    lab.advance(Duration::from_secs(1));
    assert_eq!(told(&lab, " 3"), 100);
    assert_eq!(lab.engine.next_deadline(), None);
}

#[test]
fn a_prefix_that_comes_and_goes_while_it_waits_takes_no_other_s_place() {
    let mut lab = Lab::new();
    let a = lab.peer(external(64496));
    let b = lab.peer(external(64497).options(|options| options.advertisement_interval = Duration::from_secs(30)));
    let (x, y) = ("198.51.100.0/24", "192.0.2.0/24");
    lab.announces(a, NET, path("64496"));
    lab.settle();
    // None of these is told; they go, and one is back as another entry of the tables.
    for (back, gone) in [(x, y), (y, x)] {
        lab.announces(a, x, path("64496 1"));
        lab.announces(a, y, path("64496 1"));
        lab.settle();
        lab.withdraws(a, x);
        lab.settle();
        lab.withdraws(a, y);
        lab.settle();
        lab.announces(a, back, path("64496 2"));
        lab.settle();
        lab.advance(Duration::from_secs(30));
        assert_eq!(lab.told_as_path(b, back).as_deref(), Some("64512 64496 2"));
        assert!(lab.best(back).is_some() && lab.best(gone).is_none());
        lab.announces(a, gone, path("64496 3"));
        lab.settle();
        lab.advance(Duration::from_secs(30));
        assert_eq!(lab.told_as_path(b, gone).as_deref(), Some("64512 64496 3"));
        assert_eq!(lab.told_as_path(b, back).as_deref(), Some("64512 64496 2"));
        lab.withdraws(a, x);
        lab.withdraws(a, y);
        lab.settle();
        assert_eq!(lab.heard(b).routes.len(), 1);
        lab.announces(a, NET, path(&format!("64496 {}", back.len())));
        lab.settle();
    }
    assert!(lab.heard(b).unfounded.is_empty());
    lab.announces(a, x, path("64496 1"));
    lab.settle();
    lab.down(a);
    lab.down(b);
    lab.settle();
    assert_eq!(lab.summary().attribute_sets, 0, "nothing is left of anything");
}

#[test]
fn with_several_paths_one_that_is_gone_is_withdrawn_at_once_and_the_others_wait() {
    let mut lab = Lab::new();
    let sources = [64496, 64497, 64498].map(|asn| lab.peer(external(asn)));
    let interval = Duration::from_secs(30);
    let waits = |options: &mut ribwatch::engine::ExportOptions| options.advertisement_interval = interval;
    let x = lab.peer(external(64499).add_path(AddPathSelect::All).options(waits));
    for (who, asn) in sources.iter().zip([64496, 64497, 64498]) {
        lab.announces(*who, NET, path(&format!("{asn} 1")));
    }
    lab.settle();
    assert_eq!(lab.told_paths(x, NET).len(), 3);
    let told = |lab: &Lab| {
        let mut paths: Vec<String> = lab.told_paths(x, NET).into_iter().map(|(_, path)| path).collect();
        paths.sort();
        paths
    };
    let messages = lab.heard(x).messages;
    lab.withdraws(sources[0], NET);
    lab.announces(sources[1], NET, path("64497 2"));
    lab.settle();
    assert_eq!(told(&lab), ["64512 64497 1", "64512 64498 1"], "gone at once, and what changed waits");
    assert_eq!(lab.heard(x).messages - messages, 1);
    // What comes back meanwhile waits, too, and so does what takes the place of the one that is gone.
    lab.announces(sources[0], NET, path("64496 3"));
    lab.withdraws(sources[2], NET);
    lab.advance(Duration::from_secs(10));
    assert_eq!(told(&lab), ["64512 64497 1"]);
    lab.advance(Duration::from_secs(20));
    assert_eq!(told(&lab), ["64512 64496 3", "64512 64497 2"]);
    assert_eq!((lab.heard(x).unfounded.len(), lab.heard(x).repeated), (0, 0));
    assert_eq!(lab.engine.next_deadline(), None);
}

#[test]
fn what_a_client_of_a_route_server_has_in_place_of_its_own_path_is_withdrawn_at_once() {
    let mut lab = Lab::new();
    let client = |options: &mut ribwatch::engine::ExportOptions| {
        options.route_server_client = true;
        options.advertisement_interval = Duration::from_secs(30);
    };
    let (a, b) = (lab.peer(external(64496).options(client)), lab.peer(external(64497).options(client)));
    let c = lab.peer(external(64498).options(client));
    lab.announces(a, NET, path("64496 1"));
    lab.announces(b, NET, path("64497 1 2 3"));
    lab.settle();
    assert_eq!(lab.told_as_path(a, NET).as_deref(), Some("64497 1 2 3"));
    lab.withdraws(b, NET);
    lab.settle();
    assert_eq!(lab.told_as_path(a, NET), None);
    assert_eq!(lab.told_as_path(c, NET).as_deref(), Some("64496 1"));
    assert!([a, b, c].iter().all(|who| lab.heard(*who).unfounded.is_empty()));
}

#[test]
fn a_client_of_a_route_server_that_loses_its_exception_waits_for_what_all_others_have() {
    let mut lab = Lab::new();
    let client = |options: &mut ribwatch::engine::ExportOptions| {
        options.route_server_client = true;
        options.advertisement_interval = Duration::from_secs(30);
    };
    // `a` and `b` are two routers of one AS: the lower MED of a's path removes b's for everybody but `a`. The best path
    // comes from no client.
    let (b, c) = (lab.peer(external(64496).options(client)), lab.peer(external(64497)));
    let (a, d) = (lab.peer(external(64496).options(client)), lab.peer(external(64498).options(client)));
    lab.announces(b, NET, path("64496 64501").med(20));
    lab.announces(c, NET, path("64497 64500"));
    lab.announces(a, NET, path("64496 64500").med(10));
    lab.settle();
    let told = |lab: &Lab| [a, b, d].map(|who| lab.told_as_path(who, NET).unwrap_or_default());
    assert_eq!(told(&lab), ["64496 64501", "64497 64500", "64497 64500"]);
    lab.announces(b, NET, path("64496 64502 64501").med(20));
    lab.advance(Duration::from_secs(10));
    assert_eq!(told(&lab), ["64496 64501", "64497 64500", "64497 64500"], "RFC 4271 §9.2.1.1");
    lab.advance(Duration::from_secs(20));
    assert_eq!(told(&lab), ["64497 64500"; 3]);
    assert!([a, b, d].iter().all(|who| lab.heard(*who).repeated == 0));
}
