//! Export policies change what neighbours are told; changed policies send the difference.

use std::sync::Arc;

use ribwatch::{config::Config, engine::Input, policy::Library, wire::bgp::community::Community};

use crate::lab::{Lab, external, internal, many, path};

/// The policies of a `[policy]` section.
pub fn library(text: &str) -> Arc<Library> {
    let text = format!("[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\nlisten = []\n{text}");
    Config::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}")).policy.library
}

const RULES: &str = r#"
    [[policy.prefix_set]]
    name = "low"
    prefixes = ["10.0.0.0/20+"]
    [[policy.policy]]
    name = "out"
    [[policy.policy.statement]]
    match = { prefix = "low" }
    set = { med = 50, add_communities = ["64512:1"], next_hop = "192.0.2.99" }
    verdict = "accept"
    [[policy.policy.statement]]
    set = { prepend = { asn = "own", times = 2 } }
    verdict = "accept"
"#;

#[test]
fn a_policy_that_looks_at_the_prefix_is_asked_per_prefix_and_equal_results_share_messages() {
    let mut lab = Lab::new();
    lab.handle(Input::Policies(library(RULES)));
    let a = lab.peer(external(64496));
    let b = lab.peer(external(64497).export(&["out"]));
    lab.announces_paths(a, &many(100), &path("64496 64500").med(7));
    lab.settle();
    let low = lab.told(b, "10.0.3.0/24").unwrap();
    assert_eq!((low.med(), low.next_hop().unwrap().to_string().as_str()), (Some(50), "192.0.2.99"));
    assert_eq!(low.communities().collect::<Vec<_>>(), [Community(64512 << 16 | 1)]);
    let high = lab.told(b, "10.0.16.0/24").unwrap();
    assert_eq!(high.as_path().to_string(), "64512 64512 64512 64496 64500");
    assert_eq!((high.med(), high.communities().len()), (None, 0), "RFC 4271 §5.1.4: not what another AS said");
    // 16 prefixes per wake-up, of which one page at most holds both kinds; and End-of-RIB.
    assert!(lab.heard(b).messages <= 7 + 1 + 1, "{}", lab.heard(b).messages);
}

#[test]
fn a_changed_policy_sends_the_difference_to_those_it_concerns() {
    let mut lab = Lab::new();
    lab.handle(Input::Policies(library(RULES)));
    let a = lab.peer(external(64496));
    let (b, c) = (lab.peer(external(64497).export(&["out"])), lab.peer(internal()));
    lab.announces_paths(a, &many(100), &path("64496 64500"));
    lab.settle();
    let (before, others) = (lab.heard(b).octets, lab.heard(c).octets);
    // The same in other words: nothing is sent.
    lab.handle(Input::Policies(library(&RULES.replace("10.0.0.0/20+", "10.0.0.0/20 ge 20 le 32"))));
    lab.settle();
    assert_eq!(lab.heard(b).octets, before);
    // Half of the low ones count as the others now.
    lab.handle(Input::Policies(library(&RULES.replace("10.0.0.0/20+", "10.0.0.0/21+"))));
    lab.settle();
    assert_eq!(lab.told_as_path(b, "10.0.12.0/24").as_deref(), Some("64512 64512 64512 64496 64500"));
    assert_eq!(lab.told_as_path(b, "10.0.7.0/24").as_deref(), Some("64512 64496 64500"));
    assert_eq!(lab.heard(b).repeated, 0, "nothing that did not change");
    assert_eq!(lab.heard(c).octets, others, "nobody else hears of it");
    // And then nothing passes.
    let nothing = "[[policy.policy]]\nname = \"out\"\n[[policy.policy.statement]]\nverdict = \"reject\"";
    lab.handle(Input::Policies(library(nothing)));
    lab.settle();
    assert!(lab.heard(b).routes.is_empty() && lab.heard(b).unfounded.is_empty());
}

#[test]
fn policies_that_ask_who_sent_a_route_or_who_gets_it() {
    let mut lab = Lab::new();
    lab.handle(Input::Policies(library(
        r#"
        [[policy.neighbor_set]]
        name = "first"
        neighbors = ["192.0.2.1"]
        [[policy.neighbor_set]]
        name = "third"
        neighbors = ["192.0.2.3"]
        [[policy.policy]]
        name = "not-from-first-to-third"
        [[policy.policy.statement]]
        match = { from = "first", neighbor = "third" }
        verdict = "reject"
        "#,
    )));
    let names = ["not-from-first-to-third", "accept-all"];
    let (a, b) = (lab.peer(external(64496)), lab.peer(external(64497)));
    let (c, d) = (lab.peer(external(64498).export(&names)), lab.peer(external(64498).export(&names)));
    // Equal attributes from two sources.
    lab.announces(a, "203.0.113.0/24", path("64500").via("192.0.2.77"));
    lab.announces(b, "198.51.100.0/24", path("64500").via("192.0.2.77"));
    lab.settle();
    let told = |lab: &Lab, who| lab.told_prefixes(who).into_iter().collect::<Vec<_>>();
    assert_eq!(told(&lab, c), ["198.51.100.0/24"]);
    assert_eq!(told(&lab, d), ["198.51.100.0/24", "203.0.113.0/24"]);
    // The same attributes, from the other one.
    lab.announces(b, "203.0.113.0/24", path("64500").via("192.0.2.77"));
    lab.withdraws(a, "203.0.113.0/24");
    lab.settle();
    assert_eq!(told(&lab, c), ["198.51.100.0/24", "203.0.113.0/24"]);
}
