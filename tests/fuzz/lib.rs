//! What the fuzz targets share: the two lowest rooms, compiled here by path so that nothing else of the product has
//! to be built with sanitizers, and the laws that hold whatever comes in.
#![allow(dead_code, missing_docs, reason = "the rooms are whole, the targets use a part of them")]

#[path = "../../src/types/mod.rs"]
pub mod types;
#[path = "../../src/wire/mod.rs"]
pub mod wire;

use types::{Family, FamilySet, PeerKind};
use wire::{
    bgp::{
        attribute::{AttrSet, AttrSetBuilder},
        batch::{ItemKind, UpdateBatch},
        nlri,
        update::{DecodeContext, EncodeContext, Outcome, Rules, UpdateWriter, decode_update},
    },
    error::Fault,
};

/// Octets of a batch for one octet of message, at most.
pub const GROWTH_MAX: usize = 16;

/// What was negotiated, chosen by the bits of one octet.
pub fn context(bits: u8) -> DecodeContext {
    DecodeContext {
        four_octet_as: bits & 1 != 0,
        kind: if bits & 2 != 0 { PeerKind::Internal } else { PeerKind::External },
        add_path: if bits & 4 != 0 { FamilySet::ALL } else { FamilySet::EMPTY },
        families: if bits & 8 != 0 { [Family::IPV4_UNICAST].into_iter().collect() } else { FamilySet::ALL },
        rules: match bits & 0x30 {
            0x10 => Rules::strict(),
            0x20 => Rules::lenient(),
            _ => Rules::default(),
        },
    }
}

/// Decodes one UPDATE and checks everything that must hold, whatever it is.
pub fn check_update(message: &[u8], ctx: &DecodeContext) {
    let mut batch = UpdateBatch::new();
    let mut faults: Vec<Fault> = Vec::new();
    let result = decode_update(message, ctx, &mut batch, &mut faults);
    assert!(batch.octets() <= GROWTH_MAX * message.len().max(1));
    if let Err(fault) = &result {
        assert!(batch.is_empty() && fault.notification.is_some());
        let _ = fault.to_string();
    }
    for item in batch.iter() {
        let routes = if item.family.is_plain_prefix() {
            item.prefixes().map(|(_, prefix)| prefix.to_string().len()).filter(|len| *len > 0).count()
        } else {
            item.opaque().map(|(_, key, labels)| read_typed(item.family, key, labels)).count()
        };
        assert_eq!(routes, item.routes());
        if item.kind == ItemKind::Announce {
            assert!(result != Ok(Outcome::Withdraw));
            check_canonical(item.attrs, item.family);
        }
    }
}

/// Families whose routes have a typed view.
const TYPED: [Family; 13] = [
    Family::IPV4_LABELED,
    Family::IPV6_LABELED,
    Family::VPNV4,
    Family::VPNV6,
    Family::IPV4_FLOWSPEC,
    Family::IPV6_FLOWSPEC,
    Family::VPNV4_FLOWSPEC,
    Family::VPNV6_FLOWSPEC,
    Family::EVPN,
    Family::BGP_LS,
    Family::RTC,
    Family::IPV4_SR_POLICY,
    Family::IPV6_SR_POLICY,
];

/// Reads everything that a key and what stands beside it can say, and checks that a route which can be written comes
/// back as it was.
fn read_typed(family: Family, key: &[u8], labels: &[u8]) {
    assert!(!nlri::display(family, key).is_empty());
    let wire = nlri::wire_form(family, key, labels);
    let _ = (nlri::labels(family, key, labels), nlri::from_wire(family, &wire));
    let Some(typed) = nlri::TypedNlri::decode(family, key, labels) else { return };
    let _ = (typed.prefix(), typed.rd(), typed.to_string());
    if let Ok(again) = typed.key() {
        assert_eq!(nlri::TypedNlri::decode(family, &again, labels).as_ref(), Some(&typed));
    }
}

/// The laws of the typed view for any octets: as a key with labels, as an NLRI field, and as text.
pub fn check_typed(family: u8, form: u8, octets: &[u8]) {
    let family = TYPED[usize::from(family) % TYPED.len()];
    match form {
        0..=99 => {
            let (labels, key) = octets.split_at(usize::from(form).min(octets.len()));
            read_typed(family, key, labels);
        }
        100..=199 => {
            if let Some((typed, labels)) = nlri::from_wire(family, octets) {
                assert!(!typed.to_string().is_empty() && labels.len() <= 21);
            }
        }
        200.. => {
            let Ok(text) = std::str::from_utf8(octets) else { return };
            let Ok(typed) = nlri::TypedNlri::parse(family, text) else { return };
            // What is printed is understood, and means the same.
            assert_eq!(nlri::TypedNlri::parse(family, &typed.to_string()).as_ref(), Ok(&typed));
            if let Ok(key) = typed.key() {
                assert_eq!(nlri::TypedNlri::decode(family, &key, &[]).as_ref(), Some(&typed));
            }
        }
    }
}

/// A set out of the decoder ascends, and building, sending or reading it changes nothing.
pub fn check_canonical(attrs: AttrSet<'_>, family: Family) {
    let codes: Vec<u8> = attrs.iter().map(|(_, code, _)| code).collect();
    assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
    assert_eq!(AttrSetBuilder::from_set(attrs).finish(), attrs.as_bytes());
    read_everything(attrs);
    if family.is_plain_prefix() {
        let prefix = if family.afi == 1 { types::Prefix::v4(0xc633_6400, 24) } else { types::Prefix::v6(0, 0) };
        for (four_octet_as, max_len) in [(true, 65_535), (false, 4096)] {
            let mut writer = UpdateWriter::new(EncodeContext { four_octet_as, max_len, ..EncodeContext::new() });
            writer.announce(family, attrs);
            writer.push_prefix(0, prefix);
            let made = writer.take();
            assert!(made.messages <= 1 && made.octets.len() <= max_len);
        }
    }
}

fn read_everything(attrs: AttrSet<'_>) {
    let _ = (attrs.origin(), attrs.next_hop(), attrs.mp_next_hop(), attrs.med(), attrs.local_pref(), attrs.otc());
    let _ = (attrs.aggregator(), attrs.originator_id(), attrs.aigp(), attrs.cluster_list().len());
    let path = attrs.as_path();
    let _ = (path.to_string(), path.path_length(), path.origin_asn(), path.neighbor_asn());
    attrs.communities().for_each(|community| drop(community.to_string()));
    attrs.ext_communities().for_each(|community| drop(community.to_string()));
    attrs.large_communities().for_each(|community| drop(community.to_string()));
    attrs.ipv6_ext_communities().for_each(|community| drop(community.to_string()));
}
