//! Paths that break a rule about paths: too long, too many prepends in a row, an origin that looks like a mistyped prepend
//! count, or an expression of the operator's that no path may match.
//!
//! Settings (`[detect.path_rule]`) and defaults: `length_max` 50, `prepends_max` 20; `[[watch.path]]` denies more.
//!
//! # False positives
//! The limits are far above what is in use (length 50, 20 prepends). A small origin behind an AS that it does not neighbour
//! is a mistyped `prepend 5` in nearly all cases: it is information only.

use regex::Regex;

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Kind, Severity},
    types::{Asn, Prefix},
    wire::bgp::path_expression::expand_delimiters,
};

/// `[[watch.path]]`: what no path may be. All that is said must hold together, and the length lie outside its bounds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denied {
    /// What it is called.
    pub name: String,
    /// Only paths to this prefix and to those inside it; `None`: to any.
    pub prefix: Option<Prefix>,
    /// An expression that the path matches, in the dialect of routers.
    pub expression: Option<String>,
    /// An expression that makes it fine after all.
    pub unless: Option<String>,
    /// Whether expressions are about ASes with commas between them instead of spaces.
    pub commas: bool,
    /// Shorter paths are wrong.
    pub length_min: Option<u16>,
    /// Longer paths are wrong.
    pub length_max: Option<u16>,
}

impl Denied {
    /// Says nothing of any path yet.
    pub fn new(name: String) -> Self {
        Self { name, prefix: None, expression: None, unless: None, commas: false, length_min: None, length_max: None }
    }

    /// Whether no path can break it.
    pub fn is_empty(&self) -> bool {
        self.expression.is_none() && self.length_min.is_none() && self.length_max.is_none()
    }
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
    denied: Vec<Rule>,
}

/// A `Denied` with its expressions compiled.
#[derive(Debug)]
struct Rule {
    denied: Denied,
    expression: Option<Regex>,
    unless: Option<Regex>,
}

impl Rule {
    /// `None`: it says nothing, or an expression is none.
    fn new(denied: &Denied) -> Option<Self> {
        let compile = |expression: &Option<String>| match expression {
            Some(expression) => Regex::new(&expand_delimiters(expression)).map(Some),
            None => Ok(None),
        };
        let (expression, unless) = (compile(&denied.expression).ok()?, compile(&denied.unless).ok()?);
        (!denied.is_empty()).then(|| Self { denied: denied.clone(), expression, unless })
    }

    fn is_broken_by(&self, length: u16, printed: &str) -> bool {
        let commas;
        let printed = match self.denied.commas {
            true => {
                commas = printed.replace(' ', ",");
                &commas
            }
            false => printed,
        };
        let Denied { length_min, length_max, .. } = self.denied;
        let bounded = length_min.is_some() || length_max.is_some();
        let outside = length_min.is_some_and(|least| length < least) || length_max.is_some_and(|most| length > most);
        (!bounded || outside)
            && self.expression.as_ref().is_none_or(|expression| expression.is_match(printed))
            && !self.unless.as_ref().is_some_and(|unless| unless.is_match(printed))
    }

    fn fault(&self, path: &PathSeen<'_>, printed: &str) -> Fault {
        let name = &self.denied.name;
        let why = match (&self.denied.expression, self.denied.prefix) {
            (None, _) => format!("{name} says how long paths may be, and {printed} is not"),
            (Some(_), None) => format!("no path may match {name}, and {printed} does"),
            (Some(_), Some(prefix)) => format!("no path to {prefix} may match {name}, and {printed} does"),
        };
        let summary = format!("a path matches {name}");
        let finding = Finding::new(Fingerprint::new(Kind::PathRule, name.clone()), Severity::Warning, summary, why)
            .asns("origin", [path.facts.origin_asn().unwrap_or_default()])
            .evidence("as_path", printed)
            .term("path_rule", 1);
        Fault::new(finding)
    }
}

impl PathRules {
    /// As the settings say; expressions that are none are left out, the configuration refuses them.
    pub fn new(settings: &Settings) -> Option<Self> {
        let compiled = settings.denied.iter().filter_map(Rule::new);
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
            for rule in self.denied.iter().filter(|rule| rule.is_broken_by(length, &printed)) {
                match rule.denied.prefix {
                    None => verdict.faults.push(rule.fault(path, &printed)),
                    Some(_) => verdict.by_prefix = true,
                }
            }
        }
    }

    fn judge_prefix(&self, path: &PathSeen<'_>, prefix: Prefix, verdict: &mut Verdict) {
        let concerns = |rule: &&Rule| rule.denied.prefix.is_some_and(|around| around.covers(&prefix));
        let mut rules = self.denied.iter().filter(concerns).peekable();
        if rules.peek().is_some() {
            let printed = path.path.to_string();
            let broken = rules.filter(|rule| rule.is_broken_by(path.facts.path_length(), &printed));
            verdict.faults.extend(broken.map(|rule| rule.fault(path, &printed)));
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
