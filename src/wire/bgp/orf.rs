//! Outbound route filters: what a neighbour asks not to be sent, carried by ROUTE-REFRESH (RFC 5291 §4) as entries about
//! address prefixes (RFC 5292). The codec and what an entry holds; who may send which filter is `session`'s, what becomes
//! of the entries `engine`'s.
//!
//! *What the RFC asks.* An entry with a value that is not known removes the whole filter that was received before
//! (RFC 5291 §6). *What we do.* The same for one that breaks the bounds of RFC 5292 §2, and for octets that end within an
//! entry: what the neighbour meant is not known, and a route too many is the smaller harm. One bound is not insisted on:
//! Minlen may be the length of the prefix, as `ge 24` behind a /24 means what it says. Action 3 at the end of a list is no
//! fault: FRR (8.4) writes REMOVE-ALL so, and to remove the filter is what the RFC has done about it anyway.

use super::{HEADER_LEN, MAX_LEN, MessageType, begin_message, end_message};
use crate::{
    types::{Family, Prefix},
    wire::cursor::{Reader, patch_u16},
};

/// The ORF-Type of address prefixes (RFC 5292 §3).
pub const ADDRESS_PREFIX: u8 = 64;

/// Octets of a message in front of its entries: header, family, When-to-refresh, ORF-Type and length.
const BEFORE_ENTRIES: usize = HEADER_LEN + 4 + 1 + 3;

/// When the routes that a changed filter concerns are to be sent (RFC 5291 §4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum WhenToRefresh {
    /// Now.
    Immediate = 1,
    /// With the next request for the family.
    Defer = 2,
}

/// What an entry says of routes that it matches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OrfMatch {
    /// They may be sent.
    Permit,
    /// They may not.
    Deny,
}

/// One entry of a filter by address prefixes (RFC 5292 §2): prefixes inside `prefix` with a length in a range.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OrfEntry {
    /// Its place among the entries: of those that match, the one with the smallest number decides.
    pub sequence: u32,
    /// What it says.
    pub decision: OrfMatch,
    /// What covers all that it matches.
    pub prefix: Prefix,
    /// Shortest length that it matches, at least that of `prefix`.
    pub min_len: u8,
    /// Longest length that it matches, at most 32 or 128.
    pub max_len: u8,
}

impl OrfEntry {
    /// Whether it says something of `prefix` (RFC 5292 §4).
    pub fn matches(&self, prefix: &Prefix) -> bool {
        self.prefix.covers(prefix) && (self.min_len..=self.max_len).contains(&prefix.len())
    }
}

/// What is done to the filter that the receiver has (RFC 5291 §4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OrfChange {
    /// ADD.
    Add(OrfEntry),
    /// REMOVE: of the entry that is the same in all fields.
    Remove(OrfEntry),
    /// REMOVE-ALL.
    RemoveAll,
}

/// A ROUTE-REFRESH about an outbound route filter (RFC 5291 §4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrfRefresh {
    /// Routes of which family the filter is about.
    pub family: Family,
    /// When they are to be sent.
    pub when: WhenToRefresh,
    /// What is done to the filter, in order.
    pub changes: Vec<OrfChange>,
    /// What was wrong with the message, in words; what is to be done about it stands in `changes`.
    pub fault: Option<String>,
}

impl OrfRefresh {
    /// Decodes a whole ROUTE-REFRESH, header included; `None` when it is not about a filter: nothing stands behind the
    /// family, or it is no request. A filter of another type than that of address prefixes is passed over.
    pub fn decode(message: &[u8]) -> Option<Self> {
        let mut r = Reader::new(message);
        r.skip(HEADER_LEN)?;
        let (afi, subtype, safi) = (r.u16()?, r.u8()?, r.u8()?);
        if subtype != 0 || r.is_empty() {
            return None;
        }
        let family = Family::new(afi, safi);
        let when = match r.u8()? {
            1 => WhenToRefresh::Immediate,
            2 => WhenToRefresh::Defer,
            other => return Some(Self::ignored(family, format!("When-to-refresh {other}"))),
        };
        let mut changes = Vec::new();
        let mut other_type = None;
        let mut any = r.is_empty();
        while !r.is_empty() {
            let Some((kind, entries)) = read_group(&mut r) else {
                return Some(Self::broken(family, when, "a list of entries is longer than the message".to_owned()));
            };
            if kind != ADDRESS_PREFIX {
                other_type = Some(kind);
            } else if let Err(what) = read_entries(entries, afi, &mut changes) {
                return Some(Self::broken(family, when, what));
            } else {
                any = true;
            }
        }
        match other_type {
            Some(kind) if !any => Some(Self::ignored(family, format!("ORF-Type {kind}"))),
            _ => Some(Self { family, when, changes, fault: None }),
        }
    }

    /// Nothing is to be done.
    fn ignored(family: Family, what: String) -> Self {
        Self { family, when: WhenToRefresh::Defer, changes: Vec::new(), fault: Some(what) }
    }

    /// RFC 5291 §6: the filter is removed.
    fn broken(family: Family, when: WhenToRefresh, what: String) -> Self {
        Self { family, when, changes: vec![OrfChange::RemoveAll], fault: Some(what) }
    }
}

/// Whole messages that do `changes` to the neighbour's filter of `family`, as few as possible; the last one asks for the
/// routes. Without changes: one that only asks.
pub fn encode_changes(family: Family, changes: &[OrfChange]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    let mut rest = changes;
    loop {
        let mut out = Vec::new();
        let start = begin_message(&mut out, MessageType::RouteRefresh);
        out.extend(family.afi.to_be_bytes());
        out.extend([0, family.safi]);
        let when_at = out.len();
        if !changes.is_empty() {
            out.extend([WhenToRefresh::Defer as u8, ADDRESS_PREFIX, 0, 0]);
        }
        let mut entry = Vec::new();
        while let Some((change, others)) = rest.split_first() {
            entry.clear();
            encode_change(change, &mut entry);
            if out.len() + entry.len() > MAX_LEN {
                break;
            }
            out.extend_from_slice(&entry);
            rest = others;
            // Some receivers look at nothing behind REMOVE-ALL in the same list.
            if *change == OrfChange::RemoveAll {
                break;
            }
        }
        if !changes.is_empty() {
            let len = out.len().saturating_sub(start + BEFORE_ENTRIES);
            patch_u16(&mut out, when_at + 2, len as u16); // below MAX_LEN
            if let Some(when) = out.get_mut(when_at).filter(|_| rest.is_empty()) {
                *when = WhenToRefresh::Immediate as u8;
            }
        }
        end_message(&mut out, start);
        messages.push(out);
        if rest.is_empty() {
            return messages;
        }
    }
}

/// ORF-Type and the octets of its entries.
fn read_group<'a>(r: &mut Reader<'a>) -> Option<(u8, Reader<'a>)> {
    let (kind, len) = (r.u8()?, r.u16()?);
    Some((kind, r.sub(len.into())?))
}

fn read_entries(mut r: Reader<'_>, afi: u16, changes: &mut Vec<OrfChange>) -> Result<(), String> {
    while !r.is_empty() {
        let change = read_change(&mut r, afi)?;
        if change == OrfChange::RemoveAll {
            changes.clear(); // whatever was said before, nothing is left of it
        }
        changes.push(change);
    }
    Ok(())
}

fn read_change(r: &mut Reader<'_>, afi: u16) -> Result<OrfChange, String> {
    let common = r.u8().unwrap_or_default();
    let make: fn(OrfEntry) -> OrfChange = match common >> 6 {
        0 => OrfChange::Add,
        1 => OrfChange::Remove,
        2 => return Ok(OrfChange::RemoveAll),
        3 if r.is_empty() => return Ok(OrfChange::RemoveAll),
        _ => return Err("an entry with action 3".to_owned()),
    };
    let decision = if common & 0x20 == 0 { OrfMatch::Permit } else { OrfMatch::Deny };
    let fields = r.u32().and_then(|sequence| Some((sequence, r.u8()?, r.u8()?, r.u8()?)));
    let Some((sequence, min_len, max_len, len)) = fields else { return Err("an entry is cut short".to_owned()) };
    let longest = if afi == 1 { 32 } else { 128 };
    if len > longest || min_len > longest || max_len > longest {
        return Err(format!("an entry with lengths {len}, {min_len}, {max_len} of {longest}"));
    }
    let Some(octets) = r.bytes(usize::from(len).div_ceil(8)) else { return Err("an entry is cut short".to_owned()) };
    let mut address = [0; 16];
    address.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
    let address = u128::from_be_bytes(address);
    let prefix = if afi == 1 { Prefix::v4((address >> 96) as u32, len) } else { Prefix::v6(address, len) };
    // RFC 5292 §4: without either only the prefix itself; without Maxlen all that are long enough.
    let (min_len, max_len) = match (min_len, max_len) {
        (0, 0) => (len, len),
        (min, 0) => (min, longest),
        (0, max) => (len, max),
        both => both,
    };
    if min_len < len || max_len < min_len {
        return Err(format!("an entry of {prefix} with lengths from {min_len} to {max_len}"));
    }
    Ok(make(OrfEntry { sequence, decision, prefix, min_len, max_len }))
}

fn encode_change(change: &OrfChange, out: &mut Vec<u8>) {
    let (action, entry) = match change {
        OrfChange::Add(entry) => (0, entry),
        OrfChange::Remove(entry) => (1, entry),
        OrfChange::RemoveAll => return out.push(2 << 6),
    };
    out.push(action << 6 | u8::from(entry.decision == OrfMatch::Deny) << 5);
    out.extend(entry.sequence.to_be_bytes());
    let len = entry.prefix.len();
    out.extend(match (entry.min_len, entry.max_len) {
        (min, max) if min == len && max == len => [0, 0],
        (min, max) if min == len => [0, max],
        (min, max) => [min, max],
    });
    out.push(len);
    let octets = match entry.prefix {
        Prefix::V4 { addr, .. } => u128::from(addr) << 96,
        Prefix::V6 { addr, .. } => addr,
    };
    out.extend(octets.to_be_bytes().iter().take(usize::from(len).div_ceil(8)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::bgp::frame;
    use proptest::prelude::*;

    const V4: Family = Family::IPV4_UNICAST;

    fn entry(sequence: u32, decision: OrfMatch, prefix: &str, min_len: u8, max_len: u8) -> OrfEntry {
        OrfEntry { sequence, decision, prefix: prefix.parse().unwrap(), min_len, max_len }
    }

    /// A message with these octets behind the family.
    fn message(family: Family, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let start = begin_message(&mut out, MessageType::RouteRefresh);
        out.extend(family.afi.to_be_bytes());
        out.extend([0, family.safi]);
        out.extend_from_slice(body);
        end_message(&mut out, start);
        out
    }

    #[test]
    fn entries_as_they_stand_on_the_wire() {
        // RFC 5291 §4: IMMEDIATE, one list of address prefixes; RFC 5292 §3: the entries.
        let body = [
            &[1][..],
            &[64, 0, 34],
            &[0x00, 0, 0, 0, 5, 0, 0, 24, 192, 0, 2],  // permit 192.0.2.0/24
            &[0x20, 0, 0, 0, 10, 25, 32, 16, 198, 51], // deny 198.51.0.0/16 ge 25 le 32
            &[0x40, 0, 0, 0, 15, 0, 24, 8, 10],        // remove permit 10.0.0.0/8 le 24
            &[0x20],                                   // a deny
        ]
        .concat();
        let cut = OrfRefresh::decode(&message(V4, &[&body[..4], &body[4..34]].concat())).unwrap();
        assert_eq!(cut.changes, [OrfChange::RemoveAll], "RFC 5291 §6: the list is longer than the message");
        let whole = [&[1, 64, 0, 30][..], &body[4..34]].concat();
        let got = OrfRefresh::decode(&message(V4, &whole)).unwrap();
        assert_eq!((got.family, got.when, &got.fault), (V4, WhenToRefresh::Immediate, &None));
        let expected = [
            OrfChange::Add(entry(5, OrfMatch::Permit, "192.0.2.0/24", 24, 24)),
            OrfChange::Add(entry(10, OrfMatch::Deny, "198.51.0.0/16", 25, 32)),
            OrfChange::Remove(entry(15, OrfMatch::Permit, "10.0.0.0/8", 8, 24)),
        ];
        assert_eq!(got.changes, expected);
        assert_eq!(encode_changes(V4, &expected), [message(V4, &whole)]);
    }

    #[test]
    fn a_request_without_entries_is_about_no_filter() {
        assert_eq!(OrfRefresh::decode(&message(V4, &[])), None);
        assert_eq!(encode_changes(V4, &[]), [message(V4, &[])]);
        // Only When-to-refresh: no entry, and the routes are wanted.
        let got = OrfRefresh::decode(&message(V4, &[1])).unwrap();
        assert_eq!((got.when, got.changes.len(), got.fault), (WhenToRefresh::Immediate, 0, None));
    }

    #[test]
    fn what_is_not_known_removes_the_filter_or_does_nothing() {
        let removed = |body: &[u8]| {
            let got = OrfRefresh::decode(&message(V4, body)).unwrap();
            assert!(got.fault.is_some());
            (got.when, got.changes)
        };
        let all = vec![OrfChange::RemoveAll];
        let (now, later) = (WhenToRefresh::Immediate, WhenToRefresh::Defer);
        // RFC 5291 §6: "the whole ORF is removed".
        let broken: &[&[u8]] = &[
            &[1, 64, 0, 2, 0xc0, 0],                      // action 3, and more
            &[1, 64, 0, 4, 0, 0, 0, 1],                   // ends in the sequence
            &[1, 64, 0, 8, 0, 0, 0, 0, 1, 0, 0, 8],       // ends before the prefix
            &[1, 64, 0, 9, 0, 0, 0, 0, 1, 0, 0, 33, 1],   // longer than an address
            &[1, 64, 0, 9, 0, 0, 0, 0, 1, 0, 33, 8, 10],  // Maxlen, likewise
            &[1, 64, 0, 9, 0, 0, 0, 0, 1, 7, 0, 8, 10],   // Minlen below the length
            &[1, 64, 0, 9, 0, 0, 0, 0, 1, 24, 16, 8, 10], // Maxlen below Minlen
            &[1, 64, 0],                                  // no length of the list
            &[1, 64, 255, 255],                           // longer than the message
        ];
        for body in broken {
            assert_eq!(removed(body), (now, all.clone()), "{body:?}");
        }
        assert_eq!(removed(&[2, 64, 0, 2, 0xc0, 0]), (later, all.clone()));
        let from_frr = OrfRefresh::decode(&message(V4, &[2, 64, 0, 1, 0xc0])).unwrap();
        assert_eq!((from_frr.when, from_frr.changes, from_frr.fault), (later, all, None));
        // Not a filter that was agreed on, and no known time: nothing happens.
        assert_eq!(removed(&[1, 3, 0, 1, 0x80]), (later, Vec::new()));
        assert_eq!(removed(&[9, 64, 0, 1, 0x80]), (later, Vec::new()));
        // Beside one that was agreed on another one is passed over.
        let got = OrfRefresh::decode(&message(V4, &[1, 3, 0, 1, 9, 64, 0, 1, 0x80])).unwrap();
        assert_eq!((got.changes, got.fault), (vec![OrfChange::RemoveAll], None));
    }

    #[test]
    fn a_long_filter_takes_several_messages_and_the_last_one_asks() {
        let mut changes = vec![OrfChange::RemoveAll];
        let one = |i: u32| OrfEntry { sequence: i, ..entry(0, OrfMatch::Permit, "192.0.2.0/24", 24, 32) };
        changes.extend((0..1000).map(|i| OrfChange::Add(one(i))));
        let messages = encode_changes(V4, &changes);
        assert_eq!(messages.len(), 1 + 1000_usize.div_ceil((MAX_LEN - BEFORE_ENTRIES) / 11));
        let mut back = Vec::new();
        for (at, message) in messages.iter().enumerate() {
            assert!(frame(message, MAX_LEN).unwrap().is_some());
            let got = OrfRefresh::decode(message).unwrap();
            assert_eq!(got.when == WhenToRefresh::Immediate, at + 1 == messages.len());
            back.extend(got.changes);
        }
        assert_eq!(back, changes);
    }

    fn any_entry(v4: bool) -> impl Strategy<Value = OrfEntry> {
        let longest = if v4 { 32u8 } else { 128 };
        let lens = (0..=longest).prop_flat_map(move |len| (Just(len), len..=longest));
        let lens = lens.prop_flat_map(move |(len, min)| (Just(len), Just(min), min..=longest));
        (any::<u32>(), any::<bool>(), any::<u128>(), lens).prop_map(
            move |(sequence, permit, address, (len, min, max))| {
                let prefix = if v4 { Prefix::v4((address >> 96) as u32, len) } else { Prefix::v6(address, len) };
                let decision = if permit { OrfMatch::Permit } else { OrfMatch::Deny };
                OrfEntry { sequence, decision, prefix, min_len: min, max_len: max }
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(v4: bool, list in prop::collection::vec((0u8..3, any_entry(true), any_entry(false)), 1..600)) {
            let family = if v4 { V4 } else { Family::IPV6_UNICAST };
            let changes: Vec<OrfChange> = list.into_iter().map(|(action, in_v4, in_v6)| {
                let entry = if v4 { in_v4 } else { in_v6 };
                match action { 0 => OrfChange::Add(entry), 1 => OrfChange::Remove(entry), _ => OrfChange::RemoveAll }
            }).collect();
            let decoded = encode_changes(family, &changes).into_iter().flat_map(|message| {
                assert!(message.len() <= MAX_LEN);
                let got = OrfRefresh::decode(&message).unwrap();
                assert_eq!((got.family, got.fault), (family, None));
                got.changes
            });
            // What stands before a REMOVE-ALL need not be said.
            let rest = |list: Vec<OrfChange>| {
                let from = list.iter().rposition(|change| *change == OrfChange::RemoveAll).unwrap_or(0);
                list.into_iter().skip(from).collect::<Vec<_>>()
            };
            prop_assert_eq!(rest(decoded.collect()), rest(changes));
        }

        #[test]
        fn any_octets_are_decoded_or_not_and_never_panic(afi in 0u16..4, safi: u8, body in prop::collection::vec(any::<u8>(), 0..200), whole: bool) {
            let body = if whole { [&[1, 64, 0, body.len() as u8][..], &body].concat() } else { body };
            let got = OrfRefresh::decode(&message(Family::new(afi, safi), &body));
            prop_assert_eq!(got.is_none(), body.is_empty());
            for change in got.into_iter().flat_map(|got| got.changes) {
                if let OrfChange::Add(entry) | OrfChange::Remove(entry) = change {
                    prop_assert!(entry.prefix.len() <= entry.min_len && entry.min_len <= entry.max_len);
                }
            }
        }
    }
}
