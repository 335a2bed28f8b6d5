//! SR policy candidate paths (RFC 9830 §2.1): distinguisher, colour, endpoint. What the policy is stands in the tunnel
//! encapsulation attribute, which is relayed as it came.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::wire::cursor::Reader;

/// The NLRI of a candidate path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SrPolicy {
    /// Makes candidate paths of one policy different.
    pub distinguisher: u32,
    /// Colour: the intent.
    pub color: u32,
    /// Where the policy ends.
    pub endpoint: IpAddr,
}

impl SrPolicy {
    /// Reads a key: length in bits, distinguisher, colour, endpoint.
    pub(super) fn decode(key: &[u8]) -> Option<Self> {
        let mut r = Reader::new(key);
        r.u8()?;
        let (distinguisher, color) = (r.u32()?, r.u32()?);
        let endpoint = match r.len() {
            4 => Ipv4Addr::from(r.u32()?).into(),
            16 => Ipv6Addr::from(r.u128()?).into(),
            _ => return None,
        };
        Some(Self { distinguisher, color, endpoint })
    }
}

impl fmt::Display for SrPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { distinguisher, color, endpoint } = self;
        write!(f, "[sr-policy {distinguisher} color {color} endpoint {endpoint}]")
    }
}
