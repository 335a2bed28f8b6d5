//! What validation says of a route as it will be sent (RFC 8893): export may make another AS its origin, and then the
//! state found at import is that of another route.
//!
//! # What the RFC asks
//! 1. §3: when policy is applied on egress, the state must be that of the origin that the route will, or would, be
//!    announced with. Removal of private ASNs, confederations and local ASes may make it another one.
//! 2. §4: a policy may look at the state behind others that do not.
//!
//! # What we do
//! 1. Where options of the neighbour decide over the path, the origin is known before policy is asked, and policy is told
//!    its state.
//! 2. Where policy itself can change the origin, it is asked again with the state of what it would have sent, until that
//!    is the state it was told. A route that it rejects passes all the same when there is a state with which policy lets
//!    it pass and which is that of what is then sent. So a policy may strip private ASNs and the next one, or the one
//!    before, may ask for the state. Where policy changes the origin because of the state, so that no state fits, the
//!    one counts that the route has without it.
//!
//! What validation said stays with the row of the Adj-RIB-Out, so what was told can be worked out again when the RPKI
//! data are others.

use crate::{
    rib::{NlriRef, Path, PathFlags, Sent},
    types::{Asn, Family},
    validation::OriginState,
};

use super::super::{
    Engine,
    import::{Validity, prefix_of},
    stream::Stream,
    transform::{Withheld, origin_as_sent, origin_sent},
    update_group::{Group, GroupKey},
};

impl Engine {
    /// The row that stands for a path in an Adj-RIB-Out: with the set that import made of what was received, since two
    /// that end up the same are no news.
    pub(super) fn row_of(&self, path: &Path, (family, nlri): (Family, NlriRef<'_>), key: &GroupKey) -> Sent {
        let validity = if key.looks_at_validation() { self.validity_as_sent(path, (family, nlri), key) } else { 0 };
        Sent {
            set: self.rib.attrs.effective(path.set),
            source: path.session,
            llgr_stale: path.flags.has(PathFlags::LLGR_STALE),
            validity,
        }
    }

    /// The states of a path as the group is sent it while policy leaves its AS_PATH alone, as `Sent::validity`.
    fn validity_as_sent(&self, path: &Path, (family, nlri): (Family, NlriRef<'_>), key: &GroupKey) -> u8 {
        let Validity { origin: at_import, path: as_path } = Validity::of(path.flags);
        let attrs = &self.rib.attrs;
        let own = self.settings.asn_outside();
        let sent = origin_as_sent(attrs.get(path.set), &key.rules, own);
        let same = !is_unicast(family) || sent == origin_sent(attrs.get(attrs.received(path.set)), own);
        let state = if same { at_import } else { self.state_of(nlri, sent) };
        code(state, as_path.code())
    }

    /// The state of a route with this origin.
    fn state_of(&self, nlri: NlriRef<'_>, origin: Option<Asn>) -> OriginState {
        let prefix = prefix_of(nlri);
        prefix.map_or(OriginState::NotChecked, |prefix| self.judge.validator.rpki.origin_state(prefix, origin))
    }

    /// Finds the state that fits what policy makes of a route: see the head of this file. `row` is what it is without
    /// policy, and `done` what came of that.
    pub(super) fn settle_validity(
        &self,
        group: &Group,
        (family, nlri): (Family, NlriRef<'_>),
        (row, done): (Sent, Result<u32, Withheld>),
        stream: &mut Stream,
    ) -> (Sent, Result<u32, Withheld>) {
        let key = &group.key;
        let applies = key.export.changes_as_path && key.looks_at_validation() && self.judge.validator.rpki.loaded;
        if !applies || !is_unicast(family) {
            return (row, done);
        }
        let own = self.settings.asn_outside();
        let state_sent = |set: u32, stream: &Stream| self.state_of(nlri, origin_sent(stream.prepared.get(set), own));
        let told = |state: OriginState, stream: &mut Stream| {
            let other = Sent { validity: code(state, row.validity >> 2), ..row };
            let learned = self.learned(key, family, other, nlri);
            (other, stream.prepared.prepare(self.preparing(family, key), row.set, learned, nlri))
        };
        let first = OriginState::from_code(row.validity);
        if done.is_err() {
            for state in STATES.into_iter().filter(|state| *state != first) {
                let (other, done) = told(state, stream);
                if done.is_ok_and(|set| state_sent(set, stream) == state) {
                    return (other, done);
                }
            }
            return (row, done);
        }
        let (mut state, mut now) = (first, (row, done));
        for _ in 0..=STATES.len() {
            let Ok(set) = now.1 else { return now };
            let sent = state_sent(set, stream);
            if sent == state {
                return now;
            }
            (state, now) = (sent, told(sent, stream));
        }
        (row, done)
    }
}

const STATES: [OriginState; 3] = [OriginState::Valid, OriginState::NotFound, OriginState::Invalid];

/// As `Sent::validity`.
fn code(origin: OriginState, path: u8) -> u8 {
    origin.code() | path << 2
}

fn is_unicast(family: Family) -> bool {
    matches!(family, Family::IPV4_UNICAST | Family::IPV6_UNICAST)
}
