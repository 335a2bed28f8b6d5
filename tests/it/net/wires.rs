//! What is under way between two sides: octets cut into pieces, attempts that reach the far side or nobody, ends.

use std::{
    hash::Hash,
    net::{Ipv6Addr, SocketAddr},
};

use ribwatch::{
    session::{ConnId, Direction, Input},
    types::Timestamp,
    wire::bgp::{capability::Capability, open::Open},
};

use super::{Duration, End, Event, Net, Parcel, secs};

impl Net {
    /// The octets are cut into pieces at random, which arrive one after the other.
    pub(super) fn put_on_wire(&mut self, side: usize, conn: ConnId, octets: &[u8]) {
        (self.now, side, octets).hash(&mut self.messages);
        let Some((wire, at)) = self.sides[side].wires.get(&conn).copied() else { return };
        let altered = self.two_octet.contains(&(side / 2)).then(|| without_four_octet_as(octets));
        let mut rest = altered.as_deref().unwrap_or(octets);
        while !rest.is_empty() {
            let cut = 1 + self.random.below(rest.len() as u64) as usize;
            let (piece, more) = rest.split_at(cut);
            self.post(wire, 1 - at, Parcel::Octets(piece.to_vec()));
            rest = more;
        }
    }

    pub(super) fn hang_up(&mut self, side: usize, conn: ConnId) {
        if let Some((wire, at)) = self.sides[side].wires.remove(&conn) {
            self.wires[wire].ends[at] = None;
            self.wires[wire].parcels[at].clear();
            self.post(wire, 1 - at, Parcel::Closed("connection closed by the peer"));
        }
    }

    /// Up to 50 ms.
    pub(super) fn delay(&mut self) -> Duration {
        Duration::from_micros(100 + self.random.below(50_000))
    }

    pub(super) fn schedule(&mut self, at: Timestamp, event: Event) {
        self.events.insert((at, self.next_event), event);
        self.next_event += 1;
    }

    pub(super) fn post(&mut self, wire: usize, end: usize, parcel: Parcel) {
        let at = (self.now + self.delay()).max(self.wires[wire].last_arrival[end]);
        self.wires[wire].parcels[end].push_back(parcel);
        self.wires[wire].last_arrival[end] = at;
        self.schedule(at, Event::Arrive { wire, end });
    }

    pub(super) fn pass_event(&mut self) {
        let Some((_, event)) = self.events.pop_first() else { return };
        match event {
            Event::Knock { wire } => self.knock(wire),
            Event::Failed { side, conn, reason } => {
                if self.sides[side].wires.remove(&conn).is_some() {
                    self.give(End(side), Input::ConnectFailed { conn, reason: reason.into() });
                }
            }
            Event::Arrive { wire, end } => self.arrive(wire, end),
        }
    }

    fn knock(&mut self, wire: usize) {
        let Some((caller, conn)) = self.wires[wire].ends[0] else { return };
        if self.silent.contains(&(caller / 2)) {
            let at = self.now + secs(20);
            self.schedule(at, Event::Failed { side: caller, conn, reason: "connection timed out" });
            return;
        }
        let side = caller ^ 1;
        if self.dead.contains(&side) {
            let at = self.now + self.delay();
            self.schedule(at, Event::Failed { side: caller, conn, reason: "connection refused" });
            return;
        }
        let accepted = ConnId::inbound(self.sides[side].accepted);
        self.sides[side].accepted += 1;
        self.sides[side].wires.insert(accepted, (wire, 1));
        self.wires[wire].ends[1] = Some((side, accepted));
        self.post(wire, 0, Parcel::Connected);
        let (local, remote) = self.addresses(side);
        self.give(End(side), Input::Connected { conn: accepted, direction: Direction::Inbound, local, remote });
    }

    fn arrive(&mut self, wire: usize, end: usize) {
        let holder = self.wires[wire].ends[end];
        let link = self.wires[wire].ends.iter().flatten().next().map(|(side, _)| side / 2);
        if link.is_some_and(|link| self.silent.contains(&link)) {
            // TCP tries again for as long as it takes.
            let at = self.now + secs(1);
            self.schedule(at, Event::Arrive { wire, end });
            return;
        }
        let Some(parcel) = self.wires[wire].parcels[end].pop_front() else { return };
        let Some((side, conn)) = holder else {
            if !matches!(parcel, Parcel::Closed(_)) && self.wires[wire].ends[1 - end].is_some() {
                self.post(wire, 1 - end, Parcel::Closed("connection reset by the peer"));
            }
            return;
        };
        let (local, remote) = self.addresses(side);
        match parcel {
            Parcel::Connected => {
                self.give(End(side), Input::Connected { conn, direction: Direction::Outbound, local, remote });
            }
            Parcel::Octets(bytes) => self.give(End(side), Input::Received { conn, bytes: &bytes }),
            Parcel::Closed(reason) => {
                self.sides[side].wires.remove(&conn);
                self.wires[wire].ends[end] = None;
                let input = match self.sides[side].ledger.attempt == Some(conn) {
                    true => Input::ConnectFailed { conn, reason: "connection refused".into() },
                    false => Input::Closed { conn, reason: reason.into() },
                };
                self.give(End(side), input);
            }
        }
    }

    /// Local and remote address at a side.
    pub(super) fn addresses(&self, side: usize) -> (SocketAddr, SocketAddr) {
        let of = |side: usize| match self.over_ipv6.contains(&(side / 2)) {
            true => SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, side as u16), 179)),
            false => SocketAddr::from(([192, 0, 2, u8::try_from(side & 0xff).unwrap_or(0)], 179)),
        };
        (of(side), of(side ^ 1))
    }
}

/// The same messages, their OPENs without that capability.
fn without_four_octet_as(octets: &[u8]) -> Vec<u8> {
    let (mut rest, mut out) = (octets, Vec::new());
    while !rest.is_empty() {
        let (message, more) = rest.split_at(usize::from(u16::from_be_bytes([rest[16], rest[17]])));
        match Open::decode(message) {
            Ok(mut open) if message[18] == 1 => {
                open.capabilities.retain(|capability| !matches!(capability, Capability::FourOctetAs(_)));
                out.extend(open.encode());
            }
            _ => out.extend_from_slice(message),
        }
        rest = more;
    }
    out
}
