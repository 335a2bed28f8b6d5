//! Tests of the session-level messages: header, OPEN with its capabilities, NOTIFICATION, ROUTE-REFRESH.

mod capability;
mod header;
mod notification;
mod open;

use super::{HEADER_LEN, MessageType, begin_message, end_message};

/// Octets from hexadecimal; spaces show where fields end.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |value, digit| value << 4 | digit)).collect()
}

/// A message of `kind` around `body`, with a correct header.
fn message(kind: MessageType, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_LEN + body.len());
    let start = begin_message(&mut out, kind);
    out.extend(body);
    end_message(&mut out, start);
    out
}
