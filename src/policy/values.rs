//! What members of sets and numbers in conditions look like as operators write them: `10.0.0.0/8 ge 9 le 24`,
//! `64512-65534`, `>= 5`, `64500:*`. Pure text to values; sets and conditions are compiled elsewhere. Errors say what
//! would be accepted.

use std::{fmt, net::IpAddr, ops::RangeInclusive, str::FromStr};

use crate::types::{Asn, Prefix};

/// Prefixes inside `prefix` whose length is in a range: a member of a prefix set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PrefixRange {
    /// What covers all of them.
    pub prefix: Prefix,
    /// Shortest length, at least that of `prefix`.
    pub min_len: u8,
    /// Longest length, at most 32 or 128.
    pub max_len: u8,
}

impl PrefixRange {
    /// Only this prefix.
    pub fn exact(prefix: Prefix) -> Self {
        Self { prefix, min_len: prefix.len(), max_len: prefix.len() }
    }

    /// Whether `prefix` is one of them.
    pub fn contains(&self, prefix: &Prefix) -> bool {
        self.prefix.covers(prefix) && (self.min_len..=self.max_len).contains(&prefix.len())
    }
}

impl FromStr for PrefixRange {
    type Err = String;
    /// Reads a prefix, alone or with `ge N`, `le N` or both behind it, or with `+` for itself and all inside it.
    fn from_str(s: &str) -> Result<Self, String> {
        let mut words = s.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        let (text, or_longer) = first.strip_suffix('+').map_or((first, false), |text| (text, true));
        let prefix: Prefix = text.parse().map_err(|error: crate::types::PrefixError| error.to_string())?;
        let longest = if prefix.is_v4() { 32 } else { 128 };
        let (mut ge, mut le) = (None, None);
        while let Some(word) = words.next() {
            let place = match word {
                "ge" if ge.is_none() && !or_longer => &mut ge,
                "le" if le.is_none() && !or_longer => &mut le,
                _ => {
                    return Err(format!(
                        "`{s}` is no prefix with a range: write `{prefix} ge 24 le 28` or `{prefix}+`"
                    ));
                }
            };
            let number = words.next().unwrap_or_default();
            *place = Some(number.parse::<u8>().map_err(|_| format!("`{word}` wants a length behind it in `{s}`"))?);
        }
        let min_len = ge.unwrap_or(prefix.len());
        let max_len = match (le, ge) {
            (Some(le), _) => le,
            (None, Some(_)) => longest,
            (None, None) if or_longer => longest,
            (None, None) => prefix.len(),
        };
        if min_len < prefix.len() {
            return Err(format!("impossible range in `{s}`: ge {min_len} is shorter than /{}", prefix.len()));
        }
        if max_len > longest {
            return Err(format!("impossible range in `{s}`: no prefix of this family is longer than /{longest}"));
        }
        if min_len > max_len {
            return Err(format!(
                "impossible range in `{s}`: nothing has at least {min_len} and at most {max_len} bits"
            ));
        }
        Ok(Self { prefix, min_len, max_len })
    }
}

impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = if self.prefix.is_v4() { 32 } else { 128 };
        match (self.min_len, self.max_len) {
            (min, max) if min == self.prefix.len() && max == min => self.prefix.fmt(f),
            (min, max) if min == self.prefix.len() && max == longest => write!(f, "{}+", self.prefix),
            (min, max) => write!(f, "{} ge {min} le {max}", self.prefix),
        }
    }
}

/// Numbers from `min` to `max`, both included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NumberRange {
    /// The smallest.
    pub min: u32,
    /// The largest.
    pub max: u32,
}

impl NumberRange {
    /// One number.
    pub fn one(number: u32) -> Self {
        Self { min: number, max: number }
    }

    /// Whether `number` is one of them.
    #[inline]
    pub fn contains(self, number: u32) -> bool {
        (self.min..=self.max).contains(&number)
    }
}

impl FromStr for NumberRange {
    type Err = String;
    /// Reads `5`, `3-10`, `>= 3` and `<= 10`.
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || format!("`{s}` is no range of numbers: write 5, \"3-10\", \">= 3\" or \"<= 10\"");
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
        let range = if let Some(text) = s.trim().strip_prefix(">=") {
            Self { min: number(text)?, max: u32::MAX }
        } else if let Some(text) = s.trim().strip_prefix("<=") {
            Self { min: 0, max: number(text)? }
        } else if let Some((min, max)) = s.split_once('-') {
            Self { min: number(min)?, max: number(max)? }
        } else {
            Self::one(number(s)?)
        };
        if range.min > range.max {
            return Err(format!("impossible range `{s}`: {} is above {}", range.min, range.max));
        }
        Ok(range)
    }
}

impl fmt::Display for NumberRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (min, max) if min == max => min.fmt(f),
            (min, u32::MAX) => write!(f, ">= {min}"),
            (0, max) => write!(f, "<= {max}"),
            (min, max) => write!(f, "{min}-{max}"),
        }
    }
}

/// A member of an AS set: one AS, or a range of them.
pub type AsnRange = NumberRange;

/// What an attribute of one number, such as MED, is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MaybeNumber {
    /// It is not there.
    Absent,
    /// It is there, with a number in the range.
    Within(NumberRange),
}

impl MaybeNumber {
    /// Whether `number` fits.
    #[inline]
    pub fn fits(self, number: Option<u32>) -> bool {
        match (self, number) {
            (Self::Absent, None) => true,
            (Self::Within(range), Some(number)) => range.contains(number),
            _ => false,
        }
    }
}

impl FromStr for MaybeNumber {
    type Err = String;
    /// Reads what a [`NumberRange`] reads, and `none`.
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "none" => Ok(Self::Absent),
            _ => s.parse().map(Self::Within).map_err(|error: String| format!("{error}, or \"none\" for its absence")),
        }
    }
}

impl fmt::Display for MaybeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("none"),
            Self::Within(range) => range.fmt(f),
        }
    }
}

/// A member of a neighbour set.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NeighborPattern {
    /// `192.0.2.1`.
    Address(IpAddr),
    /// `192.0.2.0/24`: whoever has an address inside it.
    Inside(Prefix),
    /// `edge-1`: its configured name.
    Name(String),
    /// `group:customers`: its neighbour group.
    Group(String),
    /// `AS64496`: its AS.
    Asn(Asn),
}

impl NeighborPattern {
    /// Whether `text` can be told from the name of a set: in a condition a bare word is one.
    pub fn is_form_of_one(text: &str) -> bool {
        text.contains([':', '/']) || !matches!(text.parse(), Ok(Self::Name(_)))
    }
}

impl FromStr for NeighborPattern {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        if let Ok(address) = s.parse() {
            return Ok(Self::Address(address));
        }
        if s.contains('/') {
            return s.parse().map(Self::Inside).map_err(|error: crate::types::PrefixError| error.to_string());
        }
        if let Some(group) = s.strip_prefix("group:") {
            return Ok(Self::Group(group.to_owned()));
        }
        if let Some(name) = s.strip_prefix("name:") {
            return Ok(Self::Name(name.to_owned()));
        }
        if let Some(digits) = s.strip_prefix("AS").filter(|digits| digits.starts_with(|c: char| c.is_ascii_digit())) {
            return digits.parse().map(|asn| Self::Asn(Asn(asn))).map_err(|_| format!("`{s}` is no AS number"));
        }
        if s.trim().is_empty() {
            return Err("an empty text names no neighbor".to_owned());
        }
        Ok(Self::Name(s.to_owned()))
    }
}

/// Reads a number or a range of `T` in a community: `5`, `3-10`, or `*` for all of `whole`.
pub(super) fn part<T: FromStr + Copy + PartialOrd>(text: &str, whole: RangeInclusive<T>) -> Option<(T, T)> {
    if text == "*" {
        return Some((*whole.start(), *whole.end()));
    }
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    let (min, max) = (min.parse().ok()?, max.parse().ok()?);
    (min <= max).then_some((min, max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_take_ranges_as_routers_write_them() {
        for (text, min_len, max_len) in [
            ("192.0.2.0/24", 24, 24),
            ("10.0.0.0/8 ge 9 le 24", 9, 24),
            ("10.0.0.0/8 le 24", 8, 24),
            ("10.0.0.0/8 ge 24", 24, 32),
            ("10.0.0.0/8  le 24   ge 9", 9, 24),
            ("2001:db8::/32+", 32, 128),
            ("0.0.0.0/0+", 0, 32),
            ("::/0 ge 128", 128, 128),
        ] {
            let range: PrefixRange = text.parse().unwrap();
            assert_eq!((range.min_len, range.max_len), (min_len, max_len), "{text}");
            assert_eq!(range.to_string().parse(), Ok(range), "{text}");
        }
        for (text, word) in [
            ("10.0.0.1/8", "did you mean 10.0.0.0/8"),
            ("10.0.0.0/8 ge 7", "shorter than /8"),
            ("10.0.0.0/8 le 33", "longer than /32"),
            ("10.0.0.0/8 ge 24 le 23", "impossible"),
            ("10.0.0.0/8 le 7", "impossible"),
            ("10.0.0.0/8+ ge 9", "write"),
            ("10.0.0.0/8 ge", "wants a length"),
            ("10.0.0.0/8 ge 9 ge 10", "write"),
            ("", "not a prefix"),
        ] {
            let error = text.parse::<PrefixRange>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn numbers_take_four_forms() {
        for (text, min, max) in [("5", 5, 5), ("3-10", 3, 10), (">= 3", 3, u32::MAX), ("<=10", 0, 10), ("3 - 4", 3, 4)]
        {
            assert_eq!(text.parse(), Ok(NumberRange { min, max }), "{text}");
            assert_eq!(text.parse(), Ok(MaybeNumber::Within(NumberRange { min, max })));
        }
        assert_eq!("none".parse(), Ok(MaybeNumber::Absent));
        for wrong in ["", "x", "10-3", "-5", "> 3", "4294967296"] {
            assert!(wrong.parse::<NumberRange>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_neighbor_is_told_by_address_prefix_as_group_or_name() {
        use NeighborPattern::{Address, Asn, Group, Inside, Name};
        for (text, pattern) in [
            ("192.0.2.1", Address("192.0.2.1".parse().unwrap())),
            ("2001:db8::1", Address("2001:db8::1".parse().unwrap())),
            ("192.0.2.0/24", Inside("192.0.2.0/24".parse().unwrap())),
            ("AS64496", Asn(crate::types::Asn(64496))),
            ("group:customers", Group("customers".into())),
            ("edge-1", Name("edge-1".into())),
            ("name:AS64496", Name("AS64496".into())),
        ] {
            assert_eq!(text.parse(), Ok(pattern), "{text}");
        }
        assert!("192.0.2.1/24".parse::<NeighborPattern>().is_err());
        assert!("AS64496x".parse::<NeighborPattern>().is_err());
    }
}
