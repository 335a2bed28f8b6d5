//! Routes of a running daemon, over the same stream that `ribwatch rib` reads; the daemon does nothing else for it.

use std::collections::HashMap;

use ribwatch_proto::v1;

use super::{
    People,
    judge::{Asked, Judge, States},
};
use crate::{
    cli::{
        client::{Client, Failure},
        neighbor,
        route::AttributeReader,
    },
    config::Neighbor,
    engine::Validity,
    policy::{Direction, NeighborFacts},
    types::{Asn, Family, RouterId},
    validation::{OriginState, PathState},
    wire::bgp::{
        as_path::{AsPath, SegmentKind},
        attribute::{AttrSet, AttrSetBuilder, NextHop, Origin, code},
    },
};

/// Judges the daemon's routes: Adj-RIB-In for import (of `only`, where it is named), Loc-RIB for export.
pub(super) async fn judge(
    judge: &mut Judge,
    client: &Client,
    people: &People<'_>,
    only: Option<&Neighbor>,
) -> Result<(), Failure> {
    judge.states_from(States::Daemon);
    let import = judge.direction() == Direction::Import;
    let known = neighbor::all(client).await?;
    let known = known.iter().filter_map(|neighbor| {
        let address = neighbor.address.parse().ok()?;
        Some((neighbor.address.clone(), people.at(address, Asn(neighbor.remote_asn?))))
    });
    let senders: HashMap<String, NeighborFacts> = known.collect();
    let filter = v1::RouteFilter {
        table: if import { v1::Table::AdjIn } else { v1::Table::Loc }.into(),
        neighbor: only.filter(|_| import).map(|only| only.remote.prefix().addr().to_string()).unwrap_or_default(),
        ..v1::RouteFilter::default()
    };
    let request = v1::StreamRoutesRequest { filter: Some(filter), ..v1::StreamRoutesRequest::default() };
    let refused = |status| client.refused(status);
    let mut stream = client.routes().stream_routes(request).await.map_err(refused)?.into_inner();
    let mut attributes = AttributeReader::default();
    let mut sets: Sets = Sets::default();
    while let Some(batch) = stream.message().await.map_err(refused)? {
        for route in &batch.routes {
            let read = attributes.read(route)?;
            let family: Family = route.family.parse().map_err(Failure::No)?;
            let set = sets.octets(&route.attributes, family, &read.message);
            // One that the daemon has just forgotten is still the neighbour it was.
            let stranger = || Some(people.at(route.neighbor.parse().ok()?, neighbor_asn(&read.message)));
            let from = match senders.get(&route.neighbor) {
                Some(from) => Some(from.clone()),
                None => stranger(),
            };
            let asked = Asked {
                family,
                prefix: route.prefix.parse().ok().filter(|_| family.is_plain_prefix()),
                set: AttrSet::new(set),
                from: from.as_ref(),
                validity: validity(route),
                accepted_now: import.then_some(route.rejected_by.is_empty()),
            };
            judge.judge(&asked, || route.prefix.clone());
        }
    }
    Ok(())
}

/// The states that the daemon found; a word that this program does not know counts as none.
fn validity(route: &v1::Route) -> Validity {
    let origin = OriginState::ALL.into_iter().find(|state| state.answer() == Some(&route.validation));
    let path = PathState::ALL.into_iter().find(|state| state.answer() == Some(&route.aspa));
    Validity { origin: origin.unwrap_or_default(), path: path.unwrap_or_default() }
}

fn neighbor_asn(message: &v1::PathAttributes) -> Asn {
    Asn(message.neighbor_as.unwrap_or_default())
}

/// The last attribute set in canonical octets: routes that share one follow each other.
#[derive(Default)]
struct Sets {
    message: bytes::Bytes,
    family: Option<Family>,
    octets: Vec<u8>,
}

impl Sets {
    fn octets(&mut self, encoded: &bytes::Bytes, family: Family, message: &v1::PathAttributes) -> &[u8] {
        if self.family != Some(family) || self.message != *encoded {
            self.octets = canonical(family, message);
            self.message = bytes::Bytes::copy_from_slice(encoded);
            self.family = Some(family);
        }
        &self.octets
    }
}

/// The set that a message of the API describes, as far as policies can ask for it or change it.
pub(super) fn canonical(family: Family, message: &v1::PathAttributes) -> Vec<u8> {
    let mut set = AttrSetBuilder::new();
    let origin = match message.origin() {
        v1::Origin::Unspecified => None,
        v1::Origin::Igp => Some(Origin::Igp),
        v1::Origin::Egp => Some(Origin::Egp),
        v1::Origin::Incomplete => Some(Origin::Incomplete),
    };
    origin.into_iter().for_each(|origin| _ = set.origin(origin));
    let mut path = Vec::new();
    for segment in &message.segments {
        let kind = match segment.kind() {
            v1::as_path_segment::Kind::Unspecified => continue,
            v1::as_path_segment::Kind::Sequence => SegmentKind::Sequence,
            v1::as_path_segment::Kind::Set => SegmentKind::Set,
            v1::as_path_segment::Kind::ConfedSequence => SegmentKind::ConfedSequence,
            v1::as_path_segment::Kind::ConfedSet => SegmentKind::ConfedSet,
        };
        // A segment came from the wire: at most 255.
        path.extend_from_slice(&[kind as u8, u8::try_from(segment.asns.len()).unwrap_or(u8::MAX)]);
        segment.asns.iter().take(255).for_each(|asn| path.extend_from_slice(&asn.to_be_bytes()));
    }
    set.as_path(AsPath::new(&path));
    if let Ok(global) = message.next_hop.parse() {
        set.next_hop(family, NextHop { global, link_local: message.link_local_next_hop.parse().ok() });
    }
    message.med.into_iter().for_each(|med| _ = set.med(med));
    message.local_pref.into_iter().for_each(|value| _ = set.local_pref(value));
    set.communities(&parsed(&message.communities));
    set.large_communities(&parsed(&message.large_communities));
    set.ext_communities(&parsed(&message.ext_communities));
    for other in message.others.iter().filter(|other| other.code == u32::from(code::IPV6_EXT_COMMUNITIES)) {
        set.raw(other.flags as u8, code::IPV6_EXT_COMMUNITIES, &other.value);
    }
    message.originator_id.parse::<RouterId>().into_iter().for_each(|id| _ = set.originator_id(id));
    set.cluster_list(&parsed(&message.cluster_list));
    message.only_to_customer.into_iter().for_each(|asn| _ = set.otc(Asn(asn)));
    set.finish()
}

/// What can be read of a list.
fn parsed<T: std::str::FromStr>(words: &[String]) -> Vec<T> {
    words.iter().filter_map(|word| word.parse().ok()).collect()
}
