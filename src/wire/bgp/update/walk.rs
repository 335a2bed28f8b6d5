//! The walk over the attribute field of one UPDATE: each attribute is judged by its row in the table, and what
//! stays is noted as a slot, not copied. The attributes that carry NLRI are read in `mp`, faults go to the `ledger`.

use std::ops::Range;

use super::{
    CodeSet, DecodeContext,
    ledger::{Ledger, Note, mp_reset, reset},
    mp::{self, MpField},
};
use crate::{
    types::Family,
    wire::{
        bgp::attribute::{
            code, flag, name,
            table::{self, NOT_A_HOST, Problem, Row, is_host_v4, subcode},
        },
        cursor::Reader,
        error::{ErrorAction, Fault, NotificationCode},
    },
};

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

impl Slot {
    /// Octets of the attribute in canonical form, header included.
    #[inline]
    pub(super) fn octets(&self) -> usize {
        usize::from(self.len) + if self.len > 255 { 4 } else { 3 }
    }

    /// Where the value ends in the message.
    #[inline]
    pub(super) fn end(&self) -> usize {
        self.start as usize + usize::from(self.len)
    }
}

/// What is known of the message while and after its attributes are walked.
pub(super) struct Walker<'a, 's> {
    message: &'a [u8],
    pub(super) ctx: &'s DecodeContext,
    pub(super) scratch: &'s mut Scratch,
    pub(super) ledger: Ledger<'s>,
    pub(super) seen: CodeSet,
    /// Every attribute that stays has the octets that it has in a canonical set.
    pub(super) exact: bool,
    /// The slots came in ascending order of their codes.
    pub(super) sorted: bool,
    last_kept: u8,
    /// The walk ended before the field did: what stands behind is unknown, so nothing can be said to be missing.
    pub(super) is_broken_off: bool,
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
            ledger: Ledger::new(faults),
            seen: CodeSet::EMPTY,
            exact: ctx.four_octet_as,
            sorted: true,
            last_kept: 0,
            is_broken_off: false,
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

    /// Octets of the message.
    #[inline]
    pub(super) fn octets(&self, range: Range<usize>) -> &'a [u8] {
        self.message.get(range).unwrap_or_default()
    }

    /// The value of an attribute that stays.
    #[inline]
    pub(super) fn value(&self, slot: Slot) -> &'a [u8] {
        self.octets(slot.start as usize..slot.end())
    }

    /// Walks the whole attribute field.
    pub(super) fn walk(&mut self, mut field: Reader<'a>) -> Result<(), Fault> {
        self.field = field.position()..field.position() + field.len();
        while !field.is_empty() {
            let before = field;
            let Some((flags, code, value)) = next_attribute(&mut field) else {
                return self.broken_off(before);
            };
            self.attribute(before.position(), flags, code, value)?;
        }
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
        self.is_broken_off = true;
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
            self.ledger.unwanted(ErrorAction::TreatAsWithdraw, code, at, "makes the route unwanted");
        }
        let needed = matches!(code, code::ORIGIN..=code::NEXT_HOP | code::MP_REACH | code::MP_UNREACH);
        if rules.discard.contains(code) && !needed {
            self.ledger.unwanted(ErrorAction::AttributeDiscard, code, at, "unwanted");
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
        }
        Ok(())
    }

    #[inline]
    fn keep(&mut self, flags: u8, canonical_flags: u8, code: u8, value: Reader<'a>) {
        let (Ok(len), Ok(start)) = (u16::try_from(value.len()), u32::try_from(value.position())) else { return };
        let extended = if len > 255 { flag::EXTENDED_LENGTH } else { 0 };
        self.exact &= flags == canonical_flags | extended;
        self.sorted &= code > self.last_kept;
        self.last_kept = code;
        self.scratch.slots.push(Slot { code, flags: canonical_flags, len, start });
    }

    fn mp_attribute(&mut self, at: usize, code: u8, value: Reader<'a>) -> Result<(), Fault> {
        let found = match (code, self.rib_family) {
            (code::MP_UNREACH, _) => mp::unreach(self.ctx, value),
            (_, Some(family)) => mp::rib_next_hop(self.ctx, family, value),
            _ => mp::reach(self.ctx, value),
        };
        let field = found.map_err(|fault| {
            let data = self.octets(at..value.position() + value.len());
            mp_reset(code, at, fault.rfc, fault.what, data)
        })?;
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
        if !field.refused && !field.next_hop_is_host(self.ctx) {
            self.no_host(code, at);
        }
        if let Some(what) = field.facts.malformed {
            self.record(ErrorAction::TreatAsWithdraw, Some(code), at, "RFC 8955 §10", what, subcode::OPTIONAL);
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
            // The header of a four-octet value is three octets, or four where the sender spent one.
            self.no_host(code::NEXT_HOP, (slot.start as usize).saturating_sub(3));
        }
    }

    #[cold]
    fn no_host(&mut self, code: u8, at: usize) {
        let Problem { what, subcode, rfc } = NOT_A_HOST;
        self.record(ErrorAction::TreatAsWithdraw, Some(code), at, rfc.unwrap_or_default(), what, subcode);
    }

    /// Notes that routes of `family` are left out, because nobody agreed to exchange them.
    #[cold]
    pub(super) fn refuse(&mut self, family: Family, attribute: Option<u8>, at: usize) {
        let what = format!("routes of {family}, which was not negotiated, are left out");
        self.record(ErrorAction::AttributeDiscard, attribute, at, "RFC 4760 §8", &what, subcode::OPTIONAL);
    }

    #[cold]
    fn problem(&mut self, row: &Row, at: usize, problem: Problem) {
        let rfc = problem.rfc.unwrap_or(row.rfc);
        self.record(row.malformed, Some(row.code), at, rfc, problem.what, problem.subcode);
    }

    /// Notes an error that does not end the session by itself. `what` follows the name of the attribute.
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
        self.ledger.error(Note { action, attribute, at, rfc, what }, subcode);
    }

    /// RFC 7606 §5.2: an error stronger than attribute discard in an UPDATE that has attributes and no reachable
    /// NLRI. Perhaps there were some and we did not see them, so the session goes.
    pub(super) fn check_errors_without_routes(&self) -> Result<(), Fault> {
        let Some(error) = self.ledger.worst().filter(|error| error.action > ErrorAction::AttributeDiscard) else {
            return Ok(());
        };
        let mut others = self.seen;
        others.remove(code::MP_UNREACH);
        if others.is_empty() && error.attribute == Some(code::MP_UNREACH) {
            return Ok(());
        }
        let mut rest = Reader::at(self.octets(error.at..self.field.end), error.at);
        let quoted = next_attribute(&mut rest).map_or(0..0, |_| error.at..rest.position());
        let what = "in error, and no reachable route is seen";
        Err(reset(error.subcode, error.attribute, error.at, "RFC 7606 §5.2", what, self.octets(quoted)))
    }
}

/// Reads one attribute header and the value behind it.
#[inline]
fn next_attribute<'a>(field: &mut Reader<'a>) -> Option<(u8, u8, Reader<'a>)> {
    let [flags, code] = field.array()?;
    let len = if flags & flag::EXTENDED_LENGTH == 0 { usize::from(field.u8()?) } else { usize::from(field.u16()?) };
    Some((flags, code, field.sub(len)?))
}
