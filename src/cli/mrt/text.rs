//! The layout of `bgpdump -m`: fields between bars, one line per prefix.
//!
//! ```text
//! TABLE_DUMP2|1446357600|B|peer|asn|prefix|as path|ORIGIN|next hop|local pref|med|communities|AG or NAG|aggregator|
//! BGP4MP|1427846404|A|the same fields as above
//! BGP4MP|1427846420|W|peer|asn|prefix
//! BGP4MP|1427846508|STATE|peer|asn|old state|new state
//! ```
//!
//! With ADD-PATH the type ends in `_AP` and the path identifier follows the prefix; records of what the recording
//! side sent end in `_LOCAL`; BGP4MP_ET has microseconds. A missing LOCAL_PREF or MED is 0, a missing ORIGIN is
//! INCOMPLETE. Families other than unicast and multicast have no line: `--json` shows them.
//!
//! Where we differ from bgpdump 1.6.2, with the reason:
//! 1. A missing next hop is an empty field; bgpdump prints 255.255.255.255.
//! 2. Lines of the deprecated type 5 have the same fields as all others; bgpdump leaves the bar between MED and
//!    communities out, and prints the peer's address where a withdrawn prefix should stand.
//! 3. The peer of a record of type `_LOCAL_AP` is the peer; bgpdump prints the recording side.
//! 4. An UPDATE that RFC 7606 treats as withdrawn has `W` lines and a word on standard error; bgpdump prints what
//!    it can make of it.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr},
};

use crate::{
    types::Prefix,
    wire::{
        bgp::{
            as_path::{AsPath, SegmentKind},
            attribute::{AttrSet, Origin},
            batch::ItemKind,
            community::Community,
        },
        mrt::{Direction, Event, Header, Routes, StateChange},
    },
};

/// Appends the lines of an event; none for families that the layout does not know.
pub(super) fn push_event(header: &Header, event: &Event<'_>, out: &mut Vec<u8>) {
    match event {
        Event::Table(routes) => push_routes(header, b'B', routes, out),
        Event::Update(routes) => match routes.item.kind {
            ItemKind::Announce => push_routes(header, b'A', routes, out),
            ItemKind::Withdraw => push_routes(header, b'W', routes, out),
            ItemKind::EndOfRib => {}
        },
        Event::StateChange(change) => push_state_change(header, change, out),
    }
}

fn push_state_change(header: &Header, change: &StateChange, out: &mut Vec<u8>) {
    push_type_and_time(header, "", out);
    out.extend_from_slice(b"|STATE|");
    push_address(change.peer_address, out);
    for number in [change.peer_asn.0, change.old_state.into(), change.new_state.into()] {
        out.push(b'|');
        push_number(number, out);
    }
    out.push(b'\n');
}

/// What stands before the prefix is written once and copied for each further route, and so is what follows it.
fn push_routes(header: &Header, letter: u8, routes: &Routes<'_>, out: &mut Vec<u8>) {
    let mut prefixes = routes.item.prefixes();
    let Some((path_id, prefix)) = prefixes.next() else { return };
    let head = out.len();
    push_type_and_time(header, suffix(routes), out);
    out.extend_from_slice(&[b'|', letter, b'|']);
    push_address(routes.peer_address, out);
    out.push(b'|');
    push_number(routes.peer_asn.0, out);
    out.push(b'|');
    let head = head..out.len();
    push_prefix(routes, path_id, prefix, out);
    let tail = out.len();
    if letter != b'W' {
        push_attributes(routes.item.attrs, out);
    }
    out.push(b'\n');
    let tail = tail..out.len();
    for (path_id, prefix) in prefixes {
        out.extend_from_within(head.clone());
        push_prefix(routes, path_id, prefix, out);
        out.extend_from_within(tail.clone());
    }
}

fn suffix(routes: &Routes<'_>) -> &'static str {
    match (routes.direction, routes.add_path) {
        (Direction::Received, false) => "",
        (Direction::Received, true) => "_AP",
        (Direction::Sent, false) => "_LOCAL",
        (Direction::Sent, true) => "_LOCAL_AP",
    }
}

fn push_type_and_time(header: &Header, suffix: &str, out: &mut Vec<u8>) {
    let name = match header.kind_name() {
        Some("TABLE_DUMP_V2") => "TABLE_DUMP2",
        name => name.unwrap_or_default(),
    };
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(suffix.as_bytes());
    out.push(b'|');
    push_number(header.time.secs(), out);
    if header.has_micros() {
        let micros = header.time.0 % 1_000_000;
        let _ = write!(out, ".{micros:06}");
    }
}

fn push_prefix(routes: &Routes<'_>, path_id: u32, prefix: Prefix, out: &mut Vec<u8>) {
    push_address(prefix.addr(), out);
    out.push(b'/');
    push_number(prefix.len().into(), out);
    if routes.add_path {
        out.push(b'|');
        push_number(path_id, out);
    }
}

fn push_attributes(attrs: AttrSet<'_>, out: &mut Vec<u8>) {
    out.push(b'|');
    push_as_path(attrs.as_path(), out);
    out.extend_from_slice(match attrs.origin() {
        Some(Origin::Igp) => b"|IGP|",
        Some(Origin::Egp) => b"|EGP|",
        Some(Origin::Incomplete) | None => b"|INCOMPLETE|",
    });
    if let Some(next_hop) = attrs.next_hop() {
        push_address(next_hop.global, out);
    }
    for number in [attrs.local_pref(), attrs.med()] {
        out.push(b'|');
        push_number(number.unwrap_or(0), out);
    }
    out.push(b'|');
    for (i, community) in attrs.communities().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        push_community(community, out);
    }
    out.extend_from_slice(if attrs.atomic_aggregate() { b"|AG|" } else { b"|NAG|" });
    if let Some((asn, router)) = attrs.aggregator() {
        push_number(asn.0, out);
        out.push(b' ');
        push_ipv4(router, out);
    }
    out.push(b'|');
}

fn push_as_path(path: AsPath<'_>, out: &mut Vec<u8>) {
    for (i, segment) in path.segments().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        let (open, between, close): (&[u8], u8, &[u8]) = match segment.kind {
            SegmentKind::Sequence => (b"", b' ', b""),
            SegmentKind::Set => (b"{", b',', b"}"),
            SegmentKind::ConfedSequence => (b"(", b' ', b")"),
            SegmentKind::ConfedSet => (b"[", b',', b"]"),
        };
        out.extend_from_slice(open);
        for (j, asn) in segment.asns().enumerate() {
            if j > 0 {
                out.push(between);
            }
            push_number(asn.0, out);
        }
        out.extend_from_slice(close);
    }
}

/// The three names of RFC 1997 in the spelling of bgpdump; numbers for all others.
fn push_community(community: Community, out: &mut Vec<u8>) {
    match community {
        Community::NO_EXPORT => out.extend_from_slice(b"no-export"),
        Community::NO_ADVERTISE => out.extend_from_slice(b"no-advertise"),
        Community::NO_EXPORT_SUBCONFED => out.extend_from_slice(b"local-AS"),
        Community(number) => {
            push_number(number >> 16, out);
            out.push(b':');
            push_number(number & 0xffff, out);
        }
    }
}

fn push_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => push_ipv4(address, out),
        IpAddr::V6(address) => {
            let _ = write!(out, "{address}");
        }
    }
}

fn push_ipv4(address: Ipv4Addr, out: &mut Vec<u8>) {
    let [a, b, c, d] = address.octets();
    push_number(a.into(), out);
    for octet in [b, c, d] {
        out.push(b'.');
        push_number(octet.into(), out);
    }
}

/// Decimal digits. Formatting machinery costs more than all decoding where a line has thirty numbers.
fn push_number(number: u32, out: &mut Vec<u8>) {
    let mut digits = [0; 10];
    let mut used = 0;
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}
