//! The one place that reads the clock. Rooms above `io` are handed a `Timestamp` that starts as wall-clock time
//! and from then on runs with the monotonic clock, so that it never steps back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::types::Timestamp;

/// Turns the monotonic clock into timestamps and back. Copies agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    origin_time: Timestamp,
}

impl Clock {
    /// A clock that shows the wall-clock time of this moment.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), origin_time: Timestamp::default() + since_epoch }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.origin_time + self.origin.elapsed()
    }

    /// When this clock will show `time`; a moment long past for a time before the clock was started.
    pub fn instant(&self, time: Timestamp) -> tokio::time::Instant {
        let from_origin: Duration = time.since(self.origin_time);
        tokio::time::Instant::from_std(self.origin.checked_add(from_origin).unwrap_or(self.origin))
    }
}

/// Sleeps until `deadline`; without one, for ever.
pub(super) async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
