//! What is open is told again and again, to receivers that forget otherwise: in rounds, and those in requests of bounded
//! size, one at a time.

use std::{collections::HashSet, ops::Bound, sync::Arc};

use super::{Action, Courier};
use crate::{
    sink::{Outcome, Parcel},
    types::Timestamp,
};

/// Alerts in one request that tells again what is open.
const REFRESH_MAX: usize = 500;

/// The round that is under way.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    /// The number of the request.
    pub(super) under_way: Option<u64>,
    /// The last alert of the last request; the next begins behind it.
    pub(super) after: Option<Arc<str>>,
    /// When the request that is under way was made.
    pub(super) sent_at: Timestamp,
}

impl Courier {
    /// The answer to a request of a round.
    pub(super) fn refreshed(&mut self, now: Timestamp, outcome: &Outcome, out: &mut Vec<Action>) {
        self.refresh.under_way = None;
        let Some(interval) = self.settings.receiver.interval() else { return };
        match outcome {
            // More of this round wait: at once. Else the next round.
            Outcome::Accepted { .. } if self.refresh.after.is_some() => {}
            Outcome::Accepted { .. } => self.refresh_at = self.refresh_at.map(|_| self.refresh.sent_at + interval),
            Outcome::Later { .. } => {
                self.view.retried += 1;
                self.refresh.after = None;
            }
            Outcome::Never { why } => {
                self.view.retried += 1;
                self.refresh.after = None;
                self.refresh_at = self.refresh_at.map(|_| now + interval);
                if !self.letter_died {
                    self.letter_died = true;
                    out.push(Action::Warn(format!("sink {}: what is open is refused: {why}", self.settings.name)));
                }
            }
        }
    }

    /// Tells again what is open, but for what has a change of its own in line.
    pub(super) fn send_refresh(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        let from = match self.refresh.after.take() {
            Some(after) => Bound::Excluded(after),
            None => {
                self.refresh.sent_at = now;
                Bound::Unbounded
            }
        };
        let waiting: HashSet<&str> = self.line.iter().map(|item| &*item.parcel.change.alert.id).collect();
        let open = self.told.range((from, Bound::Unbounded)).filter(|(id, _)| !waiting.contains(&***id));
        let parcels: Vec<Parcel> =
            open.take(REFRESH_MAX).map(|(_, change)| Parcel { change: Arc::clone(change), before: None }).collect();
        if parcels.is_empty() {
            let interval = self.settings.receiver.interval().unwrap_or_default();
            self.refresh_at = (!self.told.is_empty()).then(|| self.refresh.sent_at + interval);
            return;
        }
        if parcels.len() == REFRESH_MAX {
            self.refresh.after = parcels.last().map(|parcel| Arc::clone(&parcel.change.alert.id));
        }
        let number = self.next_number;
        self.next_number += 1;
        self.refresh.under_way = Some(number);
        out.push(Action::Send { number, parcels });
    }
}
