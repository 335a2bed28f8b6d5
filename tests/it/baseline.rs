//! `ribwatch baseline`: rules from what a daemon sees, and what a later run keeps of a file that was edited by hand.

use std::{fs, path::Path, sync::Arc};

use ribwatch::{alert::Nobody, cli, config::Config, types::PeerId, view::Backend};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::fake::Fake;

/// A daemon of AS64512 with two neighbours.
struct Daemon {
    fake: Arc<Fake>,
    a: PeerId,
    b: PeerId,
    api: String,
    _runtime: Runtime,
}

impl Daemon {
    fn new() -> Self {
        let fake = Fake::new(64);
        let (a, b) = (fake.neighbor("192.0.2.1", 64496), fake.neighbor("192.0.2.2", 64497));
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let api = listener.local_addr().unwrap().to_string();
        let backend: Arc<dyn Backend> = fake.clone();
        runtime.spawn(crate::door::serve_grpc(listener, backend, Arc::new(Nobody)));
        Self { fake, a, b, api, _runtime: runtime }
    }

    fn baseline(&self, arguments: &[&str]) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code =
            cli::execute(&[&["ribwatch", "--api", &self.api, "baseline"], arguments].concat(), &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }
}

/// The text as a file of rules that a configuration includes.
fn rules(path: &Path) -> Config {
    let text =
        format!("[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\n[watch]\ninclude = [\"{}\"]\n", path.display());
    Config::parse("f.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn rules_are_what_both_neighbors_show() {
    let net = Daemon::new();
    net.fake.announce(net.a, "203.0.113.0/24", &[64496, 64498, 64500, 64500]);
    net.fake.announce(net.b, "203.0.113.0/24", &[64497, 64500]);
    net.fake.announce(net.b, "2001:db8::/32", &[64497, 64500]);
    net.fake.announce(net.b, "198.51.100.0/24", &[64497, 64511]);
    let expected = "\
# What was seen when `ribwatch baseline` ran. Rules may be edited; --merge keeps them.

[[watch.asn]]
asn = 64500
upstreams = [64497, 64498]

[[watch.prefix]]
prefix = \"203.0.113.0/24\"
origins = [64500]
upstreams = [64497, 64498]

[[watch.prefix]]
prefix = \"2001:db8::/32\"
origins = [64500]
upstreams = [64497]
";
    assert_eq!(net.baseline(&["--asn", "64500"]), (0, expected.to_owned(), String::new()));
    let (_, of_a, _) = net.baseline(&["--asn", "64500", "--neighbor", "192.0.2.1"]);
    assert!(of_a.contains("upstreams = [64498]\n") && !of_a.contains("2001:db8"), "{of_a}");
}

#[test]
fn a_later_run_keeps_what_was_edited_and_marks_what_vanished() {
    let net = Daemon::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.toml");
    let file = path.to_str().unwrap();
    net.fake.announce(net.a, "203.0.113.0/24", &[64496, 64500]);
    net.fake.announce(net.a, "198.51.100.0/24", &[64496, 64500]);
    let (code, out, err) = net.baseline(&["--asn", "64500", "-o", file]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("2 of them new"), "{out}");
    let edited =
        fs::read_to_string(&path).unwrap().replace("upstreams = [64496]\n", "upstreams = [64496, 64499] # by hand\n");
    fs::write(&path, &edited).unwrap();

    net.fake.withdraw(net.a, "198.51.100.0/24");
    net.fake.announce(net.a, "192.0.2.0/24", &[64497, 64500]);
    assert_eq!(net.baseline(&["--asn", "64500", "--merge", file]).0, 0);
    let merged = fs::read_to_string(&path).unwrap();
    let mark = "# ribwatch baseline: not seen in the last run\n";
    assert_eq!(merged.matches(mark).count(), 1);
    assert!(merged.contains(&format!("{mark}[[watch.prefix]]\nprefix = \"198.51.100.0/24\"")), "{merged}");
    let new = "\n[[watch.prefix]]\nprefix = \"192.0.2.0/24\"\norigins = [64500]\nupstreams = [64497]\n";
    assert_eq!(merged.replace(mark, ""), format!("{edited}{new}"));
    assert_eq!(rules(&path).detect.prefixes.len(), 3);

    // It is back: the mark goes, and nothing else changes.
    net.fake.announce(net.a, "198.51.100.0/24", &[64496, 64500]);
    assert_eq!(net.baseline(&["--asn", "64500", "--merge", file]).0, 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), merged.replace(mark, ""));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no scratch file stays");
}

#[test]
fn nothing_is_written_when_nothing_is_seen_or_the_old_file_is_broken() {
    let net = Daemon::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.toml");
    let file = path.to_str().unwrap();
    fs::write(&path, "[[watch.prefix]\n").unwrap();
    let (code, _, err) = net.baseline(&["--asn", "64500", "-o", file]);
    assert_eq!((code, fs::read_to_string(&path).unwrap().as_str()), (1, "[[watch.prefix]\n"));
    assert!(err.contains("sees no route that AS64500 originates"), "{err}");

    net.fake.announce(net.a, "203.0.113.0/24", &[64496, 64500]);
    let (code, _, err) = net.baseline(&["--asn", "64500", "--merge", file]);
    assert_eq!((code, fs::read_to_string(&path).unwrap().as_str()), (2, "[[watch.prefix]\n"));
    assert!(err.contains("rules.toml: not TOML"), "{err}");
}
