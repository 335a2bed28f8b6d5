//! Where all of it meets: every listener asks the one gate of the daemon, and what it lets in or not is written down.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{
    Caller, Class, Entry, Need, Outcome, Principal, Refusal, Role, Rules,
    failures::{Attempt, Failures},
};
use crate::types::Timestamp;

type Now = Box<dyn Fn() -> Timestamp + Send + Sync>;
type Write = Box<dyn Fn(&Entry) + Send + Sync>;

/// Lets callers in, and writes down who did what.
pub struct Gate {
    rules: RwLock<Arc<Rules>>,
    failures: Mutex<Failures>,
    now: Now,
    write: Write,
}

/// Somebody who was let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who; `None`: nobody asked, since anybody may have the answer.
    pub principal: Option<Principal>,
    /// Whether what comes of it is written down.
    pub is_change: bool,
}

/// What matters of a request, in words: put there by who understands it, read by who writes it down.
#[derive(Clone, Default, Debug)]
pub struct Note(Arc<Mutex<String>>);

impl Note {
    /// Says it; never a secret.
    pub fn say(&self, words: impl Into<String>) {
        words.into().trim().clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What was said.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Gate {
    /// A gate under `rules`; `now` is the clock, `write` takes lines of the audit log and must not wait for long.
    pub fn new(
        rules: Rules,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        write: impl Fn(&Entry) + Send + Sync + 'static,
    ) -> Self {
        let rules = RwLock::new(Arc::new(rules));
        Self { rules, failures: Mutex::default(), now: Box::new(now), write: Box::new(write) }
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Other rules from now on, for connections that are there, too.
    pub fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Lets `caller` do `what`, which needs `need`, or not; a refusal is written down.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, caller: &Caller, bearer: Option<&str>, what: &str, need: Need) -> Result<Admitted, Refusal> {
        let Need::Role(needs) = need else { return Ok(Admitted { principal: None, is_change: false }) };
        let identified = self.rules().identify(caller, bearer, (self.now)());
        match identified {
            Ok(principal) if principal.role >= needs => {
                Ok(Admitted { principal: Some(principal), is_change: needs > Role::View })
            }
            Ok(principal) => Err(self.refuse(caller, what, Refusal::RoleTooLow { principal, needs })),
            Err(refusal) => Err(self.refuse(caller, what, refusal)),
        }
    }

    /// Who `caller` is, without any need: a refusal is nobody's fault.
    pub fn who(&self, caller: &Caller, bearer: Option<&str>) -> Option<Principal> {
        self.rules().identify(caller, bearer, (self.now)()).ok()
    }

    /// Writes a refusal down and says what to answer: the refusal itself, or that there were too many.
    pub fn refuse(&self, caller: &Caller, what: &str, refusal: Refusal) -> Refusal {
        let now = (self.now)();
        let (who, role) = match &refusal {
            Refusal::RoleTooLow { principal, .. } => (Some(principal.name.to_string()), Some(principal.role)),
            Refusal::Expired { name, .. } => (Some(name.to_string()), None),
            _ => (None, None),
        };
        let mut reason = refusal.to_string();
        // Who is known can be told apart and talked to; slowed down are those who guess.
        if refusal.class() == Class::Unauthenticated {
            let attempt = self.failures.lock().unwrap_or_else(PoisonError::into_inner).count(caller.place, now);
            match attempt {
                Attempt::Within => {}
                Attempt::Last => reason.push_str("; more of them from there are not written down for a while"),
                Attempt::TooMany(retry_s) => return Refusal::TooManyFailures { retry_s },
            }
        }
        (self.write)(&Entry {
            at: now,
            who,
            role,
            from: caller.place.to_string(),
            what: what.to_owned(),
            request: String::new(),
            outcome: Outcome::Refused(reason),
        });
        refusal
    }

    /// Writes down what came of something that was let in.
    pub fn record(
        &self,
        caller: &Caller,
        principal: Option<&Principal>,
        what: &str,
        request: String,
        outcome: Outcome,
    ) {
        self.write(principal, caller.place.to_string(), what, request, outcome);
    }

    /// As `record`, of something that came over no connection: `from` says how.
    pub fn write(&self, principal: Option<&Principal>, from: String, what: &str, request: String, outcome: Outcome) {
        (self.write)(&Entry {
            at: (self.now)(),
            who: principal.map(|principal| principal.name.to_string()),
            role: principal.map(|principal| principal.role),
            from,
            what: what.to_owned(),
            request,
            outcome,
        });
    }
}
