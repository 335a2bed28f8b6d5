//! What a sink sends and what may come of it, without the sending: requests, answers, and which answers heal with time.

use std::{fmt, time::Duration};

use super::text::{Secret, cut, one_line};

/// One HTTP request.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `POST` or `PUT`.
    pub method: &'static str,
    /// Where to; it may hold a secret.
    pub url: Secret,
    /// In order; values may be secrets.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpRequest {{ {} octets by {} }}", self.body.len(), self.method)
    }
}

impl HttpRequest {
    /// A POST of JSON.
    pub(super) fn post_json(url: &Secret, body: &serde_json::Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Self { method: "POST", url: url.clone(), headers, body: body.to_string().into_bytes() }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What came of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The receiver has it.
    Accepted {
        /// What it answered, one short line.
        answer: String,
    },
    /// Not now; it may heal.
    Later {
        /// Why, one short line.
        why: String,
        /// The receiver asks to wait this long (RFC 9110 §10.2.3).
        after: Option<Duration>,
    },
    /// This delivery will never be accepted.
    Never {
        /// Why, one short line.
        why: String,
    },
}

impl Outcome {
    /// Not now, without a wish for when.
    pub fn later(why: impl fmt::Display) -> Self {
        Self::Later { why: one_line(&why.to_string()), after: None }
    }
}

/// Longest part of an answer that is shown.
const ANSWER_CHARS_MAX: usize = 300;

/// What an HTTP answer means for a delivery.
///
/// `400 413 415 422` and other complaints about the content are for ever. `401 403 404 410` and redirections are about
/// the receiver as a whole: the operator can mend them, and what waits is not lost meanwhile. `408 425 429` and all of
/// 5xx heal by themselves.
pub fn judge(status: u16, retry_after: Option<Duration>, body: &str) -> Outcome {
    let body = cut(one_line(body).trim(), ANSWER_CHARS_MAX);
    let said = if body.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {body}") };
    match status {
        200..=299 => Outcome::Accepted { answer: said },
        300..=399 => Outcome::Later { why: format!("{said} (redirections are not followed)"), after: None },
        401 | 403 | 404 | 407 | 408 | 410 | 425 | 429 => Outcome::Later { why: said, after: retry_after },
        400..=499 => Outcome::Never { why: said },
        _ => Outcome::Later { why: said, after: retry_after },
    }
}

/// Reads Retry-After (RFC 9110 §10.2.3): seconds, or a date, which is told by `now_secs` of the Unix epoch.
pub fn retry_after(value: &str, now_secs: u64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(secs) = value.parse() {
        return Some(Duration::from_secs(secs));
    }
    Some(Duration::from_secs(imf_date(value)?.saturating_sub(now_secs)))
}

/// Seconds since the epoch of an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
fn imf_date(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = words.as_slice() else { return None };
    let month = super::email::MONTHS.iter().position(|name| name == month)? as u64 + 1;
    let number = |text: &str| text.parse::<u64>().ok();
    let (day, year) = (number(day)?, number(year).filter(|year| (1970..=9999).contains(year))?);
    if !(1..=31).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is the last one.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + number(hour)? * 3_600 + number(minute)? * 60 + number(second)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_what_heals() {
        let word = |status| match judge(status, None, "") {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Later { .. } => "later",
            Outcome::Never { .. } => "never",
        };
        let cases = [
            ("accepted", &[200, 201, 202, 204][..]),
            ("later", &[301, 302, 307, 401, 403, 404, 407, 408, 410, 425, 429, 500, 502, 503, 504, 599]),
            ("never", &[400, 402, 405, 409, 411, 413, 414, 415, 422, 431]),
        ];
        for (expected, statuses) in cases {
            statuses.iter().for_each(|status| assert_eq!(word(*status), expected, "{status}"));
        }
        let wait = Some(Duration::from_secs(7));
        assert_eq!(judge(429, wait, "slow\ndown"), Outcome::Later { why: "HTTP 429: slow down".into(), after: wait });
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // The example of RFC 9110 §5.6.7 is second 784111777.
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(retry_after(date, 784_111_770), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(date, 900_000_000), Some(Duration::ZERO), "a date that is over");
        assert_eq!(retry_after("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800), Some(Duration::ZERO));
        assert_eq!(retry_after(" 120 ", 0), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("soon", 0), None);
        assert_eq!(retry_after("Sun, 06 Nov 0994 08:49:37 GMT", 0), None);
    }
}
