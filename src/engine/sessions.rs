//! The sessions that have paths in the tables, each under a 16-bit slot that a path carries instead of its
//! neighbour. A session that comes back gets a new slot, so the paths of the one that ended never count again;
//! its slot is given out anew only after the purge has removed the last of them. Only where paths are kept for the
//! neighbour's return does its next session take the slot over (`retention`).

use std::{collections::HashMap, sync::Arc};

use rustc_hash::FxBuildHasher;

use crate::{
    policy::PolicyChain,
    rib::SessionSlot,
    session::negotiate::Negotiated,
    types::{Family, PeerId, Timestamp},
};

use super::{PeerSettings, filters::NeighborFilter, import::ImportRules, retention::Kept};

/// A session's number in the tables. Slot 0 is this router itself.
pub type Slot = SessionSlot;

/// The slot of routes that this router originates.
pub const LOCAL: Slot = 0;

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Established: its paths count.
    Live,
    /// We asked for its end (max-prefix) and wait for the driver: its paths count still, nothing more is taken.
    Ending,
    /// It was lost and may be back (`retention`): its paths count still, nothing is taken or sent.
    Away,
    /// It ended: its paths do not count and are being removed.
    Dead,
}

/// What is counted and remembered per family of one session.
#[derive(Debug)]
pub struct FamilyState {
    /// Which family.
    pub family: Family,
    /// Paths in Adj-RIB-In.
    pub received: u64,
    /// Those of them that import policy accepted.
    pub accepted: u64,
    /// Paths in Adj-RIB-In by the code of their origin's state.
    pub validation: [u64; 4],
    /// The same by the code of their AS path's state.
    pub aspa: [u64; 4],
    /// Paths in Adj-RIB-In that an earlier session left and this one has not confirmed (RFC 4724 §4.2).
    pub stale: u64,
    /// Whether End-of-RIB came (RFC 4724 §2).
    pub end_of_rib: bool,
    /// Value of the refresh bit that current paths carry.
    pub epoch: bool,
    /// A refresh is under way (BoRR came, RFC 7313 §4) and ends at the latest at this time.
    pub refresh_until: Option<Timestamp>,
    /// The max-prefix warning was given.
    pub warned: bool,
    /// Paths that were not filed, since their prefix had all it may have.
    pub dropped: u64,
    /// Paths of an earlier session may be among them (`retention`).
    pub kept: Option<Kept>,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    /// Whose.
    pub peer: PeerId,
    /// The neighbour's settings.
    pub settings: Arc<PeerSettings>,
    /// What both OPENs agreed on.
    pub negotiated: Arc<Negotiated>,
    /// What is asked of its routes.
    pub import: Arc<ImportRules>,
    /// Its weight became another one, and not all of its paths have been compared anew.
    pub reweighed: bool,
    /// Its export policies.
    pub export: PolicyChain,
    /// Where it stands.
    pub phase: Phase,
    /// Counts, in the order in which families were met; a session has one to five of them.
    pub families: Vec<FamilyState>,
    /// The max-prefix warning over all families was given.
    pub warned_total: bool,
    /// The warning about paths that were dropped was given.
    pub warned_dropped: bool,
    /// What it wants to be sent, in families in which it can say so.
    pub filters: Vec<NeighborFilter>,
    /// The warning about entries that were refused was given.
    pub warned_filter: bool,
    /// The warning about validation states without a meaning was given.
    pub warned_state: bool,
    /// Update group that it is a member of, once it takes routes from us.
    pub group: Option<usize>,
    /// Octets handed to the driver and not known to be written.
    pub outstanding: usize,
    /// Since when `outstanding` is above the limit.
    pub blocked_since: Option<Timestamp>,
}

impl Session {
    /// A session that has just come up.
    pub fn new(
        peer: PeerId,
        settings: Arc<PeerSettings>,
        negotiated: Arc<Negotiated>,
        import: ImportRules,
        export: PolicyChain,
    ) -> Self {
        let mut session = Self {
            peer,
            settings,
            import: Arc::new(import),
            reweighed: false,
            export,
            phase: Phase::Live,
            families: Vec::new(),
            warned_total: false,
            warned_dropped: false,
            filters: negotiated.filters_received.iter().copied().map(NeighborFilter::awaited).collect(),
            warned_filter: false,
            warned_state: false,
            group: None,
            outstanding: 0,
            blocked_since: None,
            negotiated,
        };
        for family in session.negotiated.families.clone() {
            session.family_mut(family);
        }
        session
    }

    /// A session takes over the paths and counts of an earlier one of the same speaker.
    pub fn inherit(&mut self, earlier: &mut Self) {
        for state in std::mem::take(&mut earlier.families) {
            *self.family_mut(state.family) = FamilyState { refresh_until: None, end_of_rib: false, ..state };
        }
    }

    /// Whether its paths may be chosen.
    pub fn counts(&self) -> bool {
        self.phase != Phase::Dead
    }

    /// Other limits hold: warnings about them are due anew.
    pub fn forget_warnings(&mut self) {
        self.warned_total = false;
        self.families.iter_mut().for_each(|state| state.warned = false);
    }

    /// Paths of all families.
    pub fn received(&self) -> u64 {
        self.families.iter().map(|state| state.received).sum()
    }

    /// The state of a family, if the session ever had anything to do with it.
    pub fn family(&self, family: Family) -> Option<&FamilyState> {
        self.families.iter().find(|state| state.family == family)
    }

    /// The state of a family, made when it is new.
    pub fn family_mut(&mut self, family: Family) -> &mut FamilyState {
        let at = self.families.iter().position(|state| state.family == family).unwrap_or_else(|| {
            self.families.push(FamilyState {
                family,
                received: 0,
                accepted: 0,
                validation: [0; 4],
                aspa: [0; 4],
                stale: 0,
                end_of_rib: false,
                epoch: false,
                refresh_until: None,
                warned: false,
                dropped: 0,
                kept: None,
            });
            self.families.len() - 1
        });
        &mut self.families[at]
    }
}

/// All sessions, by slot and by neighbour.
#[derive(Debug, Default)]
pub struct Sessions {
    /// Index is slot - 1; `None` is free.
    slots: Vec<Option<Session>>,
    /// Neighbours with a session that has not ended, or whose routes are kept.
    by_peer: HashMap<PeerId, Slot, FxBuildHasher>,
}

impl Sessions {
    /// Takes the lowest free slot for a session; `None` when all 65,535 are taken (purges not done yet).
    pub fn open(&mut self, session: Session) -> Option<Slot> {
        let at = match self.slots.iter().position(Option::is_none) {
            Some(at) => at,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        let slot = Slot::try_from(at + 1).ok()?;
        self.by_peer.insert(session.peer, slot);
        self.slots[at] = Some(session);
        Some(slot)
    }

    /// Ends the neighbour's session: its slot stays taken until `free`.
    pub fn end(&mut self, peer: PeerId) -> Option<Slot> {
        let slot = self.by_peer.remove(&peer)?;
        if let Some(session) = self.get_mut(slot) {
            session.phase = Phase::Dead;
        }
        Some(slot)
    }

    /// Gives a slot back; no path carries it any more.
    pub fn free(&mut self, slot: Slot) {
        if let Some(place) = self.place(slot).and_then(|at| self.slots.get_mut(at)) {
            *place = None;
        }
    }

    /// The slot of the neighbour's current session.
    pub fn slot_of(&self, peer: PeerId) -> Option<Slot> {
        self.by_peer.get(&peer).copied()
    }

    /// The session in a slot; `None` for `LOCAL` and for free slots.
    pub fn get(&self, slot: Slot) -> Option<&Session> {
        self.slots.get(self.place(slot)?)?.as_ref()
    }

    /// The session in a slot, to change it.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Session> {
        let at = self.place(slot)?;
        self.slots.get_mut(at)?.as_mut()
    }

    /// The neighbour in a slot; `None` for `LOCAL`.
    pub fn peer(&self, slot: Slot) -> Option<PeerId> {
        self.get(slot).map(|session| session.peer)
    }

    /// Sessions that have not ended, in order of slot.
    pub fn live(&self) -> impl Iterator<Item = (Slot, &Session)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(at, session)| Some((at as Slot + 1, session.as_ref().filter(|s| s.counts())?)))
    }

    fn place(&self, slot: Slot) -> Option<usize> {
        usize::from(slot).checked_sub(1)
    }
}
