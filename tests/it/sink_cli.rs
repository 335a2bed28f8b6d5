//! Sinks from outside: `ribwatch alert test` as in a shell, and a daemon that has some.

use ribwatch::{app::Daemon, cli, config::Config, metrics};
use tokio::runtime::Runtime;

use crate::sink::receiver::{Answer, Receiver};

const ROUTER: &str = "[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\nhostname = \"rtr-1\"\nlisten = []\n\
                      [api]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\n";

/// A receiver, and a configuration with a sink `noc` that leads to it.
struct Shell {
    runtime: Runtime,
    receiver: Receiver,
    file: tempfile::NamedTempFile,
}

impl Shell {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let receiver = runtime.block_on(Receiver::start());
        let file = tempfile::NamedTempFile::new().unwrap();
        let url = receiver.url("/in");
        let sink = format!("{ROUTER}[[sink]]\nname = \"noc\"\ntype = \"webhook\"\nurl = \"{url}\"\n");
        std::fs::write(file.path(), sink).unwrap();
        Self { runtime, receiver, file }
    }

    /// Exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (u8, String, String) {
        let path = self.file.path().display().to_string();
        let arguments: Vec<&str> =
            ["ribwatch", "alert", "test"].iter().chain(arguments).chain(&["-c", &path]).copied().collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = cli::execute(&arguments, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }
}

#[test]
fn a_test_alert_opens_and_resolves_and_the_answers_are_printed() {
    let mut shell = Shell::new();
    let (code, out, err) = shell.run(&["noc"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "noc (webhook): opened accepted: HTTP 200: ok\nnoc (webhook): resolved accepted: HTTP 200: ok\n");
    let bodies: Vec<_> = (0..2).map(|_| shell.runtime.block_on(shell.receiver.next()).json()).collect();
    assert_eq!((&bodies[0]["event"], &bodies[1]["event"]), (&"opened".into(), &"resolved".into()));
    assert_eq!((&bodies[0]["test"], &bodies[0]["source"]), (&true.into(), &"rtr-1".into()));
    assert_eq!(bodies[0]["id"], bodies[1]["id"]);
    assert!(bodies[0]["summary"].as_str().unwrap().starts_with("TEST: "));
}

#[test]
fn a_refusal_is_printed_and_the_answer_is_no() {
    let shell = Shell::new();
    shell.receiver.will_answer([Answer::Status(422, "no such field"), Answer::Status(401, "who are you")]);
    let (code, out, err) = shell.run(&["noc", "--json"]);
    assert_eq!(code, 1);
    let line: serde_json::Value = serde_json::from_str(&out).expect("one line: the end is not tried");
    assert_eq!((&line["outcome"], &line["answer"]), (&"refused".into(), &"HTTP 422: no such field".into()));
    assert_eq!(err, "ribwatch: sink noc: the test alert was not accepted\n");
    let (code, out, _) = shell.run(&["noc"]);
    assert_eq!((code, out.as_str()), (1, "noc (webhook): opened failed: HTTP 401: who are you\n"));
    let (code, _, err) = shell.run(&["nic"]);
    assert_eq!(code, 2);
    assert!(err.contains("no sink is called \"nic\"") && err.contains("it has noc"), "{err}");
}

#[test]
fn a_daemon_with_sinks_shows_them_in_its_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "{ROUTER}[state]\ndir = {:?}\n[[sink]]\nname = \"archive\"\ntype = \"jsonl\"\npath = {:?}\n",
        dir.path().display().to_string(),
        dir.path().join("alerts.jsonl").display().to_string(),
    );
    let daemon = Daemon::start(Config::parse("f.toml", &text).unwrap()).unwrap();
    let metrics = metrics::text(&*daemon.backend(), &ribwatch::alert::Nobody);
    for line in [
        "ribwatch_sink_up{sink=\"archive\",type=\"jsonl\"} 1",
        "ribwatch_sink_sent_total{sink=\"archive\",type=\"jsonl\"} 0",
        "ribwatch_sink_queue_length{sink=\"archive\",type=\"jsonl\"} 0",
        "ribwatch_sink_latency_seconds_bucket{sink=\"archive\",type=\"jsonl\",le=\"0.005\"} 0",
        "ribwatch_sink_latency_seconds_bucket{sink=\"archive\",type=\"jsonl\",le=\"+Inf\"} 0",
        "ribwatch_sink_latency_seconds_sum{sink=\"archive\",type=\"jsonl\"} 0",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line}\n{metrics}");
    }
    daemon.stop();
    assert!(dir.path().join("sink-archive.journal").exists());
}
