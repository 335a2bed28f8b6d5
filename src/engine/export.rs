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

use std::time::Duration;

use crate::{
    rib::{Path, PrefixId, Sent},
    types::{Family, PeerId, Timestamp},
    wire::bgp::{RefreshSubtype, RouteRefresh, update},
};

use super::{
    Action, Engine, SEND_QUEUE_HIGH,
    sessions::Slot,
    stream::{Audience, Stream},
    transform::Withheld,
    update_group::{Group, GroupTable, Resend, Told},
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
        let mut more = false;
        for at in 0..self.groups.len() {
            let Some(mut group) = self.groups.lend(at) else { continue };
            more |= self.export_group(now, &mut group, budget.clamp(1, PAGE), out);
            self.groups.give_back(at, group);
        }
        self.close_groups(budget) || more
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
        of.out.take_dirty(budget, &mut ids);
        if let Some(from) = of.fill {
            let room = u32::try_from(budget - ids.len()).unwrap_or(u32::MAX);
            of.fill = match self.rib.tables.get(family) {
                Some(rib) if room > 0 => rib.scan(from, room, &mut ids),
                Some(_) => of.fill,
                None => None,
            };
        }
        let mut stream = std::mem::take(&mut self.stream);
        stream.clear();
        let mut gone = Vec::new();
        for id in ids {
            if !self.change(now, group, table, id, &mut stream, out) {
                gone.push(id);
            }
        }
        self.deliver_all(now, group, family, &listeners, &mut stream, out);
        self.stream = stream;
        for id in gone {
            self.free_if_unheld(group, table, family, id);
        }
        let done = group.tables.get(table).is_none_or(|of| of.fill.is_none());
        if done {
            self.end_of_rib(now, group, table, out);
        }
        !done || group.tables.get(table).is_some_and(|of| of.out.dirty_len() > 0)
    }

    /// Compares one prefix with what the group was told, and adds the difference to the stream. False when the
    /// group has no row for it now.
    fn change(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        table: usize,
        id: PrefixId,
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) -> bool {
        let Some(of) = group.tables.get(table) else { return false };
        let (family, old) = (of.family, of.out.sent(id));
        let chosen = self.choose(now, group, family, id, stream, out);
        let new = chosen.map(|(sent, _)| sent);
        if old == new && (new.is_none() || family.is_plain_prefix()) {
            return new.is_some();
        }
        let old_source = old.map(|old| (old, self.source_of(old.source)));
        let same_octets = match (old_source, new) {
            (Some((old, source)), Some(new)) => {
                old.set == new.set && source == self.source_of(new.source) && family.is_plain_prefix()
            }
            _ => false,
        };
        if let Some(new) = new {
            self.rib.attrs.retain(new.set, 1);
        }
        group.remember(table, id, old_source, &mut self.rib.attrs);
        if let Some(before) = group.tables.get_mut(table).and_then(|of| of.set_sent(id, new)) {
            self.rib.attrs.release(before.set);
        }
        match (chosen, old) {
            (None, Some(old)) => stream.withdraw(Audience::Except(old.source), id),
            (Some((new, set)), None) => stream.announce(Audience::Except(new.source), id, set, new.source),
            (Some((new, set)), Some(old)) => {
                if !same_octets {
                    stream.announce(Audience::Except(new.source), id, set, new.source);
                } else if group.has(old.source) {
                    // The others have these octets; only the former source was never told them.
                    stream.announce(Audience::Only(old.source), id, set, new.source);
                }
                if old.source != new.source && group.has(new.source) {
                    stream.withdraw(Audience::Only(new.source), id);
                }
            }
            (None, None) => {}
        }
        new.is_some()
    }

    /// The path that the group is to be told about, with its prepared set; `None` where there is none, or policy,
    /// a rule or the message length keeps it.
    fn choose(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        family: Family,
        id: PrefixId,
        stream: &mut Stream,
        out: &mut Vec<Action>,
    ) -> Option<(Sent, u32)> {
        let stale = |path: &Path| !self.facts.get(usize::from(path.session)).is_some_and(|f| f.usable);
        if self.rib.tables.get(family)?.best_path(id).is_some_and(stale) {
            self.cleanse(now, family, id);
        }
        let table = self.rib.tables.get(family)?;
        let path = table.best_path(id).filter(|path| group.has_audience(path.session))?;
        let source = self.source_of(path.session);
        let result = stream.prepared.prepare(&self.rib.attrs, path.set, source, family, &group.key);
        let result = result.and_then(|set| {
            let labels = table.labels(id, path.session, path.path_id).len();
            let fits = stream.prepared.fits(set, table.nlri(id), labels, &group.key);
            if fits { Ok(set) } else { Err(Withheld::TooLong) }
        });
        match result {
            Ok(set) => Some((Sent { set: path.set, source: path.session }, set)),
            Err(why) => {
                self.withhold(group, family, why, out);
                None
            }
        }
    }

    /// Counts what cannot be sent for reasons that an operator would want to know, and says so once per group.
    fn withhold(&self, group: &mut Group, family: Family, why: Withheld, out: &mut Vec<Action>) {
        let (warned, text) = match why {
            Withheld::NoNextHop => {
                (&mut group.warned_next_hop, format!("no usable next hop for {family}: its routes are not sent"))
            }
            Withheld::TooLong => {
                (&mut group.warned_length, format!("a {family} route does not fit a message: it is not sent"))
            }
            Withheld::InternalToInternal | Withheld::Community | Withheld::Policy => return,
        };
        for table in group.tables.iter_mut().filter(|table| table.family == family) {
            table.withheld += 1;
        }
        if std::mem::replace(warned, true) {
            return;
        }
        let peers = group.members.iter().filter_map(|member| self.sessions.peer(member.slot));
        out.extend(peers.map(|peer| Action::Warn { peer, text: text.clone() }));
    }

    /// Serves a member that is behind: the table from where it is, then what it missed.
    fn catch_up(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        place: Place,
        budget: usize,
        out: &mut Vec<Action>,
    ) -> bool {
        if self.is_blocked(place.slot) {
            return false;
        }
        let Some((family, mut lag)) = group.take_lag(place.member, place.table) else { return false };
        let mut stream = std::mem::take(&mut self.stream);
        stream.clear();
        let mut gone = Vec::new();
        if let Some(from) = lag.next {
            let mut rows = Vec::new();
            let count = u32::try_from(budget).unwrap_or(u32::MAX);
            lag.next = group.tables.get(place.table).and_then(|of| of.out.scan(from, count, &mut rows));
            for (id, sent) in rows.into_iter().filter(|(_, sent)| sent.source != place.slot) {
                // A row that changed after it was told cannot be behind the point reached, so nothing is told twice.
                lag.told += u64::from(self.say(group, family, id, sent, &mut stream));
            }
        } else {
            for _ in 0..budget {
                let Some((id, before)) = lag.missed.pop_first() else { break };
                gone.push(id);
                self.say_missed(group, place, family, (id, before), &mut stream, &mut lag.told);
            }
        }
        let over = lag.is_over();
        if let Some(standing) = group.standing_mut(place.member, place.table) {
            standing.lag = (!over).then_some(lag);
        }
        self.deliver_all(now, group, family, &[place.slot], &mut stream, out);
        self.stream = stream;
        for id in gone {
            self.free_if_unheld(group, place.table, family, id);
        }
        if over {
            self.end_of_rib(now, group, place.table, out);
        }
        true
    }

    /// Adds a row of the group's table to a member's own stream; whether it could be said.
    fn say(&mut self, group: &Group, family: Family, id: PrefixId, sent: Sent, stream: &mut Stream) -> bool {
        let source = self.source_of(sent.source);
        match stream.prepared.prepare(&self.rib.attrs, sent.set, source, family, &group.key) {
            Ok(set) => {
                stream.announce(EVERYBODY, id, set, sent.source);
                true
            }
            Err(_) => false,
        }
    }

    fn say_missed(
        &mut self,
        group: &Group,
        place: Place,
        family: Family,
        (id, before): (PrefixId, Option<Told>),
        stream: &mut Stream,
        told: &mut u64,
    ) {
        let row = group.tables.get(place.table).and_then(|of| of.out.sent(id));
        match row.filter(|sent| sent.source != place.slot) {
            Some(sent) => {
                let same = before == Some(Told { set: sent.set, source: self.source_of(sent.source) });
                let said = (same && family.is_plain_prefix()) || self.say(group, family, id, sent, stream);
                *told = *told + u64::from(said) - u64::from(before.is_some());
            }
            None if before.is_some() => {
                stream.withdraw(EVERYBODY, id);
                *told -= 1;
            }
            None => {}
        }
        if let Some(before) = before {
            self.rib.attrs.release(before.set);
        }
    }

    /// Serves a neighbour that asked for a refresh (RFC 2918 §4, RFC 7313 §4).
    fn send_again(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        place: Place,
        budget: usize,
        out: &mut Vec<Action>,
    ) -> bool {
        let blocked = self.is_blocked(place.slot);
        let Some(of) = group.tables.get(place.table) else { return false };
        let family = of.family;
        let Some(standing) = group.members.get(place.member).and_then(|m| m.families.get(place.table)) else {
            return false;
        };
        let ready = standing.lag.is_none() && standing.end_of_rib_sent && !blocked;
        let from = match standing.resend {
            Resend::Idle => return false,
            _ if !ready => return false,
            Resend::Wanted => {
                self.mark(now, place.slot, family, RefreshSubtype::BeginOfRefresh, out);
                0
            }
            Resend::From(from) => from,
        };
        let mut rows = Vec::new();
        let next = of.out.scan(from, u32::try_from(budget).unwrap_or(u32::MAX), &mut rows);
        let mut stream = std::mem::take(&mut self.stream);
        stream.clear();
        for (id, sent) in rows.into_iter().filter(|(_, sent)| sent.source != place.slot) {
            self.say(group, family, id, sent, &mut stream);
        }
        self.deliver_all(now, group, family, &[place.slot], &mut stream, out);
        self.stream = stream;
        if let Some(standing) = group.standing_mut(place.member, place.table) {
            standing.resend = next.map_or(Resend::Idle, Resend::From);
        }
        if next.is_none() {
            self.mark(now, place.slot, family, RefreshSubtype::EndOfRefresh, out);
        }
        next.is_some()
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

    /// Frees an id that nothing is left of, during an export: the lent group is asked itself.
    fn free_if_unheld(&mut self, group: &Group, table: usize, family: Family, id: PrefixId) {
        if group.holds(table, id) || self.groups.others_hold(family, id) {
            return;
        }
        if let Some(table) = self.rib.tables.get_mut(family) {
            table.free_if_empty(id);
        }
    }

    /// Closes the books of groups that nobody is a member of any more; true when there may be more to do.
    fn close_groups(&mut self, budget: usize) -> bool {
        let Some((family, ids)) = self.groups.close_some(budget.max(1), &mut self.rib.attrs) else { return false };
        for id in ids {
            if !self.groups.hold(family, id)
                && let Some(table) = self.rib.tables.get_mut(family)
            {
                table.free_if_empty(id);
            }
        }
        true
    }
}

/// In a stream for one member, what is not about sources.
const EVERYBODY: Audience = Audience::Except(super::LOCAL);
