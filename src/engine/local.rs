//! Routes that this router originates by command: paths of the pseudo session `LOCAL`, which compete in the
//! decision process like any other and win against neighbours' by its step "originated here".

use crate::{
    rib::{NlriRef, Path, PathFlags},
    types::{Family, Prefix, Timestamp},
    view::{LocalRoute, Refusal},
    wire::bgp::attribute::{AttrSet, AttrSetBuilder, Origin, code},
};

use super::{Engine, desk::Filed, sessions::LOCAL};

impl Engine {
    /// Originates a route, or replaces the one originated before. ORIGIN and AS_PATH are added where they are
    /// missing (IGP, empty: RFC 4271 §5.1.1, §5.1.2).
    pub(super) fn originate(&mut self, now: Timestamp, route: &LocalRoute) -> Result<bool, Refusal> {
        check_family(route.family, route.prefix)?;
        let octets = complete(AttrSet::new(&route.attrs))?;
        let flags = PathFlags::default();
        let mut desk = self.desk(route.family, now);
        let set = desk.attrs.intern(AttrSet::new(&octets));
        let path = Path { set, received_secs: now.secs(), path_id: 0, session: LOCAL, flags };
        if desk.announce(NlriRef::Prefix(route.prefix), path, &[]) == Filed::Done {
            return Ok(true);
        }
        desk.attrs.release(set);
        Err(Refusal::NotNow(format!("{} has 65,535 paths, no more can be filed", route.prefix)))
    }

    /// Takes a local route back; false when there was none.
    pub(super) fn withdraw_local(&mut self, now: Timestamp, family: Family, prefix: Prefix) -> Result<bool, Refusal> {
        check_family(family, prefix)?;
        Ok(self.desk(family, now).withdraw(NlriRef::Prefix(prefix), LOCAL, 0))
    }
}

fn check_family(family: Family, prefix: Prefix) -> Result<(), Refusal> {
    if !family.is_plain_prefix() {
        return Err(Refusal::Invalid(format!(
            "{family} routes cannot be originated: unicast and multicast of IPv4 and IPv6 can"
        )));
    }
    if prefix.is_v4() != (family.afi == 1) {
        return Err(Refusal::Invalid(format!("{prefix} is no prefix of {family}")));
    }
    Ok(())
}

/// The set with the mandatory attributes filled in, in canonical order.
fn complete(set: AttrSet<'_>) -> Result<Vec<u8>, Refusal> {
    let read: usize = set.iter().map(|(_, _, value)| value.len() + if value.len() > 255 { 4 } else { 3 }).sum();
    if read != set.as_bytes().len() {
        return Err(Refusal::Invalid("the attributes are not a sequence of flags, type, length and value".into()));
    }
    if set.get(code::ORIGIN).is_some() && set.origin().is_none() {
        return Err(Refusal::Invalid("ORIGIN must be one octet: 0 IGP, 1 EGP or 2 INCOMPLETE".into()));
    }
    let mut builder = AttrSetBuilder::from_set(set);
    if set.get(code::ORIGIN).is_none() {
        builder.origin(Origin::Igp);
    }
    if set.get(code::AS_PATH).is_none() {
        builder.as_path_sequence(&[]);
    }
    Ok(builder.finish())
}
