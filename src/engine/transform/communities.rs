//! Communities on the way out: which hold a route back, which are added, which may leave the AS.
//!
//! | community | where it holds a route back | clause |
//! |---|---|---|
//! | NO_ADVERTISE | everywhere | RFC 1997 |
//! | NO_EXPORT | outside the confederation | RFC 1997 |
//! | NO_EXPORT_SUBCONFED | outside the member AS | RFC 1997 |
//! | BLACKHOLE | outside the AS, unless we originate it: as if NO_EXPORT had been added | RFC 7999 §3.2 |
//! | LLGR_STALE, NO_LLGR, GRACEFUL_SHUTDOWN, ACCEPT_OWN, NO_PEER | nowhere | |
//!
//! They are judged by the route as it stands in the tables: a community that export policy adds is for the neighbour.
//! As a route server we process none of them (RFC 7947 §2.2.4).

use crate::{
    rib::Source,
    validation::OriginState,
    wire::bgp::{
        attribute::{AttrSet, code, flag},
        community::Community,
        validation_state,
    },
};

use super::{ExportRules, Learned, Relation, put_header};

/// Whether a community holds the route back.
pub(super) fn hold_back(set: AttrSet<'_>, source: Source, rules: &ExportRules) -> bool {
    if rules.transparent {
        return false;
    }
    set.communities().any(|community| match community {
        Community::NO_ADVERTISE => true,
        Community::NO_EXPORT => rules.to == Relation::External,
        Community::NO_EXPORT_SUBCONFED => !matches!(rules.to, Relation::Internal { .. }),
        Community::BLACKHOLE => rules.to == Relation::External && source != Source::Local,
        _ => false,
    })
}

/// Communities that are added: what is due and not there already.
pub(super) fn added<'a>(
    set: AttrSet<'a>,
    learned: Learned,
    rules: &ExportRules,
) -> impl Iterator<Item = Community> + use<'a> {
    let due = [(Community::GRACEFUL_SHUTDOWN, rules.graceful_shutdown), (Community::LLGR_STALE, learned.llgr_stale)];
    due.into_iter()
        .filter(|(_, due)| *due)
        .map(|(community, _)| community)
        .filter(move |community| set.communities().all(|other| other != *community))
}

/// Appends COMMUNITIES with what is added.
pub(super) fn put(set: AttrSet<'_>, learned: Learned, rules: &ExportRules, out: &mut Vec<u8>) {
    let before = set.get(code::COMMUNITIES).unwrap_or_default();
    let more = added(set, learned, rules).count() * 4;
    put_header(flag::OPTIONAL | flag::TRANSITIVE, code::COMMUNITIES, before.len() + more, out);
    out.extend_from_slice(before);
    for community in added(set, learned, rules) {
        out.extend_from_slice(&community.0.to_be_bytes());
    }
}

/// Copies the extended communities without the non-transitive bit (RFC 4360 §2: 0x40 of the first octet).
pub(super) fn put_transitive(flags: u8, code: u8, value: &[u8], size: usize, out: &mut Vec<u8>) {
    let transitive = |community: &&[u8]| community.first().is_some_and(|kind| kind & 0x40 == 0);
    let kept = value.chunks_exact(size).filter(transitive).count();
    if kept == 0 {
        return;
    }
    put_header(flags, code, kept * size, out);
    for community in value.chunks_exact(size).filter(transitive) {
        out.extend_from_slice(community);
    }
}

/// The validation state that a route is to carry, as its value on the wire (RFC 8097 §2). `None`: none is known, or the
/// group is not told; what others said is then passed on inside the AS.
pub(super) fn validation_state(learned: Learned, rules: &ExportRules) -> Option<u8> {
    if !rules.validation_state {
        return None;
    }
    match OriginState::from_code(learned.validity) {
        OriginState::Valid => Some(0),
        OriginState::NotFound => Some(1),
        OriginState::Invalid => Some(2),
        OriginState::NotChecked => None,
    }
}

/// Appends EXTENDED COMMUNITIES with one validation state, behind those that may pass.
pub(super) fn put_with_state(before: &[u8], state: Option<u8>, rules: &ExportRules, out: &mut Vec<u8>) {
    let external = rules.to == Relation::External;
    let passes = |community: &&[u8]| {
        let transitive = community.first().is_some_and(|kind| kind & 0x40 == 0);
        !validation_state::is_state(community) && (transitive || !external)
    };
    let others = || before.chunks_exact(8).filter(passes);
    let state = state.map(validation_state::encode);
    let len = others().count() * 8 + state.map_or(0, |state| state.len());
    put_header(flag::OPTIONAL | flag::TRANSITIVE, code::EXT_COMMUNITIES, len, out);
    others().for_each(|community| out.extend_from_slice(community));
    state.into_iter().for_each(|state| out.extend_from_slice(&state));
}
