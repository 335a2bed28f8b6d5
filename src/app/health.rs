//! Whether the daemon works, and how it goes in one line: for whoever started it.

use super::Daemon;
use crate::{
    alert::{self, Service as _},
    session::State,
    view::{Backend as _, Query},
};

impl Daemon {
    /// Waits until everybody who must work has answered: the engine's thread and the workers of sessions. Never ends while one
    /// of them is stuck.
    pub async fn answers(&self) {
        if let Some(runtime) = &self.sessions_runtime {
            // A worker that panics has said so; that it could is what is asked.
            let _ = runtime.spawn(async {}).await;
        }
        // Any answer is one.
        let _ = self.backend.query(Query::Summary).await;
    }

    /// One line about sessions, paths and alerts.
    pub fn status(&self) -> String {
        let neighbors = self.backend.neighbors();
        let up = neighbors.iter().filter(|neighbor| neighbor.state == State::Established).count();
        let paths: u64 = self.backend.summary().tables.iter().map(|table| table.paths).sum();
        let open = |(key, count): (&(_, _, alert::State), &u64)| if key.2 == alert::State::Open { *count } else { 0 };
        let alerts: u64 = self.alerts.counts().alerts.iter().map(open).sum();
        format!("{up} of {} sessions established, {paths} paths, {alerts} open alerts", neighbors.len())
    }
}
