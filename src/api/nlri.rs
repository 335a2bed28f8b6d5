//! The typed view of an NLRI as a message of `nlri.proto`.

use ribwatch_proto::v1;

use crate::wire::bgp::nlri::{
    TypedNlri,
    evpn::{EvpnKind, EvpnRoute},
    flowspec::{Component, FlowSpec},
    ls::{LinkState, Tlv},
    rtc::RouteTargetMembership,
};

/// The message.
pub(super) fn message(typed: &TypedNlri) -> v1::Nlri {
    use v1::nlri::Kind;
    let kind = match typed {
        TypedNlri::Labelled(route) => {
            Kind::Labelled(v1::LabelledPrefix { rd: text(route.rd), prefix: route.prefix.to_string() })
        }
        TypedNlri::FlowSpec(filter) => Kind::FlowSpec(flow_spec(filter)),
        TypedNlri::Evpn(route) => Kind::Evpn(evpn(route)),
        TypedNlri::RouteTarget(membership) => Kind::RouteTarget(route_target(membership)),
        TypedNlri::LinkState(route) => Kind::LinkState(link_state(route)),
        TypedNlri::SrPolicy(policy) => Kind::SrPolicy(v1::SrPolicy {
            distinguisher: policy.distinguisher,
            color: policy.color,
            endpoint: policy.endpoint.to_string(),
        }),
    };
    v1::Nlri { kind: Some(kind) }
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn flow_spec(filter: &FlowSpec) -> v1::FlowSpec {
    let components = filter.components.iter().map(|component| {
        let (mut prefix_text, mut offset_bits, mut all) = (String::new(), 0, Vec::new());
        match component {
            Component::Prefix { prefix, offset, .. } => {
                prefix_text = prefix.to_string();
                offset_bits = u32::from(*offset);
            }
            Component::Numeric { tests, .. } | Component::Bitmask { tests, .. } => {
                let test = tests.iter();
                all.extend(test.map(|test| v1::FlowTest { and: test.and, op: test.op.into(), value: test.value }));
            }
        }
        v1::FlowComponent {
            r#type: component.kind().into(),
            name: component.name().to_owned(),
            prefix: prefix_text,
            offset: offset_bits,
            tests: all,
        }
    });
    v1::FlowSpec { rd: text(filter.rd), components: components.collect() }
}

fn evpn(route: &EvpnRoute) -> v1::EvpnRoute {
    let head =
        v1::EvpnRoute { rd: route.rd.to_string(), route_type: route.route_type().into(), ..v1::EvpnRoute::default() };
    match &route.kind {
        EvpnKind::AutoDiscovery { esi, tag, label } => {
            v1::EvpnRoute { esi: esi.to_string(), ethernet_tag: *tag, vnis: vec![*label], ..head }
        }
        EvpnKind::MacIp { esi, tag, mac, ip, label, second_label } => v1::EvpnRoute {
            esi: esi.to_string(),
            ethernet_tag: *tag,
            mac: mac.to_string(),
            ip: text(*ip),
            vnis: [Some(*label), *second_label].into_iter().flatten().collect(),
            ..head
        },
        EvpnKind::InclusiveMulticast { tag, originator } => {
            v1::EvpnRoute { ethernet_tag: *tag, originator: originator.to_string(), ..head }
        }
        EvpnKind::EthernetSegment { esi, originator } => {
            v1::EvpnRoute { esi: esi.to_string(), originator: originator.to_string(), ..head }
        }
        EvpnKind::IpPrefix { esi, tag, prefix, gateway, label } => v1::EvpnRoute {
            esi: esi.to_string(),
            ethernet_tag: *tag,
            prefix: prefix.to_string(),
            gateway: text((!gateway.is_unspecified()).then_some(gateway)),
            vnis: vec![*label],
            ..head
        },
    }
}

fn route_target(membership: &RouteTargetMembership) -> v1::RouteTargetMembership {
    match membership {
        RouteTargetMembership::Default => v1::RouteTargetMembership::default(),
        RouteTargetMembership::Target { origin, bits, .. } => v1::RouteTargetMembership {
            origin_as: Some(origin.0),
            route_target: text(membership.route_target()),
            bits: (*bits).into(),
        },
    }
}

fn link_state(route: &LinkState) -> v1::LinkState {
    let descriptor = |tlv: &Tlv| v1::LinkStateDescriptor {
        code: tlv.code.into(),
        name: tlv.name(),
        text: tlv.text(route.kind),
        value: tlv.value.clone(),
    };
    v1::LinkState {
        kind: route.kind.name().to_owned(),
        protocol: route.protocol_name(),
        identifier: route.identifier,
        local: route.local.iter().map(descriptor).collect(),
        remote: route.remote.iter().map(descriptor).collect(),
        descriptors: route.descriptors.iter().map(descriptor).collect(),
    }
}
