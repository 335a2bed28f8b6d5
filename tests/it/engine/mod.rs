//! The engine through its front door: what neighbours announce, what it makes of it, and what others are told.

use ribwatch::types::Family;

use crate::lab::Lab;

mod attributes;
mod events;
mod export;
mod families;
mod flowspec;
mod hold;
mod import;
mod queries;
mod restart;
mod sessions;
mod slow_readers;

const V4: Family = Family::IPV4_UNICAST;
const V6: Family = Family::IPV6_UNICAST;

/// Paths in Adj-RIB-In over all neighbours and families.
fn paths(lab: &Lab) -> u64 {
    lab.summary().tables.iter().map(|table| table.paths).sum()
}
