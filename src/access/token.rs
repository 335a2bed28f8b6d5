//! Bearer tokens: found by their hash, in a time that does not depend on how much of one is right.

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};

use super::{Principal, Refusal, Role};
use crate::types::{Secret, Timestamp};

/// SHA-256 of a token: what the configuration keeps of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Characters of the shortest token that is taken: 128 random bits in base64.
    pub const TOKEN_CHARS_MIN: usize = 22;

    /// Hashes a token.
    pub fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(hash)
    }
}

impl fmt::Display for TokenHash {
    /// As the configuration writes it: `sha256:` and 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Secret(String::new()).fmt(f)
    }
}

impl FromStr for TokenHash {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let wrong = || "this is no hash of a token".to_owned();
        let digits = s.strip_prefix("sha256:").ok_or_else(wrong)?;
        if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut hash = [0; 32];
        for (index, octet) in hash.iter_mut().enumerate() {
            let pair = digits.get(2 * index..2 * index + 2).ok_or_else(wrong)?;
            *octet = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(hash))
    }
}

/// A token that is let in, until it expires.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Whose it is.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// What is kept of it.
    pub hash: TokenHash,
    /// From when on it is refused; `None`: never.
    pub expires: Option<Timestamp>,
}

/// Who shows `bearer`. All tokens are compared, so that time tells nothing of their order.
pub(super) fn find(tokens: &[Token], bearer: &str, now: Timestamp) -> Result<Principal, Refusal> {
    let hash = TokenHash::of(bearer);
    let fits = |token: &Token| verify_slices_are_equal(&token.hash.0, &hash.0).is_ok();
    let found = tokens.iter().fold(None, |found, token| if fits(token) { Some(token) } else { found });
    let token = found.ok_or(Refusal::UnknownToken)?;
    match token.expires {
        Some(at) if at <= now => Err(Refusal::Expired { name: Arc::clone(&token.name), at }),
        _ => Ok(Principal { name: Arc::clone(&token.name), role: token.role }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_written_and_is_that_of_sha256sum() {
        let hash = TokenHash::of("abc");
        // FIPS 180-4, the example for one block.
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse(), Ok(hash));
        assert_eq!(text.to_uppercase().replace("SHA", "sha").parse(), Ok(hash));
        for wrong in ["", "sha256:", "sha256:ba78", &text.replace("ba", "xy"), &text[7..], "sha256:é"] {
            assert!(wrong.parse::<TokenHash>().is_err(), "{wrong}");
        }
        assert_eq!(format!("{hash:?}"), "***");
    }
}
