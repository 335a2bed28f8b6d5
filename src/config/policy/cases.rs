//! `[[policy.test]]`: a route, the policies to ask, and what is expected. `ribwatch check` runs them.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use toml::de::DeValue;

use super::{PolicyNames, conditions, explained, number, some};
use crate::{
    config::{
        neighbor::Neighbor,
        read::{Misfit, Table, Value},
        sections::Router,
        source::nearest,
        value,
    },
    io::bgp::Remote,
    policy::{
        AspaState, Context, Direction, NeighborFacts, NextHopVerdict, PerPrefix, Validation,
        case::{Case, Expected},
        community::AnyCommunity,
        definitions::Marked,
        path_text,
    },
    types::{Asn, Family, PeerKind},
    wire::bgp::{
        as_path::AsPath,
        attribute::{AttrSet, AttrSetBuilder, NextHop, Origin},
        community::{Community, ExtCommunity, Ipv6ExtCommunity, LargeCommunity},
    },
};

/// Reads one test; `None` when something that it cannot do without is faulty (then noted).
pub(super) fn read(
    mut table: Table<'_>,
    router: Option<&Router>,
    neighbors: &[&Neighbor],
    names: &PolicyNames,
) -> Option<Marked<Case>> {
    let span = table.span();
    let name = table.required("name", "name = \"a bogon is rejected\"", value::label);
    let own = router.map_or(Asn(0), |router| router.asn);
    let people = People { neighbors, own };
    let directions = [("import", Direction::Import), ("export", Direction::Export)];
    let direction = table.or("direction", Direction::Import, |v| value::word(v, &directions));
    let route = read_route(&mut table, &people);
    let leftmost = route.as_ref().and_then(|route| AttrSet::new(&route.attrs).as_path().asns().next());
    let given = read_neighbor(&mut table, "neighbor", &people, leftmost);
    let chosen = table.opt("policies", |v| some(v, "[\"customer-in\"]", |v| names.read(v)));
    let policies = match (chosen, &given) {
        (Some(policies), _) => policies,
        (None, Some(Given { configured: Some(neighbor), .. })) if !table.has("policies") => match direction {
            Direction::Import => neighbor.import.clone(),
            Direction::Export => neighbor.export.clone(),
        },
        _ => {
            if !table.has("policies") {
                let help = "add a line such as: policies = [\"customer-in\"], or neighbor = \"edge-1\" for those of a \
                            neighbor";
                table.fault(table.span(), "[[policy.test]] asks no policy", help);
            }
            Vec::new()
        }
    };
    let verdicts = [("accept", true), ("reject", false)];
    let accepted = table.required("expect", "expect = \"accept\"", |v| value::word(v, &verdicts));
    let by = table.opt("by", value::text);
    let expected = table.table("expect_set", "expect_set").map(read_expected).unwrap_or_default();
    if accepted == Some(false) && table.has("expect_set") {
        table.fault(table.span_of("expect_set"), "a rejected route has no attributes to expect", "remove `expect_set`");
    }
    table.finish();
    let (route, neighbor) = (route?, given.map_or_else(|| people.stranger(leftmost), |given| given.facts));
    let case = Case {
        name: name?,
        policies: policies.into_iter().map(Arc::from).collect(),
        family: route.family,
        attrs: route.attrs,
        from: if direction == Direction::Import { Some(neighbor.clone()) } else { route.from },
        prefix: route.prefix,
        accepted: accepted?,
        by,
        expected,
        context: Context { direction, neighbor, local_asn: own, local_address: LOCAL_ADDRESS },
    };
    Some(Marked::new(case, span))
}

/// Our end of a session that no test says more about (RFC 5737).
const LOCAL_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));
/// The other end.
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Who may be spoken of.
struct People<'a> {
    neighbors: &'a [&'a Neighbor],
    own: Asn,
}

/// A neighbour of a test.
struct Given<'a> {
    facts: NeighborFacts,
    configured: Option<&'a Neighbor>,
}

impl<'a> People<'a> {
    fn kind(&self, asn: Asn) -> PeerKind {
        if asn == self.own { PeerKind::Internal } else { PeerKind::External }
    }

    /// A neighbour of which nothing is said: another AS, the one that stands first in the path.
    fn stranger(&self, leftmost: Option<Asn>) -> NeighborFacts {
        let asn = leftmost.unwrap_or(Asn(64496));
        let name = STRANGER.to_string().into();
        NeighborFacts { address: STRANGER, asn, name, group: None, kind: PeerKind::External, role: None }
    }

    /// The configured neighbour of this name or address.
    fn configured(&self, v: &Value<'_>, word: &str, leftmost: Option<Asn>) -> Result<Given<'a>, Misfit> {
        let address = word.parse::<IpAddr>().ok();
        let is_it = |neighbor: &&&Neighbor| {
            neighbor.name.as_deref() == Some(word)
                || address.is_some_and(|address| neighbor.remote == Remote::Address(address))
        };
        let Some(neighbor) = self.neighbors.iter().find(is_it) else {
            let names = self.neighbors.iter().filter_map(|neighbor| neighbor.name.as_deref());
            let near = nearest(word, names).map(|near| format!("; did you mean \"{near}\"?")).unwrap_or_default();
            return Err(Misfit {
                span: v.span(),
                what: format!("no [[neighbor]] is called {word:?}{near}"),
                accepted: "the name or address of a neighbor, or { asn = 64496, role = \"customer\" }".to_owned(),
            });
        };
        let facts = facts(neighbor, self.own, neighbor.remote_asn.known().or(leftmost).unwrap_or(Asn(64496)));
        Ok(Given { facts, configured: Some(neighbor) })
    }
}

/// What policies ask about a configured neighbour; of a range its first address is taken.
pub fn facts(neighbor: &Neighbor, own: Asn, asn: Asn) -> NeighborFacts {
    let address = neighbor.remote.prefix().addr();
    NeighborFacts {
        address,
        asn,
        name: neighbor.name.clone().unwrap_or_else(|| address.to_string()).into(),
        group: neighbor.group.as_deref().map(Into::into),
        kind: if asn == own { PeerKind::Internal } else { PeerKind::External },
        role: neighbor.local_role.map(|role| role.counterpart()),
    }
}

/// `neighbor` or `from`: a name, an address, or a table with what is to be known.
fn read_neighbor<'b>(
    table: &mut Table<'_>,
    key: &'static str,
    people: &People<'b>,
    leftmost: Option<Asn>,
) -> Option<Given<'b>> {
    if !table.is_table(key) {
        return table.opt(key, |v| match v.get_ref() {
            DeValue::String(word) => people.configured(v, word, leftmost),
            _ => Err(value::misfit(
                v,
                "a neighbor",
                "the name or address of a neighbor, or a table such as { asn = 64496 }",
            )),
        });
    }
    let mut table = table.table(key, key)?;
    let stranger = people.stranger(leftmost);
    let asn = table.or("asn", stranger.asn, value::asn);
    let address = table.or("address", stranger.address, value::host_address);
    let name = table.or("name", address.to_string(), value::label);
    let group = table.opt("group", value::label);
    let role = table.opt("role", conditions::role);
    table.finish();
    let (name, group) = (name.into(), group.map(Arc::from));
    let facts = NeighborFacts { address, asn, name, group, kind: people.kind(asn), role };
    Some(Given { facts, configured: None })
}

/// The route of a test.
struct TestRoute {
    family: Family,
    attrs: Vec<u8>,
    from: Option<NeighborFacts>,
    prefix: PerPrefix,
}

/// Reads `route`.
fn read_route(table: &mut Table<'_>, people: &People<'_>) -> Option<TestRoute> {
    if !table.has("route") {
        let help = "add a line such as: route = { prefix = \"192.0.2.0/24\", as_path = \"64496 64500\" }";
        table.fault(table.span(), "[[policy.test]] lacks `route`", help);
    }
    let mut route = table.table("route", "route")?;
    let family = route.opt("family", value::family);
    let prefix = route.opt("prefix", value::prefix);
    if prefix.is_none() && family.is_none_or(Family::is_plain_prefix) && !route.has("prefix") {
        let help =
            "add: prefix = \"192.0.2.0/24\"; or name a family without plain prefixes: family = \"vpnv4-unicast\"";
        route.fault(route.span(), "`route` lacks `prefix`", help);
    }
    let unicast = match prefix {
        Some(prefix) if !prefix.is_v4() => Family::IPV6_UNICAST,
        _ => Family::IPV4_UNICAST,
    };
    let family = family.unwrap_or(unicast);
    let path = route.or("as_path", Vec::new(), as_path);
    let mut set = AttrSetBuilder::new();
    set.origin(route.or("origin", Origin::Igp, conditions::origin)).as_path(AsPath::new(&path));
    let next_hop = if family.afi == 2 { "2001:db8::1" } else { "192.0.2.1" };
    let default = next_hop.parse().unwrap_or(STRANGER);
    set.next_hop(family, NextHop::new(route.or("next_hop", default, value::address)));
    if let Some(med) = route.opt("med", |v| number(v, u32::MAX)) {
        set.med(med);
    }
    if let Some(local_pref) = route.opt("local_pref", |v| number(v, u32::MAX)) {
        set.local_pref(local_pref);
    }
    let communities = route.or("communities", Vec::new(), |v| value::list(v, "[\"64500:1\"]", explained));
    add_communities(&communities, &mut set);
    let from = read_neighbor(&mut route, "from", people, AsPath::new(&path).asns().next());
    let prefix = PerPrefix {
        prefix,
        validation: route.or("validation", Validation::NotChecked, conditions::validation),
        aspa: route.or("aspa", AspaState::NotChecked, conditions::aspa),
    };
    route.finish();
    Some(TestRoute { family, attrs: set.finish(), from: from.map(|given| given.facts), prefix })
}

/// AS_PATH as routers print it.
fn as_path(v: &Value<'_>) -> Result<Vec<u8>, Misfit> {
    let accepted = "a path as routers print it: \"64496 64500\", \"64496 {64500,64501}\", \"\"";
    match v.get_ref() {
        DeValue::String(text) => path_text::parse(text).map_err(|_| value::misfit(v, "an AS path", accepted)),
        _ => Err(value::misfit(v, "an AS path", accepted)),
    }
}

fn add_communities(communities: &[AnyCommunity], set: &mut AttrSetBuilder) {
    let (mut standard, mut large): (Vec<Community>, Vec<LargeCommunity>) = Default::default();
    let (mut extended, mut ipv6_extended): (Vec<ExtCommunity>, Vec<Ipv6ExtCommunity>) = Default::default();
    for community in communities {
        match community {
            AnyCommunity::Standard(community) => standard.push(*community),
            AnyCommunity::Large(community) => large.push(*community),
            AnyCommunity::Extended(community) => extended.push(*community),
            AnyCommunity::Ipv6Extended(community) => ipv6_extended.push(*community),
        }
    }
    set.communities(&standard).large_communities(&large).ext_communities(&extended);
    set.ipv6_ext_communities(&ipv6_extended);
}

/// Reads `expect_set`.
fn read_expected(mut table: Table<'_>) -> Vec<Expected> {
    let mut expected = Vec::new();
    expected.extend(table.opt("local_pref", conditions::maybe_number).map(Expected::LocalPref));
    expected.extend(table.opt("med", conditions::maybe_number).map(Expected::Med));
    expected.extend(table.opt("origin", conditions::origin).map(Expected::Origin));
    let path = table.opt("as_path", as_path);
    expected.extend(path.map(|path| Expected::AsPath(AsPath::new(&path).to_string())));
    let communities = table.opt("communities", |v| value::list(v, "[\"64500:1\"]", explained));
    expected.extend(communities.map(Expected::Communities));
    expected.extend(table.opt("next_hop", |v| match v.get_ref() {
        DeValue::String(text) if text == "self" => Ok(Expected::NextHopVerdict(NextHopVerdict::Own)),
        DeValue::String(text) if text == "unchanged" => Ok(Expected::NextHopVerdict(NextHopVerdict::Unchanged)),
        _ => value::address(v).map(|address| Expected::NextHop(NextHop::new(address))),
    }));
    expected.extend(table.opt("weight", |v| number(v, 65535)).map(|weight| Expected::Weight(weight as u16))); // at most 65535
    table.finish();
    expected
}
