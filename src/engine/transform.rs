//! What a neighbour is told of a route's attributes: from the canonical set as received to the canonical set
//! as sent. A pure function of the set, where it came from and the update group's rules, so that it runs
//! once per set and flush, and a reader of Adj-RIB-Out can be shown exactly what was sent.
//!
//! | attribute | to EBGP | to IBGP | clause |
//! |---|---|---|---|
//! | AS_PATH | own AS in front | as it is | RFC 4271 §5.1.2 |
//! | NEXT_HOP | our address | kept from EBGP, ours with next-hop-self | RFC 4271 §5.1.3, RFC 2545, RFC 8950 |
//! | MED | only where the path is empty (our own AS set it) | kept | RFC 4271 §5.1.4 |
//! | LOCAL_PREF | removed | present, 100 if absent | RFC 4271 §5.1.5 |
//! | ORIGINATOR_ID, CLUSTER_LIST | removed | removed, we do not reflect | RFC 4456 §8 |
//! | AIGP | removed | kept | RFC 7311 §3.2 |
//! | extended communities | transitive ones | all | RFC 4360 §6 |
//! | unknown, transitive | Partial is set | Partial is set | RFC 4271 §5 |
//! | unknown, not transitive | removed | removed | RFC 4271 §5 |
//!
//! Families other than plain prefixes are relayed with the next hop they came with: labels, RDs and tunnels
//! belong to whoever is behind that address.
//!
//! There is no look at the neighbour's own AS in the path before sending (RFC 4271 §9.1.3 leaves it to the
//! receiver to drop a loop): groups may then hold neighbours of different ASes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    rib::Source,
    types::{Asn, Family, PeerKind},
    wire::bgp::{
        attribute::{self, AttrSet, code, flag},
        community::Community,
    },
};

/// LOCAL_PREF given to a route that has none (RFC 4271 §5.1.5 asks for one; 100 is what every router uses).
pub const DEFAULT_LOCAL_PREF: u32 = 100;

/// What an update group's members have in common that decides over attributes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ExportRules {
    /// EBGP or IBGP.
    pub kind: PeerKind,
    /// Our AS towards them.
    pub local_asn: Asn,
    /// Our end of the session, the address given as next hop.
    pub local_address: IpAddr,
    /// Our address is the next hop on IBGP too.
    pub next_hop_self: bool,
    /// Families of AFI 1 whose next hop may be IPv6 (RFC 8950).
    pub extended_next_hop: Vec<Family>,
}

/// What of where a route was learned decides over what is sent, besides its attribute set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Learned {
    /// From which side of the AS boundary, or from nobody.
    pub source: Source,
}

/// Why a route is not sent to a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Withheld {
    /// Learned by IBGP, and the group is IBGP (RFC 4271 §9.2).
    InternalToInternal,
    /// A well-known community keeps it (RFC 1997).
    Community,
    /// Export policy rejects it.
    Policy,
    /// There is no next hop of the family that the group could use.
    NoNextHop,
    /// Its attributes and one prefix do not fit a message of the session.
    TooLong,
}

/// Writes the canonical set that a group with these `rules` is sent for `set` to `out`, replacing its content.
///
/// # Errors
/// Why nothing may be sent; `out` is then meaningless.
pub fn transform(
    set: AttrSet<'_>,
    family: Family,
    learned: Learned,
    rules: &ExportRules,
    out: &mut Vec<u8>,
) -> Result<(), Withheld> {
    out.clear();
    let Learned { source } = learned;
    if source == Source::Internal && rules.kind == PeerKind::Internal {
        return Err(Withheld::InternalToInternal);
    }
    if kept_by_community(set, rules.kind) {
        return Err(Withheld::Community);
    }
    let mut own = [Some(Own::AsPath), None, None];
    let local_pref = (rules.kind == PeerKind::Internal).then_some(Own::LocalPref);
    if family.is_plain_prefix() {
        let next_hop = next_hop(set, family, source, rules).ok_or(Withheld::NoNextHop)?;
        let next_hop = Own::NextHop(next_hop);
        // Ascending by code: NEXT_HOP 3, LOCAL_PREF 5, MP_REACH 14.
        let first = next_hop.code(family) < code::LOCAL_PREF;
        let (second, third) = if first { (Some(next_hop), local_pref) } else { (local_pref, Some(next_hop)) };
        own[1] = second;
        own[2] = third;
    } else {
        own[1] = local_pref;
    }
    merge(set, family, rules, own, out);
    Ok(())
}

/// Whether NO_EXPORT, NO_ADVERTISE or NO_EXPORT_SUBCONFED holds the route back (RFC 1997 "Well-known
/// Communities"). We are in no confederation, so the last one means the same as the first.
fn kept_by_community(set: AttrSet<'_>, kind: PeerKind) -> bool {
    set.communities().any(|community| match community {
        Community::NO_ADVERTISE => true,
        Community::NO_EXPORT | Community::NO_EXPORT_SUBCONFED => kind == PeerKind::External,
        _ => false,
    })
}

/// An attribute that is written anew.
#[derive(Clone, Copy)]
enum Own {
    AsPath,
    NextHop(IpAddr),
    LocalPref,
}

impl Own {
    fn code(self, family: Family) -> u8 {
        match self {
            Self::AsPath => code::AS_PATH,
            Self::NextHop(IpAddr::V4(_)) if family == Family::IPV4_UNICAST => code::NEXT_HOP,
            Self::NextHop(_) => code::MP_REACH,
            Self::LocalPref => code::LOCAL_PREF,
        }
    }
}

/// Writes what is kept of `set` and the attributes of `own` (ascending) in one ascending sequence.
fn merge(set: AttrSet<'_>, family: Family, rules: &ExportRules, own: [Option<Own>; 3], out: &mut Vec<u8>) {
    let mut own = own.into_iter().flatten().peekable();
    for (flags, code, value) in set.iter() {
        while let Some(mine) = own.next_if(|mine| mine.code(family) < code) {
            write_own(mine, set, family, rules, out);
        }
        if own.next_if(|mine| mine.code(family) == code).is_some_and(|mine| {
            write_own(mine, set, family, rules, out);
            true
        }) {
            continue;
        }
        copy(set, family, rules.kind, (flags, code, value), out);
    }
    for mine in own {
        write_own(mine, set, family, rules, out);
    }
}

/// Copies one attribute as far as it may pass.
fn copy(set: AttrSet<'_>, family: Family, to: PeerKind, attribute: (u8, u8, &[u8]), out: &mut Vec<u8>) {
    let (flags, code, value) = attribute;
    let external = to == PeerKind::External;
    match code {
        // Plain families: the next hop was written anew, whichever of the two attributes held it before.
        code::NEXT_HOP | code::MP_REACH if family.is_plain_prefix() => {}
        code::MED if external && set.as_path().path_length() > 0 => {}
        code::LOCAL_PREF | code::AIGP if external => {}
        code::ORIGINATOR_ID | code::CLUSTER_LIST => {}
        code::EXT_COMMUNITIES if external => copy_transitive_communities(flags, code, value, 8, out),
        code::IPV6_EXT_COMMUNITIES if external => copy_transitive_communities(flags, code, value, 20, out),
        _ if attribute::is_known(code) => put(flags, code, value, out),
        _ if flags & flag::TRANSITIVE != 0 => put(flags | flag::PARTIAL, code, value, out),
        _ => {}
    }
}

/// Copies the communities without the non-transitive bit (RFC 4360 §2: 0x40 of the first octet).
fn copy_transitive_communities(flags: u8, code: u8, value: &[u8], size: usize, out: &mut Vec<u8>) {
    let transitive = |community: &&[u8]| community.first().is_some_and(|kind| kind & 0x40 == 0);
    let kept = value.chunks_exact(size).filter(transitive).count() * size;
    if kept == 0 {
        return;
    }
    put_header(flags, code, kept, out);
    for community in value.chunks_exact(size).filter(transitive) {
        out.extend_from_slice(community);
    }
}

fn write_own(own: Own, set: AttrSet<'_>, family: Family, rules: &ExportRules, out: &mut Vec<u8>) {
    match own {
        Own::AsPath => {
            let path = set.get(code::AS_PATH).unwrap_or_default();
            match rules.kind {
                PeerKind::External => put_prepended(path, rules.local_asn, out),
                PeerKind::Internal => put(flag::TRANSITIVE, code::AS_PATH, path, out),
            }
        }
        Own::LocalPref => {
            let value = set.local_pref().unwrap_or(DEFAULT_LOCAL_PREF).to_be_bytes();
            put(flag::TRANSITIVE, code::LOCAL_PREF, &value, out);
        }
        Own::NextHop(next_hop) => put_next_hop(next_hop, family, out),
    }
}

/// AS_PATH with our AS in front (RFC 4271 §5.1.2 b): in the first AS_SEQUENCE while that has room (255), else in
/// a new one.
fn put_prepended(path: &[u8], asn: Asn, out: &mut Vec<u8>) {
    const AS_SEQUENCE: u8 = 2;
    match path {
        [AS_SEQUENCE, count, rest @ ..] if *count < u8::MAX => {
            put_header(flag::TRANSITIVE, code::AS_PATH, path.len() + 4, out);
            out.extend_from_slice(&[AS_SEQUENCE, count + 1]);
            out.extend_from_slice(&asn.0.to_be_bytes());
            out.extend_from_slice(rest);
        }
        _ => {
            put_header(flag::TRANSITIVE, code::AS_PATH, path.len() + 6, out);
            out.extend_from_slice(&[AS_SEQUENCE, 1]);
            out.extend_from_slice(&asn.0.to_be_bytes());
            out.extend_from_slice(path);
        }
    }
}

/// The next hop in canonical form: attribute 3 for IPv4 unicast over IPv4, else attribute 14 without NLRI.
fn put_next_hop(next_hop: IpAddr, family: Family, out: &mut Vec<u8>) {
    match next_hop {
        IpAddr::V4(address) if family == Family::IPV4_UNICAST => {
            put(flag::TRANSITIVE, code::NEXT_HOP, &address.octets(), out);
        }
        IpAddr::V4(address) => put_mp_next_hop(&address.octets(), family, out),
        IpAddr::V6(address) => put_mp_next_hop(&address.octets(), family, out),
    }
}

fn put_mp_next_hop(octets: &[u8], family: Family, out: &mut Vec<u8>) {
    put_header(flag::OPTIONAL, code::MP_REACH, 4 + octets.len(), out);
    out.extend_from_slice(&family.afi.to_be_bytes());
    out.push(family.safi);
    out.push(octets.len() as u8); // 4 or 16
    out.extend_from_slice(octets);
}

/// The next hop to send, for a plain-prefix family; `None` when the group can use none that we have.
fn next_hop(set: AttrSet<'_>, family: Family, source: Source, rules: &ExportRules) -> Option<IpAddr> {
    let received = set.next_hop().map(|next_hop| next_hop.global).filter(|address| !address.is_unspecified());
    let keep = rules.kind == PeerKind::Internal && !rules.next_hop_self && source != Source::Internal;
    let next_hop = match received {
        Some(address) if keep => address,
        _ => rules.local_address.to_canonical(),
    };
    usable(next_hop, family, rules).then_some(next_hop)
}

/// Whether `next_hop` may stand beside NLRI of `family` in this group. A link-local address alone names nobody
/// beyond the link (RFC 2545 §2), and an IPv6 next hop of IPv4 NLRI must have been negotiated (RFC 8950 §4).
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

fn put(flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
    put_header(flags, code, value.len(), out);
    out.extend_from_slice(value);
}

/// Attribute header in canonical form: extended length only above 255 octets (RFC 4271 §4.3).
fn put_header(flags: u8, code: u8, len: usize, out: &mut Vec<u8>) {
    if let Ok(short) = u8::try_from(len) {
        out.extend_from_slice(&[flags & !flag::EXTENDED_LENGTH, code, short]);
    } else {
        out.extend_from_slice(&[flags | flag::EXTENDED_LENGTH, code]);
        out.extend_from_slice(&(len as u16).to_be_bytes()); // a set came from one message: below 65,536
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::bgp::attribute::{AttrSetBuilder, NextHop, Origin};

    fn rules(kind: PeerKind) -> ExportRules {
        ExportRules {
            kind,
            local_asn: Asn(64512),
            local_address: Ipv4Addr::new(192, 0, 2, 254).into(),
            next_hop_self: false,
            extended_next_hop: Vec::new(),
        }
    }

    fn sent(set: &AttrSetBuilder, source: Source, kind: PeerKind) -> Result<Vec<u8>, Withheld> {
        let octets = set.finish();
        let mut out = vec![1, 2, 3]; // is replaced
        transform(AttrSet::new(&octets), Family::IPV4_UNICAST, Learned { source }, &rules(kind), &mut out)?;
        Ok(out)
    }

    fn route() -> AttrSetBuilder {
        let mut set = AttrSetBuilder::new();
        set.origin(Origin::Igp).as_path_sequence(&[Asn(64496)]);
        set.next_hop(Family::IPV4_UNICAST, NextHop::new(Ipv4Addr::new(198, 51, 100, 7).into()));
        set
    }

    #[test]
    fn our_as_goes_into_the_first_sequence_while_it_has_room() {
        let full: Vec<Asn> = vec![Asn(64497); 255];
        let as_set = [1, 2, 0, 0, 0xfb, 0xf0, 0, 0, 0xfb, 0xf1];
        let cases: [(AttrSetBuilder, usize, u16); 4] = [
            (route(), 1, 2),
            // 255 is the most a segment can hold (RFC 4271 §4.3): a new one is put in front.
            (route().as_path_sequence(&full).clone(), 2, 256),
            // RFC 4271 §5.1.2 b) 2): in front of an AS_SET, too.
            (route().raw(0x40, code::AS_PATH, &as_set).clone(), 2, 2),
            // b) 3): the empty path.
            (route().as_path_sequence(&[]).clone(), 1, 1),
        ];
        for (set, segments, length) in cases {
            let octets = sent(&set, Source::External, PeerKind::External).unwrap();
            let path = AttrSet::new(&octets).as_path();
            assert_eq!((path.segments().count(), path.path_length() as u16), (segments, length), "{path}");
            assert_eq!(path.neighbor_asn(), Some(Asn(64512)));
        }
    }

    #[test]
    fn the_result_is_canonical_whatever_the_set_had() {
        let mut set = route();
        set.raw(0xc0, 8, &[0xfb, 0xf0, 0, 1].repeat(100)).med(1).raw(0xc0, 250, &[9]).raw(0x80, 251, &[9]);
        for (kind, source) in [(PeerKind::External, Source::External), (PeerKind::Internal, Source::Local)] {
            let octets = sent(&set, source, kind).unwrap();
            let again = AttrSetBuilder::from_set(AttrSet::new(&octets)).finish();
            assert_eq!(octets, again, "ascending, once each, extended length only where needed");
            assert!(AttrSet::new(&octets).get(251).is_none());
        }
    }

    #[test]
    fn a_set_without_a_next_hop_gets_ours() {
        let mut set = route();
        set.remove(code::NEXT_HOP);
        let octets = sent(&set, Source::Local, PeerKind::Internal).unwrap();
        let next_hop = AttrSet::new(&octets).next_hop().unwrap().global;
        assert_eq!(next_hop, Ipv4Addr::new(192, 0, 2, 254));
        assert_eq!(sent(&set, Source::Internal, PeerKind::Internal), Err(Withheld::InternalToInternal));
    }
}
