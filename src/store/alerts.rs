//! Alerts as records: the changes that can be heard of later, each alert as it is, mutes, and up to which change the
//! alerts are written.
//!
//! ```text
//! change  number (8)   JSON: at, why, tell, observed_at, alert
//! alert   id           JSON: seq, changed_at, told_open, worst, alert
//! mute    id           JSON: scope, reason, author, created_at, until
//! mark    (nothing)    number (8)
//! ```
//! Changes are written first, then what they made of alerts, then the mark, so that a journal that was cut off anywhere
//! is the history up to some change: what its alerts lack is in the changes behind the mark. Times are microseconds.

use std::{collections::BTreeMap, io, sync::Arc};

use serde_json::{Value, json};

use super::{Edit, Journal, Kind};
use crate::{
    alert::{Change, Kept, KeptAlert, Mute, Unsaved, Why, json as fields},
    types::Timestamp,
};

/// Octets at which a write is closed and another begun.
const WRITE_OCTETS: usize = 1 << 20;

/// A journal of alerts.
#[derive(Debug)]
pub struct AlertJournal {
    journal: Journal,
    /// Number of the first change that is kept.
    first: u64,
}

/// What a journal held.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Alerts and mutes.
    pub kept: Kept,
    /// Changes, in order and without a hole.
    pub changes: Vec<Change>,
    /// Records that this version cannot read; they stay where they are.
    pub unreadable: usize,
}

impl AlertJournal {
    /// Reads what is there.
    pub fn load(journal: Journal) -> (Self, Loaded) {
        let mut unreadable = 0;
        let mut note = |missing: bool| unreadable += usize::from(missing);
        let mut changes: Vec<Change> = Vec::new();
        for (key, value) in journal.iter(Kind::AlertChange) {
            let change = read_change(key, value);
            note(change.is_none());
            let Some(change) = change else { continue };
            // What stands before a hole cannot be told in order.
            if changes.last().is_some_and(|last| last.seq + 1 != change.seq) {
                changes.clear();
            }
            changes.push(change);
        }
        let mut alerts: BTreeMap<Arc<str>, KeptAlert> = BTreeMap::new();
        for (_, value) in journal.iter(Kind::Alert) {
            let alert = read_alert(value);
            note(alert.is_none());
            alerts.extend(alert.map(|kept| (Arc::clone(&kept.alert.id), kept)));
        }
        let mark = journal.get(Kind::AlertMark, b"").and_then(number).unwrap_or_default();
        for change in changes.iter().filter(|change| change.seq > mark) {
            let before = alerts.get(&change.alert.id);
            if before.is_none_or(|before| before.seq < change.seq) {
                let after = KeptAlert::follow(before, change);
                alerts.insert(Arc::clone(&change.alert.id), after);
            }
        }
        let mutes = journal.iter(Kind::Mute).filter_map(|(key, value)| {
            let mute = read_mute(key, value);
            note(mute.is_none());
            mute
        });
        let mutes = mutes.collect();
        let seq = mark.max(changes.last().map_or(0, |last| last.seq));
        let first = changes.first().map_or(seq + 1, |first| first.seq);
        let kept = Kept { seq, alerts: alerts.into_values().collect(), mutes };
        (Self { journal, first }, Loaded { kept, changes, unreadable })
    }

    /// Keeps changes that follow those that were kept, and what they made of alerts and mutes. Of changes, the last
    /// `keep_changes` stay.
    ///
    /// # Errors
    /// The disk; some of it may be kept then, and all of it can be given again.
    pub fn save(&mut self, changes: &[Change], unsaved: &Unsaved, keep_changes: usize) -> io::Result<()> {
        let mut writer = Writer { journal: &mut self.journal, edits: Vec::new(), octets: 0 };
        for change in changes {
            writer.put(Kind::AlertChange, &change.seq.to_be_bytes(), &change_value(change))?;
        }
        for kept in unsaved.alerts.iter().chain(&unsaved.quiet) {
            writer.put(Kind::Alert, kept.alert.id.as_bytes(), &alert_value(kept))?;
        }
        for mute in &unsaved.mutes {
            writer.put(Kind::Mute, mute.id.as_bytes(), &mute_value(mute))?;
        }
        let gone = unsaved.forgotten.iter().map(|id| (Kind::Alert, id));
        for (kind, id) in gone.chain(unsaved.unmuted.iter().map(|id| (Kind::Mute, id))) {
            writer.remove(kind, id.as_bytes())?;
        }
        if let Some(last) = changes.last() {
            writer.edits.push(Edit::Put(Kind::AlertMark, Vec::new(), last.seq.to_be_bytes().to_vec()));
            let first = (last.seq + 1).saturating_sub(keep_changes as u64).max(self.first);
            for seq in self.first..first {
                writer.remove(Kind::AlertChange, &seq.to_be_bytes())?;
            }
            writer.flush()?;
            self.first = first;
            return Ok(());
        }
        writer.flush()
    }
}

/// Gathers edits into writes of a good size.
struct Writer<'a> {
    journal: &'a mut Journal,
    edits: Vec<Edit>,
    octets: usize,
}

impl Writer<'_> {
    fn put(&mut self, kind: Kind, key: &[u8], value: &Value) -> io::Result<()> {
        let value = value.to_string().into_bytes();
        self.octets += value.len();
        self.edits.push(Edit::Put(kind, key.to_vec(), value));
        if self.octets >= WRITE_OCTETS { self.flush() } else { Ok(()) }
    }

    fn remove(&mut self, kind: Kind, key: &[u8]) -> io::Result<()> {
        if self.journal.get(kind, key).is_some() {
            self.edits.push(Edit::Remove(kind, key.to_vec()));
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.edits.is_empty() {
            self.journal.write(&self.edits)?;
        }
        self.edits.clear();
        self.octets = 0;
        Ok(())
    }
}

fn change_value(change: &Change) -> Value {
    json!({
        "at": change.at.0,
        "why": change.why.name(),
        "tell": change.tell,
        "observed_at": change.observed_at.map(|at| at.0),
        "alert": fields::alert(&change.alert),
    })
}

fn read_change(key: &[u8], value: &[u8]) -> Option<Change> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let why = value.get("why")?.as_str()?;
    Some(Change {
        seq: number(key)?,
        at: time(&value, "at")?,
        why: Why::ALL.iter().copied().find(|each| each.name() == why)?,
        tell: value.get("tell")?.as_bool()?,
        observed_at: time(&value, "observed_at"),
        alert: Arc::new(fields::read_alert(value.get("alert")?)?),
    })
}

fn alert_value(kept: &KeptAlert) -> Value {
    json!({
        "seq": kept.seq,
        "changed_at": kept.changed_at.0,
        "told_open": kept.told_open,
        "worst": kept.worst.name(),
        "alert": fields::alert(&kept.alert),
    })
}

fn read_alert(value: &[u8]) -> Option<KeptAlert> {
    let value: Value = serde_json::from_slice(value).ok()?;
    Some(KeptAlert {
        alert: Arc::new(fields::read_alert(value.get("alert")?)?),
        seq: value.get("seq")?.as_u64()?,
        changed_at: time(&value, "changed_at")?,
        told_open: value.get("told_open")?.as_bool()?,
        worst: value.get("worst")?.as_str()?.parse().ok()?,
    })
}

fn mute_value(mute: &Mute) -> Value {
    json!({
        "scope": fields::scope(&mute.scope),
        "reason": mute.reason,
        "author": mute.author,
        "created_at": mute.created_at.0,
        "until": mute.until.0,
    })
}

fn read_mute(key: &[u8], value: &[u8]) -> Option<Mute> {
    let value: Value = serde_json::from_slice(value).ok()?;
    let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    Some(Mute {
        id: std::str::from_utf8(key).ok()?.into(),
        scope: fields::read_scope(value.get("scope")?)?,
        reason: text("reason")?,
        author: text("author")?,
        created_at: time(&value, "created_at")?,
        until: time(&value, "until")?,
    })
}

fn time(value: &Value, name: &str) -> Option<Timestamp> {
    value.get(name)?.as_u64().map(Timestamp)
}

fn number(octets: &[u8]) -> Option<u64> {
    octets.try_into().ok().map(u64::from_be_bytes)
}
