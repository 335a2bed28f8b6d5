//! Without a connection: when to try for one, and what the end of the last one means for that.

use super::{After, Attempt, BgpPeer};
use crate::{
    session::{
        Action, ConnId, DownReason, State,
        bgp_fsm::{BgpFsm, Turn},
    },
    types::{Family, Timestamp},
    wire::bgp::notification::Notification,
};

impl BgpPeer {
    /// Leaves Idle: connects, or waits to be connected to.
    pub(super) fn begin(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if self.settings.passive {
            self.attempt = Attempt::Active { retry_at: None };
        } else {
            self.connect(now, out);
        }
    }

    pub(super) fn connect(&mut self, now: Timestamp, out: &mut Vec<Action>) {
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
    pub(super) fn listen(&mut self, now: Timestamp) {
        let retry_at = (!self.settings.passive).then(|| self.next_retry(now));
        self.attempt = Attempt::Active { retry_at };
    }

    pub(super) fn give_up_attempt(&mut self, out: &mut Vec<Action>) {
        if let Attempt::Connect { conn, .. } = self.attempt {
            out.push(Action::Close { conn });
            self.attempt = Attempt::Active { retry_at: None };
        }
    }

    /// Leaves Idle, or tries again, if it is time.
    pub(super) fn on_attempt_timer(&mut self, now: Timestamp, out: &mut Vec<Action>) {
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

    pub(super) fn on_connect_failed(&mut self, now: Timestamp, conn: ConnId, reason: String, out: &mut Vec<Action>) {
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

    /// Ends connection `at`, with a NOTIFICATION if one is given.
    pub(super) fn end(
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
    pub(super) fn forget(&mut self, now: Timestamp, at: usize, reason: DownReason, out: &mut Vec<Action>) {
        if at >= self.conns.len() {
            return;
        }
        let fsm = self.conns.swap_remove(at);
        let (was, age) = (fsm.state(), fsm.age(now));
        let after = self.after(&reason, was);
        if was == State::Established && age >= self.settings.idle_hold_max {
            self.idle_hold.reset();
        }
        if was < State::Established {
            self.bare = false;
        }
        self.note_end(now, &fsm, reason, out);
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

    pub(super) fn go_on(&mut self, now: Timestamp, after: After, out: &mut Vec<Action>) {
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

    /// Says that a connection is over. One that never was the session says nothing
    /// while another connection goes on.
    pub(super) fn note_end(&mut self, now: Timestamp, fsm: &BgpFsm, reason: DownReason, out: &mut Vec<Action>) {
        if fsm.state() == State::Established {
            self.counters.flaps += 1;
            self.counters.established_at = None;
            self.counters.changed_at = Some(now);
            self.counters.note_error(now, reason.to_string());
            let says_much = !matches!(reason, DownReason::ConnectionLost(_) | DownReason::Replaced);
            let restart = fsm.negotiated().and_then(|negotiated| negotiated.graceful_restart.as_ref());
            let may_return = restart.is_some_and(|restart| reason.may_return(restart.notification));
            self.ended_with = says_much.then(|| reason.to_string());
            out.push(Action::Down { reason, may_return });
        } else if self.conns.is_empty() {
            self.note_trouble(now, &reason, out);
        }
    }

    /// Keeps why an attempt failed, and says it in the log when it is not what was said last.
    pub(super) fn note_trouble(&mut self, now: Timestamp, reason: &DownReason, out: &mut Vec<Action>) {
        let text = match &self.ended_with {
            Some(before) => format!("{reason}; before that {before}"),
            None => reason.to_string(),
        };
        if self.counters.last_error.as_deref() != Some(&text) {
            out.push(Action::Warn(text.clone()));
        }
        self.counters.note_error(now, text);
    }
}
