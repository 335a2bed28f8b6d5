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
//! on). Differences from the RFC's list, all of them usual:
//! - LOCAL_PREF absent counts as 100; MED absent as 0 (§9.1.2.2 c).
//! - Between LOCAL_PREF and AS_PATH length stand local origination and AIGP (RFC 7311 §4.1); before all stands
//!   long-lived stale (RFC 9494 §4.3).
//! - Step e, cost to the next hop: there is no IGP to ask, every next hop costs 0, so the step is left out.
//! - Step f takes ORIGINATOR_ID for the router id, then the shorter CLUSTER_LIST wins (RFC 4456 §9).
//! - Behind step g stands the lower path id (RFC 7911 says nothing), then the session's number: the order is total.

use std::{
    cmp::Ordering::{self, Equal, Greater, Less},
    net::{IpAddr, Ipv4Addr},
};

use crate::{
    rib::{
        attrs::AttrStore,
        paths::{Path, PathFlags, SessionSlot},
        set_facts::SetFacts,
    },
    types::RouterId,
};

/// LOCAL_PREF of a route that carries none (RFC 4271 §9.1.1 leaves it to local policy; 100 is everybody's).
pub const DEFAULT_LOCAL_PREF: u32 = 100;

/// A step of the decision process, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    /// A long-lived stale path loses to any other (RFC 9494 §4.3).
    LlgrStale,
    /// Higher LOCAL_PREF (RFC 4271 §9.1.1).
    LocalPref,
    /// Originated here.
    LocalOrigin,
    /// Has AIGP, and the lower one (RFC 7311 §4.1).
    Aigp,
    /// Shorter AS_PATH (RFC 4271 §9.1.2.2 a).
    PathLength,
    /// Lower ORIGIN: IGP, EGP, INCOMPLETE (§9.1.2.2 b).
    Origin,
    /// Lower MED from the same neighbouring AS (§9.1.2.2 c).
    Med,
    /// EBGP over IBGP (§9.1.2.2 d).
    External,
    /// Lower ORIGINATOR_ID, else BGP Identifier of the neighbour (§9.1.2.2 f, RFC 4456 §9).
    RouterId,
    /// Shorter CLUSTER_LIST (RFC 4456 §9).
    ClusterList,
    /// Lower address of the neighbour (§9.1.2.2 g); IPv4 before IPv6.
    PeerAddress,
    /// Lower path id, then lower number of the session.
    PathId,
}

impl Step {
    /// Why the loser lost, in words.
    pub fn why(self) -> &'static str {
        match self {
            Self::LlgrStale => "long-lived stale",
            Self::LocalPref => "lower LOCAL_PREF",
            Self::LocalOrigin => "not originated locally",
            Self::Aigp => "no AIGP metric or a higher one",
            Self::PathLength => "longer AS_PATH",
            Self::Origin => "higher ORIGIN",
            Self::Med => "higher MED from the same neighbouring AS",
            Self::External => "internal against external",
            Self::RouterId => "higher router id",
            Self::ClusterList => "longer CLUSTER_LIST",
            Self::PeerAddress => "higher neighbour address",
            Self::PathId => "higher path id",
        }
    }
}

/// Where a session's paths come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// This router originates them.
    Local,
    /// A neighbour in another AS.
    External,
    /// A neighbour in our AS.
    Internal,
}

/// What the decision process asks about a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionFacts {
    /// Where its paths come from.
    pub source: Source,
    /// BGP Identifier of the neighbour.
    pub router_id: RouterId,
    /// Address of the neighbour.
    pub address: IpAddr,
    /// False once the session ended: its paths are no candidates although they are not purged yet.
    pub usable: bool,
}

/// A number that nobody uses.
const NOBODY: SessionFacts = SessionFacts {
    source: Source::Internal,
    router_id: RouterId(0),
    address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
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

/// A place in the ranking of all paths of a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rank {
    /// Index of the path.
    pub index: usize,
    /// The step at which it lost to the best one; `None` for the best one and for those that are not eligible.
    pub lost_at: Option<Step>,
    /// Whether it was a candidate at all.
    pub eligible: bool,
}

/// The decision process over the paths of one `Table`.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    attrs: &'a AttrStore,
    sessions: &'a [SessionFacts],
}

/// A path with what is known about it.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    path: &'a Path,
    facts: &'a SetFacts,
    session: &'a SessionFacts,
}

impl Candidate<'_> {
    fn med(&self) -> u32 {
        self.facts.med().unwrap_or(0)
    }

    /// Whether MEDs of the two compare; two routes from inside the AS (no neighbour AS) do.
    fn same_neighbor_as(&self, other: &Self) -> bool {
        self.facts.neighbor_asn() == other.facts.neighbor_asn()
    }
}

impl<'a> Decision<'a> {
    /// A decision process that reads set facts from `attrs` and session facts from `sessions`, by session number.
    pub fn new(attrs: &'a AttrStore, sessions: &'a [SessionFacts]) -> Self {
        Self { attrs, sessions }
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
                    meds_differ |= candidate.med() != leader.med();
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

    /// All paths, best first, each with the step at which it lost to the best; paths that are not eligible last.
    pub fn rank(&self, paths: &[Path]) -> Vec<Rank> {
        let mut order: Vec<(usize, Candidate<'_>, bool)> =
            self.eligible(paths).map(|(index, candidate)| (index, candidate, false)).collect();
        order.sort_by(|(_, a, _), (_, b, _)| {
            let by_neighbor = a.facts.neighbor_asn().cmp(&b.facts.neighbor_asn());
            self.before_med(a, b).0.then(by_neighbor).then(a.med().cmp(&b.med()))
        });
        // The first of each run of one neighbouring AS has the lowest MED of the run.
        let mut first = 0;
        for at in 0..order.len() {
            let (head, one) = (order[first].1, order[at].1);
            if self.before_med(&head, &one).0 != Equal || !head.same_neighbor_as(&one) {
                first = at;
            }
            order[at].2 = one.med() > order[first].1.med();
        }
        order.sort_by(|(_, a, a_hidden), (_, b, b_hidden)| {
            self.before_med(a, b).0.then(a_hidden.cmp(b_hidden)).then_with(|| self.after_med(a, b).0)
        });
        let best = order.first().map(|&(_, best, _)| best);
        let lost_at = |candidate: &Candidate<'_>, hidden: bool| {
            let best = best.as_ref()?;
            match self.before_med(candidate, best) {
                (Equal, _) if hidden => Some(Step::Med),
                (Equal, _) => {
                    Some(self.after_med(candidate, best)).filter(|(order, _)| *order != Equal).map(|(_, s)| s)
                }
                (_, step) => Some(step),
            }
        };
        let ranked = order.iter().map(|(index, candidate, hidden)| Rank {
            index: *index,
            lost_at: lost_at(candidate, *hidden),
            eligible: true,
        });
        let rest = paths.iter().enumerate().filter(|(_, path)| !self.is_eligible(path));
        ranked.chain(rest.map(|(index, _)| Rank { index, lost_at: None, eligible: false })).collect()
    }

    /// Whether a path may be chosen: by its marks, and by whether its session still stands.
    pub fn is_eligible(&self, path: &Path) -> bool {
        path.flags.is_eligible() && self.session(path.session).usable
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
        old.path.flags.is_eligible() && !old.same_neighbor_as(leader) && self.before_med(&old, leader).0 == Equal
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
        match added.med().cmp(&leader.med()) {
            Equal if added.same_neighbor_as(&leader) => {
                if wins {
                    Some(index)
                } else {
                    best
                }
            }
            Greater if added.same_neighbor_as(&leader) => best,
            Less if added.same_neighbor_as(&leader) => self.select(paths),
            // Another neighbouring AS: only its own can remove the new path, and nobody a path with MED 0.
            _ if !wins => best,
            _ if added.med() == 0 => Some(index),
            _ => self.select(paths),
        }
    }

    /// The best of the paths that are level with `leader` before MED, when MEDs differ among them.
    #[cold]
    fn select_by_med(&self, paths: &[Path], leader: &Candidate<'_>) -> Option<usize> {
        let level = || self.eligible(paths).filter(|(_, c)| self.before_med(c, leader).0 == Equal);
        let mut lowest: Vec<_> = level().map(|(_, c)| (c.facts.neighbor_asn(), c.med())).collect();
        lowest.sort_unstable();
        lowest.dedup_by_key(|(neighbor, _)| *neighbor);
        let is_lowest = |c: &Candidate<'_>| lowest.binary_search(&(c.facts.neighbor_asn(), c.med())).is_ok();
        let left = level().filter(|(_, c)| is_lowest(c));
        left.min_by(|(_, a), (_, b)| self.after_med(a, b).0).map(|(index, _)| index)
    }

    /// The steps before MED. `Less`: `a` is preferred. The step is the one that decided.
    fn before_med(&self, a: &Candidate<'_>, b: &Candidate<'_>) -> (Ordering, Step) {
        first_difference([
            (Step::LlgrStale, &|| is_llgr_stale(a).cmp(&is_llgr_stale(b))),
            (Step::LocalPref, &|| local_pref(b).cmp(&local_pref(a))),
            (Step::LocalOrigin, &|| is_local(b).cmp(&is_local(a))),
            (Step::Aigp, &|| self.aigp(a).cmp(&self.aigp(b))),
            (Step::PathLength, &|| a.facts.path_length().cmp(&b.facts.path_length())),
            (Step::Origin, &|| a.facts.origin_code().cmp(&b.facts.origin_code())),
        ])
    }

    /// The steps after MED. Equal only for a path and itself.
    fn after_med(&self, a: &Candidate<'_>, b: &Candidate<'_>) -> (Ordering, Step) {
        first_difference([
            (Step::External, &|| is_internal(a).cmp(&is_internal(b))),
            (Step::RouterId, &|| self.router_id(a).cmp(&self.router_id(b))),
            (Step::ClusterList, &|| self.cluster_list_len(a).cmp(&self.cluster_list_len(b))),
            (Step::PeerAddress, &|| a.session.address.cmp(&b.session.address)),
            (Step::PathId, &|| (a.path.path_id, a.path.session).cmp(&(b.path.path_id, b.path.session))),
        ])
    }

    /// AIGP metric; a path without one counts as the worst of all (RFC 7311 §4.1).
    fn aigp(&self, candidate: &Candidate<'_>) -> u128 {
        let metric = if candidate.facts.has_aigp() { self.attrs.get(candidate.path.set).aigp() } else { None };
        metric.map_or(u128::MAX, u128::from)
    }

    fn router_id(&self, candidate: &Candidate<'_>) -> RouterId {
        let originator =
            if candidate.facts.has_originator_id() { self.attrs.get(candidate.path.set).originator_id() } else { None };
        originator.unwrap_or(candidate.session.router_id)
    }

    fn cluster_list_len(&self, candidate: &Candidate<'_>) -> usize {
        if candidate.facts.has_cluster_list() { self.attrs.get(candidate.path.set).cluster_list().len() } else { 0 }
    }
}

/// A step and how it compares the two.
type Comparison<'a> = (Step, &'a dyn Fn() -> Ordering);

/// The first step that tells the two apart.
#[inline(always)]
fn first_difference<const N: usize>(steps: [Comparison<'_>; N]) -> (Ordering, Step) {
    let mut last = (Equal, Step::PathId);
    for (step, compare) in steps {
        last = (compare(), step);
        if last.0 != Equal {
            break;
        }
    }
    last
}

fn is_llgr_stale(candidate: &Candidate<'_>) -> bool {
    candidate.path.flags.has(PathFlags::LLGR_STALE)
}

fn local_pref(candidate: &Candidate<'_>) -> u32 {
    candidate.facts.local_pref().unwrap_or(DEFAULT_LOCAL_PREF)
}

fn is_local(candidate: &Candidate<'_>) -> bool {
    candidate.session.source == Source::Local
}

fn is_internal(candidate: &Candidate<'_>) -> bool {
    candidate.session.source == Source::Internal
}

#[cfg(test)]
mod tests;
