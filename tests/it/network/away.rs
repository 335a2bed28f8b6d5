//! What must be kept of a neighbour while its session is lost (RFC 4724 §4.2, RFC 9494 §4.2): reckoned from what both
//! sides are configured to say, not from what the engine under test made of it.

use std::{cmp::Ordering, time::Duration};

use ribwatch::{
    types::{Prefix, Timestamp},
    view::Table,
};

use super::{Network, prefix_of};
use crate::net::Happening;

/// What was there when the session was lost, and for how long it is kept.
pub(super) struct Kept {
    lost_at: Timestamp,
    routes: Vec<(Prefix, Vec<u8>)>,
    /// As stale, and until when at all.
    stale: Duration,
    longest: Duration,
}

impl Network {
    /// A session of a living router comes or goes.
    pub(super) fn note_absence(&mut self, at: usize, happening: &Happening) {
        match happening {
            Happening::Up(_) => self.sides[at].kept = None,
            Happening::Down { may_return } => {
                let (router, peer) = (self.sides[at].router, self.sides[at].peer());
                let rows = self.rows(router, Table::AdjIn, Some(peer));
                // A second loss within a restart is a story of its own: some of it goes, some stays.
                self.sides[at].kept = rows.iter().all(|(row, _)| !row.stale).then(|| {
                    let (stale, longest) = if *may_return { self.kept_for(at) } else { Default::default() };
                    let routes = rows.into_iter().map(|(row, attrs)| (prefix_of(&row), attrs)).collect();
                    Kept { lost_at: self.net.now(), routes, stale, longest }
                });
            }
            Happening::Updates(_) | Happening::Refresh(_) | Happening::Filter(_) => {}
        }
    }

    /// For how long routes are kept as stale ones, and at all.
    fn kept_for(&self, at: usize) -> (Duration, Duration) {
        let (here, there) = (&self.sides[at], &self.sides[self.sides[at].far].session);
        let ours = &here.settings.retention;
        let restart_time =
            there.restart.restart_time.filter(|_| ours.helper && there.end_of_rib && here.session.end_of_rib);
        let Some(restart_time) = restart_time else { return Default::default() };
        let stale = restart_time.min(ours.stale_time_max);
        let long_lived = there.restart.long_lived.filter(|_| here.session.restart.long_lived.is_some());
        (stale, stale + long_lived.unwrap_or_default().min(ours.long_lived_max))
    }

    /// Nothing more and nothing less than what is to be kept is there now.
    pub(super) fn what_is_kept_is_there(&mut self) {
        let now = self.net.now();
        for at in 0..self.sides.len() {
            let Some(kept) = self.sides[at].kept.take() else { continue };
            let (router, peer) = (self.sides[at].router, self.sides[at].peer());
            let rows = self.rows(router, Table::AdjIn, Some(peer));
            let age = now.since(kept.lost_at);
            match age.cmp(&kept.longest) {
                Ordering::Less => {
                    assert!(rows.iter().all(|(row, _)| row.stale), "what router {router} keeps of {peer:?} is stale");
                    let there: Vec<_> = rows.into_iter().map(|(row, attrs)| (prefix_of(&row), attrs)).collect();
                    assert_eq!(
                        there, kept.routes,
                        "router {router} keeps everything of {peer:?} for {:?}",
                        kept.longest
                    );
                    self.kept[usize::from(age > kept.stale)] += 1;
                }
                Ordering::Greater => {
                    assert_eq!(rows, [], "router {router} keeps nothing of {peer:?} after {:?}", kept.longest);
                    self.kept[2] += u32::from(!kept.longest.is_zero());
                }
                Ordering::Equal => {}
            }
            self.sides[at].kept = Some(kept);
        }
    }
}
