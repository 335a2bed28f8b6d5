//! The desk's thread: takes work, asks the desk, has it kept, shows it.

use std::{collections::BTreeMap, sync::Arc};

use tracing::{info, warn};

use super::{
    QUIET_INTERVAL,
    inbox::{Inbox, Work},
    shelf::Shelf,
};
use crate::{
    alert::{Change, Desk, Input, KeptAlert, Unsaved, Why},
    store::alerts::AlertJournal,
    types::Timestamp,
};

/// Changes that wait for a disk that takes nothing; above it the oldest are not kept, and a reader finds a gap.
const BACKLOG_MAX: usize = 10_000;

/// The desk with its journal.
pub(super) struct Keeper {
    desk: Desk,
    journal: Option<AlertJournal>,
    shelf: Arc<Shelf>,
    /// What the journal did not take yet.
    changes: Vec<Change>,
    unsaved: Unsaved,
    /// What may be lost, and when it was written last.
    quiet: BTreeMap<Arc<str>, KeptAlert>,
    quiet_at: Timestamp,
    /// The disk took nothing the last time.
    troubled: bool,
    keep_changes: usize,
}

impl Keeper {
    pub(super) fn new(desk: Desk, journal: Option<AlertJournal>, shelf: Arc<Shelf>, now: Timestamp) -> Self {
        let keep_changes = shelf.keep_changes();
        Self {
            desk,
            journal,
            shelf,
            changes: Vec::new(),
            unsaved: Unsaved::default(),
            quiet: BTreeMap::new(),
            quiet_at: now,
            troubled: false,
            keep_changes,
        }
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self, inbox: &Inbox) {
        loop {
            let work = inbox.wait(self.desk.next_deadline());
            let stop = work.stop;
            self.work(inbox.now(), work);
            if stop {
                return;
            }
        }
    }

    /// Does what is to be done. Who waits for an answer gets it when the outcome is kept and seen.
    fn work(&mut self, now: Timestamp, work: Work) {
        let mut changes = Vec::new();
        if let Some(settings) = work.settings {
            self.keep_changes = settings.keep_changes;
            self.desk.set_settings(now, settings, &mut changes);
        }
        for report in work.reports {
            self.desk.handle(now, Input::Report(report), &mut changes);
        }
        self.desk.handle(now, Input::TimersDue, &mut changes);
        let mut answers = Vec::with_capacity(work.commands.len());
        for (command, answer) in work.commands {
            answers.push((answer, self.desk.command(now, command, &mut changes)));
        }
        let unsaved = self.desk.take_unsaved();
        self.keep(now, &changes, &unsaved, work.stop);
        changes.iter().for_each(log);
        self.shelf.show(changes, unsaved, self.desk.mutes(), self.keep_changes);
        for (answer, done) in answers {
            // Who asked may have left.
            let _ = answer.send(done);
        }
    }

    /// Writes what is new, and what the disk did not take before.
    fn keep(&mut self, now: Timestamp, changes: &[Change], unsaved: &Unsaved, stop: bool) {
        let Some(journal) = &mut self.journal else { return };
        self.changes.extend_from_slice(changes);
        for kept in &unsaved.alerts {
            self.quiet.remove(&kept.alert.id);
        }
        unsaved.forgotten.iter().for_each(|id| drop(self.quiet.remove(id)));
        self.quiet.extend(unsaved.quiet.iter().map(|kept| (Arc::clone(&kept.alert.id), kept.clone())));
        self.unsaved.alerts.extend_from_slice(&unsaved.alerts);
        self.unsaved.forgotten.extend_from_slice(&unsaved.forgotten);
        self.unsaved.mutes.extend_from_slice(&unsaved.mutes);
        self.unsaved.unmuted.extend_from_slice(&unsaved.unmuted);
        if stop || now.since(self.quiet_at) >= QUIET_INTERVAL {
            self.quiet_at = now;
            self.unsaved.quiet.extend(std::mem::take(&mut self.quiet).into_values());
        }
        if self.changes.is_empty() && self.unsaved.is_empty() {
            return;
        }
        match journal.save(&self.changes, &self.unsaved, self.keep_changes) {
            Ok(()) => {
                self.changes.clear();
                self.unsaved = Unsaved::default();
                if std::mem::take(&mut self.troubled) {
                    info!("[state] {} can be written again", super::FILE);
                }
            }
            Err(error) => {
                self.shelf.count_journal_error();
                if !std::mem::replace(&mut self.troubled, true) {
                    warn!("[state] {} cannot be written, alerts are told all the same: {error}", super::FILE);
                }
                self.shorten_backlog();
            }
        }
    }

    /// What is written later is what is true then: of each alert the last state is enough.
    fn shorten_backlog(&mut self) {
        let surplus = self.changes.len().saturating_sub(BACKLOG_MAX);
        self.changes.drain(..surplus);
        for list in [&mut self.unsaved.alerts, &mut self.unsaved.quiet] {
            if list.len() > BACKLOG_MAX {
                let last: BTreeMap<Arc<str>, KeptAlert> =
                    list.drain(..).map(|kept| (Arc::clone(&kept.alert.id), kept)).collect();
                list.extend(last.into_values());
            }
        }
    }
}

/// What people are told of begins and ends in the log, too.
fn log(change: &Change) {
    let alert = &change.alert;
    if change.tell && matches!(change.why, Why::Opened | Why::Reopened | Why::Resolved | Why::Unmuted) {
        let (why, id, kind, severity) = (change.why.name(), &alert.id, alert.kind(), alert.severity);
        info!("alert {why}: {id} {kind} {severity}: {}", alert.summary);
    }
}
