//! What stands: findings by fingerprint. Whoever looks at something anew says all that stands about it now; what is new,
//! different or gone becomes a report.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Fingerprint, News, Report};
use crate::types::Timestamp;

/// Who answers for a finding: all that one owner has to say is said at once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Owner {
    /// What the scene of a prefix shows.
    Scene(crate::types::Prefix),
    /// A detector that keeps its findings itself.
    Rule(&'static str),
}

/// Findings that stand, and reports that were not taken yet.
#[derive(Debug, Default)]
pub struct Board {
    standing: BTreeMap<Fingerprint, Finding>,
    owned: BTreeMap<Owner, BTreeSet<Fingerprint>>,
    reports: Vec<Report>,
}

impl Board {
    /// All that `owner` finds now; what it found before and does not any more is over, and `how` says why.
    pub fn replace(&mut self, at: Timestamp, owner: &Owner, findings: Vec<Finding>, how: &dyn Fn(&Finding) -> String) {
        let before = self.owned.remove(owner).unwrap_or_default();
        let mut now = BTreeSet::new();
        for finding in findings {
            // Two that are the same are one: the graver.
            if now.insert(finding.key.clone())
                || self.standing.get(&finding.key).is_some_and(|other| other.severity < finding.severity)
            {
                self.stand(at, finding);
            }
        }
        for key in before.difference(&now) {
            if let Some(gone) = self.standing.get(key) {
                let how = how(gone);
                self.clear(at, key, how);
            }
        }
        if !now.is_empty() {
            self.owned.insert(owner.clone(), now);
        }
    }

    /// A finding stands, or stands on something else; nothing is said when it is just as it was.
    pub fn stand(&mut self, at: Timestamp, finding: Finding) {
        if self.standing.get(&finding.key) != Some(&finding) {
            self.reports.push(Report { at, news: News::Stands(Box::new(finding.clone())) });
            self.standing.insert(finding.key.clone(), finding);
        }
    }

    /// A finding stands no more.
    pub fn clear(&mut self, at: Timestamp, key: &Fingerprint, how: String) {
        if self.standing.remove(key).is_some() {
            self.reports.push(Report { at, news: News::Cleared { key: key.clone(), how } });
        }
    }

    /// Says something that is about no finding.
    pub fn say(&mut self, at: Timestamp, news: News) {
        self.reports.push(Report { at, news });
    }

    /// A finding that stands.
    pub fn get(&self, key: &Fingerprint) -> Option<&Finding> {
        self.standing.get(key)
    }

    /// Whether a finding stands.
    pub fn stands(&self, key: &Fingerprint) -> bool {
        self.standing.contains_key(key)
    }

    /// Findings that stand, by fingerprint.
    pub fn standing(&self) -> impl Iterator<Item = &Finding> {
        self.standing.values()
    }

    /// Prefixes whose scenes have findings.
    pub fn scenes(&self) -> impl Iterator<Item = crate::types::Prefix> {
        self.owned.keys().filter_map(|owner| match owner {
            Owner::Scene(prefix) => Some(*prefix),
            Owner::Rule(_) => None,
        })
    }

    /// Reports in order.
    pub fn take(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }
}
