//! The keys of each type of sink.

use std::time::Duration;

use super::parts::{self, PASSWORD, SecretKeys, TOKEN};
use crate::{
    config::{
        read::{Misfit, Table, Value},
        value,
    },
    sink::{
        Receiver, Secret, alertmanager,
        email::{self, Protection},
        jsonl, nats, pagerduty, slack,
        syslog::{self, Transport},
        template::Escape,
        transport::NO_NATS,
        webhook::{self, Auth},
    },
};

/// The types.
pub(super) const TYPES: [&str; 8] =
    ["webhook", "slack", "pagerduty", "alertmanager", "syslog", "email", "nats", "jsonl"];

const SECRET: SecretKeys = SecretKeys { plain: "secret", file: "secret_file", env: "secret_env" };
const URL: SecretKeys = SecretKeys { plain: "url", file: "url_file", env: "url_env" };
const ROUTING_KEY: SecretKeys = SecretKeys { plain: "routing_key", file: "routing_key_file", env: "routing_key_env" };
/// Documentation examples (RFC 5612 §2): whoever has a number of their own gives it.
const ENTERPRISE_ID: u64 = 32_473;

/// Makes the keys of every type known ones, where the type itself is missing or faulty.
pub(super) fn know_all(table: &mut Table<'_>) {
    for secret in [SECRET, URL, ROUTING_KEY, PASSWORD, TOKEN] {
        secret.know(table);
    }
    let others = [
        "method",
        "headers",
        "content_type",
        "template",
        "template_file",
        "user",
        "interval",
        "labels",
        "address",
        "transport",
        "facility",
        "enterprise_id",
        "server",
        "tls",
        "from",
        "to",
        "servers",
        "subject",
        "jetstream",
        "credentials_file",
        "path",
    ];
    others.into_iter().for_each(|key| table.know(key));
}

/// Reads the keys of type `kind`; `None`: something is missing or faulty, and noted.
pub(super) fn read(table: &mut Table<'_>, kind: &str) -> Option<Receiver> {
    match kind {
        "webhook" => read_webhook(table).map(Receiver::Webhook),
        "slack" => read_slack(table).map(Receiver::Slack),
        "pagerduty" => read_pagerduty(table).map(Receiver::PagerDuty),
        "alertmanager" => read_alertmanager(table).map(Receiver::Alertmanager),
        "syslog" => read_syslog(table).map(Receiver::Syslog),
        "email" => read_email(table).map(Receiver::Email),
        "nats" => read_nats(table).map(Receiver::Nats),
        _ => read_jsonl(table).map(Receiver::Jsonl),
    }
}

fn read_webhook(table: &mut Table<'_>) -> Option<webhook::Settings> {
    let url = secret_url(table, "url = \"https://noc.example/hooks/ribwatch\"");
    let method = table.or("method", "POST", |v| value::word(v, &[("POST", "POST"), ("PUT", "PUT")]));
    let auth = parts::auth(table);
    let secret = parts::secret(table, &SECRET);
    if secret.as_ref().is_some_and(|secret| secret.0.starts_with("whsec_") && webhook::key_of(secret).is_none()) {
        let key = [SECRET.plain, SECRET.file, SECRET.env].into_iter().find(|key| table.has(key));
        let what = "the secret begins with `whsec_`, and what follows is not base64";
        table.fault(table.span_of(key.unwrap_or(SECRET.plain)), what, "copy it as a whole, or leave `whsec_` away");
    }
    let content_type = table.or("content_type", "application/json".to_owned(), value::label);
    let json = content_type.split(';').next().is_some_and(|kind| kind.trim().ends_with("json"));
    let escape = if json { Escape::Json } else { Escape::None };
    let inline = table.opt("template", |v| parts::template(v, escape, "'{\"text\": \"{{ summary }}\"}'"));
    let file = table.opt("template_file", |v| parts::template_file(v, escape));
    let key = if table.has("template") { "template" } else { "template_file" };
    if table.has("template") && table.has("template_file") {
        table.fault(table.span_of("template_file"), "`template_file` contradicts `template`", "remove one of them");
    }
    let template = inline.or(file);
    if json
        && let Some(template) = &template
        && let Err(why) = parts::makes_json(template)
    {
        let help = "put fields inside quotes as \"{{ summary }}\", others as {{ json neighbors }}; for another format \
                    give `content_type`";
        table.fault(table.span_of(key), format!("the template makes no JSON: {why}"), help);
    }
    let mut headers = Vec::new();
    for (name, value, span) in parts::texts(table, "headers") {
        let reserved = ["content-type", "content-length", "host", "authorization"];
        let lower = name.to_ascii_lowercase();
        if reserved.contains(&lower.as_str()) || lower.starts_with("webhook-") {
            let help = "use `content_type`, `token`, or `user` and `password`; the others are set by ribwatch";
            table.fault(span, format!("the header `{name}` is not free"), help);
        } else if http::HeaderName::from_bytes(name.as_bytes()).is_err() || http::HeaderValue::from_str(&value).is_err()
        {
            table.fault(span, format!("`{name}` and its value make no header"), "accepted: names and text in ASCII");
        } else {
            headers.push((name, Secret(value)));
        }
    }
    if http::HeaderValue::from_str(&content_type).is_err() {
        table.fault(table.span_of("content_type"), "this is no media type", "accepted: text in ASCII");
    }
    Some(webhook::Settings { url: url?, method, auth, headers, secret, content_type, template })
}

fn read_slack(table: &mut Table<'_>) -> Option<slack::Settings> {
    let url = secret_url(table, "url_file = \"/etc/ribwatch/slack-url\"");
    Some(slack::Settings { url: url? })
}

fn read_pagerduty(table: &mut Table<'_>) -> Option<pagerduty::Settings> {
    let routing_key = parts::required_secret(table, &ROUTING_KEY, "routing_key_file = \"/etc/ribwatch/pagerduty\"");
    let url = table.or("url", Secret(pagerduty::URL.to_owned()), parts::url);
    Some(pagerduty::Settings { routing_key: routing_key?, url })
}

fn read_alertmanager(table: &mut Table<'_>) -> Option<alertmanager::Settings> {
    let url = table.required("url", "url = \"http://127.0.0.1:9093\"", parts::url);
    let auth = parts::auth(table);
    // Its resolve_timeout is five minutes unless told otherwise, and what is not sent for long looks resolved.
    let range = Duration::from_secs(1)..=Duration::from_secs(180);
    let interval = table.or("interval", Duration::from_secs(60), |v| value::duration(v, range));
    let mut labels = Vec::new();
    for (name, value, span) in parts::texts(table, "labels") {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let ours = ["alertname", "alert_id", "subject", "severity", "source", "prefix"];
        if ours.contains(&name.as_str()) {
            table.fault(span, format!("the label `{name}` is set by ribwatch"), "take another name");
        } else if !name.chars().all(letters) || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
            let help = "accepted: letters, digits and `_`, not beginning with a digit";
            table.fault(span, format!("`{name}` is no name of a label"), help);
        } else {
            labels.push((name, value));
        }
    }
    let mut url = url?.0.trim_end_matches('/').to_owned();
    if !url.ends_with(alertmanager::PATH) {
        url.push_str(alertmanager::PATH);
    }
    Some(alertmanager::Settings { url: Secret(url), auth, interval, labels })
}

fn read_syslog(table: &mut Table<'_>) -> Option<syslog::Settings> {
    let transports = [("udp", Transport::Udp), ("tcp", Transport::Tcp), ("tls", Transport::Tls)];
    let address = table.required("address", "address = \"192.0.2.10:514\"", value::host_and_port);
    let transport = table.or("transport", Transport::Udp, |v| value::word(v, &transports));
    let facilities = [
        ("kern", 0),
        ("user", 1),
        ("mail", 2),
        ("daemon", 3),
        ("auth", 4),
        ("syslog", 5),
        ("lpr", 6),
        ("news", 7),
        ("uucp", 8),
        ("cron", 9),
        ("authpriv", 10),
        ("ftp", 11),
        ("local0", 16),
        ("local1", 17),
        ("local2", 18),
        ("local3", 19),
        ("local4", 20),
        ("local5", 21),
        ("local6", 22),
        ("local7", 23),
    ];
    let facility = table.or("facility", 3_u8, |v| value::word(v, &facilities));
    let id = table.or("enterprise_id", ENTERPRISE_ID, |v| value::integer(v, 1..=u64::from(u32::MAX)));
    Some(syslog::Settings { address: address?, transport, facility, enterprise_id: id as u32 })
}

fn read_email(table: &mut Table<'_>) -> Option<email::Settings> {
    let words = [("tls", Protection::Tls), ("starttls", Protection::StartTls), ("none", Protection::None)];
    let server = table.required("server", "server = \"mail.example.net:587\"", value::host_and_port);
    let protection = table.or("tls", Protection::StartTls, |v| value::word(v, &words));
    let user = table.opt("user", value::label);
    let password = parts::secret(table, &PASSWORD);
    let from = table.required("from", "from = \"ribwatch@example.net\"", parts::mailbox);
    let to = table
        .required("to", "to = [\"noc@example.net\"]", |v| value::some_of(v, "[\"noc@example.net\"]", parts::mailbox));
    if user.is_some() != password.is_some() {
        let (key, lacks) = if user.is_some() { ("user", "password_file") } else { ("password", "user") };
        let key = if table.has(key) { key } else { "password_file" };
        let what = format!("`{key}` lacks `{lacks}`: a server wants both");
        table.fault(table.span_of(key), what, "give both, or none");
    }
    if user.is_some() && protection == Protection::None {
        let what = "a password would be sent in the clear";
        table.fault(table.span_of("tls"), what, "use tls = \"starttls\" or tls = \"tls\", or no `user`");
    }
    Some(email::Settings { server: server?, protection, login: user.zip(password), from: from?, to: to? })
}

fn read_nats(table: &mut Table<'_>) -> Option<nats::Settings> {
    if cfg!(not(feature = "nats")) {
        table.fault(table.span_of("type"), NO_NATS, "or tell a webhook, which every build knows");
    }
    let example = "servers = [\"nats://127.0.0.1:4222\"]";
    let servers = table.required("servers", example, |v| value::some_of(v, "[\"nats://127.0.0.1:4222\"]", nats_server));
    let subject = table.or("subject", "ribwatch.alerts".to_owned(), |v| {
        let text = value::text(v)?;
        let accepted = "words with dots between, such as \"ribwatch.alerts\", without wildcards";
        if nats::is_subject(&text) { Ok(text) } else { Err(value::misfit(v, "a subject", accepted)) }
    });
    let jetstream = table.or("jetstream", false, value::boolean);
    let credentials = table.opt("credentials_file", |v| {
        let path = value::text(v)?;
        parts::file_text(v, &path).map(Secret)
    });
    let auth = parts::auth(table);
    let login = match (credentials, auth) {
        (Some(text), Auth::None) => nats::Login::Credentials(text),
        (Some(_), _) => {
            let what = "`credentials_file` contradicts `user` and `token`: servers know us by one of them";
            table.fault(table.span_of("credentials_file"), what, "remove the others");
            nats::Login::None
        }
        (None, Auth::Basic { user, password }) => nats::Login::Password { user, password },
        (None, Auth::Bearer(token)) => nats::Login::Token(token),
        (None, Auth::None) => nats::Login::None,
    };
    Some(nats::Settings { servers: servers?, subject, jetstream, login })
}

fn nats_server(v: &Value<'_>) -> Result<String, Misfit> {
    let text = value::text(v)?;
    let uri: Option<http::Uri> = text.parse().ok();
    let good = uri.is_some_and(|uri| {
        let host =
            uri.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
        host && matches!(uri.scheme_str(), Some("nats" | "tls"))
    });
    let accepted = "\"nats://host:4222\" or \"tls://host:4222\"; `user` and `password` have keys of their own";
    if good { Ok(text) } else { Err(value::misfit(v, "the address of a NATS server", accepted)) }
}

fn read_jsonl(table: &mut Table<'_>) -> Option<jsonl::Settings> {
    let path = table.required("path", "path = \"/var/log/ribwatch/alerts.jsonl\"", value::text)?;
    Some(jsonl::Settings { path: (path != "-").then(|| path.into()) })
}

/// An address that is a secret by itself.
fn secret_url(table: &mut Table<'_>, example: &str) -> Option<Secret> {
    let url = parts::required_secret(table, &URL, example)?;
    let Err(why) = parts::check_url(&url.0) else { return Some(url) };
    let key = [URL.plain, URL.file, URL.env].into_iter().find(|key| table.has(key)).unwrap_or(URL.plain);
    table.fault(table.span_of(key), why, "accepted: an address such as \"https://noc.example/hooks/ribwatch\"");
    None
}
