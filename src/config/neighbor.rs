//! `[[neighbor]]`: its keys, their defaults and units, and which of them contradict each other.

use std::{net::IpAddr, ops::Range, path::Path, sync::Arc, time::Duration};

use toml::de::DeValue;

use super::{
    read::{Misfit, Table, Value},
    sections::{HOLD_TIME_MAX, Router},
    value,
};
use crate::{
    engine::{self, MaxPrefix},
    io::{
        bgp::{Distance, NeighborSettings, Password, Remote, label},
        sockopt::MD5_KEY_LEN_MAX,
    },
    session::{self, RemoteAsn},
    types::{Family, Role},
    wire::bgp::update::Rules,
};

/// One `[[neighbor]]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Neighbor {
    /// `name`: shown wherever the address is.
    pub name: Option<String>,
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
    /// `next_hop_self`: send our own address as next hop even where the RFC would keep it; default false.
    pub next_hop_self: bool,
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

    /// The settings that the session's driver, the session and the engine want.
    pub fn settings(&self, router: &Router) -> NeighborSettings {
        // Neighbours on this machine have no other addresses to name as next hop.
        let loopback_next_hop = self.remote.prefix().addr().is_loopback();
        let session = session::PeerSettings {
            rules: Rules { loopback_next_hop, ..Rules::default() },
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
            ..session::PeerSettings::new(router.asn, router.router_id, self.remote_asn.clone())
        };
        let engine = engine::PeerSettings {
            name: self.label().into(),
            import: self.import.iter().map(|name| name.as_str().into()).collect(),
            export: self.export.iter().map(|name| name.as_str().into()).collect(),
            monitor_only: self.monitor_only,
            max_prefix: self.max_prefix.clone(),
            next_hop_self: self.next_hop_self,
        };
        NeighborSettings {
            name: self.name.clone(),
            remote: self.remote,
            port: self.port,
            local_address: self.local_address,
            password: self.password.clone(),
            distance: self.distance,
            limit: self.limit,
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
pub(super) fn read(mut table: Table<'_>) -> Option<Placed> {
    let remote = read_remote(&mut table);
    let remote_asn = table.required("remote_asn", "remote_asn = 64496", read_remote_asn);
    let is_range = matches!(remote, Some(Remote::Range(_)));
    let name = table.opt("name", value::label);
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
    let import = table.or("import", Vec::new(), |v| value::list(v, "[\"accept-all\"]", value::policy));
    let export = table.or("export", Vec::new(), |v| value::list(v, "[\"reject-all\"]", value::policy));
    let monitor_only = table.or("monitor_only", false, value::boolean);
    let password = read_password(&mut table);
    let distance = read_distance(&mut table);
    let hold_time = table.or("hold_time", Duration::from_secs(90), read_hold_time);
    let min_hold_time = table
        .or("min_hold_time", Duration::from_secs(3), |v| value::duration(v, Duration::from_secs(3)..=HOLD_TIME_MAX));
    let connect_retry = table.or("connect_retry", Duration::from_secs(5), |v| {
        value::duration(v, Duration::from_secs(1)..=Duration::from_secs(3600))
    });
    let max_prefix = read_max_prefix(&mut table);
    let next_hop_self = table.or("next_hop_self", false, value::boolean);
    let extended_message = table.or("extended_message", true, value::boolean);
    let software_version = table.or("software_version", false, value::boolean);

    let placed = remote.zip(remote_asn).map(|(remote, remote_asn)| Placed {
        remote_span: table.span_of(remote_key(&remote)),
        name_span: table.span_of("name"),
        passive_span: table.span_of("passive"),
        role_span: table.span_of("local_role"),
        neighbor: Neighbor {
            name,
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
            next_hop_self,
            extended_message,
            software_version,
        },
    });
    if let Some(placed) = &placed {
        check(&table, &placed.neighbor);
    }
    table.finish();
    placed
}

/// The key that names whom a neighbour is about.
pub(super) fn remote_key(remote: &Remote) -> &'static str {
    match remote {
        Remote::Address(_) => "address",
        Remote::Range(_) => "range",
    }
}

fn read_remote(table: &mut Table<'_>) -> Option<Remote> {
    let address = table.opt("address", value::host_address);
    let range = table.opt("range", value::prefix);
    match (table.has("address"), table.has("range")) {
        (false, false) => {
            let help =
                "add a line such as: address = \"192.0.2.1\", or for any speaker in it: range = \"192.0.2.0/24\"";
            table.fault(table.span(), "[[neighbor]] lacks `address` or `range`", help);
            None
        }
        (true, true) => {
            let what = "`range` contradicts `address`: a [[neighbor]] is about one speaker or about a range";
            table.fault(table.span_of("range"), what, "remove one of them");
            None
        }
        _ => address.map(Remote::Address).or(range.map(Remote::Range)),
    }
}

fn read_remote_asn(value: &Value<'_>) -> Result<RemoteAsn, Misfit> {
    match value.get_ref() {
        DeValue::String(text) if text == "any" => Ok(RemoteAsn::Any),
        DeValue::Array(_) => Ok(RemoteAsn::OneOf(value::some_of(value, "[64496, 64497]", value::asn)?)),
        DeValue::Integer(_) => value::asn(value).map(RemoteAsn::Exact),
        _ => {
            let accepted = "an AS number from 1 to 4294967294; for a range also \"any\" or a list of AS numbers";
            Err(value::misfit(value, "an AS number", accepted))
        }
    }
}

/// 0 (no keepalives), or at least 3 seconds, in whole seconds (RFC 4271 §4.2).
fn read_hold_time(value: &Value<'_>) -> Result<Duration, Misfit> {
    let accepted = "\"0s\" for no keepalives, or whole seconds from \"3s\" to \"18h12m15s\" (RFC 4271 §4.2)";
    let hold_time = value::duration(value, Duration::ZERO..=HOLD_TIME_MAX)?;
    let secs = hold_time.as_secs();
    if hold_time.subsec_nanos() != 0 || secs == 1 || secs == 2 {
        return Err(value::misfit(value, "a hold time", accepted));
    }
    Ok(hold_time)
}

fn read_password(table: &mut Table<'_>) -> Option<Password> {
    let inline = table.opt("password", value::text);
    let file = table.opt("password_file", |v| value::text(v).and_then(|path| password_from(v, Path::new(&path))));
    if table.has("password") && table.has("password_file") {
        table.fault(table.span_of("password_file"), "`password_file` contradicts `password`", "remove one of them");
    }
    let password = inline.or(file)?;
    if password.len() > MD5_KEY_LEN_MAX {
        let key = if table.has("password") { "password" } else { "password_file" };
        let what = format!("the password is {} octets long", password.len());
        table.fault(
            table.span_of(key),
            what,
            format!("accepted: at most {MD5_KEY_LEN_MAX} octets (TCP-MD5, RFC 2385)"),
        );
        return None;
    }
    Some(Password(password))
}

fn password_from(value: &Value<'_>, path: &Path) -> Result<String, Misfit> {
    let refuse = |what: String| Misfit {
        span: value.span(),
        what,
        accepted: "the path of a file whose first line is the password".to_owned(),
    };
    let text =
        std::fs::read_to_string(path).map_err(|why| refuse(format!("{} cannot be read: {why}", path.display())))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(refuse(format!("{} is empty", path.display()))),
    }
}

fn read_distance(table: &mut Table<'_>) -> Distance {
    let hops = |v: &Value<'_>, switched_on: u8, range: std::ops::RangeInclusive<u64>| match v.get_ref() {
        DeValue::Boolean(on) => Ok(on.then_some(switched_on)),
        DeValue::Integer(_) => value::integer(v, range).map(|hops| Some(hops as u8)),
        _ => {
            let accepted = format!("true, false, or a number of hops from {} to {}", range.start(), range.end());
            Err(value::misfit(v, "hops", accepted))
        }
    };
    let security = table.opt("ttl_security", |v| hops(v, 1, 1..=254)).flatten();
    let multihop = table.opt("multihop", |v| hops(v, 255, 1..=255)).flatten();
    match (security, multihop) {
        (Some(_), Some(_)) => {
            let what =
                "`multihop` contradicts `ttl_security`, which sends with TTL 255 and says how far away it accepts";
            table.fault(table.span_of("multihop"), what, "remove `multihop` and give the hops: ttl_security = 2");
            Distance::Default
        }
        (Some(hops), None) => Distance::Security(hops),
        (None, Some(hops)) => Distance::Multihop(hops),
        (None, None) => Distance::Default,
    }
}

/// `max_prefix = 1000`, or a table `{ limit, warning, restart }` with further tables per family.
fn read_max_prefix(table: &mut Table<'_>) -> Vec<(Option<Family>, MaxPrefix)> {
    const KEY: &str = "max_prefix";
    const HEADING: &str = "[neighbor.max_prefix]";
    let plain = table.has(KEY) && !table.is_table(KEY);
    if plain {
        let limit = table.opt(KEY, |v| {
            value::integer(v, 1..=u64::from(u32::MAX)).map_err(|mut misfit| {
                misfit.accepted.push_str(", or a table { limit = 1000, warning = 80, restart = \"30m\" }");
                misfit
            })
        });
        return limit
            .map(|limit| (None, MaxPrefix { limit, warning_percent: 80, restart_after: None }))
            .into_iter()
            .collect();
    }
    let Some(mut limits) = table.table(KEY, HEADING) else { return Vec::new() };
    let mut list = Vec::new();
    if limits.has("limit") || limits.has("warning") || limits.has("restart") {
        list.extend(read_limit(&mut limits).map(|limit| (None, limit)));
    } else {
        // Known, so that a slip in a family's name is answered with these too.
        ["limit", "warning", "restart"].into_iter().for_each(|key| limits.know(key));
    }
    for (family, mut limit) in limits.family_tables(HEADING) {
        list.extend(read_limit(&mut limit).map(|limit| (Some(family), limit)));
        limit.finish();
    }
    limits.finish();
    list
}

fn read_limit(table: &mut Table<'_>) -> Option<MaxPrefix> {
    let limit = table.required("limit", "limit = 1000", |v| value::integer(v, 1..=u64::from(u32::MAX)));
    let warning_percent = table.or("warning", 80, |v| value::integer(v, 1..=100).map(|percent| percent as u8));
    let restart_after =
        table.opt("restart", |v| value::duration(v, Duration::from_secs(1)..=Duration::from_secs(30 * 86_400)));
    Some(MaxPrefix { limit: limit?, warning_percent, restart_after })
}

/// Contradictions inside one neighbour.
fn check(table: &Table<'_>, neighbor: &Neighbor) {
    let fault = |key: &str, what: String, help: &str| table.fault(table.span_of(key), what, help);
    match neighbor.remote {
        Remote::Range(_) => {
            if table.has("port") {
                let what = "`port` contradicts `range`: we never connect to the speakers of a range".to_owned();
                fault("port", what, "remove `port`");
            }
            if !neighbor.passive {
                let what = "`passive = false` contradicts `range`: we wait for the speakers of a range".to_owned();
                fault("passive", what, "remove `passive`");
            }
        }
        Remote::Address(_) => {
            if !matches!(neighbor.remote_asn, RemoteAsn::Exact(_)) {
                let what = "`remote_asn` must be one AS number: only a `range` takes \"any\" or a list".to_owned();
                fault("remote_asn", what, "write the neighbour's AS number, such as remote_asn = 64496");
            }
            if table.has("limit") {
                fault("limit", "`limit` is about a `range`, and this is one address".to_owned(), "remove `limit`");
            }
        }
    }
    if let Some(local) = neighbor.local_address
        && local.is_ipv4() != neighbor.remote.prefix().is_v4()
    {
        let what = format!("`local_address` {local} and {} are of different address families", neighbor.remote);
        fault("local_address", what, "give both as IPv4 or both as IPv6");
    }
    if neighbor.local_address.is_some_and(|local| Remote::Address(local) == neighbor.remote) && neighbor.port == 179 {
        fault("local_address", "`local_address` is the neighbour's own address".to_owned(), "give our end");
    }
    if neighbor.monitor_only && neighbor.export.iter().any(|policy| policy != "reject-all") {
        let what = "`export` contradicts `monitor_only`: nothing is ever sent on such a session".to_owned();
        fault("export", what, "remove `export` (or write [\"reject-all\"]), or set monitor_only = false");
    }
    if neighbor.strict_role && neighbor.local_role.is_none() {
        let what = "`strict_role` without `local_role` says nothing".to_owned();
        fault("strict_role", what, "add a line such as: local_role = \"customer\"");
    }
    if !neighbor.hold_time.is_zero() && neighbor.min_hold_time > neighbor.hold_time {
        let what = format!(
            "`min_hold_time` ({}) is longer than `hold_time` ({}), so no session could come up",
            value::print_duration(neighbor.min_hold_time),
            value::print_duration(neighbor.hold_time),
        );
        fault(if table.has("min_hold_time") { "min_hold_time" } else { "hold_time" }, what, "make it shorter");
    }
    for family in neighbor.add_path.iter().filter(|family| !neighbor.families.contains(family)) {
        let what = format!("`add_path` names {family}, which is not in `families`");
        fault("add_path", what, "add it to `families` or remove it here");
    }
    for (family, _) in &neighbor.max_prefix {
        if let Some(family) = family.filter(|family| !neighbor.families.contains(family)) {
            let what = format!("`max_prefix` limits {family}, which is not in `families`");
            fault("max_prefix", what, "add it to `families` or remove it here");
        }
    }
}
