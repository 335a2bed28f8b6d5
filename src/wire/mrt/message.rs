//! Records of a session as it went: BGP4MP (RFC 6396 §4.4, RFC 8050 §3) and the deprecated type 5 "BGP"
//! (RFC 6396 Appendix B.2): messages and changes of state.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Malformed, Record};
use crate::{
    types::{Asn, FamilySet, PeerKind},
    wire::{
        bgp::{
            Frame, HEADER_LEN as BGP_HEADER_LEN, MAX_EXTENDED_LEN, MessageType, begin_message, end_message, frame,
            update::{DecodeContext, Rules},
        },
        cursor::Reader,
        error::{Fault, NotificationCode},
    },
};

/// Which side of the recorded session a message came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// The peer sent it.
    Received,
    /// The recording side sent it: a LOCAL subtype (RFC 6396 §4.4.4, RFC 8050 §3).
    Sent,
}

/// A BGP message and the session it belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// Address of the peer; `0.0.0.0` where an early recorder left it out.
    pub peer_address: IpAddr,
    /// AS of the peer.
    pub peer_asn: Asn,
    /// AS of the recording side.
    pub local_asn: Asn,
    /// Who sent it.
    pub direction: Direction,
    /// Whether AS numbers inside have four octets.
    pub four_octet_as: bool,
    /// Whether NLRI carry path identifiers.
    pub add_path: bool,
    octets: Octets<'a>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Octets<'a> {
    /// Header included, as BGP4MP has it.
    Whole(&'a [u8]),
    /// Without the header, as type 5 has it.
    Body(MessageType, &'a [u8]),
}

impl Message<'_> {
    /// The message, header included; put together in `scratch` where the record has none.
    ///
    /// # Errors
    /// The header faults of RFC 4271 §6.1, and a message that is longer than its record.
    pub fn frame<'b>(&'b self, scratch: &'b mut Vec<u8>) -> Result<Frame<'b>, Fault> {
        let whole = match self.octets {
            Octets::Whole(octets) => octets,
            Octets::Body(kind, body) => {
                scratch.clear();
                let start = begin_message(scratch, kind);
                scratch.extend(body);
                end_message(scratch, start);
                scratch
            }
        };
        let cut_off = || {
            let what = "the record ends inside its BGP message";
            Fault::reset(NotificationCode::BAD_MESSAGE_LENGTH, whole.len(), "RFC 6396 §4.4.2", what)
        };
        frame(whole, MAX_EXTENDED_LEN)?.ok_or_else(cut_off)
    }

    /// What to know for decoding the UPDATE: what the record says, and rules that show what was recorded. The
    /// session counts as internal, because an archive keeps LOCAL_PREF and its like where somebody sent them.
    pub fn decode_context(&self) -> DecodeContext {
        let add_path = if self.add_path { FamilySet::ALL } else { FamilySet::EMPTY };
        DecodeContext { four_octet_as: self.four_octet_as, add_path, ..archive_context() }
    }

    /// Whether the lengths of the message come out even: it fills the record, and the fields of an UPDATE fit it.
    pub(super) fn is_consistent(&self) -> bool {
        let len = match self.octets {
            Octets::Whole(octets) => octets.len(),
            Octets::Body(_, body) => BGP_HEADER_LEN + body.len(),
        };
        let mut scratch = Vec::new();
        self.frame(&mut scratch).is_ok_and(|frame| {
            frame.message.len() == len && (frame.kind != MessageType::Update || update_fits(frame.body()))
        })
    }
}

/// What is common to all decoding of archives.
pub(super) fn archive_context() -> DecodeContext {
    DecodeContext { rules: Rules::lenient(), ..DecodeContext::new(PeerKind::Internal) }
}

fn update_fits(body: &[u8]) -> bool {
    let mut r = Reader::new(body);
    let mut field = || r.u16().and_then(|len| r.skip(len.into()));
    field().and_then(|()| field()).is_some()
}

/// A session changed its state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateChange {
    /// Address of the peer; `0.0.0.0` where an early recorder left it out.
    pub peer_address: IpAddr,
    /// AS of the peer.
    pub peer_asn: Asn,
    /// State before, 1 Idle to 6 Established (RFC 6396 §4.4.1); Quagga adds 7 and 8.
    pub old_state: u16,
    /// State after.
    pub new_state: u16,
}

/// What the deprecated type calls its messages (RFC 6396 Appendix B.2).
const BGP_UPDATE: u16 = 1;
const BGP_STATE_CHANGE: u16 = 3;
const BGP_OPEN: u16 = 5;
const BGP_NOTIFY: u16 = 6;
const BGP_KEEPALIVE: u16 = 7;

/// Decodes a record of type 5: peer AS and address, then a new state or local AS, local address and message body.
pub(super) fn decode_bgp(subtype: u16, mut r: Reader<'_>) -> Result<Record<'_>, Malformed> {
    let kind = match subtype {
        BGP_UPDATE => MessageType::Update,
        BGP_OPEN => MessageType::Open,
        BGP_NOTIFY => MessageType::Notification,
        BGP_KEEPALIVE => MessageType::Keepalive,
        BGP_STATE_CHANGE => return decode_bgp_state(r),
        _ => return Ok(Record::Other),
    };
    let session = read_ipv4_side(&mut r).and_then(|peer| Some((peer, read_ipv4_side(&mut r)?)));
    let Some(((peer_asn, peer_address), (local_asn, _))) = session else { return Err(ends_early(&r)) };
    Ok(Record::Message(Message {
        peer_address,
        peer_asn,
        local_asn,
        direction: Direction::Received,
        four_octet_as: false,
        add_path: false,
        octets: Octets::Body(kind, r.rest()),
    }))
}

fn decode_bgp_state(mut r: Reader<'_>) -> Result<Record<'_>, Malformed> {
    let fields = read_ipv4_side(&mut r).and_then(|peer| Some((peer, r.u16()?, r.u16()?)));
    let Some(((peer_asn, peer_address), old_state, new_state)) = fields else { return Err(ends_early(&r)) };
    Ok(Record::StateChange(StateChange { peer_address, peer_asn, old_state, new_state }))
}

/// Two-octet AS and IPv4 address.
fn read_ipv4_side(r: &mut Reader<'_>) -> Option<(Asn, IpAddr)> {
    Some((Asn(r.u16()?.into()), read_address(r, 1)?))
}

/// What the subtype of a BGP4MP record says (RFC 6396 §4.4, RFC 8050 §3).
struct Subtype {
    is_state_change: bool,
    four_octet_as: bool,
    direction: Direction,
    add_path: bool,
}

impl Subtype {
    fn from_code(code: u16) -> Option<Self> {
        use Direction::{Received, Sent};
        let (is_state_change, four_octet_as, direction, add_path) = match code {
            0 => (true, false, Received, false),
            1 => (false, false, Received, false),
            4 => (false, true, Received, false),
            5 => (true, true, Received, false),
            6 => (false, false, Sent, false),
            7 => (false, true, Sent, false),
            8 => (false, false, Received, true),
            9 => (false, true, Received, true),
            10 => (false, false, Sent, true),
            11 => (false, true, Sent, true),
            // 2 ENTRY and 3 SNAPSHOT are deprecated (RFC 6396 Appendix B.5) and were never seen.
            _ => return None,
        };
        Some(Self { is_state_change, four_octet_as, direction, add_path })
    }
}

/// Decodes a BGP4MP record, or a BGP4MP_ET one behind its microseconds.
pub(super) fn decode_bgp4mp(subtype: u16, mut r: Reader<'_>) -> Result<Record<'_>, Malformed> {
    let Some(subtype) = Subtype::from_code(subtype) else { return Ok(Record::Other) };
    let four_octet_as = subtype.four_octet_as;
    let asns = read_asn(&mut r, four_octet_as).and_then(|peer| Some((peer, read_asn(&mut r, four_octet_as)?)));
    let Some((peer_asn, local_asn)) = asns else { return Err(ends_early(&r)) };
    // Zebra left interface, family and addresses out of OPENs and state changes on connections it did not know yet:
    // the marker of the message, or the two states, follow at once.
    let is_short = if subtype.is_state_change { r.len() == 4 } else { r.rest().starts_with(&[0xff; 16]) };
    let peer_address = if is_short { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { read_addresses(&mut r)? };
    if subtype.is_state_change {
        let states = r.u16().and_then(|old| Some((old, r.u16()?)));
        let Some((old_state, new_state)) = states else { return Err(ends_early(&r)) };
        return Ok(Record::StateChange(StateChange { peer_address, peer_asn, old_state, new_state }));
    }
    Ok(Record::Message(Message {
        peer_address,
        peer_asn,
        local_asn,
        direction: subtype.direction,
        four_octet_as,
        add_path: subtype.add_path,
        octets: Octets::Whole(r.rest()),
    }))
}

pub(super) fn read_asn(r: &mut Reader<'_>, four_octet: bool) -> Option<Asn> {
    if four_octet { r.u32().map(Asn) } else { r.u16().map(|asn| Asn(asn.into())) }
}

/// An address of AFI 1 or 2.
pub(super) fn read_address(r: &mut Reader<'_>, afi: u16) -> Option<IpAddr> {
    match afi {
        1 => r.u32().map(|address| Ipv4Addr::from(address).into()),
        2 => r.u128().map(|address| Ipv6Addr::from(address).into()),
        _ => None,
    }
}

/// Interface, family, peer address, local address; gives the peer's.
fn read_addresses(r: &mut Reader<'_>) -> Result<IpAddr, Malformed> {
    let family = r.skip(2).and_then(|()| r.u16());
    let Some(afi) = family else { return Err(ends_early(r)) };
    if !matches!(afi, 1 | 2) {
        return Err(Malformed { at: r.position(), what: "the address family is neither IPv4 nor IPv6" });
    }
    let addresses = read_address(r, afi).and_then(|peer| read_address(r, afi).map(|_| peer));
    addresses.ok_or_else(|| ends_early(r))
}

pub(super) fn ends_early(r: &Reader<'_>) -> Malformed {
    Malformed { at: r.position(), what: "the record ends early" }
}
