//! What RPKI data make of the routes of given prefixes and origins: a reader collects the routes, here they are put
//! beside what is in force. Which states they have, which VRPs no route uses, and which ASes carry an origin's routes
//! without being attested by it.
//!
//! Routes are those that neighbours send and that we originate, before policy: what policy rejects for being invalid is
//! what one asks for.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Nlri, Refusal, RouteRow, rpki::InForce};
use crate::{
    types::{Asn, Prefix},
    validation::{OriginState, Vrp, rov::Fit},
    wire::bgp::as_path::AsPath,
};

/// Routes that are collected at most: some hundred megabytes.
const ROUTES_MAX: usize = 1_000_000;

/// Whose routes are asked for: those of these prefixes and of what is inside them, and those with these origins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope {
    /// Ascending, none inside another one.
    pub prefixes: Vec<Prefix>,
    /// Ascending, each once.
    pub asns: Vec<Asn>,
}

impl Scope {
    /// A scope without what is in it twice.
    pub fn new(mut prefixes: Vec<Prefix>, mut asns: Vec<Asn>) -> Self {
        prefixes.sort_unstable_by_key(|prefix| (prefix.len(), *prefix));
        let mut outer: Vec<Prefix> = Vec::with_capacity(prefixes.len());
        for prefix in prefixes {
            if !outer.iter().any(|known| known.covers(&prefix)) {
                outer.push(prefix);
            }
        }
        outer.sort_unstable();
        asns.sort_unstable();
        asns.dedup();
        Self { prefixes: outer, asns }
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && self.asns.is_empty()
    }

    fn has(&self, prefix: &Prefix) -> bool {
        self.prefixes.iter().any(|outer| outer.covers(prefix))
    }
}

/// A prefix with an origin, and what RPKI makes of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CoveredRoute {
    /// Invalid ones are first, then those that were not found, valid ones, and those that were not checked.
    rank: u8,
    /// The prefix.
    pub prefix: Prefix,
    /// The origin; `None`: its path ends in an AS_SET.
    pub origin: Option<Asn>,
    /// The state by what is in force.
    pub validation: OriginState,
    /// How many neighbours' paths have it; 0: it is our own.
    pub paths: u64,
}

/// An AS that stands next to an origin in paths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upstream {
    /// Which.
    pub asn: Asn,
    /// In how many paths.
    pub paths: u64,
    /// Whether the origin attests it as a provider.
    pub attested: bool,
}

/// What an origin attests, and who carries its routes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AspaCoverage {
    /// The origin.
    pub asn: Asn,
    /// Providers that it attests; `None`: it has no ASPA.
    pub providers: Option<Vec<Asn>>,
    /// Most paths first.
    pub upstreams: Vec<Upstream>,
}

/// The whole answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    /// The worst first.
    pub routes: Vec<CoveredRoute>,
    /// Routes by the code of their state.
    pub states: [u64; 4],
    /// VRPs of the scope that match no route, in order. Those of AS 0 are not among them: they are not to match any.
    pub unused: Vec<Vrp>,
    /// One for each origin of the scope.
    pub aspas: Vec<AspaCoverage>,
}

/// Collects the routes of a scope.
#[derive(Debug)]
pub struct Collector {
    scope: Scope,
    own: Asn,
    /// Paths by prefix and origin.
    routes: HashMap<(Prefix, Option<Asn>), u64>,
    /// Paths by origin and the AS next to it.
    upstreams: BTreeMap<Asn, BTreeMap<Asn, u64>>,
}

impl Collector {
    /// Nothing yet. `own` is our AS: the origin of routes without a path (RFC 6811 §2).
    pub fn new(scope: Scope, own: Asn) -> Self {
        let upstreams = scope.asns.iter().map(|asn| (*asn, BTreeMap::new())).collect();
        Self { scope, own, routes: HashMap::new(), upstreams }
    }

    /// Whose routes are wanted.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Takes a route that was found by its prefix (`asked` is `None`) or by its origin. The same one may be found in both
    /// ways.
    ///
    /// # Errors
    /// `Invalid`: there are too many.
    pub fn add(&mut self, asked: Option<Asn>, row: &RouteRow, path: AsPath<'_>) -> Result<(), Refusal> {
        let Nlri::Prefix(prefix) = row.nlri else { return Ok(()) };
        let origin = match path.origin_asn() {
            None if path.segments().all(|segment| segment.kind.is_confed()) => Some(self.own),
            origin => origin,
        };
        if asked.is_some_and(|asked| origin != Some(asked)) {
            return Ok(());
        }
        if let Some(origin) = asked
            && let Some(upstream) = next_to(origin, path)
        {
            *self.upstreams.entry(origin).or_default().entry(upstream).or_default() += 1;
        }
        // One that is found by its prefix, too, counts there.
        if asked.is_none() || !self.scope.has(&prefix) {
            if self.routes.len() >= ROUTES_MAX {
                let text = format!("more than {ROUTES_MAX} routes are meant: name fewer prefixes or origins");
                return Err(Refusal::Invalid(text));
            }
            *self.routes.entry((prefix, origin)).or_default() += u64::from(row.peer.is_some());
        }
        Ok(())
    }

    /// Puts what was collected beside what is in force.
    pub fn finish(self, rpki: &InForce) -> Coverage {
        let snapshot = &rpki.snapshot;
        let mut coverage = Coverage::default();
        let mut used: HashSet<Vrp> = HashSet::new();
        for ((prefix, origin), paths) in self.routes {
            let validation = snapshot.origin_state(prefix, origin);
            if let Some(state) = coverage.states.get_mut(usize::from(validation.code())) {
                *state += 1;
            }
            if validation == OriginState::Valid {
                let covering = snapshot.vrps.covering(prefix, origin).into_iter();
                used.extend(covering.filter(|found| found.fit == Fit::Matches).map(|found| found.vrp));
            }
            let rank = match validation {
                OriginState::Invalid => 0,
                OriginState::NotFound => 1,
                OriginState::Valid => 2,
                OriginState::NotChecked => 3,
            };
            coverage.routes.push(CoveredRoute { rank, prefix, origin, validation, paths });
        }
        coverage.routes.sort_unstable();
        let wanted = |vrp: &Vrp| self.scope.asns.contains(&vrp.asn) || self.scope.has(&vrp.prefix);
        let vrps = snapshot.vrps.iter().map(|(vrp, _)| vrp);
        coverage.unused = vrps.filter(|vrp| vrp.asn != Asn(0) && wanted(vrp) && !used.contains(vrp)).collect();
        for (asn, upstreams) in self.upstreams {
            let providers = snapshot.aspas.providers(asn).map(|(providers, _)| providers.to_vec());
            let attested = |asn: &Asn| providers.as_ref().is_some_and(|providers| providers.contains(asn));
            let upstreams =
                upstreams.iter().map(|(asn, paths)| Upstream { asn: *asn, paths: *paths, attested: attested(asn) });
            let mut upstreams: Vec<Upstream> = upstreams.collect();
            upstreams.sort_by_key(|upstream| (std::cmp::Reverse(upstream.paths), upstream.asn));
            coverage.aspas.push(AspaCoverage { asn, providers, upstreams });
        }
        coverage
    }
}

/// The AS that stands left of the origin, whatever the origin prepended; `None`: it is the origin itself that sent it.
fn next_to(origin: Asn, path: AsPath<'_>) -> Option<Asn> {
    let mut next = None;
    for asn in path.segments().filter(|segment| !segment.kind.is_confed()).flat_map(|segment| segment.asns()) {
        if asn != origin {
            next = Some(asn);
        }
    }
    next
}

#[cfg(test)]
mod tests;
