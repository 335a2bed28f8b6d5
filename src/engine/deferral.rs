//! Our own restart, as far as neighbours see it: nothing is sent to them before what they have to say was heard.
//!
//! *What RFC 4724 §4.1 asks.* After a restart route selection waits for End-of-RIB from all peers, but those that
//! restarted themselves (R bit) or do not know graceful restart; a timer bounds the wait. Then the Adj-RIB-Out is sent,
//! and End-of-RIB behind it, at which neighbours drop what they kept for us and have not got again.
//!
//! *What we do.* Selection goes on and only sending waits, which nobody outside can tell apart: there is no forwarding
//! table to spare, and readers may see what there is. The peers are those that the driver expects, up or not yet, and
//! all that are up. Each family is released for itself.

use std::net::IpAddr;

use crate::types::{Family, Timestamp};

use super::{
    Engine,
    sessions::{Phase, Session},
};

/// What is waited for; by default nothing.
#[derive(Debug, Default)]
pub struct Deferral {
    /// Not up yet.
    expected: Vec<IpAddr>,
    /// Longest wait; `None`: nothing waits.
    until: Option<Timestamp>,
}

impl Deferral {
    /// Waits for the neighbours at these addresses, no longer than `until`.
    pub fn new(expected: Vec<IpAddr>, until: Timestamp) -> Self {
        Self { expected, until: Some(until) }
    }

    /// When the wait is over at the latest.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// The session with the neighbour at `address` is up.
    pub fn came_up(&mut self, address: IpAddr) {
        self.expected.retain(|expected| *expected != address);
    }
}

impl Engine {
    /// Whether routes of `family` must not be sent yet.
    pub(super) fn defers(&self, family: Family) -> bool {
        let awaited = |session: &Session| awaits_end_of_rib(session, family);
        if self.hold.keeps_silent() {
            return true;
        }
        self.deferral.until.is_some()
            && (!self.deferral.expected.is_empty() || self.sessions.live().any(|(_, session)| awaited(session)))
    }

    /// Ends the wait when its time is over, or nothing is waited for any more: who comes up later is not.
    pub(super) fn end_deferral(&mut self, now: Timestamp) {
        let Some(until) = self.deferral.until else { return };
        let awaited = |session: &Session| {
            let families = session.negotiated.families.iter();
            families.into_iter().any(|family| awaits_end_of_rib(session, *family))
        };
        let over = self.deferral.expected.is_empty() && !self.sessions.live().any(|(_, session)| awaited(session));
        if over || until <= now {
            self.deferral = Deferral::default();
        }
    }
}

fn awaits_end_of_rib(session: &Session, family: Family) -> bool {
    let restart = session.negotiated.graceful_restart.as_ref();
    session.phase == Phase::Live
        && restart.is_some_and(|restart| !restart.restarting)
        && session.negotiated.families.contains(&family)
        && !session.family(family).is_some_and(|state| state.end_of_rib)
}
