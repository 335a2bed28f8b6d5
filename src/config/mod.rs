//! The TOML file: read with every fault told at its line and column, checked across sections, compared on reload.
//!
//! `source` prints faults, `read` walks tables and knows which keys were asked for, `value` says what single
//! values look like, `sections` and `neighbor` hold the keys with defaults and units, `reload` compares two
//! files. No other room knows that TOML exists: what a neighbour's keys say leaves as the settings
//! that `session`, `engine` and `io` declare.

mod access;
mod alert;
mod decision;
mod neighbor;
mod policy;
mod read;
mod reload;
mod rpki;
mod sections;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod value;
mod watch;

use std::path::Path;

pub use access::Access;
pub use neighbor::Neighbor;
use policy::PolicyNames;
pub use policy::{Policies, neighbor_facts};
pub use reload::{Change, diff};
pub use sections::{Config, GroupTexts, Listener, Log, LogFormat, Rib, Router, State, Telemetry};
pub use source::{ConfigError, Problem};
use toml::de::DeTable;
pub use value::{parse_duration, print_duration};

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or has faults; all faults that were found are in the error.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// As [`Config::load`], and runs the tests in the file (`[[policy.test]]`).
    ///
    /// # Errors
    /// As [`Config::load`]; a test that fails is a fault, told with what its policies did.
    pub fn load_and_test(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let file = path.display().to_string();
        let config = Self::parse(&file, &text)?;
        let failed = config.policy.failures();
        if failed.is_empty() { Ok(config) } else { Err(ConfigError::faults(&file, &text, failed)) }
    }

    /// Reads and checks `text`; `file` is its name in messages.
    ///
    /// # Errors
    /// The text has faults; all that were found are in the error.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let root = parse_toml(file, text)?;
        let faults = read::Faults::default();
        let base = Path::new(file).parent().unwrap_or(Path::new(""));
        let config = sections::read_file(&root, base, &faults);
        match config {
            Some(config) if faults.borrow().is_empty() => Ok(Self { groups: group_texts(text), ..config }),
            _ => Err(ConfigError::faults(file, text, faults.into_inner())),
        }
    }

    /// What the file asks for that this build only checks, one sentence each; the daemon says them at start.
    pub fn inactive(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.state.is_none() {
            notes.push(
                "no [state] dir: nothing is kept over a restart, and neighbors cannot be told of one (RFC 4724, R bit)"
                    .to_owned(),
            );
        }
        notes
    }

    /// What the operator probably wants to know about settings that are legal, one sentence each.
    pub fn advice(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        notes.extend(access::advice([("[api]", &self.api), ("[http]", &self.http)], &self.access));
        for neighbor in &self.neighbors {
            let external = neighbor.remote_asn.known() != Some(self.router.asn);
            if external && neighbor.import.is_empty() && !neighbor.monitor_only {
                notes.push(format!(
                    "{}: no import policy, so its routes are kept but none is used (RFC 8212); \
                     to use them add import = [\"accept-all\"]",
                    neighbor.label()
                ));
            }
        }
        notes
    }
}

/// Reads the keys of one `[[neighbor]]`, without its heading, as they are given at run time; policies and groups that
/// it may name are those of `config`.
///
/// # Errors
/// As `Config::parse`; lines are counted in `text`.
pub fn parse_neighbor(text: &str, config: &Config) -> Result<Neighbor, ConfigError> {
    const FILE: &str = "neighbor";
    let faults = read::Faults::default();
    let alone = parse_toml(FILE, text)?;
    if let Some((key, _)) = alone.get_ref().iter().find(|(key, _)| key.get_ref().as_ref() == "neighbor_group") {
        let what = "a neighbor that is added by command brings no groups".to_owned();
        let help = "name a group of the configuration file with `group`".to_owned();
        return Err(ConfigError::faults(FILE, text, vec![Problem { span: key.span(), what, help }]));
    }
    // The neighbour's own lines come first, so that their numbers are those of `text`.
    let whole = format!("{text}\n{}", config.groups.0);
    let root = parse_toml(FILE, &whole)?;
    let names = PolicyNames::of(&config.policy);
    let neighbor = sections::read_one_neighbor(&root, &config.router, &names, &faults);
    match neighbor {
        Some(neighbor) if faults.borrow().is_empty() => Ok(neighbor),
        _ => Err(ConfigError::faults(FILE, &whole, faults.into_inner())),
    }
}

/// The groups of a text that has no faults.
fn group_texts(text: &str) -> GroupTexts {
    const KEY: &str = "neighbor_group";
    if !text.contains(KEY) {
        return GroupTexts::default();
    }
    let mut file: toml::Table = toml::from_str(text).unwrap_or_default();
    file.retain(|key, _| key == KEY);
    GroupTexts(toml::to_string(&file).unwrap_or_default())
}

fn parse_toml<'a>(file: &str, text: &'a str) -> Result<toml::Spanned<DeTable<'a>>, ConfigError> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(root);
    }
    let problems = errors.iter().map(|error| Problem {
        span: error.span().unwrap_or(0..0),
        what: format!("not TOML: {}", error.message()),
        help: String::new(),
    });
    Err(ConfigError::faults(file, text, problems.collect()))
}
