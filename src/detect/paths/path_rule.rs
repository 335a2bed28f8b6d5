//! Paths that break a rule about paths: too long, too many prepends in a row, an origin that looks like a mistyped prepend
//! count, or an expression of the operator's that no path may match.
//!
//! # False positives
//! The limits are far above what is in use (length 50, 20 prepends). A small origin behind an AS that it does not neighbour
//! is a mistyped `prepend 5` in nearly all cases: it is information only.

use regex::Regex;

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Kind, Severity},
    types::Asn,
    wire::bgp::path_expression::expand_delimiters,
};

/// `[[watch.path]]`: an expression that no path may match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denied {
    /// What it is called.
    pub name: String,
    /// The expression, in the dialect of routers.
    pub expression: String,
}

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Longest path, as the decision process counts.
    pub length_max: u16,
    /// Most times that one AS may stand in a row.
    pub prepends_max: usize,
    /// Expressions that no path may match.
    pub denied: Vec<Denied>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, length_max: 50, prepends_max: 20, denied: Vec::new() }
    }
}

/// The detector.
#[derive(Debug)]
pub struct PathRules {
    settings: Settings,
    denied: Vec<(String, Regex)>,
}

impl PathRules {
    /// As the settings say; expressions that are none are left out, the configuration refuses them.
    pub fn new(settings: &Settings) -> Option<Self> {
        let compiled = settings
            .denied
            .iter()
            .filter_map(|denied| Some((denied.name.clone(), Regex::new(&expand_delimiters(&denied.expression)).ok()?)));
        settings.enabled.then(|| Self { settings: settings.clone(), denied: compiled.collect() })
    }
}

/// Largest prepend count that somebody may have typed as an AS number.
const PREPENDS_TYPED_MAX: u32 = 30;

impl PathRule for PathRules {
    fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict) {
        let text = || path.path.to_string();
        let origin = path.facts.origin_asn().unwrap_or_default();
        let mut found = |subject: String, severity, summary: String, why: String| {
            let finding = Finding::new(Fingerprint::new(Kind::PathRule, subject), severity, summary, why)
                .asns("origin", [origin])
                .evidence("as_path", text())
                .term("path_rule", 1);
            verdict.faults.push(Fault::new(finding));
        };
        let length = path.facts.path_length();
        if length > self.settings.length_max {
            let most = self.settings.length_max;
            found(
                format!("length AS{origin}"),
                Severity::Info,
                format!("a path to AS{origin} has {length} ASes"),
                format!("paths have at most {most} ASes here, and one to AS{origin} has {length}"),
            );
        }
        if let Some((asn, times)) = longest_run(path, self.settings.prepends_max) {
            let most = self.settings.prepends_max;
            found(
                format!("prepends AS{asn}"),
                Severity::Info,
                format!("AS{asn} stands {times} times in a row"),
                format!("one AS stands at most {most} times in a row here, and AS{asn} does {times} times"),
            );
        }
        if let [.., before, last] = path.hops.as_slice()
            && (1..=PREPENDS_TYPED_MAX).contains(&last.0)
            && path.watch.asn(*before).is_some()
        {
            found(
                format!("prepend AS{before} AS{last}"),
                Severity::Warning,
                format!("AS{before} originates as AS{last}: a mistyped prepend?"),
                format!("AS{last} stands behind AS{before}, which is watched: `prepend {last}` makes it an AS number"),
            );
        }
        if !self.denied.is_empty() {
            let printed = text();
            for (name, _) in self.denied.iter().filter(|(_, expression)| expression.is_match(&printed)) {
                found(
                    name.clone(),
                    Severity::Warning,
                    format!("a path matches {name}"),
                    format!("no path may match {name}, and {printed} does"),
                );
            }
        }
    }
}

/// The first AS that stands more than `most` times in a row, and how often it does.
fn longest_run(path: &PathSeen<'_>, most: usize) -> Option<(Asn, usize)> {
    if usize::from(path.facts.path_length()) <= most {
        return None;
    }
    let asns: Vec<Asn> = path.path.asns().collect();
    asns.chunk_by(|a, b| a == b).find(|run| run.len() > most).map(|run| (run[0], run.len()))
}
