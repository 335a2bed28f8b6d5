//! Any octets as PDUs of a cache, back to back; the Error Report that a fault would bring is understood again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ribwatch_fuzz::wire::rtr::{HEADER_LEN, Header, Pdu, decode, error_report_on};

fuzz_target!(|octets: &[u8]| {
    let mut rest = octets;
    while let Some(header) = Header::decode(rest) {
        assert!(!header.name().is_empty());
        let Some(len) = header.check_len().ok().filter(|len| (HEADER_LEN..=rest.len()).contains(len)) else { return };
        let (pdu, behind) = rest.split_at(len);
        rest = behind;
        match decode(pdu) {
            Ok(Pdu::Aspa { providers, .. }) => assert!(providers.len() * 4 < pdu.len()),
            Ok(Pdu::Prefix { prefix, .. }) => assert!(prefix.len() <= 128),
            Ok(_) => {}
            Err(fault) => {
                let report = error_report_on(header.version, fault.code, pdu, &fault.what);
                assert!(matches!(decode(&report), Ok(Pdu::ErrorReport { code, .. }) if code == fault.code));
            }
        }
    }
});
