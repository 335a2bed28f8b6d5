//! What a two-octet speaker said in two places, put together (RFC 6793 §4.2.3).

use super::walk::Walker;
use crate::wire::{
    bgp::{as_path, attribute::code},
    cursor::Reader,
};

/// AS_TRANS in two octets (RFC 6793 §9).
const AS_TRANS: u16 = 23456;

impl Walker<'_, '_> {
    /// AS_PATH and AGGREGATOR of a two-octet speaker get four-octet AS numbers, from AS4_PATH and AS4_AGGREGATOR
    /// where these say more (RFC 6793 §4.2.3).
    pub(super) fn widen_as_numbers(&mut self) {
        if self.ctx.four_octet_as {
            return;
        }
        let find = |this: &Self, code| {
            let slot = this.scratch.slots.iter().find(|slot| slot.code == code).copied();
            slot.map(|slot| this.value(slot))
        };
        let aggregator = find(self, code::AGGREGATOR);
        let as4_aggregator = find(self, code::AS4_AGGREGATOR);
        let asn = aggregator.and_then(|value| Reader::new(value).u16());
        // An AGGREGATOR that is not AS_TRANS was made behind the last four-octet speaker: what that one wrote is
        // about another aggregate.
        let outdated = as4_aggregator.is_some() && asn.is_some_and(|asn| asn != AS_TRANS);
        self.scratch.path.clear();
        if let Some(path) = find(self, code::AS_PATH) {
            let as4_path = find(self, code::AS4_PATH).filter(|_| !outdated);
            match as4_path {
                Some(as4_path) => as_path::merge_as4(path, as4_path, &mut self.scratch.path),
                None => as_path::widen(path, &mut self.scratch.path),
            }
        }
        if let Some([high, low, a, b, c, d]) = aggregator.and_then(|value| value.first_chunk::<6>().copied()) {
            let wide = as4_aggregator.filter(|_| !outdated).and_then(|value| value.first_chunk::<8>().copied());
            self.scratch.aggregator = wide.unwrap_or([0, 0, high, low, a, b, c, d]);
        }
        self.scratch.slots.retain(|slot| !matches!(slot.code, code::AS4_PATH | code::AS4_AGGREGATOR));
    }
}
