//! The JSON that `--json` prints and that HTTP answers: the field names that the contract fixes, in one place
//! for both. More fields may follow behind those of the contract; none of them changes its meaning.

use serde::Serialize;

use crate::{
    types::{PeerId, Timestamp},
    view::{NeighborView, Nlri, RouteRow, SessionState, nlri_json},
    wire::bgp::{
        attribute::{AttrSet, Origin},
        nlri,
    },
};

/// A neighbour.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Neighbor {
    /// Remote address.
    pub address: String,
    /// Configured name.
    pub name: Option<String>,
    /// Its AS, once known.
    pub remote_asn: Option<u32>,
    /// `idle connect active open_sent open_confirm established`.
    pub state: &'static str,
    /// Seconds since established; null while it is not.
    pub uptime_s: Option<u64>,
    /// Families negotiated, or configured while down.
    pub families: Vec<String>,
    /// Paths in Adj-RIB-In, all families.
    pub routes_received: u64,
    /// Paths that import policy accepted, all families.
    pub routes_accepted: u64,
    /// Routes in Adj-RIB-Out, all families.
    pub routes_advertised: u64,
    /// Why the session last failed or ended.
    pub last_error: Option<String>,
    /// Our AS towards it.
    pub local_asn: u32,
    /// Its BGP Identifier.
    pub router_id: Option<String>,
    /// False after `neighbor disable`.
    pub enabled: bool,
    /// Collector session.
    pub monitor_only: bool,
    /// Times the session left established.
    pub flaps: u64,
    /// Faults found in its UPDATEs.
    pub faults: u64,
    /// Paths that are kept over the loss of a session and not confirmed yet, all families.
    pub routes_stale: u64,
}

impl Neighbor {
    /// The neighbour as seen at `now`.
    pub fn new(view: &NeighborView, now: Timestamp) -> Self {
        let sum = |count: fn(&crate::view::FamilyCounts) -> u64| view.counts.iter().map(count).sum();
        let established = view.established_at.filter(|_| view.state == SessionState::Established);
        Self {
            address: view.address.to_string(),
            name: view.name.clone(),
            remote_asn: view.remote_asn.map(|asn| asn.0),
            state: view.state.name(),
            uptime_s: established.map(|since| now.since(since).as_secs()),
            families: view.families.iter().map(ToString::to_string).collect(),
            routes_received: sum(|counts| counts.received),
            routes_accepted: sum(|counts| counts.accepted),
            routes_advertised: sum(|counts| counts.advertised),
            last_error: view.last_error.clone(),
            local_asn: view.local_asn.0,
            router_id: view.router_id.map(|id| id.to_string()),
            enabled: view.enabled,
            monitor_only: view.monitor_only,
            flaps: view.flaps,
            faults: view.faults.iter().map(|fault| fault.count).sum(),
            routes_stale: sum(|counts| counts.stale),
        }
    }
}

/// Counts per table, neighbour and family.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Summary {
    /// Per family, over all neighbours.
    pub tables: Vec<TableCounts>,
    /// Per neighbour and family.
    pub neighbors: Vec<NeighborCounts>,
    /// Distinct attribute sets held.
    pub attribute_sets: u64,
    /// Octets of attribute sets held.
    pub attribute_octets: u64,
    /// Number of the last change.
    pub seq: u64,
}

/// Counts of one family.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct TableCounts {
    /// Which family.
    pub family: String,
    /// Prefixes with at least one path.
    pub prefixes: u64,
    /// Paths in all Adj-RIB-Ins.
    pub paths: u64,
    /// Prefixes with a best route.
    pub best: u64,
}

/// Counts of one neighbour and family.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct NeighborCounts {
    /// Address of the neighbour.
    pub neighbor: String,
    /// Which family.
    pub family: String,
    /// Paths in Adj-RIB-In.
    pub received: u64,
    /// Paths that import policy accepted.
    pub accepted: u64,
    /// Routes in Adj-RIB-Out.
    pub advertised: u64,
    /// Whether End-of-RIB was received.
    pub end_of_rib: bool,
}

impl Summary {
    /// The counts; `address` prints a neighbour.
    pub fn new(summary: &crate::view::Summary, mut address: impl FnMut(PeerId) -> String) -> Self {
        let tables = summary.tables.iter().map(|counts| TableCounts {
            family: counts.family.to_string(),
            prefixes: counts.prefixes,
            paths: counts.paths,
            best: counts.best,
        });
        let tables = tables.collect();
        let mut neighbors = Vec::new();
        for (peer, counts) in &summary.neighbors {
            let neighbor = address(*peer);
            neighbors.extend(counts.iter().map(|counts| NeighborCounts {
                neighbor: neighbor.clone(),
                family: counts.family.to_string(),
                received: counts.received,
                accepted: counts.accepted,
                advertised: counts.advertised,
                end_of_rib: counts.end_of_rib,
            }));
        }
        let (attribute_sets, attribute_octets) = (summary.attribute_sets, summary.attribute_octets);
        Self { tables, neighbors, attribute_sets, attribute_octets, seq: summary.seq }
    }
}

/// The fields of a route that come from its attribute set. Routes share sets, so these are printed once per set
/// and put between the other fields by `write_route`.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct RouteAttributes {
    /// The path as routers print it; null without attributes (a withdrawal).
    pub as_path: Option<String>,
    /// Last AS of the path.
    pub origin_as: Option<u32>,
    /// Next hop.
    pub next_hop: Option<String>,
    /// `igp egp incomplete`.
    pub origin: Option<&'static str>,
    /// LOCAL_PREF.
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// COMMUNITIES.
    pub communities: Vec<String>,
    /// LARGE_COMMUNITY.
    pub large_communities: Vec<String>,
    /// EXTENDED COMMUNITIES.
    pub ext_communities: Vec<String>,
}

impl RouteAttributes {
    /// Prints a canonical set; an empty set is a withdrawal.
    pub fn new(attrs: AttrSet<'_>) -> Self {
        if attrs.as_bytes().is_empty() {
            return Self::default();
        }
        let path = attrs.as_path();
        Self {
            as_path: Some(path.to_string()),
            origin_as: path.origin_asn().map(|asn| asn.0),
            next_hop: attrs.next_hop().map(|hop| hop.global.to_string()),
            origin: attrs.origin().map(Origin::name),
            local_pref: attrs.local_pref(),
            med: attrs.med(),
            communities: attrs.communities().map(|community| community.to_string()).collect(),
            large_communities: attrs.large_communities().map(|community| community.to_string()).collect(),
            ext_communities: attrs.ext_communities().map(|community| community.to_string()).collect(),
        }
    }

    /// The fields as the inside of a JSON object, without its braces.
    pub fn fields(&self) -> String {
        // Maps of strings and numbers always serialise.
        let object = serde_json::to_string(self).unwrap_or_default();
        object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default().to_owned()
    }
}

/// The other fields of a route.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct RouteFields<'a> {
    /// What is routed.
    pub prefix: &'a str,
    /// Address of the neighbour; empty (null) for a route of our own.
    pub neighbor: &'a str,
    /// ADD-PATH identifier.
    pub path_id: u32,
    /// Best route of its prefix.
    pub best: bool,
    /// Seconds since it was received.
    pub age_s: u64,
    /// Kept over a session loss.
    pub stale: bool,
    /// State of its origin; empty (null) when nothing was checked.
    pub validation: &'a str,
    /// State of its AS_PATH; empty (null) when nothing was checked.
    pub aspa: &'a str,
    /// Policy that rejected it; empty (null) when accepted.
    pub rejected_by: &'a str,
    /// Address family.
    pub family: &'a str,
    /// In a multipath set; left out where there are no such sets.
    pub multipath: Option<bool>,
    /// MPLS labels (20 bits each); only looked at beside `nlri`.
    pub labels: &'a [u32],
    /// `nlri_json::object` for a family without plain prefixes; empty: the family has them, nothing is printed.
    pub nlri: &'a str,
}

/// Appends one route as a JSON object, in the order of the contract; `attributes` is `RouteAttributes::fields`.
pub fn write_route(out: &mut Vec<u8>, route: &RouteFields<'_>, attributes: &str) {
    out.extend_from_slice(b"{\"prefix\":");
    write_text(out, route.prefix);
    out.extend_from_slice(b",\"neighbor\":");
    write_text_or_null(out, route.neighbor);
    out.extend_from_slice(b",\"path_id\":");
    write_number(out, route.path_id.into());
    out.push(b',');
    out.extend_from_slice(attributes.as_bytes());
    out.extend_from_slice(b",\"best\":");
    write_flag(out, route.best);
    out.extend_from_slice(b",\"validation\":");
    write_text_or_null(out, route.validation);
    out.extend_from_slice(b",\"aspa\":");
    write_text_or_null(out, route.aspa);
    out.extend_from_slice(b",\"age_s\":");
    write_number(out, route.age_s);
    out.extend_from_slice(b",\"stale\":");
    write_flag(out, route.stale);
    out.extend_from_slice(b",\"rejected_by\":");
    write_text_or_null(out, route.rejected_by);
    out.extend_from_slice(b",\"family\":");
    write_text(out, route.family);
    if let Some(multipath) = route.multipath {
        out.extend_from_slice(b",\"multipath\":");
        write_flag(out, multipath);
    }
    if !route.nlri.is_empty() {
        out.extend_from_slice(b",\"labels\":[");
        for (index, label) in route.labels.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_number(out, u64::from(*label));
        }
        out.extend_from_slice(b"],\"nlri\":");
        out.extend_from_slice(route.nlri.as_bytes());
    }
    out.push(b'}');
}

/// Appends the route of `row`, as seen at `now`.
pub fn write_row(out: &mut Vec<u8>, row: &RouteRow, attributes: &str, neighbor: &str, now: Timestamp) {
    let (labels, nlri) = match &row.nlri {
        Nlri::Prefix(_) => (Vec::new(), String::new()),
        Nlri::Opaque(key) => {
            (nlri::labels(row.family, key, &row.labels), nlri_json::object(row.family, key, &row.labels))
        }
    };
    let route = RouteFields {
        prefix: &row.nlri.display(row.family),
        neighbor,
        path_id: row.path_id,
        best: row.best,
        age_s: now.since(row.received_at).as_secs(),
        stale: row.stale,
        rejected_by: row.rejected_by.as_deref().unwrap_or_default(),
        validation: row.validation.answer().unwrap_or_default(),
        aspa: row.aspa.answer().unwrap_or_default(),
        family: &row.family.to_string(),
        multipath: row.multipath,
        labels: &labels,
        nlri: &nlri,
    };
    write_route(out, &route, attributes);
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let plain = text.bytes().all(|octet| octet >= 0x20 && octet != b'"' && octet != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(out, text);
    }
}

fn write_text_or_null(out: &mut Vec<u8>, text: &str) {
    match text {
        "" => out.extend_from_slice(b"null"),
        text => write_text(out, text),
    }
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    use std::io::Write as _;
    // Writing to memory cannot fail.
    let _ = write!(out, "{number}");
}

fn write_flag(out: &mut Vec<u8>, flag: bool) {
    out.extend_from_slice(if flag { b"true" } else { b"false" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_exactly_the_fields_of_the_contract_and_then_ours() {
        let attributes = RouteAttributes { as_path: Some("64496 64500".into()), ..RouteAttributes::default() }.fields();
        let route = RouteFields { prefix: "192.0.2.0/24", rejected_by: "a \"b\"", ..RouteFields::default() };
        let mut line = Vec::new();
        write_route(&mut line, &route, &attributes);
        let text = String::from_utf8(line).unwrap();
        let names = "prefix neighbor path_id as_path origin_as next_hop origin local_pref med communities \
                     large_communities ext_communities best validation aspa age_s stale rejected_by family";
        let mut at = 0;
        for name in names.split_whitespace() {
            at += text[at..].find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name} missing in {text}"));
        }
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_object().unwrap().len(), names.split_whitespace().count());
        assert_eq!(value["neighbor"], serde_json::Value::Null);
        assert_eq!(value["rejected_by"], "a \"b\"");
        assert_eq!(value["as_path"], "64496 64500");

        // Only where there are multipath sets.
        let mut line = Vec::new();
        write_route(&mut line, &RouteFields { multipath: Some(true), ..route }, &attributes);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["multipath"], true);
    }

    #[test]
    fn a_route_without_a_plain_prefix_also_has_its_labels_and_its_parts() {
        let route = RouteFields { labels: &[100, 200], nlri: r#"{"type":"vpn"}"#, ..RouteFields::default() };
        let mut line = Vec::new();
        write_route(&mut line, &route, &RouteAttributes::default().fields());
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&value["labels"], &value["nlri"]["type"]), (&serde_json::json!([100, 200]), &"vpn".into()));
    }
}
