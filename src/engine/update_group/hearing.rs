//! Who hears a row where several paths of a prefix are sent to clients of a route server.
//!
//! RFC 7947 §2.3: what a client is sent is chosen among the paths of others. Where only some are sent (the best few, or one
//! of each neighbouring AS), a client's own path takes nobody's place in its own choice: it hears one path more than
//! everybody else, and where MEDs say so it does not hear one that the others do.

use super::super::sessions::Slot;

/// Who hears a row, where that is not everybody but its source. Slots ascend, and the source is not among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hearing {
    /// These members alone.
    Only(Vec<Slot>),
    /// Everybody but the source and these.
    Without(Vec<Slot>),
}

impl Hearing {
    /// Whether `slot`, which is not the row's source, hears it.
    pub fn hears(&self, slot: Slot) -> bool {
        match self {
            Self::Only(those) => those.contains(&slot),
            Self::Without(those) => !those.contains(&slot),
        }
    }
}

/// Whether `slot` hears a row of `source` that says `hearing` of itself.
pub fn hears(slot: Slot, source: Slot, hearing: Option<&Hearing>) -> bool {
    slot != source && hearing.is_none_or(|hearing| hearing.hears(slot))
}
