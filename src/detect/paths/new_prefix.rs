//! A prefix of a watched AS that no rule knows: a turn-up that nobody declared, a slip of the pen that hijacks somebody, or
//! somebody who forges the origin.
//!
//! Settings (`[detect.new_prefix]`): `enabled` true. `new_prefixes` of `[[watch.asn]]`, true.
//!
//! # False positives
//! Planned turn-ups: declare them first. `new_prefixes = false` of the `[[watch.asn]]` turns it off for an AS.

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Kind, Severity},
    types::Prefix,
};

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// The detector.
#[derive(Debug)]
pub struct NewPrefix;

impl NewPrefix {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Option<Self> {
        settings.enabled.then_some(Self)
    }
}

impl PathRule for NewPrefix {
    fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict) {
        if path.watch.watches_asns()
            && let Some(origin) = path.facts.origin_asn()
            && path.watch.asn(origin).is_some_and(|rule| rule.new_prefixes)
        {
            verdict.by_prefix = true;
        }
    }

    fn judge_prefix(&self, path: &PathSeen<'_>, prefix: Prefix, verdict: &mut Verdict) {
        let Some(origin) = path.facts.origin_asn() else { return };
        let watched = path.watch.asn(origin).is_some_and(|rule| rule.new_prefixes);
        if !watched || path.watch.rule(prefix).is_some() || path.watch.parent(prefix).is_some() {
            return;
        }
        let near = nearest(path, prefix);
        let looks_like = near.map(|near| format!("; the nearest declared one is {near}")).unwrap_or_default();
        let key = Fingerprint::new(Kind::NewPrefix, format!("{prefix} AS{origin}"));
        let summary = format!("AS{origin} originates {prefix}, which is not declared");
        let why = format!("AS{origin} is watched, and no rule knows {prefix}{looks_like}");
        let mut finding = Finding::new(key, Severity::Warning, summary, why)
            .about(prefix)
            .asns("origin", [origin])
            .evidence("as_path", path.path.to_string())
            .term("undeclared_prefix", 2);
        if let Some(near) = near {
            finding = finding.evidence("nearest", near.to_string());
        }
        verdict.faults.push(Fault::new(finding));
    }
}

/// The declared prefix that differs in the fewest decimal digits: a slip of the pen is near.
fn nearest(path: &PathSeen<'_>, prefix: Prefix) -> Option<Prefix> {
    let text = prefix.to_string();
    let same_family = path.watch.rules().map(|rule| rule.prefix).filter(|other| other.is_v4() == prefix.is_v4());
    let near = same_family.take(RULES_COMPARED_MAX).map(|other| (distance(&text, &other.to_string()), other));
    near.min().filter(|(distance, _)| *distance <= 2).map(|(_, other)| other)
}

/// Rules that a new prefix is compared with.
const RULES_COMPARED_MAX: usize = 4096;

/// Levenshtein distance of two short texts.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}
