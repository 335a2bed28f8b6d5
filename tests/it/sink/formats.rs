//! Each kind of sink against a receiver that checks what the real one checks, and refuses what it would refuse.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ribwatch::{
    alert::{Change, Why},
    detect::Severity,
    io::clock::Clock,
    sink::{
        Outcome, Parcel, Receiver as Who, Secret, SinkSettings, alertmanager,
        email::{self, Mailbox, Protection},
        jsonl, pagerduty, slack, syslog,
        transport::Transport,
        webhook::{self, Auth},
    },
    types::Timestamp,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpListener, UdpSocket},
};

use super::{
    alerts::{START, alert, change, settings},
    receiver::Receiver,
};

/// Opened, acknowledged, resolved.
fn life() -> [Arc<Change>; 3] {
    [
        change(1, Why::Opened, alert("a1")),
        change(2, Why::Acknowledged, alert("a1")),
        change(3, Why::Resolved, alert("a1")),
    ]
}

async fn send(transport: &Transport, settings: &SinkSettings, change: &Arc<Change>, now: Timestamp) -> Outcome {
    let parcel = Parcel { change: Arc::clone(change), before: Some(Severity::Critical) };
    transport.deliver(settings, &[parcel], now).await
}

async fn send_all(settings: &SinkSettings) -> Vec<Outcome> {
    let transport = Transport::new(settings).expect("certificates are fine");
    let mut outcomes = Vec::new();
    for change in life() {
        outcomes.push(send(&transport, settings, &change, Clock::start().now()).await);
    }
    outcomes
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

#[tokio::test]
async fn pagerduty_sees_one_incident_from_its_trigger_to_its_end() {
    let mut receiver = Receiver::start().await;
    let url = Secret(receiver.url("/v2/enqueue"));
    let settings = settings(Who::PagerDuty(pagerduty::Settings { routing_key: Secret("R".repeat(32)), url }));
    assert!(send_all(&settings).await.iter().all(accepted));
    let mut incidents: BTreeMap<String, &str> = BTreeMap::new();
    for (action, before, after) in [
        ("trigger", None, "triggered"),
        ("acknowledge", Some("triggered"), "acknowledged"),
        ("resolve", Some("acknowledged"), "resolved"),
    ] {
        let got = receiver.next().await;
        assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/v2/enqueue"));
        assert_eq!(got.header("content-type"), "application/json");
        let event = got.json();
        assert_eq!(event["routing_key"].as_str().map(str::len), Some(32));
        assert_eq!(event["event_action"], action);
        let key = event["dedup_key"].as_str().expect("a key").to_owned();
        assert!(!key.is_empty() && key.chars().count() <= 255);
        assert_eq!(incidents.insert(key, after), before, "one key for one incident");
        if action == "trigger" {
            let payload = &event["payload"];
            for required in ["summary", "source", "severity"] {
                assert!(payload[required].as_str().is_some_and(|text| !text.is_empty()), "{required}");
            }
            assert!(["critical", "error", "warning", "info"].contains(&payload["severity"].as_str().unwrap()));
            assert_eq!(payload["timestamp"], "2025-11-24T16:00:00Z");
            assert!(payload["custom_details"].is_object());
        }
    }
    assert_eq!(incidents.into_values().collect::<Vec<_>>(), ["resolved"]);
}

#[tokio::test]
async fn slack_gets_messages_that_it_takes() {
    let mut receiver = Receiver::start().await;
    let url = Secret(receiver.url("/services/T0/B0/x"));
    let settings = settings(Who::Slack(slack::Settings { url }));
    assert!(send_all(&settings).await.iter().all(accepted));
    for word in ["CRITICAL", "ACKNOWLEDGED", "RESOLVED"] {
        let message = receiver.next().await.json();
        assert!(message["text"].as_str().expect("a text").starts_with(word), "{message}");
        let blocks = message["blocks"].as_array().expect("blocks");
        assert!((1..=50).contains(&blocks.len()));
        for block in blocks {
            let length = |value: &Value| value["text"].as_str().map_or(0, |text| text.chars().count());
            match block["type"].as_str() {
                Some("header") => assert!((1..=150).contains(&length(&block["text"]))),
                Some("section") => {
                    let fields = block["fields"].as_array().map_or(&[][..], Vec::as_slice);
                    assert!(fields.len() <= 10 && fields.iter().all(|field| (1..=2000).contains(&length(field))));
                    assert!(!fields.is_empty() || (1..=3000).contains(&length(&block["text"])));
                }
                Some("context") => assert!((1..=10).contains(&block["elements"].as_array().unwrap().len())),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// What Alertmanager's own validation asks (`Alert.Validate`, `LabelSet.Validate`).
fn check_alert(alert: &Value) {
    let name = |name: &String| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    for part in ["labels", "annotations"] {
        let set = alert[part].as_object().expect("a set");
        assert!(set.keys().all(name) && set.values().all(Value::is_string), "{part} {set:?}");
    }
    assert!(alert["labels"]["alertname"].as_str().is_some_and(|name| !name.is_empty()));
    let (starts, ends) = (alert["startsAt"].as_str().unwrap(), alert["endsAt"].as_str().unwrap());
    assert!(starts <= ends, "{starts} {ends}");
}

#[tokio::test]
async fn alertmanager_gets_one_identity_from_open_to_resolved() {
    let mut receiver = Receiver::start().await;
    let settings = settings(Who::Alertmanager(alertmanager::Settings {
        url: Secret(receiver.url(alertmanager::PATH)),
        auth: Auth::Bearer(Secret("t0ken".into())),
        interval: Duration::from_secs(60),
        labels: vec![("team".into(), "noc".into())],
    }));
    let transport = Transport::new(&settings).unwrap();
    let now = START + Duration::from_secs(30);
    let mut identities = Vec::new();
    for change in life() {
        assert!(accepted(&send(&transport, &settings, &change, now).await));
        let got = receiver.next().await;
        assert_eq!((got.method.as_str(), got.path.as_str()), ("POST", "/api/v2/alerts"));
        assert_eq!(got.header("authorization"), "Bearer t0ken");
        let alerts = got.json();
        let [alert] = alerts.as_array().expect("a list").as_slice() else { panic!("{alerts}") };
        check_alert(alert);
        let ends = if change.why == Why::Resolved { "2025-11-24T16:00:03Z" } else { "2025-11-24T16:04:30Z" };
        assert_eq!(alert["endsAt"], ends);
        identities.push(alert["labels"].to_string());
    }
    identities.dedup();
    assert_eq!(identities.len(), 1);
}

#[tokio::test]
async fn a_signed_webhook_is_verified_by_the_rules_of_standard_webhooks() {
    let mut receiver = Receiver::start().await;
    let secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
    let settings = settings(Who::Webhook(webhook::Settings {
        url: Secret(receiver.url("/hook")),
        method: "POST",
        auth: Auth::None,
        headers: vec![("x-team".into(), Secret("noc".into()))],
        secret: Some(secret.clone()),
        content_type: "application/json".into(),
        template: None,
    }));
    assert!(send_all(&settings).await.iter().all(accepted));
    let mut seen = Vec::new();
    for event in ["opened", "acknowledged", "resolved"] {
        let got = receiver.next().await;
        let timestamp: u64 = got.header("webhook-timestamp").parse().expect("seconds");
        let expected = webhook::sign(&secret, got.header("webhook-id"), timestamp, &got.body);
        assert_eq!(got.header("webhook-signature"), expected);
        assert_eq!(got.header("x-team"), "noc");
        let body = got.json();
        assert_eq!((&body["event"], &body["id"]), (&event.into(), &"a1".into()));
        seen.push(got.header("webhook-id").to_owned());
    }
    assert_eq!(seen, ["a1-1", "a1-2", "a1-3"]);
}

fn syslog_settings(address: String, transport: syslog::Transport) -> SinkSettings {
    settings(Who::Syslog(syslog::Settings { address, transport, facility: 3, enterprise_id: 32473 }))
}

/// The parts of a line, as RFC 5424 §6 cuts them: priority, time, host, application, process, kind, data, text.
fn parts(line: &str) -> Vec<String> {
    let (priority, rest) = line.strip_prefix('<').and_then(|rest| rest.split_once('>')).expect("a priority");
    let rest = rest.strip_prefix("1 ").expect("version 1");
    let mut words = rest.splitn(6, ' ').map(str::to_owned).collect::<Vec<_>>();
    let data_and_text = words.pop().expect("data");
    // The element ends with the first `]` that has no backslash before it.
    let mut escaped = false;
    let end = data_and_text.find(|c| {
        let ends = c == ']' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let (data, text) = data_and_text.split_at(end.expect("an end") + 1);
    words.insert(0, priority.to_owned());
    words.extend([data.to_owned(), text.trim_start().to_owned()]);
    words
}

fn check_lines(lines: &[String]) {
    // daemon is 3: 3 * 8 + 2 critical, and + 5 notice for what is over.
    for (line, (priority, event)) in lines.iter().zip([("26", "opened"), ("26", "acknowledged"), ("29", "resolved")]) {
        let parts = parts(line);
        assert_eq!(parts[0], priority);
        assert!(parts[1].starts_with("2025-11-24T16:00:0") && parts[1].ends_with('Z'), "{line}");
        assert_eq!((parts[2].as_str(), parts[3].as_str()), ("rtr-1", "ribwatch"));
        assert_eq!(parts[5], "subprefix-hijack");
        assert!(parts[6].starts_with("[ribwatch@32473 id=\"a1\" ") && parts[6].contains(&format!("event=\"{event}\"")));
        assert!(parts[7].starts_with("AS64511 announces 203.0.113.128/25"));
    }
}

#[tokio::test]
async fn syslog_over_udp_is_one_line_in_each_datagram() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let settings = syslog_settings(socket.local_addr().unwrap().to_string(), syslog::Transport::Udp);
    assert!(send_all(&settings).await.iter().all(accepted));
    let mut lines = Vec::new();
    let mut octets = [0; 4096];
    for _ in 0..3 {
        let len = socket.recv(&mut octets).await.unwrap();
        lines.push(String::from_utf8(octets[..len].to_vec()).unwrap());
    }
    check_lines(&lines);
}

/// One message of a stream, its octets counted (RFC 6587 §3.4.1).
pub async fn counted(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut count = 0;
    loop {
        match stream.read_u8().await.expect("a count") {
            b' ' => break,
            digit => count = count * 10 + usize::from(digit - b'0'),
        }
    }
    let mut octets = vec![0; count];
    stream.read_exact(&mut octets).await.expect("as many as counted");
    String::from_utf8(octets).expect("text")
}

#[tokio::test]
async fn syslog_over_tcp_counts_octets_and_finds_out_that_the_server_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = syslog_settings(listener.local_addr().unwrap().to_string(), syslog::Transport::Tcp);
    let transport = Transport::new(&settings).unwrap();
    let [opened, acknowledged, resolved] = life();
    assert!(accepted(&send(&transport, &settings, &opened, START).await));
    let (mut first, _) = listener.accept().await.unwrap();
    assert!(accepted(&send(&transport, &settings, &acknowledged, START).await));
    let mut lines = vec![counted(&mut first).await, counted(&mut first).await];
    // The server is started again; its end has reached us when ours reads it.
    drop(first);
    let outcome = loop {
        let sent = send(&transport, &settings, &resolved, START).await;
        let Ok(connected) = tokio::time::timeout(Duration::ZERO, listener.accept()).await else { continue };
        lines.push(counted(&mut connected.unwrap().0).await);
        break sent;
    };
    assert!(accepted(&outcome));
    check_lines(&lines);
}

#[tokio::test]
async fn lines_are_appended_and_a_file_that_was_moved_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.jsonl");
    let settings = settings(Who::Jsonl(jsonl::Settings { path: Some(path.clone()) }));
    assert!(send_all(&settings).await.iter().all(accepted));
    let moved = dir.path().join("alerts.jsonl.1");
    std::fs::rename(&path, &moved).unwrap();
    assert!(send_all(&settings).await.iter().all(accepted));
    for file in [&moved, &path] {
        let text = std::fs::read_to_string(file).unwrap();
        let events: Vec<Value> =
            text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object")["event"].clone()).collect();
        assert_eq!(events, ["opened", "acknowledged", "resolved"]);
    }
    let nowhere = Who::Jsonl(jsonl::Settings { path: Some(dir.path().join("no/such/folder")) });
    let nowhere = SinkSettings { receiver: nowhere, ..settings };
    assert!(send_all(&nowhere).await.iter().all(|outcome| matches!(outcome, Outcome::Later { .. })));
}

/// A server for mail that takes one message on each connection.
async fn mail_server(listener: &TcpListener) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    mail_dialogue(stream).await
}

/// What is said to a server that takes everything.
pub async fn mail_dialogue(stream: impl AsyncRead + AsyncWrite + Unpin) -> Vec<String> {
    let mut stream = BufReader::new(stream);
    let mut said = Vec::new();
    let mut reply = "220 mail.example ESMTP";
    loop {
        // Who has said QUIT does not have to listen any more.
        let _ = stream.get_mut().write_all(format!("{reply}\r\n").as_bytes()).await;
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return said;
        }
        let line = line.strip_suffix("\r\n").expect("RFC 5321 §2.3.8").to_owned();
        reply = match line.split(' ').next() {
            Some("EHLO") => "250-mail.example\r\n250 AUTH PLAIN",
            Some("AUTH") => "235 welcome",
            Some("DATA") => {
                stream.get_mut().write_all(b"354 go on\r\n").await.unwrap();
                let mut message = String::new();
                while !message.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut message).await.unwrap();
                }
                said.push(message);
                "250 queued"
            }
            Some("QUIT") => "221 bye",
            _ => "250 ok",
        };
        said.push(line);
    }
}

pub fn mail_settings(server: String, protection: Protection) -> SinkSettings {
    settings(Who::Email(email::Settings {
        server,
        protection,
        login: (protection != Protection::None).then(|| ("me".to_owned(), Secret("s3cret".to_owned()))),
        from: Mailbox::parse("ribwatch@example.net").unwrap(),
        to: vec![Mailbox::parse("noc@example.net").unwrap()],
    }))
}

#[tokio::test]
async fn mail_arrives_with_its_envelope_and_threads() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = mail_settings(listener.local_addr().unwrap().to_string(), Protection::None);
    let served = async { [mail_server(&listener).await, mail_server(&listener).await, mail_server(&listener).await] };
    let (outcomes, dialogues) = tokio::join!(send_all(&settings), served);
    assert_eq!(outcomes[0], Outcome::Accepted { answer: "250 queued".into() });
    assert!(outcomes.iter().all(accepted));
    for (said, word) in dialogues.iter().zip(["CRITICAL", "ACKNOWLEDGED", "RESOLVED"]) {
        let [hello, from, to, message, data, quit] = said.as_slice() else { panic!("{said:?}") };
        assert_eq!(hello, "EHLO example.net");
        assert_eq!((from.as_str(), to.as_str()), ("MAIL FROM:<ribwatch@example.net>", "RCPT TO:<noc@example.net>"));
        assert_eq!((data.as_str(), quit.as_str()), ("DATA", "QUIT"));
        assert!(message.contains(&format!("\r\nSubject: [ribwatch] {word}: AS64511 announces")), "{message}");
        assert!(message.contains("<a1@example.net>\r\n"), "all of one thread");
    }
}
