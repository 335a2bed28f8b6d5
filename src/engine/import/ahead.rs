//! What warming up learned of the next routes of a batch, kept until they are handled: who has found an id once need not
//! search for it again.

use crate::rib::PrefixId;

/// Routes whose places in the tables are asked of the memory at the same time (see `Table::warm`).
pub const TOGETHER: usize = 16;

/// The ids of the next routes, as far as they had one when they were warmed up. A hint: `Table::find_known` says whether it
/// holds still, so one that is about another route does no harm.
#[derive(Debug, Default)]
pub struct Ahead {
    known: [Option<PrefixId>; TOGETHER],
    count: usize,
    next: usize,
}

impl Ahead {
    /// Forgets everything.
    pub fn clear(&mut self) {
        (self.count, self.next) = (0, 0);
    }

    /// Room for what is known of the next `count` routes, to be written in their order.
    pub fn fill(&mut self, count: usize) -> &mut [Option<PrefixId>] {
        (self.count, self.next) = (count.min(TOGETHER), 0);
        &mut self.known[..self.count]
    }

    /// What is known of the route `at` places behind the first one.
    pub fn known(&self, at: usize) -> Option<PrefixId> {
        self.known[..self.count].get(at).copied().flatten()
    }

    /// How many of the next routes were warmed up.
    pub fn left(&self) -> usize {
        self.count.saturating_sub(self.next)
    }

    /// The id of the next route, if it had one.
    #[inline]
    pub fn take_next(&mut self) -> Option<PrefixId> {
        let known = self.known[..self.count].get(self.next).copied().flatten();
        self.next += 1;
        known
    }
}
