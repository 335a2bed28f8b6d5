//! Detection against the past and against chance: incidents of the corpus among real routes, events that are drawn by
//! seed, and windows in which nothing happened. Each prints what it found; `benches/README.md` says how to repeat it at
//! full size.

mod archive;
mod known;

use std::{collections::BTreeMap, sync::Arc};

use ribwatch::{
    alert::Alert,
    app::replay::{Raised, Replay},
    config::Config,
    types::Timestamp,
};

pub use archive::Archive;

/// A replay under these rules; `more` is appended to a configuration that needs nothing else.
pub fn replay(more: &str) -> Replay {
    let text = format!("[router]\nasn = 64512\nrouter_id = \"198.51.100.1\"\nlisten = []\n{more}");
    Replay::new(&Config::parse("rules.toml", &text).unwrap_or_else(|error| panic!("{error}")), None)
}

/// Rules for prefixes with their origins.
pub fn watched(rules: &BTreeMap<String, Vec<String>>) -> String {
    let rule = |(prefix, origins): (&String, &Vec<String>)| {
        format!("[[watch.prefix]]\nprefix = \"{prefix}\"\norigins = [{}]\n", origins.join(", "))
    };
    rules.iter().map(rule).collect()
}

/// One line about an alert.
pub fn line(raised: &Raised) -> String {
    let alert: &Arc<Alert> = &raised.alert;
    let until = alert.resolved_at.map_or_else(|| "open".to_owned(), |at: Timestamp| at.to_string());
    let Alert { severity, key, member_count, summary, .. } = &**alert;
    format!("{} to {until} {severity} {key} ({member_count}): {summary}", raised.opened_at)
}
