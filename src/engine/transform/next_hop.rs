//! The next hop on the way out, for families of plain prefixes.
//!
//! 1. What policy says goes first: an address, our own, or the received one.
//! 2. Then the neighbour's setting: always ours, or always the received one. What is reflected keeps its next hop in any
//!    case (RFC 4456 §10).
//! 3. Else the received one is kept on IBGP (RFC 4271 §5.1.3 item 1), towards other member ASes (RFC 5065 §5.2) and towards
//!    clients of a route server (RFC 7947 §2.2.1). EBGP is given our own address, unless the received one is on a subnet
//!    that the neighbour shares with us: then it is kept, so that packets need not pass through us ("third party",
//!    §5.1.3 item 2, both forms). It may then be the neighbour's own address, which the neighbour ignores (§6.3).
//! 4. A route of our own, and one without a next hop, has our address; so has one with an unspecified address.
//! 5. What the neighbour could not use is not sent: a next hop of the other address family, unless RFC 8950 was
//!    negotiated; and a link-local one alone, which names nobody beyond the link (RFC 2545 §2).
//! 6. A global next hop on the link that the neighbour shares with us goes with the link-local address beside it (RFC 2545
//!    §3): ours beside our own, the received one beside a received one, never beside a next hop elsewhere. Only where
//!    `link_local_next_hop` says so, although the RFC asks for it: FRR 8.4 without its interface manager withdraws such
//!    IPv6 routes, and resets the session over such IPv4 ones (RFC 8950), and every receiver can resolve the global one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    policy::NextHopVerdict,
    rib::Source,
    types::Family,
    wire::bgp::attribute::{self, NextHop, flag},
};

use super::{super::NextHopRule, ExportRules, Outbound, Relation};

/// The next hop to send; `None` when the group can use none that we have.
pub(super) fn choose(route: Outbound<'_>, family: Family, source: Source, rules: &ExportRules) -> Option<NextHop> {
    let received = route.set.next_hop();
    let given = received.map(|next_hop| next_hop.global).filter(|address| !address.is_unspecified());
    let ours = rules.local_address.to_canonical();
    let reflected = source == Source::Internal && matches!(rules.to, Relation::Internal { .. });
    let on_link = |address| rules.link.is_some_and(|link| link.subnet.contains(address));
    let global = match (route.next_hop, rules.next_hop) {
        (NextHopVerdict::Explicit | NextHopVerdict::Unchanged, _) => given.unwrap_or(ours),
        (NextHopVerdict::Own, _) => ours,
        (NextHopVerdict::Standard, NextHopRule::OwnAddress) if !reflected => ours,
        (NextHopVerdict::Standard, NextHopRule::Unchanged) => given.unwrap_or(ours),
        (NextHopVerdict::Standard, NextHopRule::Standard | NextHopRule::OwnAddress) => match given {
            Some(address) if rules.transparent || rules.to != Relation::External => address,
            Some(address) if source != Source::Local && on_link(address) => address,
            _ => ours,
        },
    };
    usable(global, family, rules).then(|| NextHop { global, link_local: beside(global, ours, received, rules) })
}

/// The link-local address that goes beside a next hop (see 6.).
fn beside(global: IpAddr, ours: IpAddr, received: Option<NextHop>, rules: &ExportRules) -> Option<Ipv6Addr> {
    let link = rules.link_local.filter(|link| global.is_ipv6() && link.subnet.contains(global))?;
    if global == ours { link.link_local } else { received?.link_local }
}

/// Whether `next_hop` may stand beside NLRI of `family` in this group (see 5.).
fn usable(next_hop: IpAddr, family: Family, rules: &ExportRules) -> bool {
    match (next_hop, family.afi) {
        (IpAddr::V4(address), 1) => address != Ipv4Addr::UNSPECIFIED,
        (IpAddr::V6(address), afi) => {
            let allowed = afi == 2 || rules.extended_next_hop.contains(&family);
            allowed && address != Ipv6Addr::UNSPECIFIED && !address.is_unicast_link_local()
        }
        _ => false,
    }
}

/// The attribute that a next hop stands in, in a canonical set.
pub(super) fn code(next_hop: IpAddr, family: Family) -> u8 {
    match next_hop {
        IpAddr::V4(_) if family == Family::IPV4_UNICAST => attribute::code::NEXT_HOP,
        _ => attribute::code::MP_REACH,
    }
}

/// Appends the next hop in canonical form: attribute 3 for IPv4 unicast over IPv4, else attribute 14 without NLRI.
pub(super) fn put(next_hop: NextHop, family: Family, out: &mut Vec<u8>) {
    match next_hop.global {
        IpAddr::V4(address) if family == Family::IPV4_UNICAST => {
            super::put(flag::TRANSITIVE, attribute::code::NEXT_HOP, &address.octets(), out);
        }
        IpAddr::V4(address) => put_mp(&address.octets(), &[], family, out),
        IpAddr::V6(address) => {
            let link_local = next_hop.link_local.map(|address| address.octets());
            put_mp(&address.octets(), link_local.as_ref().map_or(&[], |octets| octets), family, out);
        }
    }
}

fn put_mp(octets: &[u8], link_local: &[u8], family: Family, out: &mut Vec<u8>) {
    let len = octets.len() + link_local.len();
    super::put_header(flag::OPTIONAL, attribute::code::MP_REACH, 4 + len, out);
    out.extend_from_slice(&family.afi.to_be_bytes());
    out.push(family.safi);
    out.push(len as u8); // 4, 16 or 32
    out.extend_from_slice(octets);
    out.extend_from_slice(link_local);
}
