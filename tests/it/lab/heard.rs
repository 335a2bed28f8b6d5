//! What a neighbour of the laboratory was told: octets from the engine, read with the real decoder into the table that
//! the neighbour would have.

use std::collections::BTreeMap;

use ribwatch::{
    types::{Family, FamilySet, PathId, Prefix},
    wire::bgp::{
        MAX_EXTENDED_LEN, MAX_LEN, MessageType, RefreshSubtype, RouteRefresh,
        batch::{ItemKind, UpdateBatch},
        frame,
        update::{DecodeContext, Rules, decode_update},
    },
};

use super::Spec;

/// What a neighbour was told, as it would hold it.
#[derive(Clone, Default, Debug)]
pub struct Heard {
    /// Routes it has from us, by family and prefix, as canonical octets.
    pub routes: BTreeMap<(Family, Prefix), Vec<u8>>,
    /// Those of families with ADD-PATH, by path identifier.
    pub paths: BTreeMap<(Family, Prefix, PathId), Vec<u8>>,
    /// End-of-RIB markers, in order, with the number of routes it had by then.
    pub end_of_rib: Vec<(Family, usize)>,
    /// Refresh marks, in order.
    pub marks: Vec<RefreshSubtype>,
    /// Announcements of what it had already, octet by octet.
    pub repeated: usize,
    /// Withdrawals of what it never had: there must be none.
    pub unfounded: Vec<Prefix>,
    /// UPDATE messages.
    pub messages: u32,
    /// The last of them that was not End-of-RIB, as it stood on the wire.
    pub last_update: Vec<u8>,
    /// Octets.
    pub octets: usize,
}

fn max_len(spec: &Spec) -> usize {
    if spec.negotiated.extended_message { MAX_EXTENDED_LEN } else { MAX_LEN }
}

pub(super) fn count_messages(mut octets: &[u8], spec: &Spec) -> u32 {
    let mut count = 0;
    while let Some(message) = frame(octets, max_len(spec)).expect("whole messages are well framed") {
        octets = &octets[message.message.len()..];
        count += 1;
    }
    assert!(octets.is_empty(), "only whole messages are sent");
    count
}

impl Heard {
    pub(super) fn take(&mut self, mut octets: &[u8], spec: &Spec) {
        self.octets += octets.len();
        while let Some(message) = frame(octets, max_len(spec)).expect("whole messages are well framed") {
            octets = &octets[message.message.len()..];
            match message.kind {
                MessageType::Update => self.take_update(message.message, spec),
                MessageType::RouteRefresh => {
                    self.marks.push(RouteRefresh::decode(message.message).expect("a good refresh").subtype);
                }
                other => panic!("the engine sends no {other:?}"),
            }
        }
    }

    /// All routes, with the path identifier where there is one.
    pub fn all(&self) -> BTreeMap<(Family, Prefix, PathId), Vec<u8>> {
        let plain = self.routes.iter().map(|((family, prefix), octets)| ((*family, *prefix, 0), octets.clone()));
        plain.chain(self.paths.iter().map(|(key, octets)| (*key, octets.clone()))).collect()
    }

    fn take_path(&mut self, kind: ItemKind, key: (Family, Prefix, PathId), octets: &[u8]) {
        match kind {
            ItemKind::Withdraw if self.paths.remove(&key).is_none() => self.unfounded.push(key.1),
            ItemKind::Announce => {
                let before = self.paths.insert(key, octets.to_vec());
                self.repeated += usize::from(before.as_deref() == Some(octets));
            }
            _ => {}
        }
    }

    fn take_update(&mut self, message: &[u8], spec: &Spec) {
        self.messages += 1;
        let rules = Rules { confederation: spec.confederation_member, ..Rules::default() };
        let context = DecodeContext {
            rules,
            four_octet_as: spec.negotiated.four_octet_as,
            families: spec.negotiated.families.iter().copied().collect::<FamilySet>(),
            add_path: spec.negotiated.add_path_send.iter().copied().collect::<FamilySet>(),
            ..DecodeContext::new(spec.negotiated.kind)
        };
        let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
        decode_update(message, &context, &mut batch, &mut faults).expect("what we send can be decoded");
        assert!(faults.is_empty(), "what we send is without faults: {faults:?}");
        if batch.iter().any(|item| item.kind != ItemKind::EndOfRib) {
            self.last_update = message.to_vec();
        }
        for item in batch.iter() {
            for (path_id, prefix) in item.prefixes() {
                let key = (item.family, prefix);
                if spec.negotiated.add_path_send.contains(&item.family) {
                    self.take_path(item.kind, (item.family, prefix, path_id), item.attrs.as_bytes());
                    continue;
                }
                match item.kind {
                    ItemKind::Withdraw if self.routes.remove(&key).is_none() => self.unfounded.push(prefix),
                    ItemKind::Announce => {
                        let octets = item.attrs.as_bytes().to_vec();
                        let before = self.routes.insert(key, octets.clone());
                        self.repeated += usize::from(before == Some(octets));
                    }
                    _ => {}
                }
            }
            if item.kind == ItemKind::EndOfRib {
                let plain = self.routes.keys().filter(|(family, _)| *family == item.family).count();
                let count = plain + self.paths.keys().filter(|(family, _, _)| *family == item.family).count();
                self.end_of_rib.push((item.family, count));
            }
        }
    }
}
