//! UPDATE (RFC 4271 §4.3, RFC 4760): `decode` turns one into items of a batch, `encode` packs routes into
//! messages. Here: what both need to know of the session, and what the operator may choose.
//!
//! # What the RFC asks
//! 1. RFC 7606: every fault costs as little as it can: the attribute, the routes, or the session.
//! 2. RFC 6793: AS numbers have four octets inside, whatever the session speaks.
//! 3. RFC 7911, RFC 8950, RFC 8277: path identifiers, next hops of the other family, labels.
//!
//! # What we do
//! 1. `attribute::table` says what is checked and what a fault costs; `decode` takes the message in order, `walk`
//!    its attributes, `ledger` lets the strongest fault win (§3 h).
//! 2. What leaves the decoder is canonical (see `attribute`): nobody behind it knows of two-octet sessions.
//! 3. NLRI are checked per family in `nlri` and handed on as octets.

mod decode;
mod encode;
mod ledger;
mod mp;
#[cfg(test)]
mod tests;
mod two_octet;
mod walk;

pub use decode::{Outcome, attribute_field, canonical_attributes, decode_rib_entry, decode_update};
pub use encode::{EncodeContext, Packed, UpdateWriter, end_of_rib};
pub use walk::Scratch;

use super::as_path::AsWidth;
use crate::{
    types::{Asn, FamilySet, PeerKind},
    wire::error::ErrorAction,
};

/// What was negotiated, as far as decoding cares, and the rules for this neighbour. Cheap to copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecodeContext {
    /// AS numbers in AS_PATH and AGGREGATOR have four octets (RFC 6793 §4.1).
    pub four_octet_as: bool,
    /// Another AS or our own.
    pub kind: PeerKind,
    /// Families in which the neighbour sends path identifiers (RFC 7911).
    pub add_path: FamilySet,
    /// Families negotiated; routes of others are left out and counted (RFC 4760 §8).
    pub families: FamilySet,
    /// What the operator chose.
    pub rules: Rules,
}

impl DecodeContext {
    /// A session with four-octet AS numbers, no path identifiers, every family and the default rules.
    pub fn new(kind: PeerKind) -> Self {
        Self {
            four_octet_as: true,
            kind,
            add_path: FamilySet::EMPTY,
            families: FamilySet::ALL,
            rules: Rules::default(),
        }
    }

    pub(super) fn as_width(&self) -> AsWidth {
        if self.four_octet_as { AsWidth::Four } else { AsWidth::Two }
    }
}

/// What to do with AS_SET and AS_CONFED_SET in a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AsSets {
    /// Taken as they are.
    #[default]
    Accept,
    /// RFC 9774 §3: the route is treated as withdrawn.
    TreatAsWithdraw,
}

/// Where RFCs leave a choice, or where a neighbour needs an exception. The defaults suit a neighbour of whom
/// nothing special is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Another AS must put this AS number first in the path (RFC 4271 §6.3, RFC 7606 §7.2). `None`: not checked,
    /// as route servers need (RFC 7947 §2.2.2.1).
    pub first_as: Option<Asn>,
    /// Default: accepted. RFC 9774 tells speakers to drop such routes; a monitor that did so would not show what
    /// its neighbour really announces, so this waits for the operator's word.
    pub as_sets: AsSets,
    /// AS number 0 in paths and aggregators is taken, against RFC 7607 §2. Default: no.
    pub as_zero: bool,
    /// The neighbour is another member AS of our confederation (RFC 5065), so its confederation segments are
    /// right. Default: no.
    pub confederation: bool,
    /// Next hops in 127/8 and ::1 are taken: for laboratories on one machine. Default: no.
    pub loopback_next_hop: bool,
    /// IPv6 routes may have an IPv4 next hop. RFC 2545 §3 does not know that, and RFC 8950 §4 leaves it out of the
    /// Extended Next Hop capability; there are speakers that negotiate and send it. Default: no.
    pub ipv4_next_hop_for_ipv6: bool,
    /// AIGP is taken from another AS (RFC 7311 §3.3). Default: no.
    pub aigp_external: bool,
    /// Prefix-SID is taken from another AS (RFC 8669 §4). Default: no.
    pub prefix_sid_external: bool,
    /// What an attribute costs that claims to be well-known and is known to nobody. RFC 4271 §6.3 resets the
    /// session (3/2), and RFC 7606 left that clause as it was; by default we give up the routes only, because a
    /// reset helps nobody that the withdrawal does not help, and it would come again with every retry.
    pub unknown_well_known: ErrorAction,
    /// Attributes to drop from what this neighbour sends. ORIGIN, AS_PATH, NEXT_HOP and the MP attributes cannot
    /// be dropped: their codes here do nothing.
    pub discard: CodeSet,
    /// Attributes whose presence withdraws the routes.
    pub withdraw: CodeSet,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            first_as: None,
            as_sets: AsSets::Accept,
            as_zero: false,
            confederation: false,
            loopback_next_hop: false,
            ipv4_next_hop_for_ipv6: false,
            aigp_external: false,
            prefix_sid_external: false,
            unknown_well_known: ErrorAction::TreatAsWithdraw,
            discard: CodeSet::EMPTY,
            withdraw: CodeSet::EMPTY,
        }
    }
}

impl Rules {
    /// To the letter of the RFCs where the default is milder: what an inspector wants to be told.
    pub fn strict() -> Self {
        Self { unknown_well_known: ErrorAction::SessionReset, ..Self::default() }
    }

    /// Takes whatever can be read: for archives, where nobody can be asked to do better and what was recorded
    /// is to be shown.
    pub fn lenient() -> Self {
        Self {
            as_zero: true,
            confederation: true,
            loopback_next_hop: true,
            ipv4_next_hop_for_ipv6: true,
            aigp_external: true,
            prefix_sid_external: true,
            ..Self::default()
        }
    }
}

/// A set of attribute type codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CodeSet {
    low: u128,
    high: u128,
}

impl CodeSet {
    /// No code.
    pub const EMPTY: Self = Self { low: 0, high: 0 };

    /// Whether `code` is in the set.
    #[inline]
    pub fn contains(&self, code: u8) -> bool {
        let half = if code < 128 { self.low } else { self.high };
        half >> (code % 128) & 1 == 1
    }

    /// Adds `code`; false when it was there already.
    #[inline]
    pub fn insert(&mut self, code: u8) -> bool {
        let half = if code < 128 { &mut self.low } else { &mut self.high };
        let bit = 1 << (code % 128);
        let new = *half & bit == 0;
        *half |= bit;
        new
    }

    /// Takes `code` out.
    #[inline]
    pub fn remove(&mut self, code: u8) {
        let half = if code < 128 { &mut self.low } else { &mut self.high };
        *half &= !(1 << (code % 128));
    }

    /// Whether no code is in the set.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.low | self.high == 0
    }
}

impl FromIterator<u8> for CodeSet {
    fn from_iter<T: IntoIterator<Item = u8>>(codes: T) -> Self {
        let mut set = Self::EMPTY;
        for code in codes {
            set.insert(code);
        }
        set
    }
}
