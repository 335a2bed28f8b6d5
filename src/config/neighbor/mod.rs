//! `[[neighbor]]`: its keys, their defaults and units. `group` is what neighbours inherit from, `parts` reads values of
//! more than one form, `check` knows which keys contradict each other.

mod check;
mod filters;
mod group;
mod parts;

pub use filters::RouteFilters;
pub(super) use group::Groups;
pub(super) use parts::read_password;

use std::{net::IpAddr, ops::Range, sync::Arc, time::Duration};

use super::{
    policy::PolicyNames,
    read::Table,
    sections::{HOLD_TIME_MAX, Router},
    value,
};
use crate::{
    engine::{self, ExportOptions, ImportOptions, LocalAs, MaxPrefix, NextHopRule, RemovePrivate, Retention},
    io::bgp::{Distance, NeighborSettings, Password, Remote, label},
    session::{self, RemoteAsn, RestartOffer},
    types::{Asn, Family, Prefix, Role},
    view::observed::VantageClass,
    wire::bgp::update::{AsSets, CodeSet, Rules},
};

/// What is done about graceful restart (RFC 4724).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GracefulRestart {
    /// Nothing is announced or kept.
    Off,
    /// Its routes are kept while it restarts; it is not asked to keep ours.
    Helper,
    /// As `Helper`, and it is asked to keep our routes while we restart.
    On,
}

/// One `[[neighbor]]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Neighbor {
    /// `name`: shown wherever the address is.
    pub name: Option<String>,
    /// `group`: the `[[neighbor_group]]` whose keys it has where it does not say otherwise.
    pub group: Option<String>,
    /// `address` or `range`.
    pub remote: Remote,
    /// `remote_asn`.
    pub remote_asn: RemoteAsn,
    /// `local_address`: our end; default: the kernel chooses.
    pub local_address: Option<IpAddr>,
    /// `port` that we connect to; default 179.
    pub port: u16,
    /// `passive`: never connects by itself; default false, always true for a range.
    pub passive: bool,
    /// `enabled`; default true. False: the session stays down until `neighbor enable`.
    pub enabled: bool,
    /// `limit`: how many speakers of a range may be connected at a time; default 1000.
    pub limit: usize,
    /// `families`; default ipv4-unicast and ipv6-unicast.
    pub families: Vec<Family>,
    /// `add_path`: families in which several paths per prefix are received (RFC 7911); default none.
    pub add_path: Vec<Family>,
    /// `local_role`, our role towards the neighbour (RFC 9234).
    pub local_role: Option<Role>,
    /// `strict_role`: the neighbour must announce its role too; default false.
    pub strict_role: bool,
    /// `import`: policy names; none on eBGP rejects everything (RFC 8212).
    pub import: Vec<String>,
    /// `export`: policy names, likewise.
    pub export: Vec<String>,
    /// `monitor_only`: nothing is ever sent but keepalives; default false.
    pub monitor_only: bool,
    /// `password` or `password_file`.
    pub password: Option<Password>,
    /// `multihop` or `ttl_security`.
    pub distance: Distance,
    /// `hold_time` that we propose; default 90 s. 0: no keepalives.
    pub hold_time: Duration,
    /// `min_hold_time` that we accept; default 3 s.
    pub min_hold_time: Duration,
    /// `connect_retry`: time between attempts to connect; default 5 s, with jitter and back-off.
    pub connect_retry: Duration,
    /// `max_prefix`: limits on what the neighbour may send; for one family, or (`None`) for all together.
    pub max_prefix: Vec<(Option<Family>, MaxPrefix)>,
    /// `next_hop_self` or `next_hop_unchanged`; default: as the RFCs say.
    pub next_hop: NextHopRule,
    /// `extended_next_hop`: offer IPv6 next hops for IPv4 routes on IPv4 transport too (RFC 8950); default false.
    pub extended_next_hop: bool,
    /// `delay_open`: how long to wait for its OPEN before ours is sent (RFC 4271 §8.1.1); default: not at all.
    pub delay_open: Duration,
    /// `add_path_send`: families in which several paths per prefix are sent (RFC 7911); default none.
    pub add_path_send: Vec<Family>,
    /// `local_as`: another AS than ours towards it.
    pub local_as: Option<LocalAs>,
    /// `enforce_first_as`; default true, false where we are the client of a route server.
    pub enforce_first_as: bool,
    /// `as_sets`: `accept` or `withdraw` (RFC 9774); default withdraw, accept where nothing is sent.
    pub as_sets: AsSets,
    /// `discard_attributes`: codes that are dropped from its routes.
    pub discard_attributes: CodeSet,
    /// `withdraw_attributes`: codes whose presence withdraws its routes.
    pub withdraw_attributes: CodeSet,
    /// `allow_own_as`, `weight`, `flowspec_validation`, `accept_validation_state`.
    pub import_options: ImportOptions,
    /// `link_local_next_hop`, `route_reflector_client`, `route_server_client`, `remove_private`, `as_override`, `add_path_select`,
    /// `default_originate`, `advertisement_interval`, `graceful_shutdown`, `aigp`,
    /// `send_validation_state`.
    pub export_options: ExportOptions,
    /// `orf`, `orf_prefix_set`, `orf_entries_max`.
    pub route_filters: RouteFilters,
    /// `graceful_restart`; default helper.
    pub graceful_restart: GracefulRestart,
    /// `restart_time` that we announce; default 120 s.
    pub restart_time: Duration,
    /// `vantage`: whose view its routes are: `own`, `route-server` or `public`; default own.
    pub vantage: VantageClass,
    /// `stale_time_max`: longest time to keep its routes while it restarts; default 6 min.
    pub stale_time_max: Duration,
    /// `long_lived_stale_time` (RFC 9494); default zero: not at all.
    pub long_lived_stale_time: Duration,
    /// `extended_message`: offer messages up to 65,535 octets (RFC 8654); default true.
    pub extended_message: bool,
    /// `software_version`: tell the neighbour our version (draft-abraitis-bgp-version-capability); default false.
    pub software_version: bool,
}

impl Neighbor {
    /// How messages call it: `neighbor edge-1 (192.0.2.1)`, or without a name `neighbor 192.0.2.1`.
    pub fn label(&self) -> String {
        label(self.name.as_deref(), self.remote)
    }

    /// Our AS as this neighbour knows it: `local_as`, else that of the router; for those outside a confederation its
    /// identifier (RFC 5065 §4.1).
    pub fn local_asn(&self, router: &Router) -> Asn {
        if let Some(local_as) = self.local_as {
            return local_as.asn;
        }
        match (&router.confederation, self.remote_asn.known()) {
            (Some(confederation), Some(asn)) if asn != router.asn && !confederation.members.contains(&asn) => {
                confederation.id
            }
            _ => router.asn,
        }
    }

    /// Whether it is in another member AS of our confederation (RFC 5065 §3).
    pub fn is_confederation_member(&self, router: &Router) -> bool {
        let members = router.confederation.as_ref().map(|confederation| &confederation.members);
        self.remote_asn.known().is_some_and(|asn| members.is_some_and(|members| members.contains(&asn)))
    }

    /// The settings that the session's driver, the session and the engine want.
    pub fn settings(&self, router: &Router) -> NeighborSettings {
        // Neighbours on this machine have no other addresses to name as next hop.
        let loopback_next_hop = self.remote.prefix().addr().is_loopback();
        let session = session::PeerSettings {
            rules: Rules {
                loopback_next_hop,
                as_sets: self.as_sets,
                confederation: self.is_confederation_member(router),
                aigp_external: self.export_options.aigp,
                discard: self.discard_attributes,
                withdraw: self.withdraw_attributes,
                ..Rules::default()
            },
            passive: self.passive,
            enabled: self.enabled,
            monitor_only: self.monitor_only,
            families: self.families.clone(),
            add_path_receive: self.add_path.clone(),
            hold_time: self.hold_time,
            min_hold_time: self.min_hold_time,
            connect_retry: self.connect_retry,
            local_role: self.local_role,
            strict_role: self.strict_role,
            hostname: router.hostname.clone(),
            software_version: self.software_version.then(|| format!("ribwatch/{}", env!("CARGO_PKG_VERSION"))),
            extended_message: self.extended_message,
            extended_next_hop: self.extended_next_hop,
            delay_open: (!self.delay_open.is_zero()).then_some(self.delay_open),
            add_path_send: self.add_path_send.clone(),
            route_filters: self.route_filters.modes.clone(),
            enforce_first_as: self.enforce_first_as,
            end_of_rib: self.graceful_restart != GracefulRestart::Off,
            restart: RestartOffer {
                restart_time: (self.graceful_restart == GracefulRestart::On).then_some(self.restart_time),
                long_lived: (!self.long_lived_stale_time.is_zero()).then_some(self.long_lived_stale_time),
                restarted_until: None,
            },
            ..session::PeerSettings::new(self.local_asn(router), router.router_id, self.remote_asn.clone())
        };
        let engine = engine::PeerSettings {
            name: self.label().into(),
            called: self.name.as_deref().map(Into::into),
            import: self.import.iter().map(|name| name.as_str().into()).collect(),
            export: self.export.iter().map(|name| name.as_str().into()).collect(),
            monitor_only: self.monitor_only,
            max_prefix: self.max_prefix.clone(),
            group: self.group.as_deref().map(Into::into),
            local_as: self.local_as,
            import_options: self.import_options,
            export_options: ExportOptions { next_hop: self.next_hop, ..self.export_options.clone() },
            retention: Retention {
                helper: self.graceful_restart != GracefulRestart::Off,
                stale_time_max: self.stale_time_max,
                long_lived_max: self.long_lived_stale_time,
            },
            filter_entries_max: self.route_filters.entries_max,
            vantage: self.vantage,
        };
        NeighborSettings {
            name: self.name.clone(),
            remote: self.remote,
            port: self.port,
            local_address: self.local_address,
            password: self.password.clone(),
            distance: self.distance,
            limit: self.limit,
            route_filter: Arc::clone(&self.route_filters.entries),
            session: Arc::new(session),
            engine: Arc::new(engine),
        }
    }
}

/// A neighbour and where the file speaks of it.
pub(super) struct Placed {
    pub(super) neighbor: Neighbor,
    pub(super) remote_span: Range<usize>,
    pub(super) name_span: Range<usize>,
    pub(super) passive_span: Range<usize>,
    pub(super) role_span: Range<usize>,
}

/// Reads one `[[neighbor]]`; `None` when whom it is about is missing or faulty (then noted).
pub(super) fn read<'a>(table: Table<'a>, groups: &Groups<'a>, policies: &PolicyNames) -> Option<Placed> {
    let (mut table, group) = groups.inherit(table);
    let remote = parts::read_remote(&mut table);
    let remote_asn = table.required("remote_asn", "remote_asn = 64496", parts::read_remote_asn);
    let name = table.opt("name", value::label);
    let placed = remote.zip(remote_asn).map(|about| read_keys(&mut table, name, group, about, policies));
    match &placed {
        Some(placed) => check::check(&table, &placed.neighbor),
        // For the faults of the other keys.
        None => read_anyone(&mut table, policies),
    }
    table.finish();
    placed
}

/// Reads all keys but those that say whom they are about, for their faults only.
fn read_anyone(table: &mut Table<'_>, policies: &PolicyNames) {
    let anyone = Remote::Range(Prefix::v4(0, 0));
    read_keys(table, None, None, (anyone, RemoteAsn::Any), policies);
}

/// Reads all keys but those that say whom they are about.
fn read_keys(
    table: &mut Table<'_>,
    name: Option<String>,
    group: Option<String>,
    (remote, remote_asn): (Remote, RemoteAsn),
    policies: &PolicyNames,
) -> Placed {
    let is_range = matches!(remote, Remote::Range(_));
    let local_address = table.opt("local_address", value::host_address);
    let port = table.or("port", 179, |v| value::integer(v, 1..=65535).map(|port| port as u16));
    let passive = table.or("passive", is_range, value::boolean);
    let enabled = table.or("enabled", true, value::boolean);
    let limit = table.or("limit", 1000, |v| value::integer(v, 1..=100_000).map(|limit| limit as usize));
    let default_families = vec![Family::IPV4_UNICAST, Family::IPV6_UNICAST];
    let families = table.or("families", default_families, |v| value::some_of(v, "[\"ipv4-unicast\"]", value::family));
    let add_path = table.or("add_path", Vec::new(), |v| value::list(v, "[\"ipv4-unicast\"]", value::family));
    let local_role = table.opt("local_role", value::role);
    let strict_role = table.or("strict_role", false, value::boolean);
    let import = table.or("import", Vec::new(), |v| policies.chain(v, "[\"accept-all\"]"));
    let export = table.or("export", Vec::new(), |v| policies.chain(v, "[\"reject-all\"]"));
    let monitor_only = table.or("monitor_only", false, value::boolean);
    let password = parts::read_password(table);
    let distance = parts::read_distance(table);
    let hold_time = table.or("hold_time", Duration::from_secs(90), parts::read_hold_time);
    let min_hold_time = table
        .or("min_hold_time", Duration::from_secs(3), |v| value::duration(v, Duration::from_secs(3)..=HOLD_TIME_MAX));
    let connect_retry = table.or("connect_retry", Duration::from_secs(5), |v| {
        value::duration(v, Duration::from_secs(1)..=Duration::from_secs(3600))
    });
    let max_prefix = parts::read_max_prefix(table);
    let next_hop_self = table.or("next_hop_self", false, value::boolean);
    let next_hop_unchanged = table.or("next_hop_unchanged", false, value::boolean);
    let next_hop = match (next_hop_self, next_hop_unchanged) {
        (false, false) => NextHopRule::Standard,
        (true, false) => NextHopRule::OwnAddress,
        (false, true) => NextHopRule::Unchanged,
        (true, true) => {
            let what = "`next_hop_unchanged` contradicts `next_hop_self`";
            table.fault(table.span_of("next_hop_unchanged"), what, "remove one of them");
            NextHopRule::Standard
        }
    };
    let extended_next_hop = table.or("extended_next_hop", false, value::boolean);
    let delay_open = table.or("delay_open", Duration::ZERO, parts::read_delay_open);
    let add_path_send = table.or("add_path_send", Vec::new(), |v| value::list(v, "[\"ipv4-unicast\"]", value::family));
    let local_as = parts::read_local_as(table);
    let enforce_first_as = table.or("enforce_first_as", local_role != Some(Role::RouteServerClient), value::boolean);
    let as_sets_default = if monitor_only { AsSets::Accept } else { AsSets::TreatAsWithdraw };
    let as_sets = table.or("as_sets", as_sets_default, |v| {
        value::word(v, &[("accept", AsSets::Accept), ("withdraw", AsSets::TreatAsWithdraw)])
    });
    let discard_attributes = table.or("discard_attributes", CodeSet::EMPTY, parts::read_codes);
    let withdraw_attributes = table.or("withdraw_attributes", CodeSet::EMPTY, parts::read_codes);
    let import_options = ImportOptions {
        allow_own_as: table.or("allow_own_as", 0, |v| value::integer(v, 0..=10).map(|times| times as u8)),
        weight: table.or("weight", 0, |v| value::integer(v, 0..=65535).map(|weight| weight as u16)),
        flowspec_validation: table.opt("flowspec_validation", value::boolean),
        accept_validation_state: table.or("accept_validation_state", false, value::boolean),
    };
    let export_options = read_export_options(table);
    let route_filters = filters::read(table, &families, policies);
    let modes = [("off", GracefulRestart::Off), ("helper", GracefulRestart::Helper), ("on", GracefulRestart::On)];
    let graceful_restart = table.or("graceful_restart", GracefulRestart::Helper, |v| value::word(v, &modes));
    let classes = [VantageClass::Own, VantageClass::RouteServer, VantageClass::Public].map(|c| (c.name(), c));
    let vantage = table.or("vantage", VantageClass::Own, |v| value::word(v, &classes));
    let restart_time = table.or("restart_time", Duration::from_secs(120), parts::read_restart_time);
    let stale_time_max = table.or("stale_time_max", Duration::from_secs(360), parts::read_restart_time);
    let long_lived_stale_time = table.or("long_lived_stale_time", Duration::ZERO, parts::read_long_lived);
    let extended_message = table.or("extended_message", true, value::boolean);
    let software_version = table.or("software_version", false, value::boolean);

    Placed {
        remote_span: table.span_of(remote_key(&remote)),
        name_span: table.span_of("name"),
        passive_span: table.span_of("passive"),
        role_span: table.span_of("local_role"),
        neighbor: Neighbor {
            name,
            group,
            remote,
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
            route_filters,
            graceful_restart,
            restart_time,
            vantage,
            stale_time_max,
            long_lived_stale_time,
            extended_message,
            software_version,
        },
    }
}

/// The key that names whom a neighbour is about.
pub(super) fn remote_key(remote: &Remote) -> &'static str {
    match remote {
        Remote::Address(_) => "address",
        Remote::Range(_) => "range",
    }
}

fn read_export_options(table: &mut Table<'_>) -> ExportOptions {
    let kinds = [("all", RemovePrivate::All), ("replace", RemovePrivate::Replace)];
    ExportOptions {
        next_hop: NextHopRule::Standard,
        link_local_next_hop: table.or("link_local_next_hop", false, value::boolean),
        route_reflector_client: table.or("route_reflector_client", false, value::boolean),
        route_server_client: table.or("route_server_client", false, value::boolean),
        remove_private: table.opt("remove_private", |v| value::word(v, &kinds)),
        as_override: table.or("as_override", false, value::boolean),
        add_path: table.or("add_path_select", Default::default(), parts::read_add_path_select),
        default_originate: table
            .or("default_originate", Vec::new(), |v| value::list(v, "[\"ipv4-unicast\"]", value::family)),
        advertisement_interval: table.or("advertisement_interval", Duration::ZERO, parts::read_interval),
        graceful_shutdown: table.or("graceful_shutdown", false, value::boolean),
        aigp: table.or("aigp", false, value::boolean),
        send_validation_state: table.or("send_validation_state", false, value::boolean),
    }
}
