//! The verbs that ask a daemon, run as from a shell against a backend in memory: what they print, as a table and
//! as JSON, and the exit codes of the contract.

use std::sync::Arc;

use ribwatch::{
    alert::Nobody,
    cli,
    types::PeerId,
    view::{Backend, Command, FaultCount, SessionState},
    wire::bgp::community::{Community, LargeCommunity},
};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::fake::{Fake, attributes};

/// A daemon with two neighbours, and a shell beside it.
struct Shell {
    fake: Arc<Fake>,
    a: PeerId,
    api: String,
    _runtime: Runtime,
}

/// What a command left behind.
struct Done {
    code: u8,
    out: String,
    err: String,
}

impl Shell {
    fn new() -> Self {
        let fake = Fake::new(64);
        let a = fake.neighbor("192.0.2.1", 64496);
        let b = fake.neighbor("192.0.2.2", 64497);
        fake.edit(a, |view| view.name = Some("edge-1".into()));
        fake.edit(b, |view| {
            view.state = SessionState::Active;
            view.established_at = None;
            view.last_error = Some("received Cease/Administrative Shutdown (6/2): \"upgrade\"".into());
            view.flaps = 2;
        });
        let communities = [Community::NO_EXPORT, Community(64500 << 16 | 7)];
        let large = [LargeCommunity { global: 64500, local1: 1, local2: 2 }];
        let mut set = attributes("203.0.113.0/24", &[64496, 64500]);
        let set = set.med(10).local_pref(200).communities(&communities).large_communities(&large).finish();
        fake.file(a, "203.0.113.0/24", 0, set);
        fake.announce(b, "203.0.113.0/24", &[64497, 64499, 64500]);
        fake.announce(b, "198.51.100.0/24", &[64497]);
        fake.announce(a, "2001:db8::/32", &[64496, 64501]);
        Self::serving(fake, a)
    }

    fn serving(fake: Arc<Fake>, a: PeerId) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let api = listener.local_addr().unwrap().to_string();
        let backend: Arc<dyn Backend> = fake.clone();
        runtime.spawn(crate::door::serve_grpc(listener, backend, Arc::new(Nobody)));
        Self { fake, a, api, _runtime: runtime }
    }

    fn run(&self, arguments: &[&str]) -> Done {
        run(&[&["ribwatch", "--api", &self.api], arguments].concat())
    }

    /// Runs what must succeed, and gives what it prints.
    fn prints(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{arguments:?} printed {}", done.out);
        done.out
    }

    /// The JSON lines of a command.
    fn json(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        let text = self.prints(&[arguments, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn run(arguments: &[&str]) -> Done {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::execute(arguments, &mut out, &mut err);
    Done { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn assert_begins_with(keys: &[&str], contract: &str) {
    // serde_json sorts the keys of an object, so only the set can be compared here; the order has its own test.
    for name in contract.split_whitespace() {
        assert!(keys.contains(&name), "{name} is missing in {keys:?}");
    }
}

#[test]
fn neighbors_are_a_table_with_a_count() {
    let expected = "\
NEIGHBOR   NAME       AS  STATE        SINCE  RECEIVED  ACCEPTED  ADVERTISED  LAST ERROR
192.0.2.1  edge-1  64496  established  3d04h         3         2           1
192.0.2.2          64497  active       3d04h         3         2           1  received Cease/Administrative Shutdown (6/2): \"upgrade\"
2 neighbors, 1 established
";
    assert_eq!(Shell::new().prints(&["neighbor"]), expected);
}

#[test]
fn one_neighbor_is_shown_in_full_with_its_faults() {
    let shell = Shell::new();
    shell.fake.edit(shell.a, |view| {
        let last = "ORIGIN has the value 7 at octet 30 (RFC 7606 §7.1)".into();
        view.faults = vec![FaultCount { attribute: Some(1), outcome: "withdraw", count: 3, last }];
    });
    let expected = "\
192.0.2.1  edge-1  AS64496  established for 3d04h
  router id           198.51.100.2
  local AS            64512
  families            ipv4-unicast
  hold time           90s
  negotiated          4-octet AS, route refresh
  import              accept-all
  export              none
  flaps               0

FAMILY        RECEIVED  ACCEPTED  ADVERTISED  END OF RIB
ipv4-unicast         3         2           1  received
ipv4-unicast: 2 stale paths, kept until the neighbor has sent them again or its time is over
ipv4-unicast: 7 paths dropped, their prefix had all it may have

MESSAGES  OPEN  UPDATE  KEEPALIVE  REFRESH  NOTIFICATION
received     1      10        100        0             0
sent         1       5        101        2             0

FAULTS IN    COST      COUNT  LAST
attribute 1  withdraw      3  ORIGIN has the value 7 at octet 30 (RFC 7606 §7.1)
";
    assert_eq!(shell.prints(&["neighbor", "192.0.2.1"]), expected);
    assert_eq!(shell.prints(&["neighbor", "edge-1"]), expected, "the name does as well");
}

#[test]
fn neighbors_as_json_have_the_fields_of_the_contract() {
    let lines = Shell::new().json(&["neighbor"]);
    assert_eq!(lines.len(), 2);
    assert_begins_with(
        &keys(&lines[0]),
        "address name remote_asn state uptime_s families routes_received routes_accepted routes_advertised last_error",
    );
    assert_eq!(lines[0]["uptime_s"], 273_600);
    assert_eq!(lines[0]["last_error"], serde_json::Value::Null);
    assert_eq!((&lines[1]["state"], &lines[1]["name"]), (&"active".into(), &serde_json::Value::Null));
    assert_eq!(lines[1]["uptime_s"], serde_json::Value::Null);
}

#[test]
fn what_is_done_to_a_neighbor_reaches_it() {
    let shell = Shell::new();
    assert_eq!(shell.prints(&["neighbor", "disable", "edge-1", "--text", "maintenance"]), "edge-1: disabled\n");
    assert_eq!(shell.prints(&["neighbor", "enable", "192.0.2.1"]), "192.0.2.1: enabled\n");
    assert_eq!(shell.prints(&["neighbor", "reset", "192.0.2.1"]), "192.0.2.1: reset\n");
    shell.prints(&["neighbor", "reset", "192.0.2.1", "--soft"]);
    shell.prints(&["neighbor", "remove", "192.0.2.1"]);
    shell.prints(&[
        "neighbor",
        "add",
        "192.0.2.9",
        "--remote-asn",
        "64499",
        "--name",
        "a \"b\"",
        "--import",
        "accept-all",
        "--passive",
        "--set",
        "hold_time = \"30s\"",
    ]);
    shell.prints(&["neighbor", "add", "192.0.2.10", "--group", "members"]);
    let commands = shell.fake.commands();
    let grouped = "address = \"192.0.2.10\"\ngroup = \"members\"\n";
    assert!(matches!(&commands[6], Command::Add { toml } if toml == grouped), "{:?}", commands[6]);
    assert!(matches!(&commands[0], Command::Disable { text, .. } if text == "maintenance"));
    assert!(matches!(
        &commands[1..5],
        [
            Command::Enable { .. },
            Command::Reset { hard: true, .. },
            Command::Reset { hard: false, .. },
            Command::Remove { .. },
        ]
    ));
    let Command::Add { toml } = &commands[5] else { panic!("{:?}", commands[5]) };
    let table: toml::Table = toml.parse().unwrap();
    let expected = toml::toml! {
        address = "192.0.2.9"
        remote_asn = 64499
        name = "a \"b\""
        import = ["accept-all"]
        passive = true
        hold_time = "30s"
    };
    assert_eq!(table, expected);
}

#[test]
fn routes_are_a_table_with_the_best_marked() {
    let shell = Shell::new();
    let loc = "    PREFIX           NEXT HOP     NEIGHBOR   LOCPREF  MED  AGE  AS PATH
*>  198.51.100.0/24  192.0.2.1    192.0.2.2                 0s  64497 i
*>  203.0.113.0/24   192.0.2.1    192.0.2.1      200   10   0s  64496 64500 i
*>  2001:db8::/32    2001:db8::1  192.0.2.1                 0s  64496 64501 i
3 routes
";
    assert_eq!(shell.prints(&["rib"]), loc);
    shell.fake.mark(shell.a, "203.0.113.0/24", true, Some("no-bogons"));
    let adj_in = "    PREFIX          NEXT HOP   NEIGHBOR   LOCPREF  MED  AGE  AS PATH
x   203.0.113.0/24  192.0.2.1  192.0.2.1      200   10   0s  64496 64500 i  (rejected by no-bogons)  (stale)
*>  203.0.113.0/24  192.0.2.1  192.0.2.2                 0s  64497 64499 64500 i
2 routes
";
    assert_eq!(shell.prints(&["rib", "203.0.112.0/23", "--longer", "--table", "adj-in"]), adj_in);
    let cut = shell.prints(&["rib", "--limit", "2"]);
    assert!(cut.ends_with("2 routes, cut by --limit\n"), "{cut}");
    assert!(!shell.prints(&["rib", "--limit", "3"]).contains("cut by --limit"));
}

#[test]
fn one_prefix_or_address_is_shown_with_its_communities() {
    let expected = "    PREFIX          NEXT HOP   NEIGHBOR   LOCPREF  MED  AGE  AS PATH
*>  203.0.113.0/24  192.0.2.1  192.0.2.1      200   10   0s  64496 64500 i
      communities: no-export 64500:7
      large communities: 64500:1:2
1 route
";
    let shell = Shell::new();
    assert_eq!(shell.prints(&["rib", "203.0.113.0/24"]), expected);
    assert_eq!(shell.prints(&["rib", "203.0.113.77"]), expected);
    let none = shell.run(&["rib", "192.0.2.0/24"]);
    assert_eq!((none.code, none.err.as_str()), (1, "ribwatch: no route for 192.0.2.0/24\n"));
}

#[test]
fn routes_as_json_have_the_fields_of_the_contract_in_its_order() {
    let shell = Shell::new();
    let line = shell.prints(&["rib", "203.0.113.0/24", "--json"]);
    let expected = "{\"prefix\":\"203.0.113.0/24\",\"neighbor\":\"192.0.2.1\",\"path_id\":0,\
                    \"as_path\":\"64496 64500\",\"origin_as\":64500,\"next_hop\":\"192.0.2.1\",\"origin\":\"igp\",\
                    \"local_pref\":200,\"med\":10,\"communities\":[\"no-export\",\"64500:7\"],\
                    \"large_communities\":[\"64500:1:2\"],\"ext_communities\":[],\"best\":true,\"validation\":null,\
                    \"aspa\":null,\"age_s\":0,\"stale\":false,\"rejected_by\":null,\"family\":\"ipv4-unicast\"}\n";
    assert_eq!(line, expected);
    assert_eq!(shell.json(&["rib"]).len(), 3);
    assert_eq!(shell.json(&["rib", "--origin", "AS64501"])[0]["prefix"], "2001:db8::/32");
    assert_eq!(shell.json(&["rib", "--as-path", "^64497$"])[0]["prefix"], "198.51.100.0/24");
    assert_eq!(shell.json(&["rib", "--community", "no-export"]).len(), 1);
    assert_eq!(shell.json(&["rib", "--table", "adj-out", "--neighbor", "192.0.2.2"]).len(), 2);
    assert!(shell.json(&["rib", "--family", "ipv6-multicast"]).is_empty());
}

#[test]
fn a_summary_counts_tables_and_neighbors() {
    let expected = "\
FAMILY        PREFIXES  PATHS  LOC-RIB
ipv4-unicast         2      3        2
ipv6-unicast         1      1        1

NEIGHBOR   FAMILY        RECEIVED  ACCEPTED  ADVERTISED  END OF RIB
192.0.2.1  ipv4-unicast         3         2           1  received
192.0.2.2  ipv4-unicast         3         2           1  received

2 attribute sets in 64 octets; last change 7
";
    let shell = Shell::new();
    assert_eq!(shell.prints(&["rib", "summary"]), expected);
    let json = shell.json(&["rib", "summary"]);
    assert_eq!(json[0]["tables"][0]["paths"], 3);
}

#[test]
fn an_explanation_says_why_each_path_stands_where_it_does() {
    let shell = Shell::new();
    let expected = "\
203.0.113.0/24 (ipv4-unicast): 2 paths

    NEIGHBOR   NEXT HOP   LOCPREF  MED  AS PATH              WHY
*>  192.0.2.1  192.0.2.1      200   10  64496 64500 i        best
*   192.0.2.2  192.0.2.1                64497 64499 64500 i  lost: longer AS path (3 against 2)

import from 192.0.2.1:
  in/2: local_pref none -> 200, accepts
";
    assert_eq!(shell.prints(&["explain", "203.0.113.0/24"]), expected);
    assert_eq!(shell.prints(&["explain", "203.0.113.9"]), expected);
    let json = shell.json(&["explain", "203.0.113.0/24"]);
    assert_eq!((&json[0]["rank"], &json[0]["lost_at"]), (&1.into(), &serde_json::Value::Null));
    assert_eq!(
        (&json[0]["import"][0], &json[1]["import"]),
        (&"in/2: local_pref none -> 200, accepts".into(), &serde_json::json!([]))
    );
    assert_eq!((&json[1]["lost_at"], &json[1]["route"]["neighbor"]), (&"longer AS path".into(), &"192.0.2.2".into()));
    let lost = ["step", "value", "against", "lost_to"].map(|name| json[1][name].to_string());
    assert_eq!(lost, ["\"as-path-length\"", "\"3\"", "\"2\"", "1"]);
    assert_eq!(json[0]["step"], serde_json::Value::Null);
    let none = shell.run(&["explain", "192.0.2.0/24"]);
    assert_eq!((none.code, none.err.as_str()), (1, "ribwatch: no route for 192.0.2.0/24\n"));
}

#[test]
fn a_watch_prints_the_snapshot_its_end_and_one_line_per_change() {
    let shell = Shell::new();
    let snapshot = "  snapshot      192.0.2.2        198.51.100.0/24     64497 i
  snapshot      192.0.2.1        203.0.113.0/24      64496 64500 i
  snapshot      192.0.2.1        2001:db8::/32       64496 64501 i
──── end of snapshot, 3 routes; changes follow ────
";
    assert_eq!(shell.prints(&["watch", "--once"]), snapshot);
    let (fake, a) = (shell.fake.clone(), shell.a);
    let subscribers = fake.subscribers();
    let changes = std::thread::spawn(move || {
        // The watch of above may still be there; the one below is new.
        fake.wait_for_subscribers(subscribers + 1);
        fake.announce(a, "192.0.2.0/24", &[64496]);
        fake.announce(a, "192.0.2.0/24", &[64496, 64500]);
        fake.withdraw(a, "192.0.2.0/24");
    });
    let printed = shell.prints(&["watch", "--no-snapshot", "--count", "3"]);
    changes.join().unwrap();
    let expected = "\
+ 22:13:20.000  192.0.2.1        192.0.2.0/24        64496 i
= 22:13:20.000  192.0.2.1        192.0.2.0/24        64496 64500 i
- 22:13:20.000  192.0.2.1        192.0.2.0/24
";
    assert_eq!(printed, expected);
    let json = shell.json(&["watch", "--once"]);
    let events: Vec<_> = json.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["begin_of_snapshot", "snapshot", "snapshot", "snapshot", "end_of_snapshot"]);
    assert_eq!(json[2]["route"]["as_path"], "64496 64500");
}

#[test]
fn a_route_of_our_own_is_announced_and_withdrawn() {
    let shell = Shell::new();
    let announced = shell.prints(&["announce", "192.0.2.0/25", "--community", "64500:1", "--as-path", "64500 64501"]);
    assert_eq!(announced, "announced 192.0.2.0/25\n");
    let table = shell.prints(&["rib", "192.0.2.0/25"]);
    assert!(table.contains("*>  192.0.2.0/25  self      local"), "{table}");
    let route = &shell.json(&["rib", "192.0.2.0/25"])[0];
    assert_eq!((&route["neighbor"], &route["as_path"]), (&serde_json::Value::Null, &"64500 64501".into()));
    assert_eq!(shell.prints(&["withdraw", "192.0.2.0/25"]), "withdrawn 192.0.2.0/25\n");
    let again = shell.run(&["withdraw", "192.0.2.0/25"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("no route of our own for 192.0.2.0/25"), "{}", again.err);
}

#[test]
fn exit_codes_tell_no_from_wrong_from_unreachable() {
    let shell = Shell::new();
    for (arguments, code, words) in [
        (&["neighbor", "192.0.2.99"][..], 1, "no neighbor `192.0.2.99`"),
        (&["rib", "192.0.2.1/24"], 2, "did you mean 192.0.2.0/24"),
        (&["rib", "--as-path", "("], 2, "unclosed group"),
        (&["rib", "--table", "adj-out"], 2, "--neighbor"),
        (&["rib", "--longer"], 2, "PREFIX"),
        (&["neighbor", "add", "192.0.2.9", "--remote-asn", "x"], 2, "AS number"),
        (&["neighbor", "add", "192.0.2.9"], 2, "--remote-asn"),
        // A backend that has no file to read again.
        (&["reload"], 1, "not started from a file"),
        (&["watch", "192.0.2.1"], 2, "cannot be watched"),
    ] {
        let done = shell.run(arguments);
        assert_eq!(done.code, code, "{arguments:?}: {}", done.err);
        assert!(done.err.contains(words), "{arguments:?}: {}", done.err);
    }
    // A port that nobody listens on: bound once, and given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let done = run(&["ribwatch", "--api", &free, "rib"]);
    assert_eq!((done.code, done.out.as_str()), (3, ""));
    let line = format!("ribwatch: no daemon answers at {free} (connection refused): start one with");
    assert!(done.err.starts_with(&line) && done.err.contains("RIBWATCH_API"), "{}", done.err);
    assert_eq!(done.err.lines().count(), 1);
}

#[test]
fn requests_are_counted_by_service_and_status() {
    let shell = Shell::new();
    shell.prints(&["neighbor"]);
    shell.run(&["neighbor", "192.0.2.99"]);
    shell.prints(&["watch", "--once"]);
    let line = |route: &str, code: &str| {
        format!("ribwatch_api_requests_total{{api=\"grpc\",route=\"{route}\",code=\"{code}\"}} 1\n")
    };
    let wanted = [
        line("NeighborService/ListNeighbors", "OK"),
        line("NeighborService/GetNeighbor", "NOT_FOUND"),
        // It leaves when it has seen the snapshot; the daemon notices that after it.
        line("RouteService/WatchRoutes", "CANCELLED"),
    ];
    let text = || ribwatch::metrics::text(&*shell.fake, &Nobody);
    while !wanted.iter().all(|line| text().contains(line)) {
        assert!(wanted[..2].iter().all(|line| text().contains(line)), "{}", text());
        std::thread::yield_now();
    }
}

#[test]
fn top_prints_a_frame_for_a_pipe_and_asks_for_a_terminal_otherwise() {
    let shell = Shell::new();
    let frame = shell.prints(&["top", "--once", "--interval", "100ms"]);
    for words in ["sessions 1/2 up", "edge-1", "Cease/Administrative Shutdown (6/2)", "Alerts: 0 open"] {
        assert!(frame.contains(words), "{words} in\n{frame}");
    }
    assert!(!frame.contains('\x1b'));
    for (arguments, words) in
        [(&["top"][..], "--once"), (&["top", "--json"], "--json"), (&["top", "--interval", "1ms"], "100ms")]
    {
        let done = shell.run(arguments);
        assert!(done.code == 2 && done.err.contains(words), "{arguments:?}: {}", done.err);
    }
}

#[test]
fn a_reader_that_has_enough_ends_the_verb_quietly() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (shell, mut err) = (Shell::new(), Vec::new());
    let code = cli::execute(&["ribwatch", "--api", &shell.api, "rib"], &mut Closed, &mut err);
    assert_eq!((code, err.len()), (0, 0));
}
