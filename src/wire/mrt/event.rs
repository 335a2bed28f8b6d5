//! What an archive tells, record by record: routes of a table, routes announced and withdrawn, sessions that change
//! their state. BGP inside goes through the decoder of sessions, with rules that show what was recorded.

use std::{fmt, net::IpAddr};

use super::{
    Direction, Malformed, Message, PeerIndex, RawRecord, Record, Rib, RibPeer, StateChange, message::archive_context,
};
use crate::{
    types::Asn,
    wire::{
        bgp::{
            MessageType,
            batch::{UpdateBatch, UpdateItem},
            update::{DecodeContext, Outcome, decode_rib_entry, decode_update},
        },
        error::Fault,
    },
};

/// Routes of one record that share peer and attributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Routes<'a> {
    /// Address of the peer.
    pub peer_address: IpAddr,
    /// AS of the peer.
    pub peer_asn: Asn,
    /// Whether the record is one with path identifiers.
    pub add_path: bool,
    /// Who sent the UPDATE; of a table always received.
    pub direction: Direction,
    /// Of a table: when the router got the route, in seconds since the Unix epoch.
    pub originated_secs: Option<u32>,
    /// The routes.
    pub item: UpdateItem<'a>,
}

/// What a record tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A route of a table.
    Table(Routes<'a>),
    /// Routes announced or withdrawn, or an End-of-RIB.
    Update(Routes<'a>),
    /// A session changed its state.
    StateChange(&'a StateChange),
}

/// Why a record tells less than it should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordFault {
    /// Its body contradicts its type.
    Malformed(Malformed),
    /// The BGP inside is in error: the worst fault.
    Bgp(Fault),
    /// A route of a peer that no PEER_INDEX_TABLE before names (RFC 6396 §4.3.1).
    UnknownPeer(u16),
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Bgp(fault) => write!(f, "{} at octet {} of the message ({})", fault.what, fault.at, fault.rfc),
            Self::UnknownPeer(index) => write!(f, "peer {index} is in no peer index table before (RFC 6396 §4.3.1)"),
        }
    }
}

impl std::error::Error for RecordFault {}

/// Interprets the records of one file in their order.
#[derive(Debug, Default)]
pub struct Interpreter {
    peers: Option<PeerIndex>,
    batch: UpdateBatch,
    faults: Vec<Fault>,
    scratch: Vec<u8>,
}

impl Interpreter {
    /// One that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last peer index table.
    pub fn peers(&self) -> Option<&PeerIndex> {
        self.peers.as_ref()
    }

    /// Hands what `record` tells to `on`, in order.
    ///
    /// # Errors
    /// The first fault that costs routes: a malformed record, routes treated as withdrawn, an UPDATE that would
    /// have ended its session. What can be told is told all the same. Discarded attributes are no fault here.
    pub fn interpret(&mut self, record: &RawRecord<'_>, mut on: impl FnMut(Event<'_>)) -> Result<(), RecordFault> {
        match record.decode().map_err(RecordFault::Malformed)? {
            Record::PeerIndex(peers) => self.peers = Some(peers),
            Record::Rib(rib) => return self.interpret_rib(&rib, &mut on),
            Record::Message(message) => return self.interpret_message(&message, &mut on),
            Record::StateChange(change) => on(Event::StateChange(&change)),
            Record::Other => {}
        }
        Ok(())
    }

    fn interpret_rib(&mut self, rib: &Rib<'_>, on: &mut impl FnMut(Event<'_>)) -> Result<(), RecordFault> {
        let context = DecodeContext { four_octet_as: rib.four_octet_as, ..archive_context() };
        let mut worst = None;
        for entry in rib.entries() {
            let entry = entry.map_err(RecordFault::Malformed)?;
            let peer = match entry.peer {
                RibPeer::Given(peer) => peer,
                RibPeer::Index(index) => match self.peers.as_ref().and_then(|peers| peers.get(index)) {
                    Some(peer) => *peer,
                    None => {
                        worst.get_or_insert(RecordFault::UnknownPeer(index));
                        continue;
                    }
                },
            };
            self.batch.clear();
            self.faults.clear();
            let route = (rib.family, rib.add_path.then_some(entry.path_id), rib.nlri());
            let result = decode_rib_entry(route, entry.attributes, &context, &mut self.batch, &mut self.faults);
            if let Err(fault) = self.judge(result) {
                worst.get_or_insert(fault);
            }
            for item in self.batch.iter() {
                on(Event::Table(Routes {
                    peer_address: peer.address,
                    peer_asn: peer.asn,
                    add_path: rib.add_path,
                    direction: Direction::Received,
                    originated_secs: Some(entry.originated_secs),
                    item,
                }));
            }
        }
        worst.map_or(Ok(()), Err)
    }

    fn interpret_message(&mut self, message: &Message<'_>, on: &mut impl FnMut(Event<'_>)) -> Result<(), RecordFault> {
        let frame = message.frame(&mut self.scratch).map_err(RecordFault::Bgp)?;
        if frame.kind != MessageType::Update {
            return Ok(());
        }
        self.batch.clear();
        self.faults.clear();
        let result = decode_update(frame.message, &message.decode_context(), &mut self.batch, &mut self.faults);
        let verdict = self.judge(result);
        for item in self.batch.iter() {
            on(Event::Update(Routes {
                peer_address: message.peer_address,
                peer_asn: message.peer_asn,
                add_path: message.add_path,
                direction: message.direction,
                originated_secs: None,
                item,
            }));
        }
        verdict
    }

    /// Whether a decoder's result costs routes, and the fault that decided it.
    fn judge(&self, result: Result<Outcome, Fault>) -> Result<(), RecordFault> {
        match result {
            Ok(Outcome::Ok | Outcome::Discard) => Ok(()),
            Ok(Outcome::Withdraw) => {
                let worst = self.faults.iter().max_by_key(|fault| fault.action);
                worst.map_or(Ok(()), |fault| Err(RecordFault::Bgp(fault.clone())))
            }
            Err(fault) => Err(RecordFault::Bgp(fault)),
        }
    }
}
