//! Work that walks whole tables, in slices: the paths of sessions that ended (purge), those that a refresh did not
//! confirm (sweep, RFC 7313 §4), those that outlive their session (`retention` says when), those that import is to
//! judge by other rules (`import::rejudge`), and prefixes whose best path is to be chosen by other knobs. One walk does
//! all of it: what falls due while it is under way waits for the next one, so a thousand sessions that end together
//! cost two walks and not a thousand.
//!
//! From the moment a session ends its paths are no candidates (`SessionFacts::usable`); the walk only tidies up,
//! chooses again where such a path was the best, and tells whom it concerns. Readers never see what is left:
//! a prefix that is looked at is tidied first (`cleanse`).

use crate::{
    rib::{Knobs, Path, PathFlags, PrefixId, best_path::NextHopCheck},
    types::{Family, Prefix, Timestamp},
    wire::bgp::community::Community,
};

use super::{
    Engine,
    desk::Desk,
    sessions::{Phase, Sessions, Slot},
};

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Job {
    /// All paths of a session that ended; then its slot is free.
    Purge(Slot),
    /// Paths of a session's family that do not carry its current refresh bit.
    Sweep(Slot, Family),
    /// All paths of a session are judged again: import asks something else of them than before.
    Rejudge(Slot),
    /// Every best path is chosen again: the knobs of the decision process are others.
    Decide,
    /// All paths of a family of a session that was lost become stale; those that were go, unless long-lived ones may be
    /// among them.
    Stale(Slot, Family),
    /// Its stale paths become long-lived stale ones; those with NO_LLGR go.
    LongLived(Slot, Family),
    /// Its paths that are stale still go.
    Unconfirmed(Slot, Family),
    /// All of its paths go, and the session stays.
    Drop(Slot, Family),
}

impl Job {
    /// Whose paths it is about, and of which family (`None`: of all); `None`: everybody's.
    fn about(self) -> Option<(Slot, Option<Family>)> {
        Some(match self {
            Self::Decide => return None,
            Self::Purge(slot) | Self::Rejudge(slot) => (slot, None),
            Self::Sweep(slot, family)
            | Self::Stale(slot, family)
            | Self::LongLived(slot, family)
            | Self::Unconfirmed(slot, family)
            | Self::Drop(slot, family) => (slot, Some(family)),
        })
    }
}

/// Jobs and how far the walk is.
#[derive(Debug, Default)]
pub struct Background {
    /// For the next walk.
    waiting: Vec<Job>,
    /// Of the walk under way.
    jobs: Vec<Job>,
    /// Families still to be walked, the last one first.
    families: Vec<Family>,
    /// Where the walk is in that family.
    at: u32,
    /// Purged, but update groups' books still name them as a source.
    leaving: Vec<Slot>,
}

impl Background {
    /// Adds a job.
    pub fn add(&mut self, job: Job) {
        if !self.waiting.contains(&job) {
            self.waiting.push(job);
        }
    }

    /// Whether a sweep of this family of the session waits or is under way.
    pub fn sweeps(&self, slot: Slot, family: Family) -> bool {
        let job = Job::Sweep(slot, family);
        self.waiting.contains(&job) || self.jobs.contains(&job)
    }

    /// Whether what a loss or a return began waits or is under way for a session.
    pub fn retains(&self, slot: Slot) -> bool {
        let about_age = |job: &Job| !matches!(job, Job::Purge(_) | Job::Rejudge(_) | Job::Sweep(..) | Job::Decide);
        self.waiting.iter().chain(&self.jobs).any(|job| about_age(job) && job.about().is_some_and(|(of, _)| of == slot))
    }

    /// Whether paths wait to be judged again.
    pub fn rejudges(&self) -> bool {
        self.waiting.iter().chain(&self.jobs).any(|job| matches!(job, Job::Rejudge(_)))
    }

    /// Whether nothing is due.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.jobs.is_empty()
    }

    /// Whether tables may hold paths that count no more.
    pub fn purges(&self) -> bool {
        self.waiting.iter().chain(&self.jobs).any(|job| matches!(job, Job::Purge(_)))
    }
}

impl Engine {
    /// Goes on with the walk over about `budget` prefixes; true when there is more to do.
    pub(super) fn background_step(&mut self, now: Timestamp, budget: usize) -> bool {
        self.free_slots();
        let mut left = u32::try_from(budget.max(1)).unwrap_or(u32::MAX);
        let mut ids = Vec::new();
        while left > 0 && self.walk_under_way() {
            let Some(&family) = self.background.families.last() else {
                self.end_walk();
                continue;
            };
            let slice = left.min(512);
            left -= slice;
            let next = match self.rib.tables.get(family) {
                Some(table) => table.scan(self.background.at, slice, &mut ids),
                None => None,
            };
            self.tidy(now, family, &mut ids);
            match next {
                Some(next) => self.background.at = next,
                None => {
                    self.background.at = 0;
                    self.background.families.pop();
                }
            }
        }
        !self.background.is_idle()
    }

    /// Begins a walk if one is due; whether one is under way.
    fn walk_under_way(&mut self) -> bool {
        let background = &mut self.background;
        if background.jobs.is_empty() {
            background.jobs = std::mem::take(&mut background.waiting);
            background.at = 0;
            background.families = self.rib.tables.iter().map(|table| table.family()).collect();
        }
        let sessions = &self.sessions;
        let done = |job: &Job| match job.about() {
            None => false,
            Some((slot, None)) => sessions.get(slot).is_none_or(|session| session.received() == 0),
            Some((slot, Some(family))) => {
                let state = sessions.get(slot).and_then(|session| session.family(family));
                state.is_none_or(|state| state.received == 0)
            }
        };
        if background.jobs.iter().all(done) {
            background.families.clear();
        }
        !background.jobs.is_empty()
    }

    fn end_walk(&mut self) {
        for job in std::mem::take(&mut self.background.jobs) {
            match job {
                Job::Purge(slot) => self.background.leaving.push(slot),
                Job::Rejudge(slot) if !self.background.waiting.contains(&job) => self.rejudged(slot),
                _ => {}
            }
        }
        self.free_slots();
    }

    /// From here on best paths are chosen by these knobs; those that stand are chosen again in the background. Until the walk
    /// has come to a prefix, changes there are weighed against a best path of the old knobs, which the walk then corrects.
    pub(super) fn take_knobs(&mut self, knobs: Knobs) {
        let next_hops = knobs.next_hops.connected_as(&self.settings.decision.next_hops);
        let knobs = Knobs { next_hops, ..knobs };
        if self.settings.decision != knobs {
            self.settings.decision = knobs;
            self.background.add(Job::Decide);
        }
    }

    /// Our interfaces are on these subnets now.
    pub(super) fn take_connected(&mut self, subnets: &[Prefix]) {
        let before = self.settings.decision.next_hops.clone();
        let now = before.clone().with_connected(subnets);
        if now != before {
            let asked = now.check() == NextHopCheck::Connected;
            self.settings.decision.next_hops = now;
            if asked {
                self.background.add(Job::Decide);
            }
        }
    }

    /// Frees the slots of purged sessions that no update group's books mention any more.
    fn free_slots(&mut self) {
        let (groups, sessions) = (&self.groups, &mut self.sessions);
        self.background.leaving.retain(|&slot| {
            let mentioned = groups.mention(slot);
            if !mentioned {
                sessions.free(slot);
            }
            mentioned
        });
    }

    fn tidy(&mut self, now: Timestamp, family: Family, ids: &mut Vec<PrefixId>) {
        let jobs = std::mem::take(&mut self.background.jobs);
        let due = Due::new(&jobs, family, &self.sessions);
        self.rejudge(now, family, &rejudged(&jobs), ids);
        let mut desk = self.desk(family, now);
        let facts = desk.facts;
        let decide = jobs.contains(&Job::Decide);
        for id in ids.drain(..) {
            if decide {
                desk.decide_afresh(id);
            }
            desk.remove_where(id, |path| !counts(facts, path) || due.ends(path));
            if due.marks() {
                due.mark(&mut desk, id);
            }
        }
        self.background.jobs = jobs;
    }

    /// Removes what does not count any more from one prefix, so that a reader sees nothing of it.
    pub(super) fn cleanse(&mut self, now: Timestamp, family: Family, id: PrefixId) {
        if !self.background.purges() {
            return;
        }
        let mut desk = self.desk(family, now);
        let facts = desk.facts;
        desk.remove_where(id, |path| !counts(facts, path));
    }
}

fn rejudged(jobs: &[Job]) -> Vec<Slot> {
    let slots = jobs.iter().filter_map(|job| match *job {
        Job::Rejudge(slot) => Some(slot),
        _ => None,
    });
    slots.collect()
}

/// Whether a path's session has not ended.
pub fn counts(facts: &[crate::rib::SessionFacts], path: &Path) -> bool {
    facts.get(usize::from(path.session)).is_some_and(|facts| facts.usable)
}

/// What a walk does in one family, by slot.
#[derive(Default)]
struct Due {
    /// With the bit that confirmed paths carry.
    sweeps: Vec<(Slot, bool)>,
    unconfirmed: Vec<Slot>,
    dropped: Vec<Slot>,
    /// And whether those that are stale already go.
    stale: Vec<(Slot, bool)>,
    long_lived: Vec<Slot>,
}

impl Due {
    fn new(jobs: &[Job], family: Family, sessions: &Sessions) -> Self {
        let mut due = Self::default();
        for job in jobs {
            let Some((slot, Some(of))) = job.about() else { continue };
            if of != family {
                continue;
            }
            // Of one that ended everything goes anyway.
            let Some(session) = sessions.get(slot).filter(|session| session.phase != Phase::Dead) else { continue };
            let Some(state) = session.family(family) else { continue };
            match job {
                Job::Purge(_) | Job::Rejudge(_) | Job::Decide => {}
                Job::Sweep(..) => due.sweeps.push((slot, state.epoch)),
                Job::Stale(..) => due.stale.push((slot, !state.kept.is_some_and(|kept| kept.outlives_losses()))),
                Job::LongLived(..) => due.long_lived.push(slot),
                Job::Unconfirmed(..) => due.unconfirmed.push(slot),
                Job::Drop(..) => due.dropped.push(slot),
            }
        }
        due
    }

    fn ends(&self, path: &Path) -> bool {
        let (slot, stale) = (path.session, path.flags.has(PathFlags::STALE));
        let swept = |&(swept, epoch): &(Slot, bool)| swept == slot && path.flags.has(PathFlags::EPOCH) != epoch;
        // RFC 7313 §4: what a restart left is not the refresh's business.
        !stale && self.sweeps.iter().any(swept)
            || stale && (self.unconfirmed.contains(&slot) || self.stale.contains(&(slot, true)))
            || self.dropped.contains(&slot)
    }

    fn marks(&self) -> bool {
        !self.stale.is_empty() || !self.long_lived.is_empty()
    }

    fn mark(&self, desk: &mut Desk<'_>, id: PrefixId) {
        let mut gone = Vec::new();
        for index in 0..desk.table.paths(id).len() {
            let Some(&path) = desk.table.paths(id).get(index) else { break };
            let mut flags = path.flags;
            if self.stale.iter().any(|&(slot, _)| slot == path.session) {
                flags = flags.with(PathFlags::STALE);
            }
            if flags.has(PathFlags::STALE) && self.long_lived.contains(&path.session) {
                flags = flags.with(PathFlags::LLGR_STALE);
                // As the neighbour sent it, or as policy made it (RFC 9494 §4.2).
                let sets = [path.set, desk.attrs.received(path.set)].map(|set| desk.attrs.get(set));
                if sets.iter().any(|set| set.communities().any(|community| community == Community::NO_LLGR)) {
                    gone.push((path.session, path.path_id));
                    continue;
                }
            }
            if flags != path.flags {
                desk.remark(id, index, flags);
            }
        }
        for (session, path_id) in gone {
            desk.remove(id, session, path_id);
        }
    }
}
