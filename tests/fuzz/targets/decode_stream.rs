//! A stream of octets as a neighbour would send it: framing, then each message by its type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ribwatch_fuzz::{
    check_update, context,
    wire::bgp::{
        MAX_EXTENDED_LEN, MAX_LEN, MessageType, RouteRefresh, frame, notification::Notification, open::Open,
    },
};

fuzz_target!(|data: &[u8]| {
    let Some((bits, mut rest)) = data.split_first() else { return };
    let max_len = if bits & 0x40 != 0 { MAX_EXTENDED_LEN } else { MAX_LEN };
    while let Ok(Some(message)) = frame(rest, max_len) {
        let octets = message.message;
        assert!(octets.len() >= 19 && octets.len() <= max_len);
        match message.kind {
            MessageType::Open => drop(Open::decode(octets)),
            MessageType::Update => check_update(octets, &context(*bits)),
            MessageType::Notification => drop(Notification::decode(octets)),
            MessageType::RouteRefresh => drop(RouteRefresh::decode(octets)),
            MessageType::Keepalive => {}
        }
        rest = &rest[octets.len()..];
    }
});
