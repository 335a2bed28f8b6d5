//! What waits to be written on one connection, in two lanes: control (OPEN, KEEPALIVE, NOTIFICATION,
//! ROUTE-REFRESH; what the session sends) overtakes table data (UPDATEs; what the engine sends), yet never cuts
//! into a message that was begun. Knows nothing of sockets.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes};

/// Chunks offered to one write; the kernel takes a few hundred kilobytes at a time anyway.
pub(super) const SLICES_PER_WRITE: usize = 16;

/// Two lanes of whole messages.
#[derive(Default)]
pub(super) struct Outbox {
    control: VecDeque<Bytes>,
    table: VecDeque<Bytes>,
    /// Octets that are left of the message that was begun last, which stand at the front of `begun`.
    begun_left: usize,
    begun: Lane,
    pending: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Lane {
    #[default]
    Control,
    Table,
}

impl Outbox {
    /// Adds whole messages that go before table data.
    pub(super) fn push_control(&mut self, messages: Bytes) {
        self.pending += messages.len();
        self.control.push_back(messages);
    }

    /// Adds whole messages of table data.
    pub(super) fn push_table(&mut self, messages: Bytes) {
        self.pending += messages.len();
        self.table.push_back(messages);
    }

    /// Octets that wait, both lanes.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// Drops table data that waits, but for the rest of a message that was begun.
    pub(super) fn drop_table(&mut self) {
        let rest = match (self.begun, self.table.pop_front()) {
            (Lane::Table, Some(mut front)) if self.begun_left > 0 => {
                front.truncate(self.begun_left);
                Some(front)
            }
            _ => None,
        };
        self.table.clear();
        self.table.extend(rest);
        self.pending = self.control.iter().chain(&self.table).map(Bytes::len).sum();
    }

    /// What to write next, in order; how much of it was written goes into [`Outbox::advance`].
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_PER_WRITE]) -> usize {
        let mut parts = Parts { slices, used: 0 };
        if self.begun_left > 0 && self.begun == Lane::Table && !self.control.is_empty() {
            // The begun message first, then what overtakes, and the rest of the table only with the next write.
            if let Some(rest) = self.table.front().and_then(|front| front.get(..self.begun_left)) {
                parts.add(rest);
            }
            self.control.iter().for_each(|chunk| parts.add(chunk));
        } else {
            self.control.iter().chain(&self.table).for_each(|chunk| parts.add(chunk));
        }
        parts.used
    }

    /// Notes that the first `written` octets of [`Outbox::slices`] left.
    pub(super) fn advance(&mut self, mut written: usize) {
        self.pending = self.pending.saturating_sub(written);
        while written > 0 {
            if self.begun_left == 0 {
                self.begun = if self.control.is_empty() { Lane::Table } else { Lane::Control };
                self.begun_left = self.lane().front().map_or(0, |front| message_len(front));
            }
            let left = self.begun_left;
            let lane = self.lane();
            let Some(front) = lane.front_mut() else { return };
            let step = written.min(left).min(front.len());
            front.advance(step);
            if front.is_empty() {
                lane.pop_front();
            }
            written -= step;
            self.begun_left -= step;
        }
    }

    fn lane(&mut self) -> &mut VecDeque<Bytes> {
        match self.begun {
            Lane::Control => &mut self.control,
            Lane::Table => &mut self.table,
        }
    }
}

/// Slices of one write while they are collected.
struct Parts<'p, 'a> {
    slices: &'p mut [IoSlice<'a>; SLICES_PER_WRITE],
    used: usize,
}

impl<'a> Parts<'_, 'a> {
    fn add(&mut self, octets: &'a [u8]) {
        if let Some(slot) = self.slices.get_mut(self.used) {
            *slot = IoSlice::new(octets);
            self.used += 1;
        }
    }
}

/// Length of the message at the front, from its header; at least 1 and at most all there is, so that an odd
/// header cannot stall the queue.
fn message_len(chunk: &[u8]) -> usize {
    let len = match chunk.get(16..18) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
        _ => chunk.len(),
    };
    len.clamp(1, chunk.len().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of `len` octets with the octet `mark` in its body.
    fn message(mark: u8, len: usize) -> Vec<u8> {
        let mut octets = vec![0xff; 16];
        octets.extend((len as u16).to_be_bytes());
        octets.resize(len, mark);
        octets
    }

    /// Writes `octets` of what is offered and returns them.
    fn write(outbox: &mut Outbox, octets: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
        let used = outbox.slices(&mut slices);
        let offered: Vec<u8> = slices.iter().take(used).flat_map(|slice| slice.iter().copied()).collect();
        let written = offered[..octets.min(offered.len())].to_vec();
        outbox.advance(written.len());
        written
    }

    #[test]
    fn a_keepalive_overtakes_a_table_dump_between_two_messages_and_never_inside_one() {
        for cut in 0..150 {
            let mut outbox = Outbox::default();
            let table: Vec<u8> = [message(1, 50), message(2, 60), message(3, 40)].concat();
            outbox.push_table(Bytes::from(table));
            let mut wire = write(&mut outbox, cut);
            outbox.push_control(Bytes::from(message(9, 19)));
            while outbox.pending() > 0 {
                // Seven at a time: the cut wanders through all messages.
                wire.extend(write(&mut outbox, 7));
            }
            let mut marks = Vec::new();
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                let (first, tail) = rest.split_at(message_len(rest));
                assert!(first[18..].iter().all(|octet| *octet == first[18]), "cut at {cut}: a message is torn");
                marks.push(first[18]);
                rest = tail;
            }
            let expected = match cut {
                0 => [9, 1, 2, 3],
                1..=50 => [1, 9, 2, 3],
                51..=110 => [1, 2, 9, 3],
                _ => [1, 2, 3, 9],
            };
            assert_eq!(marks, expected, "cut at {cut}");
        }
    }

    #[test]
    fn dropping_the_table_keeps_the_rest_of_the_message_that_was_begun() {
        let mut outbox = Outbox::default();
        outbox.push_table(Bytes::from([message(1, 50), message(2, 60)].concat()));
        outbox.push_table(Bytes::from(message(3, 40)));
        let mut wire = write(&mut outbox, 20);
        outbox.push_control(Bytes::from(message(9, 21)));
        outbox.drop_table();
        assert_eq!(outbox.pending(), 30 + 21);
        while outbox.pending() > 0 {
            wire.extend(write(&mut outbox, 1000));
        }
        assert_eq!(wire, [message(1, 50), message(9, 21)].concat());
    }

    #[test]
    fn dropping_the_table_between_messages_leaves_control_only() {
        let mut outbox = Outbox::default();
        outbox.push_table(Bytes::from([message(1, 50), message(2, 60)].concat()));
        assert_eq!(write(&mut outbox, 50).len(), 50);
        outbox.drop_table();
        assert_eq!(outbox.pending(), 0);
    }
}
