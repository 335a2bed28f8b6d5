//! One JSON object per line, every family included. `type` is `rib`, `announce`, `withdraw`, `end-of-rib` or
//! `state`; routes have the field names of CONTRACT.md.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    types::{PathId, Timestamp},
    wire::{
        bgp::{
            attribute::AttrSet,
            batch::{ItemKind, UpdateItem},
            nlri,
        },
        mrt::{Direction, Event, Header, Routes, StateChange},
    },
};

#[derive(Serialize)]
struct RouteLine<'a> {
    r#type: &'static str,
    time: &'a str,
    neighbor: String,
    remote_asn: u32,
    /// The recording side sent it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sent: bool,
    family: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_id: Option<PathId>,
    #[serde(flatten)]
    attributes: Option<&'a Attributes>,
}

#[derive(Serialize)]
struct Attributes {
    as_path: String,
    origin_as: Option<u32>,
    next_hop: Option<String>,
    origin: Option<&'static str>,
    local_pref: Option<u32>,
    med: Option<u32>,
    communities: Vec<String>,
    large_communities: Vec<String>,
    ext_communities: Vec<String>,
    atomic_aggregate: bool,
    aggregator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    originated: Option<String>,
}

#[derive(Serialize)]
struct StateLine<'a> {
    r#type: &'static str,
    time: &'a str,
    neighbor: String,
    remote_asn: u32,
    old_state: u16,
    new_state: u16,
}

/// Appends the lines of an event.
pub(super) fn push_event(header: &Header, event: &Event<'_>, out: &mut Vec<u8>) {
    let time = header.time.to_string();
    match event {
        Event::Table(routes) => push_routes("rib", &time, routes, out),
        Event::Update(routes) => {
            let kind = match routes.item.kind {
                ItemKind::Announce => "announce",
                ItemKind::Withdraw => "withdraw",
                ItemKind::EndOfRib => "end-of-rib",
            };
            push_routes(kind, &time, routes, out);
        }
        Event::StateChange(change) => push_state_change(&time, change, out),
    }
}

fn push_state_change(time: &str, change: &StateChange, out: &mut Vec<u8>) {
    let line = StateLine {
        r#type: "state",
        time,
        neighbor: change.peer_address.to_string(),
        remote_asn: change.peer_asn.0,
        old_state: change.old_state,
        new_state: change.new_state,
    };
    push_line(&line, out);
}

fn push_routes(kind: &'static str, time: &str, routes: &Routes<'_>, out: &mut Vec<u8>) {
    let item = &routes.item;
    let attributes = (item.kind == ItemKind::Announce).then(|| attributes(item.attrs, routes.originated_secs));
    let mut line = RouteLine {
        r#type: kind,
        time,
        neighbor: routes.peer_address.to_string(),
        remote_asn: routes.peer_asn.0,
        sent: routes.direction == Direction::Sent,
        family: item.family.to_string(),
        prefix: None,
        path_id: None,
        attributes: attributes.as_ref(),
    };
    if item.kind == ItemKind::EndOfRib {
        return push_line(&line, out);
    }
    for (path_id, prefix) in names(item) {
        line.prefix = Some(Cow::Owned(prefix));
        line.path_id = routes.add_path.then_some(path_id);
        push_line(&line, out);
    }
}

/// Path identifier and name of every route.
fn names<'a>(item: &UpdateItem<'a>) -> impl Iterator<Item = (PathId, String)> + use<'a> {
    let family = item.family;
    let plain = item.prefixes().map(|(path_id, prefix)| (path_id, prefix.to_string()));
    plain.chain(item.opaque().map(move |(path_id, key, _)| (path_id, nlri::display(family, key))))
}

fn attributes(attrs: AttrSet<'_>, originated_secs: Option<u32>) -> Attributes {
    let path = attrs.as_path();
    Attributes {
        as_path: path.to_string(),
        origin_as: path.origin_asn().map(|asn| asn.0),
        next_hop: attrs.next_hop().map(|next_hop| next_hop.to_string()),
        origin: attrs.origin().map(|origin| origin.name()),
        local_pref: attrs.local_pref(),
        med: attrs.med(),
        communities: attrs.communities().map(|community| community.to_string()).collect(),
        large_communities: attrs.large_communities().map(|community| community.to_string()).collect(),
        ext_communities: attrs.ext_communities().map(|community| community.to_string()).collect(),
        atomic_aggregate: attrs.atomic_aggregate(),
        aggregator: attrs.aggregator().map(|(asn, router)| format!("{asn} {router}")),
        originated: originated_secs.map(|secs| Timestamp::from_secs(secs.into()).to_string()),
    }
}

fn push_line(line: &impl Serialize, out: &mut Vec<u8>) {
    // Writing to memory succeeds, and so does serialising maps with text keys.
    if serde_json::to_writer(&mut *out, line).is_ok() {
        out.push(b'\n');
    }
}
