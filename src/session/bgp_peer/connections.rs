//! The connections of a neighbour: taking them, feeding them, and deciding between two (RFC 4271 §6.8).

use std::{mem, sync::Arc};

use super::{Attempt, BgpPeer};
use crate::{
    session::{
        Action, ConnId, Direction, DownReason, State,
        bgp_fsm::{BgpFsm, Manner, Progress, Turn},
        collision::{Collision, Rival, Verdict, decide},
        negotiate::{Endpoints, Negotiated, Tone},
    },
    types::Timestamp,
    wire::bgp::{batch::UpdateBatch, notification::Notification},
};

impl BgpPeer {
    pub(super) fn on_connected_out(&mut self, now: Timestamp, conn: ConnId, ends: Endpoints, out: &mut Vec<Action>) {
        if !matches!(self.attempt, Attempt::Connect { conn: current, .. } if current == conn) {
            out.push(Action::Close { conn });
            return;
        }
        self.attempt = Attempt::Active { retry_at: None };
        if self.conns.iter().any(|fsm| fsm.state() == State::OpenConfirm) {
            // `collision`, 4.
            out.push(Action::Close { conn });
            return;
        }
        self.track(now, conn, Direction::Outbound, ends, out);
    }

    pub(super) fn on_connected_in(&mut self, now: Timestamp, conn: ConnId, ends: Endpoints, out: &mut Vec<Action>) {
        if !self.wants_incoming() {
            if !self.enabled {
                // RFC 9003: whoever knocks hears what it heard when the session ended. In idle hold a plain close tells
                // the neighbour to try again.
                self.counters.sent.notification += 1;
                let bytes = Notification::administrative_shutdown(&self.disabled_text).encode();
                out.push(Action::Send { conn, bytes });
            }
            out.push(Action::Close { conn });
            return;
        }
        let is_stale = |fsm: &BgpFsm| fsm.direction == Direction::Inbound && fsm.state() != State::Established;
        let stale = self.conns.iter().position(is_stale);
        if !matches!(self.attempt, Attempt::Connect { .. }) {
            self.attempt = Attempt::Active { retry_at: None };
        }
        self.track(now, conn, Direction::Inbound, ends, out);
        if let Some(at) = stale {
            self.end(now, at, DownReason::Collision, Some(&Notification::cease(7)), out);
        }
    }

    fn track(&mut self, now: Timestamp, conn: ConnId, direction: Direction, ends: Endpoints, out: &mut Vec<Action>) {
        let seed = self.jitter.bits();
        let mut turn = Turn { now, settings: &self.settings, counters: &mut self.counters, out };
        // `collision`, 6.
        let speaks_first = self.conns.iter().all(|fsm| fsm.state() != State::Established);
        let restarted = self.restarted && self.settings.restart.restarted_until.is_some_and(|until| now < until);
        let manner = Manner { tone: Tone { bare: self.bare, restarted }, speaks_first };
        let fsm = BgpFsm::new(&mut turn, conn, direction, ends, manner, seed);
        // One place at a time: with thousands of neighbours the spare ones would add up.
        self.conns.reserve_exact(1);
        self.conns.push(fsm);
        self.report_state(out);
    }

    fn position(&self, conn: ConnId) -> Option<usize> {
        self.conns.iter().position(|fsm| fsm.conn == conn)
    }

    pub(super) fn on_closed(&mut self, now: Timestamp, conn: ConnId, reason: String, out: &mut Vec<Action>) {
        if let Some(at) = self.position(conn) {
            self.end(now, at, DownReason::ConnectionLost(reason), None, out);
        }
    }

    pub(super) fn on_wrote(&mut self, now: Timestamp, conn: ConnId, octets: usize, pending: usize) {
        if let Some(fsm) = self.conns.iter_mut().find(|fsm| fsm.conn == conn) {
            fsm.on_wrote(now, octets, pending);
        }
    }

    pub(super) fn on_received(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        mut bytes: &[u8],
        updates: &mut UpdateBatch,
        out: &mut Vec<Action>,
    ) {
        if self.position(conn).is_some() {
            self.counters.octets_received += bytes.len() as u64;
        }
        while let Some(at) = self.position(conn) {
            let mark = out.len();
            let Some(fsm) = self.conns.get_mut(at) else { return };
            let mut turn = Turn { now, settings: &self.settings, counters: &mut self.counters, out };
            match fsm.receive(&mut turn, &mut bytes, updates) {
                Progress::Drained => {
                    out.extend(take(updates));
                    return;
                }
                Progress::OpenAccepted => self.on_open_accepted(now, conn, out),
                Progress::Up(negotiated) => self.on_up(now, conn, negotiated, out),
                Progress::Refresh(refresh) => {
                    out.extend(take(updates));
                    out.push(Action::Refresh(refresh));
                }
                Progress::Filter(filter) => {
                    out.extend(take(updates));
                    out.push(Action::Filter(filter));
                }
                Progress::Ended(reason) => {
                    // What was decoded came before the end, and the end has said its words already.
                    out.splice(mark..mark, take(updates));
                    self.forget(now, at, reason, out);
                }
            }
            self.report_state(out);
        }
    }

    /// RFC 4271 §6.8, for the connection on which an OPEN was just accepted.
    fn on_open_accepted(&mut self, now: Timestamp, conn: ConnId, out: &mut Vec<Action>) {
        // At most one other connection: there are two at most.
        let rival_at = self.conns.iter().position(|fsm| fsm.conn != conn);
        if let (Some(at), Some(rival_at)) = (self.position(conn), rival_at) {
            let lost = Notification::cease(7);
            match self.judge(now, at, rival_at) {
                Verdict::BothStay => {}
                Verdict::RivalGoes => self.end(now, rival_at, DownReason::Collision, Some(&lost), out),
                Verdict::NewGoes => {
                    self.end(now, at, DownReason::Collision, Some(&lost), out);
                    return;
                }
                Verdict::RivalIsDead => {
                    // RFC 4724 §4.2: without a NOTIFICATION, which would cancel the graceful restart.
                    out.extend(self.conns.get(rival_at).map(|fsm| Action::Close { conn: fsm.conn }));
                    self.end(now, rival_at, DownReason::Replaced, None, out);
                }
            }
        }
        let mut turn = Turn { now, settings: &self.settings, counters: &mut self.counters, out };
        if let Some(fsm) = self.conns.iter_mut().find(|fsm| fsm.conn == conn) {
            fsm.confirm(&mut turn);
        }
    }

    fn judge(&self, now: Timestamp, at: usize, rival_at: usize) -> Verdict {
        let (Some(new), Some(rival), Some(collision)) =
            (self.conns.get(at), self.conns.get(rival_at), self.collision(at))
        else {
            return Verdict::NewGoes;
        };
        let graceful_restart = rival.negotiated().is_some_and(|negotiated| negotiated.graceful_restart.is_some());
        let rival = Rival { direction: rival.direction, state: rival.state(), age: rival.age(now), graceful_restart };
        decide(collision, new.direction, rival)
    }

    /// Both speakers, as the OPEN on connection `at` tells.
    fn collision(&self, at: usize) -> Option<Collision> {
        let negotiated = self.conns.get(at)?.negotiated()?;
        Some(Collision {
            local_id: negotiated.local_router_id,
            local_asn: negotiated.local_asn,
            remote_id: negotiated.peer_router_id,
            remote_asn: negotiated.peer_asn,
        })
    }

    fn on_up(&mut self, now: Timestamp, conn: ConnId, negotiated: Arc<Negotiated>, out: &mut Vec<Action>) {
        self.give_up_attempt(out);
        while let Some(other) = self.conns.iter().position(|fsm| fsm.conn != conn) {
            self.end(now, other, DownReason::Collision, Some(&Notification::cease(7)), out);
        }
        self.connect_retry.reset();
        self.counters.connect_attempts = 0;
        self.ended_with = None;
        self.restarted = false;
        self.counters.established += 1;
        self.counters.established_at = Some(now);
        self.counters.changed_at = Some(now);
        out.push(Action::Established { conn, negotiated });
    }
}

/// What the lent batch holds, to be handed on before whatever comes next.
fn take(updates: &mut UpdateBatch) -> Option<Action> {
    (!updates.is_empty()).then(|| Action::Updates(mem::take(updates)))
}
