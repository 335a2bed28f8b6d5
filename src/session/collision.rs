//! Connection collision (RFC 4271 §6.8): two speakers connected to each other at the same time, and one of the
//! two connections must go. Pure rules; who closes what is `bgp_peer`'s business.
//!
//! *What the RFC asks.* When an OPEN arrives, look at the other connections with this neighbour:
//! 1. an Established one stays and the new one is closed (unless configured otherwise: with graceful restart a
//!    new connection means that the old one died, RFC 4724 §5);
//! 2. against one in OpenConfirm, or in OpenSent if the neighbour's identifier is known, the connection stays
//!    that the speaker with the greater BGP Identifier opened; of equal identifiers the greater AS decides
//!    (RFC 6286 §2.3).
//!
//! *What we do.* Just that, and the identifier is always known by then, for the OPEN came from this very
//! neighbour: so OpenSent counts as well, and both ends come to the same answer whichever OPEN arrives first.
//! A collision is young by nature. Where it is not, the other connection is a leftover of a neighbour that died:
//! one that waits for OPEN or KEEPALIVE longer than [`COLLISION_WINDOW`] loses; an established session gives way
//! to a restarted neighbour only when older than that, so that two honest starters never both give up.

use std::time::Duration;

use super::{Direction, State};
use crate::types::{Asn, RouterId};

/// Two connections collide when they come up within this time of each other. Longer than any handshake, shorter
/// than an operator's patience.
pub(super) const COLLISION_WINDOW: Duration = Duration::from_secs(15);

/// Who the two speakers are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Collision {
    pub(super) local_id: RouterId,
    pub(super) local_asn: Asn,
    pub(super) remote_id: RouterId,
    pub(super) remote_asn: Asn,
}

impl Collision {
    /// Which connection stays, told by who opened it.
    pub(super) fn winner(&self) -> Direction {
        if (self.local_id, self.local_asn) > (self.remote_id, self.remote_asn) {
            Direction::Outbound
        } else {
            Direction::Inbound
        }
    }
}

/// The connection that existed before, as far as the rules look at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rival {
    pub(super) direction: Direction,
    pub(super) state: State,
    /// Time in this state.
    pub(super) age: Duration,
    /// Both sides announced graceful restart on it.
    pub(super) graceful_restart: bool,
}

/// Which of two connections goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The one whose OPEN just arrived.
    NewGoes,
    /// The other one: it lost.
    RivalGoes,
    /// The other one: the neighbour restarted, nobody is left at its far end.
    RivalIsDead,
}

/// Decides when an OPEN arrived on the connection that `new` opened and `rival` exists.
pub(super) fn decide(collision: Collision, new: Direction, rival: Rival) -> Verdict {
    let old = rival.age > COLLISION_WINDOW;
    match rival.state {
        State::Established if rival.graceful_restart && old => Verdict::RivalIsDead,
        State::Established => Verdict::NewGoes,
        _ if old || new == collision.winner() => Verdict::RivalGoes,
        _ => Verdict::NewGoes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Duration = Duration::from_secs(1);
    const OLD: Duration = Duration::from_secs(60);

    fn us_and_them(local: (u32, u32), remote: (u32, u32)) -> Collision {
        Collision {
            local_id: RouterId(local.0),
            local_asn: Asn(local.1),
            remote_id: RouterId(remote.0),
            remote_asn: Asn(remote.1),
        }
    }

    #[test]
    fn the_greater_identifier_then_the_greater_as_keeps_its_connection() {
        use Direction::{Inbound, Outbound};
        // (id, AS) of us, of them; whose connection stays.
        for (local, remote, winner) in [
            ((2, 64496), (1, 64497), Outbound),           // RFC 4271 §6.8
            ((1, 64496), (2, 64497), Inbound),            // RFC 4271 §6.8
            ((0x8000_0000, 64496), (1, 64497), Outbound), // unsigned
            ((7, 64497), (7, 64496), Outbound),           // RFC 6286 §2.3
            ((7, 64496), (7, 64497), Inbound),            // RFC 6286 §2.3
            ((7, 64496), (7, 65550), Inbound),            // RFC 6286 §2.3, four octets
        ] {
            let here = us_and_them(local, remote).winner();
            let there = us_and_them(remote, local).winner();
            assert_eq!(here, winner, "{local:?} {remote:?}");
            assert_ne!(here, there, "both ends keep the same connection");
        }
    }

    #[test]
    fn what_the_other_connection_is_decides_first() {
        use Direction::{Inbound, Outbound};
        use Verdict::{NewGoes, RivalGoes, RivalIsDead};
        let outbound_wins = us_and_them((2, 64496), (1, 64497));
        // state of the rival, its age, graceful restart, who opened the new one, what goes
        for (state, age, graceful_restart, new, verdict) in [
            (State::Established, YOUNG, false, Outbound, NewGoes), // §6.8, last but one paragraph
            (State::Established, OLD, false, Outbound, NewGoes),
            (State::Established, YOUNG, true, Outbound, NewGoes), // a late collision, not a restart
            (State::Established, OLD, true, Inbound, RivalIsDead), // RFC 4724 §5
            (State::OpenConfirm, YOUNG, false, Outbound, RivalGoes),
            (State::OpenConfirm, YOUNG, false, Inbound, NewGoes),
            (State::OpenConfirm, OLD, false, Inbound, RivalGoes), // a leftover
            (State::OpenSent, YOUNG, false, Outbound, RivalGoes),
            (State::OpenSent, YOUNG, false, Inbound, NewGoes),
            (State::OpenSent, OLD, false, Inbound, RivalGoes), // a leftover
            (State::Connect, YOUNG, false, Inbound, NewGoes),  // DelayOpen runs
        ] {
            let direction = if new == Inbound { Outbound } else { Inbound };
            let rival = Rival { direction, state, age, graceful_restart };
            assert_eq!(decide(outbound_wins, new, rival), verdict, "{rival:?}");
        }
    }
}
