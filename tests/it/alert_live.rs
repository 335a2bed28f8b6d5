//! A hijack as the operator lives it: `ribwatch run` as a process, a neighbour over TCP, the command line beside it, a webhook
//! that takes what is told, and a file that keeps it. Then the process is killed, and started again.

use std::{
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver as Lines, channel},
};

use ribwatch::{
    cli,
    types::{Asn, Family, Prefix},
    wire::bgp::{
        attribute::{AttrSetBuilder, NextHop, Origin},
        update::end_of_rib,
    },
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::{
    router::{PATIENCE, Raw},
    sink::receiver::Receiver,
};

const V4: Family = Family::IPV4_UNICAST;
const OWN: &str = "203.0.113.0/24";
const PART: &str = "203.0.113.128/25";
/// The kinds that the story is about: prefixes and AS numbers for documentation are bogons, too.
const HIJACKS: [&str; 2] = ["subprefix-hijack", "origin-hijack"];
/// A second watched prefix, for what must come after something else.
const OTHER: &str = "198.51.100.0/24";

/// `ribwatch run`; killed without a warning at the end, as by a power cut.
struct Process {
    child: Child,
    bgp: u16,
    api: String,
    _log: Lines<String>,
}

impl Process {
    fn start(file: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ribwatch"));
        command.arg("run").arg("-c").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let (tell, log) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut before = Vec::new();
        let line = loop {
            let line: String = log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("never started: {before:#?}"));
            if line.contains("BGP on ") {
                break line;
            }
            before.push(line);
        };
        let port = |what: &str| -> u16 {
            let behind = line.split(what).nth(1).and_then(|rest| rest.split("127.0.0.1:").nth(1));
            let digits = behind.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
            digits.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port of {what}: {line}"))
        };
        let (bgp, api) = (port("BGP on "), format!("127.0.0.1:{}", port("gRPC on ")));
        Self { child, bgp, api, _log: log }
    }

    /// The lines of JSON that a command prints.
    fn ask(&self, arguments: &[&str]) -> Vec<Value> {
        let (code, out, err) = execute(&self.api, arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
        out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Follows the changes of alerts from the first that is kept until one of this kind comes; returns the alert then.
    fn until(&self, why: &str, prefix: &str) -> Value {
        let (tell, told) = channel();
        let (api, prefix_too) = (self.api.clone(), prefix.to_owned());
        let why = why.to_owned();
        let wanted = why.clone();
        std::thread::spawn(move || {
            for count in 1_u32.. {
                let count = count.to_string();
                let watch = [
                    "alert",
                    "watch",
                    "--from",
                    "0",
                    "--json",
                    "--prefix",
                    &prefix_too,
                    "--kind",
                    HIJACKS[0],
                    "--kind",
                    HIJACKS[1],
                    "--count",
                    &count,
                ];
                let (code, out, err) = execute(&api, &watch);
                let last = out.lines().last().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
                match last {
                    Some(change) if code == 0 && change["why"] == *why => {
                        return tell.send(Ok(change["alert"].clone()));
                    }
                    Some(_) if code == 0 => {}
                    _ => return tell.send(Err(err)),
                }
            }
            Ok(())
        });
        told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{prefix} never {wanted}")).expect("the watch goes on")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn execute(api: &str, arguments: &[&str]) -> (u8, String, String) {
    let all: Vec<&str> = ["ribwatch"].iter().chain(arguments).chain(&["--api", api]).copied().collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::execute(&all, &mut out, &mut err);
    (code, String::from_utf8(out).expect("UTF-8"), String::from_utf8(err).expect("UTF-8"))
}

/// A daemon's file and all that it leads to.
struct Noc {
    runtime: Runtime,
    webhook: Receiver,
    dir: tempfile::TempDir,
}

impl Noc {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let webhook = runtime.block_on(Receiver::start());
        let dir = tempfile::tempdir().expect("a directory");
        let noc = Self { runtime, webhook, dir };
        std::fs::write(noc.file(), noc.text()).expect("written");
        noc
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("ribwatch.toml")
    }

    fn archive(&self) -> PathBuf {
        self.dir.path().join("alerts.jsonl")
    }

    fn text(&self) -> String {
        let state = self.dir.path().join("state");
        std::fs::create_dir_all(&state).expect("made");
        format!(
            "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\nlisten = [\"127.0.0.1:0\"]\n\
             [api]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n[state]\ndir = {state:?}\n\
             [[neighbor]]\nname = \"edge\"\naddress = \"127.0.0.2\"\nremote_asn = 64497\npassive = true\n\
             monitor_only = true\n\
             [[watch.prefix]]\nprefix = \"{OWN}\"\norigins = [64500]\n\
             [[watch.prefix]]\nprefix = \"{OTHER}\"\norigins = [64500]\n\
             [alert.kind.subprefix-hijack]\nresolve_after = \"0s\"\n\
             [alert.kind.origin-hijack]\nresolve_after = \"0s\"\n\
             [[sink]]\nname = \"noc\"\ntype = \"webhook\"\nurl = \"{}\"\nkinds = [\"subprefix-hijack\", \"origin-hijack\"]\n\
             [[sink]]\nname = \"archive\"\ntype = \"jsonl\"\npath = {:?}\n",
            self.webhook.url("/in"),
            self.archive(),
        )
    }

    /// What the webhook takes next.
    fn told(&mut self) -> Value {
        let next = async { tokio::time::timeout(PATIENCE, self.webhook.next()).await };
        self.runtime.block_on(next).expect("something is told").json()
    }

    /// All that the webhook takes until this happens to an alert about `prefix`, which is the last.
    fn told_until(&mut self, event: &str, prefix: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            all.push(self.told());
            let last = all.last().expect("one");
            if last["event"] == *event && last["prefix"] == *prefix {
                return all;
            }
        }
    }
}

fn neighbour(process: &Process) -> Raw {
    let mut raw = Raw::connect("127.0.0.2", process.bgp, 90);
    raw.establish();
    announce(&mut raw, OWN, &[64497, 64500]);
    raw.send(&end_of_rib(V4));
    raw
}

fn announce(raw: &mut Raw, prefix: &str, path: &[u32]) {
    let path: Vec<Asn> = path.iter().copied().map(Asn).collect();
    let mut attrs = AttrSetBuilder::new();
    attrs.origin(Origin::Igp).as_path_sequence(&path).next_hop(V4, NextHop::new(Ipv4Addr::new(127, 0, 0, 2).into()));
    raw.send(&update(&[], &attrs.finish(), &nlri(prefix)));
}

fn withdraw(raw: &mut Raw, prefix: &str) {
    raw.send(&update(&nlri(prefix), &[], &[]));
}

/// RFC 4271 §4.3.
fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let part = |octets: &[u8]| [&(octets.len() as u16).to_be_bytes()[..], octets].concat();
    let body = [part(withdrawn), part(attributes), nlri.to_vec()].concat();
    let len = (19 + body.len()) as u16;
    [&[0xff; 16][..], &len.to_be_bytes()[..], &[2][..], &body[..]].concat()
}

fn nlri(prefix: &str) -> Vec<u8> {
    let prefix: Prefix = prefix.parse().expect("a prefix");
    let (address, len) = prefix.to_string().split_once('/').map(|(a, l)| (a.to_owned(), l.to_owned())).expect("a /");
    let octets = address.parse::<Ipv4Addr>().expect("IPv4").octets();
    let len: u8 = len.parse().expect("a length");
    [&[len][..], &octets[..usize::from(len.div_ceil(8))]].concat()
}

#[test]
fn a_hijack_is_told_acknowledged_survives_kill_9_and_ends_with_the_withdrawal() {
    let mut noc = Noc::new();
    let process = Process::start(&noc.file());
    let mut edge = neighbour(&process);

    announce(&mut edge, PART, &[64497, 64511]);
    let opened = process.until("opened", PART);
    let id = opened["id"].as_str().expect("an id").to_owned();
    let shown = process.ask(&["alert", "--json", "--prefix", PART, "--kind", HIJACKS[0]]);
    assert_eq!(shown.len(), 1, "{shown:#?}");
    assert_eq!((&shown[0]["id"], &shown[0]["kind"]), (&json!(id), &json!("subprefix-hijack")));
    assert_eq!((&shown[0]["state"], &shown[0]["prefix"]), (&json!("open"), &json!(PART)));
    assert_eq!(shown[0]["asns"]["expected"], json!([64500]));
    assert_eq!(shown[0]["asns"]["observed"], json!([64511]));
    assert_eq!(shown[0]["neighbors"], json!(["edge"]));
    let why = shown[0]["why"].as_str().expect("a sentence");
    assert!(why.contains("64511") && why.contains(PART) && why.contains(OWN), "{why}");
    let told = noc.told();
    assert_eq!((&told["event"], &told["id"], &told["why"]), (&json!("opened"), &json!(id), &shown[0]["why"]));

    let acked = process.ask(&["alert", "ack", &id, "--note", "asked their NOC", "--author", "kim", "--json"]);
    assert_eq!((&acked[0]["state"], &acked[0]["acknowledged_by"]), (&json!("acknowledged"), &json!("kim")));
    assert_eq!(acked[0]["comments"][0]["text"], json!("asked their NOC"));
    assert_eq!(noc.told_until("acknowledged", PART).len(), 1);

    // Muted before it begins: it opens, nobody is told, and it says who wants it so.
    let mute = ["alert", "mute", "--prefix", OTHER, "--for", "1h", "--reason", "a test", "--author", "kim", "--json"];
    let mute = process.ask(&mute)[0]["id"].as_str().expect("an id").to_owned();
    announce(&mut edge, OTHER, &[64497, 64666]);
    let quiet = process.until("opened", OTHER);
    assert_eq!((&quiet["kind"], quiet["muted"].is_null()), (&json!("origin-hijack"), false), "{quiet:#}");

    drop(process);
    drop(edge);
    let process = Process::start(&noc.file());
    let kept = process.ask(&["alert", "--json", "--prefix", PART, "--kind", HIJACKS[0]]);
    assert_eq!((&kept[0]["id"], &kept[0]["state"]), (&json!(id), &json!("acknowledged")));
    assert_eq!(process.ask(&["alert", "mutes", "--json"])[0]["id"], json!(mute));
    let mut edge = neighbour(&process);
    announce(&mut edge, PART, &[64497, 64511]);
    announce(&mut edge, OTHER, &[64497, 64666]);
    process.ask(&["alert", "unmute", &mute, "--json"]);
    let between = noc.told_until("unmuted", OTHER);
    assert!(between.iter().all(|told| told["event"] != "opened"), "told a second time: {between:#?}");

    // Seen again before it goes: what was never seen in this run ends only when all tables are complete.
    let deadline = std::time::Instant::now() + PATIENCE;
    while execute(&process.api, &["rib", PART, "--table", "adj-in", "--json"]).1.is_empty() {
        assert!(std::time::Instant::now() < deadline, "{PART} never came back");
    }
    withdraw(&mut edge, PART);
    let over = process.until("resolved", PART);
    assert_eq!((&over["id"], &over["reopened"]), (&json!(id), &json!(0)));
    assert!(!over["resolved_at"].is_null());
    let between = noc.told_until("resolved", PART);
    assert!(between.iter().all(|told| told["event"] != "opened"), "told a second time: {between:#?}");
    assert_eq!(between.last().expect("one")["id"], json!(id));
    let live =
        process.ask(&["alert", "--json", "--state", "open", "--state", "acknowledged", "--kind", "subprefix-hijack"]);
    assert_eq!(live, Vec::<Value>::new());
    withdraw(&mut edge, OTHER);
    noc.told_until("resolved", OTHER);

    // The archive has the same life, in order, once it has caught up with the webhook.
    let deadline = std::time::Instant::now() + PATIENCE;
    let life = loop {
        let archive = std::fs::read_to_string(noc.archive()).expect("written");
        let lines = archive.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let events = lines.filter(|line| line["id"] == *id).map(|line| line["event"].as_str().map(str::to_owned));
        let life: Vec<String> = events.map(|event| event.expect("a word")).collect();
        if life.last().is_some_and(|event| event == "resolved") {
            break life;
        }
        assert!(std::time::Instant::now() < deadline, "the archive has {life:?}");
        std::thread::yield_now();
    };
    assert_eq!(life[0], "opened", "{life:?}");
}
