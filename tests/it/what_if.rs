//! `ribwatch rpki what-if` through a real daemon: a file of VRPs, a neighbour over loopback, a policy that rejects what is
//! invalid. What is foretold is what happens when the file says so, and asking moves nothing.

use std::{fs, path::Path, time::Instant};

use ribwatch::{app::Daemon, cli, config::Config};
use serde_json::{Value, json};

use crate::router::{OPEN_POLICY, PATIENCE, Router, towards};

const POLICY: &str = "[[policy.policy]]\nname = \"drop-invalid\"\n\
     [[policy.policy.statement]]\nname = \"rov\"\nmatch = { validation = \"invalid\" }\nverdict = \"reject\"\n";

/// A daemon of AS 64496 with VRPs from a file, and a neighbour that announces two prefixes.
struct Scene {
    daemon: Daemon,
    api: String,
    _neighbor: Router,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self::beside("")
    }

    /// With more neighbours in the configuration.
    fn beside(neighbors: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write_vrps(folder.path(), &[("192.0.2.0/24", 64497)]);
        let file = folder.path().join("vrps.json");
        let text = format!(
            "[router]\nasn = 64496\nrouter_id = \"10.0.0.1\"\nlisten = [\"127.0.0.1:0\"]\n[api]\nlisten = \"127.0.0.1:0\"\n\
             [http]\nenabled = false\n{POLICY}[[rpki.cache]]\nname = \"file\"\nfile = {:?}\nrefresh = \"1s\"\n\
             [[neighbor]]\naddress = \"127.0.0.2\"\nremote_asn = 64497\npassive = true\n\
             import = [\"drop-invalid\", \"accept-all\"]\nexport = [\"reject-all\"]\n{neighbors}",
            file.display().to_string()
        );
        let config = Config::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        let daemon = Daemon::start(config).unwrap_or_else(|error| panic!("{error}"));
        let api = daemon.api_address().expect("served").to_string();
        let neighbor = Router::start(64497, "", &towards(daemon.bgp_addresses()[0].port(), OPEN_POLICY));
        neighbor.originate("192.0.2.0/24");
        neighbor.originate("198.51.100.0/24");
        let scene = Self { daemon, api, _neighbor: neighbor, folder };
        scene.wait("both routes and the VRP", |scene| {
            let backend = scene.daemon.backend();
            backend.rpki().vrps == (1, 0) && backend.summary().tables.iter().any(|table| table.paths == 2)
        });
        scene
    }

    fn wait(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !wanted(self) {
            assert!(began.elapsed() < PATIENCE, "never came: {what}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn run(&self, arguments: &[&str]) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = cli::execute(&[&["ribwatch", "--api", &self.api], arguments].concat(), &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn prints(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        out
    }

    fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let out = self.prints(&[&["--json"], arguments].concat());
        let line = |line| {
            let mut value: Value = serde_json::from_str(line).expect("JSON");
            // Time goes on between two answers.
            value.as_object_mut().expect("an object").remove("age_s");
            value
        };
        out.lines().map(line).collect()
    }
}

/// Renamed into place, as validators do.
fn write_vrps(folder: &Path, vrps: &[(&str, u32)]) {
    let roas: Vec<Value> =
        vrps.iter().map(|(prefix, asn)| json!({"prefix": prefix, "asn": asn, "maxLength": 24, "ta": "test"})).collect();
    fs::write(folder.join("new"), json!({ "roas": roas }).to_string()).expect("is written");
    fs::rename(folder.join("new"), folder.join("vrps.json")).expect("is renamed");
}

#[test]
fn what_a_roa_would_do_is_told_before_it_is_signed_and_is_what_it_does() {
    let scene = Scene::new();
    let rib = |scene: &Scene| scene.lines(&["rib", "--table", "adj-in"]);
    let is_rejected = |scene: &Scene| {
        let is_it = |route: &Value| route["prefix"] == "198.51.100.0/24" && route["validation"] == "invalid";
        rib(scene).iter().any(is_it) && scene.lines(&["rib"]).len() == 1
    };
    let before = (rib(&scene), scene.lines(&["rib"]));
    let asked = ["rpki", "what-if", "--add-vrp", "198.51.100.0/24=64500"];

    let answer = scene.lines(&asked);
    let [counts, route] = &answer[..] else { panic!("counts, then one route: {answer:?}") };
    assert_eq!(counts["validation"], json!([{"from": "not_found", "to": "invalid", "routes": 1}]));
    assert_eq!((&counts["routes"], &counts["rejected"], &counts["no_longer_best"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!((&route["prefix"], &route["neighbor"]), (&json!("198.51.100.0/24"), &json!("127.0.0.2")));
    assert_eq!(route["as_path"], "64497");
    let state = |validation: &str, by: Value, best: bool| json!({"validation": validation, "aspa": null, "accepted": by.is_null(), "rejected_by": by, "best": best});
    assert_eq!(route["now"], state("not_found", Value::Null, true));
    assert_eq!(route["then"], state("invalid", json!("drop-invalid/rov"), false));

    let text = scene.prints(&asked);
    for words in ["1 route would change:", "origin not found -> invalid: 1", "rejected by import policy: 1"] {
        assert!(text.contains(words), "{words:?} is not told: {text}");
    }
    let row = text.lines().last().unwrap_or_default();
    assert!(row.contains("accepted -> rejected by drop-invalid/rov") && row.contains("yes -> no"), "{row}");
    assert_eq!((rib(&scene), scene.lines(&["rib"])), before, "asking moves nothing");

    // It is signed.
    write_vrps(scene.folder.path(), &[("192.0.2.0/24", 64497), ("198.51.100.0/24", 64500)]);
    scene.wait("the new VRP", is_rejected);
    let counted = |scene: &Scene| scene.lines(&["rpki", "routes"])[0]["validation"].clone();
    let expected = json!({"valid": 1, "invalid": 1, "not_found": 0, "not_checked": 0});
    scene.wait("the counts of both states", |scene| counted(scene) == expected);
    assert_eq!(scene.prints(&asked), "no route would change\n");
}

#[test]
fn removals_local_exceptions_and_aspas_are_tried_too_and_mistakes_are_explained() {
    let scene = Scene::new();
    let moves = |arguments: &[&str]| {
        let answer = scene.lines(&[&["rpki", "what-if"], arguments].concat());
        (answer[0]["validation"].clone(), answer[0]["routes"].clone())
    };
    let valid_to = |to: &str| (json!([{"from": "valid", "to": to, "routes": 1}]), json!(1));
    assert_eq!(moves(&["--remove-vrp", "192.0.2.0/24=64497"]), valid_to("not_found"));
    // Removed before another comes: the two together are an exchange.
    let exchange = ["--add-vrp", "192.0.2.0/24=64500", "--remove-vrp", "192.0.2.0/24=64497"];
    assert_eq!(moves(&exchange), valid_to("invalid"));
    assert_eq!(moves(&["--add-vrp", "203.0.113.0/24=64500"]), (json!([]), json!(0)));
    let slurm = scene.folder.path().join("slurm.json");
    fs::write(
        &slurm,
        r#"{"slurmVersion": 1, "validationOutputFilters": {"prefixFilters": [{"asn": 64497}], "bgpsecFilters": []},
            "locallyAddedAssertions": {"prefixAssertions": [{"asn": 64497, "prefix": "198.51.100.0/24"}], "bgpsecAssertions": []}}"#,
    )
    .expect("is written");
    let slurm = slurm.to_str().expect("text");
    assert_eq!(moves(&["--slurm", slurm]).1, json!(2));
    // No role is configured, so no path has a direction and ASPAs change nothing.
    assert_eq!(moves(&["--add-aspa", "64497=64500"]).1, json!(0));

    let mistakes: [(&[&str], &str); 5] = [
        (&[], "nothing would change: name VRPs"),
        (&["--remove-vrp", "192.0.2.0/24=64500"], "what covers 192.0.2.0/24 is 192.0.2.0/24-24 AS64497"),
        (&["--add-vrp", "192.0.2.0/24-23=64500"], "write 192.0.2.0/24-25=64500"),
        (&["--remove-aspa", "64500"], "no ASPA of AS64500"),
        (&["--slurm", "/nowhere/at-all.json"], "/nowhere/at-all.json"),
    ];
    for (arguments, words) in mistakes {
        let (code, out, err) = scene.run(&[&["rpki", "what-if"], arguments].concat());
        assert!(code == 2 && out.is_empty() && err.contains(words), "{arguments:?}: {code} {out} {err}");
    }
}

/// Two neighbours: one is told everything, the other what RPKI calls valid.
const LISTENERS: &str = "[[policy.policy]]\nname = \"only-valid\"\n\
     [[policy.policy.statement]]\nmatch = { validation = \"valid\" }\nverdict = \"accept\"\n\
     [[neighbor]]\naddress = \"127.0.0.3\"\nremote_asn = 64498\npassive = true\n\
     import = [\"reject-all\"]\nexport = [\"accept-all\"]\n\
     [[neighbor]]\naddress = \"127.0.0.4\"\nremote_asn = 64499\npassive = true\n\
     import = [\"reject-all\"]\nexport = [\"only-valid\"]\n";

#[test]
fn whom_a_route_would_be_told_to_or_not_any_more_is_named_neighbour_by_neighbour() {
    let scene = Scene::beside(LISTENERS);
    let port = scene.daemon.bgp_addresses()[0].port();
    let listener = |asn: u32, address: &str| {
        let towards = towards(port, OPEN_POLICY).replace("127.0.0.2", address);
        Router::start(asn, "", &towards)
    };
    let (customer, strict) = (listener(64498, "127.0.0.3"), listener(64499, "127.0.0.4"));
    customer.await_routes(&["192.0.2.0/24", "198.51.100.0/24"]);
    strict.await_routes(&["192.0.2.0/24"]);
    let told = |arguments: &[&str]| -> (Value, Value, Vec<Value>) {
        let lines = scene.lines(&[&["rpki", "what-if"], arguments].concat());
        let mut told: Vec<Value> = lines.iter().filter(|line| line["type"] == "told").cloned().collect();
        // Prefixes stand in order; who is told of one, in the order in which they came.
        told.sort_by_key(|line| line["neighbor"].to_string());
        (lines[0]["withdrawn"].clone(), lines[0]["announced"].clone(), told)
    };
    let line = |prefix: &str, neighbor: &str, then: bool| json!({"type": "told", "prefix": prefix, "neighbor": neighbor, "now": !then, "then": then});

    // It would be invalid, so import rejects it: the one who has it loses it.
    let forbid = ["--add-vrp", "198.51.100.0/24=64500"];
    assert_eq!(told(&forbid), (json!(1), json!(0), vec![line("198.51.100.0/24", "127.0.0.3", false)]));
    // It would be valid, which only an export policy asks for.
    let allow = ["--add-vrp", "198.51.100.0/24=64497"];
    assert_eq!(told(&allow), (json!(0), json!(1), vec![line("198.51.100.0/24", "127.0.0.4", true)]));
    // It would be unknown, which only that policy minds.
    let lose = ["--remove-vrp", "192.0.2.0/24=64497"];
    assert_eq!(told(&lose), (json!(1), json!(0), vec![line("192.0.2.0/24", "127.0.0.4", false)]));
    // Both at once; all that are told of one prefix stand together.
    let (withdrawn, announced, all) = told(&["--add-vrp", "192.0.2.0/24=64500", "--remove-vrp", "192.0.2.0/24=64497"]);
    assert_eq!((withdrawn, announced), (json!(2), json!(0)));
    assert_eq!(all, [line("192.0.2.0/24", "127.0.0.3", false), line("192.0.2.0/24", "127.0.0.4", false)]);

    let text = scene.prints(&[&["rpki", "what-if"][..], &forbid].concat());
    assert!(text.contains("withdrawn from neighbours: 1"), "{text}");
    assert!(text.ends_with("198.51.100.0/24 would be withdrawn from 127.0.0.3\n"), "{text}");
    let text = scene.prints(&[&["rpki", "what-if"][..], &allow].concat());
    assert!(text.contains("announced to neighbours: 1"), "{text}");
    assert!(text.ends_with("198.51.100.0/24 would be announced to 127.0.0.4\n"), "{text}");
    // Asking told nobody anything; the signed ROA does what was foretold.
    write_vrps(scene.folder.path(), &[("192.0.2.0/24", 64497), ("198.51.100.0/24", 64497)]);
    strict.await_routes(&["192.0.2.0/24", "198.51.100.0/24"]);
    assert_eq!(customer.loc_rib().len(), 2);
}
