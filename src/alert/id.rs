//! Ids of alerts and mutes: short, typeable, and the same whenever the same thing is seen at the same time, so that a
//! replay gives the same octets.

use std::{fmt::Write as _, sync::Arc};

use crate::types::Timestamp;

/// Crockford's base 32: no letter that is taken for another or for a digit.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 60 bits: among a million alerts two are alike with a chance of one in two million, and then `salt` tells them apart.
const LEN: u32 = 12;

/// The id of what `words` name, at a time; with another `salt` another one.
pub(super) fn id(words: &dyn std::fmt::Display, at: Timestamp, salt: u32) -> Arc<str> {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    // Writing to a hash cannot fail.
    let _ = write!(hash, "{words}\n{}\n{salt}", at.0);
    let mixed = mix(hash.0);
    let letter = |at: u32| char::from(LETTERS[(mixed >> (5 * at)) as usize & 31]);
    (0..LEN).map(letter).collect::<String>().into()
}

/// FNV-1a, 64 bits (draft-eastlake-fnv-21 §2).
struct Fnv(u64);

impl std::fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for octet in text.bytes() {
            self.0 = (self.0 ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

/// Spreads what FNV leaves in few bits over all of them (the finaliser of MurmurHash3).
fn mix(mut value: u64) -> u64 {
    for factor in [0xff51_afd7_ed55_8ccd_u64, 0xc4ce_b9fe_1a85_ec53] {
        value = (value ^ (value >> 33)).wrapping_mul(factor);
    }
    value ^ (value >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_id_depends_on_words_time_and_salt_alone() {
        let at = Timestamp::from_secs(1_700_000_000);
        assert_eq!(&*id(&"flap 192.0.2.0/24", at, 0), "85b8jcs5p7q1");
        let ids: BTreeSet<_> = (0..10_000).map(|n| id(&format!("flap {n}"), at, 0)).collect();
        assert_eq!(ids.len(), 10_000);
        assert_ne!(id(&"a", at, 0), id(&"a", at, 1));
        assert_ne!(id(&"a", at, 0), id(&"a", Timestamp(at.0 + 1), 0));
    }
}
