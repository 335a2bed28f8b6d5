//! A recorded feed as a table: the UPDATEs of the busiest peer of an uncompressed BGP4MP file (RFC 6396 §4.4).
//!
//! The messages go out octet by octet as they were recorded, but for the next hop, which becomes one address as from any
//! single eBGP peer. A recording may hold thousands (a peering LAN seen through a route server), and then BIRD, which
//! resolves each of them, spends most of its time on that: 64 CPU seconds in place of 1 for the feed in our corpus.

use std::collections::HashMap;
use std::sync::Arc;

use crate::table::{self, Table};
use crate::wire;

/// What a record says before its BGP message: the peer, the ASN width, and where the message starts.
struct Recorded<'a> {
    peer_asn: u32,
    four_octet_as: bool,
    message: &'a [u8],
}

/// Reads `file`; only UPDATEs are kept.
///
/// # Errors
/// A file that cannot be read or holds no UPDATE.
pub fn read(file: &str) -> Result<Table, String> {
    let octets = std::fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    let mut streams: HashMap<(u32, bool), (usize, Vec<u8>)> = HashMap::new();
    let mut left = octets.as_slice();
    while let Some((head, rest)) = left.split_first_chunk::<12>() {
        let len = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let Some((body, rest)) = rest.split_at_checked(len) else { break };
        left = rest;
        let Some(recorded) = record([head[4], head[5]], [head[6], head[7]], body) else { continue };
        if recorded.message.get(18) == Some(&wire::UPDATE) {
            let stream = streams.entry((recorded.peer_asn, recorded.four_octet_as)).or_default();
            stream.0 += 1;
            let start = stream.1.len();
            stream.1.extend_from_slice(recorded.message);
            if let Some(next_hop) = wire::next_hop(&mut stream.1[start..]) {
                next_hop.copy_from_slice(&table::next_hop(0));
            }
        }
    }
    let busiest = streams.into_iter().max_by_key(|(_, (updates, _))| *updates);
    let ((peer_asn, four_octet_as), (updates, stream)) = busiest.ok_or(format!("{file}: no UPDATE in it"))?;
    Ok(Table::recorded(peer_asn, four_octet_as, updates, Arc::new(stream)))
}

/// BGP4MP (16) and BGP4MP_ET (17), subtypes MESSAGE (1) and MESSAGE_AS4 (4).
fn record(kind: [u8; 2], subtype: [u8; 2], body: &[u8]) -> Option<Recorded<'_>> {
    let body = match u16::from_be_bytes(kind) {
        16 => body,
        17 => body.get(4..)?,
        _ => return None,
    };
    let four_octet_as = match u16::from_be_bytes(subtype) {
        1 => false,
        4 => true,
        _ => return None,
    };
    let asn_len = if four_octet_as { 4 } else { 2 };
    let peer_asn = body.get(..asn_len)?.iter().fold(0, |asn, octet| (asn << 8) | u32::from(*octet));
    let family = body.get(2 * asn_len + 2..2 * asn_len + 4)?;
    let address_len = if family == [0, 1] { 4 } else { 16 };
    let message = body.get(2 * asn_len + 4 + 2 * address_len..)?;
    Some(Recorded { peer_asn, four_octet_as, message })
}
