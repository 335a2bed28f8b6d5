//! Alerts to a real NATS server (Debian's `nats-server`), which this story starts; skipped aloud where there is none.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use async_nats::jetstream;
use ribwatch::{
    io::clock::Clock,
    sink::{
        Outcome, Parcel, Receiver as Who, Secret, SinkSettings,
        nats::{Login, Settings},
        transport::Transport,
    },
};
use tokio_stream::StreamExt as _;

use super::alerts::{alert, change, settings};
use ribwatch::alert::Why;

/// A server of our own on a free port.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// `None`: there is no such program here.
    async fn start(dir: &Path, port: &str) -> Option<Self> {
        let program = "/usr/sbin/nats-server";
        let program = if Path::new(program).exists() { program } else { "nats-server" };
        let child = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", port, "--auth", "s3cret", "-js", "-sd"])
            .arg(dir.join("store"))
            .arg("--ports_file_dir")
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // It writes down where it listens.
        let file = dir.join(format!("nats-server_{}.ports", child.id()));
        let address = loop {
            let ports: Option<serde_json::Value> =
                fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str(&text).ok());
            match ports.and_then(|ports| Some(ports["nats"][0].as_str()?.to_owned())) {
                Some(address) => break address,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        Some(Self { child, address })
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn sink(address: &str, token: &str, jetstream: bool) -> SinkSettings {
    settings(Who::Nats(Settings {
        servers: vec![address.to_owned()],
        subject: "noc.alerts".into(),
        jetstream,
        login: Login::Token(Secret(token.into())),
    }))
}

async fn deliver(settings: &SinkSettings, road: &Transport, seq: u64) -> Outcome {
    let parcel = Parcel { change: change(seq, Why::Opened, alert("a")), before: None };
    road.deliver(settings, &[parcel], Clock::start().now()).await
}

#[tokio::test]
async fn a_server_gets_each_alert_under_its_kind_and_a_stream_takes_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut server) = Server::start(dir.path(), "-1").await else {
        eprintln!("SKIPPED: no nats-server here; apt-get install nats-server");
        return;
    };
    let watcher = async_nats::ConnectOptions::with_token("s3cret".into()).connect(&server.address).await.unwrap();
    let mut messages = watcher.subscribe("noc.alerts.*").await.unwrap();
    watcher.flush().await.unwrap();

    let plain = sink(&server.address, "s3cret", false);
    let road = Transport::new(&plain).unwrap();
    let Outcome::Accepted { .. } = deliver(&plain, &road, 1).await else { panic!("not taken") };
    let message = messages.next().await.unwrap();
    let alert: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(message.subject.as_str(), format!("noc.alerts.{}", alert["kind"].as_str().unwrap()));
    assert_eq!((alert["id"].as_str(), alert["seq"].as_u64()), (Some("a"), Some(1)));
    assert_eq!(message.headers.unwrap().get("Nats-Msg-Id").unwrap().as_str(), "a-1");

    // Without a stream nobody takes it, and that is not held to be a delivery.
    let kept = sink(&server.address, "s3cret", true);
    let road_to_stream = Transport::new(&kept).unwrap();
    let Outcome::Later { why, .. } = deliver(&kept, &road_to_stream, 2).await else { panic!("nobody took it") };
    assert!(why.starts_with("no stream took noc.alerts."), "{why}");
    let stream = jetstream::stream::Config {
        name: "ALERTS".into(),
        subjects: vec!["noc.alerts.>".into()],
        ..Default::default()
    };
    jetstream::new(watcher.clone()).create_stream(stream).await.unwrap();
    let said = |outcome| match outcome {
        Outcome::Accepted { answer } => answer,
        other => panic!("{other:?}"),
    };
    assert_eq!(said(deliver(&kept, &road_to_stream, 2).await), "stream ALERTS took it as number 1");
    assert_eq!(
        said(deliver(&kept, &road_to_stream, 2).await),
        "stream ALERTS took it as number 1, which had it already"
    );

    let stranger = sink(&server.address, "wrong", false);
    let Outcome::Later { why, .. } = deliver(&stranger, &Transport::new(&stranger).unwrap(), 3).await else {
        panic!("let in")
    };
    assert!(why.contains("authorization"), "{why}");

    // Away, and back at the same place: the next attempt finds it.
    let address = server.address.clone();
    server.stop();
    let hasty = SinkSettings { timeout: Duration::from_millis(200), ..plain.clone() };
    assert!(matches!(deliver(&hasty, &road, 4).await, Outcome::Later { .. }));
    let port = address.rsplit(':').next().unwrap().to_owned();
    let _server = Server::start(dir.path(), &port).await.expect("it was there");
    said(deliver(&plain, &road, 4).await);
}
