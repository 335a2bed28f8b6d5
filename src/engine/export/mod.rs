//! What goes out (RFC 4271 §9.2): what is dirty in an update group's Adj-RIB-Out is compared with the Loc-RIB, and
//! the difference is sent to its members.
//!
//! # What the RFC asks
//! 1. §9.2: a route learned by IBGP is not sent to IBGP; one that was sent is not sent again unchanged; one that
//!    does not fit a message is not sent, and a line in the log says so.
//! 2. §9.1.3: what is not to be sent any more, and was sent, is withdrawn.
//! 3. RFC 4724 §2: End-of-RIB follows the first sending of a family; also without Graceful Restart (RFC 4724 §2:
//!    "generally useful").
//! 4. RFC 8212 §3: EBGP needs an export policy.
//!
//! # What we do
//! A group's table says what was last told about each prefix and whose path that was. For each dirty prefix the
//! path to send now is looked up, its attributes worked out once per set and page, and compared: nothing is sent
//! where nothing changed. The one stream that comes of it is for everybody but the source of each route, which
//! hears a withdrawal instead if it had been told something else: routes are not sent back to whom they came from.
//! Lagging members (see `update_group`) and those that asked for a refresh are served from the same table.

mod catch_up;
mod change;
mod choose;
mod foretell;
mod regroup;
mod told;
mod validity;

use std::time::Duration;

use crate::{
    rib::PrefixId,
    types::{Family, PeerId, Timestamp},
    wire::bgp::{RefreshSubtype, RouteRefresh, update},
};

use self::change::Spot;
use super::{
    Action, Engine, SEND_QUEUE_HIGH,
    sessions::Slot,
    stream::{Audience, Stream},
    update_group::{Group, GroupTable},
};

/// How long a group waits for a member whose queue is full while others have room.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prefixes per page: a page's octets overshoot a queue's limit by no more than some hundred kilobytes.
const PAGE: usize = 4096;

/// Which member, and which of the group's tables.
#[derive(Clone, Copy)]
struct Place {
    member: usize,
    table: usize,
    slot: Slot,
}

impl Engine {
    /// Sends what can be sent now; true when there is more.
    pub(super) fn export(&mut self, now: Timestamp, budget: usize, out: &mut Vec<Action>) -> bool {
        self.regroup_due();
        let mut more = false;
        for at in 0..self.groups.len() {
            let Some(mut group) = self.groups.lend(at) else { continue };
            more |= self.export_group(now, &mut group, budget.clamp(1, PAGE), out);
            group.end_review();
            self.groups.give_back(at, group);
        }
        if let Some(set) = self.default_set.take() {
            self.rib.attrs.release(set); // rows have references of their own
        }
        self.close_groups(budget) || self.can_regroup() || more
    }

    /// The driver's queue for the neighbour has room: at most a quarter of the limit is unwritten.
    pub(super) fn writable(&mut self, peer: PeerId) {
        let slot = self.sessions.slot_of(peer);
        if let Some(session) = slot.and_then(|slot| self.sessions.get_mut(slot)) {
            session.outstanding = session.outstanding.min(SEND_QUEUE_HIGH / 4);
            session.blocked_since = None;
        }
        self.blocked.retain(|blocked| Some(*blocked) != slot);
    }

    /// When a group stops waiting for a member whose queue is full.
    pub(super) fn next_ejection(&self) -> Option<Timestamp> {
        let waited_for = self.blocked.iter().filter_map(|&slot| {
            let session = self.sessions.get(slot)?;
            let group = self.groups.get(session.group?)?;
            let in_step = |slot: Slot| group.members.iter().any(|member| member.slot == slot && member.in_step());
            let others = group.members.iter().map(|member| member.slot);
            let held = others.filter(|&other| in_step(other)).any(|other| !self.is_blocked(other));
            (in_step(slot) && held).then_some(session.blocked_since? + PATIENCE)
        });
        waited_for.min()
    }

    fn export_group(&mut self, now: Timestamp, group: &mut Group, budget: usize, out: &mut Vec<Action>) -> bool {
        self.leave_slow_behind(now, group);
        group.look_who_lags();
        let mut more = false;
        for table in 0..group.tables.len() {
            if group.tables.get(table).is_some_and(|of| self.defers(of.family)) {
                continue;
            }
            more |= self.send_changes(now, group, table, budget, out);
            for member in 0..group.members.len() {
                let Some(slot) = group.wants_own_stream(member, table) else { continue };
                let place = Place { member, table, slot };
                more |= self.catch_up(now, group, place, budget, out);
                more |= self.send_again(now, group, place, budget, out);
            }
        }
        more
    }

    fn is_blocked(&self, slot: Slot) -> bool {
        self.sessions.get(slot).is_none_or(|session| session.outstanding >= SEND_QUEUE_HIGH)
    }

    /// Members whose queue stays full while others have room no longer hold the group: see `update_group`.
    fn leave_slow_behind(&self, now: Timestamp, group: &mut Group) {
        let has_room = |slot: Slot| !self.is_blocked(slot);
        if self.blocked.is_empty() || !group.members.iter().any(|m| m.in_step() && has_room(m.slot)) {
            return;
        }
        group.leave_behind(|slot, lags| {
            let since = self.sessions.get(slot).and_then(|session| session.blocked_since);
            since.is_some_and(|since| lags || now.since(since) >= PATIENCE)
        });
    }

    /// The common stream: what is dirty, and what the first walk has not reached yet.
    fn send_changes(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        table: usize,
        budget: usize,
        out: &mut Vec<Action>,
    ) -> bool {
        if group.tables.get(table).is_none_or(GroupTable::is_at_rest) {
            return false;
        }
        let listeners: Vec<Slot> = group.in_step(table).collect();
        if listeners.is_empty() || listeners.iter().any(|slot| self.is_blocked(*slot)) {
            return false;
        }
        let mut ids = Vec::new();
        let Some(of) = group.tables.get_mut(table) else { return false };
        let family = of.family;
        of.release_held(now);
        let interval = group.key.advertisement_interval;
        let free = match of.fill {
            None if !interval.is_zero() => of.take_round(now, budget),
            _ => usize::MAX,
        };
        of.out.take_dirty(budget, &mut ids);
        if let Some(from) = of.fill {
            let room = u32::try_from(budget - ids.len()).unwrap_or(u32::MAX);
            of.fill = match self.rib.tables.get(family) {
                Some(rib) if room > 0 => rib.scan(from, room, &mut ids),
                Some(_) => of.fill,
                None => None,
            };
        }
        let mut stream = self.begin_stream(group, table);
        let mut gone = Vec::new();
        for (at, id) in ids.into_iter().enumerate() {
            let spot = Spot { table, id };
            if at >= free && self.waits_to_announce(now, group, spot, &mut stream, out) {
                group.tables.get_mut(table).into_iter().for_each(|of| of.hold(id));
            } else if !self.change(now, group, spot, &mut stream, out) {
                gone.push(id);
            }
        }
        if let Some(of) = group.tables.get_mut(table).filter(|_| !interval.is_zero() && stream.announces()) {
            of.not_before = now + interval;
        }
        self.deliver_all(now, group, family, &listeners, &mut stream, out);
        self.stream = stream;
        self.free_unheld(group, table, family, gone);
        let done = group.tables.get(table).is_none_or(|of| of.fill.is_none());
        if done {
            self.end_of_rib(now, group, table, out);
        }
        !done || group.tables.get(table).is_some_and(|of| of.out.dirty_len() > 0)
    }

    /// Whether something is to be announced of the prefix, which waits for its interval. What is to be withdrawn does not,
    /// as far as that can be said alone: all of it, a path of several, or what a client of a route server has in place of
    /// its own path. (RFC 4271 §9.2.1.1 would let withdrawals wait, too; who goes on sending packets into a hole has no use
    /// for that.)
    fn waits_to_announce(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        spot: Spot,
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) -> bool {
        if group.tables.get(spot.table).is_some_and(GroupTable::sends_many) {
            let chosen = self.choose_paths(now, group, spot, stream, out);
            self.withdraw_gone(group, spot, &chosen, stream);
            return !chosen.is_empty();
        }
        let chosen = self.choose(now, group, spot, stream, out);
        let Some((first, _)) = chosen.first else { return false };
        let Some(of) = group.tables.get(spot.table) else { return false };
        let same_first = of.family.is_plain_prefix() && of.out.sent(spot.id) == Some(first) && !of.out.is_past(spot.id);
        // Who had something else beside it, and is not its source, is to be told it now.
        let withdraws_only =
            same_first && chosen.alone.is_empty() && of.alone(spot.id).iter().all(|(to, _)| *to == first.source);
        !withdraws_only
    }

    /// When a group may announce again what it holds back.
    pub(super) fn next_advertisement(&self) -> Option<Timestamp> {
        let groups = (0..self.groups.len()).filter_map(|at| self.groups.get(at));
        // Who waits for a queue to drain waits for that first.
        let ready = |group: &Group, table: usize| !group.in_step(table).any(|slot| self.is_blocked(slot));
        let held = groups.flat_map(|group| {
            let tables = group.tables.iter().enumerate();
            tables.filter_map(move |(at, table)| table.held_until().filter(|_| ready(group, at)))
        });
        held.min()
    }

    /// The stream, empty, for a page of one of the group's tables.
    fn begin_stream(&mut self, group: &Group, table: usize) -> Stream {
        let mut stream = std::mem::take(&mut self.stream);
        stream.begin(group.tables.get(table).is_some_and(GroupTable::sends_many));
        stream
    }

    /// BoRR or EoRR, where both sides know them.
    fn mark(&mut self, now: Timestamp, slot: Slot, family: Family, subtype: RefreshSubtype, out: &mut Vec<Action>) {
        if self.sessions.get(slot).is_some_and(|session| session.negotiated.enhanced_refresh) {
            self.send(now, slot, RouteRefresh { family, subtype }.encode().into(), 1, out);
        }
    }

    /// End-of-RIB to those in step that have not had it.
    fn end_of_rib(&mut self, now: Timestamp, group: &mut Group, table: usize, out: &mut Vec<Action>) {
        let Some(of) = group.tables.get_mut(table).filter(|of| of.fill.is_none()) else { return };
        of.end_of_rib_due = false;
        let family = of.family;
        if group.key.awaits_filter(family) {
            return;
        }
        for member in &mut group.members {
            let Some(standing) = member.families.get_mut(table) else { continue };
            if standing.lag.is_none() && !standing.end_of_rib_sent {
                standing.end_of_rib_sent = true;
                self.send(now, member.slot, update::end_of_rib(family).into(), 1, out);
            }
        }
    }

    fn deliver_all(
        &mut self,
        now: Timestamp,
        group: &Group,
        family: Family,
        slots: &[Slot],
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) {
        let Some(table) = self.rib.tables.get(family) else { return };
        if stream.is_empty() {
            return;
        }
        stream.encode(table, &group.key);
        for &slot in slots {
            for (octets, messages) in stream.pieces(slot) {
                self.send(now, slot, octets, messages, out);
            }
        }
    }

    fn send(&mut self, now: Timestamp, slot: Slot, messages: bytes::Bytes, count: u32, out: &mut Vec<Action>) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        session.outstanding += messages.len();
        if session.outstanding >= SEND_QUEUE_HIGH && session.blocked_since.is_none() {
            session.blocked_since = Some(now);
            self.blocked.push(slot);
        }
        out.push(Action::Send { peer: session.peer, messages, count });
    }

    /// Frees ids that nothing is left of, during an export: the lent group is asked itself.
    fn free_unheld(&mut self, group: &Group, table: usize, family: Family, mut ids: Vec<PrefixId>) {
        ids.retain(|id| !group.holds(table, *id) && !self.groups.others_hold(family, *id));
        // A page may name an id twice, as a dirty one and on the walk; it is freed once.
        ids.sort_unstable();
        ids.dedup();
        if let Some(table) = self.rib.tables.get_mut(family) {
            table.free_all_if_empty(&ids);
        }
    }

    /// Closes the books of groups that nobody is a member of any more; true when there may be more to do.
    fn close_groups(&mut self, budget: usize) -> bool {
        let Some((family, ids)) = self.groups.close_some(budget.max(1), &mut self.rib.attrs) else { return false };
        let unheld: Vec<PrefixId> = ids.into_iter().filter(|id| !self.groups.hold(family, *id)).collect();
        if let Some(table) = self.rib.tables.get_mut(family) {
            table.free_all_if_empty(&unheld);
        }
        true
    }
}

/// In a stream for one member, what is not about sources.
const EVERYBODY: Audience = Audience::Except(super::LOCAL);
