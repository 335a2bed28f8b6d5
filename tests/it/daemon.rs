//! The daemon as a whole, over loopback: real sockets, real threads, ports that the kernel chooses.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use ribwatch::{
    types::{Asn, Family, Prefix},
    view::{
        Answer, Command, Query, Refusal, SessionState,
        reload::{Cost, Outcome, ReloadRequest},
    },
    wire::bgp::{
        KEEPALIVE, MessageType,
        attribute::{AttrSetBuilder, NextHop, Origin},
        notification::Notification,
    },
};

use crate::router::{OPEN_POLICY, Raw, Router, config, pair, towards};

#[test]
fn two_routers_exchange_routes_lose_them_with_the_session_and_find_them_again() {
    let (a, b) = pair("");
    a.originate("198.51.100.0/24");
    b.originate("203.0.113.0/24");
    let both = ["198.51.100.0/24", "203.0.113.0/24"];
    a.await_routes(&both);
    b.await_routes(&both);
    assert_eq!(b.neighbor("127.0.0.1").remote_asn, Some(Asn(64496)));

    a.command(Command::Disable { peer: a.peer("127.0.0.2"), text: "maintenance until 04:00".into() }).unwrap();
    b.await_neighbors("the words of the neighbour", |views| {
        let error = views[0].last_error.clone().unwrap_or_default();
        error.contains("Administrative Shutdown") && error.contains("maintenance until 04:00")
    });
    a.await_routes(&["198.51.100.0/24"]);
    b.await_routes(&["203.0.113.0/24"]);
    assert!(!a.neighbor("127.0.0.2").enabled);

    a.command(Command::Enable { peer: a.peer("127.0.0.2") }).unwrap();
    a.await_routes(&both);
    b.await_routes(&both);
    assert_eq!(b.neighbor("127.0.0.1").flaps, 1);
}

/// What it cost: `/metrics` and `neighbor` went on showing thousands of paths of a session long gone.
#[test]
fn the_counts_follow_a_purge_that_goes_on_after_the_last_message() {
    let (left, right) = pair("");
    left.await_state("127.0.0.2", SessionState::Established);
    for n in 0..5_000_u32 {
        left.originate(&Prefix::v4(0x0a00_0000 + (n << 8), 24).to_string());
    }
    right.await_paths(5_000);
    let peer = left.peer("127.0.0.2");
    left.command(Command::Disable { peer, text: String::new() }).expect("is there");
    right.await_paths(0);
    left.stop();
    right.stop();
}

#[test]
fn a_router_that_is_killed_and_started_again_is_met_again() {
    let (a, b) = pair("");
    a.originate("198.51.100.0/24");
    b.await_routes(&["198.51.100.0/24"]);
    let port = a.port();
    b.stop();
    a.await_neighbors("the goodbye", |views| {
        views[0].state != SessionState::Established
            && views[0].last_error.as_deref().is_some_and(|error| error.contains("Administrative Shutdown (6/2)"))
    });
    let again = Router::start(64497, "", &towards(port, OPEN_POLICY));
    again.await_routes(&["198.51.100.0/24"]);
}

#[test]
fn commands_reset_refresh_add_and_remove_neighbours_at_run_time() {
    let (a, b) = pair("");
    a.originate("198.51.100.0/24");
    b.await_routes(&["198.51.100.0/24"]);
    let peer = b.peer("127.0.0.1");

    b.command(Command::Reset { peer, hard: false, text: String::new() }).unwrap();
    assert_eq!(b.neighbor("127.0.0.1").flaps, 0);

    b.command(Command::Reset { peer, hard: true, text: "new filters".into() }).unwrap();
    a.await_neighbors("the reset", |views| {
        views[0].flaps == 1 && views[0].last_error.as_deref().is_some_and(|error| error.contains("new filters"))
    });
    // What was asked before the session ended has arrived before its end: one request for each family.
    assert_eq!(a.neighbor("127.0.0.2").received.refresh, 2);
    b.await_routes(&["198.51.100.0/24"]);

    b.command(Command::Remove { peer }).unwrap();
    b.await_neighbors("nobody left", |views| views.is_empty());
    b.await_routes(&[]);
    a.await_neighbors("peer de-configured", |views| {
        views[0].last_error.as_deref().is_some_and(|error| error.contains("(6/3)"))
    });
    assert!(matches!(b.command(Command::Enable { peer }), Err(Refusal::NotFound(_))));

    let toml = towards(a.port(), OPEN_POLICY).replace("[[neighbor]]\n", "");
    b.command(Command::Add { toml: toml.clone() }).unwrap();
    b.await_routes(&["198.51.100.0/24"]);
    assert!(matches!(b.command(Command::Add { toml }), Err(Refusal::Exists(_))));
    let faulty = b.command(Command::Add { toml: "address = \"127.0.0.9\"\n".into() });
    assert!(matches!(faulty, Err(Refusal::Invalid(text)) if text.contains("lacks `remote_asn`")));
}

#[test]
fn a_session_with_password_and_ttl_security_comes_up_and_a_wrong_password_is_told_apart_from_nothing() {
    let (a, b) = pair("password = \"s3cret\"\nttl_security = 1\n");
    a.await_state("127.0.0.2", SessionState::Established);
    b.await_state("127.0.0.1", SessionState::Established);

    let wrong = format!("{OPEN_POLICY}password = \"guess\"\nttl_security = 1\n");
    b.daemon().reload(config(64497, "", &towards(a.port(), &wrong)), ReloadRequest::default());
    b.await_neighbors("no answer", |views| {
        views.iter().any(|view| {
            view.last_error.as_deref().is_some_and(|error| {
                error.contains("no answer from 127.0.0.1") && error.contains("check that both ends have the same")
            })
        })
    });
}

#[test]
fn passwords_and_ttl_security_work_over_ipv6_and_for_ranges() {
    let keys = format!("{OPEN_POLICY}password = \"s3cret\"\nttl_security = true\n");
    let a = Router::start(
        64496,
        "[::1]:0",
        &format!("[[neighbor]]\naddress = \"::1\"\nremote_asn = 64497\npassive = true\n{keys}"),
    );
    let to_a = format!("[[neighbor]]\naddress = \"::1\"\nport = {}\nremote_asn = 64496\n{keys}", a.port());
    let b = Router::start(64497, "", &to_a);
    b.await_state("::1", SessionState::Established);

    let hub = Router::start(
        64496,
        "127.0.0.1:0",
        "[[neighbor]]\nrange = \"127.0.1.0/24\"\nremote_asn = [64497, 64498]\npassword = \"s3cret\"\n",
    );
    let spoke = Router::start(
        64497,
        "",
        &towards(hub.port(), &keys.replace("ttl_security = true\n", "")).replace("127.0.0.2", "127.0.1.7"),
    );
    spoke.await_state("127.0.0.1", SessionState::Established);
    hub.await_state("127.0.1.7", SessionState::Established);
}

#[test]
fn a_reload_resets_what_changed_and_leaves_the_rest_alone() {
    let hub = Router::start(
        64496,
        "127.0.0.1:0",
        &["127.0.0.2", "127.0.0.3", "127.0.0.4"]
            .map(|address| {
                format!("[[neighbor]]\naddress = \"{address}\"\nremote_asn = 64497\npassive = true\n{OPEN_POLICY}")
            })
            .concat(),
    );
    let spokes = ["127.0.0.2", "127.0.0.3", "127.0.0.4"].map(|address| {
        let keys = towards(hub.port(), OPEN_POLICY).replace("127.0.0.2", address);
        Router::start(64497, "", &keys)
    });
    for address in ["127.0.0.2", "127.0.0.3", "127.0.0.4"] {
        hub.await_state(address, SessionState::Established);
    }
    let since = hub.neighbor("127.0.0.2").established_at;

    let entry = |address: &str, keys: &str| {
        format!("[[neighbor]]\naddress = \"{address}\"\nremote_asn = 64497\npassive = true\n{OPEN_POLICY}{keys}")
    };
    let new =
        [entry("127.0.0.2", "name = \"kept\"\n"), entry("127.0.0.3", "hold_time = \"30s\"\n"), entry("127.0.0.5", "")]
            .concat();
    let report = hub.daemon().reload(config(64496, "127.0.0.1:0", &new), ReloadRequest::default());
    let costs: Vec<(&str, Cost)> = report.changes.iter().map(|change| (change.kind, change.cost)).collect();
    let expected = [
        ("removed", Cost::Resets),
        ("changed", Cost::Reevaluates),
        ("changed", Cost::Resets),
        ("added", Cost::Nothing),
    ];
    assert_eq!((report.outcome, costs.as_slice()), (Outcome::Applied, expected.as_slice()));

    // The one that changed says so to its peer (Cease/Other Configuration Change) and comes back.
    spokes[1].await_neighbors("the reset", |views| {
        views[0].last_error.as_deref().is_some_and(|error| error.contains("(6/6)"))
    });
    hub.await_neighbors("it is back with the new hold time", |views| {
        views.iter().any(|view| view.address.to_string() == "127.0.0.3" && view.hold_time == Duration::from_secs(30))
    });
    spokes[2].await_neighbors("the removal", |views| {
        views[0].last_error.as_deref().is_some_and(|error| error.contains("(6/3)"))
    });
    hub.await_neighbors("the removed one is gone", |views| {
        views.iter().all(|view| view.address.to_string() != "127.0.0.4")
    });
    let kept = hub.neighbor("127.0.0.2");
    assert_eq!((kept.established_at, kept.flaps, kept.name.as_deref()), (since, 0, Some("kept")));
}

#[test]
fn a_range_takes_whom_it_holds_up_to_its_limit_and_forgets_who_leaves() {
    let hub = Router::start(
        64496,
        "127.0.0.1:0",
        "[[neighbor]]\nname = \"lab\"\nrange = \"127.0.1.0/24\"\nremote_asn = \"any\"\nlimit = 2\n\
         monitor_only = true\n",
    );
    let mut first = Raw::connect("127.0.1.1", hub.port(), 90);
    first.establish();
    let mut second = Raw::connect("127.0.1.2", hub.port(), 90);
    second.establish();
    hub.await_state("127.0.1.1", SessionState::Established);
    hub.await_state("127.0.1.2", SessionState::Established);
    let view = hub.neighbor("127.0.1.1");
    assert_eq!((view.name.as_deref(), view.remote_asn), (Some("lab"), Some(Asn(64497))));
    assert_eq!(view.range.map(|range| range.to_string()).as_deref(), Some("127.0.1.0/24"));

    // RFC 4486 §4: Connection Rejected, to the third of two and to a stranger.
    for address in ["127.0.1.3", "127.0.2.1"] {
        let mut refused = Raw::connect(address, hub.port(), 90);
        let notification = Notification::decode(&refused.next_of(MessageType::Notification)).unwrap();
        assert_eq!((notification.code, notification.subcode), (6, 5), "{address}");
    }

    drop(first);
    hub.await_neighbors("who left is forgotten", |views| views.len() == 1);
    let mut third = Raw::connect("127.0.1.3", hub.port(), 90);
    third.establish();
    hub.await_neighbors("there is room again", |views| {
        views.len() == 2 && views.iter().all(|view| view.state == SessionState::Established)
    });
}

#[test]
fn hundreds_of_passive_peers_come_at_once_and_all_are_met() {
    let hub = Router::start(
        64496,
        "127.0.0.1:0",
        "[[neighbor]]\nrange = \"127.0.0.0/16\"\nremote_asn = 64497\nmonitor_only = true\n",
    );
    let mut peers: Vec<Raw> =
        (0..400).map(|n| Raw::connect(&format!("127.0.{}.{}", 1 + n / 200, 1 + n % 200), hub.port(), 90)).collect();
    peers.iter_mut().for_each(Raw::establish);
    hub.await_neighbors("400 sessions", |views| {
        views.iter().filter(|view| view.state == SessionState::Established).count() == 400
    });
    drop(peers);
    hub.await_neighbors("nobody left", |views| views.is_empty());
}

#[test]
fn the_end_of_the_daemon_is_told_to_every_neighbour() {
    let hub = Router::start(64496, "127.0.0.1:0", "[[neighbor]]\nrange = \"127.0.1.0/24\"\nremote_asn = 64497\n");
    let mut peers: Vec<Raw> = (1..=5).map(|n| Raw::connect(&format!("127.0.1.{n}"), hub.port(), 90)).collect();
    peers.iter_mut().for_each(Raw::establish);
    hub.await_neighbors("five sessions", |views| {
        views.iter().filter(|view| view.state == SessionState::Established).count() == 5
    });
    let told = std::thread::spawn(move || {
        peers
            .iter_mut()
            .map(|peer| Notification::decode(&peer.next_of(MessageType::Notification)).unwrap())
            .map(|notification| (notification.code, notification.subcode))
            .collect::<Vec<_>>()
    });
    hub.stop();
    assert_eq!(told.join().unwrap(), vec![(6, 2); 5]);
}

/// An UPDATE of 900 prefixes of their own, with a path of its own.
fn blast_message(number: u32) -> Vec<u8> {
    update(number, 900)
}

/// An UPDATE of `count` prefixes; no two numbers below 18,000 have one in common.
fn update(number: u32, count: u32) -> Vec<u8> {
    let mut attributes = AttrSetBuilder::new();
    attributes
        .origin(Origin::Igp)
        .as_path_sequence(&[Asn(64497), Asn(65536 + number)])
        .next_hop(Family::IPV4_UNICAST, NextHop::new(Ipv4Addr::new(192, 0, 2, 1).into()));
    let attributes = attributes.finish();
    let mut nlri = Vec::new();
    for n in 0..count {
        let [_, a, b, c] = (number * 900 + n).to_be_bytes();
        nlri.extend([24, a.max(1), b, c]);
    }
    let len = 19 + 2 + 2 + attributes.len() + nlri.len();
    let mut message = vec![0xff; 16];
    message.extend((len as u16).to_be_bytes());
    message.extend([2, 0, 0]);
    message.extend((attributes.len() as u16).to_be_bytes());
    message.extend(attributes);
    message.extend(nlri);
    message
}

#[test]
fn too_many_prefixes_end_the_session_and_the_restart_time_brings_it_back() {
    let hub = Router::start(
        64496,
        "127.0.0.1:0",
        "[[neighbor]]\naddress = \"127.0.1.1\"\nremote_asn = 64497\npassive = true\nimport = [\"accept-all\"]\n\
         max_prefix = { limit = 10, restart = \"1s\" }\n",
    );
    let mut greedy = Raw::connect("127.0.1.1", hub.port(), 90);
    greedy.establish();
    greedy.send(&update(1, 11));
    let notification = Notification::decode(&greedy.next_of(MessageType::Notification)).unwrap();
    // RFC 4486 §4: Maximum Number of Prefixes Reached.
    assert_eq!((notification.code, notification.subcode), (6, 1));
    hub.await_routes(&[]);

    // Refused until the time is over, then welcome: 10 is the limit, and allowed.
    let mut modest = loop {
        let mut again = Raw::connect("127.0.1.1", hub.port(), 90);
        if again.next().is_some_and(|(kind, _)| kind == MessageType::Open) {
            break again;
        }
    };
    modest.send(&KEEPALIVE);
    modest.next_of(MessageType::Keepalive);
    modest.send(&update(1, 10));
    hub.await_routes_count(10);
}

#[test]
fn a_peer_that_blasts_is_slowed_down_and_the_keepalives_of_another_go_on() {
    let hub = Router::start(
        64496,
        "127.0.0.1:0",
        "[[neighbor]]\nrange = \"127.0.1.0/24\"\nremote_asn = 64497\nimport = [\"accept-all\"]\n",
    );
    // Nine seconds: on a busy machine of two cores a test may well wait three for its turn.
    let mut quiet = Raw::connect("127.0.1.1", hub.port(), 9);
    quiet.establish();
    let mut loud = Raw::connect("127.0.1.2", hub.port(), 90);
    loud.establish();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let blasting = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut sent = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                loud.send(&blast_message(sent % 64));
                sent += 1;
            }
            (loud, sent)
        }
    });
    // Longer than a hold time: keepalives come three times in it.
    for _ in 0..5 {
        quiet.next_of(MessageType::Keepalive);
        quiet.send(&KEEPALIVE);
        // A question is answered while the table churns.
        assert!(matches!(hub.query(Query::Summary), Answer::Summary(_)));
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let (_loud, sent) = blasting.join().unwrap();
    assert!(sent > 64, "the loud one was heard");
    for view in hub.backend().neighbors() {
        assert_eq!((view.state, view.flaps), (SessionState::Established, 0), "{}", view.address);
    }
}

#[test]
fn declared_prefixes_are_counted_by_who_announces_them() {
    let watched = "[[watch.prefix]]\nprefix = \"198.51.100.0/24\"\norigins = [64496]\n\
                   [[watch.prefix]]\nprefix = \"2001:db8::/32\"\norigins = [64496]\n";
    let passive = format!("[[neighbor]]\naddress = \"127.0.0.2\"\nremote_asn = 64497\npassive = true\n{OPEN_POLICY}");
    let a = Router::start(64496, "127.0.0.1:0", &passive);
    let c = Router::start(64497, "", &(towards(a.port(), OPEN_POLICY) + watched));
    a.originate("198.51.100.0/24");
    c.await_routes(&["198.51.100.0/24"]);
    let wanted = vec![("198.51.100.0/24".parse().unwrap(), 1), ("2001:db8::/32".parse().unwrap(), 0)];
    let backend = c.backend();
    while backend.watched_prefixes().neighbors != wanted {
        std::thread::yield_now();
    }
    assert_eq!(backend.watched_prefixes().left_out, 0);
}
