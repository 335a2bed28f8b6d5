//! NATS: one message for each change, under a subject that ends in the kind of alert, so that a subscriber takes those it
//! wants. With JetStream the server keeps the message and says so; its header `Nats-Msg-Id` lets it drop what it has.

use super::{Context, Secret, json::Body, text};
use crate::alert::Change;

/// Servers of one cluster, and where alerts go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// `nats://host:port` or `tls://host:port`; one that answers is taken.
    pub servers: Vec<String>,
    /// The kind of alert is put behind it, with a dot between.
    pub subject: String,
    /// Whether a stream must have taken the message. Without it, a server that has read it is enough.
    pub jetstream: bool,
    /// How we are known to the servers.
    pub login: Login,
}

/// How we are known to the servers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Login {
    /// Not at all.
    None,
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
    /// What a file of credentials holds: a JWT and the seed of a key.
    Credentials(Secret),
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// `Nats-Msg-Id`: the same for every attempt.
    pub id: String,
    /// Its content: the JSON of an alert.
    pub octets: Vec<u8>,
}

/// The message that tells `change`.
pub fn message(settings: &Settings, change: &Change, context: &Context<'_>) -> Message {
    Message {
        subject: format!("{}.{}", settings.subject, change.alert.kind().name()),
        id: text::delivery_id(change),
        octets: Body::new(change, context).octets(),
    }
}

/// Whether alerts can be sent under this subject: words with dots between, none of them a wildcard.
pub fn is_subject(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '*' | '>'))
            && !word.starts_with('$')
    };
    text.len() <= 200 && text.split('.').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sink::sample, types::Timestamp};

    #[test]
    fn a_message_has_a_subject_by_kind_and_an_id_by_delivery() {
        let settings = Settings {
            servers: vec!["nats://127.0.0.1:4222".into()],
            subject: "noc.alerts".into(),
            jetstream: false,
            login: Login::Token(Secret("s3cret".into())),
        };
        let (opened, resolved) = sample::pair(Timestamp::from_secs(1), 9);
        let first = message(&settings, &opened, &Context::plain("r"));
        assert_eq!((first.subject.as_str(), first.id.as_str()), ("noc.alerts.subprefix-hijack", "test-9-1"));
        assert_ne!(message(&settings, &resolved, &Context::plain("r")).id, first.id);
        let body: serde_json::Value = serde_json::from_slice(&first.octets).unwrap();
        assert_eq!(body["id"], "test-9");
        assert!(!format!("{settings:?}").contains("s3cret"));
    }

    #[test]
    fn subjects_have_no_wildcards_and_no_empty_words() {
        for good in ["ribwatch.alerts", "a", "a-b.c_d.1"] {
            assert!(is_subject(good), "{good}");
        }
        for bad in ["", ".", "a.", "a..b", "a.*", ">", "a b", "a\r\nPUB x", "$SYS.x"] {
            assert!(!is_subject(bad), "{bad}");
        }
    }
}
