//! TLS and certificates of clients, as the command line meets them: who is let in, who is not, and what both are told.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use ribwatch::{app::Daemon, cli, config::Config};
use tempfile::TempDir;

use super::*;

/// An authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for `name`, as its subject and as a DNS name, and its key.
    fn issue(&self, name: &str, until: Option<i32>) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if let Some(year) = until {
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
        }
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A daemon with TLS on both listeners and on a Unix socket, its files, and a shell beside it.
struct Host {
    dir: TempDir,
    daemon: Option<Daemon>,
    authority: Authority,
}

impl Host {
    fn new() -> Self {
        let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new("authority"));
        let mut host = Self { dir, daemon: None, authority };
        host.serve_as(&host.authority);
        host.write("ca.pem", &host.authority.0.pem());
        for name in ["view", "admin"] {
            host.write(name, &format!("{}\n", token_of(name)));
            let (cert, key) = host.authority.issue(&format!("{name}.example.net"), None);
            host.write(&format!("{name}.pem"), &cert);
            host.write(&format!("{name}.key"), &key);
        }
        let path = |name: &str| host.path(name);
        let tls = format!(
            "tls = {{ certificate = {:?}, key = {:?}, client_ca = {:?} }}",
            path("tls.pem"),
            path("tls.key"),
            path("ca.pem")
        );
        let text = format!(
            "[router]\nasn = 64496\nrouter_id = \"192.0.2.1\"\nlisten = []\n\
             [api]\nlisten = \"127.0.0.1:0\"\nsocket = {:?}\nsocket_mode = \"0600\"\n{tls}\n\
             [http]\nlisten = \"127.0.0.1:0\"\n{tls}\n\
             [access]\naudit = {:?}\nsocket_role = \"operate\"\n\
             [[access.token]]\nname = \"v\"\nrole = \"view\"\ntoken_file = {:?}\n\
             [[access.token]]\nname = \"a\"\nrole = \"admin\"\ntoken_file = {:?}\n\
             [[access.certificate]]\nname = \"robot\"\nrole = \"view\"\nsan = \"view.example.net\"\n",
            path("api.sock"),
            path("audit.jsonl"),
            path("view"),
            path("admin"),
        );
        host.write("ribwatch.toml", &text);
        let file = path("ribwatch.toml");
        let config = Config::load(&file).unwrap();
        let daemon = Daemon::start_with_file(config, file).unwrap();
        host.daemon = Some(daemon);
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Writes a certificate of the daemon from `authority`.
    fn serve_as(&self, authority: &Authority) {
        let (cert, key) = authority.issue("localhost", None);
        self.write("tls.pem", &cert);
        self.write("tls.key", &key);
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.daemon().api_address().unwrap().port())
    }

    /// Exit code, and what was said on both streams. Words that name a file of the host begin with `@`.
    fn run(&self, words: &str) -> (u8, String) {
        let words: Vec<String> = words
            .split(' ')
            .map(|word| {
                word.strip_prefix('@').map_or_else(|| word.to_owned(), |name| self.path(name).display().to_string())
            })
            .collect();
        let words: Vec<&str> = ["ribwatch"].into_iter().chain(words.iter().map(String::as_str)).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = cli::execute(&words, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap() + &String::from_utf8(err).unwrap())
    }

    /// `words` over TLS with `shown`.
    fn ask(&self, words: &str, shown: &str) -> (u8, String) {
        self.run(format!("--api {} --ca @ca.pem {shown} {words}", self.url()).replace("  ", " ").trim())
    }

    fn audit(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path("audit.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop();
        }
    }
}

#[test]
fn tokens_and_certificates_are_shown_over_tls_and_everybody_is_written_down() {
    let host = Host::new();
    let other = Authority::new("another authority");
    let stranger = other.issue("view.example.net", None);
    let late = host.authority.issue("view.example.net", Some(2020));
    for (name, (cert, key)) in [("stranger", stranger), ("late", late)] {
        host.write(&format!("{name}.pem"), &cert);
        host.write(&format!("{name}.key"), &key);
    }
    host.write("wrong", "no-such-token-0123456789abcdef\n");
    let listing = "neighbor";
    let changing = "neighbor reset 192.0.2.7";
    for (words, shown, code, said) in [
        (listing, "--token-file @view", 0, ""),
        (listing, "--cert @view.pem --key @view.key", 0, ""),
        (changing, "--token-file @view", 1, "v has the role view, and this needs operate"),
        (changing, "--cert @view.pem --key @view.key", 1, "robot has the role view, and this needs operate"),
        (changing, "--token-file @admin", 1, "no neighbor `192.0.2.7`"),
        // A token says more than a certificate.
        (changing, "--token-file @admin --cert @view.pem --key @view.key", 1, "no neighbor `192.0.2.7`"),
        (listing, "", 1, "wants a token or a client certificate, and got neither: show a token with --token-file"),
        (listing, "--token-file @wrong", 1, "this token is not known here: show"),
        (listing, "--cert @admin.pem --key @admin.key", 1, "no role is given to a certificate for admin.example.net"),
        (listing, "--cert @view.pem", 2, "--key"),
        (listing, "--cert @view.pem --key @admin.key", 2, "cannot be used"),
        (listing, "--token-file @nowhere", 2, "cannot be used: No such file"),
    ] {
        let (done, text) = host.ask(words, shown);
        assert_eq!(done, code, "{words} {shown}: {text}");
        assert!(text.contains(said), "{words} {shown}: {text}");
    }
    for (name, why) in [("stranger", "UnknownIssuer"), ("late", "Expired")] {
        let (done, text) = host.ask(listing, &format!("--cert @{name}.pem --key @{name}.key"));
        assert!(done != 0 && text.contains("the daemon at https://localhost"), "{name}: {done} {text}");
        let refused = host.audit().into_iter().rev().find(|line| line["what"] == "TLS").expect("is written down");
        assert_eq!(refused["outcome"], "refused");
        assert!(refused["reason"].as_str().unwrap().contains(why), "{refused}");
    }
    // Who trusts another authority, and who speaks without TLS.
    host.write("other.pem", &other.0.pem());
    let (code, text) = host.run(&format!("--api {} --ca @other.pem neighbor", host.url()));
    assert!(code == 3 && text.to_lowercase().contains("unknownissuer"), "{text}");
    let (code, text) = host.run(&format!("--api {} neighbor", host.url().replace("https", "http")));
    assert_eq!(code, 3, "{text}");

    let audit = host.audit();
    let told = |who: Option<&str>, outcome: &str| {
        audit.iter().filter(|line| line["who"].as_str() == who && line["outcome"] == outcome).count()
    };
    assert_eq!(
        (told(Some("v"), "refused"), told(Some("robot"), "refused"), told(Some("a"), "failed")),
        (1, 1, 2),
        "{audit:#?}"
    );
    // A client tries TLS again.
    let of_tls = audit.iter().filter(|line| line["what"] == "TLS").count();
    assert!(of_tls >= 2 && told(None, "refused") == 3 + of_tls, "{audit:#?}");
    assert!(audit.iter().any(|line| line["request"] == "192.0.2.7 soft=false"), "{audit:#?}");
    let text = std::fs::read_to_string(host.path("audit.jsonl")).unwrap();
    assert!(!text.contains(&token_of("admin")) && !text.contains("no-such-token"), "{text}");
}

#[test]
fn a_token_is_not_sent_in_the_clear_to_another_machine() {
    let host = Host::new();
    let (code, text) = host.run("--api 192.0.2.1:50051 --token-file @view neighbor");
    assert!(code == 2 && text.contains("in the clear: write https://192.0.2.1:50051"), "{text}");
}

#[test]
fn the_unix_socket_knows_who_is_at_the_other_end() {
    use std::os::unix::fs::PermissionsExt as _;
    let host = Host::new();
    let socket = host.path("api.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let ask = |words: &str| host.run(&format!("--api unix:{} {words}", socket.display()));
    assert_eq!(ask("neighbor").0, 0);
    let (code, text) = ask("neighbor disable 192.0.2.7");
    assert!(code == 1 && text.contains("no neighbor"), "{text}");
    let (code, text) = ask("reload");
    assert!(code == 1 && text.contains("has the role operate, and this needs admin"), "{text}");
    // With a token, more.
    assert_eq!(ask("--token-file @admin reload").0, 0);
    let audit = host.audit();
    let me = audit[0]["from"].as_str().unwrap().to_owned();
    assert!(me.starts_with("uid ") && audit[0]["who"] == me, "{audit:#?}");
    let outcomes: Vec<_> = audit.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["failed", "refused", "done"]);
    assert_eq!(audit[2]["what"], "/ribwatch.v1.DaemonService/Reload");
    drop(host);
    assert!(!socket.exists(), "it is taken away at the end");
}

#[test]
fn a_socket_that_was_left_behind_is_replaced_and_one_that_is_in_use_is_not() {
    use ribwatch::io::door::unix::SocketFile;
    let dir = tempfile::tempdir().unwrap();
    let file = SocketFile { path: dir.path().join("s"), mode: 0o600 };
    drop(std::os::unix::net::UnixListener::bind(&file.path).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let kept = runtime.block_on(file.listen()).expect("the old one is dead");
    let refused = runtime.block_on(file.listen()).map(drop).unwrap_err();
    assert!(refused.contains("another program listens on"), "{refused}");
    drop(kept);
    std::fs::write(&file.path, "not a socket").unwrap();
    let refused = runtime.block_on(file.listen()).map(drop).unwrap_err();
    assert!(refused.contains("is no socket"), "{refused}");
}

#[test]
fn certificates_change_with_a_reload_and_connections_stay() {
    let host = Host::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let http = host.daemon().http_address().unwrap();
    let connect = |authority: &Authority| {
        use tokio_rustls::{TlsConnector, rustls};
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        runtime.block_on(async move {
            let stream = TcpStream::connect(http).await.unwrap();
            TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
        })
    };
    let next = Authority::new("the next authority");
    let mut before = connect(&host.authority).expect("the first certificate");
    assert!(connect(&next).is_err());

    host.serve_as(&next);
    // The file of rules is as it was: what is in other files counts all the same; and the audit log was moved aside.
    std::fs::rename(host.path("audit.jsonl"), host.path("audit.1")).ok();
    host.daemon().reload_file();
    connect(&next).expect("the next certificate");
    assert!(connect(&host.authority).is_err());
    assert_eq!(host.audit().last().unwrap()["from"], "SIGHUP");
    // Who was there goes on.
    let answer = runtime.block_on(async {
        let request = format!(
            "GET /api/v1/summary HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
            token_of("view")
        );
        before.write_all(request.as_bytes()).await.unwrap();
        Answer::read(&mut before, false).await
    });
    assert_eq!(answer.status, 200, "{answer:?}");

    // A key that does not fit is a fault of the file, and changes nothing.
    host.write("tls.key", &KeyPair::generate().unwrap().serialize_pem());
    host.daemon().reload_file();
    connect(&next).expect("as before");
    assert_eq!(host.audit().last().unwrap()["outcome"], "failed");
}

#[test]
fn a_cookie_over_tls_is_for_tls_alone() {
    let host = Host::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let http = host.daemon().http_address().unwrap();
    let body = format!("{{\"token\":\"{}\"}}", token_of("view"));
    let answer = runtime.block_on(async {
        use tokio_rustls::{TlsConnector, rustls};
        let mut roots = rustls::RootCertStore::empty();
        roots.add(host.authority.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let stream = TcpStream::connect(http).await.unwrap();
        let mut stream = TlsConnector::from(config).connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let request = format!(
            "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Answer::read(&mut stream, false).await
    });
    assert!(answer.status == 200 && answer.head.contains("samesite=strict; secure"), "{answer:?}");
}

#[test]
fn a_token_that_is_made_is_let_in_by_the_lines_that_come_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token").display().to_string();
    let run = |more: &[&str]| {
        let words = ["ribwatch", "token", "new", "--name", "the \"noc\"", "--role", "operate"];
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        let code = cli::execute(&words, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap() + &String::from_utf8(err).unwrap())
    };
    let router = "[router]\nasn = 64496\nrouter_id = \"192.0.2.1\"\n";
    let (code, text) = run(&["--expires", "2099-01-01T00:00:00Z"]);
    assert_eq!(code, 0, "{text}");
    let shown = text.split_whitespace().find(|word| word.starts_with("rw_")).expect("a token").to_owned();
    assert_eq!(shown.len(), 35);
    let rules = Config::parse("f.toml", &format!("{router}{text}")).expect("to be pasted").access.rules;
    let caller = ribwatch::access::Caller {
        place: ribwatch::access::Place::Address { peer: "192.0.2.1:7".parse().unwrap(), loopback: false },
        protected: true,
        certificate: None,
    };
    let who = rules.identify(&caller, Some(&shown), NOW).unwrap();
    assert_eq!((&*who.name, who.role), ("the \"noc\"", Role::Operate));

    let (code, text) = run(&["--out", &file]);
    assert!(code == 0 && !text.contains("rw_"), "{text}");
    let token = std::fs::read_to_string(&file).unwrap();
    let rules = Config::parse("f.toml", &format!("{router}{text}")).expect("to be pasted").access.rules;
    assert!(rules.identify(&caller, Some(token.trim()), NOW).is_ok());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(run(&["--out", &file]).0, 2, "what is there is not overwritten");
    let (_, text) = run(&["--json"]);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["hash"], TokenHash::of(line["token"].as_str().unwrap()).to_string());
}
