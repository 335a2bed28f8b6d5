//! What a reload would change: two configurations in, a list of changes out, each with what it costs.

use std::fmt;

use super::{neighbor::Neighbor, sections::Config};
use crate::io::bgp::Remote;

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
        /// Whether its session must end and start again.
        resets: bool,
    },
    /// A section differs that only takes effect when the daemon is started again.
    NeedsRestart(&'static str),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(neighbor) => write!(f, "{}: added", neighbor.label()),
            Self::Removed(neighbor) => write!(f, "{}: removed, its session ends", neighbor.label()),
            Self::Changed { neighbor, keys, resets } => {
                let cost = if *resets { "its session resets" } else { "its session goes on" };
                write!(f, "{}: changed ({}), {cost}", neighbor.label(), keys.join(", "))
            }
            Self::NeedsRestart(section) => write!(f, "{section}: changed, takes effect when ribwatch is started again"),
        }
    }
}

/// What leads from `old` to `new`: removals first, so that an address is free before it is used again.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let sections = [
        ("[router]", old.router != new.router),
        ("[api]", old.api != new.api),
        ("[http]", old.http != new.http),
        ("[state]", old.state != new.state),
        ("[rib]", old.rib != new.rib),
        ("[decision]", old.decision != new.decision),
        ("[log]", old.log != new.log),
        ("[policy]", old.policy.library != new.policy.library),
        ("[rpki]", old.rpki != new.rpki),
        ("[[watch.prefix]]", old.watch_prefixes != new.watch_prefixes),
    ];
    let changed = sections.iter().filter(|(_, differs)| *differs);
    changes.extend(changed.map(|(section, _)| Change::NeedsRestart(section)));
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
    // Taken apart without `..`, so that a new key cannot be forgotten here.
    let Neighbor {
        name,
        remote: _,
        remote_asn,
        local_address,
        port,
        passive,
        enabled,
        limit,
        families,
        add_path,
        local_role,
        strict_role,
        import,
        export,
        monitor_only,
        password,
        distance,
        hold_time,
        min_hold_time,
        connect_retry,
        max_prefix,
        next_hop,
        extended_next_hop,
        delay_open,
        add_path_send,
        local_as,
        enforce_first_as,
        as_sets,
        discard_attributes,
        withdraw_attributes,
        import_options,
        export_options,
        graceful_restart,
        restart_time,
        stale_time_max,
        long_lived_stale_time,
        extended_message,
        software_version,
    } = old;
    let of_the_session = [
        ("remote_asn", *remote_asn != new.remote_asn),
        ("local_address", *local_address != new.local_address),
        ("port", *port != new.port),
        ("passive", *passive != new.passive),
        ("enabled", *enabled != new.enabled),
        ("families", *families != new.families),
        ("add_path", *add_path != new.add_path),
        ("local_role", *local_role != new.local_role),
        ("strict_role", *strict_role != new.strict_role),
        ("import", *import != new.import),
        ("export", *export != new.export),
        ("monitor_only", *monitor_only != new.monitor_only),
        ("password", *password != new.password),
        ("ttl_security or multihop", *distance != new.distance),
        ("hold_time", *hold_time != new.hold_time),
        ("min_hold_time", *min_hold_time != new.min_hold_time),
        ("connect_retry", *connect_retry != new.connect_retry),
        ("max_prefix", *max_prefix != new.max_prefix),
        ("next_hop_self or next_hop_unchanged", *next_hop != new.next_hop),
        ("extended_next_hop", *extended_next_hop != new.extended_next_hop),
        ("delay_open", *delay_open != new.delay_open),
        ("add_path_send", *add_path_send != new.add_path_send),
        ("local_as", *local_as != new.local_as),
        ("enforce_first_as", *enforce_first_as != new.enforce_first_as),
        ("as_sets", *as_sets != new.as_sets),
        ("discard_attributes", *discard_attributes != new.discard_attributes),
        ("withdraw_attributes", *withdraw_attributes != new.withdraw_attributes),
        ("allow_own_as or weight", *import_options != new.import_options),
        ("options of what it is sent", *export_options != new.export_options),
        ("graceful_restart", *graceful_restart != new.graceful_restart),
        ("restart_time", *restart_time != new.restart_time),
        ("stale_time_max", *stale_time_max != new.stale_time_max),
        ("long_lived_stale_time", *long_lived_stale_time != new.long_lived_stale_time),
        ("extended_message", *extended_message != new.extended_message),
        ("software_version", *software_version != new.software_version),
    ];
    let of_ours = [("name", *name != new.name), ("limit", *limit != new.limit)];
    let resets = of_the_session.iter().any(|(_, differs)| *differs);
    let keys: Vec<&'static str> =
        of_the_session.iter().chain(&of_ours).filter(|(_, differs)| *differs).map(|(key, _)| *key).collect();
    (!keys.is_empty()).then(|| Change::Changed { neighbor: new.clone(), keys, resets })
}
