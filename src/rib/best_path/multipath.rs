//! Which paths are as good as the best one, for those who spread traffic. No RFC says; this is what routers do:
//!
//! 1. Level with the best up to ORIGIN, and not removed by MED. So a long-lived stale path never stands beside a fresh
//!    one (RFC 9494 §4.3).
//! 2. Both external, or both internal, unless `peer_type_relax`; the same cost to the next hop.
//! 3. The same neighbouring AS for external paths, else the same AS_PATH, unless `multipath_relax`.
//! 4. With `same_cluster_len`, internal paths need CLUSTER_LISTs of one length.
//! 5. A next hop once: a second path to it would be no second way.
//!
//! At most `maximum_paths` of them, in order of preference.

use super::{Decision, Source, compare::Candidate};
use crate::rib::paths::Path;

impl Decision<'_> {
    /// Indices of the best path and of those as good, best first; empty when no path is eligible. One at most where
    /// `maximum_paths` is 1, and for a route of our own. Allocates.
    pub fn multipath(&self, paths: &[Path]) -> Vec<usize> {
        let Some((best, path)) = self.select(paths).and_then(|best| Some((best, paths.get(best)?))) else {
            return Vec::new();
        };
        let leader = self.candidate(path);
        let limits = self.knobs.maximum_paths;
        let limit = match leader.session.source {
            Source::Local => 1,
            Source::External => limits.ebgp,
            Source::Internal | Source::Confederation => limits.ibgp,
        };
        let mut set = vec![best];
        if limit <= 1 {
            return set;
        }
        let lowest = self.lowest_meds(paths, &leader);
        let is_other = |(index, candidate): &(usize, Candidate<'_>)| {
            *index != best && self.is_left_by(&lowest, candidate) && self.is_as_good(candidate, &leader)
        };
        let mut level: Vec<_> = self.level(paths, &leader).filter(is_other).collect();
        level.sort_by(|(_, a), (_, b)| self.after_med(a, b).0);
        let mut next_hops = vec![self.next_hop(path)];
        for (index, candidate) in level {
            if set.len() >= usize::from(limit) {
                break;
            }
            let next_hop = self.next_hop(candidate.path);
            if !next_hops.contains(&next_hop) {
                next_hops.push(next_hop);
                set.push(index);
            }
        }
        set
    }

    /// Points 2 to 4, for a path that MED left.
    fn is_as_good(&self, candidate: &Candidate<'_>, leader: &Candidate<'_>) -> bool {
        let knobs = self.knobs;
        let internal = (candidate.is_internal(), leader.is_internal());
        let as_path = |c: &Candidate<'_>| self.attrs.get(c.path.set).as_path();
        let same_path = || match internal {
            (false, false) => candidate.facts.neighbor_asn() == leader.facts.neighbor_asn(),
            _ => as_path(candidate) == as_path(leader),
        };
        let same_clusters = || self.cluster_list_len(candidate) == self.cluster_list_len(leader);
        (internal.0 == internal.1 || knobs.peer_type_relax)
            && self.step_cost(candidate) == self.step_cost(leader)
            && (knobs.multipath_relax || same_path())
            && (!knobs.same_cluster_len || internal != (true, true) || same_clusters())
    }
}
