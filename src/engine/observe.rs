//! What an observer is told of: changes of unicast paths and of sessions, by handle and in order. Kept from one look to
//! the next; without an observer nothing is kept. A set that a change names keeps its reference until it was looked at.

use std::sync::Arc;

use crate::{
    rib::{AttrStore, NlriRef, Path, Rib, SessionFacts, Source, Table},
    session::negotiate::Negotiated,
    types::{Family, Timestamp},
    view::observed::{Observation, Observed, Observer, PathChange, Vantage, VantageClass},
};

use super::{
    Engine, PeerSettings,
    import::TOGETHER,
    sessions::{LOCAL, Phase, Slot},
};

/// Changes that wait to be looked at.
#[derive(Debug, Default)]
pub struct Watched {
    on: bool,
    log: Vec<Observation>,
    vantages: Vec<Option<Arc<Vantage>>>,
}

impl Watched {
    /// A path changed from `before` to `after`. True: the reference to the set of `before` is the log's now.
    #[inline]
    pub fn path(&mut self, table: &Table, nlri: NlriRef<'_>, before: Option<&Path>, after: Option<&Path>) -> bool {
        if !self.on {
            return false;
        }
        let family = table.family();
        let NlriRef::Prefix(prefix) = nlri else { return false };
        let (Some(path), true) = (after.or(before), family.safi == 1) else { return false };
        let state = |path: &Path| (path.set, path.flags);
        self.log.push(Observation::Path(PathChange {
            family,
            prefix,
            session: path.session,
            path_id: path.path_id,
            before: before.map(state),
            after: after.map(state),
        }));
        before.is_some()
    }

    /// Something other than a path changed.
    pub fn note(&mut self, what: impl FnOnce() -> Observation) {
        if self.on {
            self.log.push(what());
        }
    }
}

impl Engine {
    /// From now on changes are kept for `observe`, which must be called after each `apply`, `handle` and `flush`.
    /// To be said before any session is up.
    pub fn watch(&mut self) {
        self.watched.on = true;
        self.rib.attrs.keep_freed();
        let local = Vantage {
            name: "this router".into(),
            address: std::net::Ipv4Addr::from(self.settings.router_id.0).into(),
            asn: self.settings.asn,
            internal: true,
            local_role: None,
            class: VantageClass::Own,
        };
        self.watched.vantages = vec![Some(Arc::new(local))];
    }

    /// Nothing is kept any more.
    pub fn watch_no_more(&mut self) {
        self.release_log();
        self.watched.on = false;
        self.rib.attrs.drop_freed();
    }

    /// The next look shows all there is as if it had come just now: sessions, their End-of-RIB, and paths.
    pub fn watch_anew(&mut self) {
        self.release_log();
        self.watch();
        for (slot, session) in self.sessions.live() {
            let (settings, negotiated) = (&session.settings, &session.negotiated);
            let internal = self.facts.get(usize::from(slot)).is_some_and(|facts| facts.source == Source::Internal);
            self.watched.set_vantage(slot, settings, negotiated, internal);
            self.watched.log.push(Observation::Up { session: slot, resumed: false });
            if session.phase == Phase::Away {
                self.watched.log.push(Observation::Away { session: slot });
            }
            let ended = session.families.iter().filter(|state| state.end_of_rib);
            let ended = ended.map(|state| Observation::EndOfRib { session: slot, family: state.family });
            self.watched.log.extend(ended);
        }
        let Rib { tables, .. } = &self.rib;
        let mut ids = Vec::new();
        for table in tables.iter() {
            let mut at = Some(0);
            while let Some(from) = at {
                at = table.scan(from, 4096, &mut ids);
                for id in ids.drain(..) {
                    for path in table.paths(id).iter().filter(|path| usable(&self.facts, path)) {
                        self.watched.path(table, table.nlri(id), None, Some(path));
                    }
                }
            }
        }
    }

    fn release_log(&mut self) {
        let Rib { attrs, .. } = &mut self.rib;
        let kept = |observation: &Observation| match observation {
            Observation::Path(PathChange { before: Some((set, _)), .. }) => Some(*set),
            _ => None,
        };
        for some in self.watched.log.chunks(TOGETHER) {
            attrs.warm(some.iter().filter_map(kept));
            some.iter().filter_map(kept).for_each(|set| attrs.release(set));
        }
        self.watched.log.clear();
    }

    /// Whether anything changed since `observe`.
    pub fn has_observations(&self) -> bool {
        !self.watched.log.is_empty()
    }

    /// Shows an observer what changed since the last time, and all there is.
    pub fn observe(&mut self, now: Timestamp, observer: &mut dyn Observer) {
        let freed = self.rib.attrs.take_freed();
        observer.observe(&Observed {
            now,
            log: &self.watched.log,
            freed: &freed,
            rib: &self.rib,
            sessions: &self.facts,
            vantages: &self.watched.vantages,
            rpki: &self.judge.validator.rpki,
        });
        self.release_log();
        self.rib.attrs.give_back_freed(freed);
    }

    /// Who stands in a slot from now on.
    pub(super) fn set_vantage(&mut self, slot: Slot, settings: &PeerSettings, negotiated: &Negotiated, internal: bool) {
        self.watched.set_vantage(slot, settings, negotiated, internal);
    }

    /// What a change of one family of one session is to those who watch.
    pub(super) fn note_end_of_rib(&mut self, session: Slot, family: Family) {
        self.watched.note(|| Observation::EndOfRib { session, family });
    }
}

impl Watched {
    fn set_vantage(&mut self, slot: Slot, settings: &PeerSettings, negotiated: &Negotiated, internal: bool) {
        if !self.on || slot == LOCAL {
            return;
        }
        let address = negotiated.remote.ip().to_canonical();
        let vantage = Vantage {
            // What people write in rules about neighbours, not what messages call it.
            name: settings.called.clone().unwrap_or_else(|| address.to_string().into()),
            address,
            asn: negotiated.peer_asn,
            internal,
            local_role: negotiated.local_role,
            class: settings.vantage,
        };
        let at = usize::from(slot);
        if at >= self.vantages.len() {
            self.vantages.resize(at + 1, None);
        }
        self.vantages[at] = Some(Arc::new(vantage));
    }
}

fn usable(facts: &[SessionFacts], path: &Path) -> bool {
    facts.get(usize::from(path.session)).is_some_and(|facts| facts.usable)
}

/// Releases the set of a path that was replaced or taken out, unless the log keeps it for a look.
#[inline]
pub fn let_go(attrs: &mut AttrStore, path: &Path, kept: bool) {
    if !kept {
        attrs.release(path.set);
    }
}
