//! The daemon as a process: what it prints while it knows every kind of secret and dies of it, and what it may do once it is bound.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

use ribwatch::{cli, config::Config};

use crate::router::PATIENCE;

/// `ribwatch run`, with what it printed so far.
struct Process {
    child: Child,
    lines: Receiver<String>,
    printed: String,
}

impl Process {
    fn start(file: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ribwatch"));
        command.arg("run").arg("-c").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("ACCESS_TEST_TOKEN", secret("environment")).env("ACCESS_TEST_HOOK", secret("hook-env"));
        let mut child = command.spawn().expect("starts");
        let log = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let (tell, lines) = channel();
        // All the time: a daemon whose log is not read waits.
        std::thread::spawn(move || log.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, lines, printed: String::new() }
    }

    /// Reads until a line with these words.
    fn says(&mut self, words: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("never said: {words}; it said {}", self.printed)
            };
            self.printed.push_str(&line);
            self.printed.push('\n');
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Waits for its end and reads the rest; the exit code, where it was not a signal.
    fn end(&mut self) -> Option<i32> {
        let status = self.child.wait().expect("ends");
        for line in self.lines.iter() {
            self.printed.push_str(&line);
            self.printed.push('\n');
        }
        status.code()
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success(), "{kill}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every secret of the story has this in it.
const MARK: &str = "s3cr3t";

fn secret(kind: &str) -> String {
    format!("{MARK}-{kind}-0123456789abcdef")
}

/// The port behind `words` in a line of the log.
fn port(line: &str, words: &str) -> u16 {
    let rest = line.split(words).nth(1).expect("an address");
    let digits = rest.split_once(':').expect("a port").1;
    digits.split(|c: char| !c.is_ascii_digit()).next().and_then(|port| port.parse().ok()).expect("a port")
}

fn get(port: u16, path: &str, header: &str) -> String {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    connection.set_read_timeout(Some(PATIENCE)).expect("set");
    write!(connection, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    answer
}

/// A configuration with every kind of secret; whoever is told of alerts is not there.
fn everything(dir: &Path) -> String {
    let file = |kind: &str| {
        let path = dir.join(format!("{kind}.key"));
        std::fs::write(&path, format!("{}\n", secret(kind))).expect("written");
        path.display().to_string()
    };
    let nobody = "127.0.0.1:9";
    let sink = |name: &str, kind: &str, keys: &str| {
        format!("[[sink]]\nname = \"{name}\"\ntype = \"{kind}\"\ntimeout = \"2s\"\n{keys}\n")
    };
    let dir = dir.display();
    [
        format!(
            "[router]\nasn = 64496\nrouter_id = \"192.0.2.1\"\nlisten = [\"127.0.0.1:0\"]\n\
             [api]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [log]\nlevel = \"trace\"\nformat = \"json\"\n[state]\ndir = \"{dir}/state\"\n\
             [access]\naudit = \"{dir}/audit.jsonl\"\n\
             [[access.token]]\nname = \"file\"\nrole = \"admin\"\ntoken_file = \"{}\"\n\
             [[access.token]]\nname = \"env\"\nrole = \"view\"\ntoken_env = \"ACCESS_TEST_TOKEN\"\n\
             [[neighbor_group]]\nname = \"g\"\npassword = \"{}\"\nremote_asn = 64497\n\
             [[neighbor]]\naddress = \"127.0.0.2\"\ngroup = \"g\"\n\
             [[neighbor]]\naddress = \"127.0.0.3\"\nremote_asn = 64498\npassword_file = \"{}\"\n\
             [[rpki.cache]]\naddress = \"{nobody}\"\npassword = \"{}\"\n",
            file("token"),
            secret("group"),
            file("neighbor"),
            secret("cache"),
        ),
        sink(
            "hook",
            "webhook",
            &format!(
                "url = \"http://{nobody}/{}\"\nsecret_env = \"ACCESS_TEST_HOOK\"\ntoken = \"{}\"\nheaders = {{ X-Key = \"{}\" }}",
                secret("url"),
                secret("bearer"),
                secret("header")
            ),
        ),
        sink("slack", "slack", &format!("url = \"http://{nobody}/services/{}\"", secret("slack"))),
        sink("pager", "pagerduty", &format!("routing_key = \"{}\"\nurl = \"http://{nobody}/v2\"", secret("pager"))),
        sink(
            "am",
            "alertmanager",
            &format!("url = \"http://{nobody}\"\nuser = \"u\"\npassword_file = \"{}\"", file("am")),
        ),
        sink(
            "mail",
            "email",
            &format!(
                "server = \"{nobody}\"\nuser = \"u\"\npassword = \"{}\"\nfrom = \"a@example.net\"\nto = [\"b@example.net\"]",
                secret("mail")
            ),
        ),
    ]
    .concat()
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn a_daemon_that_knows_every_kind_of_secret_prints_none_of_them_until_it_dies() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("ribwatch.toml");
    let text = everything(dir.path());
    std::fs::write(&path, text.replace("token_env = \"ACCESS_TEST_TOKEN\"", "token_file = \"/dev/null\""))
        .expect("written");
    let clean = |what: &str, text: &str| {
        let place = text.find(MARK).map(|at| text[at.saturating_sub(300)..(at + 100).min(text.len())].to_owned());
        assert_eq!(place, None, "{what} tells a secret");
    };
    // Faulty, and right: what it is when it is printed as a whole.
    clean("a fault", &Config::load(&path).unwrap_err().to_string());
    let plain =
        text.replace("token_env = \"ACCESS_TEST_TOKEN\"", "hash = \"sha256:xx\"").replace("secret_env", "token_env");
    std::fs::write(&path, plain).expect("written");
    clean("faults", &format!("{0} {0:?}", Config::load(&path).unwrap_err()));
    let alone = text.replace("token_env = \"ACCESS_TEST_TOKEN\"", &format!("hash = \"sha256:{}\"", "ab".repeat(32)));
    let alone = alone.replace("secret_env = \"ACCESS_TEST_HOOK\"", &format!("secret = \"{}\"", secret("hook")));
    std::fs::write(&path, alone).expect("written");
    clean("Debug", &format!("{:#?}", Config::load(&path).expect("is right")));
    let mut told = String::new();
    for sink in ["hook", "slack", "pager", "am", "mail"] {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let words = ["ribwatch", "alert", "test", sink, "-c", path.to_str().expect("text")];
        assert_ne!(cli::execute(&words, &mut out, &mut err), 0, "nobody is there");
        told += &(String::from_utf8(out).expect("text") + &String::from_utf8(err).expect("text"));
    }
    clean("alert test", &told);

    std::fs::write(&path, &text).expect("written");
    let mut process = Process::start(&path);
    let hello = process.says("gRPC on 127.0.0.1:");
    let (api, http) = (port(&hello, "gRPC on "), port(&hello, "HTTP on "));
    for header in [
        format!("Authorization: Bearer {}", secret("token")),
        format!("Authorization: Bearer {}", secret("guess")),
        format!("Cookie: ribwatch={}", secret("environment")),
        format!("Cookie: ribwatch={}", secret("stale")),
        String::new(),
    ] {
        for path in [
            "/metrics",
            "/api/v1/overview",
            "/api/v1/neighbors/127.0.0.2",
            "/api/v1/rpki",
            "/api/v1/session",
            "/nowhere",
        ] {
            let answer = get(http, path, &header);
            // That a cookie is taken away says nothing of it.
            clean(path, &answer);
        }
    }
    let api = format!("127.0.0.1:{api}");
    let token = dir.path().join("token.key").display().to_string();
    let (key, slip) = (format!("password = \"{}\"", secret("added")), format!("pasword = \"{}\"", secret("slip")));
    for words in [
        &["neighbor"][..],
        &["neighbor", "127.0.0.3", "--json"],
        &["neighbor", "add", "127.0.0.4", "--remote-asn", "64499", "--set", &key],
        &["neighbor", "add", "127.0.0.5", "--remote-asn", "64499", "--set", &slip],
        &["neighbor", "reset", "127.0.0.3"],
        &["reload"],
    ] {
        let words: Vec<&str> =
            ["ribwatch", "--api", &api, "--token-file", &token].into_iter().chain(words.iter().copied()).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        cli::execute(&words, &mut out, &mut err);
        clean(words[5], &(String::from_utf8(out).expect("text") + &String::from_utf8(err).expect("text")));
    }
    std::fs::write(&path, text.replace("password = ", "pasword = ")).expect("written");
    process.signal("HUP");
    process.says("the file has faults");
    process.signal("ABRT");
    assert_eq!(process.end(), None);
    assert!(process.printed.contains("\"TRACE\""), "it says everything that it can");
    clean("the log", &process.printed);
    let mut kept = Vec::new();
    files(&dir.path().join("state"), &mut kept);
    assert!(!kept.is_empty());
    kept.push(dir.path().join("audit.jsonl"));
    for path in kept {
        clean(&path.display().to_string(), &String::from_utf8_lossy(&std::fs::read(&path).expect("is there")));
    }
    let audit = std::fs::read_to_string(dir.path().join("audit.jsonl")).expect("is there");
    for words in ["AddNeighbor\"", "address=\\\"127.0.0.4\\\"", "this token is not known here", "\"from\":\"SIGHUP\""] {
        assert!(audit.contains(words), "{words}: {audit}");
    }
}

/// Needs root, as the daemon then does.
#[test]
fn once_it_is_bound_it_is_another_user_without_any_privilege() {
    if ribwatch::io::sockopt::effective_uid() != 0 {
        eprintln!("not root: nothing to give up");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    // It has to reach the folder, and make files in it.
    let open = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o777);
    std::fs::set_permissions(dir.path(), open).expect("is ours");
    let path = dir.path().join("ribwatch.toml");
    let folder = dir.path().display();
    let text = format!(
        "[router]\nasn = 64496\nrouter_id = \"192.0.2.1\"\nlisten = [\"127.77.3.1:1009\"]\nuser = \"nobody\"\n\
         [api]\nlisten = \"127.0.0.1:0\"\nsocket = \"{folder}/api.sock\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [access]\naudit = \"{folder}/audit.jsonl\"\n[state]\ndir = \"{folder}/state\"\n\
         [[neighbor]]\naddress = \"127.0.0.2\"\nremote_asn = 64497\npassword = \"md5 needs no privilege\"\npassive = true\n"
    );
    std::fs::write(&path, &text).expect("written");
    let mut process = Process::start(&path);
    process.says("BGP on 127.77.3.1:1009");
    let nobody = ribwatch::io::sockopt::find_user("nobody").expect("asked").expect("is there");
    let mut threads = 0;
    for task in std::fs::read_dir(format!("/proc/{}/task", process.child.id())).expect("threads") {
        let status = std::fs::read_to_string(task.expect("a thread").path().join("status")).expect("a thread");
        let line =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).expect("a line").trim().to_owned();
        let all = |number: u32| [number; 4].map(|number| number.to_string()).join("\t");
        assert_eq!((line("Uid:"), line("Gid:")), (all(nobody.uid), all(nobody.gid)), "{status}");
        for set in ["CapPrm:", "CapEff:", "CapInh:", "CapAmb:"] {
            assert_eq!(line(set), "0000000000000000", "{set} {status}");
        }
        assert_eq!(line("NoNewPrivs:"), "1");
        threads += 1;
    }
    assert!(threads > 3);
    for file in ["audit.jsonl", "api.sock", "state"] {
        let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(dir.path().join(file)).expect("is there"));
        assert_eq!(owner, nobody.uid, "{file}");
    }
    TcpStream::connect("127.77.3.1:1009").expect("it listens");
    // A neighbour with a key is added without any privilege.
    std::fs::write(&path, format!("{text}[[neighbor]]\naddress = \"127.0.0.3\"\nremote_asn = 1\npassword = \"p\"\n"))
        .expect("written");
    process.signal("HUP");
    let told = process.says("reload: ");
    assert!(told.contains("127.0.0.3: added"), "{told}");
    process.signal("TERM");
    process.says("ended in order");

    std::fs::write(&path, text.replace("nobody", "no-such-user")).expect("written");
    let mut process = Process::start(&path);
    process.says("there is no such user on this machine");
    assert_eq!(process.end(), Some(1));
}
