//! The origin validation state extended community (RFC 8097): one octet that says inside an AS what a router found out
//! about the origin of a route.
//!
//! # What the RFC asks
//! 1. §2: type 0x43, sub-type 0x00, five reserved octets that are ignored, and the state: 0 valid, 1 not found, 2 invalid.
//! 2. §2: of several the one with the greatest value counts; a value above 2 is discarded and logged.
//! 3. §2: by default none is taken from an EBGP neighbour, and none is sent to one.
//!
//! # What we do
//! The octets are read and written here. Who is believed is decided in `engine::import`, who is told in
//! `engine::transform`.

use super::attribute::{AttrSet, code};

/// Type and sub-type (§2).
const KIND: [u8; 2] = [0x43, 0x00];

/// The largest value with a meaning (§2).
const VALUE_MAX: u8 = 2;

/// What an attribute set says of the validation state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stated {
    /// Nothing.
    Nothing,
    /// A state, as its value on the wire: 0 valid, 1 not found, 2 invalid.
    Value(u8),
    /// A value without a meaning, which is to be discarded.
    Erroneous(u8),
}

/// Whether the octets of an extended community are one of this kind.
pub fn is_state(community: &[u8]) -> bool {
    community.starts_with(&KIND)
}

/// What a set says.
pub fn stated(set: AttrSet<'_>) -> Stated {
    stated_in(set.get(code::EXT_COMMUNITIES).unwrap_or_default())
}

/// What the value of an EXTENDED COMMUNITIES attribute says.
pub fn stated_in(communities: &[u8]) -> Stated {
    let states = communities.chunks_exact(8).filter(|community| is_state(community));
    match states.filter_map(|community| community.last().copied()).max() {
        None => Stated::Nothing,
        Some(value) if value <= VALUE_MAX => Stated::Value(value),
        Some(value) => Stated::Erroneous(value),
    }
}

/// The octets of a community with this value.
pub fn encode(value: u8) -> [u8; 8] {
    [KIND[0], KIND[1], 0, 0, 0, 0, 0, value]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::bgp::{attribute::AttrSetBuilder, community::ExtCommunity};

    #[test]
    fn a_set_states_what_section_2_says() {
        let (valid, not_found, invalid) = (0x4300 << 48, 0x4300 << 48 | 1, 0x4300 << 48 | 2);
        let rows: [(&[u64], Stated, &str); 8] = [
            (&[], Stated::Nothing, "no community at all"),
            (&[0x0300 << 48 | 2, 0x4301 << 48 | 2], Stated::Nothing, "others of a type near it"),
            (&[valid], Stated::Value(0), "valid"),
            (&[not_found], Stated::Value(1), "not found"),
            (&[invalid], Stated::Value(2), "invalid"),
            (&[invalid | 0xff_ffff_ff00], Stated::Value(2), "reserved octets are ignored"),
            (&[not_found, invalid, valid], Stated::Value(2), "the greatest counts"),
            (&[valid, 0x4300 << 48 | 3], Stated::Erroneous(3), "a value above 2 is an error, and it is the greatest"),
        ];
        for (communities, expected, why) in rows {
            let communities: Vec<ExtCommunity> = communities.iter().copied().map(ExtCommunity).collect();
            let octets = AttrSetBuilder::new().ext_communities(&communities).finish();
            assert_eq!(stated(AttrSet::new(&octets)), expected, "{why}");
        }
        for value in 0..=2 {
            assert_eq!(stated_in(&encode(value)), Stated::Value(value));
        }
    }
}
