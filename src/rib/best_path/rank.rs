//! All paths of a prefix in order of preference, each with the step at which it lost and what it lost against: what
//! `explain` tells, and what chooses the paths to send with ADD-PATH.

use std::cmp::Ordering::Equal;

use super::{Decision, compare::Candidate, step::Step};
use crate::rib::paths::Path;

/// A place in the ranking of all paths of a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rank {
    /// Index of the path.
    pub index: usize,
    /// The step at which it lost; `None` for the best one and for those that are not eligible.
    pub lost_at: Option<Step>,
    /// Index of the path it lost against: the best one, but at MED the one of its neighbouring AS with the lowest.
    pub against: Option<usize>,
    /// Whether it was a candidate at all.
    pub eligible: bool,
}

/// A candidate while it is ranked.
struct Place<'a> {
    index: usize,
    candidate: Candidate<'a>,
    /// The path that removes this one by its MED.
    hidden_by: Option<usize>,
}

impl Decision<'_> {
    /// All paths, best first, each with the step at which it lost; paths that are not eligible last. Allocates.
    pub fn rank(&self, paths: &[Path]) -> Vec<Rank> {
        let places = self.eligible(paths).map(|(index, candidate)| Place { index, candidate, hidden_by: None });
        let mut order: Vec<Place<'_>> = places.collect();
        order.sort_by(|Place { candidate: a, .. }, Place { candidate: b, .. }| {
            let by_group = self.med_group(a).cmp(&self.med_group(b));
            let by_med = self.med(a).cmp(&self.med(b));
            self.before_med(a, b).0.then(by_group).then(by_med).then_with(|| self.after_med(a, b).0)
        });
        // The first of each run of one group has the lowest MED of the run.
        let mut head = None;
        for place in &mut order {
            let one = place.candidate;
            let same = |(_, head): &(usize, Candidate<'_>)| {
                self.before_med(head, &one).0 == Equal && self.med_group(head) == self.med_group(&one)
            };
            let (index, lowest) = *head.get_or_insert((place.index, one));
            if same(&(index, lowest)) {
                place.hidden_by = (self.med(&one) > self.med(&lowest)).then_some(index);
            } else {
                head = Some((place.index, one));
            }
        }
        order.sort_by(|a, b| {
            let by_hidden = a.hidden_by.is_some().cmp(&b.hidden_by.is_some());
            let before = self.before_med(&a.candidate, &b.candidate).0;
            before.then(by_hidden).then_with(|| self.after_med(&a.candidate, &b.candidate).0)
        });
        let best = order.first().map(|best| (best.index, best.candidate));
        let ranked = order.iter().map(|place| {
            let lost = best.and_then(|best| self.lost(place, best));
            let (lost_at, against) = lost.unzip();
            Rank { index: place.index, lost_at, against, eligible: true }
        });
        let rest = paths.iter().enumerate().filter(|(_, path)| !self.is_eligible(path));
        ranked.chain(rest.map(|(index, _)| Rank { index, lost_at: None, against: None, eligible: false })).collect()
    }

    /// Where a candidate lost, and against which path; `None` for the best one itself.
    fn lost(&self, place: &Place<'_>, (best_index, best): (usize, Candidate<'_>)) -> Option<(Step, usize)> {
        match (self.before_med(&place.candidate, &best), place.hidden_by) {
            ((Equal, _), Some(by)) => Some((Step::Med, by)),
            ((Equal, _), None) => {
                let (order, step) = self.after_med(&place.candidate, &best);
                (order != Equal).then_some((step, best_index))
            }
            ((_, step), _) => Some((step, best_index)),
        }
    }
}
