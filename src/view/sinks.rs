//! Sinks as readers see them: counts, the state of the receiver, and how long alerts take to it.

use std::time::Duration;

use crate::types::Timestamp;

/// Upper bounds of the buckets of [`Latency`], in milliseconds.
pub const LATENCY_BOUNDS_MS: [u64; 12] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 60_000, 600_000];

/// How long it took from an observation to the receiver, as a histogram.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Latency {
    /// How many were at most as long as the bound of the same place, and longer than the one before; the last are longer
    /// than all bounds.
    pub buckets: [u64; LATENCY_BOUNDS_MS.len() + 1],
    /// The sum of all.
    pub sum: Duration,
}

impl Latency {
    /// One more.
    pub fn observe(&mut self, took: Duration) {
        let fits = |bound: &u64| took <= Duration::from_millis(*bound);
        let at = LATENCY_BOUNDS_MS.iter().position(fits).unwrap_or(LATENCY_BOUNDS_MS.len());
        self.buckets[at] += 1;
        self.sum += took;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// A sink.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SinkView {
    /// Its name.
    pub name: String,
    /// Its `type`.
    pub kind: &'static str,
    /// Deliveries that were accepted.
    pub sent: u64,
    /// Attempts that failed and were made again.
    pub retried: u64,
    /// Deliveries that were refused for ever, or got too old.
    pub dead: u64,
    /// Deliveries that were dropped because too many waited.
    pub dropped: u64,
    /// Deliveries that wait or are under way.
    pub queue_len: u64,
    /// Alerts that the receiver knows and that are not over.
    pub told_open: u64,
    /// Since when nothing is accepted; `None`: the last attempt was.
    pub failing_since: Option<Timestamp>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// From the observation to the receiver.
    pub latency: Latency,
}

impl SinkView {
    /// A sink that has done nothing yet.
    pub fn new(name: String, kind: &'static str) -> Self {
        Self { name, kind, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_counted_in_the_first_bucket_that_holds_it() {
        let mut latency = Latency::default();
        for millis in [0, 5, 6, 250, 251, 700_000] {
            latency.observe(Duration::from_millis(millis));
        }
        assert_eq!(latency.buckets, [2, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!((latency.count(), latency.sum), (6, Duration::from_millis(700_512)));
    }
}
