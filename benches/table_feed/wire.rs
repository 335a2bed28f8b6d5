//! Just enough BGP to send a table and to count one: headers, OPEN, UPDATE out, UPDATE in (RFC 4271 §4).
//!
//! Reads what a daemon under test sends, on a bench: lengths are checked, faults of the daemon end the run.

use std::net::Ipv4Addr;

/// RFC 4271 §4.1.
pub const HEADER_LEN: usize = 19;
pub const MAX_LEN: usize = 4096;
pub const OPEN: u8 = 1;
pub const UPDATE: u8 = 2;
pub const NOTIFICATION: u8 = 3;
pub const KEEPALIVE: u8 = 4;

/// An IPv4 prefix as one sortable number: address in the high half, length in the low one.
pub type Key = u64;

pub fn key(address: u32, len: u8) -> Key {
    (u64::from(address) << 32) | u64::from(len)
}

/// Appends a message around `body`.
pub fn message(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xff; 16]);
    out.extend_from_slice(&((HEADER_LEN + body.len()) as u16).to_be_bytes());
    out.push(kind);
    out.extend_from_slice(body);
}

/// OPEN with IPv4 unicast, route refresh and, if asked, 4-octet AS numbers.
pub fn open(asn: u32, router_id: Ipv4Addr, four_octet_as: bool) -> Vec<u8> {
    let mut capabilities = vec![1, 4, 0, 1, 0, 1, 2, 0];
    if four_octet_as {
        capabilities.extend_from_slice(&[65, 4]);
        capabilities.extend_from_slice(&asn.to_be_bytes());
    }
    let two_octet_asn = u16::try_from(asn).unwrap_or(23456);
    let mut body = vec![4];
    body.extend_from_slice(&two_octet_asn.to_be_bytes());
    body.extend_from_slice(&240u16.to_be_bytes());
    body.extend_from_slice(&router_id.octets());
    body.extend_from_slice(&[capabilities.len() as u8 + 2, 2, capabilities.len() as u8]);
    body.extend_from_slice(&capabilities);
    let mut out = Vec::new();
    message(OPEN, &body, &mut out);
    out
}

/// Appends one attribute; extended length where the value needs it.
pub fn attribute(flags: u8, code: u8, value: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(value.len()) {
        Ok(len) => out.extend_from_slice(&[flags, code, len]),
        Err(_) => {
            out.extend_from_slice(&[flags | 0x10, code]);
            out.extend_from_slice(&(value.len() as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(value);
}

fn prefix(key: Key, out: &mut Vec<u8>) {
    let len = key as u8;
    out.push(len);
    out.extend_from_slice(&((key >> 32) as u32).to_be_bytes()[..usize::from(len).div_ceil(8)]);
}

/// Appends the UPDATEs that announce `keys` with one attribute block, as few as fit into 4096 octets each.
pub fn announce(attributes: &[u8], keys: &[Key], out: &mut Vec<u8>) -> usize {
    let mut head = vec![0, 0];
    head.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    head.extend_from_slice(attributes);
    updates(&head, keys, &[], out)
}

/// Appends the UPDATEs that withdraw `keys`.
pub fn withdraw(keys: &[Key], out: &mut Vec<u8>) -> usize {
    let mut count = 0;
    for part in keys.chunks(800) {
        let mut field = Vec::new();
        part.iter().for_each(|key| prefix(*key, &mut field));
        let mut body = (field.len() as u16).to_be_bytes().to_vec();
        body.extend_from_slice(&field);
        body.extend_from_slice(&[0, 0]);
        message(UPDATE, &body, out);
        count += 1;
    }
    count
}

fn updates(head: &[u8], keys: &[Key], tail: &[u8], out: &mut Vec<u8>) -> usize {
    let mut body = head.to_vec();
    let mut count = 0;
    for key in keys {
        if HEADER_LEN + body.len() + 5 + tail.len() > MAX_LEN {
            message(UPDATE, &body, out);
            count += 1;
            body.truncate(head.len());
        }
        prefix(*key, &mut body);
    }
    message(UPDATE, &body, out);
    count + 1
}

/// The first whole message of `buffer`: its type and its octets; `None` while some are missing.
///
/// # Errors
/// A length that no BGP message may have.
pub fn first_message(buffer: &[u8]) -> Result<Option<(u8, &[u8])>, String> {
    let (Some(high), Some(low), Some(kind)) = (buffer.get(16), buffer.get(17), buffer.get(18)) else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    if len < HEADER_LEN {
        return Err(format!("message length {len}"));
    }
    Ok(buffer.get(..len).map(|message| (*kind, message)))
}

/// What one UPDATE says about one IPv4 prefix.
pub enum Change {
    /// With a hash of the AS path, its first `skip` ASNs left out.
    Announce(Key, u32),
    Withdraw(Key),
}

/// Reads an UPDATE and hands over every change; `skip` leading ASNs of the path are not hashed.
///
/// # Errors
/// Anything whose lengths do not add up.
pub fn changes(message: &[u8], four_octet_as: bool, skip: usize, mut each: impl FnMut(Change)) -> Result<(), String> {
    let fault = || "UPDATE whose lengths do not add up".to_owned();
    let body = message.get(HEADER_LEN..).ok_or_else(fault)?;
    let (withdrawn, rest) = counted(body).ok_or_else(fault)?;
    let (attributes, announced) = counted(rest).ok_or_else(fault)?;
    prefixes(withdrawn, |key| each(Change::Withdraw(key))).ok_or_else(fault)?;
    let mut path = 0;
    each_attribute(attributes, |code, value| {
        if code == 2 {
            path = hash_path(value, four_octet_as, skip)?;
        }
        Some(())
    })
    .ok_or_else(fault)?;
    prefixes(announced, |key| each(Change::Announce(key, path))).ok_or_else(fault)
}

/// What the decision process looks at first in an UPDATE with four-octet paths without sets, best is least: length of
/// AS_PATH, ORIGIN (RFC 4271 §9.1.2.2 a, b). `None`: no attributes, or none that can be read.
pub fn rank(message: &[u8]) -> Option<(usize, u8)> {
    let (_, rest) = counted(message.get(HEADER_LEN..)?)?;
    let (attributes, _) = counted(rest)?;
    let (mut length, mut origin) = (None, None);
    each_attribute(attributes, |code, value| {
        match code {
            1 => origin = value.first().copied(),
            2 => length = Some(value.len() / 4),
            _ => {}
        }
        Some(())
    })?;
    Some((length?, origin?))
}

/// Whether a COMMUNITIES attribute of the UPDATE holds `community` (RFC 1997).
pub fn has_community(message: &[u8], community: u32) -> bool {
    let field = message.get(HEADER_LEN..).and_then(counted).and_then(|(_, rest)| counted(rest));
    let mut found = false;
    if let Some((attributes, _)) = field {
        let _ = each_attribute(attributes, |code, value| {
            found |= code == 8 && value.chunks_exact(4).any(|one| one == community.to_be_bytes());
            Some(())
        });
    }
    found
}

/// Hands over type code and value of each attribute; `None` where the lengths do not add up or `each` gives up.
fn each_attribute(mut left: &[u8], mut each: impl FnMut(u8, &[u8]) -> Option<()>) -> Option<()> {
    while let [flags, code, after @ ..] = left {
        let (value, rest) = if flags & 0x10 != 0 {
            counted(after)?
        } else {
            let (len, after) = after.split_first()?;
            after.split_at_checked(usize::from(*len))?
        };
        each(*code, value)?;
        left = rest;
    }
    Some(())
}

/// Splits off a field that has its length in two octets in front.
fn counted(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = field.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

fn prefixes(mut field: &[u8], mut each: impl FnMut(Key)) -> Option<()> {
    while let Some((len, rest)) = field.split_first() {
        let (octets, rest) = rest.split_at_checked(usize::from(*len).div_ceil(8))?;
        let mut address = [0; 4];
        address.get_mut(..octets.len())?.copy_from_slice(octets);
        each(key(u32::from_be_bytes(address), *len));
        field = rest;
    }
    Some(())
}

/// Never 0, so that 0 can mean "no route". Segment borders inside sequences do not count (a daemon may merge them).
fn hash_path(mut value: &[u8], four_octet_as: bool, mut skip: usize) -> Option<u32> {
    let width = if four_octet_as { 4 } else { 2 };
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    while let [kind, count, rest @ ..] = value {
        let (asns, rest) = rest.split_at_checked(usize::from(*count) * width)?;
        for asn in asns.chunks(width) {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            for octet in asn.iter().chain([kind]) {
                hash = (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        value = rest;
    }
    Some(((hash >> 32) ^ hash) as u32 | 1)
}
