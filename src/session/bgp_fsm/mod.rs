//! One TCP connection with a neighbour, from the moment it is up until it is closed: the part of the finite state
//! machine of RFC 4271 §8 that has a connection. What is done without one (Idle, Connect, Active: when to
//! connect, when to wait) and which of two connections stays is decided in `bgp_peer`, one level up. How octets become
//! messages is in `framing`.
//!
//! ```text
//! Delayed      TCP is up, DelayOpen runs, or a session is established and the newcomer (hold: 4 min) has to
//!              speak first; shown as Connect (ours) or Active (theirs)
//!  + DelayOpenDue              send OPEN, arm hold (4 min)                           -> OpenSent
//!  + Open (acceptable)         ask the neighbour's other connection (§6.8), then
//!                              send OPEN, KEEPALIVE, arm hold + keepalive            -> OpenConfirm
//!  + Open (unacceptable)       send NOTIFICATION 2/x, close                          -> closed
//!  + HoldDue                   send NOTIFICATION 4/0, close                          -> closed
//!  + Notification              close                                                 -> closed
//!  + anything else received    send NOTIFICATION 5/0, close                          -> closed
//! OpenSent
//!  + Open (acceptable)         ask the neighbour's other connection (§6.8), then
//!                              send KEEPALIVE, arm hold + keepalive                  -> OpenConfirm
//!  + Open (unacceptable)       send NOTIFICATION 2/x, close                          -> closed
//!  + HoldDue                   send NOTIFICATION 4/0, close                          -> closed
//!  + Notification              close                                                 -> closed
//!  + anything else received    send NOTIFICATION 5/1, close                          -> closed
//! OpenConfirm
//!  + Keepalive                 arm hold                                              -> Established
//!  + KeepaliveDue              send KEEPALIVE, arm keepalive                         -> OpenConfirm
//!  + HoldDue, Notification     as in OpenSent                                        -> closed
//!  + anything else received    send NOTIFICATION 5/2, close                          -> closed
//! Established
//!  + Update (whole)            decode into the batch, arm hold                       -> Established
//!  + Update (reset, RFC 7606)  send NOTIFICATION 3/x, close                          -> closed
//!  + Keepalive, Refresh        arm hold; a refresh is passed on                      -> Established
//!  + KeepaliveDue              send KEEPALIVE, arm keepalive                         -> Established
//!  + HoldDue, Notification     as in OpenSent                                        -> closed
//!  + Open                      send NOTIFICATION 5/3, close                          -> closed
//! every state
//!  + header error              send NOTIFICATION 1/x, close                          -> closed
//!  + malformed NOTIFICATION    close, never answered (§6.4)                          -> closed
//!  + SendHoldDue               drop the connection (RFC 9687)                        -> closed
//!  + TCP closed                nothing to send                                       -> closed
//!  + stop, collision lost      send NOTIFICATION 6/x, close                          -> closed
//! ```
//!
//! Differences from the text of the RFC, each with its reason:
//! - The subcodes of FSM errors are those of RFC 6608; the data is the type of the message.
//! - A negotiated hold time of zero keeps the four minutes of OpenSent until the KEEPALIVE came: a peer that
//!   stops half-way must not hold the neighbour in OpenConfirm for ever.
//! - Sending an UPDATE does not put the next KEEPALIVE off: table data may wait in a queue, keepalives do not.
//! - ROUTE-REFRESH proves life as well as KEEPALIVE does and arms the hold timer.
//!
//! Not supported: events 14 and 15 (TrackTcpState), as the operating system tells of whole connections only.

mod framing;

use std::{mem, sync::Arc, time::Duration};

use super::{
    Action, ConnId, Direction, DownReason, PeerSettings, State,
    backoff::Jitter,
    counters::SessionCounters,
    negotiate::{Endpoints, Negotiated, Tone, decode_context, local_open, negotiate},
};
use crate::{
    types::{Family, PeerKind, Timestamp},
    wire::{
        bgp::{
            Frame, KEEPALIVE, MAX_EXTENDED_LEN, MAX_LEN, MessageType, RefreshSubtype, RouteRefresh,
            batch::UpdateBatch,
            notification::Notification,
            open::Open,
            orf::{OrfChange, OrfRefresh, encode_changes},
            update::{DecodeContext, decode_update},
        },
        error::{Fault, NotificationCode},
    },
};

/// The "large value" of RFC 4271 §8.2.2 for the hold timer until OPENs were exchanged.
const OPEN_HOLD_TIME: Duration = Duration::from_secs(240);

/// RFC 9687 §3.1: the send hold time is the greater of this and twice the hold time.
const SEND_HOLD_TIME_MIN: Duration = Duration::from_secs(480);

/// What one call of the neighbour lends to a connection.
pub(in crate::session) struct Turn<'a> {
    pub(in crate::session) now: Timestamp,
    pub(in crate::session) settings: &'a PeerSettings,
    pub(in crate::session) counters: &'a mut SessionCounters,
    pub(in crate::session) out: &'a mut Vec<Action>,
}

/// How a connection begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::session) struct Manner {
    /// What our OPEN says.
    pub(in crate::session) tone: Tone,
    /// Else the neighbour's OPEN must come before ours.
    pub(in crate::session) speaks_first: bool,
}

/// Why [`BgpFsm::receive`] came back.
#[derive(Debug)]
pub(in crate::session) enum Progress {
    /// All octets were used; part of a message may be kept.
    Drained,
    /// An acceptable OPEN arrived. Nothing was answered: the neighbour settles collisions, then calls
    /// [`BgpFsm::confirm`] or [`BgpFsm::close`].
    OpenAccepted,
    /// The session is up.
    Up(Arc<Negotiated>),
    /// A ROUTE-REFRESH to pass on, in order with the UPDATEs around it.
    Refresh(RouteRefresh),
    /// The same about an outbound route filter.
    Filter(OrfRefresh),
    /// The connection has ended; what there was to send and to close is among the actions.
    Ended(DownReason),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Delayed,
    OpenSent,
    OpenConfirm,
    Established,
}

/// Deadlines of one connection; `None` is "not running".
#[derive(Clone, Copy, Default, Debug)]
struct Timers {
    delay_open: Option<Timestamp>,
    hold: Option<Timestamp>,
    keepalive: Option<Timestamp>,
    send_hold: Option<Timestamp>,
}

/// One connection. See the top of this file.
#[derive(Debug)]
pub(in crate::session) struct BgpFsm {
    pub(in crate::session) conn: ConnId,
    pub(in crate::session) direction: Direction,
    ends: Endpoints,
    phase: Phase,
    /// When this phase began.
    since: Timestamp,
    our_open: Open,
    negotiated: Option<Arc<Negotiated>>,
    decoding: DecodeContext,
    receive_len_max: usize,
    timers: Timers,
    hold_time: Duration,
    jitter: Jitter,
    /// The beginning of a message whose end has not arrived.
    partial: Vec<u8>,
    faults: Vec<Fault>,
    /// A ROUTE-REFRESH was ignored, and the log told.
    refresh_ignored: bool,
}

fn is_due(deadline: Option<Timestamp>, now: Timestamp) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}

impl BgpFsm {
    /// A connection that has just come up. Sends OPEN, unless DelayOpen is configured or the neighbour has to
    /// speak first.
    pub(in crate::session) fn new(
        turn: &mut Turn<'_>,
        conn: ConnId,
        direction: Direction,
        ends: Endpoints,
        manner: Manner,
        seed: u64,
    ) -> Self {
        let receive_len_max =
            if turn.settings.extended_message && !manner.tone.bare { MAX_EXTENDED_LEN } else { MAX_LEN };
        let mut fsm = Self {
            conn,
            direction,
            ends,
            phase: Phase::Delayed,
            since: turn.now,
            our_open: local_open(turn.settings, ends, manner.tone),
            negotiated: None,
            decoding: DecodeContext::new(PeerKind::External),
            receive_len_max,
            timers: Timers::default(),
            hold_time: OPEN_HOLD_TIME,
            jitter: Jitter::new(seed),
            partial: Vec::new(),
            faults: Vec::new(),
            refresh_ignored: false,
        };
        match turn.settings.delay_open {
            _ if !manner.speaks_first => fsm.arm_hold(turn.now),
            Some(delay) => fsm.timers.delay_open = Some(turn.now + delay),
            None => fsm.send_open(turn),
        }
        fsm
    }

    /// The state as RFC 4271 names it.
    pub(in crate::session) fn state(&self) -> State {
        match (self.phase, self.direction) {
            (Phase::Delayed, Direction::Outbound) => State::Connect,
            (Phase::Delayed, Direction::Inbound) => State::Active,
            (Phase::OpenSent, _) => State::OpenSent,
            (Phase::OpenConfirm, _) => State::OpenConfirm,
            (Phase::Established, _) => State::Established,
        }
    }

    /// How long the connection has been in its state.
    pub(in crate::session) fn age(&self, now: Timestamp) -> Duration {
        now.since(self.since)
    }

    /// What both OPENs agreed on, once the neighbour's was accepted.
    pub(in crate::session) fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        self.negotiated.as_ref()
    }

    /// Both sides set the N bit (RFC 8538 §2) and the session is up.
    pub(in crate::session) fn knows_hard_reset(&self) -> bool {
        let restart = self.negotiated.as_ref().and_then(|negotiated| negotiated.graceful_restart.as_ref());
        self.phase == Phase::Established && restart.is_some_and(|restart| restart.notification)
    }

    /// The earliest deadline.
    pub(in crate::session) fn next_deadline(&self) -> Option<Timestamp> {
        let Timers { delay_open, hold, keepalive, send_hold } = self.timers;
        [delay_open, hold, keepalive, send_hold].into_iter().flatten().min()
    }

    /// The table at the top of this file. `None`: go on with the next message.
    fn on_message(&mut self, turn: &mut Turn<'_>, frame: Frame<'_>, updates: &mut UpdateBatch) -> Option<Progress> {
        turn.counters.received.count(frame.kind);
        match (self.phase, frame.kind) {
            (_, MessageType::Notification) => Some(self.on_notification(turn, frame.message)),
            (Phase::Established, MessageType::Update) => self.on_update(turn, frame.message, updates),
            (Phase::Established, MessageType::Keepalive) => self.on_keepalive(turn.now),
            (Phase::Established, MessageType::RouteRefresh) => self.on_refresh(turn, frame.message),
            (Phase::OpenConfirm, MessageType::Keepalive) => Some(self.on_first_keepalive(turn.now)),
            // One OPEN only, also while the neighbour has not confirmed the first one yet.
            (Phase::Delayed | Phase::OpenSent, MessageType::Open) if self.negotiated.is_none() => {
                Some(self.on_open(turn, frame.message))
            }
            (_, kind) => Some(self.on_unexpected(turn, kind)),
        }
    }

    fn on_open(&mut self, turn: &mut Turn<'_>, message: &[u8]) -> Progress {
        let agreed = Open::decode(message).and_then(|open| negotiate(turn.settings, &self.our_open, &open, self.ends));
        match agreed {
            Ok(negotiated) => {
                self.decoding = decode_context(&negotiated, turn.settings);
                self.negotiated = Some(Arc::new(negotiated));
                Progress::OpenAccepted
            }
            Err(fault) => {
                turn.counters.count_fault(&fault);
                self.end_with_fault(turn, Notification::from(&fault), fault.what)
            }
        }
    }

    fn on_first_keepalive(&mut self, now: Timestamp) -> Progress {
        let Some(negotiated) = self.negotiated.clone() else {
            return Progress::Drained;
        };
        self.enter(now, Phase::Established);
        self.hold_time = negotiated.hold_time;
        self.arm_hold(now);
        Progress::Up(negotiated)
    }

    fn on_keepalive(&mut self, now: Timestamp) -> Option<Progress> {
        self.arm_hold(now);
        None
    }

    fn on_update(&mut self, turn: &mut Turn<'_>, message: &[u8], updates: &mut UpdateBatch) -> Option<Progress> {
        self.arm_hold(turn.now);
        let outcome = decode_update(message, &self.decoding, updates, &mut self.faults);
        for fault in self.faults.drain(..) {
            if turn.counters.count_fault(&fault) {
                turn.out.push(Action::Warn(format!("malformed UPDATE from the peer, the session goes on: {fault}")));
            }
        }
        outcome.err().map(|fault| self.fail(turn, &fault))
    }

    fn on_refresh(&mut self, turn: &mut Turn<'_>, message: &[u8]) -> Option<Progress> {
        self.arm_hold(turn.now);
        let refresh = match RouteRefresh::decode(message) {
            Ok(refresh) => refresh,
            Err(fault) => return Some(self.fail(turn, &fault)),
        };
        let filter = OrfRefresh::decode(message);
        if let Some(why) = self.unwanted(refresh, filter.is_some()) {
            self.complain(turn, || format!("ROUTE-REFRESH for {} ignored: {why}", refresh.family));
            return None;
        }
        let Some(filter) = filter else { return Some(Progress::Refresh(refresh)) };
        if let Some(what) = &filter.fault {
            let cost = if filter.changes.is_empty() { "ignored" } else { "its whole filter is removed" };
            self.complain(turn, || format!("route filter for {} with {what}: {cost} (RFC 5291 §6)", filter.family));
        }
        Some(Progress::Filter(filter))
    }

    /// Says what is wrong with a refresh, once: a peer could fill the log with these.
    fn complain(&mut self, turn: &mut Turn<'_>, text: impl FnOnce() -> String) {
        if !mem::replace(&mut self.refresh_ignored, true) {
            turn.out.push(Action::Warn(text()));
        }
    }

    /// Why a refresh message is to be ignored (RFC 2918 §4, RFC 7313 §4 and §5, RFC 5291 §6).
    fn unwanted(&self, refresh: RouteRefresh, is_filter: bool) -> Option<&'static str> {
        let negotiated = self.negotiated.as_ref()?;
        match refresh.subtype {
            _ if !negotiated.families.contains(&refresh.family) => Some("the family was not negotiated"),
            RefreshSubtype::Request if is_filter && !negotiated.filters_received.contains(&refresh.family) => {
                Some("no route filter was agreed on")
            }
            RefreshSubtype::Request => None,
            RefreshSubtype::BeginOfRefresh | RefreshSubtype::EndOfRefresh if negotiated.enhanced_refresh => None,
            RefreshSubtype::BeginOfRefresh | RefreshSubtype::EndOfRefresh => {
                Some("enhanced route refresh was not negotiated")
            }
            RefreshSubtype::Unknown(_) => Some("its subtype is unknown"),
        }
    }

    fn on_notification(&mut self, turn: &mut Turn<'_>, message: &[u8]) -> Progress {
        turn.out.push(Action::Close { conn: self.conn });
        match Notification::decode(message) {
            Ok(notification) => Progress::Ended(DownReason::NotificationReceived(notification)),
            Err(fault) => Progress::Ended(DownReason::MalformedNotification(fault.to_string())),
        }
    }

    fn on_unexpected(&mut self, turn: &mut Turn<'_>, kind: MessageType) -> Progress {
        let code = match self.phase {
            Phase::Delayed => NotificationCode::new(5, 0),
            Phase::OpenSent => NotificationCode::UNEXPECTED_IN_OPEN_SENT,
            Phase::OpenConfirm => NotificationCode::UNEXPECTED_IN_OPEN_CONFIRM,
            Phase::Established => NotificationCode::UNEXPECTED_IN_ESTABLISHED,
        };
        let notification = Notification { data: vec![kind as u8], ..Notification::new(code) };
        let what = format!("peer sent {} in state {}", kind.name().to_uppercase(), self.state().name());
        self.end_with_fault(turn, notification, what)
    }

    /// Ends the connection for a fault of the codec.
    fn fail(&mut self, turn: &mut Turn<'_>, fault: &Fault) -> Progress {
        turn.counters.count_fault(fault);
        self.end_with_fault(turn, Notification::from(fault), format!("malformed message from the peer: {fault}"))
    }

    fn end_with_fault(&mut self, turn: &mut Turn<'_>, notification: Notification, what: String) -> Progress {
        self.close(turn, &notification);
        Progress::Ended(DownReason::Fault { notification, what })
    }

    /// Answers the OPEN that was accepted: the connection is the one to go on with.
    pub(in crate::session) fn confirm(&mut self, turn: &mut Turn<'_>) {
        let Some(negotiated) = self.negotiated.clone() else { return };
        if self.phase == Phase::Delayed {
            self.send_open(turn);
        }
        self.enter(turn.now, Phase::OpenConfirm);
        self.hold_time = if negotiated.hold_time.is_zero() { OPEN_HOLD_TIME } else { negotiated.hold_time };
        self.arm_hold(turn.now);
        self.send_keepalive(turn);
    }

    /// Sends a NOTIFICATION and closes.
    pub(in crate::session) fn close(&mut self, turn: &mut Turn<'_>, notification: &Notification) {
        self.send(turn, MessageType::Notification, notification.encode());
        turn.out.push(Action::Close { conn: self.conn });
    }

    /// Handles what is due. `Some`: the connection has ended.
    pub(in crate::session) fn on_timers(&mut self, turn: &mut Turn<'_>) -> Option<DownReason> {
        let Timers { delay_open, hold, keepalive, send_hold } = self.timers;
        if is_due(send_hold, turn.now) {
            turn.out.push(Action::Abort { conn: self.conn });
            return Some(DownReason::SendHoldTimerExpired(self.send_hold_time()));
        }
        if is_due(hold, turn.now) {
            self.close(turn, &Notification::new(NotificationCode::HOLD_TIMER_EXPIRED));
            return Some(DownReason::HoldTimerExpired(self.hold_time));
        }
        if is_due(delay_open, turn.now) {
            self.send_open(turn);
        }
        if is_due(keepalive, turn.now) {
            self.send_keepalive(turn);
        }
        None
    }

    /// Octets left the socket, or wait for it: the send hold timer runs while something waits and starts again
    /// with all progress (RFC 9687 §3.2).
    pub(in crate::session) fn on_wrote(&mut self, now: Timestamp, octets: usize, pending: usize) {
        if pending == 0 {
            self.timers.send_hold = None;
        } else if octets > 0 || self.timers.send_hold.is_none() {
            self.timers.send_hold = Some(now + self.send_hold_time());
        }
    }

    /// Asks the neighbour to send a family again (RFC 2918).
    ///
    /// # Errors
    /// Why that can not be asked, in words.
    pub(in crate::session) fn send_refresh(&mut self, turn: &mut Turn<'_>, family: Family) -> Result<(), &'static str> {
        match &self.negotiated {
            Some(negotiated) if !negotiated.route_refresh => Err("the peer does not support it"),
            Some(negotiated) if !negotiated.families.contains(&family) => Err("the family was not negotiated"),
            Some(_) => {
                let refresh = RouteRefresh { family, subtype: RefreshSubtype::Request };
                self.send(turn, MessageType::RouteRefresh, refresh.encode());
                Ok(())
            }
            None => Err("the session is not established"),
        }
    }

    /// Does `changes` to the filter that the neighbour keeps for us (RFC 5291 §6), and asks for the routes.
    ///
    /// # Errors
    /// Why that can not be done, in words.
    pub(in crate::session) fn send_filter(
        &mut self,
        turn: &mut Turn<'_>,
        family: Family,
        changes: &[OrfChange],
    ) -> Result<(), &'static str> {
        match &self.negotiated {
            Some(negotiated) if negotiated.filters_sent.contains(&family) => {
                for message in encode_changes(family, changes) {
                    self.send(turn, MessageType::RouteRefresh, message);
                }
                Ok(())
            }
            _ => Err("the peer takes none"),
        }
    }

    fn send_open(&mut self, turn: &mut Turn<'_>) {
        let open = self.our_open.encode();
        self.send(turn, MessageType::Open, open);
        self.enter(turn.now, Phase::OpenSent);
        self.timers.delay_open = None;
        self.arm_hold(turn.now);
    }

    fn send_keepalive(&mut self, turn: &mut Turn<'_>) {
        self.send(turn, MessageType::Keepalive, KEEPALIVE.to_vec());
        let interval = self.negotiated.as_ref().map_or(Duration::ZERO, |negotiated| negotiated.keepalive);
        self.timers.keepalive = (!interval.is_zero()).then(|| turn.now + self.jitter.spread(interval));
    }

    fn send(&mut self, turn: &mut Turn<'_>, kind: MessageType, bytes: Vec<u8>) {
        turn.counters.sent.count(kind);
        turn.out.push(Action::Send { conn: self.conn, bytes });
    }

    fn enter(&mut self, now: Timestamp, phase: Phase) {
        self.phase = phase;
        self.since = now;
    }

    fn arm_hold(&mut self, now: Timestamp) {
        self.timers.hold = (!self.hold_time.is_zero()).then(|| now + self.hold_time);
    }

    fn send_hold_time(&self) -> Duration {
        let hold_time = self.negotiated.as_ref().map_or(Duration::ZERO, |negotiated| negotiated.hold_time);
        SEND_HOLD_TIME_MIN.max(hold_time * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_neighbour_is_small() {
        assert!(
            size_of::<crate::session::bgp_peer::BgpPeer>() <= 640,
            "{}",
            size_of::<crate::session::bgp_peer::BgpPeer>()
        );
        assert!(size_of::<BgpFsm>() <= 1024, "{}", size_of::<BgpFsm>());
    }
}
