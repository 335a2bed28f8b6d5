//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760 §3, §4): family, next hop, routes.

use std::net::IpAddr;

use super::DecodeContext;
use crate::{
    types::Family,
    wire::{
        bgp::{
            attribute::{NextHop, table::is_host_v4},
            nlri::{self, FieldFacts},
        },
        cursor::Reader,
    },
};

/// One of the two attributes, its routes checked.
#[derive(Clone, Copy)]
pub(super) struct MpField<'a> {
    pub(super) family: Family,
    pub(super) add_path: bool,
    /// The family was not negotiated: the routes are left out, and nothing was checked.
    pub(super) refused: bool,
    pub(super) next_hop: &'a [u8],
    pub(super) nlri: Reader<'a>,
    pub(super) facts: FieldFacts,
}

/// Why the routes cannot be had from the attribute.
#[derive(Clone, Copy)]
pub(super) struct MpFault {
    pub(super) rfc: &'static str,
    pub(super) what: &'static str,
}

const fn fault(rfc: &'static str, what: &'static str) -> MpFault {
    MpFault { rfc, what }
}

const SHORT_REACH: MpFault = fault("RFC 7606 §5.3", "shorter than five octets");
const SHORT_UNREACH: MpFault = fault("RFC 7606 §5.3", "shorter than three octets");

/// MP_REACH_NLRI: AFI, SAFI, next hop, a reserved octet, routes.
pub(super) fn reach<'a>(ctx: &DecodeContext, mut value: Reader<'a>) -> Result<MpField<'a>, MpFault> {
    let family = Family::new(value.u16().ok_or(SHORT_REACH)?, value.u8().ok_or(SHORT_REACH)?);
    let next_hop = next_hop_field(ctx, family, &mut value)?;
    value.skip(1).ok_or(SHORT_REACH)?;
    routes(ctx, family, next_hop, value)
}

/// MP_UNREACH_NLRI: AFI, SAFI, routes.
pub(super) fn unreach<'a>(ctx: &DecodeContext, mut value: Reader<'a>) -> Result<MpField<'a>, MpFault> {
    let family = Family::new(value.u16().ok_or(SHORT_UNREACH)?, value.u8().ok_or(SHORT_UNREACH)?);
    routes(ctx, family, &[], value)
}

/// MP_REACH_NLRI in a RIB entry of `family` (RFC 6396 §4.3.4): length and next hop only; some writers put the whole
/// attribute. The first octet tells: it is the length, or the high octet of an AFI.
pub(super) fn rib_next_hop<'a>(
    ctx: &DecodeContext,
    family: Family,
    mut value: Reader<'a>,
) -> Result<MpField<'a>, MpFault> {
    if value.peek() == Some(0) {
        return reach(ctx, value).map(|whole| MpField { nlri: Reader::new(&[]), ..whole });
    }
    let next_hop = next_hop_field(ctx, family, &mut value)?;
    routes(ctx, family, next_hop, Reader::new(&[]))
}

/// Reads length and next hop, and checks that the length is one that the family knows.
fn next_hop_field<'a>(ctx: &DecodeContext, family: Family, value: &mut Reader<'a>) -> Result<&'a [u8], MpFault> {
    let len = value.u8().map(usize::from).ok_or(SHORT_REACH)?;
    let by_rule = ctx.rules.ipv4_next_hop_for_ipv6 && family.afi == 2 && len == 4;
    if !by_rule && !next_hop_fits(family, len) {
        return Err(fault("RFC 7606 §7.11", "next hop length does not fit the family"));
    }
    value.bytes(len).ok_or(fault("RFC 7606 §7.11", "next hop reaches behind the end of the attribute"))
}

fn routes<'a>(
    ctx: &DecodeContext,
    family: Family,
    next_hop: &'a [u8],
    nlri: Reader<'a>,
) -> Result<MpField<'a>, MpFault> {
    let add_path = ctx.add_path.contains(family);
    let refused = !ctx.families.contains(family);
    let facts = if refused {
        FieldFacts::default()
    } else {
        nlri::check(family, add_path, nlri).map_err(|wrong| fault("RFC 7606 §5.3", wrong.what))?
    };
    Ok(MpField { family, add_path, refused, next_hop, nlri, facts })
}

/// Next-hop lengths per family: RFC 4760 and RFC 2545 §3, RFC 8950 §3 for an IPv6 next hop of IPv4 routes, with route
/// distinguishers RFC 4364 §4.3.2 and RFC 4659 §3.2.1; flow specifications may have none (RFC 8955 §4).
fn next_hop_fits(family: Family, len: usize) -> bool {
    match (family.afi, family.safi) {
        (1, 1 | 2 | 4) => matches!(len, 4 | 16 | 32),
        (2, 1 | 2 | 4) => matches!(len, 16 | 32),
        (1, 128) => matches!(len, 12 | 24 | 48),
        (2, 128) => matches!(len, 24 | 48),
        (1 | 2, 133 | 134) => matches!(len, 0 | 4 | 12 | 16 | 24 | 32 | 48),
        (1 | 2, 73) | (1, 132) | (25, 70) | (16388, 71) => matches!(len, 4 | 16 | 32),
        _ => true,
    }
}

impl MpField<'_> {
    /// RFC 4271 §6.3 asks for a valid host address, here also of next hops where one must be there to forward:
    /// prefixes, plain, labelled or in a VPN.
    pub(super) fn next_hop_is_host(&self, ctx: &DecodeContext) -> bool {
        if !matches!((self.family.afi, self.family.safi), (1 | 2, 1 | 2 | 4 | 128)) {
            return true;
        }
        match NextHop::from_octets(self.next_hop).map(|next_hop| next_hop.global) {
            Some(IpAddr::V4(address)) => is_host_v4(address, &ctx.rules),
            Some(IpAddr::V6(address)) => {
                !address.is_multicast()
                    && !address.is_unspecified()
                    && (ctx.rules.loopback_next_hop || !address.is_loopback())
            }
            None => true,
        }
    }
}
