//! What is written down of who did what: every change and every refusal, one JSON object per line.

use serde_json::json;

use super::Role;
use crate::types::Timestamp;

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was tried and did not work; why.
    Failed(String),
    /// It was not let in; why.
    Refused(String),
}

/// A line of the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// The name of a principal; `None`: nobody knows.
    pub who: Option<String>,
    /// What it may do.
    pub role: Option<Role>,
    /// An address and port, `uid N`, or how a command came that came over no connection.
    pub from: String,
    /// The RPC, or the method and address of HTTP.
    pub what: String,
    /// What matters of the request, in words; never a secret.
    pub request: String,
    /// What came of it.
    pub outcome: Outcome,
}

impl Entry {
    /// The line, without its end: `{"time":…,"who":…,"role":…,"from":…,"what":…,"request":…,"outcome":…,"reason":…}`.
    pub fn json(&self) -> String {
        let (outcome, reason) = match &self.outcome {
            Outcome::Done => ("done", None),
            Outcome::Failed(why) => ("failed", Some(why)),
            Outcome::Refused(why) => ("refused", Some(why)),
        };
        let role = self.role.map(Role::name);
        json!({
            "time": self.at.to_string(), "who": self.who, "role": role, "from": self.from, "what": self.what,
            "request": self.request, "outcome": outcome, "reason": reason,
        })
        .to_string()
    }
}
