//! One route as birdwatcher prints it.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Map, Value, json};

use super::{Protocol, local_time};
use crate::{
    types::{Asn, PeerId},
    view::{NeighborView, RouteRow},
    wire::bgp::{
        attribute::{AttrSet, Origin},
        community::ExtCommunity,
    },
};

/// Printed attribute sets that are kept for the routes that share them.
const SETS_MAX: usize = 4096;
/// BIRD's preference of BGP routes, which stands for the metric.
const METRIC: u32 = 100;
/// LOCAL_PREF where a route has none (RFC 4271 §9.1.1 leaves it to us; this is BIRD's and ours).
const LOCAL_PREF: u32 = 100;

/// Prints routes.
pub(super) struct Printer {
    protocols: HashMap<PeerId, Protocol>,
    sets: HashMap<Box<[u8]>, String>,
}

impl Printer {
    /// A printer that knows these neighbours.
    pub(super) fn new(neighbors: &[NeighborView]) -> Self {
        let protocols = neighbors.iter().map(|view| (view.peer, Protocol::of(view))).collect();
        Self { protocols, sets: HashMap::new() }
    }

    /// Appends a route to `out`, as an object.
    pub(super) fn print(&mut self, row: &RouteRow, attrs: AttrSet<'_>, out: &mut Vec<u8>) {
        let unknown = || Protocol { id: Arc::from("unknown"), address: Arc::from("") };
        let from = row.peer.and_then(|peer| self.protocols.get(&peer).cloned()).unwrap_or_else(unknown);
        let octets = attrs.as_bytes();
        if !self.sets.contains_key(octets) {
            if self.sets.len() >= SETS_MAX {
                self.sets.clear();
            }
            self.sets.insert(octets.into(), Value::Object(bgp(attrs)).to_string());
        }
        let bgp = self.sets.get(octets).map_or("{}", String::as_str);
        let rejected = match &row.rejected_by {
            Some(policy) => format!(",\"rejected_by\":{}", Value::from(&**policy)),
            None => String::new(),
        };
        // A looking glass takes filtered routes for those of a neighbour by their gateway, so that is whom a route was
        // learnt from; the next hop of the route stands in `bgp`.
        let line = format!(
            "{{\"network\":\"{}\",\"gateway\":\"{address}\",\"interface\":\"\",\"from_protocol\":\"{}\",\
             \"learnt_from\":\"{address}\",\"age\":\"{}\",\"metric\":{METRIC},\"type\":[\"BGP\",\"univ\"],\
             \"primary\":{},\"bgp\":{bgp}{rejected}}}",
            row.nlri.display(row.family),
            from.id,
            local_time(row.received_at),
            row.best,
            address = from.address,
        );
        out.extend_from_slice(line.as_bytes());
    }
}

/// Attributes; numbers of the decision are strings, as BIRD prints them, ASes of the path as well.
fn bgp(attrs: AttrSet<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("origin", attrs.origin().map_or("Incomplete", origin).into());
    // The members of a set follow one after the other: a list has no other way to say it.
    let path: Vec<String> = attrs
        .as_path()
        .segments()
        .flat_map(|segment| segment.asns().map(|asn| asn.0.to_string()).collect::<Vec<_>>())
        .collect();
    put("as_path", path.into());
    put("next_hop", attrs.next_hop().map(|hop| hop.global.to_string()).unwrap_or_default().into());
    put("local_pref", attrs.local_pref().unwrap_or(LOCAL_PREF).to_string().into());
    put("med", attrs.med().unwrap_or_default().to_string().into());
    let communities = attrs.communities().map(|community| json!([community.0 >> 16, community.0 & 0xffff]));
    put("communities", communities.collect());
    let large = attrs.large_communities().map(|large| json!([large.global, large.local1, large.local2]));
    put("large_communities", large.collect());
    put("ext_communities", attrs.ext_communities().map(ext_community).collect());
    if let Some(Asn(otc)) = attrs.otc() {
        put("otc", otc.to_string().into());
    }
    fields
}

fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Igp => "IGP",
        Origin::Egp => "EGP",
        Origin::Incomplete => "Incomplete",
    }
}

/// Three strings: kind and two values, or `generic` and the two halves.
fn ext_community(community: ExtCommunity) -> Value {
    let text = community.to_string();
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [kind, a, b] => json!([kind, a, b]),
        _ => json!(["generic", format!("{:#x}", community.0 >> 32), format!("{:#x}", community.0 & 0xffff_ffff)]),
    }
}
