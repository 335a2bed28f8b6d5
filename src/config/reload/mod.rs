//! What a reload would change: two configurations in, a list of changes out, each with what it costs. `keys` is the
//! table of what a neighbour's keys cost, `rpki` compares sources of RPKI data. Nothing is carried out here.

mod keys;
mod rpki;

use std::sync::Arc;

use super::{
    neighbor::Neighbor,
    sections::{Config, Router},
};
use crate::{
    detect,
    io::bgp::Remote,
    policy::{Library, PolicyChain},
    sink::SinkSettings,
    types::PeerKind,
    view::reload::{ChangeView, Cost},
};

/// One difference between two configurations.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// A neighbour is new.
    Added(Neighbor),
    /// A neighbour is gone; its session ends.
    Removed(Neighbor),
    /// A neighbour has other settings.
    Changed {
        /// As it is to be.
        neighbor: Neighbor,
        /// The keys that differ.
        keys: Vec<&'static str>,
        /// What the dearest of them costs: `Nothing`, `Reevaluates` or `Resets`.
        cost: Cost,
    },
    /// Policies, or sets that they use, mean something else.
    Policies {
        /// Those that are new, gone or other than they were, by name.
        names: Vec<String>,
        /// Neighbours that use them under unchanged keys, and are judged again.
        neighbors: usize,
    },
    /// `[decision]`: best paths are chosen again.
    Decision,
    /// `[router] owned`: what may be originated by command.
    Owned,
    /// `[rpki]`: where validated payloads come from; what differs, in words.
    Rpki(Vec<String>),
    /// `[access]`: who is let in.
    Access,
    /// `[alert]`: how alerts live.
    Alert,
    /// `[watch]` or `[detect]`: what is watched.
    Detect,
    /// `[[sink]]`: who is told of alerts; what differs, in words.
    Sinks(Vec<String>),
    /// `[log] level`.
    LogLevel(tracing::Level),
    /// A section, or keys of it, that only takes effect when the daemon is started again.
    NeedsRestart {
        /// As the file writes it.
        section: &'static str,
        /// The keys that differ; empty: the section as a whole.
        keys: Vec<&'static str>,
    },
}

impl Change {
    /// The change in words.
    pub fn view(&self) -> ChangeView {
        let view = |kind, subject: String, keys: Vec<String>, cost, says: String| {
            let text = format!("{subject}: {says}");
            ChangeView { kind, subject, keys, cost, text }
        };
        let owned = |keys: &[&'static str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        match self {
            Self::Added(neighbor) => view("added", neighbor.label(), vec![], Cost::Nothing, "added".into()),
            Self::Removed(neighbor) => {
                let says = "removed, its session ends".into();
                view("removed", neighbor.label(), vec![], Cost::Resets, says)
            }
            Self::Changed { neighbor, keys, cost, .. } => {
                let what = match cost {
                    Cost::Resets => "its session resets",
                    Cost::Reevaluates => "its session goes on, and the difference is sent",
                    Cost::Nothing | Cost::Restart => "its session goes on",
                };
                let says = format!("changed ({}), {what}", keys.join(", "));
                view("changed", neighbor.label(), owned(keys), *cost, says)
            }
            Self::Policies { names, neighbors } => {
                let subject = match names.as_slice() {
                    [] => "policies".to_owned(),
                    [name] => format!("policy {name}"),
                    names => format!("policies {}", names.join(", ")),
                };
                let count = match neighbors {
                    0 => "no neighbor uses it otherwise than before".to_owned(),
                    1 => "1 neighbor re-evaluated, no session resets".to_owned(),
                    count => format!("{count} neighbors re-evaluated, no session resets"),
                };
                let cost = if *neighbors == 0 { Cost::Nothing } else { Cost::Reevaluates };
                view("changed", subject, names.clone(), cost, format!("changed, {count}"))
            }
            Self::Decision => {
                let says = "changed, best paths are chosen again, no session resets".into();
                view("changed", "[decision]".into(), vec![], Cost::Reevaluates, says)
            }
            Self::Owned => {
                let says = "changed (owned), holds for what is originated from now on".into();
                view("changed", "[router]".into(), vec!["owned".into()], Cost::Nothing, says)
            }
            Self::Rpki(differences) => {
                let says = format!(
                    "changed ({}), routes whose state changes are judged again, no session resets",
                    differences.join("; ")
                );
                view("changed", "[rpki]".into(), differences.clone(), Cost::Reevaluates, says)
            }
            Self::Detect => {
                let says = "changed, all there is is looked at anew".into();
                view("changed", "[watch] or [detect]".into(), vec![], Cost::Nothing, says)
            }
            Self::Access => {
                let says = "changed, holds for what is asked from now on".into();
                view("changed", "[access]".into(), vec![], Cost::Nothing, says)
            }
            Self::Alert => {
                let says = "changed, holds for alerts from now on".into();
                view("changed", "[alert]".into(), vec![], Cost::Nothing, says)
            }
            Self::Sinks(differences) => {
                let says = format!("changed ({})", differences.join("; "));
                view("changed", "[[sink]]".into(), differences.clone(), Cost::Nothing, says)
            }
            Self::LogLevel(level) => {
                let level = level.as_str().to_lowercase();
                view("changed", "[log]".into(), vec!["level".into()], Cost::Nothing, format!("level is {level} now"))
            }
            Self::NeedsRestart { section, keys } => {
                let which = if keys.is_empty() { String::new() } else { format!(" ({})", keys.join(", ")) };
                let says = format!("changed{which}, takes effect when ribwatch is started again");
                view("changed", (*section).to_owned(), owned(keys), Cost::Restart, says)
            }
        }
    }
}

/// What leads from `old` to `new`: removals first, so that an address is free before it is used again.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = sections(old, new);
    changes.extend(policies(old, new));
    let gone = old.neighbors.iter().filter(|neighbor| find(new, &neighbor.remote).is_none());
    changes.extend(gone.cloned().map(Change::Removed));
    for neighbor in &new.neighbors {
        match find(old, &neighbor.remote) {
            None => changes.push(Change::Added(neighbor.clone())),
            Some(before) => changes.extend(compare(before, neighbor)),
        }
    }
    changes
}

fn find<'a>(config: &'a Config, remote: &Remote) -> Option<&'a Neighbor> {
    config.neighbors.iter().find(|neighbor| neighbor.remote == *remote)
}

/// How two versions of one neighbour differ; `None` when they do not.
fn compare(old: &Neighbor, new: &Neighbor) -> Option<Change> {
    let differing = keys::compare(old, new);
    let cost = differing.iter().map(|(_, cost)| *cost).max()?;
    let keys = differing.into_iter().map(|(key, _)| key).collect();
    Some(Change::Changed { neighbor: new.clone(), keys, cost })
}

fn sections(old: &Config, new: &Config) -> Vec<Change> {
    // Taken apart without `..`, so that a new section cannot be forgotten here.
    let Config {
        router,
        api,
        http,
        access,
        telemetry,
        state,
        rib,
        decision,
        log,
        policy: _, // see `policies`
        neighbors: _,
        groups: _, // what they say is in the neighbours
        rpki,
        detect,
        notes: _, // about files that `detect` holds
        alert,
        sinks,
    } = old;
    let mut changes = Vec::new();
    let mut restart = |section, differs: bool, keys| {
        if differs {
            changes.push(Change::NeedsRestart { section, keys });
        }
    };
    let keys = router_keys(router, &new.router);
    restart("[router]", !keys.is_empty(), keys);
    restart("[api]", *api != new.api, vec![]);
    restart("[http]", *http != new.http, vec![]);
    restart("[telemetry]", *telemetry != new.telemetry, vec![]);
    restart("[state]", *state != new.state, vec![]);
    restart("[rib]", *rib != new.rib, vec![]);
    restart("[log]", log.format != new.log.format, vec!["format"]);
    restart("[rpki]", rpki.hold_import != new.rpki.hold_import, vec!["hold_import"]);
    // Another AS of ours takes a restart, with all that follows from it.
    if *detect != (detect::Settings { own_asn: detect.own_asn, ..new.detect.clone() }) {
        changes.push(Change::Detect);
    }
    let sources = rpki::compare(rpki, &new.rpki);
    if !sources.is_empty() {
        changes.push(Change::Rpki(sources));
    }
    if *decision != new.decision {
        changes.push(Change::Decision);
    }
    if router.owned != new.router.owned {
        changes.push(Change::Owned);
    }
    if *access != new.access {
        changes.push(Change::Access);
    }
    if *alert != new.alert {
        changes.push(Change::Alert);
    }
    let differences = compare_sinks(sinks, &new.sinks);
    if !differences.is_empty() {
        changes.push(Change::Sinks(differences));
    }
    if log.level != new.log.level {
        changes.push(Change::LogLevel(new.log.level));
    }
    changes
}

/// How two lists of sinks differ, one item for each; a name is what makes two of them the same sink.
fn compare_sinks(old: &[SinkSettings], new: &[SinkSettings]) -> Vec<String> {
    let find = |list: &[SinkSettings], name: &str| list.iter().find(|sink| sink.name == name).cloned();
    let gone = old.iter().filter(|sink| find(new, &sink.name).is_none());
    let gone = gone.map(|sink| format!("{} removed, what waits for it stays on disk", sink.name));
    let others = new.iter().filter_map(|sink| match find(old, &sink.name) {
        None => Some(format!("{} added", sink.name)),
        Some(before) => (before != *sink).then(|| format!("{} has other settings", sink.name)),
    });
    gone.chain(others).collect()
}

fn router_keys(old: &Router, new: &Router) -> Vec<&'static str> {
    let Router { asn, router_id, listen, hostname, cluster_id, confederation, user, owned: _ } = old; // `owned`: see `sections`
    let keys = [
        ("asn", *asn != new.asn),
        ("router_id", *router_id != new.router_id),
        ("listen", *listen != new.listen),
        ("hostname", *hostname != new.hostname),
        ("cluster_id", *cluster_id != new.cluster_id),
        ("confederation", *confederation != new.confederation),
        ("user", *user != new.user),
    ];
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// Which policies mean something else, and to how many neighbours; `None` when every set and policy is the same.
fn policies(old: &Config, new: &Config) -> Option<Change> {
    let (before, after) = (&old.policy.library, &new.policy.library);
    if before == after {
        return None;
    }
    // A name alone is a chain; the kind of neighbour makes no difference to what its policy means.
    let one = |library: &Library, name: &str| PolicyChain::new(library, &[Arc::from(name)], PeerKind::External);
    let mut names: Vec<String> = before.names().chain(after.names()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names.retain(|name| before.contains(name) != after.contains(name) || one(before, name) != one(after, name));
    let uses = |list: &[String]| list.iter().any(|name| names.contains(name));
    let concerned = new.neighbors.iter().filter(|neighbor| {
        let same_keys = find(old, &neighbor.remote)
            .is_some_and(|before| before.import == neighbor.import && before.export == neighbor.export);
        same_keys && (uses(&neighbor.import) || uses(&neighbor.export))
    });
    let neighbors = concerned.count();
    Some(Change::Policies { names, neighbors })
}
