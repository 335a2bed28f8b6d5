//! Packs routes that share attributes into as few UPDATEs as fit (RFC 4271 §4.3, RFC 4760 §3, §4): the way back
//! from `decode`. Canonical sets and routes go in, whole messages come out.
//!
//! The attributes are encoded once per run of routes; each message is then a copy of that, the routes, and the
//! lengths filled in. MP_REACH_NLRI and MP_UNREACH_NLRI come first (RFC 7606 §5.1), and no message mixes
//! withdrawals with announcements (the same). What does not fit a message on its own is counted, not sent.

use crate::{
    types::{Asn, Family, FamilySet, PathId, Prefix},
    wire::{
        bgp::{
            HEADER_LEN, MAX_EXTENDED_LEN, MessageType, as_path,
            attribute::{AttrSet, NextHop, code, flag, push_attribute, push_mp_head},
            nlri,
        },
        cursor::{Reader, patch_u16},
    },
};

/// What was negotiated, as far as encoding cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncodeContext {
    /// AS numbers have four octets; otherwise AS_TRANS, AS4_PATH and AS4_AGGREGATOR are used (RFC 6793 §4.2.2).
    pub four_octet_as: bool,
    /// Families in which we send path identifiers (RFC 7911).
    pub add_path: FamilySet,
    /// Longest message: 4096 octets, or 65,535 once both sides sent capability 6 (RFC 8654 §4).
    pub max_len: usize,
}

impl EncodeContext {
    /// Four-octet AS numbers, no path identifiers, messages up to 4096 octets.
    pub fn new() -> Self {
        Self { four_octet_as: true, add_path: FamilySet::EMPTY, max_len: crate::wire::bgp::MAX_LEN }
    }
}

impl Default for EncodeContext {
    fn default() -> Self {
        Self::new()
    }
}

/// What an [`UpdateWriter`] made.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Packed {
    /// Whole messages, back to back.
    pub octets: Vec<u8>,
    /// How many messages.
    pub messages: u32,
    /// Routes left out: their attributes leave no room for a single route in a message, or have no next hop.
    pub skipped: u64,
}

/// How the routes of a run stand in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Form {
    /// No run was begun, or its routes cannot be sent: everything is skipped.
    #[default]
    Unsendable,
    /// IPv4 unicast behind the attributes.
    Nlri,
    /// IPv4 unicast in front of the attributes, of which there are none.
    Withdrawn,
    /// Inside MP_REACH_NLRI, with the other attributes behind it.
    MpReach,
    /// Inside MP_UNREACH_NLRI.
    MpUnreach,
}

/// Octets from the start of a message to the Withdrawn Routes Length.
const WITHDRAWN_LEN_AT: usize = HEADER_LEN;
/// To the Total Path Attribute Length, where no routes are withdrawn.
const ATTRIBUTES_LEN_AT: usize = HEADER_LEN + 2;
/// To the length of an MP attribute, which is the first one and has an extended length.
const MP_LEN_AT: usize = ATTRIBUTES_LEN_AT + 4;
/// To the value of that attribute.
const MP_VALUE_AT: usize = MP_LEN_AT + 2;

/// Writes runs of routes: begin a run with [`announce`](Self::announce) or [`withdraw`](Self::withdraw), push its
/// routes, begin the next; [`take`](Self::take) ends the last one and hands over the messages.
#[derive(Clone, Debug)]
pub struct UpdateWriter {
    ctx: EncodeContext,
    made: Packed,
    form: Form,
    family: Family,
    add_path: bool,
    /// Everything in front of the routes, lengths not filled in.
    head: Vec<u8>,
    /// Everything behind them.
    tail: Vec<u8>,
    /// Where the message being filled starts.
    open: Option<usize>,
}

impl UpdateWriter {
    /// A writer for one session, or for all sessions that negotiated the same.
    pub fn new(ctx: EncodeContext) -> Self {
        let max_len = ctx.max_len.min(MAX_EXTENDED_LEN);
        Self {
            ctx: EncodeContext { max_len, ..ctx },
            made: Packed::default(),
            form: Form::Unsendable,
            family: Family::IPV4_UNICAST,
            add_path: false,
            head: Vec::new(),
            tail: Vec::new(),
            open: None,
        }
    }

    /// Begins a run of routes of `family` that are announced with the canonical set `attrs`.
    pub fn announce(&mut self, family: Family, attrs: AttrSet<'_>) {
        self.begin(family);
        if family == Family::IPV4_UNICAST && attrs.get(code::NEXT_HOP).is_some() {
            self.form = Form::Nlri;
            let mut block = std::mem::take(&mut self.tail);
            push_attributes(attrs, true, self.ctx.four_octet_as, &mut block);
            // A block above 65,535 octets leaves no room for any route, so the length is never read.
            let len = u16::try_from(block.len()).unwrap_or(u16::MAX);
            self.head.extend_from_slice(&[0, 0]);
            self.head.extend_from_slice(&len.to_be_bytes());
            self.head.append(&mut block);
            self.tail = block;
            return;
        }
        let mut next_hop = Vec::new();
        if !mp_next_hop(family, attrs, &mut next_hop) {
            return;
        }
        self.form = Form::MpReach;
        self.head.extend_from_slice(&[0, 0, 0, 0, flag::OPTIONAL | flag::EXTENDED_LENGTH, code::MP_REACH, 0, 0]);
        push_mp_head(family, &next_hop, &mut self.head);
        self.head.push(0);
        push_attributes(attrs, false, self.ctx.four_octet_as, &mut self.tail);
    }

    /// Begins a run of routes of `family` that are withdrawn.
    pub fn withdraw(&mut self, family: Family) {
        self.begin(family);
        if family == Family::IPV4_UNICAST {
            self.form = Form::Withdrawn;
            self.head.extend_from_slice(&[0, 0]);
            self.tail.extend_from_slice(&[0, 0]);
            return;
        }
        self.form = Form::MpUnreach;
        let [high, low] = family.afi.to_be_bytes();
        let flags = flag::OPTIONAL | flag::EXTENDED_LENGTH;
        self.head.extend_from_slice(&[0, 0, 0, 0, flags, code::MP_UNREACH, 0, 0, high, low, family.safi]);
    }

    /// Adds a route of a plain-prefix family to the run. The path identifier is written where the session has them.
    #[inline]
    pub fn push_prefix(&mut self, path_id: PathId, prefix: Prefix) {
        let len = 1 + usize::from(prefix.len()).div_ceil(8) + if self.add_path { 4 } else { 0 };
        if self.make_room(len) {
            nlri::push_prefix_wire(self.add_path.then_some(path_id), prefix, &mut self.made.octets);
        }
    }

    /// Adds a route of any other family, key and labels as `nlri::OpaqueIter` gives them. Labels count for announced
    /// routes: labelled families need at least one, EVPN has more than labels there.
    pub fn push_opaque(&mut self, path_id: PathId, key: &[u8], labels: &[u8]) {
        let labels = match self.form {
            _ if !nlri::has_aside(self.family) => &[],
            Form::MpUnreach if nlri::is_labelled(self.family) => &WITHDRAWN_LABEL[..],
            Form::MpUnreach => &[],
            _ => labels,
        };
        let len = nlri::wire_len(self.family, key, labels) + if self.add_path { 4 } else { 0 };
        if !self.make_room(len) {
            return;
        }
        let path_id = self.add_path.then_some(path_id);
        if !nlri::push_opaque_wire(self.family, path_id, labels, key, &mut self.made.octets) {
            self.made.skipped += 1;
        }
    }

    /// Ends the run and appends the End-of-RIB marker of `family`.
    pub fn end_of_rib(&mut self, family: Family) {
        self.close();
        self.form = Form::Unsendable;
        self.made.octets.extend_from_slice(&end_of_rib(family));
        self.made.messages += 1;
    }

    /// Octets of messages made so far, the one being filled included.
    pub fn octets(&self) -> usize {
        self.made.octets.len()
    }

    /// Messages completed so far: the one being filled counts once the next run is begun.
    pub fn messages(&self) -> u32 {
        self.made.messages
    }

    /// Ends the run and hands over what was made since the last call.
    pub fn take(&mut self) -> Packed {
        self.close();
        self.form = Form::Unsendable;
        std::mem::take(&mut self.made)
    }

    fn begin(&mut self, family: Family) {
        self.close();
        self.form = Form::Unsendable;
        self.family = family;
        self.add_path = self.ctx.add_path.contains(family);
        self.tail.clear();
        self.head.clear();
        self.head.extend_from_slice(&[0xff; 16]);
        self.head.extend_from_slice(&[0, 0, MessageType::Update as u8]);
    }

    /// Makes sure that a message is open with room for `len` octets of routes; false: this route is skipped.
    #[inline]
    fn make_room(&mut self, len: usize) -> bool {
        if let Some(start) = self.open {
            if self.made.octets.len() - start + len + self.tail.len() <= self.ctx.max_len {
                return true;
            }
            self.close();
        }
        if self.form == Form::Unsendable || self.head.len() + len + self.tail.len() > self.ctx.max_len {
            self.made.skipped += 1;
            return false;
        }
        self.open = Some(self.made.octets.len());
        self.made.octets.extend_from_slice(&self.head);
        true
    }

    /// Completes the message being filled. All lengths are below the message's, which fits two octets.
    fn close(&mut self) {
        let Some(start) = self.open.take() else { return };
        let out = &mut self.made.octets;
        let routes_end = out.len();
        out.extend_from_slice(&self.tail);
        let end = out.len();
        let mut patch = |at: usize, len: usize| patch_u16(out, start + at, u16::try_from(len).unwrap_or(u16::MAX));
        patch(16, end - start);
        match self.form {
            Form::Withdrawn => patch(WITHDRAWN_LEN_AT, routes_end - start - WITHDRAWN_LEN_AT - 2),
            Form::MpReach | Form::MpUnreach => {
                patch(ATTRIBUTES_LEN_AT, end - start - ATTRIBUTES_LEN_AT - 2);
                patch(MP_LEN_AT, routes_end - start - MP_VALUE_AT);
            }
            Form::Nlri | Form::Unsendable => {}
        }
        self.made.messages += 1;
    }
}

/// What stands in the label's place when a route is withdrawn (RFC 8277 §2.4).
const WITHDRAWN_LABEL: [u8; 3] = [0x80, 0, 0];

/// The next hop of MP_REACH_NLRI for `family`. False: there is none and the family needs one.
fn mp_next_hop(family: Family, attrs: AttrSet<'_>, out: &mut Vec<u8>) -> bool {
    if let Some((_, octets)) = attrs.mp_next_hop() {
        out.extend_from_slice(octets);
        return true;
    }
    if let Some(next_hop) = attrs.get(code::NEXT_HOP).and_then(NextHop::from_octets) {
        next_hop.push(family, out);
        return true;
    }
    matches!(family.safi, 133 | 134)
}

/// Appends the attributes of a canonical set but the next hop in MP_REACH_NLRI, as this session reads them.
fn push_attributes(attrs: AttrSet<'_>, next_hop: bool, four_octet_as: bool, out: &mut Vec<u8>) {
    let mut as4 = Vec::new();
    for (flags, code, value) in attrs.iter() {
        if code > code::AS4_AGGREGATOR {
            out.append(&mut as4);
        }
        match code {
            code::MP_REACH | code::MP_UNREACH => {}
            code::NEXT_HOP if !next_hop => {}
            code::AS_PATH if !four_octet_as => {
                let path = as_path::AsPath::new(value);
                let mut narrow = Vec::with_capacity(value.len());
                as_path::push_narrowed(path, &mut narrow);
                push_attribute(flags, code, &narrow, out);
                if as_path::needs_as4(path) {
                    let mut wide = Vec::with_capacity(value.len());
                    as_path::push_as4(path, &mut wide);
                    push_attribute(flag::OPTIONAL | flag::TRANSITIVE, code::AS4_PATH, &wide, &mut as4);
                }
            }
            code::AGGREGATOR if !four_octet_as => push_narrow_aggregator(flags, value, out, &mut as4),
            _ => push_attribute(flags, code, value, out),
        }
    }
    out.append(&mut as4);
}

/// AGGREGATOR of six octets, and AS4_AGGREGATOR where the AS number needs four (RFC 6793 §4.2.2).
fn push_narrow_aggregator(flags: u8, value: &[u8], out: &mut Vec<u8>, as4: &mut Vec<u8>) {
    let mut r = Reader::new(value);
    let (Some(asn), Some([a, b, c, d])) = (r.u32().map(Asn), r.array::<4>()) else { return };
    let narrow = if asn.is_two_octet() { asn } else { Asn::TRANS };
    let [_, _, high, low] = narrow.0.to_be_bytes();
    push_attribute(flags, code::AGGREGATOR, &[high, low, a, b, c, d], out);
    if !asn.is_two_octet() {
        push_attribute(flags, code::AS4_AGGREGATOR, value, as4);
    }
}

/// The End-of-RIB marker (RFC 4724 §2): an empty UPDATE for IPv4 unicast, else an MP_UNREACH_NLRI without routes.
pub fn end_of_rib(family: Family) -> Vec<u8> {
    let mut out = vec![0xff; 16];
    let [high, low] = family.afi.to_be_bytes();
    let attribute: &[u8] = match family {
        Family::IPV4_UNICAST => &[],
        _ => &[flag::OPTIONAL, code::MP_UNREACH, 3, high, low, family.safi],
    };
    let attribute_len = u8::try_from(attribute.len()).unwrap_or_default();
    out.extend_from_slice(&[0, 23 + attribute_len, MessageType::Update as u8, 0, 0, 0, attribute_len]);
    out.extend_from_slice(attribute);
    out
}
