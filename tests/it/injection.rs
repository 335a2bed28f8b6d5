//! Routes of our own from the command line through a real daemon to a neighbour: every family that can be originated,
//! the guard over the owned space, and what is left after a restart.

use std::path::Path;

use ribwatch::{
    app::Daemon,
    cli,
    config::Config,
    store::{Journal, local_routes},
    view::reload::{Outcome, ReloadRequest},
};
use serde_json::Value;

use crate::router::PATIENCE;

/// A daemon with a gRPC port of its own.
struct Speaker {
    daemon: Option<Daemon>,
    api: String,
}

/// What a verb left behind.
struct Done {
    code: u8,
    out: String,
    err: String,
}

const FAMILIES: &str = "[\"ipv4-unicast\", \"ipv4-labeled-unicast\", \"vpnv4-unicast\", \"ipv4-flowspec\"]";

impl Speaker {
    fn start(asn: u32, router: &str, rest: &str) -> Self {
        let text = format!(
            "[router]\nasn = {asn}\nrouter_id = \"10.0.0.{}\"\n{router}\n[api]\nlisten = \"127.0.0.1:0\"\n\
             [http]\nenabled = false\n{rest}",
            asn & 0xff
        );
        let config = Config::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        Self::run_by(config)
    }

    fn run_by(config: Config) -> Self {
        let daemon = Daemon::start(config).unwrap_or_else(|error| panic!("{error}"));
        let api = daemon.api_address().expect("served").to_string();
        Self { daemon: Some(daemon), api }
    }

    /// Our router with `owned`, state in `dir`, and one neighbour that connects from 127.0.0.2.
    fn ours(owned: &str, dir: &Path) -> Self {
        let neighbor = format!(
            "[[neighbor]]\naddress = \"127.0.0.2\"\nremote_asn = 64497\npassive = true\nfamilies = {FAMILIES}\n\
             import = [\"accept-all\"]\nexport = [\"accept-all\"]\n"
        );
        let state = format!("[state]\ndir = {:?}\n", dir.display().to_string());
        Self::start(64496, &format!("listen = [\"127.0.0.1:0\"]\n{owned}"), &format!("{state}{neighbor}"))
    }

    fn theirs(port: u16) -> Self {
        let neighbor = format!(
            "[[neighbor]]\naddress = \"127.0.0.1\"\nport = {port}\nremote_asn = 64496\nlocal_address = \"127.0.0.2\"\n\
             families = {FAMILIES}\nimport = [\"accept-all\"]\nexport = [\"reject-all\"]\nconnect_retry = \"1s\"\n"
        );
        Self::start(64497, "listen = []", &neighbor)
    }

    fn port(&self) -> u16 {
        self.daemon.as_ref().expect("runs").bgp_addresses()[0].port()
    }

    fn run(&self, arguments: &[&str]) -> Done {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = cli::execute(&[&["ribwatch", "--api", &self.api], arguments].concat(), &mut out, &mut err);
        Done { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
    }

    fn prints(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!((done.code, done.err.as_str()), (0, ""), "{arguments:?}");
        done.out
    }

    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let lines = self.prints(&[arguments, &["--json"]].concat());
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Texts of the routes in the Loc-RIB.
    fn routes(&self) -> Vec<String> {
        self.json(&["rib"]).iter().map(|route| route["prefix"].as_str().unwrap().to_owned()).collect()
    }

    fn await_routes(&self, wanted: &[&str]) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.routes() != wanted {
            assert!(std::time::Instant::now() < deadline, "never came: {wanted:?}; there are {:?}", self.routes());
            std::thread::yield_now();
        }
    }

    fn stop(mut self) {
        self.daemon.take().expect("runs").stop();
    }
}

const OWNED: &str = "owned = [\"203.0.113.0/24\", \"198.51.100.0/25\"]";

#[test]
fn every_kind_of_route_goes_from_the_command_line_to_the_neighbour_and_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Speaker::ours(OWNED, dir.path());
    let theirs = Speaker::theirs(ours.port());
    let add: [&[&str]; 5] = [
        &[
            "203.0.113.0/24",
            "--med",
            "5",
            "--local-pref",
            "300",
            "--origin",
            "incomplete",
            "--community",
            "64500:1",
            "--large-community",
            "64500:1:2",
            "--ext-community",
            "rt:64500:1",
            "--as-path",
            "64510 64511",
            "--otc",
            "64496",
            "--attribute",
            "250:c0:00ff",
        ],
        &["203.0.113.0/25", "--family", "ipv4-labeled-unicast", "--label", "100", "--next-hop", "192.0.2.7"],
        &[
            "64500:1:203.0.113.0/24",
            "--family",
            "vpnv4-unicast",
            "--label",
            "200",
            "--next-hop",
            "192.0.2.7",
            "--ext-community",
            "rt:64500:1",
        ],
        &[
            "dst 203.0.113.9/32; proto =17; dport =53,>=1024&<=2048",
            "--family",
            "ipv4-flowspec",
            "--ext-community",
            "traffic-rate:0:0",
        ],
        &["198.51.100.0/25", "--next-hop", "192.0.2.9"],
    ];
    for arguments in add {
        let said = ours.prints(&[&["route", "add"], arguments].concat());
        assert_eq!(said, format!("announced {}\n", arguments[0]));
    }
    assert_eq!(ours.prints(&["route", "blackhole", "203.0.113.66/32"]), "blackholed 203.0.113.66/32\n");
    // By family, then by key.
    let all = [
        "198.51.100.0/25",
        "203.0.113.0/24",
        "203.0.113.66/32",
        "203.0.113.0/25",
        "64500:1:203.0.113.0/24",
        "dst 203.0.113.9/32; proto =17; dport =53,>=1024&<=2048",
    ];
    theirs.await_routes(&all);

    let route = |speaker: &Speaker, arguments: &[&str]| -> Value {
        let found = speaker.json(&[&["rib"], arguments].concat());
        let [route] = &found[..] else { panic!("{arguments:?}: {found:?}") };
        // Two looks may be a second apart.
        let mut route = route.clone();
        route["age_s"] = Value::Null;
        route
    };
    let unicast = route(&theirs, &["203.0.113.0/24"]);
    assert_eq!((&unicast["as_path"], &unicast["origin"]), (&"64496 64510 64511".into(), &"incomplete".into()));
    assert_eq!(
        (&unicast["communities"][0], &unicast["large_communities"][0]),
        (&"64500:1".into(), &"64500:1:2".into())
    );
    assert!(theirs.prints(&["rib", "203.0.113.0/24"]).contains("attribute 250: 00ff"));
    let blackhole = route(&theirs, &["203.0.113.66/32"]);
    assert_eq!(blackhole["communities"], serde_json::json!(["blackhole"]));
    // Families without plain prefixes are found by the prefix inside, the distinguisher, or their text.
    let vpn = route(&theirs, &["--family", "vpnv4-unicast", "203.0.113.7"]);
    assert_eq!((&vpn["labels"], &vpn["nlri"]["rd"]), (&serde_json::json!([200]), &"64500:1".into()));
    assert_eq!((&vpn["next_hop"], &vpn["ext_communities"][0]), (&"192.0.2.7".into(), &"rt:64500:1".into()));
    assert_eq!(route(&theirs, &["--rd", "64500:1"]), vpn);
    assert_eq!(route(&theirs, &["--family", "vpnv4-unicast", "64500:1:203.0.113.0/24"]), vpn);
    let labelled = route(&theirs, &["--family", "ipv4-labeled-unicast", "203.0.113.0/24", "--longer"]);
    assert_eq!((&labelled["prefix"], &labelled["labels"]), (&"203.0.113.0/25".into(), &serde_json::json!([100])));
    let filter = route(&theirs, &["--family", "ipv4-flowspec", "203.0.113.0/24", "--longer"]);
    assert_eq!(filter["ext_communities"], serde_json::json!(["traffic-rate:0:0"]));
    assert_eq!(filter["nlri"]["components"][1]["condition"], "=17");
    assert_eq!(
        route(&theirs, &["--family", "ipv4-flowspec", "proto udp; dst 203.0.113.9/32; dport 53,>=1024&<=2048"]),
        filter
    );
    let explain = |what: &[&str]| theirs.run(&[&["explain"], what].concat());
    let said = explain(&["--family", "ipv4-flowspec", "proto udp; dst 203.0.113.9/32; dport 53,>=1024&<=2048"]);
    assert!(said.out.starts_with(&format!("{} (ipv4-flowspec): 1 path\n", all[5])), "{}{}", said.out, said.err);
    assert!(said.out.contains("best"), "{}", said.out);
    let said = explain(&["--family", "vpnv4-unicast", "64500:1:203.0.113.0/24"]);
    assert!(said.out.starts_with("64500:1:203.0.113.0/24 (vpnv4-unicast): 1 path\n"), "{}{}", said.out, said.err);
    assert_eq!(explain(&["--family", "ipv4-flowspec", "dst 192.0.2.0/24"]).code, 1, "nobody sends it");
    assert!(explain(&["--family", "ipv4-flowspec", "nonsense"]).err.contains("not a condition"));
    assert_eq!(theirs.run(&["rib", "--family", "ipv4-flowspec", "203.0.113.0/24"]).code, 1, "no such destination");
    assert_eq!(theirs.run(&["rib", "--rd", "64500:2"]).out, "0 routes\n");
    assert!(theirs.run(&["rib", "--family", "ipv4-flowspec", "nonsense"]).err.contains("not a condition"));

    assert_eq!(ours.prints(&["route", "del", "198.51.100.0/25"]), "withdrawn 198.51.100.0/25\n");
    let again = ours.run(&["route", "del", "198.51.100.0/25"]);
    assert_eq!((again.code, again.err.contains("no route of our own for 198.51.100.0/25")), (1, true));
    ours.prints(&["route", "add", "203.0.113.0/24", "--med", "6"]);
    theirs.await_routes(&all[1..]);
    let listed = ours.prints(&["route", "list"]);
    assert!(listed.contains("labels: 200") && listed.ends_with("5 routes\n"), "{listed}");
    let before = ours.json(&["route", "list"]);

    // Another start, with less space of our own: the rest is kept, and announced once it is ours again.
    ours.stop();
    theirs.await_routes(&[]);
    let smaller = Speaker::ours("owned = [\"203.0.113.66/32\"]", dir.path());
    assert_eq!(smaller.routes(), ["203.0.113.66/32"]);
    assert_eq!(
        smaller.prints(&["route", "del", "203.0.113.0/25", "--family", "ipv4-labeled-unicast"]),
        "withdrawn 203.0.113.0/25\n",
        "what is kept but not announced can be taken back"
    );
    smaller.stop();
    let ours = Speaker::ours(OWNED, dir.path());
    let mut after = ours.json(&["route", "list"]);
    let mut expected: Vec<Value> =
        before.into_iter().filter(|route| route["family"] != "ipv4-labeled-unicast").collect();
    for route in after.iter_mut().chain(&mut expected) {
        route["age_s"] = Value::Null;
    }
    assert_eq!(after, expected);
    theirs.stop();
    ours.stop();
}

#[test]
fn nothing_outside_the_owned_space_is_originated_and_the_refusal_names_the_rule() {
    let dir = tempfile::tempdir().unwrap();
    let ours = Speaker::ours(OWNED, dir.path());
    let refused = |speaker: &Speaker, arguments: &[&str]| {
        let done = speaker.run(&[&["route"], arguments].concat());
        assert_eq!((done.code, done.out.as_str()), (1, ""), "{arguments:?}: {}", done.err);
        assert!(done.err.contains("outside [router] owned"), "{arguments:?}: {}", done.err);
        done.err
    };
    let vpn = ["--family", "vpnv4-unicast", "--label", "1", "--next-hop", "192.0.2.7"];
    refused(&ours, &["add", "192.0.2.0/24"]);
    refused(&ours, &["add", "203.0.112.0/23"]);
    refused(&ours, &["blackhole", "192.0.2.1/32"]);
    refused(&ours, &[&["add", "64500:1:192.0.2.0/24"][..], &vpn].concat());
    refused(&ours, &["add", "dst 192.0.2.1/32; proto =17", "--family", "ipv4-flowspec"]);
    let said = refused(&ours, &["add", "proto =17", "--family", "ipv4-flowspec"]);
    assert!(said.contains("no destination"), "{said}");
    assert!(ours.routes().is_empty());
    ours.prints(&["route", "add", "203.0.113.128/25"]);
    ours.stop();
    let kept = Journal::open(dir.path(), "routes.journal").unwrap().journal;
    assert_eq!(local_routes::load(&kept).0.len(), 1, "what was refused is not kept");
    drop(kept);

    // Without the key nothing is ours, with "any" everything.
    let nothing = Speaker::start(64498, "listen = []", "");
    let said = refused(&nothing, &["add", "203.0.113.0/24"]);
    assert!(said.contains("write owned = [\"203.0.113.0/24\"] in [router], or owned = \"any\""), "{said}");
    nothing.stop();
    let any = Speaker::start(64499, "listen = []\nowned = \"any\"", "");
    any.prints(&["route", "add", "192.0.2.0/24"]);
    any.prints(&["route", "add", "proto =17", "--family", "ipv4-flowspec"]);
    any.stop();
}

#[test]
fn a_reload_changes_the_owned_space_for_new_routes_and_ends_none() {
    let text = |owned: &str| {
        let router = "[router]\nasn = 64499\nrouter_id = \"10.0.0.1\"\nlisten = []";
        let api = "[api]\nlisten = \"127.0.0.1:0\"\n[http]\nenabled = false\n";
        Config::parse("test.toml", &format!("{router}\n{owned}\n{api}")).unwrap_or_else(|error| panic!("{error}"))
    };
    let ours = Speaker::run_by(text("owned = [\"203.0.113.0/24\"]"));
    let reload = |owned: &str| ours.daemon.as_ref().expect("runs").reload(text(owned), ReloadRequest::default());
    ours.prints(&["route", "add", "203.0.113.0/25"]);

    let report = reload("owned = [\"198.51.100.0/24\"]");
    assert_eq!(
        report.changes.iter().map(|change| change.text.as_str()).collect::<Vec<_>>(),
        ["[router]: changed (owned), holds for what is originated from now on"]
    );
    assert_eq!((report.outcome, report.resets()), (Outcome::Applied, 0));
    ours.prints(&["route", "add", "198.51.100.0/24"]);
    let refused = ours.run(&["route", "add", "203.0.113.128/25"]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("outside [router] owned"), "{}", refused.err);
    assert_eq!(ours.routes(), ["198.51.100.0/24", "203.0.113.0/25"]);

    // What lies outside can go, and does not come again; another reload finds nothing to do.
    ours.prints(&["route", "del", "203.0.113.0/25"]);
    assert_eq!(ours.run(&["route", "add", "203.0.113.0/25"]).code, 1);
    assert!(reload("owned = [\"198.51.100.0/24\"]").changes.is_empty());
    ours.stop();
}

#[test]
fn a_route_that_makes_no_sense_is_refused_with_what_would() {
    let any = Speaker::start(64499, "listen = []\nowned = \"any\"", "");
    for (arguments, words) in [
        (&["203.0.113.0/24", "--family", "vpnv4-unicast"][..], "route distinguisher in front"),
        (&["64500:1:203.0.113.0/24", "--family", "vpnv4-unicast"], "needs a label"),
        (&["64500:1:203.0.113.0/24", "--family", "vpnv4-unicast", "--label", "7"], "needs a next hop"),
        (&["203.0.113.0/24", "--family", "ipv4-labeled-unicast", "--label", "1048576"], "0 to 1048575"),
        (&["203.0.113.0/24", "--label", "7"], "no label"),
        (&["dst 203.0.113.0/24; dport =x", "--family", "ipv4-flowspec"], "comparisons such as"),
        (&["64500:1:[3]:[0]", "--family", "l2vpn-evpn"], "cannot be written as text"),
        (&["203.0.113.0/24", "--ext-community", "traffic-rate:-1"], "is not a community"),
        (&["203.0.113.0/24", "--attribute", "8:c0:00"], "COMMUNITIES cannot be given as octets"),
        (&["203.0.113.0/24", "--attribute", "250:c1:00"], "no flags for attribute 250"),
        (&["203.0.113.0/24", "--attribute", "250:40:00"], "no flags for attribute 250"),
        (&["203.0.113.0/24", "--attribute", "250:c0:00", "--attribute", "250:c0:01"], "or was given"),
        (&["203.0.113.0/24", "--attribute", "250"], "CODE:FLAGS:VALUE"),
        // What a neighbour would find wrong is found here, with the rule that it would name.
        (&["203.0.113.0/24", "--attribute", "9:80:00"], "neighbors would refuse the route: ORIGINATOR_ID"),
        (&["203.0.113.0/24", "--as-path", "0"], "RFC 7607"),
        (&["203.0.113.0/24", "--next-hop", "224.0.0.1"], "neighbors would refuse the route: NEXT_HOP"),
    ] {
        let done = any.run(&[&["route", "add"], arguments].concat());
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{arguments:?}: {}", done.err);
        assert!(done.err.contains(words), "{arguments:?}: {}", done.err);
    }
    assert_eq!(any.prints(&["route", "list"]), "0 routes\n");
    any.stop();
}
