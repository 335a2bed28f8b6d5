//! `ribwatch policy test` over a file and over a daemon, and the tests of policies in `ribwatch check`: what is printed
//! and the exit codes of the contract.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use ribwatch::{
    alert::Nobody,
    cli,
    validation::{OriginState, PathState},
    view::Backend,
    wire::bgp::community::{Community, LargeCommunity},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::fake::{Fake, attributes};

const CONFIG: &str = r#"
[router]
asn = 64511
router_id = "198.51.100.1"

[[policy.prefix_set]]
name = "customer"
prefixes = ["203.0.113.0/24 le 25", "2001:db8::/32+"]

[[policy.policy]]
name = "in"
[[policy.policy.statement]]
name = "foreign"
match = { not = { prefix = "customer" } }
verdict = "reject"
[[policy.policy.statement]]
name = "backup"
match = { community_any = ["64500:80", "64500:1:80"] }
set = { local_pref = 80, remove_communities = "64500:*", weight = 5 }
verdict = "accept"
[[policy.policy.statement]]
match = { from = "edge-1" }
verdict = "accept"

[[policy.policy]]
name = "out"
[[policy.policy.statement]]
match = { from_role = "customer", neighbor = "peer-2" }
set = { prepend = 1, next_hop = "self" }
verdict = "accept"

[[policy.neighbor_set]]
name = "edge-1"
neighbors = ["name:edge-1"]
[[policy.neighbor_set]]
name = "peer-2"
neighbors = ["peer-2"]

[[neighbor]]
name = "edge-1"
address = "192.0.2.1"
remote_asn = 64496
local_role = "provider"
import = ["in"]

[[neighbor]]
name = "peer-2"
address = "192.0.2.2"
remote_asn = 64497
export = ["out"]
"#;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        fs::write(files.config(), CONFIG).unwrap();
        files
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("ribwatch.toml")
    }

    /// A file of UPDATEs, each from a peer with an AS: prefix and attributes.
    fn archive(&self, name: &str, updates: &[(&str, u32, [u8; 4], Vec<u8>)]) -> PathBuf {
        let mut octets = Vec::new();
        for (peer, asn, [len, nlri @ ..], attrs) in updates {
            let mut body = Vec::new();
            body.extend(asn.to_be_bytes());
            body.extend(64511u32.to_be_bytes());
            body.extend([0, 0, 0, 1]);
            body.extend(peer.parse::<std::net::Ipv4Addr>().unwrap().octets());
            body.extend([192, 0, 2, 254]);
            let length = 16 + 2 + 1 + 2 + 2 + attrs.len() + 4;
            body.extend([0xff; 16]);
            body.extend((length as u16).to_be_bytes());
            body.extend([2, 0, 0]);
            body.extend((attrs.len() as u16).to_be_bytes());
            body.extend(attrs);
            body.push(*len);
            body.extend(nlri);
            // BGP4MP_MESSAGE_AS4 (RFC 6396 §4.4.3).
            octets.extend([0, 0, 0, 0, 0, 16, 0, 4]);
            octets.extend((body.len() as u32).to_be_bytes());
            octets.extend(body);
        }
        let path = self.0.path().join(name);
        fs::write(&path, octets).unwrap();
        path
    }
}

fn run(arguments: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::execute(arguments, &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn archive(files: &Files) -> PathBuf {
    let plain = |path: &[u32]| attributes("203.0.113.0/24", path).finish();
    let mut tagged = attributes("203.0.113.0/24", &[64496, 64500]);
    tagged.communities(&[Community(64500 << 16 | 80), Community::NO_EXPORT]);
    files.archive(
        "updates.mrt",
        &[
            ("192.0.2.1", 64496, [24, 203, 0, 113], plain(&[64496])),
            ("192.0.2.1", 64496, [24, 198, 51, 100], plain(&[64496])),
            ("192.0.2.1", 64496, [24, 203, 0, 113], tagged.finish()),
            ("192.0.2.9", 64499, [24, 203, 0, 113], plain(&[64499])),
        ],
    )
}

#[test]
fn the_routes_of_a_file_are_judged_and_counts_come_first() {
    let files = Files::new();
    let (config, archive) = (files.config(), archive(&files));
    let (code, out, err) = run(&["ribwatch", "policy", "test", "-c", text(&config), "--policy", "in", text(&archive)]);
    assert_eq!((code, err.as_str()), (0, ""));
    let expected = "\
4 routes through in (import)
accepted 2, of these 1 with other attributes; rejected 2
attributes that change: communities 1, local_pref 1, weight 1

ROUTES          DECIDED BY
     1  accept  in/3
     1  accept  in/backup
     1  reject  in/foreign
     1  reject  no statement decided, EBGP rejects (RFC 8212)

        PREFIX           NEIGHBOR   DECIDED BY                                     CHANGES
reject  198.51.100.0/24  192.0.2.1  in/foreign
accept  203.0.113.0/24   192.0.2.1  in/backup                                      local_pref none -> 80, communities 64500:80 no-export -> no-export, weight none -> 5
reject  203.0.113.0/24   192.0.2.9  no statement decided, EBGP rejects (RFC 8212)
";
    assert_eq!(out, expected);
}

#[test]
fn as_json_counts_are_one_object_and_each_route_another() {
    let files = Files::new();
    let (config, archive) = (files.config(), archive(&files));
    // As if all of them came from edge-1, and with its own policies.
    let common = ["ribwatch", "--json", "policy", "test", "-c", text(&config), "--neighbor", "edge-1", text(&archive)];
    let (code, out, _) = run(&[&common[..], &["--limit", "1"]].concat());
    let lines = lines(&out);
    assert_eq!((code, lines.len()), (0, 2), "{out}");
    let counts = json!({
        "policies": ["in"], "direction": "import", "routes": 4, "accepted": 3, "rejected": 1, "changed": 1,
        "attributes": { "communities": 1, "local_pref": 1, "weight": 1 },
        "decided": [
            { "by": "in/3", "accepted": true, "routes": 2 },
            { "by": "in/backup", "accepted": true, "routes": 1 },
            { "by": "in/foreign", "accepted": false, "routes": 1 },
        ],
    });
    assert_eq!(lines[0], counts);
    let route = json!({
        "prefix": "198.51.100.0/24", "family": "ipv4-unicast", "neighbor": "192.0.2.1", "accepted": false,
        "accepted_now": null, "by": "in/foreign", "changes": [],
    });
    assert_eq!(lines[1], route);
    let (_, out, _) = run(&[&common[..], &["--limit", "0"]].concat());
    assert_eq!(out.lines().count(), 1, "counts only");
}

/// Takes valid origins and paths only, and says of what it rejects why.
const VALIDATION: &str = r#"
[[policy.policy]]
name = "rpki"
[[policy.policy.statement]]
name = "invalid"
match = { validation = "invalid" }
verdict = "reject"
[[policy.policy.statement]]
name = "leak"
match = { aspa = "invalid" }
verdict = "reject"
[[policy.policy.statement]]
name = "valid"
match = { validation = "valid" }
verdict = "accept"
[[policy.policy.statement]]
name = "unchecked"
match = { validation = "not_checked" }
verdict = "reject"

[rpki]
"#;

#[test]
fn routes_of_a_file_have_the_states_that_the_files_of_the_configuration_give() {
    let files = Files::new();
    let path = |name: &str| files.0.path().join(name);
    // 64500 may originate 203.0.113.0/24; the neighbour that 64500 attests is 64496 alone.
    let export = r#"{ "roas": [{ "prefix": "203.0.113.0/24", "asn": 64500, "maxLength": 24 },
        { "prefix": "198.51.100.0/24", "asn": 64501 }],
        "aspas": [{ "customer": 64500, "providers": [64498] }] }"#;
    fs::write(path("export.json"), export).unwrap();
    // Local exceptions (RFC 8416 §3.2) take one VRP away.
    let slurm = r#"{ "slurmVersion": 1, "validationOutputFilters": { "prefixFilters": [{ "asn": 64501 }], "bgpsecFilters": [] },
        "locallyAddedAssertions": { "prefixAssertions": [], "bgpsecAssertions": [] } }"#;
    fs::write(path("slurm.json"), slurm).unwrap();
    let update = |from: &'static str, asn: u32, [a, b, c]: [u8; 3], path: &[u32]| {
        (from, asn, [24, a, b, c], attributes("203.0.113.0/24", path).finish())
    };
    let archive = files.archive(
        "rpki.mrt",
        &[
            update("192.0.2.9", 64499, [203, 0, 113], &[64499, 64500]), // valid; no role, so its path is not checked
            update("192.0.2.9", 64499, [203, 0, 113], &[64499, 64501]), // another origin
            update("192.0.2.9", 64499, [198, 51, 100], &[64499]),       // not found, thanks to the exceptions
            // edge-1 is our customer: 64500 says that 64496 is none of its providers.
            update("192.0.2.1", 64496, [203, 0, 113], &[64496, 64500]),
        ],
    );
    let test = |keys: &str, rest: &[&str]| {
        fs::write(files.config(), format!("{CONFIG}{VALIDATION}{keys}")).unwrap();
        let (config, archive) = (files.config(), text(&archive).to_owned());
        let common = ["ribwatch", "--json", "policy", "test", "-c", text(&config), "--policy", "rpki", &archive];
        run(&[&common[..], rest].concat())
    };
    let deciders = |out: &str| {
        let decided = lines(out)[0]["decided"].as_array().unwrap().clone();
        decided.iter().map(|one| format!("{} {}", one["by"].as_str().unwrap(), one["routes"])).collect::<Vec<_>>()
    };
    let (export, slurm) = (path("export.json"), path("slurm.json"));
    let source = format!("[[rpki.cache]]\nname = \"export\"\nfile = \"{}\"\n", text(&export));

    let with_slurm = format!("slurm = \"{}\"\n{source}", text(&slurm));
    let (code, out, err) = test(&with_slurm, &["--limit", "0"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let states = json!({ "source": "files", "vrps": 1, "aspas": 1, "not_asked": [] });
    assert_eq!(lines(&out)[0]["validation_by"], states);
    let not_found = "no statement decided, EBGP rejects (RFC 8212) 1";
    assert_eq!(deciders(&out), [not_found, "rpki/invalid 1", "rpki/leak 1", "rpki/valid 1"]);

    // A cache that counts as much is named, since it is not asked.
    let both = format!("{source}[[rpki.cache]]\nname = \"validator-1\"\naddress = \"127.0.0.1:3323\"\n");
    let (_, out, _) = test(&both, &["--limit", "0"]);
    assert_eq!(lines(&out)[0]["validation_by"]["not_asked"], json!(["validator-1"]));
    assert!(deciders(&out).contains(&"rpki/invalid 2".to_owned()), "without the exceptions: {out}");

    // A reserve is not mixed in, and a cache alone leaves the states unknown.
    let reserve = format!("{source}[[rpki.cache]]\nname = \"none\"\nfile = \"/nowhere/at-all.json\"\npreference = 9\n");
    assert_eq!(test(&reserve, &[]).0, 0);
    let (code, out, _) = test("[[rpki.cache]]\naddress = \"127.0.0.1:3323\"\n", &["--limit", "0"]);
    assert_eq!((code, &lines(&out)[0]["validation_by"]), (0, &json!({ "source": "unknown" })));
    assert_eq!(deciders(&out), ["rpki/unchecked 4"]);

    let (code, _, err) = test("[[rpki.cache]]\nfile = \"/nowhere/at-all.json\"\n", &[]);
    assert!(code == 2 && err.contains("/nowhere/at-all.json cannot be read"), "{code} {err}");

    // For people: one line.
    fs::write(files.config(), format!("{CONFIG}{VALIDATION}")).unwrap();
    let config = files.config();
    let (_, out, _) = run(&["ribwatch", "policy", "test", "-c", text(&config), "--policy", "rpki", text(&archive)]);
    assert_eq!(out.matches("validation states are unknown").count(), 1, "{out}");
    // A policy that does not ask for states hears nothing of them.
    let (_, out, _) = run(&["ribwatch", "policy", "test", "-c", text(&config), "--policy", "in", text(&archive)]);
    assert!(!out.contains("validation"), "{out}");
}

#[test]
fn routes_of_a_daemon_have_the_states_that_it_found() {
    let files = Files::new();
    fs::write(files.config(), format!("{CONFIG}{VALIDATION}")).unwrap();
    let fake = Fake::new(64);
    let a = fake.neighbor("192.0.2.1", 64496);
    let states = [
        ("203.0.113.0/26", OriginState::Valid, PathState::Unknown),
        ("203.0.113.64/26", OriginState::Valid, PathState::Invalid),
        ("203.0.113.128/26", OriginState::Invalid, PathState::NotChecked),
        ("203.0.113.192/26", OriginState::NotChecked, PathState::NotChecked),
    ];
    for (prefix, origin, path) in states {
        fake.announce(a, prefix, &[64496]);
        fake.validate(a, prefix, origin, path);
    }
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let backend: Arc<dyn Backend> = fake.clone();
    runtime.spawn(crate::door::serve_grpc(listener, backend, std::sync::Arc::new(ribwatch::alert::Nobody)));
    let config = files.config();
    let (code, out, err) =
        run(&["ribwatch", "--api", &address, "--json", "policy", "test", "-c", text(&config), "--policy", "rpki"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let found = lines(&out);
    assert_eq!(found[0]["validation_by"], json!({ "source": "daemon" }));
    let decided: Vec<_> = found[0]["decided"].as_array().unwrap().iter().map(|one| &one["by"]).collect();
    assert_eq!(decided, ["rpki/invalid", "rpki/leak", "rpki/unchecked", "rpki/valid"]);
}

#[test]
fn what_cannot_be_tested_is_told_with_its_exit_code() {
    let files = Files::new();
    let (config, archive) = (files.config(), archive(&files));
    let cut = files.0.path().join("cut.mrt");
    fs::write(&cut, &fs::read(&archive).unwrap()[..150]).unwrap();
    let test = |rest: &[&str]| run(&[&["ribwatch", "policy", "test", "-c", text(&config)], rest].concat());
    let rows: &[(&[&str], u8, &str)] = &[
        (&["--policy", "inn", text(&archive)], 2, "no policy is called \"inn\""),
        (&[text(&archive)], 2, "--policy NAME"),
        (&["--neighbor", "edge-9", text(&archive)], 2, "no neighbor called \"edge-9\""),
        (&["--policy", "in", "/nowhere/at-all.mrt"], 2, "/nowhere/at-all.mrt"),
        (&["--policy", "in", text(&cut)], 1, "is damaged in 1 place"),
        (&["--policy", "in", "--api", "127.0.0.1:1"], 3, "no daemon answers"),
    ];
    for (arguments, code, words) in rows {
        let (got, _, err) = test(arguments);
        assert!(got == *code && err.contains(words), "{arguments:?}: {got} {err}");
    }
}

#[test]
fn the_routes_of_a_daemon_are_judged_and_compared_with_what_it_does() {
    let files = Files::new();
    let fake = Fake::new(64);
    let (a, b) = (fake.neighbor("192.0.2.1", 64496), fake.neighbor("192.0.2.2", 64497));
    let mut tagged = attributes("203.0.113.0/25", &[64496, 64500]);
    tagged.large_communities(&[LargeCommunity { global: 64500, local1: 1, local2: 80 }]).med(7);
    fake.announce(a, "203.0.113.0/24", &[64496]);
    fake.file(a, "203.0.113.0/25", 0, tagged.finish());
    fake.announce(a, "198.51.100.0/24", &[64496]);
    fake.announce(a, "2001:db8::/32", &[64496]);
    fake.announce(b, "203.0.113.0/24", &[64497, 64498]);
    fake.mark(a, "2001:db8::/32", false, Some("reject-all"));
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let backend: Arc<dyn Backend> = fake.clone();
    runtime.spawn(crate::door::serve_grpc(listener, backend, Arc::new(Nobody)));
    let config = files.config();
    let test = |rest: &[&str]| {
        let common = ["ribwatch", "--api", &address, "--json", "policy", "test", "-c", text(&config)];
        let (code, out, err) = run(&[&common[..], rest].concat());
        assert_eq!((code, err.as_str()), (0, ""));
        lines(&out)
    };

    let found = test(&["--neighbor", "edge-1"]);
    let counts = &found[0];
    assert_eq!((&counts["routes"], &counts["accepted"], &counts["changed"]), (&json!(4), &json!(3), &json!(1)));
    assert_eq!((&counts["lost"], &counts["gained"]), (&json!(1), &json!(1)), "198.51.100.0/24 and 2001:db8::/32");
    let backup = found.iter().find(|route| route["by"] == "in/backup" && route["prefix"].is_string()).unwrap();
    assert_eq!((&backup["prefix"], &backup["accepted_now"]), (&json!("203.0.113.0/25"), &json!(true)));

    // Everybody's routes, as each sent them: of peer-2 nothing is decided.
    let everybody = test(&["--policy", "in", "--limit", "0"]);
    assert_eq!((&everybody[0]["routes"], &everybody[0]["accepted"]), (&json!(5), &json!(3)));

    // What peer-2 would be told of the best routes: the customer's, from whom it came counts.
    let exported = test(&["--direction", "export", "--neighbor", "peer-2"]);
    assert_eq!((&exported[0]["policies"], &exported[0]["direction"]), (&json!(["out"]), &json!("export")));
    let told: Vec<&Value> = exported.iter().filter(|route| route["accepted"] == json!(true)).collect();
    assert!(!told.is_empty() && told.iter().all(|route| route["neighbor"] == "192.0.2.1"), "{exported:?}");
    let changes = json!([
        { "attribute": "as_path", "before": "`64496`", "after": "`64511 64496`" },
        { "attribute": "next_hop", "before": null, "after": "self" },
    ]);
    assert!(told.iter().any(|route| route["changes"] == changes), "{told:?}");
    assert!(fake.commands().is_empty(), "nothing was asked of the daemon but its routes");
}

#[test]
fn check_and_run_run_the_tests_of_policies() {
    let files = Files::new();
    // The daemon cannot start here: if it went on it would end with 1, and not wait for signals.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("[api]\nlisten = \"{}\"\n", taken.local_addr().unwrap());
    let execute = |verb: &str, test: &str| {
        let text = format!("{CONFIG}\n{api}\n[[policy.test]]\nname = \"t\"\nneighbor = \"edge-1\"\n{test}");
        fs::write(files.config(), text).unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_ribwatch")).arg(verb).arg("-c").arg(files.config()).output();
        let done = done.unwrap();
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
    };
    let route = "route = { prefix = \"203.0.113.0/24\", as_path = \"64496\", communities = [\"64500:80\"] }\n";
    let passes = format!("{route}expect = \"accept\"\nby = \"in/backup\"\nexpect_set = {{ weight = 5 }}");
    let (code, out, _) = execute("check", &passes);
    assert!(code == 0 && out.contains("policy: 2 policies, 1 test passed"), "{out}");
    assert_eq!(execute("run", &passes).0, 1, "the address is taken");
    let checked = execute("check", &format!("{route}expect = \"reject\""));
    assert_eq!(checked.0, 2);
    for words in [
        "policy test \"t\" fails: expected to be rejected, is accepted by in/backup",
        "[[policy.test]]",
        "in/backup: local_pref none -> 80, communities 64500:80 -> none, weight none -> 5, accepts",
    ] {
        assert!(checked.2.contains(words), "{words:?} is not told: {}", checked.2);
    }
    assert_eq!(execute("run", &format!("{route}expect = \"reject\"")), checked, "the daemon refuses to start likewise");
}
