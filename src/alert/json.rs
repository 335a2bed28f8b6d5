//! An alert as JSON, with the names that users' tools know: the same on the command line, over HTTP, in webhooks and in
//! the state directory. What is written can be read back.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value, json};

use super::{Alert, Comment, MuteView, Scope};
use crate::{
    detect::Fingerprint,
    types::{Asn, Timestamp},
};

/// Parts that one AS plays: a number, where others are lists.
const PLAYED_BY_ONE: &[&str] = &["leaker"];

/// The fields of an alert.
pub fn alert(alert: &Alert) -> Value {
    json!({
        "id": &*alert.id,
        "kind": alert.kind().name(),
        "severity": alert.severity.name(),
        "state": alert.state.name(),
        "prefix": alert.prefix.map(|prefix| prefix.to_string()),
        "asns": asns(alert),
        "neighbors": alert.neighbors.iter().map(|name| &**name).collect::<Vec<_>>(),
        "first_seen": alert.first_seen.to_string(),
        "last_seen": alert.last_seen.to_string(),
        "resolved_at": alert.resolved_at.map(|at| at.to_string()),
        "summary": alert.summary,
        "why": alert.why,
        "evidence": evidence(alert),
        "subject": &*alert.key.subject,
        "members": alert.members,
        "member_count": alert.member_count,
        "reopened": alert.reopened,
        "acknowledged_by": alert.acknowledged_by,
        "comments": alert.comments.iter().map(comment).collect::<Vec<_>>(),
        "muted": alert.muted,
    })
}

/// ASes by the part they play, as numbers.
pub fn asns(alert: &Alert) -> Value {
    let part = |(part, asns): (&Arc<str>, &Vec<Asn>)| {
        let value = match &asns[..] {
            [one] if PLAYED_BY_ONE.contains(&&**part) => json!(one.0),
            asns => json!(asns.iter().map(|asn| asn.0).collect::<Vec<_>>()),
        };
        (part.to_string(), value)
    };
    Value::Object(alert.asns.iter().map(part).collect())
}

/// The observations by name.
pub fn evidence(alert: &Alert) -> Value {
    Value::Object(alert.evidence.iter().map(|(name, value)| (name.to_string(), value.clone())).collect())
}

fn comment(comment: &Comment) -> Value {
    json!({ "at": comment.at.to_string(), "author": comment.author, "text": comment.text })
}

/// The fields of a mute or maintenance window.
pub fn mute(mute: &MuteView) -> Value {
    let Value::Object(mut fields) = scope(&mute.scope) else { return Value::Null };
    fields.insert("id".into(), json!(&*mute.id));
    fields.insert("reason".into(), json!(mute.reason));
    fields.insert("author".into(), json!(mute.author));
    fields.insert("created_at".into(), json!(mute.created_at.map(|at| at.to_string())));
    fields.insert("until".into(), json!(mute.until.map(|at| at.to_string())));
    fields.insert("active".into(), json!(mute.active));
    Value::Object(fields)
}

/// What a mute is about.
pub fn scope(scope: &Scope) -> Value {
    json!({
        "kinds": scope.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        "prefixes": scope.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "asns": scope.asns.iter().map(|asn| asn.0).collect::<Vec<_>>(),
        "neighbors": scope.neighbors,
        "alert": scope.alert.as_deref(),
    })
}

/// Reads what `alert` wrote; `None` for anything else.
pub fn read_alert(value: &Value) -> Option<Alert> {
    let fields = value.as_object()?;
    let text = |name: &str| fields.get(name)?.as_str();
    let time = |name: &str| -> Option<Timestamp> { text(name)?.parse().ok() };
    let own = |name: &str| text(name).map(str::to_owned);
    Some(Alert {
        id: text("id")?.into(),
        key: Fingerprint::new(text("kind")?.parse().ok()?, text("subject")?),
        severity: text("severity")?.parse().ok()?,
        state: text("state")?.parse().ok()?,
        prefix: absent_or(fields, "prefix", |value| value.as_str()?.parse().ok())?,
        asns: fields.get("asns")?.as_object()?.iter().map(read_part).collect::<Option<_>>()?,
        neighbors: texts(fields, "neighbors")?.into_iter().map(Arc::from).collect(),
        first_seen: time("first_seen")?,
        last_seen: time("last_seen")?,
        resolved_at: absent_or(fields, "resolved_at", |value| value.as_str()?.parse().ok())?,
        summary: own("summary")?,
        why: own("why")?,
        evidence: read_evidence(fields.get("evidence")?)?,
        members: texts(fields, "members")?,
        member_count: fields.get("member_count")?.as_u64()?,
        reopened: fields.get("reopened")?.as_u64()?.try_into().ok()?,
        acknowledged_by: absent_or(fields, "acknowledged_by", |value| value.as_str().map(str::to_owned))?,
        comments: fields.get("comments")?.as_array()?.iter().map(read_comment).collect::<Option<_>>()?,
        muted: absent_or(fields, "muted", |value| value.as_str().map(str::to_owned))?,
    })
}

/// Reads what `evidence` wrote.
pub fn read_evidence(value: &Value) -> Option<BTreeMap<Arc<str>, Value>> {
    Some(value.as_object()?.iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect())
}

/// Reads what `scope` wrote.
pub fn read_scope(value: &Value) -> Option<Scope> {
    let fields = value.as_object()?;
    Some(Scope {
        kinds: texts(fields, "kinds")?.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?,
        prefixes: texts(fields, "prefixes")?.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?,
        asns: fields.get("asns")?.as_array()?.iter().map(read_asn).collect::<Option<_>>()?,
        neighbors: texts(fields, "neighbors")?,
        alert: absent_or(fields, "alert", |value| value.as_str().map(Arc::from))?,
    })
}

fn read_comment(value: &Value) -> Option<Comment> {
    let text = |name: &str| value.get(name)?.as_str();
    Some(Comment { at: text("at")?.parse().ok()?, author: text("author")?.to_owned(), text: text("text")?.to_owned() })
}

fn read_part((part, value): (&String, &Value)) -> Option<(Arc<str>, Vec<Asn>)> {
    let asns = match value {
        Value::Array(asns) => asns.iter().map(read_asn).collect::<Option<_>>()?,
        one => vec![read_asn(one)?],
    };
    Some((part.as_str().into(), asns))
}

fn read_asn(value: &Value) -> Option<Asn> {
    value.as_u64()?.try_into().ok().map(Asn)
}

fn texts(fields: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    fields.get(name)?.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

/// `Some(None)` where nothing stands; `None` where something stands that `read` cannot read.
fn absent_or<T>(fields: &Map<String, Value>, name: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<Option<T>> {
    match fields.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(value) => read(value).map(Some),
    }
}
