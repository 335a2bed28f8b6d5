//! What readers see: every alert as it is, mutes, and the last changes in a ring that all who listen share.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

use super::lock;
use crate::{
    alert::{Alert, Change, ChangeSource, Counts, Delivery, Desk, Filter, MuteView, Page, Unsaved, find_id},
    types::Timestamp,
    view::Refusal,
};

#[derive(Default)]
struct Content {
    alerts: BTreeMap<Arc<str>, Arc<Alert>>,
    mutes: Vec<MuteView>,
    changes: VecDeque<Arc<Change>>,
    keep_changes: usize,
    /// Number of the last change.
    seq: u64,
    counts: Counts,
    closed: bool,
}

/// The shelf.
pub(super) struct Shelf {
    content: Mutex<Content>,
    /// Rings when there is something new.
    bell: watch::Sender<()>,
}

/// Where an alert stands in a list: those that are not over first, then the latest first.
type Place = (bool, std::cmp::Reverse<Timestamp>, Arc<str>);

fn place(alert: &Alert) -> Place {
    (!alert.is_live(), std::cmp::Reverse(alert.first_seen), Arc::clone(&alert.id))
}

impl Shelf {
    pub(super) fn new(desk: &Desk, changes: Vec<Change>, keep_changes: usize) -> Self {
        let content = Content {
            alerts: desk.alerts().map(|alert| (Arc::clone(&alert.id), Arc::clone(alert))).collect(),
            mutes: desk.mutes(),
            changes: changes.into_iter().map(Arc::new).collect(),
            keep_changes,
            seq: desk.seq(),
            ..Content::default()
        };
        Self { content: Mutex::new(content), bell: watch::Sender::new(()) }
    }

    pub(super) fn keep_changes(&self) -> usize {
        lock(&self.content).keep_changes
    }

    pub(super) fn seq(&self) -> u64 {
        lock(&self.content).seq
    }

    /// Puts out what is new.
    pub(super) fn show(&self, changes: Vec<Change>, unsaved: Unsaved, mutes: Vec<MuteView>, keep_changes: usize) {
        let mut content = lock(&self.content);
        for kept in unsaved.alerts.into_iter().chain(unsaved.quiet) {
            content.alerts.insert(Arc::clone(&kept.alert.id), kept.alert);
        }
        unsaved.forgotten.iter().for_each(|id| drop(content.alerts.remove(id)));
        content.mutes = mutes;
        content.keep_changes = keep_changes;
        let news = !changes.is_empty();
        for change in changes {
            content.seq = change.seq;
            content.counts.count(change.why, change.tell);
            content.changes.push_back(Arc::new(change));
        }
        let surplus = content.changes.len().saturating_sub(keep_changes);
        content.changes.drain(..surplus);
        drop(content);
        if news {
            self.bell.send_replace(());
        }
    }

    pub(super) fn count_journal_error(&self) {
        lock(&self.content).counts.journal_errors += 1;
    }

    /// Who listens hears that this is the end.
    pub(super) fn close(&self) {
        lock(&self.content).closed = true;
        self.bell.send_replace(());
    }

    pub(super) fn list(&self, filter: &Filter, after: &str, limit: usize) -> Result<Page, Refusal> {
        let after = if after.is_empty() { None } else { Some(read_place(after)?) };
        let content = lock(&self.content);
        // Handles are copied, so that nobody waits while words are compared.
        let (mut alerts, seq): (Vec<Arc<Alert>>, u64) = (content.alerts.values().cloned().collect(), content.seq);
        drop(content);
        alerts.retain(|alert| after.as_ref().is_none_or(|after| place(alert) > *after) && filter.admits(alert));
        alerts.sort_by_cached_key(|alert| place(alert));
        let more = alerts.len() > limit;
        alerts.truncate(limit);
        let next = alerts.last().filter(|_| more).map(|alert| write_place(alert)).unwrap_or_default();
        Ok(Page { alerts, next, seq })
    }

    pub(super) fn get(&self, id: &str) -> Result<Arc<Alert>, Refusal> {
        let content = lock(&self.content);
        let id = find_id(id, content.alerts.keys())?;
        content.alerts.get(&id).cloned().ok_or_else(|| Refusal::NotFound(format!("no alert has the id {id}")))
    }

    pub(super) fn mutes(&self) -> Vec<MuteView> {
        lock(&self.content).mutes.clone()
    }

    pub(super) fn counts(&self) -> Counts {
        let content = lock(&self.content);
        let mut counts = content.counts.clone();
        for alert in content.alerts.values() {
            *counts.alerts.entry((alert.kind(), alert.severity, alert.state)).or_default() += 1;
        }
        counts.mutes = content.mutes.iter().filter(|mute| mute.active).count() as u64;
        counts
    }

    pub(super) fn watch(shelf: &Arc<Self>, after: Option<u64>) -> Box<dyn ChangeSource> {
        let next = after.unwrap_or_else(|| shelf.seq()).saturating_add(1);
        Box::new(Listener { shelf: Arc::clone(shelf), bell: shelf.bell.subscribe(), next })
    }

    /// What `next` stands for; `Ok(None)`: it is yet to come. Fails at the end.
    fn delivery(&self, next: &mut u64) -> Result<Option<Delivery>, ()> {
        let content = lock(&self.content);
        let oldest = content.changes.front().map_or(content.seq + 1, |change| change.seq);
        // Numbers that are yet to come were told by a desk that kept nothing, before a restart.
        if *next < oldest || *next > content.seq + 1 {
            let missed = std::mem::replace(next, oldest);
            return Ok(Some(Delivery::Gap { missed, next: oldest }));
        }
        let behind = usize::try_from(*next - oldest).unwrap_or(usize::MAX);
        match content.changes.get(behind) {
            Some(change) => {
                *next += 1;
                Ok(Some(Delivery::Change(Arc::clone(change))))
            }
            None if content.closed => Err(()),
            None => Ok(None),
        }
    }
}

/// The token of the page behind an alert.
fn write_place(alert: &Alert) -> String {
    format!("{}.{}.{}", u8::from(!alert.is_live()), alert.first_seen.0, alert.id)
}

fn read_place(token: &str) -> Result<Place, Refusal> {
    let read = || {
        let mut words = token.splitn(3, '.');
        let over = match words.next()? {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        let first_seen = Timestamp(words.next()?.parse().ok()?);
        Some((over, std::cmp::Reverse(first_seen), words.next()?.into()))
    };
    read().ok_or_else(|| Refusal::Invalid(format!("`{token}` is no token of a page")))
}

/// Somebody who listens.
struct Listener {
    shelf: Arc<Shelf>,
    bell: watch::Receiver<()>,
    next: u64,
}

impl ChangeSource for Listener {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = Option<Delivery>> + Send + '_>> {
        Box::pin(async {
            loop {
                // Before looking, so that what comes meanwhile rings.
                self.bell.borrow_and_update();
                match self.shelf.delivery(&mut self.next) {
                    Ok(Some(delivery)) => return Some(delivery),
                    Err(()) => return None,
                    Ok(None) => {}
                }
                if self.bell.changed().await.is_err() {
                    return None;
                }
            }
        })
    }
}
