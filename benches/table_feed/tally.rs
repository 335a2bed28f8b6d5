//! What peers that both send and receive are told, all together: counted, not kept. For many of them at once a table
//! each would cost more than the daemon under test.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::wire::{self, Change};

/// Counters of all clients since `begin`.
pub struct Tally(Mutex<Counts>);

struct Counts {
    announcements: u64,
    withdrawals: u64,
    /// Announcements that carry the community that is waited for.
    marked: u64,
    mark: u32,
    began: Instant,
    /// When the last route came.
    last: Instant,
    /// The longest time between two of them.
    pause: Duration,
}

impl Counts {
    fn from_zero(mark: u32) -> Self {
        let now = Instant::now();
        Counts { announcements: 0, withdrawals: 0, marked: 0, mark, began: now, last: now, pause: Duration::ZERO }
    }
}

impl Tally {
    /// Nothing was told yet.
    pub fn new() -> Self {
        Tally(Mutex::new(Counts::from_zero(0)))
    }

    /// Counts from zero, and from now on those with `mark` apart.
    pub fn begin(&self, mark: u32) {
        if let Ok(mut counts) = self.0.lock() {
            *counts = Counts::from_zero(mark);
        }
    }

    /// Takes one UPDATE from the daemon.
    ///
    /// # Errors
    /// An UPDATE that cannot be read.
    pub fn take(&self, message: &[u8], four_octet_as: bool) -> Result<(), String> {
        let (mut announced, mut withdrawn) = (0, 0);
        wire::changes(message, four_octet_as, 1, |change| match change {
            Change::Announce(..) => announced += 1,
            Change::Withdraw(..) => withdrawn += 1,
        })?;
        let mut counts = self.0.lock().map_err(|_| "tally failed")?;
        let marked = counts.mark != 0 && wire::has_community(message, counts.mark);
        counts.announcements += announced;
        counts.withdrawals += withdrawn;
        counts.marked += if marked { announced } else { 0 };
        // End-of-RIB is no route.
        if announced + withdrawn > 0 {
            let now = Instant::now();
            if counts.announcements + counts.withdrawals > announced + withdrawn {
                counts.pause = counts.pause.max(now - counts.last);
            }
            counts.last = now;
        }
        Ok(())
    }

    /// Everything counted so far, when the last route came and the longest pause, as one JSON object.
    pub fn describe(&self) -> String {
        let Ok(counts) = self.0.lock() else { return "{\"event\":\"down\",\"reason\":\"tally failed\"}".to_owned() };
        format!(
            "{{\"event\":\"tally\",\"announcements\":{},\"withdrawals\":{},\"marked\":{},\"seconds\":{:.4},\"pause\":{:.4}}}",
            counts.announcements,
            counts.withdrawals,
            counts.marked,
            (counts.last - counts.began).as_secs_f64(),
            counts.pause.as_secs_f64()
        )
    }
}
