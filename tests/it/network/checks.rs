//! What must hold when the network is at rest.

use std::collections::{BTreeMap, BTreeSet};

use ribwatch::{
    types::{Asn, PathId, PeerId, Prefix},
    view::Table,
    wire::bgp::attribute::AttrSet,
};

use super::{Network, ROUTERS, mark, rejected};

impl Network {
    pub(super) fn check(&mut self) {
        self.links_agree();
        self.policies_hold();
        let best = self.best();
        self.packets_arrive(&best);
        if self.open {
            self.everybody_has_everything(&best);
        }
    }

    /// What was said is what was heard.
    fn links_agree(&mut self) {
        for at in 0..self.sides.len() {
            let (side, far) = (&self.sides[at], &self.sides[self.sides[at].far]);
            assert!(side.end > far.end || self.net.agree((side.end, far.end)), "one connection, known to both");
            let (here, peer, there, us) = (side.router, side.peer(), far.router, far.peer());
            let held = self.routes(here, Table::AdjIn, peer);
            let told = self.routes(there, Table::AdjOut, us);
            assert_eq!(held, told, "router {here} holds from {there} what that one told it");
        }
    }

    /// What was chosen has passed the import policy that holds now, whenever it came.
    fn policies_hold(&mut self) {
        for router in 0..ROUTERS {
            for (peer, prefix, _, attrs) in self.table(router, Table::Loc, None) {
                let Some(peer) = peer else { continue };
                let name = self.sides[peer.0 as usize - 1].settings.import[0].clone();
                let edition = self.routers[router].edition;
                let marks: Vec<_> = AttrSet::new(&attrs).communities().collect();
                match &*name {
                    "mark" => assert!(marks.contains(&mark(router, edition)), "{prefix} at {router}: {marks:?}"),
                    "some" => assert!(!rejected(edition).contains(&prefix), "{prefix} at {router} is rejected by some"),
                    "reject-all" => panic!("{prefix} at {router} is rejected"),
                    _ => {}
                }
                // A mark of an earlier edition is nowhere: what was derived by old policies is gone.
                let old = marks.iter().find(|community| {
                    self.routers.iter().enumerate().any(|(other, it)| {
                        community.0 >> 16 == 1000 + other as u32 && mark(other, it.edition) != **community
                    })
                });
                assert_eq!(old, None, "{prefix} at {router}");
            }
        }
    }

    /// Each router's best route of each prefix: from which router (itself for its own), and its path.
    fn best(&mut self) -> Vec<BTreeMap<Prefix, (usize, Vec<Asn>)>> {
        (0..ROUTERS)
            .map(|router| {
                let rows = self.table(router, Table::Loc, None);
                let of = |(peer, prefix, _, attrs): (Option<PeerId>, Prefix, PathId, Vec<u8>)| {
                    let far = |peer: PeerId| self.sides[self.sides[peer.0 as usize - 1].far].router;
                    (prefix, (peer.map_or(router, far), AttrSet::new(&attrs).as_path().asns().collect()))
                };
                rows.into_iter().map(of).collect()
            })
            .collect()
    }

    /// From every router, going each time to whom the best route came from ends at an originator, and the AS path is
    /// what lies on the way (RFC 4271 §5.1.2).
    fn packets_arrive(&self, best: &[BTreeMap<Prefix, (usize, Vec<Asn>)>]) {
        for (start, table) in best.iter().enumerate() {
            for (prefix, (_, told)) in table {
                let (mut at, mut seen, mut crossed) = (start, BTreeSet::new(), Vec::new());
                loop {
                    assert!(seen.insert(at), "{prefix} from {start} runs in a circle at {at}");
                    let (next, _) = best[at].get(prefix).unwrap_or_else(|| panic!("{prefix}: {at} sends into nothing"));
                    if *next == at {
                        break;
                    }
                    if self.routers[*next].asn != self.routers[at].asn {
                        crossed.push(Asn(self.routers[*next].asn));
                    }
                    at = *next;
                }
                assert!(self.routers[at].originated.contains_key(prefix), "{prefix} of {at}, which never had it");
                assert_eq!(*told, crossed, "{prefix} at {start}: path and way");
                let distinct: BTreeSet<Asn> = told.iter().copied().collect();
                assert!(distinct.len() == told.len() && !distinct.contains(&Asn(self.routers[start].asn)));
            }
        }
    }

    /// Where nobody filters, a prefix that somebody announces without condition is known to all.
    fn everybody_has_everything(&self, best: &[BTreeMap<Prefix, (usize, Vec<Asn>)>]) {
        let free = |attrs: &Vec<u8>| AttrSet::new(attrs).communities().count() == 0; // NO_EXPORT is the only one
        let everywhere = self.routers.iter().flat_map(|router| {
            let mine = router.originated.iter().filter(|(_, attrs)| free(attrs));
            mine.map(|(prefix, _)| *prefix)
        });
        for prefix in everywhere.collect::<BTreeSet<_>>() {
            // Another router's NO_EXPORT route may be nearer to some and hide it from those behind them.
            let held_back = self.routers.iter().any(|r| r.originated.get(&prefix).is_some_and(|attrs| !free(attrs)));
            for (router, table) in best.iter().enumerate() {
                assert!(held_back || table.contains_key(&prefix), "router {router} has not heard of {prefix}");
            }
        }
    }
}
