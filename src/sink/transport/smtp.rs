//! Mail by SMTP (RFC 5321): one connection for each message. The dialogue is over any stream, so that it can be heard in a
//! test.
//!
//! ```text
//! connect    [TLS]  220  EHLO 250  [STARTTLS 220, TLS, EHLO 250]  [AUTH 235]
//! message    MAIL 250  RCPT 250 (for each)  DATA 354  the message, dots doubled, "."  250  QUIT
//! ```
//! A 4yz reply may heal, and so may everything about the connection and the login: an operator can mend those. A 5yz reply
//! to the message itself is for ever. If some recipients are refused, the others get it, and the answer names the refused.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use tokio_rustls::rustls::ClientConfig;

use super::{host_of, tls};
use crate::sink::{
    Outcome, Secret,
    email::{Mail, Protection, Settings},
    text::{cut, one_line},
};

/// Octets of a line that are read: 512 of a reply (RFC 5321 §4.5.3.1.5), and room for those that write more.
const LINE_MAX: u64 = 4096;
/// Lines of a reply that are read.
const LINES_MAX: usize = 100;

/// A server for outgoing mail.
pub(super) struct Server {
    address: String,
    protection: Protection,
    login: Option<(String, Secret)>,
    /// What we call ourselves.
    name: String,
    tls: Arc<ClientConfig>,
}

/// How a dialogue failed.
#[derive(Debug, PartialEq)]
enum Fault {
    /// It may heal.
    Later(String),
    /// It is about this message, and for ever.
    Never(String),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Later(error.to_string())
    }
}

impl Server {
    pub(super) fn new(settings: &Settings, tls: ClientConfig) -> Self {
        Self {
            address: settings.server.clone(),
            protection: settings.protection,
            login: settings.login.clone(),
            name: settings.from.address.rsplit_once('@').map_or("localhost", |(_, domain)| domain).to_owned(),
            tls: Arc::new(tls),
        }
    }

    pub(super) async fn send(&self, mail: &Mail) -> Outcome {
        match self.try_send(mail).await {
            Ok(answer) => Outcome::Accepted { answer },
            Err(Fault::Later(why)) => Outcome::later(format!("{}: {why}", self.address)),
            Err(Fault::Never(why)) => Outcome::Never { why: format!("{}: {why}", self.address) },
        }
    }

    async fn try_send(&self, mail: &Mail) -> Result<String, Fault> {
        let stream = TcpStream::connect(&self.address).await?;
        let host = host_of(&self.address);
        match self.protection {
            Protection::None => self.greet_and_send(Dialogue::new(stream), mail).await,
            Protection::Tls => {
                let stream = tls::protect(&self.tls, host, stream).await.map_err(Fault::Later)?;
                self.greet_and_send(Dialogue::new(stream), mail).await
            }
            Protection::StartTls => {
                let mut plain = Dialogue::new(stream);
                plain.greeting().await?;
                let offers = plain.hello(&self.name).await?;
                if !offers.iter().any(|offer| offer.eq_ignore_ascii_case("STARTTLS")) {
                    return Err(Fault::Later("the server offers no STARTTLS, and nothing is sent without it".into()));
                }
                plain.connection("STARTTLS", 220).await?;
                // What stands in the buffer came before TLS and could have been put there by anybody.
                let stream = plain.into_inner().ok_or(Fault::Later("the server spoke out of turn".into()))?;
                let stream = tls::protect(&self.tls, host, stream).await.map_err(Fault::Later)?;
                self.login_and_send(Dialogue::new(stream), mail).await
            }
        }
    }

    async fn greet_and_send<S>(&self, mut dialogue: Dialogue<S>, mail: &Mail) -> Result<String, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        dialogue.greeting().await?;
        self.login_and_send(dialogue, mail).await
    }

    async fn login_and_send<S>(&self, mut dialogue: Dialogue<S>, mail: &Mail) -> Result<String, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let offers = dialogue.hello(&self.name).await?;
        if let Some((user, password)) = &self.login {
            dialogue.login(&offers, user, password).await?;
        }
        let answer = dialogue.message(mail).await;
        // It is over either way; what the server thinks of it changes nothing.
        let _ = dialogue.say("QUIT").await;
        answer
    }
}

/// A reply: its code, and the text of each line.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn text(&self) -> String {
        cut(&one_line(&format!("{} {}", self.code, self.lines.join(" "))), 300)
    }
}

struct Dialogue<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    /// The stream; `None`: something came that nobody asked for.
    fn into_inner(self) -> Option<S> {
        self.0.buffer().is_empty().then(|| self.0.into_inner())
    }

    async fn say(&mut self, line: &str) -> Result<(), Fault> {
        let stream = self.0.get_mut();
        stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        Ok(stream.flush().await?)
    }

    /// RFC 5321 §4.2.1: lines with a code and `-`, then one with a code and a space.
    async fn reply(&mut self) -> Result<Reply, Fault> {
        let mut lines = Vec::new();
        while lines.len() < LINES_MAX {
            let mut line = Vec::new();
            (&mut self.0).take(LINE_MAX).read_until(b'\n', &mut line).await?;
            if line.last() != Some(&b'\n') {
                return Err(Fault::Later("the server closed the connection".into()));
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok()).filter(|code| (200..600).contains(code));
            let code = code.ok_or_else(|| Fault::Later(format!("no reply of SMTP: {}", cut(&one_line(line), 80))))?;
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.get(3..4) != Some("-") {
                return Ok(Reply { code, lines });
            }
        }
        Err(Fault::Later("the reply does not end".into()))
    }

    /// Says something about the connection; every other reply than `code` may heal.
    async fn connection(&mut self, line: &str, code: u16) -> Result<Reply, Fault> {
        self.say(line).await?;
        let reply = self.reply().await?;
        if reply.code == code { Ok(reply) } else { Err(Fault::Later(reply.text())) }
    }

    /// Says something about the message: 5yz is for ever.
    async fn about_message(&mut self, line: &str, codes: &[u16]) -> Result<Reply, Fault> {
        self.say(line).await?;
        judged(self.reply().await?, codes)
    }

    async fn greeting(&mut self) -> Result<(), Fault> {
        let reply = self.reply().await?;
        if reply.code == 220 { Ok(()) } else { Err(Fault::Later(reply.text())) }
    }

    /// What the server offers (RFC 5321 §4.1.1.1).
    async fn hello(&mut self, name: &str) -> Result<Vec<String>, Fault> {
        let reply = self.connection(&format!("EHLO {name}"), 250).await?;
        Ok(reply.lines.into_iter().skip(1).collect())
    }

    /// RFC 4954, with the mechanisms that servers have: PLAIN (RFC 4616), else LOGIN.
    async fn login(&mut self, offers: &[String], user: &str, password: &Secret) -> Result<(), Fault> {
        let offer = offers.iter().find_map(|offer| offer.strip_prefix("AUTH ")).unwrap_or_default();
        let has = |mechanism: &str| offer.split(' ').any(|word| word.eq_ignore_ascii_case(mechanism));
        if has("PLAIN") {
            let token = BASE64.encode(format!("\0{user}\0{}", password.0));
            self.connection(&format!("AUTH PLAIN {token}"), 235).await?;
        } else if has("LOGIN") {
            self.connection("AUTH LOGIN", 334).await?;
            self.connection(&BASE64.encode(user), 334).await?;
            self.connection(&BASE64.encode(&password.0), 235).await?;
        } else {
            return Err(Fault::Later(format!("the server offers neither AUTH PLAIN nor LOGIN: `{}`", one_line(offer))));
        }
        Ok(())
    }

    async fn message(&mut self, mail: &Mail) -> Result<String, Fault> {
        self.about_message(&format!("MAIL FROM:<{}>", mail.from), &[250]).await?;
        let mut refused = Vec::new();
        let mut worst = None;
        for to in &mail.to {
            match self.about_message(&format!("RCPT TO:<{to}>"), &[250, 251]).await {
                Ok(_) => {}
                Err(Fault::Never(why)) => {
                    refused.push(format!("{to}: {why}"));
                    worst.get_or_insert(Fault::Never(String::new()));
                }
                Err(Fault::Later(why)) => {
                    refused.push(format!("{to}: {why}"));
                    worst = Some(Fault::Later(String::new()));
                }
            }
        }
        if refused.len() == mail.to.len() {
            let why = format!("no recipient is accepted: {}", refused.join("; "));
            return Err(if matches!(worst, Some(Fault::Later(_))) { Fault::Later(why) } else { Fault::Never(why) });
        }
        self.about_message("DATA", &[354]).await?;
        let mut octets = Vec::with_capacity(mail.octets.len() + 64);
        for line in mail.octets.split_inclusive(|octet| *octet == b'\n') {
            // RFC 5321 §4.5.2.
            if line.first() == Some(&b'.') {
                octets.push(b'.');
            }
            octets.extend_from_slice(line);
        }
        octets.extend_from_slice(b".\r\n");
        let stream = self.0.get_mut();
        stream.write_all(&octets).await?;
        stream.flush().await?;
        let reply = judged(self.reply().await?, &[250])?;
        if refused.is_empty() {
            return Ok(reply.text());
        }
        Ok(format!("{}; not for {}", reply.text(), refused.join("; ")))
    }
}

fn judged(reply: Reply, codes: &[u16]) -> Result<Reply, Fault> {
    match reply.code {
        code if codes.contains(&code) => Ok(reply),
        500..=599 => Err(Fault::Never(reply.text())),
        _ => Err(Fault::Later(reply.text())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a server that says `replies`, one after each thing it hears; gives what it heard and what came of it.
    async fn play(login: Option<(&str, &str)>, replies: &[&str], mail: &Mail) -> (Vec<String>, Result<String, Fault>) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let server = Server {
            address: "mail.example:25".into(),
            protection: Protection::None,
            login: login.map(|(user, password)| (user.into(), Secret(password.into()))),
            name: "example.net".into(),
            tls: Arc::new(tls::config(None).unwrap()),
        };
        let replies: Vec<String> = replies.iter().map(|reply| format!("{reply}\r\n")).collect();
        let script = async move {
            let mut stream = BufReader::new(theirs);
            let mut heard: Vec<String> = Vec::new();
            for reply in replies {
                // Who has said QUIT may be gone.
                let _ = stream.get_mut().write_all(reply.as_bytes()).await;
                let (mut said, in_data) = (String::new(), reply.starts_with("354"));
                while stream.read_line(&mut said).await.unwrap() > 0 && in_data && !said.ends_with("\r\n.\r\n") {}
                heard.push(said.trim_end_matches("\r\n").to_owned());
            }
            heard
        };
        tokio::join!(script, server.greet_and_send(Dialogue::new(ours), mail))
    }

    fn mail(to: &[&str], text: &str) -> Mail {
        Mail { from: "a@example.net".into(), to: to.iter().map(|to| (*to).to_owned()).collect(), octets: text.into() }
    }

    const HELLO: &str = "250-mail.example\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME";

    #[tokio::test]
    async fn a_message_goes_out_with_its_dots_doubled() {
        let mail = mail(&["b@example.org", "c@example.org"], "Subject: x\r\n\r\n.hidden\r\n..\r\n.\r\n");
        let replies = ["220 hi", HELLO, "250 ok", "250 ok", "251 forwarded", "354 go on", "250 queued as 1", "221 bye"];
        let (heard, outcome) = play(None, &replies, &mail).await;
        assert_eq!(outcome, Ok("250 queued as 1".into()));
        assert_eq!(
            heard,
            [
                "EHLO example.net",
                "MAIL FROM:<a@example.net>",
                "RCPT TO:<b@example.org>",
                "RCPT TO:<c@example.org>",
                "DATA",
                "Subject: x\r\n\r\n..hidden\r\n...\r\n..\r\n.",
                "QUIT",
                "",
            ]
        );
    }

    #[tokio::test]
    async fn a_login_is_by_plain_or_by_login() {
        let mail = mail(&["b@example.org"], "x\r\n");
        let rest = ["250 ok", "250 ok", "354 go", "250 done", "221 bye"];
        let plain = [&["220 hi", HELLO, "235 ok"][..], &rest].concat();
        let (heard, outcome) = play(Some(("me", "s3cret")), &plain, &mail).await;
        assert_eq!((outcome.is_ok(), heard[1].as_str()), (true, "AUTH PLAIN AG1lAHMzY3JldA=="));
        let login =
            [&["220 hi", "250-x\r\n250 AUTH LOGIN", "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok"][..], &rest];
        let (heard, outcome) = play(Some(("me", "s3cret")), &login.concat(), &mail).await;
        assert!(outcome.is_ok());
        assert_eq!(heard[1..4], ["AUTH LOGIN", "bWU=", "czNjcmV0"]);
        let (_, outcome) = play(Some(("me", "wrong")), &["220 hi", HELLO, "535 5.7.8 no"], &mail).await;
        assert_eq!(outcome, Err(Fault::Later("535 5.7.8 no".into())), "an operator can mend it");
        let (_, outcome) = play(Some(("me", "x")), &["220 hi", "250 x"], &mail).await;
        assert!(matches!(outcome, Err(Fault::Later(why)) if why.contains("neither AUTH PLAIN nor LOGIN")));
    }

    #[tokio::test]
    async fn replies_say_what_heals() {
        let one = mail(&["b@example.org"], "x\r\n");
        let two = mail(&["b@example.org", "c@example.org"], "x\r\n");
        let later = |why: &str| Err(Fault::Later(why.into()));
        let never = |why: &str| Err(Fault::Never(why.into()));
        let rows: [(&Mail, &[&str], Result<String, Fault>); 8] = [
            (&one, &["554 go away"], later("554 go away")),
            (&one, &["220 hi", "421 too busy"], later("421 too busy")),
            (&one, &["220 hi", HELLO, "550 not you"], never("550 not you")),
            (&one, &["220 hi", HELLO, "451 grey"], later("451 grey")),
            (
                &one,
                &["220 hi", HELLO, "250 ok", "550 who?", "221 bye"],
                never("no recipient is accepted: b@example.org: 550 who?"),
            ),
            (
                &two,
                &["220 hi", HELLO, "250 ok", "550 who?", "450 later", "221 bye"],
                later("no recipient is accepted: b@example.org: 550 who?; c@example.org: 450 later"),
            ),
            (
                &two,
                &["220 hi", HELLO, "250 ok", "550 who?", "250 ok", "354 go", "250 done", "221 bye"],
                Ok("250 done; not for b@example.org: 550 who?".into()),
            ),
            (&one, &["220 hi", HELLO, "250 ok", "250 ok", "354 go", "552 too big", "221 bye"], never("552 too big")),
        ];
        for (mail, replies, expected) in rows {
            let (_, outcome) = play(None, replies, mail).await;
            assert_eq!(outcome, expected, "{replies:?}");
        }
        let (_, outcome) = play(None, &["HTTP/1.1 400 Bad Request"], &one).await;
        assert_eq!(outcome, later("no reply of SMTP: HTTP/1.1 400 Bad Request"));
    }
}
