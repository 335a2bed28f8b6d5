//! `[[sink]]`: defaults, faults of each type with their places, secrets in files and in the environment.

use std::time::Duration;

use super::*;
use crate::{
    detect::{Kind, Severity},
    sink::{Filter, Receiver, Retry, Secret, SinkSettings, nats, pagerduty, syslog, webhook::Auth},
};

fn with_sink(keys: &str) -> Result<Config, ConfigError> {
    with_router(&format!("[[sink]]\nname = \"noc\"\n{keys}"))
}

fn sink(keys: &str) -> SinkSettings {
    match with_sink(keys) {
        Ok(mut config) => config.sinks.remove(0),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn absent_keys_have_defaults() {
    let sink = sink("type = \"pagerduty\"\nrouting_key = \"k\"\n");
    assert_eq!((sink.name.as_str(), sink.receiver.kind()), ("noc", "pagerduty"));
    assert_eq!(sink.filter, Filter::default());
    assert_eq!(sink.source, "198.51.100.1", "the router id, where there is no hostname");
    assert_eq!((sink.timeout, sink.down_after), (Duration::from_secs(10), Duration::from_secs(300)));
    assert_eq!((sink.retry, sink.queue_max), (Retry::default(), 10_000));
    let Receiver::PagerDuty(settings) = sink.receiver else { panic!("{:?}", sink.receiver) };
    assert_eq!(settings.url.0, pagerduty::URL);
}

#[test]
fn every_type_of_the_example_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sinks.toml");
    let sinks = Config::load(&path).unwrap_or_else(|error| panic!("{error}")).sinks;
    let kinds: Vec<&str> = sinks.iter().map(|sink| sink.receiver.kind()).collect();
    assert_eq!(kinds, ["webhook", "webhook", "slack", "pagerduty", "alertmanager", "syslog", "email", "jsonl"]);
    let filter = &sinks[0].filter;
    assert_eq!((filter.min_severity, filter.kinds[1]), (Severity::Warning, Kind::SubprefixHijack));
    assert_eq!((filter.prefixes.len(), filter.asns.as_slice()), (2, &[Asn(64500)][..]));
    assert_eq!(sinks[0].source, "rtr-1.example.net");
    let Receiver::Webhook(webhook) = &sinks[1].receiver else { panic!() };
    assert_eq!(webhook.auth, Auth::Bearer(Secret("t0ken".into())));
    assert!(webhook.template.is_some() && webhook.secret.is_some());
    let Receiver::Alertmanager(settings) = &sinks[4].receiver else { panic!() };
    assert_eq!(settings.url.0, "http://127.0.0.1:9093/api/v2/alerts");
    let Receiver::Syslog(settings) = &sinks[5].receiver else { panic!() };
    assert_eq!((settings.transport, settings.facility), (syslog::Transport::Tcp, 16));
    let printed = format!("{sinks:?}");
    for secret in ["t0ken", "whsec", "s3cret", "XXXX", "0123456789", "4f3c"] {
        assert!(!printed.contains(secret), "{secret} is printed");
    }
}

#[test]
fn secrets_are_read_from_files_and_from_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, "from-a-file\nsecond line\n").unwrap();
    let key = |keys: &str| match sink(&format!("type = \"pagerduty\"\n{keys}\n")).receiver {
        Receiver::PagerDuty(settings) => settings.routing_key.0,
        other => panic!("{other:?}"),
    };
    assert_eq!(key(&format!("routing_key_file = {:?}", file.display().to_string())), "from-a-file");
    // A variable that every test has.
    assert_eq!(key("routing_key_env = \"CARGO_PKG_NAME\""), "ribwatch");
}

#[test]
fn faults_are_told_with_their_place() {
    let hook = "type = \"webhook\"\nurl = \"https://a.example/\"\n";
    let mail = "type = \"email\"\nserver = \"m.example:25\"\nfrom = \"a@b.example\"\nto = [\"c@d.example\"]\n";
    let prometheus = "type = \"alertmanager\"\nurl = \"http://a.example\"\n";
    let rows = [
        (
            "type = \"pigeon\"\n".to_owned(),
            "f.toml:6:8: `type`: expected one of a few words, found the string \"pigeon\"",
        ),
        ("url = \"https://a.example/\"\n".to_owned(), "f.toml:4:1: [[sink]] lacks `type`"),
        ("type = \"webhook\"\n".to_owned(), "f.toml:4:1: [[sink]] lacks `url`, or `url_file` or `url_env`"),
        (
            format!("{hook}kinds = [\"leak\"]\n"),
            "f.toml:8:10: `kinds`: expected one of a few words, found the string \"leak\"",
        ),
        (format!("{hook}routing_key = \"k\"\n"), "f.toml:8:1: unknown key `routing_key` in [[sink]]"),
        (
            format!("{hook}secret = \"a\"\nsecret_env = \"CARGO_PKG_NAME\"\n"),
            "f.toml:9:14: `secret_env` contradicts `secret`",
        ),
        (
            format!("{hook}secret = \"whsec_!\"\n"),
            "f.toml:8:10: the secret begins with `whsec_`, and what follows is not base64",
        ),
        (format!("{hook}user = \"u\"\n"), "f.toml:8:8: `user` lacks a `password`"),
        (format!("{hook}token = \"t\"\nuser = \"u\"\npassword = \"p\"\n"), "f.toml:9:8: `user` contradicts `token`"),
        (format!("{hook}template = \"{{{{ sumary }}}}\"\n"), "f.toml:8:12: `template`: there is no field `sumary`"),
        (format!("{hook}template = \"{{{{ summary }}}}\"\n"), "f.toml:8:12: the template makes no JSON: "),
        (format!("{hook}headers = {{ Host = \"x\" }}\n"), "f.toml:8:13: the header `Host` is not free"),
        (format!("{hook}[sink.retry]\nfirst = \"1m\"\nmax = \"1s\"\n"), "f.toml:10:7: `max` is less than `first`"),
        (
            "type = \"slack\"\nurl = \"ftp://a.example/\"\n".to_owned(),
            "f.toml:7:7: the address is neither http:// nor https://",
        ),
        (
            "type = \"slack\"\nurl = \"https://u:p@a.example/\"\n".to_owned(),
            "f.toml:7:7: a user in the address is not sent",
        ),
        (
            "type = \"slack\"\nurl_file = \"/nonexistent/url\"\n".to_owned(),
            "f.toml:7:12: `url_file`: /nonexistent/url cannot be read: ",
        ),
        (
            format!("{prometheus}labels = {{ severity = \"x\" }}\n"),
            "f.toml:8:12: the label `severity` is set by ribwatch",
        ),
        (format!("{prometheus}labels = {{ \"a-b\" = \"x\" }}\n"), "f.toml:8:12: `a-b` is no name of a label"),
        (
            format!("{prometheus}interval = \"1h\"\n"),
            "f.toml:8:12: `interval`: expected a duration from \"1s\" to \"3m\"",
        ),
        (
            format!("{prometheus}ca_file = \"Cargo.toml\"\n"),
            "f.toml:8:11: `ca_file` is for TLS, which this sink does not use",
        ),
        (
            format!("{mail}tls = \"none\"\nuser = \"u\"\npassword = \"p\"\n"),
            "f.toml:10:7: a password would be sent in the clear",
        ),
        (format!("{mail}user = \"u\"\n"), "f.toml:10:8: `user` lacks `password_file`: a server wants both"),
        (
            mail.replace("c@d.example", "c@d\\r\\nBcc: e@f"),
            "f.toml:9:7: `to`: expected a mail address, found the string",
        ),
        (
            "type = \"syslog\"\naddress = \"192.0.2.1\"\n".to_owned(),
            "f.toml:7:11: `address`: expected a host and a port",
        ),
        (
            "type = \"jsonl\"\npath = \"-\"\n[[sink]]\nname = \"noc\"\ntype = \"jsonl\"\npath = \"-\"\n".to_owned(),
            "f.toml:9:8: a second [[sink]] has the name \"noc\"",
        ),
        (
            "type = \"jsonl\"\npath = \"-\"\n[[sink]]\nname = \"a/b\"\ntype = \"jsonl\"\npath = \"-\"\n".to_owned(),
            "f.toml:9:8: `name`: expected a name, found the string \"a/b\"",
        ),
    ];
    for (keys, expected) in rows {
        let lines = headlines(with_sink(&keys));
        assert_eq!(lines.len(), 1, "{keys}\n{lines:?}");
        assert!(lines[0].starts_with(expected), "{keys}\n{}\n{expected}", lines[0]);
    }
}

#[test]
fn nats_is_a_part_of_builds_that_ask_for_it() {
    let keys = "type = \"nats\"\nservers = [\"nats://127.0.0.1:4222\", \"tls://n2.example:4222\"]\njetstream = true\ntoken = \"t\"\n";
    if cfg!(not(feature = "nats")) {
        let printed = with_sink(keys).unwrap_err().to_string();
        assert!(printed.contains("--features nats"), "{printed}");
        return;
    }
    let Receiver::Nats(settings) = sink(keys).receiver else { panic!("another kind") };
    assert_eq!((settings.servers.len(), settings.subject.as_str(), settings.jetstream), (2, "ribwatch.alerts", true));
    assert_eq!(settings.login, nats::Login::Token(Secret("t".into())));
    for (bad, why) in [
        ("servers = [\"http://a.example\"]\n", "the address of a NATS server"),
        ("servers = [\"nats://u:p@a.example\"]\n", "the address of a NATS server"),
        ("servers = [\"nats://a.example\"]\nsubject = \"a.*\"\n", "a subject"),
    ] {
        let printed = with_sink(&format!("type = \"nats\"\n{bad}")).unwrap_err().to_string();
        assert!(printed.contains(why), "{printed}");
    }
}
