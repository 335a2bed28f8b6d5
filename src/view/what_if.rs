//! Read models of "what if": what the routes of now would be with other RPKI data, route by route, and counted.

use std::sync::Arc;

use super::{Cursor, Nlri, RouteRow};
use crate::{
    types::{Family, PathId, PeerId},
    validation::{OriginState, PathState, hypothesis::Hypothesis},
};

/// Asks for a page of the paths that other RPKI data would change.
#[derive(Clone, Debug)]
pub struct WhatIfQuery {
    /// What would be in force.
    pub hypothesis: Arc<Hypothesis>,
    /// Continue behind this point.
    pub cursor: Option<Cursor>,
    /// Stop after this many rows; a prefix is never cut in two.
    pub limit: usize,
    /// Stop after looking at this many prefixes. Bounds the writer's work.
    pub scan_limit: usize,
}

/// What a path would be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Then {
    /// State of its origin (RFC 6811).
    pub validation: OriginState,
    /// State of its AS_PATH (ASPA).
    pub aspa: PathState,
    /// The policy and statement that would reject it; `None`: accepted.
    pub rejected_by: Option<Arc<str>>,
    /// Whether it would be the best route of its prefix.
    pub best: bool,
}

/// A path in Adj-RIB-In whose state, acceptance, or being best would change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WhatIfRow {
    /// As it is, with the attributes received.
    pub now: RouteRow,
    /// As it would be.
    pub then: Then,
}

impl WhatIfRow {
    /// What names the path within its prefix, in the order of answers.
    pub fn order(&self) -> (Option<PeerId>, PathId) {
        (self.now.peer, self.now.path_id)
    }
}

/// A neighbour that would be told of a prefix and is not, or the other way round: export policies look at states, too,
/// and a route that import rejects, or that is best no more, is told to nobody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WhatIfTold {
    /// Address family.
    pub family: Family,
    /// What is routed.
    pub nlri: Nlri,
    /// Who.
    pub peer: PeerId,
    /// Whether it would be told.
    pub told: bool,
}

/// A bounded part of the answer.
#[derive(Clone, Debug, Default)]
pub struct WhatIfPage {
    /// Paths in table order: family, prefix, neighbour, path id.
    pub rows: Vec<WhatIfRow>,
    /// Who would be told and is not, or the other way round, in table order.
    pub told: Vec<WhatIfTold>,
    /// The attribute sets of `rows`, each distinct set once.
    pub attrs: Vec<u8>,
    /// Where to go on; `None` when the list is complete.
    pub next: Option<Cursor>,
}

/// How many paths would change, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WhatIfCounts {
    /// Paths that change in any way.
    pub routes: u64,
    /// By the codes of the origin's state now and then.
    pub validation: [[u64; 4]; 4],
    /// By the codes of the path's state now and then.
    pub aspa: [[u64; 4]; 4],
    /// Import policy takes them now and would not.
    pub rejected: u64,
    /// Import policy would take them and does not now.
    pub accepted: u64,
    /// Best now, and would not be.
    pub no_longer_best: u64,
    /// Not best now, and would be.
    pub becoming_best: u64,
    /// Prefixes that a neighbour is told and would not be, for all neighbours together.
    pub withdrawn: u64,
    /// Prefixes that a neighbour is not told and would be.
    pub announced: u64,
}

impl WhatIfCounts {
    /// Counts a path.
    pub fn add(&mut self, row: &WhatIfRow) {
        let WhatIfRow { now, then } = row;
        self.routes += 1;
        if now.validation != then.validation {
            self.validation[usize::from(now.validation.code())][usize::from(then.validation.code())] += 1;
        }
        if now.aspa != then.aspa {
            self.aspa[usize::from(now.aspa.code())][usize::from(then.aspa.code())] += 1;
        }
        match (now.rejected_by.is_some(), then.rejected_by.is_some()) {
            (false, true) => self.rejected += 1,
            (true, false) => self.accepted += 1,
            _ => {}
        }
        match (now.best, then.best) {
            (true, false) => self.no_longer_best += 1,
            (false, true) => self.becoming_best += 1,
            _ => {}
        }
    }

    /// Counts a neighbour that would be told, or would not.
    pub fn add_told(&mut self, told: &WhatIfTold) {
        match told.told {
            true => self.announced += 1,
            false => self.withdrawn += 1,
        }
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        (self.routes, self.withdrawn, self.announced) == (0, 0, 0)
    }

    /// Changes of origin states with how many paths make them, those that do not happen left out.
    pub fn validation_moves(&self) -> impl Iterator<Item = (OriginState, OriginState, u64)> {
        let all = OriginState::ALL.into_iter();
        let pairs = all.flat_map(|from| OriginState::ALL.into_iter().map(move |to| (from, to)));
        let counted =
            pairs.map(|(from, to)| (from, to, self.validation[usize::from(from.code())][usize::from(to.code())]));
        counted.filter(|(_, _, count)| *count > 0)
    }

    /// The same of path states.
    pub fn aspa_moves(&self) -> impl Iterator<Item = (PathState, PathState, u64)> {
        let all = PathState::ALL.into_iter();
        let pairs = all.flat_map(|from| PathState::ALL.into_iter().map(move |to| (from, to)));
        let counted = pairs.map(|(from, to)| (from, to, self.aspa[usize::from(from.code())][usize::from(to.code())]));
        counted.filter(|(_, _, count)| *count > 0)
    }
}
