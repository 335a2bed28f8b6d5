//! Two OPENs give what holds for the session: hold time, families, ADD-PATH, AS size, role.

use std::{net::SocketAddr, time::Duration};

use crate::{
    types::{Asn, Family, PeerKind, Role, RouterId},
    wire::bgp::capability::Capability,
};

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
    /// Messages up to 65,535 octets both ways (RFC 8654).
    pub extended_message: bool,
    /// The neighbour understands ROUTE-REFRESH (RFC 2918).
    pub route_refresh: bool,
    /// Both mark begin and end of a refresh (RFC 7313).
    pub enhanced_refresh: bool,
    /// Families whose next hop may be IPv6 although the NLRI are IPv4 (RFC 8950).
    pub extended_next_hop: Vec<Family>,
    /// Our role towards the neighbour, once roles were matched (RFC 9234).
    pub local_role: Option<Role>,
    /// Its hostname, if it told (draft-walton-bgp-hostname-capability).
    pub hostname: Option<String>,
    /// Its software version, if it told (draft-abraitis-bgp-version-capability).
    pub software: Option<String>,
    /// Every capability of its OPEN.
    pub remote_capabilities: Vec<Capability>,
}
