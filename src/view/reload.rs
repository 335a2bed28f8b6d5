//! What a reload of the configuration does, and what it costs: the words that the log, `ribwatch check --diff`,
//! `ribwatch reload` and gRPC share. `config` finds the changes, `app` carries them out.

use std::fmt;

use crate::types::Timestamp;

/// What a change costs, cheapest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cost {
    /// Takes effect at once; no route and no session notices.
    Nothing,
    /// Routes are judged again and exactly the difference is sent; sessions go on.
    Reevaluates,
    /// A session ends, or ends and starts again.
    Resets,
    /// Nothing happens before the daemon is started again.
    Restart,
}

impl Cost {
    /// The word in JSON and gRPC.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Reevaluates => "reevaluates",
            Self::Resets => "resets",
            Self::Restart => "restart",
        }
    }
}

/// One change, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeView {
    /// `added`, `removed` or `changed`.
    pub kind: &'static str,
    /// What changes, as messages call it: `neighbor edge-1 (192.0.2.1)`, `[log]`, `policies`.
    pub subject: String,
    /// The keys that differ, or the names of policies; empty for what is added or removed.
    pub keys: Vec<String>,
    /// What it costs.
    pub cost: Cost,
    /// All of it in one sentence, without a full stop.
    pub text: String,
}

/// How to reload.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReloadRequest {
    /// Only say what would change.
    pub dry_run: bool,
    /// Do nothing if a session would end or reset.
    pub no_reset: bool,
}

/// How the last try to go over to another configuration ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastReload {
    /// False: the file had faults, or going over was refused or undone; the configuration before it is in force.
    pub succeeded: bool,
    /// Since when the configuration is in force.
    pub in_force_since: Timestamp,
}

/// What became of a reload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Everything listed is in force, but what needs a restart.
    Applied,
    /// Nothing was done, as it was asked for.
    Planned,
    /// Nothing was done: a session would have been reset.
    Refused,
    /// A step failed; what had been done before it was undone, the old configuration is in force.
    Undone,
}

impl Outcome {
    /// The word in JSON and gRPC.
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Planned => "planned",
            Self::Refused => "refused",
            Self::Undone => "undone",
        }
    }
}

/// What a reload did, or would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReloadReport {
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused or undone, one sentence; `None` otherwise.
    pub reason: Option<String>,
    /// What differs between the configuration in force and the file.
    pub changes: Vec<ChangeView>,
}

impl ReloadReport {
    /// What would be done.
    pub fn planned(changes: Vec<ChangeView>) -> Self {
        Self { outcome: Outcome::Planned, reason: None, changes }
    }

    /// How many sessions or ranges end or reset.
    pub fn resets(&self) -> usize {
        self.changes.iter().filter(|change| change.cost == Cost::Resets).count()
    }

    /// The last line: what became of it, and why.
    pub fn summary(&self) -> String {
        let count = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let changes = count(self.changes.len(), "change");
        let resets = count(self.resets(), "session or range");
        let reason = self.reason.as_deref().unwrap_or_default();
        match self.outcome {
            Outcome::Applied | Outcome::Planned if self.changes.is_empty() => "nothing differs".to_owned(),
            Outcome::Applied => format!("{changes} applied, {resets} reset or ended"),
            Outcome::Planned => format!("{changes}, {resets} would reset or end"),
            Outcome::Refused => format!("refused, nothing was changed: {reason}"),
            Outcome::Undone => format!("failed, everything is as it was: {reason}"),
        }
    }
}

impl fmt::Display for ReloadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(f, "{}", change.text)?;
        }
        f.write_str(&self.summary())
    }
}
