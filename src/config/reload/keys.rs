//! What each key of a neighbour costs when it changes. A session resets for what its OPEN said, for how it is
//! connected, and for how its UPDATEs are read, since routes that it has are not read again. Everything else is
//! the engine's: it judges kept routes again and sends the difference.

use super::super::neighbor::{Neighbor, RouteFilters};
use crate::{
    engine::{ExportOptions, ImportOptions},
    view::reload::Cost::{self, Nothing, Reevaluates, Resets},
};

/// The keys in which two versions of one neighbour differ, with what each costs.
pub(super) fn compare(old: &Neighbor, new: &Neighbor) -> Vec<(&'static str, Cost)> {
    // Taken apart without `..`, so that a new key cannot be forgotten here.
    let Neighbor {
        name,
        group,
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
        import_options: ImportOptions { allow_own_as, weight, flowspec_validation, accept_validation_state },
        export_options:
            ExportOptions {
                next_hop: _, // `next_hop` above
                link_local_next_hop,
                route_reflector_client,
                route_server_client,
                remove_private,
                as_override,
                add_path: add_path_select,
                default_originate,
                advertisement_interval,
                graceful_shutdown,
                aigp,
                send_validation_state,
            },
        route_filters: RouteFilters { modes: orf, prefix_set: orf_prefix_set, entries: orf_entries, entries_max },
        graceful_restart,
        restart_time,
        vantage,
        stale_time_max,
        long_lived_stale_time,
        extended_message,
        software_version,
    } = old;
    let filters = &new.route_filters;
    let of_import = &new.import_options;
    let of_export = &new.export_options;
    let keys = [
        // Whom it is about and how it is connected.
        ("remote_asn", *remote_asn != new.remote_asn, Resets),
        ("local_address", *local_address != new.local_address, Resets),
        ("port", *port != new.port, Resets),
        ("passive", *passive != new.passive, Resets),
        ("enabled", *enabled != new.enabled, Resets),
        ("password", *password != new.password, Resets),
        ("ttl_security or multihop", *distance != new.distance, Resets),
        ("connect_retry", *connect_retry != new.connect_retry, Resets),
        ("delay_open", *delay_open != new.delay_open, Resets),
        // What OPEN says.
        ("families", *families != new.families, Resets),
        ("add_path", *add_path != new.add_path, Resets),
        ("add_path_send", *add_path_send != new.add_path_send, Resets),
        ("orf", *orf != new.route_filters.modes, Resets),
        ("local_role", *local_role != new.local_role, Resets),
        ("strict_role", *strict_role != new.strict_role, Resets),
        ("hold_time", *hold_time != new.hold_time, Resets),
        ("min_hold_time", *min_hold_time != new.min_hold_time, Resets),
        ("extended_next_hop", *extended_next_hop != new.extended_next_hop, Resets),
        ("extended_message", *extended_message != new.extended_message, Resets),
        ("software_version", *software_version != new.software_version, Resets),
        ("local_as", *local_as != new.local_as, Resets),
        ("graceful_restart", *graceful_restart != new.graceful_restart, Resets),
        ("restart_time", *restart_time != new.restart_time, Resets),
        ("long_lived_stale_time", *long_lived_stale_time != new.long_lived_stale_time, Resets),
        // How its UPDATEs are read, and whether it is sent any.
        ("enforce_first_as", *enforce_first_as != new.enforce_first_as, Resets),
        ("as_sets", *as_sets != new.as_sets, Resets),
        ("discard_attributes", *discard_attributes != new.discard_attributes, Resets),
        ("withdraw_attributes", *withdraw_attributes != new.withdraw_attributes, Resets),
        ("aigp", *aigp != of_export.aigp, Resets),
        ("monitor_only", *monitor_only != new.monitor_only, Resets),
        // Others were told its routes as those of a client, or not (RFC 4456 §6); only a new session tells them anew.
        ("route_reflector_client", *route_reflector_client != of_export.route_reflector_client, Resets),
        // The engine's.
        ("import", *import != new.import, Reevaluates),
        ("export", *export != new.export, Reevaluates),
        ("allow_own_as", *allow_own_as != of_import.allow_own_as, Reevaluates),
        ("flowspec_validation", *flowspec_validation != of_import.flowspec_validation, Reevaluates),
        ("weight", *weight != of_import.weight, Reevaluates),
        ("accept_validation_state", *accept_validation_state != of_import.accept_validation_state, Reevaluates),
        ("send_validation_state", *send_validation_state != of_export.send_validation_state, Reevaluates),
        ("next_hop_self or next_hop_unchanged", *next_hop != new.next_hop, Reevaluates),
        ("link_local_next_hop", *link_local_next_hop != of_export.link_local_next_hop, Reevaluates),
        ("route_server_client", *route_server_client != of_export.route_server_client, Reevaluates),
        ("remove_private", *remove_private != of_export.remove_private, Reevaluates),
        ("as_override", *as_override != of_export.as_override, Reevaluates),
        ("add_path_select", *add_path_select != of_export.add_path, Reevaluates),
        ("default_originate", *default_originate != of_export.default_originate, Reevaluates),
        ("graceful_shutdown", *graceful_shutdown != of_export.graceful_shutdown, Reevaluates),
        // Policies may ask for these two.
        ("name", *name != new.name, Reevaluates),
        ("group", *group != new.group, Reevaluates),
        ("advertisement_interval", *advertisement_interval != of_export.advertisement_interval, Nothing),
        ("max_prefix", *max_prefix != new.max_prefix, Nothing),
        ("vantage", *vantage != new.vantage, Nothing),
        ("stale_time_max", *stale_time_max != new.stale_time_max, Nothing),
        // The neighbour is told what differs, and sends what comes of it.
        ("orf_prefix_set", (orf_prefix_set, orf_entries) != (&filters.prefix_set, &filters.entries), Nothing),
        ("orf_entries_max", *entries_max != filters.entries_max, Nothing),
        ("limit", *limit != new.limit, Nothing),
    ];
    keys.into_iter().filter(|(_, differs, _)| *differs).map(|(key, _, cost)| (key, cost)).collect()
}
