//! `[access]`: tokens, certificates and the audit log; the keys of `[api]` and `[http]` about who comes in; and that nobody listens
//! beyond this machine without asking who it is.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::{
    read::{Misfit, Table, Value},
    sections::Listener,
    value,
};
use crate::{
    access::{CertificateName, CertificateRule, Role, Rules, Token, TokenHash},
    io::door::{tls::TlsFiles, unix::SocketFile},
    types::Timestamp,
};

/// `[access]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// `[[access.token]]`, `[[access.certificate]]`, `unauthenticated_beyond_loopback` and `socket_role`.
    pub rules: Rules,
    /// `audit`: the file of the audit log; `None`: it goes to the log alone.
    pub audit: Option<PathBuf>,
}

/// Reads the section; without it, this machine may do everything and nobody else anything. Relative paths are looked for in `base`.
pub(super) fn read(file: &mut Table<'_>, base: &Path) -> Access {
    let mut access = Access::default();
    let Some(mut table) = file.table("access", "[access]") else { return access };
    access.audit = table.opt("audit", value::text).map(|path| base.join(path));
    access.rules.unauthenticated = table.opt("unauthenticated_beyond_loopback", role);
    access.rules.socket_role = table.or("socket_role", Role::Admin, role);
    for token in table.tables("token", "[[access.token]]") {
        read_token(token, base, &mut access.rules);
    }
    for certificate in table.tables("certificate", "[[access.certificate]]") {
        read_certificate(certificate, &mut access.rules);
    }
    table.finish();
    access
}

fn role(value: &Value<'_>) -> Result<Role, Misfit> {
    value::word(value, &Role::ALL.map(|role| (role.name(), role)))
}

/// `name` and `role`, which tokens and certificates have.
fn read_principal(table: &mut Table<'_>, rules: &Rules) -> Option<(String, Role)> {
    let name = table.required("name", "name = \"noc\"", value::label);
    let role = table.required("role", "role = \"view\"", role);
    let tokens = rules.tokens.iter().map(|token| &token.name);
    let mut names = tokens.chain(rules.certificates.iter().map(|certificate| &certificate.name));
    if let Some(name) = &name
        && names.any(|other| **other == **name)
    {
        let what = format!("{name:?} stands for somebody already");
        table.fault(table.span_of("name"), what, "give each token and certificate a name of its own");
    }
    name.zip(role)
}

fn read_token(mut table: Table<'_>, base: &Path, rules: &mut Rules) {
    let principal = read_principal(&mut table, rules);
    let keys = ["hash", "token_file", "token_env"];
    let written: Vec<&str> = keys.into_iter().filter(|key| table.has(key)).collect();
    match written.as_slice() {
        [] => {
            let help = "make one with `ribwatch token new --name NAME --role ROLE`, which prints the lines to paste";
            table.fault(table.span(), "[[access.token]] lacks `hash`, or `token_file` or `token_env`", help);
        }
        [first, second, ..] => {
            table.fault(table.span_of(second), format!("`{second}` contradicts `{first}`"), "remove one of them");
        }
        [_] => {}
    }
    let hash = table.opt("hash", hash);
    let from_file = table.opt("token_file", |v| {
        let path = base.join(value::text(v)?);
        let text = std::fs::read_to_string(&path).map_err(|why| Misfit {
            span: v.span(),
            what: format!("{} cannot be read: {why}", path.display()),
            accepted: "the path of a file whose first line is the token".to_owned(),
        })?;
        token(v, text.lines().next().unwrap_or_default().trim(), &path.display().to_string())
    });
    let from_env = table.opt("token_env", |v| {
        let variable = value::text(v)?;
        let accepted = "the name of a variable that is set when ribwatch starts".to_owned();
        let set = std::env::var(&variable).map_err(|_| Misfit {
            span: v.span(),
            what: format!("the variable {variable} is not set"),
            accepted,
        })?;
        token(v, set.trim(), &format!("the variable {variable}"))
    });
    let expires = table.opt("expires", time);
    if let (Some((name, role)), Some(hash)) = (principal, hash.or(from_file).or(from_env)) {
        if let Some(other) = rules.tokens.iter().find(|other| other.hash == hash) {
            let what = format!("{} has the same token", other.name);
            table.fault(table.span(), what, "give each a token of its own, or nobody can tell who it was");
        }
        rules.tokens.push(Token { name: name.into(), role, hash, expires });
    }
    table.finish();
}

/// What stands there is not told back: it may be the token itself.
fn hash(value: &Value<'_>) -> Result<TokenHash, Misfit> {
    let wrong = || Misfit {
        span: value.span(),
        what: "this is no hash of a token".to_owned(),
        accepted: "sha256: and 64 hexadecimal digits, as `ribwatch token new` prints them".to_owned(),
    };
    match value.get_ref() {
        DeValue::String(text) => text.parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// The hash of a token from `place`.
fn token(value: &Value<'_>, token: &str, place: &str) -> Result<TokenHash, Misfit> {
    let least = TokenHash::TOKEN_CHARS_MIN;
    let fits = |c: char| c.is_ascii_graphic() && !['"', ',', ';', '\\'].contains(&c);
    if token.len() < least || !token.chars().all(fits) {
        return Err(Misfit {
            span: value.span(),
            what: format!("what stands in {place} is no token"),
            accepted: format!(
                "at least {least} random characters of ASCII without blanks, quotes, commas and semicolons"
            ),
        });
    }
    Ok(TokenHash::of(token))
}

fn time(value: &Value<'_>) -> Result<Timestamp, Misfit> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.clone().into_owned(),
        DeValue::Datetime(time) => time.to_string(),
        _ => String::new(),
    };
    text.parse().map_err(|_| value::misfit(value, "a time", "RFC 3339, such as \"2027-01-31T00:00:00Z\""))
}

fn read_certificate(mut table: Table<'_>, rules: &mut Rules) {
    let principal = read_principal(&mut table, rules);
    let subject = table.opt("subject", value::label);
    let alternative = table.opt("san", value::label);
    let shows = match (subject, alternative, table.has("subject"), table.has("san")) {
        (_, _, true, true) => {
            table.fault(table.span_of("san"), "`san` contradicts `subject`", "remove one of them");
            None
        }
        (_, _, false, false) => {
            let help =
                "add the common name as subject = \"robot\", or a DNS name or URI as san = \"robot.example.net\"";
            table.fault(table.span(), "[[access.certificate]] lacks `subject` or `san`", help);
            None
        }
        (Some(subject), ..) => Some(CertificateName::Subject(subject)),
        (_, Some(alternative), ..) => Some(CertificateName::Alternative(alternative)),
        (None, None, ..) => None, // faulty, and noted
    };
    if let (Some((name, role)), Some(shows)) = (principal, shows) {
        rules.certificates.push(CertificateRule { name: name.into(), role, shows });
    }
    table.finish();
}

/// `tls` of a listener; the files must be usable as they are now.
pub(super) fn read_tls(listener: &mut Table<'_>, base: &Path) -> Option<TlsFiles> {
    let mut table = listener.table("tls", "tls = { certificate = \"…\", key = \"…\" }")?;
    let mut file = |key, example: Option<&str>| {
        let path = match example {
            Some(example) => table.required(key, example, value::text),
            None => table.opt(key, value::text),
        };
        path.map(|path| base.join(path))
    };
    let certificate = file("certificate", Some("certificate = \"/etc/ribwatch/tls.pem\""));
    let key = file("key", Some("key = \"/etc/ribwatch/tls.key\""));
    let client_ca = file("client_ca", None);
    let files = TlsFiles { certificate: certificate?, key: key?, client_ca };
    if let Err(fault) = files.read(&[]) {
        table.fault(table.span_of(fault.key), fault.what, "accepted: PEM files that this user may read");
    }
    table.finish();
    Some(files)
}

/// `socket` and `socket_mode` of `[api]`.
pub(super) fn read_socket(table: &mut Table<'_>, base: &Path) -> Option<SocketFile> {
    let path = table.opt("socket", value::text).map(|path| base.join(path));
    let mode = table.opt("socket_mode", |v| {
        let accepted = "permissions in octal and in quotes, such as \"0660\"";
        let text = value::text(v).map_err(|_| value::misfit(v, "permissions", accepted))?;
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.ok_or_else(|| value::misfit(v, "permissions", accepted))
    });
    if table.has("socket_mode") && !table.has("socket") {
        table.fault(table.span_of("socket_mode"), "`socket_mode` lacks `socket`", "add the path of one, or remove it");
    }
    Some(SocketFile { path: path?, mode: mode.unwrap_or(0o660) })
}

/// Names of hosts.
pub(super) fn read_hosts(table: &mut Table<'_>) -> Vec<String> {
    let host = |v: &Value<'_>| {
        let name = value::label(v)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '_');
        let accepted = "the name or address of a host in quotes, without a port";
        if name.chars().all(fits) { Ok(name) } else { Err(value::misfit(v, "the name of a host", accepted)) }
    };
    table.or("hosts", Vec::new(), |v| value::list(v, "[\"ribwatch.example.net\"]", host))
}

/// What only shows when listeners and `[access]` are seen beside each other.
pub(super) fn check(file: &mut Table<'_>, listeners: [(&'static str, &'static str, &Listener); 2], access: &Access) {
    let rules = &access.rules;
    for (key, heading, listener) in listeners {
        let asks = !rules.tokens.is_empty()
            || !rules.certificates.is_empty() && listener.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        if !listener.enabled || listener.listen.ip().is_loopback() || asks || rules.unauthenticated.is_some() {
            continue;
        }
        let span = file.table(key, heading).map_or_else(|| file.span(), |table| table.span_of("listen"));
        let what = format!(
            "{heading} listens on {}, which other machines can reach, and asks nobody who it is",
            listener.listen
        );
        let help = "add [[access.token]] (`ribwatch token new` makes one), or listen on 127.0.0.1; to let everybody read, \
                    say unauthenticated_beyond_loopback = \"view\" in [access]";
        file.fault(span, what, help);
    }
    let shown =
        listeners.iter().any(|(_, _, listener)| listener.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()));
    if !rules.certificates.is_empty() && !shown {
        let help = "add client_ca to tls of [api] or [http]";
        file.fault(file.span_of("access"), "[[access.certificate]]: no listener asks clients for a certificate", help);
    }
}

/// What the operator probably wants to know, one sentence each.
pub(super) fn advice(listeners: [(&str, &Listener); 2], access: &Access) -> Vec<String> {
    let mut notes = Vec::new();
    for (heading, listener) in listeners {
        if !listener.enabled || listener.listen.ip().is_loopback() {
            continue;
        }
        let address = listener.listen;
        if let Some(role) = access.rules.unauthenticated {
            notes.push(format!(
                "{heading} listens on {address}: whoever reaches it has the role {role} without a token"
            ));
        }
        if !access.rules.tokens.is_empty() && listener.tls.is_none() {
            notes.push(format!("{heading} listens on {address} without tls: tokens can be read on the way there"));
        }
    }
    notes
}
