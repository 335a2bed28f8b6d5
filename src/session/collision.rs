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
//! *What we do.* Just that, and close one hole in it. A speaker in OpenConfirm has sent its KEEPALIVE, so the other
//! end may be Established already; if one end then chooses by identifier and the other by "Established stays",
//! both connections are lost. So a speaker commits itself to a connection of its own when it sends OPEN on it, and
//! the other end waits for that OPEN:
//! 3. their OPEN arrives on their connection while ours, the winner, has our OPEN out: theirs goes, although ours
//!    is only in OpenSent (we know the identifier: it is this very neighbour);
//! 4. an attempt of ours that succeeds while theirs is in OpenConfirm is dropped before our OPEN leaves;
//! 5. their connection, the winner, on which their OPEN has not arrived does not count yet: both stay;
//! 6. while a session is established, a newcomer has to speak first.
//!
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
    /// Neither, yet.
    BothStay,
}

/// Decides when an OPEN arrived on the connection that `new` opened and `rival` exists.
pub(super) fn decide(collision: Collision, new: Direction, rival: Rival) -> Verdict {
    let old = rival.age > COLLISION_WINDOW;
    match rival.state {
        State::Established if rival.graceful_restart && old => Verdict::RivalIsDead,
        State::Established => Verdict::NewGoes,
        _ if old || new == collision.winner() => Verdict::RivalGoes,
        State::OpenConfirm => Verdict::NewGoes,
        State::OpenSent if rival.direction == Direction::Outbound => Verdict::NewGoes,
        State::OpenSent => Verdict::BothStay,
        // DelayOpen: nothing was said on it.
        State::Idle | State::Connect | State::Active => Verdict::RivalGoes,
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
        use Verdict::{BothStay, NewGoes, RivalGoes, RivalIsDead};
        let ours_wins = us_and_them((2, 64496), (1, 64497));
        let theirs_wins = us_and_them((1, 64496), (2, 64497));
        // who wins, state of the rival, its age, graceful restart, who opened the new one, what goes
        for (collision, state, age, graceful_restart, new, verdict) in [
            (ours_wins, State::Established, YOUNG, false, Outbound, NewGoes), // 1
            (ours_wins, State::Established, OLD, false, Outbound, NewGoes),   // 1
            (ours_wins, State::Established, YOUNG, true, Outbound, NewGoes),  // a late collision, not a restart
            (ours_wins, State::Established, OLD, true, Inbound, RivalIsDead), // 1, RFC 4724 §5
            (ours_wins, State::OpenConfirm, YOUNG, false, Outbound, RivalGoes), // 2
            (ours_wins, State::OpenConfirm, YOUNG, false, Inbound, NewGoes),  // 2
            (ours_wins, State::OpenConfirm, OLD, false, Inbound, RivalGoes),  // a leftover
            (ours_wins, State::OpenSent, YOUNG, false, Outbound, RivalGoes),  // 2
            (ours_wins, State::OpenSent, YOUNG, false, Inbound, NewGoes),     // 3
            (ours_wins, State::OpenSent, OLD, false, Inbound, RivalGoes),     // a leftover
            (ours_wins, State::Connect, YOUNG, false, Inbound, RivalGoes),    // DelayOpen runs
            (theirs_wins, State::OpenConfirm, YOUNG, false, Outbound, NewGoes), // 2
            (theirs_wins, State::OpenSent, YOUNG, false, Outbound, BothStay), // 5
            (theirs_wins, State::OpenSent, YOUNG, false, Inbound, RivalGoes), // 2
        ] {
            let direction = if new == Inbound { Outbound } else { Inbound };
            let rival = Rival { direction, state, age, graceful_restart };
            assert_eq!(decide(collision, new, rival), verdict, "{rival:?}");
        }
    }
}
