//! What a sink keeps over a restart, as records: deliveries that wait, alerts that the receiver knows as not over, and how
//! far the stream of changes was read. JSON, so that a record of an older version, with fewer fields, is read by a newer.
//!
//! ```text
//! key                        value
//! 'w', number (8, big-endian)  a change, and the severity told before
//! 't', the alert's id          the change that was told last
//! 'n'                          number of the last change that was looked at
//! ```

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Parcel;
use crate::{
    alert::{Alert, Change, Comment, State, Why},
    detect::{Fingerprint, Severity},
    types::{Asn, Timestamp},
};

/// A record.
#[derive(Debug)]
pub(super) enum Record {
    /// A delivery that waits, with its number.
    Waiting(u64, Parcel),
    /// What the receiver knows of an alert.
    Told(Change),
    /// How far the stream was read.
    Taken(u64),
}

#[derive(Serialize, Deserialize)]
struct KeptChange {
    seq: u64,
    at: u64,
    why: String,
    tell: bool,
    observed_at: Option<u64>,
    alert: KeptAlert,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct KeptAlert {
    id: String,
    kind: String,
    subject: String,
    severity: String,
    state: String,
    prefix: Option<String>,
    asns: BTreeMap<String, Vec<u32>>,
    neighbors: Vec<String>,
    first_seen: u64,
    last_seen: u64,
    resolved_at: Option<u64>,
    summary: String,
    why: String,
    evidence: BTreeMap<String, Value>,
    members: Vec<String>,
    member_count: u64,
    reopened: u32,
    acknowledged_by: Option<String>,
    comments: Vec<(u64, String, String)>,
    muted: Option<String>,
}

pub(super) fn waiting_key(number: u64) -> Vec<u8> {
    [b"w", &number.to_be_bytes()[..]].concat()
}

pub(super) fn told_key(id: &str) -> Vec<u8> {
    [b"t", id.as_bytes()].concat()
}

pub(super) fn waiting(number: u64, parcel: &Parcel) -> (Vec<u8>, Vec<u8>) {
    (waiting_key(number), octets(&parcel.change, parcel.before))
}

pub(super) fn told(change: &Change) -> (Vec<u8>, Vec<u8>) {
    (told_key(&change.alert.id), octets(change, None))
}

pub(super) fn taken(seq: u64) -> (Vec<u8>, Vec<u8>) {
    (b"n".to_vec(), seq.to_string().into_bytes())
}

/// A line for the file of dead letters.
pub(super) fn dead_letter(parcel: &Parcel, why: &str) -> String {
    json!({"why": why, "change": keep(&parcel.change, parcel.before)}).to_string()
}

/// Reads a record; `None`: it is none, or one of a version that knows more.
pub(super) fn read(key: &[u8], value: &[u8]) -> Option<Record> {
    match key.split_first()? {
        (b'w', number) => {
            let number = u64::from_be_bytes(number.try_into().ok()?);
            let kept: KeptChange = serde_json::from_slice(value).ok()?;
            let before = kept.before.as_deref().map(str::parse).transpose().ok()?;
            Some(Record::Waiting(number, Parcel { change: Arc::new(restore(kept)?), before }))
        }
        (b't', _) => Some(Record::Told(restore(serde_json::from_slice(value).ok()?)?)),
        (b'n', []) => Some(Record::Taken(std::str::from_utf8(value).ok()?.parse().ok()?)),
        _ => None,
    }
}

fn octets(change: &Change, before: Option<Severity>) -> Vec<u8> {
    serde_json::to_vec(&keep(change, before)).unwrap_or_default()
}

fn keep(change: &Change, before: Option<Severity>) -> KeptChange {
    let alert = &*change.alert;
    let asns = alert.asns.iter().map(|(part, asns)| (part.to_string(), asns.iter().map(|asn| asn.0).collect()));
    KeptChange {
        seq: change.seq,
        at: change.at.0,
        why: change.why.name().to_owned(),
        tell: change.tell,
        observed_at: change.observed_at.map(|at| at.0),
        before: before.map(|severity| severity.name().to_owned()),
        alert: KeptAlert {
            id: alert.id.to_string(),
            kind: alert.kind().name().to_owned(),
            subject: alert.key.subject.to_string(),
            severity: alert.severity.name().to_owned(),
            state: alert.state.name().to_owned(),
            prefix: alert.prefix.map(|prefix| prefix.to_string()),
            asns: asns.collect(),
            neighbors: alert.neighbors.iter().map(ToString::to_string).collect(),
            first_seen: alert.first_seen.0,
            last_seen: alert.last_seen.0,
            resolved_at: alert.resolved_at.map(|at| at.0),
            summary: alert.summary.clone(),
            why: alert.why.clone(),
            evidence: alert.evidence.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
            members: alert.members.clone(),
            member_count: alert.member_count,
            reopened: alert.reopened,
            acknowledged_by: alert.acknowledged_by.clone(),
            comments: alert.comments.iter().map(|c| (c.at.0, c.author.clone(), c.text.clone())).collect(),
            muted: alert.muted.clone(),
        },
    }
}

fn restore(kept: KeptChange) -> Option<Change> {
    let alert = kept.alert;
    let asns = alert.asns.into_iter().map(|(part, asns)| (part.into(), asns.into_iter().map(Asn).collect()));
    let comment = |(at, author, text)| Comment { at: Timestamp(at), author, text };
    Some(Change {
        seq: kept.seq,
        at: Timestamp(kept.at),
        why: why(&kept.why)?,
        tell: kept.tell,
        observed_at: kept.observed_at.map(Timestamp),
        alert: Arc::new(Alert {
            id: alert.id.into(),
            key: Fingerprint::new(alert.kind.parse().ok()?, alert.subject),
            severity: alert.severity.parse().ok()?,
            state: State::ALL.iter().copied().find(|state| state.name() == alert.state)?,
            prefix: alert.prefix.map(|prefix| prefix.parse()).transpose().ok()?,
            asns: asns.collect(),
            neighbors: alert.neighbors.into_iter().map(Into::into).collect(),
            first_seen: Timestamp(alert.first_seen),
            last_seen: Timestamp(alert.last_seen),
            resolved_at: alert.resolved_at.map(Timestamp),
            summary: alert.summary,
            why: alert.why,
            evidence: alert.evidence.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            members: alert.members,
            member_count: alert.member_count,
            reopened: alert.reopened,
            acknowledged_by: alert.acknowledged_by,
            comments: alert.comments.into_iter().map(comment).collect(),
            muted: alert.muted,
        }),
    })
}

fn why(name: &str) -> Option<Why> {
    use Why::{Acknowledged, Changed, Commented, Muted, Opened, Reminder, Reopened, Resolved, Unmuted};
    let all = [Opened, Reopened, Changed, Reminder, Acknowledged, Commented, Resolved, Unmuted, Muted];
    all.into_iter().find(|why| why.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::sample;

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let (opened, resolved) = sample::pair(Timestamp(1_764_000_000_123_456), 1);
        let mut alert = (*opened.alert).clone();
        alert.comments.push(Comment { at: Timestamp(5), author: "a".into(), text: "b".into() });
        alert.members = vec!["203.0.113.0/24".into()];
        (alert.member_count, alert.reopened) = (7, 2);
        (alert.muted, alert.acknowledged_by) = (Some("work".into()), Some("me".into()));
        let full = Change { observed_at: Some(Timestamp(9)), why: Why::Reminder, alert: Arc::new(alert), ..opened };
        for change in [full, resolved] {
            let parcel = Parcel { change: Arc::new(change.clone()), before: Some(Severity::Warning) };
            let (key, value) = waiting(258, &parcel);
            assert!(matches!(read(&key, &value), Some(Record::Waiting(258, read)) if read == parcel));
            let (key, value) = told(&change);
            assert!(matches!(read(&key, &value), Some(Record::Told(read)) if read == change));
        }
        let (key, value) = taken(77);
        assert!(matches!(read(&key, &value), Some(Record::Taken(77))));
    }

    #[test]
    fn what_is_no_record_is_none() {
        let (opened, _) = sample::pair(Timestamp(1), 1);
        let (key, value) = told(&opened);
        let text = String::from_utf8(value.clone()).unwrap();
        let rows: [(&[u8], Vec<u8>); 6] = [
            (b"", value.clone()),
            (b"x", value.clone()),
            (b"w123", value.clone()),
            (b"n", b"many".to_vec()),
            (&key, value[..value.len() - 1].to_vec()),
            (&key, text.replace("subprefix-hijack", "something-new").into_bytes()),
        ];
        for (key, value) in rows {
            assert!(read(key, &value).is_none(), "{key:?}");
        }
    }

    #[test]
    fn every_reason_has_a_name_that_is_read() {
        for name in
            ["opened", "reopened", "changed", "reminder", "acknowledged", "commented", "resolved", "unmuted", "muted"]
        {
            assert_eq!(why(name).map(Why::name), Some(name));
        }
    }
}
