//! Prometheus text (exposition format 0.0.4) from `view`: names, units and help in one table each. Everything is
//! read from counters that are kept as things happen; a scrape walks no table and asks the engine nothing.
//!
//! `bgp_*` are GoBGP's names and labels, so that dashboards made for it work here; `ribwatch_*` are ours.

mod process;
mod readers;

use std::fmt::{Display, Write as _};

use self::process::process;
use crate::{
    alert::{Counts, Service},
    types::Timestamp,
    validation::{OriginState, PathState},
    view::{
        Backend, FamilyCounts, MessageCounts, NeighborView, SessionState, Summary,
        rpki::RpkiView,
        sinks::{LATENCY_BOUNDS_MS, SinkView},
    },
};

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric about one neighbour: name, type, help and value.
type PeerMetric = (&'static str, Kind, &'static str, fn(&NeighborView, Timestamp) -> u64);

const PEER: &[PeerMetric] = &[
    ("bgp_peer_uptime", Kind::Gauge, "Seconds since the session was established; 0 while it is not.", uptime),
    ("bgp_peer_flop_count", Kind::Counter, "Times the session left the established state.", |view, _| view.flaps),
    ("ribwatch_peer_established", Kind::Gauge, "1 while the session is established, else 0.", |view, _| {
        u64::from(view.state == SessionState::Established)
    }),
    ("ribwatch_peer_send_queue_octets", Kind::Gauge, "Octets waiting to be written to the neighbor.", |view, _| {
        view.send_queue
    }),
];

/// A metric about messages of one neighbour in one direction.
type MessageMetric = (&'static str, &'static str, fn(&MessageCounts) -> u64);

const MESSAGES: &[MessageMetric] = &[
    ("open", "OPEN messages", |counts| counts.open),
    ("update", "UPDATE messages", |counts| counts.update),
    ("notification", "NOTIFICATION messages", |counts| counts.notification),
    ("keepalive", "KEEPALIVE messages", |counts| counts.keepalive),
    ("refresh", "ROUTE-REFRESH messages", |counts| counts.refresh),
    ("message", "BGP messages of all types", |counts| {
        counts.open + counts.update + counts.notification + counts.keepalive + counts.refresh
    }),
];

/// A metric about one neighbour and family.
type RouteMetric = (&'static str, Kind, &'static str, fn(&FamilyCounts) -> u64);

const ROUTES: &[RouteMetric] = &[
    ("bgp_routes_received", Kind::Gauge, "Paths in Adj-RIB-In.", |counts| counts.received),
    ("bgp_routes_accepted", Kind::Gauge, "Paths that import policy accepted.", |counts| counts.accepted),
    ("bgp_routes_advertised", Kind::Gauge, "Routes in Adj-RIB-Out.", |counts| counts.advertised),
    (
        "ribwatch_peer_routes_stale",
        Kind::Gauge,
        "Paths kept over the loss of a session and not confirmed yet.",
        |counts| counts.stale,
    ),
    ("ribwatch_peer_routes_withheld_total", Kind::Counter, WITHHELD, |counts| counts.withheld),
    ("ribwatch_peer_paths_dropped_total", Kind::Counter, DROPPED, |counts| counts.dropped),
    ("ribwatch_peer_end_of_rib", Kind::Gauge, "1 once End-of-RIB was received, else 0.", |counts| {
        counts.end_of_rib.into()
    }),
];
const WITHHELD: &str = "Times a route was held back: no next hop or message fits.";
const DROPPED: &str = "Paths dropped on arrival in the present session: their prefix had all it may have.";

/// A metric about one sink: name, type, help and value.
type SinkMetric = (&'static str, Kind, &'static str, fn(&SinkView) -> u64);

const SINK: &[SinkMetric] = &[
    ("ribwatch_sink_up", Kind::Gauge, "1 while the last attempt was answered, else 0.", |view| {
        view.failing_since.is_none().into()
    }),
    ("ribwatch_sink_sent_total", Kind::Counter, "Deliveries that were accepted.", |view| view.sent),
    ("ribwatch_sink_retried_total", Kind::Counter, "Attempts that failed and are made again.", |view| view.retried),
    ("ribwatch_sink_dead_total", Kind::Counter, "Deliveries that were refused for ever or got too old.", |view| {
        view.dead
    }),
    ("ribwatch_sink_dropped_total", Kind::Counter, "Deliveries dropped because too many waited.", |view| view.dropped),
    ("ribwatch_sink_queue_length", Kind::Gauge, "Deliveries that wait or are under way.", |view| view.queue_len),
    ("ribwatch_sink_open_alerts", Kind::Gauge, "Alerts that the receiver knows and that are not over.", |view| {
        view.told_open
    }),
];

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Everything, as one text.
pub fn text(backend: &dyn Backend, alerts: &dyn Service) -> String {
    let mut out = Text::default();
    daemon(backend, &mut out);
    tables(&backend.summary(), &mut out);
    let mut views = backend.neighbors();
    views.sort_by_key(|view| view.address);
    neighbors(&views, backend.now(), &mut out);
    rpki(&backend.rpki(), backend.now(), &mut out);
    self::alerts(&alerts.counts(), &mut out);
    sinks(&backend.sinks(), &mut out);
    readers::served(backend.served(), &mut out);
    readers::configuration(backend, &mut out);
    readers::watched(&backend.watched_prefixes(), &mut out);
    process(&mut out);
    out.0
}

fn daemon(backend: &dyn Backend, out: &mut Text) {
    let info = backend.info();
    out.head("ribwatch_build_info", Kind::Gauge, "Version of the program; always 1.");
    out.row("ribwatch_build_info", &[("version", &info.version)], 1);
    out.head("ribwatch_router_info", Kind::Gauge, "AS and BGP Identifier of this router; always 1.");
    out.row("ribwatch_router_info", &[("asn", &info.asn), ("router_id", &info.router_id)], 1);
    out.single("ribwatch_ready", Kind::Gauge, "1 when ready to serve, else 0.", backend.is_ready().into());
    let start = info.started_at.secs().into();
    out.single("process_start_time_seconds", Kind::Gauge, "Start of the process, seconds since the Unix epoch.", start);
}

fn tables(summary: &Summary, out: &mut Text) {
    out.head("ribwatch_rib_prefixes", Kind::Gauge, "Prefixes with at least one path.");
    for counts in &summary.tables {
        out.row("ribwatch_rib_prefixes", &[("family", &counts.family)], counts.prefixes);
    }
    out.head("ribwatch_rib_paths", Kind::Gauge, "Paths in all Adj-RIB-Ins.");
    for counts in &summary.tables {
        out.row("ribwatch_rib_paths", &[("family", &counts.family)], counts.paths);
    }
    out.head("ribwatch_rib_best", Kind::Gauge, "Prefixes with a best route: the size of the Loc-RIB.");
    for counts in &summary.tables {
        out.row("ribwatch_rib_best", &[("family", &counts.family)], counts.best);
    }
    let (sets, octets) = (summary.attribute_sets, summary.attribute_octets);
    out.single("ribwatch_attribute_sets", Kind::Gauge, "Distinct attribute sets held.", sets);
    out.single("ribwatch_attribute_octets", Kind::Gauge, "Octets of attribute sets held.", octets);
    let judged = "Runs of AS-path expressions of policies over a path.";
    out.single("ribwatch_policy_paths_judged_total", Kind::Counter, judged, summary.paths_judged);
    let shared = "AS paths whose verdict by AS-path expressions of policies was known from an earlier run.";
    out.single("ribwatch_policy_paths_shared_total", Kind::Counter, shared, summary.paths_shared);
    out.single("ribwatch_rib_changes_total", Kind::Counter, "Changes of the tables since the start.", summary.seq);
}

fn neighbors(views: &[NeighborView], now: Timestamp, out: &mut Text) {
    out.head("bgp_peer_state", Kind::Gauge, "State of the session and what the operator asked for; always 1.");
    for view in views {
        let admin = if view.enabled { "UP" } else { "DOWN" };
        let labels: [(&str, &dyn Display); 3] =
            [("peer", &view.address), ("session_state", &gobgp_state(view.state)), ("admin_state", &admin)];
        out.row("bgp_peer_state", &labels, 1);
    }
    out.head("bgp_peer_asn", Kind::Gauge, "AS of the neighbor; 0 before it is known.");
    for view in views {
        let router_id = view.router_id.map(|id| id.to_string()).unwrap_or_default();
        let asn = view.remote_asn.map_or(0, |asn| asn.0.into());
        out.row("bgp_peer_asn", &[("peer", &view.address), ("router_id", &router_id)], asn);
    }
    out.head("ribwatch_peer_info", Kind::Gauge, "Configured name of the neighbor; always 1.");
    for view in views {
        let name = view.name.as_deref().unwrap_or_default();
        out.row("ribwatch_peer_info", &[("peer", &view.address), ("name", &name)], 1);
    }
    for (name, kind, help, value) in PEER {
        out.head(name, *kind, help);
        views.iter().for_each(|view| out.row(name, &[("peer", &view.address)], value(view, now)));
    }
    routes(views, out);
    messages(views, out);
    faults(views, out);
}

fn rpki(view: &RpkiView, now: Timestamp, out: &mut Text) {
    if view.sources.is_empty() {
        return;
    }
    out.head("bgp_rpki_vrp_count", Kind::Gauge, "VRPs in force, of all sources together.");
    for (family, count) in [("ipv4", view.vrps.0), ("ipv6", view.vrps.1)] {
        out.row("bgp_rpki_vrp_count", &[("family", &family)], count);
    }
    out.single("ribwatch_rpki_aspas", Kind::Gauge, "Customers with ASPAs in force.", view.aspas);
    out.head("ribwatch_rpki_source_state", Kind::Gauge, "State of a source of RPKI data; always 1.");
    for source in &view.sources {
        let labels: [(&str, &dyn Display); 3] =
            [("source", &source.name), ("kind", &source.kind), ("state", &source.state.name())];
        out.row("ribwatch_rpki_source_state", &labels, 1);
    }
    out.head("ribwatch_rpki_source_vrps", Kind::Gauge, "VRPs that a source holds, after local filters.");
    for source in &view.sources {
        for (family, count) in [("ipv4", source.vrps.0), ("ipv6", source.vrps.1)] {
            out.row("ribwatch_rpki_source_vrps", &[("source", &source.name), ("family", &family)], count);
        }
    }
    out.head("ribwatch_rpki_source_aspas", Kind::Gauge, "Customers with ASPAs that a source holds, likewise.");
    for source in &view.sources {
        out.row("ribwatch_rpki_source_aspas", &[("source", &source.name)], source.aspas);
    }
    out.head("ribwatch_rpki_source_roas", Kind::Gauge, "ROAs of each trust anchor, where the source names it.");
    for source in &view.sources {
        for (anchor, count) in &source.anchors {
            out.row("ribwatch_rpki_source_roas", &[("source", &source.name), ("tal", anchor)], *count);
        }
    }
    out.head("ribwatch_rpki_source_in_use", Kind::Gauge, "Whether routes are judged by a source's data.");
    for source in &view.sources {
        out.row("ribwatch_rpki_source_in_use", &[("source", &source.name)], source.in_use.into());
    }
    let name = "ribwatch_rpki_source_expires_seconds";
    out.head(name, Kind::Gauge, "Time until a source's data are dropped unless confirmed.");
    for (source, at) in view.sources.iter().filter_map(|source| Some((source, source.expires_at?))) {
        out.row(name, &[("source", &source.name)], at.since(now).as_secs());
    }
    out.head("ribwatch_rpki_source_age_seconds", Kind::Gauge, "Time since a source's data were last confirmed.");
    for (source, at) in view.sources.iter().filter_map(|source| Some((source, source.updated_at?))) {
        out.row("ribwatch_rpki_source_age_seconds", &[("source", &source.name)], now.since(at).as_secs());
    }
    out.head("rtr_serial", Kind::Gauge, "RTR serial number of a source's data.");
    for (source, serial) in view.sources.iter().filter_map(|source| Some((source, source.serial?))) {
        out.row("rtr_serial", &[("source", &source.name)], serial.into());
    }
}

fn alerts(counts: &Counts, out: &mut Text) {
    let name = "ribwatch_alerts";
    out.head(name, Kind::Gauge, "Alerts by kind, severity and state; resolved ones as far as they are kept.");
    for ((kind, severity, state), count) in &counts.alerts {
        let labels: [(&str, &dyn Display); 3] = [("kind", kind), ("severity", severity), ("state", &state.name())];
        out.row(name, &labels, *count);
    }
    let name = "ribwatch_alert_changes_total";
    out.head(name, Kind::Counter, "Changes of alerts since the start, and whether they were told or held back.");
    for (why, (told, held)) in &counts.changes {
        out.row(name, &[("why", why), ("told", &"yes")], *told);
        out.row(name, &[("why", why), ("told", &"no")], *held);
    }
    out.single("ribwatch_alert_mutes", Kind::Gauge, "Mutes and maintenance windows that hold now.", counts.mutes);
    let help = "Reports of detectors since the start.";
    out.single("ribwatch_alert_reports_total", Kind::Counter, help, counts.reports);
    let help = "Reports replaced by later ones about the same finding before they were looked at.";
    out.single("ribwatch_alert_reports_merged_total", Kind::Counter, help, counts.reports_merged);
    let help = "Times the journal of alerts could not be written.";
    out.single("ribwatch_alert_journal_errors_total", Kind::Counter, help, counts.journal_errors);
}

fn routes(views: &[NeighborView], out: &mut Text) {
    for (name, kind, help, value) in ROUTES {
        out.head(name, *kind, help);
        for view in views {
            for counts in &view.counts {
                out.row(name, &[("peer", &view.address), ("route_family", &counts.family)], value(counts));
            }
        }
    }
    let name = "ribwatch_routes_by_validation";
    out.head(name, Kind::Gauge, "Paths in Adj-RIB-In by the state of their origin (RFC 6811).");
    by_state(name, views, &OriginState::ALL.map(OriginState::name), |counts| counts.validation, out);
    let name = "ribwatch_routes_by_aspa";
    out.head(name, Kind::Gauge, "Paths in Adj-RIB-In by the state of their AS path (ASPA).");
    by_state(name, views, &PathState::ALL.map(PathState::name), |counts| counts.aspa, out);
}

/// A row per neighbour, family and state.
fn by_state(
    name: &str,
    views: &[NeighborView],
    states: &[&str; 4],
    counts_of: fn(&FamilyCounts) -> [u64; 4],
    out: &mut Text,
) {
    for view in views {
        for counts in &view.counts {
            for (state, count) in states.iter().zip(counts_of(counts)) {
                let labels: [(&str, &dyn Display); 3] =
                    [("peer", &view.address), ("route_family", &counts.family), ("state", state)];
                out.row(name, &labels, count);
            }
        }
    }
}

fn messages(views: &[NeighborView], out: &mut Text) {
    type Direction = (&'static str, fn(&NeighborView) -> &MessageCounts);
    let directions: [Direction; 2] = [("received", |view| &view.received), ("sent", |view| &view.sent)];
    for (direction, counts) in directions {
        for (kind, help, value) in MESSAGES {
            let name = format!("bgp_{direction}_{kind}_total");
            out.head(&name, Kind::Counter, &format!("{help} {direction}."));
            views.iter().for_each(|view| out.row(&name, &[("peer", &view.address)], value(counts(view))));
        }
    }
}

fn faults(views: &[NeighborView], out: &mut Text) {
    let name = "ribwatch_update_faults_total";
    out.head(name, Kind::Counter, "Faults in received messages by attribute and what they cost (RFC 7606).");
    for view in views {
        for fault in &view.faults {
            let attribute = fault.attribute.map_or_else(|| "none".to_owned(), |code| code.to_string());
            let labels: [(&str, &dyn Display); 3] =
                [("peer", &view.address), ("attribute", &attribute), ("outcome", &fault.outcome)];
            out.row(name, &labels, fault.count);
        }
    }
}

fn sinks(views: &[SinkView], out: &mut Text) {
    if views.is_empty() {
        return;
    }
    for (name, kind, help, value) in SINK {
        out.head(name, *kind, help);
        views.iter().for_each(|view| out.row(name, &[("sink", &view.name), ("type", &view.kind)], value(view)));
    }
    let name = "ribwatch_sink_latency_seconds";
    out.head(name, Kind::Histogram, "From the octets that led to an alert to the receiver having it.");
    for view in views {
        let (bucket, mut count) = (format!("{name}_bucket"), 0);
        for (at, more) in view.latency.buckets.iter().enumerate() {
            count += more;
            let bound = LATENCY_BOUNDS_MS.get(at).map_or("+Inf".to_owned(), |ms| seconds(ms * 1_000));
            out.row(&bucket, &[("sink", &view.name), ("type", &view.kind), ("le", &bound)], count);
        }
        let labels: [(&str, &dyn Display); 2] = [("sink", &view.name), ("type", &view.kind)];
        let micros = u64::try_from(view.latency.sum.as_micros()).unwrap_or(u64::MAX);
        out.row_of(&format!("{name}_sum"), &labels, &seconds(micros));
        out.row(&format!("{name}_count"), &labels, count);
    }
}

/// Seconds with as many digits of a fraction as there is one.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn uptime(view: &NeighborView, now: Timestamp) -> u64 {
    let since = view.established_at.filter(|_| view.state == SessionState::Established);
    since.map_or(0, |since| now.since(since).as_secs())
}

/// The state as GoBGP writes it.
fn gobgp_state(state: SessionState) -> &'static str {
    match state {
        SessionState::Idle => "IDLE",
        SessionState::Connect => "CONNECT",
        SessionState::Active => "ACTIVE",
        SessionState::OpenSent => "OPENSENT",
        SessionState::OpenConfirm => "OPENCONFIRM",
        SessionState::Established => "ESTABLISHED",
    }
}

/// The text being written. Writing to a String cannot fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn row(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: u64) {
        self.row_of(name, labels, &value);
    }

    fn row_of(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: &dyn Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            self.push_escaped(&text.to_string());
            self.0.push('"');
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    fn single(&mut self, name: &str, kind: Kind, help: &str, value: u64) {
        self.head(name, kind, help);
        self.row(name, &[], value);
    }

    /// Backslash, double quote and line feed are escaped in label values.
    fn push_escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
    }
}
