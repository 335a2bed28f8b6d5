//! How the steps compare two paths: what each reads, under which knobs, and the same as words for an operator.

use std::cmp::Ordering::{self, Equal};

use super::{Decision, SessionFacts, Source, step::Step};
use crate::{
    rib::{
        paths::{Path, PathFlags},
        set_facts::{MedNeighbor, SetFacts},
    },
    types::{RouterId, Timestamp},
    wire::bgp::{
        as_path::SegmentKind,
        attribute::{NextHop, Origin},
    },
};

/// A path with what is known about it.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) path: &'a Path,
    pub(super) facts: &'a SetFacts,
    pub(super) session: &'a SessionFacts,
}

impl Candidate<'_> {
    /// Confederation members count as internal (RFC 5065 §5.3, 4).
    pub(super) fn is_internal(&self) -> bool {
        matches!(self.session.source, Source::Internal | Source::Confederation)
    }

    fn is_local(&self) -> bool {
        self.session.source == Source::Local
    }

    fn is_llgr_stale(&self) -> bool {
        self.path.flags.has(PathFlags::LLGR_STALE)
    }
}

/// The AS within which MEDs compare; a number that means nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct MedGroup(u64);

impl Decision<'_> {
    /// The steps before MED. `Less`: `a` is preferred. The step is the one that decided.
    #[inline]
    pub(super) fn before_med(&self, a: &Candidate<'_>, b: &Candidate<'_>) -> (Ordering, Step) {
        first_difference([
            (Step::LlgrStale, &|| a.is_llgr_stale().cmp(&b.is_llgr_stale())),
            (Step::Weight, &|| self.weight(b).cmp(&self.weight(a))),
            (Step::LocalPref, &|| self.local_pref(b).cmp(&self.local_pref(a))),
            (Step::LocalOrigin, &|| b.is_local().cmp(&a.is_local())),
            (Step::Aigp, &|| self.aigp(a).cmp(&self.aigp(b))),
            (Step::PathLength, &|| self.path_length(a).cmp(&self.path_length(b))),
            (Step::Origin, &|| a.facts.origin_code().cmp(&b.facts.origin_code())),
        ])
    }

    /// The steps after MED. Equal only for a path and itself.
    #[inline]
    pub(super) fn after_med(&self, a: &Candidate<'_>, b: &Candidate<'_>) -> (Ordering, Step) {
        first_difference([
            (Step::External, &|| a.is_internal().cmp(&b.is_internal())),
            (Step::IgpCost, &|| self.step_cost(a).cmp(&self.step_cost(b))),
            (Step::Older, &|| self.received(a).cmp(&self.received(b))),
            (Step::RouterId, &|| self.router_id(a).cmp(&self.router_id(b))),
            (Step::ClusterList, &|| self.cluster_list_len(a).cmp(&self.cluster_list_len(b))),
            (Step::PeerAddress, &|| a.session.address.cmp(&b.session.address)),
            (Step::PathId, &|| (a.path.path_id, a.path.session).cmp(&(b.path.path_id, b.path.session))),
        ])
    }

    /// MED as it compares; lower is better.
    #[inline]
    pub(super) fn med(&self, candidate: &Candidate<'_>) -> u32 {
        candidate.facts.med().unwrap_or(if self.knobs.missing_med_as_worst { u32::MAX } else { 0 })
    }

    /// Whose MEDs compare with this one's.
    #[inline]
    pub(super) fn med_group(&self, candidate: &Candidate<'_>) -> MedGroup {
        const OURS: MedGroup = MedGroup(0);
        const NEIGHBOR: u64 = 1 << 32;
        const MEMBER: u64 = 2 << 32;
        if self.knobs.always_compare_med {
            return OURS;
        }
        match candidate.facts.med_neighbor() {
            MedNeighbor::As(asn) => MedGroup(NEIGHBOR | u64::from(asn.0)),
            MedNeighbor::Member(asn) if !self.knobs.med_confed => MedGroup(MEMBER | u64::from(asn.0)),
            // A neighbour in another AS that leads its path with an AS_SET is still the one who sent it.
            MedNeighbor::Unnamed if candidate.session.source == Source::External => {
                MedGroup(NEIGHBOR | u64::from(candidate.session.asn.0))
            }
            MedNeighbor::Member(_) | MedNeighbor::Unnamed => OURS,
        }
    }

    /// Weight that import policy gave, else that of the neighbour.
    fn weight(&self, candidate: &Candidate<'_>) -> u16 {
        self.attrs.weight(candidate.path.set).unwrap_or(candidate.session.weight)
    }

    fn local_pref(&self, candidate: &Candidate<'_>) -> u32 {
        candidate.facts.local_pref().unwrap_or(self.knobs.default_local_pref)
    }

    /// AIGP metric and cost to the next hop together; without one a path counts as the worst of all (RFC 7311 §4.1).
    fn aigp(&self, candidate: &Candidate<'_>) -> u128 {
        if !self.knobs.aigp {
            return 0;
        }
        let metric = if candidate.facts.has_aigp() { self.attrs.get(candidate.path.set).aigp() } else { None };
        metric.map_or(u128::MAX, |metric| u128::from(metric) + u128::from(self.next_hop_cost(candidate)))
    }

    fn path_length(&self, candidate: &Candidate<'_>) -> u32 {
        if self.knobs.ignore_as_path_length {
            return 0;
        }
        let length = u32::from(candidate.facts.path_length());
        if self.knobs.as_path_confed && candidate.facts.has_confed() {
            return length + self.confed_length(candidate);
        }
        length
    }

    /// Member ASes in the path; an AS_CONFED_SET counts one as an AS_SET does.
    #[cold]
    fn confed_length(&self, candidate: &Candidate<'_>) -> u32 {
        let segments = self.attrs.get(candidate.path.set).as_path().segments();
        let lengths = segments.map(|segment| match segment.kind {
            SegmentKind::ConfedSequence => u32::try_from(segment.asns().len()).unwrap_or(u32::MAX),
            SegmentKind::ConfedSet => 1,
            SegmentKind::Sequence | SegmentKind::Set => 0,
        });
        lengths.sum()
    }

    /// Cost to the next hop as a step of its own.
    #[inline]
    pub(super) fn step_cost(&self, candidate: &Candidate<'_>) -> u32 {
        if self.knobs.ignore_igp_metric { 0 } else { self.next_hop_cost(candidate) }
    }

    /// Cost to the next hop; our own routes have none.
    #[inline]
    fn next_hop_cost(&self, candidate: &Candidate<'_>) -> u32 {
        if !self.knobs.next_hops.has_costs() || candidate.is_local() {
            return 0;
        }
        self.next_hop(candidate.path).map_or(0, |next_hop| self.knobs.next_hops.metric(next_hop.global))
    }

    pub(super) fn next_hop(&self, path: &Path) -> Option<NextHop> {
        self.attrs.get(path.set).next_hop()
    }

    /// Whether the next hop of a path can be reached, as far as the operator wants that to be checked. A route of our own
    /// and one of a family without next hops (flowspec) need none.
    #[inline]
    pub fn is_reachable(&self, path: &Path) -> bool {
        !self.knobs.next_hops.is_checked()
            || self.session(path.session).source == Source::Local
            || self.next_hop(path).is_none_or(|next_hop| self.knobs.next_hops.reachable(next_hop.global))
    }

    /// When it was received, where that counts.
    #[inline]
    fn received(&self, candidate: &Candidate<'_>) -> u32 {
        if self.knobs.prefer_older && !candidate.is_internal() { candidate.path.received_secs } else { 0 }
    }

    /// The router id that compares; the same for all where ids do not.
    fn router_id(&self, candidate: &Candidate<'_>) -> RouterId {
        if !self.knobs.compare_router_id && !candidate.is_internal() {
            return RouterId(0);
        }
        let originator =
            if candidate.facts.has_originator_id() { self.attrs.get(candidate.path.set).originator_id() } else { None };
        originator.unwrap_or(candidate.session.router_id)
    }

    pub(super) fn cluster_list_len(&self, candidate: &Candidate<'_>) -> usize {
        if candidate.facts.has_cluster_list() { self.attrs.get(candidate.path.set).cluster_list().len() } else { 0 }
    }

    /// What a path has at a step, as an operator reads it: `4` for the path length. `None` where the step's name says all.
    pub fn value(&self, step: Step, path: &Path) -> Option<String> {
        let c = &self.candidate(path);
        Some(match step {
            Step::LlgrStale | Step::LocalOrigin | Step::External => return None,
            Step::Weight => self.weight(c).to_string(),
            Step::LocalPref => self.local_pref(c).to_string(),
            Step::Aigp => match self.aigp(c) {
                u128::MAX => "none".to_owned(),
                metric => metric.to_string(),
            },
            Step::PathLength => self.path_length(c).to_string(),
            Step::Origin => Origin::from_code(c.facts.origin_code()).map_or("none", Origin::name).to_owned(),
            Step::Med => self.med(c).to_string(),
            Step::IgpCost => self.step_cost(c).to_string(),
            Step::Older => Timestamp::from_secs(c.path.received_secs.into()).to_string(),
            Step::RouterId => self.router_id(c).to_string(),
            Step::ClusterList => self.cluster_list_len(c).to_string(),
            Step::PeerAddress => c.session.address.to_string(),
            Step::PathId => c.path.path_id.to_string(),
        })
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
