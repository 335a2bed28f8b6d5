//! What a neighbour is told of a route's attributes: from the canonical set in the tables to the canonical set as sent.
//! A pure function of the set, where it came from and the update group's rules, so that it runs once per set and page,
//! and a reader of Adj-RIB-Out can be shown exactly what was sent.
//!
//! *May it be sent at all* is asked of the route as it stands in the tables ([`withheld`]), before export policy; what
//! policy made of it is then written for the neighbour ([`transform`]). `as_path`, `next_hop` and `communities` write
//! their attributes.
//!
//! # What is sent
//!
//! | attribute | to EBGP | to another member AS | to IBGP | clause |
//! |---|---|---|---|---|
//! | AS_PATH | own AS in front; confederation segments removed | own member AS in an AS_CONFED_SEQUENCE | as it is | RFC 4271 §5.1.2, RFC 5065 §4.1 |
//! | NEXT_HOP | our address; kept where it is on the subnet that they share with us | kept | kept | RFC 4271 §5.1.3, RFC 5065 §5.2, RFC 2545, RFC 8950 |
//! | MED | what policy or our own AS set | kept | kept | RFC 4271 §5.1.4, RFC 5065 §5.2 |
//! | LOCAL_PREF | removed | present, 100 if absent | present, 100 if absent | RFC 4271 §5.1.5, RFC 5065 §5.2 |
//! | COMMUNITIES | GRACEFUL_SHUTDOWN and LLGR_STALE are added where they are due | likewise | likewise | RFC 8326 §4.2, RFC 9494 §4.2 |
//! | ORIGINATOR_ID, CLUSTER_LIST | removed | removed | written when reflecting, else kept out | RFC 4456 §8 |
//! | AIGP | where enabled | kept | kept | RFC 7311 §3.3 |
//! | extended communities | transitive ones | all | all | RFC 4360 §6 |
//! | validation state | added or replaced where enabled | likewise | likewise | RFC 8097 §2 |
//! | OTC | added towards customers, peers and clients | kept | kept | RFC 9234 §5 |
//! | unknown, transitive | Partial is set | Partial is set | Partial is set | RFC 4271 §5 |
//! | unknown, not transitive | removed | removed | removed | RFC 4271 §5 |
//!
//! A route server is transparent to its clients (RFC 7947 §2.2): AS_PATH without our AS, NEXT_HOP and MED as received,
//! and well-known communities are meant for the clients, so that they do not hold a route back here (§2.2.4).
//!
//! Families other than plain prefixes are relayed with the next hop they came with: labels, RDs and tunnels
//! belong to whoever is behind that address.
//!
//! # What is not done
//! - There is no look at the neighbour's own AS in the path before sending, nor at its identifier in ORIGINATOR_ID
//!   (RFC 4271 §9.1.3, RFC 4456 §8 leave it to the receiver to drop a loop): groups then hold neighbours of different
//!   ASes.
//! - AS_SETs are never made, since nothing is aggregated (RFC 9774 §3).
//! - AIGP is passed on as it is: there is no IGP whose distance could be added (RFC 7311 §3.4.3).

mod as_path;
mod communities;
mod next_hop;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::{
    policy::NextHopVerdict,
    rib::Source,
    session::negotiate::Link,
    types::{Asn, Family, Role, RouterId},
    wire::bgp::attribute::{self, AttrSet, NextHop, code, flag},
};

use super::{NextHopRule, RemovePrivate};

/// LOCAL_PREF given to a route that has none (RFC 4271 §5.1.5 asks for one; 100 is what every router uses).
pub const DEFAULT_LOCAL_PREF: u32 = 100;

/// What a neighbour is to our AS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Relation {
    /// Another AS.
    External,
    /// Another member AS of our confederation (RFC 5065).
    Confederation,
    /// Our own AS, or member AS.
    Internal {
        /// It is a client of ours as a route reflector (RFC 4456 §4).
        client: bool,
    },
}

/// What an update group's members have in common that decides over attributes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ExportRules {
    /// What they are to our AS.
    pub to: Relation,
    /// They are clients of ours as a route server: we are transparent (RFC 7947 §2.2).
    pub transparent: bool,
    /// Our AS towards them; our member AS inside a confederation.
    pub local_asn: Asn,
    /// Our real AS, which stands behind `local_asn` where that is another one.
    pub behind: Option<Asn>,
    /// Their AS, where the path is treated differently because of it (`override_as`, `remove_private`).
    pub peer_asn: Option<Asn>,
    /// Their AS in the path is replaced by ours.
    pub override_as: bool,
    /// What becomes of private ASNs.
    pub remove_private: Option<RemovePrivate>,
    /// Our end of the session, the address given as next hop.
    pub local_address: IpAddr,
    /// The subnet that they share with us, where a next hop may depend on it.
    pub link: Option<Link>,
    /// The link that they share with us, where next hops on it are given with the link-local address.
    pub link_local: Option<Link>,
    /// What next hop they are given.
    pub next_hop: NextHopRule,
    /// Families of AFI 1 whose next hop may be IPv6 (RFC 8950).
    pub extended_next_hop: Vec<Family>,
    /// Our cluster, for reflection (RFC 4456 §7).
    pub cluster_id: RouterId,
    /// Our role towards them (RFC 9234).
    pub role: Option<Role>,
    /// Routes are to carry GRACEFUL_SHUTDOWN (RFC 8326 §4.2).
    pub graceful_shutdown: bool,
    /// AIGP crosses the AS boundary (RFC 7311 §3.3).
    pub aigp: bool,
    /// They know long-lived stale routes (RFC 9494 §4.3).
    pub long_lived: bool,
    /// Routes carry their validation state (RFC 8097 §2).
    pub validation_state: bool,
}

impl ExportRules {
    fn is_external(&self) -> bool {
        self.to == Relation::External
    }
}

/// What of where a route was learned decides over what is sent, besides its attribute set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Learned {
    /// From which side of the AS boundary, or from nobody.
    pub source: Source,
    /// It comes from a client of ours as a route reflector.
    pub client: bool,
    /// BGP Identifier of the IBGP neighbour it comes from; zero where nobody asks.
    pub router_id: RouterId,
    /// It is long-lived stale (RFC 9494 §4.2).
    pub llgr_stale: bool,
    /// What validation said of it, where policy asks; as `Sent::validity`.
    pub validity: u8,
    /// The slot of its session, where policy asks who sent it; else zero.
    pub from: u16,
    /// It is the default route that the group is sent whatever the tables hold.
    pub default_originate: bool,
}

impl Learned {
    /// A route about which nothing but its source matters.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            client: false,
            router_id: RouterId(0),
            llgr_stale: false,
            validity: 0,
            from: 0,
            default_originate: false,
        }
    }
}

/// Why a route is not sent to a group.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Withheld {
    /// Learned by IBGP, the group is IBGP, and neither end is a client of ours (RFC 4271 §9.2, RFC 4456 §6).
    InternalToInternal,
    /// A well-known community keeps it (RFC 1997, RFC 7999 §3.2).
    Community,
    /// It is for customers only, and the group is none (RFC 9234 §5).
    Otc,
    /// It is long-lived stale, and the group does not know of such routes (RFC 9494 §4.3).
    LongLivedStale,
    /// Export policy rejects it.
    Policy,
    /// The neighbours do not want it (RFC 5291).
    Filter,
    /// There is no next hop of the family that the group could use.
    NoNextHop,
    /// Its attributes and one prefix do not fit a message of the session.
    TooLong,
}

/// Whether a route as it stands in the tables may be sent to a group at all, before policy is asked.
///
/// # Errors
/// Why not.
pub fn withheld(set: AttrSet<'_>, family: Family, learned: Learned, rules: &ExportRules) -> Result<(), Withheld> {
    if learned.default_originate {
        return Ok(());
    }
    if let Relation::Internal { client } = rules.to
        && learned.source == Source::Internal
        && !client
        && !learned.client
    {
        return Err(Withheld::InternalToInternal);
    }
    if communities::hold_back(set, learned.source, rules) {
        return Err(Withheld::Community);
    }
    if otc_applies(family, rules) && leads_up(rules.role) && set.get(code::OTC).is_some() {
        return Err(Withheld::Otc);
    }
    if learned.llgr_stale && !rules.long_lived {
        return Err(Withheld::LongLivedStale);
    }
    Ok(())
}

/// The origin (RFC 6811 §2) of a set as a group with these rules is sent it, where policy does not change its path
/// (RFC 8893 §3); `None`: it has none. `own` is our AS as others see it.
pub fn origin_as_sent(set: AttrSet<'_>, rules: &ExportRules, own: Asn) -> Option<Asn> {
    as_path::origin_as_sent(set.get(code::AS_PATH).unwrap_or_default(), rules, own)
}

/// The origin of a set that was written for a group.
pub fn origin_sent(set: AttrSet<'_>, own: Asn) -> Option<Asn> {
    as_path::origin_of(set.get(code::AS_PATH).unwrap_or_default(), own)
}

/// A route as policy leaves it, on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'a> {
    /// Its attributes in the tables.
    pub stored: AttrSet<'a>,
    /// Its attributes now.
    pub set: AttrSet<'a>,
    /// What policy said about the next hop.
    pub next_hop: NextHopVerdict,
}

impl<'a> Outbound<'a> {
    /// A route that no policy changed.
    pub fn unchanged(set: AttrSet<'a>) -> Self {
        Self { stored: set, set, next_hop: NextHopVerdict::Standard }
    }

    /// Whether MED may cross the AS boundary: ours, and not what another AS told us (RFC 4271 §5.1.4).
    fn med_is_ours(&self) -> bool {
        self.set.as_path().path_length() == 0 || self.set.med() != self.stored.med()
    }
}

/// Writes the canonical set that a group with these `rules` is sent for a route to `out`, replacing its content.
///
/// # Errors
/// Why nothing may be sent; `out` is then meaningless.
pub fn transform(
    route: Outbound<'_>,
    family: Family,
    learned: Learned,
    rules: &ExportRules,
    out: &mut Vec<u8>,
) -> Result<(), Withheld> {
    out.clear();
    let next_hop = if family.is_plain_prefix() {
        Some(next_hop::choose(route, family, learned.source, rules).ok_or(Withheld::NoNextHop)?)
    } else {
        None
    };
    let inside = !rules.is_external();
    let reflected = matches!(rules.to, Relation::Internal { .. }) && learned.source == Source::Internal;
    let in_next_hop = next_hop.is_some_and(|next_hop| next_hop::code(next_hop.global, family) == code::NEXT_HOP);
    let add_otc = otc_applies(family, rules) && leads_down(rules.role) && route.set.get(code::OTC).is_none();
    let state = communities::validation_state(learned, rules);
    // What is written anew, ascending by code.
    let own = [
        (code::AS_PATH, true),
        (code::NEXT_HOP, in_next_hop),
        (code::LOCAL_PREF, inside),
        (code::COMMUNITIES, communities::added(route.set, learned, rules).next().is_some()),
        (code::ORIGINATOR_ID, reflected),
        (code::CLUSTER_LIST, reflected),
        (code::MP_REACH, next_hop.is_some() && !in_next_hop),
        (code::EXT_COMMUNITIES, state.is_some()),
        (code::OTC, add_otc),
    ];
    let mut own = own.into_iter().filter(|(_, due)| *due).map(|(code, _)| code).peekable();
    let write = Write { route, family, learned, rules, next_hop, state };
    for (flags, code, value) in route.set.iter() {
        while let Some(mine) = own.next_if(|mine| *mine < code) {
            write.own(mine, out);
        }
        if own.next_if_eq(&code).is_some() {
            write.own(code, out);
        } else {
            write.copy(flags, code, value, out);
        }
    }
    own.for_each(|mine| write.own(mine, out));
    Ok(())
}

/// Whether RFC 9234 §5 is about the family and the group.
fn otc_applies(family: Family, rules: &ExportRules) -> bool {
    matches!(family, Family::IPV4_UNICAST | Family::IPV6_UNICAST) && rules.is_external()
}

/// We are below them, or beside them: they are our provider, our route server, or a peer.
fn leads_up(role: Option<Role>) -> bool {
    matches!(role, Some(Role::Customer | Role::RouteServerClient | Role::Peer))
}

/// We are above them, or beside them: they are our customer, our client, or a peer.
fn leads_down(role: Option<Role>) -> bool {
    matches!(role, Some(Role::Provider | Role::RouteServer | Role::Peer))
}

/// All that writing an attribute needs.
struct Write<'a> {
    route: Outbound<'a>,
    family: Family,
    learned: Learned,
    rules: &'a ExportRules,
    next_hop: Option<NextHop>,
    /// The value of the validation state community.
    state: Option<u8>,
}

impl Write<'_> {
    /// Writes an attribute anew.
    fn own(&self, code: u8, out: &mut Vec<u8>) {
        let set = self.route.set;
        match code {
            code::AS_PATH => as_path::put_path(set.get(code::AS_PATH).unwrap_or_default(), self.rules, out),
            code::LOCAL_PREF => {
                let local_pref = set.local_pref().unwrap_or(DEFAULT_LOCAL_PREF);
                put(flag::TRANSITIVE, code::LOCAL_PREF, &local_pref.to_be_bytes(), out);
            }
            code::COMMUNITIES => communities::put(set, self.learned, self.rules, out),
            code::ORIGINATOR_ID => {
                let originator = set.originator_id().unwrap_or(self.learned.router_id);
                put(flag::OPTIONAL, code::ORIGINATOR_ID, &originator.0.to_be_bytes(), out);
            }
            code::CLUSTER_LIST => {
                let before = set.get(code::CLUSTER_LIST).unwrap_or_default();
                put_header(flag::OPTIONAL, code::CLUSTER_LIST, before.len() + 4, out);
                out.extend_from_slice(&self.rules.cluster_id.0.to_be_bytes());
                out.extend_from_slice(before);
            }
            code::EXT_COMMUNITIES => {
                let before = set.get(code::EXT_COMMUNITIES).unwrap_or_default();
                communities::put_with_state(before, self.state, self.rules, out);
            }
            code::OTC => {
                let flags = flag::OPTIONAL | flag::TRANSITIVE;
                put(flags, code::OTC, &self.rules.local_asn.0.to_be_bytes(), out);
            }
            _ => {
                if let Some(next_hop) = self.next_hop {
                    next_hop::put(next_hop, self.family, out);
                }
            }
        }
    }

    /// Copies one attribute as far as it may pass.
    fn copy(&self, flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
        let external = self.rules.is_external();
        match code {
            // Plain families: the next hop was written anew, whichever of the two attributes held it before.
            code::NEXT_HOP | code::MP_REACH if self.family.is_plain_prefix() => {}
            code::MED if external && !self.rules.transparent && !self.route.med_is_ours() => {}
            code::LOCAL_PREF if external => {}
            code::AIGP if external && !self.rules.aigp => {}
            code::ORIGINATOR_ID | code::CLUSTER_LIST => {}
            code::EXT_COMMUNITIES if external => communities::put_transitive(flags, code, value, 8, out),
            code::IPV6_EXT_COMMUNITIES if external => communities::put_transitive(flags, code, value, 20, out),
            _ if attribute::is_known(code) => put(flags, code, value, out),
            _ if flags & flag::TRANSITIVE != 0 => put(flags | flag::PARTIAL, code, value, out),
            _ => {}
        }
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
