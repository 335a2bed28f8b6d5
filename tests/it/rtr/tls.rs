//! Caches behind TLS (RFC 8210 §9.2), with certificates made here: who is let in, who is not, and what is said then.

use std::{path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use ribwatch::io::rpki::{Identity, Tls};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

use super::*;

/// An authority, and a folder for what it signs.
struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What certificates are for: a name, and the names of the two files.
struct Issued {
    cert: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        Self::named("authority of the test")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        Self { folder: tempfile::tempdir().expect("a folder"), issuer }
    }

    fn issue(&self, name: &str) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Issued { cert, key: key.serialize_pem() }
    }

    fn file(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the folder can be written");
        path
    }

    /// What a router is told that trusts this authority and shows nothing.
    fn trusted(&self) -> Tls {
        Tls { ca_file: self.file("ca.pem", &self.issuer.pem()), identity: None, server_name: None }
    }

    fn identity(&self, issued: &Issued) -> Identity {
        let (cert_file, key_file) = (self.file("router.pem", &issued.cert), self.file("router.key", &issued.key));
        Identity { cert_file, key_file }
    }

    /// A TLS end with this certificate; `clients`: only those with a certificate of this authority are let in.
    fn acceptor(&self, issued: &Issued, clients: bool) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let config = config.expect("protocol versions");
        let config = match clients {
            false => config.with_no_client_auth(),
            true => {
                let mut roots = RootCertStore::empty();
                roots.add(self.issuer.der().clone()).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                config.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(issued.cert.as_bytes()).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("a key");
        TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).expect("they belong together")))
    }
}

/// A cache behind TLS that has one VRP; its address.
async fn start(acceptor: TlsAcceptor) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let first = join(&[begin(7), vrp(true, "192.0.2.0/24", 24, 64500), end(7, 1, 600)]);
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, 1, &mut vec![Step::Answer(2, first)].into_iter(), &Reports::default()).await;
            }
        }
    });
    address
}

async fn in_sync(address: String, tls: Tls) {
    let station = Station::with(vec![source("cache", address, Some(tls))]);
    station.wait("data over TLS", |rpki| rpki.view().sources[0].state == SourceState::Synced).await;
    assert_eq!(station.rpki.view().vrps, (1, 0));
}

/// What is said of a cache that does not come into sync.
async fn refused(address: String, tls: Tls) -> String {
    let station = Station::with(vec![source("cache", address, Some(tls))]);
    station.wait("a refusal", |rpki| rpki.view().sources[0].last_error.is_some()).await;
    assert_eq!(station.rpki.view().vrps, (0, 0), "nothing is believed");
    station.rpki.view().sources[0].last_error.clone().unwrap_or_default()
}

#[test]
fn a_cache_is_known_by_its_address_or_by_the_name_that_it_is_said_to_have() {
    let authority = Authority::new();
    in_runtime(async {
        let by_address = authority.acceptor(&authority.issue("127.0.0.1"), false);
        in_sync(start(by_address).await, authority.trusted()).await;
        let by_name = authority.acceptor(&authority.issue("validator.example"), false);
        let named = Tls { server_name: Some("validator.example".to_owned()), ..authority.trusted() };
        in_sync(start(by_name).await, named).await;
    });
}

#[test]
fn a_certificate_that_signed_itself_is_taken_when_it_is_the_ca_file() {
    let authority = Authority::new();
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let cert = params.self_signed(&key).expect("a certificate").pem();
    let alone = Issued { cert, key: key.serialize_pem() };
    in_runtime(async {
        let address = start(authority.acceptor(&alone, false)).await;
        let tls = Tls { ca_file: authority.file("own.pem", &alone.cert), ..authority.trusted() };
        in_sync(address, tls).await;
    });
}

#[test]
fn a_cache_that_cannot_prove_who_it_is_is_not_believed() {
    // One of another name, and one that calls itself the same.
    let (authority, strangers) = (Authority::new(), [Authority::named("another authority"), Authority::new()]);
    in_runtime(async {
        for stranger in strangers {
            let address = start(stranger.acceptor(&stranger.issue("127.0.0.1"), false)).await;
            let said = refused(address, authority.trusted()).await;
            assert!(said.contains("not from an authority in ca_file") && said.contains("ca.pem"), "{said}");
        }

        let by_name = start(authority.acceptor(&authority.issue("validator.example"), false)).await;
        let said = refused(by_name, authority.trusted()).await;
        assert!(said.contains("not for 127.0.0.1") && said.contains("server_name"), "{said}");

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let error = pdu(1, 10, 0, &[0, 0, 0, 0, 0, 0, 0, 0]);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // What a cache without TLS makes of our first words.
                let _ = stream.write_all(&error).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        });
        let said = refused(address, authority.trusted()).await;
        assert!(said.contains("does not speak TLS"), "{said}");
    });
}

#[test]
fn a_cache_that_wants_to_know_its_routers_is_shown_a_certificate() {
    let (authority, strangers) = (Authority::new(), [Authority::named("another authority"), Authority::new()]);
    in_runtime(async {
        let address = start(authority.acceptor(&authority.issue("127.0.0.1"), true)).await;
        let identity = Some(authority.identity(&authority.issue("192.0.2.254")));
        in_sync(address, Tls { identity, ..authority.trusted() }).await;

        let address = start(authority.acceptor(&authority.issue("127.0.0.1"), true)).await;
        let said = refused(address, authority.trusted()).await;
        assert!(said.contains("add cert_file and key_file"), "{said}");

        for stranger in strangers {
            let address = start(authority.acceptor(&authority.issue("127.0.0.1"), true)).await;
            let identity = Some(stranger.identity(&stranger.issue("192.0.2.254")));
            let said = refused(address, Tls { identity, ..authority.trusted() }).await;
            assert!(said.contains("refused our certificate") && said.contains("router.pem"), "{said}");
        }
    });
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_key() {
    let authority = Authority::new();
    let (one, other) = (authority.issue("192.0.2.254"), authority.issue("192.0.2.253"));
    let crossed = Issued { cert: one.cert.clone(), key: other.key };
    let key_alone =
        Identity { cert_file: authority.file("k.pem", &one.key), key_file: authority.file("k.key", &one.key) };
    let no_key =
        Identity { cert_file: authority.file("c.pem", &one.cert), key_file: authority.file("c.key", &one.cert) };
    let with = |identity| Tls { identity: Some(identity), ..authority.trusted() };
    let other_ca = |path: &Path| Tls { ca_file: path.to_owned(), ..authority.trusted() };
    let cases = [
        // (settings, the key, what is said)
        (other_ca(Path::new("/nowhere/ca.pem")), "ca_file", "/nowhere/ca.pem cannot be read"),
        (other_ca(&authority.file("empty.pem", "# nothing yet\n")), "ca_file", "has no certificate in PEM form"),
        (with(authority.identity(&crossed)), "key_file", "is not the key of the certificate"),
        (with(key_alone), "cert_file", "has no certificate in PEM form"),
        (with(no_key), "key_file", "has not an unencrypted private key in PEM form"),
        (Tls { server_name: Some("no name".into()), ..authority.trusted() }, "server_name", "neither the name"),
    ];
    for (tls, key, said) in cases {
        let fault = tls.check().expect_err(said);
        assert_eq!(fault.key, key, "{fault}");
        assert!(fault.what.contains(said), "{fault}");
    }
    assert_eq!(authority.trusted().check(), Ok(()));
    assert_eq!(with(authority.identity(&one)).check(), Ok(()));
}
