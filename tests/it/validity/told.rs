//! Validation states between routers, and of routes as they leave: the community of RFC 8097, both ways, and egress
//! validation of RFC 8893.

use ribwatch::{
    engine::{Input, LocalAs, RemovePrivate},
    policy::Library,
    types::Asn,
    validation::{OriginState, Snapshot, Update, Vrp},
    view::Table,
    wire::bgp::{
        attribute::{AttrSet, code},
        validation_state::{Stated, encode, stated},
    },
};
use std::sync::Arc;

use super::{Validating, library, vrp};
use crate::lab::{Attrs, Lab, Spec, Who, external, internal, path};

const OPTIONAL_TRANSITIVE: u8 = 0xc0;
const PREFIX: &str = "192.0.2.0/24";

/// A route with extended communities.
fn carrying(asns: &str, communities: &[[u8; 8]]) -> Attrs {
    path(asns).raw(OPTIONAL_TRANSITIVE, code::EXT_COMMUNITIES, &communities.concat())
}

fn accepting(mut spec: Spec) -> Spec {
    spec.settings.import_options.accept_validation_state = true;
    spec
}

fn sending(spec: Spec) -> Spec {
    spec.options(|options| options.send_validation_state = true)
}

fn told_state(lab: &Lab, who: Who) -> Stated {
    stated(lab.told(who, PREFIX).expect("it is told"))
}

fn ext_communities(set: AttrSet<'_>) -> Vec<[u8; 8]> {
    set.ext_communities().map(|community| community.0.to_be_bytes()).collect()
}

#[test]
fn the_state_is_told_inside_the_as_and_follows_the_data() {
    let mut v = Validating::new();
    let outside = v.lab.peer(external(64496));
    let (told, untold) = (v.lab.peer(sending(internal())), v.lab.peer(internal()));
    let abroad = v.lab.peer(external(64497));
    let target = [0, 2, 0xfb, 0xf4, 0, 0, 0, 1];
    v.lab.announces(outside, PREFIX, carrying("64496 64500", &[target]));
    v.lab.settle();
    assert_eq!(told_state(&v.lab, told), Stated::Nothing, "nothing was checked, so nothing is said");
    // RFC 8097 §2: 0 valid, 1 not found, 2 invalid.
    for (vrps, value) in
        [(&[vrp(PREFIX, 24, 64500)][..], 0), (&[], 1), (&[vrp(PREFIX, 24, 64501)], 2), (&[vrp(PREFIX, 24, 64500)], 0)]
    {
        v.rpki(vrps, &[]);
        assert_eq!(told_state(&v.lab, told), Stated::Value(value));
        let all = ext_communities(v.lab.told(told, PREFIX).expect("it is told"));
        assert_eq!(all, [target, encode(value)], "one of them, beside what was there");
        assert_eq!(told_state(&v.lab, untold), Stated::Nothing, "only where it is asked for");
        assert_eq!(told_state(&v.lab, abroad), Stated::Nothing, "RFC 8097 §2: not to EBGP by default");
    }
    assert_eq!((v.lab.heard(told).repeated, v.lab.heard(told).unfounded.len()), (0, 0));
    // Switched off while the session is up.
    v.lab.reconfigure(told, |settings| settings.export_options.send_validation_state = false);
    v.lab.settle();
    assert_eq!(told_state(&v.lab, told), Stated::Nothing);
}

#[test]
fn what_a_neighbour_says_of_the_state_counts_where_the_clause_says_so() {
    use OriginState::{Invalid, NotChecked, NotFound, Valid};
    let reserved = [0x43, 0, 1, 2, 3, 4, 5, 2];
    // (neighbour, what it sends, our state, what a neighbour of our AS that is told nothing of ours gets, clause)
    let rows: [(Spec, &[u8], OriginState, Stated, &str); 9] = [
        (accepting(internal()), &[0], Valid, Stated::Value(0), "§2: derived from the last octet"),
        (accepting(internal()), &[1], NotFound, Stated::Value(1), "§2"),
        (accepting(internal()), &[2], Invalid, Stated::Value(2), "§2"),
        (accepting(internal()), &[0, 2, 1], Invalid, Stated::Value(2), "§2: the numerically greatest"),
        (accepting(internal()), &[0, 3], NotChecked, Stated::Nothing, "§2: a value above 2 is discarded"),
        (accepting(internal()), &[], NotChecked, Stated::Nothing, "none is present"),
        (internal(), &[2], NotChecked, Stated::Value(2), "not believed, and passed on to others of the AS"),
        (external(64496), &[2], NotChecked, Stated::Nothing, "§2: EBGP: dropped by default"),
        (accepting(external(64496)), &[2], Invalid, Stated::Value(2), "§2: EBGP: configured to accept"),
    ];
    for (spec, values, state, passed_on, why) in rows {
        let mut v = Validating::new();
        let asns = if spec.negotiated.peer_asn == Asn(64496) { "64496 64500" } else { "64500" };
        let sender = v.lab.peer(spec);
        let reflected = v.lab.peer(internal().options(|options| options.route_reflector_client = true));
        let communities: Vec<[u8; 8]> = values.iter().map(|value| encode(*value)).collect();
        let attrs = if communities.is_empty() { path(asns) } else { carrying(asns, &communities) };
        v.lab.announces(sender, PREFIX, attrs.clone());
        v.lab.announces(sender, "198.51.100.0/24", attrs);
        v.lab.settle();
        assert_eq!(v.states(sender, PREFIX).0, state, "{why}");
        assert_eq!(told_state(&v.lab, reflected), passed_on, "{why}");
        let warned = usize::from(values.contains(&3));
        assert_eq!(v.lab.warnings.len(), warned, "§2: an error is logged, once: {:?}", v.lab.warnings);
        // §2: only "in the absence of validation state set based on local data".
        v.rpki(&[vrp(PREFIX, 24, 64500)], &[]);
        assert_eq!(v.states(sender, PREFIX).0, Valid, "{why}: local data win");
        assert_eq!(v.states(sender, "198.51.100.0/24").0, NotFound, "{why}: those that know nothing, too");
        // Without data again it counts again.
        let none = Update { snapshot: Arc::new(Snapshot::default()), changed: None };
        v.lab.handle(Input::Rpki(Box::new(none)));
        v.lab.settle();
        assert_eq!(v.states(sender, PREFIX).0, state, "{why}");
    }
    let mut v = Validating::new();
    let sender = v.lab.peer(accepting(internal()));
    v.lab.announces(sender, PREFIX, carrying("64500", &[reserved]));
    assert_eq!(v.states(sender, PREFIX).0, Invalid, "§2: reserved octets are ignored");
    v.lab.reconfigure(sender, |settings| settings.import_options.accept_validation_state = false);
    v.lab.settle();
    assert_eq!(v.states(sender, PREFIX).0, NotChecked, "a reload that takes trust away judges again");
}

#[test]
fn a_state_that_was_received_is_there_for_policy_and_for_others() {
    let mut v = Validating::new();
    let sender = v.lab.peer(accepting(internal()).import(&["drop-invalid", "accept-all"]));
    let client = v.lab.peer(sending(internal().options(|options| options.route_reflector_client = true)));
    v.lab.announces(sender, PREFIX, carrying("64500", &[encode(1), encode(0)]));
    v.lab.settle();
    let states = ext_communities(v.lab.told(client, PREFIX).expect("it is told"));
    assert_eq!(states, [encode(1)], "RFC 8097 §2: not more than one is sent");
    v.lab.announces(sender, PREFIX, carrying("64500", &[encode(2)]));
    v.lab.settle();
    assert!(v.lab.told(client, PREFIX).is_none());
    let rows = v.lab.table(Table::AdjIn, Some(sender)).rows;
    assert_eq!(rows[0].rejected_by.as_deref(), Some("drop-invalid/rov"));
}

/// Rejects on export what is invalid, strips private ASNs first, or afterwards, and a policy that contradicts itself.
fn egress() -> Arc<Library> {
    library(
        r#"
        [[policy.policy]]
        name = "drop-invalid"
        [[policy.policy.statement]]
        match = { validation = "invalid" }
        verdict = "reject"
        [[policy.policy]]
        name = "valid-only"
        [[policy.policy.statement]]
        match = { validation = "valid" }
        verdict = "accept"
        [[policy.policy.statement]]
        verdict = "reject"
        [[policy.policy]]
        name = "strip"
        [[policy.policy.statement]]
        set = { strip_private_asns = true }
        [[policy.policy]]
        name = "strip-valid"
        [[policy.policy.statement]]
        match = { validation = "valid" }
        set = { strip_private_asns = true }
        verdict = "accept"
        "#,
    )
}

#[test]
fn egress_policy_sees_the_state_of_the_origin_that_will_be_announced() {
    // A customer uses a private AS behind AS 64496: as received the origin is 4200000001, as announced 64496.
    let private = "64496 4200000001";
    let ours = || vec![vrp(PREFIX, 24, 64496)];
    let theirs = || vec![vrp(PREFIX, 24, 4_200_000_001)];
    let remove = |options: &mut ribwatch::engine::ExportOptions| options.remove_private = Some(RemovePrivate::All);
    let replace = |options: &mut ribwatch::engine::ExportOptions| options.remove_private = Some(RemovePrivate::Replace);
    // (neighbour, VRPs, told, what RFC 8893 §3 says of it)
    let rows: Vec<(Spec, Vec<Vrp>, bool, &str)> = vec![
        (external(64497).export(&["valid-only"]), theirs(), true, "the origin stays: as at import"),
        (external(64497).export(&["valid-only"]), ours(), false, "the origin stays, and is another one's"),
        (external(64497).options(remove).export(&["valid-only"]), ours(), true, "private ASNs are removed"),
        (external(64497).options(remove).export(&["valid-only"]), theirs(), false, "and the private one is not seen"),
        (
            external(64497).options(remove).export(&["drop-invalid", "accept-all"]),
            theirs(),
            false,
            "it is invalid then",
        ),
        (
            external(64497).options(replace).export(&["valid-only"]),
            vec![vrp(PREFIX, 24, 64512)],
            true,
            "private ASNs become our own",
        ),
        (external(64497).export(&["strip", "valid-only"]), ours(), true, "stripped by a policy before (§4)"),
        (external(64497).export(&["strip", "valid-only"]), theirs(), false, "and then it is invalid"),
        (
            external(64497).export(&["drop-invalid", "strip", "accept-all"]),
            ours(),
            true,
            "stripped by a policy behind: what counts is what leaves",
        ),
        (
            external(64497).export(&["drop-invalid", "strip", "accept-all"]),
            theirs(),
            false,
            "likewise: what would leave is invalid",
        ),
    ];
    for (spec, vrps, told, why) in rows {
        let mut v = Validating::new();
        v.lab.handle(Input::Policies(egress()));
        let sender = v.lab.peer(external(64496));
        let listener = v.lab.peer(spec);
        v.lab.announces(sender, PREFIX, path(private));
        v.lab.settle();
        // The data come last, so that the change alone must do it; then they go and come.
        for _ in 0..2 {
            v.rpki(&vrps, &[]);
            assert_eq!(v.lab.told(listener, PREFIX).is_some(), told, "{why}");
            v.rpki(&[vrp("203.0.113.0/24", 24, 1)], &[]);
        }
        assert_eq!(v.lab.heard(listener).unfounded.len(), 0, "{why}");
    }
}

#[test]
fn a_local_as_is_the_origin_of_our_own_routes() {
    // RFC 8893 §3: the effective origin may be another one because of a migration (RFC 7705).
    let known_as = |replace_as| Some(LocalAs { asn: Asn(64999), no_prepend: false, replace_as });
    for (replace_as, vrp_of, told, why) in [
        (false, 64512, true, "64999 64512 is told: the origin is our real AS"),
        (false, 64999, false, "and not the local one"),
        (true, 64999, true, "64999 alone is told"),
        (true, 64512, false, "and our real AS is not seen"),
    ] {
        let mut v = Validating::new();
        v.lab.handle(Input::Policies(egress()));
        let mut spec = external(64497).export(&["valid-only"]);
        spec.settings.local_as = known_as(replace_as);
        spec.negotiated.local_asn = Asn(64999);
        let listener = v.lab.peer(spec);
        v.lab.originates(PREFIX, &path("")).expect("it is originated");
        v.rpki(&[vrp(PREFIX, 24, vrp_of)], &[]);
        assert_eq!(v.lab.told(listener, PREFIX).is_some(), told, "{why}");
    }
}

#[test]
fn a_confederation_is_the_origin_that_others_see() {
    let mut v = Validating::in_confederation(64999, &[65_001]);
    v.lab.handle(Input::Policies(egress()));
    let member = v.lab.peer(external(65_001).confederation_member());
    let mut spec = external(64497).export(&["valid-only"]);
    spec.negotiated.local_asn = Asn(64999);
    let listener = v.lab.peer(spec);
    let confed_sequence = [3, 1, 0, 0, 0xfd, 0xe9];
    v.lab.announces(member, PREFIX, path("").raw(0x40, code::AS_PATH, &confed_sequence));
    // RFC 6811 §2: our own AS where the path is of confederation segments only; ROAs name the confederation.
    v.rpki(&[vrp(PREFIX, 24, 64999)], &[]);
    assert_eq!(v.states(member, PREFIX).0, OriginState::Valid);
    assert!(v.lab.told(listener, PREFIX).is_some());
    v.rpki(&[vrp(PREFIX, 24, 64512)], &[]);
    assert_eq!(v.states(member, PREFIX).0, OriginState::Invalid);
    assert!(v.lab.told(listener, PREFIX).is_none());
}

#[test]
fn the_state_that_is_told_is_that_of_what_is_told() {
    // Inside the AS, behind a policy that strips private ASNs.
    let mut v = Validating::new();
    v.lab.handle(Input::Policies(egress()));
    let sender = v.lab.peer(external(64496));
    let told = v.lab.peer(sending(internal().export(&["strip", "accept-all"])));
    let paradox = v.lab.peer(external(64497).export(&["strip-valid", "accept-all"]));
    v.lab.announces(sender, PREFIX, path("64496 4200000001"));
    v.rpki(&[vrp(PREFIX, 24, 64496)], &[]);
    assert_eq!(v.states(sender, PREFIX).0, OriginState::Invalid, "as received");
    assert_eq!(told_state(&v.lab, told), Stated::Value(0), "as told");
    let untouched = Some("64512 64496 4200000001");
    assert_eq!(v.lab.told_as_path(paradox, PREFIX).as_deref(), untouched, "invalid as it is, and so it is told");
    // No state fits: stripped where valid, and valid where it is not stripped.
    v.rpki(&[vrp(PREFIX, 24, 4_200_000_001)], &[]);
    assert_eq!(told_state(&v.lab, told), Stated::Value(2));
    assert_eq!(v.lab.told_as_path(paradox, PREFIX).as_deref(), Some("64512 64496"), "judged as it is without policy");
    assert_eq!(v.lab.heard(paradox).unfounded.len(), 0);
}
