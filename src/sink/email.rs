//! A message as RFC 5322 wants it. What comes from routes and people cannot begin a header: every value of one is made a
//! single line first, and encoded (RFC 2047) where it is not ASCII.
//!
//! Messages about one alert are one thread: each refers to the first one's Message-ID, which is made from the alert's id.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::{Context, text, text::Secret};
use crate::{
    alert::{Change, Why},
    types::Timestamp,
};

/// The names of months in dates (RFC 5322 §3.3).
pub(super) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Longest line of a message without its end (RFC 5322 §2.1.1).
const LINE_OCTETS_MAX: usize = 998;
/// Octets in one encoded word: 45 octets are 60 of base64, and with `=?utf-8?B?` around them below the 75 of RFC 2047 §2.
const WORD_OCTETS_MAX: usize = 45;

/// Who is written to, or writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mailbox {
    /// What people see; may be empty.
    pub name: String,
    /// `local@domain`, ASCII.
    pub address: String,
}

impl Mailbox {
    /// Reads `Name <local@domain>` or `local@domain`; `None` for anything else, or what is not ASCII or not one line.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return None;
        }
        let (name, address) = match text.strip_suffix('>').and_then(|text| text.split_once('<')) {
            Some((name, address)) => (name.trim().trim_matches('"'), address),
            None => ("", text),
        };
        let (local, domain) = address.rsplit_once('@')?;
        // RFC 5321 §4.1.2 without quoted local parts; §4.5.3.1 for the lengths.
        let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        let host = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        let fits = (1..=64).contains(&local.len()) && (1..=255).contains(&domain.len());
        let right = fits && local.chars().all(atom) && domain.chars().all(host);
        right.then(|| Self { name: name.to_owned(), address: address.to_owned() })
    }

    fn header(&self) -> String {
        match self.name.as_str() {
            "" => self.address.clone(),
            name if name.is_ascii() => {
                format!("\"{}\" <{}>", name.replace('\\', "\\\\").replace('"', "\\\""), self.address)
            }
            name => format!("{} <{}>", encoded(name), self.address),
        }
    }
}

/// How the connection to the server is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    /// From its first octet (RFC 8314 §3.3).
    Tls,
    /// Asked for before anything else is said (RFC 3207); without it, nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

/// A server and who is written to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Host and port.
    pub server: String,
    /// How the connection is protected.
    pub protection: Protection,
    /// User and password.
    pub login: Option<(String, Secret)>,
    /// Who writes.
    pub from: Mailbox,
    /// Who is written to; at least one.
    pub to: Vec<Mailbox>,
}

/// A message and its envelope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// For MAIL FROM.
    pub from: String,
    /// For RCPT TO.
    pub to: Vec<String>,
    /// Header and content, lines ending with CR LF.
    pub octets: Vec<u8>,
}

/// The message that tells `change`.
pub fn mail(settings: &Settings, change: &Change, context: &Context<'_>) -> Mail {
    let alert = &*change.alert;
    let domain = settings.from.address.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let subject = format!("[ribwatch] {}: {}", text::shout(change), alert.summary);
    let thread = format!("<{}@{domain}>", id(&alert.id));
    // The delivery has a number of its own, so that a second copy is known as one.
    let this = match change.why {
        Why::Opened => thread.clone(),
        _ => format!("<{}@{domain}>", id(&text::delivery_id(change))),
    };
    let to: Vec<String> = settings.to.iter().map(Mailbox::header).collect();
    let mut head = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = write!(head, "{name}: {value}\r\n");
    };
    line("From", &settings.from.header());
    line("To", &to.join(",\r\n "));
    line("Subject", &encoded(&text::cut(&subject, 200)));
    line("Date", &date(context.now));
    line("Message-ID", &this);
    if this != thread {
        line("In-Reply-To", &thread);
        line("References", &thread);
    }
    line("MIME-Version", "1.0");
    // RFC 3834 §5: nobody on leave needs to answer.
    line("Auto-Submitted", "auto-generated");
    line("X-Ribwatch-Alert", &id(&alert.id));
    line("X-Ribwatch-Event", change.why.name());
    line("X-Ribwatch-Severity", alert.severity.name());
    let content = content(change, context);
    let plain = content.is_ascii() && content.lines().all(|line| line.len() <= LINE_OCTETS_MAX);
    line("Content-Type", if plain { "text/plain; charset=us-ascii" } else { "text/plain; charset=utf-8" });
    line("Content-Transfer-Encoding", if plain { "7bit" } else { "base64" });
    head.push_str("\r\n");
    if plain {
        head.push_str(&content);
    } else {
        let encoded = BASE64.encode(content);
        for line in encoded.as_bytes().chunks(76) {
            head.push_str(std::str::from_utf8(line).unwrap_or_default());
            head.push_str("\r\n");
        }
    }
    let to = settings.to.iter().map(|mailbox| mailbox.address.clone()).collect();
    Mail { from: settings.from.address.clone(), to, octets: head.into_bytes() }
}

/// What people read, lines ending with CR LF.
fn content(change: &Change, context: &Context<'_>) -> String {
    let alert = &*change.alert;
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(&text::one_line(text));
        out.push_str("\r\n");
    };
    line(&alert.summary);
    line(&alert.why);
    line("");
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            line(&format!("{name:<15} {value}"));
        }
    };
    field("kind", alert.kind().to_string());
    field("severity", alert.severity.to_string());
    field("state", alert.state.name().to_owned());
    field("happened", change.why.name().to_owned());
    field("prefix", alert.prefix.map(|prefix| prefix.to_string()).unwrap_or_default());
    field("ASes", text::asns(alert));
    field("seen by", text::neighbors(alert));
    field("first seen", alert.first_seen.to_string());
    field("last seen", alert.last_seen.to_string());
    field("resolved at", alert.resolved_at.map(|at| at.to_string()).unwrap_or_default());
    field("acknowledged by", alert.acknowledged_by.clone().unwrap_or_default());
    if alert.member_count > 0 {
        field("members", format!("{}: {}", alert.member_count, alert.members.join(", ")));
    }
    for (name, value) in &alert.evidence {
        field(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    for comment in &alert.comments {
        field("comment", format!("{} {}: {}", comment.at, comment.author, comment.text));
    }
    field("alert", alert.id.to_string());
    field("router", context.source.to_owned());
    field("more", context.link(change).unwrap_or_default());
    out
}

/// The value of a header: as it is, or in encoded words (RFC 2047 §2, §5) on folded lines.
fn encoded(text: &str) -> String {
    let text = text::one_line(text);
    // What looks like an encoded word would be decoded by who reads it.
    if text.is_ascii() && !text.contains("=?") {
        return text;
    }
    let (mut words, mut rest) = (Vec::new(), text.as_str());
    while !rest.is_empty() {
        let word = text::cut_octets(rest, WORD_OCTETS_MAX);
        words.push(format!("=?utf-8?B?{}?=", BASE64.encode(word)));
        rest = &rest[word.len()..];
    }
    words.join("\r\n ")
}

/// What may stand in a Message-ID before the `@` (RFC 5322 §3.2.3), without dots.
fn id(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// `Mon, 24 Nov 2025 16:00:00 +0000` (RFC 5322 §3.3).
pub(super) fn date(at: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let text = at.to_string();
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    // The epoch began on a Thursday.
    let day = DAYS[(at.0 / 86_400_000_000 % 7) as usize];
    let month = part(5..7).parse::<usize>().ok().and_then(|month| MONTHS.get(month - 1)).copied().unwrap_or_default();
    format!("{day}, {} {month} {} {} +0000", part(8..10), part(0..4), part(11..19))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sink::sample;

    fn settings() -> Settings {
        Settings {
            server: "mail.example:587".into(),
            protection: Protection::StartTls,
            login: None,
            from: Mailbox::parse("ribwatch <ribwatch@example.net>").unwrap(),
            to: vec![Mailbox::parse("noc@example.net").unwrap(), Mailbox::parse("Zoë <zoe@example.org>").unwrap()],
        }
    }

    fn read(change: &Change) -> (Vec<String>, String) {
        let now = Timestamp::from_secs(1_764_000_000);
        let mail = mail(&settings(), change, &Context { now, ..Context::plain("rtr-1") });
        assert_eq!(mail.from, "ribwatch@example.net");
        assert_eq!(mail.to, ["noc@example.net", "zoe@example.org"]);
        let text = String::from_utf8(mail.octets).unwrap();
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "no bare line feed");
        let (head, content) = text.split_once("\r\n\r\n").unwrap();
        (head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect(), content.to_owned())
    }

    #[test]
    fn a_message_has_its_headers_and_its_thread() {
        let (opened, resolved) = sample::pair(Timestamp::from_secs(1_764_000_000), 1);
        let (head, content) = read(&opened);
        assert_eq!(
            head,
            [
                "From: \"ribwatch\" <ribwatch@example.net>",
                "To: noc@example.net, =?utf-8?B?Wm/Dqw==?= <zoe@example.org>",
                "Subject: [ribwatch] CRITICAL: TEST: AS64511 announces 203.0.113.128/25 inside 203.0.113.0/24 of AS64500",
                "Date: Mon, 24 Nov 2025 16:00:00 +0000",
                "Message-ID: <test-1@example.net>",
                "MIME-Version: 1.0",
                "Auto-Submitted: auto-generated",
                "X-Ribwatch-Alert: test-1",
                "X-Ribwatch-Event: opened",
                "X-Ribwatch-Severity: critical",
                "Content-Type: text/plain; charset=us-ascii",
                "Content-Transfer-Encoding: 7bit",
            ]
        );
        assert!(content.contains("\r\nASes            expected AS64500; observed AS64511\r\n"), "{content}");
        assert!(content.contains("\r\nas_path         64497 64511\r\n"), "{content}");
        let mut named = (*opened.alert).clone();
        named.evidence.insert("paths_of_expected_origins".into(), 1.into());
        let (_, content) = read(&Change { alert: Arc::new(named), ..opened });
        assert!(content.contains("\r\npaths_of_expected_origins 1\r\n"), "a long name stands apart: {content}");
        let (head, _) = read(&resolved);
        assert!(head[2].starts_with("Subject: [ribwatch] RESOLVED: "));
        assert_eq!(head[4], "Message-ID: <test-1-2@example.net>");
        assert_eq!(head[5..7], ["In-Reply-To: <test-1@example.net>", "References: <test-1@example.net>"]);
    }

    #[test]
    fn nothing_from_outside_begins_a_header() {
        let (opened, _) = sample::pair(Timestamp::from_secs(1), 1);
        let mut alert = (*opened.alert).clone();
        alert.summary = "evil\r\nBcc: victim@example.org\r\n\r\nbody".into();
        alert.id = "x>\r\nBcc: a@b".into();
        alert.why = "line\r\n.\r\nQUIT".into();
        let (head, content) = read(&Change { alert: Arc::new(alert), ..opened.clone() });
        assert!(head.iter().all(|line| !line.starts_with("Bcc")), "{head:?}");
        assert!(!content.contains("\r\n.\r\n"));
        let mut alert = (*opened.alert).clone();
        alert.summary = "größer\r\nBcc: x@y".into();
        let (head, content) = read(&Change { alert: Arc::new(alert), ..opened });
        assert!(head[2].starts_with("Subject: =?utf-8?B?"), "{head:?}");
        assert!(head.contains(&"Content-Transfer-Encoding: base64".to_owned()));
        assert!(content.lines().all(|line| line.len() <= 76));
    }

    #[test]
    fn mailboxes_are_read_or_refused() {
        for text in ["a@b.example", "A B <a.b+c@b.example>", "\"A, B\" <a@[192.0.2.1]>"] {
            assert!(Mailbox::parse(text).is_some(), "{text}");
        }
        for text in
            ["", "a", "a@", "@b", "a b@c", "a@b c", "a@b\r\nRCPT TO:<c@d>", "x\n <a@b>", "<a@b> c", "a@b>", "é@b"]
        {
            assert!(Mailbox::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn dates_have_their_day_of_the_week() {
        assert_eq!(date(Timestamp::from_secs(784_111_777)), "Sun, 06 Nov 1994 08:49:37 +0000");
        assert_eq!(date(Timestamp::from_secs(1_709_208_000)), "Thu, 29 Feb 2024 12:00:00 +0000");
    }
}
