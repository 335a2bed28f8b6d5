//! Route target membership (RFC 4684 §4): which VPN routes a speaker wants, as a prefix over the origin AS and a route
//! target. What is asked for here filters nothing in this program; the routes are shown and relayed.

use std::fmt;

use super::vpn::hex;
use crate::{
    types::Asn,
    wire::{bgp::community::ExtCommunity, cursor::Reader},
};

/// A membership: everything, everything of an AS, or a route target that may be cut short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteTargetMembership {
    /// Length 0: all route targets.
    Default,
    /// An origin AS and the first bits of a route target.
    Target {
        /// The AS that wants the routes.
        origin: Asn,
        /// The octets of the route target that are there, the last one masked.
        target: Vec<u8>,
        /// Length of the whole in bits, 32 to 96.
        bits: u8,
    },
}

impl RouteTargetMembership {
    /// Reads a key: length in bits, then so many bits. A length of 1 to 31 is none (RFC 4684 §4).
    pub(super) fn decode(key: &[u8]) -> Option<Self> {
        let mut r = Reader::new(key);
        let bits = r.u8()?;
        if bits == 0 {
            return Some(Self::Default);
        }
        let origin = Asn(r.u32()?);
        Some(Self::Target { origin, target: r.take_rest().to_vec(), bits })
    }

    /// The route target, where all of it is there.
    pub fn route_target(&self) -> Option<ExtCommunity> {
        match self {
            Self::Target { target, bits: 96, .. } => Some(ExtCommunity(Reader::new(target).u64()?)),
            _ => None,
        }
    }
}

impl fmt::Display for RouteTargetMembership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.route_target()) {
            (Self::Default, _) => f.write_str("[rtc default]"),
            (Self::Target { origin, .. }, Some(target)) => write!(f, "[rtc {origin} {target}]"),
            (Self::Target { origin, target, bits }, None) => write!(f, "[rtc {origin} {}/{bits}]", hex(target)),
        }
    }
}
