//! How single keys of sinks are read: names, addresses on the web, secrets that stand in a file or in the environment
//! instead of in the configuration.

use std::path::Path;

use toml::de::DeValue;

use crate::{
    config::{
        read::{Misfit, Table, Value},
        value,
    },
    sink::{
        Receiver, Secret,
        email::{Mailbox, Protection},
        sample, syslog,
        template::{Escape, Template},
        webhook::Auth,
    },
    types::Timestamp,
};

/// A name that files can be named after.
pub(super) fn name(value: &Value<'_>) -> Result<String, Misfit> {
    let accepted = "letters, digits, `-` and `_`, at most 64 of them";
    let name = value::label(value).map_err(|_| value::misfit(value, "a name", accepted))?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.len() > 64 || !name.chars().all(fits) {
        return Err(value::misfit(value, "a name", accepted));
    }
    Ok(name)
}

/// The path of a file that is there.
pub(super) fn readable(value: &Value<'_>) -> Result<String, Misfit> {
    let path = value::text(value)?;
    file_text(value, &path).map(|_| path)
}

pub(super) fn file_text(value: &Value<'_>, path: &str) -> Result<String, Misfit> {
    std::fs::read_to_string(Path::new(path)).map_err(|why| Misfit {
        span: value.span(),
        what: format!("{path} cannot be read: {why}"),
        accepted: "the path of a file that this user may read".to_owned(),
    })
}

/// An address on the web.
pub(super) fn url(value: &Value<'_>) -> Result<Secret, Misfit> {
    let text = value::text(value)?;
    check_url(&text).map_err(|why| Misfit {
        span: value.span(),
        what: why.to_owned(),
        accepted: "an address such as \"https://noc.example/hooks/ribwatch\"".to_owned(),
    })?;
    Ok(Secret(text))
}

/// Whether `text` is an address that a request can be sent to. The message does not repeat it: it may be a secret.
pub(super) fn check_url(text: &str) -> Result<(), &'static str> {
    let uri: http::Uri = text.parse().map_err(|_| "this is not an address on the web")?;
    let authority = uri.authority().ok_or("the address lacks a host")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("the address is neither http:// nor https://");
    }
    if authority.as_str().contains('@') {
        return Err("a user in the address is not sent: use `user` and `password`, or `token`");
    }
    if authority.host().is_empty() { Err("the address lacks a host") } else { Ok(()) }
}

/// The keys under which a secret may stand.
pub(super) struct SecretKeys {
    /// In the configuration.
    pub(super) plain: &'static str,
    /// In the first line of a file.
    pub(super) file: &'static str,
    /// In a variable of the environment.
    pub(super) env: &'static str,
}

impl SecretKeys {
    fn all(&self) -> [&'static str; 3] {
        [self.plain, self.file, self.env]
    }

    /// Makes the keys known ones without reading them.
    pub(super) fn know(&self, table: &mut Table<'_>) {
        self.all().into_iter().for_each(|key| table.know(key));
    }
}

/// A secret; `None`: there is none, or it is faulty (then noted).
pub(super) fn secret(table: &mut Table<'_>, keys: &SecretKeys) -> Option<Secret> {
    let written: Vec<&str> = keys.all().into_iter().filter(|key| table.has(key)).collect();
    if let [first, second, ..] = written.as_slice() {
        table.fault(table.span_of(second), format!("`{second}` contradicts `{first}`"), "remove one of them");
    }
    let plain = table.opt(keys.plain, value::text);
    let file = table.opt(keys.file, |v| {
        let path = value::text(v)?;
        let text = file_text(v, &path)?;
        let accepted = "the path of a file whose first line is the secret".to_owned();
        let first = text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
        first.ok_or_else(|| Misfit { span: v.span(), what: format!("{path} is empty"), accepted })
    });
    let env = table.opt(keys.env, |v| {
        let variable = value::text(v)?;
        let accepted = "the name of a variable that is set and not empty when ribwatch starts".to_owned();
        let set = std::env::var(&variable).ok().filter(|secret| !secret.trim().is_empty());
        set.ok_or_else(|| Misfit { span: v.span(), what: format!("the variable {variable} is not set"), accepted })
    });
    plain.or(file).or(env).map(Secret)
}

/// A secret that must be there.
pub(super) fn required_secret(table: &mut Table<'_>, keys: &SecretKeys, example: &str) -> Option<Secret> {
    if !keys.all().into_iter().any(|key| table.has(key)) {
        let what = format!("[[sink]] lacks `{}`, or `{}` or `{}`", keys.plain, keys.file, keys.env);
        table.fault(table.span(), what, format!("add a line such as: {example}"));
    }
    secret(table, keys)
}

/// A text with fields.
pub(super) fn template(value: &Value<'_>, escape: Escape, example: &str) -> Result<Template, Misfit> {
    let text = value::text(value)?;
    let accepted = format!("a text with fields, such as {example}");
    Template::parse(&text, escape).map_err(|what| Misfit { span: value.span(), what, accepted })
}

/// The text of a template that is a file's content.
pub(super) fn template_file(value: &Value<'_>, escape: Escape) -> Result<Template, Misfit> {
    let path = value::text(value)?;
    let text = file_text(value, &path)?;
    let accepted = "a text with fields, such as {\"text\": \"{{ summary }}\"}".to_owned();
    let what = |why: String| format!("{path}: {why}");
    Template::parse(&text, escape).map_err(|why| Misfit { span: value.span(), what: what(why), accepted })
}

/// Whether `template` makes JSON of an alert; the error says where it does not.
pub(super) fn makes_json(template: &Template) -> Result<(), String> {
    let (opened, _) = sample::pair(Timestamp::default(), 1);
    let body = crate::sink::json::Body::new(&opened, &crate::sink::Context::plain("router")).value();
    let filled = template.fill(&body);
    serde_json::from_str::<serde_json::Value>(&filled).map(drop).map_err(|why| why.to_string())
}

/// `user` with `password`, or `token`: how an HTTP receiver knows us.
pub(super) fn auth(table: &mut Table<'_>) -> Auth {
    let user = table.opt("user", value::label);
    let password = secret(table, &PASSWORD);
    let token = secret(table, &TOKEN);
    if let Some(user) = &user
        && user.contains(':')
    {
        table.fault(table.span_of("user"), "a user with a colon cannot be sent (RFC 7617 §2)", "take another user");
    }
    match (user, password, token) {
        (Some(_), _, Some(_)) => {
            let what = "`user` contradicts `token`: a receiver knows us by one of them";
            table.fault(table.span_of("user"), what, "remove one of them");
            Auth::None
        }
        (Some(user), Some(password), None) => Auth::Basic { user, password },
        (Some(_), None, None) => {
            if !PASSWORD.all().into_iter().any(|key| table.has(key)) {
                let help = "add password_file = \"/etc/ribwatch/password\"";
                table.fault(table.span_of("user"), "`user` lacks a `password`", help);
            }
            Auth::None
        }
        (None, Some(_), _) => {
            let key = PASSWORD.all().into_iter().find(|key| table.has(key)).unwrap_or(PASSWORD.plain);
            table.fault(table.span_of(key), format!("`{key}` lacks a `user`"), "add user = \"ribwatch\"");
            Auth::None
        }
        (None, None, Some(token)) => Auth::Bearer(token),
        (None, None, None) => Auth::None,
    }
}

pub(super) const PASSWORD: SecretKeys = SecretKeys { plain: "password", file: "password_file", env: "password_env" };
pub(super) const TOKEN: SecretKeys = SecretKeys { plain: "token", file: "token_file", env: "token_env" };

/// Who writes or is written to.
pub(super) fn mailbox(value: &Value<'_>) -> Result<Mailbox, Misfit> {
    let text = value::text(value)?;
    let accepted = "\"noc@example.net\" or \"NOC <noc@example.net>\", in ASCII before and behind the @";
    Mailbox::parse(&text).ok_or_else(|| value::misfit(value, "a mail address", accepted))
}

/// The texts of a table, by key.
pub(super) fn texts(table: &mut Table<'_>, key: &'static str) -> Vec<(String, String, std::ops::Range<usize>)> {
    let entries = table.opt(key, |v| match v.get_ref() {
        DeValue::Table(entries) => {
            let entry = |(name, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &Value<'_>)| {
                Ok((name.get_ref().to_string(), value::label(value)?, name.span()))
            };
            entries.iter().map(entry).collect::<Result<Vec<_>, Misfit>>()
        }
        _ => Err(value::misfit(v, "names with values", "a table such as { team = \"noc\" }")),
    });
    entries.unwrap_or_default()
}

/// Whether a receiver is reached over TLS.
pub(super) fn uses_tls(receiver: &Receiver) -> bool {
    let https = |url: &Secret| url.0.starts_with("https:");
    match receiver {
        Receiver::Webhook(settings) => https(&settings.url),
        Receiver::Slack(settings) => https(&settings.url),
        Receiver::PagerDuty(settings) => https(&settings.url),
        Receiver::Alertmanager(settings) => https(&settings.url),
        Receiver::Syslog(settings) => settings.transport == syslog::Transport::Tls,
        Receiver::Email(settings) => settings.protection != Protection::None,
        Receiver::Nats(settings) => settings.servers.iter().any(|server| server.starts_with("tls:")),
        Receiver::Jsonl(_) => false,
    }
}
