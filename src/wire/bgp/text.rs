//! Path attributes as people and JSON read them: one name and one value for each, the same wherever they are shown.
//! Total: a value that does not read as its attribute says is shown in hex.

use super::{
    attribute::{AttrSet, Origin, code, table},
    nlri::hex,
};

/// The value of one attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// The attribute is there; it has no value (ATOMIC_AGGREGATE).
    Present,
    /// A number.
    Number(u64),
    /// A text: AS path, address, hex.
    Text(String),
    /// Communities and other lists.
    List(Vec<String>),
}

/// Names of attributes that have a reader, as fields of the contract where it names them.
const NAMES: &[(u8, &str)] = &[
    (code::ORIGIN, "origin"),
    (code::AS_PATH, "as_path"),
    (code::NEXT_HOP, "next_hop"),
    (code::MED, "med"),
    (code::LOCAL_PREF, "local_pref"),
    (code::ATOMIC_AGGREGATE, "atomic_aggregate"),
    (code::AGGREGATOR, "aggregator"),
    (code::COMMUNITIES, "communities"),
    (code::ORIGINATOR_ID, "originator_id"),
    (code::CLUSTER_LIST, "cluster_list"),
    (code::MP_REACH, "next_hop"),
    (code::EXT_COMMUNITIES, "ext_communities"),
    (code::IPV6_EXT_COMMUNITIES, "ipv6_ext_communities"),
    (code::AIGP, "aigp"),
    (code::LARGE_COMMUNITIES, "large_communities"),
    (code::OTC, "otc"),
];

/// The name of an attribute in output: `as_path`, `communities`, `tunnel_encapsulation`, `attribute_200`.
pub fn name(code: u8) -> String {
    if let Some((_, name)) = NAMES.iter().find(|(known, _)| *known == code) {
        return (*name).to_owned();
    }
    table::row(code).map_or_else(|| format!("attribute_{code}"), |row| row.name.to_lowercase())
}

/// Every attribute of a set with its name and value, ascending by type code.
pub fn attributes(set: AttrSet<'_>) -> Vec<(String, Shown)> {
    set.iter().map(|(_, code, value)| (name(code), shown(set, code, value))).collect()
}

fn shown(set: AttrSet<'_>, code: u8, value: &[u8]) -> Shown {
    readable(set, code).unwrap_or_else(|| Shown::Text(hex(value)))
}

fn readable(set: AttrSet<'_>, code: u8) -> Option<Shown> {
    let number = |number: Option<u32>| number.map(|number| Shown::Number(number.into()));
    match code {
        code::ORIGIN => set.origin().map(Origin::name).map(text),
        code::AS_PATH => Some(text(set.as_path())),
        code::NEXT_HOP | code::MP_REACH => set.next_hop().map(text),
        code::MED => number(set.med()),
        code::LOCAL_PREF => number(set.local_pref()),
        code::ATOMIC_AGGREGATE => Some(Shown::Present),
        code::AGGREGATOR => set.aggregator().map(|(asn, router)| Shown::Text(format!("{asn} {router}"))),
        code::COMMUNITIES => Some(list(set.communities())),
        code::ORIGINATOR_ID => set.originator_id().map(text),
        code::CLUSTER_LIST => Some(list(set.cluster_list())),
        code::EXT_COMMUNITIES => Some(list(set.ext_communities())),
        code::IPV6_EXT_COMMUNITIES => Some(list(set.ipv6_ext_communities())),
        code::AIGP => set.aigp().map(Shown::Number),
        code::LARGE_COMMUNITIES => Some(list(set.large_communities())),
        code::OTC => set.otc().map(|asn| Shown::Number(asn.0.into())),
        _ => None,
    }
}

fn text(value: impl ToString) -> Shown {
    Shown::Text(value.to_string())
}

fn list(members: impl Iterator<Item = impl ToString>) -> Shown {
    Shown::List(members.map(|member| member.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        types::{Asn, Family, RouterId},
        wire::bgp::{
            attribute::{AttrSetBuilder, NextHop},
            community::{Community, ExtCommunity, LargeCommunity},
        },
    };

    #[test]
    fn every_attribute_has_a_name_and_a_value() {
        let octets = AttrSetBuilder::new()
            .origin(Origin::Igp)
            .as_path_sequence(&[Asn(64496), Asn(64500)])
            .next_hop(Family::IPV6_UNICAST, NextHop::new("2001:db8::1".parse().unwrap()))
            .med(7)
            .atomic_aggregate()
            .aggregator(Asn(64500), "192.0.2.9".parse().unwrap())
            .communities(&[Community::NO_EXPORT, Community(0xfbf4_0001)])
            .originator_id(RouterId(0xc000_0201))
            .ext_communities(&[ExtCommunity::route_target(64500, 1).unwrap()])
            .large_communities(&[LargeCommunity { global: 64500, local1: 1, local2: 2 }])
            .otc(Asn(64496))
            .raw(0xc0, code::TUNNEL_ENCAP, &[0, 1, 0, 0])
            .raw(0xe0, 200, b"hi")
            .finish();
        let text = |text: &str| Shown::Text(text.to_owned());
        let list = |members: &[&str]| Shown::List(members.iter().map(|member| (*member).to_owned()).collect());
        let expected = [
            ("origin", text("igp")),
            ("as_path", text("64496 64500")),
            ("med", Shown::Number(7)),
            ("atomic_aggregate", Shown::Present),
            ("aggregator", text("64500 192.0.2.9")),
            ("communities", list(&["no-export", "64500:1"])),
            ("originator_id", text("192.0.2.1")),
            ("next_hop", text("2001:db8::1")),
            ("ext_communities", list(&["rt:64500:1"])),
            ("tunnel_encapsulation", text("00010000")),
            ("large_communities", list(&["64500:1:2"])),
            ("otc", Shown::Number(64496)),
            ("attribute_200", text("6869")),
        ];
        let shown = attributes(AttrSet::new(&octets));
        let shown: Vec<(&str, Shown)> = shown.iter().map(|(name, shown)| (name.as_str(), shown.clone())).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_does_not_read_is_shown_in_hex() {
        let octets = AttrSetBuilder::new().raw(0x40, code::ORIGIN, &[9]).raw(0x80, code::MED, &[1]).finish();
        let shown = attributes(AttrSet::new(&octets));
        assert_eq!(shown, [("origin".into(), Shown::Text("09".into())), ("med".into(), Shown::Text("01".into()))]);
    }
}
