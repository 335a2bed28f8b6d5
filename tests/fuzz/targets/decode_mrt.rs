//! Any octets as an MRT file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ribwatch_fuzz::wire::mrt::{Framer, Interpreter, Step};

fuzz_target!(|data: &[u8]| {
    let mut framer = Framer::default();
    let mut interpreter = Interpreter::new();
    let mut rest = data;
    // Each step takes octets or ends noise, so twice the octets bounds the steps.
    for _ in 0..=2 * data.len() + 2 {
        match framer.next(rest, true) {
            Step::Record(record, taken) => {
                let _ = interpreter.interpret(&record, |event| {
                    let _ = std::hint::black_box(&event);
                });
                rest = &rest[taken..];
            }
            Step::Noise(taken) => rest = &rest[taken..],
            Step::Damage(damage) => drop(damage.to_string()),
            Step::More(_) | Step::End => return,
        }
    }
    panic!("the framer does not come to an end");
});
