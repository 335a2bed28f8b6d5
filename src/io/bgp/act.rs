//! What a session asks of its driver, carried out in order: connections, messages, what the engine must know,
//! and the log: one line per change of the session (each trouble once: the session sees to that).

use std::{mem, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::{
    connection::Connection,
    link,
    outbox::Outbox,
    socket,
    task::{Live, Task},
    words,
};
use crate::{
    io::shard::Feed,
    session::{Action, ConnId, DownReason, Input, negotiate::Negotiated},
    types::Family,
    wire::bgp::orf::{OrfChange, OrfEntry},
};

impl Task {
    /// Carries out what the session asked for.
    pub(super) fn perform(&mut self, actions: Vec<Action>) {
        let mut changed = false;
        for action in actions {
            match action {
                Action::Connect { conn } => self.dial(conn),
                Action::Send { conn, bytes } => self.queue(conn, Bytes::from(bytes), Outbox::push_control),
                Action::Close { conn } => self.close(conn),
                Action::Abort { conn } => self.abort(conn),
                Action::Established { conn, negotiated } => self.established(conn, negotiated),
                Action::Down { reason, may_return } => self.down(&reason, may_return),
                Action::Updates(batch) => {
                    self.unfed.push_back(Feed::Updates { peer: self.neighbor.id, batch });
                }
                Action::Refresh(refresh) => {
                    self.unfed.push_back(Feed::Refresh { peer: self.neighbor.id, refresh });
                }
                Action::Filter(filter) => {
                    self.unfed.push_back(Feed::Filter { peer: self.neighbor.id, filter });
                }
                Action::StateChanged { from, to } => {
                    changed = true;
                    debug!(neighbor = %self.neighbor.address, "{}: {} -> {}", self.neighbor.label(), from.name(), to.name());
                }
                Action::Warn(text) => {
                    warn!(neighbor = %self.neighbor.address, "{}: {}", self.neighbor.label(), words::printable(&text));
                }
            }
        }
        if changed {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    fn dial(&mut self, conn: ConnId) {
        let settings = self.neighbor.settings();
        let remote = SocketAddr::new(self.neighbor.address, settings.port);
        let dial = self.dials.spawn(async move { (conn, socket::connect(&settings, remote).await) });
        self.dialling.insert(conn, dial);
    }

    /// Queues whole messages for a connection; they are written at the end of the turn.
    pub(super) fn queue(&mut self, conn: ConnId, messages: Bytes, lane: fn(&mut Outbox, Bytes)) {
        if let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == conn) {
            lane(&mut connection.outbox, messages);
            if !self.touched.contains(&conn) {
                self.touched.push(conn);
            }
        }
    }

    fn take(&mut self, conn: ConnId) -> Option<Connection> {
        let at = self.connections.iter().position(|connection| connection.id == conn)?;
        Some(self.connections.swap_remove(at))
    }

    fn close(&mut self, conn: ConnId) {
        if let Some(dial) = self.dialling.remove(&conn) {
            dial.abort();
        } else if let Some(connection) = self.take(conn) {
            self.closing.spawn(connection.close());
        }
    }

    fn abort(&mut self, conn: ConnId) {
        match self.dialling.remove(&conn) {
            Some(dial) => dial.abort(),
            None => self.take(conn).into_iter().for_each(Connection::abort),
        }
    }

    fn established(&mut self, conn: ConnId, mut negotiated: Arc<Negotiated>) {
        if let Some(link) = link::between(negotiated.local.ip(), negotiated.remote.ip()) {
            Arc::make_mut(&mut negotiated).link = Some(link);
        }
        let label = self.neighbor.label();
        info!(neighbor = %self.neighbor.address, event = "established", "{label} established: {}", words::established(&negotiated));
        let (sender, mailbox) = mpsc::unbounded_channel();
        let settings = Arc::clone(&self.neighbor.settings().engine);
        self.unfed.push_back(Feed::Up {
            peer: self.neighbor.id,
            settings: Arc::clone(&settings),
            negotiated: Arc::clone(&negotiated),
            mailbox: sender,
        });
        self.kept_until = None;
        let route_filter = Arc::clone(&self.neighbor.settings().route_filter);
        let families = negotiated.filters_sent.clone();
        let since = self.clock.now();
        self.live = Some(Live { conn, negotiated, settings, since, mailbox, route_filter, handed_out: 0 });
        for family in families {
            self.tell_route_filter(family, false);
        }
    }

    /// The neighbour is told what we want to be sent of a family, or asked for all of it: it sends nothing before
    /// (RFC 5291 §6). `again`: it has a filter already, which goes.
    fn tell_route_filter(&mut self, family: Family, again: bool) {
        let Some(live) = &self.live else { return };
        let mut changes: Vec<OrfChange> = again.then_some(OrfChange::RemoveAll).into_iter().collect();
        changes.extend(of_family(&live.route_filter, family).copied().map(OrfChange::Add));
        self.handle(Input::SendFilter { family, changes: &changes });
    }

    /// The configuration may have another filter now: the neighbour is told, family by family, where it differs.
    pub(super) fn renew_route_filter(&mut self) {
        let now = Arc::clone(&self.neighbor.settings().route_filter);
        let Some(live) = &mut self.live else { return };
        let families = live.negotiated.filters_sent.clone();
        let before = mem::replace(&mut live.route_filter, Arc::clone(&now));
        for family in families {
            if of_family(&before, family).ne(of_family(&now, family)) {
                self.tell_route_filter(family, true);
            }
        }
    }

    fn down(&mut self, reason: &DownReason, may_return: bool) {
        let label = self.neighbor.label();
        let now = self.clock.now();
        let (mut up_for, mut kept_for) = (Duration::ZERO, Duration::ZERO);
        if let Some(live) = self.live.take() {
            up_for = now.since(live.since);
            kept_for = live.settings.retention.longest(&live.negotiated);
        }
        let kept = may_return && !kept_for.is_zero();
        self.kept_until = kept.then(|| now + kept_for);
        let reason = words::printable(&reason.to_string());
        let rest = match kept {
            true => format!("; its routes are kept for up to {} (RFC 4724)", words::age(kept_for)),
            false => String::new(),
        };
        info!(neighbor = %self.neighbor.address, event = "down", "{label} down after {}: {reason}{rest}", words::age(up_for));
        self.neighbor.note_send_queue(0);
        self.unfed.push_back(Feed::Down { peer: self.neighbor.id, may_return });
    }

    /// What the engine may have kept of the neighbour's last session is to go: the operator ended it.
    pub(super) fn keep_nothing(&mut self) {
        if self.kept_until.take().is_some() {
            self.unfed.push_back(Feed::Down { peer: self.neighbor.id, may_return: false });
        }
    }
}

/// Entries about the address family of `family`.
fn of_family(entries: &[OrfEntry], family: Family) -> impl Iterator<Item = &OrfEntry> {
    entries.iter().filter(move |entry| entry.prefix.is_v4() == (family.afi == 1))
}
