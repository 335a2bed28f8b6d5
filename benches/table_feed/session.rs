//! One peer of the daemon under test: accepts its connection, shakes hands, then one thread reads and one writes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::Event;
use crate::receiver::Receiver;
use crate::steady::Waits;
use crate::tally::Tally;
use crate::wire;

/// Who this peer is.
#[derive(Clone, Copy)]
pub struct Local {
    pub address: Ipv4Addr,
    pub asn: u32,
    pub four_octet_as: bool,
}

/// Where the UPDATEs go that a peer receives.
#[derive(Clone)]
pub enum Sink {
    /// Nowhere: the peer only sends.
    None,
    /// Each route is compared with what it should be.
    Receiver(Arc<Mutex<Receiver>>),
    /// They are counted.
    Tally(Arc<Tally>),
}

/// What a peer is to write.
pub enum Outgoing {
    /// Octets; `Event::Sent` follows when the kernel has the last of them.
    Told(Arc<Vec<u8>>),
    /// Octets of a steady stream, with the moment at which they were due and who counts how long they waited.
    Steady(Vec<u8>, Instant, Arc<Waits>),
}

/// Handle of a running peer.
pub struct Session {
    outgoing: mpsc::Sender<Outgoing>,
}

impl Session {
    /// Waits for the daemon in a thread of its own; `routes` is where received UPDATEs go.
    pub fn start(local: Local, listener: TcpListener, routes: Sink, events: mpsc::Sender<Event>) -> Self {
        let (outgoing, queue) = mpsc::channel();
        std::thread::spawn(move || {
            let outcome = live(local, &listener, routes, queue, &events);
            let reason = outcome.err().unwrap_or_else(|| "closed".to_owned());
            let _ = events.send(Event::Down { peer: local.address, reason });
        });
        Session { outgoing }
    }

    /// Queues octets; `Event::Sent` follows when the kernel has the last of them.
    pub fn send(&self, octets: Arc<Vec<u8>>) {
        // A session that went down has already said so.
        let _ = self.outgoing.send(Outgoing::Told(octets));
    }

    /// The queue itself, for whoever sends from another thread.
    pub fn queue(&self) -> mpsc::Sender<Outgoing> {
        self.outgoing.clone()
    }
}

fn live(
    local: Local,
    listener: &TcpListener,
    routes: Sink,
    queue: mpsc::Receiver<Outgoing>,
    events: &mpsc::Sender<Event>,
) -> Result<(), String> {
    let text = |e: std::io::Error| e.to_string();
    let mut stream = handshake(local, listener)?;
    let writer = stream.try_clone().map_err(text)?;
    let sender = events.clone();
    std::thread::spawn(move || write_all(writer, &queue, &sender));
    let _ = events.send(Event::Established);
    let mut input = Input::default();
    loop {
        let (kind, message) = input.next(&mut stream)?;
        match kind {
            wire::UPDATE => match &routes {
                Sink::None => {}
                Sink::Tally(tally) => tally.take(message, local.four_octet_as)?,
                Sink::Receiver(routes) => {
                    let mut receiver = routes.lock().map_err(|_| "receiver failed")?;
                    if receiver.take(message)? {
                        drop(receiver);
                        let _ = events.send(Event::Complete);
                    }
                }
            },
            wire::NOTIFICATION => return Err(format!("NOTIFICATION {:?}", message.get(wire::HEADER_LEN..))),
            _ => {}
        }
    }
}

/// Accepts connections until one gets as far as the daemon's first KEEPALIVE: a daemon may drop one and come again.
fn handshake(local: Local, listener: &TcpListener) -> Result<TcpStream, String> {
    loop {
        let (mut stream, _) = listener.accept().map_err(|e| e.to_string())?;
        match shake_hands(local, &mut stream) {
            Ok(()) => return Ok(stream),
            Err(reason) => eprintln!("table_feed: {}: {reason}, waiting for the next connection", local.address),
        }
    }
}

fn shake_hands(local: Local, stream: &mut TcpStream) -> Result<(), String> {
    let text = |e: std::io::Error| e.to_string();
    stream.set_nodelay(true).map_err(text)?;
    let mut hello = wire::open(local.asn, local.address, local.four_octet_as);
    wire::message(wire::KEEPALIVE, &[], &mut hello);
    stream.write_all(&hello).map_err(text)?;
    // One message at a time and not an octet more, so that nothing is lost between here and the reader.
    loop {
        let mut message = vec![0; wire::HEADER_LEN];
        stream.read_exact(&mut message).map_err(text)?;
        let len = usize::from(u16::from_be_bytes([message[16], message[17]]));
        message.resize(len.max(wire::HEADER_LEN), 0);
        stream.read_exact(&mut message[wire::HEADER_LEN..]).map_err(text)?;
        match message[18] {
            wire::OPEN => {}
            wire::KEEPALIVE => return Ok(()),
            kind => return Err(format!("message type {kind} {:?}", &message[wire::HEADER_LEN..])),
        }
    }
}

/// Writes what is queued; a KEEPALIVE whenever nothing was for 20 seconds.
fn write_all(mut stream: TcpStream, queue: &mpsc::Receiver<Outgoing>, events: &mpsc::Sender<Event>) {
    let mut keepalive = Vec::new();
    wire::message(wire::KEEPALIVE, &[], &mut keepalive);
    loop {
        let outcome = match queue.recv_timeout(Duration::from_secs(20)) {
            Ok(Outgoing::Told(octets)) => stream.write_all(&octets).map(|()| drop(events.send(Event::Sent))),
            Ok(Outgoing::Steady(octets, due, waits)) => stream.write_all(&octets).map(|()| waits.note(due)),
            Err(mpsc::RecvTimeoutError::Timeout) => stream.write_all(&keepalive),
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        };
        // The reader sees the same end and reports it.
        if outcome.is_err() {
            return;
        }
    }
}

/// Receive buffer that hands out whole messages.
#[derive(Default)]
struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    fn next(&mut self, stream: &mut TcpStream) -> Result<(u8, &[u8]), String> {
        self.buffer.resize(256 * 1024, 0);
        let len = loop {
            if let Some((_, message)) = wire::first_message(&self.buffer[self.start..self.end])? {
                break message.len();
            }
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            match stream.read(&mut self.buffer[self.end..]).map_err(|e| e.to_string())? {
                0 => return Err("closed by the daemon".to_owned()),
                n => self.end += n,
            }
        };
        let message = &self.buffer[self.start..self.start + len];
        self.start += len;
        Ok((message[18], message))
    }
}
