//! Waiting times that grow, and the small seeded generator that spreads them (RFC 4271 §10, "jitter").

use std::time::Duration;

/// A seeded generator (SplitMix64). Good enough to keep a thousand neighbours from waking together, and equal
/// seeds make equal days.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits; also a seed for another generator.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `time` times a factor that is uniform between 0.75 and 1.0 (RFC 4271 §10).
    pub(crate) fn spread(&mut self, time: Duration) -> Duration {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let quarter = micros / 4;
        Duration::from_micros(micros - if quarter == 0 { 0 } else { self.bits() % (quarter + 1) })
    }
}

/// A waiting time that doubles with each use, up to a cap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first`; never above `max`, unless `first` is.
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max: max.max(first), next: first }
    }

    /// The time to wait now.
    pub(crate) fn take(&mut self) -> Duration {
        let now = self.next;
        self.next = now.saturating_mul(2).min(self.max);
        now
    }

    /// The trouble is over: the next wait is the first one again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_between_three_quarters_and_the_whole() {
        let mut jitter = Jitter::new(7);
        let times: Vec<Duration> = (0..1000).map(|_| jitter.spread(Duration::from_secs(100))).collect();
        assert!(times.iter().all(|t| (75..=100).contains(&t.as_secs()) && *t <= Duration::from_secs(100)));
        assert!(times.iter().min() < Some(&Duration::from_secs(77)), "the low end is used");
        assert!(times.iter().max() > Some(&Duration::from_secs(98)), "the high end is used");
        assert_eq!(jitter.spread(Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn a_wait_doubles_up_to_its_cap_and_starts_again_after_reset() {
        let secs = |b: &mut Backoff| b.take().as_secs();
        let mut backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(30));
        assert_eq!([(); 5].map(|()| secs(&mut backoff)), [5, 10, 20, 30, 30]);
        backoff.reset();
        assert_eq!(secs(&mut backoff), 5);
    }
}
