//! Limits on what a neighbour may send: one warning on the way, then Cease/1 (RFC 4486 §4).

use std::time::Duration;

use crate::{types::Family, wire::bgp::notification::Notification};

use super::{MaxPrefix, sessions::Session};

/// Cease subcode "Maximum Number of Prefixes Reached" (RFC 4486 §3).
const MAXIMUM_PREFIXES: u8 = 1;

/// What a newly stored path leads to.
#[derive(Debug)]
pub enum Outcome {
    /// The threshold was passed for the first time: one line for the log.
    Warn(String),
    /// The limit is exceeded: the session ends.
    Exceeded {
        /// What the neighbour is told.
        notification: Notification,
        /// When it may come back.
        restart_after: Option<Duration>,
        /// One line for the log.
        text: String,
    },
}

/// Called after a new path of `family` was counted.
pub fn check(session: &mut Session, family: Family) -> Option<Outcome> {
    let settings = session.settings.clone();
    let mut outcome = None;
    for (scope, limit) in &settings.max_prefix {
        if scope.is_some_and(|scope| scope != family) {
            continue;
        }
        let count = match scope {
            Some(_) => session.family(family).map_or(0, |state| state.received),
            None => session.received(),
        };
        if count > limit.limit {
            return Some(exceeded(*scope, limit));
        }
        let warned = match scope {
            Some(family) => &mut session.family_mut(*family).warned,
            None => &mut session.warned_total,
        };
        if !*warned && count >= threshold(limit) {
            *warned = true;
            outcome =
                Some(Outcome::Warn(format!("{count} {} routes received, the limit is {}", name(*scope), limit.limit)));
        }
    }
    outcome
}

fn exceeded(scope: Option<Family>, limit: &MaxPrefix) -> Outcome {
    let bound = u32::try_from(limit.limit).unwrap_or(u32::MAX);
    let notification = match scope {
        Some(family) => Notification::maximum_prefixes(family, bound),
        // RFC 4486 §4: the data names one family, so a limit over all of them goes without.
        None => Notification::cease(MAXIMUM_PREFIXES),
    };
    let text = format!("more than {} {} routes received, the session ends", limit.limit, name(scope));
    Outcome::Exceeded { notification, restart_after: limit.restart_after, text }
}

/// The count at which to warn: the percentage of the limit, rounded up.
fn threshold(limit: &MaxPrefix) -> u64 {
    let percent = u128::from(limit.limit) * u128::from(limit.warning_percent);
    u64::try_from(percent.div_ceil(100)).unwrap_or(u64::MAX)
}

fn name(scope: Option<Family>) -> String {
    scope.map_or_else(|| "total".into(), |family| family.to_string())
}
