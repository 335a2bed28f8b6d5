//! `[access]`, and what listeners say of who comes in.

use super::*;
use crate::access::{CertificateName, Role, TokenHash};

const HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const TOKEN: &str = "[[access.token]]\nname = \"noc\"\nrole = \"operate\"\n";

#[test]
fn without_the_section_this_machine_may_do_everything() {
    let config = with_router("").unwrap();
    assert_eq!(config.access, Access::default());
    assert_eq!((config.access.rules.is_open(), config.access.rules.socket_role), (true, Role::Admin));
    assert!(config.advice().is_empty());
}

#[test]
fn tokens_certificates_and_the_audit_log_are_read() {
    let (dir, files) = pem();
    let token = "0123456789abcdefghijkl";
    std::fs::write(dir.path().join("token"), format!("{token}\nmore\n")).unwrap();
    std::fs::write(dir.path().join("other"), " another-0123456789abcdef ").unwrap();
    let path = dir.path().display();
    let config = with_router(&format!(
        "[access]\naudit = \"{path}/audit.jsonl\"\nsocket_role = \"view\"\n\
         [[access.token]]\nname = \"noc\"\nrole = \"operate\"\nhash = \"{HASH}\"\nexpires = \"2027-01-31T00:00:00+01:00\"\n\
         [[access.token]]\nname = \"grafana\"\nrole = \"view\"\ntoken_file = \"{path}/token\"\n\
         [[access.token]]\nname = \"build\"\nrole = \"admin\"\ntoken_file = \"{path}/other\"\nexpires = 2027-01-31T00:00:00Z\n\
         [[access.certificate]]\nname = \"deploy\"\nrole = \"admin\"\nsan = \"spiffe://example/deploy\"\n\
         [[access.certificate]]\nname = \"robot\"\nrole = \"view\"\nsubject = \"robot 7\"\n\
         [api]\nlisten = \"0.0.0.0:0\"\nsocket = \"{path}/api.sock\"\nsocket_mode = \"0600\"\ntls = {{ {files}, client_ca = \"{path}/c.pem\" }}\n\
         [http]\nlisten = \"[::]:0\"\nhosts = [\"noc.example\"]\nmetrics = \"open\"\n"
    ))
    .unwrap();
    let rules = &config.access.rules;
    let tokens: Vec<_> = rules.tokens.iter().map(|token| (&*token.name, token.role, token.hash)).collect();
    let build = TokenHash::of("another-0123456789abcdef");
    assert_eq!(
        tokens,
        [
            ("noc", Role::Operate, HASH.parse().unwrap()),
            ("grafana", Role::View, TokenHash::of(token)),
            ("build", Role::Admin, build)
        ]
    );
    assert_eq!(rules.tokens[0].expires.unwrap().to_string(), "2027-01-30T23:00:00Z");
    assert_eq!(rules.tokens[2].expires.unwrap().to_string(), "2027-01-31T00:00:00Z");
    assert_eq!(rules.certificates[0].shows, CertificateName::Alternative("spiffe://example/deploy".into()));
    assert_eq!(rules.certificates[1].shows, CertificateName::Subject("robot 7".into()));
    let socket = config.api.socket.as_ref().unwrap();
    assert_eq!((socket.mode, rules.socket_role, config.http.metrics_open), (0o600, Role::View, true));
    let printed = format!("{config:?}");
    assert!(!printed.contains(token) && !printed.contains(&HASH[10..30]), "{printed}");
    let advice = config.advice();
    assert_eq!(advice.len(), 1, "{advice:?}");
    assert!(advice[0].starts_with("[http] listens on [::]:0 without tls"), "{advice:?}");
}

/// A folder with `c.pem` and `k.pem`, and the keys that name them.
fn pem() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(dir.path().join("c.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.path().join("k.pem"), key.serialize_pem()).unwrap();
    let path = dir.path().display();
    let keys = format!("certificate = \"{path}/c.pem\", key = \"{path}/k.pem\"");
    (dir, keys)
}

#[test]
fn nobody_listens_beyond_this_machine_without_asking_unless_told_so() {
    for (heading, listen) in
        [("api", "0.0.0.0:50051"), ("http", "192.0.2.1:8179"), ("http", "[::]:8179"), ("api", "[::1]:1")]
    {
        let text = format!("[{heading}]\nlisten = \"{listen}\"\n");
        let refused = headlines(with_router(&text));
        if listen == "[::1]:1" {
            assert_eq!(refused, Vec::<String>::new());
            continue;
        }
        let what = format!(
            "f.toml:5:10: [{heading}] listens on {listen}, which other machines can reach, and asks nobody who it is"
        );
        assert_eq!(refused, [what]);
        for told in ["[access]\nunauthenticated_beyond_loopback = \"view\"\n", &format!("{TOKEN}hash = \"{HASH}\"\n")] {
            assert_eq!(headlines(with_router(&format!("{text}{told}"))), Vec::<String>::new());
        }
        let config = with_router(&format!("{text}[access]\nunauthenticated_beyond_loopback = \"view\"\n")).unwrap();
        assert!(config.advice()[0].contains("has the role view without a token"), "{:?}", config.advice());
        assert_eq!(headlines(with_router(&format!("{text}enabled = false\n"))), Vec::<String>::new());
    }
    // A certificate that one listener asks for does not protect the other.
    let (_dir, files) = pem();
    let ca = files.split('"').nth(1).unwrap();
    let text = format!(
        "[[access.certificate]]\nname = \"a\"\nrole = \"view\"\nsubject = \"a\"\n\
         [api]\nlisten = \"0.0.0.0:1\"\ntls = {{ {files}, client_ca = \"{ca}\" }}\n[http]\nlisten = \"0.0.0.0:2\"\n"
    );
    let told = headlines(with_router(&text));
    assert!(told.len() == 1 && told[0].contains("[http] listens on 0.0.0.0:2"), "{told:?}");
}

#[test]
fn faults_name_their_place_and_tell_no_secret() {
    let (dir, files) = pem();
    std::fs::write(dir.path().join("short"), "tooshort\n").unwrap();
    std::fs::write(dir.path().join("other"), "another-0123456789abcdef").unwrap();
    let path = dir.path().display().to_string();
    let certificate = "[[access.certificate]]\nname = \"a\"\nrole = \"view\"\n";
    for (text, words) in [
        (TOKEN.to_owned(), "[[access.token]] lacks `hash`, or `token_file` or `token_env`"),
        (format!("{TOKEN}hash = \"{HASH}\"\ntoken_env = \"HOME\"\n"), "`token_env` contradicts `hash`"),
        (format!("{TOKEN}hash = \"s3cret-s3cret-s3cret-s3cret\"\n"), "f.toml:7:8: `hash`: this is no hash of a token"),
        (format!("{TOKEN}token_file = \"/nonexistent/t\"\n"), "cannot be read"),
        (format!("{TOKEN}token_file = \"{path}/short\"\n"), "is no token"),
        (format!("{TOKEN}token_env = \"RIBWATCH_NO_SUCH\"\n"), "the variable RIBWATCH_NO_SUCH is not set"),
        (format!("{TOKEN}token_env = \"CARGO_PKG_NAME\"\n"), "what stands in the variable CARGO_PKG_NAME is no token"),
        (format!("{TOKEN}hash = \"{HASH}\"\nexpires = \"tomorrow\"\n"), "expected a time"),
        (
            format!("{TOKEN}hash = \"{HASH}\"\n{}hash = \"{HASH}\"\n", TOKEN.replace("noc", "b")),
            "noc has the same token",
        ),
        (
            format!("{TOKEN}hash = \"{HASH}\"\n{TOKEN}token_file = \"{path}/other\"\n"),
            "\"noc\" stands for somebody already",
        ),
        (TOKEN.replace("operate", "root"), "`role`: expected one of a few words"),
        (certificate.to_owned(), "[[access.certificate]] lacks `subject` or `san`"),
        (format!("{certificate}subject = \"a\"\nsan = \"a\"\n"), "`san` contradicts `subject`"),
        (format!("{certificate}subject = \"a\"\n"), "no listener asks clients for a certificate"),
        ("[api]\ntls = { certificate = \"/nonexistent/c\" }\n".to_owned(), "lacks `key`"),
        (format!("[api]\ntls = {{ {} }}\n", files.replace("c.pem", "x.pem")), "x.pem cannot be read"),
        (format!("[http]\ntls = {{ {} }}\n", files.replace("k.pem", "c.pem")), "has not an unencrypted private key"),
        ("[api]\nsocket_mode = \"0660\"\n".to_owned(), "`socket_mode` lacks `socket`"),
        ("[api]\nsocket = \"/tmp/s\"\nsocket_mode = \"rw\"\n".to_owned(), "expected permissions"),
        ("[http]\nsocket = \"/tmp/s\"\n".to_owned(), "unknown key `socket`"),
        ("[http]\nmetrics = \"no\"\n".to_owned(), "expected one of a few words"),
        ("[http]\nhosts = [\"http://a\"]\n".to_owned(), "expected the name of a host"),
    ] {
        let told = faults(with_router(&text));
        assert!(told.contains(words), "{text}\n{told}");
        assert!(!told.contains("s3cret") && !told.contains("tooshort"), "{told}");
    }
}

#[test]
fn a_fault_on_the_line_of_a_secret_does_not_show_it() {
    let sink = "[[sink]]\nname = \"a\"\ntype = \"webhook\"\n";
    for text in [
        "[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 1\npasword = \"s3cret\"\n",
        "[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 1\npassword = [\"s3cret\"]\n",
        "[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 1\npassword = \"s3cret\n",
        "neighbor = [{ address = \"192.0.2.1\", remote_asn = 1, asn = 1, password = \"s3cret\" }]\n",
        &format!("{sink}url = \"ftp://example/s3cret\"\n"),
        &format!("{sink}url = \"http://example/\"\ntokn = \"s3cret\"\n"),
        &format!("{sink}url = \"http://example/\"\nheaders = {{ Authorization = \"s3cret\" }}\n"),
        &format!("{TOKEN}\"hash\" = \"s3cret\"\n"),
    ] {
        let refused = with_router(text);
        let (told, debug) = (faults(with_router(text)), format!("{:?}", refused.map(drop)));
        assert!(told.starts_with("f.toml:") && told.contains("***"), "{told}");
        assert!(!told.contains("s3cret") && !debug.contains("s3cret"), "{told}\n{debug}");
    }
    let told = faults(with_router("[[neighbor]]\naddress = \"192.0.2.1\"\nremote_asn = 1\npassword = 5\n"));
    assert!(
        told.contains("`password`: expected a text\n") && told.contains(" | password = ***\n  |            ^^^"),
        "{told}"
    );
}
