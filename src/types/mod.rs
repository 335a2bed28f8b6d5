//! The nouns that every room shares. A value here knows itself and nothing else: no tables, no bytes of a
//! message, no clock. Imports nothing of ours.

mod asn;
mod family;
mod family_set;
mod prefix;
mod secret;

use std::{fmt, net::Ipv4Addr, str::FromStr, time::Duration};

pub use asn::Asn;
pub use family::Family;
pub use family_set::FamilySet;
pub use prefix::{Prefix, PrefixError};
pub use secret::Secret;

/// BGP Identifier (RFC 4271 §4.2, RFC 6286): four octets, unique within an AS, never zero on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RouterId(pub u32);

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from(self.0).fmt(f)
    }
}

impl fmt::Debug for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RouterId {
    type Err = std::net::AddrParseError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Ok(Self(s.parse::<Ipv4Addr>()?.into()))
    }
}

/// Path Identifier (RFC 7911 §3): chosen by the sender of a route, 0 where ADD-PATH is not in use.
pub type PathId = u32;

/// A configured or accepted neighbour for as long as the process runs; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(pub u32);

/// A point in time: microseconds since the Unix epoch, from a clock that never steps back.
///
/// Drivers read the clock; every room above `io` is handed the time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Whole seconds since the Unix epoch, as stored beside a path (good until 2106).
    pub fn secs(self) -> u32 {
        u32::try_from(self.0 / 1_000_000).unwrap_or(u32::MAX)
    }

    /// The start of second `secs` since the Unix epoch.
    pub fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Time since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, UTC: `2026-02-22T15:30:00Z`, with as many digits of a fraction as there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let (days, time) = (secs / 86_400, secs % 86_400);
        // Days are counted from 1 March of year 0, so that the leap day is the last of its year; 400 years have
        // 146,097 days, and five months from March on 153 (the calendar of ISO 8601).
        let since_march = days + 719_468;
        let (era, day) = (since_march / 146_097, since_march % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let date = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = era * 400 + year + next;
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
        write!(f, "{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}")?;
        match micros {
            0 => f.write_str("Z"),
            whole if whole % 1_000 == 0 => write!(f, ".{:03}Z", whole / 1_000),
            micros => write!(f, ".{micros:06}Z"),
        }
    }
}

impl FromStr for Timestamp {
    type Err = String;
    /// Reads RFC 3339: `2026-02-22T15:30:00Z`, with a fraction of up to six digits that count, or with `+01:00`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        read_rfc3339(s).ok_or_else(|| format!("`{s}` is no time: write one such as 2026-02-22T15:30:00Z"))
    }
}

fn read_rfc3339(text: &str) -> Option<Timestamp> {
    let number = |text: &str, digits: usize, range: std::ops::RangeInclusive<i64>| {
        let whole = text.len() == digits && text.bytes().all(|octet| octet.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| whole && range.contains(number))
    };
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-');
    let year = number(date.next()?, 4, 1970..=9999)?;
    let (month, day) = (number(date.next()?, 2, 1..=12)?, number(date.next()?, 2, 1..=31)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let (clock, sign, offset) = match time.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 1, "00:00"),
        None => {
            let at = time.rfind(['+', '-'])?;
            (time.get(..at)?, if time.get(at..=at)? == "-" { -1 } else { 1 }, time.get(at + 1..)?)
        }
    };
    let minutes = |text: &str| -> Option<i64> {
        let (hour, minute) = text.split_once(':')?;
        Some(number(hour, 2, 0..=23)? * 60 + number(minute, 2, 0..=59)?)
    };
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let (until_minute, second) = whole.rsplit_once(':')?;
    let micros = format!("{:0<6}", fraction.get(..fraction.len().min(6))?);
    if day > longest || !fraction.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    // As in `Display`: days from 1 March of year 0.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    // RFC 3339 §5.6 allows a leap second; it counts as the one after it.
    let secs = (days * 1440 + minutes(until_minute)? - sign * minutes(offset)?) * 60 + number(second, 2, 0..=60)?;
    Some(Timestamp(u64::try_from(secs * 1_000_000).ok()? + number(&micros, 6, 0..=999_999)?.unsigned_abs()))
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Which side of the AS boundary a neighbour stands on (RFC 4271 §1: EBGP, IBGP).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PeerKind {
    /// Another AS: EBGP.
    External,
    /// Our own AS: IBGP.
    Internal,
}

/// BGP Role (RFC 9234 §4.1) as sent in the capability; the value is the wire code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Role {
    /// The sender is the transit provider.
    Provider = 0,
    /// The sender is a route server.
    RouteServer = 1,
    /// The sender is a client of a route server.
    RouteServerClient = 2,
    /// The sender is the customer.
    Customer = 3,
    /// The sender is a lateral peer.
    Peer = 4,
}

impl Role {
    /// The role for a wire code; `None` for one that RFC 9234 does not define.
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Provider,
            1 => Self::RouteServer,
            2 => Self::RouteServerClient,
            3 => Self::Customer,
            4 => Self::Peer,
            _ => return None,
        })
    }

    /// The only role the other side may have (RFC 9234 §4.2, table 2).
    pub fn counterpart(self) -> Self {
        match self {
            Self::Provider => Self::Customer,
            Self::Customer => Self::Provider,
            Self::RouteServer => Self::RouteServerClient,
            Self::RouteServerClient => Self::RouteServer,
            Self::Peer => Self::Peer,
        }
    }

    /// The word used in configuration and output: `provider customer peer rs rs-client`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::RouteServer => "rs",
            Self::RouteServerClient => "rs-client",
            Self::Customer => "customer",
            Self::Peer => "peer",
        }
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        [Self::Provider, Self::RouteServer, Self::RouteServerClient, Self::Customer, Self::Peer]
            .into_iter()
            .find(|role| role.name() == s)
            .ok_or_else(|| format!("`{s}` is not a role: provider, customer, peer, rs or rs-client"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for secs in [0, 951_782_400, 1_709_251_199, 1_740_787_200, 4_102_444_800] {
            for micros in [0, 1, 250_000, 999_999] {
                let time = Timestamp(secs * 1_000_000 + micros);
                assert_eq!(time.to_string().parse(), Ok(time));
            }
        }
        let noon: Timestamp = "2026-02-22T12:00:00Z".parse().unwrap();
        for same in ["2026-02-22T13:00:00+01:00", "2026-02-22 06:30:00-05:30", "2026-02-22t12:00:00.0000000z"] {
            assert_eq!(same.parse(), Ok(noon), "{same}");
        }
        for wrong in [
            "",
            "noon",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-22T24:00:00Z",
            "2026-02-22",
            "2026-02-22T12:00:00",
            "1969-12-31T23:59:59Z",
            "2026-02-22T12:00:00.Z2",
            "2026-02-22T12:00:00+1:00",
        ] {
            assert!(wrong.parse::<Timestamp>().is_err(), "{wrong}");
        }
    }
}
