//! Refused attempts by address: a few at once are a slip, more are answered with "not so fast" and not written down one by one.
//! Who shows what is right is never slowed down.

use std::{net::IpAddr, time::Duration};

use rustc_hash::FxHashMap;

use super::Place;
use crate::types::Timestamp;

/// Refusals that an address has at once.
const BURST: u32 = 20;
/// How long it takes to get one of them back.
const REFILL: Duration = Duration::from_secs(3);
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 4096;

/// Whom refusals are counted for: one address of IPv4, a network of 64 bits of IPv6, which one host has for itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Key {
    V4(u32),
    V6(u64),
    User(u32),
}

impl Key {
    fn of(place: Place) -> Self {
        match place {
            Place::User { uid } => Self::User(uid),
            Place::Address { peer, .. } => match peer.ip().to_canonical() {
                IpAddr::V4(v4) => Self::V4(v4.to_bits()),
                IpAddr::V6(v6) => Self::V6((v6.to_bits() >> 64) as u64),
            },
        }
    }
}

/// A bucket: when it will be full again. That is all its state.
#[derive(Default, Debug)]
pub(super) struct Failures {
    full_at: FxHashMap<Key, Timestamp>,
}

/// What a refused attempt was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attempt {
    /// One of those that everybody has.
    Within,
    /// The last one: from now on it is too many.
    Last,
    /// One too many; seconds until the next one counts as a slip again.
    TooMany(u64),
}

impl Failures {
    /// Counts one from `place`.
    pub(super) fn count(&mut self, place: Place, now: Timestamp) -> Attempt {
        let key = Key::of(place);
        let longest = REFILL * BURST;
        if self.full_at.len() >= ADDRESSES_MAX && !self.full_at.contains_key(&key) {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= ADDRESSES_MAX {
                // Everybody at once: whoever is nearest to a full bucket is forgotten.
                let nearest = self.full_at.iter().min_by_key(|(_, full_at)| **full_at).map(|(key, _)| *key);
                nearest.and_then(|key| self.full_at.remove(&key));
            }
        }
        let full_at = self.full_at.get(&key).copied().unwrap_or(now).max(now);
        let next = full_at + REFILL;
        let after = next.since(now);
        if after > longest {
            return Attempt::TooMany((after - longest).as_secs().max(1));
        }
        self.full_at.insert(key, next);
        if after + REFILL > longest { Attempt::Last } else { Attempt::Within }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: &str) -> Place {
        Place::Address { peer: (address.parse::<IpAddr>().unwrap(), 1).into(), loopback: false }
    }

    #[test]
    fn an_address_has_a_burst_then_one_each_three_seconds_and_others_are_not_touched() {
        let (mut failures, start) = (Failures::default(), Timestamp::from_secs(1_000));
        let (one, other) = (place("192.0.2.1"), place("192.0.2.2"));
        for _ in 1..BURST {
            assert_eq!(failures.count(one, start), Attempt::Within);
        }
        assert_eq!(failures.count(one, start), Attempt::Last);
        assert_eq!(failures.count(one, start), Attempt::TooMany(3));
        assert_eq!(failures.count(other, start), Attempt::Within);
        assert_eq!(failures.count(one, start + REFILL), Attempt::Last);
        assert_eq!(failures.count(one, start + REFILL), Attempt::TooMany(3));
        assert_eq!(failures.count(one, start + REFILL * (BURST + 1)), Attempt::Within);
    }

    #[test]
    fn a_network_of_64_bits_is_one_address_and_a_mapped_address_is_that_of_ipv4() {
        let mut failures = Failures::default();
        let now = Timestamp::from_secs(1_000);
        for host in 0..BURST {
            failures.count(place(&format!("2001:db8::{host:x}")), now);
        }
        assert!(matches!(failures.count(place("2001:db8::ffff"), now), Attempt::TooMany(_)));
        assert_eq!(failures.count(place("2001:db8:0:1::"), now), Attempt::Within);
        for _ in 0..BURST {
            failures.count(place("::ffff:192.0.2.1"), now);
        }
        assert!(matches!(failures.count(place("192.0.2.1"), now), Attempt::TooMany(_)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut failures = Failures::default();
        for host in 0..=2 * ADDRESSES_MAX as u32 {
            let peer = (std::net::Ipv4Addr::from(0x0a00_0000 + host), 1).into();
            failures.count(Place::Address { peer, loopback: false }, Timestamp::from_secs(1_000));
        }
        assert_eq!(failures.full_at.len(), ADDRESSES_MAX);
    }
}
