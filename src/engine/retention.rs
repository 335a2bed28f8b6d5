//! Routes of a neighbour whose session was lost and that may come back (RFC 4724 §4.2, RFC 8538, RFC 9494): how long
//! they are kept, when they become long-lived stale, and when they go. The walks themselves are in `background`.
//!
//! # What the RFCs ask
//! 1. RFC 4724 §4.2: on the loss of a session, routes of the families in the neighbour's capability are kept and marked
//!    stale; they are routes like any other otherwise. Those that were stale before are deleted.
//! 2. They go if the session is not back within the neighbour's Restart Time; a limit of our own may be shorter.
//! 3. Once it is back, those of a family go at once for which it does not say that its state was preserved (F bit).
//! 4. New routes replace them; at End-of-RIB those that are stale still go. A timer of our own may bound the wait
//!    (RFC 8538 asks for one).
//! 5. RFC 9494 §4.2: behind the Restart Time they may be kept for the Long-Lived Stale Time, marked, least preferred,
//!    without those with NO_LLGR. A family that the Restart Time is not for begins with this.
//! 6. §4.2: that timer goes on when the session is back, until End-of-RIB. A further loss before it neither restarts it
//!    nor removes anything; if it ran out meanwhile, everything of the family goes with that loss.
//! 7. §4.3: who announced the capability treats routes that arrive with LLGR_STALE as least preferred.
//!
//! # What we do
//! The session keeps its slot in the tables and is `Phase::Away`: its paths count, nothing is taken from it, nothing
//! sent to it. The neighbour's next session takes the slot over, so new routes replace old ones by the same rule as
//! ever. A speaker with another AS or identifier at the same address is another one: everything goes.
//!
//! 1. A walk marks the paths (`PathFlags::STALE`). A path is visited once per walk and nothing arrives meanwhile, so
//!    one that is marked already was stale before. Should the neighbour be back sooner than the walk is done, the walk
//!    is finished first.
//! 2. The same; `Retention::stale_time_max` is the limit.
//! 3. The same.
//! 4. The same; the limit is that of 2.
//! 5. The same; `Retention::long_lived_max` is a limit of our own. `export` adds the community, and asks who may hear of
//!    such a route; `best_path` knows the mark.
//! 6. The same.
//! 7. The same.

use std::{sync::Arc, time::Duration};

use crate::{
    rib::{PathFlags, SessionFacts},
    session::negotiate::Negotiated,
    types::{Family, PeerId, Timestamp},
    view::observed::Observation,
    wire::bgp::{attribute::AttrSet, community::Community},
};

use super::{
    Engine,
    background::Job,
    sessions::{FamilyState, Phase, Session, Slot},
    settings::Retention,
};

/// What is kept of one family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// The session is lost: the Restart Time ends.
    restart_until: Option<Timestamp>,
    /// What may follow; zero: nothing does.
    long_lived: Duration,
    /// Long-lived stale paths go, whether the neighbour is back or not.
    long_lived_until: Option<Timestamp>,
    /// The neighbour is back: what is stale still goes then though End-of-RIB has not come.
    confirm_until: Option<Timestamp>,
    /// The long-lived stale time ran out since the neighbour is back.
    ran_out: bool,
}

impl Kept {
    /// Long-lived stale paths may be among them, or may come to be: a second loss deletes nothing.
    pub fn outlives_losses(&self) -> bool {
        !self.long_lived.is_zero() || self.long_lived_until.is_some()
    }

    fn deadline(&self) -> Option<Timestamp> {
        [self.restart_until, self.long_lived_until, self.confirm_until].into_iter().flatten().min()
    }
}

impl Retention {
    /// How long routes of `family` are kept after the loss of a session: as stale, then as long-lived stale.
    pub fn times(&self, negotiated: &Negotiated, family: Family) -> (Duration, Duration) {
        if !self.helper || !negotiated.families.contains(&family) {
            return (Duration::ZERO, Duration::ZERO);
        }
        let stale = negotiated.restart_time(family).min(self.stale_time_max);
        (stale, negotiated.long_lived_stale_time(family).min(self.long_lived_max))
    }

    /// The longest time for which anything of the neighbour is kept after the loss of its session; zero: nothing is.
    pub fn longest(&self, negotiated: &Negotiated) -> Duration {
        let sum = |family: &Family| {
            let (stale, long_lived) = self.times(negotiated, *family);
            stale + long_lived
        };
        negotiated.families.iter().map(sum).max().unwrap_or_default()
    }
}

impl Engine {
    /// The session was lost; the neighbour may be back.
    pub(super) fn peer_lost(&mut self, now: Timestamp, peer: PeerId) {
        let Some(slot) = self.sessions.slot_of(peer) else { return };
        let Some(session) = self.sessions.get_mut(slot).filter(|session| session.phase == Phase::Live) else {
            // It was being ended by us, or was lost before: nothing of it is to be kept.
            return self.peer_down(peer);
        };
        let mut jobs = Vec::new();
        let mut any = false;
        for state in &mut session.families {
            let kept = keep(now, &session.settings.retention, &session.negotiated, state);
            any |= kept.is_some();
            let job = if kept.is_some() { Job::Stale } else { Job::Drop };
            jobs.push(job(slot, state.family));
            let long_lived_now = kept.is_some_and(|kept| kept.restart_until.is_none());
            jobs.extend(long_lived_now.then_some(Job::LongLived(slot, state.family)));
            (state.kept, state.refresh_until, state.end_of_rib) = (kept, None, false);
        }
        if !any {
            return self.peer_down(peer);
        }
        session.phase = Phase::Away;
        self.watched.note(|| Observation::Away { session: slot });
        self.leave(slot);
        self.retaining.push(slot);
        jobs.into_iter().for_each(|job| self.background.add(job));
    }

    /// The slot that a new session takes over; `None`: nothing is kept, or it is another speaker's.
    pub(super) fn may_take_over(&self, session: &Session, facts: &SessionFacts) -> Option<Slot> {
        let slot = self.sessions.slot_of(session.peer)?;
        let before = self.sessions.get(slot).filter(|before| before.phase == Phase::Away)?;
        let known = self.facts.get(usize::from(slot))?;
        let who = |facts: &SessionFacts| (facts.source, facts.asn, facts.router_id, facts.address);
        (before.negotiated.local_asn == session.negotiated.local_asn && who(known) == who(facts)).then_some(slot)
    }

    /// The neighbour is back: its new session takes over the slot and what was kept.
    pub(super) fn take_over(&mut self, now: Timestamp, slot: Slot, mut session: Session) {
        // What the loss began must be complete before the first new path is filed: see the top of this file.
        while self.background.retains(slot) {
            self.background_step(now, usize::MAX);
        }
        let Some(before) = self.sessions.get_mut(slot) else { return };
        session.inherit(before);
        let mut jobs = Vec::new();
        if *before.import != *session.import {
            session.reweighed = before.reweighed || before.import.weight != session.import.weight;
            jobs.push(Job::Rejudge(slot));
        }
        let until = now + session.settings.retention.stale_time_max;
        let negotiated = Arc::clone(&session.negotiated);
        for state in &mut session.families {
            let Some(kept) = &mut state.kept else { continue };
            let long_absent = kept.long_lived_until.is_some();
            if negotiated.families.contains(&state.family) && negotiated.state_preserved(state.family, long_absent) {
                (kept.restart_until, kept.confirm_until) = (None, Some(until));
            } else {
                state.kept = None;
                jobs.push(Job::Unconfirmed(slot, state.family));
            }
        }
        *before = session;
        jobs.into_iter().for_each(|job| self.background.add(job));
    }

    /// End-of-RIB came: what is stale still was not sent again.
    pub(super) fn end_of_rib_came(&mut self, slot: Slot, family: Family) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let state = session.family_mut(family);
        state.end_of_rib = true;
        if state.kept.take().is_some() {
            self.background.add(Job::Unconfirmed(slot, family));
        }
        self.note_end_of_rib(slot, family);
    }

    /// Does what is due of all that is kept.
    pub(super) fn retention_due(&mut self, now: Timestamp) {
        if self.next_retention().is_none_or(|deadline| now < deadline) {
            return;
        }
        for slot in self.retaining.clone() {
            let Some(session) = self.sessions.get_mut(slot) else { continue };
            let (peer, away) = (session.peer, session.phase == Phase::Away);
            let states = session.families.iter_mut();
            let jobs: Vec<Job> = states.filter_map(|state| due(now, slot, away, state)).collect();
            let empty = session.families.iter().all(|state| state.kept.is_none());
            jobs.into_iter().for_each(|job| self.background.add(job));
            if away && empty {
                self.peer_down(peer);
            }
        }
        self.forget_what_is_not_kept();
    }

    /// When `retention_due` has something to do.
    pub(super) fn next_retention(&self) -> Option<Timestamp> {
        let sessions = self.retaining.iter().filter_map(|slot| self.sessions.get(*slot));
        let kept = sessions.flat_map(|session| &session.families).filter_map(|state| state.kept);
        kept.filter_map(|kept| kept.deadline()).min()
    }

    fn forget_what_is_not_kept(&mut self) {
        let sessions = &self.sessions;
        let keeps = |session: &Session| session.families.iter().any(|state| state.kept.is_some());
        self.retaining.retain(|slot| sessions.get(*slot).is_some_and(keeps));
    }
}

/// What is kept of a family when its session is lost now; `None`: nothing.
fn keep(now: Timestamp, retention: &Retention, negotiated: &Negotiated, state: &FamilyState) -> Option<Kept> {
    let (stale, long_lived) = retention.times(negotiated, state.family);
    let before = state.kept;
    if before.is_some_and(|kept| kept.ran_out) || stale.is_zero() && long_lived.is_zero() {
        return None;
    }
    let running = before.and_then(|kept| kept.long_lived_until);
    let restart_until = (!stale.is_zero()).then(|| now + stale);
    let begins = (restart_until.is_none() && !long_lived.is_zero()).then(|| now + long_lived);
    Some(Kept { restart_until, long_lived, long_lived_until: running.or(begins), confirm_until: None, ran_out: false })
}

/// What is due of one family.
fn due(now: Timestamp, slot: Slot, away: bool, state: &mut FamilyState) -> Option<Job> {
    let is_due = |deadline: Option<Timestamp>| deadline.is_some_and(|deadline| deadline <= now);
    let kept = state.kept.as_mut()?;
    if is_due(kept.long_lived_until) {
        if away {
            state.kept = None;
            return Some(Job::Drop(slot, state.family));
        }
        (kept.long_lived_until, kept.ran_out) = (None, true);
        return Some(Job::Unconfirmed(slot, state.family));
    }
    if is_due(kept.confirm_until) {
        state.kept = None;
        return Some(Job::Unconfirmed(slot, state.family));
    }
    if !is_due(kept.restart_until) {
        return None;
    }
    kept.restart_until = None;
    if kept.outlives_losses() {
        kept.long_lived_until = kept.long_lived_until.or(Some(now + kept.long_lived));
        return Some(Job::LongLived(slot, state.family));
    }
    state.kept = None;
    Some(Job::Drop(slot, state.family))
}

/// The mark of routes that arrive with LLGR_STALE from a neighbour that we told of the capability (`retention`, 7).
pub fn marks_on_arrival(session: &Session, set: AttrSet<'_>) -> PathFlags {
    match session.negotiated.long_lived {
        Some(_) if set.communities().any(|community| community == Community::LLGR_STALE) => PathFlags::LLGR_STALE,
        _ => PathFlags::default(),
    }
}
