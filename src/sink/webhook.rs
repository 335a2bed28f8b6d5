//! Any HTTP receiver: JSON of our own or from a template, signed as Standard Webhooks 1.0.0 (standardwebhooks.com)
//! describes, so that receivers check it with the libraries there are for that.
//!
//! # The signature
//! `webhook-id` names the delivery and is the same for each attempt; `webhook-timestamp` is the second of the attempt;
//! `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. The key is what follows `whsec_`
//! in the secret, base64-decoded; of a secret without that beginning, its octets.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::{Context, HttpRequest, json::Body, template::Template, text, text::Secret};
use crate::alert::Change;

/// How a receiver knows us.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// Without a colon.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// `Authorization: Bearer` (RFC 6750).
    Bearer(Secret),
}

impl Auth {
    /// The header, if there is one.
    pub(super) fn header(&self) -> Option<(String, String)> {
        let value = match self {
            Self::None => return None,
            Self::Basic { user, password } => format!("Basic {}", BASE64.encode(format!("{user}:{}", password.0))),
            Self::Bearer(token) => format!("Bearer {}", token.0),
        };
        Some(("authorization".to_owned(), value))
    }
}

/// A receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Where to.
    pub url: Secret,
    /// `POST` or `PUT`.
    pub method: &'static str,
    /// How it knows us.
    pub auth: Auth,
    /// More headers.
    pub headers: Vec<(String, Secret)>,
    /// What the signature is made with.
    pub secret: Option<Secret>,
    /// Media type of the content.
    pub content_type: String,
    /// The content, if it is not ours.
    pub template: Option<Template>,
}

/// The request that tells `change`.
pub fn request(settings: &Settings, change: &Change, context: &Context<'_>) -> HttpRequest {
    let body = Body::new(change, context);
    let octets = match &settings.template {
        Some(template) => template.fill(&body.value()).into_bytes(),
        None => body.octets(),
    };
    let (id, timestamp) = (text::delivery_id(change), context.now.0 / 1_000_000);
    let mut headers = vec![
        ("content-type".to_owned(), settings.content_type.clone()),
        ("webhook-id".to_owned(), id.clone()),
        ("webhook-timestamp".to_owned(), timestamp.to_string()),
    ];
    if let Some(secret) = &settings.secret {
        headers.push(("webhook-signature".to_owned(), sign(secret, &id, timestamp, &octets)));
    }
    headers.extend(settings.auth.header());
    headers.extend(settings.headers.iter().map(|(name, value)| (name.clone(), value.0.clone())));
    HttpRequest { method: settings.method, url: settings.url.clone(), headers, body: octets }
}

/// The value of `webhook-signature`.
pub fn sign(secret: &Secret, id: &str, timestamp: u64, body: &[u8]) -> String {
    let key = key_of(secret).unwrap_or_else(|| secret.0.as_bytes().to_vec());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = [id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body].concat();
    format!("v1,{}", BASE64.encode(hmac::sign(&key, &signed)))
}

/// The key of a secret that begins with `whsec_`; `None`: it does not, or the rest is no base64.
pub fn key_of(secret: &Secret) -> Option<Vec<u8>> {
    BASE64.decode(secret.0.strip_prefix("whsec_")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sink::{sample, template::Escape},
        types::Timestamp,
    };

    fn settings() -> Settings {
        Settings {
            url: Secret("https://noc.example/in".into()),
            method: "POST",
            auth: Auth::None,
            headers: Vec::new(),
            secret: None,
            content_type: "application/json".into(),
            template: None,
        }
    }

    /// The example of the specification's reference libraries.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_request_has_its_content_its_id_and_what_the_receiver_asks_for() {
        let now = Timestamp::from_secs(1_764_000_000);
        let (opened, _) = sample::pair(now, 9);
        let mut settings = settings();
        settings.secret = Some(Secret("plain".into()));
        settings.auth = Auth::Basic { user: "Aladdin".into(), password: Secret("open sesame".into()) };
        settings.headers = vec![("X-Team".into(), Secret("noc".into()))];
        let context = Context { now: Timestamp::from_secs(1_764_000_100), ..Context::plain("rtr-1") };
        let request = request(&settings, &opened, &context);
        assert_eq!((request.method, request.url.0.as_str()), ("POST", "https://noc.example/in"));
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("webhook-id"), Some("test-9-1"));
        assert_eq!(request.header("webhook-timestamp"), Some("1764000100"), "of the attempt");
        // The example of RFC 7617 §2.
        assert_eq!(request.header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert_eq!(request.header("x-team"), Some("noc"));
        let signature = sign(&Secret("plain".into()), "test-9-1", 1_764_000_100, &request.body);
        assert_eq!(request.header("webhook-signature"), Some(signature.as_str()));
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["id"], "test-9");
        assert!(!format!("{request:?} {settings:?}").contains("sesame"), "secrets are not printed");
    }

    #[test]
    fn a_template_is_the_content() {
        let (opened, _) = sample::pair(Timestamp::from_secs(1), 1);
        let text = r#"{"title": "{{ severity }}: {{ kind }}", "who": {{ json asns }}}"#;
        let template = Template::parse(text, Escape::Json).unwrap();
        let settings = Settings { template: Some(template), method: "PUT", ..settings() };
        let request = request(&settings, &opened, &Context::plain("r"));
        let expected = r#"{"title": "critical: subprefix-hijack", "who": {"expected":[64500],"observed":[64511]}}"#;
        assert_eq!(String::from_utf8(request.body).unwrap(), expected);
        assert_eq!(request.method, "PUT");
    }
}
