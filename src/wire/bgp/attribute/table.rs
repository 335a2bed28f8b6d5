//! THE table of path attributes: one row per attribute with its flags, what is checked, and what a fault costs.
//! RFC 7606 as data; `update::decode` walks it. To teach ribwatch an attribute, add a row.

use std::net::Ipv4Addr;

use super::code;
use crate::types::{Asn, PeerKind};
use crate::wire::{
    bgp::{
        as_path::{self, AsWidth},
        update::{AsSets, DecodeContext, Rules},
    },
    cursor::Reader,
    error::ErrorAction,
};

/// UPDATE Message Error subcodes (RFC 4271 §6.3), for faults that end the session after all.
pub(in crate::wire::bgp) mod subcode {
    pub(in crate::wire::bgp) const UNRECOGNIZED_WELL_KNOWN: u8 = 2;
    pub(in crate::wire::bgp) const MISSING_WELL_KNOWN: u8 = 3;
    pub(in crate::wire::bgp) const FLAGS: u8 = 4;
    pub(in crate::wire::bgp) const LENGTH: u8 = 5;
    pub(in crate::wire::bgp) const ORIGIN: u8 = 6;
    pub(in crate::wire::bgp) const NEXT_HOP: u8 = 8;
    pub(in crate::wire::bgp) const OPTIONAL: u8 = 9;
    pub(in crate::wire::bgp) const AS_PATH: u8 = 11;
}

/// What is wrong with a value, as a check reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::wire::bgp) struct Problem {
    pub(in crate::wire::bgp) what: &'static str,
    /// Of the NOTIFICATION, should the session end over it (RFC 7606 §5.2).
    pub(in crate::wire::bgp) subcode: u8,
    /// The clause, where it is not the row's.
    pub(in crate::wire::bgp) rfc: Option<&'static str>,
}

impl Problem {
    const fn new(subcode: u8, what: &'static str) -> Self {
        Self { what, subcode, rfc: None }
    }

    const fn by(self, rfc: &'static str) -> Self {
        Self { rfc: Some(rfc), ..self }
    }
}

type Check = fn(&[u8], &DecodeContext) -> Result<(), Problem>;

/// What happens to an attribute because of who sent it, before its value is looked at.
#[derive(Clone, Copy)]
pub(in crate::wire::bgp) enum Scope {
    /// Everybody may send it.
    Anyone,
    /// Discarded from another AS unless the rule says otherwise; the clause.
    Internal(fn(&Rules) -> bool, &'static str),
    /// Discarded from a speaker of four-octet AS numbers; the clause.
    TwoOctetSpeakers(&'static str),
}

impl Scope {
    /// Why the attribute is to be discarded from this sender: what and the clause.
    #[inline]
    pub(in crate::wire::bgp) fn excludes(&self, ctx: &DecodeContext) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Anyone => None,
            Self::Internal(allowed, rfc) => {
                (ctx.kind == PeerKind::External && !allowed(&ctx.rules)).then_some(("not taken from another AS", *rfc))
            }
            Self::TwoOctetSpeakers(rfc) => {
                ctx.four_octet_as.then_some(("sent by a speaker of four-octet AS numbers", *rfc))
            }
        }
    }
}

/// One attribute.
pub(in crate::wire::bgp) struct Row {
    pub(in crate::wire::bgp) code: u8,
    /// As the RFCs write it.
    pub(in crate::wire::bgp) name: &'static str,
    category: Category,
    pub(in crate::wire::bgp) scope: Scope,
    /// What a malformed length or value costs, and the clause that says so.
    pub(in crate::wire::bgp) malformed: ErrorAction,
    pub(in crate::wire::bgp) rfc: &'static str,
    /// What wrong Optional or Transitive bits cost, and the clause.
    pub(in crate::wire::bgp) flags_wrong: (ErrorAction, &'static str),
    pub(in crate::wire::bgp) check: Check,
}

/// The categories of RFC 4271 §5.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Category {
    WellKnown,
    Transitive,
    NonTransitive,
}

impl Row {
    /// The Optional and Transitive bits that the attribute must have.
    #[inline]
    pub(in crate::wire::bgp) fn flags(&self) -> u8 {
        match self.category {
            Category::WellKnown => super::flag::TRANSITIVE,
            Category::Transitive => super::flag::OPTIONAL | super::flag::TRANSITIVE,
            Category::NonTransitive => super::flag::OPTIONAL,
        }
    }

    /// Whether the Partial bit means anything: optional transitive attributes only (RFC 4271 §4.3).
    #[inline]
    pub(in crate::wire::bgp) fn may_be_partial(&self) -> bool {
        self.category == Category::Transitive
    }
}

const DISCARD: ErrorAction = ErrorAction::AttributeDiscard;
const WITHDRAW: ErrorAction = ErrorAction::TreatAsWithdraw;

/// The common case of wrong flags.
const FLAGS_WITHDRAW: (ErrorAction, &str) = (WITHDRAW, "RFC 7606 §3 c");
/// RFC 7606 §3 f names these two attributes for every case that used to reset the session, flags included.
const FLAGS_DISCARD: (ErrorAction, &str) = (DISCARD, "RFC 7606 §3 f");

const fn never(_: &Rules) -> bool {
    false
}

/// A row with the common flags rule.
const fn row_of(
    code: u8,
    name: &'static str,
    category: Category,
    scope: Scope,
    (malformed, rfc): (ErrorAction, &'static str),
    check: Check,
) -> Row {
    Row { code, name, category, scope, malformed, rfc, flags_wrong: FLAGS_WITHDRAW, check }
}

/// As [`row_of`], with another price for wrong flags.
const fn with_flags(row: Row, flags_wrong: (ErrorAction, &'static str)) -> Row {
    Row { flags_wrong, ..row }
}

use Category::{NonTransitive, Transitive, WellKnown};
use Scope::{Anyone, Internal, TwoOctetSpeakers};

#[rustfmt::skip]
static ROWS: &[Row] = &[
    // code, name, category, who may send it, price and clause of a malformed one, check
    row_of(code::ORIGIN, "ORIGIN", WellKnown, Anyone, (WITHDRAW, "RFC 7606 §7.1"), origin),
    row_of(code::AS_PATH, "AS_PATH", WellKnown, Anyone, (WITHDRAW, "RFC 7606 §7.2"), as_path),
    row_of(code::NEXT_HOP, "NEXT_HOP", WellKnown, Anyone, (WITHDRAW, "RFC 7606 §7.3"), four_octets),
    row_of(code::MED, "MULTI_EXIT_DISC", NonTransitive, Anyone, (WITHDRAW, "RFC 7606 §7.4"), four_octets),
    row_of(code::LOCAL_PREF, "LOCAL_PREF", WellKnown, Internal(between_members, "RFC 7606 §7.5"), (WITHDRAW, "RFC 7606 §7.5"), four_octets),
    with_flags(row_of(code::ATOMIC_AGGREGATE, "ATOMIC_AGGREGATE", WellKnown, Anyone, (DISCARD, "RFC 7606 §7.6"), empty), FLAGS_DISCARD),
    with_flags(row_of(code::AGGREGATOR, "AGGREGATOR", Transitive, Anyone, (DISCARD, "RFC 7606 §7.7"), aggregator), FLAGS_DISCARD),
    row_of(code::COMMUNITIES, "COMMUNITIES", Transitive, Anyone, (WITHDRAW, "RFC 7606 §7.8"), list_of::<4>),
    row_of(code::ORIGINATOR_ID, "ORIGINATOR_ID", NonTransitive, Internal(never, "RFC 7606 §7.9"), (WITHDRAW, "RFC 7606 §7.9"), four_octets),
    row_of(code::CLUSTER_LIST, "CLUSTER_LIST", NonTransitive, Internal(never, "RFC 7606 §7.10"), (WITHDRAW, "RFC 7606 §7.10"), list_of::<4>),
    // Flags of these two: RFC 7606 §5.3 lists wrong flags among what makes the attribute incorrect, §3 c asks for
    // treat-as-withdraw. The NLRI are still found, so the milder one serves. Their values: `update::decode`.
    row_of(code::MP_REACH, "MP_REACH_NLRI", NonTransitive, Anyone, (ErrorAction::SessionReset, "RFC 7606 §7.11"), anything),
    row_of(code::MP_UNREACH, "MP_UNREACH_NLRI", NonTransitive, Anyone, (ErrorAction::SessionReset, "RFC 7606 §7.12"), anything),
    row_of(code::EXT_COMMUNITIES, "EXTENDED_COMMUNITIES", Transitive, Anyone, (WITHDRAW, "RFC 7606 §7.14"), list_of::<8>),
    row_of(code::AS4_PATH, "AS4_PATH", Transitive, TwoOctetSpeakers("RFC 6793 §6"), (DISCARD, "RFC 6793 §6"), as4_path),
    row_of(code::AS4_AGGREGATOR, "AS4_AGGREGATOR", Transitive, TwoOctetSpeakers("RFC 6793 §6"), (DISCARD, "RFC 6793 §6"), as4_aggregator),
    row_of(code::PMSI_TUNNEL, "PMSI_TUNNEL", Transitive, Anyone, (WITHDRAW, "RFC 6514 §5"), at_least::<5>),
    row_of(code::TUNNEL_ENCAP, "TUNNEL_ENCAPSULATION", Transitive, Anyone, (WITHDRAW, "RFC 9012 §13"), tlvs_2_2),
    row_of(code::TRAFFIC_ENGINEERING, "TRAFFIC_ENGINEERING", NonTransitive, Anyone, (WITHDRAW, "RFC 7606 §7.13"), at_least::<1>),
    row_of(code::IPV6_EXT_COMMUNITIES, "IPV6_EXTENDED_COMMUNITIES", Transitive, Anyone, (WITHDRAW, "RFC 7606 §7.15"), list_of::<20>),
    // RFC 7311 §3.2: wrong flags make it malformed like anything else; §3.3: off by default towards other ASes.
    with_flags(row_of(code::AIGP, "AIGP", NonTransitive, Internal(aigp_allowed, "RFC 7311 §3.3"), (DISCARD, "RFC 7311 §3.2"), aigp), (DISCARD, "RFC 7311 §3.2")),
    row_of(code::PE_DISTINGUISHER_LABELS, "PE_DISTINGUISHER_LABELS", Transitive, Anyone, (WITHDRAW, "RFC 7606 §4"), at_least::<1>),
    row_of(code::BGP_LS, "BGP_LS", NonTransitive, Anyone, (DISCARD, "RFC 7752 §6.2.2"), tlvs_2_2),
    row_of(code::LARGE_COMMUNITIES, "LARGE_COMMUNITY", Transitive, Anyone, (WITHDRAW, "RFC 8092 §6"), list_of::<12>),
    row_of(code::OTC, "ONLY_TO_CUSTOMER", Transitive, Anyone, (WITHDRAW, "RFC 9234 §5"), four_octets),
    row_of(code::BFD_DISCRIMINATOR, "BFD_DISCRIMINATOR", Transitive, Anyone, (DISCARD, "RFC 9026 §5"), at_least::<5>),
    row_of(code::PREFIX_SID, "PREFIX_SID", Transitive, Internal(prefix_sid_allowed, "RFC 8669 §4"), (DISCARD, "RFC 8669 §6"), prefix_sid),
    row_of(code::ATTR_SET, "ATTR_SET", Transitive, Anyone, (WITHDRAW, "RFC 7606 §7.16"), attr_set),
];

/// Where the row of each code stands in `ROWS`, or 255.
static INDEX: [u8; 256] = index();

const fn index() -> [u8; 256] {
    let mut index = [u8::MAX; 256];
    let mut i = 0;
    while i < ROWS.len() {
        index[ROWS[i].code as usize] = i as u8;
        i += 1;
    }
    index
}

/// The row of an attribute; `None` for one that we do not know.
#[inline]
pub(in crate::wire::bgp) fn row(code: u8) -> Option<&'static Row> {
    ROWS.get(usize::from(*INDEX.get(usize::from(code))?))
}

const fn length(what: &'static str) -> Problem {
    Problem::new(subcode::LENGTH, what)
}

fn origin(value: &[u8], _: &DecodeContext) -> Result<(), Problem> {
    match value {
        [0..=2] => Ok(()),
        [_] => Err(Problem::new(subcode::ORIGIN, "undefined value")),
        _ => Err(length("length is not 1")),
    }
}

fn as_path(value: &[u8], ctx: &DecodeContext) -> Result<(), Problem> {
    let wrong = |what| Problem::new(subcode::AS_PATH, what);
    let facts = as_path::check(value, ctx.as_width()).map_err(|fault| wrong(fault.what()))?;
    if facts.has_as_zero && !ctx.rules.as_zero {
        return Err(wrong(AS_ZERO_IN_PATH).by("RFC 7607 §2"));
    }
    if facts.has_confed && ctx.kind == PeerKind::External && !ctx.rules.confederation {
        return Err(wrong("confederation segments from outside the confederation").by("RFC 5065 §5"));
    }
    if facts.has_set && ctx.rules.as_sets == AsSets::TreatAsWithdraw {
        return Err(wrong("AS_SET or AS_CONFED_SET in the path").by("RFC 9774 §3"));
    }
    if let Some(first_as) = ctx.rules.first_as
        && ctx.kind == PeerKind::External
        && facts.leftmost != Some(first_as)
    {
        return Err(wrong("leftmost AS is not the neighbour's"));
    }
    Ok(())
}

/// A next hop that no host can have. Checked only where routes use it: see `update::decode`.
pub(in crate::wire::bgp) const NOT_A_HOST: Problem =
    Problem::new(subcode::NEXT_HOP, "next hop is no host address").by("RFC 4271 §6.3");

/// RFC 4271 §6.3 "a valid IP host address": not 0/8, not 127/8 (but by rule), not 224/4 and above.
pub(in crate::wire::bgp) fn is_host_v4(address: Ipv4Addr, rules: &Rules) -> bool {
    match address.octets() {
        [127, ..] => rules.loopback_next_hop,
        [0 | 224.., ..] => false,
        _ => true,
    }
}

fn four_octets(value: &[u8], _: &DecodeContext) -> Result<(), Problem> {
    if value.len() == 4 { Ok(()) } else { Err(length("length is not 4")) }
}

fn empty(value: &[u8], _: &DecodeContext) -> Result<(), Problem> {
    if value.is_empty() { Ok(()) } else { Err(length("length is not 0")) }
}

fn anything(_: &[u8], _: &DecodeContext) -> Result<(), Problem> {
    Ok(())
}

fn at_least<const N: usize>(value: &[u8], _: &DecodeContext) -> Result<(), Problem> {
    if value.len() >= N { Ok(()) } else { Err(length("too short")) }
}

fn list_of<const N: usize>(value: &[u8], _: &DecodeContext) -> Result<(), Problem> {
    let what = match N {
        4 => "length is not a non-zero multiple of 4",
        8 => "length is not a non-zero multiple of 8",
        12 => "length is not a non-zero multiple of 12",
        _ => "length is not a non-zero multiple of the member size",
    };
    if value.is_empty() || !value.len().is_multiple_of(N) { Err(length(what)) } else { Ok(()) }
}

fn aggregator(value: &[u8], ctx: &DecodeContext) -> Result<(), Problem> {
    let mut r = Reader::new(value);
    let asn = match ctx.as_width() {
        AsWidth::Two if value.len() == 6 => r.u16().map(u32::from),
        AsWidth::Four if value.len() == 8 => r.u32(),
        _ => return Err(length("length does not fit the AS number size")),
    };
    if asn == Some(0) && !ctx.rules.as_zero { Err(AS_ZERO) } else { Ok(()) }
}

const AS_ZERO_IN_PATH: &str = "AS number 0 in the path";
const AS_ZERO: Problem = Problem::new(subcode::OPTIONAL, "AS number 0").by("RFC 7607 §2");

fn as4_path(value: &[u8], ctx: &DecodeContext) -> Result<(), Problem> {
    let wrong = |what| Problem::new(subcode::OPTIONAL, what);
    if value.len() < 6 {
        return Err(wrong("too short for one AS number"));
    }
    let facts = as_path::check(value, AsWidth::Four).map_err(|fault| wrong(fault.what()))?;
    if facts.has_as_zero && !ctx.rules.as_zero { Err(wrong(AS_ZERO_IN_PATH).by("RFC 7607 §2")) } else { Ok(()) }
}

fn as4_aggregator(value: &[u8], ctx: &DecodeContext) -> Result<(), Problem> {
    if value.len() != 8 {
        return Err(length("length is not 8"));
    }
    let is_zero = Reader::new(value).u32() == Some(Asn::default().0);
    if is_zero && !ctx.rules.as_zero { Err(AS_ZERO) } else { Ok(()) }
}

/// TLVs with type and length of `TYPE` and two octets, which must fill the value.
fn tlvs<const TYPE: usize>(value: &[u8], each: fn(&[u8; TYPE], &[u8]) -> bool) -> Result<(), Problem> {
    let wrong = Problem::new(subcode::OPTIONAL, "TLVs do not fill the attribute");
    let mut r = Reader::new(value);
    if r.is_empty() {
        return Err(length("empty"));
    }
    while !r.is_empty() {
        let kind = r.array::<TYPE>().ok_or(wrong)?;
        let len = r.u16().ok_or(wrong)?;
        let body = r.bytes(usize::from(len)).ok_or(wrong)?;
        if !each(&kind, body) {
            return Err(Problem::new(subcode::OPTIONAL, "TLV of a wrong length"));
        }
    }
    Ok(())
}

fn tlvs_2_2(value: &[u8], _: &DecodeContext) -> Result<(), Problem> {
    tlvs::<2>(value, |_, _| true)
}

/// RFC 5065 §5.2: members of a confederation tell each other LOCAL_PREF.
fn between_members(rules: &Rules) -> bool {
    rules.confederation
}

/// Inside a confederation it needs no permission (RFC 7311 §3.3).
fn aigp_allowed(rules: &Rules) -> bool {
    rules.aigp_external || rules.confederation
}

/// RFC 7311 §3: the length covers type and length; type 1 is eleven octets.
fn aigp(value: &[u8], _: &DecodeContext) -> Result<(), Problem> {
    let wrong = Problem::new(subcode::OPTIONAL, "malformed TLV");
    let mut r = Reader::new(value);
    if r.is_empty() {
        return Err(length("empty"));
    }
    while !r.is_empty() {
        let kind = r.u8().ok_or(wrong)?;
        let len = r.u16().ok_or(wrong)?;
        if len < 3 || (kind == 1 && len != 11) {
            return Err(wrong);
        }
        r.skip(usize::from(len) - 3).ok_or(wrong)?;
    }
    Ok(())
}

fn prefix_sid_allowed(rules: &Rules) -> bool {
    rules.prefix_sid_external
}

/// RFC 8669 §3: Label-Index (1) has seven octets, Originator SRGB (3) two and six per range.
fn prefix_sid(value: &[u8], _: &DecodeContext) -> Result<(), Problem> {
    tlvs::<1>(value, |kind, body| match kind {
        [1] => body.len() == 7,
        [3] => body.len() >= 8 && body.len() % 6 == 2,
        _ => true,
    })
}

/// RFC 6368 §5: an origin AS, then path attributes that fill the rest.
fn attr_set(value: &[u8], _: &DecodeContext) -> Result<(), Problem> {
    let wrong = Problem::new(subcode::OPTIONAL, "nested attributes do not fill the attribute");
    let mut r = Reader::new(value);
    r.u32().ok_or(wrong)?;
    while !r.is_empty() {
        let [flags, _] = r.array().ok_or(wrong)?;
        let extended = flags & super::flag::EXTENDED_LENGTH != 0;
        let len = if extended { r.u16() } else { r.u8().map(u16::from) };
        r.skip(usize::from(len.ok_or(wrong)?)).ok_or(wrong)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_code_and_rows_ascend() {
        for pair in ROWS.windows(2) {
            assert!(pair[0].code < pair[1].code, "{}", pair[1].name);
        }
        for known in ROWS {
            assert_eq!(row(known.code).map(|row| row.name), Some(known.name));
        }
        assert!(row(0).is_none() && row(200).is_none() && row(255).is_none());
        // Deprecated: handled as unknown (RFC 7606 §7).
        assert!([11, 12, 13, 19, 20, 21, 28].into_iter().all(|code| row(code).is_none()));
    }
}
