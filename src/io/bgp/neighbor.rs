//! What a neighbour's task shares with readers: its session, its settings, and how it is shown.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{settings::NeighborSettings, words};
use crate::{
    session::bgp_peer::BgpPeer,
    types::{PeerId, Prefix},
    view::{FamilyCounts, NeighborView},
};

/// One neighbour.
pub(super) struct Neighbor {
    pub(super) id: PeerId,
    pub(super) address: IpAddr,
    /// The range that it was accepted from.
    pub(super) range: Option<Prefix>,
    settings: Mutex<Arc<NeighborSettings>>,
    session: Mutex<BgpPeer>,
    send_queue: AtomicUsize,
}

impl Neighbor {
    pub(super) fn new(
        id: PeerId,
        address: IpAddr,
        range: Option<Prefix>,
        settings: Arc<NeighborSettings>,
        seed: u64,
    ) -> Self {
        let session = BgpPeer::new(Arc::clone(&settings.session), seed);
        Self {
            id,
            address,
            range,
            settings: Mutex::new(settings),
            session: Mutex::new(session),
            send_queue: AtomicUsize::new(0),
        }
    }

    /// The session. Its task holds this for one read's worth of octets, a reader for a copy of counters.
    pub(super) fn session(&self) -> MutexGuard<'_, BgpPeer> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings in force.
    pub(super) fn settings(&self) -> Arc<NeighborSettings> {
        Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what a session does not notice: names, limits, and what the engine does for it.
    pub(super) fn reconfigure(&self, settings: Arc<NeighborSettings>) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// How messages call it.
    pub(super) fn label(&self) -> String {
        self.settings().label(self.address)
    }

    /// Notes how many octets wait to be written to it.
    pub(super) fn note_send_queue(&self, octets: usize) {
        self.send_queue.store(octets, Ordering::Relaxed);
    }

    /// How it is shown; `counts` come from the engine.
    pub(super) fn view(&self, counts: Vec<FamilyCounts>) -> NeighborView {
        let settings = self.settings();
        let session = self.session();
        let stats = session.stats();
        let negotiated = session.negotiated();
        let names = |policies: &[Arc<str>]| policies.iter().map(ToString::to_string).collect();
        NeighborView {
            peer: self.id,
            address: self.address,
            port: negotiated.map_or(settings.port, |negotiated| negotiated.remote.port()),
            name: settings.name.clone(),
            range: self.range,
            remote_asn: negotiated.map(|negotiated| negotiated.peer_asn).or(settings.session.remote_asn.known()),
            local_asn: settings.session.local_asn,
            router_id: negotiated.map(|negotiated| negotiated.peer_router_id),
            state: session.state(),
            enabled: session.is_enabled(),
            monitor_only: settings.session.monitor_only,
            passive: settings.session.passive,
            established_at: stats.established_at,
            changed_at: stats.changed_at,
            families: negotiated.map_or(&settings.session.families, |negotiated| &negotiated.families).clone(),
            counts,
            hold_time: negotiated.map(|negotiated| negotiated.hold_time).unwrap_or_default(),
            negotiated: negotiated.map(|negotiated| words::agreed(negotiated)).unwrap_or_default(),
            received: stats.received,
            sent: stats.sent,
            faults: stats.faults.clone(),
            flaps: stats.flaps,
            last_error: stats.last_error.as_deref().map(words::printable),
            send_queue: self.send_queue.load(Ordering::Relaxed) as u64,
            import: names(&settings.engine.import),
            export: names(&settings.engine.export),
        }
    }
}
