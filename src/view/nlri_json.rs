//! The JSON object `nlri` of a route without a plain prefix: what its octets say, one shape per kind of family. Names
//! are stable; more may follow. `json` puts it into a route.

use serde_json::{Value, json};

use crate::{
    types::Family,
    wire::bgp::nlri::{
        TypedNlri,
        evpn::{EvpnKind, EvpnRoute},
        flowspec::{Component, FlowSpec, Test},
        ls::{LinkState, LinkStateKind, Tlv},
        rtc::RouteTargetMembership,
    },
};

/// The object for the key of a route and what stands beside it, as text; empty for a family of plain prefixes, `null`
/// for octets that break the rules of their family.
pub fn object(family: Family, key: &[u8], labels: &[u8]) -> String {
    match TypedNlri::decode(family, key, labels) {
        Some(typed) => value(&typed).to_string(),
        None => "null".to_owned(),
    }
}

/// The object.
pub fn value(typed: &TypedNlri) -> Value {
    match typed {
        TypedNlri::Labelled(route) => {
            let rd = route.rd.map(|rd| rd.to_string());
            json!({ "type": if rd.is_some() { "vpn" } else { "labelled" }, "rd": rd, "prefix": route.prefix.to_string() })
        }
        TypedNlri::FlowSpec(filter) => flow_spec(filter),
        TypedNlri::Evpn(route) => evpn(route),
        TypedNlri::RouteTarget(membership) => route_target(membership),
        TypedNlri::LinkState(route) => link_state(route),
        TypedNlri::SrPolicy(policy) => json!({
            "type": "sr-policy",
            "distinguisher": policy.distinguisher,
            "color": policy.color,
            "endpoint": policy.endpoint.to_string(),
        }),
    }
}

fn flow_spec(filter: &FlowSpec) -> Value {
    let components: Vec<Value> = filter.components.iter().map(component).collect();
    json!({ "type": "flowspec", "rd": filter.rd.map(|rd| rd.to_string()), "components": components })
}

fn component(component: &Component) -> Value {
    let (kind, name) = (component.kind(), component.name());
    match component {
        Component::Prefix { prefix, offset, .. } => {
            json!({ "component": kind, "name": name, "prefix": prefix.to_string(), "offset": offset })
        }
        Component::Numeric { tests, .. } | Component::Bitmask { tests, .. } => {
            let test = |test: &Test| json!({ "and": test.and, "op": test.op, "value": test.value });
            let tests: Vec<Value> = tests.iter().map(test).collect();
            json!({ "component": kind, "name": name, "condition": component.condition(), "tests": tests })
        }
    }
}

fn evpn(route: &EvpnRoute) -> Value {
    let mut object = match &route.kind {
        EvpnKind::AutoDiscovery { esi, tag, label } => {
            json!({ "esi": esi.to_string(), "ethernet_tag": tag, "vni": label })
        }
        EvpnKind::MacIp { esi, tag, mac, ip, label, second_label } => json!({
            "esi": esi.to_string(),
            "ethernet_tag": tag,
            "mac": mac.to_string(),
            "ip": ip.map(|ip| ip.to_string()),
            "vni": label,
            "second_vni": second_label,
        }),
        EvpnKind::InclusiveMulticast { tag, originator } => {
            json!({ "ethernet_tag": tag, "originator": originator.to_string() })
        }
        EvpnKind::EthernetSegment { esi, originator } => {
            json!({ "esi": esi.to_string(), "originator": originator.to_string() })
        }
        EvpnKind::IpPrefix { esi, tag, prefix, gateway, label } => json!({
            "esi": esi.to_string(),
            "ethernet_tag": tag,
            "prefix": prefix.to_string(),
            "gateway": (!gateway.is_unspecified()).then(|| gateway.to_string()),
            "vni": label,
        }),
    };
    if let Value::Object(fields) = &mut object {
        fields.insert("type".into(), "evpn".into());
        fields.insert("route_type".into(), route.route_type().into());
        fields.insert("rd".into(), route.rd.to_string().into());
    }
    object
}

fn route_target(membership: &RouteTargetMembership) -> Value {
    match membership {
        RouteTargetMembership::Default => json!({ "type": "rtc", "origin_as": null, "route_target": null, "bits": 0 }),
        RouteTargetMembership::Target { origin, bits, .. } => json!({
            "type": "rtc",
            "origin_as": origin.0,
            "route_target": membership.route_target().map(|target| target.to_string()),
            "bits": bits,
        }),
    }
}

fn link_state(route: &LinkState) -> Value {
    json!({
        "type": "bgp-ls",
        "kind": route.kind.name(),
        "protocol": route.protocol_name(),
        "identifier": route.identifier,
        "local": tlvs(route.kind, &route.local),
        "remote": tlvs(route.kind, &route.remote),
        "descriptors": tlvs(route.kind, &route.descriptors),
    })
}

fn tlvs(kind: LinkStateKind, tlvs: &[Tlv]) -> Vec<Value> {
    tlvs.iter().map(|tlv| json!({ "code": tlv.code, "name": tlv.name(), "value": tlv.text(kind) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_route_has_an_object_of_its_own() {
        let rd = [0, 0, 0xfb, 0xf4, 0, 0, 0, 1];
        let vpn = [&[88][..], &rd, &[192, 0, 2]].concat();
        let evpn = [&[2, 33][..], &rd, &[0; 14], &[48, 0, 0, 0x5e, 0, 0x53, 1, 0, 0, 0, 0]].concat();
        let aside = [&[0; 10][..], &[0, 6, 0x41]].concat();
        let rows: [(Family, &[u8], &[u8], Value); 5] = [
            (Family::VPNV4, &vpn, &[], json!({ "type": "vpn", "rd": "64500:1", "prefix": "192.0.2.0/24" })),
            (
                Family::EVPN,
                &evpn,
                &aside,
                json!({
                    "type": "evpn", "route_type": 2, "rd": "64500:1", "esi": "00:00:00:00:00:00:00:00:00:00",
                    "ethernet_tag": 0, "mac": "00:00:5e:00:53:01", "ip": null, "vni": 0x641, "second_vni": null,
                }),
            ),
            (
                Family::IPV4_FLOWSPEC,
                &[8, 1, 24, 192, 0, 2, 3, 0x81, 17],
                &[],
                json!({ "type": "flowspec", "rd": null, "components": [
                    { "component": 1, "name": "dst", "prefix": "192.0.2.0/24", "offset": 0 },
                    { "component": 3, "name": "proto", "condition": "=17",
                      "tests": [{ "and": false, "op": 1, "value": 17 }] },
                ] }),
            ),
            (
                Family::RTC,
                &[96, 0, 0, 0xfb, 0xf0, 0, 2, 0xfb, 0xf1, 0, 0, 0, 100],
                &[],
                json!({ "type": "rtc", "origin_as": 64496, "route_target": "rt:64497:100", "bits": 96 }),
            ),
            (Family::EVPN, &[9, 1, 0], &[], Value::Null),
        ];
        for (family, key, labels, expected) in rows {
            assert_eq!(serde_json::from_str::<Value>(&object(family, key, labels)).unwrap(), expected, "{family}");
        }
    }
}
