//! What an alert says, from what its findings say: of one finding its own words; of several those of the finding that is
//! the cause, else of the gravest, with all that they are about as members.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};

use super::findings::{Group, Tracked};
use crate::{
    alert::{Alert, State},
    detect::{Finding, Fingerprint, Severity},
    types::{Asn, Prefix, Timestamp},
};

/// Most ASes in one part, and neighbours, that an alert of several findings names.
const NAMES_MAX: usize = 100;

/// The words of an alert.
pub(super) struct Words {
    pub(super) severity: Severity,
    prefix: Option<Prefix>,
    asns: BTreeMap<Arc<str>, Vec<Asn>>,
    neighbors: Vec<Arc<str>>,
    summary: String,
    why: String,
    evidence: BTreeMap<Arc<str>, Value>,
    members: Vec<String>,
    member_count: u64,
}

impl Words {
    /// The words of the alert `key` with these findings; `old` has the words of findings that nobody remembers. `None`:
    /// nothing is known of any finding.
    pub(super) fn of(
        key: &Fingerprint,
        group: &mut Group,
        findings: &BTreeMap<Fingerprint, Tracked>,
        old: Option<&Alert>,
    ) -> Option<Self> {
        let body = |key: &Fingerprint| findings.get(key).and_then(|tracked| tracked.body.as_ref());
        group.shown = shown(key, group, findings);
        let Some(finding) = group.shown.as_ref().and_then(body) else {
            let mut words = Self::from_alert(old?);
            words.severity = group.worst()?;
            (words.members, words.member_count) = (members(key, group, findings), group.members);
            return Some(words);
        };
        let mut words = Self::from_finding(finding, group.worst()?);
        let others = (group.keys.len() - group.symptoms).saturating_sub(1);
        let symptoms = group.symptoms - usize::from(finding.symptom);
        if others + symptoms > 0 {
            words.gather(key, group.bodies.iter().filter_map(body));
            words.evidence.insert("finding".into(), json!(finding.key.to_string()));
            words.evidence.insert("findings".into(), json!(group.keys.len()));
        }
        if others > 0 {
            words.summary = format!("{}; {others} more with the same cause", finding.summary);
            let why = finding.why.trim_end_matches('.');
            words.why = format!("{why}; {others} more findings have the same cause ({key})");
        }
        if symptoms > 0 {
            let seen =
                group.bodies.iter().filter_map(|key| findings.get(key).filter(|tracked| tracked.symptom).map(|_| key));
            let kinds: BTreeSet<&str> = seen.map(|key| key.kind.name()).collect();
            let kinds: Vec<&str> = kinds.into_iter().collect();
            words.why = format!("{}; with it came {}", words.why.trim_end_matches('.'), kinds.join(", "));
            words.evidence.insert("symptoms".into(), json!(symptoms));
        }
        if others > 0 || finding.key != *key {
            (words.members, words.member_count) = (members(key, group, findings), group.members);
        }
        Some(words)
    }

    fn from_finding(finding: &Finding, severity: Severity) -> Self {
        let named = |(name, value): (&&'static str, &Value)| (Arc::from(*name), value.clone());
        let mut evidence: BTreeMap<Arc<str>, Value> = finding.evidence.iter().map(named).collect();
        if !finding.score.is_empty() {
            let terms = finding.score.iter().map(|term| json!({ "name": term.name, "weight": term.weight }));
            evidence.insert("score".into(), terms.collect());
        }
        Self {
            severity,
            prefix: finding.prefix,
            asns: finding.asns.iter().map(|(part, asns)| (Arc::from(*part), asns.clone())).collect(),
            neighbors: finding.neighbors.clone(),
            summary: finding.summary.clone(),
            why: finding.why.clone(),
            evidence,
            members: finding.members.clone(),
            member_count: finding.member_count,
        }
    }

    fn from_alert(alert: &Alert) -> Self {
        let Alert { severity, prefix, asns, neighbors, summary, why, evidence, members, member_count, .. } =
            alert.clone();
        Self { severity, prefix, asns, neighbors, summary, why, evidence, members, member_count }
    }

    /// ASes and neighbours of all, and the prefix that all have.
    fn gather<'a>(&mut self, key: &Fingerprint, findings: impl Iterator<Item = &'a Arc<Finding>> + Clone) {
        let mut asns: BTreeMap<Arc<str>, BTreeSet<Asn>> = BTreeMap::new();
        let mut neighbors: BTreeSet<&Arc<str>> = BTreeSet::new();
        for finding in findings.clone() {
            for (part, played_by) in &finding.asns {
                asns.entry(Arc::from(*part)).or_default().extend(played_by);
            }
            neighbors.extend(&finding.neighbors);
        }
        self.asns = asns.into_iter().map(|(part, asns)| (part, asns.into_iter().take(NAMES_MAX).collect())).collect();
        self.neighbors = neighbors.into_iter().take(NAMES_MAX).cloned().collect();
        let (prefix, mut findings) = (self.prefix, findings);
        // The prefix of the cause itself is what it is about; one of many members is not.
        self.prefix = prefix.filter(|_| findings.all(|other| other.prefix == prefix || other.key == *key));
    }

    /// A new alert with these words.
    pub(super) fn begin(self, id: Arc<str>, key: Fingerprint, first_seen: Timestamp) -> Alert {
        Alert {
            id,
            key,
            severity: self.severity,
            state: State::Open,
            prefix: self.prefix,
            asns: self.asns,
            neighbors: self.neighbors,
            first_seen,
            last_seen: first_seen,
            resolved_at: None,
            summary: self.summary,
            why: self.why,
            evidence: self.evidence,
            members: self.members,
            member_count: self.member_count,
            reopened: 0,
            acknowledged_by: None,
            comments: Vec::new(),
            muted: None,
        }
    }

    /// Puts these words in place of an alert's.
    pub(super) fn say(self, alert: &mut Alert) {
        alert.severity = self.severity;
        alert.prefix = self.prefix;
        alert.asns = self.asns;
        alert.neighbors = self.neighbors;
        alert.summary = self.summary;
        alert.why = self.why;
        alert.evidence = self.evidence;
        alert.members = self.members;
        alert.member_count = self.member_count;
    }
}

/// Gives an alert the words that it had as `peak`.
pub(super) fn recall(alert: &mut Alert, peak: &Alert) {
    Words::from_alert(peak).say(alert);
}

/// The finding whose words an alert has: the cause itself; else the one it had, unless another is graver; else the first
/// of the gravest that is no symptom.
fn shown(key: &Fingerprint, group: &Group, findings: &BTreeMap<Fingerprint, Tracked>) -> Option<Fingerprint> {
    let severity = |key: &Fingerprint| findings.get(key).map(|tracked| tracked.severity);
    if group.bodies.contains(key) {
        return Some(key.clone());
    }
    // What the cause does to others is told only if nothing else is left.
    let is_symptom = |key: &Fingerprint| findings.get(key).is_some_and(|tracked| tracked.symptom);
    let rank = |key: &Fingerprint| (!is_symptom(key), severity(key));
    let worst = group.bodies.iter().map(rank).max();
    let is_worst = |key: &&Fingerprint| group.bodies.contains(*key) && Some(rank(key)) == worst;
    group.shown.iter().find(is_worst).or_else(|| group.bodies.iter().find(is_worst)).cloned()
}

/// A sample of what the findings are about, sorted.
fn members(key: &Fingerprint, group: &Group, findings: &BTreeMap<Fingerprint, Tracked>) -> Vec<String> {
    let mut members = BTreeSet::new();
    for each in group.keys.iter().take(Finding::MEMBERS_MAX) {
        let Some(tracked) = findings.get(each).filter(|tracked| !tracked.symptom) else { continue };
        match &tracked.body {
            Some(body) if !body.members.is_empty() => members.extend(body.members.iter().cloned()),
            _ if each == key => {}
            _ => drop(members.insert(tracked.prefix.map_or_else(|| each.subject.to_string(), |p| p.to_string()))),
        }
    }
    members.into_iter().take(Finding::MEMBERS_MAX).collect()
}
