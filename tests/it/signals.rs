//! `ribwatch run` as the operating system sees it: a process with a file, signals, a log and an exit code.

use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

use crate::router::{OPEN_POLICY, PATIENCE, Router, towards};

/// `ribwatch run`. Ends with the story, however that ends.
struct Process {
    child: Child,
    log: Receiver<String>,
}

impl Process {
    fn start(file: &Path) -> Self {
        Self::start_with(file, &[])
    }

    /// With more in its environment.
    fn start_with(file: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ribwatch"));
        command.envs(environment.iter().copied());
        command.arg("run").arg("-c").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let (tell, log) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self { child, log }
    }

    /// The next line of the log with these words in it.
    fn says(&self, words: &str) -> String {
        let mut before = Vec::new();
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(words) => return line,
                Ok(line) => before.push(line),
                Err(_) => panic!("never said: {words}; it said {before:#?}"),
            }
        }
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

/// A router between 127.0.0.2 and 127.0.0.3 that takes everything from the first but `refused`.
fn file(refused: &str) -> String {
    let neighbor = |last: u8, import: &str| {
        format!(
            "[[neighbor]]\naddress = \"127.0.0.{last}\"\nremote_asn = {}\npassive = true\nimport = [\"{import}\"]\n\
             export = [\"accept-all\"]\n",
            64_495 + u32::from(last)
        )
    };
    format!(
        "[router]\nasn = 64496\nrouter_id = \"192.0.2.1\"\nlisten = [\"127.0.0.1:0\"]\n\
         [api]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [[policy.policy]]\nname = \"in\"\n[[policy.policy.statement]]\nmatch = {{ prefix = [\"{refused}\"] }}\n\
         verdict = \"reject\"\n[[policy.policy.statement]]\nverdict = \"accept\"\n{}{}",
        neighbor(2, "in"),
        neighbor(3, "accept-all"),
    )
}

#[test]
fn sighup_brings_a_changed_file_into_force_and_a_broken_one_changes_nothing_and_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("ribwatch.toml");
    let write = |text: &str| std::fs::write(&path, text).expect("written");
    let [one, two, three, four] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15"];

    write(&file(one));
    let mut process = Process::start(&path);
    let start = process.says("BGP on 127.0.0.1:");
    let port = start.split("BGP on 127.0.0.1:").nth(1).expect("a port");
    let port = port.split(|c: char| !c.is_ascii_digit()).next().and_then(|port| port.parse().ok()).expect("a port");
    let before = Router::start(64497, "", &towards(port, OPEN_POLICY));
    let behind = Router::start(64498, "", &towards(port, OPEN_POLICY).replace("127.0.0.2", "127.0.0.3"));
    [one, two, three].iter().for_each(|prefix| before.originate(prefix));
    behind.await_routes(&[two, three]);

    write(&file(three));
    process.signal("HUP");
    behind.await_routes(&[one, two]);
    process.says("reload");

    // With a slip of the pen in it, and a policy that would refuse what comes next.
    write(&file(four).replace("passive", "pasive"));
    process.signal("HUP");
    process.says("reload: the file has faults, everything goes on as it was");
    let fault = process.says("unknown key `pasive`");
    assert!(fault.contains("ribwatch.toml:"), "{fault}");
    before.originate(four);
    behind.await_routes(&[one, four, two]);
    for (router, address) in [(&before, "127.0.0.1"), (&behind, "127.0.0.1")] {
        let view = router.neighbor(address);
        assert_eq!((view.flaps, view.received.refresh), (0, 0), "no session ended, nobody was asked again");
    }

    process.signal("TERM");
    process.says("ended in order");
    assert_eq!(process.child.wait().expect("ends").code(), Some(0));
}

#[test]
fn the_service_manager_hears_of_ready_reload_life_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let (path, place) = (dir.path().join("ribwatch.toml"), dir.path().join("notify"));
    let listening = UnixDatagram::bind(&place).unwrap();
    listening.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut octets = [0; 500];
        let length = listening.recv(&mut octets).expect("it is told something");
        String::from_utf8(octets[..length].to_vec()).unwrap()
    };
    // Signs of life come in between.
    let other = || loop {
        let message = next();
        if message != "WATCHDOG=1" {
            return message;
        }
    };
    std::fs::write(&path, file("192.0.2.0/24")).unwrap();
    let environment = [("NOTIFY_SOCKET", place.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let mut process = Process::start_with(&path, &environment);
    assert_eq!(next(), "READY=1\nSTATUS=0 of 2 sessions established, 0 paths, 0 open alerts");
    for _ in 0..3 {
        assert_eq!(next(), "WATCHDOG=1");
    }
    let mut last = 0;
    for _ in 0..2 {
        process.signal("HUP");
        let message = other();
        let (first, rest) = message.split_once('\n').unwrap();
        let at: u64 = rest.split('\n').next().unwrap().strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!(first == "RELOADING=1" && at > last, "{message}");
        last = at;
        assert!(other().starts_with("READY=1\n"));
    }
    process.signal("TERM");
    assert!(other().starts_with("STOPPING=1\n"));
    assert!(process.child.wait().unwrap().success());
}
