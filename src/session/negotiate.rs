//! Two OPENs give what holds for the session: hold time, families, ADD-PATH, AS size, role. Also what we say in
//! our own OPEN, so that both halves of each capability stand in one file.
//!
//! *What the RFCs ask.* RFC 4271 §6.2 lists what makes an OPEN unacceptable; RFC 5492 §3 makes a capability hold
//! once both sides sent it; each capability's RFC says what "both" means for it.
//!
//! *What we do.* [`local_open`] says what we can; [`negotiate`] checks, in this order:
//! 1. the AS (2/2; RFC 7607 forbids 0);
//! 2. the BGP Identifier (2/3; equal to ours is legal on eBGP, RFC 6286 §2.1);
//! 3. the hold time (2/6);
//! 4. the role (2/11, RFC 9234 §4.2, eBGP only);
//! 5. a common family (2/7, the data lists the families that we announced).
//!
//! Outbound route filters are in `filters`.
//!
//! A collector session (`monitor_only`) announces families, four-octet AS, extended messages, extended next hop,
//! ADD-PATH receive, role, names. It leaves out route refresh, enhanced refresh, End-of-RIB and ADD-PATH send:
//! each of them is a promise to send something, and a collector session sends nothing but keepalives. Filters of what is
//! to be sent have no meaning there.

use std::{
    net::{Ipv6Addr, SocketAddr},
    time::Duration,
};

use super::{filters, settings::PeerSettings};
use crate::{
    types::{Asn, Family, PeerKind, Prefix, Role, RouterId},
    wire::{
        bgp::{
            capability::{AddPathMode, Capability, GracefulRestart, LlgrFamily},
            open::Open,
            update::{DecodeContext, Rules},
        },
        error::{Fault, NotificationCode},
    },
};

const AFI_IPV6: u16 = 2;

/// Restart Time has 12 bits (RFC 4724 §3).
const RESTART_TIME_MAX: u16 = 0x0fff;

/// Long-Lived Stale Time has 24 bits (RFC 9494 §3.1).
const STALE_TIME_MAX: u32 = 0x00ff_ffff;

/// A subnet that both ends of a session are on, as our interface is configured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Link {
    /// The subnet of our end's address; the neighbour's end is in it.
    pub subnet: Prefix,
    /// Our link-local address on the interface.
    pub link_local: Option<Ipv6Addr>,
}

/// What both OPENs agreed on (RFC 5492 §3 and the RFC of each capability). Fixed for the life of the session.
#[derive(Clone, Debug)]
pub struct Negotiated {
    /// Our AS towards this neighbour.
    pub local_asn: Asn,
    /// Our BGP Identifier.
    pub local_router_id: RouterId,
    /// The neighbour's AS.
    pub peer_asn: Asn,
    /// The neighbour's BGP Identifier.
    pub peer_router_id: RouterId,
    /// Another AS or our own.
    pub kind: PeerKind,
    /// Our end of the connection.
    pub local: SocketAddr,
    /// The neighbour's end of the connection.
    pub remote: SocketAddr,
    /// The subnet that both ends are on, if they share one. The OPENs say nothing about it: the driver fills it in.
    pub link: Option<Link>,
    /// The smaller of the two hold times; zero means no keepalives (RFC 4271 §4.2).
    pub hold_time: Duration,
    /// A third of the hold time (RFC 4271 §4.4).
    pub keepalive: Duration,
    /// Families that both sides announced; IPv4 unicast where a side sent no multiprotocol capability.
    pub families: Vec<Family>,
    /// AS numbers are four octets in both directions (RFC 6793).
    pub four_octet_as: bool,
    /// Families in which the neighbour sends path identifiers to us (RFC 7911).
    pub add_path_receive: Vec<Family>,
    /// Families in which we send path identifiers (RFC 7911).
    pub add_path_send: Vec<Family>,
    /// Families in which the neighbour tells us by address prefixes what it wants to be sent (RFC 5291 §6).
    pub filters_received: Vec<Family>,
    /// Families in which we may tell it (RFC 5291 §6).
    pub filters_sent: Vec<Family>,
    /// Messages up to 65,535 octets both ways (RFC 8654).
    pub extended_message: bool,
    /// The neighbour understands ROUTE-REFRESH (RFC 2918).
    pub route_refresh: bool,
    /// Both mark begin and end of a refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Families whose next hop may be IPv6 although the NLRI are IPv4 (RFC 8950).
    pub extended_next_hop: Vec<Family>,
    /// What the neighbour said about graceful restart, once both sides announced it (RFC 4724). Its N bit stands
    /// only if both sides set theirs (RFC 8538 §2).
    pub graceful_restart: Option<GracefulRestart>,
    /// The families of its long-lived graceful restart, once both sides announced it and graceful restart with it
    /// (RFC 9494 §4.1); may be empty, then it only knows such routes when it sees them.
    pub long_lived: Option<Vec<LlgrFamily>>,
    /// Our role towards the neighbour, if it contradicted nothing that the neighbour told (RFC 9234 §4.2).
    pub local_role: Option<Role>,
    /// Its hostname, if it told (draft-walton-bgp-hostname-capability).
    pub hostname: Option<String>,
    /// Its software version, if it told (draft-abraitis-bgp-version-capability).
    pub software: Option<String>,
    /// Every capability of its OPEN.
    pub remote_capabilities: Vec<Capability>,
}

impl Negotiated {
    /// What was agreed, in words for people, one item each, families first.
    pub fn describe(&self) -> Vec<String> {
        let mut items: Vec<String> = self.families.iter().map(ToString::to_string).collect();
        let mut say = |holds: bool, text: String| {
            if holds {
                items.push(text);
            }
        };
        say(true, if self.four_octet_as { "4-octet AS" } else { "2-octet AS" }.into());
        say(self.route_refresh, "route refresh".into());
        say(self.enhanced_refresh, "enhanced route refresh".into());
        say(self.extended_message, "extended message".into());
        say(!self.add_path_receive.is_empty(), format!("ADD-PATH receive {}", list(&self.add_path_receive)));
        say(!self.add_path_send.is_empty(), format!("ADD-PATH send {}", list(&self.add_path_send)));
        say(!self.filters_received.is_empty(), format!("route filters received {}", list(&self.filters_received)));
        say(!self.filters_sent.is_empty(), format!("route filters sent {}", list(&self.filters_sent)));
        say(!self.extended_next_hop.is_empty(), format!("extended next hop {}", list(&self.extended_next_hop)));
        if let Some(role) = self.local_role {
            let told = self.remote_capabilities.iter().any(|capability| matches!(capability, Capability::Role(_)));
            say(true, format!("role {}{}", role.name(), if told { "" } else { " (the neighbour tells none)" }));
        }
        items.extend(self.describe_restart());
        items
    }

    /// What was agreed about restarts, in words for people.
    pub fn describe_restart(&self) -> Vec<String> {
        let Some(restart) = &self.graceful_restart else { return Vec::new() };
        let mut items = vec!["End-of-RIB".to_owned()];
        if restart.notification {
            items.push("routes kept over NOTIFICATION (RFC 8538)".to_owned());
        }
        let secs = restart.restart_time_secs;
        let families: Vec<Family> = restart.families.iter().map(|(family, _)| *family).collect();
        if !families.is_empty() {
            items.push(format!("graceful restart, peer returns within {secs}s: {}", list(&families)));
        }
        if let Some(long_lived) = &self.long_lived {
            let times: Vec<String> =
                long_lived.iter().map(|one| format!("{} {}s", one.family, one.stale_time_secs)).collect();
            let times = if times.is_empty() { String::new() } else { format!(": {}", times.join(", ")) };
            items.push(format!("long-lived graceful restart{times}"));
        }
        items
    }

    /// How long the neighbour asks to have its routes of `family` kept while it restarts; zero where it does not
    /// (RFC 4724 §3, RFC 9494 §4.2).
    pub fn restart_time(&self, family: Family) -> Duration {
        let restart = self.graceful_restart.as_ref();
        let asks = restart.filter(|restart| restart.families.iter().any(|(listed, _)| *listed == family));
        asks.map_or(Duration::ZERO, |restart| Duration::from_secs(restart.restart_time_secs.into()))
    }

    /// How long it asks to have its routes of `family` kept as long-lived stale ones behind that; zero where it does
    /// not (RFC 9494 §4.2).
    pub fn long_lived_stale_time(&self, family: Family) -> Duration {
        self.long_lived_of(family).map_or(Duration::ZERO, |one| Duration::from_secs(one.stale_time_secs.into()))
    }

    /// Whether it says that it has preserved its state of `family` (F bit, RFC 4724 §3; after a long absence that of
    /// RFC 9494 §3.1).
    pub fn state_preserved(&self, family: Family, after_long_absence: bool) -> bool {
        if after_long_absence {
            return self.long_lived_of(family).is_some_and(|one| one.forwarding_preserved);
        }
        self.graceful_restart.as_ref().is_some_and(|restart| restart.families.contains(&(family, true)))
    }

    fn long_lived_of(&self, family: Family) -> Option<&LlgrFamily> {
        self.long_lived.as_ref()?.iter().find(|one| one.family == family)
    }
}

fn list(families: &[Family]) -> String {
    families.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The two ends of a TCP connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Endpoints {
    /// Our end.
    pub local: SocketAddr,
    /// The neighbour's end.
    pub remote: SocketAddr,
}

/// What our OPEN says beside the settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tone {
    /// Leave every capability out (RFC 5492 §3: one more attempt with a neighbour that refused them).
    pub bare: bool,
    /// We restarted (R bit, RFC 4724 §3).
    pub restarted: bool,
}

/// The OPEN that we send over a connection.
pub fn local_open(settings: &PeerSettings, ends: Endpoints, tone: Tone) -> Open {
    let hold_time_secs = u16::try_from(settings.hold_time.as_secs()).unwrap_or(u16::MAX);
    let capabilities = if tone.bare { Vec::new() } else { local_capabilities(settings, ends, tone.restarted) };
    Open::new(settings.local_asn, hold_time_secs, settings.router_id, capabilities)
}

fn local_capabilities(settings: &PeerSettings, ends: Endpoints, restarted: bool) -> Vec<Capability> {
    let mut list: Vec<Capability> = settings.families.iter().copied().map(Capability::MultiProtocol).collect();
    let talks = !settings.monitor_only;
    let mut say = |wanted: bool, capability: Capability| {
        if wanted {
            list.push(capability);
        }
    };
    say(talks && settings.route_refresh, Capability::RouteRefresh);
    if let Some(filters) = filters::offer(&settings.families, &settings.route_filters) {
        say(talks, filters);
    }
    let ipv6_next_hop = settings.families.contains(&Family::IPV4_UNICAST)
        && (settings.extended_next_hop || ends.remote.ip().to_canonical().is_ipv6());
    say(ipv6_next_hop, Capability::ExtendedNextHop(vec![(Family::IPV4_UNICAST, AFI_IPV6)]));
    say(settings.extended_message, Capability::ExtendedMessage);
    if let Some(role) = settings.local_role {
        say(settings.remote_asn.known() != Some(settings.local_asn), Capability::Role(role as u8));
    }
    let restarts = talks && settings.end_of_rib;
    say(restarts, Capability::GracefulRestart(local_graceful_restart(settings, restarted)));
    say(true, Capability::FourOctetAs(settings.local_asn));
    if let Some(stale_time) = settings.restart.long_lived {
        say(restarts, Capability::LongLivedGracefulRestart(local_long_lived(settings, stale_time)));
    }
    let add_path = local_add_path(settings);
    say(!add_path.is_empty(), Capability::AddPath(add_path));
    say(talks && settings.route_refresh && settings.enhanced_refresh, Capability::EnhancedRouteRefresh);
    if let Some(hostname) = &settings.hostname {
        say(true, Capability::Fqdn { hostname: hostname.clone(), domain: String::new() });
    }
    if let Some(version) = &settings.software_version {
        say(true, Capability::SoftwareVersion(version.clone()));
    }
    list
}

/// *What RFC 4724 asks:* the F bit says that forwarding state was preserved over the restart (§3, §4.1). *What we do:*
/// it is always set. There is no forwarding state here: next hops are those of others, and what they forward is what
/// it was, whether this process lives or not. Clear, it would make every neighbour drop our routes at once.
fn local_graceful_restart(settings: &PeerSettings, restarted: bool) -> GracefulRestart {
    let Some(restart_time) = settings.restart.restart_time else {
        return GracefulRestart { notification: true, ..GracefulRestart::default() };
    };
    GracefulRestart {
        restarting: restarted,
        notification: true,
        restart_time_secs: u16::try_from(restart_time.as_secs()).unwrap_or(u16::MAX).min(RESTART_TIME_MAX),
        families: settings.families.iter().map(|family| (*family, true)).collect(),
    }
}

/// Families are listed only where we ask to have our routes kept; without any, we say that we know such routes.
fn local_long_lived(settings: &PeerSettings, stale_time: Duration) -> Vec<LlgrFamily> {
    if settings.restart.restart_time.is_none() {
        return Vec::new();
    }
    let stale_time_secs = u32::try_from(stale_time.as_secs()).unwrap_or(u32::MAX).min(STALE_TIME_MAX);
    let one = |family: &Family| LlgrFamily { family: *family, forwarding_preserved: true, stale_time_secs };
    settings.families.iter().map(one).collect()
}

fn local_add_path(settings: &PeerSettings) -> Vec<(Family, AddPathMode)> {
    let mode = |family: &Family| {
        let receives = settings.add_path_receive.contains(family);
        let sends = !settings.monitor_only && settings.add_path_send.contains(family);
        match (receives, sends) {
            (true, true) => Some(AddPathMode::Both),
            (true, false) => Some(AddPathMode::Receive),
            (false, true) => Some(AddPathMode::Send),
            (false, false) => None,
        }
    };
    settings.families.iter().filter_map(|family| Some((*family, mode(family)?))).collect()
}

/// Checks the neighbour's OPEN against what we want and puts both together. `ours` is the OPEN that we sent, or
/// will send, on the connection.
///
/// # Errors
/// The OPEN is unacceptable; the fault names the NOTIFICATION and says why in words. Its `at` is the field's
/// place in the neighbour's OPEN.
pub fn negotiate(settings: &PeerSettings, ours: &Open, theirs: &Open, ends: Endpoints) -> Result<Negotiated, Fault> {
    let peer_asn = theirs.asn();
    let kind = if peer_asn == settings.local_asn { PeerKind::Internal } else { PeerKind::External };
    check_asn(settings, peer_asn)?;
    check_router_id(settings, theirs.router_id, kind)?;
    let hold_time = agree_hold_time(settings, theirs.hold_time_secs)?;
    let local_role = match kind {
        PeerKind::External => agree_role(settings, ours, theirs)?,
        PeerKind::Internal => None,
    };
    let families = common_families(ours, theirs)?;
    let both = |capability: &Capability| ours.capabilities.contains(capability) && has(theirs, capability);
    let (we_receive, we_send) = add_path_sides(ours);
    let (they_receive, they_send) = add_path_sides(theirs);
    let (we_take_filters, we_give_filters) = filters::sides(ours);
    let (they_take_filters, they_give_filters) = filters::sides(theirs);
    let in_both = |mine: &[Family], other: &[Family]| -> Vec<Family> {
        families.iter().copied().filter(|family| mine.contains(family) && other.contains(family)).collect()
    };
    Ok(Negotiated {
        local_asn: settings.local_asn,
        local_router_id: settings.router_id,
        peer_asn,
        peer_router_id: theirs.router_id,
        kind,
        local: ends.local,
        remote: ends.remote,
        link: None,
        hold_time,
        keepalive: hold_time / 3,
        four_octet_as: has_four_octet_as(ours) && has_four_octet_as(theirs),
        add_path_receive: in_both(&we_receive, &they_send),
        add_path_send: in_both(&we_send, &they_receive),
        filters_received: in_both(&we_take_filters, &they_give_filters),
        filters_sent: in_both(&we_give_filters, &they_take_filters),
        extended_message: both(&Capability::ExtendedMessage),
        route_refresh: has(theirs, &Capability::RouteRefresh),
        enhanced_refresh: both(&Capability::EnhancedRouteRefresh),
        extended_next_hop: in_both(&extended_next_hop(ours), &extended_next_hop(theirs)),
        graceful_restart: agree_graceful_restart(ours, theirs),
        long_lived: agree_long_lived(ours, theirs),
        local_role,
        hostname: hostname(theirs),
        software: software(theirs),
        remote_capabilities: theirs.capabilities.clone(),
        families,
    })
}

fn check_asn(settings: &PeerSettings, peer_asn: Asn) -> Result<(), Fault> {
    if settings.remote_asn.accepts(peer_asn) {
        return Ok(());
    }
    let what = match settings.remote_asn.known() {
        Some(expected) => format!("peer AS is {peer_asn}, expected {expected}"),
        None => format!("peer AS {peer_asn} is not among those accepted here"),
    };
    Err(Fault::reset(NotificationCode::BAD_PEER_AS, 20, "RFC 4271 §6.2", what))
}

/// RFC 6286 §2.1: unique within an AS only, so that an eBGP neighbour may have the same identifier as we.
fn check_router_id(settings: &PeerSettings, router_id: RouterId, kind: PeerKind) -> Result<(), Fault> {
    let same = kind == PeerKind::Internal && router_id == settings.router_id;
    if !same && router_id != RouterId(0) {
        return Ok(());
    }
    let what = format!("peer has BGP Identifier {router_id}{}", if same { ", which is our own" } else { "" });
    Err(Fault::reset(NotificationCode::BAD_BGP_IDENTIFIER, 24, "RFC 6286 §2.2", what))
}

/// RFC 4271 §4.2: the smaller one holds; 1 s and 2 s are illegal, 0 means that no keepalives are sent.
fn agree_hold_time(settings: &PeerSettings, theirs_secs: u16) -> Result<Duration, Fault> {
    let theirs = Duration::from_secs(theirs_secs.into());
    let least = settings.min_hold_time.max(Duration::from_secs(3));
    if theirs_secs != 0 && theirs < least {
        let what = format!("peer proposes a hold time of {theirs_secs}s, at least {}s is accepted", least.as_secs());
        return Err(Fault::reset(NotificationCode::UNACCEPTABLE_HOLD_TIME, 22, "RFC 4271 §6.2", what));
    }
    Ok(settings.hold_time.min(theirs))
}

/// RFC 9234 §4.2. Roles that both told must match. Of a neighbour that tells none ours holds all the same ("the locally
/// configured BGP Role is used"), unless strict mode asks for one.
fn agree_role(settings: &PeerSettings, ours: &Open, theirs: &Open) -> Result<Option<Role>, Fault> {
    let mismatch = |what: String| Err(Fault::reset(NotificationCode::ROLE_MISMATCH, 29, "RFC 9234 §4.2", what));
    let told = |open: &Open| {
        open.capabilities.iter().find_map(|capability| match capability {
            Capability::Role(code) => Some(*code),
            _ => None,
        })
    };
    let Some(local) = settings.local_role else { return Ok(None) };
    match told(theirs).filter(|_| told(ours).is_some()) {
        Some(code) if Role::from_code(code) == Some(local.counterpart()) => Ok(Some(local)),
        Some(code) => {
            let theirs = Role::from_code(code).map_or_else(|| code.to_string(), |role| role.name().to_owned());
            let expected = local.counterpart().name();
            mismatch(format!("peer says its role is {theirs}, ours is {}, so it should be {expected}", local.name()))
        }
        None if settings.strict_role => mismatch("peer tells no role, and strict_role asks for one".into()),
        None => Ok(Some(local)),
    }
}

/// RFC 4760 §8: a family holds when both announced it. Who announces none at all speaks IPv4 unicast.
fn common_families(ours: &Open, theirs: &Open) -> Result<Vec<Family>, Fault> {
    let theirs = announced_families(theirs);
    let mut common = announced_families(ours);
    common.retain(|family| theirs.contains(family));
    if !common.is_empty() {
        return Ok(common);
    }
    let wanted: Vec<String> = announced_families(ours).iter().map(ToString::to_string).collect();
    let what = format!("no address family in common: we offer {}", wanted.join(", "));
    let mut data = Vec::new();
    for family in announced_families(ours) {
        Capability::MultiProtocol(family).encode(&mut data);
    }
    Err(Fault::reset(NotificationCode::UNSUPPORTED_CAPABILITY, 29, "RFC 5492 §3", what).with_data(data))
}

/// Families of an OPEN in its order, each once.
fn announced_families(open: &Open) -> Vec<Family> {
    let mut families = Vec::new();
    for capability in &open.capabilities {
        if let Capability::MultiProtocol(family) = capability
            && !families.contains(family)
        {
            families.push(*family);
        }
    }
    if families.is_empty() {
        families.push(Family::IPV4_UNICAST);
    }
    families
}

/// Families that the sender of `open` receives and sends several paths for (RFC 7911 §4). A family that is
/// listed twice counts as it was listed last.
fn add_path_sides(open: &Open) -> (Vec<Family>, Vec<Family>) {
    let mut modes: Vec<(Family, AddPathMode)> = Vec::new();
    for capability in &open.capabilities {
        if let Capability::AddPath(list) = capability {
            for (family, mode) in list {
                modes.retain(|(known, _)| known != family);
                modes.push((*family, *mode));
            }
        }
    }
    let side = |wanted: fn(AddPathMode) -> bool| {
        modes.iter().filter(|(_, mode)| wanted(*mode)).map(|(family, _)| *family).collect()
    };
    (side(AddPathMode::receives), side(AddPathMode::sends))
}

fn extended_next_hop(open: &Open) -> Vec<Family> {
    let lists = open.capabilities.iter().filter_map(|capability| match capability {
        Capability::ExtendedNextHop(list) => Some(list),
        _ => None,
    });
    lists.flatten().filter(|(_, afi)| *afi == AFI_IPV6).map(|(family, _)| *family).collect()
}

fn agree_graceful_restart(ours: &Open, theirs: &Open) -> Option<GracefulRestart> {
    let (ours, theirs) = (graceful_restart(ours)?, graceful_restart(theirs)?);
    Some(GracefulRestart { notification: ours.notification && theirs.notification, ..theirs.clone() })
}

/// RFC 9494 §4.5: without graceful restart beside it the capability was not sent.
fn agree_long_lived(ours: &Open, theirs: &Open) -> Option<Vec<LlgrFamily>> {
    let told = |open: &Open| {
        graceful_restart(open)?;
        open.capabilities.iter().rev().find_map(|capability| match capability {
            Capability::LongLivedGracefulRestart(list) => Some(list.clone()),
            _ => None,
        })
    };
    told(ours)?;
    told(theirs)
}

fn graceful_restart(open: &Open) -> Option<&GracefulRestart> {
    // RFC 4724 §3: of several only the last one counts.
    open.capabilities.iter().rev().find_map(|capability| match capability {
        Capability::GracefulRestart(restart) => Some(restart),
        _ => None,
    })
}

fn has(open: &Open, capability: &Capability) -> bool {
    open.capabilities.contains(capability)
}

fn has_four_octet_as(open: &Open) -> bool {
    open.capabilities.iter().any(|capability| matches!(capability, Capability::FourOctetAs(_)))
}

fn hostname(open: &Open) -> Option<String> {
    open.capabilities.iter().find_map(|capability| match capability {
        Capability::Fqdn { hostname, domain } if domain.is_empty() => Some(hostname.clone()),
        Capability::Fqdn { hostname, domain } => Some(format!("{hostname}.{domain}")),
        _ => None,
    })
}

fn software(open: &Open) -> Option<String> {
    open.capabilities.iter().find_map(|capability| match capability {
        Capability::SoftwareVersion(version) => Some(version.clone()),
        _ => None,
    })
}

/// How the neighbour's UPDATEs are read: what was agreed on, and the operator's rules.
pub(super) fn decode_context(negotiated: &Negotiated, settings: &PeerSettings) -> DecodeContext {
    let first_as = settings.enforce_first_as.then_some(negotiated.peer_asn).or(settings.rules.first_as);
    // A neighbour that is reached over loopback has no other address to name as next hop.
    let loopback_next_hop = settings.rules.loopback_next_hop || negotiated.remote.ip().is_loopback();
    DecodeContext {
        four_octet_as: negotiated.four_octet_as,
        kind: negotiated.kind,
        add_path: negotiated.add_path_receive.iter().copied().collect(),
        families: negotiated.families.iter().copied().collect(),
        rules: Rules { first_as, loopback_next_hop, ..settings.rules },
    }
}
