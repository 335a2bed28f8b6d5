//! Routes that this router originates by command: paths of the pseudo session `LOCAL`, which compete in the
//! decision process like any other and win against neighbours' by its step "originated here".
//!
//! What is checked here: that the NLRI is one that can be originated and is well formed, that it lies in the space that
//! the configuration calls our own (`[router] owned`; a flow specification counts as its destination prefix), that
//! a label has a next hop that it belongs to, and that no neighbour will find a fault in it. How routes outlive a restart is not known here: see `store`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    rib::Path,
    types::{Family, PeerKind, Prefix, Timestamp},
    view::{Cursor, LocalRoute, Nlri, Refusal, RoutePage},
    wire::bgp::{
        MAX_EXTENDED_LEN,
        attribute::{AttrSet, AttrSetBuilder, NextHop, Origin, code},
        batch::UpdateBatch,
        nlri::{TypedNlri, is_labelled},
        update::{DecodeContext, EncodeContext, UpdateWriter, decode_update},
    },
};

use super::{
    Action, Engine, Owned,
    desk::Filed,
    import::{Sender, prefix_of},
    rows::{AttrPool, Subject, borrowed, row},
    sessions::LOCAL,
};

impl Engine {
    /// Originates a route, or replaces the one originated before. ORIGIN and AS_PATH are added where they are
    /// missing (IGP, empty: RFC 4271 §5.1.1, §5.1.2).
    pub(super) fn originate(&mut self, now: Timestamp, route: &LocalRoute) -> Result<bool, Refusal> {
        let about = check_nlri(route.family, &route.nlri)?;
        self.check_owned(route, about)?;
        check_label(route)?;
        let octets = complete(AttrSet::new(&route.attrs))?;
        check_as_neighbors_do(route, AttrSet::new(&octets))?;
        let own = self.settings.asn_outside();
        let (mut desk, judge) = self.desk_and_judge(route.family, now);
        let set = desk.attrs.intern(AttrSet::new(&octets));
        let (received, facts) = (desk.attrs.get(set), desk.attrs.facts(set));
        judge.validator.begin(&Sender::ourselves(own), route.family, received, facts);
        let flags = judge.validator.of(prefix_of(borrowed(&route.nlri)), None).marks();
        let path = Path { set, received_secs: now.secs(), path_id: 0, session: LOCAL, flags };
        if desk.announce(borrowed(&route.nlri), None, path, &route.labels) == Filed::Done {
            self.locals.insert((route.family, route.nlri.clone()));
            return Ok(true);
        }
        desk.attrs.release(set);
        Err(Refusal::NotNow(format!("{} has 65,535 paths, no more can be filed", route.nlri.display(route.family))))
    }

    /// Takes a local route back; false when there was none.
    pub(super) fn withdraw_local(&mut self, now: Timestamp, family: Family, nlri: &Nlri) -> Result<bool, Refusal> {
        check_nlri(family, nlri)?;
        self.locals.remove(&(family, nlri.clone()));
        Ok(self.desk(family, now).withdraw(borrowed(nlri), None, LOCAL, 0))
    }

    /// Up to `limit` routes of our own, behind `after`.
    pub(super) fn local_routes(&self, after: Option<&Cursor>, limit: usize) -> RoutePage {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, |c| Bound::Excluded((c.family, c.after.clone())));
        let mut routes = self.locals.range((from, Bound::Unbounded));
        let (mut page, mut pool) = (RoutePage::default(), AttrPool::default());
        for (family, nlri) in routes.by_ref().take(limit.max(1)) {
            page.next = Some(Cursor { family: *family, after: nlri.clone() });
            let Some(table) = self.rib.tables.get(*family) else { continue };
            let Some(id) = table.find(borrowed(nlri)) else { continue };
            let Some(at) = table.find_path(id, LOCAL, 0) else { continue };
            let Some(path) = table.paths(id).get(at) else { continue };
            let subject = Subject { family: *family, nlri: borrowed(nlri), labels: table.labels(id, LOCAL, 0) };
            let best = table.best(id) == Some(at);
            let attrs = pool.range(&self.rib.attrs, path.set);
            page.rows.push(row(subject, path, best, attrs, &self.rib.attrs, &self.sessions));
        }
        if routes.next().is_none() {
            page.next = None;
        }
        RoutePage { attrs: pool.take(), seq: self.events.seq(), ..page }
    }

    /// The guard is about commands: nothing that is announced ends because of it, which a slip of the pen in the
    /// configuration would do.
    pub(super) fn take_owned(&mut self, owned: Owned, out: &mut Vec<Action>) {
        self.settings.owned = owned;
        let is_outside = |(family, nlri): &&(Family, Nlri)| {
            // What cannot be originated is not there.
            check_nlri(*family, nlri).is_ok_and(|about| !self.settings.owned.allows(about))
        };
        let mut outside = self.locals.iter().filter(is_outside);
        let Some((family, first)) = outside.next() else { return };
        let count = 1 + outside.count();
        out.push(Action::Note(format!(
            "routes of our own outside [router] owned now: {count}, such as {}; they are announced until they are \
             withdrawn, and not after the next start",
            first.display(*family)
        )));
    }

    fn check_owned(&self, route: &LocalRoute, about: Option<Prefix>) -> Result<(), Refusal> {
        let owned = &self.settings.owned;
        if owned.allows(about) {
            return Ok(());
        }
        let what = match about {
            Some(prefix) => prefix.to_string(),
            None => format!("{} (no destination)", route.nlri.display(route.family)),
        };
        let fix = match (owned, about) {
            (_, None) => "name a destination inside it, or write owned = \"any\" to originate anything".to_owned(),
            (Owned::Within(list), Some(prefix)) if list.is_empty() => {
                format!("write owned = [\"{prefix}\"] in [router], or owned = \"any\" to originate anything")
            }
            (_, Some(_)) => "add it there, or write owned = \"any\" to originate anything".to_owned(),
        };
        Err(Refusal::Forbidden(format!("outside [router] owned: {what}; {fix}")))
    }
}

/// What a route that may be originated is about: its prefix, or the destination of a filter.
fn check_nlri(family: Family, nlri: &Nlri) -> Result<Option<Prefix>, Refusal> {
    match nlri {
        Nlri::Prefix(prefix) if family.is_plain_prefix() => match prefix.is_v4() == (family.afi == 1) {
            true => Ok(Some(*prefix)),
            false => Err(Refusal::Invalid(format!("{prefix} is no prefix of {family}"))),
        },
        Nlri::Opaque(key) => match TypedNlri::decode(family, key, &[]) {
            Some(typed @ (TypedNlri::Labelled(_) | TypedNlri::FlowSpec(_))) => Ok(typed.prefix()),
            _ => Err(cannot(family)),
        },
        Nlri::Prefix(_) => Err(cannot(family)),
    }
}

fn cannot(family: Family) -> Refusal {
    Refusal::Invalid(format!(
        "{family} routes cannot be originated: unicast, multicast, labelled unicast, VPN and flow specifications can"
    ))
}

/// A label belongs to a next hop that knows it (RFC 8277 §3.1). We forward nothing, so we never are that next hop.
fn check_label(route: &LocalRoute) -> Result<(), Refusal> {
    let family = route.family;
    if !is_labelled(family) {
        return match route.labels.is_empty() {
            true => Ok(()),
            false => Err(Refusal::Invalid(format!("{family} routes have no label"))),
        };
    }
    if route.labels.len() != 3 {
        // Several need a capability that we never send (RFC 8277 §2.1).
        return Err(Refusal::Invalid(format!("a route of {family} needs one label")));
    }
    let next_hop = AttrSet::new(&route.attrs).next_hop().map(|next_hop| next_hop.global);
    if next_hop.is_none_or(|address| address.is_unspecified()) {
        let why = format!("a route of {family} needs a next hop: the router that gave the label");
        return Err(Refusal::Invalid(why));
    }
    Ok(())
}

/// Writes the route into an UPDATE and reads it as a neighbour would: what breaks a rule of RFC 7606 there is refused
/// here, with the rule, instead of costing neighbours their sessions.
fn check_as_neighbors_do(route: &LocalRoute, set: AttrSet<'_>) -> Result<(), Refusal> {
    let family = route.family;
    let mut builder = AttrSetBuilder::from_set(set);
    let none = set.next_hop().is_none_or(|next_hop| next_hop.global.is_unspecified());
    if none && !matches!(family.safi, 133 | 134) {
        // In place of our own address, which differs from neighbour to neighbour.
        let sample: IpAddr = match family.afi {
            1 => Ipv4Addr::new(192, 0, 2, 1).into(),
            _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        };
        builder.next_hop(family, NextHop::new(sample));
    }
    let mut writer = UpdateWriter::new(EncodeContext { max_len: MAX_EXTENDED_LEN, ..EncodeContext::new() });
    let octets = builder.finish();
    writer.announce(family, AttrSet::new(&octets));
    match &route.nlri {
        Nlri::Prefix(prefix) => writer.push_prefix(0, *prefix),
        Nlri::Opaque(key) => writer.push_opaque(0, key, &route.labels),
    }
    let made = writer.take();
    if made.skipped > 0 || made.messages != 1 {
        return Err(Refusal::Invalid("the route does not fit a message (RFC 8654 §4)".into()));
    }
    let (mut batch, mut faults) = (UpdateBatch::new(), Vec::new());
    let read = decode_update(&made.octets, &DecodeContext::new(PeerKind::Internal), &mut batch, &mut faults);
    match read.err().or_else(|| faults.into_iter().next()) {
        Some(fault) => Err(Refusal::Invalid(format!("neighbors would refuse the route: {fault}"))),
        None => Ok(()),
    }
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
