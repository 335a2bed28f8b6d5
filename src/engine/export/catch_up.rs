//! Members with a stream of their own: those that lag behind their group, and those that asked for a refresh.

use crate::{
    rib::{SentPath, SetId},
    types::Timestamp,
    wire::bgp::RefreshSubtype,
};

use super::{
    super::{
        Action, Engine,
        stream::{Line, Stream},
        update_group::{Group, Resend, RouteId},
    },
    EVERYBODY, Place,
};

impl Engine {
    /// Serves a member that is behind: the table from where it is, then what it missed.
    pub(super) fn catch_up(
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
        let mut stream = self.begin_stream(group, place.table);
        let mut gone = Vec::new();
        if let Some(from) = lag.next {
            let mut rows = Vec::new();
            let count = u32::try_from(budget).unwrap_or(u32::MAX);
            lag.next = group.tables.get(place.table).and_then(|of| of.rows_for(place.slot, from, count, &mut rows));
            for (route, row) in rows {
                // A row that changed after it was told cannot be behind the point reached, so nothing is told twice.
                lag.told += u64::from(self.say(group, place.table, route, row, &mut stream));
            }
        } else {
            for _ in 0..budget {
                let Some((route, before)) = lag.missed.pop_first() else { break };
                gone.push(route.0);
                self.say_missed(group, place, (route, before), &mut stream, &mut lag.told);
            }
        }
        gone.dedup(); // in order, and each once: an id is freed once
        let over = lag.is_over();
        if let Some(standing) = group.standing_mut(place.member, place.table) {
            standing.lag = (!over).then_some(lag);
        }
        self.deliver_all(now, group, family, &[place.slot], &mut stream, out);
        self.stream = stream;
        self.free_unheld(group, place.table, family, gone);
        if over {
            self.end_of_rib(now, group, place.table, out);
        }
        true
    }

    /// Adds a row of the group's table to a member's own stream; whether it could be said.
    fn say(&mut self, group: &Group, table: usize, route: RouteId, row: SentPath, stream: &mut Stream) -> bool {
        let set = self.prepare_row(group, table, route, row, stream);
        if let Some(set) = set {
            stream.announce(EVERYBODY, Line::new(route, row), set);
        }
        set.is_some()
    }

    /// The number of the octets that stand for a row: by the key that it was told by, since it may not have been
    /// looked at under the present one yet.
    fn prepare_row(
        &self,
        group: &Group,
        table: usize,
        route: RouteId,
        row: SentPath,
        stream: &mut Stream,
    ) -> Option<u32> {
        let told = self.octets_of(group, table, route, row.sent, stream)?;
        Some(stream.number_of(told))
    }

    fn say_missed(
        &mut self,
        group: &Group,
        place: Place,
        (route, before): (RouteId, Option<SetId>),
        stream: &mut Stream,
        told: &mut u64,
    ) {
        let Some(of) = group.tables.get(place.table) else { return };
        let row = of.row_for(place.slot, route);
        match row.and_then(|row| Some((row, self.prepare_row(group, place.table, route, row, stream)?))) {
            Some((row, set)) => {
                let same = before.is_some_and(|before| self.equals(before, stream, set));
                if !same || !of.family.is_plain_prefix() {
                    stream.announce(EVERYBODY, Line::new(route, row), set);
                }
                *told = *told + 1 - u64::from(before.is_some());
            }
            None if before.is_some() => {
                stream.withdraw(EVERYBODY, route);
                *told -= 1;
            }
            None => {}
        }
        if let Some(before) = before {
            self.rib.attrs.release(before);
        }
    }

    /// Serves a neighbour that asked for a refresh (RFC 2918 §4, RFC 7313 §4).
    pub(super) fn send_again(
        &mut self,
        now: Timestamp,
        group: &mut Group,
        place: Place,
        budget: usize,
        out: &mut Vec<Action>,
    ) -> bool {
        let blocked = self.is_blocked(place.slot);
        let Some(family) = group.tables.get(place.table).map(|of| of.family) else { return false };
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
        let count = u32::try_from(budget).unwrap_or(u32::MAX);
        let next = group.tables.get(place.table).and_then(|of| of.rows_for(place.slot, from, count, &mut rows));
        let mut stream = self.begin_stream(group, place.table);
        for (route, row) in rows {
            self.say(group, place.table, route, row, &mut stream);
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
}
