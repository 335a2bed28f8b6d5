//! What arrives: UPDATEs are filed in Adj-RIB-In, judged, and the decision is taken anew (RFC 4271 §9.1).
//!
//! # What the RFC asks
//! 1. §9: a route replaces the earlier one from the same neighbour (implicit withdraw); a withdrawn one is removed.
//! 2. §9.1.2: some routes are excluded; §9.1.1: policy decides about the others, and may change them.
//! 3. §9.1.2.1 excludes routes whose next hop cannot be resolved.
//!
//! # What we do
//! 1. The same. A route sent again without a change keeps its age.
//! 2. Excluded and rejected routes are kept, since Adj-RIB-In is what the neighbour said, and marked as not eligible with
//!    the reason; a replacement that is not eligible thus takes the old route away. What is received stays beside
//!    what import makes of it (`rib::attrs`), so that other policies can judge it anew: `rules` has what RFCs ask,
//!    `judge` asks policy, `rejudge` does so again for what is kept.
//! 3. Next hops are not resolved: there is no other routing table here to ask, every next hop counts as reachable (the
//!    view of a collector).

mod ahead;
mod judge;
mod rejudge;
mod rules;
mod validity;

use crate::{
    policy::PolicyChain,
    rib::{NlriRef, Path, PathFlags, PrefixId, Rib, paths::SESSION_PATHS_MAX},
    types::{Family, PathId, PeerId, Prefix, Timestamp},
    wire::bgp::batch::{ItemKind, UpdateBatch, UpdateItem},
};

pub use self::{
    ahead::{Ahead, TOGETHER},
    judge::{Judge, Judged, story, trace},
    rules::{ImportRules, Unusable},
    validity::{Sender, Validator, Validity},
};

use super::{
    Action, BatchProgress, Engine,
    background::counts,
    desk::{Desk, Filed},
    max_prefix::{self, Outcome},
    retention::marks_on_arrival,
    sessions::{Phase, Slot},
};

impl Engine {
    /// Applies the batch from where `progress` stands until about `budget` routes were handled; true when all of
    /// it is done. Between calls the driver answers queries. A batch of a neighbour without a session, or of one
    /// that is being ended, is dropped.
    pub fn apply(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        batch: &UpdateBatch,
        progress: &mut BatchProgress,
        budget: usize,
        out: &mut Vec<Action>,
    ) -> bool {
        let mut left = budget.max(1);
        // Items in front of this one are warm.
        let mut warm = progress.item;
        let Some(slot) = self.sessions.slot_of(peer) else { return true };
        while let Some(item) = batch.get(progress.item).filter(|_| self.takes_updates(slot)) {
            if left == 0 {
                self.events.publish(out);
                return false;
            }
            if progress.item >= warm {
                warm = self.warm_up(slot, batch, *progress);
            }
            let handled = self.import_item(now, slot, &item, progress.routes, left, out);
            if handled < left {
                *progress = BatchProgress { item: progress.item + 1, routes: 0 };
                left -= handled.max(1); // an item without routes costs something too
            } else {
                progress.routes += handled;
                left = 0;
            }
        }
        self.events.publish(out);
        true
    }

    /// Asks the memory for what the next routes will need, over as many items as hold [`TOGETHER`] of them: most
    /// items have a few. The number of the first item that was not covered.
    fn warm_up(&mut self, slot: Slot, batch: &UpdateBatch, progress: BatchProgress) -> usize {
        let BatchProgress { item: from, routes: done } = progress;
        self.ahead.clear();
        let Some(first) = batch.get(from) else { return from };
        let Some(table) = self.rib.tables.get(first.family) else { return from + 1 };
        let (mut nlri, mut prefixes) = (NOTHING, [Prefix::v4(0, 0); TOGETHER]);
        let (mut count, mut at) = (0, from);
        let mut announced = false;
        let mut announces = false;
        while let Some(item) = batch.get(at).filter(|item| item.family == first.family) {
            for (_, prefix) in item.prefixes().skip(if at == from { done } else { 0 }) {
                let (Some(place), Some(asked)) = (nlri.get_mut(count), prefixes.get_mut(count)) else { break };
                (*place, *asked) = (NlriRef::Prefix(prefix), prefix);
                count += 1;
            }
            // Both in one stretch: what is looked up ahead must come in the order in which it is asked for.
            announces = item.kind == ItemKind::Announce && (announces || at == from);
            at += 1;
            announced |= item.kind == ItemKind::Announce;
            if count == TOGETHER {
                break;
            }
        }
        if count > 1 {
            table.warm(nlri.get(..count).unwrap_or_default(), self.ahead.fill(count));
            if let Some(session) = self.sessions.get(slot).filter(|_| announced) {
                session.import.chain.warm(prefixes.get(..count).unwrap_or_default());
            }
        }
        if announces {
            // Of a prefix that is there, another path knows most of the time what RPKI says.
            let mut unknown = 0;
            for at in (0..count).filter(|at| self.ahead.known(*at).is_none()) {
                prefixes.swap(unknown, at);
                unknown += 1;
            }
            self.judge.validator.look_ahead(prefixes.get(..unknown).unwrap_or_default());
        }
        at.max(from + 1)
    }

    fn takes_updates(&self, slot: Slot) -> bool {
        self.sessions.get(slot).is_some_and(|session| session.phase == Phase::Live)
    }

    /// Handles up to `budget` routes of the item behind the first `skip`; how many there were.
    fn import_item(
        &mut self,
        now: Timestamp,
        slot: Slot,
        item: &UpdateItem<'_>,
        skip: usize,
        budget: usize,
        out: &mut Vec<Action>,
    ) -> usize {
        match item.kind {
            ItemKind::Announce => self.import_announced(now, slot, item, skip, budget, out),
            ItemKind::Withdraw => self.import_withdrawn(now, slot, item, skip, budget),
            ItemKind::EndOfRib => {
                self.end_of_rib_came(slot, item.family);
                0
            }
        }
    }

    fn import_announced(
        &mut self,
        now: Timestamp,
        slot: Slot,
        item: &UpdateItem<'_>,
        skip: usize,
        budget: usize,
        out: &mut Vec<Action>,
    ) -> usize {
        let Some(session) = self.sessions.get_mut(slot) else { return 0 };
        let limited = !session.settings.max_prefix.is_empty();
        let purging = self.background.purges();
        let rules = session.import.clone();
        let epoch = if session.family_mut(item.family).epoch { PathFlags::EPOCH } else { PathFlags::default() };
        let marks = marks_on_arrival(session, item.attrs).with(epoch);
        let validates = self.validates(&rules, item.family);
        let mut opened = Vec::new();
        if validates {
            self.settle_flows(now);
            opened = self.know_flows(item.family, item.opaque().skip(skip).take(budget).map(|(_, key, _)| key));
        }
        let (mut desk, judge) = self.desk_and_judge(item.family, now);
        let received = desk.attrs.intern(item.attrs);
        judge.begin(&rules, item.family, desk.attrs, received);
        let erroneous_state = judge.erroneous_state();
        let mut outcomes = Vec::new();
        let mut dropped = false;
        let handled =
            desk.each_route(item, (skip, budget), Some(&rules.chain), |desk, nlri, known, path_id, labels| {
                let like = judge.validator.asks_for().and_then(|origin| desk.state_like(nlri, known, origin));
                let mut judged = judge.path(&rules, desk.attrs, prefix_of(nlri), like);
                if validates {
                    judged = desk.validate_flow(slot, nlri, received, judged);
                }
                if purging && let Some(id) = desk.table.find(nlri) {
                    // What is left of the neighbour's last session is gone before it is there again, for those who listen.
                    let facts = desk.facts;
                    desk.remove_where(id, |path| !counts(facts, path));
                }
                desk.attrs.retain(judged.set, 1);
                let flags = judged.flags.with(marks);
                let path = Path { set: judged.set, received_secs: now.secs(), path_id, session: slot, flags };
                match desk.announce(nlri, known, path, labels) {
                    Filed::Done if validates => desk.watch_flow(nlri),
                    Filed::Done => {}
                    Filed::NoSuchNlri => desk.attrs.release(judged.set),
                    Filed::Full => {
                        desk.attrs.release(judged.set);
                        dropped = true;
                    }
                }
                if limited && let Some(session) = desk.sessions.get_mut(slot) {
                    outcomes.extend(max_prefix::check(session, item.family));
                }
                !matches!(outcomes.last(), Some(Outcome::Exceeded { .. }))
            });
        judge.end(desk.attrs);
        self.close_flows(&opened);
        if let Some(value) = erroneous_state {
            self.say_erroneous_state(slot, value, out);
        }
        if dropped {
            self.say_dropped(slot, item.family, out);
        }
        for outcome in outcomes {
            self.act_on_limit(slot, outcome, out);
        }
        handled
    }

    /// A validation state without a meaning was discarded, which is to be logged (RFC 8097 §2): one line per session.
    #[cold]
    fn say_erroneous_state(&mut self, slot: Slot, value: u8, out: &mut Vec<Action>) {
        let Some(session) = self.sessions.get_mut(slot).filter(|session| !session.warned_state) else { return };
        session.warned_state = true;
        let text = format!("validation state {value} is discarded, it has no meaning (RFC 8097 §2); more are not told");
        out.push(Action::Warn { peer: session.peer, text });
    }

    /// Paths were dropped, since a prefix has all the paths it may have: one line per session.
    fn say_dropped(&mut self, slot: Slot, family: Family, out: &mut Vec<Action>) {
        let Some(session) = self.sessions.get_mut(slot).filter(|session| !session.warned_dropped) else { return };
        session.warned_dropped = true;
        let text = format!(
            "{family} paths are dropped: a prefix keeps at most {SESSION_PATHS_MAX} of one neighbour and 65,535 of all"
        );
        out.push(Action::Warn { peer: session.peer, text });
    }

    fn import_withdrawn(
        &mut self,
        now: Timestamp,
        slot: Slot,
        item: &UpdateItem<'_>,
        skip: usize,
        budget: usize,
    ) -> usize {
        self.desk(item.family, now).each_route(item, (skip, budget), None, |desk, nlri, known, path_id, _| {
            desk.withdraw(nlri, known, slot, path_id);
            true
        })
    }

    /// What a passed limit leads to. Once it is exceeded nothing more is taken from the session; the rest of the
    /// batch is dropped with it.
    fn act_on_limit(&mut self, slot: Slot, outcome: Outcome, out: &mut Vec<Action>) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let peer = session.peer;
        match outcome {
            Outcome::Warn(text) => out.push(Action::Warn { peer, text }),
            Outcome::Exceeded { notification, restart_after, text } => {
                session.phase = Phase::Ending;
                out.push(Action::Warn { peer, text });
                out.push(Action::Notify { peer, notification, restart_after });
            }
        }
    }

    /// The parts that a change of one path of `family` touches.
    pub(super) fn desk(&mut self, family: Family, now: Timestamp) -> Desk<'_> {
        self.desk_and_judge(family, now).0
    }

    /// The same, with the judge beside them.
    pub(super) fn desk_and_judge(&mut self, family: Family, now: Timestamp) -> (Desk<'_>, &mut Judge) {
        let Rib { attrs, tables } = &mut self.rib;
        let desk = Desk {
            attrs,
            table: tables.open(family),
            facts: &self.facts,
            knobs: &self.settings.decision,
            sessions: &mut self.sessions,
            groups: &mut self.groups,
            events: &mut self.events,
            flows_depend: self.flows.watches(family),
            flows: &mut self.flows,
            watched: &mut self.watched,
            best_path: self.settings.best_path,
            ahead: &mut self.ahead,
            now,
        };
        (desk, &mut self.judge)
    }
}

/// What policy is told of an NLRI.
pub fn prefix_of(nlri: NlriRef<'_>) -> Option<Prefix> {
    match nlri {
        NlriRef::Prefix(prefix) => Some(prefix),
        NlriRef::Opaque(_) => None,
    }
}

impl Desk<'_> {
    /// Calls `each` with up to `budget` routes of an item behind the first `skip` and with what warming up said of them,
    /// until it answers false; how many there were. `chain` is the policy that will be asked about them.
    #[inline]
    fn each_route(
        &mut self,
        item: &UpdateItem<'_>,
        (skip, budget): (usize, usize),
        chain: Option<&PolicyChain>,
        mut each: impl FnMut(&mut Self, NlriRef<'_>, Option<PrefixId>, PathId, &[u8]) -> bool,
    ) -> usize {
        let mut handled = 0;
        if !item.family.is_plain_prefix() {
            for (path_id, key, labels) in item.opaque().skip(skip).take(budget) {
                handled += 1;
                if !each(self, NlriRef::Opaque(key), None, path_id, labels) {
                    break;
                }
            }
            return handled;
        }
        let mut routes = item.prefixes().skip(skip).take(budget);
        loop {
            let mut together = [(0, Prefix::v4(0, 0)); TOGETHER];
            let (warm, mut count) = (self.ahead.left(), 0);
            let size = if warm > 0 { warm } else { TOGETHER };
            for (place, route) in together.iter_mut().zip(routes.by_ref().take(size)) {
                *place = route;
                count += 1;
            }
            // The first ones were warmed up with their neighbours in the batch.
            if warm == 0 && count > 1 {
                let prefixes = together.map(|(_, prefix)| prefix);
                let nlri = prefixes.map(NlriRef::Prefix);
                self.table.warm(nlri.get(..count).unwrap_or_default(), self.ahead.fill(count));
                if let Some(chain) = chain {
                    chain.warm(prefixes.get(..count).unwrap_or_default());
                }
            }
            for (path_id, prefix) in together.into_iter().take(count) {
                handled += 1;
                let known = self.ahead.take_next();
                if !each(self, NlriRef::Prefix(prefix), known, path_id, &[]) {
                    return handled;
                }
            }
            if count < size {
                return handled;
            }
        }
    }
}

const NOTHING: [NlriRef<'static>; TOGETHER] = [NlriRef::Opaque(&[]); TOGETHER];
