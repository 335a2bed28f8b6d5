//! One pass over an UPDATE, in the order of the numbers:
//!
//! 1. The three fields are found by the two lengths (RFC 4271 §4.3); if these lie, nothing else can be trusted.
//! 2. Withdrawn routes and NLRI are checked (RFC 7606 §5.3).
//! 3. The attributes are walked (`walk`).
//! 4. What only the whole message shows: mandatory attributes (§3 d), errors without routes (§5.2).
//! 5. AS4_PATH and AS4_AGGREGATOR of a two-octet speaker are merged in (RFC 6793 §4.2.3).
//! 6. Items are appended: withdrawals first, so that a route in both fields ends up announced (RFC 4271 §4.3).

use super::{
    DecodeContext, Scratch,
    mp::MpField,
    walk::{Slot, Walker},
};
use crate::{
    types::{Family, PathId},
    wire::{
        bgp::{
            HEADER_LEN,
            attribute::{code, flag, push_attribute, table::subcode},
            batch::{ItemKind, UpdateBatch},
            nlri,
        },
        cursor::Reader,
        error::{ErrorAction, Fault, NotificationCode},
    },
};

/// What an UPDATE came to (RFC 7606 §2), short of a session reset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// Nothing wrong.
    Ok,
    /// Attributes were discarded, the routes stand.
    Discard,
    /// The routes were treated as withdrawn.
    Withdraw,
}

impl Outcome {
    /// `ok`, `discard` or `withdraw`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Discard => "discard",
            Self::Withdraw => "withdraw",
        }
    }
}

/// Decodes the UPDATE `message` (header included) and appends what it means to `out`; faults that do not end the
/// session are appended to `faults`, at most 16 for one message.
///
/// # Errors
/// A fault that ends the session. Then nothing of the message is in `out`.
pub fn decode_update(
    message: &[u8],
    ctx: &DecodeContext,
    out: &mut UpdateBatch,
    faults: &mut Vec<Fault>,
) -> Result<Outcome, Fault> {
    let mark = out.mark();
    // The scratch is moved out so that batch and scratch can be borrowed at once; moving copies no buffer.
    let mut scratch = std::mem::take(&mut out.scratch);
    let result = update(message, ctx, &mut scratch, out, faults);
    out.scratch = scratch;
    if result.is_err() {
        out.rewind(mark);
    }
    result
}

/// Makes a block of attributes without a message around it canonical and appends the set to `out`: RIB entries of
/// MRT files (RFC 6396 §4.3.4), whose MP_REACH_NLRI is cut down to the next hop or, from some writers, whole.
///
/// # Errors
/// A fault that would end a session. Nothing is appended then, nor for [`Outcome::Withdraw`].
pub fn canonical_attributes(
    block: &[u8],
    family: Family,
    ctx: &DecodeContext,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
    faults: &mut Vec<Fault>,
) -> Result<Outcome, Fault> {
    let mut walker = Walker::new(block, ctx, scratch, faults).for_rib_entry(family);
    walker.walk(Reader::new(block))?;
    walker.widen_as_numbers();
    let outcome = outcome(&walker);
    if outcome != Outcome::Withdraw {
        sort_slots(&mut walker);
        write_set(&walker, walker.mp_reach.as_ref(), out);
    }
    Ok(outcome)
}

/// Decodes one route of a table dump (RFC 6396 §4.3.4) and appends it to `out` as an announcement: the NLRI as it
/// stands on the wire, the path identifier where the dump has them, the attributes as in [`canonical_attributes`].
/// Nothing is appended for [`Outcome::Withdraw`].
///
/// # Errors
/// A fault that would end a session, or an NLRI that is none of `family`. Nothing is appended then.
pub fn decode_rib_entry(
    (family, path_id, nlri): (Family, Option<PathId>, &[u8]),
    block: &[u8],
    ctx: &DecodeContext,
    out: &mut UpdateBatch,
    faults: &mut Vec<Fault>,
) -> Result<Outcome, Fault> {
    let mut wire = Vec::with_capacity(4 + nlri.len());
    wire.extend(path_id.into_iter().flat_map(PathId::to_be_bytes));
    wire.extend_from_slice(nlri);
    let add_path = path_id.is_some();
    nlri::check(family, add_path, Reader::new(&wire)).map_err(|fault| {
        Fault::reset(NotificationCode::INVALID_NETWORK_FIELD, fault.at, "RFC 7606 §5.3", fault.what)
    })?;
    let mark = out.mark();
    let mut scratch = std::mem::take(&mut out.scratch);
    let mut outcome = Ok(Outcome::Ok);
    let attrs = out.append(|octets| outcome = canonical_attributes(block, family, ctx, &mut scratch, octets, faults));
    out.scratch = scratch;
    if outcome.as_ref().is_ok_and(|outcome| *outcome != Outcome::Withdraw) {
        let nlri = out.append(|octets| nlri::append(family, add_path, Reader::new(&wire), octets));
        out.push(ItemKind::Announce, family, add_path, attrs, nlri);
    } else {
        out.rewind(mark);
    }
    outcome
}

/// The attribute field of an UPDATE as it stands, unchecked; empty where the lengths lie.
pub fn attribute_field(message: &[u8]) -> &[u8] {
    Fields::of(message).map(|fields| fields.attributes.rest()).unwrap_or_default()
}

#[inline]
fn update(
    message: &[u8],
    ctx: &DecodeContext,
    scratch: &mut Scratch,
    out: &mut UpdateBatch,
    faults: &mut Vec<Fault>,
) -> Result<Outcome, Fault> {
    // 1.
    let fields = Fields::of(message)?;
    // 2.
    let classic = Classic::check(&fields, ctx)?;
    // 3.
    let mut walker = Walker::new(message, ctx, scratch, faults);
    walker.walk(fields.attributes)?;
    // 4.
    if !fields.nlri.is_empty() || walker.mp_reach.as_ref().is_some_and(|reach| !reach.nlri.is_empty()) {
        check_mandatory(&mut walker, !fields.nlri.is_empty());
    } else {
        walker.check_errors_without_routes()?;
    }
    if classic.refused {
        walker.refuse(Family::IPV4_UNICAST, None, HEADER_LEN);
    }
    // 5.
    walker.widen_as_numbers();
    // 6.
    if let Some(family) = end_of_rib(&fields, &walker) {
        if ctx.families.contains(family) {
            out.push_end_of_rib(family);
        }
        return Ok(outcome(&walker));
    }
    let outcome = outcome(&walker);
    classic.append(ItemKind::Withdraw, fields.withdrawn, 0..0, out);
    append_mp(ItemKind::Withdraw, &walker.mp_unreach, 0..0, out);
    if outcome == Outcome::Withdraw {
        classic.append(ItemKind::Withdraw, fields.nlri, 0..0, out);
        append_mp(ItemKind::Withdraw, &walker.mp_reach, 0..0, out);
        return Ok(outcome);
    }
    sort_slots(&mut walker);
    if classic.has(fields.nlri) {
        let attrs = out.append(|octets| write_set(&walker, None, octets));
        classic.append(ItemKind::Announce, fields.nlri, attrs, out);
    }
    if walker.mp_reach.as_ref().is_some_and(|reach| reach.facts.routes > 0) {
        let attrs = out.append(|octets| write_set(&walker, walker.mp_reach.as_ref(), octets));
        append_mp(ItemKind::Announce, &walker.mp_reach, attrs, out);
    }
    Ok(outcome)
}

/// The three fields behind the header (RFC 4271 §4.3).
struct Fields<'a> {
    withdrawn: Reader<'a>,
    attributes: Reader<'a>,
    nlri: Reader<'a>,
}

impl<'a> Fields<'a> {
    #[inline]
    fn of(message: &'a [u8]) -> Result<Self, Fault> {
        let mut r = Reader::new(message);
        let fields = (|| {
            r.skip(HEADER_LEN)?;
            let withdrawn_len = usize::from(r.u16()?);
            let withdrawn = r.sub(withdrawn_len)?;
            let attributes_len = usize::from(r.u16()?);
            let attributes = r.sub(attributes_len)?;
            Some(Self { withdrawn, attributes, nlri: r })
        })();
        fields.ok_or_else(|| {
            let what = "withdrawn routes or attributes reach behind the end of the message";
            Fault::reset(NotificationCode::MALFORMED_ATTRIBUTE_LIST, HEADER_LEN, "RFC 7606 §3 b", what)
        })
    }
}

/// What holds for the two fields of IPv4 unicast routes outside the attributes.
struct Classic {
    add_path: bool,
    /// There are routes, and the family was not negotiated.
    refused: bool,
}

impl Classic {
    #[inline]
    fn check(fields: &Fields<'_>, ctx: &DecodeContext) -> Result<Self, Fault> {
        let family = Family::IPV4_UNICAST;
        let add_path = ctx.add_path.contains(family);
        for field in [fields.withdrawn, fields.nlri] {
            nlri::check(family, add_path, field).map_err(|fault| {
                Fault::reset(NotificationCode::INVALID_NETWORK_FIELD, fault.at, "RFC 7606 §5.3", fault.what)
            })?;
        }
        let any = !fields.withdrawn.is_empty() || !fields.nlri.is_empty();
        Ok(Self { add_path, refused: any && !ctx.families.contains(family) })
    }

    fn has(&self, field: Reader<'_>) -> bool {
        !field.is_empty() && !self.refused
    }

    #[inline]
    fn append(&self, kind: ItemKind, field: Reader<'_>, attrs: std::ops::Range<u32>, out: &mut UpdateBatch) {
        if self.has(field) {
            let nlri = out.append(|octets| octets.extend_from_slice(field.rest()));
            out.push(kind, Family::IPV4_UNICAST, self.add_path, attrs, nlri);
        }
    }
}

#[inline]
fn append_mp(kind: ItemKind, field: &Option<MpField<'_>>, attrs: std::ops::Range<u32>, out: &mut UpdateBatch) {
    if let Some(field) = field.as_ref().filter(|field| field.facts.routes > 0) {
        let nlri = out.append(|octets| nlri::append(field.family, field.add_path, field.nlri, octets));
        out.push(kind, field.family, field.add_path, attrs, nlri);
    }
}

/// The family whose first sending is complete: an UPDATE with nothing in it, or with nothing but an MP_UNREACH_NLRI
/// without routes (RFC 4724 §2).
#[inline]
fn end_of_rib(fields: &Fields<'_>, walker: &Walker<'_, '_>) -> Option<Family> {
    if !fields.withdrawn.is_empty() || !fields.nlri.is_empty() {
        return None;
    }
    if fields.attributes.is_empty() {
        return Some(Family::IPV4_UNICAST);
    }
    let unreach = walker.mp_unreach.as_ref().filter(|unreach| unreach.nlri.is_empty())?;
    let mut others = walker.seen;
    others.remove(code::MP_UNREACH);
    others.is_empty().then_some(unreach.family)
}

#[inline]
fn outcome(walker: &Walker<'_, '_>) -> Outcome {
    match walker.ledger.outcome() {
        None => Outcome::Ok,
        Some(ErrorAction::AttributeDiscard) => Outcome::Discard,
        Some(_) => Outcome::Withdraw,
    }
}

/// RFC 7606 §3 d. RFC 4271 §5 makes ORIGIN and AS_PATH mandatory with any route, NEXT_HOP with classic NLRI only
/// (RFC 4760 §3 replaces it). LOCAL_PREF is "required" from our own AS, not "mandatory": a route without it has
/// the default degree of preference.
#[inline]
fn check_mandatory(walker: &mut Walker<'_, '_>, classic: bool) {
    if walker.is_broken_off {
        return; // the routes are withdrawn already, and one fault is counted once
    }
    let needed: &[u8] =
        if classic { &[code::ORIGIN, code::AS_PATH, code::NEXT_HOP] } else { &[code::ORIGIN, code::AS_PATH] };
    for code in needed {
        if !walker.seen.contains(*code) {
            let (action, at) = (ErrorAction::TreatAsWithdraw, walker.field.end);
            walker.record(action, Some(*code), at, "RFC 7606 §3 d", "missing", subcode::MISSING_WELL_KNOWN);
        }
    }
    if classic {
        walker.check_next_hop();
    }
}

#[inline]
fn sort_slots(walker: &mut Walker<'_, '_>) {
    if !walker.sorted {
        walker.scratch.slots.sort_unstable_by_key(|slot| slot.code);
    }
}

/// Appends the canonical set for the routes of `reach`, or for classic NLRI.
#[inline]
fn write_set(walker: &Walker<'_, '_>, reach: Option<&MpField<'_>>, out: &mut Vec<u8>) {
    let slots = walker.scratch.slots.as_slice();
    let Some(reach) = reach else { return write_slots(walker, slots, out) };
    // RFC 4760 §3: NEXT_HOP says nothing about the routes of MP_REACH_NLRI. Where it is IPv4 unicast with a next hop
    // of four octets, the canonical place of that is NEXT_HOP.
    let as_next_hop = reach.family == Family::IPV4_UNICAST && reach.next_hop.len() == 4;
    let own = if as_next_hop { code::NEXT_HOP } else { code::MP_REACH };
    let (before, after) = slots.split_at_checked(slots.partition_point(|slot| slot.code < own)).unwrap_or_default();
    for part in before.split(|slot| slot.code == code::NEXT_HOP) {
        write_slots(walker, part, out);
    }
    if as_next_hop {
        push_attribute(flag::TRANSITIVE, code::NEXT_HOP, reach.next_hop, out);
    } else {
        write_mp_next_hop(reach, out);
    }
    for part in after.split(|slot| slot.code == code::NEXT_HOP) {
        write_slots(walker, part, out);
    }
}

/// Appends attributes that stay. Most UPDATEs bring them in canonical form, in order, with nothing in between:
/// those are copied in one piece.
#[inline]
fn write_slots(walker: &Walker<'_, '_>, slots: &[Slot], out: &mut Vec<u8>) {
    let Some(last) = slots.last() else { return };
    let octets: usize = slots.iter().map(Slot::octets).sum();
    let run = last.end().saturating_sub(octets)..last.end();
    // In order and as long as the run up to the last one's end: if the first one starts there, nothing else does.
    let whole = slots.first().is_some_and(|first| first.end() == run.start + first.octets());
    if walker.exact && walker.sorted && whole {
        return out.extend_from_slice(walker.octets(run));
    }
    for slot in slots {
        write_slot(walker, *slot, out);
    }
}

#[inline]
fn write_slot(walker: &Walker<'_, '_>, slot: Slot, out: &mut Vec<u8>) {
    let value = match slot.code {
        code::AS_PATH if !walker.ctx.four_octet_as => walker.scratch.path.as_slice(),
        code::AGGREGATOR if !walker.ctx.four_octet_as => walker.scratch.aggregator.as_slice(),
        _ => walker.value(slot),
    };
    push_attribute(slot.flags, slot.code, value, out);
}

/// MP_REACH_NLRI as a canonical set has it: family and next hop.
#[inline]
fn write_mp_next_hop(reach: &MpField<'_>, out: &mut Vec<u8>) {
    let [high, low] = reach.family.afi.to_be_bytes();
    let len = u8::try_from(reach.next_hop.len()).unwrap_or(u8::MAX);
    match len.checked_add(4) {
        Some(value_len) => out.extend_from_slice(&[flag::OPTIONAL, code::MP_REACH, value_len]),
        None => {
            let [len_high, len_low] = (u16::from(len) + 4).to_be_bytes();
            out.extend_from_slice(&[flag::OPTIONAL | flag::EXTENDED_LENGTH, code::MP_REACH, len_high, len_low]);
        }
    }
    out.extend_from_slice(&[high, low, reach.family.safi, len]);
    out.extend_from_slice(reach.next_hop);
}
