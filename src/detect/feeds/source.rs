//! `rpki-cache`: a source of RPKI data that fails, whose data expired, or whose ASPAs cannot be used. It is looked at now
//! and then and keeps nothing: what is wrong is in the view of the source.
//!
//! Settings: none of its own; `[[rpki.cache]]` has the times of a source.
//!
//! # False positives
//! A try that fails is no fault of the source: it must fail for a minute. That data expire while another source has the same
//! is a warning, and critical only where there is no other.

use std::time::Duration;

use crate::{
    detect::{Finding, Fingerprint, Hold, Kind, Severity},
    view::rpki::{SourceState, SourceView},
};

/// How long a source may fail before it is an alert: most failures are over with the next try.
const HOLD: Duration = Duration::from_secs(60);

/// What is wrong with one of so many sources; `None`: nothing is.
pub fn sick(source: &SourceView, sources: usize) -> Option<Finding> {
    let (severity, what) = match (source.state, source.kind) {
        (SourceState::Synced, _) => {
            let why = source.without_aspas.as_deref()?;
            return Some(finding(source, Severity::Warning, "is used without its ASPAs", why));
        }
        (SourceState::Starting, _) if source.last_error.is_none() => return None,
        (SourceState::Starting, _) => (Severity::Warning, "has given no data yet"),
        (SourceState::Failing, "slurm") => (Severity::Warning, "cannot be read; what was read before stays in force"),
        (SourceState::Failing, _) => (Severity::Warning, "fails; its last data stay in force until they expire"),
        (SourceState::Expired, _) if sources == 1 => {
            (Severity::Critical, "expired: its data are dropped, and there is no other")
        }
        (SourceState::Expired, _) => (Severity::Warning, "expired: its data are dropped"),
    };
    Some(finding(source, severity, what, source.last_error.as_deref().unwrap_or("it does not answer")))
}

fn finding(source: &SourceView, severity: Severity, what: &str, because: &str) -> Finding {
    let name = &source.name;
    let key = Fingerprint::new(Kind::RpkiCache, format!("cache {name}"));
    let mut finding = Finding::new(
        key,
        severity,
        format!("RPKI source {name} {what}"),
        format!("the RPKI source {name} at {} {what}: {because}", source.place),
    )
    .evidence("state", source.state.name())
    .evidence("place", source.place.clone())
    .evidence("error", because)
    .term("rpki_source", 2);
    finding.hold = Hold { open: HOLD, ..Hold::default() };
    finding
}
