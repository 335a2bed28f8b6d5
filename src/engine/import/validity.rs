//! What RPKI says of a path, at import: the state of its origin (RFC 6811) and of its AS_PATH (ASPA), kept in two bits
//! each of the path's marks. A path's states are those of what was received; policy may look at them, and nothing else
//! in here does: the decision never prefers a valid route by itself.
//!
//! # What the RFCs ask
//! 1. RFC 6811 §2: the origin is the last AS of the path; our own where the path is empty or has confederation segments
//!    only; NONE where it ends in an AS_SET. Unicast routes are judged, those of other families are not.
//! 2. RFC 6811 §3: what is originated here is judged too.
//! 3. ASPA verification asks for the relation to the neighbour: the configured role. Without one, and on IBGP, a path is
//!    not checked.
//!
//! 4. RFC 8097 §2: a neighbour of our AS may say which state it found; that counts where there is none by local data.
//!
//! # What we do
//! The same. The path is verified once per attribute set, the origin once per prefix. As soon as we have RPKI data of our
//! own, what a neighbour says of a state is not looked at, NotFound included: two views of one route would be mixed.
//! Inside a confederation our AS is the one that others see, since ROAs name it and no member.

use std::sync::Arc;

use crate::{
    rib::{PathFlags, SetFacts},
    types::{Asn, Family, Prefix, Role},
    validation::{OriginState, PathState, Snapshot, aspa::Direction, rov::Near},
    wire::bgp::{
        attribute::AttrSet,
        validation_state::{Stated, stated},
    },
};

/// States of a path, or what of them is known before its prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Validity {
    /// Of its origin.
    pub origin: OriginState,
    /// Of its AS_PATH.
    pub path: PathState,
}

impl Validity {
    /// As marks on a path.
    pub fn marks(self) -> PathFlags {
        PathFlags::default().with_validity(self.origin.code(), self.path.code())
    }

    /// From the marks of a path.
    pub fn of(flags: PathFlags) -> Self {
        let (origin, path) = flags.validity();
        Self { origin: OriginState::from_code(origin), path: PathState::from_code(path) }
    }
}

/// Who sent a path, as far as RPKI asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sender {
    /// Our own AS: the origin of a path without one.
    pub own: Asn,
    /// Its AS, and what it is to us, where both are known and it is in another AS.
    pub role: Option<(Asn, Role)>,
    /// What it says of the validation state is believed (RFC 8097).
    pub states: bool,
}

impl Sender {
    /// Ourselves, in this AS.
    pub fn ourselves(own: Asn) -> Self {
        Self { own, role: None, states: false }
    }
}

/// Judges the routes of one set after the other by the snapshot in force.
#[derive(Debug, Default)]
pub struct Validator {
    /// What RPKI says.
    pub rpki: Arc<Snapshot>,
    /// What was found out about the next prefixes before their turn, and which of them is next.
    ahead: Vec<(Prefix, Near)>,
    next: usize,
    origin: Option<Asn>,
    applies: bool,
    /// What the neighbour said of the state, where nothing else is known.
    stated: OriginState,
    path: PathState,
}

impl Validator {
    /// One that judges by `rpki`.
    pub fn new(rpki: Arc<Snapshot>) -> Self {
        Self { rpki, ..Self::default() }
    }

    /// From now on these data are in force; those that were.
    pub fn take(&mut self, rpki: Arc<Snapshot>) -> Arc<Snapshot> {
        self.ahead.clear();
        std::mem::replace(&mut self.rpki, rpki)
    }

    /// Looks up prefixes whose turn is next, in their order and all at once: one after the other each would wait for the
    /// memory. Others may stand between them.
    pub fn look_ahead(&mut self, prefixes: &[Prefix]) {
        self.ahead.clear();
        self.next = 0;
        if self.rpki.loaded {
            self.rpki.vrps.near_each(prefixes, |prefix, near| self.ahead.push((prefix, near)));
        }
    }

    /// Turns to a set with its facts, as received from `sender`.
    #[inline]
    pub fn begin(&mut self, sender: &Sender, family: Family, received: AttrSet<'_>, facts: &SetFacts) {
        let is_unicast = family == Family::IPV4_UNICAST || family == Family::IPV6_UNICAST;
        self.applies = self.rpki.loaded && is_unicast;
        self.path = PathState::NotChecked;
        self.stated = OriginState::NotChecked;
        if !self.applies {
            if sender.states && is_unicast {
                self.stated = state_of(stated(received));
            }
            return;
        }
        self.origin = origin(facts, sender.own);
        if let Some((asn, role)) = sender.role.filter(|_| !self.rpki.aspas.is_empty()) {
            // Our role is the counterpart of the neighbour's (RFC 9234 §4.1); a route server is not in the path.
            let first = (role != Role::RouteServer).then_some(asn);
            self.path = self.rpki.aspas.verify(received.as_path(), first, Direction::of(role.counterpart())).0;
        }
    }

    /// The origin whose state has to be found, if it has one AS.
    #[inline]
    pub fn asks_for(&self) -> Option<Asn> {
        self.origin.filter(|_| self.applies)
    }

    /// The states of the path of `prefix`. `like`: the state of another path of the same prefix and origin, where that is
    /// known; RPKI says the same of both.
    #[inline]
    pub fn of(&mut self, prefix: Option<Prefix>, like: Option<OriginState>) -> Validity {
        if let (Some(origin), true) = (like, self.applies) {
            return Validity { origin, path: self.path };
        }
        match prefix {
            Some(prefix) if self.applies => {
                let near = match self.ahead.get(self.next) {
                    Some((ahead, near)) if *ahead == prefix => {
                        self.next += 1;
                        *near
                    }
                    _ => self.rpki.vrps.near(prefix),
                };
                Validity { origin: self.rpki.vrps.state_near(prefix, near, self.origin), path: self.path }
            }
            _ => Validity { origin: self.stated, path: PathState::NotChecked },
        }
    }
}

/// The state that a community stands for (RFC 8097 §2).
fn state_of(stated: Stated) -> OriginState {
    match stated {
        Stated::Value(0) => OriginState::Valid,
        Stated::Value(1) => OriginState::NotFound,
        Stated::Value(_) => OriginState::Invalid,
        Stated::Nothing | Stated::Erroneous(_) => OriginState::NotChecked,
    }
}

/// The origin of a path (RFC 6811 §2).
fn origin(facts: &SetFacts, own: Asn) -> Option<Asn> {
    match facts.origin_asn() {
        None if !facts.has_as_set() => Some(own),
        origin => origin,
    }
}
