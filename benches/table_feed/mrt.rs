//! A recorded feed as a table: the UPDATEs of the busiest peer of an uncompressed BGP4MP file (RFC 6396 §4.4).

use std::collections::HashMap;
use std::sync::Arc;

use crate::table::Table;
use crate::wire;

/// The session that a record comes from.
#[derive(PartialEq, Eq, Hash)]
pub struct Recorder {
    pub peer_asn: u32,
    pub local_asn: u32,
    pub four_octet_as: bool,
}

/// Reads `file`; only UPDATEs are kept, octet by octet as they were received.
///
/// # Errors
/// A file that cannot be read or holds no UPDATE.
pub fn read(file: &str) -> Result<Table, String> {
    let octets = std::fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    let mut streams: HashMap<Recorder, (usize, Vec<u8>)> = HashMap::new();
    let mut left = octets.as_slice();
    while let Some((head, rest)) = left.split_first_chunk::<12>() {
        let len = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let Some((body, rest)) = rest.split_at_checked(len) else { break };
        left = rest;
        let Some((recorder, message)) = record([head[4], head[5]], [head[6], head[7]], body) else { continue };
        if message.get(18) == Some(&wire::UPDATE) {
            let stream = streams.entry(recorder).or_default();
            stream.0 += 1;
            stream.1.extend_from_slice(message);
        }
    }
    let busiest = streams.into_iter().max_by_key(|(_, (updates, _))| *updates);
    let (recorder, (updates, stream)) = busiest.ok_or(format!("{file}: no UPDATE in it"))?;
    Ok(Table::recorded(&recorder, updates, Arc::new(stream)))
}

/// The session and the BGP message of a record: BGP4MP (16), BGP4MP_ET (17), subtypes MESSAGE (1), MESSAGE_AS4 (4).
fn record(kind: [u8; 2], subtype: [u8; 2], body: &[u8]) -> Option<(Recorder, &[u8])> {
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
    let number = |octets: &[u8]| octets.iter().fold(0, |asn, octet| (asn << 8) | u32::from(*octet));
    let (peer_asn, local_asn) = (number(body.get(..asn_len)?), number(body.get(asn_len..2 * asn_len)?));
    let family = body.get(2 * asn_len + 2..2 * asn_len + 4)?;
    let address_len = if family == [0, 1] { 4 } else { 16 };
    let message = body.get(2 * asn_len + 4 + 2 * address_len..)?;
    Some((Recorder { peer_asn, local_asn, four_octet_as }, message))
}
