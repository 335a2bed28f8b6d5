//! The decision process (RFC 4271 §9.1.2): which of the paths of a prefix is best, and at which step each other lost.
//!
//! # What the RFC asks
//! Candidates are eligible paths. Steps are tried in order, each removes candidates, the last one left is best
//! (§9.1.2.2). MED (step c) removes a route only in favour of one from the same neighbouring AS, so comparing two by
//! two is not transitive: done naively, the result depends on the order of arrival (RFC 3345).
//!
//! # What we do
//! The steps are the variants of `Step`, in order. `before_med` and `after_med` are total orders; between them, MED
//! removes every path for which another from the same neighbouring AS, equal in all steps before, has a lower one.
//! That is a function of the set of paths, so any order of arrival gives the same result ("deterministic MED", always
//! on, see `knobs`). Differences from the RFC's list, all of them usual:
//! - LOCAL_PREF absent counts as 100; MED absent as 0 (§9.1.2.2 c). Both can be set.
//! - Weight stands before LOCAL_PREF; between LOCAL_PREF and AS_PATH length stand local origination and AIGP (RFC 7311
//!   §4.1); before all stands long-lived stale (RFC 9494 §4.3).
//! - Step c: the neighbouring AS of a path from inside our confederation is our own (RFC 5065 §5.3, 1).
//! - Step e, cost to the next hop: there is no IGP to ask; a static table says it, without a row it is 0. Whether a next
//!   hop can be resolved (§9.1.2.1) says that table, or whether it is on a subnet of our interfaces; or it is not asked.
//! - Step f takes ORIGINATOR_ID for the router id, then the shorter CLUSTER_LIST wins (RFC 4456 §9). The age of EBGP
//!   paths may stand before it.
//! - Behind step g stands the lower path id (RFC 7911 says nothing), then the session's number: the order is total.
//!
//! `step` names the steps, `compare` says how they compare, `rank` puts all paths in order with their reasons,
//! `multipath` finds those as good as the best, `knobs` and `next_hops` are what an operator can set.

mod compare;
mod knobs;
mod multipath;
mod next_hops;
mod rank;
mod step;
#[cfg(test)]
mod tests;

use std::{
    cmp::Ordering::{Equal, Greater, Less},
    net::{IpAddr, Ipv4Addr},
};

use self::compare::{Candidate, MedGroup};
pub use self::{
    knobs::{DEFAULT_LOCAL_PREF, Knobs, MAXIMUM_PATHS_MAX, MaximumPaths},
    next_hops::{NextHopCheck, NextHopRoute, NextHops},
    rank::Rank,
    step::Step,
};
use crate::{
    rib::{
        attrs::AttrStore,
        paths::{Path, SessionSlot},
    },
    types::{Asn, RouterId},
};

/// Where a session's paths come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// This router originates them.
    Local,
    /// A neighbour in another AS.
    External,
    /// A neighbour in our AS.
    Internal,
    /// A neighbour in another member AS of our confederation (RFC 5065 §3).
    Confederation,
}

/// What the decision process asks about a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionFacts {
    /// Where its paths come from.
    pub source: Source,
    /// AS of the neighbour.
    pub asn: Asn,
    /// BGP Identifier of the neighbour.
    pub router_id: RouterId,
    /// Address of the neighbour.
    pub address: IpAddr,
    /// Weight of its paths; higher is better.
    pub weight: u16,
    /// False once the session ended: its paths are no candidates although they are not purged yet.
    pub usable: bool,
}

/// A number that nobody uses.
const NOBODY: SessionFacts = SessionFacts {
    source: Source::Internal,
    asn: Asn(0),
    router_id: RouterId(0),
    address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    weight: 0,
    usable: false,
};

/// What happened to the paths of a prefix since its best path was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A path came; it stands at this index now.
    Added(usize),
    /// A path changed (attributes or marks).
    Replaced {
        /// Where it stands.
        index: usize,
        /// What it was. The reference to its set must not be released yet.
        old: Path,
    },
    /// A path went.
    Removed {
        /// What it was. The reference to its set must not be released yet.
        old: Path,
    },
}

/// The decision process over the paths of one `Table`.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    attrs: &'a AttrStore,
    sessions: &'a [SessionFacts],
    knobs: &'a Knobs,
}

impl<'a> Decision<'a> {
    /// A decision process as `knobs` want it, that reads set facts from `attrs` and session facts from `sessions`, by
    /// session number.
    #[inline]
    pub fn new(attrs: &'a AttrStore, sessions: &'a [SessionFacts], knobs: &'a Knobs) -> Self {
        Self { attrs, sessions, knobs }
    }

    /// Index of the best path; `None` when none is eligible.
    pub fn select(&self, paths: &[Path]) -> Option<usize> {
        if let [only] = paths {
            return self.is_eligible(only).then_some(0);
        }
        let mut best: Option<(usize, Candidate<'_>)> = None;
        // Whether those that are level before MED have different MEDs; if not, MED decides nothing.
        let mut meds_differ = false;
        for (index, candidate) in self.eligible(paths) {
            let Some((_, leader)) = &best else {
                best = Some((index, candidate));
                continue;
            };
            match self.before_med(&candidate, leader).0 {
                Less => (best, meds_differ) = (Some((index, candidate)), false),
                Greater => {}
                Equal => {
                    meds_differ |= self.med(&candidate) != self.med(leader);
                    if self.after_med(&candidate, leader).0 == Less {
                        best = Some((index, candidate));
                    }
                }
            }
        }
        let (index, leader) = best?;
        if meds_differ { self.select_by_med(paths, &leader) } else { Some(index) }
    }

    /// The best path after `change`, given the index of the one that was best before (as the table keeps it: it
    /// names the same path still; `None` if that path is gone or none was eligible).
    ///
    /// Gives what `select` would give, most often by one comparison.
    pub fn after(&self, paths: &[Path], best: Option<usize>, change: Change) -> Option<usize> {
        match change {
            Change::Added(index) => self.after_added(paths, best, index),
            Change::Replaced { index, .. } if best == Some(index) => self.select(paths),
            Change::Replaced { index, old } => match self.leader(paths, best) {
                Some(leader) if self.could_hide(&old, &leader) => self.select(paths),
                _ => self.after_added(paths, best, index),
            },
            Change::Removed { old } if !old.flags.is_eligible() => best,
            Change::Removed { old } => match self.leader(paths, best) {
                Some(leader) if !self.could_hide(&old, &leader) => best,
                _ => self.select(paths),
            },
        }
    }

    /// What `select` would give without the paths of one session, given the `best` of all: a path of it may have removed
    /// others by its MED. `None`: the others are no candidates. Allocates where the session matters.
    pub fn select_without(&self, paths: &[Path], best: usize, session: SessionSlot) -> Option<usize> {
        let leader = self.leader(paths, Some(best))?;
        let own = |path: &&Path| path.session == session;
        if leader.path.session != session && !paths.iter().filter(own).any(|path| self.could_hide(path, &leader)) {
            return Some(best);
        }
        let (places, others): (Vec<usize>, Vec<Path>) =
            paths.iter().enumerate().filter(|(_, path)| path.session != session).map(|(at, path)| (at, *path)).unzip();
        places.get(self.select(&others)?).copied()
    }

    /// Whether a path may be chosen: by its marks, by whether its session still stands, and by its next hop.
    #[inline]
    pub fn is_eligible(&self, path: &Path) -> bool {
        path.flags.is_eligible() && self.session(path.session).usable && self.is_reachable(path)
    }

    fn session(&self, slot: SessionSlot) -> &'a SessionFacts {
        self.sessions.get(usize::from(slot)).unwrap_or(&NOBODY)
    }

    fn candidate<'p>(&self, path: &'p Path) -> Candidate<'p>
    where
        'a: 'p,
    {
        Candidate { path, facts: self.attrs.facts(path.set), session: self.session(path.session) }
    }

    fn eligible<'p>(&self, paths: &'p [Path]) -> impl Iterator<Item = (usize, Candidate<'p>)>
    where
        'a: 'p,
    {
        let eligible = paths.iter().enumerate().filter(|(_, path)| self.is_eligible(path));
        eligible.map(|(index, path)| (index, self.candidate(path)))
    }

    /// The best path so far, if it may still be chosen.
    fn leader<'p>(&self, paths: &'p [Path], best: Option<usize>) -> Option<Candidate<'p>>
    where
        'a: 'p,
    {
        let path = paths.get(best?).filter(|path| self.is_eligible(path))?;
        Some(self.candidate(path))
    }

    /// Whether `old` may have removed others by its MED that were better than `leader` otherwise. One of the leader's
    /// own neighbouring AS did not: the leader was not removed, so its MED is as low and it removes the same ones.
    fn could_hide(&self, old: &Path, leader: &Candidate<'_>) -> bool {
        let old = self.candidate(old);
        old.path.flags.is_eligible()
            && self.med_group(&old) != self.med_group(leader)
            && self.before_med(&old, leader).0 == Equal
    }

    fn after_added(&self, paths: &[Path], best: Option<usize>, index: usize) -> Option<usize> {
        let Some(added) = paths.get(index).filter(|path| self.is_eligible(path)) else {
            // An index that is none of ours, or no candidate: nothing changed, unless the best one ended meanwhile.
            return if best.is_none() || self.leader(paths, best).is_some() { best } else { self.select(paths) };
        };
        let Some(leader) = self.leader(paths, best) else {
            return if best.is_none() { Some(index) } else { self.select(paths) };
        };
        let added = self.candidate(added);
        match self.before_med(&added, &leader).0 {
            Less => return Some(index),
            Greater => return best,
            Equal => {}
        }
        let wins = self.after_med(&added, &leader).0 == Less;
        if self.med_group(&added) != self.med_group(&leader) {
            // Only its own group can remove the new path, and nobody a path with MED 0.
            return match (wins, self.med(&added)) {
                (false, _) => best,
                (true, 0) => Some(index),
                (true, _) => self.select(paths),
            };
        }
        match self.med(&added).cmp(&self.med(&leader)) {
            Equal if wins => Some(index),
            Equal | Greater => best,
            Less => self.select(paths),
        }
    }

    /// The best of the paths that are level with `leader` before MED, when MEDs differ among them.
    #[cold]
    fn select_by_med(&self, paths: &[Path], leader: &Candidate<'_>) -> Option<usize> {
        let lowest = self.lowest_meds(paths, leader);
        let left = self.level(paths, leader).filter(|(_, c)| self.is_left_by(&lowest, c));
        left.min_by(|(_, a), (_, b)| self.after_med(a, b).0).map(|(index, _)| index)
    }

    /// The paths that are level with `leader` before MED.
    fn level<'p>(&self, paths: &'p [Path], leader: &Candidate<'_>) -> impl Iterator<Item = (usize, Candidate<'p>)>
    where
        'a: 'p,
    {
        self.eligible(paths).filter(|(_, c)| self.before_med(c, leader).0 == Equal)
    }

    /// The lowest MED of each group among the paths that are level with `leader`, in order.
    fn lowest_meds(&self, paths: &[Path], leader: &Candidate<'_>) -> Vec<(MedGroup, u32)> {
        let mut lowest: Vec<_> = self.level(paths, leader).map(|(_, c)| (self.med_group(&c), self.med(&c))).collect();
        lowest.sort_unstable();
        lowest.dedup_by_key(|(group, _)| *group);
        lowest
    }

    fn is_left_by(&self, lowest: &[(MedGroup, u32)], candidate: &Candidate<'_>) -> bool {
        lowest.binary_search(&(self.med_group(candidate), self.med(candidate))).is_ok()
    }
}
