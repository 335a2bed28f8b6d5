//! TLS to receivers: whom `ca_file` trusts is told, and nobody else.

use std::{path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ribwatch::{
    alert::Why,
    sink::{
        Outcome, Parcel, Receiver as Who, Secret, SinkSettings, email::Protection, slack, syslog, transport::Transport,
    },
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::{
    alerts::{START, alert, change, settings},
    formats::{counted, mail_dialogue, mail_settings},
};

/// A server's end for `host`, and the authority that vouches for it in a file.
fn authority(host: &str, dir: &Path) -> (TlsAcceptor, std::path::PathBuf) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let file = dir.join(format!("{host}.pem"));
    std::fs::write(&file, issuer.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}

async fn send(settings: &SinkSettings) -> Outcome {
    let transport = Transport::new(settings).expect("certificates are read");
    let parcel = Parcel { change: change(1, Why::Opened, alert("a1")), before: None };
    transport.deliver(settings, &[parcel], START).await
}

fn why(outcome: Outcome) -> String {
    match outcome {
        Outcome::Later { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn https_is_for_whom_the_authority_vouches() {
    let dir = tempfile::tempdir().unwrap();
    let (acceptor, right) = authority("localhost", dir.path());
    let (_, wrong) = authority("other.example", dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Who does not trust us breaks it off.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
                let _ = stream.shutdown().await;
            }
        }
    });
    let to = |host: &str, ca_file: Option<&Path>| SinkSettings {
        ca_file: ca_file.map(Path::to_owned),
        ..settings(Who::Slack(slack::Settings { url: Secret(format!("https://{host}:{port}/")) }))
    };
    assert_eq!(send(&to("localhost", Some(&right))).await, Outcome::Accepted { answer: "HTTP 200: ok".into() });
    let unknown = why(send(&to("localhost", Some(&wrong))).await);
    assert!(unknown.contains("invalid peer certificate"), "{unknown}");
    let name = why(send(&to("127.0.0.1", Some(&right))).await);
    assert!(name.contains("not valid for name"), "{name}");
    let machine = why(send(&to("localhost", None)).await);
    assert!(machine.contains("invalid peer certificate"), "{machine}");
    std::fs::write(&right, "no certificate").unwrap();
    let Err(empty) = Transport::new(&to("localhost", Some(&right))) else { panic!("nothing to trust") };
    assert!(empty.contains("there is no certificate in it"), "{empty}");
}

#[tokio::test]
async fn mail_is_protected_before_anything_is_said_or_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let (acceptor, ca_file) = authority("localhost", dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    let with =
        |protection| SinkSettings { ca_file: Some(ca_file.clone()), ..mail_settings(address.clone(), protection) };

    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        mail_dialogue(acceptor.accept(stream).await.expect("the certificate is trusted")).await
    };
    let settings = with(Protection::Tls);
    let (outcome, said) = tokio::join!(send(&settings), server);
    assert_eq!(outcome, Outcome::Accepted { answer: "250 queued".into() });
    assert_eq!(said[1], "AUTH PLAIN AG1lAHMzY3JldA==");

    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example\r\n").await.unwrap();
        stream = until(stream, "EHLO example.net\r\n", "250-mail.example\r\n250 STARTTLS\r\n").await;
        stream = until(stream, "STARTTLS\r\n", "220 go on\r\n").await;
        let mut stream = acceptor.accept(stream).await.expect("the certificate is trusted");
        // After STARTTLS the server says nothing before the client does (RFC 3207 §4.2): the greeting of the dialogue below
        // answers the second EHLO.
        hear(&mut stream, "EHLO example.net\r\n").await;
        stream.write_all(b"250-mail.example\r\n250 AUTH PLAIN\r\n").await.unwrap();
        hear(&mut stream, "AUTH PLAIN AG1lAHMzY3JldA==\r\n").await;
        stream.write_all(b"454 not now\r\n").await.unwrap();
    };
    let settings = with(Protection::StartTls);
    let (outcome, ()) = tokio::join!(send(&settings), server);
    assert!(why(outcome).ends_with("454 not now"));

    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example\r\n").await.unwrap();
        until(stream, "EHLO example.net\r\n", "250-mail.example\r\n250 8BITMIME\r\n").await
    };
    let (outcome, _stream) = tokio::join!(send(&settings), server);
    assert!(why(outcome).contains("offers no STARTTLS"));

    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example\r\n").await.unwrap();
        stream = until(stream, "EHLO example.net\r\n", "250-mail.example\r\n250 STARTTLS\r\n").await;
        // What somebody put in between must not be taken for what the server says under TLS.
        until(stream, "STARTTLS\r\n", "220 go on\r\n250 AUTH PLAIN\r\n").await
    };
    let (outcome, _stream) = tokio::join!(send(&settings), server);
    assert!(why(outcome).contains("spoke out of turn"));
}

#[tokio::test]
async fn syslog_over_tls_counts_octets_too() {
    let dir = tempfile::tempdir().unwrap();
    let (acceptor, ca_file) = authority("localhost", dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    let transport = syslog::Transport::Tls;
    let settings = SinkSettings {
        ca_file: Some(ca_file),
        ..settings(Who::Syslog(syslog::Settings { address, transport, facility: 3, enterprise_id: 32473 }))
    };
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        counted(&mut acceptor.accept(stream).await.expect("the certificate is trusted")).await
    };
    let (outcome, line) = tokio::join!(send(&settings), server);
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    assert!(line.starts_with("<26>1 2025-11-24T16:00:01Z rtr-1 ribwatch "), "{line}");
}

async fn hear(stream: &mut (impl tokio::io::AsyncRead + Unpin), line: &str) {
    let mut octets = vec![0; line.len()];
    tokio::io::AsyncReadExt::read_exact(stream, &mut octets).await.expect("a line");
    assert_eq!(String::from_utf8(octets).unwrap(), line);
}

/// Hears `line` and answers.
async fn until(mut stream: tokio::net::TcpStream, line: &str, answer: &str) -> tokio::net::TcpStream {
    hear(&mut stream, line).await;
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream
}
