//! One sink's deliveries: what waits, what is under way, what is tried again and when. No I/O and no clock in here: the
//! driver feeds changes, answers and time, and does what comes out.
//!
//! ```text
//! change   not for this sink                       nothing
//!          for it                                  keep on disk, wait in line
//! line     receiver well                           send up to `concurrency`, one at a time for each alert
//!          receiver failed                         one attempt at a time, when the waiting time is over
//! answer   accepted                                forget on disk; the receiver is well
//!          later                                   wait: doubled each time, spread, or as long as the receiver asks
//!          never, or later and too old             dead letter: kept in a file, counted; the others go on
//! ```
//!
//! # Promises
//! 1. What is told about one alert is told in order.
//! 2. At least once: a change leaves the disk after it was accepted. What was accepted just before a crash may be told
//!    again, under the same delivery id.
//! 3. Whoever was told of an alert is told of its end, even if it is muted by then or less grave.

mod health;
mod refresh;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};

use self::{health::Trouble, refresh::Refresh};
use super::{Outcome, Parcel, SinkSettings, kept, text::delivery_id};
use crate::{
    alert::{Change, Why},
    detect::Report,
    session::backoff::{Backoff, Jitter},
    types::Timestamp,
    view::sinks::SinkView,
};

/// What the driver is to do, in this order.
#[derive(Debug)]
pub enum Action {
    /// Keep this under a key, over restarts.
    Put(Vec<u8>, Vec<u8>),
    /// Forget what is under a key.
    Remove(Vec<u8>),
    /// Write down a dead letter, one line.
    Bury(String),
    /// Send; the answer comes back with the number.
    Send {
        /// Of the delivery.
        number: u64,
        /// What to tell: one, or with `Receiver::interval` many.
        parcels: Vec<Parcel>,
    },
    /// Tell the desk of the sink itself.
    Report(Box<Report>),
    /// A line for the log, for trouble.
    Warn(String),
    /// A line for the log.
    Info(String),
}

/// One delivery that waits or is under way.
#[derive(Debug)]
struct Item {
    number: u64,
    parcel: Parcel,
    /// When it came; never before this process began, so that a long rest of the daemon kills no letter.
    since: Timestamp,
    under_way: bool,
}

/// The deliveries of one sink.
pub struct Courier {
    settings: Arc<SinkSettings>,
    /// In the order in which they are told.
    line: VecDeque<Item>,
    /// Alerts that the receiver knows as not over, as it was told of them last.
    told: BTreeMap<Arc<str>, Arc<Change>>,
    /// The last change that was looked at.
    taken: u64,
    next_number: u64,
    backoff: Backoff,
    jitter: Jitter,
    trouble: Trouble,
    /// When what is open is told again; `None` while nothing is.
    refresh_at: Option<Timestamp>,
    /// Alerts that are still to be told again in this round, and the request that is under way.
    refresh: Refresh,
    overflowing: bool,
    letter_died: bool,
    view: SinkView,
}

impl Courier {
    /// A sink with nothing to do. Equal seeds make equal waiting times.
    pub fn new(settings: Arc<SinkSettings>, seed: u64) -> Self {
        let view = SinkView::new(settings.name.clone(), settings.receiver.kind());
        Self {
            line: VecDeque::new(),
            told: BTreeMap::new(),
            taken: 0,
            next_number: 0,
            backoff: Backoff::new(settings.retry.first, settings.retry.max),
            jitter: Jitter::new(seed),
            trouble: Trouble::default(),
            refresh_at: None,
            refresh: Refresh::default(),
            overflowing: false,
            letter_died: false,
            view,
            settings,
        }
    }

    /// Takes up what an earlier process kept; records that cannot be read are skipped, and their number returned.
    /// `last_seq` is the last change that the desk knows of: what was kept under higher numbers is about another history,
    /// and those are not used to tell old from new.
    pub fn restore(&mut self, now: Timestamp, records: Vec<(Vec<u8>, Vec<u8>)>, last_seq: u64) -> usize {
        let mut unreadable = 0;
        let mut waiting = Vec::new();
        for (key, value) in records {
            match kept::read(&key, &value) {
                Some(kept::Record::Waiting(number, parcel)) => waiting.push((number, parcel)),
                Some(kept::Record::Told(change)) => {
                    self.told.insert(Arc::clone(&change.alert.id), Arc::new(change));
                }
                Some(kept::Record::Taken(seq)) => self.taken = seq,
                None => unreadable += 1,
            }
        }
        waiting.sort_by_key(|(number, _)| *number);
        for (number, parcel) in waiting {
            self.next_number = number + 1;
            self.taken = self.taken.max(parcel.change.seq);
            self.note_told(&parcel.change);
            self.line.push_back(Item { number, parcel, since: now, under_way: false });
        }
        if self.taken > last_seq {
            self.taken = last_seq;
        }
        self.refresh_at = (!self.told.is_empty() && self.settings.receiver.interval().is_some()).then_some(now);
        self.view.queue_len = self.line.len() as u64;
        unreadable
    }

    /// The last change that was looked at: the stream goes on behind it. 0: none ever was.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// A change happened.
    pub fn take(&mut self, now: Timestamp, change: Arc<Change>, out: &mut Vec<Action>) {
        if change.seq <= self.taken {
            return;
        }
        self.taken = change.seq;
        if !self.concerns(&change) {
            return;
        }
        let before = self.told.get(&change.alert.id).map(|told| told.alert.severity);
        self.note_told(&change);
        let (number, parcel) = (self.next_number, Parcel { change, before });
        self.next_number += 1;
        let (key, value) = kept::waiting(number, &parcel);
        out.push(Action::Put(key, value));
        self.line.push_back(Item { number, parcel, since: now, under_way: false });
        self.drop_oldest(out);
        self.send_due(now, out);
    }

    /// Changes that the driver had no room for, and that are lost.
    pub fn missed(&mut self, count: u64, out: &mut Vec<Action>) {
        if count > 0 {
            self.note_dropped(count, out);
        }
    }

    /// An attempt ended.
    pub fn answered(&mut self, now: Timestamp, number: u64, outcome: Outcome, out: &mut Vec<Action>) {
        if self.refresh.under_way == Some(number) {
            self.refreshed(now, &outcome, out);
        } else if let Some(at) = self.line.iter().position(|item| item.number == number) {
            self.line[at].under_way = false;
            match &outcome {
                Outcome::Accepted { .. } => {
                    let Some(item) = self.line.remove(at) else { return };
                    self.accepted(now, &item, out);
                }
                Outcome::Never { why } => {
                    if let Some(item) = self.line.remove(at) {
                        self.bury(&item, why, out);
                    }
                }
                Outcome::Later { why, .. } => {
                    self.view.retried += 1;
                    if now.since(self.line[at].since) >= self.settings.retry.give_up
                        && let Some(item) = self.line.remove(at)
                    {
                        self.bury(&item, &format!("given up: {why}"), out);
                    }
                }
            }
        }
        self.note_health(now, &outcome, out);
        self.send_due(now, out);
    }

    /// Time passed.
    pub fn due(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.report_if_down(now, out);
        self.send_due(now, out);
    }

    /// When `due` is to be called at the latest; `None`: nothing waits for time.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let may_send = self.under_way() < self.limit();
        let retry = (may_send && self.anything_waits()).then_some(self.trouble.not_before);
        let refresh = self.refresh_at.filter(|_| may_send).map(|at| at.max(self.trouble.not_before));
        let down = self.trouble.since.filter(|_| !self.trouble.reported).map(|since| since + self.settings.down_after);
        [retry, refresh, down].into_iter().flatten().min()
    }

    /// Counts and state, for people and programs.
    pub fn view(&self) -> SinkView {
        let mut view = self.view.clone();
        view.queue_len = self.line.len() as u64;
        view.told_open = self.told.len() as u64;
        view.failing_since = self.trouble.since;
        view
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.line.is_empty() && self.refresh.under_way.is_none()
    }

    /// Whether the receiver is to hear of `change`.
    fn concerns(&self, change: &Change) -> bool {
        let alert = &*change.alert;
        // Nobody can be told by a sink that it is down.
        if alert.key == self.fingerprint() {
            return false;
        }
        let told = self.told.contains_key(&alert.id);
        match change.why {
            Why::Resolved => told,
            // Who shows what is open must stop doing so. Others have nothing to say.
            Why::Muted => told && self.settings.receiver.interval().is_some(),
            _ => change.tell && (told || self.settings.filter.passes(alert)),
        }
    }

    fn note_told(&mut self, change: &Arc<Change>) {
        match change.why {
            Why::Resolved | Why::Muted => self.told.remove(&change.alert.id),
            _ => self.told.insert(Arc::clone(&change.alert.id), Arc::clone(change)),
        };
        if self.told.is_empty() {
            self.refresh_at = None;
        }
    }

    fn accepted(&mut self, now: Timestamp, item: &Item, out: &mut Vec<Action>) {
        let change = &item.parcel.change;
        self.view.sent += 1;
        if let Some(observed_at) = change.observed_at {
            self.view.latency.observe(now.since(observed_at));
        }
        if let (Some(interval), None, false) =
            (self.settings.receiver.interval(), self.refresh_at, self.told.is_empty())
        {
            self.refresh_at = Some(now + interval);
        }
        self.forget(item, out);
    }

    /// What is on disk afterwards is what is known of the receiver. The order makes a crash in between harmless.
    fn forget(&self, item: &Item, out: &mut Vec<Action>) {
        let change = &item.parcel.change;
        match change.why {
            Why::Resolved | Why::Muted => out.push(Action::Remove(kept::told_key(&change.alert.id))),
            _ => {
                let (key, value) = kept::told(change);
                out.push(Action::Put(key, value));
            }
        }
        // Nothing that came earlier and still waits may be taken for told: those are records of their own.
        let (key, value) = kept::taken(self.taken);
        out.push(Action::Put(key, value));
        out.push(Action::Remove(kept::waiting_key(item.number)));
    }

    fn bury(&mut self, item: &Item, why: &str, out: &mut Vec<Action>) {
        self.view.dead += 1;
        out.push(Action::Bury(kept::dead_letter(&item.parcel, why)));
        if !self.letter_died {
            self.letter_died = true;
            out.push(Action::Warn(format!(
                "sink {}: {} is not accepted and goes to the dead letters, as others may: {why}",
                self.settings.name,
                delivery_id(&item.parcel.change),
            )));
        }
        self.forget(item, out);
    }

    fn drop_oldest(&mut self, out: &mut Vec<Action>) {
        while self.line.len() > self.settings.queue_max {
            let Some(at) = self.line.iter().position(|item| !item.under_way) else { return };
            let Some(item) = self.line.remove(at) else { return };
            out.push(Action::Remove(kept::waiting_key(item.number)));
            self.note_dropped(1, out);
        }
        if self.line.len() <= self.settings.queue_max / 2 {
            self.overflowing = false;
        }
    }

    fn note_dropped(&mut self, count: u64, out: &mut Vec<Action>) {
        self.view.dropped += count;
        if !self.overflowing {
            self.overflowing = true;
            let (name, max) = (&self.settings.name, self.settings.queue_max);
            out.push(Action::Warn(format!("sink {name}: {max} deliveries wait, and the oldest are dropped")));
        }
    }

    fn under_way(&self) -> usize {
        self.line.iter().filter(|item| item.under_way).count() + usize::from(self.refresh.under_way.is_some())
    }

    /// How many attempts may be under way: one, as long as the receiver is not known to be well again.
    fn limit(&self) -> usize {
        if self.trouble.since.is_some() { 1 } else { self.settings.receiver.concurrency() }
    }

    /// Whether something in line could be sent: nothing about the same alert is before it.
    fn anything_waits(&self) -> bool {
        let mut seen = HashSet::new();
        self.line.iter().any(|item| seen.insert(&*item.parcel.change.alert.id) && !item.under_way)
    }

    fn send_due(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if now < self.trouble.not_before {
            return;
        }
        let mut room = self.limit().saturating_sub(self.under_way());
        // Alerts with something in front; a long line is walked once.
        let mut seen: HashSet<Arc<str>> = HashSet::new();
        for item in &mut self.line {
            if room == 0 {
                break;
            }
            if seen.insert(Arc::clone(&item.parcel.change.alert.id)) && !item.under_way {
                item.under_way = true;
                room -= 1;
                out.push(Action::Send { number: item.number, parcels: vec![item.parcel.clone()] });
            }
        }
        if room > 0 && self.refresh_at.is_some_and(|at| at <= now) {
            self.send_refresh(now, out);
        }
    }
}
