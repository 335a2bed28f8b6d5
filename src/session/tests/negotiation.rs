//! Two OPENs and what comes of them: every reason to refuse, and every capability.

use super::*;
use crate::{
    session::negotiate::{Endpoints, Negotiated, Tone, local_open, negotiate},
    types::{PeerKind, Role},
    wire::bgp::capability::{AddPathMode, GracefulRestart},
};

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;

fn ends(remote: &str) -> Endpoints {
    Endpoints { local: "192.0.2.2:179".parse().expect("address"), remote: remote.parse().expect("address") }
}

fn meet_over(remote: &str, settings: &PeerSettings, theirs: &Open) -> Result<Negotiated, (String, String)> {
    let ends = ends(remote);
    negotiate(settings, &local_open(settings, ends, Tone::default()), theirs, ends).map_err(|fault| {
        let notification = Notification::from(&fault);
        (format!("{}/{}", notification.code, notification.subcode), fault.what)
    })
}

fn meet(settings: &PeerSettings, theirs: &Open) -> Result<Negotiated, (String, String)> {
    meet_over("192.0.2.1:50000", settings, theirs)
}

fn agreed(settings: &PeerSettings, capabilities: Vec<Capability>) -> Negotiated {
    meet(settings, &Open { capabilities, ..their_open() }).expect("acceptable")
}

/// What a neighbour with our settings and its own AS would announce.
fn mirrored(settings: &PeerSettings) -> Vec<Capability> {
    announced(&PeerSettings { local_asn: THEM, ..settings.clone() }, "192.0.2.1:179")
}

fn announced(settings: &PeerSettings, remote: &str) -> Vec<Capability> {
    local_open(settings, ends(remote), Tone::default()).capabilities
}

#[test]
fn what_is_wrong_with_an_open_is_told_with_its_code_and_in_words() {
    let any = || PeerSettings { remote_asn: RemoteAsn::Any, ..settings() };
    let one_of = || PeerSettings { remote_asn: RemoteAsn::OneOf(vec![Asn(64498), THEM]), ..settings() };
    let bare = |asn, hold, id| Open::new(Asn(asn), hold, id, vec![]);
    let with = |capability| Open { capabilities: vec![capability], ..their_open() };
    let role = |local, strict| PeerSettings { local_role: Some(local), strict_role: strict, ..settings() };
    let v6_only = || PeerSettings { families: vec![V6], ..settings() };
    for (settings, open, code, what) in [
        // RFC 4271 §6.2
        (settings(), bare(64499, 90, THEIR_LOWER_ID), "2/2", "peer AS is 64499, expected 64497"),
        (one_of(), bare(64499, 90, THEIR_LOWER_ID), "2/2", "peer AS 64499 is not among those accepted here"),
        // RFC 6793 §4.2.2: the capability is what counts
        (settings(), with(Capability::FourOctetAs(Asn(65550))), "2/2", "peer AS is 65550, expected 64497"),
        // RFC 7607 §2
        (any(), bare(0, 90, THEIR_LOWER_ID), "2/2", "peer AS 0 is not among those accepted here"),
        // RFC 6286 §2.2
        (settings(), bare(64497, 90, RouterId(0)), "2/3", "peer has BGP Identifier 0.0.0.0"),
        (any(), bare(64496, 90, OUR_ID), "2/3", "peer has BGP Identifier 192.0.2.2, which is our own"),
        // RFC 4271 §4.2
        (settings(), bare(64497, 2, THEIR_LOWER_ID), "2/6", "peer proposes a hold time of 2s, at least 3s is accepted"),
        (
            PeerSettings { min_hold_time: secs(30), ..settings() },
            bare(64497, 29, THEIR_LOWER_ID),
            "2/6",
            "peer proposes a hold time of 29s, at least 30s is accepted",
        ),
        // RFC 9234 §4.2
        (
            role(Role::Customer, false),
            with(Capability::Role(Role::Customer as u8)),
            "2/11",
            "peer says its role is customer, ours is customer, so it should be provider",
        ),
        (
            role(Role::Peer, false),
            with(Capability::Role(77)),
            "2/11",
            "peer says its role is 77, ours is peer, so it should be peer",
        ),
        (
            role(Role::Provider, true),
            bare(64497, 90, THEIR_LOWER_ID),
            "2/11",
            "peer tells no role, and strict_role asks for one",
        ),
        // RFC 5492 §3
        (v6_only(), bare(64497, 90, THEIR_LOWER_ID), "2/7", "no address family in common: we offer ipv6-unicast"),
        (v6_only(), with(Capability::MultiProtocol(V4)), "2/7", "no address family in common: we offer ipv6-unicast"),
    ] {
        let refused = meet(&settings, &open).expect_err(what);
        assert_eq!(refused, (code.to_owned(), what.to_owned()));
    }
}

#[test]
fn a_missing_family_is_listed_for_the_neighbour() {
    // RFC 5492 §5: the data is the capabilities, encoded as in OPEN.
    let settings = PeerSettings { families: vec![V6], ..settings() };
    let ends = ends("192.0.2.1:50000");
    let theirs = Open { capabilities: vec![], ..their_open() };
    let fault =
        negotiate(&settings, &local_open(&settings, ends, Tone::default()), &theirs, ends).expect_err("no family");
    assert_eq!(fault.data, [1, 4, 0, 2, 0, 1]);
}

#[test]
fn legal_but_unusual_opens_are_accepted() {
    // RFC 6286 §2.1: equal identifiers across an AS boundary.
    assert!(meet(&settings(), &Open { router_id: OUR_ID, ..their_open() }).is_ok());
    // RFC 4271 §4.2: zero, whatever minimum is configured.
    let strict = PeerSettings { min_hold_time: secs(30), ..settings() };
    let zero = meet(&strict, &Open { hold_time_secs: 0, ..their_open() }).expect("legal");
    assert_eq!((zero.hold_time, zero.keepalive), (secs(0), secs(0)));
    // RFC 9234 §4.2: a role that we did not ask for; and any role on iBGP.
    assert_eq!(agreed(&settings(), vec![Capability::Role(3)]).local_role, None);
    let inside = PeerSettings { remote_asn: RemoteAsn::Any, local_role: Some(Role::Peer), ..settings() };
    let ibgp = meet(&inside, &Open::new(US, 90, THEIR_LOWER_ID, vec![Capability::Role(0)])).expect("iBGP has no roles");
    assert_eq!((ibgp.kind, ibgp.local_role), (PeerKind::Internal, None));
}

#[test]
fn a_capability_holds_once_both_said_it() {
    let all = agreed(&settings(), mirrored(&settings()));
    assert!(all.four_octet_as && all.route_refresh && all.enhanced_refresh && all.extended_message);
    assert!(all.graceful_restart.is_some());
    assert_eq!(all.families, [V4, V6]);

    let none = agreed(&settings(), vec![]);
    assert!(!none.four_octet_as && !none.route_refresh && !none.enhanced_refresh && !none.extended_message);
    assert_eq!((none.families.as_slice(), none.graceful_restart), (&[V4][..], None));

    let quiet = PeerSettings {
        route_refresh: false,
        enhanced_refresh: false,
        extended_message: false,
        end_of_rib: false,
        ..settings()
    };
    let theirs_alone = agreed(&quiet, mirrored(&settings()));
    assert!(!theirs_alone.enhanced_refresh && !theirs_alone.extended_message);
    assert!(theirs_alone.route_refresh, "RFC 2918 §4: we may ask whoever announced it");
    assert_eq!(theirs_alone.graceful_restart, None);
}

#[test]
fn families_keep_our_order_and_repeat_nothing() {
    let both = vec![Capability::MultiProtocol(V6), Capability::MultiProtocol(V4), Capability::MultiProtocol(V6)];
    assert_eq!(agreed(&settings(), both).families, [V4, V6]);
    assert_eq!(agreed(&settings(), vec![Capability::MultiProtocol(V6)]).families, [V6]);
    let unknown = vec![Capability::MultiProtocol(Family::EVPN), Capability::MultiProtocol(V4)];
    assert_eq!(agreed(&settings(), unknown).families, [V4]);
}

#[test]
fn add_path_works_per_family_and_direction() {
    // RFC 7911 §4: one side receives and the other sends. Ours, theirs: what we receive, what we send.
    use AddPathMode::{Both, Receive, Send};
    for (receive, send, theirs, expected) in [
        (true, false, Send, (true, false)),
        (true, false, Receive, (false, false)),
        (true, false, Both, (true, false)),
        (false, true, Receive, (false, true)),
        (false, true, Send, (false, false)),
        (true, true, Both, (true, true)),
        (true, true, Send, (true, false)),
        (false, false, Both, (false, false)),
    ] {
        let list = |on: bool| if on { vec![V4] } else { vec![] };
        let settings = PeerSettings { add_path_receive: list(receive), add_path_send: list(send), ..settings() };
        let negotiated = agreed(&settings, vec![Capability::AddPath(vec![(V6, Both), (V4, theirs)])]);
        assert_eq!((negotiated.add_path_receive, negotiated.add_path_send), (list(expected.0), list(expected.1)));
    }
}

#[test]
fn ipv6_next_hops_for_ipv4_are_offered_on_ipv6_transport_or_where_configured() {
    let offer = Capability::ExtendedNextHop(vec![(V4, 2)]);
    let configured = PeerSettings { extended_next_hop: true, ..settings() };
    for (settings, remote, offered) in [
        (settings(), "192.0.2.1:179", false),
        (settings(), "[2001:db8::1]:179", true),
        (settings(), "[::ffff:192.0.2.1]:179", false),
        (configured.clone(), "192.0.2.1:179", true),
        (PeerSettings { families: vec![V6], ..configured.clone() }, "[2001:db8::1]:179", false),
    ] {
        assert_eq!(announced(&settings, remote).contains(&offer), offered, "{remote}");
    }
    assert_eq!(agreed(&configured, vec![offer]).extended_next_hop, [V4]);
    assert_eq!(agreed(&configured, vec![Capability::ExtendedNextHop(vec![(V4, 1)])]).extended_next_hop, []);
    assert_eq!(agreed(&configured, vec![]).extended_next_hop, []);
}

#[test]
fn roles_are_matched_and_kept() {
    for (ours, theirs) in [
        (Role::Customer, Role::Provider),
        (Role::Provider, Role::Customer),
        (Role::Peer, Role::Peer),
        (Role::RouteServer, Role::RouteServerClient),
        (Role::RouteServerClient, Role::RouteServer),
    ] {
        let settings = PeerSettings { local_role: Some(ours), strict_role: true, ..settings() };
        assert_eq!(agreed(&settings, vec![Capability::Role(theirs as u8)]).local_role, Some(ours));
    }
    let lenient = PeerSettings { local_role: Some(Role::Peer), ..settings() };
    // RFC 9234 §4.2: without the neighbour's word "the locally configured BGP Role is used".
    assert_eq!(agreed(&lenient, vec![]).local_role, Some(Role::Peer));
    assert!(agreed(&lenient, vec![]).describe().contains(&"role peer (the neighbour tells none)".to_owned()));
}

#[test]
fn a_collector_session_promises_nothing_that_it_would_have_to_send() {
    let settings =
        PeerSettings { monitor_only: true, add_path_receive: vec![V4], add_path_send: vec![V4], ..settings() };
    let said = announced(&settings, "192.0.2.1:179");
    assert_eq!(
        said,
        [
            Capability::MultiProtocol(V4),
            Capability::MultiProtocol(V6),
            Capability::ExtendedMessage,
            Capability::FourOctetAs(US),
            Capability::AddPath(vec![(V4, AddPathMode::Receive)]),
        ]
    );
}

#[test]
fn names_are_told_when_configured_and_remembered_when_heard() {
    let settings =
        PeerSettings { hostname: Some("lab".into()), software_version: Some("ribwatch/1".into()), ..settings() };
    let said = announced(&settings, "192.0.2.1:179");
    let fqdn = Capability::Fqdn { hostname: "edge-1".into(), domain: "example.net".into() };
    assert!(said.contains(&Capability::Fqdn { hostname: "lab".into(), domain: String::new() }));
    let heard = agreed(&settings, vec![fqdn, Capability::SoftwareVersion("router/2".into())]);
    assert_eq!((heard.hostname.as_deref(), heard.software.as_deref()), (Some("edge-1.example.net"), Some("router/2")));
    assert!(!announced(&self::settings(), "192.0.2.1:179").iter().any(|c| matches!(c, Capability::SoftwareVersion(_))));
}

#[test]
fn an_as_of_four_octets_is_as_trans_in_the_fixed_part() {
    let settings = PeerSettings { local_asn: Asn(65550), ..settings() };
    let open = local_open(&settings, ends("192.0.2.1:179"), Tone::default());
    assert_eq!((open.my_as, open.asn()), (23456, Asn(65550)));
}

#[test]
fn of_several_graceful_restart_capabilities_the_last_one_counts() {
    let restart = |secs| Capability::GracefulRestart(GracefulRestart { restart_time_secs: secs, ..Default::default() });
    let heard = agreed(&settings(), vec![restart(1), restart(2)]).graceful_restart.expect("both said it");
    assert_eq!(heard.restart_time_secs, 2, "RFC 4724 §3");
}

#[test]
fn hard_resets_are_agreed_on_only_when_both_set_the_n_bit() {
    // RFC 8538 §2.
    let open = |notification| {
        let restart = GracefulRestart { notification, ..Default::default() };
        Open { capabilities: vec![Capability::GracefulRestart(restart)], ..their_open() }
    };
    for (ours, theirs) in [(false, false), (false, true), (true, false), (true, true)] {
        let agreed = negotiate(&settings(), &open(ours), &open(theirs), ends("192.0.2.1:179")).expect("acceptable");
        assert_eq!(agreed.graceful_restart.map(|restart| restart.notification), Some(ours && theirs));
    }
}

#[test]
fn what_was_agreed_reads_well() {
    let settings = PeerSettings { add_path_receive: vec![V4], local_role: Some(Role::Customer), ..settings() };
    let mut theirs = mirrored(&self::settings());
    theirs.extend([Capability::AddPath(vec![(V4, AddPathMode::Both)]), Capability::Role(0)]);
    assert_eq!(
        agreed(&settings, theirs).describe(),
        [
            "ipv4-unicast",
            "ipv6-unicast",
            "4-octet AS",
            "route refresh",
            "enhanced route refresh",
            "extended message",
            "ADD-PATH receive ipv4-unicast",
            "role customer",
            "End-of-RIB",
            "routes kept over NOTIFICATION (RFC 8538)"
        ]
    );
}

#[test]
fn a_neighbour_that_refuses_capabilities_gets_one_attempt_without() {
    // RFC 5492 §3; unsupported optional parameter (RFC 4271 §6.2) from speakers older than capabilities.
    for subcode in [4, 7] {
        let complaint = Notification { code: 2, subcode, data: vec![] }.encode();
        let (mut desk, conn) = Desk::in_state(State::OpenSent);
        desk.receive(conn, &complaint);
        assert_eq!(desk.said(), "close, connect");
        let second = ConnId::outbound(1);
        desk.connect(second);
        assert_eq!(desk.sent_open().capabilities, []);
        desk.receive(second, &Open { capabilities: vec![], ..their_open() }.encode());
        desk.receive(second, &KEEPALIVE);
        let negotiated = desk.peer.negotiated().expect("established");
        assert_eq!((negotiated.families.as_slice(), negotiated.four_octet_as), (&[V4][..], false));

        // It stays so for the next session, and ends when that does not come up.
        desk.give(Input::Closed { conn: second, reason: "connection closed by the peer".into() });
        desk.wait_for_deadline();
        let third = ConnId::outbound(2);
        desk.connect(third);
        assert_eq!(desk.sent_open().capabilities, []);
        desk.out.clear();
        desk.receive(third, &complaint);
        assert_eq!(desk.said(), "close out2", "no third way: idle hold");
        desk.wait_for_deadline();
        desk.connect(ConnId::outbound(3));
        assert_ne!(desk.sent_open().capabilities, []);
    }
}

#[test]
fn the_attempt_without_capabilities_is_left_out_where_it_is_pointless() {
    let never = PeerSettings { retry_without_capabilities: false, ..settings() };
    let v6_only = PeerSettings { families: vec![V6], ..settings() };
    for settings in [never, v6_only] {
        let mut desk = Desk::new(settings);
        let conn = desk.lead_to(State::OpenSent, &their_open());
        desk.out.clear();
        desk.receive(conn, &Notification { code: 2, subcode: 7, data: vec![] }.encode());
        assert_eq!((desk.said().as_str(), desk.peer.state()), ("close", State::Idle));
    }
}

#[test]
fn a_refused_open_is_kept_in_words() {
    let (mut desk, conn) = Desk::in_state(State::OpenSent);
    desk.receive(conn, &Open::new(Asn(64499), 90, THEIR_LOWER_ID, vec![]).encode());
    assert_eq!(desk.last_error(), "peer AS is 64499, expected 64497");
    assert_eq!(desk.warnings(), ["peer AS is 64499, expected 64497"]);
    let (mut desk, conn) = Desk::in_state(State::OpenSent);
    desk.receive(conn, &Notification { code: 2, subcode: 2, data: vec![] }.encode());
    assert_eq!(desk.last_error(), "peer sent OPEN Message Error/Bad Peer AS (2/2)");
}
