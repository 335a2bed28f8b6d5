//! Autonomous System Numbers: four octets (RFC 6793), written in asplain (RFC 5396).

use std::{fmt, num::ParseIntError, str::FromStr};

/// An AS number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Asn(pub u32);

impl Asn {
    /// AS_TRANS (RFC 6793 §9): stands for a four-octet ASN towards a two-octet speaker.
    pub const TRANS: Self = Self(23456);

    /// Whether the number fits the two-octet fields of RFC 4271.
    pub fn is_two_octet(self) -> bool {
        self.0 <= 0xffff
    }

    /// Private use: 64512-65534 and 4200000000-4294967294 (RFC 6996 §5).
    pub fn is_private(self) -> bool {
        matches!(self.0, 64512..=65534 | 4_200_000_000..=4_294_967_294)
    }

    /// Reserved: 0 (RFC 7607), 65535 and 4294967295 (RFC 7300), documentation 64496-64511 and 65536-65551
    /// (RFC 5398), AS_TRANS (RFC 6793).
    pub fn is_reserved(self) -> bool {
        matches!(self.0, 0 | 23456 | 64496..=64511 | 65535 | 65536..=65551 | 4_294_967_295)
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

impl FromStr for Asn {
    type Err = ParseIntError;
    /// Reads asplain with or without a leading `AS`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let digits = s.strip_prefix("AS").or_else(|| s.strip_prefix("as")).unwrap_or(s);
        digits.parse().map(Self)
    }
}
