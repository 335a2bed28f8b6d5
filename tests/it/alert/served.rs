//! The desk's thread and all that leads to it: reports from another thread, gRPC, the command line, HTTP, metrics, and a
//! state directory that survives being left behind at any moment.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
};

use ribwatch::{
    alert::{ChangeSource, Delivery, Filter, Nobody, Service, Settings},
    app::alerts::Alerts,
    cli,
    io::clock::Clock,
    metrics,
    view::Backend,
    web,
};
use serde_json::Value;
use tokio::{net::TcpListener, runtime::Runtime};

use super::*;
use crate::fake::Fake;

/// A desk that is served, and a shell beside it.
struct Served {
    alerts: Alerts,
    clock: Clock,
    api: String,
    http: SocketAddr,
    runtime: Runtime,
}

/// What a command left behind: exit code, what it printed, what it complained of.
type Left = (u8, String, String);

impl Served {
    fn new() -> Self {
        Self::with(Settings::default(), None)
    }

    fn with(settings: Settings, dir: Option<&Path>) -> Self {
        let clock = Clock::start();
        let alerts = Alerts::start(settings, clock, dir).expect("it starts");
        let runtime = Runtime::new().expect("a runtime");
        let backend: Arc<dyn Backend> = Fake::new(16);
        let (grpc, pages) = runtime.block_on(async {
            let bind = || TcpListener::bind("127.0.0.1:0");
            (bind().await.expect("a port"), bind().await.expect("a port"))
        });
        let (api, http) = (grpc.local_addr().unwrap().to_string(), pages.local_addr().unwrap());
        let service: Arc<dyn Service> = Arc::new(alerts.clone());
        runtime.spawn(crate::door::serve_grpc(grpc, backend.clone(), service.clone()));
        let (measured, counted) = (backend.clone(), service.clone());
        let text = Arc::new(move || metrics::text(&*measured, &*counted));
        runtime.spawn(crate::door::serve_http(pages, web::Rooms { backend, alerts: service, metrics: text }));
        Self { alerts, clock, api, http, runtime }
    }

    /// A detector speaks; returns once what it said was looked at and is seen by readers.
    fn report(&self, news: impl IntoIterator<Item = News>) {
        let at = self.clock.now();
        (self.alerts.reporter())(news.into_iter().map(|news| Report { at, news }).collect());
        // Commands are looked at behind the reports that came before them.
        let _ = self.command(Command::Unmute { id: "none".to_owned() });
    }

    fn stands(&self, finding: Finding) {
        self.report([News::Stands(Box::new(finding))]);
    }

    fn command(&self, command: Command) -> Result<Done, Refusal> {
        self.runtime.block_on(self.alerts.command(command))
    }

    fn next(&self, source: &mut Box<dyn ChangeSource>) -> Option<Delivery> {
        self.runtime.block_on(source.next())
    }

    fn run(&self, words: &[&str]) -> Left {
        let arguments: Vec<&str> = ["ribwatch", "--api", &self.api].into_iter().chain(words.iter().copied()).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = cli::execute(&arguments, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    /// The JSON lines of a command that succeeds.
    #[track_caller]
    fn json(&self, words: &[&str]) -> Vec<Value> {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        let (code, out, err) = self.run(&words);
        assert_eq!((code, &*err), (0, ""));
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Body of `GET path`.
    fn get(&self, path: &str) -> String {
        let mut connection = TcpStream::connect(self.http).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").expect("a body").1.to_owned()
    }

    fn list(&self) -> Vec<Arc<Alert>> {
        self.alerts.list(&Filter::default(), "", 1000).unwrap().alerts
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.alerts.stop();
    }
}

#[test]
fn the_command_line_shows_alerts_with_the_fields_of_the_contract() {
    let served = Served::new();
    assert_eq!(served.run(&["alert"]), (0, "no alerts\n".to_owned(), String::new()));
    served.stands(hijack("192.0.2.0/24"));
    served.stands(leaked(1));
    let all = served.json(&["alert"]);
    assert_eq!(all, served.json(&["alert", "list"]));
    assert_eq!(all.len(), 2);
    for name in
        "id kind severity state prefix asns neighbors first_seen last_seen resolved_at summary why evidence".split(' ')
    {
        assert!(all.iter().all(|alert| alert.get(name).is_some()), "{name}");
    }
    let hijacks = served.json(&["alert", "--kind", "origin-hijack", "--severity", "critical", "--asn", "AS64511"]);
    assert_eq!(hijacks.len(), 1);
    assert_eq!(hijacks[0]["asns"], serde_json::json!({"expected": [64500], "observed": [64511]}));
    assert_eq!(hijacks[0]["resolved_at"], Value::Null);
    let leaks = served.json(&["alert", "list", "--prefix", "10.0.0.0/8", "--state", "open", "--neighbor", "edge-1"]);
    assert_eq!(leaks[0]["asns"], serde_json::json!({"leaker": 64497}));
    assert_eq!(served.json(&["alert", "--limit", "1"]).len(), 1);
    assert!(served.json(&["alert", "--state", "resolved"]).is_empty());

    let id = hijacks[0]["id"].as_str().unwrap();
    assert_eq!(served.json(&["alert", "show", &id[..5]]), hijacks);
    let (code, table, _) = served.run(&["alert"]);
    assert!(code == 0 && table.contains("192.0.2.0/24 from AS64511") && table.contains("SEVERITY"), "{table}");
    let (_, shown, _) = served.run(&["alert", "show", id]);
    for part in ["AS64511 may not.", "observed    AS64511", "+40 rpki_invalid, -10 inferred = 30", "64496 64511"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let (code, _, err) = served.run(&["alert", "show", "nothing"]);
    assert!(code == 1 && err.contains("no alert has the id nothing"), "{err}");
    assert_eq!(served.run(&["alert", "--kind", "nonsense"]).0, 2);
    assert_eq!(served.run(&["alert", "--prefix", "192.0.2.0"]).0, 2);
}

#[test]
fn people_take_comment_and_mute_from_the_command_line() {
    let served = Served::new();
    served.stands(hijack("192.0.2.0/24"));
    let id = served.list()[0].id.to_string();
    let (code, out, _) = served.run(&["alert", "ack", &id, "--note", "calling them", "--author", "ann"]);
    assert_eq!((code, &*out), (0, &*format!("{id} acknowledged: 192.0.2.0/24 from AS64511\n")));
    let commented = served.json(&["alert", "comment", &id, "they know", "--author", "bob"]);
    assert_eq!((&commented[0]["state"], &commented[0]["acknowledged_by"]), (&"acknowledged".into(), &"ann".into()));
    assert_eq!(commented[0]["comments"][1]["text"], "they know");
    assert_eq!(served.json(&["alert", "unack", &id, "--author", "ann"])[0]["state"], "open");

    assert_eq!(served.run(&["alert", "mutes"]).1, "nothing is muted\n");
    let mute = ["alert", "mute", "--kind", "origin-hijack", "--for", "2h", "--reason", "tests", "--author", "ann"];
    let muted = served.json(&mute);
    assert_eq!((&muted[0]["kinds"], &muted[0]["reason"]), (&serde_json::json!(["origin-hijack"]), &"tests".into()));
    assert_eq!(served.json(&["alert", "mutes"]), muted);
    assert!(served.run(&["alert"]).1.contains("open, muted"));
    let (code, out, _) = served.run(&["alert", "unmute", muted[0]["id"].as_str().unwrap()]);
    assert_eq!((code, &*out), (0, "1 mute ended\n"));
    assert_eq!(served.json(&["alert", "show", &id])[0]["muted"], Value::Null);

    assert_eq!(served.run(&["alert", "mute", "--for", "2h", "--reason", "r", "--author", "ann"]).0, 2, "of what?");
    assert_eq!(served.run(&["alert", "mute", &id, "--for", "soon", "--reason", "r"]).0, 2);
    assert_eq!(served.run(&["alert", "mute", &id, "--for", "2h"]).0, 2, "why?");
    assert_eq!(served.run(&["alert", "unmute", "nothing"]).0, 1);
    assert_eq!(served.run(&["alert", "ack", "nothing", "--author", "ann"]).0, 1);
}

#[test]
fn a_watcher_goes_on_where_it_was() {
    let served = Served::new();
    served.stands(hijack("192.0.2.0/24"));
    served.stands(grave(leaked(1), Severity::Info));
    served.stands(grave(leaked(1), Severity::Critical));
    let told = |lines: Vec<Value>| -> Vec<(u64, String)> {
        lines.iter().map(|line| (line["seq"].as_u64().unwrap(), line["why"].as_str().unwrap().to_owned())).collect()
    };
    let all = served.json(&["alert", "watch", "--from", "0", "--count", "3"]);
    assert_eq!(all[0]["alert"]["kind"], "origin-hijack");
    let word = str::to_owned;
    assert_eq!(told(all), [(1, word("opened")), (2, word("opened")), (3, word("changed"))]);
    assert_eq!(told(served.json(&["alert", "watch", "--from", "2", "--count", "1"])), [(3, word("changed"))]);
    let leaks = served.json(&["alert", "watch", "--from", "0", "--kind", "route-leak", "--count", "2"]);
    assert_eq!(told(leaks), [(2, word("opened")), (3, word("changed"))]);
    let (code, lines, _) = served.run(&["alert", "watch", "--from", "2", "--count", "1"]);
    assert!(code == 0 && lines.contains("changed") && lines.contains("10.0.1.0/24 leaked"), "{lines}");
}

#[test]
fn a_watcher_that_is_too_late_is_told_what_it_missed() {
    let served = Served::with(Settings { keep_changes: 3, ..Settings::default() }, None);
    for n in 0..10 {
        served.stands(hijack(&format!("192.0.{n}.0/24")));
    }
    let mut source = served.alerts.subscribe_from(4);
    assert_eq!(served.next(&mut source), Some(Delivery::Gap { missed: 5, next: 8 }));
    let seqs = (0..3).map(|_| match served.next(&mut source) {
        Some(Delivery::Change(change)) => change.seq,
        other => panic!("{other:?}"),
    });
    assert_eq!(seqs.collect::<Vec<_>>(), [8, 9, 10]);
    let mut ahead = served.alerts.subscribe_from(500);
    assert_eq!(served.next(&mut ahead), Some(Delivery::Gap { missed: 501, next: 8 }), "it heard another desk");
    let mut last = served.alerts.watch(None);
    served.alerts.stop();
    assert_eq!(served.next(&mut last), None);
    assert_eq!(served.command(Command::Unmute { id: "none".to_owned() }), Err(Refusal::Stopping));
}

#[test]
fn lists_come_in_pages_the_living_first() {
    let served = Served::new();
    for n in 0..7 {
        let finding = held(hijack(&format!("192.0.{n}.0/24")), secs(0), secs(0));
        served.stands(finding.clone());
        if n % 2 == 0 {
            served.report([News::Cleared { key: finding.key, how: "gone".to_owned() }]);
        }
    }
    let whole = served.list();
    let states: Vec<bool> = whole.iter().map(|alert| alert.is_live()).collect();
    assert_eq!(states, [true, true, true, false, false, false, false]);
    assert!(whole[..3].is_sorted_by_key(|alert| std::cmp::Reverse(alert.first_seen)));
    let (mut paged, mut next) = (Vec::new(), String::new());
    loop {
        let page = served.alerts.list(&Filter::default(), &next, 2).unwrap();
        paged.extend(page.alerts);
        next = page.next;
        if next.is_empty() {
            break;
        }
    }
    assert_eq!(paged, whole);
    assert!(matches!(served.alerts.list(&Filter::default(), "x", 2), Err(Refusal::Invalid(_))));
}

#[test]
fn http_and_metrics_say_the_same() {
    let served = Served::new();
    served.stands(hijack("192.0.2.0/24"));
    let page: Value = serde_json::from_str(&served.get("/api/v1/alerts?state=open&severity=warning")).unwrap();
    assert_eq!((&page["alerts"], &page["seq"]), (&Value::Array(served.json(&["alert"])), &1.into()));
    let id = served.list()[0].id.to_string();
    let one: Value = serde_json::from_str(&served.get(&format!("/api/v1/alerts/{id}"))).unwrap();
    assert_eq!(one, page["alerts"][0]);
    assert!(served.get("/api/v1/alerts?nonsense=1").contains("no parameter"));
    assert_eq!(served.get("/api/v1/mutes"), "{\"mutes\":[]}\n");
    let text = served.get("/metrics");
    for line in [
        "ribwatch_alerts{kind=\"origin-hijack\",severity=\"critical\",state=\"open\"} 1",
        "ribwatch_alert_changes_total{why=\"opened\",told=\"yes\"} 1",
        "ribwatch_alert_reports_total 1",
    ] {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn nobody_serves_an_empty_desk() {
    let done = Nobody.command(Command::Unmute { id: "none".to_owned() });
    assert!(matches!(Runtime::new().unwrap().block_on(done), Err(Refusal::NotNow(_))));
}

#[test]
fn what_a_watcher_heard_is_on_the_disk_when_the_process_is_killed() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = Settings { keep_changes: 50, ..Settings::default() };
    let served = Served::with(settings.clone(), Some(dir.path()));
    let mut source = served.alerts.watch(None);
    served.stands(hijack("192.0.2.0/24"));
    served.stands(leaked(1));
    for _ in 0..2 {
        assert!(matches!(served.next(&mut source), Some(Delivery::Change(_))));
    }
    // As if it were killed here: the file as it is, without an orderly end.
    fs::copy(dir.path().join("alerts.journal"), copy.path().join("alerts.journal")).unwrap();
    let before = served.list();

    let again = Served::with(settings, Some(copy.path()));
    assert_eq!(again.list(), before);
    let mut source = again.alerts.subscribe_from(0);
    again.stands(leaked(1));
    again.report([News::Settled]);
    let told = (0..3).map(|_| match again.next(&mut source) {
        Some(Delivery::Change(change)) => (change.seq, change.why),
        other => panic!("{other:?}"),
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(1, Why::Opened), (2, Why::Opened), (3, Why::Resolved)], "seen again is no news, missed is over");
}

#[test]
fn a_second_daemon_does_not_take_the_same_directory() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::with(Settings::default(), Some(dir.path()));
    let second = Alerts::start(Settings::default(), served.clock, Some(dir.path()));
    assert!(second.is_err_and(|why| why.contains("in use")));
}
