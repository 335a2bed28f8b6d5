//! The walk over the attribute field of one UPDATE: each attribute is judged by its row in the table, and what
//! stays is noted as a slot, not copied. Also the ledger of faults, since the strongest one wins (RFC 7606 §3 h).

use std::{net::IpAddr, ops::Range};

use super::{CodeSet, DecodeContext};
use crate::{
    types::Family,
    wire::{
        bgp::{
            as_path,
            attribute::{
                NextHop, code, flag,
                table::{self, NOT_A_HOST, Problem, Row, is_host_v4, subcode},
            },
            nlri::{self, FieldFacts},
        },
        cursor::Reader,
        error::{ErrorAction, Fault, NotificationCode},
    },
};

/// Faults reported for one UPDATE. A message has room for twenty thousand; whoever wants to fill the log with
/// them is not served.
const FAULTS_MAX: usize = 16;

/// Octets of an attribute that a NOTIFICATION quotes at most: it must fit 4096 octets itself (RFC 8654 §4).
const QUOTED_MAX: usize = 4096 - 21;

/// Working memory of the decoder, reused from message to message.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// Attributes that stay, in the order of the message until they are sorted by code.
    pub(super) slots: Vec<Slot>,
    /// The AS_PATH of a two-octet speaker with four-octet AS numbers.
    pub(super) path: Vec<u8>,
    /// Its AGGREGATOR likewise.
    pub(super) aggregator: [u8; 8],
}

/// One attribute that stays: canonical flags, and where its value stands in the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) code: u8,
    pub(super) flags: u8,
    pub(super) len: u16,
    pub(super) start: u32,
}

/// MP_REACH_NLRI or MP_UNREACH_NLRI as found.
#[derive(Clone, Copy)]
pub(super) struct MpField<'a> {
    pub(super) family: Family,
    pub(super) add_path: bool,
    /// The family was not negotiated: the routes are left out.
    pub(super) refused: bool,
    pub(super) next_hop: &'a [u8],
    pub(super) nlri: Reader<'a>,
    pub(super) facts: FieldFacts,
}

/// The strongest fault so far.
#[derive(Clone, Copy)]
struct Worst {
    action: ErrorAction,
    attribute: Option<u8>,
    at: usize,
    subcode: u8,
}

/// What is known of the message while and after its attributes are walked.
pub(super) struct Walker<'a, 's> {
    message: &'a [u8],
    pub(super) ctx: &'s DecodeContext,
    pub(super) scratch: &'s mut Scratch,
    faults: &'s mut Vec<Fault>,
    faults_before: usize,
    worst: Option<Worst>,
    pub(super) seen: CodeSet,
    /// The attribute field as it stands is a canonical set: it can be copied whole.
    pub(super) canonical: bool,
    /// The slots ascend by code.
    pub(super) sorted: bool,
    last_kept: u8,
    pub(super) field: Range<usize>,
    pub(super) mp_reach: Option<MpField<'a>>,
    pub(super) mp_unreach: Option<MpField<'a>>,
    /// A RIB entry of this family is being read, not an UPDATE.
    rib_family: Option<Family>,
}

impl<'a, 's> Walker<'a, 's> {
    pub(super) fn new(
        message: &'a [u8],
        ctx: &'s DecodeContext,
        scratch: &'s mut Scratch,
        faults: &'s mut Vec<Fault>,
    ) -> Self {
        scratch.slots.clear();
        Self {
            message,
            ctx,
            scratch,
            faults_before: faults.len(),
            faults,
            worst: None,
            seen: CodeSet::EMPTY,
            canonical: true,
            sorted: true,
            last_kept: 0,
            field: 0..0,
            mp_reach: None,
            mp_unreach: None,
            rib_family: None,
        }
    }

    /// For the attributes of a RIB entry of `family` (RFC 6396 §4.3.4).
    pub(super) fn for_rib_entry(self, family: Family) -> Self {
        Self { rib_family: Some(family), ..self }
    }

    /// The strongest outcome so far; `None`: nothing wrong.
    #[inline]
    pub(super) fn action(&self) -> Option<ErrorAction> {
        self.worst.map(|worst| worst.action)
    }

    /// Octets of the message.
    #[inline]
    pub(super) fn octets(&self, range: Range<usize>) -> &'a [u8] {
        self.message.get(range).unwrap_or_default()
    }

    /// The value of an attribute that stays.
    #[inline]
    pub(super) fn value(&self, slot: Slot) -> &'a [u8] {
        let start = slot.start as usize;
        self.octets(start..start + usize::from(slot.len))
    }

    /// Walks the whole attribute field.
    pub(super) fn walk(&mut self, mut field: Reader<'a>) -> Result<(), Fault> {
        self.field = field.position()..field.position() + field.len();
        while !field.is_empty() {
            let before = field;
            let Some((flags, code, value)) = next_attribute(&mut field) else {
                self.canonical = false;
                return self.broken_off(before);
            };
            self.attribute(before.position(), flags, code, value)?;
        }
        self.canonical &= self.sorted;
        Ok(())
    }

    /// RFC 7606 §4: the last attribute does not end where the field ends, or there is no room for a header. The
    /// NLRI are found by the length of the field all the same. Where the broken attribute is one of the two that
    /// carry NLRI, those are lost: §3 j.
    fn broken_off(&mut self, mut rest: Reader<'a>) -> Result<(), Fault> {
        let (at, quoted) = (rest.position(), rest.position()..rest.position() + rest.len());
        let code = rest.skip(1).and_then(|()| rest.u8());
        const WHAT: &str = "reaches behind the end of the attributes";
        if let Some(code @ (code::MP_REACH | code::MP_UNREACH)) = code {
            let data = self.octets(quoted);
            return Err(mp_reset(code, at, "RFC 7606 §3 j", WHAT, data));
        }
        self.record(ErrorAction::TreatAsWithdraw, code, at, "RFC 7606 §4", WHAT, subcode::LENGTH);
        Ok(())
    }

    #[inline]
    fn attribute(&mut self, at: usize, flags: u8, code: u8, value: Reader<'a>) -> Result<(), Fault> {
        if !self.seen.insert(code) {
            return self.duplicate(at, code);
        }
        if self.ruled_out(at, code) {
            return Ok(());
        }
        let Some(row) = table::row(code) else { return self.unknown(at, flags, code, value) };
        if let Some((what, rfc)) = row.scope.excludes(self.ctx) {
            self.record(ErrorAction::AttributeDiscard, Some(code), at, rfc, what, subcode::OPTIONAL);
            return Ok(());
        }
        let wanted = row.flags();
        let carries_nlri = matches!(code, code::MP_REACH | code::MP_UNREACH);
        if (flags ^ wanted) & (flag::OPTIONAL | flag::TRANSITIVE) != 0 {
            let (action, rfc) = row.flags_wrong;
            self.record(action, Some(code), at, rfc, "wrong Optional or Transitive flag", subcode::FLAGS);
            if !carries_nlri {
                return Ok(());
            }
        }
        if carries_nlri {
            return self.mp_attribute(at, code, value);
        }
        if let Err(problem) = (row.check)(value.rest(), self.ctx) {
            self.problem(row, at, problem);
            return Ok(());
        }
        let partial = if row.may_be_partial() { flags & flag::PARTIAL } else { 0 };
        self.keep(flags, wanted | partial, code, value);
        Ok(())
    }

    fn duplicate(&mut self, at: usize, code: u8) -> Result<(), Fault> {
        const RFC: &str = "RFC 7606 §3 g";
        if matches!(code, code::MP_REACH | code::MP_UNREACH) {
            let what = format!("{} appears twice", name(code));
            let list = NotificationCode::MALFORMED_ATTRIBUTE_LIST;
            return Err(Fault::reset(list, at, RFC, what).in_attribute(code));
        }
        let what = "appears again; the first one counts";
        self.record(ErrorAction::AttributeDiscard, Some(code), at, RFC, what, subcode::OPTIONAL);
        Ok(())
    }

    /// The operator's lists (see `Rules`). True: the attribute is not looked at.
    #[inline]
    fn ruled_out(&mut self, at: usize, code: u8) -> bool {
        let rules = &self.ctx.rules;
        if rules.withdraw.contains(code) {
            let what = "makes the route unwanted";
            self.record(ErrorAction::TreatAsWithdraw, Some(code), at, "local rule", what, subcode::OPTIONAL);
        }
        let needed = matches!(code, code::ORIGIN..=code::NEXT_HOP | code::MP_REACH | code::MP_UNREACH);
        if rules.discard.contains(code) && !needed {
            self.record(ErrorAction::AttributeDiscard, Some(code), at, "local rule", "unwanted", subcode::OPTIONAL);
            return true;
        }
        false
    }

    /// RFC 4271 §5: unknown optional transitive attributes stay and become Partial, unknown optional non-transitive
    /// ones are quietly ignored.
    fn unknown(&mut self, at: usize, flags: u8, code: u8, value: Reader<'a>) -> Result<(), Fault> {
        if flags & flag::OPTIONAL == 0 {
            let what = "unknown, yet flagged as well-known";
            let (rfc, subcode) = ("RFC 4271 §6.3", subcode::UNRECOGNIZED_WELL_KNOWN);
            let action = self.ctx.rules.unknown_well_known;
            if action == ErrorAction::SessionReset {
                let data = self.octets(at..value.position() + value.len());
                return Err(reset(subcode, Some(code), at, rfc, what, data));
            }
            self.record(action, Some(code), at, rfc, what, subcode);
        } else if flags & flag::TRANSITIVE != 0 {
            self.keep(flags, flag::OPTIONAL | flag::TRANSITIVE | flag::PARTIAL, code, value);
        } else {
            self.canonical = false;
        }
        Ok(())
    }

    #[inline]
    fn keep(&mut self, flags: u8, canonical_flags: u8, code: u8, value: Reader<'a>) {
        let (Ok(len), Ok(start)) = (u16::try_from(value.len()), u32::try_from(value.position())) else { return };
        let extended = if len > 255 { flag::EXTENDED_LENGTH } else { 0 };
        self.canonical &= flags == canonical_flags | extended;
        self.sorted &= code > self.last_kept;
        self.last_kept = code;
        self.scratch.slots.push(Slot { code, flags: canonical_flags, len, start });
    }

    fn mp_attribute(&mut self, at: usize, code: u8, value: Reader<'a>) -> Result<(), Fault> {
        self.canonical = false;
        let found = match (code, self.rib_family) {
            (code::MP_UNREACH, _) => self.mp_unreach_field(value),
            (_, Some(family)) => self.rib_next_hop(family, value),
            _ => self.mp_reach_field(value),
        };
        match found {
            Ok(field) => self.file_mp_field(at, code, field),
            Err((rfc, what)) => {
                let data = self.octets(at..value.position() + value.len());
                Err(mp_reset(code, at, rfc, what, data))
            }
        }
    }

    /// AFI, SAFI, next hop, a reserved octet, routes (RFC 4760 §3).
    fn mp_reach_field(&self, mut value: Reader<'a>) -> Result<MpField<'a>, (&'static str, &'static str)> {
        const SHORT: (&str, &str) = ("RFC 7606 §5.3", "shorter than five octets");
        let family = Family::new(value.u16().ok_or(SHORT)?, value.u8().ok_or(SHORT)?);
        let next_hop = self.next_hop_field(family, &mut value)?;
        value.skip(1).ok_or(SHORT)?;
        self.routes(family, next_hop, value)
    }

    /// AFI, SAFI, routes (RFC 4760 §4).
    fn mp_unreach_field(&self, mut value: Reader<'a>) -> Result<MpField<'a>, (&'static str, &'static str)> {
        const SHORT: (&str, &str) = ("RFC 7606 §5.3", "shorter than three octets");
        let family = Family::new(value.u16().ok_or(SHORT)?, value.u8().ok_or(SHORT)?);
        self.routes(family, &[], value)
    }

    /// RFC 6396 §4.3.4: a RIB entry records length and next hop only; some writers put the whole attribute. The
    /// first octet tells: it is the length, or the high octet of an AFI.
    fn rib_next_hop(&self, family: Family, mut value: Reader<'a>) -> Result<MpField<'a>, (&'static str, &'static str)> {
        if value.peek() == Some(0) {
            let whole = self.mp_reach_field(value)?;
            return Ok(MpField { nlri: Reader::new(&[]), ..whole });
        }
        let next_hop = self.next_hop_field(family, &mut value)?;
        self.routes(family, next_hop, Reader::new(&[]))
    }

    /// Reads length and next hop and checks that the length is one that the family knows.
    fn next_hop_field(&self, family: Family, value: &mut Reader<'a>) -> Result<&'a [u8], (&'static str, &'static str)> {
        let len = value.u8().map(usize::from).ok_or(("RFC 7606 §5.3", "shorter than five octets"))?;
        let by_rule = self.ctx.rules.ipv4_next_hop_for_ipv6 && family.afi == 2 && len == 4;
        if !by_rule && !next_hop_fits(family, len) {
            return Err(("RFC 7606 §7.11", "next hop length does not fit the family"));
        }
        value.bytes(len).ok_or(("RFC 7606 §7.11", "next hop reaches behind the end of the attribute"))
    }

    /// The routes of an MP attribute, checked, unless the family was never agreed on.
    fn routes(
        &self,
        family: Family,
        next_hop: &'a [u8],
        nlri: Reader<'a>,
    ) -> Result<MpField<'a>, (&'static str, &'static str)> {
        let add_path = self.ctx.add_path.contains(family);
        let refused = !self.ctx.families.contains(family);
        let facts = if refused {
            FieldFacts::default()
        } else {
            nlri::check(family, add_path, nlri).map_err(|fault| ("RFC 7606 §5.3", fault.what))?
        };
        Ok(MpField { family, add_path, refused, next_hop, nlri, facts })
    }

    fn file_mp_field(&mut self, at: usize, code: u8, field: MpField<'a>) -> Result<(), Fault> {
        if field.refused {
            self.refuse(field.family, Some(code), at);
        }
        if field.facts.unrecognised > 0 {
            let what = "routes of unrecognised types are left out";
            self.record(ErrorAction::AttributeDiscard, Some(code), at, "RFC 7606 §5.4", what, subcode::OPTIONAL);
        }
        if code == code::MP_UNREACH {
            self.mp_unreach = Some(field);
            return Ok(());
        }
        if !field.refused && !next_hop_is_host(&field, self.ctx) {
            let Problem { what, subcode, rfc } = NOT_A_HOST;
            self.record(ErrorAction::TreatAsWithdraw, Some(code), at, rfc.unwrap_or_default(), what, subcode);
        }
        self.mp_reach = Some(field);
        Ok(())
    }

    /// RFC 4271 §6.3 for NEXT_HOP. Only where it is used: beside MP_REACH_NLRI alone it is to be ignored (RFC 4760 §3),
    /// and there are speakers that put 0.0.0.0 there.
    #[inline]
    pub(super) fn check_next_hop(&mut self) {
        let slot = self.scratch.slots.iter().find(|slot| slot.code == code::NEXT_HOP).copied();
        let Some((slot, octets)) = slot.and_then(|slot| Some((slot, self.value(slot).first_chunk::<4>()?))) else {
            return;
        };
        if !is_host_v4((*octets).into(), &self.ctx.rules) {
            let Problem { what, subcode, rfc } = NOT_A_HOST;
            let at = (slot.start as usize).saturating_sub(3);
            let action = ErrorAction::TreatAsWithdraw;
            self.record(action, Some(code::NEXT_HOP), at, rfc.unwrap_or_default(), what, subcode);
        }
    }

    /// Notes that routes of `family` are left out, because nobody agreed to exchange them.
    #[cold]
    pub(super) fn refuse(&mut self, family: Family, attribute: Option<u8>, at: usize) {
        let what = format!("routes of {family}, which was not negotiated, are left out");
        self.note(ErrorAction::AttributeDiscard, attribute, at, "RFC 4760 §8", subcode::OPTIONAL, || what);
    }

    #[cold]
    fn problem(&mut self, row: &Row, at: usize, problem: Problem) {
        let rfc = problem.rfc.unwrap_or(row.rfc);
        self.record(row.malformed, Some(row.code), at, rfc, problem.what, problem.subcode);
    }

    /// Notes a fault that does not end the session by itself. `what` follows the name of the attribute.
    #[cold]
    pub(super) fn record(
        &mut self,
        action: ErrorAction,
        attribute: Option<u8>,
        at: usize,
        rfc: &'static str,
        what: &str,
        subcode: u8,
    ) {
        self.note(action, attribute, at, rfc, subcode, || match attribute {
            Some(code) => format!("{}: {what}", name(code)),
            None => what.to_owned(),
        });
    }

    #[cold]
    fn note(
        &mut self,
        action: ErrorAction,
        attribute: Option<u8>,
        at: usize,
        rfc: &'static str,
        subcode: u8,
        what: impl FnOnce() -> String,
    ) {
        // A fault means that something is left out or nothing is announced: the field is not copied whole.
        self.canonical = false;
        let stronger = self.worst.is_none_or(|worst| action > worst.action);
        if stronger {
            self.worst = Some(Worst { action, attribute, at, subcode });
        }
        let full = self.faults.len() - self.faults_before >= FAULTS_MAX;
        if full && stronger {
            self.faults.pop();
        } else if full {
            return;
        }
        let fault = match action {
            ErrorAction::AttributeDiscard => Fault::discard(at, rfc, what()),
            _ => Fault::withdraw(at, rfc, what()),
        };
        self.faults.push(Fault { attribute, ..fault });
    }

    /// RFC 7606 §5.2: an error stronger than attribute discard in an UPDATE that has attributes and no reachable
    /// NLRI. Perhaps there were some and we did not see them, so the session goes.
    pub(super) fn check_errors_without_routes(&self) -> Result<(), Fault> {
        let Some(worst) = self.worst.filter(|worst| worst.action > ErrorAction::AttributeDiscard) else {
            return Ok(());
        };
        let mut others = self.seen;
        others.remove(code::MP_UNREACH);
        if others.is_empty() && worst.attribute == Some(code::MP_UNREACH) {
            return Ok(());
        }
        let what = match worst.attribute {
            Some(code) => format!("{} is in error and no reachable route is seen", name(code)),
            None => "attributes are in error and no reachable route is seen".to_owned(),
        };
        let told = NotificationCode::new(3, worst.subcode);
        let mut rest = Reader::new(self.octets(worst.at..self.field.end));
        let len = next_attribute(&mut rest).map_or(0, |_| self.field.end.saturating_sub(worst.at) - rest.len());
        let fault = Fault::reset(told, worst.at, "RFC 7606 §5.2", what)
            .with_data(self.octets(worst.at..worst.at + len.min(QUOTED_MAX)));
        Err(Fault { attribute: worst.attribute, ..fault })
    }
}

/// Reads one attribute header and the value behind it.
#[inline]
fn next_attribute<'a>(field: &mut Reader<'a>) -> Option<(u8, u8, Reader<'a>)> {
    let [flags, code] = field.array()?;
    let len = if flags & flag::EXTENDED_LENGTH == 0 { usize::from(field.u8()?) } else { usize::from(field.u16()?) };
    Some((flags, code, field.sub(len)?))
}

/// What people call an attribute.
pub(super) fn name(code: u8) -> String {
    table::row(code).map_or_else(|| format!("attribute {code}"), |row| row.name.to_owned())
}

/// A fault in an MP attribute that loses routes: 3/9 (RFC 4760 §7).
fn mp_reset(code: u8, at: usize, rfc: &'static str, what: &str, data: &[u8]) -> Fault {
    reset(subcode::OPTIONAL, Some(code), at, rfc, what, data)
}

fn reset(subcode: u8, attribute: Option<u8>, at: usize, rfc: &'static str, what: &str, data: &[u8]) -> Fault {
    let what = attribute.map_or_else(|| what.to_owned(), |code| format!("{}: {what}", name(code)));
    let quoted = data.get(..data.len().min(QUOTED_MAX)).unwrap_or_default();
    let fault = Fault::reset(NotificationCode::new(3, subcode), at, rfc, what).with_data(quoted);
    Fault { attribute, ..fault }
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

/// RFC 4271 §6.3 asks for a valid host address, here also of next hops in MP_REACH_NLRI where one must be there to
/// forward: prefixes, plain, labelled or in a VPN.
fn next_hop_is_host(field: &MpField<'_>, ctx: &DecodeContext) -> bool {
    if !matches!((field.family.afi, field.family.safi), (1 | 2, 1 | 2 | 4 | 128)) {
        return true;
    }
    match NextHop::from_octets(field.next_hop).map(|next_hop| next_hop.global) {
        Some(IpAddr::V4(address)) => is_host_v4(address, &ctx.rules),
        Some(IpAddr::V6(address)) => {
            !address.is_multicast()
                && !address.is_unspecified()
                && (ctx.rules.loopback_next_hop || !address.is_loopback())
        }
        None => true,
    }
}

impl Walker<'_, '_> {
    /// AS_PATH and AGGREGATOR of a two-octet speaker get four-octet AS numbers, from AS4_PATH and AS4_AGGREGATOR
    /// where these say more (RFC 6793 §4.2.3).
    pub(super) fn widen_as_numbers(&mut self) {
        if self.ctx.four_octet_as {
            return;
        }
        self.canonical = false;
        let find = |this: &Self, code| {
            let slot = this.scratch.slots.iter().find(|slot| slot.code == code).copied();
            slot.map(|slot| this.value(slot))
        };
        let aggregator = find(self, code::AGGREGATOR);
        let as4_aggregator = find(self, code::AS4_AGGREGATOR);
        let asn = aggregator.and_then(|value| Reader::new(value).u16());
        // An AGGREGATOR that is not AS_TRANS was made behind the last four-octet speaker: what that one wrote is
        // about another aggregate.
        let outdated = as4_aggregator.is_some() && asn.is_some_and(|asn| asn != AS_TRANS);
        self.scratch.path.clear();
        if let Some(path) = find(self, code::AS_PATH) {
            let as4_path = find(self, code::AS4_PATH).filter(|_| !outdated);
            match as4_path {
                Some(as4_path) => as_path::merge_as4(path, as4_path, &mut self.scratch.path),
                None => as_path::widen(path, &mut self.scratch.path),
            }
        }
        if let Some([high, low, a, b, c, d]) = aggregator.and_then(|value| value.first_chunk::<6>().copied()) {
            let wide = as4_aggregator.filter(|_| !outdated).and_then(|value| value.first_chunk::<8>().copied());
            self.scratch.aggregator = wide.unwrap_or([0, 0, high, low, a, b, c, d]);
        }
        self.scratch.slots.retain(|slot| !matches!(slot.code, code::AS4_PATH | code::AS4_AGGREGATOR));
    }
}

/// AS_TRANS in two octets (RFC 6793 §9).
const AS_TRANS: u16 = 23456;
