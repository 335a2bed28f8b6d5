//! The decision process as the list of steps tells it, by elimination: slow, obvious, and without a line of the
//! implementation. Steps have the numbers of the list; a step keeps those that are level with the best in it.

use super::{Knobs, Said, Source};

/// What the oracle knows of next hops: (last octet, cost, reachable); unlisted ones cost 0.
pub(super) struct Routes<'a> {
    pub(super) strict: bool,
    pub(super) rows: &'a [(u8, u32, bool)],
}

impl Routes<'_> {
    fn of(&self, said: &Said) -> Option<(u32, bool)> {
        self.rows.iter().find(|row| row.0 == said.next_hop).map(|row| (row.1, row.2))
    }

    fn cost(&self, said: &Said) -> u64 {
        if said.source == Source::Local { 0 } else { self.of(said).map_or(0, |(cost, _)| cost.into()) }
    }

    fn reachable(&self, said: &Said) -> bool {
        !self.strict || said.source == Source::Local || self.of(said).is_some_and(|(_, reachable)| reachable)
    }
}

fn keep_lowest<K: Ord>(left: &mut Vec<usize>, key: impl Fn(usize) -> K) {
    if let Some(lowest) = left.iter().map(|&i| key(i)).min() {
        left.retain(|&i| key(i) == lowest);
    }
}

/// RFC 4271 §9.1.2.2 a; RFC 5065 §5.3 (3).
fn length(said: &Said, confed: bool) -> usize {
    let of = |(kind, asns): &(u8, Vec<u32>)| match kind {
        1 => 1,
        2 => asns.len(),
        3 if confed => asns.len(),
        4 if confed => 1,
        _ => 0,
    };
    said.as_path.iter().map(of).sum()
}

/// RFC 4271 §9.1.2.2 c and RFC 5065 §5.3 (1, 2): the AS whose MEDs compare, as text so that no two kinds are alike.
fn neighbor_as(said: &Said, knobs: &Knobs) -> String {
    let outside = said.as_path.iter().find(|(kind, _)| *kind <= 2);
    let inside_only = outside.is_none() && !said.as_path.is_empty();
    match outside {
        _ if knobs.always_compare_med => "any".into(),
        Some((2, asns)) => format!("AS {}", asns[0]),
        None if inside_only && knobs.med_confed => "our own".into(),
        None if inside_only => format!("member {}", said.as_path[0].1[0]),
        _ if said.source == Source::External => format!("AS {}", said.asn),
        _ => "our own".into(),
    }
}

fn internal(said: &Said) -> bool {
    matches!(said.source, Source::Internal | Source::Confederation)
}

/// Those that are left when MED has decided, and those behind step 11 (IGP cost).
fn eliminate(said: &[Said], knobs: &Knobs, routes: &Routes<'_>) -> (Vec<usize>, Vec<usize>) {
    // 0: eligible.
    let mut left: Vec<usize> = (0..said.len()).filter(|&i| !said[i].unusable && routes.reachable(&said[i])).collect();
    // 1: long-lived stale last. 2: weight. 3: LOCAL_PREF. 5: local.
    keep_lowest(&mut left, |i| said[i].llgr_stale);
    keep_lowest(&mut left, |i| u16::MAX - said[i].set_weight.unwrap_or(said[i].weight));
    keep_lowest(&mut left, |i| u32::MAX - said[i].local_pref.unwrap_or(knobs.default_local_pref));
    keep_lowest(&mut left, |i| said[i].source != Source::Local);
    // 6: AIGP and the cost of getting there; one that has it beats one that has not.
    if knobs.aigp {
        keep_lowest(&mut left, |i| said[i].aigp.map_or(u64::MAX, |aigp| u64::from(aigp) + routes.cost(&said[i])));
    }
    // 7: AS_PATH length. 8: ORIGIN.
    if !knobs.ignore_as_path_length {
        keep_lowest(&mut left, |i| length(&said[i], knobs.as_path_confed));
    }
    keep_lowest(&mut left, |i| said[i].origin);
    // 9, the pseudo code of RFC 4271 §9.1.2.2 c: for every m, for every n: same neighbour AS and higher MED: m goes.
    let med = |i: usize| said[i].med.unwrap_or(if knobs.missing_med_as_worst { u32::MAX } else { 0 });
    let before = left.clone();
    left.retain(|&m| {
        !before.iter().any(|&n| neighbor_as(&said[m], knobs) == neighbor_as(&said[n], knobs) && med(m) > med(n))
    });
    let after_med = left.clone();
    // 10: external first. 11: cost to the next hop.
    keep_lowest(&mut left, |i| internal(&said[i]));
    if !knobs.ignore_igp_metric {
        keep_lowest(&mut left, |i| routes.cost(&said[i]));
    }
    (after_med, left)
}

/// The best path; `None` when none is eligible.
pub(super) fn best(said: &[Said], knobs: &Knobs, routes: &Routes<'_>) -> Option<usize> {
    let (_, mut left) = eliminate(said, knobs, routes);
    // 13 to 17: older, id, cluster list, address, path id.
    let external = left.iter().all(|&i| !internal(&said[i]));
    if knobs.prefer_older && external {
        keep_lowest(&mut left, |i| said[i].received);
    }
    if knobs.compare_router_id || !external {
        keep_lowest(&mut left, |i| said[i].originator_id.unwrap_or(said[i].router_id));
    }
    keep_lowest(&mut left, |i| said[i].clusters);
    keep_lowest(&mut left, |i| said[i].address);
    keep_lowest(&mut left, |i| said[i].path_id);
    left.first().copied()
}

/// 12: everything that could share traffic with the best path if there were no limit and no two had one next hop.
pub(super) fn as_good(said: &[Said], knobs: &Knobs, routes: &Routes<'_>) -> Vec<usize> {
    let Some(best) = best(said, knobs, routes) else { return Vec::new() };
    let (after_med, _) = eliminate(said, knobs, routes);
    let first_outside = |i: usize| said[i].as_path.iter().find(|(kind, _)| *kind <= 2).map(|(_, asns)| asns[0]);
    let like_the_best = |i: usize| {
        let both = (internal(&said[i]), internal(&said[best]));
        if both.0 != both.1 && !knobs.peer_type_relax {
            return false;
        }
        if !knobs.ignore_igp_metric && routes.cost(&said[i]) != routes.cost(&said[best]) {
            return false;
        }
        let same_path = if both == (false, false) {
            first_outside(i) == first_outside(best)
        } else {
            said[i].as_path == said[best].as_path
        };
        if !knobs.multipath_relax && !same_path {
            return false;
        }
        !(knobs.same_cluster_len && both == (true, true) && said[i].clusters != said[best].clusters)
    };
    after_med.into_iter().filter(|&i| i == best || like_the_best(i)).collect()
}
