//! Any octets as OPEN, NOTIFICATION and ROUTE-REFRESH; what decodes is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ribwatch_fuzz::wire::bgp::{HEADER_LEN, RouteRefresh, notification::Notification, open::Open, orf::OrfRefresh};

fuzz_target!(|body: &[u8]| {
    let mut message = vec![0xff; HEADER_LEN];
    message.extend_from_slice(body);
    if let Ok(open) = Open::decode(&message) {
        let written = open.encode();
        assert!(written.len() <= 4096);
        for capability in &open.capabilities {
            let _ = capability.name();
        }
        if written.len() < 4000 {
            assert_eq!(Open::decode(&written).as_ref(), Ok(&open));
        }
    }
    if let Ok(notification) = Notification::decode(&message) {
        let _ = (notification.to_string(), notification.shutdown_text());
    }
    let _ = RouteRefresh::decode(&message);
    let _ = OrfRefresh::decode(&message);
});
