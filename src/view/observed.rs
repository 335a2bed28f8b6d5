//! What somebody who watches every change is handed: changes of paths by handle, changes of sessions, and the tables
//! as they are behind these changes. Nothing is copied and nothing formatted, so that watching all paths costs little;
//! who watches runs on the engine's thread and must be as quick as the rest of it.
//!
//! Only IPv4 and IPv6 unicast are watched: what is said about routes here is about address space.

use std::{net::IpAddr, sync::Arc};

use crate::{
    rib::{PathFlags, Rib, SessionFacts, SessionSlot, SetId},
    types::{Asn, Family, PathId, Prefix, Role, Timestamp},
    validation::Snapshot,
};

/// What a session is to those who count who sees a route.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum VantageClass {
    /// A router of ours, or a neighbour of ours: what it says concerns us at once.
    #[default]
    Own,
    /// A route server at an exchange.
    RouteServer,
    /// A public collector, or somebody else's feed: one of many.
    Public,
}

impl VantageClass {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Own, Self::RouteServer, Self::Public];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::RouteServer => "route-server",
            Self::Public => "public",
        }
    }
}

/// A session as those see it who ask where a path was seen from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vantage {
    /// Name or address.
    pub name: Arc<str>,
    /// Remote address.
    pub address: IpAddr,
    /// Its AS.
    pub asn: Asn,
    /// Whether it is in our AS.
    pub internal: bool,
    /// Our role towards it (RFC 9234).
    pub local_role: Option<Role>,
    /// Whose view it is.
    pub class: VantageClass,
}

/// The slot of routes that this router originates.
pub const LOCAL_SLOT: SessionSlot = 0;

/// A path came, was replaced, was judged otherwise, or went.
#[derive(Clone, Copy, Debug)]
pub struct PathChange {
    /// IPv4 or IPv6 unicast.
    pub family: Family,
    /// Whose path.
    pub prefix: Prefix,
    /// Who sent it.
    pub session: SessionSlot,
    /// Path Identifier (RFC 7911 §3).
    pub path_id: PathId,
    /// The path before.
    pub before: Option<(SetId, PathFlags)>,
    /// The path now.
    pub after: Option<(SetId, PathFlags)>,
}

/// Something that changed.
#[derive(Clone, Debug)]
pub enum Observation {
    /// A path.
    Path(PathChange),
    /// A session is up; `resumed`: it took over what was kept of the last one (RFC 4724).
    Up {
        /// Which.
        session: SessionSlot,
        /// Whether paths of its last session are there still.
        resumed: bool,
    },
    /// A session was lost and its paths are kept as stale (RFC 4724 §4.2).
    Away {
        /// Which.
        session: SessionSlot,
    },
    /// A session ended: its paths do not count any more and are taken out from now on.
    Down {
        /// Which.
        session: SessionSlot,
    },
    /// A neighbour was taken out of the configuration; that its session is down is as it should be.
    Gone {
        /// What it was called, as in [`Vantage::name`].
        name: Arc<str>,
    },
    /// A neighbour has sent all it had (RFC 4724 §2).
    EndOfRib {
        /// Whose.
        session: SessionSlot,
        /// Of which family.
        family: Family,
    },
    /// RPKI says something else now.
    Rpki {
        /// What it said before.
        before: Arc<Snapshot>,
    },
}

/// What changed since the last look, and all there is.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The time.
    pub now: Timestamp,
    /// What changed, in order. Sets of `before` are there still.
    pub log: &'a [Observation],
    /// Attribute sets that are gone since the last look: their handles mean others now, or nothing.
    pub freed: &'a [SetId],
    /// The tables behind all changes.
    pub rib: &'a Rib,
    /// By slot; whether its paths count.
    pub sessions: &'a [SessionFacts],
    /// By slot; `None` for those that never were.
    pub vantages: &'a [Option<Arc<Vantage>>],
    /// What RPKI says.
    pub rpki: &'a Arc<Snapshot>,
}

impl<'a> Observed<'a> {
    /// Whether the paths of a session count.
    pub fn counts(&self, session: SessionSlot) -> bool {
        self.sessions.get(usize::from(session)).is_some_and(|facts| facts.usable)
    }

    /// Who stands in a slot.
    pub fn vantage(&self, session: SessionSlot) -> Option<&'a Arc<Vantage>> {
        self.vantages.get(usize::from(session))?.as_ref()
    }
}

/// Who watches.
pub trait Observer: Send {
    /// Takes what changed.
    fn observe(&mut self, seen: &Observed<'_>);
    /// When to call `observe` at the latest though nothing changes; `None`: nothing is armed.
    fn next_deadline(&self) -> Option<Timestamp>;
    /// It is not shown anything any more.
    fn end(&mut self) {}
}
