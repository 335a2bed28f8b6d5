//! AS_PATH on the way out.
//!
//! 1. To IBGP: as it is (RFC 4271 §5.1.2 a).
//! 2. To another member AS: our member AS in front, in an AS_CONFED_SEQUENCE (RFC 5065 §4.1).
//! 3. To clients of a route server: without confederation segments, and without our AS (RFC 7947 §2.2.2.1).
//! 4. To EBGP, in this order: confederation segments are removed (RFC 5065 §4.1); the neighbour's AS is replaced by ours
//!    where asked (as-override); private ASNs (RFC 6996) are removed or replaced, wherever they stand, but for the
//!    neighbour's own, whose loop detection needs it; then our real AS goes in front where the neighbour knows us under
//!    another one and is to see both; then our AS.

use crate::{
    types::Asn,
    wire::bgp::{
        as_path::{AsPath, SegmentKind},
        attribute::{code, flag},
    },
};

use super::{super::RemovePrivate, ExportRules, Relation, put, put_header};

const AS_SEQUENCE: u8 = 2;
const AS_CONFED_SEQUENCE: u8 = 3;

/// Appends AS_PATH as a group with these rules is sent it.
pub(super) fn put_path(path: &[u8], rules: &ExportRules, out: &mut Vec<u8>) {
    match rules.to {
        Relation::Internal { .. } => put(flag::TRANSITIVE, code::AS_PATH, path, out),
        Relation::Confederation => put_prepended(path, AS_CONFED_SEQUENCE, rules.local_asn, out),
        Relation::External if goes_as_it_is(path, rules) => match rules.transparent {
            true => put(flag::TRANSITIVE, code::AS_PATH, path, out),
            false => put_prepended(path, AS_SEQUENCE, rules.local_asn, out),
        },
        Relation::External => {
            let mut path = rewritten(path, rules);
            if let Some(behind) = rules.behind.filter(|_| !rules.transparent) {
                let mut longer = Vec::with_capacity(path.len() + 6);
                prepend(&path, AS_SEQUENCE, behind, &mut longer);
                path = longer;
            }
            match rules.transparent {
                true => put(flag::TRANSITIVE, code::AS_PATH, &path, out),
                false => put_prepended(&path, AS_SEQUENCE, rules.local_asn, out),
            }
        }
    }
}

/// The origin (RFC 6811 §2) of a path as a group with these rules is sent it, before policy has a say (RFC 8893 §3):
/// `None` where it ends in an AS_SET. `own` is our AS as others see it.
pub(super) fn origin_as_sent(path: &[u8], rules: &ExportRules, own: Asn) -> Option<Asn> {
    if rules.to != Relation::External {
        return origin_of(path, own);
    }
    let first = match rules.transparent {
        true => own,
        false => rules.behind.unwrap_or(rules.local_asn),
    };
    match goes_as_it_is(path, rules) {
        true => origin_of(path, first),
        false => origin_of(&rewritten(path, rules), first),
    }
}

/// The origin of a path; `own` where it is empty or leads through our confederation only.
pub(super) fn origin_of(path: &[u8], own: Asn) -> Option<Asn> {
    match AsPath::new(path).segments().last() {
        Some(last) if last.kind == SegmentKind::Sequence => last.asns().next_back(),
        Some(last) if !last.kind.is_confed() => None,
        _ => Some(own),
    }
}

/// Whether nothing but our AS in front is to be done: nearly always.
fn goes_as_it_is(path: &[u8], rules: &ExportRules) -> bool {
    rules.behind.is_none()
        && !rules.override_as
        && rules.remove_private.is_none()
        && !AsPath::new(path).segments().any(|segment| segment.kind.is_confed())
}

/// The path without confederation segments, the neighbour's AS and private ASNs as the rules say.
fn rewritten(path: &[u8], rules: &ExportRules) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for segment in AsPath::new(path).segments().filter(|segment| !segment.kind.is_confed()) {
        let start = out.len();
        out.extend_from_slice(&[segment.kind as u8, 0]);
        let mut count = 0u8;
        for asn in segment.asns() {
            let asn = if rules.override_as && Some(asn) == rules.peer_asn { rules.local_asn } else { asn };
            let private = is_private(asn) && Some(asn) != rules.peer_asn;
            let asn = match rules.remove_private.filter(|_| private) {
                None => asn,
                Some(RemovePrivate::Replace) => rules.local_asn,
                Some(RemovePrivate::All) => continue,
            };
            out.extend_from_slice(&asn.0.to_be_bytes());
            count += 1; // no more than the segment had
        }
        match out.get_mut(start + 1) {
            Some(place) if count > 0 => *place = count,
            // A segment without AS numbers would be malformed (RFC 7606 §7.2).
            _ => out.truncate(start),
        }
    }
    out
}

/// RFC 6996 §5.
fn is_private(asn: Asn) -> bool {
    matches!(asn.0, 64_512..=65_534 | 4_200_000_000..=4_294_967_294)
}

/// AS_PATH with one AS in front (RFC 4271 §5.1.2 b): in the first segment while it is of the kind and has room (255),
/// else in a new one.
fn put_prepended(path: &[u8], kind: u8, asn: Asn, out: &mut Vec<u8>) {
    let longer = if fits_first(path, kind) { 4 } else { 6 };
    put_header(flag::TRANSITIVE, code::AS_PATH, path.len() + longer, out);
    prepend(path, kind, asn, out);
}

fn fits_first(path: &[u8], kind: u8) -> bool {
    matches!(path, [first, count, ..] if *first == kind && *count < u8::MAX)
}

fn prepend(path: &[u8], kind: u8, asn: Asn, out: &mut Vec<u8>) {
    let (count, rest) = match path {
        [_, count, rest @ ..] if fits_first(path, kind) => (count + 1, rest),
        _ => (1, path),
    };
    out.extend_from_slice(&[kind, count]);
    out.extend_from_slice(&asn.0.to_be_bytes());
    out.extend_from_slice(rest);
}
