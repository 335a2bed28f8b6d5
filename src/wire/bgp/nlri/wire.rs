//! NLRI fields of messages: checked before anything else looks at them (RFC 7606 §5.3), appended to a batch in
//! its form, and written back.

use super::{Framing, evpn, flowspec, framing, octets, push_opaque};
use crate::{
    types::{Family, PathId, Prefix},
    wire::cursor::Reader,
};

/// Why a field is syntactically incorrect, and at which octet of the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::wire::bgp) struct NlriFault {
    pub(in crate::wire::bgp) at: usize,
    pub(in crate::wire::bgp) what: &'static str,
}

/// What a checked field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(in crate::wire::bgp) struct FieldFacts {
    /// Routes that `append` will append.
    pub(in crate::wire::bgp) routes: u32,
    /// Routes of unrecognised types that it will leave out (RFC 7606 §5.4).
    pub(in crate::wire::bgp) unrecognised: u32,
    /// Why a route among them is malformed though it can be told from the next one: none of them may be announced (RFC 8955
    /// §10, RFC 7606 §2).
    pub(in crate::wire::bgp) malformed: Option<&'static str>,
}

const OVERRUN: &str = "NLRI reaches behind the end of its field";

/// One route of a field whose family has no plain prefixes.
struct Raw<'a> {
    path_id: PathId,
    /// What the length field said: bits for labelled and bit-counted families, else octets of `body`.
    length: usize,
    /// The NLRI as it stands, length and type included.
    whole: &'a [u8],
    /// What follows length (and, for typed families, type).
    body: &'a [u8],
    recognised: bool,
}

/// Checks a whole field (RFC 7606 §5.3). Without a fault, [`append`] takes all of it.
pub(in crate::wire::bgp) fn check(
    family: Family,
    add_path: bool,
    mut field: Reader<'_>,
) -> Result<FieldFacts, NlriFault> {
    let mut facts = FieldFacts::default();
    let framing = framing(family);
    if let Framing::Plain { bits_max } = framing {
        facts.routes = check_plain(bits_max, add_path, field)?;
        return Ok(facts);
    }
    while !field.is_empty() {
        let raw = next_raw(framing, add_path, &mut field)?;
        if raw.recognised {
            facts.routes += 1;
        } else {
            facts.unrecognised += 1;
        }
        if let Framing::Flowspec { body_min } = framing {
            let components = Reader::new(raw.body.get(body_min..).unwrap_or_default());
            facts.malformed = facts.malformed.or(flowspec::check(family, components).err());
        }
    }
    Ok(facts)
}

fn check_plain(bits_max: u8, add_path: bool, mut field: Reader<'_>) -> Result<u32, NlriFault> {
    let mut routes = 0;
    while !field.is_empty() {
        let at = field.position();
        if add_path {
            field.skip(4).ok_or(NlriFault { at, what: OVERRUN })?;
        }
        let bits = field.u8().ok_or(NlriFault { at, what: OVERRUN })?;
        if bits > bits_max {
            return Err(NlriFault { at, what: "prefix length is longer than an address" });
        }
        field.skip(octets(bits)).ok_or(NlriFault { at, what: OVERRUN })?;
        routes += 1;
    }
    Ok(routes)
}

/// Appends the routes of a field that [`check`] found correct, in the form of a batch.
pub(in crate::wire::bgp) fn append(family: Family, add_path: bool, mut field: Reader<'_>, out: &mut Vec<u8>) {
    let framing = framing(family);
    if let Framing::Plain { .. } = framing {
        return out.extend_from_slice(field.rest());
    }
    while !field.is_empty() {
        let Ok(raw) = next_raw(framing, add_path, &mut field) else { return };
        if raw.recognised {
            append_raw(family, framing, &raw, out);
        }
    }
}

fn append_raw(family: Family, framing: Framing, raw: &Raw<'_>, out: &mut Vec<u8>) {
    match framing {
        Framing::Labelled { rd_bits, prefix_bits_max } => {
            let Some((labels, bits, rest)) = split_labels(raw, rd_bits + prefix_bits_max) else { return };
            let start = out.len();
            push_opaque(raw.path_id, labels, &[], out);
            append_masked_key(start, bits, rest, out);
        }
        Framing::Bits { .. } => {
            let start = out.len();
            push_opaque(raw.path_id, &[], &[], out);
            append_masked_key(start, u8::try_from(raw.length).unwrap_or(u8::MAX), raw.body, out);
        }
        Framing::Flowspec { .. } => {
            // The same filter may come with a long length field: one spelling is the key (RFC 8955 §4.1).
            let start = out.len();
            push_opaque(raw.path_id, &[], &[], out);
            let key = out.len();
            push_flowspec_length(raw.body.len(), out);
            out.extend_from_slice(raw.body);
            patch_key_len(start, key, out);
        }
        Framing::TypeLength8 { .. } if family == Family::EVPN => {
            let start = out.len();
            push_opaque(raw.path_id, &[], &[], out);
            let aside = evpn::push_aside(raw.whole, out);
            if let (Some(len), Ok(value)) = (out.get_mut(start + 4), u8::try_from(aside)) {
                *len = value; // 29 at most: segment, gateway, label
            }
            let key = out.len();
            evpn::push_key(raw.whole, out);
            patch_key_len(start, key, out);
        }
        _ => push_opaque(raw.path_id, &[], raw.whole, out),
    }
}

/// Completes the frame that begins at `start` with a key of `bits` bits: length octet, octets, last one masked.
fn append_masked_key(start: usize, bits: u8, rest: &[u8], out: &mut Vec<u8>) {
    let key = out.len();
    out.push(bits);
    out.extend_from_slice(rest);
    let unused = u32::from((8 - bits % 8) % 8);
    if let Some(last) = out.last_mut().filter(|_| !rest.is_empty()) {
        *last &= u8::MAX << unused;
    }
    patch_key_len(start, key, out);
}

fn patch_key_len(start: usize, key: usize, out: &mut [u8]) {
    let key_len = u16::try_from(out.len() - key).unwrap_or(u16::MAX);
    crate::wire::cursor::patch_u16(out, start + 5, key_len);
}

pub(super) fn push_flowspec_length(len: usize, out: &mut Vec<u8>) {
    match u8::try_from(len) {
        Ok(short) if short < 240 => out.push(short),
        _ => out.extend_from_slice(&(0xf000 | u16::try_from(len).unwrap_or(0xfff)).to_be_bytes()),
    }
}

/// Labels, bits that follow them, and those octets.
///
/// Without the Multiple Labels capability, which we never send, there is exactly one label and its bottom-of-stack
/// bit says nothing (RFC 8277 §2.2); a withdrawal has three octets of any value in its place (§2.4). Older
/// speakers send stacks all the same (RFC 3107): where one label would leave more bits than a prefix has, and
/// the bit is clear, the next three octets must be a label.
fn split_labels<'a>(raw: &Raw<'a>, bits_max: u8) -> Option<(&'a [u8], u8, &'a [u8])> {
    let mut r = Reader::new(raw.body);
    let mut bits = raw.length;
    let mut labels = 0;
    loop {
        let bottom = r.u24()? & 1 == 1;
        bits = bits.checked_sub(24)?;
        labels += 3;
        if bits <= usize::from(bits_max) {
            break;
        }
        if bottom {
            return None;
        }
    }
    let (labels, rest) = raw.body.split_at_checked(labels)?;
    Some((labels, u8::try_from(bits).ok()?, rest))
}

fn next_raw<'a>(framing: Framing, add_path: bool, field: &mut Reader<'a>) -> Result<Raw<'a>, NlriFault> {
    let at = field.position();
    let overrun = NlriFault { at, what: OVERRUN };
    let path_id = if add_path { field.u32().ok_or(overrun)? } else { 0 };
    let before = *field;
    let mut recognised = true;
    let (length, body) = match framing {
        Framing::Plain { bits_max } | Framing::Bits { bits_max } => {
            let bits = field.u8().ok_or(overrun)?;
            if bits > bits_max {
                return Err(NlriFault { at, what: "NLRI length is longer than the family allows" });
            }
            (usize::from(bits), field.bytes(octets(bits)).ok_or(overrun)?)
        }
        Framing::Labelled { .. } => {
            let bits = field.u8().ok_or(overrun)?;
            (usize::from(bits), field.bytes(octets(bits)).ok_or(overrun)?)
        }
        Framing::Flowspec { body_min } => {
            let first = field.u8().ok_or(overrun)?;
            let length = match first {
                0xf0.. => usize::from(first & 0x0f) << 8 | usize::from(field.u8().ok_or(overrun)?),
                _ => usize::from(first),
            };
            if length < body_min {
                return Err(NlriFault { at, what: "flow specification without a route distinguisher" });
            }
            (length, field.bytes(length).ok_or(overrun)?)
        }
        Framing::TypeLength8 { type_max } => {
            let kind = field.u8().ok_or(overrun)?;
            recognised = kind != 0 && kind <= type_max;
            let length = usize::from(field.u8().ok_or(overrun)?);
            (length, field.bytes(length).ok_or(overrun)?)
        }
        Framing::TypeLength16 => {
            field.skip(2).ok_or(overrun)?;
            let length = usize::from(field.u16().ok_or(overrun)?);
            (length, field.bytes(length).ok_or(overrun)?)
        }
        Framing::Whole => (field.len(), field.take_rest()),
    };
    let whole = before.rest().get(..before.len() - field.len()).unwrap_or_default();
    let raw = Raw { path_id, length, whole, body, recognised };
    if let Framing::Labelled { rd_bits, prefix_bits_max } = framing {
        match split_labels(&raw, rd_bits + prefix_bits_max) {
            Some((_, bits, _)) if bits >= rd_bits => {}
            _ => return Err(NlriFault { at, what: "NLRI length does not fit label, route distinguisher and prefix" }),
        }
    }
    Ok(raw)
}

/// Writes one plain prefix as it stands in a message.
#[inline]
pub(in crate::wire::bgp) fn push_prefix_wire(path_id: Option<PathId>, prefix: Prefix, out: &mut Vec<u8>) {
    if let Some(path_id) = path_id {
        out.extend_from_slice(&path_id.to_be_bytes());
    }
    out.push(prefix.len());
    let n = octets(prefix.len());
    match prefix {
        // A copy of fixed size and a cut are cheaper than a copy of variable size.
        Prefix::V4 { addr, .. } => push_cut(addr.to_be_bytes(), n, out),
        Prefix::V6 { addr, .. } => push_cut(addr.to_be_bytes(), n, out),
    }
}

#[inline]
fn push_cut<const N: usize>(octets: [u8; N], keep: usize, out: &mut Vec<u8>) {
    let end = out.len() + keep;
    out.extend_from_slice(&octets);
    out.truncate(end);
}

/// Writes one route of a family without plain prefixes as it stands in a message. Labels are taken for labelled
/// families, which need them, and for EVPN (see `evpn::join`). False, and nothing written, when they are missing or do not fit one length
/// octet together with the prefix.
pub(in crate::wire::bgp) fn push_opaque_wire(
    family: Family,
    path_id: Option<PathId>,
    labels: &[u8],
    key: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    let head = match (framing(family), key.split_first()) {
        (Framing::Labelled { .. }, Some((bits, rest))) if !labels.is_empty() => {
            let bits = usize::from(*bits) + labels.len() * 8;
            let Ok(bits) = u8::try_from(bits) else { return false };
            Some((bits, rest))
        }
        (Framing::Labelled { .. }, _) => return false,
        _ => None,
    };
    if let Some(path_id) = path_id {
        out.extend_from_slice(&path_id.to_be_bytes());
    }
    match head {
        Some((bits, rest)) => {
            out.push(bits);
            out.extend_from_slice(labels);
            out.extend_from_slice(rest);
        }
        None if family == Family::EVPN => evpn::join(key, labels, out),
        None => out.extend_from_slice(key),
    }
    true
}
