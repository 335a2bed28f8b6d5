//! What must hold for a session after each step, whoever drives it.

use std::collections::BTreeSet;

use ribwatch::session::{Action, ConnId, State, bgp_peer::BgpPeer};

/// What must hold for a session whatever happens to it. Told of every input about connections, shown every action.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The one attempt under way.
    pub attempt: Option<ConnId>,
    /// Connections that the session has been given and neither side has closed.
    pub open: BTreeSet<ConnId>,
    /// The connection that carries the session.
    pub up: Option<ConnId>,
    attempts: BTreeSet<ConnId>,
    state: State,
}

impl Ledger {
    /// The session is told that a connection is up.
    pub fn connected(&mut self, conn: ConnId) {
        self.attempt.take_if(|attempt| *attempt == conn);
        assert!(self.open.insert(conn), "{conn:?} is used twice");
    }

    /// The session is told that an attempt failed.
    pub fn failed(&mut self, conn: ConnId) {
        self.attempt.take_if(|attempt| *attempt == conn);
    }

    /// The session is told that a connection ended.
    pub fn closed(&mut self, conn: ConnId) {
        self.open.remove(&conn);
    }

    /// The session wants something.
    pub fn check(&mut self, action: &Action) {
        match action {
            Action::Connect { conn } => {
                assert_eq!(self.attempt, None, "one attempt at a time");
                assert!(self.attempts.insert(*conn), "an id is used once");
                self.attempt = Some(*conn);
            }
            Action::Send { conn, bytes } => {
                assert!(self.open.contains(conn), "octets for {conn:?}, which is not open");
                assert!(bytes.len() >= 19, "whole messages");
            }
            Action::Close { conn } | Action::Abort { conn } => {
                let attempt = self.attempt.take_if(|attempt| attempt == conn).is_some();
                assert!(attempt || self.open.remove(conn), "{conn:?} is closed twice or was never there");
            }
            Action::Established { conn, .. } => {
                assert!(self.open.contains(conn));
                assert_eq!(self.up.replace(*conn), None, "one established connection at a time");
            }
            Action::Down { .. } => assert!(self.up.take().is_some(), "Down without Established"),
            Action::Updates(batch) => assert!(self.up.is_some() && !batch.is_empty(), "routes without a session"),
            Action::Refresh(_) | Action::Filter(_) => assert!(self.up.is_some(), "a refresh without a session"),
            Action::StateChanged { from, to } => {
                assert_eq!(*from, self.state);
                assert_ne!(from, to);
                self.state = *to;
            }
            Action::Warn(text) => assert!(!text.is_empty()),
        }
    }

    /// The step is over.
    pub fn check_rest(&self, peer: &BgpPeer) {
        assert_eq!(self.state, peer.state(), "every change of state is told");
        assert_eq!(self.up.is_some(), peer.state() == State::Established, "Established and Down come in pairs");
        assert!(self.open.len() <= 2, "two connections at most: {:?}", self.open);
        assert!(self.up.is_none_or(|conn| self.open.contains(&conn)));
        assert_eq!(peer.stats().established_at.is_some(), self.up.is_some());
    }
}
