//! From octets to messages: whole messages are taken from what TCP gave, and the beginning of one whose end has not
//! arrived is kept (RFC 4271 §4.1). What a message does is in the folder's main file.

use std::mem;

use super::{BgpFsm, Progress, Turn};
use crate::wire::{
    bgp::{HEADER_LEN, MAX_LEN, batch::UpdateBatch, frame},
    cursor::Reader,
};

/// A buffer for a partial message that grew beyond this is given back once it is empty.
const BUFFER_KEPT: usize = MAX_LEN;

impl BgpFsm {
    /// Handles whole messages from the front of `bytes` until the octets are used up or something happened that
    /// the neighbour must act on; `bytes` is what is left then. Octets behind the end of the connection are not
    /// looked at.
    pub(in crate::session) fn receive(
        &mut self,
        turn: &mut Turn<'_>,
        bytes: &mut &[u8],
        updates: &mut UpdateBatch,
    ) -> Progress {
        if !self.partial.is_empty()
            && let Some(progress) = self.finish_partial(turn, bytes, updates)
        {
            return progress;
        }
        loop {
            let message = match frame(bytes, self.receive_len_max) {
                Ok(Some(message)) => message,
                Ok(None) => {
                    self.partial.extend_from_slice(bytes);
                    *bytes = &[];
                    return Progress::Drained;
                }
                Err(fault) => return self.fail(turn, &fault),
            };
            *bytes = bytes.get(message.message.len()..).unwrap_or_default();
            if let Some(progress) = self.on_message(turn, message, updates) {
                return progress;
            }
        }
    }

    /// Completes the message that `partial` begins with just as many octets as it lacks, so that nothing is
    /// copied twice. `None`: that message is done, go on with `bytes`.
    fn finish_partial(
        &mut self,
        turn: &mut Turn<'_>,
        bytes: &mut &[u8],
        updates: &mut UpdateBatch,
    ) -> Option<Progress> {
        let mut partial = mem::take(&mut self.partial);
        // Twice: to the end of the header, which tells the length, then to the end of the message.
        for _ in 0..2 {
            let wanted = message_len(&partial).unwrap_or(HEADER_LEN).saturating_sub(partial.len());
            let (more, rest) = bytes.split_at(wanted.min(bytes.len()));
            partial.extend_from_slice(more);
            *bytes = rest;
        }
        let progress = match frame(&partial, self.receive_len_max) {
            Err(fault) => return Some(self.fail(turn, &fault)),
            Ok(None) => {
                self.partial = partial;
                return Some(Progress::Drained);
            }
            Ok(Some(message)) => self.on_message(turn, message, updates),
        };
        if partial.capacity() <= BUFFER_KEPT {
            partial.clear();
            self.partial = partial;
        }
        progress
    }
}

/// The length field of a message of which at least the header is there.
fn message_len(partial: &[u8]) -> Option<usize> {
    let mut r = Reader::new(partial);
    r.skip(HEADER_LEN - 3)?;
    let len = usize::from(r.u16()?);
    r.u8()?;
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        session::{
            ConnId, Direction, PeerSettings, RemoteAsn,
            bgp_fsm::Manner,
            counters::SessionCounters,
            negotiate::{Endpoints, Tone},
        },
        types::{Asn, RouterId, Timestamp},
        wire::bgp::{KEEPALIVE, open::Open},
    };

    #[test]
    fn a_buffer_that_grew_for_a_long_message_is_given_back() {
        let settings = PeerSettings::new(Asn(64496), RouterId(1), RemoteAsn::Any);
        let (mut counters, mut out) = (SessionCounters::default(), Vec::new());
        let mut turn = Turn { now: Timestamp(0), settings: &settings, counters: &mut counters, out: &mut out };
        let ends = Endpoints { local: ([192, 0, 2, 2], 179).into(), remote: ([192, 0, 2, 1], 179).into() };
        let manner = Manner { tone: Tone::default(), speaks_first: true };
        let mut fsm = BgpFsm::new(&mut turn, ConnId(0), Direction::Outbound, ends, manner, 1);
        let mut updates = UpdateBatch::default();
        let open = Open::new(Asn(64497), 90, RouterId(2), vec![]).encode();
        assert!(matches!(fsm.receive(&mut turn, &mut open.as_slice(), &mut updates), Progress::OpenAccepted));
        fsm.confirm(&mut turn);
        assert!(matches!(fsm.receive(&mut turn, &mut KEEPALIVE.as_slice(), &mut updates), Progress::Up(_)));

        // An UPDATE of 60,000 octets: one withdrawn route after the other.
        let withdrawn = [32, 192, 0, 2, 1].repeat(11_995);
        let mut long = vec![0xff; 16];
        long.extend(u16::try_from(23 + withdrawn.len()).unwrap_or(0).to_be_bytes());
        long.push(2);
        long.extend(u16::try_from(withdrawn.len()).unwrap_or(0).to_be_bytes());
        long.extend(withdrawn);
        long.extend([0, 0]);
        for piece in long.chunks(7000) {
            assert!(matches!(fsm.receive(&mut turn, &mut { piece }, &mut updates), Progress::Drained));
        }
        assert_eq!((updates.len(), fsm.partial.len(), fsm.partial.capacity()), (1, 0, 0));
        // A short rest is worth keeping.
        for piece in [&KEEPALIVE[..5], &KEEPALIVE[5..]] {
            assert!(matches!(fsm.receive(&mut turn, &mut { piece }, &mut updates), Progress::Drained));
        }
        assert!((1..=BUFFER_KEPT).contains(&fsm.partial.capacity()));
    }
}
