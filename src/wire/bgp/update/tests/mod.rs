//! UPDATE both ways: outcomes clause by clause, what a message comes to, packing, and properties over generated
//! messages.

mod encoding;
mod meaning;
mod outcomes;
mod properties;

use super::*;
use crate::{
    types::{Family, PeerKind},
    wire::{
        bgp::{
            attribute::AttrSet,
            batch::{ItemKind, UpdateBatch},
            nlri,
        },
        error::{ErrorAction, Fault},
    },
};

/// ORIGIN IGP.
const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
/// AS_PATH 65001, four octets.
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe9];
/// NEXT_HOP 192.0.2.1.
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
/// 198.51.100.0/24.
const ROUTE: &[u8] = &[24, 198, 51, 100];

/// An UPDATE of these three fields.
fn update(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let len = |field: &[u8]| u16::try_from(field.len()).unwrap().to_be_bytes();
    let total = u16::try_from(23 + withdrawn.len() + attributes.len() + nlri.len()).unwrap();
    let mut out = vec![0xff; 16];
    out.extend(total.to_be_bytes());
    out.push(2);
    out.extend(len(withdrawn));
    out.extend(withdrawn);
    out.extend(len(&attributes));
    out.extend(attributes);
    out.extend(nlri);
    out
}

/// An attribute as it stands on the wire, with an extended length only where it must be.
fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    match u8::try_from(value.len()) {
        Ok(len) => [&[flags, code, len], value].concat(),
        Err(_) => [&[flags | 0x10, code][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat(),
    }
}

/// An UPDATE with the three mandatory attributes, `more`, and one route.
fn with(more: &[u8]) -> Vec<u8> {
    update(&[], &[ORIGIN, AS_PATH, NEXT_HOP, more], ROUTE)
}

/// MP_REACH_NLRI for IPv6 unicast with next hop 2001:db8::1.
fn mp_reach(nlri: &[u8]) -> Vec<u8> {
    let next_hop: [u8; 16] = "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets();
    attribute(0x80, 14, &[&[0, 2, 1, 16], &next_hop[..], &[0], nlri].concat())
}

/// What one message came to.
struct Decoded {
    result: Result<Outcome, Fault>,
    batch: UpdateBatch,
    faults: Vec<Fault>,
}

impl Decoded {
    /// `announce 198.51.100.0/24`, in order.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for item in self.batch.iter() {
            let verb = match item.kind {
                ItemKind::Announce => "announce",
                ItemKind::Withdraw => "withdraw",
                ItemKind::EndOfRib => {
                    lines.push(format!("end-of-rib {}", item.family));
                    continue;
                }
            };
            let id = |path_id| if item.add_path { format!("#{path_id} ") } else { String::new() };
            for (path_id, prefix) in item.prefixes() {
                lines.push(format!("{verb} {}{prefix}", id(path_id)));
            }
            for (path_id, key, _) in item.opaque() {
                lines.push(format!("{verb} {}{}", id(path_id), nlri::display(item.family, key)));
            }
        }
        lines
    }

    fn attrs(&self) -> AttrSet<'_> {
        self.batch.iter().find(|item| item.kind == ItemKind::Announce).expect("an announcement").attrs
    }
}

fn decode(message: &[u8], ctx: &DecodeContext) -> Decoded {
    let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
    let result = decode_update(message, ctx, &mut batch, &mut faults);
    Decoded { result, batch, faults }
}

fn external() -> DecodeContext {
    DecodeContext::new(PeerKind::External)
}

fn internal() -> DecodeContext {
    DecodeContext::new(PeerKind::Internal)
}
