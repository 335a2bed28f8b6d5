//! One neighbour: when to connect, up to two connections at a time, which of them stays (RFC 4271 §6.8), how long
//! to wait after trouble, and the operator's hand. What happens on a connection is in `bgp_fsm`.
//!
//! ```text
//! Idle         nothing runs; waits for the idle hold timer, or for the operator
//!  + Start, Enable, Reset, IdleHoldDue   active: connect, arm connect retry              -> Connect
//!                                        passive: wait                                   -> Active
//!  + Connected (theirs)        while waiting after a plain loss: take it                 -> a connection
//!                              after a fault: close; when disabled: Cease/2, close       -> Idle
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
//!  + Disable                   Cease/2 with its text (RFC 9003)                          -> Idle
//!  + Shutdown                  the same; where the neighbour keeps our routes, just close -> Idle
//!  + Notify (max-prefix …)     the given NOTIFICATION; idle for the given time           -> Idle
//! ```
//!
//! Differences from the text of RFC 4271 §8, each with its reason:
//! - A failed attempt leads to Active rather than Idle, so that a neighbour that can reach us is not refused
//!   because we can not reach it. ConnectRetry doubles up to a cap and is spread by jitter (§10).
//! - After a plain loss an incoming connection ends the idle hold: a neighbour that comes back is served at once.
//!   After a fault it is refused until the hold is over (DampPeerOscillations): the same table with the same
//!   fault would only be loaded again.
//! - Where both know RFC 8538, a Cease that is meant for long (max-prefix, shutdown, de-configured: its §5.1), and a
//!   reset that the operator calls hard, go inside a Hard Reset.
//! - A second incoming connection takes the place of one that is not established: an honest speaker gave up the
//!   first one.
//! - `2/4` or `2/7` in answer to our OPEN: one more attempt without capabilities (RFC 5492 §3), if configured
//!   and if IPv4 unicast is among the families. It stays so as long as sessions come up that way.

mod attempts;
mod connections;

use std::{mem, sync::Arc, time::Duration};

use super::{
    Action, ConnId, Direction, DownReason, Input, PeerSettings, State,
    backoff::{Backoff, Jitter},
    bgp_fsm::{BgpFsm, Turn},
    counters::SessionCounters,
    negotiate::{Endpoints, Negotiated},
};
use crate::{
    types::{Family, Timestamp},
    wire::bgp::{batch::UpdateBatch, notification::Notification, orf::OrfChange},
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

/// Whether a Cease goes inside a Hard Reset (RFC 8538 §3.1), where the neighbour knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reset {
    /// If it is meant for long.
    AsIs,
    /// In any case.
    Hard,
}

/// One neighbour. Small while it has no connection: thousands may wait.
#[derive(Debug)]
pub struct BgpPeer {
    settings: Arc<PeerSettings>,
    counters: SessionCounters,
    jitter: Jitter,
    enabled: bool,
    /// What the operator said when it was disabled.
    disabled_text: Box<str>,
    attempt: Attempt,
    /// At most two, of them at most one established.
    conns: Vec<BgpFsm>,
    connect_retry: Backoff,
    idle_hold: Backoff,
    /// Our OPENs go without capabilities: the neighbour refused them, or sessions come up only that way.
    bare: bool,
    /// No session has come up since we restarted (R bit, RFC 4724 §3).
    restarted: bool,
    next_conn: u64,
    /// What ended the last session, if it says more than that TCP broke: failed attempts do not hide it.
    ended_with: Option<String>,
    reported: State,
}

impl BgpPeer {
    /// A neighbour that does nothing before `Input::Start`. Equal seeds behave equally.
    pub fn new(settings: Arc<PeerSettings>, seed: u64) -> Self {
        Self {
            enabled: settings.enabled,
            disabled_text: Box::default(),
            restarted: settings.restart.restarted_until.is_some(),
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
            Input::TimersDue => self.on_timers(now, out),
            Input::Wrote { conn, octets, pending } => self.on_wrote(now, conn, octets, pending),
            Input::Enable => self.on_enable(now, out),
            Input::Disable { text } => self.on_disable(now, &text, out),
            Input::Reset { text, hard } => self.on_reset(now, &text, hard, out),
            Input::SendRefresh { family } => self.on_send_refresh(now, family, out),
            Input::SendFilter { family, changes } => self.on_send_filter(now, family, changes, out),
            Input::Notify { notification, restart_after } => self.on_notify(now, &notification, restart_after, out),
            Input::Shutdown => self.on_shutdown(now, out),
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
        self.conns.iter().filter_map(BgpFsm::next_deadline).chain(attempt).min()
    }

    /// The state of the most advanced connection.
    pub fn state(&self) -> State {
        let attempt = match self.attempt {
            Attempt::Connect { .. } => State::Connect,
            Attempt::Active { .. } if self.conns.is_empty() => State::Active,
            Attempt::Active { .. } | Attempt::Idle { .. } => State::Idle,
        };
        self.conns.iter().map(BgpFsm::state).chain([attempt]).max().unwrap_or_default()
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

    /// Whether an incoming connection would be taken. One that is not is handed over all the same, to be told why.
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

    fn on_start(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.enabled && self.conns.is_empty() && matches!(self.attempt, Attempt::Idle { .. }) {
            self.begin(now, out);
        }
    }

    fn on_enable(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.enabled = true;
        self.disabled_text = Box::default();
        self.forget_trouble();
        self.on_start(now, out);
    }

    fn on_disable(&mut self, now: Timestamp, text: &str, out: &mut Vec<Action>) {
        self.enabled = false;
        self.disabled_text = text.into();
        self.forget_trouble();
        self.stop(now, &Notification::administrative_shutdown(text), Reset::AsIs, out);
        self.attempt = Attempt::Idle { until: None, refuse: true };
    }

    /// RFC 4724 §4: a NOTIFICATION would make a neighbour forget our routes that is to keep them.
    fn on_shutdown(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let keeps_ours = |negotiated: &Arc<Negotiated>| negotiated.graceful_restart.is_some();
        let returns = self.settings.restart.restart_time.is_some() && !self.settings.monitor_only;
        if returns && self.negotiated().is_some_and(keeps_ours) {
            while let Some(at) = self.conns.iter().position(|fsm| fsm.state() == State::Established) {
                out.extend(self.conns.get(at).map(|fsm| Action::Close { conn: fsm.conn }));
                self.forget(now, at, DownReason::Restarting, out);
            }
        }
        self.on_disable(now, "", out);
    }

    fn on_reset(&mut self, now: Timestamp, text: &str, hard: bool, out: &mut Vec<Action>) {
        if !self.enabled {
            return;
        }
        let reset = if hard { Reset::Hard } else { Reset::AsIs };
        self.stop(now, &Notification::administrative_reset(text), reset, out);
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
        self.stop(now, notification, Reset::AsIs, out);
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

    fn on_send_filter(&mut self, now: Timestamp, family: Family, changes: &[OrfChange], out: &mut Vec<Action>) {
        let mut turn = Turn { now, settings: &self.settings, counters: &mut self.counters, out };
        let sent = match self.conns.iter_mut().find(|fsm| fsm.state() == State::Established) {
            Some(fsm) => fsm.send_filter(&mut turn, family, changes),
            None => Err("the session is not established"),
        };
        if let Err(why) = sent {
            turn.out.push(Action::Warn(format!("no route filter sent for {family}: {why}")));
        }
    }

    /// Ends every connection and attempt with `notification`.
    fn stop(&mut self, now: Timestamp, notification: &Notification, reset: Reset, out: &mut Vec<Action>) {
        self.give_up_attempt(out);
        for mut fsm in mem::take(&mut self.conns) {
            let is_hard = reset == Reset::Hard || notification.is_meant_for_long();
            let hard = (is_hard && fsm.knows_hard_reset()).then(|| notification.clone().into_hard_reset());
            let notification = hard.as_ref().unwrap_or(notification);
            let mut turn = Turn { now, settings: &self.settings, counters: &mut self.counters, out };
            fsm.close(&mut turn, notification);
            self.note_end(now, &fsm, DownReason::Ours(notification.clone()), out);
        }
    }

    fn forget_trouble(&mut self) {
        self.connect_retry.reset();
        self.idle_hold.reset();
        self.bare = false;
    }

    fn on_timers(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let mut at = 0;
        while let Some(fsm) = self.conns.get_mut(at) {
            let mut turn = Turn { now, settings: &self.settings, counters: &mut self.counters, out };
            match fsm.on_timers(&mut turn) {
                Some(reason) => self.forget(now, at, reason, out),
                None => at += 1,
            }
        }
        self.on_attempt_timer(now, out);
    }

    fn report_state(&mut self, out: &mut Vec<Action>) {
        let state = self.state();
        if state != self.reported {
            out.push(Action::StateChanged { from: self.reported, to: state });
            self.reported = state;
        }
    }
}
