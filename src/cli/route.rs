//! How a route is printed, for all verbs: as a row of a table, as a JSON line, and the words that choose routes.

use std::{collections::HashMap, rc::Rc};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use prost::Message as _;
use ribwatch_proto::v1;

use super::{
    client::Failure,
    output::{Colour, duration},
    table::{Align, Cell},
};
use crate::{
    types::Family,
    view::{
        json::{self, RouteAttributes, RouteFields},
        nlri_json,
    },
    wire::bgp::nlri,
};

/// Distinct attribute sets kept decoded.
const SETS_KEPT: usize = 8192;

/// Which table of RFC 4271 §3.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(super) enum Table {
    /// The chosen route of each prefix
    #[default]
    Loc,
    /// What neighbors sent, before policy
    AdjIn,
    /// What a neighbor was told (needs --neighbor)
    AdjOut,
}

/// The words that choose routes.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct FilterArgs {
    /// A prefix (exactly this one) or an address (the longest match); with --family also what is behind a label
    ///
    /// With a family without plain prefixes: the prefix behind a label, the destination of a flow specification, the
    /// prefix or host of an EVPN route (an address: all that hold it), a route distinguisher and prefix, or the whole
    /// text of a flow specification.
    #[arg(value_name = "PREFIX|ADDRESS")]
    pub prefix: Option<String>,
    /// Table to read
    #[arg(long, value_enum, default_value_t)]
    pub table: Table,
    /// Only routes of this neighbor, by address or name
    #[arg(long, value_name = "ADDRESS")]
    pub neighbor: Option<String>,
    /// Only this family, such as ipv4-unicast
    #[arg(long, value_name = "FAMILY")]
    pub family: Option<String>,
    /// The prefix and everything inside it
    #[arg(long, requires = "prefix", conflicts_with = "shorter")]
    pub longer: bool,
    /// The prefix and everything that covers it
    #[arg(long, requires = "prefix")]
    pub shorter: bool,
    /// Only routes with this origin AS
    #[arg(long, value_name = "ASN")]
    pub origin: Option<crate::types::Asn>,
    /// Only routes whose path matches; _ is a delimiter as on routers, such as _64500$
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    pub as_path: Option<String>,
    /// Only routes with this community (64500:1, no-export, 64500:1:2, rt:64500:1; * for any text); may be repeated
    #[arg(long, value_name = "COMMUNITY")]
    pub community: Vec<String>,
    /// Only routes with this route distinguisher, such as 64500:1
    #[arg(long, value_name = "RD")]
    pub rd: Option<String>,
    /// Only routes whose origin has this state: valid, invalid, not-found
    #[arg(long, value_name = "STATE")]
    pub validation: Option<String>,
    /// Only routes whose path has this state by ASPA: valid, invalid, unknown
    #[arg(long, value_name = "STATE")]
    pub aspa: Option<String>,
}

impl FilterArgs {
    /// As the daemon understands it.
    pub(super) fn filter(&self) -> v1::RouteFilter {
        let table = match self.table {
            Table::Loc => v1::Table::Loc,
            Table::AdjIn => v1::Table::AdjIn,
            Table::AdjOut => v1::Table::AdjOut,
        };
        let relation = match (self.longer, self.shorter) {
            (true, _) => v1::PrefixMatch::Longer,
            (_, true) => v1::PrefixMatch::Shorter,
            _ => v1::PrefixMatch::Unspecified,
        };
        v1::RouteFilter {
            table: table.into(),
            neighbor: self.neighbor.clone().unwrap_or_default(),
            family: self.family.clone().unwrap_or_default(),
            prefix: self.prefix.clone().unwrap_or_default(),
            r#match: relation.into(),
            origin_as: self.origin.map(|asn| asn.0),
            as_path: self.as_path.clone().unwrap_or_default(),
            communities: self.community.clone(),
            rd: self.rd.clone().unwrap_or_default(),
            validation: self.validation.clone().unwrap_or_default(),
            aspa: self.aspa.clone().unwrap_or_default(),
        }
    }
}

/// An attribute set as it is printed.
pub(super) struct Attributes {
    /// Decoded.
    pub message: v1::PathAttributes,
    /// As the inside of a JSON object.
    pub json: String,
}

/// Decodes attribute sets, each once while routes that carry it follow each other.
#[derive(Default)]
pub(super) struct AttributeReader(HashMap<Bytes, Rc<Attributes>, foldhash::fast::RandomState>);

impl AttributeReader {
    /// The attributes of `route`.
    pub(super) fn read(&mut self, route: &v1::Route) -> Result<Rc<Attributes>, Failure> {
        if let Some(known) = self.0.get(&route.attributes) {
            return Ok(known.clone());
        }
        let message = v1::PathAttributes::decode(route.attributes.clone())
            .map_err(|error| Failure::No(format!("the daemon sent attributes that cannot be read: {error}")))?;
        let json = json_attributes(&message, route.attributes.is_empty()).fields();
        let attributes = Rc::new(Attributes { message, json });
        if self.0.len() >= SETS_KEPT {
            self.0.clear();
        }
        // A copy of its own: the route's octets are part of a whole message, which would be kept with them.
        self.0.insert(Bytes::copy_from_slice(&route.attributes), attributes.clone());
        Ok(attributes)
    }
}

fn json_attributes(message: &v1::PathAttributes, withdrawn: bool) -> RouteAttributes {
    if withdrawn {
        return RouteAttributes::default();
    }
    RouteAttributes {
        as_path: Some(message.as_path.clone()),
        origin_as: message.origin_as,
        next_hop: some(&message.next_hop),
        origin: origin(message).map(|(name, _)| name),
        local_pref: message.local_pref,
        med: message.med,
        communities: message.communities.clone(),
        large_communities: message.large_communities.clone(),
        ext_communities: message.ext_communities.clone(),
    }
}

/// ORIGIN as a word, and as the letter that routers print behind the path.
fn origin(message: &v1::PathAttributes) -> Option<(&'static str, &'static str)> {
    match message.origin() {
        v1::Origin::Unspecified => None,
        v1::Origin::Igp => Some(("igp", "i")),
        v1::Origin::Egp => Some(("egp", "e")),
        v1::Origin::Incomplete => Some(("incomplete", "?")),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Appends the route as a JSON object.
pub(super) fn write_json(out: &mut Vec<u8>, route: &v1::Route, attributes: &Attributes) {
    let nlri = match route.nlri_octets.as_slice() {
        [] => String::new(),
        octets => {
            let typed = route.family.parse::<Family>().ok().and_then(|family| nlri::from_wire(family, octets));
            typed.map_or_else(|| "null".to_owned(), |(typed, _)| nlri_json::value(&typed).to_string())
        }
    };
    let fields = RouteFields {
        prefix: &route.prefix,
        neighbor: &route.neighbor,
        path_id: route.path_id,
        best: route.best,
        age_s: route.age_s,
        stale: route.stale,
        rejected_by: &route.rejected_by,
        family: &route.family,
        multipath: route.multipath,
        validation: &route.validation,
        aspa: &route.aspa,
        labels: &route.labels,
        nlri: &nlri,
    };
    json::write_route(out, &fields, &attributes.json);
}

/// The path with the letter of its origin, as routers print it.
pub(super) fn path(message: &v1::PathAttributes) -> String {
    let letter = origin(message).map_or("", |(_, letter)| letter);
    if message.as_path.is_empty() { letter.to_owned() } else { format!("{} {letter}", message.as_path) }
}

/// The neighbor of a route; `local` for one of our own.
pub(super) fn neighbor(route: &v1::Route) -> String {
    let name = if route.neighbor.is_empty() { "local" } else { &route.neighbor };
    if route.path_id == 0 { name.to_owned() } else { format!("{name} id {}", route.path_id) }
}

/// The next hop; `self` where it stands for our own address towards each neighbor.
pub(super) fn next_hop(message: &v1::PathAttributes) -> &str {
    match message.next_hop.as_str() {
        "0.0.0.0" | "::" => "self",
        address => address,
    }
}

/// The columns of a route.
pub(super) const COLUMNS: [(&str, Align); 8] = [
    ("", Align::Left),
    ("PREFIX", Align::Left),
    ("NEXT HOP", Align::Left),
    ("NEIGHBOR", Align::Left),
    ("LOCPREF", Align::Right),
    ("MED", Align::Right),
    ("AGE", Align::Right),
    ("AS PATH", Align::Left),
];

/// The cells of a route.
pub(super) fn cells(route: &v1::Route, message: &v1::PathAttributes) -> Vec<Cell> {
    let mark = if route.best { Cell::coloured("*>", Colour::Green) } else { Cell::new("*") };
    let mark = if route.rejected_by.is_empty() { mark } else { Cell::coloured("x", Colour::Red) };
    let mut path = path(message);
    if !route.rejected_by.is_empty() {
        path = format!("{path}  (rejected by {})", route.rejected_by);
    }
    if route.stale {
        path.push_str("  (stale)");
    }
    let colour = if route.stale || !route.rejected_by.is_empty() { Colour::Dim } else { Colour::Plain };
    vec![
        mark,
        Cell::coloured(&route.prefix, colour),
        Cell::coloured(next_hop(message), colour),
        Cell::coloured(neighbor(route), colour),
        Cell::coloured(number(message.local_pref), colour),
        Cell::coloured(number(message.med), colour),
        Cell::coloured(duration(route.age_s), colour),
        Cell::coloured(path, colour),
    ]
}

/// A number, or nothing.
pub(super) fn number(value: Option<u32>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Encapsulations in which the label field of an EVPN route is a virtual network (RFC 8365 §5.1.3).
const VIRTUAL_NETWORKS: [&str; 3] = ["encap:vxlan", "encap:nvgre", "encap:vxlan-gpe"];

/// The virtual networks of an EVPN route; nothing where its label fields are MPLS labels.
fn virtual_networks<'a>(route: &'a v1::Route, message: &v1::PathAttributes) -> &'a [u32] {
    match route.nlri.as_ref().and_then(|nlri| nlri.kind.as_ref()) {
        Some(v1::nlri::Kind::Evpn(evpn))
            if message.ext_communities.iter().any(|word| VIRTUAL_NETWORKS.contains(&word.as_str())) =>
        {
            &evpn.vnis
        }
        _ => &[],
    }
}

/// What a table has no room for, one line each.
pub(super) fn details(route: &v1::Route, message: &v1::PathAttributes) -> Vec<String> {
    let list = |items: &[String]| items.join(" ");
    let (name, labels) = match virtual_networks(route, message) {
        [] => ("labels", &route.labels[..]),
        vnis => ("VNIs", vnis),
    };
    let labels = labels.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rows = [
        (name, list(&labels)),
        ("communities", list(&message.communities)),
        ("large communities", list(&message.large_communities)),
        ("extended communities", list(&message.ext_communities)),
        ("link-local next hop", message.link_local_next_hop.clone()),
        ("aggregator", message.aggregator.clone()),
        ("atomic aggregate", if message.atomic_aggregate { "yes".into() } else { String::new() }),
        ("originator", message.originator_id.clone()),
        ("cluster list", list(&message.cluster_list)),
        ("only to customer", number(message.only_to_customer)),
        ("AIGP metric", message.aigp.map(|metric| metric.to_string()).unwrap_or_default()),
    ];
    let mut lines: Vec<String> =
        rows.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name}: {text}")).collect();
    lines.extend(message.others.iter().map(|raw| format!("attribute {}: {}", raw.code, hex(&raw.value))));
    lines
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
