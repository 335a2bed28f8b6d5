//! Outbound route filters as sessions agree on them (RFC 5291 §5): who of both sends filters by address prefixes, and in
//! which families.

use crate::{
    types::Family,
    wire::bgp::{
        capability::{Capability, OrfFamily, OrfMode},
        open::Open,
        orf::ADDRESS_PREFIX,
    },
};

/// What our OPEN says: each of these families with what is done in it. `None`: nothing.
pub(super) fn offer(families: &[Family], modes: &[(Family, OrfMode)]) -> Option<Capability> {
    let one = |family: &Family| {
        let (_, mode) = modes.iter().find(|(of, _)| of == family)?;
        Some(OrfFamily { family: *family, types: vec![(ADDRESS_PREFIX, *mode)] })
    };
    let list: Vec<OrfFamily> = families.iter().filter_map(one).collect();
    (!list.is_empty()).then_some(Capability::OutboundRouteFilter(list))
}

/// Families in which the sender of `open` receives filters by address prefixes, and in which it sends them. A family that
/// is listed twice counts as it was listed last.
pub(super) fn sides(open: &Open) -> (Vec<Family>, Vec<Family>) {
    let mut modes: Vec<(Family, OrfMode)> = Vec::new();
    let lists = open.capabilities.iter().filter_map(|capability| match capability {
        Capability::OutboundRouteFilter(list) => Some(list),
        _ => None,
    });
    for OrfFamily { family, types } in lists.flatten() {
        modes.retain(|(known, _)| known != family);
        let by_prefix = types.iter().filter(|(kind, _)| *kind == ADDRESS_PREFIX);
        modes.extend(by_prefix.map(|(_, mode)| (*family, *mode)).next_back());
    }
    let side = |wanted: fn(OrfMode) -> bool| {
        modes.iter().filter(|(_, mode)| wanted(*mode)).map(|(family, _)| *family).collect()
    };
    (side(OrfMode::receives), side(OrfMode::sends))
}
