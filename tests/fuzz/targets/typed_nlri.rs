//! The typed view of NLRI, both ways. The first octet chooses the family, the second whether the rest is the key of a
//! route (and how much of it stands beside the key), an NLRI field, or a text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ribwatch_fuzz::check_typed;

fuzz_target!(|data: &[u8]| {
    let [family, form, rest @ ..] = data else { return };
    check_typed(*family, *form, rest);
});
