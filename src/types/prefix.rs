//! IP prefixes in canonical form: host bits are always zero.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// An IPv4 or IPv6 prefix. The bits behind the length are zero; order is address, then length, IPv4 first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prefix {
    /// An IPv4 prefix; length 0 to 32.
    V4 {
        /// Network address as a number, host bits zero.
        addr: u32,
        /// Prefix length.
        len: u8,
    },
    /// An IPv6 prefix; length 0 to 128.
    V6 {
        /// Network address as a number, host bits zero.
        addr: u128,
        /// Prefix length.
        len: u8,
    },
}

/// Why a text or a length is not a prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PrefixError(pub String);

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for PrefixError {}

fn mask4(len: u8) -> u32 {
    if len == 0 { 0 } else { u32::MAX << (32 - u32::from(len.min(32))) }
}

fn mask6(len: u8) -> u128 {
    if len == 0 { 0 } else { u128::MAX << (128 - u32::from(len.min(128))) }
}

impl Prefix {
    /// An IPv4 prefix; host bits are cleared and a length above 32 counts as 32.
    pub fn v4(addr: u32, len: u8) -> Self {
        let len = len.min(32);
        Self::V4 { addr: addr & mask4(len), len }
    }

    /// An IPv6 prefix; host bits are cleared and a length above 128 counts as 128.
    pub fn v6(addr: u128, len: u8) -> Self {
        let len = len.min(128);
        Self::V6 { addr: addr & mask6(len), len }
    }

    /// The prefix of `len` bits that holds `addr`.
    ///
    /// # Errors
    /// The length is longer than the address family allows.
    pub fn new(addr: IpAddr, len: u8) -> Result<Self, PrefixError> {
        match addr {
            IpAddr::V4(a) if len <= 32 => Ok(Self::v4(a.into(), len)),
            IpAddr::V6(a) if len <= 128 => Ok(Self::v6(a.into(), len)),
            _ => Err(PrefixError(format!("prefix length {len} is too long for {addr}"))),
        }
    }

    /// The prefix that holds exactly this address (/32 or /128).
    pub fn host(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(a) => Self::v4(a.into(), 32),
            IpAddr::V6(a) => Self::v6(a.into(), 128),
        }
    }

    /// Prefix length in bits.
    #[allow(clippy::len_without_is_empty, reason = "a prefix length is not a collection's length")]
    pub fn len(&self) -> u8 {
        match self {
            Self::V4 { len, .. } | Self::V6 { len, .. } => *len,
        }
    }

    /// The network address.
    pub fn addr(&self) -> IpAddr {
        match *self {
            Self::V4 { addr, .. } => Ipv4Addr::from(addr).into(),
            Self::V6 { addr, .. } => Ipv6Addr::from(addr).into(),
        }
    }

    /// Whether the address family is IPv4.
    pub fn is_v4(&self) -> bool {
        matches!(self, Self::V4 { .. })
    }

    /// Whether `other` is this prefix or lies inside it. False across address families.
    pub fn covers(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::V4 { addr, len }, Self::V4 { addr: inner, len: inner_len }) => {
                len <= inner_len && inner & mask4(len) == addr
            }
            (Self::V6 { addr, len }, Self::V6 { addr: inner, len: inner_len }) => {
                len <= inner_len && inner & mask6(len) == addr
            }
            _ => false,
        }
    }

    /// Whether `addr` lies inside this prefix.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.covers(&Self::host(addr))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.addr(), self.len()))
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;
    /// Reads `address/length`; host bits must be zero.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let wrong = || PrefixError(format!("`{s}` is not a prefix: write address/length, such as 192.0.2.0/24"));
        let (addr, len) = s.split_once('/').ok_or_else(wrong)?;
        let addr: IpAddr = addr.parse().map_err(|_| wrong())?;
        let len: u8 = len.parse().map_err(|_| wrong())?;
        let prefix = Self::new(addr, len)?;
        if prefix.addr() == addr {
            Ok(prefix)
        } else {
            Err(PrefixError(format!("`{s}` has bits set behind the prefix length: did you mean {prefix}?")))
        }
    }
}
