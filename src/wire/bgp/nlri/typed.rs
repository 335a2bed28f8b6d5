//! The typed view of a route that tables keep as octets: made when somebody wants to read it, never stored. One
//! variant per kind of family; a route that breaks the rules of its family has no typed view and is shown in hex.
//!
//! `decode`, `Display` and `parse` belong together: `parse` reads what `Display` prints, for the families that can be
//! originated (labelled unicast, VPN, flow specifications).

use std::fmt;

use super::{
    Framing,
    evpn::{self, EvpnRoute},
    flowspec::FlowSpec,
    framing,
    ls::LinkState,
    rtc::RouteTargetMembership,
    sr_policy::SrPolicy,
    vpn::{LabelledPrefix, RouteDistinguisher, hex, label_values},
};
use crate::types::{Family, Prefix};

/// Why a text is not an NLRI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextError(pub String);

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for TextError {}

/// A route of a family without plain prefixes, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TypedNlri {
    /// Labelled unicast (RFC 8277) and VPN (RFC 4364, RFC 4659).
    Labelled(LabelledPrefix),
    /// Flow specification (RFC 8955, RFC 8956).
    FlowSpec(FlowSpec),
    /// EVPN (RFC 7432, RFC 9136).
    Evpn(EvpnRoute),
    /// Route target membership (RFC 4684).
    RouteTarget(RouteTargetMembership),
    /// BGP-LS (RFC 9552).
    LinkState(LinkState),
    /// SR policy (RFC 9830).
    SrPolicy(SrPolicy),
}

impl TypedNlri {
    /// Takes the key of a route of `family` apart; `labels` is what stands beside it, and may be missing. `None`: no
    /// such family, or octets that break its rules.
    pub fn decode(family: Family, key: &[u8], labels: &[u8]) -> Option<Self> {
        match framing(family) {
            Framing::Labelled { .. } => LabelledPrefix::decode(family, key).map(Self::Labelled),
            Framing::Flowspec { .. } => FlowSpec::decode(family, key).map(Self::FlowSpec),
            Framing::TypeLength8 { .. } if family == Family::EVPN => {
                EvpnRoute::decode(&wire_form(family, key, labels)).map(Self::Evpn)
            }
            Framing::TypeLength16 => LinkState::decode(key).map(Self::LinkState),
            Framing::Bits { .. } if family == Family::RTC => RouteTargetMembership::decode(key).map(Self::RouteTarget),
            Framing::Bits { .. } => SrPolicy::decode(key).map(Self::SrPolicy),
            _ => None,
        }
    }

    /// Reads the text of a route that can be originated.
    ///
    /// # Errors
    /// A sentence that says what would be understood.
    pub fn parse(family: Family, text: &str) -> Result<Self, TextError> {
        match framing(family) {
            Framing::Labelled { .. } => LabelledPrefix::parse(family, text).map(Self::Labelled),
            Framing::Flowspec { .. } => FlowSpec::parse(family, text).map(Self::FlowSpec),
            _ => Err(TextError(format!(
                "routes of {family} cannot be written as text: unicast, multicast, labelled unicast, VPN and flow \
                 specifications can"
            ))),
        }
    }

    /// The key under which tables keep the route; the inverse of `decode`.
    ///
    /// # Errors
    /// It is a family that is never originated here, or it does not fit an NLRI.
    pub fn key(&self) -> Result<Vec<u8>, TextError> {
        match self {
            Self::Labelled(route) => {
                let mut key = Vec::new();
                route.encode(&mut key);
                Ok(key)
            }
            Self::FlowSpec(filter) => filter.encode(),
            _ => Err(TextError("only labelled, VPN and flow specification routes can be originated".into())),
        }
    }

    /// The prefix that the route is about: behind a label, the destination of a filter, of an EVPN type 5 or the host
    /// of a type 2, of a link-state prefix, an SR policy's endpoint.
    pub fn prefix(&self) -> Option<Prefix> {
        match self {
            Self::Labelled(route) => Some(route.prefix),
            Self::FlowSpec(filter) => filter.destination(),
            Self::Evpn(route) => route.prefix(),
            Self::LinkState(route) => route.prefix(),
            Self::SrPolicy(policy) => Some(Prefix::host(policy.endpoint)),
            Self::RouteTarget(_) => None,
        }
    }

    /// The route distinguisher, in families that have one.
    pub fn rd(&self) -> Option<RouteDistinguisher> {
        match self {
            Self::Labelled(route) => route.rd,
            Self::FlowSpec(filter) => filter.rd,
            Self::Evpn(route) => Some(route.rd),
            _ => None,
        }
    }
}

impl fmt::Display for TypedNlri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Labelled(route) => route.fmt(f),
            Self::FlowSpec(filter) => filter.fmt(f),
            Self::Evpn(route) => route.fmt(f),
            Self::RouteTarget(membership) => membership.fmt(f),
            Self::LinkState(route) => route.fmt(f),
            Self::SrPolicy(policy) => policy.fmt(f),
        }
    }
}

/// The key of a route of `family` as people read it: `65000:1:10.0.0.0/24`, `dst 192.0.2.0/24; proto =17`.
///
/// Total: octets that are no key of the family are printed in hex, with their type where the family has types.
pub fn display(family: Family, key: &[u8]) -> String {
    if let Some(typed) = TypedNlri::decode(family, key, &[]) {
        return typed.to_string();
    }
    match (framing(family), key) {
        (Framing::TypeLength8 { .. }, [kind, _, body @ ..]) if family == Family::EVPN => {
            format!("[evpn type {kind} {}]", hex(body))
        }
        (Framing::TypeLength16, [high, low, _, _, body @ ..]) => {
            format!("[bgp-ls type {} {}]", u16::from_be_bytes([*high, *low]), hex(body))
        }
        _ => format!("[{family} {}]", hex(key)),
    }
}

/// The NLRI as it stands in an UPDATE without ADD-PATH: the key and what stands beside it, put together.
pub fn wire_form(family: Family, key: &[u8], labels: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + labels.len());
    if family == Family::EVPN {
        evpn::join(key, labels, &mut out);
    } else {
        // In a withdrawal this stands in the label's place (RFC 8277 §2.4).
        let withdrawn: &[u8] = &[0x80, 0, 0];
        let labels = if labels.is_empty() { withdrawn } else { labels };
        // Octets that are no key of a labelled family have no such form: nothing is written.
        super::wire::push_opaque_wire(family, None, labels, key, &mut out);
    }
    out
}

/// Reads one NLRI as `wire_form` writes it: the typed view and the labels. `None`: it is none, more than one, or
/// breaks the rules of its family.
pub fn from_wire(family: Family, octets: &[u8]) -> Option<(TypedNlri, Vec<u32>)> {
    let field = crate::wire::cursor::Reader::new(octets);
    super::wire::check(family, false, field).ok().filter(|facts| facts.routes == 1)?;
    let mut frame = Vec::new();
    super::wire::append(family, false, field, &mut frame);
    let (_, key, aside) = super::OpaqueIter::new(&frame).next()?;
    Some((TypedNlri::decode(family, key, aside)?, labels(family, key, aside)))
}

/// MPLS labels of a route: the stack of a labelled one, those inside an EVPN route; none elsewhere. 20 bits each.
pub fn labels(family: Family, key: &[u8], labels: &[u8]) -> Vec<u32> {
    match framing(family) {
        Framing::Labelled { .. } => label_values(labels),
        _ if family == Family::EVPN && !labels.is_empty() => match TypedNlri::decode(family, key, labels) {
            Some(TypedNlri::Evpn(route)) => route.labels(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

impl EvpnRoute {
    /// Its labels, upper 20 bits.
    fn labels(&self) -> Vec<u32> {
        use evpn::EvpnKind;
        match self.kind {
            EvpnKind::AutoDiscovery { label, .. } | EvpnKind::IpPrefix { label, .. } => vec![label >> 4],
            EvpnKind::MacIp { label, second_label, .. } => {
                [Some(label), second_label].into_iter().flatten().map(|label| label >> 4).collect()
            }
            EvpnKind::InclusiveMulticast { .. } | EvpnKind::EthernetSegment { .. } => Vec::new(),
        }
    }
}
