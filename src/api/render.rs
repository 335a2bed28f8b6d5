//! Read models to messages. Attribute sets are encoded once per distinct set and shared by the routes that
//! carry them: that is what makes a full table cheap to stream.

use std::{collections::HashMap, net::IpAddr};

use bytes::Bytes;
use prost::Message as _;
use ribwatch_proto::v1;

use crate::{
    types::{Asn, Timestamp},
    view::{Backend, Candidate, MessageCounts, NeighborView, Nlri, RouteRow, SessionState, scan::PeerNames},
    wire::bgp::{
        as_path::{Segment, SegmentKind},
        attribute::{AttrSet, Origin, code},
        nlri,
    },
};

/// Distinct attribute sets that a reader keeps encoded; about 300 octets each, so a few MiB at most.
const SETS_KEPT: usize = 8192;
/// Octets of a route besides its texts and attributes, at most: for the size of a message.
const ROUTE_OVERHEAD: usize = 64;
/// Octets of a typed NLRI for one of its own: a test of a flow specification, two octets, takes ten and its tags.
const NLRI_GROWTH: usize = 8;

/// What one reader needs to print routes.
#[derive(Default)]
pub(super) struct Renderer {
    names: PeerNames,
    sets: HashMap<Box<[u8]>, Bytes, foldhash::quality::RandomState>,
}

impl Renderer {
    /// The route of `row`, as seen at `now`.
    pub(super) fn route(
        &mut self,
        backend: &dyn Backend,
        row: &RouteRow,
        attrs: AttrSet<'_>,
        now: Timestamp,
    ) -> v1::Route {
        let (mut typed, mut octets, mut labels) = (None, Vec::new(), Vec::new());
        let prefix = match &row.nlri {
            Nlri::Prefix(_) => row.nlri.display(row.family),
            Nlri::Opaque(key) => {
                octets = nlri::wire_form(row.family, key, &row.labels);
                labels = nlri::labels(row.family, key, &row.labels);
                let taken_apart = nlri::TypedNlri::decode(row.family, key, &row.labels);
                typed = taken_apart.as_ref().map(super::nlri::message);
                taken_apart.map_or_else(|| row.nlri.display(row.family), |typed| typed.to_string())
            }
        };
        v1::Route {
            prefix,
            family: row.family.to_string(),
            neighbor: self.names.get(backend, row.peer).as_ref().to_owned(),
            path_id: row.path_id,
            best: row.best,
            stale: row.stale,
            received_at: row.received_at.secs().into(),
            age_s: now.since(row.received_at).as_secs(),
            rejected_by: row.rejected_by.as_deref().unwrap_or_default().to_owned(),
            labels,
            multipath: row.multipath,
            validation: row.validation.answer().unwrap_or_default().to_owned(),
            aspa: row.aspa.answer().unwrap_or_default().to_owned(),
            attributes: self.attributes(attrs),
            nlri: typed,
            nlri_octets: octets,
        }
    }

    /// The encoded `PathAttributes` of a canonical set; nothing for the empty set of a withdrawal.
    fn attributes(&mut self, attrs: AttrSet<'_>) -> Bytes {
        if attrs.as_bytes().is_empty() {
            return Bytes::new();
        }
        if let Some(encoded) = self.sets.get(attrs.as_bytes()) {
            return encoded.clone();
        }
        let encoded = Bytes::from(path_attributes(attrs).encode_to_vec());
        if self.sets.len() >= SETS_KEPT {
            self.sets.clear();
        }
        self.sets.insert(attrs.as_bytes().into(), encoded.clone());
        encoded
    }
}

/// A candidate of a decision, `route` being its path.
pub(super) fn candidate(candidate: Candidate, route: v1::Route) -> v1::Candidate {
    let mut message = v1::Candidate { route: Some(route), ..v1::Candidate::default() };
    message.ineligible = candidate.ineligible.unwrap_or_default();
    message.import = candidate.import;
    if let Some(lost) = candidate.lost {
        message.lost_at = lost.why.to_owned();
        message.step = lost.step.to_owned();
        message.value = lost.value.unwrap_or_default();
        message.against = lost.against.unwrap_or_default();
        message.lost_to = u32::try_from(lost.to + 1).unwrap_or(u32::MAX);
    }
    message
}

/// Octets that `route` takes in a message, at most.
pub(super) fn octets(route: &v1::Route) -> usize {
    let texts = route.prefix.len() + route.family.len() + route.neighbor.len() + route.rejected_by.len();
    // The parts of an NLRI say its octets once more, in words.
    let nlri = route.nlri_octets.len() * NLRI_GROWTH;
    ROUTE_OVERHEAD + texts + route.attributes.len() + route.labels.len() * 4 + nlri
}

fn path_attributes(attrs: AttrSet<'_>) -> v1::PathAttributes {
    let path = attrs.as_path();
    let next_hop = attrs.next_hop();
    v1::PathAttributes {
        as_path: path.to_string(),
        segments: path.segments().map(segment).collect(),
        origin_as: path.origin_asn().map(|asn| asn.0),
        neighbor_as: path.neighbor_asn().map(|asn| asn.0),
        origin: attrs.origin().map_or(v1::Origin::Unspecified, origin).into(),
        next_hop: text(next_hop.map(|hop| hop.global)),
        link_local_next_hop: text(next_hop.and_then(|hop| hop.link_local).map(IpAddr::V6)),
        med: attrs.med(),
        local_pref: attrs.local_pref(),
        atomic_aggregate: attrs.atomic_aggregate(),
        aggregator: text(attrs.aggregator().map(|(asn, router)| format!("{asn} {router}"))),
        communities: attrs.communities().map(|community| community.to_string()).collect(),
        large_communities: attrs.large_communities().map(|community| community.to_string()).collect(),
        ext_communities: attrs.ext_communities().map(|community| community.to_string()).collect(),
        originator_id: text(attrs.originator_id()),
        cluster_list: attrs.cluster_list().map(|id| id.to_string()).collect(),
        only_to_customer: attrs.otc().map(|asn: Asn| asn.0),
        aigp: attrs.aigp(),
        others: attrs.iter().filter(|(_, code, _)| !has_field(*code)).map(raw).collect(),
    }
}

/// Whether `PathAttributes` has a field for this attribute.
fn has_field(attribute: u8) -> bool {
    matches!(
        attribute,
        code::ORIGIN
            | code::AS_PATH
            | code::NEXT_HOP
            | code::MED
            | code::LOCAL_PREF
            | code::ATOMIC_AGGREGATE
            | code::AGGREGATOR
            | code::COMMUNITIES
            | code::ORIGINATOR_ID
            | code::CLUSTER_LIST
            | code::MP_REACH
            | code::EXT_COMMUNITIES
            | code::LARGE_COMMUNITIES
            | code::AIGP
            | code::OTC
    )
}

fn raw((flags, code, value): (u8, u8, &[u8])) -> v1::RawAttribute {
    v1::RawAttribute { flags: flags.into(), code: code.into(), value: value.to_vec() }
}

fn segment(segment: Segment<'_>) -> v1::AsPathSegment {
    use v1::as_path_segment::Kind;
    let kind = match segment.kind {
        SegmentKind::Sequence => Kind::Sequence,
        SegmentKind::Set => Kind::Set,
        SegmentKind::ConfedSequence => Kind::ConfedSequence,
        SegmentKind::ConfedSet => Kind::ConfedSet,
    };
    v1::AsPathSegment { kind: kind.into(), asns: segment.asns().map(|asn| asn.0).collect() }
}

fn origin(origin: Origin) -> v1::Origin {
    match origin {
        Origin::Igp => v1::Origin::Igp,
        Origin::Egp => v1::Origin::Egp,
        Origin::Incomplete => v1::Origin::Incomplete,
    }
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The neighbour as seen at `now`.
pub(super) fn neighbor(view: &NeighborView, now: Timestamp) -> v1::Neighbor {
    let seconds_since = |time: Timestamp| now.since(time).as_secs();
    let established = view.established_at.filter(|_| view.state == SessionState::Established);
    v1::Neighbor {
        address: view.address.to_string(),
        port: view.port.into(),
        name: view.name.clone().unwrap_or_default(),
        range: text(view.range),
        remote_asn: view.remote_asn.map(|asn| asn.0),
        local_asn: view.local_asn.0,
        router_id: text(view.router_id),
        state: state(view.state).into(),
        enabled: view.enabled,
        monitor_only: view.monitor_only,
        passive: view.passive,
        uptime_s: established.map(seconds_since),
        changed_s: view.changed_at.map(seconds_since),
        families: view.families.iter().map(ToString::to_string).collect(),
        counts: view.counts.iter().map(family_counts).collect(),
        hold_time_s: u32::try_from(view.hold_time.as_secs()).unwrap_or(u32::MAX),
        negotiated: view.negotiated.clone(),
        received: Some(messages(view.received)),
        sent: Some(messages(view.sent)),
        faults: view.faults.iter().map(fault).collect(),
        flaps: view.flaps,
        last_error: view.last_error.clone().unwrap_or_default(),
        send_queue: view.send_queue,
        import_policies: view.import.clone(),
        export_policies: view.export.clone(),
    }
}

fn state(state: SessionState) -> v1::SessionState {
    match state {
        SessionState::Idle => v1::SessionState::Idle,
        SessionState::Connect => v1::SessionState::Connect,
        SessionState::Active => v1::SessionState::Active,
        SessionState::OpenSent => v1::SessionState::OpenSent,
        SessionState::OpenConfirm => v1::SessionState::OpenConfirm,
        SessionState::Established => v1::SessionState::Established,
    }
}

fn family_counts(counts: &crate::view::FamilyCounts) -> v1::FamilyCounts {
    v1::FamilyCounts {
        family: counts.family.to_string(),
        received: counts.received,
        accepted: counts.accepted,
        advertised: counts.advertised,
        end_of_rib: counts.end_of_rib,
        dropped: counts.dropped,
        validation: Some(state_counts(counts.validation)),
        aspa: Some(state_counts(counts.aspa)),
        stale: counts.stale,
        filter: counts.filter.map(|filter| v1::RouteFilterCounts {
            awaited: filter.awaited,
            entries: filter.entries,
            refused: filter.refused,
        }),
    }
}

/// From counts by code; the codes of both kinds of states are in the same order.
fn state_counts([not_checked, unknown, valid, invalid]: [u64; 4]) -> v1::StateCounts {
    v1::StateCounts { valid, invalid, unknown, not_checked }
}

fn messages(counts: MessageCounts) -> v1::MessageCounts {
    let MessageCounts { open, update, notification, keepalive, refresh } = counts;
    v1::MessageCounts { open, update, notification, keepalive, refresh }
}

fn fault(fault: &crate::view::FaultCount) -> v1::FaultCount {
    v1::FaultCount {
        attribute: fault.attribute.map(u32::from),
        outcome: fault.outcome.to_owned(),
        count: fault.count,
        last: fault.last.clone(),
    }
}
