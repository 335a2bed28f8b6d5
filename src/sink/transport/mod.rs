//! Carries payloads to receivers. Each kind of road has its file; all of them end in an [`Outcome`], and none of them
//! waits longer than the sink's `timeout`.

mod file;
mod http;
mod lines;
#[cfg(feature = "nats")]
mod nats;
mod smtp;
mod tls;

use super::{Outcome, Parcel, Payload, Receiver, SinkSettings, jsonl, syslog::Transport as Lines};
use crate::types::Timestamp;

/// What is said of `type = "nats"` where it was left out of the build.
pub const NO_NATS: &str = "this build knows no NATS: build it with `cargo build --release --features nats`";

/// A road to a receiver. It keeps connections where that is of use.
pub struct Transport(Road);

enum Road {
    Http(Box<http::Http>),
    Lines(lines::Lines),
    Mail(smtp::Server),
    #[cfg(feature = "nats")]
    Nats(Box<nats::Nats>),
    File(jsonl::Settings),
}

impl Transport {
    /// The road to the receiver of `settings`. Nothing is connected yet.
    ///
    /// # Errors
    /// One sentence: certificates cannot be read, or this build cannot reach such a receiver.
    pub fn new(settings: &SinkSettings) -> Result<Self, String> {
        let tls = || tls::config(settings.ca_file.as_deref());
        Ok(Self(match &settings.receiver {
            Receiver::Webhook(_) | Receiver::Slack(_) | Receiver::PagerDuty(_) | Receiver::Alertmanager(_) => {
                Road::Http(Box::new(http::Http::new(tls()?)))
            }
            Receiver::Syslog(syslog) => {
                let tls = if syslog.transport == Lines::Tls { Some(tls()?) } else { None };
                Road::Lines(lines::Lines::new(syslog.clone(), tls))
            }
            Receiver::Email(email) => Road::Mail(smtp::Server::new(email, tls()?)),
            #[cfg(feature = "nats")]
            Receiver::Nats(nats) => Road::Nats(Box::new(nats::Nats::new(nats.clone(), settings.ca_file.clone()))),
            #[cfg(not(feature = "nats"))]
            Receiver::Nats(_) => return Err(NO_NATS.to_owned()),
            Receiver::Jsonl(file) => Road::File(file.clone()),
        }))
    }

    /// Tells `parcels` as `settings` say. Ends within `settings.timeout`.
    pub async fn deliver(&self, settings: &SinkSettings, parcels: &[Parcel], now: Timestamp) -> Outcome {
        let Some(payload) = settings.payload(parcels, now) else {
            return Outcome::Accepted { answer: "nothing to tell".to_owned() };
        };
        let sent = tokio::time::timeout(settings.timeout, self.send(payload, now));
        let limit = settings.timeout.as_secs_f32();
        sent.await.unwrap_or_else(|_| Outcome::later(format!("no answer within {limit}s")))
    }

    async fn send(&self, payload: Payload, now: Timestamp) -> Outcome {
        match (&self.0, payload) {
            (Road::Http(http), Payload::Http(request)) => http.send(request, now).await,
            (Road::Lines(lines), Payload::Octets(octets)) => lines.send(&octets).await,
            (Road::Mail(server), Payload::Mail(mail)) => server.send(&mail).await,
            #[cfg(feature = "nats")]
            (Road::Nats(nats), Payload::Message(message)) => nats.send(message).await,
            (Road::File(settings), Payload::Octets(octets)) => file::append(settings.clone(), octets).await,
            // Both come from the same settings.
            _ => Outcome::Never { why: "this payload is for another kind of receiver".to_owned() },
        }
    }
}

/// An error with all that caused it, on one line: what happened is often at the end.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(&format!(": {said}"));
        }
        cause = error.source();
    }
    text
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_address_has_no_brackets() {
        assert_eq!(host_of("mail.example.net:25"), "mail.example.net");
        assert_eq!(host_of("[2001:db8::1]:25"), "2001:db8::1");
    }
}
