//! One UPDATE; the first octet chooses what was negotiated (AS size, ADD-PATH, kind of neighbour, rules).
#![no_main]

use libfuzzer_sys::fuzz_target;
use ribwatch_fuzz::{check_update, context, wire::bgp::HEADER_LEN};

fuzz_target!(|data: &[u8]| {
    let Some((bits, body)) = data.split_first() else { return };
    let mut message = vec![0xff; HEADER_LEN];
    message.extend_from_slice(body);
    let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
    message[16..18].copy_from_slice(&len.to_be_bytes());
    message[18] = 2;
    check_update(&message, &context(*bits));
});
