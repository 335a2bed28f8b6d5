//! One RTR cache (RFC 8210, RFC 6810, draft-ietf-sidrops-8210bis): the life around its connections. What is said on one is
//! in `talk`, what an answer makes of the data in `update`, octets in `wire/rtr`.
//!
//! ```text
//! connect -> Serial Query when the session is known and its data hold, else Reset Query
//!         -> Cache Response ... End of Data: all of it is taken, or nothing
//!         -> wait for Serial Notify or the refresh interval, then Serial Query
//! failure: what was there stays; again after the retry interval; dropped after the expire interval
//! a session that the cache does not know any more: at once again, with a Reset Query
//! an ASPA that cannot be read, in version 2: at once again, in version 1, which has none
//! ```
//!
//! # Differences
//! 1. §5.1 has a router flush a cache's data when session ids differ. We ask for everything at once and exchange the data
//!    as a whole when they are complete; until then, and at most until they expire, the old ones are in force (§10: retain
//!    what there is until there is a full set). A cache that restarts would else leave every route not found for a while.
//! 2. §7 has a router begin with its newest version. We begin with that of the session that goes on, since serial numbers
//!    of two versions have nothing to do with each other (§5.1), and with the newest when none does.

mod talk;
mod update;

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use self::talk::{Again, Ended, Talk};
use super::{
    Reporter,
    line::{Line, Place},
};
use crate::{
    validation::Snapshot,
    wire::rtr::{Intervals, Session, VERSION_MAX},
};

/// First wait after a failure; doubles up to the cache's retry interval. RFC 8210 §6 gives 600 s as that interval's
/// default, far too long for a cache that was restarted.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The newest version without ASPAs.
const WITHOUT_ASPAS: u8 = 1;

/// What is known of a cache from one connection to the next.
struct Known {
    /// What it holds; `None` before its first End of Data, and when that expired.
    held: Option<Arc<Snapshot>>,
    /// The session of these data and its version; `None`: everything must be asked for.
    session: Option<(u8, Session)>,
    /// The version to begin with when no session goes on.
    begin_with: u8,
    /// Those of the last End of Data.
    intervals: Intervals,
}

/// Keeps one cache in force for as long as the runtime lives.
pub(super) async fn run(reporter: Reporter, place: Place) {
    let mut known = Known { held: None, session: None, begin_with: VERSION_MAX, intervals: Intervals::default() };
    let mut wait = FIRST_RETRY;
    loop {
        let before = reporter.expires_at();
        let again = match while_data_age(&reporter, &mut known, Line::connect(&place)).await {
            Ok(line) => {
                let Ended { why, error, again } = Talk::new(&reporter, &mut known, line).run().await;
                let refused = error.and_then(|error| place.tls.as_ref()?.refused(&error, &place.address));
                if !matches!(again, Again::WithoutAspas(_)) {
                    reporter.failed(refused.unwrap_or(why));
                }
                again
            }
            Err(why) => {
                reporter.failed(why);
                Again::Later
            }
        };
        if reporter.expires_at() != before {
            wait = FIRST_RETRY; // it had answered meanwhile
        }
        known.begin_with = VERSION_MAX;
        match again {
            Again::Now => continue,
            Again::WithoutAspas(why) => {
                known.begin_with = WITHOUT_ASPAS;
                reporter.goes_on_without_aspas(why);
                continue;
            }
            Again::Later => {}
        }
        let retry = Duration::from_secs(known.intervals.retry_secs.max(1).into());
        while_data_age(&reporter, &mut known, tokio::time::sleep(wait.min(retry))).await;
        wait = wait.saturating_mul(2);
    }
}

/// Waits for something, and drops the data when they expire meanwhile (RFC 8210 §6).
async fn while_data_age<T>(reporter: &Reporter, known: &mut Known, done: impl Future<Output = T>) -> T {
    let mut done = std::pin::pin!(done);
    loop {
        let expiry = reporter.expiry();
        tokio::select! {
            done = &mut done => return done,
            () = until(expiry) => if reporter.expire() {
                known.forget();
            },
        }
    }
}

/// Ends at this time; `None`: never.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl Known {
    /// The data are gone, and what the cache would tell next are changes to them.
    fn forget(&mut self) {
        (self.held, self.session) = (None, None);
    }
}
