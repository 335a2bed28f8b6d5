//! Sinks at work against a receiver that is well, away, slow, busy or not pleased; and over restarts, with real journals.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use ribwatch::{
    alert::{Change, Why},
    app::sinks::Sinks,
    detect::{News, Report},
    io::clock::Clock,
    sink::{
        Outcome, Parcel, Receiver as Who, Retry, Secret, SinkSettings,
        driver::{Sink, Surroundings},
        transport::Transport,
        webhook::{self, Auth},
    },
};
use tokio::{net::TcpListener, sync::mpsc};

use super::{
    alerts::{alert, change, settings},
    receiver::{Answer, Receiver},
};

fn hook(url: String) -> SinkSettings {
    let retry = Retry { first: Duration::from_millis(5), max: Duration::from_millis(20), ..Retry::default() };
    SinkSettings {
        retry,
        ..settings(Who::Webhook(webhook::Settings {
            url: Secret(url),
            method: "POST",
            auth: Auth::None,
            headers: Vec::new(),
            secret: None,
            content_type: "application/json".into(),
            template: None,
        }))
    }
}

/// A sink without a disk, and what it reports of itself.
fn start(settings: SinkSettings) -> (Sink, mpsc::UnboundedReceiver<Report>) {
    let clock = Clock::start();
    let (sender, reports) = mpsc::unbounded_channel();
    let around = Surroundings {
        now: Arc::new(move || clock.now()),
        report: Arc::new(move |report| drop(sender.send(report))),
        seed: 1,
        last_seq: 0,
    };
    (Sink::start(settings, None, around).expect("certificates are not needed"), reports)
}

fn opened(seq: u64) -> Arc<Change> {
    change(seq, Why::Opened, alert(&format!("a{seq}")))
}

#[tokio::test]
async fn a_delivery_arrives_and_is_counted() {
    let mut receiver = Receiver::start().await;
    let (sink, _) = start(hook(receiver.url("/in?x=1")));
    sink.tell(&opened(1));
    let got = receiver.next().await;
    assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/in"));
    assert_eq!(got.header("webhook-id"), "a1-1");
    assert_eq!(got.header("user-agent"), format!("ribwatch/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(got.json()["id"], "a1");
    sink.stop();
    sink.ended().await;
    let view = sink.view();
    assert_eq!((view.sent, view.retried, view.queue_len), (1, 0, 0));
    assert_eq!(view.latency.count(), 1);
}

#[tokio::test]
async fn a_receiver_that_fails_and_then_heals_gets_everything_once_more() {
    let mut receiver = Receiver::start().await;
    receiver.will_answer([Answer::Status(500, "oops"), Answer::RetryAfter(503, 0), Answer::Status(401, "who?")]);
    let (sink, _) = start(hook(receiver.url("/")));
    sink.tell(&opened(1));
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(receiver.next().await.header("webhook-id").to_owned());
    }
    assert_eq!(ids, ["a1-1"; 4], "each attempt has the id of the delivery");
    sink.stop();
    sink.ended().await;
    assert_eq!((sink.view().sent, sink.view().retried), (1, 3));
}

#[tokio::test]
async fn what_is_refused_does_not_hold_up_the_rest() {
    let mut receiver = Receiver::start().await;
    receiver.will_answer([Answer::Status(400, "bad")]);
    let (sink, _) = start(hook(receiver.url("/")));
    sink.tell(&change(1, Why::Opened, alert("a")));
    sink.tell(&change(2, Why::Changed, alert("a")));
    assert_eq!(receiver.next().await.json()["seq"], 1);
    assert_eq!(receiver.next().await.json()["seq"], 2);
    sink.stop();
    sink.ended().await;
    assert_eq!((sink.view().sent, sink.view().dead), (1, 1));
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_given_up_for_now() {
    let mut receiver = Receiver::start().await;
    receiver.will_answer([Answer::Never]);
    let (sink, _) = start(SinkSettings { timeout: Duration::from_millis(50), ..hook(receiver.url("/")) });
    sink.tell(&opened(1));
    receiver.next().await;
    receiver.next().await;
    sink.stop();
    sink.ended().await;
    assert_eq!((sink.view().sent, sink.view().retried), (1, 1));
}

#[tokio::test]
async fn a_receiver_that_is_away_is_reported_and_gets_everything_in_order_when_it_is_back() {
    // A port that was free a moment ago, and is ours again below.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let settings = SinkSettings { down_after: Duration::from_millis(30), ..hook(format!("http://{address}/")) };
    let (sink, mut reports) = start(settings);
    for (seq, why) in [(1, Why::Opened), (2, Why::Changed), (3, Why::Resolved)] {
        sink.tell(&change(seq, why, alert("a")));
    }
    let News::Stands(finding) = reports.recv().await.unwrap().news else { panic!("it is down") };
    assert_eq!(&*finding.key.subject, "sink noc");
    assert!(sink.view().failing_since.is_some());
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    let mut receiver = Receiver::on(socket.listen(16).unwrap());
    for seq in 1..=3 {
        assert_eq!(receiver.next().await.json()["seq"], seq);
    }
    assert!(matches!(reports.recv().await.unwrap().news, News::Cleared { .. }));
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let receiver = Receiver::start().await;
    receiver.will_answer([Answer::Status(302, "elsewhere")]);
    let settings = hook(receiver.url("/"));
    let parcel = Parcel { change: opened(1), before: None };
    let outcome = Transport::new(&settings).unwrap().deliver(&settings, &[parcel], Clock::start().now()).await;
    let why = "HTTP 302: elsewhere (redirections are not followed)".to_owned();
    assert_eq!(outcome, Outcome::Later { why, after: None });
}

/// Runs a part of a story beside sinks, which bring a runtime of their own.
fn beside<T>(part: impl Future<Output = T>) -> T {
    static RUNTIME: Mutex<Option<tokio::runtime::Runtime>> = Mutex::new(None);
    let handle = {
        let mut runtime = RUNTIME.lock().expect("no panic");
        let runtime = runtime.get_or_insert_with(|| {
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
        });
        runtime.handle().clone()
    };
    handle.block_on(part)
}

fn start_all(settings: &[SinkSettings], dir: &Path, last_seq: u64) -> Sinks {
    Sinks::start(settings, Some(dir), Clock::start(), Arc::new(move || last_seq), Arc::new(drop))
        .expect("a folder of our own")
}

#[test]
fn what_waits_outlives_the_process_and_what_was_told_is_not_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut receiver = beside(Receiver::start());
    receiver.will_answer([Answer::Status(200, "ok"), Answer::Status(500, "down")]);
    let mut settings = hook(receiver.url("/"));
    // After the first failure there is no second attempt in this life.
    settings.retry.first = Duration::from_secs(3600);
    settings.retry.max = Duration::from_secs(3600);
    let sinks = start_all(std::slice::from_ref(&settings), dir.path(), 0);
    assert_eq!(sinks.resume_after(), None, "it begins with what happens next");
    sinks.tell(&change(1, Why::Opened, alert("a")));
    assert_eq!(beside(receiver.next()).json()["seq"], 1);
    sinks.tell(&change(2, Why::Changed, alert("a")));
    assert_eq!(beside(receiver.next()).json()["seq"], 2);
    while sinks.views()[0].failing_since.is_none() {
        std::thread::yield_now();
    }
    sinks.tell(&change(3, Why::Opened, alert("b")));
    sinks.tell(&change(4, Why::Resolved, alert("a")));
    sinks.stop();

    // The receiver came back elsewhere.
    let mut receiver = beside(Receiver::start());
    if let Who::Webhook(webhook) = &mut settings.receiver {
        webhook.url = Secret(receiver.url("/"));
    }
    let sinks = start_all(&[settings], dir.path(), 4);
    assert_eq!(sinks.resume_after(), Some(4));
    let mut seqs: Vec<u64> = (0..3).map(|_| beside(receiver.next()).json()["seq"].as_u64().unwrap()).collect();
    let of_a: Vec<u64> = seqs.iter().copied().filter(|seq| *seq != 3).collect();
    assert_eq!(of_a, [2, 4], "in order for each alert");
    seqs.sort_unstable();
    assert_eq!(seqs, [2, 3, 4]);
    sinks.stop();
    assert_eq!(sinks.views()[0].queue_len, 0);
    assert_eq!(sinks.views()[0].told_open, 1);
}

#[test]
fn a_reload_keeps_sinks_that_did_not_change_and_hands_queues_to_those_that_did() {
    let dir = tempfile::tempdir().unwrap();
    let (mut steady, mut moved) = (beside(Receiver::start()), beside(Receiver::start()));
    moved.will_answer([Answer::Status(500, "down")]);
    let named = |name: &str, url: String| SinkSettings { name: name.into(), ..hook(url) };
    let mut away = named("moved", moved.url("/"));
    // What it could not send waits.
    away.retry.first = Duration::from_secs(3600);
    away.retry.max = Duration::from_secs(3600);
    let unchanged = named("steady", steady.url("/"));
    let sinks = start_all(&[away.clone(), unchanged.clone()], dir.path(), 0);
    sinks.tell(&opened(1));
    assert_eq!(beside(steady.next()).json()["seq"], 1);
    assert_eq!(beside(moved.next()).json()["seq"], 1);
    while sinks.views()[0].failing_since.is_none() {
        std::thread::yield_now();
    }

    let mut elsewhere = beside(Receiver::start());
    let new = named("moved", elsewhere.url("/"));
    sinks.reconfigure(&[unchanged.clone(), new, named("third", steady.url("/third"))]).expect("nothing to read");
    sinks.tell(&opened(2));
    let mut told: Vec<String> = (0..2).map(|_| beside(steady.next())).map(|got| got.path).collect();
    told.sort_unstable();
    assert_eq!(told, ["/", "/third"], "the first is not told again of what it knows, the new one begins here");
    let mut seqs: Vec<u64> = (0..2).map(|_| beside(elsewhere.next()).json()["seq"].as_u64().unwrap()).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 2], "what waited goes to the new place");

    let bad = SinkSettings { ca_file: Some(dir.path().join("none.pem")), ..named("bad", "https://192.0.2.1/".into()) };
    assert!(sinks.reconfigure(&[bad]).unwrap_err().contains("[[sink]] bad"));
    assert_eq!(sinks.views().len(), 3, "nothing was changed");
    sinks.reconfigure(&[unchanged]).expect("one goes on");
    sinks.tell(&opened(3));
    assert_eq!(beside(steady.next()).json()["seq"], 3);
    sinks.stop();
    assert_eq!(sinks.views().iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), ["steady"]);
}

#[test]
fn dead_letters_are_kept_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut receiver = beside(Receiver::start());
    receiver.will_answer([Answer::Status(422, "no such field")]);
    let sinks = start_all(&[hook(receiver.url("/"))], dir.path(), 0);
    sinks.tell(&opened(1));
    sinks.tell(&change(2, Why::Resolved, alert("a1")));
    beside(receiver.next());
    beside(receiver.next());
    sinks.stop();
    let letters = std::fs::read_to_string(dir.path().join("sink-noc.dead.jsonl")).unwrap();
    let letter: serde_json::Value = serde_json::from_str(letters.trim()).expect("one letter");
    assert_eq!(letter["why"], "HTTP 422: no such field");
    assert_eq!(letter["change"]["alert"]["id"], "a1");
}
