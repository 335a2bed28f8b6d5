//! What is remembered of the last minutes: how much changed per interval, and what sessions did. Bounded, and fed by
//! looks at counters, so that it costs routing nothing.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use serde::Serialize;

use crate::{
    types::Timestamp,
    view::{NeighborView, SessionState},
};

/// Intervals that are remembered: five minutes of two seconds.
const POINTS_MAX: usize = 150;
/// Changes of sessions that are remembered, of all neighbours together.
const CHANGES_MAX: usize = 1024;

/// A session came up, went down, or moved between the states below.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct SessionChange {
    /// When it was seen, RFC 3339; at most an interval late.
    pub(super) at: String,
    /// Whose.
    #[serde(serialize_with = "as_text")]
    pub(super) address: IpAddr,
    /// Its name.
    pub(super) name: Option<String>,
    /// The state after it.
    pub(super) state: &'static str,
    /// How often it left established between two looks.
    pub(super) flaps: u64,
    /// Why it ended, when it is not up.
    pub(super) last_error: Option<String>,
}

fn as_text<S: serde::Serializer>(address: &IpAddr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

/// Changes per second, one point per interval, the oldest first.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub(super) struct Rates {
    /// Seconds between two points.
    pub(super) interval_s: u64,
    /// Changes of paths and best routes.
    pub(super) changes_per_s: VecDeque<u64>,
    /// UPDATE messages received.
    pub(super) updates_per_s: VecDeque<u64>,
}

/// What one look finds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a> {
    /// When.
    pub(super) now: Timestamp,
    /// Number of the last change.
    pub(super) seq: u64,
    /// All neighbours.
    pub(super) neighbors: &'a [NeighborView],
}

#[derive(Clone, Copy)]
struct Session {
    up: bool,
    flaps: u64,
    updates: u64,
}

/// The memory.
#[derive(Default)]
pub(super) struct Pulse {
    rates: Rates,
    changes: VecDeque<SessionChange>,
    last: Option<(Timestamp, u64)>,
    sessions: HashMap<IpAddr, Session>,
}

impl Pulse {
    /// A memory whose looks are so far apart.
    pub(super) fn new(interval_s: u64) -> Self {
        Self { rates: Rates { interval_s, ..Rates::default() }, ..Self::default() }
    }

    /// Takes a look; what sessions did since the last one.
    pub(super) fn look(&mut self, look: Look<'_>) -> Vec<SessionChange> {
        let Look { now, seq, neighbors } = look;
        let (mut found, mut updates) = (Vec::new(), 0_u64);
        let first = self.last.is_none();
        let mut sessions = HashMap::with_capacity(neighbors.len());
        for view in neighbors {
            let up = view.state == SessionState::Established;
            let is = Session { up, flaps: view.flaps, updates: view.received.update };
            let was = self.sessions.get(&view.address).copied();
            let before = was.unwrap_or(Session { up: false, flaps: 0, updates: 0 });
            updates += is.updates.saturating_sub(before.updates);
            let flaps = is.flaps.saturating_sub(before.flaps);
            if !first && (before.up != up || flaps > 0) {
                found.push(SessionChange {
                    at: view.changed_at.unwrap_or(now).to_string(),
                    address: view.address,
                    name: view.name.clone(),
                    state: view.state.name(),
                    flaps,
                    last_error: view.last_error.clone().filter(|_| !up),
                });
            }
            sessions.insert(view.address, is);
        }
        self.sessions = sessions;
        if let Some((then, before)) = self.last {
            let millis = u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX).max(1);
            let per_second = |count: u64| count.saturating_mul(1000).div_ceil(millis);
            let push = |points: &mut VecDeque<u64>, value| {
                if points.len() >= POINTS_MAX {
                    points.pop_front();
                }
                points.push_back(value);
            };
            push(&mut self.rates.changes_per_s, per_second(seq.saturating_sub(before)));
            push(&mut self.rates.updates_per_s, per_second(updates));
        }
        self.last = Some((now, seq));
        for change in &found {
            if self.changes.len() >= CHANGES_MAX {
                self.changes.pop_front();
            }
            self.changes.push_back(change.clone());
        }
        found
    }

    /// How much changed lately.
    pub(super) fn rates(&self) -> Rates {
        self.rates.clone()
    }

    /// What the session of a neighbour did lately, the latest first.
    pub(super) fn changes_of(&self, address: IpAddr) -> Vec<SessionChange> {
        self.changes.iter().rev().filter(|change| change.address == address).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        types::{Asn, PeerId},
        view::MessageCounts,
    };

    fn neighbor(state: SessionState, flaps: u64, updates: u64) -> NeighborView {
        NeighborView {
            peer: PeerId(1),
            address: "192.0.2.1".parse().unwrap(),
            port: 179,
            name: Some("edge-1".to_owned()),
            range: None,
            remote_asn: None,
            local_asn: Asn(64512),
            router_id: None,
            state,
            enabled: true,
            monitor_only: false,
            passive: false,
            established_at: None,
            changed_at: None,
            families: Vec::new(),
            counts: Vec::new(),
            hold_time: Duration::ZERO,
            negotiated: Vec::new(),
            received: MessageCounts { update: updates, ..MessageCounts::default() },
            sent: MessageCounts::default(),
            faults: Vec::new(),
            flaps,
            last_error: Some("hold timer expired".to_owned()),
            send_queue: 0,
            import: Vec::new(),
            export: Vec::new(),
        }
    }

    #[test]
    fn a_flap_between_two_looks_is_seen_and_the_rates_are_per_second() {
        use SessionState::{Established, Idle};
        let mut pulse = Pulse::new(2);
        let mut look = |secs, seq, state, flaps, updates| {
            let neighbors = [neighbor(state, flaps, updates)];
            pulse.look(Look { now: Timestamp::from_secs(secs), seq, neighbors: &neighbors })
        };
        assert_eq!(look(0, 100, Established, 0, 7), [], "what was before the first look is no news");
        assert_eq!(look(2, 300, Established, 0, 27), []);
        let flapped = look(4, 300, Established, 1, 27);
        assert_eq!((flapped[0].state, flapped[0].flaps, &flapped[0].last_error), ("established", 1, &None));
        let lost = look(6, 301, Idle, 2, 27);
        assert_eq!((lost[0].state, lost[0].last_error.as_deref()), ("idle", Some("hold timer expired")));
        let rates = pulse.rates();
        assert_eq!((rates.changes_per_s, rates.updates_per_s), ([100, 0, 1].into(), [10, 0, 0].into()));
        let address = "192.0.2.1".parse().unwrap();
        let states: Vec<_> = pulse.changes_of(address).iter().map(|change| change.state).collect();
        assert_eq!(states, ["idle", "established"], "the latest first");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut pulse = Pulse::new(2);
        for round in 0..(2 * CHANGES_MAX as u64) {
            let neighbors = [neighbor(SessionState::Established, round, round)];
            pulse.look(Look { now: Timestamp::from_secs(2 * round), seq: round, neighbors: &neighbors });
        }
        assert_eq!((pulse.rates().changes_per_s.len(), pulse.changes.len()), (POINTS_MAX, CHANGES_MAX));
    }
}
