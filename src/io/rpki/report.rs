//! How the task of a source tells what it has, what went wrong, and what is too old. A task that was replaced by a
//! reload is not heard any more, and hears that it has no source.

use std::{sync::Arc, time::Duration};

use tracing::{info, warn};

use super::{News, Rpki, force::filtered};
use crate::{
    types::Timestamp,
    validation::{Snapshot, SourceId},
    view::rpki::{SourceState, SourceView},
};

/// How a task speaks about its source.
#[derive(Clone)]
pub(super) struct Reporter {
    rpki: Rpki,
    /// Of the source in snapshots.
    pub(super) id: SourceId,
    task: u64,
}

impl Reporter {
    pub(super) fn new(rpki: Rpki, id: SourceId, task: u64) -> Self {
        Self { rpki, id, task }
    }

    /// How often to ask or to look, where the configuration says so.
    pub(super) fn refresh(&self) -> Option<Duration> {
        self.rpki.lock().of_task(self.task)?.settings.refresh
    }

    /// The same for a cache, which must also confirm its data within a configured expire interval.
    pub(super) fn ask_every(&self) -> Option<Duration> {
        self.refresh().or_else(|| Some(self.expire_after()? / 2))
    }

    /// How long data hold without being confirmed, where the configuration says so.
    pub(super) fn expire_after(&self) -> Option<Duration> {
        self.rpki.lock().of_task(self.task)?.settings.expire
    }

    /// The source has these data now, complete, confirmed until `expire` from now.
    pub(super) fn synced(&self, received: &Arc<Snapshot>, expire: Duration, facts: impl FnOnce(&mut SourceView)) {
        let now = self.rpki.now();
        let mut state = self.rpki.lock();
        let slurm = state.slurm.clone();
        let Some(source) = state.of_task(self.task) else { return };
        let before = source.view.state;
        let same = source.received.as_ref().is_some_and(|old| Arc::ptr_eq(old, received) || old == received);
        source.view.state = SourceState::Synced;
        source.view.updated_at = Some(now);
        source.view.expires_at = Some(now + expire);
        source.view.last_error = None;
        facts(&mut source.view);
        if same && source.filtered.is_some() {
            return;
        }
        source.filtered = Some(filtered(received, &slurm, self.id));
        source.received = Some(Arc::clone(received));
        if before != SourceState::Synced {
            let (v4, v6) = received.vrps.counts();
            let aspas = received.aspas.len();
            info!("rpki: {} is in sync: {v4} IPv4 and {v6} IPv6 VRPs, {aspas} ASPAs", source.view.name);
        }
        let first = !std::mem::replace(&mut source.answered, true);
        let answered = first.then(|| source.view.name.clone());
        self.rpki.put_in_force(&mut state);
        if let Some(name) = answered {
            (self.rpki.inner.publish)(News::Answered(name));
        }
    }

    /// The source failed; what it gave before holds until it expires. Said once per change of state.
    pub(super) fn failed(&self, why: String) {
        let mut state = self.rpki.lock();
        let Some(source) = state.of_task(self.task) else { return };
        if source.view.last_error.as_ref() != Some(&why) {
            let hold = match source.view.expires_at {
                Some(_) if source.received.is_some() => "its data stay in force until they expire",
                _ => "it has given no data",
            };
            warn!("rpki: {}: {why}; {hold}", source.view.name);
        }
        if source.view.state != SourceState::Expired {
            source.view.state = if source.received.is_some() { SourceState::Failing } else { SourceState::Starting };
        }
        source.view.last_error = Some(why);
    }

    /// What it says of ASPAs cannot be used, so a version is spoken that has none. Said once for each reason.
    pub(super) fn goes_on_without_aspas(&self, why: String) {
        let mut state = self.rpki.lock();
        let Some(source) = state.of_task(self.task) else { return };
        if source.view.without_aspas.as_ref() != Some(&why) {
            let name = &source.view.name;
            warn!("rpki: {name}: {why}; RTR version 1 is spoken with it, which gives its VRPs and none of its ASPAs");
        }
        source.view.without_aspas = Some(why);
    }

    /// When the data expire; `None`: there are none.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        let mut state = self.rpki.lock();
        let source = state.of_task(self.task)?;
        source.received.is_some().then_some(source.view.expires_at).flatten()
    }

    /// The same as a time to sleep until.
    pub(super) fn expiry(&self) -> Option<tokio::time::Instant> {
        self.expires_at().map(|at| self.rpki.inner.clock.instant(at))
    }

    /// Drops the data if they are too old (RFC 8210 §6: "MUST discard"); whether they were.
    pub(super) fn expire(&self) -> bool {
        if self.expires_at().is_none_or(|at| at > self.rpki.now()) {
            return false;
        }
        let mut state = self.rpki.lock();
        let Some(source) = state.of_task(self.task) else { return false };
        (source.received, source.filtered) = (None, None);
        source.view.state = SourceState::Expired;
        let name = &source.view.name;
        warn!("rpki: the data of {name} expired without being confirmed and are dropped (RFC 8210 §6)");
        self.rpki.put_in_force(&mut state);
        true
    }

    /// The session that the data belong to, and the version that is spoken.
    pub(super) fn note_session(&self, session_id: u16, serial: u32, version: u8) {
        let mut state = self.rpki.lock();
        if let Some(source) = state.of_task(self.task) {
            (source.view.session_id, source.view.serial) = (Some(session_id), Some(serial));
            source.view.version = Some(version);
        }
    }
}
