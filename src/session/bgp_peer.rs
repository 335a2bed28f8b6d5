//! One neighbour: when to connect, up to two connections at a time, which of them stays (RFC 4271 §6.8), how long
//! to wait after trouble, and the operator's hand. What happens on a connection is in `bgp_fsm`.
//!
//! ```text
//! Idle         nothing runs; waits for the idle hold timer, or for the operator
//!  + Start, Enable, Reset, IdleHoldDue   active: connect, arm connect retry              -> Connect
//!                                        passive: wait                                   -> Active
//!  + Connected (theirs)        while waiting after a plain loss: take it                 -> a connection
//!                              after a fault, or when disabled: refuse                   -> Idle
//! Connect      an attempt of ours is under way
//!  + Connected (ours, theirs)  send OPEN (or arm delay open)                             -> a connection
//!  + ConnectFailed             arm connect retry, longer each time                       -> Active
//!  + ConnectRetryDue           give the attempt up, connect again                        -> Connect
//! Active       waits to be connected to, or to try again
//!  + Connected (theirs)        send OPEN (or arm delay open)                             -> a connection
//!  + ConnectRetryDue           connect, arm connect retry                                -> Connect
//! a connection (Connect or Active with DelayOpen, OpenSent, OpenConfirm, Established: see `bgp_fsm`)
//!  + Connected (the other way) a second connection, until its OPEN decides               -> both
//!  + OPEN accepted             collision: one of the two is closed with Cease/7          -> the other
//!  + session up                every other connection and attempt is given up            -> Established
//!  + lost before OPENs         arm connect retry                                         -> Active
//!  + lost later, Cease, timer  arm idle hold, longer each time                           -> Idle
//!  + fault, error NOTIFICATION the same, and refuse incoming connections meanwhile       -> Idle
//!  + Reset                     Cease/4, connect at once                                  -> Connect
//!  + Disable, Shutdown         Cease/2 with its text (RFC 9003)                          -> Idle
//!  + Notify (max-prefix …)     the given NOTIFICATION; idle for the given time           -> Idle
//! ```
//!
//! Differences from the text of RFC 4271 §8, each with its reason:
//! - A failed attempt leads to Active rather than Idle, so that a neighbour that can reach us is not refused
//!   because we can not reach it. ConnectRetry doubles up to a cap and is spread by jitter (§10).
//! - After a plain loss an incoming connection ends the idle hold: a neighbour that comes back is served at once.
//!   After a fault it is refused until the hold is over (DampPeerOscillations): the same table with the same
//!   fault would only be loaded again.
//! - A second incoming connection takes the place of one that is not established: an honest speaker gave up the
//!   first one.
//! - `2/4` or `2/7` in answer to our OPEN: one more attempt without capabilities (RFC 5492 §3), if configured
//!   and if IPv4 unicast is among the families. It stays so as long as sessions come up that way.

use std::{mem, sync::Arc, time::Duration};

use super::{
    Action, ConnId, Direction, DownReason, Input, PeerSettings, State,
    backoff::{Backoff, Jitter},
    bgp_fsm::{BgpFsm, Manner, Progress, Turn},
    collision::{Collision, Rival, Verdict, decide},
    counters::SessionCounters,
    negotiate::{Endpoints, Negotiated},
};
use crate::{
    types::{Family, Timestamp},
    wire::bgp::{batch::UpdateBatch, notification::Notification},
};

/// What is done without a connection, or beside one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Attempt {
    /// Nothing, until this time or, if `None`, until the operator acts.
    Idle { until: Option<Timestamp>, refuse: bool },
    /// Connecting; given up at `retry_at`.
    Connect { conn: ConnId, retry_at: Timestamp },
    /// Listening; connecting at `retry_at` unless passive or while there is a connection.
    Active { retry_at: Option<Timestamp> },
}

/// What follows when the last connection has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    /// Wait for ConnectRetry, listening.
    Retry,
    /// Stay Idle for a while.
    Hold { refuse: bool },
    /// Try again now, once, with an OPEN that announces nothing.
    WithoutCapabilities,
}

/// One neighbour. Small while it has no connection: thousands may wait.
#[derive(Debug)]
pub struct BgpPeer {
    settings: Arc<PeerSettings>,
    counters: SessionCounters,
    jitter: Jitter,
    enabled: bool,
    attempt: Attempt,
    /// At most two, of them at most one established.
    conns: Vec<Box<BgpFsm>>,
    connect_retry: Backoff,
    idle_hold: Backoff,
    /// Our OPENs go without capabilities: the neighbour refused them, or sessions come up only that way.
    bare: bool,
    next_conn: u64,
    /// The NOTIFICATION that ended the last session, in words: failed attempts afterwards do not hide it.
    ended_with: Option<String>,
    reported: State,
    /// Octets behind a ROUTE-REFRESH that had to wait for the batch before it to be handed on.
    held_back: Option<(ConnId, Vec<u8>)>,
}

impl BgpPeer {
    /// A neighbour that does nothing before `Input::Start`. Equal seeds behave equally.
    pub fn new(settings: Arc<PeerSettings>, seed: u64) -> Self {
        Self {
            enabled: settings.enabled,
            connect_retry: Backoff::new(settings.connect_retry, settings.connect_retry_max),
            idle_hold: Backoff::new(settings.idle_hold, settings.idle_hold_max),
            settings,
            counters: SessionCounters::default(),
            jitter: Jitter::new(seed),
            attempt: Attempt::Idle { until: None, refuse: true },
            conns: Vec::new(),
            bare: false,
            next_conn: 0,
            ended_with: None,
            reported: State::Idle,
            held_back: None,
        }
    }

    /// Feeds one input at `now`. Decoded UPDATEs are appended to `updates`, what the driver must do to `out`.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>, updates: &mut UpdateBatch, out: &mut Vec<Action>) {
        match input {
            Input::Start => self.on_start(now, out),
            Input::Connected { conn, direction: Direction::Outbound, local, remote } => {
                self.on_connected_out(now, conn, Endpoints { local, remote }, out);
            }
            Input::Connected { conn, direction: Direction::Inbound, local, remote } => {
                self.on_connected_in(now, conn, Endpoints { local, remote }, out);
            }
            Input::ConnectFailed { conn, reason } => self.on_connect_failed(now, conn, reason, out),
            Input::Received { conn, bytes } => self.on_received(now, conn, bytes, updates, out),
            Input::Closed { conn, reason } => self.on_closed(now, conn, reason, out),
            Input::TimersDue => self.on_timers(now, updates, out),
            Input::Wrote { conn, octets, pending } => self.on_wrote(now, conn, octets, pending),
            Input::Enable => self.on_enable(now, out),
            Input::Disable { text } => self.on_disable(now, &text, out),
            Input::Reset { text, hard } => self.on_reset(now, &text, hard, out),
            Input::SendRefresh { family } => self.on_send_refresh(now, family, out),
            Input::Notify { notification, restart_after } => self.on_notify(now, &notification, restart_after, out),
            Input::Shutdown => self.on_disable(now, "", out),
        }
        self.report_state(out);
    }

    /// When to call `handle` with `Input::TimersDue` at the latest; `None`: nothing is armed.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let attempt = match self.attempt {
            Attempt::Idle { until, .. } => until,
            Attempt::Connect { retry_at, .. } => Some(retry_at),
            Attempt::Active { retry_at } => retry_at,
        };
        let held_back = self.held_back.as_ref().map(|_| Timestamp::default());
        self.conns.iter().filter_map(|fsm| fsm.next_deadline()).chain(attempt).chain(held_back).min()
    }

    /// The state of the most advanced connection.
    pub fn state(&self) -> State {
        let attempt = match self.attempt {
            Attempt::Connect { .. } => State::Connect,
            Attempt::Active { .. } if self.conns.is_empty() => State::Active,
            Attempt::Active { .. } | Attempt::Idle { .. } => State::Idle,
        };
        self.conns.iter().map(|fsm| fsm.state()).chain([attempt]).max().unwrap_or_default()
    }

    /// What is counted.
    pub fn stats(&self) -> &SessionCounters {
        &self.counters
    }

    /// The settings given to `new`.
    pub fn settings(&self) -> &Arc<PeerSettings> {
        &self.settings
    }

    /// What the session that is up agreed on.
    pub fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        self.conns.iter().find(|fsm| fsm.state() == State::Established)?.negotiated()
    }

    /// Whether an incoming connection would be taken. One that is not may be closed at once, or handed over all
    /// the same to be told why.
    pub fn wants_incoming(&self) -> bool {
        self.enabled && !matches!(self.attempt, Attempt::Idle { refuse: true, .. })
    }

    /// False after `Input::Disable` or `Input::Shutdown`, or from the start by the settings.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Counts UPDATEs that the engine gave to the driver for this neighbour.
    pub fn note_updates_sent(&mut self, count: u64) {
        self.counters.sent.update += count;
    }

    // ---- the operator and the engine ----

    fn on_start(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.enabled && self.conns.is_empty() && matches!(self.attempt, Attempt::Idle { .. }) {
            self.begin(now, out);
        }
    }

    fn on_enable(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.enabled = true;
        self.forget_trouble();
        self.on_start(now, out);
    }

    fn on_disable(&mut self, now: Timestamp, text: &str, out: &mut Vec<Action>) {
        self.enabled = false;
        self.forget_trouble();
        self.stop(now, &Notification::administrative_shutdown(text), out);
        self.attempt = Attempt::Idle { until: None, refuse: true };
    }

    fn on_reset(&mut self, now: Timestamp, text: &str, hard: bool, out: &mut Vec<Action>) {
        if !self.enabled {
            return;
        }
        let plain = Notification::administrative_reset(text);
        let understood = self
            .negotiated()
            .and_then(|negotiated| negotiated.graceful_restart.as_ref())
            .is_some_and(|restart| restart.notification);
        self.stop(now, &if hard && understood { plain.into_hard_reset() } else { plain }, out);
        self.forget_trouble();
        self.begin(now, out);
    }

    fn on_notify(
        &mut self,
        now: Timestamp,
        notification: &Notification,
        restart_after: Option<Duration>,
        out: &mut Vec<Action>,
    ) {
        if self.conns.is_empty() {
            return;
        }
        self.stop(now, notification, out);
        self.attempt = Attempt::Idle { until: restart_after.map(|time| now + time), refuse: true };
    }

    fn on_send_refresh(&mut self, now: Timestamp, family: Family, out: &mut Vec<Action>) {
        let mut turn = Turn { now, settings: &self.settings, counters: &mut self.counters, out };
        let established = self.conns.iter_mut().find(|fsm| fsm.state() == State::Established);
        let sent = match established {
            _ if turn.settings.monitor_only => Err("this is a collector session, it sends nothing but keepalives"),
            Some(fsm) => fsm.send_refresh(&mut turn, family),
            None => Err("the session is not established"),
        };
        if let Err(why) = sent {
            turn.out.push(Action::Warn(format!("no route refresh asked for {family}: {why}")));
        }
    }

    /// Ends every connection and attempt with `notification`.
    fn stop(&mut self, now: Timestamp, notification: &Notification, out: &mut Vec<Action>) {
        self.give_up_attempt(out);
        for mut fsm in mem::take(&mut self.conns) {
            let was = fsm.state();
            let mut turn = Turn { now, settings: &self.settings, counters: &mut self.counters, out };
            fsm.close(&mut turn, notification);
            self.note_end(now, was, DownReason::Ours(notification.clone()), out);
        }
        self.held_back = None;
    }

    fn forget_trouble(&mut self) {
        self.connect_retry.reset();
        self.idle_hold.reset();
        self.bare = false;
    }

    // ---- attempts ----

    /// Leaves Idle: connects, or waits to be connected to.
    fn begin(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.settings.passive {
            self.attempt = Attempt::Active { retry_at: None };
        } else {
            self.connect(now, out);
        }
    }

    fn connect(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let conn = ConnId::outbound(self.next_conn);
        self.next_conn += 1;
        self.counters.connect_attempts += 1;
        out.push(Action::Connect { conn });
        self.attempt = Attempt::Connect { conn, retry_at: self.next_retry(now) };
    }

    fn next_retry(&mut self, now: Timestamp) -> Timestamp {
        now + self.jitter.spread(self.connect_retry.take())
    }

    /// Listens, and connects after ConnectRetry unless passive.
    fn listen(&mut self, now: Timestamp) {
        let retry_at = (!self.settings.passive).then(|| self.next_retry(now));
        self.attempt = Attempt::Active { retry_at };
    }

    fn give_up_attempt(&mut self, out: &mut Vec<Action>) {
        if let Attempt::Connect { conn, .. } = self.attempt {
            out.push(Action::Close { conn });
            self.attempt = Attempt::Active { retry_at: None };
        }
    }

    fn on_connect_failed(&mut self, now: Timestamp, conn: ConnId, reason: String, out: &mut Vec<Action>) {
        if !matches!(self.attempt, Attempt::Connect { conn: current, .. } if current == conn) {
            return;
        }
        if self.conns.is_empty() {
            self.note_trouble(now, &DownReason::ConnectFailed(reason), out);
            self.listen(now);
        } else {
            self.attempt = Attempt::Active { retry_at: None };
        }
    }

    // ---- connections ----

    fn on_connected_out(&mut self, now: Timestamp, conn: ConnId, ends: Endpoints, out: &mut Vec<Action>) {
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

    fn on_connected_in(&mut self, now: Timestamp, conn: ConnId, ends: Endpoints, out: &mut Vec<Action>) {
        if !self.wants_incoming() {
            if !self.enabled {
                // RFC 4486 §4: Connection Rejected. In idle hold a plain close tells the neighbour to try again.
                self.counters.sent.notification += 1;
                out.push(Action::Send { conn, bytes: Notification::cease(5).encode() });
            }
            out.push(Action::Close { conn });
            return;
        }
        let stale = |fsm: &BgpFsm| fsm.direction == Direction::Inbound && fsm.state() != State::Established;
        let stale = self.conns.iter().position(|fsm| stale(fsm));
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
        let manner = Manner { bare: self.bare, speaks_first };
        let fsm = BgpFsm::new(&mut turn, conn, direction, ends, manner, seed);
        self.conns.push(Box::new(fsm));
        self.report_state(out);
    }

    fn position(&self, conn: ConnId) -> Option<usize> {
        self.conns.iter().position(|fsm| fsm.conn == conn)
    }

    fn on_closed(&mut self, now: Timestamp, conn: ConnId, reason: String, out: &mut Vec<Action>) {
        if let Some(at) = self.position(conn) {
            self.end(now, at, DownReason::ConnectionLost(reason), None, out);
        }
    }

    fn on_wrote(&mut self, now: Timestamp, conn: ConnId, octets: usize, pending: usize) {
        if let Some(fsm) = self.conns.iter_mut().find(|fsm| fsm.conn == conn) {
            fsm.on_wrote(now, octets, pending);
        }
    }

    fn on_received(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        bytes: &[u8],
        updates: &mut UpdateBatch,
        out: &mut Vec<Action>,
    ) {
        if self.position(conn).is_none() {
            return;
        }
        self.counters.octets_received += bytes.len() as u64;
        match self.held_back.take() {
            Some((held, mut earlier)) if held == conn => {
                earlier.extend_from_slice(bytes);
                self.digest(now, conn, &earlier, updates, out);
            }
            other => {
                self.held_back = other;
                self.digest(now, conn, bytes, updates, out);
            }
        }
    }

    /// Lets the connection work through `bytes`, and acts on what it finds, in order.
    fn digest(
        &mut self,
        now: Timestamp,
        conn: ConnId,
        mut bytes: &[u8],
        updates: &mut UpdateBatch,
        out: &mut Vec<Action>,
    ) {
        while let Some(at) = self.position(conn) {
            let mark = out.len();
            let Some(fsm) = self.conns.get_mut(at) else { return };
            let mut turn = Turn { now, settings: &self.settings, counters: &mut self.counters, out };
            match fsm.receive(&mut turn, &mut bytes, updates) {
                Progress::Drained => {
                    deliver(updates, out);
                    return;
                }
                Progress::OpenAccepted => self.on_open_accepted(now, conn, out),
                Progress::Up(negotiated) => self.on_up(now, conn, negotiated, out),
                Progress::Refresh(refresh) => {
                    let delivered = deliver(updates, out);
                    out.push(Action::Refresh(refresh));
                    if delivered {
                        self.held_back = (!bytes.is_empty()).then(|| (conn, bytes.to_vec()));
                        return;
                    }
                }
                Progress::Ended(reason) => {
                    // What was decoded came before the end, and the end has said its words already.
                    if !updates.is_empty() {
                        out.insert(mark, Action::Updates);
                    }
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
        self.counters.established += 1;
        self.counters.established_at = Some(now);
        self.counters.changed_at = Some(now);
        out.push(Action::Established { conn, negotiated });
    }

    // ---- ends ----

    /// Ends connection `at`, with a NOTIFICATION if one is given.
    fn end(
        &mut self,
        now: Timestamp,
        at: usize,
        reason: DownReason,
        notification: Option<&Notification>,
        out: &mut Vec<Action>,
    ) {
        if let (Some(notification), Some(fsm)) = (notification, self.conns.get_mut(at)) {
            let mut turn = Turn { now, settings: &self.settings, counters: &mut self.counters, out };
            fsm.close(&mut turn, notification);
        }
        self.forget(now, at, reason, out);
    }

    /// Connection `at` is over: says so, and decides what comes next if it was the last one.
    fn forget(&mut self, now: Timestamp, at: usize, reason: DownReason, out: &mut Vec<Action>) {
        if at >= self.conns.len() {
            return;
        }
        let fsm = self.conns.swap_remove(at);
        let (was, age) = (fsm.state(), fsm.age(now));
        if self.held_back.as_ref().is_some_and(|(conn, _)| *conn == fsm.conn) {
            self.held_back = None;
        }
        let after = self.after(&reason, was);
        if was == State::Established && age >= self.settings.idle_hold_max {
            self.idle_hold.reset();
        }
        if was < State::Established {
            self.bare = false;
        }
        self.note_end(now, was, reason, out);
        if self.conns.is_empty() {
            self.go_on(now, after, out);
        }
        self.report_state(out);
    }

    fn after(&self, reason: &DownReason, was: State) -> After {
        match reason {
            DownReason::ConnectionLost(_) if was < State::OpenConfirm => After::Retry,
            DownReason::NotificationReceived(notification)
                if !self.bare && self.refuses_capabilities(notification, was) =>
            {
                After::WithoutCapabilities
            }
            DownReason::NotificationReceived(notification) => After::Hold { refuse: notification.code != 6 },
            DownReason::Fault { .. } => After::Hold { refuse: true },
            _ => After::Hold { refuse: false },
        }
    }

    /// Whether `notification` refuses the capabilities of our OPEN and an attempt without them makes sense.
    fn refuses_capabilities(&self, notification: &Notification, was: State) -> bool {
        matches!((notification.code, notification.subcode), (2, 4 | 7))
            && matches!(was, State::OpenSent | State::OpenConfirm)
            && self.settings.retry_without_capabilities
            && self.settings.families.contains(&Family::IPV4_UNICAST)
    }

    fn go_on(&mut self, now: Timestamp, after: After, out: &mut Vec<Action>) {
        match after {
            // Our own attempt may still succeed; nothing that happened speaks against it.
            After::Retry if matches!(self.attempt, Attempt::Connect { .. }) => {}
            After::Retry => self.listen(now),
            After::WithoutCapabilities => {
                self.bare = true;
                self.give_up_attempt(out);
                self.begin(now, out);
            }
            After::Hold { refuse } => {
                self.give_up_attempt(out);
                let time = self.idle_hold.take();
                self.attempt = Attempt::Idle { until: Some(now + self.jitter.spread(time)), refuse };
            }
        }
    }

    /// Says that a connection which was in state `was` is over. One that never was the session says nothing
    /// while another connection goes on.
    fn note_end(&mut self, now: Timestamp, was: State, reason: DownReason, out: &mut Vec<Action>) {
        if was == State::Established {
            self.counters.flaps += 1;
            self.counters.established_at = None;
            self.counters.changed_at = Some(now);
            self.counters.note_error(now, reason.to_string());
            let told = matches!(reason, DownReason::NotificationReceived(_) | DownReason::Ours(_));
            self.ended_with = told.then(|| reason.to_string());
            out.push(Action::Down { reason });
        } else if self.conns.is_empty() {
            self.note_trouble(now, &reason, out);
        }
    }

    /// Keeps why an attempt failed, and says it in the log when it is not what was said last.
    fn note_trouble(&mut self, now: Timestamp, reason: &DownReason, out: &mut Vec<Action>) {
        let text = match &self.ended_with {
            Some(before) => format!("{reason}; before that {before}"),
            None => reason.to_string(),
        };
        if self.counters.last_error.as_deref() != Some(&text) {
            out.push(Action::Warn(text.clone()));
        }
        self.counters.note_error(now, text);
    }

    // ---- time ----

    fn on_timers(&mut self, now: Timestamp, updates: &mut UpdateBatch, out: &mut Vec<Action>) {
        if let Some((conn, bytes)) = self.held_back.take() {
            self.digest(now, conn, &bytes, updates, out);
        }
        let mut at = 0;
        while let Some(fsm) = self.conns.get_mut(at) {
            let mut turn = Turn { now, settings: &self.settings, counters: &mut self.counters, out };
            match fsm.on_timers(&mut turn) {
                Some(reason) => self.forget(now, at, reason, out),
                None => at += 1,
            }
        }
        match self.attempt {
            Attempt::Idle { until: Some(until), .. } if until <= now => self.begin(now, out),
            Attempt::Connect { conn, retry_at } if retry_at <= now => {
                out.push(Action::Close { conn });
                self.on_connect_retry(now, out);
            }
            Attempt::Active { retry_at: Some(retry_at) } if retry_at <= now => self.connect(now, out),
            _ => {}
        }
    }

    /// An attempt has taken too long.
    fn on_connect_retry(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.conns.is_empty() {
            let reason = DownReason::ConnectFailed("no answer to the connection attempt".into());
            self.note_trouble(now, &reason, out);
            self.connect(now, out);
        } else {
            self.attempt = Attempt::Active { retry_at: None };
        }
    }

    fn report_state(&mut self, out: &mut Vec<Action>) {
        let state = self.state();
        if state != self.reported {
            out.push(Action::StateChanged { from: self.reported, to: state });
            self.reported = state;
        }
    }
}

/// Says that the lent batch holds something that happened before whatever comes next; false: it is empty.
fn deliver(updates: &UpdateBatch, out: &mut Vec<Action>) -> bool {
    let filled = !updates.is_empty();
    if filled {
        out.push(Action::Updates);
    }
    filled
}
