//! Route refresh, both sides (RFC 2918, RFC 7313).
//!
//! # What the RFC asks
//! 1. RFC 2918 §4: a request is answered with the whole Adj-RIB-Out of the family; one for a family that was not
//!    negotiated is ignored.
//! 2. RFC 7313 §4: where both know it, the answer stands between BoRR and EoRR, and no BoRR goes before End-of-RIB.
//! 3. BoRR marks all routes of the family from that neighbour as stale; routes sent again are fresh; EoRR removes
//!    those that are stale still. A limit may be set on how long that is waited for.
//! 4. From a neighbour with Graceful Restart, a BoRR before its End-of-RIB is ignored and logged.
//!
//! # What we do
//! 1., 2. `export` sends; here the wish is noted. A request during a refresh starts it over.
//! 3. Every path carries one bit; BoRR flips the bit that new paths of the session's family get, and EoRR has the
//!    background walk remove those with the other value. A second BoRR before EoRR does not flip again: what the
//!    first round confirmed counts. A BoRR while the walk of the last refresh is under way marks nothing: two
//!    values cannot tell three rounds apart, and keeping a route too long is the smaller harm. Without EoRR the
//!    limit is `STALE_TIME_MAX`.
//! 4. The same; and a sweep leaves alone what a restart left (`retention`), which End-of-RIB confirms or ends.

use std::time::Duration;

use crate::{
    types::{Family, PeerId, Timestamp},
    wire::bgp::{RefreshSubtype, RouteRefresh, capability::Capability},
};

use super::{
    Action, Engine,
    background::Job,
    sessions::{Phase, Session, Slot},
    update_group::Resend,
};

/// How long a refresh may take before what it has not confirmed is removed anyway. Ten minutes pass a full table
/// over the slowest link that carries BGP.
pub const STALE_TIME_MAX: Duration = Duration::from_secs(600);

impl Engine {
    /// The neighbour sent ROUTE-REFRESH.
    pub(super) fn refresh(&mut self, now: Timestamp, peer: PeerId, refresh: RouteRefresh, out: &mut Vec<Action>) {
        let Some(slot) = self.sessions.slot_of(peer) else { return };
        let family = refresh.family;
        let negotiated = |session: &Session| session.negotiated.families.contains(&family);
        if !self.sessions.get(slot).is_some_and(negotiated) {
            return;
        }
        match refresh.subtype {
            RefreshSubtype::Request if self.enforce_filter(slot, family) => {}
            RefreshSubtype::Request => self.resend(slot, family),
            RefreshSubtype::BeginOfRefresh => self.begin_refresh(now, slot, family, out),
            RefreshSubtype::EndOfRefresh => self.end_refresh(slot, family),
            RefreshSubtype::Unknown(_) => {}
        }
    }

    /// The neighbour wants everything again.
    fn resend(&mut self, slot: Slot, family: Family) {
        let Some(at) = self.sessions.get(slot).and_then(|session| session.group) else { return };
        let Some(group) = self.groups.get_mut(at) else { return };
        let Some(table) = group.tables.iter().position(|table| table.family == family) else { return };
        let member = group.members.iter_mut().find(|member| member.slot == slot);
        if let Some(standing) = member.and_then(|member| member.families.get_mut(table)) {
            standing.resend = Resend::Wanted;
        }
    }

    fn begin_refresh(&mut self, now: Timestamp, slot: Slot, family: Family, out: &mut Vec<Action>) {
        let sweeping = self.background.sweeps(slot, family);
        let Some(session) = self.sessions.get_mut(slot).filter(|session| session.phase == Phase::Live) else { return };
        if restarts_gracefully(session) && !session.family_mut(family).end_of_rib {
            let text = format!("refresh of {family} before End-of-RIB is ignored (RFC 7313 §4)");
            out.push(Action::Warn { peer: session.peer, text });
            return;
        }
        let state = session.family_mut(family);
        if state.refresh_until.is_none() {
            state.epoch ^= !sweeping;
            self.refreshing.push((slot, family));
        }
        state.refresh_until = Some(now + STALE_TIME_MAX);
    }

    /// What was not sent again goes, in the background.
    fn end_refresh(&mut self, slot: Slot, family: Family) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        if session.family_mut(family).refresh_until.take().is_some() {
            self.refreshing.retain(|refreshing| *refreshing != (slot, family));
            self.background.add(Job::Sweep(slot, family));
        }
    }

    /// Ends refreshes whose EoRR does not come.
    pub(super) fn end_overdue_refreshes(&mut self, now: Timestamp) {
        if self.next_overdue_refresh().is_none_or(|until| now < until) {
            return;
        }
        for (slot, family) in self.refreshing.clone() {
            if self.refresh_until(slot, family).is_some_and(|until| until <= now) {
                self.end_refresh(slot, family);
            }
        }
    }

    /// When the first refresh under way becomes overdue.
    pub(super) fn next_overdue_refresh(&self) -> Option<Timestamp> {
        self.refreshing.iter().filter_map(|&(slot, family)| self.refresh_until(slot, family)).min()
    }

    fn refresh_until(&self, slot: Slot, family: Family) -> Option<Timestamp> {
        self.sessions.get(slot)?.family(family)?.refresh_until
    }
}

fn restarts_gracefully(session: &Session) -> bool {
    let capabilities = &session.negotiated.remote_capabilities;
    capabilities.iter().any(|capability| matches!(capability, Capability::GracefulRestart(_)))
}
